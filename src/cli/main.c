/* main: dispatches, nothing else, so that everything else can be linked into tests. */
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

int main(int argc, char **argv)
{
    keep_little();
    no_core_dump();
    signal(SIGPIPE, SIG_IGN); /* a peer or a pager that goes away is an error of write */
    return commands_main(argc, argv, environ);
}
