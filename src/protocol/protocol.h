/* protocol: what makes it exactly once: epochs, positions, fences, checkpoints. Decisions only: no
 * threads, no I/O, no clock (times are parameters: boot-time milliseconds). One caller at a time;
 * only the functions on a plan alone may be used from any thread.
 *
 * Batches are handed out in epochs. A cut closes the epoch: it names, for every shard, the last
 * record handed out. A table's commit carries its rows and the cut's positions; it is valid only if
 * the table's own positions are those expected: read after the lease was taken, and moved by our
 * own commits since. A position never moves back. The checkpoint of a shard is the last cut before
 * which no table has uncommitted rows. Tables and shards are small numbers given by the caller.
 *
 * The order of calls: shard_taken, then table_position and table_covered for what the tables hold,
 * then batch_out ... ; cut; closed_ready; table_rows for what that epoch brought; commit_plan; one
 * of the ends of a plan; checkpoint. Being fenced, losing a shard and quarantine all end in
 * restart. */
#ifndef INLET_PROTOCOL_PROTOCOL_H
#define INLET_PROTOCOL_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/seq.h"

#define PROTOCOL_EPOCH_MAX_MS ((int64_t)3600 * 1000)      /* an older epoch is never committed */
#define PROTOCOL_REFUSED_MAX_MS ((int64_t)15 * 60 * 1000) /* then a table is quarantined */
#define PROTOCOL_NOTE_MAX 24
#define PROTOCOL_NO_SHARD UINT32_MAX
#define PROTOCOL_DEAD_LETTERS 0u /* the dead letters' table number */

struct protocol;

struct protocol *protocol_new(void);
void protocol_free(struct protocol *p);

/* ---- shards */

/* A start "at the tip" or "at a time" is resolved to a sequence number, and that stored in the
 * lease, before the first read. True: the lease has none yet, do so now. False: read on from its
 * checkpoint, whatever start is asked for. */
bool protocol_must_resolve(const struct protocol *p, bool lease_resolved);
/* A lease was taken: reading goes on after `checkpoint`. Whatever was expected of this shard before
 * is forgotten. Numbers are taken in order from 0. */
void protocol_shard_taken(struct protocol *p, uint32_t shard, struct seq checkpoint);
/* The file's note stored with that checkpoint. Right after shard_taken. */
void protocol_shard_note(struct protocol *p, uint32_t shard, const char *note);
/* Whether the lease was taken from somebody who had not given it up (`given_up`: nobody's, or our own).
 * He may have dead letters for a quarantined table under way, checked while the lease was his, and
 * nothing of ours moves what they are checked against. True: after the leases are taken and before
 * positions are read, the dead letters' base is moved by a commit of our own, the takeover's mark; what he
 * offers against the old base cannot land then, and before he offers anew he reads the lease. */
bool protocol_must_mark(const struct protocol *p, bool given_up);
/* What a table held of it then. A table that is not named is expected to hold nothing, even if it
 * is made later; so this is ignored once a batch of the shard has gone out. */
void protocol_table_position(struct protocol *p, uint32_t table, uint32_t shard, struct seq held);
/* Up to where the dead letters hold this table's records; ignored in the same case. Where they hold
 * any the table is quarantined from the start (until table_back), and a restart may be due. */
void protocol_table_covered(struct protocol *p, uint32_t table, uint32_t shard, struct seq held);

/* Records of the shard at or below this are in the table, or in the dead letters for it. */
struct seq protocol_skip_position(const struct protocol *p, uint32_t table, uint32_t shard);
/* The largest of any table: a batch that begins after it needs no check. */
struct seq protocol_skip_until(const struct protocol *p, uint32_t shard);

/* The source has delivered all of the shard. */
void protocol_shard_ended(struct protocol *p, uint32_t shard);
/* The lease is gone. Its rows share files with others': nothing is planned until protocol_restart.
 */
void protocol_shard_lost(struct protocol *p, uint32_t shard);
/* What the tables hold of a shard just taken could not be read: as if it had not been taken. */
void protocol_shard_returned(struct protocol *p, uint32_t shard);
bool protocol_shard_held(const struct protocol *p, uint32_t shard);
bool protocol_any_out(const struct protocol *p, uint32_t shard);
struct seq protocol_last_out(const struct protocol *p, uint32_t shard);

