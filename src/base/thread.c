/* See thread.h. */
#include "base/thread.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void thread_start(pthread_t *t, void *(*fn)(void *), void *arg)
{
    char text[128];
    int rc = pthread_create(t, NULL, fn, arg);
    if (!rc)
        return;
    fprintf(stderr,
            "inlet: the system gives no further thread: %s; raise the limit of processes (ulimit -u, a container's pids) or of "
            "memory\n",
            strerror_r(rc, text, sizeof text));
    _exit(1);
}
