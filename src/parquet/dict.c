/* Open addressing, linear, at most half full; it starts small, so that a column of few values stays
 * in the nearest cache. See dict.h. */
#include "parquet/dict.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "parquet/levels.h"

#define ENTRIES_MAX 65536u
#define SLOTS_MIN 1024u
#define SAMPLE 4096u /* values after which at most half may have been new */

void dict_fini(struct dict *d)
{
    free(d->slots);
    free(d->keys);
    free(d->texts);
    free(d->index);
    *d = (struct dict){0};
}

static uint32_t place(uint64_t key)
{
    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32);
}

static void grow_slots(struct dict *d)
{
    uint32_t slots = d->mask ? (d->mask + 1) * 2 : SLOTS_MIN;
    struct dict_slot *old = d->slots, *now = mem_array(slots, sizeof *now);
    for (uint32_t i = 0; d->mask && i <= d->mask; i++) {
        if (!old[i].entry)
            continue;
        uint32_t at = place(old[i].key) & (slots - 1);
        while (now[at].entry)
            at = (at + 1) & (slots - 1);
        now[at] = old[i];
    }
    free(old);
    d->slots = now;
    d->mask = slots - 1;
}

static uint32_t add_entry(struct dict *d, uint32_t at, uint64_t key, struct str text, size_t bytes)
{
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
        grow_slots(d);
    return d->n - 1;
}

static inline uint32_t number_of(struct dict *d, uint64_t key, unsigned width)
{
    for (uint32_t at = place(key) & d->mask;; at = (at + 1) & d->mask) {
        if (!d->slots[at].entry)
            return add_entry(d, at, key, (struct str){0}, width);
        if (d->slots[at].key == key)
            return d->slots[at].entry - 1;
    }
}

static inline uint32_t number_of_text(struct dict *d, struct str s)
{
    uint64_t key = XXH3_64bits(s.p, s.n);
    for (uint32_t at = place(key) & d->mask;; at = (at + 1) & d->mask) {
        if (!d->slots[at].entry)
            return add_entry(d, at, key, s, 4 + s.n);
        if (d->slots[at].key == key && str_eq(d->texts[d->slots[at].entry - 1], s))
            return d->slots[at].entry - 1;
    }
}

/* Whether to go on after `seen` values. */
static bool promising(const struct dict *d, size_t seen)
{
    return d->n < ENTRIES_MAX && d->bytes <= d->limit && (seen < SAMPLE || d->n <= seen / 2);
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
    if (d->mask + 1 > SLOTS_MIN * 16) { /* a large table of the chunk before */
        free(d->slots);
        d->slots = NULL;
        d->mask = 0;
    }
    if (d->slots)
        memset(d->slots, 0, (d->mask + 1u) * sizeof *d->slots);
    else
        grow_slots(d);
    if (d->cap_index < index) {
        free(d->index);
        d->cap_index = index + index / 4;
        d->index = mem_alloc(d->cap_index * sizeof *d->index);
    }
    d->n = 0;
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
