/* folders: the folders below a directory store's root, opened and made by key. That a new folder outlives a power cut
 * is seen to once for many (folders_settle), before anything refers to what lies in it: by whoever needs it, for
 * whoever made it may have been killed. Thread-safe. */
#ifndef INLET_STORE_FOLDERS_H
#define INLET_STORE_FOLDERS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/map.h"

#define KEY_MAX 1024 /* bytes of an object's key */

struct folders {
    int root; /* borrowed */
    bool sync;
    pthread_mutex_t lock;
    struct map known; /* folders that have folders: twice how often one was made in it, and 1 if it is settled since */
};

void folders_init(struct folders *f, int root, bool sync);
void folders_fini(struct folders *f);
/* Opens the folder of `key` (at most KEY_MAX bytes), with `make` what is missing of it is made; *name is what comes after
 * the last slash. -1: errno. */
int folders_open(struct folders *f, const char *key, bool make, const char **name);
/* The folders above `key`, whoever made them, are durable then; the key's own name in the last of them is not. -1: errno. */
int folders_settle(struct folders *f, const char *key);
int folders_sync(int fd); /* fsync of a folder, where the file system has that */

#endif
