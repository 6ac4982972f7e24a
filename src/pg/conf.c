
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * "dataflow_database NAME { … }" of nginx.conf.  Nothing is connected to and
 * nothing is resolved here: a configuration can be tested without a database.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "pg/pg.h"


static ngx_int_t df_pg_conf_name(ngx_conf_t *cf, df_pg_conf_t *conf,
    const ngx_str_t *name);
static df_database_t *df_pg_conf_create(ngx_conf_t *cf, const ngx_str_t *name);
static void df_pg_conf_defaults(df_database_t *database);
static ngx_str_t *df_pg_conf_migrate_at(void *list, ngx_uint_t i);


static const df_conf_option_t  df_pg_conf_pool_options[] = {
    { ngx_string("size"), df_conf_set_num,
      offsetof(df_database_t, size), 1, 10000 },
    { ngx_string("overflow"), df_conf_set_num,
      offsetof(df_database_t, overflow), 0, 10000 },
    { ngx_string("queue"), df_conf_set_num,
      offsetof(df_database_t, queue), 1, 1000000 },
    { ngx_string("recycle"), df_conf_set_msec,
      offsetof(df_database_t, recycle), 1000, 0 },
    { ngx_string("idle"), df_conf_set_msec,
      offsetof(df_database_t, idle), 1000, 0 },
    { ngx_string("wait"), df_conf_set_msec,
      offsetof(df_database_t, wait), 1, 0 },
    { ngx_null_string, NULL, 0, 0, 0 }
};

static const df_conf_option_t  df_pg_conf_timeout_options[] = {
    { ngx_string("connect"), df_conf_set_msec,
      offsetof(df_database_t, connect_timeout), 1, 0 },
    { ngx_string("statement"), df_conf_set_msec,
      offsetof(df_database_t, statement_timeout), 1, 0 },
    { ngx_null_string, NULL, 0, 0, 0 }
};


/* in the order of df_migrate_t */

static ngx_str_t  df_pg_conf_migrate_names[] = {
    ngx_string("off"),
    ngx_string("verify"),
    ngx_string("apply")
};

#define DF_PG_CONF_MIGRATE                                                    \
    (sizeof(df_pg_conf_migrate_names) / sizeof(ngx_str_t))


ngx_int_t
df_pg_conf_init(ngx_conf_t *cf, df_pg_conf_t *conf)
{
    return ngx_array_init(&conf->databases, cf->pool, 2,
                          sizeof(df_database_t *));
}


df_database_t *
df_pg_conf_find(df_pg_conf_t *conf, const ngx_str_t *name)
{
    ngx_uint_t       i;
    df_database_t  **database;

    database = conf->databases.elts;

    for (i = 0; i < conf->databases.nelts; i++) {
        if (database[i]->name.len == name->len
            && ngx_memcmp(database[i]->name.data, name->data, name->len) == 0)
        {
            return database[i];
        }
    }

    return NULL;
}


