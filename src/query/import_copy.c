
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The rows of an import to the database: one transaction on a connection of
 * its own, in which the rows of one set of fields after the other are COPYed.
 * A file whose rows have the same fields is mostly one COPY.
 *
 * No connection is taken before there is something to send, or all of it, so
 * that a client that is slow with little takes none.
 */


#include <ngx_config.h>
#include "query/import.h"


/* bytes worth a connection, and to be put at once, at least and at most */
#define DF_IMPORT_BYTES   65536
#define DF_IMPORT_LEAST   32768
#define DF_IMPORT_MOST    65536

/* bytes that wait: of the set whose COPY is under way, and of all others */
#define DF_IMPORT_OWN     262144
#define DF_IMPORT_OTHERS  (4 * 1024 * 1024)

/* The rows of a COPY.  What the database does when it ends, checks of foreign
   keys, is progress that nobody can see; and of what it has refused shows
   nothing before. */
#define DF_IMPORT_ROWS    100000


static ngx_int_t df_import_begin(df_import_t *import);
static ngx_int_t df_import_next(df_import_t *import);
static ngx_int_t df_import_copy(df_import_t *import);
static ngx_int_t df_import_defaults(df_import_t *import);
static ngx_int_t df_import_put(df_import_t *import);
static size_t df_import_piece(const df_import_set_t *set);
static ngx_int_t df_import_commit(df_import_t *import);
static ngx_int_t df_import_continue(df_import_t *import, ngx_uint_t n,
    df_import_state_t state);
static ngx_int_t df_import_lost(df_import_t *import);
static void df_import_statement(df_import_t *import, ngx_uint_t i,
    const char *text);
static ngx_uint_t df_import_is_pressed(const df_import_t *import);
static ngx_uint_t df_import_is_over(const df_import_t *import);
static void df_import_writable(void *data);
static void df_import_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n);
static void df_import_done(void *data, const df_pg_error_t *error);
static void df_import_refused(df_import_t *import,
    const df_pg_error_t *error);
static void df_import_go_on(df_import_t *import);


static const df_pg_callbacks_t  df_import_callbacks = {
    df_import_result,
    NULL,
    df_import_done
};


/* NGX_OK; NGX_DECLINED with the problem filled; NGX_ERROR */

