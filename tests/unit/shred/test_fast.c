/* The fast path says what the general parser says: the same records, well-formed, spaced out, damaged
 * and cut short, through a shredder with it and one without; verdicts and columns must be the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "gen/gen.h"
#include "shred/shred.h"

static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

/* ---- one side ---- */

struct side {
    struct map tables;
    struct dedup *window;
    struct shredder *shredder;
};

static struct shred_table *route(void *ctx, const struct event_name *name, enum reason *why)
{
    static const struct registry_limits limits = {
        .columns = 60, .struct_fields = 20, .depth = 5, .name_bytes = 64};
    static const struct registry_limits wide = {
        .columns = 1000, .struct_fields = 200, .depth = 5, .name_bytes = 64};
    static const struct declared_column declared[] = {
        {"amount", "decimal(12,2)"}, {"session_id", "hash"}, {"platform", "drop"}};
    struct side *s = ctx;
    struct shred_table *t = map_get(&s->tables, name->table, strlen(name->table));
    *why = REASON_NONE;
    if (!t) {
        t = mem_zalloc(sizeof *t);
        t->time_transform = 'd';
        t->registry = registry_new(strcmp(name->table, "wide") == 0 ? &wide : &limits, declared, name->table[0] < 'n' ? 0 : 3);
        map_set(&s->tables, name->table, strlen(name->table), t);
    }
    return t;
}

static bool passed(void *ctx, const struct shred_table *t, uint32_t shard, struct seq seq)
{
    (void)ctx, (void)t, (void)shard;
    return seq_low(seq) == 1;
}

static void side_init(struct side *s, unsigned level)
{
    *s = (struct side){.window = dedup_new(8 << 20, (int64_t)1 << 60)};
    struct shred_env env = {.dedup = s->window,
                            .record_bytes_max = 1 << 20,
                            .route = route,
                            .passed = passed,
                            .ctx = s,
                            .hash_key = (const uint8_t *)"key",
                            .hash_key_n = 3,
                            .fast_level = level};
    s->shredder = shredder_new(&env);
}

static void side_fini(struct side *s)
{
    struct map_entry *entry;
    size_t at = 0;
    shredder_free(s->shredder);
    while ((entry = map_next(&s->tables, &at))) {
        struct shred_table *t = entry->value;
        registry_free(t->registry);
        free(t);
    }
    map_fini(&s->tables);
    dedup_free(s->window);
}

#define BATCH 60

struct batch {
    struct shred_line lines[BATCH];
    uint32_t n;
};

static void add(struct batch *b, const uint8_t *p, size_t n, uint32_t seq, const uint8_t *after)
{
    uint8_t *padded = mem_zalloc(n + 64);
    memcpy(padded, p, n);
    memcpy(padded + n, after, 64); /* what lies there is nobody's */
    b->lines[b->n++] = (struct shred_line){padded, (uint32_t)n, 0, seq_of(seq)};
}

static void feed(struct side *s, struct batch *b)
{
    struct record like = {.arrived_us = 1000000, .sub = -1};
    shredder_lines(s->shredder, b->lines, b->n, &like, 1, true, 2000000);
}

static void empty(struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        free((void *)(uintptr_t)b->lines[i].payload);
    b->n = 0;
}

/* ---- the same? ---- */

static bool same_place(const struct rnode *a, const struct rnode *b)
{
    while (a && b) {
        if (a->key_len != b->key_len || memcmp(a->key, b->key, a->key_len) != 0)
            return false;
        a = a->parent;
        b = b->parent;
    }
    return a == b;
}

static uint32_t entries(const struct column *c, uint32_t rows)
{
    return c->n_levels + (rows - c->rows); /* the missing ones are nulls, one a row */
}

static unsigned def_at(const struct column *c, uint32_t i)
{
    return !c->max_def ? 0 : i < c->n_levels ? c->def[i] : 0;
}

static void same_column(const struct column *a, const struct column *b, uint32_t rows)
{
    static const size_t width[] = {1, 8, 8, 0};
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->n_values, b->n_values);
    assert_int_equal(entries(a, rows), entries(b, rows));
    for (uint32_t i = 0; i < entries(a, rows); i++) {
        assert_int_equal(def_at(a, i), def_at(b, i));
        if (a->max_rep)
            assert_int_equal(i < a->n_levels ? a->rep[i] : 0, i < b->n_levels ? b->rep[i] : 0);
    }
    if (a->n_values && a->type != COL_BYTES)
        assert_memory_equal(a->values, b->values, a->n_values * width[a->type]);
    assert_int_equal(a->n_bytes, b->n_bytes);
    if (a->n_bytes)
        assert_memory_equal(a->texts, b->texts, a->n_bytes);
}

