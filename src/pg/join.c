
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Join: inserts that wait at the same time share a transaction, as one commit
 * costs PostgreSQL nearly as much as the insert.  Each is told of its success
 * when all are committed.  If one fails, nothing was done for any, and each is
 * sent again by itself; so it is when one of them waits for a lock, since the
 * others must not wait with it.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


#define DF_PG_JOIN        16

/* transactions of inserts under way; others wait, and make the next one
   larger */
#define DF_PG_JOIN_FLIGHT 2

/* milliseconds after which one of them is taken to wait for a lock */
#define DF_PG_JOIN_WAIT   250

/* inserts that are sent by themselves after a group has failed: others may
   fail for the same reason */
#define DF_PG_JOIN_PAUSE  64


typedef struct {
    df_pg_group_t          group;
    df_pg_job_t           *job;         /* that stands for it */
    df_pg_statement_t      statements[DF_PG_JOIN];
} df_pg_join_t;


static ngx_uint_t df_pg_join_fits(const df_pg_job_t *job);
static void df_pg_join_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n);
static void df_pg_join_done(void *data, const df_pg_error_t *error);


static const df_pg_callbacks_t  df_pg_join_callbacks = {
    df_pg_join_result,
    NULL,
    df_pg_join_done
};


/* whether the job stays in its queue, to be in the next transaction */

ngx_uint_t
df_pg_join_waits(const df_pg_job_t *job)
{
    return job->pool->joins == DF_PG_JOIN_FLIGHT
           && job->pool->alone == 0
           && df_pg_join_fits(job);
}


df_pg_job_t *
df_pg_join(df_pg_job_t *first)
{
    ngx_uint_t      i, n;
    ngx_queue_t    *q;
    df_pg_job_t    *job, *members[DF_PG_JOIN];
    df_pg_spec_t    spec;
    df_pg_join_t   *join;
    df_pg_pool_t   *pool;

    pool = first->pool;

    if (!df_pg_join_fits(first)) {
        return NULL;
    }

    if (pool->alone) {
        pool->alone--;
        return NULL;
    }

    n = 0;

    for (q = &first->queue; q != &pool->owns && n < DF_PG_JOIN;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, df_pg_job_t, queue);

        if (df_pg_join_fits(job)) {
            members[n++] = job;
        }
    }

    join = ngx_alloc(sizeof(df_pg_join_t), pool->log);
    if (join == NULL) {
        return NULL;
    }

    join->group.n = n;

    for (i = 0; i < n; i++) {
        join->group.members[i] = members[i];
        join->statements[i] = members[i]->statements[0];
        join->statements[i].sync = 0;
    }

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = join->statements;
    spec.nstatements = n;
    spec.lane = DF_PG_WRITE;
    spec.timeout = DF_PG_JOIN_WAIT;
    spec.callbacks = &df_pg_join_callbacks;
    spec.data = join;

    job = df_pg_group_job(&join->group, &spec);

    if (job) {
        pool->joins++;
        join->job = job;

        /* the values are the members' own, who may be gone by then */

        job->retried = DF_PG_RETRIES;
        job->alone = 1;
    }

    return job;
}


/* to end a statement is to end a connection behind a pooler: nobody would know
   what was done */

static ngx_uint_t
df_pg_join_fits(const df_pg_job_t *job)
{
    return job->lane == DF_PG_WRITE
           && job->nstatements == 1
           && job->statements->joins
           && !job->hold && !job->alone && !job->group && !job->retried
           && job->pool->database->prepare;
}


static void
df_pg_join_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n)
{
    df_pg_join_t *join = data;

    df_pg_job_t  *job;

    job = join->group.members[i];

    if (!job->orphan) {
        job->callbacks->result(job->data, 0, res, row, n);
    }
}


static void
df_pg_join_done(void *data, const df_pg_error_t *error)
{
    df_pg_join_t *join = data;

    ngx_uint_t     i, undone;
    df_pg_job_t   *job;
    df_pg_pool_t  *pool;

    pool = join->job->pool;
    pool->joins--;
    df_pg_pool_wake(pool);

    /* what PostgreSQL refuses it undoes; one that was by itself is answered,
       unless its prepared statement was the reason */

    undone = (error->failure == DF_PG_DOWN || error->sqlstate[0] != '\0');

    if (error->failure == DF_PG_SQL && join->group.n == 1
        && !join->job->again)
    {
        undone = 0;
    }

    if (undone) {
        pool->alone = DF_PG_JOIN_PAUSE;
    }

    for (i = 0; i < join->group.n; i++) {

        job = df_pg_group_take(&join->group, i);
        if (job == NULL) {
            continue;
        }

        if (undone) {
            df_pg_group_resend(job);
            continue;
        }

        job->error = *error;
        df_pg_job_done(job);
    }
}
