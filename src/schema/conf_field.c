
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * "field NAME TYPE options…" of nginx.conf, and "param", which is the same for
 * what a report is asked with: what is written, word by word.
 * Whether the words fit together is looked at in conf_check.c, once all are
 * read, so that options may stand in any order.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/conf_internal.h"


#define DF_SCHEMA_VARCHAR_MAX    10485760
#define DF_SCHEMA_PRECISION_MAX  1000


typedef struct {
    ngx_str_t     name;
    size_t        offset;
    unsigned      takes_value:1;
    unsigned      param:1;              /* "param" has it too */
} df_schema_conf_option_t;

typedef struct {
    ngx_str_t     word;
    ngx_str_t     type;
} df_schema_conf_alias_t;


static ngx_int_t df_schema_conf_field_name(ngx_conf_t *cf, df_model_t *model,
    const ngx_str_t *name);
static ngx_int_t df_schema_conf_field_reserved(ngx_conf_t *cf,
    const ngx_str_t *name);
static ngx_int_t df_schema_conf_field_type(ngx_conf_t *cf, df_field_t *field,
    const ngx_str_t *word);
static ngx_int_t df_schema_conf_field_unknown(ngx_conf_t *cf,
    const df_field_t *field, const ngx_str_t *word);
static ngx_str_t *df_schema_conf_type_at(void *list, ngx_uint_t i);
static ngx_int_t df_schema_conf_field_length(ngx_conf_t *cf, df_field_t *field,
    const ngx_str_t *modifiers);
static ngx_int_t df_schema_conf_field_precision(ngx_conf_t *cf,
    df_field_t *field, const ngx_str_t *modifiers);
static char *df_schema_conf_field_read(ngx_conf_t *cf, df_field_t *field,
    ngx_uint_t param);
static ngx_int_t df_schema_conf_field_option(ngx_conf_t *cf,
    const df_field_t *field, const ngx_str_t *word, ngx_uint_t param,
    df_schema_conf_words_t *words);
static ngx_str_t *df_schema_conf_option_at(void *list, ngx_uint_t i);
static ngx_str_t *df_schema_conf_option_param_at(void *list, ngx_uint_t i);


static df_schema_conf_option_t  df_schema_conf_options[] = {
    { ngx_string("required"),
      offsetof(df_schema_conf_words_t, required), 0, 1 },
    { ngx_string("unique"),
      offsetof(df_schema_conf_words_t, unique), 0, 0 },
    { ngx_string("hidden"),
      offsetof(df_schema_conf_words_t, hidden), 0, 0 },
    { ngx_string("readonly"),
      offsetof(df_schema_conf_words_t, readonly), 0, 0 },
    { ngx_string("default"),
      offsetof(df_schema_conf_words_t, default_value), 1, 1 },
    { ngx_string("min"),
      offsetof(df_schema_conf_words_t, min), 1, 1 },
    { ngx_string("max"),
      offsetof(df_schema_conf_words_t, max), 1, 1 },
    { ngx_string("pattern"),
      offsetof(df_schema_conf_words_t, pattern), 1, 1 },
    { ngx_string("enum"),
      offsetof(df_schema_conf_words_t, choices), 1, 1 },
    { ngx_string("description"),
      offsetof(df_schema_conf_words_t, description), 1, 1 },
};

#define DF_SCHEMA_CONF_OPTIONS                                                \
    (sizeof(df_schema_conf_options) / sizeof(df_schema_conf_option_t))


/* of SQL */

static const ngx_str_t  df_schema_conf_not = ngx_string("not");
static const ngx_str_t  df_schema_conf_null = ngx_string("null");


/* types of other systems that the nearest name of ours would not explain */

