/* event time: created_at as it was sent -> double, microseconds and ISO 8601 with the same digits.
 *
 * Two ways. Nearly every timestamp has at most 19 significant digits: it is one 64-bit integer and
 * a count of fractional digits, and everything is integer arithmetic. Whatever is longer, tiny or
 * huge goes by its digits one at a time, with strtod; it gives the same answers, slowly. */
#include <stdio.h>
#include <stdlib.h>

#include "codec/civil.h"
#include "base/digits.h"
#include "event/event.h"

typedef unsigned __int128 u128;
typedef __int128 i128;

#define DATETIME_FRACTION_MAX (EVENT_DATETIME_MAX - 21) /* beside date, time, '.' and 'Z' */
#define EXPONENT_MAX INT64_C(1000000000000)
#define FAST_DIGITS 19 /* any 19 digits fit in 64 bits */

static const uint64_t pow10_u64[20] = {1ull,
                                       10ull,
                                       100ull,
                                       1000ull,
                                       10000ull,
                                       100000ull,
                                       1000000ull,
                                       10000000ull,
                                       100000000ull,
                                       1000000000ull,
                                       10000000000ull,
                                       100000000000ull,
                                       1000000000000ull,
                                       10000000000000ull,
                                       100000000000000ull,
                                       1000000000000000ull,
                                       10000000000000000ull,
                                       100000000000000000ull,
                                       1000000000000000000ull,
                                       10000000000000000000ull};

/* A number's text taken apart (RFC 8259, section 6): digits are p[first .. first+ints) and, after
 * the point, p[frac_at .. frac_at+fracs). */
struct number {
    const char *p;
    size_t n;
    size_t first, ints, frac_at, fracs;
    int64_t exponent;
    uint64_t mantissa; /* all digits, if `significant` <= FAST_DIGITS */
    size_t significant;
    bool negative;
};

static inline bool is_digit(const char *p, size_t n, size_t at)
{
    return at < n && (unsigned)(p[at] - '0') < 10;
}

static inline size_t take_digits(struct number *x, size_t at)
{
    uint64_t m = x->mantissa;
    size_t sig = x->significant;
    uint64_t eight;
    for (; x->n - at >= 8 && (sig || x->p[at] != '0') && digits8(x->p + at, &eight); at += 8) {
        m = m * 100000000 + eight;
        sig += 8;
    }
    for (; is_digit(x->p, x->n, at); at++) {
        m = m * 10 + (uint64_t)(x->p[at] - '0');
        sig += (sig > 0) | (x->p[at] != '0');
    }
    x->mantissa = m;
    x->significant = sig;
    return at;
}

static bool split_number(const char *p, size_t n, struct number *x)
{
    size_t at = 0;
    *x = (struct number){.p = p, .n = n};
    if (n && p[0] == '-') {
        x->negative = true;
        at++;
    }
    x->first = at;
    at = take_digits(x, at);
    x->ints = at - x->first;
    if (x->ints == 0 || (x->ints > 1 && p[x->first] == '0'))
        return false;
    if (at < n && p[at] == '.') {
        x->frac_at = ++at;
        at = take_digits(x, at);
        x->fracs = at - x->frac_at;
        if (x->fracs == 0)
            return false;
    }
    if (at < n && (p[at] == 'e' || p[at] == 'E')) {
        bool minus = ++at < n && p[at] == '-';
        if (at < n && (p[at] == '-' || p[at] == '+'))
            at++;
        if (!is_digit(p, n, at))
            return false;
        for (; is_digit(p, n, at); at++)
            if (x->exponent < EXPONENT_MAX)
                x->exponent = x->exponent * 10 + (p[at] - '0');
        if (minus)
            x->exponent = -x->exponent;
    }
    return at == n;
}

static int unit_digits(enum time_unit unit)
{
    static const int digits[] = {
        [UNIT_SECONDS] = 0, [UNIT_MILLIS] = 3, [UNIT_MICROS] = 6, [UNIT_NANOS] = 9};
    return digits[unit];
}

/* By the integer part alone: the limits are integers. */
static enum time_unit unit_of(u128 integer)
{
    return integer < pow10_u64[11]   ? UNIT_SECONDS
           : integer < pow10_u64[14] ? UNIT_MILLIS
           : integer < pow10_u64[17] ? UNIT_MICROS
                                     : UNIT_NANOS;
}

