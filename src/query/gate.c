
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The gate: the only place where it is decided what of a request may be done,
 * and the only one that makes what the rest of the road takes.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_int_t df_query_gate_limit(df_admitted_t *a, ngx_uint_t limit,
    ngx_uint_t streamed, df_problem_t *problem);


static ngx_str_t  df_query_limit = ngx_string("limit");
static ngx_str_t  df_query_offset = ngx_string("offset");
static ngx_str_t  df_query_count = ngx_string("count");


/* the operation; the channel has answered this before, in its own words */

static ngx_int_t
df_query_gate_operation(df_admitted_t *a, df_problem_t *problem)
{
    df_operation_t  op;

    op = a->request->op;

    if (a->rules->expose & (1u << op)) {
        return NGX_OK;
    }

    /* of an import: its method is that of the other bulks */

    return df_problem_set(problem,
                          a->request->import ? DF_PROBLEM_FORBIDDEN
                                             : DF_PROBLEM_METHOD_NOT_ALLOWED,
                          "%V of %V is not offered here",
                          &df_operation_names[op], &a->request->model->name);
}


/* the rows: whatever else limits what a principal may see is ANDed here, and
   what is compiled, counted and signed into cursors is this filter only */

static ngx_int_t
df_query_gate_rows(df_admitted_t *a)
{
    a->filter = a->request->filter;

    return NGX_OK;
}


/* an aggregate's columns: they are made of fields that were looked up, none of
   which is hidden */

