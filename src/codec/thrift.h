/* thrift: writing Thrift's compact protocol into a buf: what Parquet's headers and footer are in. */
#ifndef INLET_CODEC_THRIFT_H
#define INLET_CODEC_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define THRIFT_DEPTH_MAX 16

struct thrift { /* zero but for `out` to start; the outermost struct is open from the start */
    struct buf *out;
    int16_t last[THRIFT_DEPTH_MAX];
    int depth;
};
enum thrift_type { THRIFT_TRUE = 1, THRIFT_FALSE, THRIFT_I16 = 4, THRIFT_I32, THRIFT_I64, THRIFT_BINARY = 8, THRIFT_LIST, THRIFT_STRUCT = 12 };

void thrift_varint(struct buf *out, uint64_t v);
void thrift_i16(struct thrift *t, int16_t id, int16_t v);
void thrift_i32(struct thrift *t, int16_t id, int32_t v);
void thrift_i64(struct thrift *t, int16_t id, int64_t v);
void thrift_bool(struct thrift *t, int16_t id, bool v);
void thrift_bytes(struct thrift *t, int16_t id, const void *p, size_t n);
void thrift_open(struct thrift *t, int16_t id);   /* a struct field */
void thrift_list(struct thrift *t, int16_t id, enum thrift_type type, size_t n);
void thrift_item_open(struct thrift *t);          /* a struct in a list */
void thrift_item_i32(struct thrift *t, int32_t v);
void thrift_item_bytes(struct thrift *t, const void *p, size_t n);
void thrift_close(struct thrift *t);              /* the stop byte of the innermost struct */

#endif
