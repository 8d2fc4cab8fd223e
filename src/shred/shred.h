/* shred: JSON bytes to columns: the hot path. One struct shredder per thread.
 *
 * For every event name and time partition it fills a struct rowset: columns as Dremel levels and
 * values. A fast path follows the keys it expects, in the order it learned, and parses values
 * straight into columns; anything unexpected (an unknown key or kind, escaped or repeated keys, a
 * defect) rolls the row back and goes through the general parser (a tape of the whole record), which
 * alone may grow the schema. A record is judged whole: nothing of a bad one stays. */
#ifndef INLET_SHRED_SHRED_H
#define INLET_SHRED_SHRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/seq.h"
#include "dedup/dedup.h"
#include "event/event.h"
#include "event/record.h"
#include "parquet/column.h"
#include "schema/registry.h"

struct shredder;

/* A table as the shredders know it; made by the router, lives as long as the process. */
struct shred_table {
    uint32_t number;
    char name[EVENT_TABLE_MAX + 1];
    struct registry *registry;
    uint8_t time_transform; /* 'y' 'm' 'd' 'h' of event_time, or 0 */
    bool by_subtype, by_name; /* identity partitions as well */
    bool unavailable;       /* quarantined: records become dead letters */
    const struct seq *lettered; /* by shard, below n_lettered: up to there they became some when they were read before */
    uint32_t n_lettered;
    _Atomic uint64_t duplicates, rescued; /* counted up by all shredders */
};

struct shred_env {
    struct dedup *dedup;
    enum time_unit time_unit;
    size_t record_bytes_max;
    /* Called once per event name and shredder (cached until shredder_cut): the table, made if need
     * be; NULL with *why set (REASON_TOO_MANY_TABLES). Thread-safe. */
    struct shred_table *(*route)(void *ctx, const struct event_name *name, enum reason *why);
    /* Asked for each record of a batch with `check_positions`: is `seq` of `shard` at or below what
     * `table` (NULL: the dead letters) already holds? Thread-safe. */
    bool (*passed)(void *ctx, const struct shred_table *table, uint32_t shard, struct seq seq);
    void *ctx;
    size_t learned_max; /* bytes of what is learned of event names, about: beyond it those used least recently are
                           forgotten at a cut, and until then it counts as open rows; 0: no limit */
    uint32_t letters_stay; /* reasons, as bits: what becomes a dead letter by these is only counted: it is one */
    bool alone; /* the only shredder of `dedup`; its batches are between shredder_begin and _end */
    const uint8_t *hash_key; /* for KIND_HASH */
    size_t hash_key_n;
    /* Tests: 0 the best that the processor has, else 1 portable, 2 AVX2, 3 AVX-512 (or the best below
     * it); FAST_LEVEL_NONE: without the fast path. */
    unsigned fast_level;
#define FAST_LEVEL_NONE 9
};

/* One leaf: a place and a kind. rowset columns hold what was seen, not yet what the table calls it. */
struct rowset_column {
    struct column col;  /* first: on a cache line */
    struct rnode *node; /* NULL for the envelope's own (envelope_id says which) */
    enum kind kind;
    int32_t envelope_id;
} __attribute__((aligned(64)));
struct shard_run { uint32_t shard; uint32_t rows; }; /* _shard, in row order, run by run */
struct row_bits; /* the shredder's: see rows.c */
struct row_head; /* likewise: see heads.c */

struct rowset {
    struct shred_table *table; /* NULL: dead letters */
    char *name, *type, *subtype;  /* constants of all rows; subtype NULL where there is none */
    size_t name_n, type_n, subtype_n;
    int32_t time_partition;    /* the transform's value */
    uint32_t rows;
    uint64_t first_epoch;      /* set by the consumer */
    int64_t min_time_us, max_time_us;
    /* Columns short of `rows` rows (col.rows < rows) are null to the end: the consumer pads with a
     * PQ_PIECE_NULLS of def 0. cols[0..] begin with the envelope columns that vary by row:
     * event_uuid, created_at, created_datetime, event_time, _arrived_at, _sequence, _rescued. */
    struct rowset_column *cols;
    uint32_t n_cols, cap_cols;
    uint32_t n_open;           /* the shredder's: how many of its shape's columns it has */
    struct row_bits *bits;     /* the shredder's, likewise */
    uint32_t n_bits;
    uint32_t rows_before;      /* likewise: at the last shredder_shed */
    uint32_t cap_heads;
    struct row_head *heads;
    uint8_t *odds;
    size_t n_odds, cap_odds;
    struct shard_run *shards;
    uint32_t n_shards;
    struct arena arena;        /* of the columns and their arrays */
    uint8_t *packed;           /* see rowset_pack: instead of the columns; */
    size_t packed_bytes;       /* ... as pages gave them, or 0: of the heap; */
    uint32_t n_packed;         /* ... how many there are, */
    size_t unpacked;           /* ... and what they took */
    size_t bytes;              /* held, by capacity */
    struct rowset *next;       /* in a list made by shredder_cut */
};
/* The first five columns are made of `heads` by whoever is about to read them: not before, as they take twice as much. Not
 * counted in `bytes`. */
