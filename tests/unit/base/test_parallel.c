/* parallel: each index once, whatever the number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_index_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
