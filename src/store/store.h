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
#include "base/clock.h"
#include "base/err.h"

struct store;
struct credentials; /* aws/credentials.h */

typedef void store_list_fn(void *ctx, const char *key, int64_t bytes, int64_t modified_ms);

/* One of several objects put together. */
struct store_object {
    const char *key;
    const void *p;
    size_t n;
};

/* An object written piece by piece, of any length; nothing of it is there before finish. One thread. */
struct store_writer {
    const struct store_writer_ops *ops;
};
struct store_writer_ops {
    int (*write)(struct store_writer *w, const void *p, size_t n, struct err *e);
    int (*finish)(struct store_writer *w, struct err *e); /* as put; frees w, whatever comes of it */
    void (*abort)(struct store_writer *w);                /* leaves nothing; frees w */
    /* The first n bytes that were written; NULL where the store does not `spool`. */
    int (*read_back)(struct store_writer *w, void *p, size_t n, struct err *e);
};

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
    /* All of them, side by side where the store can; stops at the first failure (as of put). */
    int (*put_all)(struct store *s, const struct store_object *objects, size_t n, struct err *e);
    int (*remove_all)(struct store *s, const char *const *keys, size_t n, struct err *e);
    struct store_writer *(*create)(struct store *s, const char *key, struct err *e);
    /* As store_finish_all; NULL: one after the other. */
    int (*finish_all)(struct store *s, struct store_writer **writers, size_t n, struct err *e);
    void (*close)(struct store *s);
};

struct store {
    const struct store_ops *ops;
    char *root_uri; /* "file:///abs/path" or "s3://bucket/prefix", no trailing slash */
    bool spools;    /* what a writer is given leaves memory at once */
};

struct store_options {
    bool sync; /* of a directory: fsync what is put */
    /* of S3: */
    const char *endpoint, *region, *profile; /* NULL: as aws_client_open finds them */
    const struct credentials *keys;          /* likewise; borrowed for the opening only */
    enum store_addressing { STORE_ADDRESSING_AUTO, STORE_ADDRESSING_PATH, STORE_ADDRESSING_VIRTUAL } addressing;
    const char *encryption; /* "AES256" or "aws:kms"; NULL: as the bucket has it */
    const char *kms_key;    /* NULL: the account's key for S3 */
    int64_t patience_ms;    /* how long throttling and outages are waited out; 0: a minute */
};
/* A directory, or "s3://BUCKET[/PREFIX]". */
struct store *store_open(const char *uri, const struct store_options *o, const struct clock *clock,
                         struct err *e);
bool store_is_s3(const char *uri);

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
static inline int store_put_all(struct store *s, const struct store_object *objects, size_t n,
                                struct err *e)
{
    return s->ops->put_all(s, objects, n, e);
}
static inline struct store_writer *store_create(struct store *s, const char *key, struct err *e)
{
    return s->ops->create(s, key, e);
}
static inline int store_write(struct store_writer *w, const void *p, size_t n, struct err *e)
{
    return w->ops->write(w, p, n, e);
}
static inline int store_read_back(struct store_writer *w, void *p, size_t n, struct err *e)
{
    return w->ops->read_back(w, p, n, e);
}
static inline int store_finish(struct store_writer *w, struct err *e)
{
    return w->ops->finish(w, e);
}
/* All of them, made durable together; -1: none is there, or those are that were finished before the failure. Frees
 * them all. */
int store_finish_all(struct store *s, struct store_writer **writers, size_t n, struct err *e);
static inline void store_abort(struct store_writer *w)
{
    if (w)
        w->ops->abort(w);
}
/* One object as a reader of Parquet wants it (pq_read_fn): `ctx` is a struct store_reader of the caller's. */
struct store_reader {
    struct store *store;
    const char *key; /* borrowed */
};
static inline int store_read_at(void *ctx, int64_t offset, void *p, size_t n, struct err *e)
{
    struct store_reader *r = ctx;
    return r->store->ops->get_range(r->store, r->key, offset, n, p, e);
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
