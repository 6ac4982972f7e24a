
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The options of a field against its type and against each other, so that
 * nothing contradictory gets as far as the database.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/conf_internal.h"


typedef ngx_int_t (*df_schema_conf_check_pt)(ngx_conf_t *cf,
    df_field_t *field, df_schema_conf_words_t *words);

typedef struct {
    ngx_str_t      word;
    ngx_str_t      sql;         /* what SQL calls it, where it is no text */
    df_default_t   kind;
    df_kind_t      type;        /* the only one, unless there are flags */
    ngx_uint_t     flags;
    const char    *expected;
} df_schema_conf_default_t;


static ngx_int_t df_schema_conf_check_array(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words);
static ngx_int_t df_schema_conf_check_unique(ngx_conf_t *cf,
    df_field_t *field, df_schema_conf_words_t *words);
static ngx_int_t df_schema_conf_check_bounds(ngx_conf_t *cf,
    df_field_t *field, df_schema_conf_words_t *words);
static ngx_int_t df_schema_conf_check_lengths(ngx_conf_t *cf,
    df_field_t *field, df_schema_conf_words_t *words);
static ngx_int_t df_schema_conf_check_pattern(ngx_conf_t *cf,
    df_field_t *field, df_schema_conf_words_t *words);
static ngx_int_t df_schema_conf_check_choices(ngx_conf_t *cf,
    df_field_t *field, df_schema_conf_words_t *words);
static ngx_int_t df_schema_conf_check_default(ngx_conf_t *cf,
    df_field_t *field, df_schema_conf_words_t *words);

static ngx_int_t df_schema_conf_misplaced(ngx_conf_t *cf,
    const df_field_t *field, const char *option, const char *where);
static ngx_int_t df_schema_conf_length(ngx_conf_t *cf,
    const df_field_t *field, const char *option, const ngx_str_t *word,
    ngx_uint_t *length);
static ngx_int_t df_schema_conf_choice(ngx_conf_t *cf, df_field_t *field,
    ngx_array_t *choices, ngx_str_t *word);
static ngx_int_t df_schema_conf_value(ngx_conf_t *cf, const df_field_t *field,
    const char *option, const ngx_str_t *word, ngx_str_t *text);
static ngx_int_t df_schema_conf_parse(ngx_conf_t *cf, const df_field_t *field,
    const ngx_str_t *word, df_value_t *value, df_value_error_t *error);


/* each relies on what those before it have put into the field */

static const df_schema_conf_check_pt  df_schema_conf_checks[] = {
    df_schema_conf_check_array,
    df_schema_conf_check_unique,
    df_schema_conf_check_bounds,
    df_schema_conf_check_pattern,
    df_schema_conf_check_choices,
    df_schema_conf_check_default,
};

#define DF_SCHEMA_CONF_CHECKS                                                 \
    (sizeof(df_schema_conf_checks) / sizeof(df_schema_conf_check_pt))


static const df_schema_conf_default_t  df_schema_conf_defaults[] = {
    { ngx_string("now"), ngx_string("now()"),
      DF_DEFAULT_NOW, DF_KINDS, DF_TYPE_TIME,
      "date, time, timestamp and timestamptz" },
    { ngx_string("uuid"), ngx_string("gen_random_uuid()"),
      DF_DEFAULT_UUID, DF_UUID, 0,
      "uuid" },
    { ngx_string("$sub"), ngx_null_string,
      DF_DEFAULT_SUB, DF_KINDS, DF_TYPE_TEXT,
      "text and varchar" },
    { ngx_string("$tenant"), ngx_null_string,
      DF_DEFAULT_TENANT, DF_KINDS, DF_TYPE_TEXT,
      "text and varchar" },
};

#define DF_SCHEMA_CONF_DEFAULTS                                               \
    (sizeof(df_schema_conf_defaults) / sizeof(df_schema_conf_default_t))