ngx_int_t
df_import_send(df_import_t *import)
{
    switch (import->state) {

    case DF_IMPORT_GATHER:

        if (import->complete || import->sets.bytes >= DF_IMPORT_BYTES
            || df_import_is_full(import))
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


/* the server's own timeout would be one of the whole COPY */

static ngx_int_t
df_import_begin(df_import_t *import)
{
    df_pg_spec_t   spec;
    df_pg_error_t  error;

    df_import_statement(import, 0, "BEGIN");
    df_import_statement(import, 1,
                        "SELECT set_config('statement_timeout', '0', true)");

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = import->statements;
    spec.nstatements = 2;
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

    if (sets->used == 0) {
        return import->complete ? df_import_commit(import) : NGX_OK;
    }

    if (!import->complete
        && !df_import_is_pressed(import)
        && (sets->used > 1 || sets->bytes < DF_IMPORT_LEAST))
    {
        return NGX_OK;
    }

    import->set = df_import_sets_largest(sets);

    return import->set->n ? df_import_copy(import)
                          : df_import_defaults(import);
}


static ngx_int_t
df_import_copy(df_import_t *import)
{
    ngx_str_t         text;
    ngx_uint_t        i;
    df_writer_t       w;
    df_pg_copy_t      copy;
    df_import_set_t  *set;

    set = import->set;

    ngx_reset_pool(import->scratch);

    if (df_writer_init(&w, import->scratch, 512) != NGX_OK
        || df_writer_printf(&w, "COPY %V (", &import->request->model->quoted)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < set->n; i++) {
        if (df_writer_printf(&w, "%s%V", i ? "," : "", &set->fields[i]->quoted)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_writer_printf(&w, ") FROM STDIN") != NGX_OK
        || df_writer_text(&w, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    copy.text = (char *) text.data;
    copy.timeout = 0;
    copy.writable = df_import_writable;

    import->state = DF_IMPORT_OPEN;
    import->blocked = 0;

    if (df_pg_copy(import->job, &copy) != NGX_OK) {
        import->job = NULL;
        return df_import_lost(import);
    }

    return NGX_OK;
}


/* rows without a field, which no COPY can have */

static ngx_int_t
df_import_defaults(df_import_t *import)
{
    ngx_str_t         text;
    df_import_set_t  *set;

    set = import->set;

    text = df_str_printf(import->run->pool,
                         "INSERT INTO %V SELECT FROM generate_series(1,%ui)",
                         &import->request->model->quoted, set->rows);
    if (text.len == 0) {
        return NGX_ERROR;
    }

    df_import_sets_put(&import->sets, set, set->pos - set->sent);
    df_import_statement(import, 0, (char *) text.data);

    return df_import_continue(import, 1, DF_IMPORT_STATEMENT);
}


static ngx_int_t
df_import_put(df_import_t *import)
{
    size_t             len;
    ngx_int_t          rc;
    ngx_uint_t         ends;
    df_import_set_t   *set;

    set = import->set;
    rc = NGX_OK;
    ends = import->complete
           || df_import_is_over(import)
           || df_import_is_pressed(import);

    while (set->sent != set->pos && !import->blocked) {

        if (!ends && set->pos - set->sent < DF_IMPORT_LEAST) {
            return NGX_OK;
        }

        len = df_import_piece(set);
        rc = df_pg_copy_put(import->job, set->sent, len);

        if (rc == NGX_ERROR) {
            return NGX_OK;              /* done() tells */
        }

        if (rc == NGX_DECLINED) {
            break;
        }

        import->blocked = (rc == NGX_AGAIN);
        df_import_sets_put(&import->sets, set, len);
    }

    if (rc == NGX_DECLINED || (ends && set->sent == set->pos)) {
        import->state = DF_IMPORT_CLOSE;
        df_pg_copy_end(import->job);
    }

    return NGX_OK;
}


/* whole rows: the COPY may have to end behind them */

static size_t
df_import_piece(const df_import_set_t *set)
{
    size_t   len;
    u_char  *p;

    len = set->pos - set->sent;

    if (len <= DF_IMPORT_MOST) {
        return len;
    }

    p = set->sent + DF_IMPORT_MOST;

    while (p > set->sent && p[-1] != LF) {
        p--;
    }

    if (p == set->sent) {
        p = memchr(set->sent, LF, len);
        p++;
    }

    return p - set->sent;
}


/* a constraint that is checked at the commit only is checked by a dry run,
   too */

static ngx_int_t
df_import_commit(df_import_t *import)
{
    if (import->request->dry_run) {
        df_import_statement(import, 0, "SET CONSTRAINTS ALL IMMEDIATE");
        df_import_statement(import, 1, "ROLLBACK");

        return df_import_continue(import, 2, DF_IMPORT_COMMIT);
    }

    df_import_statement(import, 0, "COMMIT");

    return df_import_continue(import, 1, DF_IMPORT_COMMIT);
}


static ngx_int_t
df_import_continue(df_import_t *import, ngx_uint_t n, df_import_state_t state)
{
    import->state = state;

    if (df_pg_continue(import->job, import->statements, n, 0) != NGX_OK) {
        import->job = NULL;
        return df_import_lost(import);
    }

    return NGX_OK;
}


/* between two statements */

static ngx_int_t
df_import_lost(df_import_t *import)
{
    df_pg_error_t  error;

    ngx_memzero(&error, sizeof(df_pg_error_t));
    error.failure = DF_PG_DOWN;
    error.retry_after = 1;

    df_import_refused(import, &error);

    return NGX_DECLINED;
}


static void
df_import_statement(df_import_t *import, ngx_uint_t i, const char *text)
{
    df_pg_statement_t  *st;

    st = &import->statements[i];

    ngx_memzero(st, sizeof(df_pg_statement_t));

    st->text.data = (u_char *) text;
    st->text.len = ngx_strlen(text);
    st->unprepared = 1;
}


/* the sets whose COPY is not under way hold all that they may */

static ngx_uint_t
df_import_is_pressed(const df_import_t *import)
{
    size_t  own;

    own = import->set ? import->set->pos - import->set->sent : 0;

    return import->sets.used == DF_IMPORT_SETS
           || import->sets.bytes - own >= DF_IMPORT_OTHERS;
}


/* the COPY has all the rows that it may have */

static ngx_uint_t
df_import_is_over(const df_import_t *import)
{
    return import->set->rows >= DF_IMPORT_ROWS
           || import->set->nlines >= DF_IMPORT_LINES;
}


ngx_uint_t
df_import_is_full(const df_import_t *import)
{
    const df_import_sets_t  *sets;

    sets = &import->sets;

    if (import->state == DF_IMPORT_OVER) {
        return 0;
    }

    if (df_import_is_pressed(import)) {
        return 1;
    }

    if (import->set != NULL) {
        return import->set->pos - import->set->sent >= DF_IMPORT_OWN
               || df_import_is_over(import);
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
}


static void
df_import_writable(void *data)
{
    df_import_t *import = data;

    import->state = DF_IMPORT_PUT;
    import->blocked = 0;

    /* nothing to be put: does the server have something to say? */

    if (df_pg_copy_put(import->job, (u_char *) "", 0) == NGX_DECLINED) {
        import->state = DF_IMPORT_CLOSE;
        df_pg_copy_end(import->job);
        return;
    }

    df_import_go_on(import);
}


static void
df_import_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n)
{
    df_import_t *import = data;

    ngx_int_t  rows;
    char      *tuples;

    if (import->state == DF_IMPORT_CLOSE
        || import->state == DF_IMPORT_STATEMENT)
    {
        tuples = PQcmdTuples(res);
        rows = ngx_atoi((u_char *) tuples, ngx_strlen(tuples));

        if (rows != NGX_ERROR) {
            import->affected += rows;
        }
    }
}


static void
df_import_done(void *data, const df_pg_error_t *error)
{
    df_import_t *import = data;

    if (error->failure != DF_PG_OK) {
        df_import_refused(import, error);

        if (error->sqlstate[0] == '\0') {
            import->job = NULL;
        }

        df_import_end(import);
        return;
    }

    if (import->state == DF_IMPORT_COMMIT) {
        df_pg_release(import->job);
        import->job = NULL;

        df_import_end(import);
        return;
    }

    if (import->set != NULL) {
        df_import_sets_done(&import->sets, import->set);
        import->set = NULL;
    }

    import->state = DF_IMPORT_READY;

    df_import_go_on(import);
}


static void
df_import_refused(df_import_t *import, const df_pg_error_t *error)
{
    ngx_uint_t     line;
    df_problem_t  *problem;

    static const ngx_str_t  row = ngx_string("");

    problem = &import->run->problem;
    line = 0;

    if (error->line && import->set != NULL) {
        line = df_import_sets_line(import->set, error->line);
    }

    problem->line = line;

    df_query_problem(import->request, error, problem);

    if (line && problem->items.nelts == 0) {
        (void) df_problem_add(problem, problem->code, DF_AT_POINTER, &row,
                              "refused", "%V", &problem->detail);
    }
}


/* what waits is sent, and then the owner may have more */

static void
df_import_go_on(df_import_t *import)
{
    df_run_t  *run;

    run = import->run;

    if (df_import_send(import) != NGX_OK) {

        if (run->problem.code == DF_PROBLEM_NONE) {
            (void) df_problem_set(&run->problem, DF_PROBLEM_INTERNAL,
                                  "the import could not go on");
        }

        df_import_end(import);
        return;
    }

    if (import->waiting && !df_import_is_full(import)) {
        import->waiting = 0;
        run->more(run);
    }
}
