
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files of pg/ share among themselves.
 *
 *     conn.c      one connection in the event loop: connect, events, close
 *     lost.c      stalled, overdue, cancelled and lost
 *     session.c   what it is opened with
 *     resolve.c   a host's name to an address
 *     pool.c      a worker's connections: growth, back-off, upkeep
 *     dispatch.c  jobs wait by lane and are handed out once a turn
 *     job.c       what the owner of a job may ask for
 *     shape.c     equal statement texts, what is prepared where
 *     group.c     jobs that are sent as one
 *     merge.c     of them: equal reads by key
 *     join.c      of them: inserts
 *     send.c      jobs to libpq's pipeline
 *     receive.c   libpq's results to jobs
 *     copy.c      rows into a table, beside the pipeline
 */


#ifndef _DF_PG_INTERNAL_H_INCLUDED_
#define _DF_PG_INTERNAL_H_INCLUDED_


#include "pg/pg.h"
#include <ngx_event.h>


DF_HIDDEN_BEGIN


typedef struct df_pg_conn_s   df_pg_conn_t;
typedef struct df_pg_shape_s  df_pg_shape_t;
typedef struct df_pg_group_s  df_pg_group_t;


/* jobs in flight on a connection that reads share */
#define DF_PG_DEPTH         64

/* segments in flight on a connection that reads share: what comes while it is
   busy makes one large segment instead of many small ones, which is what a
   Sync costs least for */
#define DF_PG_SEGMENTS      1

/* a shared connection that makes no progress for so long, and so many times
   longer than its jobs take as a rule, gives those who wait for a slow one
   back to the queue */
#define DF_PG_STALL         50
#define DF_PG_STALL_TIMES   4

/* a shared connection with fewer jobs takes more before another is used */
#define DF_PG_BATCH         4

/* so often a job is sent again when its backend was terminated or its
   prepared statement is no good any more */
#define DF_PG_RETRIES       3

/* past a job's timeout, for the server's own to be the first */
#define DF_PG_GRACE         1000

/* microseconds; a shape's reads leave the shared lane above the first and
   return to it below the second */
#define DF_PG_SLOW          10000
#define DF_PG_FAST          4000

/* runs on a connection of its own before a shape is trusted to share one */
#define DF_PG_TRIALS        3


/* shapes: statements of equal text */

#define DF_PG_SHAPES        1024        /* a pool */
#define DF_PG_PREPARED      256         /* a connection */

struct df_pg_shape_s {
    ngx_queue_t               lru;
    df_pg_shape_t            *next;     /* in its hash bucket */
    ngx_uint_t                index;    /* in the pool's table */
    ngx_uint_t                serial;   /* a new one for each new text */
    uint32_t                  hash;
    ngx_str_t                 text;     /* malloc()ed */
    ngx_str_t                 merged;   /* too; of a read by key, if known */
    ngx_uint_t                refs;     /* jobs */
    ngx_uint_t                samples;
    ngx_uint_t                usec;     /* moving average of server time */
    unsigned                  slow:1;
};

typedef struct {
    ngx_queue_t               lru;
    ngx_uint_t                serial;   /* of the shape; 0: nothing */
    ngx_uint_t                name;     /* the statement is "df<name>" */
} df_pg_prepared_t;

#define DF_PG_NAME_LEN      24

df_pg_shape_t *df_pg_shape_get(df_pg_pool_t *pool, const ngx_str_t *text);
void df_pg_shape_put(df_pg_shape_t *shape);
void df_pg_shape_sample(df_pg_shape_t *shape, ngx_uint_t usec);
ngx_uint_t df_pg_shape_trusted(const df_pg_shape_t *shape);
void df_pg_shapes_free(df_pg_pool_t *pool);


/* jobs */

typedef enum {
    DF_PG_JOB_QUEUED = 0,       /* in a queue of the pool */
    DF_PG_JOB_SENT,             /* on a connection, results are expected */
    DF_PG_JOB_MERGED,           /* as a member of another that is */
    DF_PG_JOB_HELD,             /* on a connection, the owner's turn */
    DF_PG_JOB_FREE
} df_pg_job_state_t;

