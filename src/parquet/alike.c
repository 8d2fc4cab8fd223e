/* See alike.h. A match begins before a value's bound, with the end that the last value has in common with the one
 * before it, and goes on with the value's beginning. Most values of ids are alike in as many bytes: then more are
 * not taken even where there are, for sequences that are all the same cost nothing. Words that are not alike may have
 * the lower half of one further back. */
#include "parquet/alike.h"

#include <string.h>

#include "base/err.h"

#define SAMPLE 64u            /* values that tell whether and how they are alike */
#define ALIKE_MAX 64u         /* bytes */
#define TEXT_MAX ((uint32_t)8 << 10)
#define OTHER_MAX 12u         /* bytes in which a value is another, half of them at most, are sure to be left over */
#define RECENT 1024u
#define RECENT_TRIED 512u     /* words, of half of which the lower half has to be found */
#define TEXT_MATCH_MIN 4u     /* bytes of a match, where not all are the same: it has its price */

struct finder {
    struct compress_matches *m;
    const uint8_t *p;
    size_t n, taken;          /* all; up to where matches reach */
    size_t least;             /* bytes of a match that is worth it */
    size_t start, end;        /* what a match takes of values at most, and where `even` mostly */
    bool even, sure;
};

static inline uint64_t word_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* How many of 32 bytes are the same from a and b on: without a branch, for it is another number each time. */
static inline size_t same_of_32(const uint8_t *a, const uint8_t *b)
{
    uint64_t x = word_at(a) ^ word_at(b), x8 = word_at(a + 8) ^ word_at(b + 8);
    uint64_t x16 = word_at(a + 16) ^ word_at(b + 16), x24 = word_at(a + 24) ^ word_at(b + 24);
    uint64_t all8 = -(uint64_t)!x, all16 = all8 & -(uint64_t)!x8, all24 = all16 & -(uint64_t)!x16;
    uint64_t first = x | (x8 & all8) | (x16 & all16) | (x24 & all24);
    size_t whole = (all8 & 8) + (all16 & 8) + (all24 & 8) + !first;
    return whole + (unsigned)__builtin_ctzll(first | (uint64_t)1 << 63) / 8;
}

/* How many bytes are the same from a and b on. */
static inline size_t same_start(const uint8_t *a, const uint8_t *b, size_t most)
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
static inline size_t same_end(const uint8_t *a, const uint8_t *b, size_t most)
{
    uint64_t x = word_at(a - 8) ^ word_at(b - 8);
    size_t n = x ? (unsigned)__builtin_clzll(x) / 8 : 8;
    return n < most ? n : most;
}

/* The value at `at`, whose bytes to compare begin there, after one that begins at `before`. */
static inline void take(struct finder *k, size_t before, size_t at, size_t size)
{
    const uint8_t *a = k->p + at, *b = k->p + before;
    size_t start = same_start(a, b, size < k->start ? size : k->start), end = 0;
    size_t room = at - k->taken < before ? at - k->taken : before;
    if (k->end && before >= 8)
        end = same_end(a, b, room < k->end ? room : k->end);
    size_t match = start + end;
    if (match < k->least)
        return;
    compress_matches_add(k->m, at - end - k->taken, match, at - before);
    k->taken = at + start;
}

/* Whether n bytes are the same from a and b on; n > 0, and 8 may be read where they end. */
static inline bool same(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    for (; i + 8 < n; i += 8)
        if (word_at(a + i) != word_at(b + i))
            return false;
    return !((word_at(a + i) ^ word_at(b + i)) << (64 - 8 * (n - i)));
}

/* What the text at `at` takes; 0: too much. */
static inline size_t text_at(const struct finder *k, size_t at)
{
    uint32_t length;
    memcpy(&length, k->p + at, 4);
    return length <= TEXT_MAX ? (size_t)length + 4 : 0;
}

/* Values of `size` bytes from `at` on that have in common with the one before what most have, after one that had, too:
 * the same match again and again. Returns where they end. */
