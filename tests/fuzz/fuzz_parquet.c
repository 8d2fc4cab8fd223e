/* Parquet files: footer, pages of every column, and what `inlet inspect` says. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz.h"
#include "parquet/parquet.h"

struct bytes {
    const uint8_t *p;
    size_t n;
};

static int read_bytes(void *ctx, int64_t offset, void *p, size_t n, struct err *e)
{
    const struct bytes *b = ctx;
    if (offset < 0 || (uint64_t)offset > b->n || n > b->n - (size_t)offset)
        return err_set(e, ERR_IO, "past the end");
    memcpy(p, b->p + offset, n);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct bytes b = {p, n};
    struct err e = {0};
    struct buf text = {0};
    struct pq_reader *r = pq_reader_open(read_bytes, &b, (int64_t)n, &e);
    if (!r)
        return 0;
    for (uint32_t g = 0; g < pq_reader_groups(r) && g < 3; g++)
        for (uint32_t leaf = 0; leaf < 8; leaf++) {
            struct column c;
            if (pq_reader_column(r, g, leaf, &c, &e) == 0)
                invariant(c.n_values <= c.n_levels || !c.max_def);
            column_fini(&c);
        }
    pq_reader_describe(r, &text, &e);
    buf_fini(&text);
    pq_reader_close(r);
    return 0;
}

void fuzz_seeds(fuzz_add_fn *add)
{
    static const char *const names[] = {"duckdb", "gzip_delta_v2", "none_plain_v1", "snappy_dict_v1", "zstd_dict_v2", "zstd_length_v1"};
    static uint8_t bytes[1 << 16];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/unit/parquet/data/%s.parquet", names[i]);
        FILE *f = fopen(path, "rb");
        invariant(f); /* run from the top of the tree */
        add(bytes, fread(bytes, 1, sizeof bytes, f));
        fclose(f);
    }
}
