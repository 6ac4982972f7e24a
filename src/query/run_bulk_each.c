
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A bulk of records that are each for themselves.  As many as possible are
 * written together; when PostgreSQL refuses them, either half is tried by
 * itself, down to the one that is to blame.  All parts run on one connection,
 * one after the other, each a transaction; a dry run is a single one with
 * savepoints.
 */


#include <ngx_config.h>
#include "query/run_bulk.h"


/* halves of halves of all records, two of each size at most */
#define DF_BULK_STACK  64

/* of a range, whose connection was lost */
#define DF_BULK_TRIES  8


typedef struct {
    ngx_uint_t            from;         /* in bulk->records */
    ngx_uint_t            to;           /* behind the last */
} df_bulk_range_t;

typedef struct {
    df_bulk_state_t       bulk;
    ngx_pool_t           *pool;         /* of the range under way */
    df_bulk_range_t       range;
    df_bulk_range_t       stack[DF_BULK_STACK];
    ngx_uint_t            nstack;
    df_bulk_counts_t      total;
    unsigned              open:1;       /* the transaction of a dry run */
    unsigned              failed:1;     /* what was open has to be undone */
    unsigned              committing:1;
    unsigned              done:1;       /* something was done */
    unsigned              broken:1;     /* and cannot be told */
} df_bulk_each_t;


static ngx_int_t df_bulk_each_start(df_run_t *run);
static void df_bulk_each_resume(df_run_t *run);
static void df_bulk_each_abandon(df_run_t *run);
static void df_bulk_each_post(df_bulk_each_t *each);
static void df_bulk_each_next(ngx_event_t *ev);
static ngx_int_t df_bulk_each_compile(df_bulk_each_t *each);
static ngx_uint_t df_bulk_each_before(df_bulk_each_t *each,
    ngx_msec_t timeout, const char **before);
static void df_bulk_each_again(ngx_event_t *ev);
static void df_bulk_each_send(df_bulk_each_t *each);
static ngx_int_t df_bulk_each_submit(df_bulk_each_t *each,
    ngx_msec_t timeout, df_pg_error_t *error);
static void df_bulk_each_done(void *data, const df_pg_error_t *error);
static void df_bulk_each_well(df_bulk_each_t *each);
static void df_bulk_each_refused(df_bulk_each_t *each,
    const df_pg_error_t *error);
static ngx_int_t df_bulk_each_split(df_bulk_each_t *each);
static void df_bulk_each_blame(df_bulk_each_t *each,
    const df_pg_error_t *error);
static void df_bulk_each_rest(df_bulk_each_t *each,
    const df_pg_error_t *error);
static df_problem_t *df_bulk_each_problem(df_bulk_each_t *each);
static void df_bulk_each_mark(df_bulk_each_t *each,
    const df_bulk_range_t *range, df_problem_t *problem);
static void df_bulk_each_end(df_bulk_each_t *each);
static void df_bulk_each_free(df_bulk_each_t *each);


static const df_pg_callbacks_t  df_bulk_each_callbacks = {
    df_bulk_result,
    NULL,
    df_bulk_each_done
};


const df_run_driver_t  df_bulk_each_driver = {
    df_bulk_each_start,
    df_bulk_each_resume,
    df_bulk_each_abandon
};


static ngx_int_t
df_bulk_each_start(df_run_t *run)
{
    ngx_uint_t           i;
    df_bulk_t           *bulk;
    df_bulk_each_t      *each;
    df_bulk_refused_t   *refused;

    bulk = run->admitted->request->bulk;

    each = ngx_pcalloc(run->pool, sizeof(df_bulk_each_t));

    if (each == NULL || df_bulk_state_init(&each->bulk, run) != NGX_OK) {
        return NGX_ERROR;
    }

    refused = bulk->refused.elts;

    for (i = 0; i < bulk->refused.nelts; i++) {
        each->bulk.outcomes[refused[i].index].problem = &refused[i].problem;
    }

    if (bulk->records.nelts) {
        each->stack[each->nstack++].to = bulk->records.nelts;
    }

    run->state = each;

    df_bulk_each_post(each);

    return NGX_OK;
}


/* nothing is streamed */

static void
df_bulk_each_resume(df_run_t *run)
{
    /* void */
}


