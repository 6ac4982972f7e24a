
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The request's body in memory: bounded, never in a temporary file, and not
 * copied when it came together with the header.
 */


#include "http/http_internal.h"


static void df_http_body_start(ngx_http_request_t *r);
static void df_http_body_event(ngx_http_request_t *r);
static ngx_int_t df_http_body_collect(df_http_ctx_t *ctx);
static ngx_int_t df_http_body_take(df_http_ctx_t *ctx);
static ngx_int_t df_http_body_add(df_http_ctx_t *ctx, ngx_buf_t *b);


/* with client_max_body_size 0 */
#define DF_HTTP_BODY_MAX    (64 * 1024 * 1024)

/* memory that a Content-Length alone is believed for */
#define DF_HTTP_BODY_START  (64 * 1024)


#define df_http_body_limit(ctx)                                               \
    ((ctx)->conf->body_limit ? (ctx)->conf->body_limit : DF_HTTP_BODY_MAX)


ngx_int_t
df_http_body_read(df_http_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->headers_in.content_length_n > df_http_body_limit(ctx)) {
        return df_http_body_too_large(ctx, df_http_body_limit(ctx));
    }

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, df_http_body_start);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


ngx_int_t
df_http_body_status(df_http_ctx_t *ctx, ngx_int_t status)
{
    if (ctx->request->connection->error) {
        return status;
    }

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return df_http_body_too_large(ctx, df_http_body_limit(ctx));
    }

    if (status == NGX_HTTP_BAD_REQUEST) {
        ctx->request->keepalive = 0;

        return df_problem_set(&ctx->run.problem, DF_PROBLEM_BAD_REQUEST,
                              "the chunks of the body are malformed");
    }

    return status;
}


static void
df_http_body_start(ngx_http_request_t *r)
{
    off_t           size;
    ngx_int_t       rc;
    ngx_buf_t      *b;
    ngx_chain_t    *cl;
    df_http_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_dataflow_module);

    cl = r->request_body ? r->request_body->bufs : NULL;

    if (!r->reading_body
        && (cl == NULL || (cl->next == NULL && ngx_buf_in_memory(cl->buf))))
    {
        if (cl) {
            b = cl->buf;
            ctx->body.data = b->pos;
            ctx->body.len = b->last - b->pos;
        }

        df_http_handler_body(ctx, NGX_OK);
        return;
    }

    size = r->headers_in.content_length_n + 1;

    if (size <= 1 || size > DF_HTTP_BODY_START) {
        size = DF_HTTP_BODY_START;
    }

    rc = df_writer_init(&ctx->body_writer, r->pool, (size_t) size);

    if (rc == NGX_OK) {
        r->read_event_handler = df_http_body_event;
        rc = df_http_body_collect(ctx);
    }

    if (rc != NGX_AGAIN) {
        df_http_handler_body(ctx, rc);
    }
}


static void
df_http_body_event(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    df_http_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_dataflow_module);

    rc = df_http_body_collect(ctx);

    if (rc != NGX_AGAIN) {
        df_http_handler_body(ctx, rc);
    }
}


static ngx_int_t
df_http_body_collect(df_http_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    for ( ;; ) {
        rc = df_http_body_take(ctx);

        if (rc != NGX_OK) {
            return rc;
        }

        if (!r->reading_body) {
            return df_writer_text(&ctx->body_writer, &ctx->body);
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return NGX_AGAIN;
        }
    }
}


/* what is there; nginx uses a buffer again once its pos has reached last */

static ngx_int_t
df_http_body_take(df_http_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_chain_t              *cl, *next;
    ngx_http_request_t       *r;
    ngx_http_request_body_t  *rb;

    r = ctx->request;
    rb = r->request_body;

    for (cl = rb->bufs; cl; cl = next) {
        next = cl->next;

        rc = df_http_body_add(ctx, cl->buf);

        if (rc != NGX_OK) {
            return rc;
        }

        if (r->request_body_no_buffering) {
            cl->buf->pos = cl->buf->last;
            ngx_free_chain(r->pool, cl);
        }
    }

    if (r->request_body_no_buffering) {
        rb->bufs = NULL;
    }

    return NGX_OK;
}


static ngx_int_t
df_http_body_add(df_http_ctx_t *ctx, ngx_buf_t *b)
{
    off_t         size;
    df_writer_t  *w;

    w = &ctx->body_writer;
    size = ngx_buf_size(b);

    if (size > df_http_body_limit(ctx) - df_writer_length(w)) {
        return df_http_body_too_large(ctx, df_http_body_limit(ctx));
    }

    if (size == 0) {
        return NGX_OK;
    }

    if (ngx_buf_in_memory(b)) {
        return df_writer_add(w, b->pos, (size_t) size);
    }

    /* another module, mirror for one, has read the body before us */

    if (df_writer_reserve(w, (size_t) size) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_read_file(b->file, w->pos, (size_t) size, b->file_pos)
        != (ssize_t) size)
    {
        return NGX_ERROR;
    }

    w->pos += size;

    return NGX_OK;
}


ngx_int_t
df_http_body_too_large(df_http_ctx_t *ctx, off_t limit)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    /* what is on its way is read for a while, else the client gets a reset
       before it has seen the answer */

    r->keepalive = 0;
    r->lingering_close = 1;

    return df_problem_set(&ctx->run.problem, DF_PROBLEM_PAYLOAD_TOO_LARGE,
                          "the body is over the limit of %O bytes", limit);
}
