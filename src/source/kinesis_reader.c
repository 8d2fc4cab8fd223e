/* The reading of a Kinesis stream: one thread, one request under way a shard, over curl multi.
 *
 *   NEED_ITERATOR --GetShardIterator--> NEED_RECORDS --GetRecords--> batch, and again
 *        ^--- iterator expired ---------------'   '-- no next iterator --> NEED_CHILDREN
 *                                                            --ListShards--> SHARD_END, FINISHED
 *
 * The thread waits in http_poll alone: an inbox that is full or a budget that is used up only keeps
 * the shard from asking, so one slow shard never holds up another. Answers of a reader that was
 * stopped meanwhile are thrown away. A shard's events keep their order through its own short list. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/retry.h"
#include "source/body.h"
#include "source/kinesis_int.h"
#include "source/packed.h"
#include "source/pieces.h"

#define TIP_WAIT_MS 500
#define BUSY_WAIT_MS 5
#define LIMIT_MAX 10000
#define LIMIT_FIRST 100
#define TIP_BYTES_MAX ((size_t)4 << 20)
#define EXPECT_MIN ((size_t)64 << 10)
#define BROKEN_MAX 8
#define PENDING_MAX 6

enum reader_state { NEED_ITERATOR, NEED_RECORDS, NEED_CHILDREN, FINISHED };

struct reader {
    struct reader *next;
    struct kinesis *k;
    char *shard;
    uint32_t number, generation;
    struct seq after; /* the last record delivered */
    atomic_bool stopped;
    enum reader_state state;
    bool in_flight, asked_cbor; /* in what the answer under way was asked for */
    char *iterator; /* as it stood in the JSON, still escaped */
    int64_t asked_ms, next_ms;
    uint32_t limit, broken;
    size_t expect, charged; /* bytes of the next answer, and what is taken for it */
    int64_t lag_ms;
    struct retry retry;
    bool troubled; /* a notice was given and not yet taken back */
    struct aws_request request;
    struct pieces answer; /* that is coming; its all.out is `room`; */
    size_t seen, largest; /* ... so many of its records have been looked at: by number the last of them */
    int64_t newest_us;
    struct buf room;
    char *token; /* ListShards */
    struct source_shard *children;
    size_t n_children;
    struct source_event *pending[PENDING_MAX];
    size_t n_pending;
};

struct reader *kinesis_reader_new(struct kinesis *k, const char *shard, uint32_t number,
                                  uint32_t generation, struct seq after)
{
    struct reader *r = mem_zalloc(sizeof *r);
    r->next = k->readers;
    r->k = k;
    r->shard = mem_strdup(shard);
    r->number = number;
    r->generation = generation;
    r->after = after;
    r->state = seq_cmp(after, SEQ_END) == 0 ? NEED_CHILDREN : NEED_ITERATOR;
    r->limit = LIMIT_FIRST;
    r->expect = ANSWER_BYTES;
    r->lag_ms = -1;
    r->retry = (struct retry){.first_ms = 200, .cap_ms = 10000};
    return r;
}

void kinesis_reader_stop(struct reader *readers, uint32_t number)
{
    for (struct reader *r = readers; r; r = r->next)
        if (r->number == number)
            atomic_store(&r->stopped, true);
}

static void uncharge(struct reader *r)
{
    budget_give(r->k->env.budget, r->charged);
    r->charged = 0;
}

_Static_assert(SOURCE_PAD >= BODY_PAD, "what is decoded of an answer has its pad");

/* For what is decoded of an answer of n bytes, which is no more. What full answers take goes round: new memory for each is
 * some hundred pages for the system to clear. A lesser answer must not hold so much. */
static struct buf room_for_records(const struct reader *r, size_t n)
{
    struct buf out = {.cap = n + SOURCE_PAD};
    bool round = out.cap <= RECORDS_ROOM && out.cap > RECORDS_ROOM / 2;
    if (round)
        out.cap = RECORDS_ROOM;
    out.p = round ? source_spares_take(r->k->records) : mem_alloc(out.cap);
    return out;
}

/* As text: a longer number is larger. */
static bool larger(struct str a, struct str b)
{
    return a.n != b.n ? a.n > b.n : a.n && memcmp(a.p, b.p, a.n) > 0;
}

/* What the batch says of them all, while the newest records are in the caches. */
static void look_at_new(struct reader *r)
{
    const struct body_record *each = r->answer.all.each;
    for (size_t n = r->answer.all.n; r->seen < n; r->seen++) {
        if (larger(each[r->seen].sequence, each[r->largest].sequence))
            r->largest = r->seen;
        if (each[r->seen].arrived_us > r->newest_us)
            r->newest_us = each[r->seen].arrived_us;
    }
}