static const struct column *like(const struct rowset *r, const struct rowset_column *c, uint32_t at)
{
    if (!c->node)
        return &r->cols[at].col;
    for (uint32_t i = 0; i < r->n_cols; i++)
        if (r->cols[i].node && r->cols[i].kind == c->kind && same_place(r->cols[i].node, c->node))
            return &r->cols[i].col;
    return NULL;
}

static void same_set(const struct rowset *a, const struct rowset *b)
{
    assert_int_equal(a->rows, b->rows);
    for (uint32_t i = 0; i < a->n_cols; i++) {
        if (!a->table && i == 0)
            continue; /* a random id */
        const struct column *other = like(b, &a->cols[i], i);
        if (other)
            same_column(&a->cols[i].col, other, a->rows);
        else
            assert_int_equal(a->cols[i].col.n_values, 0);
    }
}

static void free_list(struct rowset *r)
{
    for (struct rowset *next; r; r = next) {
        next = r->next;
        rowset_free(r);
    }
}

static void same_lists(struct rowset *a, struct rowset *b)
{
    uint32_t n = 0, m = 0;
    for (struct rowset *x = b; x; x = x->next, m++)
        rowset_columns(x);
    for (struct rowset *x = a; x; x = x->next, n++) {
        rowset_columns(x);
        struct rowset *y = b;
        while (y && !(x->time_partition == y->time_partition &&
                      (!x->name ? !y->name : y->name && strcmp(x->name, y->name) == 0)))
            y = y->next;
        assert_non_null(y);
        same_set(x, y);
        same_set(y, x);
    }
    assert_int_equal(n, m);
    free_list(a);
    free_list(b);
}

/* Everything that is counted but how it was parsed, and how long dedup took. */
static void same_counts(const struct shredder *a, const struct shredder *b, const char *text)
{
    struct shred_counts x = *shredder_counts(a), y = *shredder_counts(b);
    x.fast_rows = x.slow_rows = x.dedup_ns = y.fast_rows = y.slow_rows = y.dedup_ns = 0;
    if (memcmp(&x, &y, sizeof x) != 0)
        fail_msg("judged otherwise: %s", text);
}

/* ---- records ---- */

/* Spaces where JSON lets them be, other ways to write a thing, or damage. */
static void vary(struct buf *out, const uint8_t *p, size_t n)
{
    static const char *const bits[] = {"\"", "\\", "{", "}", "[", "]", ",", ":", "null", "0", "-", ".",
                                       "e5", " ", "\\u0041", "\\ud83d\\ude00", "\\ud800", "\\u0000",
                                       "\xc3\xa9", "\xff", "1", "true", "\t", "\"a\":", "\n"};
    unsigned how = rnd(8);
    bool text = false;
    out->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"' && (i == 0 || p[i - 1] != '\\'))
            text = !text;
        if (how < 2 && !text && strchr(",:{}[]", p[i]) && rnd(3) == 0) {
            buf_putc(out, p[i]);
            buf_puts(out, how ? " " : "\r\n\t ");
        } else if (how == 2 && text && p[i] >= 'a' && p[i] <= 'z' && rnd(20) == 0) {
            buf_printf(out, "\\u%04x", p[i]);
        } else {
            buf_putc(out, p[i]);
        }
    }
    for (unsigned edits = how >= 5 ? 1 + rnd(2) : 0; edits && out->n; edits--) {
        size_t at = rnd((uint32_t)out->n);
        const char *bit = bits[rnd(sizeof bits / sizeof *bits)];
        size_t len = strlen(bit);
        if (rnd(2)) { /* over what is there */
            len = len < out->n - at ? len : out->n - at;
            memcpy(out->p + at, bit, len);
        } else {
            buf_reserve(out, len);
            memmove(out->p + at + len, out->p + at, out->n - at);
            memcpy(out->p + at, bit, len);
            out->n += len;
        }
    }
    if (how == 4)
        out->n = rnd((uint32_t)out->n + 1); /* cut short */
}

