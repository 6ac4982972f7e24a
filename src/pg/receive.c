
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Receive: libpq's results to the jobs that wait for them.  In pipeline mode
 * each statement gives results and then a NULL, each Sync a PIPELINE_SYNC
 * without one (PostgreSQL documentation, "Pipeline Mode"), and before it, when
 * the commit fails, an error with one.  PQgetResult() is called only when
 * PQisBusy() is 0: it would block the worker otherwise.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


/* what a refusal means for the statement or the connection it came from */

typedef enum {
    DF_PG_REFUSED = 0,
    DF_PG_REFUSED_STALE,        /* the table has changed since */
    DF_PG_REFUSED_AGAIN,        /* the prepared statement is not there */
    DF_PG_REFUSED_ENDED,        /* the connection ends, nothing was done */
    DF_PG_REFUSED_LOST          /* the connection ends */
} df_pg_refused_t;

typedef struct {
    const char       *sqlstate;
    size_t            len;
    df_pg_refused_t   meaning;
} df_pg_refusal_t;

static const df_pg_refusal_t  df_pg_refusals[] = {
    { "0A000", 5, DF_PG_REFUSED_STALE },    /* cached plan must not change
                                               result type */
    { "26000", 5, DF_PG_REFUSED_AGAIN },    /* no such prepared statement */
    { "42P05", 5, DF_PG_REFUSED_AGAIN },    /* there is one of that name */
    { "57P01", 5, DF_PG_REFUSED_ENDED },    /* admin_shutdown */
    { "57P02", 5, DF_PG_REFUSED_LOST },     /* crash_shutdown */
    { "57P03", 5, DF_PG_REFUSED_LOST },     /* cannot_connect_now */
    { "57P05", 5, DF_PG_REFUSED_ENDED },    /* idle_session_timeout */
    { "08",    2, DF_PG_REFUSED_LOST }
};


static void df_pg_receive_result(df_pg_conn_t *conn, df_pg_expect_t *e,
    PGresult *res);
static ngx_uint_t df_pg_receive_rows(df_pg_conn_t *conn, df_pg_job_t *job,
    PGresult *res);
static df_pg_refused_t df_pg_refused(const char *sqlstate);
static void df_pg_receive_end(df_pg_conn_t *conn);
static void df_pg_receive_finish(df_pg_conn_t *conn, df_pg_job_t *job);
static void df_pg_receive_resend(df_pg_conn_t *conn, df_pg_job_t *job,
    ngx_uint_t undone);
static ngx_str_t df_pg_error_field(const PGresult *res, int code);


#define df_pg_expected(conn)                                                  \
    (&(conn)->expect[(conn)->expect_head & ((conn)->expect_size - 1)])


void
df_pg_receive(df_pg_conn_t *conn)
{
    PGresult        *res;
    df_pg_expect_t  *e;

    if (conn->copy != DF_PG_COPY_NONE) {
        df_pg_copy_receive(conn);
        return;
    }

    conn->receiving = 1;

    while (conn->expect_head != conn->expect_tail && !conn->broken) {

        if (conn->owner && conn->owner->paused) {
            break;
        }

        if (PQisBusy(conn->pg)) {
            break;
        }

        res = PQgetResult(conn->pg);
        e = df_pg_expected(conn);

        if (res == NULL) {

            if (e->kind != DF_PG_EXPECT_SYNC) {
                df_pg_receive_end(conn);
                continue;
            }

            /* a commit that failed, or libpq knows of no Sync */

            if (!conn->uncommitted) {
                conn->broken = 1;
                break;
            }

            conn->uncommitted = 0;
            continue;
        }

        df_pg_receive_result(conn, e, res);
    }

    conn->receiving = 0;
}


