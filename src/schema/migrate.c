
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The migrator: one worker of an instance brings a database to agree with the
 * models, or says where it does not.  It holds one connection for one
 * transaction under an advisory lock and is driven by the event loop alone:
 *
 *     begin -> lock -> read the catalog -> step, step, … -> commit
 *
 * Whatever goes wrong with the connection ends the attempt; the next one
 * starts from the beginning.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "schema/migrate.h"


/* another instance may be migrating */
#define DF_MIGRATE_LOCK_POLL    100

/* between attempts */
#define DF_MIGRATE_DELAY_MIN    250
#define DF_MIGRATE_DELAY_MAX    10000

/* an index of a large table takes its time */
#define DF_MIGRATE_TIMEOUT      (6 * 3600 * 1000)


static void df_schema_migrate_wake(ngx_event_t *ev);
static void df_schema_migrate_begin(df_migrator_t *m);
static void df_schema_migrate_lock(df_migrator_t *m);
static void df_schema_migrate_locked(df_migrator_t *m,
    const df_pg_error_t *error);
static void df_schema_migrate_read(df_migrator_t *m);
static void df_schema_migrate_compare(df_migrator_t *m,
    const df_pg_error_t *error);
static void df_schema_migrate_step(df_migrator_t *m);
static df_change_t *df_schema_migrate_pending(df_migrator_t *m);
static void df_schema_migrate_stepped(df_migrator_t *m,
    const df_pg_error_t *error);
static void df_schema_migrate_commit(df_migrator_t *m);
static void df_schema_migrate_committed(df_migrator_t *m,
    const df_pg_error_t *error);

static void df_schema_migrate_push(df_migrator_t *m, const char *sql);
static void df_schema_migrate_send(df_migrator_t *m, df_migrate_next_pt next);
static void df_schema_migrate_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n);
static void df_schema_migrate_done(void *data, const df_pg_error_t *error);
static void df_schema_migrate_fail(df_migrator_t *m,
    const df_pg_error_t *error);
static void df_schema_migrate_end(df_migrator_t *m);
static ngx_uint_t df_schema_migrate_passes(const df_pg_error_t *error);

static ngx_uint_t df_schema_migrate_superseded(df_migrator_t *m);
static void df_schema_migrate_state(df_migrator_t *m,
    df_migration_state_t state);


static const df_pg_callbacks_t  df_schema_migrate_callbacks = {
    df_schema_migrate_result,
    NULL,
    df_schema_migrate_done
};


/*
 * What may pass by itself: another attempt is worth it, and to leave the step
 * out would be wrong.  Connections, serialization, resources, locks, the
 * operator, the system.
 */

static const ngx_str_t  df_schema_migrate_passing[] = {
    ngx_string("08"),
    ngx_string("40"),
    ngx_string("53"),
    ngx_string("55P03"),
    ngx_string("57"),
    ngx_string("58"),
    ngx_null_string
};


ngx_int_t
df_schema_migrate_start(ngx_cycle_t *cycle, df_database_t *database,
    df_schema_conf_t *schema)
{
    df_migrator_t  *m;

    m = ngx_pcalloc(cycle->pool, sizeof(df_migrator_t));
    if (m == NULL) {
        return NGX_ERROR;
    }

    m->database = database;
    m->schema = schema;
    m->shared = database->migration->addr;
    m->ident = -1;
    m->log = cycle->log;
    m->delay = DF_MIGRATE_DELAY_MIN;

    m->event.handler = df_schema_migrate_wake;
    m->event.data = m;
    m->event.log = cycle->log;
    m->event.cancelable = 1;

    m->shared->nreports = 0;
    m->shared->state = DF_MIGRATION_RUNNING;
    m->shared->changed = ngx_time();

    ngx_memory_barrier();

    m->shared->generation = schema->generation;

    /* the event loop is not running yet */

    ngx_add_timer(&m->event, 1);

    return NGX_OK;
}


static void
df_schema_migrate_wake(ngx_event_t *ev)
{
    df_migrator_t *m = ev->data;

    time_t     since;
    ngx_str_t  error;

    if (df_schema_migrate_superseded(m)) {
        df_schema_migrate_end(m);
        return;
    }

    if (m->job) {
        df_schema_migrate_lock(m);
        return;
    }

    /* the executor sets the pace of connecting; a job in its queue would keep
       a worker that is to exit */

    if (df_pg_pool_state(m->database->pool, &since, &error)
        == DF_PG_POOL_DOWN)
    {
        ngx_add_timer(&m->event, DF_MIGRATE_DELAY_MIN);
        return;
    }

    df_schema_migrate_begin(m);
}


/*
 * The lock is waited for in the open transaction.  With READ COMMITTED each
 * statement behind it sees what its former holder has committed.
 */

