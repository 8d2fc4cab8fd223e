/* gen: the same bytes for the same seed, lines that are what gen_kind_of says, valid JSON (jansson
 * as the judge), the shares asked for, and speed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "event/event.h"
#include "gen/gen.h"

#define START INT64_C(1790000000000000)

static void same_seed_same_bytes(void **state)
{
    (void)state;
    struct gen_options o = gen_defaults(START);
    o.events = 3000;
    struct buf a = {0}, b = {0}, c = {0};
    struct gen *g = gen_new(&o), *h = gen_new(&o);
    while (gen_next(g, &a))
        ;
    for (uint64_t i = 0; i < o.events; i++)
        gen_line(h, i, &b);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    assert_int_equal(gen_expect(g).lines, 3000);
    assert_int_equal(gen_expect(g).bytes, a.n);
    gen_free(h);
    o.seed = 2;
    h = gen_new(&o);
    while (gen_next(h, &c))
        ;
    assert_true(c.n != a.n || memcmp(a.p, c.p, a.n) != 0);
    gen_free(g);
    gen_free(h);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&c);
}

/* What inlet will make of a line. */
static bool is_event(const char *p, size_t n, char uuid[GEN_UUID_LEN + 1])
{
    json_error_t e;
    struct event_time t;
    struct event_time_cache cache = {0};
    struct event_name name;
    json_t *v = json_loadb(p, n, 0, &e);
    const char *u = json_string_value(json_object_get(v, "event_uuid"));
    const char *m = json_string_value(json_object_get(v, "event_name"));
    const char *at = memmem(p, n, "\"created_at\":", 13);
    bool ok = json_is_object(v) && u && strlen(u) == GEN_UUID_LEN && m && at &&
              event_name_parse(m, strlen(m), &name) == REASON_NONE;
    if (ok) {
        at += 13;
        size_t digits = strspn(at, "0123456789.");
        ok = event_time_parse(at, digits, false, UNIT_AUTO, &cache, &t) == REASON_NONE && t.exact;
        ok = ok && llabs(t.time_us - START) < INT64_C(4) * 86400 * 1000000;
        memcpy(uuid, u, GEN_UUID_LEN + 1);
    }
    json_decref(v);
    return ok;
}

static void lines_are_what_they_say(void **state)
{
    (void)state;
    struct gen_options o = gen_defaults(START);
    o.events = 40000;
    o.malformed = 0.01;
    o.duplicates = 0.02;
    o.conflicts = 0.01;
    struct gen *g = gen_new(&o);
    struct buf line = {0}, other = {0};
    struct map seen = {0};
    uint64_t duplicates = 0, malformed = 0;
    for (uint64_t i = 0; i < o.events; i++) {
        char uuid[GEN_UUID_LEN + 1] = "", want[GEN_UUID_LEN];
        uint64_t original = i;
        line.n = 0;
        assert_true(gen_next(g, &line));
        assert_int_equal(line.p[line.n - 1], '\n');
        assert_null(memchr(line.p, '\n', line.n - 1));
        buf_cstr(&line);
        enum gen_kind kind = gen_kind_of(g, i, &original);
        bool event = is_event((char *)line.p, line.n, uuid);
        if (event != (kind != GEN_MALFORMED))
            fail_msg("line %d, kind %d: %s", (int)i, (int)kind, (char *)line.p);
        malformed += !event;
        if (!event)
            continue;
        gen_uuid(o.seed, original, want);
        assert_memory_equal(uuid, want, GEN_UUID_LEN);
        duplicates += map_set(&seen, uuid, GEN_UUID_LEN, g) != NULL;
        if (kind == GEN_DUPLICATE) {
            other.n = 0;
            gen_line(g, original, &other);
            assert_true(original < i && other.n == line.n && !memcmp(other.p, line.p, line.n));
        }
    }
    struct gen_expect x = gen_expect(g);
    assert_false(gen_next(g, &line));
    assert_int_equal(x.unique, seen.count);
    assert_int_equal(x.duplicates, duplicates);
    assert_int_equal(x.malformed, malformed);
    assert_true(duplicates > 600 && duplicates < 1000 && malformed > 300 && malformed < 500);
    map_fini(&seen);
    buf_fini(&line);
    buf_fini(&other);
    gen_free(g);
}

static void names_are_distinct(void **state)
{
    (void)state;
    struct gen_options o = gen_defaults(START);
    o.types = GEN_TYPES_MAX;
    struct gen *g = gen_new(&o);
    struct map seen = {0}, tables = {0};
    for (unsigned i = 0; i < o.types; i++) {
        struct event_name n;
        const char *name = gen_name(g, i);
        assert_int_equal(event_name_parse(name, strlen(name), &n), REASON_NONE);
        assert_null(map_set(&seen, name, strlen(name), g));
        map_set(&tables, n.table, strlen(n.table), g);
    }
    assert_int_equal(tables.count, 20);
    map_fini(&seen);
    map_fini(&tables);
    gen_free(g);
}

static void edges(void **state)
{
    (void)state;
    struct gen_options o = {.events = 500, .types = 1, .duplicates = 5, .malformed = -1};
    struct buf b = {0};
    struct gen *g = gen_new(&o); /* all would be duplicates: none has anything to repeat */
    while (gen_next(g, &b))
        ;
    assert_int_equal(gen_expect(g).unique, 500);
    gen_free(g);
    o.malformed = 1;
    g = gen_new(&o);
    while (gen_next(g, &b))
        ;
    assert_int_equal(gen_expect(g).malformed, 500);
    gen_free(g);
    buf_fini(&b);
}

static void speed(void **state)
{
    (void)state;
    struct gen_options o = gen_defaults(START);
    o.events = 100000;
    struct gen *g = gen_new(&o);
    struct buf b = {0};
    int64_t start = clock_thread_cpu_ns();
    while (gen_next(g, &b))
        if (b.n > 1u << 18)
            b.n = 0;
    double ns = (double)(clock_thread_cpu_ns() - start);
    struct gen_expect x = gen_expect(g);
    print_message("gen: %.0f bytes a line, %.0f MB/s\n", (double)x.bytes / (double)x.lines,
                  (double)x.bytes * 1000 / ns);
    buf_fini(&b);
    gen_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(lines_are_what_they_say),
        cmocka_unit_test(names_are_distinct),
        cmocka_unit_test(edges),
        cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
