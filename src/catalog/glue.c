/* The Glue Data Catalog: a database is the namespace, a table's parameter metadata_location says where
 * it stands, as Iceberg's own GlueCatalog has it.
 *
 * On the wire (JSON 1.1, target AWSGlue.ACTION):
 *   GetTable    {DatabaseName, Name} -> {Table: {Parameters, StorageDescriptor, VersionId, ...}}
 *   UpdateTable {DatabaseName, VersionId, SkipArchive: true, TableInput: {...}} -> {}
 *
 * UpdateTable replaces the whole table, so what others put there is sent back: description, owner,
 * parameters, column comments. It is refused (ConcurrentModificationException) unless VersionId is still
 * the table's; that is the compare-and-swap. UpdateTable does not say the new version: each swap is
 * preceded by the load of its base, whose answer is kept here.
 *
 * An update that was sent twice because an answer was lost may be refused for its own doing: then the
 * table is looked at. Standing at our location: done. Otherwise ours may lie behind another's: unknown,
 * and the caller looks into the table's metadata log. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws/service.h"
#include "base/map.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/glue_table.h"

struct glue_catalog {
    struct catalog base;
    struct aws_service *service;
    char *database;
    pthread_mutex_t lock;
    struct map seen; /* table -> json_t: as last loaded, for the next swap */
};

static struct glue_catalog *glue_of(struct catalog *c)
{
    return (struct glue_catalog *)(void *)c;
}

/* ---- what was seen */

static void remember(struct glue_catalog *g, const char *table, json_t *seen)
{
    pthread_mutex_lock(&g->lock);
    json_t *before = seen ? map_set(&g->seen, table, strlen(table), json_incref(seen))
                          : map_remove(&g->seen, table, strlen(table));
    pthread_mutex_unlock(&g->lock);
    json_decref(before);
}

static json_t *recall(struct glue_catalog *g, const char *table)
{
    pthread_mutex_lock(&g->lock);
    json_t *seen = json_incref(map_get(&g->seen, table, strlen(table)));
    pthread_mutex_unlock(&g->lock);
    return seen;
}

/* ---- calls */

static json_t *request(const struct glue_catalog *g)
{
    json_t *q = json_object();
    json_object_set_new(q, "DatabaseName", json_string(g->database));
    return q;
}

static int call(struct glue_catalog *g, const char *action, json_t *q, struct aws_reply *r,
                struct err *e)
{
    int rc = aws_service_call(g->service, action, q, r, e);
    json_decref(q);
    return rc;
}

/* The table's JSON (a new reference), or NULL: ERR_NOTFOUND, ERR_INVALID if it is none of Iceberg's. */
static json_t *get_table(struct glue_catalog *g, const char *table, struct err *e)
{
    struct aws_reply r;
    json_t *q = request(g), *found = NULL;
    json_object_set_new(q, "Name", json_string(table));
    if (call(g, "GetTable", q, &r, e) == 0) {
        found = json_incref(json_object_get(r.json, "Table"));
        if (!json_is_object(found))
            err_set(e, ERR_INVALID, "Glue GetTable answered no table; is the endpoint Glue's?");
        else if (glue_table_check(found, g->database, table, e) == 0)
            remember(g, table, found);
        else
            goto refused;
    } else if (e->kind == ERR_NOTFOUND) {
        err_set(e, ERR_NOTFOUND, "there is no table %s in the Glue database %s", table,
                g->database);
    }
    aws_reply_fini(&r);
    return found;
refused:
    json_decref(found);
    aws_reply_fini(&r);
    return NULL;
}

static int glue_namespace_exists(struct catalog *c, const char *ns, bool *exists, struct err *e)
{
    struct glue_catalog *g = glue_of(c);
    struct aws_reply r;
    struct err local = {0};
    json_t *q = json_object();
    (void)ns;
    json_object_set_new(q, "Name", json_string(g->database));
    int rc = call(g, "GetDatabase", q, &r, &local);
    aws_reply_fini(&r);
    *exists = rc == 0;
    return !rc || local.kind == ERR_NOTFOUND ? 0 : err_set(e, local.kind, "%s", local.text);
}

