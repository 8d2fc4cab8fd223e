/* packed: a GetRecords answer in CBOR, as AWS's own SDKs ask for it: records come as the bytes they are, not as base64 in
 * JSON. It is read where it lies, as far as it has come.
 *
 *   {"Records": [{"SequenceNumber": "4959...", "ApproximateArrivalTimestamp": 1(1795489311452), "Data": h'7b22...',
 *     "PartitionKey": "..."}, ...], "NextShardIterator": "...", "MillisBehindLatest": 0, "ChildShards": [...]}
 *
 * Times are of milliseconds. There is no public contract: what is not understood here is asked for as JSON. */
#ifndef INLET_SOURCE_PACKED_H
#define INLET_SOURCE_PACKED_H

#include <jansson.h>

#include "source/body.h"

struct packed { /* zero to start */
    size_t at;  /* what stands before it has been read */
    enum { PACKED_START, PACKED_MEMBERS, PACKED_RECORDS, PACKED_END } state;
    bool members_open, records_open, have_records;
    uint64_t members, records; /* to come; where open: until a break */
    struct body body;
};
/* Does an answer that begins so stand in CBOR? */
static inline bool packed_begins(uint8_t first)
{
    return first >= 0xa0 && first <= 0xbf; /* a map; no text in JSON begins so */
}
/* n bytes of it are at p, where they stay. New records are added to `all`, views of p; its `out` is not touched. */
void packed_more(struct packed *s, const uint8_t *p, size_t n, struct body_records *all);
/* Is it whole? *b views p. */
bool packed_end(const struct packed *s, size_t n, struct body *b);

/* {"Limit":limit,"ShardIterator":iterator}, appended. */
void packed_request(struct buf *out, uint32_t limit, struct str iterator);

/* Any item as JSON (bytes, and what JSON has no word for, as null); NULL where it is broken. */
json_t *packed_json(const void *p, size_t n);

#endif
