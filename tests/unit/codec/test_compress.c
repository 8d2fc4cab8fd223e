/* Blocks through zstd and back; gzip and snappy are read in tests/unit/parquet/test_foreign.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "codec/compress.h"

static void test_zstd(void **state)
{
    struct compress_zstd *z = compress_zstd_new(1);
    struct buf packed = {0};
    struct err e = {0};
    uint8_t in[5000], out[5001];
    (void)state;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * i >> 5);
    for (int round = 0; round < 4; round++) { /* the context is used again */
        packed.n = 0;
        assert_int_equal(compress_zstd_put(z, &packed, in, sizeof in, &e), 0);
        assert_true(packed.n < sizeof in);
        assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p, packed.n, out, sizeof in, &e), 0);
        assert_memory_equal(in, out, sizeof in);
    }
    assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p, packed.n, out, sizeof in + 1, &e), -1);
    assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p, packed.n, out, sizeof in - 1, &e), -1);
    assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p, packed.n / 2, out, sizeof in, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    buf_fini(&packed);
    compress_zstd_free(z);
}

static uint64_t seed;

static size_t below(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return n ? seed % n : 0;
}

/* Small ones mostly, but of all sizes. */
static size_t any_size(size_t max)
{
    size_t n = below((size_t)2 << below(18));
    return n < max ? n : max;
}

/* Bytes with matches of all lengths and distances among them; returns how many. */
static size_t make(uint8_t *p, size_t max, struct compress_matches *m, unsigned often)
{
    size_t n = 0, last = 1;
    compress_matches_begin(m);
    while (n + 300000 < max) {
        size_t literals = n && below(often) ? below(often * 8) : 1 + any_size(250000);
        size_t match = COMPRESS_MATCH_MIN + (below(often) ? below(20) : any_size(COMPRESS_MATCH_MAX - COMPRESS_MATCH_MIN));
        size_t kinds = 1 + below(256);
        for (size_t i = 0; i < literals; i++)
            p[n++] = (uint8_t)below(kinds);
        size_t back = below(3) && last <= n ? last : 1 + below(below(4) ? (n < 300 ? n : 300) : n);
        last = below(2) ? back : last;
        for (size_t i = 0; i < match; i++, n++)
            p[n] = p[n - back];
        compress_matches_add(m, literals, match, back);
    }
    for (size_t i = any_size(250000); i; i--) /* after the last one */
        p[n++] = (uint8_t)below(5);
    return n;
}

/* n bytes with those matches come back as they were. */
static void check_back(struct compress_zstd *z, struct compress_matches *m, const uint8_t *in, uint8_t *back, size_t n)
{
    struct buf packed = {0};
    struct err e = {0};
    assert_int_equal(compress_zstd_matched(z, &packed, in, n, m, &e), 0);
    assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p, packed.n, back, n, &e), 0);
    assert_memory_equal(in, back, n);
    buf_fini(&packed);
}

static void test_matches(void **state)
{
    size_t max = (size_t)2 << 20;
    uint8_t *in = mem_alloc(max), *back = mem_alloc(max);
    struct compress_zstd *z = compress_zstd_new(1), *small = compress_zstd_new(3);
    struct compress_matches m = {0};
    struct err e = {0};
    (void)state;
    assert_true(compress_zstd_matches(z));
    assert_false(compress_zstd_matches(small)); /* it is to look for itself */
    for (uint64_t round = 1; round < 25; round++) {
        struct buf packed = {0};
        seed = round * 77777;
        size_t n = make(in, max, &m, 1u + (unsigned)below(60));
        if (round % 2) /* the context is used for both */
            assert_int_equal(compress_zstd_put(z, &packed, in, n, &e), 0);
        size_t before = packed.n;
        assert_int_equal(compress_zstd_matched(z, &packed, in, n, &m, &e), 0);
        assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p + before, packed.n - before, back, n, &e), 0);
        assert_memory_equal(in, back, n);
        buf_fini(&packed);
    }
    compress_matches_fini(&m);
    compress_zstd_free(small);
    compress_zstd_free(z);
    free(back);
    free(in);
}

static void test_no_match(void **state)
{
    static uint8_t in[300000], back[300000];
    struct compress_zstd *z = compress_zstd_new(1);
    struct compress_matches m = {0};
    (void)state;
    for (size_t n = 0; n < sizeof in; n = n * 3 + 1) {
        memset(in, (int)n, n);
        compress_matches_begin(&m);
        check_back(z, &m, in, back, n);
    }
    compress_matches_fini(&m);
    compress_zstd_free(z);
}

/* The same match over and over, of blocks' sizes and beyond, the first of all among them. */
static void test_repeat(void **state)
{
    size_t max = (size_t)1 << 20;
    uint8_t *in = mem_alloc(max), *back = mem_alloc(max);
    struct compress_zstd *z = compress_zstd_new(1);
    struct compress_matches m = {0};
    (void)state;
    seed = 10;
    for (int round = 0; round < 60; round++) {
        size_t literals = 3 + any_size(3000), match = 3 + below(literals - 2), n = 0;
        size_t times = below(max / (literals + match));
        for (size_t i = 0; i < times; i++) {
            for (size_t k = 0; k < literals; k++)
                in[n++] = (uint8_t)below(50);
            for (size_t k = 0; k < match; k++, n++)
                in[n] = in[n - literals];
        }
        compress_matches_begin(&m);
        for (size_t left = times, some; left; left -= some) {
            some = below(3) ? left : 1 + below(left);
            compress_matches_repeat(&m, literals, match, literals, some);
        }
        check_back(z, &m, in, back, n);
    }
    compress_matches_fini(&m);
    compress_zstd_free(z);
    free(back);
    free(in);
}

