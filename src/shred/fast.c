/* The fast path: one pass over the record's bytes, no tape. Each place remembers what came after it, byte
 * for byte up to the next value (struct edge); where that stands again, the value is parsed straight into its
 * column, by what its place expects. What is not as learned is looked up and learned here; and what only
 * the general parser may judge (a new key or kind, a key twice, anything to be rescued, any defect) is undone:
 * so these files need only be right about what they accept.
 *
 * The hot part is in fast_body.h, compiled for several kinds of processor; this file has the rest of it.
 *
 * Bytes past the record are readable (64 of them) but not the record's: every loop looks at `end` before
 * it goes on, and the record is accepted only if it ends there. */
#include "shred/fast_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "shred/bytes.h"
#include "shred/convert.h"

const struct fast_level *fast_choose(unsigned level)
{
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                __builtin_cpu_supports("bmi2");
    if (avx2 && (level == 0 || level >= 3) && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &fast_level_avx512;
    if (avx2 && level != 1)
        return &fast_level_avx2;
#endif
    (void)level;
    return &fast_level_portable;
}

/* ---- strings and numbers, in general ---- */

const uint8_t *fast_string(const struct fast *f, const uint8_t *p, size_t *n, bool *escaped)
{
    const uint8_t *start = p;
    bool high = false;
    *escaped = false;
    for (;;) {
        p = bytes_stop(p, f->end, &high);
        if (p >= f->end)
            return NULL;
        if (*p == '"')
            break;
        if (*p != '\\')
            return NULL;
        *escaped = true;
        p += 2;
    }
    *n = (size_t)(p - start);
    return !high || json_utf8_valid(start, *n) ? p + 1 : NULL;
}

size_t fast_escape(const uint8_t *p, size_t n)
{
    if (n < 2)
        return 0;
    if (p[1] != 'u')
        return memchr("\"\\/bfnrt", p[1], 8) ? 2 : 0;
    int c = n >= 6 ? json_hex4(p + 2) : -1;
    if (c <= 0 || (c >= 0xdc00 && c < 0xe000))
        return 0;
    if (c < 0xd800 || c >= 0xe000)
        return 6;
    int low = n >= 12 && p[6] == '\\' && p[7] == 'u' ? json_hex4(p + 8) : -1;
    return low >= 0xdc00 && low < 0xe000 ? 12 : 0;
}

size_t fast_unescape(const uint8_t *p, size_t step, uint8_t *to)
{
    static const uint8_t simple[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (step == 2) {
        to[0] = simple[p[1]];
        return 1;
    }
    uint32_t c = (uint32_t)json_hex4(p + 2);
    if (step == 12)
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)json_hex4(p + 8) - 0xdc00);
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        to[i] = (uint8_t)(0x80 | (c & 63));
    to[0] = (uint8_t)(n == 1 ? c : c | (0xf00u >> n & 0xff));
    return n;
}

