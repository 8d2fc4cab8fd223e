/* The Kinesis source but for its reading: identity, shards, and finding where a start is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "source/body.h"
#include "source/kinesis_int.h"

#define READS_PER_SECOND 5
#define LIST_TRIES 3
#define RESOLVE_LIMIT 1000
#define RUNNING_PATIENCE_MS 3000 /* less than leases are kept without a word: who asks then has them to renew */

static struct kinesis *kinesis_of(struct source *s)
{
    return (struct kinesis *)(void *)s;
}

bool kinesis_name_ok(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return n > 0 && n <= 128 && s[n] == '\0';
}

/* One insisting call with a JSON request (taken) and a JSON answer. */
static json_t *call(struct kinesis *k, const char *action, json_t *request, struct err *e)
{
    struct buf answer = {0};
    json_t *out = NULL;
    char *body = json_dumps(request, JSON_COMPACT);
    pthread_mutex_lock(&k->control_lock);
    int rc = kinesis_api_insist(k->control, action, body, strlen(body), &answer, e);
    pthread_mutex_unlock(&k->control_lock);
    if (rc == 0) {
        out = json_loadb((const char *)answer.p, answer.n, 0, NULL);
        if (!json_is_object(out)) {
            err_set(e, ERR_INVALID, "Kinesis %s: the answer is no JSON: is the endpoint Kinesis?",
                    action);
            json_decref(out);
            out = NULL;
        }
    }
    free(body);
    buf_fini(&answer);
    json_decref(request);
    return out;
}

static char *text_dup(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s && *s ? mem_strdup(s) : NULL;
}

static const char *kinesis_identity(struct source *s)
{
    return kinesis_of(s)->identity;
}

static bool has_parent(const struct source_shard *s, const char *id)
{
    return (s->parents[0] && strcmp(s->parents[0], id) == 0) ||
           (s->parents[1] && strcmp(s->parents[1], id) == 0);
}

void kinesis_shards_add(struct source_shard **list, size_t *n, const json_t *array, const char *only)
{
    for (size_t i = 0; i < json_array_size(array) && *n < KINESIS_SHARDS_MAX; i++) {
        const json_t *j = json_array_get(array, i);
        const json_t *parents = json_object_get(j, "ParentShards"); /* ChildShards have this list */
        struct source_shard s = {.id = text_dup(j, "ShardId"),
                                 .parents = {text_dup(j, "ParentShardId"),
                                             text_dup(j, "AdjacentParentShardId")}};
        for (size_t p = 0; p < 2 && p < json_array_size(parents); p++)
            if (!s.parents[p] && json_string_value(json_array_get(parents, p)))
                s.parents[p] = mem_strdup(json_string_value(json_array_get(parents, p)));
        s.closed = json_is_string(json_object_get(json_object_get(j, "SequenceNumberRange"),
                                                  "EndingSequenceNumber"));
        if (s.id && kinesis_name_ok(s.id) && (!only || has_parent(&s, only))) {
            *list = mem_regrow(*list, *n + 1, sizeof **list);
            (*list)[(*n)++] = s;
        } else {
            free(s.id);
            free(s.parents[0]);
            free(s.parents[1]);
        }
    }
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct source_shard *)a)->id, ((const struct source_shard *)b)->id);
}

static int list_shards(struct kinesis *k, struct source_shard **out, size_t *n, struct err *e)
{
    char *token = NULL;
    *out = NULL;
    *n = 0;
    do {
        json_t *q = token ? json_pack("{s:s}", "NextToken", token)
                          : json_pack("{s:s}", "StreamName", k->stream);
        json_t *a = call(k, "ListShards", q, e);
        free(token);
        if (!a) {
            source_shards_free(*out, *n);
            *out = NULL;
            *n = 0;
            return -1;
        }
        kinesis_shards_add(out, n, json_object_get(a, "Shards"), NULL);
        token = text_dup(a, "NextToken");
        json_decref(a);
    } while (token && *n < KINESIS_SHARDS_MAX);
    free(token);
    return 0;
}

static int kinesis_shards(struct source *s, struct source_shard **out, size_t *n, struct err *e)
{
    int rc;
    for (int tries = 0; (rc = list_shards(kinesis_of(s), out, n, e)) && e->kind == ERR_CONFLICT && tries < LIST_TRIES; tries++) {
        /* throttled between two pages for so long that the token expired */
    }
    if (*n)
        qsort(*out, *n, sizeof **out, by_id);
    return rc;
}

