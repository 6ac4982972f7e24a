
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The rows of an import to the database: one transaction on a connection of
 * its own.  The rows of one set of fields after the other are COPYed; a file
 * whose rows have the same fields is mostly one COPY.  The few rows of each of
 * many sets, and those that no COPY can write, are batches of statements.
 *
 * No connection is taken before there is something to send, or all of it, so
 * that a client that is slow with little takes none.
 */


#include <ngx_config.h>
#include "query/import.h"


/* bytes that are worth a connection, and a COPY */
#define DF_IMPORT_BYTES   65536

/* bytes that wait: of the set whose COPY is under way, and of all others */
#define DF_IMPORT_OWN     262144
#define DF_IMPORT_OTHERS  (4 * 1024 * 1024)

/* closed batches that wait */
#define DF_IMPORT_CLOSED  2


static ngx_int_t df_import_begin(df_import_t *import);
static ngx_int_t df_import_next(df_import_t *import);
static ngx_int_t df_import_commit(df_import_t *import);
static ngx_int_t df_import_commit_identity(df_import_t *import);
static void df_import_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n);
static void df_import_done(void *data, const df_pg_error_t *error);
static ngx_int_t df_import_step(df_import_t *import);
static void df_import_failed(df_import_t *import);


static const df_pg_callbacks_t  df_import_callbacks = {
    df_import_result,
    NULL,
    df_import_done
};


ngx_int_t
df_import_send(df_import_t *import)
{
    switch (import->state) {

    case DF_IMPORT_GATHER:

        if (import->complete || import->sets.bytes >= DF_IMPORT_BYTES
            || import->nclosed || df_import_is_full(import))
        {
            return df_import_begin(import);
        }

        return NGX_OK;

    case DF_IMPORT_READY:
        return df_import_next(import);

    case DF_IMPORT_PUT:
        return df_import_put(import);

    default:
        return NGX_OK;
    }
}


/* the server's own timeout would be one of a whole COPY; and can the table be
   written by one? */

static ngx_int_t
df_import_begin(df_import_t *import)
{
    df_pg_spec_t        spec;
    df_pg_error_t       error;
    df_pg_statement_t  *st;

    static const Oid  text[] = { DF_IMPORT_TEXT_OID };

    (void) df_import_statement(import, 0, "BEGIN");
    (void) df_import_statement(import, 1,
                         "SELECT set_config('statement_timeout', '0', true)");

    st = df_import_statement(import, 2,
                        "SELECT relkind IN ('r','p','f')"
                        " AND NOT row_security_active(oid)"
                        " FROM pg_class WHERE oid = to_regclass($1)");

    import->parameters[0] = (char *) import->table.data;

    st->nparams = 1;
    st->types = text;
    st->values = import->parameters;
    st->unprepared = 0;

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = import->statements;
    spec.nstatements = 3;
    spec.lane = DF_PG_WRITE;
    spec.hold = 1;
    spec.callbacks = &df_import_callbacks;
    spec.data = import;

    import->job = df_pg_submit(import->request->model->database->pool, &spec,
                               &error);

    if (import->job == NULL) {
        import->state = DF_IMPORT_OVER;
        df_query_problem(import->request, &error, &import->run->problem);
        return NGX_DECLINED;
    }

    import->state = DF_IMPORT_BEGIN;

    return NGX_OK;
}


/* what is of several sets is collected for longer */

