/* A batch's records, one after the other: see source.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/kinesis.h"
#include "source/source.h"

struct source_cursor {
    const struct source_batch *batch;
    size_t at;
    struct kinesis_cursor *kinesis;
};

struct source_cursor *source_cursor_new(void)
{
    struct source_cursor *c = mem_zalloc(sizeof *c);
    c->kinesis = kinesis_cursor_new();
    return c;
}

void source_cursor_free(struct source_cursor *c)
{
    if (!c)
        return;
    kinesis_cursor_free(c->kinesis);
    free(c);
}

void source_cursor_start(struct source_cursor *c, const struct source_batch *b)
{
    c->batch = b;
    c->at = 0;
    if (b->format == BATCH_GET_RECORDS)
        kinesis_cursor_start(c->kinesis, b);
    else if (b->base_offset == 0 && b->n_data >= 3 && memcmp(b->data, "\xef\xbb\xbf", 3) == 0)
        c->at = 3;
}

static bool blank(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

bool source_cursor_next(struct source_cursor *c, struct source_record *out)
{
    const struct source_batch *b = c->batch;
    if (b->format == BATCH_GET_RECORDS)
        return kinesis_cursor_next(c->kinesis, out);
    while (c->at < b->n_data) {
        const uint8_t *p = b->data + c->at, *end = memchr(p, '\n', b->n_data - c->at);
        size_t n = end ? (size_t)(end - p) : b->n_data - c->at;
        c->at += n + (end != NULL);
        if (n && p[n - 1] == '\r')
            n--;
        if (blank(p, n))
            continue;
        *out = (struct source_record){.payload = p,
                                      .n = n,
                                      .seq = seq_of(b->base_offset + c->at),
                                      .arrived_us = b->arrived_us,
                                      .sub = -1,
                                      .defect = n > (10u << 20) ? "the record is larger than 10 MiB" : NULL};
        return true;
    }
    return false;
}
