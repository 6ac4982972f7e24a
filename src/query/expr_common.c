
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Arguments that must be of one type: the sides of a comparison, what is
 * chosen from, the items of a list.  What is not a literal has the last word;
 * a literal becomes what the others are.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


typedef struct {
    const df_type_t  *type;
    const df_type_t  *members;          /* of arrays of them */
    unsigned          array:1;          /* they are arrays themselves */
} df_expr_common_t;


/* elements have no cast of their own */

static ngx_int_t
df_expr_common_members(df_expr_common_t *common, const df_expr_t *arg)
{
    if (common->members && common->members != arg->type) {
        return NGX_ABORT;
    }

    common->members = arg->type;

    return NGX_OK;
}


static ngx_int_t
df_expr_common_add(df_scope_t *scope, df_expr_t *arg,
    df_expr_common_t *common)
{
    ngx_int_t         rc;
    const df_type_t  *type;
    df_value_error_t  error;

    if (df_expr_is_literal(arg, DF_LITERAL_NULL)
        || df_expr_is_literal(arg, DF_LITERAL_TEXT))
    {
        return NGX_OK;
    }

    if (df_expr_is_literal(arg, DF_LITERAL_JSON)
        || df_expr_is_literal(arg, DF_LITERAL_LIST))
    {
        return NGX_ABORT;
    }

    if (arg->kind == DF_EXPR_LITERAL) {
        rc = df_expr_literal_type(scope->pool, arg, &error);
        if (rc != NGX_OK) {
            return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
        }
    }

    if (common->type != NULL && common->array != arg->array) {
        return NGX_ABORT;
    }

    type = df_expr_type_common(common->type, arg->type);

    if (type == NULL
        || (arg->array && common->type && common->type != arg->type))
    {
        return NGX_ABORT;
    }

    common->type = type;
    common->array = arg->array;

    return NGX_OK;
}


/* date to timestamptz by the scope's time zone, not by the session's */

static ngx_int_t
df_expr_common_cast(df_scope_t *scope, df_expr_t **arg,
    const df_type_t *type)
{
    df_expr_t  *cast;

    cast = ngx_pcalloc(scope->pool, sizeof(df_expr_t));
    if (cast == NULL) {
        return NGX_ERROR;
    }

    cast->kind = DF_EXPR_CALL;
    cast->function = df_expr_function(&type->name, 0);
    cast->args = *arg;
    cast->nargs = 1;
    cast->next = (*arg)->next;
    cast->place = (*arg)->place;
    cast->column = (*arg)->column;
    cast->aggregate = (*arg)->aggregate;

    (*arg)->next = NULL;
    *arg = cast;

    return df_expr_call_check(scope, cast, 0);
}


static ngx_int_t
df_expr_common_set(df_scope_t *scope, df_expr_t **arg, const df_type_t *type,
    ngx_uint_t array)
{
    ngx_int_t         rc;
    df_value_error_t  error;

    if ((*arg)->kind != DF_EXPR_LITERAL) {
        return ((*arg)->type->kind == type->kind
                || !(type->flags & DF_TYPE_TIME))
               ? NGX_OK : df_expr_common_cast(scope, arg, type);
    }

    if ((*arg)->literal == DF_LITERAL_NUMBER
        && type->kind != DF_REAL && type->kind != DF_DOUBLE)
    {
        return NGX_OK;
    }

    rc = df_expr_literal_as(scope->pool, *arg, type, array, &error);

    if (rc == NGX_DECLINED) {
        return df_expr_refuse_at(scope, *arg, error.code, "expected %V",
                                 &error.expected);
    }

    return rc;
}


/* the arguments that must be of one type, the items of a list among them; pass
   0: which type that is, 1: each of them as one of it */

static ngx_int_t
df_expr_common_each(df_scope_t *scope, df_expr_t *expr, const char *args,
    ngx_uint_t pass, df_expr_common_t *common)
{
    u_char        letter;
    ngx_int_t     rc;
    ngx_uint_t    n, list;
    df_expr_t   **arg, **item;

    for (arg = &expr->args, n = 0; *arg; arg = &(*arg)->next, n++) {

        letter = df_expr_class_at(args, n, expr->nargs);
        list = df_expr_is_literal(*arg, DF_LITERAL_LIST);

        if (letter == DF_CLASS_MEMBERS || (letter == DF_CLASS_LIST && !list)) {

            rc = df_expr_common_members(common, *arg);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        if (letter != DF_CLASS_LIST && letter != DF_CLASS_COMMON) {
            continue;
        }

        item = (letter == DF_CLASS_LIST) ? &(*arg)->args : arg;

        for ( /* void */ ; *item; item = &(*item)->next) {

            rc = pass ? df_expr_common_set(scope, item, common->type,
                                           common->array)
                      : df_expr_common_add(scope, *item, common);
            if (rc != NGX_OK) {
                return rc;
            }

            if (letter == DF_CLASS_COMMON) {
                break;
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
df_expr_common_check(df_scope_t *scope, df_expr_t *expr, const char *args)
{
    ngx_int_t          rc;
    df_expr_common_t   common;

    ngx_memzero(&common, sizeof(df_expr_common_t));

    rc = df_expr_common_each(scope, expr, args, 0, &common);
    if (rc != NGX_OK) {
        return rc;
    }

    if (common.members) {

        if (common.type == NULL) {
            common.type = common.members;
        }

        if (common.array
            || (common.type != common.members
                && !(common.type->flags & common.members->flags
                     & (DF_TYPE_NUMBER|DF_TYPE_TEXT))))
        {
            return NGX_ABORT;
        }
    }

    if (common.type == NULL) {
        common.type = df_schema_type_of(DF_TEXT);
    }

    return df_expr_common_each(scope, expr, args, 1, &common);
}