/* What is stored stays as it is, and what comes after it in the same context gets smaller again. */
static void test_stored(void **state)
{
    static uint8_t in[300000], back[300000];
    struct compress_zstd *fast = compress_zstd_new(1), *other = compress_zstd_new(3);
    struct compress_matches m = {0};
    struct err e = {0};
    (void)state;
    seed = 9;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t) "0123456789abcdef"[below(16)];
    for (size_t n = 0; n < sizeof in; n = n * 3 + 1) {
        struct buf packed = {0};
        assert_int_equal(compress_zstd_stored(fast, &packed, in, n, &m, &e), 0);
        assert_in_range(packed.n, n, n + 20);
        assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p, packed.n, back, n, &e), 0);
        assert_memory_equal(in, back, n);
        packed.n = 0;
        compress_matches_begin(&m);
        assert_int_equal(compress_zstd_matched(fast, &packed, in, n, &m, &e), 0);
        assert_true(packed.n < n * 6 / 10 + 30);
        packed.n = 0;
        assert_int_equal(compress_zstd_stored(other, &packed, in, n, &m, &e), 0); /* it cannot, and tries */
        assert_int_equal(compress_undo(COMPRESS_ZSTD, packed.p, packed.n, back, n, &e), 0);
        assert_memory_equal(in, back, n);
        buf_fini(&packed);
    }
    compress_matches_fini(&m);
    compress_zstd_free(fast);
    compress_zstd_free(other);
}

/* Matches are taken, and what is between them stays as it is; afterwards it gets smaller again. */
static void test_bare(void **state)
{
    static uint8_t in[320000], back[sizeof in];
    struct compress_zstd *z = compress_zstd_new(1);
    struct compress_matches m = {0};
    struct buf bare = {0}, packed = {0};
    struct err e = {0};
    (void)state;
    seed = 11;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = i % 32 < 24 || i < 32 ? (uint8_t) "0123456789abcdef"[below(16)] : in[i - 32];
    for (int squeeze = 0; squeeze < 2; squeeze++) {
        compress_matches_begin(&m);
        compress_matches_add(&m, 32 + 24, 8, 32);
        compress_matches_repeat(&m, 24, 8, 32, sizeof in / 32 - 2);
        int rc = (squeeze ? compress_zstd_matched : compress_zstd_bare)(z, squeeze ? &packed : &bare, in, sizeof in, &m, &e);
        assert_int_equal(rc, 0);
    }
    assert_in_range(bare.n, sizeof in / 32 * 24, sizeof in / 32 * 25);
    assert_true(packed.n < sizeof in / 32 * 14);
    assert_int_equal(compress_undo(COMPRESS_ZSTD, bare.p, bare.n, back, sizeof back, &e), 0);
    assert_memory_equal(in, back, sizeof in);
    buf_fini(&bare);
    buf_fini(&packed);
    compress_matches_fini(&m);
    compress_zstd_free(z);
}

static void test_snappy(void **state)
{
    /* 11 bytes: the literal "abc", then 8 from 3 back */
    static const uint8_t good[] = {11, 2 << 2, 'a', 'b', 'c', (8 - 4) << 2 | 1, 3};
    uint8_t bad[sizeof good], out[11];
    struct err e = {0};
    (void)state;
    assert_int_equal(compress_undo(COMPRESS_SNAPPY, good, sizeof good, out, 11, &e), 0);
    assert_memory_equal(out, "abcabcabcab", 11);
    memcpy(bad, good, sizeof good);
    bad[6] = 4; /* from before the start */
    assert_int_equal(compress_undo(COMPRESS_SNAPPY, bad, sizeof bad, out, 11, &e), -1);
    bad[6] = 0;
    assert_int_equal(compress_undo(COMPRESS_SNAPPY, bad, sizeof bad, out, 11, &e), -1);
    for (size_t n = 0; n < sizeof good; n++)
        assert_int_equal(compress_undo(COMPRESS_SNAPPY, good, n, out, 11, &e), -1);
}

static void test_others(void **state)
{
    uint8_t out[4];
    struct err e = {0};
    (void)state;
    assert_int_equal(compress_undo(COMPRESS_NONE, (const uint8_t *)"abcd", 4, out, 4, &e), 0);
    assert_memory_equal(out, "abcd", 4);
    assert_int_equal(compress_undo(COMPRESS_NONE, (const uint8_t *)"abcd", 4, out, 3, &e), -1);
    assert_int_equal(compress_undo(COMPRESS_GZIP, (const uint8_t *)"abcd", 4, out, 4, &e), -1);
    assert_int_equal(compress_undo(4, (const uint8_t *)"abcd", 4, out, 4, &e), -1);
    assert_string_equal(compress_codec_name(6), "ZSTD");
    assert_string_equal(compress_codec_name(-1), "codec?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zstd), cmocka_unit_test(test_matches), cmocka_unit_test(test_no_match),
        cmocka_unit_test(test_stored), cmocka_unit_test(test_bare), cmocka_unit_test(test_repeat),
        cmocka_unit_test(test_snappy), cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
