/* The hot part of the fast path (see fast.c), compiled once for each kind of processor: whoever includes it
 * has included bytes.h or one of its like before, and defines FAST_LEVEL, the name of what comes out.
 *
 * Positions are passed and returned, not kept in memory; NULL is "bail". Every function is called with
 * p < end, and may return a position up to 66 bytes past `end`, which is looked at before anything is read
 * there. */
#include <xxhash.h>

#include "base/mem.h"

/* What a value stands in, known when this is compiled. */
#define NESTED 1u  /* below the top level: in a struct or list */
#define IN_LIST 2u /* a list is above it: it has repetition levels */
#define ELEMENT 4u /* directly in a list */

static const uint8_t *put_struct(struct fast *f, const uint8_t *p, struct lnode *n, uint32_t depth,
                                 uint8_t rep);
static const uint8_t *put_struct_in_list(struct fast *f, const uint8_t *p, struct lnode *n,
                                         uint32_t depth, uint8_t rep);
static const uint8_t *put_list(struct fast *f, const uint8_t *p, struct lnode *n, uint32_t depth,
                               uint8_t rep);

/* The edge from `edges` that p is at, or NULL: then fast_find is to be asked. `light`: there is one. */
static inline const struct edge *follow(const uint8_t *p, const struct edge *edges, bool light)
{
    if (bytes_edge_at(&edges[0], p))
        return &edges[0];
    if (__builtin_expect(light, 0))
        return NULL;
    for (unsigned i = 1; i < EDGES; i++)
        if (bytes_edge_at(&edges[i], p))
            return &edges[i];
    return NULL;
}

/* The members of an object that were met, or stored: by a bit each, or with more than 64, by their own
 * marks. */
static inline bool met_before(const struct edge *e, bool wide, uint64_t *met, uint64_t instance)
{
    if (__builtin_expect(wide, 0)) {
        bool before = e->to->seen == instance;
        e->to->seen = instance;
        return before;
    }
    uint64_t bit = (uint64_t)1 << (e->index & 63);
    bool before = (*met & bit) != 0;
    *met |= bit;
    return before;
}

/* ---- values */

static inline void put_level(struct fast *f, struct column *c, uint8_t def, uint8_t rep)
{
    uint32_t at = column_entry(c, f->row + (rep > 0)); /* rep: of a row that has entries */
    c->def[at] = def;
    c->rep[at] = rep;
    c->rows = f->row + 1;
}

/* Of a value that is in the column. */
static inline void put_entry(struct fast *f, struct column *c, int32_t only, uint8_t rep,
                             const unsigned where)
{
    if (where & IN_LIST)
        put_level(f, c, c->max_def, rep);
    else
        rows_set(f->bits, only);
}

/* The line that a few more values come to: it is in no cache, and who stores to it waits. */
static inline void fetch_soon(const void *end)
{
    __builtin_prefetch((const uint8_t *)end + 128, 1);
}

static inline void value_room(struct column *c)
{
    if (__builtin_expect(c->n_values == c->cap_values, 0))
        column_grow_values(c, 1);
}

static inline void text_room(struct column *c, size_t n)
{
    if (__builtin_expect(c->cap_bytes - c->n_bytes < n, 0))
        column_grow_bytes(c, n);
}

/* Long, escaped, or not ASCII: p after the opening quote. Into the column's bytes as it goes. */
static __attribute__((noinline)) const uint8_t *put_text(struct fast *f, const uint8_t *p,
                                                         struct column *c)
{
    const uint8_t *start = p;
    const size_t before = c->n_bytes;
    bool high = false;
    text_room(c, 4);
    c->n_bytes += 4;
    while (p < f->end) {
        text_room(c, 128); /* what was written is kept by growth only if it is counted */
        unsigned k = bytes_run(p, c->texts + c->n_bytes, &high);
        p += k;
        c->n_bytes += k;
        if (k == 64)
            continue;
        if (p >= f->end)
            break;
        if (*p == '"') {
            size_t n = c->n_bytes - before - 4;
            c->n_bytes = before;
            if (high && !bytes_utf8(start, (size_t)(p - start)))
                return NULL;
            column_text_end(c, n);
            return p + 1;
        }
        size_t step = *p == '\\' ? fast_escape(p, (size_t)(f->end - p)) : 0;
        if (!step)
            break;
        c->n_bytes += fast_unescape(p, step, c->texts + c->n_bytes);
        p += step;
    }
    c->n_bytes = before;
    return NULL;
}

