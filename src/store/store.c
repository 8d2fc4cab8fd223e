/* What every store shares: keys and URIs. See store.h. */
#include "store/store.h"

#include <string.h>

#include "base/mem.h"

char *store_uri(const struct store *s, const char *key)
{
    return mem_printf("%s/%s", s->root_uri, key);
}

/* "file:///x", "file:/x" and "/x" are one place. */
static const char *plain_path(const char *uri)
{
    if (strncmp(uri, "file://", 7) == 0)
        return uri + 7;
    return strncmp(uri, "file:/", 6) == 0 ? uri + 5 : uri;
}

const char *store_key_of(const struct store *s, const char *uri)
{
    const char *root = plain_path(s->root_uri), *path = plain_path(uri);
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}
