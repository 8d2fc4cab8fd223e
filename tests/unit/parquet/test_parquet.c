/* Parquet: random columns of all types, in random pieces, through the writer and back through the
 * reader; bounds as Iceberg wants them; files from pyarrow; broken files. With INLET_PQ_FILE set,
 * the first file is left there for other engines to read (see check_file.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "parquet/parquet.h"
#include "parquet/writer_int.h"

static uint64_t seed = 1;

static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

/* ---- the schema: every type, a required column, lists of texts and of structs, a struct ---- */

static char names[24][16] = {"req_long", "flag",    "i32",      "i64",   "dbl",   "flt",
                             "text",     "bin",     "ts",       "tsn",   "day",   "dec9",
                             "dec18",    "uuid",    "constant", "nulls", "tags",  "element",
                             "items",    "element", "qty",      "name",  "place", "city"};
#define NODE(I, ID, TYPE, REQ, PREC, SCALE, KIDS)                                                  \
    {                                                                                              \
        names[I], ID, TYPE, REQ, PREC, SCALE, KIDS                                                 \
    }
static struct pq_node nodes[] = {
    NODE(0, 1, PQ_INT64, true, 0, 0, 0),        NODE(1, 2, PQ_BOOLEAN, false, 0, 0, 0),
    NODE(2, 3, PQ_INT32, false, 0, 0, 0),       NODE(3, 4, PQ_INT64, false, 0, 0, 0),
    NODE(4, 5, PQ_DOUBLE, false, 0, 0, 0),      NODE(5, 6, PQ_FLOAT, false, 0, 0, 0),
    NODE(6, 7, PQ_STRING, false, 0, 0, 0),      NODE(7, 8, PQ_BINARY, false, 0, 0, 0),
    NODE(8, 9, PQ_TIMESTAMPTZ, false, 0, 0, 0), NODE(9, 10, PQ_TIMESTAMP, false, 0, 0, 0),
    NODE(10, 11, PQ_DATE, false, 0, 0, 0),      NODE(11, 12, PQ_DECIMAL, false, 9, 2, 0),
    NODE(12, 13, PQ_DECIMAL, false, 18, 4, 0),  NODE(13, 14, PQ_STRING, true, 0, 0, 0),
    NODE(14, 15, PQ_STRING, false, 0, 0, 0),    NODE(15, 16, PQ_STRING, false, 0, 0, 0),
    NODE(16, 17, PQ_LIST, false, 0, 0, 1),      NODE(17, 18, PQ_STRING, false, 0, 0, 0),
    NODE(18, 19, PQ_LIST, false, 0, 0, 1),      NODE(19, 20, PQ_GROUP, false, 0, 0, 2),
    NODE(20, 21, PQ_INT64, false, 0, 0, 0),     NODE(21, 22, PQ_STRING, false, 0, 0, 0),
    NODE(22, 23, PQ_GROUP, false, 0, 0, 1),     NODE(23, 24, PQ_STRING, false, 0, 0, 0),
};
static const struct pq_schema schema = {nodes, 24, 19};
enum { LEAVES = 20, LEAF_UUID = 13, LEAF_CONST = 14, LEAF_NULLS = 15, LEAF_NAME = 18 };

/* ---- random columns ---- */

static void add_level(struct column *c, unsigned def, unsigned rep)
{
    if (c->n_levels == c->cap_levels)
        column_grow_levels(c, 1);
    if (c->max_def)
        c->def[c->n_levels] = (uint8_t)def;
    if (c->max_rep)
        c->rep[c->n_levels] = (uint8_t)rep;
    c->n_levels++;
    c->rows += rep == 0;
}

