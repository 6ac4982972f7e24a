
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * SQL text of what a migration creates.  DDL takes no parameters, so literals
 * are quoted here; they come from nginx.conf only.  Nothing else is decided.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/migrate.h"


/* PostgreSQL cuts longer names off, NAMEDATALEN - 1 */
#define DF_DDL_NAME_MAX  63

/* a table's and a field's name, "_" and the longest suffix */
#define DF_DDL_NAME_BUF  (2 * DF_DDL_NAME_MAX + sizeof("_" "_check"))


static size_t df_schema_ddl_name_print(u_char *buf, const df_model_t *model,
    const ngx_str_t *object, const char *suffix);
static ngx_uint_t df_schema_ddl_name_is(const ngx_str_t *name,
    const df_model_t *model, const ngx_str_t *object, const char *suffix);
static ngx_int_t df_schema_ddl_compare(df_writer_t *w,
    const ngx_str_t *subject, const char *operator, const ngx_str_t *operand);
static ngx_int_t df_schema_ddl_choices(df_writer_t *w,
    const df_field_t *field);
static const char *df_schema_ddl_and(df_writer_t *w);


const ngx_str_t  df_schema_ddl_primary = ngx_string("pkey");

const ngx_str_t  df_schema_ddl_touch_schema =
    ngx_string("CREATE SCHEMA dataflow");

/* the transaction's time, as the default of created_at has it */

const ngx_str_t  df_schema_ddl_touch_function = ngx_string(
    "CREATE FUNCTION dataflow.touch_updated_at() RETURNS trigger"
    " LANGUAGE plpgsql AS $$ BEGIN"
    " NEW.updated_at := pg_catalog.now(); RETURN NEW; "
    "END $$");


/* names */

ngx_str_t
df_schema_ddl_name(ngx_pool_t *pool, const df_model_t *model,
    const ngx_str_t *object, const char *suffix)
{
    size_t     len;
    u_char     buf[DF_DDL_NAME_BUF];
    ngx_str_t  name;

    len = df_schema_ddl_name_print(buf, model, object, suffix);

    if (df_str_copy(pool, &name, buf, len) != NGX_OK) {
        ngx_str_null(&name);
    }

    return name;
}


/* a name that is too long ends with a hash of the whole of it */

static size_t
df_schema_ddl_name_print(u_char *buf, const df_model_t *model,
    const ngx_str_t *object, const char *suffix)
{
    u_char    *p;
    uint32_t   hash;

    p = ngx_snprintf(buf, DF_DDL_NAME_BUF, "%V_%V%s", &model->table, object,
                     suffix);

    if (p - buf > DF_DDL_NAME_MAX) {
        hash = ngx_crc32_long(buf, p - buf);
        p = ngx_sprintf(buf + DF_DDL_NAME_MAX - 9, "_%08xD", hash);
    }

    return p - buf;
}


static ngx_uint_t
df_schema_ddl_name_is(const ngx_str_t *name, const df_model_t *model,
    const ngx_str_t *object, const char *suffix)
{
    size_t  len;
    u_char  buf[DF_DDL_NAME_BUF];

    len = df_schema_ddl_name_print(buf, model, object, suffix);

    return len == name->len && ngx_memcmp(buf, name->data, len) == 0;
}


df_field_t *
df_schema_constraint_field(const df_model_t *model, const ngx_str_t *constraint)
{
    ngx_uint_t      i;
    df_field_t     *field;
    df_index_t     *index;
    df_relation_t  *relation;

    field = model->fields.elts;

    for (i = 0; i < model->fields.nelts; i++) {
        if (df_schema_ddl_name_is(constraint, model, &field[i].name, "_check")
            || df_schema_ddl_name_is(constraint, model, &field[i].name, "_key"))
        {
            return &field[i];
        }
    }

    relation = model->relations.elts;

    for (i = 0; i < model->relations.nelts; i++) {
        if (df_schema_ddl_name_is(constraint, model, &relation[i].name,
                                  "_fkey"))
        {
            return relation[i].field;
        }
    }

    index = model->indexes.elts;

    for (i = 0; i < model->indexes.nelts; i++) {
        if (index[i].fields.nelts == 1
            && index[i].name.len == constraint->len
            && ngx_memcmp(index[i].name.data, constraint->data,
                          constraint->len)
               == 0)
        {
            return *(df_field_t **) index[i].fields.elts;
        }
    }

    if (df_schema_ddl_name_is(constraint, model, &df_schema_ddl_primary, "")) {
        return model->key;
    }

    return NULL;
}


