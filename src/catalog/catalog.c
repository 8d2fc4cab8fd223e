/* catalog: the way from a URI to a catalog. */
#include "catalog/catalog.h"

#include <string.h>

const char *catalog_uri_path(const char *uri)
{
    if (strncmp(uri, "sqlite:", 7) != 0 || !uri[7])
        return NULL;
    return strncmp(uri + 7, "///", 3) == 0 ? uri + 9 : uri + 7;
}

const char *catalog_uri_namespace(const char *uri)
{
    (void)uri;
    return NULL;
}

int catalog_uri_check(const char *uri, struct err *e)
{
    if (catalog_uri_path(uri))
        return 0;
    return err_set(e, ERR_INVALID, "%.200s is no catalog: write sqlite:PATH", uri);
}

struct catalog *catalog_open_uri(const char *uri, const struct clock *clock, bool read_only,
                                 struct err *e)
{
    (void)clock;
    if (catalog_uri_check(uri, e))
        return NULL;
    return catalog_sqlite_open(catalog_uri_path(uri), "default", read_only, e);
}
