
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Copy: rows into a table by COPY … FROM STDIN, which libpq has outside of its
 * pipeline mode only.  A job that holds its connection leaves the pipeline, as
 * nothing is expected in it then, and is back in it when the COPY is done.
 *
 * libpq keeps what it could not send, so nothing more is put as long as there
 * is something.  While rows are put it does not tell of an error that the
 * server has sent; what has come and was no notice is taken for one, and the
 * owner ends the COPY to know.  If it was none, another COPY goes on.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"
#include <sys/ioctl.h>

#if (NGX_LINUX)
#include <linux/sockios.h>
#endif


static void df_pg_copy_close(df_pg_conn_t *conn, const char *refusal);
static void df_pg_copy_listen(df_pg_conn_t *conn);
static void df_pg_copy_result(df_pg_conn_t *conn, PGresult *res);
static void df_pg_copy_opened(df_pg_conn_t *conn);
static ngx_uint_t df_pg_copy_refused(df_pg_job_t *job, PGresult *res);
static ngx_uint_t df_pg_copy_line(const PGresult *res);
static void df_pg_copy_finish(df_pg_conn_t *conn);
static void df_pg_copy_tick(df_pg_conn_t *conn);
static int df_pg_copy_unsent(df_pg_conn_t *conn);


ngx_int_t
df_pg_copy(df_pg_job_t *job, const df_pg_copy_t *copy)
{
    df_pg_conn_t  *conn;

    conn = job->conn;

    if (conn == NULL) {
        df_pg_job_free(job);
        return NGX_ERROR;
    }

    df_pg_job_renew(job, copy->timeout);

    job->state = DF_PG_JOB_SENT;
    job->sent = job->submitted;
    job->copying = 1;
    job->writable = copy->writable;

    ngx_queue_insert_tail(&conn->jobs, &job->queue);

    conn->copy = DF_PG_COPY_BEGIN;
    conn->heard = 0;

    df_pg_copy_tick(conn);

    if (PQexitPipelineMode(conn->pg) == 0
        || PQsendQuery(conn->pg, copy->text) == 0
        || df_pg_conn_flush(conn) != NGX_OK)
    {
        df_pg_conn_break(conn);
    }

    return NGX_OK;
}


ngx_int_t
df_pg_copy_put(df_pg_job_t *job, const u_char *data, size_t len)
{
    df_pg_conn_t  *conn;

    conn = job->conn;

    if (conn == NULL || conn->broken || conn->copy != DF_PG_COPY_OPEN) {
        return NGX_ERROR;
    }

    if (conn->heard) {
        return NGX_DECLINED;
    }

    if (PQputCopyData(conn->pg, (const char *) data, (int) len) != 1
        || df_pg_conn_flush(conn) != NGX_OK)
    {
        df_pg_conn_break(conn);
        return NGX_ERROR;
    }

    if (conn->unflushed) {
        df_pg_copy_tick(conn);
        return NGX_AGAIN;
    }

    return NGX_OK;
}


void
df_pg_copy_end(df_pg_job_t *job)
{
    if (job->conn != NULL) {
        df_pg_copy_close(job->conn, NULL);
    }
}


/* one that has not begun is refused when it does */

void
df_pg_copy_abandon(df_pg_conn_t *conn)
{
    df_pg_copy_close(conn, "the client has left");
}


static void
df_pg_copy_close(df_pg_conn_t *conn, const char *refusal)
{
    if (conn->copy != DF_PG_COPY_OPEN || conn->broken) {
        return;
    }

    conn->copy = DF_PG_COPY_END;

    if (PQputCopyEnd(conn->pg, refusal) != 1
        || df_pg_conn_flush(conn) != NGX_OK)
    {
        df_pg_conn_break(conn);
        return;
    }

    df_pg_copy_tick(conn);

    /* an error that waited for this raises no event any more */

    if (conn->heard && !conn->receiving) {
        ngx_post_event(conn->c->read, &ngx_posted_events);
    }
}


void
df_pg_copy_receive(df_pg_conn_t *conn)
{
    PGresult  *res;

    conn->receiving = 1;

    if (conn->copy == DF_PG_COPY_OPEN) {
        df_pg_copy_listen(conn);
    }

    while (conn->copy == DF_PG_COPY_BEGIN || conn->copy == DF_PG_COPY_END) {

        if (conn->broken || PQisBusy(conn->pg)) {
            break;
        }

        res = PQgetResult(conn->pg);

        if (res == NULL) {
            df_pg_copy_finish(conn);
            break;
        }

        df_pg_copy_result(conn, res);
    }

    conn->receiving = 0;
}


/* something has come while rows are put: PQisBusy() hands out notices */

