
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Compares models with the picture of the catalog.  What is missing becomes a
 * change with its SQL; what could only be had by dropping, narrowing or
 * retyping becomes a report.  The picture is kept up with the changes, so that
 * models which share a table do not ask for the same thing twice.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/migrate.h"


typedef ngx_int_t (*df_diff_pass_pt)(df_diff_t *d);


static ngx_int_t df_schema_diff_table(df_diff_t *d);
static ngx_int_t df_schema_diff_schema(df_diff_t *d);
static df_change_t *df_schema_diff_push(df_diff_t *d, df_change_kind_t kind);


/* a pass goes over all models before the next begins: what a statement refers
   to is made by an earlier pass */

static const df_diff_pass_pt  df_schema_diff_passes[] = {
    df_schema_diff_table,
    df_schema_diff_columns,
    df_schema_diff_key,
    df_schema_diff_uniques,
    df_schema_diff_checks,
    df_schema_diff_indexes,
    df_schema_diff_touch,
    df_schema_diff_relations,
    df_schema_diff_strangers
};

#define DF_DIFF_PASSES                                                        \
    (sizeof(df_schema_diff_passes) / sizeof(df_diff_pass_pt))


ngx_int_t
df_schema_diff(df_catalog_t *catalog, ngx_array_t *changes)
{
    df_diff_t            d;
    ngx_uint_t           pass, i;
    df_catalog_entry_t  *entry;

    d.catalog = catalog;
    d.changes = changes;
    d.pool = catalog->pool;

    entry = catalog->entries.elts;

    for (pass = 0; pass < DF_DIFF_PASSES; pass++) {

        for (i = 0; i < catalog->entries.nelts; i++) {
            d.model = entry[i].model;
            d.table = entry[i].table;

            /* of a view only the columns can be compared */

            if (d.table->view
                && df_schema_diff_passes[pass] != df_schema_diff_columns)
            {
                continue;
            }

            if (df_schema_diff_passes[pass](&d) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_diff_table(df_diff_t *d)
{
    ngx_str_t     object, sql, name;
    ngx_uint_t    i;
    df_change_t  *change;

    if (d->table->no_schema && df_schema_diff_schema(d) != NGX_OK) {
        return NGX_ERROR;
    }

    if (d->table->exists) {
        return NGX_OK;
    }

    object = df_str_printf(d->pool, "table %V", &d->model->quoted);
    sql = df_schema_ddl_table(d->pool, d->model);

    change = df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql);
    if (change == NULL) {
        return NGX_ERROR;
    }

    change->creates_table = 1;
    d->table->exists = 1;

    for (i = 0; i < d->model->fields.nelts; i++) {
        if (df_schema_diff_note_column(d, df_schema_field_at(d->model, i))
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    name = df_schema_ddl_name(d->pool, d->model, &df_schema_ddl_primary, "");

    return df_schema_diff_note_index(d, &name, &d->model->key->name, 1);
}


static ngx_int_t
df_schema_diff_schema(df_diff_t *d)
{
    ngx_str_t            object, sql;
    ngx_uint_t           i;
    df_catalog_table_t  *table;

    object = df_str_printf(d->pool, "schema \"%V\"", &d->model->schema);
    sql = df_str_printf(d->pool, "CREATE SCHEMA \"%V\"", &d->model->schema);

    if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL) {
        return NGX_ERROR;
    }

    table = d->catalog->tables.elts;

    for (i = 0; i < d->catalog->tables.nelts; i++) {
        if (df_schema_diff_same(&table[i].model->schema, &d->model->schema)) {
            table[i].no_schema = 0;
        }
    }

    return NGX_OK;
}


/* the picture */

df_catalog_column_t *
df_schema_diff_find_column(df_diff_t *d, const ngx_str_t *name)
{
    ngx_uint_t            i;
    df_catalog_column_t  *column;

    column = d->table->columns.elts;

    for (i = 0; i < d->table->columns.nelts; i++) {
        if (df_schema_diff_same(&column[i].name, name)) {
            return &column[i];
        }
    }

    return NULL;
}


df_catalog_column_t *
df_schema_diff_note_column(df_diff_t *d, const df_field_t *field)
{
    df_catalog_column_t  *column;

    column = ngx_array_push(&d->table->columns);
    if (column == NULL) {
        return NULL;
    }

    ngx_memzero(column, sizeof(df_catalog_column_t));

    column->name = field->name;
    column->type = df_schema_ddl_type(d->pool, field);
    column->oid = df_schema_oid(field);
    column->typmod = df_schema_diff_typmod(field);
    column->declared = 1;

    return column;
}


ngx_int_t
df_schema_diff_note_index(df_diff_t *d, const ngx_str_t *name,
    const ngx_str_t *columns, ngx_uint_t unique)
{
    df_catalog_index_t  *index;

    index = ngx_array_push(&d->table->indexes);
    if (index == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(index, sizeof(df_catalog_index_t));

    index->name = *name;
    index->columns = *columns;
    index->unique = unique;
    index->valid = 1;

    return NGX_OK;
}


/* changes */

df_change_t *
df_schema_diff_change(df_diff_t *d, df_change_kind_t kind,
    const ngx_str_t *object, const ngx_str_t *sql)
{
    df_change_t  *change;

    if (object->len == 0 || sql->len == 0) {
        return NULL;
    }

    change = df_schema_diff_push(d, kind);

    if (change) {
        change->text = *object;
        change->sql[0] = *sql;
        change->nsql = 1;
    }

    return change;
}


ngx_int_t
df_schema_diff_report(df_diff_t *d, const char *fmt, ...)
{
    va_list       args;
    df_change_t  *change;

    change = df_schema_diff_push(d, DF_CHANGE_REPORT);
    if (change == NULL) {
        return NGX_ERROR;
    }

    va_start(args, fmt);
    change->text = df_str_vprintf(d->pool, fmt, args);
    va_end(args);

    return change->text.len ? NGX_OK : NGX_ERROR;
}


static df_change_t *
df_schema_diff_push(df_diff_t *d, df_change_kind_t kind)
{
    df_change_t  *change;

    change = ngx_array_push(d->changes);

    if (change) {
        ngx_memzero(change, sizeof(df_change_t));

        change->kind = kind;
        change->model = d->model;
        change->table = d->table;
    }

    return change;
}
