
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The inside of the migration: what the catalog holds, what the models ask
 * for beyond it, and the SQL between the two.  Only migrate.c talks to
 * PostgreSQL; the others turn results into structures and structures into
 * text.
 */


#ifndef _DF_SCHEMA_MIGRATE_H_INCLUDED_
#define _DF_SCHEMA_MIGRATE_H_INCLUDED_


#include "schema/schema.h"
#include <ngx_event.h>


DF_HIDDEN_BEGIN


/* catalog: the tables of a database's models, as PostgreSQL has them */

typedef struct {
    ngx_str_t             name;
    ngx_str_t             type;         /* format_type() */
    ngx_str_t             expression;   /* the default's, empty: none */
    Oid                   oid;
    int32_t               typmod;
    unsigned              not_null:1;
    unsigned              generated:1;  /* identity, or computed */
    unsigned              declared:1;   /* by a model that was compared */
} df_catalog_column_t;

typedef struct {
    ngx_str_t             name;
    ngx_str_t             columns;      /* "a,b"; empty when it is partial, of
                                           expressions, invalid, no btree */
    unsigned              unique:1;
    unsigned              primary:1;
    unsigned              valid:1;
    unsigned              reported:1;
} df_catalog_index_t;

typedef struct {
    ngx_str_t             name;
    ngx_str_t             columns;
    ngx_str_t             comment;
    Oid                   target;       /* of a foreign key; 0: a check */
    unsigned              declared:1;
} df_catalog_constraint_t;

typedef struct {
    const df_model_t     *model;        /* the first that names the table */
    Oid                   oid;
    ngx_array_t           columns;      /* df_catalog_column_t */
    ngx_array_t           indexes;      /* df_catalog_index_t */
    ngx_array_t           constraints;  /* df_catalog_constraint_t */
    unsigned              no_schema:1;
    unsigned              exists:1;
    unsigned              view:1;       /* anything but a table */
    unsigned              touched:1;    /* has the updated_at trigger */
    unsigned              failed:1;     /* could not be created */
} df_catalog_table_t;

typedef struct {
    df_model_t           *model;
    df_catalog_table_t   *table;
} df_catalog_entry_t;

typedef struct {
    ngx_pool_t           *pool;
    ngx_array_t           entries;      /* df_catalog_entry_t, a model each */
    ngx_array_t           tables;       /* df_catalog_table_t */
    const char           *values[2];    /* names of tables, of schemas */
    unsigned              schema:1;     /* "dataflow" is there */
    unsigned              function:1;   /* and its touch_updated_at() */
} df_catalog_t;

/* all of these return NGX_OK, or NGX_ERROR without memory */

ngx_int_t df_schema_catalog_init(df_catalog_t *catalog, ngx_pool_t *pool,
    df_schema_conf_t *schema, const df_database_t *database);

/* appends the df_pg_statement_t that read the catalog */
ngx_int_t df_schema_catalog_ask(df_catalog_t *catalog, ngx_array_t *statements);

/* NULL when the model is of another database */
df_catalog_table_t *df_schema_catalog_find(const df_catalog_t *catalog,
    const df_model_t *model);

/* takes the result of the i-th of them */
ngx_int_t df_schema_catalog_take(df_catalog_t *catalog, ngx_uint_t i,
    const PGresult *res);


/* diff: what is to be done, and what is only to be reported */

typedef enum {
    DF_CHANGE_REPORT = 0,       /* text says all */
    DF_CHANGE_CREATE,
    DF_CHANGE_REPLACE
} df_change_kind_t;

#define DF_CHANGE_SQL  3

typedef struct {
    df_change_kind_t      kind;
    const df_model_t     *model;
    df_catalog_table_t   *table;
    ngx_str_t             text;         /* or the object's name: column "a" of
                                           table "b" */
    ngx_str_t             sql[DF_CHANGE_SQL];
    ngx_uint_t            nsql;
    ngx_str_t             failure;      /* PostgreSQL's message */
    unsigned              creates_table:1;
    unsigned              done:1;
} df_change_t;

/* appends df_change_t in an order in which they can be carried out */
ngx_int_t df_schema_diff(df_catalog_t *catalog, ngx_array_t *changes);


/* diff: the comparison of one model, and what its passes share */

typedef struct {
    df_catalog_t         *catalog;
    ngx_array_t          *changes;
    ngx_pool_t           *pool;
    const df_model_t     *model;
    df_catalog_table_t   *table;
} df_diff_t;

