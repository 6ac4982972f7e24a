
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Regular expressions of pattern=: PCRE here, ECMAScript's in JSON Schema.
 * What both take, and understand alike, is read here; it is enough for a text
 * that matches, too.
 *
 *     expression   alternative | alternative ...
 *     alternative  ^ $ \b \B and atoms, each with * + ? {n} {n,} {n,m}
 *     atom         . [class] (expression) (?:expression) \escape character
 *
 * They differ in what $ means before a newline at the end, and in which blanks
 * beyond ASCII \s knows.
 */


#include "http/openapi.h"


#define DF_OPENAPI_PATTERN_DEPTH  32
#define DF_OPENAPI_SAMPLE_MAX     256


typedef struct {
    u_char      *p;
    u_char      *last;
    ngx_uint_t   depth;
    size_t       len;           /* of the sample */
    unsigned     failed:1;      /* it has none */
    u_char       sample[DF_OPENAPI_SAMPLE_MAX];
} df_openapi_pattern_t;

/* an escape that stands for characters, or for none */

typedef struct {
    u_char       letter;
    const char  *first;         /* of those it stands for; NULL: for none */
    const char  *last;          /* of a range for each character of first */
} df_openapi_escape_t;

static const df_openapi_escape_t  df_openapi_escapes[] = {
    { 'd', "0", "9" },
    { 'w', "aA0_", "zZ9_" },
    { 's', " \t", " \r" },
    { 'n', "\n", "\n" },
    { 'r', "\r", "\r" },
    { 't', "\t", "\t" },
    { 'f', "\f", "\f" },
    { 'D', " :", "/~" },
    { 'W', "- :[", "-/@`" },
    { 'S', "!", "~" },
    { 'b', NULL, NULL },
    { 'B', NULL, NULL }
};

#define DF_OPENAPI_ESCAPES                                                    \
    (sizeof(df_openapi_escapes) / sizeof(df_openapi_escape_t))


static ngx_int_t df_openapi_pattern_read(df_openapi_pattern_t *s,
    const ngx_str_t *pattern);
static ngx_int_t df_openapi_pattern_expression(df_openapi_pattern_t *s);
static ngx_int_t df_openapi_pattern_term(df_openapi_pattern_t *s);
static ngx_int_t df_openapi_pattern_atom(df_openapi_pattern_t *s);
static ngx_int_t df_openapi_pattern_escaped(df_openapi_pattern_t *s);
static ngx_int_t df_openapi_pattern_group(df_openapi_pattern_t *s);
static ngx_int_t df_openapi_pattern_class(df_openapi_pattern_t *s);
static ngx_int_t df_openapi_pattern_item(df_openapi_pattern_t *s,
    u_char chars[128], ngx_int_t *single);
static void df_openapi_pattern_choose(df_openapi_pattern_t *s,
    u_char chars[128], ngx_uint_t negated);
static const df_openapi_escape_t *df_openapi_pattern_escape(u_char letter);
static ngx_int_t df_openapi_pattern_quantifier(df_openapi_pattern_t *s,
    ngx_uint_t *times);
static ngx_int_t df_openapi_pattern_times(df_openapi_pattern_t *s,
    ngx_uint_t *times);
static void df_openapi_pattern_add(df_openapi_pattern_t *s,
    const u_char *data, size_t len);


ngx_uint_t
df_openapi_pattern_is_common(const ngx_str_t *pattern)
{
    df_openapi_pattern_t  s;

    return df_openapi_pattern_read(&s, pattern) == NGX_OK;
}


ngx_int_t
df_openapi_pattern_sample(ngx_pool_t *pool, const ngx_str_t *pattern,
    ngx_str_t *text)
{
    df_openapi_pattern_t  s;

    if (df_openapi_pattern_read(&s, pattern) != NGX_OK || s.failed) {
        return NGX_DECLINED;
    }

    return df_str_copy(pool, text, s.sample, s.len);
}


