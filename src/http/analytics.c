
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A location with dataflow_analytics: what is behind its path is the name of
 * a report or of a dashboard, and what is asked of them goes the way of every
 * aggregate.
 */


#include "http/http_internal.h"


static ngx_int_t df_http_analytics_route(df_http_ctx_t *ctx,
    const df_report_view_t **view);
static ngx_int_t df_http_analytics_unknown(df_http_ctx_t *ctx,
    const ngx_str_t *name, const ngx_str_t *nearest);
static ngx_int_t df_http_analytics_method(df_http_ctx_t *ctx);
static ngx_int_t df_http_analytics_list(df_http_ctx_t *ctx);
static ngx_int_t df_http_analytics_start(df_http_ctx_t *ctx,
    const df_report_view_t *view);
static ngx_int_t df_http_analytics_admit(df_http_ctx_t *ctx,
    const df_report_view_t *view, df_request_t *requests,
    df_batch_part_t *parts);


/* a report, and a dashboard, which is one document */

static const df_http_method_t  df_http_analytics_methods[] = {

    { NGX_HTTP_GET|NGX_HTTP_HEAD, 0,
      DF_AGGREGATE, 1u << DF_AGGREGATE, DF_FORMAT_CSV + 1, NULL,
      ngx_string("GET, HEAD, OPTIONS") },

    { NGX_HTTP_GET|NGX_HTTP_HEAD, 0,
      DF_AGGREGATE, 1u << DF_AGGREGATE, 1, NULL,
      ngx_string("GET, HEAD, OPTIONS") }
};


ngx_int_t
df_http_analytics_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    df_http_ctx_t           *ctx;
    const df_report_view_t  *view;

    ctx = df_http_handler_create(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = df_http_analytics_route(ctx, &view);

    if (rc == NGX_OK) {
        ctx->method = &df_http_analytics_methods[view && view->dashboard];
        rc = df_http_analytics_method(ctx);
    }

    if (rc == NGX_OK && r->method == NGX_HTTP_OPTIONS) {
        return df_http_response_options(r);
    }

    if (rc == NGX_OK && view == NULL) {
        return df_http_analytics_list(ctx);
    }

    if (rc == NGX_OK) {
        rc = df_http_analytics_start(ctx, view);
    }

    return df_http_handler_leave(ctx, rc);
}


/* view is NULL for the location itself */

static ngx_int_t
df_http_analytics_route(df_http_ctx_t *ctx, const df_report_view_t **view)
{
    ngx_str_t            name, *nearest;
    ngx_http_request_t  *r;
    df_http_loc_conf_t  *conf;

    r = ctx->request;
    conf = ctx->conf;

    *view = NULL;

    if (r->uri.len < conf->path.len
        || ngx_memcmp(r->uri.data, conf->path.data, conf->path.len) != 0)
    {
        return df_http_analytics_unknown(ctx, &r->uri, NULL);
    }

    name.data = r->uri.data + conf->path.len;
    name.len = r->uri.len - conf->path.len;

    if (name.len == 0 || (name.len == 1 && name.data[0] == '/')) {
        return NGX_OK;
    }

    if (name.data[0] != '/') {
        return df_http_analytics_unknown(ctx, &r->uri, NULL);
    }

    name.data++;
    name.len--;

    *view = df_report_view(conf->analytics, &name, &nearest);

    return *view ? NGX_OK : df_http_analytics_unknown(ctx, &name, nearest);
}


static ngx_int_t
df_http_analytics_unknown(df_http_ctx_t *ctx, const ngx_str_t *name,
    const ngx_str_t *nearest)
{
    df_problem_t  *problem;

    problem = &ctx->run.problem;

    if (nearest == NULL) {
        return df_problem_set(problem, DF_PROBLEM_NOT_FOUND,
                              "there is no report \"%V\"; \"%V/\" lists those "
                              "there are", name, &ctx->conf->path);
    }

    return df_problem_set(problem, DF_PROBLEM_NOT_FOUND,
                          "there is no report \"%V\"; did you mean \"%V\"?",
                          name, nearest);
}


static ngx_int_t
df_http_analytics_method(df_http_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->method & ctx->method->method) {
        return NGX_OK;
    }

    if (df_http_header(r, "Allow", &ctx->method->allow) == NULL) {
        return NGX_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return NGX_OK;
    }

    return df_problem_set(&ctx->run.problem, DF_PROBLEM_METHOD_NOT_ALLOWED,
                          "%V is not among the methods of \"%V\"",
                          &r->method_name, &r->uri);
}


static ngx_int_t
df_http_analytics_list(df_http_ctx_t *ctx)
{
    u_char              *equals;
    ngx_int_t            rc;
    ngx_str_t            name;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->args.len) {
        name = r->args;
        equals = ngx_strlchr(name.data, name.data + name.len, '=');

        if (equals) {
            name.len = equals - name.data;
        }

        rc = df_problem_add(&ctx->run.problem, DF_PROBLEM_UNKNOWN_PARAMETER,
                            DF_AT_PARAMETER, &name, "unknown_parameter",
                            "the list of reports takes no parameters");

        return df_http_handler_leave(ctx, rc);
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return df_http_response_text(r, NGX_HTTP_OK,
                                 &df_http_types[DF_FORMAT_JSON],
                                 &ctx->conf->analytics->listing);
}


static ngx_int_t
df_http_analytics_start(df_http_ctx_t *ctx, const df_report_view_t *view)
{
    ngx_int_t            rc;
    ngx_uint_t           n;
    df_request_t        *requests;
    df_batch_part_t     *parts;
    ngx_http_request_t  *r;

    r = ctx->request;
    n = view->reports.nelts;

    rc = df_http_negotiate(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    /* what is said of the answer is said of the first of them */

    requests = &ctx->query;

    if (n > 1) {
        requests = ngx_palloc(r->pool, n * sizeof(df_request_t));
    }

    parts = ngx_palloc(r->pool, n * sizeof(df_batch_part_t));

    if (requests == NULL || parts == NULL) {
        return NGX_ERROR;
    }

    rc = df_report_requests(view, r->pool, &r->args, requests,
                            &ctx->run.problem);

    if (rc == NGX_OK) {
        rc = df_http_analytics_admit(ctx, view, requests, parts);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_discard_request_body(r);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->query.op = DF_AGGREGATE;

    if (view->dashboard) {
        return df_http_handler_begin(ctx, parts, n);
    }

    ctx->run.admitted = parts->admitted;

    return df_http_handler_begin(ctx, NULL, 0);
}


static ngx_int_t
df_http_analytics_admit(df_http_ctx_t *ctx, const df_report_view_t *view,
    df_request_t *requests, df_batch_part_t *parts)
{
    ngx_int_t       rc;
    ngx_str_t      *words;
    ngx_uint_t      i;
    df_rules_t     *rules;
    df_admitted_t  *admitted;

    words = view->words.elts;

    for (i = 0; i < view->reports.nelts; i++) {
        rules = ngx_palloc(ctx->request->pool, sizeof(df_rules_t));
        if (rules == NULL) {
            return NGX_ERROR;
        }

        *rules = df_report_view_at(view, i)->rules;
        rules->secret = ctx->rules.secret;

        rc = df_http_handler_admit(ctx, &requests[i], rules, &admitted);
        if (rc != NGX_OK) {
            return rc;
        }

        parts[i].name = view->dashboard ? words[i] : view->name;
        parts[i].admitted = admitted;
    }

    return NGX_OK;
}
