/* kinesis_put: records into a stream: PutRecords from several threads; records that the answer refuses are
 * sent again. For `inlet gen`. */
#ifndef INLET_SOURCE_KINESIS_PUT_H
#define INLET_SOURCE_KINESIS_PUT_H

#include <stddef.h>

#include "base/err.h"

struct kinesis_put;
struct kinesis_put *kinesis_put_open(const char *stream, struct err *e);
/* Copies the record; blocks while enough is under way. -1 once a call has failed for good. */
int kinesis_put_add(struct kinesis_put *p, const char *key, const void *data, size_t n, struct err *e);
/* Sends the rest, waits, frees. 0 if every record was taken. */
int kinesis_put_close(struct kinesis_put *p, struct err *e);

#endif
