
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Each worker holds the requests for a database back until its migration is
 * decided: by the migrator, which is one of the workers, or by the time that
 * a request may wait at all.  What was decided stands in shared memory.  While
 * the database is away its pool refuses requests, shut or not; when it comes,
 * they wait again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "schema/migrate.h"


#define DF_WATCH_INTERVAL       20
#define DF_WATCH_INTERVAL_AWAY  250


typedef struct {
    /* three pointers before ident, as in ngx_connection_t: the timer logs it */
    df_database_t        *database;
    df_schema_conf_t     *schema;
    ngx_log_t            *log;

    ngx_int_t             ident;

    ngx_event_t           event;
    ngx_msec_t            deadline;
    ngx_uint_t            away;
} df_watch_t;


static ngx_int_t df_schema_watch_start(ngx_cycle_t *cycle,
    df_database_t *database, df_schema_conf_t *schema);
static void df_schema_watch_tick(ngx_event_t *ev);


/* the zone forgets with the master process, and within it time goes on */

void
df_schema_generation_init(df_schema_conf_t *conf)
{
    conf->generation = (ngx_atomic_uint_t) ngx_time() << 31;
    conf->generation ^= (ngx_atomic_uint_t) ngx_random();
}


/* the state that belongs to this configuration */

static df_migration_state_t
df_schema_watch_state(const df_database_t *database,
    const df_schema_conf_t *schema)
{
    df_migration_t  *shared;

    shared = database->migration->addr;

    if (shared->generation != schema->generation) {
        return DF_MIGRATION_PENDING;
    }

    return shared->state;
}


ngx_int_t
df_schema_init_process(ngx_cycle_t *cycle, df_pg_conf_t *pg,
    df_schema_conf_t *schema)
{
    ngx_uint_t              i;
    df_database_t         **databases, *database;
    df_migration_state_t    state;

    databases = pg->databases.elts;

    for (i = 0; i < pg->databases.nelts; i++) {
        database = databases[i];

        if (database->migration == NULL) {
            continue;
        }

        /* a worker that takes the place of a dead one may find it decided */

        state = df_schema_watch_state(database, schema);

        if (state == DF_MIGRATION_DONE || state == DF_MIGRATION_DIFFERS) {
            continue;
        }

        if (df_schema_watch_start(cycle, database, schema) != NGX_OK) {
            return NGX_ERROR;
        }

        if ((ngx_worker == 0 || ngx_process == NGX_PROCESS_SINGLE)
            && df_schema_migrate_start(cycle, database, schema) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_watch_start(ngx_cycle_t *cycle, df_database_t *database,
    df_schema_conf_t *schema)
{
    df_watch_t  *watch;

    watch = ngx_pcalloc(cycle->pool, sizeof(df_watch_t));
    if (watch == NULL) {
        return NGX_ERROR;
    }

    watch->database = database;
    watch->schema = schema;
    watch->log = cycle->log;
    watch->ident = -1;
    watch->deadline = ngx_current_msec + database->wait;

    watch->event.handler = df_schema_watch_tick;
    watch->event.data = watch;
    watch->event.log = cycle->log;
    watch->event.cancelable = 1;

    df_pg_pool_shut(database->pool);

    ngx_add_timer(&watch->event, DF_WATCH_INTERVAL);

    return NGX_OK;
}


static void
df_schema_watch_tick(ngx_event_t *ev)
{
    df_watch_t *watch = ev->data;

    time_t                since;
    ngx_str_t             error;
    ngx_uint_t            waits;
    df_database_t        *database;
    df_migration_state_t  state;

    database = watch->database;
    state = df_schema_watch_state(database, watch->schema);

    if (state == DF_MIGRATION_FAILED && !ngx_exiting
        && df_pg_pool_state(database->pool, &since, &error) != DF_PG_POOL_UP)
    {
        watch->away = 1;
        watch->deadline = ngx_current_msec + database->wait;

        ngx_add_timer(&watch->event, DF_WATCH_INTERVAL_AWAY);
        return;
    }

    waits = (state == DF_MIGRATION_PENDING || state == DF_MIGRATION_RUNNING
             || (state == DF_MIGRATION_FAILED && watch->away));

    if (waits && (ngx_msec_int_t) (watch->deadline - ngx_current_msec) > 0
        && !ngx_exiting)
    {
        ngx_add_timer(&watch->event, DF_WATCH_INTERVAL);
        return;
    }

    df_pg_pool_open(database->pool);
}
