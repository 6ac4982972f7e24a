
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Expressions as filters.  A field compared with values is what a filter has
 * too, and becomes the very same comparison, of the operator's own meaning; so
 * it does not matter in which spelling it was asked.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


static ngx_int_t df_expr_compare_operands(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t *p);


/* what stands on the other side of a field */

static const struct {
    ngx_str_t  sign;
    ngx_str_t  mirrored;
} df_expr_mirrors[] = {
    { ngx_string("="), ngx_string("=") },
    { ngx_string("!="), ngx_string("!=") },
    { ngx_string("<"), ngx_string(">") },
    { ngx_string("<="), ngx_string(">=") },
    { ngx_string(">"), ngx_string("<") },
    { ngx_string(">="), ngx_string("<=") }
};

#define DF_EXPR_MIRRORS                                                       \
    (sizeof(df_expr_mirrors) / sizeof(df_expr_mirrors[0]))


static ngx_inline ngx_uint_t
df_expr_is_constant(const df_expr_t *expr)
{
    return expr->kind == DF_EXPR_LITERAL || expr->kind == DF_EXPR_PARAM;
}


/* 10 < price is price > 10 */

static void
df_expr_compare_mirror(df_expr_t *expr)
{
    ngx_uint_t  i;
    df_expr_t  *left, *right;

    left = expr->args;
    right = left ? left->next : NULL;

    if (right == NULL || right->next || !df_expr_is_constant(left)
        || right->kind != DF_EXPR_FIELD)
    {
        return;
    }

    for (i = 0; i < DF_EXPR_MIRRORS; i++) {
        if (df_query_same(&df_expr_mirrors[i].sign, &expr->function->name)) {
            expr->function = df_expr_function(&df_expr_mirrors[i].mirrored, 1);
            expr->args = right;
            right->next = left;
            left->next = NULL;

            return;
        }
    }
}


