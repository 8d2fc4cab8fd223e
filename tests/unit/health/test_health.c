/* Health's decisions: what counts as "commits go on", what is sent to CloudWatch as what came since. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "health/health.h"

#define MINUTE INT64_C(60000)

static void healthy(void **state)
{
    char why[HEALTH_TEXT_MAX];
    struct live_stats s = {.state = LIVE_STARTING};
    (void)state;
    assert_true(health_ok(&s, MINUTE, 100 * MINUTE, why)); /* stands by */
    assert_false(health_ready(&s, why));
    s = (struct live_stats){.state = LIVE_READING, .published_boot_ms = 100 * MINUTE};
    assert_true(health_ok(&s, MINUTE, 100 * MINUTE, why));
    assert_true(health_ready(&s, why));
    assert_true(health_ok(&s, MINUTE, 105 * MINUTE, why));
    assert_false(health_ok(&s, MINUTE, 105 * MINUTE + 1, why)); /* the main loop hangs */
    assert_non_null(strstr(why, "300 s"));
    s.uncommitted_age_ms = 21 * MINUTE; /* 5 intervals and 16 minutes */
    assert_true(health_ok(&s, MINUTE, 100 * MINUTE, why));
    assert_false(health_ok(&s, MINUTE, 100 * MINUTE + 1, why));
    assert_true(health_ok(&s, 2 * MINUTE, 100 * MINUTE + 1, why));
    s.state = LIVE_DRAINING;
    assert_false(health_ready(&s, why));
    assert_false(health_ok(&s, MINUTE, 101 * MINUTE, why));
}

static void addresses(void **state)
{
    struct err e = {0};
    const char *const good[] = {"127.0.0.1:9090", ":80", "[::1]:0", "localhost:65535"};
    const char *const bad[] = {"", "9090", "::1:9090", "a:", "a:x", "a:65536", "a:-1", "a:999999"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(health_address_check(good[i], &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(health_address_check(bad[i], &e), -1);
}

static void other_tables(void **state)
{
    struct live *l = live_new(2);
    struct live_stats s;
    struct live_table *t;
    size_t n;
    const char *const names[] = {"a", "b", "c", "a", "d", "c"};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct live_table more = {.rows = 1u << i};
        strcpy(more.name, names[i]);
        live_table_add(l, &more);
    }
    live_read(l, &s, &t, &n);
    assert_int_equal(n, 3);
    assert_string_equal(t[0].name, "a");
    assert_int_equal(t[0].rows, 1 + 8);
    assert_int_equal(t[1].rows, 2);
    assert_string_equal(t[2].name, "_other");
    assert_int_equal(t[2].rows, 4 + 16 + 32);
    free(t);
    live_free(l);
}

static void only_what_came_since(void **state)
{
    struct live *l = live_new(10);
    struct health_env env = {.live = l, .version = "1", .stream = "s\"x"};
    struct emf *m = emf_new(&env);
    struct live_stats s = {.published_boot_ms = 1000, .rows_committed = 5, .uncommitted_age_ms = 10};
    struct live_table t = {.name = "order", .rows = 5};
    struct buf out = {0};
    (void)state;
    live_publish(l, &s);
    live_table_add(l, &t);
    emf_lines(m, 42, 1500, &out);
    assert_non_null(strstr(buf_cstr(&out), "\"Rows\": 5"));
    assert_non_null(strstr(buf_cstr(&out), "\"CommitAge\": 510"));
    assert_non_null(strstr(buf_cstr(&out), "\"Stream\": \"sx\""));
    assert_non_null(strstr(buf_cstr(&out), "\"Table\": \"order\""));
    out.n = 0;
    s.rows_committed = 7;
    live_publish(l, &s);
    emf_lines(m, 43, 1500, &out);
    assert_non_null(strstr(buf_cstr(&out), "\"Rows\": 2"));
    assert_null(strstr(buf_cstr(&out), "\"Table\": \"order\"")); /* nothing came */
    buf_fini(&out);
    emf_free(m);
    live_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(healthy),
        cmocka_unit_test(addresses),
        cmocka_unit_test(other_tables),
        cmocka_unit_test(only_what_came_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
