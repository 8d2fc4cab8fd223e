/* Tables on a local store and a SQLite catalog in a directory of their own; races are staged by a
 * second handle. KEEP_LAKE=DIR leaves the lake there, to be looked at with another reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "iceberg/manifests.h"
#include "table/table.h"

#define DAY INT64_C(86400000000)

struct env {
    char *dir;
    struct store *store;
    struct catalog *catalog;
    struct lake lake;
    uint64_t seed;
    struct err e;
    uint32_t n; /* files made */
};

static void random_bytes(void *ctx, void *p, size_t n)
{
    uint64_t *seed = ctx;
    for (uint8_t *at = p; n--; at++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        *at = (uint8_t)(*seed >> 56);
    }
}

static int set_up(void **state)
{
    struct env *v = mem_zalloc(sizeof *v);
    const char *keep = getenv("KEEP_LAKE");
    char template[] = "/tmp/inlet-table-XXXXXX";
    v->dir = mem_strdup(keep ? keep : mkdtemp(template));
    v->seed = (uint64_t)getpid() * 7919 + (uint64_t)clock_mono_ns();
    char *db = mem_printf("%s/catalog.db", v->dir);
    v->store = store_local_open(v->dir, false, &v->e);
    assert_non_null(v->store);
    v->catalog = catalog_sqlite_open(db, "default", false, &v->e);
    assert_non_null(v->catalog);
    assert_int_equal(v->catalog->ops->namespace_ensure(v->catalog, "events", &v->e), 0);
    v->lake = (struct lake){.store = v->store,
                            .catalog = v->catalog,
                            .clock = &clock_system,
                            .ns = "events",
                            .engine_version = "0",
                            .snapshot_age_ms = 86400000,
                            .snapshots_max = 50,
                            .random = random_bytes,
                            .random_ctx = &v->seed};
    free(db);
    *state = v;
    return 0;
}

static int tear_down(void **state)
{
    struct env *v = *state;
    catalog_close(v->catalog);
    store_close(v->store);
    char *cmd = mem_printf("rm -rf '%s'", v->dir);
    if (!getenv("KEEP_LAKE") && system(cmd) != 0)
        return -1;
    free(cmd);
    free(v->dir);
    free(v);
    return 0;
}

static struct table *make(struct env *v, const char *name)
{
    static const char *const properties[] = {"write.metadata.delete-after-commit.enabled", "true",
                                             NULL};
    struct schema s;
    schema_event_base(&s);
    struct partition_field day = {COL_EVENT_TIME, "event_time_day", "day"};
    struct sort_field sort[] = {{COL_EVENT_SUBTYPE}, {COL_EVENT_TIME}};
    struct table_spec spec = {&s, &day, 1, sort, 2, properties};
    struct table *t = table_create(&v->lake, name, &spec, &v->e);
    schema_fini(&s);
    assert_non_null(t);
    return t;
}

static int append_to(struct env *v, struct table *t, struct append *a,
                     struct append_attempt *attempt, int32_t day)
{
    struct partition_value part = {.number = day};
    struct data_leaf leaf = {.field_id = COL_EVENT_TIME,
                             .column_bytes = 20,
                             .values = 10,
                             .nans = -1,
                             .has_bounds = true};
    int64_t lower = day * DAY, upper = day * DAY + 10 + v->n, offset = 4;
    memcpy(leaf.lower, &lower, 8);
    memcpy(leaf.upper, &upper, 8);
    leaf.lower_n = leaf.upper_n = 8;
    struct data_file f = {table_data_key(t, &part, v->n++), 10, 4, &part, &leaf, 1, &offset, 1};
    assert_int_equal(store_put(v->store, f.key, "PAR1", 4, &v->e), 0);
    a->files = &f;
    a->n_files = 1;
    int rc = table_append(t, a, attempt, &v->e);
    free(f.key);
    return rc;
}

static void append_ok(struct env *v, struct table *t, int32_t day)
{
    struct append a = {0};
    struct append_attempt attempt = {0};
    if (append_to(v, t, &a, &attempt, day))
        fail_msg("%s", v->e.text);
    free(attempt.metadata_location);
}

