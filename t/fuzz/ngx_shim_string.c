
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Strings and encodings for fuzz targets, and what no parser may call; see
 * ngx_shim.h.
 */


#include "ngx_shim.h"
#include <ngx_regex.h>


static void ngx_shim_encode(ngx_str_t *dst, ngx_str_t *src,
    const char *alphabet, ngx_uint_t padded);
static ngx_int_t ngx_shim_decode(ngx_str_t *dst, ngx_str_t *src,
    const char *alphabet);


static const char  ngx_shim_base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char  ngx_shim_base64url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


/* strings */

u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    return memcpy(ngx_pnalloc(pool, src->len), src->data, src->len);
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    for ( /* void */ ; n > 1 && *src; n--) {
        *dst++ = *src++;
    }

    if (n) {
        *dst = '\0';
    }

    return dst;
}


void
ngx_strlow(u_char *dst, u_char *src, size_t n)
{
    while (n--) {
        *dst++ = ngx_tolower(*src);
        src++;
    }
}


ngx_int_t
ngx_strcasecmp(u_char *s1, u_char *s2)
{
    return strcasecmp((char *) s1, (char *) s2);
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


ngx_int_t
ngx_memn2cmp(u_char *s1, u_char *s2, size_t n1, size_t n2)
{
    int  rc;

    rc = memcmp(s1, s2, ngx_min(n1, n2));

    return rc ? rc : (n1 > n2) - (n1 < n2);
}


/* numbers */

ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        if (*line < '0' || *line > '9'
            || value > (NGX_MAX_INT_T_VALUE - (*line - '0')) / 10)
        {
            return NGX_ERROR;
        }

        value = 10 * value + (*line - '0');
    }

    return value;
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    u_char     c;
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        c = *line | 0x20;

        if (value > NGX_MAX_INT_T_VALUE / 16) {
            return NGX_ERROR;
        }

        if (*line >= '0' && *line <= '9') {
            value = 16 * value + (*line - '0');

        } else if (c >= 'a' && c <= 'f') {
            value = 16 * value + (c - 'a' + 10);

        } else {
            return NGX_ERROR;
        }
    }

    return value;
}


u_char *
ngx_hex_dump(u_char *dst, u_char *src, size_t len)
{
    while (len--) {
        *dst++ = "0123456789abcdef"[*src >> 4];
        *dst++ = "0123456789abcdef"[*src++ & 0xf];
    }

    return dst;
}


/* encodings */

uint32_t
ngx_utf8_decode(u_char **p, size_t n)
{
    u_char    c;
    size_t    len, i;
    uint32_t  u;

    c = **p;

    if (c >= 0xf0 && c < 0xf8) {
        len = 3;

    } else if (c >= 0xe0 && c < 0xf0) {
        len = 2;

    } else if (c >= 0xc2 && c < 0xe0) {
        len = 1;

    } else {
        (*p)++;
        return 0xffffffff;
    }

    if (n <= len) {
        return 0xfffffffe;
    }

    u = c & (0x3f >> len);
    (*p)++;

    for (i = 0; i < len; i++) {
        c = *(*p)++;

        if ((c & 0xc0) != 0x80) {
            return 0xffffffff;
        }

        u = (u << 6) | (c & 0x3f);
    }

    return u;
}


size_t
ngx_utf8_length(u_char *p, size_t n)
{
    size_t   len;
    u_char  *last;

    last = p + n;

    for (len = 0; p < last; len++) {
        if (*p < 0x80) {
            p++;

        } else if (ngx_utf8_decode(&p, last - p) > 0x10ffff) {
            return n;
        }
    }

    return len;
}


/* of type 0 only, which is all that a query string needs */

void
ngx_unescape_uri(u_char **dst, u_char **src, size_t size, ngx_uint_t type)
{
    u_char     *d, *s, *end;
    ngx_int_t   c;

    ngx_shim_check(type == 0);

    d = *dst;
    s = *src;

    for (end = s + size; s < end; s++) {
        c = (*s == '%' && end - s > 2) ? ngx_hextoi(s + 1, 2) : NGX_ERROR;

        if (c == NGX_ERROR) {
            *d++ = *s;
            continue;
        }

        *d++ = (u_char) c;
        s += 2;
    }

    *dst = d;
    *src = s;
}


