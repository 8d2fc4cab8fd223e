/* See levels.h. Runs of eight or more equal values become RLE runs; what lies between is packed in groups
 * of eight, so that only the last group needs filling. */
#include "parquet/levels.h"

#include "codec/thrift.h"

#define RUN_MIN 8
#define GROUPS_MAX 63

unsigned levels_width(uint32_t max)
{
    return max ? 32u - (unsigned)__builtin_clz(max) : 0;
}

#define DEFINE(NAME, TYPE)                                                                         \
    static void NAME##_pack(struct buf *out, const TYPE *v, size_t n, unsigned width)              \
    {                                                                                              \
        while (n) {                                                                                \
            size_t groups = (n + 7) / 8 < GROUPS_MAX ? (n + 7) / 8 : GROUPS_MAX;                   \
            size_t take = groups * 8 < n ? groups * 8 : n;                                         \
            uint64_t bits = 0;                                                                     \
            unsigned have = 0;                                                                     \
            buf_putc(out, (uint8_t)(groups << 1 | 1));                                             \
            uint8_t *to = buf_reserve(out, groups * width + 8);                                    \
            for (size_t i = 0; i < groups * 8; i++) {                                              \
                bits |= (uint64_t)(i < take ? v[i] : 0) << have;                                   \
                for (have += width; have >= 8; have -= 8, bits >>= 8)                              \
                    *to++ = (uint8_t)bits;                                                         \
            }                                                                                      \
            out->n += groups * width;                                                              \
            v += take;                                                                             \
            n -= take;                                                                             \
        }                                                                                          \
    }                                                                                              \
    void NAME(struct buf *out, const TYPE *v, size_t n, unsigned width)                            \
    {                                                                                              \
        size_t from = 0, i = 0;                                                                    \
        while (i < n) {                                                                            \
            size_t run = 1;                                                                        \
            while (i + run < n && v[i + run] == v[i])                                              \
                run++;                                                                             \
            size_t fill = (8 - (i - from) % 8) % 8; /* to end the packed group before */           \
            if (run < fill + RUN_MIN) {                                                            \
                i += run;                                                                          \
                continue;                                                                          \
            }                                                                                      \
            NAME##_pack(out, v + from, i + fill - from, width);                                    \
            thrift_varint(out, (uint64_t)(run - fill) << 1);                                       \
            for (unsigned b = 0; b < width; b += 8)                                                \
                buf_putc(out, (uint8_t)((uint32_t)v[i] >> b));                                     \
            i += run;                                                                              \
            from = i;                                                                              \
        }                                                                                          \
        NAME##_pack(out, v + from, n - from, width);                                               \
    }

DEFINE(levels_encode8, uint8_t)
DEFINE(levels_encode32, uint32_t)

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
