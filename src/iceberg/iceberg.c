/* See iceberg.h. The Avro schemas are those of the spec's appendix, field ids and all. */
#include "iceberg/iceberg.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/avro.h"

#define METRICS_MAX                                                                                \
    100 /* columns with metrics, as write.metadata.metrics.default's readers expect */

/* ---- schemas ---- */

static json_t *type_json(const struct field *f);

static json_t *field_json(const struct field *f)
{
    json_t *j = json_object();
    json_object_set_new(j, "id", json_integer(f->id));
    json_object_set_new(j, "name", json_string(f->name));
    json_object_set_new(j, "required", json_boolean(f->required));
    json_object_set_new(j, "type", type_json(f));
    if (f->doc)
        json_object_set_new(j, "doc", json_string(f->doc));
    return j;
}

static json_t *struct_json(const struct field *f)
{
    json_t *j = json_object(), *fields = json_array();
    json_object_set_new(j, "type", json_string("struct"));
    for (uint32_t i = 0; i < f->n_children; i++)
        json_array_append_new(fields, field_json(&f->children[i]));
    json_object_set_new(j, "fields", fields);
    return j;
}

static void child_json(json_t *j, const char *what, const struct field *f, bool with_required)
{
    char key[32];
    snprintf(key, sizeof key, "%s-id", what);
    json_object_set_new(j, key, json_integer(f->id));
    json_object_set_new(j, what, type_json(f));
    snprintf(key, sizeof key, "%s-required", what);
    if (with_required)
        json_object_set_new(j, key, json_boolean(f->required));
}

static json_t *type_json(const struct field *f)
{
    if (f->kind == TYPE_STRUCT)
        return struct_json(f);
    if (f->kind == TYPE_LIST || f->kind == TYPE_MAP) {
        json_t *j = json_object();
        json_object_set_new(j, "type", json_string(f->kind == TYPE_LIST ? "list" : "map"));
        if (f->kind == TYPE_LIST) {
            child_json(j, "element", &f->children[0], true);
        } else {
            child_json(j, "key", &f->children[0], false);
            child_json(j, "value", &f->children[1], true);
        }
        return j;
    }
    struct buf text = {0};
    field_type_text(f, &text);
    json_t *j = json_string(buf_cstr(&text));
    buf_fini(&text);
    return j;
}

json_t *iceberg_schema_json(const struct schema *s)
{
    json_t *j = struct_json(&s->root);
    json_object_set_new(j, "schema-id", json_integer(s->schema_id));
    return j;
}

static int read_type(struct field *f, const json_t *type, struct err *e);

static int read_child(struct field *f, const json_t *type, const char *what, struct err *e)
{
    char id[32], required[32];
    snprintf(id, sizeof id, "%s-id", what);
    snprintf(required, sizeof required, "%s-required", what);
    struct field *c = field_add(
        f, (int32_t)json_integer_value(json_object_get(type, id)), what, NULL,
        strcmp(what, "key") == 0 || json_is_true(json_object_get(type, required)), TYPE_STRING);
    return read_type(c, json_object_get(type, what), e);
}

static int read_fields(struct field *f, const json_t *fields, struct err *e)
{
    size_t i;
    const json_t *j;
    json_array_foreach((json_t *)(uintptr_t)fields, i, j)
    {
        const char *name = json_string_value(json_object_get(j, "name"));
        if (!name)
            return err_set(e, ERR_INVALID, "a schema has a field without a name");
        struct field *c = field_add(f, (int32_t)json_integer_value(json_object_get(j, "id")), name,
                                    json_string_value(json_object_get(j, "doc")),
                                    json_is_true(json_object_get(j, "required")), TYPE_STRING);
        if (read_type(c, json_object_get(j, "type"), e))
            return -1;
    }
    return 0;
}

static int read_type(struct field *f, const json_t *type, struct err *e)
{
    const char *text = json_string_value(type);
    if (text)
        return type_parse(f, text, e);
    text = json_string_value(json_object_get(type, "type"));
    if (text && strcmp(text, "struct") == 0) {
        f->kind = TYPE_STRUCT;
        return read_fields(f, json_object_get(type, "fields"), e);
    }
    if (text && strcmp(text, "list") == 0) {
        f->kind = TYPE_LIST;
        return read_child(f, type, "element", e);
    }
    if (text && strcmp(text, "map") == 0) {
        f->kind = TYPE_MAP;
        return read_child(f, type, "key", e) || read_child(f, type, "value", e) ? -1 : 0;
    }
    return err_set(e, ERR_INVALID, "a schema has a type that is none of Iceberg's");
}

