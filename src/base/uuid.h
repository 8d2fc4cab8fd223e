/* uuid: a UUID's text (RFC 9562): of sixteen random bytes (version 4), or of a time and ten (version 7). */
#ifndef INLET_BASE_UUID_H
#define INLET_BASE_UUID_H

#include <stdint.h>

void uuid4_format(const uint8_t random[16], char out[37]);
void uuid7_format(int64_t wall_ms, const uint8_t random[10], char out[37]);

#endif
