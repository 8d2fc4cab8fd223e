/* objects: see objects.h. */
#include "source/objects.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "source/file_int.h"
#include "store/s3.h"

#define OBJECTS_MAX 1000000

struct object {
    struct store *store; /* of its bucket */
    char *key, *etag;
    int64_t bytes;
};
struct source_objects {
    struct store **stores;
    size_t n_stores;
    struct object *all;
    size_t n, cap;
};

struct listing {
    struct source_objects *s;
    struct store *store;
    const char *wanted; /* as given */
    size_t first;       /* of this URI's objects */
    bool exact, too_many;
};

static void add(struct source_objects *s, struct store *store, const struct store_s3_object *o)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->all = mem_regrow(s->all, s->cap, sizeof *s->all);
    }
    s->all[s->n++] = (struct object){store, mem_strdup(o->key), mem_strdup(o->etag), o->bytes};
}

static void drop_from(struct source_objects *s, size_t first)
{
    while (s->n > first) {
        s->n--;
        free(s->all[s->n].key);
        free(s->all[s->n].etag);
    }
}

static void on_object(void *ctx, const struct store_s3_object *o)
{
    struct listing *l = ctx;
    if (l->exact || o->key[strlen(o->key) - 1] == '/' || o->bytes == 0)
        return;
    if (strcmp(o->key, l->wanted) == 0) {
        l->exact = true;
        drop_from(l->s, l->first);
    }
    l->too_many = l->s->n >= OBJECTS_MAX;
    if (!l->too_many)
        add(l->s, l->store, o);
}

static int list_one(struct source_objects *s, const char *uri, const struct store_options *o,
                    const struct clock *clock, struct err *e)
{
    const char *rest = strstr(uri, "://") + 3, *slash = strchr(rest, '/');
    char *root = slash ? mem_strndup(uri, (size_t)(slash - uri)) : mem_strdup(uri);
    struct store *store = store_open(root, o, clock, e);
    free(root);
    if (!store)
        return -1;
    s->stores = mem_regrow(s->stores, s->n_stores + 1, sizeof *s->stores);
    s->stores[s->n_stores++] = store;
    struct listing l = {.s = s, .store = store, .wanted = slash ? slash + 1 : "", .first = s->n};
    if (store_s3_list(store, l.wanted, on_object, &l, e))
        return -1;
    if (l.too_many)
        return err_set(e, ERR_NOMEM, "more than %d objects below %s: load them in parts", OBJECTS_MAX, uri);
    return s->n > l.first ? 0 : err_set(e, ERR_NOTFOUND, "no object below %s", uri);
}

/* One may lie below several of the URIs; read side by side with itself, it would be its own rival. */
static void drop_repeated(struct source_objects *s)
{
    struct map seen = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct object *o = &s->all[i];
        char *uri = store_uri(o->store, o->key);
        if (map_set(&seen, uri, strlen(uri), s)) {
            free(o->key);
            free(o->etag);
        } else {
            s->all[n++] = *o;
        }
        free(uri);
    }
    s->n = n;
    map_fini(&seen);
}

struct source_objects *source_objects_list(const char *const *uris, size_t n,
                                           const struct store_options *o, const struct clock *clock,
                                           struct err *e)
{
    struct source_objects *s = mem_zalloc(sizeof *s);
    for (size_t i = 0; i < n; i++)
        if (list_one(s, uris[i], o, clock, e)) {
            source_objects_free(s);
            return NULL;
        }
    if (n > 1)
        drop_repeated(s);
    int64_t bytes = 0;
    for (size_t i = 0; i < s->n; i++)
        bytes += s->all[i].bytes;
    if (n)
        log_info("%zu objects to load, %lld bytes", s->n, (long long)bytes);
    return s;
}

void source_objects_free(struct source_objects *s)
{
    if (!s)
        return;
    drop_from(s, 0);
    for (size_t i = 0; i < s->n_stores; i++)
        store_close(s->stores[i]);
    free(s->stores);
    free(s->all);
    free(s);
}

size_t source_objects_count(const struct source_objects *s)
{
    return s ? s->n : 0;
}

struct source *source_object_open(struct source_objects *s, size_t i, const struct source_env *env,
                                  struct err *e)
{
    const struct object *o = &s->all[i];
    (void)e;
    struct input_object object = {o->store, o->key, o->etag, o->bytes};
    return source_file_of_object(&object, env);
}