int iceberg_schema_read(struct schema *out, const json_t *json, struct err *e)
{
    schema_init(out);
    out->schema_id = (int32_t)json_integer_value(json_object_get(json, "schema-id"));
    if (read_fields(&out->root, json_object_get(json, "fields"), e) == 0)
        return 0;
    schema_fini(out);
    return -1;
}

/* ---- manifests ---- */

#define OPT(type) "[\"null\"," type "],\"default\":null"
#define F(name, type, id) "{\"name\":\"" name "\",\"type\":" type ",\"field-id\":" id "}"
#define MAP(k, v, value)                                                                           \
    "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"k" k "_v" v                     \
    "\",\"fields\":[" F("key", "\"int\"", k) "," F("value", "\"" value "\"",                       \
                                                   v) "]},\"logicalType\":\"map\"}"
#define OPTF(name, type, id) "{\"name\":\"" name "\",\"type\":" OPT(type) ",\"field-id\":" id "}"
#define ARRAY(type, id) "{\"type\":\"array\",\"items\":\"" type "\",\"element-id\":" id "}"

/* A partition field's name as Avro allows it; readers go by the field id. */
static void put_name(struct buf *out, const char *name)
{
    if (*name >= '0' && *name <= '9')
        buf_putc(out, '_');
    for (; *name; name++) {
        bool letter =
            (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_';
        if (letter || (*name >= '0' && *name <= '9'))
            buf_putc(out, (uint8_t)*name);
        else
            buf_printf(out, "_x%X", (uint8_t)*name);
    }
}

/* What stands before and behind the partition's own fields in a manifest's schema. */
/* clang-format off */
static const char manifest_head[] =
    "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
    F("status", "\"int\"", "0") ","
    OPTF("snapshot_id", "\"long\"", "1") ","
    OPTF("sequence_number", "\"long\"", "3") ","
    OPTF("file_sequence_number", "\"long\"", "4") ","
    "{\"name\":\"data_file\",\"field-id\":2,\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":["
    F("content", "\"int\"", "134") ","
    F("file_path", "\"string\"", "100") ","
    F("file_format", "\"string\"", "101") ","
    "{\"name\":\"partition\",\"field-id\":102,\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":[";
static const char manifest_tail[] =
    "]}},"
    F("record_count", "\"long\"", "103") ","
    F("file_size_in_bytes", "\"long\"", "104") ","
    OPTF("column_sizes", MAP("117", "118", "long"), "108") ","
    OPTF("value_counts", MAP("119", "120", "long"), "109") ","
    OPTF("null_value_counts", MAP("121", "122", "long"), "110") ","
    OPTF("nan_value_counts", MAP("138", "139", "long"), "137") ","
    OPTF("lower_bounds", MAP("126", "127", "bytes"), "125") ","
    OPTF("upper_bounds", MAP("129", "130", "bytes"), "128") ","
    OPTF("key_metadata", "\"bytes\"", "131") ","
    OPTF("split_offsets", ARRAY("long", "133"), "132") ","
    OPTF("equality_ids", ARRAY("int", "136"), "135") ","
    OPTF("sort_order_id", "\"int\"", "140")
    "]}}]}";
/* clang-format on */

static void manifest_schema(struct buf *out, const struct iceberg_field *fields, uint32_t n)
{
    buf_puts(out, manifest_head);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s{\"name\":\"", i ? "," : "");
        put_name(out, fields[i].name);
        buf_printf(out, "\",\"type\":[\"null\",%s],\"default\":null,\"field-id\":%d}",
                   fields[i].is_text   ? "\"string\""
                   : fields[i].is_date ? "{\"type\":\"int\",\"logicalType\":\"date\"}"
                                       : "\"int\"",
                   fields[i].field_id);
    }
    buf_puts(out, manifest_tail);
}

/* A map of field id to one of a leaf's counts; those below zero are left out. */
static void counts(struct buf *out, const struct iceberg_file *f, int which)
{
    uint32_t max = f->n_leaves < METRICS_MAX ? f->n_leaves : METRICS_MAX, n = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) {
            avro_long(out, 1);
            if (n)
                avro_long(out, n);
        }
        for (uint32_t i = 0; i < max; i++) {
            const struct iceberg_leaf *l = &f->leaves[i];
            int64_t v = which == 0   ? l->column_bytes
                        : which == 1 ? l->values
                        : which == 2 ? l->nulls
                                     : l->nans;
            if (v < 0)
                continue;
            n += !pass;
            if (pass) {
                avro_long(out, l->field_id);
                avro_long(out, v);
            }
        }
    }
    avro_long(out, 0);
}

