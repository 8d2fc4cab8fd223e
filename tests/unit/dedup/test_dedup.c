/* The hot window against a naive model: exact while there is room, first in first out beyond. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dedup/dedup.h"

#define HOUR_US 3600000000LL
#define T0 1764000000000000LL /* a day of 2025 */

static uint64_t state_of_random = 88172645463325252u;

static uint64_t rnd(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    return state_of_random ^= state_of_random << 17;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Every third id is no canonical UUID. */
static void key_of(struct dedup_key *k, char text[128], uint64_t i)
{
    uint64_t a = mix(i), b = mix(i ^ 0xabcdef);
    int n = i % 3 == 1 ? snprintf(text, 64, "order-%llu", (unsigned long long)i)
                       : snprintf(text, 64, "%08x-%04x-%04x-%04x-%012llx", (unsigned)a,
                                  (unsigned)(a >> 32 & 0xffff), (unsigned)(a >> 48),
                                  (unsigned)(b & 0xffff), (unsigned long long)(b >> 16));
    dedup_key(k, (const uint8_t *)text, (size_t)n);
}

static enum dedup_verdict check(struct dedup *d, uint64_t i, uint64_t payload, int64_t at,
                                uint64_t epoch)
{
    char text[128] = "";
    struct dedup_key k;
    key_of(&k, text, i);
    dedup_prefetch(d, &k);
    return dedup_check(d, &k, payload, at, epoch);
}

static void restore(struct dedup *d, uint64_t i, int64_t at)
{
    char text[128] = "";
    struct dedup_key k;
    key_of(&k, text, i);
    dedup_restore(d, &k, at);
}

static void keys(void **state)
{
    char a[128] = "0b7e6f1c-2d3a-4b5c-8d9e-0123456789ab", b[128] = "";
    struct dedup_key k, l;
    (void)state;
    dedup_key(&k, (const uint8_t *)a, 36);
    assert_int_equal(k.n, 0);
    for (size_t i = 0; i < 36; i++) { /* any byte that is no lower-case digit makes it a text */
        memcpy(b, a, 36);
        b[i] = i % 2 ? 'g' : 'A';
        dedup_key(&l, (const uint8_t *)b, 36);
        assert_int_equal(l.n, 36);
        memcpy(b, a, 36);
        b[i] = b[i] == '-' ? '0' : '-';
        dedup_key(&l, (const uint8_t *)b, 36);
        assert_int_equal(l.n, 36);
    }
    dedup_key(&l, (const uint8_t *)a, 35);
    assert_int_equal(l.n, 35);
}

static void verdicts(void **state)
{
    struct dedup *d = dedup_new(1 << 20, HOUR_US);
    struct dedup_stats st;
    (void)state;
    for (uint64_t i = 3; i < 5; i++) { /* a canonical id and a text */
        assert_int_equal(check(d, i, 7, T0, 1), DEDUP_NEW);
        assert_int_equal(check(d, i, 7, T0, 1), DEDUP_SAME);
        assert_int_equal(check(d, i, 8, T0, 2), DEDUP_DIFFERENT);
        assert_int_equal(check(d, i, 0, T0, 2), DEDUP_UNKNOWN_PAYLOAD);
        restore(d, i + 10, T0);
        assert_int_equal(check(d, i + 10, 7, T0, 2), DEDUP_UNKNOWN_PAYLOAD);
    }
    dedup_stats(d, &st);
    assert_int_equal(st.ids, 4);
    assert_int_equal(st.evicted_early, 0);
    dedup_free(d);
    dedup_free(NULL);
}

static void upper_case_is_another_id(void **state)
{
    char a[128] = "0b7e6f1c-2d3a-4b5c-8d9e-0123456789ab";
    char b[128] = "0B7E6F1C-2d3a-4b5c-8d9e-0123456789ab";
    struct dedup *d = dedup_new(1 << 20, HOUR_US);
    struct dedup_key k, l;
    (void)state;
    dedup_key(&k, (const uint8_t *)a, 36);
    dedup_key(&l, (const uint8_t *)b, 36);
    assert_int_equal(dedup_check(d, &k, 1, T0, 1), DEDUP_NEW);
    assert_int_equal(dedup_check(d, &l, 1, T0, 1), DEDUP_NEW);
    dedup_free(d);
}

/* A row that the lake holds is not forgotten because we had it as well. */
static void restored_while_tentative(void **state)
{
    struct dedup *d = dedup_new(1 << 20, HOUR_US);
    (void)state;
    assert_int_equal(check(d, 1, 7, T0, 4), DEDUP_NEW);
    restore(d, 1, T0);
    dedup_forget_from(d, 4);
    assert_int_not_equal(check(d, 1, 7, T0, 5), DEDUP_NEW);
    dedup_free(d);
}

static void commit_never_goes_back(void **state)
{
    struct dedup *d = dedup_new(1 << 20, HOUR_US);
    (void)state;
    assert_int_equal(check(d, 1, 7, T0, 6), DEDUP_NEW);
    dedup_commit_upto(d, 6);
    dedup_commit_upto(d, 5);
    dedup_forget_from(d, 1);
    assert_int_equal(check(d, 1, 7, T0, 7), DEDUP_SAME);
    dedup_free(d);
}

#define IDS 600
struct model {
    bool there;
    uint64_t payload, epoch; /* epoch 0: of the lake */
};

static void like_the_model(void **state)
{
    static struct model m[IDS];
    struct dedup *d = dedup_new(4 << 20, HOUR_US);
    uint64_t epoch = 1, committed = 0;
    (void)state;
    for (int step = 0; step < 400000; step++) {
        uint64_t i = rnd() % IDS, payload = rnd() % 3;
        unsigned what = (unsigned)(rnd() % 1000);
        if (what < 900) {
            uint64_t in = epoch - (epoch > committed + 1 && rnd() % 2); /* two epochs are open */
            enum dedup_verdict want = !m[i].there                 ? DEDUP_NEW
                                      : !payload || !m[i].payload ? DEDUP_UNKNOWN_PAYLOAD
                                      : payload == m[i].payload   ? DEDUP_SAME
                                                                  : DEDUP_DIFFERENT;
            assert_int_equal(check(d, i, payload, T0 + step, in), want);
            if (want == DEDUP_NEW)
                m[i] = (struct model){true, payload, in};
        } else if (what < 960) {
            restore(d, i, T0 + step);
            if (!m[i].there)
                m[i].payload = 0;
            m[i].there = true;
            m[i].epoch = 0;
        } else if (what < 980) {
            epoch++;
        } else if (what < 990) {
            committed = epoch - 1 > committed ? epoch - 1 : committed;
            dedup_commit_upto(d, committed);
        } else {
            uint64_t from = committed + 1 + rnd() % (epoch - committed);
            dedup_forget_from(d, from);
            for (int j = 0; j < IDS; j++)
                if (m[j].there && m[j].epoch > committed && m[j].epoch >= from)
                    m[j].there = false;
        }
    }
    uint64_t live = 0;
    for (int j = 0; j < IDS; j++)
        live += m[j].there;
    struct dedup_stats st;
    dedup_stats(d, &st);
    assert_int_equal(st.ids, live);
    assert_int_equal(st.evicted_early, 0);
    dedup_free(d);
}

/* Small memory: never a false duplicate, never one of the newest lost, never far above the limit.
 */
static void oldest_go_first(void **state)
{
    size_t limit = 1 << 20;
    struct dedup *d = dedup_new(limit, 1000 * HOUR_US);
    struct dedup_stats st;
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        assert_int_equal(check(d, i, 1, T0 + (int64_t)i, 1), DEDUP_NEW);
        if (i >= 3000)
            assert_int_equal(check(d, i - rnd() % 3000, 1, T0 + (int64_t)i, 1), DEDUP_SAME);
    }
    dedup_stats(d, &st);
    assert_true(st.ids > 8000 && st.ids < 40000);
    assert_int_equal(st.ids + st.evicted_early, 200000);
    assert_true(st.bytes <= limit + limit / 4);
    dedup_free(d);
}

