
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * run: the rows of lists within records to texts, one for each key.
 *
 * Each statement of a job has a snapshot of its own.  When others write in
 * between, the one that answers the records may have one that the statement of
 * a list did not see: then all are sent once more, as one transaction with one
 * snapshot.  That is rare, and a connection of its own and two statements more
 * are only paid for when it happens.
 */


#include <ngx_config.h>
#include "query/include.h"


#define DF_INCLUDE_TEXT_SIZE  4096


static ngx_int_t df_query_include_types(df_query_state_t *state,
    const df_list_t *list, const PGresult *res);
static ngx_uint_t df_query_include_keys(const PGresult *res, ngx_uint_t n);
static ngx_int_t df_query_include_rows(df_query_state_t *state,
    df_list_t *list, const PGresult *res, ngx_uint_t n);
static ngx_int_t df_query_include_row(df_query_state_t *state,
    df_list_t *list, df_fragment_t *fragment, const PGresult *res,
    ngx_uint_t row);
static ngx_int_t df_query_include_repeat(df_query_state_t *state);
static void df_query_include_again_result(void *data, ngx_uint_t i,
    PGresult *res, ngx_uint_t row, ngx_uint_t n);
static void df_query_include_again_done(void *data,
    const df_pg_error_t *error);


static const df_pg_callbacks_t  df_query_include_callbacks = {
    df_query_include_again_result,
    NULL,
    df_query_include_again_done
};


ngx_int_t
df_query_include_check(df_run_t *run)
{
    df_place_t           room;
    const df_request_t  *r;

    static const ngx_str_t  fields = ngx_string("fields");
    static const ngx_str_t  include = ngx_string("include");

    r = run->admitted->request;

    if (r->nincludes == 0 || run->format != DF_FORMAT_CSV) {
        return NGX_OK;
    }

    return df_query_refuse(&run->problem, DF_PROBLEM_BAD_REQUEST,
                           df_query_parameter_place(r, r->included ? &include
                                                                   : &fields,
                                                    &room),
                           "conflict",
                           "text/csv has no place for records within records: "
                           "application/json and application/x-ndjson have");
}


ngx_int_t
df_query_include_result(df_query_state_t *state, ngx_uint_t i,
    const PGresult *res)
{
    ngx_int_t       rc;
    ngx_uint_t      n;
    df_list_t      *list;
    df_includes_t  *includes;

    includes = state->compiled.includes;
    list = includes->lists[i];
    n = PQntuples(res);

    if (i == 0) {
        includes->missed = 0;
    }

    rc = df_query_include_types(state, list, res);
    if (rc != NGX_OK) {
        return rc;
    }

    if (n == df_include_max_rows(includes)) {
        includes->total = n;
        return df_query_include_total(state);
    }

    if (df_include_fragments_init(list, state->run->pool,
                                  df_query_include_keys(res, n))
        != NGX_OK
        || df_writer_init(&list->text, state->run->pool, DF_INCLUDE_TEXT_SIZE)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_query_include_rows(state, list, res, n);
}


static ngx_int_t
df_query_include_types(df_query_state_t *state, const df_list_t *list,
    const PGresult *res)
{
    Oid                type;
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = 0; i < list->columns.n; i++) {
        field = list->columns.fields[i];
        type = PQftype(res, i);

        if (df_query_result_type_fits(field, type)) {
            continue;
        }

        ngx_log_error(NGX_LOG_ERR, state->run->log, 0,
                      "\"%V\" of model \"%V\": field \"%V\" is not of type "
                      "%V%s in the database, but of the type with OID %uD",
                      &list->include->reverse->name,
                      &list->include->reverse->relation->target->name,
                      &field->name, &field->type->name,
                      field->array ? "[]" : "", (uint32_t) type);

        return df_problem_set(&state->run->problem, DF_PROBLEM_SCHEMA_DRIFT,
                              "a column has another type in the database");
    }

    return NGX_OK;
}


/* rows are in the order of their keys */

static ngx_uint_t
df_query_include_keys(const PGresult *res, ngx_uint_t n)
{
    ngx_str_t   key, last;
    ngx_uint_t  i, keys;

    keys = 0;
    ngx_str_null(&last);

    for (i = 0; i < n; i++) {
        key = df_pg_value(res, i, 0);

        if (i == 0 || !df_query_same(&key, &last)) {
            keys++;
            last = key;
        }
    }

    return keys;
}


