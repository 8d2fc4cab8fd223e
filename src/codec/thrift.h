/* thrift: Thrift's compact protocol, written into a buf and read from bytes that may be anything:
 * what Parquet's headers and footer are in. */
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
enum thrift_type {
    THRIFT_TRUE = 1,
    THRIFT_FALSE,
    THRIFT_BYTE,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BINARY,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT,
};

void thrift_varint(struct buf *out, uint64_t v);
void thrift_i16(struct thrift *t, int16_t id, int16_t v);
void thrift_i32(struct thrift *t, int16_t id, int32_t v);
void thrift_i64(struct thrift *t, int16_t id, int64_t v);
void thrift_bool(struct thrift *t, int16_t id, bool v);
void thrift_bytes(struct thrift *t, int16_t id, const void *p, size_t n);
void thrift_open(struct thrift *t, int16_t id); /* a struct field */
void thrift_list(struct thrift *t, int16_t id, enum thrift_type type, size_t n);
void thrift_item_open(struct thrift *t); /* a struct in a list */
void thrift_item_i32(struct thrift *t, int32_t v);
void thrift_item_i64(struct thrift *t, int64_t v);
void thrift_item_bool(struct thrift *t, bool v);
void thrift_item_bytes(struct thrift *t, const void *p, size_t n);
void thrift_close(struct thrift *t); /* the stop byte of the innermost struct */

/* ---- reading. The first defect sets `bad`, after which every call returns nothing: zero, an empty
 * view, false. Views borrow from the bytes given. */
struct thrift_in {
    const uint8_t *p;
    size_t n, at;
    bool bad;
};
struct thrift_field { /* zero before a struct's first field */
    int16_t id;
    uint8_t type; /* enum thrift_type; a boolean field's value is its type */
};

/* Steps to the next field of a struct; false after its end, or where the input is broken. */
bool thrift_next(struct thrift_in *in, struct thrift_field *f);
int64_t thrift_get_int(struct thrift_in *in, const struct thrift_field *f); /* bool to i64 */
struct str thrift_get_bytes(struct thrift_in *in, const struct thrift_field *f);
/* The number of elements of `type`, never more than there are bytes left. A field of another type
 * is skipped and has none. */
uint32_t thrift_get_list(struct thrift_in *in, const struct thrift_field *f, enum thrift_type type);
int64_t thrift_item_get_int(struct thrift_in *in);
struct str thrift_item_get_bytes(struct thrift_in *in);
void thrift_skip(struct thrift_in *in, const struct thrift_field *f);

#endif
