/* alike: pages of values that have much in common with the one before, read back by zstd's own library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/compress.h"
#include "parquet/alike.h"

#define VALUES 20000

static uint64_t seed;
static enum alike found; /* at last */

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void put_text(struct buf *page, const char *text, size_t n)
{
    uint32_t length = (uint32_t)n;
    buf_put(page, &length, 4);
    buf_put(page, text, n);
}

static void put_word(struct buf *page, int64_t v)
{
    buf_put(page, &v, 8);
}

/* What it takes of the page, in thousandths; -1 where it says that they are not alike. */
static int packed(struct buf *page, size_t head, bool texts)
{
    struct compress_zstd *z = compress_zstd_new(1);
    struct compress_matches m = {0};
    struct buf out = {0}, back = {0};
    struct err e = {0};
    int share = -1;
    assert_true(compress_zstd_matches(z));
    memset(buf_reserve(page, ALIKE_PAD), 0, ALIKE_PAD);
    found = texts ? alike_texts(&m, page, head) : alike_words(&m, page, head);
    if (found != ALIKE_NOT) {
        assert_int_equal(compress_zstd_matched(z, &out, page->p, page->n, &m, &e), 0);
        buf_reserve(&back, page->n);
        assert_int_equal(compress_undo(COMPRESS_ZSTD, out.p, out.n, back.p, page->n, &e), 0);
        assert_memory_equal(back.p, page->p, page->n);
        share = (int)(out.n * 1000 / (page->n + 1));
    }
    buf_fini(&out);
    buf_fini(&back);
    compress_matches_fini(&m);
    compress_zstd_free(z);
    page->n = 0;
    return share;
}

static void test_ids(void **state)
{
    struct buf page = {0};
    char text[64];
    (void)state;
    seed = 1;
    buf_put(&page, "head", 4);
    for (int i = 0; i < VALUES; i++) {
        unsigned long long a = next(), b = next();
        int n = snprintf(text, sizeof text, "%08llx-%04llx-4%03llx-%04llx-%012llx", a & 0xffffffff, a >> 48,
                         a >> 36 & 0xfff, b & 0xffff, b >> 16);
        put_text(&page, text, (size_t)n);
    }
    int share = packed(&page, 4, true); /* 122 bits of 40 bytes */
    assert_in_range(share, 381, 480);
    assert_int_equal(found, ALIKE_SOME); /* whole ones may come again, which only zstd would find */
    for (int i = 0; i < VALUES; i++)
        put_text(&page, text, (size_t)snprintf(text, sizeof text, "usr_0000%08llx", (unsigned long long)next() >> 32));
    share = packed(&page, 0, true); /* 32 bits of 20 bytes */
    assert_in_range(share, 200, 215);
    assert_int_equal(found, ALIKE_SURE);
    buf_fini(&page);
}

static void test_times(void **state)
{
    struct buf page = {0};
    char text[64];
    (void)state;
    seed = 2;
    for (int i = 0; i < VALUES; i++) { /* of three lengths */
        unsigned long long v = next();
        int n = snprintf(text, sizeof text, "2026-11-27T18:%02llu:%02llu", v % 60, (v >> 8) % 60);
        if (v >> 63)
            n += snprintf(text + n, sizeof text - (size_t)n, v >> 62 & 1 ? ".%03llu" : ".%06llu", (v >> 16) % 1000);
        text[n++] = 'Z';
        put_text(&page, text, (size_t)n);
    }
    assert_in_range(packed(&page, 0, true), 50, 200);
    assert_int_equal(found, ALIKE_SOME);
    for (int i = 0; i < VALUES; i++)
        put_word(&page, 1795802399000000 + (int64_t)(next() % 3600000000));
    assert_in_range(packed(&page, 0, false), 300, 600);
    for (int i = 0; i < VALUES; i++) /* three bytes of eight are not half */
        put_word(&page, (int64_t)(next() >> 24));
    assert_in_range(packed(&page, 0, false), 600, 700);
    assert_int_equal(found, ALIKE_SOME);
    for (int i = 0; i < VALUES; i++)
        put_word(&page, (int64_t)(next() % 60000));
    assert_in_range(packed(&page, 0, false), 200, 300);
    assert_int_equal(found, ALIKE_SURE);
    buf_fini(&page);
}

