/* The option table: every default parses, precedence holds, wrong words are named with the nearest.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

static void sizes(void **state)
{
    int64_t v;
    struct err e = {0};
    (void)state;
    assert_int_equal(options_parse_size("256MB", &v, &e), 0);
    assert_int_equal(v, INT64_C(256) << 20);
    assert_int_equal(options_parse_size("64kb", &v, &e), 0);
    assert_int_equal(v, 65536);
    assert_int_equal(options_parse_size("1.5GiB", &v, &e), 0);
    assert_int_equal(v, INT64_C(3) << 29);
    assert_int_equal(options_parse_size("12", &v, &e), 0);
    assert_int_equal(v, 12);
    const char *const bad[] = {"",     "MB",   "-1MB", "1XB",
                               "1 MB", "0x10", "1e3",  "9999999999999GB",
                               "1MB ", "nan",  "inf",  "1MB2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(options_parse_size(bad[i], &v, &e), -1);
}

static void durations(void **state)
{
    int64_t v;
    struct err e = {0};
    (void)state;
    assert_int_equal(options_parse_duration("250ms", &v, &e), 0);
    assert_int_equal(v, 250000);
    assert_int_equal(options_parse_duration("1h30m", &v, &e), 0);
    assert_int_equal(v, INT64_C(5400) * 1000000);
    assert_int_equal(options_parse_duration("0", &v, &e), 0);
    assert_int_equal(v, 0);
    const char *const bad[] = {"", "60", "s", "1h30", "-1s", "1x", "1h ", "99999999999999999d"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(options_parse_duration(bad[i], &v, &e), -1);
}

static void precedence(void **state)
{
    struct options o;
    struct err e = {0};
    char *args[4], *words[] = {(char[]){"--commit-interval=5s"}, (char[]){"file"}};
    char *environment[] = {(char[]){"INLET_COMMIT_INTERVAL=7s"}, (char[]){"INLET_MEMORY=64MB"},
                           NULL};
    int n;
    (void)state;
    options_init(&o);
    assert_int_equal(options_number(&o, OPT_COMMIT_INTERVAL), 60000000);
    assert_int_equal(options_set_arguments(&o, CMD_LOAD, 2, words, args, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(args[0], "file");
    assert_int_equal(options_set_environment(&o, environment, &e), 0);
    assert_int_equal(options_set_key(&o, "commit_interval", "9s", "f:1", &e), 0);
    assert_int_equal(options_set_key(&o, "memory", "96MB", "f:2", &e), 0);
    assert_int_equal(options_set_key(&o, "zstd-level", "3", "f:3", &e), 0);
    assert_int_equal(options_number(&o, OPT_COMMIT_INTERVAL), 5000000);
    assert_int_equal(options_number(&o, OPT_MEMORY), INT64_C(64) << 20);
    assert_int_equal(options_number(&o, OPT_ZSTD_LEVEL), 3);
    options_fini(&o);
}

static int arguments(struct options *o, unsigned command, const char *word, struct err *e)
{
    char copy[100], *words[] = {copy}, *args[2];
    int n;
    strcpy(copy, word);
    return options_set_arguments(o, command, 1, words, args, &n, e);
}

static void wrong_words(void **state)
{
    struct options o;
    struct err e = {0};
    char *environment[] = {(char[]){"INLET_MEMROY=64MB"}, NULL};
    (void)state;
    options_init(&o);
    assert_int_equal(arguments(&o, CMD_LOAD, "--memroy=1MB", &e), -1);
    assert_non_null(strstr(e.text, "--memory?"));
    assert_int_equal(arguments(&o, CMD_LOAD, "--events=1", &e), -1);
    assert_int_equal(arguments(&o, CMD_LOAD, "--memory=1", &e), -1);
    assert_non_null(strstr(e.text, "too small"));
    assert_int_equal(arguments(&o, CMD_LOAD, "--memory", &e), -1);
    assert_non_null(strstr(e.text, "needs a value"));
    assert_int_equal(arguments(&o, CMD_LOAD, "--created-at-unit=weeks", &e), -1);
    assert_int_equal(arguments(&o, CMD_RUN, "--start=yesterday", &e), -1);
    assert_int_equal(arguments(&o, CMD_LOAD, "-x", &e), -1);
    assert_int_equal(options_set_environment(&o, environment, &e), -1);
    assert_non_null(strstr(e.text, "INLET_MEMORY?"));
    assert_int_equal(options_set_key(&o, "comit_bytes", "1MB", "inlet.yaml:7", &e), -1);
    assert_non_null(strstr(e.text, "inlet.yaml:7"));
    assert_non_null(strstr(e.text, "commit_bytes"));
    options_fini(&o);
}

static void flags(void **state)
{
    struct options o;
    struct err e = {0};
    (void)state;
    options_init(&o);
    assert_true(options_flag(&o, OPT_FSYNC));
    assert_int_equal(arguments(&o, CMD_LOAD, "--no-fsync", &e), 0);
    assert_false(options_flag(&o, OPT_FSYNC));
    assert_int_equal(arguments(&o, CMD_LOAD, "--no-memory", &e), -1);
    assert_int_equal(arguments(&o, CMD_RUN, "--start=2026-11-22T16:24:00Z", &e), 0);
    assert_int_equal(options_number(&o, OPT_START), INT64_C(1795364640) * 1000000);
    options_fini(&o);
}

static void names_are_distinct_within_a_command(void **state)
{
    const struct option *t = options_table();
    (void)state;
    for (int i = 0; i < OPTION_COUNT; i++) {
        assert_non_null(t[i].name);
        assert_true((t[i].kind == OPTION_FLAG) == (t[i].arg == NULL));
        for (int j = 0; j < i; j++) {
            if (t[i].commands & t[j].commands)
                assert_string_not_equal(t[i].name, t[j].name);
            if (t[i].key && t[j].key)
                assert_string_not_equal(t[i].key, t[j].key);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),      cmocka_unit_test(durations),
        cmocka_unit_test(precedence), cmocka_unit_test(wrong_words),
        cmocka_unit_test(flags),      cmocka_unit_test(names_are_distinct_within_a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
