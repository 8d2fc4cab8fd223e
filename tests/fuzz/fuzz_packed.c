/* A GetRecords answer in CBOR: however it is cut into pieces, the same records come of it; and any item as JSON. */
#include <stdlib.h>

#include "../pieces.h"
#include "fuzz.h"
#include "source/source.h"

static void put_str(struct buf *out, struct str s)
{
    buf_printf(out, "%zu:", s.n);
    buf_put(out, s.p, s.n);
}

static void in_pieces(const uint8_t *p, size_t n, size_t some, struct buf *out)
{
    struct pieces in = {.room = n};
    struct body body;
    in.all.out = mem_alloc(n + BODY_PAD);
    for (size_t at = 0; at < n; at += some) {
        size_t now = n - at < some ? n - at : some;
        put_alone(&in, p + at, now);
    }
    if (pieces_end(&in, &body)) {
        invariant(in.all.n <= n);
        buf_printf(out, "%lld ", (long long)body.millis_behind);
        put_str(out, body.next_iterator);
        put_str(out, body.child_shards);
        for (size_t i = 0; i < in.all.n; i++) {
            buf_printf(out, "%d %lld ", in.all.each[i].decoded, (long long)in.all.each[i].arrived_us);
            put_str(out, in.all.each[i].data);
            put_str(out, in.all.each[i].sequence);
        }
    }
    free(in.all.each);
    free(in.all.out);
    pieces_fini(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct buf whole = {0}, pieces = {0};
    json_decref(packed_json(p, n));
    if (n && packed_begins(*p)) {
        in_pieces(p, n, n, &whole);
        in_pieces(p, n, 1 + n % 7, &pieces);
        invariant(whole.n == pieces.n && (!whole.n || memcmp(whole.p, pieces.p, whole.n) == 0));
    }
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}

void fuzz_seeds(fuzz_add_fn *add)
{
    static const char open[] = "\xbf\x67Records\x9f\xbf\x6eSequenceNumber\x62" "77\x78\x1b" "ApproximateArrivalTimestamp\xc1\x1b\x00\x00\x01\xa2\x0b\x80\xaa\xdc"
                               "\x64" "Data\x42{}\x6cPartitionKey\x61k\xff\xff\x71NextShardIterator\x64" "AAAA\x72MillisBehindLatest\x07\xff";
    static const char stated[] = "\xa3\x67Records\x81\xa2\x6eSequenceNumber\x61" "9\x64" "Data\x64" "e30K\x71NextShardIterator\xf6\x6b"
                                 "ChildShards\x81\xa1\x67ShardId\x69shardId-1";
    static const char fault[] = "\xa2\x66__type\x78\x18" "ExpiredIteratorException\x67message\x7f\x61" "a\x61" "b\xff";
    add(open, sizeof open - 1);
    add(stated, sizeof stated - 1);
    add(fault, sizeof fault - 1);
}
