/* file source: whole lines whatever the format, resuming, long lines, changed files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/mem.h"
#include "source/source.h"

static char path[] = "/tmp/inlet-file-XXXXXX";

struct result {
    struct buf lines; /* payloads, each followed by '|' */
    size_t records, defects, batches;
    enum source_event_kind end;
    struct err error;
    struct seq lasts[64];
    char notes[64][24];
};

static void put(const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void collect(struct result *r, const struct source_batch *b, struct source_cursor *c)
{
    struct record rec;
    source_cursor_start(c, b);
    struct seq last = SEQ_NONE;
    while (source_cursor_next(c, &rec)) {
        buf_put(&r->lines, rec.payload, rec.n);
        buf_putc(&r->lines, '|');
        r->records++;
        r->defects += rec.defect != NULL;
        if (seq_cmp(last, SEQ_NONE) == 0 && rec.n && b->data[0] == '{')
            assert_int_equal(seq_cmp(rec.seq, b->first), 0);
        last = rec.seq;
        assert_true(seq_le(rec.seq, b->last));
    }
    if (r->batches < 64) {
        r->lasts[r->batches] = b->last;
        memcpy(r->notes[r->batches], b->position_note, 24);
    }
    r->batches++;
}

static struct result run(size_t batch, size_t max, uint64_t after, const char *note)
{
    struct result r = {0};
    struct source_env env = {.inbox = queue_new(4), .budget = budget_new(1 << 20), .clock = &clock_system,
                             .batch_bytes = batch, .record_bytes_max = max};
    struct source *s = source_file_open(path, &env, &r.error);
    assert_non_null(s);
    assert_int_equal(s->ops->start(s, "0", 3, 9, seq_of(after), note, &r.error), 0);
    struct source_cursor *c = source_cursor_new();
    for (bool done = false; !done;) {
        struct source_event *ev = queue_pop_wait(env.inbox, 10000);
        assert_non_null(ev);
        assert_int_equal(ev->shard, 3);
        assert_int_equal(ev->generation, 9);
        if (ev->kind == SOURCE_BATCH) {
            collect(&r, ev->batch, c);
            budget_give(env.budget, ev->batch->charged_bytes);
        } else {
            r.end = ev->kind;
            r.error = ev->error;
            done = true;
        }
        source_event_free(ev);
    }
    source_close(s);
    assert_int_equal(budget_used(env.budget), 0);
    source_cursor_free(c);
    queue_free(env.inbox);
    budget_free(env.budget);
    buf_cstr(&r.lines);
    return r;
}

static void plain(void **state)
{
    (void)state;
    const char *text = "\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":2}\nlast";
    put(text, strlen(text));
    for (size_t batch = 1; batch < 40; batch++) {
        struct result r = run(batch, 1000, 0, NULL);
        assert_string_equal((char *)r.lines.p, "{\"a\":1}|{\"b\":2}|last|");
        assert_int_equal(r.end, SOURCE_SHARD_END);
        assert_int_equal(seq_low(r.lasts[r.batches - 1]), strlen(text));
        buf_fini(&r.lines);
    }
}

static struct buf many(size_t lines)
{
    struct buf b = {0};
    for (size_t i = 0; i < lines; i++)
        buf_printf(&b, "{\"n\":%zu,\"pad\":\"%.*s\"}\n", i, (int)(i % 50),
                   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    return b;
}

static void put_gzip(const struct buf *b)
{
    size_t half = b->n / 3, room = b->n + 1000, at = 0;
    uint8_t *out = mem_alloc(room);
    for (int i = 0; i < 2; i++) {
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = b->p + (i ? half : 0);
        z.avail_in = (uInt)(i ? b->n - half : half);
        z.next_out = out + at;
        z.avail_out = (uInt)(room - at);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        at = room - z.avail_out;
        deflateEnd(&z);
    }
    put(out, at);
    free(out);
}

static void put_zstd(const struct buf *b)
{
    size_t half = b->n / 3, room = b->n + 1000;
    uint8_t *out = mem_alloc(room);
    size_t at = ZSTD_compress(out, room, b->p, half, 1);
    at += ZSTD_compress(out + at, room - at, b->p + half, b->n - half, 1);
    put(out, at);
    free(out);
}

/* Every batch's end is a place to go on from, and the rest is what was not yet read. */
static void resumes(void **state)
{
    (void)state;
    struct buf b = many(3000);
    struct buf want = {0};
    buf_put(&want, b.p, b.n);
    for (size_t i = 0; i < want.n; i++)
        if (want.p[i] == '\n')
            want.p[i] = '|';
    for (int format = 0; format < 3; format++) {
        if (format == 0)
            put(b.p, b.n);
        else if (format == 1)
            put_gzip(&b);
        else
            put_zstd(&b);
        struct result all = run(10000, 100000, 0, NULL);
        assert_int_equal(all.end, SOURCE_SHARD_END);
        assert_int_equal(all.lines.n, want.n);
        assert_memory_equal(all.lines.p, want.p, want.n);
        assert_true(all.batches > 5);
        for (size_t i = 0; i < all.batches; i++) {
            uint64_t at = seq_low(all.lasts[i]);
            struct result r = run(7000, 100000, at, all.notes[i]);
            assert_int_equal(r.end, SOURCE_SHARD_END);
            assert_int_equal(r.lines.n, want.n - at);
            if (r.lines.n)
                assert_memory_equal(r.lines.p, want.p + at, r.lines.n);
            buf_fini(&r.lines);
        }
        struct result bad = run(7000, 100000, seq_low(all.lasts[1]), "0123456789abcdef");
        assert_int_equal(bad.end, SOURCE_FAILED);
        assert_int_equal(bad.error.kind, ERR_INVALID);
        buf_fini(&bad.lines);
        bad = run(7000, 100000, b.n + 100, "0123456789abcdef");
        assert_int_equal(bad.end, SOURCE_FAILED);
        buf_fini(&bad.lines);
        buf_fini(&all.lines);
    }
    buf_fini(&b);
    buf_fini(&want);
}

/* What was read of it counts; but that there may have been more is told. */
static void cut_meanwhile(void **state)
{
    struct err e = {0};
    struct buf b = many(200000);
    struct source_env env = {.inbox = queue_new(2), .budget = budget_new(1 << 20), .clock = &clock_system,
                             .batch_bytes = 1 << 16, .record_bytes_max = 1000};
    size_t notices = 0, batches = 0;
    (void)state;
    put(b.p, b.n);
    struct source *s = source_file_open(path, &env, &e);
    assert_int_equal(s->ops->start(s, "0", 3, 9, SEQ_NONE, NULL, &e), 0);
    for (bool done = false; !done;) {
        struct source_event *ev = queue_pop_wait(env.inbox, 10000);
        assert_non_null(ev);
        if (ev->kind == SOURCE_BATCH) {
            budget_give(env.budget, ev->batch->charged_bytes);
            if (batches++ == 0)
                put(b.p, 100);
        } else if (ev->kind == SOURCE_NOTICE) {
            notices++;
            assert_non_null(strstr(ev->error.text, "became shorter while it was read (100 bytes"));
        } else {
            assert_int_equal(ev->kind, SOURCE_SHARD_END);
            done = true;
        }
        source_event_free(ev);
    }
    assert_int_equal(notices, 1);
    source_close(s);
    queue_free(env.inbox);
    budget_free(env.budget);
    buf_fini(&b);
}

static void long_lines(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "{\"a\":1}\n");
    for (int i = 0; i < 300000; i++)
        buf_putc(&b, 'x');
    buf_puts(&b, "\n{\"b\":2}\n");
    for (int i = 0; i < 1000; i++)
        buf_putc(&b, 'y');
    put(b.p, b.n);
    struct result r = run(100, 1000, 0, NULL);
    assert_int_equal(r.end, SOURCE_SHARD_END);
    assert_int_equal(r.records, 4);
    assert_int_equal(r.defects, 1);
    assert_int_equal(r.lines.n, 8 + 1001 + 8 + 1001);
    struct result again = run(100, 1000, seq_low(r.lasts[1]), r.notes[1]);
    assert_int_equal(again.end, SOURCE_SHARD_END);
    assert_int_equal(again.records, 2);
    buf_fini(&r.lines);
    buf_fini(&again.lines);
    buf_fini(&b);
}

