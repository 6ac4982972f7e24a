
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * numeric, real and double: decimal literals.  Their digits are looked at,
 * compared and printed as digits; the only double here answers whether
 * PostgreSQL's own input of real and double would refuse a literal.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <math.h>
#include "schema/schema_internal.h"


/* what PostgreSQL can hold */
#define DF_SCHEMA_NUMERIC_INTEGER   131072
#define DF_SCHEMA_NUMERIC_FRACTION  16383

/* what an exponent may stand for: a few bytes of a body must not become a
   hundred kilobytes in each answer */
#define DF_SCHEMA_NUMERIC_EXPANDED  1000
#define DF_SCHEMA_FLOAT_LITERAL     1000

#define DF_SCHEMA_NUMERIC_NEGATIVE  0x4000
#define DF_SCHEMA_NUMERIC_NAN       0xC000
#define DF_SCHEMA_NUMERIC_PINF      0xD000
#define DF_SCHEMA_NUMERIC_NINF      0xF000


typedef struct {
    ngx_str_t    name;
    ngx_int_t    infinite;
} df_schema_special_t;


static ngx_int_t df_schema_decimal_special(const ngx_str_t *literal,
    df_schema_decimal_t *d);
static ngx_int_t df_schema_decimal_exponent(const u_char *p,
    const u_char *last, ngx_int_t *exponent);
static ngx_int_t df_schema_decimal_compare(const df_schema_decimal_t *a,
    const df_schema_decimal_t *b);
static ngx_inline ngx_uint_t df_schema_numeric_at(const u_char *groups,
    ngx_int_t n, ngx_int_t i);
static u_char *df_schema_numeric_group(u_char *p, ngx_uint_t n,
    ngx_uint_t ndigits);


static const df_schema_special_t  df_schema_specials[] = {
    { ngx_string("NaN"), 2 },
    { ngx_string("Infinity"), 1 },
    { ngx_string("-Infinity"), -1 }
};


