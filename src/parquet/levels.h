/* levels: the RLE / bit-packing hybrid (parquet-format, Encodings.md), for levels and dictionary indices. */
#ifndef INLET_PARQUET_LEVELS_H
#define INLET_PARQUET_LEVELS_H

#include "base/buf.h"

unsigned levels_width(uint32_t max); /* bits that hold max */
void levels_encode8(struct buf *out, const uint8_t *v, size_t n, unsigned width);
void levels_encode32(struct buf *out, const uint32_t *v, size_t n, unsigned width);

#endif
