/* run_int: one incarnation of the pipeline: from reading positions to the last commit. A fence or a
 * quarantine ends it, and the next begins from the lake alone. */
#ifndef INLET_PIPELINE_RUN_INT_H
#define INLET_PIPELINE_RUN_INT_H

#include "pipeline/pipeline_int.h"

#define COMMITTERS 4
#define INBOX_EVENTS 65536
#define RECORD_BYTES_MAX ((size_t)10 << 20)
#define LEASE_RENEW_MS 3000
#define LEASE_FAILOVER_MS 10000
#define CHECKPOINT_MS 5000

struct run {
    const struct pipeline_config *config;
    struct pipeline_report *report;
    const struct clock *clock;
    struct lake lake;
    struct lease_store *leases;
    struct router router;
    struct dedup *dedup;
    struct budget *budget;  /* rows and encoded files */
    struct budget *fetched; /* what is read and not yet shredded: little, to stay in the caches */
    struct queue *inbox, *commits;
    struct workers *workers;
    struct protocol *protocol;
    pthread_t committers[COMMITTERS];
    uint32_t n_committers;

    struct pshard *shards;
    uint32_t n_shards;
    struct source **sources;
    size_t n_sources, next_source; /* files are read one after the other */
    char owner[128];

    /* What each table held of each shard when it was taken: skip[table * n_skip_shards + shard].
     * Written before a shard is started, read by shredders under `skip_lock`. */
    pthread_rwlock_t skip_lock;
    struct map skip; /* "table number:shard number" -> struct seq * */

    /* What the sources sent while there was no memory for more rows: kept in order. */
    struct source_event **deferred;
    size_t deferred_head, n_deferred, cap_deferred;

    bool draining, failed, restart, shard_ending;
    struct err error;
    int64_t started_ms, last_cut_ms, last_checkpoint_ms, last_progress_ms, tip_since_ms;
    int64_t last_told_ms, last_commit_wall_ms;
    uint64_t open_batches, committing;
};

/* run_start.c */
int run_open(struct run *r, struct err *e);
int run_sources(struct run *r, struct err *e);
int run_take_shard(struct run *r, struct source *source, const struct source_shard *shard,
                   struct err *e);
/* For the shards taken from number `first` on, leases in hand and before any is started. */
int run_read_positions(struct run *r, uint32_t first, struct err *e);
int run_start_ready(struct run *r, struct err *e); /* starts every leased shard that may be */
void run_close(struct run *r);
bool run_passed(void *ctx, const struct shred_table *table, uint32_t shard, struct seq seq);
struct shred_table *run_route(void *ctx, const struct event_name *name, enum reason *why);


/* restore.c: the hot window from the lake. */
int run_restore_dedup(struct run *r, struct err *e);

/* progress.c */
void progress_line(struct run *r, bool last);
void progress_clear(void);
/* To config->live, about once a second; `now`: at once. */
void progress_tell(struct run *r, bool now);
void progress_tell_commit(struct run *r, const struct commit_job *job);

#endif
