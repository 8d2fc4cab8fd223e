/* A Kinesis event of Lambda becomes the body that the shredders read; whatever else comes is refused, and no
 * mutation of an event crashes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lambda/lambda_int.h"
#include "source/source.h"

#define ARN "arn:aws:kinesis:eu-west-1:123456789012:stream/events"
#define RECORD(seq, data)                                                                          \
    "{\"kinesis\":{\"partitionKey\":\"k\",\"sequenceNumber\":\"" seq "\",\"data\":\"" data           \
    "\",\"approximateArrivalTimestamp\":1545084650.987},\"eventSource\":\"aws:kinesis\",\"eventID\":"  \
    "\"shardId-000000000006:" seq "\",\"eventSourceARN\":\"" ARN "\"}"

static const char event[] =
    "{\"Records\":[" RECORD("49590338271490256608559692538361571095921575989136588898", "YQ==") ","
    RECORD("49590338271490256608559692540925702759324208523137515618", "Yg==") "]}\0" /* and 64 bytes to be read past its end */
    "                                                                ";

/* What a shredder would see of the records after `after`: "a@<arrival>,b@..." */
static void read_back(const struct lambda_batch *b, struct seq after, struct buf *out)
{
    struct source_batch batch = {.format = BATCH_GET_RECORDS};
    struct source_cursor *c = source_cursor_new();
    struct record r;
    struct buf body = {0};
    lambda_batch_body(b, after, &body);
    batch.data = body.p;
    batch.n_data = body.n;
    source_cursor_start(c, &batch);
    while (source_cursor_next(c, &r))
        buf_printf(out, "%.*s@%lld,", (int)r.n, (const char *)r.payload, (long long)r.arrived_us);
    source_cursor_free(c);
    buf_fini(&body);
}

static void an_event(void **state)
{
    struct lambda_batch b;
    struct err e = {0};
    struct buf out = {0};
    (void)state;
    assert_int_equal(lambda_batch_parse(&b, event, strlen(event), &e), 0);
    assert_int_equal(b.n, 2);
    assert_string_equal(b.shard, "shardId-000000000006");
    assert_string_equal(b.stream_arn, ARN);
    read_back(&b, SEQ_NONE, &out);
    assert_string_equal(buf_cstr(&out), "a@1545084650987000,b@1545084650987000,");
    out.n = 0;
    read_back(&b, b.records[0].seq, &out); /* what is committed already is left out */
    assert_string_equal(buf_cstr(&out), "b@1545084650987000,");
    out.n = 0;
    read_back(&b, b.records[1].seq, &out);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
    lambda_batch_fini(&b);
}

static void consumers_and_odd_data(void **state)
{
    static const char odd[] =
        "{\"Records\":[{\"kinesis\":{\"sequenceNumber\":\"1\",\"data\":\"\\\"\\\\\"},\"eventSource\":"
        "\"aws:kinesis\",\"eventID\":\"s:1\",\"eventSourceARN\":\"" ARN "/consumer/c:1\"},"
        "{\"kinesis\":{\"sequenceNumber\":\"2\"},\"eventSource\":\"aws:kinesis\",\"eventID\":\"s:2\","
        "\"eventSourceARN\":\"" ARN "/consumer/c:1\"}]}\0"
        "                                                                ";
    struct lambda_batch b;
    struct err e = {0};
    struct buf out = {0};
    (void)state;
    assert_int_equal(lambda_batch_parse(&b, odd, strlen(odd), &e), 0);
    assert_string_equal(b.stream_arn, ARN); /* not the consumer's */
    read_back(&b, SEQ_NONE, &out);          /* no base64, and none at all: records all the same */
    assert_string_equal(buf_cstr(&out), "\"\\@0,@0,");
    buf_fini(&out);
    lambda_batch_fini(&b);
}

/* Bytes changed, taken out and doubled, a hundred thousand times. */
static void mutations(void **state)
{
    uint64_t random = 88172645463325252u;
    char text[2 * sizeof event + 64];
    int good = 0;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        size_t n = strlen(event);
        memcpy(text, event, n);
        for (int k = 0; k <= i % 3; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            size_t at = random % n, len = 1 + (random >> 20) % 8;
            len = len > n - at ? n - at : len;
            if ((random >> 40) % 3 == 0) {
                text[at] = (char)(random >> 32);
            } else if ((random >> 40) % 3 == 1) {
                memmove(text + at, text + at + len, n - at - len);
                n -= len;
            } else {
                memmove(text + at + len, text + at, n - at);
                n += len;
            }
        }
        struct lambda_batch b;
        struct err e = {0};
        struct buf out = {0};
        if (lambda_batch_parse(&b, text, n, &e)) {
            assert_int_equal(e.kind, ERR_INVALID);
            assert_true(e.text[0] != 0);
            continue;
        }
        good++;
        read_back(&b, SEQ_NONE, &out);
        buf_fini(&out);
        lambda_batch_fini(&b);
    }
    assert_true(good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_event), cmocka_unit_test(consumers_and_odd_data),
                                       cmocka_unit_test(mutations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
