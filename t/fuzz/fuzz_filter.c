
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: the JSON filter, from its text to a condition in SQL.  The tree
 * keeps its bounds, no operand is in the text of the condition, and an
 * operator has as many operands as it compares.
 */


#include "fuzz_model.h"


static void fuzz_filter_compile(ngx_pool_t *pool, const df_predicate_t *p);
static void fuzz_filter_check(const df_predicate_t *p, ngx_uint_t depth,
    ngx_uint_t *nodes);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON            *node;
    ngx_int_t         rc;
    ngx_str_t         text;
    ngx_uint_t        nodes;
    ngx_pool_t       *pool;
    df_place_t        place;
    df_filter_t       filter;
    df_problem_t      problem;
    df_request_t      r;
    df_predicate_t   *p;
    df_json_error_t   error;

    pool = ngx_shim_pool();

    text.data = (u_char *) data;
    text.len = size;

    node = df_json_parse(pool, &text, &error);

    if (node == NULL) {
        ngx_destroy_pool(pool);
        return 0;
    }

    ngx_memzero(&place, sizeof(df_place_t));
    ngx_str_set(&place.parameter, "filter");

    filter.request = &r;
    filter.problem = &problem;

    ngx_shim_check(df_problem_init(&problem, pool) == NGX_OK);
    ngx_shim_check(df_query_request_init(&r, pool, fuzz_model_create(pool),
                                         DF_LIST)
                   == NGX_OK);

    rc = df_query_filter_json(&filter, node, &place, &p);

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&problem);

    } else {
        ngx_shim_check(rc == NGX_OK);

        nodes = 0;
        fuzz_filter_check(p, 0, &nodes);
        ngx_shim_check(nodes <= DF_FILTER_MAX_NODES);

        fuzz_filter_compile(pool, p);
    }

    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_filter_check(const df_predicate_t *p, ngx_uint_t depth,
    ngx_uint_t *nodes)
{
    ngx_uint_t             n;
    const df_predicate_t  *child;

    (*nodes)++;
    ngx_shim_check(depth <= 2 * DF_FILTER_MAX_DEPTH + 2);

    if (p->kind == DF_PREDICATE_COMPARE) {
        ngx_shim_check(p->op != NULL && !p->field->hidden);
        ngx_shim_check(p->npath <= DF_FILTER_MAX_PATH);
        ngx_shim_check(p->noperands <= DF_FILTER_MAX_LIST);

        n = (p->op->operand == DF_OPERAND_TWO) ? 2 : 1;

        ngx_shim_check(p->noperands == n
                       || p->op->operand == DF_OPERAND_LIST
                       || p->op->operand == DF_OPERAND_ELEMENTS);
        return;
    }

    for (child = p->children; child; child = child->next) {
        fuzz_filter_check(child, depth + 1, nodes);
    }
}


static void
fuzz_filter_compile(ngx_pool_t *pool, const df_predicate_t *p)
{
    ngx_str_t      sql;
    df_compile_t   c;
    df_problem_t   problem;

    ngx_memzero(&c, sizeof(df_compile_t));

    c.pool = pool;
    c.problem = &problem;

    ngx_shim_check(df_problem_init(&problem, pool) == NGX_OK);
    ngx_shim_check(df_writer_init(&c.sql, pool, 256) == NGX_OK);
    ngx_shim_check(ngx_array_init(&c.types, pool, 8, sizeof(Oid)) == NGX_OK);
    ngx_shim_check(ngx_array_init(&c.values, pool, 8, sizeof(char *))
                   == NGX_OK);

    ngx_shim_check(df_query_compile_predicate(&c, p) == NGX_OK);
    ngx_shim_check(df_writer_text(&c.sql, &sql) == NGX_OK);
    ngx_shim_check(c.types.nelts == c.values.nelts);

    fuzz_model_check_sql(&sql);
}