static void take_piece(void *ctx, const char *p, size_t n, size_t length)
{
    struct reader *r = ctx;
    if (!r->room.p) {
        r->room = room_for_records(r, length);
        r->answer.room = length;
        r->answer.all.out = r->room.p;
    }
    pieces_put(&r->answer, p, n);
    look_at_new(r);
}

/* What came of it, of which nothing was delivered. */
static void drop_answer(struct reader *r)
{
    if (r->room.cap == RECORDS_ROOM)
        source_spares_give(r->k->records, r->room.p);
    else
        free(r->room.p);
    free(r->answer.all.each);
    pieces_fini(&r->answer);
    r->room = (struct buf){0};
    r->answer = (struct pieces){0};
    r->seen = r->largest = 0;
    r->newest_us = 0;
}

static void reader_free(struct reader *r)
{
    uncharge(r);
    for (size_t i = 0; i < r->n_pending; i++) {
        if (r->pending[i]->batch)
            budget_give(r->k->env.budget, r->pending[i]->batch->charged_bytes);
        source_event_free(r->pending[i]);
    }
    source_shards_free(r->children, r->n_children);
    drop_answer(r);
    aws_request_fini(&r->request);
    free(r->iterator);
    free(r->token);
    free(r->shard);
    free(r);
}

void kinesis_readers_free(struct kinesis *k)
{
    while (k->readers) {
        struct reader *r = k->readers;
        k->readers = r->next;
        reader_free(r);
    }
}

/* ---- events ---- */

static struct source_event *event(struct reader *r, enum source_event_kind kind)
{
    struct source_event *ev = mem_zalloc(sizeof *ev);
    ev->kind = kind;
    ev->shard = r->number;
    ev->generation = r->generation;
    invariant(r->n_pending < PENDING_MAX);
    r->pending[r->n_pending++] = ev;
    return ev;
}

/* True once all are in the inbox. */
static bool flush(struct reader *r)
{
    size_t i = 0;
    while (i < r->n_pending && queue_try_push(r->k->env.inbox, r->pending[i]))
        i++;
    memmove(r->pending, r->pending + i, (r->n_pending - i) * sizeof *r->pending);
    r->n_pending -= i;
    return r->n_pending == 0;
}

static int64_t now_ms(const struct reader *r)
{
    return clock_boot_ms(r->k->env.clock);
}

static void fail(struct reader *r, const struct err *e)
{
    event(r, SOURCE_FAILED)->error = *e;
    r->state = FINISHED;
}

/* A failure that passes: waits longer each time, and says so once. */
static void hold_off(struct reader *r, const struct err *e)
{
    int64_t wait = retry_next_ms(&r->retry);
    r->next_ms = now_ms(r) + wait;
    if (!r->troubled && r->retry.attempts >= 2) {
        r->troubled = true;
        err_set(&event(r, SOURCE_NOTICE)->error, ERR_RETRY, "shard %s: trying again: %s", r->shard,
                e->text);
    }
}

static void recovered(struct reader *r)
{
    retry_reset(&r->retry);
    if (r->troubled)
        err_set(&event(r, SOURCE_NOTICE)->error, ERR_NONE, "shard %s: reading again", r->shard);
    r->troubled = false;
}

/* Common to all answers: 0 if `p` is good, else the failure is dealt with. */
static int check(struct reader *r, const char *action, const struct http_response *p,
                 const struct err *e)
{
    struct err failure = *e;
    r->in_flight = false;
    if (atomic_load(&r->stopped) || atomic_load(&r->k->stop))
        return -1;
    if (p && kinesis_judge(kinesis_api_client(r->k->control), &r->request, action, p, &failure) == 0) {
        recovered(r);
        return 0;
    }
    if (failure.kind == ERR_CONFLICT && r->state == NEED_CHILDREN) { /* its token has expired: listed anew */
        source_shards_free(r->children, r->n_children);
        free(r->token);
        r->children = NULL;
        r->token = NULL;
        r->n_children = 0;
        hold_off(r, &failure);
    } else if (failure.kind == ERR_CONFLICT) {
        r->state = NEED_ITERATOR;
    } else if (!p && failure.kind == ERR_NOMEM && r->limit > 1) {
        r->limit = r->limit / 8 + (r->limit < 8); /* the answer was too long */
    } else if (failure.kind == ERR_RETRY || failure.kind == ERR_UNKNOWN) {
        /* A stand-in answers an expired iterator with 500, so a fresh one is asked for in time. */
        if (p && p->status >= 500 && r->state == NEED_RECORDS && r->retry.attempts >= 2)
            r->state = NEED_ITERATOR;
        hold_off(r, &failure);
    } else {
        fail(r, &failure);
    }
    return -1;
}

