/* One change of a table on its way to the catalog: as the next metadata, for catalogs that only know
 * where a table stands, and as requirements and updates, for those that write the metadata themselves
 * (Iceberg REST, CommitTableRequest). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "table/table_int.h"

#define LOG_MAX 100

void table_change_fini(struct table_change *c)
{
    json_decref(c->meta);
    json_decref(c->dropped);
    json_decref(c->requirements);
    json_decref(c->updates);
    free(c->base);
    free(c->next);
    *c = (struct table_change){0};
}

json_t *table_require(struct table_change *c, const char *type)
{
    json_t *r = json_object();
    json_object_set_new(r, "type", json_string(type));
    json_array_append_new(c->requirements, r);
    return r;
}

json_t *table_update(struct table_change *c, const char *action)
{
    json_t *u = json_object();
    json_object_set_new(u, "action", json_string(action));
    json_array_append_new(c->updates, u);
    return u;
}

/* The base goes into the log; what falls out of it is told, to be removed after the commit. */
static void log_base(struct table *t, struct table_change *c, int64_t before)
{
    json_t *log = json_object_get(c->meta, "metadata-log"), *entry = json_object();
    if (!json_is_array(log)) {
        log = json_array();
        json_object_set_new(c->meta, "metadata-log", log);
    }
    json_object_set_new(entry, "metadata-file", json_string(t->location));
    json_object_set_new(entry, "timestamp-ms", json_integer(before));
    json_array_append_new(log, entry);
    while (json_array_size(log) > LOG_MAX) {
        json_array_append(c->dropped, json_object_get(json_array_get(log, 0), "metadata-file"));
        json_array_remove(log, 0);
    }
}

/* What a change adds to or takes from is its own; all below that is the base's, too. */
static json_t *copy_of(const json_t *base)
{
    static const char *const changed[] = {"properties", "schemas",      "snapshots",  "snapshot-log",
                                          "refs",       "metadata-log", "statistics", "partition-statistics"};
    json_t *copy = json_copy((json_t *)(uintptr_t)base);
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        if (json_object_get(copy, changed[i]))
            json_object_set_new(copy, changed[i], json_copy(json_object_get(copy, changed[i])));
    return copy;
}

void table_change_begin(struct table *t, struct table_change *c)
{
    int64_t now = clock_wall_ms(t->lake->clock),
            before = table_json_number(table_meta(t), "last-updated-ms");
    *c = (struct table_change){.meta = copy_of(table_meta(t)),
                               .dropped = json_array(),
                               .requirements = json_array(),
                               .updates = json_array(),
                               .base = t->location ? mem_strdup(t->location) : NULL,
                               .creates = t->planned};
    if (!json_is_object(json_object_get(c->meta, "properties")))
        json_object_set_new(c->meta, "properties", json_object());
    if (!t->lake->catalog->writes_metadata && !t->planned)
        log_base(t, c, before);
    json_object_set_new(c->meta, "last-updated-ms", json_integer(now > before ? now : before + 1));
    json_object_set(table_require(c, "assert-table-uuid"), "uuid",
                    json_object_get(table_meta(t), "table-uuid"));
}

/* Puts the metadata beside the base, under the next number, and `with` by its side. */
static int put_metadata(struct table *t, struct table_change *c, const struct store_object *with,
                        size_t n, struct err *e)
{
    struct store_object objects[TABLE_OBJECTS_MAX + 1];
    invariant(n <= TABLE_OBJECTS_MAX);
    for (size_t i = 0; i < n; i++)
        objects[i] = with[i];
    if (t->lake->catalog->writes_metadata)
        return n ? store_put_all(t->store, objects, n, e) : 0;
    char id[37];
    const char *file = t->location ? strrchr(t->location, '/') : NULL;
    long version = file ? strtol(file + 1, NULL, 10) + 1 : 0;
    table_uuid4(t->lake, id);
    char *name = mem_printf("%05ld-%s.metadata.json", version, id);
    char *key = table_key(t, "write.metadata.path", "metadata", name);
    char *text = json_dumps(c->meta, JSON_COMPACT);
    objects[n++] = (struct store_object){key, text, strlen(text)};
    int rc = store_put_all(t->store, objects, n, e);
    if (rc == 0)
        c->next = store_uri(t->store, key);
    else
        t->store->ops->remove(t->store, key, NULL);
    free(text);
    free(key);
    free(name);
    return rc;
}

static void remove_metadata(struct table *t, const char *location)
{
    const char *key = location ? store_key_of(t->store, location) : NULL;
    if (key)
        t->store->ops->remove(t->store, key, NULL);
}

int table_change_send(struct table *t, struct table_change *c, struct err *e)
{
    struct catalog *catalog = t->lake->catalog;
    struct catalog_table answer = {0};
    struct catalog_change change = {.base = c->base,
                                    .next = c->next,
                                    .metadata = c->meta,
                                    .requirements = c->requirements,
                                    .updates = c->updates};
    struct err later = {0};
    int rc = (c->creates ? catalog->ops->create : catalog->ops->swap)(catalog, t->lake->ns, t->name, &change, &answer, e);
    if (rc == 0) { /* it is done, whatever becomes of reading what it led to */
        json_t *meta = answer.metadata ? answer.metadata : c->meta;
        char *location = answer.location ? answer.location : c->next;
        t->planned = false;
        bool known = answer.metadata || !catalog->writes_metadata;
        if (known && table_take_base(t, json_incref(meta), location ? mem_strdup(location) : NULL,
                                     answer.config ? answer.config : t->config, &later))
            t->broken = true;
        if (!known)
            t->broken = true;
        const char *cleans = table_property(t, "write.metadata.delete-after-commit.enabled");
        for (size_t i = 0; cleans && strcmp(cleans, "true") == 0 && i < json_array_size(c->dropped);
             i++)
            remove_metadata(t, json_string_value(json_array_get(c->dropped, i)));
    }
    catalog_table_fini(&answer);
    return rc;
}

int table_change_offer(struct table *t, struct table_change *c, const struct store_object *with,
                       size_t n, bool *offered, struct err *e)
{
    if (put_metadata(t, c, with, n, e)) {
        if (e->kind == ERR_UNKNOWN) /* of a file that nobody refers to */
            e->kind = ERR_RETRY;
        return -1;
    }
    *offered = true;
    int rc = table_change_send(t, c, e);
    if (rc && (e->kind == ERR_CONFLICT || e->kind == ERR_RETRY))
        remove_metadata(t, c->next);
    return rc;
}
