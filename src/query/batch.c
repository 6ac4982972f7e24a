
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * run: several requests as one.  Each is a run of its own; what they answer is
 * put together when all are done, and the first failure ends all.
 */


#include <ngx_config.h>
#include "query/run.h"


typedef struct df_batch_s  df_batch_t;

typedef struct {
    df_run_t                run;
    df_batch_t             *batch;
    const df_batch_part_t  *part;
} df_batch_member_t;

struct df_batch_s {
    df_run_t               *run;        /* the whole */
    df_batch_member_t      *members;
    ngx_uint_t              n;
    ngx_uint_t              left;       /* that are not done yet */
};


static ngx_int_t df_query_batch_start(df_batch_member_t *m);
static void df_query_batch_resume(df_run_t *run);
static void df_query_batch_abandon(df_run_t *run);
static void df_query_batch_cancel(df_batch_t *batch);
static void df_query_batch_done(df_run_t *run);
static void df_query_batch_fail(df_batch_member_t *m);
static ngx_int_t df_query_batch_join(df_batch_t *batch);
static ngx_int_t df_query_batch_name(df_batch_t *batch, ngx_uint_t i,
    ngx_str_t *text);
static ngx_chain_t **df_query_batch_add(df_run_t *run, ngx_chain_t **last,
    const ngx_str_t *text);


static const df_run_driver_t  df_query_batch_driver = {
    NULL,
    df_query_batch_resume,
    df_query_batch_abandon
};


ngx_int_t
df_query_run_batch(df_run_t *run, const df_batch_part_t *parts, ngx_uint_t n)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    df_batch_t         *batch;
    df_batch_member_t  *m;

    batch = ngx_pcalloc(run->pool, sizeof(df_batch_t));
    m = ngx_pcalloc(run->pool, n * sizeof(df_batch_member_t));

    if (batch == NULL || m == NULL) {
        return NGX_ERROR;
    }

    batch->run = run;
    batch->members = m;
    batch->n = n;
    batch->left = n;

    for (i = 0; i < n; i++) {
        m[i].batch = batch;
        m[i].part = &parts[i];

        rc = df_query_batch_start(&m[i]);

        if (rc != NGX_OK) {
            df_query_batch_cancel(batch);

            if (rc == NGX_DECLINED) {
                df_query_batch_fail(&m[i]);
            }

            return rc;
        }
    }

    run->driver = &df_query_batch_driver;
    run->state = batch;

    return NGX_OK;
}


static ngx_int_t
df_query_batch_start(df_batch_member_t *m)
{
    df_run_t  *run, *whole;

    run = &m->run;
    whole = m->batch->run;

    if (df_problem_init(&run->problem, whole->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    run->pool = whole->pool;
    run->log = whole->log;
    run->admitted = m->part->admitted;
    run->format = DF_FORMAT_JSON;
    run->done = df_query_batch_done;
    run->data = m;

    return df_query_run(run);
}


/* nothing is sent before all is there */

static void
df_query_batch_resume(df_run_t *run)
{
    /* void */
}


static void
df_query_batch_abandon(df_run_t *run)
{
    df_batch_t  *batch;

    batch = run->state;
    run->state = NULL;

    df_query_batch_cancel(batch);
}


static void
df_query_batch_cancel(df_batch_t *batch)
{
    ngx_uint_t  i;

    for (i = 0; i < batch->n; i++) {
        df_query_abandon(&batch->members[i].run);
    }
}


static void
df_query_batch_done(df_run_t *run)
{
    df_run_t           *whole;
    df_batch_t         *batch;
    df_batch_member_t  *m;

    m = run->data;
    batch = m->batch;
    whole = batch->run;

    if (run->problem.code != DF_PROBLEM_NONE) {
        df_query_batch_cancel(batch);
        df_query_batch_fail(m);

    } else if (--batch->left) {
        return;

    } else if (df_query_batch_join(batch) != NGX_OK) {
        (void) df_problem_set(&whole->problem, DF_PROBLEM_INTERNAL,
                              "the answer could not be made");
    }

    whole->state = NULL;
    whole->done(whole);
}


/* a member's problem to the whole's; where the member stands in a body is
   told, if it is to blame */

static void
df_query_batch_fail(df_batch_member_t *m)
{
    ngx_str_t            pointer, detail;
    df_problem_t        *problem;
    df_problem_at_t      at;
    const df_request_t  *r;

    problem = &m->batch->run->problem;
    r = m->part->admitted->request;

    *problem = m->run.problem;
    detail = problem->detail;

    if (problem->items.nelts == 0 && r->place != NULL
        && df_problem_status(problem) < 500)
    {
        pointer = df_query_place_name(r->pool, r->place, &at);

        (void) df_problem_add(problem, problem->code, at, &pointer, "failed",
                              "%V", &detail);
    }

    problem->detail = df_str_printf(problem->pool, "%V: %V", &m->part->name,
                                    &detail);
}


static ngx_int_t
df_query_batch_join(df_batch_t *batch)
{
    df_run_t      *run, *part;
    ngx_str_t      text;
    ngx_uint_t     i;
    ngx_chain_t  **last;

    static const ngx_str_t  end = ngx_string("}");

    run = batch->run;
    last = &run->out;

    for (i = 0; i < batch->n; i++) {
        part = &batch->members[i].run;

        if (df_query_batch_name(batch, i, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        last = df_query_batch_add(run, last, &text);
        if (last == NULL) {
            return NGX_ERROR;
        }

        *last = part->out;

        while (*last) {
            last = &(*last)->next;
        }

        run->length += part->length;
        run->rows += part->rows;
    }

    return df_query_batch_add(run, last, &end) ? NGX_OK : NGX_ERROR;
}


/* {"name": or ,"name": */

static ngx_int_t
df_query_batch_name(df_batch_t *batch, ngx_uint_t i, ngx_str_t *text)
{
    u_char           *p;
    const ngx_str_t  *name;

    name = &batch->members[i].part->name;

    text->data = ngx_pnalloc(batch->run->pool, sizeof("{\"\":")
                             + df_json_escaped_length(name->data, name->len));
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = text->data;

    *p++ = i ? ',' : '{';
    *p++ = '"';
    p = df_json_escape(p, name->data, name->len);
    *p++ = '"';
    *p++ = ':';

    text->len = p - text->data;

    return NGX_OK;
}


static ngx_chain_t **
df_query_batch_add(df_run_t *run, ngx_chain_t **last, const ngx_str_t *text)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(run->pool);
    cl = ngx_alloc_chain_link(run->pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    *last = cl;
    run->length += text->len;

    return &cl->next;
}
