
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A location with dataflow_analytics in the document: an operation for each
 * report and each dashboard, by its first name.
 */


#include "http/openapi.h"


typedef struct {
    df_openapi_t            *doc;
    const df_analytics_t    *analytics;
    ngx_str_t                path;      /* of the location, as a URL has it */
    ngx_str_t               *ids;       /* one for each of its views */
} df_openapi_analytics_t;


static ngx_int_t df_openapi_analytics_path(df_openapi_analytics_t *a,
    df_http_loc_conf_t *conf);
static void df_openapi_analytics_list(df_openapi_analytics_t *a);
static ngx_str_t df_openapi_analytics_id(df_openapi_analytics_t *a,
    const ngx_str_t *name);
static void df_openapi_view(df_openapi_analytics_t *a, ngx_uint_t i);
static void df_openapi_view_params(df_openapi_analytics_t *a,
    const df_report_view_t *view);
static void df_openapi_view_param(df_writer_t *w,
    const df_report_param_t *param);
static void df_openapi_view_answer(df_openapi_analytics_t *a, ngx_uint_t i);
static void df_openapi_view_extension(df_openapi_analytics_t *a,
    ngx_uint_t i);
static void df_openapi_report_schema(df_openapi_analytics_t *a,
    const df_report_t *report, ngx_str_t *id);
static void df_openapi_dashboard_schema(df_openapi_analytics_t *a,
    const df_report_view_t *view, ngx_str_t *id);
static ngx_str_t *df_openapi_dashboard_part(df_openapi_analytics_t *a,
    const df_report_t *report);


static const ngx_uint_t  df_openapi_list_refusals[] = { 400, 0 };

static const ngx_uint_t  df_openapi_view_refusals[] = {
    400, 403, 406, 422, 500, 503, 504, 0
};


#define df_openapi_view_at(a, i)                                              \
    (((df_report_view_t **) (a)->analytics->views.elts)[i])


