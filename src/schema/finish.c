
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What is known of models only when the whole configuration is read: their
 * automatic fields, keys, indexes and relations, and the SQL names of all of
 * them.  Afterwards a model never changes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/conf_internal.h"


#define DF_SCHEMA_NAME_MAX  63


typedef struct {
    df_schema_conf_t    *conf;
    const df_database_t *database;
} df_schema_models_t;


static ngx_int_t df_schema_finish_model(ngx_conf_t *cf, df_model_t *model);
static ngx_int_t df_schema_finish_once(ngx_conf_t *cf, df_schema_conf_t *conf,
    ngx_uint_t i);
static ngx_int_t df_schema_finish_slot(ngx_conf_t *cf, df_database_t *database);
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
static ngx_int_t df_schema_finish_index(ngx_conf_t *cf, df_model_t *model,
    ngx_uint_t i);
static ngx_int_t df_schema_finish_index_fields(ngx_conf_t *cf,
    df_model_t *model, df_index_t *index);
static ngx_uint_t df_schema_finish_same(const df_index_t *a,
    const df_index_t *b);
static ngx_int_t df_schema_finish_index_name(ngx_conf_t *cf,
    df_model_t *model, df_index_t *index);
static ngx_int_t df_schema_finish_relation(ngx_conf_t *cf,
    df_schema_conf_t *conf, df_model_t *model, df_relation_t *relation);
static ngx_int_t df_schema_finish_relation_field(ngx_conf_t *cf,
    df_model_t *model, df_relation_t *relation);
