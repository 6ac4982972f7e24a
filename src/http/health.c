
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The health document: what this worker and the shared memory know of the
 * databases.  Asks no database anything, so it answers when they do not.
 */


#include "http/http_internal.h"


typedef struct {
    const char  *name;
    size_t       offset;
} df_http_health_counter_t;

#define df_http_health_counter(name)  { #name, offsetof(df_pg_stats_t, name) }

static const df_http_health_counter_t  df_http_health_counters[] = {
    { "reads", offsetof(df_pg_stats_t, statements[DF_PG_READ]) },
    { "writes", offsetof(df_pg_stats_t, statements[DF_PG_WRITE]) },
    { "streams", offsetof(df_pg_stats_t, statements[DF_PG_STREAM]) },
    df_http_health_counter(shared),
    df_http_health_counter(flushes),
    df_http_health_counter(errors),
    df_http_health_counter(resent),
    df_http_health_counter(retried),
    df_http_health_counter(cancelled),
    df_http_health_counter(orphaned),
    df_http_health_counter(connects),
    df_http_health_counter(connect_failures),
    df_http_health_counter(lost),
    df_http_health_counter(queue_full),
    df_http_health_counter(queue_timeouts),
    df_http_health_counter(statement_timeouts)
};

#define DF_HTTP_HEALTH_COUNTERS                                               \
    (sizeof(df_http_health_counters) / sizeof(df_http_health_counters[0]))


static ngx_uint_t df_http_health_is_down(df_pg_conf_t *pg);
static void df_http_health_database(df_writer_t *w, df_database_t *db);
static void df_http_health_migration(df_writer_t *w, df_migration_t *m);
static void df_http_health_pool(df_writer_t *w, df_pg_stats_t *stats);
static void df_http_health_string(df_writer_t *w, u_char *data, size_t len);
static void df_http_health_time(df_writer_t *w, time_t since);


/* seconds from the epoch of Unix to that of df_time_format_timestamp() */
#define DF_HTTP_EPOCH  946684800


static const char  *df_http_pool_states[] = { "untried", "up", "down" };

static const char  *df_http_migration_states[] = {
    "pending", "running", "done", "differs", "failed"
};


ngx_int_t
df_http_health_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              text;
    ngx_uint_t             i, down;
    df_writer_t            w;
    df_problem_t           problem;
    df_database_t        **db;
    df_http_main_conf_t   *dmcf;

    static const ngx_str_t  allow = ngx_string("GET, HEAD");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (df_problem_init(&problem, r->pool) != NGX_OK
            || df_http_header(r, "Allow", &allow) == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        (void) df_problem_set(&problem, DF_PROBLEM_METHOD_NOT_ALLOWED,
                              "health is read with GET");

        return df_http_response_problem(r, &problem);
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    dmcf = ngx_http_get_module_main_conf(r, ngx_dataflow_module);
    db = dmcf->pg.databases.elts;
    down = df_http_health_is_down(&dmcf->pg);

    if (df_writer_init(&w, r->pool, 1024) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) df_writer_printf(&w, "{\"status\":\"%s\",\"databases\":{",
                            down ? "down" : "ok");

    for (i = 0; i < dmcf->pg.databases.nelts; i++) {
        (void) df_writer_printf(&w, "%s\"%V\":", i ? "," : "", &db[i]->name);
        df_http_health_database(&w, db[i]);
    }

    (void) df_writer_printf(&w, "}}");

    if (df_writer_text(&w, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return df_http_response_text(r, down ? NGX_HTTP_SERVICE_UNAVAILABLE
                                         : NGX_HTTP_OK,
                                 &df_http_types[DF_FORMAT_JSON], &text);
}


static ngx_uint_t
df_http_health_is_down(df_pg_conf_t *pg)
{
    time_t           since;
    ngx_str_t        error;
    ngx_uint_t       i;
    df_database_t  **db;

    db = pg->databases.elts;

    for (i = 0; i < pg->databases.nelts; i++) {
        if (df_pg_pool_state(db[i]->pool, &since, &error) == DF_PG_POOL_DOWN) {
            return 1;
        }
    }

    return 0;
}


static void
df_http_health_database(df_writer_t *w, df_database_t *db)
{
    time_t              since;
    ngx_str_t           error;
    df_pg_pool_state_t  state;

    state = df_pg_pool_state(db->pool, &since, &error);

    (void) df_writer_printf(w, "{\"state\":\"%s\"",
                            df_http_pool_states[state]);

    if (state != DF_PG_POOL_UNTRIED) {
        df_http_health_time(w, since);
    }

    if (db->migration) {
        df_http_health_migration(w, db->migration->addr);
    }

    df_http_health_pool(w, db->stats->addr);

    (void) df_writer_printf(w, "}");
}


static void
df_http_health_migration(df_writer_t *w, df_migration_t *m)
{
    size_t      len;
    u_char     *report;
    ngx_uint_t  i, n, total;

    total = m->nreports;
    n = ngx_min(total, DF_MIGRATION_REPORTS);

    (void) df_writer_printf(w, ",\"migration\":{\"state\":\"%s\"",
                            df_http_migration_states[m->state]);

    if (m->changed) {
        df_http_health_time(w, (time_t) m->changed);
    }

    (void) df_writer_printf(w, ",\"differences\":[");

    for (i = 0; i < n; i++) {
        report = m->reports[i];
        len = ngx_strnlen(report, DF_MIGRATION_REPORT_LEN);

        (void) df_writer_printf(w, "%s", i ? "," : "");
        df_http_health_string(w, report, len);
    }

    (void) df_writer_printf(w, "],\"count\":%ui}", total);
}


static void
df_http_health_pool(df_writer_t *w, df_pg_stats_t *stats)
{
    ngx_uint_t       i;
    ngx_atomic_t    *counter;
    df_pg_gauges_t   gauges;

    df_pg_gauges(stats, &gauges);

    (void) df_writer_printf(w, ",\"pool\":{\"connections\":%ui,\"busy\":%ui,"
                            "\"queued\":%ui", gauges.connections, gauges.busy,
                            gauges.queued);

    for (i = 0; i < DF_HTTP_HEALTH_COUNTERS; i++) {
        counter = (ngx_atomic_t *) ((u_char *) stats
                                    + df_http_health_counters[i].offset);

        (void) df_writer_printf(w, ",\"%s\":%uA",
                                df_http_health_counters[i].name, *counter);
    }

    (void) df_writer_add(w, "}", 1);
}


static void
df_http_health_string(df_writer_t *w, u_char *data, size_t len)
{
    if (df_writer_reserve(w, df_json_escaped_length(data, len) + 2) != NGX_OK)
    {
        return;
    }

    *w->pos++ = '"';
    w->pos = df_json_escape(w->pos, data, len);
    *w->pos++ = '"';
}


static void
df_http_health_time(df_writer_t *w, time_t since)
{
    u_char  *p;
    u_char   buf[DF_TIME_LEN];

    p = df_time_format_timestamp(buf,
                                 ((int64_t) since - DF_HTTP_EPOCH) * 1000000,
                                 1);

    (void) df_writer_printf(w, ",\"since\":\"%*s\"", (size_t) (p - buf), buf);
}
