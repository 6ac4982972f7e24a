
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Aggregates: what they group by and answer, as a query string says it.  The
 * spelling of bodies is in aggregate_json.c; what is read is looked up by
 * output.c, when all of it is there.
 */


#include <ngx_config.h>
#include "query/expr.h"


/* of a time zone's name */
#define DF_QUERY_TIMEZONE_MAX  64


df_aggregate_t *
df_query_aggregate_create(ngx_pool_t *pool)
{
    df_aggregate_t  *a;

    a = ngx_pcalloc(pool, sizeof(df_aggregate_t));

    if (a == NULL
        || ngx_array_init(&a->groups, pool, 4, sizeof(df_expr_named_t))
           != NGX_OK
        || ngx_array_init(&a->values, pool, 4, sizeof(df_expr_named_t))
           != NGX_OK
        || ngx_array_init(&a->sort, pool, 2, sizeof(df_aggregate_sort_t))
           != NGX_OK)
    {
        return NULL;
    }

    return a;
}


df_aggregate_t *
df_query_aggregate(df_request_t *r)
{
    if (r->aggregate == NULL) {
        r->aggregate = df_query_aggregate_create(r->pool);
    }

    return r->aggregate;
}


/* for what is looked up later: the place is kept */

static df_aggregate_t *
df_query_aggregate_at(df_request_t *r, const df_place_t **place)
{
    *place = df_query_place_copy(r->pool, *place);

    return *place ? df_query_aggregate(r) : NULL;
}


ngx_int_t
df_query_group_by_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate_at(r, &place);
    if (a == NULL) {
        return NGX_ERROR;
    }

    return df_expr_parse_list(r->pool, value, place, &a->groups, problem);
}


ngx_int_t
df_query_aggregate_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate_at(r, &place);
    if (a == NULL) {
        return NGX_ERROR;
    }

    return df_expr_parse_list(r->pool, value, place, &a->values, problem);
}


/* looked up at the end, when the time zone is known */

ngx_int_t
df_query_aggregate_where_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate_at(r, &place);
    if (a == NULL) {
        return NGX_ERROR;
    }

    return df_expr_parse(r->pool, value, place, &a->where, problem);
}


ngx_int_t
df_query_having_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t  *a;

    a = df_query_aggregate_at(r, &place);
    if (a == NULL) {
        return NGX_ERROR;
    }

    return df_expr_parse(r->pool, value, place, &a->having, problem);
}


ngx_int_t
df_query_output_sort_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    df_aggregate_t       *a;
    df_aggregate_sort_t  *sort;

    a = df_query_aggregate(r);
    if (a == NULL) {
        return NGX_ERROR;
    }

    sort = ngx_array_push(&a->sort);
    if (sort == NULL) {
        return NGX_ERROR;
    }

    sort->text = *value;
    sort->place = df_query_place_copy(r->pool, place);

    return sort->place ? NGX_OK : NGX_ERROR;
}


/* "sum=price,customer.credit": the call of a function with each; the name is
   no infix, in which a step of a path could not be written with any letter */

static ngx_int_t
df_query_call_add(df_request_t *r, const char *call, const ngx_str_t *field,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t         rc;
    ngx_str_t         text;
    df_scope_t        scope;
    df_reference_t    ref;
    df_aggregate_t   *a;
    df_expr_named_t  *named;

    df_query_scope(&scope, r, problem);

    rc = df_query_name(&scope, field, place, &ref);
    if (rc != NGX_OK) {
        return rc;
    }

    a = df_query_aggregate_at(r, &place);
    if (a == NULL) {
        return NGX_ERROR;
    }

    named = ngx_array_push(&a->values);
    if (named == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(named, sizeof(df_expr_named_t));

    text.data = (u_char *) call;
    text.len = ngx_strlen(call);

    rc = df_expr_parse(r->pool, &text, place, &named->expr, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    named->expr->column = 0;
    named->expr->args->column = 0;

    return df_str_copy(r->pool, &named->expr->args->text, field->data,
                       field->len);
}


ngx_int_t
df_query_sum_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    return df_query_call_add(r, "sum(x)", value, place, problem);
}


ngx_int_t
df_query_avg_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    return df_query_call_add(r, "avg(x)", value, place, problem);
}


ngx_int_t
df_query_min_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    return df_query_call_add(r, "min(x)", value, place, problem);
}


ngx_int_t
df_query_max_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    return df_query_call_add(r, "max(x)", value, place, problem);
}


ngx_int_t
df_query_count_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    static const ngx_str_t  rows = ngx_string("count(*)");

    if (value->len == 1 && value->data[0] == '*') {
        return df_query_aggregate_set(r, &rows, place, problem);
    }

    return df_query_call_add(r, "count(x)", value, place, problem);
}


ngx_int_t
df_query_count_distinct_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    return df_query_call_add(r, "count_distinct(x)", value, place, problem);
}


/*
 * A name of the IANA database.  PostgreSQL takes more, "+02:00" among it, of
 * which it makes the offset of POSIX: two hours to the west.
 */

ngx_int_t
df_query_timezone_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    u_char      ch;
    size_t      i, len;
    ngx_uint_t  fixed;

    static u_char  etc[] = "Etc/GMT";

    len = sizeof(etc) - 1;
    fixed = (value->len > len && ngx_memcmp(value->data, etc, len) == 0);

    for (i = 0; i < value->len; i++) {
        ch = value->data[i] | 0x20;

        if ((ch >= 'a' && ch <= 'z')
            || (i && ngx_strchr("/_-", value->data[i]))
            || (fixed && i >= len && ngx_strchr("+0123456789",
                                                value->data[i])))
        {
            continue;
        }

        break;
    }

    if (i == 0 || i < value->len || i > DF_QUERY_TIMEZONE_MAX) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "expected the name of a time zone, "
                               "such as Europe/Berlin or UTC");
    }

    return df_str_copy(r->pool, &r->timezone, value->data, value->len);
}