struct df_pg_job_s {
    ngx_queue_t               queue;
    df_pg_pool_t             *pool;
    df_pg_conn_t             *conn;

    const df_pg_statement_t  *statements;
    ngx_uint_t                nstatements;
    df_pg_shape_t            *shape;        /* of the first statement */
    df_pg_group_t            *group;        /* whose members it stands for */
    const df_pg_callbacks_t  *callbacks;
    void                     *data;

    df_pg_lane_t              lane;
    df_pg_job_state_t         state;
    ngx_msec_t                timeout;
    ngx_msec_t                expires;      /* in the queue */
    uint64_t                  submitted;    /* microseconds */
    uint64_t                  sent;

    df_pg_error_t             error;
    PGresult                 *refusal;      /* the error's strings */

    unsigned                  hold:1;
    unsigned                  ahead:1;      /* passes a shut pool */
    unsigned                  orphan:1;     /* nobody is told */
    unsigned                  alone:1;      /* shares no Sync */
    unsigned                  retried:2;
    unsigned                  answered:1;   /* a result was delivered */
    unsigned                  aborted:1;    /* by a neighbour's failure */
    unsigned                  prepares:1;   /* the first run on a connection */
    unsigned                  cancelled:1;
    unsigned                  paused:1;
    unsigned                  again:1;      /* re-prepare and send again */
    unsigned                  copying:1;    /* nothing of it is committed */

    void                    (*writable)(void *data);    /* of a COPY */
};

df_pg_job_t *df_pg_job_create(df_pg_pool_t *pool, const df_pg_spec_t *spec);
void df_pg_job_free(df_pg_job_t *job);
/* the next thing that a held job does: as if it was new */
void df_pg_job_renew(df_pg_job_t *job, ngx_msec_t timeout);
/* tells the owner and frees the job, or leaves it held */
void df_pg_job_done(df_pg_job_t *job);
void df_pg_job_fail(df_pg_job_t *job, df_pg_failure_t failure);


/* groups: jobs that are sent as one; a structure of merge.c or join.c begins
   with this */

#define DF_PG_GROUP         32

struct df_pg_group_s {
    ngx_uint_t                n;
    df_pg_job_t              *members[DF_PG_GROUP];
};

df_pg_job_t *df_pg_group_job(df_pg_group_t *group, const df_pg_spec_t *spec);
df_pg_job_t *df_pg_group_take(df_pg_group_t *group, ngx_uint_t i);
void df_pg_group_resend(df_pg_job_t *job);
void df_pg_group_free(df_pg_group_t *group);

/* the head of the queue of reads, or of the others, and those that can be sent
   with it, as one job that is not queued; NULL when it is sent by itself */
df_pg_job_t *df_pg_merge(df_pg_job_t *first);
ngx_uint_t df_pg_join_waits(const df_pg_job_t *job);
df_pg_job_t *df_pg_join(df_pg_job_t *first);


/* what a connection expects, in order */

typedef enum {
    DF_PG_EXPECT_PREPARE = 0,
    DF_PG_EXPECT_EXECUTE,
    DF_PG_EXPECT_UTILITY,       /* our own; only its failure matters */
    DF_PG_EXPECT_SYNC
} df_pg_expect_kind_t;

typedef struct {
    df_pg_expect_kind_t       kind;
    ngx_uint_t                statement;
    df_pg_job_t              *job;          /* NULL: drained unseen */
    df_pg_prepared_t         *prepared;     /* made or used; NULL: unprepared */
    ngx_uint_t                name;         /* its name then */
} df_pg_expect_t;


/* connections */

typedef enum {
    DF_PG_CONN_CONNECTING = 0,
    DF_PG_CONN_IDLE,
    DF_PG_CONN_SHARED,          /* by reads */
    DF_PG_CONN_OWN              /* of one job */
} df_pg_conn_state_t;

/* what the owner's job does outside of the pipeline */

typedef enum {
    DF_PG_COPY_NONE = 0,
    DF_PG_COPY_BEGIN,           /* the statement was sent */
    DF_PG_COPY_OPEN,            /* rows can be put */
    DF_PG_COPY_END              /* its end was sent, or its failure */
} df_pg_copy_state_t;

