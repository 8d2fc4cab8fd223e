/* Leases in SQLite, for one machine: a table of its own, in a file of its own or in the catalog's.
 *
 * Every write of a held lease asks for owner and counter as last read, so that whoever was
 * overtaken learns of it at his next write. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "catalog/db.h"
#include "lease/lease.h"

struct sqlite_leases {
    struct lease_store base;
    struct db *db;
};

#define COLUMNS "stream, shard, owner, counter, checkpoint, resolved, note, parent0, parent1"
#define WHERE_SHARD " WHERE stream = ?1 AND shard = ?2"

static const char make_table[] =
    "CREATE TABLE IF NOT EXISTS inlet_leases (stream TEXT NOT NULL, shard TEXT NOT NULL, owner "
    "TEXT, "
    "counter INTEGER NOT NULL, checkpoint TEXT NOT NULL, resolved INTEGER NOT NULL, "
    "note TEXT NOT NULL, parent0 TEXT, parent1 TEXT, PRIMARY KEY (stream, shard))";

static struct db *db_of(struct lease_store *s)
{
    return ((struct sqlite_leases *)(void *)s)->db;
}

/* The row that the statement stands at. */
static int row_take(struct sqlite3_stmt *q, struct lease *out, struct err *e)
{
    struct lease l = {.stream = db_text(q, 0), .shard = db_text(q, 1), .owner = db_text(q, 2)};
    char *checkpoint = db_text(q, 4), *note = db_text(q, 6);
    int rc = 0;
    l.counter = (uint64_t)db_int(q, 3);
    l.resolved = db_int(q, 5) != 0;
    l.parents[0] = db_text(q, 7);
    l.parents[1] = db_text(q, 8);
    if (!l.stream || !l.shard || !checkpoint)
        rc = err_set(e, ERR_INVALID, "a lease row has no stream, shard or checkpoint");
    else if (seq_parse(&l.checkpoint, checkpoint, strlen(checkpoint), e))
        rc = err_wrap(e, "lease of %s, shard %s", l.stream, l.shard);
    else if (note && strlen(note) >= sizeof l.note)
        rc = err_set(e, ERR_INVALID, "lease of %s, shard %s: the note is too long", l.stream,
                     l.shard);
    else if (note)
        memcpy(l.note, note, strlen(note) + 1);
    free(checkpoint);
    free(note);
    if (rc)
        lease_fini(&l);
    *out = l;
    return rc;
}

static int list_where(struct lease_store *s, const char *sql, const char *stream, struct lease **out,
                      size_t *n, struct err *e)
{
    struct db *db = db_of(s);
    const char *texts[] = {stream};
    struct lease *all = NULL;
    size_t count = 0, cap = 0;
    db_lock(db);
    struct sqlite3_stmt *q = db_prepare(db, sql, texts, 1, e);
    int rc = q ? 0 : -1;
    while (q && (rc = db_step(db, q, e)) == 1) {
        if (count == cap) {
            cap = cap ? cap * 2 : 16;
            all = mem_regrow(all, cap, sizeof *all);
        }
        rc = row_take(q, &all[count], e);
        if (rc)
            break;
        count++;
    }
    db_done(q);
    db_unlock(db);
    if (rc) {
        lease_list_free(all, count);
        return -1;
    }
    *out = all;
    *n = count;
    return 0;
}

static int sqlite_list(struct lease_store *s, const char *stream, struct lease **out, size_t *n,
                       struct err *e)
{
    return list_where(s, "SELECT " COLUMNS " FROM inlet_leases WHERE stream = ?1 ORDER BY shard", stream,
                      out, n, e);
}

static int sqlite_list_under(struct lease_store *s, const char *prefix, struct lease **out, size_t *n,
                             struct err *e)
{
    return list_where(s,
                      "SELECT " COLUMNS " FROM inlet_leases WHERE stream BETWEEN ?1 AND ?1 || "
                      "CAST(X'f48fbfbf' AS TEXT) ORDER BY stream, shard",
                      prefix, out, n, e);
}

