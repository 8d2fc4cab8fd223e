/* A Kinesis event as Lambda sends it, to the body of a GetRecords answer, which the shredders read:
 *
 *   {"Records":[{"kinesis":{"partitionKey":"k","sequenceNumber":"4959...","data":"<base64>",
 *       "approximateArrivalTimestamp":1545084650.987},"eventSource":"aws:kinesis",
 *     "eventID":"shardId-000000000006:4959...","eventSourceARN":"arn:aws:kinesis:..."}]}
 *
 * An event is megabytes of base64: it is parsed to a tape, and the data copied as it stands, escapes and all. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json.h"
#include "lambda/lambda_int.h"
#include "source/source.h"

#define RECORDS_MAX 10000 /* of one invocation: Lambda's own limit */
#define SHORT_MAX 2048    /* of texts other than data */

void lambda_batch_fini(struct lambda_batch *b)
{
    free(b->stream_arn);
    free(b->shard);
    free(b->records);
    buf_fini(&b->body);
    *b = (struct lambda_batch){0};
}

struct event {
    struct json_tape tape;
    const char *p;
};

/* The value of a member (the last of that key), as its index; 0: there is none. The index 0 is the event. */
static uint32_t member(const struct event *ev, uint32_t object, const char *key)
{
    const struct json_tok *t = ev->tape.toks;
    size_t n = strlen(key);
    uint32_t found = 0;
    if (t[object].kind != TOK_OBJECT)
        return 0;
    for (uint32_t i = object + 1; i < t[object].next; i = t[i + 1].next)
        if (t[i].end - t[i].start == n && memcmp(ev->p + t[i].start, key, n) == 0)
            found = i + 1;
    return found;
}

static struct str raw(const struct event *ev, uint32_t value)
{
    const struct json_tok *t = &ev->tape.toks[value];
    return (struct str){ev->p + t->start, t->end - t->start};
}

/* A short text; empty where it is none. */
static const char *text(const struct event *ev, uint32_t object, const char *key, char out[SHORT_MAX])
{
    uint32_t value = member(ev, object, key);
    struct str s = value && ev->tape.toks[value].kind == TOK_STRING ? raw(ev, value) : (struct str){"", 0};
    bool plain = !value || !ev->tape.toks[value].flags;
    if (!plain || s.n >= SHORT_MAX || memchr(s.p, 0, s.n))
        s.n = 0;
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return out;
}

/* The stream of a consumer with fan-out of its own is the part before "/consumer/". */
static char *stream_of(const char *arn)
{
    const char *consumer = strstr(arn, "/consumer/");
    return consumer ? mem_strndup(arn, (size_t)(consumer - arn)) : mem_strdup(arn);
}

/* All records of an invocation are of one shard of one stream. */
static int check_place(struct lambda_batch *b, const struct event *ev, uint32_t r, struct err *e)
{
    char source[SHORT_MAX], id[SHORT_MAX], arn_text[SHORT_MAX];
    char *colon = strchr(text(ev, r, "eventID", id), ':') ? strchr(id, ':') : id;
    char *arn = stream_of(text(ev, r, "eventSourceARN", arn_text));
    *colon = 0;
    int rc = 0;
    if (strcmp(text(ev, r, "eventSource", source), "aws:kinesis") != 0 || !*id ||
        !strstr(arn, ":stream/"))
        rc = err_set(e, ERR_INVALID,
                     "the event is not one of a Kinesis stream: inlet is for event source mappings "
                     "of Kinesis");
    else if (b->shard && (strcmp(b->shard, id) != 0 || strcmp(b->stream_arn, arn) != 0))
        rc = err_set(e, ERR_INVALID, "the event has records of several shards");
    if (rc || b->shard) {
        free(arn);
        return rc;
    }
    b->shard = mem_strdup(id);
    b->stream_arn = arn;
    return 0;
}

static double arrival(const struct event *ev, uint32_t kinesis)
{
    uint32_t value = member(ev, kinesis, "approximateArrivalTimestamp");
    double v = 0;
    if (value && (ev->tape.toks[value].kind == TOK_DECIMAL || ev->tape.toks[value].kind == TOK_INTEGER)) {
        struct str s = raw(ev, value);
        if (!json_double((const uint8_t *)s.p, s.n, &v) || !(v >= 0 && v < 1e11))
            v = 0;
    }
    return v;
}

static int add_record(struct lambda_batch *b, const struct event *ev, uint32_t r, struct err *e)
{
    char seq[SHORT_MAX];
    uint32_t kinesis = member(ev, r, "kinesis");
    struct lambda_record *record = &b->records[b->n];
    if (check_place(b, ev, r, e))
        return -1;
    text(ev, kinesis, "sequenceNumber", seq);
    if (!kinesis || seq_parse(&record->seq, seq, strlen(seq), e))
        return err_set(e, ERR_INVALID, "\"%.80s\" is no sequenceNumber", kinesis ? seq : "");
    if (b->n && seq_cmp(record->seq, b->records[b->n - 1].seq) <= 0)
        return err_set(e, ERR_INVALID, "the event's records are not in order of sequence");
    double arrived = arrival(ev, kinesis);
    uint32_t data = member(ev, kinesis, "data");
    struct str bytes = data && ev->tape.toks[data].kind == TOK_STRING ? raw(ev, data) : (struct str){"", 0};
    record->offset = b->body.n;
    buf_printf(&b->body,
               "{\"SequenceNumber\":\"%s\",\"ApproximateArrivalTimestamp\":%.6f,\"Data\":\"", seq,
               arrived);
    buf_put(&b->body, bytes.p, bytes.n);
    buf_puts(&b->body, "\"}");
    int64_t us = (int64_t)(arrived * 1e6);
    b->arrived_us = us > b->arrived_us ? us : b->arrived_us;
    b->n++;
    return 0;
}

static int add_records(struct lambda_batch *b, const struct event *ev, struct err *e)
{
    uint32_t list = member(ev, 0, "Records"), count = 0;
    const struct json_tok *t = ev->tape.toks;
    if (!list || t[list].kind != TOK_ARRAY)
        return err_set(e, ERR_INVALID,
                       "the event has no Records: inlet is for event source mappings of Kinesis");
    for (uint32_t i = list + 1; i < t[list].next; i = t[i].next)
        count++;
    if (count > RECORDS_MAX)
        return err_set(e, ERR_INVALID, "the event has %u records, more than %d", count, RECORDS_MAX);
    b->records = mem_array((size_t)count + 1, sizeof *b->records);
    for (uint32_t i = list + 1; i < t[list].next; i = t[i].next)
        if (add_record(b, ev, i, e))
            return -1;
    return 0;
}

int lambda_batch_parse(struct lambda_batch *b, const char *p, size_t n, struct err *e)
{
    struct event ev = {.p = p};
    size_t where = 0;
    *b = (struct lambda_batch){0};
    int rc = n >= UINT32_MAX || json_parse(&ev.tape, (const uint8_t *)p, n, &where) != JSON_OK
                 ? err_set(e, ERR_INVALID, "the event is no JSON (at byte %zu of %zu)", where, n)
                 : 0;
    if (!rc) {
        buf_reserve(&b->body, n);
        rc = add_records(b, &ev, e);
    }
    json_tape_fini(&ev.tape);
    if (rc)
        lambda_batch_fini(b);
    return rc;
}

void lambda_batch_body(const struct lambda_batch *b, struct seq after, struct buf *out)
{
    size_t end = b->body.n;
    buf_reserve(out, end + b->n + 64);
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
