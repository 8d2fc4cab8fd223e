/* alike: the matches of a page of PLAIN values, for compression: what each has in common with the one before it: the beginnings and
 * ends of ids, times, addresses, the upper bytes of numbers. zstd finds that by looking for it at each byte; here
 * it is where the values' bounds are. Inside this room only. */
#ifndef INLET_PARQUET_ALIKE_H
#define INLET_PARQUET_ALIKE_H

#include <stdbool.h>

#include "base/buf.h"
#include "codec/compress.h"

#define ALIKE_PAD 32 /* bytes that must be readable past a page's end */

/* Finds the matches of `page`, for compress_zstd_matched. Its values begin at `head` and are texts with their lengths
 * before them, or of 8 bytes. */
enum alike {
    ALIKE_NOT,  /* there are none worth it */
    ALIKE_SOME, /* zstd's own may be better, or worse */
    ALIKE_SURE  /* of nearly all values so much is the same that it cannot find much more */
};
enum alike alike_texts(struct compress_matches *m, const struct buf *page, size_t head);
enum alike alike_words(struct compress_matches *m, const struct buf *page, size_t head);

#endif
