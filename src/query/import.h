
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What an import is made of:
 *
 *     import.c        from a body to an answer
 *     csv.c ndjson.c  the body taken apart
 *     import_row.c    its rows
 *     import_set.c    rows that wait, by the fields that they have
 *     import_send.c   the transaction
 *     import_copy.c   rows by COPY
 *     import_batch.c  rows by statements
 */


#ifndef _DF_QUERY_IMPORT_H_INCLUDED_
#define _DF_QUERY_IMPORT_H_INCLUDED_


#include "query/run_bulk.h"


DF_HIDDEN_BEGIN


/* a line of NDJSON, a row of CSV: bytes */
#define DF_IMPORT_ROW  (1024 * 1024)


/*
 * The readers take a body in pieces that end anywhere and give one row after
 * the other.  pos moves through a piece; "end" tells that none follows.
 *
 * NGX_OK        a row
 * NGX_DECLINED  a row that cannot be read: reason tells why
 * NGX_AGAIN     the piece is used up
 * NGX_ERROR     no memory
 *
 * line is the number of the line that the row begins in.
 */


/* lines, without their ends; those with blanks only are left out */

typedef struct {
    ngx_pool_t    *pool;
    u_char        *buf;         /* a line's beginning, in former pieces */
    size_t         len;
    size_t         size;
    ngx_str_t      row;         /* until the next call */
    ngx_uint_t     line;
    ngx_uint_t     next;        /* line */
    const char    *reason;
    unsigned       skip:1;      /* the line is too long */
} df_ndjson_t;

void df_ndjson_init(df_ndjson_t *nd, ngx_pool_t *pool);
ngx_int_t df_ndjson_next(df_ndjson_t *nd, u_char **pos, u_char *last,
    ngx_uint_t end);


/*
 * RFC 4180, with LF or CRLF.  The header is a row like others, and then its
 * owner sets "columns".  Of several columns an empty line is no row; of one it
 * is a null.
 */

typedef struct {
    size_t         start;       /* in buf; NUL-terminated */
    size_t         len;
    ngx_uint_t     quoted;      /* "" is the empty text, nothing is null */
} df_csv_value_t;

typedef enum {
    DF_CSV_MARK = 0,            /* there may be a byte order mark */
    DF_CSV_ROW,                 /* a row begins */
    DF_CSV_VALUE,               /* a value begins */
    DF_CSV_PLAIN,
    DF_CSV_QUOTED,
    DF_CSV_QUOTE,               /* the end of a quoted one, or two quotes */
    DF_CSV_CR,                  /* LF has to follow */
    DF_CSV_SKIP                 /* to the end of a line that is wrong */
} df_csv_state_t;

#define DF_CSV_COLUMNS  1600            /* as many as a table can have */

typedef struct {
    ngx_pool_t      *pool;
    u_char          *buf;       /* the values of a row, until the next call */
    size_t           len;
    size_t           size;
    df_csv_value_t   values[DF_CSV_COLUMNS];
    ngx_uint_t       n;         /* values, of which more may be left out */
    size_t           value;     /* where the last one starts */
    ngx_uint_t       columns;   /* of the header; 0: not known yet */
    df_csv_state_t   state;
    ngx_uint_t       marks;     /* bytes of the mark */
    size_t           bytes;     /* of the row, values or not */
    ngx_uint_t       line;
    ngx_uint_t       at;        /* line */
    const char      *reason;    /* NULL: the row is good so far */
} df_csv_t;

void df_csv_init(df_csv_t *csv, ngx_pool_t *pool);
ngx_int_t df_csv_next(df_csv_t *csv, u_char **pos, u_char *last,
    ngx_uint_t end);


/*
 * Rows that have the same fields, in COPY's text form.  The memory is not the
 * pool's: it grows, and it is given back when it was too much.
 */

typedef struct {
    ngx_uint_t            row;      /* of the set, from 1, and those behind it
                                       follow line by line */
    ngx_uint_t            line;
} df_import_line_t;

/* so many times rows may not, in a set that is COPYed, and in all */
#define DF_IMPORT_LINES      4096
#define DF_IMPORT_ALL_LINES  65536

