
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * run: results to the answer.  Rows are encoded while their PGresult is there;
 * what only all statements together tell is added when they are done.
 */


#include <ngx_config.h>
#include "query/include.h"


/* the first buffer of a list */
#define DF_QUERY_LIST_SIZE      32768

/* of pg_type.dat: char(n) and its array, and the first type that is not
   PostgreSQL's own */
#define DF_QUERY_BPCHAR_OID     1042
#define DF_QUERY_BPCHARS_OID    1014
#define DF_QUERY_FIRST_OWN_OID  16384


static ngx_int_t df_query_result_list(df_query_state_t *state,
    const PGresult *res);
static ngx_int_t df_query_result_rows(df_query_state_t *state,
    const PGresult *res);
static ngx_int_t df_query_result_record(df_query_state_t *state,
    const PGresult *res, ngx_uint_t row, ngx_uint_t n);
static ngx_int_t df_query_result_identity(df_query_state_t *state,
    const PGresult *res, ngx_uint_t row);
static ngx_int_t df_query_result_count(df_query_state_t *state,
    const PGresult *res);
static ngx_int_t df_query_result_estimate(df_query_state_t *state,
    const PGresult *res);
static ngx_int_t df_query_result_check(df_query_state_t *state,
    const PGresult *res);
static ngx_int_t df_query_result_type_take(df_query_state_t *state,
    ngx_uint_t i, Oid type);
static void df_query_result_untouched(df_query_state_t *state);


/* a read may be sent again: a result replaces what came before */

void
df_query_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n)
{
    df_query_state_t  *state = data;

    ngx_int_t       rc, index;
    df_compiled_t  *compiled;

    rc = NGX_OK;
    index = i;
    compiled = &state->compiled;

    if (compiled->includes && i < compiled->includes->nlists) {
        rc = df_query_include_result(state, i, res);

    } else if (i == compiled->rows) {
        rc = df_query_is(state->run->admitted->request, DF_ROWS)
             ? df_query_result_list(state, res)
             : df_query_result_record(state, res, row, n);

    } else if (index == compiled->count) {
        rc = df_query_result_count(state, res);

    } else if (index == compiled->estimate) {
        rc = df_query_result_estimate(state, res);

    } else if (index == compiled->check) {
        rc = df_query_result_check(state, res);
    }

    if (rc != NGX_OK) {
        state->broken = 1;
    }
}


static ngx_int_t
df_query_result_list(df_query_state_t *state, const PGresult *res)
{
    df_run_t       *run;
    ngx_int_t       rc;
    ngx_uint_t      n;
    df_compiled_t  *compiled;

    run = state->run;
    compiled = &state->compiled;

    n = PQntuples(res);

    ngx_str_null(&run->next);
    run->truncated = 0;

    rc = df_query_result_types(state, res);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!compiled->unlimited && n > compiled->limit) {
        n = compiled->limit;
        run->truncated = 1;

        rc = df_query_result_next(state, res, n - 1, &run->next);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    run->rows = n;

    return df_query_result_rows(state, res);
}


