/* newlines: where lines end, many at a time. */
#ifndef INLET_BASE_NEWLINES_H
#define INLET_BASE_NEWLINES_H

#include <stddef.h>
#include <stdint.h>

#define NEWLINES_ROOM 64 /* beyond `max` */

/* The offsets of the first newlines in p[0..n), n below 4 GiB: at least `max` of them, or all there are; at[] has room
 * for max + NEWLINES_ROOM. How many. */
size_t newlines_find(const uint8_t *p, size_t n, uint32_t *at, size_t max);

#endif
