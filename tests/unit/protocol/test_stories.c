/* The stories that exactly-once must survive, each played step by step between two workers and a
 * modelled lake, once with all rules and once with the story's own rule taken out: then the harm
 * that the rule prevents has to happen, or the story tests nothing. */
#include "protocol/model.h"

#define MINUTE ((int64_t)60 * 1000)
#define DAY ((int64_t)24 * 3600 * 1000)

typedef struct protocol_rules_off rules_off;
typedef struct outcome story_fn(rules_off off);

static struct model m;

/* Both ways. `lost` and `doubled`: what happens without the rule. */
static void play(story_fn *story, rules_off off, unsigned lost, unsigned doubled)
{
    struct outcome good = story((rules_off){0});
    assert_int_equal(good.lost, 0);
    assert_int_equal(good.doubled, 0);
    struct outcome bad = story(off);
    assert_int_equal(bad.lost, lost);
    assert_int_equal(bad.doubled, doubled);
}

static struct outcome finish(uint32_t shard, unsigned from)
{
    struct outcome o = model_outcome(&m, shard, from);
    model_fini(&m);
    return o;
}

static void read_and_cut(struct worker *w, uint32_t shard, unsigned n)
{
    worker_read(&m, w, shard, n, false);
    worker_cut(&m, w);
}

/* Takes what the lease says is left, reads and commits all of it. */
static void successor(unsigned slot, uint32_t shard)
{
    struct worker *w = worker_start(&m, slot);
    worker_take(&m, w, shard);
    if (w->restart)
        worker_restart(&m, w);
    read_and_cut(w, shard, RECORDS);
    for (uint32_t t = 0; t < TABLES; t++)
        if (has_rows(w, t))
            assert_int_equal(worker_commit(&m, w, t), BEGUN);
    worker_checkpoint(&m, w);
}

/* ---- a zombie wakes */

/* Two days asleep: by then the ended shard's position might as well be gone. */
static struct outcome zombie_after_expiry(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 5;
    struct worker *zombie = worker_start(&m, 0), *next = worker_start(&m, 1);
    worker_take(&m, zombie, 0);
    read_and_cut(zombie, 0, 5);
    worker_take(&m, next, 0);
    worker_read(&m, next, 0, 5, false);
    worker_end(next, 0);
    worker_cut(&m, next);
    assert_int_equal(worker_commit(&m, next, 1), BEGUN);
    worker_checkpoint(&m, next);
    assert_int_equal(seq_cmp(m.leases[0].checkpoint, SEQ_END), 0);
    assert_true(m.tables[1].ended_ms[0] != 0);
    m.now_ms += 8 * DAY;
    m.unix_ms += 8 * DAY;
    assert_true(m.unix_ms - m.tables[1].ended_ms[0] > PROTOCOL_ENDED_KEEP_MS);
    m.tables[1].pos[0] = SEQ_NONE; /* as position_map_expire does: test_positions.c */
    enum begun begun = worker_commit(&m, zombie, 1);
    assert_int_equal(begun, off.epoch_age ? BEGUN : BEGUN_FENCED);
    return finish(0, 1);
}

static void a_zombie_wakes_after_the_shard_ended(void **state)
{
    (void)state;
    play(zombie_after_expiry, (rules_off){.epoch_age = true}, 0, 5);
}

