/* The catalog of PyIceberg's SqlCatalog and Java's JdbcCatalog, in SQLite: one row for each table.
 *
 * The commit of a table is one conditional UPDATE in an immediate transaction. A transaction waits for the disk half a
 * dozen times: those of several threads that come meanwhile are made as one. The older schema
 * without the column iceberg_type is found as it stands, and left so. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/db.h"

struct sqlite_catalog {
    struct catalog base;
    struct db *db;
    char *name;
    bool typed; /* the column iceberg_type is there */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t made;
    struct write *waiting; /* for the next transaction; the last to come is first */
    bool busy;             /* one of them is making a transaction */
};

/* A table's creation or swap, by the thread that waits for it. */
struct write {
    struct write *next;
    const char *ns, *table;
    const struct catalog_change *change;
    bool done;
    int rc;
    struct err err;
};

#define WHERE_TABLE "WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3"

static const char make_tables[] =
    "CREATE TABLE IF NOT EXISTS iceberg_tables ("
    "catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, "
    "table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000), "
    "previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5), "
    "PRIMARY KEY (catalog_name, table_namespace, table_name))";
static const char make_namespaces[] =
    "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties ("
    "catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, "
    "property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL, "
    "PRIMARY KEY (catalog_name, namespace, property_key))";

static struct sqlite_catalog *sqlite_of(struct catalog *c)
{
    return (struct sqlite_catalog *)(void *)c;
}

/* Ends a write: commits where rc is 0, else takes it back. */
static int finish(struct db *db, int rc, struct err *e)
{
    if (rc == 0)
        return db_commit(db, e);
    db_rollback(db);
    return -1;
}

static int sqlite_namespace_exists(struct catalog *c, const char *ns, bool *exists, struct err *e)
{
    struct sqlite_catalog *s = sqlite_of(c);
    const char *texts[] = {s->name, ns};
    db_lock(s->db);
    struct sqlite3_stmt *q =
        db_prepare(s->db,
                   "SELECT 1 FROM iceberg_namespace_properties WHERE catalog_name = ?1 AND "
                   "namespace = ?2 LIMIT 1",
                   texts, 2, e);
    int rc = q ? db_step(s->db, q, e) : -1;
    db_done(q);
    db_unlock(s->db);
    *exists = rc > 0;
    return rc < 0 ? -1 : 0;
}

static int sqlite_namespace_ensure(struct catalog *c, const char *ns, struct err *e)
{
    struct sqlite_catalog *s = sqlite_of(c);
    const char *texts[] = {s->name, ns};
    bool there; /* mostly it is, and then nobody need wait for the write lock */
    int rc = sqlite_namespace_exists(c, ns, &there, e);
    if (rc || there)
        return rc;
    if (db_begin(s->db, e))
        return -1;
    rc = db_run(s->db,
                "INSERT OR IGNORE INTO iceberg_namespace_properties "
                "VALUES (?1, ?2, 'exists', 'true')",
                texts, 2, NULL, e);
    return finish(s->db, rc, e);
}

static int sqlite_list(struct catalog *c, const char *ns, catalog_list_fn *each, void *ctx,
                       struct err *e)
{
    struct sqlite_catalog *s = sqlite_of(c);
    const char *texts[] = {s->name, ns};
    const char *sql = s->typed
                          ? "SELECT table_name FROM iceberg_tables WHERE catalog_name = ?1 AND "
                            "table_namespace = ?2 AND "
                            "(iceberg_type = 'TABLE' OR iceberg_type IS NULL) ORDER BY 1"
                          : "SELECT table_name FROM iceberg_tables WHERE catalog_name = ?1 AND "
                            "table_namespace = ?2 ORDER BY 1";
    struct buf names = {0}; /* told without the lock, so that `each` may use the catalog */
    db_lock(s->db);
    struct sqlite3_stmt *q = db_prepare(s->db, sql, texts, 2, e);
    int rc = q ? 0 : -1;
    while (q && (rc = db_step(s->db, q, e)) == 1) {
        char *name = db_text(q, 0);
        if (name)
            buf_put(&names, name, strlen(name) + 1);
        free(name);
    }
    db_done(q);
    db_unlock(s->db);
    for (size_t at = 0; rc == 0 && at < names.n; at += strlen((char *)names.p + at) + 1)
        each(ctx, (char *)names.p + at);
    buf_fini(&names);
    return rc;
}

