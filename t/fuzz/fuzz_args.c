
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: the query string, from its bytes to statements, and the bodies
 * of POST …/query and POST …/aggregate.  The first byte chooses the operation.
 * What is refused is refused with a problem, what is accepted gives the same
 * statement each time and has left none of its bytes in it.
 */


#include "fuzz_model.h"


static ngx_int_t fuzz_args_compile(ngx_pool_t *pool, const df_model_t *model,
    df_operation_t op, const ngx_str_t *text, ngx_uint_t body,
    ngx_str_t *sql);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t        rc;
    ngx_str_t        text, first, second;
    ngx_uint_t       body;
    ngx_pool_t      *pool;
    df_model_t      *model;
    df_operation_t   op;

    if (size == 0) {
        return 0;
    }

    pool = ngx_shim_pool();
    model = fuzz_model_create(pool);

    /* most of what there is to read is a list's, then an aggregate's */

    body = (data[0] >= 0xfe);
    op = (data[0] < DF_OPERATIONS) ? data[0]
         : (data[0] % 4 == 2) ? DF_AGGREGATE : DF_LIST;

    text.data = (u_char *) data + 1;
    text.len = size - 1;

    rc = fuzz_args_compile(pool, model, op, &text, body, &first);

    ngx_shim_check(fuzz_args_compile(pool, model, op, &text, body, &second)
                   == rc);

    if (rc == NGX_OK) {
        ngx_shim_check(first.len == second.len
                       && ngx_memcmp(first.data, second.data, first.len) == 0);
    }

    ngx_destroy_pool(pool);

    return 0;
}


static ngx_int_t
fuzz_args_compile(ngx_pool_t *pool, const df_model_t *model,
    df_operation_t op, const ngx_str_t *text, ngx_uint_t body, ngx_str_t *sql)
{
    cJSON             *node;
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_array_t        parts;
    df_problem_t       problem;
    df_request_t       r;
    df_admitted_t     *admitted;
    df_compiled_t      compiled;
    df_json_error_t    error;

    ngx_memzero(&compiled, sizeof(df_compiled_t));

    ngx_shim_check(df_problem_init(&problem, pool) == NGX_OK);
    ngx_shim_check(df_query_request_init(&r, pool, model, op) == NGX_OK);

    if (body) {
        node = df_json_parse(pool, text, &error);

        if (node == NULL) {
            return NGX_DECLINED;
        }

        ngx_memzero(&parts, sizeof(ngx_array_t));

        rc = (op == DF_AGGREGATE)
             ? df_query_parse_aggregates(&r, node, &parts, &problem)
             : df_query_parse_query(&r, node, &problem);

        if (rc == NGX_OK && parts.nelts) {
            r = ((df_named_request_t *) parts.elts)[parts.nelts - 1].request;

        } else if (rc == NGX_OK) {
            rc = df_query_parse_end(&r, &problem);
        }

    } else {
        rc = df_query_parse_args(&r, text, &problem);

        if (rc == NGX_OK) {
            rc = df_query_parse_end(&r, &problem);
        }
    }

    if (rc == NGX_OK) {
        rc = df_query_admit(&r, &fuzz_model_principal, &fuzz_model_rules, 1,
                            &admitted, &problem);
    }

    if (rc == NGX_OK && df_query_is(&r, DF_READS)) {
        rc = df_query_compile(admitted, pool, 1, &compiled, &problem);
    }

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&problem);
        return rc;
    }

    ngx_shim_check(rc == NGX_OK);
    ngx_str_set(sql, "");

    for (i = 0; i < compiled.nstatements; i++) {
        *sql = compiled.statements[i].text;

        fuzz_model_check_sql(sql);
        ngx_shim_check(compiled.statements[i].nparams <= DF_MAX_PARAMETERS);
    }

    return NGX_OK;
}
