/* pipeline_int: what the pipeline's own files share. See pipeline.h. */
#ifndef INLET_PIPELINE_PIPELINE_INT_H
#define INLET_PIPELINE_PIPELINE_INT_H

#include <pthread.h>

#include "base/budget.h"
#include "base/map.h"
#include "base/queue.h"
#include "lease/lease.h"
#include "parquet/parquet.h"
#include "pipeline/desks.h"
#include "pipeline/files.h"
#include "pipeline/pipeline.h"
#include "protocol/protocol.h"
#include "source/source.h"
#include "table/table.h"

struct workers;

#define DEAD_LETTERS "inlet_dead_letters"
#define BASES_BYTES ((size_t)16 << 20) /* of the metadata of tables that nobody is at, about; more is packed */
#define TABLES_AT_ONCE 16u             /* at the start: each is a tree of JSON */

/* A table of the lake as the pipeline knows it. `st` is what shredders see. Everything else belongs to
 * the coordinator, but for `handle` and `agreed`, which belong to the committer while `busy`. */
struct ptable {
    struct shred_table st;
    struct pipeline_table_config const *config;
    struct table *handle;     /* NULL until first loaded or made */
    struct schema_ids ids; /* of our columns in it */
    int32_t spec_id;      /* the partition spec that rows are split by */
    struct partition_field partition[PARTITION_FIELDS_MAX]; /* source ids: ours */
    uint32_t n_partition;
    struct rowset *pending;   /* of closed epochs, not encoded */
    size_t pending_bytes, waiting_bytes; /* all; what the last encoding left to wait for more */
    uint64_t pending_rows, pending_sets;
    struct encode_kept *kept; /* belongs to the committer while `busy`, as the handle */
    struct file_build *files; /* encoded, uncommitted */
    size_t files_bytes;
    size_t files_encoded;     /* their own bytes, wherever they are */
    uint64_t files_rows;
    int64_t pending_since_ms; /* boot time of the oldest rows of both */
    bool busy;                /* a job of it is under way, or its last commit is not settled */
    bool must_commit;         /* so that its refusals are counted */
    struct commit_job *unsettled; /* to be looked up at retry_at_ms; it holds the rows and files */
    int64_t unsettled_since_ms;
    int64_t retry_at_ms, refused_since_ms; /* 0: not refused */
    uint32_t attempts;
    uint64_t told_duplicates, told_rescued; /* to config->live */
    bool unopened;            /* it could not be opened at the start */
    bool made;                /* it was in the catalog when last nobody was at it */
    bool rebind;              /* its columns are at odds with ours: a new registry at the restart */
    int64_t probe_at_ms;      /* quarantined: when it is tried again */
    struct seq *lettered;     /* st.lettered; changed while nothing is shredded */
};

/* The tables, found by name from every shredder. */
struct router {
    pthread_mutex_t lock;     /* to add one, or find it by its name */
    const struct pipeline_config *config;
    struct map by_name;       /* struct ptable * */
    struct ptable **tables;   /* by st.number; number 0 is the dead letters'; room for all that there may be, */
    uint32_t most;            /* ... so many beside these */
    _Atomic uint32_t count;   /* those below it are read without the lock */
};
void router_init(struct router *r, const struct pipeline_config *config);
void router_fini(struct router *r);
/* For n tables that are there, however few there may be: whose records are read again are still theirs. Before any thread. */
void router_make_room(struct router *r, size_t n);
/* The table, made (in memory) if need be; NULL where there are too many. Thread-safe. */
struct ptable *router_table(struct router *r, const char *name);
struct ptable *router_at(struct router *r, uint32_t number);
uint32_t router_count(struct router *r);
struct ptable *router_dead_letters(struct router *r);
/* A new registry, bound to the table as it is now: no shredder may hold one of its nodes. */
int router_rebind(struct router *r, struct ptable *t, struct err *e);
/* Is it a table of ours, partitioned in a way that inlet writes? Its ids of our columns. ERR_INVALID says what to do. */
int router_check(const struct ptable *t, const struct table *handle, struct schema_ids *ids,
                 struct err *e);
/* Takes the handle and reads partitioning and schema from it. */
int router_bind(struct ptable *t, struct table *handle, struct err *e);

struct shard_counts {
    uint64_t records, rows, duplicates, dead;
};

/* A shard being read. */
struct pshard {
    struct source *source;
    const char *identity;
    char *id;
    struct lease lease;
    bool leased, started, ended, closed_at_source, tip;
    bool unread;    /* leased, but what the tables hold of it has not been read: it is not the protocol's yet */
    bool lost;      /* given up: whoever has it may give it back */
    bool elsewhere; /* lost, and somebody else is at work on it */
    struct seq from; /* where reading begins (or began), and its note */
    char from_note[PROTOCOL_NOTE_MAX];
    struct shard_counts counts; /* since `from` */
    int64_t started_us;
    uint64_t seen_counter; /* of a lost lease, and since when */
    int64_t seen_since_ms;
    bool goes_on; /* it, or a parent of it, was read before this start */
    struct seq read_upto; /* before the last restart: what is read up to there has been counted */
    uint32_t generation;
    int64_t lag_ms;
};

