/* Open addressing, linear, at most half full; it starts small, and a slot is four bytes, so that a column
 * of few values stays in the nearest cache. Texts of up to 15 bytes, which most are, are two words:
 * hashed and compared without a branch on their length. See dict.h. */
#include "parquet/dict.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "parquet/levels.h"
#include "parquet/mask.h"

#define ENTRIES_MAX 65536u
#define SLOTS_MIN 256u
#define SLOTS_FIRST_MAX 8192u
#define PROBES_MAX 512u
#define FEW 256u     /* values after which at most 15 of 16 may have been new, */
#define FIRST 1024u  /* ... three of four, */
#define SAMPLE 4096u /* ... and half */
#define SHORT 15u /* bytes of a text that its key has all of */
#define MIDDLE 32u

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

static inline uint64_t hash_key(struct dict_key key)
{
    return (key.high * 0xbf58476d1ce4e5b9u ^ key.low) * 0x9e3779b97f4a7c15u;
}

/* Where an entry of that hash is looked for first: by the bits that depend on all others. */
static inline uint32_t place(const struct dict *d, uint64_t hash)
{
    return (uint32_t)(hash >> d->shift);
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
    d->shift = 32 + (unsigned)__builtin_clz(d->mask);
    for (uint32_t i = 0; i < d->n; i++) {
        uint64_t hash = hash_key(d->keys[i]);
        uint32_t at = place(d, hash);
        while (d->slots[at])
            at = (at + 1) & d->mask;
        d->slots[at] = i + 1;
    }
}

struct value {
    uint64_t hash;
    struct dict_key key;
    struct str text;
};

static __attribute__((noinline)) uint32_t add_entry(struct dict *d, uint32_t at, const struct value *v, size_t bytes)
{
    if (((at - place(d, v->hash)) & d->mask) > PROBES_MAX)
        d->limit = 0; /* values made to meet in one place: no dictionary */
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : SLOTS_MIN;
        d->keys = mem_regrow(d->keys, d->cap, sizeof *d->keys);
        d->texts = mem_regrow(d->texts, d->cap, sizeof *d->texts);
    }
    d->keys[d->n] = v->key;
    d->texts[d->n] = v->text;
    d->bytes += bytes;
    d->slots[at] = ++d->n;
    if (d->n * 2 > d->mask)
        set_slots(d, (d->mask + 1) * 2);
    return d->n - 1;
}

static inline uint32_t number_of(struct dict *d, uint64_t word, unsigned width)
{
    struct dict_key key = {.low = word};
    uint64_t hash = hash_key(key);
    for (uint32_t at = place(d, hash);; at = (at + 1) & d->mask) {
        uint32_t slot = d->slots[at], entry = slot - 1;
        if (!slot) {
            struct value v = {.hash = hash, .key = key};
            return add_entry(d, at, &v, width);
        }
        if (d->keys[entry].low == word)
            return entry;
    }
}

static inline uint64_t eight(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xbf58476d1ce4e5b9u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of a text longer than SHORT: up to twice as long by four words, which overlap. */
static inline uint64_t hash_long(const char *p, size_t n)
{
    if (n > MIDDLE)
        return XXH3_64bits(p, n);
    return fold(eight(p), eight(p + n - 8)) ^ fold(eight(p + 8), eight(p + n - 16)) * 3;
}

static inline bool same_long(const char *a, const char *b, size_t n)
{
    if (n > MIDDLE)
        return memcmp(a, b, n) == 0;
    return !((eight(a) ^ eight(b)) | (eight(a + 8) ^ eight(b + 8)) | (eight(a + n - 16) ^ eight(b + n - 16)) |
             (eight(a + n - 8) ^ eight(b + n - 8)));
}

/* A short text's bytes, zeros after them, and its length; else its hash and length. `room` may be read. */
static inline struct dict_key key_of(struct str s, size_t room)
{
    struct dict_key key = {0};
    if (s.n > SHORT)
        return (struct dict_key){hash_long(s.p, s.n), (uint64_t)s.n | (uint64_t)255 << 56};
    if (room >= 16) {
        const uint8_t *mask = mask_of(s.n);
        key.low = eight(s.p) & eight(mask);
        key.high = eight(s.p + 8) & eight(mask + 8);
    } else {
        memcpy(&key, s.p, s.n);
    }
    key.high |= (uint64_t)s.n << 56;
    return key;
}

static inline bool same_text(const struct dict *d, uint32_t entry, const struct dict_key *key,
                             struct str s)
{
    const struct dict_key *k = &d->keys[entry];
    return k->low == key->low && k->high == key->high &&
           (s.n <= SHORT || same_long(d->texts[entry].p, s.p, s.n));
}

static inline __attribute__((always_inline)) uint32_t number_of_text(struct dict *d, struct str s, size_t room)
{
    struct dict_key key = key_of(s, room);
    uint64_t hash = hash_key(key);
    for (uint32_t at = place(d, hash);; at = (at + 1) & d->mask) {
        uint32_t slot = d->slots[at], entry = slot - 1;
        if (!slot) {
            struct value v = {.hash = hash, .key = key, .text = s};
            return add_entry(d, at, &v, 4 + s.n);
        }
        if (same_text(d, entry, &key, s))
            return entry;
    }
}

/* Whether to go on after `seen` values. */
static bool promising(const struct dict *d, size_t seen)
{
    return d->n < ENTRIES_MAX && d->bytes <= d->limit &&
           (seen < FEW || d->n <= seen / 16 * 15 + 15) && (seen < FIRST || d->n <= seen / 4 * 3) &&
           (seen < SAMPLE || d->n <= seen / 2);
}

static bool add_texts(struct dict *d, const struct column *c, uint32_t *to, size_t seen)
{
    const uint8_t *p = c->texts, *end = p + c->n_bytes;
    for (uint32_t i = 0; i < c->n_values; i++) {
        struct str text = column_text_at(p);
        p += 4;
        to[i] = number_of_text(d, text, (size_t)(end - p));
        p += text.n;
        if (i % FEW == FEW - 1 && !promising(d, seen + i + 1))
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
        if (i % FEW == FEW - 1 && !promising(d, seen + i + 1))
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
        type == COL_BYTES ? number_of_text(d, p->text, p->text.n) : number_of(d, key, width);
}

static void start(struct dict *d, uint32_t expected, size_t limit_bytes, size_t index)
{
    uint32_t slots = SLOTS_MIN;
    while (slots / 2 < expected && slots < SLOTS_FIRST_MAX)
        slots *= 2;
    d->n = 0;
    set_slots(d, slots);
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
                uint32_t expected, const struct pq_piece *pieces, size_t n)
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
        plain += width ? count * width : col ? p->col->n_bytes : count ? p->rows * (4 + p->text.n) : 0;
    }
    if (type == COL_BOOL || values < 2 || (values < 16 && !all_const))
        return false;
    start(d, expected, limit_bytes, index);
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
    /* what repeats less, compression finds: the text is smaller then than its dictionary and the indices */
    return d->n <= values / 2 && d->bytes + packed < plain;
}
