
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The operators of an update: what each is called, which fields take it and
 * how it is said in SQL.  Their operands are read where the body is.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_uint_t df_query_update_fits(const df_update_operator_t *op,
    const df_field_t *field);
static ngx_str_t *df_query_update_name_at(void *list, ngx_uint_t i);


/* $merge replaces the members given and keeps the others; what is no object
   is taken for an empty one */

static df_update_operator_t  df_query_update_operators[] = {
    { .name = ngx_string("$inc"), .types = DF_TYPE_NUMBER, .scale = 1,
      .sql = "%f + %v" },
    { .name = ngx_string("$dec"), .types = DF_TYPE_NUMBER, .scale = 1,
      .sql = "%f - %v" },
    { .name = ngx_string("$mul"), .types = DF_TYPE_NUMBER,
      .sql = "%f * %v" },
    { .name = ngx_string("$min"), .types = DF_TYPE_ORDERED, .constrain = 1,
      .sql = "LEAST(%f, %v)" },
    { .name = ngx_string("$max"), .types = DF_TYPE_ORDERED, .constrain = 1,
      .sql = "GREATEST(%f, %v)" },
    { .name = ngx_string("$now"), .types = DF_TYPE_TIME, .flag = 1,
      .sql = "%n" },
    { .name = ngx_string("$append"), .on_array = 1, .constrain = 1,
      .sql = "array_append(%f, %v)" },
    { .name = ngx_string("$remove"), .on_array = 1,
      .sql = "array_remove(%f, %v)" },
    { .name = ngx_string("$merge"), .on_json = 1,
      .sql = "CASE jsonb_typeof(%f) WHEN 'object' THEN %f "
             "ELSE '{}' END || %v" }
};

#define DF_QUERY_UPDATE_OPERATORS                                             \
    (sizeof(df_query_update_operators) / sizeof(df_update_operator_t))


const df_update_operator_t *
df_query_update_operator(const df_field_t *field, const ngx_str_t *name)
{
    ngx_uint_t             i;
    df_update_operator_t  *op;

    for (i = 0; i < DF_QUERY_UPDATE_OPERATORS; i++) {
        op = &df_query_update_operators[i];

        if (df_query_same(&op->name, name)
            && df_query_update_fits(op, field))
        {
            return op;
        }
    }

    return NULL;
}


const df_update_operator_t *
df_query_update_at(const df_field_t *field, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_QUERY_UPDATE_OPERATORS; i++) {
        if (df_query_update_fits(&df_query_update_operators[i], field)
            && n-- == 0)
        {
            return &df_query_update_operators[i];
        }
    }

    return NULL;
}


static ngx_uint_t
df_query_update_fits(const df_update_operator_t *op, const df_field_t *field)
{
    if (field->array) {
        return op->on_array;
    }

    if (field->type->kind == DF_JSON) {
        return op->on_json;
    }

    return (op->types & field->type->flags) != 0;
}


ngx_str_t *
df_query_update_nearest(const df_field_t *field, const ngx_str_t *name)
{
    return df_nearest(name, (void *) field, DF_QUERY_UPDATE_OPERATORS,
                      df_query_update_name_at);
}


ngx_str_t
df_query_update_names(ngx_pool_t *pool, const df_field_t *field)
{
    ngx_str_t    names, *name;
    ngx_uint_t   i;
    df_writer_t  w;

    ngx_str_set(&names, "none");

    if (df_writer_init(&w, pool, 128) != NGX_OK) {
        return names;
    }

    for (i = 0; i < DF_QUERY_UPDATE_OPERATORS; i++) {
        name = df_query_update_name_at((void *) field, i);

        if (name
            && df_writer_printf(&w, "%s%V", df_writer_length(&w) ? ", " : "",
                                name)
               != NGX_OK)
        {
            return names;
        }
    }

    if (df_writer_length(&w)) {
        (void) df_writer_text(&w, &names);
    }

    return names;
}


/* list: the field that takes them */

static ngx_str_t *
df_query_update_name_at(void *list, ngx_uint_t i)
{
    df_update_operator_t  *op;

    op = &df_query_update_operators[i];

    return df_query_update_fits(op, list) ? &op->name : NULL;
}
