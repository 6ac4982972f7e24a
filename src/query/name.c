
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The names that a request speaks of: a field of its model, one of a row that
 * a relation leads to, and what is at a path in a json field.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_int_t df_query_name_path(df_scope_t *scope,
    const ngx_str_t *steps, const df_place_t *place, df_reference_t *ref);
static ngx_int_t df_query_name_refuse(df_scope_t *scope,
    const df_model_t *model, const ngx_str_t *name, const ngx_str_t *before,
    ngx_uint_t dotted, const df_place_t *place);
static ngx_str_t *df_query_name_at(void *list, ngx_uint_t i);


typedef struct {
    const df_request_t  *request;
    const df_model_t    *model;
} df_query_names_t;


/* whether all relations are open: to nginx.conf, but not to a client */

#define df_query_declares(r)  ((r) == NULL || (r)->report != NULL)


void
df_query_scope(df_scope_t *scope, df_request_t *r, df_problem_t *problem)
{
    ngx_memzero(scope, sizeof(df_scope_t));

    scope->pool = r->pool;
    scope->model = r->model;
    scope->joins = &r->joins;
    scope->request = r;
    scope->problem = problem;
}


ngx_int_t
df_query_name(df_scope_t *scope, const ngx_str_t *name,
    const df_place_t *place, df_reference_t *ref)
{
    ngx_int_t             rc;
    ngx_str_t             rest, head, before;
    const df_model_t     *model;
    const df_relation_t  *relation;

    ngx_memzero(ref, sizeof(df_reference_t));

    rest = *name;

    for ( ;; ) {
        (void) df_query_word_next(&rest, '.', &head);

        model = df_query_join_model(scope->model, ref->join);
        ref->field = df_query_field(model, &head);

        if (ref->field != NULL) {
            return rest.data ? df_query_name_path(scope, &rest, place, ref)
                             : NGX_OK;
        }

        relation = rest.data ? df_query_relation(scope->request, model, &head)
                             : NULL;

        if (relation == NULL) {
            before.data = name->data;
            before.len = head.data - name->data;

            return df_query_name_refuse(scope, model, &head, &before,
                                        rest.data != NULL, place);
        }

        rc = df_query_join(scope, ref->join, relation, place, &ref->join);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}


static ngx_int_t
df_query_name_path(df_scope_t *scope, const ngx_str_t *steps,
    const df_place_t *place, df_reference_t *ref)
{
    ngx_str_t  rest, step;

    if (ref->field->array || ref->field->type->kind != DF_JSON) {
        return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                               place, "unknown_field",
                               "\"%V\" is no json field and has no \"%V\"",
                               &ref->field->name, steps);
    }

    ref->path = ngx_palloc(scope->pool,
                           DF_FILTER_MAX_PATH * sizeof(ngx_str_t));
    if (ref->path == NULL) {
        return NGX_ERROR;
    }

    rest = *steps;

    while (df_query_word_next(&rest, '.', &step)) {

        /* U+0000 of a JSON name is no UTF-8 here, and in no jsonb */

        if (step.len == 0 || df_utf8_check(step.data, step.len) != NGX_OK) {
            return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                                   place, "unknown_field",
                                   "a step of a path is empty or holds "
                                   "U+0000");
        }

        if (ref->npath == DF_FILTER_MAX_PATH) {
            return df_query_refuse(scope->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                                   place, "limit_exceeded",
                                   "a path has at most %d steps",
                                   DF_FILTER_MAX_PATH);
        }

        if (df_str_copy(scope->pool, &ref->path[ref->npath++], step.data,
                        step.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* before: "customer.", the way to the model, which what is proposed has too */

static ngx_int_t
df_query_name_refuse(df_scope_t *scope, const df_model_t *model,
    const ngx_str_t *name, const ngx_str_t *before, ngx_uint_t dotted,
    const df_place_t *place)
{
    ngx_str_t            *nearest;
    df_query_names_t      names;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    relation = df_query_relation(scope->request, model, name);

    if (relation != NULL) {
        return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                               place, "unknown_field",
                               "\"%V\" is a relation of %V, not a field: name "
                               "a field behind it, as \"%V%V.%V\"", name,
                               &model->name, before, name,
                               &relation->target->key->name);
    }

    reverse = df_query_reverse(scope->request, model, name);

    if (reverse != NULL) {
        return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                               place, "unknown_field",
                               "\"%V\" leads from %V to many records, and "
                               "only relations to one are followed here: ask "
                               "%V instead, which has \"%V\"", name,
                               &model->name, &reverse->model->name,
                               &reverse->relation->name);
    }

    names.request = scope->request;
    names.model = model;

    nearest = df_nearest(name, &names,
                         model->fields.nelts + model->relations.nelts,
                         df_query_name_at);

    return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                           "unknown_field",
                           "%V has no field %s\"%V\"%s%V%V%s",
                           &model->name, dotted ? "or relation " : "", name,
                           nearest ? "; did you mean \"" : "",
                           nearest ? before : &(ngx_str_t) ngx_null_string,
                           nearest ? nearest : &(ngx_str_t) ngx_null_string,
                           nearest ? "\"?" : "");
}


