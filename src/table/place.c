/* Stores of tables that lie where their catalog put them, or that it gives keys for: a REST catalog's "vended
 * credentials", in the properties of Iceberg's own S3FileIO. */
#include <string.h>
#include <strings.h>

#include "table/table.h"

static const char *text_of(const json_t *config, const char *key)
{
    return json_string_value(json_object_get(config, key));
}

bool lake_store_vended(const json_t *config)
{
    return text_of(config, "s3.access-key-id") && text_of(config, "s3.secret-access-key");
}

static struct store *open_s3(const struct lake_store_options *o, const char *location,
                             const json_t *config, struct err *e)
{
    struct store_options options = o->store;
    struct credentials keys = {.access_key = (char *)(uintptr_t)text_of(config, "s3.access-key-id"),
                               .secret_key =
                                   (char *)(uintptr_t)text_of(config, "s3.secret-access-key"),
                               .token = (char *)(uintptr_t)text_of(config, "s3.session-token")};
    const char *region = text_of(config, "client.region"), *endpoint = text_of(config, "s3.endpoint"),
               *path = text_of(config, "s3.path-style-access");
    if (lake_store_vended(config))
        options.keys = &keys;
    if (!region)
        region = text_of(config, "s3.region");
    if (region)
        options.region = region;
    if (endpoint)
        options.endpoint = endpoint;
    if (path && strcasecmp(path, "true") == 0)
        options.addressing = STORE_ADDRESSING_PATH;
    return store_open(location, &options, o->clock, e);
}

struct store *lake_store_for(void *ctx, const char *location, json_t *config, struct err *e)
{
    const struct lake_store_options *o = ctx;
    const char *path = location;
    if (strncmp(path, "file://", 7) == 0)
        path += 7;
    else if (strncmp(path, "file:", 5) == 0)
        path += 5;
    if (*path == '/')
        return store_open(path, &o->store, o->clock, e);
    if (store_is_s3(location))
        return open_s3(o, location, config, e);
    err_set(e, ERR_INVALID, "it lies at %s: inlet knows file: and s3: only", location);
    return NULL;
}
