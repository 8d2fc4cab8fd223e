/* shred: columns at their keys plus _rescued give back the event, for random JSON, against a naive
 * model; all leaves of a group agree on where it is; and records that are no event. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "shred/naive.h"
#include "shred/shred.h"

#define EVENTS_MAX 4096
#define PATH_MAX 600

static struct shred_table table;
static struct dedup *window;
static struct nval *model[EVENTS_MAX];
static char *text_of[EVENTS_MAX];
static uint32_t rows_seen;
static size_t learned_max;

static struct shred_table *route(void *ctx, const struct event_name *name, enum reason *why)
{
    (void)ctx;
    (void)name;
    *why = REASON_NONE;
    return &table;
}

static bool passed(void *ctx, const struct shred_table *t, uint32_t shard, struct seq seq)
{
    (void)ctx;
    (void)t;
    (void)shard;
    return seq_low(seq) == 1;
}

static struct shredder *begin(const struct registry_limits *limits,
                              const struct declared_column *declared, size_t n)
{
    struct shred_env env = {.record_bytes_max = 1 << 24, .route = route, .passed = passed};
    window = dedup_new(1 << 20, (int64_t)1 << 60);
    env.dedup = window;
    env.hash_key = (const uint8_t *)"key";
    env.hash_key_n = 3;
    env.learned_max = learned_max;
    table = (struct shred_table){.name = "t", .time_transform = 'd'};
    table.registry = registry_new(limits, declared, n);
    rows_seen = 0;
    return shredder_new(&env);
}

static void finish(struct shredder *s)
{
    shredder_free(s);
    registry_free(table.registry);
    dedup_free(window);
    naive_reset();
}

static void feed(struct shredder *s, const char *p, size_t n)
{
    uint8_t *padded = mem_zalloc(n + 64);
    memcpy(padded, p, n);
    struct record r = {.payload = padded, .n = n, .seq = seq_of(5), .arrived_us = 1000000};
    shredder_record(s, &r, 1, true, 2000000);
    free(padded);
}

/* ---- rows back from columns ---- */

static uint32_t leaves_below(const struct rowset *r, const void *place)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_cols; i++)
        for (const struct rnode *x = r->cols[i].node; x; x = x->parent)
            n += x == place;
    return n;
}

struct reader { /* a column and how far it was read */
    uint32_t level, value;
    size_t byte;
};

static struct nval *take(const struct rowset_column *c, struct reader *at)
{
    char text[64];
    const struct column *col = &c->col;
    uint32_t v = at->value++;
    assert_true(v < col->n_values);
    switch (col->type) {
    case COL_BOOL: return naive_new(N_BOOL, col->bools[v] ? "true" : "false", col->bools[v] ? 4 : 5);
    case COL_LONG: snprintf(text, sizeof text, "%lld", (long long)col->longs[v]); break;
    case COL_DOUBLE: snprintf(text, sizeof text, "%.17g", col->doubles[v]); break;
    default: {
        struct str s = column_text_at(col->texts + at->byte);
        at->byte += 4 + s.n;
        return naive_new(N_STRING, s.p, s.n);
    }
    }
    return naive_new(N_NUMBER, text, strlen(text));
}

static struct nval *vote(struct nval *v, const struct rnode *place)
{
    v->place = place;
    v->votes++;
    return v;
}

/* One entry, from the root down its path. */
static void put_entry(struct nval *root, const struct rowset_column *c, struct reader *at,
                      const uint32_t *index, uint8_t def)
{
    const struct rnode *path[PATH_MAX];
    int n = 0;
    for (const struct rnode *x = c->node; x->parent; x = x->parent)
        path[n++] = x;
    struct nval *here = root, *next;
    for (int i = n; i-- > 0; here = next) {
        const struct rnode *x = path[i], *up = x->parent;
        bool there = def >= x->max_def, leaf = i == 0;
        next = NULL;
        if (up->place == PLACE_LIST) {
            uint32_t k = index[up->max_rep + 1];
            if (def < up->max_def + 1)
                return;
            assert_true(k <= here->count);
            if (k == here->count)
                naive_add(here, naive_new(N_NULL, "", 0));
            if (there)
                next = here->items[k];
            else if (here->items[k]->type == N_NULL)
                vote(here->items[k], x);
        } else if (there) {
            next = naive_get(here, x->key, x->key_len);
        }
        if (!there)
            return;
        if (!next || next->type == N_NULL || leaf) {
            if (leaf && next)
                assert_int_equal(next->type, N_NULL);
            next = leaf ? take(c, at)
                        : naive_new(x->place == PLACE_LIST ? N_LIST : N_OBJECT, "", 0);
            if (up->place == PLACE_LIST)
                here->items[index[up->max_rep + 1]] = next;
            else
                naive_set(here, x->key, x->key_len, next);
        }
        if (!leaf)
            vote(next, x);
    }
}

