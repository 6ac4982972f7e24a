
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Records within records, to SQL: more columns of the statement that reads the
 * records they are in, and a statement for each list.
 *
 *     SELECT * FROM (
 *         SELECT p.k, c.* FROM (the keys that it hangs on) p(k)
 *         LEFT JOIN LATERAL (
 *             SELECT … FROM "orders" t0 WHERE t0."customer_id" = p.k
 *             ORDER BY t0."id" LIMIT …
 *         ) c ON TRUE LIMIT …
 *     ) s ORDER BY 1, …
 *
 * The keys are those of the page, by the page's own filter, order and limit,
 * so that all statements can be sent at once.  A key without records has a row
 * as well: one that has none is told from one that was not seen.
 */


#include <ngx_config.h>
#include "query/include.h"


/* records in lists of an answer: ten times the rows of a page, or these */
#define DF_COMPILE_LISTED      10
#define DF_COMPILE_LISTED_MIN  10000


typedef struct {
    const df_admitted_t  *admitted;
    ngx_pool_t           *pool;
    df_compiled_t        *compiled;
    df_includes_t        *includes;
    df_problem_t         *problem;
} df_compile_build_t;


static ngx_uint_t df_compile_include_count(const df_admitted_t *admitted,
    const ngx_array_t *includes);
static ngx_int_t df_compile_object(df_compile_build_t *b,
    const ngx_array_t *includes, const df_join_t *join,
    const df_model_t *model, df_list_t *within, df_columns_t *columns,
    df_object_t *object);
static ngx_int_t df_compile_object_one(df_compile_build_t *b,
    const df_include_t *include, df_list_t *within, df_columns_t *columns,
    df_object_t *object);
static void df_compile_fields(const ngx_array_t *fields,
    const df_join_t *join, df_columns_t *columns, df_object_t *object);
static ngx_uint_t df_compile_key(df_columns_t *columns, const df_join_t *join,
    const df_field_t *key);
static df_list_t *df_compile_list(df_compile_build_t *b,
    const df_include_t *include, df_list_t *above);
static ngx_int_t df_compile_list_statement(df_compile_build_t *b,
    const df_list_t *list);
static ngx_int_t df_compile_list_keys(df_compile_build_t *b, df_compile_t *c,
    const df_list_t *list);
static ngx_int_t df_compile_list_above(df_compile_build_t *b,
    df_compile_t *c, const df_list_t *list, const df_join_t *join);
static ngx_int_t df_compile_list_from(df_compile_build_t *b, df_compile_t *c,
    const df_list_t *list, ngx_uint_t limit);


ngx_uint_t
df_compile_include_columns(const df_admitted_t *admitted)
{
    if (admitted->includes == NULL) {
        return 0;
    }

    return 1 + df_compile_include_count(admitted,
                                        &admitted->request->includes);
}


/* all fields, and a key each */

static ngx_uint_t
df_compile_include_count(const df_admitted_t *admitted,
    const ngx_array_t *includes)
{
    ngx_uint_t            i, n;
    const df_include_t  **include;

    n = 0;
    include = includes->elts;

    for (i = 0; i < includes->nelts; i++) {
        n += 1 + admitted->includes[include[i]->index].fields.nelts
             + df_compile_include_count(admitted, &include[i]->includes);
    }

    return n;
}


ngx_int_t
df_compile_include(const df_admitted_t *admitted, ngx_pool_t *pool,
    df_columns_t *columns, df_compiled_t *compiled, df_problem_t *problem)
{
    df_includes_t       *includes;
    df_compile_build_t   b;

    includes = ngx_pcalloc(pool, sizeof(df_includes_t));
    if (includes == NULL) {
        return NGX_ERROR;
    }

    includes->lists = ngx_palloc(pool, admitted->request->nlists
                                       * sizeof(df_list_t *));
    if (includes->lists == NULL) {
        return NGX_ERROR;
    }

    includes->max = ngx_max(admitted->rules->max_limit * DF_COMPILE_LISTED,
                            DF_COMPILE_LISTED_MIN);
    includes->object.n = compiled->nfields;

    compiled->includes = includes;

    b.admitted = admitted;
    b.pool = pool;
    b.compiled = compiled;
    b.includes = includes;
    b.problem = problem;

    return df_compile_object(&b, &admitted->request->includes, NULL,
                             admitted->request->model, NULL, columns,
                             &includes->object);
}


