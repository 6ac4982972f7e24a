
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Compares keys, unique and checked fields, indexes, relations and the upkeep
 * of updated_at with constraints, indexes and triggers.  Keys, indexes and
 * relations are known by their columns, whatever their names are.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/migrate.h"


/*
 * A check of ours has its expression in its comment, as it was written:
 * PostgreSQL prints it in another way.  A check without such a comment is
 * somebody else's and trusted.
 */

#define DF_DIFF_COMMENT  "dataflow: "


static ngx_int_t df_schema_diff_former(df_diff_t *d, const df_index_t *index);
static ngx_uint_t df_schema_diff_is_declared(df_diff_t *d,
    const ngx_str_t *name);
static ngx_int_t df_schema_diff_check(df_diff_t *d, const df_field_t *field,
    const ngx_str_t *expression);
static ngx_int_t df_schema_diff_check_set(df_diff_t *d,
    const df_field_t *field, const ngx_str_t *name,
    const ngx_str_t *expression, const ngx_str_t *comment,
    df_change_kind_t kind);
static ngx_int_t df_schema_diff_touch_function(df_diff_t *d);
static ngx_int_t df_schema_diff_relation(df_diff_t *d,
    const df_relation_t *relation);
static df_catalog_index_t *df_schema_diff_find_index(df_diff_t *d,
    const ngx_str_t *columns, ngx_uint_t unique);
static df_catalog_index_t *df_schema_diff_named_index(df_diff_t *d,
    const ngx_str_t *name);
static df_catalog_constraint_t *df_schema_diff_find_constraint(df_diff_t *d,
    const ngx_str_t *name);
static df_catalog_constraint_t *df_schema_diff_note_constraint(df_diff_t *d,
    const ngx_str_t *name);
static ngx_str_t df_schema_diff_constraint_object(df_diff_t *d,
    const ngx_str_t *name);


ngx_int_t
df_schema_diff_key(df_diff_t *d)
{
    ngx_str_t            object, sql, name;
    ngx_uint_t           i;
    df_catalog_index_t  *index;

    if (df_schema_diff_find_index(d, &d->model->key->name, 1)) {
        return NGX_OK;
    }

    index = d->table->indexes.elts;

    for (i = 0; i < d->table->indexes.nelts; i++) {
        if (index[i].primary) {
            return df_schema_diff_report(d, "the primary key of table %V is "
                                         "(%V), declared %V; declare the key "
                                         "or: ALTER TABLE %V ADD UNIQUE (%V)",
                                         &d->model->quoted, &index[i].columns,
                                         &d->model->key->name,
                                         &d->model->quoted,
                                         &d->model->key->quoted);
        }
    }

    name = df_schema_ddl_name(d->pool, d->model, &df_schema_ddl_primary, "");
    object = df_str_printf(d->pool, "primary key of table %V",
                           &d->model->quoted);
    sql = df_str_printf(d->pool, "ALTER TABLE %V ADD CONSTRAINT \"%V\" PRIMARY "
                        "KEY (%V)", &d->model->quoted, &name,
                        &d->model->key->quoted);

    if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL) {
        return NGX_ERROR;
    }

    return df_schema_diff_note_index(d, &name, &d->model->key->name, 1);
}


