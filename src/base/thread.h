/* thread: begun, or the end. */
#ifndef INLET_BASE_THREAD_H
#define INLET_BASE_THREAD_H

#include <pthread.h>

/* Where the system gives no thread, no work can be done: says which limits that may be, and ends the process at once, by
 * which nothing committed is lost. */
void thread_start(pthread_t *t, void *(*fn)(void *), void *arg);

#endif