static inline __attribute__((always_inline)) const uint8_t *
put_string(struct fast *f, const uint8_t *p, struct column *c, const unsigned where)
{
    unsigned k;
    text_room(c, 68);
    uint8_t *to = c->texts + c->n_bytes;
    if (__builtin_expect(!bytes_string(p + 1, to + 4, &k), 0))
        return put_text(f, p + 1, c);
    fetch_soon(to);
    column_text_ends(c, k, where & IN_LIST);
    return p + 2 + k;
}

/* Does a long of this place, which has a column of longs, go there? (Else to that of doubles, or it is to
 * be learned.) See walk_put_long. */
static inline bool long_fits(const struct lnode *n, int64_t v, const unsigned where)
{
    const uint32_t both = 1u << KIND_LONG | 1u << KIND_DOUBLE;
    const struct rnode *r = n->r;
    if ((rnode_table_kinds(r) & both) == 1u << KIND_DOUBLE)
        return false;
    if (where & ELEMENT)
        return (rnode_kinds(r) & both) == 1u << KIND_LONG && json_double_holds(v);
    return __builtin_expect(json_double_holds(v), 1) ||
           __atomic_load_n(&r->inexact_long, __ATOMIC_RELAXED);
}

static inline __attribute__((always_inline)) const uint8_t *
put_value(struct fast *f, const uint8_t *p, unsigned op, int32_t only, struct lnode *n, uint32_t depth,
          uint8_t rep, bool *stored, const unsigned where)
{
    struct column *c = &f->cols[only].col;
    const uint8_t *q;
    union {
        int64_t number;
        double real;
    } v;
    *stored = true;
    switch (op) {
    case FAST_STRING:
        if (*p != '"')
            break;
        if (where & IN_LIST)
            column_row_starts(c, rep);
        if (!(p = put_string(f, p, c, where)))
            return NULL;
        put_entry(f, c, only, rep, where);
        return p;
    case FAST_LONG:
        if (!(q = bytes_long(p, &v.number)) || !long_fits(n, v.number, where))
            break;
        value_room(c);
        fetch_soon(c->longs + c->n_values);
        c->longs[c->n_values++] = v.number;
        put_entry(f, c, only, rep, where);
        return q;
    case FAST_DOUBLE:
        if (!(q = bytes_double(p, &v.real)))
            break;
        value_room(c);
        fetch_soon(c->doubles + c->n_values);
        c->doubles[c->n_values++] = v.real;
        put_entry(f, c, only, rep, where);
        return q;
    case FAST_BOOL: {
        uint32_t text = bytes_half(p); /* which it is, is random: no branch on that */
        bool yes = text == bytes_half((const uint8_t *)"true");
        if (!(yes | ((text == bytes_half((const uint8_t *)"fals")) & (p[4] == 'e'))))
            break;
        value_room(c);
        c->bools[c->n_values++] = yes;
        put_entry(f, c, only, rep, where);
        return p + 5 - yes;
    }
    case FAST_STRUCT:
        if (*p != '{')
            break;
        if (where & IN_LIST)
            return put_struct_in_list(f, p, n, depth, rep);
        rows_set(f->bits, only);
        return put_struct(f, p, n, depth, rep);
    case FAST_LIST:
        if (*p != '[')
            break;
        return put_list(f, p, n, depth, rep);
    default: break;
    }
    if (bytes_half(p) == bytes_half((const uint8_t *)"null")) {
        *stored = false;
        return p + 4;
    }
    p = fast_other(f, p, depth, n, rep);
    *stored = f->stored;
    return p;
}

/* ---- structs and lists */

