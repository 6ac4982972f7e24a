
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The query string.  The parameters that requests have, whoever tells them,
 * are a table here; all other names are filters, or nobody's.
 */


#include <ngx_config.h>
#include "query/expr.h"


static ngx_int_t df_query_filter_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_where_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_limit_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_offset_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_cursor_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_count_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_dry_run_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_on_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_updated_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_keep_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);


#define DF_ON_LIST       (1u << DF_LIST)
#define DF_ON_AGGREGATE  (1u << DF_AGGREGATE)
#define DF_ON_FILTERED   (DF_ON_LIST | DF_ON_AGGREGATE)
#define DF_ON_WRITES     ((1u << DF_CREATE) | (1u << DF_UPDATE)              \
                          | (1u << DF_REPLACE))
#define DF_ON_ROWS       (DF_ON_LIST | (1u << DF_GET) | DF_ON_WRITES         \
                          | DF_BULKS)

/* an import says in the query string what a bulk says in its body */
#define DF_ON_IMPORT     (1u << DF_OPERATIONS)

#define df_query_takes(r, on)                                                 \
    ((((r)->import ? DF_ON_IMPORT : 1u << (r)->op) & (on)) != 0)

#define DF_AS_STRING  (1u << DF_JSON_STRING)
#define DF_AS_NUMBER  (1u << DF_JSON_NUMBER)

static const df_parameter_t  df_query_parameters[] = {

    { ngx_string("filter"), DF_ON_FILTERED, 1u << DF_JSON_OBJECT, 0,
      df_query_filter_set, df_query_filter_apply },

    { ngx_string("where"), DF_ON_LIST, DF_AS_STRING | (1u << DF_JSON_OBJECT),
      0, df_query_where_set, df_query_where_apply },

    { ngx_string("sort"), DF_ON_LIST, DF_AS_STRING, 1, df_query_sort_add,
      NULL },

    { ngx_string("fields"), DF_ON_ROWS, DF_AS_STRING, 1,
      df_query_fields_add, NULL },

    { ngx_string("include"), DF_INCLUDES, DF_AS_STRING, 1,
      df_query_include_add, NULL },

    { ngx_string("limit"), DF_ON_FILTERED, DF_AS_NUMBER | DF_AS_STRING, 0,
      df_query_limit_set, NULL },

    { ngx_string("offset"), DF_ON_LIST, DF_AS_NUMBER | DF_AS_STRING, 0,
      df_query_offset_set, NULL },

    { ngx_string("cursor"), DF_ON_LIST, DF_AS_STRING, 0,
      df_query_cursor_set, NULL },

    { ngx_string("count"), DF_ON_LIST, DF_AS_STRING, 0, df_query_count_set,
      NULL },

    { ngx_string("dry_run"), DF_ON_WRITES | (1u << DF_DELETE) | DF_BULKS
                              | DF_ON_IMPORT,
      (1u << DF_JSON_TRUE) | (1u << DF_JSON_FALSE), 0,
      df_query_dry_run_set, NULL },

    /* of an aggregate; of fields or of expressions */

    { ngx_string("group_by"), DF_ON_AGGREGATE, 0, 0,
      df_query_group_by_set, df_query_group_by_read },

    { ngx_string("sum"), DF_ON_AGGREGATE, DF_AS_STRING, 1,
      df_query_sum_add, NULL },

    { ngx_string("avg"), DF_ON_AGGREGATE, DF_AS_STRING, 1,
      df_query_avg_add, NULL },

    { ngx_string("min"), DF_ON_AGGREGATE, DF_AS_STRING, 1,
      df_query_min_add, NULL },

    { ngx_string("max"), DF_ON_AGGREGATE, DF_AS_STRING, 1,
      df_query_max_add, NULL },

    { ngx_string("count"), DF_ON_AGGREGATE, DF_AS_STRING, 1,
      df_query_count_add, NULL },

    { ngx_string("count_distinct"), DF_ON_AGGREGATE, DF_AS_STRING, 1,
      df_query_count_distinct_add, NULL },

    { ngx_string("aggregate"), DF_ON_AGGREGATE, 0, 0,
      df_query_aggregate_set, df_query_aggregate_read },

    { ngx_string("where"), DF_ON_AGGREGATE,
      DF_AS_STRING | (1u << DF_JSON_OBJECT), 0,
      df_query_aggregate_where_set, df_query_aggregate_where_read },

    { ngx_string("having"), DF_ON_AGGREGATE, 0, 0,
      df_query_having_set, df_query_having_read },

    { ngx_string("sort"), DF_ON_AGGREGATE, DF_AS_STRING, 1,
      df_query_output_sort_add, NULL },

    { ngx_string("timezone"), DF_ON_AGGREGATE, DF_AS_STRING, 0,
      df_query_timezone_set, NULL },

    /* of an import */

    { ngx_string("on"), DF_ON_IMPORT, 0, 1, df_query_on_add, NULL },

    { ngx_string("update"), DF_ON_IMPORT, 0, 1, df_query_updated_add, NULL },

    { ngx_string("keep"), DF_ON_IMPORT, 0, 0, df_query_keep_set, NULL }
};

