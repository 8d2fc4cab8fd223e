/* For LD_PRELOAD: a disk that does not take what was written. Of the fsyncs of plain files below a folder /data/, after
 * the first $SYNC_AFTER, the next $SYNC_TIMES fail. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long setting(const char *name)
{
    const char *v = getenv(name);
    return v ? atol(v) : 0;
}

static int of_data(int fd)
{
    char link[64], path[4096];
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && strstr(path, "/data/") != NULL;
}

int fsync(int fd)
{
    static atomic_long seen;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (of_data(fd)) {
        long at = atomic_fetch_add(&seen, 1) - setting("SYNC_AFTER");
        if (at >= 0 && at < setting("SYNC_TIMES")) {
            errno = EIO;
            return -1;
        }
    }
    return real(fd);
}
