
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What PostgreSQL and the executor refuse, to problems: one table each.  The
 * texts are ours, because PostgreSQL's tell of values, which may be those of
 * rows that the client must not see; only what a trigger raises is passed on.
 */


#include <ngx_config.h>
#include "query/bulk.h"


typedef struct {
    const char         *state;          /* its beginning; the first that fits */
    df_problem_code_t   read;
    df_problem_code_t   write;
    const char         *item;           /* code of the item for the field */
    const char         *detail;
    ngx_uint_t          retry_after;
    ngx_uint_t          log;            /* level; 0: not worth a line */
} df_query_sqlstate_t;

typedef struct {
    df_problem_code_t   code;
    const char         *detail;
    ngx_uint_t          retry_after;
} df_query_failure_t;


static const df_query_sqlstate_t *df_query_sqlstate_find(const char *state);
static ngx_uint_t df_query_sqlstate_is_asked(const df_request_t *r,
    const df_query_sqlstate_t *s);
static void df_query_sqlstate_timezone(const df_request_t *r,
    df_problem_t *problem);
static ngx_uint_t df_query_sqlstate_raised(const df_pg_error_t *error,
    df_problem_t *problem);
static void df_query_sqlstate_item(const df_request_t *r,
    const df_pg_error_t *error, const df_query_sqlstate_t *s,
    const df_bulk_part_t *part, df_problem_t *problem);
static void df_query_sqlstate_declared(ngx_pool_t *pool,
    const df_field_t *field, ngx_str_t *detail);
static ngx_str_t df_query_sqlstate_range(ngx_pool_t *pool,
    const df_field_t *field);
static const df_field_t *df_query_sqlstate_operated(const df_request_t *r);


#define DF_BOTH(code)  DF_PROBLEM_##code, DF_PROBLEM_##code