static ngx_int_t
df_query_include_rows(df_query_state_t *state, df_list_t *list,
    const PGresult *res, ngx_uint_t n)
{
    ngx_str_t       key;
    ngx_int_t       rc;
    ngx_uint_t      i, total;
    df_fragment_t  *fragment;
    df_includes_t  *includes;

    includes = state->compiled.includes;
    fragment = NULL;
    total = 0;

    for (i = 0; i < n; i++) {
        key = df_pg_value(res, i, 0);

        if (fragment == NULL || !df_query_same(&key, &fragment->key)) {
            fragment = df_include_fragment_add(list, state->run->pool, &key);
            if (fragment == NULL) {
                return NGX_ERROR;
            }

            fragment->offset = (size_t) df_writer_length(&list->text);
        }

        if (df_pg_is_null(res, i, list->object.key)) {
            continue;
        }

        if (fragment->n == list->limit) {
            fragment->truncated = 1;
            continue;
        }

        includes->total = 0;

        rc = df_query_include_row(state, list, fragment, res, i);
        if (rc != NGX_OK) {
            return rc;
        }

        includes->total++;
        fragment->total += includes->total;
        total += includes->total;

        if (total > includes->max) {
            includes->total = total;
            return df_query_include_total(state);
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_include_row(df_query_state_t *state, df_list_t *list,
    df_fragment_t *fragment, const PGresult *res, ngx_uint_t row)
{
    df_writer_t    *w;
    df_includes_t  *includes;

    includes = state->compiled.includes;
    w = &list->text;

    if (df_writer_reserve(w, sizeof(",{}")
                             + df_include_bound(includes, list->columns.fields,
                                                &list->object, res, row))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (fragment->n++) {
        *w->pos++ = ',';
    }

    *w->pos++ = '{';
    w->pos = df_include_encode(w->pos, includes, list->columns.fields,
                               &list->object, res, row);
    *w->pos++ = '}';

    fragment->len = (size_t) df_writer_length(w) - fragment->offset;

    return NGX_OK;
}


ngx_int_t
df_query_include_total(df_query_state_t *state)
{
    df_includes_t  *includes;

    includes = state->compiled.includes;

    if (includes->total <= includes->max) {
        return NGX_OK;
    }

    return df_problem_set(&state->run->problem, DF_PROBLEM_TOO_COMPLEX,
                          "the lists in this answer would hold more than %ui "
                          "records: take a smaller limit, or include less",
                          includes->max);
}


/* a table that was changed may have made a statement stale when another had
   answered already */

ngx_uint_t
df_query_include_again(df_query_state_t *state, const df_pg_error_t *error)
{
    ngx_uint_t  stale;

    if (error->failure == DF_PG_OK) {
        stale = 0;

        if (state->broken || !state->compiled.includes->missed) {
            return 0;
        }

    } else {
        stale = (error->failure == DF_PG_SQL
                 && (ngx_strcmp(error->sqlstate, "0A000") == 0
                     || ngx_strcmp(error->sqlstate, "26000") == 0));

        if (!stale) {
            return 0;
        }
    }

    if (!state->repeated) {
        state->repeated = 1;

        if (df_query_include_repeat(state) != NGX_OK) {
            df_query_run_end(state);
        }

        return 1;
    }

    if (!stale) {
        ngx_log_error(NGX_LOG_ERR, state->run->log, 0,
                      "model \"%V\": records and the lists in them differ in "
                      "one snapshot of the database",
                      &state->run->admitted->request->model->name);
        state->broken = 1;
    }

    return 0;
}


static ngx_int_t
df_query_include_repeat(df_query_state_t *state)
{
    df_run_t           *run;
    ngx_uint_t          n;
    df_pg_spec_t        spec;
    df_pg_error_t       error;
    df_pg_statement_t  *st;

    static const df_pg_statement_t  begin = {
        .text = ngx_string("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        .unprepared = 1
    };

    static const df_pg_statement_t  commit = {
        .text = ngx_string("COMMIT"),
        .unprepared = 1
    };

    run = state->run;
    n = state->compiled.nstatements;

    st = ngx_palloc(run->pool, (n + 2) * sizeof(df_pg_statement_t));
    if (st == NULL) {
        (void) df_problem_set(&run->problem, DF_PROBLEM_INTERNAL,
                              "out of memory");
        return NGX_ERROR;
    }

    st[0] = begin;
    ngx_memcpy(&st[1], state->compiled.statements,
               n * sizeof(df_pg_statement_t));
    st[n + 1] = commit;

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = st;
    spec.nstatements = n + 2;
    spec.lane = DF_PG_WRITE;
    spec.callbacks = &df_query_include_callbacks;
    spec.data = state;

    state->broken = 0;
    ngx_memzero(&state->out, sizeof(df_writer_t));

    state->job = df_pg_submit(run->admitted->request->model->database->pool,
                              &spec, &error);

    if (state->job == NULL) {
        df_query_problem(run->admitted->request, &error, &run->problem);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* behind BEGIN; nothing waits for the result of COMMIT */

static void
df_query_include_again_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n)
{
    df_query_state_t  *state = data;

    if (i > 0 && i <= state->compiled.nstatements) {
        df_query_result(data, i - 1, res, row, n);
    }
}


/* it wrote nothing: its outcome is known */

static void
df_query_include_again_done(void *data, const df_pg_error_t *error)
{
    df_pg_error_t  known;

    known = *error;

    if (known.failure == DF_PG_OUTCOME_UNKNOWN) {
        known.failure = DF_PG_DOWN;
    }

    df_query_run_done(data, &known);
}
