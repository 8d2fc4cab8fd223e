/* What the files of the Kinesis source share. */
#ifndef INLET_SOURCE_KINESIS_INT_H
#define INLET_SOURCE_KINESIS_INT_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "aws/client.h"
#include "net/http.h"
#include "source/kinesis.h"

#define KINESIS_SHARDS_MAX 10000
#define KINESIS_JSON "application/x-amz-json-1.1"
#define KINESIS_CBOR "application/x-amz-cbor-1.1"

struct reader;
struct kinesis {
    struct source source; /* first: a struct source * is this */
    struct source_env env;
    char *stream, *identity;
    int64_t read_gap_ms; /* between reads of one shard */
    pthread_mutex_t control_lock;
    struct kinesis_api *control; /* for the blocking calls of any thread */
    struct http *http; /* the I/O thread's, but for http_wake */
    struct source_spares *records; /* of RECORDS_ROOM bytes */
    enum { CBOR_UNTRIED, CBOR_SPOKEN, CBOR_NOT } cbor; /* the I/O thread's: in what records are asked for */
    pthread_t thread;
    bool running;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards the list `readers`; only the I/O thread unlinks */
    struct reader *readers;
};

const struct aws_client *kinesis_api_client(const struct kinesis_api *a);
/* What a failed answer means: fills e (kinds as kinesis_api_call says); returns -1. 0 if status 200. */
int kinesis_judge(const struct aws_client *c, const struct aws_request *q, const char *action,
                  const struct http_response *r,
                  struct err *e);
/* Adds the shards of a ListShards answer's array (or ChildShards'), those with parent `only` if it is
 * not NULL. */
void kinesis_shards_add(struct source_shard **list, size_t *n, const json_t *array, const char *only);
bool kinesis_name_ok(const char *s);

/* kinesis_reader.c */
#define ANSWER_BYTES ((size_t)3 << 19) /* 1.5 MiB: what an answer should be, base64 and all */
#define RECORDS_ROOM (ANSWER_BYTES / 8 * 9)
void *kinesis_io_thread(void *kinesis);
/* A reader in front of k->readers, to be the new head. */
struct reader *kinesis_reader_new(struct kinesis *k, const char *shard, uint32_t number,
                                  uint32_t generation, struct seq after);
void kinesis_reader_stop(struct reader *readers, uint32_t number);
void kinesis_readers_free(struct kinesis *k);

#endif
