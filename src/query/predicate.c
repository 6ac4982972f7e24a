
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The tree of a filter: joined with another, and as a condition in SQL.  Of a
 * comparison the two sides are here, what stands between is the operator's.
 */


#include <ngx_config.h>
#include "query/expr.h"


/* a level of JSON is at most a list and $and; the query string and the gate
   join what they have by AND */
#define DF_QUERY_TREE_MAX_DEPTH  (2 * DF_FILTER_MAX_DEPTH + 4)


static ngx_int_t df_query_tree_compile(df_compile_t *c,
    const df_predicate_t *p, ngx_uint_t depth);


ngx_int_t
df_query_filter_and(ngx_pool_t *pool, df_predicate_t **filter,
    df_predicate_t *other)
{
    df_predicate_t  *and, **last;

    if (*filter == NULL) {
        *filter = other;
        return NGX_OK;
    }

    and = *filter;

    if (and->kind != DF_PREDICATE_AND) {
        and = ngx_pcalloc(pool, sizeof(df_predicate_t));
        if (and == NULL) {
            return NGX_ERROR;
        }

        and->kind = DF_PREDICATE_AND;
        and->children = *filter;
        *filter = and;
    }

    for (last = &and->children; *last; last = &(*last)->next) {
        /* void */
    }

    *last = other;

    return NGX_OK;
}


/* sides of a comparison */

/* the steps as one value */

static ngx_int_t
df_query_path_value(df_compile_t *c, const df_predicate_t *p,
    df_value_t *path)
{
    ngx_uint_t   i;
    df_value_t  *steps;

    steps = ngx_pcalloc(c->pool, p->npath * sizeof(df_value_t));
    if (steps == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < p->npath; i++) {
        steps[i].text = p->path[i];
    }

    return df_schema_array(c->pool, steps, p->npath, path);
}


static ngx_int_t
df_query_path_compile(df_compile_t *c, const df_predicate_t *p,
    const char *arrow, const df_value_t *path)
{
    if (df_writer_add(&c->sql, "(", 1) != NGX_OK
        || df_compile_column(c, p->join, p->field) != NGX_OK
        || df_compile_sql(c, arrow) != NGX_OK
        || df_compile_param_once(c, df_schema_type_of(DF_TEXT)->array_oid,
                                 path)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_add(&c->sql, ")", 1);
}


ngx_int_t
df_query_left_compile(df_compile_t *c, const df_predicate_t *p,
    df_path_form_t form)
{
    df_value_t  path;

    if (p->npath == 0) {
        return df_compile_column(c, p->join, p->field);
    }

    if (df_query_path_value(c, p, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    if (form == DF_PATH_JSON) {
        return df_query_path_compile(c, p, " #> ", &path);
    }

    if (form == DF_PATH_TEXT) {
        if (df_query_path_compile(c, p, " #>> ", &path) != NGX_OK) {
            return NGX_ERROR;
        }

        return p->op->ordered ? df_compile_sql(c, " COLLATE \"C\"") : NGX_OK;
    }

    /* the cast must not see what is no number: only CASE keeps this order */

    if (df_compile_sql(c, "CASE WHEN jsonb_typeof") != NGX_OK
        || df_query_path_compile(c, p, " #> ", &path) != NGX_OK
        || df_compile_sql(c, " = 'number' THEN ") != NGX_OK
        || df_query_path_compile(c, p, " #>> ", &path) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_sql(c, "::numeric END");
}


const df_type_t *
df_query_operand_type(const df_predicate_t *p)
{
    ngx_uint_t  key;

    static const df_kind_t  forms[] = { DF_TEXT, DF_NUMERIC, DF_JSON };

    key = (p->op->operand == DF_OPERAND_ELEMENT
           || p->op->operand == DF_OPERAND_ELEMENTS)
          && !p->field->array;

    if (key || p->op->operand == DF_OPERAND_PATTERN) {
        return df_schema_type_of(DF_TEXT);
    }

    return p->npath ? df_schema_type_of(forms[p->form]) : p->field->type;
}


Oid
df_query_operand_oid(const df_predicate_t *p)
{
    const df_type_t  *type;

    type = df_query_operand_type(p);

    if (p->op->operand == DF_OPERAND_LIST
        || p->op->operand == DF_OPERAND_ELEMENTS
        || p->field->array)
    {
        return type->array_oid;
    }

    return type->oid;
}


/* a list is one parameter, so that its length is not in the text; an array
   has an element when it holds the array of it, which knows no unknown */

ngx_int_t
df_query_operand_compile(df_compile_t *c, const df_predicate_t *p)
{
    df_value_t  list;

    if (p->op->operand != DF_OPERAND_ELEMENTS
        && (p->op->operand != DF_OPERAND_ELEMENT || !p->field->array))
    {
        return df_compile_param(c, df_query_operand_oid(p), p->operands);
    }

    if (df_schema_array(c->pool, p->operands, p->noperands, &list) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_compile_param(c, df_query_operand_oid(p), &list);
}


/* the tree */

ngx_int_t
df_query_compile_predicate(df_compile_t *c, const df_predicate_t *p)
{
    return df_query_tree_compile(c, p, 0);
}


static ngx_int_t
df_query_list_compile(df_compile_t *c, const df_predicate_t *p,
    ngx_uint_t depth)
{
    ngx_int_t              rc;
    ngx_uint_t             and;
    const df_predicate_t  *child;

    and = (p->kind == DF_PREDICATE_AND);

    if (p->children == NULL) {
        return df_compile_sql(c, and ? "TRUE" : "FALSE");
    }

    for (child = p->children; child; child = child->next) {
        if (df_compile_sql(c, child == p->children ? "("
                              : and ? " AND " : " OR ")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = df_query_tree_compile(c, child, depth + 1);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_writer_add(&c->sql, ")", 1);
}


static ngx_int_t
df_query_tree_compile(df_compile_t *c, const df_predicate_t *p,
    ngx_uint_t depth)
{
    ngx_int_t  rc;

    if (depth > DF_QUERY_TREE_MAX_DEPTH) {
        return df_problem_set(c->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                              "the filter is nested too deeply");
    }

    if (p->kind == DF_PREDICATE_COMPARE) {
        return p->op->compile(c, p);
    }

    if (p->kind == DF_PREDICATE_EXPR) {
        return df_expr_compile(c, p->expr);
    }

    if (p->kind != DF_PREDICATE_NOT) {
        return df_query_list_compile(c, p, depth);
    }

    if (df_compile_sql(c, "NOT (") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_query_tree_compile(c, p->children, depth + 1);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_writer_add(&c->sql, ")", 1);
}
