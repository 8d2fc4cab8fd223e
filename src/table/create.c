/* A table's first metadata. See table.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "table/table_int.h"

static json_t *spec_json(const struct table_spec *spec)
{
    json_t *fields = json_array();
    for (uint32_t i = 0; i < spec->n_partition; i++) {
        json_t *f = json_object();
        json_object_set_new(f, "source-id", json_integer(spec->partition[i].source_id));
        json_object_set_new(f, "field-id", json_integer(1000 + (int)i));
        json_object_set_new(f, "name", json_string(spec->partition[i].name));
        json_object_set_new(f, "transform", json_string(spec->partition[i].transform));
        json_array_append_new(fields, f);
    }
    return fields;
}

static json_t *sort_json(const struct table_spec *spec)
{
    json_t *fields = json_array();
    for (uint32_t i = 0; i < spec->n_sort; i++) {
        json_t *f = json_object();
        json_object_set_new(f, "transform", json_string("identity"));
        json_object_set_new(f, "source-id", json_integer(spec->sort[i].source_id));
        json_object_set_new(f, "direction", json_string("asc"));
        json_object_set_new(f, "null-order", json_string("nulls-first"));
        json_array_append_new(fields, f);
    }
    return fields;
}

static json_t *one(json_t *item)
{
    json_t *list = json_array();
    json_array_append_new(list, item);
    return list;
}

/* Below the lake, where there is one; else the catalog's choice. */
static char *first_location(const struct table *t)
{
    if (!t->lake->store)
        return NULL;
    char *key = mem_printf("%s/%s", t->lake->ns, t->name);
    char *location = store_uri(t->lake->store, key);
    free(key);
    return location;
}

static json_t *first_metadata(struct table *t, const struct table_spec *spec)
{
    char id[37];
    json_t *m = json_object(), *s = json_object(), *o = json_object(), *p = json_object();
    char *location = first_location(t);
    table_uuid4(t->lake, id);
    json_object_set_new(m, "format-version", json_integer(2));
    json_object_set_new(m, "table-uuid", json_string(id));
    if (location)
        json_object_set_new(m, "location", json_string(location));
    json_object_set_new(m, "last-sequence-number", json_integer(0));
    json_object_set_new(m, "last-updated-ms", json_integer(clock_wall_ms(t->lake->clock)));
    json_object_set_new(m, "last-column-id", json_integer(schema_max_id(spec->schema)));
    json_object_set_new(m, "current-schema-id", json_integer(0));
    json_object_set_new(m, "schemas", one(iceberg_schema_json(spec->schema)));
    json_object_set_new(m, "default-spec-id", json_integer(0));
    json_object_set_new(s, "spec-id", json_integer(0));
    json_object_set_new(s, "fields", spec_json(spec));
    json_object_set_new(m, "partition-specs", one(s));
    json_object_set_new(m, "last-partition-id", json_integer(999 + (int)spec->n_partition));
    json_object_set_new(m, "default-sort-order-id", json_integer(spec->n_sort ? 1 : 0));
    json_object_set_new(o, "order-id", json_integer(spec->n_sort ? 1 : 0));
    json_object_set_new(o, "fields", sort_json(spec));
    json_object_set_new(m, "sort-orders", one(o));
    for (size_t i = 0; spec->properties && spec->properties[i]; i += 2)
        json_object_set_new(p, spec->properties[i], json_string(spec->properties[i + 1]));
    json_object_set_new(m, "properties", p);
    json_object_set_new(m, "snapshots", json_array());
    json_object_set_new(m, "snapshot-log", json_array());
    json_object_set_new(m, "metadata-log", json_array());
    json_object_set_new(m, "refs", json_object());
    free(location);
    return m;
}

/* What the catalog answered is the base; where it writes metadata, its ids are those that count. */
static int created(struct table *t, json_t *meta, char *location, struct catalog_table *answer,
                   struct err *e)
{
    t->own = true;
    if (!t->lake->catalog->writes_metadata)
        return table_take_base(t, json_incref(meta), location, NULL, e);
    free(location);
    if (!answer->metadata)
        return table_reload(t, e);
    location = answer->location;
    answer->location = NULL;
    return table_take_base(t, json_incref(answer->metadata), location, answer->config, e);
}

static int make(struct table *t, const struct table_spec *spec, struct err *e)
{
    const struct lake *lake = t->lake;
    struct catalog_table answer = {0};
    json_t *meta = first_metadata(t, spec);
    bool writes = !lake->catalog->writes_metadata;
    char *key = NULL, *location = NULL;
    int rc = 0;
    if (writes) {
        char id[37];
        table_uuid4(lake, id);
        key = mem_printf("%s/%s/metadata/00000-%s.metadata.json", lake->ns, t->name, id);
        location = store_uri(lake->store, key);
        char *text = json_dumps(meta, JSON_COMPACT);
        rc = store_put(lake->store, key, text, strlen(text), e);
        free(text);
    }
    struct catalog_change change = {.next = location, .metadata = meta};
    if (!rc)
        rc = lake->catalog->ops->create(lake->catalog, lake->ns, t->name, &change, &answer, e);
    if (rc) {
        if (writes && e->kind == ERR_CONFLICT)
            lake->store->ops->remove(lake->store, key, NULL);
        free(location);
    } else {
        rc = created(t, meta, location, &answer, e);
    }
    json_decref(meta);
    catalog_table_fini(&answer);
    free(key);
    return rc;
}

/* The table, if `*there` says so (NULL: it cannot be loaded); else a handle of one that is to be. */
static struct table *load_or_begin(const struct lake *lake, const char *name, bool *there, struct err *e)
{
    struct table *t = table_load(lake, name, e);
    *there = t || e->kind != ERR_NOTFOUND;
    return *there ? t : table_new(lake, name);
}

struct table *table_plan(const struct lake *lake, const char *name, const struct table_spec *spec,
                         struct err *e)
{
    struct err none = {0};
    bool there;
    e = e ? e : &none;
    struct table *t = load_or_begin(lake, name, &there, e);
    if (there)
        return t;
    t->planned = t->own = true;
    if (table_take_base(t, first_metadata(t, spec), NULL, NULL, e) == 0)
        return t;
    table_free(t);
    return NULL;
}

struct table *table_create(const struct lake *lake, const char *name, const struct table_spec *spec,
                           struct err *e)
{
    struct err none = {0};
    bool there;
    e = e ? e : &none;
    struct table *t = load_or_begin(lake, name, &there, e);
    if (there || make(t, spec, e) == 0)
        return t;
    table_free(t);
    if (e->kind != ERR_CONFLICT && e->kind != ERR_UNKNOWN)
        return NULL;
    t = table_load(lake, name, e); /* somebody, perhaps we, was first */
    if (!t && e->kind == ERR_NOTFOUND) /* not yet: the answer may be about to come true */
        e->kind = ERR_UNKNOWN;
    return t;
}
