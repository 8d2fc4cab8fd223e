/* cursor: takes a batch apart into records, on the shredders' threads: lines of a file, or the
 * records of a GetRecords answer with their base64 undone and aggregates opened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/newlines.h"
#include "codec/base64.h"
#include "source/body.h"
#include "source/joined.h"
#include "source/kpl.h"
#include "source/source.h"

struct source_cursor {
    const struct source_batch *b;
    size_t at; /* NDJSON: offset into data; Kinesis: into body.records */
    struct body body;
    bool broken;
    struct kpl kpl; /* the aggregate being taken apart */
    bool in_aggregate;
    struct body_record record; /* its record */
    struct seq seq;
    struct seq_near near;
    const uint8_t *part; /* of a line of joined objects: what is left of it */
    size_t n_part;
    int32_t sub;
    struct buf text;      /* scratch of one record */
    struct buf window;    /* what the records given out together point to: never moved while there are any */
    size_t aggregate_end; /* of the aggregate's bytes in it */
    bool kept;            /* `record` waits for the next window */
};

#define WINDOW_BYTES ((size_t)512 << 10) /* stays in the caches */
#define AHEAD 12 /* records */
#define PART_TEXT (SEQ_TEXT_MAX + 16)    /* "seq/sub" */

struct source_cursor *source_cursor_new(void)
{
    return mem_zalloc(sizeof(struct source_cursor));
}

void source_cursor_free(struct source_cursor *c)
{
    if (!c)
        return;
    buf_fini(&c->window);
    buf_fini(&c->text);
    free(c);
}

void source_cursor_start(struct source_cursor *c, const struct source_batch *b)
{
    c->b = b;
    c->at = 0;
    c->in_aggregate = c->kept = false;
    c->n_part = 0;
    c->seq = SEQ_NONE;
    c->broken = b->format == BATCH_GET_RECORDS && !b->parsed &&
                !body_open(&c->body, (const char *)b->data, b->n_data);
}

/* How many bytes of it are one object, with others after it; 0 where it is a line like any other. */
static size_t first_of_joined(const uint8_t *p, size_t n)
{
    if (*p != '{' || !joined_maybe(p, n))
        return 0;
    size_t end = joined_end(p, n);
    return end && end < n && p[end] == '{' ? end : 0;
}

/* The next object of the line whose record `out` is, or was. */
static bool next_joined(struct source_cursor *c, struct record *out)
{
    size_t end = first_of_joined(c->part, c->n_part), n = end ? end : c->n_part;
    *out = (struct record){.payload = c->part, .n = n, .seq = c->seq, .arrived_us = c->b->arrived_us,
                           .shard = c->b->shard, .sub = c->sub++};
    c->part += n;
    c->n_part -= n;
    return true;
}

/* How many bytes at its beginning are blank. */
static size_t blanks(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && (p[i] == ' ' || p[i] == '\t'))
        i++;
    return i;
}

uint32_t source_cursor_lines(struct source_cursor *c, struct source_line out[SOURCE_LINES])
{
    const struct source_batch *b = c->b;
    uint32_t ends[SOURCE_LINES + NEWLINES_ROOM], count = 0;
    if (b->format != BATCH_NDJSON || b->joined)
        return 0;
    while (!count && c->at < b->n_data) {
        const uint8_t *line = b->data + c->at;
        size_t left = b->n_data - c->at;
        size_t found = newlines_find(line, left < UINT32_MAX ? left : UINT32_MAX, ends, SOURCE_LINES);
        if (!found)
            break;
        for (size_t i = 0; i < found && i < SOURCE_LINES; i++) {
            size_t n = (size_t)(b->data + c->at + ends[i] - line), whole = n + 1;
            if (n && line[n - 1] == '\r')
                n--;
            out[count] = (struct source_line){line, n, 0};
            out[count].end = b->base_offset + (size_t)(line + whole - b->data);
            count += blanks(line, n) < n;
            line += whole;
        }
        c->at = (size_t)(line - b->data);
    }
    return count;
}

static bool next_line(struct source_cursor *c, struct record *out)
{
    const struct source_batch *b = c->b;
    if (c->n_part)
        return next_joined(c, out);
    while (c->at < b->n_data) {
        const uint8_t *line = b->data + c->at;
        size_t left = b->n_data - c->at;
        const uint8_t *nl = memchr(line, '\n', left);
        size_t n = nl ? (size_t)(nl - line) : left;
        c->at += nl ? n + 1 : n;
        uint64_t end = b->base_offset + c->at;
        bool cut = !nl && seq_low(b->last) > end;
        if (n && line[n - 1] == '\r')
            n--;
        size_t i = blanks(line, n);
        if (i == n && !cut)
            continue;
        if (b->joined && !cut && first_of_joined(line + i, n - i)) {
            c->part = line + i;
            c->n_part = n - i;
            c->sub = 0;
            c->seq = seq_of(end);
            return next_joined(c, out);
        }
        *out = (struct record){
            .payload = line,
            .n = n,
            .seq = cut ? b->last : seq_of(end),
            .arrived_us = b->arrived_us,
            .shard = b->shard,
            .sub = -1,
            .defect = cut ? "the line is longer than the limit for one record; this is its beginning"
                          : NULL,
        };
        return true;
    }
    return false;
}

/* Room for n bytes in the window. Where that would move what is in use, no: the window is full. */
static bool claim(struct source_cursor *c, size_t n, bool first)
{
    if (first)
        c->window.n = 0;
    if (c->window.n + n <= c->window.cap)
        return true;
    if (first)
        buf_reserve(&c->window, n > WINDOW_BYTES ? n : WINDOW_BYTES);
    return first;
}

