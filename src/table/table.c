/* A table's life between store and catalog. The base is kept as the JSON that was read, so that
 * what other programs put there stays. A commit writes manifest and list once and re-makes only the
 * list and the metadata when it is rebased. See table.h. */
#include "table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "codec/civil.h"
#include "table/table_int.h"

#define RACES_MAX 20
#define LOG_MAX 100

/* ---- small helpers ---- */

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

json_t *table_current_snapshot(const json_t *meta)
{
    const json_t *id = json_object_get(meta, "current-snapshot-id");
    return json_is_integer(id) ? table_json_by_id(json_object_get(meta, "snapshots"), "snapshot-id",
                                                  json_integer_value(id))
                               : NULL;
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
    s->spec_id = (int32_t)table_json_number(t->meta, "default-spec-id");
    const json_t *spec =
        table_json_by_id(json_object_get(t->meta, "partition-specs"), "spec-id", s->spec_id);
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

/* Takes `meta` as the base. */
static int take_base(struct table *t, json_t *meta, char *location, struct err *e)
{
    json_decref(t->meta);
    free(t->location);
    t->meta = meta;
    t->location = location;
    t->broken = true;
    schema_fini(&t->schema);
    if (table_json_number(meta, "format-version") != 2)
        return err_set(e, ERR_INVALID,
                       "it is of Iceberg format version %lld; inlet writes version 2",
                       (long long)table_json_number(meta, "format-version"));
    const json_t *schema = table_json_by_id(json_object_get(meta, "schemas"), "schema-id",
                                            table_json_number(meta, "current-schema-id"));
    if (!schema)
        return err_set(e, ERR_INVALID, "its metadata has no current schema");
    if (iceberg_schema_read(&t->schema, schema, e) || read_spec(t, e))
        return -1;
    t->broken = false;
    return 0;
}

static json_t *read_metadata(const struct lake *lake, const char *location, struct err *e)
{
    struct buf text = {0};
    json_error_t why;
    json_t *meta = NULL;
    const char *key = store_key_of(lake->store, location);
    if (!key) {
        err_set(e, ERR_INVALID, "its metadata %s is outside the lake %s", location,
                lake->store->root_uri);
        return NULL;
    }
    if (store_get(lake->store, key, TABLE_OBJECT_MAX, &text, e) == 0) {
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
    if (!t->broken && t->location && strcmp(location, t->location) == 0) {
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
    json_decref(t->spec.json);
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
    table_uuid4(t->lake, id);
    char *key =
        mem_printf("%s/%s/metadata/%05ld-%s.metadata.json", t->lake->ns, t->name, version, id);
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

/* The next metadata: a copy of the base with the time moved on and the base in its log. What falls
 * out of the log is told, to be removed after the commit. */
static json_t *next_metadata(struct table *t, json_t **dropped)
{
    json_t *meta = json_deep_copy(t->meta), *log = json_object_get(meta, "metadata-log"),
           *entry = json_object();
    int64_t now = clock_wall_ms(t->lake->clock),
            before = table_json_number(meta, "last-updated-ms");
    if (!json_is_array(log)) {
        log = json_array();
        json_object_set_new(meta, "metadata-log", log);
    }
    if (!json_is_object(json_object_get(meta, "properties")))
        json_object_set_new(meta, "properties", json_object());
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
static int offer(struct table *t, json_t *meta, json_t *dropped, struct append_attempt *attempt,
                 struct err *e)
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
    rc = t->lake->catalog->ops->swap(t->lake->catalog, t->lake->ns, t->name, t->location, location,
                                     e);
    if (rc) {
        if (!e || e->kind == ERR_CONFLICT || e->kind == ERR_RETRY)
            remove_metadata(t, location);
        free(location);
        json_decref(meta);
        goto done;
    }
    if (attempt) /* an evolve does not make a base ours that an append has not looked at */
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
    char *key = mem_printf("%s/%s", t->lake->ns, t->name),
         *location = store_uri(t->lake->store, key);
    table_uuid4(t->lake, id);
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

struct table *table_create(const struct lake *lake, const char *name, const struct table_spec *spec,
                           struct err *e)
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
        if (location && e->kind == ERR_CONFLICT)
            remove_metadata(t, location);
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

int table_schemas(const struct table *t, void (*each)(void *, const struct schema *), void *ctx,
                  struct err *e)
{
    size_t i;
    json_t *j;
    json_array_foreach(json_object_get(t->meta, "schemas"), i, j)
    {
        struct schema s;
        if (iceberg_schema_read(&s, j, e))
            return -1;
        each(ctx, &s);
        schema_fini(&s);
    }
    return 0;
}

const char *table_property(const struct table *t, const char *key)
{
    return table_json_text(json_object_get(t->meta, "properties"), key);
}

void table_properties(const struct table *t, void (*each)(void *, const char *, const char *),
                      void *ctx)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(t->meta, "properties"), key, value)
        each(ctx, key, json_string_value(value));
}

uint32_t table_partition(const struct table *t, const struct partition_field **out)
{
    *out = t->partition;
    return t->spec.n;
}

/* ---- evolving ---- */

static void add_schema(json_t *meta, struct schema *next)
{
    json_t *schemas = json_object_get(meta, "schemas");
    int64_t id = -1, last = table_json_number(meta, "last-column-id");
    size_t i;
    json_t *j;
    json_array_foreach(schemas, i, j) if (table_json_number(j, "schema-id") > id) id =
        table_json_number(j, "schema-id");
    next->schema_id = (int32_t)(id + 1);
    json_t *made = iceberg_schema_json(next),
           *before =
               table_json_by_id(schemas, "schema-id", table_json_number(meta, "current-schema-id"));
    if (json_object_get(before, "identifier-field-ids"))
        json_object_set(made, "identifier-field-ids",
                        json_object_get(before, "identifier-field-ids"));
    json_array_append_new(schemas, made);
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
        int rc = propose(ctx, &t->schema, (int32_t)table_json_number(t->meta, "last-column-id"),
                         &next, e);
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
    return err_set(e, ERR_CONFLICT, "table %s: lost %d races to change its schema", t->name,
                   RACES_MAX);
}

/* ---- appending ---- */

static void put_safe(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n && i < 64; i++) {
        char c = s.p[i];
        bool safe =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        buf_putc(out, (uint8_t)(safe ? c : '_'));
    }
}

/* As Iceberg's own writers name folders: 2026, 2026-11, 2026-11-22, 2026-11-22-16. */
static void put_time(struct buf *out, const char *transform, int32_t v)
{
    int64_t hour = 0, days = v;
    if (strcmp(transform, "year") == 0) {
        buf_printf(out, "%04d", 1970 + v);
        return;
    }
    if (strcmp(transform, "month") == 0) {
        int32_t month = v % 12 < 0 ? v % 12 + 12 : v % 12;
        buf_printf(out, "%04d-%02d", 1970 + (v - month) / 12, month + 1);
        return;
    }
    if (strcmp(transform, "hour") == 0) {
        hour = v % 24 < 0 ? v % 24 + 24 : v % 24;
        days = (v - hour) / 24;
    }
    struct civil c = civil_from_days(days);
    buf_printf(out, "%04d-%02d-%02d", c.year, c.month, c.day);
    if (strcmp(transform, "hour") == 0)
        buf_printf(out, "-%02d", (int)hour);
}

char *table_data_key(const struct table *t, const struct partition_value *values, uint32_t n)
{
    struct buf key = {0};
    char id[37];
    table_uuid4(t->lake, id);
    buf_printf(&key, "%s/%s/data/", t->lake->ns, t->name);
    for (uint32_t i = 0; i < t->spec.n; i++) {
        put_safe(&key, str_of(t->partition[i].name));
        buf_putc(&key, '=');
        if (values[i].is_null)
            buf_puts(&key, "null");
        else if (!t->spec.fields[i].is_text)
            put_time(&key, t->partition[i].transform, values[i].number);
        else
            put_safe(&key, values[i].text);
        buf_putc(&key, '/');
    }
    buf_printf(&key, "%05u-0-%s-00001.parquet", n, id);
    return buf_take(&key);
}

struct prepared {             /* what does not change over rebases */
    struct table_fields spec; /* as it was when the files were written */
    int32_t schema_id;
    struct iceberg_file *files;
    struct iceberg_leaf **leaves;
    struct iceberg_partition (*partitions)[TABLE_FIELDS_MAX];
    char *manifest_key, *manifest_uri;
    int64_t manifest_bytes, rows, bytes;
    uint32_t n;
    struct table_list list; /* of the last offer */
};

static void prepare_file(struct table *t, struct prepared *p, const struct data_file *d)
{
    uint32_t i = p->n++;
    p->leaves[i] = mem_array(d->n_leaves, sizeof **p->leaves);
    for (uint32_t k = 0; k < d->n_leaves; k++) {
        const struct data_leaf *l = &d->leaves[k];
        p->leaves[i][k] = (struct iceberg_leaf){l->field_id, l->column_bytes, l->values, l->nulls,
                                                l->nans,     l->has_bounds,   l->lower,  l->upper,
                                                l->lower_n,  l->upper_n};
    }
    for (uint32_t k = 0; k < p->spec.n; k++)
        p->partitions[i][k] =
            (struct iceberg_partition){d->partition[k].is_null, p->spec.fields[k].is_text,
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

/* Writes the manifest, by the spec and schema that the handle knows: those of the files. */
static int prepare(struct table *t, const struct append *a, int64_t snapshot_id, struct prepared *p,
                   struct err *e)
{
    uint8_t sync[16];
    char id[37];
    struct buf out = {0};
    if (t->broken && table_reload(t, e))
        return -1;
    p->spec = t->spec;
    p->spec.json = json_incref(t->spec.json);
    p->schema_id = t->schema.schema_id;
    if (!a->n_files)
        return 0;
    if (!p->spec.writable)
        return err_set(
            e, ERR_INVALID,
            "table %s: its partitioning has a transform that inlet cannot write; use identity of a "
            "string column, year, month, day or hour",
            t->name);
    p->files = mem_array(a->n_files, sizeof *p->files);
    p->leaves = mem_array(a->n_files, sizeof *p->leaves);
    p->partitions = mem_array(a->n_files, sizeof *p->partitions);
    for (uint32_t i = 0; i < a->n_files; i++)
        prepare_file(t, p, &a->files[i]);
    t->lake->random(t->lake->random_ctx, sync, sizeof sync);
    table_uuid4(t->lake, id);
    const json_t *schema =
        table_json_by_id(json_object_get(t->meta, "schemas"), "schema-id", p->schema_id);
    iceberg_manifest(&out, schema, p->spec.json, p->spec.spec_id, p->spec.fields, p->spec.n,
                     snapshot_id, p->files, p->n, sync);
    p->manifest_key = mem_printf("%s/%s/metadata/%s-m0.avro", t->lake->ns, t->name, id);
    int rc = store_put(t->lake->store, p->manifest_key, out.p, out.n, e);
    p->manifest_uri = store_uri(t->lake->store, p->manifest_key);
    p->manifest_bytes = (int64_t)out.n;
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
    free(p->manifest_key);
    free(p->manifest_uri);
    table_list_fini(&p->list);
    json_decref(p->spec.json);
}

/* Somebody changed the schema meanwhile: every column of the files has to be there still. */
static int columns_there(struct table *t, const struct prepared *p, struct err *e)
{
    if (p->schema_id == t->schema.schema_id)
        return 0;
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < p->files[i].n_leaves; k++)
            if (!schema_find_id(&t->schema, p->leaves[i][k].field_id))
                return err_set(e, ERR_FENCED,
                               "table %s: somebody dropped column %d, which the files have",
                               t->name, p->leaves[i][k].field_id);
    return 0;
}

static int write_list(struct table *t, struct prepared *p, int64_t snapshot_id, int race,
                      struct err *e)
{
    struct iceberg_manifest_entry own = {.uri = p->manifest_uri,
                                         .length = p->manifest_bytes,
                                         .sequence_number =
                                             table_json_number(t->meta, "last-sequence-number") + 1,
                                         .snapshot_id = snapshot_id,
                                         .rows = p->rows,
                                         .spec_id = p->spec.spec_id,
                                         .files = (int32_t)p->n,
                                         .fields = p->spec.fields,
                                         .n_fields = p->spec.n,
                                         .data = p->files};
    table_list_fini(&p->list);
    return table_list_write(t, &own, race, race == 0, &p->list, e);
}

static bool same_partition(const struct prepared *p, uint32_t a, uint32_t b)
{
    for (uint32_t k = 0; k < p->spec.n; k++) {
        const struct iceberg_partition *x = &p->partitions[a][k], *y = &p->partitions[b][k];
        if (x->is_null != y->is_null)
            return false;
        if (!x->is_null && (x->is_text ? !str_eq(x->text, y->text) : x->number != y->number))
            return false;
    }
    return true;
}

static uint32_t partitions_of(const struct prepared *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t k = 0;
        while (k < i && !same_partition(p, i, k))
            k++;
        n += k == i;
    }
    return n;
}

static void put_count(json_t *summary, const char *key, int64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    json_object_set_new(summary, key, json_string(text));
}

static void sum_up(json_t *summary, const json_t *parent, const char *total, const char *added,
                   int64_t delta)
{
    const char *before = table_json_text(parent, total);
    put_count(summary, total, (before ? strtoll(before, NULL, 10) : 0) + delta);
    if (added)
        put_count(summary, added, delta);
}

static json_t *summary_json(struct table *t, const struct append *a, const struct prepared *p)
{
    json_t *s = json_object();
    const json_t *parent = json_object_get(table_current_snapshot(t->meta), "summary");
    json_object_set_new(s, "operation", json_string("append"));
    sum_up(s, parent, "total-data-files", "added-data-files", p->n);
    sum_up(s, parent, "total-records", "added-records", p->rows);
    sum_up(s, parent, "total-files-size", "added-files-size", p->bytes);
    sum_up(s, parent, "total-delete-files", NULL, 0);
    sum_up(s, parent, "total-position-deletes", NULL, 0);
    sum_up(s, parent, "total-equality-deletes", NULL, 0);
    put_count(s, "changed-partition-count", partitions_of(p));
    put_count(s, "manifests-created", 1 + (int64_t)p->list.n_merged);
    put_count(s, "manifests-kept", p->list.kept);
    put_count(s, "manifests-replaced", p->list.replaced);
    json_object_set_new(s, "engine-name", json_string("inlet"));
    json_object_set_new(s, "engine-version", json_string(t->lake->engine_version));
    for (size_t i = 0; a->summary && a->summary[i]; i += 2)
        json_object_set_new(s, a->summary[i], json_string(a->summary[i + 1]));
    return s;
}

/* Whether a branch or a tag stands at this snapshot. */
static bool referred(json_t *meta, int64_t id)
{
    const char *name;
    json_t *ref;
    json_object_foreach(json_object_get(meta, "refs"), name,
                        ref) if (table_json_number(ref, "snapshot-id") == id) return true;
    return table_json_number(meta, "current-snapshot-id") == id;
}

static void remove_statistics(json_t *list, int64_t id)
{
    for (size_t i = json_array_size(list); i-- > 0;)
        if (table_json_number(json_array_get(list, i), "snapshot-id") == id)
            json_array_remove(list, i);
}

static void forget_snapshot(json_t *meta, size_t at)
{
    json_t *snapshots = json_object_get(meta, "snapshots"),
           *log = json_object_get(meta, "snapshot-log");
    int64_t id = table_json_number(json_array_get(snapshots, at), "snapshot-id");
    size_t last = json_array_size(log);
    while (last > 0 && table_json_number(json_array_get(log, last - 1), "snapshot-id") != id)
        last--;
    for (; last > 0; last--) /* an expired id takes all before it along */
        json_array_remove(log, 0);
    remove_statistics(json_object_get(meta, "statistics"), id);
    remove_statistics(json_object_get(meta, "partition-statistics"), id);
    json_array_remove(snapshots, at);
}

/* Old snapshots leave the metadata, but for those that a branch or tag names; their files are left
 * to maintenance. */
static void trim_snapshots(struct table *t, json_t *meta, int64_t now)
{
    json_t *snapshots = json_object_get(meta, "snapshots");
    for (size_t i = 0; i < json_array_size(snapshots);) {
        const json_t *s = json_array_get(snapshots, i);
        bool old = now - table_json_number(s, "timestamp-ms") > t->lake->snapshot_age_ms;
        if (!old && json_array_size(snapshots) <= t->lake->snapshots_max)
            break;
        if (referred(meta, table_json_number(s, "snapshot-id")))
            i++;
        else
            forget_snapshot(meta, i);
    }
}

static void add_snapshot(struct table *t, json_t *meta, const struct append *a,
                         const struct prepared *p, int64_t snapshot_id, const char *list)
{
    json_t *s = json_object(), *ref = json_object(), *log = json_object(),
           *refs = json_object_get(meta, "refs");
    const json_t *parent = table_current_snapshot(t->meta);
    int64_t now = table_json_number(meta, "last-updated-ms"),
            sequence = table_json_number(meta, "last-sequence-number") + 1;
    json_object_set_new(s, "snapshot-id", json_integer(snapshot_id));
    if (parent)
        json_object_set_new(s, "parent-snapshot-id",
                            json_integer(table_json_number(parent, "snapshot-id")));
    json_object_set_new(s, "sequence-number", json_integer(sequence));
    json_object_set_new(s, "timestamp-ms", json_integer(now));
    json_object_set_new(s, "manifest-list", json_string(list));
    json_object_set_new(s, "summary", summary_json(t, a, p));
    json_object_set_new(s, "schema-id", json_integer(table_json_number(meta, "current-schema-id")));
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

/* An offer that was refused for certain: its list is nobody's. */
static void discard_list(struct table *t, struct prepared *p, const struct err *e)
{
    if (e->kind == ERR_CONFLICT || e->kind == ERR_RETRY)
        table_list_discard(t, &p->list);
}

static int append_once(struct table *t, const struct append *a, struct prepared *p,
                       struct append_attempt *attempt, int race, struct err *e)
{
    json_t *dropped;
    if (columns_there(t, p, e) || (a->validate && a->validate(a->validate_ctx, t, !t->own, e)))
        return -1;
    if (p->n && write_list(t, p, attempt->snapshot_id, race, e))
        return -1;
    json_t *meta = next_metadata(t, &dropped);
    if (p->n)
        add_snapshot(t, meta, a, p, attempt->snapshot_id, p->list.uri);
    json_t *properties = json_object_get(meta, "properties");
    for (size_t i = 0; a->set_properties && a->set_properties[i]; i += 2)
        json_object_set_new(properties, a->set_properties[i],
                            json_string(a->set_properties[i + 1]));
    for (size_t i = 0; a->remove_properties && a->remove_properties[i]; i++)
        json_object_del(properties, a->remove_properties[i]);
    int rc = offer(t, meta, dropped, attempt, e);
    if (rc)
        discard_list(t, p, e);
    return rc;
}

int table_append(struct table *t, const struct append *a, struct append_attempt *attempt,
                 struct err *e)
{
    struct prepared p = {0};
    struct err none = {0};
    e = e ? e : &none;
    t->lake->random(t->lake->random_ctx, &attempt->snapshot_id, sizeof attempt->snapshot_id);
    attempt->snapshot_id = (attempt->snapshot_id & INT64_MAX) | 1;
    int rc = prepare(t, a, attempt->snapshot_id, &p, e) || table_reload(t, e) ? -1 : 0;
    for (int race = 0; !rc; race++) {
        rc = append_once(t, a, &p, attempt, race, e);
        if (!rc || e->kind != ERR_CONFLICT || race == RACES_MAX)
            break;
        pause_before_retry(t, race);
        rc = table_reload(t, e);
    }
    if (rc && !attempt->offered && p.manifest_key) {
        table_list_discard(t, &p.list);
        t->lake->store->ops->remove(t->lake->store, p.manifest_key, NULL);
    }
    prepared_fini(&p);
    return rc;
}

int table_settle(struct table *t, const struct append_attempt *attempt, enum settled *out,
                 struct err *e)
{
    *out = SETTLED_NOT;
    if (!attempt->offered || !attempt->metadata_location)
        return 0;
    char *before = mem_strdup(t->location);
    int rc = table_reload(t, e);
    *out = SETTLED_UNKNOWN;
    if (!rc) {
        size_t i;
        json_t *j;
        bool there = table_json_by_id(json_object_get(t->meta, "snapshots"), "snapshot-id",
                                      attempt->snapshot_id) != NULL ||
                     strcmp(t->location, attempt->metadata_location) == 0;
        json_array_foreach(json_object_get(t->meta, "metadata-log"), i, j)
        {
            const char *file = table_json_text(j, "metadata-file");
            there |= file && strcmp(file, attempt->metadata_location) == 0;
        }
        if (there)
            *out = SETTLED_COMMITTED;
        else if (strcmp(before, t->location) != 0)
            *out = SETTLED_NOT;
    }
    free(before);
    return rc;
}
