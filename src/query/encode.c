
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * encode: the rows of a PGresult to JSON, NDJSON or CSV.  A row is measured
 * first and then written without another look at the room that is left.
 */


#include <ngx_config.h>
#include "query/include.h"


static u_char *df_query_encode_json(u_char *p, const df_compiled_t *compiled,
    const PGresult *res, ngx_uint_t row);
static size_t df_query_encode_csv_bound(const df_compiled_t *compiled,
    const PGresult *res, ngx_uint_t row);
static u_char *df_query_encode_csv(u_char *p, const df_compiled_t *compiled,
    const PGresult *res, ngx_uint_t row);
static u_char *df_query_encode_quoted(u_char *p, const u_char *text,
    size_t len);


size_t
df_query_encode_bound(const df_compiled_t *compiled, df_format_t format,
    const PGresult *res, ngx_uint_t row)
{
    if (format == DF_FORMAT_CSV) {
        return df_query_encode_csv_bound(compiled, res, row);
    }

    /* braces and a newline */

    if (compiled->includes) {
        return 3 + df_include_bound(compiled->includes, compiled->columns,
                                    &compiled->includes->object, res, row);
    }

    return 3 + df_query_encode_fields_bound(compiled->columns, 0,
                                            compiled->nfields, res, row);
}


size_t
df_query_encode_fields_bound(const df_field_t **fields, ngx_uint_t first,
    ngx_uint_t n, const PGresult *res, ngx_uint_t row)
{
    size_t             size;
    ngx_str_t          value;
    ngx_uint_t         i;
    const df_field_t  *field;

    size = 0;

    for (i = first; i < first + n; i++) {
        field = fields[i];

        /* a comma, the name and at least null */

        size += 1 + field->member.len + 4;

        if ((field->type->flags & DF_TYPE_SHORT) && !field->array) {
            size += 2 + DF_SCHEMA_SHORT_LEN;
            continue;
        }

        value.len = (size_t) PQgetlength(res, (int) row, (int) i);

        if (value.len) {
            value = df_pg_value(res, row, i);
            size += df_schema_json_bound(field, value.data, value.len);
        }
    }

    return size;
}


u_char *
df_query_encode_row(u_char *p, const df_compiled_t *compiled,
    df_format_t format, const PGresult *res, ngx_uint_t row)
{
    if (format == DF_FORMAT_CSV) {
        return df_query_encode_csv(p, compiled, res, row);
    }

    p = df_query_encode_json(p, compiled, res, row);

    if (format == DF_FORMAT_NDJSON) {
        *p++ = LF;
    }

    return p;
}


static u_char *
df_query_encode_json(u_char *p, const df_compiled_t *compiled,
    const PGresult *res, ngx_uint_t row)
{
    *p++ = '{';

    if (compiled->includes) {
        p = df_include_encode(p, compiled->includes, compiled->columns,
                              &compiled->includes->object, res, row);

    } else {
        p = df_query_encode_fields(p, compiled->columns, 0, compiled->nfields,
                                   res, row);
    }

    *p++ = '}';

    return p;
}


u_char *
df_query_encode_fields(u_char *p, const df_field_t **fields, ngx_uint_t first,
    ngx_uint_t n, const PGresult *res, ngx_uint_t row)
{
    ngx_str_t          value;
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = first; i < first + n; i++) {
        field = fields[i];

        if (i != first) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, field->member.data, field->member.len);

        value = df_pg_value(res, row, i);

        if (value.len == 0 && df_pg_is_null(res, row, i)) {
            p = ngx_cpymem(p, "null", 4);
            continue;
        }

        p = df_schema_json(field, p, value.data, value.len);
    }

    return p;
}


/*
 * CSV, RFC 4180.  A value is first written behind the room that its quoted
 * form can take and moved from there.  Null is an empty field, an empty text
 * is "".
 */

static size_t
df_query_encode_csv_bound(const df_compiled_t *compiled, const PGresult *res,
    ngx_uint_t row)
{
    size_t      n;
    ngx_str_t   value;
    ngx_uint_t  i;

    n = 2;

    for (i = 0; i < compiled->nfields; i++) {
        n += 3;

        if (!df_pg_is_null(res, row, i)) {
            value = df_pg_value(res, row, i);
            n += 2 * df_schema_text_bound(compiled->columns[i], value.data,
                                          value.len);
        }
    }

    return n;
}


static u_char *
df_query_encode_csv(u_char *p, const df_compiled_t *compiled,
    const PGresult *res, ngx_uint_t row)
{
    u_char            *text, *last;
    size_t             bound;
    ngx_str_t          value;
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = 0; i < compiled->nfields; i++) {
        field = compiled->columns[i];

        if (i) {
            *p++ = ',';
        }

        if (df_pg_is_null(res, row, i)) {
            continue;
        }

        value = df_pg_value(res, row, i);
        bound = df_schema_text_bound(field, value.data, value.len);

        text = p + 2 + bound;
        last = df_schema_text(field, text, value.data, value.len);

        p = df_query_encode_quoted(p, text, last - text);
    }

    *p++ = CR;
    *p++ = LF;

    return p;
}


/* text may stand in the same memory, at least len + 2 bytes behind p */

static u_char *
df_query_encode_quoted(u_char *p, const u_char *text, size_t len)
{
    u_char         ch;
    size_t         i;
    const u_char  *last;

    for (i = 0; i < len; i++) {
        ch = text[i];

        if (ch == ',' || ch == '"' || ch == CR || ch == LF) {
            break;
        }
    }

    if (len && i == len) {
        return ngx_movemem(p, text, len);
    }

    last = text + len;

    *p++ = '"';

    while (text < last) {

        if (*text == '"') {
            *p++ = '"';
        }

        *p++ = *text++;
    }

    *p++ = '"';

    return p;
}


/* names of fields need no quotes */

size_t
df_query_encode_header_bound(const df_compiled_t *compiled)
{
    size_t      n;
    ngx_uint_t  i;

    n = 2;

    for (i = 0; i < compiled->nfields; i++) {
        n += compiled->columns[i]->name.len + 1;
    }

    return n;
}


u_char *
df_query_encode_header(u_char *p, const df_compiled_t *compiled)
{
    ngx_uint_t  i;

    for (i = 0; i < compiled->nfields; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, compiled->columns[i]->name.data,
                       compiled->columns[i]->name.len);
    }

    *p++ = CR;
    *p++ = LF;

    return p;
}
