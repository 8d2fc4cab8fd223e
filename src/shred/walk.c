/* The tape of one valid record into the columns of its row set.
 *
 * Columns at the top level are lazy: a row that lacks them costs nothing. Below a struct or list that is
 * there, every leaf gets an entry at the close of each instance, so that all leaves of a struct agree on
 * where it was. What cannot be stored goes to s->rescued under its pointer; an instance in which nothing
 * was stored is not there at all, and an empty one is rescued. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/digest.h"
#include "shred/convert.h"
#include "shred/shred_int.h"

#define DEPTH_MAX 256
#define SLAB_NODES 32u

struct lgroup *lnode_group(struct lnode *n)
{
    if (!n->group) {
        n->group = mem_zalloc(sizeof *n->group);
        n->group->by_key.borrows = true; /* the registry's */
    }
    return n->group;
}

/* Light ones lie side by side. */
static struct lnode *room_for(struct lnode *parent)
{
    if (!parent || !light_at(parent->n_children))
        return mem_lines(1, sizeof(struct lnode));
    struct lgroup *g = lnode_group(parent);
    uint32_t at = (parent->n_children - MANY_MEMBERS) % SLAB_NODES;
    if (at == 0) {
        g->slabs = mem_regrow(g->slabs, g->n_slabs + 1, sizeof *g->slabs);
        g->slabs[g->n_slabs++] = mem_lines(SLAB_NODES, LIGHT_BYTES);
    }
    return (struct lnode *)(void *)(g->slabs[g->n_slabs - 1] + at * LIGHT_BYTES);
}

struct lnode *lnode_new(struct rnode *r, struct lnode *parent)
{
    struct lnode *n = room_for(parent);
    n->r = r;
    n->place = (uint8_t)r->place;
    n->max_def = r->max_def;
    n->max_rep = r->max_rep;
    n->op = n->place == PLACE_STRUCT ? FAST_STRUCT : n->place == PLACE_LIST ? FAST_LIST : FAST_OTHER;
    n->parent = parent;
    fast_edges_init(n->edges, edges_of(parent && light_at(parent->n_children)));
    for (int k = 0; k < KIND_COUNT; k++)
        n->column[k] = -1;
    if (parent) {
        parent->children = mem_regrow(parent->children, parent->n_children + 1, sizeof *parent->children);
        n->index = parent->n_children;
        parent->children[parent->n_children++] = n;
        map_set(&lnode_group(parent)->by_key, r->key, r->key_len, n);
        if (!parent->first)
            parent->first = fast_edges();
    }
    return n;
}

struct lnode *lnode_child(const struct lnode *n, const char *key, size_t len)
{
    return n->group ? map_get(&n->group->by_key, key, len) : NULL;
}

static void group_free(struct lgroup *g)
{
    for (uint32_t i = 0; g && i < g->n_slabs; i++)
        free(g->slabs[i]);
    if (g) {
        free(g->slabs);
        map_fini(&g->by_key);
        free(g->leaves);
        free(g->after_envelope);
    }
    free(g);
}

void lnode_free(struct lnode *n)
{
    for (uint32_t i = 0; i < n->n_children; i++)
        lnode_free(n->children[i]);
    group_free(n->group);
    free(n->children);
    free(n->first);
    if (!n->parent || !light_at(n->index))
        free(n);
}

/* ---- rescue ---- */

static void push_step(struct shredder *s, const char *key, size_t n)
{
    invariant(s->n_path < PATH_MAX_STEPS);
    s->path[s->n_path++] = (struct str){key, n};
}

/* One step of an RFC 6901 pointer, as it stands inside a JSON string. */
static void put_step(struct buf *out, const char *key, size_t n)
{
    buf_putc(out, '/');
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)key[i], next = i + 2 < n ? (uint8_t)key[i + 1] : 0;
        if (c == 0xed && next >= 0xa0) { /* a lone surrogate: back to its escape */
            buf_printf(out, "\\ud%03x", (next & 0x3fu) << 6 | ((uint8_t)key[i + 2] & 0x3fu));
            i += 2;
        } else if (c == '~' || c == '/')
            buf_puts(out, c == '~' ? "~0" : "~1");
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_putc(out, c);
    }
}

