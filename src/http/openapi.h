
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The OpenAPI document of a server, which is made when the configuration is
 * read.  Each directive that makes a location an API says how it is described:
 *
 *     openapi.c             the directive, the document as a whole, serving
 *     openapi_model.c       a location with a model
 *     openapi_paths.c       its operations
 *     openapi_params.c      their parameters,
 *     openapi_conditions.c  and those that are fields
 *     openapi_schemas.c     records, bodies, filters
 *     openapi_groups.c      aggregates
 *     openapi_bulk.c        bulks
 *     openapi_types.c       the values of fields
 *     openapi_example.c     examples of them
 *     openapi_pattern.c     regular expressions, as JSON Schema has them
 *     openapi_analytics.c   a location with reports
 *     openapi_problems.c    refusals
 */


#ifndef _DF_HTTP_OPENAPI_H_INCLUDED_
#define _DF_HTTP_OPENAPI_H_INCLUDED_


#include "http/http_internal.h"


DF_HIDDEN_BEGIN


typedef struct df_openapi_s  df_openapi_t;

/*
 * Adds what a location offers to the document; data is what was given with the
 * function.  Called when models and reports are finished, and never for a
 * location of another server.
 */
typedef ngx_int_t (*df_openapi_describe_pt)(df_openapi_t *doc,
    df_http_loc_conf_t *conf, void *data);

ngx_int_t df_openapi_conf_init(ngx_conf_t *cf, df_http_main_conf_t *dmcf);

/* of a directive of a location, while it is read */
ngx_int_t df_openapi_location(ngx_conf_t *cf, df_http_loc_conf_t *conf,
    df_openapi_describe_pt describe, void *data);


/* the document while it is made; its pool ends with that */

typedef struct {
    ngx_rbtree_t          tree;
    ngx_rbtree_node_t     sentinel;
} df_openapi_names_t;

struct df_openapi_s {
    ngx_pool_t           *pool;
    ngx_log_t            *log;
    df_http_main_conf_t  *main;
    void                 *server;
    ngx_uint_t            patterns;     /* conditions=patterns */

    df_writer_t           tags;         /* members or elements of each */
    df_writer_t           paths;
    df_writer_t           schemas;      /* of models, */
    df_writer_t           shared;       /* of what they share */
    df_writer_t           parameters;
    df_writer_t           models;       /* of x-dataflow */
    df_writer_t           reports;
    df_writer_t           types;

    df_openapi_names_t    names;        /* of what is in the document */
    uint64_t              problems;     /* bits: of statuses from 400 on that
                                           it refers to */
};

/* NGX_OK: the name is new and is noted; NGX_DECLINED: it is there; kind keeps
   names of different things apart */
ngx_int_t df_openapi_once(df_openapi_t *doc, const char *kind,
    const ngx_str_t *name);


/* what a model is called, which is more than its name when another one of the
   document has the same */
ngx_str_t df_openapi_name(df_openapi_t *doc, const df_model_t *model);
/* 1 when the document tells of it */
ngx_uint_t df_openapi_has(df_openapi_t *doc, const df_model_t *model);


/* a path as URLs have it: its braces are none of what is to be filled in */
ngx_int_t df_openapi_url(ngx_pool_t *pool, const ngx_str_t *path,
    ngx_str_t *url);


/* a location with dataflow_analytics */

ngx_int_t df_openapi_analytics(df_openapi_t *doc, df_http_loc_conf_t *conf,
    void *data);


/* a location with a model */

typedef struct {
    df_openapi_t         *doc;
    df_http_loc_conf_t   *conf;
    const df_model_t     *model;
    ngx_str_t             name;
    ngx_str_t             path;         /* of the location, as a URL has it */
    unsigned              slash:1;      /* its list has one at the end */
} df_openapi_model_t;

ngx_int_t df_openapi_model(df_openapi_t *doc, df_http_loc_conf_t *conf,
    void *data);

void df_openapi_paths(df_openapi_model_t *m);
/* their names, elements of w */
void df_openapi_operations(df_openapi_model_t *m, df_writer_t *w);
void df_openapi_schemas(df_openapi_model_t *m);
/* schemas of aggregates, members of w */
void df_openapi_groups(df_openapi_model_t *m, df_writer_t *w);

