
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The results of a bulk's statements to what became of its records.
 */


#include <ngx_config.h>
#include "query/run_bulk.h"


/* encoded rows are written into pieces of this size, or of their own */
#define DF_BULK_ROOM  65536


static ngx_int_t df_bulk_result_rows(df_bulk_state_t *state,
    const df_bulk_part_t *part, const PGresult *res);
static ngx_int_t df_bulk_result_found(df_bulk_state_t *state,
    const df_bulk_part_t *part, const PGresult *res);
static ngx_uint_t df_bulk_result_ordinal(const df_bulk_part_t *part,
    const PGresult *res, ngx_uint_t row);
static void df_bulk_result_count(df_bulk_state_t *state,
    const df_bulk_part_t *part, ngx_uint_t inserted, ngx_uint_t n);
static ngx_int_t df_bulk_encode(df_bulk_state_t *state, const PGresult *res,
    ngx_uint_t row, ngx_str_t *text);


ngx_int_t
df_bulk_state_init(df_bulk_state_t *state, df_run_t *run)
{
    df_bulk_t            *bulk;
    const df_request_t   *r;

    r = run->admitted->request;
    bulk = r->bulk;

    ngx_memzero(state, sizeof(df_bulk_state_t));

    state->base.run = run;
    state->base.deadline = ngx_current_msec
                           + r->model->database->statement_timeout;
    state->request = r;
    state->bulk = bulk;

    state->outcomes = ngx_pcalloc(run->pool, (bulk->nrecords + 1)
                                             * sizeof(df_bulk_outcome_t));

    return state->outcomes ? NGX_OK : NGX_ERROR;
}


void
df_bulk_state_stop(df_bulk_state_t *state)
{
    if (state->base.job) {
        df_pg_abandon(state->base.job);
        state->base.job = NULL;
    }

    if (state->base.again.timer_set) {
        ngx_del_timer(&state->base.again);
    }

    if (state->base.again.posted) {
        ngx_delete_posted_event(&state->base.again);
    }
}


ngx_int_t
df_bulk_statements(df_bulk_state_t *state, ngx_pool_t *pool,
    const char *const *before, ngx_uint_t n)
{
    ngx_uint_t          i;
    ngx_array_t        *compiled;
    df_pg_statement_t  *st;

    compiled = &state->compiled.statements;

    st = ngx_pcalloc(pool, (n + compiled->nelts) * sizeof(df_pg_statement_t));
    if (st == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        st[i].text.data = (u_char *) before[i];
        st[i].text.len = ngx_strlen(before[i]);
        st[i].unprepared = 1;
    }

    ngx_memcpy(&st[n], compiled->elts,
               compiled->nelts * sizeof(df_pg_statement_t));

    state->statements = st;
    state->first = n;

    state->base.compiled = state->compiled.answer;
    state->base.compiled.lane = DF_PG_WRITE;

    return NGX_OK;
}


/* behind a pooler nothing is kept for a session: the timeout of a held job's
   transaction is its own */

ngx_uint_t
df_bulk_timeout(df_bulk_state_t *state, ngx_pool_t *pool, ngx_msec_t timeout,
    const char **before)
{
    ngx_str_t  sql;

    if (state->request->model->database->prepare) {
        return 0;
    }

    sql = df_str_printf(pool, "SELECT set_config('statement_timeout', '%M', "
                        "true)", timeout);

    *before = (const char *) sql.data;

    return 1;
}


void
df_bulk_result_reset(df_bulk_state_t *state)
{
    ngx_uint_t         i, k;
    df_bulk_part_t    *part;

    ngx_memzero(&state->counts, sizeof(df_bulk_counts_t));
    ngx_memzero(&state->rows, sizeof(df_writer_t));

    state->base.broken = 0;
    part = state->compiled.parts.elts;

    for (i = 0; i < state->compiled.parts.nelts; i++) {
        for (k = 0; k < part[i].nrecords; k++) {
            ngx_memzero(&state->outcomes[part[i].records[k]->index],
                        sizeof(df_bulk_outcome_t));
        }
    }
}


void
df_bulk_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n)
{
    df_bulk_state_t *state = data;

    ngx_int_t        rc;
    df_bulk_part_t  *part;

    if (i < state->first || i - state->first >= state->compiled.parts.nelts) {
        return;
    }

    part = (df_bulk_part_t *) state->compiled.parts.elts + i - state->first;

    if (!part->rows) {
        n = strtoul(PQcmdTuples(res), NULL, 10);
        df_bulk_result_count(state, part, 1, n);

        return;
    }

    rc = df_query_result_types(&state->base, res);

    if (rc == NGX_OK) {
        rc = part->records ? df_bulk_result_found(state, part, res)
                           : df_bulk_result_rows(state, part, res);
    }

    if (rc != NGX_OK) {
        state->base.broken = 1;
    }
}