static void
df_schema_migrate_begin(df_migrator_t *m)
{
    m->failed = 0;
    m->broken = 0;

    m->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, m->log);

    if (m->pool == NULL
        || ngx_array_init(&m->statements, m->pool, 8, sizeof(df_pg_statement_t))
           != NGX_OK
        || ngx_array_init(&m->changes, m->pool, 16, sizeof(df_change_t))
           != NGX_OK
        || df_schema_catalog_init(&m->catalog, m->pool, m->schema, m->database)
           != NGX_OK)
    {
        df_schema_migrate_fail(m, NULL);
        return;
    }

    if (m->database->migrate == DF_MIGRATE_VERIFY) {
        df_schema_migrate_push(m, "BEGIN ISOLATION LEVEL REPEATABLE READ "
                                  "READ ONLY");
        df_schema_migrate_read(m);
        return;
    }

    df_schema_migrate_push(m, "BEGIN ISOLATION LEVEL READ COMMITTED "
                              "READ WRITE");
    df_schema_migrate_push(m, "SET LOCAL lock_timeout = '3s'");
    df_schema_migrate_push(m, "SET LOCAL statement_timeout = 0");
    df_schema_migrate_push(m, "SET LOCAL idle_in_transaction_session_timeout "
                              "= 0");
    df_schema_migrate_push(m, "SET LOCAL standard_conforming_strings = on");

    df_schema_migrate_lock(m);
}


/* the key is "dataflow" in ASCII */

static void
df_schema_migrate_lock(df_migrator_t *m)
{
    m->locked = 0;

    df_schema_migrate_push(m, "SELECT pg_try_advisory_xact_lock("
                              "x'64617461666c6f77'::bigint)");
    df_schema_migrate_send(m, df_schema_migrate_locked);
}


static void
df_schema_migrate_locked(df_migrator_t *m, const df_pg_error_t *error)
{
    if (error->failure != DF_PG_OK) {
        df_schema_migrate_fail(m, error);
        return;
    }

    if (!m->locked) {
        ngx_add_timer(&m->event, DF_MIGRATE_LOCK_POLL);
        return;
    }

    df_schema_migrate_read(m);
}


static void
df_schema_migrate_read(df_migrator_t *m)
{
    if (df_schema_catalog_ask(&m->catalog, &m->statements) != NGX_OK) {
        m->broken = 1;
    }

    df_schema_migrate_send(m, df_schema_migrate_compare);
}


static void
df_schema_migrate_compare(df_migrator_t *m, const df_pg_error_t *error)
{
    if (error->failure != DF_PG_OK) {
        df_schema_migrate_fail(m, error);
        return;
    }

    if (df_schema_diff(&m->catalog, &m->changes) != NGX_OK) {
        df_schema_migrate_fail(m, NULL);
        return;
    }

    m->change = 0;

    df_schema_migrate_step(m);
}


/* each step in a savepoint: one that fails is reported, the rest applies */

static void
df_schema_migrate_step(df_migrator_t *m)
{
    ngx_uint_t    i;
    df_change_t  *change;

    change = df_schema_migrate_pending(m);

    if (m->failed) {
        m->failed = 0;
        df_schema_migrate_push(m, "ROLLBACK TO SAVEPOINT dataflow");
    }

    if (change == NULL) {
        df_schema_migrate_commit(m);
        return;
    }

    df_schema_migrate_push(m, "SAVEPOINT dataflow");

    for (i = 0; i < change->nsql; i++) {
        df_schema_migrate_push(m, (char *) change->sql[i].data);
    }

    df_schema_migrate_push(m, "RELEASE SAVEPOINT dataflow");

    df_schema_migrate_send(m, df_schema_migrate_stepped);
}


/* the next change to be carried out; what concerns a table that could not be
   created would only fail again */

static df_change_t *
df_schema_migrate_pending(df_migrator_t *m)
{
    df_change_t  *change;

    if (m->database->migrate == DF_MIGRATE_VERIFY) {
        return NULL;
    }

    for ( /* void */ ; m->change < m->changes.nelts; m->change++) {
        change = (df_change_t *) m->changes.elts + m->change;

        if (change->kind != DF_CHANGE_REPORT && !change->table->failed) {
            return change;
        }
    }

    return NULL;
}


static void
df_schema_migrate_stepped(df_migrator_t *m, const df_pg_error_t *error)
{
    df_change_t  *change;

    change = (df_change_t *) m->changes.elts + m->change;

    if (error->failure == DF_PG_OK) {
        change->done = 1;

    } else if (df_schema_migrate_passes(error)) {
        df_schema_migrate_fail(m, error);
        return;

    } else {
        m->failed = 1;
        change->failure = df_schema_report_why(m, error);
        change->table->failed = change->creates_table;
    }

    m->change++;

    df_schema_migrate_step(m);
}


static void
df_schema_migrate_commit(df_migrator_t *m)
{
    df_schema_migrate_push(m, "COMMIT");
    df_schema_migrate_send(m, df_schema_migrate_committed);
}


