
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Cursors: the sort values of the last row of a page, as a text that only
 * this server can make and that fits one model, sort, filter and tenant.
 *
 *     base64url( version | binding, 8 bytes | values | MAC, 16 bytes )
 *
 * A value is its length plus one as a varint (0: NULL) and its text.  A cursor
 * is signed, not secret: it holds what its reader was allowed to see.
 */


#include <ngx_config.h>
#include "query/expr.h"


#define DF_CURSOR_VERSION  1
#define DF_CURSOR_BINDING  8
#define DF_CURSOR_HEAD     (1 + DF_CURSOR_BINDING)


/* binding */

static ngx_int_t
df_query_cursor_put(df_writer_t *w, const ngx_str_t *text)
{
    if (df_writer_printf(w, "%uz:", text->len) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_writer_add(w, text->data, text->len);
}


/* of a field and the relations that lead to it, the last first */

static ngx_int_t
df_query_cursor_put_field(df_writer_t *w, const df_join_t *join,
    const df_field_t *field)
{
    if (df_query_cursor_put(w, &field->name) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( /* void */ ; join; join = join->parent) {
        if (df_writer_add(w, ".", 1) != NGX_OK
            || df_query_cursor_put(w, &join->relation->name) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_cursor_put_compare(df_writer_t *w, const df_predicate_t *p)
{
    ngx_uint_t  i;

    if (df_query_cursor_put_field(w, p->join, p->field) != NGX_OK
        || df_query_cursor_put(w, &p->op->name) != NGX_OK
        || df_writer_printf(w, "%ui,%ui,%ui;", (ngx_uint_t) p->form, p->npath,
                            p->noperands)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < p->npath; i++) {
        if (df_query_cursor_put(w, &p->path[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < p->noperands; i++) {
        if ((p->operands[i].null
             ? df_writer_add(w, "-", 1)
             : df_query_cursor_put(w, &p->operands[i].text))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_cursor_put_filter(df_writer_t *w, const df_predicate_t *p)
{
    const df_predicate_t  *child;

    if (df_writer_printf(w, "(%ui", (ngx_uint_t) p->kind) != NGX_OK) {
        return NGX_ERROR;
    }

    if (p->kind == DF_PREDICATE_COMPARE
        && df_query_cursor_put_compare(w, p) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (p->kind == DF_PREDICATE_EXPR && df_expr_put(w, p->expr) != NGX_OK) {
        return NGX_ERROR;
    }

    for (child = p->children; child; child = child->next) {
        if (df_query_cursor_put_filter(w, child) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_writer_add(w, ")", 1);
}


/*
 * Against mistakes, not against forgery: the binding is signed with the rest,
 * and a page of another filter shows nothing that the gate does not let
 * through.
 */

static ngx_int_t
df_query_cursor_bind(const df_admitted_t *a, ngx_pool_t *pool,
    u_char binding[DF_CURSOR_BINDING])
{
    size_t             half;
    uint32_t           hash[2];
    ngx_str_t          text;
    ngx_uint_t         i;
    df_sort_t         *sort;
    df_writer_t        w;
    const df_model_t  *model;

    model = a->request->model;
    sort = a->sort.elts;

    if (df_writer_init(&w, pool, 256) != NGX_OK
        || df_query_cursor_put(&w, &model->name) != NGX_OK
        || df_query_cursor_put(&w, &model->signature) != NGX_OK
        || df_query_cursor_put(&w, &a->principal->tenant) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < a->sort.nelts; i++) {
        if (df_query_cursor_put_field(&w, sort[i].join, sort[i].field)
            != NGX_OK
            || df_writer_printf(&w, "%ui%ui", (ngx_uint_t) sort[i].descending,
                                (ngx_uint_t) sort[i].nulls_first)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (a->filter && df_query_cursor_put_filter(&w, a->filter) != NGX_OK) {
        return NGX_ERROR;
    }

    if (df_writer_text(&w, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    half = text.len / 2;

    hash[0] = ngx_murmur_hash2(text.data, text.len);
    hash[1] = ngx_murmur_hash2(text.data, half)
              - 31 * ngx_murmur_hash2(text.data + half, text.len - half);

    ngx_memcpy(binding, hash, DF_CURSOR_BINDING);

    return NGX_OK;
}


static ngx_int_t
df_query_cursor_sign(const df_admitted_t *a, u_char *data, size_t len,
    u_char mac[DF_TOKEN_MAC_LEN])
{
    ngx_str_t  pieces[2];

    ngx_str_set(&pieces[0], "cursor");
    pieces[1].data = data;
    pieces[1].len = len;

    return df_token_mac(a->rules->secret, DF_ZONE_SECRET_LEN, pieces, 2, mac);
}


/* making */

static u_char *
df_query_cursor_put_value(u_char *p, const df_value_t *value)
{
    size_t  n;

    n = value->null ? 0 : value->text.len + 1;

    while (n > 0x7f) {
        *p++ = (u_char) (n | 0x80);
        n >>= 7;
    }

    *p++ = (u_char) n;

    return value->null ? p : ngx_cpymem(p, value->text.data, value->text.len);
}


ngx_int_t
df_query_cursor_make(const df_admitted_t *admitted, ngx_pool_t *pool,
    const df_value_t *values, ngx_str_t *cursor)
{
    size_t       size;
    u_char      *p;
    ngx_str_t    raw;
    ngx_uint_t   i;

    size = DF_CURSOR_HEAD + DF_TOKEN_MAC_LEN;

    for (i = 0; i < admitted->sort.nelts; i++) {
        size += 10 + (values[i].null ? 0 : values[i].text.len);
    }

    raw.data = ngx_pnalloc(pool, size);
    if (raw.data == NULL) {
        return NGX_ERROR;
    }

    raw.data[0] = DF_CURSOR_VERSION;

    if (df_query_cursor_bind(admitted, pool, &raw.data[1]) != NGX_OK) {
        return NGX_ERROR;
    }

    p = raw.data + DF_CURSOR_HEAD;

    for (i = 0; i < admitted->sort.nelts; i++) {
        p = df_query_cursor_put_value(p, &values[i]);
    }

    if (df_query_cursor_sign(admitted, raw.data, p - raw.data, p) != NGX_OK) {
        return NGX_ERROR;
    }

    raw.len = p + DF_TOKEN_MAC_LEN - raw.data;

    cursor->data = ngx_pnalloc(pool, ngx_base64_encoded_length(raw.len));
    if (cursor->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64url(cursor, &raw);

    return (cursor->len > DF_CURSOR_MAX) ? NGX_DECLINED : NGX_OK;
}


/* reading */

static ngx_int_t
df_query_cursor_refuse(const df_admitted_t *a, const char *detail,
    df_problem_t *problem)
{
    df_place_t  room;

    static const ngx_str_t  name = ngx_string("cursor");

    return df_query_refuse(problem, DF_PROBLEM_INVALID_CURSOR,
                           df_query_parameter_place(a->request, &name, &room),
                           "invalid_cursor", "%s", detail);
}


/* the bytes, when we have signed them; one cursor has one spelling */

static ngx_int_t
df_query_cursor_open(df_admitted_t *a, ngx_str_t *raw)
{
    size_t             i;
    u_char             differs, mac[DF_TOKEN_MAC_LEN];
    ngx_str_t          text, spelling;
    const ngx_str_t   *cursor;

    cursor = &a->request->cursor;

    if (cursor->len > DF_CURSOR_MAX) {
        return NGX_DECLINED;
    }

    text = *cursor;

    raw->data = ngx_pnalloc(a->request->pool,
                            ngx_base64_decoded_length(text.len)
                            + ngx_base64_encoded_length(text.len));
    if (raw->data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64url(raw, &text) != NGX_OK
        || raw->len < DF_CURSOR_HEAD + DF_TOKEN_MAC_LEN
        || raw->data[0] != DF_CURSOR_VERSION)
    {
        return NGX_DECLINED;
    }

    spelling.data = raw->data + raw->len;
    ngx_encode_base64url(&spelling, raw);

    if (spelling.len != cursor->len
        || ngx_memcmp(spelling.data, cursor->data, cursor->len) != 0)
    {
        return NGX_DECLINED;
    }

    raw->len -= DF_TOKEN_MAC_LEN;

    if (df_query_cursor_sign(a, raw->data, raw->len, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the time must not tell how much of a guess was right */

    for (i = 0, differs = 0; i < DF_TOKEN_MAC_LEN; i++) {
        differs |= mac[i] ^ raw->data[raw->len + i];
    }

    return differs ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
df_query_cursor_get_value(df_admitted_t *a, const df_field_t *field,
    u_char **pos, u_char *last, df_value_t *value)
{
    size_t             n;
    u_char            *p;
    ngx_str_t          text;
    ngx_uint_t         shift;
    df_value_error_t   error;

    n = 0;
    p = *pos;

    for (shift = 0; /* void */ ; shift += 7) {
        if (p == last || shift > 28) {
            return NGX_DECLINED;
        }

        n |= (size_t) (*p & 0x7f) << shift;

        if (!(*p++ & 0x80)) {
            break;
        }
    }

    if (n == 0) {
        ngx_memzero(value, sizeof(df_value_t));
        value->null = 1;
        *pos = p;

        return NGX_OK;
    }

    n--;

    if ((size_t) (last - p) < n) {
        return NGX_DECLINED;
    }

    text.data = p;
    text.len = n;
    *pos = p + n;

    return df_schema_parse_text(field, a->request->pool, &text, 0, value,
                                &error);
}


static ngx_int_t
df_query_cursor_values(df_admitted_t *a, ngx_str_t *raw)
{
    u_char      *p, *last;
    ngx_int_t    rc;
    ngx_uint_t   i;
    df_sort_t   *sort;

    a->after = ngx_pcalloc(a->request->pool,
                           a->sort.nelts * sizeof(df_value_t));
    if (a->after == NULL) {
        return NGX_ERROR;
    }

    sort = a->sort.elts;
    p = raw->data + DF_CURSOR_HEAD;
    last = raw->data + raw->len;

    for (i = 0; i < a->sort.nelts; i++) {
        rc = df_query_cursor_get_value(a, sort[i].field, &p, last,
                                       &a->after[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return (p == last) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
df_query_cursor_read(df_admitted_t *admitted, df_problem_t *problem)
{
    u_char      binding[DF_CURSOR_BINDING];
    ngx_int_t   rc;
    ngx_str_t   raw;

    rc = df_query_cursor_open(admitted, &raw);

    if (rc == NGX_DECLINED) {
        return df_query_cursor_refuse(admitted,
                                      "this is not a cursor of this server",
                                      problem);
    }

    if (rc != NGX_OK
        || df_query_cursor_bind(admitted, admitted->request->pool, binding)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_memcmp(binding, &raw.data[1], DF_CURSOR_BINDING) != 0) {
        return df_query_cursor_refuse(admitted,
                                      "this cursor belongs to another sort or "
                                      "filter", problem);
    }

    rc = df_query_cursor_values(admitted, &raw);

    if (rc == NGX_DECLINED) {
        return df_query_cursor_refuse(admitted,
                                      "this is not a cursor of this server",
                                      problem);
    }

    return rc;
}
