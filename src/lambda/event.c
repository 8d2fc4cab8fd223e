/* A Kinesis event as Lambda sends it, to the body of a GetRecords answer, which the shredders read:
 *
 *   {"Records":[{"kinesis":{"partitionKey":"k","sequenceNumber":"4959...","data":"<base64>",
 *       "approximateArrivalTimestamp":1545084650.987},"eventSource":"aws:kinesis",
 *     "eventID":"shardId-000000000006:4959...","eventSourceARN":"arn:aws:kinesis:..."}]} */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lambda/lambda_int.h"
#include "source/source.h"

#define RECORDS_MAX 10000 /* of one invocation: Lambda's own limit */

void lambda_batch_fini(struct lambda_batch *b)
{
    free(b->stream_arn);
    free(b->shard);
    free(b->records);
    buf_fini(&b->body);
    *b = (struct lambda_batch){0};
}

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

/* A JSON string; data and numbers hold nothing that needs an escape, unless somebody made them up. */
static void put_string(struct buf *out, const char *s)
{
    json_t *j = strpbrk(s, "\"\\\n\r\t") ? json_string(s) : NULL;
    char *escaped = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    if (escaped) {
        buf_puts(out, escaped);
    } else {
        buf_putc(out, '"');
        buf_puts(out, s);
        buf_putc(out, '"');
    }
    free(escaped);
    json_decref(j);
}

/* The stream of a consumer with fan-out of its own is the part before "/consumer/". */
static char *stream_of(const char *arn)
{
    const char *consumer = strstr(arn, "/consumer/");
    return consumer ? mem_strndup(arn, (size_t)(consumer - arn)) : mem_strdup(arn);
}

/* All records of an invocation are of one shard of one stream. */
static int check_place(struct lambda_batch *b, const json_t *r, struct err *e)
{
    const char *id = text(r, "eventID"), *colon = strchr(id, ':');
    char *arn = stream_of(text(r, "eventSourceARN"));
    char *shard = mem_strndup(id, colon ? (size_t)(colon - id) : 0);
    int rc = 0;
    if (strcmp(text(r, "eventSource"), "aws:kinesis") != 0 || !*shard || !strstr(arn, ":stream/"))
        rc = err_set(e, ERR_INVALID,
                     "the event is not one of a Kinesis stream: inlet is for event source mappings "
                     "of Kinesis");
    else if (b->shard && (strcmp(b->shard, shard) != 0 || strcmp(b->stream_arn, arn) != 0))
        rc = err_set(e, ERR_INVALID, "the event has records of several shards");
    if (!rc && !b->shard) {
        b->shard = shard;
        b->stream_arn = arn;
        return 0;
    }
    free(shard);
    free(arn);
    return rc;
}

static int add_record(struct lambda_batch *b, const json_t *r, struct err *e)
{
    const json_t *k = json_object_get(r, "kinesis");
    const char *seq = text(k, "sequenceNumber");
    double arrived = json_number_value(json_object_get(k, "approximateArrivalTimestamp"));
    struct lambda_record *record = &b->records[b->n];
    if (check_place(b, r, e))
        return -1;
    if (seq_parse(&record->seq, seq, strlen(seq), e))
        return err_wrap(e, "sequenceNumber");
    if (b->n && seq_cmp(record->seq, b->records[b->n - 1].seq) <= 0)
        return err_set(e, ERR_INVALID, "the event's records are not in order of sequence");
    if (!(arrived >= 0 && arrived < 1e11))
        arrived = 0;
    record->offset = b->body.n;
    buf_printf(&b->body, "{\"SequenceNumber\":\"%s\",\"ApproximateArrivalTimestamp\":%.6f,\"Data\":", seq,
               arrived);
    put_string(&b->body, text(k, "data"));
    buf_putc(&b->body, '}');
    int64_t us = (int64_t)(arrived * 1e6);
    b->arrived_us = us > b->arrived_us ? us : b->arrived_us;
    b->n++;
    return 0;
}

int lambda_batch_parse(struct lambda_batch *b, const char *p, size_t n, struct err *e)
{
    json_error_t why;
    *b = (struct lambda_batch){0};
    json_t *event = json_loadb(p, n, JSON_REJECT_DUPLICATES, &why);
    const json_t *records = json_object_get(event, "Records");
    size_t count = json_array_size(records);
    int rc = 0;
    if (!event)
        rc = err_set(e, ERR_INVALID, "the event is no JSON: %s", why.text);
    else if (!json_is_array(records))
        rc = err_set(e, ERR_INVALID,
                     "the event has no Records: inlet is for event source mappings of Kinesis");
    else if (count > RECORDS_MAX)
        rc = err_set(e, ERR_INVALID, "the event has %zu records, more than %d", count, RECORDS_MAX);
    if (!rc) {
        b->records = mem_array(count + 1, sizeof *b->records);
        buf_reserve(&b->body, n);
    }
    for (size_t i = 0; !rc && i < count; i++)
        rc = add_record(b, json_array_get(records, i), e);
    json_decref(event);
    if (rc)
        lambda_batch_fini(b);
    return rc;
}

void lambda_batch_body(const struct lambda_batch *b, struct seq after, struct buf *out)
{
    size_t end = b->body.n;
    buf_puts(out, "{\"MillisBehindLatest\":0,\"Records\":[");
    for (size_t i = 0, first = 1; i < b->n; i++) {
        size_t stop = i + 1 < b->n ? b->records[i + 1].offset : end;
        if (seq_le(b->records[i].seq, after))
            continue;
        buf_puts(out, first ? "" : ",");
        buf_put(out, b->body.p + b->records[i].offset, stop - b->records[i].offset);
        first = 0;
    }
    buf_puts(out, "]}");
    memset(buf_reserve(out, SOURCE_PAD), 0, SOURCE_PAD);
}
