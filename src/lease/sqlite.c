/* Leases in SQLite, beside a local catalog: every write is conditional on the counter as last read, as
 * the KCL's are. See lease.h. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lease/lease.h"

#define BUSY_MS 10000
#define COLUMNS "stream, shard, owner, counter, checkpoint, resolved, note, parent0, parent1"

struct sqlite_leases {
    struct lease_store store; /* first */
    pthread_mutex_t lock;
    sqlite3 *db;
    char *path;
};

static int fail(struct sqlite_leases *s, struct err *e)
{
    int code = sqlite3_errcode(s->db);
    return err_set(e, code == SQLITE_BUSY ? ERR_RETRY : code == SQLITE_NOTADB ? ERR_INVALID : ERR_IO,
                   "leases %s: %s", s->path, sqlite3_errmsg(s->db));
}

static char *column(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text ? mem_strdup(text) : NULL;
}

static int read_row(sqlite3_stmt *st, struct lease *out, struct err *e)
{
    const char *at = (const char *)sqlite3_column_text(st, 4);
    const char *note = (const char *)sqlite3_column_text(st, 6);
    *out = (struct lease){.stream = column(st, 0),
                          .shard = column(st, 1),
                          .owner = column(st, 2),
                          .counter = (uint64_t)sqlite3_column_int64(st, 3),
                          .resolved = sqlite3_column_int(st, 5) != 0,
                          .parents = {column(st, 7), column(st, 8)}};
    snprintf(out->note, sizeof out->note, "%s", note ? note : "");
    return at ? seq_parse(&out->checkpoint, at, strlen(at), e) : 0;
}

static int query(struct sqlite_leases *s, const char *stream, const char *shard,
                 struct lease **out, size_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, got;
    *out = NULL;
    *n = 0;
    pthread_mutex_lock(&s->lock);
    if (sqlite3_prepare_v2(s->db,
                           "SELECT " COLUMNS " FROM inlet_leases WHERE stream = ?1 AND (?2 IS NULL "
                           "OR shard = ?2) ORDER BY shard",
                           -1, &st, NULL) != SQLITE_OK) {
        fail(s, e);
        goto done;
    }
    sqlite3_bind_text(st, 1, stream, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, shard, -1, SQLITE_STATIC);
    while ((got = sqlite3_step(st)) == SQLITE_ROW) {
        *out = mem_regrow(*out, *n + 1, sizeof **out);
        if (read_row(st, &(*out)[(*n)++], e))
            goto done;
    }
    rc = got == SQLITE_DONE ? 0 : fail(s, e);
done:
    sqlite3_finalize(st);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static int list(struct lease_store *store, const char *stream, struct lease **out, size_t *n,
                struct err *e)
{
    return query((struct sqlite_leases *)store, stream, NULL, out, n, e);
}

static int read_one(struct lease_store *store, const char *stream, const char *shard,
                    struct lease *out, struct err *e)
{
    struct lease *rows;
    size_t n;
    int rc = query((struct sqlite_leases *)store, stream, shard, &rows, &n, e);
    if (!rc && n == 0)
        rc = err_set(e, ERR_NOTFOUND, "no lease of shard %s", shard);
    if (!rc)
        *out = rows[0];
    free(rows);
    return rc;
}

/* Runs one statement whose parameters are texts (NULL allowed) and whose ?9 is a counter; answers the
 * number of rows changed, or -1. */
static int change(struct sqlite_leases *s, const char *sql, const char *const texts[8],
                  uint64_t counter, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1;
    pthread_mutex_lock(&s->lock);
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) == SQLITE_OK) {
        int n = sqlite3_bind_parameter_count(st);
        for (int i = 0; i < 8 && i < n; i++)
            sqlite3_bind_text(st, i + 1, texts[i], -1, SQLITE_STATIC);
        if (n >= 9)
            sqlite3_bind_int64(st, 9, (sqlite3_int64)counter);
        if (sqlite3_step(st) == SQLITE_DONE)
            rc = sqlite3_changes(s->db);
    }
    if (rc < 0)
        fail(s, e);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static int ensure(struct lease_store *store, const char *stream, const char *shard,
                  const char *const parents[2], struct err *e)
{
    const char *texts[8] = {stream, shard, parents[0], parents[1]};
    return change((struct sqlite_leases *)store,
                  "INSERT OR IGNORE INTO inlet_leases (stream, shard, counter, resolved, note, "
                  "parent0, parent1) VALUES (?1, ?2, 0, 0, '', ?3, ?4)",
                  texts, 0, e) < 0
               ? -1
               : 0;
}