void walk_rescue(struct shredder *s, const uint8_t *raw, size_t n)
{
    buf_putc(&s->rescued, s->rescued.n ? ',' : '{');
    buf_putc(&s->rescued, '"');
    for (uint32_t i = 0; i < s->n_path; i++)
        put_step(&s->rescued, s->path[i].p, s->path[i].n);
    buf_puts(&s->rescued, "\":");
    buf_put(&s->rescued, raw, n);
}

static void rescue_value(struct shredder *s, const struct json_tok *v)
{
    bool quoted = v->kind == TOK_STRING;
    walk_rescue(s, s->p + v->start - quoted, v->end - v->start + 2u * quoted);
}

int walk_envelope_key(const char *p, size_t n)
{
    if (n != 10)
        return 0;
    return memcmp(p, "event_uuid", 10) == 0   ? 1
           : memcmp(p, "event_name", 10) == 0 ? 2
           : memcmp(p, "created_at", 10) == 0 ? 3
                                              : 0;
}

/* ---- columns ---- */

enum col_type walk_memory_type(enum kind kind)
{
    switch (kind) {
    case KIND_BOOL: return COL_BOOL;
    case KIND_DOUBLE: return COL_DOUBLE;
    case KIND_LONG:
    case KIND_DECIMAL:
    case KIND_TIMESTAMPTZ: return COL_LONG;
    default: return COL_BYTES;
    }
}

/* Any column at or below a place that is in this row set. */
static struct column *any_leaf(struct shredder *s, const struct lnode *n, const struct lnode *but,
                               enum kind but_kind)
{
    for (int k = 0; k < KIND_COUNT; k++)
        if (!(n == but && (enum kind)k == but_kind)) {
            struct column *c = shred_column(s, n, (enum kind)k);
            if (c)
                return c;
        }
    for (uint32_t i = 0; i < n->n_children; i++) {
        struct column *c = any_leaf(s, n->children[i], but, but_kind);
        if (c)
            return c;
    }
    return NULL;
}

bool walk_has_leaf(struct shredder *s, const struct lnode *n)
{
    return any_leaf(s, n, NULL, KIND_BOOL) != NULL;
}

static const struct column *other_kind(struct shredder *s, const struct lnode *n, enum kind but)
{
    for (int k = 0; k < KIND_COUNT; k++) {
        const struct column *c = (enum kind)k == but ? NULL : shred_column(s, n, (enum kind)k);
        if (c)
            return c;
    }
    return NULL;
}

/* A new leaf below a struct or list that was there before: its levels up to now are those of a sibling
 * below their nearest common place. `in[]` are the open instances, from the root down. */
static void derive_levels(struct shredder *s, struct column *to, const struct lnode *n,
                          enum kind kind, const struct place_in *in, uint32_t depth)
{
    const struct column *own = other_kind(s, n, kind);
    for (uint32_t k = 0; own && k < own->n_levels; k++) /* the same places, without a value */
        column_level(to, own->def[k] < own->max_def ? own->def[k] : (uint8_t)(own->max_def - 1),
                     own->rep ? own->rep[k] : 0);
    if (own)
        return;
    for (uint32_t d = depth; d > 0; d--) { /* in[0] is the root: lazy */
        const struct lnode *a = in[d].node;
        if (a->place == PLACE_STRUCT && !a->max_rep) {
            for (uint32_t row = 0; row < s->row; row++)
                column_level(to, rows_structs(s->set, a, row), 0);
            return;
        }
        for (uint32_t i = 0; i < a->n_children; i++) {
            const struct lnode *via = a->children[i];
            const struct column *like = any_leaf(s, via, n, kind);
            if (!like)
                continue;
            uint32_t upto = like->n_levels;
            if (via->stamp == in[d].instance) /* it has entries of this very instance: not those */
                while (upto > 0) {
                    upto--;
                    if ((like->rep ? like->rep[upto] : 0) <= a->r->max_rep)
                        break;
                }
            for (uint32_t k = 0; k < upto; k++) {
                uint8_t rep = like->rep ? like->rep[k] : 0;
                uint8_t def = like->def[k] < a->r->max_def ? like->def[k] : a->r->max_def;
                if (rep <= a->r->max_rep)
                    column_level(to, def, rep);
            }
            return;
        }
    }
}

