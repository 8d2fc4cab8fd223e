/* kinesis: a Kinesis data stream as a source, by polling (GetRecords); and single calls of its API. */
#ifndef INLET_SOURCE_KINESIS_H
#define INLET_SOURCE_KINESIS_H

#include <signal.h>

#include "source/source.h"

/* What is left NULL or 0 comes from the environment and the shared profile, as the SDKs do it. */
#define KINESIS_PATIENCE_MS 20000
struct kinesis_options {
    const char *stream; /* its name */
    const char *region, *endpoint, *profile;
    uint32_t reads_per_second; /* of one shard; 0: 5, which is what AWS allows */
    int64_t patience_ms; /* of kinesis_api_insist; 0: KINESIS_PATIENCE_MS */
    const volatile sig_atomic_t *stop; /* set: kinesis_api_insist waits no more; NULL: never */
};

/* One call of the API: POST with a JSON body; answers the body (appended, SOURCE_PAD bytes after it).
 * Throttled, 5xx or no connection: ERR_RETRY. ExpiredIterator: ERR_CONFLICT. ERR_NOTFOUND: no such
 * stream. One thread at a time for a handle. */
struct kinesis_api;

/* "<stream ARN>@<creation in ms>" (heap), what identity() says: one DescribeStreamSummary. */
char *kinesis_identity_of_arn(const char *arn, struct err *e);

struct kinesis_api *kinesis_api_open(struct err *e);
struct kinesis_api *kinesis_api_open_with(const struct kinesis_options *o, const struct clock *clock,
                                          struct err *e);
void kinesis_api_close(struct kinesis_api *a);
int kinesis_api_call(struct kinesis_api *a, const char *action, const char *body, size_t body_n,
                     struct buf *answer, struct err *e);
void kinesis_api_patience(struct kinesis_api *a, int64_t ms); /* from now on */
/* The same, done again with growing pauses while ERR_RETRY and there is patience; a warning says so.
 * ERR_STOPPED where it was told to stop meanwhile. */
int kinesis_api_insist(struct kinesis_api *a, const char *action, const char *body, size_t body_n,
                       struct buf *answer, struct err *e);

#endif
