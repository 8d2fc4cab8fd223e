/* positions: what each commit says of positions in the table itself (protocol/position_map.h). */
#ifndef INLET_PIPELINE_POSITIONS_H
#define INLET_PIPELINE_POSITIONS_H

#include "pipeline/pipeline_int.h"
#include "protocol/position_map.h"

/* What a table holds of a stream's shards; ERR_INVALID where that cannot be read. */
int positions_read(const struct table *t, const char *identity, struct position_map *out,
                   struct err *e);

/* One commit's properties, made anew from the base before each offer. */
struct positions_offer {
    struct commit_job *job;
    struct position_stream *streams; /* each stream that the plan speaks of, and its map in the base */
    uint32_t n_streams;
    uint32_t *stream_of; /* by shard number */
    const char **pairs;  /* key, value, ..., NULL: what table_append sets */
};
void positions_offer_init(struct positions_offer *o, struct commit_job *job);
void positions_offer_fini(struct positions_offer *o);
int positions_validate(void *ctx, const struct table *t, bool rebased, struct err *e);

#endif
