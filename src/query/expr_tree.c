
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Trees of expressions: made, bounded, walked, compared and named.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


/* a name in PostgreSQL */
#define DF_EXPR_MAX_NAME  63


static ngx_int_t df_expr_name_add(df_writer_t *w, const df_expr_t *expr);


ngx_int_t
df_expr_refuse(df_problem_t *problem, df_problem_code_t code,
    const df_place_t *place, ngx_uint_t column, const char *item_code,
    const char *fmt, ...)
{
    va_list     args;
    ngx_str_t   text;
    df_place_t  at;

    va_start(args, fmt);
    text = df_str_vprintf(problem->pool, fmt, args);
    va_end(args);

    at = *place;
    at.column = column;

    return df_query_refuse(problem, code, &at, item_code, "%V", &text);
}


/* making */

ngx_int_t
df_expr_enter(df_expr_reader_t *reader, const df_place_t *place,
    ngx_uint_t column)
{
    if (++reader->depth > DF_EXPR_MAX_DEPTH) {
        return df_expr_refuse(reader->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                              place, column, "limit_exceeded",
                              "an expression is nested at most %d deep",
                              DF_EXPR_MAX_DEPTH);
    }

    return NGX_OK;
}


ngx_int_t
df_expr_create(df_expr_reader_t *reader, const df_place_t *place,
    ngx_uint_t column, df_expr_kind_t kind, df_expr_t **expr)
{
    if (++reader->nodes > DF_EXPR_MAX_NODES) {
        return df_expr_refuse(reader->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                              place, column, "limit_exceeded",
                              "an expression has at most %d values and "
                              "operators", DF_EXPR_MAX_NODES);
    }

    *expr = ngx_pcalloc(reader->pool, sizeof(df_expr_t));
    if (*expr == NULL) {
        return NGX_ERROR;
    }

    (*expr)->kind = kind;
    (*expr)->place = place;
    (*expr)->column = column;

    return NGX_OK;
}


ngx_int_t
df_expr_create_literal(df_expr_reader_t *reader, const df_place_t *place,
    ngx_uint_t column, df_literal_t literal, const ngx_str_t *text,
    df_expr_t **expr)
{
    ngx_int_t  rc;

    rc = df_expr_create(reader, place, column, DF_EXPR_LITERAL, expr);
    if (rc != NGX_OK) {
        return rc;
    }

    (*expr)->literal = literal;

    if (text) {
        (*expr)->text = *text;

    } else {
        ngx_str_set(&(*expr)->text, "");
    }

    return NGX_OK;
}


ngx_int_t
df_expr_create_call(df_expr_reader_t *reader, const df_place_t *place,
    ngx_uint_t column, const df_function_t *function, df_expr_t *args,
    df_expr_t **expr)
{
    ngx_int_t  rc;

    rc = df_expr_create(reader, place, column, DF_EXPR_CALL, expr);
    if (rc != NGX_OK) {
        return rc;
    }

    (*expr)->function = function;
    (*expr)->args = args;

    for ( /* void */ ; args; args = args->next) {
        (*expr)->nargs++;
    }

    return NGX_OK;
}


/* of a tree that is not checked yet */

