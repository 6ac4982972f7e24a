
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * pg: PostgreSQL from nginx's event loop.  Statements of many requests share
 * a few connections of a worker in libpq's pipeline mode.  Nothing here knows
 * of models or of HTTP, and nothing outside this folder calls libpq but to
 * read a PGresult.
 */


#ifndef _DF_PG_H_INCLUDED_
#define _DF_PG_H_INCLUDED_


#include "core/core.h"
#include <libpq-fe.h>


DF_HIDDEN_BEGIN


/* configuration: one dataflow_database block */

typedef enum {
    DF_MIGRATE_OFF = 0,
    DF_MIGRATE_VERIFY,
    DF_MIGRATE_APPLY
} df_migrate_t;

typedef struct df_pg_pool_s  df_pg_pool_t;

/* what PQconnectStartParams() takes */
typedef struct {
    char            *name;
    char            *value;
} df_pg_keyword_t;

typedef struct {
    ngx_str_t        name;
    ngx_str_t        primary;           /* conninfo as written */
    ngx_array_t     *keywords;          /* of df_pg_keyword_t, checked, none
                                           empty; with sslmode in any case */

    ngx_int_t        size;              /* connections, whole instance */
    ngx_int_t        overflow;
    ngx_int_t        queue;             /* statements that wait, a worker */
    ngx_msec_t       recycle;
    ngx_msec_t       idle;
    ngx_msec_t       wait;              /* in the queue */

    ngx_msec_t       connect_timeout;
    ngx_msec_t       statement_timeout;

    ngx_flag_t       prepare;           /* off: for transaction poolers */
    ngx_uint_t       migrate;           /* df_migrate_t */

    df_zone_t       *zone;              /* known after df_pg_conf_finish() */
    df_zone_slot_t  *stats;             /* df_pg_stats_t */
    df_zone_slot_t  *migration;         /* the migrator's state, schema/;
                                           NULL for a database without models */

    u_char          *file;              /* where it was declared */
    ngx_uint_t       line;

    df_pg_pool_t    *pool;              /* this worker's; made at its start */
} df_database_t;

typedef struct {
    ngx_array_t      databases;         /* df_database_t * */
} df_pg_conf_t;

ngx_int_t df_pg_conf_init(ngx_conf_t *cf, df_pg_conf_t *conf);
df_database_t *df_pg_conf_find(df_pg_conf_t *conf, const ngx_str_t *name);

