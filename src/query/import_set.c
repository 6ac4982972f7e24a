
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Rows that wait to be sent, by the fields that they have: a COPY is of one
 * set of fields, and what a row does not have is the column's default.
 */


#include <ngx_config.h>
#include "query/import.h"


/* the memory that an empty set may keep, and the lines */
#define DF_IMPORT_KEEP        16384
#define DF_IMPORT_KEEP_LINES  1024


static void df_import_sets_free(void *data);
static df_import_set_t *df_import_sets_get(df_import_sets_t *sets,
    const u_char *given);
static df_import_set_t *df_import_sets_find(df_import_sets_t *sets,
    const u_char *given, uint32_t hash);
static df_import_set_t *df_import_sets_create(df_import_sets_t *sets,
    const u_char *given, uint32_t hash);
static df_import_set_t *df_import_sets_unused(df_import_sets_t *sets);
static ngx_int_t df_import_set_row(df_import_sets_t *sets,
    df_import_set_t *set, const df_value_t *values);
static u_char *df_import_set_value(u_char *p, const df_value_t *value);
static ngx_int_t df_import_set_line(df_import_sets_t *sets,
    df_import_set_t *set, ngx_uint_t line);
static ngx_int_t df_import_set_refer(df_import_sets_t *sets,
    df_import_set_t *set, const df_value_t *values);
static ngx_int_t df_import_set_reserve(df_import_sets_t *sets,
    df_import_set_t *set, size_t n);
static void df_import_set_trim(df_import_set_t *set);


#define df_import_set_has(set, i)                                             \
    ((set)->given[(i) / 8] & (1 << (i) % 8))


/* what COPY's text form has an escape for, which is the character's letter */

