/* letters: the dead letters of one reason, in their order, as bodies of GetRecords answers. */
#ifndef INLET_REPLAY_LETTERS_H
#define INLET_REPLAY_LETTERS_H

#include "base/buf.h"
#include "base/seq.h"
#include "table/table.h"

#define LETTERS_BYTES ((size_t)1 << 20) /* a body is about so long, or one letter */

struct letters;
/* What the table has now of files up to that sequence number; `t` must live as long. */
struct letters *letters_open(struct table *t, const char *reason, int64_t upto, struct err *e);
int64_t letters_newest(const struct letters *l); /* the greatest sequence number of a file; 0: there is none */
void letters_close(struct letters *l);
/* Is the file still there that this number of a letter is of? */
bool letters_have(const struct letters *l, struct seq at);
/* Are all files as inlet wrote them, so that those that are gone took their letters along? 1, 0, -1. */
int letters_untouched(const struct letters *l, struct err *e);
/* The next body, into *body (emptied before; SOURCE_PAD zero bytes after it). 1, 0 at the end, -1. */
int letters_next(struct letters *l, struct buf *body, struct seq *first, struct seq *last,
                 uint32_t *records, int64_t *arrived_us, struct err *e);

#endif
