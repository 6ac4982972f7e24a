
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The statements of a bulk: which records go together, and what is deleted or
 * found by a filter.  Records of a shape are one statement; the few of each of
 * many shapes share statements in which a row says what it has, so that there
 * are never as many statements as records.
 */


#include <ngx_config.h>
#include "query/bulk.h"


/* so many shapes have a statement each; of more those that have a part of the
   records that is worth it */
#define DF_BULK_SHAPES      4
#define DF_BULK_SHARE       16
#define DF_BULK_SHARE_MIN   8
#define DF_BULK_SHARE_MAX   128

/* more shapes are not likely to come again */
#define DF_BULK_PREPARED    8


static ngx_int_t df_bulk_compile_answer(df_bulk_compile_t *b);
static ngx_int_t df_bulk_compile_records(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n);
static ngx_int_t df_bulk_compile_shapes(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n, ngx_array_t *shapes);
static ngx_uint_t df_bulk_compile_alone(df_bulk_compile_t *b,
    const df_bulk_shape_t *shape, ngx_uint_t nshapes, ngx_uint_t n);
static ngx_int_t df_bulk_compile_shape(df_bulk_compile_t *b,
    df_bulk_shape_t *shape);
static ngx_int_t df_bulk_compile_delete(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n);
static int ngx_libc_cdecl df_bulk_compile_by_key(const void *one,
    const void *two);
static ngx_int_t df_bulk_compile_filter(df_bulk_compile_t *b);
static ngx_int_t df_bulk_compile_set(df_bulk_compile_t *b);
static ngx_int_t df_bulk_compile_rows(df_bulk_compile_t *b);
static ngx_int_t df_bulk_compile_page(df_bulk_compile_t *b);


