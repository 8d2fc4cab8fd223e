/* Shredder threads, one a core: whatever computes for long, does it on them, so that the system never has to find a core
 * for more threads than there are. Each has a shredder of its own. A thread that meets a batch of a later epoch first
 * detaches what it has: rows of two epochs share a row set only once both are closed. Batches are first in, first out, so
 * a thread never sees an earlier epoch again; and one whose epoch is over, and all its batches done, has nothing to do or
 * waits to detach, so that the coordinator can do it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/policy.h"
#include "base/thread.h"
#include "pipeline/pipeline_int.h"

#define QUEUE_BATCHES 65536
#define RECORDS_AT_ONCE 1024

struct worker {
    struct workers *all;
    pthread_t thread;
    /* the thread's; of an epoch that is over, whoever has the lock */
    struct shredder *shredder;
    struct source_cursor *cursor;
    struct shred_line *lines; /* files: SHRED_LINES_MAX; streams: */
    struct record *records;    /* ... RECORDS_AT_ONCE of each */
    size_t relieved; /* bytes of rows of the batch in hand that are detached already, */
    uint32_t relieved_sets; /* ... and in how many sets */
    struct shred_counts counts_before; /* of the shredders before this one */
    struct shred_counts again, mark; /* to be taken from all; what they were when that began */
    _Atomic size_t charged; /* bytes of open rows taken from the budget; read without the lock */
    _Atomic uint32_t sets;  /* of open rows, likewise */
    _Atomic size_t shed;    /* bytes of rows of the epoch in hand that are detached already: no cut has them yet */
    pthread_mutex_t lock; /* guards: */
    uint64_t epoch;
    struct rowset *detached;
    struct shred_counts counts; /* of all its shredders, up to the last batch */
    int64_t shred_ns;
};

