
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The directives of http, server and location, and what a location inherits.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "http/openapi.h"


#define DF_HTTP_ZONE_SIZE  (8 * 1024 * 1024)


static ngx_int_t df_http_conf_resolve(ngx_conf_t *cf,
    df_http_main_conf_t *dmcf, df_http_use_t *use);
static ngx_str_t *df_http_conf_database_at(void *list, ngx_uint_t i);
static ngx_int_t df_http_conf_prefix(ngx_conf_t *cf,
    df_http_loc_conf_t *dlcf, ngx_http_handler_pt handler);
static char *df_http_merge_rules(ngx_conf_t *cf, df_http_loc_conf_t *prev,
    df_http_loc_conf_t *conf);
static char *df_http_merge_model(ngx_conf_t *cf, df_http_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf);
static char *df_http_merge_analytics(ngx_conf_t *cf, df_http_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf);
static char *df_http_merge_handler(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_handler_pt handler,
    const char *directive, u_char *file, ngx_uint_t line);
static ngx_str_t *df_http_conf_operation_at(void *list, ngx_uint_t i);


static const df_conf_option_t  df_http_conf_rows_options[] = {
    { ngx_string("default"), df_conf_set_num,
      offsetof(df_http_loc_conf_t, default_limit), 1, 0 },
    { ngx_string("max"), df_conf_set_num,
      offsetof(df_http_loc_conf_t, rules.max_limit), 1, 0 },
    { ngx_string("offset"), df_conf_set_num,
      offsetof(df_http_loc_conf_t, rules.max_offset), 0, 0 },
    { ngx_string("stream"), df_conf_set_on_off,
      offsetof(df_http_loc_conf_t, rules.stream), 0, 0 },
    { ngx_null_string, NULL, 0, 0, 0 }
};


