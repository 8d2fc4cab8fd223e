/* A table's handle: loaded through the catalog, its base kept as the JSON that was read, so that what
 * other programs put there stays. See table.h. */
#include "table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "table/table_int.h"

#define KEYS_EARLY_MS 300000  /* keys that the catalog gave are renewed so long before they are over */
#define KEYS_UNSAID_MS 600000 /* and after so long where it does not say when that is */

int64_t table_json_number(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

const char *table_json_text(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

void table_uuid4(const struct lake *lake, char out[37])
{
    uint8_t b[16];
    lake->random(lake->random_ctx, b, sizeof b);
    uuid4_format(b, out);
}

json_t *table_json_by_id(const json_t *list, const char *key, int64_t id)
{
    size_t i;
    json_t *j;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       j) if (table_json_number(j, key) == id) return j;
    return NULL;
}

static json_t *current_snapshot(const json_t *meta)
{
    const json_t *id = json_object_get(meta, "current-snapshot-id");
    return json_is_integer(id) ? table_json_by_id(json_object_get(meta, "snapshots"), "snapshot-id",
                                                  json_integer_value(id))
                               : NULL;
}

/* ---- where its files lie ---- */

bool table_expiring(const struct table *t)
{
    const char *at = table_json_text(t->config, "s3.session-token-expires-at-ms");
    if (!t->config)
        return false;
    if (!at)
        return clock_boot_ms(t->lake->clock) - t->config_since_ms > KEYS_UNSAID_MS;
    return strtoll(at, NULL, 10) - clock_wall_ms(t->lake->clock) < KEYS_EARLY_MS;
}

/* Are the keys in hand good, or those that the catalog gave now no others? */
static bool keys_stand(const struct table *t, const json_t *config)
{
    if (!config || !t->config)
        return config == t->config;
    return config == t->config || json_equal(t->config, config) || !table_expiring(t);
}

/* The table's files lie below its `location`: in the lake's store, or in one of its own where the
 * catalog gives keys for it or it lies elsewhere. */
static int place(struct table *t, const char *location, json_t *config, struct err *e)
{
    const struct lake *lake = t->lake;
    const char *key = lake->store ? store_key_of(lake->store, location) : NULL;
    json_t *vended = lake_store_vended(config) ? config : NULL;
    if (t->store && t->placed && strcmp(t->placed, location) == 0 && keys_stand(t, vended))
        return 0;
    struct store *own = NULL;
    if (lake->store_for && (vended || !key)) {
        own = lake->store_for(lake->store_for_ctx, location, config, e);
        if (!own)
            return -1;
    } else if (!key) {
        return err_set(e, ERR_INVALID, "it lies at %s, outside the lake %s", location,
                       lake->store ? lake->store->root_uri : "");
    }
    char *placed = mem_strdup(location);
    if (t->own_store)
        store_close(t->store);
    json_decref(t->config);
    free(t->placed);
    free(t->dir);
    t->store = own ? own : lake->store;
    t->own_store = own != NULL;
    t->config = json_incref(vended);
    t->config_since_ms = clock_boot_ms(lake->clock);
    t->placed = placed;
    t->dir = mem_strdup(own ? "" : key);
    return 0;
}

char *table_key(const struct table *t, const char *setting, const char *folder, const char *file)
{
    const char *set = setting ? table_property(t, setting) : NULL;
    const char *key = set ? store_key_of(t->store, set) : NULL;
    if (key)
        return mem_printf("%s%s%s", key, key[strlen(key) - 1] == '/' ? "" : "/", file);
    return mem_printf("%s%s%s/%s", t->dir, *t->dir ? "/" : "", folder, file);
}

struct store *table_store(const struct table *t)
{
    return t->store;
}

/* ---- loading ---- */

/* Whether we can make this field's values: those that table.h names. */
static bool field_writable(const struct table *t, const struct partition_field *p)
{
    static const char *const times[] = {"year", "month", "day", "hour"};
    const struct field *f = schema_find_id(&t->schema, p->source_id);
    if (!f)
        return false;
    if (strcmp(p->transform, "identity") == 0)
        return f->kind == TYPE_STRING;
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++)
        if (strcmp(p->transform, times[i]) == 0)
            return f->kind == TYPE_TIMESTAMPTZ || f->kind == TYPE_TIMESTAMP || f->kind == TYPE_DATE;
    return false;
}