/* The same with escapes undone, where there are any and none is broken. */
static bool unescaped(struct source_cursor *c, struct str *data)
{
    c->text.n = 0;
    if (!memchr(data->p, '\\', data->n) || !body_unescape(*data, &c->text))
        return false;
    *data = (struct str){(const char *)c->text.p, c->text.n};
    return true;
}

/* Decodes the record's data into the window: *out. False where there is no room. *defect: what is wrong with it. */
static bool decode(struct source_cursor *c, bool first, struct str *out, const char **defect)
{
    struct str data = c->record.data.p ? c->record.data : (struct str){"", 0};
    if (c->record.decoded) {
        *out = data;
        return claim(c, PART_TEXT, first); /* should it be an aggregate */
    }
    if (!claim(c, base64_decode_room(data.n) + data.n + SOURCE_PAD + PART_TEXT, first))
        return false;
    uint8_t *to = c->window.p + c->window.n;
    int64_t n = base64_decode(to, data.p, data.n);
    if (n < 0 && unescaped(c, &data)) /* no base64 has a backslash */
        n = base64_decode(to, data.p, data.n);
    if (n < 0) {
        memcpy(to, data.p, data.n);
        n = (int64_t)data.n;
        *defect = "the record's data is not base64";
    }
    memset(to + n, 0, SOURCE_PAD);
    *out = (struct str){(const char *)to, (size_t)n};
    c->window.n += (size_t)n + SOURCE_PAD;
    return true;
}

static void fill(struct source_cursor *c, struct str payload, int32_t sub, struct record *out)
{
    *out = (struct record){
        .payload = (const uint8_t *)payload.p,
        .n = payload.n,
        .seq = c->seq,
        .arrived_us = c->record.arrived_us ? c->record.arrived_us : c->b->arrived_us,
        .shard = c->b->shard,
        .sub = sub,
        .seq_text = c->record.sequence.p,
        .seq_text_n = c->record.sequence.n,
    };
    if (sub >= 0 && c->record.sequence.n < SEQ_TEXT_MAX) {
        char *text = (char *)c->window.p + c->window.n;
        int len = snprintf(text, PART_TEXT, "%.*s/%d", (int)c->record.sequence.n, c->record.sequence.p, sub);
        out->seq_text = text;
        out->seq_text_n = (size_t)len;
        c->window.n += PART_TEXT;
    }
}

enum next { NEXT_ONE, NEXT_END, NEXT_FULL };

/* A part of the aggregate. There is room for one at least, in a window that begins with it. */
static enum next next_part(struct source_cursor *c, bool first, struct record *out)
{
    struct str part;
    int32_t sub;
    if (first)
        c->window.n = c->aggregate_end;
    if (c->window.n + PART_TEXT > c->window.cap)
        return NEXT_FULL;
    c->in_aggregate = kpl_next(&c->kpl, (const uint8_t **)&part.p, &part.n, &sub);
    if (!c->in_aggregate)
        return NEXT_END;
    fill(c, part, sub, out);
    return NEXT_ONE;
}

/* It may have left the caches since it was decoded; what is read of it next is here and there. Beyond these lines the
 * processor goes on by itself. Inlined, for gcc drops the call of a function that does nothing else. */
static inline __attribute__((always_inline)) void fetch_ahead(const struct body_record *r)
{
    for (size_t at = 0; at < 512; at += 64)
        __builtin_prefetch(r->data.p + at);
    __builtin_prefetch(r->sequence.p);
    if (r->sequence.n)
        __builtin_prefetch(r->sequence.p + r->sequence.n - 1);
}

/* The next record of the answer, as it stands there, into `record`. */
static bool next_of_body(struct source_cursor *c)
{
    if (c->kept)
        return true;
    if (c->b->parsed) {
        if (c->at == c->b->records)
            return false;
        c->record = c->b->parsed[c->at++];
        if (c->record.decoded && c->at + AHEAD < c->b->records)
            fetch_ahead(&c->b->parsed[c->at + AHEAD]);
        return true;
    }
    int rc = c->broken ? 0 : body_next(&c->body, &c->at, &c->record);
    c->broken |= rc < 0;
    return rc > 0;
}

static enum next next_record(struct source_cursor *c, bool first, struct record *out)
{
    struct str payload;
    for (;;) {
        enum next part = c->in_aggregate ? next_part(c, first, out) : NEXT_END;
        if (part != NEXT_END)
            return part;
        const char *defect = NULL, *bad_data = NULL;
        if (!next_of_body(c))
            return NEXT_END;
        c->kept = !decode(c, first, &payload, &bad_data);
        if (c->kept)
            return NEXT_FULL;
        if (seq_parse_near(&c->near, &c->seq, c->record.sequence.p ? c->record.sequence.p : "", c->record.sequence.n, NULL))
            defect = "the record has no valid sequence number";
        if (!bad_data && kpl_open(&c->kpl, (const uint8_t *)payload.p, payload.n)) {
            c->in_aggregate = true;
            c->aggregate_end = c->window.n;
            continue; /* it may be one of nothing */
        }
        fill(c, payload, -1, out);
        out->defect = bad_data ? bad_data : defect;
        return NEXT_ONE;
    }
}

uint32_t source_cursor_records(struct source_cursor *c, struct record *out, uint32_t most)
{
    uint32_t n = 0;
    size_t bytes = 0;
    if (c->b->format == BATCH_GET_RECORDS)
        while (n < most && bytes < WINDOW_BYTES && next_record(c, n == 0, &out[n]) == NEXT_ONE)
            bytes += out[n++].n;
    return n;
}

bool source_cursor_next(struct source_cursor *c, struct record *out)
{
    return c->b->format == BATCH_NDJSON ? next_line(c, out) : source_cursor_records(c, out, 1) == 1;
}
