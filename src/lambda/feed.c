/* The pipeline in a thread of its own, kept over invocations, with a source that has what the last
 * invocation brought, and a lease store in memory. The pipeline's checkpoint ("nothing before it is
 * uncommitted in any table") is what says that a batch is done. See lambda.h for why no real leases
 * are needed. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "lambda/lambda_int.h"
#include "lease/lease.h"
#include "source/source.h"

struct feed_shard {
    char *id;
    struct seq checkpoint;
    bool started;
    uint32_t number, generation;
};

struct feed_source {
    struct source source; /* first: a struct source * is this */
    struct feed *feed;
};

struct feed {
    char *identity;
    struct pipeline_config config;
    struct pipeline_feed hooks;
    struct lease_store *leases; /* kept over runs of the pipeline */
    volatile sig_atomic_t stop;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct feed_shard **shards;
    size_t n_shards;
    const struct lambda_batch *batch; /* in hand */
    struct source *source;            /* open, or NULL */
    struct source_env env;
    pthread_t thread;
    bool running, ended;
    struct err err; /* why it ended */
};

static struct feed_shard *shard_of(const struct feed *f, const char *id)
{
    for (size_t i = 0; i < f->n_shards; i++)
        if (strcmp(f->shards[i]->id, id) == 0)
            return f->shards[i];
    return NULL;
}

/* ---- the source ---- */

static struct feed *feed_of(struct source *s)
{
    return ((struct feed_source *)(void *)s)->feed;
}

/* What of the batch in hand is not committed goes to the pipeline; with the lock. What the checkpoint
 * has passed is left out: the pipeline's own commits do not count among the positions it skips by. */
static void deliver(struct feed *f, struct feed_shard *s)
{
    const struct lambda_batch *in = f->batch;
    struct source_event *ev = mem_zalloc(sizeof *ev);
    struct source_batch *b = mem_zalloc(sizeof *b);
    struct buf body = {0};
    lambda_batch_body(in, s->checkpoint, &body);
    *b = (struct source_batch){.source = f->source,
                               .shard = s->number,
                               .generation = s->generation,
                               .format = BATCH_GET_RECORDS,
                               .data = body.p,
                               .n_data = body.n,
                               .last = in->records[in->n - 1].seq,
                               .arrived_us = in->arrived_us,
                               .charged_bytes = body.n,
                               .budget = f->env.budget};
    for (size_t i = in->n; i-- > 0 && !seq_le(in->records[i].seq, s->checkpoint);) {
        b->first = in->records[i].seq;
        b->records++;
    }
    budget_force(b->budget, b->charged_bytes);
    *ev = (struct source_event){.kind = SOURCE_BATCH,
                                .shard = s->number,
                                .generation = s->generation,
                                .batch = b};
    if (!queue_push(f->env.inbox, ev)) {
        budget_give(b->budget, b->charged_bytes);
        source_event_free(ev);
    }
}

static const char *feed_source_identity(struct source *s)
{
    return feed_of(s)->identity;
}

static int feed_source_shards(struct source *s, struct source_shard **out, size_t *n, struct err *e)
{
    struct feed *f = feed_of(s);
    (void)e;
    pthread_mutex_lock(&f->lock);
    *n = f->n_shards;
    *out = mem_array(f->n_shards, sizeof **out);
    for (size_t i = 0; i < f->n_shards; i++)
        (*out)[i].id = mem_strdup(f->shards[i]->id);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int feed_source_resolve(struct source *s, const char *shard, enum source_start_kind kind,
                               int64_t time_ms, struct seq *out, struct err *e)
{
    (void)s, (void)shard, (void)kind, (void)time_ms, (void)e;
    *out = SEQ_NONE; /* the mapping says where it starts */
    return 0;
}

/* A restart of the pipeline comes here again, and gets the batch again. */
static int feed_source_start(struct source *s, const char *shard, uint32_t number,
                             uint32_t generation, struct seq after, const char *note, struct err *e)
{
    struct feed *f = feed_of(s);
    (void)after, (void)note, (void)e;
    pthread_mutex_lock(&f->lock);
    struct feed_shard *one = shard_of(f, shard);
    invariant(one);
    one->started = true;
    one->number = number;
    one->generation = generation;
    if (f->batch && strcmp(f->batch->shard, shard) == 0)
        deliver(f, one);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static void feed_source_stop(struct source *s, uint32_t number)
{
    struct feed *f = feed_of(s);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n_shards; i++)
        if (f->shards[i]->number == number)
            f->shards[i]->started = false;
    pthread_mutex_unlock(&f->lock);
}

static void feed_source_close(struct source *s)
{
    struct feed *f = feed_of(s);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n_shards; i++)
        f->shards[i]->started = false;
    f->source = NULL;
    pthread_mutex_unlock(&f->lock);
    free(s);
}

