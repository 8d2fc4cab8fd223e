/* A table's life between store and catalog. The base is kept as the JSON that was read, so that what
 * other programs put there stays. A commit writes manifest and list once and re-makes only the list and
 * the metadata when it is rebased. See table.h. */
#include "table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/avro.h"
#include "iceberg/iceberg.h"

#define METADATA_MAX ((size_t)64 << 20)
#define LIST_MAX ((size_t)64 << 20)
#define RACES_MAX 20
#define LOG_MAX 100
#define FIELDS_MAX 16

struct table {
    const struct lake *lake;
    char *name, *location;  /* location: of the metadata file */
    json_t *meta;
    struct schema schema;
    struct partition_field partition[FIELDS_MAX];
    struct iceberg_field fields[FIELDS_MAX];
    uint32_t n_partition;
    int32_t spec_id;
    const json_t *spec_fields; /* in meta */
    bool own; /* the base is the one we last loaded or committed ourselves */
};

/* ---- small helpers ---- */

static int64_t number_of(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

static const char *text_of(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static void uuid4(const struct lake *lake, char out[37])
{
    uint8_t b[16];
    lake->random(lake->random_ctx, b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        at += snprintf(out + at, 3, "%02x", b[i]);
    }
}

static json_t *by_id(const json_t *list, const char *key, int64_t id)
{
    size_t i;
    json_t *j;
    json_array_foreach((json_t *)(uintptr_t)list, i, j)
        if (number_of(j, key) == id)
            return j;
    return NULL;
}

static json_t *current_snapshot(const json_t *meta)
{
    const json_t *id = json_object_get(meta, "current-snapshot-id");
    return json_is_integer(id) ? by_id(json_object_get(meta, "snapshots"), "snapshot-id", json_integer_value(id)) : NULL;
}

/* ---- loading ---- */

static int read_spec(struct table *t, struct err *e)
{
    t->spec_id = (int32_t)number_of(t->meta, "default-spec-id");
    const json_t *spec = by_id(json_object_get(t->meta, "partition-specs"), "spec-id", t->spec_id);
    t->spec_fields = json_object_get(spec, "fields");
    size_t n = json_array_size(t->spec_fields);
    if (!spec || n > FIELDS_MAX)
        return err_set(e, ERR_INVALID, "its partition spec cannot be used");
    t->n_partition = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_array_get(t->spec_fields, i);
        const char *name = text_of(f, "name"), *transform = text_of(f, "transform");
        if (!name || !transform)
            return err_set(e, ERR_INVALID, "its partition spec has a field without a name");
        struct partition_field *p = &t->partition[i];
        p->source_id = (int32_t)number_of(f, "source-id");
        snprintf(p->name, sizeof p->name, "%s", name);
        snprintf(p->transform, sizeof p->transform, "%s", transform);
        t->fields[i] = (struct iceberg_field){name, (int32_t)number_of(f, "field-id"), strcmp(transform, "identity") == 0,
                                              strcmp(transform, "day") == 0};
    }
    return 0;
}

/* Takes `meta` as the base. */
static int take_base(struct table *t, json_t *meta, char *location, struct err *e)
{
    json_decref(t->meta);
    free(t->location);
    t->meta = meta;
    t->location = location;
    schema_fini(&t->schema);
    if (number_of(meta, "format-version") != 2)
        return err_set(e, ERR_INVALID, "it is of Iceberg format version %lld; inlet writes version 2",
                       (long long)number_of(meta, "format-version"));
    const json_t *schema = by_id(json_object_get(meta, "schemas"), "schema-id", number_of(meta, "current-schema-id"));
    if (!schema)
        return err_set(e, ERR_INVALID, "its metadata has no current schema");
    return iceberg_schema_read(&t->schema, schema, e) || read_spec(t, e) ? -1 : 0;
}

static json_t *read_metadata(const struct lake *lake, const char *location, struct err *e)
{
    struct buf text = {0};
    json_error_t why;
    json_t *meta = NULL;
    const char *key = store_key_of(lake->store, location);
    if (!key) {
        err_set(e, ERR_INVALID, "its metadata %s is outside the lake %s", location, lake->store->root_uri);
        return NULL;
    }
    if (store_get(lake->store, key, METADATA_MAX, &text, e) == 0) {
        meta = json_loadb((const char *)text.p, text.n, 0, &why);
        if (!meta)
            err_set(e, ERR_INVALID, "%s: line %d: %s", location, why.line, why.text);
    }
    buf_fini(&text);
    return meta;
}

int table_reload(struct table *t, struct err *e)
{
    char *location = NULL;
    if (t->lake->catalog->ops->load(t->lake->catalog, t->lake->ns, t->name, &location, e))
        return -1;
    if (t->location && strcmp(location, t->location) == 0) {
        free(location);
        return 0;
    }
    json_t *meta = read_metadata(t->lake, location, e);
    if (!meta) {
        free(location);
        return -1;
    }
    t->own = t->meta == NULL;
    return take_base(t, meta, location, e);
}

static struct table *table_new(const struct lake *lake, const char *name)
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
    if (table_reload(t, e) == 0)
        return t;
    err_wrap(e, "table %s.%s", lake->ns, name);
    table_free(t);
    return NULL;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    json_decref(t->meta);
    schema_fini(&t->schema);
    free(t->name);
    free(t->location);
    free(t);
}

