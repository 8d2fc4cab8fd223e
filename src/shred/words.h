/* words: what bytes.h and its likes share. */
#ifndef INLET_SHRED_WORDS_H
#define INLET_SHRED_WORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static inline uint32_t bytes_half(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* The sign is random: without a branch. */
static inline int64_t bytes_signed(uint64_t m, bool minus)
{
    uint64_t all = (uint64_t)0 - minus;
    return (int64_t)((m ^ all) - all);
}
static inline double bytes_signed_real(double v, bool minus)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    bits |= (uint64_t)minus << 63;
    memcpy(&v, &bits, 8);
    return v;
}

/* How many of 32 bytes stand before that one; 32: it is not there. */
static inline unsigned words_up_to(const uint8_t *p, char c)
{
#if defined(__SSE2__)
    const __m128i *v = (const __m128i *)(const void *)p, want = _mm_set1_epi8(c);
    uint64_t low = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(v), want)),
             high = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(v + 1), want));
    return (unsigned)__builtin_ctzll(low | high << 16 | UINT64_C(1) << 32);
#else
    const uint8_t *at = memchr(p, c, 32);
    return at ? (unsigned)(at - p) : 32;
#endif
}

/* Are the first n of 32 bytes the same? */
static inline bool words_same(const void *a, const void *b, unsigned n)
{
#if defined(__SSE2__)
    const __m128i *x = a, *y = b;
    uint64_t low = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(x), _mm_loadu_si128(y))),
             high = (uint32_t)_mm_movemask_epi8(
                 _mm_cmpeq_epi8(_mm_loadu_si128(x + 1), _mm_loadu_si128(y + 1)));
    return (~(low | high << 16) & ((UINT64_C(1) << n) - 1)) == 0;
#else
    return memcmp(a, b, n) == 0;
#endif
}

#endif
