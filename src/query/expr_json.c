
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Expressions in JSON to the trees that infix makes: {"$name": arguments} is a
 * call, a string is infix, and {"field": {"$gt": 3}} compares as a filter does.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


static ngx_int_t df_expr_read_node(df_expr_reader_t *reader,
    const cJSON *node, const df_place_t *place, df_expr_t **expr);
static ngx_int_t df_expr_read_call(df_expr_reader_t *reader,
    const ngx_str_t *name, const cJSON *node, const df_place_t *place,
    df_expr_t **expr);
static ngx_int_t df_expr_read_special(df_expr_reader_t *reader,
    const ngx_str_t *name, const cJSON *node, const df_place_t *place,
    df_expr_t **expr);
static ngx_int_t df_expr_read_args(df_expr_reader_t *reader,
    const df_function_t *function, const cJSON *node, const df_place_t *place,
    df_expr_t **args);
static ngx_int_t df_expr_read_member(df_expr_reader_t *reader,
    const ngx_str_t *name, const cJSON *node, const df_place_t *place,
    df_expr_t **expr);
static ngx_int_t df_expr_read_value(df_expr_reader_t *reader,
    const cJSON *node, const df_place_t *place, ngx_uint_t list,
    df_expr_t **expr);


static const ngx_str_t  df_expr_and = ngx_string("and");
static const ngx_str_t  df_expr_eq = ngx_string("=");
static const ngx_str_t  df_expr_between = ngx_string("between");
static const ngx_str_t  df_expr_distinct = ngx_string("distinct");
static const ngx_str_t  df_expr_filter = ngx_string("filter");
static const ngx_str_t  df_expr_literal = ngx_string("literal");


ngx_int_t
df_expr_read(ngx_pool_t *pool, const cJSON *node, const df_place_t *place,
    df_expr_t **expr, df_problem_t *problem)
{
    df_expr_reader_t  reader;

    ngx_memzero(&reader, sizeof(df_expr_reader_t));

    reader.pool = pool;
    reader.problem = problem;

    return df_expr_read_node(&reader, node, place, expr);
}


/* a place for what a tree keeps; name: of a member, or NULL */

static df_place_t *
df_expr_read_place(df_expr_reader_t *reader, const df_place_t *parent,
    const ngx_str_t *name, ngx_uint_t index)
{
    df_place_t  *place;

    place = ngx_pcalloc(reader->pool, sizeof(df_place_t) + sizeof(ngx_str_t));
    if (place == NULL) {
        return NULL;
    }

    place->parent = parent;
    place->index = index;

    if (name) {
        place->name = (ngx_str_t *) (place + 1);
        *(ngx_str_t *) (place + 1) = *name;
    }

    return place;
}


static ngx_int_t
df_expr_read_refuse(df_expr_reader_t *reader, const df_place_t *place,
    const char *expected)
{
    return df_query_refuse(reader->problem, DF_PROBLEM_INVALID_VALUE, place,
                           "type", "expected %s", expected);
}


/* {"$gt": ["price", 3]}, {"price": {"$gt": 3}}; several members are joined by
   and */