/* ---- writing metadata ---- */

/* Puts `meta` beside the base, under the next number; the location is the caller's. */
static char *put_metadata(struct table *t, const json_t *meta, struct err *e)
{
    char id[37];
    const char *file = t->location ? strrchr(t->location, '/') : NULL;
    long version = file ? strtol(file + 1, NULL, 10) + 1 : 0;
    uuid4(t->lake, id);
    char *key = mem_printf("%s/%s/metadata/%05ld-%s.metadata.json", t->lake->ns, t->name, version, id);
    char *text = json_dumps(meta, JSON_COMPACT), *location = NULL;
    if (store_put(t->lake->store, key, text, strlen(text), e) == 0)
        location = store_uri(t->lake->store, key);
    free(text);
    free(key);
    return location;
}

static void remove_metadata(struct table *t, const char *location)
{
    const char *key = store_key_of(t->lake->store, location);
    if (key)
        t->lake->store->ops->remove(t->lake->store, key, NULL);
}

/* The next metadata: a copy of the base with the time moved on and the base in its log. What falls out
 * of the log is told, to be removed after the commit. */
static json_t *next_metadata(struct table *t, json_t **dropped)
{
    json_t *meta = json_deep_copy(t->meta), *log = json_object_get(meta, "metadata-log"), *entry = json_object();
    int64_t now = clock_wall_ms(t->lake->clock), before = number_of(meta, "last-updated-ms");
    if (!log) {
        log = json_array();
        json_object_set_new(meta, "metadata-log", log);
    }
    json_object_set_new(entry, "metadata-file", json_string(t->location));
    json_object_set_new(entry, "timestamp-ms", json_integer(before));
    json_array_append_new(log, entry);
    *dropped = json_array();
    while (json_array_size(log) > LOG_MAX) {
        json_array_append(*dropped, json_object_get(json_array_get(log, 0), "metadata-file"));
        json_array_remove(log, 0);
    }
    json_object_set_new(meta, "last-updated-ms", json_integer(now > before ? now : before + 1));
    return meta;
}

/* Offers `meta` in place of the base. On success it is the base. */
static int offer(struct table *t, json_t *meta, json_t *dropped, struct append_attempt *attempt, struct err *e)
{
    char *location = put_metadata(t, meta, e);
    int rc = -1;
    if (!location) {
        json_decref(meta);
        goto done;
    }
    if (attempt) {
        free(attempt->metadata_location);
        attempt->metadata_location = mem_strdup(location);
        attempt->offered = true;
    }
    rc = t->lake->catalog->ops->swap(t->lake->catalog, t->lake->ns, t->name, t->location, location, e);
    if (rc) {
        if (!e || e->kind == ERR_CONFLICT || e->kind == ERR_RETRY)
            remove_metadata(t, location);
        free(location);
        json_decref(meta);
        goto done;
    }
    t->own = true;
    rc = take_base(t, meta, location, e);
    const char *cleans = table_property(t, "write.metadata.delete-after-commit.enabled");
    for (size_t i = 0; cleans && strcmp(cleans, "true") == 0 && i < json_array_size(dropped); i++)
        remove_metadata(t, json_string_value(json_array_get(dropped, i)));
done:
    json_decref(dropped);
    return rc;
}

