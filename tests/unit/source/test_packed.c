/* A GetRecords answer in CBOR, in pieces of any length: the same comes of it as of the same answer in JSON. What is cut
 * short, or not as we know it, is never taken for whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../../pieces.h"
#include "base/mem.h"
#include "packed.h"
#include "source/packed.h"
#include "source/source.h"

/* What is known of it, one line each; NULL where it is not whole. */
static char *read_pieces(const void *answer, size_t n, size_t most)
{
    const char *p = answer;
    struct pieces in = {.room = n};
    struct body body;
    struct buf out = {0};
    in.all.out = mem_alloc(n + BODY_PAD);
    for (size_t at = 0, some; at < n; at += some) {
        some = 1 + (size_t)rand() % most;
        some = some < n - at ? some : n - at;
        put_alone(&in, p + at, some);
    }
    bool ok = pieces_end(&in, &body);
    if (ok) {
        json_t *children = !body.child_shards.n ? json_null()
                           : body.packed        ? packed_json(body.child_shards.p, body.child_shards.n)
                                                : json_loadb(body.child_shards.p, body.child_shards.n, 0, NULL);
        char *text = json_dumps(children, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
        buf_printf(&out, "%lld %.*s %s\n", (long long)body.millis_behind, (int)body.next_iterator.n,
                   body.next_iterator.n ? body.next_iterator.p : "", text);
        free(text);
        json_decref(children);
        struct source_batch b = {.format = BATCH_GET_RECORDS, .arrived_us = 5, .parsed = in.all.each, .records = (uint32_t)in.all.n};
        struct source_cursor *c = source_cursor_new();
        struct record r;
        source_cursor_start(c, &b);
        while (source_cursor_next(c, &r)) {
            volatile uint8_t pad = r.payload[r.n + SOURCE_PAD - 1];
            (void)pad;
            buf_printf(&out, "%s%.*s %lld %.*s\n", r.defect ? "!" : "", (int)r.seq_text_n, r.seq_text ? r.seq_text : "",
                       (long long)r.arrived_us, (int)r.n, (const char *)r.payload);
        }
        source_cursor_free(c);
    }
    free(in.all.each);
    free(in.all.out);
    pieces_fini(&in);
    return ok ? buf_take(&out) : NULL;
}

static struct buf pack(const char *json, bool open)
{
    struct buf out = {0};
    json_t *j = json_loads(json, 0, NULL);
    assert_non_null(j);
    packed_put(&out, j, NULL, open);
    json_decref(j);
    return out;
}

static const char *const answers[] = {
    "{\"Records\":[],\"NextShardIterator\":\"AAAA\",\"MillisBehindLatest\":0}",
    "{\"MillisBehindLatest\":86400000,\"NextShardIterator\":\"AA+/=\",\"Records\":["
    "{\"ApproximateArrivalTimestamp\":1795489311.452,\"Data\":\"eyJldmVudF91dWlkIjoxfQ==\",\"PartitionKey\":\"k\","
    "\"SequenceNumber\":\"49590338271490256608559692538361571095921575989136588898\"},"
    "{\"SequenceNumber\":\"8\",\"Extra\":[1,{\"a\":null},\"x\"],\"Data\":\"\",\"PartitionKey\":\"\"},"
    "{\"SequenceNumber\":\"9\",\"Data\":\"e30K\",\"EncryptionType\":\"KMS\",\"PartitionKey\":\"p\"},"
    "{\"Data\":\"e30K\"}]}",
    "{\"Records\":[{\"SequenceNumber\":\"7\",\"Data\":\"e30K\"}],\"NextShardIterator\":null,\"More\":{\"deep\":[[]]},\"ChildShards\":["
    "{\"ShardId\":\"shardId-1\",\"ParentShards\":[\"shardId-0\"],\"HashKeyRange\":{\"StartingHashKey\":\"0\"}}]}",
};

static void as_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        char *want = read_pieces(answers[i], strlen(answers[i]), 10000);
        assert_non_null(want);
        for (int open = 0; open < 2; open++) {
            struct buf b = pack(answers[i], open);
            for (int k = 0; k < 30; k++) {
                char *got = read_pieces(b.p, b.n, k < 10 ? 10000 : k < 20 ? 40 : 3);
                assert_non_null(got);
                assert_string_equal(got, want);
                free(got);
            }
            for (size_t n = 0; n < b.n; n++)
                assert_null(read_pieces(b.p, n, 30));
            buf_putc(&b, 0xf6);
            assert_null(read_pieces(b.p, b.n, 30)); /* more than an answer */
            buf_fini(&b);
        }
        free(want);
    }
}

