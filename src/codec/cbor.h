/* cbor (RFC 8949), read in place: what Kinesis speaks beside JSON. What each of its records needs is inlined. */
#ifndef INLET_CODEC_CBOR_H
#define INLET_CODEC_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CBOR_DEPTH_MAX 16 /* arrays, maps and tags within each other */
#define CBOR_BREAK 0xff
#define CBOR_NULL 0xf6

enum cbor_kind { CBOR_UINT, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_TAG, CBOR_OTHER };

struct cbor {
    const uint8_t *p, *end;
};
struct cbor_head {
    enum cbor_kind kind;
    bool open;    /* of no stated length: up to a break */
    uint8_t size; /* bytes that `n` took; of CBOR_OTHER it tells floats (2, 4, 8) from words (0, 1) */
    uint64_t n;   /* the number, the length, or a float's bits */
};

static inline uint64_t cbor_bytes(const uint8_t *p, size_t size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++)
        n = n << 8 | p[i];
    return n;
}

/* All move on where they answer true. False: the item is not whole, or broken, or (where a kind is asked for) another. */
bool cbor_rare_head(struct cbor *c, struct cbor_head *h);
static inline bool cbor_head(struct cbor *c, struct cbor_head *h)
{
    size_t left = (size_t)(c->end - c->p);
    uint8_t low = left ? *c->p & 31 : 31;
    if (low > 25 || left < 3)
        return cbor_rare_head(c, h);
    uint8_t size = low < 24 ? 0 : low - 23;
    uint64_t n = low < 24 ? low : low == 24 ? c->p[1] : cbor_bytes(c->p + 1, 2);
    *h = (struct cbor_head){.kind = (enum cbor_kind)(*c->p >> 5), .size = size, .n = n};
    c->p += 1 + size;
    return true;
}

bool cbor_skip(struct cbor *c); /* any item */

static inline bool cbor_eat(struct cbor *c, uint8_t byte)
{
    if (c->p == c->end || *c->p != byte)
        return false;
    c->p++;
    return true;
}

/* A text or bytes of stated length: a view. */
static inline bool cbor_string(struct cbor *c, enum cbor_kind kind, const char **p, size_t *n)
{
    struct cbor at = *c;
    struct cbor_head h;
    if (!cbor_head(&at, &h) || h.kind != kind || h.open || h.n > (size_t)(at.end - at.p))
        return false;
    *p = (const char *)at.p;
    *n = (size_t)h.n;
    c->p = at.p + h.n;
    return true;
}

/* Integers and floats, behind any tags. */
bool cbor_number(struct cbor *c, double *out);

#endif
