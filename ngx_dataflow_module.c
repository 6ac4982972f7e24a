
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The module: its directives and the hooks that nginx calls, nothing else.
 */


#include "http/http.h"


static ngx_int_t ngx_dataflow_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_dataflow_init_process(ngx_cycle_t *cycle);
static void ngx_dataflow_exit_process(ngx_cycle_t *cycle);


#define NGX_DATAFLOW_ANYWHERE                                                 \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF


static ngx_command_t  ngx_dataflow_commands[] = {

    { ngx_string("dataflow_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      df_http_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow_database"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      df_http_conf_database,
      NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow"),
      NGX_DATAFLOW_ANYWHERE|NGX_CONF_TAKE1,
      df_http_conf_use,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow_model"),
      NGX_HTTP_LOC_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      df_http_conf_model,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow_analytics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      df_http_conf_analytics,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow_limit_rows"),
      NGX_DATAFLOW_ANYWHERE|NGX_CONF_1MORE,
      df_http_conf_limit_rows,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow_expose"),
      NGX_DATAFLOW_ANYWHERE|NGX_CONF_1MORE,
      df_http_conf_expose,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      df_http_conf_health,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("dataflow_openapi"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      df_http_conf_openapi,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_dataflow_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_dataflow_postconfiguration,        /* postconfiguration */

    df_http_create_main_conf,              /* create main configuration */
    df_http_init_main_conf,                /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    df_http_create_loc_conf,               /* create location configuration */
    df_http_merge_loc_conf                 /* merge location configuration */
};


ngx_module_t  ngx_dataflow_module = {
    NGX_MODULE_V1,
    &ngx_dataflow_module_ctx,              /* module context */
    ngx_dataflow_commands,                 /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_dataflow_init_process,             /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_dataflow_exit_process,             /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* what stands in the blocks of dataflow_database, dataflow_model and
   dataflow_analytics, and in those of its reports */

static ngx_command_t  ngx_dataflow_block_commands[] = {

    { ngx_string("primary"),
      DF_DATABASE_BLOCK|NGX_CONF_TAKE1,
      df_pg_conf_primary,
      0, 0, NULL },

    { ngx_string("pool"),
      DF_DATABASE_BLOCK|NGX_CONF_1MORE,
      df_pg_conf_pool,
      0, 0, NULL },

    { ngx_string("timeout"),
      DF_DATABASE_BLOCK|NGX_CONF_1MORE,
      df_pg_conf_timeout,
      0, 0, NULL },

    { ngx_string("prepare"),
      DF_DATABASE_BLOCK|NGX_CONF_TAKE1,
      ngx_conf_set_flag_slot,
      0, offsetof(df_database_t, prepare), NULL },

    { ngx_string("migrate"),
      DF_DATABASE_BLOCK|NGX_CONF_TAKE1,
      df_pg_conf_migrate,
      0, 0, NULL },

    { ngx_string("table"),
      DF_MODEL_BLOCK|NGX_CONF_TAKE1,
      df_schema_conf_table,
      0, 0, NULL },

    { ngx_string("key"),
      DF_MODEL_BLOCK|NGX_CONF_TAKE1,
      df_schema_conf_key,
      0, 0, NULL },

    { ngx_string("field"),
      DF_MODEL_BLOCK|NGX_CONF_ANY,
      df_schema_conf_field,
      0, 0, NULL },

    { ngx_string("index"),
      DF_MODEL_BLOCK|NGX_CONF_ANY,
      df_schema_conf_index,
      0, 0, NULL },

    { ngx_string("relation"),
      DF_MODEL_BLOCK|NGX_CONF_ANY,
      df_schema_conf_relation,
      0, 0, NULL },

    { ngx_string("timestamps"),
      DF_MODEL_BLOCK|NGX_CONF_TAKE1,
      ngx_conf_set_flag_slot,
      0, offsetof(df_model_t, timestamps), NULL },

    { ngx_string("description"),
      DF_MODEL_BLOCK|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0, offsetof(df_model_t, description), NULL },

    { ngx_string("report"),
      DF_ANALYTICS_BLOCK|NGX_CONF_BLOCK|NGX_CONF_1MORE,
      df_report_conf_report,
      0, 0, NULL },

    { ngx_string("dashboard"),
      DF_ANALYTICS_BLOCK|NGX_CONF_1MORE,
      df_report_conf_dashboard,
      0, 0, NULL },

    { ngx_string("from"),
      DF_REPORT_BLOCK|NGX_CONF_TAKE1,
      df_report_conf_from,
      0, 0, NULL },

    { ngx_string("param"),
      DF_REPORT_BLOCK|NGX_CONF_ANY,
      df_report_conf_param,
      0, 0, NULL },

    { ngx_string("filter"),
      DF_REPORT_BLOCK|NGX_CONF_ANY,
      df_report_conf_filter,
      0, 0, NULL },

    { ngx_string("group"),
      DF_REPORT_BLOCK|NGX_CONF_ANY,
      df_report_conf_group,
      0, 0, NULL },

    { ngx_string("value"),
      DF_REPORT_BLOCK|NGX_CONF_ANY,
      df_report_conf_value,
      0, 0, NULL },

    { ngx_string("having"),
      DF_REPORT_BLOCK|NGX_CONF_ANY,
      df_report_conf_having,
      0, 0, NULL },

    { ngx_string("sort"),
      DF_REPORT_BLOCK|NGX_CONF_1MORE,
      df_report_conf_sort,
      0, 0, NULL },

    { ngx_string("limit"),
      DF_REPORT_BLOCK|NGX_CONF_TAKE1,
      df_report_conf_limit,
      0, 0, NULL },

    { ngx_string("timezone"),
      DF_REPORT_BLOCK|NGX_CONF_TAKE1,
      df_report_conf_timezone,
      0, 0, NULL },

    { ngx_string("description"),
      DF_REPORT_BLOCK|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0, offsetof(df_report_t, description), NULL },

      ngx_null_command
};


/*
 * NGX_MODULE_V1 leaves ctx_index unset and nginx would only set it for types
 * it counts; the blocks hold one structure each, so the index is 0.
 */

ngx_module_t  ngx_dataflow_block_module = {
    0, NGX_MODULE_UNSET_INDEX, NULL, 0, 0, nginx_version,
    NGX_MODULE_SIGNATURE,
    NULL,                                  /* module context */
    ngx_dataflow_block_commands,           /* module directives */
    DF_BLOCK_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_dataflow_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t             i;
    df_analytics_t       **analytics;
    df_http_main_conf_t   *dmcf;

    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_dataflow_module);

    if (df_pg_conf_finish(cf, &dmcf->pg, dmcf->zone) != NGX_OK) {
        return NGX_ERROR;
    }

    if (df_schema_finish(cf, &dmcf->schema) != NGX_OK
        || df_query_conf_indexes(cf, &dmcf->schema) != NGX_OK)
    {
        return NGX_ERROR;
    }

    analytics = dmcf->analytics.elts;

    for (i = 0; i < dmcf->analytics.nelts; i++) {
        if (df_report_finish(cf, analytics[i], &dmcf->schema) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_openapi_finish(cf, dmcf);
}


static ngx_int_t
ngx_dataflow_init_process(ngx_cycle_t *cycle)
{
    df_http_main_conf_t  *dmcf;

    /* the cache manager and loader come here too */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    dmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_dataflow_module);
    if (dmcf == NULL) {
        return NGX_OK;
    }

    if (df_pg_init_process(cycle, &dmcf->pg) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_schema_init_process(cycle, &dmcf->pg, &dmcf->schema);
}


static void
ngx_dataflow_exit_process(ngx_cycle_t *cycle)
{
    df_http_main_conf_t  *dmcf;

    dmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_dataflow_module);
    if (dmcf == NULL) {
        return;
    }

    df_pg_exit_process(&dmcf->pg);
}
