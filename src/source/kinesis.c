/* Polling: one thread asks every shard in turn. A shard at its tip is asked five times a second at most;
 * throttling, 5xx and lost connections wait longer and longer, up to ten seconds. See kinesis.h. */
#include "source/kinesis.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/body.h"

#define SHARDS_MAX 4096
#define TIP_WAIT_MS 200
#define BACKOFF_MAX_MS 10000
#define ANSWER_AIM ((size_t)2 << 20)

struct kshard {
    char *id, *iterator;
    uint32_t number, generation;
    struct seq after;
    bool reading;
    int64_t next_ms;
    uint32_t failures, limit;
};
struct kinesis {
    struct source source; /* first */
    struct source_env env;
    char *stream, *identity;
    struct kinesis_api *api, *control;
    pthread_mutex_t lock; /* guards shards and control */
    struct kshard *shards;
    uint32_t n_shards;
    pthread_t thread;
    bool running;
    atomic_bool stop;
};

static json_t *call(struct kinesis_api *api, const char *action, json_t *request, struct err *e)
{
    struct buf answer = {0};
    json_error_t why;
    char *body = json_dumps(request, JSON_COMPACT);
    json_t *out = NULL;
    if (kinesis_api_call(api, action, body, strlen(body), &answer, e) == 0) {
        out = json_loadb((const char *)answer.p, answer.n, 0, &why);
        if (!out)
            err_set(e, ERR_INVALID, "Kinesis %s: the answer is not JSON: is the endpoint Kinesis?", action);
    }
    free(body);
    buf_fini(&answer);
    json_decref(request);
    return out;
}

static const char *kinesis_identity(struct source *s)
{
    return ((struct kinesis *)s)->identity;
}

static char *text_dup(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? mem_strdup(s) : NULL;
}

static int kinesis_shards(struct source *s, struct source_shard **out, size_t *n, struct err *e)
{
    struct kinesis *k = (struct kinesis *)s;
    char *token = NULL;
    *out = NULL;
    *n = 0;
    do {
        json_t *a = call(k->control, "ListShards", token ? json_pack("{s:s}", "NextToken", token) : json_pack("{s:s}", "StreamName", k->stream), e), *j;
        size_t i;
        free(token);
        if (!a)
            return -1;
        json_array_foreach(json_object_get(a, "Shards"), i, j)
        {
            *out = mem_regrow(*out, *n + 1, sizeof **out);
            (*out)[(*n)++] = (struct source_shard){
                .id = text_dup(j, "ShardId"),
                .parents = {text_dup(j, "ParentShardId"), text_dup(j, "AdjacentParentShardId")},
                .closed = json_object_get(json_object_get(j, "SequenceNumberRange"), "EndingSequenceNumber") != NULL};
        }
        token = text_dup(a, "NextToken");
        json_decref(a);
    } while (token && *n < SHARDS_MAX);
    free(token);
    return 0;
}

static char *iterator_at(struct kinesis *k, struct kinesis_api *api, const char *shard, struct seq after, int64_t time_ms, struct err *e)
{
    char text[SEQ_TEXT_MAX];
    json_t *r = json_pack("{s:s,s:s}", "StreamName", k->stream, "ShardId", shard);
    seq_format(after, text);
    if (time_ms >= 0) {
        json_object_set_new(r, "ShardIteratorType", json_string("AT_TIMESTAMP"));
        json_object_set_new(r, "Timestamp", json_real((double)time_ms / 1000));
    } else if (seq_cmp(after, SEQ_NONE) == 0) {
        json_object_set_new(r, "ShardIteratorType", json_string("TRIM_HORIZON"));
    } else {
        json_object_set_new(r, "ShardIteratorType", json_string("AFTER_SEQUENCE_NUMBER"));
        json_object_set_new(r, "StartingSequenceNumber", json_string(text));
    }
    json_t *a = call(api, "GetShardIterator", r, e);
    char *out = a ? text_dup(a, "ShardIterator") : NULL;
    json_decref(a);
    return out;
}

