
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * "dataflow_analytics { … }" of nginx.conf as it is written.  Models may be
 * declared behind it, so what names them is kept with its line and looked at
 * in report_finish.c.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "query/report_internal.h"


static df_report_view_t *df_report_conf_view(ngx_conf_t *cf,
    df_analytics_t *analytics, const ngx_str_t *name, ngx_uint_t dashboard);
static ngx_int_t df_report_conf_path(ngx_conf_t *cf, const char *what,
    const ngx_str_t *name);
static ngx_uint_t df_report_conf_is_part(const ngx_str_t *part);
static ngx_int_t df_report_conf_init(ngx_conf_t *cf, df_report_t *report);
static ngx_int_t df_report_conf_check(ngx_conf_t *cf, df_report_t *report);
static ngx_int_t df_report_conf_description(ngx_conf_t *cf,
    df_report_view_t *view, const ngx_str_t *word);


/* a path of more than this is no name any more */
#define DF_REPORT_NAME_LEN  128


df_analytics_t *
df_report_conf_analytics(ngx_conf_t *cf)
{
    df_analytics_t  *analytics;

    analytics = ngx_pcalloc(cf->pool, sizeof(df_analytics_t));
    if (analytics == NULL) {
        return NULL;
    }

    analytics->file = cf->conf_file->file.name.data;
    analytics->line = cf->conf_file->line;

    if (ngx_array_init(&analytics->reports, cf->pool, 4,
                       sizeof(df_report_t *))
        != NGX_OK
        || ngx_array_init(&analytics->views, cf->pool, 4,
                          sizeof(df_report_view_t *))
           != NGX_OK
        || df_conf_block(cf, DF_ANALYTICS_BLOCK, analytics) != NGX_CONF_OK)
    {
        return NULL;
    }

    if (analytics->reports.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no report in \"dataflow_analytics\": write "
                           "\"report NAME { ... }\" for each");
        return NULL;
    }

    return analytics;
}