#define DF_QUERY_PARAMETERS                                                  \
    (sizeof(df_query_parameters) / sizeof(df_query_parameters[0]))


/* parameters */

ngx_int_t
df_query_parameter(df_request_t *r, const ngx_str_t *name,
    const df_place_t *place, const df_parameter_t **parameter,
    df_problem_t *problem)
{
    ngx_uint_t             i;
    const df_parameter_t  *p;

    *parameter = NULL;

    for (i = 0; i < DF_QUERY_PARAMETERS; i++) {
        p = &df_query_parameters[i];

        if (!df_query_takes(r, p->operations)
            || !df_query_same(&p->name, name))
        {
            continue;
        }

        if (r->given & (1u << i)) {
            return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, place,
                                   "duplicate", "given twice");
        }

        r->given |= 1u << i;
        *parameter = p;

        return NGX_OK;
    }

    return NGX_OK;
}


const df_parameter_t *
df_query_parameter_at(df_operation_t op, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_QUERY_PARAMETERS; i++) {
        if ((df_query_parameters[i].operations & (1u << op)) && n-- == 0) {
            return &df_query_parameters[i];
        }
    }

    return NULL;
}


ngx_int_t
df_query_parameter_set(df_request_t *r, const df_parameter_t *parameter,
    const ngx_str_t *text, const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t  rc;
    ngx_str_t  rest, word;

    if (!parameter->list) {
        return parameter->set(r, text, place, problem);
    }

    rest = *text;

    while (df_query_word_next(&rest, ',', &word)) {
        rc = parameter->set(r, &word, place, problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_str_t *
df_query_name_at(void *list, ngx_uint_t i)
{
    return ((ngx_str_t **) list)[i];
}


static ngx_str_t *
df_query_parameter_nearest(const df_request_t *r, const ngx_str_t *name,
    ngx_uint_t fields)
{
    ngx_str_t   **names;
    ngx_uint_t    i, n;
    df_field_t   *field;

    n = 0;

    names = ngx_palloc(r->pool, (DF_QUERY_PARAMETERS + r->model->fields.nelts)
                                * sizeof(ngx_str_t *));
    if (names == NULL) {
        return NULL;
    }

    for (i = 0; fields && i < r->model->fields.nelts; i++) {
        field = df_schema_field_at(r->model, i);

        if (!field->hidden) {
            names[n++] = &field->name;
        }
    }

    for (i = 0; i < DF_QUERY_PARAMETERS; i++) {
        if (df_query_takes(r, df_query_parameters[i].operations)) {
            names[n++] = (ngx_str_t *) &df_query_parameters[i].name;
        }
    }

    return df_nearest(name, names, n, df_query_name_at);
}


ngx_int_t
df_query_parameter_refuse(const df_request_t *r, const ngx_str_t *name,
    ngx_uint_t fields, const df_place_t *place, df_problem_t *problem)
{
    ngx_str_t  *nearest;

    nearest = fields ? df_query_suffix_nearest(r, name) : NULL;

    if (nearest == NULL) {
        nearest = df_query_parameter_nearest(r, name, fields);
    }

    if (nearest == NULL) {
        return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_PARAMETER, place,
                               "unknown_parameter",
                               "%V of %V takes no \"%V\"",
                               &df_operation_names[r->op], &r->model->name,
                               name);
    }

    return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_PARAMETER, place,
                           "unknown_parameter",
                           "%V of %V takes no \"%V\"; did you mean \"%V\"?",
                           &df_operation_names[r->op], &r->model->name, name,
                           nearest);
}


const df_place_t *
df_query_parameter_place(const df_request_t *r, const ngx_str_t *name,
    df_place_t *place)
{
    ngx_memzero(place, sizeof(df_place_t));

    if (r->place == NULL) {
        place->parameter = *name;

    } else {
        place->parent = r->place;
        place->name = name;
    }

    return place;
}


ngx_uint_t
df_query_word_next(ngx_str_t *rest, u_char separator, ngx_str_t *word)
{
    u_char  *end;

    if (rest->data == NULL) {
        return 0;
    }

    *word = *rest;
    end = ngx_strlchr(rest->data, rest->data + rest->len, separator);

    if (end == NULL) {
        rest->data = NULL;
        return 1;
    }

    word->len = end - rest->data;
    rest->data += word->len + 1;
    rest->len -= word->len + 1;

    return 1;
}


/* values */

static ngx_int_t
df_query_filter_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    cJSON            *node;
    df_json_error_t   error;

    node = df_json_parse(r->pool, value, &error);

    if (node == NULL) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_JSON, place,
                               "syntax", "at byte %uz: %s", error.offset,
                               error.reason);
    }

    return df_query_filter_apply(r, node, place, problem);
}