static char *next_iterator(const struct body *b)
{
    struct buf text = {0};
    if (b->next_iterator.n && body_unescape(b->next_iterator, &text))
        return buf_take(&text);
    buf_fini(&text);
    return NULL;
}

/* The record just before the time: found by reading from the time on, and standing one before the first
 * that comes. Where none has come, the shard has had nothing since: it is read from its beginning's end, so
 * the last sequence number is looked for from TRIM_HORIZON on. */
static int kinesis_resolve(struct source *s, const char *shard, enum source_start_kind kind, int64_t time_ms, struct seq *out, struct err *e)
{
    struct kinesis *k = (struct kinesis *)s;
    int64_t want = kind == START_AT_TIME ? time_ms * 1000 : clock_wall_us(k->env.clock);
    char *iterator = iterator_at(k, k->control, shard, SEQ_NONE, -1, e);
    *out = SEQ_NONE;
    int rc = iterator ? 0 : -1;
    for (bool more = true; !rc && more && iterator;) {
        struct buf answer = {0};
        json_t *r = json_pack("{s:s,s:i}", "ShardIterator", iterator, "Limit", 1000);
        char *body = json_dumps(r, JSON_COMPACT);
        rc = kinesis_api_call(k->control, "GetRecords", body, strlen(body), &answer, e);
        free(body);
        json_decref(r);
        struct body b;
        struct body_record rec;
        size_t at = 0;
        uint32_t got = 0;
        if (!rc && !body_open(&b, (const char *)answer.p, answer.n))
            rc = err_set(e, ERR_INVALID, "Kinesis GetRecords: the answer cannot be read");
        for (; !rc && more && body_next(&b, &at, &rec) == 1; got++) {
            struct seq seq;
            more = rec.arrived_us < want;
            if (more && seq_parse(&seq, rec.sequence.p, rec.sequence.n, NULL) == 0)
                *out = seq;
        }
        if (!rc) {
            free(iterator);
            iterator = next_iterator(&b);
            more = more && (got || b.millis_behind > 0);
        }
        buf_fini(&answer);
    }
    free(iterator);
    return rc;
}

/* ---- reading ---- */

static void send(struct kinesis *k, const struct kshard *s, enum source_event_kind kind, struct source_event ev)
{
    struct source_event *out = mem_zalloc(sizeof *out);
    *out = ev;
    out->kind = kind;
    out->shard = s->number;
    out->generation = s->generation;
    if (!queue_push(k->env.inbox, out))
        source_event_free(out);
}

static void shard_end(struct kinesis *k, struct kshard *s)
{
    struct source_event ev = {0};
    struct source_shard *all = NULL;
    size_t n = 0;
    struct err e = {0};
    pthread_mutex_lock(&k->lock);
    if (kinesis_shards(&k->source, &all, &n, &e) == 0)
        for (size_t i = 0; i < n; i++)
            for (int p = 0; p < 2; p++)
                if (all[i].parents[p] && strcmp(all[i].parents[p], s->id) == 0) {
                    ev.children = mem_regrow(ev.children, ev.n_children + 1, sizeof *ev.children);
                    ev.children[ev.n_children++] = all[i];
                    all[i] = (struct source_shard){0};
                    break;
                }
    pthread_mutex_unlock(&k->lock);
    for (size_t i = 0; i < n; i++) {
        free(all[i].id);
        free(all[i].parents[0]);
        free(all[i].parents[1]);
    }
    free(all);
    s->reading = false;
    send(k, s, SOURCE_SHARD_END, ev);
}

