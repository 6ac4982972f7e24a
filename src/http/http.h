
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * http: REST.  The only folder that knows ngx_http_request_t of plain
 * requests: method and path to operation, body, response, health.
 */


#ifndef _DF_HTTP_H_INCLUDED_
#define _DF_HTTP_H_INCLUDED_


#include "query/query.h"
#include "query/report.h"
#include <ngx_http.h>


DF_HIDDEN_BEGIN


typedef struct {
    df_pg_conf_t       pg;
    df_schema_conf_t   schema;
    df_zone_t         *zone;            /* NULL without databases */
    ngx_array_t        uses;            /* df_http_use_t */
    ngx_array_t        analytics;       /* df_analytics_t * */
    ngx_array_t        openapis;        /* df_http_openapi_t * */
    ngx_array_t        locations;       /* that they tell of */
} df_http_main_conf_t;

/* a "dataflow_openapi" and its document, which is made last of all */
typedef struct {
    ngx_str_t          title;
    ngx_str_t          version;
    ngx_str_t          description;
    ngx_uint_t         patterns;        /* conditions=patterns */
    void              *server;          /* whose locations it tells of */
    u_char            *file;            /* where it was declared */
    ngx_uint_t         line;
    ngx_str_t          text;
    ngx_str_t          etag;            /* with its quotes */
} df_http_openapi_t;

typedef struct {
    df_database_t     *database;        /* dataflow NAME */
    df_model_t        *model;           /* never inherited, nor is */
    df_analytics_t    *analytics;
    df_rules_t         rules;           /* but for the secret, which only
                                           workers know */
    ngx_uint_t         default_limit;   /* as written, or unset */
    u_char            *rules_file;      /* of dataflow_limit_rows */
    ngx_uint_t         rules_line;
    ngx_flag_t         health;          /* never inherited */
    u_char            *health_file;
    ngx_uint_t         health_line;
    df_http_openapi_t *openapi;         /* never inherited */
    off_t              body_limit;      /* client_max_body_size */
    ngx_str_t          path;            /* the location's, no final slash */
} df_http_loc_conf_t;

/* a "dataflow NAME", which may stand before the database it names */
typedef struct {
    ngx_str_t            name;
    df_http_loc_conf_t  *conf;
    u_char              *file;
    ngx_uint_t           line;
} df_http_use_t;

void *df_http_create_main_conf(ngx_conf_t *cf);
char *df_http_init_main_conf(ngx_conf_t *cf, void *conf);
void *df_http_create_loc_conf(ngx_conf_t *cf);
char *df_http_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);

/* directives of http, server and location */
char *df_http_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_use(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_analytics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_limit_rows(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_expose(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_http_conf_openapi(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* makes the documents of dataflow_openapi: models are finished */
ngx_int_t df_openapi_finish(ngx_conf_t *cf, df_http_main_conf_t *dmcf);

/* content handlers of a location with a model, with dataflow_analytics, with
   dataflow_health, with dataflow_openapi */
ngx_int_t df_http_handler(ngx_http_request_t *r);
ngx_int_t df_http_analytics_handler(ngx_http_request_t *r);
ngx_int_t df_http_health_handler(ngx_http_request_t *r);
ngx_int_t df_http_openapi_handler(ngx_http_request_t *r);


DF_HIDDEN_END


extern ngx_module_t  ngx_dataflow_module;
extern ngx_module_t  ngx_dataflow_block_module;


#endif /* _DF_HTTP_H_INCLUDED_ */