static void random_text(struct column *c, int32_t id, uint32_t variety)
{
    static const char *const words[] = {"a",   "Zürich", "日本語",       "🙂",
                                        "x y", "",       "long long ago"};
    char text[400] = {0};
    size_t n = 0;
    if (id == 14) {
        n = (size_t)snprintf(text, sizeof text, "%08x-%04x-4%03x-%012x", rnd(1u << 30), rnd(65536),
                             rnd(4096), rnd(1u << 30));
    } else {
        for (uint32_t k = rnd(3); k < 3; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", words[rnd(7)], rnd(variety));
        for (uint32_t k = 0; variety > 1000 && rnd(50) == 0 && k < 20; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", words[1 + rnd(3)]);
        n += rnd(30) ? 0 : rnd(4); /* zeros, which make it another */
    }
    column_text(c, text, n);
}

static void random_value(struct column *c, int32_t id, uint32_t variety)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0};
    if (c->type != COL_BYTES && c->n_values == c->cap_values)
        column_grow_values(c, 1);
    int64_t v = (int64_t)rnd(variety) - variety / 2;
    switch (c->type) {
    case COL_BOOL:
        c->bools[c->n_values++] = rnd(2) != 0;
        break;
    case COL_LONG:
        c->longs[c->n_values++] = id == 4 || id == 9 ? v * 1000000007 : v;
        break;
    case COL_DOUBLE:
        c->doubles[c->n_values++] = rnd(40) == 0 ? odd[rnd(5)] : (double)v / 4;
        break;
    default:
        random_text(c, id, variety);
    }
}

static struct column *random_column(int32_t id, enum col_type type, unsigned max_def,
                                    unsigned max_rep, uint32_t rows)
{
    struct column *c = mem_zalloc(sizeof *c);
    uint32_t variety = (uint32_t[]){3, 200, 30000}[rnd(3)], nulls = (uint32_t[]){1, 3, 90}[rnd(3)];
    column_init(c, type, max_def, max_rep);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t items = max_rep && rnd(3) ? 1 + rnd(4) : 1;
        for (uint32_t k = 0; k < items; k++) {
            unsigned def = max_def;
            if (max_def && rnd(nulls + 1) == 0)
                def = k || items > 1 ? 2 + rnd(max_def - 1) : rnd(max_def);
            add_level(c, def, k > 0);
            if (def == max_def)
                random_value(c, id, variety);
        }
    }
    return c;
}

/* ---- pieces, and what they mean ---- */

struct model {
    struct column want[4][LEAVES]; /* of each group */
    uint32_t groups, rows[4];
    struct column *made[4096];
    uint32_t n_made;
};

static void model_fini(struct model *m)
{
    for (uint32_t g = 0; g < m->groups; g++)
        for (uint32_t i = 0; i < LEAVES; i++)
            column_fini(&m->want[g][i]);
    for (uint32_t i = 0; i < m->n_made; i++) {
        column_fini(m->made[i]);
        free(m->made[i]);
    }
}

static void append(struct column *to, const struct pq_piece *p, unsigned max_def)
{
    const struct column *c = p->kind == PQ_PIECE_COLUMN ? p->col : NULL;
    uint32_t levels = c ? c->n_levels : p->rows;
    for (uint32_t i = 0; i < levels; i++)
        add_level(to,
                  c                           ? (max_def ? c->def[i] : 0)
                  : p->kind == PQ_PIECE_CONST ? max_def
                                              : p->def,
                  c && c->max_rep ? c->rep[i] : 0);
    uint32_t values = c ? c->n_values : p->kind == PQ_PIECE_CONST ? p->rows : 0;
    const uint8_t *at = c ? c->texts : NULL;
    for (uint32_t i = 0; i < values; i++) {
        if (to->type != COL_BYTES && to->n_values == to->cap_values)
            column_grow_values(to, 1);
        if (to->type == COL_BYTES && c) {
            column_text(to, at + 4, column_text_at(at).n);
            at = column_text_next(at);
        } else if (to->type == COL_BYTES) {
            column_text(to, p->text.p, p->text.n);
        } else if (to->type == COL_BOOL) {
            to->bools[to->n_values++] = c->bools[i];
        } else {
            to->longs[to->n_values++] = c ? c->longs[i] : p->number;
        }
    }
}

