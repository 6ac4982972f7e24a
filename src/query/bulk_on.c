
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Upsert: which row of the table a record is, by the fields of "on", and what
 * is set in a row that is there, by those of "update".
 */


#include <ngx_config.h>
#include "query/bulk.h"


static const df_field_t *df_bulk_on_field(df_bulk_t *bulk,
    const ngx_str_t *name, const df_place_t *place, df_problem_t *problem);
static ngx_uint_t df_bulk_on_has(const df_bulk_t *bulk,
    const df_field_t *field);
static const df_place_t *df_bulk_on_place(const df_place_t *list,
    ngx_uint_t i, df_place_t *place);
static ngx_int_t df_bulk_on_unique(df_bulk_t *bulk);
static ngx_uint_t df_bulk_on_index(const df_bulk_t *bulk,
    const df_index_t *index);
static ngx_int_t df_bulk_on_refuse(df_bulk_t *bulk, const df_place_t *place,
    df_problem_t *problem);
static ngx_int_t df_bulk_on_print(const df_bulk_t *bulk, df_writer_t *w,
    df_field_t *const *fields, ngx_uint_t n);
static ngx_uint_t df_bulk_on_is_set(const df_bulk_t *bulk,
    const df_field_t *field);


ngx_int_t
df_bulk_on(df_bulk_t *bulk, const ngx_array_t *names, const df_place_t *place,
    df_problem_t *problem)
{
    ngx_str_t          *name;
    ngx_uint_t          i, k, n;
    df_place_t          at;
    const df_field_t   *field;
    const df_place_t   *where;

    n = names ? names->nelts : 1;
    name = names ? names->elts : &bulk->model->key->name;

    bulk->on = ngx_palloc(bulk->pool, (n + 1) * sizeof(df_field_t *));
    if (bulk->on == NULL) {
        return NGX_ERROR;
    }

    if (n == 0
        || (names == NULL && !df_bulk_on_is_set(bulk, bulk->model->key)))
    {
        return df_bulk_on_refuse(bulk, place, problem);
    }

    for (i = 0; i < n; i++) {
        where = df_bulk_on_place(place, i, &at);

        field = df_bulk_on_field(bulk, &name[i], where, problem);
        if (field == NULL) {
            return NGX_DECLINED;
        }

        for (k = 0; k < i; k++) {
            if (bulk->on[k] == field) {
                return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE,
                                       where, "duplicate", "given twice");
            }
        }

        bulk->on[i] = field;
    }

    bulk->non = n;

    if (df_bulk_on_unique(bulk) == NGX_OK) {
        return NGX_OK;
    }

    bulk->non = 0;

    return df_bulk_on_refuse(bulk, place, problem);
}


ngx_int_t
df_bulk_update(df_bulk_t *bulk, const ngx_array_t *names,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_str_t         *name;
    ngx_uint_t         i;
    df_place_t         at;
    const df_place_t  *where;
    const df_field_t  *field;

    if (names == NULL) {
        return NGX_OK;
    }

    bulk->update = ngx_pcalloc(bulk->pool, bulk->model->fields.nelts);
    if (bulk->update == NULL) {
        return NGX_ERROR;
    }

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {
        where = df_bulk_on_place(place, i, &at);

        field = df_bulk_on_field(bulk, &name[i], where, problem);
        if (field == NULL) {
            return NGX_DECLINED;
        }

        if (field->key || df_bulk_on_has(bulk, field)) {
            return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, where,
                                   "readonly", "\"%V\" says which record it "
                                   "is, and stays", &name[i]);
        }

        if (bulk->update[field->index]) {
            return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, where,
                                   "duplicate", "given twice");
        }

        bulk->update[field->index] = 1;
    }

    return NGX_OK;
}


static ngx_uint_t
df_bulk_on_has(const df_bulk_t *bulk, const df_field_t *field)
{
    ngx_uint_t  i;

    for (i = 0; i < bulk->non; i++) {
        if (bulk->on[i] == field) {
            return 1;
        }
    }

    return 0;
}


/* a name within a list; of a parameter it is the parameter that is named */

