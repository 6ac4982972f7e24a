
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * dataflow_openapi: the directive, the document as a whole, and serving it.
 * What stands in it is said by those whom it tells of.
 */


#include "http/openapi.h"
#include <ngx_md5.h>


#define DF_OPENAPI_CHUNK  65536


/* a location that the document of its server tells of */

typedef struct {
    void                    *server;
    df_http_loc_conf_t      *conf;
    df_openapi_describe_pt   describe;
    void                    *data;
} df_openapi_location_t;


static const char *df_openapi_conf_conditions(ngx_conf_t *cf,
    const df_conf_option_t *option, ngx_str_t *value, void *conf);
static char *df_openapi_conf_add(ngx_conf_t *cf, df_http_loc_conf_t *dlcf);
static void *df_openapi_server(ngx_conf_t *cf);
static ngx_int_t df_openapi_make(ngx_conf_t *cf, df_http_main_conf_t *dmcf,
    df_http_openapi_t *openapi);
static ngx_int_t df_openapi_init(df_openapi_t *doc, ngx_pool_t *pool);
static ngx_int_t df_openapi_print(df_openapi_t *doc,
    df_http_openapi_t *openapi, ngx_str_t *text);
static ngx_int_t df_openapi_info(df_writer_t *w, df_http_openapi_t *openapi);
static void df_openapi_functions(df_writer_t *w, ngx_uint_t aggregates);
static void df_openapi_part(df_writer_t *w, df_writer_t *part);
static ngx_int_t df_openapi_keep(ngx_conf_t *cf, df_http_openapi_t *openapi,
    ngx_str_t *text);
static ngx_int_t df_openapi_send(ngx_http_request_t *r,
    df_http_openapi_t *openapi);


static const df_conf_option_t  df_openapi_options[] = {
    { ngx_string("title"), df_conf_set_str,
      offsetof(df_http_openapi_t, title), 0, 0 },
    { ngx_string("version"), df_conf_set_str,
      offsetof(df_http_openapi_t, version), 0, 0 },
    { ngx_string("description"), df_conf_set_str,
      offsetof(df_http_openapi_t, description), 0, 0 },
    { ngx_string("conditions"), df_openapi_conf_conditions,
      offsetof(df_http_openapi_t, patterns), 0, 0 },
    { ngx_null_string, NULL, 0, 0, 0 }
};