static ngx_int_t
df_expr_read_object(df_expr_reader_t *reader, const cJSON *node,
    const df_place_t *place, df_expr_t **expr)
{
    ngx_int_t     rc;
    ngx_str_t     name;
    df_expr_t    *list, **last;
    df_place_t   *at;
    const cJSON  *member;

    if (node->child == NULL) {
        return df_expr_read_refuse(reader, place, "an expression such as "
                                   "{\"$sum\":\"price\"}");
    }

    list = NULL;
    last = &list;

    for (member = node->child; member; member = member->next) {
        name = df_json_name(member);

        at = df_expr_read_place(reader, place, &name, 0);
        if (at == NULL) {
            return NGX_ERROR;
        }

        if (name.len && name.data[0] == '$') {
            name.data++;
            name.len--;

            rc = df_expr_read_call(reader, &name, member, at, last);

        } else {
            rc = df_expr_read_member(reader, &name, member, at, last);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    if (list->next == NULL) {
        *expr = list;
        return NGX_OK;
    }

    return df_expr_create_call(reader, place, 0,
                               df_expr_function(&df_expr_and, 1), list, expr);
}


static ngx_int_t
df_expr_read_node(df_expr_reader_t *reader, const cJSON *node,
    const df_place_t *place, df_expr_t **expr)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    switch (df_json_kind(node)) {

    case DF_JSON_STRING:
        text = df_json_text(node);
        return df_expr_parse_text(reader, &text, place, expr);

    case DF_JSON_OBJECT:
        rc = df_expr_enter(reader, place, 0);

        if (rc == NGX_OK) {
            rc = df_expr_read_object(reader, node, place, expr);
        }

        reader->depth--;

        return rc;

    case DF_JSON_ARRAY:
        return df_expr_read_refuse(reader, place, "an expression, not an "
                                   "array");

    default:
        return df_expr_read_value(reader, node, place, 0, expr);
    }
}


/* calls */

static ngx_int_t
df_expr_read_call(df_expr_reader_t *reader, const ngx_str_t *name,
    const cJSON *node, const df_place_t *place, df_expr_t **expr)
{
    ngx_int_t             rc;
    df_expr_t            *args, *next;
    ngx_uint_t            distinct;
    const df_function_t  *function;

    rc = df_expr_read_special(reader, name, node, place, expr);
    if (rc != NGX_ABORT) {
        return rc;
    }

    function = df_expr_function_json(name);

    if (function == NULL) {
        return df_expr_function_refuse(reader->problem, place, 0, name, 1);
    }

    /* {"$sum": {"$distinct": "price"}} */

    distinct = (function->aggregate && df_json_kind(node) == DF_JSON_OBJECT
                && node->child && node->child->next == NULL
                && ngx_strcmp(node->child->string, "$distinct") == 0);

    rc = df_expr_read_args(reader, function, distinct ? node->child : node,
                           place, &args);
    if (rc != NGX_OK) {
        return rc;
    }

    /* {"$add": [a, b, c]} is a + b + c */

    while (function->fold && args && args->next && args->next->next) {
        next = args->next->next;
        args->next->next = NULL;

        rc = df_expr_create_call(reader, place, 0, function, args, &args);
        if (rc != NGX_OK) {
            return rc;
        }

        args->next = next;
    }

    rc = df_expr_create_call(reader, place, 0, function, args, expr);

    if (rc == NGX_OK) {
        (*expr)->distinct = distinct;
    }

    return rc;
}


/* what is no function: $literal, $filter; NGX_ABORT: another name */

static ngx_int_t
df_expr_read_special(df_expr_reader_t *reader, const ngx_str_t *name,
    const cJSON *node, const df_place_t *place, df_expr_t **expr)
{
    ngx_int_t    rc;
    df_expr_t   *args;

    if (df_query_same(name, &df_expr_literal)) {
        return df_expr_read_value(reader, node, place, 0, expr);
    }

    if (df_query_same(name, &df_expr_distinct)) {
        return df_expr_read_refuse(reader, place, "$distinct as the only "
                                   "argument of an aggregate");
    }

    if (!df_query_same(name, &df_expr_filter)) {
        return NGX_ABORT;
    }

    rc = df_expr_read_args(reader, NULL, node, place, &args);
    if (rc != NGX_OK) {
        return rc;
    }

    if (args == NULL || args->kind != DF_EXPR_CALL || args->filter
        || args->next == NULL || args->next->next)
    {
        return df_expr_read_refuse(reader, place, "an aggregate and a "
                                   "condition");
    }

    *expr = args;
    (*expr)->filter = args->next;
    (*expr)->next = NULL;

    return NGX_OK;
}


/* an argument: an array is a list, where a unit stands is its name */

static ngx_int_t
df_expr_read_arg(df_expr_reader_t *reader, const df_function_t *function,
    ngx_uint_t n, const cJSON *node, const df_place_t *place,
    df_expr_t **expr)
{
    ngx_int_t       rc;
    ngx_str_t       text;
    df_expr_t      *args;
    df_json_kind_t  kind;

    kind = df_json_kind(node);

    if (kind == DF_JSON_STRING && n == 0 && function
        && function->args[0] == DF_CLASS_UNIT)
    {
        text = df_json_text(node);

        return df_expr_create_literal(reader, place, 0, DF_LITERAL_TEXT,
                                      &text, expr);
    }

    if (kind != DF_JSON_ARRAY || n != 1 || function == NULL
        || !function->compare)
    {
        return df_expr_read_node(reader, node, place, expr);
    }

    rc = df_expr_read_args(reader, NULL, node, place, &args);

    if (rc == NGX_OK) {
        rc = df_expr_create_literal(reader, place, 0, DF_LITERAL_LIST, NULL,
                                    expr);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    for ((*expr)->args = args; args; args = args->next) {
        (*expr)->nargs++;
    }

    return NGX_OK;
}


static ngx_int_t
df_expr_read_args(df_expr_reader_t *reader, const df_function_t *function,
    const cJSON *node, const df_place_t *place, df_expr_t **args)
{
    ngx_int_t     rc;
    ngx_str_t     text;
    df_expr_t   **last;
    df_place_t   *at;
    ngx_uint_t    n;
    const cJSON  *item;

    *args = NULL;

    /* {"$count": "*"} */

    if (df_json_kind(node) == DF_JSON_STRING && function
        && function->aggregate)
    {
        text = df_json_text(node);

        if (text.len == 1 && text.data[0] == '*') {
            return NGX_OK;
        }
    }

    if (df_json_kind(node) != DF_JSON_ARRAY) {
        return df_expr_read_arg(reader, function, 0, node, place, args);
    }

    rc = df_expr_enter(reader, place, 0);
    if (rc != NGX_OK) {
        return rc;
    }

    last = args;

    for (item = node->child, n = 0; item; item = item->next, n++) {

        at = df_expr_read_place(reader, place, NULL, n);
        if (at == NULL) {
            return NGX_ERROR;
        }

        rc = df_expr_read_arg(reader, function, n, item, at, last);
        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    reader->depth--;

    return NGX_OK;
}


/* comparisons as filters have them */

/* "price" op value */

static ngx_int_t
df_expr_read_compare(df_expr_reader_t *reader, const ngx_str_t *name,
    const df_function_t *function, const cJSON *node,
    const df_place_t *place, df_expr_t **expr)
{
    ngx_int_t   rc;
    df_expr_t  *left, *right;

    rc = df_expr_create(reader, place, 0, DF_EXPR_NAME, &left);

    if (rc == NGX_OK) {
        left->text = *name;
        rc = df_expr_read_value(reader, node, place, 1, &right);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (df_query_same(&function->name, &df_expr_between)) {

        if (right->literal != DF_LITERAL_LIST || right->nargs != 2) {
            return df_expr_read_refuse(reader, place, "two values");
        }

        right = right->args;
    }

    left->next = right;

    return df_expr_create_call(reader, place, 0, function, left, expr);
}


/* "$gt" of {"price": {"$gt": 3}} */

static ngx_int_t
df_expr_read_operator(df_expr_reader_t *reader, const ngx_str_t *name,
    const df_place_t *place, const df_function_t **function)
{
    ngx_str_t  bare;

    if (name->len == 0 || name->data[0] != '$') {
        return df_query_refuse(reader->problem, DF_PROBLEM_UNKNOWN_OPERATOR,
                               place, "unknown_operator",
                               "an operator starts with $");
    }

    bare.data = name->data + 1;
    bare.len = name->len - 1;

    *function = df_expr_function_json(&bare);

    if (*function == NULL) {
        return df_expr_function_refuse(reader->problem, place, 0, &bare, 1);
    }

    if (!(*function)->compare) {
        return df_query_refuse(reader->problem, DF_PROBLEM_UNKNOWN_OPERATOR,
                               place, "unknown_operator",
                               "\"%V\" compares nothing", name);
    }

    return NGX_OK;
}


static ngx_uint_t
df_expr_read_has_operators(const cJSON *node)
{
    ngx_str_t  name;

    if (df_json_kind(node) != DF_JSON_OBJECT || node->child == NULL) {
        return 0;
    }

    name = df_json_name(node->child);

    return name.len && name.data[0] == '$';
}


static ngx_int_t
df_expr_read_member(df_expr_reader_t *reader, const ngx_str_t *name,
    const cJSON *node, const df_place_t *place, df_expr_t **expr)
{
    ngx_int_t             rc;
    ngx_str_t             op;
    df_expr_t            *list, **last;
    df_place_t           *at;
    const cJSON          *member;
    const df_function_t  *function;

    function = NULL;

    if (!df_expr_read_has_operators(node)) {
        return df_expr_read_compare(reader, name,
                                    df_expr_function(&df_expr_eq, 1), node,
                                    place, expr);
    }

    list = NULL;
    last = &list;

    for (member = node->child; member; member = member->next) {
        op = df_json_name(member);

        at = df_expr_read_place(reader, place, &op, 0);
        if (at == NULL) {
            return NGX_ERROR;
        }

        rc = df_expr_read_operator(reader, &op, at, &function);

        if (rc == NGX_OK) {
            rc = df_expr_read_compare(reader, name, function, member, at,
                                      last);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    if (list->next == NULL) {
        *expr = list;
        return NGX_OK;
    }

    return df_expr_create_call(reader, place, 0,
                               df_expr_function(&df_expr_and, 1), list, expr);
}


/* values */

static ngx_int_t
df_expr_read_items(df_expr_reader_t *reader, const cJSON *node,
    const df_place_t *place, df_expr_t *list)
{
    ngx_int_t     rc;
    df_expr_t   **last;
    df_place_t   *at;
    const cJSON  *item;

    last = &list->args;

    for (item = node->child; item; item = item->next) {

        if (++reader->items > DF_FILTER_MAX_LIST) {
            return df_query_refuse(reader->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                                   place, "limit_exceeded",
                                   "a list has at most %d values",
                                   DF_FILTER_MAX_LIST);
        }

        /* they are bounded by themselves */

        reader->nodes--;

        at = df_expr_read_place(reader, place, NULL, list->nargs++);
        if (at == NULL) {
            return NGX_ERROR;
        }

        rc = df_expr_read_value(reader, item, at, 0, last);
        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    return NGX_OK;
}


/* what is a string is a text here; list: an array is several of them, else it
   is one of a json field */

static ngx_int_t
df_expr_read_value(df_expr_reader_t *reader, const cJSON *node,
    const df_place_t *place, ngx_uint_t list, df_expr_t **expr)
{
    ngx_int_t       rc;
    ngx_str_t       text;
    df_literal_t    literal;
    df_json_kind_t  kind;

    static const df_literal_t  literals[] = {
        [DF_JSON_NULL] = DF_LITERAL_NULL,
        [DF_JSON_FALSE] = DF_LITERAL_BOOLEAN,
        [DF_JSON_TRUE] = DF_LITERAL_BOOLEAN,
        [DF_JSON_NUMBER] = DF_LITERAL_NUMBER,
        [DF_JSON_STRING] = DF_LITERAL_TEXT,
        [DF_JSON_ARRAY] = DF_LITERAL_LIST,
        [DF_JSON_OBJECT] = DF_LITERAL_JSON
    };

    kind = df_json_kind(node);

    if (df_json_has_nul(node)) {
        return df_query_refuse(reader->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "nul", "U+0000 can not be stored");
    }

    if (kind == DF_JSON_OBJECT || kind == DF_JSON_ARRAY) {
        if (df_json_print(reader->pool, node, &text) != NGX_OK) {
            return NGX_ERROR;
        }

    } else {
        text = df_json_text(node);
    }

    literal = literals[kind];

    if (literal == DF_LITERAL_LIST && !list) {
        literal = DF_LITERAL_JSON;
    }

    rc = df_expr_create_literal(reader, place, 0, literal, &text, expr);
    if (rc != NGX_OK) {
        return rc;
    }

    (*expr)->member = 1;

    return (literal == DF_LITERAL_LIST)
           ? df_expr_read_items(reader, node, place, *expr) : NGX_OK;
}
