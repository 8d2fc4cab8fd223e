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
