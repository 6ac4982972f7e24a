
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What is known of models only when the whole configuration is read: their
 * automatic fields and keys, and the SQL names of all of them.  Afterwards a
 * model never changes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/conf_internal.h"


static ngx_int_t df_schema_finish_model(ngx_conf_t *cf, df_model_t *model);
static ngx_int_t df_schema_finish_once(ngx_conf_t *cf, df_schema_conf_t *conf,
    ngx_uint_t i);
static void df_schema_finish_shared(ngx_conf_t *cf, df_schema_conf_t *conf,
    ngx_uint_t i);
static ngx_uint_t df_schema_finish_differs(const df_field_t *a,
    const df_field_t *b);
static ngx_int_t df_schema_finish_slot(ngx_conf_t *cf,
    df_database_t *database);
static ngx_int_t df_schema_finish_fields(ngx_conf_t *cf, df_model_t *model);
static ngx_int_t df_schema_finish_absent(ngx_conf_t *cf, df_model_t *model,
    ngx_str_t *name, const char *mend);
static df_field_t *df_schema_finish_add(df_model_t *model,
    ngx_array_t *fields, const ngx_str_t *name, df_kind_t kind);
static ngx_int_t df_schema_finish_key(ngx_conf_t *cf, df_model_t *model);
static ngx_int_t df_schema_finish_key_check(ngx_conf_t *cf, df_model_t *model,
    df_field_t *key);
static ngx_int_t df_schema_finish_field(ngx_conf_t *cf, df_field_t *field);
static ngx_int_t df_schema_finish_table(ngx_conf_t *cf, df_model_t *model);


static ngx_str_t  df_schema_id = ngx_string("id");
static ngx_str_t  df_schema_created_at = ngx_string("created_at");
static ngx_str_t  df_schema_updated_at = ngx_string("updated_at");


