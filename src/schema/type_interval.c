
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * interval: months, days and microseconds.  ISO 8601 durations and
 * PostgreSQL's own spelling ("1 year 2 mons 3 days -04:05:06.7") come in, ISO
 * 8601 goes out, to clients and to PostgreSQL.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/schema_internal.h"


#define DF_SCHEMA_SECOND         ((int64_t) 1000000)

/* as many as fit an int64_t whatever they are */
#define DF_SCHEMA_AMOUNT_DIGITS  18


typedef struct {
    int32_t      months;
    int32_t      days;
    int64_t      usec;
} df_schema_interval_t;

typedef struct {
    ngx_str_t    name;          /* in the singular */
    u_char       letter;        /* in ISO 8601 */
    int32_t      months;
    int32_t      days;
    int64_t      usec;
} df_schema_unit_t;

/* 12, -3 or 1.25, the last as 1 and 250000 millionths */
typedef struct {
    int64_t      whole;
    int64_t      millionths;
    ngx_uint_t   negative;
} df_schema_amount_t;


static const u_char *df_schema_amount_scan(const u_char *p,
    const u_char *last, df_schema_amount_t *amount);
static ngx_int_t df_schema_interval_add(df_schema_interval_t *interval,
    const df_schema_unit_t *unit, const df_schema_amount_t *amount);
static ngx_int_t df_schema_interval_scan(const ngx_str_t *literal,
    df_schema_interval_t *interval);
static ngx_int_t df_schema_interval_iso(const u_char *p, const u_char *last,
    df_schema_interval_t *interval);
static ngx_int_t df_schema_interval_words(const u_char *p, const u_char *last,
    df_schema_interval_t *interval);
static const u_char *df_schema_interval_clock(const u_char *p,
    const u_char *last, const df_schema_amount_t *hours,
    df_schema_interval_t *interval);
static const df_schema_unit_t *df_schema_unit_find(const u_char *p,
    size_t len);


/* ISO 8601 takes each letter once, in this order */

static const df_schema_unit_t  df_schema_units[] = {
    { ngx_string("year"),   'Y', 12, 0, 0 },
    { ngx_string("month"),  'M',  1, 0, 0 },
    { ngx_string("week"),   'W',  0, 7, 0 },
    { ngx_string("day"),    'D',  0, 1, 0 },
    { ngx_string("hour"),   'H',  0, 0, 3600 * DF_SCHEMA_SECOND },
    { ngx_string("minute"), 'M',  0, 0, 60 * DF_SCHEMA_SECOND },
    { ngx_string("second"), 'S',  0, 0, DF_SCHEMA_SECOND },

    { ngx_string("mon"),     0,   1, 0, 0 },
    { ngx_string("min"),     0,   0, 0, 60 * DF_SCHEMA_SECOND },
    { ngx_string("sec"),     0,   0, 0, DF_SCHEMA_SECOND },
};

#define DF_SCHEMA_UNITS       (sizeof(df_schema_units)                        \
                               / sizeof(df_schema_units[0]))
#define DF_SCHEMA_UNIT_HOUR    (&df_schema_units[4])
#define DF_SCHEMA_UNIT_MINUTE  (&df_schema_units[5])
#define DF_SCHEMA_UNIT_SECOND  (&df_schema_units[6])
#define DF_SCHEMA_UNIT_LAST    (&df_schema_units[7])


ngx_int_t
df_schema_interval_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    u_char                *p;
    df_schema_interval_t   interval;

    if (df_schema_interval_scan(literal, &interval) != NGX_OK) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    p = ngx_pnalloc(pool, DF_SCHEMA_SHORT_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->text.data = p;
    p = df_time_format_interval(p, interval.usec, interval.days,
                                interval.months);
    value->text.len = p - value->text.data;
    *p = '\0';

    return NGX_OK;
}


/* a month has 30 days here and a day 24 hours, as PostgreSQL compares */

