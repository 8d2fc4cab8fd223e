/* bytes, by vectors of 32 bytes: what bytes.h has in plain C, for x86-64 with AVX2. Included with the
 * compiler's target set to that. */
#ifndef INLET_SHRED_BYTES_AVX2_H
#define INLET_SHRED_BYTES_AVX2_H

#include <immintrin.h>

#include "base/digits.h"
#include "shred/shred_int.h"
#include "shred/words.h"

static inline __m256i load32(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline __m128i load16(const void *p)
{
    return _mm_loadu_si128(p);
}

/* ---- strings */

struct stops { /* a bit for each of 64 bytes */
    uint64_t quote, any, high; /* a quote; that or a backslash or control byte; not ASCII */
};

static inline bool bytes_edge_at(const struct edge *e, const uint8_t *p);
/* Also copies them, if asked. */
static inline struct stops stops_of(const uint8_t *p, uint8_t *copy);

#if !defined(BYTES_HAVE_512)
static inline uint64_t mask32(__m256i v)
{
    return (uint32_t)_mm256_movemask_epi8(v);
}

static inline bool bytes_edge_at(const struct edge *e, const uint8_t *p)
{
    uint32_t same = (uint32_t)mask32(_mm256_cmpeq_epi8(load32(e->literal), load32(p)));
    unsigned n = e->n;
    if (__builtin_expect(n <= 32, 1))
        return _bzhi_u32(~same, n) == 0;
    uint32_t rest = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(load16(e->literal + 32), load16(p + 32)));
    return same == UINT32_MAX && _bzhi_u32(~rest, n - 32) == 0;
}

static inline struct stops stops_of(const uint8_t *p, uint8_t *copy)
{
    const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\'),
                  control = _mm256_set1_epi8(0x1f);
    struct stops s;
    __m256i a = load32(p), b = load32(p + 32);
    __m256i qa = _mm256_cmpeq_epi8(a, quote), qb = _mm256_cmpeq_epi8(b, quote);
    __m256i xa = _mm256_or_si256(_mm256_cmpeq_epi8(a, slash),
                                 _mm256_cmpeq_epi8(_mm256_min_epu8(a, control), a));
    __m256i xb = _mm256_or_si256(_mm256_cmpeq_epi8(b, slash),
                                 _mm256_cmpeq_epi8(_mm256_min_epu8(b, control), b));
    if (copy) {
        _mm256_storeu_si256((void *)copy, a);
        _mm256_storeu_si256((void *)(copy + 32), b);
    }
    s.quote = mask32(qa) | mask32(qb) << 32;
    s.any = s.quote | mask32(xa) | mask32(xb) << 32;
    s.high = mask32(a) | mask32(b) << 32;
    return s;
}
#endif

static inline bool bytes_string(const uint8_t *p, uint8_t *to, unsigned *n)
{
    __m256i v = load32(p);
    __m256i others = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')),
                                     _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v)); /* high ones too */
    uint32_t quote = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'))),
             other = (uint32_t)_mm256_movemask_epi8(others);
    _mm256_storeu_si256((void *)to, v);
    *n = (unsigned)_tzcnt_u32(quote);
    if (__builtin_expect(quote != 0, 1)) /* most are short, and this is the shortest way to the next field */
        return !(other & _blsmsk_u32(quote));
    if (other)
        return false;
    struct stops s = stops_of(p, to);
    *n = (unsigned)_tzcnt_u64(s.any);
    return (s.quote & _blsi_u64(s.any)) && !(s.high & _blsmsk_u64(s.any));
}

static inline unsigned bytes_run(const uint8_t *p, uint8_t *to, bool *high)
{
    struct stops s = stops_of(p, to);
    *high |= (s.high & _blsmsk_u64(s.any)) != 0;
    return (unsigned)_tzcnt_u64(s.any);
}

static inline const uint8_t *bytes_stop(const uint8_t *p, const uint8_t *end, bool *high)
{
    for (; p < end; p += 64) {
        struct stops s = stops_of(p, NULL);
        if (s.any) {
            *high |= (s.high & _blsmsk_u64(s.any)) != 0;
            return p + _tzcnt_u64(s.any);
        }
        *high |= s.high != 0;
    }
    return p;
}

/* ---- UTF-8, by the classes of two neighbouring bytes (Keiser and Lemire, "Validating UTF-8 in less than
 * one instruction per byte"): three lookups by half bytes, of which each leaves the errors that it allows;
 * what all three allow is one. */