static int glue_namespace_ensure(struct catalog *c, const char *ns, struct err *e)
{
    struct glue_catalog *g = glue_of(c);
    struct aws_reply r;
    bool there;
    int rc = glue_namespace_exists(c, ns, &there, e);
    if (rc || there)
        return rc;
    json_t *q = json_object(), *input = json_object();
    json_object_set_new(input, "Name", json_string(g->database));
    json_object_set(q, "DatabaseInput", input);
    rc = call(g, "CreateDatabase", q, &r, e);
    if (rc && aws_reply_is(&r, "AlreadyExistsException")) /* somebody, perhaps we, was first */
        rc = 0;
    aws_reply_fini(&r);
    json_decref(input);
    return rc;
}

static int glue_list(struct catalog *c, const char *ns, catalog_list_fn *each, void *ctx,
                     struct err *e)
{
    struct glue_catalog *g = glue_of(c);
    char *token = NULL;
    int rc;
    (void)ns;
    do {
        struct aws_reply r;
        json_t *q = request(g), *table;
        size_t i;
        if (token)
            json_object_set_new(q, "NextToken", json_string(token));
        rc = call(g, "GetTables", q, &r, e);
        json_array_foreach(json_object_get(r.json, "TableList"), i, table)
        {
            const char *name = json_string_value(json_object_get(table, "Name"));
            if (name && glue_table_is_iceberg(table))
                each(ctx, name);
        }
        const char *next = json_string_value(json_object_get(r.json, "NextToken"));
        free(token);
        token = !rc && next && *next ? mem_strdup(next) : NULL;
        aws_reply_fini(&r);
    } while (token);
    return rc;
}

static int glue_load(struct catalog *c, const char *ns, const char *table,
                     struct catalog_table *out, struct err *e)
{
    json_t *found = get_table(glue_of(c), table, e);
    (void)ns;
    if (!found)
        return -1;
    out->location = mem_strdup(glue_table_location(found));
    json_decref(found);
    return 0;
}

/* After an answer that decides nothing. 0: the table stands at `next`. */
static int look(struct glue_catalog *g, const char *table, const char *next,
                const char *version_used, struct err *e)
{
    struct err why = {0};
    json_t *now = get_table(g, table, &why);
    if (!now)
        return err_set(e, ERR_UNKNOWN, "%s", why.text);
    int rc = -1;
    const char *version = glue_table_version(now);
    if (strcmp(glue_table_location(now), next) == 0)
        rc = 0;
    else if (version_used && version && strcmp(version, version_used) == 0)
        err_set(e, ERR_UNKNOWN, "Glue table %s.%s: not changed yet", g->database, table);
    else
        err_set(e, ERR_UNKNOWN, "Glue table %s.%s stands at %s: somebody changed it meanwhile",
                g->database, table, glue_table_location(now));
    json_decref(now);
    return rc;
}

static int glue_create(struct catalog *c, const char *ns, const char *table,
                       const struct catalog_change *change, struct catalog_table *out,
                       struct err *e)
{
    struct glue_catalog *g = glue_of(c);
    struct aws_reply r;
    struct err local = {0};
    json_t *q = request(g);
    (void)ns, (void)out;
    e = e ? e : &local;
    json_object_set_new(q, "TableInput", glue_table_input(NULL, table, change));
    int rc = call(g, "CreateTable", q, &r, e);
    if (rc && e->kind == ERR_NOTFOUND)
        e->kind = ERR_INVALID; /* the database is gone */
    if (rc && aws_reply_is(&r, "AlreadyExistsException")) {
        struct err why = {0};
        if (r.unsure && look(g, table, change->next, NULL, &why) == 0)
            rc = 0;
        else
            err_set(e, ERR_CONFLICT, "the Glue table %s.%s exists already", g->database, table);
    } else if (rc && r.unsure) {
        rc = look(g, table, change->next, NULL, e);
    }
    aws_reply_fini(&r);
    return rc;
}

static bool raced(const struct aws_reply *r)
{
    return aws_reply_is(r, "ConcurrentModificationException") ||
           aws_reply_is(r, "VersionMismatchException");
}

