
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The operations of a model and their paths: what each takes and answers.  An
 * operation is a row of a table, as it is one of the table of route.c.
 */


#include "http/openapi.h"


typedef struct df_openapi_operation_s  df_openapi_operation_t;

typedef void (*df_openapi_write_pt)(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);

struct df_openapi_operation_s {
    const char           *path;         /* behind the location's; {} is the
                                           key's place */
    const char           *method;
    const char           *id;           /* products_ID */
    df_operation_t        op;
    ngx_uint_t            operations;   /* bits: it is offered where one of
                                           them is */
    const char           *summary;      /* %V is the model */
    df_openapi_write_pt   parameters;
    df_openapi_write_pt   body;         /* NULL: there is none */
    df_openapi_write_pt   answers;
    const ngx_uint_t     *refusals;
};

/* parameters that are headers, shared by all */

typedef struct {
    const char   *key;
    const char   *name;
    const char   *description;
    ngx_uint_t    operations;           /* bits */
} df_openapi_header_t;


static void df_openapi_path(df_openapi_model_t *m, const char *path);
static void df_openapi_operation(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_header(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_header_t *header);

static void df_openapi_list_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_groups_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_record_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_bulk_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_body(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_bulk_body(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_list_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_groups_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_bulk_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);
static void df_openapi_record_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op);


#define DF_OPENAPI_WRITES  ((1u << DF_CREATE)|(1u << DF_UPDATE)               \
                            |(1u << DF_REPLACE))
#define DF_OPENAPI_STORED  ((1u << DF_GET)|(1u << DF_UPDATE)                  \
                            |(1u << DF_REPLACE)|(1u << DF_DELETE))

static const df_openapi_header_t  df_openapi_headers[] = {

    { "IfMatch", "If-Match",
      "Entity tags, or *: 412 when the record is another by now.",
      DF_OPENAPI_STORED },

    { "IfNoneMatch", "If-None-Match",
      "Entity tags, or *: 304 when the record is one of them.",
      1u << DF_GET },

    { "Prefer", "Prefer",
      "return=minimal leaves the record out of the answer.",
      DF_OPENAPI_WRITES }
};

#define DF_OPENAPI_HEADERS                                                    \
    (sizeof(df_openapi_headers) / sizeof(df_openapi_header_t))


static const ngx_uint_t  df_openapi_list_refusals[] = {
    400, 403, 406, 422, 500, 503, 504, 0
};

static const ngx_uint_t  df_openapi_query_refusals[] = {
    400, 403, 406, 413, 415, 422, 500, 503, 504, 0
};

static const ngx_uint_t  df_openapi_create_refusals[] = {
    400, 403, 406, 409, 413, 415, 422, 500, 503, 504, 0
};

static const ngx_uint_t  df_openapi_bulk_refusals[] = {
    400, 403, 404, 406, 409, 413, 415, 422, 500, 503, 504, 0
};

static const ngx_uint_t  df_openapi_get_refusals[] = {
    400, 403, 404, 406, 412, 500, 503, 504, 0
};

static const ngx_uint_t  df_openapi_change_refusals[] = {
    400, 403, 404, 406, 409, 412, 413, 415, 422, 500, 503, 504, 0
};

static const ngx_uint_t  df_openapi_delete_refusals[] = {
    400, 403, 404, 409, 412, 422, 500, 503, 504, 0
};


/* in the order of the document: those of one path stand together */

static const df_openapi_operation_t  df_openapi_operation_table[] = {

    { "", "get", "list", DF_LIST, 1u << DF_LIST, "Lists %V",
      df_openapi_list_parameters, NULL, df_openapi_list_answers,
      df_openapi_list_refusals },

    { "", "post", "create", DF_CREATE, 1u << DF_CREATE, "Creates one of %V",
      df_openapi_record_parameters, df_openapi_body,
      df_openapi_record_answers, df_openapi_create_refusals },

    { "/query", "post", "query", DF_LIST, 1u << DF_LIST,
      "Lists %V, asked for in a body", NULL, df_openapi_body,
      df_openapi_list_answers, df_openapi_query_refusals },

    { "/aggregate", "get", "aggregate", DF_AGGREGATE, 1u << DF_AGGREGATE,
      "Aggregates %V", df_openapi_groups_parameters, NULL,
      df_openapi_groups_answers, df_openapi_list_refusals },

    { "/aggregate", "post", "aggregates", DF_AGGREGATE, 1u << DF_AGGREGATE,
      "Aggregates %V, asked for in a body", NULL, df_openapi_body,
      df_openapi_groups_answers, df_openapi_query_refusals },

    { "/bulk", "post", "bulk", DF_BULK_CREATE, DF_BULKS,
      "Writes many of %V, or imports them", df_openapi_bulk_parameters,
      df_openapi_bulk_body, df_openapi_bulk_answers,
      df_openapi_bulk_refusals },

    { "/{}", "get", "get", DF_GET, 1u << DF_GET,
      "Gets one of %V", df_openapi_record_parameters, NULL,
      df_openapi_record_answers, df_openapi_get_refusals },

    { "/{}", "patch", "update", DF_UPDATE, 1u << DF_UPDATE,
      "Changes one of %V", df_openapi_record_parameters, df_openapi_body,
      df_openapi_record_answers, df_openapi_change_refusals },

    { "/{}", "put", "replace", DF_REPLACE, 1u << DF_REPLACE,
      "Replaces one of %V", df_openapi_record_parameters, df_openapi_body,
      df_openapi_record_answers, df_openapi_change_refusals },

    { "/{}", "delete", "delete", DF_DELETE, 1u << DF_DELETE,
      "Deletes one of %V", df_openapi_record_parameters, NULL,
      df_openapi_record_answers, df_openapi_delete_refusals }
};

