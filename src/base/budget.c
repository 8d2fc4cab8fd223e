/* One counter under a mutex: it is touched once a batch, not once a record. See budget.h. */
#include "base/budget.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct budget {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    size_t limit, used, peak, low;
    uint32_t patient; /* who waits without end */
    bool closed;
};

struct budget *budget_new(size_t limit_bytes)
{
    struct budget *b = mem_zalloc(sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->freed, &attr);
    pthread_condattr_destroy(&attr);
    b->limit = limit_bytes;
    b->low = SIZE_MAX;
    return b;
}

void budget_free(struct budget *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->freed);
    free(b);
}

static bool fits(const struct budget *b, size_t n)
{
    return b->used == 0 || (n <= b->limit && b->used <= b->limit - n);
}

static void add(struct budget *b, size_t n)
{
    b->used += n;
    if (b->used > b->peak)
        b->peak = b->used;
}

bool budget_take(struct budget *b, size_t n)
{
    pthread_mutex_lock(&b->lock);
    b->patient++;
    while (!b->closed && !fits(b, n))
        pthread_cond_wait(&b->freed, &b->lock);
    b->patient--;
    bool ok = !b->closed;
    if (ok)
        add(b, n);
    pthread_mutex_unlock(&b->lock);
    return ok;
}

bool budget_take_within(struct budget *b, size_t n, int64_t ms)
{
    struct timespec until = clock_until(ms);
    pthread_mutex_lock(&b->lock);
    while (b->closed || !fits(b, n)) /* closed: as if it were full, so that nobody spins */
        if (pthread_cond_timedwait(&b->freed, &b->lock, &until))
            break;
    bool ok = !b->closed && fits(b, n);
    if (ok)
        add(b, n);
    pthread_mutex_unlock(&b->lock);
    return ok;
}

bool budget_try_take(struct budget *b, size_t n)
{
    pthread_mutex_lock(&b->lock);
    bool ok = !b->closed && fits(b, n);
    if (ok)
        add(b, n);
    pthread_mutex_unlock(&b->lock);
    return ok;
}

void budget_force(struct budget *b, size_t n)
{
    pthread_mutex_lock(&b->lock);
    add(b, n);
    pthread_mutex_unlock(&b->lock);
}

void budget_give(struct budget *b, size_t n)
{
    pthread_mutex_lock(&b->lock);
    invariant(n <= b->used);
    b->used -= n;
    bool wake = b->patient || b->used <= b->low;
    pthread_mutex_unlock(&b->lock);
    if (wake) /* without the lock, or who wakes up would at once wait for it */
        pthread_cond_broadcast(&b->freed);
}

void budget_change(struct budget *b, size_t before, size_t now)
{
    if (now > before)
        budget_force(b, now - before);
    else if (now < before)
        budget_give(b, before - now);
}

void budget_wake_at(struct budget *b, size_t low)
{
    pthread_mutex_lock(&b->lock);
    b->low = low;
    pthread_mutex_unlock(&b->lock);
}

void budget_close(struct budget *b)
{
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    pthread_cond_broadcast(&b->freed);
    pthread_mutex_unlock(&b->lock);
}

size_t budget_used(struct budget *b)
{
    pthread_mutex_lock(&b->lock);
    size_t n = b->used;
    pthread_mutex_unlock(&b->lock);
    return n;
}

size_t budget_limit(const struct budget *b)
{
    return b->limit;
}

size_t budget_peak(struct budget *b)
{
    pthread_mutex_lock(&b->lock);
    size_t n = b->peak;
    pthread_mutex_unlock(&b->lock);
    return n;
}
