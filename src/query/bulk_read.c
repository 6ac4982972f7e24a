
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The records of a bulk's body, each by the rules of a create or an update of
 * one.  All that is wrong with all of them is told together; when they are
 * not atomic, each keeps what is wrong with it.
 */


#include <ngx_config.h>
#include "query/bulk.h"


typedef struct {
    df_request_t        *request;
    df_bulk_t           *bulk;
    df_problem_t        *problem;       /* of all */
    df_problem_t         own;           /* of one, when each is for itself */
    df_request_t         rules;         /* of one record */
    df_query_values_t    values;
    const df_field_t    *key;           /* that a record begins with, or is */
} df_bulk_reader_t;


static ngx_int_t df_bulk_read_init(df_bulk_reader_t *reader, df_request_t *r,
    df_problem_t *problem);
static ngx_int_t df_bulk_read_one(df_bulk_reader_t *reader,
    const cJSON *node, const df_place_t *place);
static ngx_int_t df_bulk_read_values(df_bulk_reader_t *reader,
    const cJSON *node);
static ngx_int_t df_bulk_read_key(df_bulk_reader_t *reader,
    const cJSON *node, const df_place_t *place, df_value_t *key);
static ngx_int_t df_bulk_read_row(df_bulk_reader_t *reader,
    df_bulk_record_t *record, const df_place_t *place);
static void df_bulk_read_refuse(df_bulk_reader_t *reader,
    const df_place_t *place, const ngx_str_t *name, const char *code,
    const char *fmt, ...);
static ngx_int_t df_bulk_read_keep(df_bulk_reader_t *reader,
    ngx_uint_t index);
static ngx_int_t df_bulk_read_limits(df_bulk_reader_t *reader);


