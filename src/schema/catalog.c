
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Reads what PostgreSQL knows of the models' tables into a picture in memory:
 * a few queries for all models at once.  It judges nothing.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/migrate.h"


#define DF_CATALOG_TEXT_ARRAY  1009


typedef struct {
    ngx_str_t     sql;
    ngx_uint_t    nparams;
    ngx_int_t   (*take)(df_catalog_t *catalog, df_catalog_table_t *table,
                        const PGresult *res, ngx_uint_t row);
} df_catalog_query_t;


static ngx_int_t df_schema_catalog_values(df_catalog_t *catalog);
static df_catalog_table_t *df_schema_catalog_table(df_catalog_t *catalog,
    const df_model_t *model);
static ngx_int_t df_schema_catalog_take_table(df_catalog_t *catalog,
    df_catalog_table_t *table, const PGresult *res, ngx_uint_t row);
static ngx_int_t df_schema_catalog_take_column(df_catalog_t *catalog,
    df_catalog_table_t *table, const PGresult *res, ngx_uint_t row);
static ngx_int_t df_schema_catalog_take_constraint(df_catalog_t *catalog,
    df_catalog_table_t *table, const PGresult *res, ngx_uint_t row);
static ngx_int_t df_schema_catalog_take_index(df_catalog_t *catalog,
    df_catalog_table_t *table, const PGresult *res, ngx_uint_t row);
static ngx_int_t df_schema_catalog_take_trigger(df_catalog_t *catalog,
    df_catalog_table_t *table, const PGresult *res, ngx_uint_t row);
static ngx_int_t df_schema_catalog_text(df_catalog_t *catalog, ngx_str_t *dst,
    const PGresult *res, ngx_uint_t row, ngx_uint_t column);


static const Oid  df_schema_catalog_types[] = {
    DF_CATALOG_TEXT_ARRAY,
    DF_CATALOG_TEXT_ARRAY
};


/*
 * $1 holds the tables' names as SQL spells them, so that the search path is
 * followed where a model names no schema, $2 the schemas' bare names.  The
 * first column is the table's place in $1.
 */

static const df_catalog_query_t  df_schema_catalog_queries[] = {

    { ngx_string(
          "SELECT n.i - 1, coalesce(c.oid, 0), c.relkind IN ('r', 'p'),"
          " n.schema IS NOT NULL AND s.oid IS NULL,"
          " to_regnamespace('dataflow') IS NOT NULL,"
          " to_regprocedure('dataflow.touch_updated_at()') IS NOT NULL"
          " FROM unnest($1::text[], $2::text[])"
          " WITH ORDINALITY AS n (name, schema, i)"
          " LEFT JOIN pg_class c ON c.oid = to_regclass(n.name)"
          " LEFT JOIN pg_namespace s ON s.nspname = n.schema"),
      2, df_schema_catalog_take_table },

    { ngx_string(
          "SELECT n.i - 1, a.attname, a.atttypid, a.atttypmod,"
          " format_type(a.atttypid, a.atttypmod), a.attnotnull,"
          " a.attidentity <> '' OR a.attgenerated <> '',"
          " pg_get_expr(d.adbin, d.adrelid)"
          " FROM unnest($1::text[]) WITH ORDINALITY AS n (name, i)"
          " JOIN pg_attribute a ON a.attrelid = to_regclass(n.name)"
          " AND a.attnum > 0 AND NOT a.attisdropped"
          " LEFT JOIN pg_attrdef d"
          " ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
          " ORDER BY n.i, a.attnum"),
      1, df_schema_catalog_take_column },

    { ngx_string(
          "SELECT n.i - 1, k.conname, k.confrelid,"
          " (SELECT string_agg(a.attname, ',' ORDER BY u.o)"
          " FROM unnest(k.conkey) WITH ORDINALITY AS u (num, o)"
          " JOIN pg_attribute a"
          " ON a.attrelid = k.conrelid AND a.attnum = u.num),"
          " obj_description(k.oid, 'pg_constraint')"
          " FROM unnest($1::text[]) WITH ORDINALITY AS n (name, i)"
          " JOIN pg_constraint k ON k.conrelid = to_regclass(n.name)"
          " AND k.contype IN ('c', 'f')"
          " ORDER BY n.i, k.conname"),
      1, df_schema_catalog_take_constraint },

    { ngx_string(
          "SELECT n.i - 1, c.relname, x.indisunique, x.indisprimary,"
          " CASE WHEN x.indisvalid AND x.indpred IS NULL"
          " AND x.indexprs IS NULL AND m.amname = 'btree' THEN"
          " (SELECT string_agg(a.attname, ',' ORDER BY u.o)"
          " FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS u (num, o)"
          " JOIN pg_attribute a"
          " ON a.attrelid = x.indrelid AND a.attnum = u.num"
          " WHERE u.o <= x.indnkeyatts) END,"
          " x.indisvalid"
          " FROM unnest($1::text[]) WITH ORDINALITY AS n (name, i)"
          " JOIN pg_index x ON x.indrelid = to_regclass(n.name)"
          " JOIN pg_class c ON c.oid = x.indexrelid"
          " JOIN pg_am m ON m.oid = c.relam"
          " ORDER BY n.i, c.relname"),
      1, df_schema_catalog_take_index },

    { ngx_string(
          "SELECT n.i - 1"
          " FROM unnest($1::text[]) WITH ORDINALITY AS n (name, i)"
          " JOIN pg_trigger t ON t.tgrelid = to_regclass(n.name)"
          " AND t.tgfoid = to_regprocedure('dataflow.touch_updated_at()')"
          " AND t.tgenabled <> 'D'"),
      1, df_schema_catalog_take_trigger }
};


