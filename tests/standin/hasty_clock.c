/* For LD_PRELOAD: a program whose time goes $HASTE times as fast, so that ten minutes of trouble are half a minute
 * of a test. Clocks, sleeps and the timeouts of waits; time that a CPU is used stays.
 *
 * Names are not resolved (EAI_AGAIN) while the file $NAMES_GONE exists; each such try adds a byte to it. "aws.test" is
 * this machine (curl knows "localhost" by itself). */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

typedef int gettime_fn(clockid_t, struct timespec *);
typedef int sleep_fn(const struct timespec *, struct timespec *);
typedef int poll_fn(struct pollfd *, nfds_t, int);
typedef int wait_fn(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
typedef int names_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static gettime_fn *real_gettime;
static sleep_fn *real_sleep;
static poll_fn *real_poll;
static wait_fn *real_wait;
static names_fn *real_names;
static long long haste = 1, began[16]; /* by clock, in ns */

static long long ns_of(const struct timespec *t)
{
    return t->tv_sec * SECOND + t->tv_nsec;
}

static struct timespec of_ns(long long ns)
{
    return (struct timespec){ns / SECOND, ns % SECOND};
}

/* Also from the first call: others' constructors run before ours. */
__attribute__((constructor)) static void begin(void)
{
    if (real_gettime)
        return;
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
                                       CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE};
    real_gettime = (gettime_fn *)dlsym(RTLD_NEXT, "clock_gettime");
    real_sleep = (sleep_fn *)dlsym(RTLD_NEXT, "nanosleep");
    real_poll = (poll_fn *)dlsym(RTLD_NEXT, "poll");
    real_wait = (wait_fn *)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    real_names = (names_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec t;
        real_gettime(clocks[i], &t);
        began[clocks[i]] = ns_of(&t);
    }
    haste = getenv("HASTE") ? atoll(getenv("HASTE")) : 1;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    begin();
    int rc = real_gettime(clock, t);
    long long from = clock >= 0 && clock < 16 ? began[clock] : 0;
    if (rc == 0 && from)
        *t = of_ns(from + (ns_of(t) - from) * haste);
    return rc;
}

time_t time(time_t *out) /* by which curl forgets names */
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

int nanosleep(const struct timespec *t, struct timespec *rest)
{
    begin();
    struct timespec less = of_ns(ns_of(t) / haste);
    return real_sleep(&less, rest);
}

int poll(struct pollfd *p, nfds_t n, int ms)
{
    begin();
    return real_poll(p, n, ms > 0 ? (int)((ms + haste - 1) / haste) : ms);
}

/* Whose clock it is shows: one counts from 1970, the other from the machine's start. */
int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
    begin();
    long long from = began[until->tv_sec > 1000000000 ? CLOCK_REALTIME : CLOCK_MONOTONIC];
    struct timespec sooner = of_ns(from + (ns_of(until) - from) / haste);
    return real_wait(c, m, &sooner);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    begin();
    const char *gone = getenv("NAMES_GONE");
    int fd = gone ? open(gone, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (fd < 0)
        return real_names(name && strcmp(name, "aws.test") == 0 ? "127.0.0.1" : name, service, hints, out);
    (void)!write(fd, ".", 1);
    close(fd);
    return EAI_AGAIN;
}
