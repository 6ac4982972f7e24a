
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Filters, from their two spellings to one tree of predicates: the members of
 * a JSON filter and the parameters field__operator of a query string.  Names
 * are looked up here, operands are read in operand.c.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


typedef struct {
    ngx_str_t            name;
    df_predicate_kind_t  kind;
} df_query_logical_t;


static ngx_int_t df_query_object_parse(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, ngx_uint_t depth, df_predicate_t **predicate);


static ngx_str_t  df_query_eq = ngx_string("eq");

static df_query_logical_t  df_query_logicals[] = {
    { ngx_string("$and"), DF_PREDICATE_AND },
    { ngx_string("$or"), DF_PREDICATE_OR },
    { ngx_string("$not"), DF_PREDICATE_NOT }
};

#define DF_QUERY_LOGICALS                                                    \
    (sizeof(df_query_logicals) / sizeof(df_query_logicals[0]))


/* predicates */

static ngx_int_t
df_query_predicate_create(df_filter_t *filter, const df_place_t *place,
    df_predicate_kind_t kind, df_predicate_t **predicate)
{
    df_request_t  *r;

    r = filter->request;

    if (++r->nodes > DF_FILTER_MAX_NODES) {
        return df_query_refuse(filter->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                               place, "limit_exceeded",
                               "a filter has at most %d conditions",
                               DF_FILTER_MAX_NODES);
    }

    *predicate = ngx_pcalloc(r->pool, sizeof(df_predicate_t));
    if (*predicate == NULL) {
        return NGX_ERROR;
    }

    (*predicate)->kind = kind;

    return NGX_OK;
}


/* all of a list: itself when it is only one */

static ngx_int_t
df_query_list_close(df_filter_t *filter, const df_place_t *place,
    df_predicate_t *list, df_predicate_t **predicate)
{
    ngx_int_t  rc;

    if (list && list->next == NULL) {
        *predicate = list;
        return NGX_OK;
    }

    rc = df_query_predicate_create(filter, place, DF_PREDICATE_AND,
                                   predicate);
    if (rc == NGX_OK) {
        (*predicate)->children = list;
    }

    return rc;
}


/* a comparison without its operands */

