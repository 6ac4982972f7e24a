
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A model for fuzz targets: a field of each type, an array of each type, a
 * hidden one.  The key is a bigint.  "up" leads to another thing, and "downs"
 * back from it.
 */


#ifndef _DF_FUZZ_MODEL_H_INCLUDED_
#define _DF_FUZZ_MODEL_H_INCLUDED_


#include "ngx_shim.h"
#include "query/query_internal.h"


#define FUZZ_MODEL_FIELDS  (2 * DF_KINDS + 3)


static df_field_t *
fuzz_model_add(df_model_t *model, ngx_pool_t *pool, const char *prefix,
    const char *name, df_kind_t kind)
{
    df_field_t  *field;

    field = ngx_array_push(&model->fields);
    if (field == NULL) {
        abort();
    }

    ngx_memzero(field, sizeof(df_field_t));

    field->name = df_str_printf(pool, "%s%s", prefix, name);
    field->quoted = df_str_printf(pool, "\"%V\"", &field->name);
    field->selected = field->quoted;
    field->member = df_str_printf(pool, "\"%V\":", &field->name);
    field->type = df_schema_type_of(kind);
    field->index = model->fields.nelts - 1;

    return field;
}


static void
fuzz_model_relate(df_model_t *model, ngx_pool_t *pool)
{
    df_reverse_t   *reverse;
    df_relation_t  *relation;

    if (ngx_array_init(&model->relations, pool, 1, sizeof(df_relation_t))
        != NGX_OK
        || ngx_array_init(&model->reverses, pool, 1, sizeof(df_reverse_t))
           != NGX_OK)
    {
        abort();
    }

    relation = ngx_array_push(&model->relations);
    ngx_memzero(relation, sizeof(df_relation_t));

    ngx_str_set(&relation->name, "up");
    ngx_str_set(&relation->member, "\"up\":");
    relation->target = model;
    relation->field = fuzz_model_add(model, pool, "", "up_id", DF_BIGINT);

    reverse = ngx_array_push(&model->reverses);
    ngx_memzero(reverse, sizeof(df_reverse_t));

    ngx_str_set(&reverse->name, "downs");
    ngx_str_set(&reverse->member, "\"downs\":");
    ngx_str_set(&reverse->truncated, "\"downs_truncated\":");
    reverse->model = model;
    reverse->relation = relation;
}


static df_model_t *
fuzz_model_create(ngx_pool_t *pool)
{
    ngx_uint_t   i;
    df_field_t  *field;
    df_model_t  *model;
    const char  *name;

    model = ngx_pcalloc(pool, sizeof(df_model_t));

    if (model == NULL
        || ngx_array_init(&model->fields, pool, FUZZ_MODEL_FIELDS,
                          sizeof(df_field_t))
           != NGX_OK)
    {
        abort();
    }

    ngx_str_set(&model->name, "things");
    ngx_str_set(&model->quoted, "\"things\"");
    ngx_str_set(&model->signature, "signature");

    field = fuzz_model_add(model, pool, "", "id", DF_BIGINT);
    field->key = 1;
    field->not_null = 1;
    model->key = field;

    for (i = 0; i < DF_KINDS; i++) {
        name = (const char *) df_schema_type_of(i)->name.data;

        fuzz_model_add(model, pool, "f_", name, i);
        fuzz_model_add(model, pool, "a_", name, i)->array = 1;
    }

    fuzz_model_add(model, pool, "", "secret", DF_TEXT)->hidden = 1;
    fuzz_model_relate(model, pool);

    return model;
}


static const df_principal_t  fuzz_model_principal;

static const df_rules_t  fuzz_model_rules = {
    .expose = DF_EXPOSE_ALL,
    .default_limit = 100,
    .max_limit = 1000,
    .max_offset = 10000,
    .stream = 1,
    .secret = (const u_char *) "01234567890123456789012345678901"
};


/* what a refusal must be, whatever was refused */

static ngx_inline void
fuzz_model_check_problem(const df_problem_t *problem)
{
    ngx_str_t        text, instance;
    df_json_error_t  error;

    ngx_str_set(&instance, "/things");

    ngx_shim_check(problem->code != DF_PROBLEM_NONE);
    ngx_shim_check(df_problem_status(problem) == 400);
    ngx_shim_check(df_problem_print(problem, &instance, &text) == NGX_OK);
    ngx_shim_check(df_json_parse(problem->pool, &text, &error) != NULL);
}


/* no byte of a client is in a statement: the model's names and ours are of
   printable ASCII without these, and quotes and brackets are in pairs */

static ngx_inline void
fuzz_model_check_sql(const ngx_str_t *sql)
{
    size_t      i;
    ngx_int_t   depth;
    ngx_uint_t  single, twice;

    depth = 0;
    single = 0;
    twice = 0;

    for (i = 0; i < sql->len; i++) {
        ngx_shim_check(sql->data[i] >= ' ' && sql->data[i] < 0x7f);
        ngx_shim_check(sql->data[i] != ';' && sql->data[i] != '\\');

        single += (sql->data[i] == '\'');
        twice += (sql->data[i] == '"');
        depth += (sql->data[i] == '(') - (sql->data[i] == ')');

        ngx_shim_check(depth >= 0);
    }

    ngx_shim_check(depth == 0 && single % 2 == 0 && twice % 2 == 0);
}


#endif /* _DF_FUZZ_MODEL_H_INCLUDED_ */
