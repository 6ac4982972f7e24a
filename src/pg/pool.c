
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A worker's connections to one database.  They are made one at a time, when
 * jobs wait for them, kept while they are of use, and the database is taken
 * for down when the last one is lost and no new one can be had.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


#define DF_PG_BACKOFF_MIN   250
#define DF_PG_BACKOFF_MAX   10000

#define DF_PG_UPKEEP        5000
/* seconds an idle connection above "size" is kept */
#define DF_PG_OVERFLOW      10


static df_pg_pool_t *df_pg_pool_create(ngx_cycle_t *cycle,
    df_database_t *database);
static void df_pg_pool_free(df_pg_pool_t *pool);
static void df_pg_pool_shares(ngx_cycle_t *cycle, df_pg_pool_t *pool);
static void df_pg_pool_roll_back(df_pg_conn_t *conn);
static void df_pg_pool_reconnect(ngx_event_t *ev);
static void df_pg_pool_upkeep(ngx_event_t *ev);
static void df_pg_pool_event(ngx_event_t *ev, ngx_event_handler_pt handler,
    df_pg_pool_t *pool);
static void df_pg_pool_set_state(df_pg_pool_t *pool,
    df_pg_pool_state_t state);


uint64_t
df_pg_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


ngx_int_t
df_pg_init_process(ngx_cycle_t *cycle, df_pg_conf_t *conf)
{
    ngx_uint_t       i;
    df_database_t  **databases;

    databases = conf->databases.elts;

    if (conf->databases.nelts && df_pg_resolve_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < conf->databases.nelts; i++) {
        databases[i]->pool = df_pg_pool_create(cycle, databases[i]);

        if (databases[i]->pool == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static df_pg_pool_t *
df_pg_pool_create(ngx_cycle_t *cycle, df_database_t *database)
{
    df_pg_pool_t  *pool;

    pool = ngx_pcalloc(cycle->pool, sizeof(df_pg_pool_t));
    if (pool == NULL) {
        return NULL;
    }

    pool->database = database;
    pool->stats = database->stats->addr;
    pool->gauges = &pool->stats->gauges[ngx_process_slot];
    ngx_memzero(pool->gauges, sizeof(df_pg_gauges_t));
    pool->log = cycle->log;
    pool->since = ngx_time();

    ngx_queue_init(&pool->idle);
    ngx_queue_init(&pool->shared);
    ngx_queue_init(&pool->own);
    ngx_queue_init(&pool->ahead);
    ngx_queue_init(&pool->reads);
    ngx_queue_init(&pool->owns);
    ngx_queue_init(&pool->shapes_lru);
    ngx_queue_init(&pool->free_jobs);

    pool->shapes = ngx_calloc(DF_PG_SHAPES * sizeof(df_pg_shape_t), pool->log);
    pool->buckets = ngx_calloc(2 * DF_PG_SHAPES * sizeof(df_pg_shape_t *),
                               pool->log);

    if (pool->shapes == NULL || pool->buckets == NULL) {
        return NULL;
    }

    df_pg_pool_event(&pool->dispatch, df_pg_dispatch, pool);
    df_pg_pool_event(&pool->expire, df_pg_dispatch_expire, pool);
    df_pg_pool_event(&pool->reconnect, df_pg_pool_reconnect, pool);
    df_pg_pool_event(&pool->upkeep, df_pg_pool_upkeep, pool);

    pool->reconnect.cancelable = 1;
    pool->upkeep.cancelable = 1;

    df_pg_pool_shares(cycle, pool);

    return pool;
}


static void
df_pg_pool_event(ngx_event_t *ev, ngx_event_handler_pt handler,
    df_pg_pool_t *pool)
{
    ev->handler = handler;
    ev->data = pool;
    ev->log = pool->log;
}


/* a worker's part of what the instance may use: at least two, so that a write
   never stands before the reads */

static void
df_pg_pool_shares(ngx_cycle_t *cycle, df_pg_pool_t *pool)
{
    ngx_uint_t        workers;
    df_database_t    *database;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    workers = (ngx_uint_t) ccf->worker_processes;
    database = pool->database;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        workers = 1;
    }

    pool->size = ((ngx_uint_t) database->size + workers - 1) / workers;
    pool->max = pool->size
                + ((ngx_uint_t) database->overflow + workers - 1) / workers;

    pool->size = ngx_max(pool->size, 2);
    pool->max = ngx_max(pool->max, pool->size);

    pool->max_shared = pool->max / 4;
    pool->max_shared = ngx_max(pool->max_shared, 1);
    pool->max_shared = ngx_min(pool->max_shared, 2);
}


void
df_pg_exit_process(df_pg_conf_t *conf)
{
    ngx_uint_t       i;
    df_database_t  **databases;

    databases = conf->databases.elts;

    for (i = 0; i < conf->databases.nelts; i++) {
        if (databases[i]->pool) {
            df_pg_pool_free(databases[i]->pool);
            databases[i]->pool = NULL;
        }
    }
}


/* nobody is told any more */

static void
df_pg_pool_free(df_pg_pool_t *pool)
{
    ngx_uint_t     i;
    ngx_queue_t   *q;
    df_pg_job_t   *job;
    df_pg_conn_t  *conn;
    ngx_queue_t   *conns[] = { &pool->idle, &pool->shared, &pool->own };
    ngx_queue_t   *jobs[] = { &pool->ahead, &pool->reads, &pool->owns };

    if (pool->connecting) {
        df_pg_conn_close(pool->connecting);
    }

    for (i = 0; i < sizeof(conns) / sizeof(conns[0]); i++) {
        while (!ngx_queue_empty(conns[i])) {
            q = ngx_queue_head(conns[i]);
            conn = ngx_queue_data(q, df_pg_conn_t, queue);

            while (!ngx_queue_empty(&conn->jobs)) {
                q = ngx_queue_head(&conn->jobs);
                ngx_queue_remove(q);
                df_pg_job_free(ngx_queue_data(q, df_pg_job_t, queue));
            }

            if (conn->owner && conn->owner->state == DF_PG_JOB_HELD) {
                df_pg_job_free(conn->owner);
            }

            conn->canceller = NULL;

            df_pg_pool_remove(conn);
            df_pg_conn_close(conn);
        }
    }

    for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        while (!ngx_queue_empty(jobs[i])) {
            q = ngx_queue_head(jobs[i]);
            job = ngx_queue_data(q, df_pg_job_t, queue);
            df_pg_pool_unqueue(job);
            df_pg_job_free(job);
        }
    }

    while (!ngx_queue_empty(&pool->free_jobs)) {
        q = ngx_queue_head(&pool->free_jobs);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, df_pg_job_t, queue));
    }

    df_pg_shapes_free(pool);
}


