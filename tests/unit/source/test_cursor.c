/* cursor, body, kpl: GetRecords answers taken apart; damaged ones never read out of bounds (run under
 * the sanitizers by test-asan) and never loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../pieces.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "source/body.h"
#include "source/kpl.h"
#include "source/source.h"

static void put_data(struct buf *out, const void *p, size_t n, bool escape)
{
    char *text = mem_alloc(base64_encoded(n) + 1);
    size_t len = base64_encode(text, p, n);
    for (size_t i = 0; i < len; i++) {
        if (escape && text[i] == '/')
            buf_putc(out, '\\');
        buf_putc(out, (uint8_t)text[i]);
    }
    free(text);
}

/* "seq:payload;" of each record, "!" before a defective one. */
static char *records_of(struct source_batch *b)
{
    struct source_cursor *c = source_cursor_new();
    struct record r;
    struct buf out = {0};
    source_cursor_start(c, b);
    while (source_cursor_next(c, &r)) {
        volatile uint8_t pad = r.payload[r.n + SOURCE_PAD - 1];
        (void)pad;
        buf_printf(&out, "%s%.*s:%.*s;", r.defect ? "!" : "", (int)r.seq_text_n,
                   r.seq_text ? r.seq_text : "", (int)r.n, (const char *)r.payload);
        assert_true(out.n < 100000);
    }
    source_cursor_free(c);
    return buf_take(&out);
}

/* By its records, taken apart as it comes, in pieces of any length: where it is whole, the same must come of it. */
static bool same_in_pieces(const char *text, size_t n, size_t most, const char *want)
{
    struct pieces in = {.room = n};
    struct body body, whole;
    in.all.out = mem_alloc(n + BODY_PAD);
    for (size_t at = 0, some; at < n; at += some) {
        some = 1 + (size_t)rand() % most;
        some = some < n - at ? some : n - at;
        put_alone(&in, text + at, some);
    }
    bool ok = pieces_end(&in, &body);
    if (in.all.n && ok) {
        struct source_batch b = {.format = BATCH_GET_RECORDS, .arrived_us = 5, .parsed = in.all.each, .records = (uint32_t)in.all.n};
        char *same = records_of(&b);
        assert_string_equal(same, want);
        free(same);
    }
    if (ok) {
        assert_true(body_open(&whole, text, n));
        assert_int_equal(body.millis_behind, whole.millis_behind);
        assert_int_equal(body.next_iterator.n, whole.next_iterator.n);
        assert_memory_equal(body.next_iterator.p ? body.next_iterator.p : "", whole.next_iterator.p ? whole.next_iterator.p : "", body.next_iterator.n);
        assert_int_equal(body.child_shards.n, whole.child_shards.n);
    }
    free(in.all.each);
    free(in.all.out);
    pieces_fini(&in);
    return ok;
}

static char *take_apart(const char *text, size_t n)
{
    struct source_batch b = {.format = BATCH_GET_RECORDS, .n_data = n, .arrived_us = 5};
    b.data = mem_zalloc(n + SOURCE_PAD);
    memcpy(b.data, text, n);
    char *got = records_of(&b);
    same_in_pieces(text, n, n + 1, got);
    same_in_pieces(text, n, 200, got);
    same_in_pieces(text, n, 7, got);
    free(b.data);
    return got;
}

static struct buf sample(void)
{
    struct buf b = {0}, aggregate = {0};
    struct kpl_writer w = {0};
    kpl_writer_add(&w, "k1", (const uint8_t *)"one", 3);
    kpl_writer_add(&w, "k1", (const uint8_t *)"", 0);
    kpl_writer_add(&w, "k2", (const uint8_t *)"three", 5);
    kpl_writer_finish(&w, &aggregate);
    kpl_writer_fini(&w);
    buf_puts(&b, " {\"ChildShards\" : [{\"ShardId\":\"x]\\\"}\"}], \"MillisBehindLatest\":1500,"
                 "\"NextShardIterator\":\"AA\\nBB\",\"Records\":[ {\"Data\":\"");
    put_data(&b, "\xff\xff\xff?plain", 9, true);
    buf_puts(&b, "\",\"PartitionKey\":\"p,}\",\"SequenceNumber\":\"100\",\"Extra\":{\"a\":[1,{}]},"
                 "\"ApproximateArrivalTimestamp\":1.795489311452E9},\n{\"SequenceNumber\":\"101\","
                 "\"ApproximateArrivalTimestamp\":1795489311.25,\"Data\":\"");
    put_data(&b, aggregate.p, aggregate.n, false);
    buf_puts(&b, "\"},{\"SequenceNumber\":\"102\",\"Data\":\"%%%\"},{\"SequenceNumber\":\"103\","
                 "\"Data\":\"\"}]}");
    buf_fini(&aggregate);
    return b;
}