static void damaged(void **state)
{
    (void)state;
    struct buf b = many(3000);
    put_gzip(&b);
    assert_int_equal(truncate(path, 3000), 0);
    struct result r = run(10000, 100000, 0, NULL);
    assert_int_equal(r.end, SOURCE_FAILED);
    buf_fini(&r.lines);
    put_zstd(&b);
    assert_int_equal(truncate(path, 3000), 0);
    r = run(10000, 100000, 0, NULL);
    assert_int_equal(r.end, SOURCE_FAILED);
    buf_fini(&r.lines);
    buf_fini(&b);
    put("", 0);
    r = run(10000, 100000, 0, NULL);
    assert_int_equal(r.end, SOURCE_SHARD_END);
    assert_int_equal(r.records, 0);
    buf_fini(&r.lines);
}

/* First seen when it was empty: any file begins so. What was read of it tells. */
static void grown_from_nothing(void **state)
{
    (void)state;
    struct err e;
    struct source_env env = {.clock = &clock_system};
    put("", 0);
    struct source *s = source_file_open(path, &env, &e);
    char *was = mem_strdup(s->ops->identity(s)), note[24];
    source_close(s);
    put("one\ntwo\n", 8);
    snprintf(note, sizeof note, "%016llx", (unsigned long long)XXH3_64bits("one\n", 4));
    s = source_file_open(path, &env, &e);
    assert_false(source_file_fits(s, was, 8, note));
    assert_false(source_file_fits(s, was, 9, note));
    assert_false(source_file_fits(s, was, UINT64_MAX, note));
    assert_true(source_file_fits(s, was, 0, ""));
    assert_true(source_file_adopt(s, was, 4, note));
    assert_string_equal(s->ops->identity(s), was);
    source_close(s);
    put("\x1f\x8b\x08", 3);
    s = source_file_open(path, &env, &e);
    assert_false(source_file_fits(s, was, 0, ""));
    source_close(s);
    free(was);
}

static void grown(void **state)
{
    (void)state;
    struct err e;
    struct source_env env = {.clock = &clock_system};
    put("one\n", 4);
    struct source *s = source_file_open(path, &env, &e);
    char *was = mem_strdup(s->ops->identity(s));
    source_close(s);
    put("one\ntwo\n", 8);
    s = source_file_open(path, &env, &e);
    assert_string_not_equal(s->ops->identity(s), was);
    assert_true(source_file_adopt(s, was, 4, ""));
    assert_string_equal(s->ops->identity(s), was);
    source_close(s);
    put("two\none\n", 8);
    s = source_file_open(path, &env, &e);
    assert_false(source_file_adopt(s, was, 4, ""));
    source_close(s);
    free(was);
    assert_null(source_file_open("/nonexistent/x", &env, &e));
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_null(source_file_open("/", &env, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain), cmocka_unit_test(resumes),
                                       cmocka_unit_test(cut_meanwhile),
                                       cmocka_unit_test(long_lines), cmocka_unit_test(damaged),
                                       cmocka_unit_test(grown), cmocka_unit_test(grown_from_nothing)};
    int fd = mkstemp(path);
    close(fd);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rc;
}
