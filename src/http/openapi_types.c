
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The values of fields as JSON Schema has them: in answers as they are
 * printed, in bodies and queries as they are taken.
 */


#include "http/openapi.h"


/* members of schemas, without "type" */

typedef struct {
    const char  *type;          /* NULL: any JSON */
    const char  *format;        /* in whatever way it is used */
    const char  *answer;        /* in answers; there are texts among them */
    const char  *body;          /* in bodies; texts stand for numbers, too */
} df_openapi_type_t;


/* powers of ten that are exact in any reader */
#define DF_OPENAPI_EXACT_DIGITS  15

#define DF_OPENAPI_WHOLE    "'pattern':'^[+-]?\\\\d+$'"
#define DF_OPENAPI_SPECIAL  "'pattern':'^(NaN|-?Infinity)$'"
#define DF_OPENAPI_DIGITS   "[+-]?\\\\d+([.]\\\\d+)?([eE][+-]?\\\\d+)?"
#define DF_OPENAPI_FINITE   "'pattern':'^" DF_OPENAPI_DIGITS "$'"
#define DF_OPENAPI_DECIMAL                                                    \
    "'pattern':'^(" DF_OPENAPI_DIGITS "|NaN|-?Infinity)$'"

static const df_openapi_type_t  df_openapi_types[DF_KINDS] = {

    [DF_SMALLINT] = { "integer", "'format':'int32'", NULL,
                      DF_OPENAPI_WHOLE },
    [DF_INTEGER] = { "integer", "'format':'int32'", NULL,
                     DF_OPENAPI_WHOLE },
    [DF_BIGINT] = { "integer", "'format':'int64'", NULL,
                    DF_OPENAPI_WHOLE },
    [DF_NUMERIC] = { "number", NULL, DF_OPENAPI_SPECIAL,
                     DF_OPENAPI_DECIMAL },
    [DF_REAL] = { "number", "'format':'float'", DF_OPENAPI_SPECIAL,
                  DF_OPENAPI_DECIMAL },
    [DF_DOUBLE] = { "number", "'format':'double'", DF_OPENAPI_SPECIAL,
                    DF_OPENAPI_DECIMAL },
    [DF_BOOLEAN] = { "boolean", NULL, NULL, NULL },
    [DF_TEXT] = { "string", NULL, NULL, NULL },
    [DF_VARCHAR] = { "string", NULL, NULL, NULL },
    [DF_UUID] = { "string", "'format':'uuid'", NULL, NULL },
    [DF_DATE] = { "string", "'format':'date'", NULL, NULL },
    [DF_TIME] = { "string", "'format':'time-local'", NULL, NULL },
    [DF_TIMESTAMP] = { "string", "'format':'date-time-local'", NULL, NULL },
    [DF_TIMESTAMPTZ] = { "string", "'format':'date-time'", NULL, NULL },
    [DF_INTERVAL] = { "string", NULL, NULL, NULL },
    [DF_JSON] = { NULL, NULL, NULL, NULL },
    [DF_BYTEA] = { "string", "'contentEncoding':'base64'", NULL, NULL },
    [DF_INET] = { "string", NULL, NULL, NULL }
};


static void df_openapi_scalar(df_writer_t *w, const df_field_t *field,
    df_openapi_use_t use, ngx_uint_t null);
static void df_openapi_constraints(df_writer_t *w, const df_field_t *field,
    ngx_uint_t null);
static void df_openapi_bound(df_writer_t *w, const df_field_t *field,
    const char *name, const ngx_str_t *bound);
static void df_openapi_lengths(df_writer_t *w, const df_field_t *field);
static void df_openapi_choices(df_writer_t *w, const df_field_t *field,
    ngx_uint_t null);
static ngx_int_t df_openapi_json_bytea(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *json);
static ngx_int_t df_openapi_json_array(ngx_pool_t *pool,
    const df_field_t *field, const ngx_str_t *text, ngx_str_t *json);
static ngx_int_t df_openapi_json_string(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_str_t *json);


void
df_openapi_value(df_writer_t *w, const df_field_t *field,
    df_openapi_use_t use, ngx_uint_t null)
{
    if (!field->array) {
        df_openapi_scalar(w, field, use, null);
        df_openapi_constraints(w, field, null);
        return;
    }

    df_json_put(w, null ? "'type':['array','null'],'items':{"
                        : "'type':'array','items':{");
    df_openapi_scalar(w, field, use, 1);
    df_openapi_constraints(w, field, 1);
    df_json_put(w, "}");
}


