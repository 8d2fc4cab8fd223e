/* Leases: every write is conditional, so that of two owners one always learns that he is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "catalog/catalog.h"
#include "lease/lease.h"

static char dir[64], path[128];
static const char *const none[2] = {NULL, NULL};

static int setup(void **state)
{
    strcpy(dir, "/tmp/inlet-lease-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    struct catalog *c = catalog_sqlite_open(path, "default", false, NULL); /* the same file */
    catalog_close(c);
    *state = lease_sqlite_open(path, NULL);
    return *state && c ? 0 : -1;
}

static int teardown(void **state)
{
    char cmd[128];
    lease_store_close(*state);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static struct lease get(struct lease_store *s, const char *stream, const char *shard)
{
    struct lease l = {0};
    assert_int_equal(s->ops->read(s, stream, shard, &l, NULL), 0);
    return l;
}

static void life(void **state)
{
    struct lease_store *s = *state;
    struct err e = {0};
    const char *parents[2] = {"shard-0", NULL};
    struct lease l = {0};
    assert_int_equal(s->ops->read(s, "st", "shard-1", &l, &e), -1);
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_int_equal(s->ops->ensure(s, "st", "shard-1", parents, &e), 0);
    assert_int_equal(s->ops->ensure(s, "st", "shard-1", none, &e), 0);
    l = get(s, "st", "shard-1");
    assert_null(l.owner);
    assert_false(l.resolved);
    assert_string_equal(l.parents[0], "shard-0");
    assert_null(l.parents[1]);
    assert_int_equal(s->ops->renew(s, &l, &e), -1); /* nobody's is not ours */
    assert_int_equal(e.kind, ERR_FENCED);
    assert_int_equal(s->ops->take(s, &l, "me", &e), 0);
    assert_string_equal(l.owner, "me");
    assert_int_equal(s->ops->renew(s, &l, &e), 0);
    struct seq at;
    const char *digits = "49590338271490256608559692538361571095921575989136588898";
    assert_int_equal(seq_parse(&at, digits, strlen(digits), &e), 0);
    assert_int_equal(s->ops->checkpoint(s, &l, at, "4096:cafe", &e), 0);
    assert_int_equal(s->ops->checkpoint(s, &l, at, "a note that is longer than it may be", &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_int_equal(s->ops->checkpoint(s, &l, at, l.note, &e), 0);
    struct lease r = get(s, "st", "shard-1");
    assert_int_equal(r.counter, l.counter);
    assert_true(r.resolved);
    assert_int_equal(seq_cmp(r.checkpoint, at), 0);
    assert_string_equal(r.note, "4096:cafe");
    assert_int_equal(s->ops->ensure(s, "st", "shard-1", none, &e), 0); /* changes nothing */
    assert_int_equal(s->ops->checkpoint(s, &l, SEQ_END, NULL, &e), 0);
    assert_int_equal(s->ops->release(s, &l, &e), 0);
    assert_null(l.owner);
    lease_fini(&r);
    r = get(s, "st", "shard-1");
    assert_null(r.owner);
    assert_int_equal(seq_cmp(r.checkpoint, SEQ_END), 0);
    assert_string_equal(r.note, "");
    lease_fini(&r);
    lease_fini(&l);
    assert_int_equal(s->ops->remove(s, "st", "shard-1", &e), 0);
    assert_int_equal(s->ops->remove(s, "st", "shard-1", &e), 0);
    assert_int_equal(s->ops->read(s, "st", "shard-1", &l, &e), -1);
}

static void fenced(void **state)
{
    struct lease_store *s = *state, *t = lease_sqlite_open(path, NULL);
    struct err e = {0};
    assert_int_equal(s->ops->ensure(s, "f", "0", none, &e), 0);
    struct lease a = get(s, "f", "0"), b = get(t, "f", "0");
    assert_int_equal(s->ops->take(s, &a, "a", &e), 0);
    assert_int_equal(t->ops->take(t, &b, "b", &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    lease_fini(&b);
    b = get(t, "f", "0");
    assert_int_equal(t->ops->take(t, &b, "b", &e), 0);
    assert_int_equal(s->ops->renew(s, &a, &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    assert_int_equal(s->ops->checkpoint(s, &a, seq_of(7), "", &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    assert_int_equal(s->ops->release(s, &a, &e), -1);
    assert_int_equal(e.kind, ERR_FENCED);
    /* The same counter does not help with another owner. */
    a.counter = b.counter;
    assert_int_equal(s->ops->renew(s, &a, &e), -1);
    assert_int_equal(t->ops->checkpoint(t, &b, seq_of(9), "", &e), 0);
    lease_fini(&a);
    a = get(s, "f", "0");
    assert_string_equal(a.owner, "b");
    assert_int_equal(seq_low(a.checkpoint), 9);
    lease_fini(&a);
    lease_fini(&b);
    lease_store_close(t);
}

static void lists(void **state)
{
    struct lease_store *s = *state;
    struct lease *all = NULL;
    size_t n = 9;
    assert_int_equal(s->ops->list(s, "many", &all, &n, NULL), 0);
    assert_int_equal(n, 0);
    lease_list_free(all, n);
    for (int i = 0; i < 40; i++) {
        char shard[16];
        snprintf(shard, sizeof shard, "s%02d", i);
        assert_int_equal(s->ops->ensure(s, "many", shard, none, NULL), 0);
    }
    assert_int_equal(s->ops->list(s, "many", &all, &n, NULL), 0);
    assert_int_equal(n, 40);
    assert_string_equal(all[39].shard, "s39");
    lease_list_free(all, n);
    assert_int_equal(s->ops->ensure(s, "file:/a#1:2", "0", none, NULL), 0);
    assert_int_equal(s->ops->ensure(s, "file:/a#3:4", "0", none, NULL), 0);
    assert_int_equal(s->ops->ensure(s, "file:/b#1:2", "0", none, NULL), 0);
    assert_int_equal(s->ops->list_under(s, "file:/a#", &all, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(all[1].stream, "file:/a#3:4");
    lease_list_free(all, n);
    assert_int_equal(s->ops->list_under(s, "file:", &all, &n, NULL), 0);
    assert_int_equal(n, 3);
    lease_list_free(all, n);
}

static atomic_int taken;

static void *taker(void *arg)
{
    struct lease_store *s = lease_sqlite_open(path, NULL);
    for (int i = 0; i < 20; i++) {
        char shard[16];
        struct err e = {0};
        snprintf(shard, sizeof shard, "r%d", i);
        assert_int_equal(s->ops->ensure(s, "race", shard, none, &e), 0);
        struct lease l = {.stream = mem_strdup("race"), .shard = mem_strdup(shard)};
        if (s->ops->take(s, &l, arg, &e) == 0)
            atomic_fetch_add(&taken, 1);
        else
            assert_int_equal(e.kind, ERR_CONFLICT);
        lease_fini(&l);
    }
    lease_store_close(s);
    return NULL;
}

static void raced(void **state)
{
    pthread_t other;
    char a[] = "a", b[] = "b";
    (void)state;
    pthread_create(&other, NULL, taker, a);
    taker(b);
    pthread_join(other, NULL);
    assert_int_equal(taken, 20);
}

static bool has_log(const char *db)
{
    char name[160];
    snprintf(name, sizeof name, "%s-wal", db);
    return access(name, F_OK) == 0;
}

/* A file of its own does not wait for the disk at every renewal; the catalog's stays what readers of catalogs know. */
static void a_file_of_its_own(void **state)
{
    char own[128];
    struct err e = {0};
    snprintf(own, sizeof own, "%s/leases.db", dir);
    struct lease_store *s = lease_sqlite_open(own, &e);
    assert_int_equal(s->ops->ensure(s, "own", "0", none, &e), 0);
    struct lease l = get(s, "own", "0");
    assert_int_equal(s->ops->take(s, &l, "me", &e), 0);
    assert_int_equal(s->ops->checkpoint(s, &l, seq_of(7), "here", &e), 0);
    assert_true(has_log(own));
    lease_store_close(s);
    assert_false(has_log(own));
    s = lease_sqlite_open(own, &e);
    assert_int_equal(s->ops->renew(s, &l, &e), 0); /* as it was left */
    lease_fini(&l);
    l = get(s, "own", "0");
    assert_true(l.resolved && seq_cmp(l.checkpoint, seq_of(7)) == 0);
    lease_fini(&l);
    lease_store_close(s);
    s = *state;
    assert_int_equal(s->ops->ensure(s, "shared", "0", none, &e), 0);
    assert_false(has_log(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life),
        cmocka_unit_test(fenced),
        cmocka_unit_test(lists),
        cmocka_unit_test(raced),
        cmocka_unit_test(a_file_of_its_own),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
