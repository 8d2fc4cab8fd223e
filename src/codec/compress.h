/* compress: whole blocks through zstd, gzip and snappy: the one place that knows these libraries.
 *
 * Compressing is zstd only, with a context that its owner keeps (not thread-safe). Decompressing
 * knows the size beforehand, as Parquet's and Avro's blocks do, and never writes past it. */
#ifndef INLET_CODEC_COMPRESS_H
#define INLET_CODEC_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct compress_zstd; /* a reused context */

struct compress_zstd *compress_zstd_new(int level);
void compress_zstd_free(struct compress_zstd *z);
/* Appends one frame to `out`. With a `step` (4, 8), fewer matches are looked for: ids and the like
 * take a third to a half less time and are about as small; other texts get larger. 0: as the level
 * has it. Level 1 only, else it changes nothing. */
int compress_zstd_put(struct compress_zstd *z, struct buf *out, const void *p, size_t n,
                      unsigned step, struct err *e);

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