static size_t random_pieces(struct model *m, struct pq_piece *out, uint32_t leaf, int32_t id,
                            enum col_type type, unsigned max_def, unsigned max_rep, uint32_t rows)
{
    size_t n = 0;
    while (rows) {
        uint32_t take = 1 + rnd(rows), what = leaf == LEAF_NULLS ? 0 : rnd(4);
        if (n == 6)
            take = rows;
        struct pq_piece *p = &out[n++];
        *p = (struct pq_piece){.rows = take};
        if (what == 0 && max_def) {
            p->kind = PQ_PIECE_NULLS;
        } else if ((what == 1 || leaf == LEAF_CONST) && max_rep == 0 &&
                   (type == COL_BYTES || type == COL_LONG)) {
            p->kind = PQ_PIECE_CONST;
            p->text = str_of(n & 1 ? "the one" : "the other");
            p->number = 7;
        } else {
            p->kind = PQ_PIECE_COLUMN;
            p->col = m->made[m->n_made++] = random_column(id, type, max_def, max_rep, take);
        }
        rows -= take;
    }
    return n;
}

/* A struct's second leaf has the lists of its first: the same levels, but for its own nulls. */
static void sibling_pieces(struct model *m, struct pq_piece *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct column *like = pieces[i].col;
        if (pieces[i].kind != PQ_PIECE_COLUMN)
            continue;
        struct column *c = m->made[m->n_made++] = mem_zalloc(sizeof *c);
        column_init(c, COL_BYTES, like->max_def, like->max_rep);
        for (uint32_t k = 0; k < like->n_levels; k++) {
            unsigned def = like->def[k] < 3 ? like->def[k] : 3 + (rnd(5) > 0);
            add_level(c, def, like->rep[k]);
            if (def == c->max_def)
                random_value(c, 22, 500);
        }
        pieces[i].col = c;
    }
}

/* Of all files of this test: what is kept from group to group must not show in them. */
static struct pq_hints hints;
static struct pq_scratch *scratch;

static struct pq_writer *write_model(struct model *m, const struct pq_options *o, struct buf *out,
                                     uint32_t groups, uint32_t rows)
{
    struct err e = {0};
    struct pq_writer *w = pq_writer_new(&schema, o, out, NULL);
    assert_int_equal(pq_writer_leaves(w), LEAVES);
    m->groups = groups;
    for (uint32_t g = 0; g < groups; g++) {
        m->rows[g] = rows ? 1 + rnd(rows) : 0;
        pq_writer_group_begin_with(w, m->rows[g], scratch);
        struct pq_piece pieces[8];
        size_t n = 0;
        for (uint32_t i = 0; i < LEAVES; i++) {
            enum col_type type;
            unsigned def, rep;
            int32_t id;
            pq_writer_leaf(w, i, &id, &type, &def, &rep);
            column_init(&m->want[g][i], type, def, rep);
            if (i == LEAF_NAME)
                sibling_pieces(m, pieces, n);
            else
                n = random_pieces(m, pieces, i, id, type, def, rep, m->rows[g]);
            for (size_t k = 0; k < n; k++)
                append(&m->want[g][i], &pieces[k], def);
            if (pq_writer_column(w, pieces, n, &e))
                fail_msg("%s", e.text);
        }
        assert_int_equal(pq_writer_group_end(w, &e), 0);
    }
    assert_int_equal(pq_writer_finish(w, &e), 0);
    assert_int_equal(pq_writer_size(w), out->n);
    return w;
}

/* ---- reading back ---- */

static int read_buf(void *ctx, int64_t offset, void *p, size_t n, struct err *e)
{
    const struct buf *b = ctx;
    if (offset < 0 || (uint64_t)offset > b->n || n > b->n - (size_t)offset)
        return err_set(e, ERR_IO, "past the end");
    memcpy(p, b->p + offset, n);
    return 0;
}

static void assert_same(const struct column *a, const struct column *b, bool narrow)
{
    static const size_t widths[] = {1, 8, 8, 4};
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->n_levels, b->n_levels);
    assert_int_equal(a->n_values, b->n_values);
    assert_int_equal(a->n_bytes, b->n_bytes);
    if (a->max_def && a->n_levels)
        assert_memory_equal(a->def, b->def, a->n_levels);
    if (a->max_rep && a->n_levels)
        assert_memory_equal(a->rep, b->rep, a->n_levels);
    if (a->n_bytes)
        assert_memory_equal(a->texts, b->texts, a->n_bytes);
    if (narrow) {
        for (uint32_t i = 0; i < a->n_values; i++)
            assert_true((float)a->doubles[i] == (float)b->doubles[i] || isnan(a->doubles[i]));
    } else if (a->n_values && a->type != COL_BYTES) {
        assert_memory_equal(a->values, b->values, a->n_values * widths[a->type]);
    }
}

