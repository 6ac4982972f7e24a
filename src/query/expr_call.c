
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Calls: which row of the table is meant, and of what type the result is.  An
 * argument that is a literal becomes what the row wants.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


static ngx_int_t df_expr_call_fit(df_scope_t *scope, df_expr_t *expr,
    const df_function_t *function);
static ngx_int_t df_expr_call_finish(df_scope_t *scope, df_expr_t *expr);
static ngx_int_t df_expr_call_list(df_scope_t *scope, const df_expr_t *left,
    df_expr_t *list);
static ngx_int_t df_expr_call_unit(df_scope_t *scope, df_expr_t *expr);
static ngx_int_t df_expr_call_refuse(df_scope_t *scope, df_expr_t *expr);


typedef struct {
    ngx_str_t   name;
    unsigned    trunc:1;
    unsigned    part:1;             /* there is a function of this name */
} df_expr_unit_t;

static const df_expr_unit_t  df_expr_units[] = {
    { ngx_string("microseconds"), 1, 0 },
    { ngx_string("milliseconds"), 1, 0 },
    { ngx_string("second"), 1, 1 },
    { ngx_string("minute"), 1, 1 },
    { ngx_string("hour"), 1, 1 },
    { ngx_string("day"), 1, 1 },
    { ngx_string("week"), 1, 1 },
    { ngx_string("month"), 1, 1 },
    { ngx_string("quarter"), 1, 1 },
    { ngx_string("year"), 1, 1 },
    { ngx_string("decade"), 1, 0 },
    { ngx_string("century"), 1, 0 },
    { ngx_string("millennium"), 1, 0 },
    { ngx_string("isoyear"), 0, 1 },
    { ngx_string("dow"), 0, 1 },
    { ngx_string("isodow"), 0, 1 },
    { ngx_string("doy"), 0, 1 },
    { ngx_string("epoch"), 0, 1 }
};

#define DF_EXPR_UNITS  (sizeof(df_expr_units) / sizeof(df_expr_units[0]))

static const ngx_str_t  df_expr_utc = ngx_string("UTC");