/* pieces */

/* standard_conforming_strings is on: only the quote is special */

ngx_str_t
df_schema_ddl_literal(ngx_pool_t *pool, const ngx_str_t *text)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   literal;

    p = ngx_pnalloc(pool, 2 * text->len + sizeof("''"));
    if (p == NULL) {
        ngx_str_null(&literal);
        return literal;
    }

    literal.data = p;

    *p++ = '\'';

    for (i = 0; i < text->len; i++) {
        if (text->data[i] == '\'') {
            *p++ = '\'';
        }

        *p++ = text->data[i];
    }

    *p++ = '\'';
    *p = '\0';

    literal.len = p - literal.data;

    return literal;
}


ngx_str_t
df_schema_ddl_type(ngx_pool_t *pool, const df_field_t *field)
{
    const char       *array;
    const ngx_str_t  *sql;

    sql = &field->type->sql;
    array = field->array ? "[]" : "";

    if (field->type->kind == DF_VARCHAR) {
        return df_str_printf(pool, "%V(%ui)%s", sql, field->length, array);
    }

    if (field->type->kind == DF_NUMERIC && field->precision) {
        return df_str_printf(pool, "%V(%ui,%ui)%s", sql, field->precision,
                             field->scale, array);
    }

    return df_str_printf(pool, "%V%s", sql, array);
}


/* $sub and $tenant are known with a request only */

ngx_str_t
df_schema_ddl_default(ngx_pool_t *pool, const df_field_t *field)
{
    ngx_str_t  none = ngx_null_string;

    switch (field->default_kind) {

    case DF_DEFAULT_LITERAL:
        return df_schema_ddl_literal(pool, &field->default_text);

    case DF_DEFAULT_NOW:
        return df_str_printf(pool, "now()");

    case DF_DEFAULT_UUID:
        return df_str_printf(pool, "gen_random_uuid()");

    default:
        return none;
    }
}


ngx_str_t
df_schema_ddl_column(ngx_pool_t *pool, const df_field_t *field,
    ngx_uint_t not_null)
{
    ngx_str_t  type, value;

    type = df_schema_ddl_type(pool, field);

    if (field->identity) {
        return df_str_printf(pool, "%V %V GENERATED BY DEFAULT AS IDENTITY",
                             &field->quoted, &type);
    }

    value = df_schema_ddl_default(pool, field);

    return df_str_printf(pool, "%V %V%s%s%V", &field->quoted, &type,
                         not_null ? " NOT NULL" : "",
                         value.len ? " DEFAULT " : "", &value);
}


/* what CHECK asks of a field; an empty string when nothing is asked */

