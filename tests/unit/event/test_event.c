/* event: created_at against the digits sent and against strtod/printf; names and tables. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "event/event.h"

static struct event_time_cache cache;

static void want(const char *text, enum time_unit unit, const char *datetime, int64_t us,
                 bool exact)
{
    struct event_time t = {0};
    enum reason r = event_time_parse(text, strlen(text), false, unit, &cache, &t);
    if (r || t.datetime_n != strlen(datetime) || memcmp(t.datetime, datetime, t.datetime_n) ||
        t.time_us != us || t.exact != exact)
        fail_msg("%s: reason %d, %.*s, %lld us, exact %d", text, (int)r, (int)t.datetime_n,
                 t.datetime, (long long)t.time_us, t.exact);
    if (t.number != strtod(text, NULL))
        fail_msg("%s: %.17g", text, t.number);
}

static void refuse(const char *text, enum reason reason)
{
    struct event_time t = {0};
    enum reason r = event_time_parse(text, strlen(text), false, UNIT_AUTO, &cache, &t);
    if (r != reason)
        fail_msg("%s: %s", text, event_reason_code(r));
}

static void times_keep_digits(void **state)
{
    (void)state;
    want("1712844605", UNIT_AUTO, "2024-04-11T14:10:05Z", 1712844605000000, true);
    want("1712844605.9512355", UNIT_AUTO, "2024-04-11T14:10:05.9512355Z", 1712844605951235, true);
    want("1712844605.950", UNIT_AUTO, "2024-04-11T14:10:05.950Z", 1712844605950000, true);
    want("1712844605123", UNIT_AUTO, "2024-04-11T14:10:05.123Z", 1712844605123000, true);
    want("1712844605123.25", UNIT_AUTO, "2024-04-11T14:10:05.12325Z", 1712844605123250, true);
    want("1712844605123456", UNIT_AUTO, "2024-04-11T14:10:05.123456Z", 1712844605123456, true);
    want("1712844605123456789", UNIT_AUTO, "2024-04-11T14:10:05.123456789Z", 1712844605123456,
         false);
    want("1712844605123456768", UNIT_AUTO, "2024-04-11T14:10:05.123456768Z", 1712844605123456,
         true);
    want("1.7e9", UNIT_AUTO, "2023-11-14T22:13:20Z", 1700000000000000, true);
    want("17000000005e-1", UNIT_AUTO, "2023-11-14T22:13:20.5Z", 1700000000500000, true);
    want("1.7128446059512355E+9", UNIT_AUTO, "2024-04-11T14:10:05.9512355Z", 1712844605951235,
         true);
    want("0", UNIT_AUTO, "1970-01-01T00:00:00Z", 0, true);
    want("-0", UNIT_AUTO, "1970-01-01T00:00:00Z", 0, true);
    want("0.0", UNIT_AUTO, "1970-01-01T00:00:00.0Z", 0, true);
    want("0.25", UNIT_AUTO, "1970-01-01T00:00:00.25Z", 250000, true);
    want("1e-7", UNIT_AUTO, "1970-01-01T00:00:00.0000001Z", 0, true);
    want("5", UNIT_MILLIS, "1970-01-01T00:00:00.005Z", 5000, true);
    want("5", UNIT_NANOS, "1970-01-01T00:00:00.000000005Z", 0, true);
    want("253402300799", UNIT_SECONDS, "9999-12-31T23:59:59Z", 253402300799000000, true);
    want("253402300799999999999", UNIT_NANOS, "9999-12-31T23:59:59.999999999Z", 253402300799999999,
         false);
    want("99999999999", UNIT_AUTO, "5138-11-16T09:46:39Z", 99999999999000000, true);
    want("99999999999.9", UNIT_AUTO, "5138-11-16T09:46:39.9Z", 99999999999900000, true);
    want("100000000000", UNIT_AUTO, "1973-03-03T09:46:40.000Z", 100000000000000, true);
    want("1712844605.50000000000000000000000", UNIT_AUTO,
         "2024-04-11T14:10:05.50000000000000000000000Z", 1712844605500000, true);
    want("1712844605.10000000000000000000000", UNIT_AUTO,
         "2024-04-11T14:10:05.10000000000000000000000Z", 1712844605100000, false);
    want("1712844605.9999999999", UNIT_AUTO, "2024-04-11T14:10:05.9999999999Z", 1712844605999999,
         false);
    want("1e-400", UNIT_AUTO, "1970-01-01T00:00:00.0000000000000000000000000000000000000000000Z", 0,
         false);
}

static void times_refused(void **state)
{
    (void)state;
    const char *bad[] = {"",    "-",    "+1", "01", ".5",   "1.",    "1e",  "1e+",      "1x",
                         "NaN", "true", " 1", "1 ", "0x10", "1.5.5", "--1", "Infinity", "\"1\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(bad[i], REASON_INVALID_CREATED_AT);
    const char *far[] = {"-1",
                         "-0.0000001",
                         "1e400",
                         "1e22",
                         "253402300800000000000",
                         "99999999999999999999999999999999999999",
                         "1e999999999999999999999"};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        refuse(far[i], REASON_CREATED_AT_OUT_OF_RANGE);
    struct event_time t;
    assert_int_equal(event_time_parse("253402300800", 12, false, UNIT_SECONDS, &cache, &t),
                     REASON_CREATED_AT_OUT_OF_RANGE);
    assert_int_equal(event_time_parse("17", 2, true, UNIT_SECONDS, &cache, &t), REASON_NONE);
    assert_false(t.exact);
}

static uint64_t rng = 88172645463325252u;
static uint64_t next(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    return rng ^= rng << 17;
}

/* Any number of up to 25 digits: the double is strtod's and `exact` is what printf gives back. */
/* Seconds side by side, across minutes and days, back and forth. */
static void times_of_day_as_libc(void **state)
{
    (void)state;
    struct event_time_cache near = {0};
    for (int i = 0; i < 200000; i++) {
        time_t second = 1700006400 + (time_t)(next() % 3) * 86400 - 90 + (time_t)(next() % 180);
        char want[32], got[32] = "";
        struct tm tm;
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &tm));
        uint64_t of_day = event_time_of_day(second, &near);
        memcpy(got, near.date, 11);
        memcpy(got + 11, &of_day, 8);
        assert_string_equal(got, want);
    }
}

