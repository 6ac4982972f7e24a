
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The conditions of partial indexes, which nginx.conf has as expressions and
 * the table as SQL.
 */


#include <ngx_config.h>
#include "query/expr.h"


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

            rc = df_expr_constant(cf->pool, model[i], &index[n].where, &sql,
                                  &problem);

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