/* The row of a table, with the lock held: 0 and *location, or ERR_NOTFOUND, ERR_INVALID. */
static int row_read(struct sqlite_catalog *s, const char *ns, const char *table, char **location,
                    struct err *e)
{
    const char *texts[] = {s->name, ns, table};
    const char *sql =
        s->typed ? "SELECT metadata_location, iceberg_type FROM iceberg_tables " WHERE_TABLE
                 : "SELECT metadata_location, NULL FROM iceberg_tables " WHERE_TABLE;
    struct sqlite3_stmt *q = db_prepare(s->db, sql, texts, 3, e);
    int rc = q ? db_step(s->db, q, e) : -1;
    char *found = NULL, *type = NULL;
    if (rc == 1) {
        found = db_text(q, 0);
        type = db_text(q, 1);
        rc = 0;
        if (type && strcmp(type, "TABLE") != 0)
            rc = err_set(e, ERR_INVALID, "%s.%s is no table but a %s", ns, table, type);
        else if (!found)
            rc =
                err_set(e, ERR_INVALID, "%s.%s has no metadata location in the catalog", ns, table);
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOTFOUND, "there is no table %s.%s in the catalog '%s'", ns, table,
                     s->name);
    }
    db_done(q);
    free(type);
    if (rc == 0)
        *location = found;
    else
        free(found);
    return rc;
}

static int sqlite_load(struct catalog *c, const char *ns, const char *table,
                       struct catalog_table *out, struct err *e)
{
    struct sqlite_catalog *s = sqlite_of(c);
    db_lock(s->db);
    int rc = row_read(s, ns, table, &out->location, e);
    db_unlock(s->db);
    return rc;
}

/* ---- writing ---- */

/* Within a transaction. */
static int create_row(struct sqlite_catalog *s, const struct write *w, struct err *e)
{
    const char *texts[] = {s->name, w->ns, w->table, w->change->next};
    const char *sql =
        s->typed ? "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, "
                   "metadata_location, iceberg_type) VALUES (?1, ?2, ?3, ?4, 'TABLE')"
                 : "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, "
                   "metadata_location) VALUES (?1, ?2, ?3, ?4)";
    int rc = db_run(s->db, sql, texts, 4, NULL, e);
    if (rc && e->kind == ERR_CONFLICT)
        err_set(e, ERR_CONFLICT, "the table %s.%s exists already", w->ns, w->table);
    return rc;
}

static int swap_row(struct sqlite_catalog *s, const struct write *w, struct err *e)
{
    const char *texts[] = {s->name, w->ns, w->table, w->change->base, w->change->next};
    const char *sql =
        s->typed ? "UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = "
                   "?4 " WHERE_TABLE " AND metadata_location = ?4 AND "
                   "(iceberg_type = 'TABLE' OR iceberg_type IS NULL)"
                 : "UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = "
                   "?4 " WHERE_TABLE " AND metadata_location = ?4";
    int64_t changed = 0;
    char *stands = NULL;
    int rc = db_run(s->db, sql, texts, 5, &changed, e);
    if (rc == 0 && changed != 1) {
        rc = row_read(s, w->ns, w->table, &stands, e);
        if (rc == 0)
            rc = err_set(e, ERR_CONFLICT, "%s.%s was changed meanwhile: it stands at %s", w->ns, w->table,
                         stands);
        free(stands);
    }
    return rc;
}

/* One that is refused changes nothing, and hinders no other; where the transaction fails, all do. */
static void make_writes(struct sqlite_catalog *s, struct write *all)
{
    struct err e = {0};
    bool any = false;
    if (db_begin(s->db, &e)) {
        for (struct write *w = all; w; w = w->next) {
            w->rc = -1;
            w->err = e;
        }
        return;
    }
    for (struct write *w = all; w; w = w->next) {
        w->rc = (w->change->base ? swap_row : create_row)(s, w, &w->err);
        any |= w->rc == 0;
    }
    if (finish(s->db, any ? 0 : -1, &e) == 0 || !any)
        return;
    for (struct write *w = all; w; w = w->next)
        if (w->rc == 0) {
            w->rc = -1;
            w->err = e;
        }
}

