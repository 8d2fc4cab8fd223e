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
    struct store *store;        /* of a spool or of what is stored, if it is the lake's: a table's own may go */
    char *key, *root;           /* likewise: its name there, and what that is the root of */
    atomic_uint *spools;
    size_t spooled; /* bytes that the spool took */
    bool stored;  /* it is there, and no more in memory */
    bool complete; /* no more rows are to come before the commit */
    bool offered; /* somebody may refer to it: it stays */
    struct pq_cost cost;
    int32_t schema_id;
    bool sealed;  /* finished: takes no more rows */
    size_t bytes; /* heap held, as last counted */
    size_t encoded; /* the file's own, so far */
    uint32_t number; /* of the table's files */
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
    struct workers *workers; /* who encode */
    struct buf *out;      /* between row groups of spooled files, so that it is warm */
    atomic_uint *spools;  /* how many there are; NULL: files stay in memory */
    int64_t *write_ns;    /* CPU of writing spools; added to */
    bool last;            /* `sets` are all there are of their partition until the commit, */
    bool more;            /* ... with those of the next call */
    size_t held;          /* by the files; kept up to date */
    struct file_build **open; /* files_begin: those that may take rows, by partition */
    size_t n_open;
};

/* Before rows are added, each partition's at once; and after all. */
void files_begin(struct file_build *files, struct files_env *env);
void files_end(struct files_env *env);
/* Encodes `sets`, all of one partition, into its file. Counts what is held now. After an error that file is broken:
 * ERR_INVALID, or what the store says. */
int files_add(struct file_build **files, struct files_env *env, struct rowset **sets,
              size_t n, struct err *e);
/* By partition: 0 where they go into the same. */
int files_compare(const struct shred_table *t, const struct rowset *a, const struct rowset *b);
/* Finishes a file, once; its statistics may be asked for. */
int file_seal(struct file_build *f, struct err *e);
/* Puts the files that are in memory, so that they leave it, a few at a time: of `all`, or of those that are complete.
 * What is not put after an error stays; *broken: one could not be sealed, and is of no use. */
#define FILES_PUT_AT_ONCE 256
int files_put(struct file_build *files, const struct table *t, const struct store *lake, bool all, bool *broken,
              struct err *e);
size_t files_held(const struct file_build *files);
/* Makes all sealed spools durable; nothing of those that fail is left. */
int files_store(struct file_build *files, struct err *e);
/* What is spooled and was never offered goes from the store as well. */
void files_free(struct file_build **files);

#endif
