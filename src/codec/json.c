/* See json.h. The parser is one loop with an explicit stack of open containers. */
#include "codec/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/mem.h"

typedef uint8_t v16 __attribute__((vector_size(16)));

void json_tape_fini(struct json_tape *t)
{
    free(t->toks);
    *t = (struct json_tape){0};
}

static inline uint32_t add(struct json_tape *t, enum json_token kind, size_t start)
{
    if (__builtin_expect(t->n == t->cap, 0)) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->toks = mem_regrow(t->toks, t->cap, sizeof *t->toks);
    }
    struct json_tok *k = &t->toks[t->n];
    k->start = (uint32_t)start;
    k->kind = (uint8_t)kind;
    k->flags = 0;
    return t->n++;
}

bool json_utf8_valid(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint8_t c = p[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
        if (more > n - i - 1)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] >= 0xa0) ||
            (c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] >= 0x90))
            return false;
        i += more + 1;
    }
    return true;
}

int json_hex4(const uint8_t *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i], l = c | 0x20;
        int d = c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* Skips one escape at p[i] == '\\'; 0 if it is none. */
static size_t skip_escape(const uint8_t *p, size_t i, size_t n, uint8_t *flags)
{
    *flags |= TOK_ESCAPED;
    if (n - i < 2)
        return 0;
    if (p[i + 1] != 'u')
        return p[i + 1] && strchr("\"\\/bfnrt", p[i + 1]) ? i + 2 : 0;
    int v = n - i < 6 ? -1 : json_hex4(p + i + 2);
    if (v < 0)
        return 0;
    if (v == 0 || (v >= 0xdc00 && v < 0xe000))
        *flags |= TOK_UNSAFE;
    if (v < 0xd800 || v >= 0xdc00)
        return i + 6;
    int low = n - i >= 12 && p[i + 6] == '\\' && p[i + 7] == 'u' ? json_hex4(p + i + 8) : -1;
    if (low >= 0xdc00 && low < 0xe000)
        return i + 12;
    *flags |= TOK_UNSAFE;
    return i + 6;
}

#if defined(__SSE2__)
#include <emmintrin.h>
/* Bits of the bytes that end a run of plain text: quote, backslash, control characters; and whether any
 * byte is not ASCII. */
static inline unsigned special(const uint8_t *p, unsigned *high)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i q = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), b = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i c = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    *high = (unsigned)_mm_movemask_epi8(v);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(q, _mm_or_si128(b, c)));
}
#else
static inline unsigned special(const uint8_t *p, unsigned *high)
{
    unsigned out = 0;
    *high = 0;
    for (unsigned i = 0; i < 16; i++) {
        out |= (unsigned)(p[i] == '"' || p[i] == '\\' || p[i] < 0x20) << i;
        *high |= (unsigned)(p[i] >> 7) << i;
    }
    return out;
}
#endif

/* From after the opening quote to the closing one; its offset, or n if there is none. */
static inline size_t scan_string(const uint8_t *p, size_t i, size_t n, uint8_t *flags, bool *ascii)
{
    unsigned any_high = 0, high;
    while (i < n) {
        unsigned bits = special(p + i, &high);
        if (!bits) {
            any_high |= high;
            i += 16;
            continue;
        }
        unsigned at = (unsigned)__builtin_ctz(bits);
        any_high |= high & ((1u << at) - 1);
        i += at;
        if (i >= n)
            break;
        if (p[i] == '"') {
            *ascii = any_high == 0;
            return i;
        }
        if (p[i] != '\\' || !(i = skip_escape(p, i, n, flags)))
            return n;
    }
    *ascii = any_high == 0;
    return n;
}

static inline size_t scan_number(const uint8_t *p, size_t i, size_t n, enum json_token *kind)
{
    *kind = TOK_INTEGER;
    i += p[i] == '-';
    if (i >= n)
        return 0;
    if (p[i] == '0')
        i++;
    else if (p[i] >= '1' && p[i] <= '9')
        while (i < n && (uint8_t)(p[i] - '0') < 10)
            i++;
    else
        return 0;
    if (i < n && p[i] == '.') {
        size_t from = ++i;
        *kind = TOK_DECIMAL;
        while (i < n && (uint8_t)(p[i] - '0') < 10)
            i++;
        if (i == from)
            return 0;
    }
    if (i < n && (p[i] | 0x20) == 'e') {
        *kind = TOK_DECIMAL;
        i++;
        i += i < n && (p[i] == '+' || p[i] == '-');
        size_t from = i;
        while (i < n && (uint8_t)(p[i] - '0') < 10)
            i++;
        if (i == from)
            return 0;
    }
    return i;
}

static inline size_t skip_space(const uint8_t *p, size_t i, size_t n)
{
    while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n' || p[i] == '\r'))
        i++;
    return i;
}

struct parser {
    struct json_tape *t;
    const uint8_t *p;
    size_t n, i;
    uint32_t depth;
    uint32_t open[JSON_DEPTH_MAX];
    enum json_status status;
};