/* A conditional write that moves the counter: 1 changed, 0 lost. */
static int move(struct lease_store *store, struct lease *l, const char *sql, const char *a,
                const char *b, enum err_kind lost, struct err *e)
{
    const char *texts[8] = {l->stream, l->shard, a, b};
    int rc = change((struct sqlite_leases *)store, sql, texts, l->counter, e);
    if (rc == 0)
        rc = err_set(e, lost, "the lease of shard %s is no longer ours", l->shard);
    if (rc < 0)
        return -1;
    l->counter++;
    return 0;
}

#define WHERE " WHERE stream = ?1 AND shard = ?2 AND counter = ?9"

static int take(struct lease_store *store, struct lease *l, const char *owner, struct err *e)
{
    if (move(store, l, "UPDATE inlet_leases SET counter = counter + 1, owner = ?3" WHERE, owner,
             NULL, ERR_CONFLICT, e))
        return -1;
    free(l->owner);
    l->owner = mem_strdup(owner);
    return 0;
}

static int renew(struct lease_store *store, struct lease *l, struct err *e)
{
    return move(store, l, "UPDATE inlet_leases SET counter = counter + 1" WHERE, NULL, NULL,
                ERR_FENCED, e);
}

static int checkpoint(struct lease_store *store, struct lease *l, struct seq at, const char *note,
                      struct err *e)
{
    char text[SEQ_TEXT_MAX];
    seq_format(at, text);
    if (move(store, l,
             "UPDATE inlet_leases SET counter = counter + 1, checkpoint = ?3, note = ?4, resolved = "
             "1" WHERE,
             text, note, ERR_FENCED, e))
        return -1;
    l->checkpoint = at;
    l->resolved = true;
    if (note != l->note)
        snprintf(l->note, sizeof l->note, "%s", note);
    return 0;
}

static int release(struct lease_store *store, struct lease *l, struct err *e)
{
    if (move(store, l, "UPDATE inlet_leases SET counter = counter + 1, owner = NULL" WHERE, NULL,
             NULL, ERR_FENCED, e))
        return -1;
    free(l->owner);
    l->owner = NULL;
    return 0;
}

static int remove_one(struct lease_store *store, const char *stream, const char *shard,
                      struct err *e)
{
    const char *texts[8] = {stream, shard};
    return change((struct sqlite_leases *)store,
                  "DELETE FROM inlet_leases WHERE stream = ?1 AND shard = ?2", texts, 0, e) < 0
               ? -1
               : 0;
}

static void sqlite_close(struct lease_store *store)
{
    struct sqlite_leases *s = (struct sqlite_leases *)store;
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

void lease_fini(struct lease *l)
{
    free(l->stream);
    free(l->shard);
    free(l->owner);
    free(l->parents[0]);
    free(l->parents[1]);
    *l = (struct lease){0};
}

void lease_list_free(struct lease *leases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lease_fini(&leases[i]);
    free(leases);
}

struct lease_store *lease_sqlite_open(const char *path, struct err *e)
{
    static const struct lease_ops ops = {list,       ensure,  read_one,   take,        renew,
                                         checkpoint, release, remove_one, sqlite_close};
    struct sqlite_leases *s = mem_zalloc(sizeof *s);
    s->store.ops = &ops;
    s->path = mem_strdup(path);
    pthread_mutex_init(&s->lock, NULL);
    int rc = sqlite3_open(path, &s->db);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        rc = sqlite3_exec(s->db,
                          "CREATE TABLE IF NOT EXISTS inlet_leases (stream TEXT NOT NULL, shard TEXT "
                          "NOT NULL, owner TEXT, counter INTEGER NOT NULL, checkpoint TEXT, resolved "
                          "INTEGER NOT NULL, note TEXT NOT NULL, parent0 TEXT, parent1 TEXT, PRIMARY "
                          "KEY (stream, shard))",
                          NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK)
        return &s->store;
    fail(s, e);
    sqlite_close(&s->store);
    return NULL;
}
