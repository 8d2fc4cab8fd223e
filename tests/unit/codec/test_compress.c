/* Blocks through zstd and back; gzip and snappy are read in tests/unit/parquet/test_foreign.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

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
        assert_int_equal(compress_zstd_put(z, &packed, in, sizeof in, (unsigned)round % 2 * 8, &e),
                         0);
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

/* Hexadecimal digits without repeats: all ways must find their half of a byte. */
static void test_zstd_digits(void **state)
{
    static const char digits[] = "0123456789abcdef";
    struct compress_zstd *z = compress_zstd_new(1);
    static uint8_t in[40000];
    uint64_t seed = 1;
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof in; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        in[i] = (uint8_t)digits[seed >> 60];
    }
    for (unsigned step = 0; step <= 8; step += 4) {
        struct buf packed = {0};
        assert_int_equal(compress_zstd_put(z, &packed, in, sizeof in, step, &e), 0);
        assert_true(packed.n < sizeof in * 55 / 100);
        buf_fini(&packed);
    }
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
        cmocka_unit_test(test_zstd), cmocka_unit_test(test_zstd_digits),
        cmocka_unit_test(test_snappy), cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
