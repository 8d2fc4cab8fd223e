/* parallel: see parallel.h. */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"

#define THREADS_MAX 64

struct parallel {
    size_t n;
    atomic_size_t next;
    void (*fn)(void *ctx, size_t i);
    void *ctx;
};

static void *parallel_main(void *arg)
{
    struct parallel *p = arg;
    for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->n;)
        p->fn(p->ctx, i);
    return NULL;
}

void parallel_each(size_t n, unsigned threads, void (*fn)(void *ctx, size_t i), void *ctx)
{
    struct parallel p = {.n = n, .fn = fn, .ctx = ctx};
    pthread_t others[THREADS_MAX];
    unsigned begun = 0;
    for (; begun + 1 < threads && begun < THREADS_MAX && begun + 1 < n; begun++)
        if (pthread_create(&others[begun], NULL, parallel_main, &p) != 0)
            break;
    parallel_main(&p);
    for (unsigned i = 0; i < begun; i++)
        pthread_join(others[i], NULL);
}

struct beside {
    struct parallel work;
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned running;
};

static void *beside_main(void *arg)
{
    struct beside *b = arg;
    parallel_main(&b->work);
    pthread_mutex_lock(&b->lock);
    if (!--b->running)
        pthread_cond_signal(&b->done);
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void beat_until_done(struct beside *b, const struct parallel_beat *each)
{
    pthread_mutex_lock(&b->lock);
    while (b->running) {
        struct timespec until = clock_until(each->every_ms);
        while (b->running && pthread_cond_timedwait(&b->done, &b->lock, &until) == 0)
            continue;
        if (!b->running)
            break;
        pthread_mutex_unlock(&b->lock);
        each->beat(each->ctx);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

void parallel_beside(size_t n, unsigned threads, void (*fn)(void *ctx, size_t i), void *ctx, const struct parallel_beat *each)
{
    struct beside b = {.work = {.n = n, .fn = fn, .ctx = ctx}, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t others[THREADS_MAX];
    pthread_condattr_t attr;
    unsigned begun = 0;
    threads = threads ? threads : 1;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b.done, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_lock(&b.lock);
    for (; begun < threads && begun < THREADS_MAX && begun < n; begun++)
        if (pthread_create(&others[begun], NULL, beside_main, &b) != 0)
            break;
    b.running = begun;
    pthread_mutex_unlock(&b.lock);
    if (!begun)
        parallel_main(&b.work);
    beat_until_done(&b, each);
    for (unsigned i = 0; i < begun; i++)
        pthread_join(others[i], NULL);
    pthread_cond_destroy(&b.done);
    pthread_mutex_destroy(&b.lock);
}
