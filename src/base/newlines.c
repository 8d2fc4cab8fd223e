/* By masks of 64 bytes, stored whether or not there is one in them: how long a line is, is random, and a loop that
 * ends with each (memchr's) is foreseen by no processor. See newlines.h. */
#include "base/newlines.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BLOCK ((size_t)64)

static size_t one_by_one(const uint8_t *p, size_t from, size_t n, uint32_t *at, size_t found, size_t max)
{
    while (from < n && found < max) {
        const uint8_t *nl = memchr(p + from, '\n', n - from);
        if (!nl)
            break;
        at[found++] = (uint32_t)(nl - p);
        from = (size_t)(nl - p) + 1;
    }
    return found;
}

#if defined(__x86_64__)
static inline size_t put(uint64_t mask, size_t i, uint32_t *at, size_t found)
{
    at[found] = (uint32_t)i + (uint32_t)__builtin_ctzll(mask | UINT64_C(1) << 63);
    found += mask != 0;
    while (__builtin_expect((mask &= mask - 1) != 0, 0)) /* of no mask nothing is left either */
        at[found++] = (uint32_t)i + (uint32_t)__builtin_ctzll(mask);
    return found;
}

__attribute__((target("avx2"))) static size_t by_avx2(const uint8_t *p, size_t n, uint32_t *at, size_t max,
                                                      size_t *upto)
{
    const __m256i nl = _mm256_set1_epi8('\n');
    size_t found = 0, i = 0;
    for (; i + BLOCK <= n && found < max; i += BLOCK) {
        const __m256i *v = (const __m256i *)(const void *)(p + i);
        uint64_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256(v), nl)),
                 high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256(v + 1), nl));
        found = put(low | high << 32, i, at, found);
    }
    *upto = i;
    return found;
}

static size_t by_sse2(const uint8_t *p, size_t n, uint32_t *at, size_t max, size_t *upto)
{
    const __m128i nl = _mm_set1_epi8('\n');
    size_t found = 0, i = 0;
    for (; i + BLOCK <= n && found < max; i += BLOCK) {
        const __m128i *v = (const __m128i *)(const void *)(p + i);
        uint64_t mask = 0;
        for (int k = 0; k < 4; k++)
            mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(v + k), nl)) << (16 * k);
        found = put(mask, i, at, found);
    }
    *upto = i;
    return found;
}
#endif

size_t newlines_find(const uint8_t *p, size_t n, uint32_t *at, size_t max)
{
    size_t upto = 0, found = 0;
#if defined(__x86_64__)
    found = (__builtin_cpu_supports("avx2") ? by_avx2 : by_sse2)(p, n, at, max, &upto);
#endif
    return found < max ? one_by_one(p, upto, n, at, found, max) : found;
}
