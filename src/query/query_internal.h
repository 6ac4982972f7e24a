
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files of query/ share among themselves.
 */


#ifndef _DF_QUERY_INTERNAL_H_INCLUDED_
#define _DF_QUERY_INTERNAL_H_INCLUDED_


#include "query/query.h"


DF_HIDDEN_BEGIN


/* operators: one table, operator.c */

typedef enum {
    DF_OPERAND_ONE = 0,         /* a value of the field's type */
    DF_OPERAND_LIST,            /* several */
    DF_OPERAND_TWO,             /* between */
    DF_OPERAND_FLAG,            /* isnull: true or false */
    DF_OPERAND_PATTERN,         /* text, used as it is */
    DF_OPERAND_ELEMENT          /* an element of an array, a key of a json */
} df_operand_t;

/* writes the SQL of a comparison; operand i is parameter first + i */
typedef struct df_compile_s  df_compile_t;

struct df_operator_s {
    ngx_str_t      name;        /* "gte": the suffix, and $gte in JSON */
    df_operand_t   operand;
    ngx_uint_t     types;       /* DF_TYPE_… flags of a scalar field that
                                   it can be used with; 0: none */
    unsigned       on_json:1;
    unsigned       on_array:1;
    unsigned       null:1;      /* takes null (eq, ne) */
    ngx_int_t    (*compile)(df_compile_t *c, const df_predicate_t *p);
};

const df_operator_t *df_query_operator(const ngx_str_t *name);
ngx_str_t *df_query_operator_nearest(const ngx_str_t *name);


/* update operators: one table, values.c */

struct df_update_operator_s {
    ngx_str_t      name;        /* "$inc" */
    ngx_uint_t     types;
    unsigned       on_array:1;
    unsigned       on_json:1;
    const char    *before;      /* SQL around field (%f) and value (%v) */
};


/* gate: a request that may be compiled */

struct df_admitted_s {
    const df_request_t     *request;
    const df_principal_t   *principal;
    const df_rules_t       *rules;

    df_predicate_t         *filter;     /* the client's and the gate's own */
    ngx_array_t             fields;     /* const df_field_t *, what is
                                           answered, in the model's order or
                                           the client's */
    ngx_array_t             sort;       /* df_sort_t, the key appended */
    ngx_uint_t              limit;      /* 0: no limit */
    ngx_uint_t              offset;
    df_value_t             *after;      /* of the cursor, one for each of
                                           sort; NULL: from the beginning */
};


/* compile: an admitted request to statements */

#define DF_MAX_PARAMETERS  65535        /* Bind counts them in 16 bits */

typedef struct {
    df_pg_statement_t       statements[4];
    ngx_uint_t              nstatements;
    ngx_uint_t              rows;       /* index of the one with the rows */
    ngx_int_t               count;      /* of the one that counts, or -1 */
    ngx_int_t               check;      /* of the one that tells 404 from 412
                                           and from a changed stored value, or
                                           -1; its columns: one boolean for
                                           the version, then one for each of
                                           request->expected */
    df_pg_lane_t            lane;

    /* the columns of "rows": the fields, then those only the sort needs, then
       the version (xid, binary), when has_version is set */
    const df_field_t      **columns;
    ngx_uint_t              ncolumns;   /* fields and sort columns */
    ngx_uint_t              nfields;    /* of them, answered */
    ngx_uint_t             *sort_columns;   /* column of each sort field */
    ngx_int_t               version;    /* column, or -1 */
    ngx_uint_t              limit;      /* rows wanted; one more is asked for
                                           to know whether there is a next
                                           page; 0: no limit */
} df_compiled_t;

/* NGX_OK, NGX_DECLINED with the problem filled, NGX_ERROR */
ngx_int_t df_query_compile(const df_admitted_t *admitted, ngx_pool_t *pool,
    ngx_uint_t streamed, df_compiled_t *compiled, df_problem_t *problem);


/* cursor */

/* text of a cursor behind a row whose sort values are given */
ngx_int_t df_query_cursor_make(const df_admitted_t *admitted,
    ngx_pool_t *pool, const df_value_t *values, ngx_str_t *cursor);
/* values of request->cursor, one for each of admitted->sort */
ngx_int_t df_query_cursor_read(df_admitted_t *admitted, df_problem_t *problem);


/* encode: rows of a compiled statement to JSON, NDJSON or CSV */

ngx_int_t df_query_encode_row(df_writer_t *w, const df_compiled_t *compiled,
    df_format_t format, const PGresult *res, ngx_uint_t row);
ngx_int_t df_query_encode_header(df_writer_t *w,
    const df_compiled_t *compiled);     /* CSV */


/* sqlstate: PostgreSQL's refusals to problems, one table */

void df_query_problem(const df_request_t *r, const df_pg_error_t *error,
    df_problem_t *problem);


DF_HIDDEN_END


#endif /* _DF_QUERY_INTERNAL_H_INCLUDED_ */
