
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: cursors.  No text is a cursor that was not made here.  What was
 * made is read back with the same values, by the same list only, and not when
 * a single bit of it is another.
 */


#include "fuzz_model.h"


static const char  fuzz_cursor_list[] =
    "sort=-f_text,f_varchar:nullsfirst&f_integer__in=1,2&f_json.a=b";
static const char  fuzz_cursor_other[] =
    "sort=-f_text,f_varchar:nullsfirst&f_integer__in=1,3&f_json.a=b";


/* of another server: the fuzzer may replay what is made here, and that is a
   cursor */

static const df_rules_t  fuzz_cursor_stranger = {
    .expose = DF_EXPOSE_ALL,
    .default_limit = 100,
    .max_limit = 1000,
    .secret = (const u_char *) "abcdefghijklmnopqrstuvwxyzabcdef"
};


static ngx_int_t fuzz_cursor_admit(ngx_pool_t *pool, const df_rules_t *rules,
    const char *args, const ngx_str_t *cursor, df_admitted_t **admitted);
static void fuzz_cursor_round(ngx_pool_t *pool, const uint8_t *data,
    size_t size);
static void fuzz_cursor_check(ngx_pool_t *pool, const ngx_str_t *cursor,
    const df_value_t *values, size_t bit);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t       text;
    ngx_pool_t     *pool;
    df_admitted_t  *admitted;

    pool = ngx_shim_pool();

    text.data = (u_char *) data;
    text.len = size;

    ngx_shim_check(fuzz_cursor_admit(pool, &fuzz_cursor_stranger,
                                     fuzz_cursor_list, &text, &admitted)
                   == NGX_DECLINED);

    if (size > 3) {
        fuzz_cursor_round(pool, data, size);
    }

    ngx_destroy_pool(pool);

    return 0;
}


static ngx_int_t
fuzz_cursor_admit(ngx_pool_t *pool, const df_rules_t *rules, const char *args,
    const ngx_str_t *cursor, df_admitted_t **admitted)
{
    ngx_int_t      rc;
    ngx_str_t      text;
    df_problem_t   problem;
    df_request_t  *r;

    r = ngx_palloc(pool, sizeof(df_request_t));
    ngx_shim_check(r != NULL);

    text.data = (u_char *) args;
    text.len = ngx_strlen(args);

    ngx_shim_check(df_problem_init(&problem, pool) == NGX_OK);
    ngx_shim_check(df_query_request_init(r, pool, fuzz_model_create(pool),
                                         DF_LIST)
                   == NGX_OK);
    ngx_shim_check(df_query_parse_args(r, &text, &problem) == NGX_OK);

    if (cursor) {
        r->cursor = *cursor;
        r->has_cursor = 1;
    }

    rc = df_query_admit(r, &fuzz_model_principal, rules, 0, admitted,
                        &problem);

    if (rc == NGX_DECLINED) {
        ngx_shim_check(problem.code == DF_PROBLEM_INVALID_CURSOR);
        fuzz_model_check_problem(&problem);
    }

    return rc;
}


/* bytes: a bit to change, 2; how much of the rest is the first value, 1 */

static void
fuzz_cursor_round(ngx_pool_t *pool, const uint8_t *data, size_t size)
{
    size_t          n;
    ngx_int_t       rc;
    ngx_str_t       cursor;
    ngx_uint_t      i;
    df_value_t      values[3];
    df_admitted_t  *admitted;

    ngx_memzero(values, sizeof(values));

    n = ngx_min((size_t) data[2], size - 3);

    values[0].text.data = (u_char *) data + 3;
    values[0].text.len = n;
    values[1].text.data = (u_char *) data + 3 + n;
    values[1].text.len = size - 3 - n;
    values[1].null = (values[1].text.len == 0);

    values[2].text = df_str_printf(pool, "%ui", size);

    for (i = 0; i < 2; i++) {
        if (df_utf8_check(values[i].text.data, values[i].text.len) != NGX_OK
            || ngx_strlchr(values[i].text.data,
                           values[i].text.data + values[i].text.len, '\0'))
        {
            return;
        }
    }

    ngx_shim_check(fuzz_cursor_admit(pool, &fuzz_model_rules,
                                     fuzz_cursor_list, NULL, &admitted)
                   == NGX_OK);

    rc = df_query_cursor_make(admitted, pool, values, &cursor);

    if (rc == NGX_DECLINED) {
        ngx_shim_check(size > DF_CURSOR_MAX / 2);
        return;
    }

    ngx_shim_check(rc == NGX_OK && cursor.len <= DF_CURSOR_MAX);

    fuzz_cursor_check(pool, &cursor, values, data[0] << 8 | data[1]);
}


static void
fuzz_cursor_check(ngx_pool_t *pool, const ngx_str_t *cursor,
    const df_value_t *values, size_t bit)
{
    ngx_uint_t      i;
    df_admitted_t  *admitted;

    ngx_shim_check(fuzz_cursor_admit(pool, &fuzz_model_rules,
                                     fuzz_cursor_list, cursor, &admitted)
                   == NGX_OK);
    ngx_shim_check(admitted->sort.nelts == 3);

    for (i = 0; i < 3; i++) {
        ngx_shim_check(admitted->after[i].null == values[i].null);
        ngx_shim_check(values[i].null
                       || (admitted->after[i].text.len == values[i].text.len
                           && ngx_memcmp(admitted->after[i].text.data,
                                         values[i].text.data,
                                         values[i].text.len)
                              == 0));
    }

    ngx_shim_check(fuzz_cursor_admit(pool, &fuzz_model_rules,
                                     fuzz_cursor_other, cursor, &admitted)
                   == NGX_DECLINED);

    bit %= 8 * cursor->len;
    cursor->data[bit / 8] ^= 1 << (bit % 8);

    ngx_shim_check(fuzz_cursor_admit(pool, &fuzz_model_rules,
                                     fuzz_cursor_list, cursor, &admitted)
                   == NGX_DECLINED);
}
