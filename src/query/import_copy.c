
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The rows of a set to the database by COPY, as fast as it takes them.
 */


#include <ngx_config.h>
#include "query/import.h"


/* bytes that are put at once, at least and at most */
#define DF_IMPORT_LEAST  32768
#define DF_IMPORT_MOST   65536

/* The rows of a COPY.  What the database does when it ends, checks of foreign
   keys, is progress that nobody can see; and of what it has refused shows
   nothing before. */
#define DF_IMPORT_ROWS   100000


static ngx_int_t df_import_defaults(df_import_t *import);
static ngx_int_t df_import_copy_text(df_import_t *import, ngx_str_t *text);
static size_t df_import_piece(const df_import_set_t *set);
static ngx_uint_t df_import_copy_referred(const df_import_t *import,
    const df_pg_error_t *error);
static void df_import_writable(void *data);


ngx_int_t
df_import_copy(df_import_t *import, df_import_set_t *set)
{
    ngx_str_t     text;
    df_pg_copy_t  copy;

    import->set = set;

    if (set->n == 0) {
        return df_import_defaults(import);
    }

    if (df_import_copy_text(import, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    copy.text = (char *) text.data;
    copy.timeout = 0;
    copy.writable = df_import_writable;

    import->state = DF_IMPORT_OPEN;
    import->blocked = 0;

    if (df_pg_copy(import->job, &copy) == NGX_OK) {
        return NGX_OK;
    }

    import->job = NULL;

    return df_import_lost(import);
}


static ngx_int_t
df_import_copy_text(df_import_t *import, ngx_str_t *text)
{
    ngx_uint_t        i;
    df_writer_t       w;
    df_import_set_t  *set;

    set = import->set;

    ngx_reset_pool(import->scratch);

    if (df_writer_init(&w, import->scratch, 512) != NGX_OK
        || df_writer_printf(&w, "COPY %V (", &import->table) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < set->n; i++) {
        if (df_writer_printf(&w, "%s%V", i ? "," : "", &set->fields[i]->quoted)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (df_writer_printf(&w, ") FROM STDIN") != NGX_OK) {
        return NGX_ERROR;
    }

    return df_writer_text(&w, text);
}


/* rows without a field, which no COPY can have */

static ngx_int_t
df_import_defaults(df_import_t *import)
{
    ngx_str_t         text;
    df_import_set_t  *set;

    set = import->set;

    text = df_str_printf(import->run->pool,
                         "INSERT INTO %V SELECT FROM generate_series(1,%ui)",
                         &import->table, set->rows);
    if (text.len == 0) {
        return NGX_ERROR;
    }

    df_import_sets_clear(&import->sets, set);
    import->set = NULL;

    (void) df_import_statement(import, 0, (char *) text.data);

    return df_import_continue(import, import->statements, 1,
                              DF_IMPORT_DEFAULTS);
}


ngx_int_t
df_import_put(df_import_t *import)
{
    size_t            len;
    ngx_int_t         rc;
    ngx_uint_t        ends;
    df_import_set_t  *set;

    set = import->set;
    rc = NGX_OK;
    ends = import->complete
           || df_import_copy_is_over(import)
           || df_import_is_pressed(import);

    while (set->sent != set->pos && !import->blocked) {

        if (!ends && set->pos - set->sent < DF_IMPORT_LEAST) {
            return NGX_OK;
        }

        len = df_import_piece(set);
        rc = df_pg_copy_put(import->job, set->sent, len);

        if (rc == NGX_ERROR) {
            return NGX_OK;              /* done() tells */
        }

        if (rc == NGX_DECLINED) {
            break;
        }

        import->blocked = (rc == NGX_AGAIN);
        df_import_sets_put(&import->sets, set, len);
    }

    if (rc == NGX_DECLINED || (ends && set->sent == set->pos)) {
        import->state = DF_IMPORT_CLOSE;
        df_pg_copy_end(import->job);
    }

    return NGX_OK;
}


/* whole rows: the COPY may have to end behind them */

static size_t
df_import_piece(const df_import_set_t *set)
{
    size_t   len;
    u_char  *p;

    len = set->pos - set->sent;

    if (len <= DF_IMPORT_MOST) {
        return len;
    }

    p = set->sent + DF_IMPORT_MOST;

    while (p > set->sent && p[-1] != LF) {
        p--;
    }

    if (p == set->sent) {
        p = memchr(set->sent, LF, len);
        p++;
    }

    return p - set->sent;
}


ngx_uint_t
df_import_copy_is_over(const df_import_t *import)
{
    return import->set->rows >= DF_IMPORT_ROWS
           || import->set->nlines >= DF_IMPORT_LINES;
}


ngx_uint_t
df_import_copy_line(const df_import_t *import, const df_pg_error_t *error)
{
    if (import->set == NULL) {
        return 0;
    }

    return error->line ? df_import_sets_line(import->set, error->line)
                       : df_import_copy_referred(import, error);
}


/* "Key (customer_id)=(5) …", in whatever language; a key may have parentheses
   of its own, and then the longest that a row has is the one */

static ngx_uint_t
df_import_copy_referred(const df_import_t *import, const df_pg_error_t *error)
{
    u_char            *p, *last;
    ngx_str_t          key;
    ngx_uint_t         line, found;
    const df_field_t  *field;

    field = df_schema_constraint_field(import->request->model,
                                       &error->constraint);

    if (field == NULL || ngx_strcmp(error->sqlstate, "23503") != 0) {
        return 0;
    }

    last = error->detail.data + error->detail.len;
    key.data = ngx_strnstr(error->detail.data, ")=(", error->detail.len);

    if (key.data == NULL) {
        return 0;
    }

    key.data += sizeof(")=(") - 1;
    line = 0;

    for (p = key.data; p < last; p++) {

        if (*p == ')') {
            key.len = p - key.data;
            found = df_import_sets_refers(&import->sets, import->set, field,
                                          &key);
            line = found ? found : line;
        }
    }

    return line;
}


static void
df_import_writable(void *data)
{
    df_import_t *import = data;

    import->state = DF_IMPORT_PUT;
    import->blocked = 0;

    /* whether there is anything to put: does the server want to hear it? */

    if (df_pg_copy_put(import->job, (u_char *) "", 0) == NGX_DECLINED) {
        import->state = DF_IMPORT_CLOSE;
        df_pg_copy_end(import->job);
        return;
    }

    df_import_go_on(import);
}