/* rows of records: by their ordinals, or in the order of the records */

static ngx_int_t
df_bulk_result_found(df_bulk_state_t *state, const df_bulk_part_t *part,
    const PGresult *res)
{
    ngx_str_t           value;
    ngx_uint_t          row, n, k, inserted;
    df_bulk_outcome_t  *outcome;

    n = PQntuples(res);

    for (row = 0; row < n; row++) {
        k = (part->ordinal == -1) ? row
                                  : df_bulk_result_ordinal(part, res, row) - 1;

        if (k >= part->nrecords) {
            return NGX_ERROR;
        }

        inserted = (part->effect == DF_BULK_INSERTS);

        if (part->inserted != -1) {
            value = df_pg_value(res, row, part->inserted);
            inserted = (value.len == 1 && value.data[0]);
        }

        outcome = &state->outcomes[part->records[k]->index];
        outcome->found = 1;
        outcome->inserted = inserted;

        df_bulk_result_count(state, part, inserted, 1);

        if (state->bulk->returns
            && df_bulk_encode(state, res, row, &outcome->row) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
df_bulk_result_ordinal(const df_bulk_part_t *part, const PGresult *res,
    ngx_uint_t row)
{
    uint64_t    n;
    ngx_str_t   value;
    ngx_uint_t  i;

    value = df_pg_value(res, row, part->ordinal);

    for (n = 0, i = 0; i < value.len; i++) {
        n = n << 8 | value.data[i];
    }

    return (ngx_uint_t) n;
}


static void
df_bulk_result_count(df_bulk_state_t *state, const df_bulk_part_t *part,
    ngx_uint_t inserted, ngx_uint_t n)
{
    df_bulk_counts_t  *counts;

    counts = &state->counts;

    switch (part->effect) {

    case DF_BULK_INSERTS:
        counts->inserted += n;
        break;

    case DF_BULK_UPSERTS:
        *(inserted ? &counts->inserted : &counts->updated) += n;
        break;

    case DF_BULK_UPDATES:
        counts->updated += n;
        break;

    case DF_BULK_DELETES:
        counts->deleted += n;
        break;

    case DF_BULK_READS:
        break;
    }
}


ngx_uint_t
df_bulk_missing(df_bulk_state_t *state)
{
    ngx_uint_t          i, k, n;
    df_bulk_part_t     *part;
    df_bulk_outcome_t  *outcome;

    n = 0;
    part = state->compiled.parts.elts;

    for (i = 0; i < state->compiled.parts.nelts; i++) {
        for (k = 0; part[i].exact && k < part[i].nrecords; k++) {
            outcome = &state->outcomes[part[i].records[k]->index];

            outcome->missing = !outcome->found;
            n += outcome->missing;
        }
    }

    return n;
}


/* rows of a filter, the whole of which is done although one too many shows
   that not all of them are here */

static ngx_int_t
df_bulk_result_rows(df_bulk_state_t *state, const df_bulk_part_t *part,
    const PGresult *res)
{
    size_t        bound;
    ngx_uint_t    row, n;
    df_writer_t  *w;

    w = &state->rows;
    n = PQntuples(res);

    df_bulk_result_count(state, part, 0, n);

    if (df_writer_init_chained(w, state->base.run->pool, DF_BULK_ROOM)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = ngx_min(n, state->compiled.limit);

    for (row = 0; row < n; row++) {
        bound = df_query_encode_bound(&state->base.compiled, DF_FORMAT_JSON,
                                      res, row);

        if (df_writer_reserve(w, bound + 1) != NGX_OK) {
            return NGX_ERROR;
        }

        if (row) {
            *w->pos++ = ',';
        }

        w->pos = df_query_encode_row(w->pos, &state->base.compiled,
                                     DF_FORMAT_JSON, res, row);
    }

    return NGX_OK;
}


static ngx_int_t
df_bulk_encode(df_bulk_state_t *state, const PGresult *res, ngx_uint_t row,
    ngx_str_t *text)
{
    size_t   bound, size;
    u_char  *p;

    bound = df_query_encode_bound(&state->base.compiled, DF_FORMAT_JSON, res,
                                  row);

    if ((size_t) (state->room_end - state->room) < bound) {
        size = ngx_max(bound, DF_BULK_ROOM);

        state->room = ngx_pnalloc(state->base.run->pool, size);
        if (state->room == NULL) {
            state->room_end = NULL;
            return NGX_ERROR;
        }

        state->room_end = state->room + size;
    }

    p = df_query_encode_row(state->room, &state->base.compiled,
                            DF_FORMAT_JSON, res, row);

    text->data = state->room;
    text->len = p - state->room;

    state->room = p;

    return NGX_OK;
}
