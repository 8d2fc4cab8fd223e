/* A table's metadata, as a catalog gives it: loaded, asked for everything, bound to a registry. */
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz.h"
#include "iceberg/iceberg.h"
#include "schema/registry.h"
#include "table/table.h"

static const uint8_t *text;
static size_t text_n;

static int load(struct catalog *c, const char *ns, const char *table, struct catalog_table *out, struct err *e)
{
    (void)c, (void)ns, (void)table;
    out->metadata = json_loadb((const char *)text, text_n, 0, NULL);
    out->location = mem_strdup("file:///lake/events/t/metadata/1.json");
    return out->metadata ? 0 : err_set(e, ERR_INVALID, "no JSON");
}

static int get(struct store *s, const char *key, size_t limit, struct buf *out, struct err *e)
{
    (void)s, (void)key, (void)limit, (void)out;
    return err_set(e, ERR_NOTFOUND, "nothing is there");
}

static int size_of(struct store *s, const char *key, int64_t *bytes, struct err *e)
{
    (void)s, (void)e;
    *bytes = (int64_t)strlen(key);
    return 0;
}

static void see_schema(void *ctx, const struct schema *s)
{
    struct registry *r = ctx;
    registry_bind_former(r, s, s);
}

static void see_property(void *ctx, const char *key, const char *value)
{
    size_t *n = ctx;
    *n += strlen(key) + (value ? strlen(value) : 0);
}

static void see_snapshot(void *ctx, const struct table_snapshot *s)
{
    int64_t *n = ctx;
    *n ^= s->id ^ s->added_rows ^ s->made_ms;
}

static void look(struct table *t)
{
    const struct registry_limits limits = {1000, 200, 16, 128};
    struct registry *r = registry_new(&limits, NULL, 0);
    const struct partition_field *fields;
    struct schema ours;
    struct schema_ids ids;
    struct table_facts facts;
    struct err e = {0};
    size_t n = 0;
    int64_t sum = 0;
    schema_event_base(&ours);
    if (table_ids(t, &ours, &ids, &e) == 0) {
        registry_set_envelope(r, &ids);
        if (registry_bind(r, table_schema(t), &e) == 0) {
            struct schema grown;
            table_schemas(t, see_schema, r, &e);
            if (registry_propose(r, table_schema(t), 10000, &grown, &e) == 1)
                schema_fini(&grown);
        }
    }
    for (uint32_t i = table_partition(t, &fields); i > 0; i--)
        n += strlen(fields[i - 1].name);
    table_properties(t, see_property, &n);
    table_snapshots(t, see_snapshot, &sum);
    table_facts(t, &facts, &e);
    schema_fini(&ours);
    registry_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct catalog_ops catalog_ops = {.load = load};
    static const struct store_ops store_ops = {.get = get, .size = size_of};
    static char root[] = "file:///lake";
    struct catalog catalog = {.ops = &catalog_ops};
    struct store store = {.ops = &store_ops, .root_uri = root};
    struct lake lake = {.store = &store, .catalog = &catalog, .clock = &clock_system, .ns = "events", .engine_version = "0"};
    struct err e = {0};
    text = p;
    text_n = n;
    struct table *t = table_load(&lake, "t", &e);
    if (t)
        look(t);
    table_free(t);
    return 0;
}

void fuzz_seeds(fuzz_add_fn *add)
{
    struct schema s;
    schema_event_base(&s);
    json_t *schema = iceberg_schema_json(&s);
    json_t *meta = json_pack(
        "{s:i,s:s,s:s,s:I,s:I,s:i,s:[o],s:i,s:[{s:i,s:[{s:s,s:s,s:i,s:i}]}],s:i,s:i,s:[{s:i,s:[]}],s:i,s:{s:s,s:s},s:I,"
        "s:[{s:I,s:I,s:I,s:{s:s,s:s,s:s},s:s,s:i}],s:[{s:I,s:I}],s:[{s:I,s:s}],s:{s:{s:I,s:s}}}",
        "format-version", 2, "table-uuid", "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location", "file:///lake/events/t",
        "last-sequence-number", (json_int_t)3, "last-updated-ms", (json_int_t)1700000000000, "last-column-id", 40, "schemas", schema,
        "current-schema-id", 0, "partition-specs", "spec-id", 0, "fields", "name", "event_time_day", "transform", "day", "source-id", 7,
        "field-id", 1000, "default-spec-id", 0, "last-partition-id", 1000, "sort-orders", "order-id", 0, "fields", "default-sort-order-id", 0,
        "properties", "inlet.position.arn:aws:kinesis:::stream/s@1", "{\"shardId-000000000000\":\"495\"}", "a", "b", "current-snapshot-id",
        (json_int_t)77, "snapshots", "snapshot-id", (json_int_t)77, "sequence-number", (json_int_t)3, "timestamp-ms",
        (json_int_t)1700000000000, "summary", "operation", "append", "added-records", "5", "total-files-size", "99", "manifest-list",
        "file:///lake/events/t/metadata/snap.avro", "schema-id", 0, "snapshot-log", "snapshot-id", (json_int_t)77, "timestamp-ms",
        (json_int_t)1700000000000, "metadata-log", "timestamp-ms", (json_int_t)1690000000000, "metadata-file", "file:///x", "refs", "main",
        "snapshot-id", (json_int_t)77, "type", "branch");
    invariant(meta);
    char *dump = json_dumps(meta, JSON_COMPACT);
    add(dump, strlen(dump));
    free(dump);
    json_decref(meta);
    schema_fini(&s);
    static const char nested[] =
        "{\"format-version\":2,\"table-uuid\":\"u\",\"location\":\"file:///lake/t\",\"current-schema-id\":1,\"schemas\":[{\"schema-id\":1,\"type\":"
        "\"struct\",\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":false,\"doc\":\"A\",\"type\":{\"type\":\"struct\",\"fields\":[{\"id\":2,\"name\":\"b\","
        "\"required\":true,\"type\":\"decimal(12,2)\"}]}},{\"id\":3,\"name\":\"l\",\"required\":false,\"type\":{\"type\":\"list\",\"element-id\":4,"
        "\"element-required\":false,\"element\":{\"type\":\"map\",\"key-id\":5,\"key\":\"string\",\"value-id\":6,\"value\":\"long\",\"value-required\":true}}},"
        "{\"id\":7,\"name\":\"t\",\"required\":false,\"type\":\"timestamptz\"}]}],\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}]}";
    add(nested, sizeof nested - 1);
}
