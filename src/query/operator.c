
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The operators of filters: what each is called, what it can be used with,
 * what it means and how it is said in SQL.  Operands are already values here;
 * nothing of them may get into the text.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


#define DF_TYPE_ANY  ((ngx_uint_t) -1)

static ngx_int_t df_query_compare_compile(df_compile_t *c,
    const df_predicate_t *p);
static ngx_int_t df_query_in_compile(df_compile_t *c,
    const df_predicate_t *p);
static ngx_int_t df_query_nin_compile(df_compile_t *c,
    const df_predicate_t *p);
static ngx_int_t df_query_between_compile(df_compile_t *c,
    const df_predicate_t *p);
static ngx_int_t df_query_like_compile(df_compile_t *c,
    const df_predicate_t *p);
static ngx_int_t df_query_isnull_compile(df_compile_t *c,
    const df_predicate_t *p);
static ngx_int_t df_query_search_compile(df_compile_t *c,
    const df_predicate_t *p);


/*
 * What the operators mean; whatever else evaluates a filter must agree.
 *
 * A comparison is true, false or unknown; a row is taken when the whole filter
 * is true.  AND, OR and NOT are SQL's.  Comparing NULL is unknown, but with
 *
 *   eq null, isnull    true or false
 *   ne                 IS DISTINCT FROM: true or false
 *   in                 with a null among the operands: NULL is in; without
 *                      operands: false, also of NULL
 *   nin                true or false: the contrary of in, which of NULL is
 *                      true unless a null is among the operands
 *
 * Scalars compare as PostgreSQL compares their type; text in the database's
 * collation.  Arrays compare as a whole with eq and ne, json values as jsonb.
 *
 * contains, startswith, endswith: the operand's %, _ and \ mean themselves;
 * an i before the name: in either case, as ILIKE.  like: % and _ are
 * wildcards, \ takes their meaning away.  regex: PostgreSQL's, anywhere in the
 * text.  search: the words of websearch_to_tsquery('simple').
 *
 * Arrays: has: one element equals the operand; has_any and overlap: one of the
 * elements equals one of the operands (none: false); has_all and contains:
 * each operand equals an element (none: true).  No operand is null, and an
 * element that is null equals none.
 *
 * A json field as a whole: contains: jsonb @>; has: a key of an object, or a
 * string in an array, or the string itself (jsonb ?); has_any and overlap: ?|;
 * has_all: ?&.
 *
 * What is at a path in a json field is looked at in one of three forms, which
 * the spelling of the filter and the operand choose; a missing value is NULL:
 *
 *   text    #>>: a string's characters, other values as jsonb prints them;
 *           JSON's null is NULL.  Order is that of the bytes.
 *           isnull, eq null, ne null, PATTERN operands; eq ne in nin by
 *           suffix; gt gte lt lte between with strings, by suffix with what is
 *           not a JSON number
 *   number  what is not a JSON number is NULL.
 *           gt gte lt lte between with numbers (between: both)
 *   json    #>: jsonb values, JSON's null among them.
 *           eq ne in nin in JSON, where a null among the operands of in and
 *           nin stands for both nulls; has has_any has_all overlap
 */