/* of a model: its visible fields, then its relations that can be followed */

static ngx_str_t *
df_query_name_at(void *list, ngx_uint_t i)
{
    df_query_names_t *names = list;

    df_field_t        *field;
    df_relation_t     *relation;
    const df_model_t  *model;

    model = names->model;

    if (i < model->fields.nelts) {
        field = df_schema_field_at(model, i);
        return field->hidden ? NULL : &field->name;
    }

    relation = model->relations.elts;
    relation += i - model->fields.nelts;

    return (df_query_declares(names->request)
            || df_query_relation_offered(relation)) ? &relation->name : NULL;
}


ngx_int_t
df_query_join(df_scope_t *scope, const df_join_t *parent,
    const df_relation_t *relation, const df_place_t *place,
    const df_join_t **join)
{
    ngx_uint_t         i, depth;
    df_join_t         *added, **joins;
    const df_join_t   *up;

    if (scope->joins == NULL) {
        return df_query_refuse(scope->problem, DF_PROBLEM_UNKNOWN_FIELD,
                               place, "unknown_field",
                               "\"%V\" is a relation, and relations can not "
                               "be followed here", &relation->name);
    }

    joins = scope->joins->elts;

    for (i = 0; i < scope->joins->nelts; i++) {
        if (joins[i]->parent == parent && joins[i]->relation == relation) {
            *join = joins[i];
            return NGX_OK;
        }
    }

    for (depth = 1, up = parent; up; up = up->parent) {
        depth++;
    }

    if (depth > DF_JOIN_MAX_DEPTH || scope->joins->nelts == DF_JOIN_MAX) {
        return df_query_refuse(scope->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                               place, "limit_exceeded",
                               depth > DF_JOIN_MAX_DEPTH
                               ? "relations are followed at most %d deep"
                               : "a request follows at most %d relations",
                               depth > DF_JOIN_MAX_DEPTH ? DF_JOIN_MAX_DEPTH
                                                         : DF_JOIN_MAX);
    }

    added = ngx_pcalloc(scope->pool, sizeof(df_join_t));
    joins = ngx_array_push(scope->joins);

    if (added == NULL || joins == NULL) {
        return NGX_ERROR;
    }

    added->parent = parent;
    added->relation = relation;
    added->index = scope->joins->nelts;

    *joins = added;
    *join = added;

    return NGX_OK;
}


const df_relation_t *
df_query_relation(const df_request_t *r, const df_model_t *model,
    const ngx_str_t *name)
{
    ngx_uint_t            i;
    const df_relation_t  *relation;

    relation = model->relations.elts;

    for (i = 0; i < model->relations.nelts; i++) {
        if (df_query_same(&relation[i].name, name)) {
            return (df_query_declares(r)
                    || df_query_relation_offered(&relation[i])) ? &relation[i]
                                                                : NULL;
        }
    }

    return NULL;
}


const df_reverse_t *
df_query_reverse(const df_request_t *r, const df_model_t *model,
    const ngx_str_t *name)
{
    ngx_uint_t           i;
    const df_reverse_t  *reverse;

    reverse = model->reverses.elts;

    for (i = 0; i < model->reverses.nelts; i++) {
        if (df_query_same(&reverse[i].name, name)) {
            return (df_query_declares(r)
                    || df_query_reverse_offered(&reverse[i])) ? &reverse[i]
                                                              : NULL;
        }
    }

    return NULL;
}
