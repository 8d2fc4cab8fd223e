/* avro: writing Avro object container files (codec null). Reading: avro_read.h. */
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
/* "Obj" 1, the metadata map (avro.schema, avro.codec, and the pairs: key, value, ..., NULL), sync.
 */
void avro_header(struct buf *out, const char *schema, const char *const *pairs,
                 const uint8_t sync[16]);
void avro_block(struct buf *out, int64_t records, const struct buf *body, const uint8_t sync[16]);

#endif