static inline size_t take_even(struct finder *k, size_t at, size_t size, bool texts)
{
    size_t from = at, match = k->start + k->end, times = 0;
    if (k->taken + size != at + k->start || match > size || at < size + k->end)
        return at;
    while (at + size <= k->n && (!texts || text_at(k, at) == size) &&
           same(k->p + at - k->end, k->p + at - k->end - size, match)) {
        at += size;
        times++;
    }
    compress_matches_repeat(k->m, size - match, match, size, times);
    k->taken += at - from;
    return at;
}

/* ---- a sample */

struct sample {
    unsigned n, starts[ALIKE_MAX + 1], ends[9], bytes;
    size_t size; /* of a value */
    bool varied; /* it is another for each */
};

static void look(struct sample *s, const struct finder *k, size_t before, size_t at, size_t size)
{
    size_t start = same_start(k->p + at, k->p + before, size < ALIKE_MAX ? size : ALIKE_MAX);
    size_t end = before >= 8 ? same_end(k->p + at, k->p + before, 8) : 0;
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
static bool decide(struct finder *k, const struct sample *s)
{
    size_t start = most_have(s->starts, ALIKE_MAX, s->n), end = most_have(s->ends, 8, s->n);
    if (!s->n)
        return false;
    k->even = start + end >= COMPRESS_MATCH_MIN && s->bytes * 4 <= s->n * (4 * (start + end) + 3);
    k->start = k->even ? start : ALIKE_MAX;
    k->end = k->even ? end : 8;
    if (k->even && k->least > start + end)
        k->least = start + end;
    k->sure = k->even && !s->varied && s->n == SAMPLE && s->size <= start + end + OTHER_MAX &&
              s->size <= 2 * (start + end);
    return k->even || s->bytes >= s->n * k->least;
}

/* ---- pages */

static bool look_at_texts(struct sample *s, const struct finder *k, size_t head)
{
    size_t before = 0, had = 0;
    for (size_t at = head, size; at < k->n && s->n < SAMPLE; at += size) {
        if (!(size = text_at(k, at)))
            return false;
        size_t skip = had != size;
        if (had)
            look(s, k, before + skip, at + skip, size - skip);
        before = at;
        had = size;
    }
    return true;
}

/* Where lengths differ, they do mostly in their first byte. Texts of the same one come by themselves: where the next
 * one is need not be read then. */
static bool take_texts(struct finder *k, size_t head)
{
    size_t had = 0;
    for (size_t at = head; at < k->n;) {
        size_t size = text_at(k, at);
        if (!size)
            return false;
        if (had)
            take(k, at - had + 1, at + 1, size - 1);
        at += size;
        while (at + size <= k->n && text_at(k, at) == size) {
            size_t end = k->even ? take_even(k, at, size, true) : at;
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
    struct finder k = {.m = m, .p = page->p, .n = page->n, .least = TEXT_MATCH_MIN};
    struct sample s = {0};
    compress_matches_begin(m);
    if (!look_at_texts(&s, &k, head) || !decide(&k, &s) || !take_texts(&k, head))
        return ALIKE_NOT;
    return k.sure ? ALIKE_SURE : ALIKE_SOME;
}

/* Words whose lower half is that of an earlier one: of doubles with few decimals there are not many. */
static bool take_recent(struct finder *k, size_t head)
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
    struct finder k = {.m = m, .p = page->p, .n = page->n, .least = COMPRESS_MATCH_MIN};
    struct sample s = {0};
    compress_matches_begin(m);
    for (size_t at = head + 8; at + 8 <= k.n && s.n < SAMPLE; at += 8)
        look(&s, &k, at - 8, at, 8);
    if (!decide(&k, &s))
        return take_recent(&k, head) ? ALIKE_SOME : ALIKE_NOT;
    for (size_t at = head + 8, end; at + 8 <= k.n; at = end) {
        end = k.even ? take_even(&k, at, 8, false) : at;
        if (end == at) {
            take(&k, at - 8, at, 8);
            end += 8;
        }
    }
    return k.sure ? ALIKE_SURE : ALIKE_SOME;
}
