
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Problems: the kinds there are, how one is collected and how it is told
 * (RFC 9457).  What is wrong is for others to find.
 */


#include "core/core.h"


typedef struct {
    ngx_uint_t  status;
    ngx_str_t   code;
    ngx_str_t   title;
} df_problem_kind_t;


static ngx_int_t df_problem_print_items(df_writer_t *w,
    const df_problem_t *p);
static ngx_int_t df_problem_print_member(df_writer_t *w, const char *name,
    const ngx_str_t *value);
static ngx_int_t df_problem_print_string(df_writer_t *w,
    const ngx_str_t *value);


static const df_problem_kind_t  df_problem_kinds[DF_PROBLEM_MAX] = {

    [DF_PROBLEM_NONE] = {
        200, ngx_string("none"),
        ngx_string("Nothing is wrong") },

    [DF_PROBLEM_BAD_REQUEST] = {
        400, ngx_string("bad_request"),
        ngx_string("Bad request") },

    [DF_PROBLEM_UNKNOWN_PARAMETER] = {
        400, ngx_string("unknown_parameter"),
        ngx_string("Unknown parameter") },

    [DF_PROBLEM_UNKNOWN_FIELD] = {
        400, ngx_string("unknown_field"),
        ngx_string("Unknown field") },

    [DF_PROBLEM_UNKNOWN_OPERATOR] = {
        400, ngx_string("unknown_operator"),
        ngx_string("Unknown operator") },

    [DF_PROBLEM_INVALID_VALUE] = {
        400, ngx_string("invalid_value"),
        ngx_string("Invalid value") },

    [DF_PROBLEM_INVALID_JSON] = {
        400, ngx_string("invalid_json"),
        ngx_string("Invalid JSON") },

    [DF_PROBLEM_INVALID_CURSOR] = {
        400, ngx_string("invalid_cursor"),
        ngx_string("Invalid cursor") },

    [DF_PROBLEM_LIMIT_EXCEEDED] = {
        400, ngx_string("limit_exceeded"),
        ngx_string("Limit exceeded") },

    [DF_PROBLEM_FORBIDDEN] = {
        403, ngx_string("forbidden"),
        ngx_string("Forbidden") },

    [DF_PROBLEM_NOT_FOUND] = {
        404, ngx_string("not_found"),
        ngx_string("Not found") },

    [DF_PROBLEM_METHOD_NOT_ALLOWED] = {
        405, ngx_string("method_not_allowed"),
        ngx_string("Method not allowed") },

    [DF_PROBLEM_NOT_ACCEPTABLE] = {
        406, ngx_string("not_acceptable"),
        ngx_string("Not acceptable") },

    [DF_PROBLEM_CONFLICT] = {
        409, ngx_string("conflict"),
        ngx_string("Conflict") },

    [DF_PROBLEM_UNIQUE_VIOLATION] = {
        409, ngx_string("unique_violation"),
        ngx_string("Value is not unique") },

    [DF_PROBLEM_EXCLUSION_VIOLATION] = {
        409, ngx_string("exclusion_violation"),
        ngx_string("Value conflicts with another record") },

    [DF_PROBLEM_FOREIGN_KEY_VIOLATION] = {
        409, ngx_string("foreign_key_violation"),
        ngx_string("Reference to another record is broken") },

    [DF_PROBLEM_SERIALIZATION_FAILURE] = {
        409, ngx_string("serialization_failure"),
        ngx_string("Concurrent changes collided") },

    [DF_PROBLEM_LOCK_NOT_AVAILABLE] = {
        409, ngx_string("lock_not_available"),
        ngx_string("Record is locked") },

    [DF_PROBLEM_PRECONDITION_FAILED] = {
        412, ngx_string("precondition_failed"),
        ngx_string("Precondition failed") },

    [DF_PROBLEM_PAYLOAD_TOO_LARGE] = {
        413, ngx_string("payload_too_large"),
        ngx_string("Payload too large") },

    [DF_PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {
        415, ngx_string("unsupported_media_type"),
        ngx_string("Unsupported media type") },

    [DF_PROBLEM_VALIDATION_FAILED] = {
        422, ngx_string("validation_failed"),
        ngx_string("Validation failed") },

    [DF_PROBLEM_TOO_COMPLEX] = {
        422, ngx_string("too_complex"),
        ngx_string("Request is too complex") },

    [DF_PROBLEM_INTERNAL] = {
        500, ngx_string("internal"),
        ngx_string("Internal error") },

    [DF_PROBLEM_SCHEMA_DRIFT] = {
        500, ngx_string("schema_drift"),
        ngx_string("Database differs from the declared model") },

    [DF_PROBLEM_DATABASE_UNAVAILABLE] = {
        503, ngx_string("database_unavailable"),
        ngx_string("Database is unavailable") },

    [DF_PROBLEM_OVERLOADED] = {
        503, ngx_string("overloaded"),
        ngx_string("Server is overloaded") },

    [DF_PROBLEM_OUTCOME_UNKNOWN] = {
        503, ngx_string("outcome_unknown"),
        ngx_string("Outcome of the write is unknown") },

    [DF_PROBLEM_QUEUE_TIMEOUT] = {
        504, ngx_string("queue_timeout"),
        ngx_string("No database connection became free in time") },

    [DF_PROBLEM_STATEMENT_TIMEOUT] = {
        504, ngx_string("statement_timeout"),
        ngx_string("Statement timed out") }
};


static const char *const  df_problem_places[] = {
    [DF_AT_POINTER] = "pointer",
    [DF_AT_PARAMETER] = "parameter",
    [DF_AT_HEADER] = "header"
};


ngx_int_t
df_problem_init(df_problem_t *p, ngx_pool_t *pool)
{
    /* most requests have no problem: the array is made for the first item */

    ngx_memzero(p, sizeof(df_problem_t));
    p->pool = pool;

    return NGX_OK;
}


ngx_int_t
df_problem_set(df_problem_t *p, df_problem_code_t code, const char *fmt, ...)
{
    va_list  args;

    p->code = code;

    va_start(args, fmt);
    p->detail = df_str_vprintf(p->pool, fmt, args);
    va_end(args);

    return NGX_DECLINED;
}


ngx_int_t
df_problem_add(df_problem_t *p, df_problem_code_t code, df_problem_at_t at,
    const ngx_str_t *name, const char *item_code, const char *fmt, ...)
{
    va_list             args;
    df_problem_item_t  *item;

    if (p->code == DF_PROBLEM_NONE) {
        p->code = code;
        ngx_str_set(&p->detail, "errors lists what is wrong, and where");
    }

    if (p->items.elts == NULL
        && ngx_array_init(&p->items, p->pool, 4, sizeof(df_problem_item_t))
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (p->items.nelts == DF_PROBLEM_MAX_ITEMS) {
        return NGX_DECLINED;
    }

    item = ngx_array_push(&p->items);
    if (item == NULL) {
        return NGX_DECLINED;
    }

    item->at = at;
    item->name = *name;
    item->code.data = (u_char *) item_code;
    item->code.len = ngx_strlen(item_code);
    item->line = p->line;

    va_start(args, fmt);
    item->detail = df_str_vprintf(p->pool, fmt, args);
    va_end(args);

    return NGX_DECLINED;
}


ngx_uint_t
df_problem_status(const df_problem_t *p)
{
    return p->status ? p->status : df_problem_kinds[p->code].status;
}


void
df_problem_kind(df_problem_code_t code, ngx_uint_t *status, ngx_str_t *name,
    ngx_str_t *title)
{
    *status = df_problem_kinds[code].status;
    *name = df_problem_kinds[code].code;
    *title = df_problem_kinds[code].title;
}


ngx_int_t
df_problem_print(const df_problem_t *p, const ngx_str_t *instance,
    ngx_str_t *out)
{
    df_writer_t               w;
    const df_problem_kind_t  *kind;

    kind = &df_problem_kinds[p->code];

    if (df_writer_init(&w, p->pool, 512) != NGX_OK
        || df_writer_printf(&w, "{\"type\":\"/problems/%V\","
                            "\"title\":\"%V\",\"status\":%ui",
                            &kind->code, &kind->title, df_problem_status(p))
           != NGX_OK
        || df_problem_print_member(&w, "detail", &p->detail) != NGX_OK
        || df_problem_print_member(&w, "instance", instance) != NGX_OK
        || df_problem_print_member(&w, "code", &kind->code) != NGX_OK
        || df_problem_print_member(&w, "sqlstate", &p->sqlstate) != NGX_OK
        || df_problem_print_member(&w, "constraint", &p->constraint) != NGX_OK
        || df_problem_print_items(&w, p) != NGX_OK
        || df_writer_add(&w, "}", 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_text(&w, out);
}


static ngx_int_t
df_problem_print_items(df_writer_t *w, const df_problem_t *p)
{
    ngx_uint_t          i;
    df_problem_item_t  *item;

    if (p->items.nelts == 0) {
        return NGX_OK;
    }

    item = p->items.elts;

    for (i = 0; i < p->items.nelts; i++) {

        /* an empty pointer is printed: it is the whole body */

        if (df_writer_printf(w, "%s{\"%s\":", i ? "," : ",\"errors\":[",
                             df_problem_places[item[i].at])
            != NGX_OK
            || df_problem_print_string(w, &item[i].name) != NGX_OK
            || df_problem_print_member(w, "code", &item[i].code) != NGX_OK
            || df_problem_print_member(w, "detail", &item[i].detail)
               != NGX_OK
            || (item[i].line
                && df_writer_printf(w, ",\"line\":%ui", item[i].line)
                   != NGX_OK)
            || df_writer_add(w, "}", 1) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return df_writer_add(w, "]", 1);
}


/* an empty member is left out */

static ngx_int_t
df_problem_print_member(df_writer_t *w, const char *name,
    const ngx_str_t *value)
{
    if (value->len == 0) {
        return NGX_OK;
    }

    if (df_writer_printf(w, ",\"%s\":", name) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_problem_print_string(w, value);
}


static ngx_int_t
df_problem_print_string(df_writer_t *w, const ngx_str_t *value)
{
    size_t  len;

    len = df_json_escaped_length(value->data, value->len);

    if (df_writer_reserve(w, len + 2) != NGX_OK) {
        return NGX_ERROR;
    }

    *w->pos++ = '"';
    w->pos = df_json_escape(w->pos, value->data, value->len);
    *w->pos++ = '"';

    return NGX_OK;
}