static inline void put_null(struct fast *f, struct lnode *n, uint8_t def, uint8_t rep,
                            const unsigned where)
{
    if (!(where & IN_LIST)) {
        if (n->n_listed)
            walk_put_nulls(f->s, n, def, rep);
    } else if (n->place == PLACE_SCALAR && n->op != FAST_OTHER) {
        column_row_starts(&f->cols[n->only].col, rep);
        put_level(f, &f->cols[n->only].col, def, rep);
    } else
        walk_put_nulls(f->s, n, def, rep);
}

/* Whatever was not written in an instance is null below it. */
static inline void put_missing(struct fast *f, struct lnode *up, bool wide, uint64_t kept,
                               uint64_t instance, uint8_t rep, const unsigned where)
{
    for (uint32_t i = 0; i < up->n_children; i++)
        if (wide ? up->children[i]->stamp != instance : !(kept >> i & 1))
            put_null(f, up->children[i], up->max_def, rep, where);
}

/* The members of an object, p after its brace. */
static inline __attribute__((always_inline)) const uint8_t *
put_members(struct fast *f, const uint8_t *p, struct lnode *up, uint32_t depth, uint8_t rep,
            const unsigned where)
{
    struct edge *edges = up->first;
    uint64_t instance = ++f->s->instance, met = 0, kept = 0;
    uint32_t count = 0, members = up->n_children;
    const bool wide = members > 64;
    bool stored, light = false;
    if (depth >= FAST_DEPTH || !edges)
        return NULL;
    f->in[depth] = (struct place_in){up, instance, rep};
    for (;;) {
        if (p >= f->end)
            return NULL;
        const struct edge *e = follow(p, edges, light);
        if (__builtin_expect(e != NULL, 1))
            p += e->n;
        else if (!(e = fast_find(f, p, up, edges, light)))
            return NULL;
        else
            p = f->at;
        if (e->op >= FAST_SKIPPED) {
            if (e->op == FAST_SKIPPED)
                continue;
            if (e->op == FAST_CLOSE)
                break;
            return NULL;
        }
        struct lnode *n = e->to;
        uint64_t bit = (uint64_t)1 << (e->index & 63);
        if (p >= f->end || met_before(e, wide, &met, instance))
            return NULL;
        const uint32_t index = e->index;
        if (!(p = put_value(f, p, e->op, e->only, n, depth, rep, &stored, where)))
            return NULL;
        count += stored;
        kept |= stored ? bit : 0;
        if (__builtin_expect(wide, 0) && stored)
            n->stamp = instance;
        edges = n->edges;
        light = light_at(index);
    }
    if (count < members && (where & IN_LIST || up->n_listed))
        put_missing(f, up, wide, kept, instance, rep, where);
    return count ? p : NULL;
}

static const uint8_t *put_struct(struct fast *f, const uint8_t *p, struct lnode *n, uint32_t depth,
                                 uint8_t rep)
{
    return put_members(f, p + 1, n, depth + 1, rep, NESTED);
}

static const uint8_t *put_struct_in_list(struct fast *f, const uint8_t *p, struct lnode *n,
                                         uint32_t depth, uint8_t rep)
{
    return put_members(f, p + 1, n, depth + 1, rep, NESTED | IN_LIST);
}

static const uint8_t *put_list(struct fast *f, const uint8_t *p, struct lnode *n, uint32_t depth,
                               uint8_t rep)
{
    const uint8_t *end = f->end;
    uint8_t element_rep = rep;
    bool stored;
    if (!n->n_leaves || depth + 1 >= FAST_DEPTH)
        return NULL;
    struct lnode *element = n->children[0];
    p = fast_space(p + 1, end);
    if (*p == ']') {
        walk_put_nulls(f->s, n, n->max_def, rep);
        return p + 1;
    }
    for (; p < end; element_rep = (uint8_t)(n->max_rep + 1)) {
        f->in[depth + 1] = (struct place_in){n, ++f->s->instance, element_rep};
        if (!(p = put_value(f, p, element->op, element->only, element, depth + 1, element_rep, &stored,
                            NESTED | IN_LIST | ELEMENT)))
            return NULL;
        if (!stored) /* a null, for nothing else stores nothing here */
            walk_put_nulls(f->s, n, (uint8_t)(n->max_def + 1), element_rep);
        if (p >= end)
            return NULL;
        p = fast_space(p, end);
        if (*p == ']')
            return p + 1;
        if (*p != ',')
            return NULL;
        p = fast_space(p + 1, end);
    }
    return NULL;
}

