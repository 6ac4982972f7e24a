
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: reports.  The lines of the input are a filter, another one, a
 * group, a value, having, sort, and a query string.  What nginx.conf is refused
 * for ends it; else the report is asked twice, as requests share what it is
 * made of: both have the same statement, and none of the query string in it.
 */


#include "fuzz_model.h"
#include "query/report.h"


#define FUZZ_REPORT_LINES  7


static void fuzz_report_make(ngx_pool_t *pool, df_report_t *report,
    ngx_str_t *lines);
static void fuzz_report_param(df_report_t *report, const char *name,
    df_kind_t kind, df_default_t value, const char *text);
static void fuzz_report_clause(df_report_t *report, ngx_array_t *clauses,
    const char *name, const ngx_str_t *text);
static ngx_int_t fuzz_report_ask(ngx_pool_t *pool, df_analytics_t *analytics,
    const ngx_str_t *args, ngx_str_t *sql);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t            rc;
    ngx_str_t            lines[FUZZ_REPORT_LINES], rest, first, second;
    ngx_log_t            log;
    ngx_uint_t           i;
    ngx_conf_t           cf;
    ngx_pool_t          *pool;
    df_model_t          *model, **models;
    df_report_t          report, **reports;
    df_analytics_t       analytics;
    df_report_view_t     view, **views;
    df_schema_conf_t     schema;

    pool = ngx_shim_pool();
    model = fuzz_model_create(pool);

    rest.data = (u_char *) data;
    rest.len = size;

    for (i = 0; i < FUZZ_REPORT_LINES; i++) {
        if (!df_query_word_next(&rest, '\n', &lines[i])) {
            ngx_str_set(&lines[i], "");
        }

        /* words of nginx.conf have no NUL */

        if (ngx_strlchr(lines[i].data, lines[i].data + lines[i].len, '\0')) {
            ngx_destroy_pool(pool);
            return 0;
        }
    }

    ngx_memzero(&log, sizeof(ngx_log_t));
    ngx_memzero(&cf, sizeof(ngx_conf_t));
    ngx_memzero(&schema, sizeof(df_schema_conf_t));
    ngx_memzero(&analytics, sizeof(df_analytics_t));
    ngx_memzero(&view, sizeof(df_report_view_t));

    cf.pool = pool;
    cf.temp_pool = pool;
    cf.log = &log;

    ngx_shim_check(ngx_array_init(&schema.models, pool, 1, sizeof(void *))
                   == NGX_OK
                   && ngx_array_init(&analytics.reports, pool, 1,
                                     sizeof(void *)) == NGX_OK
                   && ngx_array_init(&analytics.views, pool, 1,
                                     sizeof(void *)) == NGX_OK
                   && ngx_array_init(&view.reports, pool, 1, sizeof(void *))
                      == NGX_OK
                   && ngx_array_init(&view.params, pool, 4,
                                     sizeof(df_report_param_t)) == NGX_OK);

    models = ngx_array_push(&schema.models);
    *models = model;

    reports = ngx_array_push(&analytics.reports);
    *reports = &report;

    reports = ngx_array_push(&view.reports);
    *reports = &report;

    views = ngx_array_push(&analytics.views);
    *views = &view;

    ngx_str_set(&view.name, "r");
    analytics.rules = fuzz_model_rules;

    fuzz_report_make(pool, &report, lines);

    if (df_report_finish(&cf, &analytics, &schema) == NGX_OK) {
        rc = fuzz_report_ask(pool, &analytics, &lines[6], &first);

        ngx_shim_check(fuzz_report_ask(pool, &analytics, &lines[6], &second)
                       == rc);

        if (rc == NGX_OK) {
            ngx_shim_check(first.len == second.len
                           && ngx_memcmp(first.data, second.data, first.len)
                              == 0);
        }
    }

    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_report_make(ngx_pool_t *pool, df_report_t *report, ngx_str_t *lines)
{
    ngx_uint_t    i;
    ngx_array_t  *lists[] = {
        &report->filters, &report->groups, &report->values, &report->having,
        &report->order
    };

    static ngx_str_t  used = ngx_string("f_timestamptz >= $t and f_text = $s "
                                        "or f_integer = $n and f_text in $a");

    ngx_memzero(report, sizeof(df_report_t));

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        ngx_shim_check(ngx_array_init(lists[i], pool, 2,
                                      sizeof(df_report_clause_t)) == NGX_OK);
    }

    ngx_shim_check(ngx_array_init(&report->params, pool, 5,
                                  sizeof(df_param_t)) == NGX_OK);

    ngx_str_set(&report->name, "r");
    ngx_str_set(&report->model_name, "things");

    fuzz_report_param(report, "t", DF_TIMESTAMPTZ, DF_DEFAULT_NOW, NULL);
    fuzz_report_param(report, "s", DF_TEXT, DF_DEFAULT_NONE, NULL);
    fuzz_report_param(report, "n", DF_INTEGER, DF_DEFAULT_LITERAL, "3");
    fuzz_report_param(report, "a", DF_TEXT, DF_DEFAULT_NONE, NULL);

    fuzz_report_clause(report, &report->filters, "", &used);

    for (i = 0; i < 2; i++) {
        if (lines[i].len) {
            fuzz_report_clause(report, &report->filters, "", &lines[i]);
        }
    }

    if (lines[2].len) {
        fuzz_report_clause(report, &report->groups, "", &lines[2]);
    }

    fuzz_report_clause(report, &report->values, "v", &lines[3]);

    if (lines[4].len) {
        fuzz_report_clause(report, &report->having, "", &lines[4]);
    }

    if (lines[5].len) {
        fuzz_report_clause(report, &report->order, "", &lines[5]);
    }
}


