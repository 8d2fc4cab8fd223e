/* source: where records come from: files and standard input, or a Kinesis stream.
 *
 * A source runs its own I/O thread(s) and speaks by events into an inbox (a struct queue of
 * struct source_event *, owned by whoever pops them). It takes each batch's bytes from the budget
 * before it fetches them; whoever finishes the batch gives them back (source_batch_finish). A shard's batches
 * come in order; nothing is read of a shard before source_start. */
#ifndef INLET_SOURCE_SOURCE_H
#define INLET_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/queue.h"
#include "base/seq.h"
#include "event/record.h"

#define SOURCE_PAD 64 /* readable bytes past the end of every record's payload */

struct source;

struct source_shard {
    char *id;           /* "shardId-000000000000"; "0" for a file */
    char *parents[2];   /* NULL where none */
    bool closed;        /* reads end (SHARD_END) rather than wait at the tip */
};

/* A batch as fetched, not yet taken apart: that is the shredders' work (source_batch_next). */
enum batch_format {
    BATCH_NDJSON,      /* whole lines */
    BATCH_GET_RECORDS, /* the body of a Kinesis GetRecords answer */
};
struct body_record;
struct source_batch {
    struct source *source;
    uint32_t shard;        /* the number given to source_start */
    uint32_t generation;   /* likewise: a batch of an older generation is thrown away */
    enum batch_format format;
    uint8_t *data;         /* heap, SOURCE_PAD zero bytes after n_data */
    size_t n_data;
    struct body_record *parsed; /* GetRecords: its `records` records, views of data; NULL: still to parse */
    struct seq first, last; /* of its records; last is the position once it is all committed */
    uint64_t base_offset;  /* files: decompressed offset of data[0] */
    bool joined;           /* files: lines may hold several objects, one after the other */
    char position_note[24]; /* files: hex hash of the (up to) 4 KiB before `last`, checked on resume;
                               becomes part of the position's text. Else empty */
    int64_t arrived_us;    /* files: the time of the load; Kinesis: of the newest record */
    uint32_t records;      /* records (aggregates count one), if known; else 0 */
    struct source_spares *spares; /* where `data` goes back to; NULL: it is freed */
    size_t charged_bytes;  /* taken from `budget` */
    struct budget *budget; /* whoever finishes the batch gives them back: source_batch_finish */
    uint64_t tag;          /* the consumer's own (the epoch) */
};
/* Heap buffers of one size that go round between a reader and those who finish its batches: freed and made anew each
 * time, half a megabyte is memory that the system takes back and clears again. Thread-safe; counted by reference, for
 * batches outlive their source. */
struct source_spares;
struct source_spares *source_spares_new(size_t bytes);
struct source_spares *source_spares_ref(struct source_spares *s);
void source_spares_drop(struct source_spares *s);
uint8_t *source_spares_take(struct source_spares *s); /* one that came back, or a new one */
void source_spares_give(struct source_spares *s, uint8_t *p);

void source_batch_free(struct source_batch *b); /* does not touch the budget */
void source_batch_finish(struct source_batch *b); /* gives back what it was charged, and frees it */

/* What it gives points into the batch or its scratch, and lives until the next call. */
struct source_cursor; /* one per shredder thread, reused over batches; owns scratch */
struct source_cursor *source_cursor_new(void);
void source_cursor_free(struct source_cursor *c);
void source_cursor_start(struct source_cursor *c, const struct source_batch *b);
/* False at the end. Empty lines are skipped and not counted. */
bool source_cursor_next(struct source_cursor *c, struct record *out);
/* Of a file's batch: the next lines at once, as source_cursor_next gives them one by one. 0: that is to be asked, for
 * what comes next is not a whole line, or the lines may hold several objects. */
#define SOURCE_LINES 256
struct source_line {
    const uint8_t *payload;
    size_t n;
    uint64_t end; /* just past its newline */
};
uint32_t source_cursor_lines(struct source_cursor *c, struct source_line out[SOURCE_LINES]);
/* Of a GetRecords answer: the next records at once, up to `most`, as source_cursor_next gives them one by one; those there
 * is room for in what the caches hold. What they point to lives until the next call. 0 at the end. */
uint32_t source_cursor_records(struct source_cursor *c, struct record *out, uint32_t most);

