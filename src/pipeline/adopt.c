/* A file of under 64 KiB is known by what it held when it was first seen: "file:<path>#<hash>:<length>". What was
 * loaded of it stands under that in the tables and in inlet_loads; what is being loaded, in the leases alone. See
 * adopt.h. */
#include "pipeline/adopt.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/loads.h"
#include "protocol/position_map.h"

/* Of an identity of files: how long its path is, and the length that was hashed; 0: it is none. */
static size_t parts(const char *identity, size_t *hashed)
{
    const char *mark = strncmp(identity, "file:", 5) == 0 ? strrchr(identity, '#') : NULL;
    const char *colon = mark ? strchr(mark, ':') : NULL;
    *hashed = colon ? strtoull(colon + 1, NULL, 10) : 0;
    return colon ? (size_t)(mark - identity) : 0;
}

static size_t path_of(const char *identity)
{
    size_t hashed;
    return parts(identity, &hashed);
}

/* How much of it tells which source it may be: of what is no file all, for nothing of it changes. */
static size_t told_by(const char *identity)
{
    size_t n = path_of(identity);
    return n ? n : strlen(identity);
}

static const char *identity_of(const struct run *r, size_t i)
{
    return r->sources[i]->ops->identity(r->sources[i]);
}

/* The last source that has the identity's path, or is it, counted from 1; r->same_path leads on. 0: there is none. */
static size_t last_of(const struct run *r, const char *identity)
{
    return (uintptr_t)map_get(&r->paths, identity, told_by(identity));
}

bool adopt_may(const struct run *r, const char *identity)
{
    return last_of(r, identity) != 0;
}

bool adopt_asks(const struct run *r, const char *identity)
{
    return adopt_may(r, identity) || map_get(&r->told, identity, strlen(identity));
}

static void learn_paths(struct run *r)
{
    r->same_path = mem_array(r->n_sources + 1, sizeof *r->same_path);
    for (size_t i = 0; i < r->n_sources; i++) {
        const char *mine = identity_of(r, i);
        r->same_path[i] = (uintptr_t)map_set(&r->paths, mine, told_by(mine), (void *)(uintptr_t)(i + 1));
    }
}

void adopt_free(struct run *r)
{
    map_fini(&r->paths);
    map_fini(&r->told);
    map_fini(&r->idle_leases);
    free(r->same_path);
}

/* ---- of what is in the lake ---- */

struct candidate {
    struct seq at;
    char note[PROTOCOL_NOTE_MAX];
};

struct candidates {
    const struct run *run;
    struct map found; /* identity -> struct candidate *, as a file at hand may have it */
};

static void candidate(struct candidates *c, const char *identity, struct seq at, const char *note)
{
    size_t n = strlen(identity);
    if (!adopt_may(c->run, identity))
        return;
    struct candidate *known = map_get(&c->found, identity, n);
    if (!known) {
        known = mem_zalloc(sizeof *known);
        known->at = SEQ_NONE;
        map_set(&c->found, identity, n, known);
    }
    if (seq_le(known->at, at)) {
        known->at = at;
        memcpy(known->note, note, strnlen(note, sizeof known->note - 1) + 1);
    }
}

static void each_property(void *ctx, const char *key, const char *value)
{
    size_t prefix = sizeof POSITION_MAP_PREFIX - 1;
    struct candidates *c = ctx;
    struct position_map map;
    if (!value || strncmp(key, POSITION_MAP_PREFIX, prefix) != 0 || !adopt_may(c->run, key + prefix))
        return;
    const struct position *p = position_map_parse(&map, value, NULL) ? NULL : position_map_get(&map, "0");
    candidate(c, key + prefix, p ? p->at : SEQ_NONE, p ? p->note : "");
    position_map_fini(&map);
}

