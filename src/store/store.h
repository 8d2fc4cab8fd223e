/* store: where files live. A local directory now, S3 by the same contract.
 *
 * Keys are relative to the store's root, with '/', of safe characters; the URI that goes into
 * Iceberg metadata is store_uri(). Objects are immutable: put never replaces. Thread-safe. */
#ifndef INLET_STORE_STORE_H
#define INLET_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct store;

typedef void store_list_fn(void *ctx, const char *key, int64_t bytes, int64_t modified_ms);

struct store_ops {
    /* Whole object, all or nothing, durable on return. Exists already: ERR_CONFLICT (and the old one
     * stays). ERR_UNKNOWN: may have happened. */
    int (*put)(struct store *s, const char *key, const void *p, size_t n, struct err *e);
    /* Appends the object's bytes to `out`; more than `limit` is ERR_NOMEM. ERR_NOTFOUND. */
    int (*get)(struct store *s, const char *key, size_t limit, struct buf *out, struct err *e);
    int (*get_range)(struct store *s, const char *key, int64_t offset, size_t n, void *p,
                     struct err *e);
    int (*size)(struct store *s, const char *key, int64_t *bytes, struct err *e);
    int (*remove)(struct store *s, const char *key, struct err *e); /* absent is fine */
    int (*list)(struct store *s, const char *prefix, store_list_fn *each, void *ctx, struct err *e);
    void (*close)(struct store *s);
};

struct store {
    const struct store_ops *ops;
    char *root_uri; /* "file:///abs/path" or "s3://bucket/prefix", no trailing slash */
};

/* A directory, made if missing (its parent too). `sync` false skips fsync: kill -9 stays safe,
 * power loss does not. */
struct store *store_local_open(const char *dir, bool sync, struct err *e);

static inline int store_put(struct store *s, const char *key, const void *p, size_t n, struct err *e)
{
    return s->ops->put(s, key, p, n, e);
}
static inline int store_get(struct store *s, const char *key, size_t limit, struct buf *out,
                            struct err *e)
{
    return s->ops->get(s, key, limit, out, e);
}
static inline void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

/* root_uri + "/" + key, on the heap. */
char *store_uri(const struct store *s, const char *key);
/* The key of a URI below the root (file:/, file:/// and plain absolute paths are one), or NULL.
 * Borrowed from `uri`. */
const char *store_key_of(const struct store *s, const char *uri);

#endif