static void
fuzz_report_param(df_report_t *report, const char *name, df_kind_t kind,
    df_default_t value, const char *text)
{
    df_param_t  *param;

    param = ngx_array_push(&report->params);

    ngx_memzero(param, sizeof(df_param_t));

    param->index = report->params.nelts - 1;
    param->field.name.data = (u_char *) name;
    param->field.name.len = ngx_strlen(name);
    param->field.type = df_schema_type_of(kind);
    param->field.array = (name[0] == 'a');
    param->field.default_kind = value;

    if (text) {
        param->field.default_text.data = (u_char *) text;
        param->field.default_text.len = ngx_strlen(text);
    }
}


static void
fuzz_report_clause(df_report_t *report, ngx_array_t *clauses,
    const char *name, const ngx_str_t *text)
{
    df_report_clause_t  *clause;

    clause = ngx_array_push(clauses);

    ngx_memzero(clause, sizeof(df_report_clause_t));

    clause->number = report->nclauses++;
    clause->name.data = (u_char *) name;
    clause->name.len = ngx_strlen(name);

    /* as nginx's parser leaves it */

    ngx_shim_check(df_str_copy(report->filters.pool, &clause->text, text->data,
                               text->len) == NGX_OK);
}


static ngx_int_t
fuzz_report_ask(ngx_pool_t *pool, df_analytics_t *analytics,
    const ngx_str_t *args, ngx_str_t *sql)
{
    ngx_int_t                rc;
    ngx_str_t                name, *nearest;
    df_rules_t               rules;
    df_request_t             r;
    df_problem_t             problem;
    df_admitted_t           *admitted;
    df_compiled_t            compiled;
    const df_report_view_t  *view;

    ngx_str_set(&name, "r");
    view = df_report_view(analytics, &name, &nearest);

    ngx_shim_check(view != NULL);
    ngx_shim_check(df_problem_init(&problem, pool) == NGX_OK);
    ngx_memzero(&compiled, sizeof(df_compiled_t));

    rules = df_report_view_at(view, 0)->rules;
    rules.secret = fuzz_model_rules.secret;

    rc = df_report_requests(view, pool, args, &r, &problem);

    if (rc == NGX_OK) {
        rc = df_query_admit(&r, &fuzz_model_principal, &rules, 0, &admitted,
                            &problem);
    }

    if (rc == NGX_OK) {
        rc = df_query_compile(admitted, pool, 0, &compiled, &problem);
    }

    if (rc == NGX_DECLINED) {
        fuzz_model_check_problem(&problem);
        return rc;
    }

    ngx_shim_check(rc == NGX_OK && compiled.nstatements == 1);

    *sql = compiled.statements[0].text;
    fuzz_model_check_sql(sql);

    return NGX_OK;
}
