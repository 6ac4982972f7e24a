
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The statements of a bulk that change rows, each to values of its own.
 */


#include <ngx_config.h>
#include "query/bulk.h"


static ngx_int_t df_bulk_update_start(df_bulk_compile_t *b,
    ngx_array_t *sources);
static ngx_int_t df_bulk_update_finish(df_bulk_compile_t *b,
    ngx_array_t *sources, df_bulk_record_t **records, ngx_uint_t n);
static ngx_int_t df_bulk_update_value(df_bulk_compile_t *b,
    ngx_array_t *sources, const df_bulk_column_t *column, ngx_uint_t cast);
static ngx_int_t df_bulk_update_columns(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n, ngx_array_t *columns);
static ngx_int_t df_bulk_update_case(df_bulk_compile_t *b,
    ngx_array_t *sources, const df_bulk_column_t *column,
    const df_bulk_column_t *last);


ngx_int_t
df_bulk_compile_update(df_bulk_compile_t *b, df_bulk_shape_t *shape)
{
    ngx_uint_t         i;
    ngx_array_t        sources;
    df_bulk_column_t  *column;

    if (df_bulk_update_start(b, &sources) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < shape->ncolumns; i++) {
        column = &shape->columns[i];

        if (df_writer_printf(&b->c.sql, "%s%V = ", i ? "," : "",
                             &column->field->quoted)
            != NGX_OK
            || df_bulk_update_value(b, &sources, column, 0) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_bulk_update_finish(b, &sources, shape->records, shape->count);
}


static ngx_int_t
df_bulk_update_start(df_bulk_compile_t *b, ngx_array_t *sources)
{
    df_bulk_column_t  key;

    key.field = b->request->model->key;
    key.op = NULL;

    if (ngx_array_init(sources, b->pool, 8, sizeof(df_bulk_source_t))
        != NGX_OK
        || df_bulk_source_add(sources, DF_BULK_KEY, &key) == NULL
        || df_bulk_begin(b) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_printf(&b->c.sql, "UPDATE %V AS t0 SET ",
                            &b->request->model->quoted);
}


static ngx_int_t
df_bulk_update_finish(df_bulk_compile_t *b, ngx_array_t *sources,
    df_bulk_record_t **records, ngx_uint_t n)
{
    ngx_int_t        rc;
    df_bulk_part_t   part;

    df_bulk_part(&part, DF_BULK_UPDATES, records, n);
    part.exact = !b->bulk->each;

    if (df_compile_touch(&b->c, b->request->model) != NGX_OK
        || df_compile_sql(&b->c, " FROM ") != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_bulk_keyed(b, sources, records, n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_bulk_returning(b, &part, NULL, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_bulk_end(b, &part);
}


/* cast: of an expression that stands beside the stored value */

static ngx_int_t
df_bulk_update_value(df_bulk_compile_t *b, ngx_array_t *sources,
    const df_bulk_column_t *column, ngx_uint_t cast)
{
    ngx_str_t        text;
    df_assignment_t  a;

    ngx_memzero(&a, sizeof(df_assignment_t));
    a.field = column->field;
    a.op = column->op;

    if (a.op && a.op->flag) {
        if (!cast) {
            return df_compile_operator(&b->c, &a, NULL);
        }

        if (df_compile_sql(&b->c, "(") != NGX_OK
            || df_compile_operator(&b->c, &a, NULL) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return df_writer_printf(&b->c.sql, ")::%V", &a.field->type->sql);
    }

    if (df_bulk_source_add(sources, DF_BULK_VALUE, column) == NULL) {
        return NGX_ERROR;
    }

    text = df_bulk_source(b, sources, sources->nelts);

    return a.op ? df_compile_operator(&b->c, &a, &text)
                : df_compile_str(&b->c, &text);
}


/* records of any shapes: what a row does not set stays as it is */

ngx_int_t
df_bulk_compile_update_any(df_bulk_compile_t *b, df_bulk_record_t **records,
    ngx_uint_t n)
{
    ngx_int_t          rc;
    ngx_uint_t         i, k;
    ngx_array_t        columns, sources;
    df_bulk_column_t  *column, *last;

    rc = df_bulk_update_columns(b, records, n, &columns);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_bulk_update_start(b, &sources) != NGX_OK) {
        return NGX_ERROR;
    }

    column = columns.elts;
    last = column + columns.nelts;

    for (i = 0; i < columns.nelts; i++) {

        for (k = 0; k < i && column[k].field != column[i].field; k++) {
            /* void */
        }

        if (k < i) {
            continue;
        }

        if ((i && df_compile_sql(&b->c, ",") != NGX_OK)
            || df_bulk_update_case(b, &sources, &column[i], last) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    records = df_bulk_sort(b, records, n);
    if (records == NULL) {
        return NGX_ERROR;
    }

    return df_bulk_update_finish(b, &sources, records, n);
}


static ngx_int_t
df_bulk_update_columns(df_bulk_compile_t *b, df_bulk_record_t *const *records,
    ngx_uint_t n, ngx_array_t *columns)
{
    ngx_int_t          rc;
    ngx_uint_t         i, j, k;
    df_bulk_shape_t   *shape;
    df_bulk_column_t  *known;

    if (ngx_array_init(columns, b->pool, 16, sizeof(df_bulk_column_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        shape = records[i]->shape;

        for (j = 0; j < shape->ncolumns; j++) {
            known = columns->elts;

            for (k = 0; k < columns->nelts; k++) {
                if (known[k].field == shape->columns[j].field
                    && known[k].op == shape->columns[j].op)
                {
                    break;
                }
            }

            if (k < columns->nelts) {
                continue;
            }

            known = ngx_array_push(columns);
            if (known == NULL) {
                return NGX_ERROR;
            }

            *known = shape->columns[j];

            /* each is two: whether it is given, and the value */

            rc = df_bulk_compile_room(b, n, 2 * columns->nelts);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


/* all columns of the first one's field, which differ by their operators */

static ngx_int_t
df_bulk_update_case(df_bulk_compile_t *b, ngx_array_t *sources,
    const df_bulk_column_t *column, const df_bulk_column_t *last)
{
    df_compile_t      *c;
    const df_field_t  *field;

    c = &b->c;
    field = column->field;

    if (df_writer_printf(&c->sql, "%V = CASE", &field->quoted) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( /* void */ ; column < last; column++) {

        if (column->field != field) {
            continue;
        }

        if (df_bulk_source_add(sources, DF_BULK_GIVEN, column) == NULL
            || df_writer_printf(&c->sql, " WHEN s.\"%ui\" THEN ",
                                sources->nelts)
               != NGX_OK
            || df_bulk_update_value(b, sources, column, 1) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_writer_printf(&c->sql, " ELSE t0.%V END", &field->quoted);
}


/* records that set nothing: whether they are there, and what they are */

ngx_int_t
df_bulk_compile_look(df_bulk_compile_t *b, df_bulk_shape_t *shape)
{
    ngx_int_t        rc;
    df_bulk_part_t   part;

    df_bulk_part(&part, DF_BULK_READS, shape->records, shape->count);
    part.exact = !b->bulk->each;

    if (df_bulk_begin(b) != NGX_OK
        || df_bulk_returning(b, &part, NULL, 1) != NGX_OK
        || df_writer_printf(&b->c.sql, " FROM %V AS t0, ",
                            &b->request->model->quoted)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_bulk_keyed(b, NULL, shape->records, shape->count);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_bulk_end(b, &part);
}
