
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The types of expressions: which of them an argument may have, what a literal
 * is, and what PostgreSQL makes of several.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


#define DF_KIND(kind)  (1u << DF_##kind)

#define DF_KINDS_WHOLE  (DF_KIND(SMALLINT)|DF_KIND(INTEGER)|DF_KIND(BIGINT))
#define DF_KINDS_EXACT  (DF_KINDS_WHOLE|DF_KIND(NUMERIC))
#define DF_KINDS_FLOAT  (DF_KIND(REAL)|DF_KIND(DOUBLE))
#define DF_KINDS_TEXT   (DF_KIND(TEXT)|DF_KIND(VARCHAR))
#define DF_KINDS_TIME   (DF_KIND(DATE)|DF_KIND(TIME)|DF_KIND(TIMESTAMP)      \
                         |DF_KIND(TIMESTAMPTZ)|DF_KIND(INTERVAL))
#define DF_KINDS_ORDER  (DF_KINDS_EXACT|DF_KINDS_FLOAT|DF_KINDS_TEXT         \
                         |DF_KINDS_TIME|DF_KIND(INET))
#define DF_KINDS_ALL    ((1u << DF_KINDS) - 1)


static const df_expr_class_t  df_expr_classes[] = {
    { 'n', DF_KINDS_EXACT|DF_KINDS_FLOAT, "number" },
    { 'e', DF_KINDS_EXACT, "exact number" },
    { 'f', DF_KINDS_FLOAT, "real or double" },
    { 'w', DF_KINDS_WHOLE, "whole number" },
    { '4', DF_KIND(SMALLINT)|DF_KIND(INTEGER), "integer" },
    { 't', DF_KINDS_TEXT, "text" },
    { 'q', DF_KINDS_TEXT, "text" },
    { 'b', DF_KIND(BOOLEAN), "boolean" },
    { 'd', DF_KIND(DATE), "date" },
    { 'c', DF_KIND(TIME), "time" },
    { 's', DF_KIND(TIMESTAMP), "timestamp" },
    { 'z', DF_KIND(TIMESTAMPTZ), "timestamptz" },
    { 'v', DF_KIND(INTERVAL), "interval" },
    { 'j', DF_KIND(JSON), "json" },
    { 'k', DF_KIND(UUID), "uuid" },
    { 'o', DF_KINDS_ORDER, "number, text, time or address" },
    { 'x', DF_KINDS_ALL & ~DF_KIND(JSON), "value" },
    { 'X', DF_KINDS_ALL, "value" },
    { DF_CLASS_RATIO, DF_KINDS_EXACT|DF_KINDS_FLOAT, "number from 0 to 1" },
    { DF_CLASS_COMMON, DF_KINDS_ALL, "value" },
    { DF_CLASS_UNIT, 0, "unit" },
    { DF_CLASS_ARRAY, 0, "array" },
    { DF_CLASS_MEMBERS, 0, "array" },
    { DF_CLASS_LIST, 0, "list" }
};

#define DF_EXPR_CLASSES                                                       \
    (sizeof(df_expr_classes) / sizeof(df_expr_classes[0]))


const char  df_expr_case_args[] = "byy+";


/* classes */

const df_expr_class_t *
df_expr_class(u_char letter)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_EXPR_CLASSES - 1; i++) {
        if (df_expr_classes[i].letter == letter) {
            break;
        }
    }

    return &df_expr_classes[i];
}


u_char
df_expr_class_at(const char *args, ngx_uint_t n, ngx_uint_t nargs)
{
    size_t  len;

    if (args == df_expr_case_args) {
        return (n % 2 == 0 && n + 1 < nargs) ? 'b' : DF_CLASS_COMMON;
    }

    len = ngx_strlen(args);

    return (n < len && args[n] != '+' && args[n] != '*') ? args[n]
                                                         : args[len - 2];
}


ngx_uint_t
df_expr_class_takes(const char *args, ngx_uint_t nargs)
{
    size_t  len;

    if (args == df_expr_case_args) {
        return nargs >= 2;
    }

    len = ngx_strlen(args);

    if (len && args[len - 1] == '+') {
        return nargs + 1 >= len;
    }

    if (len && args[len - 1] == '*') {
        return 1;
    }

    return nargs == len;
}


