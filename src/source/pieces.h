/* pieces: a GetRecords answer as it comes, piece by piece: of each, what is whole is taken apart while it is in the
 * nearest caches, and only decoded records are kept. What is no record (the iterator, the lag) is put together to a small
 * answer without records. One in CBOR is kept as it is: its records need no decoding. */
#ifndef INLET_SOURCE_PIECES_H
#define INLET_SOURCE_PIECES_H

#include "source/body.h"
#include "source/packed.h"

struct pieces { /* zero to start; then out and room */
    struct body_records all;  /* all.out: the caller's, with room for `room` bytes and BODY_PAD */
    size_t room, bytes;       /* of the answer: at most; so far */
    enum { PIECES_BEFORE, PIECES_INSIDE, PIECES_AFTER } at; /* of the array of records */
    struct buf rest, outside; /* not whole yet; no records */
    bool in_cbor;
    struct packed packed;
};
void pieces_put(struct pieces *s, const char *p, size_t n);
/* After the last: false where it was no whole answer, or has its records in two places. What *b views lives until pieces_fini, and as long as all.out. */
bool pieces_end(struct pieces *s, struct body *b);
/* Neither all.each nor all.out is freed. */
void pieces_fini(struct pieces *s);

#endif
