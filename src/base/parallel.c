/* parallel: see parallel.h. */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

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
