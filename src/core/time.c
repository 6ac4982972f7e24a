
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Time: dates, times, timestamps and durations as text, in the proleptic
 * Gregorian calendar.  What is printed here is read here.  Nothing here asks
 * what time it is.
 */


#include "core/core.h"


#define DF_TIME_SECOND  1000000LL
#define DF_TIME_MINUTE  (60 * DF_TIME_SECOND)
#define DF_TIME_HOUR    (60 * DF_TIME_MINUTE)
#define DF_TIME_DAY     (24 * DF_TIME_HOUR)

/*
 * Days are counted from 1 March 4801 BC: a leap day is then the last of its
 * year, and no year that PostgreSQL knows is negative.
 */

#define DF_TIME_FIRST_YEAR  4800

/* yyyy-mm-dd */
#define DF_TIME_YMD_LEN      10
#define DF_TIME_EPOCH       2483589         /* 2000-01-01 */
#define DF_TIME_CYCLE_DAYS  146097          /* of 400 years */

/* what PostgreSQL can hold: from the first to before the last */
#define DF_TIME_FIRST_DAY        -2451545
#define DF_TIME_LAST_DAY         2145031949
#define DF_TIME_FIRST_TIMESTAMP  (DF_TIME_FIRST_DAY * DF_TIME_DAY)
#define DF_TIME_LAST_TIMESTAMP   (106751983 * DF_TIME_DAY)

/* as PostgreSQL limits it */
#define DF_TIME_MAX_OFFSET_HOUR  15


typedef struct {
    const u_char  *p;
    const u_char  *end;
} df_time_reader_t;

typedef struct {
    int64_t        year;        /* 0 is 1 BC */
    ngx_uint_t     month;
    ngx_uint_t     day;
} df_time_date_t;


static ngx_int_t df_time_read_infinity(df_time_reader_t *r, int64_t *value);
static ngx_int_t df_time_read_date(df_time_reader_t *r, df_time_date_t *date);
static ngx_int_t df_time_read_era(df_time_reader_t *r, df_time_date_t *date);
static ngx_int_t df_time_read_clock(df_time_reader_t *r, int64_t *usec);
static ngx_int_t df_time_read_fraction(df_time_reader_t *r, int64_t *usec);
static ngx_int_t df_time_read_offset(df_time_reader_t *r, int64_t *usec);
static ngx_int_t df_time_read_two(df_time_reader_t *r, ngx_uint_t *n);
static ngx_int_t df_time_read_char(df_time_reader_t *r, u_char c);
static ngx_int_t df_time_days(const df_time_date_t *date, int64_t *days);
static void df_time_date(int64_t days, df_time_date_t *date);
static u_char *df_time_format_infinity(u_char *p, int64_t value);
static u_char *df_time_format_ymd(u_char *p, const df_time_date_t *date);
static u_char *df_time_format_fraction(u_char *p, ngx_uint_t usec);
static u_char *df_time_format_part(u_char *p, int64_t n, u_char unit);
static u_char *df_time_format_two(u_char *p, ngx_uint_t n);


ngx_int_t
df_time_parse_date(const u_char *p, size_t len, int64_t *days)
{
    df_time_date_t    date;
    df_time_reader_t  r;

    r.p = p;
    r.end = p + len;

    if (df_time_read_infinity(&r, days) == NGX_OK) {
        return NGX_OK;
    }

    if (df_time_read_date(&r, &date) != NGX_OK
        || df_time_read_era(&r, &date) != NGX_OK
        || r.p != r.end)
    {
        return NGX_DECLINED;
    }

    return df_time_days(&date, days);
}


