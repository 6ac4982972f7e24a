
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A page of a list: its order, and the condition that it begins behind the
 * cursor's row.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


/* of pg_type.dat */
#define DF_QUERY_INT8OID  20


static ngx_uint_t df_query_page_is_row(const df_admitted_t *admitted);
static ngx_int_t df_query_page_after_row(df_compile_t *c,
    const df_admitted_t *admitted);
static ngx_int_t df_query_page_behind(df_compile_t *c, const df_sort_t *s,
    const df_value_t *value, ngx_uint_t last);


/* what a relation leads to may be missing */

static ngx_inline ngx_uint_t
df_query_page_nullable(const df_sort_t *s)
{
    return s->join != NULL || (!s->field->not_null && !s->field->key);
}


/*
 * Limit and offset are parameters, so that pages share a prepared statement;
 * PostgreSQL was measured to choose the same plans as with constants.
 */

ngx_int_t
df_compile_page(df_compile_t *c, const df_admitted_t *admitted,
    ngx_uint_t limit)
{
    ngx_int_t   rc;
    df_value_t  value;

    rc = df_compile_from(c, admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    if (admitted->after != NULL
        && (df_compile_sql(c, admitted->filter ? " AND " : " WHERE ") != NGX_OK
            || df_compile_after(c, admitted) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (df_compile_order(c, admitted) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&value, sizeof(df_value_t));

    if (!admitted->unlimited) {
        value.text = df_str_printf(c->pool, "%ui", limit);

        if (df_compile_sql(c, " LIMIT ") != NGX_OK
            || df_compile_param(c, DF_QUERY_INT8OID, &value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (admitted->offset) {
        value.text = df_str_printf(c->pool, "%ui", admitted->offset);

        if (df_compile_sql(c, " OFFSET ") != NGX_OK
            || df_compile_param(c, DF_QUERY_INT8OID, &value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The rows behind the cursor's.  A comparison of rows is what PostgreSQL
 * answers from an index best, but it knows neither mixed directions nor
 * nulls; these need the long form: (A OR (a = and (B OR (b = and …)))).
 */

ngx_int_t
df_compile_after(df_compile_t *c, const df_admitted_t *admitted)
{
    ngx_uint_t         i, n;
    const df_sort_t   *sort;
    const df_value_t  *after;

    if (df_query_page_is_row(admitted)) {
        return df_query_page_after_row(c, admitted);
    }

    sort = admitted->sort.elts;
    after = admitted->after;
    n = admitted->sort.nelts;

    if (!after[0].null && !df_query_page_nullable(&sort[0])) {

        /* says nothing new, but is a bound that an index can begin at */

        if (df_compile_column(c, NULL, sort[0].field) != NGX_OK
            || df_compile_sql(c, sort[0].descending ? " <= " : " >= ")
               != NGX_OK
            || df_compile_param(c, df_schema_oid(sort[0].field), &after[0])
               != NGX_OK
            || df_compile_sql(c, " AND ") != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < n; i++) {
        if (df_query_page_behind(c, &sort[i], &after[i], i == n - 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i + 1 < n; i++) {
        if (df_compile_sql(c, "))") != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_compile_sql(c, ")");
}


static ngx_uint_t
df_query_page_is_row(const df_admitted_t *admitted)
{
    ngx_uint_t        i;
    const df_sort_t  *sort;

    sort = admitted->sort.elts;

    for (i = 0; i < admitted->sort.nelts; i++) {
        if (df_query_page_nullable(&sort[i])
            || sort[i].descending != sort[0].descending)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
df_query_page_after_row(df_compile_t *c, const df_admitted_t *admitted)
{
    ngx_uint_t        i, n;
    const df_sort_t  *sort;

    sort = admitted->sort.elts;
    n = admitted->sort.nelts;

    for (i = 0; i < n; i++) {
        if (df_compile_sql(c, i ? ", " : "(") != NGX_OK
            || df_compile_column(c, NULL, sort[i].field) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_compile_sql(c, sort[0].descending ? ") < " : ") > ") != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (df_compile_sql(c, i ? ", " : "(") != NGX_OK
            || df_compile_param(c, df_schema_oid(sort[i].field),
                                &admitted->after[i])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_compile_sql(c, ")");
}


/* "(strictly behind OR (equal AND ", the last only "(strictly behind" */

static ngx_int_t
df_query_page_behind(df_compile_t *c, const df_sort_t *s,
    const df_value_t *value, ngx_uint_t last)
{
    ngx_uint_t  n;
    ngx_str_t   own, *name;

    own = s->field->quoted;
    name = &own;

    if (c->qualified) {
        own = df_str_printf(c->pool, "t%ui.%V", s->join ? s->join->index : 0,
                            &s->field->quoted);
    }

    if (value->null) {

        /* behind a null are the values, if nulls come first, else nothing */

        if (df_writer_printf(&c->sql, s->nulls_first ? "(%V IS NOT NULL"
                                                     : "(FALSE", name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return last ? NGX_OK
                    : df_writer_printf(&c->sql, " OR (%V IS NULL AND ", name);
    }

    if (df_writer_printf(&c->sql, "(%V %c ", name, s->descending ? '<' : '>')
        != NGX_OK
        || df_compile_param(c, df_schema_oid(s->field), value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = c->types.nelts;

    if (!s->nulls_first && df_query_page_nullable(s)
        && df_writer_printf(&c->sql, " OR %V IS NULL", name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return last ? NGX_OK
                : df_writer_printf(&c->sql, " OR (%V = $%ui AND ", name, n);
}


/*
 * The place of nulls is said only where it differs from PostgreSQL's own,
 * because an index serves an order only with the very same words.
 */

ngx_int_t
df_compile_order(df_compile_t *c, const df_admitted_t *admitted)
{
    ngx_uint_t        i;
    const df_sort_t  *s;

    s = admitted->sort.elts;

    for (i = 0; i < admitted->sort.nelts; i++) {

        if (df_compile_sql(c, i ? ", " : " ORDER BY ") != NGX_OK) {
            return NGX_ERROR;
        }

        /* of a column and a cast of it that is named alike, ORDER BY takes
           the cast, unless the table is named */

        if (s[i].field->selected.len != s[i].field->quoted.len
            && !c->qualified
            && (df_compile_str(c, &admitted->request->model->quoted) != NGX_OK
                || df_compile_sql(c, ".") != NGX_OK))
        {
            return NGX_ERROR;
        }

        if (df_compile_column(c, s[i].join, s[i].field) != NGX_OK
            || (s[i].descending && df_compile_sql(c, " DESC") != NGX_OK))
        {
            return NGX_ERROR;
        }

        if (df_query_page_nullable(&s[i])
            && s[i].nulls_first != s[i].descending
            && df_compile_sql(c, s[i].nulls_first ? " NULLS FIRST"
                                                  : " NULLS LAST")
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
