/* SQLite behind db.h. What SQLite says is turned into what the caller has to do: come again, look
 * whether it happened, or tell the user. */
#include "catalog/db.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

struct db {
    pthread_mutex_t lock;
    sqlite3 *handle;
    char *path;
    const char *what;
    int busy_ms;
    bool read_only;
    bool relaxed, firm; /* firm: the transaction that is open, of a relaxed file */
};

static int fail(struct db *d, int rc, struct err *e)
{
    /* Of a file with a write-ahead log, which cannot be made, this is said instead. */
    if ((rc & 0xff) == SQLITE_CANTOPEN && !d->read_only && access(d->path, F_OK) == 0 &&
        access(d->path, W_OK) != 0)
        rc = SQLITE_READONLY;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_RETRY,
                       "the %s %s is locked by another program for more than %.1f s; it is tried "
                       "again, or find who holds it (fuser %s)",
                       d->what, d->path, d->busy_ms / 1000.0, d->path);
    case SQLITE_NOTADB:
        return err_set(
            e, ERR_INVALID,
            "%s is no SQLite database, so it cannot be the %s; name another file or move "
            "this one away",
            d->path, d->what);
    case SQLITE_CORRUPT:
        return err_set(e, ERR_INVALID, "the %s %s is damaged (%s); restore it from a copy", d->what,
                       d->path, sqlite3_errmsg(d->handle));
    case SQLITE_READONLY:
        return err_set(e, ERR_INVALID,
                       d->read_only ? "the %s %s was opened for reading only"
                                    : "the %s %s may not be written; check the permissions of the "
                                      "file and of its folder",
                       d->what, d->path);
    case SQLITE_CONSTRAINT:
        return err_set(e, ERR_CONFLICT, "the %s %s has it already (%s)", d->what, d->path,
                       sqlite3_errmsg(d->handle));
    default:
        return err_set(e, ERR_IO, "the %s %s: %s", d->what, d->path, sqlite3_errmsg(d->handle));
    }
}