void rowset_columns(struct rowset *r);
/* Of a row set that is cut: few rows of many columns, as what they are until they are encoded, in a third to a tenth of
 * the memory; or as they are, where that is no gain. `bytes` says what is held. Its columns and heads are not to be
 * touched before rowset_unpack, which does not change `bytes`. */
void rowset_pack(struct rowset *r);
void rowset_unpack(struct rowset *r);
/* Adds the rows of `from` to those of `to`, both cut and without the columns above, and frees it: a row set has its price,
 * by the column, however few its rows. False: they are not of one name and partition, or have not the
 * same columns below a struct or list, or too many rows. Either way `to->bytes` may change. */
bool rowset_merge(struct rowset *to, struct rowset *from);
void rowset_free(struct rowset *r);
/* Dead letters have, instead, cols of these envelope_ids, in the order of schema_dead_letters' field
 * ids 1..10: letter_id (a random uuid), reason, message, payload, stream (left empty: the consumer's
 * to tell by shards[]), _shard (likewise), _sequence, sub_sequence, _arrived_at, recorded_at. */

struct shred_counts { /* added up; the consumer reads them with shredder_counts */
    uint64_t records, bytes, rows, duplicates, duplicates_different, duplicates_unknown_payload;
    uint64_t skipped;   /* by position */
    uint64_t reread;    /* the consumer's: records that were counted above before, when they were read first */
    uint64_t rescued;   /* rows with _rescued */
    uint64_t conflicts; /* values that did not fit their column */
    uint64_t dead[REASON_COUNT];
    uint64_t lettered; /* of these, while shredder_reread: see shred_table */
    uint64_t fast_rows, slow_rows;
    uint64_t dedup_ns; /* about */
};

struct shredder *shredder_new(const struct shred_env *env);
void shredder_free(struct shredder *s);
/* Around the records of a batch. */
void shredder_begin(struct shredder *s);
void shredder_end(struct shredder *s);
/* One record, of a batch handed out in `epoch`. `check_positions`: see env.passed. */
void shredder_record(struct shredder *s, const struct record *r, uint64_t epoch,
                     bool check_positions, int64_t now_us);
/* Lines of a file that came together: as shredder_record with each, but those of one event name one after the
 * other, each name at the place of its first: what they touch is then in the caches, and what they do is
 * foreseen by the processor. Within a name their order stays. `like` has what they share. */
struct shred_line {
    const uint8_t *payload; /* 64 readable bytes past n */
    uint32_t n;
    uint32_t group; /* the shredder's own */
    struct seq seq;
};
#define SHRED_LINES_MAX 4096
void shredder_lines(struct shredder *s, struct shred_line *lines, uint32_t n,
                    const struct record *like, uint64_t epoch, bool check_positions,
                    int64_t now_us);
/* The same of records of a stream. `lines` is room for n. */
void shredder_records(struct shredder *s, const struct record *each, struct shred_line *lines, uint32_t n,
                      uint64_t epoch, bool check_positions, int64_t now_us);
/* Detaches all rowsets with rows (a list), keeps what was learned of shapes; routes are asked anew. */
struct rowset *shredder_cut(struct shredder *s);
size_t shredder_bytes(const struct shredder *s); /* heap bytes in open rowsets, and see env.learned_max */
uint32_t shredder_partitions(const struct shredder *s); /* open rowsets */
/* What comes was counted for its tables before (duplicates, rescued), until false is said. */
void shredder_reread(struct shredder *s, bool again);
/* Where more than `most` are open, closes those that got the fewest rows since the last call that closed any, so that a
 * quarter may be opened anew: they are kept for the next cut. Not between the records of one call. */
void shredder_shed(struct shredder *s, uint32_t most);
const struct shred_counts *shredder_counts(const struct shredder *s);

#endif
