/* kpl: records that the Kinesis Producer Library packed into one:
 *
 *   F3 89 9A C2 | protobuf AggregatedRecord | MD5 of the protobuf (16 bytes)
 *
 * Whatever is not exactly that is a plain record. */
#ifndef INLET_SOURCE_KPL_H
#define INLET_SOURCE_KPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct kpl {
    const uint8_t *p, *end;
    int32_t next_sub;
};

/* True if these bytes are an aggregate, wholly well-formed; then kpl_next gives its parts, which
 * point into the bytes. */
bool kpl_open(struct kpl *k, const uint8_t *p, size_t n);
bool kpl_next(struct kpl *k, const uint8_t **data, size_t *n, int32_t *sub);

/* The other way: parts collected into one aggregate. Zero-initialise; kpl_writer_fini frees. */
struct kpl_writer {
    struct buf records, keys;
    char first_key[257];
    uint32_t n_keys, n_records;
    uint32_t last_key_index;
    char last_key[257];
};
void kpl_writer_add(struct kpl_writer *w, const char *partition_key, const uint8_t *data, size_t n);
/* Size of the aggregate so far. */
size_t kpl_writer_size(const struct kpl_writer *w);
/* Appends the aggregate to `out` and starts anew. */
void kpl_writer_finish(struct kpl_writer *w, struct buf *out);
void kpl_writer_fini(struct kpl_writer *w);

#endif