/* A table's positions of files that ended so long ago that they may go, if inlet_loads tells of it. */
static void each_ended(void *ctx, const char *key, const char *value)
{
    size_t prefix = sizeof POSITION_MAP_PREFIX - 1;
    struct run *r = ctx;
    struct position_map map;
    if (!value || !strchr(value, '@') || strncmp(key, POSITION_MAP_PREFIX, prefix) != 0 ||
        !position_map_by_loads(key) || position_map_parse(&map, value, NULL))
        return;
    if (position_map_expire(&map, clock_wall_ms(r->clock)))
        map_set(&r->told, key + prefix, strlen(key + prefix), (void *)(uintptr_t)1);
    position_map_fini(&map);
}

/* loads_read, and of whom. */
static int read_loads(struct run *r, struct err *e)
{
    struct map_entry *entry;
    const char *note;
    size_t at = 0;
    for (uint32_t i = 0; i < router_count(&r->router); i++)
        if (router_at(&r->router, i)->handle)
            table_properties(router_at(&r->router, i)->handle, each_ended, r);
    if (loads_read(r, e))
        return -1;
    while ((entry = map_next(&r->told, &at))) {
        struct seq ended = loads_position(r, entry->key, &note);
        entry->value = (void *)(uintptr_t)(1 + (seq_cmp(ended, SEQ_NONE) == 0 ? 0 : seq_low(ended)));
    }
    return 0;
}

static int longest_first(const void *a, const void *b)
{
    size_t x, y;
    parts((*(const struct map_entry *const *)a)->key, &x);
    parts((*(const struct map_entry *const *)b)->key, &y);
    return (x < y) - (x > y);
}

static void adopt_known(struct run *r, const struct map *found, bool *adopted)
{
    struct map_entry *entry;
    size_t at = 0, n = 0;
    struct map_entry **sorted = mem_array(found->count + 1, sizeof *sorted);
    while ((entry = map_next(found, &at)))
        sorted[n++] = entry;
    qsort(sorted, n, sizeof *sorted, longest_first);
    for (size_t k = 0; k < n; k++)
        for (size_t i = last_of(r, sorted[k]->key); i-- > 0; i = r->same_path[i]) {
            const struct candidate *c = sorted[k]->value;
            if (!adopted[i] && !r->sources[i]->once)
                adopted[i] = source_file_adopt(r->sources[i], sorted[k]->key, seq_low(c->at), c->note);
        }
    free(sorted);
}

static int known_identities(struct run *r, bool *adopted, struct err *e)
{
    struct candidates c = {.run = r};
    struct map_entry *entry;
    size_t at = 0;
    if (read_loads(r, e))
        return -1;
    while ((entry = map_next(&r->loads, &at))) {
        const char *note;
        struct seq where = loads_position(r, entry->key, &note);
        candidate(&c, entry->key, where, note);
    }
    for (uint32_t i = 0; i < router_count(&r->router); i++)
        if (router_at(&r->router, i)->handle)
            table_properties(router_at(&r->router, i)->handle, each_property, &c);
    adopt_known(r, &c.found, adopted);
    for (at = 0; (entry = map_next(&c.found, &at));)
        free(entry->value);
    map_fini(&c.found);
    return 0;
}

/* ---- of the leases ---- */

/* Those whose identity begins as all of ours do. */
static int list_leases(struct run *r, struct lease **out, size_t *n, struct err *e)
{
    char *prefix = NULL;
    size_t common = 0;
    *out = NULL;
    *n = 0;
    for (size_t i = 0; i < r->n_sources; i++) {
        const char *mine = identity_of(r, i);
        size_t path = path_of(mine), k = 0;
        if (path && !prefix) {
            prefix = mem_strndup(mine, path + 1);
            common = path + 1;
        } else if (path) {
            while (k < common && k <= path && prefix[k] == mine[k])
                k++;
            common = k;
        }
    }
    if (!prefix)
        return 0;
    prefix[common] = '\0';
    int rc = r->leases->ops->list_under(r->leases, prefix, out, n, e);
    free(prefix);
    return rc;
}

