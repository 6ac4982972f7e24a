
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What happens to jobs when their connection stalls, takes too long or is
 * lost, and how a statement is cancelled.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


static df_pg_job_t *df_pg_conn_slow(df_pg_conn_t *conn, uint64_t *quiet,
    uint64_t *usual);
static void df_pg_conn_take_back(df_pg_conn_t *conn, df_pg_job_t *but);
static void df_pg_conn_lost_job(df_pg_pool_t *pool, df_pg_job_t *job);
static void df_pg_conn_cancelled(void *data, const df_pg_error_t *error);
static void df_pg_conn_cancel_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n);


/*
 * No result since the last tick.  The server keeps results back until a
 * segment ends, so each job of the first segment may be the slow one: if there
 * are several, they are sent again one by one, and what they still do here is
 * cancelled.  A job that is alone in its segment is the slow one and goes on,
 * and only what waits behind it is sent again.  These are all reads, and what
 * comes back for them here is drained.
 */

void
df_pg_conn_stall(df_pg_conn_t *conn)
{
    uint64_t      quiet, usual;
    df_pg_job_t  *slow;

    if (conn->progress != conn->seen) {
        conn->seen = conn->progress;
        conn->stalled = (conn->canceller != NULL);
        df_pg_conn_tick(conn, DF_PG_STALL);
        return;
    }

    slow = df_pg_conn_slow(conn, &quiet, &usual);

    if (quiet > (uint64_t) (conn->pool->database->statement_timeout
                            + DF_PG_GRACE) * 1000)
    {
        df_pg_conn_lost(conn, "no answer in time");
        return;
    }

    df_pg_conn_tick(conn, DF_PG_STALL);

    if (!conn->stalled) {

        if (quiet < usual * DF_PG_STALL_TIMES) {
            return;
        }

        conn->stalled = 1;

        if (slow && slow->shape) {
            slow->shape->slow = 1;
            slow->shape->usec = ngx_max(slow->shape->usec, DF_PG_SLOW);
        }

        df_pg_conn_take_back(conn, slow);

        /* those who wait for its next segment too */

        df_pg_pool_wake(conn->pool);
    }

    /* its owner may have left since */

    if (slow == NULL || slow->orphan) {
        df_pg_conn_cancel(conn);
    }
}


/*
 * The slow job, if it is known: the only one of the first segment, or one that
 * a part of the answer has come for.  Since when there was no result, and how
 * long what is expected takes as a rule, in microseconds.
 */

static df_pg_job_t *
df_pg_conn_slow(df_pg_conn_t *conn, uint64_t *quiet, uint64_t *usual)
{
    ngx_uint_t       i, n, syncs;
    df_pg_job_t     *job, *head;
    df_pg_expect_t  *e;

    head = NULL;
    job = NULL;
    n = 0;
    syncs = 0;
    *usual = 0;

    for (i = conn->expect_head; i != conn->expect_tail; i++) {
        e = &conn->expect[i & (conn->expect_size - 1)];

        if (e->kind == DF_PG_EXPECT_SYNC) {
            syncs++;
        }

        if (e->job == NULL || e->job == job) {
            continue;
        }

        job = e->job;
        *usual += job->shape ? job->shape->usec : 0;

        if (head == NULL) {
            head = job;
            syncs = 0;
        }

        n += (syncs == 0);
    }

    *quiet = df_pg_now() - (head ? ngx_max(conn->last, head->sent)
                                 : conn->last);

    return (n == 1 || (head && head->answered)) ? head : NULL;
}


/* all jobs but one, and those that cannot be sent again, to the queue */

static void
df_pg_conn_take_back(df_pg_conn_t *conn, df_pg_job_t *but)
{
    ngx_uint_t       i;
    ngx_queue_t      jobs;
    df_pg_job_t     *job;
    df_pg_expect_t  *e;

    ngx_queue_init(&jobs);
    job = NULL;

    for (i = conn->expect_head; i != conn->expect_tail; i++) {
        e = &conn->expect[i & (conn->expect_size - 1)];

        if (e->job == NULL || e->job == but || e->job->orphan
            || e->job->answered)
        {
            continue;
        }

        if (e->job != job) {
            job = e->job;
            ngx_queue_remove(&job->queue);
            ngx_queue_insert_tail(&jobs, &job->queue);
            conn->njobs--;
        }

        e->job = NULL;
    }

    while (!ngx_queue_empty(&jobs)) {
        job = ngx_queue_data(ngx_queue_last(&jobs), df_pg_job_t, queue);
        ngx_queue_remove(&job->queue);

        job->conn = NULL;
        job->alone = 1;

        df_pg_count(conn->pool, resent);
        df_pg_pool_queue(conn->pool, job, 1);
    }
}


/* the job's time is over: it is cancelled first, then given up with its
   connection */

void
df_pg_conn_overdue(df_pg_conn_t *conn)
{
    df_pg_job_t  *job;

    job = conn->owner;

    if (job && job->state == DF_PG_JOB_HELD) {
        return;
    }

    if (job && job->copying && !job->cancelled && df_pg_copy_progressed(conn))
    {
        df_pg_conn_tick(conn, job->timeout + DF_PG_GRACE);
        return;
    }

    if (job && !job->cancelled) {
        df_pg_conn_cancel(conn);
        return;
    }

    df_pg_conn_lost(conn, "no answer in time");
}


