
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The body of POST …/aggregate: expressions with their names, and several
 * aggregates in one.  What is read here is looked up by aggregate.c.
 */


#include <ngx_config.h>
#include "query/expr.h"


static ngx_int_t df_query_items_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, ngx_array_t *items, df_problem_t *problem);
static ngx_int_t df_query_items_read_array(df_request_t *r,
    const cJSON *node, const df_place_t *place, ngx_array_t *items,
    df_problem_t *problem);
static ngx_int_t df_query_items_read_object(df_request_t *r,
    const cJSON *node, const df_place_t *place, ngx_array_t *items,
    df_problem_t *problem);
static ngx_int_t df_query_item_read(df_request_t *r, const cJSON *node,
    const ngx_str_t *name, const df_place_t *place, ngx_array_t *items,
    df_problem_t *problem);
static ngx_int_t df_query_several_alone(df_request_t *r, const cJSON *body,
    df_problem_t *problem);
static ngx_int_t df_query_several_read(df_request_t *r, const cJSON *node,
    ngx_array_t *parts, df_problem_t *problem);
static ngx_int_t df_query_several_add(df_request_t *r, const cJSON *member,
    const df_place_t *place, ngx_array_t *parts, df_problem_t *problem);


static ngx_str_t  df_query_several = ngx_string("aggregates");


ngx_int_t
df_query_group_by_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate(r);

    return a ? df_query_items_read(r, node, place, &a->groups, problem)
             : NGX_ERROR;
}


ngx_int_t
df_query_aggregate_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate(r);

    return a ? df_query_items_read(r, node, place, &a->values, problem)
             : NGX_ERROR;
}


ngx_int_t
df_query_aggregate_where_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate(r);
    place = df_query_place_copy(r->pool, place);

    if (a == NULL || place == NULL) {
        return NGX_ERROR;
    }

    return df_expr_read(r->pool, node, place, &a->where, problem);
}


ngx_int_t
df_query_having_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate(r);
    place = df_query_place_copy(r->pool, place);

    if (a == NULL || place == NULL) {
        return NGX_ERROR;
    }

    return df_expr_read(r->pool, node, place, &a->having, problem);
}


/* "category, sum(price) as sum", ["category", {"$sum": "price"}] or
   {"category": "category", "sum": {"$sum": "price"}} */

static ngx_int_t
df_query_items_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, ngx_array_t *items, df_problem_t *problem)
{
    ngx_str_t  text;

    switch (df_json_kind(node)) {

    case DF_JSON_STRING:
        place = df_query_place_copy(r->pool, place);
        if (place == NULL) {
            return NGX_ERROR;
        }

        text = df_json_text(node);

        return df_expr_parse_list(r->pool, &text, place, items, problem);

    case DF_JSON_ARRAY:
        return df_query_items_read_array(r, node, place, items, problem);

    case DF_JSON_OBJECT:
        return df_query_items_read_object(r, node, place, items, problem);

    default:
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "expected expressions: a string, an "
                               "array, or an object of names");
    }
}


