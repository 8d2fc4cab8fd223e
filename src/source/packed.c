/* packed: see packed.h. */
#include "source/packed.h"

#include <string.h>

#include "base/mem.h"
#include "codec/cbor.h"

/* A key that is expected, its head and all. */
static inline bool known(struct cbor *c, const char *key, size_t n)
{
    size_t first = n < 16 ? n : 16; /* compilers do so much without a call */
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, key, first) != 0 || memcmp(c->p + first, key + first, n - first) != 0)
        return false;
    c->p += n;
    return true;
}
#define KNOWN(c, key) known(c, key, sizeof key - 1)

static inline bool text(struct cbor *c, struct str *out)
{
    return cbor_eat(c, CBOR_NULL) || cbor_string(c, CBOR_TEXT, &out->p, &out->n);
}

/* Bytes; or text, as some stand-ins have it, which is base64 then. */
static inline bool data(struct cbor *c, struct body_record *out)
{
    out->decoded = cbor_string(c, CBOR_BYTES, &out->data.p, &out->data.n);
    return out->decoded || text(c, &out->data);
}

#define MILLIS_FROM 100000000000 /* as seconds that is past any record */
#define TAG_TIME 0xc1
#define EIGHT_BYTES 0x1b

/* Milliseconds; or seconds, as JSON has them: they are smaller by far. */
static inline bool arrived(struct cbor *c, int64_t *us)
{
    double d;
    if (c->end - c->p > 9 && c->p[0] == TAG_TIME && c->p[1] == EIGHT_BYTES) { /* as AWS has it */
        uint64_t ms;
        memcpy(&ms, c->p + 2, sizeof ms);
        ms = __builtin_bswap64(ms);
        if (ms >= MILLIS_FROM && ms < INT64_MAX / 1000) {
            *us = (int64_t)ms * 1000;
            c->p += 10;
            return true;
        }
    }
    if (cbor_eat(c, CBOR_NULL))
        return true;
    if (!cbor_number(c, &d))
        return false;
    d *= d < MILLIS_FROM ? 1e6 : 1e3;
    *us = d > 0 && d < 9e18 ? (int64_t)(d + 0.5) : 0;
    return true;
}

/* Told by their first byte, their length that is, so that others are not compared. */
static inline bool record_member(struct cbor *c, struct body_record *out)
{
    struct str ignored;
    switch (c->p < c->end ? *c->p : 0) {
    case 0x6e:
        if (KNOWN(c, "\x6eSequenceNumber"))
            return text(c, &out->sequence);
        break;
    case 0x78:
        if (KNOWN(c, "\x78\x1b" "ApproximateArrivalTimestamp"))
            return arrived(c, &out->arrived_us);
        break;
    case 0x64:
        if (KNOWN(c, "\x64" "Data"))
            return data(c, out);
        break;
    case 0x6c:
        if (KNOWN(c, "\x6cPartitionKey"))
            return text(c, &ignored) || cbor_skip(c);
        break;
    }
    return cbor_skip(c) && cbor_skip(c);
}

static bool whole_record(struct cbor *c, struct body_record *out)
{
    struct cbor_head h;
    *out = (struct body_record){0};
    if (!cbor_head(c, &h) || h.kind != CBOR_MAP)
        return false;
    while (h.open ? !cbor_eat(c, CBOR_BREAK) : h.n-- > 0)
        if (!record_member(c, out))
            return false;
    return true;
}

static bool next_record(struct packed *s, struct cbor *c, struct body_records *all)
{
    if (s->records_open ? cbor_eat(c, CBOR_BREAK) : s->records == 0) {
        s->state = PACKED_MEMBERS;
        return true;
    }
    if (all->n == BODY_RECORDS_MAX)
        return false;
    if (all->n == all->cap) {
        all->cap = all->cap * 2 + 256;
        all->each = mem_regrow(all->each, all->cap, sizeof *all->each);
    }
    if (!whole_record(c, &all->each[all->n]))
        return false;
    all->n++;
    s->records--;
    return true;
}

static bool begin(struct packed *s, struct cbor *c)
{
    struct cbor_head h;
    if (!cbor_head(c, &h) || h.kind != CBOR_MAP)
        return false;
    s->state = PACKED_MEMBERS;
    s->members = h.n;
    s->members_open = h.open;
    s->body.millis_behind = -1;
    return true;
}

static bool begin_records(struct packed *s, struct cbor *c)
{
    struct cbor_head h;
    if (s->have_records || !cbor_head(c, &h) || h.kind != CBOR_ARRAY)
        return false;
    s->have_records = true;
    s->state = PACKED_RECORDS;
    s->records = h.n;
    s->records_open = h.open;
    return true;
}

