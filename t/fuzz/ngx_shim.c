
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Pools, containers and formats for fuzz targets; see ngx_shim.h.
 */


#include "ngx_shim.h"


typedef struct {
    const u_char  *fmt;
    size_t         width;
    size_t         fraction;
    u_char         pad;
    unsigned       is_unsigned:1;
    unsigned       hex:1;
    unsigned       upper:1;
    unsigned       star:1;
    size_t         star_len;
} ngx_shim_format_t;


static const u_char *ngx_shim_format_flags(ngx_shim_format_t *f,
    const u_char *fmt);
static u_char *ngx_shim_format_bytes(u_char *p, u_char *last, const void *data,
    size_t len);
static u_char *ngx_shim_format_number(u_char *p, u_char *last,
    const ngx_shim_format_t *f, uint64_t n, ngx_uint_t negative);
static u_char *ngx_shim_format_double(u_char *p, u_char *last,
    const ngx_shim_format_t *f, double n);


static ngx_log_t         ngx_shim_log;
static ngx_time_t        ngx_shim_time = { 1700000000, 0, 0 };

ngx_uint_t               ngx_pagesize = 4096;
ngx_uint_t               ngx_cacheline_size = 64;
volatile ngx_msec_t      ngx_current_msec;
volatile ngx_time_t     *ngx_cached_time = &ngx_shim_time;
volatile ngx_cycle_t    *ngx_cycle;
uint32_t                 ngx_crc32_table256[256];


__attribute__((constructor)) static void
ngx_shim_init(void)
{
    uint32_t    crc;
    ngx_uint_t  i, bit;

    for (i = 0; i < 256; i++) {
        crc = i;

        for (bit = 0; bit < 8; bit++) {
            crc = (crc & 1) ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
        }

        ngx_crc32_table256[i] = crc;
    }
}


ngx_pool_t *
ngx_shim_pool(void)
{
    return ngx_create_pool(4096, &ngx_shim_log);
}


void
ngx_shim_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
    abort();
}


/* any hash will do: FNV-1a */

uint32_t
ngx_murmur_hash2(u_char *data, size_t len)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261u;

    for (i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * 16777619u;
    }

    return hash;
}


/* pools */

ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    pool = calloc(1, sizeof(ngx_pool_t));
    pool->max = size;
    pool->current = pool;
    pool->log = log;

    return pool;
}


void
ngx_reset_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t  *large;

    while (pool->large) {
        large = pool->large;
        pool->large = large->next;

        free(large->alloc);
        free(large);
    }

    pool->chain = NULL;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    ngx_reset_pool(pool);
    free(pool);
}


void *
ngx_pmemalign(ngx_pool_t *pool, size_t size, size_t alignment)
{
    void              *p;
    ngx_pool_large_t  *large;

    if (posix_memalign(&p, alignment, size) != 0) {
        return NULL;
    }

    large = malloc(sizeof(ngx_pool_large_t));
    large->alloc = p;
    large->next = pool->large;
    pool->large = large;

    return p;
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    return ngx_pmemalign(pool, size, 16);
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_pmemalign(pool, size, 16);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    return p ? memset(p, 0, size) : NULL;
}


