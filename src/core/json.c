
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * JSON in: the scanner that knows RFC 8259, and the tree that cJSON builds
 * of what it lets through.  Nothing here knows what a text is about.
 */


#include "core/core.h"


typedef enum {
    DF_JSON_AT_VALUE = 0,
    DF_JSON_AT_FIRST_VALUE,
    DF_JSON_AT_NEXT_VALUE,
    DF_JSON_AT_NAME,
    DF_JSON_AT_FIRST_NAME,
    DF_JSON_AT_COLON,
    DF_JSON_AT_NEXT_NAME,
    DF_JSON_AT_END,
    DF_JSON_FAILED
} df_json_state_t;

typedef struct {
    const u_char  *p;
    const u_char  *end;
    u_char        *out;         /* what cJSON will read */
    ngx_uint_t     nodes;
    ngx_uint_t     depth;
    u_char         objects[DF_JSON_MAX_DEPTH / 8];  /* else it is an array */
    const char    *reason;
} df_json_scan_t;


static ngx_int_t df_json_scan(df_json_scan_t *s);
static df_json_state_t df_json_scan_token(df_json_scan_t *s,
    df_json_state_t state);
static df_json_state_t df_json_scan_value(df_json_scan_t *s);
static df_json_state_t df_json_scan_name(df_json_scan_t *s);
static df_json_state_t df_json_scan_open(df_json_scan_t *s);
static df_json_state_t df_json_scan_close(df_json_scan_t *s);
static df_json_state_t df_json_scan_after(df_json_scan_t *s);
static ngx_int_t df_json_scan_literal(df_json_scan_t *s);
static ngx_int_t df_json_scan_number(df_json_scan_t *s);
static ngx_int_t df_json_scan_digits(df_json_scan_t *s);
static ngx_int_t df_json_scan_string(df_json_scan_t *s);
static ngx_int_t df_json_scan_escape(df_json_scan_t *s);
static ngx_int_t df_json_scan_hex(const u_char *p, const u_char *end);
static cJSON *df_json_build(ngx_pool_t *pool, const u_char *text, size_t len,
    ngx_uint_t nodes);
static void *df_json_alloc(size_t size);
static void df_json_free(void *p);
static void df_json_locate(df_json_error_t *error, const ngx_str_t *text,
    const u_char *p);


/*
 * In each state the text goes on with a closing bracket, or with a separator
 * and the next state, or with what the scan function reads.
 */

static const struct {
    u_char             close;
    u_char             separator;
    df_json_state_t    next;
    df_json_state_t  (*scan)(df_json_scan_t *s);
    const char        *expected;
} df_json_states[] = {

    [DF_JSON_AT_VALUE] = {
        0, 0, DF_JSON_FAILED, df_json_scan_value,
        "a value was expected" },

    [DF_JSON_AT_FIRST_VALUE] = {
        ']', 0, DF_JSON_FAILED, df_json_scan_value,
        "a value or ] was expected" },

    [DF_JSON_AT_NEXT_VALUE] = {
        ']', ',', DF_JSON_AT_VALUE, NULL,
        "a comma or ] was expected" },

    [DF_JSON_AT_NAME] = {
        0, 0, DF_JSON_FAILED, df_json_scan_name,
        "a name in double quotes was expected" },

    [DF_JSON_AT_FIRST_NAME] = {
        '}', 0, DF_JSON_FAILED, df_json_scan_name,
        "a name in double quotes or } was expected" },

    [DF_JSON_AT_COLON] = {
        0, ':', DF_JSON_AT_VALUE, NULL,
        "a colon was expected" },

    [DF_JSON_AT_NEXT_NAME] = {
        '}', ',', DF_JSON_AT_NAME, NULL,
        "a comma or } was expected" },

    [DF_JSON_AT_END] = {
        0, 0, DF_JSON_FAILED, NULL,
        "nothing was expected after the value" }
};


/* what cJSON allocates while a tree is built; a worker has one thread */

static ngx_pool_t  *df_json_pool;
static u_char      *df_json_pos;
static u_char      *df_json_last;


cJSON *
df_json_parse(ngx_pool_t *pool, const ngx_str_t *text, df_json_error_t *error)
{
    cJSON           *root;
    u_char          *buf;
    df_json_scan_t   s;

    ngx_memzero(&s, sizeof(df_json_scan_t));

    /* "0,0,0": each number of one digit, of which every second byte can be
       one, grows by three bytes */

    buf = ngx_pnalloc(pool, text->len + 3 * (text->len / 2 + 1));
    if (buf == NULL) {
        s.reason = "out of memory";
        goto failed;
    }

    s.p = text->data;
    s.end = text->data + text->len;
    s.out = buf;

    if (text->len >= 3 && ngx_memcmp(text->data, "\xef\xbb\xbf", 3) == 0) {
        s.reason = "a byte order mark is not JSON";
        goto failed;
    }

    if (df_json_scan(&s) != NGX_OK) {
        goto failed;
    }

    root = df_json_build(pool, buf, s.out - buf, s.nodes);
    if (root == NULL) {
        s.reason = "out of memory";
        goto failed;
    }

    (void) ngx_pfree(pool, buf);

    return root;

failed:

    error->reason = s.reason;
    df_json_locate(error, text, s.p ? s.p : text->data);

    return NULL;
}


