
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * constrain: what nginx.conf asks of a field's values beyond their type.
 * Nothing here goes through a double.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


typedef ngx_int_t (*df_schema_constraint_pt)(const df_field_t *field,
    ngx_pool_t *pool, const df_value_t *value, df_value_error_t *error);


static ngx_int_t df_schema_constrain_length(const df_field_t *field,
    ngx_pool_t *pool, const df_value_t *value, df_value_error_t *error);
static ngx_int_t df_schema_constrain_precision(const df_field_t *field,
    ngx_pool_t *pool, const df_value_t *value, df_value_error_t *error);
static ngx_int_t df_schema_constrain_choices(const df_field_t *field,
    ngx_pool_t *pool, const df_value_t *value, df_value_error_t *error);
static ngx_int_t df_schema_constrain_bounds(const df_field_t *field,
    ngx_pool_t *pool, const df_value_t *value, df_value_error_t *error);
#if (NGX_PCRE)
static ngx_int_t df_schema_constrain_pattern(const df_field_t *field,
    ngx_pool_t *pool, const df_value_t *value, df_value_error_t *error);
#endif
static ngx_int_t df_schema_constrain_refuse(ngx_pool_t *pool,
    df_value_error_t *error, const char *code, const char *fmt, ...);


static const df_schema_constraint_pt  df_schema_constraints[] = {
    df_schema_constrain_length,
    df_schema_constrain_precision,
    df_schema_constrain_choices,
    df_schema_constrain_bounds,
#if (NGX_PCRE)
    df_schema_constrain_pattern,
#endif
    NULL
};


ngx_int_t
df_schema_constrain(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value, df_value_error_t *error)
{
    ngx_int_t                       rc;
    const df_schema_constraint_pt  *constraint;

    if (value->null) {
        return NGX_OK;
    }

    for (constraint = df_schema_constraints; *constraint; constraint++) {

        rc = (*constraint)(field, pool, value, error);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* in characters; min= and max= of a text count them as well */

static ngx_int_t
df_schema_constrain_length(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value, df_value_error_t *error)
{
    ngx_int_t   min, max;
    ngx_uint_t  n;

    if (!(field->type->flags & DF_TYPE_TEXT)
        || (field->length == 0 && field->min.len == 0 && field->max.len == 0))
    {
        return NGX_OK;
    }

    n = ngx_utf8_length(value->text.data, value->text.len);

    min = ngx_atoi(field->min.data, field->min.len);
    max = ngx_atoi(field->max.data, field->max.len);

    if (min > 0 && n < (ngx_uint_t) min) {
        return df_schema_constrain_refuse(pool, error, "length",
                                          "at least %i character%s", min,
                                          min == 1 ? "" : "s");
    }

    if (max == NGX_ERROR
        || (field->length && field->length < (ngx_uint_t) max))
    {
        max = field->length;
    }

    if ((field->length || field->max.len) && n > (ngx_uint_t) max) {
        return df_schema_constrain_refuse(pool, error, "length",
                                          "at most %i character%s", max,
                                          max == 1 ? "" : "s");
    }

    return NGX_OK;
}


/* numeric(p,s): PostgreSQL would round what is behind the scale silently */

static ngx_int_t
df_schema_constrain_precision(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value, df_value_error_t *error)
{
    ngx_int_t            integer, scale;
    df_schema_decimal_t  d;

    if (field->precision == 0) {
        return NGX_OK;
    }

    scale = (ngx_int_t) field->scale;
    integer = (ngx_int_t) field->precision - scale;

    (void) df_schema_decimal_scan(&value->text, &d);

    if (d.infinite) {
        return df_schema_constrain_refuse(pool, error, "range",
                                          "a number");
    }

    if (d.ndigits - d.point > scale && d.ndigits) {

        if (scale == 0) {
            return df_schema_constrain_refuse(pool, error, "scale",
                                              "a whole number");
        }

        return df_schema_constrain_refuse(pool, error, "scale",
                             "a number with at most %i digit%s behind "
                             "the point", scale, scale == 1 ? "" : "s");
    }

    if (d.point > integer && d.ndigits) {
        return df_schema_constrain_refuse(pool, error, "range",
                             "a number with at most %i digit%s before "
                             "the point", ngx_max(integer, 0),
                             integer == 1 ? "" : "s");
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_constrain_choices(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value, df_value_error_t *error)
{
    ngx_str_t    *choice, list;
    ngx_uint_t    i;
    df_writer_t   w;

    if (field->choices == NULL || field->type->compare == NULL) {
        return NGX_OK;
    }

    choice = field->choices->elts;

    for (i = 0; i < field->choices->nelts; i++) {

        if (field->type->compare(&value->text, &choice[i]) == 0) {
            return NGX_OK;
        }
    }

    if (df_writer_init(&w, pool, 128) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < field->choices->nelts; i++) {

        if (df_writer_printf(&w, "%s%V", i ? ", " : "one of ", &choice[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_writer_text(&w, &list) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_schema_refuse(error, "enum", &list);
}


static ngx_int_t
df_schema_constrain_bounds(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value, df_value_error_t *error)
{
    const char       *what;
    const df_type_t  *type;

    type = field->type;

    if ((type->flags & DF_TYPE_TEXT) || type->compare == NULL) {
        return NGX_OK;
    }

    what = (type->flags & DF_TYPE_NUMBER) ? "a number of " : "";

    if (field->min.len && type->compare(&value->text, &field->min) < 0) {
        return df_schema_constrain_refuse(pool, error, "range",
                                          "%sat least %V", what, &field->min);
    }

    if (field->max.len && type->compare(&value->text, &field->max) > 0) {
        return df_schema_constrain_refuse(pool, error, "range",
                                          "%sat most %V", what, &field->max);
    }

    return NGX_OK;
}


#if (NGX_PCRE)

/* what PCRE gives up on does not match */

static ngx_int_t
df_schema_constrain_pattern(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value, df_value_error_t *error)
{
    if (field->regex == NULL
        || ngx_regex_exec(field->regex, (ngx_str_t *) &value->text, NULL, 0)
           >= 0)
    {
        return NGX_OK;
    }

    return df_schema_constrain_refuse(pool, error, "pattern",
                                      "a string that matches %V",
                                      &field->pattern);
}

#endif


static ngx_int_t
df_schema_constrain_refuse(ngx_pool_t *pool, df_value_error_t *error,
    const char *code, const char *fmt, ...)
{
    va_list    args;
    ngx_str_t  expected;

    va_start(args, fmt);
    expected = df_str_vprintf(pool, fmt, args);
    va_end(args);

    return df_schema_refuse(error, code, &expected);
}
