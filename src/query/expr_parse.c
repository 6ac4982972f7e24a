
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Expressions in infix to trees.  An operator takes what binds tighter than
 * itself; the level that is nested is counted, what stands side by side is
 * bounded by the number of nodes.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


/* how tight an operator binds; DF_LEVEL_OR, the loosest, is 1 */
#define DF_LEVEL_AND      2
#define DF_LEVEL_NOT      3
#define DF_LEVEL_COMPARE  4
#define DF_LEVEL_JOIN     5
#define DF_LEVEL_ADD      6
#define DF_LEVEL_MULTIPLY 7
#define DF_LEVEL_SIGN     8


typedef struct df_infix_s  df_infix_t;

struct df_infix_s {
    ngx_str_t     word;
    ngx_str_t     function;         /* its name in the table */
    ngx_uint_t    level;
    ngx_int_t   (*parse)(df_expr_lexer_t *lexer, const df_infix_t *infix,
                         ngx_uint_t column, df_expr_t **expr);
};


static ngx_int_t df_expr_parse_binary(df_expr_lexer_t *lexer,
    const df_infix_t *infix, ngx_uint_t column, df_expr_t **expr);
static ngx_int_t df_expr_parse_elements(df_expr_lexer_t *lexer,
    const df_infix_t *infix, ngx_uint_t column, df_expr_t **expr);
static ngx_int_t df_expr_parse_in(df_expr_lexer_t *lexer,
    const df_infix_t *infix, ngx_uint_t column, df_expr_t **expr);
static ngx_int_t df_expr_parse_between(df_expr_lexer_t *lexer,
    const df_infix_t *infix, ngx_uint_t column, df_expr_t **expr);
static ngx_int_t df_expr_parse_is(df_expr_lexer_t *lexer,
    const df_infix_t *infix, ngx_uint_t column, df_expr_t **expr);
static ngx_int_t df_expr_parse_not(df_expr_lexer_t *lexer,
    const df_infix_t *infix, ngx_uint_t column, df_expr_t **expr);
static ngx_int_t df_expr_parse_prefix(df_expr_lexer_t *lexer, ngx_uint_t min,
    df_expr_t **expr);


