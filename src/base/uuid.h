/* uuid: sixteen random bytes as a version 4 UUID's text (RFC 9562, section 5.4). */
#ifndef INLET_BASE_UUID_H
#define INLET_BASE_UUID_H

#include <stdint.h>

void uuid4_format(const uint8_t random[16], char out[37]);

#endif