static void assert_reads(struct model *m, struct buf *file)
{
    struct err e = {0};
    struct pq_reader *r = pq_reader_open(read_buf, file, (int64_t)file->n, &e);
    if (!r)
        fail_msg("%s", e.text);
    assert_int_equal(pq_reader_groups(r), m->groups);
    for (uint32_t g = 0; g < m->groups; g++) {
        assert_int_equal(pq_reader_group_rows(r, g), m->rows[g]);
        for (uint32_t i = 0; i < LEAVES; i++) {
            struct column got;
            if (pq_reader_column(r, g, i, &got, &e))
                fail_msg("%s", e.text);
            assert_same(&m->want[g][i], &got, i == 5);
            column_fini(&got);
        }
    }
    assert_int_equal(pq_reader_leaf_by_id(r, 14), LEAF_UUID);
    assert_int_equal(pq_reader_leaf_by_id(r, 99), -1);
    assert_int_equal(pq_reader_leaf_by_path(r, "items.list.element.qty"), 17);
    pq_reader_close(r);
}

static void test_round_trip(void **state)
{
    static const struct {
        uint32_t groups, rows, page_rows;
        size_t page_bytes, dict_bytes;
        int level;
    } cases[] = {
        {3, 60000, 0, 0, 0, 1},    {2, 3000, 100, 0, 0, 1},  {2, 3000, 0, 500, 0, 3},
        {1, 0, 0, 0, 0, 1},        {0, 0, 0, 0, 0, 1},       {4, 3, 0, 0, 0, 0},
        {4, 700, 1, 0, 0, 0},      {2, 20000, 0, 0, 100, 1}, {4, 40, 8, 64, 0, 1},
        {4, 5000, 64, 4096, 0, 1},
    };
    (void)state;
    scratch = pq_scratch_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model *m = mem_zalloc(sizeof *m);
        struct buf file = {0};
        const char *const kv[] = {"iceberg.schema", "{\"a\":\"\\\"\"}", NULL};
        struct pq_options o = {.zstd_level = cases[i].level,
                               .page_bytes = cases[i].page_bytes,
                               .page_rows = cases[i].page_rows,
                               .dict_bytes = cases[i].dict_bytes,
                               .created_by = "inlet version 0.1.0 (build test)",
                               .kv = kv,
                               .hints = &hints};
        struct pq_writer *w = write_model(m, &o, &file, cases[i].groups, cases[i].rows);
        assert_reads(m, &file);
        pq_writer_free(w);
        const char *path = getenv("INLET_PQ_FILE");
        if (path) {
            char name[512];
            snprintf(name, sizeof name, "%s.%zu", path, i);
            FILE *f = fopen(name, "wb");
            assert_non_null(f);
            assert_int_equal(fwrite(file.p, 1, file.n, f), file.n);
            fclose(f);
        }
        model_fini(m);
        free(m);
        buf_fini(&file);
    }
    pq_hints_fini(&hints);
    pq_scratch_free(scratch);
    scratch = NULL;
}

/* ---- bounds ---- */

/* The bounds stand until the next call. */
static void one_column(struct buf *out, struct pq_leaf_stats *st, enum pq_type type,
                       const struct column *c, uint8_t precision)
{
    static char name[] = "v";
    static uint8_t bounds[2][PQ_BOUND_MAX];
    struct pq_node node = {name, 1, type, false, precision, 0, 0};
    struct pq_schema one = {&node, 1, 1};
    struct pq_options o = {.zstd_level = 1};
    struct err e = {0};
    uint32_t n;
    struct pq_writer *w = pq_writer_new(&one, &o, out, NULL);
    struct pq_piece p = {.kind = PQ_PIECE_COLUMN, .col = c};
    pq_writer_group_begin(w, c->rows);
    assert_int_equal(pq_writer_column(w, &p, 1, &e), 0);
    assert_int_equal(pq_writer_group_end(w, &e), 0);
    assert_int_equal(pq_writer_finish(w, &e), 0);
    *st = *pq_writer_stats(w, &n);
    assert_int_equal(n, 1);
    memcpy(bounds[0], st->lower, st->lower_n);
    memcpy(bounds[1], st->upper, st->upper_n);
    st->lower = bounds[0];
    st->upper = bounds[1];
    pq_writer_free(w);
}

