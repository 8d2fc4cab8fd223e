/* What the files of this room share: the handle, and the making of manifest lists. */
#ifndef INLET_TABLE_TABLE_INT_H
#define INLET_TABLE_TABLE_INT_H

#include "iceberg/manifests.h"
#include "table/table.h"

#define TABLE_FIELDS_MAX 16
#define TABLE_OBJECT_MAX ((size_t)64 << 20) /* a metadata file, manifest or list */

struct table_fields { /* a partition spec, as manifests need it */
    int32_t spec_id;
    uint32_t n;
    struct iceberg_field fields[TABLE_FIELDS_MAX]; /* names: borrowed from `json` */
    json_t *json;                                  /* the spec's fields; a reference */
    bool writable;
};

struct table {
    const struct lake *lake;
    char *name, *location; /* location: of the metadata file */
    json_t *meta;
    struct schema schema;
    struct partition_field partition[TABLE_FIELDS_MAX];
    struct table_fields spec;
    bool own;    /* the base is the one we last loaded or committed ourselves */
    bool broken; /* the base cannot be used: the next reload reads it again */
};

int64_t table_json_number(const json_t *j, const char *key);
const char *table_json_text(const json_t *j, const char *key);
json_t *table_json_by_id(const json_t *list, const char *key, int64_t id);
json_t *table_current_snapshot(const json_t *meta); /* NULL if the table is empty */
void table_uuid4(const struct lake *lake, char out[37]);

/* A manifest list that is being made for one offer. */
struct table_list {
    char *uri;
    char *merged[64]; /* keys of the manifests that merging wrote */
    uint32_t n_merged;
    int64_t kept, replaced;
};
/* Writes the list of snapshot `own->snapshot_id`: our manifest, then those of the base, the small
 * ones of them merged where there are many and `merge` says so. */
int table_list_write(struct table *t, const struct iceberg_manifest_entry *own, int attempt,
                     bool merge, struct table_list *out, struct err *e);
/* Removes what was written: nobody can refer to it. */
void table_list_discard(struct table *t, struct table_list *l);
void table_list_fini(struct table_list *l);

#endif
