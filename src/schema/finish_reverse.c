
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Relations from their other end: what a record calls those that refer to it.
 * Names that are given come first; of the others a relation is called as its
 * model where that is clear and nothing else is called so.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/conf_internal.h"


static ngx_int_t df_schema_reverse_given(ngx_conf_t *cf,
    const df_model_t *model, const df_relation_t *relation);
static ngx_uint_t df_schema_reverse_alone(const df_model_t *model,
    const df_relation_t *relation);
static const char *df_schema_reverse_taken(const df_model_t *target,
    const ngx_str_t *name);
static ngx_int_t df_schema_reverse_add(ngx_conf_t *cf, const df_model_t *model,
    const df_relation_t *relation, const ngx_str_t *name);


static const ngx_str_t  df_schema_truncated = ngx_string("_truncated");


ngx_int_t
df_schema_finish_reverses(ngx_conf_t *cf, df_schema_conf_t *conf)
{
    ngx_uint_t       i, n;
    df_model_t     **model;
    df_relation_t   *relation;

    model = conf->models.elts;

    for (i = 0; i < conf->models.nelts; i++) {
        relation = model[i]->relations.elts;

        for (n = 0; n < model[i]->relations.nelts; n++) {
            if (relation[n].reverse_name.data
                && df_schema_reverse_given(cf, model[i], &relation[n])
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    for (i = 0; i < conf->models.nelts; i++) {
        relation = model[i]->relations.elts;

        for (n = 0; n < model[i]->relations.nelts; n++) {
            if (relation[n].reverse_name.data == NULL && !relation[n].one_way
                && df_schema_reverse_alone(model[i], &relation[n])
                && df_schema_reverse_taken(relation[n].target, &model[i]->name)
                   == NULL
                && df_schema_reverse_add(cf, model[i], &relation[n],
                                         &model[i]->name)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_schema_reverse_given(ngx_conf_t *cf, const df_model_t *model,
    const df_relation_t *relation)
{
    const char  *taken;

    taken = df_schema_reverse_taken(relation->target, &relation->reverse_name);

    if (taken == NULL) {
        return df_schema_reverse_add(cf, model, relation,
                                     &relation->reverse_name);
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "reverse \"%V\" of relation \"%V\": model \"%V\" has %s, "
                  "and its records hold both: choose another name in %s:%ui",
                  &relation->reverse_name, &relation->name,
                  &relation->target->name, taken,
                  relation->file, relation->line);

    return NGX_ERROR;
}


/* the only relation of its model that leads there */

static ngx_uint_t
df_schema_reverse_alone(const df_model_t *model, const df_relation_t *relation)
{
    ngx_uint_t            i;
    const df_relation_t  *other;

    other = model->relations.elts;

    for (i = 0; i < model->relations.nelts; i++) {
        if (&other[i] != relation && other[i].target == relation->target) {
            return 0;
        }
    }

    return 1;
}


/* a list that was cut is told by a member of its own, "orders_truncated" */

static ngx_uint_t
df_schema_reverse_is_truncated(const ngx_str_t *name, const ngx_str_t *reverse)
{
    return name->len == reverse->len + df_schema_truncated.len
           && ngx_memcmp(name->data, reverse->data, reverse->len) == 0
           && ngx_memcmp(name->data + reverse->len, df_schema_truncated.data,
                         df_schema_truncated.len)
              == 0;
}


/* what of the target is called so already, or NULL */

static const char *
df_schema_reverse_taken(const df_model_t *target, const ngx_str_t *name)
{
    ngx_uint_t            i;
    const df_field_t     *field;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    for (i = 0; i < target->fields.nelts; i++) {
        field = df_schema_field_at(target, i);

        if (df_schema_conf_equal(&field->name, name)) {
            return "a field of this name";
        }

        if (df_schema_reverse_is_truncated(&field->name, name)) {
            return "a field of this name and \"_truncated\"";
        }
    }

    relation = target->relations.elts;

    for (i = 0; i < target->relations.nelts; i++) {
        if (df_schema_conf_equal(&relation[i].name, name)) {
            return "a relation of this name";
        }

        if (df_schema_reverse_is_truncated(&relation[i].name, name)) {
            return "a relation of this name and \"_truncated\"";
        }
    }

    reverse = target->reverses.elts;

    for (i = 0; i < target->reverses.nelts; i++) {
        if (df_schema_conf_equal(&reverse[i].name, name)) {
            return "another reverse of this name";
        }

        if (df_schema_reverse_is_truncated(&reverse[i].name, name)
            || df_schema_reverse_is_truncated(name, &reverse[i].name))
        {
            return "a reverse that differs by \"_truncated\" only";
        }
    }

    return NULL;
}


static ngx_int_t
df_schema_reverse_add(ngx_conf_t *cf, const df_model_t *model,
    const df_relation_t *relation, const ngx_str_t *name)
{
    df_reverse_t  *reverse;

    reverse = ngx_array_push(&relation->target->reverses);
    if (reverse == NULL) {
        return NGX_ERROR;
    }

    reverse->name = *name;
    reverse->model = model;
    reverse->relation = relation;
    reverse->member = df_str_printf(cf->pool, "\"%V\":", name);
    reverse->truncated = df_str_printf(cf->pool, "\"%V%V\":", name,
                                       &df_schema_truncated);

    return (reverse->member.len && reverse->truncated.len) ? NGX_OK
                                                           : NGX_ERROR;
}
