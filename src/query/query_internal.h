
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files of query/ share among themselves.
 */


#ifndef _DF_QUERY_INTERNAL_H_INCLUDED_
#define _DF_QUERY_INTERNAL_H_INCLUDED_


#include "query/query.h"
#include <ngx_event.h>


DF_HIDDEN_BEGIN


typedef struct df_compile_s   df_compile_t;
typedef struct df_includes_s  df_includes_t;    /* query/include.h */


static ngx_inline ngx_uint_t
df_query_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


/* places: where in a query a word stands, to name it when it is wrong */

/*
 * The root is a parameter of the query string (parameter is its name) or a
 * JSON body (parameter is empty); below it are members and elements.  Places
 * live on the stack of what reads them and become text only for a problem.
 */

struct df_place_s {
    const df_place_t  *parent;          /* NULL: the root */
    const ngx_str_t   *name;            /* of a member; NULL: an element, */
    ngx_uint_t         index;           /* of this index */
    ngx_str_t          parameter;
    ngx_uint_t         column;          /* the character of the text that is
                                           there, from 1; 0: all of it */
};

/* adds an item to the problem; returns NGX_DECLINED */
ngx_int_t df_query_refuse(df_problem_t *problem, df_problem_code_t code,
    const df_place_t *place, const char *item_code, const char *fmt, ...);


/* a copy, with all that it stands in and all texts, in the pool; NULL without
   memory */
const df_place_t *df_query_place_copy(ngx_pool_t *pool,
    const df_place_t *place);

/* what names the place in a problem: a pointer or the parameter */
ngx_str_t df_query_place_name(ngx_pool_t *pool, const df_place_t *place,
    df_problem_at_t *at);


/* names: what a request can speak of, name.c */

typedef struct {
    ngx_pool_t         *pool;
    const df_model_t   *model;
    ngx_array_t        *joins;          /* df_join_t *; grows */
    const ngx_array_t  *params;         /* df_param_t, or NULL */
    const ngx_array_t  *outputs;        /* df_output_t, or NULL */
    const ngx_str_t    *timezone;       /* NUL-terminated; NULL: UTC */
    df_request_t       *request;        /* counts what is limited; NULL while
                                           nginx.conf is read */
    df_problem_t       *problem;
} df_scope_t;

typedef struct {
    const df_join_t   *join;            /* NULL: of the model itself */
    const df_field_t  *field;
    ngx_str_t         *path;            /* in a json field */
    ngx_uint_t         npath;
} df_reference_t;

void df_query_scope(df_scope_t *scope, df_request_t *r,
    df_problem_t *problem);

/* "price", "attrs.color.name", "customer.tier", "product.maker.country" */
ngx_int_t df_query_name(df_scope_t *scope, const ngx_str_t *name,
    const df_place_t *place, df_reference_t *ref);

/* the join by a relation of parent (NULL: of the scope's model), made when it
   is not there yet */
ngx_int_t df_query_join(df_scope_t *scope, const df_join_t *parent,
    const df_relation_t *relation, const df_place_t *place,
    const df_join_t **join);

/* of a field to one row; NULL when the model has none of this name, or none
   that the client who sent r can follow.  What nginx.conf says (r is NULL, or
   a report's) follows all */
const df_relation_t *df_query_relation(const df_request_t *r,
    const df_model_t *model, const ngx_str_t *name);
/* the same of those to many rows */
const df_reverse_t *df_query_reverse(const df_request_t *r,
    const df_model_t *model, const ngx_str_t *name);


/* what is at the end of a join, or the scope's own */

static ngx_inline const df_model_t *
df_query_join_model(const df_model_t *model, const df_join_t *join)
{
    return join ? join->relation->target : model;
}


/* parameters: one table, args.c */

typedef struct {
    ngx_str_t      name;
    ngx_uint_t     operations;          /* bits: those that take it */
    ngx_uint_t     kinds;               /* bits of df_json_kind_t in a body */
    unsigned       list:1;              /* a,b or ["a","b"]: set() for each */
    ngx_int_t    (*set)(df_request_t *r, const ngx_str_t *value,
                        const df_place_t *place, df_problem_t *problem);
    ngx_int_t    (*read)(df_request_t *r, const cJSON *node,
                         const df_place_t *place, df_problem_t *problem);
                                        /* in a body; NULL: set() its text */
} df_parameter_t;

