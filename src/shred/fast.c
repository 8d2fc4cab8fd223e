/* The fast path: one pass over the record's bytes, no tape. Each place remembers which keys came after it;
 * the next key is compared with their literals (`"key":`) where it stands, and its value parsed straight
 * into the column. What is not exactly as learned (a new key or kind, a key twice, anything to be rescued,
 * any defect) is undone, and the general parser judges the record: so this file need only be right about
 * what it accepts.
 *
 * Bytes past the record are readable (64 of them) but not the record's: every loop looks at `end` before
 * it goes on, and the record is accepted only if it ends there. */
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/mem.h"
#include "codec/digits.h"
#include "shred/convert.h"
#include "shred/shred_int.h"

#define FAST_DEPTH 24

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "literals are compared as words");

enum got { BAIL = -1, NOTHING = 0, STORED = 1 };

struct fast {
    struct shredder *s;
    const uint8_t *p, *end;
    struct place_in in[FAST_DEPTH + 2];
};

/* ---- tokens ---- */

static inline void skip_space(struct fast *f)
{
    while (*f->p <= ' ' && (*f->p == ' ' || *f->p == '\n' || *f->p == '\t' || *f->p == '\r') &&
           f->p < f->end)
        f->p++;
}

/* After a member or element: another one (f->p at it), the end of them, or neither. */
enum after_item { NEXT, LAST, NEITHER };
static inline enum after_item after_item(struct fast *f, uint8_t closer)
{
    skip_space(f);
    uint8_t c = *f->p++;
    if (c != ',')
        return c == closer ? LAST : NEITHER;
    skip_space(f);
    return NEXT;
}

