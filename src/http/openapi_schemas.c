
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The schemas of a model: its record as it is answered, the bodies that write
 * it, filters, and what a list answers.
 */


#include "http/openapi.h"


/* what a body is for */

typedef struct {
    const char      *name;          /* products.NAME */
    df_operation_t   op;
    ngx_uint_t       operations;    /* bits: those that have use for it */
    const char      *description;
} df_openapi_body_t;


static void df_openapi_schema_record(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_schema_included(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_schema_other(df_openapi_model_t *m, df_writer_t *w,
    const df_model_t *model);
static void df_openapi_schema_field(df_writer_t *w, const df_field_t *field,
    ngx_uint_t record);
static void df_openapi_schema_body(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_body_t *body);
static void df_openapi_schema_members(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op);
static ngx_uint_t df_openapi_schema_takes(const df_field_t *field,
    df_operation_t op);
static void df_openapi_schema_member(df_openapi_model_t *m, df_writer_t *w,
    const df_field_t *field, df_operation_t op);
static void df_openapi_schema_update(df_openapi_model_t *m,
    const df_field_t *field, const ngx_str_t *key);
static void df_openapi_schema_example(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_body_t *body);
static ngx_uint_t df_openapi_schema_shows(const df_field_t *field,
    df_operation_t op);
static void df_openapi_schema_names(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_schema_include(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_schema_sort(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_schema_filter(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_schema_operators(df_openapi_model_t *m,
    const df_field_t *field, const ngx_str_t *key);
static void df_openapi_schema_operand(df_writer_t *w,
    const df_operator_info_t *op);
static void df_openapi_schema_list(df_openapi_model_t *m, df_writer_t *w);


static const df_openapi_body_t  df_openapi_bodies[] = {
    { "create", DF_CREATE,
      1u << DF_CREATE | 1u << DF_BULK_CREATE | 1u << DF_BULK_UPSERT,
      "What a record is created with." },

    { "update", DF_UPDATE,
      1u << DF_UPDATE | 1u << DF_BULK_UPDATE,
      "Values that change, or operators on what is stored." },

    { "replace", DF_REPLACE,
      1u << DF_REPLACE,
      "A record as a whole. What can not be set must be what is stored." }
};

#define DF_OPENAPI_BODIES                                                     \
    (sizeof(df_openapi_bodies) / sizeof(df_openapi_body_t))

/* the record as it is answered, as a body that has an example */

static const df_openapi_body_t  df_openapi_record = { NULL, DF_GET, 0, NULL };

#define DF_OPENAPI_FILTERED                                                   \
    (1u << DF_LIST | 1u << DF_AGGREGATE | 1u << DF_BULK_UPDATE                \
     | 1u << DF_BULK_DELETE)


void
df_openapi_schemas(df_openapi_model_t *m)
{
    ngx_uint_t    i;
    df_writer_t  *w;

    w = &m->doc->schemas;

    df_openapi_schema_record(m, w);
    df_openapi_schema_names(m, w);

    if (df_openapi_exposes(m, DF_LIST) || df_openapi_exposes(m, DF_GET)) {
        df_openapi_schema_include(m, w);
    }

    for (i = 0; i < DF_OPENAPI_BODIES; i++) {
        if (df_openapi_exposes_any(m, df_openapi_bodies[i].operations)) {
            df_openapi_schema_body(m, w, &df_openapi_bodies[i]);
        }
    }

    if (df_openapi_exposes_any(m, DF_OPENAPI_FILTERED)) {
        df_openapi_schema_filter(m, w);
    }

    if (df_openapi_exposes(m, DF_LIST)) {
        df_openapi_schema_sort(m, w);
        df_openapi_schema_list(m, w);
    }

    if (df_openapi_exposes(m, DF_AGGREGATE)) {
        df_openapi_groups(m, w);
    }

    if (df_openapi_exposes_any(m, DF_BULKS)) {
        df_openapi_bulk(m, w);
    }
}


/* none of its members is required: "fields" leaves out what is not wanted */

static void
df_openapi_schema_record(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_uint_t         i;
    const df_field_t  *field;

    df_json_put(w, "'%V':{'type':'object'", &m->name);

    if (m->model->description.len) {
        df_json_put(w, "'description':'%V'", &m->model->description);
    }

    df_json_put(w, "'properties':{");

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (!field->hidden) {
            df_json_put(w, "'%V':{", &field->name);
            df_openapi_value(w, field, DF_OPENAPI_ANSWER, !field->not_null);
            df_openapi_schema_field(w, field, 1);
            df_json_put(w, "}");
        }
    }

    df_openapi_schema_included(m, w);

    df_json_put(w, "}");
    df_openapi_schema_example(m, w, &df_openapi_record);
    df_json_put(w, "'x-dataflow':{'model':'%V'}}", &m->name);
}


/* records within it, which are there when they are asked for */

static void
df_openapi_schema_included(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_uint_t            i;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    if (!df_openapi_exposes(m, DF_LIST) && !df_openapi_exposes(m, DF_GET)) {
        return;
    }

    relation = m->model->relations.elts;

    for (i = 0; i < m->model->relations.nelts; i++) {
        if (!df_query_relation_offered(&relation[i])) {
            continue;
        }

        df_json_put(w, "'%V':{'anyOf':[", &relation[i].name);
        df_openapi_schema_other(m, w, relation[i].target);
        df_json_put(w, "{'type':'null'}]}");
    }

    reverse = m->model->reverses.elts;

    for (i = 0; i < m->model->reverses.nelts; i++) {
        if (!df_query_reverse_offered(&reverse[i])) {
            continue;
        }

        df_json_put(w, "'%V':{'type':'array','items':", &reverse[i].name);
        df_openapi_schema_other(m, w, reverse[i].model);
        df_json_put(w, "},'%V_truncated':{'const':true,'description':"
                    "'There are more.'}", &reverse[i].name);
    }
}


/* a model of another server has no schema here */

static void
df_openapi_schema_other(df_openapi_model_t *m, df_writer_t *w,
    const df_model_t *model)
{
    ngx_str_t  name;

    if (df_openapi_has(m->doc, model)) {
        name = df_openapi_name(m->doc, model);
        df_json_put(w, "{'$ref':'#/components/schemas/%V'}", &name);

    } else {
        df_json_put(w, "{'type':'object'}");
    }
}


/* what is said of a field besides its values */

static void
df_openapi_schema_field(df_writer_t *w, const df_field_t *field,
    ngx_uint_t record)
{
    ngx_str_t  type;

    if (field->description.len) {
        df_json_put(w, "'description':'%V'", &field->description);
    }

    if (field->readonly || field->generated) {
        df_json_put(w, "'readOnly':true");

    } else if (field->hidden) {
        df_json_put(w, "'writeOnly':true");
    }

    /* of other fields the record tells it */

    if (record || field->hidden) {
        type = df_openapi_type_name(w->pool, field);
        df_json_put(w, "'x-dataflow-type':'%V'", &type);
    }
}


static void
df_openapi_schema_body(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_body_t *body)
{
    ngx_uint_t         i;
    const df_field_t  *field;

    df_json_put(w, "'%V.%s':{'type':'object','description':'%s'", &m->name,
                body->name, body->description);

    df_json_put(w, "'properties':{");
    df_openapi_schema_members(m, w, body->op);
    df_json_put(w, "},'additionalProperties':false");

    if (body->op != DF_UPDATE) {
        df_json_put(w, "'required':[");

        for (i = 0; i < m->model->fields.nelts; i++) {
            field = df_schema_field_at(m->model, i);

            if (field->required && (!field->key || body->op == DF_CREATE)) {
                df_json_put(w, "'%V'", &field->name);
            }
        }

        df_json_put(w, "]");
    }

    df_openapi_schema_example(m, w, body);

    df_json_put(w, "}");
}


void
df_openapi_update_members(df_openapi_model_t *m, df_writer_t *w)
{
    df_openapi_schema_members(m, w, DF_UPDATE);
}


static void
df_openapi_schema_members(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op)
{
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (df_openapi_schema_takes(field, op)) {
            df_openapi_schema_member(m, w, field, op);
        }
    }
}


/* a replacement may hold what a GET has answered */

static ngx_uint_t
df_openapi_schema_takes(const df_field_t *field, df_operation_t op)
{
    ngx_uint_t  fixed;

    fixed = (field->generated || field->readonly
             || (field->key && op != DF_CREATE));

    return !fixed || (op == DF_REPLACE && !field->hidden);
}


static void
df_openapi_schema_member(df_openapi_model_t *m, df_writer_t *w,
    const df_field_t *field, df_operation_t op)
{
    ngx_str_t  key;

    df_json_put(w, "'%V':{", &field->name);

    if (op != DF_UPDATE) {
        df_openapi_value(w, field, DF_OPENAPI_BODY, !field->not_null);

        /* no path can end in these */

        if (field->key && (field->type->flags & DF_TYPE_TEXT)) {
            df_json_put(w, "'not':{'enum':['','.','..']}");
        }

        df_openapi_default(w, field);
        df_openapi_schema_field(w, field, 0);
        df_json_put(w, "}");
        return;
    }

    key = df_openapi_type_key(m->doc->pool, field);

    if (df_openapi_once(m->doc, "update", &key) == NGX_OK) {
        df_openapi_schema_update(m, field, &key);
    }

    df_json_put(w, "'anyOf':[{");
    df_openapi_value(w, field, DF_OPENAPI_BODY, !field->not_null);

    /* of a json field's objects, those with a $ are operators */

    if (field->type->kind == DF_JSON && !field->array) {
        df_json_put(w, "'propertyNames':{'not':{'pattern':'^[$]'}}");
    }

    df_json_put(w, "},{'$ref':'#/components/schemas/Update.%V'}]}", &key);
}


/* operators of a type are one schema, which all models share; it is written
   behind what is being written */

static void
df_openapi_schema_update(df_openapi_model_t *m, const df_field_t *field,
    const ngx_str_t *key)
{
    ngx_uint_t           n;
    df_writer_t         *w;
    df_operator_info_t   op;

    w = &m->doc->shared;

    df_json_put(w, "'Update.%V':{'type':'object','minProperties':1,"
                "'maxProperties':1,'additionalProperties':false,"
                "'properties':{", key);

    for (n = 0; df_query_describe_update(field, n, &op) == NGX_OK; n++) {

        if (op.operand == DF_OPERAND_FLAG) {
            df_json_put(w, "'%V':{'const':true}", &op.name);

        } else if (op.type == NULL) {
            df_json_put(w, "'%V':{'type':'object'}", &op.name);

        } else {
            df_json_put(w, "'%V':{", &op.name);
            df_openapi_plain(w, op.type, 0, DF_OPENAPI_BODY, op.null);
            df_json_put(w, "}");
        }
    }

    df_json_put(w, "}}");
}


/*
 * A body of each field for which there is an example; without one for a field
 * that is required there is none at all.  An update changes a little.
 */

static void
df_openapi_schema_example(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_body_t *body)
{
    ngx_str_t          value, text;
    ngx_uint_t         i, n;
    df_writer_t        example;
    const df_field_t  *field;

    if (df_writer_init(&example, m->doc->pool, 512) != NGX_OK) {
        w->failed = 1;
        return;
    }

    n = 0;
    df_json_put(&example, "{");

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (!df_openapi_schema_shows(field, body->op)) {
            continue;
        }

        if (df_openapi_example(m->doc->pool, field, &value) == NGX_OK) {
            df_json_put(&example, "'%V':%J", &field->name, &value);

            if (++n == 2 && body->op == DF_UPDATE) {
                break;
            }

        } else if (field->required && body->op != DF_UPDATE) {
            return;
        }
    }

    df_json_put(&example, "}");

    if (df_writer_text(&example, &text) != NGX_OK) {
        w->failed = 1;
        return;
    }

    df_json_put(w, "'examples':[%J]", &text);
}


/* what cannot be set is in the example of a record only */

static ngx_uint_t
df_openapi_schema_shows(const df_field_t *field, df_operation_t op)
{
    if (op == DF_GET) {
        return !field->hidden;
    }

    return df_openapi_schema_takes(field, op)
           && !field->generated && !field->readonly
           && (!field->key || op == DF_CREATE);
}


static void
df_openapi_schema_names(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_uint_t         i;
    const df_field_t  *field;

    df_json_put(w, "'%V.fields':{'type':'string','enum':[", &m->name);

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (!field->hidden) {
            df_json_put(w, "'%V'", &field->name);
        }
    }

    df_json_put(w, "]}");
}


/* relations in both directions, and those behind them */

static void
df_openapi_schema_include(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_str_t             names;
    ngx_uint_t            i;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    if (df_openapi_reached(m, DF_OPENAPI_RELATIONS|DF_OPENAPI_REVERSES,
                           &names)
        != NGX_OK)
    {
        return;
    }

    relation = m->model->relations.elts;
    reverse = m->model->reverses.elts;

    df_json_put(w, "'%V.include':{'anyOf':[{'type':'string','enum':[",
                &m->name);

    for (i = 0; i < m->model->relations.nelts; i++) {
        if (df_query_relation_offered(&relation[i])) {
            df_json_put(w, "'%V'", &relation[i].name);
        }
    }

    for (i = 0; i < m->model->reverses.nelts; i++) {
        if (df_query_reverse_offered(&reverse[i])) {
            df_json_put(w, "'%V'", &reverse[i].name);
        }
    }

    df_json_put(w, "]},{'type':'string',"
                "'pattern':'^(%V)([.][a-z0-9_]+)" "{1,2}$'}]}", &names);
}


/* the words that a client would offer, and those with a place for nulls */

static void
df_openapi_schema_sort(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_str_t          names;
    ngx_uint_t         i;
    df_writer_t        list;
    const df_field_t  *field;

    if (df_writer_init(&list, m->doc->pool, 256) != NGX_OK) {
        w->failed = 1;
        return;
    }

    df_json_put(w, "'%V.sort':{'anyOf':[{'type':'string','enum':[", &m->name);

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (!field->hidden && !field->array
            && (field->type->flags & DF_TYPE_ORDERED))
        {
            df_json_put(w, "'%V','-%V'", &field->name, &field->name);
            (void) df_writer_printf(&list, "%s%V",
                                    df_writer_length(&list) ? "|" : "",
                                    &field->name);
        }
    }

    if (df_writer_text(&list, &names) != NGX_OK) {
        w->failed = 1;
        return;
    }

    df_json_put(w, "]},{'type':'string',"
                "'pattern':'^-?(%V):nulls(first|last)$'}", &names);

    if (df_openapi_reached(m, DF_OPENAPI_RELATIONS, &names) == NGX_OK) {
        df_json_put(w, "{'type':'string','pattern':"
                    "'^-?(%V)[.][a-z0-9_.]+(:nulls(first|last))?$'}", &names);
    }

    df_json_put(w, "]}");
}


static void
df_openapi_schema_filter(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_str_t          key, names;
    ngx_uint_t         i;
    const df_field_t  *field;

    df_json_put(w, "'%V.filter':{'type':'object','description':"
                "'All of it must hold.','properties':{"
                "'$and':{'type':'array',"
                "'items':{'$ref':'#/components/schemas/%V.filter'}},"
                "'$or':{'type':'array',"
                "'items':{'$ref':'#/components/schemas/%V.filter'}},"
                "'$not':{'$ref':'#/components/schemas/%V.filter'}",
                &m->name, &m->name, &m->name, &m->name);

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (field->hidden) {
            continue;
        }

        key = df_openapi_type_key(m->doc->pool, field);

        if (df_openapi_once(m->doc, "filter", &key) == NGX_OK) {
            df_openapi_schema_operators(m, field, &key);
        }

        df_json_put(w, "'%V':{'$ref':'#/components/schemas/Filter.%V'}",
                    &field->name, &key);
    }

    df_json_put(w, "}");

    if (df_openapi_reached(m, DF_OPENAPI_FIELDS|DF_OPENAPI_RELATIONS,
                           &names)
        == NGX_OK)
    {
        df_json_put(w, "'patternProperties':{'^(%V)[.]':{}}", &names);
    }

    df_json_put(w, "'additionalProperties':false}");
}


