/* Leases in this process, for what nobody else reads at the same time, or where the fence alone keeps others
 * out (Lambda, replay). */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lease/lease.h"

struct memory {
    struct lease_store store; /* first: a struct lease_store * is this */
    pthread_mutex_t lock;
    struct lease *leases;
    size_t n;
    atomic_int users;
    lease_moved_fn *moved;
    void *ctx;
};

static struct memory *memory_of(struct lease_store *s)
{
    return (struct memory *)(void *)s;
}

static char *dup_or_null(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static void copy_lease(const struct lease *from, struct lease *to)
{
    *to = *from;
    to->stream = mem_strdup(from->stream);
    to->shard = mem_strdup(from->shard);
    to->owner = dup_or_null(from->owner);
    to->parents[0] = dup_or_null(from->parents[0]);
    to->parents[1] = dup_or_null(from->parents[1]);
}

/* With the lock. */
static struct lease *find(struct memory *m, const char *stream, const char *shard)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->leases[i].shard, shard) == 0 && strcmp(m->leases[i].stream, stream) == 0)
            return &m->leases[i];
    return NULL;
}

static int list_some(struct lease_store *s, const char *stream, size_t compared, struct lease **out, size_t *n)
{
    struct memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    *out = mem_array(m->n + 1, sizeof **out);
    *n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (strncmp(m->leases[i].stream, stream, compared) == 0)
            copy_lease(&m->leases[i], &(*out)[(*n)++]);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_list(struct lease_store *s, const char *stream, struct lease **out, size_t *n,
                       struct err *e)
{
    (void)e;
    return list_some(s, stream, strlen(stream) + 1, out, n);
}

static int memory_list_under(struct lease_store *s, const char *prefix, struct lease **out, size_t *n,
                             struct err *e)
{
    (void)e;
    return list_some(s, prefix, strlen(prefix), out, n);
}

static int memory_ensure(struct lease_store *s, const char *stream, const char *shard,
                         const char *const parents[2], struct err *e)
{
    struct memory *m = memory_of(s);
    (void)e;
    pthread_mutex_lock(&m->lock);
    if (!find(m, stream, shard)) {
        m->leases = mem_regrow(m->leases, m->n + 1, sizeof *m->leases);
        m->leases[m->n++] = (struct lease){.stream = mem_strdup(stream),
                                           .shard = mem_strdup(shard),
                                           .checkpoint = SEQ_NONE,
                                           .parents = {dup_or_null(parents ? parents[0] : NULL),
                                                       dup_or_null(parents ? parents[1] : NULL)}};
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_read(struct lease_store *s, const char *stream, const char *shard,
                       struct lease *out, struct err *e)
{
    struct memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    const struct lease *l = find(m, stream, shard);
    if (l)
        copy_lease(l, out);
    pthread_mutex_unlock(&m->lock);
    return l ? 0 : err_set(e, ERR_NOTFOUND, "there is no lease of %s, shard %s", stream, shard);
}

/* What a write does: `owner` to be set (as given, NULL too) where `owns`, `at` where it is not NULL. */
struct change {
    bool owns, takes; /* takes: whoever has it */
    const char *owner, *note;
    const struct seq *at;
};

static int change(struct lease_store *s, struct lease *l, const struct change *c, struct err *e)
{
    struct memory *m = memory_of(s);
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    struct lease *mine = find(m, l->stream, l->shard);
    if (!mine || mine->counter != l->counter) {
        rc = err_set(e, c->takes ? ERR_CONFLICT : ERR_FENCED, "the lease of shard %s was moved",
                     l->shard);
    } else {
        mine->counter++;
        if (c->owns) {
            free(mine->owner);
            mine->owner = dup_or_null(c->owner);
        }
        if (c->at) {
            mine->checkpoint = *c->at;
            mine->resolved = true;
            strncpy(mine->note, c->note ? c->note : "", sizeof mine->note - 1);
        }
        lease_fini(l);
        copy_lease(mine, l);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int memory_take(struct lease_store *s, struct lease *l, const char *owner, struct err *e)
{
    return change(s, l, &(struct change){.owns = true, .takes = true, .owner = owner}, e);
}

static int memory_renew(struct lease_store *s, struct lease *l, struct err *e)
{
    return change(s, l, &(struct change){0}, e);
}

static int memory_checkpoint(struct lease_store *s, struct lease *l, struct seq at, const char *note,
                             struct err *e)
{
    struct memory *m = memory_of(s);
    int rc = change(s, l, &(struct change){.note = note, .at = &at}, e);
    if (!rc && m->moved)
        m->moved(m->ctx, l->shard, at);
    return rc;
}

static int memory_release(struct lease_store *s, struct lease *l, struct err *e)
{
    return change(s, l, &(struct change){.owns = true}, e);
}

static int memory_remove(struct lease_store *s, const char *stream, const char *shard,
                         struct err *e)
{
    struct memory *m = memory_of(s);
    (void)e;
    pthread_mutex_lock(&m->lock);
    struct lease *l = find(m, stream, shard);
    if (l) {
        lease_fini(l);
        *l = m->leases[--m->n];
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static void memory_close(struct lease_store *s)
{
    struct memory *m = memory_of(s);
    if (atomic_fetch_sub(&m->users, 1) > 1)
        return;
    lease_list_free(m->leases, m->n);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct lease_store *lease_memory_open(lease_moved_fn *moved, void *ctx)
{
    static const struct lease_ops ops = {.list = memory_list,
                                         .list_under = memory_list_under,
                                         .ensure = memory_ensure,
                                         .read = memory_read,
                                         .take = memory_take,
                                         .renew = memory_renew,
                                         .checkpoint = memory_checkpoint,
                                         .release = memory_release,
                                         .remove = memory_remove,
                                         .close = memory_close};
    struct memory *m = mem_zalloc(sizeof *m);
    m->store.ops = &ops;
    m->moved = moved;
    m->ctx = ctx;
    m->users = 1;
    pthread_mutex_init(&m->lock, NULL);
    return &m->store;
}

struct lease_store *lease_memory_share(struct lease_store *s)
{
    atomic_fetch_add(&memory_of(s)->users, 1);
    return s;
}
