/* Open addressing, linear, at most half full; it starts small, so that a column of few values stays
 * in the nearest cache. See dict.h. */
#include "parquet/dict.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "parquet/levels.h"

#define ENTRIES_MAX 65536u
#define SLOTS_MIN 256u
#define PROBES_MAX 512u
#define FIRST 1024u  /* values after which at most seven of eight may have been new, */
#define SAMPLE 4096u /* ... and at most half */

void dict_fini(struct dict *d)
{
    free(d->slots);
    free(d->keys);
    free(d->texts);
    free(d->index);
    *d = (struct dict){0};
}

size_t dict_bytes(const struct dict *d)
{
    return d->cap_slots * sizeof *d->slots + d->cap * (sizeof *d->keys + sizeof *d->texts) +
           d->cap_index * sizeof *d->index;
}

static uint32_t place(uint64_t key)
{
    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32);
}

/* An empty table of so many slots, with what has an entry already. */
static void set_slots(struct dict *d, uint32_t slots)
{
    if (slots > d->cap_slots) {
        free(d->slots);
        d->slots = mem_array(slots, sizeof *d->slots);
        d->cap_slots = slots;
    } else {
        memset(d->slots, 0, slots * sizeof *d->slots);
    }
    d->mask = slots - 1;
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t at = place(d->keys[i]) & d->mask;
        while (d->slots[at].entry)
            at = (at + 1) & d->mask;
        d->slots[at] = (struct dict_slot){d->keys[i], i + 1};
    }
}

static uint32_t add_entry(struct dict *d, uint32_t from, uint32_t at, uint64_t key, struct str text,
                          size_t bytes)
{
    if (((at - from) & d->mask) > PROBES_MAX)
        d->limit = 0; /* values made to meet in one place: no dictionary */
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : SLOTS_MIN;
        d->keys = mem_regrow(d->keys, d->cap, sizeof *d->keys);
        d->texts = mem_regrow(d->texts, d->cap, sizeof *d->texts);
    }
    d->keys[d->n] = key;
    d->texts[d->n] = text;
    d->bytes += bytes;
    d->slots[at] = (struct dict_slot){key, ++d->n};
    if (d->n * 2 > d->mask)
        set_slots(d, (d->mask + 1) * 2);
    return d->n - 1;
}

static inline uint32_t number_of(struct dict *d, uint64_t key, unsigned width)
{
    uint32_t from = place(key) & d->mask;
    for (uint32_t at = from;; at = (at + 1) & d->mask) {
        if (!d->slots[at].entry)
            return add_entry(d, from, at, key, (struct str){0}, width);
        if (d->slots[at].key == key)
            return d->slots[at].entry - 1;
    }
}

