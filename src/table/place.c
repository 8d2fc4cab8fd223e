/* Stores of tables that lie where their catalog put them. See lake_store_for in table.h. */
#include <string.h>

#include "table/table.h"

struct store *lake_store_for(void *ctx, const char *location, json_t *config, struct err *e)
{
    const struct lake_store_options *o = ctx;
    const char *path = location;
    (void)config;
    if (strncmp(path, "file://", 7) == 0)
        path += 7;
    else if (strncmp(path, "file:", 5) == 0)
        path += 5;
    if (*path == '/')
        return store_local_open(path, o->sync, e);
    err_set(e, ERR_NOTFOUND, "no store for %s", location);
    return NULL;
}