struct df_pg_conn_s {
    ngx_queue_t               queue;        /* in the pool's list of state */
    df_pg_pool_t             *pool;
    PGconn                   *pg;
    ngx_connection_t         *c;
    ino_t                     inode;        /* of the socket */
    df_pg_conn_state_t        state;
    df_pg_copy_state_t        copy;
    ngx_event_t               timer;
    ngx_resolver_ctx_t       *resolving;

    ngx_queue_t               jobs;         /* sent, in their order */
    df_pg_job_t              *owner;        /* OWN; may hold it */
    df_pg_job_t              *canceller;    /* a cancel may still arrive */
    ngx_uint_t                njobs;        /* SHARED */
    ngx_uint_t                syncs;        /* that are expected */
    ngx_uint_t                progress;     /* results so far */
    ngx_uint_t                seen;         /* progress at the last tick */
    uint64_t                  last;         /* microseconds, last result */

    df_pg_expect_t           *expect;       /* a ring of 2^n */
    ngx_uint_t                expect_size;
    ngx_uint_t                expect_head;
    ngx_uint_t                expect_tail;

    df_pg_prepared_t         *prepared;     /* by shape->index */
    ngx_queue_t               prepared_lru;
    ngx_uint_t                nprepared;
    ngx_uint_t                names;

    time_t                    retire;       /* recycle= */
    time_t                    used;
    char                      pid[16];      /* to cancel */
    const char               *cancel_value;
    df_pg_statement_t         cancel;

    unsigned                  segment:1;    /* a Sync is owed */
    unsigned                  unflushed:1;
    unsigned                  receiving:1;  /* in its result loop */
    unsigned                  broken:1;     /* to be closed */
    unsigned                  uncommitted:1;    /* an error came for a Sync */
    unsigned                  stalled:1;    /* behind a slow head */
    unsigned                  terminated:1; /* by an administrator */
    unsigned                  noticed:1;    /* what came was a notice */
    unsigned                  heard:1;      /* something else came while rows
                                               were put */
    int                       unsent;       /* bytes that the kernel held when
                                               it was asked last */
};

/* session.c */
PGconn *df_pg_session_start(df_database_t *database, const char *address,
    ngx_log_t *log);

/* one attempt; the pool is told by df_pg_pool_connected() or
   df_pg_pool_connect_failed() */
void df_pg_conn_open(df_pg_pool_t *pool);
/* events, libpq's side, the structure; not the jobs */
void df_pg_conn_close(df_pg_conn_t *conn);
/* the connection is lost: its jobs are told or sent again */
void df_pg_conn_lost(df_pg_conn_t *conn, const char *why);
/* the same, but in the next turn: from inside of callbacks */
void df_pg_conn_break(df_pg_conn_t *conn);
ngx_int_t df_pg_conn_flush(df_pg_conn_t *conn);
/* reading pauses (0) while a stream's client does not keep up */
ngx_int_t df_pg_conn_read(df_pg_conn_t *conn, ngx_uint_t on);
/* a shared connection made no progress; an own one's job is overdue */
void df_pg_conn_stall(df_pg_conn_t *conn);
void df_pg_conn_overdue(df_pg_conn_t *conn);
/* asks the server to cancel what the connection runs */
void df_pg_conn_cancel(df_pg_conn_t *conn);
void df_pg_conn_tick(df_pg_conn_t *conn, ngx_msec_t msec);

/*
 * A host's address as text into addr, which holds NGX_SOCKADDR_STRLEN bytes:
 * NGX_OK when it is known, NGX_AGAIN when df_pg_conn_resolved() will be called
 * (addr NULL: failed), NGX_ERROR.
 */
ngx_int_t df_pg_resolve_init(ngx_cycle_t *cycle);
ngx_int_t df_pg_resolve(df_pg_conn_t *conn, const char *host, char *addr);
void df_pg_conn_resolved(df_pg_conn_t *conn, const char *addr);


/* send.c; NGX_ERROR: the connection is broken */
ngx_int_t df_pg_send_job(df_pg_conn_t *conn, df_pg_job_t *job);
ngx_int_t df_pg_send_sync(df_pg_conn_t *conn, df_pg_job_t *job);
ngx_int_t df_pg_send_utility(df_pg_conn_t *conn, const char *sql);
void df_pg_send_forget(df_pg_conn_t *conn, const df_pg_expect_t *expect);
void df_pg_send_stale(df_pg_conn_t *conn, const df_pg_expect_t *expect);