#define DF_OPENAPI_OPERATIONS                                                 \
    (sizeof(df_openapi_operation_table) / sizeof(df_openapi_operation_t))


#define df_openapi_is_offered(m, op)                                          \
    df_openapi_exposes_any(m, (op)->operations)


void
df_openapi_paths(df_openapi_model_t *m)
{
    ngx_uint_t                     i;
    const char                    *path;
    df_writer_t                   *w;
    const df_openapi_operation_t  *op;

    w = &m->doc->paths;
    path = NULL;

    for (i = 0; i < DF_OPENAPI_OPERATIONS; i++) {
        op = &df_openapi_operation_table[i];

        if (!df_openapi_is_offered(m, op)) {
            continue;
        }

        if (path == NULL || ngx_strcmp(path, op->path) != 0) {

            if (path) {
                df_json_put(w, "}");
            }

            path = op->path;
            df_openapi_path(m, path);
        }

        df_openapi_operation(m, w, op);
    }

    if (path) {
        df_json_put(w, "}");
    }
}


void
df_openapi_operations(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_uint_t                     i;
    const df_openapi_operation_t  *op;

    for (i = 0; i < DF_OPENAPI_OPERATIONS; i++) {
        op = &df_openapi_operation_table[i];

        if (df_openapi_is_offered(m, op)) {
            df_json_put(w, "'%s'", op->id);
        }
    }
}


/* opens it; nginx redirects from a list without the slash of its location */

static void
df_openapi_path(df_openapi_model_t *m, const char *path)
{
    df_writer_t       *w;
    const df_field_t  *key;

    w = &m->doc->paths;

    if (path[0] == '\0' && m->slash) {
        path = "/";
    }

    if (ngx_strcmp(path, "/{}") != 0) {
        df_json_put(w, "'%V%s':{", &m->path, path);
        return;
    }

    key = m->model->key;

    df_json_put(w, "'%V/{%V}':{'parameters':[{'name':'%V','in':'path',"
                "'required':true,'schema':{", &m->path, &key->name,
                &key->name);

    df_openapi_plain(w, key->type, 0, DF_OPENAPI_QUERY, 0);

    df_json_put(w, "}}]");
}


static void
df_openapi_operation(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    ngx_str_t  summary;

    summary = df_str_printf(m->doc->pool, op->summary, &m->name);

    df_json_put(w, "'%s':{'operationId':'%V_%s','tags':['%V'],"
                "'summary':'%V','x-dataflow':{'model':'%V',"
                "'operation':'%s'}", op->method, &m->name, op->id, &m->name,
                &summary, &m->name, op->id);

    if (op->parameters) {
        df_json_put(w, "'parameters':[");
        op->parameters(m, w, op);
        df_json_put(w, "]");
    }

    if (op->body) {
        df_json_put(w, "'requestBody':{'required':true,'content':{");
        op->body(m, w, op);
        df_json_put(w, "}}");
    }

    df_json_put(w, "'responses':{");
    op->answers(m, w, op);
    df_openapi_refusals(m->doc, w, op->refusals);
    df_json_put(w, "}}");
}


/* parameters */

static void
df_openapi_list_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_openapi_parameters(m, w, op->op);

    if (m->doc->patterns) {
        df_openapi_condition_patterns(m, w, op->op);

    } else {
        df_openapi_conditions(m, w);
    }
}


static void
df_openapi_groups_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_openapi_parameters(m, w, op->op);
    df_openapi_condition_patterns(m, w, op->op);
}


static void
df_openapi_record_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    ngx_uint_t                  i;
    const df_openapi_header_t  *header;

    df_openapi_parameters(m, w, op->op);

    for (i = 0; i < DF_OPENAPI_HEADERS; i++) {
        header = &df_openapi_headers[i];

        if (header->operations & (1u << op->op)) {
            df_openapi_header(m, w, header);
        }
    }
}


static void
df_openapi_header(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_header_t *header)
{
    ngx_str_t  key;

    key.data = (u_char *) header->key;
    key.len = ngx_strlen(header->key);

    if (df_openapi_once(m->doc, "parameter", &key) == NGX_OK) {
        df_json_put(&m->doc->parameters, "'%V':{'name':'%s','in':'header',"
                    "'description':'%s','schema':{'type':'string'}}", &key,
                    header->name, header->description);
    }

    df_json_put(w, "{'$ref':'#/components/parameters/%V'}", &key);
}


