/* catalog: which metadata file a table stands at, changed by compare-and-swap only.
 *
 * SQLite in the schema of PyIceberg's SqlCatalog and Java's JdbcCatalog (V1: column iceberg_type);
 * Glue and Iceberg REST later by the same contract. Thread-safe. */
#ifndef INLET_CATALOG_CATALOG_H
#define INLET_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct catalog;

typedef void catalog_list_fn(void *ctx, const char *table);

struct catalog_ops {
    int (*namespace_ensure)(struct catalog *c, const char *ns, struct err *e);
    int (*list)(struct catalog *c, const char *ns, catalog_list_fn *each, void *ctx, struct err *e);
    /* The current metadata location (heap). ERR_NOTFOUND; a view or another kind is ERR_INVALID. */
    int (*load)(struct catalog *c, const char *ns, const char *table, char **location,
                struct err *e);
    /* ERR_CONFLICT if it exists. ERR_UNKNOWN: look. */
    int (*create)(struct catalog *c, const char *ns, const char *table, const char *location,
                  struct err *e);
    /* From `base` to `next`; ERR_CONFLICT if it stands elsewhere, ERR_NOTFOUND if gone,
     * ERR_UNKNOWN if the answer was lost. */
    int (*swap)(struct catalog *c, const char *ns, const char *table, const char *base,
                const char *next, struct err *e);
    void (*close)(struct catalog *c);
};

struct catalog {
    const struct catalog_ops *ops;
};

/* `name` is the catalog_name column ("default"). Makes the file and its tables if missing. */
struct catalog *catalog_sqlite_open(const char *path, const char *name, bool read_only,
                                    struct err *e);

/* "sqlite:PATH" (or sqlite:///PATH); read_only: nothing is made. */
struct catalog *catalog_open_uri(const char *uri, bool read_only, struct err *e);
/* Whether catalog_open_uri knows it: ERR_INVALID with what to write. */
int catalog_uri_check(const char *uri, struct err *e);
/* The file of "sqlite:PATH" (borrowed), or NULL. */
const char *catalog_uri_path(const char *uri);

static inline void catalog_close(struct catalog *c)
{
    if (c)
        c->ops->close(c);
}

#endif