static void bounds(struct buf *out, const struct iceberg_file *f, bool upper)
{
    uint32_t max = f->n_leaves < METRICS_MAX ? f->n_leaves : METRICS_MAX, n = 0;
    for (uint32_t i = 0; i < max; i++)
        n += f->leaves[i].has_bounds;
    avro_long(out, 1);
    if (n)
        avro_long(out, n);
    for (uint32_t i = 0; i < max; i++) {
        const struct iceberg_leaf *l = &f->leaves[i];
        if (!l->has_bounds)
            continue;
        avro_long(out, l->field_id);
        avro_bytes(out, upper ? l->upper : l->lower, upper ? l->upper_n : l->lower_n);
    }
    avro_long(out, 0);
}

static void manifest_entry(struct buf *out, const struct iceberg_file *f,
                           const struct iceberg_field *fields, uint32_t n_fields,
                           int64_t snapshot_id)
{
    avro_long(out, 1); /* ADDED */
    avro_long(out, 1);
    avro_long(out, snapshot_id);
    avro_long(out, 0); /* both sequence numbers are inherited */
    avro_long(out, 0);
    avro_long(out, 0); /* data */
    avro_text(out, f->uri);
    avro_text(out, "PARQUET");
    for (uint32_t i = 0; i < n_fields; i++) {
        avro_long(out, f->partition[i].is_null ? 0 : 1);
        if (f->partition[i].is_null)
            continue;
        if (fields[i].is_text)
            avro_bytes(out, f->partition[i].text.p, f->partition[i].text.n);
        else
            avro_long(out, f->partition[i].number);
    }
    avro_long(out, f->rows);
    avro_long(out, f->bytes);
    for (int which = 0; which < 4; which++)
        counts(out, f, which);
    bounds(out, f, false);
    bounds(out, f, true);
    avro_long(out, 0); /* key_metadata */
    avro_long(out, 1);
    if (f->n_split_offsets)
        avro_long(out, f->n_split_offsets);
    for (uint32_t i = 0; i < f->n_split_offsets; i++)
        avro_long(out, f->split_offsets[i]);
    avro_long(out, 0);
    avro_long(out, 0); /* equality_ids */
    avro_long(out, 0); /* sort_order_id: clustered, not sorted */
}

void iceberg_manifest_wrap(struct buf *out, const json_t *schema, const json_t *spec_fields,
                           int32_t spec_id, const struct iceberg_field *fields, uint32_t n_fields,
                           int64_t records, const struct buf *body, const uint8_t sync[16])
{
    struct buf avro = {0};
    char *schema_text = json_dumps(schema, JSON_COMPACT);
    char *spec_text = json_dumps(spec_fields, JSON_COMPACT);
    char *schema_id =
        mem_printf("%lld", (long long)json_integer_value(json_object_get(schema, "schema-id")));
    char *id = mem_printf("%d", spec_id);
    const char *const pairs[] = {"schema",
                                 schema_text,
                                 "schema-id",
                                 schema_id,
                                 "partition-spec",
                                 spec_text,
                                 "partition-spec-id",
                                 id,
                                 "format-version",
                                 "2",
                                 "content",
                                 "data",
                                 NULL};
    manifest_schema(&avro, fields, n_fields);
    avro_header(out, buf_cstr(&avro), pairs, sync);
    avro_block(out, records, body, sync);
    buf_fini(&avro);
    free(schema_text);
    free(spec_text);
    free(schema_id);
    free(id);
}

void iceberg_manifest(struct buf *out, const json_t *schema, const json_t *spec_fields,
                      int32_t spec_id, const struct iceberg_field *fields, uint32_t n_fields,
                      int64_t snapshot_id, const struct iceberg_file *files, uint32_t n_files,
                      const uint8_t sync[16])
{
    struct buf body = {0};
    for (uint32_t i = 0; i < n_files; i++)
        manifest_entry(&body, &files[i], fields, n_fields, snapshot_id);
    iceberg_manifest_wrap(out, schema, spec_fields, spec_id, fields, n_fields, n_files, &body,
                          sync);
    buf_fini(&body);
}

