
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: the body of create, update and replace, from its text to the
 * statement that writes it.  A body is refused with a whole problem, or no
 * field is written twice, none that must not be, and no byte of the body is in
 * the statement.
 */


#include "fuzz_model.h"


static void fuzz_body_parse(ngx_pool_t *pool, const cJSON *body,
    df_operation_t op);
static void fuzz_body_check(const df_request_t *r);
static void fuzz_body_compile(df_request_t *r);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON            *body;
    ngx_str_t         text;
    ngx_pool_t       *pool;
    df_json_error_t   error;

    pool = ngx_shim_pool();

    text.data = (u_char *) data;
    text.len = size;

    body = df_json_parse(pool, &text, &error);

    if (body != NULL) {
        fuzz_body_parse(pool, body, DF_CREATE);
        fuzz_body_parse(pool, body, DF_UPDATE);
        fuzz_body_parse(pool, body, DF_REPLACE);
    }

    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_body_parse(ngx_pool_t *pool, const cJSON *body, df_operation_t op)
{
    ngx_int_t       rc;
    ngx_str_t       text;
    df_field_t     *field;
    df_model_t     *model;
    df_problem_t    problem;
    df_request_t    r;
    df_database_t   database;

    static const ngx_str_t  instance = ngx_string("/things");

    ngx_memzero(&database, sizeof(df_database_t));

    model = fuzz_model_create(pool);
    model->database = &database;
    model->key->generated = 1;

    field = df_schema_field_at(model, 1);
    field->readonly = 1;

    field = df_schema_field_at(model, 3);
    field->not_null = 1;

    ngx_shim_check(df_problem_init(&problem, pool) == NGX_OK);
    ngx_shim_check(df_query_request_init(&r, pool, model, op) == NGX_OK);

    ngx_str_set(&r.key.text, "1");

    rc = df_query_parse_values(&r, body, NULL, &problem);

    if (rc == NGX_DECLINED) {
        ngx_shim_check(df_problem_status(&problem) == 422);
        ngx_shim_check(problem.items.nelts > 0);
        ngx_shim_check(df_problem_print(&problem, &instance, &text)
                       == NGX_OK);
        return;
    }

    ngx_shim_check(rc == NGX_OK && problem.code == DF_PROBLEM_NONE);

    fuzz_body_check(&r);
    fuzz_body_compile(&r);
}


static void
fuzz_body_check(const df_request_t *r)
{
    ngx_uint_t              i;
    u_char                  seen[FUZZ_MODEL_FIELDS];
    const df_assignment_t  *a;

    ngx_memzero(seen, sizeof(seen));

    a = r->values.elts;

    for (i = 0; i < r->values.nelts; i++) {
        ngx_shim_check(!seen[a[i].field->index]++);
        ngx_shim_check(!a[i].field->generated && !a[i].field->readonly);
        ngx_shim_check(a[i].op == NULL || r->op == DF_UPDATE);
        ngx_shim_check(!a[i].use_default || r->op == DF_REPLACE);

        if (a[i].op == NULL && !a[i].use_default && !a[i].value.null) {
            ngx_shim_check(a[i].value.text.data[a[i].value.text.len] == '\0');
        }
    }

    a = r->expected.elts;

    for (i = 0; i < r->expected.nelts; i++) {
        ngx_shim_check(!seen[a[i].field->index]++);
        ngx_shim_check(r->op == DF_REPLACE);
        ngx_shim_check(a[i].field->generated || a[i].field->readonly);
    }
}


static void
fuzz_body_compile(df_request_t *r)
{
    ngx_uint_t      i;
    df_problem_t    problem;
    df_admitted_t  *admitted;
    df_compiled_t   compiled;

    ngx_shim_check(df_problem_init(&problem, r->pool) == NGX_OK);
    ngx_shim_check(df_query_admit(r, &fuzz_model_principal, &fuzz_model_rules,
                                  0, &admitted, &problem)
                   == NGX_OK);
    ngx_shim_check(df_query_compile(admitted, r->pool, 0, &compiled, &problem)
                   == NGX_OK);

    for (i = 0; i < compiled.nstatements; i++) {
        fuzz_model_check_sql(&compiled.statements[i].text);
    }
}