char *
df_pg_conf_database(ngx_conf_t *cf, df_pg_conf_t *conf)
{
    ngx_str_t       *value;
    df_database_t   *database, **slot;

    value = cf->args->elts;

    if (df_pg_conf_name(cf, conf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    database = df_pg_conf_create(cf, &value[1]);
    if (database == NULL) {
        return NGX_CONF_ERROR;
    }

    if (df_conf_block(cf, DF_DATABASE_BLOCK, database) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (database->primary.data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"primary\" in database \"%V\": write "
                           "\"primary 'host=... dbname=...';\"",
                           &database->name);
        return NGX_CONF_ERROR;
    }

    df_pg_conf_defaults(database);

    slot = ngx_array_push(&conf->databases);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = database;

    return NGX_CONF_OK;
}


static ngx_int_t
df_pg_conf_name(ngx_conf_t *cf, df_pg_conf_t *conf, const ngx_str_t *name)
{
    df_database_t  *former;

    if (!df_conf_is_name(name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid database name \"%V\": expected at most 63 "
                           "lower-case letters, digits and underscores, and "
                           "no digit first", name);
        return NGX_ERROR;
    }

    former = df_pg_conf_find(conf, name);

    if (former) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate database \"%V\": the first is in "
                           "%s:%ui,", name, former->file, former->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static df_database_t *
df_pg_conf_create(ngx_conf_t *cf, const ngx_str_t *name)
{
    df_database_t  *database;

    database = ngx_pcalloc(cf->pool, sizeof(df_database_t));
    if (database == NULL) {
        return NULL;
    }

    database->name = *name;
    database->size = NGX_CONF_UNSET;
    database->overflow = NGX_CONF_UNSET;
    database->queue = NGX_CONF_UNSET;
    database->recycle = NGX_CONF_UNSET_MSEC;
    database->idle = NGX_CONF_UNSET_MSEC;
    database->wait = NGX_CONF_UNSET_MSEC;
    database->connect_timeout = NGX_CONF_UNSET_MSEC;
    database->statement_timeout = NGX_CONF_UNSET_MSEC;
    database->prepare = NGX_CONF_UNSET;
    database->migrate = NGX_CONF_UNSET_UINT;
    database->file = cf->conf_file->file.name.data;
    database->line = cf->conf_file->line;

    return database;
}


static void
df_pg_conf_defaults(df_database_t *database)
{
    ngx_conf_init_value(database->size, 20);
    ngx_conf_init_value(database->overflow, 10);
    ngx_conf_init_value(database->queue, 1024);
    ngx_conf_init_msec_value(database->recycle, 3600000);
    ngx_conf_init_msec_value(database->idle, 300000);
    ngx_conf_init_msec_value(database->wait, 5000);
    ngx_conf_init_msec_value(database->connect_timeout, 2000);
    ngx_conf_init_msec_value(database->statement_timeout, 10000);
    ngx_conf_init_value(database->prepare, 1);
    ngx_conf_init_uint_value(database->migrate, DF_MIGRATE_OFF);
}


char *
df_pg_conf_primary(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_database_t *database = conf;

    ngx_str_t  *value;

    if (database->primary.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    database->primary = value[1];

    if (df_pg_conninfo_parse(cf, database) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
df_pg_conf_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_database_t *database = conf;

    if (database->size != NGX_CONF_UNSET
        || database->overflow != NGX_CONF_UNSET
        || database->queue != NGX_CONF_UNSET
        || database->recycle != NGX_CONF_UNSET_MSEC
        || database->idle != NGX_CONF_UNSET_MSEC
        || database->wait != NGX_CONF_UNSET_MSEC)
    {
        return "is duplicate";
    }

    return df_conf_options(cf, 1, df_pg_conf_pool_options, database);
}


char *
df_pg_conf_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_database_t *database = conf;

    if (database->connect_timeout != NGX_CONF_UNSET_MSEC
        || database->statement_timeout != NGX_CONF_UNSET_MSEC)
    {
        return "is duplicate";
    }

    return df_conf_options(cf, 1, df_pg_conf_timeout_options, database);
}


char *
df_pg_conf_migrate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_database_t *database = conf;

    ngx_str_t   *value, known;
    ngx_uint_t   i;

    if (database->migrate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < DF_PG_CONF_MIGRATE; i++) {
        if (ngx_strcmp(df_pg_conf_migrate_names[i].data, value[1].data) == 0) {
            database->migrate = i;
            return NGX_CONF_OK;
        }
    }

    known = df_conf_known(cf, &value[1], NULL, DF_PG_CONF_MIGRATE,
                          df_pg_conf_migrate_at);

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"migrate\": %V",
                       &value[1], &known);

    return NGX_CONF_ERROR;
}


static ngx_str_t *
df_pg_conf_migrate_at(void *list, ngx_uint_t i)
{
    return &df_pg_conf_migrate_names[i];
}


ngx_int_t
df_pg_conf_finish(ngx_conf_t *cf, df_pg_conf_t *conf, df_zone_t *zone)
{
    ngx_uint_t       i;
    df_database_t  **database;

    database = conf->databases.elts;

    for (i = 0; i < conf->databases.nelts; i++) {
        database[i]->zone = zone;
        database[i]->stats = df_zone_slot(cf, zone, "stats",
                                          &database[i]->name,
                                          sizeof(df_pg_stats_t));

        if (database[i]->stats == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
