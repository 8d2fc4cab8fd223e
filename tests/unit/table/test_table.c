/* Tables: what they hold after appends, races and lost answers, staged by a second handle or catalog. See lake.h. */
#include "lake.h"

#include <jansson.h>

#include "iceberg/manifests.h"
#include "table/table_int.h"

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

/* CPU of one append of so many files, each of a partition of its own but for the last two. */
static int64_t append_partitions(struct env *v, const char *name, uint32_t n)
{
    struct table *t = make(v, name);
    struct partition_value *parts = mem_array(n, sizeof *parts);
    struct data_file *files = mem_array(n, sizeof *files);
    struct append a = {.files = files, .n_files = n};
    struct append_attempt attempt = {0};
    for (uint32_t i = 0; i < n; i++) {
        parts[i].number = (int32_t)(i < n - 1 ? i : i - 1);
        files[i] = (struct data_file){.key = mem_printf("events/%s/data/%u.parquet", name, i),
                                      .rows = 1,
                                      .bytes = 4,
                                      .partition = &parts[i]};
    }
    int64_t began = clock_thread_cpu_ns();
    if (table_append(t, &a, &attempt, &v->e))
        fail_msg("%s", v->e.text);
    int64_t spent = clock_thread_cpu_ns() - began;
    char *said = mem_printf("%u", n - 1);
    assert_string_equal(table_json_text(json_object_get(t->current, "summary"), "changed-partition-count"), said);
    free(said);
    for (uint32_t i = 0; i < n; i++)
        free(files[i].key);
    free(files);
    free(parts);
    append_attempt_fini(&attempt);
    table_free(t);
    return spent;
}

/* What a commit costs grows with its files, not with their square. */
static void test_a_commit_of_many_partitions(void **state)
{
    struct env *v = *state;
    int64_t few = append_partitions(v, "few", 2000), many = append_partitions(v, "countless", 60000);
    if (many > 30 * 4 * few)
        fail_msg("2,000 partitions took %lld us, 60,000 %lld us", (long long)few / 1000, (long long)many / 1000);
}

/* ---- what is asked for since a time reads no manifest from before */

static int64_t said_us;
static int64_t said_wall(void *ctx)
{
    (void)ctx;
    return said_us;
}

struct keys {
    char *of[64];
    uint32_t n;
};

static void note_manifest(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    struct keys *k = ctx;
    (void)bytes;
    (void)modified_ms;
    if (strstr(key, "-m0.avro"))
        k->of[k->n++] = mem_strdup(key);
}

static void remove_manifests(struct env *v, const char *folder)
{
    struct keys k = {0};
    assert_int_equal(v->store->ops->list(v->store, folder, note_manifest, &k, &v->e), 0);
    for (uint32_t i = 0; i < k.n; i++) {
        v->store->ops->remove(v->store, k.of[i], NULL);
        free(k.of[i]);
    }
    assert_true(k.n > 0);
}

static uint32_t files_since(struct env *v, struct table *t, int64_t since_ms)
{
    struct seen s = {.ordered = true, .bounds = true};
    v->e = (struct err){0};
    return table_files_since(t, since_ms, COL_EVENT_TIME, see, &s, &v->e) ? UINT32_MAX : s.n;
}

