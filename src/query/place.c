
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Where something of a query is wrong, in words: a parameter of the query
 * string or a pointer into a body.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_str_t
df_query_place_pointer(ngx_pool_t *pool, const df_place_t *place)
{
    ngx_str_t  parent;

    if (place->parent == NULL) {
        ngx_str_set(&parent, "");
        return parent;
    }

    parent = df_query_place_pointer(pool, place->parent);

    if (place->name) {
        return df_json_pointer(pool, &parent, place->name);
    }

    return df_json_pointer_index(pool, &parent, place->index);
}


static const df_place_t *
df_query_place_root(const df_place_t *place)
{
    while (place->parent) {
        place = place->parent;
    }

    return place;
}


const df_place_t *
df_query_place_copy(ngx_pool_t *pool, const df_place_t *place)
{
    ngx_str_t   *name;
    df_place_t  *copy;

    copy = ngx_palloc(pool, sizeof(df_place_t) + sizeof(ngx_str_t));
    if (copy == NULL) {
        return NULL;
    }

    *copy = *place;

    if (place->parameter.data
        && df_str_copy(pool, &copy->parameter, place->parameter.data,
                       place->parameter.len)
           != NGX_OK)
    {
        return NULL;
    }

    if (place->name) {
        name = (ngx_str_t *) (copy + 1);

        if (df_str_copy(pool, name, place->name->data, place->name->len)
            != NGX_OK)
        {
            return NULL;
        }

        copy->name = name;
    }

    if (place->parent) {
        copy->parent = df_query_place_copy(pool, place->parent);

        if (copy->parent == NULL) {
            return NULL;
        }
    }

    return copy;
}


ngx_str_t
df_query_place_name(ngx_pool_t *pool, const df_place_t *place,
    df_problem_at_t *at)
{
    const df_place_t  *root;

    root = df_query_place_root(place);

    if (root->parameter.data) {
        *at = DF_AT_PARAMETER;
        return root->parameter;
    }

    *at = DF_AT_POINTER;

    return df_query_place_pointer(pool, place);
}


ngx_int_t
df_query_refuse(df_problem_t *problem, df_problem_code_t code,
    const df_place_t *place, const char *item_code, const char *fmt, ...)
{
    va_list            args;
    ngx_str_t          text, pointer;
    const df_place_t  *root;

    root = df_query_place_root(place);

    va_start(args, fmt);
    text = df_str_vprintf(problem->pool, fmt, args);
    va_end(args);

    if (place->column) {
        text = df_str_printf(problem->pool, "at character %ui: %V",
                             place->column, &text);
    }

    pointer = df_query_place_pointer(problem->pool, place);

    if (root->parameter.data == NULL) {
        (void) df_problem_set(problem, code, "%V%s%V", &pointer,
                              pointer.len ? ": " : "", &text);

        return df_problem_add(problem, code, DF_AT_POINTER, &pointer,
                              item_code, "%V", &text);
    }

    if (pointer.len) {
        text = df_str_printf(problem->pool, "at %V: %V", &pointer, &text);
    }

    (void) df_problem_set(problem, code, "%V: %V", &root->parameter, &text);

    return df_problem_add(problem, code, DF_AT_PARAMETER, &root->parameter,
                          item_code, "%V", &text);
}


ngx_int_t
df_query_field_refuse(const df_model_t *model, const ngx_str_t *name,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_str_t  *nearest;

    nearest = df_schema_nearest(model, name);

    if (nearest == NULL) {
        return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                               "unknown_field", "%V has no field \"%V\"",
                               &model->name, name);
    }

    return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_FIELD, place,
                           "unknown_field",
                           "%V has no field \"%V\"; did you mean \"%V\"?",
                           &model->name, name, nearest);
}
