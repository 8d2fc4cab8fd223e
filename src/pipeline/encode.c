/* A row group from many row sets: each leaf of the agreed schema is the sequence of its pieces, a row
 * set after the other. A leaf that a row set never met costs one null run, except below a struct or list
 * that the row set did meet: then its levels follow a sibling's, or readers would see the struct in
 * one leaf and not in the other. See encode.h. */
#include "pipeline/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json.h"

#define PATH_MAX_DEPTH 64
#define NODES_MORE 64u /* of a schema that grows */

/* A struct or list, and in what it lies. */
struct group {
    uint32_t up; /* its number; NO_GROUP: at the top */
    uint8_t depth, def, rep;
};
#define NO_GROUP UINT32_MAX

struct leaf {
    int32_t field_id, ours; /* ours: of a column of ours, our id; else 0 */
    uint32_t group;
    enum col_type type;
    uint8_t max_def, max_rep;
};

struct encode_kept {
    struct leaf *leaves; /* of the file, in its order: those of a group side by side */
    uint32_t n_leaves, cap_leaves;
    struct group *groups;
    uint32_t n_groups, cap_groups;
    struct leaf_id {
        int32_t field_id;
        uint32_t leaf;
    } *ids; /* sorted */
    int32_t schema_id;
    struct schema_ids ours; /* of our columns */
    struct pq_hints hints;
};

/* A column at the leaf that the table gives it. What is to be made of several is made when its leaf comes, and goes
 * with it: with many row sets and leaves, all that at once would be more than the rows themselves. */
struct placed {
    uint32_t leaf;
    enum { AS_IS, NUMBERS, INEXACT } how; /* NUMBERS: doubles, and longs that are exact; INEXACT: the other longs */
    const struct column *col, *doubles;   /* `doubles` may be NULL */
    bool all_exact;
};

struct set_view {
    struct rowset *set;
    struct placed *placed; /* by leaf: those that it met */
    uint32_t n_placed, at; /* `at`: the first that is not before the leaf in hand */
};

struct build {
    const struct encode_env *env;
    const struct encode_kept *k;
    struct set_view *views;
    size_t n_views;
    struct placed *placed; /* of all views */
    struct pq_piece *pieces;
    size_t n_pieces, cap_pieces;
    struct column **made; /* for the leaf in hand */
    size_t n_made, cap_made;
};

/* ---- the Parquet schema ---- */

static bool primitive_type(const struct field *f, enum pq_type *out)
{
    switch (f->kind) {
    case TYPE_BOOLEAN: *out = PQ_BOOLEAN; return true;
    case TYPE_LONG: *out = PQ_INT64; return true;
    case TYPE_DOUBLE: *out = PQ_DOUBLE; return true;
    case TYPE_DECIMAL: *out = PQ_DECIMAL; return f->precision <= 18;
    case TYPE_TIMESTAMPTZ: *out = PQ_TIMESTAMPTZ; return true;
    case TYPE_STRING: *out = PQ_STRING; return true;
    case TYPE_BINARY: *out = PQ_BINARY; return true;
    default: return false;
    }
}

static bool storable(const struct field *f)
{
    enum pq_type ignored;
    if (f->kind == TYPE_LIST)
        return storable(&f->children[0]);
    if (f->kind != TYPE_STRUCT)
        return primitive_type(f, &ignored);
    for (uint32_t i = 0; i < f->n_children; i++)
        if (storable(&f->children[i]))
            return true;
    return false;
}

static void add_nodes(struct pq_schema *s, const struct field *f)
{
    struct pq_node node = {.name = f->name,
                           .field_id = f->id,
                           .required = f->required,
                           .precision = (uint8_t)f->precision,
                           .scale = (uint8_t)f->scale};
    uint32_t at = s->n_nodes++;
    if (at % NODES_MORE == 0)
        s->nodes = mem_regrow(s->nodes, at + NODES_MORE, sizeof *s->nodes);
    if (f->kind == TYPE_STRUCT)
        node.type = PQ_GROUP;
    else if (f->kind == TYPE_LIST)
        node.type = PQ_LIST;
    else
        primitive_type(f, &node.type);
    for (uint32_t i = 0; (f->kind == TYPE_STRUCT || f->kind == TYPE_LIST) && i < f->n_children; i++)
        if (storable(&f->children[i])) {
            add_nodes(s, &f->children[i]);
            node.n_children++;
        }
    s->nodes[at] = node;
}