/* ---- manifest lists ---- */

const char *iceberg_list_schema(void)
{
    return "{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":[" F("manifest_path", "\"string\"", "500") "," F(
        "manifest_length", "\"long\"",
        "501") "," F("partition_spec_id", "\"int\"",
                     "502") "," F("content", "\"int\"",
                                  "517") "," F("sequence_number", "\"long\"",
                                               "515") "," F("min_sequence_number", "\"long\"",
                                                            "516") "," F("added_snapshot_id",
                                                                         "\"long\"", "503") "," F("added_files_count",
                                                                                                  "\"int\"",
                                                                                                  "504") "," F("existing_files_count",
                                                                                                               "\"int\"",
                                                                                                               "505") "," F("deleted_files_count", "\"int\"", "506") "," F("added_rows_count",
                                                                                                                                                                           "\"long\"", "512") "," F("existing_rows_count", "\"long\"", "513") "," F("deleted_rows_count", "\"long\"", "514") ",{\"name\":\"partitions\",\"field-id\":507,\"default\":null,\"type\":[\"null\",{\"type\":\"array\",\"element-id\":508,\"items\":{\"type\":"
                                                                                                                                                                                                                                                                                             "\"record\",\"name\":\"r508\",\"fields\":[" F(
                                                                                                                                                                                                                                                                                                 "contains_null",
                                                                                                                                                                                                                                                                                                 "\"boolean\"", "509") "," OPTF("contains_nan", "\"boolean\"", "518") "," OPTF("lower_bound",
                                                                                                                                                                                                                                                                                                                                                                               "\"bytes\"", "510") "," OPTF("upper_bound",
                                                                                                                                                                                                                                                                                                                                                                                                            "\"bytes\"",
                                                                                                                                                                                                                                                                                                                                                                                                            "511") "]}}]}," OPTF("key_metadata", "\"bytes\"", "519") "]}";
}

static int part_cmp(const struct iceberg_field *f, const struct iceberg_partition *a,
                    const struct iceberg_partition *b)
{
    if (!f->is_text)
        return (a->number > b->number) - (a->number < b->number);
    int c = memcmp(a->text.p, b->text.p, a->text.n < b->text.n ? a->text.n : b->text.n);
    return c ? c : (a->text.n > b->text.n) - (a->text.n < b->text.n);
}

static void part_bytes(struct buf *out, const struct iceberg_field *f,
                       const struct iceberg_partition *p)
{
    avro_long(out, p ? 1 : 0);
    if (p && f->is_text)
        avro_bytes(out, p->text.p, p->text.n);
    else if (p)
        avro_bytes(out, &p->number, 4);
}

void iceberg_list_entry(struct buf *out, const struct iceberg_manifest_entry *m)
{
    avro_text(out, m->uri);
    avro_long(out, m->length);
    avro_long(out, m->spec_id);
    avro_long(out, 0);
    avro_long(out, m->sequence_number);
    avro_long(out, m->sequence_number);
    avro_long(out, m->snapshot_id);
    avro_long(out, m->files);
    avro_long(out, 0);
    avro_long(out, 0);
    avro_long(out, m->rows);
    avro_long(out, 0);
    avro_long(out, 0);
    avro_long(out, 1);
    if (m->n_fields)
        avro_long(out, m->n_fields);
    for (uint32_t i = 0; i < m->n_fields; i++) {
        const struct iceberg_partition *min = NULL, *max = NULL;
        bool null = false;
        for (int32_t k = 0; k < m->files; k++) {
            const struct iceberg_partition *p = &m->data[k].partition[i];
            null |= p->is_null;
            if (!p->is_null && (!min || part_cmp(&m->fields[i], p, min) < 0))
                min = p;
            if (!p->is_null && (!max || part_cmp(&m->fields[i], p, max) > 0))
                max = p;
        }
        buf_putc(out, null);
        avro_long(out, 1);
        buf_putc(out, 0); /* no NaN */
        part_bytes(out, &m->fields[i], min);
        part_bytes(out, &m->fields[i], max);
    }
    avro_long(out, 0);
    avro_long(out, 0); /* key_metadata */
}