static void test_files_since_a_time(void **state)
{
    struct env *v = *state;
    struct clock clock = clock_system;
    clock.wall_us = said_wall;
    v->lake.clock = &clock;
    said_us = INT64_C(1700000000000000);
    struct table *t = make(v, "since");
    for (int i = 0; i < 20; i++)
        append_ok(v, t, 20000);
    remove_manifests(v, "events/since/metadata/");
    said_us += INT64_C(3600000000);
    int64_t hour = said_us / 1000;
    assert_int_equal(files_since(v, t, hour), 0); /* not even the list */
    for (int i = 0; i < 3; i++)
        append_ok(v, t, 20000);
    assert_int_equal(files_since(v, t, hour), 3);
    assert_int_equal(files_since(v, t, hour + 1), 2); /* each commit is a millisecond later at least */
    assert_int_equal(files_since(v, t, hour - 3600000), UINT32_MAX);
    assert_int_equal(files_since(v, t, 0), UINT32_MAX);
    said_us += INT64_C(3600000000);
    assert_int_equal(files_since(v, t, hour + 3600000), 0);
    append_ok(v, t, 20000);
    table_rest(t, 0);
    assert_int_equal(files_since(v, t, hour + 3600000), 1);
    assert_int_equal(files_since(v, t, hour), 4);
    /* By somebody whose clock was wrong: what came after may be as young. */
    json_t *second = json_array_get(json_object_get(table_meta(t), "snapshots"), 1);
    json_object_set_new(second, "timestamp-ms", json_integer(hour));
    assert_int_equal(files_since(v, t, hour), UINT32_MAX);
    table_free(t);
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
    append_attempt_fini(&attempt);
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

static void test_a_lost_answer_is_settled(void **state)
{
    struct env *v = *state;
    static const struct {
        enum fate fates[4];
        bool other; /* somebody commits before it is settled */
        enum settled want;
        uint32_t files;
    } cases[] = {
        {{LOST_AFTER}, false, SETTLED_COMMITTED, 1},
        {{LOST_BEFORE}, false, SETTLED_COMMITTED, 1}, /* offered again */
        {{LOST_BEFORE, LOST_AFTER}, false, SETTLED_UNKNOWN, 1},
        {{LOST_BEFORE, LOST_BEFORE}, false, SETTLED_UNKNOWN, 1},
        {{LOST_AFTER}, true, SETTLED_COMMITTED, 2},
        {{LOST_BEFORE}, true, SETTLED_NOT, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "lost%zu", i);
        struct table *other = make(v, name);
        struct flaky f = flaky_begin(v, cases[i].fates, 4);
        struct lake lake = v->lake;
        lake.catalog = &f.base;
        struct table *t = table_load(&lake, name, &v->e);
        struct append_attempt attempt = {0};
        enum settled s = SETTLED_UNKNOWN;
        if (cases[i].other) {
            struct append a = {0};
            assert_int_equal(append_to(v, t, &a, &attempt, 7), -1);
            assert_int_equal(table_reload(other, &v->e), 0);
            append_ok(v, other, 7);
            assert_int_equal(table_settle(t, &attempt, &s, &v->e), 0);
        } else {
            s = append_lost(v, t, &attempt);
        }
        assert_int_equal(s, cases[i].want);
        if (s == SETTLED_UNKNOWN) { /* and settled later */
            assert_int_equal(table_settle(t, &attempt, &s, &v->e), 0);
            assert_int_equal(s, SETTLED_COMMITTED);
        }
        if (f.held_next) { /* what was held back finds the base gone */
            assert_int_equal(arrive(&f, name, &v->e), -1);
            assert_int_equal(v->e.kind, ERR_CONFLICT);
        }
        assert_int_equal(table_reload(t, &v->e), 0);
        check_files(v, t, cases[i].files);
        append_ok(v, t, 8); /* the handle goes on */
        check_files(v, t, cases[i].files + 1);
        append_attempt_fini(&attempt);
        table_free(t);
        table_free(other);
        flaky_fini(&f);
    }
}

static void test_evolving_under_lost_answers(void **state)
{
    struct env *v = *state;
    static const enum fate cases[][4] = {{LOST_AFTER},
                                         {LOST_BEFORE},
                                         {LOST_BEFORE, LOST_AFTER},
                                         {LOST_BEFORE, LOST_BEFORE, LOST_BEFORE, LOST_AFTER}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "grow%zu", i);
        table_free(make(v, name));
        struct flaky f = flaky_begin(v, cases[i], 4);
        struct lake lake = v->lake;
        lake.catalog = &f.base;
        struct table *t = table_load(&lake, name, &v->e);
        if (table_evolve(t, propose_extra, NULL, &v->e))
            fail_msg("%s", v->e.text);
        assert_non_null(field_child(&table_schema(t)->root, "extra"));
        if (f.held_next)
            assert_int_equal(arrive(&f, name, &v->e), -1);
        assert_int_equal(table_reload(t, &v->e), 0);
        const struct field *extra = field_child(&table_schema(t)->root, "extra");
        assert_non_null(extra);
        assert_int_equal(extra->id, ENVELOPE_COLUMNS + 1);
        append_ok(v, t, 4);
        table_free(t);
        flaky_fini(&f);
    }
}

