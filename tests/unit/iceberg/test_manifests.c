/* Manifests and lists: what is written is read back, and broken bytes are refused without harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <zlib.h>

#include "codec/avro.h"
#include "codec/avro_read.h"
#include "iceberg/manifests.h"

static const uint8_t marker[16] = "0123456789abcde";
static const struct iceberg_field fields[] = {{"event_time_day", 1000, false, true},
                                              {"2 kind", 1001, true, false}};

static void write_manifest(struct buf *out, uint32_t n)
{
    struct schema s;
    schema_event_base(&s);
    json_t *schema = iceberg_schema_json(&s), *spec = json_array();
    static const uint8_t low[8] = {1}, high[8] = {9};
    static const int64_t offset = 4;
    struct iceberg_leaf leaf = {7, true, 8, 8, 10, 3, 0, -1, low, high};
    struct iceberg_partition parts[] = {{false, false, -5, {0}}, {false, true, 0, {"abc", 3}}};
    struct iceberg_file files[8];
    for (uint32_t i = 0; i < n; i++)
        files[i] = (struct iceberg_file){"file:///x.parquet", 3, 99, parts, &leaf, 1, &offset, 1};
    iceberg_manifest(out, schema, spec, 0, fields, 2, 77, files, n, marker);
    json_decref(schema);
    json_decref(spec);
    schema_fini(&s);
}

static struct iceberg_ref ref_of(char *uri)
{
    return (struct iceberg_ref){
        .uri = uri, .sequence_number = 6, .min_sequence_number = 6, .snapshot_id = 77};
}

static void each(void *ctx, const struct iceberg_live *f)
{
    uint32_t *n = ctx;
    if (f->has_bounds && f->rows == 3 && f->bytes == 99 && f->sequence_number == 6 &&
        f->lower == 1 && f->upper == 9)
        ++*n;
}

static void test_manifest_and_merge(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf bytes = {0}, merged = {0};
    char uri[] = "file:///m.avro";
    struct iceberg_ref ref = ref_of(uri);
    uint32_t n = 0;
    write_manifest(&bytes, 3);
    assert_int_equal(iceberg_manifest_read(&ref, bytes.p, bytes.n, 7, each, &n, &e), 0);
    assert_int_equal(n, 3);
    struct iceberg_merge m = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(iceberg_merge_add(&m, &ref, bytes.p, bytes.n, fields, 2, &e), 0);
    assert_int_equal(m.ref.existing, 12);
    assert_int_equal(m.ref.existing_rows, 36);
    assert_int_equal(m.ref.min_sequence_number, 6);
    struct schema s;
    schema_event_base(&s);
    json_t *schema = iceberg_schema_json(&s), *spec = json_array();
    iceberg_manifest_wrap(&merged, schema, spec, 0, fields, 2, m.ref.existing, &m.body, marker);
    struct iceberg_ref later = {.uri = uri, .sequence_number = 90, .snapshot_id = 5};
    n = 0;
    assert_int_equal(iceberg_manifest_read(&later, merged.p, merged.n, 7, each, &n, &e), 0);
    assert_int_equal(n, 12); /* with their own sequence number */
    json_decref(schema);
    json_decref(spec);
    schema_fini(&s);
    iceberg_merge_fini(&m);
    buf_fini(&merged);
    buf_fini(&bytes);
}

static void write_list(struct buf *out)
{
    static const char *const pairs[] = {"format-version", "2", NULL};
    struct iceberg_partition a[] = {{false, false, 3, {0}}, {true, true, 0, {0}}};
    struct iceberg_partition b[] = {{false, false, -2, {0}}, {false, true, 0, {"q", 1}}};
    struct iceberg_file files[] = {{.partition = a}, {.partition = b}};
    struct iceberg_manifest_entry m = {"file:///m.avro", 5, 8, 9, 20, 1, 2, fields, 2, files};
    struct buf body = {0};
    avro_header(out, iceberg_list_schema(), pairs, marker);
    iceberg_list_entry(&body, &m);
    avro_block(out, 1, &body, marker);
    buf_fini(&body);
}

static void test_list(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf bytes = {0}, body = {0}, again = {0};
    struct iceberg_refs refs, back;
    write_list(&bytes);
    assert_int_equal(iceberg_refs_read(&refs, bytes.p, bytes.n, &e), 0);
    assert_int_equal(refs.n, 1);
    const struct iceberg_ref *r = &refs.items[0];
    assert_string_equal(r->uri, "file:///m.avro");
    assert_int_equal(r->added, 2);
    assert_int_equal(r->added_rows, 20);
    assert_int_equal(r->n_ranges, 2);
    assert_memory_equal(r->ranges[0].lower.p, "\xfe\xff\xff\xff", 4);
    assert_memory_equal(r->ranges[0].upper.p, "\3\0\0\0", 4);
    assert_true(r->ranges[1].has_null && r->ranges[1].upper.n == 1);
    iceberg_ref_put(&body, r);
    iceberg_ref_put(&body, r);
    static const char *const none[] = {NULL};
    avro_header(&again, iceberg_list_schema(), none, marker);
    avro_block(&again, 2, &body, marker);
    assert_int_equal(iceberg_refs_read(&back, again.p, again.n, &e), 0);
    assert_int_equal(back.n, 2);
    assert_int_equal(back.items[1].sequence_number, 8);
    iceberg_refs_fini(&back);
    iceberg_refs_fini(&refs);
    buf_fini(&again);
    buf_fini(&body);
    buf_fini(&bytes);
}