ngx_int_t
df_bulk_read(df_request_t *r, const cJSON *list, const df_place_t *place,
    df_problem_t *problem)
{
    df_place_t         at;
    const cJSON       *node;
    df_bulk_reader_t   reader;

    if (df_bulk_read_init(&reader, r, problem) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;

    for (node = list->child; node; node = node->next) {

        if (df_bulk_read_one(&reader, node, &at) != NGX_OK) {
            return NGX_ERROR;
        }

        /* no more of them would be told */

        if (problem->items.nelts == DF_PROBLEM_MAX_ITEMS) {
            break;
        }

        at.index++;
    }

    if (problem->code != DF_PROBLEM_NONE) {
        return NGX_DECLINED;
    }

    return df_bulk_read_limits(&reader);
}


static ngx_int_t
df_bulk_read_init(df_bulk_reader_t *reader, df_request_t *r,
    df_problem_t *problem)
{
    ngx_memzero(reader, sizeof(df_bulk_reader_t));

    reader->request = r;
    reader->bulk = r->bulk;
    reader->problem = problem;

    reader->values.request = &reader->rules;
    reader->values.problem = r->bulk->each ? &reader->own : problem;

    if (r->op == DF_BULK_UPDATE || r->op == DF_BULK_DELETE) {
        reader->key = r->model->key;
        reader->values.apart = reader->key;
    }

    if (df_problem_init(&reader->own, r->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_query_request_init(&reader->rules, r->pool, r->model,
                                 r->op == DF_BULK_UPDATE ? DF_UPDATE
                                                         : DF_CREATE);
}


static ngx_int_t
df_bulk_read_one(df_bulk_reader_t *reader, const cJSON *node,
    const df_place_t *place)
{
    ngx_uint_t          before;
    df_value_t          key;
    df_problem_t       *problem;
    df_bulk_record_t   *record;

    problem = reader->values.problem;
    before = problem->items.nelts;

    reader->rules.values.nelts = 0;
    reader->values.place = place;

    ngx_memzero(&key, sizeof(df_value_t));

    if (reader->request->op != DF_BULK_DELETE
        && df_bulk_read_values(reader, node) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (reader->key
        && df_bulk_read_key(reader, node, place, &key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (problem->items.nelts == before) {

        if (df_bulk_add(reader->bulk, place->index,
                        reader->rules.values.elts, reader->rules.values.nelts,
                        &key, &record)
            != NGX_OK
            || df_bulk_read_row(reader, record, place) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (reader->bulk->each && problem->code != DF_PROBLEM_NONE) {
        return df_bulk_read_keep(reader, place->index);
    }

    return NGX_OK;
}


static ngx_int_t
df_bulk_read_values(df_bulk_reader_t *reader, const cJSON *node)
{
    return (df_query_values_read(&reader->values, node) == NGX_ERROR)
           ? NGX_ERROR : NGX_OK;
}


/* an element of "ids", or the member of a record that says which it is */

static ngx_int_t
df_bulk_read_key(df_bulk_reader_t *reader, const cJSON *node,
    const df_place_t *place, df_value_t *key)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    const cJSON       *member;
    const ngx_str_t   *name;
    df_value_error_t   error;

    name = NULL;
    member = node;

    if (reader->request->op == DF_BULK_UPDATE) {

        if (df_json_kind(node) != DF_JSON_OBJECT) {
            return NGX_OK;
        }

        name = &reader->key->name;

        for (member = node->child; member; member = member->next) {
            text = df_json_name(member);

            if (df_query_same(&text, name)) {
                break;
            }
        }

        if (member == NULL) {
            df_bulk_read_refuse(reader, place, name, "required",
                                "\"%V\" says which record is changed", name);
            return NGX_OK;
        }
    }

    rc = df_schema_parse_json(reader->key, reader->request->pool, member, 0, 0,
                              key, &error);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED || key->null) {
        df_bulk_read_refuse(reader, place, name,
                            rc == NGX_OK ? "type" : error.code, "expected %V",
                            rc == NGX_OK ? &reader->key->type->expected
                                         : &error.expected);
    }

    return NGX_OK;
}


/* which row the record is: one that no other record is */

static ngx_int_t
df_bulk_read_row(df_bulk_reader_t *reader, df_bulk_record_t *record,
    const df_place_t *place)
{
    ngx_uint_t          i;
    df_bulk_t          *bulk;
    const ngx_str_t    *name;
    const df_value_t   *value;
    df_bulk_record_t   *former;

    bulk = reader->bulk;

    for (i = 0; i < bulk->non; i++) {
        name = &bulk->on[i]->name;
        value = df_bulk_value(record, bulk->on[i], NULL, i);

        if (value == NULL || value->null) {
            df_bulk_read_refuse(reader, place, name,
                                value ? "null" : "required",
                                "\"%V\" says which record is meant", name);
            goto refused;
        }
    }

    /* of the rows that a partial index leaves out there may be many alike */

    if ((reader->key == NULL && bulk->non == 0) || bulk->index) {
        return NGX_OK;
    }

    if (df_bulk_equal(bulk, record, &former) != NGX_OK) {
        return NGX_ERROR;
    }

    if (former == NULL) {
        return NGX_OK;
    }

    name = bulk->non ? &bulk->on[0]->name
                     : (reader->request->op == DF_BULK_UPDATE)
                       ? &reader->key->name : NULL;

    df_bulk_read_refuse(reader, place, name, "duplicate",
                        "the record of /%V/%ui is the same one", bulk->member,
                        former->index);

refused:

    bulk->records.nelts--;

    return NGX_OK;
}


static void
df_bulk_read_refuse(df_bulk_reader_t *reader, const df_place_t *place,
    const ngx_str_t *name, const char *code, const char *fmt, ...)
{
    va_list           args;
    ngx_str_t         pointer, text;
    df_place_t        member;
    df_problem_t     *problem;
    df_problem_at_t   at;

    problem = reader->values.problem;

    if (name) {
        ngx_memzero(&member, sizeof(df_place_t));
        member.parent = place;
        member.name = name;
        place = &member;
    }

    pointer = df_query_place_name(problem->pool, place, &at);

    va_start(args, fmt);
    text = df_str_vprintf(problem->pool, fmt, args);
    va_end(args);

    (void) df_problem_add(problem, DF_PROBLEM_VALIDATION_FAILED, at, &pointer,
                          code, "%V", &text);
}


static ngx_int_t
df_bulk_read_keep(df_bulk_reader_t *reader, ngx_uint_t index)
{
    df_bulk_refused_t  *refused;

    refused = ngx_array_push(&reader->bulk->refused);
    if (refused == NULL) {
        return NGX_ERROR;
    }

    refused->index = index;
    refused->problem = reader->own;

    return df_problem_init(&reader->own, reader->request->pool);
}


static ngx_int_t
df_bulk_read_limits(df_bulk_reader_t *reader)
{
    df_bulk_t  *bulk;

    bulk = reader->bulk;

    if (bulk->has_max && bulk->nrecords > bulk->max_affected
        && (reader->request->op != DF_BULK_UPSERT || bulk->each))
    {
        return df_bulk_too_many(bulk, bulk->nrecords, reader->problem);
    }

    if (reader->request->op == DF_BULK_UPSERT
        && bulk->nshapes > DF_BULK_MAX_SHAPES)
    {
        return df_problem_set(reader->problem, DF_PROBLEM_TOO_COMPLEX,
                              "the records have more than %d different sets of "
                              "fields", DF_BULK_MAX_SHAPES);
    }

    return NGX_OK;
}


ngx_int_t
df_bulk_too_many(const df_bulk_t *bulk, ngx_uint_t n, df_problem_t *problem)
{
    static const ngx_str_t  max = ngx_string("/max_affected");

    problem->status = 422;

    (void) df_problem_set(problem, DF_PROBLEM_LIMIT_EXCEEDED,
                          "these would be %ui records; nothing was done", n);

    return df_problem_add(problem, DF_PROBLEM_LIMIT_EXCEEDED, DF_AT_POINTER,
                          &max, "limit_exceeded", "at most %ui",
                          bulk->max_affected);
}