ngx_int_t
df_expr_compare_check(df_scope_t *scope, df_expr_t *expr)
{
    ngx_int_t             rc;
    df_expr_t            *left;
    const df_expr_t      *arg;
    df_predicate_t       *p;
    const df_operator_t  *op;

    df_expr_compare_mirror(expr);

    left = expr->args;

    if (left == NULL || left->kind != DF_EXPR_FIELD || left->next == NULL) {
        return NGX_ABORT;
    }

    for (arg = left->next; arg; arg = arg->next) {
        if (!df_expr_is_constant(arg)) {
            return NGX_ABORT;
        }
    }

    op = df_query_operator(left->ref.field, left->ref.npath,
                           df_expr_function_member(expr->function));

    if (op == NULL
        || (op->operand == DF_OPERAND_TWO) != (left->next->next != NULL))
    {
        return NGX_ABORT;
    }

    p = ngx_pcalloc(scope->pool, sizeof(df_predicate_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    p->kind = DF_PREDICATE_COMPARE;
    p->join = left->ref.join;
    p->field = left->ref.field;
    p->path = left->ref.path;
    p->npath = left->ref.npath;
    p->op = op;

    rc = df_expr_compare_operands(scope, expr, p);

    if (rc != NGX_OK) {
        return rc;
    }

    expr->predicate = p;
    expr->type = df_schema_type_of(DF_BOOLEAN);
    expr->nullable = left->nullable && !expr->function->never_null;

    return NGX_OK;
}


/* values */

/* what is at a path is compared as what the value is */

static ngx_int_t
df_expr_compare_form(df_scope_t *scope, const df_expr_t *value,
    df_predicate_t *p)
{
    ngx_uint_t  number, text;

    if (!p->op->ordered) {
        p->form = (p->op->operand == DF_OPERAND_PATTERN) ? DF_PATH_TEXT
                                                         : DF_PATH_JSON;
        return NGX_OK;
    }

    number = df_expr_is_literal(value, DF_LITERAL_NUMBER)
             || (value->kind == DF_EXPR_PARAM
                 && df_expr_is_number(value->type));

    text = df_expr_is_literal(value, DF_LITERAL_TEXT)
           || (value->kind == DF_EXPR_PARAM
               && (value->type->flags & DF_TYPE_TEXT));

    if (!number && !text) {
        return df_expr_refuse_at(scope, value, "type",
                                 "expected a number or a text");
    }

    p->form = number ? DF_PATH_NUMBER : DF_PATH_TEXT;

    return NGX_OK;
}


/* a literal as the JSON that it is */

static ngx_int_t
df_expr_compare_json(ngx_pool_t *pool, const df_expr_t *literal,
    ngx_str_t *text)
{
    u_char  *p;

    if (literal->literal != DF_LITERAL_TEXT) {
        *text = literal->text;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, df_json_escaped_length(literal->text.data,
                                                 literal->text.len) + 3);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    *p++ = '"';
    p = df_json_escape(p, literal->text.data, literal->text.len);
    *p++ = '"';
    *p = '\0';

    text->len = p - text->data;

    return NGX_OK;
}


/* NGX_ABORT: another number than the field can be */

static ngx_int_t
df_expr_compare_literal(df_scope_t *scope, const df_expr_t *literal,
    df_predicate_t *p, df_value_t *value)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    df_field_t         field;
    const df_type_t   *type;
    df_value_error_t   error;

    type = df_query_operand_type(p);
    text = literal->text;

    if (type->kind == DF_JSON && (p->npath || literal->member)) {
        if (df_expr_compare_json(scope->pool, literal, &text) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (literal->literal == DF_LITERAL_NUMBER
               && !df_expr_is_number(type) && type->kind != DF_JSON)
    {
        return df_expr_refuse_at(scope, literal, "type", "expected %V; a "
                                 "number is none", &type->expected);

    } else if ((literal->literal == DF_LITERAL_BOOLEAN
                && type->kind != DF_BOOLEAN && type->kind != DF_JSON)
               || (literal->literal == DF_LITERAL_JSON
                   && type->kind != DF_JSON))
    {
        return df_expr_refuse_at(scope, literal, "type", "expected %V",
                                 &type->expected);
    }

    if (type == p->field->type && p->npath == 0) {
        field = *p->field;

    } else {
        ngx_memzero(&field, sizeof(df_field_t));
        field.type = type;
    }

    rc = df_schema_parse_text(&field, scope->pool, &text,
                              p->op->operand == DF_OPERAND_ELEMENT
                              || p->op->operand == DF_OPERAND_ELEMENTS,
                              value, &error);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (literal->literal == DF_LITERAL_NUMBER && df_expr_is_number(type)
        && p->field->array == 0)
    {
        return NGX_ABORT;
    }

    return df_expr_refuse_at(scope, literal, error.code, "expected %V",
                             &error.expected);
}


static ngx_int_t
df_expr_compare_value(df_scope_t *scope, df_expr_t *expr, df_predicate_t *p,
    df_value_t *value)
{
    ngx_memzero(value, sizeof(df_value_t));

    if (!df_expr_is_literal(expr, DF_LITERAL_NULL)) {
        return df_expr_compare_literal(scope, expr, p, value);
    }

    if (p->op->null == NULL && p->op->operand != DF_OPERAND_LIST) {
        return df_expr_refuse_at(scope, expr, "null",
                                 "\"%V\" takes no null; is null asks for one",
                                 &p->op->name);
    }

    value->null = 1;

    return NGX_OK;
}


/* a parameter, whose type has to be what is compared */

static ngx_int_t
df_expr_compare_param(const df_expr_t *param, const df_predicate_t *p)
{
    ngx_uint_t        element;
    const df_type_t  *type;

    type = df_query_operand_type(p);
    element = (p->op->operand == DF_OPERAND_ELEMENT);

    if (p->op->operand == DF_OPERAND_LIST
        || p->op->operand == DF_OPERAND_ELEMENTS
        || p->op->operand == DF_OPERAND_FLAG
        || param->array != (p->field->array && !element)
        || (param->type->kind != type->kind
            && !(param->type->flags & type->flags & DF_TYPE_TEXT)))
    {
        return NGX_ABORT;
    }

    return NGX_OK;
}


/* an array in JSON where one value is compared: of an array, of json */

static ngx_int_t
df_expr_compare_array(df_scope_t *scope, df_expr_t *list, df_predicate_t *p)
{
    ngx_int_t       rc;
    df_expr_t      *item;
    df_value_t     *values;
    ngx_uint_t      n;
    df_field_t      element;
    df_predicate_t  of;

    if (!p->field->array) {

        if (df_query_operand_type(p)->kind == DF_JSON && list->member) {
            p->noperands = 1;
            return df_expr_compare_literal(scope, list, p, p->operands);
        }

        return df_expr_refuse_at(scope, list, "type",
                                 "\"%V\" takes one value; did you mean "
                                 "\"in\"?", &p->op->name);
    }

    values = ngx_palloc(scope->pool, (list->nargs + 1) * sizeof(df_value_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    element = *p->field;
    element.array = 0;

    of = *p;
    of.field = &element;

    for (item = list->args, n = 0; item; item = item->next) {

        if (df_expr_is_literal(item, DF_LITERAL_NULL)) {
            ngx_memzero(&values[n], sizeof(df_value_t));
            values[n++].null = 1;
            continue;
        }

        if (item->kind != DF_EXPR_LITERAL) {
            return NGX_ABORT;
        }

        rc = df_expr_compare_literal(scope, item, &of, &values[n++]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    p->noperands = 1;

    return df_schema_array(scope->pool, values, n, p->operands);
}


static ngx_int_t
df_expr_compare_list(df_scope_t *scope, df_expr_t *list, df_predicate_t *p)
{
    ngx_int_t   rc;
    df_expr_t  *item;

    p->operands = ngx_pcalloc(scope->pool,
                              (list->nargs + 1) * sizeof(df_value_t));
    if (p->operands == NULL) {
        return NGX_ERROR;
    }

    if (p->op->operand != DF_OPERAND_LIST
        && p->op->operand != DF_OPERAND_ELEMENTS)
    {
        return df_expr_compare_array(scope, list, p);
    }

    for (item = list->args; item; item = item->next) {

        if (item->kind != DF_EXPR_LITERAL) {
            return NGX_ABORT;
        }

        rc = df_expr_compare_value(scope, item, p,
                                   &p->operands[p->noperands++]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_expr_compare_operands(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t *p)
{
    ngx_int_t   rc;
    ngx_uint_t  params;
    df_expr_t  *value;

    value = expr->args->next;

    if (p->npath && !df_expr_is_literal(value, DF_LITERAL_NULL)) {
        rc = df_expr_compare_form(scope, value, p);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (df_expr_is_literal(value, DF_LITERAL_LIST)) {
        return df_expr_compare_list(scope, value, p);
    }

    if (p->op->operand == DF_OPERAND_LIST) {
        return NGX_ABORT;
    }

    p->operands = ngx_pcalloc(scope->pool, expr->nargs * sizeof(df_value_t));
    if (p->operands == NULL) {
        return NGX_ERROR;
    }

    params = 0;

    for ( /* void */ ; value; value = value->next) {

        if (value->kind == DF_EXPR_PARAM) {
            rc = df_expr_compare_param(value, p);
            params = 1;

        } else if (p->op->operand == DF_OPERAND_FLAG) {
            rc = df_expr_is_literal(value, DF_LITERAL_BOOLEAN) ? NGX_OK
                                                               : NGX_ABORT;
            p->operands->text = value->text;

        } else {
            rc = df_expr_compare_value(scope, value, p, &value->value);
            p->operands[p->noperands] = value->value;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        p->noperands++;
    }

    /* those of parameters are filled in when it is compiled */

    if (params) {
        p->operands = NULL;
        p->noperands = 0;
    }

    return NGX_OK;
}


/* the whole expression */

static ngx_int_t
df_expr_predicate_list(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t *p)
{
    ngx_int_t         rc;
    df_expr_t        *arg;
    df_predicate_t  **last;

    last = &p->children;

    for (arg = expr->args; arg; arg = arg->next) {
        rc = df_expr_predicate(scope, arg, last);
        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    return NGX_OK;
}


ngx_int_t
df_expr_predicate(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t **predicate)
{
    df_predicate_t  *p;

    static const ngx_str_t  not = ngx_string("not");
    static const ngx_str_t  or = ngx_string("or");

    if (expr->type == NULL || expr->array || expr->type->kind != DF_BOOLEAN) {
        return df_expr_refuse_at(scope, expr, "type",
                                 "expected a condition, not %s",
                                 expr->type ? (char *) expr->type->name.data
                                            : "null");
    }

    p = ngx_pcalloc(scope->pool, sizeof(df_predicate_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    *predicate = p;

    if (expr->predicate && expr->predicate->operands) {
        *p = *expr->predicate;
        return NGX_OK;
    }

    if (expr->kind == DF_EXPR_CALL
        && (expr->function->chain || df_query_same(&expr->function->name,
                                                   &not)))
    {
        p->kind = !expr->function->chain ? DF_PREDICATE_NOT
                  : df_query_same(&expr->function->name, &or)
                    ? DF_PREDICATE_OR : DF_PREDICATE_AND;

        return df_expr_predicate_list(scope, expr, p);
    }

    p->kind = DF_PREDICATE_EXPR;
    p->expr = expr;

    return NGX_OK;
}


static ngx_int_t
df_expr_where_check(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t **predicate)
{
    ngx_int_t  rc;

    rc = df_expr_check(scope, &expr, DF_EXPR_ROW);

    return (rc == NGX_OK) ? df_expr_predicate(scope, expr, predicate) : rc;
}


ngx_int_t
df_expr_where(df_scope_t *scope, const ngx_str_t *text,
    const df_place_t *place, df_predicate_t **predicate)
{
    ngx_int_t          rc;
    df_expr_t         *expr;
    const df_place_t  *at;

    at = df_query_place_copy(scope->pool, place);
    if (at == NULL) {
        return NGX_ERROR;
    }

    rc = df_expr_parse(scope->pool, text, at, &expr, scope->problem);

    return (rc == NGX_OK) ? df_expr_where_check(scope, expr, predicate) : rc;
}


ngx_int_t
df_expr_where_json(df_scope_t *scope, const cJSON *node,
    const df_place_t *place, df_predicate_t **predicate)
{
    ngx_int_t          rc;
    df_expr_t         *expr;
    const df_place_t  *at;

    at = df_query_place_copy(scope->pool, place);
    if (at == NULL) {
        return NGX_ERROR;
    }

    rc = df_expr_read(scope->pool, node, at, &expr, scope->problem);

    return (rc == NGX_OK) ? df_expr_where_check(scope, expr, predicate) : rc;
}