typedef struct {
    ngx_queue_t           queue;
    uint32_t              hash;
    u_char               *given;    /* bits, by the index of fields */
    const df_field_t    **fields;   /* in the order of the model */
    ngx_uint_t            n;

    u_char               *start;
    u_char               *sent;     /* what stands before it was put */
    u_char               *pos;
    u_char               *end;
    ngx_uint_t            rows;     /* from the first of its COPY on */
    ngx_uint_t            put;      /* of them */

    df_import_line_t     *lines;
    ngx_uint_t            nlines;
    ngx_uint_t            max_lines;

    uint32_t             *references;   /* hashes, of each row those of all
                                           relations */
    ngx_uint_t            max_references;   /* rows that there is room for */
} df_import_set_t;

/* so many sets hold rows at a time; when they all do, one has to be sent
   before another row is added */
#define DF_IMPORT_SETS  256

typedef struct {
    ngx_pool_t           *pool;
    ngx_log_t            *log;
    const df_model_t     *model;
    size_t                nbits;    /* bytes of "given" */
    ngx_uint_t            nrelations;
    df_import_set_t      *last;     /* row was added to */
    ngx_queue_t           all;      /* those used last first */
    ngx_uint_t            n;
    ngx_uint_t            used;     /* of them, those that have rows */
    size_t                bytes;    /* that were not put, of all */
    ngx_uint_t            nlines;   /* of all */
} df_import_sets_t;

ngx_int_t df_import_sets_init(df_import_sets_t *sets, ngx_pool_t *pool,
    const df_model_t *model);

/* values: by the index of fields; those not given are not looked at */
ngx_int_t df_import_sets_add(df_import_sets_t *sets, const u_char *given,
    const df_value_t *values, ngx_uint_t line);

/* the one with the most to send; NULL when there is nothing */
df_import_set_t *df_import_sets_largest(df_import_sets_t *sets);
/* bytes of whole rows were put; what was put is done, and rows are counted
   anew */
void df_import_sets_put(df_import_sets_t *sets, df_import_set_t *set,
    size_t len);
void df_import_sets_done(df_import_sets_t *sets, df_import_set_t *set);
/* none of its rows is wanted any more */
void df_import_sets_clear(df_import_sets_t *sets, df_import_set_t *set);
/* the line of a row */
ngx_uint_t df_import_sets_line(const df_import_set_t *set, ngx_uint_t row);
/* the line of the first row that refers by the field to this key; 0: none */
ngx_uint_t df_import_sets_refers(const df_import_sets_t *sets,
    const df_import_set_t *set, const df_field_t *field,
    const ngx_str_t *key);


/* rows for the statements of a bulk, and what they are for the time being */

typedef struct {
    ngx_uint_t            from;
    ngx_uint_t            to;       /* behind the last */
} df_import_range_t;

/* halves of halves, two of each size at most */
#define DF_IMPORT_RANGES  64

typedef struct {
    ngx_queue_t           queue;
    ngx_pool_t           *pool;     /* has all of it */
    df_request_t          request;
    df_admitted_t         admitted;
    ngx_array_t           lines;    /* ngx_uint_t, of the records */
    size_t                bytes;
    df_bulk_state_t       state;
    df_import_range_t     range;
    df_import_range_t     stack[DF_IMPORT_RANGES];
    ngx_uint_t            nstack;
    unsigned              failed:1; /* what the range before has done is to be
                                       undone */
} df_import_batch_t;


/* an import */

typedef enum {
    DF_IMPORT_GATHER = 0,       /* nothing was asked of the database yet */
    DF_IMPORT_BEGIN,            /* a connection, and BEGIN */
    DF_IMPORT_READY,            /* for whatever comes next */
    DF_IMPORT_OPEN,             /* a COPY begins */
    DF_IMPORT_PUT,              /* it takes rows */
    DF_IMPORT_CLOSE,            /* it ends */
    DF_IMPORT_DEFAULTS,         /* rows without a field */
    DF_IMPORT_BATCH,
    DF_IMPORT_COMMIT,
    DF_IMPORT_OVER              /* nothing is asked of it any more */
} df_import_state_t;

/* of pg_type.dat */
#define DF_IMPORT_TEXT_OID    25
#define DF_IMPORT_BIGINT_OID  20