#define df_infix(word, function, level, parse)                                \
    { ngx_string(word), ngx_string(function), DF_LEVEL_##level,               \
      df_expr_parse_##parse }

static const df_infix_t  df_expr_infixes[] = {
    df_infix("or", "or", OR, binary),
    df_infix("and", "and", AND, binary),
    df_infix("=", "=", COMPARE, binary),
    df_infix("==", "=", COMPARE, binary),
    df_infix("!=", "!=", COMPARE, binary),
    df_infix("<>", "!=", COMPARE, binary),
    df_infix("<", "<", COMPARE, binary),
    df_infix("<=", "<=", COMPARE, binary),
    df_infix(">", ">", COMPARE, binary),
    df_infix(">=", ">=", COMPARE, binary),
    df_infix("~", "regex", COMPARE, binary),
    df_infix("~*", "iregex", COMPARE, binary),
    df_infix("like", "like", COMPARE, binary),
    df_infix("ilike", "ilike", COMPARE, binary),
    df_infix("regex", "regex", COMPARE, binary),
    df_infix("iregex", "iregex", COMPARE, binary),
    df_infix("icontains", "icontains", COMPARE, binary),
    df_infix("startswith", "startswith", COMPARE, binary),
    df_infix("istartswith", "istartswith", COMPARE, binary),
    df_infix("endswith", "endswith", COMPARE, binary),
    df_infix("iendswith", "iendswith", COMPARE, binary),
    df_infix("search", "search", COMPARE, binary),
    df_infix("has", "has", COMPARE, binary),
    df_infix("contains", "contains", COMPARE, elements),
    df_infix("has_any", "has_any", COMPARE, elements),
    df_infix("has_all", "has_all", COMPARE, elements),
    df_infix("overlap", "overlap", COMPARE, elements),
    df_infix("in", "in", COMPARE, in),
    df_infix("between", "between", COMPARE, between),
    df_infix("is", "isnull", COMPARE, is),
    df_infix("not", "not", COMPARE, not),
    df_infix("||", "||", JOIN, binary),
    df_infix("+", "+", ADD, binary),
    df_infix("-", "-", ADD, binary),
    df_infix("*", "*", MULTIPLY, binary),
    df_infix("/", "/", MULTIPLY, binary),
    df_infix("%", "%", MULTIPLY, binary)
};

#define DF_EXPR_INFIXES  (sizeof(df_expr_infixes) / sizeof(df_expr_infixes[0]))

static const ngx_str_t  df_expr_comma = ngx_string(",");
static const ngx_str_t  df_expr_not = ngx_string("not");
static const ngx_str_t  df_expr_not_in = ngx_string("not in");
static const ngx_str_t  df_expr_negate = ngx_string("negate");


static const df_infix_t *
df_expr_token_infix(const df_expr_lexer_t *lexer)
{
    ngx_uint_t  i;

    if (lexer->token.kind != DF_TOKEN_NAME
        && lexer->token.kind != DF_TOKEN_SIGN)
    {
        return NULL;
    }

    for (i = 0; i < DF_EXPR_INFIXES; i++) {
        if (df_expr_word_is(&lexer->token.text, &df_expr_infixes[i].word)) {
            return &df_expr_infixes[i];
        }
    }

    return NULL;
}


/* operators */

ngx_int_t
df_expr_parse_level(df_expr_lexer_t *lexer, ngx_uint_t min, df_expr_t **expr)
{
    ngx_int_t          rc;
    ngx_uint_t         column, compared;
    const df_infix_t  *infix;

    rc = df_expr_parse_prefix(lexer, min, expr);
    compared = 0;

    while (rc == NGX_OK) {
        infix = df_expr_token_infix(lexer);

        if (infix == NULL || infix->level < min) {
            return NGX_OK;
        }

        if (infix->level == DF_LEVEL_COMPARE && compared) {
            return df_expr_lex_refuse(lexer, "and, or or the end behind a "
                                      "comparison");
        }

        compared = (infix->level == DF_LEVEL_COMPARE);
        column = lexer->token.column;

        rc = df_expr_lex(lexer);

        if (rc == NGX_OK) {
            rc = infix->parse(lexer, infix, column, expr);
        }
    }

    return rc;
}


/* expr becomes the call of the infix with itself and other */

static ngx_int_t
df_expr_parse_join(df_expr_lexer_t *lexer, const ngx_str_t *name,
    ngx_uint_t column, df_expr_t **expr, df_expr_t *other)
{
    df_expr_t            **last;
    const df_function_t   *function;

    function = df_expr_function(name, 1);

    /* a and b and c is one node */

    if (function->chain && (*expr)->kind == DF_EXPR_CALL
        && (*expr)->function == function)
    {
        for (last = &(*expr)->args; *last; last = &(*last)->next) {
            /* void */
        }

        *last = other;
        (*expr)->nargs++;

        return NGX_OK;
    }

    (*expr)->next = other;

    return df_expr_create_call(lexer->reader, lexer->place, column, function,
                               *expr, expr);
}


static ngx_int_t
df_expr_parse_binary(df_expr_lexer_t *lexer, const df_infix_t *infix,
    ngx_uint_t column, df_expr_t **expr)
{
    ngx_int_t   rc;
    df_expr_t  *right;

    rc = df_expr_parse_level(lexer, infix->level + 1, &right);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_expr_parse_join(lexer, &infix->function, column, expr, right);
}


/* ('a', 'b', null), or anything else that is an array */

static ngx_int_t
df_expr_parse_list_or(df_expr_lexer_t *lexer, ngx_uint_t single,
    df_expr_t **expr)
{
    ngx_int_t   rc;
    ngx_uint_t  column;
    df_expr_t  *args;

    if (!df_expr_token_is(lexer, "(")) {
        return df_expr_parse_level(lexer, DF_LEVEL_COMPARE + 1, expr);
    }

    column = lexer->token.column;

    rc = df_expr_lex(lexer);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = df_expr_parse_args(lexer, &df_expr_comma, &args);
    if (rc != NGX_OK) {
        return rc;
    }

    if (single && args && args->next == NULL) {
        *expr = args;
        return NGX_OK;
    }

    rc = df_expr_create_literal(lexer->reader, lexer->place, column,
                                DF_LITERAL_LIST, NULL, expr);
    if (rc != NGX_OK) {
        return rc;
    }

    for ((*expr)->args = args; args; args = args->next) {
        (*expr)->nargs++;
    }

    return NGX_OK;
}


static ngx_int_t
df_expr_parse_elements(df_expr_lexer_t *lexer, const df_infix_t *infix,
    ngx_uint_t column, df_expr_t **expr)
{
    ngx_int_t   rc;
    df_expr_t  *right;

    rc = df_expr_parse_list_or(lexer, 1, &right);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_expr_parse_join(lexer, &infix->function, column, expr, right);
}


static ngx_int_t
df_expr_parse_in(df_expr_lexer_t *lexer, const df_infix_t *infix,
    ngx_uint_t column, df_expr_t **expr)
{
    ngx_int_t   rc;
    df_expr_t  *right;

    rc = df_expr_parse_list_or(lexer, 0, &right);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_expr_parse_join(lexer, &infix->function, column, expr, right);
}


static ngx_int_t
df_expr_parse_between(df_expr_lexer_t *lexer, const df_infix_t *infix,
    ngx_uint_t column, df_expr_t **expr)
{
    ngx_int_t   rc;
    df_expr_t  *low, *high;

    rc = df_expr_parse_level(lexer, DF_LEVEL_COMPARE + 1, &low);

    if (rc == NGX_OK) {
        rc = df_expr_token_expect(lexer, "and", "and, of between ... and ...");
    }

    if (rc == NGX_OK) {
        rc = df_expr_parse_level(lexer, DF_LEVEL_COMPARE + 1, &high);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    low->next = high;

    return df_expr_parse_join(lexer, &infix->function, column, expr, low);
}


/* x is null, x is not null */

static ngx_int_t
df_expr_parse_is(df_expr_lexer_t *lexer, const df_infix_t *infix,
    ngx_uint_t column, df_expr_t **expr)
{
    ngx_int_t   rc;
    ngx_uint_t  not;
    df_expr_t  *flag;

    static const ngx_str_t  flags[] = {
        ngx_string("true"), ngx_string("false")
    };

    not = df_expr_token_is(lexer, "not");

    if (not) {
        rc = df_expr_lex(lexer);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = df_expr_token_expect(lexer, "null", not ? "null" : "null or not null");

    if (rc == NGX_OK) {
        rc = df_expr_create_literal(lexer->reader, lexer->place, column,
                                    DF_LITERAL_BOOLEAN, &flags[not], &flag);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return df_expr_parse_join(lexer, &infix->function, column, expr, flag);
}


/* x not in (…), x not like …: but for in, not of the comparison */

static ngx_int_t
df_expr_parse_not(df_expr_lexer_t *lexer, const df_infix_t *infix,
    ngx_uint_t column, df_expr_t **expr)
{
    ngx_int_t          rc;
    df_infix_t         not_in;
    const df_infix_t  *operator;

    operator = df_expr_token_infix(lexer);

    if (operator == NULL || operator->level != DF_LEVEL_COMPARE
        || lexer->token.kind == DF_TOKEN_SIGN || operator == infix
        || operator->parse == df_expr_parse_is)
    {
        return df_expr_lex_refuse(lexer, "in, between, like or another "
                                  "operator that is a word");
    }

    rc = df_expr_lex(lexer);
    if (rc != NGX_OK) {
        return rc;
    }

    if (operator->parse == df_expr_parse_in) {
        not_in = *operator;
        not_in.function = df_expr_not_in;

        return df_expr_parse_in(lexer, &not_in, column, expr);
    }

    rc = operator->parse(lexer, operator, column, expr);
    if (rc != NGX_OK) {
        return rc;
    }

    return df_expr_create_call(lexer->reader, lexer->place, column,
                               df_expr_function(&df_expr_not, 1), *expr,
                               expr);
}


/* not x, -x */

static ngx_int_t
df_expr_parse_operand(df_expr_lexer_t *lexer, const ngx_str_t *function,
    ngx_uint_t level, df_expr_t **expr)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    ngx_uint_t  column;

    column = lexer->token.column;

    rc = df_expr_enter(lexer->reader, lexer->place, column);

    if (rc == NGX_OK) {
        rc = df_expr_lex(lexer);
    }

    if (rc == NGX_OK) {
        rc = df_expr_parse_level(lexer, level, expr);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    lexer->reader->depth--;

    /* -5 is a number */

    if (level == DF_LEVEL_SIGN && df_expr_is_literal(*expr, DF_LITERAL_NUMBER)
        && (*expr)->text.data[0] != '-')
    {
        text = df_str_printf(lexer->reader->pool, "-%V", &(*expr)->text);
        if (text.len == 0) {
            return NGX_ERROR;
        }

        (*expr)->text = text;
        (*expr)->column = column;

        return NGX_OK;
    }

    return df_expr_create_call(lexer->reader, lexer->place, column,
                               df_expr_function(function, 1), *expr, expr);
}


static ngx_int_t
df_expr_parse_prefix(df_expr_lexer_t *lexer, ngx_uint_t min, df_expr_t **expr)
{
    if (df_expr_token_is(lexer, "not")) {

        if (min > DF_LEVEL_NOT) {
            return df_expr_lex_refuse(lexer, "a value (not stands in "
                                      "parentheses here)");
        }

        return df_expr_parse_operand(lexer, &df_expr_not, DF_LEVEL_NOT, expr);
    }

    if (df_expr_token_is(lexer, "-")) {
        return df_expr_parse_operand(lexer, &df_expr_negate, DF_LEVEL_SIGN,
                                     expr);
    }

    return df_expr_parse_primary(lexer, expr);
}


/* whole texts */

ngx_int_t
df_expr_parse_text(df_expr_reader_t *reader, const ngx_str_t *text,
    const df_place_t *place, df_expr_t **expr)
{
    ngx_int_t         rc;
    df_expr_lexer_t   lexer;

    rc = df_expr_lex_init(&lexer, reader, text, place);

    if (rc == NGX_OK) {
        rc = df_expr_parse_level(&lexer, DF_LEVEL_OR, expr);
    }

    if (rc == NGX_OK && lexer.token.kind != DF_TOKEN_END) {
        return df_expr_lex_refuse(&lexer, "an operator or the end");
    }

    return rc;
}


ngx_int_t
df_expr_parse(ngx_pool_t *pool, const ngx_str_t *text,
    const df_place_t *place, df_expr_t **expr, df_problem_t *problem)
{
    df_expr_reader_t  reader;

    ngx_memzero(&reader, sizeof(df_expr_reader_t));

    reader.pool = pool;
    reader.problem = problem;

    return df_expr_parse_text(&reader, text, place, expr);
}


static ngx_int_t
df_expr_parse_named(df_expr_lexer_t *lexer, df_expr_named_t *named)
{
    ngx_int_t  rc;

    ngx_memzero(named, sizeof(df_expr_named_t));

    rc = df_expr_parse_level(lexer, DF_LEVEL_OR, &named->expr);

    if (rc != NGX_OK || !df_expr_token_is(lexer, "as")) {
        return rc;
    }

    rc = df_expr_lex(lexer);
    if (rc != NGX_OK) {
        return rc;
    }

    if ((lexer->token.kind != DF_TOKEN_NAME
         && lexer->token.kind != DF_TOKEN_QUOTED)
        || !df_conf_is_name(&lexer->token.text))
    {
        return df_expr_lex_refuse(lexer, "a name of small letters, digits and "
                                  "_ behind as");
    }

    named->name = lexer->token.text;

    return df_expr_lex(lexer);
}


ngx_int_t
df_expr_parse_list(ngx_pool_t *pool, const ngx_str_t *text,
    const df_place_t *place, ngx_array_t *named, df_problem_t *problem)
{
    ngx_int_t          rc;
    df_expr_named_t   *item;
    df_expr_lexer_t    lexer;
    df_expr_reader_t   reader;

    ngx_memzero(&reader, sizeof(df_expr_reader_t));

    reader.pool = pool;
    reader.problem = problem;

    rc = df_expr_lex_init(&lexer, &reader, text, place);

    while (rc == NGX_OK) {

        item = ngx_array_push(named);
        if (item == NULL) {
            return NGX_ERROR;
        }

        rc = df_expr_parse_named(&lexer, item);

        if (rc != NGX_OK || lexer.token.kind == DF_TOKEN_END) {
            return rc;
        }

        rc = df_expr_token_expect(&lexer, ",", "an operator, as, a comma or "
                                  "the end");
    }

    return rc;
}