/* Makes the folders above `path`; what goes wrong is told by the open that follows. */
static void make_folder(const char *path)
{
    char *dir = mem_strdup(path);
    for (char *p = dir + (*dir == '/'); (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(dir, 0777);
    }
    free(dir);
}

static int is_wal(void *wal, int n, char **values, char **names)
{
    (void)names;
    *(bool *)wal = n == 1 && values[0] && strcmp(values[0], "wal") == 0;
    return 0;
}

static int open_handle(struct db *d, struct err *e)
{
    struct stat st;
    int flags = SQLITE_OPEN_NOMUTEX;
    if (d->read_only && stat(d->path, &st) != 0)
        return err_errno(e, errno, "the %s %s cannot be opened", d->what, d->path);
    if (!d->read_only)
        make_folder(d->path);
    flags |= d->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(d->path, &d->handle, flags, NULL) != SQLITE_OK)
        return err_set(e, ERR_IO, "the %s %s cannot be opened: %s", d->what, d->path,
                       d->handle ? sqlite3_errmsg(d->handle) : "out of memory");
    sqlite3_extended_result_codes(d->handle, 1);
    sqlite3_busy_timeout(d->handle, d->busy_ms);
    /* The first read finds out whether this is a database at all. */
    int rc = sqlite3_exec(d->handle, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
    /* The journal is kept between transactions, emptied: making and removing a file each time costs more than
     * all else. */
    bool wal = false; /* somebody chose it: a reader that never ends, like Spark's catalog, then stops no commits */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(d->handle, "PRAGMA synchronous=FULL; PRAGMA journal_mode", is_wal, &wal, NULL);
    if (rc == SQLITE_OK && !wal)
        rc = sqlite3_exec(d->handle, "PRAGMA journal_mode=PERSIST", NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(d, rc, e);
}

struct db *db_open(const char *path, const char *what, bool read_only, int busy_ms, struct err *e)
{
    if (!*path) {
        err_set(e, ERR_INVALID, "the %s's file has an empty name", what);
        return NULL;
    }
    struct db *d = mem_zalloc(sizeof *d);
    pthread_mutex_init(&d->lock, NULL);
    /* A leading ':' would be a database in memory to SQLite. */
    d->path = *path == ':' ? mem_printf("./%s", path) : mem_strdup(path);
    d->what = what;
    d->busy_ms = busy_ms;
    d->read_only = read_only;
    if (open_handle(d, e)) {
        db_close(d);
        return NULL;
    }
    return d;
}

void db_close(struct db *d)
{
    if (!d)
        return;
    sqlite3_close(d->handle);
    pthread_mutex_destroy(&d->lock);
    free(d->path);
    free(d);
}

void db_lock(struct db *d)
{
    pthread_mutex_lock(&d->lock);
}

void db_unlock(struct db *d)
{
    pthread_mutex_unlock(&d->lock);
}

void db_relax(struct db *d)
{
    bool wal = false;
    db_lock(d);
    if (sqlite3_exec(d->handle, "PRAGMA journal_mode=WAL", is_wal, &wal, NULL) == SQLITE_OK && wal)
        d->relaxed = sqlite3_exec(d->handle, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL) == SQLITE_OK;
    db_unlock(d);
}

/* SQLite takes it between transactions only. */
static void set_firm(struct db *d, bool firm)
{
    if (d->relaxed && d->firm != firm &&
        sqlite3_exec(d->handle, firm ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL,
                     NULL, NULL) == SQLITE_OK)
        d->firm = firm;
}

static int begin(struct db *d, bool firm, struct err *e)
{
    db_lock(d);
    set_firm(d, firm);
    int rc = sqlite3_exec(d->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    fail(d, rc, e);
    db_unlock(d);
    return -1;
}

int db_begin(struct db *d, struct err *e)
{
    return begin(d, false, e);
}

int db_begin_firm(struct db *d, struct err *e)
{
    return begin(d, true, e);
}

int db_commit(struct db *d, struct err *e)
{
    int rc = sqlite3_exec(d->handle, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        fail(d, rc, e);
        /* Locked by readers: nothing was written, and the rollback makes that final. */
        if (e && e->kind != ERR_RETRY)
            e->kind = ERR_UNKNOWN;
        if (!sqlite3_get_autocommit(d->handle))
            sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL);
    }
    db_unlock(d);
    return rc == SQLITE_OK ? 0 : -1;
}

void db_rollback(struct db *d)
{
    if (!sqlite3_get_autocommit(d->handle))
        sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL);
    db_unlock(d);
}

struct sqlite3_stmt *db_prepare(struct db *d, const char *sql, const char *const *texts, int n,
                                struct err *e)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(d->handle, sql, -1, &q, NULL);
    for (int i = 0; rc == SQLITE_OK && i < n; i++)
        rc = sqlite3_bind_text(q, i + 1, texts[i], -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        return q;
    fail(d, rc, e);
    sqlite3_finalize(q);
    return NULL;
}

int db_step(struct db *d, struct sqlite3_stmt *q, struct err *e)
{
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(d, rc, e);
}

void db_done(struct sqlite3_stmt *q)
{
    sqlite3_finalize(q);
}

char *db_text(struct sqlite3_stmt *q, int column)
{
    const unsigned char *text = sqlite3_column_text(q, column);
    return text ? mem_strdup((const char *)text) : NULL;
}

int64_t db_int(struct sqlite3_stmt *q, int column)
{
    return sqlite3_column_int64(q, column);
}

void db_bind_int(struct sqlite3_stmt *q, int parameter, int64_t v)
{
    sqlite3_bind_int64(q, parameter, v);
}

int db_run(struct db *d, const char *sql, const char *const *texts, int n, int64_t *changed,
           struct err *e)
{
    sqlite3_stmt *q = db_prepare(d, sql, texts, n, e);
    if (!q)
        return -1;
    int rc = db_step(d, q, e);
    if (rc >= 0 && changed)
        *changed = db_changes(d);
    db_done(q);
    return rc < 0 ? -1 : 0;
}

int64_t db_changes(struct db *d)
{
    return sqlite3_changes(d->handle);
}

const char *db_uri_path(const char *uri)
{
    if (strncmp(uri, "sqlite:", 7) != 0 || !uri[7])
        return NULL;
    return strncmp(uri + 7, "///", 3) == 0 ? uri + 9 : uri + 7;
}

int db_has(struct db *d, const char *table, const char *column, struct err *e)
{
    const char *texts[] = {table, column};
    const char *sql = column ? "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2"
                             : "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    db_lock(d);
    sqlite3_stmt *q = db_prepare(d, sql, texts, column ? 2 : 1, e);
    int rc = q ? db_step(d, q, e) : -1;
    db_done(q);
    db_unlock(d);
    return rc;
}