char *
df_report_conf_report(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_analytics_t *analytics = conf;

    ngx_str_t         *value;
    ngx_uint_t         i, n;
    df_report_t       *report, **slot;
    df_report_view_t  *view, **views;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    report = ngx_pcalloc(cf->pool, sizeof(df_report_t));
    if (report == NULL || df_report_conf_init(cf, report) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    report->name = value[1];

    if (df_report_conf_where(cf, &report->where) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i <= n; i++) {
        view = df_report_conf_view(cf, analytics, &value[i], 0);
        if (view == NULL) {
            return NGX_CONF_ERROR;
        }

        slot = ngx_array_push(&view->reports);
        if (slot == NULL) {
            return NGX_CONF_ERROR;
        }

        *slot = report;
    }

    if (df_conf_block(cf, DF_REPORT_BLOCK, report) != NGX_CONF_OK
        || df_report_conf_check(cf, report) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    views = analytics->views.elts;

    for (i = analytics->views.nelts - n; i < analytics->views.nelts; i++) {
        views[i]->description = report->description;
    }

    slot = ngx_array_push(&analytics->reports);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = report;

    return NGX_CONF_OK;
}


static ngx_int_t
df_report_conf_init(ngx_conf_t *cf, df_report_t *report)
{
    ngx_uint_t    i;
    ngx_array_t  *clauses[] = {
        &report->filters, &report->groups, &report->values, &report->having,
        &report->order
    };

    for (i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++) {
        if (ngx_array_init(clauses[i], cf->pool, 2, sizeof(df_report_clause_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_array_init(&report->params, cf->pool, 2, sizeof(df_param_t));
}


static ngx_int_t
df_report_conf_check(ngx_conf_t *cf, df_report_t *report)
{
    if (report->model_name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no model of report \"%V\": write \"from MODEL;\"",
                           &report->name);
        return NGX_ERROR;
    }

    if (report->groups.nelts == 0 && report->values.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "report \"%V\" answers nothing: write \"value NAME "
                           "EXPRESSION;\", such as value orders \"count(*)\"",
                           &report->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* dashboard NAME REPORT … [description=TEXT]; */

char *
df_report_conf_dashboard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_analytics_t *analytics = conf;

    ngx_str_t         *value, *word;
    ngx_uint_t         i, n;
    df_report_view_t  *view;

    value = cf->args->elts;

    view = df_report_conf_view(cf, analytics, &value[1], 1);
    if (view == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strlchr(value[i].data, value[i].data + value[i].len, '=')) {
            if (df_report_conf_description(cf, view, &value[i]) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        word = view->words.elts;

        for (n = 0; n < view->words.nelts; n++) {
            if (df_query_same(&word[n], &value[i])) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "duplicate report \"%V\" in dashboard "
                                   "\"%V\"", &value[i], &view->name);
                return NGX_CONF_ERROR;
            }
        }

        word = ngx_array_push(&view->words);
        if (word == NULL) {
            return NGX_CONF_ERROR;
        }

        *word = value[i];
    }

    if (view->words.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no report in dashboard \"%V\": write \"dashboard "
                           "NAME REPORT ...;\"", &view->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
df_report_conf_description(ngx_conf_t *cf, df_report_view_t *view,
    const ngx_str_t *word)
{
    static const ngx_str_t  name = ngx_string("description=");

    if (word->len <= name.len
        || ngx_memcmp(word->data, name.data, name.len) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown option \"%V\" of dashboard \"%V\": "
                           "\"description=TEXT\" is the only one",
                           word, &view->name);
        return NGX_ERROR;
    }

    if (view->description.data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate description of dashboard \"%V\"",
                           &view->name);
        return NGX_ERROR;
    }

    view->description.data = word->data + name.len;
    view->description.len = word->len - name.len;

    return NGX_OK;
}


static df_report_view_t *
df_report_conf_view(ngx_conf_t *cf, df_analytics_t *analytics,
    const ngx_str_t *name, ngx_uint_t dashboard)
{
    ngx_uint_t          i;
    df_report_view_t   *view, **views;

    if (df_report_conf_path(cf, dashboard ? "dashboard" : "report", name)
        != NGX_OK)
    {
        return NULL;
    }

    views = analytics->views.elts;

    for (i = 0; i < analytics->views.nelts; i++) {
        if (df_query_same(&views[i]->name, name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate name \"%V\": the first is a %s in "
                               "%V,", name,
                               views[i]->dashboard ? "dashboard" : "report",
                               &views[i]->where);
            return NULL;
        }
    }

    view = ngx_pcalloc(cf->pool, sizeof(df_report_view_t));
    views = ngx_array_push(&analytics->views);

    if (view == NULL || views == NULL
        || ngx_array_init(&view->words, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&view->reports, cf->pool, 2, sizeof(df_report_t *))
           != NGX_OK
        || ngx_array_init(&view->params, cf->pool, 2,
                          sizeof(df_report_param_t))
           != NGX_OK)
    {
        return NULL;
    }

    *views = view;

    view->name = *name;
    view->dashboard = dashboard;

    return df_report_conf_where(cf, &view->where) == NGX_CONF_OK ? view : NULL;
}


/* a name is what stands behind the location in a path, and the name of a
   member in a dashboard's answer */

static ngx_int_t
df_report_conf_path(ngx_conf_t *cf, const char *what, const ngx_str_t *name)
{
    ngx_str_t  rest, part;

    rest = *name;

    while (df_query_word_next(&rest, '/', &part)) {
        if (name->len > DF_REPORT_NAME_LEN || !df_report_conf_is_part(&part)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid %s name \"%V\": expected at most %d "
                               "lower-case letters, digits, hyphens and "
                               "underscores, and slashes between them, as in "
                               "orders/revenue-by-month", what, name,
                               DF_REPORT_NAME_LEN);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
df_report_conf_is_part(const ngx_str_t *part)
{
    u_char      c;
    ngx_uint_t  i;

    for (i = 0; i < part->len; i++) {
        c = part->data[i];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            continue;
        }

        if (i == 0 || (c != '-' && c != '_')) {
            return 0;
        }
    }

    return part->len != 0;
}


char *
df_report_conf_where(ngx_conf_t *cf, ngx_str_t *where)
{
    *where = df_str_printf(cf->pool, "%V:%ui", &cf->conf_file->file.name,
                           cf->conf_file->line);

    return where->len ? NGX_CONF_OK : NGX_CONF_ERROR;
}