static inline uint64_t eight(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint64_t four(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u + b;
    a = (a ^ a >> 32) * 0x94d049bb133111ebu;
    return a ^ a >> 29;
}

/* Texts of up to 16 bytes, which most are, by two words that overlap. */
static inline uint64_t hash_text(const char *p, size_t n)
{
    if (n > 16)
        return XXH3_64bits(p, n);
    if (n >= 8)
        return mix(eight(p), eight(p + n - 8) + n);
    if (n >= 4)
        return mix(four(p) | four(p + n - 4) << 32, n);
    if (!n)
        return 0;
    return mix((uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << 8 |
                   (uint64_t)(uint8_t)p[n - 1] << 16,
               n);
}

static inline bool same_text(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    if (a.n > 16 || a.n < 8)
        return a.n < 4   ? (!a.n || memcmp(a.p, b.p, a.n) == 0)
               : a.n < 8 ? four(a.p) == four(b.p) && four(a.p + a.n - 4) == four(b.p + a.n - 4)
                         : memcmp(a.p, b.p, a.n) == 0;
    return eight(a.p) == eight(b.p) && eight(a.p + a.n - 8) == eight(b.p + a.n - 8);
}

static inline uint32_t number_of_text(struct dict *d, struct str s)
{
    uint64_t key = hash_text(s.p, s.n);
    uint32_t from = place(key) & d->mask;
    for (uint32_t at = from;; at = (at + 1) & d->mask) {
        if (!d->slots[at].entry)
            return add_entry(d, from, at, key, s, 4 + s.n);
        if (d->slots[at].key == key && same_text(d->texts[d->slots[at].entry - 1], s))
            return d->slots[at].entry - 1;
    }
}

/* Whether to go on after `seen` values. */
static bool promising(const struct dict *d, size_t seen)
{
    return d->n < ENTRIES_MAX && d->bytes <= d->limit &&
           (seen < FIRST || d->n <= seen / 8 * 7 + 7) && (seen < SAMPLE || d->n <= seen / 2);
}

static bool add_texts(struct dict *d, const struct column *c, uint32_t *to, size_t seen)
{
    const uint8_t *p = c->bytes ? c->bytes : (const uint8_t *)"";
    for (uint32_t i = 0; i < c->n_values; p += c->lens[i++]) {
        to[i] = number_of_text(d, (struct str){(const char *)p, c->lens[i]});
        if ((i & 1023) == 1023 && !promising(d, seen + i + 1))
            return false;
    }
    return true;
}

static bool add_words(struct dict *d, const struct column *c, unsigned width, uint32_t *to,
                      size_t seen)
{
    for (uint32_t i = 0; i < c->n_values; i++) {
        uint64_t key;
        memcpy(&key, &c->longs[i], 8);
        to[i] = number_of(d, key, width);
        if ((i & 1023) == 1023 && !promising(d, seen + i + 1))
            return false;
    }
    return true;
}

static void add_const(struct dict *d, enum col_type type, unsigned width, const struct pq_piece *p)
{
    uint64_t key = (uint64_t)p->number;
    double real = (double)p->number;
    if (type == COL_DOUBLE)
        memcpy(&key, &real, 8);
    d->index[d->n_index++] =
        type == COL_BYTES ? number_of_text(d, p->text) : number_of(d, key, width);
}

static void start(struct dict *d, size_t limit_bytes, size_t index)
{
    d->n = 0;
    set_slots(d, SLOTS_MIN);
    if (d->cap_index < index) {
        free(d->index);
        d->cap_index = index + index / 4;
        d->index = mem_alloc(d->cap_index * sizeof *d->index);
    }
    d->n_index = 0;
    d->bytes = 0;
    d->limit = limit_bytes;
}

bool dict_build(struct dict *d, enum col_type type, unsigned width, size_t limit_bytes,
                const struct pq_piece *pieces, size_t n)
{
    size_t values = 0, index = 0, plain = 0, seen = 0;
    bool all_const = true;
    for (size_t i = 0; i < n; i++) {
        const struct pq_piece *p = &pieces[i];
        bool col = p->kind == PQ_PIECE_COLUMN;
        size_t count = col ? p->col->n_values : p->kind == PQ_PIECE_CONST ? p->rows : 0;
        values += count;
        index += col ? count : 1;
        all_const &= !col || !count;
        plain += width ? count * width
                       : count * 4 + (col     ? p->col->n_bytes
                                      : count ? p->rows * p->text.n
                                              : 0);
    }
    if (type == COL_BOOL || values < 2 || (values < 16 && !all_const))
        return false;
    start(d, limit_bytes, index);
    for (size_t i = 0; i < n; i++) {
        const struct pq_piece *p = &pieces[i];
        if (p->kind == PQ_PIECE_CONST) {
            add_const(d, type, width, p);
            seen += p->rows;
        } else if (p->kind == PQ_PIECE_COLUMN) {
            uint32_t *to = d->index + d->n_index;
            if (type == COL_BYTES ? !add_texts(d, p->col, to, seen)
                                  : !add_words(d, p->col, width, to, seen))
                return false;
            d->n_index += p->col->n_values;
            seen += p->col->n_values;
        }
        if (!promising(d, seen))
            return false;
    }
    size_t packed = all_const ? n * 8 : values * levels_width(d->n - 1) / 8;
    return d->bytes + packed < plain;
}
