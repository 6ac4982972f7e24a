
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The operands of a comparison, from a query string's text or from JSON to
 * values.  What an operator takes stands in its table; how a value of a type
 * is written is the schema's to know.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_uint_t
df_query_operand_is_list(const df_predicate_t *p)
{
    return p->op->operand == DF_OPERAND_LIST
           || p->op->operand == DF_OPERAND_ELEMENTS
           || p->op->operand == DF_OPERAND_TWO;
}


/* room for n operands, when the operator takes so many */

static ngx_int_t
df_query_operand_room(df_filter_t *filter, const df_place_t *place,
    df_predicate_t *p, ngx_uint_t n)
{
    if (p->op->operand == DF_OPERAND_TWO && n != 2) {
        return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type", "expected two values");
    }

    if (n > DF_FILTER_MAX_LIST) {
        return df_query_refuse(filter->problem, DF_PROBLEM_LIMIT_EXCEEDED,
                               place, "limit_exceeded",
                               "a list has at most %d values",
                               DF_FILTER_MAX_LIST);
    }

    p->operands = ngx_pcalloc(filter->request->pool,
                              (n + 1) * sizeof(df_value_t));
    if (p->operands == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the field whose values the operands are: for text, keys and what is at a
   path there is none and "other" becomes it */

static const df_field_t *
df_query_operand_field(const df_predicate_t *p, df_field_t *other,
    ngx_uint_t *element)
{
    const df_type_t  *type;

    *element = (p->op->operand == DF_OPERAND_ELEMENT
                || p->op->operand == DF_OPERAND_ELEMENTS);

    type = df_query_operand_type(p);

    if (p->npath == 0 && type == p->field->type) {
        return p->field;
    }

    ngx_memzero(other, sizeof(df_field_t));
    other->type = type;
    *element = 0;

    return other;
}


static ngx_int_t
df_query_operand_refuse(df_filter_t *filter, const df_place_t *place,
    const df_value_error_t *error)
{
    return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE, place,
                           error->code, "expected %V", &error->expected);
}


static ngx_int_t
df_query_operand_flag(df_filter_t *filter, const ngx_str_t *text,
    const df_place_t *place, df_predicate_t *p)
{
    if ((text->len != 4 || ngx_memcmp(text->data, "true", 4) != 0)
        && (text->len != 5 || ngx_memcmp(text->data, "false", 5) != 0))
    {
        return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type", "expected true or false");
    }

    p->operands->text = *text;
    p->noperands = 1;

    return NGX_OK;
}


/* text */

static ngx_uint_t
df_query_digits_skip(const ngx_str_t *text, ngx_uint_t *i)
{
    ngx_uint_t  start;

    start = *i;

    while (*i < text->len
           && text->data[*i] >= '0' && text->data[*i] <= '9')
    {
        (*i)++;
    }

    return *i - start;
}


/* RFC 8259: what a number in the json field may look like */

static ngx_uint_t
df_query_text_is_number(const ngx_str_t *text)
{
    ngx_uint_t  i, n, first;

    i = (text->len && text->data[0] == '-');

    first = i;
    n = df_query_digits_skip(text, &i);

    if (n == 0 || (n > 1 && text->data[first] == '0')) {
        return 0;
    }

    if (i < text->len && text->data[i] == '.') {
        i++;

        if (df_query_digits_skip(text, &i) == 0) {
            return 0;
        }
    }

    if (i < text->len && (text->data[i] | 0x20) == 'e') {
        i++;

        if (i < text->len && (text->data[i] == '+' || text->data[i] == '-')) {
            i++;
        }

        if (df_query_digits_skip(text, &i) == 0) {
            return 0;
        }
    }

    return i == text->len;
}


static df_path_form_t
df_query_text_form(const df_predicate_t *p, const ngx_str_t *text)
{
    ngx_str_t  rest, word;

    if (p->op->operand == DF_OPERAND_ELEMENT
        || p->op->operand == DF_OPERAND_ELEMENTS)
    {
        return DF_PATH_JSON;
    }

    if (!p->op->ordered) {
        return DF_PATH_TEXT;
    }

    rest = *text;

    while (df_query_word_next(&rest, ',', &word)) {
        if (!df_query_text_is_number(&word)) {
            return DF_PATH_TEXT;
        }
    }

    return DF_PATH_NUMBER;
}


static ngx_int_t
df_query_text_value(df_filter_t *filter, const ngx_str_t *text,
    const df_place_t *place, df_predicate_t *p)
{
    ngx_int_t          rc;
    ngx_uint_t         element;
    df_field_t         other;
    const df_field_t  *field;
    df_value_error_t   error;

    field = df_query_operand_field(p, &other, &element);

    rc = df_schema_parse_text(field, filter->request->pool, text, element,
                              &p->operands[p->noperands], &error);
    if (rc == NGX_DECLINED) {
        return df_query_operand_refuse(filter, place, &error);
    }

    p->noperands++;

    return rc;
}


ngx_int_t
df_query_operand_text(df_filter_t *filter, const ngx_str_t *text,
    const df_place_t *place, df_predicate_t *p)
{
    ngx_int_t   rc;
    ngx_str_t   rest, word;
    df_place_t  at;
    ngx_uint_t  i, n, list;

    list = df_query_operand_is_list(p);

    for (i = 0, n = 1; list && i < text->len; i++) {
        n += (text->data[i] == ',');
    }

    rc = df_query_operand_room(filter, place, p, n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (p->op->operand == DF_OPERAND_FLAG) {
        return df_query_operand_flag(filter, text, place, p);
    }

    p->form = df_query_text_form(p, text);

    if (!list) {
        return df_query_text_value(filter, text, place, p);
    }

    rest = *text;

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;

    while (df_query_word_next(&rest, ',', &word)) {
        rc = df_query_text_value(filter, &word, &at, p);
        if (rc != NGX_OK) {
            return rc;
        }

        at.index++;
    }

    return NGX_OK;
}


/* json */

static ngx_int_t
df_query_json_form(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, df_predicate_t *p)
{
    df_json_kind_t  kind;

    if (!p->op->ordered) {
        p->form = (p->op->operand == DF_OPERAND_PATTERN) ? DF_PATH_TEXT
                                                         : DF_PATH_JSON;
        return NGX_OK;
    }

    if (p->op->operand == DF_OPERAND_TWO) {
        kind = df_json_kind(node->child);

        if (kind != df_json_kind(node->child->next)) {
            return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                                   place, "type",
                                   "expected two numbers or two strings");
        }

    } else {
        kind = df_json_kind(node);
    }

    if (kind != DF_JSON_NUMBER && kind != DF_JSON_STRING) {
        return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type",
                               "expected a number or a string");
    }

    p->form = (kind == DF_JSON_NUMBER) ? DF_PATH_NUMBER : DF_PATH_TEXT;

    return NGX_OK;
}