static void test_a_table_made_anew_fences(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "anew");
    char *cmd = mem_printf("rm -rf '%s/events/anew' && python3 -c \"import sqlite3; c = "
                           "sqlite3.connect('%s/catalog.db'); c.execute('DELETE FROM "
                           "iceberg_tables'); c.commit()\"",
                           v->dir, v->dir);
    append_ok(v, t, 4);
    assert_int_equal(system(cmd), 0);
    struct table *other = make(v, "anew");
    struct append a = {0};
    struct append_attempt attempt = {0};
    assert_int_equal(append_to(v, t, &a, &attempt, 5), -1);
    assert_int_equal(v->e.kind, ERR_FENCED);
    assert_false(attempt.offered);
    check_files(v, other, 0);
    free(cmd);
    table_free(t);
    table_free(other);
}

static void test_files_of_another_spec_are_fenced(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "spec");
    struct append a = {.check_spec = true, .spec_id = table_spec_id(t) + 1};
    struct append_attempt attempt = {0};
    assert_int_equal(append_to(v, t, &a, &attempt, 5), -1);
    assert_int_equal(v->e.kind, ERR_FENCED);
    a.spec_id--;
    assert_int_equal(append_to(v, t, &a, &attempt, 5), 0);
    table_free(t);
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

static int contradicts(void *ctx, const struct schema *current, int32_t last_column_id, struct schema *out,
                       struct err *e)
{
    int *asked = ctx;
    (void)current, (void)last_column_id, (void)out;
    ++*asked;
    return err_set(e, ERR_CONFLICT, "a column was made otherwise by somebody else");
}

/* It was tried twenty times, for nine seconds, as if it were a race. */
static void test_what_contradicts_a_proposal_is_no_race(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "contradicted");
    int asked = 0;
    assert_int_equal(table_evolve(t, contradicts, &asked, &v->e), -1);
    assert_int_equal(asked, 1);
    assert_int_equal(v->e.kind, ERR_CONFLICT);
    assert_non_null(strstr(v->e.text, "made otherwise"));
    table_free(t);
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
    append_attempt_fini(&attempt);
    table_free(t);
}

/* ---- a catalog that writes the metadata itself, and checks no more than what is asserted */

struct asserting {
    struct catalog base;
    json_t *meta;
};

static int asserting_take(struct asserting *a, struct catalog_table *out)
{
    out->metadata = json_deep_copy(a->meta);
    return 0;
}

static int asserting_load(struct catalog *c, const char *ns, const char *table,
                          struct catalog_table *out, struct err *e)
{
    struct asserting *a = (struct asserting *)(void *)c;
    return a->meta ? asserting_take(a, out) : err_set(e, ERR_NOTFOUND, "%s.%s", ns, table);
}

static int asserting_create(struct catalog *c, const char *ns, const char *table,
                            const struct catalog_change *change, struct catalog_table *out,
                            struct err *e)
{
    struct asserting *a = (struct asserting *)(void *)c;
    (void)ns, (void)table, (void)e;
    a->meta = json_deep_copy(change->metadata);
    return asserting_take(a, out);
}

static const json_t *of_type(const json_t *list, const char *key, const char *type)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(list, i), key)), type) == 0)
            return json_array_get(list, i);
    return NULL;
}

