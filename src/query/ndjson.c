
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * NDJSON: a body to lines.  A line that a piece holds whole is not copied.
 */


#include <ngx_config.h>
#include "query/import.h"


static ngx_int_t df_ndjson_keep(df_ndjson_t *nd, const u_char *p, size_t len);
static ngx_uint_t df_ndjson_is_blank(const ngx_str_t *line);


static const char  df_ndjson_long[] = "the line is longer than 1048576 bytes";


void
df_ndjson_init(df_ndjson_t *nd, ngx_pool_t *pool)
{
    ngx_memzero(nd, sizeof(df_ndjson_t));

    nd->pool = pool;
    nd->next = 1;
}


ngx_int_t
df_ndjson_next(df_ndjson_t *nd, u_char **pos, u_char *last, ngx_uint_t end)
{
    size_t   len;
    u_char  *p, *lf;

    for ( ;; ) {
        p = *pos;
        lf = (p < last) ? memchr(p, LF, last - p) : NULL;
        len = (lf ? lf : last) - p;

        if (len > DF_IMPORT_ROW - nd->len) {
            nd->skip = 1;
        }

        *pos = lf ? lf + 1 : last;

        if (lf == NULL && !end) {

            if (!nd->skip && df_ndjson_keep(nd, p, len) != NGX_OK) {
                return NGX_ERROR;
            }

            return NGX_AGAIN;
        }

        nd->row.data = p;
        nd->row.len = len;

        if (nd->len && !nd->skip) {

            if (df_ndjson_keep(nd, p, len) != NGX_OK) {
                return NGX_ERROR;
            }

            nd->row.data = nd->buf;
            nd->row.len = nd->len;
        }

        nd->len = 0;
        nd->line = nd->next++;

        if (nd->skip) {
            nd->skip = 0;
            nd->reason = df_ndjson_long;
            return NGX_DECLINED;
        }

        if (!df_ndjson_is_blank(&nd->row)) {
            return NGX_OK;
        }

        if (lf == NULL) {
            return NGX_AGAIN;
        }
    }
}


static ngx_int_t
df_ndjson_keep(df_ndjson_t *nd, const u_char *p, size_t len)
{
    size_t   size;
    u_char  *buf;

    if (len > nd->size - nd->len) {
        size = ngx_max(2 * nd->size, nd->len + len);
        size = ngx_max(size, 4096);

        buf = ngx_palloc(nd->pool, size);
        if (buf == NULL) {
            return NGX_ERROR;
        }

        if (nd->buf) {
            ngx_memcpy(buf, nd->buf, nd->len);
            (void) ngx_pfree(nd->pool, nd->buf);
        }

        nd->buf = buf;
        nd->size = size;
    }

    if (len) {
        ngx_memcpy(nd->buf + nd->len, p, len);
        nd->len += len;
    }

    return NGX_OK;
}


static ngx_uint_t
df_ndjson_is_blank(const ngx_str_t *line)
{
    u_char  *p, *last;

    last = line->data + line->len;

    for (p = line->data; p < last; p++) {
        if (*p != ' ' && *p != '\t' && *p != CR) {
            return 0;
        }
    }

    return 1;
}
