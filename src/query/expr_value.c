
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Expressions in infix: what stands between the operators.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


static ngx_int_t df_expr_parse_word(df_expr_lexer_t *lexer, df_expr_t **expr);
static ngx_int_t df_expr_parse_call(df_expr_lexer_t *lexer,
    const df_token_t *name, df_expr_t **expr);
static ngx_int_t df_expr_parse_rows(df_expr_lexer_t *lexer, df_expr_t *call);
static ngx_int_t df_expr_parse_case(df_expr_lexer_t *lexer,
    ngx_uint_t column, df_expr_t **expr);


/* words that are no name unless they are quoted */

static const ngx_str_t  df_expr_reserved[] = {
    ngx_string("and"), ngx_string("or"), ngx_string("not"),
    ngx_string("in"), ngx_string("between"), ngx_string("is"),
    ngx_string("like"), ngx_string("case"), ngx_string("when"),
    ngx_string("then"), ngx_string("else"), ngx_string("end"),
    ngx_string("as"), ngx_string("null"), ngx_string("true"),
    ngx_string("false"), ngx_string("distinct")
};

#define DF_EXPR_RESERVED                                                      \
    (sizeof(df_expr_reserved) / sizeof(df_expr_reserved[0]))

static const ngx_str_t  df_expr_comma = ngx_string(",");
static const ngx_str_t  df_expr_from = ngx_string("from");
static const ngx_str_t  df_expr_case = ngx_string("case");
static const ngx_str_t  df_expr_eq = ngx_string("=");
static const ngx_str_t  df_expr_extract = ngx_string("extract");


static ngx_int_t
df_expr_parse_group(df_expr_lexer_t *lexer, df_expr_t **expr)
{
    ngx_int_t  rc;

    rc = df_expr_enter(lexer->reader, lexer->place, lexer->token.column);

    if (rc == NGX_OK) {
        rc = df_expr_lex(lexer);
    }

    if (rc == NGX_OK) {
        rc = df_expr_parse_level(lexer, DF_LEVEL_OR, expr);
    }

    if (rc == NGX_OK) {
        lexer->reader->depth--;
        rc = df_expr_token_expect(lexer, ")", "an operator or )");
    }

    return rc;
}


ngx_int_t
df_expr_parse_primary(df_expr_lexer_t *lexer, df_expr_t **expr)
{
    ngx_int_t   rc;
    df_token_t  token;

    token = lexer->token;

    switch (token.kind) {

    case DF_TOKEN_NUMBER:
    case DF_TOKEN_TEXT:
        rc = df_expr_create_literal(lexer->reader, lexer->place, token.column,
                                    token.kind == DF_TOKEN_TEXT
                                    ? DF_LITERAL_TEXT : DF_LITERAL_NUMBER,
                                    &token.text, expr);
        break;

    case DF_TOKEN_PARAM:
    case DF_TOKEN_QUOTED:
        rc = df_expr_create(lexer->reader, lexer->place, token.column,
                            token.kind == DF_TOKEN_PARAM
                            ? DF_EXPR_PARAM : DF_EXPR_NAME, expr);
        if (rc == NGX_OK) {
            (*expr)->text = token.text;
        }

        break;

    case DF_TOKEN_NAME:
        return df_expr_parse_word(lexer, expr);

    default:
        if (df_expr_token_is(lexer, "(")) {
            return df_expr_parse_group(lexer, expr);
        }

        return df_expr_lex_refuse(lexer, "a value");
    }

    return (rc == NGX_OK) ? df_expr_lex(lexer) : rc;
}


/* null true false */

static ngx_int_t
df_expr_parse_constant(df_expr_lexer_t *lexer, df_literal_t literal,
    const char *word, df_expr_t **expr)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    text.data = (u_char *) word;
    text.len = ngx_strlen(word);

    rc = df_expr_create_literal(lexer->reader, lexer->place,
                                lexer->token.column, literal, &text, expr);

    return (rc == NGX_OK) ? df_expr_lex(lexer) : rc;
}


