
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A host's name to an address without blocking: libpq would call
 * getaddrinfo() in the worker.  /etc/hosts is read when the worker starts,
 * everything else is asked of the name servers of /etc/resolv.conf by nginx's
 * own resolver.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


#define DF_PG_FILE_MAX     65536
#define DF_PG_NAMESERVERS  3            /* as resolv.conf(5) */


typedef struct {
    ngx_str_t        name;
    ngx_str_t        address;
} df_pg_host_t;


static ngx_int_t df_pg_resolve_read(ngx_pool_t *pool, const char *name,
    ngx_str_t *text);
static ngx_uint_t df_pg_resolve_words(ngx_str_t *text, ngx_str_t *words,
    ngx_uint_t max);
static ngx_int_t df_pg_resolve_hosts(ngx_cycle_t *cycle);
static ngx_int_t df_pg_resolve_servers(ngx_cycle_t *cycle);
static void df_pg_resolve_done(ngx_resolver_ctx_t *ctx);


/* a worker's own, made anew at its start */

static ngx_array_t     *df_pg_hosts;
static ngx_resolver_t  *df_pg_resolver;


ngx_int_t
df_pg_resolve_init(ngx_cycle_t *cycle)
{
    if (df_pg_resolve_hosts(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return df_pg_resolve_servers(cycle);
}


ngx_int_t
df_pg_resolve(df_pg_conn_t *conn, const char *host, char *addr)
{
    ngx_str_t            name;
    ngx_uint_t           i;
    df_pg_host_t        *hosts;
    ngx_resolver_ctx_t  *ctx, temp;

    name.data = (u_char *) host;
    name.len = ngx_strlen(host);

    if (ngx_inet_addr(name.data, name.len) != INADDR_NONE
#if (NGX_HAVE_INET6)
        || ngx_strlchr(name.data, name.data + name.len, ':')
#endif
        )
    {
        (void) ngx_cpystrn((u_char *) addr, name.data, NGX_SOCKADDR_STRLEN);
        return NGX_OK;
    }

    hosts = df_pg_hosts->elts;

    for (i = 0; i < df_pg_hosts->nelts; i++) {
        if (hosts[i].name.len == name.len
            && ngx_strncasecmp(hosts[i].name.data, name.data, name.len) == 0)
        {
            *ngx_cpymem(addr, hosts[i].address.data, hosts[i].address.len)
                = '\0';
            return NGX_OK;
        }
    }

    if (df_pg_resolver == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&temp, sizeof(ngx_resolver_ctx_t));
    temp.name = name;

    ctx = ngx_resolve_start(df_pg_resolver, &temp);
    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = name;
    ctx->handler = df_pg_resolve_done;
    ctx->data = conn;
    ctx->timeout = conn->pool->database->connect_timeout;
    ctx->cancelable = 1;

    conn->resolving = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        conn->resolving = NULL;
        return NGX_ERROR;
    }

    /* the handler may have been called already and the connection be gone:
       whatever it did, it has told the pool */

    return NGX_AGAIN;
}


static void
df_pg_resolve_done(ngx_resolver_ctx_t *ctx)
{
    char           addr[NGX_SOCKADDR_STRLEN + 1];
    size_t         len;
    ngx_uint_t     i;
    df_pg_conn_t  *conn;

    conn = ctx->data;

    if (ctx->state != NGX_OK || ctx->naddrs == 0) {
        ngx_resolve_name_done(ctx);
        df_pg_conn_resolved(conn, NULL);
        return;
    }

    i = (ngx_uint_t) ngx_random() % ctx->naddrs;

    len = ngx_sock_ntop(ctx->addrs[i].sockaddr, ctx->addrs[i].socklen,
                        (u_char *) addr, NGX_SOCKADDR_STRLEN, 0);
    addr[len] = '\0';

    ngx_resolve_name_done(ctx);
    df_pg_conn_resolved(conn, addr);
}


/* "address name alias …" lines, hosts(5) */

static ngx_int_t
df_pg_resolve_hosts(ngx_cycle_t *cycle)
{
    ngx_str_t      text, words[16];
    ngx_uint_t     i, n;
    df_pg_host_t  *host;

    df_pg_hosts = ngx_array_create(cycle->pool, 8, sizeof(df_pg_host_t));
    if (df_pg_hosts == NULL) {
        return NGX_ERROR;
    }

    if (df_pg_resolve_read(cycle->pool, "/etc/hosts", &text) == NGX_OK) {

        while (text.len) {
            n = df_pg_resolve_words(&text, words, 16);

            for (i = 1; i < n && words[0].len < NGX_SOCKADDR_STRLEN; i++) {
                host = ngx_array_push(df_pg_hosts);
                if (host == NULL) {
                    return NGX_ERROR;
                }

                host->name = words[i];
                host->address = words[0];
            }
        }
    }

    host = ngx_array_push(df_pg_hosts);
    if (host == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&host->name, "localhost");
    ngx_str_set(&host->address, "127.0.0.1");

    return NGX_OK;
}


static ngx_int_t
df_pg_resolve_servers(ngx_cycle_t *cycle)
{
    u_char      *end;
    ngx_str_t    text, words[2], servers[DF_PG_NAMESERVERS];
    ngx_conf_t   cf;
    ngx_uint_t   n;

    df_pg_resolver = NULL;
    n = 0;

    if (df_pg_resolve_read(cycle->pool, "/etc/resolv.conf", &text) != NGX_OK) {
        return NGX_OK;
    }

    while (text.len && n < DF_PG_NAMESERVERS) {

        if (df_pg_resolve_words(&text, words, 2) != 2
            || words[0].len != sizeof("nameserver") - 1
            || ngx_strncmp(words[0].data, "nameserver", words[0].len) != 0)
        {
            continue;
        }

        end = words[1].data + words[1].len;

        /* nginx wants IPv6 addresses in brackets, and knows no zones */

        if (ngx_strlchr(words[1].data, end, '%')) {
            continue;
        }

        if (ngx_strlchr(words[1].data, end, ':')) {
            words[1] = df_str_printf(cycle->pool, "[%V]", &words[1]);
        }

        servers[n++] = words[1];
    }

    if (n == 0) {
        return NGX_OK;
    }

    /* ngx_resolver_create() wants a configuration for its pool and log only */

    ngx_memzero(&cf, sizeof(ngx_conf_t));

    cf.cycle = cycle;
    cf.pool = cycle->pool;
    cf.log = cycle->log;

    df_pg_resolver = ngx_resolver_create(&cf, servers, n);

    return NGX_OK;
}


static ngx_int_t
df_pg_resolve_read(ngx_pool_t *pool, const char *name, ngx_str_t *text)
{
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file(name, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    text->data = ngx_pnalloc(pool, DF_PG_FILE_MAX);
    n = text->data ? ngx_read_fd(fd, text->data, DF_PG_FILE_MAX) : -1;

    (void) ngx_close_file(fd);

    if (n == -1) {
        return NGX_DECLINED;
    }

    text->len = (size_t) n;

    return NGX_OK;
}


/* takes one line; what follows a # is a comment */

static ngx_uint_t
df_pg_resolve_words(ngx_str_t *text, ngx_str_t *words, ngx_uint_t max)
{
    u_char      *p, *last, *end;
    ngx_uint_t   n;

    p = text->data;
    end = p + text->len;

    last = ngx_strlchr(p, end, LF);

    if (last == NULL) {
        last = end;
    }

    text->data = last + (last < end);
    text->len = end - text->data;

    end = ngx_strlchr(p, last, '#');

    if (end == NULL) {
        end = last;
    }

    for (n = 0; n < max; n++) {

        while (p < end && (*p == ' ' || *p == '\t' || *p == CR)) {
            p++;
        }

        if (p == end) {
            break;
        }

        words[n].data = p;

        while (p < end && *p != ' ' && *p != '\t' && *p != CR) {
            p++;
        }

        words[n].len = p - words[n].data;
    }

    return n;
}