/* One row, with the lock held. */
static int row_read(struct db *db, const char *stream, const char *shard, struct lease *out,
                    struct err *e)
{
    const char *texts[] = {stream, shard};
    struct sqlite3_stmt *q =
        db_prepare(db, "SELECT " COLUMNS " FROM inlet_leases" WHERE_SHARD, texts, 2, e);
    int rc = q ? db_step(db, q, e) : -1;
    if (rc == 1)
        rc = row_take(q, out, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOTFOUND, "there is no lease of %s, shard %s", stream, shard);
    db_done(q);
    return rc;
}

static int sqlite_read(struct lease_store *s, const char *stream, const char *shard,
                       struct lease *out, struct err *e)
{
    struct db *db = db_of(s);
    db_lock(db);
    int rc = row_read(db, stream, shard, out, e);
    db_unlock(db);
    return rc;
}

/* Ends a write: commits where rc is 0, else takes it back. */
static int finish(struct db *db, int rc, struct err *e)
{
    if (rc == 0)
        return db_commit(db, e);
    db_rollback(db);
    return -1;
}

static int sqlite_ensure(struct lease_store *s, const char *stream, const char *shard,
                         const char *const parents[2], struct err *e)
{
    struct db *db = db_of(s);
    const char *texts[] = {stream, shard, parents ? parents[0] : NULL, parents ? parents[1] : NULL};
    if (db_begin(db, e))
        return -1;
    int rc = db_run(db,
                    "INSERT INTO inlet_leases (" COLUMNS ") VALUES (?1, ?2, NULL, 0, "
                    "'TRIM_HORIZON', 0, '', ?3, ?4) ON CONFLICT (stream, shard) DO NOTHING",
                    texts, 4, NULL, e);
    return finish(db, rc, e);
}

static int sqlite_remove(struct lease_store *s, const char *stream, const char *shard,
                         struct err *e)
{
    struct db *db = db_of(s);
    const char *texts[] = {stream, shard};
    if (db_begin(db, e))
        return -1;
    return finish(db, db_run(db, "DELETE FROM inlet_leases" WHERE_SHARD, texts, 2, NULL, e), e);
}

/* One conditional write of a lease, inside a transaction. ?3 is l's counter, the texts after it are
 * ?4 and on; `lost` is the kind of error where the condition does not hold. */
static int write_if(struct db *db, const struct lease *l, const char *sql, const char *const *more,
                    int n, enum err_kind lost, struct err *e)
{
    const char *texts[8] = {l->stream, l->shard, NULL};
    for (int i = 0; i < n; i++)
        texts[3 + i] = more[i];
    struct sqlite3_stmt *q = db_prepare(db, sql, texts, 3 + n, e);
    if (!q)
        return -1;
    db_bind_int(q, 3, (int64_t)l->counter);
    int rc = db_step(db, q, e);
    if (rc >= 0)
        rc = db_changes(db) == 1 ? 0
                                 : err_set(e, lost, "the lease of %s, shard %s is in other hands",
                                           l->stream, l->shard);
    db_done(q);
    return rc < 0 ? -1 : 0;
}

static int sqlite_take(struct lease_store *s, struct lease *l, const char *owner, struct err *e)
{
    struct db *db = db_of(s);
    struct lease now = {0};
    if (db_begin(db, e))
        return -1;
    int rc = write_if(db, l,
                      "UPDATE inlet_leases SET owner = ?4, counter = counter + 1" WHERE_SHARD
                      " AND counter = ?3",
                      &owner, 1, ERR_CONFLICT, e);
    if (rc == 0)
        rc = row_read(db, l->stream, l->shard, &now, e);
    if (finish(db, rc, e)) {
        lease_fini(&now);
        return -1;
    }
    lease_fini(l);
    *l = now;
    return 0;
}