static void read_anything(const uint8_t *p, size_t n)
{
    struct err e = {0};
    struct iceberg_refs refs;
    char uri[] = "m";
    struct iceberg_ref ref = ref_of(uri);
    struct iceberg_merge m = {0};
    uint32_t count = 0;
    if (iceberg_refs_read(&refs, p, n, &e) == 0)
        iceberg_refs_fini(&refs);
    iceberg_manifest_read(&ref, p, n, 7, each, &count, &e);
    iceberg_merge_add(&m, &ref, p, n, fields, 2, &e);
    iceberg_merge_fini(&m);
}

static void break_it(const struct buf *good)
{
    uint8_t *copy = malloc(good->n);
    assert_non_null(copy);
    for (size_t n = 0; n < good->n;
         n += 3) { /* of its exact size, so that a sanitizer sees overreads */
        uint8_t *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, good->p, n);
        read_anything(cut, n);
        free(cut);
    }
    uint32_t r = 1;
    for (int i = 0; i < 3000; i++) {
        memcpy(copy, good->p, good->n);
        for (int k = 0; k < 3; k++) {
            r = r * 1664525 + 1013904223;
            copy[r % good->n] = (uint8_t)(r >> 11);
        }
        read_anything(copy, good->n);
    }
    free(copy);
}

static void test_broken_bytes(void **state)
{
    (void)state;
    struct buf a = {0}, b = {0};
    write_manifest(&a, 2);
    write_list(&b);
    break_it(&a);
    break_it(&b);
    buf_fini(&a);
    buf_fini(&b);
}

static void test_deflate_and_named_types(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"field-id\":1,\"type\":{"
        "\"type\":\"fixed\","
        "\"name\":\"f\",\"size\":2}},{\"name\":\"b\",\"field-id\":2,\"type\":[\"null\",\"f\"]},{"
        "\"name\":\"m\","
        "\"field-id\":3,\"type\":{\"type\":\"map\",\"values\":\"double\"}}]}";
    struct buf out = {0}, body = {0}, packed = {0};
    struct err e = {0};
    buf_put(&body, "xy\2zw", 5);
    buf_put(&body, "\2\2k\0\0\0\0\0\0\xf0\x3f\0", 12);
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = body.p;
    z.avail_in = (uInt)body.n;
    z.next_out = buf_reserve(&packed, 200);
    z.avail_out = 200;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed.n = z.total_out;
    deflateEnd(&z);
    buf_put(&out, "Obj\1\4", 5);
    avro_text(&out, "avro.schema");
    avro_text(&out, schema);
    avro_text(&out, "avro.codec");
    avro_text(&out, "deflate");
    avro_long(&out, 0);
    buf_put(&out, marker, 16);
    avro_block(&out, 1, &packed, marker);
    struct avro_reader *r = avro_read_open(out.p, out.n, &e);
    assert_non_null(r);
    struct avro_value v;
    assert_int_equal(avro_read_next(r, &v, &e), 1);
    assert_memory_equal(avro_bytes_of(&v, 1).p, "xy", 2);
    assert_memory_equal(avro_bytes_of(&v, 2).p, "zw", 2);
    assert_true(avro_field(&v, 3)->items[1].real > 0.99);
    assert_int_equal(avro_read_next(r, &v, &e), 0);
    avro_read_close(r);
    buf_fini(&out);
    buf_fini(&body);
    buf_fini(&packed);
}

static void test_schema_json(void **state)
{
    (void)state;
    struct err e = {0};
    struct schema s, back;
    schema_event_base(&s);
    field_add(&s.root, 12, "price", "Price", false, TYPE_DECIMAL)->precision = 12;
    s.root.children[s.root.n_children - 1].scale = 2;
    struct field *list = field_add(&s.root, 13, "tags", NULL, false, TYPE_LIST);
    struct field *el = field_add(list, 14, "element", NULL, false, TYPE_STRUCT);
    field_add(el, 15, "x", "X", false, TYPE_BOOLEAN);
    struct field *map = field_add(&s.root, 16, "by", NULL, false, TYPE_MAP);
    field_add(map, 17, "key", NULL, true, TYPE_STRING);
    field_add(map, 18, "value", NULL, false, TYPE_LONG);
    json_t *j = iceberg_schema_json(&s);
    assert_int_equal(iceberg_schema_read(&back, j, &e), 0);
    assert_true(schema_same(&s, &back));
    assert_int_equal(schema_max_id(&back), 18);
    assert_string_equal(schema_find_id(&back, 15)->doc, "X");
    schema_fini(&back);
    json_object_del(json_array_get(json_object_get(j, "fields"), 2), "type");
    assert_int_equal(iceberg_schema_read(&back, j, &e), -1);
    json_decref(j);
    schema_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_and_merge), cmocka_unit_test(test_list),
        cmocka_unit_test(test_broken_bytes),       cmocka_unit_test(test_deflate_and_named_types),
        cmocka_unit_test(test_schema_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