/* dataflow_database NAME { … } and the commands of its block */
char *df_pg_conf_database(ngx_conf_t *cf, df_pg_conf_t *conf);
char *df_pg_conf_primary(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_pg_conf_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_pg_conf_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_pg_conf_migrate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* fills keywords from primary; what was wrong is logged */
ngx_int_t df_pg_conninfo_parse(ngx_conf_t *cf, df_database_t *database);

/* reserves the slots of shared memory; after the blocks are read */
ngx_int_t df_pg_conf_finish(ngx_conf_t *cf, df_pg_conf_t *conf,
    df_zone_t *zone);


/* counters, in shared memory, of all workers together; gauges of each process,
   as one that is killed leaves them behind for the next in its place */

#define DF_PG_LATENCY_BUCKETS  16       /* below 2^n * 128 microseconds */

typedef struct {
    ngx_uint_t       connections;
    ngx_uint_t       busy;
    ngx_uint_t       queued;
} df_pg_gauges_t;

typedef struct {
    ngx_atomic_t     connects;
    ngx_atomic_t     connect_failures;
    ngx_atomic_t     lost;              /* connections that broke */
    ngx_atomic_t     statements[3];     /* by df_pg_lane_t */
    ngx_atomic_t     shared;            /* reads sent on shared connections */
    ngx_atomic_t     flushes;           /* of shared connections */
    ngx_atomic_t     errors;
    ngx_atomic_t     resent;            /* after a neighbour's failure */
    ngx_atomic_t     retried;           /* after a lost connection */
    ngx_atomic_t     cancelled;
    ngx_atomic_t     orphaned;
    ngx_atomic_t     queue_full;
    ngx_atomic_t     queue_timeouts;
    ngx_atomic_t     statement_timeouts;
    ngx_atomic_t     latency[DF_PG_LATENCY_BUCKETS];
    df_pg_gauges_t   gauges[NGX_MAX_PROCESSES];
} df_pg_stats_t;

/* of all processes together */
void df_pg_gauges(const df_pg_stats_t *stats, df_pg_gauges_t *sum);


/* statements */

typedef enum {
    DF_PG_READ = 0,     /* short SELECTs: share connection and Sync */
    DF_PG_WRITE,        /* a connection of its own, and a segment unless it
                           joins others */
    DF_PG_STREAM        /* row by row, on a connection of its own */
} df_pg_lane_t;

/*
 * What a SELECT of one row by its key tells of itself, so that equal ones of
 * a turn can be sent as one: its text ends in "<column> = $1", the only
 * parameter, and the parameter is the key as PostgreSQL prints it.
 */

typedef struct {
    ngx_str_t            column;        /* quoted */
    Oid                  array;         /* the type of an array of keys */
    size_t               list;          /* length of the text up to FROM */
} df_pg_key_t;

/*
 * A statement and its parameters belong to the caller and must stay until the
 * job is done or abandoned.  Text is NUL-terminated; equal texts share a
 * prepared statement, so the types of equal texts are equal too.
 */

typedef struct {
    ngx_str_t            text;
    ngx_uint_t           nparams;
    const Oid           *types;
    const char *const   *values;        /* text form; NULL is SQL's NULL */
    const df_pg_key_t   *key;           /* of a READ, or NULL */
    unsigned             text_result:1; /* else results are binary */
    unsigned             unprepared:1;  /* utility statements, one-offs */
    unsigned             joins:1;       /* an INSERT, the only one of a WRITE,
                                           that may share a transaction */
    unsigned             sync:1;        /* a Sync follows: what comes behind
                                           runs whatever becomes of this */
} df_pg_statement_t;

typedef enum {
    DF_PG_OK = 0,
    DF_PG_SQL,              /* PostgreSQL refused: sqlstate and message */
    DF_PG_DOWN,             /* no connection; nothing was done */
    DF_PG_QUEUE_FULL,       /* nothing was done */
    DF_PG_QUEUE_TIMEOUT,    /* nothing was done */
    DF_PG_STATEMENT_TIMEOUT,
    DF_PG_OUTCOME_UNKNOWN,  /* a write whose connection was lost */
    DF_PG_NO_MEMORY
} df_pg_failure_t;

/* Strings live until the handler returns. */

typedef struct {
    df_pg_failure_t      failure;
    ngx_uint_t           statement;     /* index of the one that failed */
    char                 sqlstate[6];
    ngx_str_t            message;
    ngx_str_t            detail;
    ngx_str_t            constraint;
    ngx_str_t            table;
    ngx_str_t            column;
    ngx_uint_t           line;          /* of a COPY's data, from 1; 0: none */
    ngx_uint_t           retry_after;   /* seconds, a hint */
} df_pg_error_t;


/* jobs */

typedef struct df_pg_job_s  df_pg_job_t;

/*
 * What a job tells its owner.  Never from inside df_pg_submit(); after done()
 * the job is gone, unless it is to hold its connection and all went well or
 * PostgreSQL refused (there is an sqlstate); after df_pg_abandon() nothing is
 * called any more.  The owner may abandon or submit from inside.
 *
 * result: the result of statement i, PGRES_TUPLES_OK or PGRES_COMMAND_OK, of
 *         which "n" rows from "row" on are the job's; it is freed when the
 *         function returns.  A statement that failed has no result: done()
 *         tells.  With "sync" statements behind the failed one their results
 *         still come.
 * row:    a stream's row, one PGRES_SINGLE_TUPLE; NGX_AGAIN pauses the stream
 *         until df_pg_resume(); the row it returned for is consumed.
 * done:   once; error->failure is DF_PG_OK when all went well.
 */

typedef struct {
    void       (*result)(void *data, ngx_uint_t i, PGresult *res,
                         ngx_uint_t row, ngx_uint_t n);
    ngx_int_t  (*row)(void *data, PGresult *res);
    void       (*done)(void *data, const df_pg_error_t *error);
} df_pg_callbacks_t;

typedef struct {
    const df_pg_statement_t  *statements;
    ngx_uint_t                nstatements;
    df_pg_lane_t              lane;
    ngx_msec_t                timeout;  /* queue excluded; 0: database's */
    unsigned                  hold:1;   /* keep the connection after done() */
    const df_pg_callbacks_t  *callbacks;
    void                     *data;
} df_pg_spec_t;

/*
 * Submits a job; what is submitted in one turn of the event loop is sent with
 * one flush.  NULL with the error filled when the job is refused at once.
 *
 * A READ job is SELECTs without side effects: it is sent again, from its first
 * statement, when a neighbour failed or the connection was lost before its
 * first result.  A WRITE job is sent again only when PostgreSQL has told that
 * nothing of it was done.  The last statement of a WRITE always ends with a
 * Sync, a READ has no "sync" statements.
 */
df_pg_job_t *df_pg_submit(df_pg_pool_t *pool, const df_pg_spec_t *spec,
    df_pg_error_t *error);

/*
 * The owner goes away: a queued job is dropped, a READ's result is drained
 * unseen, any other running statement is cancelled.  A held connection whose
 * transaction is open is rolled back.
 */
void df_pg_abandon(df_pg_job_t *job);

/* a paused stream goes on; rows may come before the next turn */
void df_pg_resume(df_pg_job_t *job);

/*
 * For a job that holds its connection, after done(): the next statements on
 * the same connection (callbacks and data as before), or the end of the hold.
 * df_pg_continue() returns NGX_ERROR, and the job is gone, if the connection
 * was lost.
 */
ngx_int_t df_pg_continue(df_pg_job_t *job, const df_pg_statement_t *statements,
    ngx_uint_t nstatements, ngx_msec_t timeout);
void df_pg_release(df_pg_job_t *job);


/*
 * COPY … FROM STDIN, for a job that holds its connection, in the transaction
 * that it has begun.  While rows are put the job has no deadline but this: in
 * "timeout" some of what was put must be taken by the server, and so must the
 * statement's beginning and its end.  The server's own statement_timeout is
 * for the owner to set in the transaction.
 *
 * writable() is called when the server wants rows, and again whenever rows may
 * be put behind an NGX_AGAIN, or would be declined; the owner may do anything
 * from inside.  result() gets the COPY's result, done() comes last, as behind
 * df_pg_continue().  Until the owner commits nothing was done, and a lost
 * connection is told as DF_PG_DOWN.
 *
 * df_pg_copy() returns NGX_ERROR, and the job is gone, if the connection was
 * lost.
 */

typedef struct {
    const char          *text;          /* the statement; it is copied */
    ngx_msec_t           timeout;       /* 0: database's */
    void               (*writable)(void *data);
} df_pg_copy_t;

ngx_int_t df_pg_copy(df_pg_job_t *job, const df_pg_copy_t *copy);

/*
 * NGX_OK; NGX_AGAIN, taken as well, but no more before writable(), so that no
 * more than this is ever in memory; NGX_DECLINED, not taken: the server has
 * said something, which shows once the COPY is ended; NGX_ERROR: the connection
 * is lost, done() will tell.
 */
ngx_int_t df_pg_copy_put(df_pg_job_t *job, const u_char *data, size_t len);

/* the rows are complete */
void df_pg_copy_end(df_pg_job_t *job);


/* the worker's side */

/* makes the pools of a worker; connects nothing before the first job */
ngx_int_t df_pg_init_process(ngx_cycle_t *cycle, df_pg_conf_t *conf);
void df_pg_exit_process(df_pg_conf_t *conf);

/*
 * Requests wait in the queue while a pool is shut (until the database's
 * migration has been looked at, or for "wait"); jobs of the migrator itself
 * pass with df_pg_submit_ahead().
 */
void df_pg_pool_open(df_pg_pool_t *pool);
void df_pg_pool_shut(df_pg_pool_t *pool);
df_pg_job_t *df_pg_submit_ahead(df_pg_pool_t *pool, const df_pg_spec_t *spec,
    df_pg_error_t *error);

typedef enum {
    DF_PG_POOL_UNTRIED = 0,
    DF_PG_POOL_UP,
    DF_PG_POOL_DOWN
} df_pg_pool_state_t;

/* since: ngx_time() of the last change; last_error: text of the last failed
   connect, empty when up; it lives until the next turn */
df_pg_pool_state_t df_pg_pool_state(df_pg_pool_t *pool, time_t *since,
    ngx_str_t *last_error);


/* results */

static ngx_inline ngx_uint_t
df_pg_is_null(const PGresult *res, ngx_uint_t row, ngx_uint_t column)
{
    return (ngx_uint_t) PQgetisnull(res, (int) row, (int) column);
}


static ngx_inline ngx_str_t
df_pg_value(const PGresult *res, ngx_uint_t row, ngx_uint_t column)
{
    ngx_str_t  value;

    value.data = (u_char *) PQgetvalue(res, (int) row, (int) column);
    value.len = (size_t) PQgetlength(res, (int) row, (int) column);

    return value;
}


DF_HIDDEN_END


#endif /* _DF_PG_H_INCLUDED_ */