/* ---- epochs */

/* A batch goes out, ending at `last`: its epoch. Each comes back once, in any order. */
uint64_t protocol_batch_out(struct protocol *p, uint32_t shard, struct seq last, int64_t now_ms);
/* The same, with the file's note that belongs to `last` (copied, cut to PROTOCOL_NOTE_MAX - 1). */
uint64_t protocol_batch_out_noted(struct protocol *p, uint32_t shard, struct seq last,
                                  const char *note, int64_t now_ms);
void protocol_batch_done(struct protocol *p, uint64_t epoch); /* of a dropped epoch: ignored */
/* Was the epoch not dropped by a restart? Rows of a dead one are thrown away. */
bool protocol_epoch_alive(const struct protocol *p, uint64_t epoch);

/* Closes the epoch, if it has batches or an ended shard in it. */
void protocol_cut(struct protocol *p, int64_t now_ms);
/* The next closed epoch, in order, all of whose batches are back, once; 0 if there is none. */
uint64_t protocol_closed_ready(struct protocol *p);
/* Is there anything handed out, or ended, that closed_ready has not given yet? */
bool protocol_open_rows(const struct protocol *p);
/* The table has rows of this (ready) epoch that are not committed. */
void protocol_table_rows(struct protocol *p, uint32_t table, uint64_t epoch);

/* ---- commits */

struct protocol_step {
    uint32_t shard;
    struct seq expected;          /* what the table must hold */
    struct seq next;              /* what it shall hold: max(expected, cut) */
    bool ended;                   /* `next` is the last the shard will ever have: mark it so */
    char note[PROTOCOL_NOTE_MAX]; /* of `next`, where it is the cut's; else "" */
};
/* Dead letters only: how far they hold the records of a quarantined table. SEQ_NONE: take it out.
 */
struct protocol_cover {
    uint32_t table, shard;
    struct seq expected, next;
};
struct protocol_plan {
    uint32_t table;
    uint64_t first_epoch, upto_epoch; /* first_epoch 0: no rows, the positions alone */
    int64_t opened_ms;                /* of the first epoch */
    struct protocol_step *steps;
    uint32_t n_steps;
    struct protocol_cover *covers;
    uint32_t n_covers;
    bool unchecked; /* for tests of the fence itself */
    bool ageless;
};
void protocol_plan_fini(struct protocol_plan *plan);
/* All of the table's rows up to the last ready epoch. ERR_FENCED if the oldest is over an hour old,
 * or a shard was lost: the caller restarts. ERR_UNKNOWN: the table's last plan is not settled. */
int protocol_commit_plan(struct protocol *p, uint32_t table, int64_t now_ms,
                         struct protocol_plan *plan, struct err *e);
/* Is the base's position of each shard the expected one? ERR_FENCED names the shard by its number.
 * To be asked anew of every base that is offered to. */
typedef struct seq protocol_held_fn(void *ctx, uint32_t shard);
int protocol_plan_check(const struct protocol_plan *plan, protocol_held_fn *held, void *ctx,
                        struct err *e);
/* The same for covers, which stand in the dead letters' properties. Before each offer of a plan
 * that has covers the leases of its shards are read again, rebased or not: what a successor writes
 * to the table itself does not move the dead letters' positions, and so cannot fence. */
typedef struct seq protocol_cover_fn(void *ctx, uint32_t table, uint32_t shard);
int protocol_plan_check_covers(const struct protocol_plan *plan, protocol_cover_fn *held, void *ctx,
                               struct err *e);
/* ERR_FENCED once the rows are too old; to be asked before every offer, for the machine may have
 * slept since the plan was made. */
int protocol_plan_check_age(const struct protocol_plan *plan, int64_t now_ms, struct err *e);
/* The first shard whose position is not the expected one, or PROTOCOL_NO_SHARD. */
uint32_t protocol_plan_fenced_at(const struct protocol_plan *plan, protocol_held_fn *held,
                                 void *ctx);

