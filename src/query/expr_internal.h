
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files of expressions share among themselves.
 */


#ifndef _DF_QUERY_EXPR_INTERNAL_H_INCLUDED_
#define _DF_QUERY_EXPR_INTERNAL_H_INCLUDED_


#include "query/expr.h"


DF_HIDDEN_BEGIN


/* functions and operators: one table, expr_table.c */

typedef const df_type_t *(*df_expr_result_pt)(const df_expr_t *call);
typedef ngx_int_t (*df_expr_compile_pt)(df_compile_t *c,
    const df_expr_t *expr);

/*
 * What takes arguments of different types has a row for each choice; the first
 * that fits is meant.
 */

struct df_function_s {
    ngx_str_t            name;      /* in infix: a word or a sign */
    ngx_str_t            json;      /* behind its $; empty: the name */
    const char          *args;      /* a letter for each, expr_type.c; + at the
                                       end: one or more of the last, *: or
                                       none */
    df_kind_t            kind;      /* of the result, unless there is */
    df_expr_result_pt    result;    /* who tells it */
    const char          *sql;       /* %1 %2 … the arguments, %* all of them,
                                       %d of an aggregate: DISTINCT */
    df_expr_compile_pt   compile;   /* instead */
    unsigned             sign:1;    /* an operator, not called by its name */
    unsigned             chain:1;   /* sql stands between any number of
                                       arguments */
    unsigned             fold:1;    /* JSON: a b c is a b, c */
    unsigned             compare:1; /* an operator of filters */
    unsigned             aggregate:1;
    unsigned             zone:1;    /* the time zone is one more argument */
    unsigned             stable:1;  /* depends on more than its arguments */
    unsigned             unit:1;    /* the first argument is a unit and means
                                       the function of its name */
    unsigned             never_null:1;
    unsigned             null_all:1;    /* null when all arguments are */
};

/* the first row of a name; NULL when there is none.  sign: of an operator */
const df_function_t *df_expr_function(const ngx_str_t *name, ngx_uint_t sign);
const df_function_t *df_expr_function_json(const ngx_str_t *name);
/* the n-th that is called by its name, NULL behind the last */
const df_function_t *df_expr_function_at(ngx_uint_t n);
/* the next row of the same name, or NULL */
const df_function_t *df_expr_function_next(const df_function_t *function);
/* how JSON calls it, without $ */
const ngx_str_t *df_expr_function_member(const df_function_t *function);
/* nothing has this name, in infix or (dollar) in JSON */
ngx_int_t df_expr_function_refuse(df_problem_t *problem,
    const df_place_t *place, ngx_uint_t column, const ngx_str_t *name,
    ngx_uint_t dollar);


/* reading */

/* what the pieces of one expression have in common */
typedef struct {
    ngx_pool_t        *pool;
    df_problem_t      *problem;
    ngx_uint_t         nodes;
    ngx_uint_t         items;       /* of lists of literals */
    ngx_uint_t         depth;
} df_expr_reader_t;

typedef enum {
    DF_TOKEN_END = 0,
    DF_TOKEN_NAME,              /* text: name, name.name */
    DF_TOKEN_QUOTED,            /* the same, no keyword */
    DF_TOKEN_NUMBER,
    DF_TOKEN_TEXT,
    DF_TOKEN_PARAM,             /* text: the name without its $ */
    DF_TOKEN_SIGN               /* text: the sign */
} df_token_kind_t;

typedef struct {
    df_token_kind_t    kind;
    ngx_str_t          text;
    ngx_uint_t         column;
    const u_char      *start;
} df_token_t;

typedef struct {
    df_expr_reader_t  *reader;
    const df_place_t  *place;
    const u_char      *pos;
    const u_char      *last;
    ngx_uint_t         column;      /* of pos, from 1 */
    df_token_t         token;       /* the next one, looked at but not used */
} df_expr_lexer_t;

/* text: UTF-8; the first token is read */
ngx_int_t df_expr_lex_init(df_expr_lexer_t *lexer, df_expr_reader_t *reader,
    const ngx_str_t *text, const df_place_t *place);
ngx_int_t df_expr_lex(df_expr_lexer_t *lexer);
/* "expected %s, found …" at the token */
ngx_int_t df_expr_lex_refuse(df_expr_lexer_t *lexer, const char *expected);

/* words without regard to case */
ngx_uint_t df_expr_word_is(const ngx_str_t *word, const ngx_str_t *other);
/* the next token is this word or sign */
ngx_uint_t df_expr_token_is(const df_expr_lexer_t *lexer, const char *word);
ngx_int_t df_expr_token_expect(df_expr_lexer_t *lexer, const char *word,
    const char *expected);

/* what binds as tight as min, or tighter */
#define DF_LEVEL_OR  1
ngx_int_t df_expr_parse_level(df_expr_lexer_t *lexer, ngx_uint_t min,
    df_expr_t **expr);
/* expr_value.c */
ngx_int_t df_expr_parse_primary(df_expr_lexer_t *lexer, df_expr_t **expr);
/* what stands between ( and ), the first of which is read; * is nothing.
   separator: a comma, or what may stand instead of one */
ngx_int_t df_expr_parse_args(df_expr_lexer_t *lexer,
    const ngx_str_t *separator, df_expr_t **args);

ngx_int_t df_expr_parse_text(df_expr_reader_t *reader, const ngx_str_t *text,
    const df_place_t *place, df_expr_t **expr);

/* one level deeper, one node more */
ngx_int_t df_expr_enter(df_expr_reader_t *reader, const df_place_t *place,
    ngx_uint_t column);
