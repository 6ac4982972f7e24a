
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The body of a bulk: its members are a table here, and what each operation
 * makes of them.  What is wrong with the members is told first; what is wrong
 * with records only when they have a meaning.
 */


#include <ngx_config.h>
#include "query/bulk.h"


typedef enum {
    DF_BULK_OPERATION = 0,
    DF_BULK_RECORDS,
    DF_BULK_IDS,
    DF_BULK_FILTER,
    DF_BULK_WHERE,
    DF_BULK_ALL,
    DF_BULK_SET,
    DF_BULK_ON,
    DF_BULK_SETS,
    DF_BULK_RETURN,
    DF_BULK_MAX,
    DF_BULK_ATOMIC,
    DF_BULK_DRY_RUN,

    DF_BULK_MEMBERS
} df_bulk_member_index_t;

typedef struct {
    ngx_str_t        name;
    ngx_uint_t       operations;        /* bits: those that take it */
    ngx_uint_t       kinds;             /* bits of df_json_kind_t */
    const char      *expected;
} df_bulk_member_t;

typedef struct {
    df_request_t    *request;
    df_bulk_t       *bulk;
    ngx_uint_t       offered;           /* bits of operations */
    df_problem_t    *problem;
    df_place_t       root;
    const cJSON     *nodes[DF_BULK_MEMBERS];
} df_bulk_body_t;