/* What a caller waits for. */
struct task {
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

struct workers {
    struct workers_env env;
    struct queue *queue; /* struct work_item * */
    struct worker *each;
};

static void charge(struct worker *w, size_t now)
{
    budget_change(w->all->env.budget, w->charged, now);
    w->charged = now;
}

/* Hands the open rows over; they stay charged, by their own count of bytes, which it answers. With the lock. */
static size_t detach(struct worker *w)
{
    struct rowset *list = shredder_cut(w->shredder), *last = NULL;
    size_t bytes = 0;
    for (struct rowset *r = list; r; r = r->next) {
        r->first_epoch = w->epoch;
        rowset_pack(r);
        bytes += r->bytes;
        last = r;
    }
    charge(w, bytes);
    w->charged = 0;
    charge(w, shredder_bytes(w->shredder));
    w->sets = 0;
    if (last) {
        last->next = w->detached;
        w->detached = list;
    }
    return bytes;
}

/* What was read as little may become much, where each row is one of another name. */
static void relieve(struct worker *w)
{
    shredder_shed(w->shredder, w->all->env.partitions_max);
    size_t bytes = shredder_bytes(w->shredder);
    if (bytes <= w->all->env.open_max)
        return;
    w->relieved_sets += shredder_partitions(w->shredder);
    pthread_mutex_lock(&w->lock);
    w->shed += detach(w);
    pthread_mutex_unlock(&w->lock);
    w->relieved += bytes;
}

static void add_counts(struct shred_counts *sum, const struct shred_counts *a,
                       const struct shred_counts *b)
{
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *x = (const uint64_t *)(const void *)a, *y = (const uint64_t *)(const void *)b;
    for (size_t k = 0; k < sizeof *sum / sizeof *to; k++)
        to[k] = x[k] + y[k];
}

static void take_counts(struct shred_counts *from, const struct shred_counts *what)
{
    uint64_t *a = (uint64_t *)(void *)from;
    const uint64_t *b = (const uint64_t *)(const void *)what;
    for (size_t k = 0; k < sizeof *from / sizeof *a; k++)
        a[k] -= b[k];
}

static void again_begin(struct worker *w)
{
    shredder_reread(w->shredder, true);
    w->mark = *shredder_counts(w->shredder);
}

/* What was read before counts as that alone; but for letters that only this time became some, as their table was quarantined
 * meanwhile. (One table too many stays that.) */
static void again_end(struct worker *w)
{
    struct shred_counts c = *shredder_counts(w->shredder);
    shredder_reread(w->shredder, false);
    take_counts(&c, &w->mark);
    uint64_t new_letters = c.dead[REASON_TABLE_UNAVAILABLE] - c.lettered;
    c.reread = new_letters - c.records; /* taken away, it comes on top */
    c.dead[REASON_TABLE_UNAVAILABLE] = c.lettered;
    c.records = c.bytes = c.fast_rows = c.slow_rows = c.dedup_ns = 0;
    add_counts(&w->again, &w->again, &c);
}

static uint64_t dead_of(const struct shred_counts *c)
{
    uint64_t n = 0;
    for (int i = 0; i < REASON_COUNT; i++)
        n += c->dead[i];
    return n;
}

static struct shard_counts since(const struct shred_counts *now, const struct shred_counts *before)
{
    return (struct shard_counts){now->records - before->records, now->rows - before->rows,
                                 now->duplicates - before->duplicates,
                                 dead_of(now) - dead_of(before)};
}

/* Lines that came together go to the shredder together. `n` are there; none are after it. */
static void shred_lines(struct worker *w, const struct work_item *item, uint32_t n, int64_t now_us)
{
    const struct source_batch *b = item->batch;
    const struct record like = {.shard = b->shard, .arrived_us = b->arrived_us, .sub = -1};
    uint32_t again = 0;
    while (item->again && again < n && seq_le(w->lines[again].seq, item->again_upto))
        again++;
    if (again) {
        again_begin(w);
        shredder_lines(w->shredder, w->lines, again, &like, b->tag, item->check_positions, now_us);
        again_end(w);
    }
    if (n > again)
        shredder_lines(w->shredder, w->lines + again, n - again, &like, b->tag, item->check_positions, now_us);
}

/* The same of records, `n` from the first on. */
static void shred_records(struct worker *w, const struct work_item *item, uint32_t n, int64_t now_us)
{
    uint32_t again = 0;
    uint64_t epoch = item->batch->tag;
    while (item->again && again < n && seq_le(w->records[again].seq, item->again_upto))
        again++;
    if (again) {
        again_begin(w);
        shredder_records(w->shredder, w->records, w->lines, again, epoch, item->check_positions, now_us);
        again_end(w);
    }
    if (n > again)
        shredder_records(w->shredder, w->records + again, w->lines, n - again, epoch, item->check_positions, now_us);
}

/* All of a GetRecords answer. */
static void shred_answer(struct worker *w, const struct work_item *item, int64_t now_us)
{
    uint32_t n;
    source_cursor_start(w->cursor, item->batch);
    while ((n = source_cursor_records(w->cursor, w->records, RECORDS_AT_ONCE))) {
        shred_records(w, item, n, now_us);
        relieve(w);
    }
}

/* As many lines as come at once, behind the n that are there; how many there are then. */
static uint32_t add_lines(struct worker *w, uint32_t n)
{
    struct source_line lines[SOURCE_LINES];
    uint32_t more = source_cursor_lines(w->cursor, lines);
    for (uint32_t i = 0; i < more; i++)
        w->lines[n++] =
            (struct shred_line){lines[i].payload, (uint32_t)lines[i].n, 0, seq_of(lines[i].end)};
    return n;
}

/* All of a file's batch, likewise. */
static void shred_file(struct worker *w, const struct work_item *item, int64_t now_us)
{
    struct record *in = w->records;
    uint32_t n = 0, before = 0;
    source_cursor_start(w->cursor, item->batch);
    for (;;) {
        n = add_lines(w, before = n);
        if (n == before) {
            if (!source_cursor_next(w->cursor, in))
                break;
            if (!in->defect && in->n <= UINT32_MAX) { /* stays where it is */
                w->lines[n++] = (struct shred_line){in->payload, (uint32_t)in->n, 0, in->seq};
            } else {
                shred_lines(w, item, n, now_us);
                n = 0;
                shred_records(w, item, 1, now_us);
                relieve(w);
            }
        }
        if (n + SOURCE_LINES > SHRED_LINES_MAX) {
            shred_lines(w, item, n, now_us);
            n = 0;
            relieve(w);
        }
    }
    shred_lines(w, item, n, now_us);
}

static void begin_epoch(struct worker *w, uint64_t epoch)
{
    pthread_mutex_lock(&w->lock);
    if (epoch > w->epoch) {
        detach(w);
        w->shed = 0;
        w->epoch = epoch;
    }
    pthread_mutex_unlock(&w->lock);
}

static void publish(struct worker *w, int64_t ns)
{
    pthread_mutex_lock(&w->lock);
    add_counts(&w->counts, &w->counts_before, shredder_counts(w->shredder));
    take_counts(&w->counts, &w->again);
    w->shred_ns += ns;
    pthread_mutex_unlock(&w->lock);
}

/* What came of it goes into `m`. */
static void shred_batch(struct worker *w, const struct work_item *item, struct msg *m)
{
    const struct source_batch *b = item->batch;
    int64_t began = clock_thread_cpu_ns(), now_us = clock_wall_us(w->all->env.clock);
    begin_epoch(w, b->tag);
    const struct shred_counts before = *shredder_counts(w->shredder);
    size_t had = shredder_bytes(w->shredder);
    uint32_t had_sets = shredder_partitions(w->shredder);
    w->relieved = w->relieved_sets = 0;
    shredder_begin(w->shredder);
    (b->format == BATCH_NDJSON ? shred_file : shred_answer)(w, item, now_us);
    shredder_end(w->shredder);
    size_t now = shredder_bytes(w->shredder);
    m->bytes = b->n_data;
    m->grew = now + w->relieved > had ? now + w->relieved - had : 0;
    w->sets = shredder_partitions(w->shredder);
    m->sets = w->sets + w->relieved_sets > had_sets ? w->sets + w->relieved_sets - had_sets : 0;
    charge(w, now);
    m->counts = since(shredder_counts(w->shredder), &before);
    publish(w, clock_thread_cpu_ns() - began);
}

static void shred_item(struct worker *w, struct work_item *item)
{
    struct msg *m = mem_zalloc(sizeof *m);
    shred_batch(w, item, m);
    m->ev.kind = (enum source_event_kind)MSG_BATCH_DONE;
    m->epoch = item->batch->tag;
    m->shard = item->batch->shard;
    m->generation = item->batch->generation;
    source_batch_finish(item->batch);
    free(item);
    if (!queue_push(w->all->env.inbox, m))
        free(m);
}

static void do_task(struct task *t)
{
    t->fn(t->arg);
    pthread_mutex_lock(&t->lock);
    t->done = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* The next batches and tasks come from threads that have little to do, but that at once. */
static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct work_item *item;
    policy_batch();
    while ((item = queue_pop(w->all->queue))) {
        if (item->task)
            do_task(item->task);
        else
            shred_item(w, item);
        if (w->all->env.threads > 1)
            policy_yield();
    }
    return NULL;
}

struct workers *workers_start(const struct workers_env *env)
{
    struct workers *w = mem_zalloc(sizeof *w);
    w->env = *env;
    w->env.shred.alone = env->threads == 1;
    w->queue = queue_new(QUEUE_BATCHES);
    w->each = mem_array(env->threads, sizeof *w->each);
    for (uint32_t i = 0; i < env->threads; i++) {
        struct worker *one = &w->each[i];
        one->all = w;
        pthread_mutex_init(&one->lock, NULL);
        one->shredder = shredder_new(&w->env.shred);
        one->cursor = source_cursor_new();
        one->lines = mem_array(SHRED_LINES_MAX, sizeof *one->lines);
        one->records = mem_array(RECORDS_AT_ONCE, sizeof *one->records);
        thread_start(&one->thread, worker_main, one);
    }
    return w;
}

void workers_push(struct workers *w, const struct work_item *of)
{
    struct work_item *item = mem_zalloc(sizeof *item);
    *item = *of;
    if (!queue_push(w->queue, item)) {
        source_batch_finish(item->batch);
        free(item);
    }
}

static void wait_for(struct task *t)
{
    pthread_mutex_lock(&t->lock);
    while (!t->done)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

void workers_run(struct workers *w, void (*fn)(void *), void *arg)
{
    struct task t = {.fn = fn, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct work_item item = {.task = &t};
    if (w->env.threads > 1 && queue_push_first(w->queue, &item))
        wait_for(&t);
    else
        fn(arg);
    pthread_cond_destroy(&t.changed);
    pthread_mutex_destroy(&t.lock);
}

struct rowset *workers_collect(struct workers *w, uint64_t epoch)
{
    struct rowset *out = NULL;
    for (uint32_t i = 0; i < w->env.threads; i++) {
        struct worker *one = &w->each[i];
        pthread_mutex_lock(&one->lock);
        if (one->epoch <= epoch) {
            detach(one);
            one->shed = 0;
        }
        for (struct rowset **at = &one->detached, *r; (r = *at);) {
            if (r->first_epoch > epoch) {
                at = &r->next;
                continue;
            }
            *at = r->next;
            r->next = out;
            out = r;
        }
        pthread_mutex_unlock(&one->lock);
    }
    return out;
}

void workers_drop(struct workers *w, struct rowset *list)
{
    for (struct rowset *next; list; list = next) {
        next = list->next;
        budget_give(w->env.budget, list->bytes);
        rowset_free(list);
    }
}

void workers_counts(struct workers *w, struct shred_counts *out, int64_t *shred_ns)
{
    memset(out, 0, sizeof *out);
    *shred_ns = 0;
    for (uint32_t i = 0; i < w->env.threads; i++) {
        struct worker *one = &w->each[i];
        pthread_mutex_lock(&one->lock);
        add_counts(out, out, &one->counts);
        *shred_ns += one->shred_ns;
        pthread_mutex_unlock(&one->lock);
    }
}

void workers_forget(struct workers *w)
{
    for (uint32_t i = 0; i < w->env.threads; i++) {
        struct worker *one = &w->each[i];
        pthread_mutex_lock(&one->lock);
        one->counts_before = one->counts;
        one->again = (struct shred_counts){0};
        one->shed = 0;
        shredder_free(one->shredder);
        one->shredder = shredder_new(&w->env.shred);
        pthread_mutex_unlock(&one->lock);
    }
}

size_t workers_open_sets(struct workers *w)
{
    size_t n = 0;
    for (uint32_t i = 0; i < w->env.threads; i++)
        n += w->each[i].sets;
    return n;
}

size_t workers_open_bytes(struct workers *w)
{
    size_t n = 0;
    for (uint32_t i = 0; i < w->env.threads; i++)
        n += w->each[i].charged + w->each[i].shed;
    return n;
}

void workers_stop(struct workers *w)
{
    struct work_item *item;
    if (!w)
        return;
    queue_close(w->queue);
    while ((item = queue_pop(w->queue))) { /* what no thread has begun */
        source_batch_finish(item->batch);
        free(item);
    }
    for (uint32_t i = 0; i < w->env.threads; i++) {
        struct worker *one = &w->each[i];
        pthread_join(one->thread, NULL);
        detach(one);
        workers_drop(w, one->detached);
        charge(one, 0);
        shredder_free(one->shredder);
        source_cursor_free(one->cursor);
        free(one->lines);
        free(one->records);
        pthread_mutex_destroy(&one->lock);
    }
    queue_free(w->queue);
    free(w->each);
    free(w);
}