df_pg_pool_state_t
df_pg_pool_state(df_pg_pool_t *pool, time_t *since, ngx_str_t *last_error)
{
    if (pool == NULL) {
        *since = ngx_time();
        ngx_str_null(last_error);

        return DF_PG_POOL_UNTRIED;
    }

    *since = pool->since;
    *last_error = pool->last_error;

    return pool->state;
}


static void
df_pg_pool_set_state(df_pg_pool_t *pool, df_pg_pool_state_t state)
{
    if (pool->state == state) {
        return;
    }

    pool->state = state;
    pool->since = ngx_time();

    if (state == DF_PG_POOL_UP) {
        pool->last_error.len = 0;
        ngx_log_error(NGX_LOG_NOTICE, pool->log, 0,
                      "dataflow: database \"%V\" is up",
                      &pool->database->name);

    } else {
        ngx_log_error(NGX_LOG_ERR, pool->log, 0,
                      "dataflow: database \"%V\" is down: %V",
                      &pool->database->name, &pool->last_error);
    }
}


void
df_pg_gauges(const df_pg_stats_t *stats, df_pg_gauges_t *sum)
{
    ngx_uint_t             i;
    const df_pg_gauges_t  *g;

    ngx_memzero(sum, sizeof(df_pg_gauges_t));

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        g = &stats->gauges[i];

        sum->connections += g->connections;
        sum->busy += g->busy;
        sum->queued += g->queued;
    }
}


/* connections */

