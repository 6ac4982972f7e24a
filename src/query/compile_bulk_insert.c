
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The statements of a bulk that insert, and what becomes of rows that are
 * there already.
 */


#include <ngx_config.h>
#include "query/bulk.h"


/* a statement of VALUES */
#define DF_BULK_ROWS        1000
#define DF_BULK_PARAMETERS  60000


static ngx_int_t df_bulk_insert_end(df_bulk_compile_t *b,
    df_bulk_part_t *part);
static ngx_int_t df_bulk_insert_columns(df_bulk_compile_t *b,
    const ngx_array_t *columns);
static ngx_int_t df_bulk_insert_select(df_bulk_compile_t *b,
    const df_bulk_shape_t *shape, const ngx_array_t *columns);
static ngx_int_t df_bulk_insert_columns_of(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n, ngx_array_t *columns);
static ngx_int_t df_bulk_insert_values(df_bulk_compile_t *b,
    df_bulk_record_t **records, ngx_uint_t n, const ngx_array_t *columns);
static ngx_int_t df_bulk_insert_row(df_bulk_compile_t *b,
    const df_bulk_record_t *record, const ngx_array_t *columns,
    ngx_uint_t *identities);
static ngx_int_t df_bulk_insert_conflict(df_bulk_compile_t *b,
    const ngx_array_t *set);
static ngx_int_t df_bulk_insert_set(df_bulk_compile_t *b,
    const df_bulk_shape_t *shape, ngx_array_t *set);
static ngx_int_t df_bulk_insert_look(df_bulk_compile_t *b,
    df_bulk_shape_t *shape);


/* an upsert that sets nothing tells of rows that are there by reading them */

