/* shred_int: what the room's files share. See shred.h. */
#ifndef INLET_SHRED_SHRED_INT_H
#define INLET_SHRED_SHRED_INT_H

#include "base/buf.h"
#include "base/map.h"
#include "codec/json.h"
#include "shred/shred.h"

#define UUID_MAX 256
#define FOLLOWERS 3 /* keys remembered after a key */

/* A place as one shape (event name) meets it. Its first two cache lines are all that the fast path
 * reads: the key as it stands in a record, `"key":`, and who came after it; then its columns. */
struct lnode {
    uint8_t literal[32]; /* its first bytes, zeros after it: compared by words */
    uint64_t literal_mask; /* of the last word */
    struct lnode *next[FOLLOWERS];
    uint8_t literal_n;  /* 0: none, the key has escapes or is long */
    uint8_t envelope;   /* 1 to 3: one of the event's own three keys, which have no place */
    uint8_t place;      /* enum place, of r */
    uint64_t seen;      /* the instance of its parent in which its key was met last */
    uint64_t stamp;     /* ... in which it was written last */
    struct rnode *r;
    int32_t column[KIND_COUNT]; /* index into the row set's cols, -1 if none */

    struct lnode *first[FOLLOWERS]; /* of its members, the first that came */
    struct lnode *(*after_envelope)[FOLLOWERS]; /* of a root: after each of the three */
    struct lnode *parent;
    struct lnode **children; /* in the order they came */
    uint32_t index;          /* in its parent's children */
    uint32_t n_children;
    struct map by_key;
    uint32_t expect;         /* the child that came after the last one, the last time */
    uint32_t n_leaves;       /* columns at and below it, in the shape */
} __attribute__((aligned(64)));

enum { ENV_UUID, ENV_CREATED_AT, ENV_DATETIME, ENV_TIME, ENV_ARRIVED, ENV_SEQUENCE, ENV_RESCUED, ENV_COLUMNS };

struct shape_column {
    struct lnode *node;
    enum kind kind;
};
struct shape { /* one event name */
    char *name;
    struct event_name parts;
    struct shred_table *table;
    enum reason why;
    bool routed;
    struct lnode *root;
    struct shape_column *columns; /* beyond the envelope's */
    uint32_t n_columns, cap_columns;
    struct rowset **sets; /* by time partition, few */
    uint32_t n_sets, last_set;
};

struct place_in { /* the instance that a value stands in */
    struct lnode *node;
    uint64_t instance;
    uint8_t rep; /* of the instance's first entry */
};

#define PATH_MAX_STEPS 260 /* walk.c goes no deeper than 256 */

struct shredder {
    struct shred_env env;
    struct json_tape tape;
    struct map shapes;
    struct shape *last; /* the shape of the record before */
    struct rowset *dead; /* dead letters, by the day of arrival */
    struct event_time_cache times;
    struct buf text, rescued;
    struct str path[PATH_MAX_STEPS]; /* keys and indices down to the value in hand; borrowed */
    uint32_t n_path;
    struct shred_counts counts;
    size_t bytes;
    uint32_t partitions;
    uint64_t instance; /* of structs and lists, counted up for ever */
    /* the record in hand */
    const uint8_t *p;
    struct shape *shape;
    struct rowset *set;
    uint32_t row;
    bool again;     /* a key came twice: mark and walk once more */
    bool last_wins; /* the tape is marked */
    /* the event's own three keys, for the fast path, and a place without members */
    struct lnode *envelope[3], *envelope_first[FOLLOWERS], no_place;
};

/* shred.c */
struct rowset *shred_set_of(struct shredder *s, struct shape *sh, int64_t time_us);
/* The column of a place and kind, if the row set in hand has it. */
static inline struct column *shred_column(const struct shredder *s, const struct lnode *n,
                                          enum kind kind)
{
    int32_t i = n->column[kind];
    if (i < 0 || (uint32_t)i >= s->set->n_cols || !s->set->cols[i].col.live)
        return NULL;
    return &s->set->cols[i].col;
}
void shred_more_columns(struct rowset *r, uint32_t n); /* at least n, not live */
void shred_roll_back(struct rowset *r, uint32_t row); /* rows from `row` on, of every column */

/* fast.c: the record as learned: its fields are in s->set at s->row when true; the row is still to be
 * finished or rolled back. False: nothing remains, the general parser is to judge. */
struct fast_event {
    struct str uuid, created_at;
    struct event_time time;
    struct dedup_key key;
};
bool fast_event(struct shredder *s, const uint8_t *p, size_t n, struct fast_event *out);
void fast_literal(struct lnode *n, const char *key, size_t len);

/* walk.c: the event's own fields into columns; false if a key came twice, or may have (nothing is
 * undone). */
bool walk_event(struct shredder *s);
/* Adds one entry {"pointer": raw} to s->rescued; the pointer is that of s->path. */
void walk_rescue(struct shredder *s, const uint8_t *raw, size_t n);
/* 1 event_uuid, 2 event_name, 3 created_at, else 0. */
int walk_envelope_key(const char *p, size_t n);
/* Ready for a value: the column, padded, with its full level written; the same place's other kinds get
 * their null. */
struct column *walk_begin(struct shredder *s, const struct place_in *in, uint32_t depth,
                          struct lnode *n, enum kind kind, uint8_t rep);
bool walk_put_long(struct shredder *s, const struct place_in *in, uint32_t depth, struct lnode *n,
                   int64_t number, uint8_t rep);
/* A column whose type the config declares; false: rescue. */
bool walk_put_declared(struct shredder *s, const struct place_in *in, uint32_t depth,
                       struct lnode *n, const struct json_tok *v, uint8_t rep);
/* An entry without a value in every column at and below a place. */
void walk_put_nulls(struct shredder *s, const struct lnode *n, uint8_t def, uint8_t rep);
bool walk_has_leaf(struct shredder *s, const struct lnode *n); /* in this row set */
/* Closes an instance: whatever was not written in it is null below it. */
void walk_close(struct shredder *s, const struct place_in *in);
struct lnode *lnode_new(struct rnode *r, struct lnode *parent);
void lnode_free(struct lnode *n);

#endif