ngx_int_t
ngx_pfree(ngx_pool_t *pool, void *p)
{
    ngx_pool_large_t  **link, *large;

    for (link = &pool->large; *link; link = &(*link)->next) {
        if ((*link)->alloc == p) {
            large = *link;
            *link = large->next;

            free(large->alloc);
            free(large);

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pcalloc(pool, sizeof(ngx_pool_cleanup_t));
    cln->data = size ? ngx_palloc(pool, size) : NULL;
    cln->next = pool->cleanup;
    pool->cleanup = cln;

    return cln;
}


/* containers */

ngx_array_t *
ngx_array_create(ngx_pool_t *pool, ngx_uint_t n, size_t size)
{
    ngx_array_t  *a;

    a = ngx_palloc(pool, sizeof(ngx_array_t));

    return (ngx_array_init(a, pool, n, size) == NGX_OK) ? a : NULL;
}


void
ngx_array_destroy(ngx_array_t *a)
{
    (void) a;
}


void *
ngx_array_push(ngx_array_t *a)
{
    return ngx_array_push_n(a, 1);
}


void *
ngx_array_push_n(ngx_array_t *a, ngx_uint_t n)
{
    void    *elts;
    u_char  *p;

    if (a->nelts + n > a->nalloc) {
        a->nalloc = 2 * ngx_max(n, a->nalloc);

        elts = ngx_palloc(a->pool, a->nalloc * a->size);
        memcpy(elts, a->elts, a->nelts * a->size);
        a->elts = elts;
    }

    p = (u_char *) a->elts + a->size * a->nelts;
    a->nelts += n;

    return p;
}


void *
ngx_list_push(ngx_list_t *list)
{
    ngx_list_part_t  *last;

    last = list->last;

    if (last->nelts == list->nalloc) {
        last = ngx_pcalloc(list->pool, sizeof(ngx_list_part_t));
        last->elts = ngx_palloc(list->pool, list->nalloc * list->size);
        list->last->next = last;
        list->last = last;
    }

    return (u_char *) last->elts + list->size * last->nelts++;
}


ngx_chain_t *
ngx_alloc_chain_link(ngx_pool_t *pool)
{
    return ngx_palloc(pool, sizeof(ngx_chain_t));
}


ngx_buf_t *
ngx_create_temp_buf(ngx_pool_t *pool, size_t size)
{
    ngx_buf_t  *b;

    b = ngx_pcalloc(pool, sizeof(ngx_buf_t));
    b->start = ngx_palloc(pool, size);
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + size;
    b->temporary = 1;

    return b;
}


/* sprintf */

u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = ngx_vslprintf(buf, (void *) -1, fmt, args);
    va_end(args);

    return buf;
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = ngx_vslprintf(buf, buf + max, fmt, args);
    va_end(args);

    return buf;
}


u_char *
ngx_slprintf(u_char *buf, u_char *last, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = ngx_vslprintf(buf, last, fmt, args);
    va_end(args);

    return buf;
}


u_char *
ngx_vslprintf(u_char *p, u_char *last, const char *fmt, va_list args)
{
    u_char             c;
    int64_t            n;
    ngx_str_t         *str;
    const char        *text;
    const u_char      *f;
    ngx_shim_format_t  format;

    for (f = (const u_char *) fmt; *f && p < last; f++) {

        if (*f != '%') {
            *p++ = *f;
            continue;
        }

        f = ngx_shim_format_flags(&format, f + 1);

        if (format.star) {
            format.star_len = va_arg(args, size_t);
        }

        n = 0;

        switch (*f) {

        case 'V':
            str = va_arg(args, ngx_str_t *);
            p = ngx_shim_format_bytes(p, last, str->data, str->len);
            continue;

        case 's':
            text = va_arg(args, const char *);
            p = ngx_shim_format_bytes(p, last, text, format.star
                                      ? format.star_len : strlen(text));
            continue;

        case 'c':
            c = (u_char) va_arg(args, int);
            p = ngx_shim_format_bytes(p, last, &c, 1);
            continue;

        case 'Z':
            p = ngx_shim_format_bytes(p, last, "", 1);
            continue;

        case 'N':
            p = ngx_shim_format_bytes(p, last, "\n", 1);
            continue;

        case '%':
            p = ngx_shim_format_bytes(p, last, "%", 1);
            continue;

        case 'f':
            p = ngx_shim_format_double(p, last, &format,
                                       va_arg(args, double));
            continue;

        case 'd':
            n = format.is_unsigned ? (int64_t) va_arg(args, unsigned)
                                   : (int64_t) va_arg(args, int);
            break;

        case 'D':
            n = format.is_unsigned ? (int64_t) va_arg(args, uint32_t)
                                   : (int64_t) va_arg(args, int32_t);
            break;

        case 'M':
        case 'p':
            n = va_arg(args, ngx_msec_t);
            format.is_unsigned = 1;
            format.hex |= (*f == 'p');
            break;

        case 'i':
        case 'z':
        case 'l':
        case 'L':
        case 'O':
        case 'T':
        case 'A':
        case 'P':
            n = (*f == 'P') ? va_arg(args, ngx_pid_t) : va_arg(args, int64_t);
            break;

        default:
            ngx_shim_failed(__FILE__, __LINE__, fmt);
        }

        if (n < 0 && !format.is_unsigned) {
            p = ngx_shim_format_number(p, last, &format, -(uint64_t) n, 1);

        } else {
            p = ngx_shim_format_number(p, last, &format, (uint64_t) n, 0);
        }
    }

    return p;
}


/* what stands between % and the letter, which is returned */

static const u_char *
ngx_shim_format_flags(ngx_shim_format_t *f, const u_char *fmt)
{
    ngx_memzero(f, sizeof(ngx_shim_format_t));

    f->pad = (*fmt == '0') ? '0' : ' ';

    while (*fmt >= '0' && *fmt <= '9') {
        f->width = 10 * f->width + (*fmt++ - '0');
    }

    for ( ;; fmt++) {

        if (*fmt == 'u') {
            f->is_unsigned = 1;

        } else if (*fmt == 'x' || *fmt == 'X') {
            f->hex = 1;
            f->upper = (*fmt == 'X');
            f->is_unsigned = 1;

        } else if (*fmt == '*') {
            f->star = 1;

        } else if (*fmt == '.') {
            while (fmt[1] >= '0' && fmt[1] <= '9') {
                f->fraction = 10 * f->fraction + (*++fmt - '0');
            }

        } else {
            return fmt;
        }
    }
}


static u_char *
ngx_shim_format_bytes(u_char *p, u_char *last, const void *data, size_t len)
{
    len = ngx_min(len, (size_t) (last - p));

    return len ? (u_char *) memcpy(p, data, len) + len : p;
}


static u_char *
ngx_shim_format_number(u_char *p, u_char *last, const ngx_shim_format_t *f,
    uint64_t n, ngx_uint_t negative)
{
    int   len;
    char  digits[32], pad;

    pad = (char) f->pad;
    len = snprintf(digits, sizeof(digits),
                   !f->hex ? "%llu" : f->upper ? "%llX" : "%llx",
                   (unsigned long long) n);

    if (negative) {
        p = ngx_shim_format_bytes(p, last, "-", 1);
    }

    while (len < (int) f->width) {
        p = ngx_shim_format_bytes(p, last, &pad, 1);
        len++;
    }

    return ngx_shim_format_bytes(p, last, digits, strlen(digits));
}


static u_char *
ngx_shim_format_double(u_char *p, u_char *last, const ngx_shim_format_t *f,
    double n)
{
    char  digits[512];

    snprintf(digits, sizeof(digits), "%.*f", (int) f->fraction, n);

    return ngx_shim_format_bytes(p, last, digits, strlen(digits));
}


/* trees, which need no balance here */

void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    if (tree->root != tree->sentinel) {
        tree->insert(tree->root, node, tree->sentinel);
        return;
    }

    node->parent = NULL;
    node->left = tree->sentinel;
    node->right = tree->sentinel;
    tree->root = node;
}


static ngx_int_t
ngx_shim_str_compare(uint32_t hash, const ngx_str_t *str,
    ngx_rbtree_node_t *node)
{
    ngx_str_t  *other;

    other = &((ngx_str_node_t *) node)->str;

    if (hash != node->key) {
        return (hash < node->key) ? -1 : 1;
    }

    if (str->len != other->len) {
        return (str->len < other->len) ? -1 : 1;
    }

    return str->len ? ngx_memcmp(str->data, other->data, str->len) : 0;
}


void
ngx_str_rbtree_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t  **p;

    for ( ;; ) {
        p = ngx_shim_str_compare(node->key, &((ngx_str_node_t *) node)->str,
                                 temp)
            < 0 ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
}


ngx_str_node_t *
ngx_str_rbtree_lookup(ngx_rbtree_t *rbtree, ngx_str_t *name, uint32_t hash)
{
    ngx_int_t           rc;
    ngx_rbtree_node_t  *node;

    for (node = rbtree->root; node != rbtree->sentinel;
         node = rc < 0 ? node->left : node->right)
    {
        rc = ngx_shim_str_compare(hash, name, node);

        if (rc == 0) {
            return (ngx_str_node_t *) node;
        }
    }

    return NULL;
}
