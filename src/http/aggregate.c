
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Aggregates in a body: one, which is run as any request is, or several, which
 * are answered together.
 */


#include "http/http_internal.h"


ngx_int_t
df_http_aggregate_parse(df_http_ctx_t *ctx, const cJSON *body)
{
    df_run_t  *run;
    ngx_int_t  rc;

    run = &ctx->run;

    rc = df_query_parse_aggregates(&ctx->query, body, &ctx->parts,
                                   &run->problem);

    if (rc == NGX_OK && ctx->parts.nelts && run->format != DF_FORMAT_JSON) {
        return df_problem_set(&run->problem, DF_PROBLEM_NOT_ACCEPTABLE,
                              "several aggregates are answered as "
                              "application/json");
    }

    return rc;
}


ngx_int_t
df_http_aggregate_run(df_http_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_uint_t           i, n;
    df_admitted_t       *admitted;
    df_batch_part_t     *batch;
    df_named_request_t  *part;

    part = ctx->parts.elts;
    n = ctx->parts.nelts;

    batch = ngx_palloc(ctx->run.pool, n * sizeof(df_batch_part_t));
    if (batch == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        rc = df_http_handler_admit(ctx, &part[i].request, &ctx->rules,
                                   &admitted);

        if (rc != NGX_OK) {
            return rc;
        }

        batch[i].name = part[i].name;
        batch[i].admitted = admitted;
    }

    return df_http_handler_begin(ctx, batch, n);
}
