
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * query: the road.  A request is built from what a channel was told, passes
 * the gate, is compiled to SQL, executed, and its rows are encoded.  Every
 * channel (REST, and later bulk, WebSocket, MCP, workflows) goes this way:
 *
 *     df_query_parse_…()  ->  df_query_admit()  ->  df_query_run()
 *
 * Nothing here knows of HTTP beyond the names of operations and formats.
 */


#ifndef _DF_QUERY_H_INCLUDED_
#define _DF_QUERY_H_INCLUDED_


#include "schema/schema.h"


DF_HIDDEN_BEGIN


/* operations */

typedef enum {
    DF_LIST = 0,
    DF_GET,
    DF_CREATE,
    DF_UPDATE,
    DF_REPLACE,
    DF_DELETE,
    DF_AGGREGATE,
    DF_BULK_CREATE,
    DF_BULK_UPDATE,
    DF_BULK_UPSERT,
    DF_BULK_DELETE,

    DF_OPERATIONS
} df_operation_t;

/* by the names of dataflow_expose, df_operation_names; the result is
   DF_OPERATIONS for an unknown name */
df_operation_t df_query_operation(const ngx_str_t *name);
extern const ngx_str_t df_operation_names[DF_OPERATIONS];

#define DF_EXPOSE_ALL  ((1u << DF_OPERATIONS) - 1)

/* those that change nothing, and those that answer rows, not a record */
#define DF_READS  (1u << DF_LIST | 1u << DF_GET | 1u << DF_AGGREGATE)
#define DF_ROWS   (1u << DF_LIST | 1u << DF_AGGREGATE)
/* those that answer records within records */
#define DF_INCLUDES  (1u << DF_LIST | 1u << DF_GET)

/* those of POST …/bulk, whose body says which */
#define DF_BULKS  (1u << DF_BULK_CREATE | 1u << DF_BULK_UPDATE              \
                   | 1u << DF_BULK_UPSERT | 1u << DF_BULK_DELETE)

#define df_query_is(r, operations)  ((1u << (r)->op & (operations)) != 0)


/* what clients can follow: a relation to where a record can be read, and back
   from one to where they can be listed */

static ngx_inline ngx_uint_t
df_query_relation_offered(const df_relation_t *relation)
{
    return (relation->target->offered & DF_INCLUDES) != 0;
}


static ngx_inline ngx_uint_t
df_query_reverse_offered(const df_reverse_t *reverse)
{
    return (reverse->model->offered & 1u << DF_LIST) != 0;
}


/* joins: what a request reaches by relations, from a row to one other row;
   requests of one report share theirs, which therefore never change */

typedef struct df_operator_s   df_operator_t;
typedef struct df_predicate_s  df_predicate_t;
typedef struct df_expr_s       df_expr_t;
typedef struct df_join_s       df_join_t;
typedef struct df_place_s      df_place_t;
typedef struct df_aggregate_s  df_aggregate_t;
typedef struct df_bulk_s       df_bulk_t;

struct df_join_s {
    const df_join_t       *parent;      /* NULL: of the request's own model */
    const df_relation_t   *relation;    /* to a row of relation->target */
    ngx_uint_t             index;       /* from 1; in SQL it is t<index> */
};

#define DF_JOIN_MAX        16           /* of a statement */
#define DF_JOIN_MAX_DEPTH  3


/* includes: the records that are answered within records, as a tree */

typedef struct df_include_s  df_include_t;

struct df_include_s {
    const df_include_t    *parent;      /* NULL: within the request's own */
    const df_relation_t   *relation;    /* to one record, or */
    const df_reverse_t    *reverse;     /* to many; the other is NULL */
    const df_model_t      *model;       /* theirs */
    ngx_uint_t             index;       /* from 0, of the request's */
    const df_join_t       *join;        /* of one: its row */
    ngx_array_t           *joins;       /* df_join_t *, of the statement that
                                           reads it: of many its own */
    ngx_array_t            includes;    /* df_include_t *, within it */
    ngx_array_t            fields;      /* const df_field_t *, of fields= */
    unsigned               named:1;     /* by include= */
    unsigned               whole:1;     /* by fields=, without a field */
    unsigned               chosen:1;    /* fields= says what is answered */
};

#define DF_INCLUDE_MAX        8         /* of a request */
#define DF_INCLUDE_MAX_DEPTH  3


/* filters: one tree, whatever spelling it came in */

typedef enum {
    DF_PREDICATE_AND = 0,
    DF_PREDICATE_OR,
    DF_PREDICATE_NOT,
    DF_PREDICATE_COMPARE,
    DF_PREDICATE_EXPR
} df_predicate_kind_t;

typedef enum {
    DF_PATH_TEXT = 0,       /* the text of what is there, a string unquoted */
    DF_PATH_NUMBER,         /* its number, if it is one */
    DF_PATH_JSON            /* its JSON value */
} df_path_form_t;