#define DF_CATALOG_QUERIES                                                    \
    (sizeof(df_schema_catalog_queries) / sizeof(df_catalog_query_t))


ngx_int_t
df_schema_catalog_init(df_catalog_t *catalog, ngx_pool_t *pool,
    df_schema_conf_t *schema, const df_database_t *database)
{
    ngx_uint_t            i;
    df_model_t          **model;
    df_catalog_entry_t   *entry;

    ngx_memzero(catalog, sizeof(df_catalog_t));

    catalog->pool = pool;

    /* entries point into the array of tables, so it must not move */

    if (ngx_array_init(&catalog->entries, pool, schema->models.nelts + 1,
                       sizeof(df_catalog_entry_t))
        != NGX_OK
        || ngx_array_init(&catalog->tables, pool, schema->models.nelts + 1,
                          sizeof(df_catalog_table_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    model = schema->models.elts;

    for (i = 0; i < schema->models.nelts; i++) {

        if (model[i]->database != database) {
            continue;
        }

        entry = ngx_array_push(&catalog->entries);

        entry->model = model[i];
        entry->table = df_schema_catalog_table(catalog, model[i]);

        if (entry->table == NULL) {
            return NGX_ERROR;
        }
    }

    return df_schema_catalog_values(catalog);
}


static df_catalog_table_t *
df_schema_catalog_table(df_catalog_t *catalog, const df_model_t *model)
{
    ngx_uint_t           i;
    const ngx_str_t     *name;
    df_catalog_table_t  *table;

    table = catalog->tables.elts;

    for (i = 0; i < catalog->tables.nelts; i++) {
        name = &table[i].model->quoted;

        if (name->len == model->quoted.len
            && ngx_memcmp(name->data, model->quoted.data, name->len) == 0)
        {
            return &table[i];
        }
    }

    table = ngx_array_push(&catalog->tables);

    ngx_memzero(table, sizeof(df_catalog_table_t));

    table->model = model;

    if (ngx_array_init(&table->columns, catalog->pool,
                       model->fields.nelts + 1, sizeof(df_catalog_column_t))
        != NGX_OK
        || ngx_array_init(&table->indexes, catalog->pool, 4,
                          sizeof(df_catalog_index_t))
           != NGX_OK
        || ngx_array_init(&table->constraints, catalog->pool, 4,
                          sizeof(df_catalog_constraint_t))
           != NGX_OK)
    {
        return NULL;
    }

    return table;
}


static ngx_int_t
df_schema_catalog_values(df_catalog_t *catalog)
{
    ngx_uint_t           i, n;
    df_value_t          *names, *schemas, value;
    df_catalog_table_t  *table;

    n = catalog->tables.nelts;
    table = catalog->tables.elts;

    names = ngx_pcalloc(catalog->pool, (2 * n + 1) * sizeof(df_value_t));
    if (names == NULL) {
        return NGX_ERROR;
    }

    schemas = names + n;

    for (i = 0; i < n; i++) {
        names[i].text = table[i].model->quoted;
        schemas[i].text = table[i].model->schema;
        schemas[i].null = (table[i].model->schema.len == 0);
    }

    if (df_schema_array(catalog->pool, names, n, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    catalog->values[0] = (const char *) value.text.data;

    if (df_schema_array(catalog->pool, schemas, n, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    catalog->values[1] = (const char *) value.text.data;

    return NGX_OK;
}


ngx_int_t
df_schema_catalog_ask(df_catalog_t *catalog, ngx_array_t *statements)
{
    ngx_uint_t          i;
    df_pg_statement_t  *statement;

    for (i = 0; i < DF_CATALOG_QUERIES; i++) {

        statement = ngx_array_push(statements);
        if (statement == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(statement, sizeof(df_pg_statement_t));

        statement->text = df_schema_catalog_queries[i].sql;
        statement->nparams = df_schema_catalog_queries[i].nparams;
        statement->types = df_schema_catalog_types;
        statement->values = catalog->values;
        statement->text_result = 1;
        statement->unprepared = 1;
    }

    return NGX_OK;
}


ngx_int_t
df_schema_catalog_take(df_catalog_t *catalog, ngx_uint_t i, const PGresult *res)
{
    ngx_uint_t           row, n;
    df_catalog_table_t  *table;

    for (row = 0; row < (ngx_uint_t) PQntuples(res); row++) {

        n = strtoul(PQgetvalue(res, row, 0), NULL, 10);

        if (n >= catalog->tables.nelts) {
            return NGX_ERROR;
        }

        table = (df_catalog_table_t *) catalog->tables.elts + n;

        if (df_schema_catalog_queries[i].take(catalog, table, res, row)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


df_catalog_table_t *
df_schema_catalog_find(const df_catalog_t *catalog, const df_model_t *model)
{
    ngx_uint_t           i;
    df_catalog_entry_t  *entry;

    entry = catalog->entries.elts;

    for (i = 0; i < catalog->entries.nelts; i++) {
        if (entry[i].model == model) {
            return entry[i].table;
        }
    }

    return NULL;
}


static ngx_int_t
df_schema_catalog_take_table(df_catalog_t *catalog, df_catalog_table_t *table,
    const PGresult *res, ngx_uint_t row)
{
    table->oid = strtoul(PQgetvalue(res, row, 1), NULL, 10);
    table->exists = (table->oid != 0);
    table->view = table->exists && *PQgetvalue(res, row, 2) != 't';
    table->no_schema = (*PQgetvalue(res, row, 3) == 't');

    catalog->schema = (*PQgetvalue(res, row, 4) == 't');
    catalog->function = (*PQgetvalue(res, row, 5) == 't');

    return NGX_OK;
}


static ngx_int_t
df_schema_catalog_take_column(df_catalog_t *catalog, df_catalog_table_t *table,
    const PGresult *res, ngx_uint_t row)
{
    df_catalog_column_t  *column;

    column = ngx_array_push(&table->columns);
    if (column == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(column, sizeof(df_catalog_column_t));

    column->oid = strtoul(PQgetvalue(res, row, 2), NULL, 10);
    column->typmod = strtol(PQgetvalue(res, row, 3), NULL, 10);
    column->not_null = (*PQgetvalue(res, row, 5) == 't');
    column->generated = (*PQgetvalue(res, row, 6) == 't');

    if (df_schema_catalog_text(catalog, &column->name, res, row, 1) != NGX_OK
        || df_schema_catalog_text(catalog, &column->type, res, row, 4)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_schema_catalog_text(catalog, &column->expression, res, row, 7);
}


static ngx_int_t
df_schema_catalog_take_constraint(df_catalog_t *catalog,
    df_catalog_table_t *table, const PGresult *res, ngx_uint_t row)
{
    df_catalog_constraint_t  *constraint;

    constraint = ngx_array_push(&table->constraints);
    if (constraint == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(constraint, sizeof(df_catalog_constraint_t));

    constraint->target = strtoul(PQgetvalue(res, row, 2), NULL, 10);

    if (df_schema_catalog_text(catalog, &constraint->name, res, row, 1)
        != NGX_OK
        || df_schema_catalog_text(catalog, &constraint->columns, res, row, 3)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_schema_catalog_text(catalog, &constraint->comment, res, row, 4);
}


static ngx_int_t
df_schema_catalog_take_index(df_catalog_t *catalog, df_catalog_table_t *table,
    const PGresult *res, ngx_uint_t row)
{
    df_catalog_index_t  *index;

    index = ngx_array_push(&table->indexes);
    if (index == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(index, sizeof(df_catalog_index_t));

    index->unique = (*PQgetvalue(res, row, 2) == 't');
    index->primary = (*PQgetvalue(res, row, 3) == 't');
    index->valid = (*PQgetvalue(res, row, 5) == 't');

    if (df_schema_catalog_text(catalog, &index->name, res, row, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_schema_catalog_text(catalog, &index->columns, res, row, 4);
}


static ngx_int_t
df_schema_catalog_take_trigger(df_catalog_t *catalog,
    df_catalog_table_t *table, const PGresult *res, ngx_uint_t row)
{
    table->touched = 1;

    return NGX_OK;
}


/* a null becomes the empty string */

static ngx_int_t
df_schema_catalog_text(df_catalog_t *catalog, ngx_str_t *dst,
    const PGresult *res, ngx_uint_t row, ngx_uint_t column)
{
    ngx_str_t  value;

    value = df_pg_value(res, row, column);

    return df_str_copy(catalog->pool, dst, value.data, value.len);
}
