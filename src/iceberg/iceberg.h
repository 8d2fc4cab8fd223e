/* iceberg: schemas as JSON, manifests and manifest lists as bytes (Iceberg spec v2). No I/O. */
#ifndef INLET_ICEBERG_ICEBERG_H
#define INLET_ICEBERG_ICEBERG_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "schema/schema.h"

json_t *iceberg_schema_json(const struct schema *s);
int iceberg_schema_read(struct schema *out, const json_t *json, struct err *e);

#define ICEBERG_LIST_SCHEMA iceberg_list_schema()
const char *iceberg_list_schema(void);

struct iceberg_partition { /* one field's value in one file */
    bool is_null, is_text;
    int32_t number;
    struct str text;
};
struct iceberg_leaf {
    int32_t field_id;
    bool has_bounds;
    uint8_t lower_n, upper_n;
    int64_t column_bytes, values, nulls, nans; /* nans -1: not a float */
    const uint8_t *lower, *upper;
};
struct iceberg_file {
    const char *uri;
    int64_t rows, bytes;
    const struct iceberg_partition *partition;
    const struct iceberg_leaf *leaves;
    uint32_t n_leaves;
    const int64_t *split_offsets;
    uint32_t n_split_offsets;
};
struct iceberg_field { /* of the partition spec */
    const char *name;
    int32_t field_id;
    bool is_text, is_date;
};
/* A manifest of files that were added by `snapshot_id`; sequence numbers are inherited. */
void iceberg_manifest(struct buf *out, const json_t *schema, const json_t *spec_fields,
                      int32_t spec_id, const struct iceberg_field *fields, uint32_t n_fields,
                      int64_t snapshot_id, const struct iceberg_file *files, uint32_t n_files,
                      const uint8_t sync[16]);
/* A manifest around entries that are encoded already. */
void iceberg_manifest_wrap(struct buf *out, const json_t *schema, const json_t *spec_fields,
                           int32_t spec_id, const struct iceberg_field *fields, uint32_t n_fields,
                           int64_t records, const struct buf *body, const uint8_t sync[16]);

struct iceberg_manifest_entry {
    const char *uri;
    int64_t length, sequence_number, snapshot_id, rows;
    int32_t spec_id, files;
    const struct iceberg_field *fields;
    uint32_t n_fields;
    const struct iceberg_file *data;
};
/* One record of a manifest list, without header. */
void iceberg_list_entry(struct buf *out, const struct iceberg_manifest_entry *m);

#endif