static ngx_int_t
df_json_scan(df_json_scan_t *s)
{
    u_char           c;
    df_json_state_t  state, next;

    state = DF_JSON_AT_VALUE;

    for ( ;; ) {

        while (s->p < s->end) {
            c = *s->p;

            if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
                break;
            }

            s->p++;
        }

        if (s->p == s->end) {
            break;
        }

        next = df_json_scan_token(s, state);

        if (next == DF_JSON_FAILED) {
            break;
        }

        state = next;
    }

    if (state == DF_JSON_AT_END && s->p == s->end) {
        return NGX_OK;
    }

    if (s->reason == NULL) {
        s->reason = df_json_states[state].expected;
    }

    return NGX_ERROR;
}


static df_json_state_t
df_json_scan_token(df_json_scan_t *s, df_json_state_t state)
{
    u_char  c;

    c = *s->p;

    if (df_json_states[state].close && c == df_json_states[state].close) {
        return df_json_scan_close(s);
    }

    if (df_json_states[state].separator
        && c == df_json_states[state].separator)
    {
        *s->out++ = *s->p++;
        return df_json_states[state].next;
    }

    if (df_json_states[state].scan) {
        return df_json_states[state].scan(s);
    }

    return DF_JSON_FAILED;
}


static df_json_state_t
df_json_scan_value(df_json_scan_t *s)
{
    u_char     c;
    ngx_int_t  rc;

    c = *s->p;

    s->nodes++;

    if (c == '{' || c == '[') {
        return df_json_scan_open(s);
    }

    if (c == '"') {
        rc = df_json_scan_string(s);

    } else if (c == '-' || (c >= '0' && c <= '9')) {
        rc = df_json_scan_number(s);

    } else {
        rc = df_json_scan_literal(s);
    }

    return (rc == NGX_OK) ? df_json_scan_after(s) : DF_JSON_FAILED;
}


static df_json_state_t
df_json_scan_name(df_json_scan_t *s)
{
    if (*s->p != '"' || df_json_scan_string(s) != NGX_OK) {
        return DF_JSON_FAILED;
    }

    return DF_JSON_AT_COLON;
}


static df_json_state_t
df_json_scan_open(df_json_scan_t *s)
{
    u_char  c, *bits, bit;

    if (s->depth == DF_JSON_MAX_DEPTH) {
        s->reason = "nested more than 128 levels deep";
        return DF_JSON_FAILED;
    }

    bits = &s->objects[s->depth / 8];
    bit = (u_char) (1 << s->depth % 8);

    s->depth++;

    c = *s->p++;
    *s->out++ = c;

    if (c == '{') {
        *bits |= bit;
        return DF_JSON_AT_FIRST_NAME;
    }

    *bits &= (u_char) ~bit;

    return DF_JSON_AT_FIRST_VALUE;
}


static df_json_state_t
df_json_scan_close(df_json_scan_t *s)
{
    *s->out++ = *s->p++;
    s->depth--;

    return df_json_scan_after(s);
}


/* a value is complete: what surrounds it goes on */

static df_json_state_t
df_json_scan_after(df_json_scan_t *s)
{
    ngx_uint_t  i;

    if (s->depth == 0) {
        return DF_JSON_AT_END;
    }

    i = s->depth - 1;

    return (s->objects[i / 8] & (1 << i % 8)) ? DF_JSON_AT_NEXT_NAME
                                              : DF_JSON_AT_NEXT_VALUE;
}