static const df_schema_conf_alias_t  df_schema_conf_aliases[] = {
    { ngx_string("int"), ngx_string("integer") },
    { ngx_string("int2"), ngx_string("smallint") },
    { ngx_string("int4"), ngx_string("integer") },
    { ngx_string("int8"), ngx_string("bigint") },
    { ngx_string("long"), ngx_string("bigint") },
    { ngx_string("number"), ngx_string("numeric") },
    { ngx_string("decimal"), ngx_string("numeric") },
    { ngx_string("float"), ngx_string("double") },
    { ngx_string("float4"), ngx_string("real") },
    { ngx_string("float8"), ngx_string("double") },
    { ngx_string("bool"), ngx_string("boolean") },
    { ngx_string("string"), ngx_string("text") },
    { ngx_string("char"), ngx_string("varchar") },
    { ngx_string("jsonb"), ngx_string("json") },
    { ngx_string("object"), ngx_string("json") },
    { ngx_string("datetime"), ngx_string("timestamptz") },
    { ngx_string("blob"), ngx_string("bytea") },
    { ngx_string("binary"), ngx_string("bytea") },
    { ngx_string("cidr"), ngx_string("inet") },
};


/* parameters of a query: a filter on a field of such a name could not be
   told from them */

static const ngx_str_t  df_schema_conf_parameters[] = {
    ngx_string("sort"),
    ngx_string("limit"),
    ngx_string("offset"),
    ngx_string("cursor"),
    ngx_string("fields"),
    ngx_string("filter"),
    ngx_string("where"),
    ngx_string("count"),
    ngx_string("include"),
    ngx_string("dry_run"),
    ngx_null_string
};

static const ngx_str_t  df_schema_conf_columns[] = {
    ngx_string("tableoid"),
    ngx_string("xmin"),
    ngx_string("cmin"),
    ngx_string("xmax"),
    ngx_string("cmax"),
    ngx_string("ctid"),
    ngx_null_string
};


