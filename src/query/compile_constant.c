
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Values as literals of SQL, for statements that take no parameters: those of
 * the migration.  What is written so comes from nginx.conf.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


static ngx_int_t
df_expr_constant_visit(const df_expr_t *expr, void *data)
{
    df_problem_t  *problem = data;

    if (expr->kind == DF_EXPR_CALL && expr->function->stable) {
        return df_expr_refuse(problem, DF_PROBLEM_INVALID_VALUE, expr->place,
                              expr->column, "stable",
                              "\"%V\" depends on more than the row",
                              &expr->function->name);
    }

    return NGX_OK;
}


ngx_int_t
df_expr_constant(ngx_pool_t *pool, const df_model_t *model,
    const ngx_str_t *text, ngx_str_t *sql, df_problem_t *problem)
{
    ngx_int_t        rc;
    df_expr_t       *expr;
    df_place_t       place;
    df_scope_t       scope;
    df_compile_t     c;
    df_predicate_t  *predicate;

    ngx_memzero(&place, sizeof(df_place_t));
    ngx_str_set(&place.parameter, "where");

    ngx_memzero(&scope, sizeof(df_scope_t));

    scope.pool = pool;
    scope.model = model;
    scope.problem = problem;

    rc = df_expr_parse(pool, text, &place, &expr, problem);

    if (rc == NGX_OK) {
        rc = df_expr_check(&scope, &expr, DF_EXPR_ROW);
    }

    if (rc == NGX_OK) {
        rc = df_expr_walk(expr, df_expr_constant_visit, problem);
    }

    if (rc == NGX_OK) {
        rc = df_expr_predicate(&scope, expr, &predicate);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&c, sizeof(df_compile_t));
    c.constant = 1;

    if (df_compile_init(&c, pool, problem) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_query_compile_predicate(&c, predicate);

    return (rc == NGX_OK) ? df_writer_text(&c.sql, sql) : rc;
}


/* 'it''s'::text; with a backslash in it E'…', which means the same whatever
   standard_conforming_strings is */

ngx_int_t
df_compile_constant(df_compile_t *c, Oid oid, const df_value_t *value)
{
    u_char            ch;
    size_t            i;
    df_kind_t         kind;
    ngx_uint_t        escaped;
    const df_type_t  *type;

    for (kind = 0; kind < DF_KINDS; kind++) {
        type = df_schema_type_of(kind);

        if (type->oid == oid || type->array_oid == oid) {
            break;
        }
    }

    if (kind == DF_KINDS) {
        return NGX_ERROR;
    }

    if (value->null) {
        return df_writer_printf(&c->sql, "NULL::%V%s", &type->sql,
                                type->oid == oid ? "" : "[]");
    }

    escaped = (ngx_strlchr(value->text.data, value->text.data
                                             + value->text.len, '\\')
               != NULL);

    if (df_writer_reserve(&c->sql, 2 * value->text.len + sizeof("E''::[]")
                                   + type->sql.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (escaped) {
        *c->sql.pos++ = 'E';
    }

    *c->sql.pos++ = '\'';

    for (i = 0; i < value->text.len; i++) {
        ch = value->text.data[i];

        if (ch == '\'' || ch == '\\') {
            *c->sql.pos++ = ch;
        }

        *c->sql.pos++ = ch;
    }

    *c->sql.pos++ = '\'';

    return df_writer_printf(&c->sql, "::%V%s", &type->sql,
                            type->oid == oid ? "" : "[]");
}
