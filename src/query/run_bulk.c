
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A bulk as a whole or not at all.  Its statements are sent with one flush and
 * are one transaction by themselves; when their results decide whether it may
 * be done, they stand behind BEGIN, and COMMIT follows.
 */


#include <ngx_config.h>
#include "query/run_bulk.h"


static ngx_int_t df_bulk_run_start(df_run_t *run);
static void df_bulk_run_resume(df_run_t *run);
static void df_bulk_run_abandon(df_run_t *run);
static ngx_int_t df_bulk_run_submit(df_bulk_state_t *state);
static void df_bulk_run_done(void *data, const df_pg_error_t *error);
static void df_bulk_run_failed(df_bulk_state_t *state,
    const df_pg_error_t *error);
static void df_bulk_run_verdict(df_bulk_state_t *state);
static void df_bulk_run_end(df_bulk_state_t *state);
static void df_bulk_run_again(ngx_event_t *ev);
static void df_bulk_run_empty(ngx_event_t *ev);


static const df_pg_callbacks_t  df_bulk_run_callbacks = {
    df_bulk_result,
    NULL,
    df_bulk_run_done
};


const df_run_driver_t  df_bulk_run_driver = {
    df_bulk_run_start,
    df_bulk_run_resume,
    df_bulk_run_abandon
};


const df_pg_statement_t  df_bulk_commit = {
    .text = ngx_string("COMMIT"), .unprepared = 1
};


/* a state of this driver */

typedef struct {
    df_bulk_state_t   bulk;
    unsigned          hold:1;
    unsigned          committing:1;
} df_bulk_whole_t;


