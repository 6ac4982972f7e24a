
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Which records of a bulk a refusal is about.  What PostgreSQL tells of values
 * is only used to find them: it is never passed on.
 */


#include <ngx_config.h>
#include "query/run_bulk.h"


static void df_bulk_blame_set(const df_request_t *r, const df_field_t *field,
    const char *code, const ngx_str_t *detail, df_problem_t *problem);
static ngx_uint_t df_bulk_blame_fields(const df_request_t *r,
    const df_pg_error_t *error, const df_field_t *field,
    const df_field_t ***fields);
static ngx_uint_t df_bulk_blame_told(const df_pg_error_t *error,
    const df_bulk_record_t *record, const df_field_t **fields, ngx_uint_t n,
    ngx_pool_t *pool);
static ngx_str_t df_bulk_pointer(const df_request_t *r,
    const df_bulk_record_t *record, ngx_pool_t *pool,
    const df_field_t *field);
static void df_bulk_blame_record(const df_request_t *r,
    const df_bulk_record_t *record, const df_field_t *field, const char *code,
    const ngx_str_t *detail, df_problem_t *problem);


const df_bulk_part_t *
df_bulk_failed(const df_bulk_state_t *state, const df_pg_error_t *error)
{
    ngx_uint_t  i;

    i = error->statement;

    if (i < state->first || i - state->first >= state->compiled.parts.nelts) {
        return NULL;
    }

    return (df_bulk_part_t *) state->compiled.parts.elts + i - state->first;
}


void
df_bulk_blame(const df_request_t *r, const df_pg_error_t *error,
    const df_bulk_part_t *part, const df_field_t *field, const char *code,
    const ngx_str_t *detail, df_problem_t *problem)
{
    ngx_uint_t           i, n, told, most;
    ngx_pool_t          *pool;
    const df_field_t   **fields;

    if (r->bulk->by_filter) {
        df_bulk_blame_set(r, field, code, detail, problem);
        return;
    }

    if (part == NULL || part->records == NULL) {
        return;
    }

    if (part->nrecords == 1) {
        df_bulk_blame_record(r, part->records[0], field, code, detail,
                             problem);
        return;
    }

    n = df_bulk_blame_fields(r, error, field, &fields);
    if (n == 0) {
        return;
    }

    pool = ngx_create_pool(1024, problem->pool->log);
    if (pool == NULL) {
        return;
    }

    /* of "(a)=(x" and "(a)=(x)) is" the second says more */

    most = 1;

    for (i = 0; i < part->nrecords; i++) {
        told = df_bulk_blame_told(error, part->records[i], fields, n, pool);

        if (told > most) {
            most = told;
            problem->items.nelts = 0;
        }

        if (told == most) {
            df_bulk_blame_record(r, part->records[i], fields[0], code, detail,
                                 problem);
        }

        ngx_reset_pool(pool);
    }

    ngx_destroy_pool(pool);
}


/* a value of "set" */

static void
df_bulk_blame_set(const df_request_t *r, const df_field_t *field,
    const char *code, const ngx_str_t *detail, df_problem_t *problem)
{
    ngx_uint_t              i;
    ngx_str_t               pointer;
    const df_assignment_t  *a;

    static const ngx_str_t  set = ngx_string("/set");

    a = r->values.elts;

    for (i = 0; i < r->values.nelts; i++) {
        if (a[i].field == field) {
            pointer = df_json_pointer(problem->pool, &set, &field->name);

            (void) df_problem_add(problem, problem->code, DF_AT_POINTER,
                                  &pointer, code, "%V", detail);
        }
    }
}


/* those that the refusal tells the values of */

static ngx_uint_t
df_bulk_blame_fields(const df_request_t *r, const df_pg_error_t *error,
    const df_field_t *field, const df_field_t ***fields)
{
    ngx_uint_t         i;
    const df_index_t  *index;

    if (error->detail.len == 0) {
        return 0;
    }

    if (r->op == DF_BULK_DELETE) {
        *fields = (const df_field_t **) &r->model->key;
        return 1;
    }

    index = r->model->indexes.elts;

    for (i = 0; i < r->model->indexes.nelts; i++) {
        if (df_query_same(&index[i].name, &error->constraint)) {
            *fields = index[i].fields.elts;
            return index[i].fields.nelts;
        }
    }

    if (field == NULL) {
        return 0;
    }

    *fields = ngx_palloc(r->pool, sizeof(df_field_t *));
    if (*fields == NULL) {
        return 0;
    }

    (*fields)[0] = field;

    return 1;
}


