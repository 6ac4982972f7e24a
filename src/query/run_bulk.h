
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the runs of bulks share: what became of each record, and the answer.
 */


#ifndef _DF_QUERY_RUN_BULK_H_INCLUDED_
#define _DF_QUERY_RUN_BULK_H_INCLUDED_


#include "query/bulk.h"
#include "query/run.h"


DF_HIDDEN_BEGIN


/* of one record, by its place in the request */

typedef struct {
    ngx_str_t             row;          /* encoded, when it is wanted */
    df_problem_t         *problem;      /* why nothing was done */
    unsigned              found:1;
    unsigned              inserted:1;
    unsigned              missing:1;    /* and should have been found */
} df_bulk_outcome_t;

typedef struct {
    ngx_uint_t            inserted;
    ngx_uint_t            updated;
    ngx_uint_t            deleted;
} df_bulk_counts_t;

typedef struct {
    df_query_state_t      base;         /* its compiled: the columns */
    const df_request_t   *request;
    df_bulk_t            *bulk;

    df_bulk_compiled_t    compiled;     /* what is under way */
    df_pg_statement_t    *statements;   /* with those before them: */
    ngx_uint_t            first;        /* so many */
    df_bulk_counts_t      counts;       /* of them */

    df_bulk_outcome_t    *outcomes;     /* bulk->nrecords */
    df_writer_t           rows;         /* encoded rows of a filter */
    u_char               *room;         /* for encoded rows of records */
    u_char               *room_end;
} df_bulk_state_t;


#define df_bulk_affected(counts)                                              \
    ((counts)->inserted + (counts)->updated + (counts)->deleted)


/* run_bulk.c, run_bulk_each.c: the whole, and each by itself */

extern const df_run_driver_t  df_bulk_run_driver;
extern const df_run_driver_t  df_bulk_each_driver;
extern const df_pg_statement_t  df_bulk_commit;

/* run_bulk_result.c */

ngx_int_t df_bulk_state_init(df_bulk_state_t *state, df_run_t *run);
/* abandons what is under way */
void df_bulk_state_stop(df_bulk_state_t *state);

/* the statements of compiled behind others, a text each */
ngx_int_t df_bulk_statements(df_bulk_state_t *state, ngx_pool_t *pool,
    const char *const *before, ngx_uint_t n);

/* adds a text to those, when the timeout has to be said; 0 or 1 */
ngx_uint_t df_bulk_timeout(df_bulk_state_t *state, ngx_pool_t *pool,
    ngx_msec_t timeout, const char **before);

/* df_pg_callbacks_t's; data is a df_bulk_state_t */
void df_bulk_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n);
/* forgets what the statements have told */
void df_bulk_result_reset(df_bulk_state_t *state);
/* marks the records that should have been found, and were not; their number */
ngx_uint_t df_bulk_missing(df_bulk_state_t *state);

/* run_bulk_answer.c */

ngx_int_t df_bulk_answer(df_bulk_state_t *state,
    const df_bulk_counts_t *counts);

/* bulk_problem.c */

/* the part of the statement that was refused, or NULL */
const df_bulk_part_t *df_bulk_failed(const df_bulk_state_t *state,
    const df_pg_error_t *error);
void df_bulk_missing_problem(const df_bulk_state_t *state,
    const df_bulk_record_t *record, df_problem_t *problem);
/* fewer records may not be refused */
ngx_uint_t df_bulk_is_data(const df_pg_error_t *error);
/* the connection is gone with a transaction that was not committed */
void df_bulk_undone(const df_bulk_state_t *state, df_problem_t *problem);


DF_HIDDEN_END


#endif /* _DF_QUERY_RUN_BULK_H_INCLUDED_ */
