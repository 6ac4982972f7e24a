
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The records of a bulk: kept by their shapes, which are the fields given and
 * the update operators, and found again by the row that they mean.  Both are
 * texts in trees, which nobody can make slow by the choice of names or values.
 */


#include <ngx_config.h>
#include "query/bulk.h"


/* a shape as text */

typedef struct {
    ngx_uint_t                    field;
    const df_update_operator_t   *op;
} df_bulk_piece_t;

typedef struct {
    ngx_str_node_t                node;
    df_bulk_record_t             *record;
} df_bulk_row_t;


static ngx_uint_t df_bulk_slots_fill(df_bulk_t *bulk,
    const df_assignment_t *values, ngx_uint_t n);
static df_bulk_shape_t *df_bulk_shape_find(df_bulk_t *bulk, ngx_uint_t n);
static df_bulk_shape_t *df_bulk_shape_create(df_bulk_t *bulk,
    const ngx_str_t *text, uint32_t hash, ngx_uint_t n);
static ngx_int_t df_bulk_equal_text(df_bulk_t *bulk,
    const df_bulk_record_t *record, ngx_str_t *text);


df_bulk_t *
df_bulk_create(ngx_pool_t *pool, const df_model_t *model)
{
    df_bulk_t  *bulk;

    bulk = ngx_pcalloc(pool, sizeof(df_bulk_t));
    if (bulk == NULL) {
        return NULL;
    }

    bulk->pool = pool;
    bulk->model = model;

    ngx_rbtree_init(&bulk->shapes, &bulk->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&bulk->rows, &bulk->sentinel,
                    ngx_str_rbtree_insert_value);

    bulk->pieces = ngx_palloc(pool, model->fields.nelts
                                    * sizeof(df_bulk_piece_t));
    bulk->slots = ngx_pcalloc(pool, model->fields.nelts
                                    * sizeof(df_assignment_t *));

    if (bulk->pieces == NULL || bulk->slots == NULL
        || ngx_array_init(&bulk->records, pool, 64,
                          sizeof(df_bulk_record_t *))
           != NGX_OK
        || ngx_array_init(&bulk->refused, pool, 1, sizeof(df_bulk_refused_t))
           != NGX_OK)
    {
        return NULL;
    }

    return bulk;
}


/* assignments come in any order, but columns are in the order of the model, so
   that equal shapes are equal statements */

