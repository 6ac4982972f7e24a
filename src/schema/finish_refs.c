
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What names fields and models: the indexes and relations of a model whose
 * own fields are finished.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/conf_internal.h"


#define DF_SCHEMA_NAME_MAX  63


typedef struct {
    df_schema_conf_t     *conf;
    const df_database_t  *database;
} df_schema_models_t;


static ngx_int_t df_schema_finish_index_fields(ngx_conf_t *cf,
    df_model_t *model, df_index_t *index);
static ngx_uint_t df_schema_finish_same(const df_index_t *a,
    const df_index_t *b);
static ngx_int_t df_schema_finish_index_name(ngx_conf_t *cf,
    df_model_t *model, df_index_t *index);
static ngx_int_t df_schema_finish_relation_field(ngx_conf_t *cf,
    df_model_t *model, df_relation_t *relation);
static ngx_str_t *df_schema_finish_model_at(void *list, ngx_uint_t i);


ngx_int_t
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

    if (index->where.len == 0 && index->fields.nelts == 1
        && (field[0]->key || field[0]->unique))
    {
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

    /* a partial one is called by its condition, which is compiled later */

    return index->where.len ? NGX_OK
                            : df_schema_finish_index_name(cf, model, index);
}


ngx_int_t
df_schema_index_where(ngx_conf_t *cf, df_model_t *model, df_index_t *index,
    const ngx_str_t *sql)
{
    index->where_sql = *sql;

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
              == 0
           && df_schema_conf_equal(&a->where, &b->where);
}


/*
 * <table>_<fields>_idx or _key, as PostgreSQL would choose.  A name that is
 * too long, or that fields "a_b", "c" would share with "a", "b_c", ends with a
 * hash instead, and so does that of a partial index: with another condition it
 * is another one.
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

    ngx_crc32_update(&crc, index->where_sql.data, index->where_sql.len);
    ngx_crc32_final(crc);

    index->name = df_str_printf(cf->pool, "%V_%s", &name, suffix);

    taken = (index->where_sql.len != 0);
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


ngx_int_t
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

    relation->member = df_str_printf(cf->pool, "\"%V\":", &relation->name);

    return relation->member.len ? NGX_OK : NGX_ERROR;
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


ngx_str_t *
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
