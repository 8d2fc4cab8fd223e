/* lambda_int: what the files of this room share. */
#ifndef INLET_LAMBDA_LAMBDA_INT_H
#define INLET_LAMBDA_LAMBDA_INT_H

#include "base/buf.h"
#include "base/seq.h"
#include "lambda/lambda.h"

/* ---- event.c: an invocation's event */

struct lambda_record {
    struct seq seq;
    size_t offset; /* of its object in `body` */
};
struct lambda_batch {
    char *stream_arn, *shard; /* "shardId-000000000000" */
    struct buf body; /* the records' objects as in a GetRecords answer, without what is around them */
    struct lambda_record *records;
    size_t n;
    int64_t arrived_us; /* of the newest */
};
/* p has 64 readable bytes after n. ERR_INVALID where it is no Kinesis event, or its records are of
 * several shards. An event without records is fine (n == 0). */
int lambda_batch_parse(struct lambda_batch *b, const char *p, size_t n, struct err *e);
void lambda_batch_fini(struct lambda_batch *b);
/* The records after `after` as a GetRecords answer, SOURCE_PAD zero bytes after it. */
void lambda_batch_body(const struct lambda_batch *b, struct seq after, struct buf *out);

/* ---- feed.c: the pipeline, kept running over invocations, fed one batch at a time */

struct feed;
struct feed *feed_open(const char *identity, const struct pipeline_config *p);
void feed_close(struct feed *f); /* ends the pipeline; what is uncommitted is dropped */
/* Blocks until all of it is committed. -1: not all is; *committed is how far the shard is. */
int feed_take(struct feed *f, const struct lambda_batch *b, struct seq *committed, struct err *e);

#endif
