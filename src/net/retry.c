/* retry: see retry.h. */
#include "net/retry.h"

#include "base/clock.h"

#define FIRST_MS 100
#define CAP_MS 20000

int64_t retry_next_ms(struct retry *r)
{
    int64_t first = r->first_ms ? r->first_ms : FIRST_MS, cap = r->cap_ms ? r->cap_ms : CAP_MS;
    int64_t wait = first;
    for (uint32_t i = 0; i < r->attempts && wait < cap; i++)
        wait *= 2;
    if (wait > cap)
        wait = cap;
    r->attempts++;
    if (r->random == 0)
        r->random = ((uint64_t)clock_mono_ns() ^ (uint64_t)(uintptr_t)r) | 1;
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return wait / 2 + (int64_t)(r->random % (uint64_t)(wait / 2 + 1));
}