ngx_int_t
df_expr_call_check(df_scope_t *scope, df_expr_t *expr, ngx_uint_t groups)
{
    ngx_int_t             rc;
    const df_function_t  *function;

    /* what is at a path is grouped by as the text that it is */

    if (expr->function->compare
        && !(groups && expr->args && expr->args->ref.npath))
    {
        rc = df_expr_compare_check(scope, expr);
        if (rc != NGX_ABORT) {
            return rc;
        }
    }

    if (expr->function->args[0] == DF_CLASS_UNIT && expr->nargs)
    {
        rc = df_expr_call_unit(scope, expr);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (function = expr->function; function;
         function = df_expr_function_next(function))
    {
        if (!df_expr_class_takes(function->args, expr->nargs)) {
            continue;
        }

        rc = df_expr_call_fit(scope, expr, function);

        if (rc == NGX_OK) {
            expr->function = function;
            return df_expr_call_finish(scope, expr);
        }

        if (rc != NGX_ABORT) {
            return rc;
        }
    }

    return df_expr_call_refuse(scope, expr);
}


static ngx_int_t
df_expr_call_fit_ratio(df_scope_t *scope, df_expr_t *arg)
{
    ngx_int_t         rc;
    const df_type_t  *type;
    df_value_error_t  error;

    static const ngx_str_t  least = ngx_string("0");
    static const ngx_str_t  most = ngx_string("1");

    type = df_schema_type_of(DF_DOUBLE);

    rc = df_expr_literal_as(scope->pool, arg, type, 0, &error);

    if (rc == NGX_OK && (type->compare(&arg->value.text, &least) < 0
                         || type->compare(&arg->value.text, &most) > 0))
    {
        return NGX_DECLINED;
    }

    return rc;
}


/* a literal becomes a value of one of the types of its class */

static ngx_int_t
df_expr_call_fit_literal(df_scope_t *scope, df_expr_t *arg,
    const df_expr_class_t *class)
{
    ngx_int_t         rc;
    df_kind_t         kind;
    df_value_error_t  error;

    if (arg->literal == DF_LITERAL_NULL) {
        arg->type = NULL;
        return NGX_OK;
    }

    if (arg->literal == DF_LITERAL_TEXT && !(class->kinds & (1u << DF_TEXT))) {

        /* of one type only: the text of a time, of a duration */

        if (class->kinds == 0 || (class->kinds & (class->kinds - 1))
            || class->kinds == (1u << DF_BOOLEAN))
        {
            return NGX_ABORT;
        }

        for (kind = 0; class->kinds != (1u << kind); kind++) {
            /* void */
        }

        rc = df_expr_literal_as(scope->pool, arg, df_schema_type_of(kind), 0,
                                &error);

    } else if (class->letter == DF_CLASS_RATIO) {
        rc = df_expr_call_fit_ratio(scope, arg);

    } else {
        rc = df_expr_literal_type(scope->pool, arg, &error);

        if (rc == NGX_OK && !(class->kinds & (1u << arg->type->kind))) {
            rc = NGX_ABORT;
        }
    }

    return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
}


static ngx_int_t
df_expr_call_fit_arg(df_scope_t *scope, df_expr_t *arg,
    const df_expr_class_t *class)
{
    switch (class->letter) {

    case DF_CLASS_LIST:
        return (df_expr_is_literal(arg, DF_LITERAL_LIST) || arg->array)
               ? NGX_OK : NGX_ABORT;

    case DF_CLASS_ARRAY:
    case DF_CLASS_MEMBERS:
        return arg->array ? NGX_OK : NGX_ABORT;

    case DF_CLASS_UNIT:
        return NGX_OK;

    case DF_CLASS_RATIO:
        if (arg->kind != DF_EXPR_LITERAL && arg->kind != DF_EXPR_PARAM) {
            return NGX_ABORT;
        }

        break;

    case 'q':
        if (arg->kind == DF_EXPR_LITERAL) {
            return NGX_ABORT;
        }

        break;
    }

    if (arg->kind == DF_EXPR_LITERAL) {
        return df_expr_call_fit_literal(scope, arg, class);
    }

    return ((class->kinds & (1u << arg->type->kind))
            && (!arg->array || class->letter == 'X'))
           ? NGX_OK : NGX_ABORT;
}


/* a null is of the type of another argument, if it can be */

static void
df_expr_call_fit_null(df_expr_t *expr, df_expr_t *null,
    const df_expr_class_t *class)
{
    df_kind_t         kind;
    const df_expr_t  *arg;

    null->value.null = 1;
    null->nullable = 1;

    for (arg = expr->args; arg; arg = arg->next) {
        if (arg->type && !arg->array
            && (class->kinds & (1u << arg->type->kind)))
        {
            null->type = arg->type;
            return;
        }
    }

    kind = DF_TEXT;

    if (!(class->kinds & (1u << DF_TEXT))) {
        for (kind = 0; !(class->kinds & (1u << kind)); kind++) {
            /* void */
        }
    }

    null->type = df_schema_type_of(kind);
}


/* NGX_ABORT: the arguments are of other types */

static ngx_int_t
df_expr_call_fit(df_scope_t *scope, df_expr_t *expr,
    const df_function_t *function)
{
    u_char                  letter;
    ngx_int_t               rc;
    ngx_uint_t              n, common;
    df_expr_t              *arg;
    const df_expr_class_t  *class;

    common = 0;

    for (arg = expr->args, n = 0; arg; arg = arg->next, n++) {
        letter = df_expr_class_at(function->args, n, expr->nargs);

        if (letter == DF_CLASS_COMMON || letter == DF_CLASS_MEMBERS) {
            common = 1;
        }

        if (letter == DF_CLASS_COMMON) {
            continue;
        }

        rc = df_expr_call_fit_arg(scope, arg, df_expr_class(letter));
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (common) {
        rc = df_expr_common_check(scope, expr, function->args);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (arg = expr->args, n = 0; arg; arg = arg->next, n++) {
        class = df_expr_class(df_expr_class_at(function->args, n,
                                               expr->nargs));

        if (class->kinds && class->letter != DF_CLASS_COMMON
            && df_expr_is_literal(arg, DF_LITERAL_NULL))
        {
            df_expr_call_fit_null(expr, arg, class);
        }
    }

    return NGX_OK;
}


/* the row is known */

static ngx_int_t
df_expr_call_zone(df_scope_t *scope, df_expr_t *expr)
{
    df_expr_t        *zone, **last;
    const ngx_str_t  *name;

    name = scope->timezone ? scope->timezone : &df_expr_utc;

    zone = ngx_pcalloc(scope->pool, sizeof(df_expr_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->kind = DF_EXPR_LITERAL;
    zone->literal = DF_LITERAL_TEXT;
    zone->type = df_schema_type_of(DF_TEXT);
    zone->text = *name;
    zone->value.text = *name;
    zone->place = expr->place;
    zone->column = expr->column;

    for (last = &expr->args; *last; last = &(*last)->next) {
        /* void */
    }

    *last = zone;
    expr->nargs++;

    return NGX_OK;
}


static ngx_int_t
df_expr_call_finish(df_scope_t *scope, df_expr_t *expr)
{
    ngx_uint_t            nullable, all;
    const df_expr_t      *arg;
    const df_function_t  *function;

    function = expr->function;
    nullable = function->aggregate;
    all = 1;

    if (scope->request) {
        scope->request->calculates = 1;
    }

    if (expr->distinct && (expr->nargs == 0
                           || ngx_strstr(function->sql, "%d") == NULL))
    {
        return df_expr_refuse_at(scope, expr, "syntax",
                                 "\"%V\" takes no distinct%s", &function->name,
                                 expr->nargs ? "" : " without a field");
    }

    if (expr->filter && (expr->filter->type == NULL || expr->filter->array
                         || expr->filter->type->kind != DF_BOOLEAN))
    {
        return df_expr_refuse_at(scope, expr->filter, "type",
                                 "expected a condition behind where");
    }

    for (arg = expr->args; arg; arg = arg->next) {
        nullable |= arg->nullable;
        all &= arg->nullable;
    }

    expr->nullable = function->never_null ? 0
                     : function->null_all ? all : nullable;

    expr->type = function->result ? function->result(expr)
                                  : df_schema_type_of(function->kind);
    expr->array = function->result == df_expr_result_common
                  && (expr->args->array
                      || (expr->args->next != NULL
                          && expr->args->next->array));

    if (expr->nargs && df_expr_is_literal(expr->args->next ? expr->args->next
                                                           : expr->args,
                                          DF_LITERAL_LIST))
    {
        return df_expr_call_list(scope, expr->args, expr->args->next);
    }

    return function->zone ? df_expr_call_zone(scope, expr) : NGX_OK;
}


/* literals become one array; without a type the list is not all literals */

static ngx_int_t
df_expr_call_list(df_scope_t *scope, const df_expr_t *left, df_expr_t *list)
{
    ngx_uint_t        n;
    df_value_t       *values;
    const df_type_t  *type;
    const df_expr_t  *item;

    values = ngx_palloc(scope->pool, (list->nargs + 1) * sizeof(df_value_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    type = NULL;
    n = 0;

    for (item = list->args; item; item = item->next) {

        if (item->kind != DF_EXPR_LITERAL) {
            return NGX_OK;
        }

        if (item->literal == DF_LITERAL_NULL) {
            list->nullable = 1;
            continue;
        }

        type = df_expr_type_common(type, item->type);
        values[n++] = item->value;
    }

    list->type = type ? type : left->type;
    list->array = 1;

    return df_schema_array(scope->pool, values, n, &list->value);
}


/* units of time */

static ngx_str_t *
df_expr_unit_name_at(void *list, ngx_uint_t i)
{
    return &((df_expr_unit_t *) list)[i].name;
}


/* extract('year', x) is year(x); date_trunc takes the unit as a value */

static ngx_int_t
df_expr_call_unit(df_scope_t *scope, df_expr_t *expr)
{
    ngx_str_t             *nearest;
    ngx_uint_t             i;
    df_expr_t             *arg;
    df_value_error_t       error;
    const df_expr_unit_t  *unit;

    arg = expr->args;
    ngx_str_null(&expr->text);

    if (!df_expr_is_literal(arg, DF_LITERAL_TEXT)) {
        return df_expr_refuse_at(scope, arg, "type",
                                 "expected a unit such as 'day'");
    }

    for (i = 0; i < DF_EXPR_UNITS; i++) {
        unit = &df_expr_units[i];

        if (unit->name.len != arg->text.len
            || ngx_strncasecmp(unit->name.data, arg->text.data, arg->text.len)
               != 0
            || !(expr->function->unit ? unit->part : unit->trunc))
        {
            continue;
        }

        if (!expr->function->unit) {
            arg->text = unit->name;
            return df_expr_literal_type(scope->pool, arg, &error);
        }

        expr->function = df_expr_function(&unit->name, 0);
        expr->args = arg->next;
        expr->nargs--;

        return NGX_OK;
    }

    nearest = df_nearest(&arg->text, (void *) df_expr_units, DF_EXPR_UNITS,
                         df_expr_unit_name_at);

    return df_expr_refuse_at(scope, arg, "unit",
                             "\"%V\" takes no unit \"%V\"%s%V%s",
                             &expr->function->name, &arg->text,
                             nearest ? "; did you mean '" : "",
                             nearest ? nearest
                                     : &(ngx_str_t) ngx_null_string,
                             nearest ? "'?" : "");
}


/* refusals */

/* "a, b", of an operator "a + b" */

static ngx_int_t
df_expr_call_write(df_writer_t *w, const df_function_t *function,
    const ngx_str_t *args, ngx_uint_t n)
{
    ngx_uint_t  i, infix;

    infix = (function->sign && n == 2 && function->args != df_expr_case_args);

    if (!infix && df_writer_printf(w, "%V(", &function->name) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (i && infix
            && df_writer_printf(w, " %V ", &function->name) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (df_writer_printf(w, "%s%V", i && !infix ? ", " : "", &args[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return infix ? NGX_OK : df_writer_add(w, ")", 1);
}


static ngx_int_t
df_expr_call_write_given(df_writer_t *w, const df_expr_t *expr)
{
    ngx_str_t        *names;
    ngx_uint_t        n;
    const df_expr_t  *arg;

    names = ngx_palloc(w->pool, (expr->nargs + 1) * sizeof(ngx_str_t));
    if (names == NULL) {
        return NGX_ERROR;
    }

    for (arg = expr->args, n = 0; arg; arg = arg->next) {
        names[n++] = df_expr_type_name(w->pool, arg);
    }

    return df_expr_call_write(w, expr->function, names, n);
}


static ngx_int_t
df_expr_call_write_row(df_writer_t *w, const df_function_t *function)
{
    u_char       class;
    ngx_str_t    names[DF_EXPR_MAX_CLASSES];
    ngx_uint_t   n;
    const char  *word;

    for (n = 0; function->args[n]; n++) {
        class = function->args[n];

        word = (class == '+' || class == '*') ? "..."
                                              : df_expr_class(class)->expected;

        names[n].data = (u_char *) word;
        names[n].len = ngx_strlen(word);
    }

    return df_expr_call_write(w, function, names, n);
}


/* "round(text) is not possible; there is round(number), …" */

static ngx_int_t
df_expr_call_refuse(df_scope_t *scope, df_expr_t *expr)
{
    ngx_str_t             given, expected;
    ngx_uint_t            common;
    df_writer_t           w, e;
    const df_function_t  *function;

    common = 0;

    if (df_writer_init(&w, scope->pool, 128) != NGX_OK
        || df_writer_init(&e, scope->pool, 128) != NGX_OK
        || df_expr_call_write_given(&w, expr) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (function = expr->function; function;
         function = df_expr_function_next(function))
    {
        common |= (ngx_strchr(function->args, DF_CLASS_COMMON) != NULL);

        if ((df_writer_length(&e) && df_writer_add(&e, ", ", 2) != NGX_OK)
            || df_expr_call_write_row(&e, function) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_writer_text(&w, &given) != NGX_OK
        || df_writer_text(&e, &expected) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_expr_refuse_at(scope, expr, "type",
                             "%V is not possible; there is %V%s", &given,
                             &expected, common ? ", with values of one type"
                                               : "");
}
