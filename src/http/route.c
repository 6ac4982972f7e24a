
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Which operation a path and a method name.  Reads the request line and
 * nothing else; the only file that knows the shape of the API's URLs.
 */


#include "http/http_internal.h"


static ngx_int_t df_http_route_path(df_http_ctx_t *ctx, ngx_uint_t *resource);
static ngx_int_t df_http_route_key(df_http_ctx_t *ctx, ngx_str_t *rest);
static ngx_int_t df_http_route_allow(df_http_ctx_t *ctx,
    ngx_uint_t resource);


#define DF_HTTP_ALL_FORMATS  (DF_FORMAT_CSV + 1)

/* a resource of a model's own, before a record whose key is a text */

typedef struct {
    ngx_str_t   name;
    ngx_uint_t  resource;
} df_http_resource_t;

static const df_http_resource_t  df_http_resources[] = {
    { ngx_string("query"), DF_HTTP_QUERY },
    { ngx_string("aggregate"), DF_HTTP_AGGREGATE },
    { ngx_string("bulk"), DF_HTTP_BULK }
};

#define DF_HTTP_RESOURCES                                                     \
    (sizeof(df_http_resources) / sizeof(df_http_resource_t))


static const df_http_method_t  df_http_methods[] = {

    { NGX_HTTP_GET|NGX_HTTP_HEAD, DF_HTTP_COLLECTION,
      DF_LIST, 1u << DF_LIST, DF_HTTP_ALL_FORMATS, NULL,
      ngx_string("GET, HEAD") },

    { NGX_HTTP_POST, DF_HTTP_COLLECTION,
      DF_CREATE, 1u << DF_CREATE, 1, df_http_handler_values,
      ngx_string("POST") },

    { NGX_HTTP_GET|NGX_HTTP_HEAD, DF_HTTP_AGGREGATE,
      DF_AGGREGATE, 1u << DF_AGGREGATE, DF_HTTP_ALL_FORMATS, NULL,
      ngx_string("GET, HEAD") },

    { NGX_HTTP_POST, DF_HTTP_AGGREGATE,
      DF_AGGREGATE, 1u << DF_AGGREGATE, DF_HTTP_ALL_FORMATS,
      df_http_aggregate_parse,
      ngx_string("POST") },

    { NGX_HTTP_GET|NGX_HTTP_HEAD, DF_HTTP_ITEM,
      DF_GET, 1u << DF_GET, 1, NULL,
      ngx_string("GET, HEAD") },

    { NGX_HTTP_PATCH, DF_HTTP_ITEM,
      DF_UPDATE, 1u << DF_UPDATE, 1, df_http_handler_values,
      ngx_string("PATCH") },

    { NGX_HTTP_PUT, DF_HTTP_ITEM,
      DF_REPLACE, 1u << DF_REPLACE, 1, df_http_handler_values,
      ngx_string("PUT") },

    { NGX_HTTP_DELETE, DF_HTTP_ITEM,
      DF_DELETE, 1u << DF_DELETE, 1, NULL,
      ngx_string("DELETE") },

    { NGX_HTTP_POST, DF_HTTP_QUERY,
      DF_LIST, 1u << DF_LIST, DF_HTTP_ALL_FORMATS, df_http_handler_query,
      ngx_string("POST") },

    { NGX_HTTP_POST, DF_HTTP_BULK,
      DF_BULK_CREATE, DF_BULKS, 1, df_http_handler_bulk,
      ngx_string("POST") }
};

#define DF_HTTP_METHODS                                                       \
    (sizeof(df_http_methods) / sizeof(df_http_method_t))


#define df_http_route_offers(ctx, m, where)                                   \
    (((m)->resource & (where))                                                \
     && ((ctx)->rules.expose & (m)->operations))


ngx_int_t
df_http_route(df_http_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_uint_t               i, resource;
    ngx_http_request_t      *r;
    const df_http_method_t  *m;

    r = ctx->request;
    resource = 0;

    rc = df_http_route_path(ctx, &resource);

    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < DF_HTTP_METHODS; i++) {
        m = &df_http_methods[i];

        if ((m->method & r->method) && df_http_route_offers(ctx, m, resource))
        {
            ctx->method = m;
            return NGX_OK;
        }
    }

    rc = df_http_route_allow(ctx, resource);

    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return NGX_OK;
    }

    return df_problem_set(&ctx->run.problem, DF_PROBLEM_METHOD_NOT_ALLOWED,
                          "%V is not among the methods of \"%V\"",
                          &r->method_name, &r->uri);
}


