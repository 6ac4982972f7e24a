
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The conditions of partial indexes, which nginx.conf has as expressions and
 * the table as SQL.
 */


#include <ngx_config.h>
#include "query/expr.h"


static ngx_int_t df_query_conf_where(ngx_conf_t *cf, const df_model_t *model,
    const df_index_t *index, ngx_str_t *sql, df_problem_t *problem);


ngx_int_t
df_query_conf_indexes(ngx_conf_t *cf, df_schema_conf_t *conf)
{
    ngx_int_t      rc;
    ngx_str_t      sql;
    ngx_uint_t     i, n;
    df_index_t    *index;
    df_model_t   **model;
    df_problem_t   problem;

    model = conf->models.elts;

    for (i = 0; i < conf->models.nelts; i++) {
        index = model[i]->indexes.elts;

        for (n = 0; n < model[i]->indexes.nelts; n++) {

            if (index[n].where.len == 0) {
                continue;
            }

            (void) df_problem_init(&problem, cf->pool);

            rc = df_query_conf_where(cf, model[i], &index[n], &sql, &problem);

            if (rc == NGX_DECLINED) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "invalid condition of an index of model \"%V\": "
                              "%V in %s:%ui", &model[i]->name,
                              &problem.detail, index[n].file, index[n].line);
            }

            if (rc != NGX_OK
                || df_schema_index_where(cf, model[i], &index[n], &sql)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* of the row alone: an index knows no other */

static ngx_int_t
df_query_conf_where(ngx_conf_t *cf, const df_model_t *model,
    const df_index_t *index, ngx_str_t *sql, df_problem_t *problem)
{
    ngx_int_t        rc;
    df_place_t       place;
    df_scope_t       scope;
    ngx_array_t      joins;
    df_compile_t     c;
    df_predicate_t  *predicate;

    ngx_memzero(&scope, sizeof(df_scope_t));
    ngx_memzero(&place, sizeof(df_place_t));
    ngx_memzero(&c, sizeof(df_compile_t));

    ngx_str_set(&place.parameter, "where");

    scope.pool = cf->pool;
    scope.model = model;
    scope.joins = &joins;
    scope.problem = problem;

    if (ngx_array_init(&joins, cf->pool, 1, sizeof(df_join_t *)) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_expr_where(&scope, &index->where, &place, &predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    if (joins.nelts) {
        return df_problem_set(problem, DF_PROBLEM_INVALID_VALUE,
                              "where: it reaches over relation \"%V\", and an "
                              "index knows its own table only",
                              &(*(df_join_t **) joins.elts)->relation->name);
    }

    if (df_compile_init(&c, cf->pool, problem) != NGX_OK) {
        return NGX_ERROR;
    }

    c.constant = 1;

    rc = df_query_compile_predicate(&c, predicate);

    return (rc == NGX_OK) ? df_writer_text(&c.sql, sql) : rc;
}