struct pq_schema *encode_schema(const struct schema *schema)
{
    struct pq_schema *s = mem_zalloc(sizeof *s);
    for (uint32_t i = 0; i < schema->root.n_children; i++)
        if (storable(&schema->root.children[i])) {
            add_nodes(s, &schema->root.children[i]);
            s->n_roots++;
        }
    return s;
}

void encode_schema_free(struct pq_schema *s)
{
    if (s)
        free(s->nodes);
    free(s);
}

static enum col_type memory_type(enum pq_type t)
{
    switch (t) {
    case PQ_BOOLEAN: return COL_BOOL;
    case PQ_DOUBLE: return COL_DOUBLE;
    case PQ_STRING:
    case PQ_BINARY: return COL_BYTES;
    default: return COL_LONG;
    }
}

static uint32_t add_group(struct encode_kept *k, uint32_t up, uint8_t def, uint8_t rep)
{
    uint8_t depth = up == NO_GROUP ? 1 : (uint8_t)(k->groups[up].depth + 1);
    invariant(depth <= PATH_MAX_DEPTH);
    if (k->n_groups == k->cap_groups) {
        k->cap_groups = k->cap_groups * 2 + 8;
        k->groups = mem_regrow(k->groups, k->cap_groups, sizeof *k->groups);
    }
    k->groups[k->n_groups] = (struct group){.up = up, .depth = depth, .def = def, .rep = rep};
    return k->n_groups++;
}

/* Walks one node and what is below it; returns the node after them. */
static uint32_t add_leaves(struct encode_kept *k, const struct pq_schema *s, uint32_t at,
                           struct leaf above)
{
    const struct pq_node *node = &s->nodes[at++];
    above.max_def = (uint8_t)(above.max_def + !node->required);
    if (node->type != PQ_GROUP && node->type != PQ_LIST) {
        above.field_id = node->field_id;
        above.ours = above.group == NO_GROUP ? schema_ids_ours(&k->ours, node->field_id) : 0;
        above.type = memory_type(node->type);
        if (k->n_leaves == k->cap_leaves) {
            k->cap_leaves = k->cap_leaves * 2 + 16;
            k->leaves = mem_regrow(k->leaves, k->cap_leaves, sizeof *k->leaves);
        }
        k->leaves[k->n_leaves++] = above;
        return at;
    }
    above.group = add_group(k, above.group, above.max_def, above.max_rep);
    if (node->type == PQ_LIST) {
        above.max_def++;
        above.max_rep++;
    }
    for (uint32_t i = 0; i < node->n_children; i++)
        at = add_leaves(k, s, at, above);
    return at;
}

static int by_field_id(const void *a, const void *b)
{
    const struct leaf_id *x = a, *y = b;
    return (x->field_id > y->field_id) - (x->field_id < y->field_id);
}

struct encode_kept *encode_kept_new(void)
{
    return mem_zalloc(sizeof(struct encode_kept));
}

void encode_kept_free(struct encode_kept *k)
{
    if (!k)
        return;
    pq_hints_fini(&k->hints);
    free(k->leaves);
    free(k->groups);
    free(k->ids);
    free(k);
}

static void keep_leaves(struct encode_kept *k, const struct schema *of, const struct schema_ids *ids)
{
    if (k->n_leaves && k->schema_id == of->schema_id)
        return;
    schema_ids_same(&k->ours);
    if (ids)
        k->ours = *ids;
    struct pq_schema *schema = encode_schema(of);
    k->n_leaves = k->n_groups = 0;
    for (uint32_t at = 0; at < schema->n_nodes;)
        at = add_leaves(k, schema, at, (struct leaf){.group = NO_GROUP});
    encode_schema_free(schema);
    k->ids = mem_regrow(k->ids, k->n_leaves + 1u, sizeof *k->ids);
    for (uint32_t i = 0; i < k->n_leaves; i++)
        k->ids[i] = (struct leaf_id){k->leaves[i].field_id, i};
    qsort(k->ids, k->n_leaves, sizeof *k->ids, by_field_id);
    k->schema_id = of->schema_id;
}