/* literals */

/* numbers take no text and texts no number, as in filters, but a number may
   be written as a text */

static ngx_uint_t
df_expr_literal_fits(const df_expr_t *expr, const df_type_t *type,
    ngx_uint_t array)
{
    switch (expr->literal) {

    case DF_LITERAL_TEXT:
        return array || type->kind != DF_BOOLEAN;

    case DF_LITERAL_NUMBER:
        return !array && ((type->flags & DF_TYPE_NUMBER)
                          || type->kind == DF_JSON);

    case DF_LITERAL_BOOLEAN:
        return !array && (type->kind == DF_BOOLEAN || type->kind == DF_JSON);

    default:
        return 0;
    }
}


ngx_int_t
df_expr_literal_as(ngx_pool_t *pool, df_expr_t *expr, const df_type_t *type,
    ngx_uint_t array, df_value_error_t *error)
{
    ngx_int_t   rc;
    df_field_t  field;

    if (expr->literal == DF_LITERAL_NULL) {
        expr->value.null = 1;
        expr->type = type;
        expr->array = array;
        expr->nullable = 1;

        return NGX_OK;
    }

    if (!df_expr_literal_fits(expr, type, array)) {
        error->code = "type";
        error->expected = type->expected;

        return NGX_DECLINED;
    }

    ngx_memzero(&field, sizeof(df_field_t));
    field.type = type;
    field.array = array;

    rc = df_schema_parse_text(&field, pool, &expr->text, 0, &expr->value,
                              error);
    if (rc == NGX_OK) {
        expr->type = type;
        expr->array = array;
    }

    return rc;
}


/* a number is of the first of these types that it fits, as in PostgreSQL */

ngx_int_t
df_expr_literal_type(ngx_pool_t *pool, df_expr_t *expr,
    df_value_error_t *error)
{
    size_t      i;
    ngx_int_t   rc;
    df_kind_t   kind;

    if (expr->literal == DF_LITERAL_NULL) {
        expr->value.null = 1;
        expr->nullable = 1;

        return NGX_OK;
    }

    if (expr->literal == DF_LITERAL_TEXT) {
        return df_expr_literal_as(pool, expr, df_schema_type_of(DF_TEXT), 0,
                                  error);
    }

    if (expr->literal == DF_LITERAL_BOOLEAN) {
        return df_expr_literal_as(pool, expr, df_schema_type_of(DF_BOOLEAN),
                                  0, error);
    }

    kind = DF_INTEGER;

    for (i = 0; i < expr->text.len; i++) {
        if (expr->text.data[i] != '-'
            && (expr->text.data[i] < '0' || expr->text.data[i] > '9'))
        {
            kind = DF_NUMERIC;
            break;
        }
    }

    for ( ;; ) {
        rc = df_expr_literal_as(pool, expr, df_schema_type_of(kind), 0, error);

        if (rc != NGX_DECLINED || kind == DF_NUMERIC) {
            return rc;
        }

        kind++;
    }
}


ngx_str_t
df_expr_type_name(ngx_pool_t *pool, const df_expr_t *expr)
{
    static const ngx_str_t  literals[] = {
        [DF_LITERAL_NULL] = ngx_string("null"),
        [DF_LITERAL_BOOLEAN] = ngx_string("boolean"),
        [DF_LITERAL_NUMBER] = ngx_string("number"),
        [DF_LITERAL_TEXT] = ngx_string("text"),
        [DF_LITERAL_JSON] = ngx_string("json"),
        [DF_LITERAL_LIST] = ngx_string("list")
    };

    if (expr->kind == DF_EXPR_LITERAL || expr->type == NULL) {
        return literals[expr->literal];
    }

    return df_str_printf(pool, "%V%s", &expr->type->name,
                         expr->array ? "[]" : "");
}


/* what several values have in common */

/* PostgreSQL's implicit casts go up these */