static ngx_int_t
df_import_next(df_import_t *import)
{
    df_import_sets_t  *sets;

    sets = &import->sets;

    if (sets->used
        && (!import->copies || sets->used == DF_IMPORT_SETS
            || (import->complete && sets->used > 1))
        && df_import_batch_take(import) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (import->complete) {
        df_import_batch_close(import);
    }

    if (import->nclosed) {
        return df_import_batch_send(import);
    }

    if (sets->used == 0) {
        return import->complete ? df_import_commit(import) : NGX_OK;
    }

    if (import->complete
        || df_import_is_pressed(import)
        || (sets->used == 1 && sets->bytes >= DF_IMPORT_BYTES / 2))
    {
        return df_import_copy(import, df_import_sets_largest(sets));
    }

    return NGX_OK;
}


/* a dry run checks, too, what is checked at the commit only; what it takes from
   sequences it keeps */

static ngx_int_t
df_import_commit(df_import_t *import)
{
    if (import->request->dry_run) {
        (void) df_import_statement(import, 0, "SET CONSTRAINTS ALL IMMEDIATE");
        (void) df_import_statement(import, 1, "ROLLBACK");

        return df_import_continue(import, import->statements, 2,
                                  DF_IMPORT_COMMIT);
    }

    if (import->highest > 0) {
        return df_import_commit_identity(import);
    }

    (void) df_import_statement(import, 0, "COMMIT");

    return df_import_continue(import, import->statements, 1,
                              DF_IMPORT_COMMIT);
}


/*
 * The sequence goes on behind the keys that were kept.  Another connection may
 * take a value between the look at it and the change, so none can write the
 * table for that moment, and the one before the commit.
 */

static ngx_int_t
df_import_commit_identity(df_import_t *import)
{
    ngx_str_t           lock, highest;
    ngx_pool_t         *pool;
    df_pg_statement_t  *st;

    static const Oid  types[] = {
        DF_IMPORT_TEXT_OID, DF_IMPORT_TEXT_OID, DF_IMPORT_BIGINT_OID
    };

    pool = import->run->pool;

    lock = df_str_printf(pool, "LOCK TABLE %V IN SHARE ROW EXCLUSIVE MODE",
                         &import->table);
    highest = df_str_printf(pool, "%L", import->highest);

    if (lock.len == 0 || highest.len == 0) {
        return NGX_ERROR;
    }

    (void) df_import_statement(import, 0, (char *) lock.data);

    st = df_import_statement(import, 1,
                    "SELECT setval(s, $3)"
                    " FROM (SELECT pg_get_serial_sequence($1, $2)::regclass)"
                    " AS q(s)"
                    " WHERE $3 > coalesce(pg_sequence_last_value(s), 0)");

    import->parameters[0] = (char *) import->table.data;
    import->parameters[1] = (char *) import->request->model->key->name.data;
    import->parameters[2] = (char *) highest.data;

    st->nparams = 3;
    st->types = types;
    st->values = import->parameters;
    st->unprepared = 0;

    (void) df_import_statement(import, 2, "COMMIT");

    return df_import_continue(import, import->statements, 3,
                              DF_IMPORT_COMMIT);
}


ngx_int_t
df_import_continue(df_import_t *import, const df_pg_statement_t *statements,
    ngx_uint_t n, df_import_state_t state)
{
    import->state = state;

    if (df_pg_continue(import->job, statements, n, 0) == NGX_OK) {
        return NGX_OK;
    }

    import->job = NULL;

    return df_import_lost(import);
}


/* between two statements */

ngx_int_t
df_import_lost(df_import_t *import)
{
    df_pg_error_t  error;

    ngx_memzero(&error, sizeof(df_pg_error_t));
    error.failure = DF_PG_DOWN;
    error.retry_after = 1;

    df_import_refused(import, 0, &error);

    return NGX_DECLINED;
}


df_pg_statement_t *
df_import_statement(df_import_t *import, ngx_uint_t i, const char *text)
{
    df_pg_statement_t  *st;

    st = &import->statements[i];

    ngx_memzero(st, sizeof(df_pg_statement_t));

    st->text.data = (u_char *) text;
    st->text.len = ngx_strlen(text);
    st->unprepared = 1;

    return st;
}


/* the sets whose COPY is not under way hold all that they may */

ngx_uint_t
df_import_is_pressed(const df_import_t *import)
{
    size_t  own;

    own = import->set ? import->set->pos - import->set->sent : 0;

    return import->sets.used == DF_IMPORT_SETS
           || import->sets.nlines >= DF_IMPORT_ALL_LINES
           || import->sets.bytes - own >= DF_IMPORT_OTHERS;
}


ngx_uint_t
df_import_is_full(const df_import_t *import)
{
    const df_import_sets_t  *sets;

    sets = &import->sets;

    if (import->state == DF_IMPORT_OVER) {
        return 0;
    }

    if (df_import_is_pressed(import) || import->nclosed >= DF_IMPORT_CLOSED) {
        return 1;
    }

    if (import->set != NULL) {
        return import->set->pos - import->set->sent >= DF_IMPORT_OWN
               || df_import_copy_is_over(import);
    }

    return sets->bytes >= DF_IMPORT_OWN
           && (sets->used == 1 || import->state != DF_IMPORT_READY);
}


void
df_import_drop(df_import_t *import)
{
    if (import->job != NULL) {
        df_pg_abandon(import->job);
        import->job = NULL;
    }

    import->state = DF_IMPORT_OVER;
    import->set = NULL;

    df_import_batch_drop(import);
}


static void
df_import_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n)
{
    df_import_t *import = data;

    ngx_str_t  value;

    if (import->state == DF_IMPORT_CLOSE
        || import->state == DF_IMPORT_DEFAULTS)
    {
        import->counts.inserted += strtoul(PQcmdTuples(res), NULL, 10);

    } else if (import->state == DF_IMPORT_BATCH) {
        df_import_batch_result(import, i, res, row, n);

    } else if (import->state == DF_IMPORT_BEGIN && i == 2
               && PQntuples(res) == 1)
    {
        value = df_pg_value(res, 0, 0);
        import->copies &= (value.len == 1 && value.data[0]);
    }
}


