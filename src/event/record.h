/* record: one user record, as a source's cursor gives it and a shredder takes it. */
#ifndef INLET_EVENT_RECORD_H
#define INLET_EVENT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/seq.h"

struct record {
    const uint8_t *payload; /* 64 readable bytes past n */
    size_t n;
    struct seq seq;         /* of the stream's record (an aggregate's for all its parts);
                               files: offset just past this line's newline */
    const char *seq_text;   /* Kinesis: as sent, "seq" or "seq/sub"; NULL for files: _sequence is null */
    size_t seq_text_n;
    int64_t arrived_us;
    uint32_t shard;
    int32_t sub;            /* sub-sequence inside an aggregate, or a line of joined objects; -1 if none. Of no
                               account to a shredder without seq_text */
    const char *defect;     /* set when the record itself cannot be had (bad base64, a line over the
                               limit): a dead letter at once, with the bytes there are; else NULL */
};

#endif
