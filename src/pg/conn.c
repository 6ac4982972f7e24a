
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * One connection in nginx's event loop.  The socket is libpq's: events are
 * level-triggered, since PQconsumeInput() does not say whether it has read
 * everything, and the ngx_connection_t around it is "shared", so that nginx
 * closes neither the socket nor its registration.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"
#include <sys/stat.h>
#include <openssl/ssl.h>


static void df_pg_conn_start(df_pg_conn_t *conn, const char *address);
static ngx_int_t df_pg_conn_watch(df_pg_conn_t *conn);
static void df_pg_conn_unwatch(df_pg_conn_t *conn);
static ngx_uint_t df_pg_conn_watched(df_pg_conn_t *conn);
static ngx_int_t df_pg_conn_want(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t on);
static void df_pg_conn_poll(df_pg_conn_t *conn);
static ngx_int_t df_pg_conn_ready(df_pg_conn_t *conn);
static void df_pg_conn_failed(df_pg_conn_t *conn, const char *why);
static void df_pg_conn_event(ngx_event_t *ev);
static void df_pg_conn_input(df_pg_conn_t *conn);
static ngx_uint_t df_pg_conn_pending(df_pg_conn_t *conn);
static void df_pg_conn_timer(ngx_event_t *ev);
static void df_pg_conn_notice(void *data, const char *message);


void
df_pg_conn_open(df_pg_pool_t *pool)
{
    char              address[NGX_SOCKADDR_STRLEN + 1];
    ngx_int_t         rc;
    ngx_uint_t        i;
    const char       *host;
    df_pg_conn_t     *conn;
    df_pg_keyword_t  *keywords;

    df_pg_count(pool, connects);

    conn = ngx_calloc(sizeof(df_pg_conn_t), pool->log);
    if (conn == NULL) {
        df_pg_pool_connect_failed(pool, "out of memory");
        return;
    }

    conn->expect_size = 256;
    conn->expect = ngx_alloc(conn->expect_size * sizeof(df_pg_expect_t),
                             pool->log);
    conn->prepared = ngx_calloc(DF_PG_SHAPES * sizeof(df_pg_prepared_t),
                                pool->log);

    conn->pool = pool;
    conn->state = DF_PG_CONN_CONNECTING;
    conn->timer.handler = df_pg_conn_timer;
    conn->timer.data = conn;
    conn->timer.log = pool->log;
    ngx_queue_init(&conn->jobs);
    ngx_queue_init(&conn->prepared_lru);

    pool->connecting = conn;

    if (conn->expect == NULL || conn->prepared == NULL) {
        df_pg_conn_failed(conn, "out of memory");
        return;
    }

    host = "";
    keywords = pool->database->keywords->elts;

    for (i = 0; i < pool->database->keywords->nelts; i++) {
        if (ngx_strcmp(keywords[i].name, "hostaddr") == 0) {
            host = "";
            break;
        }

        if (ngx_strcmp(keywords[i].name, "host") == 0) {
            host = keywords[i].value;
        }
    }

    ngx_add_timer(&conn->timer, pool->database->connect_timeout);
    conn->timer.cancelable = 1;

    if (host[0] == '\0' || host[0] == '/' || host[0] == '@') {
        df_pg_conn_start(conn, NULL);
        return;
    }

    rc = df_pg_resolve(conn, host, address);

    if (rc == NGX_OK) {
        df_pg_conn_start(conn, address);

    } else if (rc == NGX_ERROR) {
        df_pg_conn_failed(conn, "host name could not be resolved");
    }
}


void
df_pg_conn_resolved(df_pg_conn_t *conn, const char *address)
{
    conn->resolving = NULL;

    if (address == NULL) {
        df_pg_conn_failed(conn, "host name could not be resolved");
        return;
    }

    df_pg_conn_start(conn, address);
}


static void
df_pg_conn_start(df_pg_conn_t *conn, const char *address)
{
    conn->pg = df_pg_session_start(conn->pool->database, address,
                                   conn->pool->log);

    if (conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD) {
        df_pg_conn_failed(conn, conn->pg ? PQerrorMessage(conn->pg)
                                         : "out of memory");
        return;
    }

    (void) PQsetNoticeProcessor(conn->pg, df_pg_conn_notice, conn);

    if (df_pg_conn_watch(conn) != NGX_OK
        || df_pg_conn_want(conn->c->write, NGX_WRITE_EVENT, 1) != NGX_OK)
    {
        df_pg_conn_failed(conn, "no free worker_connections");
    }
}


