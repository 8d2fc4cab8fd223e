/* See desks.h. The one given back last is taken first. */
#include "pipeline/desks.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

struct desks {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct desk *each, **idle;
    uint32_t n_idle, n;
};

struct desks *desks_new(uint32_t n)
{
    struct desks *d = mem_zalloc(sizeof *d);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->given, NULL);
    d->n = d->n_idle = n ? n : 1;
    d->each = mem_array(d->n, sizeof *d->each);
    d->idle = mem_array(d->n, sizeof *d->idle);
    for (uint32_t i = 0; i < d->n; i++) {
        d->each[i].scratch = pq_scratch_new();
        d->idle[i] = &d->each[i];
    }
    return d;
}

void desks_free(struct desks *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->n; i++) {
        pq_scratch_free(d->each[i].scratch);
        buf_fini(&d->each[i].out);
    }
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->given);
    free(d->each);
    free(d->idle);
    free(d);
}

struct desk *desks_take(struct desks *d)
{
    pthread_mutex_lock(&d->lock);
    while (!d->n_idle)
        pthread_cond_wait(&d->given, &d->lock);
    struct desk *desk = d->idle[--d->n_idle];
    pthread_mutex_unlock(&d->lock);
    return desk;
}

void desks_give(struct desks *d, struct desk *desk)
{
    pthread_mutex_lock(&d->lock);
    d->idle[d->n_idle++] = desk;
    pthread_cond_signal(&d->given);
    pthread_mutex_unlock(&d->lock);
}
