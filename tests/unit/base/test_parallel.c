/* parallel: each index once, whatever the number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/parallel.h"

#define N 1000

static atomic_int calls[N + 1];

static void once(void *ctx, size_t i)
{
    assert_ptr_equal(ctx, calls);
    atomic_fetch_add(&calls[i], 1);
}

static void each_index_once(void **state)
{
    static const unsigned threads[] = {0, 1, 2, 7, 64, 1000};
    static const size_t counts[] = {0, 1, 2, N};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            parallel_each(counts[c], threads[t], once, calls);
            for (size_t i = 0; i <= N; i++) {
                assert_int_equal(calls[i], i < counts[c]);
                calls[i] = 0;
            }
        }
}

static void beat(void *ctx)
{
    atomic_int *beats = ctx;
    atomic_fetch_add(beats, 1);
}

static void each_index_once_beside(void **state)
{
    static const unsigned threads[] = {0, 1, 7, 1000};
    static const size_t counts[] = {0, 1, N};
    atomic_int beats = 0;
    const struct parallel_beat often = {1, beat, &beats};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            parallel_beside(counts[c], threads[t], once, calls, &often);
            for (size_t i = 0; i <= N; i++) {
                assert_int_equal(calls[i], i < counts[c]);
                calls[i] = 0;
            }
        }
}

struct waits {
    pthread_t caller;
    atomic_int beats, done;
};

static void until_beaten(void *ctx, size_t i)
{
    struct waits *w = ctx;
    (void)i;
    assert_false(pthread_equal(pthread_self(), w->caller));
    while (w->beats < 3)
        sched_yield();
    w->done++;
}

static void beat_of_the_caller(void *ctx)
{
    struct waits *w = ctx;
    assert_true(pthread_equal(pthread_self(), w->caller));
    w->beats++;
}

/* None of it ends before the third beat. */
static void the_caller_beats_until_all_is_done(void **state)
{
    struct waits w = {.caller = pthread_self()};
    const struct parallel_beat often = {1, beat_of_the_caller, &w};
    (void)state;
    parallel_beside(5, 2, until_beaten, &w, &often);
    assert_int_equal(w.done, 5);
    assert_true(w.beats >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_index_once),
                                       cmocka_unit_test(each_index_once_beside),
                                       cmocka_unit_test(the_caller_beats_until_all_is_done)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
