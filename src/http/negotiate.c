
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the client takes and sends: Accept, Prefer and Content-Type.  Reads
 * request headers only.
 */


#include "http/http_internal.h"


/* how well a format is accepted: by the most specific range that names it */

typedef struct {
    ngx_uint_t   rank;          /* 0: not named */
    ngx_uint_t   quality;       /* thousandths */
} df_http_accept_t;


static void df_http_negotiate_accept(df_http_accept_t *accept,
    const ngx_str_t *value);
static ngx_uint_t df_http_negotiate_rank(const ngx_str_t *range,
    const ngx_str_t *type);
static ngx_uint_t df_http_negotiate_quality(u_char *p, u_char *last);
static ngx_uint_t df_http_negotiate_minimal(const ngx_str_t *value);
static ngx_int_t df_http_negotiate_coding(df_http_ctx_t *ctx);
static ngx_int_t df_http_negotiate_type(const ngx_str_t *type);
static ngx_uint_t df_http_negotiate_charset(u_char *p, u_char *last);
static ngx_str_t df_http_negotiate_next(u_char **p, u_char *last, u_char ch);


#define DF_HTTP_FORMATS  (DF_FORMAT_CSV + 1)

const ngx_str_t  df_http_types[DF_HTTP_FORMATS] = {
    ngx_string("application/json"),
    ngx_string("application/x-ndjson"),
    ngx_string("text/csv")
};


ngx_int_t
df_http_negotiate(df_http_ctx_t *ctx)
{
    ngx_uint_t         i, n, best, accepts;
    ngx_list_part_t   *part;
    ngx_table_elt_t   *h;
    df_http_accept_t   accept[DF_HTTP_FORMATS];

    accepts = 0;
    ngx_memzero(accept, sizeof(accept));

    /* both names are of six letters: one glance at each header */

    for (part = &ctx->request->headers_in.headers.part;
         part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != 6) {
                continue;
            }

            if (ngx_memcmp(h[i].lowcase_key, "accept", 6) == 0) {
                accepts = 1;
                df_http_negotiate_accept(accept, &h[i].value);

            } else if (ngx_memcmp(h[i].lowcase_key, "prefer", 6) == 0
                       && df_http_negotiate_minimal(&h[i].value))
            {
                ctx->minimal = 1;
            }
        }
    }

    ctx->run.format = DF_FORMAT_JSON;

    if (!accepts || ctx->method->op == DF_DELETE) {
        return NGX_OK;
    }

    n = ctx->method->formats;
    best = 0;

    for (i = 0; i < n; i++) {
        if (accept[i].quality > best) {
            best = accept[i].quality;
            ctx->run.format = i;
        }
    }

    if (best) {
        return NGX_OK;
    }

    return df_problem_set(&ctx->run.problem, DF_PROBLEM_NOT_ACCEPTABLE,
                          n == 1 ? "the answer is application/json"
                                 : "the answer is application/json, "
                                   "application/x-ndjson or text/csv");
}


static void
df_http_negotiate_accept(df_http_accept_t *accept, const ngx_str_t *value)
{
    u_char      *p, *last, *params;
    ngx_str_t    item, range;
    ngx_uint_t   i, rank, quality;

    p = value->data;
    last = p + value->len;

    while (p < last) {
        item = df_http_negotiate_next(&p, last, ',');

        params = item.data;
        range = df_http_negotiate_next(&params, item.data + item.len, ';');
        quality = df_http_negotiate_quality(params, item.data + item.len);

        for (i = 0; i < DF_HTTP_FORMATS; i++) {
            rank = df_http_negotiate_rank(&range, &df_http_types[i]);

            if (rank > accept[i].rank
                || (rank && rank == accept[i].rank
                    && quality > accept[i].quality))
            {
                accept[i].rank = rank;
                accept[i].quality = quality;
            }
        }
    }
}


/* 3 for the type itself, 2 for its "application/…", 1 for anything */

static ngx_uint_t
df_http_negotiate_rank(const ngx_str_t *range, const ngx_str_t *type)
{
    if (range->len == type->len
        && ngx_strncasecmp(range->data, type->data, type->len) == 0)
    {
        return 3;
    }

    if (range->len < 3
        || ngx_memcmp(range->data + range->len - 2, "/*", 2) != 0)
    {
        return 0;
    }

    if (range->len == 3 && range->data[0] == '*') {
        return 1;
    }

    return range->len < type->len
           && ngx_strncasecmp(range->data, type->data, range->len - 1) == 0
           ? 2 : 0;
}


/* q=0.5 to 500; what is not a weight weighs nothing less than 1 */

static ngx_uint_t
df_http_negotiate_quality(u_char *p, u_char *last)
{
    ngx_int_t  quality;
    ngx_str_t  param;

    while (p < last) {
        param = df_http_negotiate_next(&p, last, ';');

        if (param.len > 2
            && (param.data[0] | 0x20) == 'q' && param.data[1] == '=')
        {
            quality = ngx_atofp(param.data + 2, param.len - 2, 3);
            return quality < 0 ? 1000 : (ngx_uint_t) quality;
        }
    }

    return 1000;
}