/* ---- the record */

/* What is looked up by it is in no cache, and not even its page's place is known: it is fetched a record before. */
static void ahead(struct shredder *s, const uint8_t *p, size_t n)
{
    struct ahead *a = &s->ahead[s->turn ^= 1];
    const uint8_t *at = p + s->id_offset;
    a->at = NULL;
    if (n < s->id_offset + 38 || at[-1] != '"' || at[36] != '"' || !bytes_uuid(at, a->key.id))
        return;
    a->at = at;
    dedup_key_canonical(&a->key);
    dedup_prefetch(s->env.dedup, &a->key);
}

static inline const uint8_t *envelope_uuid(struct fast *f, const uint8_t *p)
{
    struct fast_event *out = f->out;
    struct shredder *s = f->s;
    const struct ahead *a = &s->ahead[s->turn ^ 1];
    if (out->uuid.p)
        return NULL;
    if (__builtin_expect(a->at == p + 1, 1)) {
        out->uuid = (struct str){(const char *)p + 1, 36};
        out->key = a->key;
        if (!s->env.alone)
            dedup_prefetch_end(s->env.dedup, &out->key);
        return p + 38;
    }
    s->id_offset = (size_t)(p + 1 - s->p);
    if (__builtin_expect(*p != '"' || p[37] != '"' || !bytes_uuid(p + 1, out->key.id), 0))
        return fast_uuid(f, p);
    out->uuid = (struct str){(const char *)p + 1, 36};
    dedup_key_canonical(&out->key);
    dedup_prefetch(s->env.dedup, &out->key);
    return p + 38;
}

static inline const uint8_t *envelope_name(struct fast *f, const uint8_t *p)
{
    uint8_t copy[64];
    const char *name = (const char *)p + 1;
    size_t n;
    unsigned k;
    bool escaped = false;
    if (f->met_name || *p != '"')
        return NULL;
    f->met_name = true;
    if (__builtin_expect(bytes_string(p + 1, copy, &k), 1)) {
        n = k;
        p += 2 + k;
    } else {
        p = fast_string(f, p + 1, &n, &escaped);
        if (!p || escaped)
            return NULL;
    }
    if (f->name) /* guessed before */
        return f->name_n == n && memcmp(f->name, name, n) == 0 ? p : NULL;
    return fast_enter_shape(f, name, n) ? p : NULL;
}

/* created_at as nearly all are: seconds in ten digits, and up to seven after the point. Up to six a double
 * holds, divided by a power of ten that is exact; and its text gives them back. What is not time_us is left to
 * heads.c. */
static inline const uint8_t *envelope_time(struct fast *f, const uint8_t *p)
{
    static const uint64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    struct event_time *t = &f->out->time;
    uint64_t whole, part = 0;
    unsigned places = 0;
    if (f->met_time)
        return NULL;
    f->met_time = true;
    f->out->form = HEAD_ODD_TIME;
    if (f->s->env.time_unit > UNIT_SECONDS || *p == '0' || bytes_digits16(p, &whole) != 10)
        return fast_time(f, p);
    if (p[10] == '.') {
        places = bytes_digits16(p + 11, &part);
        if (places == 0 || places > 7)
            return fast_time(f, p);
    }
    const uint8_t *after = p + 10 + (places ? places + 1 : 0);
    t->exact = true;
    if ((*after | 0x20) == 'e' ||
        (places > 6 && !event_time_nearest(whole * tens[7] + part, 7, whole, part, &t->number, &t->exact)))
        return fast_time(f, p);
    t->time_us = (int64_t)(whole * 1000000 + (places > 6 ? part / 10 : part * tens[6 - places]));
    f->out->form = places | (places > 6 ? (uint32_t)(part % 10) << 4 : 0);
    f->out->created_at = (struct str){(const char *)p, (size_t)(after - p)};
    return after;
}

