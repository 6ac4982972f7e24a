
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What a client asks of a report to the request that is compiled.  All that
 * nginx.conf has settled is shared with the report; of the request's own are
 * the values of the parameters, and which conditions are left out without
 * them.
 */


#include <ngx_config.h>
#include "query/report_internal.h"


static ngx_int_t df_report_request(const df_report_t *report,
    ngx_pool_t *pool, df_request_t *r);
static ngx_int_t df_report_arg(const df_report_view_t *view,
    df_request_t *requests, const ngx_str_t *name, const ngx_str_t *value,
    df_problem_t *problem);
static ngx_int_t df_report_limit(const df_report_t *report, df_request_t *r,
    const ngx_str_t *value, const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_report_param(const df_report_t *report,
    const df_param_t *param, df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_report_scalar(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text, df_value_t *value, df_value_error_t *error);
static ngx_int_t df_report_array(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text, df_value_t *value, df_value_error_t *error);
static ngx_int_t df_report_unknown(const df_report_view_t *view,
    const df_place_t *place, df_problem_t *problem);
static ngx_str_t *df_report_param_name_at(void *list, ngx_uint_t i);
static ngx_int_t df_report_defaults(const df_report_t *report,
    df_request_t *r, df_problem_t *problem);
static ngx_int_t df_report_conditions(const df_report_t *report,
    ngx_pool_t *pool, df_request_t *r);
static ngx_str_t *df_report_view_name_at(void *list, ngx_uint_t i);


/* of df_request_t.given, behind those of parameters */
#define DF_REPORT_LIMIT_GIVEN  (1u << DF_REPORT_MAX_PARAMS)

static ngx_str_t  df_report_limit_name = ngx_string("limit");


const df_report_view_t *
df_report_view(const df_analytics_t *analytics, const ngx_str_t *name,
    ngx_str_t **nearest)
{
    ngx_uint_t          i;
    df_report_view_t  **view;

    view = analytics->views.elts;

    for (i = 0; i < analytics->views.nelts; i++) {
        if (df_query_same(&view[i]->name, name)) {
            return view[i];
        }
    }

    *nearest = df_nearest(name, view, analytics->views.nelts,
                          df_report_view_name_at);

    return NULL;
}


static ngx_str_t *
df_report_view_name_at(void *list, ngx_uint_t i)
{
    return &((df_report_view_t **) list)[i]->name;
}


ngx_uint_t
df_report_view_is_alias(const df_report_view_t *view)
{
    return !view->dashboard
           && !df_query_same(&view->name, &df_report_view_at(view, 0)->name);
}


ngx_int_t
df_report_requests(const df_report_view_t *view, ngx_pool_t *pool,
    const ngx_str_t *args, df_request_t *requests, df_problem_t *problem)
{
    ngx_int_t   rc;
    ngx_str_t   rest, name, value;
    ngx_uint_t  i;

    for (i = 0; i < view->reports.nelts; i++) {
        if (df_report_request(df_report_view_at(view, i), pool, &requests[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rest = *args;

    for ( ;; ) {
        rc = df_query_arg_next(pool, &rest, &name, &value, problem);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc == NGX_OK) {
            rc = df_report_arg(view, requests, &name, &value, problem);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (i = 0; i < view->reports.nelts; i++) {
        rc = df_report_defaults(df_report_view_at(view, i), &requests[i],
                                problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (i = 0; i < view->reports.nelts; i++) {
        if (df_report_conditions(df_report_view_at(view, i), pool,
                                 &requests[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_report_request(const df_report_t *report, ngx_pool_t *pool,
    df_request_t *r)
{
    df_join_t   **join;
    df_value_t   *params;

    if (df_query_request_init(r, pool, report->model, DF_AGGREGATE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    params = ngx_pcalloc(pool, report->params.nelts * sizeof(df_value_t));
    join = ngx_array_push_n(&r->joins, report->joins.nelts);

    if (params == NULL || join == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(join, report->joins.elts,
               report->joins.nelts * sizeof(df_join_t *));

    r->params = params;
    r->outputs = report->outputs;
    r->sort = report->sort;
    r->timezone = report->timezone;
    r->report = &report->name;

    return NGX_OK;
}


/* parameters */

static ngx_int_t
df_report_arg(const df_report_view_t *view, df_request_t *requests,
    const ngx_str_t *name, const ngx_str_t *value, df_problem_t *problem)
{
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    df_place_t          place;
    df_param_t         *param;
    const df_report_t  *report;

    ngx_memzero(&place, sizeof(df_place_t));
    place.parameter = *name;

    if (!view->dashboard && df_query_same(name, &df_report_limit_name)) {
        return df_report_limit(df_report_view_at(view, 0), requests, value,
                               &place, problem);
    }

    if (df_report_view_param(view, name) == NULL) {
        return df_report_unknown(view, &place, problem);
    }

    for (i = 0; i < view->reports.nelts; i++) {
        report = df_report_view_at(view, i);
        param = report->params.elts;

        for (n = 0; n < report->params.nelts; n++) {
            if (!df_query_same(&param[n].field.name, name)) {
                continue;
            }

            rc = df_report_param(report, &param[n], &requests[i], value,
                                 &place, problem);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_report_limit(const df_report_t *report, df_request_t *r,
    const ngx_str_t *value, const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t  n;

    if (r->given & DF_REPORT_LIMIT_GIVEN) {
        return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, place,
                               "duplicate", "given twice");
    }

    n = df_query_whole_read(value);

    if (n == NGX_ERROR) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "expected a whole number");
    }

    if ((ngx_uint_t) n > report->limit) {
        return df_query_refuse(problem, DF_PROBLEM_LIMIT_EXCEEDED, place,
                               "limit_exceeded", "the maximum is %ui",
                               report->limit);
    }

    r->given |= DF_REPORT_LIMIT_GIVEN;
    r->limit = n;
    r->has_limit = 1;

    return NGX_OK;
}


static ngx_int_t
df_report_param(const df_report_t *report, const df_param_t *param,
    df_request_t *r, const ngx_str_t *value, const df_place_t *place,
    df_problem_t *problem)
{
    ngx_int_t          rc;
    df_value_t        *params;
    df_value_error_t   error;

    if (r->given & (1u << param->index)) {
        return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, place,
                               "duplicate", "given twice");
    }

    r->given |= 1u << param->index;

    if (report->patterns & (1u << param->index)) {
        r->npatterns++;
        r->pattern_at = DF_AT_PARAMETER;
        r->pattern_name = param->field.name;
    }

    params = (df_value_t *) r->params;

    rc = param->field.array
         ? df_report_array(&param->field, r->pool, value,
                           &params[param->index], &error)
         : df_report_scalar(&param->field, r->pool, value,
                            &params[param->index], &error);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                           error.code, "expected %V", &error.expected);
}


/* an element of an array too */

static ngx_int_t
df_report_scalar(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text, df_value_t *value, df_value_error_t *error)
{
    ngx_int_t  rc;

    rc = df_schema_parse_text(field, pool, text, 1, value, error);

    return rc == NGX_OK ? df_schema_constrain(field, pool, value, error) : rc;
}


/* elements between commas, or JSON for what has commas, for null and none */

static ngx_int_t
df_report_array(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text, df_value_t *value, df_value_error_t *error)
{
    cJSON            *node;
    ngx_int_t         rc;
    ngx_str_t         rest, word;
    df_value_t       *element;
    ngx_array_t       elements;
    df_json_error_t   reason;

    if (text->len && text->data[0] == '[') {
        node = df_json_parse(pool, text, &reason);

        /* what is no JSON is refused by what an array is */

        return node ? df_schema_parse_json(field, pool, node, 0, 1, value,
                                           error)
                    : df_schema_parse_text(field, pool, text, 0, value, error);
    }

    if (ngx_array_init(&elements, pool, 4, sizeof(df_value_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    rest = *text;

    while (df_query_word_next(&rest, ',', &word)) {
        element = ngx_array_push(&elements);
        if (element == NULL) {
            return NGX_ERROR;
        }

        rc = df_report_scalar(field, pool, &word, element, error);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_schema_array(pool, elements.elts, elements.nelts, value);
}


static ngx_int_t
df_report_unknown(const df_report_view_t *view, const df_place_t *place,
    df_problem_t *problem)
{
    ngx_str_t   *nearest;
    const char  *kind;

    kind = view->dashboard ? "dashboard" : "report";

    nearest = df_nearest(&place->parameter, (void *) view,
                         view->params.nelts + !view->dashboard,
                         df_report_param_name_at);

    if (nearest == NULL) {
        return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_PARAMETER, place,
                               "unknown_parameter",
                               "%s \"%V\" takes no \"%V\"", kind, &view->name,
                               &place->parameter);
    }

    return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_PARAMETER, place,
                           "unknown_parameter",
                           "%s \"%V\" takes no \"%V\"; did you mean \"%V\"?",
                           kind, &view->name, &place->parameter, nearest);
}


static ngx_str_t *
df_report_param_name_at(void *list, ngx_uint_t i)
{
    df_report_view_t *view = list;

    df_report_param_t  *param;

    param = view->params.elts;

    return i < view->params.nelts ? (ngx_str_t *) &param[i].field->name
                                  : &df_report_limit_name;
}


df_report_param_t *
df_report_view_param(const df_report_view_t *view, const ngx_str_t *name)
{
    ngx_uint_t          i;
    df_report_param_t  *param;

    param = view->params.elts;

    for (i = 0; i < view->params.nelts; i++) {
        if (df_query_same(&param[i].field->name, name)) {
            return &param[i];
        }
    }

    return NULL;
}


static ngx_int_t
df_report_defaults(const df_report_t *report, df_request_t *r,
    df_problem_t *problem)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    df_param_t        *param;
    df_place_t         place;
    df_value_t        *params;
    const df_field_t  *field;

    rc = NGX_OK;
    param = report->params.elts;
    params = (df_value_t *) r->params;

    ngx_memzero(&place, sizeof(df_place_t));

    for (i = 0; i < report->params.nelts; i++) {
        field = &param[i].field;

        if (r->given & (1u << i)) {
            continue;
        }

        if (field->required) {
            place.parameter = field->name;

            rc = df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, &place,
                                 "required", "report \"%V\" needs it",
                                 &report->name);
            continue;
        }

        params[i].text = field->default_text;

        /* PostgreSQL's own word for it, in every type that has a time */

        if (field->default_kind == DF_DEFAULT_NOW) {
            ngx_str_set(&params[i].text, "now");
        }

        params[i].null = (field->default_kind == DF_DEFAULT_NONE);
    }

    return rc;
}


/* conditions that nothing was given to are left out */

static ngx_int_t
df_report_conditions(const df_report_t *report, ngx_pool_t *pool,
    df_request_t *r)
{
    ngx_uint_t           i;
    df_predicate_t      *all, *copy, **last;
    df_report_clause_t  *clause;

    clause = report->having.elts;

    if (report->having.nelts && !(clause->optional & ~r->given)) {
        r->having = report->condition;
    }

    all = ngx_pcalloc(pool, sizeof(df_predicate_t));
    if (all == NULL) {
        return NGX_ERROR;
    }

    all->kind = DF_PREDICATE_AND;
    last = &all->children;

    clause = report->filters.elts;

    for (i = 0; i < report->filters.nelts; i++) {
        if (clause[i].optional & ~r->given) {
            continue;
        }

        /* what others share is not linked to what stands here */

        copy = ngx_palloc(pool, sizeof(df_predicate_t));
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = *clause[i].predicate;
        copy->next = NULL;

        *last = copy;
        last = &copy->next;
    }

    if (all->children) {
        r->filter = all;
    }

    return NGX_OK;
}
