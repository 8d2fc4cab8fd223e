/* arena: many small and growing arrays that go together, side by side in runs of pages. Not thread-safe;
 * may be finished by another thread. Zero-initialise to start.
 *
 * The last one taken grows where it is, if it can. What another leaves behind is room for the next ones; a large
 * one has its own block, and that goes. (Under AddressSanitizer each array is a heap block of its own.) */
#ifndef INLET_BASE_ARENA_H
#define INLET_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_HOLES 8 /* lists, by size: 64 bytes to 8 KiB and more */
struct arena_block;
struct arena_hole;
struct arena {
    struct arena_block *blocks;
    uint8_t *at, *end; /* what is free of the newest small block */
    size_t bytes;      /* held */
    struct arena_hole *holes[ARENA_HOLES];
    size_t *total;     /* if not NULL, kept up to date by as much */
};
void arena_fini(struct arena *a); /* `total` goes down again */
/* An array of `old` bytes (p may be NULL) of which `used` count, with room for at least *n, and as many as *n
 * says then: moved if need be. `align` is a power of two up to 64. Not zeroed, never NULL. */
void *arena_regrow(struct arena *a, void *p, size_t old, size_t used, size_t *n, size_t align);
/* An array of so many bytes goes before the others. */
void arena_give(struct arena *a, void *p, size_t bytes);

#endif