uint64_t event_time_of_day(int64_t second, struct event_time_cache *cache)
{
    uint64_t since = (uint64_t)second - (uint64_t)cache->minute;
    if (__builtin_expect(since < 60 && cache->minute_text, 1)) {
        uint64_t tens = since * 205 >> 11;
        return cache->minute_text + (tens << 48) + ((since - tens * 10) << 56);
    }
    int64_t day = second / 86400;
    uint32_t s = (uint32_t)(second - day * 86400), m = s / 60 % 60, h = s / 3600;
    if (!cache->valid || cache->day != day) {
        civil_format_date(day, cache->date);
        cache->date[10] = 'T';
        cache->day = day;
        cache->valid = true;
    }
    s %= 60;
    uint64_t tens = (uint64_t)(h / 10) | (uint64_t)(m / 10) << 24;
    uint64_t ones = (uint64_t)(h % 10) | (uint64_t)(m % 10) << 24;
    cache->minute = second - s;
    cache->minute_text = (tens | ones << 8) + UINT64_C(0x30303a30303a3030);
    return cache->minute_text + ((uint64_t)(s / 10) << 48) + ((uint64_t)(s % 10) << 56);
}

/* "YYYY-MM-DDTHH:MM:SS", 19 bytes. */
static void put_second(int64_t second, struct event_time_cache *cache, char *out)
{
    uint64_t of_day = event_time_of_day(second, cache);
    memcpy(out, cache->date, 11);
    memcpy(out + 11, &of_day, 8); /* little endian */
}

/* m / 10^f to the nearest double, ties to even; whole and part are its quotient and remainder.
 * *exact: printing it with f fractional digits gives m back. Adding two roundings is at most one
 * unit off; how far is then seen in integers. False where that argument does not hold (f > 0 and
 * whole of 1 to 2^52 - 1 are asked for). */
bool event_time_nearest(uint64_t m, unsigned f, uint64_t whole, uint64_t part, double *d,
                                  bool *exact)
{
    const uint64_t hidden = UINT64_C(1) << 52;
    union {
        uint64_t bits;
        double d;
    } sum = {.d = (double)whole + (double)part / (double)pow10_u64[f]};
    unsigned e = 1023 + 52 - (unsigned)(sum.bits >> 52); /* the double is mant / 2^e */
    uint64_t mant = (sum.bits & (hidden - 1)) | hidden;
    i128 ten = (i128)pow10_u64[f], one = (i128)1 << e;
    i128 off = (i128)mant * ten - (i128)((u128)m << e); /* (mant/2^e - m/10^f) * 2^e * 10^f */
    if (off && mant == hidden) /* units are of another size below a power of two */
        return false;
    if (off * 2 > ten || (off * 2 == ten && (mant & 1))) {
        off -= ten;
        sum.bits--;
    } else if (off * 2 < -ten || (off * 2 == -ten && (mant & 1))) {
        off += ten;
        sum.bits++;
    }
    off = (off < 0 ? -off : off) * 2;
    *exact = off < one || (off == one && m % 2 == 0); /* within half of the last digit */
    *d = sum.d;
    return true;
}

/* Everything in 64 bits; false if it does not fit and the slow way must be gone. */
static bool parse_fast(const struct number *x, enum time_unit unit, struct event_time_cache *cache,
                       struct event_time *out, enum reason *reason)
{
    if (x->significant > FAST_DIGITS || x->negative)
        return false;
    uint64_t m = x->mantissa;
    int64_t places = (int64_t)x->fracs - x->exponent;
    if (places < 0) {
        if (places < -FAST_DIGITS || __builtin_mul_overflow(m, pow10_u64[-places], &m))
            return false;
        places = 0;
    }
    if (places > 10)
        return false;
    unsigned f = (unsigned)places;
    uint64_t whole = f ? m / pow10_u64[f] : m, rest = m - whole * pow10_u64[f];
    if (whole == 0)
        return false;
    if (unit == UNIT_AUTO)
        unit = unit_of(whole);
    if (f == 0) {
        out->number = (double)m;
        out->exact = (u128)out->number == m;
    } else if (whole >= UINT64_C(1) << 52 ||
               !event_time_nearest(m, f, whole, rest, &out->number, &out->exact)) {
        return false;
    }
    unsigned all = f + (unsigned)unit_digits(unit);
    uint64_t second = whole, part = rest;
    if (all != f) {
        second = m / pow10_u64[all];
        part = m - second * pow10_u64[all];
    }
    if (second >= (uint64_t)CIVIL_END_S) {
        *reason = REASON_CREATED_AT_OUT_OF_RANGE;
        return true;
    }
    uint64_t micros = all <= 6 ? part * pow10_u64[6 - all] : part / pow10_u64[all - 6];
    out->time_us = (int64_t)second * 1000000 + (int64_t)micros;
    put_second((int64_t)second, cache, out->datetime);
    unsigned n = 19;
    if (all) {
        out->datetime[n++] = '.';
        unsigned i = all;
        for (; i >= 2; part /= 100)
            civil_put2(out->datetime + n + (i -= 2), (unsigned)(part % 100));
        if (i)
            out->datetime[n] = (char)('0' + part);
        n += all;
    }
    out->datetime[n++] = 'Z';
    out->datetime_n = (uint8_t)n;
    *reason = REASON_NONE;
    return true;
}

