/* digits: decimal digits by words: the value of eight at once. */
#ifndef INLET_CODEC_DIGITS_H
#define INLET_CODEC_DIGITS_H

#include <stdint.h>

/* The value of eight digits, each a byte of 0 to 9, the first one lowest. */
static inline uint64_t digits8_value(uint64_t t)
{
    t = t * 10 + (t >> 8);
    return ((t & UINT64_C(0xff000000ff)) * UINT64_C(0x000f424000000064) +
            (t >> 16 & UINT64_C(0xff000000ff)) * UINT64_C(0x0000271000000001)) >>
           32;
}

#endif
