/* The system's clocks: see clock.h. */
#include "base/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t system_wall_us(void *ctx)
{
    (void)ctx;
    return read_ns(CLOCK_REALTIME) / 1000;
}

static int64_t system_boot_ms(void *ctx)
{
    (void)ctx;
    return read_ns(CLOCK_BOOTTIME) / 1000000;
}

static void system_sleep_ms(void *ctx, int64_t ms)
{
    (void)ctx;
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

const struct clock clock_system = {system_wall_us, system_boot_ms, system_sleep_ms, NULL};

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}
