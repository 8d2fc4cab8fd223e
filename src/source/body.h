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
    struct str records;       /* the text inside [ ] */
    int64_t millis_behind;    /* -1 where absent */
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
struct body_records { /* zero to start; each is the heap's */
    struct body_record *each;
    size_t n, cap;
    uint8_t *out; /* the caller's, may be NULL; has room for the text and BODY_PAD bytes */
    size_t n_out;
};
#define BODY_PAD 64
/* The same as body_open, with the records taken apart on the way (b->records stays empty): for them the text
 * is passed over once, not twice. With all->out their data is decoded to there on the way, and all that they are views of
 * is there, one record after the other; p[n + BODY_PAD] can be read then. False also beyond BODY_RECORDS_MAX. */
bool body_open_records(struct body *b, const char *p, size_t n, struct body_records *all);

/* The record at *at (an offset into b->records, 0 to start) and moves on. 1 with a record, 0 at the
 * end, -1 where the text is broken. */
int body_next(const struct body *b, size_t *at, struct body_record *out);

/* The escapes of a JSON string (without its quotes) undone, appended to `out`; false where broken.
 * Characters beyond ASCII come as UTF-8. */
bool body_unescape(struct str s, struct buf *out);

#endif