static inline const uint8_t *envelope_member(struct fast *f, const uint8_t *p, unsigned op)
{
    return op == FAST_UUID ? envelope_uuid(f, p) : op == FAST_NAME ? envelope_name(f, p) : envelope_time(f, p);
}

/* p after the record's brace; past its closing one, or NULL. */
static const uint8_t *put_root(struct fast *f, const uint8_t *p)
{
    struct shredder *s = f->s;
    struct lnode *up = s->no_place;
    struct edge *edges = up->first;
    uint64_t met = 0;
    bool stored, light = false;
    for (;;) {
        if (p >= f->end)
            return NULL;
        const struct edge *e = follow(p, edges, light);
        if (__builtin_expect(e != NULL, 1)) {
            p += e->n;
        } else {
            e = fast_find(f, p, up, edges, light);
            if (!e && up == s->no_place && fast_choose_set(f)) { /* fields before the name */
                up = s->shape->root;
                e = fast_find(f, p, up, up->first, false);
            }
            p = f->at;
        }
        if (!e || (p >= f->end && e->op != FAST_CLOSE))
            return NULL;
        unsigned op = e->op;
        if (op >= FAST_SKIPPED) {
            if (op == FAST_CLOSE)
                return p;
            if (op == FAST_SKIPPED)
                continue;
            if (op == FAST_NOWHERE)
                return NULL;
            struct lnode *n = e->to;
            if (!(p = envelope_member(f, p, op)))
                return NULL;
            up = s->shape ? s->shape->root : s->no_place;
            edges = s->shape ? s->shape->after_envelope[op - FAST_ENVELOPE] : n->edges;
            light = false;
            continue;
        }
        struct lnode *n = e->to;
        if ((!f->wrote && !fast_choose_set(f)) ||
            met_before(e, up->n_children > 64, &met, f->in[0].instance))
            return NULL;
        const uint32_t index = e->index;
        if (!(p = put_value(f, p, op, e->only, n, 0, 0, &stored, 0)))
            return NULL;
        edges = n->edges;
        light = light_at(index);
    }
}

static bool one_pass(struct fast *f, const uint8_t *p, size_t n)
{
    f->end = p + n;
    f->met_name = f->met_time = f->wrote = false;
    f->name = NULL;
    f->out->uuid.p = NULL;
    f->s->shape = NULL;
    p = fast_space(p, f->end);
    if (p >= f->end || *p != '{')
        return false;
    p = put_root(f, p + 1);
    if (!p || p > f->end)
        return false;
    p = fast_space(p, f->end);
    return p == f->end && f->met_name && f->met_time && f->out->uuid.p;
}

static bool event(struct shredder *s, const uint8_t *p, size_t n, struct fast_event *out)
{
    struct fast f;
    f.s = s;
    f.out = out;
    /* Twice where created_at comes after values that went to another partition's rows; then that of the
     * right one is the last used. */
    for (int again = 0; again < 2; again++) {
        if (!one_pass(&f, p, n)) {
            if (f.wrote)
                shred_roll_back(s);
            return false;
        }
        const struct shape *sh = s->shape;
        if (f.wrote && out->time.time_us >= sh->last_from_us && out->time.time_us < sh->last_until_us &&
            s->set == sh->sets[sh->last_set])
            return true;
        struct rowset *right = shred_set_of(s, s->shape, out->time.time_us);
        if (!f.wrote)
            fast_enter_set(&f, right);
        if (s->set == right)
            return true;
        shred_roll_back(s);
    }
    return false;
}

static uint64_t hash(const uint8_t *p, size_t n)
{
    return XXH3_64bits(p, n);
}

const struct fast_level FAST_LEVEL = {FAST_LEVEL_NAME, event, ahead, hash};