/* Bytes that 20000 texts take, times ten, one of them. */
static int64_t tenths_of_a_byte(const char *format, bool words)
{
    static const char *const word[] = {"garden", "hose", "rain", "jacket", "lamp", "desk", "chair", "winter", "boots", "tea"};
    struct column c;
    struct buf out = {0};
    struct pq_leaf_stats st;
    char text[100];
    column_init(&c, COL_BYTES, 1, 0);
    for (int i = 0; i < 20000; i++) {
        int n = words ? snprintf(text, sizeof text, format, word[rnd(10)], word[rnd(10)], rnd(3000))
                      : snprintf(text, sizeof text, format, rnd(1u << 31) << 1 | rnd(2));
        column_text(&c, text, (size_t)n);
        column_level(&c, 1, 0);
    }
    one_column(&out, &st, PQ_STRING, &c, 0);
    buf_fini(&out);
    column_fini(&c);
    return st.column_bytes * 10 / 20000;
}

/* Writes a column of random ids or times; for how many chunks the way that was chosen stands. */
static int chunks_of_the_way(struct pq_scratch *kept, const char *called, bool times, enum way way)
{
    char name[8];
    struct pq_node node = {name, 1, times ? PQ_INT64 : PQ_STRING, false, 0, 0, 0};
    struct pq_schema one = {&node, 1, 1};
    struct pq_hints h = {0};
    struct pq_options o = {.zstd_level = 1, .hints = &h};
    struct buf out = {0};
    struct err e = {0};
    struct column c;
    snprintf(name, sizeof name, "%s", called);
    column_init(&c, times ? COL_LONG : COL_BYTES, 1, 0);
    for (int i = 0; i < 2000; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%08x-%04x-%04x-%08x%08x", rnd(UINT32_MAX), rnd(65536), rnd(65536),
                         rnd(UINT32_MAX), rnd(UINT32_MAX));
        if (times) /* about one after the other: three bytes are any, mostly */
            column_number(&c, INT64_C(1700000000000000) + ((int64_t)i << 20) + rnd(1u << 21));
        else
            column_text(&c, text, (size_t)n);
        column_level(&c, 1, 0);
    }
    struct pq_writer *w = pq_writer_new(&one, &o, &out, NULL);
    struct pq_piece p = {.kind = PQ_PIECE_COLUMN, .col = &c};
    pq_writer_group_begin_with(w, c.rows, kept);
    assert_int_equal(pq_writer_column(w, &p, 1, &e), 0);
    assert_int_equal(pq_writer_group_end(w, &e), 0);
    assert_int_equal(h.n, 1);
    assert_int_equal(h.each[0].way, way);
    int chunks = h.each[0].compared;
    pq_writer_free(w);
    pq_hints_fini(&h);
    column_fini(&c);
    buf_fini(&out);
    return chunks;
}

/* Another table's column of the same name is taken to be like this one, for a while. */
static void test_way_taken_over(void **state)
{
    struct pq_scratch *kept = pq_scratch_new();
    (void)state;
    assert_int_equal(chunks_of_the_way(kept, "id", false, WAY_ALIKE), 100);
    assert_in_range(chunks_of_the_way(kept, "id", false, WAY_ALIKE), 1, 30);
    assert_int_equal(chunks_of_the_way(kept, "other", false, WAY_ALIKE), 100);
    assert_int_equal(chunks_of_the_way(kept, "time", true, WAY_BARE), 100);
    assert_in_range(chunks_of_the_way(kept, "time", true, WAY_BARE), 1, 30);
    pq_scratch_free(kept);
}

/* Few texts, whatever their lengths and what comes after them, take three bits each. The last two have the same hash: their first
 * word is what dict.c's fold() makes zero. */
