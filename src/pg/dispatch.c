
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Jobs wait in queues by lane and are handed out once a turn of the event
 * loop: short reads are spread over a few shared connections, everything else
 * gets one of its own.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


static void df_pg_dispatch_ahead(df_pg_pool_t *pool);
static void df_pg_dispatch_owns(df_pg_pool_t *pool);
static void df_pg_dispatch_reads(df_pg_pool_t *pool);
static void df_pg_dispatch_send(df_pg_conn_t *conn, df_pg_job_t *job);
static df_pg_conn_t *df_pg_dispatch_own(df_pg_pool_t *pool);
static df_pg_conn_t *df_pg_dispatch_shared(df_pg_pool_t *pool);
static void df_pg_dispatch_flush(df_pg_pool_t *pool, ngx_queue_t *conns);
static void df_pg_dispatch_fail(df_pg_pool_t *pool, ngx_queue_t *jobs);
static df_pg_job_t *df_pg_dispatch_oldest(df_pg_pool_t *pool);
static void df_pg_dispatch_expire_arm(df_pg_pool_t *pool);


void
df_pg_pool_queue(df_pg_pool_t *pool, df_pg_job_t *job, ngx_uint_t front)
{
    ngx_queue_t  *list;

    if (job->expires == 0) {
        job->expires = ngx_current_msec + pool->database->wait;
    }

    if (job->ahead) {
        list = &pool->ahead;

    } else if (job->lane == DF_PG_READ && !job->hold
               && !(job->shape && job->shape->slow))
    {
        list = &pool->reads;

    } else {
        list = &pool->owns;
    }

    if (front) {
        ngx_queue_insert_head(list, &job->queue);

    } else {
        ngx_queue_insert_tail(list, &job->queue);
    }

    job->state = DF_PG_JOB_QUEUED;

    pool->nqueued++;
    pool->gauges->queued++;

    df_pg_pool_wake(pool);
}


void
df_pg_pool_unqueue(df_pg_job_t *job)
{
    df_pg_pool_t  *pool;

    pool = job->pool;

    ngx_queue_remove(&job->queue);

    pool->nqueued--;
    pool->gauges->queued--;

    if (pool->nqueued == 0 && pool->expire.timer_set) {
        ngx_del_timer(&pool->expire);
    }
}


void
df_pg_pool_wake(df_pg_pool_t *pool)
{
    ngx_post_event(&pool->dispatch, &ngx_posted_events);
}


void
df_pg_pool_open(df_pg_pool_t *pool)
{
    pool->shut = 0;
    df_pg_pool_wake(pool);
}


void
df_pg_pool_shut(df_pg_pool_t *pool)
{
    pool->shut = 1;
}


/* jobs out: posted, runs once behind all events of a turn */

void
df_pg_dispatch(ngx_event_t *ev)
{
    df_pg_pool_t *pool = ev->data;

    df_pg_dispatch_ahead(pool);

    if (!pool->shut) {
        df_pg_dispatch_owns(pool);
        df_pg_dispatch_reads(pool);
    }

    df_pg_dispatch_flush(pool, &pool->shared);
    df_pg_dispatch_flush(pool, &pool->own);

    df_pg_pool_grow(pool);
    df_pg_dispatch_expire_arm(pool);
}


static void
df_pg_dispatch_ahead(df_pg_pool_t *pool)
{
    ngx_queue_t   *q, *next;
    df_pg_job_t   *job;
    df_pg_conn_t  *conn;

    /* one that finds no connection is not in the way of a cancel */

    for (q = ngx_queue_head(&pool->ahead);
         q != ngx_queue_sentinel(&pool->ahead);
         q = next)
    {
        next = ngx_queue_next(q);
        job = ngx_queue_data(q, df_pg_job_t, queue);

        conn = (job->lane == DF_PG_READ) ? df_pg_dispatch_shared(pool)
                                         : df_pg_dispatch_own(pool);

        if (conn) {
            df_pg_pool_unqueue(job);
            df_pg_dispatch_send(conn, job);
        }
    }
}