static void add_leaf(struct lnode *n, uint32_t column, bool listed)
{
    n->n_listed += listed;
    n->n_leaves++;
    struct lgroup *g = n->group;
    if (!g) /* a scalar's are its columns */
        return;
    if (n->n_leaves > g->cap_leaves) {
        g->cap_leaves = g->cap_leaves * 2 + 4;
        g->leaves = mem_regrow(g->leaves, g->cap_leaves, sizeof *g->leaves);
    }
    g->leaves[n->n_leaves - 1] = column;
}

void walk_expect(struct lnode *n, enum kind kind)
{
    static const uint8_t ops[KIND_COUNT] = {[KIND_BOOL] = FAST_BOOL,
                                            [KIND_LONG] = FAST_LONG,
                                            [KIND_DOUBLE] = FAST_DOUBLE,
                                            [KIND_STRING] = FAST_STRING};
    unsigned kinds = 0;
    for (int k = 0; k < KIND_COUNT; k++)
        kinds += n->column[k] >= 0;
    n->only = n->column[kind];
    n->op = n->place != PLACE_SCALAR || (kinds > 1 && n->parent->parent) ? FAST_OTHER : ops[kind];
    fast_edges_to(n);
}

static int32_t add_column(struct shredder *s, struct lnode *n, enum kind kind)
{
    struct shape *sh = s->shape;
    s->learned += LEARNED_COLUMN;
    if (sh->n_columns == sh->cap_columns) {
        sh->cap_columns = sh->cap_columns * 2 + 16;
        sh->columns = mem_regrow(sh->columns, sh->cap_columns, sizeof *sh->columns);
    }
    sh->columns[sh->n_columns++] = (struct shape_column){.node = n, .kind = kind};
    return (int32_t)(ENV_COLUMNS + sh->n_columns - 1);
}

static struct column *open_column(struct shredder *s, struct lnode *n, enum kind kind,
                                  const struct place_in *in, uint32_t depth)
{
    struct shape *sh = s->shape;
    if (n->column[kind] < 0) {
        n->column[kind] = add_column(s, n, kind);
        for (struct lnode *up = n; up; up = up->parent)
            add_leaf(up, (uint32_t)n->column[kind], n->max_rep > 0);
        walk_expect(n, kind);
    }
    rows_room(s, ENV_COLUMNS + sh->n_columns);
    uint32_t want = (uint32_t)n->column[kind] + 1;
    shred_more_columns(s->set, want);
    struct column made;
    column_init(&made, walk_memory_type(kind), n->r->max_def, n->r->max_rep);
    made.arena = &s->set->arena;
    made.hint = sh->columns[want - 1 - ENV_COLUMNS].hint;
    if (depth && made.max_rep)
        derive_levels(s, &made, n, kind, in, depth);
    struct rowset_column *rc = &s->set->cols[want - 1];
    *rc = (struct rowset_column){.node = n->r, .kind = kind, .col = made};
    s->set->n_open++;
    return &rc->col;
}

