/* catalog: the way from a URI to a catalog. */
#include "catalog/catalog.h"

#include <stdlib.h>

#include "catalog/db.h"

void catalog_table_fini(struct catalog_table *t)
{
    free(t->location);
    json_decref(t->metadata);
    json_decref(t->config);
    *t = (struct catalog_table){0};
}

const char *catalog_uri_path(const char *uri)
{
    return db_uri_path(uri);
}

int catalog_uri_check(const char *uri, struct err *e)
{
    if (catalog_uri_path(uri))
        return 0;
    return err_set(e, ERR_INVALID, "%.200s is no catalog: write sqlite:PATH", uri);
}

struct catalog *catalog_open_uri(const char *uri, bool read_only, struct err *e)
{
    if (catalog_uri_check(uri, e))
        return NULL;
    return catalog_sqlite_open(catalog_uri_path(uri), "default", read_only, e);
}