/* UINT32_MAX: there is none. */
static uint32_t leaf_of(const struct encode_kept *k, int32_t field_id)
{
    struct leaf_id key = {.field_id = field_id};
    const struct leaf_id *found =
        k->n_leaves ? bsearch(&key, k->ids, k->n_leaves, sizeof *k->ids, by_field_id) : NULL;
    return found ? found->leaf : UINT32_MAX;
}

/* ---- columns made here ---- */

static struct column *make_column(struct build *b, enum col_type type, unsigned max_def, unsigned max_rep)
{
    struct column *c = mem_zalloc(sizeof *c);
    column_init(c, type, max_def, max_rep);
    if (b->n_made == b->cap_made) {
        b->cap_made = b->cap_made * 2 + 8;
        b->made = mem_regrow(b->made, b->cap_made, sizeof *b->made);
    }
    b->made[b->n_made++] = c;
    return c;
}

static void drop_made(struct build *b)
{
    while (b->n_made) {
        struct column *c = b->made[--b->n_made];
        column_fini(c);
        free(c);
    }
}

/* Of the longs and doubles seen at one place: doubles and exact longs in one column, or the other longs. Entries of
 * the two match one to one; the shorter is null to its end. */
static const struct column *merge_numbers(struct build *b, const struct placed *p)
{
    const struct column *longs = p->col, *doubles = p->doubles;
    bool inexact = p->how == INEXACT;
    struct column *c = make_column(b, inexact ? COL_LONG : COL_DOUBLE, longs->max_def, longs->max_rep);
    uint32_t n_longs = longs->n_levels, n_doubles = doubles ? doubles->n_levels : 0;
    uint32_t n = n_longs > n_doubles ? n_longs : n_doubles, at_long = 0, at_double = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t def_l = i < n_longs ? longs->def[i] : 0, def_d = i < n_doubles ? doubles->def[i] : 0;
        const struct column *levels = i < n_longs ? longs : doubles;
        uint8_t rep = levels->rep ? levels->rep[i] : 0, full = longs->max_def;
        uint8_t null_def = def_l == full ? (uint8_t)(full - 1) : def_l;
        if (def_d != full && def_d > null_def)
            null_def = def_d;
        bool is_double = def_d == full, is_long = def_l == full;
        double value = is_double ? doubles->doubles[at_double++] : 0;
        int64_t number = is_long ? longs->longs[at_long++] : 0;
        bool exact = is_long && json_double_holds(number);
        bool there = inexact ? is_long && !exact : is_double || exact;
        invariant(!p->all_exact || !is_long || exact);
        column_level(c, there ? full : null_def, rep);
        if (there && inexact)
            column_number(c, number);
        else if (there)
            column_real(c, is_double ? value : (double)number);
    }
    return c;
}

static const struct column *column_of(struct build *b, const struct placed *p)
{
    return p->how == AS_IS ? p->col : merge_numbers(b, p);
}

static void place(const struct encode_kept *k, struct set_view *v, int32_t field_id, struct placed p)
{
    invariant(field_id > 0); /* the registry agreed every kind that was seen with the table */
    p.leaf = leaf_of(k, field_id);
    if (p.leaf != UINT32_MAX)
        v->placed[v->n_placed++] = p;
}

static const struct column *kind_of(const struct rowset *r, const struct rnode *node, enum kind kind)
{
    for (uint32_t i = 0; i < r->n_cols; i++)
        if (r->cols[i].node == node && r->cols[i].kind == kind)
            return &r->cols[i].col;
    return NULL;
}

/* At two leaves at most. */
static void place_column(const struct encode_kept *k, struct set_view *v, const struct rowset_column *c)
{
    bool merge = false;
    int32_t inexact = 0;
    if (!c->node) {
        place(k, v, k->ours.of[c->envelope_id], (struct placed){.col = &c->col});
        return;
    }
    int32_t id = registry_target(c->node, c->kind, &merge, &inexact);
    struct placed p = {.col = &c->col};
    if (c->kind == KIND_DOUBLE) {
        bool other_merges = false;
        int32_t ignored = 0;
        if (kind_of(v->set, c->node, KIND_LONG))
            registry_target(c->node, KIND_LONG, &other_merges, &ignored);
        if (other_merges)
            return; /* placed together with the longs */
    } else if (c->kind == KIND_LONG && merge) {
        p.how = NUMBERS;
        p.doubles = kind_of(v->set, c->node, KIND_DOUBLE);
        p.all_exact = !inexact;
    }
    place(k, v, id, p);
    p.how = INEXACT;
    if (inexact)
        place(k, v, inexact, p);
}

