
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the statements of a bulk are put together of: the arrays that hold the
 * records, the gate's filter, the columns that come back.  The model is t0;
 * the records are s, whose columns are numbers, which no field is called.
 */


#include <ngx_config.h>
#include "query/bulk.h"


/* of pg_type.dat */
#define DF_BULK_BOOL_ARRAY_OID  1000
#define DF_BULK_TEXT_ARRAY_OID  1009


static ngx_int_t df_bulk_array(df_bulk_compile_t *b,
    const df_bulk_source_t *source, ngx_uint_t hint,
    df_bulk_record_t *const *records, ngx_uint_t n);
static void df_bulk_array_value(const df_bulk_source_t *source,
    ngx_uint_t hint, const df_bulk_record_t *record, df_value_t *value);
static Oid df_bulk_array_oid(const df_bulk_source_t *source);
static ngx_uint_t df_bulk_is_text(const df_bulk_source_t *source);


ngx_int_t
df_bulk_begin(df_bulk_compile_t *b)
{
    ngx_memzero(&b->c, sizeof(df_compile_t));

    b->c.qualified = 1;

    return df_compile_init(&b->c, b->pool, b->problem);
}


ngx_int_t
df_bulk_end(df_bulk_compile_t *b, const df_bulk_part_t *part)
{
    df_bulk_part_t     *added;
    df_pg_statement_t  *st;

    st = ngx_array_push(&b->out->statements);
    added = ngx_array_push(&b->out->parts);

    if (st == NULL || added == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(st, sizeof(df_pg_statement_t));
    st->unprepared = b->unprepared;

    *added = *part;
    b->out->checked |= part->exact;

    return df_compile_statement(&b->c, st);
}


/* sources */

df_bulk_source_t *
df_bulk_source_add(ngx_array_t *sources, df_bulk_source_kind_t kind,
    const df_bulk_column_t *column)
{
    df_bulk_source_t  *source;

    source = ngx_array_push(sources);

    if (source != NULL) {
        source->kind = kind;
        source->field = column->field;
        source->op = column->op;
    }

    return source;
}


ngx_str_t
df_bulk_source(df_bulk_compile_t *b, const ngx_array_t *sources, ngx_uint_t n)
{
    const df_bulk_source_t  *source;

    source = (df_bulk_source_t *) sources->elts + n - 1;

    if (df_bulk_is_text(source)) {
        return df_str_printf(b->pool, "s.\"%ui\"::%V[]", n,
                             &source->field->type->sql);
    }

    return df_str_printf(b->pool, "s.\"%ui\"", n);
}


/* PostgreSQL has no arrays of arrays: an array that is a value is a text */

static ngx_uint_t
df_bulk_is_text(const df_bulk_source_t *source)
{
    return source->kind == DF_BULK_VALUE
           && source->field->array
           && (source->op == NULL || !source->op->on_array);
}


static Oid
df_bulk_array_oid(const df_bulk_source_t *source)
{
    if (source->kind == DF_BULK_GIVEN) {
        return DF_BULK_BOOL_ARRAY_OID;
    }

    return df_bulk_is_text(source) ? DF_BULK_TEXT_ARRAY_OID
                                   : source->field->type->array_oid;
}


ngx_int_t
df_bulk_unnest(df_bulk_compile_t *b, const ngx_array_t *sources,
    df_bulk_record_t *const *records, ngx_uint_t n)
{
    ngx_uint_t               i, key;
    const df_bulk_source_t  *source;

    source = sources->elts;
    key = (sources->nelts && source[0].kind == DF_BULK_KEY);

    for (i = 0; i < sources->nelts; i++) {
        if (df_compile_sql(&b->c, i ? "," : "unnest(") != NGX_OK
            || df_bulk_array(b, &source[i], i - key, records, n) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < sources->nelts; i++) {
        if (df_writer_printf(&b->c.sql, "%s\"%ui\"",
                             i ? "," : ") WITH ORDINALITY AS s(", i + 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_compile_sql(&b->c, ",\"0\")");
}


static ngx_int_t
df_bulk_array(df_bulk_compile_t *b, const df_bulk_source_t *source,
    ngx_uint_t hint, df_bulk_record_t *const *records, ngx_uint_t n)
{
    ngx_int_t    rc;
    ngx_uint_t   i;
    df_value_t  *values, array;

    values = ngx_palloc(b->pool, n * sizeof(df_value_t) + 1);
    if (values == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        df_bulk_array_value(source, hint, records[i], &values[i]);
    }

    rc = df_schema_array(b->pool, values, n, &array);

    (void) ngx_pfree(b->pool, values);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return df_compile_param(&b->c, df_bulk_array_oid(source), &array);
}


static void
df_bulk_array_value(const df_bulk_source_t *source, ngx_uint_t hint,
    const df_bulk_record_t *record, df_value_t *value)
{
    const df_value_t  *given;

    ngx_memzero(value, sizeof(df_value_t));

    if (source->kind == DF_BULK_KEY) {
        *value = record->key;
        return;
    }

    given = df_bulk_value(record, source->field, source->op, hint);

    if (source->kind == DF_BULK_GIVEN) {
        ngx_str_set(&value->text, "f");

        if (given) {
            value->text.data = (u_char *) "t";
        }

        return;
    }

    if (given) {
        *value = *given;

    } else {
        value->null = 1;
    }
}


/* pieces */

ngx_int_t
df_bulk_where(df_bulk_compile_t *b, const char *word)
{
    ngx_int_t            rc;
    df_compile_t        *c;
    const df_field_t    *key;
    const df_request_t  *r;

    c = &b->c;
    r = b->request;
    key = r->model->key;

    if (b->admitted->filter == NULL) {
        return NGX_OK;
    }

    if (df_compile_sql(c, word) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->joins.nelts == 0) {
        return df_query_compile_predicate(c, b->admitted->filter);
    }

    /* what relations lead to is read beside: a row is written once, and by
       itself */

    if (df_writer_printf(&c->sql, "t0.%V IN (SELECT t0.%V FROM ",
                         &key->quoted, &key->quoted)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_compile_tables(c, b->admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_compile_sql(c, " WHERE ") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_query_compile_predicate(c, b->admitted->filter);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_compile_sql(c, ")");
}


ngx_int_t
df_bulk_returning(df_bulk_compile_t *b, df_bulk_part_t *part,
    const char *inserted, ngx_uint_t ordinal)
{
    ngx_uint_t      n;
    df_compile_t   *c;
    df_compiled_t  *answer;

    c = &b->c;
    answer = &b->out->answer;
    n = answer->ncolumns;

    part->rows = (n || inserted || ordinal);

    if (!part->rows) {
        return NGX_OK;
    }

    if (df_compile_sql(c, part->effect == DF_BULK_READS ? "SELECT "
                                                        : " RETURNING ")
        != NGX_OK
        || df_compile_columns(c, answer) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (inserted) {
        if (df_writer_printf(&c->sql, "%s%s", n ? "," : "", inserted)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        part->inserted = n++;
    }

    if (ordinal) {
        if (df_writer_printf(&c->sql, "%ss.\"0\"", n ? "," : "") != NGX_OK) {
            return NGX_ERROR;
        }

        part->ordinal = n++;
    }

    return NGX_OK;
}


/* "unnest(…) WITH ORDINALITY AS s(…) WHERE key = s."1"" and the gate's filter;
   sources: the key and others, or NULL: the key alone */

ngx_int_t
df_bulk_keyed(df_bulk_compile_t *b, const ngx_array_t *sources,
    df_bulk_record_t *const *records, ngx_uint_t n)
{
    ngx_array_t        own;
    df_bulk_column_t   key;

    if (sources == NULL) {
        key.field = b->request->model->key;
        key.op = NULL;

        if (ngx_array_init(&own, b->pool, 1, sizeof(df_bulk_source_t))
            != NGX_OK
            || df_bulk_source_add(&own, DF_BULK_KEY, &key) == NULL)
        {
            return NGX_ERROR;
        }

        sources = &own;
    }

    if (df_bulk_unnest(b, sources, records, n) != NGX_OK
        || df_writer_printf(&b->c.sql, " WHERE t0.%V = s.\"1\"",
                            &b->request->model->key->quoted)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_bulk_where(b, " AND ");
}