struct df_predicate_s {
    df_predicate_kind_t    kind;
    df_predicate_t        *children;    /* and, or: a list by next; not: one */
    df_predicate_t        *next;

    const df_expr_t       *expr;        /* expr: a boolean one */

    const df_join_t       *join;        /* compare: field operator operands; */
    const df_field_t      *field;       /* NULL: a field of the own model */
    ngx_str_t             *path;        /* of a json field: its steps */
    ngx_uint_t             npath;
    const df_operator_t   *op;
    df_value_t            *operands;
    ngx_uint_t             noperands;
    df_path_form_t         form;        /* of a path: what is compared */
};

#define DF_FILTER_MAX_DEPTH  32
#define DF_FILTER_MAX_NODES  500
#define DF_FILTER_MAX_LIST   10000
#define DF_FILTER_MAX_PATH   16


/* sort, page */

typedef struct {
    const df_join_t       *join;        /* NULL: a field of the own model */
    const df_field_t      *field;
    unsigned               descending:1;
    unsigned               nulls_first:1;
} df_sort_t;

#define DF_SORT_MAX  8

typedef enum {
    DF_COUNT_NONE = 0,
    DF_COUNT_EXACT,
    DF_COUNT_ESTIMATED
} df_count_t;


/* what is written */

typedef struct df_update_operator_s  df_update_operator_t;

typedef struct {
    const df_field_t            *field;
    const df_update_operator_t  *op;        /* NULL: the value itself */
    df_value_t                   value;
    unsigned                     use_default:1;     /* DEFAULT, no value */
} df_assignment_t;


/* parameters and results of expressions (query/expr.h) */

typedef struct {
    df_field_t             field;       /* name and type */
    ngx_uint_t             index;       /* of its value in request->params */
} df_param_t;

typedef struct {
    ngx_str_t              name;
    df_expr_t             *expr;
    df_field_t             column;      /* how its values are answered */
    unsigned               group:1;     /* rows of equal values are one */
} df_output_t;

#define DF_OUTPUT_MAX  50


/* request */

typedef struct {
    df_operation_t         op;
    const df_model_t      *model;
    const ngx_str_t       *report;      /* the name of one: nginx.conf says it,
                                           no client; or NULL */
    ngx_pool_t            *pool;
    const df_place_t      *place;       /* of its object in a body; NULL when
                                           there is none */

    ngx_array_t            joins;       /* df_join_t *, as they are reached */
    const df_value_t      *params;      /* of expressions; or NULL */
    df_predicate_t        *filter;      /* NULL: all rows */
    ngx_uint_t             nodes;       /* of the filter, while it is read */
    ngx_uint_t             npatterns;   /* that PostgreSQL may refuse, and */
    df_problem_at_t        pattern_at;  /* where the last of them stands */
    ngx_str_t              pattern_name;
    ngx_array_t            sort;        /* df_sort_t, as the client gave it */
    ngx_array_t            fields;      /* const df_field_t *, of fields= */
    ngx_array_t            includes;    /* df_include_t *, within the records */
    ngx_uint_t             nincludes;   /* of them and below them, and */
    ngx_uint_t             nlists;      /* of these, to many records */
    ngx_uint_t             given;       /* bits: parameters that were given */
    ngx_uint_t             limit;       /* with has_limit; may be 0 */
    ngx_uint_t             offset;
    ngx_str_t              cursor;
    df_count_t             count;

    df_aggregate_t        *aggregate;   /* an aggregate, while it is read */
    ngx_array_t            outputs;     /* df_output_t, the groups first */
    const df_expr_t       *having;      /* NULL: all groups */
    ngx_str_t              timezone;    /* of an aggregate; empty: UTC */

    df_value_t             key;         /* get, update, replace, delete */
    ngx_array_t            values;      /* df_assignment_t */
    ngx_array_t            expected;    /* replace: df_assignment_t, stored
                                           values of generated and readonly
                                           fields that were sent back */
    df_bulk_t             *bulk;        /* DF_BULK_…: what is written, but for
                                           "set", which is values */
    ngx_array_t            on;          /* ngx_str_t: an import is an upsert by
                                           these fields, */
    ngx_array_t            updated;     /* that sets, with has_updated, these */
    ngx_array_t            if_match;    /* ngx_str_t, row versions; "*" is no
                                           entry but if_match_any */

    unsigned               chosen:1;    /* fields= says what is answered */
    unsigned               included:1;  /* include= is given: not all that is
                                           included is so by fields= alone */
    unsigned               has_limit:1;
    unsigned               limit_all:1;
    unsigned               has_offset:1;
    unsigned               has_cursor:1;
    unsigned               if_match_any:1;
    unsigned               has_if_match:1;
    unsigned               calculates:1;    /* an expression of it calls what
                                               can fail with what is stored */
    unsigned               dry_run:1;
    unsigned               import:1;    /* values that cannot be set are left
                                           out */
    unsigned               keep_generated:1;    /* but not generated ones */
    unsigned               has_updated:1;
    unsigned               minimal:1;   /* the record is not wanted back */
} df_request_t;

