
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files of schema/ share among themselves.
 */


#ifndef _DF_SCHEMA_INTERNAL_H_INCLUDED_
#define _DF_SCHEMA_INTERNAL_H_INCLUDED_


#include "schema/schema.h"


DF_HIDDEN_BEGIN


/* types: what the rows of the table in types.c are made of */

#define DF_SCHEMA_PARSE(name)                                                 \
    ngx_int_t df_schema_##name##_parse(const df_field_t *field,               \
        ngx_pool_t *pool, const ngx_str_t *literal, df_value_t *value,        \
        df_value_error_t *error)
#define DF_SCHEMA_COMPARE(name)                                               \
    ngx_int_t df_schema_##name##_compare(const ngx_str_t *a,                  \
        const ngx_str_t *b)
#define DF_SCHEMA_BOUND(name)                                                 \
    size_t df_schema_##name##_bound(const u_char *v, size_t len)
#define DF_SCHEMA_ENCODE(name)                                                \
    u_char *df_schema_##name##_encode(u_char *p, const u_char *v, size_t len)

DF_SCHEMA_PARSE(integer);
DF_SCHEMA_COMPARE(integer);
DF_SCHEMA_ENCODE(integer);

DF_SCHEMA_PARSE(numeric);
DF_SCHEMA_COMPARE(numeric);
DF_SCHEMA_BOUND(numeric);
DF_SCHEMA_ENCODE(numeric);

DF_SCHEMA_PARSE(float);
DF_SCHEMA_ENCODE(float);

DF_SCHEMA_PARSE(boolean);
DF_SCHEMA_ENCODE(boolean);

DF_SCHEMA_PARSE(string);
DF_SCHEMA_COMPARE(string);
DF_SCHEMA_BOUND(string);
DF_SCHEMA_ENCODE(string);

DF_SCHEMA_PARSE(jsonb);
DF_SCHEMA_ENCODE(jsonb);

DF_SCHEMA_PARSE(bytea);
DF_SCHEMA_BOUND(bytea);
DF_SCHEMA_ENCODE(bytea);

DF_SCHEMA_PARSE(uuid);
DF_SCHEMA_ENCODE(uuid);

DF_SCHEMA_PARSE(inet);
DF_SCHEMA_COMPARE(inet);
DF_SCHEMA_ENCODE(inet);

DF_SCHEMA_ENCODE(date);

DF_SCHEMA_PARSE(time);
DF_SCHEMA_COMPARE(time);
DF_SCHEMA_ENCODE(time);

DF_SCHEMA_ENCODE(timestamp);
DF_SCHEMA_ENCODE(timestamptz);

DF_SCHEMA_PARSE(interval);
DF_SCHEMA_COMPARE(interval);
DF_SCHEMA_ENCODE(interval);

/* of every type whose text is short */
DF_SCHEMA_BOUND(short);


/* types: pieces of their parsers and encoders */

/* PostgreSQL's MAXDIM */
#define DF_SCHEMA_ARRAY_DIMS  6

/* "00" to "99" */
extern const u_char df_schema_two_digits[200];

u_char *df_schema_integer_print(u_char *p, int64_t n);

/* fills the error; expected lasts as long as the process or the pool */
ngx_int_t df_schema_refuse(df_value_error_t *error, const char *code,
    const ngx_str_t *expected);

extern const ngx_str_t  df_schema_no_nul;

/* PostgreSQL's text of a tree */
ngx_int_t df_schema_jsonb_print(ngx_pool_t *pool, const cJSON *node,
    df_value_t *value, df_value_error_t *error);

/* a decimal literal, 0.ddd times ten to the power of point; none of its
   digits is copied */
typedef struct {
    const u_char  *digits;      /* from the first one that is not zero, with */
    const u_char  *last;        /* the point among them, to the last one */
    ngx_int_t      point;
    ngx_int_t      ndigits;     /* 0: the value is 0, point says nothing */
    ngx_int_t      scale;       /* digits behind the point, as written */
    ngx_int_t      infinite;    /* -1 -Infinity, 1 Infinity, 2 NaN */
    unsigned       negative:1;
} df_schema_decimal_t;

ngx_int_t df_schema_decimal_scan(const ngx_str_t *literal,
    df_schema_decimal_t *d);

ngx_int_t df_schema_numeric_check(const ngx_str_t *literal,
    const df_schema_decimal_t *d);

#define DF_SCHEMA_NUMERIC_LIMITS  "131072 digits before and 16383 behind the "\
                                  "point, 1000 with an exponent"

static ngx_inline uint16_t
df_schema_get16(const u_char *p)
{
    return (uint16_t) (p[0] << 8 | p[1]);
}


static ngx_inline uint32_t
df_schema_get32(const u_char *p)
{
    return (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}


static ngx_inline uint64_t
df_schema_get64(const u_char *p)
{
    return (uint64_t) df_schema_get32(p) << 32 | df_schema_get32(p + 4);
}


DF_HIDDEN_END


#endif /* _DF_SCHEMA_INTERNAL_H_INCLUDED_ */
