/* registry: whatever grows, by however many workers, every value has a column of its own in the end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "schema/registry.h"

static const struct registry_limits wide = {1000, 200, 16, 128};
static struct schema table;
static int32_t last_id;

static void table_new(void)
{
    schema_event_base(&table);
    last_id = schema_max_id(&table);
}

static struct registry *grow(const struct declared_column *declared, size_t n)
{
    struct registry *r = registry_new(&wide, declared, n);
    assert_int_equal(registry_bind(r, &table, NULL), 0);
    return r;
}

static int agree(struct registry *r)
{
    struct schema next;
    struct err e = {0};
    int rc = registry_propose(r, &table, last_id, &next, &e);
    if (rc < 0)
        return (int)e.kind;
    if (rc == 1) {
        schema_fini(&table);
        table = next;
        last_id = schema_max_id(&table);
    }
    return registry_bind(r, &table, &e) ? (int)e.kind : 0;
}

static struct rnode *scalar(struct registry *r, struct rnode *up, const char *key, enum kind kind)
{
    struct rnode *x = registry_child(r, up, key, strlen(key), PLACE_SCALAR, kind);
    if (x->place == PLACE_SCALAR)
        registry_add_kind(r, x, kind);
    return x;
}

static const struct field *target(const struct rnode *x, enum kind kind)
{
    bool merge;
    int32_t inexact;
    return schema_find_id(&table, registry_target(x, kind, &merge, &inexact));
}

static void column_is(const struct rnode *x, enum kind kind, const char *name, enum type_kind type)
{
    const struct field *f = target(x, kind);
    if (!f)
        fail_msg("%s has no column for %s", x->key, name);
    else {
        assert_string_equal(f->name, name);
        assert_int_equal(f->kind, type);
        if (x->key_len)
            assert_string_equal(f->doc, x->key);
    }
}

static void kinds_get_siblings(void **state)
{
    (void)state;
    table_new();
    struct registry *r = grow(NULL, 0);
    struct rnode *root = registry_root(r), *a = scalar(r, root, "Amount", KIND_LONG);
    assert_int_equal(agree(r), 0);
    scalar(r, root, "Amount", KIND_DOUBLE);
    scalar(r, root, "Amount", KIND_STRING);
    struct rnode *n = scalar(r, root, "n", KIND_LONG);
    scalar(r, root, "n", KIND_DOUBLE);
    assert_int_equal(agree(r), 0);
    column_is(a, KIND_LONG, "amount", TYPE_LONG);
    column_is(a, KIND_DOUBLE, "amount_double", TYPE_DOUBLE);
    column_is(a, KIND_STRING, "amount_string", TYPE_STRING);
    column_is(n, KIND_LONG, "n", TYPE_DOUBLE); /* both before there was a column: merged */
    assert_int_equal(registry_child(r, root, "amount", 6, PLACE_SCALAR, KIND_LONG)->place, PLACE_RESCUE);
    assert_int_equal(registry_child(r, root, "event_type", 10, PLACE_SCALAR, KIND_LONG)->place, PLACE_RESCUE);
    registry_free(r);
    r = grow(NULL, 0); /* again, from the table alone */
    a = registry_child(r, registry_root(r), "Amount", 6, PLACE_SCALAR, KIND_DOUBLE);
    column_is(a, KIND_DOUBLE, "amount_double", TYPE_DOUBLE);
    column_is(a, KIND_LONG, "amount", TYPE_LONG);
    registry_free(r);
    schema_fini(&table);
}

static void limits_rescue(void **state)
{
    struct registry *r = registry_new(&(struct registry_limits){3, 1, 1000, 4}, NULL, 0);
    struct rnode *root = registry_root(r), *s, *deep;
    (void)state;
    s = registry_child(r, root, "s", 1, PLACE_STRUCT, KIND_LONG);
    assert_int_equal(scalar(r, s, "x", KIND_LONG)->place, PLACE_SCALAR);
    assert_int_equal(scalar(r, s, "y", KIND_LONG)->place, PLACE_RESCUE);
    assert_int_equal(scalar(r, root, "12345", KIND_LONG)->place, PLACE_RESCUE);
    scalar(r, root, "b", KIND_LONG);
    assert_true(registry_add_kind(r, scalar(r, root, "b", KIND_LONG), KIND_BOOL));
    assert_false(registry_add_kind(r, scalar(r, root, "b", KIND_LONG), KIND_STRING));
    assert_int_equal(scalar(r, root, "c", KIND_LONG)->place, PLACE_RESCUE);
    registry_free(r);
    r = registry_new(&(struct registry_limits){1000, 10, 100000, 4}, NULL, 0);
    deep = registry_child(r, registry_root(r), "l", 1, PLACE_LIST, KIND_LONG);
    for (int i = 0; i < 300 && deep->place == PLACE_LIST; i++) { /* levels are bytes: they must not wrap */
        struct rnode *next = registry_child(r, deep, "", 0, PLACE_LIST, KIND_LONG);
        if (next->place == PLACE_LIST)
            assert_int_equal(next->max_def, deep->max_def + 2);
        deep = next;
    }
    assert_int_equal(deep->place, PLACE_RESCUE);
    registry_free(r);
}

