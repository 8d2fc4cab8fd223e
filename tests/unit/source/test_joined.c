/* joined: where one object ends and the next begins, against a naive walk, on texts varied and cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "source/joined.h"

/* Character by character, with one flag each for strings and backslashes. */
static size_t naive_end(const char *p, size_t n)
{
    bool string = false, escaped = false;
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (escaped) {
            escaped = false;
        } else if (string) {
            escaped = p[i] == '\\';
            string = p[i] != '"';
        } else if (p[i] == '"') {
            string = true;
        } else if (p[i] == '{') {
            depth++;
        } else if (p[i] == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

static size_t end_of(const char *s)
{
    return joined_end((const uint8_t *)s, strlen(s));
}

static void ends(void **state)
{
    (void)state;
    assert_int_equal(end_of("{}"), 2);
    assert_int_equal(end_of("{}{}"), 2);
    assert_int_equal(end_of("{\"a\":{\"b\":[{}]}}{"), 16);
    assert_int_equal(end_of("{\"a\":\"}{\"}x"), 10);
    assert_int_equal(end_of("{\"a\":\"\\\"}\"}x"), 11);
    assert_int_equal(end_of("{\"a\":\"\\\\\"}x"), 10);
    assert_int_equal(end_of("{\"a\":\"\\\\\\\"}\"}x"), 13);
    assert_int_equal(end_of("{\"a\":\"\\\\"), 0);
    assert_int_equal(end_of("{\"a\":1"), 0);
    assert_int_equal(end_of("{"), 0);
    assert_int_equal(joined_last_end((const uint8_t *)"{} {}\n{\"", 8), 5);
    assert_int_equal(joined_last_end((const uint8_t *)"{}x{}", 5), 2);
    assert_int_equal(joined_last_end((const uint8_t *)"[{}]", 4), 0);
    assert_int_equal(joined_last_end((const uint8_t *)"", 0), 0);
    assert_true(joined_maybe((const uint8_t *)"{}{}", 4));
    assert_false(joined_maybe((const uint8_t *)"{},{}", 5));
    assert_false(joined_maybe((const uint8_t *)"}{", 1));
}

static void as_the_naive_walk(void **state)
{
    static const char letters[] = "{}\"\\a,:[] \n";
    uint32_t x = 1;
    (void)state;
    for (int round = 0; round < 200000; round++) {
        char text[24] = "{";
        size_t n = 1;
        for (; n < 23; n++) {
            x = x * 1664525u + 1013904223u;
            if (x >> 28 == 0)
                break;
            text[n] = letters[(x >> 16) % (sizeof letters - 1)];
        }
        size_t want = naive_end(text, n);
        uint8_t *copy = malloc(n); /* exactly as long: a read beyond it is seen */
        memcpy(copy, text, n);
        if (joined_end(copy, n) != want)
            fail_msg("%.*s: %zu, not %zu", (int)n, text, joined_end(copy, n), want);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends), cmocka_unit_test(as_the_naive_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
