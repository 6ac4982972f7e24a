
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * JSON out: documents from templates.  What stands in a template is JSON that
 * the code was written with; what comes from elsewhere is escaped.
 */


#include "core/core.h"


static void df_json_put_text(df_writer_t *w, const u_char *data, size_t len);
static ngx_uint_t df_json_put_lacks_comma(const df_writer_t *w, char first);


void
df_json_put(df_writer_t *w, const char *template, ...)
{
    size_t       n;
    va_list      args;
    ngx_str_t   *text;
    const char  *p, *string;

    if (df_json_put_lacks_comma(w, *template)) {
        (void) df_writer_add(w, ",", 1);
    }

    va_start(args, template);

    for (p = template; *p; p++) {
        n = strcspn(p, "'%");

        (void) df_writer_add(w, p, n);
        p += n;

        if (*p == '\0') {
            break;
        }

        if (*p == '\'') {
            (void) df_writer_add(w, "\"", 1);
            continue;
        }

        /* clang-tidy forgets va_start() in the second file of several
           NOLINTBEGIN(clang-analyzer-valist.Uninitialized) */

        switch (*++p) {

        case 'V':
            text = va_arg(args, ngx_str_t *);
            df_json_put_text(w, text->data, text->len);
            break;

        case 's':
            string = va_arg(args, const char *);
            df_json_put_text(w, (const u_char *) string, ngx_strlen(string));
            break;

        case 'J':
            text = va_arg(args, ngx_str_t *);
            (void) df_writer_add(w, text->data, text->len);
            break;

        case 'i':
            (void) df_writer_printf(w, "%i", va_arg(args, ngx_int_t));
            break;

        default: /* 'u' */
            (void) df_writer_printf(w, "%ui", va_arg(args, ngx_uint_t));
        }

        /* NOLINTEND(clang-analyzer-valist.Uninitialized) */
    }

    va_end(args);
}


static void
df_json_put_text(df_writer_t *w, const u_char *data, size_t len)
{
    if (df_writer_reserve(w, df_json_escaped_length(data, len)) == NGX_OK) {
        w->pos = df_json_escape(w->pos, data, len);
    }
}


/* none at the beginning, behind what opens, and before what closes */

static ngx_uint_t
df_json_put_lacks_comma(const df_writer_t *w, char first)
{
    if (w->pos == w->start || first == '}' || first == ']') {
        return 0;
    }

    return ngx_strchr("{[,:", w->pos[-1]) == NULL;
}