/* The entries of one row; each leaf votes once for each instance it says is there. */
static void read_row(struct nval *root, const struct rowset_column *c, struct reader *at)
{
    uint32_t index[256] = {0};
    const struct column *col = &c->col;
    for (bool first = true; at->level < col->n_levels; first = false) {
        uint8_t rep = col->max_rep ? col->rep[at->level] : 0;
        if (!first && rep == 0)
            return;
        assert_true(rep <= col->max_rep && col->def[at->level] <= col->max_def);
        if (rep) {
            index[rep]++;
            memset(index + rep + 1, 0, (255u - rep) * sizeof *index);
        }
        put_entry(root, c, at, index, col->def[at->level]);
        at->level++;
    }
}

/* Every leaf below a group says the same of it: the same lists of the same length, the same structs. */
static void same_shape(const struct rowset *r, const struct nval *a, char *where)
{
    if (a->place) {
        uint32_t leaves = leaves_below(r, a->place);
        if (a->votes < leaves)
            fail_msg("%s: %u votes of %u leaves", where, a->votes, leaves);
    }
    for (uint32_t i = 0; i < a->count; i++)
        same_shape(r, a->items[i], where);
}

static void check_row(const struct rowset *r, struct reader *at, uint32_t row)
{
    struct nval *root = naive_new(N_OBJECT, "", 0), *rescued = NULL, *uuid = NULL;
    for (uint32_t i = 0; i < r->n_cols; i++) {
        const struct rowset_column *c = &r->cols[i];
        if (c->node) {
            read_row(root, c, &at[i]);
            continue;
        }
        if (c->col.rows <= row)
            continue;
        bool there = !c->col.max_def || c->col.def[at[i].level] == 1;
        at[i].level++;
        if (!there)
            continue;
        struct nval *v = take(c, &at[i]);
        if (c->envelope_id == COL_EVENT_UUID)
            naive_set(root, "event_uuid", 10, uuid = v);
        else if (c->envelope_id == COL_CREATED_AT)
            naive_set(root, "created_at", 10, v);
        else if (c->envelope_id == COL_RESCUED)
            rescued = v;
    }
    naive_set(root, "event_name", 10, naive_new(N_STRING, r->name, r->name_n));
    assert_non_null(uuid);
    unsigned long id = strtoul(uuid->p + 1, NULL, 10);
    assert_true(id < EVENTS_MAX && model[id]);
    same_shape(r, root, text_of[id]);
    if (rescued) {
        struct nval *o = naive_parse(rescued->p, rescued->n);
        if (!o || o->type != N_OBJECT)
            fail_msg("_rescued is no object: %s", rescued->p);
        for (uint32_t i = 0; i < o->count; i++)
            if (!naive_point(root, o->keys[i], o->items[i]))
                fail_msg("%s: _rescued leads nowhere: %s", text_of[id], rescued->p);
    }
    if (!naive_same(model[id], root)) {
        struct buf got = {0};
        naive_print(&got, root);
        fail_msg("event %lu is not given back: %s\n_rescued: %s\ngot: %s", id, text_of[id],
                 rescued ? rescued->p : "none", buf_cstr(&got));
    }
    model[id] = NULL;
    rows_seen++;
}

static void check_column(const struct column *c, uint32_t rows)
{
    uint32_t values = 0, starts = 0;
    size_t bytes = 0;
    assert_true(c->rows <= rows);
    for (uint32_t i = 0; i < c->n_levels; i++) {
        values += !c->max_def || c->def[i] == c->max_def;
        starts += !c->max_rep || c->rep[i] == 0;
    }
    for (uint32_t i = 0; c->type == COL_BYTES && i < c->n_values; i++)
        bytes += 4 + column_text_at(c->texts + bytes).n;
    assert_int_equal(values, c->n_values);
    assert_int_equal(starts, c->rows);
    assert_int_equal(bytes, c->n_bytes);
}

