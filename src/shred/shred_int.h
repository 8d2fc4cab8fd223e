/* shred_int: what the room's files share. See shred.h. */
#ifndef INLET_SHRED_SHRED_INT_H
#define INLET_SHRED_SHRED_INT_H

#include "base/buf.h"
#include "base/map.h"
#include "codec/json.h"
#include "shred/shred.h"
#include "shred/words.h"

#define UUID_MAX 256
#define EDGES 4       /* ways on that are remembered after a value, */
#define MANY_MEMBERS 256 /* ... but one alone for members beyond so many: those of wide tables take the memory */
#define EDGE_BYTES 48

/* What stood between the end of a value and the start of the next, byte for byte (`,"key":`, with the
 * spaces and escapes of who wrote it), and where that led. On a cache line. */
struct edge {
    uint8_t literal[EDGE_BYTES]; /* zeros after it */
    struct lnode *to;
    int32_t only;   /* these three are to's own: its line need not be read */
    uint16_t index;
    uint8_t op;
    uint8_t n; /* free: 1, and a literal that no record has there */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct edge) == 64, "an edge is a cache line");

/* What to try first with a value of a place; whatever else comes goes through fast_other. */
enum fast_op {
    FAST_OTHER,
    FAST_STRING,
    FAST_LONG,
    FAST_DOUBLE,
    FAST_BOOL,
    FAST_STRUCT,
    FAST_LIST,
    FAST_SKIPPED,  /* a null of no place, consumed */
    FAST_CLOSE,    /* the end of the object */
    FAST_ENVELOPE, /* the event's own three keys: these, in order */
    FAST_UUID = FAST_ENVELOPE,
    FAST_NAME,
    FAST_TIME,
    FAST_NOWHERE,  /* of a free edge */
};

/* What only a struct or list has of its members. */
struct lgroup {
    struct map by_key;
    uint32_t *leaves, cap_leaves; /* n_leaves of them: the columns at and below it */
    uint32_t expect;     /* the child that came after the last one, the last time */
    uint32_t n_slabs;
    uint8_t **slabs;     /* of its light children */
    struct edge (*after_envelope)[EDGES]; /* of a root: after each of the three */
};

/* A place as one shape (event name) meets it. The first cache line and the edges are what the fast path
 * reads. A light one has one edge, and ends there. */
struct lnode {
    uint64_t seen;       /* the instance of its parent in which its key was met last (the fast path: if the
                            parent has more than 64 members) */
    uint64_t stamp;      /* ... in which it was written last */
    struct edge *first;  /* EDGES, of its members; NULL until there are any */
    struct lnode **children; /* in the order they came */
    struct rnode *r;
    int32_t only;        /* the column of `op`, index into the row set's cols; of a struct in no list its own */
    uint8_t op;          /* enum fast_op */
    uint8_t place;       /* enum place, of r */
    uint8_t max_def, max_rep; /* of r */
    uint32_t n_children;
    uint32_t n_leaves;   /* columns at and below it, in the shape */
    uint32_t n_listed;   /* ... of which are in a list */
    uint32_t index;      /* in its parent's children */

    int32_t column[KIND_COUNT]; /* index into the row set's cols, -1 if none */
    struct lnode *parent;
    struct lgroup *group; /* NULL until it has children, but for a root */
    bool led_to;          /* there are edges to it */

    struct edge edges[EDGES]; /* after its value */
} __attribute__((aligned(64)));
#define LIGHT_BYTES (sizeof(struct lnode) - (EDGES - 1) * sizeof(struct edge))
static inline bool light_at(uint32_t index)
{
    return index >= MANY_MEMBERS;
}
static inline int edges_of(bool light)
{
    return light ? 1 : EDGES;
}

enum { ENV_UUID, ENV_CREATED_AT, ENV_DATETIME, ENV_TIME, ENV_ARRIVED, ENV_SEQUENCE, ENV_RESCUED, ENV_COLUMNS };

