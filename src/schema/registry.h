/* registry: how one table's columns grow from events. Shared by all shredders, under its own lock.
 *
 * A tree of nodes by JSON key. A node is a scalar place (with one leaf per scalar kind seen), a
 * struct, a list, or a place that cannot be stored (rescue, drop). What a place is, is decided once,
 * by whoever is first: the table's schema, the config's declarations, else the first value.
 *
 * Rules (DESIGN section 6). Numbers: if a place that is new in this epoch has seen both long and
 * double before it is agreed with the table, it becomes one double column; longs that a double holds
 * exactly go there, others to the sibling `<name>_long`. Otherwise the kind seen first has the plain
 * name and each other scalar kind the sibling `<name>_<kind>`; where the table has a column of the
 * kind, that one is used; a long goes to a double column where exact and no long column exists. */
#ifndef INLET_SCHEMA_REGISTRY_H
#define INLET_SCHEMA_REGISTRY_H

#include "schema/schema.h"

enum kind {
    KIND_BOOL,
    KIND_LONG,
    KIND_DOUBLE,
    KIND_STRING,
    KIND_DECIMAL,     /* declared only, from here on */
    KIND_TIMESTAMPTZ,
    KIND_JSON,        /* any value, kept as its text in a string column */
    KIND_HASH,        /* HMAC-SHA-256 hex in a string column */
    KIND_COUNT
};
enum place { PLACE_SCALAR, PLACE_STRUCT, PLACE_LIST, PLACE_RESCUE, PLACE_DROP, PLACE_DECLARED };

struct rnode { /* read by shredders without the lock once they hold a pointer: fields never change
                  but for agreed ids, which change only between epochs' encodings */
    enum place place;
    enum kind declared;        /* PLACE_DECLARED */
    uint8_t precision, scale;
    char *key;                 /* the event's key, exactly (unescaped); "" for a list's element */
    size_t key_len;
    struct rnode *parent;
    uint8_t max_def, max_rep;  /* of a leaf at this place (scalar), or of the struct / list itself */
    uint8_t depth;
    uint32_t kinds;            /* bit per enum kind registered; grows under the lock, read by rnode_kinds */
    uint32_t table_kinds;      /* kinds that have a column in the agreed schema; likewise */
    int32_t field_id[KIND_COUNT]; /* 0 until agreed */
    uint8_t inexact_long;      /* a long came that no double holds; set by shredders, atomically */
};

static inline uint32_t rnode_kinds(const struct rnode *r)
{
    return __atomic_load_n(&r->kinds, __ATOMIC_RELAXED);
}
static inline uint32_t rnode_table_kinds(const struct rnode *r)
{
    return __atomic_load_n(&r->table_kinds, __ATOMIC_RELAXED);
}

struct declared_column { /* from the config; path is dotted keys of the event */
    const char *path;
    const char *type; /* "decimal(12,2)" "timestamptz" "double" "long" "string" "boolean" "json" "drop" "hash" */
};
bool declared_hides(const char *type); /* the value must not be seen: hash, drop */
struct registry_limits {
    uint32_t columns;        /* leaves per table: default 1,000 */
    uint32_t struct_fields;  /* default 200 */
    uint32_t depth;          /* default 16 */
    uint32_t name_bytes;     /* default 128 */
};
struct registry;

struct registry *registry_new(const struct registry_limits *limits,
                              const struct declared_column *declared, size_t n_declared);
void registry_free(struct registry *r); /* and every node */
/* The ids that the envelope's columns have in the table, before registry_bind; else those of schema.h. */
void registry_set_envelope(struct registry *r, const struct schema_ids *ids);
/* The table's schema as last loaded or agreed: binds nodes to field ids, by `doc` (the key) or, where
 * there is none, by name; makes nodes for columns not yet known here. Call before the first event
 * and after every evolve. ERR_CONFLICT where a node's place contradicts the table (somebody made it
 * a struct, we a scalar), or a column is gone that nodes are bound to: the epoch has to be dropped and read again with a new registry. */
int registry_bind(struct registry *r, const struct schema *agreed, struct err *e);
/* A schema that the table had before `agreed`, after registry_bind: what is no more in `agreed` was
 * dropped by somebody, and stays so: its values are rescued. */
void registry_bind_former(struct registry *r, const struct schema *former,
                          const struct schema *agreed);
uint32_t registry_leaves(struct registry *r); /* columns of events so far */
struct rnode *registry_root(struct registry *r);
/* Finds or makes the child of a struct (key) or list (key "" n 0) for a value of this place and kind
 * (kind only where place is PLACE_SCALAR). The answer may be of another place than asked: the first
 * decided; or PLACE_RESCUE beyond a limit, to which declared ones are not held. Envelope names at the top level give PLACE_RESCUE (ours
 * win) unless they are the event's own three keys, which the shredder handles itself. */
struct rnode *registry_child(struct registry *r, struct rnode *parent, const char *key, size_t n,
                             enum place place, enum kind kind);
struct rnode *registry_find(struct registry *r, const struct rnode *parent, const char *key, size_t n); /* or NULL */
/* Does the config say that this child's value must not be seen (hash, drop)? Any value makes its place, then. */
bool registry_hides(const struct registry *r, const struct rnode *parent, const char *key, size_t n);
/* The first place with a column at or below a node; NULL if there is none yet. */
struct rnode *registry_leaf(struct registry *r, struct rnode *node);
/* Adds a scalar kind to a scalar node. False: beyond a limit, rescue the value. */
bool registry_add_kind(struct registry *r, struct rnode *node, enum kind kind);
/* A long that no double holds, for an element of a list: false where longs and doubles of that list are to
 * be one column of doubles, so that the value is to be rescued. Else it is noted (inexact_long). */
bool registry_allow_inexact(struct registry *r, struct rnode *node);
/* table_propose_fn's body: the current schema plus what is not yet in it. 1, 0 or -1. */
int registry_propose(struct registry *r, const struct schema *current, int32_t last_column_id,
                     struct schema *out, struct err *e);
/* Where a node's values of `kind` go: the field id; and for KIND_LONG *merge_double tells that they
 * are to be merged into the double column `id` where exact, and the others into `*inexact_id` (0 if
 * none was needed). Call after bind. */
int32_t registry_target(const struct rnode *node, enum kind kind, bool *merge_double,
                        int32_t *inexact_id);

#endif