/* Reads from `from_ms` (-1: the beginning) up to the first record that arrived at `until_us` or
 * later, or to the tip. *last is the last before it, *found whether there was one. */
static int last_before(struct kinesis *k, const char *shard, int64_t from_ms, int64_t until_us,
                       struct seq *last, bool *found, struct err *e)
{
    json_t *q = json_pack("{s:s,s:s,s:s}", "StreamName", k->stream, "ShardId", shard,
                          "ShardIteratorType", from_ms < 0 ? "TRIM_HORIZON" : "AT_TIMESTAMP");
    if (from_ms >= 0)
        json_object_set_new(q, "Timestamp", json_real((double)from_ms / 1000));
    json_t *a = call(k, "GetShardIterator", q, e);
    char *iterator = a ? text_dup(a, "ShardIterator") : NULL;
    json_decref(a);
    if (!a)
        return -1;
    for (bool more = iterator != NULL; more;) {
        q = json_pack("{s:s,s:i}", "ShardIterator", iterator, "Limit", RESOLVE_LIMIT);
        free(iterator);
        iterator = NULL;
        a = call(k, "GetRecords", q, e);
        if (!a)
            return -1;
        const json_t *records = json_object_get(a, "Records");
        for (size_t i = 0; more && i < json_array_size(records); i++) {
            const json_t *r = json_array_get(records, i);
            const char *seq = json_string_value(json_object_get(r, "SequenceNumber"));
            double at = json_number_value(json_object_get(r, "ApproximateArrivalTimestamp"));
            more = at * 1e6 < (double)until_us;
            if (more && seq && seq_parse(last, seq, strlen(seq), NULL) == 0)
                *found = true;
        }
        bool tip = json_array_size(records) == 0 &&
                   json_integer_value(json_object_get(a, "MillisBehindLatest")) == 0;
        iterator = text_dup(a, "NextShardIterator");
        more = more && !tip && iterator;
        json_decref(a);
        if (more)
            k->env.clock->sleep_ms(k->env.clock->ctx, k->read_gap_ms);
    }
    free(iterator);
    return 0;
}

/* The last record that arrived before the time (LATEST: before now), looked for in growing windows
 * before it, the last being everything there is. If there is none, whatever the shard will hold comes
 * after the time, so its beginning (SEQ_NONE) is the right place. */
static int kinesis_resolve(struct source *s, const char *shard, enum source_start_kind kind,
                           int64_t time_ms, struct seq *out, struct err *e)
{
    static const int64_t windows_ms[] = {10000, 600000, 7200000, 86400000, -1};
    struct kinesis *k = kinesis_of(s);
    *out = SEQ_NONE;
    if (kind == START_TRIM_HORIZON)
        return 0;
    int64_t until_us = kind == START_AT_TIME ? time_ms * 1000 : clock_wall_us(k->env.clock);
    bool found = false;
    for (size_t i = 0; i < sizeof windows_ms / sizeof *windows_ms && !found; i++) {
        int64_t from_ms = windows_ms[i] < 0 ? -1 : until_us / 1000 - windows_ms[i];
        if (from_ms < 0 && windows_ms[i] >= 0)
            continue;
        if (last_before(k, shard, from_ms, until_us, out, &found, e))
            return err_wrap(e, "finding where to start in shard %s", shard);
    }
    return 0;
}

static int kinesis_start(struct source *s, const char *shard, uint32_t number, uint32_t generation,
                         struct seq after, const char *note, struct err *e)
{
    struct kinesis *k = kinesis_of(s);
    (void)note;
    if (!kinesis_name_ok(shard))
        return err_set(e, ERR_INVALID, "\"%s\" is no name of a shard", shard);
    int rc = 0;
    pthread_mutex_lock(&k->control_lock);
    kinesis_api_patience(k->control, RUNNING_PATIENCE_MS);
    pthread_mutex_unlock(&k->control_lock);
    pthread_mutex_lock(&k->lock);
    kinesis_reader_stop(k->readers, number);
    k->readers = kinesis_reader_new(k, shard, number, generation, after);
    if (!k->running) {
        rc = pthread_create(&k->thread, NULL, kinesis_io_thread, k);
        k->running = rc == 0;
    }
    pthread_mutex_unlock(&k->lock);
    http_wake(k->http);
    return rc ? err_errno(e, rc, "cannot start the thread that reads Kinesis") : 0;
}

