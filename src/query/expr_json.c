
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Expressions in JSON to the trees that infix makes.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


ngx_int_t
df_expr_read(ngx_pool_t *pool, const cJSON *node, const df_place_t *place,
    df_expr_t **expr, df_problem_t *problem)
{
    ngx_str_t         text;
    df_expr_reader_t  reader;

    ngx_memzero(&reader, sizeof(df_expr_reader_t));

    reader.pool = pool;
    reader.problem = problem;

    text = df_json_text(node);

    return df_expr_parse_text(&reader, &text, place, expr);
}