struct seen {
    uint32_t n;
    int64_t rows, last_sequence;
    bool ordered, bounds;
};

static bool see(void *ctx, const struct table_file *f)
{
    struct seen *s = ctx;
    s->ordered &= s->n == 0 || f->sequence_number <= s->last_sequence;
    s->bounds &= f->has_bounds && f->key != NULL;
    s->last_sequence = f->sequence_number;
    s->rows += f->rows;
    s->n++;
    return true;
}

static void check_files(struct env *v, struct table *t, uint32_t n)
{
    struct seen s = {.ordered = true, .bounds = true};
    if (table_files(t, COL_EVENT_TIME, see, &s, &v->e))
        fail_msg("%s", v->e.text);
    assert_int_equal(s.n, n);
    assert_int_equal(s.rows, 10 * n);
    assert_true(s.ordered && s.bounds);
}

static void test_create_append_look(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "clicks"), *again = make(v, "clicks");
    check_files(v, t, 0);
    append_ok(v, t, 20000);
    append_ok(v, t, -3);
    append_ok(v, t, 20001);
    check_files(v, t, 3);
    assert_int_equal(table_reload(again, &v->e), 0);
    check_files(v, again, 3);
    struct table_facts facts;
    assert_int_equal(table_facts(again, &facts, &v->e), 0);
    assert_int_equal(facts.rows, 30);
    assert_int_equal(facts.files, 3);
    assert_int_equal(facts.bytes, 12);
    assert_int_equal(facts.snapshots, 3);
    assert_true(facts.newest_event_us == 20001 * DAY + 12);
    const struct partition_field *p;
    assert_int_equal(table_partition(t, &p), 1);
    assert_string_equal(p->transform, "day");
    char **names;
    size_t n;
    table_free(make(v, "a"));
    assert_int_equal(lake_tables(&v->lake, &names, &n, &v->e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "a");
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    table_free(t);
    table_free(again);
    assert_null(table_load(&v->lake, "nothing", &v->e));
    assert_int_equal(v->e.kind, ERR_NOTFOUND);
}

static void count_json(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    (void)bytes;
    (void)modified_ms;
    *(uint32_t *)ctx += strstr(key, ".metadata.json") != NULL;
}

static void count_avro(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    (void)bytes;
    (void)modified_ms;
    *(uint32_t *)ctx += strstr(key, "-m1.avro") != NULL;
}

static void test_many_appends_merge_and_trim(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "many");
    struct table_facts facts;
    uint32_t jsons = 0, merged = 0;
    for (int i = 0; i < 230; i++)
        append_ok(v, t, 20000 + i % 3);
    check_files(v, t, 230);
    assert_int_equal(table_facts(t, &facts, &v->e), 0);
    assert_int_equal(facts.rows, 2300);
    assert_int_equal(facts.snapshots, 50);
    assert_int_equal(
        v->store->ops->list(v->store, "events/many/metadata/", count_json, &jsons, &v->e), 0);
    assert_int_equal(jsons, 101); /* the current one and the log */
    assert_int_equal(
        v->store->ops->list(v->store, "events/many/metadata/", count_avro, &merged, &v->e), 0);
    assert_int_equal(merged, 2);
    table_free(t);
}

struct watch {
    struct env *v;
    struct table *other;
    uint32_t calls, rebased, races;
    enum err_kind answer;
};

static int validate(void *ctx, const struct table *t, bool rebased, struct err *e)
{
    struct watch *w = ctx;
    assert_non_null(table_name(t));
    w->calls++;
    w->rebased += rebased;
    if (w->answer)
        return err_set(e, w->answer, "no");
    if (w->calls <= w->races)
        append_ok(w->v, w->other, 7);
    return 0;
}