static struct source *open_source(void *ctx, const struct source_env *env, struct err *e)
{
    static const struct source_ops ops = {.identity = feed_source_identity,
                                          .shards = feed_source_shards,
                                          .resolve = feed_source_resolve,
                                          .start = feed_source_start,
                                          .stop = feed_source_stop,
                                          .close = feed_source_close};
    struct feed *f = ctx;
    struct feed_source *s = mem_zalloc(sizeof *s);
    (void)e;
    s->source.ops = &ops;
    s->feed = f;
    pthread_mutex_lock(&f->lock);
    f->source = &s->source;
    f->env = *env;
    pthread_mutex_unlock(&f->lock);
    return &s->source;
}

/* ---- the leases ---- */

static void on_moved(void *ctx, const char *shard, struct seq at)
{
    struct feed *f = ctx;
    pthread_mutex_lock(&f->lock);
    struct feed_shard *s = shard_of(f, shard);
    invariant(s);
    s->checkpoint = at;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static struct lease_store *open_leases(void *ctx, struct err *e)
{
    struct feed *f = ctx;
    (void)e;
    return lease_memory_share(f->leases);
}

/* ---- the pipeline's thread ---- */

static void *feed_main(void *arg)
{
    struct feed *f = arg;
    struct pipeline_report report;
    struct err e = {0};
    memset(&report, 0, sizeof report);
    int rc = pipeline_run(&f->config, &report, &e);
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    f->err = e;
    if (!rc)
        err_set(&f->err, ERR_STOPPED, "stopped");
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void start_pipeline(struct feed *f)
{
    __atomic_store_n(&f->stop, 0, __ATOMIC_RELAXED);
    f->ended = false;
    f->running = true;
    thread_start(&f->thread, feed_main, f);
}

static void end_pipeline(struct feed *f)
{
    if (!f->running)
        return;
    __atomic_store_n(&f->stop, 1, __ATOMIC_RELAXED);
    pthread_join(f->thread, NULL);
    f->running = false;
}

struct feed *feed_open(const char *identity, const struct pipeline_config *p)
{
    struct feed *f = mem_zalloc(sizeof *f);
    f->identity = mem_strdup(identity);
    f->leases = lease_memory_open(on_moved, f);
    f->hooks = (struct pipeline_feed){.open_source = open_source, .open_leases = open_leases, .ctx = f};
    f->config = *p;
    f->config.feed = &f->hooks;
    f->config.leases = "sqlite:"; /* not opened: the hook's are */
    f->config.stop = &f->stop;
    f->config.start = PIPELINE_TRIM_HORIZON;
    f->config.until_caught_up = false;
    f->config.progress = false;
    f->config.commit_interval_ms = 1; /* a batch is one epoch, and each is committed at once */
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    return f;
}

void feed_close(struct feed *f)
{
    if (!f)
        return;
    end_pipeline(f);
    lease_store_close(f->leases);
    for (size_t i = 0; i < f->n_shards; i++) {
        free(f->shards[i]->id);
        free(f->shards[i]);
    }
    free(f->shards);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    free(f->identity);
    free(f);
}

/* A shard that is new here has its positions read like the others' at a start, so that is what we do. */
static struct feed_shard *add_shard(struct feed *f, const char *id)
{
    struct feed_shard *s = mem_zalloc(sizeof *s);
    end_pipeline(f);
    s->id = mem_strdup(id);
    s->checkpoint = SEQ_NONE;
    f->shards = mem_regrow(f->shards, f->n_shards + 1, sizeof *f->shards);
    f->shards[f->n_shards++] = s;
    return s;
}

int feed_take(struct feed *f, const struct lambda_batch *b, struct seq *committed, struct err *e)
{
    struct seq last = b->records[b->n - 1].seq;
    struct feed_shard *s = shard_of(f, b->shard);
    if (!s)
        s = add_shard(f, b->shard);
    pthread_mutex_lock(&f->lock);
    if (!seq_le(last, s->checkpoint)) {
        f->batch = b;
        if (!f->running)
            start_pipeline(f);
        else if (s->started)
            deliver(f, s);
    }
    while (!seq_le(last, s->checkpoint) && !f->ended)
        pthread_cond_wait(&f->changed, &f->lock);
    f->batch = NULL;
    *committed = s->checkpoint;
    bool done = seq_le(last, s->checkpoint);
    if (!done)
        *e = f->err;
    bool ended = f->ended;
    pthread_mutex_unlock(&f->lock);
    if (ended)
        end_pipeline(f);
    return done ? 0 : -1;
}