ngx_int_t
df_bulk_compile(const df_admitted_t *admitted, ngx_pool_t *pool,
    df_bulk_record_t *const *records, ngx_uint_t n,
    df_bulk_compiled_t *compiled, df_problem_t *problem)
{
    const df_bulk_t    *bulk;
    df_bulk_compile_t   b;

    bulk = admitted->request->bulk;

    ngx_memzero(compiled, sizeof(df_bulk_compiled_t));
    ngx_memzero(&b, sizeof(df_bulk_compile_t));

    b.admitted = admitted;
    b.request = admitted->request;
    b.bulk = bulk;
    b.out = compiled;
    b.problem = problem;
    b.pool = pool;

    if (df_bulk_compile_answer(&b) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_array_init(&compiled->statements, pool, 4,
                       sizeof(df_pg_statement_t))
        != NGX_OK
        || ngx_array_init(&compiled->parts, pool, 4, sizeof(df_bulk_part_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (bulk->by_filter) {
        return df_bulk_compile_filter(&b);
    }

    /* an upsert may leave rows as they are: how many were written is known
       afterwards */

    compiled->checked = (bulk->has_max && n > bulk->max_affected);

    if (n == 0) {
        return NGX_OK;
    }

    return (b.request->op == DF_BULK_DELETE)
           ? df_bulk_compile_delete(&b, records, n)
           : df_bulk_compile_records(&b, records, n);
}


/* a copy of the columns: what the database has may be of other types */

static ngx_int_t
df_bulk_compile_answer(df_bulk_compile_t *b)
{
    ngx_uint_t           n;
    df_compiled_t       *answer;
    const ngx_array_t   *fields;

    answer = &b->out->answer;
    fields = &b->admitted->fields;
    n = b->bulk->returns ? fields->nelts : 0;

    answer->version = -1;
    answer->key = -1;
    answer->nfields = n;
    answer->ncolumns = n;

    answer->columns = ngx_palloc(b->pool, (n + 1) * sizeof(df_field_t *));
    answer->joins = ngx_pcalloc(b->pool, (n + 1) * sizeof(df_join_t *));

    if (answer->columns == NULL || answer->joins == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(answer->columns, fields->elts, n * sizeof(df_field_t *));

    return NGX_OK;
}


void
df_bulk_part(df_bulk_part_t *part, df_bulk_effect_t effect,
    df_bulk_record_t **records, ngx_uint_t n)
{
    ngx_memzero(part, sizeof(df_bulk_part_t));

    part->effect = effect;
    part->records = records;
    part->nrecords = n;
    part->ordinal = -1;
    part->inserted = -1;
}


static ngx_int_t
df_bulk_compile_records(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n)
{
    ngx_int_t           rc;
    ngx_uint_t          i, rest;
    ngx_array_t         shapes;
    df_bulk_shape_t   **shape;
    df_bulk_record_t  **few;

    if (df_bulk_compile_shapes(b, records, n, &shapes) != NGX_OK) {
        return NGX_ERROR;
    }

    shape = shapes.elts;
    b->unprepared = (shapes.nelts > DF_BULK_PREPARED);

    for (i = 0; i < shapes.nelts; i++) {
        if (shape[i]->records) {
            rc = df_bulk_compile_shape(b, shape[i]);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    /* what is left over, in its order */

    few = ngx_palloc(b->pool, n * sizeof(df_bulk_record_t *));
    if (few == NULL) {
        return NGX_ERROR;
    }

    for (i = 0, rest = 0; i < n; i++) {
        if (records[i]->shape->records == NULL) {
            few[rest++] = records[i];
        }
    }

    if (rest == 0) {
        return NGX_OK;
    }

    b->unprepared = 1;

    return (b->request->op == DF_BULK_UPDATE)
           ? df_bulk_compile_update_any(b, few, rest)
           : df_bulk_compile_insert_any(b, few, rest);
}


/* the shapes there are, in the order of their first records; those that have a
   statement to themselves have their records */

static ngx_int_t
df_bulk_compile_shapes(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n, ngx_array_t *shapes)
{
    ngx_uint_t         i;
    df_bulk_shape_t   *shape, **slot;

    if (ngx_array_init(shapes, b->pool, 4, sizeof(df_bulk_shape_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        records[i]->shape->count = 0;
    }

    for (i = 0; i < n; i++) {
        if (records[i]->shape->count++ == 0) {
            slot = ngx_array_push(shapes);
            if (slot == NULL) {
                return NGX_ERROR;
            }

            *slot = records[i]->shape;
        }
    }

    slot = shapes->elts;

    for (i = 0; i < shapes->nelts; i++) {
        slot[i]->records = NULL;

        if (df_bulk_compile_alone(b, slot[i], shapes->nelts, n)) {
            slot[i]->records = ngx_palloc(b->pool, slot[i]->count
                                                * sizeof(df_bulk_record_t *));
            if (slot[i]->records == NULL) {
                return NGX_ERROR;
            }

            slot[i]->count = 0;
        }
    }

    for (i = 0; i < n; i++) {
        shape = records[i]->shape;

        if (shape->records) {
            shape->records[shape->count++] = records[i];
        }
    }

    return NGX_OK;
}


static ngx_uint_t
df_bulk_compile_alone(df_bulk_compile_t *b, const df_bulk_shape_t *shape,
    ngx_uint_t nshapes, ngx_uint_t n)
{
    ngx_uint_t  least;

    /* arrays cannot say that there are rows of defaults only; what sets
       nothing is read; and what an upsert sets in rows that are there is the
       same for all rows of a statement */

    if (shape->ncolumns == 0) {
        return b->request->op == DF_BULK_UPDATE;
    }

    least = ngx_max(n / DF_BULK_SHARE, DF_BULK_SHARE_MIN);
    least = ngx_min(least, DF_BULK_SHARE_MAX);

    return b->request->op == DF_BULK_UPSERT
           || nshapes <= DF_BULK_SHAPES
           || shape->count >= least;
}


static ngx_int_t
df_bulk_compile_shape(df_bulk_compile_t *b, df_bulk_shape_t *shape)
{
    df_bulk_record_t  **sorted;

    if (b->request->op != DF_BULK_UPDATE) {
        return df_bulk_compile_insert(b, shape);
    }

    sorted = df_bulk_sort(b, shape->records, shape->count);
    if (sorted == NULL) {
        return NGX_ERROR;
    }

    shape->records = sorted;

    return shape->ncolumns ? df_bulk_compile_update(b, shape)
                           : df_bulk_compile_look(b, shape);
}


/* a row of statements of any shapes has a place for whatever another row has,
   so that few bytes of a body could become very many */

ngx_int_t
df_bulk_compile_room(df_bulk_compile_t *b, ngx_uint_t n, ngx_uint_t columns)
{
    if (n * columns <= DF_BULK_CELLS) {
        return NGX_OK;
    }

    return df_problem_set(b->problem, DF_PROBLEM_TOO_COMPLEX,
                          "%ui records have too many different sets of fields: "
                          "give more of them the same ones, or fewer at once",
                          n);
}


static ngx_int_t
df_bulk_compile_delete(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n)
{
    ngx_int_t           rc;
    df_bulk_part_t      part;
    df_bulk_record_t  **sorted;

    sorted = df_bulk_sort(b, records, n);
    if (sorted == NULL) {
        return NGX_ERROR;
    }

    df_bulk_part(&part, DF_BULK_DELETES, sorted, n);
    part.exact = !b->bulk->each;

    if (df_bulk_begin(b) != NGX_OK
        || df_writer_printf(&b->c.sql, "DELETE FROM %V AS t0 USING ",
                            &b->request->model->quoted)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_bulk_keyed(b, NULL, sorted, n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_bulk_returning(b, &part, NULL, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_bulk_end(b, &part);
}


/* rows are locked in the order of the arrays, as a rule: what is in one order
   in all requests does not deadlock */

df_bulk_record_t **
df_bulk_sort(df_bulk_compile_t *b, df_bulk_record_t *const *records,
    ngx_uint_t n)
{
    df_bulk_record_t  **sorted;

    sorted = ngx_palloc(b->pool, n * sizeof(df_bulk_record_t *));

    if (sorted != NULL) {
        ngx_memcpy(sorted, records, n * sizeof(df_bulk_record_t *));
        ngx_qsort(sorted, n, sizeof(df_bulk_record_t *),
                  df_bulk_compile_by_key);
    }

    return sorted;
}


static int ngx_libc_cdecl
df_bulk_compile_by_key(const void *one, const void *two)
{
    const ngx_str_t  *a, *b;

    a = &(*(df_bulk_record_t *const *) one)->key.text;
    b = &(*(df_bulk_record_t *const *) two)->key.text;

    if (a->len != b->len) {
        return (a->len < b->len) ? -1 : 1;
    }

    return ngx_memcmp(a->data, b->data, a->len);
}


/* what a filter finds */

static ngx_int_t
df_bulk_compile_filter(df_bulk_compile_t *b)
{
    ngx_int_t        rc;
    ngx_uint_t       update;
    df_compile_t    *c;
    df_bulk_part_t   part;

    c = &b->c;
    update = (b->request->op == DF_BULK_UPDATE);

    df_bulk_part(&part, update ? DF_BULK_UPDATES : DF_BULK_DELETES, NULL, 0);
    part.rows = b->bulk->returns;
    b->out->checked = b->bulk->has_max || b->bulk->returns;

    if (df_bulk_begin(b) != NGX_OK
        || (part.rows && df_compile_sql(c, "WITH w AS (") != NGX_OK)
        || df_writer_printf(&c->sql, update ? "UPDATE %V AS t0 SET "
                                            : "DELETE FROM %V AS t0",
                            &b->request->model->quoted)
           != NGX_OK
        || (update && df_bulk_compile_set(b) != NGX_OK))
    {
        return NGX_ERROR;
    }

    rc = df_bulk_where(b, " WHERE ");
    if (rc != NGX_OK) {
        return rc;
    }

    if (part.rows && (df_bulk_compile_rows(b) != NGX_OK
                      || df_bulk_compile_page(b) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return df_bulk_end(b, &part);
}


static ngx_int_t
df_bulk_compile_set(df_bulk_compile_t *b)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    df_compile_t           *c;
    const df_assignment_t  *a;

    c = &b->c;
    a = b->request->values.elts;

    for (i = 0; i < b->request->values.nelts; i++) {
        if (df_writer_printf(&c->sql, "%s%V = ", i ? "," : "",
                             &a[i].field->quoted)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = a[i].op ? df_compile_operator(c, &a[i], NULL)
                     : df_compile_param(c, df_schema_oid(a[i].field),
                                        &a[i].value);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_compile_touch(c, b->request->model);
}


static ngx_int_t
df_bulk_compile_rows(df_bulk_compile_t *b)
{
    ngx_uint_t         i, key;
    const df_field_t  *field;

    key = 0;

    if (df_compile_sql(&b->c, " RETURNING ") != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < b->out->answer.ncolumns; i++) {
        field = b->out->answer.columns[i];
        key |= field->key;

        if ((i && df_compile_sql(&b->c, ",") != NGX_OK)
            || df_compile_column(&b->c, NULL, field) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (key) {
        return NGX_OK;
    }

    return df_writer_printf(&b->c.sql, ",t0.%V",
                            &b->request->model->key->quoted);
}


/* all of it is done, whatever of it is answered */

static ngx_int_t
df_bulk_compile_page(df_bulk_compile_t *b)
{
    df_value_t     limit;
    df_compile_t  *c;

    c = &b->c;
    b->out->limit = b->admitted->rules->max_limit;

    ngx_memzero(&limit, sizeof(df_value_t));
    limit.text = df_str_printf(b->pool, "%ui", b->out->limit + 1);

    if (df_compile_sql(c, ") SELECT ") != NGX_OK
        || df_compile_columns(c, &b->out->answer) != NGX_OK
        || df_writer_printf(&c->sql, " FROM w AS t0 ORDER BY t0.%V LIMIT ",
                            &b->request->model->key->quoted)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_param(c, df_schema_type_of(DF_BIGINT)->oid, &limit);
}