ngx_int_t
df_schema_ddl_check(ngx_pool_t *pool, const df_field_t *field,
    ngx_str_t *expression)
{
    ngx_str_t    subject;
    df_writer_t  w;

    if (df_writer_init(&w, pool, 128) != NGX_OK) {
        return NGX_ERROR;
    }

    /* bounds of a text are bounds of its length */

    subject = field->quoted;

    if (field->type->flags & DF_TYPE_TEXT) {
        subject = df_str_printf(pool, "char_length(%V)", &field->quoted);
    }

    if (df_schema_ddl_compare(&w, &subject, ">=", &field->min) != NGX_OK
        || df_schema_ddl_compare(&w, &subject, "<=", &field->max) != NGX_OK
        || df_schema_ddl_compare(&w, &field->quoted, "~", &field->pattern)
           != NGX_OK
        || df_schema_ddl_choices(&w, field) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_text(&w, expression);
}


/* an empty operand asks nothing */

static ngx_int_t
df_schema_ddl_compare(df_writer_t *w, const ngx_str_t *subject,
    const char *operator, const ngx_str_t *operand)
{
    ngx_str_t  literal;

    if (operand->len == 0) {
        return NGX_OK;
    }

    literal = df_schema_ddl_literal(w->pool, operand);

    return df_writer_printf(w, "%s%V %s %V", df_schema_ddl_and(w), subject,
                            operator, &literal);
}


static ngx_int_t
df_schema_ddl_choices(df_writer_t *w, const df_field_t *field)
{
    ngx_str_t   *choice, literal;
    ngx_uint_t   i;

    if (field->choices == NULL) {
        return NGX_OK;
    }

    if (df_writer_printf(w, "%s%V IN (", df_schema_ddl_and(w), &field->quoted)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    choice = field->choices->elts;

    for (i = 0; i < field->choices->nelts; i++) {
        literal = df_schema_ddl_literal(w->pool, &choice[i]);

        if (df_writer_printf(w, "%s%V", i ? ", " : "", &literal) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_writer_add(w, ")", 1);
}


static const char *
df_schema_ddl_and(df_writer_t *w)
{
    return df_writer_length(w) ? " AND " : "";
}


/* statements */

ngx_str_t
df_schema_ddl_table(ngx_pool_t *pool, const df_model_t *model)
{
    ngx_str_t          text, name, column;
    ngx_uint_t         i;
    df_writer_t        w;
    const df_field_t  *field;

    ngx_str_null(&text);

    if (df_writer_init(&w, pool, 512) != NGX_OK
        || df_writer_printf(&w, "CREATE TABLE %V (", &model->quoted) != NGX_OK)
    {
        return text;
    }

    for (i = 0; i < model->fields.nelts; i++) {
        field = df_schema_field_at(model, i);
        column = df_schema_ddl_column(pool, field, field->not_null);

        if (df_writer_printf(&w, "%V, ", &column) != NGX_OK) {
            return text;
        }
    }

    name = df_schema_ddl_name(pool, model, &df_schema_ddl_primary, "");

    if (df_writer_printf(&w, "CONSTRAINT \"%V\" PRIMARY KEY (%V))", &name,
                         &model->key->quoted)
        != NGX_OK
        || df_writer_text(&w, &text) != NGX_OK)
    {
        ngx_str_null(&text);
    }

    return text;
}


ngx_str_t
df_schema_ddl_index(ngx_pool_t *pool, const df_model_t *model,
    const df_index_t *index)
{
    ngx_str_t  columns;

    columns = df_schema_ddl_columns(pool, index, "\"");

    return df_str_printf(pool, "CREATE %sINDEX \"%V\" ON %V (%V)%s%V",
                         index->unique ? "UNIQUE " : "", &index->name,
                         &model->quoted, &columns,
                         index->where_sql.len ? " WHERE " : "",
                         &index->where_sql);
}


ngx_str_t
df_schema_ddl_columns(ngx_pool_t *pool, const df_index_t *index,
    const char *quote)
{
    ngx_str_t     text;
    ngx_uint_t    i;
    df_field_t  **field;
    df_writer_t   w;

    ngx_str_null(&text);

    if (df_writer_init(&w, pool, 128) != NGX_OK) {
        return text;
    }

    field = index->fields.elts;

    for (i = 0; i < index->fields.nelts; i++) {
        if (df_writer_printf(&w, "%s%s%V%s", i ? "," : "", quote,
                             &field[i]->name, quote)
            != NGX_OK)
        {
            return text;
        }
    }

    (void) df_writer_text(&w, &text);

    return text;
}
