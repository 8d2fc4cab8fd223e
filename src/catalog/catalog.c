/* catalog: the way from a URI to a catalog. */
#include "catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

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

const char *catalog_uri_namespace(const char *uri)
{
    return strncmp(uri, "glue://", 7) == 0 ? uri + 7 : NULL;
}

/* What the client of a REST catalog calls, or NULL. */
static const char *rest_uri(const char *uri)
{
    bool rest = strncmp(uri, "rest+https://", 13) == 0 || strncmp(uri, "rest+http://", 12) == 0;
    return rest ? uri + 5 : NULL;
}

bool catalog_uri_places(const char *uri)
{
    return rest_uri(uri) != NULL;
}

int catalog_uri_check(const char *uri, struct err *e)
{
    const char *database = catalog_uri_namespace(uri);
    size_t n = database ? strspn(database, "abcdefghijklmnopqrstuvwxyz0123456789_-") : 0;
    if (catalog_uri_path(uri) || rest_uri(uri))
        return 0;
    if (!database)
        return err_set(e, ERR_INVALID,
                       "%.200s is no catalog: write sqlite:PATH, glue://DATABASE or "
                       "rest+https://HOST/PATH",
                       uri);
    if (!n || n > 255 || database[n])
        return err_set(e, ERR_INVALID,
                       "%.200s: a Glue database's name is of lower-case letters, digits, _ and -, "
                       "at most 255",
                       uri);
    return 0;
}

struct catalog *catalog_open(const struct catalog_options *o, struct err *e)
{
    if (catalog_uri_check(o->uri, e))
        return NULL;
    if (catalog_uri_path(o->uri))
        return catalog_sqlite_open(catalog_uri_path(o->uri), "default", o->read_only, e);
    const struct clock *clock = o->clock ? o->clock : &clock_system;
    if (rest_uri(o->uri)) {
        struct catalog_rest_options rest = o->rest;
        rest.uri = rest_uri(o->uri);
        rest.aws = o->aws;
        return catalog_rest_open(&rest, clock, e);
    }
    struct catalog_glue_options glue = {.database = catalog_uri_namespace(o->uri), .aws = o->aws};
    return catalog_glue_open(&glue, clock, e);
}