/* The table as it stands at the base, or NULL: ERR_CONFLICT. */
static json_t *base_table(struct glue_catalog *g, const char *table, const char *base,
                          struct err *e)
{
    json_t *now = recall(g, table);
    if (now && strcmp(glue_table_location(now), base) == 0)
        return now;
    json_decref(now);
    now = get_table(g, table, e);
    if (!now || strcmp(glue_table_location(now), base) == 0)
        return now;
    err_set(e, ERR_CONFLICT, "the Glue table %s.%s was changed meanwhile: it stands at %s",
            g->database, table, glue_table_location(now));
    json_decref(now);
    return NULL;
}

static int glue_swap(struct catalog *c, const char *ns, const char *table,
                     const struct catalog_change *change, struct catalog_table *out, struct err *e)
{
    struct glue_catalog *g = glue_of(c);
    struct aws_reply r;
    struct err local = {0};
    (void)ns, (void)out;
    e = e ? e : &local;
    json_t *now = base_table(g, table, change->base, e), *q;
    if (!now)
        return -1;
    const char *version = glue_table_version(now);
    q = request(g);
    json_object_set_new(q, "SkipArchive", json_true());
    if (version)
        json_object_set_new(q, "VersionId", json_string(version));
    json_object_set_new(q, "TableInput", glue_table_input(now, table, change));
    remember(g, table, NULL);
    int rc = call(g, "UpdateTable", q, &r, e);
    if (rc && r.unsure)
        rc = look(g, table, change->next, version, e);
    else if (rc && raced(&r))
        err_set(e, ERR_CONFLICT, "the Glue table %s.%s was changed meanwhile", g->database, table);
    aws_reply_fini(&r);
    json_decref(now);
    return rc;
}

/* The view of that name may be replaced; anything else of that name not. */
static int glue_put_view(struct catalog *c, const char *ns, const struct catalog_view *view,
                         struct err *e)
{
    struct glue_catalog *g = glue_of(c);
    struct aws_reply r;
    struct err local = {0};
    (void)ns;
    e = e ? e : &local;
    json_t *q = request(g);
    json_object_set_new(q, "Name", json_string(view->name));
    int rc = call(g, "GetTable", q, &r, e);
    const char *type = json_string_value(
        json_object_get(json_object_get(r.json, "Table"), "TableType"));
    bool there = rc == 0, is_view = type && strcmp(type, "VIRTUAL_VIEW") == 0;
    aws_reply_fini(&r);
    if (there && !is_view)
        return err_set(e, ERR_INVALID, "%s.%s is a table, no view: give the view another name (--name)",
                       g->database, view->name);
    if (rc && e->kind != ERR_NOTFOUND)
        return -1;
    q = request(g);
    json_object_set_new(q, "TableInput", glue_view_input(view));
    rc = call(g, there ? "UpdateTable" : "CreateTable", q, &r, e);
    aws_reply_fini(&r);
    return rc;
}

static void glue_close(struct catalog *c)
{
    struct glue_catalog *g = glue_of(c);
    size_t at = 0;
    for (struct map_entry *m; (m = map_next(&g->seen, &at));)
        json_decref(m->value);
    map_fini(&g->seen);
    aws_service_close(g->service);
    pthread_mutex_destroy(&g->lock);
    free(g->database);
    free(g);
}

static const struct catalog_ops glue_ops = {
    .namespace_ensure = glue_namespace_ensure,
    .namespace_exists = glue_namespace_exists,
    .list = glue_list,
    .load = glue_load,
    .create = glue_create,
    .swap = glue_swap,
    .put_view = glue_put_view,
    .close = glue_close,
};

struct catalog *catalog_glue_open(const struct catalog_glue_options *o, const struct clock *clock,
                                  struct err *e)
{
    struct aws_service_options options = {.service = "glue",
                                          .label = "Glue",
                                          .target = "AWSGlue",
                                          .content_type = "application/x-amz-json-1.1",
                                          .patience_ms = o->patience_ms,
                                          .aws = o->aws};
    struct aws_service *service = aws_service_open(&options, clock, e);
    if (!service)
        return NULL;
    struct glue_catalog *g = mem_zalloc(sizeof *g);
    g->base.ops = &glue_ops;
    g->service = service;
    g->database = mem_strdup(o->database);
    pthread_mutex_init(&g->lock, NULL);
    return &g->base;
}
