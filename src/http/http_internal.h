
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files of http/ share among themselves.
 */


#ifndef _DF_HTTP_INTERNAL_H_INCLUDED_
#define _DF_HTTP_INTERNAL_H_INCLUDED_


#include "http/http.h"


DF_HIDDEN_BEGIN


/* what a path names; "/query" of a model with a text key is two things */
#define DF_HTTP_COLLECTION  0x01
#define DF_HTTP_ITEM        0x02
#define DF_HTTP_QUERY       0x04
#define DF_HTTP_AGGREGATE   0x08
#define DF_HTTP_BULK        0x10

typedef struct df_http_ctx_s  df_http_ctx_t;

/* a method of a resource: a row of the table of route.c */

typedef struct {
    ngx_uint_t                method;       /* NGX_HTTP_GET|NGX_HTTP_HEAD */
    ngx_uint_t                resource;     /* DF_HTTP_ITEM, … */
    df_operation_t            op;           /* until its body says more */
    ngx_uint_t                operations;   /* bits: it is offered where one
                                               of them is */
    ngx_uint_t                formats;      /* of answers, from DF_FORMAT_JSON
                                               on */
    ngx_int_t               (*parse)(df_http_ctx_t *ctx, const cJSON *body);
                                            /* NULL: there is no body */
    ngx_str_t                 allow;        /* "GET, HEAD" */
} df_http_method_t;

/* a request on its way: all steps fill run.problem when something is wrong */

struct df_http_ctx_s {
    ngx_http_request_t       *request;
    df_http_loc_conf_t       *conf;
    df_rules_t                rules;
    const df_http_method_t   *method;       /* NULL for OPTIONS */
    ngx_str_t                 key;          /* of an item, decoded */
    ngx_str_t                 body;
    df_writer_t               body_writer;
    off_t                     received;     /* of a body that is imported */
    df_request_t              query;
    ngx_array_t               parts;        /* df_named_request_t, of several
                                               aggregates; else empty */
    df_run_t                  run;

    unsigned                  minimal:1;    /* Prefer: return=minimal */
    unsigned                  running:1;
    unsigned                  streaming:1;  /* the header is sent */
    unsigned                  failed:1;     /* the client cannot be reached */
};


/* conf: makes the handler the location's; it must have none */
ngx_int_t df_http_conf_handle(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_handler_pt handler);

/* handler: bodies of JSON, as ctx->method->parse has them */
ngx_int_t df_http_handler_query(df_http_ctx_t *ctx, const cJSON *body);
ngx_int_t df_http_handler_values(df_http_ctx_t *ctx, const cJSON *body);
ngx_int_t df_http_handler_bulk(df_http_ctx_t *ctx, const cJSON *body);

/* aggregate: the body of one or several, and the run of several */
ngx_int_t df_http_aggregate_parse(df_http_ctx_t *ctx, const cJSON *body);
ngx_int_t df_http_aggregate_run(df_http_ctx_t *ctx);

/*
 * handler: what the content handlers of all locations have in common.  A ctx
 * is created; its request, or the parts of a batch, are admitted; the run is
 * begun; and what the handler leaves with is what nginx expects of it.
 */
df_http_ctx_t *df_http_handler_create(ngx_http_request_t *r);
ngx_int_t df_http_handler_admit(df_http_ctx_t *ctx, df_request_t *query,
    const df_rules_t *rules, df_admitted_t **admitted);
ngx_int_t df_http_handler_run(df_http_ctx_t *ctx);
/* run->admitted, or a batch when there are parts */
ngx_int_t df_http_handler_begin(df_http_ctx_t *ctx,
    const df_batch_part_t *parts, ngx_uint_t n);
ngx_int_t df_http_handler_leave(df_http_ctx_t *ctx, ngx_int_t rc);
ngx_int_t df_http_handler_refuse(df_http_ctx_t *ctx, ngx_int_t rc);

/*
 * handler: called with the body, NGX_DECLINED and a problem, or a status of
 * nginx's own; now or in a later turn
 */
void df_http_handler_body(df_http_ctx_t *ctx, ngx_int_t rc);

/* route: path and method to ctx->method and ctx->key; puts Allow into the
   answer where one belongs.  NGX_OK or NGX_DECLINED or NGX_ERROR */
ngx_int_t df_http_route(df_http_ctx_t *ctx);

/* negotiate: Accept and Prefer; Content-Type of a body */
extern const ngx_str_t  df_http_types[];    /* by df_format_t */

ngx_int_t df_http_negotiate(df_http_ctx_t *ctx);
ngx_int_t df_http_negotiate_body(df_http_ctx_t *ctx);

/* body: NGX_DONE, df_http_handler_body() was or will be called; NGX_DECLINED;
   or a status of nginx's own */
ngx_int_t df_http_body_read(df_http_ctx_t *ctx);

/* a refusal by nginx's reader as a problem, where the client still listens */
ngx_int_t df_http_body_status(df_http_ctx_t *ctx, ngx_int_t status);
ngx_int_t df_http_body_too_large(df_http_ctx_t *ctx, off_t limit);

/* import: begins a run and gives it the body; returns what df_http_body_read()
   does */
ngx_int_t df_http_import(df_http_ctx_t *ctx);
void df_http_import_more(df_run_t *run);

/* etag: the ETag of a record; If-Match to query.if_match; whether it holds */
ngx_int_t df_http_etag_add(df_http_ctx_t *ctx);
ngx_int_t df_http_etag_parse(df_http_ctx_t *ctx);
ngx_uint_t df_http_etag_matches(df_http_ctx_t *ctx);

/* response: these return what ngx_http_finalize_request() takes */
ngx_int_t df_http_response_send(df_http_ctx_t *ctx);
ngx_int_t df_http_response_options(ngx_http_request_t *r);
ngx_int_t df_http_response_text(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *type, ngx_str_t *text);
ngx_int_t df_http_response_problem(ngx_http_request_t *r,
    df_problem_t *problem);

/* stream: head and body of a run, and its end after the head */
void df_http_stream_head(df_run_t *run);
ngx_int_t df_http_stream_body(df_run_t *run, ngx_chain_t *piece);
ngx_int_t df_http_stream_end(df_http_ctx_t *ctx);


/* headers of one name are linked since nginx 1.23 */

static ngx_inline ngx_table_elt_t *
df_http_header_add(ngx_http_request_t *r, const char *key, size_t len,
    const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.len = len;
    h->key.data = (u_char *) key;
    h->value = *value;

    return h;
}


#define df_http_header(r, key, value)                                         \
    df_http_header_add(r, key, sizeof(key) - 1, value)


DF_HIDDEN_END


#endif /* _DF_HTTP_INTERNAL_H_INCLUDED_ */
