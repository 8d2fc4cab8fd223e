/* base64: see base64.h. The vector part finds each character's value by two nibble lookups (the
 * well-known method of Mula and Lemire), and stops at the first character that is not of the
 * alphabet; the scalar part finishes and judges. */
#include "codec/base64.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define BAD 0xff
/* Value of each character; BAD for those outside the alphabet. */
static const uint8_t value_of[256] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 62, 255, 255, 255, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 255, 255, 255, 255, 255, 255,
    255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 255, 255, 255, 255, 255,
    255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
};

#if defined(__x86_64__)
/* The bytes of 32 characters; false where some are not of the alphabet, *bad then has a bit for each of those. */
__attribute__((target("avx2"), always_inline)) static inline bool block_avx2(const char *in, __m256i *out, uint32_t *bad)
{
    const __m256i lut_lo = _mm256_setr_epi8(
        0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B,
        0x1A, 0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B,
        0x1B, 0x1A);
    const __m256i lut_hi = _mm256_setr_epi8(
        0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10, 0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10, 0x10);
    const __m256i lut_roll = _mm256_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0,
                                              0, 0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0,
                                              0, 0);
    const __m256i slash = _mm256_set1_epi8(0x2f);
    const __m256i order = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1,
                                           2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    __m256i s = _mm256_loadu_si256((const __m256i *)(const void *)in);
    __m256i hi_nibble = _mm256_and_si256(_mm256_srli_epi32(s, 4), slash);
    __m256i lo_nibble = _mm256_and_si256(s, slash);
    __m256i hi = _mm256_shuffle_epi8(lut_hi, hi_nibble);
    __m256i lo = _mm256_shuffle_epi8(lut_lo, lo_nibble);
    if (!_mm256_testz_si256(lo, hi)) {
        __m256i good = _mm256_cmpeq_epi8(_mm256_and_si256(lo, hi), _mm256_setzero_si256());
        *bad = ~(uint32_t)_mm256_movemask_epi8(good);
        return false;
    }
    __m256i is_slash = _mm256_cmpeq_epi8(s, slash);
    __m256i roll = _mm256_shuffle_epi8(lut_roll, _mm256_add_epi8(is_slash, hi_nibble));
    s = _mm256_add_epi8(s, roll);
    s = _mm256_maddubs_epi16(s, _mm256_set1_epi32(0x01400140));
    s = _mm256_madd_epi16(s, _mm256_set1_epi32(0x00011000));
    s = _mm256_shuffle_epi8(s, order);
    *out = _mm256_permutevar8x32_epi32(s, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
    return true;
}

/* Decodes n characters, a multiple of 4 and 32 at least, by blocks of 32, of which the last may overlap the one before it; returns
 * how many it took: all, or those before a block with a character that is not of the alphabet. Each block writes 24 bytes and
 * clobbers 8 behind them. */
__attribute__((target("avx2"))) static size_t decode_avx2(uint8_t *out, const char *in, size_t n)
{
    size_t at = 0, next = 0;
    uint32_t bad;
    __m256i bytes;
    while (at < n) {
        next = n - at < 32 ? n - 32 : at;
        if (!block_avx2(in + next, &bytes, &bad))
            break;
        _mm256_storeu_si256((__m256i *)(void *)(out + next / 4 * 3), bytes);
        at = next + 32;
    }
    return at;
}

/* The same up to the first character that is not of the alphabet, whose place is *end; at most n, and up to 31 more are looked
 * at. Takes whole groups of four; less than 32 of them are left to the caller. */
