/* run_int: the state of a run, from reading positions to the last commit. All is the coordinator's own
 * but for what has a lock or says otherwise. */
#ifndef INLET_PIPELINE_RUN_INT_H
#define INLET_PIPELINE_RUN_INT_H

#include "pipeline/pipeline_int.h"

#define COMMITTERS_LOCAL 24 /* they wait for the disk */
#define COMMITTERS 12      /* they wait for a store or catalog over the network, mostly */
#define INBOX_EVENTS 65536
#define RECORD_BYTES_MAX ((size_t)10 << 20)
#define LEASE_RENEW_MS 3000
#define LEASE_FAILOVER_MS 10000
#define CHECKPOINT_MS 5000
#define RESTARTS_MAX 20 /* in RESTARTS_MS; more: something is wrong that a restart does not mend */
#define RESTARTS_MS ((int64_t)10 * 60 * 1000)

struct run {
    const struct pipeline_config *config;
    struct pipeline_report *report;
    const struct clock *clock;
    struct lake lake;
    struct lake_store_options stores;
    struct lease_store *leases;
    struct router router;
    struct dedup *dedup;
    struct budget *budget;  /* rows and encoded files */
    struct budget *fetched; /* what is read and not yet shredded: little, to stay in the caches */
    struct queue *inbox, *commits;
    struct workers *workers;
    uint32_t shredders;
    struct desks *desks; /* as many as workers */
    struct protocol *protocol;
    pthread_t committers[COMMITTERS_LOCAL];
    uint32_t n_committers;

    struct pshard *shards;
    uint32_t n_shards;
    struct source **sources;
    size_t n_sources, next_source; /* files are read one after the other */
    char owner[128];

    /* Up to where each table holds each shard, itself or in dead letters, when its reading began:
     * skip[table * skip_shards + shard]. Read by shredders under `skip_lock`. */
    pthread_rwlock_t skip_lock;
    struct seq *skip;
    uint32_t skip_tables, skip_shards;

    struct source_event **deferred; /* gather.c: what the sources sent, kept in order */
    size_t deferred_head, n_deferred, cap_deferred;
    int64_t gather_until_ms; /* 0: it waits for memory alone */

    bool draining, failed, shard_ending;
    bool restarting; /* what is under way comes back, then all uncommitted is dropped */
    bool returning;  /* commits of tables that come back, before anything is read */
    bool mark_due;   /* see protocol_must_mark */
    bool children_due; /* a shard ended, and not all that came of it could be taken */
    bool stood_by;     /* at the start, for leases of others */
    bool restore_due;  /* a shard is ours again: the hot window lacks what others made of it */
    atomic_uint spools; /* files that are written while they are encoded */
    bool drafts;     /* nobody else seems to change the tables: see table_draft */
    int64_t restart_ms[RESTARTS_MAX]; /* when the last ones were; a ring */
    uint32_t n_restarts, retakes_failed; /* of the latter, one after the other */
    int64_t restarting_since_ms, start_at_ms, last_commit_ms, last_retake_ms;
    struct err error;
    int64_t started_ms, last_cut_ms, last_checkpoint_ms, last_renew_ms, last_progress_ms, tip_since_ms;
    int64_t last_watch_ms, last_told_ms, last_commit_wall_ms;
    uint64_t open_batches, committing;
    size_t open_bytes; /* of these batches */
    double expansion;  /* bytes of rows by bytes of batches, of late; grows at once */
    bool expansion_known; /* else one batch at a time is enough */
    size_t files_held;    /* what encoded files of tables that nobody is at hold, */
    uint32_t files_tables; /* ... and how many tables those are */
    size_t excess;        /* of the budget, that others than rows have */
    uint32_t job_columns; /* of tables that committers are at */
    size_t sets_waiting;  /* of tables that have so many that it is time to commit */
    bool cuts_join;       /* most of what the last cut brought joined what waited already */
    _Atomic size_t batch_most; /* of a file, so that what comes of it has room */
    uint32_t unsettled; /* tables */
    struct map loads;   /* loads.c: what is known of the files at hand */
    struct map paths;   /* adopt.c: theirs */
    struct map idle_leases; /* ... and under which identities nobody was at work before the tables were read: counters + 1 */
    struct map told;    /* ... files that ended long ago: identity -> where, as inlet_loads tells; + 1 */
    size_t *same_path; /* of each source, the one before of the same path, counted from 1; 0: none */
};

/* It ends when it is told to, not at the end of its input. */
static inline bool run_endless(const struct run *r)
{
    return r->config->stream || r->config->follow;
}

/* Set by a signal's handler, or by another thread. */
static inline bool run_asked_to_stop(const struct run *r)
{
    return __atomic_load_n(r->config->stop, __ATOMIC_RELAXED) != 0;
}

/* run_start.c */
/* From nothing but config, report and clock to reading, or to run_close. */
int run_start(struct run *r, struct err *e);
void run_close(struct run *r);
bool run_passed(void *ctx, const struct shred_table *table, uint32_t shard, struct seq seq);
struct shred_table *run_route(void *ctx, const struct event_name *name, enum reason *why);

