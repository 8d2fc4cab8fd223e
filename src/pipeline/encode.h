/* encode: the rows of one table and partition, from all shredders, to a row group of a Parquet file. */
#ifndef INLET_PIPELINE_ENCODE_H
#define INLET_PIPELINE_ENCODE_H

#include "base/buf.h"
#include "base/err.h"
#include "parquet/parquet.h"
#include "schema/schema.h"
#include "shred/shred.h"

/* What is kept of a table from row group to row group: its leaves, and what its columns taught. One
 * thread at a time (who holds the table). */
struct encode_kept;
struct encode_kept *encode_kept_new(void);
void encode_kept_free(struct encode_kept *k);

struct encode_env {
    const struct schema *schema;          /* agreed */
    const struct schema_ids *ids;         /* of our columns in it; NULL: their own */
    const char *const *streams;           /* dead letters' stream column, and ... */
    const char *const *shard_names;       /* ... _shard, by the number in shard_run; NULL entries are null */
    uint32_t n_shards;
    int zstd_level;
    const char *created_by;
    struct encode_kept *kept;
    struct pq_scratch *scratch;           /* the thread's; NULL: made for each row group */
};

/* The Parquet schema of an Iceberg schema: what it cannot hold (maps, uuids, times of others' making)
 * is left out, for a reader finds such columns null by their absence. Its names are those of `s`. Free with
 * encode_schema_free. */
struct pq_schema *encode_schema(const struct schema *s);
void encode_schema_free(struct pq_schema *s);

/* A file into `out`, of the schema in `env`; row groups are added until the caller finishes it with
 * pq_writer_finish. `cost` lives as long as the writer. */
struct pq_writer *encode_open(const struct encode_env *env, struct buf *out, struct pq_cost *cost);
/* One row group of the rows of `sets`, which the call sorts by event_subtype, then event_name.
 * `env->schema` is the one that the file was opened with. After an error the file is of no use. */
int encode_group(const struct encode_env *env, struct pq_writer *w, struct rowset **sets, size_t n,
                 struct err *e);

#endif
