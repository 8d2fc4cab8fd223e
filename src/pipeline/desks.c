/* See desks.h. The one given back last is taken first. */
#include "pipeline/desks.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

struct desks {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct pq_scratch **idle;
    uint32_t n_idle, n;
};

struct desks *desks_new(uint32_t n)
{
    struct desks *d = mem_zalloc(sizeof *d);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->given, NULL);
    d->n = d->n_idle = n ? n : 1;
    d->idle = mem_array(d->n, sizeof(struct pq_scratch *));
    for (uint32_t i = 0; i < d->n; i++)
        d->idle[i] = pq_scratch_new();
    return d;
}

void desks_free(struct desks *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->n_idle; i++)
        pq_scratch_free(d->idle[i]);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->given);
    free(d->idle);
    free(d);
}

struct pq_scratch *desks_take(struct desks *d)
{
    pthread_mutex_lock(&d->lock);
    while (!d->n_idle)
        pthread_cond_wait(&d->given, &d->lock);
    struct pq_scratch *s = d->idle[--d->n_idle];
    pthread_mutex_unlock(&d->lock);
    return s;
}

void desks_give(struct desks *d, struct pq_scratch *s)
{
    pthread_mutex_lock(&d->lock);
    d->idle[d->n_idle++] = s;
    pthread_cond_signal(&d->given);
    pthread_mutex_unlock(&d->lock);
}