static int owned_first(const void *a, const void *b)
{
    const struct lease *x = a, *y = b;
    size_t i, j;
    parts(x->stream, &i);
    parts(y->stream, &j);
    return !x->owner != !y->owner ? (x->owner ? -1 : 1) : (i > j) - (i < j);
}

static bool fits(struct run *r, size_t i, const struct lease *l)
{
    return !r->sources[i]->once &&
           source_file_fits(r->sources[i], l->stream, seq_low(l->checkpoint), l->note);
}

/* Somebody may be loading it, who has committed nothing yet; or has, since we looked. That it was once seen empty
 * and nobody is at work on it tells nothing. */
static void adopt_leased(struct run *r, const struct lease *leases, size_t n, bool *adopted)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = last_of(r, leases[k].stream); i-- > 0; i = r->same_path[i]) {
            const struct lease *l = &leases[k];
            size_t hashed;
            parts(l->stream, &hashed);
            if (!adopted[i] && !r->sources[i]->once && (hashed || l->owner))
                adopted[i] = source_file_adopt(r->sources[i], l->stream, seq_low(l->checkpoint), l->note);
        }
}

int adopt_look(struct run *r, struct err *e)
{
    struct lease *leases;
    size_t n;
    learn_paths(r);
    if (list_leases(r, &leases, &n, e))
        return -1;
    for (size_t k = 0; k < n; k++)
        if (!leases[k].owner)
            map_set(&r->idle_leases, leases[k].stream, strlen(leases[k].stream),
                    (void *)(uintptr_t)(leases[k].counter + 1));
    lease_list_free(leases, n);
    return 0;
}

int adopt_identities(struct run *r, struct err *e)
{
    bool *adopted = mem_array(r->n_sources + 1, sizeof *adopted);
    struct lease *leases = NULL;
    size_t n = 0;
    int rc = known_identities(r, adopted, e) || list_leases(r, &leases, &n, e) ? -1 : 0;
    if (n)
        qsort(leases, n, sizeof *leases, owned_first);
    if (!rc)
        adopt_leased(r, leases, n, adopted);
    lease_list_free(leases, n);
    free(adopted);
    return rc;
}

/* Nobody has it, nor had since we looked: what was committed under it, we know. Or nobody had it ever, who is about
 * to take it and will see that we have ours. */
static bool idle_since(const struct run *r, const struct lease *l)
{
    return !l->owner &&
           (l->counter == 0 ||
            (uintptr_t)map_get(&r->idle_leases, l->stream, strlen(l->stream)) == (uintptr_t)l->counter + 1);
}

/* Of another identity that fits the file: is somebody at work on it, or was he since we looked? */
static int check_other(struct run *r, struct lease *l, struct err *e)
{
    bool ours = l->owner && strcmp(l->owner, r->owner) == 0; /* named twice, and grown in between */
    if (idle_since(r, l))
        return 0;
    if (l->owner && !ours) {
        if (run_lease_abandoned(r, l, e) || run_take_lease(r, l, e))
            return -1;
        r->leases->ops->release(r->leases, l, NULL);
    }
    return err_set(e, ERR_CONFLICT, "another load of %.*s began at the same time; load it again",
                   (int)path_of(l->stream), l->stream);
}

int adopt_check(struct run *r, struct err *e)
{
    struct lease *leases = NULL;
    size_t n = 0;
    int rc = list_leases(r, &leases, &n, e);
    for (size_t k = 0; k < n && !rc; k++)
        for (size_t i = last_of(r, leases[k].stream); i-- > 0 && !rc; i = r->same_path[i])
            if (strcmp(identity_of(r, i), leases[k].stream) != 0 && fits(r, i, &leases[k]))
                rc = check_other(r, &leases[k], e);
    lease_list_free(leases, n);
    return rc;
}