static void
df_bulk_each_abandon(df_run_t *run)
{
    df_bulk_each_t  *each;

    each = run->state;
    run->state = NULL;

    df_bulk_state_stop(&each->bulk);
    df_bulk_each_free(each);
}


/* the next range, in a turn of its own: the depth of calls has a bound */

static void
df_bulk_each_post(df_bulk_each_t *each)
{
    ngx_event_t  *ev;

    ev = &each->bulk.base.again;

    ev->handler = df_bulk_each_next;
    ev->data = each;
    ev->log = each->bulk.base.run->log;

    ngx_post_event(ev, &ngx_posted_events);
}


static void
df_bulk_each_next(ngx_event_t *ev)
{
    df_bulk_each_t *each = ev->data;

    ngx_int_t      rc;
    df_pg_error_t  error;

    if (each->nstack == 0) {
        df_bulk_each_end(each);
        return;
    }

    each->range = each->stack[--each->nstack];
    each->bulk.base.tries = 0;

    if ((ngx_msec_int_t) (each->bulk.base.deadline - ngx_current_msec) <= 0) {
        rc = df_problem_set(&each->bulk.base.run->problem,
                            DF_PROBLEM_STATEMENT_TIMEOUT,
                            "there was no time left; nothing was done");

    } else {
        rc = df_bulk_each_compile(each);
    }

    if (rc == NGX_OK) {
        df_bulk_each_send(each);
        return;
    }

    ngx_memzero(&error, sizeof(df_pg_error_t));
    error.failure = (rc == NGX_ERROR) ? DF_PG_NO_MEMORY : DF_PG_OK;

    df_bulk_each_rest(each, &error);
}


/* NGX_DECLINED: the run's problem is filled */

static ngx_int_t
df_bulk_each_compile(df_bulk_each_t *each)
{
    df_run_t            *run;
    df_bulk_state_t     *state;
    df_bulk_range_t     *range;
    df_bulk_record_t   **records;

    state = &each->bulk;
    range = &each->range;
    run = state->base.run;

    df_bulk_each_free(each);

    each->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, run->log);
    if (each->pool == NULL) {
        return NGX_ERROR;
    }

    records = state->bulk->records.elts;

    return df_bulk_compile(run->admitted, each->pool, &records[range->from],
                           range->to - range->from, &state->compiled,
                           &run->problem);
}


/* a range that is tried again has another beginning */

static ngx_uint_t
df_bulk_each_before(df_bulk_each_t *each, ngx_msec_t timeout,
    const char **before)
{
    ngx_uint_t  n;

    n = 0;

    if (each->bulk.request->dry_run) {
        before[n++] = !each->open ? "BEGIN"
                      : each->failed ? "ROLLBACK TO SAVEPOINT df"
                                     : "RELEASE SAVEPOINT df";
        before[n++] = "SAVEPOINT df";

    } else {
        if (each->failed) {
            before[n++] = "ROLLBACK";
        }

        if (each->bulk.compiled.checked) {
            before[n++] = "BEGIN";
        }
    }

    return n + df_bulk_timeout(&each->bulk, each->pool, timeout, &before[n]);
}


static void
df_bulk_each_again(ngx_event_t *ev)
{
    df_bulk_each_send(ev->data);
}


/* connections may be lost again and again */

static void
df_bulk_each_send(df_bulk_each_t *each)
{
    ngx_uint_t         n;
    ngx_msec_t         timeout;
    const char        *before[3];
    df_pg_error_t      error;
    df_bulk_state_t   *state;

    state = &each->bulk;

    ngx_memzero(&error, sizeof(df_pg_error_t));

    if (state->base.tries++ == DF_BULK_TRIES) {
        error.failure = DF_PG_DOWN;
        df_bulk_each_rest(each, &error);
        return;
    }

    timeout = state->base.deadline - ngx_current_msec;

    if ((ngx_msec_int_t) timeout <= 0) {
        timeout = 1;
    }

    n = df_bulk_each_before(each, timeout, before);

    error.failure = DF_PG_NO_MEMORY;

    if (df_bulk_statements(state, each->pool, before, n) != NGX_OK
        || df_bulk_each_submit(each, timeout, &error) != NGX_OK)
    {
        df_bulk_each_rest(each, &error);
    }
}