/* the value that a field must be, or operators, all of which must hold */

static void
df_openapi_schema_operators(df_openapi_model_t *m, const df_field_t *field,
    const ngx_str_t *key)
{
    ngx_uint_t           n;
    df_writer_t         *w, *types;
    df_operator_info_t   op;

    w = &m->doc->shared;
    types = &m->doc->types;

    df_json_put(w, "'Filter.%V':{'anyOf':[{", key);
    df_openapi_plain(w, field->type, field->array, DF_OPENAPI_BODY, 1);

    if (field->type->kind == DF_JSON && !field->array) {
        df_json_put(w, "'propertyNames':{'not':{'pattern':'^[$]'}}");
    }

    df_json_put(w, "},{'type':'object','minProperties':1,"
                "'additionalProperties':false,'properties':{");

    df_json_put(types, "'%V%s':{'operators':[", &field->type->name,
                field->array ? "[]" : "");

    for (n = 0; df_query_describe_operator(field, 0, n, &op) == NGX_OK; n++) {
        df_json_put(w, "'$%V':{", &op.name);
        df_openapi_schema_operand(w, &op);
        df_json_put(w, "}");

        df_json_put(types, "'%V'", &op.name);
    }

    df_json_put(w, "}}]}");
    df_json_put(types, "],'updates':[");

    for (n = 0; df_query_describe_update(field, n, &op) == NGX_OK; n++) {
        df_json_put(types, "'%V'", &op.name);
    }

    df_json_put(types, "]}");
}


