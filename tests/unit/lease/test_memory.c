/* Leases in memory keep the contract of the others: every write moves the counter, and one that was read
 * before somebody else's write is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lease/lease.h"

struct seen {
    char shard[32];
    struct seq at;
    int n;
};

static void on_moved(void *ctx, const char *shard, struct seq at)
{
    struct seen *s = ctx;
    strcpy(s->shard, shard);
    s->at = at;
    s->n++;
}

static void contract(void **state)
{
    static const char *const parents[2] = {"p", NULL};
    struct seen seen = {0};
    struct lease_store *s = lease_memory_open(on_moved, &seen);
    struct lease a = {0}, b = {0}, *all;
    struct err e = {0};
    size_t n;
    (void)state;
    assert_int_equal(s->ops->read(s, "x", "1", &a, &e), -1);
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_int_equal(s->ops->ensure(s, "x", "1", parents, &e), 0);
    assert_int_equal(s->ops->ensure(s, "x", "1", NULL, &e), 0);
    assert_int_equal(s->ops->ensure(s, "y", "1", NULL, &e), 0);
    assert_int_equal(s->ops->read(s, "x", "1", &a, &e), 0);
    assert_int_equal(s->ops->read(s, "x", "1", &b, &e), 0);
    assert_false(a.resolved);
    assert_null(a.owner);
    assert_string_equal(a.parents[0], "p");
    assert_int_equal(s->ops->take(s, &a, "me", &e), 0);
    assert_string_equal(a.owner, "me");
    assert_int_equal(s->ops->take(s, &b, "you", &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    assert_int_equal(s->ops->checkpoint(s, &a, seq_of(7), "note", &e), 0);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.shard, "1");
    assert_int_equal(seq_low(seen.at), 7);
    assert_true(a.resolved);
    lease_fini(&b);
    assert_int_equal(s->ops->read(s, "x", "1", &b, &e), 0);
    assert_string_equal(b.note, "note");
    assert_int_equal(s->ops->renew(s, &a, &e), 0);
    assert_int_equal(s->ops->checkpoint(s, &b, seq_of(9), "", &e), -1); /* b is of before the renewal */
    assert_int_equal(e.kind, ERR_FENCED);
    assert_int_equal(seen.n, 1);
    assert_int_equal(s->ops->release(s, &a, &e), 0);
    assert_null(a.owner);
    assert_int_equal(s->ops->list(s, "x", &all, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(seq_low(all[0].checkpoint), 7);
    lease_list_free(all, n);
    assert_int_equal(s->ops->list_under(s, "", &all, &n, &e), 0);
    assert_int_equal(n, 2);
    lease_list_free(all, n);
    lease_store_close(lease_memory_share(s)); /* one of two users */
    assert_int_equal(s->ops->remove(s, "x", "1", &e), 0);
    assert_int_equal(s->ops->list(s, "x", &all, &n, &e), 0);
    assert_int_equal(n, 0);
    lease_list_free(all, n);
    lease_fini(&a);
    lease_fini(&b);
    lease_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(contract)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
