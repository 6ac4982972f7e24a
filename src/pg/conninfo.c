
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A libpq connection string as nginx.conf has it.  libpq parses it, without
 * connecting; here is what it would refuse only later, and what a worker
 * cannot do because it would block.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "pg/pg.h"


typedef struct {
    const char    *name;

    /* what may be said: words, NULL-terminated, or no words and a check */
    const char    *words[6];
    ngx_uint_t   (*check)(ngx_conf_t *cf, const char *value);

    const char    *expected;
} df_pg_conninfo_rule_t;


static ngx_int_t df_pg_conninfo_check(ngx_conf_t *cf, const char *name,
    const char *value);
static ngx_uint_t df_pg_conninfo_never(ngx_conf_t *cf, const char *value);
static ngx_uint_t df_pg_conninfo_one(ngx_conf_t *cf, const char *value);
static ngx_uint_t df_pg_conninfo_address(ngx_conf_t *cf, const char *value);
static ngx_uint_t df_pg_conninfo_port(ngx_conf_t *cf, const char *value);
static ngx_uint_t df_pg_conninfo_number(ngx_conf_t *cf, const char *value);
static ngx_int_t df_pg_conninfo_ssl(ngx_conf_t *cf, df_database_t *database);
static const char *df_pg_conninfo_find(const df_database_t *database,
    const char *name);
static ngx_int_t df_pg_conninfo_add(ngx_conf_t *cf, df_database_t *database,
    const char *name, const char *value);


