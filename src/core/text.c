
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Text: strings in a pool, UTF-8, and the word that was probably meant.
 */


#include "core/core.h"


/* longer words are not worth a guess */
#define DF_NEAREST_MAX_LEN  64


static ngx_uint_t df_nearest_distance(const ngx_str_t *a, const ngx_str_t *b);


ngx_int_t
df_str_copy(ngx_pool_t *pool, ngx_str_t *dst, const u_char *data, size_t len)
{
    u_char  *p;

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dst->data = p;
    dst->len = len;

    if (len) {
        p = ngx_cpymem(p, data, len);
    }

    *p = '\0';

    return NGX_OK;
}


ngx_str_t
df_str_printf(ngx_pool_t *pool, const char *fmt, ...)
{
    va_list    args;
    ngx_str_t  str;

    va_start(args, fmt);
    str = df_str_vprintf(pool, fmt, args);
    va_end(args);

    return str;
}


ngx_str_t
df_str_vprintf(ngx_pool_t *pool, const char *fmt, va_list args)
{
    u_char     *p, *start, *end, buf[512];
    size_t      size;
    va_list     copy;
    ngx_str_t   str;

    start = buf;
    size = sizeof(buf);

    for ( ;; ) {
        end = start + size;

        va_copy(copy, args);
        p = ngx_vslprintf(start, end, fmt, copy);
        va_end(copy);

        /* what ends at the very end may have been cut */

        if (p < end) {
            break;
        }

        size *= 2;

        start = ngx_pnalloc(pool, size);
        if (start == NULL) {
            goto failed;
        }
    }

    if (start != buf) {
        *p = '\0';
        str.data = start;
        str.len = p - start;
        return str;
    }

    if (df_str_copy(pool, &str, buf, p - buf) == NGX_OK) {
        return str;
    }

failed:

    ngx_str_set(&str, "");

    return str;
}


size_t
df_utf8_length(const u_char *p, const u_char *end)
{
    size_t  len, i;
    u_char  low, high;

    /* the first byte tells the length and narrows the second (RFC 3629) */

    low = 0x80;
    high = 0xbf;

    if (p[0] < 0x80) {
        return 1;

    } else if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        low = (p[0] == 0xe0) ? 0xa0 : 0x80;
        high = (p[0] == 0xed) ? 0x9f : 0xbf;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        low = (p[0] == 0xf0) ? 0x90 : 0x80;
        high = (p[0] == 0xf4) ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if ((size_t) (end - p) < len || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return len;
}


ngx_int_t
df_utf8_check(const u_char *p, size_t len)
{
    size_t         n;
    uint64_t       word;
    const u_char  *end;

    end = p + len;

    while (p < end) {

        if (end - p >= (ptrdiff_t) sizeof(word)) {
            ngx_memcpy(&word, p, sizeof(word));

            if ((word & 0x8080808080808080ULL) == 0) {
                p += sizeof(word);
                continue;
            }
        }

        n = df_utf8_length(p, end);
        if (n == 0) {
            return NGX_DECLINED;
        }

        p += n;
    }

    return NGX_OK;
}


ngx_str_t *
df_nearest(const ngx_str_t *word, void *list, ngx_uint_t n,
    df_name_at_pt name_at)
{
    ngx_str_t   *name, *nearest;
    ngx_uint_t   i, d, best;

    if (word->len == 0 || word->len > DF_NEAREST_MAX_LEN) {
        return NULL;
    }

    /* a mistake in three letters, but never a word with nothing in common */

    nearest = NULL;
    best = ngx_min(ngx_max(word->len / 3, 1), word->len - 1) + 1;

    for (i = 0; i < n; i++) {
        name = name_at(list, i);

        if (name == NULL || name->len > DF_NEAREST_MAX_LEN
            || name->len >= word->len + best || word->len >= name->len + best)
        {
            continue;
        }

        d = df_nearest_distance(word, name);

        if (d < best) {
            best = d;
            nearest = name;
        }
    }

    return nearest;
}


/* edits and swaps of neighbours; letters are compared without case */

static ngx_uint_t
df_nearest_distance(const ngx_str_t *a, const ngx_str_t *b)
{
    u_char      ca, cb, last;
    ngx_uint_t  i, j, d, *row, *up, *upper;
    ngx_uint_t  rows[3][DF_NEAREST_MAX_LEN + 1];

    for (j = 0; j <= b->len; j++) {
        rows[0][j] = j;
    }

    for (i = 1; i <= a->len; i++) {
        row = rows[i % 3];
        up = rows[(i + 2) % 3];
        upper = rows[(i + 1) % 3];

        row[0] = i;
        ca = ngx_tolower(a->data[i - 1]);
        last = (i > 1) ? ngx_tolower(a->data[i - 2]) : '\0';

        for (j = 1; j <= b->len; j++) {
            cb = ngx_tolower(b->data[j - 1]);

            d = ngx_min(up[j], row[j - 1]) + 1;
            d = ngx_min(d, up[j - 1] + (ca != cb));

            if (i > 1 && j > 1
                && last == cb && ca == ngx_tolower(b->data[j - 2]))
            {
                d = ngx_min(d, upper[j - 2] + 1);
            }

            row[j] = d;
        }
    }

    return rows[a->len % 3][b->len];
}
