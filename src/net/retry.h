/* retry: how long to wait before doing something again. Exponential, capped, jittered. */
#ifndef INLET_NET_RETRY_H
#define INLET_NET_RETRY_H

#include <stdint.h>

/* Zero-initialise, with first_ms and cap_ms set (0: 100 ms and 20 s). */
struct retry {
    int64_t first_ms, cap_ms;
    uint32_t attempts; /* since the last success */
    uint64_t random;   /* state; 0 seeds itself */
};

/* Counts a failure; returns the wait: between half and the whole of first * 2^attempts, capped. */
int64_t retry_next_ms(struct retry *r);
static inline void retry_reset(struct retry *r)
{
    r->attempts = 0;
}

#endif