static const df_pg_conninfo_rule_t  df_pg_conninfo_rules[] = {

    { "service", { NULL }, df_pg_conninfo_never,
      "its settings here, since a worker reads no service file" },

    { "passfile", { NULL }, df_pg_conninfo_never,
      "password=, since a worker reads no password file" },

    { "connect_timeout", { NULL }, df_pg_conninfo_never,
      "the directive \"timeout connect=2s\"" },

    { "replication", { NULL }, df_pg_conninfo_never,
      "nothing, since connections are for statements" },

    { "krbsrvname", { NULL }, df_pg_conninfo_never,
      "nothing, since a GSSAPI login would block a worker" },

    { "gsslib", { NULL }, df_pg_conninfo_never,
      "nothing, since a GSSAPI login would block a worker" },

    { "gssencmode", { "disable", NULL }, NULL,
      "disable, since a GSSAPI login would block a worker" },

    { "host", { NULL }, df_pg_conninfo_one,
      "one host" },

    { "hostaddr", { NULL }, df_pg_conninfo_address,
      "one IP address" },

    { "port", { NULL }, df_pg_conninfo_port,
      "one port from 1 to 65535" },

    { "sslmode", { "disable", "require", "verify-ca", "verify-full", NULL },
      NULL,
      "disable, require, verify-ca or verify-full" },

    { "channel_binding", { "disable", "prefer", "require", NULL }, NULL,
      "disable, prefer or require" },

    { "ssl_min_protocol_version",
      { "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL }, NULL,
      "TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3" },

    { "ssl_max_protocol_version",
      { "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL }, NULL,
      "TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3" },

    { "client_encoding", { "UTF8", "utf8", "UTF-8", "utf-8", NULL }, NULL,
      "UTF8, the encoding of JSON" },

    { "target_session_attrs", { "any", NULL }, NULL,
      "any, since there is one host" },

    { "keepalives", { "0", "1", NULL }, NULL,
      "0 or 1" },

    { "keepalives_idle", { NULL }, df_pg_conninfo_number,
      "a number of seconds" },

    { "keepalives_interval", { NULL }, df_pg_conninfo_number,
      "a number of seconds" },

    { "keepalives_count", { NULL }, df_pg_conninfo_number,
      "a number" },

    { "tcp_user_timeout", { NULL }, df_pg_conninfo_number,
      "a number of milliseconds" },
};

#define DF_PG_CONNINFO_RULES                                                  \
    (sizeof(df_pg_conninfo_rules) / sizeof(df_pg_conninfo_rule_t))


ngx_int_t
df_pg_conninfo_parse(ngx_conf_t *cf, df_database_t *database)
{
    char              *message;
    ngx_int_t          rc;
    ngx_str_t          text;
    PQconninfoOption  *options, *o;

    database->keywords = ngx_array_create(cf->pool, 8,
                                          sizeof(df_pg_keyword_t));
    if (database->keywords == NULL) {
        return NGX_ERROR;
    }

    message = NULL;
    options = PQconninfoParse((char *) database->primary.data, &message);

    if (options == NULL) {
        text.data = (u_char *) (message ? message : "out of memory\n");
        text.len = ngx_strlen(text.data);

        while (text.len && text.data[text.len - 1] == LF) {
            text.len--;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conninfo in \"primary\": %V", &text);

        PQfreemem(message);
        return NGX_ERROR;
    }

    rc = NGX_OK;

    for (o = options; o->keyword && rc == NGX_OK; o++) {
        if (o->val == NULL || o->val[0] == '\0') {
            continue;
        }

        rc = df_pg_conninfo_check(cf, o->keyword, o->val);

        if (rc == NGX_OK) {
            rc = df_pg_conninfo_add(cf, database, o->keyword, o->val);
        }
    }

    PQconninfoFree(options);

    return rc == NGX_OK ? df_pg_conninfo_ssl(cf, database) : NGX_ERROR;
}


static ngx_int_t
df_pg_conninfo_check(ngx_conf_t *cf, const char *name, const char *value)
{
    ngx_uint_t                    i;
    const char *const            *word;
    const df_pg_conninfo_rule_t  *rule;

    for (i = 0; i < DF_PG_CONNINFO_RULES; i++) {
        rule = &df_pg_conninfo_rules[i];

        if (ngx_strcmp(rule->name, name) != 0) {
            continue;
        }

        for (word = rule->words; *word; word++) {
            if (ngx_strcmp(*word, value) == 0) {
                return NGX_OK;
            }
        }

        if (rule->check && rule->check(cf, value)) {
            return NGX_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%s=%s\" in \"primary\": use %s",
                           name, value, rule->expected);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
df_pg_conninfo_never(ngx_conf_t *cf, const char *value)
{
    return 0;
}


static ngx_uint_t
df_pg_conninfo_one(ngx_conf_t *cf, const char *value)
{
    return ngx_strchr(value, ',') == NULL;
}


static ngx_uint_t
df_pg_conninfo_address(ngx_conf_t *cf, const char *value)
{
    ngx_addr_t  addr;

    return ngx_parse_addr(cf->temp_pool, &addr, (u_char *) value,
                          ngx_strlen(value))
           == NGX_OK;
}


static ngx_uint_t
df_pg_conninfo_port(ngx_conf_t *cf, const char *value)
{
    ngx_int_t  n;

    n = ngx_atoi((u_char *) value, ngx_strlen(value));

    return n >= 1 && n <= 65535;
}


static ngx_uint_t
df_pg_conninfo_number(ngx_conf_t *cf, const char *value)
{
    return ngx_atoi((u_char *) value, ngx_strlen(value)) != NGX_ERROR;
}


/*
 * libpq's own default, prefer, tries twice on one socket number, which nginx's
 * events would miss, and protects from nobody: off the machine there is TLS
 * unless it is switched off.
 */

static ngx_int_t
df_pg_conninfo_ssl(ngx_conf_t *cf, df_database_t *database)
{
    ngx_uint_t          i;
    const char         *host, *mode;

    static const char  *local[] = { "localhost", "127.0.0.1", "::1" };

    mode = df_pg_conninfo_find(database, "sslmode");

    if (mode == NULL) {
        host = df_pg_conninfo_find(database, "hostaddr");

        if (host == NULL) {
            host = df_pg_conninfo_find(database, "host");
        }

        mode = "require";

        if (host == NULL || host[0] == '/' || host[0] == '@') {
            mode = "disable";
            host = NULL;
        }

        for (i = 0; host && i < sizeof(local) / sizeof(local[0]); i++) {
            if (ngx_strcmp(local[i], host) == 0) {
                mode = "disable";
            }
        }

        return df_pg_conninfo_add(cf, database, "sslmode", mode);
    }

    if (ngx_strncmp(mode, "verify", 6) == 0
        && df_pg_conninfo_find(database, "sslrootcert") == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"sslrootcert\" in \"primary\": sslmode=%s "
                           "needs sslrootcert=FILE, since a worker has no "
                           "home directory with one", mode);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static const char *
df_pg_conninfo_find(const df_database_t *database, const char *name)
{
    ngx_uint_t        i;
    df_pg_keyword_t  *keyword;

    keyword = database->keywords->elts;

    for (i = 0; i < database->keywords->nelts; i++) {
        if (ngx_strcmp(keyword[i].name, name) == 0) {
            return keyword[i].value;
        }
    }

    return NULL;
}


static ngx_int_t
df_pg_conninfo_add(ngx_conf_t *cf, df_database_t *database, const char *name,
    const char *value)
{
    ngx_str_t         text;
    df_pg_keyword_t  *keyword;

    keyword = ngx_array_push(database->keywords);
    if (keyword == NULL) {
        return NGX_ERROR;
    }

    if (df_str_copy(cf->pool, &text, (u_char *) name, ngx_strlen(name))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    keyword->name = (char *) text.data;

    if (df_str_copy(cf->pool, &text, (u_char *) value, ngx_strlen(value))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    keyword->value = (char *) text.data;

    return NGX_OK;
}
