
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Fuzz target: dates and times.  What is read and printed is read again as
 * the same; any value can be printed within DF_TIME_LEN.
 */


#include "ngx_shim.h"
#include "core/core.h"


static void fuzz_time_date(const u_char *p, size_t len);
static void fuzz_time_time(const u_char *p, size_t len);
static void fuzz_time_timestamp(const u_char *p, size_t len, ngx_uint_t zone);
static void fuzz_time_values(const u_char *p, size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_time_date(data, size);
    fuzz_time_time(data, size);
    fuzz_time_timestamp(data, size, 0);
    fuzz_time_timestamp(data, size, 1);
    fuzz_time_values(data, size);

    return 0;
}


static void
fuzz_time_date(const u_char *p, size_t len)
{
    u_char   buf[DF_TIME_LEN], *end;
    int64_t  days, again;

    if (df_time_parse_date(p, len, &days) == NGX_OK) {
        end = df_time_format_date(buf, days);

        ngx_shim_check(df_time_parse_date(buf, end - buf, &again) == NGX_OK);
        ngx_shim_check(again == days);
    }
}


static void
fuzz_time_time(const u_char *p, size_t len)
{
    u_char   buf[DF_TIME_LEN], *end;
    int64_t  usec, again;

    if (df_time_parse_time(p, len, &usec) == NGX_OK) {
        end = df_time_format_time(buf, usec);

        ngx_shim_check(df_time_parse_time(buf, end - buf, &again) == NGX_OK);
        ngx_shim_check(again == usec);
    }
}


static void
fuzz_time_timestamp(const u_char *p, size_t len, ngx_uint_t zone)
{
    u_char   buf[DF_TIME_LEN], *end;
    int64_t  usec, again;

    if (df_time_parse_timestamp(p, len, zone, &usec) == NGX_OK) {
        end = df_time_format_timestamp(buf, usec, zone);

        ngx_shim_check(df_time_parse_timestamp(buf, end - buf, zone, &again)
                       == NGX_OK);
        ngx_shim_check(again == usec);
    }
}


static void
fuzz_time_values(const u_char *p, size_t len)
{
    u_char   buf[DF_TIME_LEN];
    int32_t  days, months;
    int64_t  usec;

    if (len < sizeof(usec) + sizeof(days) + sizeof(months)) {
        return;
    }

    memcpy(&usec, p, sizeof(usec));
    memcpy(&days, p + sizeof(usec), sizeof(days));
    memcpy(&months, p + sizeof(usec) + sizeof(days), sizeof(months));

    (void) df_time_format_date(buf, days);
    (void) df_time_format_timestamp(buf, usec, 1);
    (void) df_time_format_interval(buf, usec, days, months);
}
