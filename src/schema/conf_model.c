
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * "dataflow_model NAME { … }" of nginx.conf and the commands of its block but
 * "field".  Names are only looked up in finish.c, so that a block may be
 * written in any order.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/conf_internal.h"


static ngx_int_t df_schema_conf_index_option(df_index_t *index,
    const ngx_str_t *word);
static ngx_int_t df_schema_conf_index_add(ngx_conf_t *cf, df_index_t *index,
    const ngx_str_t *name);


static const df_conf_option_t  df_schema_conf_relation_options[] = {
    { ngx_string("reverse"), df_conf_set_str,
      offsetof(df_relation_t, reverse_name), 0, 0 },
    { ngx_null_string, NULL, 0, 0, 0 }
};


ngx_int_t
df_schema_conf_init(ngx_conf_t *cf, df_schema_conf_t *conf)
{
    df_schema_generation_init(conf);

    return ngx_array_init(&conf->models, cf->pool, 16, sizeof(df_model_t *));
}


df_model_t *
df_schema_conf_model(ngx_conf_t *cf, df_schema_conf_t *conf)
{
    ngx_str_t    *value;
    df_model_t   *model, **slot;

    value = cf->args->elts;

    if (df_schema_conf_name(cf, "model", &value[1]) != NGX_OK) {
        return NULL;
    }

    model = ngx_pcalloc(cf->pool, sizeof(df_model_t));
    if (model == NULL) {
        return NULL;
    }

    model->name = value[1];
    model->timestamps = NGX_CONF_UNSET;
    model->file = cf->conf_file->file.name.data;
    model->line = cf->conf_file->line;

    if (ngx_array_init(&model->fields, cf->pool, 16, sizeof(df_field_t))
        != NGX_OK
        || ngx_array_init(&model->relations, cf->pool, 2,
                          sizeof(df_relation_t))
           != NGX_OK
        || ngx_array_init(&model->reverses, cf->pool, 2, sizeof(df_reverse_t))
           != NGX_OK
        || ngx_array_init(&model->indexes, cf->pool, 2, sizeof(df_index_t))
           != NGX_OK)
    {
        return NULL;
    }

    if (df_conf_block(cf, DF_MODEL_BLOCK, model) != NGX_CONF_OK) {
        return NULL;
    }

    if (model->fields.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no field in model \"%V\": write \"field NAME "
                           "TYPE;\" for each column", &model->name);
        return NULL;
    }

    if (model->table.len == 0) {
        model->table = model->name;
    }

    ngx_conf_init_value(model->timestamps, 1);

    slot = ngx_array_push(&conf->models);
    if (slot == NULL) {
        return NULL;
    }

    *slot = model;

    return model;
}


