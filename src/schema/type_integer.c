
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * smallint, integer, bigint and boolean: parsed and printed digit for digit,
 * never through a double.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


static ngx_int_t df_schema_integer_scan(const ngx_str_t *literal, int64_t *n);


const u_char  df_schema_two_digits[200] =
    "00010203040506070809" "10111213141516171819"
    "20212223242526272829" "30313233343536373839"
    "40414243444546474849" "50515253545556575859"
    "60616263646566676869" "70717273747576777879"
    "80818283848586878889" "90919293949596979899";


u_char *
df_schema_integer_print(u_char *p, int64_t n)
{
    u_char    *last, buf[NGX_INT64_LEN];
    uint64_t   u;

    u = (uint64_t) n;

    if (n < 0) {
        *p++ = '-';
        u = -u;
    }

    last = buf + NGX_INT64_LEN;

    while (u >= 100) {
        last -= 2;
        ngx_memcpy(last, &df_schema_two_digits[u % 100 * 2], 2);
        u /= 100;
    }

    if (u >= 10) {
        last -= 2;
        ngx_memcpy(last, &df_schema_two_digits[u * 2], 2);

    } else {
        *--last = (u_char) ('0' + u);
    }

    return ngx_cpymem(p, last, buf + NGX_INT64_LEN - last);
}


/* an optional sign and digits; NGX_ABORT when they do not fit an int64_t */

static ngx_int_t
df_schema_integer_scan(const ngx_str_t *literal, int64_t *n)
{
    u_char      *p, *last;
    int64_t      value;
    ngx_uint_t   negative, overflow;

    p = literal->data;
    last = p + literal->len;

    negative = (p < last && *p == '-');

    if (p < last && (*p == '-' || *p == '+')) {
        p++;
    }

    if (p == last) {
        return NGX_DECLINED;
    }

    value = 0;
    overflow = 0;

    /* counted downwards, because the smallest has no positive counterpart */

    for ( /* void */ ; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        overflow |= __builtin_mul_overflow(value, 10, &value);
        overflow |= __builtin_sub_overflow(value, *p - '0', &value);
    }

    if (!negative) {
        overflow |= __builtin_sub_overflow(0, value, &value);
    }

    *n = value;

    return overflow ? NGX_ABORT : NGX_OK;
}


ngx_int_t
df_schema_integer_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    int64_t     n, max;
    u_char     *p;
    ngx_int_t   rc;

    static const int64_t  limits[] = { INT16_MAX, INT32_MAX, INT64_MAX };

    rc = df_schema_integer_scan(literal, &n);

    if (rc == NGX_DECLINED) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    max = limits[field->type->kind - DF_SMALLINT];

    if (rc == NGX_ABORT || n > max || n < -max - 1) {
        return df_schema_refuse(error, "range", &field->type->expected);
    }

    p = ngx_pnalloc(pool, NGX_INT64_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->text.data = p;
    p = df_schema_integer_print(p, n);
    value->text.len = p - value->text.data;
    *p = '\0';

    return NGX_OK;
}


ngx_int_t
df_schema_integer_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    int64_t  m, n;

    m = 0;
    n = 0;

    (void) df_schema_integer_scan(a, &m);
    (void) df_schema_integer_scan(b, &n);

    return (m > n) - (m < n);
}


/* all three sizes: a column that is narrower or wider than declared is still
   read right */

u_char *
df_schema_integer_encode(u_char *p, const u_char *v, size_t len)
{
    switch (len) {

    case 2:
        return df_schema_integer_print(p, (int16_t) df_schema_get16(v));

    case 4:
        return df_schema_integer_print(p, (int32_t) df_schema_get32(v));

    case 8:
        return df_schema_integer_print(p, (int64_t) df_schema_get64(v));

    default:
        return p;
    }
}


ngx_int_t
df_schema_boolean_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    ngx_uint_t  i;

    static const ngx_str_t  words[] = {
        ngx_string("false"), ngx_string("true"),
        ngx_string("0"), ngx_string("1")
    };

    for (i = 0; i < 4; i++) {

        if (literal->len == words[i].len
            && ngx_memcmp(literal->data, words[i].data, words[i].len) == 0)
        {
            value->text = words[i & 1];
            return NGX_OK;
        }
    }

    return df_schema_refuse(error, "type", &field->type->expected);
}


u_char *
df_schema_boolean_encode(u_char *p, const u_char *v, size_t len)
{
    if (len != 1) {
        return p;
    }

    if (*v) {
        return ngx_cpymem(p, "true", 4);
    }

    return ngx_cpymem(p, "false", 5);
}