static void failed(struct kinesis *k, struct kshard *s, struct err *e)
{
    if (e->kind == ERR_CONFLICT) { /* the iterator is too old: from the last record on */
        free(s->iterator);
        s->iterator = NULL;
    } else if (e->kind == ERR_RETRY) {
        int64_t wait = (int64_t)100 << (s->failures < 7 ? s->failures : 7);
        s->next_ms = clock_boot_ms(k->env.clock) + (wait < BACKOFF_MAX_MS ? wait / 2 + rand() % (wait / 2 + 1) : BACKOFF_MAX_MS);
        if (s->failures++ % 16 == 3)
            send(k, s, SOURCE_NOTICE, (struct source_event){.error = *e});
    } else {
        s->reading = false;
        send(k, s, SOURCE_FAILED, (struct source_event){.error = *e});
    }
}

static struct source_batch *batch_of(struct kinesis *k, struct kshard *s, const struct body *body)
{
    struct source_batch *b = mem_zalloc(sizeof *b);
    struct body_record rec;
    size_t at = 0;
    *b = (struct source_batch){.source = &k->source, .shard = s->number, .generation = s->generation, .format = BATCH_GET_RECORDS};
    while (body_next(body, &at, &rec) == 1) {
        struct seq seq;
        if (seq_parse(&seq, rec.sequence.p, rec.sequence.n, NULL))
            continue;
        if (!b->records++)
            b->first = seq;
        b->last = seq;
        b->arrived_us = rec.arrived_us;
    }
    return b;
}

static void deliver(struct kinesis *k, struct kshard *s, struct buf *answer, size_t charged)
{
    struct body body;
    memset(buf_reserve(answer, SOURCE_PAD), 0, SOURCE_PAD);
    if (!body_open(&body, (const char *)answer->p, answer->n)) {
        struct err e;
        err_set(&e, ERR_RETRY, "Kinesis GetRecords of shard %s: the answer cannot be read", s->id);
        budget_give(k->env.budget, charged);
        failed(k, s, &e);
        return;
    }
    struct source_batch *b = batch_of(k, s, &body);
    int64_t lag_ms = body.millis_behind > 0 ? body.millis_behind : 0;
    bool empty = b->records == 0;
    free(s->iterator);
    s->iterator = next_iterator(&body);
    if (!empty) {
        size_t each = answer->n / b->records + 1, limit = ANSWER_AIM / each + 1;
        s->limit = (uint32_t)(limit < 10000 ? limit : 10000);
        s->after = b->last;
        b->data = answer->p;
        b->n_data = answer->n;
        *answer = (struct buf){0};
        b->charged_bytes = charged;
        send(k, s, SOURCE_BATCH, (struct source_event){.batch = b});
    } else {
        free(b);
        budget_give(k->env.budget, charged);
        s->next_ms = clock_boot_ms(k->env.clock) + TIP_WAIT_MS;
    }
    send(k, s, SOURCE_LAG, (struct source_event){.lag_ms = lag_ms});
    if (!s->iterator)
        shard_end(k, s);
    else if (lag_ms == 0 && empty)
        send(k, s, SOURCE_TIP, (struct source_event){0});
}

static void poll_shard(struct kinesis *k, struct kshard *s)
{
    struct buf answer = {0};
    struct err e = {0};
    if (!s->iterator)
        s->iterator = iterator_at(k, k->api, s->id, s->after, -1, &e);
    if (!s->iterator) {
        failed(k, s, &e);
        return;
    }
    if (!budget_take(k->env.budget, ANSWER_AIM * 2))
        return;
    json_t *r = json_pack("{s:s,s:i}", "ShardIterator", s->iterator, "Limit", (int)s->limit);
    char *body = json_dumps(r, JSON_COMPACT);
    json_decref(r);
    int rc = kinesis_api_call(k->api, "GetRecords", body, strlen(body), &answer, &e);
    free(body);
    if (rc) {
        budget_give(k->env.budget, ANSWER_AIM * 2);
        failed(k, s, &e);
    } else {
        s->failures = 0;
        deliver(k, s, &answer, ANSWER_AIM * 2);
    }
    buf_fini(&answer);
}

