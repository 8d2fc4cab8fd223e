/* envelope: is a table one of ours, and which of its columns are ours? */
#ifndef INLET_PIPELINE_ENVELOPE_H
#define INLET_PIPELINE_ENVELOPE_H

#include "table/table.h"

/* `events`: a table of events, else the dead letters. ERR_INVALID unless our columns had their names and types in some
 * schema of the table, and those that are still there have their types. They may be renamed, or dropped, since. */
int envelope_ids(const struct table *t, bool events, struct schema_ids *out, struct err *e);

#endif