#define HEAD "\xa2\x67Records\x81"
#define BEHIND "\x72MillisBehindLatest\x07"

static void one(const char *want, const char *record, size_t n)
{
    struct buf b = {0};
    buf_put(&b, HEAD, sizeof HEAD - 1);
    buf_put(&b, record, n);
    buf_puts(&b, BEHIND);
    char *got = read_pieces(b.p, b.n, 20);
    if (want) {
        assert_non_null(got);
        assert_string_equal(got, want);
    } else {
        assert_null(got);
    }
    free(got);
    buf_fini(&b);
}
#define ONE(want, record) one(want, record, sizeof(record) - 1)
#define NINE "\x6eSequenceNumber\x61" "9"
#define TIME "\x78\x1b" "ApproximateArrivalTimestamp"

/* Others than AWS have times in seconds, and data as base64. */
static void others(void **state)
{
    (void)state;
    ONE("7  null\n9 5 {}\n\n", "\xa2" NINE "\x64" "Data\x64" "e30K");
    ONE("7  null\n!9 5 %%\n", "\xa2" NINE "\x64" "Data\x62%%");
    ONE("7  null\n9 1795489311452000 x\n", "\xa3" NINE "\x64" "Data\x41x" TIME "\xc1\x1b\x00\x00\x01\xa2\x0b\x80\xaa\xdc");
    ONE("7  null\n9 1795489311452000 x\n", "\xa3" NINE "\x64" "Data\x41x" TIME "\x1b\x00\x00\x01\xa2\x0b\x80\xaa\xdc");
    ONE("7  null\n9 1363896240500000 x\n", "\xa3" NINE "\x64" "Data\x41x" TIME "\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00");
    ONE("7  null\n9 1363896240000000 x\n", "\xa3" NINE "\x64" "Data\x41x" TIME "\xc1\x1a\x51\x4b\x67\xb0");
    ONE("7  null\n9 5 x\n", "\xa3" NINE "\x64" "Data\x41x" TIME "\xf6");
}

static void unknown(void **state)
{
    (void)state;
    ONE(NULL, "\xa2" NINE "\x64" "Data\x5f\x41x\x41y\xff"); /* in chunks: JSON is asked for */
    ONE(NULL, "\xa2" NINE "\x64" "Data\x07");
    ONE(NULL, "\xa2" NINE TIME "\x61" "9");
    ONE(NULL, "\x61x");
    static const char twice[] = "\xa2\x67Records\x80\x67Records\x80", none[] = "\xa1\x72MillisBehindLatest\x07";
    assert_null(read_pieces(twice, sizeof twice - 1, 20));
    assert_null(read_pieces(none, sizeof none - 1, 20));
}

static void asks(void **state)
{
    (void)state;
    struct buf b = {0};
    char iterator[301];
    memset(iterator, 'i', 300);
    iterator[300] = '\0';
    packed_request(&b, 10000, str_of(iterator));
    json_t *j = packed_json(b.p, b.n);
    assert_int_equal(json_object_size(j), 2);
    assert_true(json_number_value(json_object_get(j, "Limit")) == 10000);
    assert_string_equal(json_string_value(json_object_get(j, "ShardIterator")), iterator);
    json_decref(j);
    for (size_t n = 0; n < b.n; n++)
        assert_null(packed_json(b.p, n));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_json), cmocka_unit_test(others), cmocka_unit_test(unknown), cmocka_unit_test(asks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
