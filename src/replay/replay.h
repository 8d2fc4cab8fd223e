/* replay: dead letters back in, through the same pipeline: for events whose table could not be had, and for
 * records that a later version or another setting can take.
 *
 * The table of dead letters is read as a stream: its identity is "letters:<namespace>/<table uuid>", a reason is a
 * shard of it ("letters/table_unavailable"), and a letter's sequence number is made of the data file's sequence
 * number, the file's place among those of the same number, and the row. So a replay that was killed, or is run
 * again, adds nothing twice: every table holds how far it has come, as of any stream. What still cannot be a row stays the
 * letter it is, and is tried again by the next replay; but of a reason of which some letters are events now, those that are
 * still none become dead letters anew (of the stream letters:...), for the tables' positions pass them. Which is the
 * case is looked up first, without a commit. The letters themselves stay until somebody deletes them.
 *
 * Rows have `letters/<reason>` in _shard and that number in _sequence; _arrived_at is the letter's own. */
#ifndef INLET_REPLAY_REPLAY_H
#define INLET_REPLAY_REPLAY_H

#include "base/err.h"
#include "pipeline/pipeline.h"
#include "table/table.h"

/* `reasons`: as bits, 1 << REASON_... `p` as config made it (its lake is opened anew by the pipeline; `lake` is
 * where letters are read from). Blocks. ERR_NOTFOUND: there is no table of dead letters. */
int replay_run(const struct lake *lake, uint32_t reasons, const struct pipeline_config *p,
               struct pipeline_report *report, struct err *e);

#endif
