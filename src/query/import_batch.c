
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Rows that no COPY writes, a few thousand at a time by the statements of a
 * bulk: those of an upsert, of views and of tables with row security, and the
 * few of each of many sets of fields.  Of two rows of an upsert that mean the
 * same record the later one wins, so the second begins another batch.
 *
 * When PostgreSQL refuses a batch, either half is tried by itself, down to the
 * row that is to blame.
 */


#include <ngx_config.h>
#include "query/import.h"


/* rows, and bytes of their values */
#define DF_IMPORT_BATCH_ROWS   5000
#define DF_IMPORT_BATCH_BYTES  (1024 * 1024)

/* a set of fewer rows is not worth a COPY where there are many sets */
#define DF_IMPORT_FEW          64


static df_import_batch_t *df_import_batch_create(df_import_t *import);
static ngx_int_t df_import_batch_row(df_import_t *import,
    const df_field_t *const *fields, ngx_uint_t n, ngx_uint_t line);
static ngx_int_t df_import_batch_assign(df_import_batch_t *batch,
    const df_field_t *field, const df_value_t *value, df_assignment_t *a);
static ngx_uint_t df_import_batch_repeats(df_import_batch_t *batch,
    df_bulk_record_t *record, ngx_int_t *rc);
static ngx_int_t df_import_batch_set(df_import_t *import,
    df_import_set_t *set);
static u_char *df_import_batch_value(u_char *p, df_value_t *value);
static ngx_int_t df_import_batch_range(df_import_t *import);
static ngx_int_t df_import_batch_split(df_import_batch_t *batch);
static void df_import_batch_blame(df_import_t *import,
    const df_pg_error_t *error);
static void df_import_batch_destroy(df_import_batch_t *batch);
static void df_import_batch_cleanup(void *data);


