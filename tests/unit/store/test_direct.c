/* Pieces of any length, past the page cache or not: the file has them all; and after a write that failed, what was written
 * before can be had again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store/direct.h"

#define MOST ((size_t)9 << 20)

static uint8_t *bytes; /* MOST of them */

static int setup(void **state)
{
    uint64_t x = 1;
    (void)state;
    bytes = malloc(MOST);
    for (size_t i = 0; bytes && i < MOST; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (uint8_t)(x >> 56);
    }
    return bytes ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(bytes);
    return 0;
}

static int open_new(void)
{
    char name[] = "/tmp/inlet-direct-XXXXXX"; /* a file system that has O_DIRECT, as a rule */
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    return fd;
}

static void same(int fd, size_t n)
{
    uint8_t *there = malloc(n + 1);
    assert_int_equal(pread(fd, there, n + 1, 0), n);
    assert_memory_equal(there, bytes, n);
    free(there);
}

static size_t a_length(unsigned *seed, size_t left)
{
    static const size_t some[] = {1, 100, 4095, 4096, 65535, 65536, 70001, 1 << 20, (2 << 20) - 1, 2 << 20, 5 << 20};
    size_t n = some[(size_t)rand_r(seed) % (sizeof some / sizeof *some)];
    return n < left ? n : left;
}

static void pieces(struct direct_rooms *rooms, unsigned seed, size_t total)
{
    struct direct d = {.rooms = rooms, .fd = open_new()};
    size_t at = 0, middle = (size_t)rand_r(&seed) % total;
    for (size_t n; at < total; at += n) {
        n = a_length(&seed, total - at);
        assert_int_equal(direct_write(&d, bytes + at, n), 0);
        if (at <= middle && at + n > middle && seed % 2)
            assert_int_equal(direct_end(&d), 0); /* what comes then is written as usual */
    }
    assert_int_equal(direct_end(&d), 0);
    same(d.fd, total);
    direct_fini(&d);
    close(d.fd);
}

static void all_there(void **state)
{
    struct direct_rooms *rooms = direct_rooms_new();
    (void)state;
    for (unsigned seed = 0; seed < 60; seed++)
        pieces(seed % 4 ? rooms : NULL, seed, seed % 3 ? MOST - seed : 1 + seed * 1000);
    direct_rooms_free(rooms);
}

static void *many(void *rooms)
{
    for (unsigned seed = 100; seed < 110; seed++)
        pieces(rooms, seed, MOST / 2);
    return NULL;
}

static void side_by_side(void **state)
{
    struct direct_rooms *rooms = direct_rooms_new();
    pthread_t t[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, many, rooms), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    direct_rooms_free(rooms);
}

/* A file that may not grow beyond some size is to a program what a full disk is. */
static void full(void **state)
{
    struct direct_rooms *rooms = direct_rooms_new();
    struct rlimit before, limit;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (unsigned seed = 0; seed < 30; seed++) {
        struct direct d = {.rooms = rooms, .fd = open_new()};
        unsigned next = seed;
        size_t at = 0;
        limit = (struct rlimit){(3u << 20) + seed * 1001, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
        for (size_t n = 100000; direct_write(&d, bytes + at, n) == 0; n = a_length(&next, MOST - at))
            at += n;
        int why = errno;
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(why, EFBIG);
        const uint8_t *rest;
        size_t there = (size_t)direct_written(&d, &rest);
        uint8_t *back = malloc(at);
        assert_true(there + d.n_rest >= at);
        if (at > there)
            memcpy(back + there, rest, at - there);
        assert_int_equal(pread(d.fd, back, there < at ? there : at, 0), there < at ? there : at);
        assert_memory_equal(back, bytes, at);
        free(back);
        direct_fini(&d);
        close(d.fd);
    }
    direct_rooms_free(rooms);
}

/* It is past the page cache where the file system has that: else all these tests would be of the usual way alone. */
static void past_the_cache(void **state)
{
    struct direct_rooms *rooms = direct_rooms_new();
    struct direct d = {.rooms = rooms, .fd = open_new()};
    bool has = fcntl(d.fd, F_SETFL, O_RDWR | O_DIRECT) == 0;
    (void)state;
    fcntl(d.fd, F_SETFL, O_RDWR);
    assert_int_equal(direct_write(&d, bytes, 100000), 0);
    assert_int_equal((fcntl(d.fd, F_GETFL) & O_DIRECT) != 0, has);
    assert_int_equal(direct_end(&d), 0);
    assert_int_equal(fcntl(d.fd, F_GETFL) & O_DIRECT, 0);
    same(d.fd, 100000);
    direct_fini(&d);
    close(d.fd);
    d = (struct direct){.rooms = rooms, .fd = open_new()}; /* what is small is not */
    assert_int_equal(direct_write(&d, bytes, 1000), 0);
    assert_int_equal(fcntl(d.fd, F_GETFL) & O_DIRECT, 0);
    same(d.fd, 1000);
    direct_fini(&d);
    close(d.fd);
    direct_rooms_free(rooms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_there),
        cmocka_unit_test(side_by_side),
        cmocka_unit_test(full),
        cmocka_unit_test(past_the_cache),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