ngx_int_t
df_bulk_add(df_bulk_t *bulk, ngx_uint_t index, const df_assignment_t *values,
    ngx_uint_t n, const df_value_t *key, df_bulk_record_t **record)
{
    ngx_uint_t          i, field;
    df_bulk_record_t   *added, **slot;

    slot = ngx_array_push(&bulk->records);
    added = ngx_palloc(bulk->pool, sizeof(df_bulk_record_t)
                                   + n * sizeof(df_value_t));

    if (slot == NULL || added == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(added, sizeof(df_bulk_record_t));

    added->index = index;
    added->values = (df_value_t *) (added + 1);

    if (key) {
        added->key = *key;
    }

    n = df_bulk_slots_fill(bulk, values, n);

    added->shape = df_bulk_shape_find(bulk, n);
    if (added->shape == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        field = added->shape->columns[i].field->index;
        added->values[i] = bulk->slots[field]->value;
        bulk->slots[field] = NULL;
    }

    *slot = added;
    *record = added;

    return NGX_OK;
}


static ngx_uint_t
df_bulk_slots_fill(df_bulk_t *bulk, const df_assignment_t *values,
    ngx_uint_t n)
{
    ngx_uint_t        i, k;
    df_bulk_piece_t  *piece;

    for (i = 0; i < n; i++) {
        bulk->slots[values[i].field->index] = &values[i];
    }

    piece = bulk->pieces;

    for (i = 0, k = 0; k < n; i++) {
        if (bulk->slots[i]) {
            piece[k].field = i;
            piece[k].op = bulk->slots[i]->op;
            k++;
        }
    }

    return k;
}


static df_bulk_shape_t *
df_bulk_shape_find(df_bulk_t *bulk, ngx_uint_t n)
{
    uint32_t          hash;
    ngx_str_t         text;
    df_bulk_shape_t  *shape;

    text.data = bulk->pieces;
    text.len = n * sizeof(df_bulk_piece_t);

    /* records are much alike */

    shape = bulk->last;

    if (shape == NULL || !df_query_same(&shape->node.str, &text)) {
        hash = ngx_crc32_long(text.data, text.len);

        shape = (df_bulk_shape_t *) ngx_str_rbtree_lookup(&bulk->shapes,
                                                          &text, hash);

        if (shape == NULL) {
            shape = df_bulk_shape_create(bulk, &text, hash, n);
        }
    }

    bulk->last = shape;

    return shape;
}


static df_bulk_shape_t *
df_bulk_shape_create(df_bulk_t *bulk, const ngx_str_t *text, uint32_t hash,
    ngx_uint_t n)
{
    ngx_uint_t         i;
    df_bulk_piece_t   *piece;
    df_bulk_shape_t   *shape;

    shape = ngx_pcalloc(bulk->pool, sizeof(df_bulk_shape_t)
                                    + n * sizeof(df_bulk_column_t));

    if (shape == NULL
        || df_str_copy(bulk->pool, &shape->node.str, text->data, text->len)
           != NGX_OK)
    {
        return NULL;
    }

    shape->node.node.key = hash;
    shape->columns = (df_bulk_column_t *) (shape + 1);
    shape->ncolumns = n;

    piece = bulk->pieces;

    for (i = 0; i < n; i++) {
        shape->columns[i].field = df_schema_field_at(bulk->model,
                                                     piece[i].field);
        shape->columns[i].op = piece[i].op;
    }

    ngx_rbtree_insert(&bulk->shapes, &shape->node.node);
    bulk->nshapes++;

    return shape;
}


const df_value_t *
df_bulk_value(const df_bulk_record_t *record, const df_field_t *field,
    const df_update_operator_t *op, ngx_uint_t hint)
{
    ngx_uint_t               i;
    const df_bulk_shape_t   *shape;
    const df_bulk_column_t  *column;

    shape = record->shape;

    if (hint < shape->ncolumns
        && shape->columns[hint].field == field
        && shape->columns[hint].op == op)
    {
        return &record->values[hint];
    }

    for (i = 0; i < shape->ncolumns; i++) {
        column = &shape->columns[i];

        if (column->field == field && column->op == op) {
            return &record->values[i];
        }
    }

    return NULL;
}


ngx_int_t
df_bulk_equal(df_bulk_t *bulk, df_bulk_record_t *record,
    df_bulk_record_t **former)
{
    uint32_t        hash;
    ngx_int_t       rc;
    ngx_str_t       text;
    df_bulk_row_t  *row;

    *former = NULL;

    rc = df_bulk_equal_text(bulk, record, &text);
    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    hash = ngx_crc32_long(text.data, text.len);

    row = (df_bulk_row_t *) ngx_str_rbtree_lookup(&bulk->rows, &text, hash);

    if (row != NULL) {
        *former = row->record;
        return NGX_OK;
    }

    row = ngx_palloc(bulk->pool, sizeof(df_bulk_row_t));
    if (row == NULL) {
        return NGX_ERROR;
    }

    row->node.node.key = hash;
    row->node.str = text;
    row->record = record;

    ngx_rbtree_insert(&bulk->rows, &row->node.node);

    return NGX_OK;
}


/* the values one behind the other; NGX_DECLINED when one is null, which is
   equal to nothing */

static ngx_int_t
df_bulk_equal_text(df_bulk_t *bulk, const df_bulk_record_t *record,
    ngx_str_t *text)
{
    ngx_uint_t         i;
    df_writer_t        w;
    const df_value_t  *value;

    if (bulk->non == 0) {
        *text = record->key.text;
        return record->key.null ? NGX_DECLINED : NGX_OK;
    }

    if (bulk->non > 1 && df_writer_init(&w, bulk->pool, 64) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < bulk->non; i++) {
        value = df_bulk_value(record, bulk->on[i], NULL, i);

        if (value == NULL || value->null) {
            return NGX_DECLINED;
        }

        if (bulk->non == 1) {
            *text = value->text;
            return NGX_OK;
        }

        if (df_writer_printf(&w, "%uz:", value->text.len) != NGX_OK
            || df_writer_add(&w, value->text.data, value->text.len) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_writer_text(&w, text);
}
