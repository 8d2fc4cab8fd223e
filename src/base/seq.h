/* seq: a position in one shard of a stream.
 *
 * A Kinesis sequence number is a decimal of up to 56 digits (186 bits); a file's position is an
 * offset in decompressed bytes. Both are 256-bit unsigned integers here, most significant word
 * first, so that comparison is four word compares. Two values are reserved:
 *   SEQ_NONE  0           before every record (TRIM_HORIZON, offset 0)
 *   SEQ_END   all ones    the shard is finished (SHARD_END)                                  */
#ifndef INLET_BASE_SEQ_H
#define INLET_BASE_SEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct seq {
    uint64_t w[4]; /* w[0] most significant */
};

#define SEQ_TEXT_MAX 80 /* enough for the 78 digits and the NUL, and for "SHARD_END" */
#define SEQ_NONE ((struct seq){{0, 0, 0, 0}})
#define SEQ_END ((struct seq){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}})

static inline int seq_cmp(struct seq a, struct seq b)
{
    for (int i = 0; i < 4; i++)
        if (a.w[i] != b.w[i])
            return a.w[i] < b.w[i] ? -1 : 1;
    return 0;
}
static inline bool seq_le(struct seq a, struct seq b)
{
    return seq_cmp(a, b) <= 0;
}
static inline struct seq seq_max(struct seq a, struct seq b)
{
    return seq_cmp(a, b) >= 0 ? a : b;
}
static inline struct seq seq_min(struct seq a, struct seq b)
{
    return seq_cmp(a, b) <= 0 ? a : b;
}
static inline struct seq seq_of(uint64_t v)
{
    return (struct seq){{0, 0, 0, v}};
}
static inline uint64_t seq_low(struct seq s)
{
    return s.w[3];
}

/* Decimal digits, or TRIM_HORIZON, or SHARD_END. Anything else, or more than 76 digits, is
 * ERR_INVALID, and *out is left alone. */
int seq_parse(struct seq *out, const char *p, size_t n, struct err *e);
/* The same, cheaper where numbers come one after the other and begin alike, as those of a shard do. */
struct seq_near { /* zero to start */
    char head[SEQ_TEXT_MAX]; /* how the last one began, all but its last 32 digits */
    size_t n;                /* digits of it, with these; 0: none yet */
    struct seq floor;        /* the head and 32 zeros */
};
int seq_parse_near(struct seq_near *last, struct seq *out, const char *p, size_t n, struct err *e);
/* Writes the same text back (SEQ_NONE as TRIM_HORIZON) and returns its length. */
size_t seq_format(struct seq s, char out[SEQ_TEXT_MAX]);

#endif
