/* An answer given piece by piece: each in memory of its own, for nothing may point to it later, or look beyond it. */
#ifndef INLET_TESTS_PIECES_H
#define INLET_TESTS_PIECES_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/pieces.h"

static inline void put_alone(struct pieces *in, const void *p, size_t n)
{
    char *piece = mem_alloc(n);
    memcpy(piece, p, n);
    pieces_put(in, piece, n);
    free(piece);
}

#endif
