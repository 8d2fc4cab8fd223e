/* See uuid.h. */
#include "base/uuid.h"

#include <stdio.h>

void uuid4_format(const uint8_t random[16], char out[37])
{
    for (int i = 0, at = 0; i < 16; i++) {
        unsigned b = random[i];
        if (i == 6)
            b = (b & 0x0f) | 0x40;
        if (i == 8)
            b = (b & 0x3f) | 0x80;
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        at += snprintf(out + at, 3, "%02x", b);
    }
}