static void check_all(struct rowset *list)
{
    for (struct rowset *r = list, *next; r; r = next) {
        next = r->next;
        rowset_unpack(r);
        rowset_columns(r);
        struct reader *at = mem_array(r->n_cols, sizeof *at);
        for (uint32_t i = 0; i < r->n_cols; i++)
            check_column(&r->cols[i].col, r->rows);
        for (uint32_t row = 0; r->table && row < r->rows; row++)
            check_row(r, at, row);
        free(at);
        rowset_free(r);
    }
}

static void check_free(struct rowset *list)
{
    for (struct rowset *r = list, *next; r; r = next) {
        next = r->next;
        rowset_free(r);
    }
}

static void check_cut(struct shredder *s)
{
    check_all(shredder_cut(s));
}

/* ---- random events ---- */

static uint64_t seed;
static uint32_t rnd(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

#define PICK(a) (a)[rnd(sizeof(a) / sizeof *(a))]
static const char *const keys[] = {
    "a", "b", "c", "d", "A", "a_double", "a-b", "a_b", "items", "x/y", "m~n", "", "event_type",
    "_rescued", "k\\\"q", "\\u0061", "\xc3\xa9", "b\\u0000", "b\\u0000", "s\\/t\\u0000", "\\ud800",
    "e~/\\u002f\\u0000", "event_uuid", "long_name_of_a_field_that_is_past_one_vector", "0", "1"};
static const char *const scalars[] = {
    "null", "null", "true", "false", "0", "-0", "1", "-17", "9223372036854775807",
    "-9223372036854775808", "9223372036854775808", "123456789012345678901234567890", "1.5", "-0.0",
    "1e3", "1E-3", "1e999", "0.1", "18446744073709551616.0", "9007199254740993", "1.7976931348623157e308",
    "\"\"", "\"text\"", "\"n\\nl \\u00e9 \\ud83d\\ude00\"", "\"\\u0000\"", "\"\\ud800x\"",
    "\"\xf0\x9f\x98\x80 a longer text that goes past sixteen bytes\"", "{}", "[]", "[null]",
    "{\"a\":null}", "[[]]", "[{}]"};

static void space(struct buf *b)
{
    if (rnd(12) == 0)
        buf_puts(b, rnd(2) ? " " : "\n\t");
}

static void value(struct buf *b, int depth);

static void members(struct buf *b, int depth, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const char *key = PICK(keys);
        if (depth == 0 && strcmp(key, "event_uuid") == 0)
            continue;
        buf_puts(b, i || depth == 0 ? "," : "");
        space(b);
        buf_printf(b, "\"%s\"", key);
        space(b);
        buf_putc(b, ':');
        value(b, depth + 1);
    }
}

static void value(struct buf *b, int depth)
{
    uint32_t what = rnd(10);
    space(b);
    if (what < 6 || depth > 4) {
        buf_puts(b, PICK(scalars));
    } else if (what < 8) {
        buf_putc(b, '{');
        members(b, depth, 1 + rnd(4));
        buf_putc(b, '}');
        if (b->n > 2 && memcmp(b->p + b->n - 2, "{,", 2) == 0)
            b->n--;
    } else {
        uint32_t n = rnd(4);
        const char *same = rnd(2) ? PICK(scalars) : NULL;
        buf_putc(b, '[');
        for (uint32_t i = 0; i < n; i++) {
            buf_puts(b, i ? "," : "");
            if (same)
                buf_puts(b, same);
            else
                value(b, depth + 1);
        }
        buf_putc(b, ']');
    }
    space(b);
}

static void event(struct buf *b, uint32_t id)
{
    static const char *const names[] = {"t:a", "t:b", "t"};
    static const char *const times[] = {"1700000000", "1700000000.25", "\"1700000000\"", "1700090000",
                                        "1700000000.1234567890123"};
    static const char *const uuid_keys[] = {"event_uuid", "event_uuid", "event_uuid", "event\\u005fuuid"};
    b->n = 0;
    buf_printf(b, "{\"%s\":\"u%u\",\"event_name\":\"%s\",\"created_at\":%s", PICK(uuid_keys), id,
               PICK(names), PICK(times));
    members(b, 0, rnd(7));
    buf_putc(b, '}');
}

/* ---- tests ---- */

static void remember(uint32_t id, const struct buf *b)
{
    free(text_of[id]);
    text_of[id] = mem_strndup((const char *)b->p, b->n);
    model[id] = naive_parse(b->p, b->n);
    if (!model[id])
        fail_msg("the generator makes no JSON: %s", text_of[id]);
    /* A created_at that came as a string is stored as a number and rescued as it came. */
}

