/* live: what a running pipeline says of itself to other threads: health, metrics, status.
 *
 * The pipeline publishes a snapshot about once a second; readers take copies. Counters only grow, over
 * restarts and further runs too. Thread-safe. */
#ifndef INLET_PIPELINE_LIVE_H
#define INLET_PIPELINE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h"
#include "shred/shred.h"

enum live_state {
    LIVE_STARTING, /* stores, leases (standing by for another worker, too), positions */
    LIVE_READING,
    LIVE_DRAINING, /* asked to stop, or at the end: what is read is being committed */
    LIVE_ENDED,
};

struct live_stats {
    enum live_state state;
    int64_t published_boot_ms; /* boot time of this snapshot; 0: none yet */
    struct shred_counts counts;
    uint64_t commits, commit_failures, files, rows_committed, bytes_committed, restarts;
    int64_t commit_wall_ns;        /* sum, of commits that were done */
    int64_t lag_ms;                /* the worst shard's; 0 at the tip */
    int64_t uncommitted_age_ms;    /* of the oldest rows that are not committed; 0: there are none */
    int64_t last_commit_wall_ms;   /* Unix time; 0: none yet */
    uint32_t shards, tables, tables_unavailable;
    uint64_t memory_used, memory_limit; /* of the budget, bytes */
};

struct live_table {
    char name[EVENT_TABLE_MAX + 1];
    uint64_t commits, files, rows, bytes; /* committed */
    uint64_t duplicates, rescued;         /* read */
};

struct live;

/* tables_max: so many tables are counted one by one, in the order of their first row; all others
 * together as "_other", so that metrics stay bounded whatever producers send. */
struct live *live_new(uint32_t tables_max);
void live_free(struct live *l);

/* Writers: the pipeline. NULL is allowed everywhere: nothing is kept then. */
void live_state(struct live *l, enum live_state state);
void live_publish(struct live *l, const struct live_stats *s); /* its state is left as it is */
/* Adds `more` (its name too says which table). */
void live_table_add(struct live *l, const struct live_table *more);

/* Copies of all there is. *tables is heap, in the order of their first row. */
void live_read(struct live *l, struct live_stats *s, struct live_table **tables, size_t *n);

#endif
