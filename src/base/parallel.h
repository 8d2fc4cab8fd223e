/* parallel: one function for many indices, on a few threads: for work that mostly waits. */
#ifndef INLET_BASE_PARALLEL_H
#define INLET_BASE_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

/* Calls fn(ctx, i) once for each i below n, on up to `threads` threads at once (the caller's is one of them);
 * returns when all are done. Where no thread can be had, the others do its work. */
void parallel_each(size_t n, unsigned threads, void (*fn)(void *ctx, size_t i), void *ctx);
/* The same on `threads` threads beside the caller's, which calls beat(beat_ctx) every so often until all are done. Where no thread can be had, the caller's does the work, without a beat. */
struct parallel_beat {
    int64_t every_ms;
    void (*beat)(void *ctx);
    void *ctx;
};
void parallel_beside(size_t n, unsigned threads, void (*fn)(void *ctx, size_t i), void *ctx, const struct parallel_beat *b);

#endif