/* Cut rows may wait, packed, and join others that do: how often they did. */
static struct waiting {
    bool wait;
    struct rowset *sets;
    uint32_t joined, packed, apart;
} waiting;

static void pack(struct rowset *r)
{
    size_t before = r->bytes;
    rowset_pack(r);
    waiting.packed += r->packed != NULL;
    assert_true(r->packed ? r->bytes < before : r->bytes == before);
}

static bool joins(struct rowset *r)
{
    const char *name = r->name;
    int32_t day = r->time_partition;
    for (struct rowset *of = waiting.sets; of; of = of->next) {
        bool same = r->table && strcmp(of->name, name) == 0 && of->time_partition == day;
        if (rowset_merge(of, r)) {
            assert_true(same);
            waiting.joined++;
            return true;
        }
        waiting.apart += same;
    }
    return false;
}

static void wait_cut(struct shredder *s)
{
    for (struct rowset *r = shredder_cut(s), *next; r; r = next) {
        next = r->next;
        if (rnd(3) == 0)
            pack(r);
        if (rnd(8) && joins(r))
            continue;
        r->next = waiting.sets;
        waiting.sets = r;
    }
}

static void check_waiting(struct shredder *s)
{
    wait_cut(s);
    check_all(waiting.sets);
    waiting.sets = NULL;
}

static void rebuild(uint64_t from, const struct registry_limits *limits, uint32_t events)
{
    struct buf b = {0};
    seed = from;
    struct shredder *s = begin(limits, NULL, 0);
    void (*then)(struct shredder *) = waiting.wait ? wait_cut : check_cut;
    for (uint32_t id = 0; id < events; id++) {
        event(&b, id);
        remember(id, &b);
        feed(s, text_of[id], b.n);
        if (rnd(waiting.wait ? 8 : 40) == 0)
            then(s);
    }
    (waiting.wait ? check_waiting : check_cut)(s);
    const struct shred_counts *c = shredder_counts(s);
    if (rows_seen != events)
        for (int i = 0; i < REASON_COUNT; i++)
            if (c->dead[i])
                print_message("%llu dead: %s\n", (unsigned long long)c->dead[i],
                              event_reason_code((enum reason)i));
    assert_int_equal(rows_seen, events);
    buf_fini(&b);
    finish(s);
    for (uint32_t i = 0; i < EVENTS_MAX; i++) {
        free(text_of[i]);
        text_of[i] = NULL;
    }
}

static const struct registry_limits wide = {1000, 200, 16, 128};

static void columns_and_rescued_give_back_the_event(void **state)
{
    (void)state;
    const char *many = getenv("SHRED_SEEDS"), *from = getenv("SHRED_FROM");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1, n = many ? strtoull(many, NULL, 10) : 300;
    for (uint64_t i = first; i < first + n; i++) {
        rebuild(i, &wide, 60);
    }
}

static void so_they_do_under_narrow_limits(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 100; i++)
        rebuild(1000000 + i, &(struct registry_limits){12, 3, 3, 8}, 60);
}

static void so_they_do_joined_and_packed(void **state)
{
    (void)state;
    waiting = (struct waiting){.wait = true};
    for (uint64_t i = 1; i <= 300; i++)
        rebuild(2000000 + i, i % 2 ? &wide : &(struct registry_limits){12, 3, 3, 8}, 60);
    assert_true(waiting.joined > 1000 && waiting.packed > 1000 && waiting.apart > 20);
    waiting = (struct waiting){0};
}

/* Whatever was learned may go at any cut; until then it counts. */
static void what_was_forgotten_is_learned_again(void **state)
{
    (void)state;
    waiting = (struct waiting){.wait = true};
    for (uint64_t i = 1; i <= 200; i++) {
        learned_max = i % 2 ? 1 : 20000;
        rebuild(3000000 + i, &wide, 60);
    }
    assert_true(waiting.joined > 500);
    waiting = (struct waiting){0};
    learned_max = 100000;
    struct shredder *s = begin(&(struct registry_limits){1000, 1000, 16, 128}, NULL, 0);
    struct buf b = {0};
    size_t rows = 0;
    for (uint32_t name = 0; name < 5; name++) {
        b.n = 0;
        buf_printf(&b, "{\"event_uuid\":\"u%u\",\"event_name\":\"t:%u\",\"created_at\":1700000000", name, name);
        for (int i = 0; i < 500; i++)
            buf_printf(&b, ",\"k%d\":1", i);
        buf_putc(&b, '}');
        feed(s, (const char *)b.p, b.n);
        rows = name ? rows : shredder_bytes(s);
    }
    assert_true(shredder_bytes(s) > 5 * rows); /* four names did not fit */
    check_free(shredder_cut(s));
    assert_int_equal(shredder_bytes(s), 0);
    buf_fini(&b);
    finish(s);
    learned_max = 0;
}

