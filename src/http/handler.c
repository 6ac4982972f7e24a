
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The content handler: a request starts, is resumed, aborted and finished
 * here, and nowhere else is r->main->count touched.
 */


#include "http/http_internal.h"


static ngx_int_t df_http_handler_start(df_http_ctx_t *ctx);
static ngx_int_t df_http_handler_parse(df_http_ctx_t *ctx);
static ngx_int_t df_http_handler_parse_body(df_http_ctx_t *ctx);
static ngx_uint_t df_http_handler_streams(df_http_ctx_t *ctx);
static void df_http_handler_done(df_run_t *run);
static void df_http_handler_abort(void *data);


/* a JSON list of more rows than this is not held in memory */
#define DF_HTTP_BUFFERED_ROWS  1000


static const df_principal_t  df_http_anonymous;


ngx_int_t
df_http_handler(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    df_http_ctx_t  *ctx;

    ctx = df_http_handler_create(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = df_http_route(ctx);

    if (rc == NGX_OK && ctx->method == NULL) {
        return df_http_response_options(r);
    }

    if (rc == NGX_OK) {
        rc = df_http_handler_start(ctx);
    }

    return df_http_handler_leave(ctx, rc);
}


ngx_int_t
df_http_handler_leave(df_http_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        ctx->request->main->count++;
        rc = NGX_DONE;
    }

    return (rc == NGX_DONE) ? rc : df_http_handler_refuse(ctx, rc);
}


df_http_ctx_t *
df_http_handler_create(ngx_http_request_t *r)
{
    df_http_ctx_t        *ctx;
    df_http_main_conf_t  *dmcf;

    ctx = ngx_pcalloc(r->pool, sizeof(df_http_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    if (df_problem_init(&ctx->run.problem, r->pool) != NGX_OK) {
        return NULL;
    }

    ctx->request = r;
    ctx->conf = ngx_http_get_module_loc_conf(r, ngx_dataflow_module);

    dmcf = ngx_http_get_module_main_conf(r, ngx_dataflow_module);

    ctx->rules = ctx->conf->rules;
    ctx->rules.secret = df_zone_secret(dmcf->zone);

    ctx->run.pool = r->pool;
    ctx->run.log = r->connection->log;
    ctx->run.head = df_http_stream_head;
    ctx->run.body = df_http_stream_body;
    ctx->run.done = df_http_handler_done;
    ctx->run.data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_dataflow_module);

    return ctx;
}


/* NGX_OK, the run has started; NGX_DONE, the body is awaited */

static ngx_int_t
df_http_handler_start(df_http_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = df_http_negotiate(ctx);

    if (rc == NGX_OK && ctx->method->parse != NULL) {
        rc = df_http_negotiate_body(ctx);
    }

    if (rc == NGX_OK) {
        rc = df_http_handler_parse(ctx);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->run.input != DF_FORMAT_JSON) {
        return df_http_import(ctx);
    }

    if (ctx->method->parse != NULL) {
        return df_http_body_read(ctx);
    }

    rc = ngx_http_discard_request_body(ctx->request);

    if (rc != NGX_OK) {
        return rc;
    }

    return df_http_handler_run(ctx);
}


/* what is known before the body is */

static ngx_int_t
df_http_handler_parse(df_http_ctx_t *ctx)
{
    ngx_int_t            rc;
    df_run_t            *run;
    df_request_t        *query;
    ngx_http_request_t  *r;

    r = ctx->request;
    run = &ctx->run;
    query = &ctx->query;

    rc = df_query_request_init(query, r->pool, ctx->conf->model,
                               ctx->method->op);

    query->import = (run->input != DF_FORMAT_JSON);

    if (rc == NGX_OK && r->args.len) {
        rc = df_query_parse_args(query, &r->args, &run->problem);
    }

    if (rc == NGX_OK && ctx->method->resource == DF_HTTP_ITEM) {
        rc = df_query_parse_key(query, &ctx->key, &run->problem);
    }

    if (rc == NGX_OK) {
        rc = df_http_etag_parse(ctx);
    }

    query->minimal = ctx->minimal
                     && !df_query_is(query, DF_READS | DF_BULKS)
                     && query->op != DF_DELETE;

    return rc;
}


void
df_http_handler_body(df_http_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    r->read_event_handler = ngx_http_block_reading;

    if (rc == NGX_OK) {
        rc = df_http_handler_parse_body(ctx);
    }

    if (rc == NGX_OK) {
        rc = df_http_handler_run(ctx);
    }

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, df_http_handler_refuse(ctx, rc));
    }
}


