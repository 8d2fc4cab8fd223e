/* See alike.h. A match begins before a value's bound, with the end that the last value has in common with the one
 * before it, and goes on with the value's beginning. Most values of ids are alike in as many bytes: then more are
 * not taken even where there are, for sequences that are all the same cost nothing. Words that are not alike may have
 * the lower half of one further back. */
#include "parquet/alike.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/err.h"

#define SAMPLE 64u            /* values that tell whether and how they are alike */
#define ALIKE_MAX 64u         /* bytes */
#define TEXT_MAX ((uint32_t)8 << 10)
#define OTHER_MAX 12u         /* bytes in which a value is another, half of them at most, are sure to be left over */
#define RECENT 1024u
#define RECENT_TRIED 512u     /* words, of half of which the lower half has to be found */
#define TEXT_MATCH_MIN 4u     /* bytes of a match, where not all are the same: it has its price */

struct rule {
    size_t least;      /* bytes of a match that is worth it */
    size_t start, end; /* what a match takes of values at most, and where `even` mostly */
    bool even, sure;
};

/* What is done for each value is inlined and calls nothing that is given this: so it stays in registers. */
#define EACH static inline __attribute__((always_inline))
struct finder {
    struct compress_matches m; /* m.at: up to where they reach */
    const uint8_t *p;
    size_t n;
    struct rule rule;
};

EACH uint64_t word_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* How many of 32 bytes are the same from a and b on: without a branch, for it is another number each time. */
#if defined(__SSE2__)
EACH unsigned same_of_16(const uint8_t *a, const uint8_t *b)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a);
    __m128i y = _mm_loadu_si128((const __m128i *)(const void *)b);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
}

EACH size_t same_of_32(const uint8_t *a, const uint8_t *b)
{
    uint64_t same = same_of_16(a, b) | same_of_16(a + 16, b + 16) << 16;
    return (unsigned)__builtin_ctzll(~same);
}
#else
EACH size_t same_of_32(const uint8_t *a, const uint8_t *b)
{
    uint64_t x = word_at(a) ^ word_at(b), x8 = word_at(a + 8) ^ word_at(b + 8);
    uint64_t x16 = word_at(a + 16) ^ word_at(b + 16), x24 = word_at(a + 24) ^ word_at(b + 24);
    uint64_t all8 = -(uint64_t)!x, all16 = all8 & -(uint64_t)!x8, all24 = all16 & -(uint64_t)!x16;
    uint64_t first = x | (x8 & all8) | (x16 & all16) | (x24 & all24);
    size_t whole = (all8 & 8) + (all16 & 8) + (all24 & 8) + !first;
    return whole + (unsigned)__builtin_ctzll(first | (uint64_t)1 << 63) / 8;
}
#endif

/* How many bytes are the same from a and b on. */
EACH size_t same_start(const uint8_t *a, const uint8_t *b, size_t most)
{
    size_t i = 0, n = 32;
    if (most <= 8) {
        uint64_t x = word_at(a) ^ word_at(b);
        i = x ? (unsigned)__builtin_ctzll(x) / 8 : 8;
        return i < most ? i : most;
    }
    for (; i < most && n == 32; i += n)
        n = same_of_32(a + i, b + i);
    return i < most ? i : most;
}

/* ... up to a and b, of the eight before them. */
EACH size_t same_end(const uint8_t *a, const uint8_t *b, size_t most)
{
    uint64_t x = word_at(a - 8) ^ word_at(b - 8);
    size_t n = x ? (unsigned)__builtin_clzll(x) / 8 : 8;
    return n < most ? n : most;
}

/* The value at `at`, whose bytes to compare begin there, after one that begins at `before`. */
EACH void take(struct finder *k, size_t before, size_t at, size_t size)
{
    const uint8_t *a = k->p + at, *b = k->p + before;
    size_t start = same_start(a, b, size < k->rule.start ? size : k->rule.start), end = 0;
    size_t room = at - k->m.at < before ? at - k->m.at : before;
    if (k->rule.end && before >= 8)
        end = same_end(a, b, room < k->rule.end ? room : k->rule.end);
    size_t match = start + end;
    if (match >= k->rule.least)
        compress_matches_add(&k->m, at - end - k->m.at, match, at - before);
}

/* Whether n bytes are the same from a and b on; n > 0, and 8 may be read where they end. */
EACH bool same(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    for (; i + 8 < n; i += 8)
        if (word_at(a + i) != word_at(b + i))
            return false;
    return !((word_at(a + i) ^ word_at(b + i)) << (64 - 8 * (n - i)));
}

/* What the text at `at` takes; 0: too much. */
EACH size_t text_at(const uint8_t *p, size_t at)
{
    uint32_t length;
    memcpy(&length, p + at, 4);
    return length <= TEXT_MAX ? (size_t)length + 4 : 0;
}

/* Values of `size` bytes from `at` on that have in common with the one before what most have, after one that had, too:
 * the same match again and again. Returns where they end. */
EACH size_t take_even(struct finder *k, size_t at, size_t size, bool texts)
{
    size_t match = k->rule.start + k->rule.end, times = 0;
    if (k->m.at + size != at + k->rule.start || match > size || at < size + k->rule.end)
        return at;
    while (at + size <= k->n && (!texts || text_at(k->p, at) == size) &&
           same(k->p + at - k->rule.end, k->p + at - k->rule.end - size, match)) {
        at += size;
        times++;
    }
    struct compress_matches m = k->m;
    compress_matches_repeat(&m, size - match, match, size, times);
    k->m = m;
    return at;
}