/* Broken bytes: what the naive parser refuses is a dead letter, and nothing crashes. */
static void broken_records_are_dead_letters(void **state)
{
    (void)state;
    struct buf b = {0};
    seed = 77;
    struct shredder *s = begin(&wide, NULL, 0);
    for (uint32_t i = 0; i < 20000; i++) {
        event(&b, i % EVENTS_MAX);
        for (uint32_t k = rnd(3) + 1; k; k--)
            b.p[rnd((uint32_t)b.n)] = (uint8_t)(rnd(3) ? "{}[]\",:\\u0e.-\x80\xc3"[rnd(16)] : (int)rnd(256));
        if (rnd(4) == 0)
            b.n = rnd((uint32_t)b.n);
        const struct shred_counts *c = shredder_counts(s);
        uint64_t bad = c->dead[REASON_INVALID_JSON] + c->dead[REASON_INVALID_UTF8];
        feed(s, (const char *)b.p, b.n);
        bool refused = c->dead[REASON_INVALID_JSON] + c->dead[REASON_INVALID_UTF8] != bad;
        if (refused != !naive_parse(b.p, b.n))
            fail_msg("%s: %.*s", refused ? "refused" : "taken", (int)b.n, (char *)b.p);
        if (i % 500 == 0) {
            for (struct rowset *r = shredder_cut(s), *next; r; r = next) {
                next = r->next;
                rowset_columns(r);
                for (uint32_t k = 0; k < r->n_cols; k++)
                    check_column(&r->cols[k].col, r->rows);
                rowset_free(r);
            }
            naive_reset();
        }
    }
    buf_fini(&b);
    finish(s);
}

static void dead(struct shredder *s, const char *text, enum reason want)
{
    uint64_t before = shredder_counts(s)->dead[want];
    feed(s, text, strlen(text));
    if (shredder_counts(s)->dead[want] != before + 1)
        fail_msg("%.100s: not %s", text, event_reason_code(want));
}

static void what_is_no_event_says_why(void **state)
{
    (void)state;
    struct shredder *s = begin(&wide, NULL, 0);
    struct buf deep = {0};
    dead(s, "[1]", REASON_NOT_AN_OBJECT);
    dead(s, "{\"event_uuid\":\"u\"", REASON_INVALID_JSON);
    dead(s, "{\"a\":\"\xff\"}", REASON_INVALID_UTF8);
    dead(s, "{}", REASON_MISSING_UUID);
    dead(s, "{\"event_uuid\":null}", REASON_MISSING_UUID);
    dead(s, "{\"event_uuid\":\"u\",\"event_uuid\":null}", REASON_MISSING_UUID);
    dead(s, "{\"event_uuid\":5}", REASON_INVALID_UUID);
    dead(s, "{\"event_uuid\":\"a\\u0000\"}", REASON_INVALID_UUID);
    dead(s, "{\"event_uuid\":\"u\"}", REASON_MISSING_NAME);
    dead(s, "{\"event_uuid\":\"u\",\"event_name\":\":x\",\"created_at\":1}", REASON_INVALID_NAME);
    dead(s, "{\"event_uuid\":\"u\",\"event_name\":\"t\"}", REASON_MISSING_CREATED_AT);
    dead(s, "{\"event_uuid\":\"u\",\"event_name\":\"t\",\"created_at\":true}", REASON_INVALID_CREATED_AT);
    dead(s, "{\"event_uuid\":\"u\",\"event_name\":\"t\",\"created_at\":-5}",
         REASON_CREATED_AT_OUT_OF_RANGE);
    buf_puts(&deep, "{\"a\":");
    for (int i = 0; i < 1200; i++)
        buf_putc(&deep, '[');
    dead(s, buf_cstr(&deep), REASON_NESTING_TOO_DEEP);
    buf_fini(&deep);
    finish(s);
}