struct shape_column {
    struct lnode *node;
    enum kind kind; /* KIND_COUNT: a struct in no list; no column is there, the row's bit tells of it */
    struct column_hint hint; /* what the largest of the last row sets held */
};
struct shape { /* one event name */
    char *name;
    char head[32]; /* as much of it, then zeros */
    struct event_name parts;
    struct shred_table *table;
    enum reason why;
    bool routed;
    struct lnode *root;
    struct edge (*after_envelope)[EDGES]; /* the root's */
    struct shape_column *columns; /* beyond the envelope's */
    uint32_t n_columns, cap_columns;
    struct rowset **sets; /* by time partition, few */
    uint32_t n_sets, last_set;
    int64_t last_from_us, last_until_us; /* the times of that set, where known (else none) */
    struct column_hint envelope_hints[ENV_COLUMNS];
    uint32_t hint_rows; /* rows of the set they are from */
    uint32_t group;     /* in the lines in hand, if `window` is theirs */
    uint64_t window;
    uint64_t used_at;   /* the last cut that detached sets of it */
    bool filled;        /* a set of it was full in this one */
};

/* `name` has 32 readable bytes. */
static inline bool shape_is(const struct shape *sh, const char *name, size_t n)
{
    return sh->parts.name.n == n &&
           (n <= sizeof sh->head ? words_same(sh->head, name, (unsigned)n) : memcmp(sh->name, name, n) == 0);
}

#define LEARNED_SHAPE 2048u /* what they take, about */
#define LEARNED_COLUMN 400u

struct place_in { /* the instance that a value stands in */
    struct lnode *node;
    uint64_t instance;
    uint8_t rep; /* of the instance's first entry */
};

#define PATH_MAX_STEPS 260 /* walk.c goes no deeper than 256 */

struct fast_event;
struct ahead { /* the id of the record that comes next, where it was found at a guess; at: its text, NULL if it was not */
    const uint8_t *at;
    struct dedup_key key;
};
struct fast_level { /* the fast path as built for one kind of processor: fast_body.h */
    const char *name;
    bool (*event)(struct shredder *s, const uint8_t *p, size_t n, struct fast_event *out);
    void (*ahead)(struct shredder *s, const uint8_t *p, size_t n); /* the next record: see lines.c */
    uint64_t (*hash)(const uint8_t *p, size_t n); /* XXH3_64bits */
};

struct shredder {
    struct shred_env env;
    const struct fast_level *fast;
    struct json_tape tape;
    struct map shapes;
    size_t learned;     /* bytes, about, of all shapes */
    uint64_t cuts;
    size_t shapes_most; /* at so many, those without rows are forgotten */
    struct shape *last; /* the shape of the record before */
    struct lines *lines; /* lines.c: scratch of shredder_lines */
    struct rowset *dead; /* dead letters, by the day of arrival */
    struct rowset *full; /* that have their rows */
    struct event_time_cache times;
    struct buf text, rescued;
    struct str path[PATH_MAX_STEPS]; /* keys and indices down to the value in hand; borrowed */
    uint32_t n_path;
    struct shred_counts counts;
    size_t bytes; /* of all open row sets */
    uint32_t partitions;
    uint64_t instance; /* of structs and lists, counted up for ever */
    /* the record in hand */
    const uint8_t *p;
    struct shape *shape;
    struct rowset *set;
    uint32_t row;
    uint64_t *bits; /* of the row: see rows.c. Zeros between rows */
    uint32_t cap_bits;
    bool again;     /* a key came twice: mark and walk once more */
    bool last_wins; /* the tape is marked */
    bool reread;    /* see shredder_reread */
    struct ahead ahead[2]; /* of the record in hand and the next one, `turn`: none beyond shredder_lines, whose text they are of */
    unsigned turn;
    size_t id_offset; /* in the last record */
    /* For the fast path: the event's own three keys, the way to the first one, a place without members,
     * and the two nodes that stand for no place. */
    struct lnode *envelope[3], *no_place, *skipped, *close;
};

/* shred.c */
#define SET_ROWS 3832u /* what is held for so many numbers of eight bytes fills a power of two */
void rowset_envelope(struct rowset *r, uint32_t more); /* its columns, in an empty one; so many are to come */
void pack_drop(struct rowset *r);                      /* what is packed of it */
void rowset_empty(struct rowset *r);                   /* its arena is */
size_t rowset_held(const struct rowset *r);
void rowset_add_shard(struct rowset *r, uint32_t shard, uint32_t rows);
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
void shred_roll_back(struct shredder *s); /* what the row in hand has so far, of every column */