ngx_int_t
df_import_batch_init(df_import_t *import)
{
    ngx_uint_t           n;
    ngx_pool_cleanup_t  *cln;

    ngx_queue_init(&import->closed);

    n = import->request->model->fields.nelts;

    import->assigned = ngx_palloc(import->run->pool,
                                  n * sizeof(df_assignment_t));
    import->fields = ngx_palloc(import->run->pool, n * sizeof(df_field_t *));

    cln = ngx_pool_cleanup_add(import->run->pool, 0);

    if (import->assigned == NULL || import->fields == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = df_import_batch_cleanup;
    cln->data = import;

    return NGX_OK;
}


static void
df_import_batch_cleanup(void *data)
{
    df_import_batch_drop(data);
}


/* the row that was read */

ngx_int_t
df_import_batch_add(df_import_t *import, ngx_uint_t line)
{
    ngx_uint_t         i, n;
    const df_model_t  *model;

    model = import->request->model;

    for (i = 0, n = 0; i < model->fields.nelts; i++) {
        if (import->given[i / 8] & (1 << i % 8)) {
            import->fields[n++] = df_schema_field_at(model, i);
        }
    }

    return df_import_batch_row(import, import->fields, n, line);
}


static ngx_int_t
df_import_batch_row(df_import_t *import, const df_field_t *const *fields,
    ngx_uint_t n, ngx_uint_t line)
{
    ngx_int_t           rc;
    ngx_uint_t          i, most, *slot;
    df_bulk_record_t   *record;
    df_import_batch_t  *batch;

    if (import->batch == NULL) {
        import->batch = df_import_batch_create(import);
        if (import->batch == NULL) {
            return NGX_ERROR;
        }
    }

    batch = import->batch;

    for (i = 0; i < n; i++) {
        if (df_import_batch_assign(batch, fields[i],
                                   &import->values[fields[i]->index],
                                   &import->assigned[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    slot = ngx_array_push(&batch->lines);

    if (slot == NULL
        || df_bulk_add(batch->request.bulk, batch->lines.nelts - 1,
                       import->assigned, n, NULL, &record)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *slot = line;
    rc = NGX_OK;

    if (import->bulk && df_import_batch_repeats(batch, record, &rc)) {
        batch->lines.nelts--;
        batch->request.bulk->records.nelts--;

        df_import_batch_close(import);

        return df_import_batch_row(import, fields, n, line);
    }

    most = DF_BULK_CELLS / import->request->model->fields.nelts;
    most = ngx_min(most, DF_IMPORT_BATCH_ROWS);

    if (batch->lines.nelts == most
        || batch->bytes >= DF_IMPORT_BATCH_BYTES)
    {
        df_import_batch_close(import);
    }

    return rc;
}


/* the row's values are gone with the next row */

static ngx_int_t
df_import_batch_assign(df_import_batch_t *batch, const df_field_t *field,
    const df_value_t *value, df_assignment_t *a)
{
    ngx_memzero(a, sizeof(df_assignment_t));

    a->field = field;
    a->value.null = value->null;

    if (value->null) {
        return NGX_OK;
    }

    batch->bytes += value->text.len;

    return df_str_copy(batch->pool, &a->value.text, value->text.data,
                       value->text.len);
}


static ngx_uint_t
df_import_batch_repeats(df_import_batch_t *batch, df_bulk_record_t *record,
    ngx_int_t *rc)
{
    df_bulk_record_t  *former;

    *rc = df_bulk_equal(batch->request.bulk, record, &former);

    return *rc == NGX_OK && former != NULL;
}


/* a request of its own for these records, which was admitted with the
   import's */

static df_import_batch_t *
df_import_batch_create(df_import_t *import)
{
    df_bulk_t          *bulk;
    ngx_pool_t         *pool;
    df_import_batch_t  *batch;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, import->run->log);
    if (pool == NULL) {
        return NULL;
    }

    batch = ngx_pcalloc(pool, sizeof(df_import_batch_t));
    bulk = df_bulk_create(pool, import->request->model);

    if (batch == NULL || bulk == NULL
        || ngx_array_init(&batch->lines, pool, 64, sizeof(ngx_uint_t))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    if (import->bulk) {
        bulk->on = import->bulk->on;
        bulk->non = import->bulk->non;
        bulk->index = import->bulk->index;
        bulk->update = import->bulk->update;
    }

    batch->pool = pool;
    batch->request = *import->request;
    batch->request.bulk = bulk;
    batch->admitted = *import->admitted;
    batch->admitted.request = &batch->request;

    return batch;
}


void
df_import_batch_close(df_import_t *import)
{
    df_import_batch_t  *batch;

    batch = import->batch;

    if (batch == NULL) {
        return;
    }

    import->batch = NULL;
    import->nclosed++;
    ngx_queue_insert_tail(&import->closed, &batch->queue);

    batch->stack[0].from = 0;
    batch->stack[0].to = batch->lines.nelts;
    batch->nstack = 1;
}


/* the rows of sets: of all, or of those that have a few */

ngx_int_t
df_import_batch_take(df_import_t *import)
{
    ngx_uint_t        taken;
    ngx_queue_t      *q;
    df_import_set_t  *set;

    taken = 0;

    for (q = ngx_queue_head(&import->sets.all);
         q != ngx_queue_sentinel(&import->sets.all);
         q = ngx_queue_next(q))
    {
        set = ngx_queue_data(q, df_import_set_t, queue);

        if (set->rows == 0 || (import->copies && set->rows > DF_IMPORT_FEW)) {
            continue;
        }

        if (df_import_batch_set(import, set) != NGX_OK) {
            return NGX_ERROR;
        }

        taken = 1;
    }

    if (taken) {
        df_import_batch_close(import);
    }

    return NGX_OK;
}


static ngx_int_t
df_import_batch_set(df_import_t *import, df_import_set_t *set)
{
    u_char      *p;
    ngx_uint_t   i, row;

    p = set->sent;

    for (row = 1; row <= set->rows; row++) {

        for (i = 0; i < set->n; i++) {
            p = df_import_batch_value(p,
                                   &import->values[set->fields[i]->index]);
        }

        p += (set->n == 0);

        if (df_import_batch_row(import, set->fields, set->n,
                                df_import_sets_line(set, row))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    df_import_sets_clear(&import->sets, set);

    return NGX_OK;
}


/* what was escaped for COPY, in its place; returns what stands behind the tab
   or the end of the line */

static u_char *
df_import_batch_value(u_char *p, df_value_t *value)
{
    u_char  *dst;

    ngx_memzero(value, sizeof(df_value_t));

    value->text.data = p;
    value->null = (p[0] == '\\' && p[1] == 'N');

    for (dst = p; *p != '\t' && *p != LF; p++) {

        if (*p != '\\') {
            *dst++ = *p;
            continue;
        }

        switch (*++p) {
        case 't':
            *dst++ = '\t';
            break;
        case 'n':
            *dst++ = LF;
            break;
        case 'r':
            *dst++ = CR;
            break;
        default:
            *dst++ = *p;
        }
    }

    value->text.len = dst - value->text.data;

    return p + 1;
}


/* the first that waits */

ngx_int_t
df_import_batch_send(df_import_t *import)
{
    ngx_queue_t        *q;
    df_bulk_state_t    *state;
    df_import_batch_t  *batch;

    q = ngx_queue_head(&import->closed);
    ngx_queue_remove(q);
    import->nclosed--;

    batch = ngx_queue_data(q, df_import_batch_t, queue);
    import->sending = batch;

    state = &batch->state;
    state->base.run = import->run;
    state->request = &batch->request;
    state->bulk = batch->request.bulk;

    state->outcomes = ngx_pcalloc(batch->pool, batch->lines.nelts
                                               * sizeof(df_bulk_outcome_t));
    if (state->outcomes == NULL) {
        return NGX_ERROR;
    }

    return df_import_batch_range(import);
}


/* behind a savepoint, to which all goes back that is refused */

static ngx_int_t
df_import_batch_range(df_import_t *import)
{
    ngx_int_t            rc;
    ngx_uint_t           n;
    df_bulk_state_t     *state;
    df_pg_statement_t   *st;
    df_import_batch_t   *batch;
    df_bulk_record_t   **records;

    static const char *const  again[] = { "ROLLBACK TO SAVEPOINT df" };
    static const char *const  begin[] = { "SAVEPOINT df" };

    batch = import->sending;
    state = &batch->state;

    batch->range = batch->stack[--batch->nstack];

    records = state->bulk->records.elts;

    rc = df_bulk_compile(&batch->admitted, batch->pool,
                         &records[batch->range.from],
                         batch->range.to - batch->range.from,
                         &state->compiled, &import->run->problem);
    if (rc != NGX_OK) {
        return rc;
    }

    st = ngx_array_push(&state->compiled.statements);
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(st, sizeof(df_pg_statement_t));
    ngx_str_set(&st->text, "RELEASE SAVEPOINT df");
    st->unprepared = 1;

    if (df_bulk_statements(state, batch->pool, batch->failed ? again : begin,
                           1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    df_bulk_result_reset(state);

    n = state->first + state->compiled.statements.nelts;

    return df_import_continue(import, state->statements, n, DF_IMPORT_BATCH);
}


void
df_import_batch_result(df_import_t *import, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n)
{
    df_bulk_result(&import->sending->state, i, res, row, n);
}


/* NGX_OK, what waits can follow; NGX_DECLINED with the problem filled;
   NGX_ERROR */

ngx_int_t
df_import_batch_done(df_import_t *import, const df_pg_error_t *error)
{
    df_bulk_state_t    *state;
    df_import_batch_t  *batch;

    batch = import->sending;
    state = &batch->state;

    if (error->failure != DF_PG_OK) {
        batch->failed = 1;

        if (!df_bulk_is_data(error)
            || df_import_batch_split(batch) != NGX_OK)
        {
            df_import_batch_blame(import, error);
            return NGX_DECLINED;
        }

        return df_import_batch_range(import);
    }

    batch->failed = 0;

    if (state->base.broken) {
        return NGX_ERROR;
    }

    if (df_bulk_missing(state)) {
        return df_problem_set(&import->run->problem, DF_PROBLEM_CONFLICT,
                              "a trigger or a rule of the table left a row "
                              "out; nothing was stored");
    }

    import->counts.inserted += state->counts.inserted;
    import->counts.updated += state->counts.updated;

    if (batch->nstack) {
        return df_import_batch_range(import);
    }

    df_import_batch_destroy(batch);

    import->sending = NULL;
    import->state = DF_IMPORT_READY;

    return NGX_OK;
}


/* the first half comes first */

static ngx_int_t
df_import_batch_split(df_import_batch_t *batch)
{
    ngx_uint_t           half;
    df_import_range_t   *range;

    range = &batch->range;
    half = (range->to - range->from) / 2;

    if (half == 0) {
        return NGX_DECLINED;
    }

    batch->stack[batch->nstack].from = range->from + half;
    batch->stack[batch->nstack++].to = range->to;

    batch->stack[batch->nstack].from = range->from;
    batch->stack[batch->nstack++].to = range->from + half;

    return NGX_OK;
}


static void
df_import_batch_blame(df_import_t *import, const df_pg_error_t *error)
{
    ngx_uint_t          *line;
    df_import_batch_t   *batch;

    batch = import->sending;
    line = batch->lines.elts;

    df_import_refused(import, df_bulk_is_data(error)
                              ? line[batch->range.from] : 0, error);
}


void
df_import_batch_drop(df_import_t *import)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&import->closed)) {
        q = ngx_queue_head(&import->closed);
        ngx_queue_remove(q);

        df_import_batch_destroy(ngx_queue_data(q, df_import_batch_t, queue));
    }

    import->nclosed = 0;

    if (import->batch) {
        df_import_batch_destroy(import->batch);
        import->batch = NULL;
    }

    if (import->sending) {
        df_import_batch_destroy(import->sending);
        import->sending = NULL;
    }
}


static void
df_import_batch_destroy(df_import_batch_t *batch)
{
    ngx_destroy_pool(batch->pool);
}