/* Exactly one of done, failed, refused, or a final answer of settled ends a plan. */
void protocol_commit_done(struct protocol *p, uint32_t table, const struct protocol_plan *plan);
/* It certainly did not happen; the rows wait for the next plan. */
void protocol_commit_failed(struct protocol *p, uint32_t table, const struct protocol_plan *plan);
/* No answer: neither rows nor files may be touched until settled says COMMITTED or NOT. */
void protocol_commit_unknown(struct protocol *p, uint32_t table);
enum protocol_settled { PROTOCOL_COMMITTED, PROTOCOL_NOT, PROTOCOL_UNKNOWN };
/* What was seen, and whether the base is another than the one offered against. Returns what may be
 * acted upon: "not there" on an unmoved base is UNKNOWN, for the request may still land. */
enum protocol_settled protocol_commit_settled(struct protocol *p, uint32_t table,
                                              const struct protocol_plan *plan,
                                              enum protocol_settled seen, bool base_moved);
enum protocol_action {
    PROTOCOL_RETRY,
    PROTOCOL_QUARANTINE, /* restart; from then on its records go to the dead letters. Of a table that
                            was coming back: at once, and as before */
    PROTOCOL_STOP,       /* the dead letters themselves: stop reading and say so */
};
/* The table refuses (gone, a view, denied): as failed, and says what follows. */
enum protocol_action protocol_commit_refused(struct protocol *p, uint32_t table,
                                             const struct protocol_plan *plan, int64_t now_ms);

/* How long that takes: PROTOCOL_REFUSED_MAX_MS if this is not called. */
void protocol_refuse_for(struct protocol *p, int64_t ms);
/* No letter is written of a quarantined table's records: they are letters that stay what they are. Covers that tables have
 * stay, too, until they come back. */
void protocol_cover_nothing(struct protocol *p);

/* ---- quarantine */

enum protocol_route { PROTOCOL_TO_TABLE, PROTOCOL_TO_DEAD_LETTERS, PROTOCOL_HOLD };
/* Where the table's records go. HOLD: coming back, see protocol_returning. What is skipped is told by
 * protocol_skip_position of the table itself in every case, never that of the dead letters. */
enum protocol_route protocol_route(const struct protocol *p, uint32_t table);
/* The table cannot even be opened (a view, of another format), and what it holds cannot be known:
 * quarantined at once. Where records are out already a restart is due. */
void protocol_quarantine(struct protocol *p, uint32_t table);
/* The table works again. The caller restarts, and before it reads on makes the commits that
 * protocol_returning names: the table's positions move to where the dead letters cover it, then the
 * cover is taken out, which fences whoever still writes its records there. */
void protocol_table_back(struct protocol *p, uint32_t table);
/* True while such a commit is due, and which table's; its plan has no rows. */
bool protocol_returning(const struct protocol *p, uint32_t *table);

/* ---- restart */

struct protocol_resume {
    uint32_t shard;
    struct seq from;
    char note[PROTOCOL_NOTE_MAX];
};
struct protocol_restart {
    struct protocol_resume *shards; /* those still held and not wholly committed */
    uint32_t n_shards;
    uint64_t forget_from; /* dedup: ids tentative in this epoch or a later one are forgotten */
};
void protocol_restart_fini(struct protocol_restart *r);
/* Drops everything uncommitted and gives `lost` up (PROTOCOL_NO_SHARD: none). Expectations stay
 * what they are. ERR_UNKNOWN, changing nothing, while a plan is under way or not settled. */
int protocol_restart(struct protocol *p, uint32_t lost, struct protocol_restart *out,
                     struct err *e);
bool protocol_restart_due(const struct protocol *p);

/* ---- checkpoints */

/* The epoch up to which every row of every table is committed. */
uint64_t protocol_committed_upto(const struct protocol *p);
/* Where the shard's lease may stand: SEQ_END once it has ended and all of it is committed. False if
 * nothing is known beyond the checkpoint that it was taken with. */
bool protocol_checkpoint(const struct protocol *p, uint32_t shard, struct seq *out);
/* The note that belongs to it, or "". */
const char *protocol_checkpoint_note(const struct protocol *p, uint32_t shard);

#endif