static ngx_int_t
df_json_scan_literal(df_json_scan_t *s)
{
    ngx_uint_t  i;

    static const ngx_str_t  literals[] = {
        ngx_string("true"),
        ngx_string("false"),
        ngx_string("null")
    };

    for (i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        if ((size_t) (s->end - s->p) >= literals[i].len
            && ngx_memcmp(s->p, literals[i].data, literals[i].len) == 0)
        {
            s->out = ngx_cpymem(s->out, s->p, literals[i].len);
            s->p += literals[i].len;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
df_json_scan_number(df_json_scan_t *s)
{
    const u_char  *start;

    start = s->p;

    if (*s->p == '-') {
        s->p++;
    }

    if (s->p < s->end && *s->p == '0') {
        s->p++;

        if (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
            s->reason = "a number has no leading zeros";
            return NGX_ERROR;
        }

    } else if (df_json_scan_digits(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->p < s->end && *s->p == '.') {
        s->p++;

        if (df_json_scan_digits(s) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;

        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) {
            s->p++;
        }

        if (df_json_scan_digits(s) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    *s->out++ = '"';
    *s->out++ = DF_JSON_NUMBER_MARK;
    s->out = ngx_cpymem(s->out, start, s->p - start);
    *s->out++ = '"';

    return NGX_OK;
}


static ngx_int_t
df_json_scan_digits(df_json_scan_t *s)
{
    const u_char  *start;

    start = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        s->p++;
    }

    if (s->p == start) {
        s->reason = "a digit was expected";
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
df_json_scan_string(df_json_scan_t *s)
{
    size_t         n;
    const u_char  *p, *start, *run;

    start = s->p;

    *s->out++ = *s->p++;

    for ( ;; ) {
        run = s->p;

        for (p = run; p < s->end; p++) {
            if (*p < 0x20 || *p == '"' || *p == '\\' || *p >= 0x80) {
                break;
            }
        }

        s->out = ngx_cpymem(s->out, run, p - run);
        s->p = p;

        if (p == s->end) {
            s->p = start;
            s->reason = "the string has no end";
            return NGX_ERROR;
        }

        if (*p == '"') {
            *s->out++ = *s->p++;
            return NGX_OK;
        }

        if (*p == '\\') {
            if (df_json_scan_escape(s) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (*p < 0x20) {
            s->reason = "a control character must be escaped";
            return NGX_ERROR;
        }

        n = df_utf8_length(p, s->end);
        if (n == 0) {
            s->reason = "the bytes are not UTF-8";
            return NGX_ERROR;
        }

        s->out = ngx_cpymem(s->out, p, n);
        s->p += n;
    }
}


static ngx_int_t
df_json_scan_escape(df_json_scan_t *s)
{
    size_t     n;
    u_char     c;
    ngx_int_t  code, low;

    c = (s->end - s->p > 1) ? s->p[1] : '\0';
    n = 2;

    if (c == 'u') {
        n = 6;

        code = df_json_scan_hex(s->p, s->end);

        if (code == NGX_ERROR) {
            s->reason = "four hexadecimal digits were expected after \\u";
            return NGX_ERROR;
        }

        if (code == 0) {
            *s->out++ = DF_JSON_NUL_MARK;
            s->p += n;
            return NGX_OK;
        }

        if (code >= 0xd800 && code <= 0xdfff) {
            low = df_json_scan_hex(s->p + n, s->end);

            if (code >= 0xdc00 || low < 0xdc00 || low > 0xdfff) {
                s->reason = "half of a surrogate pair stands alone";
                return NGX_ERROR;
            }

            n = 12;
        }

    } else if (c == '\0' || ngx_strchr("\"\\/bfnrt", c) == NULL) {
        s->reason = "no such escape";
        return NGX_ERROR;
    }

    s->out = ngx_cpymem(s->out, s->p, n);
    s->p += n;

    return NGX_OK;
}


/* the code of \uXXXX at p */

static ngx_int_t
df_json_scan_hex(const u_char *p, const u_char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return NGX_ERROR;
    }

    return ngx_hextoi((u_char *) p + 2, 4);
}


/*
 * cJSON's hooks are of the whole process, so they are ours only while it
 * parses.  It asks for a node and at most two strings, none longer than in
 * the text, for each value: mostly one piece of memory is enough.
 */

static cJSON *
df_json_build(ngx_pool_t *pool, const u_char *text, size_t len,
    ngx_uint_t nodes)
{
    cJSON        *root;
    size_t        size;
    cJSON_Hooks   hooks;

    size = nodes * (ngx_align(sizeof(cJSON), NGX_ALIGNMENT)
                    + 2 * NGX_ALIGNMENT)
           + len;

    df_json_pos = ngx_palloc(pool, size);
    if (df_json_pos == NULL) {
        return NULL;
    }

    df_json_last = df_json_pos + size;
    df_json_pool = pool;

    hooks.malloc_fn = df_json_alloc;
    hooks.free_fn = df_json_free;

    cJSON_InitHooks(&hooks);
    root = cJSON_ParseWithLengthOpts((const char *) text, len, NULL, 0);
    cJSON_InitHooks(NULL);

    return root;
}


static void *
df_json_alloc(size_t size)
{
    u_char  *p;

    size = ngx_align(size, NGX_ALIGNMENT);

    if ((size_t) (df_json_last - df_json_pos) < size) {
        return ngx_palloc(df_json_pool, size);
    }

    p = df_json_pos;
    df_json_pos += size;

    return p;
}


static void
df_json_free(void *p)
{
    /* the pool's */
}


static void
df_json_locate(df_json_error_t *error, const ngx_str_t *text, const u_char *p)
{
    const u_char  *q, *line;

    error->offset = p - text->data;
    error->line = 1;

    line = text->data;

    for (q = text->data; q < p; q++) {
        if (*q == '\n') {
            error->line++;
            line = q + 1;
        }
    }

    error->column = p - line + 1;
}