void
df_openapi_plain(df_writer_t *w, const df_type_t *type, ngx_uint_t array,
    df_openapi_use_t use, ngx_uint_t null)
{
    df_field_t  field;

    ngx_memzero(&field, sizeof(df_field_t));

    field.type = type;
    field.array = array;

    df_openapi_value(w, &field, use, null);
}


/*
 * Numbers of a precision are no NaN: the module lets none in.  JSON's null is
 * SQL's, so that what must not be null is anything else.
 */

static void
df_openapi_scalar(df_writer_t *w, const df_field_t *field,
    df_openapi_use_t use, ngx_uint_t null)
{
    const char               *more;
    const df_openapi_type_t  *type;

    type = &df_openapi_types[field->type->kind];

    if (type->type == NULL) {
        if (use == DF_OPENAPI_BODY && !null) {
            df_json_put(w, "'type':['object','array','string','number',"
                        "'boolean']");
        }

        return;
    }

    more = (use == DF_OPENAPI_ANSWER) ? type->answer
                                      : (use == DF_OPENAPI_BODY) ? type->body
                                                                 : NULL;

    if (more && field->precision) {
        more = (use == DF_OPENAPI_BODY) ? DF_OPENAPI_FINITE : NULL;
    }

    if (more == NULL && !null) {
        df_json_put(w, "'type':'%s'", type->type);

    } else {
        df_json_put(w, "'type':['%s'", type->type);

        if (more) {
            df_json_put(w, "'string'");
        }

        if (null) {
            df_json_put(w, "'null'");
        }

        df_json_put(w, "]");
    }

    if (type->format) {
        df_json_put(w, type->format);
    }

    if (more) {
        df_json_put(w, more);
    }
}


static void
df_openapi_constraints(df_writer_t *w, const df_field_t *field,
    ngx_uint_t null)
{
    const df_type_t  *type;

    type = field->type;

    if (type->flags & DF_TYPE_TEXT) {
        df_openapi_lengths(w, field);

        if (field->choices) {
            df_openapi_choices(w, field, null);
        }

        if (field->pattern.len
            && df_openapi_pattern_is_common(&field->pattern))
        {
            df_json_put(w, "'pattern':'%V'", &field->pattern);

        } else if (field->pattern.len) {
            df_json_put(w, "'x-dataflow-pattern':'%V'", &field->pattern);
        }

        return;
    }

    df_openapi_bound(w, field, "minimum", &field->min);
    df_openapi_bound(w, field, "maximum", &field->max);

    if (field->precision && field->precision - field->scale
                            <= DF_OPENAPI_EXACT_DIGITS)
    {
        df_json_put(w, "'exclusiveMinimum':-1e%u,'exclusiveMaximum':1e%u",
                    field->precision - field->scale,
                    field->precision - field->scale);
    }

    if (type->kind == DF_SMALLINT) {
        if (field->min.len == 0) {
            df_json_put(w, "'minimum':-32768");
        }

        if (field->max.len == 0) {
            df_json_put(w, "'maximum':32767");
        }
    }
}


/* JSON Schema bounds numbers only */

static void
df_openapi_bound(df_writer_t *w, const df_field_t *field, const char *name,
    const ngx_str_t *bound)
{
    ngx_str_t  number;

    if (bound->len == 0) {
        return;
    }

    if ((field->type->flags & DF_TYPE_NUMBER)
        && df_json_number_text(w->pool, bound, &number) == NGX_OK)
    {
        df_json_put(w, "'%s':%J", name, &number);

    } else {
        df_json_put(w, "'x-dataflow-%s':'%V'", name, bound);
    }
}


/* max= of a text is its length already */

static void
df_openapi_lengths(df_writer_t *w, const df_field_t *field)
{
    ngx_int_t   max;
    ngx_uint_t  length;

    if (field->min.len) {
        df_json_put(w, "'minLength':%i",
                    ngx_atoi(field->min.data, field->min.len));
    }

    length = field->length;
    max = ngx_atoi(field->max.data, field->max.len);

    if (max > 0 && (length == 0 || (ngx_uint_t) max < length)) {
        length = max;
    }

    if (length) {
        df_json_put(w, "'maxLength':%u", length);
    }
}


static void
df_openapi_choices(df_writer_t *w, const df_field_t *field, ngx_uint_t null)
{
    ngx_str_t   *choice;
    ngx_uint_t   i;

    choice = field->choices->elts;

    df_json_put(w, "'enum':[");

    for (i = 0; i < field->choices->nelts; i++) {
        df_json_put(w, "'%V'", &choice[i]);
    }

    df_json_put(w, null ? "null]" : "]");
}