static void
df_pg_dispatch_owns(df_pg_pool_t *pool)
{
    ngx_queue_t   *q;
    df_pg_job_t   *job, *joined;
    df_pg_conn_t  *conn;

    q = ngx_queue_head(&pool->owns);

    while (q != ngx_queue_sentinel(&pool->owns)) {
        job = ngx_queue_data(q, df_pg_job_t, queue);
        q = ngx_queue_next(q);

        if (df_pg_join_waits(job)) {
            continue;
        }

        conn = df_pg_dispatch_own(pool);
        if (conn == NULL) {
            return;
        }

        joined = df_pg_join(job);

        if (joined) {
            job = joined;

            /* its members may have stood anywhere behind */

            q = ngx_queue_head(&pool->owns);

        } else {
            df_pg_pool_unqueue(job);
        }

        df_pg_dispatch_send(conn, job);
    }
}


/* a shape is tried on connections of its own, if one is free, before it may
   be in the way of others */

static void
df_pg_dispatch_reads(df_pg_pool_t *pool)
{
    df_pg_job_t   *job, *merged;
    df_pg_conn_t  *conn;

    while (!ngx_queue_empty(&pool->reads)) {
        job = ngx_queue_data(ngx_queue_head(&pool->reads), df_pg_job_t, queue);
        conn = NULL;

        if (!df_pg_shape_trusted(job->shape)) {
            conn = df_pg_dispatch_own(pool);
        }

        if (conn == NULL) {
            conn = df_pg_dispatch_shared(pool);
        }

        if (conn == NULL) {
            return;
        }

        merged = (conn->state == DF_PG_CONN_SHARED) ? df_pg_merge(job) : NULL;

        if (merged) {
            job = merged;

        } else {
            df_pg_pool_unqueue(job);
        }

        df_pg_dispatch_send(conn, job);
    }
}


static void
df_pg_dispatch_send(df_pg_conn_t *conn, df_pg_job_t *job)
{
    if (conn->state == DF_PG_CONN_OWN) {
        conn->owner = job;
        df_pg_conn_tick(conn, job->timeout + (job->group ? 0 : DF_PG_GRACE));

    } else {
        conn->njobs++;
        df_pg_count(conn->pool, shared);
    }

    if (df_pg_send_job(conn, job) != NGX_OK) {
        df_pg_conn_break(conn);
    }
}


/* an idle connection for one job, as long as some are left for reads */

static df_pg_conn_t *
df_pg_dispatch_own(df_pg_pool_t *pool)
{
    df_pg_conn_t  *conn;

    if (pool->nidle == 0 || pool->nown + pool->max_shared >= pool->max) {
        return NULL;
    }

    conn = ngx_queue_data(ngx_queue_head(&pool->idle), df_pg_conn_t, queue);
    df_pg_pool_move(conn, DF_PG_CONN_OWN);

    return conn;
}


/* the shared connection with the least to do */

static df_pg_conn_t *
df_pg_dispatch_shared(df_pg_pool_t *pool)
{
    ngx_queue_t   *q;
    df_pg_conn_t  *conn, *best;

    best = NULL;

    for (q = ngx_queue_head(&pool->shared);
         q != ngx_queue_sentinel(&pool->shared);
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, df_pg_conn_t, queue);

        if (!conn->broken && !conn->stalled && conn->njobs < DF_PG_DEPTH
            && conn->syncs < DF_PG_SEGMENTS
            && (best == NULL || conn->njobs < best->njobs))
        {
            best = conn;
        }
    }

    if ((best && best->njobs < DF_PG_BATCH)
        || pool->nidle == 0
        || (best && pool->nshared >= pool->max_shared))
    {
        return best;
    }

    /* also when all the shared ones are stalled: the limit is for batches */

    conn = ngx_queue_data(ngx_queue_head(&pool->idle), df_pg_conn_t, queue);
    df_pg_pool_move(conn, DF_PG_CONN_SHARED);

    return conn;
}


