/* The protocol's stories, without I/O: two workers, a table that is a position a shard, step by step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocol/protocol.h"

struct base {
    struct seq held[4];
};

static struct seq held(void *ctx, uint32_t shard)
{
    return ((struct base *)ctx)->held[shard];
}

/* Hands out one batch up to `last`, closes the epoch, and says that the table has rows in it. */
static uint64_t one_epoch(struct protocol *p, uint32_t shard, uint64_t last, uint32_t table, int64_t now)
{
    uint64_t epoch = protocol_batch_out(p, shard, seq_of(last), now);
    protocol_cut(p, now);
    assert_int_equal(protocol_closed_ready(p), 0);
    protocol_batch_done(p, epoch);
    assert_int_equal(protocol_closed_ready(p), epoch);
    protocol_table_rows(p, table, epoch);
    return epoch;
}

static int commit(struct protocol *p, uint32_t table, struct base *b, int64_t now, struct err *e)
{
    struct protocol_plan plan;
    if (protocol_commit_plan(p, table, now, &plan, e))
        return -1;
    int rc = protocol_plan_check(&plan, held, b, e);
    if (rc)
        protocol_commit_failed(p, table, &plan);
    else {
        for (uint32_t i = 0; i < plan.n_steps; i++)
            b->held[plan.steps[i].shard] = plan.steps[i].next;
        protocol_commit_done(p, table, &plan);
    }
    protocol_plan_fini(&plan);
    return rc;
}

static void zombie_is_fenced(void **state)
{
    struct base b = {0};
    struct err e = {0};
    struct protocol *zombie = protocol_new(), *heir = protocol_new();
    (void)state;
    protocol_shard_taken(zombie, 0, SEQ_NONE);
    one_epoch(zombie, 0, 100, 1, 1);
    protocol_shard_taken(heir, 0, SEQ_NONE);
    one_epoch(heir, 0, 150, 1, 2);
    protocol_shard_ended(heir, 0);
    assert_int_equal(commit(heir, 1, &b, 3, &e), 0);
    assert_int_equal(commit(zombie, 1, &b, 4, &e), -1); /* wakes after its successor ended the shard */
    assert_int_equal(e.kind, ERR_FENCED);
    assert_int_equal(seq_low(b.held[0]), 150);
    protocol_free(zombie);
    protocol_free(heir);
}

static void late_table_is_expected_empty(void **state)
{
    struct base b = {0};
    struct err e = {0};
    struct protocol *p = protocol_new();
    (void)state;
    protocol_shard_taken(p, 0, SEQ_NONE);
    one_epoch(p, 0, 10, 7, 1);
    b.held[0] = seq_of(5); /* a zombie's commit made the table meanwhile */
    assert_int_equal(commit(p, 7, &b, 2, &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    protocol_free(p);
}

static void position_never_moves_back(void **state)
{
    struct base b = {.held = {{{0, 0, 0, 500}}}};
    struct err e = {0};
    struct protocol *p = protocol_new();
    (void)state;
    protocol_shard_taken(p, 0, seq_of(20));
    protocol_table_position(p, 1, 0, seq_of(500));
    assert_int_equal(seq_low(protocol_skip_until(p, 0)), 500);
    one_epoch(p, 0, 60, 1, 1); /* a cut that lies before the table's own position */
    assert_int_equal(commit(p, 1, &b, 2, &e), 0);
    assert_int_equal(seq_low(b.held[0]), 500);
    protocol_free(p);
}

static void checkpoint_waits_for_carried_rows(void **state)
{
    struct base one = {0}, two = {0};
    struct err e = {0};
    struct seq at;
    struct protocol *p = protocol_new();
    (void)state;
    protocol_shard_taken(p, 0, SEQ_NONE);
    one_epoch(p, 0, 10, 1, 1);
    one_epoch(p, 0, 20, 2, 2);
    assert_int_equal(commit(p, 2, &two, 3, &e), 0); /* table 1's rows are carried */
    assert_int_equal(protocol_committed_upto(p), 0);
    assert_false(protocol_checkpoint(p, 0, &at));
    assert_int_equal(commit(p, 1, &one, 4, &e), 0);
    assert_true(protocol_checkpoint(p, 0, &at));
    assert_int_equal(seq_low(at), 20);
    protocol_shard_ended(p, 0);
    protocol_cut(p, 5);
    assert_int_equal(protocol_closed_ready(p), 3);
    assert_true(protocol_checkpoint(p, 0, &at));
    assert_int_equal(seq_cmp(at, SEQ_END), 0);
    protocol_free(p);
}

static void an_old_epoch_is_never_committed(void **state)
{
    struct base b = {0};
    struct err e = {0};
    struct protocol *p = protocol_new();
    (void)state;
    protocol_shard_taken(p, 0, SEQ_NONE);
    one_epoch(p, 0, 10, 1, 1);
    assert_int_equal(commit(p, 1, &b, PROTOCOL_EPOCH_MAX_MS + 2, &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    protocol_free(p);
}

static void a_failed_commit_is_planned_again(void **state)
{
    struct base b = {0};
    struct err e = {0};
    struct protocol_plan plan;
    struct protocol *p = protocol_new();
    (void)state;
    protocol_shard_taken(p, 0, SEQ_NONE);
    one_epoch(p, 0, 10, 1, 1);
    assert_int_equal(protocol_commit_plan(p, 1, 2, &plan, &e), 0);
    one_epoch(p, 0, 30, 1, 2);
    protocol_commit_failed(p, 1, &plan);
    protocol_plan_fini(&plan);
    assert_int_equal(protocol_committed_upto(p), 0);
    assert_int_equal(commit(p, 1, &b, 3, &e), 0);
    assert_int_equal(seq_low(b.held[0]), 30);
    assert_int_equal(protocol_committed_upto(p), 2);
    protocol_free(p);
}

static void a_shard_that_was_returned_is_in_no_plan(void **state)
{
    struct base b = {.held = {SEQ_NONE, {{0, 0, 0, 7}}}}; /* what it holds of the second could not be read */
    struct err e = {0};
    struct protocol *p = protocol_new();
    (void)state;
    protocol_shard_taken(p, 0, SEQ_NONE);
    protocol_shard_taken(p, 1, seq_of(3));
    protocol_shard_returned(p, 1);
    assert_false(protocol_shard_held(p, 1));
    one_epoch(p, 0, 10, 1, 1);
    assert_int_equal(commit(p, 1, &b, 2, &e), 0);
    assert_int_equal(seq_low(b.held[1]), 7);
    protocol_shard_taken(p, 1, seq_of(3));
    protocol_table_position(p, 1, 1, seq_of(7));
    one_epoch(p, 1, 9, 1, 3);
    assert_int_equal(commit(p, 1, &b, 4, &e), 0);
    assert_int_equal(seq_low(b.held[1]), 9);
    protocol_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zombie_is_fenced),
        cmocka_unit_test(late_table_is_expected_empty),
        cmocka_unit_test(position_never_moves_back),
        cmocka_unit_test(checkpoint_waits_for_carried_rows),
        cmocka_unit_test(an_old_epoch_is_never_committed),
        cmocka_unit_test(a_failed_commit_is_planned_again),
        cmocka_unit_test(a_shard_that_was_returned_is_in_no_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