static ngx_int_t
df_bulk_each_submit(df_bulk_each_t *each, ngx_msec_t timeout,
    df_pg_error_t *error)
{
    ngx_uint_t        n;
    df_pg_spec_t      spec;
    df_bulk_state_t  *state;

    state = &each->bulk;

    df_bulk_result_reset(state);

    n = state->first + state->compiled.statements.nelts;

    if (state->base.job) {
        if (df_pg_continue(state->base.job, state->statements, n, timeout)
            == NGX_OK)
        {
            return NGX_OK;
        }

        state->base.job = NULL;
    }

    /* what a lost connection has taken with it */

    if (each->open) {
        error->failure = DF_PG_DOWN;
        return NGX_DECLINED;
    }

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = state->statements;
    spec.nstatements = n;
    spec.lane = DF_PG_WRITE;
    spec.timeout = timeout;
    spec.hold = 1;
    spec.callbacks = &df_bulk_each_callbacks;
    spec.data = each;

    state->base.job = df_pg_submit(state->request->model->database->pool,
                                   &spec, error);

    return state->base.job ? NGX_OK : NGX_DECLINED;
}


static void
df_bulk_each_done(void *data, const df_pg_error_t *error)
{
    df_bulk_each_t *each = data;

    if (error->failure == DF_PG_OK) {
        df_bulk_each_well(each);
        return;
    }

    if (error->sqlstate[0] == '\0') {
        each->bulk.base.job = NULL;
    }

    df_bulk_each_refused(each, error);
}


/* rows that are missing fail an insert, which a trigger has left out, and then
   nobody knows which; any other record is told that it is not there */

static void
df_bulk_each_well(df_bulk_each_t *each)
{
    ngx_uint_t           i;
    df_bulk_t           *bulk;
    df_bulk_state_t     *state;
    df_bulk_record_t   **record;
    df_bulk_outcome_t   *outcome;

    state = &each->bulk;
    bulk = state->bulk;

    each->failed = 0;
    each->open = state->request->dry_run;

    if (!each->committing) {

        if (df_bulk_missing(state)) {
            each->failed = (each->open || state->compiled.checked);
            df_bulk_each_blame(each, NULL);
            return;
        }

        if (state->compiled.checked && !each->open) {
            each->committing = 1;

            if (df_pg_continue(state->base.job, &df_bulk_commit, 1, 0)
                != NGX_OK)
            {
                each->committing = 0;
                state->base.job = NULL;
                df_bulk_each_send(each);
            }

            return;
        }
    }

    each->committing = 0;
    each->done = 1;
    each->broken |= state->base.broken;

    record = bulk->records.elts;

    for (i = each->range.from; i < each->range.to; i++) {
        outcome = &state->outcomes[record[i]->index];

        if (!outcome->found) {
            outcome->problem = df_bulk_each_problem(each);

            if (outcome->problem) {
                df_bulk_missing_problem(state, record[i], outcome->problem);
            }
        }
    }

    each->total.inserted += state->counts.inserted;
    each->total.updated += state->counts.updated;
    each->total.deleted += state->counts.deleted;

    df_bulk_each_post(each);
}


static void
df_bulk_each_refused(df_bulk_each_t *each, const df_pg_error_t *error)
{
    ngx_msec_t         delay;
    ngx_event_t       *ev;
    df_problem_t      *problem;
    df_bulk_state_t   *state;

    state = &each->bulk;

    each->failed = (state->base.job != NULL
                    && (each->open || state->request->dry_run
                        || (state->compiled.checked && !each->committing)));
    each->open = each->failed && state->request->dry_run;

    delay = df_query_run_collided(&state->base, error);

    if (delay) {
        each->committing = 0;

        ev = &state->base.again;

        ev->handler = df_bulk_each_again;
        ev->data = each;
        ev->log = state->base.run->log;

        ngx_add_timer(ev, delay);

        return;
    }

    if (df_bulk_is_data(error)) {
        each->committing = 0;
        df_bulk_each_blame(each, error);
        return;
    }

    /* other ranges are not concerned */

    if (error->failure == DF_PG_OUTCOME_UNKNOWN && !state->request->dry_run
        && (!state->compiled.checked || each->committing))
    {
        each->committing = 0;
        each->done = 1;

        problem = df_bulk_each_problem(each);

        if (problem) {
            df_query_problem(state->request, error, problem);
        }

        df_bulk_each_mark(each, &each->range, problem);
        df_bulk_each_post(each);

        return;
    }

    df_bulk_each_rest(each, error);
}