ngx_int_t
df_openapi_analytics(df_openapi_t *doc, df_http_loc_conf_t *conf, void *data)
{
    ngx_int_t                rc;
    ngx_str_t                tag;
    ngx_uint_t               i, n;
    df_report_view_t        *view;
    df_openapi_analytics_t   a;

    a.doc = doc;
    a.analytics = conf->analytics;

    rc = df_openapi_analytics_path(&a, conf);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    n = a.analytics->views.nelts;

    a.ids = ngx_pcalloc(doc->pool, n * sizeof(ngx_str_t));
    if (a.ids == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&tag, "analytics");

    if (df_openapi_once(doc, "tag", &tag) == NGX_OK) {
        df_json_put(&doc->tags, "{'name':'analytics','description':"
                    "'Reports that the server declares.'}");
    }

    df_openapi_analytics_list(&a);

    /* a dashboard may stand before its reports */

    for (i = 0; i < n; i++) {
        a.ids[i] = df_openapi_analytics_id(&a, &df_openapi_view_at(&a, i)
                                                ->name);
    }

    for (i = 0; i < n; i++) {
        view = df_openapi_view_at(&a, i);

        if (!df_report_view_is_alias(view)) {
            df_openapi_view(&a, i);
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_openapi_analytics_path(df_openapi_analytics_t *a, df_http_loc_conf_t *conf)
{
    ngx_int_t  rc;

    if (df_openapi_url(a->doc->pool, &conf->path, &a->path) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_openapi_once(a->doc, "path", &a->path);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_WARN, a->doc->log, 0,
                      "another location has the path \"%V\" of "
                      "\"dataflow_analytics\" already: \"dataflow_openapi\" "
                      "does not tell of this one in %s:%ui", &a->path,
                      a->analytics->file, a->analytics->line);
    }

    return rc;
}


/* the list of reports, which tells of them as this document does */

static void
df_openapi_analytics_list(df_openapi_analytics_t *a)
{
    ngx_str_t     id;
    df_writer_t  *w;

    static const ngx_str_t  name = ngx_string("reports");

    w = &a->doc->paths;
    id = df_openapi_analytics_id(a, &name);

    df_json_put(w, "'%V%s':{'get':{'operationId':'%V','tags':['analytics'],"
                "'summary':'Lists reports and dashboards','responses':{"
                "'200':{'description':'The list.','content':{"
                "'application/json':{'schema':{'type':'object',"
                "'required':['reports','dashboards'],'properties':{"
                "'reports':{'type':'array','items':{'type':'object'}},"
                "'dashboards':{'type':'array','items':{'type':'object'}}"
                "}}}}}", &a->path, a->path.len ? "" : "/", &id);

    df_openapi_refusals(a->doc, w, df_openapi_list_refusals);

    df_json_put(w, "}}}");
}


/* names are of one location, identifiers of the whole document, and they have
   no slash */

static ngx_str_t
df_openapi_analytics_id(df_openapi_analytics_t *a, const ngx_str_t *name)
{
    size_t      i;
    ngx_str_t   base, id;
    ngx_uint_t  n;

    base = df_str_printf(a->doc->pool, "analytics.%V", name);

    for (i = 0; i < base.len; i++) {
        if (base.data[i] == '/') {
            base.data[i] = '.';
        }
    }

    id = base;

    for (n = 2; df_openapi_once(a->doc, "report", &id) == NGX_DECLINED; n++) {
        id = df_str_printf(a->doc->pool, "%V.%ui", &base, n);
    }

    return id;
}


static void
df_openapi_view(df_openapi_analytics_t *a, ngx_uint_t i)
{
    df_writer_t             *w;
    const df_report_view_t  *view;

    view = df_openapi_view_at(a, i);
    w = &a->doc->paths;

    df_json_put(w, "'%V/%V':{'get':{'operationId':'%V',"
                "'tags':['analytics']", &a->path, &view->name, &a->ids[i]);

    if (view->description.len) {
        df_json_put(w, "'summary':'%V'", &view->description);

    } else {
        df_json_put(w, "'summary':'%s %V'",
                    view->dashboard ? "Dashboard" : "Report", &view->name);
    }

    df_json_put(w, "'x-dataflow':{'report':'%V'}", &view->name);

    df_openapi_view_params(a, view);
    df_openapi_view_answer(a, i);
    df_openapi_view_extension(a, i);

    df_json_put(w, "}}");
}


static void
df_openapi_view_params(df_openapi_analytics_t *a, const df_report_view_t *view)
{
    ngx_uint_t          i;
    df_writer_t        *w;
    df_report_param_t  *param;
    const df_report_t  *report;

    w = &a->doc->paths;
    param = view->params.elts;

    df_json_put(w, "'parameters':[");

    for (i = 0; i < view->params.nelts; i++) {
        df_openapi_view_param(w, &param[i]);
    }

    if (!view->dashboard) {
        report = df_report_view_at(view, 0);

        df_json_put(w, "{'name':'limit','in':'query','description':"
                    "'Rows of the answer.','schema':{'type':'integer',"
                    "'minimum':0,'maximum':%u,'default':%u}}",
                    report->limit, report->limit);
    }

    df_json_put(w, "]");
}


static void
df_openapi_view_param(df_writer_t *w, const df_report_param_t *param)
{
    const df_field_t  *field;

    field = param->field;

    df_json_put(w, "{'name':'%V','in':'query'", &field->name);

    if (field->description.len) {
        df_json_put(w, "'description':'%V'", &field->description);
    }

    if (param->required) {
        df_json_put(w, "'required':true");
    }

    if (field->array) {
        df_json_put(w, "'explode':false");
    }

    df_json_put(w, "'schema':{");

    df_openapi_value(w, field, DF_OPENAPI_QUERY, 0);
    df_openapi_default(w, field);

    df_json_put(w, "}}");
}


static void
df_openapi_view_answer(df_openapi_analytics_t *a, ngx_uint_t i)
{
    df_writer_t             *w;
    const df_report_view_t  *view;

    view = df_openapi_view_at(a, i);
    w = &a->doc->paths;

    df_json_put(w, "'responses':{'200':{'description':'%s',",
                view->dashboard ? "The reports." : "The report.");

    if (!view->dashboard) {
        df_openapi_report_schema(a, df_report_view_at(view, 0), &a->ids[i]);

        df_json_put(w, "'headers':{'X-Dataflow-Truncated':{'description':"
                    "'There are more rows; of CSV and NDJSON.',"
                    "'schema':{'const':'true'}}}");

    } else {
        df_openapi_dashboard_schema(a, view, &a->ids[i]);
    }

    df_json_put(w, "'content':{'application/json':{'schema':"
                "{'$ref':'#/components/schemas/%V'}}", &a->ids[i]);

    if (!view->dashboard) {
        df_json_put(w, "'application/x-ndjson':{'schema':{'type':'string'}},"
                    "'text/csv':{'schema':{'type':'string'}}");
    }

    df_json_put(w, "}}");

    df_openapi_refusals(a->doc, w, df_openapi_view_refusals);

    df_json_put(w, "}");
}


static void
df_openapi_report_schema(df_openapi_analytics_t *a, const df_report_t *report,
    ngx_str_t *id)
{
    ngx_uint_t    i;
    df_writer_t  *w;
    df_output_t  *output;

    w = &a->doc->schemas;
    output = report->outputs.elts;

    df_json_put(w, "'%V':{'type':'object','required':['data'],'properties':{"
                "'data':{'type':'array','maxItems':%u,'items':{"
                "'type':'object','required':[", id, report->limit);

    for (i = 0; i < report->outputs.nelts; i++) {
        df_json_put(w, "'%V'", &output[i].name);
    }

    df_json_put(w, "],'properties':{");

    for (i = 0; i < report->outputs.nelts; i++) {
        df_json_put(w, "'%V':{", &output[i].name);
        df_openapi_plain(w, output[i].column.type, output[i].column.array,
                         DF_OPENAPI_ANSWER, !output[i].column.not_null);
        df_json_put(w, "}");
    }

    df_json_put(w, "},'additionalProperties':false}},"
                "'truncated':{'const':true,'description':"
                "'There are more rows.'}},'additionalProperties':false}");
}


static void
df_openapi_dashboard_schema(df_openapi_analytics_t *a,
    const df_report_view_t *view, ngx_str_t *id)
{
    ngx_str_t    *word;
    ngx_uint_t    i;
    df_writer_t  *w;

    w = &a->doc->schemas;
    word = view->words.elts;

    df_json_put(w, "'%V':{'type':'object','required':[", id);

    for (i = 0; i < view->words.nelts; i++) {
        df_json_put(w, "'%V'", &word[i]);
    }

    df_json_put(w, "],'properties':{");

    for (i = 0; i < view->words.nelts; i++) {
        df_json_put(w, "'%V':{'$ref':'#/components/schemas/%V'}", &word[i],
                    df_openapi_dashboard_part(a, df_report_view_at(view, i)));
    }

    df_json_put(w, "},'additionalProperties':false}");
}


/* the schema is called as the report is by its first name */

static ngx_str_t *
df_openapi_dashboard_part(df_openapi_analytics_t *a, const df_report_t *report)
{
    ngx_uint_t               i;
    const df_report_view_t  *view;

    for (i = 0; i < a->analytics->views.nelts; i++) {
        view = df_openapi_view_at(a, i);

        if (!view->dashboard && df_report_view_at(view, 0) == report) {
            break;
        }
    }

    return &a->ids[i];
}


/* what a client goes by that offers reports by their names */

static void
df_openapi_view_extension(df_openapi_analytics_t *a, ngx_uint_t i)
{
    ngx_uint_t               n;
    df_writer_t             *w;
    const df_report_view_t  *view, *other;

    w = &a->doc->reports;
    view = df_openapi_view_at(a, i);

    df_json_put(w, "{'name':'%V','path':'%V/%V','operationId':'%V'",
                &view->name, &a->path, &view->name, &a->ids[i]);

    if (view->dashboard) {
        df_json_put(w, "'dashboard':true}");
        return;
    }

    df_json_put(w, "'aliases':[");

    for (n = 0; n < a->analytics->views.nelts; n++) {
        other = df_openapi_view_at(a, n);

        if (df_report_view_is_alias(other)
            && df_report_view_at(other, 0) == df_report_view_at(view, 0))
        {
            df_json_put(w, "'%V'", &other->name);
        }
    }

    df_json_put(w, "]}");
}
