
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: expressions, in infix and in JSON, from their text to SQL.  The
 * tree keeps its bounds, what is checked has a type, and no byte of the text
 * is in the SQL, but as a literal where literals are asked for.
 */


#include "fuzz_model.h"
#include "query/expr.h"


typedef struct {
    ngx_pool_t    *pool;
    df_request_t   request;
    df_scope_t     scope;
    df_problem_t   problem;
    df_place_t     place;
} fuzz_expr_t;


static void fuzz_expr_init(fuzz_expr_t *fuzz, ngx_pool_t *pool);
static void fuzz_expr_outputs(fuzz_expr_t *fuzz);
static void fuzz_expr_list(fuzz_expr_t *fuzz, const ngx_str_t *text);
static void fuzz_expr_check(fuzz_expr_t *fuzz, df_expr_t *expr,
    ngx_uint_t allow);
static void fuzz_expr_compile(fuzz_expr_t *fuzz, const df_expr_t *expr);
static void fuzz_expr_constant(fuzz_expr_t *fuzz, const ngx_str_t *text);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON            *node;
    ngx_int_t         rc;
    ngx_str_t         text;
    ngx_uint_t        how;
    df_expr_t        *expr;
    ngx_pool_t       *pool;
    fuzz_expr_t       fuzz;
    df_json_error_t   error;

    if (size == 0) {
        return 0;
    }

    pool = ngx_shim_pool();
    fuzz_expr_init(&fuzz, pool);

    how = data[0];
    text.data = (u_char *) data + 1;
    text.len = size - 1;

    if (how % 4 == 2) {
        fuzz_expr_list(&fuzz, &text);
        goto done;
    }

    if (how % 4 == 3) {
        fuzz_expr_constant(&fuzz, &text);
        goto done;
    }

    if (how % 4 == 1) {
        node = df_json_parse(pool, &text, &error);

        if (node == NULL) {
            goto done;
        }

        rc = df_expr_read(pool, node, &fuzz.place, &expr, &fuzz.problem);

    } else {
        rc = df_expr_parse(pool, &text, &fuzz.place, &expr, &fuzz.problem);
    }

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&fuzz.problem);

    } else {
        ngx_shim_check(rc == NGX_OK);
        fuzz_expr_check(&fuzz, expr, (how & 4) ? DF_EXPR_ROW
                                               : DF_EXPR_AGGREGATED);
    }

done:

    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_expr_init(fuzz_expr_t *fuzz, ngx_pool_t *pool)
{
    ngx_uint_t    i;
    df_param_t   *param;
    df_value_t   *values;
    ngx_array_t  *params;

    static const df_kind_t  kinds[] = { DF_TEXT, DF_NUMERIC, DF_TEXT };

    ngx_memzero(fuzz, sizeof(fuzz_expr_t));

    fuzz->pool = pool;
    ngx_str_set(&fuzz->place.parameter, "where");

    ngx_shim_check(df_problem_init(&fuzz->problem, pool) == NGX_OK);
    ngx_shim_check(df_query_request_init(&fuzz->request, pool,
                                         fuzz_model_create(pool), DF_LIST)
                   == NGX_OK);

    params = ngx_array_create(pool, 3, sizeof(df_param_t));
    values = ngx_pcalloc(pool, 3 * sizeof(df_value_t));

    if (params == NULL || values == NULL) {
        abort();
    }

    for (i = 0; i < 3; i++) {
        param = ngx_array_push(params);
        ngx_memzero(param, sizeof(df_param_t));

        param->field.name = df_str_printf(pool, "p%ui", i);
        param->field.type = df_schema_type_of(kinds[i]);
        param->field.array = (i == 2);
        param->index = i;

        ngx_str_set(&values[i].text, "1");
    }

    values[0].null = 1;

    df_query_scope(&fuzz->scope, &fuzz->request, &fuzz->problem);
    fuzz->scope.params = params;
    fuzz->request.params = values;

    fuzz_expr_outputs(fuzz);
}


/* what is grouped by: "f_text" and "f_integer + 1" */

static void
fuzz_expr_outputs(fuzz_expr_t *fuzz)
{
    ngx_uint_t    i;
    ngx_array_t  *outputs;
    df_output_t  *output;

    static const ngx_str_t  texts[] = {
        ngx_string("f_text"), ngx_string("f_integer + 1"),
        ngx_string("f_json.a.b")
    };

    outputs = ngx_array_create(fuzz->pool, 3, sizeof(df_output_t));
    if (outputs == NULL) {
        abort();
    }

    for (i = 0; i < 3; i++) {
        output = ngx_array_push(outputs);
        ngx_memzero(output, sizeof(df_output_t));

        output->name = df_str_printf(fuzz->pool, "o%ui", i);
        output->group = 1;

        ngx_shim_check(df_expr_parse(fuzz->pool, &texts[i], &fuzz->place,
                                     &output->expr, &fuzz->problem)
                       == NGX_OK);
        ngx_shim_check(df_expr_check(&fuzz->scope, &output->expr, DF_EXPR_ROW)
                       == NGX_OK);
    }

    fuzz->scope.outputs = outputs;
}