/* error: NULL when rows are missing */

static void
df_bulk_each_blame(df_bulk_each_t *each, const df_pg_error_t *error)
{
    df_problem_t        *problem;
    df_bulk_state_t     *state;
    df_bulk_record_t   **record;

    state = &each->bulk;
    record = state->bulk->records.elts;

    if (df_bulk_each_split(each) != NGX_OK) {
        problem = df_bulk_each_problem(each);

        if (problem && error) {
            df_query_problem_part(state->request, error,
                                  df_bulk_failed(state, error), problem);

        } else if (problem) {
            df_bulk_missing_problem(state, record[each->range.from], problem);
        }

        df_bulk_each_mark(each, &each->range, problem);
    }

    df_bulk_each_post(each);
}


/* the first half comes first */

static ngx_int_t
df_bulk_each_split(df_bulk_each_t *each)
{
    ngx_uint_t        half;
    df_bulk_range_t  *range;

    range = &each->range;
    half = (range->to - range->from) / 2;

    if (half == 0) {
        return NGX_DECLINED;
    }

    each->stack[each->nstack].from = range->from + half;
    each->stack[each->nstack++].to = range->to;

    each->stack[each->nstack].from = range->from;
    each->stack[each->nstack++].to = range->from + half;

    return NGX_OK;
}


/* nothing more can be done: the problem of all when nothing was done, which of
   a dry run is so in any case, else of those that are left */

static void
df_bulk_each_rest(df_bulk_each_t *each, const df_pg_error_t *error)
{
    df_pg_error_t      undone;
    df_problem_t      *problem;
    df_bulk_state_t   *state;

    state = &each->bulk;
    problem = &state->base.run->problem;

    undone = *error;

    if (error->failure == DF_PG_OUTCOME_UNKNOWN) {
        undone.failure = DF_PG_DOWN;
    }

    if (error->failure != DF_PG_OK) {
        df_query_problem(state->request, &undone, problem);
    }

    if (!each->done || (state->request->dry_run && state->base.job == NULL)) {
        df_bulk_each_end(each);
        return;
    }

    problem = df_bulk_each_problem(each);

    if (problem) {
        *problem = state->base.run->problem;
    }

    state->base.run->problem.code = DF_PROBLEM_NONE;

    df_bulk_each_mark(each, &each->range, problem);

    while (each->nstack) {
        df_bulk_each_mark(each, &each->stack[--each->nstack], problem);
    }

    df_bulk_each_end(each);
}


static df_problem_t *
df_bulk_each_problem(df_bulk_each_t *each)
{
    ngx_pool_t    *pool;
    df_problem_t  *problem;

    pool = each->bulk.base.run->pool;
    problem = ngx_palloc(pool, sizeof(df_problem_t));

    if (problem == NULL || df_problem_init(problem, pool) != NGX_OK) {
        each->broken = 1;
        return NULL;
    }

    return problem;
}


static void
df_bulk_each_mark(df_bulk_each_t *each, const df_bulk_range_t *range,
    df_problem_t *problem)
{
    ngx_uint_t           i;
    df_bulk_outcome_t   *outcome;
    df_bulk_record_t   **record;

    record = each->bulk.bulk->records.elts;

    for (i = range->from; i < range->to; i++) {
        outcome = &each->bulk.outcomes[record[i]->index];

        ngx_memzero(outcome, sizeof(df_bulk_outcome_t));
        outcome->problem = problem;
    }
}


static void
df_bulk_each_end(df_bulk_each_t *each)
{
    df_run_t         *run;
    df_bulk_state_t  *state;

    state = &each->bulk;
    run = state->base.run;

    if (state->base.job) {
        df_pg_release(state->base.job);
        state->base.job = NULL;
    }

    if (run->problem.code == DF_PROBLEM_NONE
        && (each->broken || df_bulk_answer(state, &each->total) != NGX_OK))
    {
        (void) df_problem_set(&run->problem, DF_PROBLEM_INTERNAL,
                              "the answer could not be made");
    }

    df_bulk_each_free(each);
    df_query_run_end(&state->base);
}


static void
df_bulk_each_free(df_bulk_each_t *each)
{
    if (each->pool) {
        ngx_destroy_pool(each->pool);
        each->pool = NULL;
    }
}