static const df_operator_t  df_query_operators[] = {

    { .name = ngx_string("eq"),
      .on = DF_ON_SCALAR|DF_ON_ARRAY|DF_ON_JSON|DF_ON_PATH,
      .types = DF_TYPE_EQUAL,
      .compile = df_query_compare_compile,
      .sql = " = ", .null = " IS NULL" },

    { .name = ngx_string("ne"),
      .on = DF_ON_SCALAR|DF_ON_ARRAY|DF_ON_JSON|DF_ON_PATH,
      .types = DF_TYPE_EQUAL,
      .compile = df_query_compare_compile,
      .sql = " IS DISTINCT FROM ", .null = " IS NOT NULL" },

    { .name = ngx_string("gt"),
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_ORDERED,
      .compile = df_query_compare_compile, .sql = " > ", .ordered = 1 },

    { .name = ngx_string("gte"),
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_ORDERED,
      .compile = df_query_compare_compile, .sql = " >= ", .ordered = 1 },

    { .name = ngx_string("lt"),
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_ORDERED,
      .compile = df_query_compare_compile, .sql = " < ", .ordered = 1 },

    { .name = ngx_string("lte"),
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_ORDERED,
      .compile = df_query_compare_compile, .sql = " <= ", .ordered = 1 },

    { .name = ngx_string("in"), .operand = DF_OPERAND_LIST,
      .on = DF_ON_SCALAR|DF_ON_JSON|DF_ON_PATH, .types = DF_TYPE_EQUAL,
      .compile = df_query_in_compile, .sql = " = ANY(" },

    { .name = ngx_string("nin"), .operand = DF_OPERAND_LIST,
      .on = DF_ON_SCALAR|DF_ON_JSON|DF_ON_PATH, .types = DF_TYPE_EQUAL,
      .compile = df_query_nin_compile, .sql = " <> ALL(" },

    { .name = ngx_string("between"), .operand = DF_OPERAND_TWO,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_ORDERED,
      .compile = df_query_between_compile, .ordered = 1 },

    { .name = ngx_string("contains"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_like_compile, .sql = " LIKE ",
      .before = 1, .behind = 1 },

    { .name = ngx_string("icontains"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_like_compile, .sql = " ILIKE ",
      .before = 1, .behind = 1 },

    { .name = ngx_string("startswith"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_like_compile, .sql = " LIKE ", .behind = 1 },

    { .name = ngx_string("istartswith"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_like_compile, .sql = " ILIKE ", .behind = 1 },

    { .name = ngx_string("endswith"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_like_compile, .sql = " LIKE ", .before = 1 },

    { .name = ngx_string("iendswith"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_like_compile, .sql = " ILIKE ", .before = 1 },

    { .name = ngx_string("like"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_compare_compile, .sql = " LIKE ", .syntax = 1 },

    { .name = ngx_string("ilike"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_compare_compile, .sql = " ILIKE ", .syntax = 1 },

    { .name = ngx_string("regex"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_compare_compile, .sql = " ~ ", .syntax = 1 },

    { .name = ngx_string("iregex"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR|DF_ON_PATH, .types = DF_TYPE_TEXT,
      .compile = df_query_compare_compile, .sql = " ~* ", .syntax = 1 },

    { .name = ngx_string("search"), .operand = DF_OPERAND_PATTERN,
      .on = DF_ON_SCALAR, .types = DF_TYPE_TEXT,
      .compile = df_query_search_compile },

    { .name = ngx_string("isnull"), .operand = DF_OPERAND_FLAG,
      .on = DF_ON_SCALAR|DF_ON_ARRAY|DF_ON_JSON|DF_ON_PATH,
      .types = DF_TYPE_ANY,
      .compile = df_query_isnull_compile },

    { .name = ngx_string("has"), .operand = DF_OPERAND_ELEMENT,
      .on = DF_ON_ARRAY,
      .compile = df_query_compare_compile, .sql = " @> " },

    { .name = ngx_string("has"), .operand = DF_OPERAND_ELEMENT,
      .on = DF_ON_JSON|DF_ON_PATH,
      .compile = df_query_compare_compile, .sql = " ? " },

    { .name = ngx_string("has_any"), .operand = DF_OPERAND_ELEMENTS,
      .on = DF_ON_ARRAY,
      .compile = df_query_compare_compile, .sql = " && " },

    { .name = ngx_string("has_any"), .operand = DF_OPERAND_ELEMENTS,
      .on = DF_ON_JSON|DF_ON_PATH,
      .compile = df_query_compare_compile, .sql = " ?| " },

    { .name = ngx_string("has_all"), .operand = DF_OPERAND_ELEMENTS,
      .on = DF_ON_ARRAY,
      .compile = df_query_compare_compile, .sql = " @> " },

    { .name = ngx_string("has_all"), .operand = DF_OPERAND_ELEMENTS,
      .on = DF_ON_JSON|DF_ON_PATH,
      .compile = df_query_compare_compile, .sql = " ?& " },

    { .name = ngx_string("overlap"), .operand = DF_OPERAND_ELEMENTS,
      .on = DF_ON_ARRAY,
      .compile = df_query_compare_compile, .sql = " && " },

    { .name = ngx_string("overlap"), .operand = DF_OPERAND_ELEMENTS,
      .on = DF_ON_JSON|DF_ON_PATH,
      .compile = df_query_compare_compile, .sql = " ?| " },

    { .name = ngx_string("contains"), .operand = DF_OPERAND_ELEMENTS,
      .on = DF_ON_ARRAY,
      .compile = df_query_compare_compile, .sql = " @> " },

    { .name = ngx_string("contains"),
      .on = DF_ON_JSON,
      .compile = df_query_compare_compile, .sql = " @> " },
};

#define DF_QUERY_OPERATORS                                                   \
    (sizeof(df_query_operators) / sizeof(df_query_operators[0]))


/* finding */

static ngx_uint_t
df_query_operator_is_for(const df_operator_t *op, const df_field_t *field,
    ngx_uint_t npath)
{
    if (npath) {
        return op->on & DF_ON_PATH;
    }

    if (field->array) {
        return op->on & DF_ON_ARRAY;
    }

    if (field->type->kind == DF_JSON) {
        return op->on & DF_ON_JSON;
    }

    return (op->on & DF_ON_SCALAR) && (op->types & field->type->flags);
}


const df_operator_t *
df_query_operator(const df_field_t *field, ngx_uint_t npath,
    const ngx_str_t *name)
{
    ngx_uint_t            i;
    const df_operator_t  *op;

    for (i = 0; i < DF_QUERY_OPERATORS; i++) {
        op = &df_query_operators[i];

        if (df_query_same(&op->name, name)
            && df_query_operator_is_for(op, field, npath))
        {
            return op;
        }
    }

    return NULL;
}


const df_operator_t *
df_query_operator_at(const df_field_t *field, ngx_uint_t npath, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_QUERY_OPERATORS; i++) {
        if (df_query_operator_is_for(&df_query_operators[i], field, npath)
            && n-- == 0)
        {
            return &df_query_operators[i];
        }
    }

    return NULL;
}


ngx_uint_t
df_query_operator_exists(const ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_QUERY_OPERATORS; i++) {
        if (df_query_same(&df_query_operators[i].name, name)) {
            return 1;
        }
    }

    return 0;
}


ngx_str_t
df_query_operator_names(ngx_pool_t *pool, const df_field_t *field,
    ngx_uint_t npath, const char *prefix)
{
    ngx_str_t     names;
    ngx_uint_t    i;
    df_writer_t   w;

    ngx_str_null(&names);

    if (df_writer_init(&w, pool, 256) != NGX_OK) {
        return names;
    }

    for (i = 0; i < DF_QUERY_OPERATORS; i++) {
        if (df_query_operator_is_for(&df_query_operators[i], field, npath)
            && df_writer_printf(&w, "%s%s%V",
                                df_writer_length(&w) ? ", " : "", prefix,
                                &df_query_operators[i].name)
               != NGX_OK)
        {
            return names;
        }
    }

    (void) df_writer_text(&w, &names);

    return names;
}


static ngx_str_t *
df_query_operator_name_at(void *list, ngx_uint_t i)
{
    return ((ngx_str_t **) list)[i];
}


ngx_str_t *
df_query_operator_nearest(const df_field_t *field, ngx_uint_t npath,
    const ngx_str_t *name)
{
    ngx_str_t   *names[DF_QUERY_OPERATORS];
    ngx_uint_t   i, n;

    n = 0;

    for (i = 0; i < DF_QUERY_OPERATORS; i++) {
        if (df_query_operator_is_for(&df_query_operators[i], field, npath)) {
            names[n++] = (ngx_str_t *) &df_query_operators[i].name;
        }
    }

    return df_nearest(name, names, n, df_query_operator_name_at);
}


/* SQL */

static ngx_int_t
df_query_compare_compile(df_compile_t *c, const df_predicate_t *p)
{
    if (p->op->null && p->operands->null) {
        if (df_query_left_compile(c, p, DF_PATH_TEXT) != NGX_OK) {
            return NGX_ERROR;
        }

        return df_compile_sql(c, p->op->null);
    }

    if (df_query_left_compile(c, p, p->form) != NGX_OK
        || df_compile_sql(c, p->op->sql) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_query_operand_compile(c, p);
}


/* the values of a list as one array; *null: nulls were left out of it */

static ngx_int_t
df_query_values_compile(df_compile_t *c, const df_predicate_t *p,
    ngx_uint_t *null)
{
    ngx_uint_t   i, n;
    df_value_t   list, *values;

    values = ngx_palloc(c->pool, (p->noperands + 1) * sizeof(df_value_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    for (i = 0; i < p->noperands; i++) {
        if (!p->operands[i].null) {
            values[n++] = p->operands[i];
        }
    }

    *null = (n != p->noperands);

    if (df_schema_array(c->pool, values, n, &list) != NGX_OK
        || df_query_left_compile(c, p, p->form) != NGX_OK
        || df_compile_sql(c, p->op->sql) != NGX_OK
        || df_compile_param(c, df_query_operand_oid(p), &list) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_add(&c->sql, ")", 1);
}


/* (f = ANY(list)), with a null in the list (f = ANY(list) OR f IS NULL) */

static ngx_int_t
df_query_in_compile(df_compile_t *c, const df_predicate_t *p)
{
    ngx_uint_t  null;

    if (df_writer_add(&c->sql, "(", 1) != NGX_OK
        || df_query_values_compile(c, p, &null) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!null) {
        return df_writer_add(&c->sql, ")", 1);
    }

    if (df_compile_sql(c, " OR ") != NGX_OK
        || df_query_left_compile(c, p, DF_PATH_TEXT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_sql(c, " IS NULL)");
}


/* (f <> ALL(list) OR f IS NULL), with a null in the list
   (f <> ALL(list) AND f IS NOT NULL): neither is ever unknown */

static ngx_int_t
df_query_nin_compile(df_compile_t *c, const df_predicate_t *p)
{
    ngx_uint_t  null;

    if (df_writer_add(&c->sql, "(", 1) != NGX_OK
        || df_query_values_compile(c, p, &null) != NGX_OK
        || df_compile_sql(c, null ? " AND " : " OR ") != NGX_OK
        || df_query_left_compile(c, p, DF_PATH_TEXT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_sql(c, null ? " IS NOT NULL)" : " IS NULL)");
}


static ngx_int_t
df_query_between_compile(df_compile_t *c, const df_predicate_t *p)
{
    Oid  oid;

    oid = df_query_operand_oid(p);

    if (df_query_left_compile(c, p, p->form) != NGX_OK
        || df_compile_sql(c, " BETWEEN ") != NGX_OK
        || df_compile_param(c, oid, &p->operands[0]) != NGX_OK
        || df_compile_sql(c, " AND ") != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_param(c, oid, &p->operands[1]);
}


static ngx_int_t
df_query_like_compile(df_compile_t *c, const df_predicate_t *p)
{
    u_char            *d;
    ngx_uint_t         i;
    df_value_t         pattern;
    const ngx_str_t   *text;

    text = &p->operands->text;

    d = ngx_pnalloc(c->pool, 2 * text->len + sizeof("%%"));
    if (d == NULL) {
        return NGX_ERROR;
    }

    pattern.null = 0;
    pattern.text.data = d;

    if (p->op->before) {
        *d++ = '%';
    }

    for (i = 0; i < text->len; i++) {
        if (text->data[i] == '%' || text->data[i] == '_'
            || text->data[i] == '\\')
        {
            *d++ = '\\';
        }

        *d++ = text->data[i];
    }

    if (p->op->behind) {
        *d++ = '%';
    }

    *d = '\0';
    pattern.text.len = d - pattern.text.data;

    if (df_query_left_compile(c, p, DF_PATH_TEXT) != NGX_OK
        || df_compile_sql(c, p->op->sql) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_param(c, df_query_operand_oid(p), &pattern);
}


static ngx_int_t
df_query_isnull_compile(df_compile_t *c, const df_predicate_t *p)
{
    if (df_query_left_compile(c, p, DF_PATH_TEXT) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_compile_sql(c, p->operands->text.data[0] == 't'
                             ? " IS NULL" : " IS NOT NULL");
}


static ngx_int_t
df_query_search_compile(df_compile_t *c, const df_predicate_t *p)
{
    if (df_compile_sql(c, "to_tsvector('simple', ") != NGX_OK
        || df_compile_column(c, p->join, p->field) != NGX_OK
        || df_compile_sql(c, ") @@ websearch_to_tsquery('simple', ") != NGX_OK
        || df_query_operand_compile(c, p) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_add(&c->sql, ")", 1);
}
