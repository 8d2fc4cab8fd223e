/* column: one leaf column in memory, as the shredder fills it and the Parquet writer reads it.
 *
 * Dremel levels (Parquet format, "Nested Encoding"): each entry has a definition level and, inside
 * lists, a repetition level; only entries with def == max_def have a value. A column with
 * max_def 0 (required, top level) has no level array, one with max_rep 0 no repetition array.
 *
 *   entries   def[i], rep[i]          i < n_levels
 *   values    longs[j] / doubles[j] / bools[j] / lens[j] + bytes     j < n_values, densely packed
 *
 * Invariants: n_values == number of def[i] == max_def (all entries where max_def is 0);
 * rows == number of rep[i] == 0 (all entries where max_rep is 0); n_bytes == sum of lens.
 * Not thread-safe; moves from its shredder to an encoder whole. */
#ifndef INLET_PARQUET_COLUMN_H
#define INLET_PARQUET_COLUMN_H

#include <stddef.h>
#include <stdint.h>

enum col_type {
    COL_BOOL,   /* u8 0 or 1 */
    COL_LONG,   /* i64: long, timestamptz in microseconds, decimal up to 18 digits (unscaled) */
    COL_DOUBLE, /* f64 */
    COL_BYTES,  /* u32 lengths and a blob: string, binary */
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
        uint32_t *lens;
        void *values;
    };
    uint8_t *bytes;
    size_t n_bytes, cap_bytes;
    uint8_t *rep;
};

void column_init(struct column *c, enum col_type type, unsigned max_def, unsigned max_rep);
void column_fini(struct column *c);
size_t column_heap_bytes(const struct column *c); /* what it holds, by capacity */

/* Growth, off the hot path; the shredder inlines the check n == cap. */
void column_grow_levels(struct column *c, uint32_t more);
void column_grow_values(struct column *c, uint32_t more);
void column_grow_bytes(struct column *c, size_t more);

#endif