static ngx_int_t
df_http_route_path(df_http_ctx_t *ctx, ngx_uint_t *resource)
{
    ngx_int_t            rc;
    ngx_str_t            rest;
    ngx_uint_t           i;
    const ngx_str_t     *name;
    ngx_http_request_t  *r;
    df_http_loc_conf_t  *conf;

    r = ctx->request;
    conf = ctx->conf;

    if (r->uri.len < conf->path.len
        || ngx_memcmp(r->uri.data, conf->path.data, conf->path.len) != 0)
    {
        goto unknown;
    }

    rest.data = r->uri.data + conf->path.len;
    rest.len = r->uri.len - conf->path.len;

    if (rest.len == 0 || (rest.len == 1 && rest.data[0] == '/')) {
        *resource = DF_HTTP_COLLECTION;
        return NGX_OK;
    }

    if (rest.data[0] != '/') {
        goto unknown;
    }

    rest.data++;
    rest.len--;

    *resource = DF_HTTP_ITEM;

    for (i = 0; i < DF_HTTP_RESOURCES; i++) {
        name = &df_http_resources[i].name;

        if (rest.len != name->len
            || ngx_memcmp(rest.data, name->data, name->len) != 0)
        {
            continue;
        }

        /* a row can only have this key when keys are texts */

        if (!(conf->model->key->type->flags & DF_TYPE_TEXT)) {
            *resource = 0;
        }

        *resource |= df_http_resources[i].resource;
    }

    if (ngx_strlchr(rest.data, rest.data + rest.len, '/') == NULL) {
        ctx->key = rest;
        return NGX_OK;
    }

    rc = df_http_route_key(ctx, &rest);

    if (rc != NGX_DECLINED) {
        return rc;
    }

unknown:

    return df_problem_set(&ctx->run.problem, DF_PROBLEM_NOT_FOUND,
                          "there is nothing at \"%V\"", &r->uri);
}


/*
 * A key that holds a slash is sent as %2F, which r->uri does not tell from a
 * slash of the path: the request line does.
 */

static ngx_int_t
df_http_route_key(df_http_ctx_t *ctx, ngx_str_t *rest)
{
    u_char              *p, *last, *dst, *src;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r != r->main || r->internal) {
        return NGX_DECLINED;
    }

    p = r->unparsed_uri.data;
    last = ngx_strlchr(p, p + r->unparsed_uri.len, '?');

    if (last == NULL) {
        last = p + r->unparsed_uri.len;
    }

    for (src = last; src > p && src[-1] != '/'; src--) { /* void */ }

    ctx->key.data = ngx_pnalloc(r->pool, last - src);
    if (ctx->key.data == NULL) {
        return NGX_ERROR;
    }

    dst = ctx->key.data;
    ngx_unescape_uri(&dst, &src, last - src, 0);
    ctx->key.len = dst - ctx->key.data;

    if (ctx->key.len != rest->len
        || ngx_memcmp(ctx->key.data, rest->data, rest->len) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
df_http_route_allow(df_http_ctx_t *ctx, ngx_uint_t resource)
{
    u_char                  *p;
    ngx_str_t                allow;
    ngx_uint_t               i, known;
    const df_http_method_t  *m;
    u_char                   buf[128];

    p = buf;
    known = 0;

    for (i = 0; i < DF_HTTP_METHODS; i++) {
        m = &df_http_methods[i];

        if (df_http_route_offers(ctx, m, resource) && !(known & m->method)) {
            known |= m->method;

            p = ngx_cpymem(p, m->allow.data, m->allow.len);
            *p++ = ',';
            *p++ = ' ';
        }
    }

    if (p == buf) {
        return df_problem_set(&ctx->run.problem, DF_PROBLEM_NOT_FOUND,
                              "there is nothing at \"%V\"",
                              &ctx->request->uri);
    }

    p = ngx_cpymem(p, "OPTIONS", sizeof("OPTIONS") - 1);

    if (df_str_copy(ctx->request->pool, &allow, buf, p - buf) != NGX_OK
        || df_http_header(ctx->request, "Allow", &allow) == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
