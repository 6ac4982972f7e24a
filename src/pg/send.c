
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Send: jobs into libpq's pipeline, and a record of what must come back.  A
 * Sync ends a segment, which the server runs as one implicit transaction:
 * short reads of a turn share one, everything else has its own.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


static ngx_int_t df_pg_send_statement(df_pg_conn_t *conn, df_pg_job_t *job,
    ngx_uint_t i);
static ngx_int_t df_pg_send_settings(df_pg_conn_t *conn, df_pg_job_t *job);
static df_pg_prepared_t *df_pg_send_prepared(df_pg_conn_t *conn,
    df_pg_job_t *job, ngx_uint_t i);
static ngx_int_t df_pg_send_deallocate(df_pg_conn_t *conn,
    df_pg_prepared_t *prepared);
static ngx_int_t df_pg_expect(df_pg_conn_t *conn, df_pg_expect_kind_t kind,
    df_pg_job_t *job, ngx_uint_t statement, df_pg_prepared_t *prepared);


ngx_int_t
df_pg_send_job(df_pg_conn_t *conn, df_pg_job_t *job)
{
    ngx_uint_t  i, last, own;

    job->conn = conn;
    job->state = DF_PG_JOB_SENT;
    job->sent = df_pg_now();

    ngx_queue_insert_tail(&conn->jobs, &job->queue);

    own = (conn->state == DF_PG_CONN_OWN);

    if (job->alone && conn->segment
        && df_pg_send_sync(conn, NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!conn->segment && df_pg_send_settings(conn, job) != NGX_OK) {
        return NGX_ERROR;
    }

    last = job->nstatements - 1;

    for (i = 0; i <= last; i++) {
        if (df_pg_send_statement(conn, job, i) != NGX_OK) {
            return NGX_ERROR;
        }

        if (job->statements[i].sync && i != last
            && df_pg_send_sync(conn, NULL) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (own || job->alone) {

        /* a write is done when its Sync is: that is when it is committed */

        return df_pg_send_sync(conn, job->lane == DF_PG_READ ? NULL : job);
    }

    conn->segment = 1;

    return NGX_OK;
}


/*
 * A stream may take as long as its client reads.  Behind a transaction pooler
 * nothing of a session may be set, so each segment brings its own timeout.
 */

static ngx_int_t
df_pg_send_settings(df_pg_conn_t *conn, df_pg_job_t *job)
{
    char  sql[80];

    if (job->lane == DF_PG_STREAM) {
        return df_pg_send_utility(conn,
                         "SELECT set_config('statement_timeout', '0', true)");
    }

    if (conn->pool->database->prepare || job->hold) {
        return NGX_OK;
    }

    *ngx_snprintf((u_char *) sql, sizeof(sql) - 1,
                  "SELECT set_config('statement_timeout', '%M', true)",
                  job->timeout)
        = '\0';

    return df_pg_send_utility(conn, sql);
}


static ngx_int_t
df_pg_send_statement(df_pg_conn_t *conn, df_pg_job_t *job, ngx_uint_t i)
{
    int                       sent;
    char                      name[DF_PG_NAME_LEN];
    df_pg_prepared_t         *prepared;
    const df_pg_statement_t  *st;

    st = &job->statements[i];
    prepared = NULL;

    if (conn->pool->database->prepare && !st->unprepared) {
        prepared = df_pg_send_prepared(conn, job, i);

        if (conn->broken) {
            return NGX_ERROR;
        }
    }

    if (prepared) {
        *ngx_sprintf((u_char *) name, "df%ui", prepared->name) = '\0';

        sent = PQsendQueryPrepared(conn->pg, name, (int) st->nparams,
                                   st->values, NULL, NULL, !st->text_result);

    } else {
        sent = PQsendQueryParams(conn->pg, (char *) st->text.data,
                                 (int) st->nparams, st->types, st->values,
                                 NULL, NULL, !st->text_result);
    }

    if (!sent) {
        return NGX_ERROR;
    }

    conn->unflushed = 1;

    return df_pg_expect(conn, DF_PG_EXPECT_EXECUTE, job, i, prepared);
}


/* the prepared statement of a shape, prepared in the same segment if need be;
   NULL when it cannot be had, or with conn->broken set */

static df_pg_prepared_t *
df_pg_send_prepared(df_pg_conn_t *conn, df_pg_job_t *job, ngx_uint_t i)
{
    char                      name[DF_PG_NAME_LEN];
    df_pg_shape_t            *shape;
    df_pg_prepared_t         *prepared, *oldest;
    const df_pg_statement_t  *st;

    st = &job->statements[i];

    shape = df_pg_shape_get(conn->pool, &st->text);
    if (shape == NULL) {
        return NULL;
    }

    /* a slot that is used again has another serial: no reference is needed */

    df_pg_shape_put(shape);

    prepared = &conn->prepared[shape->index];

    if (prepared->serial) {
        ngx_queue_remove(&prepared->lru);

        if (prepared->serial == shape->serial) {
            ngx_queue_insert_head(&conn->prepared_lru, &prepared->lru);
            return prepared;
        }

        conn->nprepared--;

        if (df_pg_send_deallocate(conn, prepared) != NGX_OK) {
            conn->broken = 1;
            return NULL;
        }
    }

    if (conn->nprepared >= DF_PG_PREPARED) {
        oldest = ngx_queue_data(ngx_queue_last(&conn->prepared_lru),
                                df_pg_prepared_t, lru);
        ngx_queue_remove(&oldest->lru);
        conn->nprepared--;

        if (df_pg_send_deallocate(conn, oldest) != NGX_OK) {
            conn->broken = 1;
            return NULL;
        }
    }

    prepared->serial = shape->serial;
    prepared->name = ++conn->names;
    ngx_queue_insert_head(&conn->prepared_lru, &prepared->lru);
    conn->nprepared++;

    *ngx_sprintf((u_char *) name, "df%ui", prepared->name) = '\0';

    if (!PQsendPrepare(conn->pg, name, (char *) st->text.data,
                       (int) st->nparams, st->types)
        || df_pg_expect(conn, DF_PG_EXPECT_PREPARE, job, i, prepared)
           != NGX_OK)
    {
        conn->broken = 1;
        return NULL;
    }

    job->prepares = 1;

    return prepared;
}


/* its executions that are under way were sent before and are not concerned */

static ngx_int_t
df_pg_send_deallocate(df_pg_conn_t *conn, df_pg_prepared_t *prepared)
{
    char  sql[16 + DF_PG_NAME_LEN];

    *ngx_sprintf((u_char *) sql, "DEALLOCATE df%ui", prepared->name) = '\0';

    prepared->serial = 0;

    return df_pg_send_utility(conn, sql);
}


/* what was prepared, or found prepared, is not there (any more) */

void
df_pg_send_forget(df_pg_conn_t *conn, const df_pg_expect_t *expect)
{
    df_pg_prepared_t  *prepared;

    prepared = expect->prepared;

    if (prepared && prepared->serial && prepared->name == expect->name) {
        ngx_queue_remove(&prepared->lru);
        prepared->serial = 0;
        conn->nprepared--;
    }
}


/* what was prepared before the table changed is no good on any connection */

void
df_pg_send_stale(df_pg_conn_t *conn, const df_pg_expect_t *expect)
{
    df_pg_shape_t     *shape;
    df_pg_prepared_t  *prepared;

    prepared = expect->prepared;

    if (prepared == NULL || prepared->name != expect->name) {
        return;
    }

    shape = &conn->pool->shapes[prepared - conn->prepared];

    if (prepared->serial == shape->serial) {
        shape->serial = ++conn->pool->serials;
    }
}


ngx_int_t
df_pg_send_utility(df_pg_conn_t *conn, const char *sql)
{
    if (!PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0)) {
        return NGX_ERROR;
    }

    conn->unflushed = 1;

    return df_pg_expect(conn, DF_PG_EXPECT_UTILITY, NULL, 0, NULL);
}


ngx_int_t
df_pg_send_sync(df_pg_conn_t *conn, df_pg_job_t *job)
{
    conn->segment = 0;
    conn->syncs++;

#if (LIBPQ_HAS_SEND_PIPELINE_SYNC)

    if (!PQsendPipelineSync(conn->pg)) {
        return NGX_ERROR;
    }

#else

    if (!PQpipelineSync(conn->pg)) {
        return NGX_ERROR;
    }

#endif

    conn->unflushed = 1;

    return df_pg_expect(conn, DF_PG_EXPECT_SYNC, job, 0, NULL);
}


static ngx_int_t
df_pg_expect(df_pg_conn_t *conn, df_pg_expect_kind_t kind, df_pg_job_t *job,
    ngx_uint_t statement, df_pg_prepared_t *prepared)
{
    ngx_uint_t       i, size;
    df_pg_expect_t  *ring, *e;

    if (conn->expect_tail - conn->expect_head == conn->expect_size) {
        size = conn->expect_size * 2;

        ring = ngx_alloc(size * sizeof(df_pg_expect_t), conn->pool->log);
        if (ring == NULL) {
            return NGX_ERROR;
        }

        for (i = conn->expect_head; i != conn->expect_tail; i++) {
            ring[i & (size - 1)] = conn->expect[i & (conn->expect_size - 1)];
        }

        ngx_free(conn->expect);
        conn->expect = ring;
        conn->expect_size = size;
    }

    e = &conn->expect[conn->expect_tail++ & (conn->expect_size - 1)];

    e->kind = kind;
    e->job = job;
    e->statement = statement;
    e->prepared = prepared;
    e->name = prepared ? prepared->name : 0;

    return NGX_OK;
}
