
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What there is in expressions: every operator and every function is a row
 * here, and nothing else can be called.  The SQL is written so that a result
 * is of the type that the row says, whatever PostgreSQL would have chosen.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


/* of what is called as it is named, of one type, by a template */

#define df_plain(n, a, k, s)                                                  \
    { .name = ngx_string(n), .args = a, .kind = DF_##k, .sql = s }
#define df_typed(n, a, r, s)                                                  \
    { .name = ngx_string(n), .args = a, .result = df_expr_result_##r,         \
      .sql = s }
#define df_zoned(n, a, k, s)                                                  \
    { .name = ngx_string(n), .args = a, .kind = DF_##k, .sql = s, .zone = 1 }

/* the session has a say in it, so that no index may hold it */
#define df_stable(n, a, k, s)                                                 \
    { .name = ngx_string(n), .args = a, .kind = DF_##k, .sql = s, .stable = 1 }
#define df_sign_stable(n, j, a, k, s)                                         \
    { .name = ngx_string(n), .json = ngx_string(j), .args = a,                \
      .kind = DF_##k, .sql = s, .sign = 1, .fold = 1, .stable = 1 }

#define df_sign_plain(n, j, a, k, s)                                          \
    { .name = ngx_string(n), .json = ngx_string(j), .args = a,                \
      .kind = DF_##k, .sql = s, .sign = 1, .fold = 1 }
#define df_sign_typed(n, j, a, r, s)                                          \
    { .name = ngx_string(n), .json = ngx_string(j), .args = a,                \
      .result = df_expr_result_##r, .sql = s, .sign = 1, .fold = 1 }
#define df_compared(n, j, a, s)                                               \
    { .name = ngx_string(n), .json = ngx_string(j), .args = a,                \
      .kind = DF_BOOLEAN, .sql = s, .sign = 1, .compare = 1 }

#define df_agg_plain(n, a, k, s)                                              \
    { .name = ngx_string(n), .args = a, .kind = DF_##k, .sql = s,             \
      .aggregate = 1 }
#define df_agg_typed(n, a, r, s)                                              \
    { .name = ngx_string(n), .args = a, .result = df_expr_result_##r,         \
      .sql = s, .aggregate = 1 }
#define df_agg_count(n, a, s)                                                 \
    { .name = ngx_string(n), .args = a, .kind = DF_BIGINT, .sql = s,          \
      .aggregate = 1, .never_null = 1 }

/* a part of a date, of a time of day and of both */

#define df_part_date(n, k, cast)                                              \
    df_zoned(n, "z", k, "(extract(" n " FROM %1 AT TIME ZONE %2)" cast ")"),  \
    df_plain(n, "s", k, "(extract(" n " FROM %1)" cast ")"),                  \
    df_plain(n, "d", k, "(extract(" n " FROM %1)" cast ")")
#define df_part_time(n, k, cast)                                              \
    df_zoned(n, "z", k, "(extract(" n " FROM %1 AT TIME ZONE %2)" cast ")"),  \
    df_plain(n, "s", k, "(extract(" n " FROM %1)" cast ")"),                  \
    df_plain(n, "c", k, "(extract(" n " FROM %1)" cast ")")
#define df_part_span(n, k, cast)                                              \
    df_plain(n, "v", k, "(extract(" n " FROM %1)" cast ")")

/* of exact numbers and of others */

#define df_math(n)                                                            \
    df_plain(n, "e", NUMERIC, n "(%1::numeric)"),                             \
    df_plain(n, "f", DOUBLE, n "(%1::double precision)")


/* rows of one name stand together */

static const df_function_t  df_expr_functions[] = {

    /* operators */

    { .name = ngx_string("or"), .args = "b*", .kind = DF_BOOLEAN,
      .sql = " OR ", .sign = 1, .chain = 1 },
    { .name = ngx_string("and"), .args = "b*", .kind = DF_BOOLEAN,
      .sql = " AND ", .sign = 1, .chain = 1 },
    { .name = ngx_string("not"), .args = "b", .kind = DF_BOOLEAN,
      .sql = "(NOT %1)", .sign = 1 },

    { .name = ngx_string("="), .json = ngx_string("eq"), .args = "yy",
      .kind = DF_BOOLEAN, .compile = df_expr_compile_eq, .sign = 1,
      .compare = 1 },
    { .name = ngx_string("!="), .json = ngx_string("ne"), .args = "yy",
      .kind = DF_BOOLEAN, .sql = "(%1 IS DISTINCT FROM %2)", .sign = 1,
      .compare = 1, .never_null = 1 },
    df_compared("<", "lt", "yy", "(%1 < %2)"),
    df_compared("<=", "lte", "yy", "(%1 <= %2)"),
    df_compared(">", "gt", "yy", "(%1 > %2)"),
    df_compared(">=", "gte", "yy", "(%1 >= %2)"),
    df_compared("between", "between", "yyy", "(%1 BETWEEN %2 AND %3)"),
    { .name = ngx_string("in"), .args = "yl", .kind = DF_BOOLEAN,
      .compile = df_expr_compile_in, .sign = 1, .compare = 1 },
    { .name = ngx_string("not in"), .json = ngx_string("nin"), .args = "yl",
      .kind = DF_BOOLEAN, .compile = df_expr_compile_in, .sign = 1,
      .compare = 1 },
    { .name = ngx_string("isnull"), .args = "X", .kind = DF_BOOLEAN,
      .compile = df_expr_compile_isnull, .sign = 1, .compare = 1,
      .never_null = 1 },
    { .name = ngx_string("isnull"), .args = "Xb", .kind = DF_BOOLEAN,
      .compile = df_expr_compile_isnull, .sign = 1, .compare = 1,
      .never_null = 1 },

    df_compared("like", "like", "tt", "(%1 LIKE %2)"),
    df_compared("ilike", "ilike", "tt", "(%1 ILIKE %2)"),
    df_compared("regex", "regex", "tt", "(%1 ~ %2)"),
    df_compared("iregex", "iregex", "tt", "(%1 ~* %2)"),
    df_compared("contains", "contains", "tt", "(strpos(%1, %2) > 0)"),
    df_compared("contains", "contains", "mm", "(%1 @> %2)"),
    df_compared("icontains", "icontains", "tt",
                "(strpos(lower(%1), lower(%2)) > 0)"),
    df_compared("startswith", "startswith", "tt", "starts_with(%1, %2)"),
    df_compared("istartswith", "istartswith", "tt",
                "starts_with(lower(%1), lower(%2))"),
    df_compared("endswith", "endswith", "tt",
                "(right(%1, length(%2)) = %2)"),
    df_compared("iendswith", "iendswith", "tt",
                "(right(lower(%1), length(lower(%2))) = lower(%2))"),
    df_compared("search", "search", "tt",
                "(to_tsvector('simple', %1)"
                " @@ websearch_to_tsquery('simple', %2))"),
    df_compared("has", "has", "my", "(%2 = ANY(%1))"),
    df_compared("has_any", "has_any", "mm", "(%1 && %2)"),
    df_compared("has_all", "has_all", "mm", "(%1 @> %2)"),
    df_compared("overlap", "overlap", "mm", "(%1 && %2)"),

    df_sign_typed("+", "add", "nn", arith, "(%1 + %2)"),
    df_sign_stable("+", "add", "zv", TIMESTAMPTZ, "(%1 + %2)"),
    df_sign_stable("+", "add", "vz", TIMESTAMPTZ, "(%1 + %2)"),
    df_sign_plain("+", "add", "sv", TIMESTAMP, "(%1 + %2)"),
    df_sign_plain("+", "add", "vs", TIMESTAMP, "(%1 + %2)"),
    df_sign_plain("+", "add", "d4", DATE, "(%1 + %2)"),
    df_sign_plain("+", "add", "4d", DATE, "(%1 + %2)"),
    df_sign_plain("+", "add", "dv", TIMESTAMP, "(%1 + %2)"),
    df_sign_plain("+", "add", "vd", TIMESTAMP, "(%1 + %2)"),
    df_sign_plain("+", "add", "dc", TIMESTAMP, "(%1 + %2)"),
    df_sign_plain("+", "add", "cv", TIME, "(%1 + %2)"),
    df_sign_plain("+", "add", "vv", INTERVAL, "(%1 + %2)"),

    df_sign_typed("-", "subtract", "nn", arith, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "zz", INTERVAL, "(%1 - %2)"),
    df_sign_stable("-", "subtract", "zv", TIMESTAMPTZ, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "ss", INTERVAL, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "sv", TIMESTAMP, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "dd", INTEGER, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "d4", DATE, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "dv", TIMESTAMP, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "cc", INTERVAL, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "cv", TIME, "(%1 - %2)"),
    df_sign_plain("-", "subtract", "vv", INTERVAL, "(%1 - %2)"),

    df_sign_typed("negate", "negate", "n", first, "(- %1)"),
    df_sign_plain("negate", "negate", "v", INTERVAL, "(- %1)"),

    df_sign_typed("*", "multiply", "nn", arith, "(%1 * %2)"),
    df_sign_plain("*", "multiply", "vn", INTERVAL,
                  "(%1 * %2::double precision)"),
    df_sign_plain("*", "multiply", "nv", INTERVAL,
                  "(%1::double precision * %2)"),

    df_sign_plain("/", "divide", "ww", NUMERIC, "(%1::numeric / %2)"),
    df_sign_typed("/", "divide", "nn", arith, "(%1 / %2)"),
    df_sign_plain("/", "divide", "vn", INTERVAL,
                  "(%1 / %2::double precision)"),

    df_sign_typed("%", "mod", "ee", arith, "(%1 % %2)"),
    df_sign_plain("||", "join", "tt", TEXT, "(%1 || %2)"),

    { .name = ngx_string("case"), .args = df_expr_case_args,
      .result = df_expr_result_common, .compile = df_expr_compile_case,
      .sign = 1 },

    /* choices */

    { .name = ngx_string("if"), .args = "byy", .result = df_expr_result_common,
      .compile = df_expr_compile_case },
    { .name = ngx_string("coalesce"), .args = "y+",
      .result = df_expr_result_common, .sql = "COALESCE(%*)", .null_all = 1 },
    { .name = ngx_string("greatest"), .args = "y+",
      .result = df_expr_result_common, .sql = "GREATEST(%*)", .null_all = 1 },
    { .name = ngx_string("least"), .args = "y+",
      .result = df_expr_result_common, .sql = "LEAST(%*)", .null_all = 1 },
    df_typed("nullif", "yy", nullif, "NULLIF(%*)"),

    /* aggregates */

    df_agg_count("count", "", "count(*)"),
    df_agg_count("count", "X", "count(%d%1)"),
    df_agg_count("count_distinct", "X", "count(DISTINCT %1)"),
    df_agg_typed("sum", "n", sum, "sum(%d%1)"),
    df_agg_plain("sum", "v", INTERVAL, "sum(%d%1)"),
    df_agg_typed("avg", "n", avg, "avg(%d%1)"),
    df_agg_plain("avg", "v", INTERVAL, "avg(%d%1)"),
    df_agg_typed("min", "o", plain, "min(%d%1)"),
    df_agg_typed("max", "o", plain, "max(%d%1)"),
    df_agg_typed("stddev", "n", avg, "stddev(%d%1)"),
    df_agg_typed("stddev_pop", "n", avg, "stddev_pop(%d%1)"),
    df_agg_typed("variance", "n", avg, "variance(%d%1)"),
    df_agg_typed("var_pop", "n", avg, "var_pop(%d%1)"),
    df_agg_plain("median", "n", DOUBLE,
                 "percentile_cont(0.5) WITHIN GROUP (ORDER BY"
                 " %1::double precision)"),
    df_agg_plain("median", "v", INTERVAL,
                 "percentile_cont(0.5) WITHIN GROUP (ORDER BY %1)"),
    df_agg_plain("percentile", "rn", DOUBLE,
                 "percentile_cont(%1) WITHIN GROUP (ORDER BY"
                 " %2::double precision)"),
    df_agg_plain("percentile", "rv", INTERVAL,
                 "percentile_cont(%1) WITHIN GROUP (ORDER BY %2)"),
    df_agg_typed("percentile_disc", "ro", second,
                 "percentile_disc(%1) WITHIN GROUP (ORDER BY %2)"),
    df_agg_typed("mode", "o", first, "mode() WITHIN GROUP (ORDER BY %1)"),
    df_agg_plain("corr", "nn", DOUBLE,
                 "corr(%1::double precision, %2::double precision)"),
    df_agg_plain("bool_and", "b", BOOLEAN, "bool_and(%1)"),
    df_agg_plain("bool_or", "b", BOOLEAN, "bool_or(%1)"),

    /* numbers */

    df_typed("abs", "n", first, "abs(%1)"),
    df_math("round"),
    df_plain("round", "n4", NUMERIC, "round(%1::numeric, %2)"),
    df_math("trunc"),
    df_plain("trunc", "n4", NUMERIC, "trunc(%1::numeric, %2)"),
    df_math("ceil"),
    df_math("floor"),
    df_math("sign"),
    df_math("sqrt"),
    df_math("exp"),
    df_math("ln"),
    df_math("log"),
    df_plain("power", "ee", NUMERIC, "power(%1::numeric, %2::numeric)"),
    df_plain("power", "nn", DOUBLE,
             "power(%1::double precision, %2::double precision)"),
    df_typed("mod", "ee", arith, "(%1 % %2)"),
    df_typed("div", "ww", arith, "(%1 / %2)"),
    df_plain("div", "ee", NUMERIC, "div(%1::numeric, %2::numeric)"),
    df_plain("width_bucket", "eee4", INTEGER,
             "width_bucket(%1::numeric, %2::numeric, %3::numeric, %4)"),
    df_plain("width_bucket", "nnn4", INTEGER,
             "width_bucket(%1::double precision, %2::double precision,"
             " %3::double precision, %4)"),

    /* texts */

    df_plain("lower", "t", TEXT, "lower(%1)"),
    df_plain("upper", "t", TEXT, "upper(%1)"),
    df_plain("initcap", "t", TEXT, "initcap(%1)"),
    df_plain("reverse", "t", TEXT, "reverse(%1)"),
    df_plain("trim", "t", TEXT, "btrim(%1)"),
    df_plain("trim", "tt", TEXT, "btrim(%1, %2)"),
    df_plain("ltrim", "t", TEXT, "ltrim(%1)"),
    df_plain("ltrim", "tt", TEXT, "ltrim(%1, %2)"),
    df_plain("rtrim", "t", TEXT, "rtrim(%1)"),
    df_plain("rtrim", "tt", TEXT, "rtrim(%1, %2)"),
    df_plain("length", "t", INTEGER, "length(%1)"),
    df_plain("substring", "t4", TEXT, "substr(%1, %2)"),
    df_plain("substring", "t44", TEXT, "substr(%1, %2, %3)"),
    df_plain("left", "t4", TEXT, "left(%1, %2)"),
    df_plain("right", "t4", TEXT, "right(%1, %2)"),
    df_plain("replace", "ttt", TEXT, "replace(%1, %2, %3)"),
    df_plain("split_part", "tt4", TEXT, "split_part(%1, %2, %3)"),
    df_plain("strpos", "tt", INTEGER, "strpos(%1, %2)"),
    df_plain("starts_with", "tt", BOOLEAN, "starts_with(%1, %2)"),
    { .name = ngx_string("concat"), .args = "x+", .kind = DF_TEXT,
      .sql = "concat(%*)", .stable = 1, .never_null = 1 },
    { .name = ngx_string("to_char"), .args = "zt", .kind = DF_TEXT,
      .sql = "to_char(%1 AT TIME ZONE %3, %2)", .zone = 1, .stable = 1 },
    df_stable("to_char", "st", TEXT, "to_char(%1, %2)"),
    df_stable("to_char", "dt", TEXT, "to_char(%1::timestamp, %2)"),
    df_stable("to_char", "vt", TEXT, "to_char(%1, %2)"),
    df_stable("to_char", "nt", TEXT, "to_char(%1, %2)"),

    /* dates and times */

    { .name = ngx_string("now"), .args = "", .kind = DF_TIMESTAMPTZ,
      .sql = "now()", .stable = 1, .never_null = 1 },
    { .name = ngx_string("today"), .args = "", .kind = DF_DATE,
      .sql = "((now() AT TIME ZONE %1)::date)", .zone = 1, .stable = 1,
      .never_null = 1 },
    { .name = ngx_string("date_trunc"), .args = "uz", .kind = DF_TIMESTAMPTZ,
      .sql = "date_trunc(%1, %2, %3)", .zone = 1, .stable = 1 },
    df_plain("date_trunc", "us", TIMESTAMP, "date_trunc(%1, %2)"),
    df_plain("date_trunc", "ud", DATE,
             "(date_trunc(%1, %2::timestamp)::date)"),
    df_plain("date_trunc", "uv", INTERVAL, "date_trunc(%1, %2)"),
    df_zoned("date_bin", "vz", TIMESTAMPTZ,
             "date_bin(%1, %2, timestamp '2000-01-03' AT TIME ZONE %3)"),
    df_plain("date_bin", "vs", TIMESTAMP,
             "date_bin(%1, %2, timestamp '2000-01-03')"),
    { .name = ngx_string("extract"), .args = "uX", .unit = 1 },
    { .name = ngx_string("date_part"), .args = "uX", .unit = 1 },
    df_part_date("year", INTEGER, "::integer"),
    df_part_span("year", INTEGER, "::integer"),
    df_part_date("isoyear", INTEGER, "::integer"),
    df_part_date("quarter", INTEGER, "::integer"),
    df_part_date("month", INTEGER, "::integer"),
    df_part_span("month", INTEGER, "::integer"),
    df_part_date("week", INTEGER, "::integer"),
    df_part_date("day", INTEGER, "::integer"),
    df_part_span("day", INTEGER, "::integer"),
    df_part_date("dow", INTEGER, "::integer"),
    df_part_date("isodow", INTEGER, "::integer"),
    df_part_date("doy", INTEGER, "::integer"),
    df_part_time("hour", INTEGER, "::integer"),
    df_part_span("hour", INTEGER, "::integer"),
    df_part_time("minute", INTEGER, "::integer"),
    df_part_span("minute", INTEGER, "::integer"),
    df_part_time("second", NUMERIC, ""),
    df_part_span("second", NUMERIC, ""),
    df_stable("epoch", "z", NUMERIC, "extract(epoch FROM %1)"),
    df_plain("epoch", "s", NUMERIC, "extract(epoch FROM %1)"),
    df_plain("epoch", "d", NUMERIC, "extract(epoch FROM %1)"),
    df_plain("epoch", "c", NUMERIC, "extract(epoch FROM %1)"),
    df_plain("epoch", "v", NUMERIC, "extract(epoch FROM %1)"),
    df_zoned("age", "zz", INTERVAL,
             "age(%1 AT TIME ZONE %3, %2 AT TIME ZONE %3)"),
    df_plain("age", "ss", INTERVAL, "age(%1, %2)"),
    df_plain("age", "dd", INTERVAL, "age(%1::timestamp, %2::timestamp)"),

    /* types */

    df_plain("text", "j", TEXT, "(%1 #>> '{}')"),
    df_stable("text", "x", TEXT, "(%1::text)"),
    df_plain("numeric", "n", NUMERIC, "(%1::numeric)"),
    df_plain("numeric", "q", NUMERIC, "(%1::numeric)"),
    df_plain("integer", "n", INTEGER, "(%1::integer)"),
    df_plain("integer", "b", INTEGER, "(%1::integer)"),
    df_plain("integer", "q", INTEGER, "(%1::integer)"),
    df_plain("bigint", "n", BIGINT, "(%1::bigint)"),
    df_plain("bigint", "q", BIGINT, "(%1::bigint)"),
    df_plain("double", "n", DOUBLE, "(%1::double precision)"),
    df_plain("double", "q", DOUBLE, "(%1::double precision)"),
    df_plain("boolean", "b", BOOLEAN, "%1"),
    df_plain("boolean", "q", BOOLEAN, "(%1::boolean)"),
    df_plain("uuid", "k", UUID, "%1"),
    df_plain("uuid", "q", UUID, "(%1::uuid)"),
    df_plain("date", "d", DATE, "%1"),
    df_zoned("date", "z", DATE, "((%1 AT TIME ZONE %2)::date)"),
    df_plain("date", "s", DATE, "(%1::date)"),
    df_stable("date", "q", DATE, "(%1::date)"),
    df_plain("time", "c", TIME, "%1"),
    df_zoned("time", "z", TIME, "((%1 AT TIME ZONE %2)::time)"),
    df_plain("time", "s", TIME, "(%1::time)"),
    df_stable("time", "q", TIME, "(%1::time)"),
    df_plain("timestamp", "s", TIMESTAMP, "%1"),
    df_plain("timestamp", "d", TIMESTAMP, "(%1::timestamp)"),
    df_zoned("timestamp", "z", TIMESTAMP, "(%1 AT TIME ZONE %2)"),
    df_stable("timestamp", "q", TIMESTAMP, "(%1::timestamp)"),
    df_plain("timestamptz", "z", TIMESTAMPTZ, "%1"),
    df_zoned("timestamptz", "s", TIMESTAMPTZ, "(%1 AT TIME ZONE %2)"),
    df_zoned("timestamptz", "d", TIMESTAMPTZ,
             "(%1::timestamp AT TIME ZONE %2)"),
    df_stable("timestamptz", "q", TIMESTAMPTZ, "(%1::timestamptz)"),
    df_plain("interval", "v", INTERVAL, "%1"),
    df_plain("interval", "c", INTERVAL, "(%1::interval)"),
    df_stable("interval", "q", INTERVAL, "(%1::interval)"),

    /* arrays and json */

    df_plain("cardinality", "a", INTEGER, "cardinality(%1)"),
    df_plain("cardinality", "j", INTEGER,
             "(CASE WHEN jsonb_typeof(%1) = 'array'"
             " THEN jsonb_array_length(%1) END)"),
    df_plain("json_type", "j", TEXT, "jsonb_typeof(%1)")
};

#define DF_EXPR_FUNCTIONS                                                     \
    (sizeof(df_expr_functions) / sizeof(df_expr_functions[0]))


const ngx_str_t *
df_expr_function_member(const df_function_t *function)
{
    return function->json.len ? &function->json : &function->name;
}


const df_function_t *
df_expr_function(const ngx_str_t *name, ngx_uint_t sign)
{
    ngx_uint_t            i;
    const df_function_t  *function;

    for (i = 0; i < DF_EXPR_FUNCTIONS; i++) {
        function = &df_expr_functions[i];

        if (function->sign == sign && function->name.len == name->len
            && ngx_strncasecmp(function->name.data, name->data, name->len)
               == 0)
        {
            return function;
        }
    }

    return NULL;
}


const df_function_t *
df_expr_function_at(ngx_uint_t n)
{
    ngx_uint_t            i;
    const df_function_t  *f;

    for (i = 0; i < DF_EXPR_FUNCTIONS; i++) {
        f = &df_expr_functions[i];

        if (!f->sign
            && (i == 0 || !df_query_same(&f->name, &f[-1].name))
            && n-- == 0)
        {
            return f;
        }
    }

    return NULL;
}


const df_function_t *
df_expr_function_json(const ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_EXPR_FUNCTIONS; i++) {
        if (df_query_same(df_expr_function_member(&df_expr_functions[i]),
                          name))
        {
            return &df_expr_functions[i];
        }
    }

    return NULL;
}


const df_function_t *
df_expr_function_next(const df_function_t *function)
{
    const df_function_t  *next;

    next = function + 1;

    if (next == df_expr_functions + DF_EXPR_FUNCTIONS
        || next->sign != function->sign
        || !df_query_same(&next->name, &function->name))
    {
        return NULL;
    }

    return next;
}


/* refusals */

static ngx_str_t *
df_expr_function_name_at(void *list, ngx_uint_t i)
{
    return ((ngx_str_t **) list)[i];
}


ngx_int_t
df_expr_function_refuse(df_problem_t *problem, const df_place_t *place,
    ngx_uint_t column, const ngx_str_t *name, ngx_uint_t dollar)
{
    ngx_str_t            *names[DF_EXPR_FUNCTIONS], *nearest;
    ngx_uint_t            i, n;
    const df_function_t  *function;

    for (i = 0, n = 0; i < DF_EXPR_FUNCTIONS; i++) {
        function = &df_expr_functions[i];

        if (dollar || !function->sign) {
            names[n++] = (ngx_str_t *) (dollar
                                        ? df_expr_function_member(function)
                                        : &function->name);
        }
    }

    nearest = df_nearest(name, names, n, df_expr_function_name_at);

    return df_expr_refuse(problem, DF_PROBLEM_UNKNOWN_OPERATOR, place, column,
                          "unknown_function",
                          "there is no function \"%s%V\"%s%s%V%s",
                          dollar ? "$" : "", name,
                          nearest ? "; did you mean \"" : "",
                          nearest && dollar ? "$" : "",
                          nearest ? nearest : &(ngx_str_t) ngx_null_string,
                          nearest ? "\"?" : "");
}
