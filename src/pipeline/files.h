/* files: a table's Parquet files under way, one a partition. Rows are encoded into them long
 * before they are committed, a row group each time, so that what waits is small. When
 * the table gets a column meanwhile, the file does too; where it cannot (inside a struct that it has
 * written), the next rows begin another file. One thread at a time (who holds the table).
 *
 * A file is held in memory until it is put; or, spooled, written to its store row group by row group, and is there
 * once finished. */
#ifndef INLET_PIPELINE_FILES_H
#define INLET_PIPELINE_FILES_H

#include <stdatomic.h>

#include "pipeline/desks.h"
#include "pipeline/encode.h"
#include "table/table.h"

#define PARTITION_FIELDS_MAX 4

struct file_build {
    struct partition_value partition[PARTITION_FIELDS_MAX];
    int32_t time_partition;
    char *name, *subtype; /* of the rows it was opened for; own copies */
    struct pq_writer *writer;
    struct buf out;
    struct store_writer *spool; /* under `key` in `store`, since its first row; NULL: in memory, or stored */
    struct store *store;
    char *key;                  /* of a spooled file */
    atomic_uint *spools;
    bool stored;  /* the spool is finished: it is there */
    bool offered; /* somebody may refer to it: it stays */
    struct pq_cost cost;
    int32_t schema_id;
    bool sealed;  /* finished: takes no more rows */
    size_t bytes; /* heap held, as last counted */
    size_t encoded; /* the file's own, so far */
    struct file_build *next;
};

struct files_env {
    const struct encode_env *encode;
    const struct shred_table *table;
    const struct partition_field *partition;
    uint32_t n_partition;
    struct pq_cost *cost; /* of all files; added to */
    const struct table *handle;
    const struct store *store; /* the lake's: a table's own may go, with spools in it */
    struct buf *out;      /* between row groups of spooled files, so that it is warm */
    atomic_uint *spools;  /* how many there are; NULL: files stay in memory */
    int64_t *write_ns;    /* CPU of writing spools; added to */
};

/* Encodes `sets`, all of one partition, into its file. Counts what is held now. After an error that file is broken:
 * ERR_INVALID, or what the store says. */
int files_add(struct file_build **files, const struct files_env *env, struct rowset **sets,
              size_t n, struct err *e);
bool files_same_partition(const struct shred_table *t, const struct rowset *a,
                          const struct rowset *b);
/* Finishes a file, once; its statistics may be asked for. */
int file_seal(struct file_build *f, struct err *e);
/* Makes all sealed spools durable; nothing of those that fail is left. */
int files_store(struct file_build *files, struct err *e);
/* What is spooled and was never offered goes from the store as well. */
void files_free(struct file_build **files);

#endif