static ngx_int_t
df_query_where_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t        rc;
    df_scope_t       scope;
    df_predicate_t  *predicate;

    df_query_scope(&scope, r, problem);

    rc = df_expr_where(&scope, value, place, &predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_filter_and(r->pool, &r->filter, predicate);
}


ngx_int_t
df_query_where_apply(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t        rc;
    df_scope_t       scope;
    df_predicate_t  *predicate;

    df_query_scope(&scope, r, problem);

    rc = df_expr_where_json(&scope, node, place, &predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_filter_and(r->pool, &r->filter, predicate);
}


/* what no integer holds is over every maximum */

ngx_int_t
df_query_whole_read(const ngx_str_t *value)
{
    size_t     i;
    ngx_int_t  n;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            return NGX_ERROR;
        }
    }

    n = ngx_atoi(value->data, value->len);

    return (n == NGX_ERROR && value->len) ? NGX_MAX_INT_T_VALUE : n;
}


static ngx_int_t
df_query_limit_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t  n;

    if (value->len == 3 && ngx_memcmp(value->data, "all", 3) == 0) {
        r->limit_all = 1;
        return NGX_OK;
    }

    n = df_query_whole_read(value);

    if (n == NGX_ERROR) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "expected a whole number or all");
    }

    r->limit = n;
    r->has_limit = 1;

    return NGX_OK;
}


static ngx_int_t
df_query_offset_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t  n;

    n = df_query_whole_read(value);

    if (n == NGX_ERROR) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "expected a whole number");
    }

    r->offset = n;
    r->has_offset = 1;

    return NGX_OK;
}


static ngx_int_t
df_query_cursor_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    r->cursor = *value;
    r->has_cursor = 1;

    return NGX_OK;
}


static ngx_int_t
df_query_count_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_uint_t  i;

    static const ngx_str_t  names[] = {
        [DF_COUNT_NONE] = ngx_string("none"),
        [DF_COUNT_EXACT] = ngx_string("exact"),
        [DF_COUNT_ESTIMATED] = ngx_string("estimated")
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (df_query_same(&names[i], value)) {
            r->count = i;
            return NGX_OK;
        }
    }

    return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place, "enum",
                           "expected exact, estimated or none");
}


static ngx_int_t
df_query_dry_run_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    r->dry_run = (value->len == 4 && ngx_memcmp(value->data, "true", 4) == 0);

    if (r->dry_run
        || (value->len == 5 && ngx_memcmp(value->data, "false", 5) == 0))
    {
        return NGX_OK;
    }

    return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place, "type",
                           "expected true or false");
}


static ngx_int_t
df_query_name_add(df_request_t *r, ngx_array_t *names, const ngx_str_t *value)
{
    ngx_str_t  *name;

    if (names->elts == NULL
        && ngx_array_init(names, r->pool, 4, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* nothing between commas: no name; that some are wanted shows later */

    if (value->len == 0) {
        return NGX_OK;
    }

    name = ngx_array_push(names);
    if (name == NULL) {
        return NGX_ERROR;
    }

    *name = *value;

    return NGX_OK;
}


static ngx_int_t
df_query_on_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    r->op = DF_BULK_UPSERT;

    return df_query_name_add(r, &r->on, value);
}


static ngx_int_t
df_query_updated_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    r->has_updated = 1;

    return df_query_name_add(r, &r->updated, value);
}


