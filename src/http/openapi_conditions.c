
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Conditions as parameters: each field with each operator it takes, and what
 * lies within fields and behind relations.
 */


#include "http/openapi.h"


static void df_openapi_condition(df_openapi_model_t *m, df_writer_t *w,
    const df_field_t *field, const df_operator_info_t *op,
    df_operation_t operation);
static void df_openapi_condition_add(df_openapi_model_t *m,
    const ngx_str_t *name, const ngx_str_t *key, const df_operator_info_t *op);
static void df_openapi_condition_schema(df_writer_t *w,
    const df_operator_info_t *op);
static void df_openapi_reaches(df_openapi_model_t *m, df_writer_t *w);


void
df_openapi_conditions(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t operation)
{
    ngx_uint_t           i, n;
    const df_field_t    *field;
    df_operator_info_t   op;

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (field->hidden) {
            continue;
        }

        for (n = 0;
             df_query_describe_operator(field, 0, n, &op) == NGX_OK;
             n++)
        {
            df_openapi_condition(m, w, field, &op, operation);
        }
    }

    df_openapi_reaches(m, w);
}


/* "price" is "price__eq"; equal conditions of several models are one */

static void
df_openapi_condition(df_openapi_model_t *m, df_writer_t *w,
    const df_field_t *field, const df_operator_info_t *op,
    df_operation_t operation)
{
    ngx_str_t    name, key, type;
    ngx_pool_t  *pool;

    pool = m->doc->pool;

    if (op->name.len == 2 && ngx_memcmp(op->name.data, "eq", 2) == 0) {
        name = field->name;

        /* a field that is called as a parameter of the operation is */

        if (df_openapi_is_parameter(operation, &name)) {
            return;
        }

    } else {
        name = df_str_printf(pool, "%V__%V", &field->name, &op->name);
    }

    type = df_openapi_type_key(pool, field);
    key = df_str_printf(pool, "%V.%V", &name, &type);

    if (df_openapi_once(m->doc, "parameter", &key) == NGX_OK) {
        df_openapi_condition_add(m, &name, &key, op);
    }

    df_json_put(w, "{'$ref':'#/components/parameters/%V'}", &key);
}


static void
df_openapi_condition_add(df_openapi_model_t *m, const ngx_str_t *name,
    const ngx_str_t *key, const df_operator_info_t *op)
{
    df_writer_t  *w;

    w = &m->doc->parameters;

    df_json_put(w, "'%V':{'name':'%V','in':'query'", key, name);

    if (op->operand == DF_OPERAND_LIST || op->operand == DF_OPERAND_TWO
        || op->operand == DF_OPERAND_ELEMENTS)
    {
        df_json_put(w, "'explode':false");
    }

    df_json_put(w, "'schema':{");
    df_openapi_condition_schema(w, op);
    df_json_put(w, "}}");
}


static void
df_openapi_condition_schema(df_writer_t *w, const df_operator_info_t *op)
{
    const char  *open;

    if (op->array) {
        df_json_put(w, "'type':'string',"
                    "'contentMediaType':'application/json',"
                    "'contentSchema':{");
        df_openapi_plain(w, op->type, 1, DF_OPENAPI_BODY, 0);
        df_json_put(w, "}");
        return;
    }

    switch (op->operand) {

    case DF_OPERAND_TWO:
        open = "'type':'array','minItems':2,'maxItems':2,'items':{";
        break;

    case DF_OPERAND_LIST:
    case DF_OPERAND_ELEMENTS:
        open = "'type':'array','items':{";
        break;

    default:
        open = NULL;
    }

    if (open) {
        df_json_put(w, open);
    }

    if (op->type->kind == DF_JSON) {
        df_json_put(w, "'type':'string',"
                    "'contentMediaType':'application/json'");

    } else {
        df_openapi_plain(w, op->type, 0, DF_OPENAPI_QUERY, 0);
    }

    if (open) {
        df_json_put(w, "}");
    }
}


/*
 * What is within json fields and in records that relations lead to has no list
 * of names.  The parameter's own, which no field can have, is not sent: its
 * members are.
 */

static void
df_openapi_reaches(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_str_t     names, key;
    df_writer_t  *p;

    if (df_openapi_reached(m, DF_OPENAPI_FIELDS|DF_OPENAPI_RELATIONS,
                           &names)
        != NGX_OK)
    {
        return;
    }

    p = &m->doc->parameters;
    key = df_str_printf(m->doc->pool, "%V.paths", &m->name);

    if (df_openapi_once(m->doc, "parameter", &key) == NGX_OK) {
        df_json_put(p, "'%V':{'name':'field.path','in':'query',"
                    "'style':'form','explode':true,'description':"
                    "'What lies within a json field, or in the record that a "
                    "relation leads to: attrs.size__gte, customer.name',"
                    "'schema':{'type':'object','patternProperties':"
                    "{'^(%V)[.]':{'type':'string'}},"
                    "'additionalProperties':false}}", &key, &names);
    }

    df_json_put(w, "{'$ref':'#/components/parameters/%V'}", &key);
}


ngx_int_t
df_openapi_reached(df_openapi_model_t *m, ngx_uint_t what, ngx_str_t *names)
{
    ngx_uint_t            i;
    df_writer_t           w;
    const df_field_t     *field;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    if (df_writer_init(&w, m->doc->pool, 128) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if ((what & DF_OPENAPI_FIELDS) && field->type->kind == DF_JSON
            && !field->array && !field->hidden)
        {
            (void) df_writer_printf(&w, "%V|", &field->name);
        }
    }

    relation = m->model->relations.elts;

    for (i = 0; i < m->model->relations.nelts; i++) {
        if (what & DF_OPENAPI_RELATIONS) {
            (void) df_writer_printf(&w, "%V|", &relation[i].name);
        }
    }

    reverse = m->model->reverses.elts;

    for (i = 0; i < m->model->reverses.nelts; i++) {
        if (what & DF_OPENAPI_REVERSES) {
            (void) df_writer_printf(&w, "%V|", &reverse[i].name);
        }
    }

    if (df_writer_text(&w, names) != NGX_OK) {
        return NGX_ERROR;
    }

    if (names->len == 0) {
        return NGX_DECLINED;
    }

    names->len--;

    return NGX_OK;
}