/* ---- creating ---- */

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

static json_t *first_metadata(struct table *t, const struct table_spec *spec)
{
    char id[37];
    json_t *m = json_object(), *s = json_object(), *o = json_object(), *p = json_object();
    char *key = mem_printf("%s/%s", t->lake->ns, t->name), *location = store_uri(t->lake->store, key);
    uuid4(t->lake, id);
    json_object_set_new(m, "format-version", json_integer(2));
    json_object_set_new(m, "table-uuid", json_string(id));
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
    free(key);
    return m;
}

struct table *table_create(const struct lake *lake, const char *name, const struct table_spec *spec, struct err *e)
{
    struct table *t = table_load(lake, name, e);
    if (t || e->kind != ERR_NOTFOUND)
        return t;
    t = table_new(lake, name);
    json_t *meta = first_metadata(t, spec);
    char *location = put_metadata(t, meta, e);
    int rc = location ? lake->catalog->ops->create(lake->catalog, lake->ns, name, location, e) : -1;
    if (!rc) {
        t->own = true;
        rc = take_base(t, meta, location, e);
        if (!rc)
            return t;
    } else {
        json_decref(meta);
        free(location);
    }
    table_free(t);
    if (e->kind == ERR_CONFLICT || e->kind == ERR_UNKNOWN) /* somebody, perhaps we, was first */
        return table_load(lake, name, e);
    return NULL;
}

/* ---- asking ---- */

const char *table_name(const struct table *t)
{
    return t->name;
}

const struct schema *table_schema(const struct table *t)
{
    return &t->schema;
}

const char *table_property(const struct table *t, const char *key)
{
    return text_of(json_object_get(t->meta, "properties"), key);
}

void table_properties(const struct table *t, void (*each)(void *, const char *, const char *), void *ctx)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(t->meta, "properties"), key, value)
        each(ctx, key, json_string_value(value));
}

uint32_t table_partition(const struct table *t, const struct partition_field **out)
{
    *out = t->partition;
    return t->n_partition;
}

/* ---- evolving ---- */

static void add_schema(json_t *meta, struct schema *next)
{
    json_t *schemas = json_object_get(meta, "schemas");
    int64_t id = -1, last = number_of(meta, "last-column-id");
    size_t i;
    json_t *j;
    json_array_foreach(schemas, i, j)
        if (number_of(j, "schema-id") > id)
            id = number_of(j, "schema-id");
    next->schema_id = (int32_t)(id + 1);
    json_array_append_new(schemas, iceberg_schema_json(next));
    json_object_set_new(meta, "current-schema-id", json_integer(next->schema_id));
    if (schema_max_id(next) > last)
        json_object_set_new(meta, "last-column-id", json_integer(schema_max_id(next)));
}

static void pause_before_retry(struct table *t, int race)
{
    uint8_t r;
    t->lake->random(t->lake->random_ctx, &r, 1);
    t->lake->clock->sleep_ms(t->lake->clock->ctx, (5 << (race < 7 ? race : 7)) + r % 16);
}

int table_evolve(struct table *t, table_propose_fn *propose, void *ctx, struct err *e)
{
    for (int race = 0; race < RACES_MAX; race++) {
        struct schema next;
        json_t *dropped;
        int rc = propose(ctx, &t->schema, (int32_t)number_of(t->meta, "last-column-id"), &next, e);
        if (rc <= 0)
            return rc;
        json_t *meta = next_metadata(t, &dropped);
        add_schema(meta, &next);
        schema_fini(&next);
        if (offer(t, meta, dropped, NULL, e) == 0)
            return 0;
        if (e->kind != ERR_CONFLICT && e->kind != ERR_UNKNOWN)
            return -1;
        pause_before_retry(t, race);
        if (table_reload(t, e))
            return -1;
    }
    return err_set(e, ERR_CONFLICT, "table %s: lost %d races to change its schema", t->name, RACES_MAX);
}

/* ---- appending ---- */

