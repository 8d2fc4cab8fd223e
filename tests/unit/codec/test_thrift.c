/* Thrift's compact protocol: what is written is read again; what is broken is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "codec/thrift.h"

static void write_all(struct buf *out)
{
    struct thrift t = {.out = out};
    thrift_bool(&t, 1, true);
    thrift_i32(&t, 2, -7);
    thrift_i64(&t, 40, INT64_MIN); /* a long step of ids */
    thrift_bytes(&t, 41, "abc", 3);
    thrift_list(&t, 42, THRIFT_I64, 20);
    for (int64_t i = 0; i < 20; i++)
        thrift_item_i64(&t, i * -1000000007);
    thrift_open(&t, 43);
    thrift_list(&t, 1, THRIFT_TRUE, 3);
    for (int i = 0; i < 3; i++)
        thrift_item_bool(&t, i == 1);
    thrift_i16(&t, 2, -3);
    thrift_close(&t);
    thrift_list(&t, 44, THRIFT_STRUCT, 1);
    thrift_item_open(&t);
    thrift_i32(&t, 1, 5);
    thrift_close(&t);
    thrift_bool(&t, 45, false);
    buf_putc(out, 0);
}

static void test_round_trip(void **state)
{
    struct buf b = {0};
    (void)state;
    write_all(&b);
    struct thrift_in in = {.p = b.p, .n = b.n};
    struct thrift_field f = {0};
    int seen = 0;
    while (thrift_next(&in, &f)) {
        seen++;
        if (f.id == 1)
            assert_int_equal(thrift_get_int(&in, &f), 1);
        else if (f.id == 2)
            assert_int_equal(thrift_get_int(&in, &f), -7);
        else if (f.id == 40)
            assert_true(thrift_get_int(&in, &f) == INT64_MIN);
        else if (f.id == 41)
            assert_true(str_eq(thrift_get_bytes(&in, &f), str_of("abc")));
        else if (f.id == 42) {
            assert_int_equal(thrift_get_list(&in, &f, THRIFT_I64), 20);
            for (int64_t i = 0; i < 20; i++)
                assert_true(thrift_item_get_int(&in) == i * -1000000007);
        } else if (f.id == 44) /* of another type than asked for: skipped */
            assert_int_equal(thrift_get_list(&in, &f, THRIFT_BINARY), 0);
        else
            thrift_skip(&in, &f);
    }
    assert_int_equal(seen, 8);
    assert_false(in.bad);
    assert_int_equal(in.at, b.n);
    buf_fini(&b);
}

static void test_cut_short(void **state)
{
    struct buf b = {0};
    (void)state;
    write_all(&b);
    for (size_t n = 0; n < b.n; n++) {
        struct thrift_in in = {.p = b.p, .n = n};
        struct thrift_field f = {0};
        while (thrift_next(&in, &f))
            thrift_skip(&in, &f);
        assert_true(in.bad);
    }
    buf_fini(&b);
}

static void test_too_deep(void **state)
{
    uint8_t deep[1000];
    struct thrift_in in = {.p = deep, .n = sizeof deep};
    struct thrift_field f = {0};
    (void)state;
    memset(deep, 0x1c, sizeof deep); /* a struct in a struct in a struct ... */
    while (thrift_next(&in, &f))
        thrift_skip(&in, &f);
    assert_true(in.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_cut_short),
                                       cmocka_unit_test(test_too_deep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