/* By leaf; those of the same leaf as they came. */
static int by_leaf(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->leaf == y->leaf)
        return (x->col > y->col) - (x->col < y->col);
    return x->leaf < y->leaf ? -1 : 1;
}

static void place_columns(const struct encode_kept *k, struct set_view *v)
{
    for (uint32_t c = 0; c < v->set->n_cols; c++)
        place_column(k, v, &v->set->cols[c]);
    qsort(v->placed, v->n_placed, sizeof *v->placed, by_leaf);
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_placed; i++) /* the first of a leaf has it */
        if (!n || v->placed[n - 1].leaf != v->placed[i].leaf)
            v->placed[n++] = v->placed[i];
    v->n_placed = n;
}

/* ---- pieces ---- */

static struct pq_piece *add_piece(struct build *b, struct pq_piece piece)
{
    if (b->n_pieces == b->cap_pieces) {
        b->cap_pieces = b->cap_pieces * 2 + 32;
        b->pieces = mem_regrow(b->pieces, b->cap_pieces, sizeof *b->pieces);
    }
    b->pieces[b->n_pieces] = piece;
    return &b->pieces[b->n_pieces++];
}

static void add_nulls(struct build *b, uint32_t rows)
{
    struct pq_piece *last = b->n_pieces ? &b->pieces[b->n_pieces - 1] : NULL;
    if (last && last->kind == PQ_PIECE_NULLS)
        last->rows += rows; /* all of a row group are fewer than 2^32: encode_group */
    else if (rows)
        add_piece(b, (struct pq_piece){.kind = PQ_PIECE_NULLS, .rows = rows});
}

static void add_text(struct build *b, const char *p, size_t n, uint32_t rows)
{
    if (p && rows)
        add_piece(b, (struct pq_piece){.kind = PQ_PIECE_CONST, .rows = rows, .text = {p, n}});
    else
        add_nulls(b, rows);
}

static void add_column(struct build *b, const struct column *col, uint32_t rows)
{
    invariant(col->rows <= rows);
    if (col->rows)
        add_piece(b, (struct pq_piece){.kind = PQ_PIECE_COLUMN, .col = col, .rows = col->rows});
    add_nulls(b, rows - col->rows);
}

/* A text by the shard that each row came from. */
static void add_by_shard(struct build *b, const struct rowset *r, const char *const *texts)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        uint32_t shard = r->shards[i].shard;
        const char *name = shard < b->env->n_shards ? texts[shard] : NULL;
        add_text(b, name, name ? strlen(name) : 0, r->shards[i].rows);
        rows += r->shards[i].rows;
    }
    invariant(rows <= r->rows);
    add_nulls(b, r->rows - rows);
}

/* The innermost group that both lie in; NO_GROUP: none. */
static uint32_t common_group(const struct encode_kept *k, uint32_t a, uint32_t b)
{
    while (a != b) {
        uint8_t da = a == NO_GROUP ? 0 : k->groups[a].depth, db = b == NO_GROUP ? 0 : k->groups[b].depth;
        if (da >= db)
            a = k->groups[a].up;
        if (db >= da)
            b = k->groups[b].up;
    }
    return a;
}

/* The leaf that this row set never met, made from one that it did, below their nearest common group. Nearest are the
 * ones before and after it: leaves of a group stand side by side. */
static const struct column *derive(struct build *b, struct set_view *v, const struct leaf *leaf)
{
    const struct placed *near = NULL;
    const struct group *shared = NULL;
    for (uint32_t i = v->at ? v->at - 1 : 0; i <= v->at && i < v->n_placed; i++) {
        uint32_t g = common_group(b->k, leaf->group, b->k->leaves[v->placed[i].leaf].group);
        if (g == NO_GROUP || (shared && shared->depth >= b->k->groups[g].depth))
            continue;
        near = &v->placed[i];
        shared = &b->k->groups[g];
    }
    if (!near)
        return NULL;
    const struct column *like = column_of(b, near);
    struct column *made = make_column(b, leaf->type, leaf->max_def, leaf->max_rep);
    for (uint32_t i = 0; i < like->n_levels; i++) {
        uint8_t r = like->rep ? like->rep[i] : 0;
        if (r <= shared->rep)
            column_level(made, like->def[i] < shared->def ? like->def[i] : shared->def, r);
    }
    return made;
}

