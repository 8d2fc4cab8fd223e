/* envelope: is a table one of ours? Our columns have fixed field ids; in a table that somebody else made those
 * ids are other columns. */
#ifndef INLET_PIPELINE_ENVELOPE_H
#define INLET_PIPELINE_ENVELOPE_H

#include "table/table.h"

/* `events`: a table of events, else the dead letters. ERR_INVALID unless our columns had their ids, names and types in some schema of the table, and
 * those that are still there have their types. They may be renamed, or dropped, since. */
int envelope_check(const struct table *t, bool events, struct err *e);

#endif