char *table_data_key(const struct table *t, const struct partition_value *values, uint32_t n)
{
    struct buf key = {0};
    char id[37];
    uuid4(t->lake, id);
    buf_printf(&key, "%s/%s/data/", t->lake->ns, t->name);
    for (uint32_t i = 0; i < t->n_partition; i++) {
        buf_printf(&key, "%s=", t->partition[i].name);
        if (values[i].is_null)
            buf_puts(&key, "null");
        else if (!t->fields[i].is_text)
            buf_printf(&key, "%d", values[i].number);
        for (size_t k = 0; k < values[i].text.n && k < 64; k++) {
            char c = values[i].text.p[k];
            bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
            buf_putc(&key, (uint8_t)(safe ? c : '_'));
        }
        buf_putc(&key, '/');
    }
    buf_printf(&key, "%05u-0-%s-00001.parquet", n, id);
    return buf_take(&key);
}

struct prepared { /* what does not change over rebases */
    struct iceberg_file *files;
    struct iceberg_leaf **leaves;
    struct iceberg_partition (*partitions)[FIELDS_MAX];
    char *manifest_uri;
    int64_t manifest_bytes, rows, bytes;
    uint32_t n;
};

static void prepare_file(struct table *t, struct prepared *p, const struct data_file *d)
{
    uint32_t i = p->n++;
    p->leaves[i] = mem_array(d->n_leaves, sizeof **p->leaves);
    for (uint32_t k = 0; k < d->n_leaves; k++) {
        const struct data_leaf *l = &d->leaves[k];
        p->leaves[i][k] = (struct iceberg_leaf){l->field_id, l->column_bytes, l->values, l->nulls, l->nans,
                                                l->has_bounds, l->lower, l->upper, l->lower_n, l->upper_n};
    }
    for (uint32_t k = 0; k < t->n_partition; k++)
        p->partitions[i][k] = (struct iceberg_partition){d->partition[k].is_null, t->fields[k].is_text,
                                                         d->partition[k].number, d->partition[k].text};
    p->files[i] = (struct iceberg_file){.uri = store_uri(t->lake->store, d->key),
                                        .rows = d->rows,
                                        .bytes = d->bytes,
                                        .partition = p->partitions[i],
                                        .leaves = p->leaves[i],
                                        .n_leaves = d->n_leaves,
                                        .split_offsets = d->split_offsets,
                                        .n_split_offsets = d->n_split_offsets};
    p->rows += d->rows;
    p->bytes += d->bytes;
}

static int prepare(struct table *t, const struct append *a, int64_t snapshot_id, struct prepared *p, struct err *e)
{
    uint8_t sync[16];
    char id[37];
    struct buf out = {0};
    p->files = mem_array(a->n_files, sizeof *p->files);
    p->leaves = mem_array(a->n_files, sizeof *p->leaves);
    p->partitions = mem_array(a->n_files, sizeof *p->partitions);
    for (uint32_t i = 0; i < a->n_files; i++)
        prepare_file(t, p, &a->files[i]);
    if (!a->n_files)
        return 0;
    t->lake->random(t->lake->random_ctx, sync, sizeof sync);
    uuid4(t->lake, id);
    const json_t *schema = by_id(json_object_get(t->meta, "schemas"), "schema-id", t->schema.schema_id);
    iceberg_manifest(&out, schema, t->spec_fields, t->spec_id, t->fields, t->n_partition, snapshot_id, p->files, p->n, sync);
    char *key = mem_printf("%s/%s/metadata/%s-m0.avro", t->lake->ns, t->name, id);
    int rc = store_put(t->lake->store, key, out.p, out.n, e);
    p->manifest_uri = store_uri(t->lake->store, key);
    p->manifest_bytes = (int64_t)out.n;
    free(key);
    buf_fini(&out);
    return rc;
}

static void prepared_fini(struct prepared *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        free(p->leaves[i]);
        free((char *)(uintptr_t)p->files[i].uri);
    }
    free(p->files);
    free(p->leaves);
    free(p->partitions);
    free(p->manifest_uri);
}

