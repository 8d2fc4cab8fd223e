/* clock: the one way to time. Injectable, so that tests and the simulator have a time of their own. */
#ifndef INLET_BASE_CLOCK_H
#define INLET_BASE_CLOCK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct clock {
    int64_t (*wall_us)(void *ctx); /* microseconds since 1970, UTC */
    int64_t (*boot_ms)(void *ctx); /* monotonic, counts time spent suspended (CLOCK_BOOTTIME) */
    void (*sleep_ms)(void *ctx, int64_t ms);
    void *ctx;
};

extern const struct clock clock_system;

static inline int64_t clock_wall_us(const struct clock *c)
{
    return c->wall_us(c->ctx);
}
static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_us(c->ctx) / 1000;
}
static inline int64_t clock_boot_ms(const struct clock *c)
{
    return c->boot_ms(c->ctx);
}

/* Sleeps, but not once *stop is set (NULL: never): false then. */
bool clock_sleep_unless(const struct clock *c, int64_t ms, const volatile sig_atomic_t *stop);

/* CPU and monotonic nanoseconds, for stage timing only. */
int64_t clock_mono_ns(void);
int64_t clock_thread_cpu_ns(void);

/* So long from now, on the monotonic clock: for pthread_cond_timedwait. */
struct timespec clock_until(int64_t ms);

#endif