static ngx_str_t *df_schema_finish_field_at(void *list, ngx_uint_t i);
static ngx_str_t *df_schema_finish_model_at(void *list, ngx_uint_t i);


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
        relation = model[i]->relations.elts;

        for (n = 0; n < model[i]->relations.nelts; n++) {
            if (df_schema_finish_relation(cf, conf, model[i], &relation[n])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
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


static ngx_int_t
df_schema_finish_slot(ngx_conf_t *cf, df_database_t *database)
{
    if (database->migration) {
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

    if (field->array) {
        field->selected = df_str_printf(cf->pool, "%V::text[]",
                                        &field->quoted);

    } else if (field->type->kind == DF_REAL || field->type->kind == DF_DOUBLE)
    {
        field->selected = df_str_printf(cf->pool, "%V::text", &field->quoted);

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


static ngx_int_t
df_schema_finish_index(ngx_conf_t *cf, df_model_t *model, ngx_uint_t i)
{
    ngx_uint_t    n;
    df_field_t  **field;
    df_index_t   *index, *former;

    former = model->indexes.elts;
    index = &former[i];

    if (df_schema_finish_index_fields(cf, model, index) != NGX_OK) {
        return NGX_ERROR;
    }

    field = index->fields.elts;

    if (index->fields.nelts == 1 && (field[0]->key || field[0]->unique)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "superfluous index on field \"%V\" of model \"%V\": as "
                      "%s it has one in %s:%ui",
                      &field[0]->name, &model->name,
                      field[0]->key ? "the key" : "a unique field",
                      index->file, index->line);
        return NGX_ERROR;
    }

    for (n = 0; n < i; n++) {
        if (df_schema_finish_same(&former[n], index)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "duplicate index of model \"%V\" from field \"%V\" "
                          "on: the first is in %s:%ui, in %s:%ui",
                          &model->name, &field[0]->name,
                          former[n].file, former[n].line,
                          index->file, index->line);
            return NGX_ERROR;
        }
    }

    return df_schema_finish_index_name(cf, model, index);
}


static ngx_int_t
df_schema_finish_index_fields(ngx_conf_t *cf, df_model_t *model,
    df_index_t *index)
{
    ngx_str_t    *name, known;
    ngx_uint_t    i;
    df_field_t   *field, **slot;

    name = index->field_names.elts;

    if (ngx_array_init(&index->fields, cf->pool, index->field_names.nelts,
                       sizeof(df_field_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < index->field_names.nelts; i++) {
        field = df_schema_field(model, &name[i]);

        if (field == NULL) {
            known = df_conf_known(cf, &name[i], model, model->fields.nelts,
                                  df_schema_finish_field_at);

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown field \"%V\" in an index of model \"%V\": "
                          "%V in %s:%ui", &name[i], &model->name, &known,
                          index->file, index->line);
            return NGX_ERROR;
        }

        if (!df_schema_conf_is_indexable(field)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "field \"%V\" cannot be in an index of model "
                          "\"%V\": it is of type %V%s, and json, bytea and "
                          "arrays have no index of this kind in %s:%ui",
                          &name[i], &model->name, &field->type->name,
                          field->array ? "[]" : "", index->file, index->line);
            return NGX_ERROR;
        }

        slot = ngx_array_push(&index->fields);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = field;
    }

    return NGX_OK;
}


static ngx_uint_t
df_schema_finish_same(const df_index_t *a, const df_index_t *b)
{
    return a->fields.nelts == b->fields.nelts
           && ngx_memcmp(a->fields.elts, b->fields.elts,
                         a->fields.nelts * sizeof(df_field_t *))
              == 0;
}


/*
 * <table>_<fields>_idx or _key, as PostgreSQL would choose.  A name that is
 * too long, or that fields "a_b", "c" would share with "a", "b_c", ends with a
 * hash instead.
 */

static ngx_int_t
df_schema_finish_index_name(ngx_conf_t *cf, df_model_t *model,
    df_index_t *index)
{
    uint32_t      crc;
    ngx_str_t     name;
    ngx_uint_t    i, taken;
    const char   *suffix;
    df_field_t  **field;
    df_index_t   *former;

    suffix = index->unique ? "key" : "idx";
    field = index->fields.elts;
    name = model->table;

    ngx_crc32_init(crc);
    ngx_crc32_update(&crc, name.data, name.len);

    for (i = 0; i < index->fields.nelts; i++) {
        name = df_str_printf(cf->pool, "%V_%V", &name, &field[i]->name);
        ngx_crc32_update(&crc, field[i]->quoted.data, field[i]->quoted.len);
    }

    ngx_crc32_final(crc);

    index->name = df_str_printf(cf->pool, "%V_%s", &name, suffix);

    taken = 0;
    former = model->indexes.elts;

    for (i = 0; &former[i] != index; i++) {
        if (df_schema_conf_equal(&former[i].name, &index->name)) {
            taken = 1;
        }
    }

    if (taken || index->name.len > DF_SCHEMA_NAME_MAX) {
        name.len = ngx_min(name.len,
                           DF_SCHEMA_NAME_MAX - sizeof("_01234567_idx") + 1);
        index->name = df_str_printf(cf->pool, "%V_%08xD_%s", &name, crc,
                                    suffix);
    }

    return index->name.len ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
df_schema_finish_relation(ngx_conf_t *cf, df_schema_conf_t *conf,
    df_model_t *model, df_relation_t *relation)
{
    ngx_str_t            known;
    ngx_uint_t           i;
    df_model_t         **target;
    df_schema_models_t   models;

    if (df_schema_finish_relation_field(cf, model, relation) != NGX_OK) {
        return NGX_ERROR;
    }

    target = conf->models.elts;

    for (i = 0; i < conf->models.nelts; i++) {
        if (target[i]->database == model->database
            && df_schema_conf_equal(&target[i]->name, &relation->target_name))
        {
            relation->target = target[i];
            break;
        }
    }

    if (relation->target == NULL) {
        models.conf = conf;
        models.database = model->database;

        known = df_conf_known(cf, &relation->target_name, &models,
                              conf->models.nelts, df_schema_finish_model_at);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown model \"%V\" in relation \"%V\": %V in %s:%ui",
                      &relation->target_name, &relation->name, &known,
                      relation->file, relation->line);
        return NGX_ERROR;
    }

    if (relation->field->array
        || relation->field->type != relation->target->key->type)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "field \"%V\" of relation \"%V\" is %V%s, the key of "
                      "model \"%V\" is %V: the types must be equal in %s:%ui",
                      &relation->field_name, &relation->name,
                      &relation->field->type->name,
                      relation->field->array ? "[]" : "",
                      &relation->target_name,
                      &relation->target->key->type->name,
                      relation->file, relation->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_finish_relation_field(ngx_conf_t *cf, df_model_t *model,
    df_relation_t *relation)
{
    ngx_str_t  known;

    if (df_schema_field(model, &relation->name)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "relation \"%V\" of model \"%V\" has the name of a "
                      "field, and records hold both in %s:%ui",
                      &relation->name, &model->name,
                      relation->file, relation->line);
        return NGX_ERROR;
    }

    relation->field = df_schema_field(model, &relation->field_name);

    if (relation->field == NULL) {
        known = df_conf_known(cf, &relation->field_name, model,
                              model->fields.nelts, df_schema_finish_field_at);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown field \"%V\" in relation \"%V\": %V in %s:%ui",
                      &relation->field_name, &relation->name, &known,
                      relation->file, relation->line);
        return NGX_ERROR;
    }

    if (relation->field->hidden) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "field \"%V\" of relation \"%V\" is hidden, and the "
                      "relation would show it in %s:%ui",
                      &relation->field_name, &relation->name,
                      relation->file, relation->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_str_t *
df_schema_finish_field_at(void *list, ngx_uint_t i)
{
    return &df_schema_field_at(list, i)->name;
}


static ngx_str_t *
df_schema_finish_model_at(void *list, ngx_uint_t i)
{
    df_schema_models_t *models = list;

    df_model_t  **model;

    model = models->conf->models.elts;

    return model[i]->database == models->database ? &model[i]->name : NULL;
}
