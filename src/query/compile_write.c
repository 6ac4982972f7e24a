
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * An admitted request to statements: what writes.  Each is one statement that
 * reads nothing first; where it may find its row changed, a second one in the
 * same segment tells why it touched none.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


/* of pg_type.dat */
#define DF_QUERY_TEXT_ARRAY_OID  1009


static void df_query_write_utility(df_compiled_t *compiled, const char *text);
static ngx_int_t df_query_write_statement(const df_admitted_t *admitted,
    df_compile_t *c, df_compiled_t *compiled);
static ngx_int_t df_query_write_read(const df_admitted_t *admitted,
    df_compile_t *c, df_compiled_t *compiled);
static ngx_int_t df_query_write_insert(const df_admitted_t *admitted,
    df_compile_t *c);
static ngx_int_t df_query_write_identities(const df_request_t *r,
    ngx_array_t *all);
static ngx_int_t df_query_write_update(const df_admitted_t *admitted,
    df_compile_t *c);
static ngx_int_t df_query_write_value(const df_admitted_t *admitted,
    df_compile_t *c, const df_assignment_t *a);
static ngx_int_t df_query_write_where(const df_admitted_t *admitted,
    df_compile_t *c);
static ngx_int_t df_query_write_check(const df_admitted_t *admitted,
    df_compile_t *c, df_compiled_t *compiled);
static ngx_int_t df_query_write_version(const df_request_t *r,
    df_compile_t *c);
static ngx_int_t df_query_write_unchanged(df_compile_t *c,
    const df_assignment_t *a);


ngx_int_t
df_compile_write(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    ngx_int_t            rc;
    ngx_uint_t           noop;
    const df_request_t  *r;

    r = admitted->request;

    /* a change of nothing is a read */

    noop = (r->op == DF_UPDATE || r->op == DF_REPLACE)
           && r->values.nelts == 0;

    compiled->lane = noop ? DF_PG_READ : DF_PG_WRITE;

    if (r->dry_run && !noop) {
        df_query_write_utility(compiled, "BEGIN");
    }

    compiled->rows = compiled->nstatements;

    rc = noop ? df_query_write_read(admitted, c, compiled)
              : df_query_write_statement(admitted, c, compiled);
    if (rc != NGX_OK) {
        return rc;
    }

    if ((r->has_if_match && !r->if_match_any) || r->expected.nelts) {
        rc = df_query_write_check(admitted, c, compiled);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!noop) {
        compiled->statements[compiled->nstatements - 1].sync = 1;
    }

    compiled->statements[0].joins = (r->op == DF_CREATE && !r->dry_run);

    if (r->dry_run && !noop) {
        df_query_write_utility(compiled, "ROLLBACK");
        compiled->statements[compiled->nstatements - 1].sync = 1;
    }

    return NGX_OK;
}


static void
df_query_write_utility(df_compiled_t *compiled, const char *text)
{
    df_pg_statement_t  *st;

    st = &compiled->statements[compiled->nstatements++];

    st->text.data = (u_char *) text;
    st->text.len = ngx_strlen(text);
    st->unprepared = 1;
}


