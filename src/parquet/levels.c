/* See levels.h. Runs of eight or more equal values become RLE runs; what lies between is packed in
 * groups of eight, so that only the last group of all needs filling. */
#include "parquet/levels.h"

#include <string.h>

#include "base/err.h"
#include "codec/thrift.h"

#define RUN_MIN 8

unsigned levels_width(uint32_t max)
{
    return max ? 32u - (unsigned)__builtin_clz(max) : 0;
}

/* ---- encoding ---- */

void levels_begin(struct levels_out *o, struct buf *out, unsigned width)
{
    o->out = out;
    o->width = width;
    o->value = 0;
    o->run = 0;
    o->n = 0;
}

/* Packs the n values that wait; the last group is filled with zeros. */
static void pack(struct levels_out *o)
{
    uint32_t groups = (o->n + 7) / 8;
    uint64_t bits = 0;
    unsigned have = 0, width = o->width;
    if (!groups)
        return;
    memset(o->wait + o->n, 0, (groups * 8 - o->n) * sizeof *o->wait);
    buf_putc(o->out, (uint8_t)(groups << 1 | 1)); /* at most 63 groups: one byte */
    uint8_t *to = buf_reserve(o->out, (size_t)groups * width + 8);
    for (uint32_t i = 0; i < groups * 8; i++) {
        bits |= (uint64_t)o->wait[i] << have;
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
    o->out->n += (size_t)groups * width;
    o->n = 0;
}

static inline void wait_for_more(struct levels_out *o, uint32_t v)
{
    o->wait[o->n++] = v;
    if (o->n == LEVELS_WAIT)
        pack(o);
}

static void end_run(struct levels_out *o)
{
    uint32_t fill = (8 - o->n % 8) % 8;
    if (o->run < fill + RUN_MIN) {
        for (; o->run; o->run--)
            wait_for_more(o, o->value);
        return;
    }
    for (uint32_t i = 0; i < fill; i++)
        o->wait[o->n++] = o->value; /* never past LEVELS_WAIT, a multiple of eight */
    pack(o);
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

static size_t run_of(const uint8_t *v, size_t n)
{
    uint64_t all = 0x0101010101010101u * v[0], word;
    size_t i = 1;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, v + i, 8);
        if (word != all)
            break;
    }
    while (i < n && v[i] == v[0])
        i++;
    return i;
}

void levels_array8(struct levels_out *o, const uint8_t *v, size_t n)
{
    while (n) {
        size_t run = run_of(v, n);
        levels_run(o, *v, run);
        v += run;
        n -= run;
    }
}

void levels_array32(struct levels_out *o, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i] == o->value) {
            o->run++;
            continue;
        }
        if (o->run == 1)
            wait_for_more(o, o->value);
        else
            end_run(o);
        o->value = v[i];
        o->run = 1;
    }
}

void levels_end(struct levels_out *o)
{
    end_run(o);
    pack(o);
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
