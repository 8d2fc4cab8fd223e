/* protocol: what makes it exactly once: epochs, positions, fences, checkpoints. Decisions only: no
 * threads, no I/O, no clock (times are parameters: boot-time milliseconds). One caller at a time.
 *
 * Batches are handed out in epochs. A cut closes the epoch: it names, for every shard, the last record
 * handed out. A table's commit carries its rows and the cut's positions; it is valid only if the table's
 * own positions are those expected: read after the lease was taken, and moved by our own commits since.
 * A position never moves back. The checkpoint of a shard is the last cut before which no table has
 * uncommitted rows. Tables and shards are small numbers given by the caller. */
#ifndef INLET_PROTOCOL_PROTOCOL_H
#define INLET_PROTOCOL_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/seq.h"

#define PROTOCOL_EPOCH_MAX_MS ((int64_t)3600 * 1000) /* an older epoch is never committed */

struct protocol;

struct protocol *protocol_new(void);
void protocol_free(struct protocol *p);

/* A lease was taken: reading goes on after `checkpoint`. Numbers are taken in order from 0. */
void protocol_shard_taken(struct protocol *p, uint32_t shard, struct seq checkpoint);
/* What a table held of it then. A table that is not named is expected to hold nothing, for ever. */
void protocol_table_position(struct protocol *p, uint32_t table, uint32_t shard, struct seq held);
/* The largest position that any table held: records after it need no check. */
struct seq protocol_skip_until(const struct protocol *p, uint32_t shard);

/* A batch goes out, ending at `last`: its epoch. Each comes back once, in any order. */
uint64_t protocol_batch_out(struct protocol *p, uint32_t shard, struct seq last, int64_t now_ms);
void protocol_batch_done(struct protocol *p, uint64_t epoch);
/* The source has delivered all of the shard. */
void protocol_shard_ended(struct protocol *p, uint32_t shard);
bool protocol_any_out(const struct protocol *p, uint32_t shard);
struct seq protocol_last_out(const struct protocol *p, uint32_t shard);

/* Closes the epoch, if it has batches or an ended shard in it. */
void protocol_cut(struct protocol *p, int64_t now_ms);
/* The next closed epoch, in order, all of whose batches are back, once; 0 if there is none. */
uint64_t protocol_closed_ready(struct protocol *p);
/* Is there anything handed out, or ended, that closed_ready has not given yet? */
bool protocol_open_rows(const struct protocol *p);
/* The table has rows of this (ready) epoch that are not committed. */
void protocol_table_rows(struct protocol *p, uint32_t table, uint64_t epoch);

struct protocol_step {
    uint32_t shard;
    struct seq expected; /* what the table must hold */
    struct seq next;     /* what it shall hold: max(expected, cut) */
};
struct protocol_plan {
    uint32_t table;
    uint64_t first_epoch, upto_epoch;
    struct protocol_step *steps;
    uint32_t n_steps;
};
void protocol_plan_fini(struct protocol_plan *plan);
/* All of the table's rows up to the last ready epoch. ERR_FENCED if the oldest is over an hour old: the
 * caller drops everything and reads again. */
int protocol_commit_plan(struct protocol *p, uint32_t table, int64_t now_ms,
                         struct protocol_plan *plan, struct err *e);
/* Is the base's position of each shard the expected one? Pure: any thread. `held` answers what the base
 * holds of a shard. ERR_FENCED names the shard by its number. */
typedef struct seq protocol_held_fn(void *ctx, uint32_t shard);
int protocol_plan_check(const struct protocol_plan *plan, protocol_held_fn *held, void *ctx,
                        struct err *e);
/* Exactly one of these ends a plan. */
void protocol_commit_done(struct protocol *p, uint32_t table, const struct protocol_plan *plan);
void protocol_commit_failed(struct protocol *p, uint32_t table, const struct protocol_plan *plan);

/* The epoch up to which every row of every table is committed. */
uint64_t protocol_committed_upto(const struct protocol *p);
/* Where the shard's lease may stand: SEQ_END once it has ended and all of it is committed. False if
 * nothing is known beyond the checkpoint that it was taken with. */
bool protocol_checkpoint(const struct protocol *p, uint32_t shard, struct seq *out);

#endif