static const df_query_sqlstate_t  df_query_sqlstates[] = {

    /* what the values are to blame for */

    { "23505", DF_BOTH(UNIQUE_VIOLATION), "unique",
      "another record has this value already", 0, 0 },
    { "23P01", DF_BOTH(EXCLUSION_VIOLATION), "exclusion",
      "the value conflicts with another record", 0, 0 },
    { "23503", DF_BOTH(FOREIGN_KEY_VIOLATION), "reference",
      "the record that is referred to does not exist", 0, 0 },
    { "23001", DF_BOTH(FOREIGN_KEY_VIOLATION), "reference",
      "the record that is referred to does not exist", 0, 0 },
    { "23502", DF_BOTH(VALIDATION_FAILED), "required",
      "a value is required", 0, 0 },
    { "23514", DF_BOTH(VALIDATION_FAILED), "check",
      "the value is not allowed", 0, 0 },
    { "23", DF_BOTH(CONFLICT), "constraint",
      "a constraint of the database is violated", 0, 0 },
    { "21000", DF_BOTH(VALIDATION_FAILED), NULL,
      "two of the records mean the same one", 0, 0 },
    { "44", DF_BOTH(FORBIDDEN), NULL,
      "the record would not be among those that can be seen", 0, 0 },
    { "22001", DF_PROBLEM_INVALID_VALUE, DF_PROBLEM_VALIDATION_FAILED, NULL,
      "a text is too long", 0, 0 },
    { "22003", DF_BOTH(VALIDATION_FAILED), "range",
      "a number is out of range", 0, 0 },
    { "22008", DF_PROBLEM_INVALID_VALUE, DF_PROBLEM_VALIDATION_FAILED, NULL,
      "a date or time is out of range", 0, 0 },
    { "2201B", DF_PROBLEM_INVALID_VALUE, DF_PROBLEM_VALIDATION_FAILED,
      "pattern",
      "the regular expression is not valid", 0, 0 },
    { "22025", DF_PROBLEM_INVALID_VALUE, DF_PROBLEM_VALIDATION_FAILED,
      "pattern",
      "the pattern ends with its escape character", 0, 0 },
    { "22012", DF_BOTH(VALIDATION_FAILED), NULL,
      "division by zero", 0, 0 },
    { "2201", DF_BOTH(VALIDATION_FAILED), NULL,
      "a function has no result for a value", 0, 0 },
    { "22023", DF_PROBLEM_INVALID_VALUE, DF_PROBLEM_VALIDATION_FAILED,
      "timezone",
      "a value does not suit the database", 0, 0 },
    { "22", DF_PROBLEM_INVALID_VALUE, DF_PROBLEM_VALIDATION_FAILED, NULL,
      "a value does not suit the database", 0, 0 },
    { "0A", DF_PROBLEM_INVALID_VALUE, DF_PROBLEM_VALIDATION_FAILED, NULL,
      "the database can not do this with these values", 0, NGX_LOG_ERR },
    { "54", DF_BOTH(TOO_COMPLEX), NULL,
      "the request is too complex for the database", 0, 0 },

    /* what others do at the same time */

    { "40003", DF_BOTH(OUTCOME_UNKNOWN), NULL,
      "whether the change was made is not known", 0, NGX_LOG_ERR },
    { "40", DF_BOTH(SERIALIZATION_FAILURE), NULL,
      "other changes collided with this one, again and again; "
      "nothing was done", 1, 0 },
    { "55P03", DF_BOTH(LOCK_NOT_AVAILABLE), NULL,
      "the record is locked by another change; nothing was done", 1, 0 },

    /* our own timeouts have come as such */

    { "57014", DF_BOTH(DATABASE_UNAVAILABLE), NULL,
      "the statement was cancelled in the database; nothing was done",
      1, NGX_LOG_WARN },

    /* what the database is to blame for */

    { "25006", DF_BOTH(DATABASE_UNAVAILABLE), NULL,
      "the database takes no changes at the moment", 5, NGX_LOG_ERR },
    { "57P", DF_BOTH(DATABASE_UNAVAILABLE), NULL,
      "the database is going down or coming up", 1, NGX_LOG_WARN },
    { "08", DF_BOTH(DATABASE_UNAVAILABLE), NULL,
      "the connection to the database failed", 1, NGX_LOG_WARN },
    { "53", DF_BOTH(DATABASE_UNAVAILABLE), NULL,
      "the database is short of resources", 5, NGX_LOG_ERR },
    { "28", DF_BOTH(DATABASE_UNAVAILABLE), NULL,
      "the database refuses the connection", 5, NGX_LOG_ALERT },
    { "3D", DF_BOTH(DATABASE_UNAVAILABLE), NULL,
      "there is no such database", 5, NGX_LOG_ALERT },

    /* what the configuration is to blame for */

    { "42501", DF_BOTH(FORBIDDEN), NULL,
      "the database does not permit this", 0, NGX_LOG_ERR },
    { "42P01", DF_BOTH(SCHEMA_DRIFT), NULL,
      "the table is not in the database", 0, NGX_LOG_ERR },
    { "3F", DF_BOTH(SCHEMA_DRIFT), NULL,
      "the table's schema is not in the database", 0, NGX_LOG_ERR },
    { "42P10", DF_BOTH(SCHEMA_DRIFT), NULL,
      "the unique index is not in the database", 0, NGX_LOG_ERR },
    { "42703", DF_BOTH(SCHEMA_DRIFT), NULL,
      "a column is not in the database", 0, NGX_LOG_ERR },
    { "42804", DF_BOTH(SCHEMA_DRIFT), NULL,
      "a column has another type in the database", 0, NGX_LOG_ERR },
    { "42883", DF_BOTH(SCHEMA_DRIFT), NULL,
      "a column has another type in the database", 0, NGX_LOG_ERR },
    { "428C9", DF_BOTH(SCHEMA_DRIFT), NULL,
      "a column is generated by the database", 0, NGX_LOG_ERR },
    { "", DF_BOTH(INTERNAL), NULL,
      "the database failed", 0, NGX_LOG_ERR }
};


static const df_query_failure_t  df_query_failures[] = {

    [DF_PG_DOWN] = {
        DF_PROBLEM_DATABASE_UNAVAILABLE,
        "the database cannot be reached; nothing was done", 1 },

    [DF_PG_QUEUE_FULL] = {
        DF_PROBLEM_OVERLOADED,
        "too many requests wait for the database; nothing was done", 1 },

    [DF_PG_QUEUE_TIMEOUT] = {
        DF_PROBLEM_QUEUE_TIMEOUT,
        "the request waited too long for the database; nothing was done", 1 },

    [DF_PG_STATEMENT_TIMEOUT] = {
        DF_PROBLEM_STATEMENT_TIMEOUT,
        "the database took too long and was told to stop", 0 },

    [DF_PG_OUTCOME_UNKNOWN] = {
        DF_PROBLEM_OUTCOME_UNKNOWN,
        "the connection to the database was lost while the change was under "
        "way: it may have been made, or not", 0 },

    [DF_PG_NO_MEMORY] = {
        DF_PROBLEM_INTERNAL, "out of memory", 0 }
};


