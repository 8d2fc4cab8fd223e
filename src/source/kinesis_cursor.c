/* The records of a GetRecords answer, taken apart by hand: Data is most of it, and is decoded from base64
 * straight into the scratch that the payload points to. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/kinesis.h"

struct kinesis_cursor {
    const struct source_batch *batch;
    size_t at;
    struct buf payload;
    uint8_t table[256];
};

struct kinesis_cursor *kinesis_cursor_new(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct kinesis_cursor *c = mem_zalloc(sizeof *c);
    memset(c->table, 0xff, sizeof c->table);
    for (uint8_t i = 0; i < 64; i++)
        c->table[(uint8_t)digits[i]] = i;
    return c;
}

void kinesis_cursor_free(struct kinesis_cursor *c)
{
    if (!c)
        return;
    buf_fini(&c->payload);
    free(c);
}

void kinesis_cursor_start(struct kinesis_cursor *c, const struct source_batch *b)
{
    const uint8_t *at = memmem(b->data, b->n_data, "\"Records\"", 9);
    c->batch = b;
    c->at = at ? (size_t)(at - b->data) + 9 : b->n_data;
    while (c->at < b->n_data && b->data[c->at] != '[')
        c->at++;
    c->at += c->at < b->n_data;
}

static bool decode(struct kinesis_cursor *c, const uint8_t *p, size_t n)
{
    while (n && p[n - 1] == '=')
        n--;
    uint8_t *to = (c->payload.n = 0, buf_reserve(&c->payload, n / 4 * 3 + 3 + SOURCE_PAD)), *from = to;
    uint8_t bad = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        uint32_t a = c->table[p[i]], b = c->table[p[i + 1]], d = c->table[p[i + 2]], f = c->table[p[i + 3]];
        bad |= (uint8_t)(a | b | d | f);
        uint32_t v = a << 18 | b << 12 | d << 6 | f;
        *to++ = (uint8_t)(v >> 16);
        *to++ = (uint8_t)(v >> 8);
        *to++ = (uint8_t)v;
    }
    if (n - i == 1)
        bad = 0x80;
    if (n - i >= 2) {
        uint32_t v = (uint32_t)c->table[p[i]] << 18 | (uint32_t)c->table[p[i + 1]] << 12 | (n - i == 3 ? (uint32_t)c->table[p[i + 2]] << 6 : 0);
        *to++ = (uint8_t)(v >> 16);
        if (n - i == 3)
            *to++ = (uint8_t)(v >> 8);
    }
    c->payload.n = (size_t)(to - from);
    memset(to, 0, SOURCE_PAD);
    return !(bad & 0x80);
}

/* A string's content at *at (just past its opening quote); moves past the closing one. */
static struct str text_at(const uint8_t *p, size_t n, size_t *at)
{
    size_t from = *at;
    while (*at < n && p[*at] != '"')
        *at += p[*at] == '\\' ? 2 : 1;
    struct str s = {(const char *)p + from, (*at < n ? *at : n) - from};
    *at += *at < n;
    return s;
}

bool kinesis_cursor_next(struct kinesis_cursor *c, struct source_record *out)
{
    const uint8_t *p = c->batch->data;
    size_t n = c->batch->n_data, i = c->at;
    struct str data = {0}, seq = {0};
    double arrived = 0;
    while (i < n && p[i] != '{' && p[i] != ']')
        i++;
    if (i >= n || p[i] == ']')
        return false;
    for (i++; i < n && p[i] != '}';) {
        if (p[i] != '"') {
            i++;
            continue;
        }
        i++;
        struct str key = text_at(p, n, &i);
        while (i < n && (p[i] == ':' || p[i] == ' '))
            i++;
        if (i < n && p[i] == '"') {
            i++;
            struct str value = text_at(p, n, &i);
            if (str_eq(key, str_of("Data")))
                data = value;
            else if (str_eq(key, str_of("SequenceNumber")))
                seq = value;
        } else if (str_eq(key, str_of("ApproximateArrivalTimestamp"))) {
            arrived = strtod((const char *)p + i, NULL);
            while (i < n && p[i] != ',' && p[i] != '}')
                i++;
        }
    }
    c->at = i + 1;
    *out = (struct source_record){.seq_text = seq.p, .seq_text_n = seq.n, .sub = -1, .arrived_us = (int64_t)(arrived * 1e6)};
    if (!decode(c, (const uint8_t *)data.p, data.n))
        out->defect = "the record's data is not base64";
    out->payload = c->payload.p;
    out->n = c->payload.n;
    return seq_parse(&out->seq, seq.p, seq.n, NULL) == 0;
}
