
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What all statements are put together of: names, parameters, the tables that
 * are read and the columns that are answered.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


/* what a relation leads to may be missing, or hidden by the gate: its columns
   are null then */

ngx_int_t
df_compile_tables(df_compile_t *c, const df_admitted_t *admitted)
{
    return df_compile_joined(c, admitted->request->model,
                             &admitted->request->joins,
                             admitted->join_filters);
}


ngx_int_t
df_compile_joined(df_compile_t *c, const df_model_t *model,
    const ngx_array_t *joins, df_predicate_t **filters)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    df_join_t           **join;
    const df_relation_t  *relation;

    if (df_compile_str(c, &model->quoted) != NGX_OK
        || (c->qualified && df_compile_sql(c, " t0") != NGX_OK))
    {
        return NGX_ERROR;
    }

    join = joins->elts;

    for (i = 0; i < joins->nelts; i++) {
        relation = join[i]->relation;

        if (df_writer_printf(&c->sql, " LEFT JOIN %V t%ui ON t%ui.%V = ",
                             &relation->target->quoted, join[i]->index,
                             join[i]->index, &relation->target->key->quoted)
            != NGX_OK
            || df_compile_column(c, join[i]->parent, relation->field)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (filters == NULL || filters[i] == NULL) {
            continue;
        }

        if (df_compile_sql(c, " AND ") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_query_compile_predicate(c, filters[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
df_compile_init(df_compile_t *c, ngx_pool_t *pool, df_problem_t *problem)
{
    c->pool = pool;
    c->problem = problem;
    c->memos = NULL;

    if (df_writer_init(&c->sql, pool, 512) != NGX_OK
        || ngx_array_init(&c->types, pool, 8, sizeof(Oid)) != NGX_OK
        || ngx_array_init(&c->values, pool, 8, sizeof(char *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
df_compile_end(df_compile_t *c, df_compiled_t *compiled)
{
    return df_compile_statement(c,
                              &compiled->statements[compiled->nstatements++]);
}


ngx_int_t
df_compile_statement(df_compile_t *c, df_pg_statement_t *st)
{
    if (c->types.nelts > DF_MAX_PARAMETERS) {
        return df_problem_set(c->problem, DF_PROBLEM_TOO_COMPLEX,
                              "the request has more than %d values",
                              DF_MAX_PARAMETERS);
    }

    if (df_writer_text(&c->sql, &st->text) != NGX_OK) {
        return NGX_ERROR;
    }

    st->nparams = c->types.nelts;
    st->types = c->types.elts;
    st->values = c->values.elts;

    return NGX_OK;
}


ngx_int_t
df_compile_where_key(df_compile_t *c, const df_admitted_t *admitted)
{
    const df_request_t  *r;

    r = admitted->request;

    if (df_compile_sql(c, " WHERE ") != NGX_OK
        || df_compile_column(c, NULL, r->model->key) != NGX_OK
        || df_compile_sql(c, " = ") != NGX_OK
        || df_compile_param(c, df_schema_oid(r->model->key), &r->key)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (admitted->filter == NULL) {
        return NGX_OK;
    }

    if (df_compile_sql(c, " AND ") != NGX_OK) {
        return NGX_ERROR;
    }

    return df_query_compile_predicate(c, admitted->filter);
}


ngx_int_t
df_compile_one(df_compile_t *c, const df_admitted_t *admitted)
{
    ngx_int_t  rc;

    if (df_compile_sql(c, " FROM ") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_compile_tables(c, admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_compile_where_key(c, admitted);
}


ngx_int_t
df_compile_columns(df_compile_t *c, const df_compiled_t *compiled)
{
    ngx_uint_t  i;

    for (i = 0; i < compiled->ncolumns; i++) {
        if ((i && df_compile_sql(c, ",") != NGX_OK)
            || df_compile_selected(c, compiled->joins[i], compiled->columns[i])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (compiled->version == -1) {
        return NGX_OK;
    }

    if (c->qualified) {
        return df_compile_sql(c, i ? ",t0.xmin" : "t0.xmin");
    }

    return df_compile_sql(c, i ? ",xmin" : "xmin");
}


ngx_int_t
df_compile_selected(df_compile_t *c, const df_join_t *join,
    const df_field_t *f)
{
    if (c->qualified
        && df_writer_printf(&c->sql, "t%ui.", join ? join->index : 0)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_str(c, &f->selected);
}


ngx_int_t
df_compile_param(df_compile_t *c, Oid type, const df_value_t *value)
{
    Oid          *oid;
    const char  **text;

    if (c->constant) {
        return df_compile_constant(c, type, value);
    }

    oid = ngx_array_push(&c->types);
    text = ngx_array_push(&c->values);

    if (oid == NULL || text == NULL
        || df_writer_reserve(&c->sql, NGX_INT_T_LEN + 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *oid = type;
    *text = value->null ? NULL : (const char *) value->text.data;

    c->sql.pos = ngx_sprintf(c->sql.pos, "$%ui", c->types.nelts);

    return NGX_OK;
}


ngx_int_t
df_compile_param_once(df_compile_t *c, Oid type, const df_value_t *value)
{
    Oid          *types;
    ngx_uint_t    i;
    const char  **values;

    types = c->types.elts;
    values = c->values.elts;

    for (i = 0; !value->null && i < c->types.nelts; i++) {
        if (values[i] == (const char *) value->text.data && types[i] == type) {
            return df_writer_printf(&c->sql, "$%ui", i + 1);
        }
    }

    return df_compile_param(c, type, value);
}


ngx_int_t
df_compile_sql(df_compile_t *c, const char *text)
{
    return df_writer_add(&c->sql, text, ngx_strlen(text));
}


ngx_int_t
df_compile_ident(df_compile_t *c, const df_field_t *f)
{
    return df_writer_add(&c->sql, f->quoted.data, f->quoted.len);
}


ngx_int_t
df_compile_column(df_compile_t *c, const df_join_t *join,
    const df_field_t *f)
{
    if (c->qualified
        && df_writer_printf(&c->sql, "t%ui.", join ? join->index : 0)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_ident(c, f);
}


ngx_int_t
df_compile_str(df_compile_t *c, const ngx_str_t *text)
{
    return df_writer_add(&c->sql, text->data, text->len);
}
