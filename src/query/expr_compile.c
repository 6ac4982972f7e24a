
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Checked expressions to SQL.  What is written for the same node is the same
 * text wherever it stands in a statement, its parameters among it: by that
 * PostgreSQL knows the expression that it has grouped by.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


static ngx_int_t df_expr_compile_call(df_compile_t *c, const df_expr_t *expr);
static ngx_int_t df_expr_compile_predicate(df_compile_t *c,
    const df_expr_t *expr);


static ngx_int_t
df_expr_compile_null(df_compile_t *c, const df_type_t *type, ngx_uint_t array)
{
    if (type == NULL) {
        return df_compile_sql(c, "NULL");
    }

    return df_writer_printf(&c->sql, "NULL::%V%s", &type->sql,
                            array ? "[]" : "");
}


static ngx_int_t
df_expr_compile_value(df_compile_t *c, const df_expr_t *expr,
    const df_value_t *value)
{
    if (value->null) {
        return df_expr_compile_null(c, expr->type, expr->array);
    }

    if (df_compile_param_once(c, expr->array ? expr->type->array_oid
                                             : expr->type->oid, value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (c->constant) {
        return NGX_OK;
    }

    /* a statement is known by its text, and $1 - $2 can be of many types */

    return df_writer_printf(&c->sql, "::%V%s", &expr->type->sql,
                            expr->array ? "[]" : "");
}


static ngx_int_t
df_expr_compile_field(df_compile_t *c, const df_expr_t *expr)
{
    if (expr->ref.npath == 0) {
        return df_compile_column(c, expr->ref.join, expr->ref.field);
    }

    if (df_compile_sql(c, "(") != NGX_OK
        || df_compile_column(c, expr->ref.join, expr->ref.field) != NGX_OK
        || df_compile_sql(c, " #>> ") != NGX_OK
        || df_compile_param_once(c, df_schema_type_of(DF_TEXT)->array_oid,
                                 &expr->value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_sql(c, ")");
}


ngx_int_t
df_expr_compile(df_compile_t *c, const df_expr_t *expr)
{
    if (expr->predicate) {
        return df_expr_compile_predicate(c, expr);
    }

    switch (expr->kind) {

    case DF_EXPR_FIELD:
        return df_expr_compile_field(c, expr);

    case DF_EXPR_PARAM:
        return df_expr_compile_value(c, expr, &c->params[expr->param->index]);

    case DF_EXPR_CALL:
        return df_expr_compile_call(c, expr);

    default:
        break;
    }

    if (expr->type && expr->type->kind == DF_BOOLEAN && !expr->array
        && !expr->value.null)
    {
        return df_compile_sql(c, expr->value.text.data[0] == 't' ? "TRUE"
                                                                 : "FALSE");
    }

    return df_expr_compile_value(c, expr, &expr->value);
}


/* where several values become one, none is of another type */

static ngx_int_t
df_expr_compile_as(df_compile_t *c, const df_expr_t *arg,
    const df_expr_t *call)
{
    ngx_int_t  rc;

    rc = df_expr_compile(c, arg);

    if (rc != NGX_OK || arg->type == call->type || arg->type == NULL) {
        return rc;
    }

    return df_writer_printf(&c->sql, "::%V%s", &call->type->sql,
                            call->array ? "[]" : "");
}


static ngx_int_t
df_expr_compile_list(df_compile_t *c, const df_expr_t *call,
    const char *between, ngx_uint_t as)
{
    ngx_int_t         rc;
    const df_expr_t  *arg;

    for (arg = call->args; arg; arg = arg->next) {

        if (arg != call->args && df_compile_sql(c, between) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = as ? df_expr_compile_as(c, arg, call) : df_expr_compile(c, arg);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* sql of the function with its arguments in it */

static ngx_int_t
df_expr_compile_template(df_compile_t *c, const df_expr_t *expr)
{
    ngx_int_t    rc;
    const char  *p, *last;

    for (p = expr->function->sql; *p; p = last) {

        for (last = p; *last; last++) {
            if (*last == '%' && last[1] != ' ') {
                break;
            }
        }

        rc = df_writer_add(&c->sql, p, last - p);
        if (rc != NGX_OK) {
            return rc;
        }

        if (*last == '\0') {
            break;
        }

        if (last[1] == '*') {
            rc = df_expr_compile_list(c, expr, ", ",
                                      expr->function->result != NULL);

        } else if (last[1] == 'd') {
            rc = df_compile_sql(c, expr->distinct ? "DISTINCT " : "");

        } else {
            rc = df_expr_compile(c, df_expr_arg(expr, last[1] - '1'));
        }

        if (rc != NGX_OK) {
            return rc;
        }

        last += 2;
    }

    return NGX_OK;
}


static ngx_int_t
df_expr_compile_call(df_compile_t *c, const df_expr_t *expr)
{
    ngx_int_t             rc;
    const df_function_t  *function;

    function = expr->function;

    if (function->compile) {
        return function->compile(c, expr);
    }

    if (function->chain) {
        if (expr->args == NULL) {
            return df_compile_sql(c, function->name.len == 3 ? "TRUE"
                                                             : "FALSE");
        }

        if (df_compile_sql(c, "(") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_expr_compile_list(c, expr, function->sql, 0);

        return (rc == NGX_OK) ? df_compile_sql(c, ")") : rc;
    }

    rc = df_expr_compile_template(c, expr);

    if (rc != NGX_OK || expr->filter == NULL) {
        return rc;
    }

    if (df_compile_sql(c, " FILTER (WHERE ") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_expr_compile(c, expr->filter);

    return (rc == NGX_OK) ? df_compile_sql(c, ")") : rc;
}


/* comparisons that filters have */

static ngx_int_t
df_expr_compile_again(df_compile_t *c, const df_compile_memo_t *memo)
{
    if (df_writer_reserve(&c->sql, memo->len) != NGX_OK) {
        return NGX_ERROR;
    }

    c->sql.pos = ngx_cpymem(c->sql.pos, c->sql.start + memo->start,
                            memo->len);

    return NGX_OK;
}


/* operands that are parameters are known now only */

static ngx_int_t
df_expr_compile_operands(df_compile_t *c, const df_expr_t *expr,
    df_predicate_t *p)
{
    ngx_uint_t         null;
    const df_expr_t   *arg;
    const df_value_t  *value;

    p->operands = ngx_pcalloc(c->pool, expr->nargs * sizeof(df_value_t));
    if (p->operands == NULL) {
        return NGX_ERROR;
    }

    null = 0;

    for (arg = expr->args->next; arg; arg = arg->next) {
        value = (arg->kind == DF_EXPR_PARAM) ? &c->params[arg->param->index]
                                             : &arg->value;
        null |= value->null;
        p->operands[p->noperands++] = *value;
    }

    if (null && p->op->null == NULL) {
        return df_compile_sql(c, "NULL::boolean");
    }

    return p->op->compile(c, p);
}


static ngx_int_t
df_expr_compile_predicate(df_compile_t *c, const df_expr_t *expr)
{
    size_t              start;
    ngx_int_t           rc;
    df_predicate_t      predicate;
    df_compile_memo_t  *memo;

    for (memo = c->memos; memo; memo = memo->next) {
        if (memo->predicate == expr->predicate) {
            return df_expr_compile_again(c, memo);
        }
    }

    start = df_writer_length(&c->sql);
    predicate = *expr->predicate;

    if (df_compile_sql(c, "(") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = predicate.operands ? predicate.op->compile(c, &predicate)
                            : df_expr_compile_operands(c, expr, &predicate);

    if (rc != NGX_OK) {
        return rc;
    }

    memo = ngx_palloc(c->pool, sizeof(df_compile_memo_t));

    if (memo == NULL || df_compile_sql(c, ")") != NGX_OK) {
        return NGX_ERROR;
    }

    memo->predicate = expr->predicate;
    memo->start = start;
    memo->len = df_writer_length(&c->sql) - start;
    memo->next = c->memos;

    c->memos = memo;

    return NGX_OK;
}


/* operators with a form of their own */

/* (CASE WHEN a THEN b … ELSE c END) */

ngx_int_t
df_expr_compile_case(df_compile_t *c, const df_expr_t *expr)
{
    ngx_int_t         rc;
    ngx_uint_t        n;
    const char       *word;
    const df_expr_t  *arg;

    if (df_compile_sql(c, "(CASE") != NGX_OK) {
        return NGX_ERROR;
    }

    for (arg = expr->args, n = 0; arg; arg = arg->next, n++) {

        word = (n % 2) ? " THEN " : arg->next ? " WHEN " : " ELSE ";

        if (df_compile_sql(c, word) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = (n % 2 || arg->next == NULL) ? df_expr_compile_as(c, arg, expr)
                                          : df_expr_compile(c, arg);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_compile_sql(c, " END)");
}


static ngx_uint_t
df_expr_compile_is_null(df_compile_t *c, const df_expr_t *expr)
{
    return df_expr_is_literal(expr, DF_LITERAL_NULL)
           || (expr->kind == DF_EXPR_PARAM
               && c->params[expr->param->index].null);
}


static ngx_int_t
df_expr_compile_around(df_compile_t *c, const df_expr_t *expr,
    const char *before, const char *behind)
{
    ngx_int_t  rc;

    if (df_compile_sql(c, before) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_expr_compile(c, expr);

    return (rc == NGX_OK) ? df_compile_sql(c, behind) : rc;
}


/* (a = b), with a null (a IS NULL) */

ngx_int_t
df_expr_compile_eq(df_compile_t *c, const df_expr_t *expr)
{
    ngx_int_t         rc;
    const df_expr_t  *a, *b;

    a = expr->args;
    b = a->next;

    if (df_expr_compile_is_null(c, b)) {
        return df_expr_compile_around(c, a, "(", " IS NULL)");
    }

    if (df_expr_compile_is_null(c, a)) {
        return df_expr_compile_around(c, b, "(", " IS NULL)");
    }

    rc = df_expr_compile_around(c, a, "(", " = ");

    return (rc == NGX_OK) ? df_expr_compile_around(c, b, "", ")") : rc;
}


ngx_int_t
df_expr_compile_isnull(df_compile_t *c, const df_expr_t *expr)
{
    const df_expr_t  *flag;

    flag = expr->args->next;

    if (flag == NULL) {
        return df_expr_compile_around(c, expr->args, "(", " IS NULL)");
    }

    if (flag->kind != DF_EXPR_LITERAL || flag->value.null) {
        if (df_expr_compile_around(c, expr->args, "((", " IS NULL) = ")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return df_expr_compile_around(c, flag, "", ")");
    }

    return df_expr_compile_around(c, expr->args, "(",
                                  flag->value.text.data[0] == 't'
                                  ? " IS NULL)" : " IS NOT NULL)");
}


/* the items of a list that are no literal null; *null: there was one */

static ngx_int_t
df_expr_compile_items(df_compile_t *c, const df_expr_t *list,
    ngx_uint_t *null)
{
    ngx_int_t         rc;
    ngx_uint_t        n;
    const df_expr_t  *item;

    n = 0;

    for (item = list->args; item; item = item->next) {

        if (df_expr_compile_is_null(c, item)) {
            *null = 1;
            continue;
        }

        rc = df_expr_compile_around(c, item, n++ ? ", " : "", "");
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return n ? NGX_OK : df_compile_sql(c, "NULL");
}


/* as filters have it: a null among the values is found, and without one a null
   is none of them */

ngx_int_t
df_expr_compile_in(df_compile_t *c, const df_expr_t *expr)
{
    ngx_int_t         rc;
    ngx_uint_t        not, null;
    const df_expr_t  *left, *list;

    left = expr->args;
    list = left->next;
    not = (expr->function->name.len != 2);
    null = list->nullable && list->kind == DF_EXPR_LITERAL;

    rc = df_expr_compile_around(c, left, "(", "");
    if (rc != NGX_OK) {
        return rc;
    }

    if (list->type != NULL) {
        if (df_compile_sql(c, not ? " <> ALL(" : " = ANY(") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_expr_compile(c, list);

    } else {
        if (df_compile_sql(c, not ? " NOT IN (" : " IN (") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_expr_compile_items(c, list, &null);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (!not && !null) {
        return df_compile_sql(c, "))");
    }

    return df_expr_compile_around(c, left, not == null ? ") AND " : ") OR ",
                                  not && null ? " IS NOT NULL)"
                                              : " IS NULL)");
}
