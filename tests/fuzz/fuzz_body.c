/* A GetRecords answer, through the cursor: JSON, base64 and aggregates. Taken apart as it
 * comes, in pieces, its records are the same. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "../pieces.h"
#include "fuzz.h"
#include "source/body.h"
#include "source/kpl.h"
#include "source/source.h"

static void records_of(struct source_batch *b, struct buf *out)
{
    struct source_cursor *c = source_cursor_new();
    struct record r;
    source_cursor_start(c, b);
    while (source_cursor_next(c, &r)) {
        volatile uint8_t pad = r.payload[r.n + SOURCE_PAD - 1];
        (void)pad;
        buf_printf(out, "%s %d ", r.defect ? r.defect : "", r.sub);
        buf_put(out, r.seq_text, r.seq_text ? r.seq_text_n : 0);
        buf_put(out, r.payload, r.n);
    }
    source_cursor_free(c);
}

/* In pieces of so many bytes. */
static void in_pieces(const uint8_t *p, size_t n, size_t some, const struct buf *by_text)
{
    struct pieces in = {.room = n};
    struct buf by_records = {0};
    struct body body;
    in.all.out = mem_alloc(n + BODY_PAD);
    for (size_t at = 0; at < n; at += some) {
        size_t now = n - at < some ? n - at : some;
        put_alone(&in, p + at, now);
    }
    if (pieces_end(&in, &body) && in.all.n) {
        struct source_batch b = {.format = BATCH_GET_RECORDS, .parsed = in.all.each, .records = (uint32_t)in.all.n};
        records_of(&b, &by_records);
        invariant(by_text->n == by_records.n && memcmp(by_text->p, by_records.p, by_text->n) == 0);
    }
    free(in.all.each);
    free(in.all.out);
    pieces_fini(&in);
    buf_fini(&by_records);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    uint8_t *padded = mem_zalloc(n + SOURCE_PAD);
    struct source_batch b = {.format = BATCH_GET_RECORDS, .data = padded, .n_data = n};
    struct buf by_text = {0};
    if (n)
        memcpy(padded, p, n);
    records_of(&b, &by_text);
    in_pieces(padded, n, n + 1, &by_text);
    in_pieces(padded, n, 1 + n / 3, &by_text);
    in_pieces(padded, n, 1 + n % 5, &by_text);
    buf_fini(&by_text);
    free(padded);
    return 0;
}

static void add_aggregate(fuzz_add_fn *add)
{
    struct kpl_writer w = {0};
    struct buf packed = {0}, text = {0};
    unsigned char base64[512];
    kpl_writer_add(&w, "one", (const uint8_t *)"{\"a\":1}", 7);
    kpl_writer_add(&w, "two", (const uint8_t *)"{}", 2);
    kpl_writer_finish(&w, &packed);
    invariant(packed.n < 256);
    EVP_EncodeBlock(base64, packed.p, (int)packed.n);
    buf_printf(&text, "{\"Records\":[{\"Data\":\"%s\",\"SequenceNumber\":\"9\"}]}", (const char *)base64);
    add(text.p, text.n);
    kpl_writer_fini(&w);
    buf_fini(&packed);
    buf_fini(&text);
}

void fuzz_seeds(fuzz_add_fn *add)
{
    static const char records[] =
        "{\"MillisBehindLatest\":0,\"NextShardIterator\":\"AAAA\\n/+\",\"Records\":[{\"ApproximateArrivalTimestamp\":1.7E9,"
        "\"Data\":\"eyJldmVudF91dWlkIjoxfQ==\",\"PartitionKey\":\"k\",\"SequenceNumber\":\"49590338271490256608559692538361571095921\"},"
        "{\"SequenceNumber\":\"7\",\"Data\":\"e30=\",\"PartitionKey\":\"\\u00e9\"}]}";
    static const char children[] =
        "{\"ChildShards\":[{\"ShardId\":\"x]\\\"}\",\"ParentShards\":[\"a\"]}],\"Records\":[],\"NextShardIterator\":null}";
    static const char escaped[] =
        "{\"Records\":[{\"Data\":\"e\\u0033\\u0030=\",\"SequenceNumber\":\"9\",\"x\":[1,{\"y\":null}]} , {}]}";
    add(records, sizeof records - 1);
    add(children, sizeof children - 1);
    add(escaped, sizeof escaped - 1);
    add_aggregate(add);
}
