/* json: numbers against strtod and strtoll, to the last bit; UTF-8, escapes, and repeated keys. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"

static void same_double(const char *text)
{
    double got = 0, want = strtod(text, NULL);
    bool fits = json_double((const uint8_t *)text, strlen(text), &got);
    if (fits != (isfinite(want) != 0) || (fits && memcmp(&got, &want, sizeof got) != 0))
        fail_msg("%s: %.17g, not %.17g", text, got, want);
}

static void doubles_are_the_nearest(void **state)
{
    static const char *const known[] = {
        "0.0", "-0.0", "0.1", "1e999", "-1e999", "1e-400", "5e-324", "2.4703282292062327e-324",
        "1.7976931348623157e308", "1.7976931348623159e308", "9007199254740993.0", "0.30000000000000004",
        "18446744073709551616.0",  /* the mantissa wraps to 0 here */
        "36893488147419103232.00", "1844674407370955161.6", "18446744073709551615.0",
        "9223372036854775807.5", "0.000000000000000000018446744073709551616",
        "4503599627370496.5", "4503599627370497.5", "8.5", "1.00000000000000011102230246251565"};
    unsigned long long x = 88172645463325252ULL;
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        same_double(known[i]);
    for (int i = 0; i < 2000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        unsigned digits = 1 + (unsigned)(x % 20), after = 1 + (unsigned)(x >> 32) % 20;
        unsigned long long whole = x >> 8, part = x * 6364136223846793005ULL;
        while (digits < 20 && whole >= 10 && digits++ < 18)
            whole /= 10;
        snprintf(text, sizeof text, "%s%llu.%0*llu", x & 1 ? "-" : "", whole, (int)after, part);
        char *dot = strchr(text, '.');
        if (strlen(dot + 1) > after)
            dot[after + 1] = '\0';
        same_double(text);
    }
    for (int i = 0; i < 300000; i++) { /* texts next to the half between two doubles */
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        double d = (double)(x >> 11) / (double)(1ULL << (x & 31)), up = nextafter(d, INFINITY);
        snprintf(text, sizeof text, "%.19Lg", ((long double)d + (long double)up) / 2);
        same_double(text);
    }
}

static void longs_fit_or_do_not(void **state)
{
    static const struct {
        const char *text;
        bool fits;
    } known[] = {{"0", true}, {"-0", true}, {"9223372036854775807", true}, {"9223372036854775808", false},
                 {"-9223372036854775808", true}, {"-9223372036854775809", false},
                 {"18446744073709551616", false}, {"-99999999999999999999", false}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int64_t v = 1;
        bool fits = json_long((const uint8_t *)known[i].text, strlen(known[i].text), &v);
        assert_int_equal(fits, known[i].fits);
        if (fits)
            assert_true(v == strtoll(known[i].text, NULL, 10));
    }
}

static enum json_status parse(struct json_tape *t, const char *text)
{
    uint8_t padded[512] = {0};
    size_t where;
    memcpy(padded, text, strlen(text));
    return json_parse(t, padded, strlen(text), &where);
}

static void only_rfc_8259_is_json(void **state)
{
    static const char *const good[] = {"{}", " [ ] ", "0", "-0.0e+1", "\"\\u0000\\ud800\"", "[1,2]",
                                       "{\"a\":{\"b\":[null,true,false]}}", "\"\xf4\x8f\xbf\xbf\""};
    static const char *const bad[] = {"", "{", "[1,]", "{\"a\":1,}", "[,1]", "01", "1.", ".5", "+1", "1e",
                                      "nul", "\"\n\"", "\"\\x\"", "\"\\u12g4\"", "\"a", "[1}", "{]", "1 2",
                                      "{\"a\" 1}", "{1:2}", "NaN", "[1 2]", "\xef\xbb\xbf{}", "--1"};
    static const char *const text[] = {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                                       "\"\xe2\x82\"", "\"\x80\""};
    struct json_tape t = {0};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (parse(&t, good[i]) != JSON_OK)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(&t, bad[i]) != JSON_INVALID)
            fail_msg("taken: %s", bad[i]);
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        assert_int_equal(parse(&t, text[i]), JSON_BAD_UTF8);
    json_tape_fini(&t);
}

static void the_last_of_a_key_wins_however_it_is_written(void **state)
{
    static const char text[600] = "{\"a\":1,\"\\u0061\":2,\"b\\u0000\":3,\"\\u0062\\u0000\":4,\"/\\ud800\":5,"
                                  "\"\\/\\uD800\":6}";
    struct json_tape t = {0};
    size_t where;
    (void)state;
    assert_int_equal(json_parse(&t, (const uint8_t *)text, strlen(text), &where), JSON_OK);
    json_last_wins(&t, (const uint8_t *)text);
    for (uint32_t k = 1, i = 0; k < t.toks[0].next; k = t.toks[k + 1].next, i++)
        assert_int_equal((t.toks[k].flags & TOK_SUPERSEDED) != 0, i % 2 == 0);
    json_tape_fini(&t);
}

static void escapes_become_text(void **state)
{
    static const char text[] = "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00x\\ud800\\ud800";
    struct buf out = {0};
    (void)state;
    json_unescape((const uint8_t *)text, strlen(text), &out);
    assert_string_equal(buf_cstr(&out), "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80x\xed\xa0\x80\xed\xa0\x80");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_are_the_nearest), cmocka_unit_test(longs_fit_or_do_not),
        cmocka_unit_test(only_rfc_8259_is_json),
        cmocka_unit_test(the_last_of_a_key_wins_however_it_is_written),
        cmocka_unit_test(escapes_become_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
