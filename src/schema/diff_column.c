
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Compares fields with columns: type, NOT NULL and default.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/migrate.h"


/* longer defaults are not compared */
#define DF_DIFF_LITERAL_MAX  256


static ngx_int_t df_schema_diff_column_add(df_diff_t *d,
    const df_field_t *field);
static ngx_int_t df_schema_diff_column_type(df_diff_t *d,
    const df_field_t *field, const df_catalog_column_t *column);
static ngx_int_t df_schema_diff_column_null(df_diff_t *d,
    const df_field_t *field, const df_catalog_column_t *column);
static ngx_int_t df_schema_diff_column_default(df_diff_t *d,
    const df_field_t *field, const df_catalog_column_t *column);
static ngx_uint_t df_schema_diff_default_same(df_diff_t *d,
    const df_field_t *field, const ngx_str_t *expression);
static ngx_int_t df_schema_diff_literal(const ngx_str_t *expression,
    u_char *buf, ngx_str_t *text);
static ngx_str_t df_schema_diff_column_object(df_diff_t *d,
    const ngx_str_t *name);


/* types of which a value has several texts, and PostgreSQL prints another one
   than is written in nginx.conf */

static const ngx_uint_t  df_schema_diff_trusted =
    1 << DF_REAL | 1 << DF_DOUBLE | 1 << DF_JSON | 1 << DF_BYTEA;