/* receive.c: takes what has arrived; the connection may be gone after it */
void df_pg_receive(df_pg_conn_t *conn);
/* 1 when the result is kept, as the error of its job */
ngx_uint_t df_pg_receive_refusal(df_pg_conn_t *conn, const df_pg_expect_t *e,
    PGresult *res);
/* the connection is the job's no longer */
void df_pg_receive_leave(df_pg_conn_t *conn, df_pg_job_t *job);

/* copy.c: the same while a COPY is under way */
void df_pg_copy_receive(df_pg_conn_t *conn);
void df_pg_copy_written(df_pg_conn_t *conn);
/* rows have gone since this was asked last */
ngx_uint_t df_pg_copy_progressed(df_pg_conn_t *conn);
/* the owner has left: nothing of it is to be done */
void df_pg_copy_abandon(df_pg_conn_t *conn);


/* pools */

struct df_pg_pool_s {
    df_database_t            *database;
    df_pg_stats_t            *stats;
    df_pg_gauges_t           *gauges;       /* this process's */
    ngx_log_t                *log;

    ngx_queue_t               idle;         /* connections by state */
    ngx_queue_t               shared;
    ngx_queue_t               own;
    df_pg_conn_t             *connecting;
    ngx_uint_t                nidle;
    ngx_uint_t                nshared;
    ngx_uint_t                nown;

    ngx_uint_t                size;         /* this worker's shares */
    ngx_uint_t                max;
    ngx_uint_t                max_shared;   /* and kept free for reads */

    ngx_queue_t               ahead;        /* jobs that wait, by lane */
    ngx_queue_t               reads;
    ngx_queue_t               owns;
    ngx_uint_t                nqueued;

    ngx_event_t               dispatch;     /* posted, once a turn */
    ngx_event_t               expire;       /* queue wait */
    ngx_event_t               reconnect;
    ngx_event_t               upkeep;

    df_pg_pool_state_t        state;
    time_t                    since;
    ngx_msec_t                backoff;
    ngx_str_t                 last_error;   /* in error_text */
    u_char                    error_text[256];

    df_pg_shape_t            *shapes;
    ngx_uint_t                nshapes;
    ngx_uint_t                serials;
    ngx_queue_t               shapes_lru;
    df_pg_shape_t           **buckets;

    ngx_uint_t                alone;        /* inserts not to be joined */
    ngx_uint_t                joins;        /* transactions of joined ones */

    ngx_queue_t               free_jobs;

    unsigned                  shut:1;
    unsigned                  lost:1;       /* the last connection broke: is
                                               the database down? */
};

/* dispatch.c: a job waits (again), at the end or, sent again, at the front */
void df_pg_pool_queue(df_pg_pool_t *pool, df_pg_job_t *job, ngx_uint_t front);
void df_pg_pool_unqueue(df_pg_job_t *job);
void df_pg_pool_wake(df_pg_pool_t *pool);
void df_pg_dispatch(ngx_event_t *ev);
void df_pg_dispatch_expire(ngx_event_t *ev);
void df_pg_dispatch_fail_all(df_pg_pool_t *pool);

/* pool.c */
void df_pg_pool_grow(df_pg_pool_t *pool);
void df_pg_pool_connected(df_pg_conn_t *conn);
void df_pg_pool_connect_failed(df_pg_pool_t *pool, const char *why);
/* the one function that moves a connection between the lists of states */
void df_pg_pool_move(df_pg_conn_t *conn, df_pg_conn_state_t state);
/* for others, once nothing is expected on it and no transaction is open */
void df_pg_pool_give_back(df_pg_conn_t *conn);
/* out of the lists, to be closed */
void df_pg_pool_remove(df_pg_conn_t *conn);

uint64_t df_pg_now(void);           /* microseconds, monotonic */

#define df_pg_count(pool, counter)                                            \
    (void) ngx_atomic_fetch_add(&(pool)->stats->counter, 1)


DF_HIDDEN_END


#endif /* _DF_PG_INTERNAL_H_INCLUDED_ */
