
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Expressions: one language in two spellings,
 *
 *     sum(price * stock)          {"$sum": {"$multiply": ["price", "stock"]}}
 *
 * and one tree.  Text or JSON is parsed to a tree of names and literals;
 * df_expr_check() looks names up, checks types and turns literals into values
 * of the types they are used with; a checked tree is never changed again and
 * is compiled to SQL as often as it is wanted.  Names, operators and functions
 * are those of the tables here; every literal is a parameter.
 *
 *     expr_lex.c      words of infix       expr_check.c    names
 *     expr_parse.c    operators            expr_call.c     types of calls
 *     expr_value.c    what they stand at   expr_type.c     types
 *     expr_json.c     JSON                 expr_compile.c  SQL
 *     expr_table.c    what there is        expr_where.c    to predicates
 *     expr_tree.c     trees                expr_common.c   what is of one type
 */


#ifndef _DF_QUERY_EXPR_H_INCLUDED_
#define _DF_QUERY_EXPR_H_INCLUDED_


#include "query/query_internal.h"


DF_HIDDEN_BEGIN


typedef struct df_function_s  df_function_t;

typedef enum {
    DF_EXPR_LITERAL = 0,
    DF_EXPR_NAME,               /* before the check; then one of these: */
    DF_EXPR_FIELD,
    DF_EXPR_PARAM,
    DF_EXPR_CALL                /* of an operator or a function */
} df_expr_kind_t;

/* what a literal was written as, which with the other side gives its type */
typedef enum {
    DF_LITERAL_NULL = 0,
    DF_LITERAL_BOOLEAN,
    DF_LITERAL_NUMBER,
    DF_LITERAL_TEXT,
    DF_LITERAL_JSON,            /* an object of a filter in JSON */
    DF_LITERAL_LIST             /* the right side of in: its args */
} df_literal_t;

struct df_expr_s {
    df_expr_kind_t        kind;
    df_expr_t            *args;         /* of a call, a list by next */
    df_expr_t            *next;
    ngx_uint_t            nargs;

    const df_type_t      *type;         /* of its value, after the check; NULL
                                           for a null of any type */
    unsigned              array:1;
    unsigned              aggregate:1;  /* it is, or holds, an aggregate */
    unsigned              nullable:1;
    unsigned              distinct:1;   /* an aggregate of distinct values */
    unsigned              member:1;     /* a value of a filter in JSON */

    df_literal_t          literal;
    ngx_str_t             text;         /* a literal's, or the name */
    df_value_t            value;        /* of a literal, after the check */
    df_reference_t        ref;          /* of a field */
    const df_param_t     *param;
    const df_function_t  *function;
    df_expr_t            *filter;       /* of an aggregate: the rows it takes;
                                           or NULL */
    df_predicate_t       *predicate;    /* a comparison that filters have too;
                                           or NULL */

    const df_place_t     *place;        /* where it stands, to refuse it; of */
    ngx_uint_t            column;       /* infix the character, from 1; else
                                           0 */
};

#define DF_EXPR_MAX_NODES  500
#define DF_EXPR_MAX_DEPTH  32
#define DF_EXPR_MAX_TEXT   8192         /* bytes of an infix text */


/*
 * Parsers.  Places are kept by the tree: they must live in the pool (see
 * df_query_place_copy()).  NGX_OK, NGX_DECLINED with the problem filled or
 * NGX_ERROR.
 */

ngx_int_t df_expr_parse(ngx_pool_t *pool, const ngx_str_t *text,
    const df_place_t *place, df_expr_t **expr, df_problem_t *problem);

/* a string in JSON is an expression in infix, "price * stock" as well as
   "price"; {"price": {"$gt": 3}} compares as a filter does */
ngx_int_t df_expr_read(ngx_pool_t *pool, const cJSON *node,
    const df_place_t *place, df_expr_t **expr, df_problem_t *problem);

/*
 * "expr as name, expr, …": group_by= and aggregate= of a query string.  Names
 * that are not given are empty.
 */

typedef struct {
    ngx_str_t     name;
    df_expr_t    *expr;
} df_expr_named_t;

ngx_int_t df_expr_parse_list(ngx_pool_t *pool, const ngx_str_t *text,
    const df_place_t *place, ngx_array_t *named, df_problem_t *problem);


/* what may stand in an expression */
#define DF_EXPR_ROW         0x01        /* fields of rows, no aggregates */
#define DF_EXPR_AGGREGATED  0x02        /* aggregates, and of the fields what
                                           scope->outputs group by */

/*
 * Looks names up (outputs first, then params with $, then fields, which may
 * be reached by relations: joins are added to the scope), checks types, reads
 * literals.  An output's name stands for its expression.
 */
ngx_int_t df_expr_check(df_scope_t *scope, df_expr_t **expr,
    ngx_uint_t allow);

/* the checked expression as a filter, which must be boolean: what compares a
   field with values becomes the filter's own comparison, so that all spellings
   of a filter are one tree; the rest stays an expression */
ngx_int_t df_expr_predicate(df_scope_t *scope, df_expr_t *expr,
    df_predicate_t **predicate);

/* where=, of text or of JSON: parse, check, predicate; the place is copied */
ngx_int_t df_expr_where(df_scope_t *scope, const ngx_str_t *text,
    const df_place_t *place, df_predicate_t **predicate);
ngx_int_t df_expr_where_json(df_scope_t *scope, const cJSON *node,
    const df_place_t *place, df_predicate_t **predicate);

/*
 * A condition on rows of a model alone, as SQL that needs no parameters: the
 * predicate of a partial index.  The text is nginx.conf's; what depends on
 * more than the row (now(), the session) is refused.
 */
ngx_int_t df_expr_constant(ngx_pool_t *pool, const df_model_t *model,
    const ngx_str_t *text, ngx_str_t *sql, df_problem_t *problem);

/* SQL that can stand anywhere an operand can */
ngx_int_t df_expr_compile(df_compile_t *c, const df_expr_t *expr);

/* what an answer calls it when it has no other name: price, sum_price,
   date_trunc_created_at, count */
ngx_int_t df_expr_name(ngx_pool_t *pool, const df_expr_t *expr,
    ngx_str_t *name);

/* 1 when two checked expressions are the same */
ngx_uint_t df_expr_equal(const df_expr_t *a, const df_expr_t *b);

/* all that makes it this expression and no other, for a hash: checked ones of
   one model with equal texts are the same */
ngx_int_t df_expr_put(df_writer_t *w, const df_expr_t *expr);

/* calls visit() for the expression and all below it until one returns other
   than NGX_OK, which is returned */
typedef ngx_int_t (*df_expr_visit_pt)(const df_expr_t *expr, void *data);
ngx_int_t df_expr_walk(const df_expr_t *expr, df_expr_visit_pt visit,
    void *data);


DF_HIDDEN_END


#endif /* _DF_QUERY_EXPR_H_INCLUDED_ */