ngx_int_t
df_schema_interval_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    int64_t               m, n;
    df_schema_interval_t  x, y;

    (void) df_schema_interval_scan(a, &x);
    (void) df_schema_interval_scan(b, &y);

    /* whole days first: the sum in microseconds needs more than 64 bits */

    m = x.usec / (86400 * DF_SCHEMA_SECOND) + x.days + x.months * (int64_t) 30;
    n = y.usec / (86400 * DF_SCHEMA_SECOND) + y.days + y.months * (int64_t) 30;

    x.usec %= 86400 * DF_SCHEMA_SECOND;
    y.usec %= 86400 * DF_SCHEMA_SECOND;

    /* what is left has either sign and is less than a day */

    if (x.usec < 0) {
        x.usec += 86400 * DF_SCHEMA_SECOND;
        m--;
    }

    if (y.usec < 0) {
        y.usec += 86400 * DF_SCHEMA_SECOND;
        n--;
    }

    if (m != n) {
        return (m > n) ? 1 : -1;
    }

    return (x.usec > y.usec) - (x.usec < y.usec);
}


/* microseconds, days, months */

u_char *
df_schema_interval_encode(u_char *p, const u_char *v, size_t len)
{
    if (len != 16) {
        return p;
    }

    return df_time_format_interval(p, (int64_t) df_schema_get64(v),
                                   (int32_t) df_schema_get32(v + 8),
                                   (int32_t) df_schema_get32(v + 12));
}


static ngx_int_t
df_schema_interval_scan(const ngx_str_t *literal,
    df_schema_interval_t *interval)
{
    const u_char  *p, *last;

    ngx_memzero(interval, sizeof(df_schema_interval_t));

    p = literal->data;
    last = p + literal->len;

    if (p < last && *p == 'P') {
        return df_schema_interval_iso(p + 1, last, interval);
    }

    return df_schema_interval_words(p, last, interval);
}


/* P[nY][nM][nW][nD][T[nH][nM][nS]] */

