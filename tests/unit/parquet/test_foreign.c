/* Parquet files of other writers: the rows of data/make.py, in every encoding and codec the reader
 * knows. Run from the top of the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "parquet/parquet.h"

#define ROWS 300u

static int read_file(void *ctx, int64_t offset, void *p, size_t n, struct err *e)
{
    if (fseek(ctx, (long)offset, SEEK_SET) || fread(p, 1, n, ctx) != n)
        return err_set(e, ERR_IO, "cannot read");
    return 0;
}

struct expect { /* where the row's values stand in its column */
    const struct column *c;
    uint32_t level, value;
    size_t byte;
};

static bool present(struct expect *x)
{
    return !x->c->max_def || x->c->def[x->level] == x->c->max_def;
}

static void check_number(struct expect *x, int64_t i)
{
    assert_int_equal(present(x), i % 7 != 0);
    if (i % 7)
        assert_int_equal(x->c->longs[x->value++], i * i - 1000);
    x->level++;
}

static void check_small(struct expect *x, int64_t i)
{
    assert_int_equal(x->c->longs[x->value++], i * 40000000 % 4294967296 - 2147483648);
}

static void check_text(struct expect *x, int64_t i)
{
    char text[32];
    int n = snprintf(text, sizeof text, "row-%d", (int)(i / 3));
    assert_int_equal(present(x), i % 11 != 0);
    x->level++;
    if (i % 11 == 0)
        return;
    struct str had = column_text_at(x->c->texts + x->byte);
    assert_int_equal(had.n, n);
    assert_memory_equal(had.p, text, (size_t)n);
    x->byte += 4 + had.n;
    x->value++;
}

static void check_flag(struct expect *x, int64_t i)
{
    assert_int_equal(x->c->bools[x->value++], i % 3 == 0);
}

static void check_half(struct expect *x, int64_t i)
{
    assert_true(x->c->doubles[x->value++] == (double)i / 2);
}

static void check_real(struct expect *x, int64_t i)
{
    assert_true(x->c->doubles[x->value++] == (double)i / 8);
}

static void check_list(struct expect *x, int64_t i)
{
    int64_t n = i % 5 == 0 ? 0 : i % 4;
    assert_int_equal(x->c->rep[x->level], 0);
    if (!n) {
        assert_int_equal(x->c->def[x->level++], i % 5 == 0 ? 0 : 1);
        return;
    }
    for (int64_t k = 0; k < n; k++, x->level++) {
        assert_int_equal(x->c->rep[x->level], k > 0);
        assert_int_equal(x->c->longs[x->value++], k);
    }
}

static void check_file(const char *name)
{
    static void (*const checks[])(struct expect *, int64_t) = {
        check_number, check_small, check_text, check_flag, check_half, check_real, check_list};
    char path[256];
    struct err e = {0};
    struct buf text = {0};
    snprintf(path, sizeof path, "tests/unit/parquet/data/%s.parquet", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    struct pq_reader *r = pq_reader_open(read_file, f, ftell(f), &e);
    if (!r)
        fail_msg("%s: %s", name, e.text);
    assert_int_equal(pq_reader_rows(r), ROWS);
    assert_int_equal(pq_reader_leaf_by_path(r, "text"), 2);
    for (uint32_t leaf = 0; leaf < sizeof checks / sizeof *checks; leaf++) {
        int64_t row = 0;
        for (uint32_t g = 0; g < pq_reader_groups(r); g++) {
            struct column c;
            if (pq_reader_column(r, g, leaf, &c, &e))
                fail_msg("%s: %s", name, e.text);
            struct expect x = {.c = &c};
            for (int64_t k = 0; k < pq_reader_group_rows(r, g); k++)
                checks[leaf](&x, row++);
            assert_int_equal(x.value, c.n_values);
            column_fini(&c);
        }
        assert_int_equal(row, ROWS);
    }
    assert_int_equal(pq_reader_describe(r, &text, &e), 0);
    buf_fini(&text);
    pq_reader_close(r);
    fclose(f);
}

static void test_pyarrow(void **state)
{
    (void)state;
    check_file("snappy_dict_v1");
    check_file("zstd_dict_v2");
    check_file("none_plain_v1");
    check_file("gzip_delta_v2");
    check_file("zstd_length_v1");
}

static void test_duckdb(void **state)
{
    (void)state;
    check_file("duckdb");
}

/* Random damage: reading ends, with an error or with some column. */
static void check_damaged(const char *name, uint64_t seed)
{
    static uint8_t good[65536], bad[65536];
    char path[256];
    snprintf(path, sizeof path, "tests/unit/parquet/data/%s.parquet", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(good, 1, sizeof good, f);
    fclose(f);
    for (int round = 0; round < 1000; round++) {
        struct err e = {0};
        memcpy(bad, good, n);
        for (int k = 0; k < 3; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bad[(seed >> 33) % n] ^= (uint8_t)(1u << (seed >> 30 & 7));
        }
        FILE *m = fmemopen(bad, n, "rb");
        assert_non_null(m);
        struct pq_reader *r = pq_reader_open(read_file, m, (int64_t)n, &e);
        for (uint32_t g = 0; r && g < pq_reader_groups(r) && g < 3; g++)
            for (uint32_t leaf = 0; leaf < 7; leaf++) {
                struct column c;
                pq_reader_column(r, g, leaf, &c, &e);
                column_fini(&c);
            }
        pq_reader_close(r);
        fclose(m);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    check_damaged("snappy_dict_v1", 1);
    check_damaged("zstd_dict_v2", 2);
    check_damaged("none_plain_v1", 3);
    check_damaged("gzip_delta_v2", 4);
    check_damaged("zstd_length_v1", 5);
    check_damaged("duckdb", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pyarrow),
                                       cmocka_unit_test(test_duckdb),
                                       cmocka_unit_test(test_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
