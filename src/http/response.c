
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Answers that are known whole: the headers of an operation's outcome, its
 * body, and problems.  Decides nothing about the data.
 */


#include "http/http_internal.h"


static ngx_uint_t df_http_response_status(df_http_ctx_t *ctx);
static ngx_int_t df_http_response_headers(df_http_ctx_t *ctx);
static ngx_int_t df_http_response_location(df_http_ctx_t *ctx);
static ngx_int_t df_http_response_next(df_http_ctx_t *ctx);
static u_char *df_http_response_args(u_char *dst, const ngx_str_t *args);
static ngx_uint_t df_http_response_is_begin(u_char *p, u_char *end);
static ngx_int_t df_http_response_body(ngx_http_request_t *r,
    ngx_chain_t *out, off_t length);
static void df_http_response_instance(ngx_http_request_t *r,
    ngx_str_t *instance);


static const ngx_str_t  df_http_accept = ngx_string("Accept");
static const ngx_str_t  df_http_minimal = ngx_string("return=minimal");
static const ngx_str_t  df_http_true = ngx_string("true");
static const ngx_str_t  df_http_problem_type =
                                     ngx_string("application/problem+json");


ngx_int_t
df_http_response_send(df_http_ctx_t *ctx)
{
    df_run_t            *run;
    ngx_http_request_t  *r;

    r = ctx->request;
    run = &ctx->run;

    if (ctx->query.op == DF_GET && !df_http_etag_matches(ctx)) {
        (void) df_problem_set(&run->problem, DF_PROBLEM_PRECONDITION_FAILED,
                              "the record is not the one of If-Match");
        return df_http_response_problem(r, &run->problem);
    }

    if (df_http_response_headers(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = df_http_response_status(ctx);

    return df_http_response_body(r, run->out, run->length);
}


static ngx_uint_t
df_http_response_status(df_http_ctx_t *ctx)
{
    if (ctx->query.op == DF_CREATE && !ctx->query.dry_run) {
        return NGX_HTTP_CREATED;
    }

    /* no rows are an answer, too, which as NDJSON has no bytes */

    return (ctx->run.out || df_query_is(&ctx->query, DF_ROWS))
           ? NGX_HTTP_OK : NGX_HTTP_NO_CONTENT;
}


static ngx_int_t
df_http_response_headers(df_http_ctx_t *ctx)
{
    df_run_t            *run;
    ngx_http_request_t  *r;

    r = ctx->request;
    run = &ctx->run;

    /* nginx's filter answers 304; what it says of If-Match comes too late for
       a write and is not a problem document */

    r->disable_not_modified = (ctx->query.op != DF_GET
                               || r->headers_in.if_match
                               || r->headers_in.if_unmodified_since);

    if (run->out || df_query_is(&ctx->query, DF_ROWS)) {
        r->headers_out.content_type = df_http_types[run->format];
        r->headers_out.content_type_len = r->headers_out.content_type.len;
    }

    if (df_query_is(&ctx->query, DF_ROWS)) {

        if (df_http_header(r, "Vary", &df_http_accept) == NULL) {
            return NGX_ERROR;
        }

        /* a list's next page is told by a link or in the document */

        if (run->truncated && run->format != DF_FORMAT_JSON
            && ctx->query.op != DF_LIST
            && df_http_header(r, "X-Dataflow-Truncated", &df_http_true)
               == NULL)
        {
            return NGX_ERROR;
        }

        return run->next.len ? df_http_response_next(ctx) : NGX_OK;
    }

    if (ctx->query.minimal
        && df_http_header(r, "Preference-Applied", &df_http_minimal) == NULL)
    {
        return NGX_ERROR;
    }

    /* what was rolled back has no version and no place */

    if (ctx->query.dry_run) {
        return df_http_header(r, "X-Dataflow-Dry-Run", &df_http_true)
               ? NGX_OK : NGX_ERROR;
    }

    /* the version is the record's, not that of records within it */

    if (run->version.len && ctx->query.nincludes == 0
        && df_http_etag_add(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (ctx->query.op == DF_CREATE && run->key.len)
           ? df_http_response_location(ctx) : NGX_OK;
}


/*
 * A reference without a host: not headers_out.location, which nginx would
 * make absolute with a name that a proxy before it may not be known by.
 */

static ngx_int_t
df_http_response_location(df_http_ctx_t *ctx)
{
    u_char              *p;
    ngx_str_t            location, *path, *key;
    ngx_http_request_t  *r;

    r = ctx->request;
    path = &ctx->conf->path;
    key = &ctx->run.key;

    location.len = path->len + 1 + key->len
                   + 2 * ngx_escape_uri(NULL, key->data, key->len,
                                        NGX_ESCAPE_URI_COMPONENT);

    location.data = ngx_pnalloc(r->pool, location.len);
    if (location.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(location.data, path->data, path->len);
    *p++ = '/';
    (void) ngx_escape_uri(p, key->data, key->len, NGX_ESCAPE_URI_COMPONENT);

    return df_http_header(r, "Location", &location) ? NGX_OK : NGX_ERROR;
}


/* the same list behind the cursor; of a POST the document tells it alone */

static ngx_int_t
df_http_response_next(df_http_ctx_t *ctx)
{
    u_char              *p;
    ngx_str_t            link, *next;
    ngx_http_request_t  *r;

    r = ctx->request;
    next = &ctx->run.next;

    if (ctx->method->parse != NULL) {
        return NGX_OK;
    }

    link.data = ngx_pnalloc(r->pool, 3 * (r->args.len + next->len)
                                     + sizeof("<?&cursor=>; rel=\"next\""));
    if (link.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(link.data, "<?", 2);
    p = df_http_response_args(p, &r->args);
    p = ngx_cpymem(p, "cursor=", sizeof("cursor=") - 1);
    p = (u_char *) ngx_escape_uri(p, next->data, next->len,
                                  NGX_ESCAPE_URI_COMPONENT);
    p = ngx_cpymem(p, ">; rel=\"next\"", sizeof(">; rel=\"next\"") - 1);

    link.len = p - link.data;

    return df_http_header(r, "Link", &link) ? NGX_OK : NGX_ERROR;
}


/*
 * All arguments but those that say where the page begins, each with an "&".
 * They were taken from a URL; only what would end the reference is escaped.
 */

static u_char *
df_http_response_args(u_char *dst, const ngx_str_t *args)
{
    u_char  *p, *last, *end;

    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end == p || df_http_response_is_begin(p, end)) {
            continue;
        }

        for ( /* void */ ; p < end; p++) {
            if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '<' || *p == '>')
            {
                dst = ngx_sprintf(dst, "%%%02Xd", (int) *p);

            } else {
                *dst++ = *p;
            }
        }

        *dst++ = '&';
    }

    return dst;
}


/* the name may be percent-encoded, as long as three times */

static ngx_uint_t
df_http_response_is_begin(u_char *p, u_char *end)
{
    u_char  *last, *dst, name[3 * (sizeof("cursor") - 1)];

    last = ngx_strlchr(p, end, '=');

    if (last == NULL) {
        last = end;
    }

    if ((size_t) (last - p) > sizeof(name)) {
        return 0;
    }

    dst = name;
    ngx_unescape_uri(&dst, &p, last - p, 0);

    return dst - name == 6 && (ngx_memcmp(name, "cursor", 6) == 0
                               || ngx_memcmp(name, "offset", 6) == 0);
}


static ngx_int_t
df_http_response_body(ngx_http_request_t *r, ngx_chain_t *out, off_t length)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    r->headers_out.content_length_n = out ? length : 0;

    if (out == NULL) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    for (cl = out; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = (r == r->main);
    cl->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, out);
}


ngx_int_t
df_http_response_options(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;

    return df_http_response_body(r, NULL, 0);
}


ngx_int_t
df_http_response_text(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *type, ngx_str_t *text)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    r->headers_out.status = status;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->disable_not_modified = (r->headers_out.etag == NULL);

    return df_http_response_body(r, cl, text->len);
}


ngx_int_t
df_http_response_problem(ngx_http_request_t *r, df_problem_t *problem)
{
    ngx_str_t   text, instance, seconds;
    ngx_uint_t  status, level;

    status = df_problem_status(problem);
    level = (status < NGX_HTTP_INTERNAL_SERVER_ERROR) ? NGX_LOG_INFO
                                                      : NGX_LOG_ERR;

    ngx_log_error(level, r->connection->log, 0, "dataflow answers %ui: %V",
                  status, &problem->detail);

    /* a client that waits for "100 Continue" must not be told to go on, and
       whether its body still comes is not known */

    if (r->headers_in.expect && !r->expect_tested) {
        r->expect_tested = 1;
        r->keepalive = 0;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }

    if (problem->retry_after) {
        seconds = df_str_printf(r->pool, "%ui", problem->retry_after);

        if (df_http_header(r, "Retry-After", &seconds) == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    /* nginx knows no name for it */

    if (status == 422) {
        ngx_str_set(&r->headers_out.status_line, "422 Unprocessable Content");
    }

    df_http_response_instance(r, &instance);

    if (df_problem_print(problem, &instance, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return df_http_response_text(r, status, &df_http_problem_type, &text);
}


/* the same $request_id as in the access log, if that has it */

static void
df_http_response_instance(ngx_http_request_t *r, ngx_str_t *instance)
{
    ngx_http_variable_value_t  *v;

    static ngx_str_t  name = ngx_string("request_id");

    ngx_str_null(instance);

    v = ngx_http_get_variable(r, &name, ngx_hash_key(name.data, name.len));

    if (v && !v->not_found) {
        *instance = df_str_printf(r->pool, "urn:request:%v", v);
    }
}
