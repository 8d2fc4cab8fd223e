/* See kinesis_put.h. */
#include "source/kinesis_put.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/thread.h"
#include "source/kinesis.h"

#define SENDERS 4
#define RECORDS_MAX 500
#define BYTES_MAX ((size_t)4 << 20)
#define TRIES_MAX 12

struct put { /* one request */
    uint32_t n;
    size_t bytes;
    struct buf records[RECORDS_MAX]; /* each the JSON object of a record */
};
struct kinesis_put {
    char *stream;
    struct queue *queue;
    struct put *open;
    pthread_t threads[SENDERS];
    pthread_mutex_t lock;
    atomic_bool failed;
    struct err err;
};

static void put_free(struct put *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        buf_fini(&b->records[i]);
    free(b);
}

/* Keeps only the records that the answer refused. */
static void keep_refused(struct put *b, const struct buf *answer)
{
    json_t *a = json_loadb((const char *)answer->p, answer->n, 0, NULL);
    const json_t *records = json_object_get(a, "Records");
    uint32_t kept = 0;
    if (json_integer_value(json_object_get(a, "FailedRecordCount")) == 0 && records) {
        for (uint32_t i = 0; i < b->n; i++)
            buf_fini(&b->records[i]);
        b->n = 0;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        if (records && !json_object_get(json_array_get(records, i), "ErrorCode")) {
            buf_fini(&b->records[i]);
            continue;
        }
        struct buf moved = b->records[i];
        b->records[i] = (struct buf){0};
        b->records[kept++] = moved;
    }
    b->n = kept;
    json_decref(a);
}

static int send(struct kinesis_put *p, struct kinesis_api *api, struct put *b, struct err *e)
{
    for (int try = 0; b->n && try < TRIES_MAX; try++) {
        struct buf body = {0}, answer = {0};
        buf_printf(&body, "{\"StreamName\":\"%s\",\"Records\":[", p->stream);
        for (uint32_t i = 0; i < b->n; i++) {
            if (i)
                buf_putc(&body, ',');
            buf_put(&body, b->records[i].p, b->records[i].n);
        }
        buf_puts(&body, "]}");
        int rc = kinesis_api_call(api, "PutRecords", (const char *)body.p, body.n, &answer, e);
        if (!rc)
            keep_refused(b, &answer);
        buf_fini(&body);
        buf_fini(&answer);
        if (rc && e->kind != ERR_RETRY)
            return -1;
        if (b->n)
            clock_system.sleep_ms(NULL, (50 << (try < 6 ? try : 6)) + rand() % 50);
    }
    return b->n ? err_set(e, ERR_RETRY, "Kinesis PutRecords: %u records were refused %d times", b->n, TRIES_MAX) : 0;
}

static void *sender_main(void *arg)
{
    struct kinesis_put *p = arg;
    struct err e = {0};
    struct kinesis_api *api = kinesis_api_open(&e);
    struct put *b;
    while ((b = queue_pop(p->queue))) {
        if (!atomic_load(&p->failed) && (!api || send(p, api, b, &e))) {
            pthread_mutex_lock(&p->lock);
            p->err = e;
            pthread_mutex_unlock(&p->lock);
            atomic_store(&p->failed, true);
        }
        put_free(b);
    }
    kinesis_api_close(api);
    return NULL;
}

struct kinesis_put *kinesis_put_open(const char *stream, struct err *e)
{
    struct kinesis_api *probe = kinesis_api_open(e); /* credentials and region, before anything is made */
    if (!probe)
        return NULL;
    kinesis_api_close(probe);
    struct kinesis_put *p = mem_zalloc(sizeof *p);
    p->stream = mem_strdup(stream);
    p->queue = queue_new(SENDERS * 2);
    pthread_mutex_init(&p->lock, NULL);
    for (int i = 0; i < SENDERS; i++)
        thread_start(&p->threads[i], sender_main, p);
    return p;
}

int kinesis_put_add(struct kinesis_put *p, const char *key, const void *data, size_t n, struct err *e)
{
    if (!p->open)
        p->open = mem_zalloc(sizeof *p->open);
    struct buf *r = &p->open->records[p->open->n++];
    buf_puts(r, "{\"Data\":\"");
    r->n += (size_t)EVP_EncodeBlock(buf_reserve(r, n / 3 * 4 + 8), data, (int)n);
    buf_printf(r, "\",\"PartitionKey\":\"%s\"}", key);
    p->open->bytes += r->n;
    if (p->open->n == RECORDS_MAX || p->open->bytes > BYTES_MAX) {
        queue_push(p->queue, p->open);
        p->open = NULL;
    }
    if (!atomic_load(&p->failed))
        return 0;
    pthread_mutex_lock(&p->lock);
    *e = p->err;
    pthread_mutex_unlock(&p->lock);
    return -1;
}

int kinesis_put_close(struct kinesis_put *p, struct err *e)
{
    if (p->open)
        queue_push(p->queue, p->open);
    queue_close(p->queue);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(p->threads[i], NULL);
    bool failed = atomic_load(&p->failed);
    if (failed)
        *e = p->err;
    pthread_mutex_destroy(&p->lock);
    queue_free(p->queue);
    free(p->stream);
    free(p);
    return failed ? -1 : 0;
}
