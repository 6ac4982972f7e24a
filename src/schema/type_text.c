
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * text, varchar, json and bytea: values of any length.  Nothing of them is
 * changed but its spelling: base64 outside is hexadecimal to PostgreSQL.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


static ngx_int_t df_schema_jsonb_check(const cJSON *node);
static ngx_int_t df_schema_bytea_digit(u_char c);


const ngx_str_t  df_schema_no_nul =
    ngx_string("a value without the character U+0000");


ngx_int_t
df_schema_string_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    static const ngx_str_t  expected = ngx_string("a string in UTF-8");

    if (ngx_strlchr(literal->data, literal->data + literal->len, '\0')) {
        return df_schema_refuse(error, "nul", &df_schema_no_nul);
    }

    if (df_utf8_check(literal->data, literal->len) != NGX_OK) {
        return df_schema_refuse(error, "type", &expected);
    }

    return df_str_copy(pool, &value->text, literal->data, literal->len);
}


/* byte by byte; right for every type whose text sorts as its values do */

ngx_int_t
df_schema_string_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    ngx_int_t  rc;

    rc = ngx_memcmp(a->data, b->data, ngx_min(a->len, b->len));

    return rc ? rc : (a->len > b->len) - (a->len < b->len);
}


size_t
df_schema_string_bound(const u_char *v, size_t len)
{
    return len;
}


u_char *
df_schema_string_encode(u_char *p, const u_char *v, size_t len)
{
    return ngx_cpymem(p, v, len);
}


ngx_int_t
df_schema_jsonb_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    cJSON            *node;
    df_json_error_t   reason;

    node = df_json_parse(pool, literal, &reason);

    if (node == NULL) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    return df_schema_jsonb_print(pool, node, value, error);
}


ngx_int_t
df_schema_jsonb_print(ngx_pool_t *pool, const cJSON *node, df_value_t *value,
    df_value_error_t *error)
{
    static const ngx_str_t  range =
        ngx_string("JSON with numbers of at most " DF_SCHEMA_NUMERIC_LIMITS);

    if (df_json_has_nul(node)) {
        return df_schema_refuse(error, "nul", &df_schema_no_nul);
    }

    if (df_schema_jsonb_check(node) != NGX_OK) {
        return df_schema_refuse(error, "range", &range);
    }

    return df_json_print(pool, node, &value->text);
}


/* numbers in jsonb are numeric to PostgreSQL; a tree is never deeper than
   DF_JSON_MAX_DEPTH */

static ngx_int_t
df_schema_jsonb_check(const cJSON *node)
{
    ngx_str_t             literal;
    const cJSON          *child;
    df_schema_decimal_t   d;

    if (df_json_kind(node) == DF_JSON_NUMBER) {
        literal = df_json_text(node);

        if (df_schema_decimal_scan(&literal, &d) != NGX_OK) {
            return NGX_DECLINED;
        }

        return df_schema_numeric_check(&literal, &d);
    }

    for (child = node->child; child; child = child->next) {

        if (df_schema_jsonb_check(child) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* the first byte is the version of jsonb's format, and absent in json's */

u_char *
df_schema_jsonb_encode(u_char *p, const u_char *v, size_t len)
{
    if (len && *v == 1) {
        v++;
        len--;
    }

    return ngx_cpymem(p, v, len);
}


/* a digit of either alphabet of base64 */

static ngx_int_t
df_schema_bytea_digit(u_char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    if (c == '+' || c == '-') {
        return 62;
    }

    if (c == '/' || c == '_') {
        return 63;
    }

    return NGX_ERROR;
}


/*
 * Padding may be left out but not be wrong, and bits that belong to no byte
 * must be 0: one value has one spelling in each alphabet.
 */

ngx_int_t
df_schema_bytea_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    size_t       len;
    u_char      *p, byte;
    uint32_t     bits;
    ngx_int_t    digit;
    ngx_uint_t   i, n;

    len = literal->len;

    if (len && len % 4 == 0 && literal->data[len - 1] == '=') {
        len -= (literal->data[len - 2] == '=') ? 2 : 1;
    }

    p = ngx_pnalloc(pool, sizeof("\\x") + len / 4 * 6 + 6);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->text.data = p;
    p = ngx_cpymem(p, "\\x", 2);

    bits = 0;
    n = 0;              /* bits that are waiting for their byte */

    for (i = 0; i < len; i++) {

        digit = df_schema_bytea_digit(literal->data[i]);
        if (digit == NGX_ERROR) {
            return df_schema_refuse(error, "type", &field->type->expected);
        }

        bits = bits << 6 | (uint32_t) digit;
        n += 6;

        if (n >= 8) {
            n -= 8;
            byte = (u_char) (bits >> n);
            p = ngx_hex_dump(p, &byte, 1);
            bits &= (1 << n) - 1;
        }
    }

    if (n == 6 || bits) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    value->text.len = p - value->text.data;
    *p = '\0';

    return NGX_OK;
}


size_t
df_schema_bytea_bound(const u_char *v, size_t len)
{
    return ngx_base64_encoded_length(len);
}


u_char *
df_schema_bytea_encode(u_char *p, const u_char *v, size_t len)
{
    ngx_str_t  src, dst;

    src.data = (u_char *) v;
    src.len = len;
    dst.data = p;

    ngx_encode_base64(&dst, &src);

    return p + dst.len;
}