/* Long texts among canonical ids: memory stays bounded, and the newest are still known. */
static void long_texts(void **state)
{
    size_t limit = 1 << 19;
    struct dedup *d = dedup_new(limit, 1000 * HOUR_US);
    struct dedup_stats st;
    static char text[3000 + 64];
    (void)state;
    for (uint64_t i = 0; i < 60000; i++) {
        struct dedup_key k;
        size_t n = 20 + mix(i) % (i / 20000 == 1 ? 2900 : 200);
        memset(text, 'a' + (int)(i % 26), n);
        memcpy(text, &i, sizeof i);
        dedup_key(&k, (const uint8_t *)text, n);
        assert_int_equal(dedup_check(d, &k, 1, T0, 1), DEDUP_NEW);
        assert_int_equal(dedup_check(d, &k, 1, T0, 1), DEDUP_SAME);
        assert_int_equal(check(d, i * 3, 1, T0, 1), DEDUP_NEW);
        assert_int_equal(check(d, i * 3, 1, T0, 1), DEDUP_SAME);
        if (i % 500 == 0) {
            dedup_stats(d, &st);
            assert_true(st.bytes <= limit + limit / 4);
        }
    }
    dedup_free(d);
}

static void window_passes(void **state)
{
    struct dedup *d = dedup_new(1 << 20, HOUR_US);
    struct dedup_stats st;
    (void)state;
    for (uint64_t i = 0; i < 300000; i++) /* 1,000 a minute: never more than 60,000 inside */
        check(d, i * 3, 1, T0 + (int64_t)i * 60000, 1);
    dedup_stats(d, &st);
    assert_true(st.oldest_us > T0);
    dedup_free(d);
    d = dedup_new(64 << 20, HOUR_US);
    for (uint64_t i = 0; i < 300000; i++)
        check(d, i * 3, 1, T0 + (int64_t)i * 60000, 1);
    dedup_stats(d, &st);
    assert_int_equal(st.evicted_early, 0);
    assert_true(st.ids < 200000);
    dedup_free(d);
}

