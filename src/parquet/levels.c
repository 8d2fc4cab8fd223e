/* See levels.h. Long runs of equal values become RLE runs; what lies between is packed in groups of
 * eight, so that only the last group of all needs filling. */
#include "parquet/levels.h"

#include <string.h>

#include "base/err.h"
#include "codec/thrift.h"

#define GROUPS_MAX 63 /* packed in a row: their number fits one byte */

unsigned levels_width(uint32_t max)
{
    return max ? 32u - (unsigned)__builtin_clz(max) : 0;
}

/* ---- encoding ---- */

void levels_begin(struct levels_out *o, struct buf *out, unsigned width)
{
    /* a run takes three bytes at least, with the head of what is packed after it */
    unsigned least = width ? 8 * ((3 + width) / width) : 8;
    *o = (struct levels_out){.out = out, .width = width, .least = least};
}

static void end_groups(struct levels_out *o)
{
    if (o->groups)
        o->out->p[o->head] = (uint8_t)(o->groups << 1 | 1);
    o->groups = 0;
}

/* Where the next n groups of eight go: 8 * width bits each, and 8 bytes more may be written. */
static inline uint8_t *next_groups(struct levels_out *o, unsigned n)
{
    if (o->groups + n > GROUPS_MAX)
        end_groups(o);
    size_t more = (size_t)o->width * n + 17;
    uint8_t *to = o->out->cap - o->out->n >= more ? o->out->p + o->out->n : buf_reserve(o->out, more);
    if (!o->groups) {
        o->head = o->out->n++;
        to++;
    }
    o->groups += n;
    o->out->n += (size_t)o->width * n;
    return to;
}

static void pack_wide(uint8_t *to, const uint32_t *v, unsigned width)
{
    uint64_t bits = 0;
    unsigned have = 0;
    for (int i = 0; i < 8; i++) {
        bits |= (uint64_t)v[i] << have;
        have += width;
        if (have >= 32) {
            uint32_t low = (uint32_t)bits;
            memcpy(to, &low, 4);
            to += 4;
            bits >>= 32;
            have -= 32;
        }
    }
    memcpy(to, &bits, 8);
}

static inline uint64_t four(const uint32_t *v, unsigned width)
{
    return (uint64_t)v[0] | (uint64_t)v[1] << width | (uint64_t)v[2] << 2 * width |
           (uint64_t)v[3] << 3 * width;
}

static inline void put_group(struct levels_out *o, const uint32_t *v)
{
    unsigned width = o->width;
    uint8_t *to = next_groups(o, 1);
    if (width > 16) {
        pack_wide(to, v, width);
        return;
    }
    uint64_t low = four(v, width), high = four(v + 4, width);
    memcpy(to, &low, 8);
    to += width / 2;
    if (width % 2) { /* half a byte of `high` is beside the end of `low` */
        *to = (uint8_t)((low >> (width / 2 * 8)) | (high << 4));
        high >>= 4;
        to++;
    }
    memcpy(to, &high, 8);
}

static inline void wait_for_more(struct levels_out *o, uint32_t v)
{
    o->wait[o->n++] = v;
    if (o->n == 8) {
        put_group(o, o->wait);
        o->n = 0;
    }
}

static void end_run(struct levels_out *o)
{
    unsigned fill = (8 - o->n) % 8;
    if (o->run < fill + o->least) {
        for (; o->run; o->run--)
            wait_for_more(o, o->value);
        return;
    }
    for (unsigned i = 0; i < fill; i++)
        wait_for_more(o, o->value);
    end_groups(o);
    thrift_varint(o->out, (o->run - fill) << 1);
    for (unsigned b = 0; b < o->width; b += 8)
        buf_putc(o->out, (uint8_t)(o->value >> b));
    o->run = 0;
}

void levels_run(struct levels_out *o, uint32_t v, uint64_t n)
{
    if (v != o->value) {
        end_run(o);
        o->value = v;
    }
    o->run += n;
    invariant(o->run < (uint64_t)1 << 31);
}

static inline uint64_t word_of(const uint8_t *v)
{
    uint64_t word;
    memcpy(&word, v, 8);
    return word;
}

static size_t run_of(const uint8_t *v, size_t n)
{
    uint64_t all = 0x0101010101010101u * v[0];
    size_t i = 0;
    while (i + 8 <= n && word_of(v + i) == all)
        i += 8;
    while (i < n && v[i] == v[0])
        i++;
    return i;
}

/* Eight levels, a byte each, side by side. */
static inline uint64_t pack_word(uint64_t v, unsigned width)
{
    unsigned shift = 8 - width;
    v = (v & 0x00ff00ff00ff00ffu) | (v & 0xff00ff00ff00ff00u) >> shift;
    v = (v & 0x0000ffff0000ffffu) | (v & 0xffff0000ffff0000u) >> 2 * shift;
    return (v & 0xffffffffu) | v >> 32 << 4 * width;
}

static inline void put_words(struct levels_out *o, const uint8_t *v, unsigned n)
{
    uint8_t *to = next_groups(o, n);
    for (unsigned i = 0; i < n; i++) {
        uint64_t bits = o->width == 1 ? (word_of(v + 8 * i) * 0x0102040810204080u) >> 56
                                      : pack_word(word_of(v + 8 * i), o->width);
        memcpy(to, &bits, 8);
        to += o->width;
    }
}

