
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files of reports share among themselves.
 */


#ifndef _DF_QUERY_REPORT_INTERNAL_H_INCLUDED_
#define _DF_QUERY_REPORT_INTERNAL_H_INCLUDED_


#include "query/query_internal.h"
#include "query/report.h"


DF_HIDDEN_BEGIN


/* file and line of the directive, with which messages that come later end */
char *df_report_conf_where(ngx_conf_t *cf, ngx_str_t *where);

/* the document of GET of the location itself */
ngx_int_t df_report_list(ngx_pool_t *pool, const df_analytics_t *analytics,
    ngx_str_t *text);


/* looks up what a dashboard names, and gathers parameters; what was wrong is
   logged */
ngx_int_t df_report_view_finish(ngx_conf_t *cf, df_analytics_t *analytics,
    df_report_view_t *view);

/* NULL when the view has none of this name */
df_report_param_t *df_report_view_param(const df_report_view_t *view,
    const ngx_str_t *name);


/* without it the conditions that use it are left out */

static ngx_inline ngx_uint_t
df_report_is_optional(const df_field_t *param)
{
    return !param->required && param->default_kind == DF_DEFAULT_NONE;
}


DF_HIDDEN_END


#endif /* _DF_QUERY_REPORT_INTERNAL_H_INCLUDED_ */