/* leases.c */
/* Is it another's, who may be alive? */
bool run_lease_held(const struct run *r, const struct lease *l);
int run_take_lease(struct run *r, struct lease *l, struct err *e); /* ERR_CONFLICT: somebody was quicker */
/* Waits until it is nobody's, or its owner shows no life for the failover time. ERR_CONFLICT: he lives. */
int run_lease_abandoned(struct run *r, struct lease *l, struct err *e);
/* Those held, every LEASE_RENEW_MS at most: to be called while the coordinator waits for something. */
void run_renew(struct run *r);
/* What takes as long as a service likes: fn of each index, or a single call of it, on other threads, and what is held is
 * renewed meanwhile. Touches no lease, and nothing that the coordinator would not let alone while it waits. */
void run_each(struct run *r, size_t n, void (*fn)(void *ctx, size_t i), void *ctx);
int run_call(struct run *r, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e);

/* shards.c */
/* One that is new. Whose lease somebody has is taken later: see run_retake. */
int run_take_shard(struct run *r, struct source *source, const struct source_shard *shard, struct err *e);
int run_take_all(struct run *r, struct source *source, struct err *e);
/* At the start, until there is something to read: all files, or one shard of a stream with shared leases. ERR_CONFLICT:
 * another is at work on what he does not share. */
int run_stand_by(struct run *r, struct err *e);
/* For the shards just leased, before any of these is started. A restart may be due then. After an error they still
 * wait for it. */
int run_read_positions(struct run *r, struct err *e);
void run_skips_refresh(struct run *r);
int run_start_ready(struct run *r, struct err *e); /* starts every leased shard that may be */
/* Lost shards whose leases are free again, and whatever of this failed before. */
int run_retake(struct run *r, struct err *e);
bool run_retake_due(const struct run *r);
bool run_any_unread(const struct run *r); /* leased, and what the tables hold of it is not known */
/* Will it pass, of a run that others keep going? Then the same is tried again later. */
bool run_waits_out(const struct run *r, const struct err *e);
void run_fail_or_wait(struct run *r, const struct err *e); /* says that it will be tried again, where it will pass */

/* restart.c: being fenced, losing a shard, quarantine, and a table that comes back. */
/* Nothing more goes out; what is under way comes back first. `lost`: this shard is given up. */
void restart_begin(struct run *r, uint32_t lost, const struct err *why);
/* What is due of all that. */
void restart_tick(struct run *r, int64_t now);
void restart_set_routes(struct run *r);
bool restart_waits(const struct run *r); /* nothing is cut, sent or called drained meanwhile */
void run_fail(struct run *r, const struct err *e);

/* pressure.c */
#define PRESSURE_EXPANSION 16.0 /* until it is known */
struct pressure {
    bool rows;     /* encode tables with many rows; */
    bool full;     /* ... all there is */
    size_t many;   /* bytes */
    size_t commit; /* commit tables that hold so many encoded bytes; 0: none */
    size_t commit_thin; /* likewise so many in rows that it is no use to encode */
};
/* Rows weigh several times their encoded bytes: they are encoded first, and committed once the
 * encoded ones are a good part of the budget, those of the larger tables. */
struct pressure pressure_now(struct run *r);
bool pressure_encodes(const struct run *r, const struct ptable *t, const struct pressure *p);
/* Now, or carried on? Size, age (five times that while less than a megabyte waits), the end, or want
 * of memory. */
bool pressure_commits(const struct run *r, const struct ptable *t, const struct pressure *p, int64_t now);
bool pressure_cuts(struct run *r, int64_t since_ms); /* early */
/* Batches wait here, not at the shredders: a cut must not wait for a batch that waits for memory. */
bool pressure_full(struct run *r);
void pressure_learn(struct run *r, const struct msg *m); /* of a batch that is done */
void pressure_watch(struct run *r, int64_t now); /* what the process holds: gives back what is free, where that is nearly all that it may */
void pressure_files(struct run *r, struct ptable *t, size_t bytes); /* what its files hold now */
size_t pressure_files_room(const struct run *r);
uint32_t pressure_columns(const struct ptable *t);
/* A commit takes memory for each column: footer, statistics, schema. Those under way have enough of them. */
bool pressure_jobs_full(const struct run *r, const struct ptable *t);

/* gather.c: source events that are not handled yet. */
void gather_keep(struct run *r, struct source_event *ev);
struct source_event *gather_take(struct run *r);
/* Is it, a stream's, to wait until more of it is there? */
bool gather_begins(struct run *r, const struct source_event *ev, int64_t now);
bool gather_goes_on(struct run *r, int64_t now);

/* pipeline.c */
void run_send_job(struct run *r, struct ptable *t, enum job_kind kind, int64_t now);

/* How many tables are read at once, where all of them are: each request to S3 is waited for. */
unsigned run_readers(const struct run *r);

/* restore.c: the hot window from the lake. */
/* `again`: with what others committed while they had a shard of ours. */
int run_restore_dedup(struct run *r, bool again, struct err *e);

/* progress.c */
void progress_line(struct run *r, bool last);
void progress_clear(void);
/* To config->live, about once a second; `now`: at once. */
void progress_tell(struct run *r, bool now);
void progress_tell_commit(struct run *r, const struct commit_job *job);

#endif
