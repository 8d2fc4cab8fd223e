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

static struct table *make_by(struct env *v, const struct lake *lake, const char *name,
                             struct table *(*way)(const struct lake *, const char *, const struct table_spec *,
                                                  struct err *))
{
    static const char *const properties[] = {"write.metadata.delete-after-commit.enabled", "true",
                                             NULL};
    struct schema s;
    schema_event_base(&s);
    struct partition_field day = {COL_EVENT_TIME, "event_time_day", "day"};
    struct sort_field sort[] = {{COL_EVENT_SUBTYPE}, {COL_EVENT_TIME}};
    struct table_spec spec = {&s, &day, 1, sort, 2, properties};
    struct table *t = way(lake, name, &spec, &v->e);
    schema_fini(&s);
    assert_non_null(t);
    return t;
}

static struct table *make(struct env *v, const char *name)
{
    return make_by(v, &v->lake, name, table_create);
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
    append_attempt_fini(&attempt);
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

/* ---- answers lost: a catalog between us and the real one */

enum fate { ANSWERED, LOST_AFTER, LOST_BEFORE, REFUSED };
struct flaky {
    struct catalog base;
    struct catalog *real;
    const enum fate *fates; /* of the next swaps; past `n`: ANSWERED */
    uint32_t n, at;
    char *held_base, *held_next; /* the last that was lost before it acted */
};

static struct flaky *flaky_of(struct catalog *c)
{
    return (struct flaky *)(void *)c;
}
static int flaky_load(struct catalog *c, const char *ns, const char *table,
                      struct catalog_table *out, struct err *e)
{
    struct catalog *r = flaky_of(c)->real;
    return r->ops->load(r, ns, table, out, e);
}
static int flaky_swap(struct catalog *c, const char *ns, const char *table,
                      const struct catalog_change *change, struct catalog_table *out, struct err *e)
{
    struct flaky *f = flaky_of(c);
    enum fate fate = f->at < f->n ? f->fates[f->at] : ANSWERED;
    f->at++;
    if (fate == REFUSED)
        return err_set(e, ERR_RETRY, "throttled");
    if (fate == LOST_BEFORE) {
        free(f->held_base);
        free(f->held_next);
        f->held_base = mem_strdup(change->base);
        f->held_next = mem_strdup(change->next);
        return err_set(e, ERR_UNKNOWN, "lost before");
    }
    int rc = f->real->ops->swap(f->real, ns, table, change, out, e);
    return fate == LOST_AFTER ? err_set(e, ERR_UNKNOWN, "lost after") : rc;
}
static int flaky_create(struct catalog *c, const char *ns, const char *table,
                        const struct catalog_change *change, struct catalog_table *out, struct err *e)
{
    struct flaky *f = flaky_of(c);
    enum fate fate = f->at < f->n ? f->fates[f->at] : ANSWERED;
    f->at++;
    if (fate == LOST_BEFORE)
        return err_set(e, ERR_UNKNOWN, "lost before");
    int rc = f->real->ops->create(f->real, ns, table, change, out, e);
    return fate == LOST_AFTER ? err_set(e, ERR_UNKNOWN, "lost after") : rc;
}
static const struct catalog_ops flaky_ops = {.load = flaky_load, .create = flaky_create, .swap = flaky_swap};

/* What was held back arrives after all. */
static int arrive(struct flaky *f, const char *table, struct err *e)
{
    struct catalog_change change = {.base = f->held_base, .next = f->held_next};
    struct catalog_table none = {0};
    return f->real->ops->swap(f->real, "events", table, &change, &none, e);
}

static struct flaky flaky_begin(struct env *v, const enum fate *fates, uint32_t n)
{
    struct flaky f = {.base = {&flaky_ops, false}, .real = v->catalog, .fates = fates, .n = n};
    return f;
}
static void flaky_fini(struct flaky *f)
{
    free(f->held_base);
    free(f->held_next);
}

/* Appends through the flaky catalog; what settling says. */
static enum settled append_lost(struct env *v, struct table *t, struct append_attempt *attempt)
{
    struct append a = {0};
    enum settled s = SETTLED_UNKNOWN;
    assert_int_equal(append_to(v, t, &a, attempt, 7), -1);
    assert_int_equal(v->e.kind, ERR_UNKNOWN);
    assert_true(attempt->offered);
    if (table_settle(t, attempt, &s, &v->e) == 0)
        return s;
    assert_int_equal(v->e.kind, ERR_UNKNOWN);
    return SETTLED_UNKNOWN;
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

static int propose_extra(void *ctx, const struct schema *current, int32_t last, struct schema *out,
                         struct err *e)
{
    (void)ctx, (void)e;
    if (field_child(&current->root, "extra"))
        return 0;
    schema_dup(out, current);
    field_add(&out->root, last + 1, "extra", "Extra", false, TYPE_LONG);
    return 1;
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

static int64_t current_columns(struct env *v, const char *name, int32_t *schema_id)
{
    struct table *t = table_load(&v->lake, name, &v->e);
    assert_non_null(t);
    int64_t n = table_schema(t)->root.n_children;
    *schema_id = table_schema(t)->schema_id;
    table_free(t);
    return n;
}

/* A draft is nobody else's business until the append that brings it, and goes along over lost races. */
static void test_a_draft_comes_with_the_append(void **state)
{
    struct env *v = *state;
    char one[] = "one", two[] = "two";
    struct table *t = make(v, "draft"), *other = make(v, "draft");
    int32_t id;
    append_ok(v, t, 1);
    assert_int_equal(table_draft(t, propose, one, &v->e), 0);
    assert_int_equal(table_draft(t, propose, two, &v->e), 0);
    assert_int_equal(table_draft(t, propose, two, &v->e), 0); /* there already */
    int32_t drafted = table_schema(t)->schema_id;
    assert_int_equal(field_child(&table_schema(t)->root, "two")->id, ENVELOPE_COLUMNS + 4);
    assert_int_equal(current_columns(v, "draft", &id), ENVELOPE_COLUMNS);
    append_ok(v, other, 2); /* of the same columns: no hindrance */
    assert_true(table_has_draft(t));
    append_ok(v, t, 3);
    assert_false(table_has_draft(t));
    assert_int_equal(current_columns(v, "draft", &id), ENVELOPE_COLUMNS + 2);
    assert_int_equal(id, drafted);
    check_files(v, t, 3);
    assert_int_equal(table_reload(other, &v->e), 0);
    assert_true(schema_same(table_schema(t), table_schema(other)));
    assert_int_equal(table_evolve(other, propose_extra, NULL, &v->e), 0);
    append_ok(v, t, 4);
    assert_int_equal(field_child(&table_schema(t)->root, "extra")->id, ENVELOPE_COLUMNS + 7);
    table_free(t);
    table_free(other);
}

/* Ids that somebody else gave meanwhile: not a byte that was made by the draft may go in. */
static void test_a_draft_is_fenced_by_anothers_columns(void **state)
{
    struct env *v = *state;
    char one[] = "one", two[] = "two";
    for (int late = 0; late < 2; late++) { /* before the append begins, and in a race with it */
        const char *name = late ? "late" : "early";
        struct table *t = make(v, name), *other = make(v, name);
        struct append a = {0};
        struct append_attempt attempt = {0};
        append_ok(v, t, 1);
        assert_int_equal(table_reload(other, &v->e), 0);
        assert_int_equal(table_draft(t, propose, one, &v->e), 0);
        assert_int_equal(table_evolve(other, propose, two, &v->e), 0);
        if (!late)
            assert_int_equal(table_reload(t, &v->e), 0);
        for (int tries = 0; tries < 2; tries++) {
            assert_int_equal(append_to(v, t, &a, &attempt, 2), -1);
            assert_int_equal(v->e.kind, ERR_FENCED);
        }
        check_files(v, other, 1);
        assert_int_equal(table_reopen(t, &v->e), 0);
        assert_false(table_has_draft(t));
        assert_int_equal(table_draft(t, propose, one, &v->e), 0);
        assert_int_equal(field_child(&table_schema(t)->root, "one")->id, ENVELOPE_COLUMNS + 4);
        append_ok(v, t, 3);
        check_files(v, t, 2);
        append_attempt_fini(&attempt);
        table_free(t);
        table_free(other);
    }
}

static void test_a_draft_under_lost_answers(void **state)
{
    struct env *v = *state;
    static const enum fate cases[][2] = {{LOST_AFTER}, {LOST_BEFORE}, {LOST_BEFORE, LOST_AFTER}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        int32_t id;
        snprintf(name, sizeof name, "lost%zu", i);
        table_free(make(v, name));
        struct flaky f = flaky_begin(v, cases[i], 2);
        struct lake lake = v->lake;
        struct append_attempt attempt = {0};
        enum settled s;
        lake.catalog = &f.base;
        struct table *t = table_load(&lake, name, &v->e);
        assert_int_equal(table_draft(t, propose_extra, NULL, &v->e), 0);
        if ((s = append_lost(v, t, &attempt)) == SETTLED_UNKNOWN)
            assert_int_equal(table_settle(t, &attempt, &s, &v->e), 0);
        assert_int_equal(s, SETTLED_COMMITTED);
        assert_false(table_has_draft(t));
        assert_int_equal(current_columns(v, name, &id), ENVELOPE_COLUMNS + 1);
        append_ok(v, t, 4);
        check_files(v, t, 2);
        append_attempt_fini(&attempt);
        table_free(t);
        flaky_fini(&f);
    }
}

static void count_schema(void *ctx, const struct schema *s)
{
    (void)s;
    ++*(uint32_t *)ctx;
}

/* A planned table is nobody else's business until the append that makes it, with the columns drafted by then. */
static void test_a_planned_table_comes_with_its_first_append(void **state)
{
    struct env *v = *state;
    char one[] = "one";
    uint32_t jsons = 0, schemas = 0;
    struct table *t = make_by(v, &v->lake, "planned", table_plan);
    assert_true(table_planned(t));
    assert_null(table_load(&v->lake, "planned", &v->e));
    assert_int_equal(v->e.kind, ERR_NOTFOUND);
    assert_int_equal(table_draft(t, propose, one, &v->e), 0);
    append_ok(v, t, 1);
    assert_false(table_planned(t) || table_has_draft(t));
    assert_int_equal(v->store->ops->list(v->store, "events/planned/metadata/", count_json, &jsons, &v->e), 0);
    assert_int_equal(jsons, 1);
    assert_int_equal(table_schemas(t, count_schema, &schemas, &v->e), 0);
    assert_int_equal(schemas, 1); /* those before it were drafts */
    struct table *other = make_by(v, &v->lake, "planned", table_plan);
    assert_false(table_planned(other));
    assert_true(schema_same(table_schema(t), table_schema(other)));
    assert_string_equal(table_uuid(t), table_uuid(other));
    append_ok(v, other, 2);
    append_ok(v, t, 3);
    check_files(v, t, 3);
    table_free(t);
    table_free(other);
}

/* Made by somebody else before the append, or in a race with it. */
static void test_a_planned_table_is_fenced_by_anothers(void **state)
{
    struct env *v = *state;
    for (int late = 0; late < 2; late++) {
        const char *name = late ? "theirs_late" : "theirs";
        struct table *t = make_by(v, &v->lake, name, table_plan);
        struct table *other = make_by(v, &v->lake, name, table_plan);
        struct watch w = {.v = v, .other = other, .races = 1};
        struct append a = {0};
        struct append_attempt attempt = {0};
        if (late) {
            a.validate = validate;
            a.validate_ctx = &w;
        } else {
            append_ok(v, other, 7);
        }
        for (int tries = 0; tries < 2; tries++) {
            assert_int_equal(append_to(v, t, &a, &attempt, 2), -1);
            assert_int_equal(v->e.kind, ERR_FENCED);
        }
        check_files(v, other, 1);
        a.validate = NULL;
        assert_int_equal(table_reopen(t, &v->e), 0);
        assert_string_equal(table_uuid(t), table_uuid(other));
        append_ok(v, t, 3);
        check_files(v, t, 2);
        append_attempt_fini(&attempt);
        table_free(t);
        table_free(other);
    }
}

static void test_a_planned_table_under_lost_answers(void **state)
{
    struct env *v = *state;
    static const struct {
        enum fate fates[2];
        bool other; /* somebody makes it before it is settled */
        enum settled want;
    } cases[] = {{{LOST_AFTER}, false, SETTLED_COMMITTED},
                 {{LOST_BEFORE}, false, SETTLED_COMMITTED},
                 {{LOST_BEFORE, LOST_AFTER}, false, SETTLED_COMMITTED},
                 {{LOST_BEFORE}, true, SETTLED_NOT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "plan%zu", i);
        struct flaky f = flaky_begin(v, cases[i].fates, 2);
        struct lake lake = v->lake;
        struct append_attempt attempt = {0};
        struct append a = {0};
        enum settled s = SETTLED_UNKNOWN;
        lake.catalog = &f.base;
        struct table *t = make_by(v, &lake, name, table_plan);
        assert_int_equal(append_to(v, t, &a, &attempt, 7), -1);
        assert_int_equal(v->e.kind, ERR_UNKNOWN);
        if (cases[i].other)
            table_free(make(v, name));
        if (table_settle(t, &attempt, &s, &v->e)) {
            assert_int_equal(v->e.kind, ERR_UNKNOWN);
            assert_int_equal(table_settle(t, &attempt, &s, &v->e), 0);
        }
        assert_int_equal(s, cases[i].want);
        if (s == SETTLED_COMMITTED) {
            append_ok(v, t, 4);
            check_files(v, t, 2);
        } else {
            assert_int_equal(append_to(v, t, &a, &attempt, 7), -1);
            assert_int_equal(v->e.kind, ERR_FENCED);
        }
        append_attempt_fini(&attempt);
        table_free(t);
        flaky_fini(&f);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_append_look, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_appends_merge_and_trim, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_races_are_rebased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fenced_offers_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_answer_is_settled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evolving_under_lost_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_table_made_anew_fences, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_of_another_spec_are_fenced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evolve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_draft_comes_with_the_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_draft_is_fenced_by_anothers_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_draft_under_lost_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_planned_table_comes_with_its_first_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_planned_table_is_fenced_by_anothers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_planned_table_under_lost_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_properties_alone_make_no_snapshot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_properties_move_what_is_asserted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_old_base_is_looked_at_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