static ngx_int_t
df_query_result_rows(df_query_state_t *state, const PGresult *res)
{
    size_t          head, bound;
    df_run_t       *run;
    ngx_int_t       rc;
    ngx_uint_t      i;
    df_writer_t    *w;
    df_compiled_t  *compiled;

    static u_char  begin[] = "{\"data\":[";

    run = state->run;
    compiled = &state->compiled;
    w = &state->out;

    head = df_query_encode_header_bound(compiled) + sizeof(begin);
    bound = head;

    if (run->rows) {

        /* rows are much alike */

        bound += run->rows * df_query_encode_bound(compiled, run->format, res,
                                                   0);
    }

    if (df_writer_init_chained(w, run->pool,
                               ngx_min(bound, DF_QUERY_LIST_SIZE))
        != NGX_OK
        || df_writer_reserve(w, head) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (run->format == DF_FORMAT_JSON) {
        w->pos = ngx_cpymem(w->pos, begin, sizeof(begin) - 1);

    } else if (run->format == DF_FORMAT_CSV) {
        w->pos = df_query_encode_header(w->pos, compiled);
    }

    if (compiled->includes) {
        compiled->includes->total = 0;
    }

    for (i = 0; i < run->rows; i++) {
        bound = df_query_encode_bound(compiled, run->format, res, i);

        if (df_writer_reserve(w, bound + 1) != NGX_OK) {
            return NGX_ERROR;
        }

        if (i && run->format == DF_FORMAT_JSON) {
            *w->pos++ = ',';
        }

        w->pos = df_query_encode_row(w->pos, compiled, run->format, res, i);

        if (compiled->includes) {
            rc = df_query_include_total(state);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_query_result_record(df_query_state_t *state, const PGresult *res,
    ngx_uint_t row, ngx_uint_t n)
{
    size_t          bound;
    df_run_t       *run;
    ngx_int_t       rc;
    df_writer_t    *w;
    df_compiled_t  *compiled;

    run = state->run;
    compiled = &state->compiled;
    w = &state->out;

    run->rows = n;

    if (run->rows == 0) {
        return NGX_OK;
    }

    rc = df_query_result_types(state, res);
    if (rc != NGX_OK) {
        return rc;
    }

    if (df_query_result_identity(state, res, row) != NGX_OK) {
        return NGX_ERROR;
    }

    if (compiled->nfields == 0 && compiled->includes == NULL) {
        return NGX_OK;
    }

    if (compiled->includes) {
        compiled->includes->total = 0;
    }

    bound = df_query_encode_bound(compiled, DF_FORMAT_JSON, res, row);

    if (df_writer_init_chained(w, run->pool, bound) != NGX_OK
        || df_writer_reserve(w, bound) != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->pos = df_query_encode_row(w->pos, compiled, DF_FORMAT_JSON, res, row);

    return compiled->includes ? df_query_include_total(state) : NGX_OK;
}


/* the version and, where it was not known before, the key */

static ngx_int_t
df_query_result_identity(df_query_state_t *state, const PGresult *res,
    ngx_uint_t row)
{
    u_char            *p;
    uint32_t           xid;
    df_run_t          *run;
    ngx_str_t          value;
    df_compiled_t     *compiled;
    const df_field_t  *key;

    run = state->run;
    compiled = &state->compiled;

    if (compiled->version != -1) {
        value = df_pg_value(res, row, compiled->version);

        if (value.len != sizeof(uint32_t)) {
            return NGX_ERROR;
        }

        ngx_memcpy(&xid, value.data, sizeof(uint32_t));
        run->version = df_str_printf(run->pool, "%uD", ntohl(xid));
    }

    if (compiled->key != -1) {
        key = compiled->columns[compiled->key];
        value = df_pg_value(res, row, compiled->key);

        p = ngx_pnalloc(run->pool,
                        df_schema_text_bound(key, value.data, value.len));
        if (p == NULL) {
            return NGX_ERROR;
        }

        run->key.data = p;
        run->key.len = df_schema_text(key, p, value.data, value.len) - p;
    }

    return NGX_OK;
}


static ngx_int_t
df_query_result_count(df_query_state_t *state, const PGresult *res)
{
    uint64_t    n;
    ngx_str_t   value;
    ngx_uint_t  i;

    value = df_pg_value(res, 0, 0);

    if (value.len != sizeof(int64_t)) {
        return NGX_ERROR;
    }

    n = 0;

    for (i = 0; i < sizeof(int64_t); i++) {
        n = n << 8 | value.data[i];
    }

    state->count = (int64_t) n;

    return NGX_OK;
}


/* the first node of a plan is the one whose rows are the answer */

static ngx_int_t
df_query_result_estimate(df_query_state_t *state, const PGresult *res)
{
    u_char     *p, *last;
    ngx_str_t   value;

    static char  rows[] = "\"Plan Rows\": ";

    value = df_pg_value(res, 0, 0);
    last = value.data + value.len;

    p = ngx_strnstr(value.data, rows, value.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    state->estimate = 0;

    for (p += sizeof(rows) - 1; p < last && *p >= '0' && *p <= '9'; p++) {
        state->estimate = state->estimate * 10 + (*p - '0');
    }

    return NGX_OK;
}


static ngx_int_t
df_query_result_check(df_query_state_t *state, const PGresult *res)
{
    ngx_str_t   value;
    ngx_uint_t  i, n;

    n = PQnfields(res);

    if (PQntuples(res) == 0) {
        return NGX_OK;
    }

    state->checks = ngx_pnalloc(state->run->pool, n);
    if (state->checks == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        value = df_pg_value(res, 0, i);
        state->checks[i] = (value.len == 1 && value.data[0]);
    }

    return NGX_OK;
}


/*
 * Without migration a column may be of another type than the model says; its
 * binary form would be misread.  A read is refused then.  A write is done
 * already, and a refusal would say that it is not: it is answered with what
 * the database has.
 */

ngx_int_t
df_query_result_types(df_query_state_t *state, const PGresult *res)
{
    Oid                  type;
    df_run_t            *run;
    ngx_uint_t           i;
    const df_field_t    *field;
    const df_request_t  *r;

    run = state->run;
    r = run->admitted->request;

    for (i = 0; i < state->compiled.ncolumns; i++) {
        field = state->compiled.columns[i];
        type = PQftype(res, i);

        if (df_query_result_type_fits(field, type)) {
            continue;
        }

        ngx_log_error(NGX_LOG_ERR, run->log, 0,
                      "model \"%V\": field \"%V\" is not of type %V%s in the "
                      "database, but of the type with OID %uD",
                      &r->model->name, &field->name, &field->type->name,
                      field->array ? "[]" : "", (uint32_t) type);

        if (df_query_is(r, DF_READS)) {
            return df_problem_set(&run->problem, DF_PROBLEM_SCHEMA_DRIFT,
                                  "a column has another type in the "
                                  "database");
        }

        if (df_query_result_type_take(state, i, type) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_uint_t
df_query_result_type_fits(const df_field_t *field, Oid type)
{
    ngx_uint_t        array;
    const df_type_t  *known;

    if (type == df_schema_oid(field)
        || field->selected.len != field->quoted.len)
    {
        return 1;
    }

    if (!(field->type->flags & DF_TYPE_ESCAPED)) {
        return 0;
    }

    /* text has relatives, enumerations and citext among them */

    if (type == (field->array ? DF_QUERY_BPCHARS_OID : DF_QUERY_BPCHAR_OID)
        || type >= DF_QUERY_FIRST_OWN_OID)
    {
        return 1;
    }

    known = df_schema_type_by_oid(type, &array);

    return (known->flags & DF_TYPE_TEXT) && array == field->array;
}


static ngx_int_t
df_query_result_type_take(df_query_state_t *state, ngx_uint_t i, Oid type)
{
    df_field_t  *field;
    ngx_uint_t   array;

    field = ngx_palloc(state->run->pool, sizeof(df_field_t));
    if (field == NULL) {
        return NGX_ERROR;
    }

    *field = *state->compiled.columns[i];

    field->type = df_schema_type_by_oid(type, &array);
    field->array = array;

    state->compiled.columns[i] = field;

    return NGX_OK;
}


ngx_int_t
df_query_result_next(df_query_state_t *state, const PGresult *res,
    ngx_uint_t row, ngx_str_t *next)
{
    u_char               *p;
    df_run_t             *run;
    ngx_int_t             rc;
    ngx_str_t             value;
    df_value_t           *values;
    ngx_uint_t            i, n, column;
    const df_field_t     *field;

    run = state->run;
    n = run->admitted->sort.nelts;

    if (state->compiled.sort_columns == NULL) {
        return NGX_OK;
    }

    values = ngx_pcalloc(run->pool, n * sizeof(df_value_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        column = state->compiled.sort_columns[i];
        field = state->compiled.columns[column];

        if (df_pg_is_null(res, row, column)) {
            values[i].null = 1;
            continue;
        }

        value = df_pg_value(res, row, column);

        p = ngx_pnalloc(run->pool,
                        df_schema_text_bound(field, value.data, value.len)
                        + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        values[i].text.data = p;
        values[i].text.len = df_schema_text(field, p, value.data, value.len)
                             - p;
        p[values[i].text.len] = '\0';
    }

    rc = df_query_cursor_make(run->admitted, run->pool, values, next);

    if (rc == NGX_DECLINED) {
        return df_problem_set(&run->problem, DF_PROBLEM_TOO_COMPLEX,
                              "the values that the list is sorted by are too "
                              "long for a cursor: sort by another field");
    }

    return rc;
}


size_t
df_query_result_tail_bound(df_query_state_t *state)
{
    ngx_str_t  *next;

    next = &state->run->next;

    return sizeof("],\"truncated\":true,\"next\":\"\",\"count\":}")
           + NGX_INT64_LEN + sizeof("null")
           + df_json_escaped_length(next->data, next->len);
}


u_char *
df_query_result_tail(u_char *p, df_query_state_t *state)
{
    df_run_t   *run;
    ngx_str_t  *next;

    run = state->run;
    next = &run->next;

    *p++ = ']';

    if (run->admitted->request->op != DF_LIST) {

        if (run->truncated) {
            p = ngx_cpymem(p, ",\"truncated\":true",
                           sizeof(",\"truncated\":true") - 1);
        }

        *p++ = '}';

        return p;
    }

    p = ngx_cpymem(p, ",\"next\":", sizeof(",\"next\":") - 1);

    if (next->len) {
        *p++ = '"';
        p = df_json_escape(p, next->data, next->len);
        *p++ = '"';

    } else {
        p = ngx_cpymem(p, "null", sizeof("null") - 1);
    }

    if (state->compiled.count != -1) {
        p = ngx_sprintf(p, ",\"count\":%L",
                        state->compiled.estimate != -1
                        && state->count > DF_COUNT_CAP
                        ? ngx_max(state->count, state->estimate)
                        : state->count);
    }

    *p++ = '}';

    return p;
}


void
df_query_result_finish(df_query_state_t *state)
{
    df_run_t            *run;
    df_writer_t         *w;
    const df_request_t  *r;

    run = state->run;
    r = run->admitted->request;
    w = &state->out;

    if (!df_query_is(r, DF_ROWS) && run->rows == 0) {
        df_query_result_untouched(state);
        return;
    }

    if (w->pool == NULL) {
        return;
    }

    if (df_query_is(r, DF_ROWS) && run->format == DF_FORMAT_JSON) {

        if (df_writer_reserve(w, df_query_result_tail_bound(state)) != NGX_OK) {
            state->broken = 1;
            return;
        }

        w->pos = df_query_result_tail(w->pos, state);

    } else {

        /* as where it is streamed */

        ngx_str_null(&run->next);
    }

    run->length = df_writer_length(w);
    run->out = df_writer_close(w);

    if (run->length && run->out == NULL) {
        state->broken = 1;
    }
}


/* no row was found or touched: why? */

static void
df_query_result_untouched(df_query_state_t *state)
{
    u_char                 *checks;
    ngx_str_t               pointer;
    ngx_uint_t              i;
    df_problem_t           *problem;
    const df_request_t     *r;
    const df_assignment_t  *expected;

    static const ngx_str_t  body = ngx_string("");

    r = state->run->admitted->request;
    problem = &state->run->problem;
    checks = state->checks;
    expected = r->expected.elts;

    if (r->op == DF_CREATE) {
        (void) df_problem_set(problem, DF_PROBLEM_CONFLICT,
                              "a trigger of the table left the record out");
        return;
    }

    if (checks == NULL) {
        (void) df_problem_set(problem, DF_PROBLEM_NOT_FOUND,
                              "there is no record with this key");
        return;
    }

    if (!checks[0]) {
        (void) df_problem_set(problem, DF_PROBLEM_PRECONDITION_FAILED,
                              "the record is not the one of If-Match");
        return;
    }

    for (i = 0; i < r->expected.nelts; i++) {

        if (checks[i + 1]) {
            continue;
        }

        pointer = df_json_pointer(r->pool, &body, &expected[i].field->name);

        (void) df_problem_add(problem, DF_PROBLEM_VALIDATION_FAILED,
                              DF_AT_POINTER, &pointer, "readonly",
                              "\"%V\" cannot be set, and what is stored is "
                              "another value", &expected[i].field->name);
    }

    if (problem->code == DF_PROBLEM_NONE) {
        (void) df_problem_set(problem, DF_PROBLEM_CONFLICT,
                              "the record was changed at the same time; "
                              "nothing was done");
    }
}
