/* digits: decimal digits by words: the value of eight at once. */
#ifndef INLET_BASE_DIGITS_H
#define INLET_BASE_DIGITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The value of eight digits, each a byte of 0 to 9, the first one lowest. */
static inline uint64_t digits8_value(uint64_t t)
{
    t = t * 10 + (t >> 8);
    return ((t & UINT64_C(0xff000000ff)) * UINT64_C(0x000f424000000064) +
            (t >> 16 & UINT64_C(0xff000000ff)) * UINT64_C(0x0000271000000001)) >>
           32;
}

/* Eight digits at p, as a number; false if they are not all digits. */
static inline bool digits8(const char *p, uint64_t *out)
{
    uint64_t v;
    memcpy(&v, p, 8); /* little endian: the first digit is the lowest byte */
    uint64_t zero = v ^ UINT64_C(0x3030303030303030);
    if ((zero | (zero + UINT64_C(0x0606060606060606))) & UINT64_C(0xf0f0f0f0f0f0f0f0))
        return false;
    *out = digits8_value(zero);
    return true;
}

#endif
