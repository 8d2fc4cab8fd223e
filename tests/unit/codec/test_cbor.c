/* CBOR: the examples of RFC 8949, appendix A; what is cut short, or asked for as another kind, moves nothing on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "codec/cbor.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static void number(double want, const uint8_t *p, size_t n)
{
    double got = 0;
    struct cbor c = {p, p + n};
    assert_true(cbor_number(&c, &got));
    assert_true(got == want);
    assert_ptr_equal(c.p, p + n);
    for (size_t cut = 0; cut < n; cut++) {
        struct cbor less = {p, p + cut};
        assert_false(cbor_number(&less, &got));
        assert_ptr_equal(less.p, p);
        assert_false(cbor_skip(&less));
    }
}

static void numbers(void **state)
{
    (void)state;
    number(0, BYTES("\x00"));
    number(23, BYTES("\x17"));
    number(100, BYTES("\x18\x64"));
    number(1000, BYTES("\x19\x03\xe8"));
    number(1000000, BYTES("\x1a\x00\x0f\x42\x40"));
    number(1000000000000, BYTES("\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00"));
    number(-1, BYTES("\x20"));
    number(-1000, BYTES("\x39\x03\xe7"));
    number(1.1, BYTES("\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a"));
    number(100000, BYTES("\xfa\x47\xc3\x50\x00"));
    number(1363896240, BYTES("\xc1\x1a\x51\x4b\x67\xb0"));
    number(1363896240.5, BYTES("\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00"));
}

static void strings(void **state)
{
    (void)state;
    static const char text[] = "\x64IETF", bytes[] = "\x44\x01\x02\x03\x04", chunks[] = "\x7f\x65strea\x64ming\xff";
    struct cbor c = {(const uint8_t *)text, (const uint8_t *)text + 5}, b = {(const uint8_t *)bytes, (const uint8_t *)bytes + 5};
    struct cbor open = {(const uint8_t *)chunks, (const uint8_t *)chunks + sizeof chunks - 1};
    const char *p;
    size_t n;
    double d;
    assert_false(cbor_string(&c, CBOR_BYTES, &p, &n));
    assert_false(cbor_number(&c, &d));
    assert_true(cbor_string(&c, CBOR_TEXT, &p, &n));
    assert_int_equal(n, 4);
    assert_memory_equal(p, "IETF", 4);
    assert_true(c.p == c.end);
    assert_true(cbor_string(&b, CBOR_BYTES, &p, &n));
    assert_memory_equal(p, "\x01\x02\x03\x04", 4);
    assert_false(cbor_string(&open, CBOR_TEXT, &p, &n));
    assert_true(cbor_skip(&open));
    assert_true(open.p == open.end);
}

/* 1: skipped to its end, and not before that is there; else never. */
static void passes(bool good, const uint8_t *p, size_t n)
{
    for (size_t cut = 0; cut <= n; cut++) {
        struct cbor c = {p, p + cut};
        assert_int_equal(cbor_skip(&c), good && cut == n);
        assert_ptr_equal(c.p, good && cut == n ? p + n : p);
    }
}

static void skips(void **state)
{
    (void)state;
    passes(true, BYTES("\x83\x01\x82\x02\x03\x82\x04\x05"));
    passes(true, BYTES("\x9f\x01\x82\x02\x03\x9f\x04\x05\xff\xff"));
    passes(true, BYTES("\xa2\x61\x61\x01\x61\x62\x82\x02\x03"));
    passes(true, BYTES("\xbf\x61\x61\x01\x61\x62\x9f\x02\x03\xff\xff"));
    passes(true, BYTES("\xc1\x1a\x51\x4b\x67\xb0"));
    passes(true, BYTES("\x5f\x42\x01\x02\x43\x03\x04\x05\xff"));
    passes(true, BYTES("\xf9\x3c\x00"));
    passes(true, BYTES("\xf5"));
    passes(false, BYTES("\xff"));
    passes(false, BYTES("\x1c"));                                 /* no such length */
    passes(false, BYTES("\x1f"));                                 /* a number without one */
    passes(false, BYTES("\x5b\xff\xff\xff\xff\xff\xff\xff\xff")); /* more than there can be */
    passes(false, BYTES("\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"));
    passes(true, BYTES("\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x01"));
    passes(false, BYTES("\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x01")); /* deeper than anything sent */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(strings), cmocka_unit_test(skips)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
