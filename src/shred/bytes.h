/* bytes: what the fast path asks of a few bytes at a time, in plain C, by words of eight: for every
 * processor. bytes_avx2.h and bytes_avx512.h have the same by vectors.
 *
 * All may read 64 bytes from where they are told to look, and answer no more than "it is this, simply":
 * whatever is not simple is left to fast.c's own functions. */
#ifndef INLET_SHRED_BYTES_H
#define INLET_SHRED_BYTES_H

#include "base/digits.h"
#include "shred/shred_int.h"
#include "shred/words.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes are compared as words");

#define BYTES_ONES UINT64_C(0x0101010101010101)
#define BYTES_TOPS UINT64_C(0x8080808080808080)

static inline uint64_t bytes_word(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* The top bit of each byte that is a quote, a backslash or a control byte; right up to the first one. */
static inline uint64_t bytes_stops(uint64_t v)
{
    uint64_t quote = v ^ BYTES_ONES * '"', slash = v ^ BYTES_ONES * '\\';
    return (((quote - BYTES_ONES) & ~quote) | ((slash - BYTES_ONES) & ~slash) |
            ((v - BYTES_ONES * 0x20) & ~v)) &
           BYTES_TOPS;
}

static inline bool bytes_edge_at(const struct edge *e, const uint8_t *p)
{
    const uint8_t *l = e->literal;
    unsigned left = e->n;
    for (; left > 8; left -= 8, p += 8, l += 8)
        if (bytes_word(p) != bytes_word(l))
            return false;
    return ((bytes_word(p) ^ bytes_word(l)) << (64 - 8 * left)) == 0;
}

/* ASCII without escapes that closes within 64 bytes: copied to `to` (64 bytes of room); its length. */
static inline bool bytes_string(const uint8_t *p, uint8_t *to, unsigned *n)
{
    for (unsigned at = 0; at < 64; at += 8) {
        uint64_t v = bytes_word(p + at), stop = bytes_stops(v);
        memcpy(to + at, &v, 8);
        if (stop) {
            unsigned k = (unsigned)__builtin_ctzll(stop) / 8;
            *n = at + k;
            return p[*n] == '"' && !(v & BYTES_TOPS & (stop ^ (stop - 1)));
        }
        if (v & BYTES_TOPS)
            return false;
    }
    return false;
}

/* Copies 64 bytes; how many of them stand before the first quote, backslash or control byte. *high: one of those is
 * not ASCII. */
static inline unsigned bytes_run(const uint8_t *p, uint8_t *to, bool *high)
{
    for (unsigned at = 0; at < 64; at += 8) {
        uint64_t v = bytes_word(p + at), stop = bytes_stops(v);
        memcpy(to + at, &v, 8);
        if (stop) {
            *high |= (v & BYTES_TOPS & (stop ^ (stop - 1))) != 0;
            return at + (unsigned)__builtin_ctzll(stop) / 8;
        }
        *high |= (v & BYTES_TOPS) != 0;
    }
    return 64;
}

/* The first quote, backslash or control byte at or after p, or somewhere at or past `end`; *high tells
 * whether a byte before it is not ASCII. */
static inline const uint8_t *bytes_stop(const uint8_t *p, const uint8_t *end, bool *high)
{
    for (; p < end; p += 8) {
        uint64_t v = bytes_word(p), stop = bytes_stops(v);
        if (stop) {
            *high |= (v & BYTES_TOPS & (stop ^ (stop - 1))) != 0;
            return p + (unsigned)__builtin_ctzll(stop) / 8;
        }
        *high |= (v & BYTES_TOPS) != 0;
    }
    return p;
}

/* ---- numbers */

static const uint64_t bytes_tens[] = {1,       10,       100,       1000,      10000,
                                      100000,  1000000,  10000000,  100000000, 1000000000};
static const double bytes_powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* How many digits stand at p, up to 8, and their value: without a branch on any of them. */
static inline unsigned bytes_digits8(const uint8_t *p, uint64_t *value)
{
    uint64_t t = bytes_word(p) ^ BYTES_ONES * '0';
    uint64_t other = ((t + BYTES_ONES * 0x76) | t) & BYTES_TOPS;
    unsigned n = other ? (unsigned)__builtin_ctzll(other) / 8 : 8;
    *value = 0;
    if (!n)
        return 0;
    *value = digits8_value(t << (64 - 8 * n));
    return n;
}

/* Digits at p, up to 16. */
static inline unsigned bytes_digits16(const uint8_t *p, uint64_t *value)
{
    unsigned n = bytes_digits8(p, value);
    if (n == 8) {
        uint64_t more;
        unsigned k = bytes_digits8(p + 8, &more);
        *value = *value * bytes_tens[k] + more;
        n += k;
    }
    return n;
}

/* An integer of at most 18 digits, what follows is no digit, '.' or exponent: past it. Else NULL. */
static inline const uint8_t *bytes_long(const uint8_t *p, int64_t *out)
{
    bool minus = *p == '-';
    uint64_t m, more = 0;
    p += minus;
    unsigned n = bytes_digits16(p, &m);
    if (__builtin_expect(n == 16, 0)) {
        unsigned k = bytes_digits8(p + 16, &more);
        if (k > 2)
            return NULL;
        m = m * bytes_tens[k] + more;
        n += k;
    }
    if (n == 0 || (n > 1 && *p == '0') || p[n] == '.' || (p[n] | 0x20) == 'e')
        return NULL;
    *out = bytes_signed(m, minus);
    return p + n;
}

/* A number with a point, at most 15 digits in all, and no exponent: past it. Else NULL. */
static inline const uint8_t *bytes_double(const uint8_t *p, double *out)
{
    bool minus = *p == '-';
    uint64_t m, part;
    p += minus;
    unsigned n = bytes_digits16(p, &m);
    if (n == 0 || n > 14 || (n > 1 && *p == '0') || p[n] != '.')
        return NULL;
    p += n + 1;
    unsigned places = bytes_digits16(p, &part);
    if (places == 0 || n + places > 15 || (p[places] | 0x20) == 'e')
        return NULL;
    /* Both exact, so the quotient is the nearest double. */
    double v = (double)(m * (uint64_t)bytes_powers[places] + part) / bytes_powers[places];
    *out = bytes_signed_real(v, minus);
    return p + places;
}

/* ---- uuids */

/* 36 bytes as RFC 9562 writes a uuid, in lower case: its 16 bytes. */
static inline bool bytes_uuid(const uint8_t *p, uint64_t id[2])
{
    return dedup_canonical(id, p, 36);
}

static inline bool bytes_utf8(const uint8_t *p, size_t n)
{
    return json_utf8_valid(p, n);
}

#endif