/* It slept after its plan was made: the age is asked again at the offer. */
static void a_plan_grows_old(void **state)
{
    (void)state;
    struct err e;
    model_init(&m, (rules_off){0});
    m.records[0] = 5;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    read_and_cut(w, 0, 5);
    assert_int_equal(commit_begin(&m, w, 1), BEGUN);
    assert_int_equal(protocol_plan_check_age(&w->plan[1], m.now_ms + 59 * MINUTE, &e), 0);
    assert_int_equal(protocol_plan_check_age(&w->plan[1], m.now_ms + 61 * MINUTE, &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    model_fini(&m);
}

static struct outcome zombie_in_time(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 5;
    struct worker *zombie = worker_start(&m, 0);
    worker_take(&m, zombie, 0);
    read_and_cut(zombie, 0, 5);
    successor(1, 0);
    m.now_ms += 30 * MINUTE;
    enum begun begun = worker_commit(&m, zombie, 1);
    assert_int_equal(begun, off.fence ? BEGUN : BEGUN_FENCED);
    if (!off.fence)
        assert_int_equal(zombie->lost, 0);
    return finish(0, 1);
}

static void a_zombie_is_fenced(void **state)
{
    (void)state;
    play(zombie_in_time, (rules_off){.fence = true}, 0, 5);
}

/* ---- a table first opened after the zombie's commit */

static struct outcome table_opened_late(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 6;
    struct worker *zombie = worker_start(&m, 0), *next = worker_start(&m, 1);
    worker_take(&m, zombie, 0);
    read_and_cut(zombie, 0, 4);
    worker_take(&m, next, 0); /* the table is not there yet */
    read_and_cut(next, 0, 6);
    assert_int_equal(worker_commit(&m, zombie, 1), BEGUN);      /* makes it, and holds 4 */
    protocol_table_position(next->p, 1, 0, m.tables[1].pos[0]); /* opened now */
    if (worker_commit(&m, next, 1) == BEGUN_FENCED) {
        assert_int_equal(next->lost, 0);
        assert_true(worker_restart(&m, next));
        worker_take(&m, next, 0);
        read_and_cut(next, 0, 6);
        assert_int_equal(worker_commit(&m, next, 1), BEGUN);
    }
    return finish(0, 1);
}

static void a_table_is_opened_after_the_zombies_commit(void **state)
{
    (void)state;
    play(table_opened_late, (rules_off){.frozen = true}, 0, 4);
}

/* ---- a cut that lies before a table's own position */

static struct outcome cut_before_position(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 10;
    m.records[1] = 1;
    m.table_of[0][1] = 2; /* waits, and so holds the checkpoint back */
    struct worker *first = worker_start(&m, 0);
    worker_take(&m, first, 0);
    read_and_cut(first, 0, 10);
    assert_int_equal(worker_commit(&m, first, 1), BEGUN);
    worker_checkpoint(&m, first);
    worker_crash(first);
    struct worker *second = worker_start(&m, 1);
    worker_take(&m, second, 0);
    worker_take(&m, second, 1);
    worker_read(&m, second, 0, 3, false);
    worker_read(&m, second, 1, 1, false);
    worker_cut(&m, second);
    assert_int_equal(worker_commit(&m, second, 1), BEGUN); /* shard 1's row; shard 0 is cut at 3 */
    worker_checkpoint(&m, second);
    worker_crash(second);
    successor(2, 0);
    return finish(0, 1);
}

static void a_cut_before_the_tables_position(void **state)
{
    (void)state;
    play(cut_before_position, (rules_off){.never_back = true}, 0, 7);
}

/* ---- the checkpoint waits for every table */

static struct outcome crash_with_rows_waiting(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 10;
    for (unsigned i = 1; i <= 10; i += 2)
        m.table_of[0][i] = 2;
    struct worker *first = worker_start(&m, 0);
    worker_take(&m, first, 0);
    read_and_cut(first, 0, 10);
    assert_int_equal(worker_commit(&m, first, 1), BEGUN);
    worker_checkpoint(&m, first);
    worker_crash(first);
    successor(1, 0);
    return finish(0, 1);
}

static void a_crash_with_rows_waiting(void **state)
{
    (void)state;
    play(crash_with_rows_waiting, (rules_off){.least_position = true}, 5, 0);
}

/* The simulator's find: what was handed out of a shard under an earlier lease is no cut of this
 * one. */
static void a_shard_lost_and_taken_again(void **state)
{
    (void)state;
    model_init(&m, (rules_off){0});
    m.records[0] = 9;
    m.records[1] = 1;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    worker_take(&m, w, 1);
    worker_read(&m, w, 0, 9, false);
    worker_lose(w, 0);
    assert_true(worker_restart(&m, w));
    read_and_cut(w, 1, 1); /* shard 0 is not held at this cut */
    worker_take(&m, w, 0);
    assert_int_equal(worker_commit(&m, w, 1), BEGUN);
    worker_checkpoint(&m, w);
    assert_int_equal(seq_cmp(m.tables[1].pos[0], SEQ_NONE), 0);
    assert_int_equal(seq_cmp(m.leases[0].checkpoint, SEQ_NONE), 0);
    read_and_cut(w, 0, 9);
    assert_int_equal(worker_commit(&m, w, 1), BEGUN);
    struct outcome o = finish(0, 1);
    assert_int_equal(o.lost + o.doubled, 0);
}

/* ---- a duplicate whose first row's epoch is dropped */

static struct outcome duplicate_of_a_dropped_row(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 2;
    m.records[1] = 1;
    m.uuid_of[0][2] = m.uuid_of[0][1];
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    worker_take(&m, w, 1);
    worker_read(&m, w, 1, 1, false);
    read_and_cut(w, 0, 1);
    read_and_cut(w, 0, 1);
    assert_int_equal(w->duplicates, 1);
    worker_lose(w, 1); /* shared files: all of it is read again */
    assert_int_equal(worker_commit(&m, w, 1), BEGUN_FENCED);
    assert_true(worker_restart(&m, w));
    read_and_cut(w, 0, 2);
    if (has_rows(w, 1))
        assert_int_equal(worker_commit(&m, w, 1), BEGUN);
    struct outcome o = model_outcome(&m, 0, 1);
    model_fini(&m);
    assert_true(o.lost >= 1); /* one of the two is a duplicate, as it should be */
    o.lost--;
    return o;
}

static void a_duplicate_of_a_dropped_row(void **state)
{
    (void)state;
    play(duplicate_of_a_dropped_row, (rules_off){.forget = true}, 1, 0);
}

/* ---- LATEST, a crash before the first checkpoint, LATEST again */

static struct outcome latest_twice(rules_off off)
{
    model_init(&m, off);
    m.latest = true;
    m.records[0] = 5;
    struct worker *first = worker_start(&m, 0);
    worker_take(&m, first, 0); /* LATEST is after 5 */
    m.records[0] = 8;
    read_and_cut(first, 0, 3);
    worker_crash(first);
    successor(1, 0);
    assert_int_equal(model_count(&m, 0, 5), 0);
    return finish(0, 6);
}

static void latest_after_a_crash_at_latest(void **state)
{
    (void)state;
    play(latest_twice, (rules_off){.start_stored = true}, 3, 0);
}

/* ---- a delayed compare-and-swap lands after "not there" was read */

static struct outcome delayed_swap(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 3;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    read_and_cut(w, 0, 3);
    assert_int_equal(commit_begin(&m, w, 1), BEGUN);
    struct request *q = fly(&m, &w->request[1]);
    protocol_commit_unknown(w->p, 1);
    struct protocol_plan plan;
    struct err e;
    assert_int_equal(protocol_commit_plan(w->p, 1, m.now_ms, &plan, &e), -1);
    assert_int_equal(e.kind, ERR_UNKNOWN);
    assert_false(worker_restart(&m, w)); /* nor is anything dropped meanwhile */
    enum protocol_settled seen = worker_settle(&m, w, 1);
    assert_int_equal(seen, off.settle_moved ? PROTOCOL_NOT : PROTOCOL_UNKNOWN);
    assert_true(request_lands(&m, q));
    if (seen == PROTOCOL_UNKNOWN)
        assert_int_equal(worker_settle(&m, w, 1), PROTOCOL_COMMITTED);
    else
        assert_int_equal(worker_commit(&m, w, 1), BEGUN_FENCED); /* by itself */
    return finish(0, 1);
}

static void a_delayed_swap_lands(void **state)
{
    (void)state;
    play(delayed_swap, (rules_off){.settle_moved = true}, 3, 0);
}

/* The base moved on without us: then it is NOT for good, and the rows go in by a new plan. */
static void a_swap_that_lost_is_made_again(void **state)
{
    (void)state;
    model_init(&m, (rules_off){0});
    m.records[0] = 3;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    read_and_cut(w, 0, 3);
    assert_int_equal(commit_begin(&m, w, 1), BEGUN);
    struct request *q = fly(&m, &w->request[1]);
    protocol_commit_unknown(w->p, 1);
    m.tables[1].version++; /* somebody compacted */
    assert_int_equal(worker_settle(&m, w, 1), PROTOCOL_NOT);
    assert_false(request_lands(&m, q));
    assert_int_equal(worker_commit(&m, w, 1), BEGUN);
    struct outcome o = finish(0, 1);
    assert_int_equal(o.lost + o.doubled, 0);
}

/* ---- two loads of one file at once */

static struct outcome two_loads(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 9;
    struct worker *a = worker_start(&m, 0), *b = worker_start(&m, 1);
    worker_take(&m, a, 0);
    worker_take(&m, b, 0); /* as if the lease had kept nobody away */
    for (unsigned i = 0; i < 3; i++) {
        read_and_cut(a, 0, 3);
        read_and_cut(b, 0, 3);
        if (!a->restart)
            worker_commit(&m, a, 1);
        if (!b->restart)
            worker_commit(&m, b, 1);
    }
    assert_int_equal(a->restart, false);
    assert_int_equal(b->restart, !off.fence);
    return finish(0, 1);
}

static void two_loads_of_one_file(void **state)
{
    (void)state;
    play(two_loads, (rules_off){.fence = true}, 0, 9);
}

/* ---- a table quarantined and back */

static void refuse_until_quarantine(struct worker *w, uint32_t table)
{
    for (int i = 0;; i++) {
        assert_int_equal(commit_begin(&m, w, table), BEGUN);
        enum protocol_action action =
            protocol_commit_refused(w->p, table, &w->plan[table], m.now_ms);
        plan_over(w, table, false);
        if (action == PROTOCOL_QUARANTINE) {
            assert_int_equal(i, 15);
            break;
        }
        assert_int_equal(action, PROTOCOL_RETRY);
        m.now_ms += MINUTE;
    }
    assert_true(worker_restart(&m, w));
    assert_int_equal(protocol_route(w->p, table), PROTOCOL_TO_DEAD_LETTERS);
}

/* Dead letters commit, past records of a table that is still thought well. */
static struct outcome quarantine(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 6;
    m.table_of[0][5] = 0;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    read_and_cut(w, 0, 6);
    assert_int_equal(worker_commit(&m, w, 0), BEGUN);
    refuse_until_quarantine(w, 1);
    read_and_cut(w, 0, 6);
    if (has_rows(w, 0))
        assert_int_equal(worker_commit(&m, w, 0), BEGUN);
    return finish(0, 1);
}

static void a_table_is_quarantined(void **state)
{
    (void)state;
    play(quarantine, (rules_off){.own_cover = true}, 5, 0);
}

static void bring_back(struct worker *w, uint32_t table)
{
    uint32_t next;
    protocol_table_back(w->p, table);
    assert_true(worker_restart(&m, w));
    assert_int_equal(protocol_route(w->p, table), PROTOCOL_HOLD);
    assert_true(protocol_returning(w->p, &next));
    assert_int_equal(next, table);
    assert_int_equal(worker_commit(&m, w, next), BEGUN);
    assert_true(protocol_returning(w->p, &next));
    assert_int_equal(next, PROTOCOL_DEAD_LETTERS);
    assert_int_equal(worker_commit(&m, w, next), BEGUN);
    assert_false(protocol_returning(w->p, &next));
    assert_int_equal(protocol_route(w->p, table), PROTOCOL_TO_TABLE);
}

/* Table 2 has rows waiting, so the checkpoint stays at 0 and all is read again after the crash. */
static struct outcome quarantine_and_back(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 8;
    m.table_of[0][1] = 2;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    read_and_cut(w, 0, 4);
    refuse_until_quarantine(w, 1);
    read_and_cut(w, 0, 5);
    assert_int_equal(worker_commit(&m, w, 0), BEGUN); /* 2 to 5 are letters */
    bring_back(w, 1);
    worker_checkpoint(&m, w);
    worker_crash(w);
    successor(1, 0);
    return finish(0, 1);
}

static void a_table_is_quarantined_and_comes_back(void **state)
{
    (void)state;
    play(quarantine_and_back, (rules_off){.back_forward = true}, 0, 4);
}

/* One who still takes it for quarantined wakes after the successor has brought it back. */
static struct outcome quarantine_and_zombie(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 8;
    struct worker *zombie = worker_start(&m, 0);
    worker_take(&m, zombie, 0);
    read_and_cut(zombie, 0, 4);
    refuse_until_quarantine(zombie, 1);
    read_and_cut(zombie, 0, 4);
    assert_int_equal(worker_commit(&m, zombie, 0), BEGUN);
    read_and_cut(zombie, 0, 4);
    struct worker *next = worker_start(&m, 1);
    worker_take(&m, next, 0);
    assert_int_equal(protocol_route(next->p, 1), PROTOCOL_TO_DEAD_LETTERS);
    bring_back(next, 1);
    read_and_cut(next, 0, 8);
    assert_int_equal(worker_commit(&m, next, 1), BEGUN);
    worker_checkpoint(&m, next);
    m.leases[0].owner =
        zombie->number; /* even if it had the lease again: the covers alone fence it */
    assert_int_equal(worker_commit(&m, zombie, 0), off.fence ? BEGUN : BEGUN_FENCED);
    return finish(0, 1);
}

static void a_zombie_still_writes_letters(void **state)
{
    (void)state;
    play(quarantine_and_zombie, (rules_off){.fence = true}, 0, 4);
}

/* It quarantines a table just before it is succeeded: its letters are under way, checked and its lease
 * read. The successor finds the table well, and writes no letters that would fence them. */
static struct outcome letters_under_way(rules_off off)
{
    model_init(&m, off);
    m.records[0] = 6;
    struct worker *zombie = worker_start(&m, 0);
    worker_take(&m, zombie, 0);
    read_and_cut(zombie, 0, 6);
    refuse_until_quarantine(zombie, 1);
    read_and_cut(zombie, 0, 6);
    assert_int_equal(commit_begin(&m, zombie, 0), BEGUN);
    struct request *q = fly(&m, &zombie->request[0]);
    protocol_commit_unknown(zombie->p, 0);
    successor(1, 0);
    assert_int_equal(request_lands(&m, q), off.mark);
    return finish(0, 1);
}

static void letters_are_under_way_at_a_takeover(void **state)
{
    (void)state;
    play(letters_under_way, (rules_off){.mark = true}, 0, 6);
}

/* The same from a table that could not be opened at the start: no refusals are counted. */
static void a_table_cannot_be_opened(void **state)
{
    (void)state;
    model_init(&m, (rules_off){0});
    m.records[0] = 4;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    protocol_quarantine(w->p, 1);
    assert_false(protocol_restart_due(w->p));
    read_and_cut(w, 0, 2);
    assert_int_equal(worker_commit(&m, w, 0), BEGUN);
    worker_crash(w); /* before a checkpoint */
    w = worker_start(&m, 1);
    worker_take(&m, w, 0);
    protocol_quarantine(w->p, 1);
    read_and_cut(w, 0, 4);
    assert_int_equal(worker_commit(&m, w, 0), BEGUN);
    struct outcome o = finish(0, 1);
    assert_int_equal(o.lost + o.doubled, 0);
}

/* It refuses again while it is coming back: quarantined as before, at once. */
static void a_table_that_returns_refuses(void **state)
{
    (void)state;
    uint32_t next;
    model_init(&m, (rules_off){0});
    m.records[0] = 6;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    read_and_cut(w, 0, 3);
    refuse_until_quarantine(w, 1);
    read_and_cut(w, 0, 3);
    assert_int_equal(worker_commit(&m, w, 0), BEGUN);
    protocol_table_back(w->p, 1);
    assert_true(worker_restart(&m, w));
    assert_true(protocol_returning(w->p, &next));
    assert_int_equal(commit_begin(&m, w, next), BEGUN);
    assert_int_equal(protocol_commit_refused(w->p, next, &w->plan[next], m.now_ms),
                     PROTOCOL_QUARANTINE);
    plan_over(w, next, false);
    assert_false(protocol_returning(w->p, &next));
    read_and_cut(w, 0, 6);
    assert_int_equal(worker_commit(&m, w, 0), BEGUN);
    bring_back(w, 1);
    struct outcome o = finish(0, 1);
    assert_int_equal(o.lost + o.doubled, 0);
}

static void dead_letters_that_refuse_stop_the_stream(void **state)
{
    (void)state;
    model_init(&m, (rules_off){0});
    m.records[0] = 1;
    m.table_of[0][1] = 0;
    struct worker *w = worker_start(&m, 0);
    worker_take(&m, w, 0);
    read_and_cut(w, 0, 1);
    enum protocol_action action = PROTOCOL_RETRY;
    for (int i = 0; i < 16; i++, m.now_ms += MINUTE) {
        assert_int_equal(action, PROTOCOL_RETRY);
        assert_int_equal(commit_begin(&m, w, 0), BEGUN);
        action = protocol_commit_refused(w->p, 0, &w->plan[0], m.now_ms);
        plan_over(w, 0, false);
    }
    assert_int_equal(action, PROTOCOL_STOP);
    model_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zombie_wakes_after_the_shard_ended),
        cmocka_unit_test(a_plan_grows_old),
        cmocka_unit_test(a_zombie_is_fenced),
        cmocka_unit_test(a_table_is_opened_after_the_zombies_commit),
        cmocka_unit_test(a_cut_before_the_tables_position),
        cmocka_unit_test(a_crash_with_rows_waiting),
        cmocka_unit_test(a_shard_lost_and_taken_again),
        cmocka_unit_test(a_duplicate_of_a_dropped_row),
        cmocka_unit_test(latest_after_a_crash_at_latest),
        cmocka_unit_test(a_delayed_swap_lands),
        cmocka_unit_test(a_swap_that_lost_is_made_again),
        cmocka_unit_test(two_loads_of_one_file),
        cmocka_unit_test(a_table_is_quarantined),
        cmocka_unit_test(a_table_is_quarantined_and_comes_back),
        cmocka_unit_test(a_zombie_still_writes_letters),
        cmocka_unit_test(letters_are_under_way_at_a_takeover),
        cmocka_unit_test(a_table_cannot_be_opened),
        cmocka_unit_test(a_table_that_returns_refuses),
        cmocka_unit_test(dead_letters_that_refuse_stop_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
