
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * CSV: a body to rows of values, without their quotes.  What the values mean
 * is not known here.
 */


#include <ngx_config.h>
#include "query/import.h"


/* a step takes some bytes, or only changes the state: NGX_AGAIN; or the row is
   complete, NGX_OK, or over, NGX_DECLINED */
typedef ngx_int_t (*df_csv_step_pt)(df_csv_t *csv, u_char **pos, u_char *last);


static ngx_int_t df_csv_mark(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_row(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_value(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_plain(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_quoted(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_quote(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_cr(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_skip(df_csv_t *csv, u_char **pos, u_char *last);
static ngx_int_t df_csv_last(df_csv_t *csv);
static ngx_int_t df_csv_close(df_csv_t *csv, u_char **pos, ngx_uint_t quoted);
static ngx_int_t df_csv_done(df_csv_t *csv);
static ngx_int_t df_csv_refuse(df_csv_t *csv, const char *reason);
static ngx_int_t df_csv_add(df_csv_t *csv, const u_char *p, size_t len);
static ngx_int_t df_csv_push(df_csv_t *csv, ngx_uint_t quoted);


static const df_csv_step_pt  df_csv_steps[] = {
    [DF_CSV_MARK] = df_csv_mark,
    [DF_CSV_ROW] = df_csv_row,
    [DF_CSV_VALUE] = df_csv_value,
    [DF_CSV_PLAIN] = df_csv_plain,
    [DF_CSV_QUOTED] = df_csv_quoted,
    [DF_CSV_QUOTE] = df_csv_quote,
    [DF_CSV_CR] = df_csv_cr,
    [DF_CSV_SKIP] = df_csv_skip
};


void
df_csv_init(df_csv_t *csv, ngx_pool_t *pool)
{
    ngx_memzero(csv, sizeof(df_csv_t));

    csv->pool = pool;
    csv->at = 1;
}


ngx_int_t
df_csv_next(df_csv_t *csv, u_char **pos, u_char *last, ngx_uint_t end)
{
    u_char     *p;
    ngx_int_t   rc;

    while (*pos < last) {
        p = *pos;

        rc = df_csv_steps[csv->state](csv, pos, last);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        csv->bytes += *pos - p;

        if (csv->bytes > DF_IMPORT_ROW && csv->reason == NULL) {

            /* its end is still to be found, quotes and all */

            csv->reason = "the row is longer than 1048576 bytes";
        }
    }

    return end ? df_csv_last(csv) : NGX_AGAIN;
}


static ngx_int_t
df_csv_mark(df_csv_t *csv, u_char **pos, u_char *last)
{
    static const u_char  mark[] = { 0xef, 0xbb, 0xbf };

    if (**pos == mark[csv->marks]) {
        (*pos)++;

        if (++csv->marks == sizeof(mark)) {
            csv->state = DF_CSV_ROW;
        }

        return NGX_AGAIN;
    }

    csv->state = DF_CSV_ROW;

    if (csv->marks == 0) {
        return NGX_AGAIN;
    }

    csv->line = csv->at;

    return df_csv_refuse(csv, "the bytes are not UTF-8");
}


static ngx_int_t
df_csv_row(df_csv_t *csv, u_char **pos, u_char *last)
{
    csv->len = 0;
    csv->n = 0;
    csv->value = 0;
    csv->bytes = 0;
    csv->line = csv->at;
    csv->reason = NULL;

    if (**pos == CR) {
        (*pos)++;
        csv->state = DF_CSV_CR;
        return NGX_AGAIN;
    }

    if (**pos == LF) {
        (*pos)++;
        return df_csv_done(csv);
    }

    csv->state = DF_CSV_VALUE;

    return NGX_AGAIN;
}


static ngx_int_t
df_csv_value(df_csv_t *csv, u_char **pos, u_char *last)
{
    if (**pos == '"') {
        (*pos)++;
        csv->state = DF_CSV_QUOTED;
        return NGX_AGAIN;
    }

    csv->state = DF_CSV_PLAIN;

    return NGX_AGAIN;
}


static ngx_int_t
df_csv_plain(df_csv_t *csv, u_char **pos, u_char *last)
{
    u_char  c, *p;

    for (p = *pos; p < last; p++) {
        c = *p;

        if (c == ',' || c == LF || c == CR || c == '"') {
            break;
        }
    }

    if (df_csv_add(csv, *pos, p - *pos) != NGX_OK) {
        return NGX_ERROR;
    }

    *pos = p;

    if (p == last) {
        return NGX_AGAIN;
    }

    if (*p == '"') {
        return df_csv_refuse(csv,
                             "a quote stands in a value that is not quoted");
    }

    return df_csv_close(csv, pos, 0);
}


static ngx_int_t
df_csv_quoted(df_csv_t *csv, u_char **pos, u_char *last)
{
    u_char  *p;

    for (p = *pos; p < last && *p != '"'; p++) {
        csv->at += (*p == LF);
    }

    if (df_csv_add(csv, *pos, p - *pos) != NGX_OK) {
        return NGX_ERROR;
    }

    *pos = p;

    if (p < last) {
        (*pos)++;
        csv->state = DF_CSV_QUOTE;
    }

    return NGX_AGAIN;
}


static ngx_int_t
df_csv_quote(df_csv_t *csv, u_char **pos, u_char *last)
{
    u_char  c;

    c = **pos;

    if (c == '"') {
        csv->state = DF_CSV_QUOTED;
        return df_csv_add(csv, (*pos)++, 1) == NGX_OK ? NGX_AGAIN : NGX_ERROR;
    }

    if (c == ',' || c == LF || c == CR) {
        return df_csv_close(csv, pos, 1);
    }

    return df_csv_refuse(csv, "a value goes on behind its closing quote");
}


static ngx_int_t
df_csv_cr(df_csv_t *csv, u_char **pos, u_char *last)
{
    if (**pos != LF) {
        return df_csv_refuse(csv, "a carriage return stands without a line "
                             "feed, and without quotes");
    }

    (*pos)++;

    return df_csv_done(csv);
}


static ngx_int_t
df_csv_skip(df_csv_t *csv, u_char **pos, u_char *last)
{
    u_char  *lf;

    lf = memchr(*pos, LF, last - *pos);

    if (lf == NULL) {
        *pos = last;
        return NGX_AGAIN;
    }

    *pos = lf + 1;

    return df_csv_done(csv);
}


/* nothing follows: what is open ends here */

static ngx_int_t
df_csv_last(df_csv_t *csv)
{
    switch (csv->state) {

    case DF_CSV_MARK:

        if (csv->marks == 0) {
            return NGX_AGAIN;
        }

        (void) df_csv_refuse(csv, "the bytes are not UTF-8");
        csv->line = csv->at;
        break;

    case DF_CSV_ROW:
        return NGX_AGAIN;

    case DF_CSV_QUOTED:
        csv->reason = "the quotes are not closed";
        break;

    case DF_CSV_CR:
    case DF_CSV_SKIP:
        break;

    default:

        if (df_csv_push(csv, csv->state == DF_CSV_QUOTE) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_csv_done(csv);
}


/* a comma or the end of a line behind a value */

static ngx_int_t
df_csv_close(df_csv_t *csv, u_char **pos, ngx_uint_t quoted)
{
    u_char  c;

    c = *(*pos)++;

    if (df_csv_push(csv, quoted) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c == LF) {
        return df_csv_done(csv);
    }

    csv->state = (c == CR) ? DF_CSV_CR : DF_CSV_VALUE;

    return NGX_AGAIN;
}


static ngx_int_t
df_csv_done(df_csv_t *csv)
{
    csv->at++;
    csv->state = DF_CSV_ROW;

    if (csv->reason != NULL) {
        return NGX_DECLINED;
    }

    if (csv->n == 0) {

        if (csv->columns != 1) {
            return NGX_AGAIN;
        }

        if (df_csv_push(csv, 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what is wrong so shows no end but that of the line */

static ngx_int_t
df_csv_refuse(df_csv_t *csv, const char *reason)
{
    if (csv->reason == NULL) {
        csv->reason = reason;
    }

    csv->state = DF_CSV_SKIP;

    return NGX_AGAIN;
}


static ngx_int_t
df_csv_add(df_csv_t *csv, const u_char *p, size_t len)
{
    size_t   size;
    u_char  *buf;

    if (len == 0 || csv->reason != NULL) {
        return NGX_OK;
    }

    if (len > csv->size - csv->len) {
        size = ngx_max(2 * csv->size, csv->len + len);
        size = ngx_max(size, 4096);

        buf = ngx_palloc(csv->pool, size);
        if (buf == NULL) {
            return NGX_ERROR;
        }

        if (csv->buf) {
            ngx_memcpy(buf, csv->buf, csv->len);
            (void) ngx_pfree(csv->pool, csv->buf);
        }

        csv->buf = buf;
        csv->size = size;
    }

    ngx_memcpy(csv->buf + csv->len, p, len);
    csv->len += len;

    return NGX_OK;
}


/* of values that are too many only the number is wanted */

static ngx_int_t
df_csv_push(df_csv_t *csv, ngx_uint_t quoted)
{
    df_csv_value_t  *value;

    if (csv->n < DF_CSV_COLUMNS) {
        value = &csv->values[csv->n];

        value->start = csv->value;
        value->len = csv->len - csv->value;
        value->quoted = quoted;
    }

    csv->n++;

    if (df_csv_add(csv, (u_char *) "", 1) != NGX_OK) {
        return NGX_ERROR;
    }

    csv->value = csv->len;

    return NGX_OK;
}
