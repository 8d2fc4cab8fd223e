/* A directory as a store.
 *
 * An object is written to a temporary file beside its place and then moved there by a rename that
 * refuses to replace, so that a reader sees all of it or nothing, and the first writer wins. A
 * process that is killed in between leaves a temporary file: the listing hides those for a day,
 * then shows them, so that the collector of unreferenced files finds them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/direct.h"
#include "store/folders.h"
#include "store/store.h"

#define DEPTH_MAX 32 /* of folders below the root */
#define TOGETHER_MAX 64 /* files written side by side */
#define TEMP_PREFIX ".inlet-"
#define TEMP_HIDDEN_MS (24 * 3600 * 1000LL)

struct local {
    struct store base;
    char *dir; /* real path, "" for the root of the file system */
    bool sync;
    int fd; /* of the directory */
    struct folders folders;
    struct direct_rooms *rooms; /* NULL without `sync`: nobody waits for the disk */
};

static struct local *local_of(struct store *s)
{
    return (struct local *)(void *)s;
}

/* No key leaves the root, and none needs escaping in a URI. */
static int key_check(const char *key, struct err *e)
{
    size_t n = strlen(key);
    bool ok = n > 0 && n <= KEY_MAX && key[0] != '/' && key[n - 1] != '/';
    for (size_t i = 0; ok && i < n; i++) {
        char c = key[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        ok = alnum || strchr("-_.=%+@~,:/", c);
        if (ok && (i == 0 || key[i - 1] == '/')) { /* a part begins here */
            size_t part = strcspn(key + i, "/");
            ok = part > 0 && strncmp(key + i, "..", part > 2 ? part : 2) != 0 &&
                 !(part == 1 && c == '.');
        }
    }
    return ok ? 0 : err_set(e, ERR_INVALID, "not a usable object key: '%.200s'", key);
}

static int fail(const struct local *l, const char *what, const char *key, struct err *e)
{
    return err_errno(e, errno, "cannot %s %s/%s", what, l->dir, key);
}

/* ---- making directories ---- */

static int make_dirs(const char *dir)
{
    char *path = mem_strdup(dir);
    int rc = 0;
    for (char *p = path + 1; *path && rc == 0; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        rc = mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : -1;
        *p = c;
        if (c == '\0')
            break;
    }
    int saved = errno;
    free(path);
    errno = saved;
    return rc;
}

static int read_at(struct local *l, const char *key, int fd, int64_t offset, size_t n, void *p,
                   struct err *e)
{
    char *at = p;
    while (n) {
        ssize_t got = pread(fd, at, n < (1u << 30) ? n : (1u << 30), offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(l, "read", key, e);
        if (got == 0)
            return err_set(e, ERR_INVALID, "%s/%s ends before offset %lld", l->dir, key,
                           (long long)(offset + (int64_t)n));
        at += got;
        offset += got;
        n -= (size_t)got;
    }
    return 0;
}

/* ---- put ---- */

/* Moves without replacing; where the file system has no such rename, by a second link. */
static int move_noreplace(int dir, const char *from, const char *to)
{
    if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(dir, from, dir, to, 0) != 0)
        return -1;
    unlinkat(dir, from, 0);
    return 0;
}

static int temp_open(int dir, char *name, size_t cap)
{
    static atomic_uint counter;
    for (int tries = 0; tries < 100; tries++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(name, cap, TEMP_PREFIX "%ld-%u-%lx.tmp", (long)getpid(),
                 atomic_fetch_add(&counter, 1), (unsigned long)now.tv_nsec);
        int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

struct local_writer {
    struct store_writer base; /* first: a struct store_writer * is this */
    struct local *l;
    char *key, temp[96];
    int dir, fd;
    struct direct out;
    bool named; /* at its place */
};

static struct local_writer *writer_of(struct store_writer *w)
{
    return (struct local_writer *)(void *)w;
}

static void writer_free(struct local_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    close(w->dir);
    direct_fini(&w->out);
    free(w->key);
    free(w);
}

static int writer_write(struct store_writer *sw, const void *p, size_t n, struct err *e)
{
    struct local_writer *w = writer_of(sw);
    return direct_write(&w->out, p, n) == 0 ? 0 : fail(w->l, "write", w->key, e);
}

static int writer_read_back(struct store_writer *sw, void *p, size_t n, struct err *e)
{
    struct local_writer *w = writer_of(sw);
    const uint8_t *rest;
    size_t there = (size_t)direct_written(&w->out, &rest);
    if (n > there)
        memcpy((uint8_t *)p + there, rest, n - there);
    return read_at(w->l, w->key, w->fd, 0, n < there ? n : there, p, e);
}

static void writer_abort(struct store_writer *sw)
{
    struct local_writer *w = writer_of(sw);
    unlinkat(w->dir, w->temp, 0);
    writer_free(w);
}

/* ---- finishing: all contents first, then the names, then each folder once, so that many files cost the disk
 * little more than one */

static int settle_contents(struct local_writer *w, struct err *e)
{
    bool written = direct_end(&w->out) == 0 && (!w->l->sync || fsync(w->fd) == 0);
    int saved = errno;
    if (close(w->fd) != 0 && written) {
        written = false;
        saved = errno;
    }
    w->fd = -1;
    errno = saved;
    return written ? 0 : fail(w->l, "write", w->key, e);
}

static int settle_name(struct local_writer *w, struct err *e)
{
    const char *slash = strrchr(w->key, '/');
    if (move_noreplace(w->dir, w->temp, slash ? slash + 1 : w->key) == 0) {
        w->named = true;
        return 0;
    }
    if (errno == EEXIST)
        return err_set(e, ERR_CONFLICT, "%s/%s exists already", w->l->dir, w->key);
    return fail(w->l, "write", w->key, e);
}

static int settle_folder(struct local_writer *w, struct err *e)
{
    if (folders_sync(w->dir) == 0 && folders_settle(&w->l->folders, w->key) == 0)
        return 0;
    fail(w->l, "make durable", w->key, e);
    if (e)
        e->kind = ERR_UNKNOWN;
    return -1;
}

static bool same_folder(const struct local_writer *a, const struct local_writer *b)
{
    const char *x = strrchr(a->key, '/'), *y = strrchr(b->key, '/');
    size_t n = x ? (size_t)(x - a->key) : 0;
    return (y ? (size_t)(y - b->key) : 0) == n && memcmp(a->key, b->key, n) == 0;
}

static int settle_folders(struct store_writer **w, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        size_t k = 0;
        while (k < i && !same_folder(writer_of(w[k]), writer_of(w[i])))
            k++;
        if (k == i)
            rc = settle_folder(writer_of(w[i]), e);
    }
    return rc;
}

static int local_finish_all(struct store *s, struct store_writer **w, size_t n, struct err *e)
{
    bool sync = local_of(s)->sync;
    int rc = 0;
    for (size_t i = 0; i < n && n > 1 && sync; i++) /* all at once on their way to the disk */
        sync_file_range(writer_of(w[i])->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t i = 0; i < n && !rc; i++)
        rc = settle_contents(writer_of(w[i]), e);
    for (size_t i = 0; i < n && !rc; i++)
        rc = settle_name(writer_of(w[i]), e);
    if (!rc && sync)
        rc = settle_folders(w, n, e);
    for (size_t i = 0; i < n; i++) {
        struct local_writer *one = writer_of(w[i]);
        if (!one->named)
            unlinkat(one->dir, one->temp, 0);
        writer_free(one);
    }
    return rc;
}

static int writer_finish(struct store_writer *sw, struct err *e)
{
    return local_finish_all(&writer_of(sw)->l->base, &sw, 1, e);
}

static const struct store_writer_ops local_writer_ops = {writer_write, writer_finish, writer_abort,
                                                           writer_read_back};

static struct store_writer *local_create(struct store *s, const char *key, struct err *e)
{
    struct local *l = local_of(s);
    const char *name;
    if (key_check(key, e))
        return NULL;
    int dir = folders_open(&l->folders, key, true, &name);
    if (dir < 0) {
        fail(l, "make the folder of", key, e);
        return NULL;
    }
    struct local_writer *w = mem_zalloc(sizeof *w);
    *w = (struct local_writer){.base.ops = &local_writer_ops, .l = l, .key = mem_strdup(key), .dir = dir};
    w->fd = temp_open(dir, w->temp, sizeof w->temp);
    w->out = (struct direct){.rooms = l->rooms, .fd = w->fd};
    if (w->fd >= 0)
        return &w->base;
    fail(l, "write", key, e);
    writer_free(w);
    return NULL;
}

static int local_put(struct store *s, const char *key, const void *p, size_t n, struct err *e)
{
    struct store_writer *w = local_create(s, key, e);
    if (!w)
        return -1;
    if (writer_write(w, p, n, e) == 0)
        return writer_finish(w, e);
    writer_abort(w);
    return -1;
}

static int put_some(struct store *s, const struct store_object *o, size_t n, struct err *e)
{
    struct store_writer *w[TOGETHER_MAX];
    size_t made = 0;
    int rc = 0;
    while (made < n && !rc) {
        w[made] = local_create(s, o[made].key, e);
        if (!w[made]) {
            rc = -1;
        } else {
            rc = writer_write(w[made], o[made].p, o[made].n, e);
            made++;
        }
    }
    if (!rc)
        return local_finish_all(s, w, n, e);
    while (made)
        writer_abort(w[--made]);
    return -1;
}

static int local_put_all(struct store *s, const struct store_object *o, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i += TOGETHER_MAX)
        rc = put_some(s, o + i, n - i < TOGETHER_MAX ? n - i : TOGETHER_MAX, e);
    return rc;
}

/* ---- get, size, remove ---- */

static int object_open(struct local *l, const char *key, struct stat *st, struct err *e)
{
    const char *name;
    if (key_check(key, e))
        return -1;
    int dir = folders_open(&l->folders, key, false, &name);
    if (dir < 0)
        return fail(l, "open", key, e);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int saved = errno;
    close(dir);
    errno = saved;
    if (fd < 0 || fstat(fd, st) != 0) {
        fail(l, "open", key, e);
    } else if (!S_ISREG(st->st_mode)) {
        err_set(e, ERR_INVALID, "%s/%s is not a plain file", l->dir, key);
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static int local_get(struct store *s, const char *key, size_t limit, struct buf *out, struct err *e)
{
    struct local *l = local_of(s);
    struct stat st;
    int fd = object_open(l, key, &st, e), rc = -1;
    if (fd < 0)
        return -1;
    size_t n = (size_t)st.st_size;
    if (n > limit) {
        err_set(e, ERR_NOMEM, "%s/%s has %zu bytes, more than the limit of %zu", l->dir, key, n,
                limit);
    } else {
        rc = read_at(l, key, fd, 0, n, buf_reserve(out, n), e);
        if (rc == 0)
            out->n += n;
    }
    close(fd);
    return rc;
}

static int local_get_range(struct store *s, const char *key, int64_t offset, size_t n, void *p,
                           struct err *e)
{
    struct local *l = local_of(s);
    struct stat st;
    if (offset < 0 || n > INT64_MAX || offset > INT64_MAX - (int64_t)n)
        return err_set(e, ERR_INVALID, "%s/%s: no such range", l->dir, key);
    int fd = object_open(l, key, &st, e);
    if (fd < 0)
        return -1;
    int rc = read_at(l, key, fd, offset, n, p, e);
    close(fd);
    return rc;
}

static int local_size(struct store *s, const char *key, int64_t *bytes, struct err *e)
{
    struct stat st;
    int fd = object_open(local_of(s), key, &st, e);
    if (fd < 0)
        return -1;
    close(fd);
    *bytes = st.st_size;
    return 0;
}

static int local_remove(struct store *s, const char *key, struct err *e)
{
    struct local *l = local_of(s);
    const char *name;
    if (key_check(key, e))
        return -1;
    int dir = folders_open(&l->folders, key, false, &name);
    if (dir < 0)
        return errno == ENOENT ? 0 : fail(l, "remove", key, e);
    int rc = unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : fail(l, "remove", key, e);
    close(dir);
    return rc;
}

static int local_remove_all(struct store *s, const char *const *keys, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = local_remove(s, keys[i], e);
    return rc;
}

/* ---- list ---- */

struct walk {
    struct local *l;
    const char *prefix;
    store_list_fn *each;
    void *ctx;
    int64_t now_ms;
    char key[KEY_MAX + 1]; /* the folder being walked, with its trailing slash */
};

static int walk_dir(struct walk *w, int fd, size_t at, int depth, struct err *e);

static int walk_entry(struct walk *w, DIR *d, const char *name, size_t at, int depth, struct err *e)
{
    struct stat st;
    size_t n = strlen(name), prefix = strlen(w->prefix);
    if (at + n + 1 > KEY_MAX)
        return 0; /* not one of ours: no key is that long */
    memcpy(w->key + at, name, n + 1);
    size_t same = at + n < prefix ? at + n : prefix;
    if (strncmp(w->key, w->prefix, same) != 0)
        return 0;
    if (fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : fail(w->l, "list", w->key, e);
    int64_t modified = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    if (S_ISREG(st.st_mode)) {
        bool temp = strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0;
        if (at + n >= prefix && !(temp && w->now_ms - modified < TEMP_HIDDEN_MS))
            w->each(w->ctx, w->key, st.st_size, modified);
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return 0;
    if (depth == DEPTH_MAX)
        return err_set(e, ERR_INVALID, "%s/%s: folders nested too deep", w->l->dir, w->key);
    w->key[at + n] = '/';
    w->key[at + n + 1] = '\0';
    if (strncmp(w->key, w->prefix, at + n + 1 < prefix ? at + n + 1 : prefix) != 0)
        return 0;
    int fd = openat(dirfd(d), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(w->l, "list", w->key, e);
    return walk_dir(w, fd, at + n + 1, depth + 1, e);
}

/* Takes fd. */
static int walk_dir(struct walk *w, int fd, size_t at, int depth, struct err *e)
{
    DIR *d = fdopendir(fd);
    int rc = 0;
    if (!d) {
        fail(w->l, "list", w->key, e);
        close(fd);
        return -1;
    }
    for (errno = 0; rc == 0;) {
        struct dirent *entry = readdir(d);
        if (!entry) {
            w->key[at] = '\0';
            rc = errno ? fail(w->l, "list", w->key, e) : 0;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = walk_entry(w, d, entry->d_name, at, depth, e);
        errno = 0;
    }
    closedir(d);
    return rc;
}

static int local_list(struct store *s, const char *prefix, store_list_fn *each, void *ctx,
                      struct err *e)
{
    struct local *l = local_of(s);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct walk w = {.l = l,
                     .prefix = prefix,
                     .each = each,
                     .ctx = ctx,
                     .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    const char *slash = strrchr(prefix, '/');
    size_t at = slash ? (size_t)(slash - prefix) + 1 : 0;
    if (at > 0) { /* straight to the folder that the prefix names */
        memcpy(w.key, prefix, at < KEY_MAX ? at : KEY_MAX);
        w.key[at < KEY_MAX ? at - 1 : KEY_MAX] = '\0';
        if (key_check(w.key, e))
            return -1;
        w.key[at - 1] = '/';
    }
    const char *name;
    int fd = at ? folders_open(&l->folders, w.key, false, &name)
                : openat(l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(l, "list", prefix, e);
    return walk_dir(&w, fd, at, 0, e);
}

/* ---- open, close ---- */

static void local_close(struct store *s)
{
    struct local *l = local_of(s);
    folders_fini(&l->folders);
    direct_rooms_free(l->rooms);
    close(l->fd);
    free(l->dir);
    free(l->base.root_uri);
    free(l);
}

static const struct store_ops local_ops = {
    .put = local_put,
    .get = local_get,
    .get_range = local_get_range,
    .size = local_size,
    .remove = local_remove,
    .list = local_list,
    .put_all = local_put_all,
    .remove_all = local_remove_all,
    .create = local_create,
    .finish_all = local_finish_all,
    .close = local_close,
};

struct store *store_local_open(const char *dir, bool sync, struct err *e)
{
    if (!*dir) {
        err_set(e, ERR_INVALID, "the lake's directory has an empty name");
        return NULL;
    }
    char *real = make_dirs(dir) == 0 ? realpath(dir, NULL) : NULL;
    int fd = real ? open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0) {
        err_errno(e, errno, "cannot use the directory %s", dir);
        free(real);
        return NULL;
    }
    struct local *l = mem_zalloc(sizeof *l);
    l->base.ops = &local_ops;
    l->dir = real;
    if (strcmp(real, "/") == 0)
        real[0] = '\0';
    l->base.root_uri = mem_printf("file://%s", real);
    l->base.spools = true;
    l->sync = sync;
    l->rooms = sync ? direct_rooms_new() : NULL;
    l->fd = fd;
    folders_init(&l->folders, fd, sync);
    return &l->base;
}
