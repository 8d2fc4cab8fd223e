/* See folders.h. Several threads may need the same folder to be durable: until it is, each of them syncs it. */
#include "store/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define SETTLED ((uintptr_t)1)

void folders_init(struct folders *f, int root, bool sync)
{
    *f = (struct folders){.root = root, .sync = sync};
    pthread_mutex_init(&f->lock, NULL);
}

void folders_fini(struct folders *f)
{
    pthread_mutex_destroy(&f->lock);
    map_fini(&f->known);
}

int folders_sync(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : -1;
}

/* The folder of the first n bytes of `key`; 0: the root. */
static int open_at(const struct folders *f, const char *key, size_t n)
{
    char path[KEY_MAX + 1];
    invariant(n <= KEY_MAX);
    memcpy(path, key, n);
    path[n] = '\0';
    return openat(f->root, n ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A folder was made in it: it is to be synced again. */
static void note_made(struct folders *f, const char *key, size_t n)
{
    pthread_mutex_lock(&f->lock);
    uintptr_t state = (uintptr_t)map_get(&f->known, key, n);
    map_set(&f->known, key, n, (void *)(((state >> 1) + 1) << 1));
    pthread_mutex_unlock(&f->lock);
}

/* Step by step, making what is missing. */
static int make_folder(struct folders *f, const char *key)
{
    int at = fcntl(f->root, F_DUPFD_CLOEXEC, 0);
    size_t above = 0; /* of `key`, where the folder that is open ends */
    const char *p = key;
    for (const char *slash; at >= 0 && (slash = strchr(p, '/')); p = slash + 1) {
        char part[NAME_MAX + 1];
        size_t n = (size_t)(slash - p);
        int next = -1;
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
        } else {
            memcpy(part, p, n);
            part[n] = '\0';
            int made = mkdirat(at, part, 0777), why = errno;
            if (made == 0 && f->sync)
                note_made(f, key, above);
            next = openat(at, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (next < 0 && errno == ENOENT && made < 0 && why != EEXIST)
                errno = why; /* no room, no right: that it is not there is but what follows */
        }
        int saved = errno;
        close(at);
        errno = saved;
        at = next;
        above = (size_t)(slash - key);
    }
    return at;
}

int folders_open(struct folders *f, const char *key, bool make, const char **name)
{
    const char *slash = strrchr(key, '/');
    *name = slash ? slash + 1 : key;
    int fd = open_at(f, key, slash ? (size_t)(slash - key) : 0);
    return fd < 0 && errno == ENOENT && make ? make_folder(f, key) : fd;
}

static uintptr_t state_of(struct folders *f, const char *key, size_t n)
{
    pthread_mutex_lock(&f->lock);
    uintptr_t state = (uintptr_t)map_get(&f->known, key, n);
    pthread_mutex_unlock(&f->lock);
    return state;
}

static int settle_one(struct folders *f, const char *key, size_t n)
{
    uintptr_t before = state_of(f, key, n);
    if (before & SETTLED)
        return 0;
    int fd = open_at(f, key, n), rc = fd < 0 ? -1 : folders_sync(fd), saved = errno;
    if (fd >= 0)
        close(fd);
    pthread_mutex_lock(&f->lock);
    if (rc == 0 && (uintptr_t)map_get(&f->known, key, n) == before) /* nothing was made meanwhile */
        map_set(&f->known, key, n, (void *)(before | SETTLED));
    pthread_mutex_unlock(&f->lock);
    errno = saved;
    return rc;
}

int folders_settle(struct folders *f, const char *key)
{
    const char *last = strrchr(key, '/');
    int rc = f->sync && last ? settle_one(f, key, 0) : 0;
    for (const char *slash = key; f->sync && rc == 0 && (slash = strchr(slash, '/')) != last; slash++)
        rc = settle_one(f, key, (size_t)(slash - key));
    return rc;
}