ngx_int_t df_expr_create(df_expr_reader_t *reader, const df_place_t *place,
    ngx_uint_t column, df_expr_kind_t kind, df_expr_t **expr);
ngx_int_t df_expr_create_literal(df_expr_reader_t *reader,
    const df_place_t *place, ngx_uint_t column, df_literal_t literal,
    const ngx_str_t *text, df_expr_t **expr);
ngx_int_t df_expr_copy(df_expr_reader_t *reader, const df_expr_t *expr,
    df_expr_t **copy);
/* args: a list by next */
ngx_int_t df_expr_create_call(df_expr_reader_t *reader,
    const df_place_t *place, ngx_uint_t column, const df_function_t *function,
    df_expr_t *args, df_expr_t **expr);

ngx_int_t df_expr_refuse(df_problem_t *problem, df_problem_code_t code,
    const df_place_t *place, ngx_uint_t column, const char *item_code,
    const char *fmt, ...);
#define df_expr_refuse_at(scope, expr, item_code, ...)                        \
    df_expr_refuse((scope)->problem, DF_PROBLEM_INVALID_VALUE,                \
                   (expr)->place, (expr)->column, item_code, __VA_ARGS__)

static ngx_inline df_expr_t *
df_expr_arg(const df_expr_t *expr, ngx_uint_t n)
{
    df_expr_t  *arg;

    for (arg = expr->args; arg && n; n--) {
        arg = arg->next;
    }

    return arg;
}


/* types: expr_type.c */

/* a letter of function->args: which types it takes, "a number" */
typedef struct {
    u_char             letter;
    ngx_uint_t         kinds;       /* bits of df_kind_t */
    const char        *expected;
} df_expr_class_t;

const df_expr_class_t *df_expr_class(u_char letter);
#define DF_CLASS_COMMON  'y'        /* of one type with all others of it */
#define DF_CLASS_UNIT    'u'        /* the name of a unit of time */
#define DF_CLASS_RATIO   'r'        /* a number that is the same for all rows */
#define DF_CLASS_ARRAY   'a'
#define DF_CLASS_LIST    'l'        /* what in looks in: a list, or */
#define DF_CLASS_MEMBERS 'm'        /* an array of what others are */

/* condition, value, condition, value, … and perhaps a value */
extern const char  df_expr_case_args[];

/* characters of function->args */
#define DF_EXPR_MAX_CLASSES  8

/* the class of argument n of nargs, which is less than nargs */
u_char df_expr_class_at(const char *args, ngx_uint_t n, ngx_uint_t nargs);
ngx_uint_t df_expr_class_takes(const char *args, ngx_uint_t nargs);

/* the literal as a value of a type: NGX_DECLINED when it is none, with the
   error filled */
ngx_int_t df_expr_literal_as(ngx_pool_t *pool, df_expr_t *expr,
    const df_type_t *type, ngx_uint_t array, df_value_error_t *error);
/* of its own */
ngx_int_t df_expr_literal_type(ngx_pool_t *pool, df_expr_t *expr,
    df_value_error_t *error);

static ngx_inline ngx_uint_t
df_expr_is_literal(const df_expr_t *expr, df_literal_t literal)
{
    return expr->kind == DF_EXPR_LITERAL && expr->literal == literal;
}


static ngx_inline ngx_uint_t
df_expr_is_number(const df_type_t *type)
{
    return type != NULL && (type->flags & DF_TYPE_NUMBER);
}


/* what it is, to speak of it: "numeric", "text[]", "null" */
ngx_str_t df_expr_type_name(ngx_pool_t *pool, const df_expr_t *expr);

/* the type that values of both types have in common; NULL: there is none */
const df_type_t *df_expr_type_common(const df_type_t *a, const df_type_t *b);

const df_type_t *df_expr_result_first(const df_expr_t *call);
const df_type_t *df_expr_result_second(const df_expr_t *call);
const df_type_t *df_expr_result_plain(const df_expr_t *call);
const df_type_t *df_expr_result_arith(const df_expr_t *call);
const df_type_t *df_expr_result_common(const df_expr_t *call);
const df_type_t *df_expr_result_nullif(const df_expr_t *call);
const df_type_t *df_expr_result_sum(const df_expr_t *call);
const df_type_t *df_expr_result_avg(const df_expr_t *call);


/* checks: expr_check.c, expr_call.c, expr_common.c, expr_where.c */

/* types of a call whose arguments are checked; the row that is meant.  groups:
   it stands where there are no rows any more */
ngx_int_t df_expr_call_check(df_scope_t *scope, df_expr_t *expr,
    ngx_uint_t groups);

/* the arguments that must be of one type become so; NGX_ABORT: they cannot */
ngx_int_t df_expr_common_check(df_scope_t *scope, df_expr_t *expr,
    const char *args);

/* a comparison of a field with values: expr->predicate.  NGX_ABORT: it is
   none, and an expression like others */
ngx_int_t df_expr_compare_check(df_scope_t *scope, df_expr_t *expr);


/* compile: expr_compile.c */

ngx_int_t df_expr_compile_case(df_compile_t *c, const df_expr_t *expr);
ngx_int_t df_expr_compile_in(df_compile_t *c, const df_expr_t *expr);
ngx_int_t df_expr_compile_isnull(df_compile_t *c, const df_expr_t *expr);
ngx_int_t df_expr_compile_eq(df_compile_t *c, const df_expr_t *expr);


DF_HIDDEN_END


#endif /* _DF_QUERY_EXPR_INTERNAL_H_INCLUDED_ */