/* Their table is partitioned by that day; all once went into the last one's. */
static void dead_letters_stand_by_their_day_of_arrival(void **state)
{
    (void)state;
    static const int64_t days[] = {20000, 20001, 20000, -1};
    struct shredder *s = begin(&wide, NULL, 0);
    uint8_t bad[80] = "bad";
    unsigned sets = 0, rows = 0;
    for (size_t i = 0; i < 4; i++) {
        struct record r = {.payload = bad, .n = 3, .seq = seq_of(5), .seq_text = "5/7", .seq_text_n = 3, .sub = 7,
                                 .arrived_us = days[i] * 86400000000 + 1};
        shredder_record(s, &r, 1, false, 0);
    }
    for (struct rowset *r = shredder_cut(s), *next; r; r = next, sets++) {
        next = r->next;
        rows += r->rows;
        assert_int_equal(r->rows, r->time_partition == 20000 ? 2 : 1);
        for (uint32_t i = 0; i < r->rows; i++) {
            int64_t at = r->cols[8].col.longs[i];
            assert_int_equal((at - 1) / 86400000000, r->time_partition);
            assert_int_equal(r->cols[7].col.longs[i], 7); /* sub_sequence */
        }
        rowset_free(r);
    }
    assert_int_equal(sets, 3);
    assert_int_equal(rows, 4);
    finish(s);
}

static const char *const one = "{\"event_uuid\":\"u1\",\"event_name\":\"t\",\"created_at\":1700000000,\"n\":1}";

