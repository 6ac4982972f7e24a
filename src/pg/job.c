
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Jobs: what their owners may ask for, and how owners are told.  A job's
 * record outlives the request that submitted it: results that nobody waits
 * for any more still have to be taken from the connection.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


static ngx_int_t df_pg_refuse(df_pg_pool_t *pool, const df_pg_spec_t *spec,
    df_pg_error_t *error);
static void df_pg_job_latency(df_pg_job_t *job);


df_pg_job_t *
df_pg_submit(df_pg_pool_t *pool, const df_pg_spec_t *spec,
    df_pg_error_t *error)
{
    df_pg_job_t  *job;

    ngx_memzero(error, sizeof(df_pg_error_t));

    if (df_pg_refuse(pool, spec, error) != NGX_OK) {
        return NULL;
    }

    job = df_pg_job_create(pool, spec);
    if (job == NULL) {
        error->failure = DF_PG_NO_MEMORY;
        return NULL;
    }

    if (spec->lane == DF_PG_READ && !spec->statements[0].unprepared) {
        job->shape = df_pg_shape_get(pool, &spec->statements[0].text);
    }

    df_pg_count(pool, statements[job->lane]);
    df_pg_pool_queue(pool, job, 0);

    return job;
}


df_pg_job_t *
df_pg_submit_ahead(df_pg_pool_t *pool, const df_pg_spec_t *spec,
    df_pg_error_t *error)
{
    df_pg_job_t  *job;

    ngx_memzero(error, sizeof(df_pg_error_t));

    job = df_pg_job_create(pool, spec);
    if (job == NULL) {
        error->failure = DF_PG_NO_MEMORY;
        return NULL;
    }

    job->ahead = 1;
    job->alone = 1;

    df_pg_pool_queue(pool, job, 0);

    return job;
}


