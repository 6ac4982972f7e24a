
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Examples of values.  What is likely is tried until the field's own options
 * find nothing wrong with it.
 */


#include "http/openapi.h"


#define DF_OPENAPI_EXAMPLES  3


static ngx_int_t df_openapi_example_scalar(ngx_pool_t *pool,
    const df_field_t *field, ngx_str_t *json);
static ngx_int_t df_openapi_example_try(ngx_pool_t *pool,
    const df_field_t *field, const ngx_str_t *literal, ngx_str_t *json);
static ngx_int_t df_openapi_example_text(ngx_pool_t *pool,
    const df_field_t *field, ngx_str_t *text);


/* as clients write them, the likely ones first */

static const char *const  df_openapi_examples[DF_KINDS][DF_OPENAPI_EXAMPLES] =
{
    [DF_SMALLINT] = { "10", "1", "0" },
    [DF_INTEGER] = { "10", "1", "0" },
    [DF_BIGINT] = { "1", "10", "0" },
    [DF_NUMERIC] = { "12.50", "1", "0.5" },
    [DF_REAL] = { "1.5", "1", "0.5" },
    [DF_DOUBLE] = { "1.5", "1", "0.5" },
    [DF_BOOLEAN] = { "true" },
    [DF_UUID] = { "0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f" },
    [DF_DATE] = { "2026-01-31", "2000-01-01", "2050-12-31" },
    [DF_TIME] = { "13:30:00", "00:00:00", "23:59:59" },
    [DF_TIMESTAMP] = { "2026-01-31T13:30:00", "2000-01-01T00:00:00" },
    [DF_TIMESTAMPTZ] = { "2026-01-31T13:30:00+00:00",
                         "2000-01-01T00:00:00+00:00" },
    [DF_INTERVAL] = { "P1DT12H30M", "PT1H", "P1Y" },
    [DF_JSON] = { "{\"name\":\"value\"}" },
    [DF_BYTEA] = { "AAEC" },
    [DF_INET] = { "192.0.2.1" }
};


ngx_int_t
df_openapi_example(ngx_pool_t *pool, const df_field_t *field, ngx_str_t *json)
{
    ngx_str_t   element;
    df_field_t  scalar;

    if (field->default_kind == DF_DEFAULT_LITERAL
        && df_openapi_json(pool, field, &field->default_text, json) == NGX_OK)
    {
        return NGX_OK;
    }

    if (!field->array) {
        return df_openapi_example_scalar(pool, field, json);
    }

    scalar = *field;
    scalar.array = 0;

    if (df_openapi_example_scalar(pool, &scalar, &element) != NGX_OK) {
        return NGX_DECLINED;
    }

    *json = df_str_printf(pool, "[%V]", &element);

    return json->len ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
df_openapi_example_scalar(ngx_pool_t *pool, const df_field_t *field,
    ngx_str_t *json)
{
    ngx_str_t           literal;
    ngx_uint_t          i;
    const char *const  *examples;

    if (field->type->flags & DF_TYPE_TEXT) {
        return df_openapi_example_text(pool, field, &literal) == NGX_OK
               ? df_openapi_example_try(pool, field, &literal, json)
               : NGX_DECLINED;
    }

    examples = df_openapi_examples[field->type->kind];

    for (i = 0; i < DF_OPENAPI_EXAMPLES && examples[i]; i++) {
        literal.data = (u_char *) examples[i];
        literal.len = ngx_strlen(examples[i]);

        if (df_openapi_example_try(pool, field, &literal, json) == NGX_OK) {
            return NGX_OK;
        }
    }

    if (field->min.len
        && df_openapi_example_try(pool, field, &field->min, json) == NGX_OK)
    {
        return NGX_OK;
    }

    return field->max.len
           ? df_openapi_example_try(pool, field, &field->max, json)
           : NGX_DECLINED;
}


static ngx_int_t
df_openapi_example_try(ngx_pool_t *pool, const df_field_t *field,
    const ngx_str_t *literal, ngx_str_t *json)
{
    df_value_t        value;
    df_value_error_t  error;

    if (df_schema_parse_text(field, pool, literal, 0, &value, &error) != NGX_OK
        || df_schema_constrain(field, pool, &value, &error) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return df_openapi_json(pool, field, &value.text, json);
}


/* one of the enum, what the pattern asks for, or the field's name as often as
   it takes to be long enough */

static ngx_int_t
df_openapi_example_text(ngx_pool_t *pool, const df_field_t *field,
    ngx_str_t *text)
{
    u_char     *p;
    ngx_int_t   min;
    ngx_uint_t  i, n;

    if (field->choices) {
        *text = *(ngx_str_t *) field->choices->elts;
        return NGX_OK;
    }

    if (field->pattern.len) {
        return df_openapi_pattern_sample(pool, &field->pattern, text);
    }

    min = ngx_atoi(field->min.data, field->min.len);

    n = ngx_max(field->name.len, (ngx_uint_t) ngx_max(min, 1));

    if (field->length) {
        n = ngx_min(n, field->length);
    }

    p = ngx_pnalloc(pool, n + 1);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        p[i] = field->name.data[i % field->name.len];
    }

    p[n] = '\0';

    text->data = p;
    text->len = n;

    return NGX_OK;
}