/* "Key (a, b)=(x, y) …", in whatever language: how much of it is the record's;
   0: it is not the one */

static ngx_uint_t
df_bulk_blame_told(const df_pg_error_t *error, const df_bulk_record_t *record,
    const df_field_t **fields, ngx_uint_t n, ngx_pool_t *pool)
{
    ngx_str_t          text;
    ngx_uint_t         i;
    df_writer_t        w;
    const df_value_t  *value;

    if (df_writer_init(&w, pool, 256) != NGX_OK) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        if (df_writer_printf(&w, "%s%V", i ? ", " : "(", &fields[i]->name)
            != NGX_OK)
        {
            return 0;
        }
    }

    for (i = 0; i < n; i++) {
        value = fields[i]->key && record->key.text.len
                ? &record->key : df_bulk_value(record, fields[i], NULL, i);

        if (value == NULL || value->null
            || df_writer_printf(&w, "%s%V", i ? ", " : ")=(", &value->text)
               != NGX_OK)
        {
            return 0;
        }
    }

    if (df_writer_add(&w, ")", 1) != NGX_OK
        || df_writer_text(&w, &text) != NGX_OK)
    {
        return 0;
    }

    return ngx_strnstr(error->detail.data, (char *) text.data,
                       error->detail.len)
           ? text.len : 0;
}


static void
df_bulk_blame_record(const df_request_t *r, const df_bulk_record_t *record,
    const df_field_t *field, const char *code, const ngx_str_t *detail,
    df_problem_t *problem)
{
    ngx_str_t  pointer;

    pointer = df_bulk_pointer(r, record, problem->pool,
                              field && field->hidden ? NULL : field);

    (void) df_problem_add(problem, problem->code, DF_AT_POINTER, &pointer,
                          code, "%V", detail);
}


static ngx_str_t
df_bulk_pointer(const df_request_t *r, const df_bulk_record_t *record,
    ngx_pool_t *pool, const df_field_t *field)
{
    ngx_str_t  pointer;

    pointer = df_str_printf(pool, "/%V/%ui", r->bulk->member, record->index);

    return (field && r->op != DF_BULK_DELETE)
           ? df_json_pointer(pool, &pointer, &field->name) : pointer;
}


/* what a record may be to blame for, by the class of the SQLSTATE; those that
   collide may collide less when they are fewer */

ngx_uint_t
df_bulk_is_data(const df_pg_error_t *error)
{
    ngx_uint_t  i;

    static const char *const  classes[] = {
        "21", "22", "23", "27", "40", "44", "54", "55P03", "P0", "PT"
    };

    for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (error->failure == DF_PG_SQL
            && ngx_strncmp(error->sqlstate, classes[i],
                           ngx_strlen(classes[i]))
               == 0)
        {
            return ngx_strcmp(error->sqlstate, "40003") != 0;
        }
    }

    return 0;
}


/* what results say without a refusal */

void
df_bulk_missing_problem(const df_bulk_state_t *state,
    const df_bulk_record_t *record, df_problem_t *problem)
{
    ngx_str_t            pointer;
    ngx_uint_t           there;
    df_problem_code_t    code;
    const df_request_t  *r;

    r = state->request;
    there = (r->op == DF_BULK_CREATE || r->op == DF_BULK_UPSERT);
    code = there ? DF_PROBLEM_CONFLICT : DF_PROBLEM_NOT_FOUND;

    pointer = df_bulk_pointer(r, record, problem->pool,
                              there ? NULL : r->model->key);

    if (problem->code == DF_PROBLEM_NONE) {
        (void) df_problem_set(problem, code, "%s%s",
                              there ? "a record could not be written"
                                    : "there is no record with this key",
                              r->bulk->each ? "" : "; nothing was done");
    }

    (void) df_problem_add(problem, code, DF_AT_POINTER, &pointer,
                          there ? "conflict" : "not_found", "%s",
                          there ? "a trigger or a rule of the table left the "
                                  "record out"
                                : "there is no record with this key");
}


void
df_bulk_undone(const df_bulk_state_t *state, df_problem_t *problem)
{
    df_pg_error_t  error;

    ngx_memzero(&error, sizeof(df_pg_error_t));
    error.failure = DF_PG_DOWN;

    df_query_problem(state->request, &error, problem);
}
