
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What a connection is opened with: the keywords of nginx.conf, and after
 * them what must be so, since libpq takes the last of equal ones.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


/* hostaddr, client_encoding, gssencmode, application name, options, the end */
#define DF_PG_SESSION_OWN  6


typedef struct {
    const char  **names;
    const char  **values;
    ngx_uint_t    n;
} df_pg_session_t;


/*
 * The server ends what is too slow, and what nobody waits for any more.  All
 * values are exchanged in forms that these settings do not touch, but the
 * functions of SQL see them.
 */

static const char  df_pg_session_options[] =
    "%s -c statement_timeout=%M -c client_connection_check_interval=2s"
    " -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601";


static void df_pg_session_set(df_pg_session_t *session, const char *name,
    const char *value);
static ngx_int_t df_pg_session_fill(df_pg_session_t *session,
    df_database_t *database, const char *address, ngx_pool_t *temp);
static const char *df_pg_session_settings(df_database_t *database,
    const char *options, ngx_pool_t *temp);


/* NULL without memory; else a connection whose status is to be looked at */

PGconn *
df_pg_session_start(df_database_t *database, const char *address,
    ngx_log_t *log)
{
    PGconn           *pg;
    ngx_pool_t       *temp;
    df_pg_session_t   session;

    temp = ngx_create_pool(1024, log);
    if (temp == NULL) {
        return NULL;
    }

    pg = NULL;

    if (df_pg_session_fill(&session, database, address, temp) == NGX_OK) {
        pg = PQconnectStartParams(session.names, session.values, 0);
    }

    ngx_destroy_pool(temp);

    return pg;
}


static ngx_int_t
df_pg_session_fill(df_pg_session_t *session, df_database_t *database,
    const char *address, ngx_pool_t *temp)
{
    size_t            size;
    ngx_uint_t        i;
    const char       *options;
    df_pg_keyword_t  *kw;

    kw = database->keywords->elts;
    size = (database->keywords->nelts + DF_PG_SESSION_OWN) * sizeof(char *);

    session->n = 0;
    session->names = ngx_palloc(temp, size);
    session->values = ngx_palloc(temp, size);

    if (session->names == NULL || session->values == NULL) {
        return NGX_ERROR;
    }

    options = "";

    for (i = 0; i < database->keywords->nelts; i++) {

        if (ngx_strcmp(kw[i].name, "options") == 0) {
            options = kw[i].value;
            continue;
        }

        df_pg_session_set(session, kw[i].name, kw[i].value);
    }

    options = df_pg_session_settings(database, options, temp);
    if (options == NULL) {
        return NGX_ERROR;
    }

    if (options[0]) {
        df_pg_session_set(session, "options", options);
    }

    if (address) {

        /* libpq would look the host up itself, and block */

        df_pg_session_set(session, "hostaddr", address);
    }

    df_pg_session_set(session, "client_encoding", "UTF8");
    df_pg_session_set(session, "gssencmode", "disable");
    df_pg_session_set(session, "fallback_application_name", "ngx_dataflow");

    session->names[session->n] = NULL;
    session->values[session->n] = NULL;

    return NGX_OK;
}


static void
df_pg_session_set(df_pg_session_t *session, const char *name,
    const char *value)
{
    session->names[session->n] = name;
    session->values[session->n] = value;
    session->n++;
}


/* a transaction pooler (prepare off) would refuse them */

static const char *
df_pg_session_settings(df_database_t *database, const char *options,
    ngx_pool_t *temp)
{
    ngx_str_t  text;

    if (!database->prepare) {
        return options;
    }

    text = df_str_printf(temp, df_pg_session_options, options,
                         database->statement_timeout);

    return text.len ? (char *) text.data : NULL;
}
