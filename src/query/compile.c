
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * An admitted request to statements: what reads.  Only names of the declared
 * model and texts of this folder's own tables become SQL; every value is a
 * parameter.  Where a page begins and how it is ordered is written by
 * compile_page.c, what writes by compile_write.c.
 */


#include <ngx_config.h>
#include "query/include.h"


static ngx_int_t df_query_compile_answer(const df_admitted_t *admitted,
    ngx_pool_t *pool, df_compiled_t *compiled, df_problem_t *problem);
static ngx_int_t df_query_compile_answer_sort(const df_admitted_t *admitted,
    ngx_pool_t *pool, df_compiled_t *compiled);
static ngx_uint_t df_query_compile_column(df_compiled_t *compiled,
    const df_join_t *join, const df_field_t *field);
static ngx_int_t df_query_compile_get(const df_admitted_t *admitted,
    df_compile_t *c, df_compiled_t *compiled);
static ngx_int_t df_query_compile_list(const df_admitted_t *admitted,
    df_compile_t *c, df_compiled_t *compiled);
static ngx_int_t df_query_compile_count(const df_admitted_t *admitted,
    df_compile_t *c, df_compiled_t *compiled);


typedef ngx_int_t (*df_query_compile_pt)(const df_admitted_t *admitted,
    df_compile_t *c, df_compiled_t *compiled);


static const df_query_compile_pt  df_query_compilers[DF_OPERATIONS] = {
    [DF_LIST] = df_query_compile_list,
    [DF_GET] = df_query_compile_get,
    [DF_CREATE] = df_compile_write,
    [DF_UPDATE] = df_compile_write,
    [DF_REPLACE] = df_compile_write,
    [DF_DELETE] = df_compile_write,
    [DF_AGGREGATE] = df_compile_aggregate
};


