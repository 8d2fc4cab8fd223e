/* positions: the table property inlet.position.<stream>: {"<shard>": "<sequence>[:<note>]", ...}. */
#ifndef INLET_PIPELINE_POSITIONS_H
#define INLET_PIPELINE_POSITIONS_H

#include "pipeline/pipeline_int.h"

#define POSITION_PREFIX "inlet.position."
#define OFFER_STREAMS_MAX 4096

/* What this table holds of a shard; SEQ_NONE if nothing. */
int positions_read(const struct table *t, const char *identity, const char *shard, struct seq *out,
                   struct err *e);

/* One commit's properties, made anew from the base before each offer. */
struct positions_offer {
    struct commit_job *job;
    const char **pairs; /* key, value, ..., NULL: what table_append sets */
    char **owned;
    size_t n_owned;
};
void positions_offer_init(struct positions_offer *o, struct commit_job *job);
void positions_offer_fini(struct positions_offer *o);
int positions_validate(void *ctx, const struct table *t, bool rebased, struct err *e);

#endif