void walk_complete_set(struct shredder *s)
{
    struct shape *sh = s->shape;
    struct place_in in[DEPTH_MAX];
    for (uint32_t i = 0; i < sh->n_columns; i++) {
        struct lnode *n = sh->columns[i].node;
        uint32_t depth = 0;
        if (sh->columns[i].kind == KIND_COUNT || shred_column(s, n, sh->columns[i].kind))
            continue;
        for (const struct lnode *up = n->parent; up->parent; up = up->parent)
            depth++;
        uint32_t d = depth;
        for (struct lnode *up = n->parent; up; up = up->parent, d--)
            in[d] = (struct place_in){up, ++s->instance, 0}; /* none of it has been met */
        open_column(s, n, sh->columns[i].kind, in, depth);
    }
    s->set->n_open = sh->n_columns;
    rows_room(s, ENV_COLUMNS + sh->n_columns);
}

static void put_null(struct shredder *s, uint32_t column, uint8_t def, uint8_t rep)
{
    if (column >= s->set->n_cols)
        return;
    struct column *c = &s->set->cols[column].col;
    if (c->live && c->max_rep) {
        column_pad(c, rep == 0 ? s->row : 0);
        column_level(c, def, rep);
    }
}

/* An entry without a value in every column at and below a place that has entries: those in lists. */
void walk_put_nulls(struct shredder *s, const struct lnode *n, uint8_t def, uint8_t rep)
{
    if (n->group)
        for (uint32_t i = 0; i < n->n_leaves; i++)
            put_null(s, n->group->leaves[i], def, rep);
    else
        for (int k = 0; k < KIND_COUNT; k++)
            put_null(s, (uint32_t)n->column[k], def, rep); /* -1: none */
}

/* ---- values ---- */

static bool put_value(struct shredder *s, struct place_in *in, uint32_t depth, struct lnode *n,
                      uint32_t at, uint8_t rep);

static inline bool several(uint32_t kinds)
{
    return (kinds & (kinds - 1)) != 0;
}

/* Ready for a value: the column, padded, with its full level written; the same place's other kinds get
 * their null. */
struct column *walk_begin(struct shredder *s, const struct place_in *in, uint32_t depth,
                          struct lnode *n, enum kind kind, uint8_t rep)
{
    struct column *c = shred_column(s, n, kind);
    if (__builtin_expect(!c, 0))
        c = open_column(s, n, kind, in, depth);
    n->stamp = in[depth].instance;
    if (!c->max_rep) {
        rows_set(s->bits, n->column[kind]);
        return c;
    }
    if (rep == 0)
        column_pad(c, s->row);
    column_level(c, c->max_def, rep);
    if (__builtin_expect(several(rnode_kinds(n->r)), 0))
        for (int k = 0; k < KIND_COUNT; k++) {
            struct column *other = (enum kind)k == kind ? NULL : shred_column(s, n, (enum kind)k);
            if (other) {
                if (rep == 0)
                    column_pad(other, s->row);
                column_level(other, (uint8_t)(other->max_def - 1), rep);
            }
        }
    return c;
}

/* May what is new be made of this value? Not before equal keys are marked: a value that another supersedes
 * leaves no trace in the table. */
static bool may_learn(struct shredder *s)
{
    s->again |= !s->last_wins;
    return s->last_wins;
}

static bool allow_kind(struct shredder *s, struct lnode *n, enum kind kind)
{
    if (__builtin_expect((rnode_kinds(n->r) & 1u << kind) != 0, 1))
        return true;
    if (!may_learn(s))
        return false;
    s->counts.conflicts++;
    return registry_add_kind(s->shape->table->registry, n->r, kind);
}

