/* levels: the RLE / bit-packing hybrid (parquet-format, Encodings.md), for levels and dictionary indices. */
#ifndef INLET_PARQUET_LEVELS_H
#define INLET_PARQUET_LEVELS_H

#include "base/buf.h"

unsigned levels_width(uint32_t max); /* bits that hold max */
void levels_encode8(struct buf *out, const uint8_t *v, size_t n, unsigned width);
void levels_encode32(struct buf *out, const uint32_t *v, size_t n, unsigned width);

/* Fills all n of `out`, or returns -1: broken, too short, or a level above `max`. */
int levels_decode8(const uint8_t *p, size_t size, unsigned width, uint8_t max, uint8_t *out,
                   size_t n);
int levels_decode32(const uint8_t *p, size_t size, unsigned width, uint32_t max, uint32_t *out,
                    size_t n);

#endif