void
df_pg_pool_move(df_pg_conn_t *conn, df_pg_conn_state_t state)
{
    ngx_uint_t     *n;
    ngx_queue_t    *list;
    df_pg_pool_t   *pool;

    df_pg_pool_remove(conn);

    pool = conn->pool;
    conn->state = state;

    switch (state) {

    case DF_PG_CONN_IDLE:
        list = &pool->idle;
        n = &pool->nidle;
        break;

    case DF_PG_CONN_SHARED:
        list = &pool->shared;
        n = &pool->nshared;
        break;

    default:
        list = &pool->own;
        n = &pool->nown;
    }

    /* the one used last first: its caches are warm, and the others can age */

    ngx_queue_insert_head(list, &conn->queue);
    (*n)++;

    pool->gauges->connections++;

    conn->c->idle = (state == DF_PG_CONN_IDLE);

    if (state != DF_PG_CONN_IDLE) {
        pool->gauges->busy++;
    }

    if (state == DF_PG_CONN_SHARED) {
        conn->njobs = 0;
        conn->stalled = 0;
        conn->seen = conn->progress - 1;

        if (!conn->timer.timer_set) {
            df_pg_conn_tick(conn, DF_PG_STALL);
        }
    }
}


void
df_pg_pool_remove(df_pg_conn_t *conn)
{
    df_pg_pool_t  *pool;

    pool = conn->pool;

    switch (conn->state) {

    case DF_PG_CONN_CONNECTING:
        return;

    case DF_PG_CONN_IDLE:
        pool->nidle--;
        break;

    case DF_PG_CONN_SHARED:
        pool->nshared--;
        break;

    case DF_PG_CONN_OWN:
        pool->nown--;
        break;
    }

    ngx_queue_remove(&conn->queue);
    pool->gauges->connections--;

    if (conn->state != DF_PG_CONN_IDLE) {
        pool->gauges->busy--;
    }
}