static void
df_pg_conn_notice(void *data, const char *message)
{
    df_pg_conn_t *conn = data;

    conn->noticed = 1;

    ngx_log_error(NGX_LOG_INFO, conn->pool->log, 0,
                  "dataflow: database \"%V\": %s",
                  &conn->pool->database->name, message);
}


static ngx_int_t
df_pg_conn_watch(df_pg_conn_t *conn)
{
    struct stat        sb;
    ngx_connection_t  *c;

    if (df_pg_conn_watched(conn)) {
        return NGX_OK;
    }

    df_pg_conn_unwatch(conn);

    if (fstat(PQsocket(conn->pg), &sb) == -1) {
        return NGX_ERROR;
    }

    c = ngx_get_connection(PQsocket(conn->pg), conn->pool->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    conn->c = c;
    conn->inode = sb.st_ino;

    c->shared = 1;
    c->data = conn;
    c->log = conn->pool->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = df_pg_conn_event;
    c->write->handler = df_pg_conn_event;

    return NGX_OK;
}


static void
df_pg_conn_unwatch(df_pg_conn_t *conn)
{
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = conn->c;

    if (c == NULL) {
        return;
    }

    /* what libpq has closed already the kernel has forgotten */

    flags = df_pg_conn_watched(conn) ? 0 : NGX_CLOSE_EVENT;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    ngx_close_connection(c);
    conn->c = NULL;
}


/* PQconnectPoll() may close the socket and open another one, often with the
   same number; the inode tells */

static ngx_uint_t
df_pg_conn_watched(df_pg_conn_t *conn)
{
    struct stat  sb;

    return conn->c && PQsocket(conn->pg) == conn->c->fd
           && fstat(conn->c->fd, &sb) == 0 && sb.st_ino == conn->inode;
}


static ngx_int_t
df_pg_conn_want(ngx_event_t *ev, ngx_int_t event, ngx_uint_t on)
{
    if (ev->active == on) {
        return NGX_OK;
    }

    return on ? ngx_add_event(ev, event, NGX_LEVEL_EVENT)
              : ngx_del_event(ev, event, 0);
}


ngx_int_t
df_pg_conn_read(df_pg_conn_t *conn, ngx_uint_t on)
{
    return df_pg_conn_want(conn->c->read, NGX_READ_EVENT, on);
}


/* PostgreSQL documentation, "Asynchronous Command Processing" and
   PQconnectPoll */

static void
df_pg_conn_poll(df_pg_conn_t *conn)
{
    ngx_uint_t                 want_read, want_write;
    PostgresPollingStatusType  status;

    status = PQconnectPoll(conn->pg);

    if (status == PGRES_POLLING_OK) {
        if (df_pg_conn_ready(conn) != NGX_OK) {
            df_pg_conn_failed(conn, "pipeline mode was refused");
        }

        return;
    }

    want_read = (status == PGRES_POLLING_READING);
    want_write = (status == PGRES_POLLING_WRITING);

    if (!want_read && !want_write) {
        df_pg_conn_failed(conn, PQerrorMessage(conn->pg));
        return;
    }

    if (df_pg_conn_watch(conn) != NGX_OK
        || df_pg_conn_want(conn->c->read, NGX_READ_EVENT, want_read) != NGX_OK
        || df_pg_conn_want(conn->c->write, NGX_WRITE_EVENT, want_write)
           != NGX_OK)
    {
        df_pg_conn_failed(conn, "no free worker_connections");
    }
}


static ngx_int_t
df_pg_conn_ready(df_pg_conn_t *conn)
{
    if (df_pg_conn_watch(conn) != NGX_OK
        || PQsetnonblocking(conn->pg, 1) == -1
        || PQenterPipelineMode(conn->pg) == 0
        || df_pg_conn_want(conn->c->write, NGX_WRITE_EVENT, 0) != NGX_OK
        || df_pg_conn_want(conn->c->read, NGX_READ_EVENT, 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_del_timer(&conn->timer);
    conn->timer.cancelable = 0;

    *ngx_sprintf((u_char *) conn->pid, "%d", PQbackendPID(conn->pg)) = '\0';

    df_pg_pool_connected(conn);

    return NGX_OK;
}


static void
df_pg_conn_failed(df_pg_conn_t *conn, const char *why)
{
    size_t         len;
    u_char         text[256];
    df_pg_pool_t  *pool;

    /* libpq's message goes with the connection; it ends in a line feed */

    len = ngx_min(ngx_strlen(why), sizeof(text) - 1);

    while (len && why[len - 1] == LF) {
        len--;
    }

    *ngx_cpymem(text, why, len) = '\0';

    pool = conn->pool;
    pool->connecting = NULL;

    df_pg_conn_close(conn);
    df_pg_pool_connect_failed(pool, (char *) text);
}


void
df_pg_conn_close(df_pg_conn_t *conn)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (conn->resolving) {
        ngx_resolve_name_done(conn->resolving);
    }

    if (conn->canceller) {
        df_pg_abandon(conn->canceller);
    }

    df_pg_conn_unwatch(conn);

    if (conn->pg) {
        PQfinish(conn->pg);
    }

    if (conn->expect) {
        ngx_free(conn->expect);
    }

    if (conn->prepared) {
        ngx_free(conn->prepared);
    }

    ngx_free(conn);
}


/* reading and writing come here */

static void
df_pg_conn_event(ngx_event_t *ev)
{
    df_pg_conn_t      *conn;
    ngx_connection_t  *c;

    c = ev->data;
    conn = c->data;

    if (c->close && conn->state == DF_PG_CONN_IDLE) {

        /* the worker is asked to quit: ngx_close_idle_connections() */

        df_pg_conn_lost(conn, NULL);
        return;
    }

    if (conn->state == DF_PG_CONN_CONNECTING) {
        df_pg_conn_poll(conn);
        return;
    }

    if (ev->write && df_pg_conn_flush(conn) == NGX_OK) {

        if (conn->copy != DF_PG_COPY_NONE) {
            df_pg_copy_written(conn);
        }

        return;
    }

    df_pg_conn_input(conn);
}


static void
df_pg_conn_input(df_pg_conn_t *conn)
{
    int  rc;

    rc = PQconsumeInput(conn->pg);

    /* the server's last words may have come before the end */

    df_pg_receive(conn);

    if (rc == 0 || conn->broken || PQstatus(conn->pg) != CONNECTION_OK) {
        df_pg_conn_lost(conn, PQerrorMessage(conn->pg));
        return;
    }

    if (conn->unflushed && conn->copy == DF_PG_COPY_NONE
        && df_pg_conn_flush(conn) != NGX_OK)
    {
        df_pg_conn_lost(conn, PQerrorMessage(conn->pg));
        return;
    }

    if (conn->c->read->active && df_pg_conn_pending(conn)) {
        ngx_post_event(conn->c->read, &ngx_posted_events);
    }

    if (conn->owner && conn->owner->lane == DF_PG_STREAM
        && !conn->owner->paused && !conn->owner->cancelled)
    {
        df_pg_conn_tick(conn, conn->owner->timeout);
    }

    if (conn->state != DF_PG_CONN_IDLE) {
        df_pg_pool_give_back(conn);
    }
}


/* OpenSSL may hold bytes that the socket raises no event for any more */

static ngx_uint_t
df_pg_conn_pending(df_pg_conn_t *conn)
{
    SSL  *ssl;

    ssl = PQsslInUse(conn->pg) ? PQsslStruct(conn->pg, "OpenSSL") : NULL;

    return ssl && SSL_pending(ssl) > 0;
}


ngx_int_t
df_pg_conn_flush(df_pg_conn_t *conn)
{
    int  rc;

    rc = PQflush(conn->pg);

    if (rc == -1) {
        return NGX_ERROR;
    }

    conn->unflushed = (rc == 1);

    return df_pg_conn_want(conn->c->write, NGX_WRITE_EVENT, rc == 1);
}


void
df_pg_conn_tick(df_pg_conn_t *conn, ngx_msec_t msec)
{
    ngx_add_timer(&conn->timer, msec);
}


void
df_pg_conn_break(df_pg_conn_t *conn)
{
    conn->broken = 1;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    ngx_add_timer(&conn->timer, 0);
}


static void
df_pg_conn_timer(ngx_event_t *ev)
{
    df_pg_conn_t *conn = ev->data;

    if (conn->state == DF_PG_CONN_CONNECTING) {
        df_pg_conn_failed(conn, "connecting took too long");
        return;
    }

    if (conn->broken) {

        /* the server's last words; or retired, if nothing is expected of it */

        conn->broken = 0;
        df_pg_receive(conn);

        df_pg_conn_lost(conn, conn->expect_head == conn->expect_tail
                              && conn->copy == DF_PG_COPY_NONE
                              ? NULL : PQerrorMessage(conn->pg));
        return;
    }

    switch (conn->state) {

    case DF_PG_CONN_SHARED:
        df_pg_conn_stall(conn);
        return;

    case DF_PG_CONN_OWN:
        df_pg_conn_overdue(conn);
        return;

    default:
        return;
    }
}
