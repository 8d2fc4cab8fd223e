/* dict: a column chunk's distinct values, numbered as they come. Gives up early where they are too
 * many to pay. Inside this room only; reused from chunk to chunk. */
#ifndef INLET_PARQUET_DICT_H
#define INLET_PARQUET_DICT_H

#include "parquet/column.h"
#include "parquet/parquet.h"

struct dict { /* zero to start */
    uint32_t *slots; /* an entry's number + 1; 0: free */
    unsigned shift; /* of a hash, to what the mask leaves */
    uint32_t mask, cap_slots, n, cap;
    struct dict_key { /* of each entry: the bits of a long or a double, a text's bytes or hash, and length */
        uint64_t low, high;
    } *keys;
    struct str *texts; /* of each entry: views of the values' own memory */
    size_t bytes;      /* of the entries, PLAIN */
    uint32_t *index;   /* of each value of the columns, and one for each constant */
    size_t n_index, cap_index;
    size_t limit;
};

void dict_fini(struct dict *d);
size_t dict_bytes(const struct dict *d); /* what it holds on to */
/* Numbers all values of the pieces. False: a dictionary does not pay, and nothing is to be had.
 * `width` is that of a fixed value in the file, 0 for texts; `expected`: entries, 0 where not known. */
bool dict_build(struct dict *d, enum col_type type, unsigned width, size_t limit_bytes,
                uint32_t expected, const struct pq_piece *pieces, size_t n);

#endif
