
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
    ngx_str_t    text, *nearest;
    ngx_uint_t   i;
    df_writer_t  w;

    ngx_str_set(&text, "none is known");

    if (n == 0 || df_writer_init(&w, cf->temp_pool, 256) != NGX_OK) {
        return text;
    }

    nearest = df_nearest(word, list, n, name_at);

    if (nearest
        && df_writer_printf(&w, "did you mean \"%V\"? ", nearest) != NGX_OK)
    {
        return text;
    }

    for (i = 0; i < n && i < DF_CONF_KNOWN_MAX; i++) {
        if (df_writer_printf(&w, "%s\"%V\"", i ? ", " : "known are ",
                             name_at(list, i))
            != NGX_OK)
        {
            return text;
        }
    }

    if (i < n && df_writer_printf(&w, " and %ui more", n - i) != NGX_OK) {
        return text;
    }

    (void) df_writer_text(&w, &text);

    return text;
}
