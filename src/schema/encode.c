
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * encode: columns in PostgreSQL's binary form to JSON and to text.  This is
 * done for each value of each row: nothing is allocated and nothing fails;
 * bytes that are not of the declared type become null.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


/* a text up to this length is not scanned for what its escapes would take */
#define DF_SCHEMA_SCAN_LEN  256


/* an array in binary form that is being read */
typedef struct {
    const u_char  *p;
    const u_char  *last;
    ngx_uint_t     n;           /* elements */
    ngx_uint_t     ndims;
    ngx_uint_t     spans[DF_SCHEMA_ARRAY_DIMS];
                                /* elements of one array of a dimension */
} df_schema_elements_t;


static size_t df_schema_value_bound(const df_type_t *type, const u_char *v,
    size_t len);
static u_char *df_schema_value_print(const df_type_t *type, u_char *p,
    const u_char *v, size_t len);
static void df_schema_elements_open(df_schema_elements_t *e, const u_char *v,
    size_t len);
static const u_char *df_schema_elements_next(df_schema_elements_t *e,
    size_t *len);
static size_t df_schema_elements_bound(const df_type_t *type, const u_char *v,
    size_t len);
static u_char *df_schema_elements_print(const df_type_t *type, u_char *p,
    const u_char *v, size_t len);


size_t
df_schema_json_bound(const df_field_t *field, const u_char *v, size_t len)
{
    if (field->array) {
        return df_schema_elements_bound(field->type, v, len);
    }

    return df_schema_value_bound(field->type, v, len);
}


u_char *
df_schema_json(const df_field_t *field, u_char *p, const u_char *v, size_t len)
{
    if (field->array) {
        return df_schema_elements_print(field->type, p, v, len);
    }

    return df_schema_value_print(field->type, p, v, len);
}


size_t
df_schema_text_bound(const df_field_t *field, const u_char *v, size_t len)
{
    if (field->array) {
        return df_schema_elements_bound(field->type, v, len);
    }

    return field->type->bound(v, len);
}


u_char *
df_schema_text(const df_field_t *field, u_char *p, const u_char *v, size_t len)
{
    if (field->array) {
        return df_schema_elements_print(field->type, p, v, len);
    }

    return field->type->encode(p, v, len);
}


/* the quotes, or null */

static size_t
df_schema_value_bound(const df_type_t *type, const u_char *v, size_t len)
{
    if (!(type->flags & DF_TYPE_ESCAPED)) {
        return 4 + type->bound(v, len);
    }

    if (len <= DF_SCHEMA_SCAN_LEN) {
        return 2 + 6 * len;
    }

    return 2 + df_json_escaped_length(v, len);
}


static u_char *
df_schema_value_print(const df_type_t *type, u_char *p, const u_char *v,
    size_t len)
{
    u_char  *last;

    if (type->flags & DF_TYPE_ESCAPED) {
        *p++ = '"';
        p = df_json_escape(p, v, len);
        *p++ = '"';

        return p;
    }

    if (type->flags & DF_TYPE_QUOTED) {
        last = type->encode(p + 1, v, len);

        if (last == p + 1 && len) {
            return ngx_cpymem(p, "null", 4);
        }

        *p = '"';
        *last++ = '"';

        return last;
    }

    last = type->encode(p, v, len);

    if (last == p) {
        return ngx_cpymem(p, "null", 4);
    }

    if ((type->flags & DF_TYPE_NUMBER) && last[-1] > '9') {

        /* NaN, Infinity and -Infinity are no numbers to JSON */

        ngx_memmove(p + 1, p, last - p);
        *p = '"';
        last[1] = '"';
        last += 2;
    }

    return last;
}


/* the number of dimensions, flags, the type of the elements; of each dimension
   its length and lower bound; of each element its length and bytes */

static void
df_schema_elements_open(df_schema_elements_t *e, const u_char *v, size_t len)
{
    ngx_uint_t  i, n, ndims;

    e->n = 0;
    e->ndims = 0;

    if (len < 12) {
        return;
    }

    ndims = df_schema_get32(v);

    if (ndims == 0 || ndims > DF_SCHEMA_ARRAY_DIMS || len < 12 + 8 * ndims) {
        return;
    }

    e->p = v + 12 + 8 * ndims;
    e->last = v + len;

    n = 1;

    for (i = ndims; i-- > 0; /* void */ ) {

        /* each element has at least its length, so the product is small */

        n *= df_schema_get32(v + 12 + 8 * i);

        if (n == 0 || n > len / 4) {
            return;
        }

        e->spans[i] = n;
    }

    e->n = n;
    e->ndims = ndims;
}


/* NULL for an element that is null, or not there */

static const u_char *
df_schema_elements_next(df_schema_elements_t *e, size_t *len)
{
    const u_char  *v;

    *len = 0;

    if (e->last - e->p < 4) {
        return NULL;
    }

    *len = df_schema_get32(e->p);
    e->p += 4;

    if (*len > (size_t) (e->last - e->p)) {
        return NULL;
    }

    v = e->p;
    e->p += *len;

    return v;
}


static size_t
df_schema_elements_bound(const df_type_t *type, const u_char *v, size_t len)
{
    size_t                 bound;
    ngx_uint_t             i;
    df_schema_elements_t   e;

    df_schema_elements_open(&e, v, len);

    bound = sizeof("[]") - 1;

    for (i = 0; i < e.n; i++) {

        v = df_schema_elements_next(&e, &len);

        bound += 2 * e.ndims + sizeof(",null") - 1;

        if (v) {
            bound += df_schema_value_bound(type, v, len);
        }
    }

    return bound;
}


static u_char *
df_schema_elements_print(const df_type_t *type, u_char *p, const u_char *v,
    size_t len)
{
    ngx_uint_t             i, k;
    df_schema_elements_t   e;

    df_schema_elements_open(&e, v, len);

    if (e.n == 0) {
        return ngx_cpymem(p, "[]", 2);
    }

    for (i = 0; i < e.n; i++) {

        if (i) {
            *p++ = ',';
        }

        for (k = 0; k < e.ndims; k++) {
            if (i % e.spans[k] == 0) {
                *p++ = '[';
            }
        }

        v = df_schema_elements_next(&e, &len);

        p = v ? df_schema_value_print(type, p, v, len)
              : ngx_cpymem(p, "null", 4);

        for (k = 0; k < e.ndims; k++) {
            if ((i + 1) % e.spans[k] == 0) {
                *p++ = ']';
            }
        }
    }

    return p;
}
