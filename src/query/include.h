
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Records within records.  What a relation leads to is read by the statement
 * that reads the record itself, joined; what many records refer to one by is
 * read by a statement for each such relation, whose first column is the key of
 * the record that they belong to.  These statements come first, the innermost
 * first of all; of their rows one text is made for each key, and those who
 * have the key take it.
 *
 *     include.c           include= and fields= to a tree
 *     gate.c              which fields and rows of it
 *     compile_include.c   to statements
 *     encode_include.c    rows to JSON, lists by key
 *     run_include.c       results, and what to do when they do not fit
 */


#ifndef _DF_QUERY_INCLUDE_H_INCLUDED_
#define _DF_QUERY_INCLUDE_H_INCLUDED_


#include "query/run.h"


DF_HIDDEN_BEGIN


/* columns of a statement */

typedef struct {
    const df_field_t    **fields;
    const df_join_t     **joins;        /* NULL: of the statement's model */
    ngx_uint_t            n;
    ngx_uint_t            from;         /* those before it are of no use for
                                           what comes behind */
} df_columns_t;


/* what columns of a row make: a record and those in it */

typedef struct df_object_s  df_object_t;
typedef struct df_list_s    df_list_t;

struct df_object_s {
    const ngx_str_t      *member;       /* "customer": */
    ngx_uint_t            first;        /* column */
    ngx_uint_t            n;            /* fields, from there on */
    ngx_uint_t            key;          /* column of its key; of one that a
                                           relation leads to, which is none
                                           when it is null; else for lists */
    df_object_t          *objects;
    ngx_uint_t            nobjects;
    df_list_t           **lists;
    ngx_uint_t            nlists;
};


/* the records of a list that belong to one key */

typedef struct {
    ngx_str_t             key;          /* in binary form */
    size_t                offset;       /* of the text in list->text */
    size_t                len;
    ngx_uint_t            n;            /* records, and */
    ngx_uint_t            total;        /* with those in them */
    ngx_uint_t            next;         /* of the same hash, from 1 */
    unsigned              truncated:1;  /* there are more */
} df_fragment_t;

struct df_list_s {
    const df_include_t   *include;
    df_list_t            *above;        /* the list it is in, or NULL */
    df_columns_t          columns;      /* the first is the key it hangs on */
    df_object_t           object;
    ngx_uint_t            limit;        /* records of a key */

    df_writer_t           text;
    df_fragment_t        *fragments;
    ngx_uint_t            nfragments;
    ngx_uint_t           *buckets;      /* 2^n, of fragments from 1 on */
    ngx_uint_t            mask;
};

struct df_includes_s {
    df_object_t           object;       /* a record of the request's */
    df_list_t           **lists;        /* in the order of their statements,
                                           the first ones of the job */
    ngx_uint_t            nlists;
    ngx_uint_t            max;          /* records in lists, of an answer */
    ngx_uint_t            total;        /* of them, in what was encoded since
                                           it was 0 */
    unsigned              missed:1;     /* a statement did not see a record
                                           that another has seen */
};

/* each parent may be without records or have one more than are answered */
#define df_include_max_rows(includes)  (2 * (includes)->max + 1)


/* the columns of what is included, behind those of the record itself, and the
   statements of the lists; columns has room for df_compile_include_columns()
   more.  NGX_OK, NGX_DECLINED with the problem filled, NGX_ERROR */
ngx_uint_t df_compile_include_columns(const df_admitted_t *admitted);
ngx_int_t df_compile_include(const df_admitted_t *admitted, ngx_pool_t *pool,
    df_columns_t *columns, df_compiled_t *compiled, df_problem_t *problem);

/* an upper bound of a record's length without braces, and its members; lists
   without the key are empty and set includes->missed; what is in lists is
   added to the total */
size_t df_include_bound(df_includes_t *includes, const df_field_t **fields,
    const df_object_t *o, const PGresult *res, ngx_uint_t row);
u_char *df_include_encode(u_char *p, df_includes_t *includes,
    const df_field_t **fields, const df_object_t *o, const PGresult *res,
    ngx_uint_t row);

/* encode.c: so many fields from a column on, with commas between */
size_t df_query_encode_fields_bound(const df_field_t **fields,
    ngx_uint_t first, ngx_uint_t n, const PGresult *res, ngx_uint_t row);
u_char *df_query_encode_fields(u_char *p, const df_field_t **fields,
    ngx_uint_t first, ngx_uint_t n, const PGresult *res, ngx_uint_t row);

/* the texts of a list by key, to be filled anew with n of them */
ngx_int_t df_include_fragments_init(df_list_t *list, ngx_pool_t *pool,
    ngx_uint_t n);
df_fragment_t *df_include_fragment_add(df_list_t *list, ngx_pool_t *pool,
    const ngx_str_t *key);
const df_fragment_t *df_include_fragment_find(const df_list_t *list,
    const ngx_str_t *key);

/* NGX_DECLINED with the problem filled where the format has no place for what
   is included */
ngx_int_t df_query_include_check(df_run_t *run);
/* rows of the i-th list */
ngx_int_t df_query_include_result(df_query_state_t *state, ngx_uint_t i,
    const PGresult *res);
/* NGX_DECLINED with the problem filled: too many */
ngx_int_t df_query_include_total(df_query_state_t *state);
/* 1 when the statements did not see the same and are sent again, or the run
   has ended */
ngx_uint_t df_query_include_again(df_query_state_t *state,
    const df_pg_error_t *error);


DF_HIDDEN_END


#endif /* _DF_QUERY_INCLUDE_H_INCLUDED_ */