static void event_pieces(struct build *b, struct set_view *v, const struct leaf *leaf)
{
    const struct rowset *r = v->set;
    switch (r->table ? leaf->ours : 0) {
    case COL_EVENT_NAME: add_text(b, r->name, r->name_n, r->rows); return;
    case COL_EVENT_TYPE: add_text(b, r->type, r->type_n, r->rows); return;
    case COL_EVENT_SUBTYPE: add_text(b, r->subtype, r->subtype_n, r->rows); return;
    case COL_SHARD: add_by_shard(b, r, b->env->shard_names); return;
    default: break;
    }
    uint32_t number = (uint32_t)(leaf - b->k->leaves);
    const struct column *col = NULL;
    while (v->at < v->n_placed && v->placed[v->at].leaf < number)
        v->at++;
    if (v->at < v->n_placed && v->placed[v->at].leaf == number)
        col = column_of(b, &v->placed[v->at]);
    else if (leaf->group != NO_GROUP)
        col = derive(b, v, leaf);
    if (col)
        add_column(b, col, r->rows);
    else
        add_nulls(b, r->rows);
}

/* Dead letters: field 5 is the stream, 6 the shard; the rest are the row set's columns. */
static void dead_pieces(struct build *b, struct set_view *v, const struct leaf *leaf)
{
    if (leaf->ours == 5 || leaf->ours == 6)
        add_by_shard(b, v->set, leaf->ours == 5 ? b->env->streams : b->env->shard_names);
    else
        event_pieces(b, v, leaf);
}

/* ---- the file ---- */

static int by_subtype(const void *a, const void *b)
{
    const struct rowset *x = *(struct rowset *const *)a, *y = *(struct rowset *const *)b;
    if (!x->subtype || !y->subtype)
        return (x->subtype != NULL) - (y->subtype != NULL);
    int c = strcmp(x->subtype, y->subtype);
    return c ? c : strcmp(x->name, y->name);
}

static void build_fini(struct build *b)
{
    drop_made(b);
    free(b->made);
    free(b->views);
    free(b->placed);
    free(b->pieces);
}

static int write_columns(struct build *b, struct pq_writer *w, uint32_t rows, struct err *e)
{
    pq_writer_group_begin_with(w, rows, b->env->scratch);
    for (uint32_t l = 0; l < b->k->n_leaves; l++) {
        b->n_pieces = 0;
        for (size_t i = 0; i < b->n_views; i++) {
            if (b->views[i].set->table)
                event_pieces(b, &b->views[i], &b->k->leaves[l]);
            else
                dead_pieces(b, &b->views[i], &b->k->leaves[l]);
        }
        if (pq_writer_column(w, b->pieces, b->n_pieces, e))
            return -1;
        drop_made(b);
    }
    return pq_writer_group_end(w, e);
}

struct pq_writer *encode_open(const struct encode_env *env, struct buf *out, struct pq_cost *cost)
{
    struct pq_options options = {.zstd_level = env->zstd_level,
                                 .created_by = env->created_by,
                                 .hints = &env->kept->hints};
    struct pq_schema *schema = encode_schema(env->schema);
    struct pq_writer *w = pq_writer_new(schema, &options, out, cost);
    encode_schema_free(schema);
    return w;
}

int encode_group(const struct encode_env *env, struct pq_writer *w, struct rowset **sets, size_t n,
                 struct err *e)
{
    struct build b = {.env = env, .k = env->kept, .n_views = n};
    uint32_t rows = 0;
    qsort(sets, n, sizeof *sets, by_subtype);
    keep_leaves(env->kept, env->schema, env->ids);
    b.views = mem_array(n, sizeof *b.views);
    size_t cols = 0;
    for (size_t i = 0; i < n; i++)
        cols += sets[i]->n_cols;
    b.placed = mem_array(cols * 2, sizeof *b.placed);
    struct placed *at = b.placed;
    for (size_t i = 0; i < n; i++) {
        rowset_columns(sets[i]);
        b.views[i] = (struct set_view){.set = sets[i], .placed = at};
        place_columns(b.k, &b.views[i]);
        at += b.views[i].n_placed;
        invariant(!__builtin_add_overflow(rows, sets[i]->rows, &rows));
    }
    int rc = write_columns(&b, w, rows, e);
    build_fini(&b);
    return rc;
}