ngx_int_t
df_schema_diff_columns(df_diff_t *d)
{
    ngx_uint_t            i, declared;
    df_field_t           *field;
    df_catalog_column_t  *column;

    for (i = 0; i < d->model->fields.nelts; i++) {

        field = df_schema_field_at(d->model, i);
        column = df_schema_diff_find_column(d, &field->name);

        if (column == NULL) {
            if (df_schema_diff_column_add(d, field) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        declared = column->declared;
        column->declared = 1;

        if (df_schema_diff_column_type(d, field, column) != NGX_OK) {
            return NGX_ERROR;
        }

        /* the first model of a table decides */

        if (declared || d->table->view) {
            continue;
        }

        if (df_schema_diff_column_null(d, field, column) != NGX_OK
            || df_schema_diff_column_default(d, field, column) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Without a default, NOT NULL is a step of its own: it fails where there are
 * rows, and the column is there nevertheless.
 */

static ngx_int_t
df_schema_diff_column_add(df_diff_t *d, const df_field_t *field)
{
    ngx_str_t   object, sql, column;
    ngx_uint_t  alone;

    object = df_schema_diff_column_object(d, &field->name);

    if (d->table->view) {
        return df_schema_diff_report(d, "%V is missing; add it to the view",
                                     &object);
    }

    column = df_schema_ddl_default(d->pool, field);
    alone = field->not_null && !field->identity && column.len == 0;

    column = df_schema_ddl_column(d->pool, field, field->not_null && !alone);
    sql = df_str_printf(d->pool, "ALTER TABLE %V ADD COLUMN %V",
                        &d->model->quoted, &column);

    if (df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql) == NULL
        || df_schema_diff_note_column(d, field) == NULL)
    {
        return NGX_ERROR;
    }

    if (!alone) {
        return NGX_OK;
    }

    object = df_str_printf(d->pool, "NOT NULL of %V", &object);
    sql = df_str_printf(d->pool, "ALTER TABLE %V ALTER COLUMN %V SET NOT NULL",
                        &d->model->quoted, &field->quoted);

    return df_schema_diff_change(d, DF_CHANGE_CREATE, &object, &sql)
           ? NGX_OK : NGX_ERROR;
}


int32_t
df_schema_diff_typmod(const df_field_t *field)
{
    if (field->type->kind == DF_VARCHAR) {
        return 4 + field->length;
    }

    if (field->type->kind == DF_NUMERIC && field->precision) {
        return 4 + (field->precision << 16 | field->scale);
    }

    return -1;
}


static ngx_int_t
df_schema_diff_column_type(df_diff_t *d, const df_field_t *field,
    const df_catalog_column_t *column)
{
    ngx_str_t  object, type;

    if (column->oid == df_schema_oid(field)
        && column->typmod == df_schema_diff_typmod(field))
    {
        return NGX_OK;
    }

    object = df_schema_diff_column_object(d, &field->name);
    type = df_schema_ddl_type(d->pool, field);

    return df_schema_diff_report(d, "%V is %V, declared %V; declare %V or "
                                 "change it: ALTER TABLE %V ALTER COLUMN %V "
                                 "TYPE %V USING %V::%V",
                                 &object, &column->type, &type, &column->type,
                                 &d->model->quoted, &field->quoted, &type,
                                 &field->quoted, &type);
}


static ngx_int_t
df_schema_diff_column_null(df_diff_t *d, const df_field_t *field,
    const df_catalog_column_t *column)
{
    ngx_str_t  object;

    object = df_schema_diff_column_object(d, &field->name);

    if (field->not_null && !column->not_null && !field->key) {
        return df_schema_diff_report(d, "%V allows NULL, declared required; "
                                     "fill it and narrow it: ALTER TABLE %V "
                                     "ALTER COLUMN %V SET NOT NULL",
                                     &object, &d->model->quoted,
                                     &field->quoted);
    }

    if (!field->not_null && !field->key && column->not_null
        && column->expression.len == 0 && !column->generated)
    {
        return df_schema_diff_report(d, "%V is NOT NULL, declared without "
                                     "required; declare it required or: ALTER "
                                     "TABLE %V ALTER COLUMN %V DROP NOT NULL",
                                     &object, &d->model->quoted,
                                     &field->quoted);
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_diff_column_default(df_diff_t *d, const df_field_t *field,
    const df_catalog_column_t *column)
{
    ngx_str_t         object, sql, value;
    df_change_kind_t  kind;

    object = df_schema_diff_column_object(d, &field->name);

    if (column->generated) {
        return NGX_OK;
    }

    if (field->identity) {

        if (column->expression.len) {
            return NGX_OK;
        }

        return df_schema_diff_report(d, "%V has neither identity nor default; "
                                     "give it one: ALTER TABLE %V ALTER COLUMN "
                                     "%V ADD GENERATED BY DEFAULT AS IDENTITY",
                                     &object, &d->model->quoted,
                                     &field->quoted);
    }

    value = df_schema_ddl_default(d->pool, field);

    if (value.len == 0
        || df_schema_diff_default_same(d, field, &column->expression))
    {
        return NGX_OK;
    }

    kind = column->expression.len ? DF_CHANGE_REPLACE : DF_CHANGE_CREATE;
    object = df_str_printf(d->pool, "default of %V", &object);
    sql = df_str_printf(d->pool, "ALTER TABLE %V ALTER COLUMN %V SET DEFAULT "
                        "%V", &d->model->quoted, &field->quoted, &value);

    return df_schema_diff_change(d, kind, &object, &sql) ? NGX_OK : NGX_ERROR;
}


/*
 * Whether a column's default may stay.  PostgreSQL prints expressions in its
 * own way, so only literals of some types are compared; what cannot be
 * compared is trusted.
 */

static ngx_uint_t
df_schema_diff_default_same(df_diff_t *d, const df_field_t *field,
    const ngx_str_t *expression)
{
    u_char            buf[DF_DIFF_LITERAL_MAX + 1];
    ngx_str_t         text;
    df_value_t        value;
    df_value_error_t  error;

    if (expression->len == 0) {
        return 0;
    }

    if (expression->len > DF_DIFF_LITERAL_MAX
        || df_schema_diff_literal(expression, buf, &text) != NGX_OK)
    {
        return 1;
    }

    if (field->default_kind != DF_DEFAULT_LITERAL) {
        return 0;
    }

    if (field->array || (df_schema_diff_trusted & (1 << field->type->kind))
        || field->type->parse(field, d->pool, &text, &value, &error) != NGX_OK)
    {
        return 1;
    }

    return field->type->compare(&value.text, &field->default_text) == 0;
}


/* 'it''s'::text, 12.50, true; NGX_DECLINED when it is no literal */

static ngx_int_t
df_schema_diff_literal(const ngx_str_t *expression, u_char *buf,
    ngx_str_t *text)
{
    u_char  *p, *last, *dst;

    p = expression->data;
    last = p + expression->len;
    dst = buf;

    if (*p == '\'') {

        for (p++; p < last; p++) {

            if (*p == '\'') {
                p++;

                if (p == last || *p != '\'') {
                    break;
                }
            }

            *dst++ = *p;
        }

    } else {

        while (p < last && *p != ':') {

            if (!(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'z')
                && *p != '.' && *p != '-')
            {
                return NGX_DECLINED;
            }

            *dst++ = *p++;
        }
    }

    *dst = '\0';

    text->data = buf;
    text->len = dst - buf;

    /* a cast may follow */

    if (p < last && (p + 1 == last || p[0] != ':' || p[1] != ':')) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* a column that no model fills */

ngx_int_t
df_schema_diff_strangers(df_diff_t *d)
{
    ngx_str_t             object;
    ngx_uint_t            i;
    df_catalog_column_t  *column;

    column = d->table->columns.elts;

    for (i = 0; i < d->table->columns.nelts; i++) {

        if (column[i].declared || !column[i].not_null || column[i].generated
            || column[i].expression.len)
        {
            continue;
        }

        column[i].declared = 1;

        object = df_schema_diff_column_object(d, &column[i].name);

        if (df_schema_diff_report(d, "%V is NOT NULL without a default and not "
                                  "declared, so no record can be created; "
                                  "declare it or: ALTER TABLE %V ALTER COLUMN "
                                  "\"%V\" DROP NOT NULL", &object,
                                  &d->model->quoted, &column[i].name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_str_t
df_schema_diff_column_object(df_diff_t *d, const ngx_str_t *name)
{
    return df_str_printf(d->pool, "column \"%V\" of table %V", name,
                         &d->model->quoted);
}