static ngx_int_t
df_http_handler_parse_body(df_http_ctx_t *ctx)
{
    cJSON            *body;
    df_problem_t     *problem;
    df_json_error_t   error;

    problem = &ctx->run.problem;

    body = df_json_parse(ctx->request->pool, &ctx->body, &error);

    if (body == NULL) {
        return df_problem_set(problem, DF_PROBLEM_INVALID_JSON,
                              "line %ui, column %ui: %s",
                              error.line, error.column, error.reason);
    }

    return ctx->method->parse(ctx, body);
}


ngx_int_t
df_http_handler_query(df_http_ctx_t *ctx, const cJSON *body)
{
    return df_query_parse_query(&ctx->query, body, &ctx->run.problem);
}


ngx_int_t
df_http_handler_values(df_http_ctx_t *ctx, const cJSON *body)
{
    return df_query_parse_values(&ctx->query, body, NULL, &ctx->run.problem);
}


ngx_int_t
df_http_handler_bulk(df_http_ctx_t *ctx, const cJSON *body)
{
    return df_query_parse_bulk(&ctx->query, body, &ctx->rules,
                               &ctx->run.problem);
}


ngx_int_t
df_http_handler_run(df_http_ctx_t *ctx)
{
    ngx_int_t       rc;
    df_run_t       *run;
    df_admitted_t  *admitted;

    run = &ctx->run;

    if (ctx->parts.nelts) {
        return df_http_aggregate_run(ctx);
    }

    rc = df_query_parse_end(&ctx->query, &run->problem);

    if (rc == NGX_OK) {
        rc = df_http_handler_admit(ctx, &ctx->query, &ctx->rules, &admitted);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    run->admitted = admitted;
    run->streamed = df_http_handler_streams(ctx);

    return df_http_handler_begin(ctx, NULL, 0);
}


ngx_int_t
df_http_handler_admit(df_http_ctx_t *ctx, df_request_t *query,
    const df_rules_t *rules, df_admitted_t **admitted)
{
    return df_query_admit(query, &df_http_anonymous, rules,
                          ctx->run.format != DF_FORMAT_JSON, admitted,
                          &ctx->run.problem);
}


ngx_int_t
df_http_handler_begin(df_http_ctx_t *ctx, const df_batch_part_t *parts,
    ngx_uint_t n)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = ctx->request;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    rc = parts ? df_query_run_batch(&ctx->run, parts, n)
               : df_query_run(&ctx->run);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->running = 1;

    cln->handler = df_http_handler_abort;
    cln->data = ctx;

    /* a body that is being discarded is read by nginx */

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;

        /* no event follows when the client left right behind its request */

        if (r->connection->read->pending_eof) {
            ngx_post_event(r->connection->read, &ngx_posted_events);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
df_http_handler_streams(df_http_ctx_t *ctx)
{
    ngx_uint_t     limit;
    df_request_t  *query;

    query = &ctx->query;

    if (query->op == DF_AGGREGATE) {
        limit = query->has_limit ? query->limit : ctx->rules.max_limit;

        return query->limit_all || limit > DF_HTTP_BUFFERED_ROWS;
    }

    if (query->op != DF_LIST) {
        return 0;
    }

    limit = query->has_limit ? query->limit : ctx->rules.default_limit;

    return ctx->run.format != DF_FORMAT_JSON || limit > DF_HTTP_BUFFERED_ROWS;
}


/* what was not begun: a problem, or a status that nginx answers by itself */

ngx_int_t
df_http_handler_refuse(df_http_ctx_t *ctx, ngx_int_t rc)
{
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        rc = df_http_body_status(ctx, rc);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (rc != NGX_DECLINED) {
        (void) df_problem_set(&ctx->run.problem, DF_PROBLEM_INTERNAL,
                              "the request could not be carried out");
    }

    return df_http_response_problem(ctx->request, &ctx->run.problem);
}


static void
df_http_handler_done(df_run_t *run)
{
    ngx_int_t            rc;
    df_http_ctx_t       *ctx;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    ctx = run->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx->running = 0;

    if (ctx->streaming) {
        rc = df_http_stream_end(ctx);

    } else if (run->problem.code != DF_PROBLEM_NONE) {
        rc = df_http_response_problem(r, &run->problem);

    } else {
        rc = df_http_response_send(ctx);
    }

    ngx_http_finalize_request(r, rc);

    ngx_http_run_posted_requests(c);
}


static void
df_http_handler_abort(void *data)
{
    df_http_ctx_t  *ctx = data;

    if (ctx->running) {
        ctx->running = 0;
        df_query_abandon(&ctx->run);
    }
}