static void test_dictionary_of_texts(void **state)
{
    static const char *const few[] = {"tv", "android", "a smart watch", "a text beyond fifteen bytes",
                                      "a text beyond the two and thirty bytes", "12345678901234567",
                                      "\x15\x7c\x4a\x7f\xb9\x79\x37\x9e and sixteen more 1",
                                      "\x15\x7c\x4a\x7f\xb9\x79\x37\x9e and sixteen more 2"};
    struct column c, got;
    struct buf out = {0};
    struct pq_leaf_stats st;
    struct err e = {0};
    (void)state;
    column_init(&c, COL_BYTES, 1, 0);
    for (int i = 0; i < 20000; i++) {
        const char *text = few[rnd(8)];
        column_text(&c, text, strlen(text));
        column_level(&c, 1, 0);
    }
    one_column(&out, &st, PQ_BINARY, &c, 0);
    assert_in_range(st.column_bytes, 7500, 7900);
    struct pq_reader *r = pq_reader_open(read_buf, &out, (int64_t)out.n, &e);
    assert_non_null(r);
    assert_int_equal(pq_reader_column(r, 0, 0, &got, &e), 0);
    assert_int_equal(got.n_bytes, c.n_bytes);
    assert_memory_equal(got.texts, c.texts, c.n_bytes);
    pq_reader_close(r);
    buf_fini(&out);
    column_fini(&got);
    column_fini(&c);
}

/* The way of compression that suits a column is found out: ids by what they have in common with the one before (zstd
 * alone: 4.4 bytes), other texts as zstd does (the other way: 15). */
static void test_ways_of_compression(void **state)
{
    (void)state;
    assert_in_range(tenths_of_a_byte("usr_0000%08x", false), 40, 42);
    assert_in_range(tenths_of_a_byte("https://shop.example.com/p/%s-%s/%u?ref=mail", true), 50, 80);
}

static struct pq_leaf_stats text_stats(enum pq_type type, const char *a, const char *b)
{
    struct column c;
    struct buf out = {0};
    struct pq_leaf_stats st;
    column_init(&c, COL_BYTES, 1, 0);
    add_level(&c, 1, 0);
    column_text(&c, a, strlen(a));
    add_level(&c, 1, 0);
    column_text(&c, b, strlen(b));
    one_column(&out, &st, type, &c, 0);
    column_fini(&c);
    buf_fini(&out);
    return st;
}