static const u_char  df_import_escapes[256] = {
    ['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r', ['\\'] = '\\'
};


ngx_int_t
df_import_sets_init(df_import_sets_t *sets, ngx_pool_t *pool,
    const df_model_t *model)
{
    ngx_pool_cleanup_t  *cln;

    ngx_memzero(sets, sizeof(df_import_sets_t));

    sets->pool = pool;
    sets->log = pool->log;
    sets->model = model;
    sets->nbits = (model->fields.nelts + 7) / 8;
    sets->nrelations = model->relations.nelts;

    ngx_queue_init(&sets->all);

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = df_import_sets_free;
    cln->data = sets;

    return NGX_OK;
}


static void
df_import_sets_free(void *data)
{
    df_import_sets_t *sets = data;

    ngx_queue_t      *q;
    df_import_set_t  *set;

    for (q = ngx_queue_head(&sets->all);
         q != ngx_queue_sentinel(&sets->all);
         q = ngx_queue_next(q))
    {
        set = ngx_queue_data(q, df_import_set_t, queue);

        if (set->start) {
            ngx_free(set->start);
        }

        if (set->lines) {
            ngx_free(set->lines);
        }

        if (set->references) {
            ngx_free(set->references);
        }
    }
}


ngx_int_t
df_import_sets_add(df_import_sets_t *sets, const u_char *given,
    const df_value_t *values, ngx_uint_t line)
{
    size_t            len;
    df_import_set_t  *set;

    set = df_import_sets_get(sets, given);

    if (set == NULL
        || df_import_set_line(sets, set, line) != NGX_OK
        || df_import_set_refer(sets, set, values) != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = set->pos - set->sent;

    if (df_import_set_row(sets, set, values) != NGX_OK) {
        return NGX_ERROR;
    }

    sets->used += (set->rows == 0);
    set->rows++;

    sets->bytes += set->pos - set->sent - len;

    return NGX_OK;
}


/* most rows have the fields of the row before them */

static df_import_set_t *
df_import_sets_get(df_import_sets_t *sets, const u_char *given)
{
    uint32_t          hash;
    df_import_set_t  *set;

    set = sets->last;

    if (set != NULL && ngx_memcmp(set->given, given, sets->nbits) == 0) {
        return set;
    }

    hash = ngx_murmur_hash2((u_char *) given, sets->nbits);

    set = df_import_sets_find(sets, given, hash);

    if (set == NULL) {
        set = df_import_sets_create(sets, given, hash);
    }

    sets->last = set;

    return set;
}


static df_import_set_t *
df_import_sets_find(df_import_sets_t *sets, const u_char *given, uint32_t hash)
{
    ngx_queue_t      *q;
    df_import_set_t  *set;

    for (q = ngx_queue_head(&sets->all);
         q != ngx_queue_sentinel(&sets->all);
         q = ngx_queue_next(q))
    {
        set = ngx_queue_data(q, df_import_set_t, queue);

        if (set->hash == hash
            && ngx_memcmp(set->given, given, sets->nbits) == 0)
        {
            ngx_queue_remove(q);
            ngx_queue_insert_head(&sets->all, q);
            return set;
        }
    }

    return NULL;
}


/* an empty one is used for other fields, so that there are never many */

static df_import_set_t *
df_import_sets_create(df_import_sets_t *sets, const u_char *given,
    uint32_t hash)
{
    ngx_uint_t        i, n;
    df_import_set_t  *set;

    set = NULL;

    if (sets->n == DF_IMPORT_SETS) {
        set = df_import_sets_unused(sets);
    }

    if (set == NULL) {
        n = sets->model->fields.nelts;

        set = ngx_pcalloc(sets->pool, sizeof(df_import_set_t)
                                      + n * sizeof(df_field_t *)
                                      + sets->nbits);
        if (set == NULL) {
            return NULL;
        }

        set->fields = (const df_field_t **) (set + 1);
        set->given = (u_char *) (set->fields + n);

        ngx_queue_insert_head(&sets->all, &set->queue);
        sets->n++;
    }

    ngx_memcpy(set->given, given, sets->nbits);
    set->hash = hash;
    set->n = 0;

    for (i = 0; i < sets->model->fields.nelts; i++) {
        if (given[i / 8] & (1 << i % 8)) {
            set->fields[set->n++] = df_schema_field_at(sets->model, i);
        }
    }

    return set;
}


static df_import_set_t *
df_import_sets_unused(df_import_sets_t *sets)
{
    ngx_queue_t      *q;
    df_import_set_t  *set;

    for (q = ngx_queue_last(&sets->all);
         q != ngx_queue_sentinel(&sets->all);
         q = ngx_queue_prev(q))
    {
        set = ngx_queue_data(q, df_import_set_t, queue);

        if (set->rows == 0) {
            ngx_queue_remove(q);
            ngx_queue_insert_head(&sets->all, q);
            return set;
        }
    }

    return NULL;
}


static ngx_int_t
df_import_set_row(df_import_sets_t *sets, df_import_set_t *set,
    const df_value_t *values)
{
    size_t             len;
    u_char            *p;
    ngx_uint_t         i;
    const df_value_t  *value;

    /* a tab or the line's end behind each, \N for a null */

    len = 1;

    for (i = 0; i < set->n; i++) {
        value = &values[set->fields[i]->index];
        len += 3 + (value->null ? 0 : 2 * value->text.len);
    }

    if (df_import_set_reserve(sets, set, len) != NGX_OK) {
        return NGX_ERROR;
    }

    p = set->pos;

    for (i = 0; i < set->n; i++) {
        p = df_import_set_value(p, &values[set->fields[i]->index]);
        *p++ = '\t';
    }

    if (set->n) {
        p--;
    }

    *p++ = LF;

    set->pos = p;

    return NGX_OK;
}


static u_char *
df_import_set_value(u_char *p, const df_value_t *value)
{
    u_char         escape;
    const u_char  *src, *last;

    if (value->null) {
        return ngx_cpymem(p, "\\N", 2);
    }

    src = value->text.data;
    last = src + value->text.len;

    while (src < last) {
        escape = df_import_escapes[*src];

        if (escape) {
            *p++ = '\\';
            *p++ = escape;
            src++;
            continue;
        }

        *p++ = *src++;
    }

    return p;
}


static ngx_int_t
df_import_set_line(df_import_sets_t *sets, df_import_set_t *set,
    ngx_uint_t line)
{
    ngx_uint_t         max;
    df_import_line_t  *l, *lines;

    if (set->nlines) {
        l = &set->lines[set->nlines - 1];

        if (l->line + (set->rows + 1 - l->row) == line) {
            return NGX_OK;
        }
    }

    if (set->nlines == set->max_lines) {
        max = set->max_lines ? 2 * set->max_lines : 16;

        lines = ngx_alloc(max * sizeof(df_import_line_t), sets->log);
        if (lines == NULL) {
            return NGX_ERROR;
        }

        if (set->lines) {
            ngx_memcpy(lines, set->lines,
                       set->nlines * sizeof(df_import_line_t));
            ngx_free(set->lines);
        }

        set->lines = lines;
        set->max_lines = max;
    }

    sets->nlines++;

    l = &set->lines[set->nlines++];
    l->row = set->rows + 1;
    l->line = line;

    return NGX_OK;
}


/* a foreign key is checked when its COPY ends, and then nobody tells which row
   it was: only which key is not there */

static ngx_int_t
df_import_set_refer(df_import_sets_t *sets, df_import_set_t *set,
    const df_value_t *values)
{
    size_t                size;
    uint32_t             *references;
    ngx_uint_t            i, max, field;
    const df_relation_t  *relation;

    if (sets->nrelations == 0) {
        return NGX_OK;
    }

    size = sets->nrelations * sizeof(uint32_t);

    if (set->rows == set->max_references) {
        max = set->rows ? 2 * set->rows : 16;

        references = ngx_alloc(max * size, sets->log);
        if (references == NULL) {
            return NGX_ERROR;
        }

        if (set->references) {
            ngx_memcpy(references, set->references, set->rows * size);
            ngx_free(set->references);
        }

        set->references = references;
        set->max_references = max;
    }

    references = set->references + set->rows * sets->nrelations;
    relation = sets->model->relations.elts;

    for (i = 0; i < sets->nrelations; i++) {
        field = relation[i].field->index;

        references[i] = (df_import_set_has(set, field) && !values[field].null)
                        ? ngx_murmur_hash2(values[field].text.data,
                                           values[field].text.len)
                        : 0;
    }

    return NGX_OK;
}


static ngx_int_t
df_import_set_reserve(df_import_sets_t *sets, df_import_set_t *set, size_t n)
{
    size_t   size, used;
    u_char  *start;

    if ((size_t) (set->end - set->pos) >= n) {
        return NGX_OK;
    }

    /* what was put makes room, if that is worth the move */

    used = set->pos - set->sent;
    size = set->end - set->start;

    if (used + n <= size / 2) {
        ngx_memmove(set->start, set->sent, used);

        set->sent = set->start;
        set->pos = set->start + used;

        return NGX_OK;
    }

    size = ngx_max(2 * size, used + n);
    size = ngx_max(size, 512);

    start = ngx_alloc(size, sets->log);
    if (start == NULL) {
        return NGX_ERROR;
    }

    if (set->start) {
        ngx_memcpy(start, set->sent, used);
        ngx_free(set->start);
    }

    set->start = start;
    set->sent = start;
    set->pos = start + used;
    set->end = start + size;

    return NGX_OK;
}


df_import_set_t *
df_import_sets_largest(df_import_sets_t *sets)
{
    ngx_queue_t      *q;
    df_import_set_t  *set, *best;

    best = NULL;

    for (q = ngx_queue_head(&sets->all);
         q != ngx_queue_sentinel(&sets->all);
         q = ngx_queue_next(q))
    {
        set = ngx_queue_data(q, df_import_set_t, queue);

        if (set->rows
            && (best == NULL
                || set->pos - set->sent > best->pos - best->sent))
        {
            best = set;
        }
    }

    return best;
}


void
df_import_sets_put(df_import_sets_t *sets, df_import_set_t *set, size_t len)
{
    u_char  *p, *last;

    last = set->sent + len;

    for (p = set->sent; p < last; p++) {
        set->put += (*p == LF);
    }

    set->sent += len;
    sets->bytes -= len;

    if (set->sent == set->pos) {
        set->sent = set->start;
        set->pos = set->start;
    }
}


void
df_import_sets_done(df_import_sets_t *sets, df_import_set_t *set)
{
    ngx_uint_t  i, n, line;

    line = df_import_sets_line(set, set->put + 1);

    set->rows -= set->put;
    sets->nlines -= set->nlines;

    if (set->rows == 0) {
        sets->used--;
        set->nlines = 0;
        df_import_set_trim(set);

    } else {

        /* the run that the first of those left is in, and those behind it */

        for (n = 0; n < set->nlines && set->lines[n].row <= set->put + 1; n++)
        {
            /* void */
        }

        n--;
        set->lines[n].row = set->put + 1;
        set->lines[n].line = line;
        set->nlines -= n;

        for (i = 0; i < set->nlines; i++) {
            set->lines[i] = set->lines[i + n];
            set->lines[i].row -= set->put;
        }

        if (sets->nrelations) {
            ngx_memmove(set->references,
                        set->references + set->put * sets->nrelations,
                        set->rows * sets->nrelations * sizeof(uint32_t));
        }
    }

    sets->nlines += set->nlines;
    set->put = 0;
}


void
df_import_sets_clear(df_import_sets_t *sets, df_import_set_t *set)
{
    sets->bytes -= set->pos - set->sent;
    set->sent = set->pos;
    set->put = set->rows;

    df_import_sets_done(sets, set);

    set->sent = set->start;
    set->pos = set->start;
}


static void
df_import_set_trim(df_import_set_t *set)
{
    if (set->max_lines > DF_IMPORT_KEEP_LINES) {
        ngx_free(set->lines);

        set->lines = NULL;
        set->max_lines = 0;
    }

    if (set->end - set->start > DF_IMPORT_KEEP) {
        ngx_free(set->start);

        set->start = NULL;
        set->sent = NULL;
        set->pos = NULL;
        set->end = NULL;
    }
}


ngx_uint_t
df_import_sets_line(const df_import_set_t *set, ngx_uint_t row)
{
    ngx_uint_t               low, high, middle;
    const df_import_line_t  *l;

    low = 0;
    high = set->nlines;

    while (high - low > 1) {
        middle = (low + high) / 2;

        if (set->lines[middle].row <= row) {
            low = middle;

        } else {
            high = middle;
        }
    }

    if (set->nlines == 0) {
        return 0;
    }

    l = &set->lines[low];

    return l->line + (row - l->row);
}


ngx_uint_t
df_import_sets_refers(const df_import_sets_t *sets,
    const df_import_set_t *set, const df_field_t *field, const ngx_str_t *key)
{
    uint32_t              hash;
    ngx_uint_t            i, row;
    const df_relation_t  *relation;

    hash = ngx_murmur_hash2(key->data, key->len);
    relation = sets->model->relations.elts;

    for (i = 0; i < sets->nrelations; i++) {

        if (relation[i].field != field
            || !df_import_set_has(set, field->index))
        {
            continue;
        }

        for (row = 1; row <= set->put; row++) {
            if (set->references[(row - 1) * sets->nrelations + i] == hash) {
                return df_import_sets_line(set, row);
            }
        }
    }

    return 0;
}
