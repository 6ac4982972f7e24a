
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The list of reports and dashboards, a document that is made once, while
 * nginx.conf is read.
 */


#include <ngx_config.h>
#include "query/report_internal.h"


static void df_report_list_report(df_writer_t *w,
    const df_analytics_t *analytics, const df_report_view_t *view);
static void df_report_list_aliases(df_writer_t *w,
    const df_analytics_t *analytics, const df_report_t *report);
static void df_report_list_dashboard(df_writer_t *w,
    const df_report_view_t *view);
static void df_report_list_params(df_writer_t *w,
    const df_report_view_t *view);
static void df_report_list_param(df_writer_t *w,
    const df_report_param_t *param);
static void df_report_list_default(df_writer_t *w, const df_field_t *field);
static void df_report_list_names(df_writer_t *w, const ngx_array_t *names);
static void df_report_list_text(df_writer_t *w, const char *template,
    const ngx_str_t *text);


ngx_int_t
df_report_list(ngx_pool_t *pool, const df_analytics_t *analytics,
    ngx_str_t *text)
{
    ngx_uint_t          i;
    df_writer_t         w;
    df_report_view_t  **view;

    if (df_writer_init(&w, pool, 4096) != NGX_OK) {
        return NGX_ERROR;
    }

    view = analytics->views.elts;

    df_json_put(&w, "{'reports':[");

    for (i = 0; i < analytics->views.nelts; i++) {
        if (!view[i]->dashboard && !df_report_view_is_alias(view[i])) {
            df_report_list_report(&w, analytics, view[i]);
        }
    }

    df_json_put(&w, "]");
    df_json_put(&w, "'dashboards':[");

    for (i = 0; i < analytics->views.nelts; i++) {
        if (view[i]->dashboard) {
            df_report_list_dashboard(&w, view[i]);
        }
    }

    df_json_put(&w, "]}");

    return df_writer_text(&w, text);
}


static void
df_report_list_report(df_writer_t *w, const df_analytics_t *analytics,
    const df_report_view_t *view)
{
    ngx_uint_t          i;
    df_field_t         *column;
    df_output_t        *output;
    const df_report_t  *report;

    report = df_report_view_at(view, 0);

    df_json_put(w, "{'name':'%V'", &view->name);

    df_report_list_aliases(w, analytics, report);
    df_report_list_text(w, "'description':'%V'", &view->description);
    df_report_list_params(w, view);

    df_json_put(w, "'columns':[");

    output = report->outputs.elts;

    for (i = 0; i < report->outputs.nelts; i++) {
        column = &output[i].column;

        df_json_put(w, "{'name':'%V','type':'%V%s'}", &column->name,
                    &column->type->name, column->array ? "[]" : "");
    }

    df_json_put(w, "]");
    df_json_put(w, "'limit':%u}", report->limit);
}


static void
df_report_list_aliases(df_writer_t *w, const df_analytics_t *analytics,
    const df_report_t *report)
{
    ngx_uint_t          i, n;
    df_report_view_t  **view;

    view = analytics->views.elts;

    for (i = 0, n = 0; i < analytics->views.nelts; i++) {

        if (!df_report_view_is_alias(view[i])
            || df_report_view_at(view[i], 0) != report)
        {
            continue;
        }

        if (n++ == 0) {
            df_json_put(w, "'aliases':[");
        }

        df_json_put(w, "'%V'", &view[i]->name);
    }

    if (n) {
        df_json_put(w, "]");
    }
}


static void
df_report_list_dashboard(df_writer_t *w, const df_report_view_t *view)
{
    df_json_put(w, "{'name':'%V'", &view->name);

    df_report_list_text(w, "'description':'%V'", &view->description);

    df_json_put(w, "'reports':[");
    df_report_list_names(w, &view->words);
    df_json_put(w, "]");

    df_report_list_params(w, view);

    df_json_put(w, "}");
}


static void
df_report_list_params(df_writer_t *w, const df_report_view_t *view)
{
    ngx_uint_t          i;
    df_report_param_t  *param;

    param = view->params.elts;

    df_json_put(w, "'parameters':[");

    for (i = 0; i < view->params.nelts; i++) {
        df_report_list_param(w, &param[i]);
    }

    df_json_put(w, "]");
}


static void
df_report_list_param(df_writer_t *w, const df_report_param_t *param)
{
    const df_field_t  *field;

    field = param->field;

    df_json_put(w, "{'name':'%V','type':'%V%s'", &field->name,
                &field->type->name, field->array ? "[]" : "");
    df_json_put(w, param->required ? "'required':true" : "'required':false");

    df_report_list_default(w, field);

    if (field->choices) {
        df_json_put(w, "'enum':[");
        df_report_list_names(w, field->choices);
        df_json_put(w, "]");
    }

    df_report_list_text(w, "'description':'%V'", &field->description);

    df_json_put(w, "}");
}


/* of JSON's own types what JSON has, else the text that a client would give */

static void
df_report_list_default(df_writer_t *w, const df_field_t *field)
{
    ngx_str_t         json;
    const ngx_str_t  *text;

    text = &field->default_text;

    if (field->default_kind == DF_DEFAULT_NONE) {
        return;
    }

    if (field->default_kind == DF_DEFAULT_NOW) {
        df_json_put(w, "'default':'now'");

    } else if (!field->array && field->type->kind == DF_BOOLEAN) {
        df_json_put(w, "'default':%J", text);

    } else if (!field->array && (field->type->flags & DF_TYPE_NUMBER)
               && df_json_number_text(w->pool, text, &json) == NGX_OK)
    {
        df_json_put(w, "'default':%J", &json);

    } else {
        df_json_put(w, "'default':'%V'", text);
    }
}


static void
df_report_list_names(df_writer_t *w, const ngx_array_t *names)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {
        df_json_put(w, "'%V'", &name[i]);
    }
}


/* what nobody has written is no member */

static void
df_report_list_text(df_writer_t *w, const char *template,
    const ngx_str_t *text)
{
    if (text->data) {
        df_json_put(w, template, text);
    }
}
