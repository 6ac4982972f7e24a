
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * JSON out: the escapes of strings, numbers that were no JSON, and the pointers
 * that name parts of a document.
 */


#include "core/core.h"


/* in the table of escapes, where no letter is */
#define DF_JSON_PLAIN      0
#define DF_JSON_MULTIBYTE  1


/* the letter behind the backslash */

static const u_char  df_json_escapes[256] = {
    [0x00 ... 0x07] = 'u',
    ['\b'] = 'b',
    ['\t'] = 't',
    ['\n'] = 'n',
    [0x0b] = 'u',
    ['\f'] = 'f',
    ['\r'] = 'r',
    [0x0e ... 0x1f] = 'u',
    ['"'] = '"',
    ['\\'] = '\\',
    [0x80 ... 0xff] = DF_JSON_MULTIBYTE
};


static ngx_inline ngx_uint_t df_json_is_plain(const u_char *p);


size_t
df_json_escaped_length(const u_char *p, size_t len)
{
    u_char         escape;
    size_t         size, n;
    const u_char  *end;

    end = p + len;
    size = 0;

    while (p < end) {

        if (end - p >= 8 && df_json_is_plain(p)) {
            size += 8;
            p += 8;
            continue;
        }

        escape = df_json_escapes[*p];

        if (escape == DF_JSON_PLAIN) {
            size++;
            p++;

        } else if (escape == DF_JSON_MULTIBYTE) {
            n = df_utf8_length(p, end);
            size += n ? n : 3;
            p += n ? n : 1;

        } else {
            size += (escape == 'u') ? 6 : 2;
            p++;
        }
    }

    return size;
}


u_char *
df_json_escape(u_char *dst, const u_char *p, size_t len)
{
    u_char         escape;
    size_t         n;
    const u_char  *end;

    static const u_char  hex[] = "0123456789abcdef";

    end = p + len;

    while (p < end) {

        if (end - p >= 8 && df_json_is_plain(p)) {
            dst = ngx_cpymem(dst, p, 8);
            p += 8;
            continue;
        }

        escape = df_json_escapes[*p];

        if (escape == DF_JSON_PLAIN) {
            *dst++ = *p++;

        } else if (escape == DF_JSON_MULTIBYTE) {
            n = df_utf8_length(p, end);

            if (n) {
                dst = ngx_cpymem(dst, p, n);
                p += n;

            } else {
                dst = ngx_cpymem(dst, "\xef\xbf\xbd", 3);
                p++;
            }

        } else {
            *dst++ = '\\';
            *dst++ = escape;

            if (escape == 'u') {
                *dst++ = '0';
                *dst++ = '0';
                *dst++ = hex[*p >> 4];
                *dst++ = hex[*p & 0xf];
            }

            p++;
        }
    }

    return dst;
}


/*
 * Eight bytes at once: 0 when one may need an escape.  Bit 7 of a byte is set
 * by what is below a blank, by a quote, a backslash or a byte of UTF-8; a
 * borrow from the byte before can only set it too often.
 */

static ngx_inline ngx_uint_t
df_json_is_plain(const u_char *p)
{
    uint64_t  word, low, quote, backslash;

    static const uint64_t  each = 0x0101010101010101ULL;

    ngx_memcpy(&word, p, 8);

    low = word - each * 0x20;
    quote = (word ^ each * '"') - each;
    backslash = (word ^ each * '\\') - each;

    return ((word | low | quote | backslash) & each * 0x80) == 0;
}


ngx_str_t
df_json_pointer(ngx_pool_t *pool, const ngx_str_t *parent,
    const ngx_str_t *name)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   pointer;

    p = ngx_pnalloc(pool, parent->len + 1 + 2 * name->len + 1);
    if (p == NULL) {
        ngx_str_set(&pointer, "");
        return pointer;
    }

    pointer.data = p;

    p = ngx_cpymem(p, parent->data, parent->len);
    *p++ = '/';

    for (i = 0; i < name->len; i++) {

        if (name->data[i] == '~' || name->data[i] == '/') {
            *p++ = '~';
            *p++ = (name->data[i] == '~') ? '0' : '1';
            continue;
        }

        *p++ = name->data[i];
    }

    *p = '\0';

    pointer.len = p - pointer.data;

    return pointer;
}


ngx_str_t
df_json_pointer_index(ngx_pool_t *pool, const ngx_str_t *parent,
    ngx_uint_t index)
{
    return df_str_printf(pool, "%V/%ui", parent, index);
}


ngx_int_t
df_json_number_text(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *json)
{
    u_char      *p, *last;
    ngx_uint_t   negative;

    p = text->data;
    last = p + text->len;
    negative = (p < last && *p == '-');

    if (p < last && (*p == '-' || *p == '+')) {
        p++;
    }

    while (last - p > 1 && *p == '0' && p[1] >= '0' && p[1] <= '9') {
        p++;
    }

    if (p == last || *p < '0' || *p > '9') {
        return NGX_DECLINED;
    }

    *json = df_str_printf(pool, "%s%*s", negative ? "-" : "",
                          (size_t) (last - p), p);

    return json->len ? NGX_OK : NGX_ERROR;
}
