/* verify: reads a table back and checks what the lake promises of it.
 *
 *   - every live data file is there, of the size and with the rows that its manifest says
 *   - its event times lie within the manifest's bounds, and within one value of a time partition
 *   - no record of a stream is there twice (_shard, _sequence): exactly-once
 *   - no record lies beyond the table's own position of its shard: it would come again
 *   - the table's rows are as many as its snapshot says
 *   - how many events are there twice (event_uuid): not a fault, until their partition is compacted
 *
 * Reads three columns and the footers, nothing else. Blocks; one thread. */
#ifndef INLET_MAINTAIN_VERIFY_H
#define INLET_MAINTAIN_VERIFY_H

#include "table/table.h"

struct verify_report {
    int64_t rows, files, bytes;
    int64_t duplicates;    /* rows whose event_uuid another row of the table has */
    int64_t stream_rows;   /* rows with _shard and _sequence */
    uint64_t problems;     /* all that was wrong */
    uint32_t passes;       /* over the files, so that the memory was enough */
};
/* `problem` gets a sentence for each of the first VERIFY_SAID problems; the others are counted.
 * memory_bytes: what the sets of identities may take. -1: it could not be looked at at all. */
#define VERIFY_SAID 20
int verify_table(const struct lake *lake, const char *name, size_t memory_bytes,
                 void (*problem)(void *ctx, const char *text), void *ctx, struct verify_report *out,
                 struct err *e);

#endif