static bool number(struct cbor *c, int64_t *out)
{
    double d;
    if (cbor_eat(c, CBOR_NULL))
        return true;
    if (!cbor_number(c, &d))
        return false;
    *out = d >= 0 && d < 9e15 ? (int64_t)d : -1;
    return true;
}

static bool children(struct cbor *c, struct str *out)
{
    const uint8_t *start = c->p;
    if (cbor_eat(c, CBOR_NULL))
        return true;
    bool ok = cbor_skip(c);
    *out = (struct str){(const char *)start, (size_t)(c->p - start)};
    return ok;
}

static bool member(struct packed *s, struct cbor *c)
{
    if (s->members_open ? cbor_eat(c, CBOR_BREAK) : s->members == 0) {
        s->state = PACKED_END;
        return true;
    }
    bool ok = KNOWN(c, "\x67Records")              ? begin_records(s, c)
              : KNOWN(c, "\x71NextShardIterator")  ? text(c, &s->body.next_iterator)
              : KNOWN(c, "\x72MillisBehindLatest") ? number(c, &s->body.millis_behind)
              : KNOWN(c, "\x6b" "ChildShards")     ? children(c, &s->body.child_shards)
                                                   : cbor_skip(c) && cbor_skip(c);
    s->members -= ok;
    return ok;
}

void packed_more(struct packed *s, const uint8_t *p, size_t n, struct body_records *all)
{
    struct cbor c = {p + s->at, p + n};
    while (s->state != PACKED_END) {
        bool ok = s->state == PACKED_RECORDS ? next_record(s, &c, all) : s->state == PACKED_MEMBERS ? member(s, &c) : begin(s, &c);
        if (!ok)
            return;
        s->at = (size_t)(c.p - p);
    }
}

bool packed_end(const struct packed *s, size_t n, struct body *b)
{
    *b = s->body;
    b->packed = true;
    return s->state == PACKED_END && s->at == n && s->have_records;
}

static void put_text(struct buf *out, struct str s)
{
    uint8_t kind = CBOR_TEXT << 5;
    if (s.n < 24) {
        buf_putc(out, (uint8_t)(kind | s.n));
    } else {
        buf_putc(out, kind | 26);
        for (int shift = 24; shift >= 0; shift -= 8)
            buf_putc(out, (uint8_t)(s.n >> shift));
    }
    buf_put(out, s.p, s.n);
}

void packed_request(struct buf *out, uint32_t limit, struct str iterator)
{
    buf_putc(out, CBOR_MAP << 5 | 2);
    put_text(out, str_of("Limit"));
    buf_putc(out, CBOR_UINT << 5 | 26);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_putc(out, (uint8_t)(limit >> shift));
    put_text(out, str_of("ShardIterator"));
    put_text(out, iterator);
}

/* ---- as JSON ---- */

static json_t *item(struct cbor *c, int depth);

static bool add(json_t *to, struct cbor *c, int depth)
{
    const char *key = NULL;
    size_t n = 0;
    if (json_is_object(to) && !cbor_string(c, CBOR_TEXT, &key, &n))
        return false;
    json_t *one = item(c, depth + 1);
    if (!one)
        return false;
    if (!key)
        return json_array_append_new(to, one) == 0;
    char *name = mem_strndup(key, n);
    bool ok = json_object_set_new(to, name, one) == 0;
    free(name);
    return ok;
}

static json_t *several(struct cbor *c, const struct cbor_head *h, int depth)
{
    json_t *to = h->kind == CBOR_MAP ? json_object() : json_array();
    for (uint64_t i = 0; h->open ? !cbor_eat(c, CBOR_BREAK) : i < h->n; i++)
        if (!add(to, c, depth)) {
            json_decref(to);
            return NULL;
        }
    return to;
}

static json_t *item(struct cbor *c, int depth)
{
    struct cbor at = *c;
    struct cbor_head h;
    const char *p;
    size_t n;
    double d;
    if (depth > CBOR_DEPTH_MAX || !cbor_head(&at, &h))
        return NULL;
    if (h.kind == CBOR_ARRAY || h.kind == CBOR_MAP) {
        c->p = at.p;
        return several(c, &h, depth);
    }
    if (cbor_string(c, CBOR_TEXT, &p, &n))
        return json_stringn(p, n);
    if (cbor_number(c, &d))
        return json_real(d);
    return cbor_skip(c) ? json_null() : NULL;
}

json_t *packed_json(const void *p, size_t n)
{
    struct cbor c = {p, (const uint8_t *)p + n};
    return item(&c, 0);
}
