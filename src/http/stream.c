
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Lists that are sent while they are read.  A client that does not take its
 * bytes pauses the run, a stream that breaks breaks the answer too.
 */


#include "http/http_internal.h"


static void df_http_stream_writer(ngx_http_request_t *r);
static ngx_int_t df_http_stream_output(df_http_ctx_t *ctx, ngx_chain_t *piece);
static ngx_int_t df_http_stream_wait(ngx_http_request_t *r);
static void df_http_stream_reset(ngx_http_request_t *r);


void
df_http_stream_head(df_run_t *run)
{
    ngx_int_t            rc;
    df_http_ctx_t       *ctx;
    ngx_http_request_t  *r;

    static const ngx_str_t  accept = ngx_string("Accept");

    ctx = run->data;
    r = ctx->request;

    ngx_http_set_log_request(r->connection->log, r);

    ctx->streaming = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = df_http_types[run->format];
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_length_n = -1;
    r->disable_not_modified = 1;

    if (df_http_header(r, "Vary", &accept) == NULL) {
        ctx->failed = 1;
        return;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        ctx->failed = 1;
    }
}


ngx_int_t
df_http_stream_body(df_run_t *run, ngx_chain_t *piece)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    df_http_ctx_t       *ctx;
    ngx_http_request_t  *r;

    ctx = run->data;
    r = ctx->request;

    ngx_http_set_log_request(r->connection->log, r);

    if (ctx->failed || r->header_only) {
        return NGX_ERROR;
    }

    for (cl = piece; cl->next; cl = cl->next) { /* void */ }

    cl->buf->flush = 1;

    rc = df_http_stream_output(ctx, piece);

    if (rc == NGX_AGAIN) {
        r->write_event_handler = df_http_stream_writer;
        rc = df_http_stream_wait(r);
    }

    if (rc == NGX_ERROR) {
        ctx->failed = 1;
    }

    return rc;
}


static void
df_http_stream_writer(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_event_t       *wev;
    df_http_ctx_t     *ctx;
    ngx_connection_t  *c;

    c = r->connection;
    wev = c->write;
    ctx = ngx_http_get_module_ctx(r, ngx_dataflow_module);

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client does not take the list");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = wev->delayed ? NGX_AGAIN : df_http_stream_output(ctx, NULL);

    if (rc == NGX_AGAIN) {
        rc = df_http_stream_wait(r);
    }

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (rc == NGX_AGAIN) {
        return;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    /* the request may be gone when this returns */

    df_query_resume(&ctx->run);
}


/* NGX_OK, NGX_AGAIN when not all is on its way, NGX_ERROR */

static ngx_int_t
df_http_stream_output(df_http_ctx_t *ctx, ngx_chain_t *piece)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    if (ngx_http_output_filter(r, piece) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_chain_update_chains(r->pool, &ctx->run.free, &ctx->run.busy, &piece,
                            DF_QUERY_TAG);

    /* what a subrequest says before its turn waits in the postpone filter */

    if (r->buffered || r->postponed || r != c->data
        || (r == r->main && c->buffered))
    {
        return NGX_AGAIN;
    }

    if (c->write->timer_set && !c->write->delayed) {
        ngx_del_timer(c->write);
    }

    return NGX_OK;
}


static ngx_int_t
df_http_stream_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;

    if (r != r->connection->data) {
        return NGX_AGAIN;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


ngx_int_t
df_http_stream_end(df_http_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->header_only) {
        return NGX_OK;
    }

    if (ctx->failed) {
        return NGX_ERROR;
    }

    if (ctx->run.problem.code != DF_PROBLEM_NONE) {

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "list broken off after %ui rows: %V",
                      ctx->run.rows, &ctx->run.problem.detail);

        df_http_stream_reset(r);

        return NGX_ERROR;
    }

    return ngx_http_send_special(r, NGX_HTTP_LAST);
}


/*
 * No last chunk and RST_STREAM tell a client of HTTP/1.1 and 2 that the list
 * is not whole.  Without chunks only a reset of the connection does.
 */

static void
df_http_stream_reset(ngx_http_request_t *r)
{
    struct linger  linger;

    if (r->http_version > NGX_HTTP_VERSION_11 || r->main->chunked) {
        return;
    }

    linger.l_onoff = 1;
    linger.l_linger = 0;

    if (setsockopt(r->connection->fd, SOL_SOCKET, SO_LINGER,
                   (const void *) &linger, sizeof(struct linger))
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_socket_errno,
                      "setsockopt(SO_LINGER) failed");
    }
}