/* fast.c: the record as learned: its fields are in s->set at s->row when true; the row is still to be
 * finished or rolled back. False: nothing remains, the general parser is to judge. */
struct fast_event {
    struct str uuid, created_at;
    struct event_time time; /* of it time_us and exact alone, but for HEAD_ODD_TIME */
    uint32_t form;          /* see heads.c */
    struct dedup_key key;
};
const struct fast_level *fast_choose(unsigned level); /* see shred_env.fast_level */
struct edge *fast_edges(void); /* EDGES, free ones */
void fast_edges_init(struct edge *edges, int n);

/* rows.c: a column that is in no list writes no levels. A row has a bit for each of the row set's cols: a value is
 * there, or the struct that the index stands for; the levels are made of them when the row set is cut. */
struct row_bits { /* 64 columns' */
    uint64_t *of_row; /* from row `from` on: in those before it all were 0 */
    uint32_t from, cap;
};
static inline void rows_set(uint64_t *bits, int32_t col)
{
    bits[(uint32_t)col / 64] |= (uint64_t)1 << (col & 63);
}
void rows_room(struct shredder *s, uint32_t n_cols); /* in s->bits */
void rows_end(struct shredder *s);                   /* the row in hand is complete */
/* How many of the structs from `n` up were there in a row before. */
uint8_t rows_structs(const struct rowset *r, const struct lnode *n, uint32_t row);
void rows_levels(struct rowset *r, const struct shape *sh); /* of all its columns */


/* heads.c: what of a row is the same for all events, side by side in one place. */
#define HEAD_ODD_ID 256u
#define HEAD_ODD_TIME 512u
struct row_head {
    uint64_t id[2]; /* of a canonical uuid: its bytes */
    int64_t time_us, arrived_us;
    uint32_t form; /* created_at's digits behind the point, up to 7; the seventh << 4; or HEAD_ODD_TIME; and HEAD_ODD_ID */
};
void heads_grow(struct rowset *r, uint32_t hint); /* room for one more */
void heads_append(struct rowset *to, const struct rowset *from); /* those of both, before any columns are made of them */
/* What `form` says that is not in the head of the row in hand: the id's text, `t` as a whole. */
void heads_odd(struct rowset *r, uint32_t form, struct str uuid, const struct event_time *t);

/* lines.c */
void lines_forget(struct lines *l); /* shapes are about to go */
void lines_free(struct lines *l);

enum col_type walk_memory_type(enum kind kind);
/* walk.c: the event's own fields into columns; false if a key came twice, or may have (nothing is
 * undone). */
bool walk_event(struct shredder *s);
/* Opens what the row set in hand lacks of its shape's columns. */
void walk_complete_set(struct shredder *s);
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
/* What the fast path is to try first from now on: a kind that has a column in the shape. (Below the top
 * level a place with several kinds always goes the long way: each needs an entry.) */
void walk_expect(struct lnode *n, enum kind kind);
void fast_edges_to(const struct lnode *n); /* op and only have changed: the edges to it */
/* A column whose type the config declares; false: rescue. *inexact: rescue it as well. */
bool walk_put_declared(struct shredder *s, const struct place_in *in, uint32_t depth,
                       struct lnode *n, const struct json_tok *v, uint8_t rep, bool *inexact);
/* An entry without a value in every column at and below a place. */
void walk_put_nulls(struct shredder *s, const struct lnode *n, uint8_t def, uint8_t rep);
bool walk_has_leaf(struct shredder *s, const struct lnode *n); /* in this row set */
/* Closes an instance: whatever was not written in it is null below it. */
void walk_close(struct shredder *s, const struct place_in *in);
struct lnode *lnode_new(struct rnode *r, struct lnode *parent);
void lnode_free(struct lnode *n);
struct lgroup *lnode_group(struct lnode *n); /* made if need be */
struct lnode *lnode_child(const struct lnode *n, const char *key, size_t len); /* or NULL */

#endif