static const df_place_t *
df_bulk_on_place(const df_place_t *list, ngx_uint_t i, df_place_t *place)
{
    if (list->parent == NULL && list->parameter.data) {
        return list;
    }

    ngx_memzero(place, sizeof(df_place_t));
    place->parent = list;
    place->index = i;

    return place;
}


static const df_field_t *
df_bulk_on_field(df_bulk_t *bulk, const ngx_str_t *name,
    const df_place_t *place, df_problem_t *problem)
{
    const df_field_t  *field;

    field = df_query_field(bulk->model, name);

    if (field == NULL) {
        (void) df_query_field_refuse(bulk->model, name, place, problem);
        return NULL;
    }

    if (!df_bulk_on_is_set(bulk, field)) {
        (void) df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "readonly", "\"%V\" cannot be set, and so no "
                               "record has it", name);
        return NULL;
    }

    return field;
}


static ngx_uint_t
df_bulk_on_is_set(const df_bulk_t *bulk, const df_field_t *field)
{
    return field->generated ? bulk->generated : !field->readonly;
}


/* the key, a unique field, or a unique index of these fields in any order,
   sooner one of all rows than of some */

static ngx_int_t
df_bulk_on_unique(df_bulk_t *bulk)
{
    ngx_uint_t         i;
    const df_index_t  *index;

    if (bulk->non == 1 && (bulk->on[0]->key || bulk->on[0]->unique)) {
        return NGX_OK;
    }

    index = bulk->model->indexes.elts;

    for (i = 0; i < bulk->model->indexes.nelts; i++) {

        if (!index[i].unique || !df_bulk_on_index(bulk, &index[i])) {
            continue;
        }

        if (index[i].where.len == 0) {
            bulk->index = NULL;
            return NGX_OK;
        }

        if (bulk->index == NULL) {
            bulk->index = &index[i];
        }
    }

    return bulk->index ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
df_bulk_on_index(const df_bulk_t *bulk, const df_index_t *index)
{
    df_field_t  **field;
    ngx_uint_t    i, k;

    if (index->fields.nelts != bulk->non) {
        return 0;
    }

    field = index->fields.elts;

    for (i = 0; i < bulk->non; i++) {
        for (k = 0; k < bulk->non && field[k] != bulk->on[i]; k++) {
            /* void */
        }

        if (k == bulk->non) {
            return 0;
        }
    }

    return 1;
}


/* with what could stand there instead */

static ngx_int_t
df_bulk_on_refuse(df_bulk_t *bulk, const df_place_t *place,
    df_problem_t *problem)
{
    ngx_str_t          known;
    ngx_uint_t         i;
    df_field_t        *field;
    df_writer_t        w;
    const df_index_t  *index;

    if (df_writer_init(&w, problem->pool, 128) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < bulk->model->fields.nelts; i++) {
        field = df_schema_field_at(bulk->model, i);

        if ((field->key || field->unique)
            && df_bulk_on_print(bulk, &w, &field, 1) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    index = bulk->model->indexes.elts;

    for (i = 0; i < bulk->model->indexes.nelts; i++) {
        if (index[i].unique
            && df_bulk_on_print(bulk, &w, index[i].fields.elts,
                                index[i].fields.nelts)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_writer_length(&w) == 0) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "unique", "no field of %V that can be set says "
                               "which record is which: declare one as unique, "
                               "or the key", &bulk->model->name);
    }

    if (df_writer_text(&w, &known) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place, "unique",
                           "expected the fields that say which record is "
                           "which: %V", &known);
}


/* ["a","b"], when the client may give all of them */

static ngx_int_t
df_bulk_on_print(const df_bulk_t *bulk, df_writer_t *w,
    df_field_t *const *fields, ngx_uint_t n)
{
    ngx_uint_t   i;
    const char  *before;

    for (i = 0; i < n; i++) {
        if (fields[i]->hidden || !df_bulk_on_is_set(bulk, fields[i])) {
            return NGX_OK;
        }
    }

    before = df_writer_length(w) ? " or [" : "[";

    for (i = 0; i < n; i++) {
        if (df_writer_printf(w, "%s\"%V\"", i ? "," : before,
                             &fields[i]->name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_writer_add(w, "]", 1);
}