static void
df_pg_copy_listen(df_pg_conn_t *conn)
{
    df_pg_job_t  *job;

    conn->noticed = 0;
    (void) PQisBusy(conn->pg);

    job = conn->owner;

    if (!conn->noticed && !conn->heard && !job->orphan) {
        conn->heard = 1;
        job->writable(job->data);
    }
}


static void
df_pg_copy_result(df_pg_conn_t *conn, PGresult *res)
{
    df_pg_job_t  *job;

    job = conn->owner;
    conn->progress++;

    switch (PQresultStatus(res)) {

    case PGRES_COPY_IN:

        if (conn->copy == DF_PG_COPY_BEGIN) {
            df_pg_copy_opened(conn);

        } else {

            /* its end could not even be put, and this would be told again */

            conn->broken = 1;
        }

        break;

    case PGRES_COMMAND_OK:

        if (!job->orphan) {
            job->callbacks->result(job->data, 0, res, 0, 0);
        }

        break;

    default:

        if (df_pg_copy_refused(job, res)) {
            return;
        }
    }

    PQclear(res);
}


static void
df_pg_copy_opened(df_pg_conn_t *conn)
{
    df_pg_job_t  *job;

    job = conn->owner;
    conn->copy = DF_PG_COPY_OPEN;

    if (job->orphan) {
        df_pg_copy_abandon(conn);
        return;
    }

    if (conn->timer.timer_set && !job->cancelled) {
        ngx_del_timer(&conn->timer);
    }

    job->writable(job->data);
}


/* 1 when the result is kept, as the job's error */

static ngx_uint_t
df_pg_copy_refused(df_pg_job_t *job, PGresult *res)
{
    df_pg_expect_t  e;

    ngx_memzero(&e, sizeof(df_pg_expect_t));

    e.kind = DF_PG_EXPECT_EXECUTE;
    e.job = job;

    if (!df_pg_receive_refusal(job->conn, &e, res)) {
        return 0;
    }

    job->error.line = df_pg_copy_line(res);

    return 1;
}


/*
 * The context names the line, in the server's language: "COPY items, line 3,
 * column price: …".  What stands in front of it are functions that the row
 * has called.
 */

static ngx_uint_t
df_pg_copy_line(const PGresult *res)
{
    ngx_uint_t   line;
    const char  *p;

    p = PQresultErrorField(res, PG_DIAG_CONTEXT);

    while (p != NULL && ngx_strncmp(p, "COPY ", 5) != 0) {
        p = ngx_strchr(p, '\n');
        p = p ? p + 1 : NULL;
    }

    if (p == NULL) {
        return 0;
    }

    /* a name of a table that has digits ends at the comma */

    for (p = ngx_strchr(p, ','); p && *p && (*p < '0' || *p > '9'); p++) {
        if (*p == '\n') {
            return 0;
        }
    }

    for (line = 0; p && *p >= '0' && *p <= '9'; p++) {
        line = line * 10 + (*p - '0');
    }

    return line;
}


static void
df_pg_copy_finish(df_pg_conn_t *conn)
{
    df_pg_job_t  *job;

    job = conn->owner;
    job->copying = 0;
    ngx_queue_remove(&job->queue);

    conn->copy = DF_PG_COPY_NONE;

    if (PQenterPipelineMode(conn->pg) == 0) {
        df_pg_conn_break(conn);
    }

    if (job->orphan || !job->hold) {
        df_pg_receive_leave(conn, job);
    }

    df_pg_job_done(job);
}


/* What was owed has gone: now it is the owner's turn, or the server's.  So that
   it is told here, nobody but the event of the socket sends what is owed. */

void
df_pg_copy_written(df_pg_conn_t *conn)
{
    df_pg_job_t  *job;

    job = conn->owner;

    if (job->cancelled) {
        return;
    }

    if (conn->copy != DF_PG_COPY_OPEN || conn->unflushed) {
        df_pg_copy_tick(conn);
        return;
    }

    ngx_del_timer(&conn->timer);

    job->writable(job->data);
}


/* the deadline begins again; how much of what was sent it stands before */

static void
df_pg_copy_tick(df_pg_conn_t *conn)
{
    conn->unsent = df_pg_copy_unsent(conn);

    df_pg_conn_tick(conn, conn->owner->timeout + DF_PG_GRACE);
}


ngx_uint_t
df_pg_copy_progressed(df_pg_conn_t *conn)
{
    int  unsent;

    unsent = conn->unsent;
    conn->unsent = df_pg_copy_unsent(conn);

    return conn->unsent != unsent;
}


/* of sockets on one machine this is what the server has not read */

static int
df_pg_copy_unsent(df_pg_conn_t *conn)
{
    int  n;

    n = 0;

#ifdef SIOCOUTQ
    (void) ioctl(conn->c->fd, SIOCOUTQ, &n);
#endif

    return n;
}