static ngx_int_t
df_pg_refuse(df_pg_pool_t *pool, const df_pg_spec_t *spec,
    df_pg_error_t *error)
{
    /* with "master_process off" nginx starts no process for a reload, and so
       there are no pools after it */

    if (pool == NULL) {
        error->failure = DF_PG_DOWN;
        error->retry_after = 1;
        return NGX_DECLINED;
    }

    if (pool->state == DF_PG_POOL_DOWN) {
        error->failure = DF_PG_DOWN;
        error->retry_after = 1 + pool->backoff / 1000;
        return NGX_DECLINED;
    }

    if (pool->nqueued >= (ngx_uint_t) pool->database->queue) {
        df_pg_count(pool, queue_full);
        error->failure = DF_PG_QUEUE_FULL;
        error->retry_after = 1;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


df_pg_job_t *
df_pg_job_create(df_pg_pool_t *pool, const df_pg_spec_t *spec)
{
    ngx_queue_t  *q;
    df_pg_job_t  *job;

    if (!ngx_queue_empty(&pool->free_jobs)) {
        q = ngx_queue_head(&pool->free_jobs);
        ngx_queue_remove(q);
        job = ngx_queue_data(q, df_pg_job_t, queue);

    } else {
        job = ngx_alloc(sizeof(df_pg_job_t), pool->log);
        if (job == NULL) {
            return NULL;
        }
    }

    ngx_memzero(job, sizeof(df_pg_job_t));

    job->pool = pool;
    job->statements = spec->statements;
    job->nstatements = spec->nstatements;
    job->callbacks = spec->callbacks;
    job->data = spec->data;
    job->lane = spec->lane;
    job->hold = spec->hold;
    job->timeout = spec->timeout ? spec->timeout
                                 : pool->database->statement_timeout;
    job->submitted = df_pg_now();

    return job;
}


void
df_pg_job_free(df_pg_job_t *job)
{
    if (job->refusal) {
        PQclear(job->refusal);
    }

    if (job->shape) {
        df_pg_shape_put(job->shape);
    }

    if (job->group) {
        df_pg_group_free(job->group);
    }

    job->state = DF_PG_JOB_FREE;

    ngx_queue_insert_head(&job->pool->free_jobs, &job->queue);
}


/*
 * The strings of an error are those of the refusing PGresult, which is kept
 * until the owner has been told.  A held job stays unless it failed for good.
 */

void
df_pg_job_done(df_pg_job_t *job)
{
    ngx_uint_t  held;

    held = job->hold && !job->orphan;

    if (job->group == NULL) {
        df_pg_job_latency(job);

        if (job->error.failure != DF_PG_OK) {
            df_pg_count(job->pool, errors);
        }
    }

    if (held) {
        job->state = DF_PG_JOB_HELD;
    }

    if (!job->orphan) {
        job->callbacks->done(job->data, &job->error);
    }

    if (!held) {
        df_pg_job_free(job);
    }

    /* or the owner may have continued or released the job meanwhile */
}


void
df_pg_job_fail(df_pg_job_t *job, df_pg_failure_t failure)
{
    job->error.failure = failure;
    job->hold = 0;

    if (failure == DF_PG_DOWN) {
        job->error.retry_after = 1 + job->pool->backoff / 1000;
    }

    df_pg_job_done(job);
}


static void
df_pg_job_latency(df_pg_job_t *job)
{
    uint64_t    usec;
    ngx_uint_t  n;

    usec = (df_pg_now() - job->submitted) >> 7;

    for (n = 0; usec && n < DF_PG_LATENCY_BUCKETS - 1; n++) {
        usec >>= 1;
    }

    df_pg_count(job->pool, latency[n]);
}


void
df_pg_abandon(df_pg_job_t *job)
{
    job->orphan = 1;

    switch (job->state) {

    case DF_PG_JOB_QUEUED:
        df_pg_pool_unqueue(job);
        df_pg_job_free(job);

        /* for the queue's timer, which an exiting worker would wait for */

        df_pg_pool_wake(job->pool);
        return;

    case DF_PG_JOB_HELD:
        df_pg_release(job);
        return;

    default:
        break;
    }

    df_pg_count(job->pool, orphaned);

    job->statements = NULL;

    if (job->state == DF_PG_JOB_MERGED) {
        return;
    }

    /* its connection may have been lost just now */

    if (job->conn && job->conn->owner == job) {
        job->hold = 0;

        if (job->copying) {
            df_pg_copy_abandon(job->conn);
        }

        df_pg_conn_cancel(job->conn);
    }
}


ngx_int_t
df_pg_continue(df_pg_job_t *job, const df_pg_statement_t *statements,
    ngx_uint_t nstatements, ngx_msec_t timeout)
{
    if (job->conn == NULL) {
        df_pg_job_free(job);
        return NGX_ERROR;
    }

    df_pg_job_renew(job, timeout);

    job->statements = statements;
    job->nstatements = nstatements;

    df_pg_conn_tick(job->conn, job->timeout + DF_PG_GRACE);

    if (df_pg_send_job(job->conn, job) != NGX_OK
        || df_pg_conn_flush(job->conn) != NGX_OK)
    {
        df_pg_conn_break(job->conn);
    }

    return NGX_OK;
}


void
df_pg_job_renew(df_pg_job_t *job, ngx_msec_t timeout)
{
    if (job->refusal) {
        PQclear(job->refusal);
        job->refusal = NULL;
    }

    ngx_memzero(&job->error, sizeof(df_pg_error_t));

    job->timeout = timeout ? timeout : job->pool->database->statement_timeout;
    job->submitted = df_pg_now();
    job->answered = 0;
    job->aborted = 0;
    job->again = 0;
    job->cancelled = 0;

    /* what went before cannot be done again */

    job->retried = DF_PG_RETRIES;
}


void
df_pg_release(df_pg_job_t *job)
{
    df_pg_conn_t  *conn;

    conn = job->conn;

    df_pg_job_free(job);

    if (conn) {
        conn->owner = NULL;
        df_pg_pool_give_back(conn);
    }
}


void
df_pg_resume(df_pg_job_t *job)
{
    df_pg_conn_t  *conn;

    if (!job->paused) {
        return;
    }

    job->paused = 0;
    conn = job->conn;

    if (conn == NULL) {
        return;
    }

    df_pg_conn_tick(conn, job->timeout);

    if (df_pg_conn_read(conn, 1) != NGX_OK) {
        df_pg_conn_break(conn);
        return;
    }

    /* rows that libpq holds already raise no event */

    if (!conn->receiving) {
        ngx_post_event(conn->c->read, &ngx_posted_events);
    }
}
