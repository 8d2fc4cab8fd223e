/* base64: round trips at every length, and every foreign character is refused wherever it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "codec/base64.h"

static void round_trip(void **state)
{
    (void)state;
    uint8_t in[300], out[500];
    char text[500];
    srand(7);
    for (size_t n = 0; n < sizeof in; n++) {
        for (size_t i = 0; i < n; i++)
            in[i] = (uint8_t)rand();
        size_t len = base64_encode(text, in, n);
        assert_int_equal(len, base64_encoded(n));
        assert_int_equal(base64_decode(out, text, len), n);
        assert_memory_equal(out, in, n);
        while (len && text[len - 1] == '=')
            len--;
        assert_int_equal(base64_decode(out, text, len), n);
        assert_memory_equal(out, in, n);
    }
}

static void refuses(void **state)
{
    (void)state;
    uint8_t out[500];
    char text[200];
    for (int c = 0; c < 256; c++) {
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            c == '+' || c == '/')
            continue;
        for (size_t at = 0; at < 150; at++) {
            memset(text, 'A', sizeof text);
            text[at] = (char)c;
            assert_int_equal(base64_decode(out, text, 160), -1);
        }
    }
    assert_int_equal(base64_decode(out, "A", 1), -1);
    assert_int_equal(base64_decode(out, "====", 4), -1);
    assert_int_equal(base64_decode(out, "", 0), 0);
}

/* A row of characters up to any other one, wherever that stands: as if its end had been known. */
static void runs(void **state)
{
    (void)state;
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", ends[] = "\"\\ =\0-\xff";
    uint8_t out[400], want[400];
    char text[400];
    srand(11);
    for (int round = 0; round < 30000; round++) {
        size_t len = (size_t)rand() % 200, taken = 0, pads = (size_t)rand() % 3, most = (size_t)rand() % 8 ? 300 : (size_t)rand() % 220;
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = alphabet[rand() % 64];
        memset(text + len, '=', pads);
        text[len + pads] = ends[(size_t)rand() % (sizeof ends - 1)];
        size_t whole = strspn(text, alphabet);
        whole = whole < most ? whole : most;
        int64_t n = base64_decode_run(out, text, most, &taken);
        assert_true(taken >= whole && taken <= most && taken <= whole + 2);
        assert_int_equal(n, base64_decode(want, text, taken));
        if (n > 0)
            assert_memory_equal(out, want, (size_t)n);
        if (pads && len % 4 == 4 - pads && len + pads <= most)
            assert_int_equal(taken, len + pads);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(refuses),
                                       cmocka_unit_test(runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
