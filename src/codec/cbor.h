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

/* All move on where they answer true. False: the item is not whole, or broken, or (where a kind is asked for) another. */
bool cbor_head(struct cbor *c, struct cbor_head *h);
bool cbor_skip(struct cbor *c); /* any item */

static inline bool cbor_eat(struct cbor *c, uint8_t byte)
{
    if (c->p == c->end || *c->p != byte)
        return false;
    c->p++;
    return true;
}

/* A text or bytes of stated length: a view. */
bool cbor_rare_string(struct cbor *c, enum cbor_kind kind, const char **p, size_t *n);
static inline bool cbor_string(struct cbor *c, enum cbor_kind kind, const char **p, size_t *n)
{
    const uint8_t *at = c->p;
    size_t left = (size_t)(c->end - at);
    if (left < 3 || *at >> 5 != kind || (*at & 31) > 25)
        return cbor_rare_string(c, kind, p, n);
    size_t low = *at & 31, size = low < 24 ? 1 : low - 22;
    size_t length = low < 24 ? low : low == 24 ? at[1] : (size_t)at[1] << 8 | at[2];
    if (length > left - size)
        return false;
    *p = (const char *)at + size;
    *n = length;
    c->p = at + size + length;
    return true;
}

/* Integers and floats, behind any tags. */
bool cbor_number(struct cbor *c, double *out);

#endif
