
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Zones: named slots in shared memory that keep their content and their
 * address over a reload.  Nothing here knows what is in a slot.
 */


#include "core/core.h"
#include <openssl/rand.h>


/* "dfz" and the layout of the structures below */
#define DF_ZONE_MAGIC  0x64667a01

/* ngx_slab_init() wants as much as the zones of nginx's own modules */
#define DF_ZONE_MIN_PAGES  8


/*
 * In shared memory.  Only the master adds a slot, while no worker knows of
 * it yet, and only the master walks the list.  A slot that no configuration
 * names any more stays: a worker that is shutting down may still count in it.
 */

typedef struct df_zone_shared_s  df_zone_shared_t;

struct df_zone_shared_s {
    df_zone_shared_t  *next;
    void              *addr;
    size_t             size;
    size_t             len;
    u_char             name[1];
};

typedef struct {
    uintptr_t          magic;
    df_zone_shared_t  *slots;
    u_char             secret[DF_ZONE_SECRET_LEN];
} df_zone_root_t;


struct df_zone_s {
    ngx_array_t        slots;       /* df_zone_slot_t * */
    ngx_slab_pool_t   *shpool;
    df_zone_root_t    *root;
};


static ngx_int_t df_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t df_zone_init_root(ngx_shm_zone_t *shm_zone);
static ngx_int_t df_zone_init_slot(ngx_shm_zone_t *shm_zone,
    df_zone_slot_t *slot);


df_zone_t *
df_zone_create(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    df_zone_t       *zone;
    ngx_shm_zone_t  *shm_zone;

    if (size && size < DF_ZONE_MIN_PAGES * ngx_pagesize) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small: at least %uz bytes "
                           "are needed",
                           name, DF_ZONE_MIN_PAGES * ngx_pagesize);
        return NULL;
    }

    shm_zone = ngx_shared_memory_add(cf, name, size, tag);
    if (shm_zone == NULL) {
        return NULL;
    }

    if (shm_zone->data) {
        return shm_zone->data;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(df_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    if (ngx_array_init(&zone->slots, cf->pool, 4, sizeof(df_zone_slot_t *))
        != NGX_OK)
    {
        return NULL;
    }

    shm_zone->init = df_zone_init;
    shm_zone->data = zone;

    return zone;
}


df_zone_slot_t *
df_zone_slot(ngx_conf_t *cf, df_zone_t *zone, const char *prefix,
    const ngx_str_t *name, size_t size)
{
    ngx_str_t         full;
    ngx_uint_t        i;
    df_zone_slot_t   *slot, **slots;

    full = df_str_printf(cf->pool, "%s:%V", prefix, name);
    if (full.len == 0) {
        return NULL;
    }

    slots = zone->slots.elts;

    for (i = 0; i < zone->slots.nelts; i++) {
        if (slots[i]->size == size && slots[i]->name.len == full.len
            && ngx_memcmp(slots[i]->name.data, full.data, full.len) == 0)
        {
            return slots[i];
        }
    }

    slot = ngx_pcalloc(cf->pool, sizeof(df_zone_slot_t));
    if (slot == NULL) {
        return NULL;
    }

    slot->name = full;
    slot->size = size;

    slots = ngx_array_push(&zone->slots);
    if (slots == NULL) {
        return NULL;
    }

    *slots = slot;

    return slot;
}


ngx_slab_pool_t *
df_zone_shpool(df_zone_t *zone)
{
    return zone->shpool;
}


const u_char *
df_zone_secret(df_zone_t *zone)
{
    return zone->root->secret;
}


static ngx_int_t
df_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    df_zone_t       *zone, *old;
    ngx_uint_t       i;
    df_zone_slot_t  **slots;

    zone = shm_zone->data;
    old = data;

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        zone->root = old->root;

    } else if (shm_zone->shm.exists) {
        zone->root = zone->shpool->data;

    } else if (df_zone_init_root(shm_zone) != NGX_OK) {
        return NGX_ERROR;
    }

    if (zone->root->magic != DF_ZONE_MAGIC) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" was made by another version of the module, "
                      "nginx must be restarted", &shm_zone->shm.name);
        return NGX_ERROR;
    }

    slots = zone->slots.elts;

    for (i = 0; i < zone->slots.nelts; i++) {
        if (df_zone_init_slot(shm_zone, slots[i]) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "zone \"%V\" is full: no room for %uz bytes of "
                          "\"%V\", make it larger", &shm_zone->shm.name,
                          slots[i]->size, &slots[i]->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
df_zone_init_root(ngx_shm_zone_t *shm_zone)
{
    size_t            len;
    df_zone_t        *zone;
    df_zone_root_t   *root;
    ngx_slab_pool_t  *shpool;

    zone = shm_zone->data;
    shpool = zone->shpool;

    root = ngx_slab_calloc(shpool, sizeof(df_zone_root_t));
    if (root == NULL) {
        return NGX_ERROR;
    }

    len = sizeof(" in zone \"\"") + shm_zone->shm.name.len;

    shpool->log_ctx = ngx_slab_alloc(shpool, len);
    if (shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(shpool->log_ctx, " in zone \"%V\"%Z", &shm_zone->shm.name);

    if (RAND_bytes(root->secret, DF_ZONE_SECRET_LEN) != 1) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "RAND_bytes() failed, zone \"%V\" has no secret",
                      &shm_zone->shm.name);
        return NGX_ERROR;
    }

    root->magic = DF_ZONE_MAGIC;

    shpool->data = root;
    zone->root = root;

    return NGX_OK;
}


static ngx_int_t
df_zone_init_slot(ngx_shm_zone_t *shm_zone, df_zone_slot_t *slot)
{
    df_zone_t         *zone;
    df_zone_shared_t  *shared;

    zone = shm_zone->data;

    for (shared = zone->root->slots; shared; shared = shared->next) {
        if (shared->size == slot->size && shared->len == slot->name.len
            && ngx_memcmp(shared->name, slot->name.data, shared->len) == 0)
        {
            slot->addr = shared->addr;
            return NGX_OK;
        }
    }

    shared = ngx_slab_alloc(zone->shpool,
                            sizeof(df_zone_shared_t) + slot->name.len);
    if (shared == NULL) {
        return NGX_ERROR;
    }

    shared->addr = ngx_slab_calloc(zone->shpool, slot->size);
    if (shared->addr == NULL) {
        ngx_slab_free(zone->shpool, shared);
        return NGX_ERROR;
    }

    shared->size = slot->size;
    shared->len = slot->name.len;
    ngx_memcpy(shared->name, slot->name.data, slot->name.len);

    shared->next = zone->root->slots;
    zone->root->slots = shared;

    slot->addr = shared->addr;

    return NGX_OK;
}
