
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Bulk: many records, or all that a filter finds, written at once.  What a
 * channel was told becomes a df_bulk_t beside the request; records of equal
 * shapes (the fields given, the update operators) are one statement, which
 * takes them as arrays: never a statement for each row.
 *
 *     bulk.c          the body          compile_bulk*.c    the statements
 *     bulk_read.c     its records       bulk_statement.c   their pieces
 *     bulk_on.c       on, update        run_bulk.c         all at once
 *     bulk_shape.c    records, shapes   run_bulk_each.c    each by itself
 *     bulk_truth.c    all rows or not   bulk_problem.c     whose fault it is
 *
 * A channel that has its records from elsewhere (an import) makes a df_bulk_t
 * with df_bulk_create(), adds records and compiles them batch by batch with
 * df_bulk_compile(); the statements of one batch belong into one transaction.
 */


#ifndef _DF_QUERY_BULK_H_INCLUDED_
#define _DF_QUERY_BULK_H_INCLUDED_


#include "query/query_internal.h"


DF_HIDDEN_BEGIN


#define DF_BULK_MAX_RECORDS  100000
/* statements of an upsert: it has one for each shape */
#define DF_BULK_MAX_SHAPES   1000
/* values of statements whose records have any fields: records by columns */
#define DF_BULK_CELLS        2000000


/* shapes and records */

typedef struct df_bulk_shape_s  df_bulk_shape_t;
typedef struct df_bulk_record_s df_bulk_record_t;

typedef struct {
    const df_field_t             *field;
    const df_update_operator_t   *op;       /* NULL: the value itself */
} df_bulk_column_t;

struct df_bulk_shape_s {
    ngx_str_node_t       node;
    df_bulk_column_t    *columns;       /* in the order of the model */
    ngx_uint_t           ncolumns;

    ngx_uint_t           count;         /* while records are compiled */
    df_bulk_record_t   **records;
};

struct df_bulk_record_s {
    ngx_uint_t           index;         /* its place in the request */
    df_bulk_shape_t     *shape;
    df_value_t          *values;        /* one for each of its columns */
    df_value_t           key;           /* update, delete: the row meant */
};

struct df_bulk_s {
    ngx_pool_t          *pool;
    const df_model_t    *model;

    ngx_array_t          records;       /* df_bulk_record_t * */
    ngx_rbtree_t         shapes;        /* df_bulk_shape_t */
    ngx_uint_t           nshapes;
    ngx_rbtree_t         rows;          /* that records were asked for */
    ngx_rbtree_node_t    sentinel;
    df_bulk_shape_t     *last;
    void                *pieces;        /* room for what is being added */
    const df_assignment_t **slots;

    /* upsert */
    const df_field_t   **on;            /* the fields that say which row */
    ngx_uint_t           non;
    const df_index_t    *index;         /* the partial index that has them, or
                                           NULL */
    u_char              *update;        /* by the index of fields: set in a
                                           row that is there; NULL: all that
                                           are given */

    /* what the request says beside its records */
    ngx_uint_t           nrecords;      /* with those that are refused */
    const ngx_str_t     *member;        /* "records" or "ids" */
    ngx_array_t          refused;       /* each: df_bulk_refused_t */
    ngx_uint_t           max_affected;
    unsigned             has_max:1;
    unsigned             by_filter:1;   /* no records: all that it finds */
    unsigned             all:1;
    unsigned             returns:1;     /* the rows are wanted back */
    unsigned             each:1;        /* not atomic */
    unsigned             generated:1;   /* records have generated fields, too */
};

typedef struct {
    ngx_uint_t           index;
    df_problem_t         problem;
} df_bulk_refused_t;

/* all of these return NGX_OK, or NGX_ERROR without memory, and the first NULL
   without memory; the pool keeps all */

df_bulk_t *df_bulk_create(ngx_pool_t *pool, const df_model_t *model);

/* the values of assignments are taken as they are, their texts are not copied;
   key: of an update or delete, else NULL */
