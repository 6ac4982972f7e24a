
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Values as literals of SQL, for statements that take no parameters: those of
 * the migration.  What is written so comes from nginx.conf.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


/* 'it''s'::text; with a backslash in it E'…', which means the same whatever
   standard_conforming_strings is */

ngx_int_t
df_compile_constant(df_compile_t *c, Oid oid, const df_value_t *value)
{
    u_char            ch;
    size_t            i;
    df_kind_t         kind;
    ngx_uint_t        escaped;
    const df_type_t  *type;

    for (kind = 0; kind < DF_KINDS; kind++) {
        type = df_schema_type_of(kind);

        if (type->oid == oid || type->array_oid == oid) {
            break;
        }
    }

    if (kind == DF_KINDS) {
        return NGX_ERROR;
    }

    if (value->null) {
        return df_writer_printf(&c->sql, "NULL::%V%s", &type->sql,
                                type->oid == oid ? "" : "[]");
    }

    escaped = (ngx_strlchr(value->text.data, value->text.data
                                             + value->text.len, '\\')
               != NULL);

    if (df_writer_reserve(&c->sql, 2 * value->text.len + sizeof("E''::[]")
                                   + type->sql.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (escaped) {
        *c->sql.pos++ = 'E';
    }

    *c->sql.pos++ = '\'';

    for (i = 0; i < value->text.len; i++) {
        ch = value->text.data[i];

        if (ch == '\'' || ch == '\\') {
            *c->sql.pos++ = ch;
        }

        *c->sql.pos++ = ch;
    }

    *c->sql.pos++ = '\'';

    return df_writer_printf(&c->sql, "::%V%s", &type->sql,
                            type->oid == oid ? "" : "[]");
}