static void
df_openapi_schema_operand(df_writer_t *w, const df_operator_info_t *op)
{
    ngx_uint_t  list;

    if (op->operand == DF_OPERAND_FLAG) {
        df_json_put(w, "'type':'boolean'");
        return;
    }

    list = (op->operand == DF_OPERAND_TWO || op->operand == DF_OPERAND_LIST
            || op->operand == DF_OPERAND_ELEMENTS);

    if (list) {
        df_json_put(w, "'type':'array'");

        if (op->operand == DF_OPERAND_TWO) {
            df_json_put(w, "'minItems':2,'maxItems':2");
        }

        df_json_put(w, "'items':{");
    }

    df_openapi_plain(w, op->type, op->array, DF_OPENAPI_BODY, op->null);

    if (list) {
        df_json_put(w, "}");
    }
}


static void
df_openapi_schema_list(df_openapi_model_t *m, df_writer_t *w)
{
    df_json_put(w, "'%V.list':{'type':'object','required':['data','next'],"
                "'properties':{'data':{'type':'array','items':"
                "{'$ref':'#/components/schemas/%V'}},"
                "'next':{'type':['string','null'],'description':"
                "'The cursor of the next page.'},"
                "'count':{'type':'integer','minimum':0}},"
                "'additionalProperties':false}", &m->name, &m->name);

    df_json_put(w, "'%V.query':{'type':'object','description':"
                "'A list, its parameters as members.','properties':{",
                &m->name);

    df_openapi_members(m, w, DF_LIST);

    df_json_put(w, "},'additionalProperties':false}");
}
