/* s3: a bucket, or what is below a prefix of it, as a store; any service that speaks S3.
 *
 * Whole objects are put by one request, If-None-Match: *, and several side by side; a stream of bytes
 * by a multipart upload. Every body goes with its SHA-256, which S3 compares and keeps; a whole read compares what S3
 * kept, whatever the sort: of objects of others mostly CRC-64/NVME. S3 keeps none of a range: there TLS guards the
 * way, and S3 what it keeps. A put whose answer is lost is sent again; where the object is there then, an id in its metadata says
 * whether it is ours. Throttling and outages are waited out (store_options.patience_ms), told once.
 * Thread-safe: connections are kept in a pool, one line of them for each thread that works at once. */
#ifndef INLET_STORE_S3_H
#define INLET_STORE_S3_H

#include "store/store.h"

struct store *store_s3_open(const char *uri, const struct store_options *o, const struct clock *clock,
                            struct err *e);

struct store_s3_object {
    const char *key; /* below the store's root */
    const char *etag; /* without quotes */
    int64_t bytes, modified_ms;
};
typedef void store_s3_list_fn(void *ctx, const struct store_s3_object *o);
/* As ops->list, with what identifies an object's content. Keys come in the order of their bytes. */
int store_s3_list(struct store *s, const char *prefix, store_s3_list_fn *each, void *ctx,
                  struct err *e);
/* Reads up to n bytes at offset of the object whose ETag is still `etag`: what was read, 0 at its end, -1:
 * ERR_CONFLICT where it was replaced. */
int64_t store_s3_read(struct store *s, const char *key, const char *etag, int64_t offset, size_t n,
                      void *p, struct err *e);
/* How many requests were sent so far, repeated ones too. */
uint64_t store_s3_requests(const struct store *s);

#endif
