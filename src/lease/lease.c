/* lease: what all stores share, and the way from a URI to a store. */
#include "lease/lease.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "catalog/db.h"
#include "store/store.h"

#define PLAIN_NAMESPACE "events" /* whose leases' file has no namespace in its name */

void lease_fini(struct lease *l)
{
    free(l->stream);
    free(l->shard);
    free(l->owner);
    free(l->parents[0]);
    free(l->parents[1]);
    *l = (struct lease){0};
}

void lease_list_free(struct lease *leases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lease_fini(&leases[i]);
    free(leases);
}

char *lease_default_uri(const char *lake, const char *catalog, const char *ns)
{
    const char *path = db_uri_path(catalog);
    bool plain = !path || strcmp(ns, PLAIN_NAMESPACE) == 0;
    const char *dash = plain ? "" : "-", *own = plain ? "" : ns;
    if (!store_is_s3(lake))
        return mem_printf("sqlite:%s/leases%s%s.db", lake, dash, own);
    return path ? mem_printf("sqlite:%s.leases%s%s.db", path, dash, own) : NULL;
}

/* DynamoDB's rule for a table's name. */
static const char *dynamodb_table(const char *uri)
{
    const char *table = strncmp(uri, "dynamodb://", 11) == 0 ? uri + 11 : NULL;
    size_t n = table ? strspn(table, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789_.-")
                     : 0;
    return n >= 3 && n <= 255 && !table[n] ? table : NULL;
}

int lease_uri_check(const char *uri, struct err *e)
{
    if (db_uri_path(uri) || dynamodb_table(uri))
        return 0;
    return err_set(e, ERR_INVALID,
                   "%.200s is no place for leases: write sqlite:PATH, or dynamodb://TABLE with a "
                   "name of 3 to 255 letters, digits, '_', '-' or '.'",
                   uri);
}

struct lease_store *lease_find_uri(const char *uri, const struct clock *clock, bool make, bool *made,
                                   struct err *e)
{
    const char *path = db_uri_path(uri);
    *made = false;
    if (lease_uri_check(uri, e))
        return NULL;
    if (!path) {
        struct lease_dynamodb_options o = {.table = dynamodb_table(uri), .make = make};
        return lease_dynamodb_open(&o, clock, made, e);
    }
    bool there = access(path, F_OK) == 0;
    if (!there && !make) {
        err_set(e, ERR_NOTFOUND, "there are no leases at %s", path);
        return NULL;
    }
    *made = !there;
    return lease_sqlite_open(path, e);
}

struct lease_store *lease_open_uri(const char *uri, const struct clock *clock, struct err *e)
{
    bool made;
    return lease_find_uri(uri, clock, true, &made, e);
}