enum source_event_kind {
    SOURCE_BATCH,     /* batch */
    SOURCE_TIP,       /* the shard has nothing more at the moment (MillisBehindLatest 0, or a read
                         that came empty at the tip); repeated at each such read */
    SOURCE_LAG,       /* lag_ms changed */
    SOURCE_SHARD_END, /* every record has been delivered; children (new shards) follow, may be none */
    SOURCE_FAILED,    /* this shard (or, shard == UINT32_MAX, the source) cannot go on: error */
    SOURCE_NOTICE,    /* throttled, endpoint down, back again: text for people, counted */
};
struct source_event {
    enum source_event_kind kind;
    uint32_t shard, generation;
    struct source_batch *batch;
    int64_t lag_ms;
    struct source_shard *children;
    size_t n_children;
    struct err error;
};
void source_event_free(struct source_event *ev);

enum source_start_kind { START_AFTER, START_TRIM_HORIZON, START_LATEST, START_AT_TIME };

struct source_ops {
    /* The stream's identity, as it stands in position properties: "<stream ARN>@<creation ms>", or
     * "file:<real path>#<hash>:<length>". Borrowed. */
    const char *(*identity)(struct source *s);
    /* All shards there are now, oldest first (heap; free with source_shards_free). */
    int (*shards)(struct source *s, struct source_shard **out, size_t *n, struct err *e);
    /* Where LATEST or a time is, as a sequence number: reading goes on *after* `*out` (TRIM_HORIZON
     * itself is SEQ_NONE). Called, and the answer stored in the lease, before the first read. */
    int (*resolve)(struct source *s, const char *shard, enum source_start_kind kind, int64_t time_ms,
                   struct seq *out, struct err *e);
    /* Begins reading `shard` after `after`. `note` is the position_note stored with that position
     * (NULL or "" if none). `number` and `generation` come back in its events. */
    int (*start)(struct source *s, const char *shard, uint32_t number, uint32_t generation,
                 struct seq after, const char *note, struct err *e);
    /* Stops reading it; batches already in the inbox still come. Idempotent, does not wait. */
    void (*stop)(struct source *s, uint32_t number);
    /* Stops everything and joins threads. */
    void (*close)(struct source *s);
};
struct source {
    const struct source_ops *ops;
    bool once; /* standard input, a pipe: cannot be read a second time */
    _Atomic int64_t cpu_ns; /* spent by its threads so far; may lag */
};

struct source_env {
    struct queue *inbox;
    struct budget *budget;
    const struct clock *clock;
    size_t window_max;  /* of zstd data, bytes: input_limit_window; 0: any */
    size_t batch_bytes; /* aim of one batch; default 1 MiB */
    const _Atomic size_t *batch_most; /* files: no more than it says at the time; NULL: the same */
    size_t record_bytes_max; /* 10 MiB + slack */
    bool follow; /* files grow: at the end more is waited for (SOURCE_TIP), and a last line without its
                    newline is left until that comes. Plain regular files only */
};

/* One file, "-" for standard input (identity "stdin:<random>", no resume). Plain, gzip or zstd by
 * magic. One shard, "0". A missing or unreadable file fails here. */
struct source *source_file_open(const char *path, const struct source_env *env, struct err *e);
/* sees the whole file's end: SOURCE_SHARD_END after the last batch. An unterminated last line is a
 * record if it parses as a whole object; that is the shredder's judgement: it is delivered. */

/* A file that has grown is still the stream it was: is `identity` (the same path, another length) one that it
 * had, for it still begins with those bytes? One that was empty then begins with no bytes, so what stands before
 * the offset `at`, up to which it was read, must have the hash `note`; and a compressed one never was. */
bool source_file_fits(struct source *s, const char *identity, uint64_t at, const char *note);
/* If so, it takes that identity. Before source_start. */
bool source_file_adopt(struct source *s, const char *identity, uint64_t at, const char *note);

struct kinesis_options; /* source/kinesis.h */
struct source *source_kinesis_open(const struct kinesis_options *o, const struct source_env *env,
                                   struct err *e);

void source_shards_free(struct source_shard *shards, size_t n);
static inline void source_close(struct source *s)
{
    if (s)
        s->ops->close(s);
}

#endif