void
df_query_problem(const df_request_t *r, const df_pg_error_t *error,
    df_problem_t *problem)
{
    df_query_problem_part(r, error, NULL, problem);
}


void
df_query_problem_part(const df_request_t *r, const df_pg_error_t *error,
    const df_bulk_part_t *part, df_problem_t *problem)
{
    ngx_uint_t                  reads, code;
    const char                 *detail;
    const df_query_failure_t   *f;
    const df_query_sqlstate_t  *s;

    if (error->failure != DF_PG_SQL) {
        f = &df_query_failures[error->failure];

        (void) df_problem_set(problem, f->code, "%s", f->detail);
        problem->retry_after = error->retry_after ? error->retry_after
                                                  : f->retry_after;
        return;
    }

    problem->sqlstate.data = ngx_pnalloc(problem->pool, 5);
    if (problem->sqlstate.data != NULL) {
        ngx_memcpy(problem->sqlstate.data, error->sqlstate, 5);
        problem->sqlstate.len = 5;
    }

    if (df_query_sqlstate_raised(error, problem)) {
        return;
    }

    s = df_query_sqlstate_find(error->sqlstate);
    reads = df_query_is(r, DF_READS);
    detail = s->detail;

    if (s->read == DF_PROBLEM_FOREIGN_KEY_VIOLATION
        && (r->op == DF_DELETE || r->op == DF_BULK_DELETE))
    {
        detail = "other records refer to this one";
    }

    code = (reads && df_query_sqlstate_is_asked(r, s)) ? s->read : s->write;

    (void) df_problem_set(problem, code, "%s", detail);
    problem->retry_after = s->retry_after;

    if (s->log) {
        ngx_log_error(s->log, r->pool->log, 0,
                      "model \"%V\": PostgreSQL: %V (SQLSTATE %s)",
                      &r->model->name, &error->message, error->sqlstate);
    }

    if (s->item == NULL) {
        return;
    }

    if (!reads) {
        df_query_sqlstate_item(r, error, s, part, problem);

    } else if (r->npatterns == 1 && ngx_strcmp(s->item, "pattern") == 0) {
        (void) df_problem_add(problem, problem->code, r->pattern_at,
                              &r->pattern_name, s->item, "%s", s->detail);

    } else if (r->timezone.len && ngx_strcmp(s->item, "timezone") == 0) {
        df_query_sqlstate_timezone(r, problem);
    }
}


/* whether a word of the request is to blame: what a calculation stumbles over
   is stored */

static ngx_uint_t
df_query_sqlstate_is_asked(const df_request_t *r,
    const df_query_sqlstate_t *s)
{
    if (s->item && ngx_strcmp(s->item, "pattern") == 0) {
        return 1;
    }

    if (s->item && ngx_strcmp(s->item, "timezone") == 0 && r->timezone.len) {
        return 1;
    }

    return !r->calculates && r->op != DF_AGGREGATE;
}


static void
df_query_sqlstate_timezone(const df_request_t *r, df_problem_t *problem)
{
    df_place_t         room;
    const df_place_t  *place;

    static ngx_str_t  name = ngx_string("timezone");

    if (r->report) {
        (void) df_problem_set(problem, DF_PROBLEM_INTERNAL,
                              "the database knows no time zone \"%V\", the "
                              "\"timezone\" of report \"%V\"", &r->timezone,
                              r->report);
        return;
    }

    place = df_query_parameter_place(r, &name, &room);

    (void) df_query_refuse(problem, DF_PROBLEM_INVALID_VALUE, place, "type",
                           "the database knows no time zone \"%V\"",
                           &r->timezone);
}


static const df_query_sqlstate_t *
df_query_sqlstate_find(const char *state)
{
    const df_query_sqlstate_t  *s;

    for (s = df_query_sqlstates; ; s++) {
        if (ngx_strncmp(s->state, state, ngx_strlen(s->state)) == 0) {
            return s;
        }
    }
}


/* RAISE in a trigger: its text is meant for the client; PTxyz is a status */

