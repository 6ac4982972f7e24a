
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The answer to a bulk: how many, the rows in the order of their records, or
 * what became of each.
 */


#include <ngx_config.h>
#include "query/run_bulk.h"


static ngx_int_t df_bulk_answer_data(df_bulk_state_t *state, df_writer_t *w);
static ngx_int_t df_bulk_answer_results(df_bulk_state_t *state,
    df_writer_t *w);
static ngx_int_t df_bulk_answer_result(df_bulk_state_t *state,
    df_writer_t *w, ngx_uint_t i);
static ngx_uint_t df_bulk_answer_status(const df_bulk_state_t *state,
    const df_bulk_outcome_t *outcome);


ngx_int_t
df_bulk_answer(df_bulk_state_t *state, const df_bulk_counts_t *counts)
{
    df_run_t        *run;
    df_bulk_t       *bulk;
    df_writer_t      w;
    df_operation_t   op;

    run = state->base.run;
    bulk = state->bulk;
    op = state->request->op;

    run->rows = df_bulk_affected(counts);

    if (df_writer_init_chained(&w, run->pool, 256) != NGX_OK
        || df_writer_printf(&w, "{\"operation\":\"%V\",\"affected\":%ui",
                            df_query_bulk_name(op), run->rows)
           != NGX_OK
        || ((op == DF_BULK_CREATE || op == DF_BULK_UPSERT)
            && df_writer_printf(&w, ",\"inserted\":%ui", counts->inserted)
               != NGX_OK)
        || ((op == DF_BULK_UPDATE || op == DF_BULK_UPSERT)
            && df_writer_printf(&w, ",\"updated\":%ui", counts->updated)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (bulk->each ? df_bulk_answer_results(state, &w) != NGX_OK
                   : bulk->returns && df_bulk_answer_data(state, &w) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (df_writer_add(&w, "}", 1) != NGX_OK) {
        return NGX_ERROR;
    }

    run->length = df_writer_length(&w);
    run->out = df_writer_close(&w);

    return run->out ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
df_bulk_answer_data(df_bulk_state_t *state, df_writer_t *w)
{
    ngx_str_t    *row;
    ngx_uint_t    i, n;
    ngx_chain_t  *cl;

    if (df_writer_add(w, ",\"data\":[", sizeof(",\"data\":[") - 1) != NGX_OK) {
        return NGX_ERROR;
    }

    n = 0;

    for (i = 0; i < state->bulk->nrecords; i++) {
        row = &state->outcomes[i].row;

        if (row->len == 0) {
            continue;
        }

        if ((n++ && df_writer_add(w, ",", 1) != NGX_OK)
            || df_writer_add(w, row->data, row->len) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (state->rows.pool) {
        for (cl = df_writer_close(&state->rows); cl; cl = cl->next) {
            if (df_writer_add(w, cl->buf->pos, ngx_buf_size(cl->buf))
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return df_writer_add(w, "]", 1);
}


static ngx_int_t
df_bulk_answer_results(df_bulk_state_t *state, df_writer_t *w)
{
    ngx_uint_t  i;

    if (df_writer_add(w, ",\"results\":[", sizeof(",\"results\":[") - 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < state->bulk->nrecords; i++) {
        if ((i && df_writer_add(w, ",", 1) != NGX_OK)
            || df_bulk_answer_result(state, w, i) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_writer_add(w, "]", 1);
}


static ngx_int_t
df_bulk_answer_result(df_bulk_state_t *state, df_writer_t *w, ngx_uint_t i)
{
    ngx_str_t           text;
    const char         *name;
    df_bulk_outcome_t  *outcome;

    static const ngx_str_t  none = ngx_string("");

    outcome = &state->outcomes[i];
    text = outcome->row;
    name = "record";

    if (outcome->problem) {
        name = "problem";

        if (df_problem_print(outcome->problem, &none, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (df_writer_printf(w, "{\"index\":%ui,\"status\":%ui", i,
                         df_bulk_answer_status(state, outcome))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (text.len
        && (df_writer_printf(w, ",\"%s\":", name) != NGX_OK
            || df_writer_add(w, text.data, text.len) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return df_writer_add(w, "}", 1);
}


/* as the same request for one record would be answered */

static ngx_uint_t
df_bulk_answer_status(const df_bulk_state_t *state,
    const df_bulk_outcome_t *outcome)
{
    if (outcome->problem) {
        return df_problem_status(outcome->problem);
    }

    if (state->request->op == DF_BULK_DELETE) {
        return 204;
    }

    return outcome->inserted ? 201 : 200;
}
