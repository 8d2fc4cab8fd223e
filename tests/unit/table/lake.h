/* A lake for tests of tables: a local store and a SQLite catalog in a directory of their own, and a catalog whose
 * answers get lost. KEEP_LAKE=DIR leaves the lake there, to be looked at with another reader. */
#ifndef INLET_TESTS_TABLE_LAKE_H
#define INLET_TESTS_TABLE_LAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
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

static inline void random_bytes(void *ctx, void *p, size_t n)
{
    uint64_t *seed = ctx;
    for (uint8_t *at = p; n--; at++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        *at = (uint8_t)(*seed >> 56);
    }
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

static inline struct table *make_by(struct env *v, const struct lake *lake, const char *name,
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

static inline struct table *make(struct env *v, const char *name)
{
    return make_by(v, &v->lake, name, table_create);
}

static inline int append_to(struct env *v, struct table *t, struct append *a,
                     struct append_attempt *attempt, int32_t day)
{
    struct partition_value part = {.number = day};
    struct iceberg_leaf leaf = {.field_id = COL_EVENT_TIME,
                             .column_bytes = 20,
                             .values = 10,
                             .nans = -1,
                             .has_bounds = true,
                             .lower_n = 8,
                             .upper_n = 8};
    int64_t lower = day * DAY, upper = day * DAY + 10 + v->n, offset = 4;
    leaf.lower = (const uint8_t *)&lower;
    leaf.upper = (const uint8_t *)&upper;
    struct data_file f = {table_data_key(t, &part, v->n++), 10, 4, &part, &leaf, 1, &offset, 1};
    assert_int_equal(store_put(v->store, f.key, "PAR1", 4, &v->e), 0);
    a->files = &f;
    a->n_files = 1;
    int rc = table_append(t, a, attempt, &v->e);
    free(f.key);
    return rc;
}

static inline void append_ok(struct env *v, struct table *t, int32_t day)
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

static inline bool see(void *ctx, const struct table_file *f)
{
    struct seen *s = ctx;
    s->ordered &= s->n == 0 || f->sequence_number <= s->last_sequence;
    s->bounds &= f->has_bounds && f->key != NULL;
    s->last_sequence = f->sequence_number;
    s->rows += f->rows;
    s->n++;
    return true;
}

static inline void check_files(struct env *v, struct table *t, uint32_t n)
{
    struct seen s = {.ordered = true, .bounds = true};
    if (table_files(t, COL_EVENT_TIME, see, &s, &v->e))
        fail_msg("%s", v->e.text);
    assert_int_equal(s.n, n);
    assert_int_equal(s.rows, 10 * n);
    assert_true(s.ordered && s.bounds);
}

static inline void count_json(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    (void)bytes;
    (void)modified_ms;
    *(uint32_t *)ctx += strstr(key, ".metadata.json") != NULL;
}

struct watch {
    struct env *v;
    struct table *other;
    uint32_t calls, rebased, races;
    enum err_kind answer;
};

static inline int validate(void *ctx, const struct table *t, bool rebased, struct err *e)
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

/* ---- answers lost: a catalog between us and the real one */

enum fate { ANSWERED, LOST_AFTER, LOST_BEFORE, REFUSED };
struct flaky {
    struct catalog base;
    struct catalog *real;
    const enum fate *fates; /* of the next swaps; past `n`: ANSWERED */
    uint32_t n, at;
    char *held_base, *held_next; /* the last that was lost before it acted */
};

static inline struct flaky *flaky_of(struct catalog *c)
{
    return (struct flaky *)(void *)c;
}
static inline int flaky_load(struct catalog *c, const char *ns, const char *table,
                      struct catalog_table *out, struct err *e)
{
    struct catalog *r = flaky_of(c)->real;
    return r->ops->load(r, ns, table, out, e);
}
static inline int flaky_swap(struct catalog *c, const char *ns, const char *table,
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
static inline int flaky_create(struct catalog *c, const char *ns, const char *table,
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
static inline int arrive(struct flaky *f, const char *table, struct err *e)
{
    struct catalog_change change = {.base = f->held_base, .next = f->held_next};
    struct catalog_table none = {0};
    return f->real->ops->swap(f->real, "events", table, &change, &none, e);
}

static inline struct flaky flaky_begin(struct env *v, const enum fate *fates, uint32_t n)
{
    struct flaky f = {.base = {&flaky_ops, false}, .real = v->catalog, .fates = fates, .n = n};
    return f;
}
static inline void flaky_fini(struct flaky *f)
{
    free(f->held_base);
    free(f->held_next);
}

/* Appends through the flaky catalog; what settling says. */
static inline enum settled append_lost(struct env *v, struct table *t, struct append_attempt *attempt)
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

static inline int propose_extra(void *ctx, const struct schema *current, int32_t last, struct schema *out,
                         struct err *e)
{
    (void)ctx, (void)e;
    if (field_child(&current->root, "extra"))
        return 0;
    schema_dup(out, current);
    field_add(&out->root, last + 1, "extra", "Extra", false, TYPE_LONG);
    return 1;
}

static inline int propose(void *ctx, const struct schema *current, int32_t last, struct schema *out,
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

#endif
