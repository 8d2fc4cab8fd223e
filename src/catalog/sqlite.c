/* The catalog in SQLite, in the tables of PyIceberg's SqlCatalog and Java's JdbcCatalog, so that both
 * read and write the same lake. A swap is one conditional UPDATE. See catalog.h. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "catalog/catalog.h"

#define BUSY_MS 10000

struct sqlite_catalog {
    struct catalog catalog; /* first */
    pthread_mutex_t lock;
    sqlite3 *db;
    char *path, *name;
};

static int fail(struct sqlite_catalog *c, const char *doing, struct err *e)
{
    int code = sqlite3_errcode(c->db);
    enum err_kind kind = code == SQLITE_BUSY || code == SQLITE_LOCKED ? ERR_RETRY
                         : code == SQLITE_NOTADB                      ? ERR_INVALID
                                                                      : ERR_IO;
    const char *hint = code == SQLITE_BUSY     ? " (another program holds it: end that, or wait)"
                       : code == SQLITE_NOTADB ? " (name another file with --catalog)"
                       : code == SQLITE_READONLY ? " (the file or its directory is read-only)"
                                                 : "";
    return err_set(e, kind, "catalog %s: %s: %s%s", c->path, doing, sqlite3_errmsg(c->db), hint);
}

/* Prepares, binds the catalog's name and up to four texts, steps once. */
static int step(struct sqlite_catalog *c, const char *sql, const char *const *texts, size_t n,
                sqlite3_stmt **st, const char *doing, struct err *e)
{
    if (sqlite3_prepare_v2(c->db, sql, -1, st, NULL) != SQLITE_OK)
        return fail(c, doing, e);
    sqlite3_bind_text(*st, 1, c->name, -1, SQLITE_STATIC);
    for (size_t i = 0; i < n; i++)
        sqlite3_bind_text(*st, (int)i + 2, texts[i], -1, SQLITE_STATIC);
    int rc = sqlite3_step(*st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return rc == SQLITE_ROW;
    fail(c, doing, e);
    if (e && rc == SQLITE_CONSTRAINT)
        e->kind = ERR_CONFLICT;
    return -1;
}

static int namespace_ensure(struct catalog *cat, const char *ns, struct err *e)
{
    struct sqlite_catalog *c = (struct sqlite_catalog *)cat;
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&c->lock);
    int rc = step(c,
                  "INSERT OR IGNORE INTO iceberg_namespace_properties (catalog_name, namespace, "
                  "property_key, property_value) VALUES (?1, ?2, 'exists', 'true')",
                  &ns, 1, &st, "making the namespace", e);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&c->lock);
    return rc < 0 ? -1 : 0;
}

static int list(struct catalog *cat, const char *ns, catalog_list_fn *each, void *ctx,
                struct err *e)
{
    struct sqlite_catalog *c = (struct sqlite_catalog *)cat;
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&c->lock);
    int rc = step(c,
                  "SELECT table_name FROM iceberg_tables WHERE catalog_name = ?1 AND "
                  "table_namespace = ?2 ORDER BY table_name",
                  &ns, 1, &st, "listing tables", e);
    while (rc == 1) {
        each(ctx, (const char *)sqlite3_column_text(st, 0));
        rc = sqlite3_step(st) == SQLITE_ROW;
    }
    sqlite3_finalize(st);
    pthread_mutex_unlock(&c->lock);
    return rc < 0 ? -1 : 0;
}

static int load(struct catalog *cat, const char *ns, const char *table, char **location,
                struct err *e)
{
    struct sqlite_catalog *c = (struct sqlite_catalog *)cat;
    const char *texts[] = {ns, table};
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&c->lock);
    int rc = step(c,
                  "SELECT metadata_location, iceberg_type FROM iceberg_tables WHERE catalog_name = "
                  "?1 AND table_namespace = ?2 AND table_name = ?3",
                  texts, 2, &st, "loading a table", e);
    const char *at = rc == 1 ? (const char *)sqlite3_column_text(st, 0) : NULL;
    const char *type = rc == 1 ? (const char *)sqlite3_column_text(st, 1) : NULL;
    if (rc == 0)
        rc = err_set(e, ERR_NOTFOUND, "catalog %s has no table %s.%s", c->path, ns, table);
    else if (rc == 1 && (!at || (type && strcmp(type, "TABLE") != 0)))
        rc = err_set(e, ERR_INVALID, "%s.%s is a %s, not a table", ns, table, type ? type : "?");
    else if (rc == 1) {
        *location = mem_strdup(at);
        rc = 0;
    }
    sqlite3_finalize(st);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static int create(struct catalog *cat, const char *ns, const char *table, const char *location,
                  struct err *e)
{
    struct sqlite_catalog *c = (struct sqlite_catalog *)cat;
    const char *texts[] = {ns, table, location};
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&c->lock);
    int rc = step(c,
                  "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, "
                  "metadata_location, previous_metadata_location, iceberg_type) VALUES (?1, ?2, ?3, "
                  "?4, NULL, 'TABLE')",
                  texts, 3, &st, "making a table", e);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&c->lock);
    return rc < 0 ? -1 : 0;
}

static int swap(struct catalog *cat, const char *ns, const char *table, const char *base,
                const char *next, struct err *e)
{
    struct sqlite_catalog *c = (struct sqlite_catalog *)cat;
    const char *texts[] = {ns, table, base, next};
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&c->lock);
    int rc = step(c,
                  "UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = ?4 "
                  "WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND "
                  "metadata_location = ?4",
                  texts, 4, &st, "committing", e);
    if (rc == 0 && sqlite3_changes(c->db) == 0)
        rc = err_set(e, ERR_CONFLICT, "%s.%s was changed by somebody else", ns, table);
    else if (rc < 0 && e && e->kind == ERR_IO)
        e->kind = ERR_UNKNOWN; /* a failed COMMIT may have happened */
    sqlite3_finalize(st);
    pthread_mutex_unlock(&c->lock);
    return rc < 0 ? -1 : 0;
}

static void sqlite_close(struct catalog *cat)
{
    struct sqlite_catalog *c = (struct sqlite_catalog *)cat;
    sqlite3_close(c->db);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c->name);
    free(c);
}

struct catalog *catalog_sqlite_open(const char *path, const char *name, bool read_only,
                                    struct err *e)
{
    static const struct catalog_ops ops = {namespace_ensure, list, load, create, swap,
                                           sqlite_close};
    static const char make[] =
        "CREATE TABLE IF NOT EXISTS iceberg_tables (catalog_name VARCHAR(255) NOT NULL, "
        "table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL, "
        "metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type "
        "VARCHAR(5), PRIMARY KEY (catalog_name, table_namespace, table_name));"
        "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (catalog_name VARCHAR(255) NOT "
        "NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL, property_value "
        "VARCHAR(1000) NOT NULL, PRIMARY KEY (catalog_name, namespace, property_key))";
    struct sqlite_catalog *c = mem_zalloc(sizeof *c);
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    c->catalog.ops = &ops;
    c->path = mem_strdup(path);
    c->name = mem_strdup(name);
    pthread_mutex_init(&c->lock, NULL);
    int rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc != SQLITE_OK) {
        fail(c, "opening", e);
    } else {
        sqlite3_busy_timeout(c->db, BUSY_MS);
        rc = sqlite3_exec(c->db, read_only ? "SELECT count(*) FROM iceberg_tables" : make, NULL,
                          NULL, NULL);
        if (rc != SQLITE_OK)
            fail(c, "opening", e);
    }
    if (rc == SQLITE_OK)
        return &c->catalog;
    sqlite_close(&c->catalog);
    return NULL;
}
