/* manifests: manifest lists and manifests of any writer read, carried over and merged. No I/O.
 *
 * Fields are found by their ids (iceberg.c has the schemas that we write), so lists and manifests
 * of other engines, deflated or of format version 1, are taken too. */
#ifndef INLET_ICEBERG_MANIFESTS_H
#define INLET_ICEBERG_MANIFESTS_H

#include "iceberg/iceberg.h"

struct iceberg_range { /* of one partition field over a manifest's files */
    bool has_null, has_lower, has_upper;
    int8_t nan;              /* -1: not said */
    struct str lower, upper; /* heap */
};
/* One line of a manifest list. */
struct iceberg_ref {
    char *uri;
    int64_t length, sequence_number, min_sequence_number, snapshot_id;
    int32_t spec_id, content; /* content 0: data, 1: deletes */
    int32_t added, existing, deleted;
    int64_t added_rows, existing_rows, deleted_rows;
    bool has_ranges;
    struct iceberg_range *ranges;
    uint32_t n_ranges;
    struct str key_metadata; /* heap; .p NULL if none */
};
struct iceberg_refs {
    struct iceberg_ref *items;
    size_t n;
};

int iceberg_refs_read(struct iceberg_refs *out, const void *p, size_t n, struct err *e);
void iceberg_refs_fini(struct iceberg_refs *r);
void iceberg_ref_fini(struct iceberg_ref *r);
/* One record of a list of ours, without header. */
void iceberg_ref_put(struct buf *out, const struct iceberg_ref *r);

/* Several manifests of one partition spec becoming one: its live entries as EXISTING with their own
 * snapshot and sequence numbers. Zero to start. */
struct iceberg_merge {
    struct buf body;
    struct iceberg_ref ref; /* counts, least sequence number and ranges of what was taken */
    uint32_t taken;
};
int iceberg_merge_add(struct iceberg_merge *m, const struct iceberg_ref *from, const void *p,
                      size_t n, const struct iceberg_field *fields, uint32_t n_fields,
                      struct err *e);
void iceberg_merge_fini(struct iceberg_merge *m);

/* A live data file. */
struct iceberg_live {
    struct str uri;
    int64_t rows, bytes, sequence_number;
    bool has_bounds;
    int64_t lower, upper; /* of the asked field */
};
typedef void iceberg_live_fn(void *ctx, const struct iceberg_live *f);
/* The live files of a manifest that stands in a list as `ref`. */
int iceberg_manifest_read(const struct iceberg_ref *ref, const void *p, size_t n,
                          int32_t bounds_field_id, iceberg_live_fn *each, void *ctx, struct err *e);

#endif
