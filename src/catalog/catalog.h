/* catalog: which metadata file a table stands at, changed by compare-and-swap only.
 *
 * SQLite in the schema of PyIceberg's SqlCatalog and Java's JdbcCatalog (V1: column iceberg_type), the
 * Glue Data Catalog, and Iceberg's REST protocol. Thread-safe. */
#ifndef INLET_CATALOG_CATALOG_H
#define INLET_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "aws/client.h"
#include "base/clock.h"
#include "base/err.h"

struct catalog;

typedef void catalog_list_fn(void *ctx, const char *table);

/* What a catalog says of a table. */
struct catalog_table {
    char *location;   /* of its current metadata file (heap) */
    json_t *metadata; /* that metadata, where the catalog sends it (REST); NULL: read the file */
    json_t *config;   /* the table's own settings (REST): how its files are reached; or NULL */
};
void catalog_table_fini(struct catalog_table *t);

/* One change of a table, in both forms that catalogs want; all borrowed. */
struct catalog_change {
    const char *base;   /* location of the metadata that it was made from; NULL: a creation */
    const char *next;   /* of the new metadata, written already; NULL if the catalog writes it */
    json_t *metadata;   /* the new metadata */
    json_t *requirements, *updates; /* the change as Iceberg's REST specification has it
                                       (CommitTableRequest); NULL for a creation */
};

/* A view as Athena makes it in Glue; borrowed. */
struct catalog_view {
    const char *name;
    const json_t *presto;  /* originalSql, catalog, schema, columns */
    const json_t *columns; /* [{Name, Type}] */
};

struct catalog_ops {
    int (*namespace_ensure)(struct catalog *c, const char *ns, struct err *e);
    /* NULL where the catalog cannot say. */
    int (*namespace_exists)(struct catalog *c, const char *ns, bool *exists, struct err *e);
    int (*list)(struct catalog *c, const char *ns, catalog_list_fn *each, void *ctx, struct err *e);
    /* ERR_NOTFOUND; a view or another kind is ERR_INVALID. *out is zero before, caller's after. */
    int (*load)(struct catalog *c, const char *ns, const char *table, struct catalog_table *out,
                struct err *e);
    /* ERR_CONFLICT if it exists. ERR_UNKNOWN: look. *out as load's, filled by a catalog that writes
     * the metadata itself (and then only where it said what it wrote). */
    int (*create)(struct catalog *c, const char *ns, const char *table,
                  const struct catalog_change *change, struct catalog_table *out, struct err *e);
    /* ERR_CONFLICT if it stands elsewhere than at the base, ERR_NOTFOUND if gone, ERR_RETRY if
     * nothing has happened, ERR_UNKNOWN if it may have: look. The same change may be sent again then:
     * it takes effect once at most. *out as create's. */
    int (*swap)(struct catalog *c, const char *ns, const char *table,
                const struct catalog_change *change, struct catalog_table *out, struct err *e);
    /* Makes or replaces a view; what is there and is no view stays: ERR_INVALID. NULL: it has none. */
    int (*put_view)(struct catalog *c, const char *ns, const struct catalog_view *view,
                    struct err *e);
    void (*close)(struct catalog *c);
};

struct catalog {
    const struct catalog_ops *ops;
    bool writes_metadata; /* REST: the server writes the metadata files, and sends what they hold */
};

/* `name` is the catalog_name column ("default"). Makes the file and its tables if missing. */
struct catalog *catalog_sqlite_open(const char *path, const char *name, bool read_only,
                                    struct err *e);

struct catalog_glue_options {
    const char *database;
    int64_t patience_ms; /* of one call, 0: 30 s */
    struct aws_options aws;
};
/* The Glue Data Catalog. Its namespace is the database, whatever namespace is asked for. */
struct catalog *catalog_glue_open(const struct catalog_glue_options *o, const struct clock *clock,
                                  struct err *e);

struct catalog_rest_options {
    const char *uri;        /* http(s)://HOST[:PORT][/PATH], what stands before v1/ */
    const char *warehouse;  /* NULL: none */
    const char *token;      /* a bearer token; NULL: none */
    const char *credential; /* OAuth2 client credentials, "ID:SECRET"; NULL: none */
    const char *oauth2_uri; /* where tokens are got; NULL: the catalog's v1/oauth/tokens */
    const char *scope;      /* NULL: "catalog" */
    const char *sign;       /* SigV4 for this service name: "glue", "s3tables"; NULL: not */
    int64_t patience_ms;    /* of one call, 0: 30 s */
    struct aws_options aws; /* for signing */
};
/* Iceberg's REST protocol. Reads the server's configuration. */
struct catalog *catalog_rest_open(const struct catalog_rest_options *o, const struct clock *clock,
                                  struct err *e);

struct catalog_options {
    const char *uri;
    bool read_only; /* nothing is made by opening it */
    const struct clock *clock;
    struct aws_options aws;
    struct catalog_rest_options rest; /* but for uri and aws */
};
/* sqlite:PATH, glue://DATABASE, rest+https://HOST[/PATH] (rest+http: for tests). */
struct catalog *catalog_open(const struct catalog_options *o, struct err *e);
/* Whether catalog_open knows it: ERR_INVALID with what to write. */
int catalog_uri_check(const char *uri, struct err *e);
/* The file of "sqlite:PATH" (borrowed), or NULL. */
const char *catalog_uri_path(const char *uri);
/* Whether its tables may lie where the catalog puts them, so that no lake need be named (REST). */
bool catalog_uri_places(const char *uri);
/* The namespace that the URI names itself ("glue://DATABASE"; borrowed), or NULL. */
const char *catalog_uri_namespace(const char *uri);

static inline void catalog_close(struct catalog *c)
{
    if (c)
        c->ops->close(c);
}

#endif