static void
fuzz_expr_list(fuzz_expr_t *fuzz, const ngx_str_t *text)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    ngx_array_t       named;
    df_expr_named_t  *item;

    ngx_shim_check(ngx_array_init(&named, fuzz->pool, 4,
                                  sizeof(df_expr_named_t))
                   == NGX_OK);

    rc = df_expr_parse_list(fuzz->pool, text, &fuzz->place, &named,
                            &fuzz->problem);

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&fuzz->problem);
        return;
    }

    ngx_shim_check(rc == NGX_OK);

    item = named.elts;

    for (i = 0; i < named.nelts; i++) {
        ngx_shim_check(item[i].name.len == 0
                       || df_conf_is_name(&item[i].name));

        fuzz_expr_check(fuzz, item[i].expr, DF_EXPR_AGGREGATED);

        if (fuzz->problem.code != DF_PROBLEM_NONE) {
            return;
        }
    }
}


static ngx_int_t
fuzz_expr_visit(const df_expr_t *expr, void *data)
{
    ngx_uint_t  *nodes = data;

    (*nodes)++;

    ngx_shim_check(expr->kind != DF_EXPR_NAME);
    ngx_shim_check(expr->kind == DF_EXPR_LITERAL || expr->type != NULL);
    ngx_shim_check(expr->kind != DF_EXPR_FIELD || !expr->ref.field->hidden);
    ngx_shim_check(expr->predicate == NULL || expr->predicate->op != NULL);

    return NGX_OK;
}


static void
fuzz_expr_check(fuzz_expr_t *fuzz, df_expr_t *expr, ngx_uint_t allow)
{
    ngx_int_t        rc;
    ngx_str_t        name;
    ngx_uint_t       nodes;
    df_writer_t      w;
    df_predicate_t  *predicate;

    rc = df_expr_check(&fuzz->scope, &expr, allow);

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&fuzz->problem);
        return;
    }

    ngx_shim_check(rc == NGX_OK);

    nodes = 0;
    ngx_shim_check(df_expr_walk(expr, fuzz_expr_visit, &nodes) == NGX_OK);
    ngx_shim_check(nodes <= 3 * DF_EXPR_MAX_NODES + DF_FILTER_MAX_LIST);
    ngx_shim_check(df_expr_equal(expr, expr));
    ngx_shim_check(df_expr_name(fuzz->pool, expr, &name) == NGX_OK);
    ngx_shim_check(df_conf_is_name(&name));
    ngx_shim_check(df_writer_init(&w, fuzz->pool, 64) == NGX_OK);
    ngx_shim_check(df_expr_put(&w, expr) == NGX_OK);

    fuzz_expr_compile(fuzz, expr);

    rc = df_expr_predicate(&fuzz->scope, expr, &predicate);

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&fuzz->problem);
        return;
    }

    ngx_shim_check(rc == NGX_OK);
}


/* twice in one statement, the same text */

static void
fuzz_expr_compile(fuzz_expr_t *fuzz, const df_expr_t *expr)
{
    size_t         half;
    ngx_str_t      sql;
    ngx_uint_t     n;
    df_compile_t   c;

    ngx_memzero(&c, sizeof(df_compile_t));
    c.params = fuzz->request.params;

    ngx_shim_check(df_compile_init(&c, fuzz->pool, &fuzz->problem) == NGX_OK);
    ngx_shim_check(df_expr_compile(&c, expr) == NGX_OK);

    half = (size_t) df_writer_length(&c.sql);
    n = c.types.nelts;

    ngx_shim_check(df_expr_compile(&c, expr) == NGX_OK);
    ngx_shim_check(df_writer_text(&c.sql, &sql) == NGX_OK);

    fuzz_model_check_sql(&sql);

    ngx_shim_check(c.types.nelts == c.values.nelts && c.types.nelts == n);
    ngx_shim_check(sql.len == 2 * half
                   && ngx_memcmp(sql.data, sql.data + half, half) == 0);
}


/* literals are in quotes, and nothing else of the text is there */

static void
fuzz_expr_constant(fuzz_expr_t *fuzz, const ngx_str_t *text)
{
    size_t      i;
    u_char     *d;
    ngx_int_t   rc;
    ngx_str_t   sql;
    ngx_uint_t  escapes;

    rc = df_expr_constant(fuzz->pool, fuzz->request.model, text, &sql,
                          &fuzz->problem);

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&fuzz->problem);
        return;
    }

    ngx_shim_check(rc == NGX_OK);

    /* without the insides of literals, as PostgreSQL reads them */

    d = sql.data;

    for (i = 0; i < sql.len; i++) {
        ngx_shim_check(sql.data[i] != '$');

        *d++ = sql.data[i];

        if (sql.data[i] != '\'') {
            continue;
        }

        escapes = (i && sql.data[i - 1] == 'E');

        for (i++; i < sql.len; i++) {

            if (escapes && sql.data[i] == '\\') {
                i++;

            } else if (sql.data[i] == '\'') {
                if (i + 1 == sql.len || sql.data[i + 1] != '\'') {
                    break;
                }

                i++;

            } else {
                ngx_shim_check(escapes || sql.data[i] != '\\');
            }
        }

        ngx_shim_check(i < sql.len);
        *d++ = '\'';
    }

    sql.len = d - sql.data;

    fuzz_model_check_sql(&sql);
}
