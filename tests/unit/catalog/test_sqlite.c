/* The SQLite catalog: compare-and-swap among threads and connections, older schemas, bad files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "catalog/catalog.h"
#include "catalog/db.h"

static char dir[64], path[128];

static int setup(void **state)
{
    strcpy(dir, "/tmp/inlet-catalog-XXXXXX");
    *state = NULL;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/new/catalog.db", dir);
    return 0;
}

static int teardown(void **state)
{
    char cmd[128];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static void sql(const char *file, const char *text)
{
    sqlite3 *h;
    assert_int_equal(sqlite3_open(file, &h), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static void add_name(void *ctx, const char *table)
{
    buf_printf(ctx, "%s ", table);
}

static int load(struct catalog *c, const char *table, char **at, struct err *e)
{
    struct catalog_table t = {0};
    int rc = c->ops->load(c, "events", table, &t, e);
    *at = t.location;
    return rc;
}

static int create(struct catalog *c, const char *table, const char *at, struct err *e)
{
    struct catalog_change change = {.next = at};
    struct catalog_table t = {0};
    return c->ops->create(c, "events", table, &change, &t, e);
}

static int swap(struct catalog *c, const char *table, const char *base, const char *next,
                struct err *e)
{
    struct catalog_change change = {.base = base, .next = next};
    struct catalog_table t = {0};
    return c->ops->swap(c, "events", table, &change, &t, e);
}

static void life(struct catalog *c)
{
    struct err e = {0};
    char *at = NULL;
    struct buf b = {0};
    assert_int_equal(c->ops->namespace_ensure(c, "events", &e), 0);
    assert_int_equal(c->ops->namespace_ensure(c, "events", &e), 0);
    assert_int_equal(load(c, "a", &at, &e), -1);
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_int_equal(swap(c, "a", "m0", "m1", &e), -1);
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_int_equal(create(c, "b", "b0", &e), 0);
    assert_int_equal(create(c, "a", "m0", &e), 0);
    assert_int_equal(create(c, "a", "m9", &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    assert_int_equal(create(c, "a", "m9", NULL), -1);
    assert_int_equal(swap(c, "a", "m0", "m1", &e), 0);
    assert_int_equal(swap(c, "a", "m0", "m2", &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    assert_int_equal(load(c, "a", &at, &e), 0);
    assert_string_equal(at, "m1");
    free(at);
    assert_int_equal(c->ops->list(c, "events", add_name, &b, &e), 0);
    assert_string_equal(buf_cstr(&b), "a b ");
    b.n = 0;
    assert_int_equal(c->ops->list(c, "other", add_name, &b, &e), 0);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void fresh(void **state)
{
    struct err e = {0};
    char *at = NULL;
    (void)state;
    struct catalog *c = catalog_sqlite_open(path, "default", false, &e);
    assert_non_null(c);
    life(c);
    catalog_close(c);
    c = catalog_sqlite_open(path, "another", false, &e); /* another name sees nothing of it */
    assert_int_equal(load(c, "a", &at, &e), -1);
    catalog_close(c);
    sql(path, "INSERT INTO iceberg_tables VALUES ('default','events','v','x',NULL,'VIEW'),"
              "('default','events','n','x',NULL,NULL),('default','events','z',NULL,NULL,'TABLE')");
    c = catalog_sqlite_open(path, "default", true, &e);
    assert_int_equal(load(c, "v", &at, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_int_equal(load(c, "z", &at, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_int_equal(load(c, "n", &at, &e), 0);
    free(at);
    assert_int_equal(swap(c, "a", "m1", "m2", &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, "reading only"));
    catalog_close(c);
}

static void without_type(void **state)
{
    (void)state;
    char old[128];
    snprintf(old, sizeof old, "%s/old.db", dir);
    sql(old, "CREATE TABLE iceberg_tables (catalog_name VARCHAR(255) NOT NULL, table_namespace "
             "VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL, metadata_location "
             "VARCHAR(1000), previous_metadata_location VARCHAR(1000), PRIMARY KEY (catalog_name, "
             "table_namespace, table_name))");
    struct catalog *c = catalog_sqlite_open(old, "default", false, NULL);
    assert_non_null(c);
    life(c);
    catalog_close(c);
}

static void bad_files(void **state)
{
    struct err e = {0};
    char file[128];
    (void)state;
    snprintf(file, sizeof file, "%s/text", dir);
    FILE *f = fopen(file, "w");
    for (int i = 0; i < 200; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    assert_null(catalog_sqlite_open(file, "default", false, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, "name another file"));
    snprintf(file, sizeof file, "%s/missing", dir);
    assert_null(catalog_sqlite_open(file, "default", true, &e));
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_int_not_equal(access(file, F_OK), 0);
    snprintf(file, sizeof file, "%s/other.db", dir);
    sql(file, "CREATE TABLE t (a)");
    assert_null(catalog_sqlite_open(file, "default", true, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    assert_null(catalog_sqlite_open(dir, "default", false, &e));
    assert_int_equal(e.kind, ERR_IO);
    assert_null(catalog_sqlite_open("/dev/null/x.db", "default", false, &e));
    assert_int_equal(e.kind, ERR_IO);
    assert_null(catalog_sqlite_open("", "default", false, &e));
}

static void locked(void **state)
{
    struct err e = {0};
    char file[128];
    (void)state;
    snprintf(file, sizeof file, "%s/locked.db", dir);
    struct db *a = db_open(file, "catalog", false, 50, &e);
    struct db *b = db_open(file, "catalog", false, 50, &e);
    assert_int_equal(db_begin(a, &e), 0);
    assert_int_equal(db_begin(b, &e), -1);
    assert_int_equal(e.kind, ERR_RETRY);
    assert_non_null(strstr(e.text, "locked"));
    db_rollback(a);
    assert_int_equal(db_begin(b, &e), 0);
    assert_int_equal(db_commit(b, &e), 0);
    /* A reader in the way of a commit: it did not happen, and that is final. */
    sql(file, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)");
    db_lock(a);
    struct sqlite3_stmt *q = db_prepare(a, "SELECT a FROM t", NULL, 0, &e);
    assert_int_equal(db_step(a, q, &e), 1);
    assert_int_equal(db_begin(b, &e), 0);
    assert_int_equal(db_run(b, "DELETE FROM t", NULL, 0, NULL, &e), 0);
    assert_int_equal(db_commit(b, &e), -1);
    assert_int_equal(e.kind, ERR_RETRY);
    db_done(q);
    q = db_prepare(a, "SELECT count(*) FROM t", NULL, 0, &e);
    assert_int_equal(db_step(a, q, &e), 1);
    assert_int_equal(db_int(q, 0), 2);
    db_done(q);
    db_unlock(a);
    db_close(a);
    db_close(b);
}

static atomic_int wins;
#define ROUNDS 40

static void *swapper(void *arg)
{
    struct catalog *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char base[16], next[16];
        struct err e;
        snprintf(base, sizeof base, "m%d", i);
        snprintf(next, sizeof next, "m%d", i + 1);
        if (swap(c, "raced", base, next, &e) == 0)
            atomic_fetch_add(&wins, 1);
        else
            assert_int_equal(e.kind, ERR_CONFLICT);
    }
    return NULL;
}

/* Two connections and three threads: every step is won exactly once. */
static void raced(void **state)
{
    (void)state;
    struct catalog *a = catalog_sqlite_open(path, "default", false, NULL);
    struct catalog *b = catalog_sqlite_open(path, "default", false, NULL);
    pthread_t t[2];
    char *at = NULL;
    assert_int_equal(create(a, "raced", "m0", NULL), 0);
    pthread_create(&t[0], NULL, swapper, a);
    pthread_create(&t[1], NULL, swapper, b);
    swapper(b);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    assert_int_equal(load(a, "raced", &at, NULL), 0);
    assert_int_equal(atoi(at + 1), wins);
    free(at);
    catalog_close(a);
    catalog_close(b);
}

struct taker {
    struct catalog *c;
    const char *name;
};

static void *taker(void *arg)
{
    struct taker *t = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char base[16], next[16];
        struct err e = {0};
        snprintf(base, sizeof base, "m%d", i);
        snprintf(next, sizeof next, "m%d", i + 1);
        if (i % 8 == 7) { /* refused: that is nobody else's business */
            assert_int_equal(swap(t->c, t->name, "elsewhere", "lost", &e), -1);
            assert_int_equal(e.kind, ERR_CONFLICT);
            assert_int_equal(create(t->c, t->name, "lost", &e), -1);
            assert_int_equal(e.kind, ERR_CONFLICT);
        }
        assert_int_equal(swap(t->c, t->name, base, next, &e), 0);
    }
    return NULL;
}

/* Commits of several threads in one transaction: each has its own answer. */
static void side_by_side(void **state)
{
    (void)state;
    static const char *const names[] = {"side0", "side1", "side2", "side3", "side4", "side5"};
    struct catalog *c = catalog_sqlite_open(path, "default", false, NULL);
    struct taker each[6];
    pthread_t t[6];
    for (int i = 0; i < 6; i++) {
        each[i] = (struct taker){c, names[i]};
        assert_int_equal(create(c, names[i], "m0", NULL), 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_create(&t[i], NULL, taker, &each[i]);
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 6; i++) {
        char *at = NULL;
        assert_int_equal(load(c, names[i], &at, NULL), 0);
        assert_int_equal(atoi(at + 1), ROUNDS);
        free(at);
    }
    catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh),  cmocka_unit_test(without_type), cmocka_unit_test(bad_files),
        cmocka_unit_test(locked), cmocka_unit_test(raced),
        cmocka_unit_test(side_by_side),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
