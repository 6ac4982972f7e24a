
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Bulks: a body for each of the operations that are exposed, and what they
 * answer.
 */


#include "http/openapi.h"


/* an operation, by the list of what it writes or by a filter */

typedef struct {
    const char      *name;
    df_operation_t   op;
    const char      *members;           /* those that say what is written; %V
                                           is the model */
    const char      *required;
} df_openapi_bulk_t;


static void df_openapi_bulk_change(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_bulk_answer(df_openapi_model_t *m, df_writer_t *w);


#define DF_OPENAPI_RECORDS(schema)                                            \
    "'records':{'type':'array',"                                              \
    "'items':{'$ref':'#/components/schemas/%V." schema "'}}"

#define DF_OPENAPI_FOUND                                                      \
    "'filter':{'$ref':'#/components/schemas/%V.filter'},"                     \
    "'where':{'type':['string','object']},"                                   \
    "'all':{'type':'boolean','description':"                                  \
    "'All records are meant: needed without a filter.'}"


static const df_openapi_bulk_t  df_openapi_bulks[] = {

    { "create", DF_BULK_CREATE,
      DF_OPENAPI_RECORDS("create"), "'records'" },

    { "update", DF_BULK_UPDATE,
      DF_OPENAPI_RECORDS("change"), "'records'" },

    { "update", DF_BULK_UPDATE,
      DF_OPENAPI_FOUND ",'set':{'$ref':'#/components/schemas/%V.update'}",
      "'set'" },

    { "upsert", DF_BULK_UPSERT,
      DF_OPENAPI_RECORDS("create") ","
      "'on':{'type':'array','description':'Fields of which no two records "
      "have the same; the key when it is not given.',"
      "'items':{'$ref':'#/components/schemas/%V.fields'}},"
      "'update':{'type':'array','description':'Fields that are set in a "
      "record that is there; all that are given when it is not.',"
      "'items':{'$ref':'#/components/schemas/%V.fields'}}",
      "'records'" },

    { "delete", DF_BULK_DELETE,
      "'ids':{'type':'array','items':{'$ref':'#/components/schemas/%V.key'}}",
      "'ids'" },

    { "delete", DF_BULK_DELETE, DF_OPENAPI_FOUND, NULL }
};

#define DF_OPENAPI_BULKS                                                      \
    (sizeof(df_openapi_bulks) / sizeof(df_openapi_bulk_t))


void
df_openapi_bulk(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_uint_t                i;
    const df_openapi_bulk_t  *bulk;

    if (df_openapi_exposes(m, DF_BULK_UPDATE)) {
        df_openapi_bulk_change(m, w);
    }

    if (df_openapi_exposes(m, DF_BULK_DELETE)) {
        df_json_put(w, "'%V.key':{", &m->name);
        df_openapi_plain(w, m->model->key->type, 0, DF_OPENAPI_BODY, 0);
        df_json_put(w, "}");
    }

    df_json_put(w, "'%V.bulk':{'description':'return: the records are "
                "answered. max_affected: with more nothing is done. atomic: "
                "if false, each record is for itself.','anyOf':[", &m->name);

    for (i = 0; i < DF_OPENAPI_BULKS; i++) {
        bulk = &df_openapi_bulks[i];

        if (!df_openapi_exposes(m, bulk->op)) {
            continue;
        }

        df_json_put(w, "{'type':'object','required':['operation'");

        if (bulk->required) {
            df_json_put(w, bulk->required);
        }

        df_json_put(w, "],'properties':{'operation':{'const':'%s'}",
                    bulk->name);

        df_json_put(w, bulk->members, &m->name, &m->name, &m->name);

        df_json_put(w, "'return':{'type':'boolean'},"
                    "'max_affected':{'type':'integer','minimum':0},"
                    "'atomic':{'type':'boolean','default':true},"
                    "'dry_run':{'type':'boolean'}},"
                    "'additionalProperties':false}");
    }

    df_json_put(w, "]}");

    df_openapi_bulk_answer(m, w);
}


/* a record that is changed says which one it is */

static void
df_openapi_bulk_change(df_openapi_model_t *m, df_writer_t *w)
{
    const df_field_t  *key;

    key = m->model->key;

    df_json_put(w, "'%V.change':{'type':'object','required':['%V'],"
                "'properties':{'%V':{", &m->name, &key->name, &key->name);

    df_openapi_plain(w, key->type, 0, DF_OPENAPI_BODY, 0);
    df_json_put(w, "}");

    df_openapi_update_members(m, w);

    df_json_put(w, "},'additionalProperties':false}");
}


/* the problem of a record, as that of a request is */

static void
df_openapi_bulk_answer(df_openapi_model_t *m, df_writer_t *w)
{
    df_json_put(w, "'%V.written':{'type':'object',"
                "'required':['operation','affected'],'properties':{"
                "'operation':{'type':'string',"
                "'enum':['create','update','upsert','delete']},"
                "'affected':{'type':'integer','minimum':0},"
                "'inserted':{'type':'integer','minimum':0,"
                "'description':'Of a create and an upsert.'},"
                "'updated':{'type':'integer','minimum':0,"
                "'description':'Of an update and an upsert.'},", &m->name);

    df_json_put(w, "'data':{'type':'array','description':"
                "'With return, in the order of the records.',"
                "'items':{'$ref':'#/components/schemas/%V'}},"
                "'results':{'type':'array','description':"
                "'Without atomic, one for each of the records.',"
                "'items':{'type':'object','required':['index','status'],"
                "'properties':{'index':{'type':'integer','minimum':0},"
                "'status':{'type':'integer'},"
                "'record':{'$ref':'#/components/schemas/%V'},"
                "'problem':{'$ref':'#/components/schemas/Problem'}},"
                "'additionalProperties':false}}},"
                "'additionalProperties':false}", &m->name, &m->name);
}