static void duplicates_are_counted_and_positions_skip(void **state)
{
    (void)state;
    static const char *const other =
        "{\"event_uuid\":\"u1\",\"event_name\":\"t\",\"created_at\":1700000000,\"n\":2}";
    struct shredder *s = begin(&wide, NULL, 0);
    const struct shred_counts *c = shredder_counts(s);
    feed(s, one, strlen(one));
    feed(s, one, strlen(one));
    assert_int_equal(c->duplicates, 1);
    assert_int_equal(c->duplicates_different, 0);
    feed(s, other, strlen(other));
    assert_int_equal(c->duplicates_different, 1);
    assert_int_equal(c->rows, 1);
    uint8_t padded[256] = {0};
    memcpy(padded, one, strlen(one));
    padded[16] = '9';
    struct record r = {.payload = padded, .n = strlen(one), .seq = seq_of(1)};
    shredder_record(s, &r, 1, true, 0);
    assert_int_equal(c->skipped, 1);
    shredder_record(s, &r, 1, false, 0);
    assert_int_equal(c->rows, 2);
    r.n = 1 << 25;
    r.defect = "line too long";
    r.payload = mem_zalloc(r.n + 64);
    shredder_record(s, &r, 1, false, 0);
    assert_int_equal(c->dead[REASON_RECORD_TOO_LARGE], 1);
    free((void *)(uintptr_t)r.payload);
    finish(s);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define A_WHILE_MS 60000
#else
#define A_WHILE_MS 5000
#endif

/* A million members of one key: linear. */
static void a_million_keys_are_no_trouble(void **state)
{
    (void)state;
    struct shredder *s = begin(&wide, NULL, 0);
    struct buf b = {0};
    buf_puts(&b, "{\"event_uuid\":\"u1\",\"event_name\":\"t\",\"created_at\":1700000000");
    for (int i = 0; i < 500000; i++)
        buf_printf(&b, ",\"k%d\":%d", i % 250000, i);
    buf_putc(&b, '}');
    int64_t from = clock_mono_ns();
    feed(s, (const char *)b.p, b.n);
    assert_int_equal(shredder_counts(s)->rows, 1);
    int64_t ms = (clock_mono_ns() - from) / 1000000;
    if (ms > A_WHILE_MS)
        fail_msg("%lld ms", (long long)ms);
    buf_fini(&b);
    finish(s);
}

static const struct column *the_column(struct rowset *r, const char *key)
{
    for (uint32_t i = 0; i < r->n_cols; i++)
        if (r->cols[i].node && strcmp(r->cols[i].node->key, key) == 0)
            return &r->cols[i].col;
    return NULL;
}

static const char *rescued_of(struct rowset *r)
{
    static char text[4096];
    for (uint32_t i = 0; i < r->n_cols; i++)
        if (!r->cols[i].node && r->cols[i].envelope_id == COL_RESCUED)
            snprintf(text, sizeof text, "%.*s", (int)r->cols[i].col.n_bytes - 4, (char *)r->cols[i].col.texts + 4);
    return text;
}

static void declared_columns_convert_or_rescue(void **state)
{
    (void)state;
    static const struct declared_column declared[] = {
        {"price", "decimal(12,2)"}, {"at", "timestamptz"}, {"raw", "json"}, {"mail", "hash"},
        {"gone", "drop"},           {"d", "double"},       {"s", "string"}, {"wide", "decimal(38,2)"}};
    static const char *const fits =
        "{\"event_uuid\":\"u1\",\"event_name\":\"t\",\"created_at\":1700000000,\"price\":\"12.5\","
        "\"at\":\"2023-11-14T22:13:20Z\",\"raw\":{\"k\":[1]},\"mail\":\"m\",\"gone\":1,\"d\":3,"
        "\"s\":\"x\",\"wide\":1.25}";
    static const char *const not =
        "{\"event_uuid\":\"u2\",\"event_name\":\"t\",\"created_at\":1700000000,\"price\":\"1.2.3\","
        "\"at\":\"soon\",\"d\":9007199254740993,\"s\":5}";
    struct shredder *s = begin(&wide, declared, 8);
    feed(s, fits, strlen(fits));
    struct rowset *r = shredder_cut(s);
    assert_int_equal(the_column(r, "price")->longs[0], 1250);
    assert_int_equal(the_column(r, "at")->longs[0], INT64_C(1700000000000000));
    assert_memory_equal(the_column(r, "raw")->texts + 4, "{\"k\":[1]}", 9);
    assert_int_equal(the_column(r, "mail")->n_bytes, 4 + 64);
    assert_null(the_column(r, "gone"));
    assert_true(the_column(r, "d")->doubles[0] == 3);
    rowset_free(r);
    feed(s, not, strlen(not));
    r = shredder_cut(s);
    assert_string_equal(rescued_of(r), "{\"/price\":\"1.2.3\",\"/at\":\"soon\",\"/d\":9007199254740993,\"/s\":5}");
    rowset_free(r);
    finish(s);
}

#define MANY 150

/* Which rows have which of many columns: those that come late, a struct's, a list's below it. */
static bool has_key(int row, int key)
{
    return row >= key && row % (key % 5 + 1) == 0;
}

static int def_of_member(int row, int key)
{
    return row % 3 == 2 ? 0 : has_key(row, key) || key == 0 ? 2 : 1;
}

static void levels_say_which_rows_had_a_value(void **state)
{
    (void)state;
    struct shredder *s = begin(&wide, NULL, 0);
    struct buf b = {0};
    char key[16];
    for (int row = 0; row < 2 * MANY; row++) {
        b.n = 0;
        buf_printf(&b, "{\"event_uuid\":\"u%d\",\"event_name\":\"t\",\"created_at\":1700000000", row);
        for (int k = 0; k < MANY; k++)
            if (has_key(row, k))
                buf_printf(&b, ",\"k%d\":%d", k, row);
        if (row % 3 != 2) {
            buf_printf(&b, ",\"s\":{\"m0\":true");
            for (int k = 1; k < MANY; k++)
                if (has_key(row, k))
                    buf_printf(&b, ",\"m%d\":\"%d\"", k, row);
            buf_puts(&b, row < MANY ? "}" : ",\"l\":[1,2]}");
        }
        buf_putc(&b, '}');
        feed(s, (const char *)b.p, b.n);
    }
    struct rowset *r = shredder_cut(s);
    assert_int_equal(r->rows, 2 * MANY);
    for (int k = 0; k < MANY; k++) {
        snprintf(key, sizeof key, "k%d", k);
        const struct column *c = the_column(r, key);
        snprintf(key, sizeof key, "m%d", k);
        const struct column *m = the_column(r, key);
        for (uint32_t row = 0, v = 0; row < r->rows; row++) {
            bool has = has_key((int)row, k);
            assert_int_equal(row < c->rows && c->def[row], has);
            if (has)
                assert_int_equal(c->longs[v++], row);
            assert_int_equal(row < m->rows ? m->def[row] : 0, def_of_member((int)row, k));
        }
    }
    const struct column *l = the_column(r, "");
    for (uint32_t row = 0, at = 0; row < r->rows; row++) {
        int there = row % 3 == 2 ? 0 : row < MANY ? 1 : 4;
        assert_int_equal(at < l->n_levels ? l->def[at] : 0, there);
        assert_int_equal(at < l->n_levels ? l->rep[at] : 0, 0);
        at += there == 4 ? 2 : 1;
    }
    rowset_free(r);
    buf_fini(&b);
    finish(s);
}

/* A name's rows come in sets of bounded size, each in order, none lost; what was begun of a row that is rolled back
 * is gone. */
static void many_rows_come_in_several_sets(void **state)
{
    (void)state;
    const int n = 9000;
    struct shredder *s = begin(&wide, NULL, 0);
    struct buf b = {0};
    for (int row = 0; row < n; row++) {
        for (int twice = 0; twice < 1 + (row % 100 == 0); twice++) { /* the second is a duplicate */
            b.n = 0;
            buf_printf(&b, "{\"event_uuid\":\"u%d\",\"event_name\":\"t\",\"created_at\":1700000000,\"n\":%d%s}", row,
                       row, row % 3 ? "" : ",\"third\":1.5");
            feed(s, (const char *)b.p, b.n);
        }
    }
    assert_int_equal(shredder_counts(s)->duplicates, n / 100);
    assert_int_equal(shredder_partitions(s), 1);
    uint32_t sets = 0, rows = 0;
    bool *seen = mem_array((size_t)n, sizeof *seen);
    for (struct rowset *r = shredder_cut(s), *next; r; r = next, sets++) {
        const struct column *c = the_column(r, "n"), *third = the_column(r, "third");
        next = r->next;
        assert_true(r->rows < 5000 && r->n_shards == 1 && r->shards[0].rows == r->rows);
        assert_int_equal(c->n_values, r->rows);
        for (uint32_t i = 0; i < r->rows; i++, rows++) {
            assert_true(i == 0 || c->longs[i] == c->longs[i - 1] + 1);
            assert_false(seen[c->longs[i]]);
            seen[c->longs[i]] = true;
            assert_int_equal(i < third->rows && third->def[i], c->longs[i] % 3 == 0);
        }
        rowset_free(r);
    }
    assert_int_equal(rows, n);
    assert_true(sets >= 2);
    free(seen);
    buf_fini(&b);
    finish(s);
}

/* One name has a date of its own in each event: the others' rows stay together. */
static void many_dates_do_not_close_what_others_write(void **state)
{
    (void)state;
    const int n = 3000, most = 40;
    struct shredder *s = begin(&wide, NULL, 0);
    struct buf b = {0};
    for (int row = 0; row < n; row++) {
        b.n = 0;
        bool odd = row % 3 == 0;
        buf_printf(&b, "{\"event_uuid\":\"u%d\",\"event_name\":\"%s\",\"created_at\":%d,\"n\":%d}", row,
                   odd ? "t:odd" : row % 3 == 1 ? "t:a" : "t:b", odd ? 1000000000 + row * 86400 : 1700000000, row);
        feed(s, (const char *)b.p, b.n);
        if (row % 10 == 9)
            shredder_shed(s, most);
        assert_true(shredder_partitions(s) <= (uint32_t)most + 10);
    }
    int rows = 0, odd = 0, sets = 0;
    for (struct rowset *r = shredder_cut(s), *next; r; r = next) {
        next = r->next;
        rowset_columns(r);
        rows += (int)r->rows;
        odd += r->subtype_n == 3;
        sets += r->subtype_n == 1;
        assert_int_equal(the_column(r, "n")->n_values, r->rows);
        rowset_free(r);
    }
    assert_int_equal(rows, n);
    assert_int_equal(odd, n / 3);
    assert_int_equal(sets, 2);
    buf_fini(&b);
    finish(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_event_says_why),
        cmocka_unit_test(dead_letters_stand_by_their_day_of_arrival),
        cmocka_unit_test(many_dates_do_not_close_what_others_write),
        cmocka_unit_test(duplicates_are_counted_and_positions_skip),
        cmocka_unit_test(declared_columns_convert_or_rescue),
        cmocka_unit_test(columns_and_rescued_give_back_the_event),
        cmocka_unit_test(so_they_do_under_narrow_limits),
        cmocka_unit_test(so_they_do_joined_and_packed),
        cmocka_unit_test(what_was_forgotten_is_learned_again),
        cmocka_unit_test(broken_records_are_dead_letters),
        cmocka_unit_test(a_million_keys_are_no_trouble),
        cmocka_unit_test(levels_say_which_rows_had_a_value),
        cmocka_unit_test(many_rows_come_in_several_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