static void
df_import_done(void *data, const df_pg_error_t *error)
{
    df_import_t *import = data;

    ngx_int_t  rc;

    if (error->failure != DF_PG_OK && error->sqlstate[0] == '\0') {
        import->job = NULL;
    }

    if (import->state == DF_IMPORT_BATCH) {
        rc = df_import_batch_done(import, error);

    } else if (error->failure != DF_PG_OK) {
        df_import_refused(import, df_import_copy_line(import, error), error);
        rc = NGX_DECLINED;

    } else {
        rc = df_import_step(import);
    }

    if (rc == NGX_OK) {
        df_import_go_on(import);

    } else if (rc == NGX_DONE || rc == NGX_DECLINED) {
        df_import_end(import);

    } else {
        df_import_failed(import);
    }
}


/* NGX_OK, the next one can follow; NGX_DONE, it was the last */

static ngx_int_t
df_import_step(df_import_t *import)
{
    if (import->state == DF_IMPORT_COMMIT) {
        df_pg_release(import->job);
        import->job = NULL;

        return NGX_DONE;
    }

    if (import->set != NULL) {
        df_import_sets_done(&import->sets, import->set);
        import->set = NULL;
    }

    import->state = DF_IMPORT_READY;

    return NGX_OK;
}


static void
df_import_failed(df_import_t *import)
{
    if (import->run->problem.code == DF_PROBLEM_NONE) {
        (void) df_problem_set(&import->run->problem, DF_PROBLEM_INTERNAL,
                              "the import could not go on");
    }

    df_import_end(import);
}


void
df_import_refused(df_import_t *import, ngx_uint_t line,
    const df_pg_error_t *error)
{
    df_pg_error_t   undone;
    df_problem_t   *problem;

    static const ngx_str_t  row = ngx_string("");

    problem = &import->run->problem;
    problem->line = line;

    /* what was not committed is known to be undone */

    undone = *error;

    if (error->failure == DF_PG_OUTCOME_UNKNOWN
        && (import->state != DF_IMPORT_COMMIT || import->request->dry_run))
    {
        undone.failure = DF_PG_DOWN;
    }

    df_query_problem(import->request, &undone, problem);

    if (line && problem->items.nelts == 0) {
        (void) df_problem_add(problem, problem->code, DF_AT_POINTER, &row,
                              "refused", "%V", &problem->detail);
    }
}


/* what waits is sent, and then the owner may have more */

void
df_import_go_on(df_import_t *import)
{
    df_run_t  *run;

    run = import->run;

    if (df_import_send(import) != NGX_OK) {
        df_import_failed(import);
        return;
    }

    if (import->waiting && !df_import_is_full(import)) {
        import->waiting = 0;
        run->more(run);
    }
}
