/* What of a row is there, as bits; see shred_int.h. Of each column a bit a row is written instead of a level a
 * column: a row touches one place more instead of one for each of its values, and what is missing costs
 * nothing at all. */
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/mem.h"
#include "shred/shred_int.h"

#define WORD_BITS 64
#define ROWS_MIN 16

static uint32_t words_of(uint32_t n_cols)
{
    return (n_cols + WORD_BITS - 1) / WORD_BITS;
}

void rows_room(struct shredder *s, uint32_t n_cols)
{
    uint32_t words = words_of(n_cols);
    if (words <= s->cap_bits)
        return;
    s->bits = mem_regrow(s->bits, words, sizeof *s->bits);
    memset(s->bits + s->cap_bits, 0, (words - s->cap_bits) * sizeof *s->bits);
    s->cap_bits = words;
}

static void more_words(struct rowset *r, uint32_t words)
{
    size_t one = sizeof *r->bits, bytes = words * one;
    r->bits = arena_regrow(&r->arena, r->bits, r->n_bits * one, r->n_bits * one, &bytes, 8);
    for (; r->n_bits < words; r->n_bits++)
        r->bits[r->n_bits] = (struct row_bits){.from = r->rows};
}

static __attribute__((noinline)) void more_rows(struct rowset *r, struct row_bits *b, uint32_t hint)
{
    size_t one = sizeof *b->of_row, rows = b->cap + b->cap / 2 + ROWS_MIN;
    if (rows < hint && hint / 8 <= rows)
        rows = hint + hint / 16;
    size_t bytes = rows * one;
    b->of_row = arena_regrow(&r->arena, b->of_row, b->cap * one, b->cap * one, &bytes, 64);
    b->cap = (uint32_t)(bytes / one);
}

void rows_end(struct shredder *s)
{
    struct rowset *r = s->set;
    uint32_t words = words_of(ENV_COLUMNS + s->shape->n_columns);
    if (__builtin_expect(words > r->n_bits, 0))
        more_words(r, words);
    for (uint32_t i = 0; i < words; i++) {
        struct row_bits *b = &r->bits[i];
        uint32_t at = r->rows - b->from;
        if (__builtin_expect(at == b->cap, 0))
            more_rows(r, b, s->shape->hint_rows);
        b->of_row[at] = s->bits[i];
        s->bits[i] = 0;
    }
}

static uint64_t bit_of(const struct rowset *r, uint32_t col, uint32_t row)
{
    if (col / WORD_BITS >= r->n_bits || row < r->bits[col / WORD_BITS].from)
        return 0;
    const struct row_bits *b = &r->bits[col / WORD_BITS];
    return b->of_row[row - b->from] >> (col % WORD_BITS) & 1;
}

uint8_t rows_structs(const struct rowset *r, const struct lnode *n, uint32_t row)
{
    uint64_t there = 0;
    for (; n->parent; n = n->parent)
        there += bit_of(r, (uint32_t)n->only, row);
    return (uint8_t)there;
}

/* A bit of each of eight words, each a byte. */
static inline uint64_t eight_bits(const uint64_t w[8], unsigned shift)
{
#if defined(__SSE2__)
    const __m128i *v = (const __m128i *)(const void *)w, one = _mm_set1_epi64x(1), by = _mm_cvtsi32_si128((int)shift);
    __m128i q[4];
    for (int i = 0; i < 4; i++)
        q[i] = _mm_and_si128(_mm_srl_epi64(_mm_loadu_si128(v + i), by), one);
    /* All are 0 or 1: nothing is lost where halves are packed. */
    __m128i low = _mm_packs_epi32(q[0], q[1]), high = _mm_packs_epi32(q[2], q[3]);
    low = _mm_packs_epi32(low, high);
    return (uint64_t)_mm_cvtsi128_si64(_mm_packus_epi16(low, low));
#else
    uint64_t eight = 0;
    for (unsigned k = 0; k < 8; k++)
        eight |= (w[k] >> shift & 1) << (8 * k);
    return eight;
#endif
}

/* Adds a column's bit to each row's byte: eight rows at a time. */
static void add_bits(uint8_t *def, const struct rowset *r, uint32_t col)
{
    if (col / WORD_BITS >= r->n_bits)
        return;
    const struct row_bits *b = &r->bits[col / WORD_BITS];
    const uint64_t *of_row = b->of_row, one = (uint64_t)1;
    unsigned shift = col % WORD_BITS;
    uint32_t n = r->rows - b->from, i = 0;
    def += b->from;
    for (; i + 8 <= n; i += 8) {
        uint64_t sum;
        memcpy(&sum, def + i, 8);
        sum += eight_bits(of_row + i, shift);
        memcpy(def + i, &sum, 8);
    }
    for (; i < n; i++)
        def[i] = (uint8_t)(def[i] + (of_row[i] >> shift & one));
}

static bool all_zero(const uint8_t *p, uint32_t n)
{
    return n == 0 || (!p[0] && memcmp(p, p + 1, n - 1) == 0);
}

/* `up`: of its place, NULL for the envelope's own. No levels at all where it was never met. */
static void make_levels(struct rowset *r, struct column *c, uint32_t col, const struct lnode *up)
{
    bool nested = up && up->parent;
    if (c->max_def && (c->n_values || nested)) {
        size_t room = r->rows;
        c->def = arena_regrow(&r->arena, NULL, 0, 0, &room, 8);
        c->cap_levels = r->rows;
        memset(c->def, c->n_values == r->rows ? c->max_def : 0, r->rows);
        for (; c->n_values < r->rows && up && up->parent; up = up->parent)
            add_bits(c->def, r, (uint32_t)up->only);
        if (c->n_values && c->n_values < r->rows)
            add_bits(c->def, r, col);
        if (!c->n_values && all_zero(c->def, r->rows))
            return;
    }
    if (c->n_values || nested)
        c->rows = c->n_levels = r->rows;
}

void rows_levels(struct rowset *r, const struct shape *sh)
{
    for (uint32_t i = 0; r->rows && i < r->n_cols; i++) {
        struct column *c = &r->cols[i].col;
        if (c->live && !c->max_rep)
            make_levels(r, c, i, i < ENV_COLUMNS ? NULL : sh->columns[i - ENV_COLUMNS].node->parent);
    }
}
