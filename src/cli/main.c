/* main: dispatches, nothing else, so that everything else can be linked into tests. */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cores.h"
#include "cli/commands.h"

/* What is freed is given back to the system before it is much: the memory budget is the process's, and
 * columns of all sizes come and go. (By default glibc keeps up to 64 MB for each arena, and has one for each thread: a
 * large commit on one committer after the other left as many torn heaps, 300 MB. They wait for the disk, mostly.) */
static void keep_little(void)
{
#if defined(__GLIBC__)
    uint32_t cores = cores_usable();
    mallopt(M_ARENA_MAX, cores > 4 ? (int)(cores / 2) : 2);
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
#endif
}

/* A core dump would hold credentials. One byte: neither a file nor a program that core_pattern names gets
 * any (core(5)); nothing hinders a debugger. */
static void no_core_dump(void)
{
    struct rlimit limit;
    if (!getrlimit(RLIMIT_CORE, &limit) && limit.rlim_max >= 1) {
        limit.rlim_cur = 1;
        setrlimit(RLIMIT_CORE, &limit);
    }
}

/* Who starts us without one of the three would see the next file or socket take its place, and reports written into
 * that. Input and output are opened the wrong way round: to use them is an error still. */
static void take_standard_places(void)
{
    static const int how[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", how[fd]);
}

int main(int argc, char **argv)
{
    take_standard_places();
    keep_little();
    no_core_dump();
    signal(SIGPIPE, SIG_IGN); /* a peer or a pager that goes away is an error of write, */
    signal(SIGXFSZ, SIG_IGN); /* ... and so is a file that grows beyond its limit */
    return commands_main(argc, argv, environ);
}