uintptr_t
ngx_escape_uri(u_char *dst, u_char *src, size_t size, ngx_uint_t type)
{
    uintptr_t  n;

    for (n = 0; size--; src++) {

        if ((*src >= 'a' && *src <= 'z') || (*src >= 'A' && *src <= 'Z')
            || (*src >= '0' && *src <= '9') || strchr("-._~", *src))
        {
            if (dst) {
                *dst++ = *src;
            }

            continue;
        }

        if (dst) {
            dst += sprintf((char *) dst, "%%%02X", *src);
        }

        n++;
    }

    return dst ? (uintptr_t) dst : n;
}


void
ngx_encode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    ngx_shim_encode(dst, src, ngx_shim_base64, 1);
}


void
ngx_encode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    ngx_shim_encode(dst, src, ngx_shim_base64url, 0);
}


ngx_int_t
ngx_decode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    return ngx_shim_decode(dst, src, ngx_shim_base64);
}


ngx_int_t
ngx_decode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    return ngx_shim_decode(dst, src, ngx_shim_base64url);
}


static void
ngx_shim_encode(ngx_str_t *dst, ngx_str_t *src, const char *alphabet,
    ngx_uint_t padded)
{
    size_t    i, bits;
    u_char   *p;
    uint32_t  group;

    p = dst->data;
    group = 0;
    bits = 0;

    for (i = 0; i < src->len; i++) {
        group = (group << 8) | src->data[i];

        for (bits += 8; bits >= 6; bits -= 6) {
            *p++ = alphabet[(group >> (bits - 6)) & 0x3f];
        }
    }

    if (bits) {
        *p++ = alphabet[(group << (6 - bits)) & 0x3f];
    }

    while (padded && (p - dst->data) % 4) {
        *p++ = '=';
    }

    dst->len = p - dst->data;
}


static ngx_int_t
ngx_shim_decode(ngx_str_t *dst, ngx_str_t *src, const char *alphabet)
{
    size_t       i, bits;
    u_char      *p;
    uint32_t     group;
    const char  *digit;

    p = dst->data;
    group = 0;
    bits = 0;

    for (i = 0; i < src->len && src->data[i] != '='; i++) {

        digit = src->data[i] ? strchr(alphabet, src->data[i]) : NULL;
        if (digit == NULL) {
            return NGX_ERROR;
        }

        group = (group << 6) | (uint32_t) (digit - alphabet);
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            *p++ = (u_char) (group >> bits);
        }
    }

    if (i % 4 == 1) {
        return NGX_ERROR;
    }

    dst->len = p - dst->data;

    return NGX_OK;
}


/* a pattern never matches */

ngx_int_t
ngx_regex_compile(ngx_regex_compile_t *rc)
{
    return NGX_OK;
}


ngx_int_t
ngx_regex_exec(ngx_regex_t *re, ngx_str_t *s, int *captures, ngx_uint_t size)
{
    return NGX_REGEX_NO_MATCHED;
}


/* messages are not read, but must be made without harm */

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   buf[NGX_MAX_ERROR_STR];
    va_list  args;

    va_start(args, fmt);
    (void) ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);
}


/* what no parser may call; weak, for targets that know better */

#define ngx_shim_never(type, name, ...)                                       \
    __attribute__((weak)) type                                                \
    name(__VA_ARGS__)                                                         \
    {                                                                         \
        ngx_shim_failed(__FILE__, __LINE__, #name "() is not called");        \
        abort();                                                              \
    }

ngx_shim_never(char *, ngx_conf_parse, ngx_conf_t *cf, ngx_str_t *filename)
ngx_shim_never(void, ngx_conf_log_error, ngx_uint_t level, ngx_conf_t *cf,
    ngx_err_t err, const char *fmt, ...)
ngx_shim_never(ngx_int_t, ngx_parse_time, ngx_str_t *line, ngx_uint_t is_sec)
ngx_shim_never(ngx_shm_zone_t *, ngx_shared_memory_add, ngx_conf_t *cf,
    ngx_str_t *name, size_t size, void *tag)
ngx_shim_never(void *, ngx_slab_alloc, ngx_slab_pool_t *pool, size_t size)
ngx_shim_never(void *, ngx_slab_calloc, ngx_slab_pool_t *pool, size_t size)
ngx_shim_never(void, ngx_slab_free, ngx_slab_pool_t *pool, void *p)
