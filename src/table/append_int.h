/* What the files of an append share: what is written once, and the attempt that is to be settled. */
#ifndef INLET_TABLE_APPEND_INT_H
#define INLET_TABLE_APPEND_INT_H

#include "table/table_int.h"

struct prepared {             /* what does not change over rebases */
    struct table_fields spec; /* as it was when the files were written */
    int32_t schema_id;
    struct iceberg_file *files;
    struct iceberg_partition (*partitions)[TABLE_FIELDS_MAX];
    char *manifest_key, *manifest_uri;
    struct buf manifest;
    int64_t rows, bytes;
    uint32_t n;
    struct table_list list; /* of the last offer */
};

/* Makes the snapshot the change's current one, asserting the base's. */
void snapshot_add(struct table *t, struct table_change *c, const struct append *a,
                  const struct prepared *p, int64_t snapshot_id, const char *list);
/* Takes the change that got no answer, so that it can be looked for and sent again. */
void append_remember(struct append_attempt *attempt, struct table_change *c);

#endif
