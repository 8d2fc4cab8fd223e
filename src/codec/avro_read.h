/* avro_read: Avro object container files of any writer, record by record (codecs null and deflate).
 *
 * A record is decoded by the schema the file carries into a tree of values; what a field means is
 * told by its `field-id`, as Iceberg asks, not by its name or place. Values live until the next
 * avro_read_next. Bytes may be anything: every length and depth is checked. Threads: one per
 * reader. */
#ifndef INLET_CODEC_AVRO_READ_H
#define INLET_CODEC_AVRO_READ_H

#include "base/buf.h"
#include "base/err.h"

enum avro_kind {
    AVRO_NULL,
    AVRO_BOOLEAN,
    AVRO_INT,
    AVRO_LONG,
    AVRO_FLOAT,
    AVRO_DOUBLE,
    AVRO_BYTES,
    AVRO_STRING,
    AVRO_FIXED,
    AVRO_ENUM,
    AVRO_RECORD,
    AVRO_ARRAY,
    AVRO_MAP,   /* items alternate: key, value */
    AVRO_UNION, /* in schemas only: a value is of the branch's kind */
};

struct avro_value {
    enum avro_kind kind;
    int32_t field_id; /* of a record's field; -1 if it has none */
    int64_t number;   /* boolean, int, long, enum */
    double real;
    struct str bytes; /* bytes, string, fixed */
    struct str raw;   /* the value as it is encoded, without a union's branch number */
    struct avro_value *items;
    uint32_t n_items;
};

struct avro_reader;

/* `p` stays the caller's and has to outlive the reader. */
struct avro_reader *avro_read_open(const void *p, size_t n, struct err *e);
void avro_read_close(struct avro_reader *r);
/* A value of the file's metadata map ("avro.schema", "partition-spec-id"); .p is NULL if absent. */
struct str avro_read_meta(const struct avro_reader *r, const char *key);
/* 1 and a record, 0 at the end, -1 on ERR_INVALID. */
int avro_read_next(struct avro_reader *r, struct avro_value *out, struct err *e);

/* The field of a record with this id; NULL if it has none or is null. */
const struct avro_value *avro_field(const struct avro_value *record, int32_t field_id);
int64_t avro_number(const struct avro_value *record, int32_t field_id, int64_t otherwise);
struct str avro_bytes_of(const struct avro_value *record, int32_t field_id);

#endif
