#include "dedup/texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST 5000

struct kept {
    uint64_t at, hash;
    uint32_t n;
    uint8_t fill;
};

static void stands(const struct kept *k)
{
    assert_int_equal(texts_hash(k->at), k->hash);
    for (uint32_t i = 0; i < k->n; i++)
        assert_int_equal(texts_at(k->at)[i], k->fill);
}

/* Texts of all lengths come and go, mostly the oldest first: each stands as it was put until it goes, as many bytes are
 * counted as were told before, and nothing is left. */
static void test_as_put_until_dropped(void **state)
{
    (void)state;
    static struct kept ring[MOST];
    static uint8_t text[3000];
    struct texts t = {0};
    uint32_t head = 0, count = 0;
    size_t most = 0;
    srand(1);
    for (uint32_t step = 0; step < 60000; step++) {
        if (count == MOST || (count && rand() % 3 == 0)) {
            struct kept *first = &ring[head], *k = rand() % 20 ? first : &ring[(head + (uint32_t)rand() % count) % MOST];
            stands(k);
            texts_drop(&t, k->at, k->n);
            *k = *first;
            head = (head + 1) % MOST;
            count--;
            continue;
        }
        struct kept *k = &ring[(head + count++) % MOST];
        *k = (struct kept){0, (uint64_t)rand() << 33 | (uint64_t)rand(), rand() % 50 ? (uint32_t)rand() % 60 : (uint32_t)rand() % 3000,
                           (uint8_t)rand()};
        memset(text, k->fill, k->n);
        size_t before = t.bytes, growth = texts_growth(&t, k->n);
        k->at = texts_put(&t, text, k->n, k->hash);
        assert_int_equal(t.bytes, before + growth);
        most = t.bytes > most ? t.bytes : most;
    }
    assert_in_range(most, MOST * 30, MOST * 30 * 4); /* an average of 60, and 8 for the hash */
    for (; count; count--, head = (head + 1) % MOST) {
        stands(&ring[head]);
        texts_drop(&t, ring[head].at, ring[head].n);
    }
    assert_int_equal(t.bytes, 0);
    assert_int_equal(t.n_long, 0);
    assert_null(t.pages);
}

static void test_all_pages_at_once(void **state)
{
    (void)state;
    struct texts t = {0};
    for (uint64_t i = 0; i < 1000; i++)
        texts_put(&t, (const uint8_t *)"0123456789", i % 11, i);
    assert_true(t.bytes >= 1000 * 16);
    texts_fini(&t);
    assert_int_equal(t.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_put_until_dropped),
        cmocka_unit_test(test_all_pages_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
