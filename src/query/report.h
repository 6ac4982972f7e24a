
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Reports: aggregates that nginx.conf declares and names.  Their expressions
 * are parsed and checked once, when all models are read, and never change
 * afterwards: the requests made of a report share them.
 *
 *     report_conf.c        dataflow_analytics { } as it is written,
 *     report_conf_block.c  and each report
 *     report_finish.c      names, types and models, once they are known
 *     report_view.c        dashboards, and the parameters of either
 *     report.c             what a client asks to requests
 *     report_list.c        the document that lists what there is
 */


#ifndef _DF_QUERY_REPORT_H_INCLUDED_
#define _DF_QUERY_REPORT_H_INCLUDED_


#include "query/query.h"


DF_HIDDEN_BEGIN


/* a line of a report: an expression, and what became of it */

typedef struct {
    ngx_uint_t        number;       /* among those of the report */
    ngx_str_t         directive;    /* "filter", */
    ngx_str_t         where;        /* and its file and line */
    ngx_str_t         name;         /* of a group or a value; a group may leave
                                       it to its expression */
    ngx_str_t         text;

    df_predicate_t   *predicate;    /* of a filter */
    uint32_t          optional;     /* bits of the parameters without which it
                                       is left out */
} df_report_clause_t;

#define DF_REPORT_MAX_PARAMS  30


typedef struct {
    ngx_str_t         name;         /* the first of its names */
    ngx_str_t         description;
    ngx_str_t         model_name;
    ngx_str_t         model_where;  /* file and line */
    ngx_array_t       params;       /* df_param_t */
    ngx_array_t       filters;      /* df_report_clause_t, joined by AND */
    ngx_array_t       groups;       /* df_report_clause_t */
    ngx_array_t       values;       /* df_report_clause_t */
    ngx_array_t       having;       /* df_report_clause_t, one or none */
    ngx_array_t       order;        /* df_report_clause_t, each as in sort= */
    ngx_uint_t        nclauses;
    ngx_uint_t        limit;        /* the default and the largest */
    ngx_str_t         limit_where;
    ngx_str_t         timezone;     /* empty: UTC */

    uint32_t          patterns;     /* bits of the parameters that are */

    const df_model_t *model;        /* known when it is finished, as are */
    df_rules_t        rules;        /* but for the secret */
    ngx_array_t       joins;        /* df_join_t * */
    ngx_array_t       outputs;      /* df_output_t, the groups first */
    const df_expr_t  *condition;    /* what having became, or NULL */
    ngx_array_t       sort;         /* df_sort_t */

    ngx_str_t         where;
} df_report_t;


/* what a client may give; a dashboard's go to each report that has them */

typedef struct {
    const df_field_t *field;        /* of the first report that has it */
    unsigned          required:1;   /* one of the reports needs it */
} df_report_param_t;


/* what a path below the location names: a report by one of its names, or a
   dashboard, which is several reports in one answer */

typedef struct {
    ngx_str_t         name;
    ngx_str_t         description;
    ngx_array_t       words;        /* ngx_str_t, names of a dashboard's */
    ngx_array_t       reports;      /* df_report_t * */
    ngx_array_t       params;       /* df_report_param_t, without "limit",
                                       which every report has */
    unsigned          dashboard:1;

    ngx_str_t         where;
} df_report_view_t;


typedef struct {
    ngx_array_t       reports;      /* df_report_t * */
    ngx_array_t       views;        /* df_report_view_t * */
    df_database_t    *database;     /* of the location; its limits of rows */
    df_rules_t        rules;
    ngx_str_t         listing;      /* a JSON document */

    u_char           *file;
    ngx_uint_t        line;
} df_analytics_t;


/* nginx.conf: dataflow_analytics { … } and the commands of its blocks */
df_analytics_t *df_report_conf_analytics(ngx_conf_t *cf);
char *df_report_conf_report(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_dashboard(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *df_report_conf_from(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_filter(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_group(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_having(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_sort(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_report_conf_timezone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* what only the whole configuration tells, after df_schema_finish(); database
   and rules of the location are set.  What was wrong is logged */
ngx_int_t df_report_finish(ngx_conf_t *cf, df_analytics_t *analytics,
    df_schema_conf_t *schema);


/* the view of a name, NULL when there is none: then the nearest name, or NULL,
   is in *nearest */
const df_report_view_t *df_report_view(const df_analytics_t *analytics,
    const ngx_str_t *name, ngx_str_t **nearest);

/*
 * The requests of a view, one for each of its reports, with what the query
 * string gives to their parameters; requests is room for them.  What they
 * share with the report must not be changed.  NGX_OK, NGX_DECLINED with the
 * problem filled, or NGX_ERROR.
 */
ngx_int_t df_report_requests(const df_report_view_t *view, ngx_pool_t *pool,
    const ngx_str_t *args, df_request_t *requests, df_problem_t *problem);


/* another one than the first name of its report */
ngx_uint_t df_report_view_is_alias(const df_report_view_t *view);


static ngx_inline df_report_t *
df_report_view_at(const df_report_view_t *view, ngx_uint_t i)
{
    return ((df_report_t **) view->reports.elts)[i];
}


DF_HIDDEN_END


#endif /* _DF_QUERY_REPORT_H_INCLUDED_ */
