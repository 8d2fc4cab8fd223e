/* Linear probing with backward-shift deletion, so that no tombstones are needed: see map.h. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/mem.h"

#define CAP_MIN 4

void map_fini(struct map *m)
{
    for (size_t i = 0; i < m->cap && !m->borrows; i++)
        free(m->slots[i].key);
    free(m->slots);
    *m = (struct map){0};
}

static struct map_entry *find(const struct map *m, const void *key, size_t n, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_entry *s = &m->slots[i];
        if (!s->key || (s->hash == hash && s->key_len == n && memcmp(s->key, key, n) == 0))
            return s;
    }
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : CAP_MIN;
    m->slots = mem_array(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].key)
            *find(m, old.slots[i].key, old.slots[i].key_len, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void *map_get(const struct map *m, const void *key, size_t n)
{
    return m->cap ? find(m, key, n, XXH3_64bits(key, n))->value : NULL;
}

void *map_set(struct map *m, const void *key, size_t n, void *value)
{
    invariant(value != NULL);
    if ((m->count + 1) * 4 > m->cap * 3)
        grow(m);
    uint64_t hash = XXH3_64bits(key, n);
    struct map_entry *s = find(m, key, n, hash);
    void *old = s->value;
    if (!s->key) {
        *s = (struct map_entry){m->borrows ? (char *)(uintptr_t)key : mem_strndup(key, n), n, hash, NULL};
        m->count++;
    }
    s->value = value;
    return old;
}

void *map_remove(struct map *m, const void *key, size_t n)
{
    if (!m->cap)
        return NULL;
    struct map_entry *s = find(m, key, n, XXH3_64bits(key, n));
    if (!s->key)
        return NULL;
    void *value = s->value;
    if (!m->borrows)
        free(s->key);
    m->count--;
    size_t mask = m->cap - 1, hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_entry){0};
    return value;
}

struct map_entry *map_next(const struct map *m, size_t *at)
{
    while (*at < m->cap) {
        struct map_entry *s = &m->slots[(*at)++];
        if (s->key)
            return s;
    }
    return NULL;
}
