
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What a message about an unknown word of nginx.conf says of the known ones.
 */


#include "core/core.h"


#define DF_CONF_KNOWN_MAX  32


ngx_str_t
df_conf_known(ngx_conf_t *cf, const ngx_str_t *word, void *list, ngx_uint_t n,
    df_name_at_pt name_at)
{
    ngx_str_t    text, *name;
    ngx_uint_t   i, listed;
    df_writer_t  w;

    ngx_str_set(&text, "none is known");

    if (df_writer_init(&w, cf->temp_pool, 256) != NGX_OK) {
        return text;
    }

    name = df_nearest(word, list, n, name_at);

    if (name && df_writer_printf(&w, "did you mean \"%V\"? ", name) != NGX_OK)
    {
        return text;
    }

    listed = 0;

    for (i = 0; i < n && listed < DF_CONF_KNOWN_MAX; i++) {
        name = name_at(list, i);

        if (name == NULL) {
            continue;
        }

        if (df_writer_printf(&w, "%s\"%V\"", listed ? ", " : "known are ",
                             name)
            != NGX_OK)
        {
            return text;
        }

        listed++;
    }

    if (listed == 0) {
        return text;
    }

    if (i < n && df_writer_printf(&w, ", ...") != NGX_OK) {
        return text;
    }

    (void) df_writer_text(&w, &text);

    return text;
}
