
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * An admitted aggregate to its statement.  Groups and order are named by the
 * number of their column, but where that is a cast: what is grouped and sorted
 * is the value, not its text.
 */


#include <ngx_config.h>
#include "query/expr.h"


static ngx_int_t df_compile_outputs(df_compile_t *c, const df_request_t *r);
static ngx_int_t df_compile_groups(df_compile_t *c, const df_request_t *r);
static ngx_int_t df_compile_groups_order(df_compile_t *c,
    const df_admitted_t *admitted);
static ngx_int_t df_compile_output(df_compile_t *c,
    const df_output_t *output);


ngx_int_t
df_compile_aggregate(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    ngx_int_t            rc;
    df_value_t           limit;
    const df_request_t  *r;

    r = admitted->request;

    rc = df_compile_outputs(c, r);

    if (rc == NGX_OK) {
        rc = df_compile_from(c, admitted);
    }

    if (rc == NGX_OK) {
        rc = df_compile_groups(c, r);
    }

    if (rc == NGX_OK && r->having) {
        rc = df_compile_sql(c, " HAVING ");

        if (rc == NGX_OK) {
            rc = df_expr_compile(c, r->having);
        }
    }

    if (rc == NGX_OK) {
        rc = df_compile_groups_order(c, admitted);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (!admitted->unlimited) {

        /* one more tells whether there are more */

        ngx_memzero(&limit, sizeof(df_value_t));
        limit.text = df_str_printf(c->pool, "%ui", admitted->limit + 1);

        if (df_compile_sql(c, " LIMIT ") != NGX_OK
            || df_compile_param(c, df_schema_type_of(DF_BIGINT)->oid, &limit)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_compile_end(c, compiled);
}


static ngx_int_t
df_compile_outputs(df_compile_t *c, const df_request_t *r)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    const df_output_t  *output;

    output = r->outputs.elts;

    for (i = 0; i < r->outputs.nelts; i++) {

        if (df_compile_sql(c, i ? ", " : "SELECT ") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_expr_compile(c, output[i].expr);
        if (rc != NGX_OK) {
            return rc;
        }

        if (df_compile_str(c, &output[i].column.selected) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_compile_groups(df_compile_t *c, const df_request_t *r)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    const df_output_t  *output;

    output = r->outputs.elts;

    for (i = 0; i < r->outputs.nelts && output[i].group; i++) {

        if (df_compile_sql(c, i ? ", " : " GROUP BY ") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_compile_output(c, &output[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* the place of nulls is said only where it differs from PostgreSQL's own, so
   that an index can serve the order */

static ngx_int_t
df_compile_groups_order(df_compile_t *c, const df_admitted_t *admitted)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    const df_sort_t    *s;
    const df_output_t  *output;

    output = admitted->request->outputs.elts;
    s = admitted->sort.elts;

    for (i = 0; i < admitted->sort.nelts; i++) {

        if (df_compile_sql(c, i ? ", " : " ORDER BY ") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_compile_output(c, &output[s[i].field->index]);
        if (rc != NGX_OK) {
            return rc;
        }

        if ((s[i].descending && df_compile_sql(c, " DESC") != NGX_OK)
            || (!s[i].field->not_null && s[i].nulls_first != s[i].descending
                && df_compile_sql(c, s[i].nulls_first ? " NULLS FIRST"
                                                      : " NULLS LAST")
                   != NGX_OK))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_compile_output(df_compile_t *c, const df_output_t *output)
{
    if (output->column.selected.len) {
        return df_expr_compile(c, output->expr);
    }

    return df_writer_printf(&c->sql, "%ui", output->column.index + 1);
}
