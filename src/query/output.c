
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What an aggregate answers: its expressions looked up, checked and named, and
 * made columns of, so that rows of it are sorted and encoded as those of a
 * model are.
 */


#include <ngx_config.h>
#include "query/expr.h"


/* of a name in an answer */
#define DF_QUERY_OUTPUT_LEN  63

/* what all expressions of an aggregate may have, where a name of another value
   counts as much as what it stands for */
#define DF_QUERY_OUTPUT_NODES  5000


static ngx_int_t df_query_where_check(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t **filter);
static ngx_int_t df_query_outputs_add(df_scope_t *scope,
    const ngx_array_t *named, ngx_uint_t group, ngx_array_t *outputs,
    ngx_uint_t *nodes);
static ngx_int_t df_query_output_check(df_scope_t *scope, df_expr_t **expr,
    ngx_uint_t allow, ngx_uint_t *nodes);
static ngx_int_t df_query_outputs_whole(df_scope_t *scope,
    const ngx_array_t *outputs);
static ngx_int_t df_query_output_name(df_scope_t *scope,
    const ngx_array_t *outputs, const df_expr_named_t *named,
    df_output_t *output);
static ngx_int_t df_query_output_column(ngx_pool_t *pool,
    df_output_t *output);
static ngx_int_t df_query_having_check(df_scope_t *scope, df_expr_t *expr,
    const df_expr_t **having, ngx_uint_t *nodes);
static ngx_int_t df_query_output_sort(df_scope_t *scope,
    const ngx_array_t *outputs, const df_aggregate_sort_t *asked,
    ngx_array_t *sort);