ngx_int_t df_bulk_add(df_bulk_t *bulk, ngx_uint_t index,
    const df_assignment_t *values, ngx_uint_t n, const df_value_t *key,
    df_bulk_record_t **record);

/*
 * The record among those asked for before that means the same row, by the key
 * or, of an upsert, by the fields of "on", or NULL.  Records are compared by
 * their values as they are written to PostgreSQL: 1.0 is not 1.00, and then
 * PostgreSQL refuses the second.
 */
ngx_int_t df_bulk_equal(df_bulk_t *bulk, df_bulk_record_t *record,
    df_bulk_record_t **former);

/* the record's value of a field, set with an operator; hint: the column where
   it most likely is; NULL when it has none */
const df_value_t *df_bulk_value(const df_bulk_record_t *record,
    const df_field_t *field, const df_update_operator_t *op, ngx_uint_t hint);


/*
 * Upsert: the fields that say which row is meant (names: ngx_str_t; none: the
 * key), which must be the key, a unique field or those of a unique index; and
 * those that are set in a row which is there (NULL: all that are given).
 * place: where each list stands.  NGX_OK, NGX_DECLINED with the problem filled
 * or NGX_ERROR.
 */
ngx_int_t df_bulk_on(df_bulk_t *bulk, const ngx_array_t *names,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_bulk_update(df_bulk_t *bulk, const ngx_array_t *names,
    const df_place_t *place, df_problem_t *problem);


/* read: the elements of "records" or "ids", with all that is wrong with them;
   NGX_OK, NGX_DECLINED with the problem filled or NGX_ERROR */
ngx_int_t df_bulk_read(df_request_t *r, const cJSON *list,
    const df_place_t *place, df_problem_t *problem);

/* 1 when a filter, as far as can be told, lets every row pass */
ngx_uint_t df_bulk_is_all(const df_predicate_t *filter);

/* fills the problem: n is more than max_affected; NGX_DECLINED */
ngx_int_t df_bulk_too_many(const df_bulk_t *bulk, ngx_uint_t n,
    df_problem_t *problem);


/* compile */

typedef enum {
    DF_BULK_READS = 0,          /* rows that another part has written, or that
                                   nothing is set in */
    DF_BULK_INSERTS,
    DF_BULK_UPSERTS,
    DF_BULK_UPDATES,
    DF_BULK_DELETES
} df_bulk_effect_t;

/*
 * What the results of a statement are.  Columns: first those answered, then
 * the others as they are named here.  Without rows the command's tag tells how
 * many were written.
 */

struct df_bulk_part_s {
    df_bulk_effect_t     effect;
    df_bulk_record_t   **records;       /* NULL: of a filter */
    ngx_uint_t           nrecords;
    ngx_int_t            ordinal;       /* column (bigint, from 1) that says
                                           which of records, or -1: rows come
                                           in their order */
    ngx_int_t            inserted;      /* column (boolean), or -1 */
    unsigned             rows:1;        /* there are rows */
    unsigned             exact:1;       /* a record without a row is an error,
                                           and nothing may be done */
};

typedef struct {
    ngx_array_t          statements;    /* df_pg_statement_t */
    ngx_array_t          parts;         /* df_bulk_part_t, one for each */
    df_compiled_t        answer;        /* its columns only */
    ngx_uint_t           limit;         /* rows of a filter's part, one more
                                           shows that there are more; 0: any */
    unsigned             checked:1;     /* results decide whether anything may
                                           be done: BEGIN before, and then
                                           COMMIT or ROLLBACK */
} df_bulk_compiled_t;

/*
 * The statements that write some of the records of request->bulk, or what its
 * filter finds (n is 0), by request->op, a DF_BULK_…; they must be carried out
 * in one transaction.  NGX_OK, NGX_DECLINED with the problem filled or
 * NGX_ERROR.
 */
ngx_int_t df_bulk_compile(const df_admitted_t *admitted, ngx_pool_t *pool,
    df_bulk_record_t *const *records, ngx_uint_t n,
    df_bulk_compiled_t *compiled, df_problem_t *problem);


/* adds to a problem, whose code is set, where PostgreSQL's refusal of a part's
   statement stands in the request, as far as that can be told */
void df_bulk_blame(const df_request_t *r, const df_pg_error_t *error,
    const df_bulk_part_t *part, const df_field_t *field, const char *code,
    const ngx_str_t *detail, df_problem_t *problem);


/* compile: what its files have for each other */

typedef struct {
    const df_admitted_t  *admitted;
    const df_request_t   *request;
    const df_bulk_t      *bulk;
    df_bulk_compiled_t   *out;
    df_problem_t         *problem;
    ngx_pool_t           *pool;
    df_compile_t          c;            /* of the statement being written */
    unsigned              unprepared:1; /* one-offs */
} df_bulk_compile_t;

/* a column of the arrays that a statement takes */

typedef enum {
    DF_BULK_KEY = 0,
    DF_BULK_VALUE,
    DF_BULK_GIVEN               /* whether the record has it */
} df_bulk_source_kind_t;

typedef struct {
    df_bulk_source_kind_t         kind;
    const df_field_t             *field;
    const df_update_operator_t   *op;
} df_bulk_source_t;

/* bulk_statement.c */

/* one begins, and is added with what its result is */
ngx_int_t df_bulk_begin(df_bulk_compile_t *b);
ngx_int_t df_bulk_end(df_bulk_compile_t *b, const df_bulk_part_t *part);

/* unnest($1,$2) WITH ORDINALITY AS s("1","2","0"): the ordinal is s."0" */
ngx_int_t df_bulk_unnest(df_bulk_compile_t *b, const ngx_array_t *sources,
    df_bulk_record_t *const *records, ngx_uint_t n);
/* s."n", the n-th source from 1, as a value of its field */
ngx_str_t df_bulk_source(df_bulk_compile_t *b, const ngx_array_t *sources,
    ngx_uint_t n);
df_bulk_source_t *df_bulk_source_add(ngx_array_t *sources,
    df_bulk_source_kind_t kind, const df_bulk_column_t *column);

/* the same, where the rows' key is the first source, and the gate's filter;
   sources may be NULL: the key is the only one */
ngx_int_t df_bulk_keyed(df_bulk_compile_t *b, const ngx_array_t *sources,
    df_bulk_record_t *const *records, ngx_uint_t n);

/* a word (" WHERE ") and the gate's filter; nothing when it lets all pass */
ngx_int_t df_bulk_where(df_bulk_compile_t *b, const char *word);

/* " RETURNING …", or nothing, as the part wants it; fills its columns */
ngx_int_t df_bulk_returning(df_bulk_compile_t *b, df_bulk_part_t *part,
    const char *inserted, ngx_uint_t ordinal);

/* compile_bulk.c */

void df_bulk_part(df_bulk_part_t *part, df_bulk_effect_t effect,
    df_bulk_record_t **records, ngx_uint_t n);
/* a copy in the order of keys, or NULL without memory */
df_bulk_record_t **df_bulk_sort(df_bulk_compile_t *b,
    df_bulk_record_t *const *records, ngx_uint_t n);

/* whether n records of any shapes can be a statement of so many columns */
ngx_int_t df_bulk_compile_room(df_bulk_compile_t *b, ngx_uint_t n,
    ngx_uint_t columns);

/* compile_bulk_insert.c, compile_bulk_update.c: the records of a shape, or any
   of an insert or update; those that set nothing */
ngx_int_t df_bulk_compile_insert(df_bulk_compile_t *b,
    df_bulk_shape_t *shape);
ngx_int_t df_bulk_compile_insert_any(df_bulk_compile_t *b,
    df_bulk_record_t **records, ngx_uint_t n);
ngx_int_t df_bulk_compile_update(df_bulk_compile_t *b,
    df_bulk_shape_t *shape);
ngx_int_t df_bulk_compile_update_any(df_bulk_compile_t *b,
    df_bulk_record_t **records, ngx_uint_t n);
ngx_int_t df_bulk_compile_look(df_bulk_compile_t *b, df_bulk_shape_t *shape);


DF_HIDDEN_END


#endif /* _DF_QUERY_BULK_H_INCLUDED_ */