static void two_million_in_80_mb(void **state)
{
    struct dedup *d = dedup_new(80 << 20, 1000 * HOUR_US);
    struct dedup_stats st;
    (void)state;
    for (uint64_t i = 0; i < 2000000; i++) {
        struct dedup_key k = {.id = {mix(i), mix(i + 1)}, .hash = mix(i ^ 0x5555)};
        if (dedup_check(d, &k, 1, T0, 1) != DEDUP_NEW)
            fail();
    }
    dedup_stats(d, &st);
    print_message("2M ids: %llu held, %zu bytes\n", (unsigned long long)st.ids, st.bytes);
    dedup_free(d);
    assert_true(st.ids >= 1990000);
    assert_true(st.bytes <= (84u << 20));
}

static struct dedup *shared;
static atomic_uint firsts;

static void *checker(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < 60000; i++)
        if (check(shared, i, 1, T0, 1 + i / 1000) == DEDUP_NEW)
            atomic_fetch_add(&firsts, 1);
    return NULL;
}

static void two_threads(void **state)
{
    pthread_t other;
    (void)state;
    shared = dedup_new(64 << 20, HOUR_US);
    pthread_create(&other, NULL, checker, NULL);
    checker(NULL);
    pthread_join(other, NULL);
    assert_int_equal(firsts, 60000);
    dedup_free(shared);
}

#define FAST 1000000
#define AHEAD 32
static void speed(void **state)
{
    struct dedup *d = dedup_new(256 << 20, HOUR_US);
    char *text = calloc(FAST + 2, 40);
    (void)state;
    for (uint64_t i = 0; i < FAST; i++) {
        struct dedup_key unused;
        char one[128] = "";
        key_of(&unused, one, i * 3);
        memcpy(text + i * 40, one, 36);
    }
    struct dedup_key k[AHEAD];
    int64_t before = clock_thread_cpu_ns();
    for (size_t i = 0; i < FAST; i += AHEAD) {
        for (size_t j = 0; j < AHEAD && i + j < FAST; j++) {
            dedup_key(&k[j], (const uint8_t *)text + (i + j) * 40, 36);
            dedup_prefetch(d, &k[j]);
        }
        for (size_t j = 0; j < AHEAD && i + j < FAST; j++)
            if (dedup_check(d, &k[j], 1, T0, 1) != DEDUP_NEW)
                fail();
    }
    print_message("1M checks: %.3f s\n", (double)(clock_thread_cpu_ns() - before) / 1e9);
    free(text);
    dedup_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(upper_case_is_another_id),
        cmocka_unit_test(restored_while_tentative),
        cmocka_unit_test(commit_never_goes_back),
        cmocka_unit_test(like_the_model),
        cmocka_unit_test(oldest_go_first),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(window_passes),
        cmocka_unit_test(two_million_in_80_mb),
        cmocka_unit_test(two_threads),
        cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