static ngx_int_t
df_openapi_pattern_read(df_openapi_pattern_t *s, const ngx_str_t *pattern)
{
    ngx_memzero(s, sizeof(df_openapi_pattern_t));

    s->p = pattern->data;
    s->last = pattern->data + pattern->len;

    if (df_openapi_pattern_expression(s) != NGX_OK || s->p != s->last) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* the sample is of the first alternative */

static ngx_int_t
df_openapi_pattern_expression(df_openapi_pattern_t *s)
{
    size_t      len;
    ngx_uint_t  first;

    len = 0;
    first = 1;

    while (s->p < s->last && *s->p != ')') {

        if (*s->p == '|') {
            len = first ? s->len : len;
            first = 0;
            s->p++;
            continue;
        }

        if (df_openapi_pattern_term(s) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (!first) {
            s->len = len;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_openapi_pattern_term(df_openapi_pattern_t *s)
{
    size_t      start, len;
    ngx_int_t   rc;
    ngx_uint_t  times;

    start = s->len;

    if (*s->p == '^' || *s->p == '$') {
        s->p++;
        rc = NGX_DONE;

    } else {
        rc = df_openapi_pattern_atom(s);
    }

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    len = s->len - start;
    times = 1;

    switch (df_openapi_pattern_quantifier(s, &times)) {

    case NGX_OK:
        break;

    case NGX_DONE:
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }

    /* what matches no character is not repeated */

    if (rc == NGX_DONE) {
        return NGX_DECLINED;
    }

    s->len = start;

    for ( /* void */ ; times && !s->failed; times--) {
        df_openapi_pattern_add(s, &s->sample[start], len);
    }

    return NGX_OK;
}


/* NGX_OK; NGX_DONE when it matches a place */

static ngx_int_t
df_openapi_pattern_atom(df_openapi_pattern_t *s)
{
    size_t  n;

    switch (*s->p) {

    case '.':
        s->p++;
        df_openapi_pattern_add(s, (u_char *) "a", 1);
        return NGX_OK;

    case '(':
        return df_openapi_pattern_group(s);

    case '[':
        return df_openapi_pattern_class(s);

    case '\\':
        return df_openapi_pattern_escaped(s);

    case '*':
    case '+':
    case '?':
    case '{':
    case '}':
    case ']':
        return NGX_DECLINED;
    }

    n = df_utf8_length(s->p, s->last);

    if (n == 0 || *s->p == '\0') {
        return NGX_DECLINED;
    }

    df_openapi_pattern_add(s, s->p, n);
    s->p += n;

    return NGX_OK;
}


static ngx_int_t
df_openapi_pattern_escaped(df_openapi_pattern_t *s)
{
    u_char                      ch;
    const df_openapi_escape_t  *escape;

    if (s->last - s->p < 2) {
        return NGX_DECLINED;
    }

    ch = s->p[1];
    s->p += 2;

    if (ch != '\0' && ngx_strchr("^$\\.*+?()[]{}|/", ch)) {
        df_openapi_pattern_add(s, &ch, 1);
        return NGX_OK;
    }

    escape = df_openapi_pattern_escape(ch);

    if (escape == NULL) {
        return NGX_DECLINED;
    }

    if (escape->first == NULL) {
        return NGX_DONE;
    }

    df_openapi_pattern_add(s, (u_char *) escape->first, 1);

    return NGX_OK;
}


static ngx_int_t
df_openapi_pattern_group(df_openapi_pattern_t *s)
{
    s->p++;

    if (s->p < s->last && *s->p == '?') {
        s->p++;

        if (s->p == s->last || *s->p++ != ':') {
            return NGX_DECLINED;
        }
    }

    if (s->depth == DF_OPENAPI_PATTERN_DEPTH) {
        return NGX_DECLINED;
    }

    s->depth++;

    if (df_openapi_pattern_expression(s) != NGX_OK || s->p == s->last) {
        return NGX_DECLINED;
    }

    s->depth--;
    s->p++;

    return NGX_OK;
}


static ngx_int_t
df_openapi_pattern_class(df_openapi_pattern_t *s)
{
    u_char      chars[128];
    ngx_int_t   from, to, i;
    ngx_uint_t  negated;

    ngx_memzero(chars, sizeof(chars));

    s->p++;
    negated = (s->p < s->last && *s->p == '^');
    s->p += negated;

    /* "[]a]" is a class of two to PCRE, "[]" an empty one to others */

    if (s->p < s->last && *s->p == ']') {
        return NGX_DECLINED;
    }

    while (s->p < s->last && *s->p != ']') {

        if (df_openapi_pattern_item(s, chars, &from) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (s->last - s->p < 2 || *s->p != '-' || s->p[1] == ']') {
            continue;
        }

        s->p++;

        if (df_openapi_pattern_item(s, chars, &to) != NGX_OK
            || from < 0 || to < 0)
        {
            return NGX_DECLINED;
        }

        for (i = from; i <= to && i < 128; i++) {
            chars[i] = 1;
        }
    }

    if (s->p == s->last) {
        return NGX_DECLINED;
    }

    s->p++;

    df_openapi_pattern_choose(s, chars, negated);

    return NGX_OK;
}


/* single: the character, or 128 for one beyond ASCII; -1 for several */

static ngx_int_t
df_openapi_pattern_item(df_openapi_pattern_t *s, u_char chars[128],
    ngx_int_t *single)
{
    u_char                      ch;
    size_t                      n;
    ngx_uint_t                  i;
    const df_openapi_escape_t  *escape;

    n = df_utf8_length(s->p, s->last);
    ch = *s->p;

    if (n == 0 || ch == '\0') {
        return NGX_DECLINED;
    }

    /* [[:alpha:]] and its like are PCRE's alone */

    if (ch == '[' && s->last - s->p > 1 && ngx_strchr(":.=", s->p[1])) {
        return NGX_DECLINED;
    }

    s->p += n;
    *single = (n == 1) ? ch : 128;

    if (ch != '\\') {
        if (n == 1) {
            chars[ch] = 1;
        }

        return NGX_OK;
    }

    if (s->p == s->last || *s->p == '\0') {
        return NGX_DECLINED;
    }

    ch = *s->p++;

    if (ngx_strchr("^$\\.*+?()[]{}|/-", ch)) {
        *single = ch;
        chars[ch] = 1;
        return NGX_OK;
    }

    escape = df_openapi_pattern_escape(ch);

    if (escape == NULL || escape->first == NULL) {
        return NGX_DECLINED;
    }

    *single = -1;

    for (i = 0; escape->first[i]; i++) {
        ngx_memset(&chars[(u_char) escape->first[i]], 1,
                   escape->last[i] - escape->first[i] + 1);
    }

    return NGX_OK;
}


/* a letter or a digit when there is one */

static void
df_openapi_pattern_choose(df_openapi_pattern_t *s, u_char chars[128],
    ngx_uint_t negated)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 0; i < 3 * 128; i++) {
        ch = i & 127;

        if (chars[ch] == negated || ch < ' ' || ch == 127) {
            continue;
        }

        if ((i < 128 && ch >= 'a' && ch <= 'z')
            || (i >= 128 && i < 256 && ch >= '0' && ch <= '9')
            || i >= 256)
        {
            df_openapi_pattern_add(s, &ch, 1);
            return;
        }
    }

    s->failed = 1;
}


static const df_openapi_escape_t *
df_openapi_pattern_escape(u_char letter)
{
    ngx_uint_t  i;

    for (i = 0; i < DF_OPENAPI_ESCAPES; i++) {
        if (df_openapi_escapes[i].letter == letter) {
            return &df_openapi_escapes[i];
        }
    }

    return NULL;
}


/* NGX_DONE when there is none; times: the least */

static ngx_int_t
df_openapi_pattern_quantifier(df_openapi_pattern_t *s, ngx_uint_t *times)
{
    if (s->p == s->last) {
        return NGX_DONE;
    }

    switch (*s->p) {

    case '*':
    case '?':
        *times = 0;
        s->p++;
        break;

    case '+':
        *times = 1;
        s->p++;
        break;

    case '{':
        if (df_openapi_pattern_times(s, times) != NGX_OK) {
            return NGX_DECLINED;
        }

        break;

    default:
        return NGX_DONE;
    }

    if (s->p < s->last && *s->p == '?') {
        s->p++;
    }

    return NGX_OK;
}


static ngx_int_t
df_openapi_pattern_times(df_openapi_pattern_t *s, ngx_uint_t *times)
{
    u_char      *p, *last;
    ngx_int_t    n;

    last = ngx_strlchr(s->p, s->last, '}');

    if (last == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_strlchr(s->p, last, ',');
    n = ngx_atoi(s->p + 1, (p ? p : last) - s->p - 1);

    if (n == NGX_ERROR
        || (p && p + 1 < last && ngx_atoi(p + 1, last - p - 1) == NGX_ERROR))
    {
        return NGX_DECLINED;
    }

    *times = n;
    s->p = last + 1;

    return NGX_OK;
}


static void
df_openapi_pattern_add(df_openapi_pattern_t *s, const u_char *data,
    size_t len)
{
    if (DF_OPENAPI_SAMPLE_MAX - s->len < len) {
        s->failed = 1;
        return;
    }

    ngx_memmove(&s->sample[s->len], data, len);
    s->len += len;
}
