
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * types: the table of them.  What a type does is in type_*.c; everything else
 * finds it here by name or kind.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


#define DF_SCHEMA_NUMBER  (DF_TYPE_NUMBER|DF_TYPE_ORDERED|DF_TYPE_EQUAL)
#define DF_SCHEMA_PLAIN   (DF_TYPE_QUOTED|DF_TYPE_ORDERED|DF_TYPE_EQUAL)
#define DF_SCHEMA_TEXT    (DF_SCHEMA_PLAIN|DF_TYPE_TEXT|DF_TYPE_ESCAPED)
#define DF_SCHEMA_TIME    (DF_SCHEMA_PLAIN|DF_TYPE_TIME)


static u_char *df_schema_unknown_encode(u_char *p, const u_char *v,
    size_t len);


static const df_type_t  df_schema_unknown = {
    .name = ngx_string("unknown"),
    .flags = DF_TYPE_SHORT,
    .bound = df_schema_short_bound,
    .encode = df_schema_unknown_encode
};


/* in the order of df_kind_t; the object identifiers are PostgreSQL's own and
   never change */

static const df_type_t  df_schema_types[DF_KINDS] = {

    { ngx_string("smallint"), ngx_string("smallint"),
      ngx_string("a whole number from -32768 to 32767"),
      DF_SMALLINT, 21, 1005, DF_SCHEMA_NUMBER|DF_TYPE_EXACT|DF_TYPE_SHORT,
      df_schema_integer_parse, df_schema_integer_compare,
      df_schema_short_bound, df_schema_integer_encode },

    { ngx_string("integer"), ngx_string("integer"),
      ngx_string("a whole number from -2147483648 to 2147483647"),
      DF_INTEGER, 23, 1007, DF_SCHEMA_NUMBER|DF_TYPE_EXACT|DF_TYPE_SHORT,
      df_schema_integer_parse, df_schema_integer_compare,
      df_schema_short_bound, df_schema_integer_encode },

    { ngx_string("bigint"), ngx_string("bigint"),
      ngx_string("a whole number from -9223372036854775808 to "
                 "9223372036854775807"),
      DF_BIGINT, 20, 1016, DF_SCHEMA_NUMBER|DF_TYPE_EXACT|DF_TYPE_SHORT,
      df_schema_integer_parse, df_schema_integer_compare,
      df_schema_short_bound, df_schema_integer_encode },

    { ngx_string("numeric"), ngx_string("numeric"),
      ngx_string("a decimal number such as 12.50"),
      DF_NUMERIC, 1700, 1231, DF_SCHEMA_NUMBER,
      df_schema_numeric_parse, df_schema_numeric_compare,
      df_schema_numeric_bound, df_schema_numeric_encode },

    { ngx_string("real"), ngx_string("real"),
      ngx_string("a number within the range of real"),
      DF_REAL, 700, 1021, DF_SCHEMA_NUMBER|DF_TYPE_SHORT,
      df_schema_float_parse, df_schema_numeric_compare,
      df_schema_short_bound, df_schema_float_encode },

    { ngx_string("double"), ngx_string("double precision"),
      ngx_string("a number within the range of double"),
      DF_DOUBLE, 701, 1022, DF_SCHEMA_NUMBER|DF_TYPE_SHORT,
      df_schema_float_parse, df_schema_numeric_compare,
      df_schema_short_bound, df_schema_float_encode },

    { ngx_string("boolean"), ngx_string("boolean"),
      ngx_string("true or false"),
      DF_BOOLEAN, 16, 1000, DF_TYPE_ORDERED|DF_TYPE_EQUAL|DF_TYPE_SHORT,
      df_schema_boolean_parse, df_schema_string_compare,
      df_schema_short_bound, df_schema_boolean_encode },

    { ngx_string("text"), ngx_string("text"),
      ngx_string("a string"),
      DF_TEXT, 25, 1009, DF_SCHEMA_TEXT|DF_TYPE_EXACT,
      df_schema_string_parse, df_schema_string_compare,
      df_schema_string_bound, df_schema_string_encode },

    { ngx_string("varchar"), ngx_string("varchar"),
      ngx_string("a string"),
      DF_VARCHAR, 1043, 1015, DF_SCHEMA_TEXT|DF_TYPE_EXACT,
      df_schema_string_parse, df_schema_string_compare,
      df_schema_string_bound, df_schema_string_encode },

    { ngx_string("uuid"), ngx_string("uuid"),
      ngx_string("a UUID such as 0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f"),
      DF_UUID, 2950, 2951, DF_SCHEMA_PLAIN|DF_TYPE_EXACT|DF_TYPE_SHORT,
      df_schema_uuid_parse, df_schema_string_compare,
      df_schema_short_bound, df_schema_uuid_encode },

    { ngx_string("date"), ngx_string("date"),
      ngx_string("a date such as 2026-01-31"),
      DF_DATE, 1082, 1182, DF_SCHEMA_TIME|DF_TYPE_SHORT,
      df_schema_time_parse, df_schema_time_compare,
      df_schema_short_bound, df_schema_date_encode },

    { ngx_string("time"), ngx_string("time"),
      ngx_string("a time of day such as 13:30:00"),
      DF_TIME, 1083, 1183, DF_SCHEMA_TIME|DF_TYPE_SHORT,
      df_schema_time_parse, df_schema_time_compare,
      df_schema_short_bound, df_schema_time_encode },

    { ngx_string("timestamp"), ngx_string("timestamp"),
      ngx_string("a timestamp without an offset such as "
                 "2026-01-31T13:30:00"),
      DF_TIMESTAMP, 1114, 1115, DF_SCHEMA_TIME|DF_TYPE_SHORT,
      df_schema_time_parse, df_schema_time_compare,
      df_schema_short_bound, df_schema_timestamp_encode },

    { ngx_string("timestamptz"), ngx_string("timestamptz"),
      ngx_string("a timestamp with an offset such as "
                 "2026-01-31T13:30:00Z or 2026-01-31T13:30:00+01:00"),
      DF_TIMESTAMPTZ, 1184, 1185, DF_SCHEMA_TIME|DF_TYPE_SHORT,
      df_schema_time_parse, df_schema_time_compare,
      df_schema_short_bound, df_schema_timestamptz_encode },

    { ngx_string("interval"), ngx_string("interval"),
      ngx_string("a duration such as P1DT12H30M or 1 day 12:30:00"),
      DF_INTERVAL, 1186, 1187, DF_SCHEMA_PLAIN|DF_TYPE_SHORT,
      df_schema_interval_parse, df_schema_interval_compare,
      df_schema_short_bound, df_schema_interval_encode },

    { ngx_string("json"), ngx_string("jsonb"),
      ngx_string("JSON"),
      DF_JSON, 3802, 3807, DF_TYPE_EQUAL,
      df_schema_jsonb_parse, NULL,
      df_schema_string_bound, df_schema_jsonb_encode },

    { ngx_string("bytea"), ngx_string("bytea"),
      ngx_string("base64"),
      DF_BYTEA, 17, 1001, DF_SCHEMA_PLAIN,
      df_schema_bytea_parse, df_schema_string_compare,
      df_schema_bytea_bound, df_schema_bytea_encode },

    { ngx_string("inet"), ngx_string("inet"),
      ngx_string("an IP address such as 192.0.2.1 or 2001:db8::/32"),
      DF_INET, 869, 1041, DF_SCHEMA_PLAIN|DF_TYPE_SHORT,
      df_schema_inet_parse, df_schema_inet_compare,
      df_schema_short_bound, df_schema_inet_encode },
};