static void
df_pg_dispatch_flush(df_pg_pool_t *pool, ngx_queue_t *conns)
{
    ngx_queue_t   *q, *next;
    df_pg_conn_t  *conn;

    for (q = ngx_queue_head(conns); q != ngx_queue_sentinel(conns); q = next) {
        next = ngx_queue_next(q);
        conn = ngx_queue_data(q, df_pg_conn_t, queue);

        if (!conn->unflushed || conn->broken || conn->copy != DF_PG_COPY_NONE)
        {
            continue;
        }

        if (conn->segment) {
            df_pg_count(pool, flushes);
        }

        if ((conn->segment && df_pg_send_sync(conn, NULL) != NGX_OK)
            || df_pg_conn_flush(conn) != NGX_OK)
        {
            df_pg_conn_break(conn);
        }
    }
}


static void
df_pg_dispatch_fail(df_pg_pool_t *pool, ngx_queue_t *jobs)
{
    ngx_queue_t   failed;
    df_pg_job_t  *job;

    /* their owners may submit anew */

    if (ngx_queue_empty(jobs)) {
        return;
    }

    ngx_queue_init(&failed);
    ngx_queue_add(&failed, jobs);
    ngx_queue_init(jobs);

    while (!ngx_queue_empty(&failed)) {
        job = ngx_queue_data(ngx_queue_head(&failed), df_pg_job_t, queue);
        df_pg_pool_unqueue(job);
        df_pg_job_fail(job, DF_PG_DOWN);
    }
}


/* the queue's wait: each list is in the order of its deadlines */

static df_pg_job_t *
df_pg_dispatch_oldest(df_pg_pool_t *pool)
{
    ngx_uint_t    i;
    df_pg_job_t  *job, *oldest;
    ngx_queue_t  *lists[] = { &pool->ahead, &pool->reads, &pool->owns };

    oldest = NULL;

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {

        if (ngx_queue_empty(lists[i])) {
            continue;
        }

        job = ngx_queue_data(ngx_queue_head(lists[i]), df_pg_job_t, queue);

        if (oldest == NULL
            || (ngx_msec_int_t) (job->expires - oldest->expires) < 0)
        {
            oldest = job;
        }
    }

    return oldest;
}


static void
df_pg_dispatch_expire_arm(df_pg_pool_t *pool)
{
    df_pg_job_t     *job;
    ngx_msec_int_t   left;

    if (pool->nqueued == 0) {
        return;
    }

    job = df_pg_dispatch_oldest(pool);
    left = (ngx_msec_int_t) (job->expires - ngx_current_msec);

    /* a worker that is to exit stays for requests only */

    pool->expire.cancelable = ngx_queue_empty(&pool->reads)
                              && ngx_queue_empty(&pool->owns);

    ngx_add_timer(&pool->expire, (ngx_msec_t) ngx_max(left, 1));
}


void
df_pg_dispatch_expire(ngx_event_t *ev)
{
    df_pg_job_t   *job;
    df_pg_pool_t  *pool;

    pool = ev->data;

    for ( ;; ) {
        job = df_pg_dispatch_oldest(pool);

        if (job == NULL
            || (ngx_msec_int_t) (job->expires - ngx_current_msec) > 0)
        {
            break;
        }

        df_pg_pool_unqueue(job);
        df_pg_count(pool, queue_timeouts);
        df_pg_job_fail(job, DF_PG_QUEUE_TIMEOUT);
    }

    df_pg_dispatch_expire_arm(pool);
}


/* the database is down: nothing that waits will be sent */

void
df_pg_dispatch_fail_all(df_pg_pool_t *pool)
{
    df_pg_dispatch_fail(pool, &pool->ahead);
    df_pg_dispatch_fail(pool, &pool->owns);
    df_pg_dispatch_fail(pool, &pool->reads);
}