void
df_pg_pool_give_back(df_pg_conn_t *conn)
{
    df_pg_pool_t  *pool;

    if (conn->expect_head != conn->expect_tail || conn->owner
        || conn->canceller || conn->broken)
    {
        return;
    }

    pool = conn->pool;
    conn->used = ngx_time();

    if ((ngx_exiting && pool->nqueued == 0) || conn->used >= conn->retire) {
        df_pg_conn_break(conn);
        return;
    }

    if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {
        df_pg_pool_roll_back(conn);
        return;
    }

    if (conn->state == DF_PG_CONN_OWN && conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    df_pg_pool_move(conn, DF_PG_CONN_IDLE);

    if (pool->nqueued) {
        df_pg_pool_wake(pool);
    }
}


/* a job has left its transaction open: it comes here again without it */

static void
df_pg_pool_roll_back(df_pg_conn_t *conn)
{
    df_pg_conn_tick(conn, conn->pool->database->statement_timeout
                          + DF_PG_GRACE);

    if (df_pg_send_utility(conn, "ROLLBACK") != NGX_OK
        || df_pg_send_sync(conn, NULL) != NGX_OK
        || df_pg_conn_flush(conn) != NGX_OK)
    {
        df_pg_conn_break(conn);
    }
}


void
df_pg_pool_connected(df_pg_conn_t *conn)
{
    ngx_msec_t     jitter;
    df_pg_pool_t  *pool;

    pool = conn->pool;
    pool->connecting = NULL;
    pool->backoff = 0;
    pool->lost = 0;

    /* not all of them at once */

    jitter = pool->database->recycle / 10;
    jitter = jitter ? (ngx_msec_t) ngx_random() % jitter : 0;

    conn->used = ngx_time();
    conn->retire = conn->used + (pool->database->recycle - jitter) / 1000;

    df_pg_pool_move(conn, DF_PG_CONN_IDLE);
    df_pg_pool_set_state(pool, DF_PG_POOL_UP);

    if (!pool->upkeep.timer_set) {
        ngx_add_timer(&pool->upkeep, DF_PG_UPKEEP);
    }

    df_pg_pool_wake(pool);
}


void
df_pg_pool_connect_failed(df_pg_pool_t *pool, const char *why)
{
    ngx_msec_t  delay;

    df_pg_count(pool, connect_failures);

    pool->last_error.data = pool->error_text;
    pool->last_error.len = ngx_cpystrn(pool->error_text, (u_char *) why,
                                       sizeof(pool->error_text))
                           - pool->error_text;

    pool->backoff = ngx_max(pool->backoff * 2, DF_PG_BACKOFF_MIN);
    pool->backoff = ngx_min(pool->backoff, DF_PG_BACKOFF_MAX);

    delay = pool->backoff / 2
            + (ngx_msec_t) ngx_random() % (pool->backoff / 2);

    ngx_add_timer(&pool->reconnect, delay);

    pool->lost = 0;

    if (pool->nidle + pool->nshared + pool->nown) {
        ngx_log_error(NGX_LOG_WARN, pool->log, 0,
                      "dataflow: database \"%V\": no further connection: %V",
                      &pool->database->name, &pool->last_error);
        return;
    }

    df_pg_pool_set_state(pool, DF_PG_POOL_DOWN);

    df_pg_dispatch_fail_all(pool);
}


/*
 * Another connection when jobs wait for one: one login at a time.  Reads that
 * wait for the shared connections' next segments want no more of them, unless
 * those are stalled.
 */

void
df_pg_pool_grow(df_pg_pool_t *pool)
{
    ngx_uint_t     n, max, waits, shared;
    ngx_queue_t   *q;
    df_pg_conn_t  *conn;

    n = pool->nidle + pool->nshared + pool->nown;

    /* when all are busy, there is one more to cancel with */

    max = pool->max + !ngx_queue_empty(&pool->ahead);

    if ((pool->nqueued == 0 && !pool->lost) || pool->connecting
        || pool->reconnect.timer_set || n >= max || ngx_terminate)
    {
        return;
    }

    /* a shut pool tells at least whether the database is there */

    waits = pool->lost || !ngx_queue_empty(&pool->ahead)
            || (pool->shut && n == 0);

    if (!pool->shut && !ngx_queue_empty(&pool->owns)) {
        waits |= pool->nidle == 0
                 && pool->nown + pool->max_shared < pool->max;
    }

    if (!pool->shut && !ngx_queue_empty(&pool->reads)) {
        shared = 0;

        for (q = ngx_queue_head(&pool->shared);
             q != ngx_queue_sentinel(&pool->shared);
             q = ngx_queue_next(q))
        {
            conn = ngx_queue_data(q, df_pg_conn_t, queue);
            shared += !conn->stalled && !conn->broken;
        }

        waits |= shared < pool->max_shared;
    }

    if (waits) {
        df_pg_conn_open(pool);
    }
}


static void
df_pg_pool_reconnect(ngx_event_t *ev)
{
    df_pg_pool_t *pool = ev->data;

    if (pool->state == DF_PG_POOL_DOWN && !pool->connecting) {
        df_pg_conn_open(pool);
        return;
    }

    df_pg_pool_wake(pool);
}


/* idle connections that are too old, or too many */

static void
df_pg_pool_upkeep(ngx_event_t *ev)
{
    time_t         now, idle;
    ngx_uint_t     n;
    ngx_queue_t   *q, *prev;
    df_pg_conn_t  *conn;
    df_pg_pool_t  *pool;

    pool = ev->data;
    now = ngx_time();

    for (q = ngx_queue_last(&pool->idle);
         q != ngx_queue_sentinel(&pool->idle);
         q = prev)
    {
        prev = ngx_queue_prev(q);
        conn = ngx_queue_data(q, df_pg_conn_t, queue);

        n = pool->nidle + pool->nshared + pool->nown;
        idle = (time_t) (pool->database->idle / 1000);

        if (n > pool->size) {
            idle = ngx_min(idle, DF_PG_OVERFLOW);
        }

        if (now - conn->used >= idle || now >= conn->retire) {
            df_pg_conn_lost(conn, NULL);
        }
    }

    if (pool->nidle + pool->nshared + pool->nown) {
        ngx_add_timer(&pool->upkeep, DF_PG_UPKEEP);
    }
}
