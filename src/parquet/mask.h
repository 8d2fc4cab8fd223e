/* mask: what of 16 bytes is a shorter text's, without a branch on its length. */
#ifndef INLET_PARQUET_MASK_H
#define INLET_PARQUET_MASK_H

#include <stddef.h>
#include <stdint.h>

/* 16 bytes, of which the first n are ones and the others zeros; n <= 16. */
static inline const uint8_t *mask_of(size_t n)
{
    static const uint8_t ones[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255};
    return ones + 16 - n;
}

#endif
