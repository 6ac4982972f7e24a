
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Shapes: statements of equal text in a worker.  A shape knows how long its
 * reads take in the server, which decides whether they may share a connection,
 * and has an index by which connections remember what they have prepared.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


#define DF_PG_BUCKETS  (DF_PG_SHAPES * 2)


static df_pg_shape_t *df_pg_shape_take(df_pg_pool_t *pool);
static void df_pg_shape_unlink(df_pg_pool_t *pool, df_pg_shape_t *shape);
static void df_pg_shape_clear(df_pg_shape_t *shape);


df_pg_shape_t *
df_pg_shape_get(df_pg_pool_t *pool, const ngx_str_t *text)
{
    uint32_t         hash;
    u_char          *copy;
    df_pg_shape_t   *shape, **bucket;

    hash = ngx_murmur_hash2(text->data, text->len);
    bucket = &pool->buckets[hash % DF_PG_BUCKETS];

    for (shape = *bucket; shape; shape = shape->next) {
        if (shape->hash == hash && shape->text.len == text->len
            && ngx_memcmp(shape->text.data, text->data, text->len) == 0)
        {
            ngx_queue_remove(&shape->lru);
            goto found;
        }
    }

    shape = df_pg_shape_take(pool);
    if (shape == NULL) {
        return NULL;
    }

    copy = ngx_alloc(text->len, pool->log);
    if (copy == NULL) {
        ngx_queue_insert_tail(&pool->shapes_lru, &shape->lru);
        return NULL;
    }

    ngx_memcpy(copy, text->data, text->len);

    shape->text.data = copy;
    shape->text.len = text->len;
    ngx_str_null(&shape->merged);
    shape->hash = hash;
    shape->serial = ++pool->serials;
    shape->samples = 0;
    shape->usec = 0;
    shape->slow = 0;

    shape->next = *bucket;
    *bucket = shape;

found:

    ngx_queue_insert_head(&pool->shapes_lru, &shape->lru);
    shape->refs++;

    return shape;
}


/* a free slot of the table, or the one not used for the longest time */

static df_pg_shape_t *
df_pg_shape_take(df_pg_pool_t *pool)
{
    ngx_queue_t    *q;
    df_pg_shape_t  *shape;

    if (pool->nshapes < DF_PG_SHAPES) {
        shape = &pool->shapes[pool->nshapes];
        shape->index = pool->nshapes++;
        return shape;
    }

    for (q = ngx_queue_last(&pool->shapes_lru);
         q != ngx_queue_sentinel(&pool->shapes_lru);
         q = ngx_queue_prev(q))
    {
        shape = ngx_queue_data(q, df_pg_shape_t, lru);

        if (shape->refs == 0) {
            ngx_queue_remove(q);
            df_pg_shape_unlink(pool, shape);
            return shape;
        }
    }

    return NULL;
}


static void
df_pg_shape_unlink(df_pg_pool_t *pool, df_pg_shape_t *shape)
{
    df_pg_shape_t  **p;

    if (shape->text.data == NULL) {
        return;
    }

    p = &pool->buckets[shape->hash % DF_PG_BUCKETS];

    while (*p != shape) {
        p = &(*p)->next;
    }

    *p = shape->next;

    df_pg_shape_clear(shape);
}


static void
df_pg_shape_clear(df_pg_shape_t *shape)
{
    if (shape->merged.data) {
        ngx_free(shape->merged.data);
    }

    if (shape->text.data) {
        ngx_free(shape->text.data);
    }

    ngx_str_null(&shape->merged);
    ngx_str_null(&shape->text);
}


void
df_pg_shape_put(df_pg_shape_t *shape)
{
    shape->refs--;
}


/*
 * Slow is entered above one bound and left below another, so that a shape
 * between them does not change lanes with every sample.
 */

void
df_pg_shape_sample(df_pg_shape_t *shape, ngx_uint_t usec)
{
    if (shape->samples < DF_PG_TRIALS) {
        shape->samples++;
    }

    shape->usec = shape->usec ? (shape->usec * 7 + usec) / 8 : usec;

    if (shape->usec > DF_PG_SLOW) {
        shape->slow = 1;

    } else if (shape->usec < DF_PG_FAST) {
        shape->slow = 0;
    }
}


/* whether its reads have been measured */

ngx_uint_t
df_pg_shape_trusted(const df_pg_shape_t *shape)
{
    return shape && shape->samples >= DF_PG_TRIALS;
}


void
df_pg_shapes_free(df_pg_pool_t *pool)
{
    ngx_uint_t  i;

    for (i = 0; i < pool->nshapes; i++) {
        df_pg_shape_clear(&pool->shapes[i]);
    }

    ngx_free(pool->shapes);
    ngx_free(pool->buckets);
}