/* Of prices many have the lower half of an earlier one; 17 bits are all there is in them. */
static void test_prices(void **state)
{
    struct buf page = {0};
    (void)state;
    seed = 6;
    buf_put(&page, "head", 4);
    for (int i = 0; i < VALUES; i++) {
        double price = (double)(next() % 100000) / 100;
        int64_t bits;
        memcpy(&bits, &price, 8);
        put_word(&page, bits);
    }
    assert_in_range(packed(&page, 4, false), 300, 450);
    assert_int_equal(found, ALIKE_SOME);
    buf_fini(&page);
}

static void test_the_unlike(void **state)
{
    struct buf page = {0};
    static char text[10000];
    (void)state;
    seed = 3;
    for (int i = 0; i < VALUES; i++)
        put_word(&page, (int64_t)next());
    assert_int_equal(packed(&page, 0, false), -1);
    for (int i = 0; i < VALUES; i++) {
        size_t n = next() % 50;
        for (size_t k = 0; k < n; k++)
            text[k] = (char)next();
        put_text(&page, text, n);
    }
    assert_in_range(packed(&page, 0, true), 900, 1000); /* three bytes of a length */
    for (int i = 0; i < 100; i++) /* so long a text is left to zstd, whatever came before it */
        put_text(&page, "the same", 8);
    put_text(&page, text, 9000);
    assert_int_equal(packed(&page, 0, true), -1);
    buf_fini(&page);
}

static void test_few(void **state)
{
    struct buf page = {0};
    (void)state;
    for (int texts = 0; texts < 2; texts++)
        for (int n = 0; n < 10; n++) {
            for (int i = 0; i < n; i++)
                texts ? put_text(&page, "", 0) : put_word(&page, 7);
            assert_true(n < 2 ? packed(&page, 0, texts) == -1 : packed(&page, 0, texts) >= 0);
        }
    buf_fini(&page);
}

/* Values that are all alike, or equal, but for few: in the last byte or in any other, before and after, texts of another length. */
static void test_all_but_few(void **state)
{
    struct buf page = {0};
    (void)state;
    seed = 5;
    for (int round = 0; round < 200; round++) {
        char text[64];
        size_t n = 4 + next() % 40, start = next() % n, end = next() % (n - start);
        memset(text, 'x', sizeof text);
        for (int i = 0; i < 500; i++) {
            for (size_t k = start; round % 8 && k < n - end; k++)
                text[k] = (char)('a' + next() % 26);
            size_t other = next() % 3 && start ? start - 1 : next() % n, size = next() % 90 ? n : next() % n;
            char kept = text[other];
            text[other] = next() % 40 ? kept : '!';
            put_text(&page, text, size);
            text[other] = kept;
        }
        packed(&page, 0, true);
        uint64_t same = next(), mask = UINT64_MAX >> next() % 48 << next() % 40;
        for (int i = 0; i < 500; i++)
            put_word(&page, (int64_t)((same ^ (next() & mask)) + (next() % 40 ? 0 : next())));
        packed(&page, 0, false);
    }
    buf_fini(&page);
}

/* Texts of any length that begin and end alike by chance, some equal to the last. */
static void test_any(void **state)
{
    struct buf page = {0};
    (void)state;
    seed = 4;
    for (int round = 0; round < 300; round++) {
        char text[600] = "";
        size_t n = 0, values = 2 + next() % 3000, vary = 1 + next() % 40;
        buf_put(&page, text, next() % 9);
        size_t head = page.n;
        for (size_t i = 0; i < values; i++) {
            if (next() % 4 == 0)
                n = (size_t)(next() % 8 ? next() % 40 : next() % 600);
            for (size_t k = 0, changes = next() % 5; k < changes && n; k++)
                text[(next() % 2 ? n - 1 - next() % (n < vary ? n : vary) : next() % n)] = (char)('a' + next() % 3);
            put_text(&page, text, n);
        }
        packed(&page, head, true);
        int64_t v = 0;
        for (size_t i = 0; i < values; i++) {
            v = next() % 3 ? v : v ^ (int64_t)(next() >> (next() % 64));
            put_word(&page, v);
        }
        packed(&page, 0, false);
    }
    buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids), cmocka_unit_test(test_times), cmocka_unit_test(test_the_unlike),
        cmocka_unit_test(test_prices), cmocka_unit_test(test_few), cmocka_unit_test(test_all_but_few), cmocka_unit_test(test_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