static ngx_int_t
df_schema_interval_iso(const u_char *p, const u_char *last,
    df_schema_interval_t *interval)
{
    df_schema_amount_t       amount;
    const df_schema_unit_t  *unit, *end;

    unit = df_schema_units;
    end = DF_SCHEMA_UNIT_HOUR;

    do {
        if (p < last && *p == 'T' && end == DF_SCHEMA_UNIT_HOUR) {
            unit = DF_SCHEMA_UNIT_HOUR;
            end = DF_SCHEMA_UNIT_LAST;
            p++;
        }

        p = df_schema_amount_scan(p, last, &amount);

        if (p == NULL || p == last) {
            return NGX_DECLINED;
        }

        while (unit < end && unit->letter != *p) {
            unit++;
        }

        if (unit == end
            || df_schema_interval_add(interval, unit, &amount) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        unit++;
        p++;

    } while (p < last);

    return NGX_OK;
}


/* (number unit)* and one hh:mm[:ss], in any order */

static ngx_int_t
df_schema_interval_words(const u_char *p, const u_char *last,
    df_schema_interval_t *interval)
{
    const u_char            *start;
    df_schema_amount_t       amount;
    const df_schema_unit_t  *unit;

    for ( ;; ) {

        p = df_schema_amount_scan(p, last, &amount);

        if (p == NULL || p == last) {
            return NGX_DECLINED;
        }

        if (*p == ':') {
            p = df_schema_interval_clock(p, last, &amount, interval);

            if (p == NULL) {
                return NGX_DECLINED;
            }

        } else {

            if (*p++ != ' ') {
                return NGX_DECLINED;
            }

            for (start = p; p < last && *p != ' '; p++) { /* void */ }

            unit = df_schema_unit_find(start, p - start);

            if (unit == NULL
                || df_schema_interval_add(interval, unit, &amount) != NGX_OK)
            {
                return NGX_DECLINED;
            }
        }

        if (p == last) {
            return NGX_OK;
        }

        if (*p++ != ' ') {
            return NGX_DECLINED;
        }
    }
}


/* what follows the hours; a sign before them is of all three */

static const u_char *
df_schema_interval_clock(const u_char *p, const u_char *last,
    const df_schema_amount_t *hours, df_schema_interval_t *interval)
{
    const u_char            *start;
    df_schema_amount_t       amount;
    const df_schema_unit_t  *unit;

    if (df_schema_interval_add(interval, DF_SCHEMA_UNIT_HOUR, hours)
        != NGX_OK)
    {
        return NULL;
    }

    for (unit = DF_SCHEMA_UNIT_MINUTE;
         unit < DF_SCHEMA_UNIT_LAST && p < last && *p == ':';
         unit++)
    {
        start = ++p;

        if (p == last || *p < '0' || *p > '9') {
            return NULL;
        }

        p = df_schema_amount_scan(p, last, &amount);

        if (p == NULL || p - start < 2 || amount.whole > 59) {
            return NULL;
        }

        if (hours->negative) {
            amount.whole = -amount.whole;
            amount.millionths = -amount.millionths;
        }

        if (df_schema_interval_add(interval, unit, &amount) != NGX_OK) {
            return NULL;
        }
    }

    return p;
}


static const df_schema_unit_t *
df_schema_unit_find(const u_char *p, size_t len)
{
    size_t                   n;
    ngx_uint_t               i;
    const df_schema_unit_t  *unit;

    for (i = 0; i < DF_SCHEMA_UNITS; i++) {
        unit = &df_schema_units[i];
        n = unit->name.len;

        if ((len == n || (len == n + 1 && p[n] == 's'))
            && ngx_memcmp(p, unit->name.data, n) == 0)
        {
            return unit;
        }
    }

    return NULL;
}


/* [sign] digits [. one to six digits]; NULL, or what follows */

static const u_char *
df_schema_amount_scan(const u_char *p, const u_char *last,
    df_schema_amount_t *amount)
{
    int64_t        unit;
    const u_char  *start;

    ngx_memzero(amount, sizeof(df_schema_amount_t));

    if (p < last && (*p == '-' || *p == '+')) {
        amount->negative = (*p++ == '-');
    }

    start = p;

    for ( /* void */ ; p < last && *p >= '0' && *p <= '9'; p++) {

        if (p - start == DF_SCHEMA_AMOUNT_DIGITS) {
            return NULL;
        }

        amount->whole = amount->whole * 10 + (*p - '0');
    }

    if (p == start) {
        return NULL;
    }

    if (p < last && *p == '.') {
        start = ++p;

        for (unit = DF_SCHEMA_SECOND / 10;
             unit && p < last && *p >= '0' && *p <= '9';
             unit /= 10, p++)
        {
            amount->millionths += (*p - '0') * unit;
        }

        if (p == start) {
            return NULL;
        }
    }

    if (amount->negative) {
        amount->whole = -amount->whole;
        amount->millionths = -amount->millionths;
    }

    return p;
}


/* only seconds have fractions: those of others would have to be rounded */

static ngx_int_t
df_schema_interval_add(df_schema_interval_t *interval,
    const df_schema_unit_t *unit, const df_schema_amount_t *amount)
{
    int64_t     months, days, usec;
    ngx_uint_t  overflow;

    if (amount->millionths && unit->usec != DF_SCHEMA_SECOND) {
        return NGX_DECLINED;
    }

    overflow = __builtin_mul_overflow(amount->whole, unit->months, &months);
    overflow |= __builtin_mul_overflow(amount->whole, unit->days, &days);
    overflow |= __builtin_mul_overflow(amount->whole, unit->usec, &usec);
    overflow |= __builtin_add_overflow(usec, amount->millionths, &usec);

    overflow |= __builtin_add_overflow(interval->months, months,
                                       &interval->months);
    overflow |= __builtin_add_overflow(interval->days, days, &interval->days);
    overflow |= __builtin_add_overflow(interval->usec, usec, &interval->usec);

    return overflow ? NGX_DECLINED : NGX_OK;
}