static void whole(void **state)
{
    (void)state;
    struct buf b = sample();
    struct body body;
    struct body_record rec;
    size_t at = 0;
    assert_true(body_open(&body, (const char *)b.p, b.n));
    assert_int_equal(body.millis_behind, 1500);
    assert_int_equal(body.next_iterator.n, 6);
    assert_int_equal(body.child_shards.p[0], '[');
    assert_int_equal(body_next(&body, &at, &rec), 1);
    assert_int_equal(rec.arrived_us, 1795489311452000);
    assert_int_equal(body_next(&body, &at, &rec), 1);
    assert_int_equal(rec.arrived_us, 1795489311250000);
    char *got = take_apart((const char *)b.p, b.n);
    assert_true(same_in_pieces((const char *)b.p, b.n, 50, got));
    static const char again[] = "{\"Records\":[{\"SequenceNumber\":\"1\",\"Data\":\"\"}],\"Records\":[]}";
    assert_false(same_in_pieces(again, sizeof again - 1, 50, "")); /* which of them? */
    assert_string_equal(got, "100:\xff\xff\xff?plain;101/0:one;101/1:;101/2:three;!102:%%%;103:;");
    free(got);
    buf_fini(&b);
}

static void damaged(void **state)
{
    (void)state;
    struct buf b = sample();
    for (size_t n = 0; n < b.n; n++) {
        char *got = take_apart((const char *)b.p, n);
        assert_string_equal(got, "");
        free(got);
    }
    srand(11);
    char *copy = mem_alloc(b.n);
    for (int i = 0; i < 20000; i++) {
        memcpy(copy, b.p, b.n);
        for (int k = rand() % 4; k >= 0; k--)
            copy[(size_t)rand() % b.n] = "\"\\{}[],:0u \xff"[rand() % 12];
        free(take_apart(copy, b.n));
    }
    free(copy);
    buf_fini(&b);
}

/* An aggregate with one byte changed is a plain record; what passes the digest is bounds-checked. */
static void bad_aggregates(void **state)
{
    (void)state;
    struct buf a = {0};
    struct kpl_writer w = {0};
    struct kpl k;
    for (int i = 0; i < 300; i++)
        kpl_writer_add(&w, i % 3 ? "same" : "other", (const uint8_t *)"0123456789", (size_t)(i % 11));
    size_t size = kpl_writer_size(&w);
    kpl_writer_finish(&w, &a);
    kpl_writer_fini(&w);
    assert_int_equal(size, a.n);
    assert_true(kpl_open(&k, a.p, a.n));
    const uint8_t *p;
    size_t n;
    int32_t sub, count = 0;
    for (; kpl_next(&k, &p, &n, &sub); count++) {
        assert_int_equal(sub, count);
        assert_int_equal(n, count % 11);
    }
    assert_int_equal(count, 300);
    for (size_t i = 0; i < a.n; i++) {
        a.p[i] ^= 0x41;
        assert_false(kpl_open(&k, a.p, a.n));
        a.p[i] ^= 0x41;
        assert_false(kpl_open(&k, a.p, i));
    }
    buf_fini(&a);
}

/* A record of a random size, or an aggregate of some. */
static void put_random(struct buf *body, int number)
{
    static uint8_t bytes[700000];
    struct buf data = {0};
    struct kpl_writer w = {0};
    size_t most = rand() % 20 ? 2000 : rand() % 3 ? 200000 : sizeof bytes, n = (size_t)rand() % most;
    memset(bytes, 'a' + number % 26, n);
    if (rand() % 6 == 0) {
        for (int parts = rand() % 400; parts > 0; parts--)
            kpl_writer_add(&w, "k", bytes, n % 900 + (size_t)parts % 7);
        kpl_writer_finish(&w, &data);
    } else {
        buf_put(&data, bytes, n);
    }
    buf_printf(body, "%s{\"SequenceNumber\":\"%d\",\"Data\":\"", number ? "," : "", 1000 + number);
    put_data(body, data.p, data.n, false);
    buf_puts(body, rand() % 30 ? "\"}" : "%\"}");
    kpl_writer_fini(&w);
    buf_fini(&data);
}

