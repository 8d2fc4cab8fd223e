/* lease: who reads a shard, and from where: the lease store.
 *
 * The KCL's model (a counter per lease, every write conditional on it), over SQLite beside a local
 * catalog, or over DynamoDB. Expiry is judged by the observer: a lease whose
 * counter has not moved for `failover_ms` of the observer's own boot-time clock is free. Thread-safe. */
#ifndef INLET_LEASE_LEASE_H
#define INLET_LEASE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/seq.h"

struct lease_store;

struct lease {
    char *stream;     /* the source's identity */
    char *shard;
    char *owner;      /* NULL if nobody's */
    uint64_t counter; /* as last read; the condition of the next write */
    struct seq checkpoint; /* SEQ_NONE = TRIM_HORIZON, SEQ_END = SHARD_END */
    bool resolved;    /* false: never read, `checkpoint` means nothing yet (start to be resolved) */
    char note[24];    /* the file position's note, or "" */
    char *parents[2];
};
void lease_fini(struct lease *l);

struct lease_ops {
    /* All leases of a stream (heap array; lease_list_free). */
    int (*list)(struct lease_store *s, const char *stream, struct lease **out, size_t *n,
                struct err *e);
    /* The same of all streams that begin so. */
    int (*list_under)(struct lease_store *s, const char *prefix, struct lease **out, size_t *n,
                      struct err *e);
    /* Makes an unowned, unresolved lease; there already: fine, nothing changes. */
    int (*ensure)(struct lease_store *s, const char *stream, const char *shard,
                  const char *const parents[2], struct err *e);
    /* Reads one anew, consistently (before a rebased commit). ERR_NOTFOUND. */
    int (*read)(struct lease_store *s, const char *stream, const char *shard, struct lease *out,
                struct err *e);
    /* Takes it for `owner` if its counter is still l->counter. ERR_CONFLICT: somebody moved it. On
     * success *l is what is now stored. */
    int (*take)(struct lease_store *s, struct lease *l, const char *owner, struct err *e);
    /* Moves the counter. ERR_FENCED: not ours any more. */
    int (*renew)(struct lease_store *s, struct lease *l, struct err *e);
    /* Stores checkpoint, note and resolved (and moves the counter). ERR_FENCED. */
    int (*checkpoint)(struct lease_store *s, struct lease *l, struct seq at, const char *note,
                      struct err *e);
    /* Gives it up: owner NULL. ERR_FENCED is success to the caller. */
    int (*release)(struct lease_store *s, struct lease *l, struct err *e);
    int (*remove)(struct lease_store *s, const char *stream, const char *shard, struct err *e);
    void (*close)(struct lease_store *s);
};
struct lease_store {
    const struct lease_ops *ops;
    bool shared; /* owners may be on other machines: an owner's name tells nothing of its life */
};

void lease_list_free(struct lease *leases, size_t n);
struct lease_store *lease_sqlite_open(const char *path, struct err *e);

/* In this process only. `moved` (may be NULL) is told of each checkpoint, without a lock held.
 * _share: one more user of the same, each of whom closes it. */
typedef void lease_moved_fn(void *ctx, const char *shard, struct seq at);
struct lease_store *lease_memory_open(lease_moved_fn *moved, void *ctx);
struct lease_store *lease_memory_share(struct lease_store *s);

struct lease_dynamodb_options {
    const char *table;
    bool make;           /* a table that is missing is made (on-demand billing), and waited for */
    int64_t patience_ms; /* of one call, 0: 30 s */
    struct aws_options aws;
};
/* The KCL's items: see dynamodb.c. *made (may be NULL): the table was made. ERR_NOTFOUND: it is
 * missing, and `make` is false. */
struct lease_store *lease_dynamodb_open(const struct lease_dynamodb_options *o,
                                        const struct clock *clock, bool *made, struct err *e);

/* "sqlite:PATH" (or sqlite:///PATH) or "dynamodb://TABLE". What is missing is made (*made: it was), or with
 * `make` false ERR_NOTFOUND. */
struct lease_store *lease_find_uri(const char *uri, const struct clock *clock, bool make, bool *made,
                                   struct err *e);
/* The same, made where missing. */
struct lease_store *lease_open_uri(const char *uri, const struct clock *clock, struct err *e);
/* Whether lease_open_uri knows it: ERR_INVALID with what to write. */
int lease_uri_check(const char *uri, struct err *e);
/* Where leases are kept if nothing else is said (heap): in a lake that is a directory, else beside a
 * catalog that is a file; each namespace of such a catalog has its own, for what is read into one is not in the other.
 * NULL where neither is: they have to be named. */
char *lease_default_uri(const char *lake, const char *catalog, const char *ns);
#define LEASES_NEEDED                                                                              \
    "with a lake in S3 and the catalog %s, --leases is needed: dynamodb://TABLE, or sqlite:PATH"

static inline void lease_store_close(struct lease_store *s)
{
    if (s)
        s->ops->close(s);
}

#endif