static bool string_at(struct parser *s, enum json_token kind)
{
    uint8_t flags = 0;
    bool ascii = true;
    size_t end = scan_string(s->p, s->i + 1, s->n, &flags, &ascii);
    if (end >= s->n)
        return false;
    uint32_t k = add(s->t, kind, s->i + 1);
    s->t->toks[k].end = (uint32_t)end;
    s->t->toks[k].next = k + 1;
    s->t->toks[k].flags = flags;
    if (__builtin_expect(!ascii, 0) && !json_utf8_valid(s->p + s->i + 1, end - s->i - 1)) {
        s->status = JSON_BAD_UTF8;
        return false;
    }
    s->i = end + 1;
    return true;
}

static bool literal(struct parser *s, const char *text, size_t len, enum json_token kind)
{
    if (s->n - s->i < len || memcmp(s->p + s->i, text, len) != 0)
        return false;
    uint32_t k = add(s->t, kind, s->i);
    s->i += len;
    s->t->toks[k].end = (uint32_t)s->i;
    s->t->toks[k].next = k + 1;
    return true;
}

/* A value that holds no other, or the opening of one that does (*opened). */
static inline bool value_at(struct parser *s, bool *opened)
{
    enum json_token kind;
    *opened = false;
    if (s->i >= s->n)
        return false;
    switch (s->p[s->i]) {
    case '"': return string_at(s, TOK_STRING);
    case '{':
    case '[':
        if (s->depth == JSON_DEPTH_MAX) {
            s->status = JSON_TOO_DEEP;
            return false;
        }
        s->open[s->depth++] = add(s->t, s->p[s->i] == '{' ? TOK_OBJECT : TOK_ARRAY, s->i);
        s->i++;
        return *opened = true;
    case 't': return literal(s, "true", 4, TOK_TRUE);
    case 'f': return literal(s, "false", 5, TOK_FALSE);
    case 'n': return literal(s, "null", 4, TOK_NULL);
    default: break;
    }
    size_t end = scan_number(s->p, s->i, s->n, &kind);
    if (!end)
        return false;
    uint32_t k = add(s->t, kind, s->i);
    s->t->toks[k].end = (uint32_t)end;
    s->t->toks[k].next = k + 1;
    s->i = end;
    return true;
}

static inline bool key_at(struct parser *s)
{
    s->i = skip_space(s->p, s->i, s->n);
    if (s->i >= s->n || s->p[s->i] != '"' || !string_at(s, TOK_KEY))
        return false;
    s->i = skip_space(s->p, s->i, s->n);
    if (s->i >= s->n || s->p[s->i] != ':')
        return false;
    s->i = skip_space(s->p, s->i + 1, s->n);
    return true;
}

static bool close_at(struct parser *s)
{
    struct json_tok *k = &s->t->toks[s->open[s->depth - 1]];
    if (s->i >= s->n || s->p[s->i] != (k->kind == TOK_OBJECT ? '}' : ']'))
        return false;
    s->i++;
    k->end = (uint32_t)s->i;
    k->next = s->t->n;
    s->depth--;
    return true;
}

static bool parse_all(struct parser *s)
{
    bool opened;
    s->i = skip_space(s->p, 0, s->n);
    if (!value_at(s, &opened))
        return false;
    while (s->depth) {
        s->i = skip_space(s->p, s->i, s->n);
        uint8_t kind = s->t->toks[s->open[s->depth - 1]].kind;
        if (opened && close_at(s)) {
            opened = false;
            continue;
        }
        if (!opened) { /* after a value: a comma and another, or the end */
            if (s->i >= s->n)
                return false;
            if (s->p[s->i] != ',') {
                if (!close_at(s))
                    return false;
                continue;
            }
            s->i = skip_space(s->p, s->i + 1, s->n);
        }
        if ((kind == TOK_OBJECT && !key_at(s)) || !value_at(s, &opened))
            return false;
    }
    s->i = skip_space(s->p, s->i, s->n);
    return s->i == s->n;
}

enum json_status json_parse(struct json_tape *t, const uint8_t *p, size_t n, size_t *where)
{
    static __thread struct parser s; /* its stack of 4 KB is not cleared for each record */
    s.t = t;
    s.p = p;
    s.n = n;
    s.i = 0;
    s.depth = 0;
    s.status = JSON_OK;
    t->n = 0;
    if (parse_all(&s))
        return JSON_OK;
    *where = s.i;
    if (s.status == JSON_OK)
        s.status = json_utf8_valid(p, n) ? JSON_INVALID : JSON_BAD_UTF8;
    return s.status;
}

/* ---- members that come again ---- */

static void key_text(const struct json_tok *k, const uint8_t *p, struct buf *out)
{
    out->n = 0;
    if (k->flags & TOK_ESCAPED)
        json_unescape(p + k->start, k->end - k->start, out);
    else
        buf_put(out, p + k->start, k->end - k->start);
}