/* The levels 1 to 3 (portable, AVX2, AVX-512, or what of them the processor has), one after the other. */
static void run(unsigned types, uint64_t start)
{
    struct gen_options options = gen_defaults(1700000000000000);
    struct side fast, general;
    struct buf line = {0}, text = {0};
    uint64_t fast_rows = 0;
    options.types = types;
    options.seed = seed = start;
    options.conflicts = 0.02;
    options.duplicates = 0.05;
    options.per_hour = 3000; /* days pass */
    struct gen *g = gen_new(&options);
    struct batch batch = {0};
    uint32_t together = 1;
    side_init(&fast, 1 + (unsigned)(start % 3));
    side_init(&general, FAST_LEVEL_NONE);
    for (uint32_t i = 0; i < 6000; i++) {
        line.n = 0;
        gen_line(g, i, &line);
        line.n--;
        if (i % 3)
            vary(&text, line.p, line.n);
        else {
            text.n = 0;
            buf_put(&text, line.p, line.n);
        }
        uint32_t seq = rnd(30) ? 5 : 1;
        buf_reserve(&line, 128);
        add(&batch, text.p, text.n, seq, line.p);
        if (batch.n < together && i < 5999)
            continue;
        together = rnd(3) ? 1 : 1 + rnd(BATCH); /* alone mostly, so that it is told which it was */
        feed(&fast, &batch);
        feed(&general, &batch);
        empty(&batch);
        same_counts(fast.shredder, general.shredder, buf_cstr(&text));
        if (rnd(100) == 0)
            same_lists(shredder_cut(fast.shredder), shredder_cut(general.shredder));
    }
    fast_rows = shredder_counts(fast.shredder)->fast_rows;
    assert_true(fast_rows > 1500);
    assert_int_equal(shredder_counts(general.shredder)->fast_rows, 0);
    same_lists(shredder_cut(fast.shredder), shredder_cut(general.shredder));
    side_fini(&fast);
    side_fini(&general);
    gen_free(g);
    buf_fini(&line);
    buf_fini(&text);
}

static void test_one_name(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 6; s++)
        run(1, s);
}

static void test_many_names(void **state)
{
    (void)state;
    for (uint64_t s = 11; s <= 22; s++)
        run(3 + (unsigned)s, s);
}

static void some_members(struct buf *out, unsigned keys, char kind)
{
    unsigned from = rnd(keys), many = rnd(4) ? 2 + rnd(4) : keys; /* in order, from anywhere */
    for (unsigned i = from; i < from + many; i++)
        if (rnd(10) || many < keys)
            buf_printf(out, rnd(40) ? ",\"%c%u\":%u" : rnd(2) ? ",\"%c%u\":null" : ",\"%c%u\":\"x%u\"",
                       kind, rnd(300) ? i % keys : from, i);
}

/* One record through either, in a batch of its own. */
static void both_take(struct side *fast, struct side *general, struct batch *batch, struct buf *text)
{
    static const uint8_t zeros[64];
    add(batch, text->p, text->n, 5, zeros);
    feed(fast, batch);
    feed(general, batch);
    empty(batch);
    same_counts(fast->shredder, general->shredder, buf_cstr(text));
}

/* Objects of more members than a word has bits, some missing, some null, some twice. */
static void test_wide_objects(void **state)
{
    (void)state;
    struct side fast, general;
    struct batch batch = {0};
    struct buf text = {0}, inner = {0};
    seed = 77;
    side_init(&fast, 0);
    side_init(&general, FAST_LEVEL_NONE);
    for (uint32_t i = 0; i < 3000; i++) {
        text.n = inner.n = 0;
        buf_printf(&text, "{\"event_uuid\":\"%u\",\"event_name\":\"wide\",\"created_at\":1700000000", i);
        some_members(&text, 90, 'k');
        some_members(&inner, rnd(2) ? 80 : 30, 'm');
        if (inner.n)
            buf_printf(&text, ",\"s\":{%s}", buf_cstr(&inner) + 1);
        buf_puts(&text, "}");
        both_take(&fast, &general, &batch, &text);
    }
    assert_true(shredder_counts(fast.shredder)->fast_rows > 1000);
    same_lists(shredder_cut(fast.shredder), shredder_cut(general.shredder));
    side_fini(&fast);
    side_fini(&general);
    buf_fini(&text);
    buf_fini(&inner);
}

/* created_at with so many digits behind the point, of every day and hour, and ids of either kind: the fast path keeps
 * them in a form of its own until the cut. */