static const df_kind_t  df_expr_number_ranks[] = {
    DF_SMALLINT, DF_INTEGER, DF_BIGINT, DF_NUMERIC, DF_REAL, DF_DOUBLE
};

static const df_kind_t  df_expr_time_ranks[] = {
    DF_DATE, DF_TIMESTAMP, DF_TIMESTAMPTZ
};

static const df_kind_t  df_expr_text_ranks[] = { DF_VARCHAR, DF_TEXT };


static const df_type_t *
df_expr_type_higher(const df_kind_t *ranks, ngx_uint_t n, const df_type_t *a,
    const df_type_t *b)
{
    ngx_uint_t  i, at, bt;

    at = n;
    bt = n;

    for (i = 0; i < n; i++) {
        at = (ranks[i] == a->kind) ? i : at;
        bt = (ranks[i] == b->kind) ? i : bt;
    }

    if (at == n || bt == n) {
        return NULL;
    }

    return at > bt ? a : b;
}


#define df_expr_higher(ranks, a, b)                                           \
    df_expr_type_higher(ranks, sizeof(ranks) / sizeof(ranks[0]), a, b)


const df_type_t *
df_expr_type_common(const df_type_t *a, const df_type_t *b)
{
    const df_type_t  *type;

    if (a == NULL || b == NULL || a->kind == b->kind) {
        return a ? a : b;
    }

    type = df_expr_higher(df_expr_number_ranks, a, b);

    if (type == NULL) {
        type = df_expr_higher(df_expr_time_ranks, a, b);
    }

    return type ? type : df_expr_higher(df_expr_text_ranks, a, b);
}


/* results */

const df_type_t *
df_expr_result_first(const df_expr_t *call)
{
    return call->args->type;
}


const df_type_t *
df_expr_result_second(const df_expr_t *call)
{
    return call->args->next->type;
}


/* min and max know no varchar */

const df_type_t *
df_expr_result_plain(const df_expr_t *call)
{
    return call->args->type->kind == DF_VARCHAR ? df_schema_type_of(DF_TEXT)
                                                : call->args->type;
}


/* operators of two numbers: real with anything but real is double */

const df_type_t *
df_expr_result_arith(const df_expr_t *call)
{
    const df_type_t  *a, *b;

    a = call->args->type;
    b = call->args->next->type;

    if (a->kind != b->kind && (a->kind == DF_REAL || b->kind == DF_REAL)) {
        return df_schema_type_of(DF_DOUBLE);
    }

    return df_expr_type_common(a, b);
}


/* the type that df_expr_call_check() found for the arguments that must be of
   one type; the last of them has it, or is null */

const df_type_t *
df_expr_result_common(const df_expr_t *call)
{
    ngx_uint_t        n;
    const df_expr_t  *arg;
    const df_type_t  *type;

    type = NULL;

    for (arg = call->args, n = 0; arg; arg = arg->next, n++) {
        if (df_expr_class_at(call->function->args, n, call->nargs)
            == DF_CLASS_COMMON)
        {
            type = df_expr_type_common(type, arg->type);
        }
    }

    return type;
}


/* compared as texts, and answered as what was compared */

const df_type_t *
df_expr_result_nullif(const df_expr_t *call)
{
    const df_type_t  *type;

    type = df_expr_result_common(call);

    return (type->kind == DF_VARCHAR) ? df_schema_type_of(DF_TEXT) : type;
}


const df_type_t *
df_expr_result_sum(const df_expr_t *call)
{
    switch (call->args->type->kind) {

    case DF_SMALLINT:
    case DF_INTEGER:
        return df_schema_type_of(DF_BIGINT);

    case DF_BIGINT:
        return df_schema_type_of(DF_NUMERIC);

    default:
        return call->args->type;
    }
}


const df_type_t *
df_expr_result_avg(const df_expr_t *call)
{
    switch (call->args->type->kind) {

    case DF_REAL:
    case DF_DOUBLE:
        return df_schema_type_of(DF_DOUBLE);

    default:
        return df_schema_type_of(DF_NUMERIC);
    }
}
