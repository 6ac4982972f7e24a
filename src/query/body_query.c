
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The body of POST …/query: the parameters of a list as the members of a JSON
 * object.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static const char *
df_query_member_expected(const df_parameter_t *parameter)
{
    if (parameter->list) {
        return "expected an array of names, or a string of them";
    }

    if (parameter->kinds & (1u << DF_JSON_NUMBER)) {
        return "expected a whole number";
    }

    if (parameter->kinds & (1u << DF_JSON_TRUE)) {
        return "expected true or false";
    }

    return "expected a string";
}


static ngx_int_t
df_query_list_set(df_request_t *r, const df_parameter_t *parameter,
    const cJSON *node, const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t     rc;
    ngx_str_t     text;
    df_place_t    at;
    const cJSON  *item;

    if (node->child == NULL) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "expected at least one name");
    }

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;

    for (item = node->child; item; item = item->next) {

        if (df_json_kind(item) != DF_JSON_STRING) {
            return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, &at,
                                   "type", "expected a string");
        }

        text = df_json_text(item);

        rc = parameter->set(r, &text, &at, problem);
        if (rc != NGX_OK) {
            return rc;
        }

        at.index++;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_member_set(df_request_t *r, const df_parameter_t *parameter,
    const cJSON *node, const df_place_t *place, df_problem_t *problem)
{
    ngx_str_t       text;
    df_json_kind_t  kind;

    if (parameter->read) {
        return parameter->read(r, node, place, problem);
    }

    kind = df_json_kind(node);

    if (parameter->list && kind == DF_JSON_ARRAY) {
        return df_query_list_set(r, parameter, node, place, problem);
    }

    if (!(parameter->kinds & (1u << kind))) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place,
                               "type", "%s",
                               df_query_member_expected(parameter));
    }

    text = df_json_text(node);

    return df_query_parameter_set(r, parameter, &text, place, problem);
}


/* a member that is no parameter: a condition belongs one level down */

static ngx_int_t
df_query_member_refuse(df_request_t *r, const ngx_str_t *name,
    const df_place_t *place, df_problem_t *problem)
{
    u_char     *p, *last;
    ngx_str_t   head;

    head = *name;
    last = name->data + name->len;

    for (p = name->data; p < last; p++) {
        if (*p == '.' || (*p == '_' && last - p > 1 && p[1] == '_')) {
            head.len = p - name->data;
            break;
        }
    }

    if (df_query_field(r->model, &head) == NULL
        && (name->len == 0 || name->data[0] != '$'))
    {
        return df_query_parameter_refuse(r, name, 0, place, problem);
    }

    return df_query_refuse(problem, DF_PROBLEM_UNKNOWN_PARAMETER, place,
                           "unknown_parameter",
                           "a condition belongs in \"filter\"");
}


ngx_int_t
df_query_parse_query(df_request_t *r, const cJSON *body,
    df_problem_t *problem)
{
    ngx_int_t              rc;
    ngx_str_t              name;
    df_place_t             place;
    const cJSON           *member;
    const df_parameter_t  *parameter;

    static const df_place_t  whole;

    if (r->place == NULL) {
        r->place = &whole;
    }

    if (df_json_kind(body) != DF_JSON_OBJECT) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, r->place,
                               "type", "expected an object");
    }

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = r->place;
    place.name = &name;

    for (member = body->child; member; member = member->next) {
        name = df_json_name(member);

        rc = df_query_parameter(r, &name, &place, &parameter, problem);
        if (rc != NGX_OK) {
            return rc;
        }

        if (parameter == NULL) {
            return df_query_member_refuse(r, &name, &place, problem);
        }

        rc = df_query_member_set(r, parameter, member, &place, problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}
