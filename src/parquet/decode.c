/* Encodings.md of parquet-format. Every count in the input is checked against the bytes that are
 * there before it is believed. See decode.h. */
#include "parquet/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "parquet/levels.h"

enum col_type decode_col_type(int32_t physical)
{
    switch (physical) {
    case PHYSICAL_BOOLEAN:
        return COL_BOOL;
    case PHYSICAL_INT32:
    case PHYSICAL_INT64:
        return COL_LONG;
    case PHYSICAL_FLOAT:
    case PHYSICAL_DOUBLE:
        return COL_DOUBLE;
    default:
        return COL_BYTES;
    }
}

static void make_room(struct column *c, uint32_t n)
{
    if (c->type != COL_BYTES && c->cap_values - c->n_values < n)
        column_grow_values(c, n);
}

/* Where n bytes of one more text are to be written; NULL: too many. */
static uint8_t *text_room(struct column *c, size_t n)
{
    if (n > DECODE_BYTES_MAX || n + 4 > DECODE_BYTES_MAX - c->n_bytes)
        return NULL;
    if (c->cap_bytes - c->n_bytes < n + 4)
        column_grow_bytes(c, n + 4);
    return c->texts + c->n_bytes + 4;
}

static int add_text(struct column *c, const void *p, size_t n)
{
    uint8_t *to = text_room(c, n);
    if (!to)
        return -1;
    if (n)
        memcpy(to, p, n);
    column_text_end(c, n);
    return 0;
}

/* ---- PLAIN ---- */

static int plain_texts(struct column *c, const uint8_t *p, size_t n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len;
        if (n < 4)
            return -1;
        memcpy(&len, p, 4);
        if (len > n - 4 || add_text(c, p + 4, len))
            return -1;
        p += 4u + len;
        n -= 4u + len;
    }
    return 0;
}

static int plain_fixed(struct column *c, const uint8_t *p, size_t n, uint32_t count, size_t width)
{
    int rc = count > n / width ? -1 : 0;
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = add_text(c, p + i * width, width);
    return rc;
}

static int64_t load_long(const uint8_t *p, size_t width)
{
    int32_t small;
    int64_t big;
    if (width == 4) {
        memcpy(&small, p, 4);
        return small;
    }
    memcpy(&big, p, 8);
    return big;
}

static double load_double(const uint8_t *p, size_t width)
{
    float small;
    double big;
    if (width == 4) {
        memcpy(&small, p, 4);
        return (double)small;
    }
    memcpy(&big, p, 8);
    return big;
}

static size_t fixed_width(const struct footer_leaf *leaf)
{
    switch (leaf->physical) {
    case PHYSICAL_INT32:
    case PHYSICAL_FLOAT:
        return 4;
    case PHYSICAL_INT64:
    case PHYSICAL_DOUBLE:
        return 8;
    case PHYSICAL_INT96:
        return 12;
    default:
        return leaf->type_length > 0 ? (size_t)leaf->type_length : 0;
    }
}

static int plain_bools(struct column *c, const uint8_t *p, size_t n, uint32_t count)
{
    if ((count + 7u) / 8 > n)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        c->bools[c->n_values++] = p[i / 8] >> (i % 8) & 1;
    return 0;
}

static int plain(struct column *c, const struct footer_leaf *leaf, const uint8_t *p, size_t n,
                 uint32_t count)
{
    size_t width = fixed_width(leaf);
    if (leaf->physical == PHYSICAL_BOOLEAN)
        return plain_bools(c, p, n, count);
    if (leaf->physical == PHYSICAL_BYTES)
        return plain_texts(c, p, n, count);
    if (width == 0 || count > n / width)
        return -1;
    if (c->type == COL_BYTES)
        return plain_fixed(c, p, n, count, width);
    for (uint32_t i = 0; i < count; i++, p += width)
        if (c->type == COL_LONG)
            c->longs[c->n_values++] = load_long(p, width);
        else
            c->doubles[c->n_values++] = load_double(p, width);
    return 0;
}

/* ---- dictionary ---- */

