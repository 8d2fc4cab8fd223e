/* What sources sent and is not handled yet, in order: for want of memory for rows; or, of a stream, until more of it is
 * there. Shredding a few thousand records finds all that it needs gone from the caches each time, as others had them since
 * the last answers: a second's worth at once costs a quarter less than an answer each. */
#include <string.h>

#include "base/mem.h"
#include "pipeline/run_int.h"

#define GATHER_MS 1000
#define GATHER_SHARE 64 /* ... and this part of the commit interval, at most */
#define GATHER_BYTES ((size_t)32 << 20)

void gather_keep(struct run *r, struct source_event *ev)
{
    size_t end = r->deferred_head + r->n_deferred;
    if (end == r->cap_deferred && r->deferred_head) {
        memmove(r->deferred, r->deferred + r->deferred_head, r->n_deferred * sizeof *r->deferred);
        r->deferred_head = 0;
        end = r->n_deferred;
    }
    if (end == r->cap_deferred) {
        r->cap_deferred = r->cap_deferred * 2 + 64;
        r->deferred = mem_regrow(r->deferred, r->cap_deferred, sizeof *r->deferred);
    }
    r->deferred[end] = ev;
    r->n_deferred++;
}

struct source_event *gather_take(struct run *r)
{
    struct source_event *ev = r->n_deferred ? r->deferred[r->deferred_head++] : NULL;
    if (ev && --r->n_deferred == 0)
        r->deferred_head = 0;
    return ev;
}

/* A stream's batch may wait for others, unless something is at stake beside work. */
static bool may_wait(const struct run *r, const struct source_event *ev)
{
    bool ending = ev->kind == SOURCE_TIP && r->config->until_caught_up;
    return r->config->stream && !r->config->feed && !ending && ev->kind != SOURCE_SHARD_END && ev->kind != SOURCE_FAILED;
}

bool gather_begins(struct run *r, const struct source_event *ev, int64_t now)
{
    if (!may_wait(r, ev)) {
        r->gather_until_ms = 0;
        return false;
    }
    if (ev->kind == SOURCE_BATCH && !r->n_deferred) {
        int64_t most = r->config->commit_interval_ms / GATHER_SHARE;
        r->gather_until_ms = now + (most < GATHER_MS ? most : GATHER_MS);
    }
    return r->gather_until_ms != 0;
}

bool gather_goes_on(struct run *r, int64_t now)
{
    size_t most = budget_limit(r->fetched) / 4 * 3;
    bool on = now < r->gather_until_ms && !r->restarting && !r->draining && !run_asked_to_stop(r) &&
              budget_used(r->fetched) < (most < GATHER_BYTES ? most : GATHER_BYTES);
    if (!on)
        r->gather_until_ms = 0;
    return on;
}