ngx_int_t df_schema_diff_columns(df_diff_t *d);
ngx_int_t df_schema_diff_strangers(df_diff_t *d);
ngx_int_t df_schema_diff_key(df_diff_t *d);
ngx_int_t df_schema_diff_uniques(df_diff_t *d);
ngx_int_t df_schema_diff_checks(df_diff_t *d);
ngx_int_t df_schema_diff_indexes(df_diff_t *d);
ngx_int_t df_schema_diff_touch(df_diff_t *d);
ngx_int_t df_schema_diff_relations(df_diff_t *d);

/* NULL or NGX_ERROR without memory, also when a text is empty for that */
df_change_t *df_schema_diff_change(df_diff_t *d, df_change_kind_t kind,
    const ngx_str_t *object, const ngx_str_t *sql);
ngx_int_t df_schema_diff_report(df_diff_t *d, const char *fmt, ...);

df_catalog_column_t *df_schema_diff_find_column(df_diff_t *d,
    const ngx_str_t *name);
df_catalog_column_t *df_schema_diff_note_column(df_diff_t *d,
    const df_field_t *field);
ngx_int_t df_schema_diff_note_index(df_diff_t *d, const ngx_str_t *name,
    const ngx_str_t *columns, ngx_uint_t unique);

/* PostgreSQL's type modifier of a field: length, or precision and scale */
int32_t df_schema_diff_typmod(const df_field_t *field);

static ngx_inline ngx_uint_t
df_schema_diff_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


/* ddl: SQL text, made of declared identifiers and quoted literals */

/* an empty string without memory */
ngx_str_t df_schema_ddl_name(ngx_pool_t *pool, const df_model_t *model,
    const ngx_str_t *object, const char *suffix);
ngx_str_t df_schema_ddl_type(ngx_pool_t *pool, const df_field_t *field);
ngx_str_t df_schema_ddl_literal(ngx_pool_t *pool, const ngx_str_t *text);
ngx_str_t df_schema_ddl_table(ngx_pool_t *pool, const df_model_t *model);
ngx_str_t df_schema_ddl_column(ngx_pool_t *pool, const df_field_t *field,
    ngx_uint_t not_null);
ngx_str_t df_schema_ddl_index(ngx_pool_t *pool, const df_model_t *model,
    const df_index_t *index);

/* also empty when the field has none: */
ngx_str_t df_schema_ddl_default(ngx_pool_t *pool, const df_field_t *field);
ngx_int_t df_schema_ddl_check(ngx_pool_t *pool, const df_field_t *field,
    ngx_str_t *expression);

/* the names of an index's fields: a,b */
ngx_str_t df_schema_ddl_columns(ngx_pool_t *pool, const df_index_t *index,
    const char *quote);

/* the primary key's object name: its constraint is "<table>_pkey" */
extern const ngx_str_t df_schema_ddl_primary;

extern const ngx_str_t df_schema_ddl_touch_schema;
extern const ngx_str_t df_schema_ddl_touch_function;


/* the migrator */

typedef struct df_migrator_s  df_migrator_t;

typedef void (*df_migrate_next_pt)(df_migrator_t *m,
    const df_pg_error_t *error);

struct df_migrator_s {
    /* three pointers before ident, as in ngx_connection_t: the timer logs it */
    df_database_t        *database;
    df_schema_conf_t     *schema;
    df_migration_t       *shared;

    ngx_int_t             ident;

    ngx_log_t            *log;
    ngx_event_t           event;        /* the next attempt, or try at the
                                           lock; never keeps a worker */
    ngx_msec_t            delay;

    /* an attempt */

    ngx_pool_t           *pool;
    df_pg_job_t          *job;
    df_migrate_next_pt    next;
    ngx_array_t           statements;   /* df_pg_statement_t */
    df_catalog_t          catalog;
    ngx_array_t           changes;      /* df_change_t */
    ngx_uint_t            change;       /* the one under way */

    unsigned              locked:1;
    unsigned              failed:1;     /* the last step; to be rolled back */
    unsigned              broken:1;     /* no memory for a result */
};

/* in the one worker that has it */
ngx_int_t df_schema_migrate_start(ngx_cycle_t *cycle, df_database_t *database,
    df_schema_conf_t *schema);


/* report */

/* one line for each change, when they are certain; returns what is left */
ngx_uint_t df_schema_report_changes(df_migrator_t *m);

/* of an attempt; error is NULL without memory */
void df_schema_report_failure(df_migrator_t *m, const df_pg_error_t *error);
ngx_str_t df_schema_report_why(df_migrator_t *m, const df_pg_error_t *error);


DF_HIDDEN_END


#endif /* _DF_SCHEMA_MIGRATE_H_INCLUDED_ */