/* schemas of bulks, members of w */
void df_openapi_bulk(df_openapi_model_t *m, df_writer_t *w);
/* the fields of an update, members of w */
void df_openapi_update_members(df_openapi_model_t *m, df_writer_t *w);

#define df_openapi_exposes(m, op)  ((m)->conf->rules.expose & (1u << (op)))
#define df_openapi_exposes_any(m, bits)  ((m)->conf->rules.expose & (bits))
#define df_openapi_imports(m)                                                 \
    df_openapi_exposes_any(m, 1u << DF_BULK_CREATE | 1u << DF_BULK_UPSERT)


/* parameters: references to those of an operation, elements of w */

void df_openapi_parameters(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op);
/* of an import, without those that the operation has */
void df_openapi_import_parameters(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op);
ngx_uint_t df_openapi_is_parameter(df_operation_t op, const ngx_str_t *name);
/* conditions on fields, each or by patterns */
void df_openapi_conditions(df_openapi_model_t *m, df_writer_t *w);
void df_openapi_condition_patterns(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t operation);
/* a|b: with what a path can begin, or an include; NGX_DECLINED when there is
   nothing */
#define DF_OPENAPI_FIELDS     0x01      /* of json */
#define DF_OPENAPI_RELATIONS  0x02
#define DF_OPENAPI_REVERSES   0x04
ngx_int_t df_openapi_reached(df_openapi_model_t *m, ngx_uint_t what,
    ngx_str_t *names);

/* whether a relation can be followed, in one direction or the other */
ngx_uint_t df_openapi_relates(const df_model_t *model);

/* members of an object that has the operation's parameters */
void df_openapi_members(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op);


/* values: members of the schema of a field, without its braces */

typedef enum {
    DF_OPENAPI_ANSWER = 0,
    DF_OPENAPI_BODY,            /* numbers may be texts */
    DF_OPENAPI_QUERY
} df_openapi_use_t;

void df_openapi_value(df_writer_t *w, const df_field_t *field,
    df_openapi_use_t use, ngx_uint_t null);
/* the same of an element, or of any field of the type; nothing constrains it */
void df_openapi_plain(df_writer_t *w, const df_type_t *type, ngx_uint_t array,
    df_openapi_use_t use, ngx_uint_t null);
/* "default": what a record is created with */
void df_openapi_default(df_writer_t *w, const df_field_t *field);
/* "numeric(12,2)", "text[]": as in nginx.conf; "text.array" as a part of names
   in the document */
ngx_str_t df_openapi_type_name(ngx_pool_t *pool, const df_field_t *field);
ngx_str_t df_openapi_type_key(ngx_pool_t *pool, const df_field_t *field);
/* PostgreSQL's text of a value as JSON; NGX_DECLINED when it has none */
ngx_int_t df_openapi_json(ngx_pool_t *pool, const df_field_t *field,
    const ngx_str_t *text, ngx_str_t *json);


/* examples: a value of the field as JSON; NGX_DECLINED when none was found */

ngx_int_t df_openapi_example(ngx_pool_t *pool, const df_field_t *field,
    ngx_str_t *json);


/* patterns: 1 when ECMAScript takes the expression as PCRE does; a text that
   matches it, as far as that is simple */

ngx_uint_t df_openapi_pattern_is_common(const ngx_str_t *pattern);
ngx_int_t df_openapi_pattern_sample(ngx_pool_t *pool,
    const ngx_str_t *pattern, ngx_str_t *text);


/* problems: the responses of an operation, members of w; statuses end with 0;
   their schema and the responses that were referred to */

void df_openapi_refusals(df_openapi_t *doc, df_writer_t *w,
    const ngx_uint_t *statuses);
void df_openapi_problem_schemas(df_writer_t *w);
void df_openapi_problem_responses(df_openapi_t *doc, df_writer_t *w);


DF_HIDDEN_END


#endif /* _DF_HTTP_OPENAPI_H_INCLUDED_ */
