/* The text of positions: what it says comes back, what is not a position is refused (never read as
 * none), ended shards go after seven days; and the file notes that go with cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/position_map.h"

#define DAY ((int64_t)24 * 3600 * 1000)
static const int64_t now = 1760000000000;

static void there_and_back(void **state)
{
    (void)state;
    static const char text[] =
        "{\"0\":\"1048576:9f86d081884c7d65\","
        "\"shardId-000000000000\":\"49590338271490256608559692538361571095\","
        "\"shardId-000000000001\":\"7:@1760000000000\","
        "\"shardId-000000000002\":\"SHARD_END:abc@5\"}";
    struct position_map m;
    struct err e;
    assert_int_equal(position_map_parse(&m, text, &e), 0);
    assert_int_equal(m.n, 4);
    assert_string_equal(position_map_get(&m, "0")->note, "9f86d081884c7d65");
    assert_int_equal(seq_low(position_map_at(&m, "0")), 1048576);
    assert_int_equal(position_map_get(&m, "shardId-000000000001")->ended_ms, 1760000000000);
    assert_int_equal(seq_cmp(position_map_at(&m, "shardId-000000000002"), SEQ_END), 0);
    assert_int_equal(seq_cmp(position_map_at(&m, "other"), SEQ_NONE), 0);
    char *back = position_map_text(&m);
    assert_string_equal(back, text);
    free(back);
    position_map_set(&m, "a", seq_of(3), NULL, 0);
    position_map_set(&m, "a", seq_of(4), "n", 0);
    assert_true(position_map_remove(&m, "0"));
    assert_false(position_map_remove(&m, "0"));
    assert_int_equal(m.n, 4);
    assert_int_equal(seq_low(position_map_at(&m, "a")), 4);
    position_map_fini(&m);
    assert_int_equal(position_map_parse(&m, NULL, &e), 0);
    assert_int_equal(m.n, 0);
    back = position_map_text(&m);
    assert_string_equal(back, "{}");
    free(back);
}

static void what_is_no_position_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "1",
        "{",
        "{\"a\":1}",
        "{\"a\":null}",
        "{\"a\":\"\"}",
        "{\"a\":\"x\"}",
        "{\"a\":\"12x\"}",
        "{\"a\":\"-1\"}",
        "{\"a\":\":note\"}",
        "{\"a\":\"1:@\"}",
        "{\"a\":\"1:@0\"}",
        "{\"a\":\"1:@12x\"}",
        "{\"a\":\"1:@9999999999999999999\"}",
        "{\"a\":\"1:@1@2\"}",
        "{\"a\":\"1@2\"}",
        "{\"a\":\"1:123456789012345678901234\"}",
        "{\"a\":\"1:\\u0001\"}",
        "{\"a\":\"1\",\"a\":\"2\"}",
        "{\"a\":\"1\"} x",
        "{\"a\":\"\\u0000\"}",
        "{\"ok\":\"1\",\"zz\":\"no\"}",
        "{\"a\":"
        "\"11111111111111111111111111111111111111111111111111111111111111111111111111111\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct position_map m;
        struct err e = {0};
        assert_int_equal(position_map_parse(&m, bad[i], &e), -1);
        assert_int_equal(e.kind, ERR_INVALID);
        assert_int_equal(m.n, 0);
    }
}

/* Any damage to a good text is refused or read as some position, and never crashes. */
static void damage_is_survived(void **state)
{
    (void)state;
    static const char good[] = "{\"0\":\"1048576:9f86d081884c7d65@17600\",\"s-1\":\"49590338271\"}";
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (int k = 0; k < 1 + i % 3; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            text[x % (sizeof good - 1)] = (char)(x >> 32);
        }
        struct position_map m, again;
        struct err e;
        if (position_map_parse(&m, text, &e))
            continue;
        char *back = position_map_text(&m);
        assert_int_equal(position_map_parse(&again, back, &e), 0);
        assert_int_equal(again.n, m.n);
        free(back);
        position_map_fini(&again);
        position_map_fini(&m);
    }
}

static void ended_shards_go_after_seven_days(void **state)
{
    (void)state;
    struct position_map m = {0};
    position_map_set(&m, "reading", seq_of(1), NULL, 0);
    position_map_set(&m, "old", seq_of(2), NULL, now - 7 * DAY - 1);
    position_map_set(&m, "week", seq_of(3), NULL, now - 7 * DAY);
    position_map_set(&m, "future", seq_of(4), NULL, now + DAY);
    assert_int_equal(position_map_expire(&m, now), 1);
    assert_null(position_map_get(&m, "old"));
    assert_int_equal(m.n, 3);
    assert_true(PROTOCOL_ENDED_KEEP_MS > 100 * PROTOCOL_EPOCH_MAX_MS);
    position_map_fini(&m);
}

static void keys(void **state)
{
    (void)state;
    char *k = position_map_key("arn:aws:kinesis:eu-west-1:1:stream/s@1760000000000");
    assert_string_equal(k, "inlet.position.arn:aws:kinesis:eu-west-1:1:stream/s@1760000000000");
    free(k);
    k = position_map_cover_key("orders", "arn@1");
    assert_string_equal(k, "inlet.cover.orders:arn@1");
    free(k);
}

/* A note belongs to one offset: the cut's, not that of the batch handed out last. */
static void notes_go_with_their_cut(void **state)
{
    (void)state;
    struct protocol *p = protocol_new();
    struct protocol_plan plan;
    struct seq at;
    struct err e;
    protocol_shard_taken(p, 0, seq_of(5));
    protocol_shard_note(p, 0, "five");
    uint64_t one = protocol_batch_out_noted(p, 0, seq_of(10), "ten", 1);
    protocol_cut(p, 2);
    uint64_t two = protocol_batch_out_noted(p, 0, seq_of(20), "twenty", 3);
    assert_false(protocol_checkpoint(p, 0, &at));
    assert_string_equal(protocol_checkpoint_note(p, 0), "five");
    protocol_batch_done(p, two);
    assert_int_equal(protocol_closed_ready(p), 0);
    protocol_batch_done(p, one);
    assert_int_equal(protocol_closed_ready(p), one);
    protocol_table_rows(p, 3, one);
    assert_int_equal(protocol_commit_plan(p, 3, 4, &plan, &e), 0);
    assert_int_equal(plan.n_steps, 1);
    assert_int_equal(seq_low(plan.steps[0].next), 10);
    assert_string_equal(plan.steps[0].note, "ten");
    protocol_commit_done(p, 3, &plan);
    protocol_plan_fini(&plan);
    assert_true(protocol_checkpoint(p, 0, &at));
    assert_int_equal(seq_low(at), 10);
    assert_string_equal(protocol_checkpoint_note(p, 0), "ten");
    struct protocol_restart r;
    assert_int_equal(protocol_restart(p, PROTOCOL_NO_SHARD, &r, &e), 0);
    assert_int_equal(r.n_shards, 1);
    assert_int_equal(seq_low(r.shards[0].from), 10);
    assert_string_equal(r.shards[0].note, "ten");
    assert_false(protocol_epoch_alive(p, two));
    protocol_batch_done(p, two); /* of a dropped epoch */
    assert_true(protocol_batch_out(p, 0, seq_of(20), 5) > two);
    protocol_restart_fini(&r);
    protocol_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_is_no_position_is_refused),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(ended_shards_go_after_seven_days),
        cmocka_unit_test(keys),
        cmocka_unit_test(notes_go_with_their_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