ngx_int_t
df_time_parse_time(const u_char *p, size_t len, int64_t *usec)
{
    df_time_reader_t  r;

    r.p = p;
    r.end = p + len;

    if (df_time_read_clock(&r, usec) != NGX_OK || r.p != r.end) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* what follows the date of a timestamp */

static ngx_int_t
df_time_read_rest(df_time_reader_t *r, ngx_uint_t zone, int64_t *clock,
    int64_t *offset)
{
    if ((df_time_read_char(r, 'T') != NGX_OK
         && df_time_read_char(r, 't') != NGX_OK
         && df_time_read_char(r, ' ') != NGX_OK)
        || df_time_read_clock(r, clock) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return zone ? df_time_read_offset(r, offset) : NGX_OK;
}


ngx_int_t
df_time_parse_timestamp(const u_char *p, size_t len, ngx_uint_t zone,
    int64_t *usec)
{
    int64_t           days, clock, offset;
    df_time_date_t    date;
    df_time_reader_t  r;

    r.p = p;
    r.end = p + len;

    if (df_time_read_infinity(&r, usec) == NGX_OK) {
        return NGX_OK;
    }

    offset = 0;

    clock = 0;

    if (df_time_read_date(&r, &date) != NGX_OK
        || (r.p != r.end
            && df_time_read_rest(&r, zone, &clock, &offset) != NGX_OK)
        || df_time_read_era(&r, &date) != NGX_OK
        || r.p != r.end
        || df_time_days(&date, &days) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* compared in days first: microseconds of a date may not fit */

    if (days > DF_TIME_LAST_TIMESTAMP / DF_TIME_DAY) {
        return NGX_DECLINED;
    }

    *usec = days * DF_TIME_DAY + clock - offset;

    if (*usec < DF_TIME_FIRST_TIMESTAMP || *usec >= DF_TIME_LAST_TIMESTAMP) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
df_time_read_infinity(df_time_reader_t *r, int64_t *value)
{
    size_t  len;

    len = r->end - r->p;

    if (len == 8 && ngx_memcmp(r->p, "infinity", 8) == 0) {
        *value = DF_TIME_INFINITY;
        return NGX_OK;
    }

    if (len == 9 && ngx_memcmp(r->p, "-infinity", 9) == 0) {
        *value = DF_TIME_NEG_INFINITY;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* years over 9999 have more digits, which is how they are printed */

static ngx_int_t
df_time_read_date(df_time_reader_t *r, df_time_date_t *date)
{
    const u_char  *start;

    start = r->p;
    date->year = 0;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9' && r->p - start < 7) {
        date->year = 10 * date->year + (*r->p++ - '0');
    }

    if (r->p - start < 4 || (r->p - start > 4 && *start == '0')
        || date->year == 0)
    {
        return NGX_DECLINED;
    }

    if (df_time_read_char(r, '-') != NGX_OK
        || df_time_read_two(r, &date->month) != NGX_OK
        || df_time_read_char(r, '-') != NGX_OK
        || df_time_read_two(r, &date->day) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
df_time_read_era(df_time_reader_t *r, df_time_date_t *date)
{
    if (r->p == r->end) {
        return NGX_OK;
    }

    if (df_time_read_char(r, ' ') != NGX_OK
        || df_time_read_char(r, 'B') != NGX_OK
        || df_time_read_char(r, 'C') != NGX_OK)
    {
        return NGX_DECLINED;
    }

    date->year = 1 - date->year;

    return NGX_OK;
}


/* a leap second is the first of the next minute, as in PostgreSQL */

static ngx_int_t
df_time_read_clock(df_time_reader_t *r, int64_t *usec)
{
    int64_t     fraction;
    ngx_uint_t  hour, minute, second;

    second = 0;
    fraction = 0;

    if (df_time_read_two(r, &hour) != NGX_OK
        || df_time_read_char(r, ':') != NGX_OK
        || df_time_read_two(r, &minute) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (df_time_read_char(r, ':') == NGX_OK
        && (df_time_read_two(r, &second) != NGX_OK
            || df_time_read_fraction(r, &fraction) != NGX_OK))
    {
        return NGX_DECLINED;
    }

    if (hour > 24 || minute > 59 || second > 60) {
        return NGX_DECLINED;
    }

    *usec = hour * DF_TIME_HOUR + minute * DF_TIME_MINUTE
            + second * DF_TIME_SECOND + fraction;

    return (*usec <= DF_TIME_DAY) ? NGX_OK : NGX_DECLINED;
}


/* more than microseconds cannot be kept and is not cut off in silence */

static ngx_int_t
df_time_read_fraction(df_time_reader_t *r, int64_t *usec)
{
    int64_t        unit;
    const u_char  *start;

    if (df_time_read_char(r, '.') != NGX_OK) {
        return NGX_OK;
    }

    start = r->p;
    unit = DF_TIME_SECOND;

    for ( /* void */ ; r->p < r->end; r->p++) {

        if (*r->p < '0' || *r->p > '9') {
            break;
        }

        unit /= 10;

        if (unit == 0 && *r->p != '0') {
            return NGX_DECLINED;
        }

        *usec += unit * (*r->p - '0');
    }

    return (r->p > start) ? NGX_OK : NGX_DECLINED;
}


/* Z, +HH:MM, +HHMM or +HH; in a query string the plus became a blank */

static ngx_int_t
df_time_read_offset(df_time_reader_t *r, int64_t *usec)
{
    ngx_int_t   sign;
    ngx_uint_t  hour, minute;

    *usec = 0;

    if (df_time_read_char(r, 'Z') == NGX_OK
        || df_time_read_char(r, 'z') == NGX_OK)
    {
        return NGX_OK;
    }

    if (df_time_read_char(r, '-') == NGX_OK) {
        sign = -1;

    } else if (df_time_read_char(r, '+') == NGX_OK
               || df_time_read_char(r, ' ') == NGX_OK)
    {
        sign = 1;

    } else {
        return NGX_DECLINED;
    }

    if (df_time_read_two(r, &hour) != NGX_OK
        || hour > DF_TIME_MAX_OFFSET_HOUR)
    {
        return NGX_DECLINED;
    }

    minute = 0;

    if (r->p < r->end && *r->p != ' ') {
        (void) df_time_read_char(r, ':');

        if (df_time_read_two(r, &minute) != NGX_OK || minute > 59) {
            return NGX_DECLINED;
        }
    }

    *usec = hour * DF_TIME_HOUR + minute * DF_TIME_MINUTE;
    *usec *= sign;

    return NGX_OK;
}


static ngx_int_t
df_time_read_two(df_time_reader_t *r, ngx_uint_t *n)
{
    if (r->end - r->p < 2
        || r->p[0] < '0' || r->p[0] > '9' || r->p[1] < '0' || r->p[1] > '9')
    {
        return NGX_DECLINED;
    }

    *n = 10 * (r->p[0] - '0') + (r->p[1] - '0');
    r->p += 2;

    return NGX_OK;
}


static ngx_int_t
df_time_read_char(df_time_reader_t *r, u_char c)
{
    if (r->p == r->end || *r->p != c) {
        return NGX_DECLINED;
    }

    r->p++;

    return NGX_OK;
}


static ngx_int_t
df_time_days(const df_time_date_t *date, int64_t *days)
{
    int64_t         year;
    ngx_uint_t      month;
    df_time_date_t  check;

    if (date->month < 1 || date->month > 12 || date->day < 1) {
        return NGX_DECLINED;
    }

    /* from March on months have 31, 30, 31, 30, 31 days, again and again */

    year = date->year + DF_TIME_FIRST_YEAR - (date->month < 3);
    month = (date->month + 9) % 12;

    if (year < 0) {
        return NGX_DECLINED;
    }

    *days = 365 * year + year / 4 - year / 100 + year / 400
            + (153 * month + 2) / 5 + date->day - 1 - DF_TIME_EPOCH;

    if (*days < DF_TIME_FIRST_DAY || *days >= DF_TIME_LAST_DAY) {
        return NGX_DECLINED;
    }

    /* 30 February has a number, but it is not its own */

    df_time_date(*days, &check);

    return (check.month == date->month && check.day == date->day)
           ? NGX_OK : NGX_DECLINED;
}


static void
df_time_date(int64_t days, df_time_date_t *date)
{
    int64_t     cycle;
    ngx_uint_t  n, year, month;

    days += DF_TIME_EPOCH;

    cycle = days / DF_TIME_CYCLE_DAYS;

    if (days < cycle * DF_TIME_CYCLE_DAYS) {
        cycle--;
    }

    n = days - cycle * DF_TIME_CYCLE_DAYS;

    /* without the leap days before it, each year has 365 */

    year = (n - n / 1460 + n / 36524 - n / 146096) / 365;
    n -= 365 * year + year / 4 - year / 100;
    month = (5 * n + 2) / 153;

    date->day = n - (153 * month + 2) / 5 + 1;
    date->month = (month + 2) % 12 + 1;
    date->year = 400 * cycle + year + (month >= 10) - DF_TIME_FIRST_YEAR;
}


u_char *
df_time_format_date(u_char *p, int64_t days)
{
    df_time_date_t  date;

    if (days == DF_TIME_INFINITY || days == DF_TIME_NEG_INFINITY) {
        return df_time_format_infinity(p, days);
    }

    df_time_date(days, &date);

    p = df_time_format_ymd(p, &date);

    return (date.year > 0) ? p : ngx_cpymem(p, " BC", 3);
}


u_char *
df_time_format_time(u_char *p, int64_t usec)
{
    ngx_uint_t  second;

    second = usec / DF_TIME_SECOND;

    p = df_time_format_two(p, second / 3600);
    *p++ = ':';
    p = df_time_format_two(p, second / 60 % 60);
    *p++ = ':';
    p = df_time_format_two(p, second % 60);

    return df_time_format_fraction(p, usec % DF_TIME_SECOND);
}


/* timestamps of one answer are mostly of the same day: the last one is kept */

u_char *
df_time_format_timestamp(u_char *p, int64_t usec, ngx_uint_t zone)
{
    int64_t         days;
    df_time_date_t  date;

    static int64_t  last_days = INT64_MAX;
    static u_char   last_ymd[DF_TIME_YMD_LEN];

    if (usec == DF_TIME_INFINITY || usec == DF_TIME_NEG_INFINITY) {
        return df_time_format_infinity(p, usec);
    }

    days = usec / DF_TIME_DAY;
    usec %= DF_TIME_DAY;

    if (usec < 0) {
        usec += DF_TIME_DAY;
        days--;
    }

    if (days == last_days) {
        date.year = 1;
        p = ngx_cpymem(p, last_ymd, DF_TIME_YMD_LEN);

    } else {
        df_time_date(days, &date);
        p = df_time_format_ymd(p, &date);

        if (date.year > 0 && date.year < 10000) {
            last_days = days;
            ngx_memcpy(last_ymd, p - DF_TIME_YMD_LEN, DF_TIME_YMD_LEN);
        }
    }

    *p++ = 'T';
    p = df_time_format_time(p, usec);

    if (zone) {
        p = ngx_cpymem(p, "+00:00", 6);
    }

    return (date.year > 0) ? p : ngx_cpymem(p, " BC", 3);
}


u_char *
df_time_format_interval(u_char *p, int64_t usec, int32_t days, int32_t months)
{
    int64_t  second, fraction;

    if (usec == 0 && days == 0 && months == 0) {
        return ngx_cpymem(p, "PT0S", 4);
    }

    *p++ = 'P';
    p = df_time_format_part(p, months / 12, 'Y');
    p = df_time_format_part(p, months % 12, 'M');
    p = df_time_format_part(p, days, 'D');

    if (usec == 0) {
        return p;
    }

    *p++ = 'T';
    p = df_time_format_part(p, usec / DF_TIME_HOUR, 'H');
    p = df_time_format_part(p, usec % DF_TIME_HOUR / DF_TIME_MINUTE, 'M');

    usec %= DF_TIME_MINUTE;

    if (usec == 0) {
        return p;
    }

    if (usec < 0) {
        *p++ = '-';
        usec = -usec;
    }

    second = usec / DF_TIME_SECOND;
    fraction = usec % DF_TIME_SECOND;

    p = ngx_sprintf(p, "%L", second);
    p = df_time_format_fraction(p, fraction);
    *p++ = 'S';

    return p;
}


static u_char *
df_time_format_infinity(u_char *p, int64_t value)
{
    if (value == DF_TIME_NEG_INFINITY) {
        *p++ = '-';
    }

    return ngx_cpymem(p, "infinity", 8);
}


static u_char *
df_time_format_ymd(u_char *p, const df_time_date_t *date)
{
    int64_t  year;

    year = (date->year > 0) ? date->year : 1 - date->year;

    if (year < 10000) {
        p = df_time_format_two(p, year / 100);
        p = df_time_format_two(p, year % 100);

    } else {
        p = ngx_sprintf(p, "%L", year);
    }

    *p++ = '-';
    p = df_time_format_two(p, date->month);
    *p++ = '-';

    return df_time_format_two(p, date->day);
}


/* nothing for zero, no zeros at the end */

static u_char *
df_time_format_fraction(u_char *p, ngx_uint_t usec)
{
    if (usec == 0) {
        return p;
    }

    *p++ = '.';
    p = df_time_format_two(p, usec / 10000);
    p = df_time_format_two(p, usec / 100 % 100);
    p = df_time_format_two(p, usec % 100);

    while (p[-1] == '0') {
        p--;
    }

    return p;
}


static u_char *
df_time_format_part(u_char *p, int64_t n, u_char unit)
{
    if (n == 0) {
        return p;
    }

    return ngx_sprintf(p, "%L%c", n, unit);
}


static u_char *
df_time_format_two(u_char *p, ngx_uint_t n)
{
    *p++ = (u_char) ('0' + n / 10);
    *p++ = (u_char) ('0' + n % 10);

    return p;
}
