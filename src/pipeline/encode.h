/* encode: the rows of one table and partition, from all shredders, to one Parquet file's bytes. */
#ifndef INLET_PIPELINE_ENCODE_H
#define INLET_PIPELINE_ENCODE_H

#include "base/buf.h"
#include "base/err.h"
#include "parquet/parquet.h"
#include "schema/schema.h"
#include "shred/shred.h"

struct encode_env {
    const struct schema *schema;          /* agreed */
    const char *stream;                   /* dead letters' stream column; NULL: null */
    const char *const *shard_names;       /* by the number in shard_run; NULL entries are null */
    uint32_t n_shards;
    int zstd_level;
    const char *created_by;
};

/* The Parquet schema of an Iceberg schema: what it cannot hold (maps, uuids, times of others' making)
 * is left out, for a reader finds such columns null by their absence. Free with
 * encode_schema_free. */
struct pq_schema *encode_schema(const struct schema *s);
void encode_schema_free(struct pq_schema *s);

/* Writes the file into `out` and returns its writer, finished, for its statistics (free with
 * pq_writer_free). `sets` are sorted by the call, by event_subtype, then event_name. */
struct pq_writer *encode_file(const struct encode_env *env, struct rowset **sets, size_t n,
                              struct buf *out, struct pq_cost *cost, struct err *e);

#endif
