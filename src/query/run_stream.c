
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * run: lists that are answered while they are read.  Rows are collected in
 * pieces; a piece that was sent is filled again, so that a list of any length
 * takes the memory of a few.
 */


#include <ngx_config.h>
#include "query/run.h"


#define DF_QUERY_PIECE  32768


static ngx_int_t df_query_stream_row(void *data, PGresult *res);
static void df_query_stream_done(void *data, const df_pg_error_t *error);
static ngx_int_t df_query_stream_add(df_query_state_t *state,
    const PGresult *res);
static ngx_int_t df_query_stream_open(df_query_state_t *state);
static ngx_int_t df_query_stream_close(df_query_state_t *state);
static ngx_int_t df_query_stream_reserve(df_query_state_t *state, size_t n);
static ngx_chain_t *df_query_stream_piece(df_query_state_t *state, size_t n);
static ngx_int_t df_query_stream_send(df_query_state_t *state);
static void df_query_stream_fail(df_query_state_t *state);


const df_pg_callbacks_t  df_query_stream_callbacks = {
    NULL,
    df_query_stream_row,
    df_query_stream_done
};


static ngx_int_t
df_query_stream_row(void *data, PGresult *res)
{
    df_query_state_t  *state = data;

    df_run_t       *run;
    ngx_int_t       rc;
    df_compiled_t  *compiled;

    run = state->run;
    compiled = &state->compiled;

    if (!compiled->unlimited && run->rows == compiled->limit) {
        run->next = state->next;
        run->truncated = 1;
        return NGX_OK;
    }

    rc = df_query_stream_add(state, res);

    if (rc == NGX_ABORT) {
        return NGX_ERROR;
    }

    if (rc == NGX_ERROR || rc == NGX_DECLINED) {
        df_query_stream_fail(state);
        return NGX_ERROR;
    }

    return rc;
}


/*
 * A row behind those that wait to be sent.  NGX_OK, NGX_AGAIN when it was
 * added, but no other should follow now, NGX_DECLINED with the problem filled,
 * NGX_ERROR, or NGX_ABORT when the run is no more.
 */

static ngx_int_t
df_query_stream_add(df_query_state_t *state, const PGresult *res)
{
    size_t          bound;
    df_run_t       *run;
    ngx_int_t       rc, sent;
    ngx_buf_t      *b;
    df_compiled_t  *compiled;

    run = state->run;
    compiled = &state->compiled;

    if (run->rows == 0) {
        rc = df_query_result_types(state, res);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = df_query_stream_open(state);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    bound = df_query_encode_bound(compiled, run->format, res, 0);

    sent = df_query_stream_reserve(state, bound + 1);
    if (sent != NGX_OK && sent != NGX_AGAIN) {
        return sent;
    }

    b = state->piece->buf;

    if (run->rows && run->format == DF_FORMAT_JSON) {
        *b->last++ = ',';
    }

    b->last = df_query_encode_row(b->last, compiled, run->format, res, 0);

    run->rows++;

    if (!compiled->unlimited && run->rows == compiled->limit) {

        /* the last one wanted: if another follows, this is where to go on */

        rc = df_query_result_next(state, res, 0, &state->next);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return sent;
}


static void
df_query_stream_done(void *data, const df_pg_error_t *error)
{
    df_query_state_t  *state = data;

    df_run_t   *run;
    ngx_int_t   rc;

    run = state->run;
    state->job = NULL;

    if (error->failure != DF_PG_OK) {
        df_query_problem(run->admitted->request, error, &run->problem);
        df_query_run_end(state);
        return;
    }

    rc = df_query_stream_close(state);

    if (rc == NGX_ABORT) {
        return;
    }

    if (rc == NGX_ERROR) {
        df_query_stream_fail(state);
        return;
    }

    df_query_run_end(state);
}


static ngx_int_t
df_query_stream_open(df_query_state_t *state)
{
    ngx_buf_t       *b;
    df_format_t      format;
    df_compiled_t   *compiled;

    static u_char  begin[] = "{\"data\":[";

    format = state->run->format;
    compiled = &state->compiled;

    state->open = 1;

    if (df_query_stream_reserve(state, df_query_encode_header_bound(compiled)
                                       + sizeof(begin))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    b = state->piece->buf;

    if (format == DF_FORMAT_JSON) {
        b->last = ngx_cpymem(b->last, begin, sizeof(begin) - 1);

    } else if (format == DF_FORMAT_CSV) {
        b->last = df_query_encode_header(b->last, compiled);
    }

    return NGX_OK;
}


/* the end of the document; what the owner does not take now it has anyway */

static ngx_int_t
df_query_stream_close(df_query_state_t *state)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    if (!state->open && df_query_stream_open(state) != NGX_OK) {
        return NGX_ERROR;
    }

    if (state->run->format == DF_FORMAT_JSON) {

        rc = df_query_stream_reserve(state, df_query_result_tail_bound(state));
        if (rc != NGX_OK && rc != NGX_AGAIN) {
            return rc;
        }

        b = state->piece->buf;
        b->last = df_query_result_tail(b->last, state);
    }

    return df_query_stream_send(state);
}


/* room for n bytes; what is full is sent, with df_query_stream_add()'s codes */

static ngx_int_t
df_query_stream_reserve(df_query_state_t *state, size_t n)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    rc = NGX_OK;

    if (state->piece != NULL) {
        b = state->piece->buf;

        if ((size_t) (b->end - b->last) >= n) {
            return NGX_OK;
        }

        rc = df_query_stream_send(state);
        if (rc != NGX_OK && rc != NGX_AGAIN) {
            return rc;
        }
    }

    state->piece = df_query_stream_piece(state, n);

    return state->piece ? rc : NGX_ERROR;
}


/* a piece that was sent, or a new one; a longer row gets a longer piece */

static ngx_chain_t *
df_query_stream_piece(df_query_state_t *state, size_t n)
{
    df_run_t     *run;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    run = state->run;
    n = ngx_max(n, DF_QUERY_PIECE);

    cl = ngx_chain_get_free_buf(run->pool, &run->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    if ((size_t) (b->end - b->start) < n) {

        if (b->start) {
            (void) ngx_pfree(run->pool, b->start);
        }

        ngx_memzero(b, sizeof(ngx_buf_t));

        b->start = ngx_palloc(run->pool, n);
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + n;
        b->tag = DF_QUERY_TAG;
        b->temporary = 1;
    }

    b->pos = b->start;
    b->last = b->start;

    return cl;
}


static ngx_int_t
df_query_stream_send(df_query_state_t *state)
{
    df_run_t     *run;
    ngx_int_t     rc;
    ngx_uint_t    gone;
    ngx_chain_t  *piece;

    run = state->run;
    piece = state->piece;

    gone = 0;
    state->gone = &gone;

    if (!state->headed) {
        state->headed = 1;
        run->head(run);

        if (gone) {
            return NGX_ABORT;
        }
    }

    rc = NGX_OK;

    if (piece->buf->last != piece->buf->pos) {

        state->piece = NULL;
        rc = run->body(run, piece);

        if (gone) {
            return NGX_ABORT;
        }
    }

    state->gone = NULL;

    return rc;
}


static void
df_query_stream_fail(df_query_state_t *state)
{
    df_run_t  *run;

    run = state->run;

    if (state->job != NULL) {
        df_pg_abandon(state->job);
        state->job = NULL;
    }

    if (run->problem.code == DF_PROBLEM_NONE) {
        (void) df_problem_set(&run->problem, DF_PROBLEM_INTERNAL,
                              "the list could not be sent");
    }

    df_query_run_end(state);
}
