/* See uuid.h. */
#include "base/uuid.h"

#include <stdio.h>
#include <string.h>

static void format(const uint8_t bytes[16], unsigned version, char out[37])
{
    for (int i = 0, at = 0; i < 16; i++) {
        unsigned b = bytes[i];
        if (i == 6)
            b = (b & 0x0f) | version << 4;
        if (i == 8)
            b = (b & 0x3f) | 0x80;
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        at += snprintf(out + at, 3, "%02x", b);
    }
}

void uuid4_format(const uint8_t random[16], char out[37])
{
    format(random, 4, out);
}

void uuid7_format(int64_t wall_ms, const uint8_t random[10], char out[37])
{
    uint8_t bytes[16];
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
    memcpy(bytes + 6, random, 10);
    format(bytes, 7, out);
}
