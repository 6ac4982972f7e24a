
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * date, time, timestamp and timestamptz: what PostgreSQL counts in days and
 * microseconds, RFC 3339 outside.  The calendar is core's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


#define DF_SCHEMA_DAY  (86400 * (int64_t) 1000000)


static ngx_int_t df_schema_time_scan(df_kind_t kind, const ngx_str_t *literal,
    int64_t *n);
static int64_t df_schema_time_value(const ngx_str_t *text);


static ngx_int_t
df_schema_time_scan(df_kind_t kind, const ngx_str_t *literal, int64_t *n)
{
    switch (kind) {

    case DF_DATE:
        return df_time_parse_date(literal->data, literal->len, n);

    case DF_TIME:
        return df_time_parse_time(literal->data, literal->len, n);

    default: /* DF_TIMESTAMP, DF_TIMESTAMPTZ */
        return df_time_parse_timestamp(literal->data, literal->len,
                                       kind == DF_TIMESTAMPTZ, n);
    }
}


/* what was understood is printed again, so that PostgreSQL, whose input knows
   many forms, understands the same */

ngx_int_t
df_schema_time_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    u_char     *p;
    int64_t     n;
    df_kind_t   kind;

    kind = field->type->kind;

    if (df_schema_time_scan(kind, literal, &n) != NGX_OK) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    p = ngx_pnalloc(pool, DF_TIME_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->text.data = p;

    switch (kind) {

    case DF_DATE:
        p = df_time_format_date(p, n);
        break;

    case DF_TIME:
        p = df_time_format_time(p, n);
        break;

    default: /* DF_TIMESTAMP, DF_TIMESTAMPTZ */
        p = df_time_format_timestamp(p, n, kind == DF_TIMESTAMPTZ);
    }

    value->text.len = p - value->text.data;
    *p = '\0';

    return NGX_OK;
}


/* no text is of two of these types */

static int64_t
df_schema_time_value(const ngx_str_t *text)
{
    int64_t    n;
    df_kind_t  kind;

    for (kind = DF_DATE; kind <= DF_TIMESTAMPTZ; kind++) {

        if (df_schema_time_scan(kind, text, &n) == NGX_OK) {
            return n;
        }
    }

    return 0;
}


ngx_int_t
df_schema_time_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    int64_t  m, n;

    m = df_schema_time_value(a);
    n = df_schema_time_value(b);

    return (m > n) - (m < n);
}


u_char *
df_schema_date_encode(u_char *p, const u_char *v, size_t len)
{
    int32_t  days;

    if (len != 4) {
        return p;
    }

    days = (int32_t) df_schema_get32(v);

    switch (days) {

    case INT32_MAX:
        return df_time_format_date(p, DF_TIME_INFINITY);

    case INT32_MIN:
        return df_time_format_date(p, DF_TIME_NEG_INFINITY);

    default:
        return df_time_format_date(p, days);
    }
}


u_char *
df_schema_time_encode(u_char *p, const u_char *v, size_t len)
{
    int64_t  usec;

    if (len != 8) {
        return p;
    }

    usec = (int64_t) df_schema_get64(v);

    if (usec < 0 || usec > DF_SCHEMA_DAY) {
        return p;
    }

    return df_time_format_time(p, usec);
}


u_char *
df_schema_timestamp_encode(u_char *p, const u_char *v, size_t len)
{
    if (len != 8) {
        return p;
    }

    return df_time_format_timestamp(p, (int64_t) df_schema_get64(v), 0);
}


u_char *
df_schema_timestamptz_encode(u_char *p, const u_char *v, size_t len)
{
    if (len != 8) {
        return p;
    }

    return df_time_format_timestamp(p, (int64_t) df_schema_get64(v), 1);
}
