/* range: least and greatest against a plain loop over the values, in pieces of any size. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "parquet/range.h"

#define ROUNDS 3000
#define VALUES 40u
#define TEXT_MAX 40u

static uint32_t rnd(uint32_t below)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 32) % below;
}

static void test_numbers(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct range longs = {0}, doubles = {0};
        int64_t min = INT64_MAX, max = INT64_MIN, nans = 0;
        double least = INFINITY, most = -INFINITY;
        uint32_t numbers = 0, n = 1 + rnd(VALUES);
        int64_t v[VALUES];
        double d[VALUES];
        for (uint32_t i = 0; i < n; i++) {
            v[i] = (int64_t)rnd(UINT32_MAX) - INT32_MAX;
            d[i] = rnd(4) ? (double)v[i] : (double)NAN;
            min = v[i] < min ? v[i] : min;
            max = v[i] > max ? v[i] : max;
            nans += isnan(d[i]) != 0;
            numbers += isnan(d[i]) ? 0 : 1;
            least = d[i] < least ? d[i] : least;
            most = d[i] > most ? d[i] : most;
        }
        for (uint32_t i = 0, some; i < n; i += some) {
            some = 1 + rnd(n - i);
            range_longs(&longs, v + i, some);
            range_doubles(&doubles, d + i, some);
        }
        assert_true(longs.any && longs.min_long == min && longs.max_long == max);
        assert_int_equal(doubles.nans, nans);
        assert_int_equal(doubles.any, numbers > 0);
        assert_true(!doubles.any || (doubles.min_double == least && doubles.max_double == most));
    }
}

static bool less(const uint8_t *a, uint32_t a_n, const uint8_t *b, uint32_t b_n)
{
    int c = memcmp(a, b, a_n < b_n ? a_n : b_n);
    return c < 0 || (c == 0 && a_n < b_n);
}

static bool is(struct str s, const uint8_t *p, uint32_t n)
{
    return s.n == n && memcmp(s.p, p, n) == 0;
}

/* Texts that mostly begin alike, of few letters, one of which is zero; the last one ends where the memory does. */
static void test_texts(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct range r = {0};
        uint8_t all[VALUES * (TEXT_MAX + 4)], *bytes;
        uint32_t lens[VALUES], at[VALUES], n = 1 + rnd(VALUES), size = 0, letters = 2 + rnd(200), least = 0, most = 0;
        uint32_t alike = rnd(TEXT_MAX), longest = 1 + rnd(TEXT_MAX);
        for (uint32_t i = 0; i < n; i++) {
            lens[i] = rnd(longest);
            memcpy(all + size, &lens[i], 4);
            at[i] = size += 4;
            for (uint32_t k = 0; k < lens[i]; k++)
                all[size++] = (uint8_t)(k < alike && rnd(20) ? 'x' : rnd(letters));
        }
        bytes = malloc(size);
        memcpy(bytes, all, size);
        for (uint32_t i = 0; i < n; i++) {
            if (less(bytes + at[i], lens[i], bytes + at[least], lens[least]))
                least = i;
            if (less(bytes + at[most], lens[most], bytes + at[i], lens[i]))
                most = i;
        }
        for (uint32_t i = 0, some; i < n; i += some) {
            some = 1 + rnd(n - i);
            range_texts(&r, bytes + at[i] - 4, bytes + size, some);
        }
        assert_true(r.any && is(r.min_text, bytes + at[least], lens[least]) &&
                    is(r.max_text, bytes + at[most], lens[most]));
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
