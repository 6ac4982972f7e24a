
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * nginx.conf: blocks of our own and name=value options.  What the options
 * mean is their setters' business.
 */


#include "core/core.h"


static ngx_int_t df_conf_option_set(ngx_conf_t *cf, ngx_uint_t from,
    ngx_uint_t arg, const df_conf_option_t *options, void *conf);
static const df_conf_option_t *df_conf_option_find(
    const df_conf_option_t *options, const ngx_str_t *name);
static void df_conf_option_unknown(ngx_conf_t *cf, const ngx_str_t *name,
    const df_conf_option_t *options);
static ngx_str_t *df_conf_option_name_at(void *list, ngx_uint_t i);


char *
df_conf_block(ngx_conf_t *cf, ngx_uint_t bit, void *conf)
{
    char        *rv;
    void        *confs[1], *ctx[1];
    ngx_conf_t   saved;

    /* to the parser we are a module whose ctx_index is 0 */

    confs[0] = conf;
    ctx[0] = confs;

    saved = *cf;

    cf->ctx = ctx;
    cf->module_type = DF_BLOCK_MODULE;
    cf->cmd_type = bit;

    rv = ngx_conf_parse(cf, NULL);

    *cf = saved;

    return rv;
}


char *
df_conf_options(ngx_conf_t *cf, ngx_uint_t from,
    const df_conf_option_t *options, void *conf)
{
    ngx_uint_t  i;

    for (i = from; i < cf->args->nelts; i++) {
        if (df_conf_option_set(cf, from, i, options, conf) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
df_conf_option_set(ngx_conf_t *cf, ngx_uint_t from, ngx_uint_t arg,
    const df_conf_option_t *options, void *conf)
{
    u_char                  *eq;
    ngx_str_t               *args, name, value;
    ngx_uint_t               i;
    const char              *expected;
    const df_conf_option_t  *option;

    args = cf->args->elts;

    name = args[arg];
    ngx_str_set(&value, "");

    eq = ngx_strlchr(name.data, name.data + name.len, '=');

    if (eq) {
        name.len = eq - name.data;
        value.len = args[arg].len - name.len - 1;
        value.data = eq + 1;
    }

    option = df_conf_option_find(options, &name);

    if (option == NULL) {
        df_conf_option_unknown(cf, &name, options);
        return NGX_ERROR;
    }

    if (eq == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no value of \"%V\" in directive \"%V\": "
                           "\"%V=...\" was expected", &name, &args[0], &name);
        return NGX_ERROR;
    }

    for (i = from; i < arg; i++) {
        if (args[i].len > name.len && args[i].data[name.len] == '='
            && ngx_strncmp(args[i].data, name.data, name.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate \"%V\" in directive \"%V\"",
                               &name, &args[0]);
            return NGX_ERROR;
        }
    }

    expected = option->set(cf, option, &value, conf);

    if (expected) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"%V\" in directive "
                           "\"%V\": %s was expected",
                           &value, &name, &args[0], expected);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static const df_conf_option_t *
df_conf_option_find(const df_conf_option_t *options, const ngx_str_t *name)
{
    const df_conf_option_t  *option;

    for (option = options; option->name.len; option++) {
        if (option->name.len == name->len
            && ngx_memcmp(option->name.data, name->data, name->len) == 0)
        {
            return option;
        }
    }

    return NULL;
}


static void
df_conf_option_unknown(ngx_conf_t *cf, const ngx_str_t *name,
    const df_conf_option_t *options)
{
    ngx_str_t   *args, known;
    ngx_uint_t   n;

    for (n = 0; options[n].name.len; n++) { /* void */ }

    known = df_conf_known(cf, name, (void *) options, n,
                          df_conf_option_name_at);

    args = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown option \"%V\" in directive \"%V\", %V",
                       name, &args[0], &known);
}


static ngx_str_t *
df_conf_option_name_at(void *list, ngx_uint_t i)
{
    df_conf_option_t  *options = list;

    return &options[i].name;
}


const char *
df_conf_set_msec(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf)
{
    ngx_int_t    ms;
    ngx_str_t    expected;
    ngx_msec_t  *field;

    ms = ngx_parse_time(value, 0);

    if (ms != NGX_ERROR && ms >= option->min
        && (option->max == 0 || ms <= option->max))
    {
        field = (ngx_msec_t *) ((char *) conf + option->offset);
        *field = (ngx_msec_t) ms;

        return NULL;
    }

    if (option->max) {
        expected = df_str_printf(cf->temp_pool,
                                 "a time such as 500ms or 2s, "
                                 "from %ims to %ims,",
                                 option->min, option->max);

    } else if (option->min) {
        expected = df_str_printf(cf->temp_pool,
                                 "a time such as 500ms or 2s, "
                                 "not below %ims,", option->min);

    } else {
        return "a time such as 500ms or 2s";
    }

    return (const char *) expected.data;
}


const char *
df_conf_set_num(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf)
{
    ngx_int_t  n, *field;
    ngx_str_t  expected;

    n = ngx_atoi(value->data, value->len);

    if (n != NGX_ERROR && n >= option->min
        && (option->max == 0 || n <= option->max))
    {
        field = (ngx_int_t *) ((char *) conf + option->offset);
        *field = n;

        return NULL;
    }

    if (option->max) {
        expected = df_str_printf(cf->temp_pool, "a number from %i to %i",
                                 option->min, option->max);

    } else {
        expected = df_str_printf(cf->temp_pool, "a number from %i",
                                 option->min);
    }

    return (const char *) expected.data;
}


const char *
df_conf_set_str(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf)
{
    ngx_str_t  *field;

    if (value->len == 0) {
        return "a text";
    }

    field = (ngx_str_t *) ((char *) conf + option->offset);
    *field = *value;

    return NULL;
}


const char *
df_conf_set_on_off(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf)
{
    ngx_flag_t  *field;

    field = (ngx_flag_t *) ((char *) conf + option->offset);

    if (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0) {
        *field = 1;
        return NULL;
    }

    if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
        *field = 0;
        return NULL;
    }

    return "on or off";
}


ngx_uint_t
df_conf_is_name(const ngx_str_t *name)
{
    u_char      c;
    ngx_uint_t  i;

    if (name->len == 0 || name->len > 63) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if ((c >= 'a' && c <= 'z') || c == '_') {
            continue;
        }

        if (i == 0 || c < '0' || c > '9') {
            return 0;
        }
    }

    return 1;
}
