
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Writers: text that grows in a pool, in one piece or as a chain of buffers.
 * Nothing here knows what the text means.
 */


#include "core/core.h"


#define DF_WRITER_MAX_CHUNK  65536


static ngx_int_t df_writer_more(df_writer_t *w, size_t n);
static ngx_int_t df_writer_start(df_writer_t *w, size_t size);
static ngx_int_t df_writer_close_buffer(df_writer_t *w);


ngx_int_t
df_writer_init(df_writer_t *w, ngx_pool_t *pool, size_t size)
{
    ngx_memzero(w, sizeof(df_writer_t));

    w->pool = pool;
    w->last = &w->out;
    w->chunk = size;

    return df_writer_start(w, size);
}


ngx_int_t
df_writer_init_chained(df_writer_t *w, ngx_pool_t *pool, size_t size)
{
    ngx_memzero(w, sizeof(df_writer_t));

    w->pool = pool;
    w->last = &w->out;
    w->chunk = size;
    w->chained = 1;

    return NGX_OK;
}


ngx_int_t
df_writer_grow(df_writer_t *w, size_t n)
{
    if (df_writer_more(w, n) == NGX_OK) {
        return NGX_OK;
    }

    w->failed = 1;

    return NGX_ERROR;
}


static ngx_int_t
df_writer_more(df_writer_t *w, size_t n)
{
    u_char  *old;
    size_t   used, size;

    if (w->chained) {

        if (df_writer_close_buffer(w) != NGX_OK) {
            return NGX_ERROR;
        }

        size = ngx_max(w->chunk, n);

        if (w->chunk < DF_WRITER_MAX_CHUNK) {
            w->chunk = ngx_min(w->chunk * 2, DF_WRITER_MAX_CHUNK);
        }

        return df_writer_start(w, size);
    }

    old = w->start;
    used = w->pos - w->start;
    size = 2 * (w->end - w->start);

    if (df_writer_start(w, ngx_max(size, used + n)) != NGX_OK) {
        return NGX_ERROR;
    }

    w->pos = ngx_cpymem(w->start, old, used);

    return NGX_OK;
}


/* a failed start leaves the writer as it was */

static ngx_int_t
df_writer_start(df_writer_t *w, size_t size)
{
    u_char  *p;

    p = ngx_pnalloc(w->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    w->start = p;
    w->pos = p;
    w->end = p + size;

    return NGX_OK;
}


static ngx_int_t
df_writer_close_buffer(df_writer_t *w)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    /* nginx takes an empty buffer for a mistake */

    if (w->pos == w->start) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(w->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(w->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b->start = w->start;
    b->pos = w->start;
    b->last = w->pos;
    b->end = w->end;
    b->temporary = 1;

    cl->buf = b;
    cl->next = NULL;

    *w->last = cl;
    w->last = &cl->next;

    w->closed += w->pos - w->start;

    w->start = NULL;
    w->pos = NULL;
    w->end = NULL;

    return NGX_OK;
}


ngx_int_t
df_writer_add(df_writer_t *w, const void *data, size_t len)
{
    if (len == 0) {
        return NGX_OK;      /* data may be NULL */
    }

    if (df_writer_reserve(w, len) != NGX_OK) {
        return NGX_ERROR;
    }

    w->pos = ngx_cpymem(w->pos, data, len);

    return NGX_OK;
}


ngx_int_t
df_writer_printf(df_writer_t *w, const char *fmt, ...)
{
    size_t    n;
    u_char   *p;
    va_list   args;

    for (n = 64; /* void */ ; n *= 2) {

        if (df_writer_reserve(w, n) != NGX_OK) {
            return NGX_ERROR;
        }

        va_start(args, fmt);
        p = ngx_vslprintf(w->pos, w->end, fmt, args);
        va_end(args);

        /* what ends at the very end may have been cut */

        if (p < w->end) {
            w->pos = p;
            return NGX_OK;
        }

        n = ngx_max(n, (size_t) (w->end - w->pos));
    }
}


ngx_int_t
df_writer_text(df_writer_t *w, ngx_str_t *text)
{
    if (df_writer_reserve(w, 1) != NGX_OK || w->failed) {
        return NGX_ERROR;
    }

    *w->pos = '\0';

    text->data = w->start;
    text->len = w->pos - w->start;

    return NGX_OK;
}


ngx_chain_t *
df_writer_close(df_writer_t *w)
{
    ngx_chain_t  *out;

    if (df_writer_close_buffer(w) != NGX_OK) {
        return NULL;
    }

    out = w->out;

    w->out = NULL;
    w->last = &w->out;

    return out;
}
