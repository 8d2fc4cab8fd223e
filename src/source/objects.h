/* objects: what lies in S3 below a prefix, each object a source like a file: plain, gzip or zstd, lines or
 * objects without newlines between them. */
#ifndef INLET_SOURCE_OBJECTS_H
#define INLET_SOURCE_OBJECTS_H

#include "source/source.h"
#include "store/store.h"

struct source_objects;

/* Lists them, in the order of their keys. A URI that is the key of an object means that one alone, any other all keys
 * that begin with it. ERR_NOTFOUND where there is none at all. */
struct source_objects *source_objects_list(const char *const *uris, size_t n,
                                           const struct store_options *o, const struct clock *clock,
                                           struct err *e);
void source_objects_free(struct source_objects *s); /* after its sources */
size_t source_objects_count(const struct source_objects *s);
/* Its identity is "s3://BUCKET/KEY#ETAG": an object written anew is another stream. No request is made
 * before it is started. */
struct source *source_object_open(struct source_objects *s, size_t i, const struct source_env *env,
                                  struct err *e);

#endif