static void a_declaration_against_an_older_column_gets_its_own(void **state)
{
    static const struct declared_column declared[] = {{"price", "decimal(12,2)"}};
    (void)state;
    table_new();
    struct registry *r = grow(NULL, 0);
    scalar(r, registry_root(r), "price", KIND_DOUBLE);
    assert_int_equal(agree(r), 0);
    registry_free(r);
    r = grow(declared, 1);
    struct rnode *x = registry_child(r, registry_root(r), "price", 5, PLACE_SCALAR, KIND_DOUBLE);
    assert_int_equal(x->place, PLACE_DECLARED);
    assert_int_equal(agree(r), 0);
    assert_non_null(target(x, KIND_DECIMAL));
    assert_int_equal(target(x, KIND_DECIMAL)->kind, TYPE_DECIMAL);
    registry_free(r);
    schema_fini(&table);
}

static void elements_of_two_types_are_a_conflict(void **state)
{
    (void)state;
    table_new();
    struct registry *a = grow(NULL, 0), *b = grow(NULL, 0);
    scalar(a, registry_child(a, registry_root(a), "l", 1, PLACE_LIST, KIND_LONG), "", KIND_STRING);
    scalar(b, registry_child(b, registry_root(b), "l", 1, PLACE_LIST, KIND_LONG), "", KIND_LONG);
    assert_int_equal(agree(a), 0);
    assert_int_equal(agree(b), ERR_CONFLICT);
    registry_free(a);
    registry_free(b);
    schema_fini(&table);
}

/* ---- several workers on one table ---- */

static uint64_t seed;
static uint32_t rnd(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

static void names_are_unique(const struct field *f)
{
    for (uint32_t i = 0; i < f->n_children; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (strcasecmp(f->children[i].name, f->children[k].name) == 0)
                fail_msg("two columns %s (of %s and %s)", f->children[i].name, f->children[i].doc,
                         f->children[k].doc);
        names_are_unique(&f->children[i]);
    }
    if (f->kind == TYPE_LIST)
        assert_int_equal(f->n_children, 1);
}

static void all_have_columns(struct rnode *const *met, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (int k = 0; k < KIND_COUNT; k++)
            if (met[i]->kinds & 1u << k && !target(met[i], (enum kind)k))
                fail_msg("'%s' has no column for kind %d", met[i]->key, k);
}

static void workers_share_a_table(void **state)
{
    static const char *const keys[] = {"a", "A", "a_long", "a b", "a_b", "s", "S", "l", "L", "z"};
    (void)state;
    for (seed = 1; seed < 3000000000u; seed += 3000000) {
        uint64_t start = seed;
        struct registry *r[2];
        struct rnode *met[2][200];
        uint32_t n[2] = {0, 0};
        bool lost[2] = {false, false};
        table_new();
        for (int w = 0; w < 2; w++)
            r[w] = grow(NULL, 0);
        for (int step = 0; step < 60; step++) {
            uint32_t w = rnd(2), depth = rnd(3);
            struct rnode *up = registry_root(r[w]);
            for (uint32_t d = 0; d < depth && up->place == PLACE_STRUCT; d++) {
                const char *key = rnd(2) ? "s" : keys[rnd(10)];
                up = registry_child(r[w], up, key, strlen(key), PLACE_STRUCT, KIND_LONG);
            }
            if (up->place == PLACE_STRUCT) {
                const char *key = keys[rnd(10)];
                struct rnode *x = scalar(r[w], up, key, (enum kind)rnd(4));
                if (x->place == PLACE_SCALAR)
                    met[w][n[w]++] = x;
            }
            if (rnd(5) == 0 && !lost[w]) {
                int rc = agree(r[w]);
                names_are_unique(&table.root);
                if (rc == 0)
                    all_have_columns(met[w], n[w]);
                else
                    assert_int_equal(rc, ERR_CONFLICT);
                lost[w] = rc != 0; /* its epoch is dropped */
            }
        }
        for (int w = 0; w < 2; w++)
            registry_free(r[w]);
        schema_fini(&table);
        seed = start;
    }
}

/* A catalog gave our columns ids of its own: they are ours all the same, and id 5 is an event's. */
static void our_columns_have_other_ids(void **state)
{
    struct schema_ids ids;
    (void)state;
    table_new();
    schema_ids_same(&ids);
    for (uint32_t i = 0; i < table.root.n_children; i++) {
        table.root.children[i].id += 100;
        ids.of[i + 1] += 100;
    }
    field_add(&table.root, COL_EVENT_TYPE, "mine", NULL, false, TYPE_LONG);
    last_id = schema_max_id(&table);
    struct registry *r = registry_new(&wide, NULL, 0);
    registry_set_envelope(r, &ids);
    assert_int_equal(registry_bind(r, &table, NULL), 0);
    struct rnode *root = registry_root(r), *mine = scalar(r, root, "mine", KIND_LONG);
    assert_int_equal(scalar(r, root, "event_type", KIND_STRING)->place, PLACE_RESCUE);
    assert_int_equal(target(mine, KIND_LONG)->id, COL_EVENT_TYPE);
    assert_int_equal(schema_ids_ours(&ids, COL_EVENT_TYPE), 0);
    assert_int_equal(schema_ids_ours(&ids, 100 + COL_RESCUED), COL_RESCUED);
    registry_free(r);
    schema_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_columns_have_other_ids),
        cmocka_unit_test(kinds_get_siblings), cmocka_unit_test(limits_rescue),
        cmocka_unit_test(a_declaration_against_an_older_column_gets_its_own),
        cmocka_unit_test(elements_of_two_types_are_a_conflict),
        cmocka_unit_test(workers_share_a_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
