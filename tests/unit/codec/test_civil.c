/* civil: against a day-by-day walk, gmtime's known points, and texts that must not be read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "codec/civil.h"

static void every_day(void **state)
{
    (void)state;
    struct civil want = {1600, 1, 1};
    int64_t day = civil_to_days(1600, 1, 1);
    assert_int_equal(civil_to_days(1970, 1, 1), 0);
    assert_int_equal(civil_to_days(2000, 3, 1), 11017);
    assert_int_equal(civil_to_days(9999, 12, 31) + 1, CIVIL_END_S / 86400);
    for (; want.year < 2500; day++) {
        struct civil got = civil_from_days(day);
        assert_true(got.year == want.year && got.month == want.month && got.day == want.day);
        assert_int_equal(civil_to_days(want.year, want.month, want.day), day);
        if (++want.day > civil_days_in_month(want.year, want.month)) {
            want.day = 1;
            if (++want.month > 12) {
                want.month = 1;
                want.year++;
            }
        }
    }
}

static void texts(void **state)
{
    (void)state;
    char out[CIVIL_TEXT_MAX];
    int64_t us;
    assert_int_equal(civil_format_us(1712844605000000, out), 20);
    assert_string_equal(out, "2024-04-11T14:10:05Z");
    assert_int_equal(civil_format_us(1712844605000012, out), 27);
    assert_string_equal(out, "2024-04-11T14:10:05.000012Z");
    civil_format_us(-1, out);
    assert_string_equal(out, "1969-12-31T23:59:59.999999Z");
    for (int64_t v = -62167219200000000; v < 253402300799999999; v += 2718281828459045) {
        size_t n = civil_format_us(v, out);
        assert_true(civil_parse_us(out, n, &us));
        assert_int_equal(us, v);
    }
    assert_true(civil_parse_us("2024-04-11", 10, &us));
    assert_int_equal(us, 1712793600000000);
    assert_true(civil_parse_us("2024-04-11 14:10", 16, &us));
    assert_int_equal(us, 1712844600000000);
    assert_true(civil_parse_us("2024-04-11T16:10:05.1234567+02:00", 33, &us));
    assert_int_equal(us, 1712844605123456);
}

static void refused(void **state)
{
    (void)state;
    int64_t v;
    const char *bad[] = {"",
                         "2024",
                         "2024-02-30",
                         "2023-02-29",
                         "2024-13-01",
                         "2024-00-01",
                         "2024-04-11T",
                         "2024-04-11T24:00",
                         "2024-04-11T14:60",
                         "2024-04-11T14:10:",
                         "2024-04-11T14:10:60Z",
                         "2024-04-11T14:10:05.Z",
                         "2024-04-11T14:10:05+2",
                         "2024-04-11T14:10:05Zx",
                         "2024/04/11",
                         "2024-04-11T14:10:0",
                         "-024-04-11"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(civil_parse_us(bad[i], strlen(bad[i]), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_day), cmocka_unit_test(texts),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