static void
df_pg_receive_result(df_pg_conn_t *conn, df_pg_expect_t *e, PGresult *res)
{
    ngx_uint_t    keep;
    df_pg_job_t  *job;

    keep = 0;
    job = e->job;
    conn->progress++;

    switch (PQresultStatus(res)) {

    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:

        if (e->kind != DF_PG_EXPECT_EXECUTE || job == NULL || job->orphan
            || job->lane == DF_PG_STREAM)
        {
            break;
        }

        /* a BEGIN says nothing that could not be said again */

        job->answered |= !job->statements[e->statement].unprepared
                         || (ngx_strcmp(PQcmdStatus(res), "BEGIN") != 0
                             && ngx_strcmp(PQcmdStatus(res), "ROLLBACK") != 0);
        job->callbacks->result(job->data, e->statement, res, 0,
                               (ngx_uint_t) PQntuples(res));
        break;

    case PGRES_SINGLE_TUPLE:
        keep = df_pg_receive_rows(conn, job, res);
        break;

    case PGRES_PIPELINE_SYNC:

        if (e->kind != DF_PG_EXPECT_SYNC) {
            conn->broken = 1;
            break;
        }

        conn->expect_head++;
        conn->syncs--;

        if (job) {
            df_pg_receive_finish(conn, job);
        }

        if (!ngx_queue_empty(&conn->pool->reads)) {
            df_pg_pool_wake(conn->pool);
        }

        break;

    case PGRES_PIPELINE_ABORTED:

        if (e->kind == DF_PG_EXPECT_PREPARE) {
            df_pg_send_forget(conn, e);
        }

        if (job) {
            job->aborted = 1;
        }

        break;

    default:
        keep = df_pg_receive_refusal(conn, e, res);
    }

    if (!keep) {
        PQclear(res);
    }
}


static ngx_uint_t
df_pg_receive_rows(df_pg_conn_t *conn, df_pg_job_t *job, PGresult *res)
{
    if (job == NULL || job->orphan) {
        return 0;
    }

    job->answered = 1;

    if (job->callbacks->row(job->data, res) == NGX_AGAIN && !job->orphan) {
        job->paused = 1;

        if (conn->timer.timer_set) {
            ngx_del_timer(&conn->timer);
        }

        if (df_pg_conn_read(conn, 0) != NGX_OK) {
            conn->broken = 1;
        }
    }

    return 0;
}


ngx_uint_t
df_pg_receive_refusal(df_pg_conn_t *conn, const df_pg_expect_t *e,
    PGresult *res)
{
    char             *sqlstate;
    df_pg_job_t      *job;
    df_pg_refused_t   refused;

    job = e->job;
    conn->uncommitted = (e->kind == DF_PG_EXPECT_SYNC);
    sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    refused = df_pg_refused(sqlstate);

    if (refused == DF_PG_REFUSED_LOST || refused == DF_PG_REFUSED_ENDED) {
        conn->terminated = (refused == DF_PG_REFUSED_ENDED);
        conn->broken = 1;
        return 0;
    }

    if (refused == DF_PG_REFUSED_STALE && e->kind == DF_PG_EXPECT_EXECUTE) {
        df_pg_send_stale(conn, e);

    } else if (e->kind == DF_PG_EXPECT_PREPARE
               || refused == DF_PG_REFUSED_AGAIN)
    {
        df_pg_send_forget(conn, e);
    }

    if (job == NULL || job->error.failure != DF_PG_OK) {

        if (e->kind == DF_PG_EXPECT_UTILITY) {
            ngx_log_error(NGX_LOG_WARN, conn->pool->log, 0,
                          "dataflow: database \"%V\": %s",
                          &conn->pool->database->name,
                          PQresultErrorMessage(res));
        }

        return 0;
    }

    job->again = (e->prepared && (refused == DF_PG_REFUSED_STALE
                                  || refused == DF_PG_REFUSED_AGAIN));
    job->refusal = res;

    job->error.failure = DF_PG_SQL;
    job->error.statement = e->statement;
    ngx_memcpy(job->error.sqlstate, sqlstate, 5);
    job->error.message = df_pg_error_field(res, PG_DIAG_MESSAGE_PRIMARY);
    job->error.detail = df_pg_error_field(res, PG_DIAG_MESSAGE_DETAIL);
    job->error.constraint = df_pg_error_field(res, PG_DIAG_CONSTRAINT_NAME);
    job->error.table = df_pg_error_field(res, PG_DIAG_TABLE_NAME);
    job->error.column = df_pg_error_field(res, PG_DIAG_COLUMN_NAME);

    if (ngx_strcmp(sqlstate, "57014") == 0
        && (job->cancelled
            || df_pg_now() - job->sent >= (uint64_t) job->timeout * 900))
    {
        job->error.failure = DF_PG_STATEMENT_TIMEOUT;

        if (job->group == NULL) {
            df_pg_count(conn->pool, statement_timeouts);
        }
    }

    return 1;
}