/* the parameter, NULL when the operation takes none of this name; DECLINED
   when it was given before */
ngx_int_t df_query_parameter(df_request_t *r, const ngx_str_t *name,
    const df_place_t *place, const df_parameter_t **parameter,
    df_problem_t *problem);
/* text: one value, or several between commas */
ngx_int_t df_query_parameter_set(df_request_t *r,
    const df_parameter_t *parameter, const ngx_str_t *text,
    const df_place_t *place, df_problem_t *problem);
/* nothing has this name: the nearest parameter, or field, with a suffix or
   not, when it may be one */
ngx_int_t df_query_parameter_refuse(const df_request_t *r,
    const ngx_str_t *name, ngx_uint_t fields, const df_place_t *place,
    df_problem_t *problem);
/* of a parameter that was read before; place is room for one */
const df_place_t *df_query_parameter_place(const df_request_t *r,
    const ngx_str_t *name, df_place_t *place);

/* the next "name=value" of a query string, decoded; NGX_DONE at its end */
ngx_int_t df_query_arg_next(ngx_pool_t *pool, ngx_str_t *rest,
    ngx_str_t *name, ngx_str_t *value, df_problem_t *problem);

/* the n-th that the operation takes, NULL behind the last */
const df_parameter_t *df_query_parameter_at(df_operation_t op, ngx_uint_t n);

/* the next word of a list; 0 at its end: rest->data has become NULL */
ngx_uint_t df_query_word_next(ngx_str_t *rest, u_char separator,
    ngx_str_t *word);

/* a whole number, NGX_ERROR when it is none */
ngx_int_t df_query_whole_read(const ngx_str_t *value);

/* what a client may know of; NULL for a hidden field too */
const df_field_t *df_query_field(const df_model_t *model,
    const ngx_str_t *name);
ngx_int_t df_query_field_refuse(const df_model_t *model,
    const ngx_str_t *name, const df_place_t *place, df_problem_t *problem);

/* ANDs the "where" of a body to the request's filter */
ngx_int_t df_query_where_apply(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem);

ngx_int_t df_query_sort_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem);
/* cuts what is not the name off "-price:nullsfirst" */
void df_query_sort_split(ngx_str_t *name, df_sort_t *sort);
ngx_int_t df_query_fields_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem);

/* include.c: "customer.region" of include=, and of fields= what is no field of
   the model: "customer.name", "customer" */
ngx_int_t df_query_include_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_include_fields_add(df_request_t *r, const ngx_str_t *item,
    const df_place_t *place, df_problem_t *problem);


/* filters: JSON and suffix to predicates, filter.c */

typedef struct {
    df_request_t  *request;
    df_problem_t  *problem;
} df_filter_t;

ngx_int_t df_query_filter_json(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, df_predicate_t **predicate);
/* ANDs a JSON filter to the request's */
ngx_int_t df_query_filter_apply(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem);
/* NGX_ABORT when the name is neither a field's nor a field's with a suffix or
   a path: it may be another thing's */
ngx_int_t df_query_filter_suffix(df_filter_t *filter, const ngx_str_t *name,
    const ngx_str_t *value, const df_place_t *place,
    df_predicate_t **predicate);
/* both must be true; *filter may be NULL: all rows */
ngx_int_t df_query_filter_and(ngx_pool_t *pool, df_predicate_t **filter,
    df_predicate_t *other);             /* predicate.c */


/* operands: text or JSON to values, operand.c */

/* all operands of predicate->op, of its field and path */
ngx_int_t df_query_operand_text(df_filter_t *filter, const ngx_str_t *text,
    const df_place_t *place, df_predicate_t *p);
ngx_int_t df_query_operand_json(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, df_predicate_t *p);


/* operators: one table, operator.c */

/* what is compared */
#define DF_ON_SCALAR  0x01
#define DF_ON_ARRAY   0x02
#define DF_ON_JSON    0x04      /* a json field as a whole */
#define DF_ON_PATH    0x08      /* what is at a path in a json field */

/* An operator that means different things on different sides has a row for
   each; a predicate points to the row that is meant. */

