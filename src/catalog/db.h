/* db: SQLite for the rooms that keep rows in it: one connection behind a lock, every failure told
 * as a struct err. A write is one immediate transaction: db_begin ... db_commit or db_rollback,
 * which hold the lock. A read is db_lock ... db_unlock. */
#ifndef INLET_CATALOG_DB_H
#define INLET_CATALOG_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DB_BUSY_MS 10000

struct db;
struct sqlite3_stmt;

/* The path of "sqlite:PATH" or "sqlite:///PATH" (borrowed), or NULL. */
const char *db_uri_path(const char *uri);

/* `what` names the file in messages ("catalog"). Makes the file and its folder unless read_only.
 * A file that is no SQLite database is ERR_INVALID, a missing one ERR_NOTFOUND. */
struct db *db_open(const char *path, const char *what, bool read_only, int busy_ms, struct err *e);
void db_close(struct db *d);
/* For a file that no other kind of program shares: from now on the end of this process undoes no commit, but a power
 * cut may undo the latest of them, up to the last one that began with db_begin_firm. That saves the waits for the
 * disk. Where the file cannot be so, nothing changes. One machine only (write-ahead log). */
void db_relax(struct db *d);

void db_lock(struct db *d);
void db_unlock(struct db *d);

/* Waits for other writers up to the busy time, then ERR_RETRY. Holds the lock on success only. */
int db_begin(struct db *d, struct err *e);
int db_begin_firm(struct db *d, struct err *e);
/* Lets go of the lock in any case. ERR_UNKNOWN: it may have been written; look. */
int db_commit(struct db *d, struct err *e);
void db_rollback(struct db *d);

/* A prepared statement with its text parameters bound (NULL binds null); db_done frees it. The
 * texts must live until then. Call with the lock held. */
struct sqlite3_stmt *db_prepare(struct db *d, const char *sql, const char *const *texts, int n,
                                struct err *e);
/* 1 a row, 0 no more, -1 failed. A broken primary key is ERR_CONFLICT. */
int db_step(struct db *d, struct sqlite3_stmt *q, struct err *e);
void db_done(struct sqlite3_stmt *q);
/* Heap copy of a text column of the row, NULL where it is null. */
char *db_text(struct sqlite3_stmt *q, int column);
int64_t db_int(struct sqlite3_stmt *q, int column);
void db_bind_int(struct sqlite3_stmt *q, int parameter, int64_t v);
/* Prepares, steps once and frees; *changed (may be NULL) is the number of rows written. */
int db_run(struct db *d, const char *sql, const char *const *texts, int n, int64_t *changed,
           struct err *e);
int64_t db_changes(struct db *d);
/* Of the table: 1 has the column (or, with column NULL, exists), 0 not, -1 failed. */
int db_has(struct db *d, const char *table, const char *column, struct err *e);

#endif