/* what is in a record, within a list or not; this gets as deep as includes
   do */

static ngx_int_t
df_compile_object(df_compile_build_t *b, const ngx_array_t *includes,
    const df_join_t *join, const df_model_t *model, df_list_t *within,
    df_columns_t *columns, df_object_t *object)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    df_list_t            *list;
    const df_include_t  **include;

    if (includes->nelts == 0) {
        return NGX_OK;
    }

    object->objects = ngx_pcalloc(b->pool, includes->nelts
                                           * sizeof(df_object_t));
    object->lists = ngx_palloc(b->pool, includes->nelts
                                        * sizeof(df_list_t *));

    if (object->objects == NULL || object->lists == NULL) {
        return NGX_ERROR;
    }

    include = includes->elts;

    for (i = 0; i < includes->nelts; i++) {

        if (include[i]->relation) {
            rc = df_compile_object_one(b, include[i], within, columns,
                                       &object->objects[object->nobjects++]);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        list = df_compile_list(b, include[i], within);
        if (list == NULL) {
            return NGX_ERROR;
        }

        object->key = df_compile_key(columns, join, model->key);
        object->lists[object->nlists++] = list;

        /* the innermost first */

        rc = df_compile_object(b, &include[i]->includes, NULL,
                               include[i]->model, list, &list->columns,
                               &list->object);

        if (rc == NGX_OK) {
            rc = df_compile_list_statement(b, list);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        b->includes->lists[b->includes->nlists++] = list;
    }

    return NGX_OK;
}


static ngx_int_t
df_compile_object_one(df_compile_build_t *b, const df_include_t *include,
    df_list_t *within, df_columns_t *columns, df_object_t *object)
{
    object->member = &include->relation->member;

    df_compile_fields(&b->admitted->includes[include->index].fields,
                      include->join, columns, object);

    object->key = df_compile_key(columns, include->join, include->model->key);

    return df_compile_object(b, &include->includes, include->join,
                             include->model, within, columns, object);
}


static void
df_compile_fields(const ngx_array_t *fields, const df_join_t *join,
    df_columns_t *columns, df_object_t *object)
{
    ngx_uint_t          i;
    const df_field_t  **field;

    field = fields->elts;

    object->first = columns->n;
    object->n = fields->nelts;

    for (i = 0; i < fields->nelts; i++) {
        columns->fields[columns->n] = field[i];
        columns->joins[columns->n] = join;
        columns->n++;
    }
}


/* the first column of a list is a key as well, but of another row */

static ngx_uint_t
df_compile_key(df_columns_t *columns, const df_join_t *join,
    const df_field_t *key)
{
    ngx_uint_t  i;

    for (i = columns->from; i < columns->n; i++) {
        if (columns->fields[i] == key && columns->joins[i] == join) {
            return i;
        }
    }

    columns->fields[columns->n] = key;
    columns->joins[columns->n] = join;

    return columns->n++;
}


static df_list_t *
df_compile_list(df_compile_build_t *b, const df_include_t *include,
    df_list_t *above)
{
    ngx_uint_t           n;
    df_list_t           *list;
    const ngx_array_t   *fields;

    fields = &b->admitted->includes[include->index].fields;

    n = 2 + fields->nelts
        + df_compile_include_count(b->admitted, &include->includes);

    list = ngx_pcalloc(b->pool, sizeof(df_list_t));
    if (list == NULL) {
        return NULL;
    }

    list->columns.fields = ngx_palloc(b->pool, n * sizeof(df_field_t *));
    list->columns.joins = ngx_palloc(b->pool, n * sizeof(df_join_t *));

    if (list->columns.fields == NULL || list->columns.joins == NULL) {
        return NULL;
    }

    list->include = include;
    list->above = above;
    list->limit = b->admitted->rules->default_limit;

    list->columns.fields[0] = include->reverse->relation->target->key;
    list->columns.joins[0] = NULL;
    list->columns.n = 1;
    list->columns.from = 1;

    df_compile_fields(fields, NULL, &list->columns, &list->object);

    list->object.key = df_compile_key(&list->columns, NULL,
                                      include->model->key);

    return list;
}


static ngx_int_t
df_compile_list_statement(df_compile_build_t *b, const df_list_t *list)
{
    ngx_int_t     rc;
    ngx_uint_t    i;
    df_compile_t  c;

    ngx_memzero(&c, sizeof(df_compile_t));
    c.qualified = 1;

    if (df_compile_init(&c, b->pool, b->problem) != NGX_OK
        || df_compile_sql(&c, "SELECT * FROM (SELECT p.k, c.* FROM (")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_compile_list_keys(b, &c, list);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_compile_sql(&c, ") p(k) LEFT JOIN LATERAL (SELECT ") != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 1; i < list->columns.n; i++) {
        if ((i > 1 && df_compile_sql(&c, ",") != NGX_OK)
            || df_compile_selected(&c, list->columns.joins[i],
                                   list->columns.fields[i])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* one more than wanted tells that the list is cut */

    rc = df_compile_list_from(b, &c, list, list->limit + 1);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_writer_printf(&c.sql, ") c ON TRUE LIMIT %ui) s ORDER BY 1, %ui",
                         df_include_max_rows(b->includes),
                         list->object.key + 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_end(&c, b->compiled);
}


/* of the records that the list is in; several may lead to one */

static ngx_int_t
df_compile_list_keys(df_compile_build_t *b, df_compile_t *c,
    const df_list_t *list)
{
    ngx_int_t             rc;
    const df_field_t     *key;
    const df_join_t      *join;
    const df_include_t   *parent;
    const df_admitted_t  *admitted;

    admitted = b->admitted;
    parent = list->include->parent;
    join = parent ? parent->join : NULL;
    key = list->columns.fields[0];

    if (join && df_compile_sql(c, "SELECT DISTINCT k FROM (") != NGX_OK) {
        return NGX_ERROR;
    }

    if (list->above) {
        rc = df_compile_list_above(b, c, list->above, join);

    } else if (df_compile_sql(c, "SELECT ") != NGX_OK
               || df_compile_column(c, join, key) != NGX_OK)
    {
        return NGX_ERROR;

    } else {
        rc = (admitted->request->op == DF_GET)
             ? df_compile_one(c, admitted)
             : df_compile_page(c, admitted, admitted->limit);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return join ? df_compile_sql(c, ") d(k) WHERE k IS NOT NULL") : NGX_OK;
}


/* of the records of another list, or of those that they lead to */

static ngx_int_t
df_compile_list_above(df_compile_build_t *b, df_compile_t *c,
    const df_list_t *list, const df_join_t *join)
{
    ngx_int_t          rc;
    const df_model_t  *model;

    if (df_compile_sql(c, "SELECT c.k FROM (") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_compile_list_keys(b, c, list);
    if (rc != NGX_OK) {
        return rc;
    }

    model = df_query_join_model(list->include->model, join);

    if (df_compile_sql(c, ") p(k) CROSS JOIN LATERAL (SELECT ") != NGX_OK
        || df_compile_column(c, join, model->key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_compile_list_from(b, c, list, list->limit);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_writer_printf(&c->sql, ") c(k) LIMIT %ui",
                            b->includes->max + 1);
}


/* the records of one key, which is p.k, in the order of their own */

static ngx_int_t
df_compile_list_from(df_compile_build_t *b, df_compile_t *c,
    const df_list_t *list, ngx_uint_t limit)
{
    ngx_int_t                     rc;
    const df_model_t             *model;
    const df_include_t           *include;
    const df_admitted_include_t  *admitted;

    include = list->include;
    model = include->model;
    admitted = &b->admitted->includes[include->index];

    if (df_compile_sql(c, " FROM ") != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_compile_joined(c, model, include->joins, admitted->join_filters);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_compile_sql(c, " WHERE ") != NGX_OK
        || df_compile_column(c, NULL, include->reverse->relation->field)
           != NGX_OK
        || df_compile_sql(c, " = p.k") != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (admitted->filter) {

        if (df_compile_sql(c, " AND ") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_query_compile_predicate(c, admitted->filter);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (df_compile_sql(c, " ORDER BY ") != NGX_OK
        || df_compile_column(c, NULL, model->key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_printf(&c->sql, " LIMIT %ui", limit);
}
