
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: the readers of an import.  A body gives the same rows in one
 * piece, byte by byte and in pieces of any length, each piece in memory of its
 * own; rows of CSV that are written again with all their values quoted are
 * read as the same values.  The first byte: whether the columns are known, or
 * NDJSON; the second makes the pieces.
 */


#include "ngx_shim.h"
#include "query/import.h"


typedef struct {
    df_csv_t      csv;
    df_ndjson_t   nd;
    ngx_uint_t    lines;        /* NDJSON */
    ngx_uint_t    columns;
    df_writer_t   rows;         /* what was read, to be compared */
    df_writer_t   at;           /* and in which lines */
    df_writer_t   again;        /* as CSV */
    ngx_uint_t    refused;
} fuzz_csv_t;


static void fuzz_csv_run(fuzz_csv_t *f, ngx_pool_t *pool, const uint8_t *data,
    size_t size, ngx_uint_t mode, uint32_t seed);
static void fuzz_csv_piece(fuzz_csv_t *f, const uint8_t *data, size_t size,
    ngx_uint_t end);
static void fuzz_csv_row(fuzz_csv_t *f);
static void fuzz_csv_same(df_writer_t *one, df_writer_t *two);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t    text;
    ngx_uint_t   mode;
    ngx_pool_t  *pool;
    fuzz_csv_t  *f;

    if (size < 2) {
        return 0;
    }

    pool = ngx_shim_pool();
    mode = data[0] % 4;

    f = ngx_pcalloc(pool, 4 * sizeof(fuzz_csv_t));
    ngx_shim_check(f != NULL);

    fuzz_csv_run(&f[0], pool, data + 2, size - 2, mode, 0);
    fuzz_csv_run(&f[1], pool, data + 2, size - 2, mode, 1);
    fuzz_csv_run(&f[2], pool, data + 2, size - 2, mode, 2 + data[1]);

    fuzz_csv_same(&f[0].rows, &f[1].rows);
    fuzz_csv_same(&f[0].rows, &f[2].rows);
    fuzz_csv_same(&f[0].at, &f[1].at);
    fuzz_csv_same(&f[0].at, &f[2].at);

    if (mode != 3 && f[0].refused == 0) {
        ngx_shim_check(df_writer_text(&f[0].again, &text) == NGX_OK);
        fuzz_csv_run(&f[3], pool, text.data, text.len, mode, 0);
        fuzz_csv_same(&f[0].rows, &f[3].rows);
    }

    ngx_destroy_pool(pool);

    return 0;
}


/* mode: the columns of CSV, 0: not known; 3: NDJSON */

static void
fuzz_csv_run(fuzz_csv_t *f, ngx_pool_t *pool, const uint8_t *data, size_t size,
    ngx_uint_t mode, uint32_t seed)
{
    size_t    n;
    uint32_t  random;

    f->lines = (mode == 3);

    ngx_shim_check(df_writer_init(&f->rows, pool, 64) == NGX_OK);
    ngx_shim_check(df_writer_init(&f->at, pool, 64) == NGX_OK);
    ngx_shim_check(df_writer_init(&f->again, pool, 64) == NGX_OK);

    df_csv_init(&f->csv, pool);
    df_ndjson_init(&f->nd, pool);

    f->csv.columns = mode % 3;

    for (random = seed; size; data += n, size -= n) {
        random = random * 1103515245 + 12345;

        n = (seed == 0) ? size : (seed == 1) ? 1 : 1 + (random >> 16) % 16;
        n = ngx_min(n, size);

        fuzz_csv_piece(f, data, n, 0);
    }

    fuzz_csv_piece(f, data, 0, 1);
}


static void
fuzz_csv_piece(fuzz_csv_t *f, const uint8_t *data, size_t size, ngx_uint_t end)
{
    u_char     *piece, *pos;
    ngx_int_t   rc;

    piece = malloc(size + 1);
    ngx_shim_check(piece != NULL);

    pos = piece;

    if (size) {
        memcpy(piece, data, size);
    }

    /* a row is used before the next call, and before its piece is gone */

    do {
        rc = f->lines ? df_ndjson_next(&f->nd, &pos, piece + size, end)
                      : df_csv_next(&f->csv, &pos, piece + size, end);

        ngx_shim_check(rc != NGX_ERROR);
        ngx_shim_check(pos >= piece && pos <= piece + size);

        if (rc == NGX_OK) {
            fuzz_csv_row(f);

        } else if (rc == NGX_DECLINED) {
            f->refused++;
            ngx_shim_check(df_writer_printf(&f->rows, "! %s\n",
                                            f->lines ? f->nd.reason
                                                     : f->csv.reason)
                           == NGX_OK);
        }

        if (rc != NGX_AGAIN) {
            ngx_shim_check(df_writer_printf(&f->at, "%ui,",
                                            f->lines ? f->nd.line
                                                     : f->csv.line)
                           == NGX_OK);
        }

    } while (rc != NGX_AGAIN);

    ngx_shim_check(pos == piece + size);

    free(piece);
}


static void
fuzz_csv_row(fuzz_csv_t *f)
{
    size_t           k;
    u_char          *text;
    ngx_uint_t       i;
    df_csv_value_t  *v;

    if (f->lines) {
        ngx_shim_check(memchr(f->nd.row.data, '\n', f->nd.row.len) == NULL);
        ngx_shim_check(df_writer_add(&f->rows, f->nd.row.data, f->nd.row.len)
                       == NGX_OK);
        ngx_shim_check(df_writer_add(&f->rows, "\n", 1) == NGX_OK);
        return;
    }

    ngx_shim_check(f->csv.n > 0);
    ngx_shim_check(df_writer_printf(&f->rows, "%ui", f->csv.n) == NGX_OK);

    /* then it cannot be written again */

    f->refused += (f->csv.n > DF_CSV_COLUMNS);

    for (i = 0; i < f->csv.n && i < DF_CSV_COLUMNS; i++) {
        v = &f->csv.values[i];
        text = f->csv.buf + v->start;

        ngx_shim_check(text[v->len] == '\0');
        ngx_shim_check(df_writer_printf(&f->rows, "\n%ui %uz ",
                                        v->len == 0 ? v->quoted : 1, v->len)
                       == NGX_OK);
        ngx_shim_check(df_writer_add(&f->rows, text, v->len) == NGX_OK);

        if (i) {
            ngx_shim_check(df_writer_add(&f->again, ",", 1) == NGX_OK);
        }

        if (v->len == 0 && !v->quoted) {
            continue;
        }

        ngx_shim_check(df_writer_add(&f->again, "\"", 1) == NGX_OK);

        for (k = 0; k < v->len; k++) {
            ngx_shim_check(df_writer_add(&f->again, "\"", text[k] == '"')
                           == NGX_OK);
            ngx_shim_check(df_writer_add(&f->again, &text[k], 1) == NGX_OK);
        }

        ngx_shim_check(df_writer_add(&f->again, "\"", 1) == NGX_OK);
    }

    ngx_shim_check(df_writer_add(&f->rows, "\n", 1) == NGX_OK);
    ngx_shim_check(df_writer_add(&f->again, "\r\n", 2) == NGX_OK);
}


static void
fuzz_csv_same(df_writer_t *one, df_writer_t *two)
{
    ngx_str_t  a, b;

    ngx_shim_check(df_writer_text(one, &a) == NGX_OK);
    ngx_shim_check(df_writer_text(two, &b) == NGX_OK);
    ngx_shim_check(a.len == b.len);
    ngx_shim_check(ngx_memcmp(a.data, b.data, a.len) == 0);
}
