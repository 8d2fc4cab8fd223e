/* Iceberg's REST catalog: the server writes the metadata, and a commit is what it requires and what it
 * changes.
 *
 *   GET  v1/{prefix}/namespaces/{ns}/tables/{t} -> {metadata-location, metadata, config, ...}
 *   POST v1/{prefix}/namespaces/{ns}/tables     {name, schema, partition-spec, write-order, ...}
 *   POST v1/{prefix}/namespaces/{ns}/tables/{t} {identifier, requirements, updates}
 *
 * A commit requires the parent of its snapshot (assert-ref-snapshot-id), so a commit that is sent twice
 * takes effect once: the second is refused with 409. After an answer that was lost, a 409 is therefore
 * not an answer, and the caller looks into the table. Where the server knows Idempotency-Keys it gives the
 * first answer again instead.
 *
 * A table is created at once, not staged and committed with its first rows: an empty table says no more
 * than none (a position that is not there), whoever finds it goes on from it, and its field ids are known
 * before a byte is encoded. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/rest_session.h"

struct rest_catalog {
    struct catalog base;
    struct rest_session *session;
};

static struct rest_session *session_of(struct catalog *c)
{
    return ((struct rest_catalog *)(void *)c)->session;
}

/* ---- namespaces */

static int namespace_make(struct rest_session *s, const char *ns, struct err *e)
{
    struct rest_reply r;
    json_t *body = json_object();
    json_object_set_new(body, "namespace", rest_namespace_json(ns));
    json_object_set_new(body, "properties", json_object());
    int rc = rest_call(s, "POST", "namespaces", body, &r, e);
    if (rc && r.status == 409) /* somebody, perhaps we, was first */
        rc = 0;
    json_decref(body);
    rest_reply_fini(&r);
    return rc;
}

static int namespace_exists(struct rest_session *s, const char *ns, bool *exists, struct err *e)
{
    struct rest_reply r;
    char *path = rest_namespace_path(s, ns);
    int rc = rest_call(s, "GET", path, NULL, &r, e);
    bool missing = rc && r.status == 404;
    rest_reply_fini(&r);
    free(path);
    *exists = !rc;
    return missing ? 0 : rc;
}

static int namespace_ensure(struct rest_session *s, const char *ns, struct err *e)
{
    bool there;
    int rc = namespace_exists(s, ns, &there, e);
    if (rc || there)
        return rc;
    const char *dot = strrchr(ns, '.');
    if (dot) { /* its parents first */
        char *parent = mem_strndup(ns, (size_t)(dot - ns));
        rc = namespace_ensure(s, parent, e);
        free(parent);
        if (rc)
            return rc;
    }
    return namespace_make(s, ns, e);
}

static int rest_namespace_ensure(struct catalog *c, const char *ns, struct err *e)
{
    struct err local = {0};
    return namespace_ensure(session_of(c), ns, e ? e : &local);
}

static int rest_namespace_exists(struct catalog *c, const char *ns, bool *exists, struct err *e)
{
    struct err local = {0};
    return namespace_exists(session_of(c), ns, exists, e ? e : &local);
}

static int rest_list(struct catalog *c, const char *ns, catalog_list_fn *each, void *ctx,
                     struct err *e)
{
    struct rest_session *s = session_of(c);
    char *base = rest_table_path(s, ns, NULL), *token = NULL;
    int rc;
    do {
        struct rest_reply r;
        struct buf path = {0};
        size_t i;
        json_t *id;
        buf_puts(&path, base);
        if (token) {
            buf_puts(&path, "?pageToken=");
            sigv4_encode(token, strlen(token), false, &path);
        }
        rc = rest_call(s, "GET", buf_cstr(&path), NULL, &r, e);
        if (rc && r.status == 404) /* no such namespace: no tables */
            rc = 0;
        json_array_foreach(json_object_get(r.json, "identifiers"), i, id)
        {
            const char *name = json_string_value(json_object_get(id, "name"));
            if (name)
                each(ctx, name);
        }
        const char *next = json_string_value(json_object_get(r.json, "next-page-token"));
        free(token);
        token = !rc && next && *next ? mem_strdup(next) : NULL;
        rest_reply_fini(&r);
        buf_fini(&path);
    } while (token);
    free(base);
    return rc;
}

/* ---- tables */

/* The table's own settings: `config`, and of the storage credentials those whose prefix fits best. */
static json_t *settings(const json_t *answer, const char *location)
{
    json_t *config = json_deep_copy(json_object_get(answer, "config")), *one, *best = NULL;
    size_t i, longest = 0;
    json_array_foreach(json_object_get(answer, "storage-credentials"), i, one)
    {
        const char *prefix = json_string_value(json_object_get(one, "prefix"));
        size_t n = prefix ? strlen(prefix) : 0;
        if (prefix && location && strncmp(location, prefix, n) == 0 && (!best || n >= longest)) {
            best = json_object_get(one, "config");
            longest = n;
        }
    }
    if (!json_is_object(config)) {
        json_decref(config);
        config = json_object();
    }
    json_object_update(config, best);
    if (json_object_size(config))
        return config;
    json_decref(config);
    return NULL;
}

