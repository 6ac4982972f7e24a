
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * value: literals of queries and of bodies to PostgreSQL's parameters.  What
 * is right for a type is its parser's; here are null, the kinds of JSON, and
 * arrays.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


static ngx_int_t df_schema_node_parse(const df_field_t *field,
    ngx_pool_t *pool, const cJSON *node, ngx_uint_t constrain,
    df_value_t *value, df_value_error_t *error);
static ngx_uint_t df_schema_node_fits(const df_type_t *type,
    df_json_kind_t kind);
static ngx_int_t df_schema_array_parse(const df_field_t *field,
    ngx_pool_t *pool, const cJSON *node, ngx_uint_t constrain,
    df_value_t *value, df_value_error_t *error);
static ngx_int_t df_schema_array_add(df_writer_t *w, const df_value_t *value);
static size_t df_schema_array_length(const df_value_t *value);
static u_char *df_schema_array_print(u_char *dst, const df_value_t *value);


ngx_int_t
df_schema_parse_text(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, ngx_uint_t element, df_value_t *value,
    df_value_error_t *error)
{
    cJSON            *node;
    df_json_error_t   reason;

    ngx_memzero(value, sizeof(df_value_t));

    if (element || !field->array) {
        return field->type->parse(field, pool, literal, value, error);
    }

    node = df_json_parse(pool, literal, &reason);

    /* without a node the array's own refusal says what an array is */

    return df_schema_array_parse(field, pool, node, 0, value, error);
}


ngx_int_t
df_schema_parse_json(const df_field_t *field, ngx_pool_t *pool,
    const cJSON *node, ngx_uint_t element, ngx_uint_t constrain,
    df_value_t *value, df_value_error_t *error)
{
    static const ngx_str_t  required = ngx_string("a value other than null");

    ngx_memzero(value, sizeof(df_value_t));

    if (df_json_kind(node) == DF_JSON_NULL) {

        if (constrain && field->not_null && !element) {
            return df_schema_refuse(error, "null", &required);
        }

        value->null = 1;
        return NGX_OK;
    }

    if (field->array && !element) {
        return df_schema_array_parse(field, pool, node, constrain, value,
                                     error);
    }

    return df_schema_node_parse(field, pool, node, constrain, value, error);
}


/* a scalar, or an element of an array */

static ngx_int_t
df_schema_node_parse(const df_field_t *field, ngx_pool_t *pool,
    const cJSON *node, ngx_uint_t constrain, df_value_t *value,
    df_value_error_t *error)
{
    ngx_int_t         rc;
    ngx_str_t         text;
    df_json_kind_t    kind;
    const df_type_t  *type;

    type = field->type;
    kind = df_json_kind(node);

    if (type->kind == DF_JSON) {
        return df_schema_jsonb_print(pool, node, value, error);
    }

    if (!df_schema_node_fits(type, kind)) {
        return df_schema_refuse(error, "type", &type->expected);
    }

    if (kind == DF_JSON_STRING && df_json_has_nul(node)) {
        return df_schema_refuse(error, "nul", &df_schema_no_nul);
    }

    text = df_json_text(node);

    rc = type->parse(field, pool, &text, value, error);

    if (rc != NGX_OK || !constrain) {
        return rc;
    }

    return df_schema_constrain(field, pool, value, error);
}


static ngx_uint_t
df_schema_node_fits(const df_type_t *type, df_json_kind_t kind)
{
    switch (kind) {

    case DF_JSON_STRING:
        return (type->flags & (DF_TYPE_QUOTED|DF_TYPE_NUMBER)) != 0;

    case DF_JSON_NUMBER:
        return (type->flags & DF_TYPE_NUMBER) != 0;

    case DF_JSON_TRUE:
    case DF_JSON_FALSE:
        return type->kind == DF_BOOLEAN;

    default:
        return 0;
    }
}


/* One dimension: no type but json takes an array as an element.  node: NULL
   when the literal was not even JSON. */

static ngx_int_t
df_schema_array_parse(const df_field_t *field, ngx_pool_t *pool,
    const cJSON *node, ngx_uint_t constrain, df_value_t *value,
    df_value_error_t *error)
{
    ngx_int_t     rc;
    df_value_t    element;
    df_writer_t   w;
    const cJSON  *child;

    if (node == NULL || df_json_kind(node) != DF_JSON_ARRAY) {
        (void) df_schema_refuse(error, "type", &field->type->expected);
        goto refused;
    }

    if (df_writer_init(&w, pool, 256) != NGX_OK
        || df_writer_add(&w, "{", 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (child = node->child; child; child = child->next) {

        rc = df_schema_parse_json(field, pool, child, 1, constrain, &element,
                                  error);
        if (rc == NGX_DECLINED) {
            goto refused;
        }

        if (rc != NGX_OK
            || df_schema_array_add(&w, &element) != NGX_OK
            || (child->next && df_writer_add(&w, ",", 1) != NGX_OK))
        {
            return NGX_ERROR;
        }
    }

    if (df_writer_add(&w, "}", 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_writer_text(&w, &value->text);

refused:

    error->expected = df_str_printf(pool, "an array with each element %V",
                                    &error->expected);
    return NGX_DECLINED;
}


/* in one piece of the right size: a bulk has long ones */

ngx_int_t
df_schema_array(ngx_pool_t *pool, const df_value_t *elements, ngx_uint_t n,
    df_value_t *value)
{
    size_t       size;
    ngx_uint_t   i;
    df_writer_t  w;

    ngx_memzero(value, sizeof(df_value_t));

    size = sizeof("{}");

    for (i = 0; i < n; i++) {
        size += 1 + df_schema_array_length(&elements[i]);
    }

    if (df_writer_init(&w, pool, size) != NGX_OK) {
        return NGX_ERROR;
    }

    *w.pos++ = '{';

    for (i = 0; i < n; i++) {

        if (i) {
            *w.pos++ = ',';
        }

        w.pos = df_schema_array_print(w.pos, &elements[i]);
    }

    *w.pos++ = '}';

    return df_writer_text(&w, &value->text);
}


static ngx_int_t
df_schema_array_add(df_writer_t *w, const df_value_t *value)
{
    if (df_writer_reserve(w, df_schema_array_length(value)) != NGX_OK) {
        return NGX_ERROR;
    }

    w->pos = df_schema_array_print(w->pos, value);

    return NGX_OK;
}


static size_t
df_schema_array_length(const df_value_t *value)
{
    size_t   len;
    u_char  *p, *last;

    if (value->null) {
        return sizeof("NULL") - 1;
    }

    len = value->text.len + 2;
    last = value->text.data + value->text.len;

    for (p = value->text.data; p < last; p++) {
        len += (*p == '"' || *p == '\\');
    }

    return len;
}


/* every element is quoted: an unquoted NULL is a null, and blanks and braces
   mean nothing inside quotes */

static u_char *
df_schema_array_print(u_char *dst, const df_value_t *value)
{
    u_char  *p, *last;

    if (value->null) {
        return ngx_cpymem(dst, "NULL", sizeof("NULL") - 1);
    }

    *dst++ = '"';

    last = value->text.data + value->text.len;

    for (p = value->text.data; p < last; p++) {

        if (*p == '"' || *p == '\\') {
            *dst++ = '\\';
        }

        *dst++ = *p;
    }

    *dst++ = '"';

    return dst;
}