static ngx_int_t
df_query_items_read_array(df_request_t *r, const cJSON *node,
    const df_place_t *place, ngx_array_t *items, df_problem_t *problem)
{
    ngx_int_t     rc;
    df_place_t    at;
    const cJSON  *item;

    static const ngx_str_t  none = ngx_string("");

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;

    for (item = node->child; item; item = item->next) {

        /* a string may have its own name here, as in a query string */

        rc = (df_json_kind(item) == DF_JSON_STRING)
             ? df_query_items_read(r, item, &at, items, problem)
             : df_query_item_read(r, item, &none, &at, items, problem);

        if (rc != NGX_OK) {
            return rc;
        }

        at.index++;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_items_read_object(df_request_t *r, const cJSON *node,
    const df_place_t *place, ngx_array_t *items, df_problem_t *problem)
{
    ngx_int_t     rc;
    ngx_str_t     name;
    df_place_t    at;
    const cJSON  *member;

    static const ngx_str_t  none = ngx_string("");

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;
    at.name = &name;

    for (member = node->child; member; member = member->next) {
        name = df_json_name(member);

        if (member == node->child && name.len && name.data[0] == '$') {
            return df_query_item_read(r, node, &none, place, items, problem);
        }

        if (name.len == 0) {
            return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, &at,
                                   "name", "expected a name");
        }

        rc = df_query_item_read(r, member, &name, &at, items, problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_item_read(df_request_t *r, const cJSON *node, const ngx_str_t *name,
    const df_place_t *place, ngx_array_t *items, df_problem_t *problem)
{
    ngx_int_t         rc;
    df_expr_named_t   read, *item;

    place = df_query_place_copy(r->pool, place);
    if (place == NULL) {
        return NGX_ERROR;
    }

    rc = df_expr_read(r->pool, node, place, &read.expr, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    item = ngx_array_push(items);
    if (item == NULL) {
        return NGX_ERROR;
    }

    item->expr = read.expr;
    item->name = *name;

    return NGX_OK;
}


/* several */

ngx_int_t
df_query_parse_aggregates(df_request_t *r, const cJSON *body,
    ngx_array_t *parts, df_problem_t *problem)
{
    ngx_int_t     rc;
    ngx_str_t     name;
    const cJSON  *member;

    if (df_json_kind(body) != DF_JSON_OBJECT) {
        return df_query_parse_query(r, body, problem);
    }

    for (member = body->child; member; member = member->next) {
        name = df_json_name(member);

        if (df_query_same(&name, &df_query_several)) {
            break;
        }
    }

    if (member == NULL) {
        return df_query_parse_query(r, body, problem);
    }

    rc = df_query_several_alone(r, body, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_several_read(r, member, parts, problem);
}


/* each has parameters of its own: there is nothing that others could be of */

static ngx_int_t
df_query_several_alone(df_request_t *r, const cJSON *body,
    df_problem_t *problem)
{
    ngx_str_t     name;
    df_place_t    root, at;
    const cJSON  *member;

    if (r->given || r->filter) {
        return df_problem_set(problem, DF_PROBLEM_BAD_REQUEST,
                              "several aggregates have their parameters in "
                              "the body, not in the query string");
    }

    ngx_memzero(&root, sizeof(df_place_t));
    ngx_memzero(&at, sizeof(df_place_t));

    at.parent = &root;
    at.name = &name;

    for (member = body->child; member; member = member->next) {
        name = df_json_name(member);

        if (!df_query_same(&name, &df_query_several)) {
            return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_PARAMETER, &at,
                                   "unknown_parameter",
                                   "nothing stands beside \"aggregates\": "
                                   "\"%V\" belongs into each of them", &name);
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_several_read(df_request_t *r, const cJSON *node, ngx_array_t *parts,
    df_problem_t *problem)
{
    ngx_int_t     rc;
    ngx_str_t     name;
    df_place_t    root, place, at;
    ngx_uint_t    n;
    const cJSON  *member;

    ngx_memzero(&root, sizeof(df_place_t));
    ngx_memzero(&place, sizeof(df_place_t));
    ngx_memzero(&at, sizeof(df_place_t));

    place.parent = &root;
    place.name = &df_query_several;

    at.parent = &place;
    at.name = &name;

    if (df_json_kind(node) != DF_JSON_OBJECT || node->child == NULL) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, &place,
                               "type", "expected an object: names, and an "
                               "aggregate for each");
    }

    n = 0;

    for (member = node->child; member; member = member->next) {
        n++;
    }

    if (n > DF_AGGREGATES_MAX) {
        return df_query_refuse(problem, DF_PROBLEM_LIMIT_EXCEEDED, &place,
                               "limit_exceeded", "at most %d aggregates",
                               DF_AGGREGATES_MAX);
    }

    /* what is admitted points to the requests: the array must not grow */

    if (ngx_array_init(parts, r->pool, n, sizeof(df_named_request_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (member = node->child; member; member = member->next) {
        name = df_json_name(member);

        rc = df_query_several_add(r, member, &at, parts, problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_several_add(df_request_t *r, const cJSON *member,
    const df_place_t *place, ngx_array_t *parts, df_problem_t *problem)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    df_request_t        *request;
    df_named_request_t  *part;

    part = parts->elts;

    for (i = 0; i < parts->nelts; i++) {
        if (df_query_same(&part[i].name, place->name)) {
            return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, place,
                                   "duplicate", "given twice");
        }
    }

    part = ngx_array_push(parts);
    request = &part->request;

    part->name = *place->name;

    if (df_query_request_init(request, r->pool, r->model, r->op) != NGX_OK) {
        return NGX_ERROR;
    }

    request->place = df_query_place_copy(r->pool, place);
    if (request->place == NULL) {
        return NGX_ERROR;
    }

    rc = df_query_parse_query(request, member, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_parse_end(request, problem);
}
