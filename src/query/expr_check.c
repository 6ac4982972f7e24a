
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The names of an expression: what they stand for, and what may stand there.
 * Types are the concern of expr_call.c.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


/* below an aggregate */
#define DF_EXPR_INSIDE  0x100


static ngx_int_t df_expr_node_check(df_scope_t *scope, df_expr_t **expr,
    ngx_uint_t allow);
static ngx_int_t df_expr_check_name(df_scope_t *scope, df_expr_t **expr,
    ngx_uint_t allow);
static ngx_int_t df_expr_check_param(df_scope_t *scope, df_expr_t *expr);
static ngx_int_t df_expr_check_aggregate(df_scope_t *scope, df_expr_t *expr,
    ngx_uint_t allow);
static ngx_int_t df_expr_group_check(df_scope_t *scope, df_expr_t **expr);


ngx_int_t
df_expr_check(df_scope_t *scope, df_expr_t **expr, ngx_uint_t allow)
{
    ngx_int_t         rc;
    df_value_error_t  error;

    rc = df_expr_node_check(scope, expr, allow);
    if (rc != NGX_OK) {
        return rc;
    }

    if ((*expr)->kind == DF_EXPR_LITERAL) {
        rc = df_expr_literal_type(scope->pool, *expr, &error);

        if (rc == NGX_DECLINED) {
            return df_expr_refuse_at(scope, *expr, error.code, "expected %V",
                                     &error.expected);
        }

        return rc;
    }

    return (allow & DF_EXPR_AGGREGATED) ? df_expr_group_check(scope, expr)
                                        : NGX_OK;
}


static ngx_int_t
df_expr_args_check(df_scope_t *scope, df_expr_t *expr, ngx_uint_t allow)
{
    ngx_int_t    rc;
    df_expr_t  **arg;

    for (arg = &expr->args; *arg; arg = &(*arg)->next) {
        rc = df_expr_node_check(scope, arg, allow);
        if (rc != NGX_OK) {
            return rc;
        }

        expr->aggregate |= (*arg)->aggregate;
    }

    return NGX_OK;
}


/* a unit of time stands there as a word, with quotes or without */

static void
df_expr_check_unit(df_expr_t *expr)
{
    df_expr_t  *arg;

    arg = expr->args;

    if (arg && arg->kind == DF_EXPR_NAME
        && expr->function->args[0] == DF_CLASS_UNIT)
    {
        arg->kind = DF_EXPR_LITERAL;
        arg->literal = DF_LITERAL_TEXT;
    }
}


static ngx_int_t
df_expr_node_check(df_scope_t *scope, df_expr_t **expr, ngx_uint_t allow)
{
    ngx_int_t   rc;
    df_expr_t  *call;

    switch ((*expr)->kind) {

    case DF_EXPR_NAME:
        return df_expr_check_name(scope, expr, allow);

    case DF_EXPR_PARAM:
        return df_expr_check_param(scope, *expr);

    case DF_EXPR_LITERAL:
        return df_expr_args_check(scope, *expr, allow);

    default:
        break;
    }

    call = *expr;

    df_expr_check_unit(call);

    if (call->function->aggregate) {
        rc = df_expr_check_aggregate(scope, call, allow);
        if (rc != NGX_OK) {
            return rc;
        }

        allow = DF_EXPR_ROW | DF_EXPR_INSIDE;

    } else if (call->distinct || call->filter) {
        return df_expr_refuse_at(scope, call, "syntax",
                                 "%s stands with aggregates only, and \"%V\" "
                                 "is none", call->distinct ? "distinct"
                                                           : "filter",
                                 &call->function->name);
    }

    rc = df_expr_args_check(scope, call, allow);

    if (rc == NGX_OK && call->filter) {
        rc = df_expr_node_check(scope, &call->filter, allow);
    }

    return (rc == NGX_OK)
           ? df_expr_call_check(scope, call, allow & DF_EXPR_AGGREGATED) : rc;
}


/* names */

/* a copy, because what holds a node may not change it any more */

static ngx_int_t
df_expr_check_output(df_scope_t *scope, df_expr_t **expr,
    const df_output_t *output)
{
    df_expr_t  *copy;

    copy = ngx_palloc(scope->pool, sizeof(df_expr_t));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *output->expr;
    copy->next = (*expr)->next;
    copy->place = (*expr)->place;
    copy->column = (*expr)->column;

    *expr = copy;

    return NGX_OK;
}


static const df_output_t *
df_expr_check_find(df_scope_t *scope, const ngx_str_t *name,
    ngx_uint_t allow)
{
    ngx_uint_t          i;
    const df_output_t  *output;

    if (scope->outputs == NULL) {
        return NULL;
    }

    output = scope->outputs->elts;

    for (i = 0; i < scope->outputs->nelts; i++) {
        if (output[i].expr != NULL && df_query_same(&output[i].name, name)
            && !((allow & DF_EXPR_INSIDE) && output[i].expr->aggregate))
        {
            return &output[i];
        }
    }

    return NULL;
}


/* the path as one value */

static ngx_int_t
df_expr_check_path(df_scope_t *scope, df_expr_t *expr)
{
    ngx_uint_t   i;
    df_value_t  *steps;

    steps = ngx_pcalloc(scope->pool, expr->ref.npath * sizeof(df_value_t));
    if (steps == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < expr->ref.npath; i++) {
        steps[i].text = expr->ref.path[i];
    }

    return df_schema_array(scope->pool, steps, expr->ref.npath, &expr->value);
}


static ngx_str_t *
df_expr_check_output_at(void *list, ngx_uint_t i)
{
    return &((df_output_t *) list)[i].name;
}


