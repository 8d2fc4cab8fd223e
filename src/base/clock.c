/* The system's clocks: see clock.h. */
#include "base/clock.h"

#define SLEEP_PIECE_MS 200

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

bool clock_sleep_unless(const struct clock *c, int64_t ms, const volatile sig_atomic_t *stop)
{
    for (int64_t piece; ms > 0 && !(stop && __atomic_load_n(stop, __ATOMIC_RELAXED)); ms -= piece) {
        piece = stop && ms > SLEEP_PIECE_MS ? SLEEP_PIECE_MS : ms;
        c->sleep_ms(c->ctx, piece);
    }
    return !(stop && __atomic_load_n(stop, __ATOMIC_RELAXED));
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

struct timespec clock_until(int64_t ms)
{
    int64_t ns = clock_mono_ns() + ms * 1000000;
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}
