/* Leases: whose they are, how one is taken, and how those that are held are kept while the coordinator waits. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parallel.h"
#include "pipeline/run_int.h"

#define LOOK_MS 500

static bool owner_is_dead(const char *owner)
{
    char host[64] = "";
    long pid = 0;
    gethostname(host, sizeof host - 1);
    size_t n = strlen(host);
    if (strncmp(owner, host, n) != 0 || owner[n] != ':' || sscanf(owner + n + 1, "%ld", &pid) != 1)
        return false;
    return pid > 0 && (pid == (long)getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH));
}

bool run_lease_held(const struct run *r, const struct lease *l)
{
    return l->owner && strcmp(l->owner, r->owner) != 0 && (r->leases->shared || !owner_is_dead(l->owner));
}

int run_take_lease(struct run *r, struct lease *l, struct err *e)
{
    r->mark_due |= protocol_must_mark(r->protocol, !l->owner);
    return r->leases->ops->take(r->leases, l, r->owner, e);
}

/* A live owner moves its counter; one that does not for the failover time has lost the lease. */
int run_lease_abandoned(struct run *r, struct lease *l, struct err *e)
{
    uint64_t seen = l->counter;
    int64_t since = clock_boot_ms(r->clock);
    while (run_lease_held(r, l) && clock_boot_ms(r->clock) - since < LEASE_FAILOVER_MS) {
        struct lease now = {0};
        if (l->counter != seen)
            return err_set(e, ERR_CONFLICT, "%s shard %s is being read by %s", l->stream, l->shard, l->owner);
        if (!clock_sleep_unless(r->clock, LOOK_MS, r->config->stop))
            return err_set(e, ERR_STOPPED, "stopped");
        run_renew(r);
        if (r->leases->ops->read(r->leases, l->stream, l->shard, &now, e))
            return -1;
        lease_fini(l);
        *l = now;
    }
    return 0;
}

/* What fails is met again at the next checkpoint, and handled there. */
void run_renew(struct run *r)
{
    int64_t now = clock_boot_ms(r->clock);
    if (now - r->last_renew_ms < LEASE_RENEW_MS)
        return;
    r->last_renew_ms = now;
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].leased && !r->shards[i].ended)
            r->leases->ops->renew(r->leases, &r->shards[i].lease, NULL);
}

static void renew(void *ctx)
{
    run_renew(ctx);
}

/* At the start into a directory nothing of it takes long, and little memory is touched that way. */
void run_each(struct run *r, size_t n, void (*fn)(void *ctx, size_t i), void *ctx)
{
    const struct parallel_beat beat = {LOOK_MS, renew, r};
    if (!r->n_shards || (!r->started_ms && !r->leases->shared && run_readers(r) == 1))
        parallel_each(n, run_readers(r), fn, ctx);
    else
        parallel_beside(n, run_readers(r), fn, ctx, &beat);
}

struct call {
    int (*fn)(void *ctx, struct err *e);
    void *ctx;
    struct err *e;
    int rc;
};

static void call(void *ctx, size_t i)
{
    struct call *c = ctx;
    (void)i;
    c->rc = c->fn(c->ctx, c->e);
}

int run_call(struct run *r, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e)
{
    struct call c = {.fn = fn, .ctx = ctx, .e = e};
    run_each(r, 1, call, &c);
    return c.rc;
}