enum {
    TOO_SHORT = 1, /* a lead, then no continuation */
    TOO_LONG = 2,  /* ASCII, then a continuation */
    OVERLONG_3 = 4,
    TOO_LARGE = 8,
    SURROGATE = 16,
    OVERLONG_2 = 32,
    TOO_LARGE_1000 = 64, /* and overlong of four bytes */
    TWO_CONTS = 128,     /* may be right: the third or fourth of a character */
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTS,
};
#define UTF8_TABLE(name, ...)                                                                      \
    static const uint8_t name[16] __attribute__((aligned(16))) = {__VA_ARGS__}
UTF8_TABLE(utf8_first_high, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
           TOO_LONG, TWO_CONTS, TWO_CONTS, TWO_CONTS, TWO_CONTS, TOO_SHORT | OVERLONG_2, TOO_SHORT,
           TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | TOO_LARGE_1000);
#define LARGE (CARRY | TOO_LARGE | TOO_LARGE_1000)
UTF8_TABLE(utf8_first_low, CARRY | OVERLONG_3 | OVERLONG_2 | TOO_LARGE_1000, CARRY | OVERLONG_2, CARRY,
           CARRY, CARRY | TOO_LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE,
           LARGE | SURROGATE, LARGE, LARGE);
UTF8_TABLE(utf8_second_high, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
           TOO_SHORT, TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE_1000,
           TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE,
           TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE,
           TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE, TOO_SHORT, TOO_SHORT, TOO_SHORT,
           TOO_SHORT);

static inline __m128i utf8_look_up(const uint8_t table[16], __m128i half)
{
    return _mm_shuffle_epi8(load16(table), half);
}

/* A string of a record's value: in front of it are three readable bytes of ASCII, after it its quote. */
static inline bool bytes_utf8(const uint8_t *p, size_t n)
{
    const __m128i low = _mm_set1_epi8(0x0f), zero = _mm_setzero_si128();
    unsigned bad = 0;
    for (size_t at = 0; at <= n; at += 16) {
        __m128i v = load16(p + at), one = load16(p + at - 1), two = load16(p + at - 2),
                three = load16(p + at - 3);
        __m128i classes = _mm_and_si128(
            _mm_and_si128(utf8_look_up(utf8_first_high, _mm_and_si128(_mm_srli_epi16(one, 4), low)),
                          utf8_look_up(utf8_first_low, _mm_and_si128(one, low))),
            utf8_look_up(utf8_second_high, _mm_and_si128(_mm_srli_epi16(v, 4), low)));
        __m128i third = _mm_subs_epu8(two, _mm_set1_epi8(0xe0 - 0x80)),
                fourth = _mm_subs_epu8(three, _mm_set1_epi8(0xf0 - 0x80));
        __m128i must = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)0x80));
        __m128i good = _mm_cmpeq_epi8(_mm_xor_si128(must, classes), zero);
        unsigned wrong = (unsigned)_mm_movemask_epi8(good) ^ 0xffff;
        bad |= n - at < 16 ? _bzhi_u32(wrong, (unsigned)(n - at) + 1) : wrong;
    }
    return bad == 0;
}

/* ---- numbers: a load, the mask of its digits, and a shuffle that sets them flush right */

static const uint8_t digits_slide[33] = {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
                                         128, 128, 128, 128, 128, 0,   1,   2,   3,   4,   5,
                                         6,   7,   8,   9,   10,  11,  12,  13,  14,  15,  128};

/* The value of 16 digits, each a byte of 0 to 9. */
static inline uint64_t digits_value(__m128i d)
{
    const __m128i by10 = _mm_set1_epi16(0x010a), by100 = _mm_set1_epi32(0x00010064),
                  by10000 = _mm_set1_epi32(0x00012710);
    d = _mm_madd_epi16(_mm_maddubs_epi16(d, by10), by100);
    d = _mm_madd_epi16(_mm_packus_epi32(d, d), by10000);
    uint64_t halves = (uint64_t)_mm_cvtsi128_si64(d);
    return (halves & UINT32_MAX) * 100000000 + (halves >> 32);
}

static inline __m128i digits_load(const uint8_t *p)
{
    return _mm_sub_epi8(load16(p), _mm_set1_epi8('0'));
}

