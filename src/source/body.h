/* body: a GetRecords answer, scanned in place without a tree: its Records may be many megabytes of
 * base64, of which only the ends of strings matter here.
 *
 *   {"MillisBehindLatest":0,"NextShardIterator":"...","Records":[{"ApproximateArrivalTimestamp":1.7E9,
 *     "Data":"<base64>","PartitionKey":"...","SequenceNumber":"4959..."}, ...],"ChildShards":[...]} */
#ifndef INLET_SOURCE_BODY_H
#define INLET_SOURCE_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct body {
    struct str next_iterator; /* still escaped; n == 0 where null or absent: the shard has ended */
    struct str child_shards;  /* the array's text, n == 0 where absent */
    bool packed;              /* both stand in CBOR: see packed.h */
    struct str records;       /* the text inside [ ] */
    int64_t millis_behind;    /* -1 where absent */
    bool twice;               /* Records was given again; the last one counts */
};
/* False where it is not a whole JSON object with an array Records. */
bool body_open(struct body *b, const char *p, size_t n);

struct body_record {
    struct str data;     /* base64, still escaped; or, `decoded`, what it stands for */
    struct str sequence;
    int64_t arrived_us;  /* 0 where absent */
    bool decoded;
};
#define BODY_RECORDS_MAX 65536u /* Kinesis gives 10,000; more is none of its answers */
struct body_records {
    struct body_record *each; /* heap */
    size_t n, cap;
    uint8_t *out; /* the caller's: what the records are views of, one after the other, as long as the text at most, */
    size_t n_out; /* ... and BODY_PAD bytes */
};
#define BODY_PAD 64
/* Pieces of an answer: what stands before its first record; its length, 0 where it is not whole. */
size_t body_before(const char *p, size_t n);
/* The record at p + *at, with the comma before it, is added, its data decoded, and *at moves on: 1; or the array's end: 0; or
 * -1 where it is not whole (or broken). BODY_PAD bytes after p + n can be read. */
int body_element(const char *p, size_t n, size_t *at, struct body_records *all);

/* The record at *at (an offset into b->records, 0 to start) and moves on. 1 with a record, 0 at the
 * end, -1 where the text is broken. */
int body_next(const struct body *b, size_t *at, struct body_record *out);

/* The escapes of a JSON string (without its quotes) undone, appended to `out`; false where broken.
 * Characters beyond ASCII come as UTF-8. */
bool body_unescape(struct str s, struct buf *out);

#endif
