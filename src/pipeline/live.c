/* live: one lock, one snapshot, a bounded list of tables. See live.h. */
#include "pipeline/live.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

#define OTHER "_other" /* a table that is really called so is counted with them */

struct live {
    pthread_mutex_t lock;
    struct live_stats stats;
    struct live_stats before; /* counters of the runs that ended before this one */
    struct live_table *tables; /* [0, n), and then "_other" where there are more than tables_max */
    size_t n, tables_max;
    struct map by_name; /* index + 1 */
};

struct live *live_new(uint32_t tables_max)
{
    struct live *l = mem_zalloc(sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    l->tables_max = tables_max;
    return l;
}

void live_free(struct live *l)
{
    if (!l)
        return;
    map_fini(&l->by_name);
    free(l->tables);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void live_state(struct live *l, enum live_state state)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stats.state = state;
    if (state == LIVE_ENDED)
        l->before = l->stats;
    pthread_mutex_unlock(&l->lock);
}

static void add_counters(struct live_stats *s, const struct live_stats *more)
{
    uint64_t *to = (uint64_t *)(void *)&s->counts;
    const uint64_t *from = (const uint64_t *)(const void *)&more->counts;
    for (size_t i = 0; i < sizeof s->counts / sizeof *to; i++)
        to[i] += from[i];
    s->commits += more->commits;
    s->commit_failures += more->commit_failures;
    s->files += more->files;
    s->rows_committed += more->rows_committed;
    s->bytes_committed += more->bytes_committed;
    s->restarts += more->restarts;
    s->commit_wall_ns += more->commit_wall_ns;
}

void live_publish(struct live *l, const struct live_stats *s)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    enum live_state state = l->stats.state;
    int64_t last_commit = l->stats.last_commit_wall_ms; /* a new incarnation has made none yet */
    l->stats = *s;
    add_counters(&l->stats, &l->before);
    l->stats.state = state;
    if (!s->last_commit_wall_ms)
        l->stats.last_commit_wall_ms = last_commit;
    pthread_mutex_unlock(&l->lock);
}

static struct live_table *table_of(struct live *l, const char *name)
{
    uintptr_t at = (uintptr_t)map_get(&l->by_name, name, strlen(name));
    if (at)
        return &l->tables[at - 1];
    if (l->n >= l->tables_max && strcmp(name, OTHER) != 0)
        return table_of(l, OTHER);
    l->tables = mem_regrow(l->tables, l->n + 1, sizeof *l->tables);
    struct live_table *t = &l->tables[l->n++];
    *t = (struct live_table){0};
    memcpy(t->name, name, strnlen(name, sizeof t->name - 1));
    map_set(&l->by_name, name, strlen(name), (void *)l->n);
    return t;
}

void live_table_add(struct live *l, const struct live_table *more)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    struct live_table *t = table_of(l, more->name);
    t->commits += more->commits;
    t->files += more->files;
    t->rows += more->rows;
    t->bytes += more->bytes;
    t->duplicates += more->duplicates;
    t->rescued += more->rescued;
    pthread_mutex_unlock(&l->lock);
}

void live_read(struct live *l, struct live_stats *s, struct live_table **tables, size_t *n)
{
    pthread_mutex_lock(&l->lock);
    *s = l->stats;
    *n = l->n;
    *tables = mem_array(l->n + 1, sizeof **tables);
    if (l->n)
        memcpy(*tables, l->tables, l->n * sizeof **tables);
    pthread_mutex_unlock(&l->lock);
}
