/* A table in Glue as Iceberg's own GlueCatalog leaves it, so that Athena shows its columns: the current
 * schema's, then those of former schemas that it lacks (iceberg.field.current = false). */
#include "catalog/glue_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "codec/base64.h"

#define COMMENT_MAX 255   /* Glue's limit, in characters; bytes are never fewer */
#define TYPE_MAX 131072   /* Glue's limit */
#define DEPTH_MAX 64

static const char *text_of(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static const json_t *parameters_of(const json_t *table)
{
    return json_object_get(table, "Parameters");
}

bool glue_table_is_iceberg(const json_t *table)
{
    const char *type = text_of(parameters_of(table), "table_type");
    return type && strcasecmp(type, "ICEBERG") == 0;
}

const char *glue_table_location(const json_t *table)
{
    return text_of(parameters_of(table), "metadata_location");
}

const char *glue_table_version(const json_t *table)
{
    return text_of(table, "VersionId");
}

int glue_table_check(const json_t *table, const char *database, const char *name, struct err *e)
{
    const char *type = text_of(table, "TableType");
    if (type && strcmp(type, "VIRTUAL_VIEW") == 0)
        return err_set(e, ERR_INVALID,
                       "%s.%s is a view in Glue, not a table: drop or rename the view, or use "
                       "another database",
                       database, name);
    if (!glue_table_is_iceberg(table))
        return err_set(e, ERR_INVALID,
                       "%s.%s is no Iceberg table but a Hive table (%s) in Glue: drop or rename it, "
                       "or use another database",
                       database, name, type ? type : "no TableType");
    if (!glue_table_location(table))
        return err_set(e, ERR_INVALID,
                       "%s.%s has no metadata_location in Glue: it was not made by an Iceberg "
                       "writer, or its parameters were lost",
                       database, name);
    return 0;
}

/* ---- types ---- */

static void put_type(const json_t *type, struct buf *out, int depth);

static void put_struct(const json_t *type, struct buf *out, int depth)
{
    size_t i;
    json_t *f;
    buf_puts(out, "struct<");
    json_array_foreach(json_object_get(type, "fields"), i, f)
    {
        const char *name = text_of(f, "name");
        buf_printf(out, "%s%s:", i ? "," : "", name ? name : "");
        put_type(json_object_get(f, "type"), out, depth + 1);
    }
    buf_puts(out, ">");
}

static void put_primitive(const char *name, struct buf *out)
{
    static const char *const words[][2] = {
        {"long", "bigint"},      {"time", "string"},          {"uuid", "string"},
        {"timestamptz", "timestamp"}, {"timestamp_ns", "timestamp"}, {"timestamptz_ns", "timestamp"}};
    if (strncmp(name, "fixed", 5) == 0) {
        buf_puts(out, "binary");
    } else if (strncmp(name, "decimal", 7) == 0) {
        for (; *name; name++)
            if (*name != ' ')
                buf_putc(out, (uint8_t)*name);
    } else {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strcmp(name, words[i][0]) == 0)
                name = words[i][1];
        buf_puts(out, name);
    }
}

static void put_type(const json_t *type, struct buf *out, int depth)
{
    const char *name = json_is_string(type) ? json_string_value(type) : text_of(type, "type");
    if (json_is_string(type)) {
        put_primitive(name, out);
    } else if (!name || depth > DEPTH_MAX) {
        buf_puts(out, "string");
    } else if (strcmp(name, "struct") == 0) {
        put_struct(type, out, depth);
    } else if (strcmp(name, "list") == 0) {
        buf_puts(out, "array<");
        put_type(json_object_get(type, "element"), out, depth + 1);
        buf_puts(out, ">");
    } else {
        buf_puts(out, "map<");
        put_type(json_object_get(type, "key"), out, depth + 1);
        buf_puts(out, ",");
        put_type(json_object_get(type, "value"), out, depth + 1);
        buf_puts(out, ">");
    }
}

void glue_type(const json_t *type, struct buf *out)
{
    put_type(type, out, 0);
}

/* ---- columns ---- */

static const json_t *by_name(const json_t *list, const char *key, const char *name)
{
    size_t i;
    json_t *j;
    json_array_foreach((json_t *)(uintptr_t)list, i, j)
    {
        const char *other = text_of(j, key);
        if (other && strcmp(other, name) == 0)
            return j;
    }
    return NULL;
}