static ngx_int_t
df_query_write_statement(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    ngx_int_t            rc;
    const df_request_t  *r;

    r = admitted->request;

    if (r->op == DF_CREATE) {
        rc = df_query_write_insert(admitted, c);

    } else if (r->op == DF_DELETE) {
        rc = df_writer_printf(&c->sql, "DELETE FROM %V", &r->model->quoted);

    } else {
        rc = df_query_write_update(admitted, c);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (r->op != DF_CREATE) {
        rc = df_query_write_where(admitted, c);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (df_compile_sql(c, " RETURNING ") != NGX_OK
        || df_compile_columns(c, compiled) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_end(c, compiled);
}


static ngx_int_t
df_query_write_read(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    ngx_int_t  rc;

    if (df_compile_sql(c, "SELECT ") != NGX_OK
        || df_compile_columns(c, compiled) != NGX_OK
        || df_compile_sql(c, " FROM ") != NGX_OK
        || df_compile_str(c, &admitted->request->model->quoted) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = df_query_write_where(admitted, c);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_compile_end(c, compiled);
}


/* a field that is not given takes the column's default */

static ngx_int_t
df_query_write_insert(const df_admitted_t *admitted, df_compile_t *c)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_array_t          all;
    df_assignment_t     *a;
    const df_request_t  *r;

    r = admitted->request;
    all = r->values;

    if (df_query_write_identities(r, &all) != NGX_OK
        || df_compile_sql(c, "INSERT INTO ") != NGX_OK
        || df_compile_str(c, &r->model->quoted) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (all.nelts == 0) {
        return df_compile_sql(c, " DEFAULT VALUES");
    }

    a = all.elts;

    for (i = 0; i < all.nelts; i++) {
        if (df_compile_sql(c, i ? "," : " (") != NGX_OK
            || df_compile_ident(c, a[i].field) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < all.nelts; i++) {
        if (df_compile_sql(c, i ? "," : ") VALUES (") != NGX_OK) {
            return NGX_ERROR;
        }

        rc = df_query_write_value(admitted, c, &a[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_compile_sql(c, ")");
}


/*
 * The fields that say who made a record are no column's default.  They are
 * added to a copy, because a request stays as it was admitted.
 */

static ngx_int_t
df_query_write_identities(const df_request_t *r, ngx_array_t *all)
{
    ngx_uint_t              i, j;
    df_field_t             *field;
    df_assignment_t        *added;
    const df_assignment_t  *given;

    given = r->values.elts;

    for (i = 0; i < r->model->fields.nelts; i++) {
        field = df_schema_field_at(r->model, i);

        if (!df_compile_is_identity(field)) {
            continue;
        }

        for (j = 0; j < r->values.nelts && given[j].field != field; j++) {
            /* void */
        }

        if (j < r->values.nelts) {
            continue;
        }

        if (all->elts == r->values.elts) {
            if (ngx_array_init(all, r->pool, r->values.nelts + 2,
                               sizeof(df_assignment_t))
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            all->nelts = r->values.nelts;
            ngx_memcpy(all->elts, given, all->nelts * all->size);
        }

        added = ngx_array_push(all);
        if (added == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(added, sizeof(df_assignment_t));
        added->field = field;
        added->use_default = 1;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_write_update(const df_admitted_t *admitted, df_compile_t *c)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    const df_model_t       *model;
    const df_assignment_t  *a;

    model = admitted->request->model;
    a = admitted->request->values.elts;

    if (df_writer_printf(&c->sql, "UPDATE %V SET ", &model->quoted)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < admitted->request->values.nelts; i++) {
        if ((i && df_compile_sql(c, ",") != NGX_OK)
            || df_compile_ident(c, a[i].field) != NGX_OK
            || df_compile_sql(c, " = ") != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = df_query_write_value(admitted, c, &a[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_compile_touch(c, model);
}


/* a database that we do not migrate need not have the trigger */

ngx_int_t
df_compile_touch(df_compile_t *c, const df_model_t *model)
{
    if (model->updated_at != NULL
        && model->database->migrate != DF_MIGRATE_APPLY)
    {
        return df_writer_printf(&c->sql, ",%V = now()",
                                &model->updated_at->quoted);
    }

    return NGX_OK;
}


static ngx_int_t
df_query_write_value(const df_admitted_t *admitted, df_compile_t *c,
    const df_assignment_t *a)
{
    if (a->use_default) {
        return df_compile_is_identity(a->field)
               ? df_compile_identity(c, admitted, a->field)
               : df_compile_sql(c, "DEFAULT");
    }

    if (a->op != NULL) {
        return df_compile_operator(c, a, NULL);
    }

    return df_compile_param(c, df_schema_oid(a->field), &a->value);
}


ngx_int_t
df_compile_operator(df_compile_t *c, const df_assignment_t *a,
    const ngx_str_t *operand)
{
    Oid          type;
    ngx_int_t    rc;
    const char  *p;

    type = a->op->on_array ? a->field->type->oid : df_schema_oid(a->field);

    for (p = a->op->sql; *p; p++) {

        if (*p != '%') {
            rc = df_writer_add(&c->sql, p, 1);

        } else if (*++p == 'f') {
            rc = df_compile_ident(c, a->field);

        } else if (*p == 'v') {
            rc = operand ? df_compile_str(c, operand)
                         : df_compile_param(c, type, &a->value);

        } else {
            rc = df_compile_sql(c, a->field->type->kind == DF_TIMESTAMPTZ
                                   ? "now()" : "now() AT TIME ZONE 'UTC'");
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
df_compile_identity(df_compile_t *c, const df_admitted_t *admitted,
    const df_field_t *field)
{
    ngx_int_t   rc;
    df_value_t  value;

    rc = df_query_identity(admitted, c->pool, field, &value, c->problem);

    return (rc == NGX_OK) ? df_compile_param(c, df_schema_oid(field), &value)
                          : rc;
}


ngx_int_t
df_query_identity(const df_admitted_t *admitted, ngx_pool_t *pool,
    const df_field_t *field, df_value_t *value, df_problem_t *problem)
{
    ngx_int_t          rc;
    const ngx_str_t   *who;
    df_value_error_t   error;

    who = (field->default_kind == DF_DEFAULT_SUB)
          ? &admitted->principal->subject : &admitted->principal->tenant;

    ngx_memzero(value, sizeof(df_value_t));

    if (who->len == 0) {
        value->null = 1;
        return NGX_OK;
    }

    rc = df_schema_parse_text(field, pool, who, 0, value, &error);

    if (rc == NGX_DECLINED) {
        return df_problem_set(problem, DF_PROBLEM_FORBIDDEN,
                              "the caller's identity cannot be stored in "
                              "field \"%V\": expected %V",
                              &field->name, &error.expected);
    }

    return rc;
}


/* the row, if it is the one that the client has seen */

static ngx_int_t
df_query_write_where(const df_admitted_t *admitted, df_compile_t *c)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    const df_request_t     *r;
    const df_assignment_t  *expected;

    r = admitted->request;

    rc = df_compile_where_key(c, admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->has_if_match && !r->if_match_any) {
        if (df_compile_sql(c, " AND ") != NGX_OK
            || df_query_write_version(r, c) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    expected = r->expected.elts;

    for (i = 0; i < r->expected.nelts; i++) {
        if (df_compile_sql(c, " AND ") != NGX_OK
            || df_query_write_unchanged(c, &expected[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_write_check(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    const df_request_t     *r;
    const df_assignment_t  *expected;

    r = admitted->request;

    if (df_compile_init(c, c->pool, c->problem) != NGX_OK
        || df_compile_sql(c, "SELECT ") != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = (r->has_if_match && !r->if_match_any) ? df_query_write_version(r, c)
                                               : df_compile_sql(c, "TRUE");
    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    expected = r->expected.elts;

    for (i = 0; i < r->expected.nelts; i++) {
        if (df_compile_sql(c, ",") != NGX_OK
            || df_query_write_unchanged(c, &expected[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_writer_printf(&c->sql, " FROM %V", &r->model->quoted) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_compile_where_key(c, admitted);
    if (rc != NGX_OK) {
        return rc;
    }

    compiled->check = compiled->nstatements;

    return df_compile_end(c, compiled);
}


/* xid has no operator class, and entity tags may be any text: both as text */

static ngx_int_t
df_query_write_version(const df_request_t *r, df_compile_t *c)
{
    ngx_uint_t   i;
    ngx_str_t   *tag;
    df_value_t   array, *versions;

    tag = r->if_match.elts;

    versions = ngx_pcalloc(c->pool, (r->if_match.nelts + 1)
                                    * sizeof(df_value_t));
    if (versions == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < r->if_match.nelts; i++) {
        versions[i].text = tag[i];
    }

    if (df_schema_array(c->pool, versions, r->if_match.nelts, &array)
        != NGX_OK
        || df_compile_sql(c, "xmin::text = ANY(") != NGX_OK
        || df_compile_param(c, DF_QUERY_TEXT_ARRAY_OID, &array) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_sql(c, ")");
}


static ngx_int_t
df_query_write_unchanged(df_compile_t *c, const df_assignment_t *a)
{
    if (df_compile_ident(c, a->field) != NGX_OK
        || df_compile_sql(c, " IS NOT DISTINCT FROM ") != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_compile_param(c, df_schema_oid(a->field), &a->value);
}