static ngx_int_t df_bulk_body_members(df_bulk_body_t *b, const cJSON *body);
static ngx_int_t df_bulk_body_operation(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_offered(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_kinds(df_bulk_body_t *b);
static void df_bulk_body_options(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_max(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_written(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_list(df_bulk_body_t *b, ngx_uint_t list);
static ngx_int_t df_bulk_body_conflict(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_names(df_bulk_body_t *b, ngx_uint_t member,
    ngx_array_t **names);
static ngx_int_t df_bulk_body_by_filter(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_rows(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_set(df_bulk_body_t *b);
static ngx_int_t df_bulk_body_refuse(df_bulk_body_t *b, ngx_uint_t member,
    const char *code, const char *fmt, ...);
static ngx_str_t *df_bulk_body_name_at(void *list, ngx_uint_t i);


#define DF_BULK_FILTERED  (1u << DF_BULK_UPDATE | 1u << DF_BULK_DELETE)

#define DF_BULK_FLAG      (1u << DF_JSON_TRUE | 1u << DF_JSON_FALSE)


static const df_bulk_member_t  df_bulk_members[DF_BULK_MEMBERS] = {

    [DF_BULK_OPERATION] = {
        ngx_string("operation"), DF_BULKS, 1u << DF_JSON_STRING,
        "\"create\", \"update\", \"upsert\" or \"delete\"" },

    [DF_BULK_RECORDS] = {
        ngx_string("records"), DF_BULKS & ~(1u << DF_BULK_DELETE),
        1u << DF_JSON_ARRAY, "an array of records" },

    [DF_BULK_IDS] = {
        ngx_string("ids"), 1u << DF_BULK_DELETE, 1u << DF_JSON_ARRAY,
        "an array of keys" },

    [DF_BULK_FILTER] = {
        ngx_string("filter"), DF_BULK_FILTERED, 1u << DF_JSON_OBJECT,
        "a filter, such as {\"price\":{\"$lt\":10}}" },

    [DF_BULK_WHERE] = {
        ngx_string("where"), DF_BULK_FILTERED,
        1u << DF_JSON_STRING | 1u << DF_JSON_OBJECT,
        "a condition, such as \"price < 10\"" },

    [DF_BULK_ALL] = {
        ngx_string("all"), DF_BULK_FILTERED, DF_BULK_FLAG, "true or false" },

    [DF_BULK_SET] = {
        ngx_string("set"), 1u << DF_BULK_UPDATE, 1u << DF_JSON_OBJECT,
        "an object with the fields to set" },

    [DF_BULK_ON] = {
        ngx_string("on"), 1u << DF_BULK_UPSERT, 1u << DF_JSON_ARRAY,
        "an array of names of fields" },

    [DF_BULK_SETS] = {
        ngx_string("update"), 1u << DF_BULK_UPSERT, 1u << DF_JSON_ARRAY,
        "an array of names of fields" },

    [DF_BULK_RETURN] = {
        ngx_string("return"), DF_BULKS, DF_BULK_FLAG, "true or false" },

    [DF_BULK_MAX] = {
        ngx_string("max_affected"), DF_BULKS, 1u << DF_JSON_NUMBER,
        "a whole number" },

    [DF_BULK_ATOMIC] = {
        ngx_string("atomic"), DF_BULKS, DF_BULK_FLAG, "true or false" },

    [DF_BULK_DRY_RUN] = {
        ngx_string("dry_run"), DF_BULKS, DF_BULK_FLAG, "true or false" }
};


static const struct {
    ngx_str_t        name;
    df_operation_t   op;
} df_bulk_operations[] = {
    { ngx_string("create"), DF_BULK_CREATE },
    { ngx_string("update"), DF_BULK_UPDATE },
    { ngx_string("upsert"), DF_BULK_UPSERT },
    { ngx_string("delete"), DF_BULK_DELETE }
};

#define DF_BULK_OPERATIONS                                                    \
    (sizeof(df_bulk_operations) / sizeof(df_bulk_operations[0]))


#define df_bulk_body_is(b, member)                                            \
    ((b)->nodes[member] && df_json_kind((b)->nodes[member]) == DF_JSON_TRUE)


ngx_int_t
df_query_parse_bulk(df_request_t *r, const cJSON *body,
    const df_rules_t *rules, df_problem_t *problem)
{
    ngx_int_t       rc;
    ngx_uint_t      i;
    df_bulk_body_t  b;

    static ngx_int_t  (*const steps[])(df_bulk_body_t *b) = {
        df_bulk_body_operation,
        df_bulk_body_kinds,
        df_bulk_body_max,
        df_bulk_body_written
    };

    ngx_memzero(&b, sizeof(df_bulk_body_t));

    b.request = r;
    b.offered = rules->expose;
    b.problem = problem;
    b.bulk = df_bulk_create(r->pool, r->model);

    if (b.bulk == NULL) {
        return NGX_ERROR;
    }

    r->bulk = b.bulk;

    if (df_json_kind(body) != DF_JSON_OBJECT) {
        return df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, &b.root,
                               "type", "expected an object");
    }

    rc = df_bulk_body_members(&b, body);

    for (i = 0; rc == NGX_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
        rc = steps[i](&b);
    }

    return rc;
}


const ngx_str_t *
df_query_bulk_name(df_operation_t op)
{
    ngx_uint_t  i;

    for (i = 0; df_bulk_operations[i].op != op; i++) { /* void */ }

    return &df_bulk_operations[i].name;
}


static ngx_int_t
df_bulk_body_members(df_bulk_body_t *b, const cJSON *body)
{
    ngx_str_t     name, *nearest;
    ngx_uint_t    i;
    df_place_t    place;
    const cJSON  *node;

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = &b->root;
    place.name = &name;

    for (node = body->child; node; node = node->next) {
        name = df_json_name(node);

        for (i = 0; i < DF_BULK_MEMBERS; i++) {
            if (df_query_same(&df_bulk_members[i].name, &name)) {
                break;
            }
        }

        if (i == DF_BULK_MEMBERS) {
            nearest = df_nearest(&name, NULL, DF_BULK_MEMBERS,
                                 df_bulk_body_name_at);

            if (nearest == NULL) {
                return df_query_refuse(b->problem,
                                       DF_PROBLEM_UNKNOWN_PARAMETER, &place,
                                       "unknown_parameter",
                                       "a bulk has no \"%V\"", &name);
            }

            return df_query_refuse(b->problem, DF_PROBLEM_UNKNOWN_PARAMETER,
                                   &place, "unknown_parameter",
                                   "a bulk has no \"%V\"; did you mean "
                                   "\"%V\"?", &name, nearest);
        }

        if (b->nodes[i]) {
            return df_bulk_body_refuse(b, i, "duplicate", "given twice");
        }

        b->nodes[i] = node;
    }

    return NGX_OK;
}


static ngx_str_t *
df_bulk_body_name_at(void *list, ngx_uint_t i)
{
    return (ngx_str_t *) &df_bulk_members[i].name;
}


static ngx_int_t
df_bulk_body_operation(df_bulk_body_t *b)
{
    ngx_str_t     name;
    ngx_uint_t    i;
    const cJSON  *node;

    node = b->nodes[DF_BULK_OPERATION];

    if (node != NULL && df_json_kind(node) == DF_JSON_STRING) {
        name = df_json_text(node);

        for (i = 0; i < DF_BULK_OPERATIONS; i++) {
            if (df_query_same(&df_bulk_operations[i].name, &name)) {
                b->request->op = df_bulk_operations[i].op;
                return df_bulk_body_offered(b);
            }
        }
    }

    return df_bulk_body_refuse(b, DF_BULK_OPERATION,
                               node ? "enum" : "required", "expected %s",
                               df_bulk_members[DF_BULK_OPERATION].expected);
}


static ngx_int_t
df_bulk_body_offered(df_bulk_body_t *b)
{
    df_place_t  place;

    if (df_query_is(b->request, b->offered)) {
        return NGX_OK;
    }

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = &b->root;
    place.name = &df_bulk_members[DF_BULK_OPERATION].name;

    return df_query_refuse(b->problem, DF_PROBLEM_FORBIDDEN, &place,
                           "forbidden", "\"%V\" is not offered here",
                           df_query_bulk_name(b->request->op));
}


static ngx_int_t
df_bulk_body_kinds(df_bulk_body_t *b)
{
    ngx_uint_t               i;
    const cJSON             *node;
    const df_bulk_member_t  *member;

    for (i = 0; i < DF_BULK_MEMBERS; i++) {
        node = b->nodes[i];
        member = &df_bulk_members[i];

        if (node == NULL) {
            continue;
        }

        if (!df_query_is(b->request, member->operations)) {
            return df_bulk_body_refuse(b, i, "unknown_parameter",
                                       "%V has no \"%V\"",
                                       df_query_bulk_name(b->request->op),
                                       &member->name);
        }

        if (!(member->kinds & (1u << df_json_kind(node)))) {
            return df_bulk_body_refuse(b, i, "type", "expected %s",
                                       member->expected);
        }
    }

    df_bulk_body_options(b);

    return NGX_OK;
}


static void
df_bulk_body_options(df_bulk_body_t *b)
{
    df_bulk_t  *bulk;

    bulk = b->bulk;

    bulk->all = df_bulk_body_is(b, DF_BULK_ALL);
    bulk->returns = df_bulk_body_is(b, DF_BULK_RETURN);
    bulk->each = b->nodes[DF_BULK_ATOMIC]
                 && !df_bulk_body_is(b, DF_BULK_ATOMIC);

    b->request->dry_run |= df_bulk_body_is(b, DF_BULK_DRY_RUN);
}


static ngx_int_t
df_bulk_body_max(df_bulk_body_t *b)
{
    ngx_int_t     n;
    ngx_str_t     text;
    const cJSON  *node;

    node = b->nodes[DF_BULK_MAX];

    if (node == NULL) {
        return NGX_OK;
    }

    text = df_json_text(node);
    n = ngx_atoi(text.data, text.len);

    if (n == NGX_ERROR) {
        return df_bulk_body_refuse(b, DF_BULK_MAX, "type", "expected %s",
                                   df_bulk_members[DF_BULK_MAX].expected);
    }

    b->bulk->has_max = 1;
    b->bulk->max_affected = n;

    return NGX_OK;
}


/* records, keys, or what a filter finds */

static ngx_int_t
df_bulk_body_written(df_bulk_body_t *b)
{
    ngx_uint_t  list;

    list = (b->request->op == DF_BULK_DELETE) ? DF_BULK_IDS : DF_BULK_RECORDS;

    if (b->nodes[list]) {
        return df_bulk_body_list(b, list);
    }

    if (!df_query_is(b->request, DF_BULK_FILTERED)) {
        return df_bulk_body_refuse(b, list, "required", "expected %s",
                                   df_bulk_members[list].expected);
    }

    return df_bulk_body_by_filter(b);
}


static ngx_int_t
df_bulk_body_list(df_bulk_body_t *b, ngx_uint_t list)
{
    ngx_int_t     rc;
    ngx_uint_t    i;
    df_place_t    place;
    const cJSON  *node;

    static const ngx_uint_t  others[] = {
        DF_BULK_FILTER, DF_BULK_WHERE, DF_BULK_ALL, DF_BULK_SET
    };

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (b->nodes[others[i]]) {
            return df_bulk_body_refuse(b, others[i], "conflict",
                                       "\"%V\" say already what is written",
                                       &df_bulk_members[list].name);
        }
    }

    for (node = b->nodes[list]->child; node; node = node->next) {
        b->bulk->nrecords++;
    }

    if (b->bulk->nrecords > DF_BULK_MAX_RECORDS) {
        return df_bulk_body_refuse(b, list, "limit_exceeded",
                                   "at most %d; an import of NDJSON or CSV "
                                   "has no limit", DF_BULK_MAX_RECORDS);
    }

    rc = df_bulk_body_conflict(b);
    if (rc != NGX_OK) {
        return rc;
    }

    b->bulk->member = &df_bulk_members[list].name;

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = &b->root;
    place.name = b->bulk->member;

    return df_bulk_read(b->request, b->nodes[list], &place, b->problem);
}


static ngx_int_t
df_bulk_body_conflict(df_bulk_body_t *b)
{
    ngx_int_t     rc;
    df_place_t    place;
    ngx_array_t  *names;

    if (b->request->op != DF_BULK_UPSERT) {
        return NGX_OK;
    }

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = &b->root;

    rc = df_bulk_body_names(b, DF_BULK_ON, &names);

    if (rc == NGX_OK) {
        place.name = &df_bulk_members[DF_BULK_ON].name;
        rc = df_bulk_on(b->bulk, names, &place, b->problem);
    }

    if (rc == NGX_OK) {
        rc = df_bulk_body_names(b, DF_BULK_SETS, &names);
    }

    if (rc == NGX_OK) {
        place.name = &df_bulk_members[DF_BULK_SETS].name;
        rc = df_bulk_update(b->bulk, names, &place, b->problem);
    }

    return rc;
}


/* NULL when there is no such list */

static ngx_int_t
df_bulk_body_names(df_bulk_body_t *b, ngx_uint_t member, ngx_array_t **names)
{
    ngx_str_t    *name;
    ngx_uint_t    n;
    const cJSON  *node;

    *names = NULL;

    if (b->nodes[member] == NULL) {
        return NGX_OK;
    }

    *names = ngx_array_create(b->request->pool, 4, sizeof(ngx_str_t));
    if (*names == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    for (node = b->nodes[member]->child; node; node = node->next) {

        /* a field that is given twice is refused, as are strangers: there are
           no more names than fields */

        if (df_json_kind(node) != DF_JSON_STRING
            || ++n > b->request->model->fields.nelts)
        {
            return df_bulk_body_refuse(b, member, "type", "expected %s",
                                       df_bulk_members[member].expected);
        }

        name = ngx_array_push(*names);
        if (name == NULL) {
            return NGX_ERROR;
        }

        *name = df_json_text(node);
    }

    return NGX_OK;
}


static ngx_int_t
df_bulk_body_by_filter(df_bulk_body_t *b)
{
    ngx_int_t  rc;

    b->bulk->by_filter = 1;

    if (b->bulk->each) {
        return df_bulk_body_refuse(b, DF_BULK_ATOMIC, "conflict",
                                   "what a filter finds is written by one "
                                   "statement, as a whole or not at all");
    }

    rc = df_bulk_body_rows(b);

    if (rc == NGX_OK && b->request->op == DF_BULK_UPDATE) {
        rc = df_bulk_body_set(b);
    }

    return rc;
}


static ngx_int_t
df_bulk_body_rows(df_bulk_body_t *b)
{
    ngx_int_t   rc;
    df_place_t  place;

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = &b->root;

    if (b->nodes[DF_BULK_FILTER]) {
        place.name = &df_bulk_members[DF_BULK_FILTER].name;

        rc = df_query_filter_apply(b->request, b->nodes[DF_BULK_FILTER],
                                   &place, b->problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (b->nodes[DF_BULK_WHERE]) {
        place.name = &df_bulk_members[DF_BULK_WHERE].name;

        rc = df_query_where_apply(b->request, b->nodes[DF_BULK_WHERE],
                                  &place, b->problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!df_bulk_is_all(b->request->filter)) {

        if (b->bulk->all) {
            return df_bulk_body_refuse(b, DF_BULK_ALL, "conflict",
                                       "there is a filter, which does not find "
                                       "all records");
        }

        return NGX_OK;
    }

    if (b->bulk->all) {
        return NGX_OK;
    }

    return df_bulk_body_refuse(b, DF_BULK_FILTER, "required",
                               "this is all records of %V: give \"%s\", a "
                               "\"filter\" or a \"where\"; if all are meant, "
                               "\"all\":true", &b->request->model->name,
                               b->request->op == DF_BULK_DELETE ? "ids"
                                                                : "records");
}


static ngx_int_t
df_bulk_body_set(df_bulk_body_t *b)
{
    ngx_int_t           rc;
    df_place_t          place;
    const cJSON        *node;
    df_request_t       *r;
    df_query_values_t   values;

    r = b->request;
    node = b->nodes[DF_BULK_SET];

    if (node == NULL || node->child == NULL) {
        return df_bulk_body_refuse(b, DF_BULK_SET, "required", "expected %s",
                                   df_bulk_members[DF_BULK_SET].expected);
    }

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = &b->root;
    place.name = &df_bulk_members[DF_BULK_SET].name;

    ngx_memzero(&values, sizeof(df_query_values_t));
    values.request = r;
    values.place = &place;
    values.problem = b->problem;

    /* by the rules of an update of one record */

    r->op = DF_UPDATE;
    rc = df_query_values_read(&values, node);
    r->op = DF_BULK_UPDATE;

    return rc;
}


static ngx_int_t
df_bulk_body_refuse(df_bulk_body_t *b, ngx_uint_t member, const char *code,
    const char *fmt, ...)
{
    va_list     args;
    ngx_str_t   text;
    df_place_t  place;

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = &b->root;
    place.name = &df_bulk_members[member].name;

    va_start(args, fmt);
    text = df_str_vprintf(b->problem->pool, fmt, args);
    va_end(args);

    return df_query_refuse(b->problem, DF_PROBLEM_INVALID_VALUE, &place, code,
                           "%V", &text);
}