#define assert_bound(ST, WHICH, TEXT)                                                              \
    do {                                                                                           \
        assert_int_equal((ST).WHICH##_n, sizeof(TEXT) - 1);                                        \
        assert_memory_equal((ST).WHICH, TEXT, sizeof(TEXT) - 1);                                   \
    } while (0)

static void test_text_bounds(void **state)
{
    (void)state;
    struct pq_leaf_stats st = text_stats(PQ_STRING, "abcdefghijklmnopq", "abcdefghijklmnop");
    assert_true(st.has_bounds);
    assert_bound(st, lower, "abcdefghijklmnop");
    assert_bound(st, upper, "abcdefghijklmnoq");
    st = text_stats(PQ_STRING, "éééééééééééééééé~", "éééééééééééééééé~");
    assert_bound(st, lower, "éééééééééééééééé");
    assert_bound(st, upper, "éééééééééééééééê");
    st = text_stats(PQ_STRING, "aaaaaaaaaaaaaaa\x7f!", "a"); /* one byte becomes two */
    assert_bound(st, upper, "aaaaaaaaaaaaaaa\xc2\x80");
    st = text_stats(PQ_STRING, "aaaaaaaaaaaaaa\xed\x9f\xbf\xf4\x8f\xbf\xbf!", "a");
    assert_bound(st, upper, "aaaaaaaaaaaaaa\xee\x80\x80"); /* over the surrogates */
    char top[20 * 4 + 1] = "";
    for (int i = 0; i < 20; i++)
        strcat(top, "\xf4\x8f\xbf\xbf");
    st = text_stats(PQ_STRING, top, "a");
    assert_false(st.has_bounds);
    char broken[200]; /* no UTF-8 at all */
    memset(broken, 0x80, sizeof broken - 1);
    broken[sizeof broken - 1] = 0;
    st = text_stats(PQ_STRING, broken, broken);
    assert_false(st.has_bounds);
    st = text_stats(PQ_BINARY, "0123456789abcde\xff\xff", "0");
    assert_bound(st, lower, "0");
    assert_bound(st, upper, "0123456789abcdf");
    st = text_stats(PQ_STRING, "", "");
    assert_true(st.has_bounds);
    assert_int_equal(st.lower_n + st.upper_n, 0);
}

static struct pq_leaf_stats number_stats(enum pq_type type, enum col_type col, uint8_t precision,
                                         const void *v, uint32_t n)
{
    struct column c;
    struct buf out = {0};
    struct pq_leaf_stats st;
    column_init(&c, col, 1, 0);
    column_grow_values(&c, n);
    memcpy(c.values, v, n * 8);
    c.n_values = n;
    for (uint32_t i = 0; i < n; i++)
        add_level(&c, 1, 0);
    add_level(&c, 0, 0);
    one_column(&out, &st, type, &c, precision);
    column_fini(&c);
    buf_fini(&out);
    return st;
}

static void test_number_bounds(void **state)
{
    const int64_t longs[] = {-129, 3, 128};
    const double reals[] = {NAN, 0.0, NAN, -1.5}, nans[] = {NAN, NAN};
    (void)state;
    struct pq_leaf_stats st = number_stats(PQ_DECIMAL, COL_LONG, 18, longs, 3);
    assert_bound(st, lower, "\xff\x7f");
    assert_bound(st, upper, "\x00\x80");
    assert_int_equal(st.nulls, 1);
    assert_int_equal(st.values, 4);
    assert_int_equal(st.nans, -1);
    st = number_stats(PQ_INT32, COL_LONG, 0, longs, 3);
    assert_bound(st, lower, "\x7f\xff\xff\xff");
    st = number_stats(PQ_INT64, COL_LONG, 0, longs, 3);
    assert_bound(st, upper, "\x80\0\0\0\0\0\0\0");
    st = number_stats(PQ_DOUBLE, COL_DOUBLE, 0, reals, 4);
    assert_int_equal(st.nans, 2);
    double got;
    memcpy(&got, st.lower, 8);
    assert_true(got == -1.5);
    memcpy(&got, st.upper, 8);
    assert_true(got == 0 && !signbit(got));
    st = number_stats(PQ_FLOAT, COL_DOUBLE, 0, reals, 4);
    assert_int_equal(st.lower_n, 4);
    st = number_stats(PQ_DOUBLE, COL_DOUBLE, 0, nans, 2);
    assert_false(st.has_bounds);
}

/* ---- refusals ---- */

static void test_refuses_wrong_pieces(void **state)
{
    struct buf out = {0};
    struct pq_options o = {.zstd_level = 1};
    struct err e = {0};
    struct column c;
    struct pq_piece nulls = {.kind = PQ_PIECE_NULLS, .rows = 5};
    (void)state;
    struct pq_writer *w = pq_writer_new(&schema, &o, &out, NULL);
    pq_writer_group_begin(w, 5);
    assert_int_equal(pq_writer_column(w, &nulls, 1, &e), -1); /* required */
    assert_int_equal(e.kind, ERR_INVALID);
    nulls.rows = 4;
    assert_int_equal(pq_writer_column(w, &nulls, 1, &e), -1); /* too few */
    column_init(&c, COL_DOUBLE, 1, 0);
    struct pq_piece p = {.kind = PQ_PIECE_COLUMN, .col = &c};
    assert_int_equal(pq_writer_column(w, &p, 1, &e), -1); /* another type */
    assert_int_equal(pq_writer_group_end(w, &e), -1);
    pq_writer_free(w);
    buf_fini(&out);
}

/* Whatever is done to a file's bytes, reading ends: with an error or with some column. */
static void test_broken_files(void **state)
{
    struct model *m = mem_zalloc(sizeof *m);
    struct buf file = {0}, bad = {0}, text = {0};
    struct pq_options o = {.zstd_level = 1, .page_rows = 50};
    (void)state;
    pq_writer_free(write_model(m, &o, &file, 2, 200));
    for (int round = 0; round < 3000; round++) {
        struct err e = {0};
        bad.n = 0;
        buf_put(&bad, file.p, file.n);
        size_t footer = 8 + (size_t)rnd(3000);
        for (uint32_t k = 1 + rnd(4); k; k--) {
            size_t at = rnd(2) ? rnd((uint32_t)bad.n) : bad.n - (footer < bad.n ? footer : 9);
            bad.p[at] = (uint8_t)(rnd(2) ? rnd(256) : bad.p[at] ^ (1u << rnd(8)));
        }
        if (rnd(20) == 0)
            bad.n = rnd((uint32_t)bad.n);
        struct pq_reader *r = pq_reader_open(read_buf, &bad, (int64_t)bad.n, &e);
        if (!r)
            continue;
        text.n = 0;
        pq_reader_describe(r, &text, &e);
        for (uint32_t g = 0; g < pq_reader_groups(r) && g < 4; g++)
            for (uint32_t i = 0; i < LEAVES; i++) {
                struct column got;
                pq_reader_column(r, g, i, &got, &e);
                column_fini(&got);
            }
        pq_reader_close(r);
    }
    model_fini(m);
    free(m);
    buf_fini(&file);
    buf_fini(&bad);
    buf_fini(&text);
}

static void test_describe(void **state)
{
    struct model *m = mem_zalloc(sizeof *m);
    struct buf file = {0}, text = {0};
    struct pq_options o = {.zstd_level = 1, .created_by = "inlet \"x\""};
    struct err e = {0};
    (void)state;
    pq_writer_free(write_model(m, &o, &file, 1, 500));
    struct pq_reader *r = pq_reader_open(read_buf, &file, (int64_t)file.n, &e);
    assert_non_null(r);
    assert_int_equal(pq_reader_describe(r, &text, &e), 0);
    const char *json = buf_cstr(&text);
    assert_non_null(strstr(json, "\"created_by\":\"inlet \\\"x\\\"\""));
    assert_non_null(strstr(json, "\"path\":\"items.list.element.qty\",\"field_id\":21"));
    assert_non_null(strstr(json, "\"logical\":\"DECIMAL\",\"precision\":9,\"scale\":2"));
    assert_non_null(strstr(json, "\"page_index\":true"));
    pq_reader_close(r);
    model_fini(m);
    free(m);
    buf_fini(&file);
    buf_fini(&text);
}

/* Files wait for their commit, thousands of columns of many tables at a time: what a column takes meanwhile is little. */
static void test_a_waiting_file_is_small(void **state)
{
    (void)state;
    enum { COLUMNS = 2000 };
    static char name[COLUMNS][16];
    struct pq_node wide[COLUMNS];
    struct pq_options o = {.zstd_level = 1};
    struct buf out = {0};
    struct err e = {0};
    for (int i = 0; i < COLUMNS; i++) {
        snprintf(name[i], sizeof name[i], "column_%d", i);
        wide[i] = (struct pq_node){.name = name[i], .field_id = i + 1, .type = i % 2 ? PQ_STRING : PQ_INT64};
    }
    struct pq_writer *w = pq_writer_new(&(struct pq_schema){wide, COLUMNS, COLUMNS}, &o, &out, NULL);
    pq_writer_group_begin(w, 1);
    for (uint32_t i = 0; i < COLUMNS; i++) {
        struct column c;
        column_init(&c, i % 2 ? COL_BYTES : COL_LONG, 1, 0);
        column_level(&c, 1, 0);
        if (i % 2)
            column_text(&c, "of some length", 14);
        else
            column_number(&c, i);
        const struct pq_piece piece = {.kind = PQ_PIECE_COLUMN, .col = &c};
        assert_int_equal(pq_writer_column(w, &piece, 1, &e), 0);
        column_fini(&c);
    }
    assert_int_equal(pq_writer_group_end(w, &e), 0);
    if (pq_writer_bytes(w) > COLUMNS * 600)
        fail_msg("%zu bytes a column", pq_writer_bytes(w) / COLUMNS);
    pq_writer_free(w);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_dictionary_of_texts), cmocka_unit_test(test_way_taken_over), cmocka_unit_test(test_ways_of_compression),
        cmocka_unit_test(test_text_bounds), cmocka_unit_test(test_a_waiting_file_is_small),
        cmocka_unit_test(test_number_bounds), cmocka_unit_test(test_refuses_wrong_pieces),
        cmocka_unit_test(test_broken_files),  cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