static void
df_schema_migrate_committed(df_migrator_t *m, const df_pg_error_t *error)
{
    ngx_uint_t  left;

    if (error->failure != DF_PG_OK) {
        df_schema_migrate_fail(m, error);
        return;
    }

    df_pg_release(m->job);
    m->job = NULL;

    left = df_schema_report_changes(m);

    df_schema_migrate_end(m);
    df_schema_migrate_state(m, left ? DF_MIGRATION_DIFFERS
                                    : DF_MIGRATION_DONE);
}


/* statements out, results in */

static void
df_schema_migrate_push(df_migrator_t *m, const char *sql)
{
    df_pg_statement_t  *statement;

    statement = ngx_array_push(&m->statements);

    if (statement == NULL) {
        m->broken = 1;
        return;
    }

    ngx_memzero(statement, sizeof(df_pg_statement_t));

    statement->text.data = (u_char *) sql;
    statement->text.len = ngx_strlen(sql);
    statement->text_result = 1;
    statement->unprepared = 1;
}


static void
df_schema_migrate_send(df_migrator_t *m, df_migrate_next_pt next)
{
    df_pg_spec_t   spec;
    df_pg_error_t  error;

    if (m->broken) {
        df_schema_migrate_fail(m, NULL);
        return;
    }

    m->next = next;

    if (m->job) {
        ngx_memzero(&error, sizeof(df_pg_error_t));
        error.failure = DF_PG_DOWN;

        if (df_pg_continue(m->job, m->statements.elts, m->statements.nelts,
                           DF_MIGRATE_TIMEOUT)
            != NGX_OK)
        {
            m->job = NULL;
            df_schema_migrate_fail(m, &error);
        }

        return;
    }

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = m->statements.elts;
    spec.nstatements = m->statements.nelts;
    spec.lane = DF_PG_WRITE;
    spec.timeout = DF_MIGRATE_TIMEOUT;
    spec.hold = 1;
    spec.callbacks = &df_schema_migrate_callbacks;
    spec.data = m;

    m->job = df_pg_submit_ahead(m->database->pool, &spec, &error);

    if (m->job == NULL) {
        df_schema_migrate_fail(m, &error);
    }
}


static void
df_schema_migrate_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n)
{
    df_migrator_t *m = data;

    ngx_uint_t  first;

    if (m->next == df_schema_migrate_locked) {

        if (PQntuples(res) == 1) {
            m->locked = (*PQgetvalue(res, 0, 0) == 't');
        }

        return;
    }

    /* verify sends its BEGIN along */

    first = (m->database->migrate == DF_MIGRATE_VERIFY);

    if (m->next == df_schema_migrate_compare && i >= first
        && df_schema_catalog_take(&m->catalog, i - first, res) != NGX_OK)
    {
        m->broken = 1;
    }
}


static void
df_schema_migrate_done(void *data, const df_pg_error_t *error)
{
    df_migrator_t *m = data;

    /* a refusal leaves the connection with us, anything else has taken it */

    if (error->failure != DF_PG_OK && error->sqlstate[0] == '\0') {
        m->job = NULL;
    }

    m->statements.nelts = 0;

    if (df_schema_migrate_superseded(m)) {
        df_schema_migrate_end(m);
        return;
    }

    if (m->broken) {
        df_schema_migrate_fail(m, NULL);
        return;
    }

    m->next(m, error);
}


/* ends */

/* error is NULL without memory */

static void
df_schema_migrate_fail(df_migrator_t *m, const df_pg_error_t *error)
{
    df_schema_report_failure(m, error);

    df_schema_migrate_end(m);
    df_schema_migrate_state(m, DF_MIGRATION_FAILED);

    ngx_add_timer(&m->event, m->delay / 2
                             + (ngx_msec_t) ngx_random() % (m->delay / 2));

    m->delay = ngx_min(m->delay * 2, DF_MIGRATE_DELAY_MAX);
}


/* the attempt's transaction, if it is still open, is rolled back */

static void
df_schema_migrate_end(df_migrator_t *m)
{
    if (m->job) {
        df_pg_abandon(m->job);
        m->job = NULL;
    }

    if (m->pool) {
        ngx_destroy_pool(m->pool);
        m->pool = NULL;
    }
}


static ngx_uint_t
df_schema_migrate_passes(const df_pg_error_t *error)
{
    const ngx_str_t  *passing;

    if (error->failure != DF_PG_SQL) {
        return 1;
    }

    for (passing = df_schema_migrate_passing; passing->len; passing++) {
        if (ngx_strncmp(error->sqlstate, passing->data, passing->len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* the shared state */

static ngx_uint_t
df_schema_migrate_superseded(df_migrator_t *m)
{
    return ngx_exiting || m->shared->generation != m->schema->generation;
}


static void
df_schema_migrate_state(df_migrator_t *m, df_migration_state_t state)
{
    if (df_schema_migrate_superseded(m)) {
        return;
    }

    m->shared->state = state;
    m->shared->changed = ngx_time();
}