/* what is nothing of a model is most likely one of the outputs, mistyped */

static ngx_int_t
df_expr_check_meant(df_scope_t *scope, const df_expr_t *name,
    ngx_uint_t allow)
{
    ngx_str_t  *nearest;

    if (scope->outputs == NULL || (allow & DF_EXPR_INSIDE)
        || ngx_strlchr(name->text.data, name->text.data + name->text.len, '.')
        || df_query_field(scope->model, &name->text)
        || df_query_relation(scope->request, scope->model, &name->text))
    {
        return NGX_OK;
    }

    nearest = df_nearest(&name->text, scope->outputs->elts,
                         scope->outputs->nelts, df_expr_check_output_at);

    return nearest ? df_expr_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                                    name->place, name->column,
                                    "unknown_field",
                                    "there is no \"%V\" here; did you mean "
                                    "\"%V\"?", &name->text, nearest)
                   : NGX_OK;
}


/* outside of aggregates an output comes before a field of the same name,
   inside, where the rows are, behind it */

static ngx_int_t
df_expr_check_name(df_scope_t *scope, df_expr_t **expr, ngx_uint_t allow)
{
    ngx_int_t           rc;
    df_place_t          at;
    df_expr_t          *name;
    const df_output_t  *output;

    name = *expr;
    output = df_expr_check_find(scope, &name->text, allow);

    if (output && !((allow & DF_EXPR_INSIDE)
                    && df_query_field(scope->model, &name->text)))
    {
        return df_expr_check_output(scope, expr, output);
    }

    rc = df_expr_check_meant(scope, name, allow);
    if (rc != NGX_OK) {
        return rc;
    }

    at = *name->place;
    at.column = name->column;

    rc = df_query_name(scope, &name->text, &at, &name->ref);
    if (rc != NGX_OK) {
        return rc;
    }

    if (name->ref.npath && df_expr_check_path(scope, name) != NGX_OK) {
        return NGX_ERROR;
    }

    name->kind = DF_EXPR_FIELD;
    name->type = name->ref.npath ? df_schema_type_of(DF_TEXT)
                                 : name->ref.field->type;
    name->array = name->ref.npath ? 0 : name->ref.field->array;
    name->nullable = name->ref.npath || name->ref.join
                     || !name->ref.field->not_null;

    return NGX_OK;
}


static ngx_str_t *
df_expr_check_param_at(void *list, ngx_uint_t i)
{
    return &((df_param_t *) list)[i].field.name;
}


static ngx_int_t
df_expr_check_param(df_scope_t *scope, df_expr_t *expr)
{
    ngx_str_t         *nearest;
    ngx_uint_t         i, n;
    const df_param_t  *param;

    param = scope->params ? scope->params->elts : NULL;
    n = scope->params ? scope->params->nelts : 0;

    for (i = 0; i < n; i++) {
        if (df_query_same(&param[i].field.name, &expr->text)) {
            expr->param = &param[i];
            expr->type = param[i].field.type;
            expr->array = param[i].field.array;
            expr->nullable = 1;

            return NGX_OK;
        }
    }

    nearest = n ? df_nearest(&expr->text, (void *) param, n,
                             df_expr_check_param_at)
                : NULL;

    return df_expr_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                          expr->place, expr->column, "unknown_parameter",
                          "there is no parameter \"$%V\" here%s%V%s",
                          &expr->text, nearest ? "; did you mean \"$" : "",
                          nearest ? nearest : &(ngx_str_t) ngx_null_string,
                          nearest ? "\"?" : "");
}


/* aggregates */

static ngx_int_t
df_expr_check_aggregate(df_scope_t *scope, df_expr_t *expr, ngx_uint_t allow)
{
    if (allow & DF_EXPR_INSIDE) {
        return df_expr_refuse_at(scope, expr, "aggregate",
                                 "\"%V\" is an aggregate and stands in "
                                 "another one", &expr->function->name);
    }

    if (!(allow & DF_EXPR_AGGREGATED)) {
        return df_expr_refuse_at(scope, expr, "aggregate",
                                 "\"%V\" is an aggregate, but this is asked "
                                 "of each row by itself; conditions on groups "
                                 "belong into having", &expr->function->name);
    }

    expr->aggregate = 1;

    return NGX_OK;
}


/* Outside of aggregates there are only the groups: what equals one of their
   expressions becomes that very expression, so that PostgreSQL sees it too. */

static ngx_int_t
df_expr_group_check(df_scope_t *scope, df_expr_t **expr)
{
    ngx_int_t           rc;
    ngx_str_t           name;
    ngx_uint_t          i, n;
    df_expr_t         **arg;
    const df_output_t  *output;

    output = scope->outputs ? scope->outputs->elts : NULL;
    n = scope->outputs ? scope->outputs->nelts : 0;

    for (i = 0; i < n; i++) {
        if (output[i].group && output[i].expr
            && df_expr_equal(output[i].expr, *expr))
        {
            return df_expr_check_output(scope, expr, &output[i]);
        }
    }

    if ((*expr)->kind == DF_EXPR_CALL && (*expr)->function->aggregate) {
        return NGX_OK;
    }

    if ((*expr)->kind == DF_EXPR_FIELD) {
        name = (*expr)->text.len ? (*expr)->text : (*expr)->ref.field->name;

        return df_expr_refuse_at(scope, *expr, "group",
                                 "\"%V\" is of rows, not of groups: group by "
                                 "it or say which, as max(%V)", &name, &name);
    }

    for (arg = &(*expr)->args; *arg; arg = &(*arg)->next) {
        rc = df_expr_group_check(scope, arg);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}