/* ---- requests ---- */

/* `take` may be NULL: see http.h. */
static void ask(struct reader *r, const char *action, const char *type, struct buf *body, http_take take, http_done done)
{
    char *target = mem_printf("Kinesis_20131202.%s", action);
    struct err e = {0};
    int rc = aws_json_sign(&r->request, kinesis_api_client(r->k->control), type, target, body->p, body->n, &e);
    free(target);
    r->in_flight = true;
    r->asked_ms = now_ms(r);
    if (rc) {
        done(r, NULL, &e);
    } else {
        r->request.http.take = take;
        http_submit(r->k->http, &r->request.http, done, r);
    }
    buf_fini(body);
}

static void on_iterator(void *ctx, struct http_response *p, const struct err *e)
{
    struct reader *r = ctx;
    if (check(r, "GetShardIterator", p, e))
        return;
    json_t *j = json_loadb((const char *)p->body.p, p->body.n, 0, NULL);
    const json_t *text = json_object_get(j, "ShardIterator");
    char *quoted = json_is_string(text) ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    free(r->iterator);
    r->iterator = NULL;
    if (quoted) {
        r->iterator = mem_strndup(quoted + 1, strlen(quoted) - 2);
        r->state = NEED_RECORDS;
    } else {
        struct err failure;
        err_set(&failure, ERR_RETRY, "Kinesis GetShardIterator: an answer without an iterator");
        hold_off(r, &failure);
    }
    free(quoted);
    json_decref(j);
}

static void ask_iterator(struct reader *r)
{
    struct buf body = {0};
    char seq[SEQ_TEXT_MAX];
    buf_printf(&body, "{\"StreamName\":\"%s\",\"ShardId\":\"%s\",\"ShardIteratorType\":", r->k->stream,
               r->shard);
    if (seq_cmp(r->after, SEQ_NONE) == 0) {
        buf_puts(&body, "\"TRIM_HORIZON\"}");
    } else {
        seq_format(r->after, seq);
        buf_printf(&body, "\"AFTER_SEQUENCE_NUMBER\",\"StartingSequenceNumber\":\"%s\"}", seq);
    }
    ask(r, "GetShardIterator", KINESIS_JSON, &body, NULL, on_iterator);
}

static void end_shard(struct reader *r)
{
    struct source_event *ev = event(r, SOURCE_SHARD_END);
    ev->children = r->children;
    ev->n_children = r->n_children;
    r->children = NULL;
    r->n_children = 0;
    r->state = FINISHED;
}

static void on_children(void *ctx, struct http_response *p, const struct err *e)
{
    struct reader *r = ctx;
    if (check(r, "ListShards", p, e))
        return;
    json_t *j = json_loadb((const char *)p->body.p, p->body.n, 0, NULL);
    const char *token = json_string_value(json_object_get(j, "NextToken"));
    kinesis_shards_add(&r->children, &r->n_children, json_object_get(j, "Shards"), r->shard);
    free(r->token);
    r->token = token && *token ? json_dumps(json_object_get(j, "NextToken"), JSON_ENCODE_ANY) : NULL;
    json_decref(j);
    if (!r->token)
        end_shard(r);
}

static void ask_children(struct reader *r)
{
    struct buf body = {0};
    if (r->token)
        buf_printf(&body, "{\"NextToken\":%s}", r->token);
    else
        buf_printf(&body, "{\"StreamName\":\"%s\"}", r->k->stream);
    ask(r, "ListShards", KINESIS_JSON, &body, NULL, on_children);
}

/* ---- records ---- */

static int sequence_of(const struct body_record *rec, struct seq *out)
{
    return seq_parse(out, rec->sequence.p ? rec->sequence.p : "", rec->sequence.n, NULL);
}

/* Sets b->first, of the first record with a number, and b->last, the largest, which `last` has unless some are none. */
static void span(struct source_batch *b, const struct body_records *all, const struct body_record *last)
{
    struct seq first, most;
    bool padded = last->sequence.n > 1 && *last->sequence.p == '0'; /* AWS pads none */
    if (!padded && sequence_of(all->each, &first) == 0 && sequence_of(last, &most) == 0) {
        b->first = first;
        b->last = seq_max(b->last, most);
        return;
    }
    bool any = false; /* one of them is no number: some of the others may be */
    for (size_t i = 0; i < all->n; i++) {
        struct seq seq;
        if (sequence_of(&all->each[i], &seq))
            continue;
        b->first = any ? b->first : seq;
        b->last = seq_max(b->last, seq);
        any = true;
    }
}

