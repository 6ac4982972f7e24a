
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: the body of a bulk, from its text to the statements that write
 * its records.  A body is refused with a whole problem; or each record has a
 * row in one part that writes it, as long as its arrays, and no byte of the
 * body is in a statement.
 */


#include "fuzz_model.h"
#include "query/bulk.h"


static void fuzz_bulk_run(ngx_pool_t *pool, const cJSON *body);
static df_model_t *fuzz_bulk_model(ngx_pool_t *pool,
    df_database_t *database);
static void fuzz_bulk_compile(df_request_t *r);
static void fuzz_bulk_check(const df_request_t *r,
    const df_bulk_compiled_t *compiled);


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
        fuzz_bulk_run(pool, body);
    }

    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_bulk_run(ngx_pool_t *pool, const cJSON *body)
{
    ngx_int_t       rc;
    ngx_str_t       text;
    df_problem_t    problem;
    df_request_t    r;
    df_database_t   database;

    static const ngx_str_t  instance = ngx_string("/things");

    ngx_memzero(&database, sizeof(df_database_t));

    ngx_shim_check(df_problem_init(&problem, pool) == NGX_OK);
    ngx_shim_check(df_query_request_init(&r, pool,
                                         fuzz_bulk_model(pool, &database),
                                         DF_BULK_CREATE)
                   == NGX_OK);

    rc = df_query_parse_bulk(&r, body, &fuzz_model_rules, &problem);

    if (rc == NGX_DECLINED) {
        ngx_shim_check(df_problem_status(&problem) == 400
                       || df_problem_status(&problem) == 422);
        ngx_shim_check(df_problem_print(&problem, &instance, &text)
                       == NGX_OK);
        return;
    }

    ngx_shim_check(rc == NGX_OK && problem.code == DF_PROBLEM_NONE);
    ngx_shim_check(df_query_is(&r, DF_BULKS));

    fuzz_bulk_compile(&r);
}


/* unique fields and an index of two */

static df_model_t *
fuzz_bulk_model(ngx_pool_t *pool, df_database_t *database)
{
    df_field_t  *field, **slot;
    df_index_t  *index;
    df_model_t  *model;

    model = fuzz_model_create(pool);
    model->database = database;

    df_schema_field_at(model, 1)->unique = 1;
    df_schema_field_at(model, 3)->not_null = 1;
    df_schema_field_at(model, 5)->default_kind = DF_DEFAULT_SUB;
    df_schema_field_at(model, 7)->readonly = 1;

    if (ngx_array_init(&model->indexes, pool, 1, sizeof(df_index_t)) != NGX_OK)
    {
        abort();
    }

    index = ngx_array_push(&model->indexes);
    ngx_memzero(index, sizeof(df_index_t));
    index->unique = 1;

    if (ngx_array_init(&index->fields, pool, 2, sizeof(df_field_t *))
        != NGX_OK)
    {
        abort();
    }

    for (field = df_schema_field_at(model, 15); index->fields.nelts < 2;
         field += 2)
    {
        slot = ngx_array_push(&index->fields);
        *slot = field;
    }

    return model;
}


static void
fuzz_bulk_compile(df_request_t *r)
{
    ngx_uint_t           i;
    df_problem_t         problem;
    df_admitted_t       *admitted;
    df_pg_statement_t   *st;
    df_bulk_compiled_t   compiled;

    ngx_shim_check(df_problem_init(&problem, r->pool) == NGX_OK);
    ngx_shim_check(df_query_admit(r, &fuzz_model_principal, &fuzz_model_rules,
                                  0, &admitted, &problem)
                   == NGX_OK);
    ngx_shim_check(df_bulk_compile(admitted, r->pool, r->bulk->records.elts,
                                   r->bulk->records.nelts, &compiled,
                                   &problem)
                   == NGX_OK);

    st = compiled.statements.elts;

    for (i = 0; i < compiled.statements.nelts; i++) {
        fuzz_model_check_sql(&st[i].text);
        ngx_shim_check(st[i].nparams <= DF_MAX_PARAMETERS);
    }

    fuzz_bulk_check(r, &compiled);
}


static void
fuzz_bulk_check(const df_request_t *r, const df_bulk_compiled_t *compiled)
{
    u_char                  *written;
    ngx_uint_t               i, k;
    const df_bulk_part_t    *part;
    const df_bulk_record_t  *record;

    part = compiled->parts.elts;
    written = ngx_pcalloc(r->pool, r->bulk->nrecords + 1);

    ngx_shim_check(compiled->parts.nelts == compiled->statements.nelts);
    ngx_shim_check(compiled->parts.nelts <= 2 * r->bulk->nrecords + 1);

    if (r->bulk->by_filter) {
        ngx_shim_check(compiled->parts.nelts == 1 && part->records == NULL);
        ngx_shim_check(r->filter != NULL || r->bulk->all);
        return;
    }

    for (i = 0; i < compiled->parts.nelts; i++) {
        ngx_shim_check(part[i].nrecords > 0);

        for (k = 0; k < part[i].nrecords; k++) {
            record = part[i].records[k];

            ngx_shim_check(record->index < r->bulk->nrecords);

            if (part[i].effect != DF_BULK_READS
                || r->op == DF_BULK_UPDATE)
            {
                ngx_shim_check(!written[record->index]++);
            }
        }
    }

    for (i = 0, k = 0; i < r->bulk->nrecords; i++) {
        k += written[i];
    }

    ngx_shim_check(k + r->bulk->refused.nelts == r->bulk->nrecords);
}
