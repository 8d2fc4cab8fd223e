/* A directory as a store. An object is written beside its place under a temporary name, made durable,
 * and linked into place: link(2) fails where the name is taken, so put never replaces. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/store.h"

struct local {
    struct store store; /* first */
    char *dir;
    bool sync;
};

static char *path_of(const struct local *l, const char *key)
{
    return mem_printf("%s/%s", l->dir, key);
}

static int make_parents(char *path, struct err *e)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        int rc = mkdir(path, 0777);
        if (rc && errno != EEXIST) {
            err_errno(e, errno, "cannot make directory %s", path);
            if (e && e->kind == ERR_NOTFOUND)
                e->kind = ERR_IO;
            *at = '/';
            return -1;
        }
        *at = '/';
    }
    return 0;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static int sync_parent(const char *path)
{
    char *dir = mem_strdup(path);
    *strrchr(dir, '/') = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    free(dir);
    return rc;
}

static int local_put(struct store *s, const char *key, const void *p, size_t n, struct err *e)
{
    struct local *l = (struct local *)s;
    char *path = path_of(l, key), *temp = mem_printf("%s.part-%ld-%p", path, (long)getpid(), p);
    int rc = -1, fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == ENOENT) {
        if (make_parents(path, e))
            goto done;
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        err_errno(e, errno, "cannot write %s", path);
        goto done;
    }
    if (write_all(fd, p, n) || (l->sync && fsync(fd)))
        err_errno(e, errno, "cannot write %s", path);
    else if (link(temp, path) == 0)
        rc = 0;
    else if (errno == EEXIST)
        err_set(e, ERR_CONFLICT, "%s exists already", path);
    else
        err_errno(e, errno, "cannot write %s", path);
    close(fd);
    unlink(temp);
    if (!rc && l->sync && sync_parent(path))
        rc = err_errno(e, errno, "cannot make %s durable", path);
done:
    if (rc && e && e->kind == ERR_NOTFOUND)
        e->kind = ERR_IO;
    free(temp);
    free(path);
    return rc;
}

static int read_at(int fd, const char *path, int64_t offset, uint8_t *p, size_t n, struct err *e)
{
    while (n) {
        ssize_t r = pread(fd, p, n, offset);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno(e, errno, "cannot read %s", path);
        if (r == 0)
            return err_set(e, ERR_INVALID, "%s is shorter than it should be", path);
        p += r;
        offset += r;
        n -= (size_t)r;
    }
    return 0;
}

static int open_read(const struct local *l, const char *key, char **path, int *fd, struct stat *st,
                     struct err *e)
{
    *path = path_of(l, key);
    *fd = open(*path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, st))
        return err_errno(e, errno, "cannot open %s", *path);
    return 0;
}

static int local_get(struct store *s, const char *key, size_t limit, struct buf *out,
                     struct err *e)
{
    char *path;
    int fd;
    struct stat st;
    int rc = open_read((struct local *)s, key, &path, &fd, &st, e);
    if (!rc && (size_t)st.st_size > limit)
        rc = err_set(e, ERR_NOMEM, "%s has %lld bytes, over the limit of %zu", path,
                     (long long)st.st_size, limit);
    if (!rc) {
        size_t n = (size_t)st.st_size;
        rc = read_at(fd, path, 0, buf_reserve(out, n), n, e);
        if (!rc)
            out->n += n;
    }
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

static int local_get_range(struct store *s, const char *key, int64_t offset, size_t n, void *p,
                           struct err *e)
{
    char *path;
    int fd;
    struct stat st;
    int rc = open_read((struct local *)s, key, &path, &fd, &st, e);
    if (!rc)
        rc = read_at(fd, path, offset, p, n, e);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

static int local_size(struct store *s, const char *key, int64_t *bytes, struct err *e)
{
    char *path;
    int fd;
    struct stat st;
    int rc = open_read((struct local *)s, key, &path, &fd, &st, e);
    if (!rc)
        *bytes = st.st_size;
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

static int local_remove(struct store *s, const char *key, struct err *e)
{
    char *path = path_of((struct local *)s, key);
    int rc = unlink(path) == 0 || errno == ENOENT ? 0
                                                  : err_errno(e, errno, "cannot remove %s", path);
    free(path);
    return rc;
}

static int list_dir(const struct local *l, const char *key, store_list_fn *each, void *ctx,
                    struct err *e)
{
    char *path = path_of(l, key);
    DIR *d = opendir(path);
    int rc = d || errno == ENOENT ? 0 : err_errno(e, errno, "cannot list %s", path);
    for (struct dirent *it; !rc && d && (it = readdir(d));) {
        struct stat st;
        if (strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0)
            continue;
        char *child = *key ? mem_printf("%s/%s", key, it->d_name) : mem_strdup(it->d_name);
        char *full = path_of(l, child);
        if (lstat(full, &st) == 0 && S_ISDIR(st.st_mode))
            rc = list_dir(l, child, each, ctx, e);
        else if (S_ISREG(st.st_mode))
            each(ctx, child, st.st_size, (int64_t)st.st_mtim.tv_sec * 1000);
        free(full);
        free(child);
    }
    if (d)
        closedir(d);
    free(path);
    return rc;
}

static int local_list(struct store *s, const char *prefix, store_list_fn *each, void *ctx,
                      struct err *e)
{
    return list_dir((struct local *)s, prefix, each, ctx, e);
}

static void local_close(struct store *s)
{
    struct local *l = (struct local *)s;
    free(s->root_uri);
    free(l->dir);
    free(l);
}

struct store *store_local_open(const char *dir, bool sync, struct err *e)
{
    static const struct store_ops ops = {local_put,    local_get,  local_get_range, local_size,
                                         local_remove, local_list, local_close};
    char *path = mem_printf("%s/", dir), full[PATH_MAX];
    if (make_parents(path, e) || !realpath(dir, full)) {
        if (e && e->kind == ERR_NONE)
            err_errno(e, errno, "cannot open lake %s", dir);
        free(path);
        return NULL;
    }
    free(path);
    struct local *l = mem_zalloc(sizeof *l);
    l->store.ops = &ops;
    l->store.root_uri = mem_printf("file://%s", full);
    l->dir = mem_strdup(full);
    l->sync = sync;
    return &l->store;
}
