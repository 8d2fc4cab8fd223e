/* A ring under one mutex with two conditions: see queue.h. */
#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    size_t capacity, head, count; /* items are at head .. head + count - 1, modulo capacity */
    bool closed;
    void **items;
};

struct queue *queue_new(size_t capacity)
{
    struct queue *q = mem_zalloc(sizeof *q);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->not_empty, &attr);
    pthread_cond_init(&q->not_full, &attr);
    pthread_condattr_destroy(&attr);
    q->capacity = capacity;
    q->items = mem_array(capacity, sizeof *q->items);
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->not_empty);
    pthread_cond_destroy(&q->not_full);
    free(q->items);
    free(q);
}

/* Signals are sent without the lock, or who wakes up would at once wait for it. */
static void unlock_and_signal(struct queue *q, pthread_cond_t *changed, bool did)
{
    pthread_mutex_unlock(&q->lock);
    if (did)
        pthread_cond_signal(changed);
}

static void put(struct queue *q, void *item)
{
    q->items[(q->head + q->count++) % q->capacity] = item;
}

static void put_first(struct queue *q, void *item)
{
    q->head = (q->head + q->capacity - 1) % q->capacity;
    q->items[q->head] = item;
    q->count++;
}

static bool push(struct queue *q, void *item, void (*where)(struct queue *, void *), bool wait)
{
    pthread_mutex_lock(&q->lock);
    while (wait && q->count == q->capacity && !q->closed)
        pthread_cond_wait(&q->not_full, &q->lock);
    bool ok = !q->closed && q->count < q->capacity;
    if (ok)
        where(q, item);
    unlock_and_signal(q, &q->not_empty, ok);
    return ok;
}

bool queue_push(struct queue *q, void *item)
{
    return push(q, item, put, true);
}

bool queue_push_first(struct queue *q, void *item)
{
    return push(q, item, put_first, true);
}

bool queue_try_push(struct queue *q, void *item)
{
    return push(q, item, put, false);
}

static void *take(struct queue *q)
{
    if (!q->count)
        return NULL;
    void *item = q->items[q->head];
    q->head = (q->head + 1) % q->capacity;
    q->count--;
    return item;
}

void *queue_pop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->count && !q->closed)
        pthread_cond_wait(&q->not_empty, &q->lock);
    void *item = take(q);
    unlock_and_signal(q, &q->not_full, item != NULL);
    return item;
}

void *queue_pop_wait(struct queue *q, int64_t timeout_ms)
{
    struct timespec until = clock_until(timeout_ms);
    pthread_mutex_lock(&q->lock);
    while (!q->count && !q->closed && timeout_ms > 0)
        if (pthread_cond_timedwait(&q->not_empty, &q->lock, &until))
            break;
    void *item = take(q);
    unlock_and_signal(q, &q->not_full, item != NULL);
    return item;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_cond_broadcast(&q->not_full);
    pthread_mutex_unlock(&q->lock);
}

size_t queue_count(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->count;
    pthread_mutex_unlock(&q->lock);
    return n;
}
