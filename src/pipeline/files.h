/* files: a table's Parquet files under way, in memory, one a partition. Rows are encoded into them long
 * before they are committed, a row group each time, so that what waits is small. When
 * the table gets a column meanwhile, the file does too; where it cannot (inside a struct that it has
 * written), the next rows begin another file. One thread at a time (who holds the table). */
#ifndef INLET_PIPELINE_FILES_H
#define INLET_PIPELINE_FILES_H

#include "pipeline/encode.h"
#include "table/table.h"

#define PARTITION_FIELDS_MAX 4

struct file_build {
    struct partition_value partition[PARTITION_FIELDS_MAX];
    int32_t time_partition;
    char *name, *subtype; /* of the rows it was opened for; own copies */
    struct pq_writer *writer;
    struct buf out;
    struct pq_cost cost;
    int32_t schema_id;
    bool sealed;  /* finished: takes no more rows */
    size_t bytes; /* heap held, as last counted */
    struct file_build *next;
};

struct files_env {
    const struct encode_env *encode;
    const struct shred_table *table;
    const struct partition_field *partition;
    uint32_t n_partition;
    struct pq_cost *cost; /* of all files; added to */
};

/* Encodes `sets`, all of one partition, into its file. Counts what is held now. ERR_INVALID: that
 * file is broken. */
int files_add(struct file_build **files, const struct files_env *env, struct rowset **sets,
              size_t n, struct err *e);
bool files_same_partition(const struct shred_table *t, const struct rowset *a,
                          const struct rowset *b);
/* Finishes a file, once; its statistics may be asked for. */
int file_seal(struct file_build *f, struct err *e);
void files_free(struct file_build **files);

#endif