static ngx_int_t
df_query_compare_create(df_filter_t *filter, const df_reference_t *left,
    const ngx_str_t *name, const char *prefix, const df_place_t *place,
    df_predicate_t **predicate)
{
    ngx_int_t             rc;
    df_request_t         *r;
    df_predicate_t       *p;
    const df_operator_t  *op;

    op = df_query_operator(left->field, left->npath, name);

    if (op == NULL) {
        return df_query_operator_refuse(filter, left->field, left->npath,
                                        name, prefix, place);
    }

    rc = df_query_predicate_create(filter, place, DF_PREDICATE_COMPARE,
                                   predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    p = *predicate;
    p->join = left->join;
    p->field = left->field;
    p->path = left->path;
    p->npath = left->npath;
    p->op = op;

    if (op->syntax) {
        r = filter->request;
        r->npatterns++;
        r->pattern_name = df_query_place_name(r->pool, place, &r->pattern_at);
    }

    return NGX_OK;
}


/* suffix */

/* splits at the last "__"; a field whose own name is as long comes first */

static ngx_uint_t
df_query_suffix_split(df_filter_t *filter, const ngx_str_t *name,
    ngx_str_t *left, ngx_str_t *op)
{
    size_t  i;

    *left = *name;
    *op = df_query_eq;

    if (df_query_field(filter->request->model, name)) {
        return 0;
    }

    for (i = name->len; i > 2; i--) {
        if (name->data[i - 1] == '_' && name->data[i - 2] == '_') {
            left->len = i - 2;
            op->data = name->data + i;
            op->len = name->len - i;
            return 1;
        }
    }

    return 0;
}


ngx_int_t
df_query_filter_suffix(df_filter_t *filter, const ngx_str_t *name,
    const ngx_str_t *value, const df_place_t *place,
    df_predicate_t **predicate)
{
    u_char           *dot;
    ngx_int_t         rc;
    ngx_str_t         left_name, op, head;
    df_scope_t        scope;
    ngx_uint_t        suffix;
    df_reference_t    left;

    suffix = df_query_suffix_split(filter, name, &left_name, &op);

    dot = ngx_strlchr(name->data, name->data + name->len, '.');
    head.data = name->data;
    head.len = dot ? (size_t) (dot - name->data) : 0;

    /* "price<1.5" has no path */

    if (!df_conf_is_name(&head)
        && df_query_field(filter->request->model, &left_name) == NULL
        && df_query_relation(filter->request, filter->request->model,
                             &left_name)
           == NULL
        && df_query_reverse(filter->request, filter->request->model,
                            &left_name)
           == NULL
        && !(suffix && df_query_operator_exists(&op)))
    {
        return NGX_ABORT;
    }

    df_query_scope(&scope, filter->request, filter->problem);

    rc = df_query_name(&scope, &left_name, place, &left);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = df_query_compare_create(filter, &left, &op, "", place, predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_operand_text(filter, value, place, *predicate);
}


/* json */

static ngx_int_t
df_query_compare_parse(df_filter_t *filter, const df_reference_t *left,
    const ngx_str_t *name, const cJSON *node, const df_place_t *place,
    df_predicate_t **predicate)
{
    ngx_int_t  rc;

    rc = df_query_compare_create(filter, left, name, "$", place, predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_operand_json(filter, node, place, *predicate);
}


/* an object that is not the value itself, as it can be of a json field */

static ngx_uint_t
df_query_node_has_operators(const df_reference_t *left, const cJSON *node)
{
    ngx_str_t     name;
    const cJSON  *member;

    if (df_json_kind(node) != DF_JSON_OBJECT) {
        return 0;
    }

    if (left->field->array || left->field->type->kind != DF_JSON) {
        return node->child != NULL;
    }

    for (member = node->child; member; member = member->next) {
        name = df_json_name(member);

        if (name.len && name.data[0] == '$') {
            return 1;
        }
    }

    return 0;
}


/* {"$gte": 1, "$lt": 5} */

static ngx_int_t
df_query_operators_parse(df_filter_t *filter, const df_reference_t *left,
    const cJSON *node, const df_place_t *place, df_predicate_t **predicate)
{
    ngx_int_t         rc;
    ngx_str_t         name, op;
    df_place_t        at;
    const cJSON      *member;
    df_predicate_t   *list, **last;

    list = NULL;
    last = &list;

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;
    at.name = &name;

    for (member = node->child; member; member = member->next) {
        name = df_json_name(member);

        if (name.len == 0 || name.data[0] != '$') {
            return df_query_dollar_refuse(filter, left->field, left->npath,
                                          &name, &at);
        }

        op.data = name.data + 1;
        op.len = name.len - 1;

        rc = df_query_compare_parse(filter, left, &op, member, &at, last);
        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    return df_query_list_close(filter, place, list, predicate);
}


/* "price": 5, "price": {"$gte": 1}, "attrs": {"color": "red"} */

static ngx_int_t
df_query_member_parse(df_filter_t *filter, const ngx_str_t *name,
    const cJSON *node, const df_place_t *place, df_predicate_t **predicate)
{
    ngx_int_t       rc;
    df_scope_t      scope;
    df_reference_t  left;

    df_query_scope(&scope, filter->request, filter->problem);

    rc = df_query_name(&scope, name, place, &left);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_query_node_has_operators(&left, node)) {
        return df_query_operators_parse(filter, &left, node, place,
                                        predicate);
    }

    if (df_json_kind(node) == DF_JSON_ARRAY
        && !left.field->array && left.field->type->kind != DF_JSON)
    {
        return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type",
                               "expected %V; did you mean {\"$in\":[...]}?",
                               &left.field->type->expected);
    }

    return df_query_compare_parse(filter, &left, &df_query_eq, node, place,
                                  predicate);
}


static ngx_str_t *
df_query_logical_name_at(void *list, ngx_uint_t i)
{
    return &((df_query_logical_t *) list)[i].name;
}


static ngx_int_t
df_query_logical_refuse(df_filter_t *filter, const ngx_str_t *name,
    const df_place_t *place)
{
    ngx_str_t  *nearest;

    nearest = df_nearest(name, df_query_logicals, DF_QUERY_LOGICALS,
                         df_query_logical_name_at);

    return df_query_refuse(filter->problem, DF_PROBLEM_UNKNOWN_OPERATOR,
                           place, "unknown_operator",
                           "filters are joined by $and, $or and $not%s%V%s",
                           nearest ? "; did you mean \"" : "",
                           nearest ? nearest : &(ngx_str_t) ngx_null_string,
                           nearest ? "\"?" : "");
}


/* "or", when no field is called so */

static ngx_uint_t
df_query_logical_lacks_dollar(df_filter_t *filter, const ngx_str_t *name)
{
    ngx_str_t   bare;
    ngx_uint_t  i;

    for (i = 0; i < DF_QUERY_LOGICALS; i++) {
        bare.data = df_query_logicals[i].name.data + 1;
        bare.len = df_query_logicals[i].name.len - 1;

        if (df_query_same(&bare, name)) {
            return df_query_field(filter->request->model, name) == NULL;
        }
    }

    return 0;
}


/* "$or": [{…}, {…}], "$not": {…} */

static ngx_int_t
df_query_logical_parse(df_filter_t *filter, const ngx_str_t *name,
    const cJSON *node, const df_place_t *place, ngx_uint_t depth,
    df_predicate_t **predicate)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    df_place_t        at;
    const cJSON      *item;
    df_predicate_t  **last;

    for (i = 0; i < DF_QUERY_LOGICALS; i++) {
        if (df_query_same(&df_query_logicals[i].name, name)) {
            break;
        }
    }

    if (i == DF_QUERY_LOGICALS) {
        return df_query_logical_refuse(filter, name, place);
    }

    rc = df_query_predicate_create(filter, place, df_query_logicals[i].kind,
                                   predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    last = &(*predicate)->children;

    if ((*predicate)->kind == DF_PREDICATE_NOT) {
        return df_query_object_parse(filter, node, place, depth + 1, last);
    }

    if (df_json_kind(node) != DF_JSON_ARRAY) {
        return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type", "expected an array of filters");
    }

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;

    for (item = node->child; item; item = item->next) {
        rc = df_query_object_parse(filter, item, &at, depth + 1, last);
        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
        at.index++;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_object_parse(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, ngx_uint_t depth, df_predicate_t **predicate)
{
    ngx_int_t         rc;
    ngx_str_t         name;
    df_place_t        at;
    const cJSON      *member;
    df_predicate_t   *list, **last;

    if (depth == DF_FILTER_MAX_DEPTH) {
        return df_query_refuse(filter->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                               place, "limit_exceeded",
                               "a filter is nested at most %d deep",
                               DF_FILTER_MAX_DEPTH);
    }

    if (df_json_kind(node) != DF_JSON_OBJECT) {
        return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type", "expected an object");
    }

    list = NULL;
    last = &list;

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;
    at.name = &name;

    for (member = node->child; member; member = member->next) {
        name = df_json_name(member);

        if ((name.len && name.data[0] == '$')
            || df_query_logical_lacks_dollar(filter, &name))
        {
            rc = df_query_logical_parse(filter, &name, member, &at, depth,
                                        last);

        } else {
            rc = df_query_member_parse(filter, &name, member, &at, last);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;
    }

    return df_query_list_close(filter, place, list, predicate);
}


ngx_int_t
df_query_filter_json(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, df_predicate_t **predicate)
{
    return df_query_object_parse(filter, node, place, 0, predicate);
}


ngx_int_t
df_query_filter_apply(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem)
{
    ngx_int_t        rc;
    df_filter_t      filter;
    df_predicate_t  *predicate;

    filter.request = r;
    filter.problem = problem;

    rc = df_query_filter_json(&filter, node, place, &predicate);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_query_filter_and(r->pool, &r->filter, predicate);
}