/* A bit for each of 32 bytes that is a digit. */
static inline uint32_t digits_mask(const uint8_t *p)
{
    __m256i d = _mm256_sub_epi8(load32(p), _mm256_set1_epi8('0'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(d, _mm256_set1_epi8(9)), d));
}

static const uint64_t digits_tens[] = {1, 10, 100, 1000};
static const double digits_powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static inline const uint8_t *bytes_long(const uint8_t *p, int64_t *out)
{
    bool minus = *p == '-';
    p += minus;
    unsigned n = (unsigned)_tzcnt_u32(~digits_mask(p)), head = n < 16 ? n : 16;
    uint8_t next = p[n & 31];
    if (n == 0 || n > 19 || (n > 1 && *p == '0') || next == '.' || (next | 0x20) == 'e')
        return NULL;
    uint64_t m = digits_value(_mm_shuffle_epi8(digits_load(p), load16(digits_slide + head)));
    if (__builtin_expect(n > 16, 0)) {
        uint64_t more = bytes_half(p + 16) ^ UINT64_C(0x30303030); /* three of them at most */
        m = m * digits_tens[n - 16] + digits8_value(more << (64 - 8 * (n - 16)));
        if (m > INT64_MAX) /* 19 digits do not wrap */
            return NULL;
    }
    *out = bytes_signed(m, minus);
    return p + n;
}

static inline const uint8_t *bytes_double(const uint8_t *p, double *out)
{
    bool minus = *p == '-';
    p += minus;
    uint32_t others = ~digits_mask(p);
    unsigned n = (unsigned)_tzcnt_u32(others);
    unsigned all = (unsigned)_tzcnt_u32(_blsr_u32(others)); /* the point too */
    if (n == 0 || (n > 1 && *p == '0') || all > 16 || all < n + 2 || p[n] != '.' ||
        (p[all] | 0x20) == 'e')
        return NULL;
    __m128i to = load16(digits_slide + all - 1); /* from where each digit comes: past the point one on */
    to = _mm_sub_epi8(to, _mm_cmpgt_epi8(to, _mm_set1_epi8((char)(n - 1))));
    uint64_t m = digits_value(_mm_shuffle_epi8(digits_load(p), to));
    double v = (double)(int64_t)m / digits_powers[all - 1 - n]; /* both exact: the nearest */
    *out = bytes_signed_real(v, minus);
    return p + all;
}

/* Up to 16 digits; how many, and their value. */
static inline unsigned bytes_digits16(const uint8_t *p, uint64_t *value)
{
    unsigned n = (unsigned)_tzcnt_u32(~digits_mask(p) | 1u << 16);
    *value = digits_value(_mm_shuffle_epi8(digits_load(p), load16(digits_slide + n)));
    return n;
}

/* ---- uuids */

static inline bool bytes_uuid(const uint8_t *p, uint64_t id[2])
{
#define NO -128
    const __m128i a0 = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, NO, NO),
                  a1 = _mm_setr_epi8(NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 14, 15),
                  b0 = _mm_setr_epi8(3, 4, 5, 6, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO),
                  b1 = _mm_setr_epi8(NO, NO, NO, NO, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#undef NO
    __m128i a = _mm_or_si128(_mm_shuffle_epi8(load16(p), a0), _mm_shuffle_epi8(load16(p + 2), a1));
    __m128i b =
        _mm_or_si128(_mm_shuffle_epi8(load16(p + 16), b0), _mm_shuffle_epi8(load16(p + 20), b1));
    __m256i v = _mm256_set_m128i(b, a);
    __m256i digit = _mm256_sub_epi8(v, _mm256_set1_epi8('0')),
            letter = _mm256_sub_epi8(v, _mm256_set1_epi8('a'));
    __m256i is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(digit, _mm256_set1_epi8(9)), digit);
    __m256i is_letter = _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(5)), letter);
    __m256i nibble =
        _mm256_blendv_epi8(_mm256_add_epi8(letter, _mm256_set1_epi8(10)), digit, is_digit);
    __m256i pairs = _mm256_maddubs_epi16(nibble, _mm256_set1_epi16(0x0110));
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    _mm_storeu_si128((void *)id, bytes);
    return _mm256_movemask_epi8(_mm256_or_si256(is_digit, is_letter)) == -1 && p[8] == '-' &&
           p[13] == '-' && p[18] == '-' && p[23] == '-';
}

#endif