struct df_operator_s {
    ngx_str_t      name;        /* "gte": the suffix, and $gte in JSON */
    df_operand_t   operand;
    ngx_uint_t     on;          /* DF_ON_… */
    ngx_uint_t     types;       /* DF_TYPE_… flags, one of which a scalar
                                   field must have */
    ngx_int_t    (*compile)(df_compile_t *c, const df_predicate_t *p);
    const char    *sql;
    const char    *null;        /* SQL for a null operand; NULL: takes none */
    unsigned       ordered:1;   /* a path's number or text, not its JSON */
    unsigned       syntax:1;    /* PostgreSQL may refuse the operand */
    unsigned       before:1;    /* like: anything may stand before, */
    unsigned       behind:1;    /* behind the operand */
};

/* the type of an operand, or of a list's elements */
const df_type_t *df_query_operand_type(const df_predicate_t *p);

/* the row for the field (with a path); NULL when it takes no such operator */
const df_operator_t *df_query_operator(const df_field_t *field,
    ngx_uint_t npath, const ngx_str_t *name);
/* the n-th row for the field, NULL behind the last */
const df_operator_t *df_query_operator_at(const df_field_t *field,
    ngx_uint_t npath, ngx_uint_t n);
/* "eq, ne, gt": all that the field takes, each after a prefix ("$") */
ngx_str_t df_query_operator_names(ngx_pool_t *pool, const df_field_t *field,
    ngx_uint_t npath, const char *prefix);
ngx_str_t *df_query_operator_nearest(const df_field_t *field,
    ngx_uint_t npath, const ngx_str_t *name);
/* 1 when any field takes an operator of this name */
ngx_uint_t df_query_operator_exists(const ngx_str_t *name);


/* values: an object's members to assignments, values.c */

typedef struct {
    df_request_t      *request;         /* its op says whose rules hold: those
                                           of create, update or replace */
    const df_place_t  *place;           /* of the object */
    df_problem_t      *problem;
    const df_field_t  *apart;           /* read elsewhere; NULL: none */
    u_char            *seen;            /* by the index of fields, the field
                                           was given; of request->pool */
} df_query_values_t;

/* appends to request->values; the structure is good for many objects, and
   NGX_DECLINED comes when the problem was filled, whatever for */
ngx_int_t df_query_values_read(df_query_values_t *v, const cJSON *body);


/* aggregates: aggregate.c, aggregate_json.c, output.c */

typedef struct {
    ngx_str_t           text;           /* "-revenue:nullsfirst" */
    const df_place_t   *place;
} df_aggregate_sort_t;

/* as it is read, in any order: only together it can be looked up */

struct df_aggregate_s {
    ngx_array_t         groups;         /* df_expr_named_t */
    ngx_array_t         values;         /* df_expr_named_t */
    df_expr_t          *where;          /* of rows; or NULL */
    df_expr_t          *having;         /* of groups; or NULL */
    ngx_array_t         sort;           /* df_aggregate_sort_t */
};

/* an empty one */
df_aggregate_t *df_query_aggregate_create(ngx_pool_t *pool);
/* the request's, made when it is first asked for */
df_aggregate_t *df_query_aggregate(df_request_t *r);

/*
 * Looks up and checks: to df_output_t, and df_sort_t of their columns, which
 * must not be moved.  place is what is refused when there is nothing in it.
 */
ngx_int_t df_query_aggregate_check(df_scope_t *scope, const df_aggregate_t *a,
    const df_place_t *place, ngx_array_t *outputs, const df_expr_t **having,
    ngx_array_t *sort);