bool walk_put_long(struct shredder *s, const struct place_in *in, uint32_t depth, struct lnode *n,
                   int64_t number, uint8_t rep)
{
    const uint32_t both = 1u << KIND_LONG | 1u << KIND_DOUBLE;
    bool exact = json_double_holds(number), list = n->r->parent->place == PLACE_LIST;
    bool only_double = (rnode_table_kinds(n->r) & both) == 1u << KIND_DOUBLE ||
                       (list && (rnode_kinds(n->r) & both) == 1u << KIND_DOUBLE); /* it has one type */
    if (only_double && exact) {
        column_real(walk_begin(s, in, depth, n, KIND_DOUBLE, rep), (double)number);
        return true;
    }
    if (!exact && !__atomic_load_n(&n->r->inexact_long, __ATOMIC_RELAXED) && !may_learn(s))
        return false;
    if (!exact && list && !registry_allow_inexact(s->shape->table->registry, n->r))
        return false;
    if (!exact)
        __atomic_store_n(&n->r->inexact_long, 1, __ATOMIC_RELAXED);
    if (!allow_kind(s, n, KIND_LONG))
        return false;
    column_number(walk_begin(s, in, depth, n, KIND_LONG, rep), number);
    return true;
}

static bool put_string(struct shredder *s, const struct place_in *in, uint32_t depth, struct lnode *n,
                       const struct json_tok *v, uint8_t rep)
{
    if (v->flags & TOK_UNSAFE || !allow_kind(s, n, KIND_STRING))
        return false;
    struct column *c = walk_begin(s, in, depth, n, KIND_STRING, rep);
    if (v->flags & TOK_ESCAPED) {
        s->text.n = 0;
        json_unescape(s->p + v->start, v->end - v->start, &s->text);
        column_text(c, s->text.p ? s->text.p : s->p, s->text.n);
    } else {
        column_text(c, s->p + v->start, v->end - v->start);
    }
    return true;
}

static bool put_scalar(struct shredder *s, const struct place_in *in, uint32_t depth,
                       struct lnode *n, const struct json_tok *v, uint8_t rep)
{
    int64_t number;
    double real;
    switch (v->kind) {
    case TOK_STRING: return put_string(s, in, depth, n, v, rep);
    case TOK_INTEGER:
        return json_long(s->p + v->start, v->end - v->start, &number) &&
               walk_put_long(s, in, depth, n, number, rep);
    case TOK_DECIMAL:
        if (!json_double(s->p + v->start, v->end - v->start, &real) || !allow_kind(s, n, KIND_DOUBLE))
            return false;
        column_real(walk_begin(s, in, depth, n, KIND_DOUBLE, rep), real);
        return true;
    case TOK_TRUE:
    case TOK_FALSE:
        if (!allow_kind(s, n, KIND_BOOL))
            return false;
        column_flag(walk_begin(s, in, depth, n, KIND_BOOL, rep), v->kind == TOK_TRUE);
        return true;
    default: return false;
    }
}

/* A column whose type the config declares. */
bool walk_put_declared(struct shredder *s, const struct place_in *in, uint32_t depth,
                       struct lnode *n, const struct json_tok *v, uint8_t rep, bool *inexact)
{
    struct converted out;
    s->text.n = 0;
    if (!convert_value(s->p, v, n->r, s->env.hash_key, s->env.hash_key_n, &s->text, &out))
        return false;
    *inexact = out.inexact;
    struct column *c = walk_begin(s, in, depth, n, n->r->declared, rep);
    switch (walk_memory_type(n->r->declared)) {
    case COL_BOOL: column_flag(c, out.number != 0); break;
    case COL_LONG: column_number(c, out.number); break;
    case COL_DOUBLE: column_real(c, out.real); break;
    default: column_text(c, s->text.p ? s->text.p : s->p, s->text.n); break;
    }
    return true;
}

/* ---- structs and lists ---- */

static enum kind kind_of(const struct json_tok *v)
{
    return v->kind == TOK_STRING    ? KIND_STRING
           : v->kind == TOK_INTEGER ? KIND_LONG
           : v->kind == TOK_DECIMAL ? KIND_DOUBLE
                                    : KIND_BOOL;
}