static ngx_uint_t
df_http_negotiate_minimal(const ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_str_t   item;

    static ngx_str_t  minimal = ngx_string("return=minimal");

    p = value->data;
    last = p + value->len;

    while (p < last) {
        item = df_http_negotiate_next(&p, last, ',');

        if (item.len == minimal.len
            && ngx_strncasecmp(item.data, minimal.data, minimal.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
df_http_negotiate_body(df_http_ctx_t *ctx)
{
    u_char              *p, *last;
    ngx_int_t            format;
    ngx_str_t            type;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = ctx->request;
    h = r->headers_in.content_type;

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return df_problem_set(&ctx->run.problem, DF_PROBLEM_BAD_REQUEST,
                              "the request has no body");
    }

    if (h == NULL) {
        return df_problem_set(&ctx->run.problem,
                              DF_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                              "the body has no Content-Type: "
                              "application/json is expected");
    }

    if (df_http_negotiate_coding(ctx) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = h->value.data;
    last = p + h->value.len;
    type = df_http_negotiate_next(&p, last, ';');

    format = df_http_negotiate_type(&type);

    if (format == DF_FORMAT_JSON
        || (format > DF_FORMAT_JSON && ctx->method->resource == DF_HTTP_BULK))
    {
        ctx->run.input = format;

        if (df_http_negotiate_charset(p, last)) {
            return NGX_OK;
        }

        return df_problem_set(&ctx->run.problem,
                              DF_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                              "%s is UTF-8, not \"%V\"",
                              format == DF_FORMAT_CSV ? "CSV" : "JSON",
                              &h->value);
    }

    if (ctx->method->resource == DF_HTTP_BULK) {
        return df_problem_set(&ctx->run.problem,
                              DF_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                              "the body is \"%V\": application/json, "
                              "application/x-ndjson or text/csv is expected",
                              &type);
    }

    /* what curl sends with -d alone deserves a hint */

    return df_problem_set(&ctx->run.problem, DF_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                          "the body is \"%V\": application/json is expected "
                          "(with curl: -H 'Content-Type: application/json')",
                          &type);
}


/* a body is never unpacked */

static ngx_int_t
df_http_negotiate_coding(df_http_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_str_t        *coding;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const ngx_str_t  name = ngx_string("content-encoding");
    static const ngx_str_t  identity = ngx_string("identity");

    for (part = &ctx->request->headers_in.headers.part;
         part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            coding = &h[i].value;

            if (h[i].key.len == name.len
                && ngx_memcmp(h[i].lowcase_key, name.data, name.len) == 0
                && coding->len != 0
                && (coding->len != identity.len
                    || ngx_strncasecmp(coding->data, identity.data,
                                       identity.len) != 0))
            {
                return df_problem_set(&ctx->run.problem,
                                      DF_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                                      "Content-Encoding \"%V\" is not taken: "
                                      "send the body as it is", coding);
            }
        }
    }

    return NGX_OK;
}


/* the format, or NGX_ERROR */

static ngx_int_t
df_http_negotiate_type(const ngx_str_t *type)
{
    ngx_uint_t  i;

    static ngx_str_t  suffix = ngx_string("+json");

    for (i = 0; i < DF_HTTP_FORMATS; i++) {
        if (type->len == df_http_types[i].len
            && ngx_strncasecmp(type->data, df_http_types[i].data, type->len)
               == 0)
        {
            return i;
        }
    }

    if (type->len > suffix.len
        && ngx_strncasecmp(type->data + type->len - suffix.len, suffix.data,
                           suffix.len)
           == 0)
    {
        return DF_FORMAT_JSON;
    }

    return NGX_ERROR;
}


static ngx_uint_t
df_http_negotiate_charset(u_char *p, u_char *last)
{
    ngx_str_t   param;
    ngx_uint_t  quoted;

    static ngx_str_t  name = ngx_string("charset=");
    static ngx_str_t  utf8 = ngx_string("utf-8");

    while (p < last) {
        param = df_http_negotiate_next(&p, last, ';');

        if (param.len < name.len
            || ngx_strncasecmp(param.data, name.data, name.len) != 0)
        {
            continue;
        }

        param.data += name.len;
        param.len -= name.len;

        quoted = (param.len > 1 && param.data[0] == '"'
                  && param.data[param.len - 1] == '"');

        return param.len - 2 * quoted == utf8.len
               && ngx_strncasecmp(param.data + quoted, utf8.data, utf8.len)
                  == 0;
    }

    return 1;
}


/* what stands before the next ch, without the blanks around it */

static ngx_str_t
df_http_negotiate_next(u_char **p, u_char *last, u_char ch)
{
    u_char     *start, *end;
    ngx_str_t   item;

    start = *p;
    end = ngx_strlchr(start, last, ch);

    if (end == NULL) {
        end = last;
        *p = last;

    } else {
        *p = end + 1;
    }

    while (start < end && (*start == ' ' || *start == '\t')) {
        start++;
    }

    while (end > start && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }

    item.data = start;
    item.len = end - start;

    return item;
}
