
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What a run is made of: run.c sends its statements, run_result.c takes their
 * results, run_stream.c the rows of a list that is sent while it is read.
 */


#ifndef _DF_QUERY_RUN_H_INCLUDED_
#define _DF_QUERY_RUN_H_INCLUDED_


#include "query/query_internal.h"
#include <ngx_event.h>


DF_HIDDEN_BEGIN


/*
 * How the runs of an operation are carried out.  start() does what is said of
 * df_query_run() and sets run->state; the others are called while it is set,
 * and abandon() unsets it, as does whoever calls done().
 */

struct df_run_driver_s {
    ngx_int_t  (*start)(df_run_t *run);
    void       (*resume)(df_run_t *run);
    void       (*abandon)(df_run_t *run);
};


typedef struct {
    df_run_t               *run;
    df_compiled_t           compiled;
    df_pg_job_t            *job;        /* NULL: none is under way */

    df_writer_t             out;
    int64_t                 count;
    int64_t                 estimate;
    u_char                 *checks;     /* a boolean for each column of the
                                           check; NULL: there is no row */
    unsigned                broken:1;   /* a result could not be taken */
    unsigned                repeated:1; /* in one snapshot, for includes */

    ngx_event_t             again;      /* a write that collided */
    ngx_uint_t              tries;
    ngx_msec_t              deadline;

    ngx_chain_t            *piece;      /* of a stream, being filled */
    ngx_str_t               next;       /* if there are more rows */
    ngx_uint_t             *gone;       /* set when the run is abandoned while
                                           it calls its owner */
    unsigned                open:1;     /* the stream's beginning is written */
    unsigned                headed:1;   /* head() was called */
} df_query_state_t;


extern const df_run_driver_t    df_import_driver;
extern const df_pg_callbacks_t  df_query_stream_callbacks;

/* a job's end: the answer, another try or a problem */
void df_query_run_done(void *data, const df_pg_error_t *error);
/* in how many milliseconds a write that was refused is to be tried again,
   because it collided with others; 0: not */
ngx_msec_t df_query_run_collided(df_query_state_t *state,
    const df_pg_error_t *error);

/* the end: nothing may be touched after it */
void df_query_run_end(df_query_state_t *state);

/* the result of a statement; "broken" is set when it cannot be taken */
void df_query_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n);
/* all results are there: the answer, or why there is none */
void df_query_result_finish(df_query_state_t *state);

/* NGX_DECLINED with the problem filled when the columns of a read are of other
   types than the model says; those of a write are taken as they are */
ngx_int_t df_query_result_types(df_query_state_t *state, const PGresult *res);
/* 1 when a column of this type can be read as the field */
ngx_uint_t df_query_result_type_fits(const df_field_t *field, Oid type);
/* the cursor behind a row; nothing when what is answered has none */
ngx_int_t df_query_result_next(df_query_state_t *state, const PGresult *res,
    ngx_uint_t row, ngx_str_t *next);
/* how a document of rows ends */
size_t df_query_result_tail_bound(df_query_state_t *state);
u_char *df_query_result_tail(u_char *p, df_query_state_t *state);


DF_HIDDEN_END


#endif /* _DF_QUERY_RUN_H_INCLUDED_ */