static inline uint64_t word(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

#if defined(__SSE2__)
/* A bit for each byte that is a quote, a backslash or a control byte. */
static inline unsigned stops(__m128i v)
{
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  control = _mm_set1_epi8(0x1f);
    __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                               _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
    return (unsigned)_mm_movemask_epi8(hit);
}
#endif

/* The first quote, backslash or control byte at or after p, or somewhere at or past `end`; *high tells
 * whether a byte before it is not ASCII. */
static inline const uint8_t *string_stop(const uint8_t *p, const uint8_t *end, bool *high)
{
#if defined(__SSE2__)
    for (; p < end; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned stop = stops(v), top = (unsigned)_mm_movemask_epi8(v);
        if (stop) {
            unsigned at = (unsigned)__builtin_ctz(stop);
            *high |= (top & ((1u << at) - 1)) != 0;
            return p + at;
        }
        *high |= top != 0;
    }
    return p;
#else
    for (; p < end && *p != '"' && *p != '\\' && *p >= 0x20; p++)
        *high |= *p >= 0x80;
    return p;
#endif
}

/* f->p stands after the opening quote; moves past the closing one. *escaped: there are escapes, their
 * syntax checked by escapes_valid where the content is wanted. */
static inline bool take_string(struct fast *f, const uint8_t **start, size_t *n, bool *escaped)
{
    const uint8_t *p = f->p;
    bool high = false;
    *start = p;
    *escaped = false;
    for (;;) {
        p = string_stop(p, f->end, &high);
        if (p >= f->end)
            return false;
        if (*p == '"')
            break;
        if (*p != '\\')
            return false;
        *escaped = true;
        p += 2;
    }
    *n = (size_t)(p - *start);
    f->p = p + 1;
    return !high || json_utf8_valid(*start, *n);
}

/* Escapes as RFC 8259 has them, and storable: no NUL, no lone surrogate. */
static bool escapes_valid(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\\')
            continue;
        if (++i >= n)
            return false;
        if (p[i] != 'u') {
            if (!memchr("\"\\/bfnrt", p[i], 8))
                return false;
            continue;
        }
        int c = n - i > 4 ? json_hex4(p + i + 1) : -1;
        if (c <= 0 || (c >= 0xdc00 && c < 0xe000))
            return false;
        i += 4;
        if (c < 0xd800 || c >= 0xe000)
            continue;
        int low = n - i > 6 && p[i + 1] == '\\' && p[i + 2] == 'u' ? json_hex4(p + i + 3) : -1;
        if (low < 0xdc00 || low >= 0xe000)
            return false;
        i += 6;
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

static const uint64_t tens[] = {1,        10,        100,        1000,       10000,
                                100000,   1000000,   10000000,   100000000,  1000000000};

/* How many digits stand at p, up to 8, and their value: without a branch on any of them. */
static inline unsigned digits_at(const uint8_t *p, uint64_t *value)
{
    uint64_t t = word(p) ^ UINT64_C(0x3030303030303030);
    uint64_t other = ((t + UINT64_C(0x7676767676767676)) | t) & UINT64_C(0x8080808080808080);
    unsigned n = other ? (unsigned)__builtin_ctzll(other) / 8 : 8;
    *value = 0;
    if (!n)
        return 0;
    *value = digits8_value(t << (64 - 8 * n));
    return n;
}

/* Digits at p, up to 16. */
static inline unsigned many_digits_at(const uint8_t *p, uint64_t *value)
{
    unsigned n = digits_at(p, value);
    if (n == 8) {
        uint64_t more;
        unsigned k = digits_at(p + 8, &more);
        *value = *value * tens[k] + more;
        n += k;
    }
    return n;
}

/* Many digits, or an exponent: by the general functions. */
static bool take_long_number(struct fast *f, struct number *out)
{
    const uint8_t *p = out->start;
    out->decimal = false;
    while (p < f->end && ((unsigned)*p - '0' < 10 || memchr("-+.eE", *p, 5))) {
        out->decimal |= *p == '.' || (*p | 0x20) == 'e';
        p++;
    }
    out->n = (size_t)(p - out->start);
    f->p = p;
    if (!json_number_valid(out->start, out->n))
        return false;
    return out->decimal ? json_double(out->start, out->n, &out->real)
                        : json_long(out->start, out->n, &out->whole);
}

/* At a '-' or digit. False: not valid, or not to be stored as it is. */
static inline bool take_number(struct fast *f, struct number *out)
{
    const uint8_t *p = f->p;
    bool minus = *p == '-';
    uint64_t m, part;
    out->start = p;
    p += minus;
    unsigned ints = many_digits_at(p, &m);
    if (__builtin_expect(ints == 0 || ints == 16, 0))
        return ints && take_long_number(f, out);
    if (*p == '0' && ints > 1)
        return false;
    p += ints;
    out->decimal = *p == '.';
    if (!out->decimal) {
        if ((*p | 0x20) == 'e')
            return take_long_number(f, out);
        f->p = p;
        out->n = (size_t)(p - out->start);
        out->whole = minus ? -(int64_t)m : (int64_t)m;
        return p <= f->end;
    }
    unsigned places = many_digits_at(++p, &part);
    if (__builtin_expect(places == 0 || ints + places > 15 || (p[places] | 0x20) == 'e', 0))
        return places && take_long_number(f, out);
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    p += places;
    f->p = p;
    out->n = (size_t)(p - out->start);
    /* Both exact, so the quotient is the nearest double. */
    out->real = (double)(m * (uint64_t)powers[places] + part) / powers[places];
    if (minus)
        out->real = -out->real;
    return p <= f->end;
}

/* ---- keys ---- */

void fast_literal(struct lnode *n, const char *key, size_t len)
{
    /* Longer than the bytes kept: the rest is compared with the key itself. */
    bool plain = len + 3 <= sizeof n->literal || (len >= sizeof n->literal - 1 && len <= 60);
    for (size_t i = 0; plain && i < len; i++)
        plain = (uint8_t)key[i] >= 0x20 && key[i] != '"' && key[i] != '\\';
    if (!plain)
        return;
    uint8_t all[64] = "\"";
    memcpy(all + 1, key, len);
    memcpy(all + 1 + len, "\":", 2);
    memcpy(n->literal, all, sizeof n->literal);
    n->literal_n = (uint8_t)(len + 3);
    unsigned last = (n->literal_n - 1u) % 8 + 1;
    n->literal_mask = last == 8 ? UINT64_MAX : (UINT64_C(1) << last * 8) - 1;
}

static bool long_literal_at(const struct lnode *n, const uint8_t *p)
{
    size_t head = sizeof n->literal, rest = n->r->key_len - (head - 1);
    return memcmp(p, n->literal, head) == 0 && memcmp(p + head, n->r->key + head - 1, rest) == 0 &&
           p[head + rest] == '"' && p[head + rest + 1] == ':';
}

static inline bool literal_at(const struct lnode *n, const uint8_t *p)
{
    const uint8_t *l = n->literal;
    unsigned left = n->literal_n;
    if (__builtin_expect(left > sizeof n->literal, 0))
        return long_literal_at(n, p);
    if (!left)
        return false;
    for (; left > 8; left -= 8, p += 8, l += 8)
        if (word(p) != word(l))
            return false;
    return ((word(p) ^ word(l)) & n->literal_mask) == 0;
}

/* The key that starts at f->p, by its text; moves to its value. NULL: none of ours (f->p moved all the
 * same, *valid) or no key (not valid). */
static struct lnode *look_up(struct fast *f, const struct lnode *up, struct lnode *const *own,
                             bool *valid)
{
    const uint8_t *start;
    size_t n;
    bool escaped;
    *valid = false;
    if (*f->p != '"')
        return NULL;
    f->p++;
    if (!take_string(f, &start, &n, &escaped) || (escaped && !escapes_valid(start, n)))
        return NULL;
    skip_space(f);
    if (*f->p != ':')
        return NULL;
    f->p++;
    *valid = true;
    if (escaped) {
        f->s->text.n = 0;
        json_unescape(start, n, &f->s->text);
        start = f->s->text.p;
        n = f->s->text.n;
    }
    int envelope = own ? walk_envelope_key((const char *)start, n) : 0;
    return envelope ? own[envelope - 1] : map_get(&up->by_key, start, n);
}

static inline struct lnode *learned(struct lnode *const *after, const uint8_t *p)
{
    for (int i = 0; i < FOLLOWERS; i++)
        if (after[i] && literal_at(after[i], p))
            return after[i];
    return NULL;
}

static void learn(struct lnode **after, struct lnode *n)
{
    int i = 0;
    while (i < FOLLOWERS - 1 && after[i])
        i++;
    after[i] = n;
}

static inline bool literal_null(const uint8_t *p)
{
    return memcmp(p, "null", 4) == 0;
}

/* The next member's place, f->p at its value; *skip: a null of no place. NULL otherwise: bail. */
static inline struct lnode *take_key(struct fast *f, struct lnode *up, struct lnode **after,
                                     struct lnode *const *own, bool *skip)
{
    struct lnode *n = learned(after, f->p);
    bool valid;
    *skip = false;
    if (__builtin_expect(n != NULL, 1)) {
        f->p += n->literal_n;
    } else {
        n = look_up(f, up, own, &valid);
        if (n)
            learn(after, n);
        else if (!valid)
            return NULL;
    }
    skip_space(f);
    if (f->p >= f->end)
        return NULL;
    if (!n && literal_null(f->p)) {
        f->p += 4;
        *skip = true;
    }
    return n;
}

/* ---- values ---- */

static inline struct column *begin(struct fast *f, uint32_t depth, struct lnode *n, enum kind kind,
                                   uint8_t rep)
{
    struct shredder *s = f->s;
    struct column *c = depth == 0 ? shred_column(s, n, kind) : NULL;
    if (__builtin_expect(!c, 0))
        return walk_begin(s, f->in, depth, n, kind, rep);
    column_pad(c, s->row);
    column_level(c, c->max_def, 0);
    return c;
}

#if defined(__SSE2__)
/* A short ASCII text of a top-level column that is there: looked at and copied at once. NOTHING: not
 * such a one, and nothing was done. */
static inline enum got short_string(struct fast *f, struct lnode *n)
{
    struct shredder *s = f->s;
    struct column *c = shred_column(s, n, KIND_STRING);
    if (!c)
        return NOTHING;
    if (__builtin_expect(c->cap_bytes - c->n_bytes < 64, 0))
        column_grow_bytes(c, 64);
    const uint8_t *p = f->p + 1;
    uint8_t *to = c->bytes + c->n_bytes;
    for (unsigned at = 0; at < 64; at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
        _mm_storeu_si128((__m128i *)(void *)(to + at), v);
        unsigned stop = stops(v), top = (unsigned)_mm_movemask_epi8(v);
        if (!stop) {
            if (top || p + at >= f->end)
                return NOTHING;
            continue;
        }
        unsigned k = (unsigned)__builtin_ctz(stop), len = at + k;
        if (top & ((1u << k) - 1) || p[len] != '"' || p + len >= f->end)
            return NOTHING;
        column_pad(c, s->row);
        column_level(c, c->max_def, 0);
        if (__builtin_expect(c->n_values == c->cap_values, 0))
            column_grow_values(c, 1);
        c->lens[c->n_values++] = len;
        c->n_bytes += len;
        f->p = p + len + 1;
        return STORED;
    }
    return NOTHING;
}
#endif

static inline enum got fast_string(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep)
{
    const uint8_t *start;
    size_t len;
    bool escaped;
#if defined(__SSE2__)
    if (depth == 0 && short_string(f, n) == STORED)
        return STORED;
#endif
    f->p++;
    if (!take_string(f, &start, &len, &escaped) || (escaped && !escapes_valid(start, len)))
        return BAIL;
    struct column *c = begin(f, depth, n, KIND_STRING, rep);
    if (__builtin_expect(escaped, 0)) {
        f->s->text.n = 0;
        json_unescape(start, len, &f->s->text);
        column_text(c, f->s->text.p, f->s->text.n);
    } else {
        column_text_padded(c, start, len);
    }
    return STORED;
}

static inline enum got fast_number(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep)
{
    const uint32_t both = 1u << KIND_LONG | 1u << KIND_DOUBLE;
    const struct rnode *r = n->r;
    struct number v;
    if (!take_number(f, &v))
        return BAIL;
    if (v.decimal) {
        if (n->column[KIND_DOUBLE] < 0)
            return BAIL;
        column_real(begin(f, depth, n, KIND_DOUBLE, rep), v.real);
        return STORED;
    }
    if (n->column[KIND_LONG] >= 0 && (r->kinds & both) == 1u << KIND_LONG &&
        (r->table_kinds & both) != 1u << KIND_DOUBLE && json_double_holds(v.whole)) {
        column_number(begin(f, depth, n, KIND_LONG, rep), v.whole);
        return STORED;
    }
    if (!(r->kinds & 1u << KIND_LONG) && /* it must go to the doubles, and may */
        (!json_double_holds(v.whole) || !(r->kinds & 1u << KIND_DOUBLE) ||
         (r->parent->place != PLACE_LIST && (r->table_kinds & both) != 1u << KIND_DOUBLE)))
        return BAIL;
    return walk_put_long(f->s, f->in, depth, n, v.whole, rep) ? STORED : BAIL;
}

static inline enum got fast_flag(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep)
{
    bool yes = *f->p == 't';
    if (n->column[KIND_BOOL] < 0 || memcmp(f->p, yes ? "true" : "false", yes ? 4 : 5) != 0)
        return BAIL;
    f->p += yes ? 4 : 5;
    column_flag(begin(f, depth, n, KIND_BOOL, rep), yes);
    return STORED;
}

/* A scalar for a column of the config's type, or for none. */
static enum got fast_declared(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep)
{
    struct json_tok v = {0};
    const uint8_t *start = f->p;
    struct number number;
    bool escaped;
    size_t len;
    if (*f->p == '"') {
        f->p++;
        if (!take_string(f, &start, &len, &escaped) || escaped)
            return BAIL;
        v.kind = TOK_STRING;
    } else if (*f->p == '-' || (unsigned)*f->p - '0' < 10) {
        if (!take_number(f, &number))
            return BAIL;
        len = number.n;
        v.kind = number.decimal ? TOK_DECIMAL : TOK_INTEGER;
    } else {
        return BAIL;
    }
    v.start = (uint32_t)(start - f->s->p);
    v.end = v.start + (uint32_t)len;
    if (n->r->place == PLACE_DROP)
        return NOTHING;
    return walk_put_declared(f->s, f->in, depth, n, &v, rep) ? STORED : BAIL;
}

static enum got fast_value(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep);

/* The members of an object, f->p after its brace. */
static enum got fast_members(struct fast *f, uint32_t depth)
{
    struct lnode *up = f->in[depth].node;
    uint64_t instance = f->in[depth].instance;
    struct lnode **after = up->first;
    bool stored = false, skip;
    skip_space(f);
    while (f->p < f->end) {
        struct lnode *n = take_key(f, up, after, NULL, &skip);
        if (n) {
            if (n->seen == instance)
                return BAIL;
            n->seen = instance;
            enum got got = fast_value(f, depth, n, f->in[depth].rep);
            if (got == BAIL)
                return BAIL;
            stored |= got == STORED;
            after = n->next;
        } else if (!skip) {
            return BAIL;
        }
        enum after_item item = after_item(f, '}');
        if (item != NEXT)
            return item == NEITHER ? BAIL : stored ? STORED : NOTHING;
    }
    return BAIL;
}

static inline enum got fast_struct(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep)
{
    f->p++;
    f->in[depth + 1] = (struct place_in){n, ++f->s->instance, rep};
    if (fast_members(f, depth + 1) != STORED)
        return BAIL;
    walk_close(f->s, &f->in[depth + 1]);
    n->stamp = f->in[depth].instance;
    return STORED;
}

static enum got fast_list(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep)
{
    struct shredder *s = f->s;
    uint8_t element_rep = rep;
    if (!n->n_children || !walk_has_leaf(s, n))
        return BAIL;
    n->stamp = f->in[depth].instance;
    f->p++;
    skip_space(f);
    if (*f->p == ']') {
        f->p++;
        walk_put_nulls(s, n, n->r->max_def, rep);
        return STORED;
    }
    for (; f->p < f->end; element_rep = (uint8_t)(n->r->max_rep + 1)) {
        f->in[depth + 1] = (struct place_in){n, ++s->instance, element_rep};
        if (literal_null(f->p)) {
            f->p += 4;
            walk_put_nulls(s, n, (uint8_t)(n->r->max_def + 1), element_rep);
        } else if (fast_value(f, depth + 1, n->children[0], element_rep) != STORED) {
            return BAIL;
        }
        enum after_item item = after_item(f, ']');
        if (item != NEXT)
            return item == NEITHER ? BAIL : STORED;
    }
    return BAIL;
}

static enum got fast_value(struct fast *f, uint32_t depth, struct lnode *n, uint8_t rep)
{
    uint8_t place = n->place, c = *f->p;
    if (c == 'n') {
        if (!literal_null(f->p))
            return BAIL;
        f->p += 4;
        return NOTHING;
    }
    if (__builtin_expect(place == PLACE_SCALAR, 1)) {
        if (c == '"')
            return n->column[KIND_STRING] >= 0 ? fast_string(f, depth, n, rep) : BAIL;
        if (c == '-' || (unsigned)c - '0' < 10)
            return fast_number(f, depth, n, rep);
        return c == 't' || c == 'f' ? fast_flag(f, depth, n, rep) : BAIL;
    }
    if (place == PLACE_DECLARED || place == PLACE_DROP)
        return fast_declared(f, depth, n, rep);
    if (depth + 1 >= FAST_DEPTH)
        return BAIL;
    if (c == '{' && place == PLACE_STRUCT)
        return fast_struct(f, depth, n, rep);
    return c == '[' && place == PLACE_LIST ? fast_list(f, depth, n, rep) : BAIL;
}

/* ---- the record ---- */

/* A string without escapes. */
static bool envelope_text(struct fast *f, struct str *out)
{
    const uint8_t *start;
    bool escaped;
    if (*f->p != '"')
        return false;
    f->p++;
    if (!take_string(f, &start, &out->n, &escaped) || escaped)
        return false;
    out->p = (const char *)start;
    return true;
}

static bool envelope_uuid(struct fast *f, struct fast_event *out)
{
    if (!envelope_text(f, &out->uuid) || out->uuid.n == 0 || out->uuid.n > UUID_MAX)
        return false;
    dedup_key(&out->key, (const uint8_t *)out->uuid.p, out->uuid.n);
    dedup_prefetch(f->s->env.dedup, &out->key);
    return true;
}

static bool envelope_time(struct fast *f, struct fast_event *out)
{
    struct shredder *s = f->s;
    const uint8_t *start = f->p, *p = start;
    while (p < f->end && p - start < 32 && ((unsigned)*p - '0' < 10 || *p == '.'))
        p++;
    out->created_at = (struct str){(const char *)start, (size_t)(p - start)};
    f->p = p;
    return event_time_parse((const char *)start, out->created_at.n, false, s->env.time_unit,
                            &s->times, &out->time) == REASON_NONE;
}

/* The name stands further on: a guess, by the first text that looks like its member. */
static bool guess_name(const struct fast *f, struct str *name)
{
    static const char key[] = "\"event_name\":";
    const uint8_t *p = memmem(f->p, (size_t)(f->end - f->p), key, sizeof key - 1);
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

/* What is learned of an event name: only if it is there, and its table can be written. */
static bool enter_shape(struct fast *f, struct str name)
{
    struct shredder *s = f->s;
    struct shape *sh = s->last;
    if (!sh || sh->parts.name.n != name.n || memcmp(sh->name, name.p, name.n) != 0)
        sh = map_get(&s->shapes, name.p, name.n);
    if (!sh || !sh->routed || !sh->table || sh->table->unavailable)
        return false;
    s->shape = s->last = sh;
    f->in[0] = (struct place_in){sh->root, ++s->instance, 0};
    return true;
}

static void enter_set(struct shredder *s, struct rowset *set)
{
    s->set = set;
    s->row = set->rows;
}

struct pass {
    struct str name; /* as it was met; or guessed, until then */
    bool met_name, met_time, wrote;
};

static enum got envelope_member(struct fast *f, int which, struct pass *pass, struct fast_event *out)
{
    struct str name;
    if (which == 1)
        return !out->uuid.p && envelope_uuid(f, out) ? NOTHING : BAIL;
    if (which == 2) {
        if (pass->met_name || !envelope_text(f, &name))
            return BAIL;
        pass->met_name = true;
        if (!pass->name.p)
            return enter_shape(f, pass->name = name) ? NOTHING : BAIL;
        return str_eq(pass->name, name) ? NOTHING : BAIL;
    }
    if (pass->met_time || !envelope_time(f, out))
        return BAIL;
    pass->met_time = true;
    return NOTHING;
}

/* The set that the values go to: by created_at where that has come, else the last one used. */
static bool choose_set(struct fast *f, struct pass *pass, const struct fast_event *out)
{
    struct shredder *s = f->s;
    struct str name;
    if (!pass->name.p) {
        if (!guess_name(f, &name) || !enter_shape(f, name))
            return false;
        pass->name = name;
    }
    if (!pass->met_time && !s->shape->n_sets)
        return false;
    enter_set(s, pass->met_time ? shred_set_of(s, s->shape, out->time.time_us)
                                : s->shape->sets[s->shape->last_set]);
    pass->wrote = true;
    return true;
}

static enum got fast_root(struct fast *f, struct pass *pass, struct fast_event *out)
{
    struct shredder *s = f->s;
    struct lnode *const *own = s->envelope;
    struct lnode **after = s->envelope_first;
    bool skip;
    s->shape = NULL;
    while (f->p < f->end) {
        struct lnode *up = s->shape ? s->shape->root : &s->no_place;
        const uint8_t *key = f->p;
        struct lnode *n = take_key(f, up, after, own, &skip);
        enum got got = NOTHING;
        if (!n && !skip && !s->shape && choose_set(f, pass, out)) { /* fields before the name */
            f->p = key;
            n = take_key(f, s->shape->root, s->shape->root->first, own, &skip);
        }
        if (n && n->envelope) {
            got = envelope_member(f, n->envelope, pass, out);
            after = s->shape ? s->shape->root->after_envelope[n->envelope - 1] : n->next;
        } else if (skip) {
            /* nothing to keep */
        } else if (n) {
            if ((!pass->wrote && !choose_set(f, pass, out)) || n->seen == f->in[0].instance)
                return BAIL;
            n->seen = f->in[0].instance;
            got = fast_value(f, 0, n, 0);
            after = n->next;
        } else {
            return BAIL;
        }
        if (got == BAIL)
            return BAIL;
        enum after_item item = after_item(f, '}');
        if (item != NEXT)
            return item == NEITHER ? BAIL : STORED;
    }
    return BAIL;
}

static bool one_pass(struct fast *f, const uint8_t *p, size_t n, struct pass *pass,
                     struct fast_event *out)
{
    f->p = p;
    f->end = p + n;
    skip_space(f);
    if (f->p >= f->end || *f->p++ != '{')
        return false;
    skip_space(f);
    if (fast_root(f, pass, out) == BAIL || f->p > f->end)
        return false;
    skip_space(f);
    return f->p == f->end && pass->met_name && pass->met_time && out->uuid.p;
}

bool fast_event(struct shredder *s, const uint8_t *p, size_t n, struct fast_event *out)
{
    struct fast f;
    f.s = s;
    /* Twice where created_at comes after values that went to another partition's rows; then that of the
     * right one is the last used. */
    for (int again = 0; again < 2; again++) {
        struct pass pass = {0};
        out->uuid.p = NULL;
        bool good = one_pass(&f, p, n, &pass, out);
        if (!good) {
            if (pass.wrote)
                shred_roll_back(s->set, s->row);
            return false;
        }
        struct rowset *right = shred_set_of(s, s->shape, out->time.time_us);
        if (!pass.wrote)
            enter_set(s, right);
        if (s->set == right)
            return true;
        shred_roll_back(s->set, s->row);
    }
    return false;
}