/* Takes what a LoadTableResult or CommitTableResponse says. */
static int take(struct catalog_table *out, const json_t *answer, bool with_config, struct err *e)
{
    json_t *metadata = json_object_get(answer, "metadata");
    const char *at = json_string_value(json_object_get(answer, "metadata-location"));
    if (!json_is_object(metadata))
        return err_set(e, ERR_IO, "the catalog's answer has no table metadata");
    out->metadata = json_incref(metadata);
    out->location = at ? mem_strdup(at) : NULL;
    if (with_config)
        out->config = settings(answer, json_string_value(json_object_get(metadata, "location")));
    return 0;
}

static int rest_load(struct catalog *c, const char *ns, const char *table,
                     struct catalog_table *out, struct err *e)
{
    struct rest_session *s = session_of(c);
    struct rest_reply r;
    char *path = rest_table_path(s, ns, table);
    int rc = rest_call(s, "GET", path, NULL, &r, e);
    if (rc && r.status == 404)
        err_set(e, ERR_NOTFOUND, "there is no table %s.%s in the catalog %s", ns, table,
                rest_base(s));
    if (!rc)
        rc = take(out, r.json, true, e);
    rest_reply_fini(&r);
    free(path);
    return rc;
}

static json_t *create_json(const struct rest_session *s, const char *table, const json_t *metadata)
{
    json_t *q = json_object(), *properties = json_object();
    const char *sign = rest_signing_name(s);
    json_object_set_new(q, "name", json_string(table));
    json_object_set(q, "schema", json_array_get(json_object_get(metadata, "schemas"), 0));
    json_object_set(q, "partition-spec",
                    json_array_get(json_object_get(metadata, "partition-specs"), 0));
    json_object_set(q, "write-order", json_array_get(json_object_get(metadata, "sort-orders"), 0));
    json_object_set_new(q, "stage-create", json_false());
    json_object_set_new(properties, "format-version", json_string("2"));
    json_object_update(properties, json_object_get(metadata, "properties"));
    json_object_set_new(q, "properties", properties);
    /* S3 Tables places its tables itself. */
    if (json_object_get(metadata, "location") && !(sign && strcmp(sign, "s3tables") == 0))
        json_object_set(q, "location", json_object_get(metadata, "location"));
    return q;
}

static int rest_create(struct catalog *c, const char *ns, const char *table,
                       const struct catalog_change *change, struct catalog_table *out,
                       struct err *e)
{
    struct rest_session *s = session_of(c);
    struct rest_reply r;
    char *path = rest_table_path(s, ns, NULL);
    json_t *q = create_json(s, table, change->metadata);
    int rc = rest_call(s, "POST", path, q, &r, e);
    if (rc && r.status == 409 && strcasestr(r.message, "view"))
        rc = err_set(e, ERR_INVALID, "%s.%s is a view in the catalog, not a table: %s", ns, table,
                     r.message);
    else if (rc && r.status == 404)
        e->kind = ERR_INVALID; /* the namespace is gone */
    else if (!rc && take(out, r.json, true, NULL))
        rc = err_set(e, ERR_UNKNOWN, "the catalog's answer has no table metadata");
    json_decref(q);
    rest_reply_fini(&r);
    free(path);
    return rc;
}

static int rest_swap(struct catalog *c, const char *ns, const char *table,
                     const struct catalog_change *change, struct catalog_table *out, struct err *e)
{
    struct rest_session *s = session_of(c);
    struct rest_reply r;
    struct err local = {0};
    char *path = rest_table_path(s, ns, table);
    json_t *q = json_object(), *id = json_object();
    e = e ? e : &local;
    json_object_set_new(id, "namespace", rest_namespace_json(ns));
    json_object_set_new(id, "name", json_string(table));
    json_object_set_new(q, "identifier", id);
    json_object_set(q, "requirements", change->requirements);
    json_object_set(q, "updates", change->updates);
    int rc = rest_call(s, "POST", path, q, &r, e);
    if (rc && r.unsure) /* the refusal may be of what an earlier attempt did */
        e->kind = ERR_UNKNOWN;
    if (!rc)
        take(out, r.json, false, NULL); /* committed, even if it says nothing more */
    json_decref(q);
    rest_reply_fini(&r);
    free(path);
    return rc;
}

static void rest_catalog_close(struct catalog *c)
{
    rest_close(session_of(c));
    free(c);
}

static const struct catalog_ops rest_ops = {
    .namespace_ensure = rest_namespace_ensure,
    .namespace_exists = rest_namespace_exists,
    .list = rest_list,
    .load = rest_load,
    .create = rest_create,
    .swap = rest_swap,
    .close = rest_catalog_close,
};

struct catalog *catalog_rest_open(const struct catalog_rest_options *o, const struct clock *clock,
                                  struct err *e)
{
    struct rest_session *session = rest_open(o, clock, e);
    if (!session)
        return NULL;
    struct rest_catalog *c = mem_zalloc(sizeof *c);
    c->base.ops = &rest_ops;
    c->base.writes_metadata = true;
    c->session = session;
    return &c->base;
}