static ngx_int_t
df_query_keep_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem)
{
    static const ngx_str_t  generated = ngx_string("generated");

    if (!df_query_same(value, &generated)) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "enum", "expected generated");
    }

    r->keep_generated = 1;

    return NGX_OK;
}


/* query string */

/* NGX_DECLINED: with *reason */

static ngx_int_t
df_query_text_decode(ngx_pool_t *pool, const ngx_str_t *src, ngx_str_t *dst,
    const char **reason)
{
    u_char     *d, *p, *last;
    ngx_int_t   n;

    d = ngx_pnalloc(pool, src->len + 1);
    if (d == NULL) {
        return NGX_ERROR;
    }

    dst->data = d;
    last = src->data + src->len;

    for (p = src->data; p < last; p++) {

        if (*p == '+') {
            *d++ = ' ';
            continue;
        }

        if (*p != '%') {
            *d++ = *p;
            continue;
        }

        n = (last - p > 2) ? ngx_hextoi(p + 1, 2) : NGX_ERROR;

        if (n == NGX_ERROR) {
            *reason = "% is not followed by two hexadecimal digits";
            return NGX_DECLINED;
        }

        if (n == 0) {
            *reason = "the character %00 can not be stored";
            return NGX_DECLINED;
        }

        *d++ = (u_char) n;
        p += 2;
    }

    *d = '\0';
    dst->len = d - dst->data;

    if (df_utf8_check(dst->data, dst->len) != NGX_OK) {
        *reason = "the text is not UTF-8";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_arg_apply(df_request_t *r, const ngx_str_t *name,
    const ngx_str_t *value, const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t              rc;
    df_filter_t            filter;
    df_predicate_t        *predicate;
    const df_parameter_t  *parameter;

    rc = df_query_parameter(r, name, place, &parameter, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    if (parameter) {
        return df_query_parameter_set(r, parameter, value, place, problem);
    }

    if (!df_query_is(r, DF_ON_FILTERED)) {
        return df_query_parameter_refuse(r, name, 0, place, problem);
    }

    filter.request = r;
    filter.problem = problem;

    rc = df_query_filter_suffix(&filter, name, value, place, &predicate);

    if (rc == NGX_ABORT) {
        return df_query_parameter_refuse(r, name, 1, place, problem);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_filter_and(r->pool, &r->filter, predicate);
}


ngx_int_t
df_query_arg_next(ngx_pool_t *pool, ngx_str_t *rest, ngx_str_t *name,
    ngx_str_t *value, df_problem_t *problem)
{
    u_char      *equals;
    ngx_int_t    rc;
    ngx_str_t    raw, pair;
    df_place_t   place;
    const char  *reason;

    do {
        if (!df_query_word_next(rest, '&', &pair)) {
            return NGX_DONE;
        }

    } while (pair.len == 0);

    equals = ngx_strlchr(pair.data, pair.data + pair.len, '=');

    raw.data = pair.data;
    raw.len = equals ? (size_t) (equals - pair.data) : pair.len;

    ngx_memzero(&place, sizeof(df_place_t));
    place.parameter = raw;

    rc = df_query_text_decode(pool, &raw, name, &reason);

    if (rc == NGX_OK) {
        place.parameter = *name;

        raw.data = equals ? equals + 1 : pair.data + pair.len;
        raw.len = pair.data + pair.len - raw.data;

        rc = df_query_text_decode(pool, &raw, value, &reason);
    }

    if (rc == NGX_DECLINED) {
        return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, &place,
                               "encoding", "%s", reason);
    }

    return rc;
}


ngx_int_t
df_query_parse_args(df_request_t *r, const ngx_str_t *args,
    df_problem_t *problem)
{
    ngx_int_t   rc;
    ngx_str_t   rest, name, value;
    df_place_t  place;

    ngx_memzero(&place, sizeof(df_place_t));

    rest = *args;

    for ( ;; ) {
        rc = df_query_arg_next(r->pool, &rest, &name, &value, problem);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        place.parameter = name;

        rc = df_query_arg_apply(r, &name, &value, &place, problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}