void *
df_http_create_main_conf(ngx_conf_t *cf)
{
    df_http_main_conf_t  *dmcf;

    dmcf = ngx_pcalloc(cf->pool, sizeof(df_http_main_conf_t));
    if (dmcf == NULL) {
        return NULL;
    }

    if (df_pg_conf_init(cf, &dmcf->pg) != NGX_OK
        || df_schema_conf_init(cf, &dmcf->schema) != NGX_OK
        || df_openapi_conf_init(cf, dmcf) != NGX_OK
        || ngx_array_init(&dmcf->uses, cf->pool, 4, sizeof(df_http_use_t))
           != NGX_OK
        || ngx_array_init(&dmcf->analytics, cf->pool, 1,
                          sizeof(df_analytics_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return dmcf;
}


/* the blocks are read, nothing is merged yet */

char *
df_http_init_main_conf(ngx_conf_t *cf, void *conf)
{
    df_http_main_conf_t *dmcf = conf;

    ngx_str_t       name;
    ngx_uint_t      i;
    df_http_use_t  *use;

    if (dmcf->zone == NULL && dmcf->pg.databases.nelts) {
        ngx_str_set(&name, "dataflow");

        dmcf->zone = df_zone_create(cf, &name, DF_HTTP_ZONE_SIZE,
                                    &ngx_dataflow_module);
        if (dmcf->zone == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    use = dmcf->uses.elts;

    for (i = 0; i < dmcf->uses.nelts; i++) {
        if (df_http_conf_resolve(cf, dmcf, &use[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
df_http_conf_resolve(ngx_conf_t *cf, df_http_main_conf_t *dmcf,
    df_http_use_t *use)
{
    ngx_str_t  known;

    use->conf->database = df_pg_conf_find(&dmcf->pg, &use->name);

    if (use->conf->database) {
        return NGX_OK;
    }

    known = df_conf_known(cf, &use->name, &dmcf->pg.databases,
                          dmcf->pg.databases.nelts, df_http_conf_database_at);

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "unknown database \"%V\" in \"dataflow\": %V, declare it "
                  "with \"dataflow_database %V { ... }\" in %s:%ui",
                  &use->name, &known, &use->name, use->file, use->line);

    return NGX_ERROR;
}


static ngx_str_t *
df_http_conf_database_at(void *list, ngx_uint_t i)
{
    ngx_array_t *databases = list;

    df_database_t  **database;

    database = databases->elts;

    return &database[i]->name;
}


void *
df_http_create_loc_conf(ngx_conf_t *cf)
{
    df_http_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(df_http_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->model = NULL;
     *     conf->analytics = NULL;
     *     conf->rules.expose = 0;
     *     conf->rules.secret = NULL;
     *     conf->body_limit = 0;
     *     conf->path = { 0, NULL };
     *     conf->openapi = NULL;
     */

    conf->database = NGX_CONF_UNSET_PTR;
    conf->default_limit = NGX_CONF_UNSET_UINT;
    conf->rules.max_limit = NGX_CONF_UNSET_UINT;
    conf->rules.max_offset = NGX_CONF_UNSET_UINT;
    conf->rules.stream = NGX_CONF_UNSET;
    conf->rules_file = NGX_CONF_UNSET_PTR;
    conf->rules_line = NGX_CONF_UNSET_UINT;
    conf->health = NGX_CONF_UNSET;

    return conf;
}


char *
df_http_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    df_http_loc_conf_t *prev = parent;
    df_http_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_conf_merge_ptr_value(conf->database, prev->database, NULL);

    if (df_http_merge_rules(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_value(conf->health, 0);

    /* "if" and "limit_except" belong to their location */

    if (clcf->noname) {
        conf->model = prev->model;
        conf->analytics = prev->analytics;
        conf->path = prev->path;
        conf->health = prev->health;
        conf->health_file = prev->health_file;
        conf->health_line = prev->health_line;
        conf->openapi = prev->openapi;

        /* a request enters "if" with its handler, but "limit_except" without */

        if (clcf->lmt_excpt && conf->model && clcf->handler == NULL) {
            clcf->handler = df_http_handler;
        }

        if (clcf->lmt_excpt && conf->analytics && clcf->handler == NULL) {
            clcf->handler = df_http_analytics_handler;
        }

        if (clcf->lmt_excpt && conf->health && clcf->handler == NULL) {
            clcf->handler = df_http_health_handler;
        }

        if (clcf->lmt_excpt && conf->openapi && clcf->handler == NULL) {
            clcf->handler = df_http_openapi_handler;
        }
    }

    if (conf->model) {
        return df_http_merge_model(cf, conf, clcf);
    }

    if (conf->analytics) {
        return df_http_merge_analytics(cf, conf, clcf);
    }

    if (conf->openapi) {
        return df_http_merge_handler(cf, clcf, df_http_openapi_handler,
                                     "dataflow_openapi", conf->openapi->file,
                                     conf->openapi->line);
    }

    if (conf->health) {
        return df_http_merge_handler(cf, clcf, df_http_health_handler,
                                     "dataflow_health", conf->health_file,
                                     conf->health_line);
    }

    return NGX_CONF_OK;
}


static char *
df_http_merge_rules(ngx_conf_t *cf, df_http_loc_conf_t *prev,
    df_http_loc_conf_t *conf)
{
    df_rules_t  *rules;

    rules = &conf->rules;

    ngx_conf_merge_uint_value(conf->default_limit, prev->default_limit,
                              NGX_CONF_UNSET_UINT);
    ngx_conf_merge_uint_value(rules->max_limit, prev->rules.max_limit, 1000);
    ngx_conf_merge_uint_value(rules->max_offset, prev->rules.max_offset,
                              10000);
    ngx_conf_merge_value(rules->stream, prev->rules.stream, 1);
    ngx_conf_merge_ptr_value(conf->rules_file, prev->rules_file, NULL);
    ngx_conf_merge_uint_value(conf->rules_line, prev->rules_line, 0);

    if (rules->expose == 0) {
        rules->expose = prev->rules.expose ? prev->rules.expose
                                           : DF_EXPOSE_ALL;
    }

    if (conf->default_limit == NGX_CONF_UNSET_UINT) {
        rules->default_limit = ngx_min(100, rules->max_limit);
        return NGX_CONF_OK;
    }

    rules->default_limit = conf->default_limit;

    if (rules->default_limit > rules->max_limit) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"default=%ui\" of \"dataflow_limit_rows\" is over "
                      "\"max=%ui\": raise max= as well in %s:%ui",
                      rules->default_limit, rules->max_limit,
                      conf->rules_file, conf->rules_line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
df_http_merge_model(ngx_conf_t *cf, df_http_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    df_model_t  *model;

    model = conf->model;

    if (conf->database == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no database for model \"%V\": add \"dataflow NAME;\" "
                      "to its location, its server or http in %s:%ui",
                      &model->name, model->file, model->line);
        return NGX_CONF_ERROR;
    }

    if (clcf->handler != df_http_handler
        && !(clcf->noname && clcf->handler == NULL))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" of model \"%V\" has a directive that "
                      "answers instead of it: move it to a location of its "
                      "own in %s:%ui",
                      &clcf->name, &model->name, model->file, model->line);
        return NGX_CONF_ERROR;
    }

    /* "if" and "limit_except" say nothing of either, they inherit both */

    model->database = conf->database;
    model->offered = conf->rules.expose;

    /*
     * nginx would answer 413 with a page of its own before the handler is
     * called; so that it is a problem document, the handler looks itself
     */

    conf->body_limit = clcf->client_max_body_size;
    clcf->client_max_body_size = 0;

    return NGX_CONF_OK;
}


static char *
df_http_merge_analytics(ngx_conf_t *cf, df_http_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    df_analytics_t  *analytics;

    analytics = conf->analytics;

    if (conf->database == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no database for \"dataflow_analytics\": add \"dataflow "
                      "NAME;\" to its location, its server or http in %s:%ui",
                      analytics->file, analytics->line);
        return NGX_CONF_ERROR;
    }

    if (df_http_merge_handler(cf, clcf, df_http_analytics_handler,
                              "dataflow_analytics", analytics->file,
                              analytics->line)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* what is in "if" and "limit_except" asks the same reports */

    if (!clcf->noname) {
        analytics->database = conf->database;
        analytics->rules = conf->rules;
    }

    return NGX_CONF_OK;
}


/* what is read behind a directive may have taken its location over */

static char *
df_http_merge_handler(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_handler_pt handler, const char *directive, u_char *file,
    ngx_uint_t line)
{
    if (clcf->handler == handler
        || (clcf->noname && clcf->handler == NULL))
    {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "location \"%V\" of \"%s\" has a directive that answers "
                  "instead of it: move it to a location of its own in %s:%ui",
                  &clcf->name, directive, file, line);

    return NGX_CONF_ERROR;
}


char *
df_http_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_main_conf_t *dmcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, name, text;

    if (dmcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;
    name = value[1];
    size = NGX_ERROR;

    p = (u_char *) ngx_strchr(name.data, ':');

    if (p) {
        name.len = p - name.data;
        text.data = p + 1;
        text.len = value[1].len - name.len - 1;
        size = ngx_parse_size(&text);
    }

    if (size <= 0 || !df_conf_is_name(&name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\": write NAME:SIZE, such as "
                           "shop:64m", &value[1]);
        return NGX_CONF_ERROR;
    }

    dmcf->zone = df_zone_create(cf, &name, size, &ngx_dataflow_module);

    return dmcf->zone ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
df_http_conf_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_main_conf_t *dmcf = conf;

    return df_pg_conf_database(cf, &dmcf->pg);
}


char *
df_http_conf_use(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_loc_conf_t *dlcf = conf;

    ngx_str_t            *value;
    df_http_use_t        *use;
    df_http_main_conf_t  *dmcf;

    if (dlcf->database != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_dataflow_module);

    use = ngx_array_push(&dmcf->uses);
    if (use == NULL) {
        return NGX_CONF_ERROR;
    }

    use->name = value[1];
    use->conf = dlcf;
    use->file = cf->conf_file->file.name.data;
    use->line = cf->conf_file->line;

    /* its database is found when all are read */

    dlcf->database = NULL;

    return NGX_CONF_OK;
}


char *
df_http_conf_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_loc_conf_t *dlcf = conf;

    df_http_main_conf_t  *dmcf;

    if (dlcf->model) {
        return "is duplicate";
    }

    if (df_http_conf_prefix(cf, dlcf, df_http_handler) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_dataflow_module);

    dlcf->model = df_schema_conf_model(cf, &dmcf->schema);

    if (dlcf->model == NULL
        || df_openapi_location(cf, dlcf, df_openapi_model, NULL) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
df_http_conf_analytics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_loc_conf_t *dlcf = conf;

    df_analytics_t       **analytics;
    df_http_main_conf_t   *dmcf;

    if (dlcf->analytics) {
        return "is duplicate";
    }

    if (df_http_conf_prefix(cf, dlcf, df_http_analytics_handler) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_dataflow_module);

    dlcf->analytics = df_report_conf_analytics(cf);
    analytics = ngx_array_push(&dmcf->analytics);

    if (dlcf->analytics == NULL || analytics == NULL) {
        return NGX_CONF_ERROR;
    }

    *analytics = dlcf->analytics;

    if (df_openapi_location(cf, dlcf, df_openapi_analytics, NULL) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* what is behind the prefix is the record's key, or the report's name */

static ngx_int_t
df_http_conf_prefix(ngx_conf_t *cf, df_http_loc_conf_t *dlcf,
    ngx_http_handler_pt handler)
{
    ngx_str_t                 *value;
    const char                *kind;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    kind = clcf->exact_match ? "an exact" : clcf->named ? "a named" : NULL;

#if (NGX_PCRE)
    if (clcf->regex) {
        kind = "a regular expression";
    }
#endif

    if (kind) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot be in %s location \"%V\": write a "
                           "prefix location, such as \"location "
                           "/api/products\"", &value[0], kind, &clcf->name);
        return NGX_ERROR;
    }

    if (df_http_conf_handle(cf, clcf, handler) != NGX_OK) {
        return NGX_ERROR;
    }

    dlcf->path = clcf->name;

    if (dlcf->path.len && dlcf->path.data[dlcf->path.len - 1] == '/') {
        dlcf->path.len--;

        /* as with proxy_pass, the path without the slash leads here */

        clcf->auto_redirect = 1;
    }

    return NGX_OK;
}


ngx_int_t
df_http_conf_handle(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_handler_pt handler)
{
    ngx_str_t  *value;

    if (clcf->handler) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot be used here: location \"%V\" has a "
                           "directive that answers already, give each a "
                           "location of its own", &value[0], &clcf->name);
        return NGX_ERROR;
    }

    clcf->handler = handler;

    return NGX_OK;
}


char *
df_http_conf_limit_rows(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_loc_conf_t *dlcf = conf;

    if (dlcf->rules_file != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    dlcf->rules_file = cf->conf_file->file.name.data;
    dlcf->rules_line = cf->conf_file->line;

    return df_conf_options(cf, 1, df_http_conf_rows_options, dlcf);
}


char *
df_http_conf_expose(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_loc_conf_t *dlcf = conf;

    ngx_str_t       *value, known;
    ngx_uint_t       i;
    df_operation_t   op;

    if (dlcf->rules.expose) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "all") == 0) {
        dlcf->rules.expose = DF_EXPOSE_ALL;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        op = df_query_operation(&value[i]);

        if (op == DF_OPERATIONS) {
            known = df_conf_known(cf, &value[i], NULL, DF_OPERATIONS,
                                  df_http_conf_operation_at);

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown operation \"%V\" in "
                               "\"dataflow_expose\": %V, or \"all\" alone",
                               &value[i], &known);
            return NGX_CONF_ERROR;
        }

        if (dlcf->rules.expose & (1u << op)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate operation \"%V\" in "
                               "\"dataflow_expose\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        dlcf->rules.expose |= 1u << op;
    }

    return NGX_CONF_OK;
}


static ngx_str_t *
df_http_conf_operation_at(void *list, ngx_uint_t i)
{
    return (ngx_str_t *) &df_operation_names[i];
}


char *
df_http_conf_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_loc_conf_t *dlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (dlcf->health != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (df_http_conf_handle(cf, clcf, df_http_health_handler) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    dlcf->health = 1;
    dlcf->health_file = cf->conf_file->file.name.data;
    dlcf->health_line = cf->conf_file->line;

    return NGX_CONF_OK;
}
