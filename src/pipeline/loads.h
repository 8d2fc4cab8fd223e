/* loads: the table inlet_loads: a row for each file that was loaded to its end, written after all its
 * commits. By it a file that was loaded once adds nothing again even when its positions and its lease are
 * gone, and one that grew goes on where it ended.
 *
 *   identity          "file:<real path>#<hash>:<length>", as in position properties
 *   path              as it was given
 *   position, note    the offset in decompressed bytes, and the hash of the 4 KiB before it
 *   size              of the file on disk, then
 *   started_position  where the load that ended began; it counted from there:
 *   records, events, duplicates, dead_letters
 *   started_at, finished_at, worker
 *
 * The coordinator's, all of it; the calls block. */
#ifndef INLET_PIPELINE_LOADS_H
#define INLET_PIPELINE_LOADS_H

#include "pipeline/run_int.h"

#define LOADS_TABLE "inlet_loads"

/* What inlet_loads tells of the files at hand. */
int loads_read(struct run *r, struct err *e);
/* Where a file of that identity ended; SEQ_NONE if no load of it did. */
struct seq loads_position(const struct run *r, const char *identity, const char **note);
/* Rows for the files that ended since the last call. */
int loads_write(struct run *r, struct err *e);
void loads_free(struct run *r);

#endif
