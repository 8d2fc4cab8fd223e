/* compress: whole blocks through zstd, gzip and snappy: the one place that knows these libraries.
 *
 * Compressing is zstd only, with a context that its owner keeps (not thread-safe). Decompressing
 * knows the size beforehand, as Parquet's and Avro's blocks do, and never writes past it. */
#ifndef INLET_CODEC_COMPRESS_H
#define INLET_CODEC_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct compress_zstd; /* a reused context */

struct compress_zstd *compress_zstd_new(int level);
void compress_zstd_free(struct compress_zstd *z);
/* Appends one frame to `out`. */
int compress_zstd_put(struct compress_zstd *z, struct buf *out, const void *p, size_t n, struct err *e);

/* Matches that the caller finds, because it knows where they are: what of a block repeats bytes before it. Zero to
 * start; the list is used again. */
#define COMPRESS_MATCH_MIN 3u
#define COMPRESS_MATCH_MAX ((size_t)32 << 10)
#define COMPRESS_BLOCK_MAX ((size_t)128 << 10) /* zstd's; a match of no length ends one */
struct compress_match {
    uint32_t back, literals, match, unused; /* as zstd has them */
};
struct compress_matches {
    struct compress_match *each;
    size_t n, cap;
    size_t at, block; /* bytes that they make up: all; of the block under way */
};
void compress_matches_fini(struct compress_matches *m);
void compress_matches_begin(struct compress_matches *m);
/* Room for one match, after all of its literals that no block can have beside it. Returns those left. */
size_t compress_matches_room(struct compress_matches *m, size_t literals, size_t match);
static inline void compress_matches_end_block(struct compress_matches *m, size_t literals)
{
    m->each[m->n++] = (struct compress_match){.literals = (uint32_t)literals};
    m->at += literals;
    m->block = 0;
}
/* What comes next: so many bytes that match nothing, then `match` bytes (from COMPRESS_MATCH_MIN to ..._MAX) equal to
 * those `back` bytes before them. Nothing but the copy made where there is no room leaves it: where it is inlined, *m
 * may stay in registers. */
static inline void compress_matches_add(struct compress_matches *m, size_t literals, size_t match, size_t back)
{
    if (__builtin_expect((m->n + 2 > m->cap) | (m->block + literals + match > COMPRESS_BLOCK_MAX), 0)) {
        struct compress_matches grown = *m;
        literals = compress_matches_room(&grown, literals, match);
        *m = grown;
    }
    bool first = m->n == 0;
    m->each[m->n++] = (struct compress_match){(uint32_t)back, (uint32_t)literals, (uint32_t)match, 0};
    m->block += literals + match;
    m->at += literals + match;
    if (__builtin_expect(first, 0)) /* it is like no other: without it, the rest may be all alike, and then costs no bits */
        compress_matches_end_block(m, 0);
}
/* The same again and again. */
void compress_matches_repeat(struct compress_matches *m, size_t literals, size_t match, size_t back, size_t times);
/* Whether the library takes matches. */
bool compress_zstd_matches(const struct compress_zstd *z);
/* Appends one frame of p, whose matches they are (it adds to them what is left). */
int compress_zstd_matched(struct compress_zstd *z, struct buf *out, const void *p, size_t n,
                          struct compress_matches *m, struct err *e);
/* The same, but what no match covers stays as it is: where it would get no smaller. */
int compress_zstd_bare(struct compress_zstd *z, struct buf *out, const void *p, size_t n,
                       struct compress_matches *m, struct err *e);

/* Appends one frame of p as it is, for what would get no smaller; where the library takes no matches, it tries. */
int compress_zstd_stored(struct compress_zstd *z, struct buf *out, const void *p, size_t n,
                         struct compress_matches *scratch, struct err *e);

/* The numbers are Parquet's CompressionCodec. */
enum compress_codec {
    COMPRESS_NONE = 0,
    COMPRESS_SNAPPY = 1,
    COMPRESS_GZIP = 2,
    COMPRESS_ZSTD = 6
};

const char *compress_codec_name(int codec); /* "codec?" where it is not one of Parquet's */
/* Fills exactly out_n bytes, or fails (ERR_INVALID). */
int compress_undo(int codec, const uint8_t *p, size_t n, uint8_t *out, size_t out_n, struct err *e);

#endif
