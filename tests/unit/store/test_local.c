/* The local store: never replaces, never shows half an object, never leaves its root. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

static char root[64];

static int setup(void **state)
{
    strcpy(root, "/tmp/inlet-store-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    char dir[96];
    snprintf(dir, sizeof dir, "%s/a/lake", root);
    *state = store_local_open(dir, true, NULL);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    char cmd[128];
    store_close(*state);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", root);
    return system(cmd);
}

static void put_get(void **state)
{
    struct store *s = *state;
    struct err e = {0};
    struct buf b = {0};
    assert_int_equal(store_put(s, "events/a/data/day=2026-11-22/x.parquet", "hello", 5, &e), 0);
    assert_int_equal(store_put(s, "events/a/data/day=2026-11-22/x.parquet", "other", 5, &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    buf_puts(&b, ">");
    assert_int_equal(store_get(s, "events/a/data/day=2026-11-22/x.parquet", 5, &b, &e), 0);
    assert_string_equal(buf_cstr(&b), ">hello");
    assert_int_equal(store_get(s, "events/a/data/day=2026-11-22/x.parquet", 4, &b, &e), -1);
    assert_int_equal(e.kind, ERR_NOMEM);
    assert_int_equal(store_get(s, "none/x", 4, &b, &e), -1);
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_int_equal(store_get(s, "events/a", 4, &b, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    char part[4] = "";
    const char *key = "events/a/data/day=2026-11-22/x.parquet";
    assert_int_equal(s->ops->get_range(s, key, 1, 3, part, &e), 0);
    assert_string_equal(part, "ell");
    assert_int_equal(s->ops->get_range(s, key, 3, 3, part, &e), -1);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_int_equal(s->ops->get_range(s, key, -1, 3, part, &e), -1);
    int64_t n = 0;
    assert_int_equal(s->ops->size(s, key, &n, &e), 0);
    assert_int_equal(n, 5);
    assert_int_equal(s->ops->remove(s, key, &e), 0);
    assert_int_equal(s->ops->remove(s, key, &e), 0);
    assert_int_equal(s->ops->remove(s, "no/such/folder", &e), 0);
    assert_int_equal(s->ops->size(s, key, &n, &e), -1);
    assert_int_equal(e.kind, ERR_NOTFOUND);
    assert_int_equal(store_put(s, "empty", "", 0, &e), 0);
    b.n = 0;
    assert_int_equal(store_get(s, "empty", 0, &b, &e), 0);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void keys(void **state)
{
    static const char *const bad[] = {"",       "/a",   "a/",  "a//b",  "..", "../a",
                                      "a/../b", "a/..", "./a", "a/./b", ".",  "a b",
                                      "a\nb",   "a\\b", "a?b", "a/\xff"};
    struct store *s = *state;
    struct err e;
    char longest[1100];
    memset(longest, 'x', sizeof longest);
    longest[1099] = '\0';
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e.kind = ERR_NONE;
        assert_int_equal(store_put(s, bad[i], "x", 1, &e), -1);
        assert_int_equal(e.kind, ERR_INVALID);
        assert_int_equal(s->ops->remove(s, bad[i], &e), -1);
    }
    assert_int_equal(store_put(s, longest, "x", 1, &e), -1);
    longest[600] = '\0'; /* a part that no file system takes */
    assert_int_equal(store_put(s, longest, "x", 1, &e), -1);
    longest[300] = '/';
    assert_int_equal(store_put(s, longest, "x", 1, &e), -1);
    assert_int_equal(store_put(s, "..a/...b/c..", "x", 1, &e), 0);
}

static void uris(void **state)
{
    struct store *s = *state;
    char *uri = store_uri(s, "t/x");
    char path[128], one[160], wrong[160];
    snprintf(path, sizeof path, "%s/a/lake/t/x", root);
    snprintf(one, sizeof one, "file:%s", path);
    snprintf(wrong, sizeof wrong, "%s/a/lakes/t/x", root);
    assert_string_equal(store_key_of(s, uri), "t/x");
    assert_string_equal(store_key_of(s, path), "t/x");
    assert_string_equal(store_key_of(s, one), "t/x");
    assert_null(store_key_of(s, wrong));
    assert_null(store_key_of(s, s->root_uri));
    assert_null(store_key_of(s, ""));
    assert_null(store_key_of(s, "file:"));
    assert_null(store_key_of(s, "s3://bucket/t/x"));
    struct store cloud = {.root_uri = (char[]){"s3://bucket/p"}};
    assert_string_equal(store_key_of(&cloud, "s3a://bucket/p/k"), "k");
    assert_null(store_key_of(&cloud, "/bucket/p/k"));
    struct store all = {.root_uri = (char[]){"file://"}};
    assert_string_equal(store_key_of(&all, "file:///x/y"), "x/y");
    free(uri);
}

static void note_key(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    assert_true(bytes >= 0 && modified_ms > 0);
    buf_printf(ctx, "%s ", key);
}

static size_t listed(struct store *s, const char *prefix, struct buf *b)
{
    size_t n = 0;
    b->n = 0;
    assert_int_equal(s->ops->list(s, prefix, note_key, b, NULL), 0);
    for (const char *p = buf_cstr(b); *p; p++)
        n += *p == ' ';
    return n;
}

