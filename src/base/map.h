/* map: byte-string keys to pointers. Open addressing, xxh3; keys are copied. Not thread-safe.
 * Zero-initialise to start. */
#ifndef INLET_BASE_MAP_H
#define INLET_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    char *key; /* NUL-terminated copy (unless the map borrows it); NULL = free */
    size_t key_len;
    uint64_t hash;
    void *value;
};
struct map {
    struct map_entry *slots;
    size_t count, cap; /* cap is 0 or a power of two */
    bool borrows; /* keys are not copied: they stay where they are as long as they are in it */
};

void map_fini(struct map *m); /* does not free the values */
void *map_get(const struct map *m, const void *key, size_t n); /* NULL if absent */
/* Sets (value must not be NULL) and returns the previous value or NULL. */
void *map_set(struct map *m, const void *key, size_t n, void *value);
/* Removes and returns the value, or NULL. */
void *map_remove(struct map *m, const void *key, size_t n);
/* Iterates: start with *at = 0; returns NULL at the end. Order is arbitrary. */
struct map_entry *map_next(const struct map *m, size_t *at);

#endif
