/* Columns that wait for the append which brings them, and tables that come to be with it. See lake.h. */
#include "lake.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_draft_comes_with_the_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_draft_is_fenced_by_anothers_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_draft_under_lost_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_planned_table_comes_with_its_first_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_planned_table_is_fenced_by_anothers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_planned_table_under_lost_answers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