/* The batch of an answer's records (their bytes not yet in it). */
static struct source_batch *survey(struct reader *r, struct body_records *all)
{
    struct source_batch *b = mem_zalloc(sizeof *b);
    b->source = &r->k->source;
    b->shard = r->number;
    b->generation = r->generation;
    b->format = BATCH_GET_RECORDS;
    b->first = b->last = r->after;
    b->records = (uint32_t)all->n;
    look_at_new(r);
    span(b, all, &all->each[r->largest]);
    b->arrived_us = r->newest_us;
    b->parsed = all->each;
    *all = (struct body_records){0};
    return b;
}

/* The next answer should be of about ANSWER_BYTES: as many records as make that. */
static void adapt(struct reader *r, size_t bytes, uint32_t records)
{
    size_t each = bytes / records + 1, limit = ANSWER_BYTES / each + 1;
    if (limit > (size_t)r->limit * 4)
        limit = (size_t)r->limit * 4;
    r->limit = limit > LIMIT_MAX ? LIMIT_MAX : (uint32_t)limit;
    size_t expect = (size_t)r->limit * each;
    r->expect = bytes * 2 < expect ? bytes * 2 : expect;
    if (r->expect < EXPECT_MIN)
        r->expect = EXPECT_MIN;
}

/* Puts the decoded bytes into the batch with what they are charged, and sends it on. */
static void deliver(struct reader *r, struct source_batch *b, size_t bytes)
{
    bool round = r->room.cap == RECORDS_ROOM;
    b->n_data = bytes;
    b->data = r->room.p;
    b->spares = round ? source_spares_ref(r->k->records) : NULL;
    b->charged_bytes = r->room.cap + b->records * sizeof *b->parsed;
    r->room = (struct buf){0};
    if (b->charged_bytes > r->charged) {
        budget_force(r->k->env.budget, b->charged_bytes - r->charged);
        r->charged = b->charged_bytes;
    }
    budget_give(r->k->env.budget, r->charged - b->charged_bytes);
    b->budget = r->k->env.budget;
    r->charged = 0;
    r->after = b->last;
    event(r, SOURCE_BATCH)->batch = b;
}

/* As it would stand in JSON. */
static char *escaped(struct str s)
{
    struct buf out = {0};
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c < 0x20 || c == '"' || c == '\\')
            buf_printf(&out, "\\u%04x", c);
        else
            buf_putc(&out, c);
    }
    return buf_take(&out);
}

static void next_iterator(struct reader *r, const struct body *body)
{
    struct str next = body->next_iterator, children = body->child_shards;
    free(r->iterator);
    r->iterator = NULL;
    if (next.n) {
        r->iterator = body->packed ? escaped(next) : mem_strndup(next.p, next.n);
        return;
    }
    r->state = NEED_CHILDREN;
    if (children.n) {
        json_t *j = body->packed ? packed_json(children.p, children.n) : json_loadb(children.p, children.n, 0, NULL);
        kinesis_shards_add(&r->children, &r->n_children, j, NULL);
        json_decref(j);
    }
}

static void broken(struct reader *r)
{
    struct err e;
    err_set(&e, ERR_RETRY, "Kinesis GetRecords of shard %s: the answer cannot be read", r->shard);
    if (++r->broken < BROKEN_MAX) {
        hold_off(r, &e);
    } else {
        e.kind = ERR_IO;
        fail(r, &e);
    }
}

/* A whole answer. */
static void on_answer(struct reader *r, const struct body *body)
{
    uint32_t n = (uint32_t)r->answer.all.n;
    int64_t lag = body->millis_behind;
    /* 0 beside an answer that a limit cut short may be rounded: only the next read tells. */
    bool tip = lag <= 0 && (lag == 0 || n == 0) && n < r->limit && r->answer.bytes < TIP_BYTES_MAX;
    r->broken = 0;
    next_iterator(r, body);
    if (n) {
        size_t bytes = r->answer.all.n_out;
        adapt(r, r->answer.bytes, n);
        deliver(r, survey(r, &r->answer.all), bytes);
    } else {
        uncharge(r);
        r->expect = EXPECT_MIN;
    }
    if (lag >= 0 && lag != r->lag_ms) {
        r->lag_ms = lag;
        event(r, SOURCE_LAG)->lag_ms = lag;
    }
    r->next_ms = r->asked_ms + (tip && TIP_WAIT_MS > r->k->read_gap_ms ? TIP_WAIT_MS
                                                                       : r->k->read_gap_ms);
    if (r->state == NEED_CHILDREN && r->n_children)
        end_shard(r);
    else if (r->state == NEED_RECORDS && tip)
        event(r, SOURCE_TIP);
}