static void lists(void **state)
{
    struct store *s = *state;
    struct buf b = {0};
    const char *made[] = {"l/a/1", "l/a/2", "l/ab/3", "l/b/c/d/4", "l/top"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(store_put(s, made[i], "x", 1, NULL), 0);
    assert_int_equal(listed(s, "l/", &b), 5);
    assert_int_equal(listed(s, "l/a", &b), 3);
    assert_int_equal(listed(s, "l/a/", &b), 2);
    assert_int_equal(listed(s, "l/b/c/d/4", &b), 1);
    assert_string_equal(buf_cstr(&b), "l/b/c/d/4 ");
    assert_int_equal(listed(s, "l/zzz/", &b), 0);
    assert_int_equal(listed(s, "nothing", &b), 0);
    assert_true(listed(s, "", &b) >= 5);
    assert_int_equal(s->ops->list(s, "../", note_key, &b, NULL), -1);
    char path[160], cmd[256]; /* what a killed writer leaves is hidden while young */
    snprintf(path, sizeof path, "%s/a/lake/l/.inlet-1-1-1.tmp", root);
    snprintf(cmd, sizeof cmd, "touch '%s'", path);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(listed(s, "l/", &b), 5);
    snprintf(cmd, sizeof cmd, "touch -d '2 days ago' '%s'", path);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(listed(s, "l/", &b), 6);
    buf_fini(&b);
}

static struct store *shared;
static atomic_int won;

static void *race(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        char key[32];
        struct err e;
        snprintf(key, sizeof key, "race/%d", i);
        if (store_put(shared, key, "x", 1, &e) == 0)
            atomic_fetch_add(&won, 1);
        else
            assert_int_equal(e.kind, ERR_CONFLICT);
    }
    return NULL;
}

static void one_writer_wins(void **state)
{
    pthread_t other;
    (void)state;
    char dir[96];
    snprintf(dir, sizeof dir, "%s/race", root);
    shared = store_local_open(dir, false, NULL);
    pthread_create(&other, NULL, race, NULL);
    race(NULL);
    pthread_join(other, NULL);
    assert_int_equal(won, 200);
    struct buf b = {0};
    assert_int_equal(listed(shared, "", &b), 200);
    buf_fini(&b);
    store_close(shared);
}

static void refuses(void **state)
{
    struct err e;
    (void)state;
    assert_null(store_local_open("", false, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    assert_null(store_local_open("/dev/null/x", false, &e));
    assert_int_equal(e.kind, ERR_IO);
}

static void count(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    assert_true(bytes > 0 && modified_ms > 0 && *key);
    ++*(int *)ctx;
}

static int count_temporary(const char *folder)
{
    char cmd[160];
    snprintf(cmd, sizeof cmd, "test -z \"$(find '%s/a/lake/%s' -name '.inlet-*')\"", root, folder);
    return system(cmd);
}

/* Writers that are finished together: all there, in several folders; nothing before. Of those that meet an object of
 * their name, and those after it, nothing stays. */
static void finished_together(void **state)
{
    struct store *s = *state;
    struct err e = {0};
    struct store_writer *w[100];
    struct store_object objects[150];
    char keys[150][32];
    int seen = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(keys[i], sizeof keys[i], "together/%d/%d", i % 3, round ? 199 - i : i);
            w[i] = store_create(s, keys[i], &e);
            assert_non_null(w[i]);
            char back[5];
            for (int k = 0; k < 3; k++)
                assert_int_equal(store_write(w[i], "abc", 3, &e), 0);
            assert_int_equal(store_read_back(w[i], back, 5, &e), 0);
            assert_memory_equal(back, "abcab", 5);
        }
        assert_int_equal(s->ops->list(s, "together/", count, &seen, &e), 0);
        assert_int_equal(seen, 100 * round);
        seen = 0;
        if (round) {
            assert_int_equal(store_put(s, "together/1/150", "x", 1, &e), 0);
            assert_int_equal(store_finish_all(s, w, 100, &e), -1);
            assert_int_equal(e.kind, ERR_CONFLICT);
        } else {
            assert_int_equal(store_finish_all(s, w, 100, &e), 0);
            struct buf b = {0};
            assert_int_equal(store_get(s, keys[99], 100, &b, &e), 0);
            assert_string_equal(buf_cstr(&b), "abcabcabc");
            buf_fini(&b);
        }
        assert_int_equal(count_temporary("together"), 0);
    }
    for (int i = 0; i < 150; i++) { /* more than are put at once */
        snprintf(keys[i], sizeof keys[i], "all/%d/%d", i % 2, i);
        objects[i] = (struct store_object){keys[i], "abc", 3};
    }
    assert_int_equal(store_put_all(s, objects, 150, &e), 0);
    seen = 0;
    assert_int_equal(s->ops->list(s, "all/", count, &seen, &e), 0);
    assert_int_equal(seen, 150);
    assert_int_equal(store_put_all(s, objects + 140, 10, &e), -1);
    assert_int_equal(e.kind, ERR_CONFLICT);
    assert_int_equal(count_temporary("all"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get),
        cmocka_unit_test(finished_together),
        cmocka_unit_test(keys),
        cmocka_unit_test(uris),
        cmocka_unit_test(lists),
        cmocka_unit_test(one_writer_wins),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
