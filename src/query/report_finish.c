
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Reports when all models are known: what their expressions name is looked up
 * and their types are checked, so that a mistake is found by "nginx -t" and
 * not by who asks for the report.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "query/expr_internal.h"
#include "query/report_internal.h"


typedef struct {
    ngx_conf_t         *cf;
    df_analytics_t     *analytics;
    df_report_t        *report;
    df_scope_t          scope;
    df_problem_t        problem;
    uint32_t            used;       /* bits of the parameters that are */
} df_report_finish_t;


static ngx_int_t df_report_finish_report(ngx_conf_t *cf,
    df_analytics_t *analytics, df_report_t *report, df_schema_conf_t *schema);
static ngx_int_t df_report_finish_model(df_report_finish_t *f,
    df_schema_conf_t *schema);
static ngx_str_t *df_report_finish_model_at(void *list, ngx_uint_t i);
static ngx_int_t df_report_finish_limit(df_report_finish_t *f);
static ngx_int_t df_report_finish_filter(df_report_finish_t *f,
    df_report_clause_t *clause);
static ngx_int_t df_report_finish_values(df_report_finish_t *f);
static ngx_int_t df_report_finish_named(df_report_finish_t *f,
    ngx_array_t *clauses, ngx_array_t *named);
static ngx_int_t df_report_finish_parse(df_report_finish_t *f,
    df_report_clause_t *clause, df_expr_t **expr);
static ngx_int_t df_report_finish_fixed(df_report_finish_t *f);
static ngx_int_t df_report_finish_params(df_report_finish_t *f);
static ngx_int_t df_report_finish_visit(const df_expr_t *expr, void *data);
static ngx_int_t df_report_finish_pattern(const df_expr_t *expr, void *data);
static const df_place_t *df_report_finish_place(df_report_finish_t *f,
    const df_report_clause_t *clause);
static ngx_int_t df_report_finish_refuse(df_report_finish_t *f, ngx_int_t rc);
static const df_report_clause_t *df_report_finish_clause(
    const df_report_t *report, const ngx_str_t *name);