/* One line, at most COMMENT_MAX bytes, of whole characters. */
static json_t *comment_json(const char *text)
{
    struct buf out = {0};
    size_t n = strlen(text);
    if (n > COMMENT_MAX) {
        n = COMMENT_MAX;
        while (n && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++)
        buf_putc(&out, (unsigned char)text[i] < ' ' ? ' ' : (uint8_t)text[i]);
    json_t *j = json_string(buf_cstr(&out));
    buf_fini(&out);
    return j;
}

static void add_column(json_t *columns, const json_t *field, const json_t *before, bool current)
{
    const char *name = text_of(field, "name");
    if (!name || by_name(columns, "Name", name))
        return;
    json_t *column = json_object(), *parameters = json_object();
    struct buf text = {0};
    const json_t *old = by_name(before, "Name", name);
    const char *comment = text_of(old, "Comment");
    json_object_update_missing(parameters, json_object_get(old, "Parameters"));
    buf_printf(&text, "%lld", (long long)json_integer_value(json_object_get(field, "id")));
    json_object_set_new(parameters, "iceberg.field.id", json_string(buf_cstr(&text)));
    json_object_set_new(parameters, "iceberg.field.optional",
                        json_string(json_is_true(json_object_get(field, "required")) ? "false"
                                                                                     : "true"));
    json_object_set_new(parameters, "iceberg.field.current",
                        json_string(current ? "true" : "false"));
    text.n = 0;
    glue_type(json_object_get(field, "type"), &text);
    json_object_set_new(column, "Name", json_string(name));
    json_object_set_new(column, "Type", json_string(text.n > TYPE_MAX ? "string" : buf_cstr(&text)));
    if (!comment || !*comment)
        comment = text_of(field, "doc");
    if (comment && *comment)
        json_object_set_new(column, "Comment", comment_json(comment));
    json_object_set_new(column, "Parameters", parameters);
    json_array_append_new(columns, column);
    buf_fini(&text);
}

static json_t *columns_json(const json_t *metadata, const json_t *before)
{
    json_t *columns = json_array(), *schema, *field;
    const json_t *schemas = json_object_get(metadata, "schemas");
    int64_t id = json_integer_value(json_object_get(metadata, "current-schema-id"));
    size_t i, k;
    for (int pass = 0; pass < 2; pass++) {
        json_array_foreach((json_t *)(uintptr_t)schemas, i, schema)
        {
            bool current = json_integer_value(json_object_get(schema, "schema-id")) == id;
            if (current == (pass == 1))
                continue;
            json_array_foreach(json_object_get(schema, "fields"), k, field)
                add_column(columns, field, before, current);
        }
    }
    return columns;
}

/* ---- the input ---- */

/* The members of a Table that a TableInput may have. */
static json_t *input_of(const json_t *now)
{
    static const char *const members[] = {"Name",          "Description",      "Owner",
                                          "LastAccessTime", "LastAnalyzedTime", "Retention",
                                          "StorageDescriptor", "PartitionKeys", "ViewOriginalText",
                                          "ViewExpandedText", "TableType",      "Parameters",
                                          "TargetTable"};
    json_t *input = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *v = json_object_get(now, members[i]);
        if (v && !json_is_null(v))
            json_object_set_new(input, members[i], json_deep_copy(v));
    }
    return input;
}

static json_t *member(json_t *input, const char *key)
{
    if (!json_is_object(json_object_get(input, key)))
        json_object_set_new(input, key, json_object());
    return json_object_get(input, key);
}

json_t *glue_table_input(const json_t *now, const char *name, const struct catalog_change *change)
{
    json_t *input = input_of(now), *parameters = member(input, "Parameters"),
           *storage = member(input, "StorageDescriptor");
    const json_t *location = json_object_get(change->metadata, "location"),
                 *before = json_object_get(storage, "Columns");
    json_object_set_new(input, "Name", json_string(name));
    json_object_set_new(input, "TableType", json_string("EXTERNAL_TABLE"));
    if (!glue_table_is_iceberg(now))
        json_object_set_new(parameters, "table_type", json_string("ICEBERG"));
    json_object_set_new(parameters, "metadata_location", json_string(change->next));
    if (change->base)
        json_object_set_new(parameters, "previous_metadata_location", json_string(change->base));
    json_object_set_new(storage, "Columns", columns_json(change->metadata, before));
    if (location)
        json_object_set_new(storage, "Location", json_deep_copy(location));
    return input;
}

/* ---- views ---- */

json_t *glue_view_input(const struct catalog_view *view)
{
    json_t *input = json_object(), *parameters = json_object(), *storage = json_object();
    char *text = json_dumps(view->presto, JSON_COMPACT);
    size_t n = strlen(text);
    char *coded = mem_alloc(base64_encoded(n) + 1);
    coded[base64_encode(coded, (const uint8_t *)text, n)] = '\0';
    char *original = mem_printf("/* Presto View: %s */", coded);
    json_object_set_new(input, "Name", json_string(view->name));
    json_object_set_new(input, "Owner", json_string("inlet")); /* Trino reads no view without one */
    json_object_set_new(input, "TableType", json_string("VIRTUAL_VIEW"));
    json_object_set_new(input, "ViewOriginalText", json_string(original));
    json_object_set_new(input, "ViewExpandedText", json_string("/* Presto View */"));
    json_object_set_new(parameters, "presto_view", json_string("true"));
    json_object_set_new(parameters, "comment", json_string("Presto View"));
    json_object_set_new(input, "Parameters", parameters);
    json_object_set_new(input, "PartitionKeys", json_array());
    json_object_set_new(storage, "Columns", json_deep_copy(view->columns));
    json_object_set_new(storage, "Location", json_string(""));
    json_object_set_new(storage, "SerdeInfo", json_object());
    json_object_set_new(input, "StorageDescriptor", storage);
    free(original);
    free(coded);
    free(text);
    return input;
}
