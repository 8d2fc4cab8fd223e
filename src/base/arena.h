/* arena: many small and growing arrays that go together, side by side in runs of pages. Not thread-safe;
 * may be finished by another thread. Zero-initialise to start.
 *
 * A small array that is left behind by growth stays until the end, unless it was the last one taken: then
 * it grows where it is. A large one has its own block, and that goes. (Under AddressSanitizer each array is a heap block of its own.) */
#ifndef INLET_BASE_ARENA_H
#define INLET_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;
struct arena {
    struct arena_block *blocks;
    uint8_t *at, *end; /* what is free of the newest small block */
    size_t bytes;      /* held */
    size_t *total;     /* if not NULL, kept up to date by as much */
};
void arena_fini(struct arena *a); /* `total` goes down again */
/* `align` is a power of two up to 64. Not zeroed, never NULL. */
void *arena_take(struct arena *a, size_t n, size_t align);
/* An array of `old` bytes (p may be NULL) of which `used` count, with room for n: moved if need be. */
void *arena_regrow(struct arena *a, void *p, size_t old, size_t used, size_t n, size_t align);

#endif
