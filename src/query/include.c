
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What is answered within records: the items of include=, and those of fields=
 * that name a relation.  An include is made once, by whichever names it first.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_int_t df_query_include_step(df_request_t *r, df_include_t *parent,
    const ngx_str_t *name, ngx_uint_t fields, const df_place_t *place,
    df_problem_t *problem, df_include_t **include);
static df_include_t *df_query_include_find(const ngx_array_t *includes,
    const df_relation_t *relation, const df_reverse_t *reverse);
static df_include_t *df_query_include_create(df_request_t *r,
    df_include_t *parent);
static ngx_int_t df_query_include_join(df_request_t *r, df_include_t *include,
    const df_place_t *place, df_problem_t *problem);
static ngx_int_t df_query_include_field_add(df_include_t *include,
    const df_field_t *field, const ngx_str_t *item, const df_place_t *place,
    df_problem_t *problem);
static ngx_int_t df_query_include_refuse(const df_request_t *r,
    const df_model_t *model, const ngx_str_t *name, ngx_uint_t fields,
    const df_place_t *place, df_problem_t *problem);
static ngx_str_t *df_query_include_name_at(void *list, ngx_uint_t i);
static ngx_str_t *df_query_include_field_at(void *list, ngx_uint_t i);


/* "customer.region": what is on the way is included too */

ngx_int_t
df_query_include_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t      rc;
    ngx_str_t      rest, name;
    df_include_t  *include;

    rest = *item;
    include = NULL;

    while (df_query_word_next(&rest, '.', &name)) {
        rc = df_query_include_step(r, include, &name, 0, place, problem,
                                   &include);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (include->named) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "duplicate", "\"%V\" is given twice", item);
    }

    include->named = 1;
    r->included = 1;

    return NGX_OK;
}


/* "customer.name", or "customer": all that it has */

ngx_int_t
df_query_include_fields_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t          rc;
    ngx_str_t          rest, name;
    df_include_t      *include;
    const df_field_t  *field;

    rest = *item;
    include = NULL;

    while (df_query_word_next(&rest, '.', &name)) {
        field = df_query_field(include ? include->model : r->model, &name);

        if (field && rest.data) {
            return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                                   "unknown_field",
                                   "\"%V\" is a field, which is answered as a "
                                   "whole", &name);
        }

        if (include) {
            include->chosen = 1;
        }

        if (field) {
            return df_query_include_field_add(include, field, item, place,
                                              problem);
        }

        rc = df_query_include_step(r, include, &name, 1, place, problem,
                                   &include);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (include->whole || include->fields.nelts) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "duplicate", "fields of \"%V\" are given "
                               "before", item);
    }

    include->whole = 1;

    return NGX_OK;
}


/* "fields": the name may as well have been a field's */

static ngx_int_t
df_query_include_step(df_request_t *r, df_include_t *parent,
    const ngx_str_t *name, ngx_uint_t fields, const df_place_t *place,
    df_problem_t *problem, df_include_t **include)
{
    ngx_uint_t            depth;
    ngx_array_t          *includes;
    df_include_t         *added, **slot;
    const df_model_t     *model;
    const df_include_t   *up;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    model = parent ? parent->model : r->model;
    includes = parent ? &parent->includes : &r->includes;

    relation = df_query_relation(r, model, name);
    reverse = relation ? NULL : df_query_reverse(r, model, name);

    if (relation == NULL && reverse == NULL) {
        return df_query_include_refuse(r, model, name, fields, place, problem);
    }

    *include = df_query_include_find(includes, relation, reverse);

    if (*include) {
        return NGX_OK;
    }

    for (depth = 1, up = parent; up; up = up->parent) {
        depth++;
    }

    if (depth > DF_INCLUDE_MAX_DEPTH || r->nincludes == DF_INCLUDE_MAX) {
        return df_query_refuse(problem, DF_PROBLEM_LIMIT_EXCEEDED, place,
                               "limit_exceeded",
                               depth > DF_INCLUDE_MAX_DEPTH
                               ? "relations are followed at most %d deep"
                               : "a request includes at most %d relations",
                               depth > DF_INCLUDE_MAX_DEPTH
                               ? DF_INCLUDE_MAX_DEPTH : DF_INCLUDE_MAX);
    }

    added = df_query_include_create(r, parent);
    slot = ngx_array_push(includes);

    if (added == NULL || slot == NULL) {
        return NGX_ERROR;
    }

    added->relation = relation;
    added->reverse = reverse;
    added->model = relation ? relation->target : reverse->model;

    *slot = added;
    *include = added;

    return df_query_include_join(r, added, place, problem);
}


