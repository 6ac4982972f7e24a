
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The words of an expression in infix.  Columns count characters, as those do
 * who look for a mistake.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


/* of a text that is quoted in a refusal */
#define DF_LEX_SHOWN  20


static ngx_int_t df_expr_lex_name(df_expr_lexer_t *lexer);
static ngx_int_t df_expr_lex_number(df_expr_lexer_t *lexer);
static ngx_int_t df_expr_lex_quoted(df_expr_lexer_t *lexer, u_char quote,
    ngx_str_t *text);
static ngx_int_t df_expr_lex_param(df_expr_lexer_t *lexer);
static ngx_int_t df_expr_lex_sign(df_expr_lexer_t *lexer);
static ngx_int_t df_expr_lex_fail(df_expr_lexer_t *lexer, const char *what);


/* the longer before the shorter */

static const ngx_str_t  df_expr_signs[] = {
    ngx_string("||"), ngx_string("<>"), ngx_string("<="), ngx_string(">="),
    ngx_string("!="), ngx_string("=="), ngx_string("~*"), ngx_string("~"),
    ngx_string("="), ngx_string("<"), ngx_string(">"), ngx_string("+"),
    ngx_string("-"), ngx_string("*"), ngx_string("/"), ngx_string("%"),
    ngx_string("("), ngx_string(")"), ngx_string(",")
};

#define DF_EXPR_SIGNS  (sizeof(df_expr_signs) / sizeof(df_expr_signs[0]))


static ngx_inline ngx_uint_t
df_expr_lex_is_digit(u_char ch)
{
    return ch >= '0' && ch <= '9';
}


/* what a name begins with; names that are not ASCII may be in a json field */

static ngx_inline ngx_uint_t
df_expr_lex_is_letter(u_char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_'
           || ch >= 0x80;
}


ngx_int_t
df_expr_lex_init(df_expr_lexer_t *lexer, df_expr_reader_t *reader,
    const ngx_str_t *text, const df_place_t *place)
{
    ngx_memzero(lexer, sizeof(df_expr_lexer_t));

    lexer->reader = reader;
    lexer->place = place;
    lexer->pos = text->data;
    lexer->last = text->data + text->len;
    lexer->column = 1;

    if (text->len > DF_EXPR_MAX_TEXT) {
        return df_query_refuse(reader->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                               place, "limit_exceeded",
                               "an expression has at most %d bytes",
                               DF_EXPR_MAX_TEXT);
    }

    if (df_utf8_check(text->data, text->len) != NGX_OK
        || ngx_strlchr(text->data, text->data + text->len, '\0') != NULL)
    {
        return df_query_refuse(reader->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "encoding",
                               "an expression is of UTF-8 without U+0000");
    }

    return df_expr_lex(lexer);
}


/* n bytes are read */

static void
df_expr_lex_skip(df_expr_lexer_t *lexer, size_t n)
{
    while (n--) {
        lexer->column += ((*lexer->pos++ & 0xc0) != 0x80);
    }
}


ngx_int_t
df_expr_lex(df_expr_lexer_t *lexer)
{
    u_char       ch;
    df_token_t  *token;

    while (lexer->pos < lexer->last
           && (*lexer->pos == ' ' || *lexer->pos == '\t'
               || *lexer->pos == CR || *lexer->pos == LF))
    {
        df_expr_lex_skip(lexer, 1);
    }

    token = &lexer->token;

    token->column = lexer->column;
    token->start = lexer->pos;
    ngx_str_null(&token->text);

    if (lexer->pos == lexer->last) {
        token->kind = DF_TOKEN_END;
        return NGX_OK;
    }

    ch = *lexer->pos;

    if (df_expr_lex_is_letter(ch) || ch == '"') {
        return df_expr_lex_name(lexer);
    }

    if (df_expr_lex_is_digit(ch)) {
        return df_expr_lex_number(lexer);
    }

    if (ch == '\'') {
        token->kind = DF_TOKEN_TEXT;
        return df_expr_lex_quoted(lexer, '\'', &token->text);
    }

    return (ch == '$') ? df_expr_lex_param(lexer) : df_expr_lex_sign(lexer);
}