static enum place place_of(const struct json_tok *v)
{
    return v->kind == TOK_OBJECT ? PLACE_STRUCT : v->kind == TOK_ARRAY ? PLACE_LIST : PLACE_SCALAR;
}

/* May this value make a new place? Not what has nothing to store: no column comes of it. */
static bool can_make(const uint8_t *p, const struct json_tok *toks, uint32_t at)
{
    const struct json_tok *v = &toks[at];
    int64_t number;
    double real;
    if (v->kind == TOK_INTEGER)
        return json_long(p + v->start, v->end - v->start, &number);
    if (v->kind == TOK_DECIMAL)
        return json_double(p + v->start, v->end - v->start, &real);
    return v->kind != TOK_NULL && !(v->flags & TOK_UNSAFE) &&
           !((v->kind == TOK_OBJECT || v->kind == TOK_ARRAY) && v->next == at + 1);
}

static struct lnode *child_of(struct shredder *s, struct lnode *up, const char *key, size_t n,
                              uint32_t at)
{
    struct lgroup *g = lnode_group(up);
    struct lnode *c = g->expect < up->n_children ? up->children[g->expect] : NULL;
    if (!c || c->r->key_len != n || memcmp(c->r->key, key, n) != 0)
        c = map_get(&g->by_key, key, n);
    if (c) {
        g->expect = c->index + 1;
        return c;
    }
    const struct json_tok *v = &s->tape.toks[at];
    struct registry *registry = s->shape->table->registry;
    bool makes = can_make(s->p, s->tape.toks, at) || (v->kind != TOK_NULL && registry_hides(registry, up->r, key, n));
    if (makes ? !may_learn(s) : v->kind != TOK_ARRAY) /* an empty list has a place where there is one */
        return NULL;
    struct rnode *r = makes ? registry_child(registry, up->r, key, n, place_of(v), kind_of(v))
                            : registry_find(registry, up->r, key, n);
    if (!r || (r->place == PLACE_RESCUE && !r->parent))
        return NULL;
    c = lnode_new(r, up);
    if (c->place == PLACE_STRUCT && !c->max_rep) {
        c->only = add_column(s, c, KIND_COUNT);
        rows_room(s, ENV_COLUMNS + s->shape->n_columns);
    }
    return c;
}

/* Closes an instance: whatever was not written in it is null below it. */
void walk_close(struct shredder *s, const struct place_in *in)
{
    for (uint32_t i = 0; i < in->node->n_children; i++)
        if (in->node->children[i]->stamp != in->instance)
            walk_put_nulls(s, in->node->children[i], in->node->r->max_def, in->rep);
}

/* Of a key, in place or unescaped into `out`. */
static struct str content_of(const struct shredder *s, const struct json_tok *key, struct buf *out)
{
    if (!(key->flags & TOK_ESCAPED))
        return (struct str){(const char *)s->p + key->start, key->end - key->start};
    json_unescape(s->p + key->start, key->end - key->start, out);
    return (struct str){out->p ? (const char *)out->p : "", out->n};
}

/* The members of an object, into the instance in[depth]. Answers whether anything was stored. */
static bool put_members(struct shredder *s, struct place_in *in, uint32_t depth, uint32_t at)
{
    const struct json_tok *toks = s->tape.toks;
    struct place_in *here = &in[depth];
    bool stored = false;
    lnode_group(here->node)->expect = 0;
    for (uint32_t k = at + 1; k < toks[at].next && !s->again; k = toks[k + 1].next) {
        const struct json_tok *key = &toks[k];
        struct buf unescaped = {0};
        if (key->flags & TOK_SUPERSEDED)
            continue;
        const struct str name = content_of(s, key, &unescaped);
        const char *text = name.p;
        size_t n = name.n;
        if (depth == 0 && walk_envelope_key(text, n)) {
            buf_fini(&unescaped);
            continue;
        }
        struct lnode *c =
            key->flags & TOK_UNSAFE ? NULL : child_of(s, here->node, text, n, k + 1);
        if (c && c->seen == here->instance) {
            s->again = true;
        } else if (!c && toks[k + 1].kind == TOK_NULL) {
            /* nothing to keep */
        } else if (!c && !s->last_wins) {
            s->again = true; /* a key without a place may have come before or come again */
        } else {
            push_step(s, text, n);
            if (!c)
                rescue_value(s, &toks[k + 1]);
            else {
                c->seen = here->instance;
                stored |= put_value(s, in, depth, c, k + 1, here->rep);
            }
            s->n_path--;
        }
        buf_fini(&unescaped);
        toks = s->tape.toks;
    }
    return stored;
}

