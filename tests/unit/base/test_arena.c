/* pages and arena: what is taken is one's own, keeps its bytes, and comes back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/pages.h"

#define RUNS 200

struct taken {
    uint8_t *p;
    size_t n;
    uint8_t mark;
    size_t asked;
};

static uint32_t rnd(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* The first and last word of every page: whoever else has the page would write there. */
static void paint(const struct taken *t)
{
    for (size_t i = 0; i < t->n; i += PAGES_ONE) {
        memset(t->p + i, t->mark, 16);
        memset(t->p + i + PAGES_ONE - 16, t->mark, 16);
    }
}

static bool intact(const struct taken *t)
{
    for (size_t i = 0; i < t->n; i += 8)
        if ((i % PAGES_ONE < 16 || i % PAGES_ONE >= PAGES_ONE - 16) && t->p[i] != t->mark)
            return false;
    return true;
}

static void *churn(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    struct taken runs[RUNS] = {0};
    bool good = true;
    for (int step = 0; step < 4000; step++) {
        struct taken *t = &runs[rnd(&seed, RUNS)];
        if (t->p) {
            good &= intact(t);
            pages_give(t->p, step % 2 ? t->n : t->asked);
            t->p = NULL;
            continue;
        }
        t->n = rnd(&seed, 1u << (6 + rnd(&seed, 18))) + 1; /* up to 8 MiB: past what a slab gives */
        size_t asked = t->n;
        t->p = pages_take(&t->n);
        t->asked = asked;
        good &= t->n >= asked && t->n < 2 * asked + PAGES_ONE && (uintptr_t)t->p % PAGES_ONE == 0;
        t->mark = (uint8_t)step;
        paint(t);
    }
    for (int i = 0; i < RUNS; i++)
        if (runs[i].p) {
            good &= intact(&runs[i]);
            pages_give(runs[i].p, runs[i].n);
        }
    return (void *)(uintptr_t)good;
}

static void test_pages_are_ones_own(void **state)
{
    (void)state;
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    for (int i = 0; i < 2; i++) {
        void *good;
        pthread_join(threads[i], &good);
        assert_non_null(good);
    }
    assert_true(pages_mapped() <= (size_t)9 * (8 << 20)); /* the rest went back to the system */
    assert_true(pages_mapped() > 0);
    pages_trim();
    assert_int_equal(pages_mapped(), 0);
}

static void test_an_arena_keeps_what_it_is_given(void **state)
{
    (void)state;
    uint64_t seed = 5;
    size_t total = 7;
    struct arena a = {.total = &total};
    struct taken arrays[40] = {0}, naive[40] = {0};
    for (int step = 0; step < 5000; step++) {
        unsigned i = rnd(&seed, 40);
        struct taken *t = &arrays[i], *same = &naive[i];
        size_t n = t->n + rnd(&seed, rnd(&seed, 20) ? 100 : 40000) + 1, align = (size_t)8 << i % 4;
        size_t least = n;
        t->p = arena_regrow(&a, t->p, t->n, t->n, &n, align);
        assert_true(n >= least);
        same->p = realloc(same->p, n);
        assert_int_equal((uintptr_t)t->p % align, 0);
        for (size_t k = t->n; k < n; k++)
            t->p[k] = same->p[k] = (uint8_t)rnd(&seed, 256);
        t->n = n;
        if (step % 50 == 0) { /* one goes: the others are what they were, and it is room for the next */
            arena_give(&a, t->p, t->n);
            free(same->p);
            *t = *same = (struct taken){0};
        }
        if (step % 100 == 0)
            for (int k = 0; k < 40; k++)
                assert_true(!arrays[k].n || memcmp(arrays[k].p, naive[k].p, arrays[k].n) == 0);
        assert_int_equal(total, 7 + a.bytes);
    }
    size_t held = a.bytes, n = 100000; /* a large one is the system's again at once */
    void *large = arena_regrow(&a, NULL, 0, 0, &n, 64);
    assert_true(a.bytes >= held + 100000);
    arena_give(&a, large, n);
    assert_int_equal(a.bytes, held);
    arena_fini(&a);
    assert_int_equal(total, 7);
    for (int i = 0; i < 40; i++)
        free(naive[i].p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages_are_ones_own),
                                       cmocka_unit_test(test_an_arena_keeps_what_it_is_given)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