/* All of these return NGX_OK, NGX_DECLINED with the problem filled, or
   NGX_ERROR without memory. */

ngx_int_t df_query_request_init(df_request_t *r, ngx_pool_t *pool,
    const df_model_t *model, df_operation_t op);

/* the query string of a URL, still percent-encoded: filters by suffix,
   filter=, sort, fields, limit, offset, cursor, count, dry_run, as far as the
   operation takes them */
ngx_int_t df_query_parse_args(df_request_t *r, const ngx_str_t *args,
    df_problem_t *problem);

/* the body of POST …/query: the same names, as JSON */
ngx_int_t df_query_parse_query(df_request_t *r, const cJSON *body,
    df_problem_t *problem);

/* the body of POST …/aggregate: of r itself, or {"aggregates": {name: {…}}}:
   each in "parts", df_named_request_t, which then is not empty */

typedef struct {
    ngx_str_t              name;
    df_request_t           request;
} df_named_request_t;

#define DF_AGGREGATES_MAX  20

ngx_int_t df_query_parse_aggregates(df_request_t *r, const cJSON *body,
    ngx_array_t *parts, df_problem_t *problem);

/* after all that the request has, what can only be looked up together */
ngx_int_t df_query_parse_end(df_request_t *r, df_problem_t *problem);

/* the key in a path, percent-decoded; a key that no row can have, or that is
   not written as it is answered, is DF_PROBLEM_NOT_FOUND */
ngx_int_t df_query_parse_key(df_request_t *r, const ngx_str_t *text,
    df_problem_t *problem);

/* the body of create, update and replace, which stands at a place (NULL: it is
   the whole); all its problems together */
ngx_int_t df_query_parse_values(df_request_t *r, const cJSON *body,
    const df_place_t *place, df_problem_t *problem);

/* "create", "update", … */
const ngx_str_t *df_query_bulk_name(df_operation_t op);

/* If-Match: a list of entity tags, or * */
ngx_int_t df_query_parse_if_match(df_request_t *r, const ngx_str_t *value,
    df_problem_t *problem);


/* describing: what a request may say, for documents made of models */

typedef enum {
    DF_OPERAND_ONE = 0,         /* a value of what is compared */
    DF_OPERAND_LIST,            /* several, nulls among them */
    DF_OPERAND_TWO,             /* between */
    DF_OPERAND_FLAG,            /* isnull: true or false */
    DF_OPERAND_PATTERN,         /* text, used as it is */
    DF_OPERAND_ELEMENT,         /* an element of an array, a key of a json */
    DF_OPERAND_ELEMENTS
} df_operand_t;

typedef struct {
    ngx_str_t              name;        /* "gte", "$inc" */
    df_operand_t           operand;
    const df_type_t       *type;        /* of an operand, or of each of a list;
                                           NULL: an object of JSON */
    unsigned               array:1;     /* an operand is a whole array */
    unsigned               null:1;      /* in JSON null is an operand, too */
} df_operator_info_t;

/* The n-th operator that a field takes in filters (path: what is within a json
   field) or in place of a value, the n-th parameter of a query that an
   operation takes, DF_OPERATIONS being an import.  NGX_DECLINED behind the
   last one. */
ngx_int_t df_query_describe_operator(const df_field_t *field, ngx_uint_t path,
    ngx_uint_t n, df_operator_info_t *info);
ngx_int_t df_query_describe_update(const df_field_t *field, ngx_uint_t n,
    df_operator_info_t *info);
ngx_int_t df_query_describe_parameter(df_operation_t op, ngx_uint_t n,
    ngx_str_t *name);
/* the n-th function of expressions */
ngx_int_t df_query_describe_function(ngx_uint_t n, ngx_str_t *name,
    ngx_uint_t *aggregate);


/* gate */

/* who asks; anonymous until there is identity */

typedef struct {
    ngx_str_t              subject;
    ngx_str_t              tenant;
} df_principal_t;

/* what the place that the request came to allows */

typedef struct {
    ngx_uint_t             expose;          /* bits of df_operation_t */
    ngx_uint_t             default_limit;
    ngx_uint_t             max_limit;
    ngx_uint_t             max_offset;
    ngx_flag_t             stream;          /* limit=all */
    const u_char          *secret;          /* DF_ZONE_SECRET_LEN, cursors */
} df_rules_t;

