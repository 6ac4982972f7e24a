
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A body that is imported while it is read.  It is kept nowhere: when the
 * database does not take more the client is not read, and TCP makes it wait.
 */


#include "http/http_internal.h"


static void df_http_import_start(ngx_http_request_t *r);
static void df_http_import_event(ngx_http_request_t *r);
static void df_http_import_go_on(df_http_ctx_t *ctx);
static ngx_int_t df_http_import_read(df_http_ctx_t *ctx);
static ngx_int_t df_http_import_take(df_http_ctx_t *ctx);
static ngx_int_t df_http_import_buf(df_http_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t df_http_import_file(df_http_ctx_t *ctx, ngx_buf_t *b);
static void df_http_import_wait(df_http_ctx_t *ctx);
static void df_http_import_abandon(df_http_ctx_t *ctx);


/* of a body that another module has put into a file */
#define DF_HTTP_IMPORT_PIECE  16384

/* bytes of a file, behind which others have their turn: it is all there, and
   what nginx reads of a socket at a time is not much more */
#define DF_HTTP_IMPORT_TURN   (1024 * 1024)


ngx_int_t
df_http_import(df_http_ctx_t *ctx)
{
    off_t                limit;
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;
    limit = ctx->conf->body_limit;

    if (limit && r->headers_in.content_length_n > limit) {
        return df_http_body_too_large(ctx, limit);
    }

    ctx->run.more = df_http_import_more;

    rc = df_http_handler_run(ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, df_http_import_start);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        df_http_import_abandon(ctx);
        return rc;
    }

    return NGX_DONE;
}


static void
df_http_import_start(ngx_http_request_t *r)
{
    df_http_import_go_on(ngx_http_get_module_ctx(r, ngx_dataflow_module));
}


static void
df_http_import_event(ngx_http_request_t *r)
{
    df_http_import_go_on(ngx_http_get_module_ctx(r, ngx_dataflow_module));
}


/* the database has taken what it was behind with */

void
df_http_import_more(df_run_t *run)
{
    df_http_ctx_t     *ctx;
    ngx_connection_t  *c;

    ctx = run->data;
    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    df_http_import_go_on(ctx);

    ngx_http_run_posted_requests(c);
}


static void
df_http_import_go_on(df_http_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;
    rc = df_http_import_read(ctx);

    if (rc == NGX_BUSY) {
        r->read_event_handler = df_http_import_event;
        return;
    }

    if (rc == NGX_OK || rc == NGX_AGAIN) {
        df_http_import_wait(ctx);
        return;
    }

    df_http_import_abandon(ctx);

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_finalize_request(r, df_http_handler_refuse(ctx, rc));
}


/* NGX_OK, the import has all of it; NGX_AGAIN, it takes no more now; NGX_BUSY:
   more is to come from the client, or of a file in the next turn */

static ngx_int_t
df_http_import_read(df_http_ctx_t *ctx)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    for ( ;; ) {
        rc = df_http_import_take(ctx);

        if (rc != NGX_OK) {
            return rc;
        }

        if (!r->reading_body) {
            p = (u_char *) "";
            return df_query_import(&ctx->run, &p, p, 1);
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return NGX_BUSY;
        }
    }
}


/* what is there; nginx uses a buffer again once its pos has reached last */

static ngx_int_t
df_http_import_take(df_http_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_chain_t              *cl;
    ngx_http_request_t       *r;
    ngx_http_request_body_t  *rb;

    r = ctx->request;
    rb = r->request_body;

    while (rb != NULL && rb->bufs != NULL) {
        cl = rb->bufs;

        rc = ngx_buf_in_memory(cl->buf) ? df_http_import_buf(ctx, cl->buf)
                                        : df_http_import_file(ctx, cl->buf);
        if (rc != NGX_OK) {
            return rc;
        }

        rb->bufs = cl->next;

        if (r->request_body_no_buffering) {
            ngx_free_chain(r->pool, cl);
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_http_import_buf(df_http_ctx_t *ctx, ngx_buf_t *b)
{
    off_t       limit;
    u_char     *p;
    ngx_int_t   rc;

    if (b->pos == b->last) {
        return NGX_OK;
    }

    p = b->pos;
    rc = df_query_import(&ctx->run, &b->pos, b->last, 0);

    limit = ctx->conf->body_limit;
    ctx->received += b->pos - p;

    if ((rc == NGX_OK || rc == NGX_AGAIN) && limit && ctx->received > limit) {
        return df_http_body_too_large(ctx, limit);
    }

    return rc;
}


static ngx_int_t
df_http_import_file(df_http_ctx_t *ctx, ngx_buf_t *b)
{
    off_t         left, end;
    u_char       *p;
    size_t        size;
    ssize_t       n;
    ngx_int_t     rc;
    ngx_event_t  *rev;
    u_char        piece[DF_HTTP_IMPORT_PIECE];

    end = b->file_pos + DF_HTTP_IMPORT_TURN;

    for ( ;; ) {
        left = b->file_last - b->file_pos;

        if (left == 0) {
            return NGX_OK;
        }

        if (b->file_pos >= end) {
            rev = ctx->request->connection->read;
            ngx_post_event(rev, &ngx_posted_next_events);

            return NGX_BUSY;
        }

        size = (size_t) ngx_min(left, (off_t) sizeof(piece));
        n = ngx_read_file(b->file, piece, size, b->file_pos);

        if (n <= 0) {
            return NGX_ERROR;
        }

        p = piece;
        rc = df_query_import(&ctx->run, &p, piece + n, 0);

        b->file_pos += p - piece;

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/* for the database: how long that takes is not the client's fault, but it may
   leave */

static void
df_http_import_wait(df_http_ctx_t *ctx)
{
    ngx_event_t         *rev;
    ngx_http_request_t  *r;

    r = ctx->request;
    rev = r->connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    r->read_event_handler = ngx_http_test_reading;

    if (rev->pending_eof) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}


static void
df_http_import_abandon(df_http_ctx_t *ctx)
{
    if (ctx->running) {
        ctx->running = 0;
        df_query_abandon(&ctx->run);
    }
}
