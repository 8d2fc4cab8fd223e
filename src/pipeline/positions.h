/* positions: what each commit says of positions in the table itself (protocol/position_map.h). */
#ifndef INLET_PIPELINE_POSITIONS_H
#define INLET_PIPELINE_POSITIONS_H

#include "pipeline/pipeline_int.h"
#include "protocol/position_map.h"

/* The table property of the inlet.position or inlet.cover kind; ERR_INVALID where it cannot be read. */
int positions_read(const struct table *t, const char *key, struct position_map *out, struct err *e);

/* One commit's properties, made anew from the base before each offer. */
struct positions_offer {
    struct commit_job *job;
    struct append *append; /* the caller's own */
    struct position_prop *props; /* each property that the plan speaks of, and its map in the base */
    uint32_t n_props;
    struct map known;                   /* key -> its index + 1 */
    uint32_t *shard_prop, *cover_prop; /* by shard, by cover */
    const char **pairs;               /* key, value, ..., NULL: what table_append sets */
    const char **gone;                /* keys, NULL: what it removes */
    size_t n_pairs, n_gone;
    char **expired; /* what the two point to, beside `props` */
    size_t n_expired;
};
void positions_offer_init(struct positions_offer *o, struct commit_job *job);
void positions_offer_fini(struct positions_offer *o);
/* append.validate: ERR_FENCED with job->lost_shard where it is a shard's fence; then the pairs. */
int positions_validate(void *ctx, const struct table *t, bool rebased, struct err *e);

#endif