static void kinesis_stop(struct source *s, uint32_t number)
{
    struct kinesis *k = kinesis_of(s);
    pthread_mutex_lock(&k->lock);
    kinesis_reader_stop(k->readers, number);
    pthread_mutex_unlock(&k->lock);
    http_wake(k->http);
}

static void kinesis_close(struct source *s)
{
    struct kinesis *k = kinesis_of(s);
    atomic_store(&k->stop, true);
    if (k->running) {
        http_wake(k->http);
        pthread_join(k->thread, NULL);
    }
    http_free(k->http);
    kinesis_readers_free(k);
    source_spares_drop(k->records);
    kinesis_api_close(k->control);
    pthread_mutex_destroy(&k->lock);
    pthread_mutex_destroy(&k->control_lock);
    free(k->stream);
    free(k->identity);
    free(k);
}

/* "<ARN>@<creation in ms>": a stream made again under its name is another one. */
static char *identity_in(const json_t *answer, struct err *e)
{
    const json_t *d = json_object_get(answer, "StreamDescriptionSummary");
    const char *arn = json_string_value(json_object_get(d, "StreamARN"));
    double made = json_number_value(json_object_get(d, "StreamCreationTimestamp"));
    if (arn && made >= 0 && made < 1e12)
        return mem_printf("%s@%lld", arn, (long long)llround(made * 1000));
    err_set(e, ERR_INVALID,
            "Kinesis DescribeStreamSummary names no stream: is the endpoint Kinesis?");
    return NULL;
}

static int identify(struct kinesis *k, struct err *e)
{
    json_t *a = call(k, "DescribeStreamSummary", json_pack("{s:s}", "StreamName", k->stream), e);
    if (!a)
        return err_wrap(e, "stream %s", k->stream);
    k->identity = identity_in(a, e);
    json_decref(a);
    return k->identity ? 0 : -1;
}

char *kinesis_identity_of_arn(const char *arn, struct err *e)
{
    struct kinesis_api *api = kinesis_api_open(e);
    if (!api)
        return NULL;
    struct buf answer = {0};
    json_t *q = json_pack("{s:s}", "StreamARN", arn);
    char *body = q ? json_dumps(q, JSON_COMPACT) : NULL, *out = NULL;
    if (body && kinesis_api_insist(api, "DescribeStreamSummary", body, strlen(body), &answer, e) == 0) {
        json_t *a = json_loadb((const char *)answer.p, answer.n, 0, NULL);
        out = identity_in(a, e);
        json_decref(a);
    }
    free(body);
    json_decref(q);
    buf_fini(&answer);
    kinesis_api_close(api);
    return out;
}

struct source *source_kinesis_open(const struct kinesis_options *o, const struct source_env *env,
                                   struct err *e)
{
    static const struct source_ops ops = {.identity = kinesis_identity,
                                          .shards = kinesis_shards,
                                          .resolve = kinesis_resolve,
                                          .start = kinesis_start,
                                          .stop = kinesis_stop,
                                          .close = kinesis_close};
    if (!o->stream || !kinesis_name_ok(o->stream)) {
        err_set(e, ERR_INVALID, "\"%s\" is no name of a Kinesis stream",
                o->stream ? o->stream : "");
        return NULL;
    }
    struct kinesis *k = mem_zalloc(sizeof *k);
    k->source.ops = &ops;
    k->env = *env;
    k->stream = mem_strdup(o->stream);
    k->read_gap_ms = 1000 / (o->reads_per_second ? o->reads_per_second : READS_PER_SECOND);
    pthread_mutex_init(&k->lock, NULL);
    pthread_mutex_init(&k->control_lock, NULL);
    k->http = http_new();
    k->records = source_spares_new(RECORDS_ROOM);
    const char *disable = getenv("AWS_CBOR_DISABLE"); /* as the SDKs have it */
    k->cbor = disable && (strcasecmp(disable, "true") == 0 || strcmp(disable, "1") == 0) ? CBOR_NOT : CBOR_UNTRIED;
    k->control = kinesis_api_open_with(o, env->clock, e);
    if (k->control && identify(k, e) == 0)
        return &k->source;
    kinesis_close(&k->source);
    return NULL;
}