static int read_spec(struct table *t, struct err *e)
{
    struct table_fields *s = &t->spec;
    s->spec_id = (int32_t)table_json_number(table_meta(t), "default-spec-id");
    const json_t *spec =
        table_json_by_id(json_object_get(table_meta(t), "partition-specs"), "spec-id", s->spec_id);
    json_t *fields = json_object_get(spec, "fields");
    size_t n = json_array_size(fields);
    json_decref(s->json);
    s->json = json_incref(fields);
    s->n = 0;
    s->writable = true;
    if (!json_is_array(fields) || n > TABLE_FIELDS_MAX)
        return err_set(e, ERR_INVALID, "its partition spec cannot be used");
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_array_get(fields, i);
        const char *name = table_json_text(f, "name"), *transform = table_json_text(f, "transform");
        struct partition_field *p = &t->partition[i];
        if (!name || !transform)
            return err_set(e, ERR_INVALID, "its partition spec has a field without a name");
        p->source_id = (int32_t)table_json_number(f, "source-id");
        snprintf(p->name, sizeof p->name, "%s", name);
        snprintf(p->transform, sizeof p->transform, "%s", transform);
        s->writable &= field_writable(t, p);
        s->fields[s->n++] = (struct iceberg_field){name, (int32_t)table_json_number(f, "field-id"),
                                                   strcmp(transform, "identity") == 0,
                                                   strcmp(transform, "day") == 0};
    }
    return 0;
}

static int read_base(struct table *t, struct err *e)
{
    const char *uuid = table_json_text(table_meta(t), "table-uuid");
    if (table_json_number(table_meta(t), "format-version") != 2)
        return err_set(e, ERR_INVALID,
                       "it is of Iceberg format version %lld; inlet writes version 2",
                       (long long)table_json_number(table_meta(t), "format-version"));
    const json_t *schema = table_json_by_id(json_object_get(table_meta(t), "schemas"), "schema-id",
                                            table_json_number(table_meta(t), "current-schema-id"));
    if (!schema || !uuid)
        return err_set(e, ERR_INVALID, "its metadata has no %s",
                       schema ? "table-uuid" : "current schema");
    if (iceberg_schema_read(&t->schema, schema, e) || read_spec(t, e))
        return -1;
    /* Ids mean other columns there: nothing that was made for the old one may go into it. */
    if (*t->uuid && strcmp(t->uuid, uuid) != 0)
        return err_set(e, ERR_FENCED, "it was dropped and made anew by somebody");
    snprintf(t->uuid, sizeof t->uuid, "%s", uuid);
    t->last_column = table_json_number(table_meta(t), "last-column-id");
    return 0;
}

int table_take_base(struct table *t, json_t *meta, char *location, json_t *config, struct err *e)
{
    const char *lies = table_json_text(meta, "location");
    table_drop_base(t);
    free(t->location);
    t->meta = meta;
    t->properties = json_incref(json_object_get(meta, "properties"));
    t->current = json_incref(current_snapshot(meta));
    t->location = location;
    t->broken = true;
    schema_fini(&t->schema);
    schema_init(&t->schema);
    if (!lies)
        return err_set(e, ERR_INVALID, "its metadata has no location");
    if (place(t, lies, config, e) || read_base(t, e))
        return -1;
    t->broken = false;
    return 0;
}

static json_t *read_metadata(struct store *store, const char *location, struct err *e)
{
    struct buf text = {0};
    json_error_t why;
    json_t *meta = NULL;
    const char *key = store ? store_key_of(store, location) : NULL;
    if (!key) {
        err_set(e, ERR_INVALID, "its metadata %s is outside the lake %s", location,
                store ? store->root_uri : "");
        return NULL;
    }
    if (store_get(store, key, TABLE_OBJECT_MAX, &text, e) == 0) {
        meta = json_loadb((const char *)text.p, text.n, 0, &why);
        if (!meta)
            err_set(e, ERR_INVALID,
                    "its metadata %s cannot be read (line %d: %s): put the file back, or let the "
                    "catalog's entry name the one before it",
                    location, why.line, why.text);
    } else if (e->kind == ERR_NOTFOUND) {
        err_set(e, ERR_INVALID,
                "its metadata %s is missing: put the file back, or let the catalog's entry name the "
                "one before it, or drop the entry",
                location);
    }
    buf_fini(&text);
    return meta;
}

int table_reload(struct table *t, struct err *e)
{
    struct catalog *catalog = t->lake->catalog;
    struct catalog_table now = {0};
    int rc = catalog->ops->load(catalog, t->lake->ns, t->name, &now, e);
    if (rc && t->planned && e->kind == ERR_NOTFOUND) { /* still nobody's, as planned */
        *e = (struct err){0};
        catalog_table_fini(&now);
        return 0;
    }
    t->planned &= rc != 0;
    bool same = !rc && !t->broken && t->location && now.location &&
                strcmp(now.location, t->location) == 0;
    json_t *meta = now.metadata;
    now.metadata = NULL;
    if (!rc && same && place(t, t->placed, now.config, e) == 0)
        goto done;
    if (!rc && !meta && (meta = read_metadata(t->lake->store, now.location, e)) == NULL)
        rc = -1;
    if (!rc) {
        t->own = !table_has_base(t);
        rc = table_take_base(t, json_incref(meta), now.location, now.config, e);
        now.location = NULL;
    }
done:
    json_decref(meta);
    catalog_table_fini(&now);
    return rc;
}