/* a step in quotes may be of any characters but the dot */

static ngx_int_t
df_expr_lex_step(df_expr_lexer_t *lexer, ngx_str_t *step)
{
    ngx_int_t      rc;
    const u_char  *p;

    p = lexer->pos;

    if (p < lexer->last && *p == '"') {
        lexer->token.kind = DF_TOKEN_QUOTED;

        rc = df_expr_lex_quoted(lexer, '"', step);

        if (rc == NGX_OK
            && (step->len == 0
                || ngx_strlchr(step->data, step->data + step->len, '.')))
        {
            return df_expr_lex_fail(lexer, "a name in quotes is not empty "
                                    "and has no dot");
        }

        return rc;
    }

    while (p < lexer->last
           && (df_expr_lex_is_letter(*p) || df_expr_lex_is_digit(*p)))
    {
        p++;
    }

    step->data = (u_char *) lexer->pos;
    step->len = p - lexer->pos;

    if (step->len == 0) {
        return df_expr_lex_fail(lexer, "a name is expected behind the dot");
    }

    df_expr_lex_skip(lexer, step->len);

    return NGX_OK;
}


/* a.b.c */

static ngx_int_t
df_expr_lex_name(df_expr_lexer_t *lexer)
{
    ngx_int_t     rc;
    ngx_str_t     step;
    df_writer_t   w;

    lexer->token.kind = DF_TOKEN_NAME;

    if (df_writer_init(&w, lexer->reader->pool, 64) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( ;; ) {

        rc = df_expr_lex_step(lexer, &step);
        if (rc != NGX_OK) {
            return rc;
        }

        if (df_writer_add(&w, step.data, step.len) != NGX_OK) {
            return NGX_ERROR;
        }

        if (lexer->pos == lexer->last || *lexer->pos != '.') {
            return df_writer_text(&w, &lexer->token.text);
        }

        df_expr_lex_skip(lexer, 1);

        if (df_writer_add(&w, ".", 1) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static const u_char *
df_expr_lex_digits(const u_char *p, const u_char *last)
{
    while (p < last && df_expr_lex_is_digit(*p)) {
        p++;
    }

    return p;
}


static ngx_int_t
df_expr_lex_number(df_expr_lexer_t *lexer)
{
    const u_char  *p, *point, *exponent;

    p = df_expr_lex_digits(lexer->pos, lexer->last);

    if (p < lexer->last && *p == '.') {
        point = p + 1;
        p = df_expr_lex_digits(point, lexer->last);

        if (p == point) {
            return df_expr_lex_fail(lexer, "a digit is expected behind the "
                                    "point of the number");
        }
    }

    if (p < lexer->last && (*p | 0x20) == 'e') {
        exponent = p + 1;

        if (exponent < lexer->last && (*exponent == '+' || *exponent == '-')) {
            exponent++;
        }

        p = df_expr_lex_digits(exponent, lexer->last);

        if (p == exponent) {
            return df_expr_lex_fail(lexer, "the exponent of the number has "
                                    "no digits");
        }
    }

    if (p < lexer->last && (df_expr_lex_is_letter(*p) || *p == '.')) {
        return df_expr_lex_fail(lexer, "a number and a name stand together");
    }

    lexer->token.kind = DF_TOKEN_NUMBER;

    if (df_str_copy(lexer->reader->pool, &lexer->token.text, lexer->pos,
                    p - lexer->pos)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    df_expr_lex_skip(lexer, p - lexer->pos);

    return NGX_OK;
}


/* a quote inside is written twice; there are no other escapes */

static ngx_int_t
df_expr_lex_quoted(df_expr_lexer_t *lexer, u_char quote, ngx_str_t *text)
{
    u_char        *d;
    const u_char  *p;

    d = ngx_pnalloc(lexer->reader->pool, lexer->last - lexer->pos + 1);
    if (d == NULL) {
        return NGX_ERROR;
    }

    text->data = d;

    for (p = lexer->pos + 1; p < lexer->last; p++) {

        if (*p == quote) {
            if (p + 1 == lexer->last || p[1] != quote) {
                *d = '\0';
                text->len = d - text->data;
                df_expr_lex_skip(lexer, p + 1 - lexer->pos);
                return NGX_OK;
            }

            p++;
        }

        *d++ = *p;
    }

    return df_expr_lex_fail(lexer, quote == '"'
                            ? "the name in quotes does not end"
                            : "the text does not end; a quote inside a text "
                              "is written twice");
}


static ngx_int_t
df_expr_lex_param(df_expr_lexer_t *lexer)
{
    ngx_int_t  rc;

    df_expr_lex_skip(lexer, 1);

    if (lexer->pos == lexer->last || !df_expr_lex_is_letter(*lexer->pos)) {
        return df_expr_lex_fail(lexer, "$ stands before the name of a "
                                "parameter");
    }

    rc = df_expr_lex_name(lexer);

    lexer->token.kind = DF_TOKEN_PARAM;

    return rc;
}


static ngx_int_t
df_expr_lex_sign(df_expr_lexer_t *lexer)
{
    size_t      left;
    ngx_uint_t  i;

    left = lexer->last - lexer->pos;

    for (i = 0; i < DF_EXPR_SIGNS; i++) {

        if (df_expr_signs[i].len <= left
            && ngx_memcmp(df_expr_signs[i].data, lexer->pos,
                          df_expr_signs[i].len) == 0)
        {
            lexer->token.kind = DF_TOKEN_SIGN;
            lexer->token.text = df_expr_signs[i];
            df_expr_lex_skip(lexer, df_expr_signs[i].len);
            return NGX_OK;
        }
    }

    return df_expr_lex_fail(lexer, "this character means nothing here; text "
                            "stands in single quotes");
}


static ngx_int_t
df_expr_lex_fail(df_expr_lexer_t *lexer, const char *what)
{
    return df_expr_refuse(lexer->reader->problem, DF_PROBLEM_INVALID_VALUE,
                          lexer->place, lexer->token.column, "syntax", "%s",
                          what);
}


/* the token as it is written, cut at a character's end */

static ngx_str_t
df_expr_lex_shown(df_expr_lexer_t *lexer)
{
    size_t        n, len;
    ngx_str_t     text;

    text.data = (u_char *) lexer->token.start;
    text.len = lexer->pos - lexer->token.start;

    if (text.len <= DF_LEX_SHOWN) {
        return text;
    }

    for (n = 0; n < DF_LEX_SHOWN; n += len) {
        len = df_utf8_length(text.data + n, lexer->pos);
        if (len == 0) {
            break;
        }
    }

    text.len = n;

    return df_str_printf(lexer->reader->pool, "%V...", &text);
}


ngx_int_t
df_expr_lex_refuse(df_expr_lexer_t *lexer, const char *expected)
{
    ngx_str_t  shown;

    if (lexer->token.kind == DF_TOKEN_END) {
        return df_expr_refuse(lexer->reader->problem,
                              DF_PROBLEM_INVALID_VALUE, lexer->place,
                              lexer->token.column, "syntax",
                              "expected %s, but the expression ends",
                              expected);
    }

    shown = df_expr_lex_shown(lexer);

    return df_expr_refuse(lexer->reader->problem, DF_PROBLEM_INVALID_VALUE,
                          lexer->place, lexer->token.column, "syntax",
                          "expected %s, not %V", expected, &shown);
}


ngx_uint_t
df_expr_word_is(const ngx_str_t *word, const ngx_str_t *other)
{
    return word->len == other->len
           && ngx_strncasecmp(word->data, other->data, word->len) == 0;
}


/* the next token is this word or sign */

ngx_uint_t
df_expr_token_is(const df_expr_lexer_t *lexer, const char *word)
{
    ngx_str_t  other;

    other.data = (u_char *) word;
    other.len = ngx_strlen(word);

    return (lexer->token.kind == DF_TOKEN_NAME
            || lexer->token.kind == DF_TOKEN_SIGN)
           && df_expr_word_is(&lexer->token.text, &other);
}


ngx_int_t
df_expr_token_expect(df_expr_lexer_t *lexer, const char *word,
    const char *expected)
{
    if (!df_expr_token_is(lexer, word)) {
        return df_expr_lex_refuse(lexer, expected);
    }

    return df_expr_lex(lexer);
}
