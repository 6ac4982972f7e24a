
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The block of a report of nginx.conf as it is written, line by line.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "query/report_internal.h"


static ngx_int_t df_report_conf_words(ngx_conf_t *cf, ngx_uint_t n,
    const char *form);
static char *df_report_conf_clause(ngx_conf_t *cf, df_report_t *report,
    ngx_array_t *clauses, const ngx_str_t *name, const ngx_str_t *text);


static const ngx_str_t  df_report_conf_as = ngx_string("as");


char *
df_report_conf_from(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_str_t  *value;

    if (report->model_name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (df_schema_conf_name(cf, "model", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    report->model_name = value[1];

    return df_report_conf_where(cf, &report->model_where);
}


char *
df_report_conf_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_uint_t   i;
    df_param_t  *param, *former;

    static const ngx_str_t  limit = ngx_string("limit");

    if (report->params.nelts == DF_REPORT_MAX_PARAMS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "report \"%V\" has more than %d parameters",
                           &report->name, DF_REPORT_MAX_PARAMS);
        return NGX_CONF_ERROR;
    }

    former = report->params.elts;
    param = ngx_array_push(&report->params);

    if (param == NULL) {
        return NGX_CONF_ERROR;
    }

    param->index = report->params.nelts - 1;

    if (df_schema_conf_param(cf, &param->field) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (df_query_same(&param->field.name, &limit)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "reserved parameter \"limit\": every report has "
                           "it, \"limit N;\" says how large it can be");
        return NGX_CONF_ERROR;
    }

    former = report->params.elts;

    for (i = 0; i < param->index; i++) {
        if (df_query_same(&former[i].field.name, &param->field.name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\": the first is in "
                               "%s:%ui,", &param->field.name,
                               former[i].field.file, former[i].field.line);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
df_report_conf_filter(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_str_t  *value;

    if (df_report_conf_words(cf, 1, "filter EXPRESSION;") != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    return df_report_conf_clause(cf, report, &report->filters, NULL,
                                 &value[1]);
}


char *
df_report_conf_group(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {
        return df_report_conf_clause(cf, report, &report->groups, NULL,
                                     &value[1]);
    }

    if (df_report_conf_words(cf, 3, "group EXPRESSION [as NAME];") != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (!df_query_same(&value[2], &df_report_conf_as)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown word \"%V\" in \"group\": write \"group "
                           "EXPRESSION [as NAME];\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (df_schema_conf_name(cf, "group", &value[3]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return df_report_conf_clause(cf, report, &report->groups, &value[3],
                                 &value[1]);
}


char *
df_report_conf_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (df_report_conf_words(cf, 2, "value NAME EXPRESSION;") != NGX_OK
        || df_schema_conf_name(cf, "value", &value[1]) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return df_report_conf_clause(cf, report, &report->values, &value[1],
                                 &value[2]);
}


char *
df_report_conf_having(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_str_t  *value;

    if (report->having.nelts) {
        return "is duplicate";
    }

    if (df_report_conf_words(cf, 1, "having EXPRESSION;") != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    return df_report_conf_clause(cf, report, &report->having, NULL,
                                 &value[1]);
}


char *
df_report_conf_sort(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_str_t   *value, rest, word;
    ngx_uint_t   i;

    if (report->order.nelts) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rest = value[i];

        while (df_query_word_next(&rest, ',', &word)) {
            if (df_report_conf_clause(cf, report, &report->order, NULL,
                                      &word)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }
        }
    }

    return NGX_CONF_OK;
}


char *
df_report_conf_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (report->limit) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid limit \"%V\": a number of rows was "
                           "expected, from 1", &value[1]);
        return NGX_CONF_ERROR;
    }

    report->limit = n;

    return df_report_conf_where(cf, &report->limit_where);
}


char *
df_report_conf_timezone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_report_t *report = conf;

    ngx_str_t     *value;
    df_place_t     place;
    df_request_t   r;
    df_problem_t   problem;

    if (report->timezone.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_memzero(&r, sizeof(df_request_t));
    ngx_memzero(&place, sizeof(df_place_t));

    r.pool = cf->pool;
    place.parameter = value[0];

    if (df_problem_init(&problem, cf->temp_pool) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (df_query_timezone_set(&r, &value[1], &place, &problem) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid timezone \"%V\": %V",
                           &value[1],
                           &((df_problem_item_t *) problem.items.elts)->detail);
        return NGX_CONF_ERROR;
    }

    report->timezone = r.timezone;

    return NGX_CONF_OK;
}


/* an expression is one word; what is forgotten most are its quotes */

static ngx_int_t
df_report_conf_words(ngx_conf_t *cf, ngx_uint_t n, const char *form)
{
    ngx_str_t  *value;

    if (cf->args->nelts == n + 1) {
        return NGX_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid number of arguments in \"%V\": write \"%s\", "
                       "and an expression with blanks in quotes",
                       &value[0], form);

    return NGX_ERROR;
}


static char *
df_report_conf_clause(ngx_conf_t *cf, df_report_t *report,
    ngx_array_t *clauses, const ngx_str_t *name, const ngx_str_t *text)
{
    ngx_str_t           *value;
    df_report_clause_t  *clause;

    clause = ngx_array_push(clauses);
    if (clause == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(clause, sizeof(df_report_clause_t));

    value = cf->args->elts;

    clause->number = report->nclauses++;
    clause->directive = value[0];
    clause->text = *text;

    if (name) {
        clause->name = *name;
    }

    return df_report_conf_where(cf, &clause->where);
}