typedef struct {
    df_run_t             *run;
    const df_admitted_t  *admitted;
    const df_request_t   *request;
    df_bulk_t            *bulk;     /* what an upsert is by; or NULL */
    ngx_str_t             table;    /* for SQL, NUL-terminated */

    df_ndjson_t          *ndjson;   /* one of them is the reader */
    df_csv_t             *csv;
    unsigned              complete:1;   /* the body has ended */

    /* rows, import_row.c */
    ngx_pool_t           *scratch;  /* of one row */
    const df_field_t    **columns;  /* of CSV; NULL: it is left out */
    u_char               *seen;     /* by the index of fields */
    u_char               *given;    /* bits */
    df_value_t           *values;
    ngx_array_t           identities;   /* df_assignment_t: who asks, in each
                                           row that does not say it */
    ngx_uint_t            next;     /* index of the field that most likely
                                       comes next */
    ngx_uint_t            rows;
    ngx_uint_t            bad;      /* of them */
    size_t                told;     /* bytes of what is wrong with them */
    int64_t               highest;  /* key that was kept of an identity */
    df_import_sets_t      sets;

    /* batches, import_batch.c */
    df_import_batch_t    *batch;    /* being filled */
    df_import_batch_t    *sending;
    ngx_queue_t           closed;
    ngx_uint_t            nclosed;
    df_assignment_t      *assigned; /* room for a row */
    const df_field_t    **fields;

    /* the database, import_send.c */
    df_import_state_t     state;
    df_pg_job_t          *job;
    df_pg_statement_t     statements[3];
    const char           *parameters[3];
    df_import_set_t      *set;      /* of the COPY */
    df_bulk_counts_t      counts;
    unsigned              copies:1;     /* a COPY can write the table */
    unsigned              blocked:1;    /* no more may be put now */
    unsigned              waiting:1;    /* more() is owed */
} df_import_t;

/* all of these return NGX_OK, NGX_DECLINED with the problem filled, or
   NGX_ERROR, if not otherwise said */

/* import_row.c */
ngx_int_t df_import_rows_init(df_import_t *import);
/* the row that the reader has.  NGX_DECLINED: it was wrong, and is told;
   NGX_ABORT: no row after it can be right */
ngx_int_t df_import_row(df_import_t *import);
/* a row that could not even be read; NGX_DECLINED, or NGX_ABORT as above */
ngx_int_t df_import_row_refuse(df_import_t *import, ngx_uint_t line,
    const char *code, const char *reason);

/* import_send.c: what can be sent now is sent */
ngx_int_t df_import_send(df_import_t *import);
/* the same, and then more() may be called, or done(): nothing may be touched
   after it */
void df_import_go_on(df_import_t *import);
/* nothing of it is to be done */
void df_import_drop(df_import_t *import);
/* 1 when there is no room for rows before some were sent */
ngx_uint_t df_import_is_full(const df_import_t *import);
/* 1 when rows of other sets than that of the COPY have to be sent first */
ngx_uint_t df_import_is_pressed(const df_import_t *import);
df_pg_statement_t *df_import_statement(df_import_t *import, ngx_uint_t i,
    const char *text);
ngx_int_t df_import_continue(df_import_t *import,
    const df_pg_statement_t *statements, ngx_uint_t n,
    df_import_state_t state);
/* fills the problem; line 0: not known */
void df_import_refused(df_import_t *import, ngx_uint_t line,
    const df_pg_error_t *error);
ngx_int_t df_import_lost(df_import_t *import);

/* import_copy.c */
ngx_int_t df_import_copy(df_import_t *import, df_import_set_t *set);
ngx_int_t df_import_put(df_import_t *import);
/* it has all the rows that it may have */
ngx_uint_t df_import_copy_is_over(const df_import_t *import);
ngx_uint_t df_import_copy_line(const df_import_t *import,
    const df_pg_error_t *error);

/* import_batch.c */
ngx_int_t df_import_batch_init(df_import_t *import);
ngx_int_t df_import_batch_add(df_import_t *import, ngx_uint_t line);
ngx_int_t df_import_batch_take(df_import_t *import);
void df_import_batch_close(df_import_t *import);
ngx_int_t df_import_batch_send(df_import_t *import);
void df_import_batch_result(df_import_t *import, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n);
ngx_int_t df_import_batch_done(df_import_t *import,
    const df_pg_error_t *error);
void df_import_batch_drop(df_import_t *import);

/* import.c: the end, from callbacks: nothing may be touched after it */
void df_import_end(df_import_t *import);


DF_HIDDEN_END


#endif /* _DF_QUERY_IMPORT_H_INCLUDED_ */