static ngx_int_t
df_query_json_value(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, df_predicate_t *p)
{
    ngx_int_t          rc;
    ngx_uint_t         element;
    df_value_t        *value;
    df_field_t         other;
    const df_field_t  *field;
    df_value_error_t   error;

    value = &p->operands[p->noperands];

    if (df_json_kind(node) == DF_JSON_NULL) {
        if (p->op->null == NULL && p->op->operand != DF_OPERAND_LIST) {
            return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                                   place, "null", "%V takes no null",
                                   &p->op->name);
        }

        value->null = 1;
        p->noperands++;

        return NGX_OK;
    }

    field = df_query_operand_field(p, &other, &element);

    rc = df_schema_parse_json(field, filter->request->pool, node, element, 0,
                              value, &error);
    if (rc == NGX_DECLINED) {
        return df_query_operand_refuse(filter, place, &error);
    }

    p->noperands++;

    return rc;
}


static ngx_int_t
df_query_json_list(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, df_predicate_t *p)
{
    ngx_int_t     rc;
    ngx_uint_t    n;
    df_place_t    at;
    const cJSON  *item;

    if (df_json_kind(node) != DF_JSON_ARRAY) {
        return df_query_refuse(filter->problem, DF_PROBLEM_INVALID_VALUE,
                               place, "type", "expected an array of values");
    }

    for (item = node->child, n = 0; item; item = item->next) {
        n++;
    }

    rc = df_query_operand_room(filter, place, p, n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (p->npath) {
        rc = df_query_json_form(filter, node, place, p);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_memzero(&at, sizeof(df_place_t));
    at.parent = place;

    for (item = node->child; item; item = item->next) {
        rc = df_query_json_value(filter, item, &at, p);
        if (rc != NGX_OK) {
            return rc;
        }

        at.index++;
    }

    return NGX_OK;
}


ngx_int_t
df_query_operand_json(df_filter_t *filter, const cJSON *node,
    const df_place_t *place, df_predicate_t *p)
{
    ngx_int_t       rc;
    ngx_str_t       text;
    df_json_kind_t  kind;

    if (df_query_operand_is_list(p)) {
        return df_query_json_list(filter, node, place, p);
    }

    rc = df_query_operand_room(filter, place, p, 1);
    if (rc != NGX_OK) {
        return rc;
    }

    kind = df_json_kind(node);

    if (p->op->operand == DF_OPERAND_FLAG) {
        ngx_str_null(&text);

        if (kind == DF_JSON_TRUE || kind == DF_JSON_FALSE) {
            text = df_json_text(node);
        }

        return df_query_operand_flag(filter, &text, place, p);
    }

    if (p->npath && kind != DF_JSON_NULL) {
        rc = df_query_json_form(filter, node, place, p);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return df_query_json_value(filter, node, place, p);
}