const df_type_t *
df_schema_type(const ngx_str_t *name)
{
    ngx_uint_t        i;
    const df_type_t  *type;

    for (i = 0; i < DF_KINDS; i++) {
        type = &df_schema_types[i];

        if (type->name.len == name->len
            && ngx_memcmp(type->name.data, name->data, name->len) == 0)
        {
            return type;
        }
    }

    return NULL;
}


const df_type_t *
df_schema_type_of(df_kind_t kind)
{
    return &df_schema_types[kind];
}


/* real and double are only read as text */

const df_type_t *
df_schema_type_by_oid(Oid oid, ngx_uint_t *array)
{
    ngx_uint_t        i;
    const df_type_t  *type;

    for (i = 0; i < DF_KINDS; i++) {
        type = &df_schema_types[i];

        if ((type->oid == oid || type->array_oid == oid)
            && i != DF_REAL && i != DF_DOUBLE)
        {
            *array = (type->array_oid == oid);
            return type;
        }
    }

    *array = 0;

    return &df_schema_unknown;
}


static u_char *
df_schema_unknown_encode(u_char *p, const u_char *v, size_t len)
{
    return p;
}


ngx_int_t
df_schema_refuse(df_value_error_t *error, const char *code,
    const ngx_str_t *expected)
{
    error->code = code;
    error->expected = *expected;

    return NGX_DECLINED;
}


size_t
df_schema_short_bound(const u_char *v, size_t len)
{
    return DF_SCHEMA_SHORT_LEN;
}
