/* JSON lines through the shredder, twice: with the fast path and without it. What becomes of the records must be
 * the same. */
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz.h"
#include "shred/shred.h"

static struct shred_table table;

static struct shred_table *route(void *ctx, const struct event_name *name, enum reason *why)
{
    (void)ctx, (void)name;
    *why = REASON_NONE;
    return &table;
}

static bool passed(void *ctx, const struct shred_table *t, uint32_t shard, struct seq seq)
{
    (void)ctx, (void)t, (void)shard, (void)seq;
    return false;
}

static void feed(struct shredder *s, const uint8_t *p, size_t n)
{
    uint8_t *padded = mem_zalloc(n + 64);
    if (n)
        memcpy(padded, p, n);
    struct record r = {.payload = padded, .n = n, .seq = seq_of(5), .arrived_us = 1000000};
    shredder_begin(s);
    shredder_record(s, &r, 1, false, 2000000);
    shredder_end(s);
    free(padded);
}

static void check(const struct rowset *r)
{
    for (uint32_t i = 0; i < r->n_cols; i++) {
        const struct column *c = &r->cols[i].col;
        uint64_t bytes = 0;
        invariant(c->rows <= r->rows && (c->max_def ? c->n_values <= c->n_levels : c->n_values <= r->rows));
        for (uint32_t k = 0; c->type == COL_BYTES && k < c->n_values; k++)
            bytes += 4 + column_text_at(c->texts + bytes).n;
        invariant(c->type != COL_BYTES || bytes == c->n_bytes);
    }
}

static struct shred_counts shred(const uint8_t *p, size_t n, unsigned level)
{
    const struct registry_limits limits = {50, 20, 8, 32};
    struct shred_env env = {.record_bytes_max = 1 << 20, .route = route, .passed = passed, .fast_level = level,
                            .dedup = dedup_new(1 << 16, (int64_t)1 << 60)};
    table = (struct shred_table){.name = "t", .time_transform = 'd', .registry = registry_new(&limits, NULL, 0)};
    struct shredder *s = shredder_new(&env);
    for (int round = 0; round < 2; round++) { /* the second one knows the shapes */
        for (size_t at = 0, end; at < n; at = end + 1) {
            for (end = at; end < n && p[end] != '\n';)
                end++;
            feed(s, p + at, end - at);
        }
        struct rowset *next;
        for (struct rowset *r = shredder_cut(s); r; r = next) {
            next = r->next;
            rowset_columns(r);
            check(r);
            rowset_free(r);
        }
        dedup_forget_from(env.dedup, 0);
    }
    struct shred_counts c = *shredder_counts(s);
    shredder_free(s);
    registry_free(table.registry);
    dedup_free(env.dedup);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct shred_counts fast = shred(p, n, 0), slow = shred(p, n, FAST_LEVEL_NONE);
    invariant(slow.fast_rows == 0 && fast.records == slow.records && fast.rows == slow.rows);
    invariant(fast.duplicates == slow.duplicates && fast.duplicates_different == slow.duplicates_different);
    invariant(fast.rescued == slow.rescued && fast.conflicts == slow.conflicts);
    invariant(memcmp(fast.dead, slow.dead, sizeof fast.dead) == 0);
    return 0;
}

void fuzz_seeds(fuzz_add_fn *add)
{
    static const char grown[] =
        "{\"event_uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"event_name\":\"order:placed\",\"created_at\":1700000000,\"n\":1,\"d\":1.5,"
        "\"s\":\"text\\n\\u00e9\",\"b\":true,\"o\":{\"x\":[1,2],\"y\":null},\"l\":[{\"q\":1},{\"q\":\"w\"}]}\n"
        "{\"event_uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c2\",\"event_name\":\"order:placed\",\"created_at\":1700000001,\"n\":2,\"d\":2.5,"
        "\"s\":\"other\",\"b\":false,\"o\":{\"x\":[3],\"y\":7},\"l\":[]}\n"
        "{\"event_uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c3\",\"event_name\":\"order:placed\",\"created_at\":1700000002,\"n\":\"no number\"}\n";
    static const char numbers[] =
        "{\"event_uuid\":\"a\",\"event_name\":\"pay\",\"created_at\":\"1700000000.125\",\"big\":123456789012345678901234567890,\"e\":-1.5e-300}\n"
        "{\"event_uuid\":\"b\",\"event_name\":\"pay\",\"created_at\":1.7e9,\"big\":-9223372036854775808,\"e\":0.1}\n"
        " { \"event_name\" : \"pay\" , \"created_at\" : 1700000000123 , \"event_uuid\" : \"c\" , \"k\" : [ [ ] , [ null , 1 ] ] } \n";
    static const char defects[] =
        "[]\n{}\n{\"event_uuid\":1}\n{\"event_uuid\":\"\\ud800\",\"event_name\":\"a:b:c\",\"created_at\":0}\n\"x\"\nnull\n";
    static const char nested[] =
        "{\"event_uuid\":\"d\",\"event_name\":\"a:b\",\"created_at\":1,\"o\":{\"o\":{\"o\":{\"o\":{\"o\":{\"o\":{\"o\":{\"o\":{}}}}}}}},\"e\":{},\"f\":[[[[1]]]]}\n"
        "{\"event_uuid\":\"e\",\"event_name\":\"a:b\",\"created_at\":1,\"o\":1,\"e\":[],\"f\":{\"event_uuid\":1},\"F\":2,\"f \":3,\"o\":2}\n";
    const char *const texts[] = {grown, numbers, defects, nested};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add(texts[i], strlen(texts[i]));
}
