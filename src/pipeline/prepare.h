/* prepare: a lake's tables made before the first event comes: the dead letters, and what the config
 * declares, with its columns. Safe to do again: what is there stays as it is, and gets what it lacks. */
#ifndef INLET_PIPELINE_PREPARE_H
#define INLET_PIPELINE_PREPARE_H

#include "pipeline/pipeline.h"
#include "table/table.h"

struct table_prepared {
    const char *table;
    bool existed;
    uint32_t columns; /* added, or to be added */
    int rc;           /* -1: err says why */
    struct err err;
};
/* All of them in turn, a failure of one is no reason to leave out the others. `dry`: nothing is
 * written. Table names that could not be an event type's are failures (ERR_INVALID). */
void prepare_tables(const struct pipeline_config *c, const struct lake *lake, bool dry,
                    void (*each)(void *ctx, const struct table_prepared *p), void *ctx);
/* The same without a lake to look into: all is to be made. */
void prepare_nothing_there(const struct pipeline_config *c,
                           void (*each)(void *ctx, const struct table_prepared *p), void *ctx);

#endif
