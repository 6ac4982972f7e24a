
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Conditions as parameters: each field with each operator it takes, and what
 * lies within fields and behind relations.
 */


#include "http/openapi.h"


static void df_openapi_condition(df_writer_t *w, const df_field_t *field,
    const df_operator_info_t *op);
static void df_openapi_condition_schema(df_writer_t *w,
    const df_operator_info_t *op);
static ngx_uint_t df_openapi_is_eq(const df_operator_info_t *op);
static void df_openapi_pattern_add(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t first, ngx_str_t *operators, df_operation_t operation);
static ngx_int_t df_openapi_pattern_operators(df_openapi_model_t *m,
    const df_field_t *field, df_operation_t operation, ngx_str_t *operators);
static void df_openapi_reaches(df_openapi_model_t *m, df_writer_t *w);


#define DF_OPENAPI_OBJECT  "'in':'query','style':'form','explode':true,"


/*
 * These are most of a document.  They stand in their operation as they are:
 * references to components would be nearly as long.
 */

void
df_openapi_conditions(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_str_t            names;
    ngx_uint_t           i, n;
    const df_field_t    *field;
    df_operator_info_t   op;

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        for (n = 0;
             !field->hidden
             && df_query_describe_operator(field, 0, n, &op) == NGX_OK;
             n++)
        {
            df_openapi_condition(w, field, &op);
        }
    }

    if (df_openapi_reached(m, DF_OPENAPI_FIELDS|DF_OPENAPI_RELATIONS, &names)
        == NGX_OK)
    {
        df_json_put(w, "{'name':'field.path'," DF_OPENAPI_OBJECT
                    "'description':'What lies within a json field, or in the "
                    "record that a relation leads to: attrs.size__gte, "
                    "customer.name',"
                    "'schema':{'type':'object','patternProperties':{");
        df_openapi_reaches(m, w);
        df_json_put(w, "},'additionalProperties':false}}");
    }
}


/* "price" is "price__eq" */

static void
df_openapi_condition(df_writer_t *w, const df_field_t *field,
    const df_operator_info_t *op)
{
    df_json_put(w, "{'name':'%V", &field->name);

    if (!df_openapi_is_eq(op)) {
        (void) df_writer_printf(w, "__%V", &op->name);
    }

    (void) df_writer_printf(w, "\",\"in\":\"query\"");

    if (op->operand == DF_OPERAND_LIST || op->operand == DF_OPERAND_TWO
        || op->operand == DF_OPERAND_ELEMENTS)
    {
        df_json_put(w, "'explode':false");
    }

    df_json_put(w, "'schema':{");
    df_openapi_condition_schema(w, op);
    df_json_put(w, "}}");
}


static ngx_uint_t
df_openapi_is_eq(const df_operator_info_t *op)
{
    return op->name.len == 2 && ngx_memcmp(op->name.data, "eq", 2) == 0;
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
 * The same as patterns of names, one for all fields that take the same
 * operators, which is a hundredth of it: for operations of which the
 * conditions are not what they are for.  The parameter's own name, which no
 * field can have, is not sent: its members are.
 */

void
df_openapi_condition_patterns(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t operation)
{
    ngx_uint_t         i;
    ngx_str_t         *operators;
    const df_field_t  *field;

    operators = ngx_pcalloc(m->doc->pool,
                            m->model->fields.nelts * sizeof(ngx_str_t));
    if (operators == NULL) {
        w->failed = 1;
        return;
    }

    df_json_put(w, "{'name':'field.path'," DF_OPENAPI_OBJECT "'description':"
                "'The conditions of a list: price__gte, attrs.size, "
                "customer.name','schema':{'type':'object',"
                "'patternProperties':{");

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (!field->hidden
            && df_openapi_pattern_operators(m, field, operation, &operators[i])
               != NGX_OK)
        {
            w->failed = 1;
            return;
        }
    }

    for (i = 0; i < m->model->fields.nelts; i++) {
        if (operators[i].len) {
            df_openapi_pattern_add(m, w, i, operators, operation);
        }
    }

    df_openapi_reaches(m, w);

    df_json_put(w, "},'additionalProperties':false}}");
}


/* of the field and those behind it that have the same operators, which are
   done with then */

static void
df_openapi_pattern_add(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t first, ngx_str_t *operators, df_operation_t operation)
{
    ngx_str_t   same;
    ngx_uint_t  i;

    same = operators[first];

    df_json_put(w, "'^(");

    for (i = first; i < m->model->fields.nelts; i++) {

        if (operators[i].len != same.len
            || ngx_memcmp(operators[i].data, same.data, same.len) != 0)
        {
            continue;
        }

        (void) df_writer_printf(w, "%s%V", i == first ? "" : "|",
                                &df_schema_field_at(m->model, i)->name);
        operators[i].len = 0;
    }

    (void) df_writer_printf(w, ")%V$\":{\"type\":\"string\"}", &same);
}


/* (__(ne|gt))?, or without ? where the name alone is another parameter */

static ngx_int_t
df_openapi_pattern_operators(df_openapi_model_t *m, const df_field_t *field,
    df_operation_t operation, ngx_str_t *operators)
{
    ngx_uint_t           n, first;
    df_writer_t          w;
    df_operator_info_t   op;

    if (df_writer_init(&w, m->doc->pool, 256) != NGX_OK) {
        return NGX_ERROR;
    }

    first = 1;

    for (n = 0; df_query_describe_operator(field, 0, n, &op) == NGX_OK; n++) {
        if (!df_openapi_is_eq(&op)) {
            (void) df_writer_printf(&w, "%s%V", first ? "(__(" : "|",
                                    &op.name);
            first = 0;
        }
    }

    (void) df_writer_printf(&w, "%s",
                            df_openapi_is_parameter(operation, &field->name)
                            ? "))" : "))?");

    return df_writer_text(&w, operators);
}


/* members of patternProperties */

static void
df_openapi_reaches(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_str_t  names;

    if (df_openapi_reached(m, DF_OPENAPI_FIELDS|DF_OPENAPI_RELATIONS, &names)
        == NGX_OK)
    {
        df_json_put(w, "'^(%V)[.]':{'type':'string'}", &names);
    }
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
        if ((what & DF_OPENAPI_RELATIONS)
            && df_query_relation_offered(&relation[i]))
        {
            (void) df_writer_printf(&w, "%V|", &relation[i].name);
        }
    }

    reverse = m->model->reverses.elts;

    for (i = 0; i < m->model->reverses.nelts; i++) {
        if ((what & DF_OPENAPI_REVERSES)
            && df_query_reverse_offered(&reverse[i]))
        {
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


ngx_uint_t
df_openapi_relates(const df_model_t *model)
{
    ngx_uint_t            i;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    relation = model->relations.elts;

    for (i = 0; i < model->relations.nelts; i++) {
        if (df_query_relation_offered(&relation[i])) {
            return 1;
        }
    }

    reverse = model->reverses.elts;

    for (i = 0; i < model->reverses.nelts; i++) {
        if (df_query_reverse_offered(&reverse[i])) {
            return 1;
        }
    }

    return 0;
}
