
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What the files that read models from nginx.conf share among themselves.
 */


#ifndef _DF_SCHEMA_CONF_INTERNAL_H_INCLUDED_
#define _DF_SCHEMA_CONF_INTERNAL_H_INCLUDED_


#include "schema/schema.h"


DF_HIDDEN_BEGIN


/* the options of a field as they are written; data is NULL for those absent */

typedef struct {
    ngx_str_t    required;
    ngx_str_t    unique;
    ngx_str_t    hidden;
    ngx_str_t    readonly;
    ngx_str_t    default_value;
    ngx_str_t    min;
    ngx_str_t    max;
    ngx_str_t    pattern;
    ngx_str_t    choices;
    ngx_str_t    description;
} df_schema_conf_words_t;

/* checks the options against the type and each other, and fills the field;
   what was wrong is logged */
ngx_int_t df_schema_conf_check(ngx_conf_t *cf, df_field_t *field,
    df_schema_conf_words_t *words);

/* a name that may stand before an operator in a query: it has no "__" */
ngx_int_t df_schema_conf_query_name(ngx_conf_t *cf, const char *what,
    const ngx_str_t *name);

/* a btree takes values of the field's type */
ngx_uint_t df_schema_conf_is_indexable(const df_field_t *field);

/* the i-th index of a model whose former ones are finished */
ngx_int_t df_schema_finish_index(ngx_conf_t *cf, df_model_t *model,
    ngx_uint_t i);
/* when every model has its key */
ngx_int_t df_schema_finish_relation(ngx_conf_t *cf, df_schema_conf_t *conf,
    df_model_t *model, df_relation_t *relation);

/* when every relation has its target */
ngx_int_t df_schema_finish_reverses(ngx_conf_t *cf, df_schema_conf_t *conf);

/* for df_conf_known(): all fields of a model, hidden ones too */
ngx_str_t *df_schema_finish_field_at(void *list, ngx_uint_t i);


static ngx_inline ngx_uint_t
df_schema_conf_equal(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


DF_HIDDEN_END


#endif /* _DF_SCHEMA_CONF_INTERNAL_H_INCLUDED_ */