#define WHERE_HELD WHERE_SHARD " AND counter = ?3 AND owner = ?4"

static int sqlite_renew(struct lease_store *s, struct lease *l, struct err *e)
{
    struct db *db = db_of(s);
    const char *owner = l->owner;
    if (db_begin(db, e))
        return -1;
    int rc = write_if(db, l, "UPDATE inlet_leases SET counter = counter + 1" WHERE_HELD, &owner, 1,
                      ERR_FENCED, e);
    if (finish(db, rc, e))
        return -1;
    l->counter++;
    return 0;
}

static int sqlite_checkpoint(struct lease_store *s, struct lease *l, struct seq at,
                             const char *note, struct err *e)
{
    struct db *db = db_of(s);
    char text[SEQ_TEXT_MAX], kept[sizeof l->note];
    if (!note)
        note = "";
    if (strlen(note) >= sizeof l->note)
        return err_set(e, ERR_INVALID, "the note of a checkpoint is too long: '%.40s'", note);
    memcpy(kept, note, strlen(note) + 1); /* `note` may be l's own */
    seq_format(at, text);
    const char *more[] = {l->owner, text, kept};
    /* Where a start at the stream's tip was resolved to must not be forgotten; a later checkpoint may: what lies
     * after it is in the tables, and they know. */
    bool start = !l->resolved && seq_cmp(at, SEQ_NONE) != 0;
    if (start ? db_begin_firm(db, e) : db_begin(db, e))
        return -1;
    int rc = write_if(db, l,
                      "UPDATE inlet_leases SET counter = counter + 1, checkpoint = ?5, note = ?6, "
                      "resolved = 1" WHERE_HELD,
                      more, 3, ERR_FENCED, e);
    if (finish(db, rc, e))
        return -1;
    l->counter++;
    l->checkpoint = at;
    l->resolved = true;
    memcpy(l->note, kept, strlen(kept) + 1);
    return 0;
}

static int sqlite_release(struct lease_store *s, struct lease *l, struct err *e)
{
    struct db *db = db_of(s);
    const char *owner = l->owner;
    if (db_begin(db, e))
        return -1;
    int rc =
        write_if(db, l, "UPDATE inlet_leases SET counter = counter + 1, owner = NULL" WHERE_HELD,
                 &owner, 1, ERR_FENCED, e);
    if (finish(db, rc, e))
        return -1;
    l->counter++;
    free(l->owner);
    l->owner = NULL;
    return 0;
}

static void sqlite_close(struct lease_store *s)
{
    db_close(db_of(s));
    free(s);
}

static const struct lease_ops sqlite_ops = {
    .list = sqlite_list,
    .list_under = sqlite_list_under,
    .ensure = sqlite_ensure,
    .read = sqlite_read,
    .take = sqlite_take,
    .renew = sqlite_renew,
    .checkpoint = sqlite_checkpoint,
    .release = sqlite_release,
    .remove = sqlite_remove,
    .close = sqlite_close,
};

struct lease_store *lease_sqlite_open(const char *path, struct err *e)
{
    struct db *db = db_open(path, "lease store", false, DB_BUSY_MS, e);
    if (!db)
        return NULL;
    int catalog = db_has(db, "iceberg_tables", NULL, e), has = catalog < 0 ? -1 : db_has(db, "inlet_leases", NULL, e);
    if (catalog == 0) /* with a lease for each file of a large load, the disk would be all that is waited for */
        db_relax(db);
    if (has == 0 && (db_begin(db, e) || finish(db, db_run(db, make_table, NULL, 0, NULL, e), e)))
        has = -1;
    if (has < 0) {
        db_close(db);
        return NULL;
    }
    struct sqlite_leases *s = mem_zalloc(sizeof *s);
    s->base.ops = &sqlite_ops;
    s->db = db;
    return &s->base;
}