/* Whoever finds nobody at it makes the transaction, of all that wait; the others wait for him. */
static int write_row(struct catalog *c, struct write *w, struct err *e)
{
    struct sqlite_catalog *s = sqlite_of(c);
    pthread_mutex_lock(&s->lock);
    w->next = s->waiting;
    s->waiting = w;
    while (!w->done) {
        if (s->busy) {
            pthread_cond_wait(&s->made, &s->lock);
            continue;
        }
        struct write *all = s->waiting;
        s->waiting = NULL;
        s->busy = true;
        pthread_mutex_unlock(&s->lock);
        make_writes(s, all);
        pthread_mutex_lock(&s->lock);
        for (struct write *at = all, *next; at; at = next) {
            next = at->next; /* once done it is its thread's again */
            at->done = true;
        }
        s->busy = false;
        pthread_cond_broadcast(&s->made);
    }
    pthread_mutex_unlock(&s->lock);
    if (w->rc && e)
        *e = w->err;
    return w->rc;
}

static int sqlite_create(struct catalog *c, const char *ns, const char *table,
                         const struct catalog_change *change, struct catalog_table *out,
                         struct err *e)
{
    struct catalog_change made = *change;
    struct write w = {.ns = ns, .table = table, .change = &made};
    (void)out;
    made.base = NULL;
    return write_row(c, &w, e);
}

static int sqlite_swap(struct catalog *c, const char *ns, const char *table,
                       const struct catalog_change *change, struct catalog_table *out, struct err *e)
{
    struct write w = {.ns = ns, .table = table, .change = change};
    (void)out;
    invariant(change->base);
    return write_row(c, &w, e);
}

static void sqlite_close(struct catalog *c)
{
    struct sqlite_catalog *s = sqlite_of(c);
    db_close(s->db);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->made);
    free(s->name);
    free(s);
}

static const struct catalog_ops sqlite_ops = {
    .namespace_ensure = sqlite_namespace_ensure,
    .namespace_exists = sqlite_namespace_exists,
    .list = sqlite_list,
    .load = sqlite_load,
    .create = sqlite_create,
    .swap = sqlite_swap,
    .close = sqlite_close,
};

/* Makes what is missing; two that start at once both find it made. */
static int tables_ensure(struct sqlite_catalog *s, const char *path, bool read_only, struct err *e)
{
    int tables = db_has(s->db, "iceberg_tables", NULL, e);
    int namespaces = tables < 0 ? -1 : db_has(s->db, "iceberg_namespace_properties", NULL, e);
    if (tables < 0 || namespaces < 0)
        return -1;
    if (read_only && !tables)
        return err_set(e, ERR_INVALID,
                       "%s holds no Iceberg catalog (no table iceberg_tables); was it the right "
                       "file?",
                       path);
    if (!read_only && (!tables || !namespaces)) {
        if (db_begin(s->db, e))
            return -1;
        int rc = db_run(s->db, make_tables, NULL, 0, NULL, e);
        if (rc == 0)
            rc = db_run(s->db, make_namespaces, NULL, 0, NULL, e);
        if (finish(s->db, rc, e))
            return -1;
    }
    int typed = db_has(s->db, "iceberg_tables", "iceberg_type", e);
    s->typed = typed == 1;
    return typed < 0 ? -1 : 0;
}

struct catalog *catalog_sqlite_open(const char *path, const char *name, bool read_only,
                                    struct err *e)
{
    struct db *db = db_open(path, "catalog", read_only, DB_BUSY_MS, e);
    if (!db)
        return NULL;
    struct sqlite_catalog *s = mem_zalloc(sizeof *s);
    s->base.ops = &sqlite_ops;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->made, NULL);
    s->db = db;
    s->name = mem_strdup(name);
    if (tables_ensure(s, path, read_only, e)) {
        sqlite_close(&s->base);
        return NULL;
    }
    return &s->base;
}
