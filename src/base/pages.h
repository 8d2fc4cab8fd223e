/* pages: runs of 4 KiB pages for what grows and goes by the megabyte, from slabs of 8 MiB that ask the kernel
 * for huge pages. What is given back is used again, and stays mapped up to a limit: the next epoch's rows
 * find their memory warm, without a page fault. Thread-safe.
 *
 * A buddy system: runs are powers of two on their own boundary, and join their neighbours when free; what lies
 * beyond 1 MiB is mapped for itself. Runs of any length would be tighter at first, and leave holes that
 * nothing fits: after a while twice as much was mapped as in use. The first page of a slab is its own. */
#ifndef INLET_BASE_PAGES_H
#define INLET_BASE_PAGES_H

#include <stddef.h>

#define PAGES_ONE ((size_t)4096)

/* `bytes` is rounded up: use it all. Never NULL. Not zeroed. */
void *pages_take(size_t *bytes);
void pages_give(void *p, size_t bytes); /* as asked for, or as pages_take rounded it */
void pages_trim(void);                  /* what is kept goes back to the system */
size_t pages_mapped(void);              /* bytes of all slabs, for tests */

#endif
