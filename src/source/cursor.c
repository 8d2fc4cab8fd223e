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
    const uint8_t *part; /* of a line of joined objects: what is left of it */
    size_t n_part;
    int32_t sub;
    struct buf decoded, text; /* scratch */
    char seq_text[SEQ_TEXT_MAX + 16];
};

struct source_cursor *source_cursor_new(void)
{
    return mem_zalloc(sizeof(struct source_cursor));
}

void source_cursor_free(struct source_cursor *c)
{
    if (!c)
        return;
    buf_fini(&c->decoded);
    buf_fini(&c->text);
    free(c);
}

void source_cursor_start(struct source_cursor *c, const struct source_batch *b)
{
    c->b = b;
    c->at = 0;
    c->in_aggregate = false;
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
static bool next_joined(struct source_cursor *c, struct source_record *out)
{
    size_t end = first_of_joined(c->part, c->n_part), n = end ? end : c->n_part;
    *out = (struct source_record){.payload = c->part, .n = n, .seq = c->seq, .arrived_us = c->b->arrived_us,
                                  .sub = c->sub++};
    c->part += n;
    c->n_part -= n;
    return true;
}

static bool blank(const uint8_t *p, size_t n)
{
    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    return n == 0;
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
            count += !blank(line, n);
            line += whole;
        }
        c->at = (size_t)(line - b->data);
    }
    return count;
}

static bool next_line(struct source_cursor *c, struct source_record *out)
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
        size_t i = 0;
        while (i < n && (line[i] == ' ' || line[i] == '\t'))
            i++;
        if (i == n && !cut)
            continue;
        if (b->joined && !cut && first_of_joined(line + i, n - i)) {
            c->part = line + i;
            c->n_part = n - i;
            c->sub = 0;
            c->seq = seq_of(end);
            return next_joined(c, out);
        }
        *out = (struct source_record){
            .payload = line,
            .n = n,
            .seq = cut ? b->last : seq_of(end),
            .arrived_us = b->arrived_us,
            .sub = -1,
            .defect = cut ? "the line is longer than the limit for one record; this is its beginning"
                          : NULL,
        };
        return true;
    }
    return false;
}

static void scratch_clear(struct buf *b, size_t room)
{
    b->n = 0;
    buf_reserve(b, room);
}

/* Decodes the record's data into `decoded`; NULL, or what is wrong with it. */
static const char *decode(struct source_cursor *c)
{
    struct str data = c->record.data;
    if (!data.p)
        data = (struct str){"", 0};
    const char *defect = NULL;
    if (c->record.escaped) {
        scratch_clear(&c->text, data.n + SOURCE_PAD);
        if (!body_unescape(data, &c->text))
            defect = "the record's data is not base64";
        else
            data = (struct str){(const char *)c->text.p, c->text.n};
    }
    scratch_clear(&c->decoded, base64_decode_room(data.n) + data.n + SOURCE_PAD);
    int64_t n = defect ? -1 : base64_decode(c->decoded.p, data.p, data.n);
    if (n < 0) {
        memcpy(c->decoded.p, data.p, data.n);
        n = (int64_t)data.n;
        defect = "the record's data is not base64";
    }
    c->decoded.n = (size_t)n;
    memset(c->decoded.p + n, 0, SOURCE_PAD);
    return defect;
}

static void fill(struct source_cursor *c, const uint8_t *p, size_t n, int32_t sub,
                 struct source_record *out)
{
    *out = (struct source_record){
        .payload = p,
        .n = n,
        .seq = c->seq,
        .arrived_us = c->record.arrived_us ? c->record.arrived_us : c->b->arrived_us,
        .sub = sub,
        .seq_text = c->record.sequence.p,
        .seq_text_n = c->record.sequence.n,
    };
    if (sub >= 0 && c->record.sequence.n < SEQ_TEXT_MAX) {
        int len = snprintf(c->seq_text, sizeof c->seq_text, "%.*s/%d", (int)c->record.sequence.n,
                           c->record.sequence.p, sub);
        out->seq_text = c->seq_text;
        out->seq_text_n = (size_t)len;
    }
}

static bool next_part(struct source_cursor *c, struct source_record *out)
{
    const uint8_t *p;
    size_t n;
    int32_t sub;
    c->in_aggregate = kpl_next(&c->kpl, &p, &n, &sub);
    if (c->in_aggregate)
        fill(c, p, n, sub, out);
    return c->in_aggregate;
}

static int next_of_body(struct source_cursor *c)
{
    if (!c->b->parsed)
        return body_next(&c->body, &c->at, &c->record);
    if (c->at == c->b->records)
        return 0;
    c->record = c->b->parsed[c->at++];
    return 1;
}

static bool next_record(struct source_cursor *c, struct source_record *out)
{
    if (c->in_aggregate && next_part(c, out))
        return true;
    while (!c->broken) {
        int rc = next_of_body(c);
        c->broken = rc < 0;
        if (rc <= 0)
            return false;
        struct seq seq;
        const char *defect = NULL;
        if (seq_parse(&seq, c->record.sequence.p ? c->record.sequence.p : "", c->record.sequence.n,
                      NULL))
            defect = "the record has no valid sequence number";
        else
            c->seq = seq;
        const char *bad_data = decode(c);
        if (!bad_data && kpl_open(&c->kpl, c->decoded.p, c->decoded.n)) {
            if (next_part(c, out))
                return true;
            continue; /* an aggregate of nothing */
        }
        fill(c, c->decoded.p, c->decoded.n, -1, out);
        out->defect = bad_data ? bad_data : defect;
        return true;
    }
    return false;
}

bool source_cursor_next(struct source_cursor *c, struct source_record *out)
{
    if (c->b->format == BATCH_NDJSON)
        return next_line(c, out);
    return next_record(c, out);
}