ngx_int_t
df_bulk_compile_insert(df_bulk_compile_t *b, df_bulk_shape_t *shape)
{
    ngx_int_t        rc;
    ngx_array_t      columns, set;
    df_bulk_part_t   part;

    df_bulk_part(&part, DF_BULK_INSERTS, shape->records, shape->count);

    if (df_bulk_insert_columns_of(b, shape->records, 1, &columns) != NGX_OK
        || df_bulk_insert_set(b, shape, &set) != NGX_OK
        || df_bulk_begin(b) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_bulk_insert_select(b, shape, &columns);
    if (rc != NGX_OK) {
        return rc;
    }

    if (b->request->op == DF_BULK_CREATE) {
        return df_bulk_insert_end(b, &part);
    }

    rc = df_bulk_insert_conflict(b, &set);
    if (rc != NGX_OK) {
        return rc;
    }

    if (set.nelts) {
        part.effect = DF_BULK_UPSERTS;
        part.exact = (b->bulk->each || b->admitted->filter != NULL);

        if (df_bulk_returning(b, &part, "(t0.xmax = 0)", 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    rc = df_bulk_end(b, &part);

    if (rc != NGX_OK || set.nelts
        || !(b->bulk->returns || b->bulk->each))
    {
        return rc;
    }

    if (b->bulk->index) {
        return df_problem_set(b->problem, DF_PROBLEM_INVALID_VALUE,
                              "which rows were left as they are cannot be told "
                              "of the partial index of \"on\": set something "
                              "in them, or ask without \"return\" and "
                              "\"atomic\":false");
    }

    return df_bulk_insert_look(b, shape);
}


/* each by itself wants to know of each: a trigger may leave one out */

static ngx_int_t
df_bulk_insert_end(df_bulk_compile_t *b, df_bulk_part_t *part)
{
    part->exact = b->bulk->each;

    if (df_bulk_returning(b, part, part->exact ? "TRUE" : NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_bulk_end(b, part);
}


/* what the records have, and who makes them, in the order of the model */

static ngx_int_t
df_bulk_insert_columns_of(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n, ngx_array_t *columns)
{
    u_char            *given;
    ngx_uint_t         i, k;
    df_field_t        *field, **slot;
    df_bulk_shape_t   *shape, *last;
    const df_model_t  *model;

    model = b->request->model;
    last = NULL;

    given = ngx_pcalloc(b->pool, model->fields.nelts);

    if (given == NULL
        || ngx_array_init(columns, b->pool, 8, sizeof(df_field_t *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        shape = records[i]->shape;

        for (k = 0; shape != last && k < shape->ncolumns; k++) {
            given[shape->columns[k].field->index] = 1;
        }

        last = shape;
    }

    for (i = 0; i < model->fields.nelts; i++) {
        field = df_schema_field_at(model, i);

        if (!given[i] && !df_compile_is_identity(field)) {
            continue;
        }

        slot = ngx_array_push(columns);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = field;
    }

    return NGX_OK;
}


static ngx_int_t
df_bulk_insert_columns(df_bulk_compile_t *b, const ngx_array_t *columns)
{
    ngx_uint_t          i;
    df_compile_t       *c;
    const df_model_t   *model;
    const df_field_t  **field;

    c = &b->c;
    model = b->request->model;
    field = columns->elts;

    if (df_writer_printf(&c->sql, "INSERT INTO %V AS t0 (", &model->quoted)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < columns->nelts; i++) {
        if ((i && df_compile_sql(c, ",") != NGX_OK)
            || df_compile_ident(c, field[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* a row of defaults alone has to name a column all the same */

    if (columns->nelts == 0
        && df_compile_ident(c, df_schema_field_at(model, 0)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_sql(c, ") ");
}


static ngx_int_t
df_bulk_insert_select(df_bulk_compile_t *b, const df_bulk_shape_t *shape,
    const ngx_array_t *columns)
{
    ngx_int_t            rc;
    ngx_str_t            text;
    ngx_uint_t           i, n;
    ngx_array_t          sources;
    df_compile_t        *c;
    const df_field_t   **field;

    c = &b->c;
    field = columns->elts;

    if (ngx_array_init(&sources, b->pool, shape->ncolumns,
                       sizeof(df_bulk_source_t))
        != NGX_OK
        || df_bulk_insert_columns(b, columns) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = 0;

    for (i = 0; i < columns->nelts; i++) {
        if (df_compile_sql(c, i ? "," : "SELECT ") != NGX_OK) {
            return NGX_ERROR;
        }

        if (n == shape->ncolumns || shape->columns[n].field != field[i]) {
            rc = df_compile_identity(c, b->admitted, field[i]);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        if (df_bulk_source_add(&sources, DF_BULK_VALUE, &shape->columns[n])
            == NULL)
        {
            return NGX_ERROR;
        }

        text = df_bulk_source(b, &sources, ++n);

        if (df_compile_str(c, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (df_compile_sql(c, " FROM ") != NGX_OK
        || df_bulk_unnest(b, &sources, shape->records, shape->count)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* what is inserted in an order is counted and returned in it */

    return df_compile_sql(c, " ORDER BY s.\"0\"");
}


/* records of any shapes: VALUES, which know DEFAULT */

ngx_int_t
df_bulk_compile_insert_any(df_bulk_compile_t *b, df_bulk_record_t **records,
    ngx_uint_t n)
{
    ngx_int_t    rc;
    ngx_uint_t   i, size;
    ngx_array_t  columns;

    if (df_bulk_insert_columns_of(b, records, n, &columns) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_bulk_compile_room(b, n, columns.nelts);
    if (rc != NGX_OK) {
        return rc;
    }

    size = DF_BULK_PARAMETERS / (columns.nelts + 1);
    size = ngx_min(size, DF_BULK_ROWS);

    for (i = 0; i < n; i += size) {
        rc = df_bulk_insert_values(b, &records[i], ngx_min(size, n - i),
                                   &columns);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_bulk_insert_values(df_bulk_compile_t *b, df_bulk_record_t **records,
    ngx_uint_t n, const ngx_array_t *columns)
{
    ngx_int_t        rc;
    ngx_uint_t       i, *identities;
    df_bulk_part_t   part;

    df_bulk_part(&part, DF_BULK_INSERTS, records, n);

    identities = ngx_pcalloc(b->pool, (columns->nelts + 1)
                                      * sizeof(ngx_uint_t));

    if (identities == NULL
        || df_bulk_begin(b) != NGX_OK
        || df_bulk_insert_columns(b, columns) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (df_compile_sql(&b->c, i ? ",(" : "VALUES (") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_bulk_insert_row(b, records[i], columns, identities);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_bulk_insert_end(b, &part);
}


/* identities: the parameters that say who makes the records, once known */

static ngx_int_t
df_bulk_insert_row(df_bulk_compile_t *b, const df_bulk_record_t *record,
    const ngx_array_t *columns, ngx_uint_t *identities)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    df_compile_t       *c;
    const df_value_t   *value;
    const df_field_t  **field;

    c = &b->c;
    field = columns->elts;

    for (i = 0; i < columns->nelts; i++) {
        if (i && df_compile_sql(c, ",") != NGX_OK) {
            return NGX_ERROR;
        }

        value = df_bulk_value(record, field[i], NULL, i);

        if (value) {
            rc = df_compile_param(c, df_schema_oid(field[i]), value);

        } else if (!df_compile_is_identity(field[i])) {
            rc = df_compile_sql(c, "DEFAULT");

        } else if (identities[i]) {
            rc = df_writer_printf(&c->sql, "$%ui", identities[i]);

        } else {
            rc = df_compile_identity(c, b->admitted, field[i]);
            identities[i] = c->types.nelts;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_compile_sql(c, columns->nelts ? ")" : "DEFAULT)");
}


/* upsert */

static ngx_int_t
df_bulk_insert_conflict(df_bulk_compile_t *b, const ngx_array_t *set)
{
    ngx_uint_t          i;
    df_compile_t       *c;
    const df_bulk_t    *bulk;
    const df_field_t  **field;

    c = &b->c;
    bulk = b->bulk;

    for (i = 0; i < bulk->non; i++) {
        if (df_writer_printf(&c->sql, "%s%V", i ? "," : " ON CONFLICT (",
                             &bulk->on[i]->quoted)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_compile_sql(c, ")") != NGX_OK
        || (bulk->index
            && df_writer_printf(&c->sql, " WHERE %V", &bulk->index->where_sql)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (set->nelts == 0) {
        return df_compile_sql(c, " DO NOTHING");
    }

    field = set->elts;

    for (i = 0; i < set->nelts; i++) {
        if (df_writer_printf(&c->sql, "%s%V = EXCLUDED.%V",
                             i ? "," : " DO UPDATE SET ",
                             &field[i]->quoted, &field[i]->quoted)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_compile_touch(c, b->request->model) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_bulk_where(b, " WHERE ");
}


/* the given fields that are set in a row which is there: none that says which
   row it is, and never what the server makes */

static ngx_int_t
df_bulk_insert_set(df_bulk_compile_t *b, const df_bulk_shape_t *shape,
    ngx_array_t *set)
{
    ngx_uint_t          i, k;
    const df_bulk_t    *bulk;
    const df_field_t   *field, **slot;

    bulk = b->bulk;

    if (ngx_array_init(set, b->pool, 8, sizeof(df_field_t *)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; bulk->non && i < shape->ncolumns; i++) {
        field = shape->columns[i].field;

        for (k = 0; k < bulk->non && bulk->on[k] != field; k++) {
            /* void */
        }

        if (k < bulk->non || field->key || field->generated
            || (bulk->update && !bulk->update[field->index]))
        {
            continue;
        }

        slot = ngx_array_push(set);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = field;
    }

    return NGX_OK;
}


/*
 * The rows of an upsert that sets nothing, whether they were made by it or were
 * there.  Those made bear the number of this transaction.
 */

static ngx_int_t
df_bulk_insert_look(df_bulk_compile_t *b, df_bulk_shape_t *shape)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_array_t        sources;
    df_compile_t      *c;
    df_bulk_part_t     part;
    const df_bulk_t   *bulk;
    df_bulk_column_t   column;

    c = &b->c;
    bulk = b->bulk;

    df_bulk_part(&part, DF_BULK_READS, shape->records, shape->count);

    if (ngx_array_init(&sources, b->pool, bulk->non, sizeof(df_bulk_source_t))
        != NGX_OK
        || df_bulk_begin(b) != NGX_OK
        || df_bulk_returning(b, &part,
                             "(t0.xmin = pg_current_xact_id()::xid)", 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < bulk->non; i++) {
        column.field = bulk->on[i];
        column.op = NULL;

        if (df_bulk_source_add(&sources, DF_BULK_VALUE, &column) == NULL) {
            return NGX_ERROR;
        }
    }

    if (df_compile_sql(c, " FROM ") != NGX_OK
        || df_bulk_unnest(b, &sources, shape->records, shape->count) != NGX_OK
        || df_writer_printf(&c->sql, " JOIN %V AS t0",
                            &b->request->model->quoted)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < bulk->non; i++) {
        if (df_writer_printf(&c->sql, "%st0.%V = s.\"%ui\"",
                             i ? " AND " : " ON ", &bulk->on[i]->quoted, i + 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rc = df_bulk_where(b, " WHERE ");
    if (rc != NGX_OK) {
        return rc;
    }

    return df_bulk_end(b, &part);
}
