/* adopt: which identity a file goes by. One that has grown is still the stream it was, so it goes by what it was
 * first seen as: by that its positions are found, and by that its lease keeps two loads of it apart.
 *
 * The coordinator's; the calls block. */
#ifndef INLET_PIPELINE_ADOPT_H
#define INLET_PIPELINE_ADOPT_H

#include "pipeline/run_int.h"

/* Once the sources are open, before any table is read: which leases of their paths nobody has. What was committed
 * under those, the tables will tell. */
int adopt_look(struct run *r, struct err *e);
/* Before any lease is taken: each file takes the longest identity that it was known by and that still fits, from
 * positions and inlet_loads; where there is none, that of a lease. */
int adopt_identities(struct run *r, struct err *e);
/* Once the leases are taken: ERR_CONFLICT if another load of a file, which knows it by another length, was at work
 * since adopt_look, or is. Both look after they have taken theirs, so at least one of them sees the other. */
int adopt_check(struct run *r, struct err *e);
void adopt_free(struct run *r);
/* A file at hand has that path: its identity may be this one. Or an object at hand has it. */
bool adopt_may(const struct run *r, const char *identity);
/* Or it is of one whose position may be swept from a table, if inlet_loads tells how far it was loaded. */
bool adopt_asks(const struct run *r, const char *identity);

#endif
