/* lambda: the small-volume form: the same program as an AWS Lambda custom runtime on the stream's event
 * source mapping.
 *
 *   GET  http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next          an event, when there is one
 *   POST .../runtime/invocation/<id>/response  {"batchItemFailures": []}            all of it is in the lake
 *   POST .../runtime/invocation/<id>/error     {"errorMessage", "errorType"}        not all of it
 *
 * An invocation's batch is one shard's next records, in order (parallelization factor 1). Its rows and its
 * positions are committed before the answer, one commit a table. Between invocations the process is frozen with
 * nothing under way; the lake and the pipeline stay open for the next (a warm container).
 *
 * Why it is exactly-once, without leases. A lease only says who should read; what keeps a zombie out is the
 * fence: a commit is valid only if the table's position of the shard is the one we read before the batch
 * was routed, checked in the same compare-and-swap that moves it (pipeline/positions.h).
 *   - A batch that comes again (the answer was lost, the function timed out, another table failed), here or in
 *     another container, whole or in parts: what a table already holds of it is skipped by its position.
 *   - A container that timed out in mid-commit: Lambda ends it; a request still on its way either lands
 *     before its successor's commit, which then finds another position than it read, drops its rows and reads
 *     again, or after it, where the compare-and-swap refuses it.
 *   - Two containers that take turns on a shard: the one whose expectations are old is fenced by the same check,
 *     restarts from the tables' positions and takes the batch again.
 *   - Records the lake has not taken are never passed over: the answer is an error, and Lambda sends the
 *     batch again. This needs what `inlet doctor` checks of the mapping: parallelization factor 1,
 *     unlimited retries, no maximum record age, start at TRIM_HORIZON or AT_TIMESTAMP.
 * The identity of the stream is the workers' own (ARN and creation time, one DescribeStreamSummary at a cold
 * start), so a stream may change from Lambda to `inlet run` and back and go on where it was.
 *
 * The hot dedup window is what a warm container remembers; it is not rebuilt from the lake. A warm container takes
 * a stream that is deleted and made anew under its name for the old one. */
#ifndef INLET_LAMBDA_LAMBDA_H
#define INLET_LAMBDA_LAMBDA_H

#include <stdbool.h>

#include "base/err.h"
#include "pipeline/pipeline.h"

struct lambda_options {
    const char *api;       /* AWS_LAMBDA_RUNTIME_API: "host:port" */
    bool partial_failures; /* answer with the first record that failed, instead of an error: right only
                              where the mapping has ReportBatchItemFailures, for without it Lambda
                              takes that answer for success */
    bool emf;              /* embedded-metric lines on stdout after each invocation */
    uint32_t metrics_tables;
};
/* Answers invocations until the runtime API is gone: always -1. `p` as config made it; stream, feed and
 * intervals are set here. */
int lambda_run(const struct lambda_options *o, const struct pipeline_config *p, struct err *e);

#endif
