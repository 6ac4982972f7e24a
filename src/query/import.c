
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * import: a body of NDJSON or CSV, of any length, to rows of a table, in
 * memory that does not grow with it.  Pieces of the body are read into rows
 * and the rows sent; what the database does not take yet stops the reading.
 *
 * After the first row that is wrong nothing is stored; the others are only
 * looked at, so that all that is wrong is told at once.
 */


#include <ngx_config.h>
#include "query/import.h"


static ngx_int_t df_import_start(df_run_t *run);
static void df_import_resume(df_run_t *run);
static void df_import_abandon(df_run_t *run);
static ngx_int_t df_import_reader_init(df_import_t *import);
static ngx_int_t df_import_upsert_init(df_import_t *import);
static ngx_int_t df_import_take(df_import_t *import, u_char **pos,
    u_char *last, ngx_uint_t end);
static ngx_int_t df_import_finish(df_import_t *import);
static ngx_int_t df_import_wrong(df_import_t *import);
static ngx_int_t df_import_over(df_import_t *import, ngx_int_t rc);
static ngx_int_t df_import_answer(df_import_t *import);


const df_run_driver_t  df_import_driver = {
    df_import_start,
    df_import_resume,
    df_import_abandon
};


static ngx_int_t
df_import_start(df_run_t *run)
{
    ngx_int_t     rc;
    df_import_t  *import;

    import = ngx_pcalloc(run->pool, sizeof(df_import_t));
    if (import == NULL) {
        return NGX_ERROR;
    }

    import->run = run;
    import->admitted = run->admitted;
    import->request = run->admitted->request;
    import->copies = 1;

    if (df_import_reader_init(import) != NGX_OK
        || df_import_batch_init(import) != NGX_OK
        || df_str_copy(run->pool, &import->table,
                       import->request->model->quoted.data,
                       import->request->model->quoted.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_import_upsert_init(import);

    if (rc == NGX_OK) {
        rc = df_import_rows_init(import);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    run->state = import;

    return NGX_OK;
}


static ngx_int_t
df_import_reader_init(df_import_t *import)
{
    ngx_pool_t  *pool;

    pool = import->run->pool;

    if (import->run->input == DF_FORMAT_CSV) {
        import->csv = ngx_palloc(pool, sizeof(df_csv_t));
        if (import->csv == NULL) {
            return NGX_ERROR;
        }

        df_csv_init(import->csv, pool);

        return NGX_OK;
    }

    import->ndjson = ngx_palloc(pool, sizeof(df_ndjson_t));
    if (import->ndjson == NULL) {
        return NGX_ERROR;
    }

    df_ndjson_init(import->ndjson, pool);

    return NGX_OK;
}


static ngx_int_t
df_import_upsert_init(df_import_t *import)
{
    ngx_int_t            rc;
    df_bulk_t           *bulk;
    df_place_t           place;
    df_problem_t        *problem;
    const df_request_t  *r;

    r = import->request;
    problem = &import->run->problem;

    ngx_memzero(&place, sizeof(df_place_t));
    ngx_str_set(&place.parameter, "update");

    if (r->op != DF_BULK_UPSERT) {

        if (r->has_updated) {
            return df_query_refuse(problem, DF_PROBLEM_BAD_REQUEST, &place,
                                   "conflict", "says what an upsert sets: "
                                   "\"on\" is missing");
        }

        return NGX_OK;
    }

    bulk = df_bulk_create(import->run->pool, r->model);
    if (bulk == NULL) {
        return NGX_ERROR;
    }

    bulk->generated = r->keep_generated;

    ngx_str_set(&place.parameter, "on");

    rc = df_bulk_on(bulk, &r->on, &place, problem);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&place.parameter, "update");

    rc = df_bulk_update(bulk, r->has_updated ? &r->updated : NULL, &place,
                        problem);
    if (rc != NGX_OK) {
        return rc;
    }

    import->bulk = bulk;
    import->copies = 0;

    return NGX_OK;
}


ngx_int_t
df_query_import(df_run_t *run, u_char **pos, u_char *last, ngx_uint_t end)
{
    ngx_int_t     rc;
    df_import_t  *import;

    import = run->state;

    rc = df_import_take(import, pos, last, end);

    if (rc == NGX_AGAIN) {
        import->waiting = 1;
        return NGX_AGAIN;
    }

    if (rc == NGX_OK && end) {
        rc = df_import_finish(import);
    }

    return (rc == NGX_OK) ? NGX_OK : df_import_over(import, rc);
}


/* NGX_OK, all was taken; NGX_AGAIN: the rest when more() asks for it */

static ngx_int_t
df_import_take(df_import_t *import, u_char **pos, u_char *last, ngx_uint_t end)
{
    ngx_int_t  rc;

    for ( ;; ) {

        if (df_import_is_full(import)) {
            rc = df_import_send(import);
            if (rc != NGX_OK) {
                return rc;
            }

            if (df_import_is_full(import)) {
                return NGX_AGAIN;
            }
        }

        rc = import->csv ? df_csv_next(import->csv, pos, last, end)
                         : df_ndjson_next(import->ndjson, pos, last, end);

        if (rc == NGX_AGAIN) {
            return df_import_send(import);
        }

        if (rc == NGX_OK) {
            rc = df_import_row(import);

        } else if (rc == NGX_DECLINED) {
            rc = import->csv
                 ? df_import_row_refuse(import, import->csv->line, "syntax",
                                        import->csv->reason)
                 : df_import_row_refuse(import, import->ndjson->line,
                                        "syntax", import->ndjson->reason);
        }

        if (rc == NGX_DECLINED) {
            df_import_drop(import);

        } else if (rc != NGX_OK) {
            return rc;
        }
    }
}


/* the body has ended */

static ngx_int_t
df_import_finish(df_import_t *import)
{
    if (import->csv && import->csv->columns == 0) {
        return df_problem_set(&import->run->problem, DF_PROBLEM_BAD_REQUEST,
                              "the body has no header line");
    }

    if (import->bad) {
        return df_import_wrong(import);
    }

    import->complete = 1;

    return df_import_send(import);
}


static ngx_int_t
df_import_wrong(df_import_t *import)
{
    df_problem_t  *problem;

    problem = &import->run->problem;

    problem->detail = df_str_printf(problem->pool,
                                    "%ui of %ui rows %s wrong; nothing was "
                                    "stored", import->bad, import->rows,
                                    import->bad == 1 ? "is" : "are");

    return NGX_DECLINED;
}


/* the end, but not from a callback */

static ngx_int_t
df_import_over(df_import_t *import, ngx_int_t rc)
{
    df_run_t  *run;

    run = import->run;
    run->state = NULL;

    df_import_drop(import);

    if (rc == NGX_ABORT) {
        run->problem.detail = df_str_printf(run->problem.pool,
                                            "the header line is wrong; "
                                            "nothing was stored");
        return NGX_DECLINED;
    }

    return rc;
}


void
df_import_end(df_import_t *import)
{
    df_run_t  *run;

    run = import->run;
    run->state = NULL;

    df_import_drop(import);

    if (run->problem.code == DF_PROBLEM_NONE
        && df_import_answer(import) != NGX_OK)
    {
        (void) df_problem_set(&run->problem, DF_PROBLEM_INTERNAL,
                              "the answer could not be made");
    }

    run->done(run);
}


static ngx_int_t
df_import_answer(df_import_t *import)
{
    df_run_t          *run;
    df_writer_t        w;
    df_operation_t     op;
    df_bulk_counts_t  *counts;

    run = import->run;
    op = import->request->op;
    counts = &import->counts;
    run->rows = df_bulk_affected(counts);

    if (df_writer_init_chained(&w, run->pool, 256) != NGX_OK
        || df_writer_printf(&w, "{\"operation\":\"%V\",\"affected\":%ui,"
                            "\"inserted\":%ui", df_query_bulk_name(op),
                            run->rows, counts->inserted)
           != NGX_OK
        || (op == DF_BULK_UPSERT
            && df_writer_printf(&w, ",\"updated\":%ui", counts->updated)
               != NGX_OK)
        || df_writer_add(&w, "}", 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    run->length = df_writer_length(&w);
    run->out = df_writer_close(&w);

    return run->out ? NGX_OK : NGX_ERROR;
}


static void
df_import_resume(df_run_t *run)
{
    /* nothing is paused: the owner does not give more than is taken */
}


static void
df_import_abandon(df_run_t *run)
{
    df_import_t  *import;

    import = run->state;
    run->state = NULL;

    df_import_drop(import);
}