static void times_as_libc(void **state)
{
    (void)state;
    for (int i = 0; i < 300000; i++) {
        char text[80], back[80];
        unsigned fracs = (unsigned)(next() % 14);
        uint64_t whole = next() >> (next() % 50 + 8), part = 0;
        int n = snprintf(text, sizeof text, "%llu", (unsigned long long)whole);
        if (fracs) {
            text[n++] = '.';
            for (unsigned k = 0; k < fracs; k++) {
                part = next() % 10;
                text[n++] = (char)('0' + part);
            }
            text[n] = 0;
        }
        struct event_time t = {0};
        enum reason r = event_time_parse(text, (size_t)n, false, UNIT_NANOS, &cache, &t);
        double d = strtod(text, NULL);
        snprintf(back, sizeof back, "%.*f", (int)fracs, d);
        if (r || t.number != d || t.exact != (strcmp(text, back) == 0) ||
            t.time_us != (int64_t)(whole / 1000))
            fail_msg("%s: reason %d %.17g exact %d", text, (int)r, t.number, t.exact);
    }
}

static void times_are_fast(void **state)
{
    (void)state;
    struct event_time t = {0};
    static char texts[1024][32];
    for (int i = 0; i < 1024; i++)
        snprintf(texts[i], sizeof texts[i], "%d.%07d", 1712844605 + i * 7, i * 9711 + 3);
    uint64_t sum = 0;
    int64_t start = clock_thread_cpu_ns();
    for (int i = 0; i < 200000; i++) {
        event_time_parse(texts[i & 1023], 18, false, UNIT_AUTO, &cache, &t);
        sum += (uint64_t)t.time_us;
    }
    print_message("created_at: %.1f ns (%d)\n", (double)(clock_thread_cpu_ns() - start) / 200000,
                  (int)(sum & 1));
}

static void name_is(const char *name, const char *type, const char *subtype, const char *table)
{
    struct event_name n;
    assert_int_equal(event_name_parse(name, strlen(name), &n), REASON_NONE);
    assert_true(str_eq(n.type, str_of(type)));
    assert_int_equal(n.has_subtype, subtype != NULL);
    if (subtype)
        assert_true(str_eq(n.subtype, str_of(subtype)));
    assert_string_equal(n.table, table);
}

static void names(void **state)
{
    (void)state;
    struct event_name n;
    name_is("a", "a", NULL, "a");
    name_is("a:b", "a", "b", "a");
    name_is("Page View:b:c", "Page View", "b", "page_view");
    name_is("a:", "a", NULL, "a");
    name_is("a::c", "a", NULL, "a");
    name_is("inlet_x:y", "inlet_x", "y", "e_inlet_x");
    name_is("INLET-x", "INLET-x", NULL, "e_inlet_x");
    name_is("inlet", "inlet", NULL, "inlet");
    name_is("\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9", NULL, "__t__");
    assert_int_equal(event_name_parse("", 0, &n), REASON_INVALID_NAME);
    assert_int_equal(event_name_parse(":a", 2, &n), REASON_INVALID_NAME);
    assert_int_equal(event_name_parse("a\0b", 3, &n), REASON_INVALID_NAME);
    assert_int_equal(event_name_parse("a\nb", 3, &n), REASON_INVALID_NAME);
    char big[EVENT_NAME_MAX + 2];
    memset(big, 'x', sizeof big);
    assert_int_equal(event_name_parse(big, EVENT_NAME_MAX + 1, &n), REASON_INVALID_NAME);
    assert_int_equal(event_name_parse(big, EVENT_NAME_MAX, &n), REASON_NONE);
    assert_int_equal(strlen(n.table), EVENT_TABLE_MAX);
    memcpy(big, "inlet_", 6);
    assert_int_equal(event_name_parse(big, EVENT_NAME_MAX, &n), REASON_NONE);
    assert_int_equal(strlen(n.table), EVENT_TABLE_MAX);
    assert_memory_equal(n.table, "e_inlet_x", 9);
}

static void safe_names(void **state)
{
    (void)state;
    char a[65], b[65];
    event_safe_name("Foo-Bar", 7, 64, a);
    assert_string_equal(a, "foo_bar");
    event_safe_name("", 0, 64, a);
    assert_string_equal(a, "_");
    event_safe_name("abcdefghijklmnopqrstuvwxyz1", 27, 20, a);
    event_safe_name("abcdefghijklmnopqrstuvwxyz2", 27, 20, b);
    assert_int_equal(strlen(a), 20);
    assert_memory_equal(a, "abcdefghijk_", 12);
    assert_string_not_equal(a, b);
    for (int r = 0; r < REASON_COUNT; r++) {
        assert_non_null(event_reason_code((enum reason)r));
        assert_non_null(event_reason_text((enum reason)r));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_keep_digits),
        cmocka_unit_test(times_refused),
        cmocka_unit_test(times_as_libc),
        cmocka_unit_test(times_of_day_as_libc),
        cmocka_unit_test(times_are_fast),
        cmocka_unit_test(names),
        cmocka_unit_test(safe_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
