/* Folders: made when they are needed, and known to be durable only once they were synced after the last one made. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/folders.h"

static char root[64];

static int setup(void **state)
{
    strcpy(root, "/tmp/inlet-folders-XXXXXX");
    struct folders *f = malloc(sizeof *f);
    int fd = mkdtemp(root) ? open(root, O_RDONLY | O_DIRECTORY) : -1;
    folders_init(f, fd, true);
    *state = f;
    return fd < 0;
}

static int teardown(void **state)
{
    struct folders *f = *state;
    char cmd[128];
    close(f->root);
    folders_fini(f);
    free(f);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", root);
    return system(cmd);
}

static void make(struct folders *f, const char *key)
{
    const char *name;
    int fd = folders_open(f, key, true, &name);
    assert_true(fd >= 0);
    close(fd);
}

static bool settled(const struct folders *f, const char *folder)
{
    return (uintptr_t)map_get(&f->known, folder, strlen(folder)) & 1;
}

static void opened(void **state)
{
    struct folders *f = *state;
    const char *name;
    assert_int_equal(folders_open(f, "a/b/x", false, &name), -1);
    assert_int_equal(errno, ENOENT);
    make(f, "a/b/x");
    int fd = folders_open(f, "a/b/x", false, &name);
    assert_true(fd >= 0);
    assert_string_equal(name, "x");
    close(fd);
    fd = folders_open(f, "top", false, &name);
    assert_true(fd >= 0);
    assert_string_equal(name, "top");
    int file = openat(fd, "top", O_WRONLY | O_CREAT, 0666);
    assert_true(file >= 0);
    close(file);
    close(fd);
    assert_int_equal(folders_open(f, "top/x", true, &name), -1);
    assert_int_equal(errno, ENOTDIR);
}

static void settling(void **state)
{
    struct folders *f = *state;
    make(f, "a/b/x");
    assert_false(settled(f, "") || settled(f, "a"));
    assert_int_equal(folders_settle(f, "a/b/x"), 0);
    assert_true(settled(f, "") && settled(f, "a"));
    assert_false(settled(f, "a/b")); /* of its own files others take care */
    make(f, "a/b/y");                /* nothing new */
    assert_true(settled(f, "") && settled(f, "a"));
    make(f, "a/c/x");
    assert_true(settled(f, ""));
    assert_false(settled(f, "a"));
    make(f, "d/x");
    assert_int_equal(folders_settle(f, "a/c/x"), 0);
    assert_true(settled(f, "") && settled(f, "a"));
    assert_int_equal(folders_settle(f, "gone/away/x"), -1);
    assert_int_equal(errno, ENOENT);
}

/* What others made, perhaps before they were killed, is not taken for durable. */
static void those_of_others(void **state)
{
    struct folders *f = *state, later;
    make(f, "a/b/x");
    folders_init(&later, f->root, true);
    make(&later, "a/b/x");
    assert_false(settled(&later, "") || settled(&later, "a"));
    assert_int_equal(folders_settle(&later, "a/b/x"), 0);
    assert_true(settled(&later, "") && settled(&later, "a"));
    folders_fini(&later);
}

static void *maker(void *arg)
{
    static atomic_int number;
    int mine = atomic_fetch_add(&number, 1);
    for (int i = 0; i < 300; i++) {
        char key[64];
        snprintf(key, sizeof key, "shared/%d/x", mine ? i : 299 - i);
        make(arg, key);
        assert_int_equal(folders_settle(arg, key), 0);
    }
    return NULL;
}

static void side_by_side(void **state)
{
    struct folders *f = *state;
    pthread_t t;
    pthread_create(&t, NULL, maker, f);
    maker(f);
    pthread_join(t, NULL);
    assert_int_equal(folders_settle(f, "shared/0/x"), 0);
    assert_true(settled(f, "") && settled(f, "shared"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opened, setup, teardown),
        cmocka_unit_test_setup_teardown(settling, setup, teardown),
        cmocka_unit_test_setup_teardown(those_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(side_by_side, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
