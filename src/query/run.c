
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * run: an admitted request to the executor, once or, when it collides with
 * others, a few times; and the one end that a run has.
 */


#include <ngx_config.h>
#include "query/include.h"
#include "query/run_bulk.h"


/* writes that collide are tried so often, after a few milliseconds each */
#define DF_QUERY_TRIES      3
#define DF_QUERY_DELAY_MIN  5
#define DF_QUERY_DELAY_MAX  50


static ngx_int_t df_query_run_start(df_run_t *run);
static void df_query_run_resume(df_run_t *run);
static void df_query_run_abandon(df_run_t *run);
static ngx_int_t df_query_run_submit(df_query_state_t *state);
static void df_query_run_again(ngx_event_t *ev);


static const df_pg_callbacks_t  df_query_run_callbacks = {
    df_query_result,
    NULL,
    df_query_run_done
};


static const df_run_driver_t  df_query_run_driver = {
    df_query_run_start,
    df_query_run_resume,
    df_query_run_abandon
};


/* those that are not in here are one job of a few statements */

static const df_run_driver_t *const  df_query_drivers[DF_OPERATIONS] = {
    [DF_BULK_CREATE] = &df_bulk_run_driver,
    [DF_BULK_UPDATE] = &df_bulk_run_driver,
    [DF_BULK_UPSERT] = &df_bulk_run_driver,
    [DF_BULK_DELETE] = &df_bulk_run_driver
};


ngx_int_t
df_query_run(df_run_t *run)
{
    run->driver = df_query_drivers[run->admitted->request->op];

    if (run->input != DF_FORMAT_JSON) {
        run->driver = &df_import_driver;

    } else if (run->driver == NULL) {
        run->driver = &df_query_run_driver;
    }

    return run->driver->start(run);
}


void
df_query_resume(df_run_t *run)
{
    if (run->state != NULL) {
        run->driver->resume(run);
    }
}


void
df_query_abandon(df_run_t *run)
{
    if (run->state != NULL) {
        run->driver->abandon(run);
    }
}


static ngx_int_t
df_query_run_start(df_run_t *run)
{
    ngx_int_t            rc;
    ngx_uint_t           streamed;
    df_query_state_t    *state;
    const df_request_t  *r;

    r = run->admitted->request;

    rc = df_query_include_check(run);
    if (rc != NGX_OK) {
        return rc;
    }

    /* a page that is counted is answered whole: its count stands in it; and so
       is one with lists in its records, which are read before it */

    streamed = run->streamed && r->count == DF_COUNT_NONE && r->nlists == 0;

    state = ngx_pcalloc(run->pool, sizeof(df_query_state_t));
    if (state == NULL) {
        return NGX_ERROR;
    }

    state->run = run;
    state->deadline = ngx_current_msec
                      + r->model->database->statement_timeout;

    rc = df_query_compile(run->admitted, run->pool, streamed,
                          &state->compiled, &run->problem);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = df_query_run_submit(state);
    if (rc != NGX_OK) {
        return rc;
    }

    run->state = state;

    return NGX_OK;
}


static ngx_int_t
df_query_run_submit(df_query_state_t *state)
{
    df_run_t            *run;
    df_pg_spec_t         spec;
    df_pg_error_t        error;
    const df_request_t  *r;

    run = state->run;
    r = run->admitted->request;

    state->tries++;

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = state->compiled.statements;
    spec.nstatements = state->compiled.nstatements;
    spec.lane = state->compiled.lane;
    spec.callbacks = (spec.lane == DF_PG_STREAM) ? &df_query_stream_callbacks
                                                 : &df_query_run_callbacks;
    spec.data = state;

    state->job = df_pg_submit(r->model->database->pool, &spec, &error);

    if (state->job == NULL) {
        df_query_problem(r, &error, &run->problem);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
df_query_run_resume(df_run_t *run)
{
    df_query_state_t  *state;

    state = run->state;

    if (state->job != NULL) {
        df_pg_resume(state->job);
    }
}


static void
df_query_run_abandon(df_run_t *run)
{
    df_query_state_t  *state;

    state = run->state;
    run->state = NULL;

    if (state->gone != NULL) {
        *state->gone = 1;
    }

    if (state->job != NULL) {
        df_pg_abandon(state->job);
    }

    if (state->again.timer_set) {
        ngx_del_timer(&state->again);
    }
}


void
df_query_run_end(df_query_state_t *state)
{
    df_run_t  *run;

    run = state->run;
    run->state = NULL;

    run->done(run);
}


void
df_query_run_done(void *data, const df_pg_error_t *error)
{
    df_query_state_t  *state = data;

    df_run_t     *run;
    ngx_msec_t    delay;
    ngx_event_t  *ev;

    run = state->run;
    state->job = NULL;

    if (state->compiled.includes && df_query_include_again(state, error)) {
        return;
    }

    if (error->failure != DF_PG_OK) {

        delay = df_query_run_collided(state, error);

        if (delay) {
            ev = &state->again;

            ev->handler = df_query_run_again;
            ev->data = state;
            ev->log = run->log;

            ngx_add_timer(ev, delay);

            return;
        }

        df_query_problem(run->admitted->request, error, &run->problem);

    } else if (!state->broken) {
        df_query_result_finish(state);
    }

    if (state->broken && run->problem.code == DF_PROBLEM_NONE) {
        (void) df_problem_set(&run->problem, DF_PROBLEM_INTERNAL,
                              "the answer could not be made");
    }

    df_query_run_end(state);
}


/* 40001 and 40P01: nothing was done, and the next try most likely succeeds */

ngx_msec_t
df_query_run_collided(df_query_state_t *state, const df_pg_error_t *error)
{
    ngx_msec_t  delay;

    if (error->failure != DF_PG_SQL
        || state->compiled.lane != DF_PG_WRITE
        || state->tries == DF_QUERY_TRIES
        || (ngx_strcmp(error->sqlstate, "40001") != 0
            && ngx_strcmp(error->sqlstate, "40P01") != 0))
    {
        return 0;
    }

    delay = DF_QUERY_DELAY_MIN
            + ngx_random() % (DF_QUERY_DELAY_MAX - DF_QUERY_DELAY_MIN + 1);

    if ((ngx_msec_int_t) (state->deadline - ngx_current_msec)
        <= (ngx_msec_int_t) delay)
    {
        return 0;
    }

    return delay;
}


static void
df_query_run_again(ngx_event_t *ev)
{
    df_query_state_t  *state = ev->data;

    state->broken = 0;
    state->checks = NULL;
    ngx_memzero(&state->out, sizeof(df_writer_t));

    if (df_query_run_submit(state) != NGX_OK) {
        df_query_run_end(state);
    }
}
