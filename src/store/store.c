/* What all stores share: URIs from keys and back. Iceberg metadata holds URIs, written by us or by
 * other engines, which spell the same place in several ways. */
#include "store/store.h"

#include <string.h>

#include "base/mem.h"
#include "store/s3.h"

bool store_is_s3(const char *uri)
{
    return strncmp(uri, "s3://", 5) == 0 || strncmp(uri, "s3a://", 6) == 0;
}

struct store *store_open(const char *uri, const struct store_options *o, const struct clock *clock,
                         struct err *e)
{
    if (store_is_s3(uri))
        return store_s3_open(uri, o, clock, e);
    return store_local_open(uri, o->sync, e);
}

int store_finish_all(struct store *s, struct store_writer **writers, size_t n, struct err *e)
{
    int rc = 0;
    if (s->ops->finish_all)
        return s->ops->finish_all(s, writers, n, e);
    for (size_t i = 0; i < n; i++)
        if (rc)
            store_abort(writers[i]);
        else
            rc = store_finish(writers[i], e);
    return rc;
}

char *store_uri(const struct store *s, const char *key)
{
    return mem_printf("%s/%s", s->root_uri, key);
}

/* Past "file://" or "file:" to the path, past "s3://", "s3a://" or "s3n://" to the bucket; *scheme
 * says which of the two it was. */
static const char *strip_scheme(const char *uri, char *scheme)
{
    static const char *const s3[] = {"s3://", "s3a://", "s3n://"};
    for (size_t i = 0; i < sizeof s3 / sizeof *s3; i++)
        if (strncmp(uri, s3[i], strlen(s3[i])) == 0) {
            *scheme = 's';
            return uri + strlen(s3[i]);
        }
    *scheme = 'f';
    if (strncmp(uri, "file:///", 8) == 0)
        return uri + 7;
    if (strncmp(uri, "file:/", 6) == 0 && uri[6] != '/')
        return uri + 5;
    return uri;
}

const char *store_key_of(const struct store *s, const char *uri)
{
    char root_scheme, uri_scheme;
    /* The root of the whole file system has no path of its own left after "file://". */
    const char *root = strcmp(s->root_uri, "file://") == 0 ? "" : s->root_uri;
    root = strip_scheme(root, &root_scheme);
    const char *rest = strip_scheme(uri, &uri_scheme);
    size_t n = strlen(root);
    if (root_scheme != uri_scheme || strncmp(rest, root, n) != 0 || rest[n] != '/' || !rest[n + 1])
        return NULL;
    return rest + n + 1;
}