enum job_kind {
    JOB_ENCODE, /* the rows, into files in memory */
    JOB_COMMIT,
    JOB_SETTLE, /* looks up what came of a commit */
    JOB_PROBE,  /* does a quarantined table work again? */
};

/* One table's encoding or commit, made by the coordinator, done by a committer, and sent back. */
struct commit_job {
    struct ptable *table;
    enum job_kind kind;
    struct rowset *rows;      /* to encode; what is left of them after a failure, or waits for more */
    size_t bytes;             /* of rows */
    struct file_build *files; /* all that the table has under way */
    uint64_t n_rows, n_encoded, files_rows; /* rows at the start; encoded by this job; before it */
    struct budget *budget;
    size_t held;              /* by the files, as the budget was told */
    uint32_t columns;         /* about, of the table */
    size_t files_room;        /* so much more they may hold before a commit is due */
    struct protocol_plan plan;
    const struct lake *lake;
    const struct pipeline_config *config;
    struct lease_store *leases;
    const char *owner;
    const struct map *told;   /* see positions.c */
    struct desks *desks;
    struct workers *workers;  /* who encode */
    size_t rest_above;        /* bytes of metadata: table_rest */
    atomic_uint *spools;      /* see files_env */
    bool drafts;              /* new columns are agreed by the commit itself */
    const char **shard_names; /* what _shard says: NULL for files */
    char **shard_identities;
    char **shard_ids;         /* own copies */
    bool *shard_ended;        /* and all of it is committed */
    uint32_t n_shards;
    const char **cover_tables; /* names, by the plan's covers */
    uint32_t settle_tries;
    struct append_attempt attempt;
    /* results */
    int rc;
    struct err err;
    uint32_t lost_shard; /* that another worker has; PROTOCOL_NO_SHARD: none */
    bool aged;           /* the rows are too old to be committed */
    bool contradicted;   /* somebody's columns are at odds with ours: read again, with theirs */
    bool broken;         /* rows were lost from memory: only a restart helps */
    bool unknown;        /* no answer: to be settled */
    enum protocol_settled seen;
    bool base_moved;
    struct table *probed; /* the table that works again */
    uint32_t n_files;
    uint64_t bytes_written;
    struct pq_cost cost;
    int64_t write_ns, commit_ns, write_wall_ns, commit_wall_ns;
};
void commit_job_run(struct commit_job *job);
/* What the manifest says of a finished file; takes `key`, and its leaves are heap, with bounds that are the writer's. */
void commit_data_file(struct data_file *f, const struct pq_writer *w, char *key,
                      struct partition_value *partition);
/* Opens the table, making it if need be; t->handle. */
int commit_open_table(struct ptable *t, const struct lake *lake, struct err *e);
/* Is it in the catalog, as far as we know? */
static inline bool ptable_there(const struct ptable *t)
{
    return t->handle && !table_planned(t->handle);
}
/* Sets one property and so moves the table's base, by a commit that moves no position. */
int commit_move_base(struct table *t, const char *key, const char *value, struct err *e);
void commit_job_free(struct commit_job *job); /* and its rows */

/* Messages to the coordinator beside the sources' own. */
enum {
    MSG_BATCH_DONE = 100,
    MSG_COMMIT_DONE,
};
struct msg {
    struct source_event ev; /* first: ev.kind tells */
    uint64_t epoch;
    uint32_t shard, generation;
    struct shard_counts counts; /* of a batch that is done, */
    size_t bytes, grew;         /* ... its bytes, and how many the rows of it take, */
    uint32_t sets;              /* ... in sets that were not there */
    struct commit_job *job;
};

/* Shredder threads. */
struct workers_env {
    struct shred_env shred;
    struct budget *budget;
    struct queue *inbox;
    uint32_t threads;
    size_t open_max;         /* bytes of rows that one thread may have open */
    uint32_t partitions_max; /* row sets that one thread may have open: see shredder_shed */
    const struct clock *clock;
};
struct work_item {
    struct task *task; /* NULL: a batch */
    struct source_batch *batch;
    bool check_positions;
    bool again;            /* records of it, */
    struct seq again_upto; /* ... up to this one, were shredded and counted before */
};
struct workers *workers_start(const struct workers_env *env);
void workers_push(struct workers *w, const struct work_item *item);
/* Calls fn(arg), which computes and waits for nothing, on one of the threads before all else that is queued, and waits for
 * its end. With a single thread the caller does it himself: a change of threads costs more there than it gives. Until
 * workers_stop. */
void workers_run(struct workers *w, void (*fn)(void *arg), void *arg);
/* All rows of epochs <= epoch, every batch of which is done: a list. Waits for nobody who computes. */
struct rowset *workers_collect(struct workers *w, uint64_t epoch);
/* Rows that came of them, of no use any more: the budget has their bytes again. */
void workers_drop(struct workers *w, struct rowset *list);
void workers_counts(struct workers *w, struct shred_counts *out, int64_t *shred_ns);
/* Forgets what the shredders have learned, for registries that are about to go. Nothing is queued. */
void workers_forget(struct workers *w);
size_t workers_open_bytes(struct workers *w); /* of rows that no cut has taken */
size_t workers_open_sets(struct workers *w);  /* their sets */
void workers_stop(struct workers *w); /* drops what is queued; joins */

#endif
