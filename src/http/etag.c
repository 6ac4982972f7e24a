
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Entity tags: "version-signature", and a digest of the fields behind that
 * when some were asked for.  The same version of a row reads differently
 * under another model, and with other fields.
 */


#include "http/http_internal.h"


#define DF_HTTP_SIGNATURE_LEN  8


static ngx_int_t df_http_etag_refuse(df_http_ctx_t *ctx);
static size_t df_http_etag_signature(df_http_ctx_t *ctx, u_char **signature);
static uint32_t df_http_etag_digest(df_http_ctx_t *ctx);


ngx_int_t
df_http_etag_add(df_http_ctx_t *ctx)
{
    size_t               len;
    u_char              *p, *signature;
    ngx_str_t            etag;
    ngx_http_request_t  *r;

    r = ctx->request;
    len = df_http_etag_signature(ctx, &signature);

    etag.data = ngx_pnalloc(r->pool, ctx->run.version.len + len
                                     + sizeof("\"--01234567\"") - 1);
    if (etag.data == NULL) {
        return NGX_ERROR;
    }

    p = etag.data;
    *p++ = '"';
    p = ngx_cpymem(p, ctx->run.version.data, ctx->run.version.len);
    *p++ = '-';
    p = ngx_cpymem(p, signature, len);

    if (ctx->query.fields.nelts) {
        p = ngx_sprintf(p, "-%08xD", df_http_etag_digest(ctx));
    }

    *p++ = '"';
    etag.len = p - etag.data;

    r->headers_out.etag = df_http_header(r, "ETag", &etag);

    return r->headers_out.etag ? NGX_OK : NGX_ERROR;
}


/*
 * The versions of If-Match.  A tag made under another model is left out: it
 * is none of the row's now.
 */

ngx_int_t
df_http_etag_parse(df_http_ctx_t *ctx)
{
    size_t               len;
    u_char              *p, *last, *signature;
    ngx_int_t            rc;
    ngx_str_t           *tag;
    ngx_uint_t           i, n;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->headers_in.if_match == NULL) {
        return NGX_OK;
    }

    if (ctx->method->resource != DF_HTTP_ITEM) {
        return (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
               ? NGX_OK : df_http_etag_refuse(ctx);
    }

    rc = df_query_parse_if_match(&ctx->query, &r->headers_in.if_match->value,
                                 &ctx->run.problem);
    if (rc != NGX_OK) {
        return rc;
    }

    len = df_http_etag_signature(ctx, &signature);
    tag = ctx->query.if_match.elts;
    n = 0;

    for (i = 0; i < ctx->query.if_match.nelts; i++) {
        last = tag[i].data + tag[i].len;
        p = ngx_strlchr(tag[i].data, last, '-');

        if (p == NULL
            || (size_t) (last - p) <= len
            || ngx_memcmp(p + 1, signature, len) != 0)
        {
            continue;
        }

        *p = '\0';
        tag[n].len = p - tag[i].data;
        tag[n++].data = tag[i].data;
    }

    ctx->query.if_match.nelts = n;

    return NGX_OK;
}


/* a write that was meant to depend on a version must not be made without */

static ngx_int_t
df_http_etag_refuse(df_http_ctx_t *ctx)
{
    df_problem_t  *problem;

    static const ngx_str_t  name = ngx_string("If-Match");

    problem = &ctx->run.problem;

    (void) df_problem_set(problem, DF_PROBLEM_BAD_REQUEST,
                          "If-Match is not taken here: it is for requests for "
                          "one record, by its path");

    return df_problem_add(problem, DF_PROBLEM_BAD_REQUEST, DF_AT_HEADER,
                          &name, "unsupported",
                          "a tag is that of one record: leave it out, or use "
                          "the record's path");
}


/* of a GET; for a write this is part of its statement */

ngx_uint_t
df_http_etag_matches(df_http_ctx_t *ctx)
{
    ngx_str_t   *version;
    ngx_uint_t   i;

    if (!ctx->query.has_if_match || ctx->query.if_match_any) {
        return 1;
    }

    version = ctx->query.if_match.elts;

    for (i = 0; i < ctx->query.if_match.nelts; i++) {
        if (version[i].len == ctx->run.version.len
            && ngx_memcmp(version[i].data, ctx->run.version.data,
                          version[i].len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static size_t
df_http_etag_signature(df_http_ctx_t *ctx, u_char **signature)
{
    const df_model_t  *model;

    model = ctx->query.model;
    *signature = model->signature.data;

    return ngx_min(model->signature.len, DF_HTTP_SIGNATURE_LEN);
}


static uint32_t
df_http_etag_digest(df_http_ctx_t *ctx)
{
    uint32_t      crc;
    ngx_uint_t    i;
    df_field_t  **fields;

    fields = ctx->query.fields.elts;

    ngx_crc32_init(crc);

    for (i = 0; i < ctx->query.fields.nelts; i++) {
        ngx_crc32_update(&crc, fields[i]->member.data, fields[i]->member.len);
    }

    ngx_crc32_final(crc);

    return crc;
}