static ngx_uint_t
df_expr_token_is_reserved(const df_expr_lexer_t *lexer)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_EXPR_RESERVED; i++) {
        if (df_expr_word_is(&lexer->token.text, &df_expr_reserved[i])) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
df_expr_parse_word(df_expr_lexer_t *lexer, df_expr_t **expr)
{
    ngx_int_t   rc;
    df_token_t  name;

    if (df_expr_token_is(lexer, "null")) {
        return df_expr_parse_constant(lexer, DF_LITERAL_NULL, "null", expr);
    }

    if (df_expr_token_is(lexer, "true")) {
        return df_expr_parse_constant(lexer, DF_LITERAL_BOOLEAN, "true", expr);
    }

    if (df_expr_token_is(lexer, "false")) {
        return df_expr_parse_constant(lexer, DF_LITERAL_BOOLEAN, "false",
                                      expr);
    }

    name = lexer->token;

    if (df_expr_token_is(lexer, "case")) {
        rc = df_expr_lex(lexer);

        return (rc == NGX_OK) ? df_expr_parse_case(lexer, name.column, expr)
                              : rc;
    }

    if (df_expr_token_is_reserved(lexer)) {
        return df_expr_lex_refuse(lexer, "a value (a field of such a name "
                                  "stands in double quotes)");
    }

    rc = df_expr_lex(lexer);
    if (rc != NGX_OK) {
        return rc;
    }

    /* date '2026-01-31' as well as date('2026-01-31') */

    if (df_expr_token_is(lexer, "(") || lexer->token.kind == DF_TOKEN_TEXT) {
        return df_expr_parse_call(lexer, &name, expr);
    }

    rc = df_expr_create(lexer->reader, lexer->place, name.column,
                        DF_EXPR_NAME, expr);
    if (rc == NGX_OK) {
        (*expr)->text = name.text;
    }

    return rc;
}


/* calls */

static ngx_int_t
df_expr_parse_call(df_expr_lexer_t *lexer, const df_token_t *name,
    df_expr_t **expr)
{
    ngx_int_t             rc;
    df_expr_t            *args;
    ngx_uint_t            distinct;
    const df_function_t  *function;

    function = df_expr_function(&name->text, 0);

    if (function == NULL) {
        return df_expr_function_refuse(lexer->reader->problem, lexer->place,
                                       name->column, &name->text, 0);
    }

    distinct = 0;

    if (lexer->token.kind == DF_TOKEN_TEXT) {
        rc = df_expr_parse_primary(lexer, &args);

    } else {
        rc = df_expr_lex(lexer);

        if (rc == NGX_OK && df_expr_token_is(lexer, "distinct")) {
            distinct = 1;
            rc = df_expr_lex(lexer);
        }

        if (rc == NGX_OK) {
            rc = df_expr_parse_args(lexer,
                                    df_expr_word_is(&name->text,
                                                    &df_expr_extract)
                                    ? &df_expr_from : &df_expr_comma, &args);
        }
    }

    if (rc == NGX_OK) {
        rc = df_expr_create_call(lexer->reader, lexer->place, name->column,
                                 function, args, expr);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    (*expr)->distinct = distinct;

    return df_expr_token_is(lexer, "filter")
           ? df_expr_parse_rows(lexer, *expr) : NGX_OK;
}


/* what stands between ( and ), the first of which is read; * is nothing.
   separator: a comma, or what may stand instead of one */

ngx_int_t
df_expr_parse_args(df_expr_lexer_t *lexer, const ngx_str_t *separator,
    df_expr_t **args)
{
    ngx_int_t    rc;
    df_expr_t  **last;

    *args = NULL;
    last = args;

    rc = df_expr_enter(lexer->reader, lexer->place, lexer->token.column);

    if (rc == NGX_OK && df_expr_token_is(lexer, "*")) {
        rc = df_expr_lex(lexer);

        if (rc == NGX_OK) {
            lexer->reader->depth--;
            rc = df_expr_token_expect(lexer, ")", ")");
        }

        return rc;
    }

    if (rc == NGX_OK && df_expr_token_is(lexer, ")")) {
        lexer->reader->depth--;
        return df_expr_lex(lexer);
    }

    while (rc == NGX_OK) {

        rc = df_expr_parse_level(lexer, DF_LEVEL_OR, last);
        if (rc != NGX_OK) {
            return rc;
        }

        last = &(*last)->next;

        if (df_expr_token_is(lexer, ")")) {
            lexer->reader->depth--;
            return df_expr_lex(lexer);
        }

        if (!df_expr_token_is(lexer, (char *) separator->data)
            && !df_expr_token_is(lexer, ","))
        {
            return df_expr_lex_refuse(lexer, "an operator, a comma or )");
        }

        rc = df_expr_lex(lexer);
    }

    return rc;
}


/* sum(x) filter (where y) */

static ngx_int_t
df_expr_parse_rows(df_expr_lexer_t *lexer, df_expr_t *call)
{
    ngx_int_t  rc;

    rc = df_expr_lex(lexer);

    if (rc == NGX_OK) {
        rc = df_expr_token_expect(lexer, "(", "(where ...) behind filter");
    }

    if (rc == NGX_OK) {
        rc = df_expr_token_is(lexer, "where") ? df_expr_lex(lexer) : NGX_OK;
    }

    if (rc == NGX_OK) {
        rc = df_expr_enter(lexer->reader, lexer->place, lexer->token.column);
    }

    if (rc == NGX_OK) {
        rc = df_expr_parse_level(lexer, DF_LEVEL_OR, &call->filter);
    }

    if (rc == NGX_OK) {
        lexer->reader->depth--;
        rc = df_expr_token_expect(lexer, ")", "an operator or )");
    }

    return rc;
}


/* what stands behind when: a condition, or what the operand is equal to */

static ngx_int_t
df_expr_parse_when(df_expr_lexer_t *lexer, const df_expr_t *operand,
    df_expr_t **expr)
{
    ngx_int_t   rc;
    df_expr_t  *copy;

    rc = df_expr_parse_level(lexer, DF_LEVEL_OR, expr);

    if (rc != NGX_OK || operand == NULL) {
        return rc;
    }

    rc = df_expr_copy(lexer->reader, operand, &copy);
    if (rc != NGX_OK) {
        return rc;
    }

    copy->next = *expr;

    return df_expr_create_call(lexer->reader, lexer->place, (*expr)->column,
                               df_expr_function(&df_expr_eq, 1), copy, expr);
}


/* when a then b, else b: what *last points to next */

static ngx_int_t
df_expr_parse_branch(df_expr_lexer_t *lexer, const df_expr_t *operand,
    ngx_uint_t otherwise, df_expr_t ***last)
{
    ngx_int_t  rc;

    rc = df_expr_lex(lexer);

    if (rc == NGX_OK && !otherwise) {
        rc = df_expr_parse_when(lexer, operand, *last);

        if (rc == NGX_OK) {
            *last = &(**last)->next;
            rc = df_expr_token_expect(lexer, "then", "an operator or then");
        }
    }

    if (rc == NGX_OK) {
        rc = df_expr_parse_level(lexer, DF_LEVEL_OR, *last);
    }

    if (rc == NGX_OK) {
        *last = &(**last)->next;
    }

    return rc;
}


/* case [x] when a then b … [else c] end: the call of a, b, … and c */

static ngx_int_t
df_expr_parse_case(df_expr_lexer_t *lexer, ngx_uint_t column,
    df_expr_t **expr)
{
    ngx_int_t     rc;
    df_expr_t    *args, *operand, **last;
    ngx_uint_t    otherwise;

    args = NULL;
    operand = NULL;
    last = &args;

    rc = df_expr_enter(lexer->reader, lexer->place, column);

    if (rc == NGX_OK && !df_expr_token_is(lexer, "when")) {
        rc = df_expr_parse_level(lexer, DF_LEVEL_OR, &operand);
    }

    if (rc == NGX_OK && !df_expr_token_is(lexer, "when")) {
        return df_expr_lex_refuse(lexer, "when");
    }

    otherwise = 0;

    while (rc == NGX_OK && !otherwise
           && (df_expr_token_is(lexer, "when")
               || df_expr_token_is(lexer, "else")))
    {
        otherwise = df_expr_token_is(lexer, "else");
        rc = df_expr_parse_branch(lexer, operand, otherwise, &last);
    }

    if (rc == NGX_OK) {
        rc = df_expr_token_expect(lexer, "end", otherwise
                                  ? "an operator or end"
                                  : "an operator, when, else or end");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    lexer->reader->depth--;

    return df_expr_create_call(lexer->reader, lexer->place, column,
                               df_expr_function(&df_expr_case, 1), args, expr);
}