__attribute__((target("avx2"))) static size_t decode_run_avx2(uint8_t *out, const char *in, size_t n, size_t *end)
{
    size_t at = 0;
    uint32_t bad = 0;
    __m256i bytes;
    for (; at < n && block_avx2(in + at, &bytes, &bad); at += 32)
        _mm256_storeu_si256((__m256i *)(void *)(out + at / 4 * 3), bytes);
    *end = bad ? at + (size_t)__builtin_ctz(bad) : at;
    if (*end > n)
        *end = n;
    size_t whole = *end / 4 * 4;
    if (whole < 32 || whole == at)
        return whole < at ? whole : at;
    if (block_avx2(in + whole - 32, &bytes, &bad))
        _mm256_storeu_si256((__m256i *)(void *)(out + (whole - 32) / 4 * 3), bytes);
    return whole;
}
#endif

/* The last group: 2 or 3 characters (or none). */
static int64_t decode_tail(uint8_t *out, const uint8_t *s, size_t n)
{
    if (n == 0)
        return 0;
    if (n == 1)
        return -1;
    uint32_t a = value_of[s[0]], b = value_of[s[1]], c = n == 3 ? value_of[s[2]] : 0;
    if (a == BAD || b == BAD || c == BAD)
        return -1;
    out[0] = (uint8_t)(a << 2 | b >> 4);
    if (n == 2)
        return 1;
    out[1] = (uint8_t)(b << 4 | c >> 2);
    return 2;
}

/* What is left of n characters, of which `at` are decoded. */
static int64_t decode_rest(uint8_t *out, const uint8_t *s, size_t at, size_t n)
{
    uint8_t *o = out + at / 4 * 3;
    for (; n - at >= 4; at += 4, o += 3) {
        uint32_t a = value_of[s[at]], b = value_of[s[at + 1]], c = value_of[s[at + 2]],
                 d = value_of[s[at + 3]];
        if ((a | b | c | d) & 0x80)
            return -1;
        o[0] = (uint8_t)(a << 2 | b >> 4);
        o[1] = (uint8_t)(b << 4 | c >> 2);
        o[2] = (uint8_t)(c << 6 | d);
    }
    int64_t tail = decode_tail(o, s + at, n - at);
    return tail < 0 ? -1 : (o - out) + tail;
}

int64_t base64_decode(uint8_t *out, const char *in, size_t n)
{
    const uint8_t *s = (const uint8_t *)in;
    for (int i = 0; i < 2 && n > 0 && n % 4 == (size_t)(i ? 3 : 0) && s[n - 1] == '='; i++)
        n--;
    size_t at = 0;
#if defined(__x86_64__)
    if (n >= 32 && __builtin_cpu_supports("avx2"))
        at = decode_avx2(out, in, n / 4 * 4);
#endif
    return decode_rest(out, s, at, n);
}

int64_t base64_decode_run(uint8_t *out, const char *in, size_t n, size_t *taken)
{
    const uint8_t *s = (const uint8_t *)in;
    size_t at = 0, end = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        at = decode_run_avx2(out, in, n, &end);
#endif
    while (end < n && value_of[s[end]] != BAD)
        end++;
    *taken = end;
    for (int i = 0; i < 2 && *taken < n && *taken % 4 >= 2 && s[*taken] == '='; i++)
        ++*taken;
    return *taken > end && *taken % 4 ? -1 : decode_rest(out, s, at, end);
}

size_t base64_encode(char *out, const uint8_t *in, size_t n)
{
    char *o = out;
    size_t at = 0;
    for (; n - at >= 3; at += 3, o += 4) {
        uint32_t v = (uint32_t)in[at] << 16 | (uint32_t)in[at + 1] << 8 | in[at + 2];
        o[0] = alphabet[v >> 18];
        o[1] = alphabet[v >> 12 & 63];
        o[2] = alphabet[v >> 6 & 63];
        o[3] = alphabet[v & 63];
    }
    if (at < n) {
        uint32_t v = (uint32_t)in[at] << 16 | (n - at == 2 ? (uint32_t)in[at + 1] << 8 : 0);
        o[0] = alphabet[v >> 18];
        o[1] = alphabet[v >> 12 & 63];
        o[2] = n - at == 2 ? alphabet[v >> 6 & 63] : '=';
        o[3] = '=';
        o += 4;
    }
    return (size_t)(o - out);
}