ngx_int_t
df_schema_finish(ngx_conf_t *cf, df_schema_conf_t *conf)
{
    ngx_uint_t      i, n;
    df_model_t    **model;
    df_relation_t  *relation;

    model = conf->models.elts;

    for (i = 0; i < conf->models.nelts; i++) {
        if (df_schema_finish_once(cf, conf, i) != NGX_OK
            || df_schema_finish_slot(cf, model[i]->database) != NGX_OK
            || df_schema_finish_model(cf, model[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* every target has its key now */

    for (i = 0; i < conf->models.nelts; i++) {
        df_schema_finish_shared(cf, conf, i);

        relation = model[i]->relations.elts;

        for (n = 0; n < model[i]->relations.nelts; n++) {
            if (df_schema_finish_relation(cf, conf, model[i], &relation[n])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return df_schema_finish_reverses(cf, conf);
}


static ngx_int_t
df_schema_finish_model(ngx_conf_t *cf, df_model_t *model)
{
    uint32_t     crc;
    ngx_uint_t   i;
    df_field_t  *field;

    if (df_schema_finish_fields(cf, model) != NGX_OK
        || df_schema_finish_key(cf, model) != NGX_OK
        || df_schema_finish_table(cf, model) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_crc32_init(crc);

    for (i = 0; i < model->fields.nelts; i++) {
        field = df_schema_field_at(model, i);
        field->index = i;

        if (df_schema_finish_field(cf, field) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_crc32_update(&crc, field->selected.data, field->selected.len + 1);
        ngx_crc32_update(&crc, field->type->name.data, field->type->name.len);
        ngx_crc32_update(&crc, (u_char *) (field->hidden ? "-" : "+"), 1);
    }

    ngx_crc32_final(crc);

    model->signature = df_str_printf(cf->pool, "%08xD", crc);
    if (model->signature.len == 0) {
        return NGX_ERROR;
    }

    for (i = 0; i < model->indexes.nelts; i++) {
        if (df_schema_finish_index(cf, model, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_finish_once(ngx_conf_t *cf, df_schema_conf_t *conf, ngx_uint_t i)
{
    ngx_uint_t    n;
    df_model_t  **model;

    model = conf->models.elts;

    for (n = 0; n < i; n++) {
        if (model[n]->database == model[i]->database
            && df_schema_conf_equal(&model[n]->name, &model[i]->name))
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "duplicate model \"%V\" of database \"%V\": the "
                          "first is in %s:%ui, in %s:%ui",
                          &model[i]->name, &model[i]->database->name,
                          model[n]->file, model[n]->line,
                          model[i]->file, model[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* two models may have one table, but a column has one type */

static void
df_schema_finish_shared(ngx_conf_t *cf, df_schema_conf_t *conf, ngx_uint_t i)
{
    df_field_t   *field, *other;
    ngx_uint_t    n, k;
    df_model_t  **model;

    model = conf->models.elts;

    for (n = 0; n < i; n++) {

        if (model[n]->database != model[i]->database
            || !df_schema_conf_equal(&model[n]->quoted, &model[i]->quoted))
        {
            continue;
        }

        for (k = 0; k < model[i]->fields.nelts; k++) {
            field = df_schema_field_at(model[i], k);
            other = df_schema_field(model[n], &field->name);

            if (other == NULL || !df_schema_finish_differs(field, other)) {
                continue;
            }

            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "field \"%V\" of table \"%V\" has another type in "
                          "model \"%V\" in %s:%ui than in model \"%V\" in "
                          "%s:%ui", &field->name, &model[i]->table,
                          &model[n]->name, other->file, other->line,
                          &model[i]->name, field->file, field->line);
        }
    }
}


static ngx_uint_t
df_schema_finish_differs(const df_field_t *a, const df_field_t *b)
{
    return a->type != b->type || a->array != b->array
           || a->precision != b->precision || a->scale != b->scale
           || (a->type->kind == DF_VARCHAR && a->length != b->length);
}


static ngx_int_t
df_schema_finish_slot(ngx_conf_t *cf, df_database_t *database)
{
    if (database->migration || database->migrate == DF_MIGRATE_OFF) {
        return NGX_OK;
    }

    database->migration = df_zone_slot(cf, database->zone, "migration",
                                       &database->name,
                                       sizeof(df_migration_t));

    return database->migration ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
df_schema_finish_fields(ngx_conf_t *cf, df_model_t *model)
{
    df_field_t   *field;
    ngx_array_t   fields;

    if (ngx_array_init(&fields, cf->pool, model->fields.nelts + 3,
                       sizeof(df_field_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (model->key_name.data == NULL) {
        if (df_schema_finish_absent(cf, model, &df_schema_id,
                                    "add \"key id;\" to make it the key")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        field = df_schema_finish_add(model, &fields, &df_schema_id, DF_BIGINT);

        field->identity = 1;
        model->key_name = df_schema_id;
    }

    field = ngx_array_push_n(&fields, model->fields.nelts);

    ngx_memcpy(field, model->fields.elts,
               model->fields.nelts * sizeof(df_field_t));

    if (model->timestamps) {
        if (df_schema_finish_absent(cf, model, &df_schema_created_at,
                                    "add \"timestamps off;\" to keep it")
            != NGX_OK
            || df_schema_finish_absent(cf, model, &df_schema_updated_at,
                                       "add \"timestamps off;\" to keep it")
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        field = df_schema_finish_add(model, &fields, &df_schema_created_at,
                                     DF_TIMESTAMPTZ);
        field->default_kind = DF_DEFAULT_NOW;
        model->created_at = field;

        field = df_schema_finish_add(model, &fields, &df_schema_updated_at,
                                     DF_TIMESTAMPTZ);
        field->default_kind = DF_DEFAULT_NOW;
        model->updated_at = field;
    }

    model->fields = fields;

    return NGX_OK;
}


static ngx_int_t
df_schema_finish_absent(ngx_conf_t *cf, df_model_t *model, ngx_str_t *name,
    const char *mend)
{
    df_field_t  *field;

    field = df_schema_field(model, name);

    if (field == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "field \"%V\" of model \"%V\" is one that the model has by "
                  "itself: %s, or remove it, in %s:%ui",
                  name, &model->name, mend, field->file, field->line);

    return NGX_ERROR;
}


/* fields has room for what is added here */

static df_field_t *
df_schema_finish_add(df_model_t *model, ngx_array_t *fields,
    const ngx_str_t *name, df_kind_t kind)
{
    df_field_t  *field;

    field = ngx_array_push(fields);

    ngx_memzero(field, sizeof(df_field_t));

    field->name = *name;
    field->type = df_schema_type_of(kind);
    field->not_null = 1;
    field->generated = 1;
    field->readonly = 1;
    field->file = model->file;
    field->line = model->line;

    return field;
}


static ngx_int_t
df_schema_finish_key(ngx_conf_t *cf, df_model_t *model)
{
    ngx_str_t    known;
    df_field_t  *key;

    key = df_schema_field(model, &model->key_name);

    if (key == NULL) {
        known = df_conf_known(cf, &model->key_name, model,
                              model->fields.nelts, df_schema_finish_field_at);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown field \"%V\" as the key of model \"%V\": %V "
                      "in %s:%ui", &model->key_name, &model->name, &known,
                      model->key_file, model->key_line);
        return NGX_ERROR;
    }

    if (!key->identity
        && df_schema_finish_key_check(cf, model, key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (key->type->kind == DF_UUID && key->default_kind == DF_DEFAULT_NONE) {
        key->default_kind = DF_DEFAULT_UUID;
    }

    key->key = 1;
    key->not_null = 1;
    key->unique = 0;

    model->key = key;

    return NGX_OK;
}


static ngx_int_t
df_schema_finish_key_check(ngx_conf_t *cf, df_model_t *model, df_field_t *key)
{
    const char  *reason;

    if (key->array
        || (key->type->kind != DF_UUID && key->type->kind != DF_SMALLINT
            && key->type->kind != DF_INTEGER && key->type->kind != DF_BIGINT
            && key->type->kind != DF_TEXT && key->type->kind != DF_VARCHAR))
    {
        reason = "a key is smallint, integer, bigint, text, varchar or uuid";

    } else if (key->hidden) {
        reason = "it is hidden, and a key is a part of paths";

    } else if (key->default_kind == DF_DEFAULT_LITERAL) {
        reason = "a default would give every row the same key";

    } else {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "field \"%V\" cannot be the key of model \"%V\": %s in "
                  "%s:%ui", &key->name, &model->name, reason,
                  model->key_file, model->key_line);

    return NGX_ERROR;
}


static ngx_int_t
df_schema_finish_field(ngx_conf_t *cf, df_field_t *field)
{
    field->required = field->not_null && !field->generated
                      && field->default_kind == DF_DEFAULT_NONE;

    if (field->required && field->readonly) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "field \"%V\" is readonly and has to have a value, but "
                      "nothing gives it one: add \"default=...\" in %s:%ui",
                      &field->name, field->file, field->line);
        return NGX_ERROR;
    }

    field->quoted = df_str_printf(cf->pool, "\"%V\"", &field->name);
    field->member = df_str_printf(cf->pool, "\"%V\":", &field->name);

    if (field->type->kind == DF_REAL || field->type->kind == DF_DOUBLE) {
        field->selected = df_str_printf(cf->pool, "%V::text%s",
                                        &field->quoted,
                                        field->array ? "[]" : "");

    } else {
        field->selected = field->quoted;
    }

    if (field->quoted.len == 0 || field->member.len == 0
        || field->selected.len == 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_finish_table(ngx_conf_t *cf, df_model_t *model)
{
    if (model->schema.len) {
        model->quoted = df_str_printf(cf->pool, "\"%V\".\"%V\"",
                                      &model->schema, &model->table);

    } else {
        model->quoted = df_str_printf(cf->pool, "\"%V\"", &model->table);
    }

    return model->quoted.len ? NGX_OK : NGX_ERROR;
}