static ngx_int_t
df_query_gate_outputs(df_admitted_t *a)
{
    ngx_uint_t           i;
    df_output_t         *output;
    const df_field_t   **slot;
    const df_request_t  *r;

    r = a->request;

    if (ngx_array_init(&a->fields, r->pool, r->outputs.nelts + 1,
                       sizeof(df_field_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    output = r->outputs.elts;
    slot = a->fields.elts;

    for (i = 0; i < r->outputs.nelts; i++) {
        slot[i] = &output[i].column;
    }

    a->fields.nelts = i;

    return NGX_OK;
}


/* the rows of a model that relations lead to: at the end of a join, or read by
   a statement of their own when that is NULL.  NULL: all of them, as nobody
   is identified yet */

static ngx_int_t
df_query_gate_related(df_admitted_t *a, const df_model_t *model,
    const df_join_t *join, df_predicate_t **filter)
{
    *filter = NULL;

    return NGX_OK;
}


/* a filter for each join, NULL when none has one */

static ngx_int_t
df_query_gate_joins(df_admitted_t *a, const ngx_array_t *joins,
    df_predicate_t ***filters)
{
    ngx_uint_t        i;
    df_join_t       **join;
    df_predicate_t   *filter;

    *filters = NULL;
    join = joins->elts;

    for (i = 0; i < joins->nelts; i++) {

        if (df_query_gate_related(a, join[i]->relation->target, join[i],
                                  &filter)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (filter == NULL) {
            continue;
        }

        if (*filters == NULL) {
            *filters = ngx_pcalloc(a->request->pool, joins->nelts
                                                 * sizeof(df_predicate_t *));
            if (*filters == NULL) {
                return NGX_ERROR;
            }
        }

        (*filters)[i] = filter;
    }

    return NGX_OK;
}


/* the fields: those asked for, which are none of the hidden, or all others */

static ngx_int_t
df_query_gate_visible(ngx_pool_t *pool, const df_model_t *model,
    ngx_array_t *fields)
{
    ngx_uint_t          i;
    const df_field_t   *field, **slot;

    if (ngx_array_init(fields, pool, model->fields.nelts,
                       sizeof(df_field_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < model->fields.nelts; i++) {
        field = df_schema_field_at(model, i);

        if (field->hidden) {
            continue;
        }

        slot = ngx_array_push(fields);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = field;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_gate_fields(df_admitted_t *a)
{
    const df_request_t  *r;

    r = a->request;

    if (r->op == DF_AGGREGATE) {
        return df_query_gate_outputs(a);
    }

    if (r->chosen) {
        a->fields = r->fields;
        return NGX_OK;
    }

    return df_query_gate_visible(r->pool, r->model, &a->fields);
}


/* the same for what is included; how deep this can get is limited */

static ngx_int_t
df_query_gate_includes(df_admitted_t *a, const ngx_array_t *includes)
{
    ngx_uint_t               i;
    df_include_t           **include, *in;
    df_admitted_include_t   *out;

    include = includes->elts;

    for (i = 0; i < includes->nelts; i++) {
        in = include[i];
        out = &a->includes[in->index];

        if (in->chosen && !in->whole) {
            out->fields = in->fields;

        } else if (df_query_gate_visible(a->request->pool, in->model,
                                         &out->fields)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (in->reverse
            && (df_query_gate_related(a, in->model, NULL, &out->filter)
                != NGX_OK
                || df_query_gate_joins(a, in->joins, &out->join_filters)
                   != NGX_OK))
        {
            return NGX_ERROR;
        }

        if (df_query_gate_includes(a, &in->includes) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_gate_relations(df_admitted_t *a)
{
    const df_request_t  *r;

    r = a->request;

    if (df_query_gate_joins(a, &r->joins, &a->join_filters) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->nincludes == 0) {
        return NGX_OK;
    }

    a->includes = ngx_pcalloc(r->pool, r->nincludes
                                       * sizeof(df_admitted_include_t));
    if (a->includes == NULL) {
        return NGX_ERROR;
    }

    return df_query_gate_includes(a, &r->includes);
}


/* limit=all: only what is not gathered in memory can be unlimited */

static ngx_int_t
df_query_gate_unlimited(df_admitted_t *a, ngx_uint_t streamed,
    df_problem_t *problem)
{
    df_place_t         room;
    const df_place_t  *place;

    place = df_query_parameter_place(a->request, &df_query_limit, &room);

    if (!a->rules->stream) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "limit_exceeded",
                               "all is not offered here; at most %ui rows",
                               a->rules->max_limit);
    }

    if (!streamed) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "limit_exceeded",
                               "all is for text/csv and application/x-ndjson "
                               "only, which are streamed");
    }

    if (a->request->nlists) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "conflict",
                               "records with lists in them are not streamed; "
                               "at most %ui rows", a->rules->max_limit);
    }

    a->unlimited = 1;

    return NGX_OK;
}


static ngx_int_t
df_query_gate_page(df_admitted_t *a, ngx_uint_t streamed,
    df_problem_t *problem)
{
    df_place_t           room;
    const df_place_t    *place;
    const df_request_t  *r;

    r = a->request;
    place = df_query_parameter_place(r, &df_query_offset, &room);

    if (r->has_offset && r->has_cursor) {
        return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, place,
                               "conflict",
                               "a cursor says already where the page begins");
    }

    if (r->offset > a->rules->max_offset) {
        return df_query_refuse(problem, DF_PROBLEM_LIMIT_EXCEEDED, place,
                               "limit_exceeded",
                               "the maximum is %ui; a cursor goes further",
                               a->rules->max_offset);
    }

    if (streamed && r->count != DF_COUNT_NONE) {
        place = df_query_parameter_place(r, &df_query_count, &room);

        return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, place,
                               "conflict",
                               "text/csv and application/x-ndjson have no "
                               "place for a count");
    }

    a->offset = r->offset;

    return df_query_gate_limit(a, a->rules->default_limit, streamed, problem);
}


static ngx_int_t
df_query_gate_limit(df_admitted_t *a, ngx_uint_t limit, ngx_uint_t streamed,
    df_problem_t *problem)
{
    df_place_t           room;
    const df_place_t    *place;
    const df_request_t  *r;

    r = a->request;

    if (r->limit_all) {
        return df_query_gate_unlimited(a, streamed, problem);
    }

    a->limit = r->has_limit ? r->limit : limit;

    if (a->limit > a->rules->max_limit) {
        place = df_query_parameter_place(r, &df_query_limit, &room);

        return df_query_refuse(problem, DF_PROBLEM_LIMIT_EXCEEDED, place,
                               "limit_exceeded", "the maximum is %ui",
                               a->rules->max_limit);
    }

    return NGX_OK;
}


/* the order is total: the key decides what the client left open, and behind
   the key nothing is left to decide */

static ngx_int_t
df_query_gate_sort(df_admitted_t *a)
{
    ngx_uint_t           i, n;
    df_sort_t           *sort, *asked;
    const df_request_t  *r;

    r = a->request;
    asked = r->sort.elts;
    n = r->sort.nelts;

    if (ngx_array_init(&a->sort, r->pool, n + 1, sizeof(df_sort_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    sort = a->sort.elts;

    for (i = 0; i < n; i++) {
        sort[i] = asked[i];

        if (asked[i].join == NULL && asked[i].field == r->model->key) {
            a->sort.nelts = i + 1;
            return NGX_OK;
        }
    }

    ngx_memzero(&sort[n], sizeof(df_sort_t));
    sort[n].field = r->model->key;
    a->sort.nelts = n + 1;

    return NGX_OK;
}


static ngx_int_t
df_query_gate_list(df_admitted_t *a, ngx_uint_t streamed,
    df_problem_t *problem)
{
    ngx_int_t  rc;

    rc = df_query_gate_page(a, streamed, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_query_gate_sort(a) != NGX_OK) {
        return NGX_ERROR;
    }

    return a->request->has_cursor ? df_query_cursor_read(a, problem) : NGX_OK;
}


/* groups are in order where the client leaves it open; there is one row when
   there are none */

static ngx_int_t
df_query_gate_groups(df_admitted_t *a)
{
    ngx_uint_t           i, k, n;
    df_sort_t           *sort;
    df_output_t         *output;
    const df_request_t  *r;

    r = a->request;
    output = r->outputs.elts;
    n = r->sort.nelts;

    if (ngx_array_init(&a->sort, r->pool, n + r->outputs.nelts + 1,
                       sizeof(df_sort_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->outputs.nelts == 0 || !output[0].group) {
        return NGX_OK;
    }

    sort = a->sort.elts;
    ngx_memcpy(sort, r->sort.elts, n * sizeof(df_sort_t));

    for (i = 0; i < r->outputs.nelts && output[i].group; i++) {

        for (k = 0; k < r->sort.nelts; k++) {
            if (sort[k].field == &output[i].column) {
                break;
            }
        }

        if (k == r->sort.nelts) {
            ngx_memzero(&sort[n], sizeof(df_sort_t));
            sort[n++].field = &output[i].column;
        }
    }

    a->sort.nelts = n;

    return NGX_OK;
}


static ngx_int_t
df_query_gate_aggregate(df_admitted_t *a, ngx_uint_t streamed,
    df_problem_t *problem)
{
    ngx_int_t  rc;

    rc = df_query_gate_limit(a, a->rules->max_limit, streamed, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_gate_groups(a);
}


ngx_int_t
df_query_admit(df_request_t *r, const df_principal_t *principal,
    const df_rules_t *rules, ngx_uint_t streamed, df_admitted_t **admitted,
    df_problem_t *problem)
{
    ngx_int_t       rc;
    df_admitted_t  *a;

    a = ngx_pcalloc(r->pool, sizeof(df_admitted_t));
    if (a == NULL) {
        return NGX_ERROR;
    }

    a->request = r;
    a->principal = principal;
    a->rules = rules;

    rc = df_query_gate_operation(a, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_query_gate_rows(a) != NGX_OK
        || df_query_gate_fields(a) != NGX_OK
        || df_query_gate_relations(a) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->op == DF_LIST) {
        rc = df_query_gate_list(a, streamed, problem);

    } else if (r->op == DF_AGGREGATE) {
        rc = df_query_gate_aggregate(a, streamed, problem);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    *admitted = a;

    return NGX_OK;
}