static ngx_int_t
df_bulk_run_start(df_run_t *run)
{
    ngx_int_t             rc;
    ngx_uint_t            n;
    df_bulk_t            *bulk;
    const char           *before[2];
    df_bulk_whole_t      *whole;
    df_bulk_state_t      *state;

    bulk = run->admitted->request->bulk;

    if (bulk->each) {
        run->driver = &df_bulk_each_driver;
        return run->driver->start(run);
    }

    whole = ngx_pcalloc(run->pool, sizeof(df_bulk_whole_t));
    if (whole == NULL) {
        return NGX_ERROR;
    }

    state = &whole->bulk;

    if (df_bulk_state_init(state, run) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_bulk_compile(run->admitted, run->pool, bulk->records.elts,
                         bulk->records.nelts, &state->compiled,
                         &run->problem);
    if (rc != NGX_OK) {
        return rc;
    }

    whole->hold = (state->compiled.checked || state->request->dry_run)
                  && state->compiled.statements.nelts;

    n = 0;

    if (whole->hold) {
        before[n++] = "BEGIN";
        n += df_bulk_timeout(state, run->pool, state->request->model
                                               ->database->statement_timeout,
                             &before[n]);
    }

    if (df_bulk_statements(state, run->pool, before, n) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_bulk_run_submit(state);

    if (rc == NGX_OK) {
        run->state = state;
    }

    return rc;
}


static ngx_int_t
df_bulk_run_submit(df_bulk_state_t *state)
{
    ngx_event_t      *ev;
    df_pg_spec_t      spec;
    df_pg_error_t     error;
    df_bulk_whole_t  *whole;

    whole = (df_bulk_whole_t *) state;

    /* without records the answer is known, but not to be given from here */

    if (state->compiled.statements.nelts == 0) {
        ev = &state->base.again;

        ev->handler = df_bulk_run_empty;
        ev->data = state;
        ev->log = state->base.run->log;

        ngx_post_event(ev, &ngx_posted_events);

        return NGX_OK;
    }

    state->base.tries++;

    df_bulk_result_reset(state);
    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = state->statements;
    spec.nstatements = state->first + state->compiled.statements.nelts;
    spec.lane = DF_PG_WRITE;
    spec.hold = whole->hold;
    spec.callbacks = &df_bulk_run_callbacks;
    spec.data = state;

    state->base.job = df_pg_submit(state->request->model->database->pool,
                                   &spec, &error);

    if (state->base.job == NULL) {
        df_query_problem(state->request, &error, &state->base.run->problem);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* nothing is streamed */

static void
df_bulk_run_resume(df_run_t *run)
{
    /* void */
}


static void
df_bulk_run_abandon(df_run_t *run)
{
    df_bulk_state_t  *state;

    state = run->state;
    run->state = NULL;

    df_bulk_state_stop(state);
}


static void
df_bulk_run_done(void *data, const df_pg_error_t *error)
{
    df_bulk_state_t *state = data;

    df_run_t         *run;
    df_bulk_whole_t  *whole;

    whole = data;
    run = state->base.run;

    if (!whole->hold
        || (error->failure != DF_PG_OK && error->sqlstate[0] == '\0'))
    {
        state->base.job = NULL;
    }

    if (error->failure != DF_PG_OK) {
        df_bulk_run_failed(state, error);
        return;
    }

    if (whole->committing) {
        df_bulk_run_end(state);
        return;
    }

    if (whole->hold) {
        df_bulk_run_verdict(state);
    }

    /* the open transaction of a job that is released is rolled back */

    if (!whole->hold || state->request->dry_run || state->base.broken
        || run->problem.code != DF_PROBLEM_NONE)
    {
        df_bulk_run_end(state);
        return;
    }

    whole->committing = 1;

    if (df_pg_continue(state->base.job, &df_bulk_commit, 1, 0) != NGX_OK) {
        state->base.job = NULL;
        df_bulk_undone(state, &run->problem);
        df_bulk_run_end(state);
    }
}


static void
df_bulk_run_failed(df_bulk_state_t *state, const df_pg_error_t *error)
{
    ngx_msec_t        delay;
    ngx_event_t      *ev;
    df_bulk_whole_t  *whole;

    whole = (df_bulk_whole_t *) state;

    delay = df_query_run_collided(&state->base, error);

    if (delay) {
        if (state->base.job) {
            df_pg_release(state->base.job);
            state->base.job = NULL;
        }

        whole->committing = 0;

        ev = &state->base.again;

        ev->handler = df_bulk_run_again;
        ev->data = state;
        ev->log = state->base.run->log;

        ngx_add_timer(ev, delay);

        return;
    }

    /* before COMMIT is sent nothing is done, whatever became of it */

    if (error->failure == DF_PG_OUTCOME_UNKNOWN
        && whole->hold && !whole->committing)
    {
        df_bulk_undone(state, &state->base.run->problem);

    } else {
        df_query_problem_part(state->request, error,
                              df_bulk_failed(state, error),
                              &state->base.run->problem);
    }

    df_bulk_run_end(state);
}


static void
df_bulk_run_again(ngx_event_t *ev)
{
    df_bulk_state_t *state = ev->data;

    if (df_bulk_run_submit(state) != NGX_OK) {
        df_query_run_end(&state->base);
    }
}


static void
df_bulk_run_empty(ngx_event_t *ev)
{
    df_bulk_run_end(ev->data);
}


/* whether what was done may be committed */

static void
df_bulk_run_verdict(df_bulk_state_t *state)
{
    df_run_t           *run;
    ngx_uint_t          i, n;
    df_bulk_t          *bulk;
    df_bulk_record_t  **record;

    run = state->base.run;
    bulk = state->bulk;
    n = df_bulk_affected(&state->counts);

    if (bulk->has_max && n > bulk->max_affected) {
        (void) df_bulk_too_many(bulk, n, &run->problem);
        return;
    }

    if (state->compiled.limit && n > state->compiled.limit) {
        run->problem.status = 422;

        (void) df_problem_set(&run->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                              "these are more than %ui records, and no more "
                              "can be answered; nothing was done: ask without "
                              "\"return\"", state->compiled.limit);
        return;
    }

    if (df_bulk_missing(state) == 0) {
        return;
    }

    record = bulk->records.elts;

    for (i = 0; i < bulk->records.nelts; i++) {
        if (state->outcomes[record[i]->index].missing) {
            df_bulk_missing_problem(state, record[i], &run->problem);
        }
    }
}


static void
df_bulk_run_end(df_bulk_state_t *state)
{
    df_run_t  *run;

    run = state->base.run;

    if (state->base.job) {
        df_pg_release(state->base.job);
        state->base.job = NULL;
    }

    if (run->problem.code == DF_PROBLEM_NONE
        && (state->base.broken
            || df_bulk_answer(state, &state->counts) != NGX_OK))
    {
        (void) df_problem_set(&run->problem, DF_PROBLEM_INTERNAL,
                              "the answer could not be made");
    }

    df_query_run_end(&state->base);
}