static int asserting_swap(struct catalog *c, const char *ns, const char *table,
                          const struct catalog_change *change, struct catalog_table *out,
                          struct err *e)
{
    struct asserting *a = (struct asserting *)(void *)c;
    const json_t *asserted = of_type(change->requirements, "type", "assert-ref-snapshot-id");
    int64_t at = json_integer_value(json_object_get(a->meta, "current-snapshot-id"));
    if (asserted && json_integer_value(json_object_get(asserted, "snapshot-id")) != at)
        return err_set(e, ERR_CONFLICT, "%s.%s has moved", ns, table);
    json_t *next = json_deep_copy(change->metadata), *properties = json_object_get(next, "properties");
    json_object_update(properties, json_object_get(a->meta, "properties"));
    json_object_update(properties, json_object_get(of_type(change->updates, "action", "set-properties"),
                                                   "updates"));
    json_decref(a->meta);
    a->meta = next;
    return asserting_take(a, out);
}

/* A takeover marks its base by properties alone; whoever appends against the base before it has to be
 * refused, so that he looks again. */
static void test_properties_move_what_is_asserted(void **state)
{
    static const struct catalog_ops ops = {
        .load = asserting_load, .create = asserting_create, .swap = asserting_swap};
    struct env *v = *state;
    static struct asserting catalog = {.base = {.ops = &ops, .writes_metadata = true}};
    v->lake.catalog = &catalog.base;
    for (int empty = 0; empty < 2; empty++) {
        struct table *zombie = make(v, "marked"), *other = make(v, "marked");
        const char *const set[] = {"inlet.takeover", "me", NULL};
        struct watch w = {.v = v};
        struct append mark = {.set_properties = set},
                      late = {.validate = validate, .validate_ctx = &w};
        struct append_attempt attempt = {0}, marking = {0};
        if (!empty)
            append_ok(v, zombie, 1);
        assert_int_equal(table_append(other, &mark, &marking, &v->e), 0);
        assert_int_equal(append_to(v, zombie, &late, &attempt, 2), 0);
        assert_int_equal(w.calls, 2); /* the second time against the mark */
        assert_int_equal(w.rebased, 1);
        assert_string_equal(table_property(zombie, "inlet.takeover"), "me");
        check_files(v, zombie, empty ? 1 : 2);
        append_attempt_fini(&marking);
        append_attempt_fini(&attempt);
        table_free(zombie);
        table_free(other);
        json_decref(catalog.meta);
        catalog.meta = NULL;
    }
}

/* Its handle's base is from before what the lease's taking was told: looked at again, not fenced for ever. */
static int expects_mark(void *ctx, const struct table *t, bool rebased, struct err *e)
{
    const char *held = table_property(t, "inlet.position.x");
    struct watch *w = ctx;
    w->calls++;
    w->rebased += rebased;
    return held ? 0 : err_set(e, ERR_FENCED, "nothing is held");
}

static void test_an_old_base_is_looked_at_again(void **state)
{
    static const struct catalog_ops ops = {
        .load = asserting_load, .create = asserting_create, .swap = asserting_swap};
    static struct asserting catalog = {.base = {.ops = &ops, .writes_metadata = true}};
    struct env *v = *state;
    v->lake.catalog = &catalog.base;
    struct table *t = make(v, "old"), *other = make(v, "old");
    const char *const set[] = {"inlet.position.x", "7", NULL};
    struct watch w = {.v = v};
    struct append theirs = {.set_properties = set}, a = {.validate = expects_mark, .validate_ctx = &w};
    struct append_attempt first = {0}, second = {0}, third = {0};
    assert_int_equal(append_to(v, other, &theirs, &first, 1), 0);
    assert_int_equal(append_to(v, t, &a, &second, 2), 0);
    assert_int_equal(w.calls, 2);
    assert_int_equal(w.rebased, 1); /* so that the lease is read */
    check_files(v, t, 2);
    w.answer = ERR_FENCED; /* truly fenced: asked twice at most, nothing offered */
    w.calls = 0;
    a.validate = validate;
    assert_int_equal(append_to(v, t, &a, &third, 3), -1);
    assert_int_equal(v->e.kind, ERR_FENCED);
    assert_int_equal(w.calls, 2);
    assert_false(third.offered);
    append_attempt_fini(&first);
    append_attempt_fini(&second);
    append_attempt_fini(&third);
    table_free(t);
    table_free(other);
    json_decref(catalog.meta);
}