/* The list: our manifest first, then the parent's, as they are. */
static char *put_list(struct table *t, const struct prepared *p, int64_t snapshot_id, int64_t sequence, int attempt, struct err *e)
{
    uint8_t sync[16];
    char id[37], ids[3][32];
    struct buf out = {0}, body = {0}, parent = {0};
    int64_t records = 0;
    char *uri = NULL, *key = NULL;
    const json_t *base = current_snapshot(t->meta);
    t->lake->random(t->lake->random_ctx, sync, sizeof sync);
    uuid4(t->lake, id);
    snprintf(ids[0], 32, "%lld", (long long)snapshot_id);
    snprintf(ids[1], 32, "%lld", (long long)number_of(base, "snapshot-id"));
    snprintf(ids[2], 32, "%lld", (long long)sequence);
    const char *const pairs[] = {"snapshot-id", ids[0], "parent-snapshot-id", base ? ids[1] : "null", "sequence-number", ids[2],
                                 "format-version", "2", NULL};
    struct iceberg_manifest_entry entry = {p->manifest_uri, p->manifest_bytes, sequence, snapshot_id, p->rows, t->spec_id,
                                           (int32_t)p->n, t->fields, t->n_partition, p->files};
    avro_header(&out, iceberg_list_schema(), pairs, sync);
    iceberg_list_entry(&body, &entry);
    avro_block(&out, 1, &body, sync);
    if (base) {
        const char *at = store_key_of(t->lake->store, text_of(base, "manifest-list"));
        if (!at || store_get(t->lake->store, at, LIST_MAX, &parent, e) ||
            avro_copy_blocks(&out, parent.p, parent.n, iceberg_list_schema(), sync, &records, e))
            goto done;
    }
    key = mem_printf("%s/%s/metadata/snap-%lld-%d-%s.avro", t->lake->ns, t->name, (long long)snapshot_id, attempt, id);
    if (store_put(t->lake->store, key, out.p, out.n, e) == 0)
        uri = store_uri(t->lake->store, key);
done:
    free(key);
    buf_fini(&out);
    buf_fini(&body);
    buf_fini(&parent);
    return uri;
}

static void sum_up(json_t *summary, const json_t *parent, const char *total, const char *added, int64_t delta)
{
    char text[32];
    const char *before = text_of(parent, total);
    snprintf(text, sizeof text, "%lld", (before ? atoll(before) : 0) + (long long)delta);
    json_object_set_new(summary, total, json_string(text));
    snprintf(text, sizeof text, "%lld", (long long)delta);
    if (added)
        json_object_set_new(summary, added, json_string(text));
}

static json_t *summary_json(struct table *t, const struct append *a, const struct prepared *p)
{
    json_t *s = json_object();
    const json_t *parent = json_object_get(current_snapshot(t->meta), "summary");
    json_object_set_new(s, "operation", json_string("append"));
    sum_up(s, parent, "total-data-files", "added-data-files", p->n);
    sum_up(s, parent, "total-records", "added-records", p->rows);
    sum_up(s, parent, "total-files-size", "added-files-size", p->bytes);
    sum_up(s, parent, "total-delete-files", NULL, 0);
    sum_up(s, parent, "total-position-deletes", NULL, 0);
    sum_up(s, parent, "total-equality-deletes", NULL, 0);
    sum_up(s, NULL, "changed-partition-count", NULL, p->n);
    json_object_set_new(s, "manifests-created", json_string("1"));
    json_object_set_new(s, "engine-name", json_string("inlet"));
    json_object_set_new(s, "engine-version", json_string(t->lake->engine_version));
    for (size_t i = 0; a->summary && a->summary[i]; i += 2)
        json_object_set_new(s, a->summary[i], json_string(a->summary[i + 1]));
    return s;
}

/* Old snapshots leave the metadata; their files are left to maintenance. */
static void trim_snapshots(struct table *t, json_t *meta, int64_t now)
{
    json_t *snapshots = json_object_get(meta, "snapshots"), *log = json_object_get(meta, "snapshot-log");
    int64_t current = number_of(meta, "current-snapshot-id");
    while (json_array_size(snapshots) > 1) {
        json_t *oldest = json_array_get(snapshots, 0);
        int64_t id = number_of(oldest, "snapshot-id");
        bool old = now - number_of(oldest, "timestamp-ms") > t->lake->snapshot_age_ms;
        if (id == current || (!old && json_array_size(snapshots) <= t->lake->snapshots_max))
            break;
        size_t last = json_array_size(log);
        while (last > 0 && number_of(json_array_get(log, last - 1), "snapshot-id") != id)
            last--;
        for (; last > 0; last--) /* an expired id takes all before it along */
            json_array_remove(log, 0);
        json_array_remove(snapshots, 0);
    }
}

