/* cbor: see cbor.h. */
#include "codec/cbor.h"

#include <string.h>

#define OPEN 31

bool cbor_head(struct cbor *c, struct cbor_head *h)
{
    size_t left = (size_t)(c->end - c->p);
    if (!left || *c->p == CBOR_BREAK)
        return false;
    uint8_t low = *c->p & 31;
    *h = (struct cbor_head){.kind = (enum cbor_kind)(*c->p >> 5), .n = low};
    if (low == OPEN) {
        h->open = true;
        h->n = 0;
        c->p++;
        return h->kind >= CBOR_BYTES && h->kind <= CBOR_MAP;
    }
    if (low >= 24) {
        if (low > 27)
            return false;
        h->size = (uint8_t)(1u << (low - 24));
        if (left <= h->size)
            return false;
        h->n = 0;
        for (uint8_t i = 1; i <= h->size; i++)
            h->n = h->n << 8 | c->p[i];
    }
    c->p += 1 + h->size;
    return true;
}

static bool skip(struct cbor *c, int depth);

/* n items; or all up to a break. */
static bool skip_items(struct cbor *c, bool open, uint64_t n, int depth)
{
    while (open ? !cbor_eat(c, CBOR_BREAK) : n-- > 0)
        if (!skip(c, depth + 1))
            return false;
    return true;
}

static bool skip(struct cbor *c, int depth)
{
    struct cbor_head h;
    if (depth > CBOR_DEPTH_MAX || !cbor_head(c, &h))
        return false;
    switch (h.kind) {
    case CBOR_BYTES:
    case CBOR_TEXT:
        if (h.open)
            return skip_items(c, true, 0, depth);
        if (h.n > (size_t)(c->end - c->p))
            return false;
        c->p += h.n;
        return true;
    case CBOR_ARRAY: return skip_items(c, h.open, h.n, depth);
    case CBOR_MAP: return h.n <= UINT64_MAX / 2 && skip_items(c, h.open, h.n * 2, depth);
    case CBOR_TAG: return skip(c, depth + 1);
    default: return true;
    }
}

bool cbor_skip(struct cbor *c)
{
    struct cbor at = {c->p, c->end};
    if (!skip(&at, 0))
        return false;
    c->p = at.p;
    return true;
}

bool cbor_rare_string(struct cbor *c, enum cbor_kind kind, const char **p, size_t *n)
{
    struct cbor at = {c->p, c->end};
    struct cbor_head h;
    if (!cbor_head(&at, &h) || h.kind != kind || h.open || h.n > (size_t)(at.end - at.p))
        return false;
    *p = (const char *)at.p;
    *n = (size_t)h.n;
    c->p = at.p + h.n;
    return true;
}

static double float_of(const struct cbor_head *h)
{
    double d;
    float f;
    uint32_t bits = (uint32_t)h->n;
    if (h->size == 8) {
        memcpy(&d, &h->n, sizeof d);
        return d;
    }
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

bool cbor_number(struct cbor *c, double *out)
{
    struct cbor at = {c->p, c->end};
    struct cbor_head h;
    do
        if (!cbor_head(&at, &h))
            return false;
    while (h.kind == CBOR_TAG);
    if (h.kind == CBOR_UINT)
        *out = (double)h.n;
    else if (h.kind == CBOR_NEGATIVE)
        *out = -1 - (double)h.n;
    else if (h.kind == CBOR_OTHER && h.size >= 4)
        *out = float_of(&h);
    else
        return false;
    c->p = at.p;
    return true;
}