/* ---- a sample */

struct sample {
    unsigned n, starts[ALIKE_MAX + 1], ends[9], bytes;
    size_t size; /* of a value */
    bool varied; /* it is another for each */
};

static void look(struct sample *s, const uint8_t *p, size_t before, size_t at, size_t size)
{
    size_t start = same_start(p + at, p + before, size < ALIKE_MAX ? size : ALIKE_MAX);
    size_t end = before >= 8 ? same_end(p + at, p + before, 8) : 0;
    s->starts[start]++;
    s->ends[end]++;
    s->bytes += (unsigned)(start + end);
    s->varied |= s->n && size != s->size;
    s->size = size;
    s->n++;
}

/* What but a sixteenth have at least. */
static size_t most_have(const unsigned *counts, size_t max, unsigned n)
{
    size_t i = 0;
    for (unsigned fewer = counts[0]; i < max && fewer * 16 <= n; fewer += counts[++i])
        ;
    return i;
}

/* False: they are not alike. */
static bool decide(struct rule *r, const struct sample *s)
{
    size_t start = most_have(s->starts, ALIKE_MAX, s->n), end = most_have(s->ends, 8, s->n);
    if (!s->n)
        return false;
    r->even = start + end >= COMPRESS_MATCH_MIN && s->bytes * 4 <= s->n * (4 * (start + end) + 3);
    r->start = r->even ? start : ALIKE_MAX;
    r->end = r->even ? end : 8;
    if (r->even && r->least > start + end)
        r->least = start + end;
    r->sure = r->even && !s->varied && s->n == SAMPLE && s->size <= start + end + OTHER_MAX &&
              s->size <= 2 * (start + end);
    return r->even || s->bytes >= s->n * r->least;
}

/* ---- pages */

static bool look_at_texts(struct sample *s, const uint8_t *p, size_t n, size_t head)
{
    size_t before = 0, had = 0;
    for (size_t at = head, size; at < n && s->n < SAMPLE; at += size) {
        if (!(size = text_at(p, at)))
            return false;
        size_t skip = had != size;
        if (had)
            look(s, p, before + skip, at + skip, size - skip);
        before = at;
        had = size;
    }
    return true;
}

/* Where lengths differ, they do mostly in their first byte. Texts of the same one come by themselves: where the next
 * one is need not be read then. */
EACH bool take_texts(struct finder *k, size_t head, bool even)
{
    size_t had = 0;
    for (size_t at = head; at < k->n;) {
        size_t size = text_at(k->p, at);
        if (!size)
            return false;
        if (had)
            take(k, at - had + 1, at + 1, size - 1);
        at += size;
        while (at + size <= k->n && text_at(k->p, at) == size) {
            size_t end = even ? take_even(k, at, size, true) : at;
            if (end == at) {
                take(k, at - size, at, size);
                end += size;
            }
            at = end;
        }
        had = size;
    }
    return true;
}

enum alike alike_texts(struct compress_matches *m, const struct buf *page, size_t head)
{
    struct sample s = {0};
    struct rule rule = {.least = TEXT_MATCH_MIN};
    compress_matches_begin(m);
    if (!look_at_texts(&s, page->p, page->n, head) || !decide(&rule, &s))
        return ALIKE_NOT;
    struct finder k = {.m = *m, .p = page->p, .n = page->n, .rule = rule};
    bool right = rule.even ? take_texts(&k, head, true) : take_texts(&k, head, false);
    *m = k.m;
    return !right ? ALIKE_NOT : rule.sure ? ALIKE_SURE : ALIKE_SOME;
}

EACH void take_words(struct finder *k, size_t head, bool even)
{
    for (size_t at = head + 8, end; at + 8 <= k->n; at = end) {
        end = even ? take_even(k, at, 8, false) : at;
        if (end == at) {
            take(k, at - 8, at, 8);
            end += 8;
        }
    }
}

/* Words whose lower half is that of an earlier one: of doubles with few decimals there are not many. */
EACH bool take_recent(struct finder *k, size_t head)
{
    uint32_t last[RECENT] = {0}; /* where such a half was seen, + 1 */
    size_t n = 0, found = 0;
    for (size_t at = head; at + 8 <= k->n; at += 8) {
        uint32_t half = (uint32_t)word_at(k->p + at), *seen = &last[half * 0x9e3779b1u / (UINT32_MAX / RECENT + 1)];
        size_t before = *seen;
        *seen = (uint32_t)at + 1;
        if (before-- && (uint32_t)word_at(k->p + before) == half) {
            take(k, before, at, 8);
            found++;
        }
        if (++n == RECENT_TRIED && found < n / 2)
            return false;
    }
    return found && found >= n / 2;
}

enum alike alike_words(struct compress_matches *m, const struct buf *page, size_t head)
{
    struct sample s = {0};
    struct rule rule = {.least = COMPRESS_MATCH_MIN};
    bool alike = true;
    compress_matches_begin(m);
    for (size_t at = head + 8; at + 8 <= page->n && s.n < SAMPLE; at += 8)
        look(&s, page->p, at - 8, at, 8);
    bool near = decide(&rule, &s);
    struct finder k = {.m = *m, .p = page->p, .n = page->n, .rule = rule};
    if (near && rule.even)
        take_words(&k, head, true);
    else if (near)
        take_words(&k, head, false);
    else
        alike = take_recent(&k, head);
    *m = k.m;
    return !alike ? ALIKE_NOT : rule.sure ? ALIKE_SURE : ALIKE_SOME;
}