static void test_lost_races_are_rebased(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "raced"), *other = make(v, "raced");
    struct watch w = {.v = v, .other = other, .races = 2};
    const char *const set[] = {"inlet.position.x", "{}", NULL};
    struct append a = {.validate = validate, .validate_ctx = &w, .set_properties = set};
    struct append_attempt attempt = {0};
    append_ok(v, t, 1);
    assert_int_equal(append_to(v, t, &a, &attempt, 2), 0);
    assert_int_equal(w.calls, 3);
    assert_int_equal(w.rebased, 2);
    check_files(v, t, 4);
    assert_string_equal(table_property(t, "inlet.position.x"), "{}");
    enum settled s;
    assert_int_equal(table_reload(other, &v->e), 0);
    append_ok(v, other, 3);
    assert_int_equal(table_settle(t, &attempt, &s, &v->e), 0);
    assert_int_equal(s, SETTLED_COMMITTED);
    free(attempt.metadata_location);
    table_free(t);
    table_free(other);
}

static void test_fenced_offers_nothing(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "fenced");
    struct watch w = {.v = v, .answer = ERR_FENCED};
    struct append a = {.validate = validate, .validate_ctx = &w};
    struct append_attempt attempt = {0};
    assert_int_equal(append_to(v, t, &a, &attempt, 2), -1);
    assert_int_equal(v->e.kind, ERR_FENCED);
    assert_false(attempt.offered);
    check_files(v, t, 0);
    table_free(t);
}

static void test_settle_says_no_only_after_a_move(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "settle"), *other = make(v, "settle");
    char location[] = "file:///never";
    struct append_attempt lost = {.snapshot_id = 5, .metadata_location = location, .offered = true};
    enum settled s;
    assert_int_equal(table_settle(t, &lost, &s, &v->e), 0);
    assert_int_equal(s, SETTLED_UNKNOWN);
    append_ok(v, other, 3);
    assert_int_equal(table_settle(t, &lost, &s, &v->e), 0);
    assert_int_equal(s, SETTLED_NOT);
    table_free(t);
    table_free(other);
}

static int propose(void *ctx, const struct schema *current, int32_t last, struct schema *out,
                   struct err *e)
{
    const char *name = ctx;
    (void)e;
    if (field_child(&current->root, name))
        return 0;
    schema_dup(out, current);
    struct field *f = field_add(&out->root, last + 1, name, "Key", false, TYPE_LIST);
    struct field *el = field_add(f, last + 2, "element", NULL, false, TYPE_STRUCT);
    field_add(el, last + 3, "x", NULL, false, TYPE_LONG);
    return 1;
}

static void test_evolve(void **state)
{
    struct env *v = *state;
    char one[] = "one", two[] = "two";
    struct table *t = make(v, "evolve"), *other = make(v, "evolve");
    assert_int_equal(table_evolve(t, propose, one, &v->e), 0);
    assert_int_equal(table_evolve(other, propose, two, &v->e), 0); /* loses a race first */
    assert_int_equal(table_evolve(t, propose, two, &v->e), 0);
    assert_true(schema_same(table_schema(t), table_schema(other)));
    const struct field *f = field_child(&table_schema(t)->root, "two");
    assert_non_null(f);
    assert_int_equal(f->id, ENVELOPE_COLUMNS + 4);
    assert_string_equal(f->doc, "Key");
    append_ok(v, t, 20000);
    check_files(v, t, 1);
    table_free(t);
    table_free(other);
}

static void test_properties_alone_make_no_snapshot(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "props");
    const char *const set[] = {"a", "1", "b", "2", NULL}, *const gone[] = {"a", NULL};
    struct append a = {.set_properties = set}, b = {.remove_properties = gone};
    struct append_attempt attempt = {0};
    struct table_facts facts;
    assert_int_equal(table_append(t, &a, &attempt, &v->e), 0);
    assert_int_equal(table_append(t, &b, &attempt, &v->e), 0);
    assert_null(table_property(t, "a"));
    assert_string_equal(table_property(t, "b"), "2");
    assert_int_equal(table_facts(t, &facts, &v->e), 0);
    assert_int_equal(facts.snapshots, 0);
    enum settled s;
    assert_int_equal(table_settle(t, &attempt, &s, &v->e), 0);
    assert_int_equal(s, SETTLED_COMMITTED);
    free(attempt.metadata_location);
    table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_append_look, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_appends_merge_and_trim, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_races_are_rebased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fenced_offers_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settle_says_no_only_after_a_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evolve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_properties_alone_make_no_snapshot, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