ngx_int_t
df_schema_diff_uniques(df_diff_t *d)
{
    ngx_str_t          object, sql, name;
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = 0; i < d->model->fields.nelts; i++) {
        field = df_schema_field_at(d->model, i);

        if (!field->unique || field->key
            || df_schema_diff_find_index(d, &field->name, 1))
        {
            continue;
        }

        name = df_schema_ddl_name(d->pool, d->model, &field->name, "_key");
        object = df_schema_diff_constraint_object(d, &name);
        sql = df_str_printf(d->pool, "ALTER TABLE %V ADD CONSTRAINT \"%V\" "
                            "UNIQUE (%V)", &d->model->quoted, &name,
                            &field->quoted);

        if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL
            || df_schema_diff_note_index(d, &name, &field->name, 1) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
df_schema_diff_indexes(df_diff_t *d)
{
    ngx_str_t            object, sql, columns;
    ngx_uint_t           i, partial;
    df_index_t          *index;
    df_catalog_index_t  *present;

    index = d->model->indexes.elts;

    for (i = 0; i < d->model->indexes.nelts; i++) {

        /* what a partial one is shows in its name only */

        partial = (index[i].where_sql.len != 0);
        columns = df_schema_ddl_columns(d->pool, &index[i], "");

        if (!partial
            && df_schema_diff_find_index(d, &columns, index[i].unique))
        {
            continue;
        }

        if (partial && df_schema_diff_former(d, &index[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        present = df_schema_diff_named_index(d, &index[i].name);

        if (present && partial && present->valid
            && present->unique == index[i].unique)
        {
            continue;
        }

        object = df_str_printf(d->pool, "index \"%V\" of table %V",
                               &index[i].name, &d->model->quoted);

        if (present) {
            if (df_schema_diff_report(d, "%V is another one than declared; "
                                      "DROP INDEX \"%V\" lets the next start "
                                      "create it", &object, &index[i].name)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        sql = df_schema_ddl_index(d->pool, d->model, &index[i]);

        if (partial) {
            ngx_str_null(&columns);
        }

        if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL
            || df_schema_diff_note_index(d, &index[i].name, &columns,
                                         index[i].unique)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* A condition that was declared before is in an index that still holds, and a
   unique one refuses records.  Only its name tells that it was ours. */

static ngx_int_t
df_schema_diff_former(df_diff_t *d, const df_index_t *index)
{
    size_t               len;
    ngx_uint_t           i;
    const ngx_str_t     *name;
    df_catalog_index_t  *present;

    len = index->name.len - (sizeof("01234567_key") - 1);
    present = d->table->indexes.elts;

    for (i = 0; i < d->table->indexes.nelts; i++) {
        name = &present[i].name;

        if (present[i].reported
            || name->len != index->name.len
            || ngx_memcmp(name->data, index->name.data, len) != 0
            || ngx_memcmp(name->data + len + 8, index->name.data + len + 8, 4)
               != 0
            || df_schema_diff_is_declared(d, name))
        {
            continue;
        }

        present[i].reported = 1;

        if (df_schema_diff_report(d, "index \"%V\" of table %V has a condition "
                                  "that is not declared any more; to drop it: "
                                  "DROP INDEX \"%V\"", name,
                                  &d->model->quoted, name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* by any model of the table */

static ngx_uint_t
df_schema_diff_is_declared(df_diff_t *d, const ngx_str_t *name)
{
    ngx_uint_t           i, n;
    df_index_t          *index;
    df_catalog_entry_t  *entry;

    entry = d->catalog->entries.elts;

    for (i = 0; i < d->catalog->entries.nelts; i++) {

        if (entry[i].table != d->table) {
            continue;
        }

        index = entry[i].model->indexes.elts;

        for (n = 0; n < entry[i].model->indexes.nelts; n++) {
            if (df_schema_diff_same(&index[n].name, name)) {
                return 1;
            }
        }
    }

    return 0;
}


/* checks */

ngx_int_t
df_schema_diff_checks(df_diff_t *d)
{
    ngx_str_t          expression;
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = 0; i < d->model->fields.nelts; i++) {
        field = df_schema_field_at(d->model, i);

        if (df_schema_ddl_check(d->pool, field, &expression) != NGX_OK
            || df_schema_diff_check(d, field, &expression) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_diff_check(df_diff_t *d, const df_field_t *field,
    const ngx_str_t *expression)
{
    ngx_str_t                 object, name, comment;
    ngx_uint_t                declared;
    df_catalog_constraint_t  *constraint;

    name = df_schema_ddl_name(d->pool, d->model, &field->name, "_check");
    object = df_schema_diff_constraint_object(d, &name);
    comment = df_str_printf(d->pool, DF_DIFF_COMMENT "%V", expression);

    constraint = df_schema_diff_find_constraint(d, &name);

    if (constraint == NULL) {

        if (expression->len == 0) {
            return NGX_OK;
        }

        constraint = df_schema_diff_note_constraint(d, &name);
        if (constraint == NULL) {
            return NGX_ERROR;
        }

        constraint->comment = comment;
        constraint->declared = 1;

        return df_schema_diff_check_set(d, field, &name, expression, &comment,
                                        DF_CHANGE_CREATE);
    }

    if (ngx_strncmp(constraint->comment.data, DF_DIFF_COMMENT,
                    sizeof(DF_DIFF_COMMENT) - 1)
        != 0
        || df_schema_diff_same(&constraint->comment, &comment))
    {
        constraint->declared = 1;
        return NGX_OK;
    }

    declared = constraint->declared;
    constraint->declared = 1;

    if (declared) {
        return df_schema_diff_report(d, "%V is declared differently by another "
                                     "model of the table", &object);
    }

    if (expression->len == 0) {
        return df_schema_diff_report(d, "%V is not declared any more; to lift "
                                     "it: ALTER TABLE %V DROP CONSTRAINT "
                                     "\"%V\"", &object, &d->model->quoted,
                                     &name);
    }

    constraint->comment = comment;

    return df_schema_diff_check_set(d, field, &name, expression, &comment,
                                    DF_CHANGE_REPLACE);
}


static ngx_int_t
df_schema_diff_check_set(df_diff_t *d, const df_field_t *field,
    const ngx_str_t *name, const ngx_str_t *expression,
    const ngx_str_t *comment, df_change_kind_t kind)
{
    ngx_str_t     object, sql, drop, literal;
    df_change_t  *change;

    ngx_str_null(&drop);

    if (kind == DF_CHANGE_REPLACE) {
        drop = df_str_printf(d->pool, "DROP CONSTRAINT \"%V\", ", name);
    }

    object = df_schema_diff_constraint_object(d, name);
    sql = df_str_printf(d->pool, "ALTER TABLE %V %VADD CONSTRAINT \"%V\" "
                        "CHECK (%V)", &d->model->quoted, &drop, name,
                        expression);

    change = df_schema_diff_change(d, kind, &object, &sql);
    if (change == NULL) {
        return NGX_ERROR;
    }

    literal = df_schema_ddl_literal(d->pool, comment);
    change->sql[change->nsql++] = df_str_printf(d->pool, "COMMENT ON "
                                                "CONSTRAINT \"%V\" ON %V IS %V",
                                                name, &d->model->quoted,
                                                &literal);

    /* a pattern that PostgreSQL cannot read would only fail with the first
       record */

    if (field->pattern.len) {
        literal = df_schema_ddl_literal(d->pool, &field->pattern);
        change->sql[change->nsql++] = df_str_printf(d->pool, "SELECT '' ~ %V",
                                                    &literal);
    }

    return NGX_OK;
}


/* the upkeep of updated_at */

ngx_int_t
df_schema_diff_touch(df_diff_t *d)
{
    ngx_str_t  object, sql;

    if (d->model->updated_at == NULL || d->table->touched) {
        return NGX_OK;
    }

    if (df_schema_diff_touch_function(d) != NGX_OK) {
        return NGX_ERROR;
    }

    /* images of rows, unlike their values, can be compared whatever types of
       columns there are */

    object = df_str_printf(d->pool, "trigger \"dataflow_touch\" of table %V",
                           &d->model->quoted);
    sql = df_str_printf(d->pool, "CREATE TRIGGER dataflow_touch BEFORE UPDATE "
                        "ON %V FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE "
                        "FUNCTION dataflow.touch_updated_at()",
                        &d->model->quoted);

    d->table->touched = 1;

    return df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
df_schema_diff_touch_function(df_diff_t *d)
{
    ngx_str_t  object, sql;

    if (!d->catalog->schema) {
        object = df_str_printf(d->pool, "schema \"dataflow\"");
        sql = df_schema_ddl_touch_schema;

        if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL) {
            return NGX_ERROR;
        }

        d->catalog->schema = 1;
    }

    if (!d->catalog->function) {
        object = df_str_printf(d->pool, "function dataflow.touch_updated_at()");
        sql = df_schema_ddl_touch_function;

        if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL) {
            return NGX_ERROR;
        }

        d->catalog->function = 1;
    }

    return NGX_OK;
}


/* relations */

ngx_int_t
df_schema_diff_relations(df_diff_t *d)
{
    ngx_uint_t      i;
    df_relation_t  *relation;

    relation = d->model->relations.elts;

    for (i = 0; i < d->model->relations.nelts; i++) {
        if (df_schema_diff_relation(d, &relation[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_diff_relation(df_diff_t *d, const df_relation_t *relation)
{
    ngx_str_t                 object, sql, name;
    ngx_uint_t                i;
    const df_catalog_table_t *target;
    df_catalog_constraint_t  *present;

    target = df_schema_catalog_find(d->catalog, relation->target);

    if (target == NULL || target->view) {
        return NGX_OK;      /* a model of another database, a view */
    }

    name = df_schema_ddl_name(d->pool, d->model, &relation->name, "_fkey");
    present = d->table->constraints.elts;

    for (i = 0; i < d->table->constraints.nelts; i++) {
        if (present[i].target && present[i].target == target->oid
            && df_schema_diff_same(&present[i].columns, &relation->field->name))
        {
            return NGX_OK;
        }
    }

    if (df_schema_diff_find_constraint(d, &name)) {
        return NGX_OK;
    }

    object = df_schema_diff_constraint_object(d, &name);
    sql = df_str_printf(d->pool, "ALTER TABLE %V ADD CONSTRAINT \"%V\" FOREIGN "
                        "KEY (%V) REFERENCES %V (%V)", &d->model->quoted, &name,
                        &relation->field->quoted, &relation->target->quoted,
                        &relation->target->key->quoted);

    if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL
        || df_schema_diff_note_constraint(d, &name) == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the picture */

static df_catalog_index_t *
df_schema_diff_find_index(df_diff_t *d, const ngx_str_t *columns,
    ngx_uint_t unique)
{
    ngx_uint_t           i;
    df_catalog_index_t  *index;

    index = d->table->indexes.elts;

    for (i = 0; i < d->table->indexes.nelts; i++) {
        if ((index[i].unique || !unique)
            && df_schema_diff_same(&index[i].columns, columns))
        {
            return &index[i];
        }
    }

    return NULL;
}


static df_catalog_index_t *
df_schema_diff_named_index(df_diff_t *d, const ngx_str_t *name)
{
    ngx_uint_t           i;
    df_catalog_index_t  *index;

    index = d->table->indexes.elts;

    for (i = 0; i < d->table->indexes.nelts; i++) {
        if (df_schema_diff_same(&index[i].name, name)) {
            return &index[i];
        }
    }

    return NULL;
}


static df_catalog_constraint_t *
df_schema_diff_find_constraint(df_diff_t *d, const ngx_str_t *name)
{
    ngx_uint_t                i;
    df_catalog_constraint_t  *constraint;

    constraint = d->table->constraints.elts;

    for (i = 0; i < d->table->constraints.nelts; i++) {
        if (df_schema_diff_same(&constraint[i].name, name)) {
            return &constraint[i];
        }
    }

    return NULL;
}


static df_catalog_constraint_t *
df_schema_diff_note_constraint(df_diff_t *d, const ngx_str_t *name)
{
    df_catalog_constraint_t  *constraint;

    constraint = ngx_array_push(&d->table->constraints);

    if (constraint) {
        ngx_memzero(constraint, sizeof(df_catalog_constraint_t));
        constraint->name = *name;
    }

    return constraint;
}


static ngx_str_t
df_schema_diff_constraint_object(df_diff_t *d, const ngx_str_t *name)
{
    return df_str_printf(d->pool, "constraint \"%V\" of table %V", name,
                         &d->model->quoted);
}