/* setters of parameters, of a query string and of a body */
ngx_int_t df_query_group_by_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_aggregate_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_aggregate_where_set(df_request_t *r,
    const ngx_str_t *value, const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_having_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_timezone_set(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_output_sort_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_sum_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_avg_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_min_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_max_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_count_add(df_request_t *r, const ngx_str_t *value,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_count_distinct_add(df_request_t *r,
    const ngx_str_t *value, const df_place_t *place, df_problem_t *problem);

ngx_int_t df_query_group_by_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_aggregate_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_aggregate_where_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem);
ngx_int_t df_query_having_read(df_request_t *r, const cJSON *node,
    const df_place_t *place, df_problem_t *problem);


/* what a client cannot set and an import leaves out, so that an export can be
   imported; what says who made a record is never kept */

static ngx_inline ngx_uint_t
df_query_leaves_out(const df_request_t *r, const df_field_t *field)
{
    return r->import && field->readonly
           && !(field->generated && r->keep_generated);
}


/* a path can end in this key */
ngx_uint_t df_query_values_is_segment(const ngx_str_t *key);


/* update operators: one table, update.c */

struct df_update_operator_s {
    ngx_str_t      name;        /* "$inc" */
    ngx_uint_t     types;       /* DF_TYPE_… flags, one of which a scalar
                                   field must have; 0: for no scalar */
    unsigned       on_array:1;  /* the value is one element */
    unsigned       on_json:1;
    unsigned       constrain:1; /* the value may become the field's own */
    unsigned       scale:1;     /* the value is not rounded to the field's */
    unsigned       flag:1;      /* the value can only be true */
    const char    *sql;         /* %f the field, %v the value, %n now */
};

/* update.c: of those that the field takes; NULL when there is none */
const df_update_operator_t *df_query_update_operator(const df_field_t *field,
    const ngx_str_t *name);
/* the n-th that the field takes, NULL behind the last */
const df_update_operator_t *df_query_update_at(const df_field_t *field,
    ngx_uint_t n);
ngx_str_t *df_query_update_nearest(const df_field_t *field,
    const ngx_str_t *name);
ngx_str_t df_query_update_names(ngx_pool_t *pool, const df_field_t *field);


/* what was meant: meant.c */

/* the left side does not take the operator, or has it without its $ */
ngx_int_t df_query_operator_refuse(df_filter_t *filter,
    const df_field_t *field, ngx_uint_t npath, const ngx_str_t *name,
    const char *prefix, const df_place_t *place);
ngx_int_t df_query_dollar_refuse(df_filter_t *filter, const df_field_t *field,
    ngx_uint_t npath, const ngx_str_t *name, const df_place_t *place);
/* "price__lt" of "price_lt" and the like, or NULL */
ngx_str_t *df_query_suffix_nearest(const df_request_t *r,
    const ngx_str_t *name);


/* gate: a request that may be compiled */

typedef struct {
    ngx_array_t             fields;     /* const df_field_t * */
    df_predicate_t         *filter;     /* of many: the gate's; NULL: any */
    df_predicate_t        **join_filters;   /* of many: as below */
} df_admitted_include_t;

struct df_admitted_s {
    const df_request_t     *request;
    const df_principal_t   *principal;
    const df_rules_t       *rules;

    df_predicate_t         *filter;     /* the client's and the gate's own */
    df_predicate_t        **join_filters;   /* the gate's, one for each of
                                               request->joins, NULL: any row;
                                               NULL: none has one */
    ngx_array_t             fields;     /* const df_field_t *, what is
                                           answered, in the model's order or
                                           the client's */
    df_admitted_include_t  *includes;   /* by df_include_t.index */
    ngx_array_t             sort;       /* df_sort_t, the key appended */
    ngx_uint_t              limit;      /* rows, may be 0 */
    ngx_uint_t              offset;
    df_value_t             *after;      /* of the cursor, one for each of
                                           sort; NULL: from the beginning */
    unsigned                unlimited:1;    /* limit=all */
};


/* compile: an admitted request to statements */

/*
 * One statement being written.  Equal shapes give equal texts: values, and
 * the number of a list's elements, are never in the text.
 */

/* what was written for a comparison, to be written so again */
typedef struct df_compile_memo_s  df_compile_memo_t;

struct df_compile_memo_s {
    const df_predicate_t  *predicate;
    size_t                 start;
    size_t                 len;
    df_compile_memo_t     *next;
};

struct df_compile_s {
    df_writer_t     sql;
    ngx_pool_t     *pool;
    ngx_array_t     types;          /* Oid */
    ngx_array_t     values;         /* const char *; NULL is SQL's NULL */
    df_problem_t   *problem;
    const df_value_t     *params;   /* of the request, for expressions */
    df_compile_memo_t    *memos;
    unsigned        qualified:1;    /* the model is t0, joins are t1, t2 … */
    unsigned        constant:1;     /* values are literals in the text: of what
                                       nginx.conf says, and nothing else */
};

/* appends $n, the next parameter; its number is then types.nelts */
ngx_int_t df_compile_param(df_compile_t *c, Oid type, const df_value_t *value);
/* the same; a value that is a parameter already, the very same text, keeps its
   number, so that equal expressions are equal texts to PostgreSQL */
ngx_int_t df_compile_param_once(df_compile_t *c, Oid type,
    const df_value_t *value);
/* the value as a literal, which needs no parameter: compile_constant.c */
ngx_int_t df_compile_constant(df_compile_t *c, Oid type,
    const df_value_t *value);
ngx_int_t df_compile_sql(df_compile_t *c, const char *text);
/* a name alone, as INSERT and SET have it */
ngx_int_t df_compile_ident(df_compile_t *c, const df_field_t *f);
/* the column of the model's row or of a join's */
ngx_int_t df_compile_column(df_compile_t *c, const df_join_t *join,
    const df_field_t *f);
/* "products", with joins "products" t0 LEFT JOIN "makers" t1 ON … */
ngx_int_t df_compile_tables(df_compile_t *c, const df_admitted_t *admitted);
ngx_int_t df_compile_joined(df_compile_t *c, const df_model_t *model,
    const ngx_array_t *joins, df_predicate_t **filters);
ngx_int_t df_compile_str(df_compile_t *c, const ngx_str_t *text);

/* a condition that can stand beside AND, OR and NOT as it is; predicate.c */
ngx_int_t df_query_compile_predicate(df_compile_t *c,
    const df_predicate_t *p);

/* the sides of a comparison, for operators */
ngx_int_t df_query_left_compile(df_compile_t *c, const df_predicate_t *p,
    df_path_form_t form);
ngx_int_t df_query_operand_compile(df_compile_t *c, const df_predicate_t *p);
Oid df_query_operand_oid(const df_predicate_t *p);


/* a statement that answers, one for each list in it, two that count */
#define DF_STATEMENTS      (4 + DF_INCLUDE_MAX)
#define DF_MAX_PARAMETERS  65535        /* Bind counts them in 16 bits */
#define DF_COUNT_CAP       10000        /* count=estimated is exact to here */

typedef struct {
    df_pg_statement_t       statements[DF_STATEMENTS];
    ngx_uint_t              nstatements;
    ngx_uint_t              rows;       /* index of the one with the rows */
    ngx_int_t               count;      /* of the one that counts, or -1 */
    ngx_int_t               estimate;   /* of the one that asks the planner
                                           when "count" was cut short at
                                           DF_COUNT_CAP, or -1 */
    ngx_int_t               check;      /* of the one that tells 404 from 412
                                           and from a changed stored value, or
                                           -1; its columns: one boolean for
                                           the version, then one for each of
                                           request->expected */
    df_pg_lane_t            lane;

    /* the columns of "rows": the fields, what is included, then those only the
       sort needs, then the version (xid, binary), when has_version is set */
    const df_field_t      **columns;
    const df_join_t       **joins;      /* of each; NULL: the own model's */
    ngx_uint_t              ncolumns;   /* all but the version */
    ngx_uint_t              nfields;    /* of them, answered */
    df_includes_t          *includes;   /* records within a row's; or NULL */
    ngx_uint_t             *sort_columns;   /* column of each sort field */
    ngx_int_t               version;    /* column, or -1 */
    ngx_int_t               key;        /* column, or -1 */
    ngx_uint_t              limit;      /* rows wanted; one more is asked for
                                           to know whether there is a next
                                           page; may be 0 */
    unsigned                unlimited:1;    /* all rows, limit means nothing */
} df_compiled_t;

/* the field says who made a record, which is no column's default */

static ngx_inline ngx_uint_t
df_compile_is_identity(const df_field_t *field)
{
    return field->default_kind == DF_DEFAULT_SUB
           || field->default_kind == DF_DEFAULT_TENANT;
}


/* what the files of compile have for each other; a structure is zeroed before
   its first df_compile_init() */
ngx_int_t df_compile_init(df_compile_t *c, ngx_pool_t *pool,
    df_problem_t *problem);
/* " WHERE key = $n" and the gate's own filter */
ngx_int_t df_compile_where_key(df_compile_t *c, const df_admitted_t *admitted);
/* the columns of "rows" and, when it is set, the version */
ngx_int_t df_compile_columns(df_compile_t *c, const df_compiled_t *compiled);
/* of them, one */
ngx_int_t df_compile_selected(df_compile_t *c, const df_join_t *join,
    const df_field_t *f);
/* closes the statement; NGX_DECLINED when it has too many parameters */
ngx_int_t df_compile_statement(df_compile_t *c, df_pg_statement_t *st);
/* the same and adds it; df_compile_init() begins another */
ngx_int_t df_compile_end(df_compile_t *c, df_compiled_t *compiled);
ngx_int_t df_compile_write(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled);
/* an update operator; operand: SQL instead of the assignment's own value */
ngx_int_t df_compile_operator(df_compile_t *c, const df_assignment_t *a,
    const ngx_str_t *operand);
/* ",updated_at = now()" where no trigger keeps it */
ngx_int_t df_compile_touch(df_compile_t *c, const df_model_t *model);
/* who asks, as the value of a field that says who made a record: alone, and as
   a parameter */
ngx_int_t df_query_identity(const df_admitted_t *admitted, ngx_pool_t *pool,
    const df_field_t *field, df_value_t *value, df_problem_t *problem);
ngx_int_t df_compile_identity(df_compile_t *c, const df_admitted_t *admitted,
    const df_field_t *field);
ngx_int_t df_compile_aggregate(const df_admitted_t *admitted, df_compile_t *c,
    df_compiled_t *compiled);
/* the rows behind the cursor's, as conditions joined by AND */
ngx_int_t df_compile_after(df_compile_t *c, const df_admitted_t *admitted);
/* " ORDER BY …" */
ngx_int_t df_compile_order(df_compile_t *c, const df_admitted_t *admitted);
/* " FROM …", with the conditions of the filter */
ngx_int_t df_compile_from(df_compile_t *c, const df_admitted_t *admitted);
/* the same of a page, at most so many rows, and of the row with the key */
ngx_int_t df_compile_page(df_compile_t *c, const df_admitted_t *admitted,
    ngx_uint_t limit);
ngx_int_t df_compile_one(df_compile_t *c, const df_admitted_t *admitted);

/* NGX_OK, NGX_DECLINED with the problem filled, NGX_ERROR */
ngx_int_t df_query_compile(const df_admitted_t *admitted, ngx_pool_t *pool,
    ngx_uint_t streamed, df_compiled_t *compiled, df_problem_t *problem);


/* cursor */

#define DF_CURSOR_MAX  4096             /* characters */

/* text of a cursor behind a row whose sort values are given, as
   df_schema_text() writes them; NGX_DECLINED when it would be too long */
ngx_int_t df_query_cursor_make(const df_admitted_t *admitted,
    ngx_pool_t *pool, const df_value_t *values, ngx_str_t *cursor);
/* values of request->cursor, one for each of admitted->sort */
ngx_int_t df_query_cursor_read(df_admitted_t *admitted, df_problem_t *problem);


/* encode: rows of a compiled statement to JSON, NDJSON or CSV */

/* an upper bound of a row's length, and the row itself */
size_t df_query_encode_bound(const df_compiled_t *compiled,
    df_format_t format, const PGresult *res, ngx_uint_t row);
u_char *df_query_encode_row(u_char *p, const df_compiled_t *compiled,
    df_format_t format, const PGresult *res, ngx_uint_t row);

/* the first line of CSV */
size_t df_query_encode_header_bound(const df_compiled_t *compiled);
u_char *df_query_encode_header(u_char *p, const df_compiled_t *compiled);


/* sqlstate: PostgreSQL's refusals to problems, one table */

void df_query_problem(const df_request_t *r, const df_pg_error_t *error,
    df_problem_t *problem);
/* the same of a bulk's statement; part: what it was, or NULL */
typedef struct df_bulk_part_s  df_bulk_part_t;
void df_query_problem_part(const df_request_t *r, const df_pg_error_t *error,
    const df_bulk_part_t *part, df_problem_t *problem);


DF_HIDDEN_END


#endif /* _DF_QUERY_INTERNAL_H_INCLUDED_ */