static int gather_texts(struct column *c, const struct column *dict, const uint32_t *index,
                        uint32_t count)
{
    size_t *starts = mem_array(dict->n_values + 1u, sizeof *starts);
    int rc = 0;
    for (uint32_t i = 0; i < dict->n_values; i++)
        starts[i + 1] = starts[i] + 4 + column_text_at(dict->texts + starts[i]).n;
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct str text = column_text_at(dict->texts + starts[index[i]]);
        rc = add_text(c, text.p, text.n);
    }
    free(starts);
    return rc;
}

static int indexed(struct column *c, const uint8_t *p, size_t n, uint32_t count,
                   const struct column *dict)
{
    if (!count)
        return 0;
    if (!dict || !dict->n_values || n < 1)
        return -1;
    uint32_t *index = mem_array(count, sizeof *index);
    int rc = levels_decode32(p + 1, n - 1, p[0], dict->n_values - 1, index, count);
    if (!rc && c->type == COL_BYTES)
        rc = gather_texts(c, dict, index, count);
    else if (!rc && c->type == COL_BOOL)
        rc = -1;
    else if (!rc)
        for (uint32_t i = 0; i < count; i++) /* longs and doubles are as wide */
            c->longs[c->n_values++] = dict->longs[index[i]];
    free(index);
    return rc;
}

/* ---- delta ---- */

struct delta {
    const uint8_t *p, *end;
};

static bool delta_varint(struct delta *d, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; d->p < d->end && shift < 64; shift += 7) {
        uint8_t b = *d->p++;
        *v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return true;
    }
    return false;
}

static uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

static uint64_t delta_bits(const uint8_t *p, size_t i, unsigned width)
{
    uint64_t v = 0;
    size_t bit = i * width;
    for (unsigned have = 0; have < width;) {
        unsigned in = (unsigned)((bit + have) % 8), take = 8 - in;
        if (take > width - have)
            take = width - have;
        v |= ((uint64_t)(p[(bit + have) / 8] >> in) & ((1u << take) - 1)) << have;
        have += take;
    }
    return v;
}

/* One miniblock of `per` deltas, of which `want` are wanted. */
static bool delta_mini(struct delta *d, unsigned width, size_t per, uint64_t least, uint64_t *last,
                       int64_t *out, size_t want)
{
    size_t bytes = per / 8 * width, left = (size_t)(d->end - d->p);
    if (width > 64 || (want * width + 7) / 8 > left)
        return false;
    for (size_t i = 0; i < want; i++) {
        *last += least + delta_bits(d->p, i, width);
        out[i] = (int64_t)*last;
    }
    d->p += bytes < left ? bytes : left;
    return true;
}

/* DELTA_BINARY_PACKED: exactly `count` values. Steps p over what it read. */
static int delta_longs(struct delta *d, int64_t *out, uint32_t count)
{
    uint64_t block, minis, total, last, least;
    if (!delta_varint(d, &block) || !delta_varint(d, &minis) || !delta_varint(d, &total) ||
        !delta_varint(d, &last))
        return -1;
    if (total != count || minis == 0 || minis > 512 || block > (1u << 20) || block % minis ||
        block / minis % 8 || block == 0)
        return -1;
    if (!count)
        return 0;
    last = unzigzag(last);
    out[0] = (int64_t)last;
    for (size_t at = 1, per = block / minis; at < count;) {
        if (!delta_varint(d, &least) || (size_t)(d->end - d->p) < minis)
            return -1;
        const uint8_t *widths = d->p;
        d->p += minis;
        for (size_t m = 0; m < minis && at < count; m++) {
            size_t want = count - at < per ? count - at : per;
            if (!delta_mini(d, widths[m], per, unzigzag(least), &last, out + at, want))
                return -1;
            at += want;
        }
    }
    return 0;
}

static int delta_texts(struct column *c, struct delta *d, uint32_t count)
{
    int64_t *lens = mem_array(count + 1u, sizeof *lens);
    int rc = delta_longs(d, lens, count);
    for (uint32_t i = 0; !rc && i < count; i++) {
        if (lens[i] < 0 || lens[i] > d->end - d->p || lens[i] > UINT32_MAX) {
            rc = -1;
            break;
        }
        rc = add_text(c, d->p, (size_t)lens[i]);
        d->p += lens[i];
    }
    free(lens);
    return rc;
}