/* A fault told in CBOR, in JSON as all others. */
static void unpack_fault(struct reader *r, struct http_response *p)
{
    json_t *j = p->body.n && packed_begins(*p->body.p) ? packed_json(p->body.p, p->body.n) : NULL;
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text) {
        r->k->cbor = CBOR_SPOKEN;
        p->body.n = 0;
        buf_puts(&p->body, text);
    }
    free(text);
    json_decref(j);
}

/* An endpoint that never answered in CBOR refuses to, or breaks again and again: it may be for that. Throttling is not. */
static bool knows_no_cbor(const struct reader *r, const struct http_response *p, const struct err *e)
{
    if (!r->asked_cbor || r->k->cbor == CBOR_SPOKEN)
        return false;
    return p ? p->status != 200 && p->status != 429 && p->status != 503 : e->kind == ERR_UNKNOWN && r->retry.attempts > 0;
}

static void on_body(struct reader *r, const struct http_response *p)
{
    struct body body;
    if (p->body.n) /* its length was not known beforehand */
        take_piece(r, (const char *)p->body.p, p->body.n, p->body.n);
    if (r->room.p && pieces_end(&r->answer, &body)) {
        if (r->asked_cbor)
            r->k->cbor = body.packed ? CBOR_SPOKEN : CBOR_NOT;
        on_answer(r, &body);
        return;
    }
    uncharge(r);
    if (r->asked_cbor) {
        if (r->k->cbor != CBOR_NOT)
            log_info("Kinesis GetRecords: an answer in CBOR cannot be read; JSON is asked for from now on");
        r->k->cbor = CBOR_NOT;
    } else {
        broken(r);
    }
}

static void on_records(void *ctx, struct http_response *p, const struct err *e)
{
    struct reader *r = ctx;
    if (p && p->status != 200)
        unpack_fault(r, p);
    bool json = knows_no_cbor(r, p, e);
    if (json)
        r->k->cbor = CBOR_NOT;
    if (json && p) { /* asked again at once */
        r->in_flight = false;
        uncharge(r);
    } else if (check(r, "GetRecords", p, e)) {
        uncharge(r);
    } else {
        on_body(r, p);
    }
    drop_answer(r);
}

static bool ask_records(struct reader *r)
{
    struct buf body = {0};
    if (!budget_try_take(r->k->env.budget, r->expect))
        return false;
    r->charged = r->expect;
    r->asked_cbor = r->k->cbor != CBOR_NOT;
    if (r->asked_cbor) {
        struct buf iterator = {0};
        body_unescape(str_of(r->iterator), &iterator);
        packed_request(&body, r->limit, (struct str){(const char *)iterator.p, iterator.n});
        buf_fini(&iterator);
    } else {
        buf_printf(&body, "{\"Limit\":%u,\"ShardIterator\":\"%s\"}", r->limit, r->iterator);
    }
    ask(r, "GetRecords", r->asked_cbor ? KINESIS_CBOR : KINESIS_JSON, &body, take_piece, on_records);
    return true;
}

/* ---- the thread ---- */

/* Moves one reader on; returns how long it can be left alone. */
static int64_t step(struct reader *r)
{
    if (!flush(r))
        return BUSY_WAIT_MS;
    int64_t left = r->next_ms - now_ms(r);
    if (r->in_flight || r->state == FINISHED)
        return INT64_MAX;
    if (left > 0)
        return left;
    if (r->state == NEED_ITERATOR)
        ask_iterator(r);
    else if (r->state == NEED_CHILDREN)
        ask_children(r);
    else if (!ask_records(r))
        return BUSY_WAIT_MS;
    return INT64_MAX;
}

void *kinesis_io_thread(void *arg)
{
    struct kinesis *k = arg;
    while (!atomic_load(&k->stop)) {
        int64_t wait = 1000;
        pthread_mutex_lock(&k->lock);
        for (struct reader **at = &k->readers; *at;) {
            struct reader *r = *at;
            bool over = atomic_load(&r->stopped) || (r->state == FINISHED && r->n_pending == 0);
            if (over && !r->in_flight) {
                *at = r->next;
                reader_free(r);
                continue;
            }
            int64_t left = over ? INT64_MAX : step(r);
            wait = left < wait ? left : wait;
            at = &r->next;
        }
        pthread_mutex_unlock(&k->lock);
        http_poll(k->http, (int)wait);
        k->source.cpu_ns = clock_thread_cpu_ns();
    }
    return NULL;
}