ngx_int_t
df_query_compile(const df_admitted_t *admitted, ngx_pool_t *pool,
    ngx_uint_t streamed, df_compiled_t *compiled, df_problem_t *problem)
{
    ngx_int_t     rc;
    df_compile_t  c;

    ngx_memzero(compiled, sizeof(df_compiled_t));

    compiled->lane = streamed ? DF_PG_STREAM : DF_PG_READ;
    compiled->count = -1;
    compiled->estimate = -1;
    compiled->check = -1;
    compiled->version = -1;
    compiled->key = -1;

    ngx_memzero(&c, sizeof(df_compile_t));
    c.qualified = (admitted->request->joins.nelts != 0);
    c.params = admitted->request->params;

    rc = df_query_compile_answer(admitted, pool, compiled, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    compiled->rows = compiled->nstatements;

    if (df_compile_init(&c, pool, problem) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_query_compilers[admitted->request->op](admitted, &c, compiled);
}


/* which columns "rows" has, and what each of them is for */

static ngx_int_t
df_query_compile_answer(const df_admitted_t *admitted, ngx_pool_t *pool,
    df_compiled_t *compiled, df_problem_t *problem)
{
    ngx_int_t            rc;
    ngx_uint_t           n;
    df_columns_t         columns;
    const df_request_t  *r;

    r = admitted->request;

    compiled->limit = admitted->limit;
    compiled->unlimited = admitted->unlimited;

    if (r->op != DF_DELETE && !r->minimal) {
        compiled->nfields = admitted->fields.nelts;
    }

    n = compiled->nfields + df_compile_include_columns(admitted)
        + admitted->sort.nelts + 1;

    compiled->columns = ngx_palloc(pool, n * sizeof(df_field_t *));
    compiled->joins = ngx_pcalloc(pool, n * sizeof(df_join_t *));

    if (compiled->columns == NULL || compiled->joins == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(compiled->columns, admitted->fields.elts,
               compiled->nfields * sizeof(df_field_t *));

    compiled->ncolumns = compiled->nfields;

    if (r->nincludes) {
        columns.fields = compiled->columns;
        columns.joins = compiled->joins;
        columns.n = compiled->ncolumns;
        columns.from = 0;

        rc = df_compile_include(admitted, pool, &columns, compiled, problem);
        if (rc != NGX_OK) {
            return rc;
        }

        compiled->ncolumns = columns.n;
    }

    if (r->op == DF_LIST) {
        return df_query_compile_answer_sort(admitted, pool, compiled);
    }

    if (r->op == DF_AGGREGATE) {
        return NGX_OK;
    }

    if (r->op == DF_CREATE || r->op == DF_DELETE) {
        compiled->key = df_query_compile_column(compiled, NULL, r->model->key);
    }

    if (r->op != DF_DELETE) {
        compiled->version = compiled->ncolumns;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_compile_answer_sort(const df_admitted_t *admitted, ngx_pool_t *pool,
    df_compiled_t *compiled)
{
    ngx_uint_t        i;
    const df_sort_t  *sort;

    if (admitted->unlimited || admitted->limit == 0) {
        /* there is no next page, and no cursor to be made */
        return NGX_OK;
    }

    compiled->sort_columns = ngx_palloc(pool, admitted->sort.nelts
                                              * sizeof(ngx_uint_t));
    if (compiled->sort_columns == NULL) {
        return NGX_ERROR;
    }

    sort = admitted->sort.elts;

    for (i = 0; i < admitted->sort.nelts; i++) {
        compiled->sort_columns[i] = df_query_compile_column(compiled,
                                                            sort[i].join,
                                                            sort[i].field);
    }

    return NGX_OK;
}


/* the field's column, a new one when it is not among those answered */

static ngx_uint_t
df_query_compile_column(df_compiled_t *compiled, const df_join_t *join,
    const df_field_t *field)
{
    ngx_uint_t  i;

    for (i = 0; i < compiled->ncolumns; i++) {
        if (compiled->columns[i] == field && compiled->joins[i] == join) {
            return i;
        }
    }

    compiled->columns[compiled->ncolumns] = field;
    compiled->joins[compiled->ncolumns] = join;

    return compiled->ncolumns++;
}


static ngx_int_t
df_query_compile_get(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    size_t             list;
    ngx_int_t          rc;
    df_pg_key_t       *key;
    const df_field_t  *field;

    field = admitted->request->model->key;

    if (df_compile_sql(c, "SELECT ") != NGX_OK
        || df_compile_columns(c, compiled) != NGX_OK)
    {
        return NGX_ERROR;
    }

    list = (size_t) df_writer_length(&c->sql);

    rc = df_compile_one(c, admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = df_compile_end(c, compiled);

    if (rc != NGX_OK || admitted->filter != NULL || c->qualified
        || compiled->includes != NULL || !(field->type->flags & DF_TYPE_EXACT))
    {
        return rc;
    }

    /* several of these, waiting together, are sent as one */

    key = ngx_palloc(c->pool, sizeof(df_pg_key_t));
    if (key == NULL) {
        return NGX_ERROR;
    }

    key->column = field->quoted;
    key->array = field->type->array_oid;
    key->list = list;

    compiled->statements[0].key = key;

    return NGX_OK;
}


static ngx_int_t
df_query_compile_list(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    ngx_int_t  rc;

    if (df_compile_sql(c, "SELECT ") != NGX_OK
        || df_compile_columns(c, compiled) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* one more row than wanted tells whether there is a next page */

    rc = df_compile_page(c, admitted, admitted->limit
                                      + (admitted->limit ? 1 : 0));
    if (rc != NGX_OK) {
        return rc;
    }

    rc = df_compile_end(c, compiled);
    if (rc != NGX_OK || admitted->request->count == DF_COUNT_NONE) {
        return rc;
    }

    return df_query_compile_count(admitted, c, compiled);
}


/*
 * An estimate is exact up to DF_COUNT_CAP rows, where counting is cheap, and
 * the planner's own figure for the same filter beyond.
 */

static ngx_int_t
df_query_compile_count(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    ngx_int_t   rc;
    ngx_uint_t  exact;

    exact = (admitted->request->count == DF_COUNT_EXACT);

    if (df_compile_init(c, c->pool, c->problem) != NGX_OK
        || df_compile_sql(c, "SELECT count(*)") != NGX_OK
        || (!exact && df_compile_sql(c, " FROM (SELECT 1") != NGX_OK))
    {
        return NGX_ERROR;
    }

    rc = df_compile_from(c, admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!exact
        && df_writer_printf(&c->sql, " LIMIT %d) AS t", DF_COUNT_CAP + 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    compiled->count = compiled->nstatements;

    rc = df_compile_end(c, compiled);
    if (rc != NGX_OK || exact) {
        return rc;
    }

    if (df_compile_init(c, c->pool, c->problem) != NGX_OK
        || df_compile_sql(c, "EXPLAIN (FORMAT JSON) SELECT 1") != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_compile_from(c, admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    compiled->estimate = compiled->nstatements;

    return df_compile_end(c, compiled);
}


ngx_int_t
df_compile_from(df_compile_t *c, const df_admitted_t *admitted)
{
    ngx_int_t  rc;

    if (df_compile_sql(c, " FROM ") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_compile_tables(c, admitted);
    if (rc != NGX_OK || admitted->filter == NULL) {
        return rc;
    }

    if (df_compile_sql(c, " WHERE ") != NGX_OK) {
        return NGX_ERROR;
    }

    return df_query_compile_predicate(c, admitted->filter);
}
