
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * JSON trees: what is at a node, and the text of a tree.  The one place that
 * undoes what the scanner did to numbers and to U+0000.
 *
 * A tree is as deep as the scanner lets it be, so what follows may recurse.
 */


#include "core/core.h"


static ngx_int_t df_json_print_node(df_writer_t *w, const cJSON *node);
static ngx_int_t df_json_print_children(df_writer_t *w, const cJSON *node,
    const char *brackets);
static ngx_int_t df_json_print_string(df_writer_t *w, ngx_str_t text);


df_json_kind_t
df_json_kind(const cJSON *node)
{
    df_json_kind_t  kind;

    static const u_char  kinds[] = {
        [cJSON_False] = DF_JSON_FALSE,
        [cJSON_True] = DF_JSON_TRUE,
        [cJSON_NULL] = DF_JSON_NULL,
        [cJSON_String] = DF_JSON_STRING,
        [cJSON_Array] = DF_JSON_ARRAY,
        [cJSON_Object] = DF_JSON_OBJECT
    };

    kind = kinds[node->type];

    if (kind == DF_JSON_STRING
        && (u_char) node->valuestring[0] == DF_JSON_NUMBER_MARK)
    {
        return DF_JSON_NUMBER;
    }

    return kind;
}


ngx_str_t
df_json_text(const cJSON *node)
{
    ngx_str_t       text;
    df_json_kind_t  kind;

    static const ngx_str_t  words[] = {
        [DF_JSON_NULL] = ngx_string("null"),
        [DF_JSON_FALSE] = ngx_string("false"),
        [DF_JSON_TRUE] = ngx_string("true"),
        [DF_JSON_NUMBER] = ngx_null_string,
        [DF_JSON_STRING] = ngx_null_string,
        [DF_JSON_ARRAY] = ngx_string(""),
        [DF_JSON_OBJECT] = ngx_string("")
    };

    kind = df_json_kind(node);

    if (words[kind].data) {
        return words[kind];
    }

    text.data = (u_char *) node->valuestring + (kind == DF_JSON_NUMBER);
    text.len = ngx_strlen(text.data);

    return text;
}


ngx_str_t
df_json_name(const cJSON *node)
{
    ngx_str_t  name;

    name.data = (u_char *) (node->string ? node->string : "");
    name.len = ngx_strlen(name.data);

    return name;
}


ngx_uint_t
df_json_has_nul(const cJSON *node)
{
    const cJSON  *child;

    if (node->string && ngx_strchr(node->string, DF_JSON_NUL_MARK)) {
        return 1;
    }

    if (node->valuestring && ngx_strchr(node->valuestring, DF_JSON_NUL_MARK)) {
        return 1;
    }

    for (child = node->child; child; child = child->next) {
        if (df_json_has_nul(child)) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
df_json_print(ngx_pool_t *pool, const cJSON *node, ngx_str_t *out)
{
    df_writer_t  w;

    if (df_writer_init(&w, pool, 256) != NGX_OK
        || df_json_print_node(&w, node) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_writer_text(&w, out);
}


static ngx_int_t
df_json_print_node(df_writer_t *w, const cJSON *node)
{
    ngx_str_t       text;
    df_json_kind_t  kind;

    kind = df_json_kind(node);

    if (kind == DF_JSON_ARRAY) {
        return df_json_print_children(w, node, "[]");
    }

    if (kind == DF_JSON_OBJECT) {
        return df_json_print_children(w, node, "{}");
    }

    text = df_json_text(node);

    if (kind == DF_JSON_STRING) {
        return df_json_print_string(w, text);
    }

    return df_writer_add(w, text.data, text.len);
}


static ngx_int_t
df_json_print_children(df_writer_t *w, const cJSON *node,
    const char *brackets)
{
    const cJSON  *child;

    if (df_writer_add(w, &brackets[0], 1) != NGX_OK) {
        return NGX_ERROR;
    }

    for (child = node->child; child; child = child->next) {

        if (child != node->child && df_writer_add(w, ",", 1) != NGX_OK) {
            return NGX_ERROR;
        }

        if (child->string
            && (df_json_print_string(w, df_json_name(child)) != NGX_OK
                || df_writer_add(w, ":", 1) != NGX_OK))
        {
            return NGX_ERROR;
        }

        if (df_json_print_node(w, child) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_writer_add(w, &brackets[1], 1);
}


static ngx_int_t
df_json_print_string(df_writer_t *w, ngx_str_t text)
{
    size_t   len;
    u_char  *p, *end, *nul;

    end = text.data + text.len;

    if (df_writer_add(w, "\"", 1) != NGX_OK) {
        return NGX_ERROR;
    }

    for (p = text.data; /* void */ ; p = nul + 1) {

        nul = ngx_strlchr(p, end, DF_JSON_NUL_MARK);

        len = (nul ? nul : end) - p;

        if (df_writer_reserve(w, df_json_escaped_length(p, len)) != NGX_OK) {
            return NGX_ERROR;
        }

        w->pos = df_json_escape(w->pos, p, len);

        if (nul == NULL) {
            break;
        }

        if (df_writer_add(w, "\\u0000", 6) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return df_writer_add(w, "\"", 1);
}