char *
df_schema_conf_field(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_model_t *model = conf;

    ngx_str_t   *value;
    df_field_t  *field;

    value = cf->args->elts;

    if (df_schema_conf_words(cf, 2, NGX_MAX_UINT32_VALUE,
                             "field NAME TYPE [OPTION ...];")
        != NGX_OK
        || df_schema_conf_field_name(cf, model, &value[1]) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    field = ngx_array_push(&model->fields);
    if (field == NULL) {
        return NGX_CONF_ERROR;
    }

    return df_schema_conf_field_read(cf, field, 0);
}


char *
df_schema_conf_param(ngx_conf_t *cf, df_field_t *field)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (df_schema_conf_words(cf, 2, NGX_MAX_UINT32_VALUE,
                             "param NAME TYPE [OPTION ...];")
        != NGX_OK
        || df_schema_conf_name(cf, "parameter", &value[1]) != NGX_OK
        || df_schema_conf_field_read(cf, field, 1) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (field->default_kind > DF_DEFAULT_NOW) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid default of \"%V\": the default of a "
                           "parameter is a literal or now", &field->name);
        return NGX_CONF_ERROR;
    }

    field->required = field->not_null;

    if (field->required && field->default_kind != DF_DEFAULT_NONE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "parameter \"%V\" is required and has a default: "
                           "leave one of them out", &field->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
df_schema_conf_field_read(ngx_conf_t *cf, df_field_t *field, ngx_uint_t param)
{
    ngx_str_t               *value;
    ngx_uint_t               i;
    df_schema_conf_words_t   words;

    value = cf->args->elts;

    ngx_memzero(field, sizeof(df_field_t));

    field->name = value[1];
    field->file = cf->conf_file->file.name.data;
    field->line = cf->conf_file->line;

    if (df_schema_conf_field_type(cf, field, &value[2]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&words, sizeof(df_schema_conf_words_t));

    for (i = 3; i < cf->args->nelts; i++) {
        if (df_schema_conf_field_option(cf, field, &value[i], param, &words)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (df_schema_conf_check(cf, field, &words) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
df_schema_conf_field_name(ngx_conf_t *cf, df_model_t *model,
    const ngx_str_t *name)
{
    df_field_t  *former;

    if (df_schema_conf_query_name(cf, "field", name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (df_schema_conf_field_reserved(cf, name) != NGX_OK) {
        return NGX_ERROR;
    }

    former = df_schema_field(model, name);

    if (former) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate field \"%V\": the first is in %s:%ui,",
                           name, former->file, former->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_field_reserved(ngx_conf_t *cf, const ngx_str_t *name)
{
    const ngx_str_t  *word;

    for (word = df_schema_conf_parameters; word->len; word++) {
        if (df_schema_conf_equal(word, name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "reserved field name \"%V\": sort, limit, "
                               "offset, cursor, fields, filter, where, count, "
                               "include and dry_run are parameters of a query",
                               name);
            return NGX_ERROR;
        }
    }

    for (word = df_schema_conf_columns; word->len; word++) {
        if (df_schema_conf_equal(word, name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "reserved field name \"%V\": tableoid, xmin, "
                               "cmin, xmax, cmax and ctid are columns that "
                               "every table of PostgreSQL has", name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_field_type(ngx_conf_t *cf, df_field_t *field,
    const ngx_str_t *word)
{
    u_char     *p;
    ngx_str_t   name, modifiers;

    name = *word;
    ngx_str_null(&modifiers);

    if (name.len > 2 && ngx_strcmp(name.data + name.len - 2, "[]") == 0) {
        field->array = 1;
        name.len -= 2;
    }

    if (ngx_strlchr(name.data, name.data + name.len, '[')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid type \"%V\" of \"%V\": an array is "
                           "written with one pair of brackets, such as text[]",
                           word, &field->name);
        return NGX_ERROR;
    }

    p = ngx_strlchr(name.data, name.data + name.len, '(');

    if (p) {
        if (name.data[name.len - 1] != ')') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid type \"%V\" of \"%V\": no "
                               "\")\", write it without blanks, such as "
                               "numeric(12,2)", word, &field->name);
            return NGX_ERROR;
        }

        modifiers.data = p + 1;
        modifiers.len = name.data + name.len - 1 - modifiers.data;
        name.len = p - name.data;
    }

    field->type = df_schema_type(&name);

    if (field->type == NULL) {
        return df_schema_conf_field_unknown(cf, field, &name);
    }

    if (field->type->kind == DF_VARCHAR) {
        return df_schema_conf_field_length(cf, field, &modifiers);
    }

    if (modifiers.data == NULL) {
        return NGX_OK;
    }

    if (field->type->kind == DF_NUMERIC) {
        return df_schema_conf_field_precision(cf, field, &modifiers);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid type \"%V\" of \"%V\": \"%V\" takes no "
                       "\"(%V)\", only varchar and numeric do",
                       word, &field->name, &field->type->name, &modifiers);

    return NGX_ERROR;
}


static ngx_int_t
df_schema_conf_field_unknown(ngx_conf_t *cf, const df_field_t *field,
    const ngx_str_t *word)
{
    ngx_str_t    known;
    ngx_uint_t   i, n;

    n = sizeof(df_schema_conf_aliases) / sizeof(df_schema_conf_alias_t);

    for (i = 0; i < n; i++) {
        if (df_schema_conf_equal(&df_schema_conf_aliases[i].word, word)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown type \"%V\" of \"%V\": it is "
                               "called \"%V\" here", word, &field->name,
                               &df_schema_conf_aliases[i].type);
            return NGX_ERROR;
        }
    }

    known = df_conf_known(cf, word, NULL, DF_KINDS, df_schema_conf_type_at);

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown type \"%V\" of \"%V\": %V; varchar(n) "
                       "and numeric(p,s) have a size, TYPE[] is an array",
                       word, &field->name, &known);

    return NGX_ERROR;
}


static ngx_str_t *
df_schema_conf_type_at(void *list, ngx_uint_t i)
{
    return (ngx_str_t *) &df_schema_type_of((df_kind_t) i)->name;
}


static ngx_int_t
df_schema_conf_field_length(ngx_conf_t *cf, df_field_t *field,
    const ngx_str_t *modifiers)
{
    ngx_int_t  n;

    n = ngx_atoi(modifiers->data, modifiers->len);

    if (n < 1 || n > DF_SCHEMA_VARCHAR_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid length \"%V\" of \"%V\": write "
                           "varchar(n), n from 1 to %d, or text",
                           modifiers, &field->name, DF_SCHEMA_VARCHAR_MAX);
        return NGX_ERROR;
    }

    field->length = n;

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_field_precision(ngx_conf_t *cf, df_field_t *field,
    const ngx_str_t *modifiers)
{
    u_char     *p, *last;
    ngx_int_t   precision, scale;

    last = modifiers->data + modifiers->len;
    p = ngx_strlchr(modifiers->data, last, ',');

    if (p) {
        precision = ngx_atoi(modifiers->data, p - modifiers->data);
        scale = ngx_atoi(p + 1, last - p - 1);

    } else {
        precision = ngx_atoi(modifiers->data, modifiers->len);
        scale = 0;
    }

    if (precision < 1 || precision > DF_SCHEMA_PRECISION_MAX
        || scale < 0 || scale > precision)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid precision \"%V\" of \"%V\": write "
                           "numeric(p,s), p digits from 1 to %d, s of them "
                           "behind the point", modifiers, &field->name,
                           DF_SCHEMA_PRECISION_MAX);
        return NGX_ERROR;
    }

    field->precision = precision;
    field->scale = scale;

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_field_option(ngx_conf_t *cf, const df_field_t *field,
    const ngx_str_t *word, ngx_uint_t param, df_schema_conf_words_t *words)
{
    u_char                   *p;
    ngx_str_t                 name, known, *value;
    ngx_uint_t                i;
    df_schema_conf_option_t  *option;

    name = *word;

    p = ngx_strlchr(word->data, word->data + word->len, '=');
    if (p) {
        name.len = p - word->data;
    }

    for (i = 0; i < DF_SCHEMA_CONF_OPTIONS; i++) {
        if (df_schema_conf_equal(&df_schema_conf_options[i].name, &name)) {
            break;
        }
    }

    if (i == DF_SCHEMA_CONF_OPTIONS
        || (param && !df_schema_conf_options[i].param))
    {
        if (df_schema_conf_equal(&name, &df_schema_conf_not)
            || df_schema_conf_equal(&name, &df_schema_conf_null))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown option \"%V\" of \"%V\": write "
                               "\"required\" for NOT NULL, nothing for NULL",
                               &name, &field->name);
            return NGX_ERROR;
        }

        known = df_conf_known(cf, &name, NULL, DF_SCHEMA_CONF_OPTIONS,
                              param ? df_schema_conf_option_param_at
                                    : df_schema_conf_option_at);

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown option \"%V\" of \"%V\": %V",
                           &name, &field->name, &known);
        return NGX_ERROR;
    }

    option = &df_schema_conf_options[i];
    value = (ngx_str_t *) ((u_char *) words + option->offset);

    if (value->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate option \"%V\" of \"%V\"",
                           &name, &field->name);
        return NGX_ERROR;
    }

    if (p && !option->takes_value) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid option \"%V\" of \"%V\": \"%V\" "
                           "takes no value", word, &field->name, &name);
        return NGX_ERROR;
    }

    /* only a default may be empty */

    if (option->takes_value
        && (p == NULL || (p[1] == '\0' && value != &words->default_value)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no value of option \"%V\" of \"%V\": write "
                           "\"%V=...\"", &name, &field->name, &name);
        return NGX_ERROR;
    }

    value->data = p ? p + 1 : word->data;
    value->len = word->data + word->len - value->data;

    return NGX_OK;
}


static ngx_str_t *
df_schema_conf_option_at(void *list, ngx_uint_t i)
{
    return &df_schema_conf_options[i].name;
}


static ngx_str_t *
df_schema_conf_option_param_at(void *list, ngx_uint_t i)
{
    df_schema_conf_option_t  *option;

    option = &df_schema_conf_options[i];

    return option->param ? &option->name : NULL;
}