static void test_each_form_of_time_and_id(void **state)
{
    (void)state;
    struct side fast, general;
    struct batch batch = {0};
    struct buf text = {0};
    seed = 99;
    side_init(&fast, 0);
    side_init(&general, FAST_LEVEL_NONE);
    for (uint32_t i = 0; i < 2000; i++) {
        unsigned places = i % 10;
        text.n = 0;
        buf_printf(&text, "{\"event_uuid\":\"%s-%04x-4000-8000-%04x%08x\",\"event_name\":\"t\",\"created_at\":%u",
                   rnd(4) ? "0123abcd" : rnd(2) ? "0123ABCD" : "x", rnd(65536), rnd(65536), i, 1000000000 + rnd(2000000000));
        for (unsigned k = 0; k < places; k++)
            buf_printf(&text, "%s%u", k ? "" : ".", rnd(10));
        buf_puts(&text, "}");
        both_take(&fast, &general, &batch, &text);
    }
    assert_true(shredder_counts(fast.shredder)->fast_rows > 1900);
    same_lists(shredder_cut(fast.shredder), shredder_cut(general.shredder));
    side_fini(&fast);
    side_fini(&general);
    buf_fini(&text);
}

/* Lines in groups by name, against the same one by one. */
static void test_the_order_within_a_name(void **state)
{
    (void)state;
    struct gen_options options = gen_defaults(1700000000000000);
    struct side lines, records;
    struct batch batch = {0};
    struct buf line = {0};
    options.types = 12;
    options.conflicts = options.malformed = 0;
    options.duplicates = 0.1;
    struct gen *g = gen_new(&options);
    side_init(&lines, 0);
    side_init(&records, 0);
    for (uint32_t i = 0; i < 3000; i++) {
        line.n = 0;
        gen_line(g, i, &line);
        buf_reserve(&line, 128);
        memset(line.p + line.n, 0, 64);
        add(&batch, line.p, line.n - 1, 5, line.p + line.n);
        struct record r = {.payload = line.p, .n = line.n - 1, .seq = seq_of(5), .arrived_us = 1000000};
        shredder_record(records.shredder, &r, 1, true, 2000000);
        if (batch.n == BATCH) {
            feed(&lines, &batch);
            empty(&batch);
        }
    }
    assert_int_equal(shredder_counts(lines.shredder)->rows, shredder_counts(records.shredder)->rows);
    assert_true(shredder_counts(lines.shredder)->duplicates > 200);
    same_lists(shredder_cut(lines.shredder), shredder_cut(records.shredder));
    side_fini(&lines);
    side_fini(&records);
    gen_free(g);
    buf_fini(&line);
}

static uint32_t put_event(char out[192], unsigned id)
{
    return (uint32_t)snprintf(out, 128, "{\"event_uuid\":\"0123abcd-0123-4000-8000-%012u\",\"event_name\":\"t\",\"created_at\":1700000000}", id);
}

/* Ids are looked for a record ahead: what was found goes with the text that it was found in, whose memory others come to. */
static void test_other_ids_in_the_same_memory(void **state)
{
    (void)state;
    char memory[BATCH][192] = {{0}};
    struct side s;
    struct batch batch = {0};
    unsigned id = 0;
    side_init(&s, 0);
    for (unsigned round = 0; round < 50; round++) {
        batch.n = 0;
        for (unsigned i = 0; i <= round % 3; i++, id++)
            batch.lines[batch.n++] = (struct shred_line){(uint8_t *)memory[i], put_event(memory[i], id), 0, seq_of(5)};
        feed(&s, &batch);
        for (unsigned i = 0; i < batch.n; i++, id++) { /* one by one, where they stood */
            struct record r = {.payload = (uint8_t *)memory[i], .n = put_event(memory[i], id), .seq = seq_of(5), .arrived_us = 1000000};
            shredder_record(s.shredder, &r, 1, true, 2000000);
        }
    }
    assert_int_equal(shredder_counts(s.shredder)->rows, id);
    assert_int_equal(shredder_counts(s.shredder)->duplicates, 0);
    free_list(shredder_cut(s.shredder));
    side_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_name),
                                       cmocka_unit_test(test_many_names),
                                       cmocka_unit_test(test_wide_objects),
                                       cmocka_unit_test(test_each_form_of_time_and_id),
                                       cmocka_unit_test(test_the_order_within_a_name),
                                       cmocka_unit_test(test_other_ids_in_the_same_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