static void add_snapshot(struct table *t, json_t *meta, const struct append *a, const struct prepared *p,
                         int64_t snapshot_id, const char *list)
{
    json_t *s = json_object(), *ref = json_object(), *log = json_object(), *refs = json_object_get(meta, "refs");
    const json_t *parent = current_snapshot(t->meta);
    int64_t now = number_of(meta, "last-updated-ms"), sequence = number_of(meta, "last-sequence-number") + 1;
    json_object_set_new(s, "snapshot-id", json_integer(snapshot_id));
    if (parent)
        json_object_set_new(s, "parent-snapshot-id", json_integer(number_of(parent, "snapshot-id")));
    json_object_set_new(s, "sequence-number", json_integer(sequence));
    json_object_set_new(s, "timestamp-ms", json_integer(now));
    json_object_set_new(s, "manifest-list", json_string(list));
    json_object_set_new(s, "summary", summary_json(t, a, p));
    json_object_set_new(s, "schema-id", json_integer(number_of(meta, "current-schema-id")));
    if (!json_object_get(meta, "snapshots"))
        json_object_set_new(meta, "snapshots", json_array());
    json_array_append_new(json_object_get(meta, "snapshots"), s);
    json_object_set_new(meta, "last-sequence-number", json_integer(sequence));
    json_object_set_new(meta, "current-snapshot-id", json_integer(snapshot_id));
    json_object_set_new(ref, "snapshot-id", json_integer(snapshot_id));
    json_object_set_new(ref, "type", json_string("branch"));
    if (!refs) {
        refs = json_object();
        json_object_set_new(meta, "refs", refs);
    }
    json_object_set_new(refs, "main", ref);
    json_object_set_new(log, "snapshot-id", json_integer(snapshot_id));
    json_object_set_new(log, "timestamp-ms", json_integer(now));
    if (!json_object_get(meta, "snapshot-log"))
        json_object_set_new(meta, "snapshot-log", json_array());
    json_array_append_new(json_object_get(meta, "snapshot-log"), log);
    trim_snapshots(t, meta, now);
}

static int append_once(struct table *t, const struct append *a, const struct prepared *p, struct append_attempt *attempt,
                       int race, struct err *e)
{
    json_t *dropped;
    if (a->validate && a->validate(a->validate_ctx, t, !t->own, e))
        return -1;
    char *list = p->n ? put_list(t, p, attempt->snapshot_id, number_of(t->meta, "last-sequence-number") + 1, race, e) : NULL;
    if (p->n && !list)
        return -1;
    json_t *meta = next_metadata(t, &dropped);
    if (p->n)
        add_snapshot(t, meta, a, p, attempt->snapshot_id, list);
    json_t *properties = json_object_get(meta, "properties");
    for (size_t i = 0; a->set_properties && a->set_properties[i]; i += 2)
        json_object_set_new(properties, a->set_properties[i], json_string(a->set_properties[i + 1]));
    for (size_t i = 0; a->remove_properties && a->remove_properties[i]; i++)
        json_object_del(properties, a->remove_properties[i]);
    free(list);
    return offer(t, meta, dropped, attempt, e);
}

int table_append(struct table *t, const struct append *a, struct append_attempt *attempt, struct err *e)
{
    struct prepared p = {0};
    t->lake->random(t->lake->random_ctx, &attempt->snapshot_id, sizeof attempt->snapshot_id);
    attempt->snapshot_id &= INT64_MAX >> 1;
    int rc = table_reload(t, e) || prepare(t, a, attempt->snapshot_id, &p, e) ? -1 : 0;
    for (int race = 0; !rc; race++) {
        rc = append_once(t, a, &p, attempt, race, e);
        if (!rc || e->kind != ERR_CONFLICT || race == RACES_MAX)
            break;
        pause_before_retry(t, race);
        rc = table_reload(t, e);
    }
    prepared_fini(&p);
    return rc;
}