/*
 * A statement is cancelled with pg_cancel_backend() through another of the
 * pool's connections: PQcancel() blocks, and only libpq 17 has another way.
 * A pooler hides whose backend it is; closing the connection does it there.
 */

static const df_pg_statement_t  df_pg_cancel_statement = {
    ngx_string("SELECT pg_cancel_backend($1::int4)"),
    1, NULL, NULL, NULL, 0, 0, 0, 0
};

static const df_pg_callbacks_t  df_pg_cancel_callbacks = {
    df_pg_conn_cancel_result,
    NULL,
    df_pg_conn_cancelled
};


void
df_pg_conn_cancel(df_pg_conn_t *conn)
{
    df_pg_spec_t   spec;
    df_pg_error_t  error;

    if (conn->owner) {
        conn->owner->cancelled = 1;

        /* a stream that was paused has to be drained now */

        df_pg_resume(conn->owner);
    }

    if (conn->canceller || conn->broken) {
        return;
    }

    if (!conn->pool->database->prepare) {
        df_pg_conn_break(conn);
        return;
    }

    conn->cancel = df_pg_cancel_statement;
    conn->cancel_value = conn->pid;
    conn->cancel.values = &conn->cancel_value;

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = &conn->cancel;
    spec.nstatements = 1;
    spec.lane = DF_PG_READ;
    spec.callbacks = &df_pg_cancel_callbacks;
    spec.data = conn;

    df_pg_count(conn->pool, cancelled);

    conn->canceller = df_pg_submit_ahead(conn->pool, &spec, &error);

    if (conn->canceller == NULL) {
        df_pg_conn_break(conn);
        return;
    }

    df_pg_conn_tick(conn, 2 * DF_PG_GRACE);
}


static void
df_pg_conn_cancel_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n)
{
    /* whether it was in time shows on the cancelled connection */
}


static void
df_pg_conn_cancelled(void *data, const df_pg_error_t *error)
{
    df_pg_conn_t *conn = data;

    conn->canceller = NULL;

    if (error->failure != DF_PG_OK) {
        df_pg_conn_break(conn);
        return;
    }

    df_pg_pool_give_back(conn);
}


/* why is NULL when an idle connection is only closed */

void
df_pg_conn_lost(df_pg_conn_t *conn, const char *why)
{
    ngx_queue_t    jobs, *q;
    df_pg_job_t   *job, *owner;
    df_pg_pool_t  *pool;

    pool = conn->pool;
    owner = conn->owner;

    if (owner && owner->state == DF_PG_JOB_HELD) {
        owner->conn = NULL;
    }

    if (why) {
        df_pg_count(pool, lost);
        ngx_log_error(NGX_LOG_WARN, pool->log, 0,
                      "dataflow: database \"%V\": a connection was lost: %s",
                      &pool->database->name, why);
    }

    /* before its jobs are sent again, or their owners do anything, the lost
       one must be out of reach */

    ngx_queue_init(&jobs);
    ngx_queue_add(&jobs, &conn->jobs);

    for (q = ngx_queue_head(&jobs); q != ngx_queue_sentinel(&jobs);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, df_pg_job_t, queue);
        job->aborted = conn->terminated;
        job->conn = NULL;
    }

    df_pg_pool_remove(conn);

    if (why && pool->nidle + pool->nshared + pool->nown == 0) {
        pool->lost = !ngx_exiting;
    }

    df_pg_conn_close(conn);

    while (!ngx_queue_empty(&jobs)) {
        job = ngx_queue_data(ngx_queue_last(&jobs), df_pg_job_t, queue);
        ngx_queue_remove(&job->queue);
        df_pg_conn_lost_job(pool, job);
    }

    df_pg_pool_wake(pool);
}


/*
 * A read that has told nothing yet is sent again, and so is a write whose
 * backend was terminated before its first result, which comes before anything
 * is committed.  For any other write nobody knows whether it was committed.
 * An administrator may terminate the next backend too; what takes its backend
 * down by itself is not tried thrice.
 */

static void
df_pg_conn_lost_job(df_pg_pool_t *pool, df_pg_job_t *job)
{
    ngx_uint_t        safe, tries;
    df_pg_failure_t   failure;

    if (job->orphan) {
        df_pg_job_free(job);
        return;
    }

    if (job->error.failure != DF_PG_OK) {
        df_pg_job_done(job);
        return;
    }

    safe = (job->lane != DF_PG_WRITE || job->copying
            || (job->aborted && !job->answered));
    tries = job->aborted ? DF_PG_RETRIES : 1;
    job->aborted = 0;

    if (safe && !job->answered && job->retried < tries && !job->cancelled) {
        job->retried++;
        df_pg_count(pool, retried);
        df_pg_pool_queue(pool, job, 1);
        return;
    }

    failure = job->cancelled ? DF_PG_STATEMENT_TIMEOUT : DF_PG_DOWN;

    df_pg_job_fail(job, safe ? failure : DF_PG_OUTCOME_UNKNOWN);
}