static ngx_uint_t
df_query_sqlstate_raised(const df_pg_error_t *error, df_problem_t *problem)
{
    ngx_int_t    status;
    const char  *state;

    state = error->sqlstate;

    if (ngx_strncmp(state, "P0001", 5) == 0) {
        (void) df_problem_set(problem, DF_PROBLEM_BAD_REQUEST, "%V",
                              &error->message);
        return 1;
    }

    if (ngx_strncmp(state, "PT", 2) != 0) {
        return 0;
    }

    status = ngx_atoi((u_char *) state + 2, 3);

    if (status < 400 || status > 599) {
        return 0;
    }

    (void) df_problem_set(problem, status < 500 ? DF_PROBLEM_BAD_REQUEST
                                                : DF_PROBLEM_INTERNAL,
                          "%V", &error->message);
    problem->status = status;

    return 1;
}


/* the constraint, and the field that it or the column's name stands for, or
   whose operator has a result that its type cannot hold */

static void
df_query_sqlstate_item(const df_request_t *r, const df_pg_error_t *error,
    const df_query_sqlstate_t *s, const df_bulk_part_t *part,
    df_problem_t *problem)
{
    ngx_str_t          pointer, detail;
    const df_field_t  *field;

    static const ngx_str_t  body = ngx_string("");

    field = NULL;
    detail = problem->detail;

    if (error->constraint.len) {
        (void) df_str_copy(problem->pool, &problem->constraint,
                           error->constraint.data, error->constraint.len);
        field = df_schema_constraint_field(r->model, &error->constraint);
    }

    if (field == NULL && error->column.len) {
        field = df_schema_field(r->model, &error->column);
    }

    if (field != NULL && ngx_strcmp(s->item, "check") == 0) {
        df_query_sqlstate_declared(problem->pool, field, &detail);
    }

    if (ngx_strcmp(s->item, "range") == 0) {
        field = df_query_sqlstate_operated(r);

        if (field != NULL) {
            detail = df_query_sqlstate_range(problem->pool, field);
        }
    }

    if (r->bulk) {
        df_bulk_blame(r, error, part, field, s->item, &detail, problem);
        return;
    }

    if (field == NULL || field->hidden || r->op == DF_DELETE) {
        return;
    }

    pointer = df_json_pointer(problem->pool, &body, &field->name);

    (void) df_problem_add(problem, problem->code, DF_AT_POINTER, &pointer,
                          s->item, "%V", &detail);
}


/* what of the field's declaration has become the constraint */

static void
df_query_sqlstate_declared(ngx_pool_t *pool, const df_field_t *field,
    ngx_str_t *detail)
{
    ngx_str_t    *choice;
    ngx_uint_t    i;
    df_writer_t   w;

    if (df_writer_init(&w, pool, 128) != NGX_OK
        || df_writer_printf(&w, "%V:", detail) != NGX_OK
        || (field->min.len
            && df_writer_printf(&w, " min=%V", &field->min) != NGX_OK)
        || (field->max.len
            && df_writer_printf(&w, " max=%V", &field->max) != NGX_OK)
        || (field->pattern.len
            && df_writer_printf(&w, " pattern=%V", &field->pattern) != NGX_OK))
    {
        return;
    }

    choice = field->choices ? field->choices->elts : NULL;

    for (i = 0; choice && i < field->choices->nelts; i++) {
        if (df_writer_printf(&w, "%s%V", i ? "," : " enum=", &choice[i])
            != NGX_OK)
        {
            return;
        }
    }

    if (df_writer_length(&w) > (off_t) detail->len + 1) {
        (void) df_writer_text(&w, detail);
    }
}


static ngx_str_t
df_query_sqlstate_range(ngx_pool_t *pool, const df_field_t *field)
{
    if (field->precision) {
        return df_str_printf(pool, "the result is out of the range of "
                             "%V(%ui,%ui)", &field->type->name,
                             field->precision, field->scale);
    }

    return df_str_printf(pool, "the result is out of the range of %V",
                         &field->type->name);
}


/* the field of the only operator that calculates */

static const df_field_t *
df_query_sqlstate_operated(const df_request_t *r)
{
    ngx_uint_t              i;
    const df_field_t       *field;
    const df_assignment_t  *a;

    field = NULL;
    a = r->values.elts;

    for (i = 0; i < r->values.nelts; i++) {

        if (a[i].op == NULL || a[i].op->types != DF_TYPE_NUMBER) {
            continue;
        }

        if (field != NULL) {
            return NULL;
        }

        field = a[i].field;
    }

    return field;
}
