
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A location with a model: what it is called in the document, and what of it
 * standard members have no place for.
 */


#include "http/openapi.h"


static ngx_int_t df_openapi_model_path(df_openapi_model_t *m);
static void df_openapi_model_tag(df_openapi_model_t *m);
static void df_openapi_model_extension(df_openapi_model_t *m);


ngx_int_t
df_openapi_model(df_openapi_t *doc, df_http_loc_conf_t *conf, void *data)
{
    ngx_int_t           rc;
    df_openapi_model_t  m;

    m.doc = doc;
    m.conf = conf;
    m.model = conf->model;
    m.name = df_openapi_name(doc, conf->model);

    /* the path is the location's name, cut off before it */

    m.slash = (conf->path.data[conf->path.len] == '/');

    rc = df_openapi_model_path(&m);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    df_openapi_model_tag(&m);
    df_openapi_schemas(&m);
    df_openapi_paths(&m);
    df_openapi_model_extension(&m);

    return NGX_OK;
}


/* "/api/products" and "/api/products/" may both be locations */

static ngx_int_t
df_openapi_model_path(df_openapi_model_t *m)
{
    ngx_int_t  rc;

    if (df_openapi_url(m->doc->pool, &m->conf->path, &m->path) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = df_openapi_once(m->doc, "path", &m->path);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_WARN, m->doc->log, 0,
                      "another location has the path \"%V\" of model \"%V\" "
                      "already: \"dataflow_openapi\" does not tell of this "
                      "one in %s:%ui", &m->path, &m->model->name,
                      m->model->file, m->model->line);
    }

    return rc;
}


ngx_int_t
df_openapi_url(ngx_pool_t *pool, const ngx_str_t *path, ngx_str_t *url)
{
    u_char  *p;
    size_t   i;

    p = ngx_pnalloc(pool, 3 * path->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;

    for (i = 0; i < path->len; i++) {
        if (path->data[i] == '{' || path->data[i] == '}') {
            p = ngx_sprintf(p, "%%%02Xd", (int) path->data[i]);

        } else {
            p = (u_char *) ngx_escape_uri(p, &path->data[i], 1,
                                          NGX_ESCAPE_URI);
        }
    }

    url->len = p - url->data;

    return NGX_OK;
}


static void
df_openapi_model_tag(df_openapi_model_t *m)
{
    if (df_openapi_once(m->doc, "tag", &m->name) != NGX_OK) {
        return;
    }

    df_json_put(&m->doc->tags, "{'name':'%V'", &m->name);

    if (m->model->description.len) {
        df_json_put(&m->doc->tags, "'description':'%V'",
                    &m->model->description);
    }

    df_json_put(&m->doc->tags, "}");
}


/* with components.schemas this is what a client needs that knows no model */

static void
df_openapi_model_extension(df_openapi_model_t *m)
{
    ngx_str_t             target;
    ngx_uint_t            i;
    df_writer_t          *w;
    const df_reverse_t   *reverse;
    const df_relation_t  *relation;

    w = &m->doc->models;

    df_json_put(w, "'%V':{'path':'%V%s','key':'%V','operations':[", &m->name,
                &m->path, m->slash ? "/" : "", &m->model->key->name);

    df_openapi_operations(m, w);

    df_json_put(w, "],'relations':{");

    relation = m->model->relations.elts;

    for (i = 0; i < m->model->relations.nelts; i++) {
        if (!df_query_relation_offered(&relation[i])) {
            continue;
        }

        target = df_openapi_name(m->doc, relation[i].target);

        df_json_put(w, "'%V':{'model':'%V','field':'%V'}", &relation[i].name,
                    &target, &relation[i].field->name);
    }

    df_json_put(w, "},'reverses':{");

    reverse = m->model->reverses.elts;

    for (i = 0; i < m->model->reverses.nelts; i++) {
        if (!df_query_reverse_offered(&reverse[i])) {
            continue;
        }

        target = df_openapi_name(m->doc, reverse[i].model);

        df_json_put(w, "'%V':{'model':'%V','field':'%V'}", &reverse[i].name,
                    &target, &reverse[i].relation->field->name);
    }

    df_json_put(w, "}}");
}
