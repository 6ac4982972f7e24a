
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the tables of this folder offer, for documents that are made of models:
 * the operators that a field takes, the parameters of an operation and the
 * functions of expressions.
 */


#include <ngx_config.h>
#include "query/expr_internal.h"


ngx_int_t
df_query_describe_operator(const df_field_t *field, ngx_uint_t path,
    ngx_uint_t n, df_operator_info_t *info)
{
    ngx_uint_t            element;
    const df_operator_t  *op;

    op = df_query_operator_at(field, path, n);

    if (op == NULL) {
        return NGX_DECLINED;
    }

    element = (op->operand == DF_OPERAND_ELEMENT
               || op->operand == DF_OPERAND_ELEMENTS);

    info->name = op->name;
    info->operand = op->operand;
    info->type = field->type;
    info->array = (field->array && !element);
    info->null = (op->null != NULL || op->operand == DF_OPERAND_LIST);

    if (op->operand == DF_OPERAND_FLAG) {
        info->type = df_schema_type_of(DF_BOOLEAN);
        info->array = 0;

    } else if (op->operand == DF_OPERAND_PATTERN
               || (element && !field->array))
    {
        info->type = df_schema_type_of(DF_TEXT);
    }

    return NGX_OK;
}


ngx_int_t
df_query_describe_update(const df_field_t *field, ngx_uint_t n,
    df_operator_info_t *info)
{
    const df_update_operator_t  *op;

    op = df_query_update_at(field, n);

    if (op == NULL) {
        return NGX_DECLINED;
    }

    info->name = op->name;
    info->operand = op->flag ? DF_OPERAND_FLAG
                             : op->on_array ? DF_OPERAND_ELEMENT
                                            : DF_OPERAND_ONE;
    info->type = op->on_json ? NULL : field->type;
    info->array = 0;
    info->null = op->on_array;

    return NGX_OK;
}


ngx_int_t
df_query_describe_parameter(df_operation_t op, ngx_uint_t n, ngx_str_t *name)
{
    const df_parameter_t  *parameter;

    parameter = df_query_parameter_at(op, n);

    if (parameter == NULL) {
        return NGX_DECLINED;
    }

    *name = parameter->name;

    return NGX_OK;
}


ngx_int_t
df_query_describe_function(ngx_uint_t n, ngx_str_t *name,
    ngx_uint_t *aggregate)
{
    const df_function_t  *function;

    function = df_expr_function_at(n);

    if (function == NULL) {
        return NGX_DECLINED;
    }

    *name = function->name;
    *aggregate = function->aggregate;

    return NGX_OK;
}
