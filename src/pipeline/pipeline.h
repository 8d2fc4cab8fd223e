/* pipeline: threads: fetch -> shred -> encode -> commit; epochs, budget, progress.
 *
 * pipeline_run consumes a stream or files into a lake until it is done, stopped or failed. It blocks;
 * everything it starts has ended when it returns. What is committed is committed: killing the process
 * at any moment loses and doubles nothing. */
#ifndef INLET_PIPELINE_PIPELINE_H
#define INLET_PIPELINE_PIPELINE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "catalog/catalog.h"
#include "event/event.h"
#include "pipeline/live.h"
#include "schema/registry.h"
#include "shred/shred.h"
#include "store/store.h"

struct pipeline_table_config { /* from the YAML's tables: */
    const char *name;
    const char *const *partition_by; /* "event_subtype", "hour(event_time)", ...; NULL-ended; NULL:
                                        day(event_time) */
    const struct declared_column *columns;
    size_t n_columns;
};

enum pipeline_start { PIPELINE_TRIM_HORIZON, PIPELINE_LATEST, PIPELINE_AT_TIME };

/* A source and leases of the caller's own (src/lambda, src/replay), instead of a stream's or files'. */
struct source_env;
struct pipeline_feed {
    struct source *(*open_source)(void *ctx, const struct source_env *env, struct err *e);
    struct lease_store *(*open_leases)(void *ctx, struct err *e);
    void *ctx;
    bool restore_dedup; /* the dedup window is rebuilt from the lake */
    /* Its records are dead letters: */
    uint32_t letters_stay; /* reasons, as bits: of what still is one by these, no other is written, and no table's cover moves.
                              It is read from its beginning at each start. */
    void (*judged)(void *ctx, const char *shard, uint64_t rows); /* else NULL: nothing is committed, and in the end it is
                                                                    told how many rows there would be */
};

struct pipeline_config {
    /* Where from: a stream's name, or files ("-" is standard input). */
    const char *stream;
    const char *const *files;
    size_t n_files;
    struct source_objects *objects; /* in S3, beside the files; NULL: none (source/objects.h) */
    bool follow; /* files grow: read all at once, until stopped */
    const struct pipeline_feed *feed; /* with `stream` its name; NULL: open one of the above */
    enum pipeline_start start;
    int64_t start_time_ms;
    bool until_caught_up; /* end once every shard is at its tip; files always end */

    /* Where to. */
    const char *lake;    /* a directory, or s3://BUCKET/PREFIX; NULL: the catalog places its tables */
    struct store_options store; /* how the lake is reached; `sync` is that below */
    const char *catalog; /* a URI (catalog_open); NULL: sqlite:<lake>/catalog.db of a directory */
    struct catalog_options catalog_options; /* what else it takes; uri and clock are set here */
    const char *leases;  /* a URI (lease_open_uri); NULL: leases.db in the lake, or beside the catalog */
    const char *ns;      /* "events" */
    bool sync;           /* fsync what is committed */

    size_t memory_bytes;      /* the whole process; default 256 MB */
    uint32_t threads;         /* shredders; 0: one for each core it may use */
    int64_t commit_interval_ms;
    int64_t start_patience_ms; /* a stream's: how long its start is tried again while a service does not
                                  answer */
    int64_t quarantine_after_ms; /* of a table's refusal; files wait for nothing */
    size_t commit_bytes;      /* 32 MB encoded */
    int64_t dedup_window_us;
    size_t dedup_bytes;       /* 0: a share of the memory */
    enum time_unit time_unit;
    int zstd_level;
    uint32_t tables_max, partitions_max;
    struct registry_limits limits;
    const struct pipeline_table_config *tables;
    size_t n_tables;
    const uint8_t *hash_key;
    size_t hash_key_n;

    const volatile sig_atomic_t *stop; /* set: flush, commit and return */
    bool progress;                     /* a line on stderr, rewritten on a terminal */
    bool progress_tty;
    struct live *live; /* told how it goes; may be NULL */
    const char *version; /* "inlet version 0.1.0" */
};

struct pipeline_report {
    struct shred_counts counts;
    uint64_t commits, files, rows_committed, bytes_written;
    uint64_t dead_letters, still_dead; /* written; those that stay the letters they are */
    uint64_t commit_failures, restarts; /* tried again; from positions, after being fenced */
    uint64_t already_loaded; /* files of which nothing was left to read */
    double seconds;
    bool stopped; /* by the stop flag */
    size_t peak_budget_bytes;
    /* Stage times, nanoseconds of CPU summed over threads. */
    int64_t read_ns, shred_ns, encode_ns, compress_ns, write_ns, commit_ns;
    int64_t write_wall_ns, commit_wall_ns; /* with what was waited for the disk */
};

void pipeline_config_init(struct pipeline_config *c); /* the defaults */
int pipeline_run(const struct pipeline_config *c, struct pipeline_report *report, struct err *e);

#endif