int table_settle(struct table *t, const struct append_attempt *attempt, enum settled *out, struct err *e)
{
    char *before = mem_strdup(t->location);
    int rc = table_reload(t, e);
    *out = SETTLED_UNKNOWN;
    if (!rc) {
        size_t i;
        json_t *j;
        bool there = by_id(json_object_get(t->meta, "snapshots"), "snapshot-id", attempt->snapshot_id) != NULL ||
                     strcmp(t->location, attempt->metadata_location) == 0;
        json_array_foreach(json_object_get(t->meta, "metadata-log"), i, j)
            there |= strcmp(text_of(j, "metadata-file"), attempt->metadata_location) == 0;
        if (there)
            *out = SETTLED_COMMITTED;
        else if (strcmp(before, t->location) != 0)
            *out = SETTLED_NOT;
    }
    free(before);
    return rc;
}

/* ---- looking ---- */

int table_facts(struct table *t, struct table_facts *out, struct err *e)
{
    const json_t *s = current_snapshot(t->meta), *summary = json_object_get(s, "summary");
    const char *rows = text_of(summary, "total-records"), *files = text_of(summary, "total-data-files"),
               *bytes = text_of(summary, "total-files-size");
    const char *key = store_key_of(t->lake->store, t->location);
    *out = (struct table_facts){.rows = rows ? atoll(rows) : 0,
                                .files = files ? atoll(files) : 0,
                                .bytes = bytes ? atoll(bytes) : 0,
                                .snapshots = (int64_t)json_array_size(json_object_get(t->meta, "snapshots")),
                                .newest_event_us = INT64_MIN,
                                .last_commit_ms = number_of(s, "timestamp-ms")};
    return key ? t->lake->store->ops->size(t->lake->store, key, &out->metadata_bytes, e) : 0;
}

struct look {
    struct table *t;
    int32_t field_id;
    table_file_fn *each;
    void *ctx;
    struct err *err;
    int64_t sequence;
    bool failed, stopped;
};

static bool seen_file(void *ctx, const struct iceberg_seen *f)
{
    struct look *l = ctx;
    char *uri = mem_strndup(f->uri.p, f->uri.n);
    struct table_file out = {store_key_of(l->t->lake->store, uri), uri, f->rows, f->bytes, l->sequence, f->has_bounds, f->lower, f->upper};
    bool more = l->each(l->ctx, &out);
    free(uri);
    l->stopped |= !more;
    return more;
}

static bool seen_manifest(void *ctx, struct str uri, int64_t sequence)
{
    struct look *l = ctx;
    char *at = mem_strndup(uri.p, uri.n);
    const char *key = store_key_of(l->t->lake->store, at);
    struct buf bytes = {0};
    l->sequence = sequence;
    if (!key || store_get(l->t->lake->store, key, LIST_MAX, &bytes, l->err))
        l->failed = true;
    else if (iceberg_manifest_read(bytes.p, bytes.n, l->t->fields, l->t->n_partition, l->field_id, seen_file, l)) {
        err_set(l->err, ERR_INVALID, "manifest %s was written by another program", at);
        l->failed = true;
    }
    buf_fini(&bytes);
    free(at);
    return !l->failed && !l->stopped;
}

int table_files(struct table *t, int32_t bounds_field_id, table_file_fn *each, void *ctx, struct err *e)
{
    struct look l = {.t = t, .field_id = bounds_field_id, .each = each, .ctx = ctx, .err = e};
    const json_t *s = current_snapshot(t->meta);
    struct buf list = {0};
    if (!s)
        return 0;
    const char *key = store_key_of(t->lake->store, text_of(s, "manifest-list"));
    int rc = key ? store_get(t->lake->store, key, LIST_MAX, &list, e) : err_set(e, ERR_INVALID, "its manifest list is outside the lake");
    if (!rc && iceberg_list_read(list.p, list.n, seen_manifest, &l))
        rc = err_set(e, ERR_INVALID, "its manifest list was written by another program");
    buf_fini(&list);
    return rc || l.failed ? -1 : 0;
}

struct names {
    char **list;
    size_t n;
};

static void add_name(void *ctx, const char *name)
{
    struct names *x = ctx;
    x->list = mem_regrow(x->list, x->n + 1, sizeof *x->list);
    x->list[x->n++] = mem_strdup(name);
}

int lake_tables(const struct lake *lake, char ***names, size_t *n, struct err *e)
{
    struct names x = {0};
    int rc = lake->catalog->ops->list(lake->catalog, lake->ns, add_name, &x, e);
    *names = x.list;
    *n = x.n;
    return rc;
}
