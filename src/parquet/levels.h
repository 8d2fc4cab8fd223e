/* levels: the RLE / bit-packing hybrid (parquet-format, Encodings.md), for levels and dictionary
 * indices. */
#ifndef INLET_PARQUET_LEVELS_H
#define INLET_PARQUET_LEVELS_H

#include "base/buf.h"

unsigned levels_width(uint32_t max); /* bits that hold max */

/* Encoding, value after value: begin, any of the next three, end. Fewer than 2^31 equal values in a
 * row; none above the width. */
struct levels_out {
    struct buf *out;
    unsigned width;
    unsigned least; /* values of a run that is worth it */
    uint32_t value; /* of the run under way */
    uint64_t run;
    unsigned n;      /* waiting for a group of eight */
    unsigned groups; /* packed since the byte at `head`, which is still to tell how many */
    size_t head;
    uint32_t wait[8];
};
void levels_begin(struct levels_out *o, struct buf *out, unsigned width);
void levels_run(struct levels_out *o, uint32_t v, uint64_t n);
void levels_array8(struct levels_out *o, const uint8_t *v, size_t n);
void levels_array32(struct levels_out *o, const uint32_t *v, size_t n);
void levels_end(struct levels_out *o);

/* Fills all n of `out`, or returns -1: broken, too short, or a level above `max`. */
int levels_decode8(const uint8_t *p, size_t size, unsigned width, uint8_t max, uint8_t *out,
                   size_t n);
int levels_decode32(const uint8_t *p, size_t size, unsigned width, uint32_t max, uint32_t *out,
                    size_t n);

#endif
