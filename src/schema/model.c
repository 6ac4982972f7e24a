
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fields of a model by name, as requests ask for them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema.h"


static ngx_str_t *df_schema_visible_at(void *list, ngx_uint_t i);


df_field_t *
df_schema_field(const df_model_t *model, const ngx_str_t *name)
{
    df_field_t  *field;
    ngx_uint_t   i;

    field = model->fields.elts;

    for (i = 0; i < model->fields.nelts; i++) {
        if (field[i].name.len == name->len
            && ngx_memcmp(field[i].name.data, name->data, name->len) == 0)
        {
            return &field[i];
        }
    }

    return NULL;
}


ngx_str_t *
df_schema_nearest(const df_model_t *model, const ngx_str_t *name)
{
    return df_nearest(name, (void *) model, model->fields.nelts,
                      df_schema_visible_at);
}


static ngx_str_t *
df_schema_visible_at(void *list, ngx_uint_t i)
{
    df_field_t  *field;

    field = df_schema_field_at(list, i);

    return field->hidden ? NULL : &field->name;
}
