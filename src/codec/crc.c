/* See crc.h. zlib has the first; the others are likewise reflected, begin with ones and end inverted, and their
 * polynomials stand bit-reversed. */
#include "codec/crc.h"

#include <zlib.h>

#define CASTAGNOLI UINT64_C(0x82f63b78)
#define NVME UINT64_C(0x9a6c9329ac4bc9b5)

static uint64_t reflected(uint64_t polynomial, uint64_t ones, const uint8_t *p, size_t n)
{
    uint64_t table[256], crc = ones;
    for (unsigned i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? polynomial : 0);
    }
    while (n--)
        crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
    return crc ^ ones;
}

uint32_t crc_32(const void *p, size_t n)
{
    return (uint32_t)crc32_z(0, n ? p : (const void *)"", n); /* of NULL it says where to begin */
}

uint32_t crc_32c(const void *p, size_t n)
{
    return (uint32_t)reflected(CASTAGNOLI, UINT32_MAX, p, n);
}

uint64_t crc_64_nvme(const void *p, size_t n)
{
    return reflected(NVME, UINT64_MAX, p, n);
}
