/* desks: who encodes, sits at one. There are as many as cores to encode with, though more
 * committers: those wait for the disk most of the time, and a desk's buffers are large and best
 * warm. Thread-safe. */
#ifndef INLET_PIPELINE_DESKS_H
#define INLET_PIPELINE_DESKS_H

#include "base/buf.h"
#include "parquet/parquet.h"

struct desk {
    struct pq_scratch *scratch;
    struct buf out; /* for the bytes of one row group; empty between two */
};
struct desks;
struct desks *desks_new(uint32_t n);
void desks_free(struct desks *d);         /* all of them given back */
struct desk *desks_take(struct desks *d); /* waits for one */
void desks_give(struct desks *d, struct desk *desk);

#endif