/* The digit with the weight 10^(ints + exponent - 1 - at); those not sent are 0. */
static inline unsigned digit_at(const struct number *x, int64_t at)
{
    if (at < 0 || at >= (int64_t)(x->ints + x->fracs))
        return 0;
    size_t i = (size_t)at;
    return (unsigned)(i < x->ints ? x->p[x->first + i] - '0'
                                  : x->p[x->frac_at + i - x->ints] - '0');
}

/* Does %.*f with the digits that were sent give them back? */
static bool slow_exact(const struct number *x, double d)
{
    int64_t places = (int64_t)x->fracs - x->exponent;
    int64_t point = (int64_t)x->ints + x->exponent; /* digits before the point, if positive */
    if (places < 0)
        places = 0;
    if (places > 1100 || d >= 1e21)
        return false;
    char text[1200];
    int n = snprintf(text, sizeof text, "%.*f", (int)places, d);
    if (n < 0 || (size_t)n >= sizeof text)
        return false;
    int64_t ints = places ? n - places - 1 : n, at = point - ints;
    for (int64_t i = 0; i < at; i++)
        if (digit_at(x, i))
            return false;
    for (int i = 0; i < n; i++) {
        if (i == ints)
            continue;
        if ((unsigned)(text[i] - '0') != digit_at(x, at++))
            return false;
    }
    return true;
}

static double slow_double(const struct number *x)
{
    char *text = mem_strndup(x->p, x->n);
    double d = strtod(text, NULL);
    free(text);
    return d;
}

/* `count` digits from place `from` on, as a number; `count` <= 38. */
static u128 digits_value(const struct number *x, int64_t from, int64_t count)
{
    u128 v = 0;
    for (int64_t i = 0; i < count; i++)
        v = v * 10 + digit_at(x, from + i);
    return v;
}

static enum reason parse_slow(const struct number *x, enum time_unit unit,
                              struct event_time_cache *cache, struct event_time *out)
{
    size_t zeros = 0, all = x->ints + x->fracs;
    while (zeros < all && digit_at(x, (int64_t)zeros) == 0)
        zeros++;
    bool zero = zeros == all;
    if (x->negative && !zero)
        return REASON_CREATED_AT_OUT_OF_RANGE;
    int64_t point = (int64_t)x->ints + (zero ? 0 : x->exponent); /* of the digits, where '.' is */
    if (!zero && point - (int64_t)zeros > 30)
        return REASON_CREATED_AT_OUT_OF_RANGE;
    out->number = zero ? 0.0 : slow_double(x);
    out->exact = zero || slow_exact(x, out->number);
    int64_t from = zero ? 0 : (int64_t)zeros;
    if (unit == UNIT_AUTO)
        unit = unit_of(point > from ? digits_value(x, from, point - from) : 0);
    int64_t end = point - unit_digits(unit); /* where the seconds end */
    u128 second = end > from ? digits_value(x, from, end - from) : 0;
    if (second >= (u128)CIVIL_END_S)
        return REASON_CREATED_AT_OUT_OF_RANGE;
    out->time_us = (int64_t)second * 1000000 + (int64_t)digits_value(x, end, 6);
    put_second((int64_t)second, cache, out->datetime);
    int64_t last = (int64_t)all > point ? (int64_t)all : point, fraction = last - end;
    unsigned n = 19;
    if (fraction > DATETIME_FRACTION_MAX)
        fraction = DATETIME_FRACTION_MAX;
    if (fraction > 0)
        out->datetime[n++] = '.';
    for (int64_t i = 0; i < fraction; i++)
        out->datetime[n++] = (char)('0' + digit_at(x, end + i));
    out->datetime[n++] = 'Z';
    out->datetime_n = (uint8_t)n;
    return REASON_NONE;
}

enum reason event_time_parse(const char *p, size_t n, bool quoted, enum time_unit unit,
                             struct event_time_cache *cache, struct event_time *out)
{
    struct number x;
    enum reason reason;
    if (!split_number(p, n, &x))
        return REASON_INVALID_CREATED_AT;
    if (!parse_fast(&x, unit, cache, out, &reason))
        reason = parse_slow(&x, unit, cache, out);
    if (quoted)
        out->exact = false;
    return reason;
}
