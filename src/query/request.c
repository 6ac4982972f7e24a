
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A request before anything was said: the operations there are, and what is
 * told beside the query and the body, the key and If-Match.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


const ngx_str_t  df_operation_names[DF_OPERATIONS] = {
    [DF_LIST] = ngx_string("list"),
    [DF_GET] = ngx_string("get"),
    [DF_CREATE] = ngx_string("create"),
    [DF_UPDATE] = ngx_string("update"),
    [DF_REPLACE] = ngx_string("replace"),
    [DF_DELETE] = ngx_string("delete"),
    [DF_AGGREGATE] = ngx_string("aggregate"),
    [DF_BULK_CREATE] = ngx_string("bulk_create"),
    [DF_BULK_UPDATE] = ngx_string("bulk_update"),
    [DF_BULK_UPSERT] = ngx_string("bulk_upsert"),
    [DF_BULK_DELETE] = ngx_string("bulk_delete")
};


df_operation_t
df_query_operation(const ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_OPERATIONS; i++) {
        if (df_query_same(&df_operation_names[i], name)) {
            break;
        }
    }

    return i;
}


ngx_int_t
df_query_request_init(df_request_t *r, ngx_pool_t *pool,
    const df_model_t *model, df_operation_t op)
{
    ngx_memzero(r, sizeof(df_request_t));

    r->op = op;
    r->model = model;
    r->pool = pool;

    if (ngx_array_init(&r->joins, pool, 2, sizeof(df_join_t *)) != NGX_OK
        || ngx_array_init(&r->sort, pool, 2, sizeof(df_sort_t)) != NGX_OK
        || ngx_array_init(&r->fields, pool, 4, sizeof(df_field_t *)) != NGX_OK
        || ngx_array_init(&r->includes, pool, 2, sizeof(df_include_t *))
           != NGX_OK
        || ngx_array_init(&r->values, pool, 8, sizeof(df_assignment_t))
           != NGX_OK
        || ngx_array_init(&r->expected, pool, 2, sizeof(df_assignment_t))
           != NGX_OK
        || ngx_array_init(&r->if_match, pool, 1, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


const df_field_t *
df_query_field(const df_model_t *model, const ngx_str_t *name)
{
    const df_field_t  *field;

    field = df_schema_field(model, name);

    return (field && !field->hidden) ? field : NULL;
}


ngx_int_t
df_query_parse_key(df_request_t *r, const ngx_str_t *text,
    df_problem_t *problem)
{
    ngx_int_t         rc;
    ngx_uint_t        number;
    df_value_error_t  error;

    rc = df_schema_parse_text(r->model->key, r->pool, text, 0, &r->key,
                              &error);

    /* /007 is not another place of /7, but a UUID may be in any case
       (RFC 9562, 4) and a time in any offset */

    number = r->model->key->type->flags & DF_TYPE_NUMBER;

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && number && !df_query_same(text, &r->key.text)))
    {
        return df_problem_set(problem, DF_PROBLEM_NOT_FOUND,
                              "there is no record with this key");
    }

    return rc;
}


static ngx_uint_t
df_query_tag_length(const u_char *p, const u_char *last)
{
    const u_char  *start;

    for (start = p; p < last; p++) {
        if (*p < 0x21 || *p == '"' || *p == 0x7f) {
            break;
        }
    }

    return p - start;
}


/*
 * RFC 9110, 13.1.1: *, or a list of entity tags.  The comparison is strong, so
 * a weak tag matches nothing and is left out; a list of such alone is given
 * and empty.
 */

ngx_int_t
df_query_parse_if_match(df_request_t *r, const ngx_str_t *value,
    df_problem_t *problem)
{
    u_char      *p, *last;
    ngx_str_t   *tag;
    ngx_uint_t   weak, len;

    static const ngx_str_t  name = ngx_string("If-Match");

    p = value->data;
    last = value->data + value->len;

    r->has_if_match = 1;

    while (p < last) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        if (*p == '*' && value->len == 1) {
            r->if_match_any = 1;
            return NGX_OK;
        }

        weak = (last - p > 2 && p[0] == 'W' && p[1] == '/');

        if (weak) {
            p += 2;
        }

        if (*p++ != '"') {
            goto invalid;
        }

        len = df_query_tag_length(p, last);

        if (p + len == last || p[len] != '"') {
            goto invalid;
        }

        if (!weak) {
            tag = ngx_array_push(&r->if_match);

            if (tag == NULL
                || df_str_copy(r->pool, tag, p, len) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        p += len + 1;
    }

    return NGX_OK;

invalid:

    (void) df_problem_set(problem, DF_PROBLEM_BAD_REQUEST,
                          "If-Match is not a list of entity tags");

    return df_problem_add(problem, DF_PROBLEM_BAD_REQUEST, DF_AT_HEADER,
                          &name, "syntax",
                          "expected * or tags such as \"123\"");
}
