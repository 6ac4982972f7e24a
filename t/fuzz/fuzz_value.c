
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: values of every type, alone and in arrays.  The first byte
 * chooses the type, the others are a literal, a JSON text and a column in
 * binary form.  What is accepted is a parameter that PostgreSQL can take, and
 * no column is printed longer than its bound or as anything but JSON.
 */


#include "ngx_shim.h"
#include "schema/schema.h"


static void fuzz_value_field(df_field_t *field, ngx_array_t *choices,
    ngx_uint_t choice);
static void fuzz_value_text(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text);
static void fuzz_value_json(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text);
static void fuzz_value_parsed(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value);
static void fuzz_value_column(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t    text, *choice;
    df_field_t   field;
    ngx_pool_t  *pool;
    ngx_array_t  choices;

    if (size == 0) {
        return 0;
    }

    pool = ngx_shim_pool();

    ngx_shim_check(ngx_array_init(&choices, pool, 1, sizeof(ngx_str_t))
                   == NGX_OK);

    choice = ngx_array_push(&choices);
    ngx_shim_check(choice != NULL);
    ngx_str_set(choice, "1");

    fuzz_value_field(&field, &choices, data[0]);

    text.data = (u_char *) data + 1;
    text.len = size - 1;

    fuzz_value_text(&field, pool, &text);
    fuzz_value_json(&field, pool, &text);
    fuzz_value_column(&field, pool, &text);

    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_value_field(df_field_t *field, ngx_array_t *choices, ngx_uint_t choice)
{
    ngx_memzero(field, sizeof(df_field_t));

    field->type = df_schema_type_of(choice % DF_KINDS);
    choice /= DF_KINDS;

    field->array = choice & 1;

    if (choice & 2) {
        field->not_null = 1;
        field->length = 5;
        ngx_str_set(&field->min, "1");
        ngx_str_set(&field->max, "20");

        if (field->type->kind == DF_NUMERIC) {
            field->precision = 5;
            field->scale = 2;
        }
    }

    if (choice & 4) {
        field->choices = choices;
    }
}


static void
fuzz_value_text(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text)
{
    ngx_int_t         rc;
    df_value_t        value;
    df_value_error_t  error;

    ngx_memzero(&error, sizeof(df_value_error_t));

    rc = df_schema_parse_text(field, pool, text, 0, &value, &error);

    if (rc == NGX_OK) {
        fuzz_value_parsed(field, pool, &value);

    } else {
        ngx_shim_check(rc == NGX_DECLINED);
        ngx_shim_check(error.code && error.expected.len);
    }
}


static void
fuzz_value_json(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text)
{
    cJSON            *node;
    ngx_int_t         rc;
    df_value_t        value;
    df_json_error_t   reason;
    df_value_error_t  error;

    node = df_json_parse(pool, text, &reason);

    if (node == NULL) {
        return;
    }

    ngx_memzero(&error, sizeof(df_value_error_t));

    rc = df_schema_parse_json(field, pool, node, 0, 1, &value, &error);

    if (rc == NGX_OK) {
        fuzz_value_parsed(field, pool, &value);

    } else {
        ngx_shim_check(rc == NGX_DECLINED);
        ngx_shim_check(error.code && error.expected.len);
    }
}


static void
fuzz_value_parsed(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value)
{
    df_value_t        list;
    const ngx_str_t  *text;

    text = &value->text;

    if (value->null) {
        ngx_shim_check(text->data == NULL);
        return;
    }

    ngx_shim_check(text->data[text->len] == '\0');
    ngx_shim_check(strlen((char *) text->data) == text->len);
    ngx_shim_check(df_utf8_check(text->data, text->len) == NGX_OK);

    if (field->type->compare && !field->array) {
        ngx_shim_check(field->type->compare(text, text) == 0);
    }

    ngx_shim_check(df_schema_array(pool, value, 1, &list) == NGX_OK);
    ngx_shim_check(list.text.len >= text->len + 4);
}


static void
fuzz_value_column(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *text)
{
    size_t            bound;
    u_char           *p, *last;
    ngx_str_t         json;
    df_json_error_t   reason;

    bound = df_schema_text_bound(field, text->data, text->len);
    p = ngx_pnalloc(pool, bound + 1);

    last = df_schema_text(field, p, text->data, text->len);
    ngx_shim_check((size_t) (last - p) <= bound);

    bound = df_schema_json_bound(field, text->data, text->len);
    p = ngx_pnalloc(pool, bound + 1);

    last = df_schema_json(field, p, text->data, text->len);
    ngx_shim_check((size_t) (last - p) <= bound);

    /* what jsonb holds is not looked at, it is JSON already */

    if (field->type->kind != DF_JSON) {
        json.data = p;
        json.len = last - p;
        ngx_shim_check(df_json_parse(pool, &json, &reason) != NULL);
    }
}