static bool put_struct(struct shredder *s, struct place_in *in, uint32_t depth, struct lnode *n,
                       uint32_t at, uint8_t rep)
{
    size_t rescued = s->rescued.n;
    in[depth + 1] = (struct place_in){n, ++s->instance, rep};
    bool stored = put_members(s, in, depth + 1, at);
    if (s->again)
        return false;
    if (stored) {
        walk_close(s, &in[depth + 1]);
        n->stamp = in[depth].instance;
        if (!n->max_rep)
            rows_set(s->bits, n->only);
    } else if (s->rescued.n == rescued) {
        walk_rescue(s, (const uint8_t *)"{}", 2);
    }
    return stored;
}

/* The element that a list's values are, made for this one if need be. */
static struct lnode *element_of(struct shredder *s, struct lnode *n, uint32_t at)
{
    return n->n_children ? n->children[0] : child_of(s, n, "", 0, at);
}

/* Makes the places of a value down to its first scalar that can be stored: false if it has none. */
static bool learn_first(struct shredder *s, struct lnode *n, uint32_t at)
{
    const struct json_tok *toks = s->tape.toks, *v = &toks[at];
    if (n->place == PLACE_DECLARED) /* a column, whatever comes */
        return true;
    if (place_of(v) != n->place)
        return false;
    if (n->place == PLACE_SCALAR)
        return can_make(s->p, toks, at) && rnode_kinds(n->r) & 1u << kind_of(v);
    bool members = n->place == PLACE_STRUCT, found = false;
    for (uint32_t k = at + 1; k < v->next && !found && !s->again; k = toks[k].next) {
        const struct json_tok *key = &toks[k];
        struct buf text = {0};
        k += members;
        if (toks[k].kind == TOK_NULL || (members && key->flags & (TOK_SUPERSEDED | TOK_UNSAFE)))
            continue;
        struct str name = members ? content_of(s, key, &text) : str_of("");
        struct lnode *c = members ? child_of(s, n, name.p, name.n, k) : element_of(s, n, k);
        found = c && learn_first(s, c, k);
        buf_fini(&text);
    }
    return found;
}

/* The node of a place below n; what it stands in is an instance of its own, in[*depth] at last. */
static struct lnode *reach(struct shredder *s, struct place_in *in, uint32_t *depth, struct lnode *n, struct rnode *r)
{
    if (r == n->r)
        return n;
    struct lnode *up = reach(s, in, depth, n, r->parent);
    in[++*depth] = (struct place_in){up, ++s->instance, 0};
    struct lnode *c = lnode_child(up, r->key, r->key_len);
    return c ? c : lnode_new(r, up);
}

/* A list whose first element makes no column (null, empty, or there is none), and whose columns this row set does not
 * have: opens one of those that the table has, or else that its elements make. Only a column can say where nulls were. */
