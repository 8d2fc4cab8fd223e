/* protocol_int: the state, shared by this room's files; and its rules, each of which a test can
 * take out to see that the harm it prevents then happens. Nothing but tests sets a rule. */
#ifndef INLET_PROTOCOL_PROTOCOL_INT_H
#define INLET_PROTOCOL_PROTOCOL_INT_H

#include "protocol/protocol.h"

struct protocol_rules_off {
    bool fence;        /* a base's positions must be those expected */
    bool frozen;       /* expectations are read before the first record, never later */
    bool never_back;   /* a position is max(expected, cut) */
    bool epoch_age;    /* an old epoch is not committed */
    bool settle_moved; /* "not there" needs a base that moved */
    bool forget;       /* a restart forgets tentative ids */
    bool start_stored; /* a start is resolved once */
    bool own_cover;    /* a quarantined table's cover is its own, not the dead letters' position */
    bool back_forward; /* a table that returns is first moved to its cover */
    bool least_position; /* the checkpoint waits for every table */
    bool mark; /* a takeover moves the dead letters' base */
};

struct shard_state {
    struct seq taken_at, last_out, skip_until, checkpoint;
    char note[PROTOCOL_NOTE_MAX], checkpoint_note[PROTOCOL_NOTE_MAX];
    uint32_t generation;
    bool taken, ended, any_out;
    bool moved; /* checkpoint is beyond the one it was taken with */
    bool done;  /* checkpoint is SEQ_END: no plan speaks of it any more */
};

struct cut {
    struct seq at;       /* the last record handed out */
    bool ended;          /* and there will be no other */
    uint32_t generation; /* of the shard; 0: not held. It says nothing of any other holding */
    char note[PROTOCOL_NOTE_MAX];
};

/* Invariants: 1. epochs[] are consecutive, the last is open; 2. ready epochs come before unready
 * ones;
 * 3. cut[] of a closed epoch never changes, and within a generation is never below the one before.
 */
struct epoch {
    uint64_t number;
    uint64_t open_batches;
    int64_t opened_ms;
    bool used, closed, ready;
    struct cut *cut; /* by shard; closed epochs only */
    uint32_t n_cut;
};

enum standing { STANDING_GOOD, STANDING_QUARANTINED, STANDING_FORWARD, STANDING_UNCOVER };

struct table_state {
    struct seq *expected; /* by shard */
    uint32_t n_expected;
    struct seq *cover; /* by shard */
    uint32_t n_cover;
    uint64_t first;     /* oldest epoch with uncommitted rows not in a plan; 0: none */
    uint64_t in_flight; /* the same of the plan under way; 0: none */
    bool busy, unsettled, refused;
    int64_t refused_since_ms;
    enum standing standing;
};

struct protocol {
    struct shard_state *shards;
    uint32_t n_shards;
    struct table_state *tables;
    uint32_t n_tables;
    struct epoch *epochs;
    size_t n_epochs;
    uint64_t last_ready;
    uint64_t floor; /* epochs below it were dropped, or never were */
    bool restart_due, cover_nothing;
    int64_t refuse_for_ms;
    struct protocol_rules_off off;
};

/* The epoch's cut of a shard as it is held now; NULL if it has none. */
const struct cut *protocol_cut_at(const struct protocol *p, const struct epoch *ep, uint32_t shard);
struct epoch *protocol_epoch_at(const struct protocol *p, uint64_t number);
void protocol_open_epoch(struct protocol *p, uint64_t number);
struct table_state *protocol_table_of(struct protocol *p, uint32_t table);
struct seq protocol_expected_of(const struct table_state *t, uint32_t shard);
struct seq protocol_cover_of(const struct table_state *t, uint32_t shard);
void protocol_expect(struct table_state *t, uint32_t shard, struct seq at);
void protocol_set_cover(struct table_state *t, uint32_t shard, struct seq at);
/* The one place where checkpoints advance; then lets go of the epochs no longer needed. */
void protocol_advance(struct protocol *p);

#endif