static void
df_openapi_bulk_parameters(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_openapi_parameters(m, w, op->op);

    if (df_openapi_imports(m)) {
        df_openapi_import_parameters(m, w, op->op);
    }
}


/* bodies: the schema is called as the operation is */

static void
df_openapi_body(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_json_put(w, "'application/json':{'schema':"
                "{'$ref':'#/components/schemas/%V.%s'}}", &m->name, op->id);
}


static void
df_openapi_bulk_body(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_openapi_body(m, w, op);

    if (df_openapi_imports(m)) {
        df_json_put(w, "'application/x-ndjson':{'schema':{'type':'string',"
                    "'description':'A record a line.'}},"
                    "'text/csv':{'schema':{'type':'string','description':"
                    "'A line of names, and a record a line.'}}");
    }
}


/* answers */

static void
df_openapi_list_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_json_put(w, "'200':{'description':'A page.'");

    /* of a body the document alone has the next page */

    if (op->body == NULL) {
        df_json_put(w, "'headers':{'Link':{'description':"
                    "'rel=next: the next page.','schema':{'type':'string'}}}");
    }

    df_json_put(w, "'content':{'application/json':{'schema':"
                "{'$ref':'#/components/schemas/%V.list'}},"
                "'application/x-ndjson':{'schema':{'type':'string'}},"
                "'text/csv':{'schema':{'type':'string'}}}}", &m->name);
}


static void
df_openapi_groups_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_json_put(w, "'200':{'description':'A row for each group.',"
                "'headers':{'X-Dataflow-Truncated':{'description':"
                "'There are more; of CSV and NDJSON.',"
                "'schema':{'const':'true'}}},"
                "'content':{'application/json':{'schema':");

    df_json_put(w, op->body
                ? "{'anyOf':[{'$ref':'#/components/schemas/Groups'},"
                  "{'$ref':'#/components/schemas/GroupsByName'}]}"
                : "{'$ref':'#/components/schemas/Groups'}");

    df_json_put(w, "},'application/x-ndjson':{'schema':{'type':'string'}},"
                "'text/csv':{'schema':{'type':'string'}}}}");
}


static void
df_openapi_bulk_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    df_json_put(w, "'200':{'description':'What was written.','headers':{"
                "'X-Dataflow-Dry-Run':{'description':"
                "'What was done is taken back.','schema':{'const':'true'}}},"
                "'content':{'application/json':{'schema':"
                "{'$ref':'#/components/schemas/%V.written'}}}}", &m->name);
}


#define DF_OPENAPI_ETAG                                                       \
    "'ETag':{'schema':{'type':'string'}}"
#define DF_OPENAPI_LOCATION                                                   \
    "'Location':{'schema':{'type':'string','format':'uri-reference'}}"
#define DF_OPENAPI_APPLIED                                                    \
    "'Preference-Applied':{'schema':{'const':'return=minimal'}}"
#define DF_OPENAPI_DRY                                                        \
    "'X-Dataflow-Dry-Run':{'description':'What was done is taken back.',"     \
    "'schema':{'const':'true'}}"
#define DF_OPENAPI_RECORD                                                     \
    "'content':{'application/json':{'schema':"                                \
    "{'$ref':'#/components/schemas/%V'}}}}"


static void
df_openapi_record_answers(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_operation_t *op)
{
    switch (op->op) {

    case DF_CREATE:
        df_json_put(w, "'201':{'description':'It was created.','headers':{"
                    DF_OPENAPI_LOCATION "," DF_OPENAPI_ETAG ","
                    DF_OPENAPI_APPLIED "}," DF_OPENAPI_RECORD, &m->name);
        df_json_put(w, "'200':{'description':"
                    "'It would have been created: dry_run.','headers':{"
                    DF_OPENAPI_DRY "}," DF_OPENAPI_RECORD, &m->name);
        df_json_put(w, "'204':{'description':'It would have been created: "
                    "dry_run and return=minimal.','headers':{"
                    DF_OPENAPI_DRY "," DF_OPENAPI_APPLIED "}}");
        break;

    case DF_GET:
        df_json_put(w, "'200':{'description':'The record.','headers':{"
                    DF_OPENAPI_ETAG "}," DF_OPENAPI_RECORD, &m->name);
        df_json_put(w, "'304':{'description':"
                    "'The record is one of If-None-Match.','headers':{"
                    DF_OPENAPI_ETAG "}}");
        break;

    case DF_DELETE:
        df_json_put(w, "'204':{'description':'It was deleted.','headers':{"
                    DF_OPENAPI_DRY "}}");
        break;

    default:
        df_json_put(w, "'200':{'description':'The record as it is now.',"
                    "'headers':{" DF_OPENAPI_ETAG "," DF_OPENAPI_DRY "},"
                    DF_OPENAPI_RECORD, &m->name);
        df_json_put(w, "'204':{'description':'It was changed: "
                    "return=minimal.','headers':{" DF_OPENAPI_ETAG ","
                    DF_OPENAPI_APPLIED "," DF_OPENAPI_DRY "}}");
    }
}
