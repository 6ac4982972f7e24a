
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * uuid and inet: a few bytes with a canonical text.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


/* the families of inet's binary form, whatever the system calls them */
#define DF_SCHEMA_INET   2
#define DF_SCHEMA_INET6  3


typedef struct {
    ngx_uint_t   family;
    ngx_uint_t   bits;
    u_char       addr[16];
} df_schema_inet_t;


static ngx_int_t df_schema_inet_scan(const ngx_str_t *literal,
    df_schema_inet_t *inet);
static ngx_int_t df_schema_inet_prefix(const u_char *a, const u_char *b,
    ngx_uint_t bits);


/* 8-4-4-4-12 hexadecimal digits of any case, or the same without hyphens */

ngx_int_t
df_schema_uuid_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    u_char      *p, *dst, c;
    ngx_uint_t   i, hyphens;

    hyphens = (literal->len == 36);

    if (!hyphens && literal->len != 32) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    dst = ngx_pnalloc(pool, 37);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->text.len = 36;
    value->text.data = dst;

    p = literal->data;

    for (i = 0; i < 36; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            *dst++ = '-';

            if (hyphens && *p++ != '-') {
                return df_schema_refuse(error, "type",
                                        &field->type->expected);
            }

            continue;
        }

        c = *p++;
        c = (c >= 'A' && c <= 'F') ? (c | 0x20) : c;

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return df_schema_refuse(error, "type", &field->type->expected);
        }

        *dst++ = c;
    }

    *dst = '\0';

    return NGX_OK;
}


u_char *
df_schema_uuid_encode(u_char *p, const u_char *v, size_t len)
{
    if (len != 16) {
        return p;
    }

    p = ngx_hex_dump(p, (u_char *) v, 4);
    *p++ = '-';
    p = ngx_hex_dump(p, (u_char *) v + 4, 2);
    *p++ = '-';
    p = ngx_hex_dump(p, (u_char *) v + 6, 2);
    *p++ = '-';
    p = ngx_hex_dump(p, (u_char *) v + 8, 2);
    *p++ = '-';

    return ngx_hex_dump(p, (u_char *) v + 10, 6);
}


/* address [/ bits] */

static ngx_int_t
df_schema_inet_scan(const ngx_str_t *literal, df_schema_inet_t *inet)
{
    size_t       len;
    u_char      *p, *slash;
    ngx_int_t    bits;
    ngx_uint_t   max;
    char         text[INET6_ADDRSTRLEN];

    p = literal->data;
    len = literal->len;
    slash = ngx_strlchr(p, p + len, '/');

    if (slash) {
        len = slash - p;
    }

    if (len >= INET6_ADDRSTRLEN || ngx_strlchr(p, p + len, '\0')) {
        return NGX_DECLINED;
    }

    ngx_memcpy(text, p, len);
    text[len] = '\0';

    ngx_memzero(inet, sizeof(df_schema_inet_t));

    if (inet_pton(AF_INET, text, inet->addr) == 1) {
        inet->family = DF_SCHEMA_INET;
        max = 32;

    } else if (inet_pton(AF_INET6, text, inet->addr) == 1) {
        inet->family = DF_SCHEMA_INET6;
        max = 128;

    } else {
        return NGX_DECLINED;
    }

    inet->bits = max;

    if (slash) {
        slash++;
        len = p + literal->len - slash;

        if (len > 3) {
            return NGX_DECLINED;
        }

        bits = ngx_atoi(slash, len);

        if (bits == NGX_ERROR || (ngx_uint_t) bits > max) {
            return NGX_DECLINED;
        }

        inet->bits = bits;
    }

    return NGX_OK;
}


ngx_int_t
df_schema_inet_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    df_schema_inet_t  inet;

    if (df_schema_inet_scan(literal, &inet) != NGX_OK) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    return df_str_copy(pool, &value->text, literal->data, literal->len);
}


/* order of the first bits of two addresses */

static ngx_int_t
df_schema_inet_prefix(const u_char *a, const u_char *b, ngx_uint_t bits)
{
    ngx_int_t   rc;
    ngx_uint_t  shift;

    rc = ngx_memcmp(a, b, bits / 8);

    if (rc || bits % 8 == 0) {
        return rc;
    }

    shift = 8 - bits % 8;

    return (a[bits / 8] >> shift) - (b[bits / 8] >> shift);
}


/* family, the network both share, its size, the whole address */

ngx_int_t
df_schema_inet_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    ngx_int_t         rc;
    df_schema_inet_t  x, y;

    ngx_memzero(&x, sizeof(df_schema_inet_t));
    ngx_memzero(&y, sizeof(df_schema_inet_t));

    (void) df_schema_inet_scan(a, &x);
    (void) df_schema_inet_scan(b, &y);

    if (x.family != y.family) {
        return (ngx_int_t) x.family - (ngx_int_t) y.family;
    }

    rc = df_schema_inet_prefix(x.addr, y.addr, ngx_min(x.bits, y.bits));

    if (rc) {
        return rc;
    }

    if (x.bits != y.bits) {
        return (ngx_int_t) x.bits - (ngx_int_t) y.bits;
    }

    return ngx_memcmp(x.addr, y.addr, sizeof(x.addr));
}


/* family, bits, whether it is a cidr, length of the address, the address */

u_char *
df_schema_inet_encode(u_char *p, const u_char *v, size_t len)
{
    ngx_uint_t  size;

    if (len < 4) {
        return p;
    }

    size = (v[0] == DF_SCHEMA_INET) ? 4 : 16;

    if (len != 4 + size
        || inet_ntop(size == 4 ? AF_INET : AF_INET6, v + 4, (char *) p,
                     INET6_ADDRSTRLEN)
           == NULL)
    {
        return p;
    }

    p += ngx_strlen(p);

    if (v[1] < size * 8) {
        *p++ = '/';
        p = df_schema_integer_print(p, v[1]);
    }

    return p;
}