static df_pg_refused_t
df_pg_refused(const char *sqlstate)
{
    ngx_uint_t  i;

    if (sqlstate == NULL || ngx_strlen(sqlstate) != 5) {

        /* libpq's own errors have none: the connection is gone */

        return DF_PG_REFUSED_LOST;
    }

    for (i = 0; i < sizeof(df_pg_refusals) / sizeof(df_pg_refusals[0]); i++) {
        if (ngx_strncmp(sqlstate, df_pg_refusals[i].sqlstate,
                        df_pg_refusals[i].len)
            == 0)
        {
            return df_pg_refusals[i].meaning;
        }
    }

    return DF_PG_REFUSED;
}


static ngx_str_t
df_pg_error_field(const PGresult *res, int code)
{
    ngx_str_t  value;

    value.data = (u_char *) PQresultErrorField(res, code);
    value.len = value.data ? ngx_strlen(value.data) : 0;

    return value;
}


/* the NULL behind the results of a statement */

static void
df_pg_receive_end(df_pg_conn_t *conn)
{
    uint64_t         now, took;
    df_pg_job_t     *job;
    df_pg_expect_t   e;

    e = *df_pg_expected(conn);
    job = e.job;

    conn->expect_head++;

    /* rows come one by one if it is asked for before the first is parsed */

    if (conn->owner && conn->owner->lane == DF_PG_STREAM
        && conn->expect_head != conn->expect_tail
        && df_pg_expected(conn)->kind == DF_PG_EXPECT_EXECUTE)
    {
        (void) PQsetSingleRowMode(conn->pg);
    }

    if (job == NULL || job->lane != DF_PG_READ
        || e.kind != DF_PG_EXPECT_EXECUTE
        || e.statement != job->nstatements - 1)
    {
        return;
    }

    now = df_pg_now();
    took = now - ngx_max(conn->last, job->sent);
    conn->last = now;

    /* the results of a segment come together: the first is not to blame for
       all of it */

    if (conn->state == DF_PG_CONN_SHARED) {
        took /= conn->njobs;
    }

    if (job->shape && !job->prepares && !job->aborted && !job->group) {
        df_pg_shape_sample(job->shape, (ngx_uint_t) took);
    }

    df_pg_receive_finish(conn, job);
}


static void
df_pg_receive_finish(df_pg_conn_t *conn, df_pg_job_t *job)
{
    ngx_uint_t  undone;

    ngx_queue_remove(&job->queue);

    if (conn->state == DF_PG_CONN_SHARED) {
        conn->njobs--;
    }

    /* what failed was a neighbour, or a statement of ours before it */

    undone = (job->error.failure == DF_PG_OK && job->aborted);

    if ((undone || job->again) && !job->answered && !job->orphan
        && (job->retried < DF_PG_RETRIES || (undone && !job->alone)))
    {
        df_pg_receive_resend(conn, job, undone);
        return;
    }

    if (undone) {
        job->error.failure = (job->lane == DF_PG_WRITE && job->answered)
                             ? DF_PG_OUTCOME_UNKNOWN : DF_PG_DOWN;
        job->error.retry_after = 1;
        job->hold = 0;
    }

    if (job->orphan || !job->hold) {
        df_pg_receive_leave(conn, job);
    }

    df_pg_job_done(job);
}


static void
df_pg_receive_resend(df_pg_conn_t *conn, df_pg_job_t *job, ngx_uint_t undone)
{
    if (undone && !job->alone) {
        df_pg_count(conn->pool, resent);

    } else {
        job->retried++;
        df_pg_count(conn->pool, retried);
    }

    if (job->refusal) {
        PQclear(job->refusal);
        job->refusal = NULL;
    }

    ngx_memzero(&job->error, sizeof(df_pg_error_t));

    job->alone |= undone;
    job->again = 0;
    job->aborted = 0;

    df_pg_receive_leave(conn, job);
    df_pg_pool_queue(conn->pool, job, 1);
}


void
df_pg_receive_leave(df_pg_conn_t *conn, df_pg_job_t *job)
{
    if (conn->owner == job) {
        conn->owner = NULL;
    }

    job->conn = NULL;
}