ngx_int_t
df_query_parse_end(df_request_t *r, df_problem_t *problem)
{
    ngx_int_t          rc;
    df_place_t         room;
    df_scope_t         scope;
    df_aggregate_t    *a;
    const df_place_t  *place;

    static ngx_str_t  name = ngx_string("aggregate");

    if (r->op != DF_AGGREGATE) {
        return NGX_OK;
    }

    a = df_query_aggregate(r);
    if (a == NULL) {
        return NGX_ERROR;
    }

    df_query_scope(&scope, r, problem);

    if (r->timezone.len) {
        scope.timezone = &r->timezone;
    }

    if (a->where) {
        rc = df_query_where_check(&scope, a->where, &r->filter);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    place = df_query_parameter_place(r, &name, &room);

    return df_query_aggregate_check(&scope, a, place, &r->outputs, &r->having,
                                    &r->sort);
}


static ngx_int_t
df_query_where_check(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t **filter)
{
    ngx_int_t        rc;
    df_predicate_t  *predicate;

    rc = df_expr_check(scope, &expr, DF_EXPR_ROW);

    if (rc == NGX_OK) {
        rc = df_expr_predicate(scope, expr, &predicate);
    }

    return (rc == NGX_OK)
           ? df_query_filter_and(scope->pool, filter, predicate) : rc;
}


ngx_int_t
df_query_aggregate_check(df_scope_t *scope, const df_aggregate_t *a,
    const df_place_t *place, ngx_array_t *outputs, const df_expr_t **having,
    ngx_array_t *sort)
{
    ngx_int_t             rc;
    ngx_uint_t            i, n, nodes;
    df_aggregate_sort_t  *asked;

    nodes = 0;
    n = a->groups.nelts + a->values.nelts;

    if (n == 0) {
        return df_query_refuse(scope->problem, DF_PROBLEM_BAD_REQUEST, place,
                               "required",
                               "nothing is asked for: group_by takes fields, "
                               "aggregate takes values such as count(*)");
    }

    if (n > DF_OUTPUT_MAX) {
        return df_query_refuse(scope->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                               place, "limit_exceeded",
                               "an aggregate answers at most %d values",
                               DF_OUTPUT_MAX);
    }

    /* sort points to columns: the array must not grow */

    if (ngx_array_init(outputs, scope->pool, n, sizeof(df_output_t)) != NGX_OK
        || ngx_array_init(sort, scope->pool, a->sort.nelts + 1,
                          sizeof(df_sort_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_query_outputs_add(scope, &a->groups, 1, outputs, &nodes);

    if (rc == NGX_OK) {
        rc = df_query_outputs_add(scope, &a->values, 0, outputs, &nodes);
    }

    if (rc == NGX_OK && a->groups.nelts == 0) {
        rc = df_query_outputs_whole(scope, outputs);
    }

    if (rc == NGX_OK && a->having) {
        scope->outputs = outputs;
        rc = df_query_having_check(scope, a->having, having, &nodes);
    }

    asked = a->sort.elts;

    for (i = 0; rc == NGX_OK && i < a->sort.nelts; i++) {
        rc = df_query_output_sort(scope, outputs, &asked[i], sort);
    }

    return rc;
}


/* without groups the answer is one row, which only an aggregate makes of all */

static ngx_int_t
df_query_outputs_whole(df_scope_t *scope, const ngx_array_t *outputs)
{
    ngx_uint_t          i;
    const df_output_t  *output;

    output = outputs->elts;

    for (i = 0; i < outputs->nelts; i++) {
        if (output[i].expr->aggregate) {
            return NGX_OK;
        }
    }

    return df_query_refuse(scope->problem, DF_PROBLEM_INVALID_VALUE,
                           output->expr->place, "type",
                           "\"%V\" is no aggregate such as count(*), and "
                           "there is nothing that rows are grouped by",
                           &output->name);
}


/* a value may use what stands before it by its name */

static ngx_int_t
df_query_outputs_add(df_scope_t *scope, const ngx_array_t *named,
    ngx_uint_t group, ngx_array_t *outputs, ngx_uint_t *nodes)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    df_output_t       added, *output;
    df_expr_named_t  *value;

    value = named->elts;
    scope->outputs = group ? NULL : outputs;

    for (i = 0; i < named->nelts; i++) {
        ngx_memzero(&added, sizeof(df_output_t));

        added.expr = value[i].expr;
        added.group = group;

        rc = df_query_output_check(scope, &added.expr,
                                   group ? DF_EXPR_ROW : DF_EXPR_AGGREGATED,
                                   nodes);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = df_query_output_name(scope, outputs, &value[i], &added);
        if (rc != NGX_OK) {
            return rc;
        }

        added.column.index = outputs->nelts;

        if (df_query_output_column(scope->pool, &added) != NGX_OK) {
            return NGX_ERROR;
        }

        output = ngx_array_push(outputs);
        if (output == NULL) {
            return NGX_ERROR;
        }

        *output = added;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_output_count(const df_expr_t *expr, void *data)
{
    ngx_uint_t  *nodes = data;

    return ++*nodes > DF_QUERY_OUTPUT_NODES ? NGX_ABORT : NGX_OK;
}


/* values that name others could double with each */

static ngx_int_t
df_query_output_check(df_scope_t *scope, df_expr_t **expr, ngx_uint_t allow,
    ngx_uint_t *nodes)
{
    ngx_int_t          rc;
    const df_place_t  *place;

    place = (*expr)->place;

    rc = df_expr_check(scope, expr, allow);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_expr_walk(*expr, df_query_output_count, nodes) == NGX_OK) {
        return NGX_OK;
    }

    return df_query_refuse(scope->problem, DF_PROBLEM_LIMIT_EXCEEDED, place,
                           "limit_exceeded",
                           "the expressions, with what they name, have more "
                           "than %d values and operators",
                           DF_QUERY_OUTPUT_NODES);
}


static ngx_uint_t
df_query_output_is_name(const ngx_str_t *name)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (ch != '_' && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z')
            && (i == 0 || ch < '0' || ch > '9'))
        {
            return 0;
        }
    }

    return i && i <= DF_QUERY_OUTPUT_LEN;
}


static df_output_t *
df_query_output_find(const ngx_array_t *outputs, const ngx_str_t *name)
{
    ngx_uint_t    i;
    df_output_t  *output;

    output = outputs->elts;

    for (i = 0; i < outputs->nelts; i++) {
        if (df_query_same(&output[i].name, name)) {
            return &output[i];
        }
    }

    return NULL;
}


static ngx_int_t
df_query_output_name(df_scope_t *scope, const ngx_array_t *outputs,
    const df_expr_named_t *named, df_output_t *output)
{
    const df_place_t  *place;

    output->name = named->name;
    place = named->expr->place;

    if (named->name.len == 0
        && df_expr_name(scope->pool, output->expr, &output->name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!df_query_output_is_name(&output->name)) {
        return df_query_refuse(scope->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "name",
                               "\"%V\" cannot name what is answered: give it "
                               "a name of at most %d letters, digits and _",
                               &output->name, DF_QUERY_OUTPUT_LEN);
    }

    if (df_query_output_find(outputs, &output->name) == NULL) {
        return NGX_OK;
    }

    return df_query_refuse(scope->problem, DF_PROBLEM_INVALID_VALUE, place,
                           "duplicate",
                           "two values would be called \"%V\": give one "
                           "another name (\"… as %V_2\")", &output->name,
                           &output->name);
}


/* what rows are encoded by; of an expression there is no more to select than
   a cast behind it, with a name, else ORDER BY would take the cast for the
   column that it is of */

static ngx_int_t
df_query_output_column(ngx_pool_t *pool, df_output_t *output)
{
    df_field_t       *column;
    const df_expr_t  *expr;

    expr = output->expr;
    column = &output->column;

    column->name = output->name;
    column->type = expr->type ? expr->type : df_schema_type_of(DF_TEXT);
    column->array = expr->array;
    column->not_null = !expr->nullable;
    column->member = df_str_printf(pool, "\"%V\":", &output->name);

    if (column->type->kind == DF_REAL || column->type->kind == DF_DOUBLE) {
        column->selected = df_str_printf(pool, "::text%s AS \"=\"",
                                         column->array ? "[]" : "");
    }

    return column->member.len ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
df_query_having_check(df_scope_t *scope, df_expr_t *expr,
    const df_expr_t **having, ngx_uint_t *nodes)
{
    ngx_int_t          rc;
    const df_place_t  *place;

    place = expr->place;

    rc = df_query_output_check(scope, &expr, DF_EXPR_AGGREGATED, nodes);
    if (rc != NGX_OK) {
        return rc;
    }

    if (expr->type == NULL || expr->array || expr->type->kind != DF_BOOLEAN) {
        return df_query_refuse(scope->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type",
                               "expected a condition, such as count > 3");
    }

    *having = expr;

    return NGX_OK;
}


static ngx_str_t *
df_query_output_name_at(void *list, ngx_uint_t i)
{
    return &((df_output_t *) list)[i].name;
}


/* "visit", "visits:last" */

static ngx_int_t
df_query_output_sort_refuse(df_scope_t *scope, const ngx_array_t *outputs,
    const ngx_str_t *name, const df_place_t *place)
{
    u_char     *colon;
    ngx_str_t   before, *nearest;

    colon = ngx_strlchr(name->data, name->data + name->len, ':');

    before.data = name->data;
    before.len = colon ? (size_t) (colon - name->data) : 0;

    if (colon && df_query_output_find(outputs, &before)) {
        return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                               place, "unknown_field",
                               "\"%V\" is not among what is answered; behind "
                               "a colon stands nullsfirst or nullslast", name);
    }

    nearest = df_nearest(name, outputs->elts, outputs->nelts,
                         df_query_output_name_at);

    return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                           "unknown_field",
                           "\"%V\" is not among what is answered%s%V%s", name,
                           nearest ? "; did you mean \"" : "",
                           nearest ? nearest : &(ngx_str_t) ngx_null_string,
                           nearest ? "\"?" : "");
}


static ngx_int_t
df_query_output_sort(df_scope_t *scope, const ngx_array_t *outputs,
    const df_aggregate_sort_t *asked, ngx_array_t *sort)
{
    ngx_str_t     name;
    ngx_uint_t    i;
    df_sort_t     added, *s;
    df_output_t  *output;

    name = asked->text;
    df_query_sort_split(&name, &added);

    output = df_query_output_find(outputs, &name);

    if (output == NULL) {
        return df_query_output_sort_refuse(scope, outputs, &name,
                                           asked->place);
    }

    added.field = &output->column;

    if (added.field->array || !(added.field->type->flags & DF_TYPE_ORDERED)) {
        return df_query_refuse(scope->problem, DF_PROBLEM_INVALID_VALUE,
                               asked->place, "type", "\"%V\" has no order",
                               &name);
    }

    s = sort->elts;

    for (i = 0; i < sort->nelts; i++) {
        if (s[i].field == added.field) {
            return df_query_refuse(scope->problem, DF_PROBLEM_INVALID_VALUE,
                                   asked->place, "duplicate",
                                   "\"%V\" is given twice", &name);
        }
    }

    if (sort->nelts == DF_SORT_MAX) {
        return df_query_refuse(scope->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                               asked->place, "limit_exceeded",
                               "groups are sorted by at most %d values",
                               DF_SORT_MAX);
    }

    s = ngx_array_push(sort);
    if (s == NULL) {
        return NGX_ERROR;
    }

    *s = added;

    return NGX_OK;
}
