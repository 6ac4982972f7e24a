
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Whether a filter is one: what lets every row pass has to be asked for in so
 * many words.
 */


#include <ngx_config.h>
#include "query/bulk.h"
#include "query/expr.h"


static ngx_int_t df_bulk_truth(const df_predicate_t *p);
static ngx_int_t df_bulk_truth_field(const df_expr_t *expr, void *data);


ngx_uint_t
df_bulk_is_all(const df_predicate_t *filter)
{
    return df_bulk_truth(filter) == 1;
}


/* 1: the filter lets every row pass, 0: none, -1: that is for the rows to
   tell; what speaks of no field tells rows not from each other.  As deep as a
   filter may be. */

static ngx_int_t
df_bulk_truth(const df_predicate_t *p)
{
    ngx_int_t              truth, whole;
    const df_predicate_t  *child;

    static const ngx_str_t  nin = ngx_string("nin");

    if (p == NULL) {
        return 1;
    }

    if (p->kind == DF_PREDICATE_COMPARE) {
        return (p->op->operand == DF_OPERAND_LIST && p->noperands == 0)
               ? (ngx_int_t) df_query_same(&p->op->name, &nin) : -1;
    }

    if (p->kind == DF_PREDICATE_NOT) {
        truth = df_bulk_truth(p->children);
        return (truth == -1) ? -1 : !truth;
    }

    if (p->kind == DF_PREDICATE_EXPR) {
        return df_expr_walk(p->expr, df_bulk_truth_field, NULL) == NGX_OK
               ? 1 : -1;
    }

    whole = (p->kind == DF_PREDICATE_AND);

    for (child = p->children; child; child = child->next) {
        truth = df_bulk_truth(child);

        if (truth == (p->kind == DF_PREDICATE_OR)) {
            return truth;
        }

        if (truth == -1) {
            whole = -1;
        }
    }

    return whole;
}


static ngx_int_t
df_bulk_truth_field(const df_expr_t *expr, void *data)
{
    return (expr->kind == DF_EXPR_FIELD) ? NGX_DECLINED : NGX_OK;
}
