
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What is answered and in which order: the items of fields= and sort=.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_str_t  df_query_nulls_first = ngx_string(":nullsfirst");
static ngx_str_t  df_query_nulls_last = ngx_string(":nullslast");


static ngx_uint_t
df_query_suffix_cut(ngx_str_t *text, const ngx_str_t *suffix)
{
    if (text->len < suffix->len
        || ngx_memcmp(text->data + text->len - suffix->len, suffix->data,
                      suffix->len)
           != 0)
    {
        return 0;
    }

    text->len -= suffix->len;

    return 1;
}


static ngx_str_t *
df_query_sort_word_at(void *list, ngx_uint_t i)
{
    static ngx_str_t  words[] = {
        ngx_string("nullsfirst"),
        ngx_string("nullslast")
    };

    return &words[i];
}


/* the field behind as many relations as are named before it, or NULL; nothing
   is joined */

static const df_field_t *
df_query_sort_find(const df_request_t *r, const ngx_str_t *name)
{
    ngx_str_t             rest, head;
    const df_model_t     *model;
    const df_relation_t  *relation;

    rest = *name;
    model = r->model;

    while (df_query_word_next(&rest, '.', &head)) {

        if (rest.data == NULL) {
            return df_query_field(model, &head);
        }

        relation = df_query_relation(r, model, &head);
        if (relation == NULL) {
            return NULL;
        }

        model = relation->target;
    }

    return NULL;
}


/* no field at all */

static ngx_int_t
df_query_sort_unknown(df_request_t *r, const ngx_str_t *name,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t        rc;
    df_scope_t       scope;
    df_reference_t   ref;

    df_query_scope(&scope, r, problem);

    rc = df_query_name(&scope, name, place, &ref);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place, "type",
                           "\"%V\" has no order", name);
}


/* "+price", "price:desc", "price desc", "price:nullsfrist": a field with
   something else, or none */

static ngx_int_t
df_query_sort_refuse(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem)
{
    u_char       *p, *last;
    ngx_str_t     name, word, *nearest;
    const char   *minus;

    p = item->data;
    last = item->data + item->len;

    while (p < last && (*p == ' ' || *p == '+')) {
        p++;
    }

    name.data = p;

    while (p < last && *p != ' ' && *p != ':') {
        p++;
    }

    name.len = p - name.data;

    if (df_query_sort_find(r, &name) == NULL) {
        return df_query_sort_unknown(r, &name, place, problem);
    }

    while (p < last && (*p == ' ' || *p == ':')) {
        p++;
    }

    word.data = p;
    word.len = last - p;

    minus = (word.len == 4 && ngx_strncasecmp(word.data, (u_char *) "desc", 4)
                              == 0)
            ? "-" : "";

    if (word.len == 0 || *minus
        || (word.len == 3
            && ngx_strncasecmp(word.data, (u_char *) "asc", 3) == 0))
    {
        return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                               "unknown_field",
                               "\"%V\" is no field: write \"%s%V\"", item,
                               minus, &name);
    }

    nearest = df_nearest(&word, NULL, 2, df_query_sort_word_at);

    if (nearest == NULL) {
        return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                               "unknown_field",
                               "\"%V\" is no field; behind a colon stands "
                               "nullsfirst or nullslast", item);
    }

    return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                           "unknown_field",
                           "\"%V\" is no field; did you mean \"%V:%V\"?",
                           item, &name, nearest);
}


static ngx_int_t
df_query_sort_field(df_request_t *r, const ngx_str_t *name,
    const df_place_t *place, df_problem_t *problem, df_reference_t *ref)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    df_sort_t         *sort;
    df_scope_t         scope;
    const df_field_t  *field;

    field = df_query_sort_find(r, name);

    if (field == NULL) {
        return df_query_sort_refuse(r, name, place, problem);
    }

    if (field->array || !(field->type->flags & DF_TYPE_ORDERED)) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "\"%V\" has no order", name);
    }

    df_query_scope(&scope, r, problem);

    rc = df_query_name(&scope, name, place, ref);
    if (rc != NGX_OK) {
        return rc;
    }

    sort = r->sort.elts;

    for (i = 0; i < r->sort.nelts; i++) {
        if (sort[i].field == field && sort[i].join == ref->join) {
            return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                                   "duplicate", "\"%V\" is given twice", name);
        }
    }

    return NGX_OK;
}


void
df_query_sort_split(ngx_str_t *name, df_sort_t *sort)
{
    ngx_memzero(sort, sizeof(df_sort_t));

    sort->descending = (name->len && name->data[0] == '-');

    if (sort->descending) {
        name->data++;
        name->len--;
    }

    sort->nulls_first = df_query_suffix_cut(name, &df_query_nulls_first);

    if (!sort->nulls_first) {
        (void) df_query_suffix_cut(name, &df_query_nulls_last);
    }
}


/* "-price:nullsfirst" */

ngx_int_t
df_query_sort_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t        rc;
    ngx_str_t        name;
    df_sort_t        asked, *sort;
    df_reference_t   ref;

    name = *item;
    df_query_sort_split(&name, &asked);

    rc = df_query_sort_field(r, &name, place, problem, &ref);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->sort.nelts == DF_SORT_MAX) {
        return df_query_refuse(problem, DF_PROBLEM_LIMIT_EXCEEDED, place,
                               "limit_exceeded",
                               "rows are sorted by at most %d fields",
                               DF_SORT_MAX);
    }

    sort = ngx_array_push(&r->sort);
    if (sort == NULL) {
        return NGX_ERROR;
    }

    *sort = asked;
    sort->join = ref.join;
    sort->field = ref.field;

    return NGX_OK;
}


/* of a record within the record */

static ngx_int_t
df_query_fields_other(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem)
{
    if (ngx_strlchr(item->data, item->data + item->len, '.') == NULL
        && df_query_relation(r, r->model, item) == NULL
        && df_query_reverse(r, r->model, item) == NULL)
    {
        return df_query_field_refuse(r->model, item, place, problem);
    }

    if (!df_query_is(r, DF_INCLUDES)) {
        return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                               "unknown_field",
                               "\"%V\" is no field, and records within records "
                               "are answered by list and get only", item);
    }

    return df_query_include_fields_add(r, item, place, problem);
}


ngx_int_t
df_query_fields_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_uint_t          i;
    const df_field_t   *field, **fields;

    r->chosen = 1;

    field = df_query_field(r->model, item);

    if (field == NULL) {
        return df_query_fields_other(r, item, place, problem);
    }

    fields = r->fields.elts;

    for (i = 0; i < r->fields.nelts; i++) {
        if (fields[i] == field) {
            return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                                   "duplicate", "\"%V\" is given twice", item);
        }
    }

    fields = ngx_array_push(&r->fields);
    if (fields == NULL) {
        return NGX_ERROR;
    }

    *fields = field;

    return NGX_OK;
}
