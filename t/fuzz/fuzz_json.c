
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: JSON.  What is accepted survives a print and a second parse,
 * number literals survive as they were written, and what is refused is
 * refused at a place inside of the text.  Any bytes can be escaped.
 */


#include "ngx_shim.h"
#include "core/core.h"


static void fuzz_json_text(ngx_pool_t *pool, const ngx_str_t *text);
static void fuzz_json_numbers(const cJSON *node, const u_char **p,
    const u_char *end);
static ngx_str_t fuzz_json_next_number(const u_char **p, const u_char *end);
static void fuzz_json_string(ngx_pool_t *pool, const ngx_str_t *text);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t    text;
    ngx_pool_t  *pool;

    pool = ngx_shim_pool();

    text.data = (u_char *) data;
    text.len = size;

    fuzz_json_text(pool, &text);
    fuzz_json_string(pool, &text);

    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_json_text(ngx_pool_t *pool, const ngx_str_t *text)
{
    cJSON            *root, *again;
    ngx_str_t         printed, reprinted;
    const u_char     *p;
    df_json_error_t   error;

    root = df_json_parse(pool, text, &error);

    if (root == NULL) {
        ngx_shim_check(error.reason != NULL);
        ngx_shim_check(error.offset <= text->len);
        ngx_shim_check(error.line >= 1 && error.column >= 1);
        return;
    }

    p = text->data;
    fuzz_json_numbers(root, &p, text->data + text->len);
    ngx_shim_check(fuzz_json_next_number(&p, text->data + text->len).len == 0);

    ngx_shim_check(df_json_print(pool, root, &printed) == NGX_OK);
    ngx_shim_check(printed.data[printed.len] == '\0');
    ngx_shim_check(df_utf8_check(printed.data, printed.len) == NGX_OK);
    ngx_shim_check(!df_json_has_nul(root)
                   || strstr((char *) printed.data, "\\u0000") != NULL);

    again = df_json_parse(pool, &printed, &error);
    ngx_shim_check(again != NULL);

    ngx_shim_check(df_json_print(pool, again, &reprinted) == NGX_OK);
    ngx_shim_check(printed.len == reprinted.len
                   && memcmp(printed.data, reprinted.data, printed.len) == 0);
}


static void
fuzz_json_numbers(const cJSON *node, const u_char **p, const u_char *end)
{
    ngx_str_t     text, number;
    const cJSON  *child;

    if (df_json_kind(node) == DF_JSON_NUMBER) {
        number = df_json_text(node);
        text = fuzz_json_next_number(p, end);

        ngx_shim_check(text.len == number.len);
        ngx_shim_check(memcmp(text.data, number.data, text.len) == 0);
    }

    for (child = node->child; child; child = child->next) {
        fuzz_json_numbers(child, p, end);
    }
}


/* the next literal of an accepted text, outside of strings */

static ngx_str_t
fuzz_json_next_number(const u_char **p, const u_char *end)
{
    ngx_str_t   number;
    ngx_uint_t  quoted;

    quoted = 0;

    for ( /* void */ ; *p < end; (*p)++) {

        if (quoted && **p == '\\') {
            (*p)++;

        } else if (**p == '"') {
            quoted = !quoted;

        } else if (!quoted && (**p == '-' || (**p >= '0' && **p <= '9'))) {
            break;
        }
    }

    number.data = (u_char *) *p;

    while (*p < end && **p && strchr("+-.0123456789eE", **p)) {
        (*p)++;
    }

    number.len = *p - number.data;

    return number;
}


static void
fuzz_json_string(ngx_pool_t *pool, const ngx_str_t *text)
{
    size_t            len;
    cJSON            *root;
    u_char           *end;
    ngx_str_t         quoted, inside;
    df_json_error_t   error;

    len = df_json_escaped_length(text->data, text->len);

    quoted.data = ngx_pnalloc(pool, len + 2);
    quoted.len = len + 2;

    quoted.data[0] = '"';
    end = df_json_escape(quoted.data + 1, text->data, text->len);
    ngx_shim_check(end == quoted.data + 1 + len);
    *end = '"';

    root = df_json_parse(pool, &quoted, &error);
    ngx_shim_check(root != NULL);

    if (df_utf8_check(text->data, text->len) == NGX_OK
        && !df_json_has_nul(root))
    {
        inside = df_json_text(root);
        ngx_shim_check(inside.len == text->len);
        ngx_shim_check(memcmp(inside.data, text->data, inside.len) == 0);
    }
}
