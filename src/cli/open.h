/* open: the lake that the settings name, for commands that look or work on it directly. */
#ifndef INLET_CLI_OPEN_H
#define INLET_CLI_OPEN_H

#include "cli/config.h"
#include "lease/lease.h"
#include "table/table.h"

struct open_lake {
    struct lake lake;
    struct lake_store_options stores; /* where the lake points to: it stays where it was opened */
    char *catalog_uri;
};
enum open_mode {
    OPEN_LOOK, /* nothing is written; what is not there is ERR_NOTFOUND */
    OPEN_USE,  /* to write; what is not there is ERR_NOTFOUND */
    OPEN_MAKE, /* and made if need be */
};
/* *what names the step that failed ("lake", "catalog"); may be NULL. Close in any case. */
int open_lake(struct open_lake *l, const struct config *c, enum open_mode mode, const char **what,
              struct err *e);
void open_lake_close(struct open_lake *l);
/* Says why it could not be opened; the exit code (no --lake at all is a matter of usage). */
int open_lake_failed(const struct config *c, const struct err *e);

/* The leases' URI (heap): --leases, or leases.db in the lake. NULL, ERR_INVALID. */
char *open_leases_uri(const struct config *c, struct err *e);
/* *made (may be NULL): they were made. `make` false: what is not there is ERR_NOTFOUND. */
struct lease_store *open_leases(const struct config *c, bool make, bool *made, struct err *e);

#endif