char *
df_schema_conf_table(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_model_t *model = conf;

    u_char     *p;
    ngx_str_t  *value, schema, table;

    if (model->table.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    table = value[1];
    ngx_str_null(&schema);

    p = ngx_strlchr(table.data, table.data + table.len, '.');

    if (p) {
        schema.data = table.data;
        schema.len = p - table.data;
        table.len -= schema.len + 1;
        table.data = p + 1;

        if (df_schema_conf_name(cf, "schema", &schema) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (df_schema_conf_name(cf, "table", &table) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    model->schema = schema;
    model->table = table;

    return NGX_CONF_OK;
}


char *
df_schema_conf_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_model_t *model = conf;

    ngx_str_t  *value;

    if (model->key_name.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    model->key_name = value[1];
    model->key_file = cf->conf_file->file.name.data;
    model->key_line = cf->conf_file->line;

    return NGX_CONF_OK;
}


char *
df_schema_conf_index(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_model_t *model = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, last;
    df_index_t  *index;

    if (df_schema_conf_words(cf, 1, NGX_MAX_UINT32_VALUE,
                             "index FIELD ... [unique] [where=CONDITION];")
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    last = cf->args->nelts;

    index = ngx_array_push(&model->indexes);
    if (index == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(index, sizeof(df_index_t));

    index->file = cf->conf_file->file.name.data;
    index->line = cf->conf_file->line;

    while (last > 1
           && df_schema_conf_index_option(index, &value[last - 1]) == NGX_OK)
    {
        last--;
    }

    if (last == 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no field before \"%V\": write \"index FIELD "
                           "... [unique] [where=CONDITION];\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_array_init(&index->field_names, cf->pool, last - 1,
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < last; i++) {
        if (df_schema_conf_index_add(cf, index, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* a field may be called so, too, but then before what is an option; what
   follows where= is for others to read */

static ngx_int_t
df_schema_conf_index_option(df_index_t *index, const ngx_str_t *word)
{
    static const ngx_str_t  unique = ngx_string("unique");
    static const ngx_str_t  where = ngx_string("where=");

    if (df_schema_conf_equal(word, &unique) && !index->unique) {
        index->unique = 1;
        return NGX_OK;
    }

    if (word->len > where.len && index->where.len == 0
        && ngx_memcmp(word->data, where.data, where.len) == 0)
    {
        index->where.data = word->data + where.len;
        index->where.len = word->len - where.len;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
df_schema_conf_index_add(ngx_conf_t *cf, df_index_t *index,
    const ngx_str_t *name)
{
    ngx_str_t   *former;
    ngx_uint_t   i;

    former = index->field_names.elts;

    for (i = 0; i < index->field_names.nelts; i++) {
        if (df_schema_conf_equal(&former[i], name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate field \"%V\" in an index", name);
            return NGX_ERROR;
        }
    }

    former = ngx_array_push(&index->field_names);
    if (former == NULL) {
        return NGX_ERROR;
    }

    *former = *name;

    return NGX_OK;
}


char *
df_schema_conf_relation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_model_t *model = conf;

    ngx_str_t      *value;
    ngx_uint_t      i;
    df_relation_t  *relation;

    value = cf->args->elts;

    if (df_schema_conf_words(cf, 3, NGX_MAX_UINT32_VALUE,
                             "relation NAME MODEL FIELD [reverse=NAME|off];")
        != NGX_OK
        || df_schema_conf_query_name(cf, "relation", &value[1]) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    relation = model->relations.elts;

    for (i = 0; i < model->relations.nelts; i++) {
        if (df_schema_conf_equal(&relation[i].name, &value[1])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate relation \"%V\": the first is in "
                               "%s:%ui,", &value[1],
                               relation[i].file, relation[i].line);
            return NGX_CONF_ERROR;
        }
    }

    relation = ngx_array_push(&model->relations);
    if (relation == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(relation, sizeof(df_relation_t));

    relation->name = value[1];
    relation->target_name = value[2];
    relation->field_name = value[3];
    relation->file = cf->conf_file->file.name.data;
    relation->line = cf->conf_file->line;

    if (df_conf_options(cf, 4, df_schema_conf_relation_options, relation)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (relation->reverse_name.len == 3
        && ngx_memcmp(relation->reverse_name.data, "off", 3) == 0)
    {
        ngx_str_null(&relation->reverse_name);
        relation->one_way = 1;
    }

    if (relation->reverse_name.data
        && df_schema_conf_query_name(cf, "reverse", &relation->reverse_name)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
df_schema_conf_words(ngx_conf_t *cf, ngx_uint_t min, ngx_uint_t max,
    const char *form)
{
    ngx_str_t   *value;
    ngx_uint_t   n;

    n = cf->args->nelts - 1;

    if (n >= min && n <= max) {
        return NGX_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid number of arguments in \"%V\": write \"%s\"",
                       &value[0], form);

    return NGX_ERROR;
}


ngx_int_t
df_schema_conf_name(ngx_conf_t *cf, const char *what, const ngx_str_t *name)
{
    if (df_conf_is_name(name)) {
        return NGX_OK;
    }

    if (name->len > 63) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid %s name \"%V\": it has %uz bytes, "
                           "PostgreSQL's names have at most 63",
                           what, name, name->len);
        return NGX_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid %s name \"%V\": expected lower-case letters, "
                       "digits and underscores, and no digit first",
                       what, name);

    return NGX_ERROR;
}


ngx_int_t
df_schema_conf_query_name(ngx_conf_t *cf, const char *what,
    const ngx_str_t *name)
{
    if (df_schema_conf_name(cf, what, name) != NGX_OK) {
        return NGX_ERROR;
    }

    /* price__gte: what stands before the two underscores is the field */

    if (ngx_strstr(name->data, "__") || name->data[name->len - 1] == '_') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid %s name \"%V\": \"__\" stands between "
                           "field and operator in a query, so a name has no "
                           "two underscores in a row and none at its end",
                           what, name);
        return NGX_ERROR;
    }

    return NGX_OK;
}
