/* Between the files of the S3 store. A call is one request with all its attempts; calls run side by side
 * over one line of connections. */
#ifndef INLET_STORE_S3_INT_H
#define INLET_STORE_S3_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "aws/client.h"
#include "net/http_pool.h"
#include "net/retry.h"
#include "store/s3.h"

#define S3_KEY_MAX 1024
#define S3_HEADERS_MAX 9
#define S3_DIGEST_TEXT 45 /* base64 of a SHA-256, and a NUL */

struct s3 {
    struct store base; /* first: a struct store * is this */
    struct aws_client client;
    char *bucket, *prefix; /* prefix: "" or "a/b" */
    enum store_addressing addressing;
    char *encryption, *kms_key;
    int64_t patience_ms;
    struct http_pool pool;
    pthread_mutex_t lock; /* guards what follows */
    char *region;         /* where the bucket is, as far as is known */
    int64_t slow_until_ms; /* the store said to slow down; boot time */
    bool answered, troubled;
    _Atomic uint64_t requests;
};

static inline struct s3 *s3_of(struct store *s)
{
    return (struct s3 *)(void *)s;
}

struct s3_call {
    const char *action; /* "PutObject": the IAM action's name, and the message's */
    const char *method;
    const char *key;   /* below the root; NULL: the bucket itself */
    const char *query; /* percent-encoded; NULL: none */
    struct sigv4_header headers[S3_HEADERS_MAX];
    size_t n_headers;
    const void *body;
    size_t n_body;
    const char *payload_hash; /* hex; NULL: computed */
    size_t response_max;
    int64_t expected_bytes; /* of the answer, for its time-out */
    bool wants_etag;        /* an answer of S3 to this has one */
    /* What came of it. */
    int rc;
    struct err err;
    struct http_response response; /* fini by s3_call_fini */
    struct aws_fault fault;
    bool unsure; /* an attempt may have acted without an answer */
    /* The engine's own. */
    struct s3 *s3;
    struct aws_request request;
    struct buf path;
    struct retry retry;
    int64_t due_ms, until_ms;
    bool in_flight, done, redirected;
    char region[64];
};

/* Runs them, side by side up to a limit. 0 if all succeeded; else -1 and the first failure in e. */
int s3_run(struct s3 *s, struct s3_call *calls, size_t n, struct err *e);
static inline int s3_call_one(struct s3 *s, struct s3_call *c, struct err *e)
{
    return s3_run(s, c, 1, e);
}
void s3_call_fini(struct s3_call *c);
void s3_header(struct s3_call *c, const char *name, const char *value);
/* The key as it is in the bucket: prefix and key (heap). */
char *s3_full_key(const struct s3 *s, const char *key);
/* What identifies a put: 32 hex digits of its own. */
void s3_put_id(char out[33]);
/* Sets headers for encryption, metadata. */
void s3_encryption(const struct s3 *s, struct s3_call *c);
/* Is the object there the one that was put with this id? 1, 0 (another), -1: cannot be said. */
int s3_is_ours(struct s3 *s, const char *key, const char *put_id, struct err *e);
struct store_writer *s3_create(struct store *s, const char *key, struct err *e);
int s3_list(struct store *s, const char *prefix, store_list_fn *each, void *ctx, struct err *e);
int s3_remove_all(struct store *s, const char *const *keys, size_t n, struct err *e);
/* hex and base64 of a body's SHA-256 */
struct s3_digest {
    char hex[SIGV4_HASH_TEXT], base64[S3_DIGEST_TEXT];
};
void s3_digest(const void *p, size_t n, struct s3_digest *out);
int s3_key_check(const char *key, struct err *e);

#endif