static bool open_list(struct shredder *s, const struct place_in *in, uint32_t depth, struct lnode *n, uint32_t at)
{
    struct registry *registry = s->shape->table->registry;
    struct place_in below[DEPTH_MAX];
    struct rnode *leaf = registry_leaf(registry, n->r);
    if (!leaf && learn_first(s, n, at))
        leaf = registry_leaf(registry, n->r);
    if (!leaf || depth + leaf->depth + 1 >= DEPTH_MAX)
        return false;
    memcpy(below, in, (depth + 1) * sizeof *in);
    uint32_t d = depth, kinds = rnode_table_kinds(leaf);
    struct lnode *c = reach(s, below, &d, n, leaf);
    struct column *made = open_column(s, c, (enum kind)__builtin_ctz(kinds ? kinds : rnode_kinds(leaf)), below, d);
    if (depth == 0)
        column_pad(made, s->row);
    return true;
}

/* A list of which nothing makes a column is rescued whole: there would be nowhere to say what of it was null. */
static bool put_list(struct shredder *s, struct place_in *in, uint32_t depth, struct lnode *n,
                     uint32_t at, uint8_t rep)
{
    const struct json_tok *toks = s->tape.toks;
    bool fresh = !walk_has_leaf(s, n), stored = false;
    uint32_t index = 0;
    size_t rescued = s->rescued.n;
    bool plain = toks[at].next > at + 1 && place_of(&toks[at + 1]) == PLACE_SCALAR && can_make(s->p, toks, at + 1);
    if (fresh && !plain && !open_list(s, in, depth, n, at)) {
        rescue_value(s, &toks[at]);
        return false;
    }
    n->stamp = in[depth].instance;
    if (toks[at].next == at + 1) {
        walk_put_nulls(s, n, n->r->max_def, rep);
        return true;
    }
    for (uint32_t k = at + 1; k < toks[at].next; k = s->tape.toks[k].next, index++) {
        char number[16];
        uint8_t element_rep = index ? (uint8_t)(n->r->max_rep + 1) : rep;
        in[depth + 1] = (struct place_in){n, ++s->instance, element_rep};
        struct lnode *c = element_of(s, n, k);
        push_step(s, number, (size_t)snprintf(number, sizeof number, "%u", index));
        bool one = false;
        if (toks[k].kind != TOK_NULL && c)
            one = put_value(s, in, depth + 1, c, k, element_rep);
        else if (toks[k].kind != TOK_NULL)
            rescue_value(s, &toks[k]);
        s->n_path--;
        if (s->again)
            return false;
        toks = s->tape.toks;
        if (!one && index == 0 && !walk_has_leaf(s, n)) {
            s->rescued.n = rescued;
            n->stamp = 0;
            rescue_value(s, &toks[at]);
            return false;
        }
        if (!one) /* an element that is null, or was rescued */
            walk_put_nulls(s, n, (uint8_t)(n->r->max_def + 1), element_rep);
        stored = true;
    }
    return stored;
}

static bool put_value(struct shredder *s, struct place_in *in, uint32_t depth, struct lnode *n,
                      uint32_t at, uint8_t rep)
{
    const struct json_tok *v = &s->tape.toks[at];
    bool stored = false;
    if (v->kind == TOK_NULL || n->r->place == PLACE_DROP)
        return false;
    bool inexact = false;
    if (n->r->place == PLACE_DECLARED)
        stored = walk_put_declared(s, in, depth, n, v, rep, &inexact);
    else if (depth + 2 < DEPTH_MAX && n->r->place == place_of(v)) {
        if (v->kind == TOK_OBJECT)
            return put_struct(s, in, depth, n, at, rep);
        if (v->kind == TOK_ARRAY)
            return put_list(s, in, depth, n, at, rep);
        stored = put_scalar(s, in, depth, n, v, rep);
    } else {
        s->counts.conflicts++;
    }
    if (!stored || inexact)
        rescue_value(s, v);
    return stored;
}

bool walk_event(struct shredder *s)
{
    struct place_in in[DEPTH_MAX];
    in[0] = (struct place_in){s->shape->root, ++s->instance, 0};
    s->again = false;
    s->n_path = 0;
    put_members(s, in, 0, 0);
    return !s->again;
}
