
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What was most likely meant by an operator of a filter that is not written as
 * it should be.  Only asked when a request is refused.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


ngx_int_t
df_query_operator_refuse(df_filter_t *filter, const df_field_t *field,
    ngx_uint_t npath, const ngx_str_t *name, const char *prefix,
    const df_place_t *place)
{
    ngx_str_t   all, *nearest;

    all = df_query_operator_names(filter->request->pool, field, npath,
                                  prefix);
    nearest = df_query_operator_nearest(field, npath, name);

    if (nearest) {
        return df_query_refuse(filter->problem, DF_PROBLEM_UNKNOWN_OPERATOR,
                               place, "unknown_operator",
                               "\"%V\" takes no operator \"%s%V\"; did you "
                               "mean \"%s%V\"? It takes %V",
                               &field->name, prefix, name, prefix, nearest,
                               &all);
    }

    return df_query_refuse(filter->problem, DF_PROBLEM_UNKNOWN_OPERATOR,
                           place, "unknown_operator",
                           "\"%V\" takes no operator \"%s%V\"; it takes %V",
                           &field->name, prefix, name, &all);
}


ngx_int_t
df_query_dollar_refuse(df_filter_t *filter, const df_field_t *field,
    ngx_uint_t npath, const ngx_str_t *name, const df_place_t *place)
{
    ngx_str_t  *nearest;

    nearest = df_query_operator_nearest(field, npath, name);

    return df_query_refuse(filter->problem, DF_PROBLEM_UNKNOWN_OPERATOR,
                           place, "unknown_operator",
                           "an operator starts with $%s%V%s",
                           nearest ? "; did you mean \"$" : "",
                           nearest ? nearest : &(ngx_str_t) ngx_null_string,
                           nearest ? "\"?" : "");
}


/* "price_lt", "price[lt]", "price<5", and of "price<=5" what is before the
   sign of equality: the operator that is meant */

static ngx_uint_t
df_query_suffix_operator(const ngx_str_t *rest, ngx_str_t *op)
{
    u_char  first;

    static ngx_str_t  lt = ngx_string("lt");
    static ngx_str_t  lte = ngx_string("lte");
    static ngx_str_t  gt = ngx_string("gt");
    static ngx_str_t  gte = ngx_string("gte");
    static ngx_str_t  ne = ngx_string("ne");

    first = rest->data[0];

    if (first == '<' || first == '>') {
        *op = (first == '<') ? (rest->len == 1 ? lte : lt)
                             : (rest->len == 1 ? gte : gt);
        return 1;
    }

    if (first == '!') {
        *op = ne;
        return 1;
    }

    op->data = rest->data + 1;
    op->len = rest->len - 1;

    if (first == '[' && op->len && op->data[op->len - 1] == ']') {
        op->len--;
        return 1;
    }

    return first == '_' || first == ':';
}


ngx_str_t *
df_query_suffix_nearest(const df_request_t *r, const ngx_str_t *name)
{
    ngx_str_t          rest, op, *meant;
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = 0; i < r->model->fields.nelts; i++) {
        field = df_schema_field_at(r->model, i);

        if (field->hidden || name->len <= field->name.len
            || ngx_memcmp(name->data, field->name.data, field->name.len) != 0)
        {
            continue;
        }

        rest.data = name->data + field->name.len;
        rest.len = name->len - field->name.len;

        if (!df_query_suffix_operator(&rest, &op)
            || df_query_operator(field, 0, &op) == NULL)
        {
            continue;
        }

        meant = ngx_palloc(r->pool, sizeof(ngx_str_t));
        if (meant != NULL) {
            *meant = df_str_printf(r->pool, "%V__%V", &field->name, &op);
        }

        return meant;
    }

    return NULL;
}
