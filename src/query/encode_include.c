
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Records within records, to JSON: what a relation leads to from columns of
 * the same row, lists as the texts that were made of their own rows, found by
 * the key in its binary form.
 */


#include <ngx_config.h>
#include "query/include.h"


static u_char *df_include_encode_one(u_char *p, df_includes_t *includes,
    const df_field_t **fields, const df_object_t *o, const PGresult *res,
    ngx_uint_t row);
static u_char *df_include_encode_list(u_char *p, df_includes_t *includes,
    const df_list_t *list, const ngx_str_t *key);


size_t
df_include_bound(df_includes_t *includes, const df_field_t **fields,
    const df_object_t *o, const PGresult *res, ngx_uint_t row)
{
    size_t                n;
    ngx_str_t             key;
    ngx_uint_t            i;
    const df_object_t    *one;
    const df_reverse_t   *reverse;
    const df_fragment_t  *fragment;

    n = df_query_encode_fields_bound(fields, o->first, o->n, res, row);

    for (i = 0; i < o->nobjects; i++) {
        one = &o->objects[i];

        n += sizeof(",{}null") + one->member->len;

        if (!df_pg_is_null(res, row, one->key)) {
            n += df_include_bound(includes, fields, one, res, row);
        }
    }

    for (i = 0; i < o->nlists; i++) {
        key = df_pg_value(res, row, o->key);
        fragment = df_include_fragment_find(o->lists[i], &key);
        reverse = o->lists[i]->include->reverse;

        n += sizeof(",[],true") + reverse->member.len + reverse->truncated.len
             + (fragment ? fragment->len : 0);
    }

    return n;
}


u_char *
df_include_encode(u_char *p, df_includes_t *includes,
    const df_field_t **fields, const df_object_t *o, const PGresult *res,
    ngx_uint_t row)
{
    ngx_str_t   key;
    ngx_uint_t  i, others;

    p = df_query_encode_fields(p, fields, o->first, o->n, res, row);
    others = o->n;

    for (i = 0; i < o->nobjects; i++) {

        if (others++) {
            *p++ = ',';
        }

        p = df_include_encode_one(p, includes, fields, &o->objects[i], res,
                                  row);
    }

    for (i = 0; i < o->nlists; i++) {

        if (others++) {
            *p++ = ',';
        }

        key = df_pg_value(res, row, o->key);
        p = df_include_encode_list(p, includes, o->lists[i], &key);
    }

    return p;
}


static u_char *
df_include_encode_one(u_char *p, df_includes_t *includes,
    const df_field_t **fields, const df_object_t *o, const PGresult *res,
    ngx_uint_t row)
{
    p = ngx_cpymem(p, o->member->data, o->member->len);

    if (df_pg_is_null(res, row, o->key)) {
        return ngx_cpymem(p, "null", 4);
    }

    *p++ = '{';
    p = df_include_encode(p, includes, fields, o, res, row);
    *p++ = '}';

    return p;
}


static u_char *
df_include_encode_list(u_char *p, df_includes_t *includes,
    const df_list_t *list, const ngx_str_t *key)
{
    const df_reverse_t   *reverse;
    const df_fragment_t  *fragment;

    reverse = list->include->reverse;
    fragment = df_include_fragment_find(list, key);

    p = ngx_cpymem(p, reverse->member.data, reverse->member.len);
    *p++ = '[';

    if (fragment == NULL) {
        includes->missed = 1;
        *p++ = ']';

        return p;
    }

    p = ngx_cpymem(p, list->text.start + fragment->offset, fragment->len);
    *p++ = ']';

    includes->total += fragment->total;

    if (fragment->truncated) {
        *p++ = ',';
        p = ngx_cpymem(p, reverse->truncated.data, reverse->truncated.len);
        p = ngx_cpymem(p, "true", 4);
    }

    return p;
}


/* fragments */

ngx_int_t
df_include_fragments_init(df_list_t *list, ngx_pool_t *pool, ngx_uint_t n)
{
    ngx_uint_t  size;

    for (size = 1; size < n; size *= 2) { /* void */ }

    list->mask = size - 1;
    list->nfragments = 0;

    list->fragments = ngx_palloc(pool, ngx_max(n, 1) * sizeof(df_fragment_t));
    list->buckets = ngx_pcalloc(pool, size * sizeof(ngx_uint_t));

    return (list->fragments && list->buckets) ? NGX_OK : NGX_ERROR;
}


df_fragment_t *
df_include_fragment_add(df_list_t *list, ngx_pool_t *pool,
    const ngx_str_t *key)
{
    ngx_uint_t     *bucket;
    df_fragment_t  *fragment;

    fragment = &list->fragments[list->nfragments];
    ngx_memzero(fragment, sizeof(df_fragment_t));

    if (df_str_copy(pool, &fragment->key, key->data, key->len) != NGX_OK) {
        return NULL;
    }

    bucket = &list->buckets[ngx_murmur_hash2(key->data, key->len)
                            & list->mask];

    fragment->next = *bucket;
    *bucket = ++list->nfragments;

    return fragment;
}


const df_fragment_t *
df_include_fragment_find(const df_list_t *list, const ngx_str_t *key)
{
    ngx_uint_t            i;
    const df_fragment_t  *fragment;

    if (list->nfragments == 0) {
        return NULL;
    }

    i = list->buckets[ngx_murmur_hash2(key->data, key->len) & list->mask];

    for ( /* void */ ; i; i = fragment->next) {
        fragment = &list->fragments[i - 1];

        if (df_query_same(&fragment->key, key)) {
            return fragment;
        }
    }

    return NULL;
}