void json_last_wins(struct json_tape *t, const uint8_t *p)
{
    struct buf a = {0}, b = {0};
    for (uint32_t o = 0; o < t->n; o++) {
        uint32_t count = 0, cap = 16;
        if (t->toks[o].kind != TOK_OBJECT)
            continue;
        for (uint32_t k = o + 1; k < t->toks[o].next; k = t->toks[k + 1].next)
            count++;
        while (cap < count * 2)
            cap *= 2;
        uint32_t *seen = mem_array(cap, sizeof *seen);
        for (uint32_t k = o + 1; k < t->toks[o].next; k = t->toks[k + 1].next) {
            key_text(&t->toks[k], p, &a);
            uint32_t at = (uint32_t)XXH3_64bits(a.p ? a.p : p, a.n) & (cap - 1);
            for (; seen[at]; at = (at + 1) & (cap - 1)) {
                key_text(&t->toks[seen[at]], p, &b);
                if (a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0)) {
                    t->toks[seen[at]].flags |= TOK_SUPERSEDED;
                    break;
                }
            }
            seen[at] = k;
        }
        free(seen);
    }
    buf_fini(&a);
    buf_fini(&b);
}

void json_put_code_point(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_putc(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_putc(out, (uint8_t)(0xc0 | c >> 6));
        buf_putc(out, (uint8_t)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        buf_putc(out, (uint8_t)(0xe0 | c >> 12));
        buf_putc(out, (uint8_t)(0x80 | (c >> 6 & 63)));
        buf_putc(out, (uint8_t)(0x80 | (c & 63)));
    } else {
        buf_putc(out, (uint8_t)(0xf0 | c >> 18));
        buf_putc(out, (uint8_t)(0x80 | (c >> 12 & 63)));
        buf_putc(out, (uint8_t)(0x80 | (c >> 6 & 63)));
        buf_putc(out, (uint8_t)(0x80 | (c & 63)));
    }
}

void json_unescape(const uint8_t *p, size_t n, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    for (size_t i = 0; i < n;) {
        if (p[i] != '\\') {
            const uint8_t *stop = memchr(p + i, '\\', n - i);
            size_t run = stop ? (size_t)(stop - (p + i)) : n - i;
            buf_put(out, p + i, run);
            i += run;
        } else if (p[i + 1] != 'u') {
            buf_putc(out, (uint8_t)to[strchr(from, p[i + 1]) - from]);
            i += 2;
        } else {
            uint32_t c = (uint32_t)json_hex4(p + i + 2);
            i += 6;
            int low = c >= 0xd800 && c < 0xdc00 && n - i >= 6 && p[i] == '\\' && p[i + 1] == 'u'
                          ? json_hex4(p + i + 2)
                          : -1;
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
                i += 6;
            }
            json_put_code_point(out, c);
        }
    }
}

/* ---- numbers ---- */

bool json_number_valid(const uint8_t *p, size_t n)
{
    enum json_token kind;
    return n && scan_number(p, 0, n, &kind) == n;
}

bool json_long(const uint8_t *p, size_t n, int64_t *out)
{
    bool minus = p[0] == '-';
    uint64_t v = 0;
    size_t i = minus;
    if (n - i > 19)
        return false;
    for (; i < n; i++)
        v = v * 10 + (uint64_t)(p[i] - '0');
    if (v > (uint64_t)INT64_MAX + minus)
        return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static bool slow_double(const uint8_t *p, size_t n, double *out)
{
    char small[128], *text = n < sizeof small ? small : mem_alloc(n + 1);
    memcpy(text, p, n);
    text[n] = '\0';
    *out = strtod(text, NULL);
    if (text != small)
        free(text);
    return isfinite(*out);
}

bool json_double(const uint8_t *p, size_t n, double *out)
{
    static const long double powers[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
                                         1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L};
    bool minus = p[0] == '-';
    uint64_t m = 0;
    size_t i = minus, digits = 0, after = 0;
    bool dot = false;
    for (; i < n; i++) {
        unsigned d = (unsigned)p[i] - '0';
        if (d < 10) {
            m = m * 10 + d;
            digits += digits || d; /* not by m: it wraps, to 0 at 18446744073709551616 */
            after += dot;
        } else if (p[i] == '.') {
            dot = true;
        } else {
            return slow_double(p, n, out);
        }
    }
    if (digits > 19 || after > 19)
        return slow_double(p, n, out);
    if (m < (uint64_t)1 << 53) {
        double v = (double)m;
        if (after <= 15) {
            v /= (double)powers[after];
            *out = minus ? -v : v;
            return true;
        }
    }
#if defined(__x86_64__)
    /* 64-bit quotient, correctly rounded; rounding it again to 53 bits is right unless its low 11 bits
     * are next to the half. */
    union {
        long double v;
        uint64_t bits;
    } q = {.v = (long double)m / powers[after]};
    uint64_t low = q.bits & 0x7ff;
    if (digits <= 19 && (low < 0x3fe || low > 0x402) && q.v > 1e-300L) {
        *out = minus ? -(double)q.v : (double)q.v;
        return true;
    }
#endif
    return slow_double(p, n, out);
}