static df_include_t *
df_query_include_find(const ngx_array_t *includes,
    const df_relation_t *relation, const df_reverse_t *reverse)
{
    ngx_uint_t      i;
    df_include_t  **include;

    include = includes->elts;

    for (i = 0; i < includes->nelts; i++) {
        if (include[i]->relation == relation
            && include[i]->reverse == reverse)
        {
            return include[i];
        }
    }

    return NULL;
}


static df_include_t *
df_query_include_create(df_request_t *r, df_include_t *parent)
{
    df_include_t  *include;

    include = ngx_pcalloc(r->pool, sizeof(df_include_t));

    if (include == NULL
        || ngx_array_init(&include->includes, r->pool, 2,
                          sizeof(df_include_t *))
           != NGX_OK
        || ngx_array_init(&include->fields, r->pool, 4, sizeof(df_field_t *))
           != NGX_OK)
    {
        return NULL;
    }

    include->parent = parent;
    include->index = r->nincludes++;

    return include;
}


/* one record stands in the statement of what it is in, many have their own */

static ngx_int_t
df_query_include_join(df_request_t *r, df_include_t *include,
    const df_place_t *place, df_problem_t *problem)
{
    df_scope_t           scope;
    const df_join_t     *join;
    const df_include_t  *parent;

    parent = include->parent;

    if (include->reverse) {
        r->nlists++;
        include->joins = ngx_array_create(r->pool, 2, sizeof(df_join_t *));

        return include->joins ? NGX_OK : NGX_ERROR;
    }

    include->joins = parent ? parent->joins : &r->joins;
    join = parent ? parent->join : NULL;

    df_query_scope(&scope, r, problem);
    scope.joins = include->joins;

    return df_query_join(&scope, join, include->relation, place,
                         &include->join);
}


static ngx_int_t
df_query_include_field_add(df_include_t *include, const df_field_t *field,
    const ngx_str_t *item, const df_place_t *place, df_problem_t *problem)
{
    ngx_uint_t          i;
    const df_field_t  **fields;

    fields = include->fields.elts;

    for (i = 0; i < include->fields.nelts && fields[i] != field; i++) {
        /* void */
    }

    if (i < include->fields.nelts || include->whole) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "duplicate", "\"%V\" is given twice", item);
    }

    fields = ngx_array_push(&include->fields);
    if (fields == NULL) {
        return NGX_ERROR;
    }

    *fields = field;

    return NGX_OK;
}


/* what there is, as the names of those that refer to a record are not to be
   guessed */

static ngx_int_t
df_query_include_refuse(const df_request_t *r, const df_model_t *model,
    const ngx_str_t *name, ngx_uint_t fields, const df_place_t *place,
    df_problem_t *problem)
{
    ngx_str_t    known, *nearest, *one;
    ngx_uint_t   i, k, n;
    df_writer_t  w;

    n = model->relations.nelts + model->reverses.nelts;

    nearest = fields ? df_nearest(name, (void *) model,
                                  n + model->fields.nelts,
                                  df_query_include_field_at)
                     : df_nearest(name, (void *) model, n,
                                  df_query_include_name_at);

    if (df_writer_init(&w, r->pool, 128) != NGX_OK) {
        return NGX_ERROR;
    }

    if (nearest
        && df_writer_printf(&w, "did you mean \"%V\"?", nearest) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0, k = 0; nearest == NULL && i < n; i++) {
        one = df_query_include_name_at((void *) model, i);

        if (one && df_writer_printf(&w, "%s\"%V\"", k++ ? ", " : "it has ",
                                    one)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (nearest == NULL && k == 0
        && df_writer_printf(&w, "it has none") != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (df_writer_text(&w, &known) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                           "unknown_field", "%V has no %srelation \"%V\"; %V",
                           &model->name, fields ? "field or " : "", name,
                           &known);
}


/* relations to one record and to many, as far as they can be followed */

static ngx_str_t *
df_query_include_name_at(void *list, ngx_uint_t i)
{
    df_model_t  *model = list;

    df_reverse_t   *reverse;
    df_relation_t  *relation;

    relation = model->relations.elts;
    reverse = model->reverses.elts;

    if (i < model->relations.nelts) {
        return df_query_relation_offered(&relation[i]) ? &relation[i].name
                                                       : NULL;
    }

    reverse += i - model->relations.nelts;

    return df_query_reverse_offered(reverse) ? &reverse->name : NULL;
}


/* the same, then the visible fields */

static ngx_str_t *
df_query_include_field_at(void *list, ngx_uint_t i)
{
    df_model_t  *model = list;

    ngx_uint_t   n;
    df_field_t  *field;

    n = model->relations.nelts + model->reverses.nelts;

    if (i < n) {
        return df_query_include_name_at(model, i);
    }

    field = df_schema_field_at(model, i - n);

    return field->hidden ? NULL : &field->name;
}