ngx_int_t
df_schema_conf_check(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
    ngx_uint_t  i;

    field->not_null = words->required.data != NULL;
    field->unique = words->unique.data != NULL;
    field->hidden = words->hidden.data != NULL;
    field->readonly = words->readonly.data != NULL;
    field->description = words->description;

    for (i = 0; i < DF_SCHEMA_CONF_CHECKS; i++) {
        if (df_schema_conf_checks[i](cf, field, words) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_uint_t
df_schema_conf_is_indexable(const df_field_t *field)
{
    return !field->array && field->type->kind != DF_JSON
           && field->type->kind != DF_BYTEA;
}


static ngx_int_t
df_schema_conf_check_array(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
    if (!field->array) {
        return NGX_OK;
    }

    if (words->min.data) {
        return df_schema_conf_misplaced(cf, field, "min", "not for arrays");
    }

    if (words->max.data) {
        return df_schema_conf_misplaced(cf, field, "max", "not for arrays");
    }

    if (words->pattern.data) {
        return df_schema_conf_misplaced(cf, field, "pattern",
                                        "not for arrays");
    }

    if (words->choices.data) {
        return df_schema_conf_misplaced(cf, field, "enum", "not for arrays");
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_check_unique(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
    if (field->unique && !df_schema_conf_is_indexable(field)) {
        return df_schema_conf_misplaced(cf, field, "unique",
                                        "not for json, bytea and arrays");
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_check_bounds(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
    ngx_str_t         min, max;
    const df_type_t  *type;

    if (words->min.data == NULL && words->max.data == NULL) {
        return NGX_OK;
    }

    type = field->type;

    if (type->flags & DF_TYPE_TEXT) {
        return df_schema_conf_check_lengths(cf, field, words);
    }

    if (!(type->flags & (DF_TYPE_NUMBER|DF_TYPE_TIME))
        && type->kind != DF_INTERVAL)
    {
        return df_schema_conf_misplaced(cf, field,
                                        words->min.data ? "min" : "max",
                                        "for numbers, times and texts");
    }

    ngx_str_null(&min);
    ngx_str_null(&max);

    if (words->min.data
        && df_schema_conf_value(cf, field, "min", &words->min, &min) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (words->max.data
        && df_schema_conf_value(cf, field, "max", &words->max, &max) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (min.data && max.data && type->compare(&min, &max) > 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "min \"%V\" of \"%V\" is over its max \"%V\"",
                           &words->min, &field->name, &words->max);
        return NGX_ERROR;
    }

    field->min = min;
    field->max = max;

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_check_lengths(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
    ngx_uint_t  min, max;

    min = 0;
    max = field->length;

    if (words->min.data
        && df_schema_conf_length(cf, field, "min", &words->min, &min)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (words->max.data
        && df_schema_conf_length(cf, field, "max", &words->max, &max)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (field->length && max > field->length) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "max \"%V\" of \"%V\" is over the length of "
                           "its type, varchar(%ui)",
                           &words->max, &field->name, field->length);
        return NGX_ERROR;
    }

    if (max && min > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "min \"%V\" of \"%V\" is over its max "
                           "\"%ui\"",
                           &words->min, &field->name, max);
        return NGX_ERROR;
    }

    field->min = words->min;
    field->max = words->max;

    if (field->length == 0) {
        field->length = max;
    }

    return NGX_OK;
}


#if (NGX_PCRE)

/* characters, not bytes: the values are known to be UTF-8 */

static const ngx_str_t  df_schema_conf_utf = ngx_string("(*UTF)");


/* the library tells the pattern with what was put before it */

static void
df_schema_conf_pattern_reason(ngx_str_t *reason)
{
    size_t   len;
    u_char  *p, *end;

    len = df_schema_conf_utf.len;
    end = reason->data + reason->len;

    for (p = reason->data; p + len <= end; p++) {
        if (ngx_memcmp(p, df_schema_conf_utf.data, len) == 0) {
            ngx_memmove(p, p + len, end - p - len);
            reason->len -= len;
            return;
        }
    }
}

#endif


static ngx_int_t
df_schema_conf_check_pattern(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
#if (NGX_PCRE)
    u_char               errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t  rc;
#endif

    if (words->pattern.data == NULL) {
        return NGX_OK;
    }

    if (!(field->type->flags & DF_TYPE_TEXT)) {
        return df_schema_conf_misplaced(cf, field, "pattern",
                                        "for text and varchar");
    }

#if (NGX_PCRE)

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern = df_str_printf(cf->pool, "%V%V", &df_schema_conf_utf,
                               &words->pattern);
    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        df_schema_conf_pattern_reason(&rc.err);

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid pattern \"%V\" of \"%V\": %V",
                           &words->pattern, &field->name, &rc.err);
        return NGX_ERROR;
    }

    field->regex = rc.regex;
    field->pattern = words->pattern;

    return NGX_OK;

#else

    return df_schema_conf_misplaced(cf, field, "pattern",
                                    "for an nginx that is built with PCRE");

#endif
}


static ngx_int_t
df_schema_conf_check_choices(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
    u_char       *p, *last;
    ngx_str_t     word;
    ngx_array_t  *choices;

    if (words->choices.data == NULL) {
        return NGX_OK;
    }

    if (!(field->type->flags & DF_TYPE_TEXT)) {
        return df_schema_conf_misplaced(cf, field, "enum",
                                        "for text and varchar");
    }

    choices = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (choices == NULL) {
        return NGX_ERROR;
    }

    word.data = words->choices.data;
    last = word.data + words->choices.len;

    do {
        p = ngx_strlchr(word.data, last, ',');
        word.len = (p ? p : last) - word.data;

        if (df_schema_conf_choice(cf, field, choices, &word) != NGX_OK) {
            return NGX_ERROR;
        }

        word.data += word.len + 1;

    } while (p);

    field->choices = choices;

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_check_default(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words)
{
    ngx_str_t                       *word;
    ngx_uint_t                       i, fits;
    const df_schema_conf_default_t  *known;

    word = &words->default_value;

    if (word->data == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < DF_SCHEMA_CONF_DEFAULTS; i++) {
        known = &df_schema_conf_defaults[i];

        fits = known->flags ? (field->type->flags & known->flags) != 0
                            : field->type->kind == known->type;

        if (fits && word->len && df_schema_conf_equal(&known->sql, word)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid default \"%V\" of \"%V\": write "
                               "\"default=%V\"", word, &field->name,
                               &known->word);
            return NGX_ERROR;
        }

        if (!df_schema_conf_equal(&known->word, word)) {
            continue;
        }

        if (field->array || !fits) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid default \"%V\" of \"%V\": it is "
                               "for fields of type %s", word, &field->name,
                               known->expected);
            return NGX_ERROR;
        }

        field->default_kind = known->kind;

        return NGX_OK;
    }

    if (word->len && word->data[0] == '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown variable \"%V\" in the default of "
                           "\"%V\": $sub and $tenant are known",
                           word, &field->name);
        return NGX_ERROR;
    }

    field->default_kind = DF_DEFAULT_LITERAL;

    return df_schema_conf_value(cf, field, "default", word,
                                &field->default_text);
}


static ngx_int_t
df_schema_conf_misplaced(ngx_conf_t *cf, const df_field_t *field,
    const char *option, const char *where)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "option \"%s\" cannot be used for \"%V\" of type "
                       "\"%V%s\": it is %s",
                       option, &field->name, &field->type->name,
                       field->array ? "[]" : "", where);

    return NGX_ERROR;
}


static ngx_int_t
df_schema_conf_length(ngx_conf_t *cf, const df_field_t *field,
    const char *option, const ngx_str_t *word, ngx_uint_t *length)
{
    ngx_int_t  n;

    n = ngx_atoi(word->data, word->len);

    if (n < 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid %s \"%V\" of \"%V\": expected a "
                           "number of characters, from 1",
                           option, word, &field->name);
        return NGX_ERROR;
    }

    *length = n;

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_choice(ngx_conf_t *cf, df_field_t *field, ngx_array_t *choices,
    ngx_str_t *word)
{
    ngx_str_t   *choice;
    ngx_uint_t   i;

    if (word->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty value in the enum of \"%V\": write "
                           "enum=one,two", &field->name);
        return NGX_ERROR;
    }

    choice = choices->elts;

    for (i = 0; i < choices->nelts; i++) {
        if (df_schema_conf_equal(&choice[i], word)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate value \"%V\" in the enum of "
                               "\"%V\"", word, &field->name);
            return NGX_ERROR;
        }
    }

    choice = ngx_array_push(choices);
    if (choice == NULL) {
        return NGX_ERROR;
    }

    return df_schema_conf_value(cf, field, "enum", word, choice);
}