void
df_openapi_default(df_writer_t *w, const df_field_t *field)
{
    ngx_str_t  json;

    static const char *const  words[] = {
        [DF_DEFAULT_NOW] = "now",
        [DF_DEFAULT_UUID] = "uuid",
        [DF_DEFAULT_SUB] = "$sub",
        [DF_DEFAULT_TENANT] = "$tenant"
    };

    switch (field->default_kind) {

    case DF_DEFAULT_NONE:
        return;

    case DF_DEFAULT_LITERAL:
        if (df_openapi_json(w->pool, field, &field->default_text, &json)
            == NGX_OK)
        {
            df_json_put(w, "'default':%J", &json);
        }

        return;

    default:
        df_json_put(w, "'x-dataflow-default':'%s'",
                    words[field->default_kind]);
    }
}


/* names */

ngx_str_t
df_openapi_type_name(ngx_pool_t *pool, const df_field_t *field)
{
    const char       *array;
    const df_type_t  *type;

    type = field->type;
    array = field->array ? "[]" : "";

    if (type->kind == DF_VARCHAR && field->length) {
        return df_str_printf(pool, "%V(%ui)%s", &type->name, field->length,
                             array);
    }

    if (field->precision) {
        return df_str_printf(pool, "%V(%ui,%ui)%s", &type->name,
                             field->precision, field->scale, array);
    }

    return df_str_printf(pool, "%V%s", &type->name, array);
}


ngx_str_t
df_openapi_type_key(ngx_pool_t *pool, const df_field_t *field)
{
    return df_str_printf(pool, "%V%s", &field->type->name,
                         field->array ? ".array" : "");
}


/* literals */

ngx_int_t
df_openapi_json(ngx_pool_t *pool, const df_field_t *field,
    const ngx_str_t *text, ngx_str_t *json)
{
    const df_type_t  *type;

    type = field->type;

    if (field->array) {
        return df_openapi_json_array(pool, field, text, json);
    }

    if (type->kind == DF_JSON || type->kind == DF_BOOLEAN) {
        *json = *text;
        return NGX_OK;
    }

    if (type->kind == DF_BYTEA) {
        return df_openapi_json_bytea(pool, text, json);
    }

    if ((type->flags & DF_TYPE_NUMBER)
        && df_json_number_text(pool, text, json) == NGX_OK)
    {
        return NGX_OK;
    }

    return df_openapi_json_string(pool, text, json);
}


/* PostgreSQL's text is hexadecimal behind \x */

static ngx_int_t
df_openapi_json_bytea(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *json)
{
    size_t     i;
    ngx_str_t  bytes, base64;

    bytes.len = text->len / 2 - 1;
    bytes.data = ngx_pnalloc(pool, bytes.len + 1);
    base64.data = ngx_pnalloc(pool, ngx_base64_encoded_length(bytes.len) + 1);

    if (bytes.data == NULL || base64.data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < bytes.len; i++) {
        bytes.data[i] = (u_char) ngx_hextoi(text->data + 2 + 2 * i, 2);
    }

    ngx_encode_base64(&base64, &bytes);

    return df_openapi_json_string(pool, &base64, json);
}


/* what df_schema_array() has made: {"a","b",NULL} */

static ngx_int_t
df_openapi_json_array(ngx_pool_t *pool, const df_field_t *field,
    const ngx_str_t *text, ngx_str_t *json)
{
    u_char       *p, *last, *dst;
    ngx_str_t     element, value;
    df_field_t    scalar;
    df_writer_t   w;

    scalar = *field;
    scalar.array = 0;

    p = text->data + 1;
    last = text->data + text->len - 1;

    if (df_writer_init(&w, pool, 256) != NGX_OK) {
        return NGX_ERROR;
    }

    df_json_put(&w, "[");

    while (p < last) {

        if (*p == 'N') {
            df_json_put(&w, "null");
            p += sizeof("NULL,") - 1;
            continue;
        }

        element.data = ngx_pnalloc(pool, last - p + 1);
        if (element.data == NULL) {
            return NGX_ERROR;
        }

        dst = element.data;

        for (p++; *p != '"'; *dst++ = *p++) {
            p += (*p == '\\');
        }

        *dst = '\0';
        element.len = dst - element.data;
        p += sizeof("\",") - 1;

        if (df_openapi_json(pool, &scalar, &element, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        df_json_put(&w, "%J", &value);
    }

    df_json_put(&w, "]");

    return df_writer_text(&w, json);
}


static ngx_int_t
df_openapi_json_string(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *json)
{
    df_writer_t  w;

    if (df_writer_init(&w, pool, text->len + 16) != NGX_OK) {
        return NGX_ERROR;
    }

    df_json_put(&w, "'%V'", text);

    return df_writer_text(&w, json);
}