char *
df_http_conf_openapi(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    df_http_loc_conf_t *dlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (dlcf->openapi) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (df_http_conf_handle(cf, clcf, df_http_openapi_handler) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return df_openapi_conf_add(cf, dlcf);
}


ngx_int_t
df_openapi_conf_init(ngx_conf_t *cf, df_http_main_conf_t *dmcf)
{
    if (ngx_array_init(&dmcf->openapis, cf->pool, 1,
                       sizeof(df_http_openapi_t *))
        != NGX_OK
        || ngx_array_init(&dmcf->locations, cf->pool, 8,
                          sizeof(df_openapi_location_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
df_openapi_conf_add(ngx_conf_t *cf, df_http_loc_conf_t *dlcf)
{
    df_http_openapi_t    *openapi, **slot;
    df_http_main_conf_t  *dmcf;

    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_dataflow_module);

    slot = ngx_array_push(&dmcf->openapis);
    openapi = ngx_pcalloc(cf->pool, sizeof(df_http_openapi_t));

    if (slot == NULL || openapi == NULL) {
        return NGX_CONF_ERROR;
    }

    openapi->server = df_openapi_server(cf);
    openapi->file = cf->conf_file->file.name.data;
    openapi->line = cf->conf_file->line;
    dlcf->openapi = openapi;

    *slot = openapi;

    return df_conf_options(cf, 1, df_openapi_options, openapi);
}


static const char *
df_openapi_conf_conditions(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf)
{
    df_http_openapi_t *openapi = conf;

    if (ngx_strcmp(value->data, "patterns") == 0) {
        openapi->patterns = 1;
        return NULL;
    }

    return ngx_strcmp(value->data, "each") == 0 ? NULL : "each or patterns";
}


/* what all locations of a server block share and others do not */

static void *
df_openapi_server(ngx_conf_t *cf)
{
    return ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
}


ngx_int_t
df_openapi_location(ngx_conf_t *cf, df_http_loc_conf_t *conf,
    df_openapi_describe_pt describe, void *data)
{
    df_http_main_conf_t    *dmcf;
    df_openapi_location_t  *location;

    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_dataflow_module);

    location = ngx_array_push(&dmcf->locations);
    if (location == NULL) {
        return NGX_ERROR;
    }

    location->server = df_openapi_server(cf);
    location->conf = conf;
    location->describe = describe;
    location->data = data;

    return NGX_OK;
}


/* making */

ngx_int_t
df_openapi_finish(ngx_conf_t *cf, df_http_main_conf_t *dmcf)
{
    ngx_uint_t           i;
    df_http_openapi_t  **openapi;

    openapi = dmcf->openapis.elts;

    for (i = 0; i < dmcf->openapis.nelts; i++) {
        if (df_openapi_make(cf, dmcf, openapi[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what is needed to make a document is several times its size */

static ngx_int_t
df_openapi_make(ngx_conf_t *cf, df_http_main_conf_t *dmcf,
    df_http_openapi_t *openapi)
{
    ngx_int_t               rc;
    ngx_str_t               text;
    ngx_uint_t              i;
    ngx_pool_t             *pool;
    df_openapi_t            doc;
    df_openapi_location_t  *location;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cf->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = df_openapi_init(&doc, pool);

    doc.log = cf->log;
    doc.main = dmcf;
    doc.server = openapi->server;
    doc.patterns = openapi->patterns;

    location = dmcf->locations.elts;

    for (i = 0; i < dmcf->locations.nelts && rc == NGX_OK; i++) {
        if (location[i].server == openapi->server) {
            rc = location[i].describe(&doc, location[i].conf,
                                      location[i].data);
        }
    }

    if (rc == NGX_OK) {
        rc = df_openapi_print(&doc, openapi, &text);
    }

    if (rc == NGX_OK) {
        rc = df_openapi_keep(cf, openapi, &text);
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
df_openapi_init(df_openapi_t *doc, ngx_pool_t *pool)
{
    ngx_memzero(doc, sizeof(df_openapi_t));

    doc->pool = pool;

    ngx_rbtree_init(&doc->names.tree, &doc->names.sentinel,
                    ngx_str_rbtree_insert_value);

    if (df_writer_init(&doc->tags, pool, 1024) != NGX_OK
        || df_writer_init(&doc->paths, pool, DF_OPENAPI_CHUNK) != NGX_OK
        || df_writer_init(&doc->schemas, pool, DF_OPENAPI_CHUNK) != NGX_OK
        || df_writer_init(&doc->shared, pool, DF_OPENAPI_CHUNK) != NGX_OK
        || df_writer_init(&doc->parameters, pool, DF_OPENAPI_CHUNK) != NGX_OK
        || df_writer_init(&doc->models, pool, 1024) != NGX_OK
        || df_writer_init(&doc->reports, pool, 1024) != NGX_OK
        || df_writer_init(&doc->types, pool, 1024) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
df_openapi_once(df_openapi_t *doc, const char *kind, const ngx_str_t *name)
{
    uint32_t         hash;
    ngx_str_t        key;
    ngx_str_node_t  *node;

    key = df_str_printf(doc->pool, "%s %V", kind, name);
    hash = ngx_crc32_long(key.data, key.len);

    if (ngx_str_rbtree_lookup(&doc->names.tree, &key, hash)) {
        return NGX_DECLINED;
    }

    node = ngx_palloc(doc->pool, sizeof(ngx_str_node_t));
    if (node == NULL || key.len == 0) {
        return NGX_ERROR;
    }

    node->node.key = hash;
    node->str = key;

    ngx_rbtree_insert(&doc->names.tree, &node->node);

    return NGX_OK;
}


/* names are unique in a database only */

ngx_str_t
df_openapi_name(df_openapi_t *doc, const df_model_t *model)
{
    ngx_uint_t              i;
    const df_model_t       *other;
    df_openapi_location_t  *location;

    location = doc->main->locations.elts;

    for (i = 0; i < doc->main->locations.nelts; i++) {
        other = location[i].conf->model;

        if (location[i].server == doc->server && other && other != model
            && other->name.len == model->name.len
            && ngx_memcmp(other->name.data, model->name.data, model->name.len)
               == 0)
        {
            return df_str_printf(doc->pool, "%V.%V", &model->database->name,
                                 &model->name);
        }
    }

    return model->name;
}


ngx_uint_t
df_openapi_has(df_openapi_t *doc, const df_model_t *model)
{
    ngx_uint_t              i;
    df_openapi_location_t  *location;

    location = doc->main->locations.elts;

    for (i = 0; i < doc->main->locations.nelts; i++) {
        if (location[i].server == doc->server
            && location[i].conf->model == model)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
df_openapi_print(df_openapi_t *doc, df_http_openapi_t *openapi,
    ngx_str_t *text)
{
    df_writer_t  w;

    if (df_writer_init(&w, doc->pool,
                       doc->paths.end - doc->paths.start
                       + (doc->schemas.end - doc->schemas.start)
                       + (doc->parameters.end - doc->parameters.start))
        != NGX_OK
        || df_openapi_info(&w, openapi) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* relative: the root of the server that the document was read from */

    df_json_put(&w, "'servers':[{'url':'/'}]");

    df_json_put(&w, "'tags':[");
    df_openapi_part(&w, &doc->tags);
    df_json_put(&w, "],'paths':{");
    df_openapi_part(&w, &doc->paths);
    df_json_put(&w, "}");

    df_openapi_problem_schemas(&doc->shared);

    df_json_put(&w, "'components':{'schemas':{");
    df_openapi_part(&w, &doc->schemas);
    df_openapi_part(&w, &doc->shared);
    df_json_put(&w, "},'parameters':{");
    df_openapi_part(&w, &doc->parameters);
    df_json_put(&w, "},'responses':{");
    df_openapi_problem_responses(doc, &w);
    df_json_put(&w, "}}");

    df_json_put(&w, "'x-dataflow':{'version':1,'types':{");
    df_openapi_part(&w, &doc->types);
    df_json_put(&w, "},'functions':[");
    df_openapi_functions(&w, 0);
    df_json_put(&w, "],'aggregates':[");
    df_openapi_functions(&w, 1);
    df_json_put(&w, "],'models':{");
    df_openapi_part(&w, &doc->models);
    df_json_put(&w, "},'reports':[");
    df_openapi_part(&w, &doc->reports);
    df_json_put(&w, "]}}");

    return df_writer_text(&w, text);
}


static ngx_int_t
df_openapi_info(df_writer_t *w, df_http_openapi_t *openapi)
{
    df_json_put(w, "{'openapi':'3.1.0','info':{");

    if (openapi->title.len) {
        df_json_put(w, "'title':'%V'", &openapi->title);

    } else {
        df_json_put(w, "'title':'API'");
    }

    if (openapi->version.len) {
        df_json_put(w, "'version':'%V'", &openapi->version);

    } else {
        df_json_put(w, "'version':'1'");
    }

    if (openapi->description.len) {
        df_json_put(w, "'description':'%V'", &openapi->description);
    }

    df_json_put(w, "}");

    return w->failed ? NGX_ERROR : NGX_OK;
}


static void
df_openapi_functions(df_writer_t *w, ngx_uint_t aggregates)
{
    ngx_str_t   name;
    ngx_uint_t  i, aggregate;

    for (i = 0; df_query_describe_function(i, &name, &aggregate) == NGX_OK;
         i++)
    {
        if (aggregate == aggregates) {
            df_json_put(w, "'%V'", &name);
        }
    }
}


static void
df_openapi_part(df_writer_t *w, df_writer_t *part)
{
    ngx_str_t  text;

    if (df_writer_text(part, &text) != NGX_OK) {
        w->failed = 1;

    } else if (text.len) {
        df_json_put(w, "%J", &text);
    }
}


/* the tag is of the text: equal configurations make equal documents */

static ngx_int_t
df_openapi_keep(ngx_conf_t *cf, df_http_openapi_t *openapi, ngx_str_t *text)
{
    u_char     *p, digest[16];
    ngx_md5_t   md5;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, text->data, text->len);
    ngx_md5_final(digest, &md5);

    openapi->etag.len = sizeof(digest) * 2 + 2;
    openapi->etag.data = ngx_pnalloc(cf->pool, openapi->etag.len);

    if (openapi->etag.data == NULL
        || df_str_copy(cf->pool, &openapi->text, text->data, text->len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = openapi->etag.data;
    *p++ = '"';
    p = ngx_hex_dump(p, digest, sizeof(digest));
    *p = '"';

    return NGX_OK;
}


/* serving */

ngx_int_t
df_http_openapi_handler(ngx_http_request_t *r)
{
    df_problem_t         problem;
    df_http_loc_conf_t  *dlcf;

    static const ngx_str_t  allow = ngx_string("GET, HEAD, OPTIONS");

    dlcf = ngx_http_get_module_loc_conf(r, ngx_dataflow_module);

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return df_openapi_send(r, dlcf->openapi);
    }

    if (df_http_header(r, "Allow", &allow) == NULL
        || df_problem_init(&problem, r->pool) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return df_http_response_options(r);
    }

    (void) df_problem_set(&problem, DF_PROBLEM_METHOD_NOT_ALLOWED,
                          "the document is read with GET");

    return df_http_response_problem(r, &problem);
}


/* nginx's filters answer 304, compress, and add what add_header says */

static ngx_int_t
df_openapi_send(ngx_http_request_t *r, df_http_openapi_t *openapi)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.etag = df_http_header(r, "ETag", &openapi->etag);
    if (r->headers_out.etag == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return df_http_response_text(r, NGX_HTTP_OK,
                                 &df_http_types[DF_FORMAT_JSON],
                                 &openapi->text);
}
