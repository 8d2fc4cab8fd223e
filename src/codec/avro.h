/* avro: writing Avro object container files (codec null), and taking one's blocks over as they are. */
#ifndef INLET_CODEC_AVRO_H
#define INLET_CODEC_AVRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

void avro_long(struct buf *out, int64_t v);
void avro_bytes(struct buf *out, const void *p, size_t n);
static inline void avro_text(struct buf *out, const char *s)
{
    avro_bytes(out, s, strlen(s));
}
/* "Obj" 1, the metadata map (avro.schema, avro.codec, and the pairs: key, value, ..., NULL), sync. */
void avro_header(struct buf *out, const char *schema, const char *const *pairs, const uint8_t sync[16]);
void avro_block(struct buf *out, int64_t records, const struct buf *body, const uint8_t sync[16]);
/* Reading: values one after the other; `bad` is set, and stays, once something does not fit. */
struct avro_in {
    const uint8_t *p, *end;
    bool bad;
};
int64_t avro_get_long(struct avro_in *in);
struct str avro_get_bytes(struct avro_in *in);
/* Past the header of a file of codec null (and of this schema text, where one is given). */
bool avro_get_header(struct avro_in *in, const char *schema);
/* The next block: its records' bytes; false at the end or where bad. */
bool avro_get_block(struct avro_in *in, struct avro_in *body, int64_t *records);
/* Appends every record of another file, which must have the same schema text and codec null, and counts
 * them. ERR_INVALID otherwise. */
int avro_copy_blocks(struct buf *out, const uint8_t *p, size_t n, const char *schema,
                     const uint8_t sync[16], int64_t *records, struct err *e);

#endif