/* DELTA_BYTE_ARRAY: lengths of prefixes shared with the text before, then the suffixes. */
static int delta_prefixed(struct column *c, struct delta *d, uint32_t count)
{
    int64_t *prefix = mem_array(count + 1u, sizeof *prefix);
    int64_t *suffix = mem_array(count + 1u, sizeof *suffix);
    size_t before = 0;
    int rc = delta_longs(d, prefix, count);
    if (!rc)
        rc = delta_longs(d, suffix, count);
    for (uint32_t i = 0; !rc && i < count; i++) {
        size_t shared = (size_t)prefix[i], own = (size_t)suffix[i];
        bool fits = prefix[i] >= 0 && shared <= before && suffix[i] >= 0 && suffix[i] <= d->end - d->p;
        uint8_t *to = fits ? text_room(c, shared + own) : NULL;
        if (!to) {
            rc = -1;
            break;
        }
        if (shared)
            memcpy(to, to - 4 - before, shared);
        if (own)
            memcpy(to + shared, d->p, own);
        d->p += own;
        before = shared + own;
        column_text_end(c, before);
    }
    free(prefix);
    free(suffix);
    return rc;
}

static int delta_packed(struct column *c, const struct footer_leaf *leaf, struct delta *d,
                        uint32_t count)
{
    if (c->type != COL_LONG)
        return -1;
    int64_t *to = c->longs + c->n_values;
    if (delta_longs(d, to, count))
        return -1;
    if (leaf->physical == PHYSICAL_INT32) /* its sums wrap at 32 bits */
        for (uint32_t i = 0; i < count; i++)
            to[i] = (int32_t)(uint32_t)(uint64_t)to[i];
    c->n_values += count;
    return 0;
}

/* ---- the rest ---- */

/* BYTE_STREAM_SPLIT: all first bytes, then all second bytes ... */
static int split(struct column *c, const struct footer_leaf *leaf, const uint8_t *p, size_t n,
                 uint32_t count)
{
    size_t width = fixed_width(leaf);
    if (width == 0 || c->type == COL_BOOL || leaf->physical == PHYSICAL_BYTES || count > n / width)
        return -1;
    uint8_t *whole = mem_alloc(count * width + 1);
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < width; b++)
            whole[i * width + b] = p[b * count + i];
    int rc = plain(c, leaf, whole, count * width, count);
    free(whole);
    return rc;
}

static int rle_bools(struct column *c, const uint8_t *p, size_t n, uint32_t count)
{
    uint32_t len;
    if (c->type != COL_BOOL || n < 4)
        return -1;
    memcpy(&len, p, 4);
    if (len > n - 4 || levels_decode8(p + 4, len, 1, 1, c->bools + c->n_values, count))
        return -1;
    c->n_values += count;
    return 0;
}

int decode_values(struct column *out, const struct footer_leaf *leaf, int32_t encoding,
                  const uint8_t *p, size_t n, uint32_t count, const struct column *dict,
                  struct err *e)
{
    struct delta d = {p, p + n};
    int rc = -1;
    if (count == 0)
        return 0;
    make_room(out, count);
    if (encoding == ENCODING_PLAIN)
        rc = plain(out, leaf, p, n, count);
    else if (encoding == ENCODING_RLE_DICTIONARY || encoding == ENCODING_PLAIN_DICTIONARY)
        rc = indexed(out, p, n, count, dict);
    else if (encoding == ENCODING_RLE)
        rc = rle_bools(out, p, n, count);
    else if (encoding == ENCODING_DELTA)
        rc = delta_packed(out, leaf, &d, count);
    else if (encoding == ENCODING_DELTA_LENGTH && leaf->physical == PHYSICAL_BYTES)
        rc = delta_texts(out, &d, count);
    else if (encoding == ENCODING_DELTA_BYTES && out->type == COL_BYTES)
        rc = delta_prefixed(out, &d, count);
    else if (encoding == ENCODING_SPLIT)
        rc = split(out, leaf, p, n, count);
    return rc ? err_set(e, ERR_INVALID, "%s: broken values of encoding %d", leaf->path, encoding)
              : 0;
}
