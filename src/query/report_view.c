
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Views when their reports are finished: which reports a dashboard is, and
 * what a client may give to either.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "query/report_internal.h"


static ngx_int_t df_report_view_resolve(ngx_conf_t *cf,
    df_analytics_t *analytics, df_report_view_t *view);
static ngx_str_t *df_report_view_report_at(void *list, ngx_uint_t i);
static ngx_int_t df_report_view_merge(ngx_conf_t *cf,
    df_report_view_t *view, const df_report_t *report);


ngx_int_t
df_report_view_finish(ngx_conf_t *cf, df_analytics_t *analytics,
    df_report_view_t *view)
{
    ngx_uint_t  i;

    if (view->dashboard
        && df_report_view_resolve(cf, analytics, view) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < view->reports.nelts; i++) {
        if (df_report_view_merge(cf, view, df_report_view_at(view, i))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_report_view_resolve(ngx_conf_t *cf, df_analytics_t *analytics,
    df_report_view_t *view)
{
    ngx_str_t          *word, known;
    ngx_uint_t          i, n;
    df_report_t       **slot, *report;
    df_report_view_t  **views;

    word = view->words.elts;
    views = analytics->views.elts;

    for (i = 0; i < view->words.nelts; i++) {
        report = NULL;

        for (n = 0; n < analytics->views.nelts; n++) {
            if (!views[n]->dashboard
                && df_query_same(&views[n]->name, &word[i]))
            {
                report = df_report_view_at(views[n], 0);
            }
        }

        if (report == NULL) {
            known = df_conf_known(cf, &word[i], analytics,
                                  analytics->views.nelts,
                                  df_report_view_report_at);

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown report \"%V\" in dashboard \"%V\": %V in "
                          "%V", &word[i], &view->name, &known, &view->where);
            return NGX_ERROR;
        }

        slot = ngx_array_push(&view->reports);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = report;
    }

    return NGX_OK;
}


static ngx_str_t *
df_report_view_report_at(void *data, ngx_uint_t i)
{
    df_analytics_t *analytics = data;

    df_report_view_t  **views;

    views = analytics->views.elts;

    return views[i]->dashboard ? NULL : &views[i]->name;
}


/* what is given to a dashboard goes to each of its reports that takes it */

static ngx_int_t
df_report_view_merge(ngx_conf_t *cf, df_report_view_t *view,
    const df_report_t *report)
{
    ngx_uint_t          i;
    df_param_t         *param;
    const df_field_t   *x, *y;
    df_report_param_t  *added;

    param = report->params.elts;

    for (i = 0; i < report->params.nelts; i++) {
        y = &param[i].field;
        added = df_report_view_param(view, &y->name);

        if (added == NULL) {
            added = ngx_array_push(&view->params);
            if (added == NULL) {
                return NGX_ERROR;
            }

            added->field = y;
            added->required = y->required;

            continue;
        }

        x = added->field;
        added->required |= y->required;

        if (x->type == y->type && x->array == y->array) {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "parameter \"%V\" of dashboard \"%V\" is %V%s in %s:%ui "
                      "and %V%s in %s:%ui: give it one type, or two names, in "
                      "%V", &x->name, &view->name,
                      &x->type->name, x->array ? "[]" : "", x->file, x->line,
                      &y->type->name, y->array ? "[]" : "", y->file, y->line,
                      &view->where);
        return NGX_ERROR;
    }

    return NGX_OK;
}