int table_renew(struct table *t, struct err *e)
{
    return table_expiring(t) ? table_reload(t, e) : 0;
}

int table_reopen(struct table *t, struct err *e)
{
    t->uuid[0] = '\0';
    table_draft_drop(t);
    return table_reload(t, e);
}

struct table *table_new(const struct lake *lake, const char *name)
{
    struct table *t = mem_zalloc(sizeof *t);
    t->lake = lake;
    t->name = mem_strdup(name);
    schema_init(&t->schema);
    return t;
}

struct table *table_load(const struct lake *lake, const char *name, struct err *e)
{
    struct table *t = table_new(lake, name);
    struct err none = {0};
    e = e ? e : &none;
    if (table_reload(t, e) == 0)
        return t;
    err_wrap(e, "table %s.%s", lake->ns, name);
    table_free(t);
    return NULL;
}

struct table *table_look(const struct lake *lake, const char *name, struct err *e)
{
    struct table *t = table_new(lake, name);
    if (table_reload(t, e) == 0 || t->properties)
        return t;
    table_free(t);
    return NULL;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    if (t->own_store)
        store_close(t->store);
    table_drop_base(t);
    json_decref(t->config);
    json_decref(t->spec.json);
    schema_fini(&t->schema);
    table_draft_drop(t);
    table_drop_list(t);
    free(t->placed);
    free(t->dir);
    free(t->name);
    free(t->location);
    free(t);
}

/* ---- asking ---- */

const char *table_uuid(const struct table *t)
{
    return t->uuid;
}

const char *table_location(const struct table *t)
{
    return t->placed;
}

const char *table_name(const struct table *t)
{
    return t->name;
}

const struct schema *table_schema(const struct table *t)
{
    return t->drafted ? &t->draft : &t->schema;
}

int table_schemas(const struct table *t, void (*each)(void *, const struct schema *), void *ctx,
                  struct err *e)
{
    size_t i;
    json_t *j;
    json_array_foreach(json_object_get(table_meta(t), "schemas"), i, j)
    {
        struct schema s;
        if (iceberg_schema_read(&s, j, e))
            return -1;
        each(ctx, &s);
        schema_fini(&s);
    }
    return 0;
}

struct ids_search {
    const struct schema *ours;
    struct schema_ids *ids;
    int32_t since[SCHEMA_OURS_MAX]; /* the schema that it was found in */
};

static void see_ids(void *ctx, const struct schema *s)
{
    struct ids_search *x = ctx;
    for (uint32_t i = 0; i < x->ours->root.n_children; i++) {
        const struct field *ours = &x->ours->root.children[i];
        const struct field *theirs = field_child(&s->root, ours->name);
        int32_t *id = &x->ids->of[ours->id];
        bool known = theirs && theirs->kind == ours->kind;
        if (known && *id != ours->id &&
            (theirs->id == ours->id || !*id || s->schema_id < x->since[ours->id])) {
            *id = theirs->id;
            x->since[ours->id] = s->schema_id;
        }
    }
}

int table_ids(const struct table *t, const struct schema *ours, struct schema_ids *out, struct err *e)
{
    struct ids_search x = {.ours = ours, .ids = out};
    *out = (struct schema_ids){{0}};
    invariant(schema_max_id(ours) < SCHEMA_OURS_MAX);
    return table_schemas(t, see_ids, &x, e);
}

const char *table_property(const struct table *t, const char *key)
{
    return table_json_text(table_base_properties(t), key);
}

void table_properties(const struct table *t, void (*each)(void *, const char *, const char *),
                      void *ctx)
{
    const char *key;
    json_t *value;
    json_object_foreach(table_base_properties(t), key, value)
        each(ctx, key, json_string_value(value));
}

uint32_t table_partition(const struct table *t, const struct partition_field **out)
{
    *out = t->partition;
    return t->spec.n;
}

char table_split_by(const struct table *t, int32_t spec_id, int32_t source_id)
{
    const json_t *spec = table_json_by_id(json_object_get(table_meta(t), "partition-specs"), "spec-id", spec_id), *f;
    size_t i;
    json_array_foreach(json_object_get(spec, "fields"), i, f)
    {
        const char *transform = table_json_text(f, "transform");
        if (table_json_number(f, "source-id") == source_id && transform && strcmp(transform, "identity") != 0)
            return *transform;
    }
    return 0;
}

bool table_planned(const struct table *t)
{
    return t->planned;
}

int32_t table_spec_id(const struct table *t)
{
    return t->spec.spec_id;
}
