/* column: one leaf column in memory, as the shredder fills it and the Parquet writer reads it.
 *
 * Dremel levels (Parquet format, "Nested Encoding"): each entry has a definition level and, inside
 * lists, a repetition level; only entries with def == max_def have a value. A column with
 * max_def 0 (required, top level) has no level array, one with max_rep 0 no repetition array.
 *
 *   entries   def[i], rep[i]          i < n_levels
 *   values    longs[j] / doubles[j] / bools[j]     j < n_values, densely packed
 *             texts: each one's length, four bytes, little endian, then its bytes: as PLAIN has them
 *
 * Invariants: n_values == number of def[i] == max_def (all entries where max_def is 0);
 * rows == number of rep[i] == 0 (all entries where max_rep is 0); n_bytes == what the n_values texts take, each
 * with its length; in a column under construction def and rep are zero from n_levels to cap_levels (so that rows without an entry
 * are skipped, not written: column_entry).
 * Not thread-safe; moves from its shredder to an encoder whole. */
#ifndef INLET_PARQUET_COLUMN_H
#define INLET_PARQUET_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

enum col_type {
    COL_BOOL,   /* u8 0 or 1 */
    COL_LONG,   /* i64: long, timestamptz in microseconds, decimal up to 18 digits (unscaled) */
    COL_DOUBLE, /* f64 */
    COL_BYTES,  /* texts: string, binary */
};

struct column { /* what a value of a flat column touches lies in the first 64 bytes */
    uint8_t type; /* enum col_type */
    uint8_t max_def, max_rep;
    uint8_t live; /* free for the owner: is there such a column at all? column_init says 1 */
    uint32_t rows;
    uint32_t n_levels, cap_levels;
    uint32_t n_values, cap_values;
    uint8_t *def;
    union {
        uint8_t *bools;
        int64_t *longs;
        double *doubles;
        uint8_t *texts;
        void *values;
    };
    size_t n_bytes, cap_bytes; /* of texts */
    uint32_t row_bytes; /* ... of which the last row's */
    uint8_t *rep;
    struct arena *arena; /* the owner's: where the arrays are, and go with; NULL: the heap */
    struct column_hint { /* how much another one like it held in the end, 0 where not known */
        uint32_t levels, values;
        size_t bytes;
    } hint;
};

void column_init(struct column *c, enum col_type type, unsigned max_def, unsigned max_rep);
void column_fini(struct column *c);

/* What a value takes; of texts a byte. */
static inline size_t column_width(const struct column *c)
{
    return c->type == COL_LONG || c->type == COL_DOUBLE ? 8 : 1;
}
static inline size_t column_values_bytes(const struct column *c)
{
    return c->type == COL_BYTES ? c->n_bytes : c->n_values * column_width(c);
}

/* Growth, off the hot path: the entries below inline the check n == cap. */
void column_grow_levels(struct column *c, uint32_t more);
void column_grow_values(struct column *c, uint32_t more);
void column_grow_bytes(struct column *c, size_t more);

/* ---- entries, at the end of a column */

/* Before an entry: with rep 0 it is a row's first. */
static inline void column_row_starts(struct column *c, uint8_t rep)
{
    c->row_bytes = rep ? c->row_bytes : 0;
}
static inline void column_level(struct column *c, uint8_t def, uint8_t rep)
{
    if (__builtin_expect(c->n_levels == c->cap_levels, 0))
        column_grow_levels(c, 1);
    if (c->max_def)
        c->def[c->n_levels] = def;
    if (c->max_rep)
        c->rep[c->n_levels] = rep;
    c->n_levels++;
    c->rows += rep == 0;
    column_row_starts(c, rep);
}
static inline void column_pad(struct column *c, uint32_t rows)
{
    if (c->rows >= rows)
        return;
    uint32_t more = rows - c->rows;
    if (c->cap_levels - c->n_levels < more)
        column_grow_levels(c, more);
    c->n_levels += more; /* zeros already */
    c->rows = rows;
}
/* The place of a new entry's levels, after `rows` rows (its own too, if it goes on with one): those that
 * are missing are null. The caller writes def and rep there, and sets c->rows. Without a branch on
 * whether any are. */
static inline uint32_t column_entry(struct column *c, uint32_t rows)
{
    uint32_t at = c->n_levels + (rows - c->rows);
    if (__builtin_expect(at >= c->cap_levels, 0))
        column_grow_levels(c, at + 1 - c->n_levels);
    c->n_levels = at + 1;
    return at;
}
/* The last text's bytes stand behind the four of its length: here that is, n. `listed`: max_rep > 0, where that is known. */
static inline void column_text_ends(struct column *c, uint32_t n, bool listed)
{
    memcpy(c->texts + c->n_bytes, &n, 4);
    c->n_values++;
    c->n_bytes += (size_t)n + 4;
    c->row_bytes = (listed ? c->row_bytes : 0) + n + 4;
}
static inline void column_text_end(struct column *c, size_t n)
{
    column_text_ends(c, (uint32_t)n, c->max_rep > 0);
}
static inline void column_text(struct column *c, const void *p, size_t n)
{
    if (__builtin_expect(c->cap_bytes - c->n_bytes < n + 4, 0))
        column_grow_bytes(c, n + 4);
    if (n)
        memcpy(c->texts + c->n_bytes + 4, p, n);
    column_text_end(c, n);
}
/* The text whose length stands at p; the next one's stands where it ends. */
static inline struct str column_text_at(const uint8_t *p)
{
    uint32_t n;
    memcpy(&n, p, 4);
    return (struct str){(const char *)p + 4, n};
}
static inline const uint8_t *column_text_next(const uint8_t *p)
{
    return p + 4 + column_text_at(p).n;
}
static inline void column_number(struct column *c, int64_t v)
{
    if (__builtin_expect(c->n_values == c->cap_values, 0))
        column_grow_values(c, 1);
    c->longs[c->n_values++] = v;
}
static inline void column_real(struct column *c, double v)
{
    if (__builtin_expect(c->n_values == c->cap_values, 0))
        column_grow_values(c, 1);
    c->doubles[c->n_values++] = v;
}
static inline void column_flag(struct column *c, bool v)
{
    if (__builtin_expect(c->n_values == c->cap_values, 0))
        column_grow_values(c, 1);
    c->bools[c->n_values++] = v;
}

#endif
