/* The config file: what is right is read, what is wrong is named with file:line, nothing crashes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/conftree.h"
#include "cli/render.h"

/* config.c asks the pipeline for its defaults; its own are tested with it. */
void pipeline_config_init(struct pipeline_config *c)
{
    memset(c, 0, sizeof *c);
}

static char path[] = "/tmp/inlet-test-config-XXXXXX";

static int load(struct config *c, const char *yaml, struct err *e)
{
    char *environment[] = {NULL};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(yaml, f);
    fclose(f);
    config_init(c);
    assert_int_equal(options_set(&c->options, OPT_CONFIG, path, ORIGIN_COMMAND_LINE, "--config", e),
                     0);
    return config_load(c, environment, e);
}

static void right_file(void **state)
{
    struct config c;
    struct err e = {0};
    (void)state;
    assert_int_equal(load(&c,
                          "lake: lake\ncommit_interval: 15m\nfsync: false\n"
                          "tables:\n  order:\n    partition_by: [event_subtype, hour(event_time)]\n"
                          "    columns: {price: \"decimal(12,2)\", user.email: json}\n  page: {}\n",
                          &e),
                     0);
    assert_int_equal(options_number(&c.options, OPT_COMMIT_INTERVAL), INT64_C(900) * 1000000);
    assert_false(options_flag(&c.options, OPT_FSYNC));
    assert_int_equal(c.n_tables, 2);
    assert_string_equal(c.tables[0].name, "order");
    assert_string_equal(c.tables[0].partition_by[1], "hour(event_time)");
    assert_null(c.tables[0].partition_by[2]);
    assert_int_equal(c.tables[0].n_columns, 2);
    assert_string_equal(c.tables[0].columns[0].type, "decimal(12,2)");
    assert_null(c.tables[1].partition_by);
    struct pipeline_config p;
    assert_int_equal(config_pipeline(&c, &p, &e), 0);
    assert_string_equal(p.lake, "lake");
    assert_int_equal(p.commit_interval_ms, 900000);
    config_fini(&c);
}

static void wrong_files(void **state)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"lake: a\nmemry: 1GB\n", ":2: unknown key \"memry\"; did you mean \"memory\"?"},
        {"memory: lots\n", ":1: memory: \"lots\" is no size"},
        {"lake: a\nlake: b\n", ":2: \"lake\" is there already"},
        {"- a\n", "`key: value`"},
        {"lake: [a\n", "no valid YAML"},
        {"tables: 3\n", "tables maps"},
        {"tables:\n  a:\n    columns: {x: decimal(40,2)}\n", ":3: column x"},
        {"tables:\n  a:\n    colums: {}\n",
         ":3: unknown key \"colums\"; did you mean \"columns\"?"},
        {"tables:\n  a:\n    partition_by: [week(event_time)]\n", "week(event_time)"},
        {"tables:\n  a:\n    partition_by: day\n", "is a list"},
        {"tables:\n  a:\n    partition_by: [event_name, event_name]\n", "after event_name there is no use for event_name"},
        {"tables:\n  a:\n    partition_by: [day(event_time), hour(event_time)]\n", "no use for hour(event_time)"},
        {"tables:\n  a:\n    partition_by: [event_type]\n", "is not one of event_subtype"},
        {"tables:\n  Order: {}\n", ":2: table Order: no event type has a table of that name; did you mean \"order\"?"},
        {"tables: {inlet_dead_letters: {partition_by: []}}\n", "did you mean \"e_inlet_dead_letters\"?"},
        {"tables: {'': {}}\n", "no event type"},
        {"tables: {a: {columns: {created_at: string}}}\n", "column created_at has its type"},
        {"tables: {a: {columns: {u: json, u.email: hash}}}\n", "column u.email: \"hash\" cannot be kept within column u"},
        {"x: &a [*a]\n", ""},
        {"lake: x\n? [a]\n: b\n", ":2: a key that is no plain text"},
        {"lake: x\nfoo: 1\n", ":2: unknown key \"foo\"; `inlet config` lists them"},
        {"---\nlake: a\n---\nmemory: 1GB\n", ":4: a second document begins here"},
        {"\tmemory: 1GB\n", ":1: no valid YAML: found character that cannot start any token (is it a tab?"},
        {"lake: a\nreason: [invalid_json, not_an_object]\n", ":2: reason: one value belongs here, no list (several have commas"},
        {"memory: {size: 1GB}\n", ":1: memory: one value belongs here, no map"},
        {"tabels: {a: {}}\n", "did you mean \"tables\"?"},
        {"a: [[[[[[[[[[1]]]]]]]]]]\n", "too deep"},
        {"\xc3\x28\n", "no valid YAML"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        struct err e = {0};
        assert_int_equal(load(&c, cases[i].yaml, &e), -1);
        if (!strstr(e.text, cases[i].says))
            fail_msg("case %zu said: %s", i, e.text);
        config_fini(&c);
    }
}

static void hash_needs_a_key(void **state)
{
    struct config c;
    struct err e = {0};
    struct pipeline_config p;
    (void)state;
    assert_int_equal(load(&c, "lake: a\ntables: {t: {columns: {email: hash}}}\n", &e), 0);
    assert_int_equal(config_pipeline(&c, &p, &e), -1);
    assert_non_null(strstr(e.text, "--hash-key-file"));
    config_fini(&c);
}

static void shown_config_is_read_back(void **state)
{
    struct config c, d;
    struct err e = {0};
    struct buf out = {0}, again = {0};
    (void)state;
    assert_int_equal(load(&c,
                          "lake: \"a: b\"\nstart: latest\n"
                          "tables: {t: {partition_by: [event_name], columns: {x: long}}, u: {}}\n",
                          &e),
                     0);
    config_show(&c, false, &out);
    if (load(&d, buf_cstr(&out), &e))
        fail_msg("%s\n%s", e.text, buf_cstr(&out));
    assert_string_equal(options_text(&d.options, OPT_LAKE), "a: b");
    assert_int_equal(d.n_tables, 2);
    config_show(&d, true, &again);
    buf_fini(&out);
    buf_fini(&again);
    config_fini(&c);
    config_fini(&d);
}

static void places(void **state)
{
    struct err e = {0};
    (void)state;
    assert_string_equal(config_stream_name("kinesis://demo", &e), "demo");
    assert_null(config_stream_name("demo", &e));
    assert_null(config_stream_name("kinesis://", &e));
}

static void numbers(void **state)
{
    char t[RENDER_NUMBER_MAX];
    (void)state;
    assert_string_equal(render_number(0, t), "0");
    assert_string_equal(render_number(-1234, t), "-1,234");
    assert_string_equal(render_number(-123, t), "-123");
    assert_string_equal(render_number(1234567, t), "1,234,567");
    assert_string_equal(render_number(INT64_MIN, t), "-9,223,372,036,854,775,808");
    assert_string_equal(render_bytes(1536, t), "1.5 KB");
}

static int made(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int unmade(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_file),       cmocka_unit_test(wrong_files),
        cmocka_unit_test(hash_needs_a_key), cmocka_unit_test(shown_config_is_read_back),
        cmocka_unit_test(places),           cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, made, unmade);
}