static ngx_int_t
df_schema_conf_value(ngx_conf_t *cf, const df_field_t *field,
    const char *option, const ngx_str_t *word, ngx_str_t *text)
{
    ngx_int_t         rc;
    df_value_t        value;
    df_value_error_t  error;

    rc = df_schema_conf_parse(cf, field, word, &value, &error);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid %s \"%V\" of \"%V\": expected %V",
                           option, word, &field->name, &error.expected);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    *text = value.text;

    return NGX_OK;
}


static ngx_int_t
df_schema_conf_parse(ngx_conf_t *cf, const df_field_t *field,
    const ngx_str_t *word, df_value_t *value, df_value_error_t *error)
{
    cJSON            *node;
    ngx_int_t         rc;
    df_json_error_t   json;

    if (field->array || field->type->kind == DF_JSON) {
        error->expected = field->type->expected;

        if (field->array) {
            ngx_str_set(&error->expected, "a JSON array such as [1,2]");
        }

        node = df_json_parse(cf->pool, word, &json);
        if (node == NULL) {
            return NGX_DECLINED;
        }

        rc = df_schema_parse_json(field, cf->pool, node, 0, 1, value, error);

    } else {
        rc = df_schema_parse_text(field, cf->pool, word, 0, value, error);

        if (rc == NGX_OK) {
            rc = df_schema_constrain(field, cf->pool, value, error);
        }
    }

    if (rc == NGX_OK && value->null) {
        ngx_str_set(&error->expected, "a value: without a default it is null");
        return NGX_DECLINED;
    }

    return rc;
}