ngx_int_t
df_report_finish(ngx_conf_t *cf, df_analytics_t *analytics,
    df_schema_conf_t *schema)
{
    ngx_uint_t          i;
    df_report_t       **report;
    df_report_view_t  **view;

    report = analytics->reports.elts;

    for (i = 0; i < analytics->reports.nelts; i++) {
        if (df_report_finish_report(cf, analytics, report[i], schema)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    view = analytics->views.elts;

    for (i = 0; i < analytics->views.nelts; i++) {
        if (df_report_view_finish(cf, analytics, view[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_report_list(cf->pool, analytics, &analytics->listing);
}


static ngx_int_t
df_report_finish_report(ngx_conf_t *cf, df_analytics_t *analytics,
    df_report_t *report, df_schema_conf_t *schema)
{
    ngx_uint_t           i;
    df_report_clause_t  *clause;
    df_report_finish_t   f;

    ngx_memzero(&f, sizeof(df_report_finish_t));

    f.cf = cf;
    f.analytics = analytics;
    f.report = report;

    if (df_report_finish_model(&f, schema) != NGX_OK
        || df_report_finish_limit(&f) != NGX_OK
        || df_problem_init(&f.problem, cf->temp_pool) != NGX_OK
        || ngx_array_init(&report->joins, cf->pool, 2, sizeof(df_join_t *))
           != NGX_OK
        || ngx_array_init(&report->sort, cf->pool, 2, sizeof(df_sort_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    f.scope.pool = cf->pool;
    f.scope.model = report->model;
    f.scope.joins = &report->joins;
    f.scope.params = &report->params;
    f.scope.problem = &f.problem;

    if (report->timezone.len) {
        f.scope.timezone = &report->timezone;
    }

    clause = report->filters.elts;

    for (i = 0; i < report->filters.nelts; i++) {
        if (df_report_finish_filter(&f, &clause[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (df_report_finish_values(&f) != NGX_OK
        || df_report_finish_fixed(&f) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_report_finish_params(&f);
}


typedef struct {
    df_database_t   *database;
    df_model_t     **models;
} df_report_models_t;


static ngx_int_t
df_report_finish_model(df_report_finish_t *f, df_schema_conf_t *schema)
{
    ngx_str_t            known, *name;
    ngx_uint_t           i;
    df_report_t         *report;
    df_report_models_t   list;

    report = f->report;

    list.database = f->analytics->database;
    list.models = schema->models.elts;

    for (i = 0; i < schema->models.nelts; i++) {
        name = df_report_finish_model_at(&list, i);

        if (name && df_query_same(name, &report->model_name)) {
            report->model = list.models[i];
            return NGX_OK;
        }
    }

    known = df_conf_known(f->cf, &report->model_name, &list,
                          schema->models.nelts, df_report_finish_model_at);

    ngx_log_error(NGX_LOG_EMERG, f->cf->log, 0,
                  "unknown model \"%V\" of report \"%V\": %V in database "
                  "\"%V\" in %V", &report->model_name, &report->name, &known,
                  &list.database->name, &report->model_where);

    return NGX_ERROR;
}


static ngx_str_t *
df_report_finish_model_at(void *data, ngx_uint_t i)
{
    df_report_models_t *list = data;

    return list->models[i]->database == list->database ? &list->models[i]->name
                                                       : NULL;
}


/* a report is offered because it is written; only its rows are limited by the
   location */

static ngx_int_t
df_report_finish_limit(df_report_finish_t *f)
{
    df_rules_t   *rules;
    df_report_t  *report;

    report = f->report;
    rules = &report->rules;

    *rules = f->analytics->rules;
    rules->expose = 1u << DF_AGGREGATE;

    if (report->limit > rules->max_limit) {
        ngx_log_error(NGX_LOG_EMERG, f->cf->log, 0,
                      "limit %ui of report \"%V\" is over \"max=%ui\" of "
                      "\"dataflow_limit_rows\": raise max= as well in %V",
                      report->limit, &report->name, rules->max_limit,
                      &report->limit_where);
        return NGX_ERROR;
    }

    if (report->limit == 0) {
        report->limit = rules->max_limit;
    }

    rules->default_limit = report->limit;
    rules->max_limit = report->limit;

    return NGX_OK;
}


static ngx_int_t
df_report_finish_filter(df_report_finish_t *f, df_report_clause_t *clause)
{
    ngx_int_t   rc;
    df_expr_t  *expr;

    rc = df_report_finish_parse(f, clause, &expr);

    if (rc == NGX_OK) {
        rc = df_expr_check(&f->scope, &expr, DF_EXPR_ROW);
    }

    if (rc == NGX_OK) {
        (void) df_expr_walk(expr, df_report_finish_visit, &clause->optional);
        (void) df_expr_walk(expr, df_report_finish_pattern,
                            &f->report->patterns);
        f->used |= clause->optional;

        rc = df_expr_predicate(&f->scope, expr, &clause->predicate);
    }

    return df_report_finish_refuse(f, rc);
}


static ngx_int_t
df_report_finish_values(df_report_finish_t *f)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    df_report_t          *report;
    df_aggregate_t       *a;
    df_report_clause_t   *clause;
    df_aggregate_sort_t  *sort;

    report = f->report;

    a = df_query_aggregate_create(f->cf->temp_pool);
    if (a == NULL) {
        return NGX_ERROR;
    }

    rc = df_report_finish_named(f, &report->groups, &a->groups);

    if (rc == NGX_OK) {
        rc = df_report_finish_named(f, &report->values, &a->values);
    }

    if (rc == NGX_OK && report->having.nelts) {
        rc = df_report_finish_parse(f, report->having.elts, &a->having);
    }

    clause = report->order.elts;

    for (i = 0; i < report->order.nelts; i++) {
        sort = ngx_array_push(&a->sort);
        if (sort == NULL) {
            return NGX_ERROR;
        }

        sort->text = clause[i].text;
        sort->place = df_report_finish_place(f, &clause[i]);

        if (sort->place == NULL) {
            return NGX_ERROR;
        }
    }

    /* what there is too much of has no line of its own */

    clause = report->values.nelts ? report->values.elts : report->groups.elts;

    if (rc == NGX_OK) {
        rc = df_query_aggregate_check(&f->scope, a,
                                      df_report_finish_place(f, clause),
                                      &report->outputs, &report->condition,
                                      &report->sort);
    }

    return df_report_finish_refuse(f, rc);
}


static ngx_int_t
df_report_finish_named(df_report_finish_t *f, ngx_array_t *clauses,
    ngx_array_t *named)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    df_expr_named_t     *added;
    df_report_clause_t  *clause;

    clause = clauses->elts;

    for (i = 0; i < clauses->nelts; i++) {
        added = ngx_array_push(named);
        if (added == NULL) {
            return NGX_ERROR;
        }

        added->name = clause[i].name;

        rc = df_report_finish_parse(f, &clause[i], &added->expr);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_report_finish_parse(df_report_finish_t *f, df_report_clause_t *clause,
    df_expr_t **expr)
{
    const df_place_t  *place;

    place = df_report_finish_place(f, clause);
    if (place == NULL) {
        return NGX_ERROR;
    }

    return df_expr_parse(f->cf->pool, &clause->text, place, expr, &f->problem);
}


/* a value can not be left out as a condition can */

static ngx_int_t
df_report_finish_fixed(df_report_finish_t *f)
{
    uint32_t             bits;
    ngx_uint_t           i, n;
    df_param_t          *param;
    df_output_t         *output;
    df_report_t         *report;
    df_report_clause_t  *clause, *group, *value;

    report = f->report;
    param = report->params.elts;
    output = report->outputs.elts;
    group = report->groups.elts;
    value = report->values.elts;

    for (i = 0; i < report->outputs.nelts; i++) {
        bits = 0;

        (void) df_expr_walk(output[i].expr, df_report_finish_visit, &bits);
        f->used |= bits;

        clause = output[i].group ? &group[i]
                                 : &value[i - report->groups.nelts];

        for (n = 0; n < report->params.nelts; n++) {
            if (!(bits & (1u << n))
                || !df_report_is_optional(&param[n].field))
            {
                continue;
            }

            ngx_log_error(NGX_LOG_EMERG, f->cf->log, 0,
                          "parameter \"%V\" of report \"%V\" may be left out, "
                          "and a %V can not be: add \"required\" or "
                          "\"default=...\" to it in %V",
                          &param[n].field.name, &report->name,
                          &clause->directive, &clause->where);
            return NGX_ERROR;
        }
    }

    if (report->condition) {
        clause = report->having.elts;

        (void) df_expr_walk(report->condition, df_report_finish_visit,
                            &clause->optional);
        f->used |= clause->optional;
    }

    return NGX_OK;
}


/* nothing that a client gives is ignored */

static ngx_int_t
df_report_finish_params(df_report_finish_t *f)
{
    uint32_t             optional;
    ngx_uint_t           i, n;
    df_param_t          *param;
    df_report_t         *report;
    df_report_clause_t  *clause;

    report = f->report;
    param = report->params.elts;
    optional = 0;

    for (i = 0; i < report->params.nelts; i++) {

        if (!(f->used & (1u << i))) {
            ngx_log_error(NGX_LOG_EMERG, f->cf->log, 0,
                          "parameter \"%V\" of report \"%V\" is used nowhere: "
                          "write \"$%V\" in a filter, or remove it, in %s:%ui",
                          &param[i].field.name, &report->name,
                          &param[i].field.name, param[i].field.file,
                          param[i].field.line);
            return NGX_ERROR;
        }

        if (df_report_is_optional(&param[i].field)) {
            optional |= 1u << i;
        }
    }

    clause = report->filters.elts;

    for (n = 0; n < report->filters.nelts; n++) {
        clause[n].optional &= optional;
    }

    clause = report->having.elts;

    for (n = 0; n < report->having.nelts; n++) {
        clause[n].optional &= optional;
    }

    return NGX_OK;
}


static ngx_int_t
df_report_finish_visit(const df_expr_t *expr, void *data)
{
    uint32_t *bits = data;

    if (expr->kind == DF_EXPR_PARAM) {
        *bits |= 1u << expr->param->index;
    }

    return NGX_OK;
}


/* what PostgreSQL may refuse, and then the parameter is to be named */

static ngx_int_t
df_report_finish_pattern(const df_expr_t *expr, void *data)
{
    uint32_t *bits = data;

    const df_field_t     *field;
    const df_operator_t  *op;

    if (expr->kind != DF_EXPR_CALL || !expr->function->compare
        || expr->nargs != 2 || expr->args->next->kind != DF_EXPR_PARAM)
    {
        return NGX_OK;
    }

    field = &expr->args->next->param->field;
    op = df_query_operator(field, 0, &expr->function->name);

    if (op && op->syntax) {
        *bits |= 1u << expr->args->next->param->index;
    }

    return NGX_OK;
}


/* mistakes; places, which would be those of a query, are numbers here */

static const df_place_t *
df_report_finish_place(df_report_finish_t *f, const df_report_clause_t *clause)
{
    df_place_t  *place;

    place = ngx_pcalloc(f->cf->pool, sizeof(df_place_t));

    if (place) {
        place->parameter = df_str_printf(f->cf->pool, "%ui", clause->number);
    }

    return place;
}


/* what requests are refused with, as a line of the log */

static ngx_int_t
df_report_finish_refuse(df_report_finish_t *f, ngx_int_t rc)
{
    df_problem_item_t         *item;
    const df_report_clause_t  *clause;

    if (rc != NGX_DECLINED) {
        return rc;
    }

    item = f->problem.items.elts;
    clause = df_report_finish_clause(f->report, &item->name);

    ngx_log_error(NGX_LOG_EMERG, f->cf->log, 0,
                  "invalid %V \"%V\" of report \"%V\": %V in %V",
                  &clause->directive, &clause->text, &f->report->name,
                  &item->detail, &clause->where);

    return NGX_ERROR;
}


static const df_report_clause_t *
df_report_finish_clause(const df_report_t *report, const ngx_str_t *name)
{
    ngx_uint_t                 i, n, number;
    const df_report_clause_t  *clause;
    const ngx_array_t         *lists[] = {
        &report->filters, &report->groups, &report->values, &report->having,
        &report->order
    };

    number = ngx_atoi(name->data, name->len);

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        clause = lists[i]->elts;

        for (n = 0; n < lists[i]->nelts; n++) {
            if (clause[n].number == number) {
                return &clause[n];
            }
        }
    }

    return NULL;
}