/* Groups of eight straight from the array, up to where a long run begins; returns how many values. */
static size_t groups8(struct levels_out *o, const uint8_t *v, size_t n)
{
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t same = 0x0101010101010101u * v[i], other = 0;
        for (size_t k = 0; k < 64; k += 8)
            other |= word_of(v + i + k) ^ same;
        if (!other)
            return i;
        put_words(o, v + i, 8);
    }
    for (; i + 8 <= n; i += 8)
        put_words(o, v + i, 1);
    return i;
}

static bool all_same(const uint32_t *v, size_t n)
{
    uint32_t other = 0;
    for (size_t i = 1; i < n; i++)
        other |= v[i] ^ v[0];
    return !other;
}

static size_t groups32(struct levels_out *o, const uint32_t *v, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        if (all_same(v + i, 8) && (o->least == 8 || (i + o->least <= n && all_same(v + i, o->least))))
            break;
        put_group(o, v + i);
    }
    return i;
}

void levels_array8(struct levels_out *o, const uint8_t *v, size_t n)
{
    while (n) {
        size_t used = run_of(v, n);
        levels_run(o, *v, used);
        if (used < n && o->run < o->least) {
            end_run(o);
            while (o->n && used < n)
                wait_for_more(o, v[used++]);
            used += groups8(o, v + used, n - used);
        }
        v += used;
        n -= used;
    }
}

void levels_array32(struct levels_out *o, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n;) {
        if (v[i] == o->value) {
            o->run++;
            i++;
            continue;
        }
        end_run(o);
        while (o->n && i < n)
            wait_for_more(o, v[i++]);
        i += groups32(o, v + i, n - i);
        if (i < n) {
            o->value = v[i++];
            o->run = 1;
        }
    }
}

void levels_end(struct levels_out *o)
{
    end_run(o);
    if (o->n) {
        memset(o->wait + o->n, 0, (8 - o->n) * sizeof *o->wait);
        put_group(o, o->wait);
    }
    end_groups(o);
    o->n = 0;
}

/* ---- decoding ---- */

struct hybrid {
    const uint8_t *p, *end;
    unsigned width;
};
struct run {
    size_t n;
    bool packed;
    uint32_t value;      /* where not packed */
    const uint8_t *bits; /* where packed; n values are there in full */
};

static bool next_run(struct hybrid *h, struct run *r)
{
    uint64_t head = 0;
    bool more = true;
    for (unsigned shift = 0; more && h->p < h->end && shift < 35; shift += 7) {
        head |= (uint64_t)(*h->p & 0x7f) << shift;
        more = *h->p++ >= 0x80;
    }
    if (more || head < 2)
        return false;
    size_t left = (size_t)(h->end - h->p), n = head >> 1;
    r->packed = head & 1;
    if (r->packed) { /* some writers cut the last group short */
        size_t bytes = n * h->width < left ? n * h->width : left;
        r->n = h->width && n * h->width > left ? left * 8 / h->width : n * 8;
        r->bits = h->p;
        h->p += bytes;
        return r->n > 0;
    }
    size_t bytes = (h->width + 7) / 8;
    if (bytes > left)
        return false;
    r->n = n;
    r->value = 0;
    for (size_t i = 0; i < bytes; i++)
        r->value |= (uint32_t)h->p[i] << (8 * i);
    h->p += bytes;
    return true;
}

/* The i-th value of packed bits; reads no byte behind the last bit. */
static uint32_t unpack(const uint8_t *bits, size_t i, unsigned width)
{
    size_t bit = i * width, last = (bit + width + 7) / 8;
    uint64_t v = 0;
    for (size_t at = bit / 8; at < last; at++)
        v |= (uint64_t)bits[at] << (8 * (at - bit / 8));
    return (uint32_t)(v >> (bit % 8) & ((1ull << width) - 1));
}

#define DEFINE_DECODE(NAME, TYPE)                                                                  \
    int NAME(const uint8_t *p, size_t size, unsigned width, TYPE max, TYPE *out, size_t n)         \
    {                                                                                              \
        struct hybrid h = {p, p + size, width};                                                    \
        struct run r;                                                                              \
        uint32_t worst = 0;                                                                        \
        if (width > 32)                                                                            \
            return -1;                                                                             \
        while (n) {                                                                                \
            if (!next_run(&h, &r))                                                                 \
                return -1;                                                                         \
            size_t take = r.n < n ? r.n : n;                                                       \
            for (size_t i = 0; i < take; i++) {                                                    \
                uint32_t v = r.packed ? unpack(r.bits, i, width) : r.value;                        \
                worst = v > worst ? v : worst;                                                     \
                out[i] = (TYPE)v;                                                                  \
            }                                                                                      \
            out += take;                                                                           \
            n -= take;                                                                             \
        }                                                                                          \
        return worst > max ? -1 : 0;                                                               \
    }

DEFINE_DECODE(levels_decode8, uint8_t)
DEFINE_DECODE(levels_decode32, uint32_t)