static bool escapes_valid(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        const uint8_t *slash = memchr(p + i, '\\', n - i);
        if (!slash)
            return true;
        i = (size_t)(slash - p);
        size_t len = fast_escape(slash, n - i);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

struct number {
    const uint8_t *start;
    size_t n;
    bool decimal;
    int64_t whole; /* of an integer */
    double real;   /* of a decimal */
};

/* At a '-' or digit. False: not valid, or not to be stored as it is. */
static bool take_number(const struct fast *f, const uint8_t *p, struct number *out)
{
    out->start = p;
    out->decimal = false;
    while (p < f->end && ((unsigned)*p - '0' < 10 || memchr("-+.eE", *p, 5))) {
        out->decimal |= *p == '.' || (*p | 0x20) == 'e';
        p++;
    }
    out->n = (size_t)(p - out->start);
    if (!json_number_valid(out->start, out->n))
        return false;
    return out->decimal ? json_double(out->start, out->n, &out->real)
                        : json_long(out->start, out->n, &out->whole);
}

static inline bool literal_null(const uint8_t *p)
{
    return memcmp(p, "null", 4) == 0;
}

/* ---- edges ---- */

void fast_edges_init(struct edge *edges, int n)
{
    for (int i = 0; i < n; i++) {
        edges[i] = (struct edge){.n = 1, .op = FAST_NOWHERE};
        edges[i].literal[0] = 0xff; /* no valid record has that */
    }
}

struct edge *fast_edges(void)
{
    struct edge *e = mem_lines(EDGES, sizeof *e);
    fast_edges_init(e, EDGES);
    return e;
}

static void lead_to(struct edge *e, struct lnode *n)
{
    e->to = n;
    e->only = n->only;
    e->op = n->op;
    e->index = (uint16_t)(n->index < UINT16_MAX ? n->index : UINT16_MAX);
    n->led_to = true;
}

/* Learned, if there is room and it is short enough; and what was found. */
static const struct edge *learn(struct fast *f, struct edge *edges, bool light, const uint8_t *from,
                                const uint8_t *to, struct lnode *n)
{
    size_t len = (size_t)(to - from);
    for (int i = 0, most = edges_of(light); i < most && len <= EDGE_BYTES; i++)
        if (!edges[i].to) {
            memset(edges[i].literal, 0, EDGE_BYTES);
            memcpy(edges[i].literal, from, len);
            edges[i].n = (uint8_t)len;
            lead_to(&edges[i], n);
            break;
        }
    lead_to(&f->found, n);
    return &f->found;
}

static void update(struct edge *edges, bool light, const struct lnode *n)
{
    for (int i = 0, most = edges_of(light); edges && i < most; i++)
        if (edges[i].to == n) {
            edges[i].only = n->only;
            edges[i].op = n->op;
        }
}

void fast_edges_to(const struct lnode *n)
{
    const struct lnode *up = n->parent;
    if (!n->led_to)
        return;
    update(up->first, false, n);
    for (uint32_t i = 0; i < up->n_children; i++)
        update(up->children[i]->edges, light_at(i), n);
    for (int i = 0; up->group->after_envelope && i < 3; i++)
        update(up->group->after_envelope[i], false, n);
}

/* The place of a key, by its text; NULL where it has none, or the key is not well written (*valid). *p moves
 * behind it. */
static struct lnode *place_of_key(struct fast *f, const uint8_t **p, const struct lnode *up,
                                  bool own, bool *valid)
{
    const uint8_t *start = *p + 1;
    size_t n;
    bool escaped;
    *valid = false;
    if (**p != '"')
        return NULL;
    *p = fast_string(f, start, &n, &escaped);
    if (!*p || (escaped && !escapes_valid(start, n)))
        return NULL;
    *valid = true;
    if (escaped) {
        f->s->text.n = 0;
        json_unescape(start, n, &f->s->text);
        start = f->s->text.p;
        n = f->s->text.n;
    }
    int envelope = own ? walk_envelope_key((const char *)start, n) : 0;
    return envelope ? f->s->envelope[envelope - 1] : lnode_child(up, (const char *)start, n);
}

const struct edge *fast_find(struct fast *f, const uint8_t *start, struct lnode *up, struct edge *edges, bool light)
{
    const uint8_t *p = fast_space(start, f->end);
    bool top = !up->parent, valid; /* the root, or no place yet */
    if (p >= f->end)
        return NULL;
    if (*p == '}') { /* (after a comma it would be no object's end: then it is not looked for here) */
        f->at = p + 1;
        return learn(f, edges, light, start, f->at, f->s->close);
    }
    /* The first member alone has no comma before it: its edges are those of the object, not of a value. */
    bool first = edges == up->first && start[-1] == '{';
    if (!first) {
        if (*p != ',')
            return NULL;
        p = fast_space(p + 1, f->end);
    }
    struct lnode *n = place_of_key(f, &p, up, top, &valid);
    if (!valid)
        return NULL;
    p = fast_space(p, f->end);
    if (p >= f->end || *p != ':')
        return NULL;
    p = fast_space(p + 1, f->end);
    if (p >= f->end)
        return NULL;
    f->at = p;
    if (n)
        return learn(f, edges, light, start, p, n);
    if (!literal_null(p))
        return NULL;
    f->at = p + 4;
    lead_to(&f->found, f->s->skipped);
    return &f->found;
}

/* ---- values ---- */

static const uint8_t *other_string(struct fast *f, const uint8_t *p, uint32_t depth, struct lnode *n,
                                   uint8_t rep)
{
    const uint8_t *start = p + 1;
    size_t len;
    bool escaped;
    p = fast_string(f, start, &len, &escaped);
    if (!p || n->column[KIND_STRING] < 0 || (escaped && !escapes_valid(start, len)))
        return NULL;
    struct column *c = walk_begin(f->s, f->in, depth, n, KIND_STRING, rep);
    walk_expect(n, KIND_STRING);
    if (escaped) {
        f->s->text.n = 0;
        json_unescape(start, len, &f->s->text);
        column_text(c, f->s->text.p, f->s->text.n);
    } else {
        column_text(c, start, len);
    }
    return p;
}

static const uint8_t *other_number(struct fast *f, const uint8_t *p, uint32_t depth, struct lnode *n,
                                   uint8_t rep)
{
    const uint32_t both = 1u << KIND_LONG | 1u << KIND_DOUBLE;
    const struct rnode *r = n->r;
    struct number v;
    if (!take_number(f, p, &v))
        return NULL;
    p += v.n;
    if (v.decimal) {
        if (n->column[KIND_DOUBLE] < 0)
            return NULL;
        column_real(walk_begin(f->s, f->in, depth, n, KIND_DOUBLE, rep), v.real);
        walk_expect(n, KIND_DOUBLE);
        return p;
    }
    if (!(rnode_kinds(r) & 1u << KIND_LONG) && /* it must go to the doubles, and may */
        (!json_double_holds(v.whole) || !(rnode_kinds(r) & 1u << KIND_DOUBLE) ||
         (r->parent->place != PLACE_LIST && (rnode_table_kinds(r) & both) != 1u << KIND_DOUBLE)))
        return NULL;
    const struct column *longs = shred_column(f->s, n, KIND_LONG);
    uint32_t before = longs ? longs->n_values : 0;
    if (!walk_put_long(f->s, f->in, depth, n, v.whole, rep))
        return NULL;
    longs = shred_column(f->s, n, KIND_LONG);
    if (longs && longs->n_values > before)
        walk_expect(n, KIND_LONG);
    return p;
}

static const uint8_t *other_flag(struct fast *f, const uint8_t *p, uint32_t depth, struct lnode *n,
                                 uint8_t rep)
{
    bool yes = *p == 't';
    if (n->column[KIND_BOOL] < 0 || memcmp(p, yes ? "true" : "false", yes ? 4 : 5) != 0)
        return NULL;
    column_flag(walk_begin(f->s, f->in, depth, n, KIND_BOOL, rep), yes);
    walk_expect(n, KIND_BOOL);
    return p + (yes ? 4 : 5);
}

/* A scalar for a column of the config's type, or for none. */
static const uint8_t *other_declared(struct fast *f, const uint8_t *p, uint32_t depth,
                                     struct lnode *n, uint8_t rep)
{
    struct json_tok v = {0};
    const uint8_t *start = p;
    struct number number;
    bool escaped;
    size_t len;
    if (*p == '"') {
        start = p + 1;
        p = fast_string(f, start, &len, &escaped);
        if (!p || escaped)
            return NULL;
        v.kind = TOK_STRING;
    } else if (*p == '-' || (unsigned)*p - '0' < 10) {
        if (!take_number(f, p, &number))
            return NULL;
        len = number.n;
        p += len;
        v.kind = number.decimal ? TOK_DECIMAL : TOK_INTEGER;
    } else {
        return NULL;
    }
    v.start = (uint32_t)(start - f->s->p);
    v.end = v.start + (uint32_t)len;
    f->stored = n->r->place != PLACE_DROP;
    bool inexact = false;
    bool put = !f->stored || walk_put_declared(f->s, f->in, depth, n, &v, rep, &inexact);
    return put && !inexact ? p : NULL; /* the general parser rescues */
}

const uint8_t *fast_other(struct fast *f, const uint8_t *p, uint32_t depth, struct lnode *n,
                          uint8_t rep)
{
    uint8_t c = *p;
    f->stored = c != 'n';
    if (c == 'n')
        return literal_null(p) ? p + 4 : NULL;
    if (n->place == PLACE_DECLARED || n->place == PLACE_DROP)
        p = other_declared(f, p, depth, n, rep);
    else if (n->place != PLACE_SCALAR)
        p = NULL;
    else if (c == '"')
        p = other_string(f, p, depth, n, rep);
    else if (c == '-' || (unsigned)c - '0' < 10)
        p = other_number(f, p, depth, n, rep);
    else
        p = c == 't' || c == 'f' ? other_flag(f, p, depth, n, rep) : NULL;
    f->cols = f->s->set->cols; /* there may be one more */
    f->bits = f->s->bits;
    return p;
}

/* ---- the event's own keys ---- */

const uint8_t *fast_uuid(struct fast *f, const uint8_t *p)
{
    struct fast_event *out = f->out;
    bool escaped;
    if (*p != '"')
        return NULL;
    out->uuid.p = (const char *)p + 1;
    p = fast_string(f, p + 1, &out->uuid.n, &escaped);
    if (!p || escaped || out->uuid.n == 0 || out->uuid.n > UUID_MAX)
        return NULL;
    dedup_key(&out->key, (const uint8_t *)out->uuid.p, out->uuid.n);
    dedup_prefetch(f->s->env.dedup, &out->key);
    return p;
}

const uint8_t *fast_time(struct fast *f, const uint8_t *p)
{
    struct shredder *s = f->s;
    struct fast_event *out = f->out;
    const uint8_t *start = p;
    while (p < f->end && p - start < 32 && ((unsigned)*p - '0' < 10 || *p == '.'))
        p++;
    out->created_at = (struct str){(const char *)start, (size_t)(p - start)};
    return event_time_parse((const char *)start, out->created_at.n, false, s->env.time_unit,
                            &s->times, &out->time) == REASON_NONE
               ? p
               : NULL;
}

/* The name stands further on: a guess, by the first text that looks like its member. */
static bool guess_name(const struct fast *f, struct str *name)
{
    static const char key[] = "\"event_name\":";
    const uint8_t *p = f->s->p;
    p = memmem(p, (size_t)(f->end - p), key, sizeof key - 1);
    if (!p)
        return false;
    p += sizeof key - 1;
    while (p < f->end && *p == ' ')
        p++;
    const uint8_t *stop =
        p < f->end && *p == '"' ? memchr(p + 1, '"', (size_t)(f->end - p - 1)) : NULL;
    if (!stop)
        return false;
    *name = (struct str){(const char *)p + 1, (size_t)(stop - p - 1)};
    return true;
}

bool fast_enter_shape(struct fast *f, const char *name, size_t n)
{
    struct shredder *s = f->s;
    struct shape *sh = s->last;
    f->name = name; /* apart, not as a struct str: who reads that whole waits for both stores */
    f->name_n = n;
    if (!sh || !shape_is(sh, name, n))
        sh = map_get(&s->shapes, name, n);
    if (!sh || !sh->routed || !sh->table || sh->table->unavailable)
        return false;
    s->shape = s->last = sh;
    f->in[0] = (struct place_in){sh->root, ++s->instance, 0};
    return true;
}

void fast_enter_set(struct fast *f, struct rowset *set)
{
    struct shredder *s = f->s;
    s->set = set;
    s->row = f->row = set->rows;
    if (__builtin_expect(set->n_open != s->shape->n_columns, 0))
        walk_complete_set(s);
    f->cols = set->cols;
    f->bits = s->bits;
}

bool fast_choose_set(struct fast *f)
{
    struct shredder *s = f->s;
    struct str name;
    if (!f->name && (!guess_name(f, &name) || !fast_enter_shape(f, name.p, name.n)))
        return false;
    if (!f->met_time && !s->shape->n_sets)
        return false;
    fast_enter_set(f, f->met_time ? shred_set_of(s, s->shape, f->out->time.time_us)
                                  : s->shape->sets[s->shape->last_set]);
    f->wrote = true;
    return true;
}
