/* source: what all kinds of source share: freeing what crosses the inbox. */
#include "source/source.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/mem.h"

#define SPARES_MAX 32 /* a second's answers of four shards, and more */

struct source_spares {
    pthread_mutex_t lock;
    size_t bytes;
    uint32_t refs, n;
    uint8_t *each[SPARES_MAX];
};

struct source_spares *source_spares_new(size_t bytes)
{
    struct source_spares *s = mem_zalloc(sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->bytes = bytes;
    s->refs = 1;
    return s;
}

struct source_spares *source_spares_ref(struct source_spares *s)
{
    pthread_mutex_lock(&s->lock);
    s->refs++;
    pthread_mutex_unlock(&s->lock);
    return s;
}

void source_spares_drop(struct source_spares *s)
{
    pthread_mutex_lock(&s->lock);
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        free(s->each[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* The one that came back last: it is in the caches still. */
uint8_t *source_spares_take(struct source_spares *s)
{
    pthread_mutex_lock(&s->lock);
    uint8_t *p = s->n ? s->each[--s->n] : NULL;
    pthread_mutex_unlock(&s->lock);
    return p ? p : mem_alloc(s->bytes);
}

void source_spares_give(struct source_spares *s, uint8_t *p)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->n < SPARES_MAX;
    if (room)
        s->each[s->n++] = p;
    pthread_mutex_unlock(&s->lock);
    if (!room)
        free(p);
}

void source_batch_free(struct source_batch *b)
{
    if (!b)
        return;
    if (b->spares) {
        source_spares_give(b->spares, b->data);
        source_spares_drop(b->spares);
    } else {
        free(b->data);
    }
    free(b->parsed);
    free(b);
}

void source_batch_finish(struct source_batch *b)
{
    struct budget *budget = b->budget;
    size_t charged = b->charged_bytes;
    source_batch_free(b); /* first: whoever waits for the budget wants the buffer */
    budget_give(budget, charged);
}

void source_shards_free(struct source_shard *shards, size_t n)
{
    for (size_t i = 0; shards && i < n; i++) {
        free(shards[i].id);
        free(shards[i].parents[0]);
        free(shards[i].parents[1]);
    }
    free(shards);
}

void source_event_free(struct source_event *ev)
{
    if (!ev)
        return;
    source_batch_free(ev->batch);
    source_shards_free(ev->children, ev->n_children);
    free(ev);
}