static void note_record(struct buf *out, const struct record *r)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < r->n; i++)
        sum = sum * 31 + r->payload[i];
    volatile uint8_t pad = r->payload[r->n + SOURCE_PAD - 1];
    (void)pad;
    buf_printf(out, "%s%.*s:%d:%llu:%zu:%u;", r->defect ? "!" : "", (int)r->seq_text_n, r->seq_text, r->sub,
               (unsigned long long)seq_low(r->seq), r->n, sum);
}

/* Records at once are the records one by one, each still there when the last of its window is: larger than a window,
 * aggregates that begin in one and end in another. */
static void records_at_once(void **state)
{
    (void)state;
    static struct record at_once[1000];
    struct source_cursor *c = source_cursor_new();
    struct record r;
    struct buf body = {0}, one = {0}, many = {0};
    size_t windows = 0;
    srand(7);
    for (int round = 0; round < 60; round++) {
        body.n = one.n = many.n = 0;
        buf_puts(&body, "{\"Records\":[");
        for (int i = 0, n = rand() % 120; i < n; i++)
            put_random(&body, i);
        buf_puts(&body, "]}");
        struct source_batch b = {.format = BATCH_GET_RECORDS, .data = body.p, .n_data = body.n, .arrived_us = 5};
        source_cursor_start(c, &b);
        while (source_cursor_next(c, &r))
            note_record(&one, &r);
        uint32_t most = round % 3 ? 1000 : 1 + (uint32_t)rand() % 50;
        source_cursor_start(c, &b);
        for (uint32_t n; (n = source_cursor_records(c, at_once, most)); windows++)
            for (uint32_t i = 0; i < n; i++)
                note_record(&many, &at_once[i]);
        assert_string_equal(buf_cstr(&one), buf_cstr(&many));
    }
    assert_true(windows > 500);
    source_cursor_free(c);
    buf_fini(&body);
    buf_fini(&one);
    buf_fini(&many);
}

static void note_line(struct buf *out, const uint8_t *p, size_t n, uint64_t end, const char *defect)
{
    buf_printf(out, "%s%p %zu %llu;", defect ? "!" : "", (const void *)p, n, (unsigned long long)end);
}

/* Lines at once are the lines one by one: blank ones, carriage returns, a last one that goes on elsewhere. */
static void lines_at_once(void **state)
{
    (void)state;
    static const char *const pieces[] = {"{\"a\":1}", "{}", "", " ", "\t ", "x", "\r", " {} "};
    struct source_cursor *c = source_cursor_new();
    struct source_line lines[SOURCE_LINES];
    struct record r;
    struct buf text = {0}, one = {0}, many = {0};
    size_t together = 0;
    srand(5);
    for (int round = 0; round < 3000; round++) {
        text.n = one.n = many.n = 0;
        for (int k = rand() % (round % 10 ? 20 : 900); k > 0; k--)
            buf_printf(&text, "%s%s", pieces[rand() % 8], rand() % 4 ? "\n" : rand() % 2 ? "\r\n" : "");
        buf_reserve(&text, SOURCE_PAD);
        struct source_batch b = {.format = BATCH_NDJSON, .data = text.p, .n_data = text.n, .base_offset = 7};
        b.joined = rand() % 8 == 0;
        b.last = seq_of(7 + text.n + (uint64_t)(rand() % 2));
        source_cursor_start(c, &b);
        while (source_cursor_next(c, &r))
            note_line(&one, r.payload, r.n, seq_low(r.seq), r.defect);
        source_cursor_start(c, &b);
        for (uint32_t n;;) {
            while ((n = source_cursor_lines(c, lines)))
                for (uint32_t i = 0; i < n; i++, together++)
                    note_line(&many, lines[i].payload, lines[i].n, lines[i].end, NULL);
            if (!source_cursor_next(c, &r))
                break;
            note_line(&many, r.payload, r.n, seq_low(r.seq), r.defect);
        }
        assert_string_equal(buf_cstr(&one), buf_cstr(&many));
    }
    assert_true(together > 10000);
    source_cursor_free(c);
    buf_fini(&text);
    buf_fini(&one);
    buf_fini(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(damaged),
                                       cmocka_unit_test(bad_aggregates), cmocka_unit_test(lines_at_once), cmocka_unit_test(records_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
