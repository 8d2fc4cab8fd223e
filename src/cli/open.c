/* open: from settings to a lake in hand: see open.h. */
#include "cli/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/commands.h"

static void random_bytes(void *ctx, void *p, size_t n)
{
    (void)ctx;
    for (uint8_t *at = p; n;) {
        ssize_t got = getrandom(at, n < 256 ? n : 256, 0);
        invariant(got > 0 || errno == EINTR);
        at += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
}

void open_lake_close(struct open_lake *l)
{
    catalog_close(l->lake.catalog);
    store_close(l->lake.store);
    free(l->catalog_uri);
    memset(l, 0, sizeof *l);
}

int open_lake_failed(const struct config *c, const struct err *e)
{
    int rc = commands_fail(e);
    return options_text(&c->options, OPT_LAKE) ? rc : EXIT_USAGE;
}

int open_lake(struct open_lake *l, const struct config *c, enum open_mode mode, const char **what,
              struct err *e)
{
    bool make = mode == OPEN_MAKE;
    const char *dir, *ignored;
    struct stat st;
    what = what ? what : &ignored;
    *what = "lake";
    memset(l, 0, sizeof *l);
    struct store_options store;
    if (config_store(c, &store, e) || config_lake(c, &dir, &l->catalog_uri, e))
        return -1;
    if (dir && !make && !store_is_s3(dir) && (stat(dir, &st) || !S_ISDIR(st.st_mode)))
        return err_set(e, ERR_NOTFOUND, "no lake at %s", dir);
    l->lake = (struct lake){.clock = &clock_system,
                            .ns = config_namespace(c),
                            .engine_version = "inlet " INLET_VERSION,
                            .snapshot_age_ms = INT64_C(86400000),
                            .snapshots_max = 500,
                            .random = random_bytes,
                            .store_for = lake_store_for,
                            .store_for_ctx = &l->stores};
    store.sync = mode != OPEN_LOOK;
    l->stores = (struct lake_store_options){.store = store, .clock = &clock_system};
    if (dir)
        l->lake.store = store_open(dir, &store, &clock_system, e);
    if (dir && !l->lake.store)
        return -1;
    *what = "catalog";
    const char *path = catalog_uri_path(l->catalog_uri);
    if (!make && path && stat(path, &st))
        return err_set(e, ERR_NOTFOUND, "no catalog at %s", path);
    struct catalog_options catalog = config_catalog(c, l->catalog_uri);
    catalog.read_only = mode == OPEN_LOOK;
    l->lake.catalog = catalog_open(&catalog, e);
    return l->lake.catalog ? 0 : -1;
}

char *open_leases_uri(const struct config *c, struct err *e)
{
    const char *uri = options_text(&c->options, OPT_LEASES), *lake;
    char *catalog;
    if (uri)
        return mem_strdup(uri);
    if (config_lake(c, &lake, &catalog, e))
        return NULL;
    char *beside = lake ? lease_default_uri(lake, catalog, config_namespace(c)) : NULL;
    if (!beside)
        err_set(e, ERR_INVALID, LEASES_NEEDED, catalog);
    free(catalog);
    return beside;
}

struct lease_store *open_leases(const struct config *c, bool make, bool *made, struct err *e)
{
    bool ignored;
    char *uri = open_leases_uri(c, e);
    struct lease_store *s =
        uri ? lease_find_uri(uri, &clock_system, make, made ? made : &ignored, e) : NULL;
    free(uri);
    return s;
}