static ngx_int_t
df_schema_decimal_special(const ngx_str_t *literal, df_schema_decimal_t *d)
{
    ngx_uint_t                  i;
    const df_schema_special_t  *special;

    for (i = 0; i < 3; i++) {
        special = &df_schema_specials[i];

        if (literal->len == special->name.len
            && ngx_memcmp(literal->data, special->name.data, literal->len)
               == 0)
        {
            d->infinite = special->infinite;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* sign and digits; large ones stop growing long before they overflow */

static ngx_int_t
df_schema_decimal_exponent(const u_char *p, const u_char *last,
    ngx_int_t *exponent)
{
    ngx_int_t   n;
    ngx_uint_t  negative;

    negative = (p < last && *p == '-');

    if (p < last && (*p == '-' || *p == '+')) {
        p++;
    }

    if (p == last) {
        return NGX_DECLINED;
    }

    for (n = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        if (n < 1000000) {
            n = n * 10 + (*p - '0');
        }
    }

    *exponent = negative ? -n : n;

    return NGX_OK;
}


/* [sign] digits [. digits] [e [sign] digits], or one of the three words */

ngx_int_t
df_schema_decimal_scan(const ngx_str_t *literal, df_schema_decimal_t *d)
{
    ngx_int_t      count, fraction, exponent;
    ngx_uint_t     point, digit;
    const u_char  *p, *last;

    ngx_memzero(d, sizeof(df_schema_decimal_t));

    p = literal->data;
    last = p + literal->len;

    d->negative = (p < last && *p == '-');

    if (p < last && (*p == '-' || *p == '+')) {
        p++;
    }

    count = 0;          /* digits from the first that is not zero */
    fraction = 0;       /* digits behind the point */
    point = 0;
    digit = 0;          /* the last character is one */

    for ( /* void */ ; p < last; p++) {

        if (*p == '.' && digit && !point) {
            point = 1;
            digit = 0;
            continue;
        }

        if (*p < '0' || *p > '9') {
            break;
        }

        digit = 1;
        fraction += point;

        if (*p != '0' && count == 0) {
            d->digits = p;
        }

        count += (d->digits != NULL);

        if (*p != '0') {
            d->last = p + 1;
            d->ndigits = count;
        }
    }

    if (!digit) {
        return df_schema_decimal_special(literal, d);
    }

    exponent = 0;

    if (p < last
        && ((*p | 0x20) != 'e'
            || df_schema_decimal_exponent(p + 1, last, &exponent) != NGX_OK))
    {
        return NGX_DECLINED;
    }

    d->scale = fraction - exponent;
    d->point = count + exponent - fraction;

    return NGX_OK;
}


static ngx_int_t
df_schema_decimal_compare(const df_schema_decimal_t *a,
    const df_schema_decimal_t *b)
{
    const u_char  *p, *q;

    /* both are positive */

    if (a->ndigits == 0 || b->ndigits == 0) {
        return (a->ndigits > 0) - (b->ndigits > 0);
    }

    if (a->point != b->point) {
        return (a->point > b->point) ? 1 : -1;
    }

    p = a->digits;
    q = b->digits;

    for ( ;; ) {

        if (p < a->last && *p == '.') {
            p++;
        }

        if (q < b->last && *q == '.') {
            q++;
        }

        if (p == a->last || q == b->last) {
            return (p < a->last) - (q < b->last);
        }

        if (*p != *q) {
            return (*p > *q) ? 1 : -1;
        }

        p++;
        q++;
    }
}


ngx_int_t
df_schema_numeric_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    ngx_int_t            rc;
    ngx_uint_t           negative;
    df_schema_decimal_t  x, y;

    (void) df_schema_decimal_scan(a, &x);
    (void) df_schema_decimal_scan(b, &y);

    if (x.infinite || y.infinite) {
        return (x.infinite > y.infinite) - (x.infinite < y.infinite);
    }

    negative = x.negative && x.ndigits;

    if (negative != (y.negative && y.ndigits)) {
        return negative ? -1 : 1;
    }

    rc = df_schema_decimal_compare(&x, &y);

    return negative ? -rc : rc;
}


/* no more digits than PostgreSQL holds, and those that are not written but
   come from an exponent are few */

ngx_int_t
df_schema_numeric_check(const ngx_str_t *literal, const df_schema_decimal_t *d)
{
    size_t  len;

    len = ngx_max(literal->len, DF_SCHEMA_NUMERIC_EXPANDED);

    if (d->point > DF_SCHEMA_NUMERIC_INTEGER
        || d->scale > DF_SCHEMA_NUMERIC_FRACTION
        || ngx_max(d->point, 0) + ngx_max(d->scale, 0) > (ngx_int_t) len)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
df_schema_numeric_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    df_schema_decimal_t  d;

    static const ngx_str_t  range =
        ngx_string("a decimal number with at most " DF_SCHEMA_NUMERIC_LIMITS);

    if (df_schema_decimal_scan(literal, &d) != NGX_OK) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    if (df_schema_numeric_check(literal, &d) != NGX_OK) {
        return df_schema_refuse(error, "range", &range);
    }

    return df_str_copy(pool, &value->text, literal->data, literal->len);
}


ngx_int_t
df_schema_float_parse(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, df_value_t *value, df_value_error_t *error)
{
    char                *text;
    double               number;
    ngx_err_t            err;
    df_schema_decimal_t  d;

    if (df_schema_decimal_scan(literal, &d) != NGX_OK) {
        return df_schema_refuse(error, "type", &field->type->expected);
    }

    if (literal->len > DF_SCHEMA_FLOAT_LITERAL) {
        return df_schema_refuse(error, "range", &field->type->expected);
    }

    if (df_str_copy(pool, &value->text, literal->data, literal->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* PostgreSQL refuses what is rounded to nothing or to infinity */

    text = (char *) value->text.data;

    ngx_set_errno(0);
    number = (field->type->kind == DF_REAL) ? (double) strtof(text, NULL)
                                            : strtod(text, NULL);
    err = ngx_errno;

    if (err == ERANGE && (number == 0 || isinf(number))) {
        return df_schema_refuse(error, "range", &field->type->expected);
    }

    return NGX_OK;
}


/*
 * PostgreSQL selects real and double as text, the shortest that is read back
 * the same.  What is copied is checked, because a column of another type can
 * be cast to text as well.
 */

u_char *
df_schema_float_encode(u_char *p, const u_char *v, size_t len)
{
    size_t               sign;
    ngx_str_t            text;
    df_schema_decimal_t  d;

    text.data = (u_char *) v;
    text.len = len;

    if (len > DF_SCHEMA_SHORT_LEN
        || df_schema_decimal_scan(&text, &d) != NGX_OK)
    {
        return p;
    }

    /* +1 and 007 are no numbers to JSON */

    sign = (v[0] == '-');

    if (v[0] == '+'
        || (len > sign + 1 && v[sign] == '0' && v[sign + 1] >= '0'
            && v[sign + 1] <= '9'))
    {
        return p;
    }

    return ngx_cpymem(p, v, len);
}


/*
 * The binary form of numeric: the number of groups of four decimal digits,
 * the weight of the first of them in powers of 10000, a sign, the number of
 * digits behind the point, the groups; 16 bits each.
 */

size_t
df_schema_numeric_bound(const u_char *v, size_t len)
{
    size_t     bound;
    ngx_int_t  weight;

    if (len < 8) {
        return 0;
    }

    weight = (int16_t) df_schema_get16(v + 2);
    bound = DF_SCHEMA_SHORT_LEN + df_schema_get16(v + 6);

    return (weight < 0) ? bound : bound + 4 * (weight + 1);
}


/* zeros at either end are not stored */

static ngx_inline ngx_uint_t
df_schema_numeric_at(const u_char *groups, ngx_int_t n, ngx_int_t i)
{
    return (i >= 0 && i < n) ? df_schema_get16(groups + 2 * i) : 0;
}


/* the first digits of a group of four */

static u_char *
df_schema_numeric_group(u_char *p, ngx_uint_t n, ngx_uint_t ndigits)
{
    u_char  group[4];

    n = ngx_min(n, 9999);

    ngx_memcpy(group, &df_schema_two_digits[n / 100 * 2], 2);
    ngx_memcpy(group + 2, &df_schema_two_digits[n % 100 * 2], 2);

    return ngx_cpymem(p, group, ngx_min(ndigits, 4));
}


u_char *
df_schema_numeric_encode(u_char *p, const u_char *v, size_t len)
{
    ngx_int_t      i, n, weight, scale;
    ngx_uint_t     sign;
    const u_char  *groups;

    if (len < 8) {
        return p;
    }

    n = df_schema_get16(v);
    weight = (int16_t) df_schema_get16(v + 2);
    sign = df_schema_get16(v + 4);
    scale = df_schema_get16(v + 6);
    groups = v + 8;

    if (len != 8 + 2 * (size_t) n
        || (weight > 0 && df_schema_numeric_at(groups, n, 0) == 0))
    {
        return p;
    }

    switch (sign) {

    case DF_SCHEMA_NUMERIC_NAN:
        return ngx_cpymem(p, "NaN", 3);

    case DF_SCHEMA_NUMERIC_PINF:
        return ngx_cpymem(p, "Infinity", 8);

    case DF_SCHEMA_NUMERIC_NINF:
        return ngx_cpymem(p, "-Infinity", 9);

    case DF_SCHEMA_NUMERIC_NEGATIVE:
        *p++ = '-';
    }

    if (weight < 0) {
        *p++ = '0';

    } else {
        p = df_schema_integer_print(p, df_schema_numeric_at(groups, n, 0));

        for (i = 1; i <= weight; i++) {
            p = df_schema_numeric_group(p, df_schema_numeric_at(groups, n, i),
                                        4);
        }
    }

    if (scale) {
        *p++ = '.';

        for (i = weight + 1; scale > 0; i++, scale -= 4) {
            p = df_schema_numeric_group(p, df_schema_numeric_at(groups, n, i),
                                        scale);
        }
    }

    return p;
}