ngx_int_t
df_expr_copy(df_expr_reader_t *reader, const df_expr_t *expr,
    df_expr_t **copy)
{
    ngx_int_t         rc;
    df_expr_t       **last;
    const df_expr_t  *arg;

    rc = df_expr_create(reader, expr->place, expr->column, expr->kind, copy);
    if (rc != NGX_OK) {
        return rc;
    }

    **copy = *expr;
    (*copy)->next = NULL;
    (*copy)->args = NULL;

    last = &(*copy)->args;

    for (arg = expr->args; arg; arg = arg->next) {
        rc = df_expr_copy(reader, arg, last);
        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    return expr->filter ? df_expr_copy(reader, expr->filter, &(*copy)->filter)
                        : NGX_OK;
}


/* walking: as deep as there are nodes */

ngx_int_t
df_expr_walk(const df_expr_t *expr, df_expr_visit_pt visit, void *data)
{
    ngx_int_t         rc;
    const df_expr_t  *arg;

    rc = visit(expr, data);

    for (arg = expr->args; arg && rc == NGX_OK; arg = arg->next) {
        rc = df_expr_walk(arg, visit, data);
    }

    if (rc == NGX_OK && expr->filter) {
        rc = df_expr_walk(expr->filter, visit, data);
    }

    return rc;
}


/* comparing */

static ngx_uint_t
df_expr_equal_reference(const df_reference_t *a, const df_reference_t *b)
{
    ngx_uint_t  i;

    if (a->field != b->field || a->join != b->join || a->npath != b->npath) {
        return 0;
    }

    for (i = 0; i < a->npath; i++) {
        if (!df_query_same(&a->path[i], &b->path[i])) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
df_expr_equal(const df_expr_t *a, const df_expr_t *b)
{
    const df_expr_t  *x, *y;

    if (a->kind != b->kind || a->type != b->type || a->array != b->array
        || a->nargs != b->nargs)
    {
        return 0;
    }

    switch (a->kind) {

    case DF_EXPR_FIELD:
        return df_expr_equal_reference(&a->ref, &b->ref);

    case DF_EXPR_PARAM:
        return a->param == b->param;

    case DF_EXPR_CALL:
        if (a->function != b->function || a->distinct != b->distinct
            || (a->filter == NULL) != (b->filter == NULL)
            || (a->filter && !df_expr_equal(a->filter, b->filter)))
        {
            return 0;
        }

        break;

    default:
        if (a->literal != b->literal || !df_query_same(&a->text, &b->text)) {
            return 0;
        }
    }

    for (x = a->args, y = b->args; x; x = x->next, y = y->next) {
        if (!df_expr_equal(x, y)) {
            return 0;
        }
    }

    return 1;
}


/* what is of any length stands behind its length */

static ngx_int_t
df_expr_put_text(df_writer_t *w, const ngx_str_t *text)
{
    return df_writer_printf(w, "%uz:%V", text->len, text);
}


static ngx_int_t
df_expr_put_reference(df_writer_t *w, const df_reference_t *ref)
{
    ngx_uint_t        i;
    const df_join_t  *join;

    /* a join's index tells only when it was reached */

    for (join = ref->join; join; join = join->parent) {
        if (df_expr_put_text(w, &join->relation->name) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (df_writer_printf(w, ".%ui/%ui", ref->field->index, ref->npath)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < ref->npath; i++) {
        if (df_expr_put_text(w, &ref->path[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
df_expr_put(df_writer_t *w, const df_expr_t *expr)
{
    ngx_int_t         rc;
    const df_expr_t  *arg;

    if (df_writer_printf(w, "(%ui,%ui", (ngx_uint_t) expr->kind,
                         (ngx_uint_t) expr->literal)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (expr->kind) {

    case DF_EXPR_FIELD:
        rc = df_expr_put_reference(w, &expr->ref);
        break;

    case DF_EXPR_PARAM:
        rc = df_expr_put_text(w, &expr->param->field.name);
        break;

    case DF_EXPR_CALL:
        rc = df_expr_put_text(w, &expr->function->name);
        break;

    default:
        rc = df_expr_put_text(w, &expr->text);
    }

    for (arg = expr->args; arg && rc == NGX_OK; arg = arg->next) {
        rc = df_expr_put(w, arg);
    }

    if (rc == NGX_OK && expr->filter) {
        rc = df_expr_put(w, expr->filter);
    }

    return (rc == NGX_OK) ? df_writer_printf(w, ",%ui)",
                                             (ngx_uint_t) expr->distinct)
                          : NGX_ERROR;
}


/* naming */

ngx_int_t
df_expr_name(ngx_pool_t *pool, const df_expr_t *expr, ngx_str_t *name)
{
    df_writer_t  w;

    if (df_writer_init(&w, pool, 64) != NGX_OK
        || df_expr_name_add(&w, expr) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (df_writer_length(&w) == 0 && df_writer_add(&w, "value", 5) != NGX_OK) {
        return NGX_ERROR;
    }

    if (df_writer_text(&w, name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name->data[0] >= '0' && name->data[0] <= '9') {
        name->data[0] = '_';
    }

    name->len = ngx_min(name->len, DF_EXPR_MAX_NAME);
    name->data[name->len] = '\0';

    return NGX_OK;
}


/* what is no letter, digit or _ becomes _ */

static ngx_int_t
df_expr_name_word(df_writer_t *w, const ngx_str_t *word)
{
    u_char      ch;
    ngx_uint_t  i;

    if (word->len == 0 || df_writer_length(w) > DF_EXPR_MAX_NAME) {
        return NGX_OK;
    }

    if (df_writer_length(w) && df_writer_add(w, "_", 1) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < word->len; i++) {
        ch = ngx_tolower(word->data[i]);

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9')) {
            ch = '_';
        }

        if (df_writer_add(w, &ch, 1) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_expr_name_reference(df_writer_t *w, const df_reference_t *ref)
{
    ngx_uint_t        i, n;
    const df_join_t  *join, *joins[DF_JOIN_MAX_DEPTH];

    for (join = ref->join, n = 0; join && n < DF_JOIN_MAX_DEPTH;
         join = join->parent)
    {
        joins[n++] = join;
    }

    while (n--) {
        if (df_expr_name_word(w, &joins[n]->relation->name) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (df_expr_name_word(w, &ref->field->name) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ref->npath; i++) {
        if (df_expr_name_word(w, &ref->path[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* functions and fields; operators and literals have no name */

static ngx_int_t
df_expr_name_add(df_writer_t *w, const df_expr_t *expr)
{
    const df_expr_t   *arg;

    static const ngx_str_t  distinct = ngx_string("distinct");

    if (expr->kind == DF_EXPR_FIELD) {
        return df_expr_name_reference(w, &expr->ref);
    }

    if (expr->kind == DF_EXPR_PARAM) {
        return df_expr_name_word(w, &expr->param->field.name);
    }

    if (expr->kind != DF_EXPR_CALL) {
        return NGX_OK;
    }

    if ((!expr->function->sign || expr->function->args == df_expr_case_args)
        && df_expr_name_word(w, &expr->function->name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (expr->distinct && df_expr_name_word(w, &distinct) != NGX_OK) {
        return NGX_ERROR;
    }

    for (arg = expr->args; arg; arg = arg->next) {
        if (df_expr_name_add(w, arg) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