static void count_snapshot(void *ctx, const struct table_snapshot *s)
{
    (void)s;
    ++*(uint32_t *)ctx;
}

static uint32_t snapshots_of(const struct table *t)
{
    uint32_t n = 0;
    table_snapshots(t, count_snapshot, &n);
    return n;
}

/* Packed, the base says what it said before, and goes on from there. */
static void test_a_table_that_rests(void **state)
{
    struct env *v = *state;
    struct table *t = make(v, "rests");
    static const char *const pairs[] = {"inlet.k", "v", NULL};
    char one[] = "one";
    for (int32_t day = 0; day < 5; day++) {
        struct append a = {.set_properties = pairs};
        struct append_attempt attempt = {0};
        assert_int_equal(append_to(v, t, &a, &attempt, day), 0);
    }
    table_rest(t, (size_t)1 << 30); /* not worth it */
    assert_non_null(t->meta);
    table_rest(t, 0);
    assert_true(!t->meta && !t->properties && !t->current && !t->list.n);
    table_rest(t, 0);
    assert_string_equal(table_property(t, "inlet.k"), "v");
    assert_int_equal(table_reload(t, &v->e), 0); /* nothing new */
    assert_null(t->meta);
    assert_int_equal(snapshots_of(t), 5);
    table_rest(t, 0);
    append_ok(v, t, 5);
    table_rest(t, 0);
    assert_int_equal(table_evolve(t, propose, one, &v->e), 0);
    table_rest(t, 0);
    check_files(v, t, 6);
    table_rest(t, 0);
    table_free(t);
    t = make(v, "rests");
    check_files(v, t, 6);
    assert_int_equal(snapshots_of(t), 6);
    table_free(t);
}

/* An offer shares what it does not change with the base, and a refused one leaves that as it was. */
static void test_a_refused_offer_changes_nothing(void **state)
{
    static const enum fate fates[] = {REFUSED};
    static const char *const before[] = {"inlet.k", "before", "inlet.l", "before", NULL};
    static const char *const after[] = {"inlet.k", "after", NULL}, *const gone[] = {"inlet.l", NULL};
    struct env *v = *state;
    struct flaky f = flaky_begin(v, fates, 1);
    struct lake lake = v->lake;
    struct append a = {.set_properties = before}, refused = {.set_properties = after, .remove_properties = gone};
    struct append_attempt attempt[5] = {{0}};
    char one[] = "one";
    lake.snapshots_max = 2;
    struct table *t = make(v, "refused");
    for (int32_t day = 0; day < 3; day++)
        assert_int_equal(append_to(v, t, &a, &attempt[day], day), 0);
    table_free(t);
    lake.catalog = &f.base;
    t = make_by(v, &lake, "refused", table_create);
    json_t *base = json_deep_copy(t->meta);
    assert_int_equal(table_draft(t, propose, one, &v->e), 0);
    assert_int_equal(append_to(v, t, &refused, &attempt[3], 7), -1);
    assert_int_equal(v->e.kind, ERR_RETRY);
    assert_true(json_equal(t->meta, base));
    assert_int_equal(append_to(v, t, &refused, &attempt[4], 7), 0);
    assert_int_equal(snapshots_of(t), 2);
    assert_string_equal(table_property(t, "inlet.k"), "after");
    assert_null(table_property(t, "inlet.l"));
    json_decref(base);
    table_free(t);
    flaky_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_append_look, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_appends_merge_and_trim, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_commit_of_many_partitions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_since_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_races_are_rebased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fenced_offers_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_answer_is_settled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evolving_under_lost_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_table_made_anew_fences, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_of_another_spec_are_fenced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evolve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_contradicts_a_proposal_is_no_race, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_properties_alone_make_no_snapshot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_properties_move_what_is_asserted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_old_base_is_looked_at_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_table_that_rests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_refused_offer_changes_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
