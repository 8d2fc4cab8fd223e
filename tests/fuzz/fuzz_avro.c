/* Manifest lists and manifests, of any writer: read, merged, carried over. */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/avro.h"
#include "fuzz.h"
#include "iceberg/manifests.h"

static const uint8_t marker[16] = "0123456789abcde";
static const struct iceberg_field fields[] = {{"event_time_day", 1000, false, true}, {"2 kind", 1001, true, false}};

static void see(void *ctx, const struct iceberg_live *f)
{
    size_t *n = ctx;
    *n += f->uri.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct err e = {0};
    struct iceberg_refs refs = {0};
    char uri[] = "file:///m.avro";
    struct iceberg_ref ref = {.uri = uri, .sequence_number = 6, .min_sequence_number = 6, .snapshot_id = 77};
    struct iceberg_merge m = {0};
    size_t seen = 0;
    if (iceberg_refs_read(&refs, p, n, &e) == 0) {
        struct buf out = {0};
        for (size_t i = 0; i < refs.n; i++)
            iceberg_ref_put(&out, &refs.items[i]);
        buf_fini(&out);
        iceberg_refs_fini(&refs);
    }
    iceberg_manifest_read(&ref, p, n, 7, see, &seen, &e);
    iceberg_merge_add(&m, &ref, p, n, fields, 2, &e);
    iceberg_merge_fini(&m);
    return 0;
}

static void manifest(struct buf *out)
{
    static const uint8_t low[8] = {1}, high[8] = {9};
    static const int64_t offset = 4;
    struct schema s;
    schema_event_base(&s);
    json_t *schema = iceberg_schema_json(&s), *spec = json_array();
    struct iceberg_leaf leaf = {7, true, 8, 8, 10, 3, 0, -1, low, high};
    struct iceberg_partition parts[] = {{false, false, -5, {0}}, {false, true, 0, {"abc", 3}}};
    struct iceberg_file files[2] = {{"file:///x.parquet", 3, 99, parts, &leaf, 1, &offset, 1},
                                    {"file:///y.parquet", 4, 98, parts, &leaf, 1, &offset, 1}};
    iceberg_manifest(out, schema, spec, 0, fields, 2, 77, files, 2, marker);
    json_decref(schema);
    json_decref(spec);
    schema_fini(&s);
}

static void list(struct buf *out)
{
    static const char *const pairs[] = {"format-version", "2", NULL};
    struct iceberg_partition a[] = {{false, false, 3, {0}}, {true, true, 0, {0}}};
    struct iceberg_file files[] = {{.partition = a}};
    struct iceberg_manifest_entry m = {"file:///m.avro", 5, 8, 9, 20, 1, 1, fields, 2, files};
    struct buf body = {0};
    avro_header(out, iceberg_list_schema(), pairs, marker);
    iceberg_list_entry(&body, &m);
    iceberg_list_entry(&body, &m);
    avro_block(out, 2, &body, marker);
    buf_fini(&body);
}

/* The head apart from what follows: long schemas take most changes else. */
static void small(struct buf *out)
{
    static const char *const none[] = {NULL};
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"string\",\"field-id\":500},"
        "{\"name\":\"b\",\"type\":[\"null\",\"long\"],\"field-id\":501},{\"name\":\"c\",\"field-id\":507,\"type\":[\"null\",{\"type\":\"array\","
        "\"items\":{\"type\":\"record\",\"name\":\"s\",\"fields\":[{\"name\":\"x\",\"type\":\"boolean\",\"field-id\":509}]},\"element-id\":508}]},"
        "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"bytes\"}},{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"size\":2,\"name\":\"z\"}}]}";
    static const uint8_t record[] = {2, 'u', 2, 8, 2, 2, 1, 0, 2, 2, 'k', 2, 'v', 0, 7, 7};
    struct buf body = {0};
    buf_put(&body, record, sizeof record);
    avro_header(out, schema, none, marker);
    avro_block(out, 1, &body, marker);
    buf_fini(&body);
}

void fuzz_seeds(fuzz_add_fn *add)
{
    static void (*const make[])(struct buf *) = {manifest, list, small};
    for (size_t i = 0; i < sizeof make / sizeof *make; i++) {
        struct buf b = {0};
        make[i](&b);
        add(b.p, b.n);
        buf_fini(&b);
    }
}