/*
 * A request that has passed the gate; only the gate can make one and the rest
 * of the road takes nothing else.
 */
typedef struct df_admitted_s  df_admitted_t;

/* the body of POST …/bulk, which says the operation, too: r->op becomes one of
   DF_BULK_…, of those that the rules expose */
ngx_int_t df_query_parse_bulk(df_request_t *r, const cJSON *body,
    const df_rules_t *rules, df_problem_t *problem);

ngx_int_t df_query_admit(df_request_t *r, const df_principal_t *principal,
    const df_rules_t *rules, ngx_uint_t streamed, df_admitted_t **admitted,
    df_problem_t *problem);


/* nginx.conf: the conditions of partial indexes, after df_schema_finish(); what
   was wrong is logged */
ngx_int_t df_query_conf_indexes(ngx_conf_t *cf, df_schema_conf_t *conf);


/* run */

typedef enum {
    DF_FORMAT_JSON = 0,
    DF_FORMAT_NDJSON,
    DF_FORMAT_CSV
} df_format_t;

typedef struct df_run_s         df_run_t;
typedef struct df_run_driver_s  df_run_driver_t;

/*
 * One request on its way through the executor.  The structure and the pool
 * are the caller's; both must stay until done() was called or the run was
 * abandoned.  What done() finds:
 *
 * problem.code   DF_PROBLEM_NONE, or what went wrong
 * body           the encoded answer (a list's whole document, a record), NULL
 *                for a minimal answer or a delete; of the pool
 * version        the row's version for ETag (get, create, update, replace)
 * key            the row's key as text, for Location (create)
 * next           the cursor of a list's next page, empty on the last one
 * truncated      there are more rows than were asked for
 * rows           rows answered or changed
 *
 * A streamed list calls head() once before its first bytes, when nothing can
 * fail any more but the stream itself, then body() with each piece; body()
 * returns NGX_OK, NGX_AGAIN to pause (df_query_resume() goes on) or NGX_ERROR
 * to give up.  done() comes last, after NGX_ERROR too; a problem after head()
 * means that the answer must be cut off.  Each of them may abandon the run.
 * A list is streamed when "streamed" is set.
 *
 * With another input than JSON the run is an import: its records come from the
 * owner, who hands the body over with df_query_import().
 */
struct df_run_s {
    ngx_pool_t            *pool;
    ngx_log_t             *log;
    const df_admitted_t   *admitted;
    df_format_t            format;
    df_format_t            input;
    unsigned               streamed:1;

    void                 (*head)(df_run_t *run);
    ngx_int_t            (*body)(df_run_t *run, ngx_chain_t *piece);
    void                 (*more)(df_run_t *run);
    void                 (*done)(df_run_t *run);
    void                  *data;

    df_problem_t           problem;
    ngx_chain_t           *out;
    off_t                  length;
    ngx_str_t              version;
    ngx_str_t              key;
    ngx_str_t              next;
    ngx_uint_t             rows;
    unsigned               truncated:1;

    ngx_chain_t           *free;        /* pieces that were sent; the caller */
    ngx_chain_t           *busy;        /* hands them back with
                                           ngx_chain_update_chains(), tag
                                           DF_QUERY_TAG */

    const df_run_driver_t *driver;      /* the run's own */
    void                  *state;
};

#define DF_QUERY_TAG  ((ngx_buf_tag_t) &df_query_run)

/* never calls back from inside; NGX_OK, NGX_DECLINED with run->problem
   filled, or NGX_ERROR */
ngx_int_t df_query_run(df_run_t *run);
void df_query_resume(df_run_t *run);

/*
 * A piece of the body of an import, from *pos to last; end: none follows.
 * NGX_OK, it was taken, and once the last one was done() follows; NGX_AGAIN,
 * what is at *pos has to wait for more(), which may call this again; else the
 * run is over, and done() will not be called: NGX_DECLINED with run->problem
 * filled, or NGX_ERROR.  Before all was taken done() tells of failures only.
 */
ngx_int_t df_query_import(df_run_t *run, u_char **pos, u_char *last,
    ngx_uint_t end);

/*
 * Several requests, answered together: {"name": {"data": […]}, …}.  Each is a
 * run of its own in run's pool; all are submitted in this turn.  The first
 * that fails ends the others, and its problem, the detail preceded by the
 * name, is the whole run's.  run->admitted is not looked at; names and
 * requests must stay as long as the run.
 */

typedef struct {
    ngx_str_t              name;
    const df_admitted_t   *admitted;    /* of an operation of DF_ROWS */
} df_batch_part_t;

ngx_int_t df_query_run_batch(df_run_t *run, const df_batch_part_t *parts,
    ngx_uint_t n);

void df_query_abandon(df_run_t *run);


DF_HIDDEN_END


#endif /* _DF_QUERY_H_INCLUDED_ */