static void *kinesis_main(void *arg)
{
    struct kinesis *k = arg;
    while (!atomic_load(&k->stop)) {
        bool asked = false;
        pthread_mutex_lock(&k->lock);
        uint32_t n = k->n_shards;
        pthread_mutex_unlock(&k->lock);
        for (uint32_t i = 0; i < n && !atomic_load(&k->stop); i++) {
            struct kshard *s = &k->shards[i];
            if (!s->reading || clock_boot_ms(k->env.clock) < s->next_ms)
                continue;
            asked = true;
            poll_shard(k, s);
        }
        if (!asked)
            k->env.clock->sleep_ms(k->env.clock->ctx, 10);
    }
    return NULL;
}

static int kinesis_start(struct source *src, const char *shard, uint32_t number, uint32_t generation, struct seq after, const char *note,
                         struct err *e)
{
    struct kinesis *k = (struct kinesis *)src;
    (void)note;
    pthread_mutex_lock(&k->lock);
    if (k->n_shards == SHARDS_MAX) {
        pthread_mutex_unlock(&k->lock);
        return err_set(e, ERR_NOMEM, "more than %d shards", SHARDS_MAX);
    }
    k->shards[k->n_shards++] = (struct kshard){
        .id = mem_strdup(shard), .number = number, .generation = generation, .after = after, .reading = true, .limit = 2000};
    pthread_mutex_unlock(&k->lock);
    if (!k->running)
        k->running = pthread_create(&k->thread, NULL, kinesis_main, k) == 0;
    return k->running ? 0 : err_set(e, ERR_IO, "cannot start a thread");
}

static void kinesis_stop(struct source *s, uint32_t number)
{
    (void)number; /* stopping is for all at once: the pipeline drains whole */
    atomic_store(&((struct kinesis *)s)->stop, true);
}

static void kinesis_close(struct source *s)
{
    struct kinesis *k = (struct kinesis *)s;
    atomic_store(&k->stop, true);
    if (k->running)
        pthread_join(k->thread, NULL);
    for (uint32_t i = 0; i < k->n_shards; i++) {
        free(k->shards[i].id);
        free(k->shards[i].iterator);
    }
    free(k->shards);
    kinesis_api_close(k->api);
    kinesis_api_close(k->control);
    pthread_mutex_destroy(&k->lock);
    free(k->stream);
    free(k->identity);
    free(k);
}

struct source *source_kinesis_open(const struct kinesis_options *o, const struct source_env *env, struct err *e)
{
    static const struct source_ops ops = {kinesis_identity, kinesis_shards, kinesis_resolve, kinesis_start, kinesis_stop, kinesis_close};
    struct kinesis *k = mem_zalloc(sizeof *k);
    k->source.ops = &ops;
    k->env = *env;
    k->stream = mem_strdup(o->stream);
    k->shards = mem_array(SHARDS_MAX, sizeof *k->shards);
    pthread_mutex_init(&k->lock, NULL);
    json_t *a = NULL;
    if ((k->api = kinesis_api_open(e)) && (k->control = kinesis_api_open(e)))
        for (int i = 0; i < 60 && !a; i++) { /* an endpoint that is down may come back */
            a = call(k->control, "DescribeStreamSummary", json_pack("{s:s}", "StreamName", k->stream), e);
            if (a || e->kind != ERR_RETRY)
                break;
            env->clock->sleep_ms(env->clock->ctx, 500);
        }
    const json_t *d = json_object_get(a, "StreamDescriptionSummary");
    const char *arn = json_string_value(json_object_get(d, "StreamARN"));
    if (a && arn)
        k->identity = mem_printf("%s@%lld", arn, (long long)(json_number_value(json_object_get(d, "StreamCreationTimestamp")) * 1000));
    else if (a)
        err_set(e, ERR_INVALID, "Kinesis DescribeStreamSummary: the answer names no stream: is the endpoint Kinesis?");
    json_decref(a);
    if (k->identity)
        return &k->source;
    kinesis_close(&k->source);
    return NULL;
}
