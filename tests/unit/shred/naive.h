/* naive: JSON as a plain tree, strictly and slowly, to judge the shredder by. Never freed but whole
 * (naive_reset). Strings are unescaped to WTF-8, so that NUL and lone surrogates compare as well. */
#ifndef INLET_TEST_NAIVE_H
#define INLET_TEST_NAIVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum ntype { N_NULL, N_BOOL, N_NUMBER, N_STRING, N_OBJECT, N_LIST };
struct nval {
    enum ntype type;
    char *p; /* a number's text, a string's bytes, "true" or "false" */
    size_t n;
    struct nval **items;
    struct nval **keys; /* of an object: strings */
    uint32_t count;
    uint32_t votes;    /* rebuilt from columns: leaves that say it is there */
    const void *place; /* ... and whose node it is */
};

static void **naive_all;
static size_t naive_n, naive_cap;

static void *naive_keep(void *p)
{
    if (naive_n == naive_cap)
        naive_all = mem_regrow(naive_all, naive_cap = naive_cap * 2 + 64, sizeof *naive_all);
    return naive_all[naive_n++] = p;
}

static void naive_reset(void)
{
    for (size_t i = 0; i < naive_n; i++) {
        struct nval *v = naive_all[i];
        free(v->p);
        free(v->items);
        free(v->keys);
        free(v);
    }
    free(naive_all);
    naive_all = NULL;
    naive_n = naive_cap = 0;
}

static struct nval *naive_new(enum ntype type, const char *p, size_t n)
{
    struct nval *v = naive_keep(mem_zalloc(sizeof *v));
    v->type = type;
    v->p = mem_strndup(p, n);
    v->n = n;
    return v;
}

static struct nval *naive_get(const struct nval *o, const char *key, size_t n)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->keys[i]->n == n && memcmp(o->keys[i]->p, key, n) == 0)
            return o->items[i];
    return NULL;
}

static void naive_add(struct nval *o, struct nval *v)
{
    o->items = mem_regrow(o->items, o->count + 1, sizeof *o->items);
    o->items[o->count++] = v;
}

/* The last of the same key wins. */
static void naive_set(struct nval *o, const char *key, size_t n, struct nval *v)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->keys[i]->n == n && memcmp(o->keys[i]->p, key, n) == 0) {
            o->items[i] = v;
            return;
        }
    o->keys = mem_regrow(o->keys, o->count + 1, sizeof *o->keys);
    o->keys[o->count] = naive_new(N_STRING, key, n);
    naive_add(o, v);
}

struct npos {
    const unsigned char *p, *end;
    int depth;
};

static void naive_space(struct npos *s)
{
    while (s->p < s->end && memchr(" \t\r\n", *s->p, 4))
        s->p++;
}

static void naive_utf8(struct buf *b, uint32_t c)
{
    uint8_t out[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 63));
    out[0] = (uint8_t)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    buf_put(b, out, n);
}

static int naive_hex(struct npos *s, uint32_t *out)
{
    *out = 0;
    if (s->end - s->p < 4)
        return -1;
    for (int i = 0; i < 4; i++, s->p++) {
        const char *at = memchr("0123456789abcdefABCDEF", *s->p, 22);
        if (!at)
            return -1;
        uint32_t d;
        d = *s->p <= '9' ? *s->p - 0u - '0' : (*s->p | 0x20u) - 'a' + 10;
        *out = *out * 16 + d;
    }
    return 0;
}

/* One code point of raw UTF-8 (RFC 3629), or -1. */
static int naive_raw(struct npos *s, struct buf *b)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t c = *s->p, n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    if (!n || s->end - s->p < (int)n)
        return -1;
    c = n == 1 ? c : c & (0x7fu >> n);
    for (uint32_t i = 1; i < n; i++) {
        if (s->p[i] >> 6 != 2)
            return -1;
        c = c << 6 | (s->p[i] & 63);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return -1;
    buf_put(b, s->p, n);
    s->p += n;
    return 0;
}

static struct nval *naive_string(struct npos *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    struct buf b = {0};
    struct nval *v = NULL;
    uint32_t c, low;
    for (s->p++;;) {
        if (s->p >= s->end || *s->p < 0x20)
            goto end;
        if (*s->p == '"')
            break;
        if (*s->p != '\\') {
            if (naive_raw(s, &b))
                goto end;
            continue;
        }
        if (++s->p >= s->end)
            goto end;
        if (*s->p != 'u') {
            const char *at = memchr(from, *s->p++, 8);
            if (!at)
                goto end;
            buf_putc(&b, (uint8_t)to[at - from]);
            continue;
        }
        s->p++;
        if (naive_hex(s, &c))
            goto end;
        if (c >= 0xd800 && c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
            struct npos ahead = {s->p + 2, s->end, 0};
            if (!naive_hex(&ahead, &low) && low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                s->p = ahead.p;
            }
        }
        naive_utf8(&b, c);
    }
    s->p++;
    v = naive_new(N_STRING, buf_cstr(&b), b.n);
end:
    buf_fini(&b);
    return v;
}

static struct nval *naive_number(struct npos *s)
{
    const unsigned char *from = s->p;
#define DIGIT (s->p < s->end && *s->p >= '0' && *s->p <= '9')
    if (s->p < s->end && *s->p == '-')
        s->p++;
    if (!DIGIT)
        return NULL;
    if (*s->p++ != '0')
        while (DIGIT)
            s->p++;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!DIGIT)
            return NULL;
        while (DIGIT)
            s->p++;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!DIGIT)
            return NULL;
        while (DIGIT)
            s->p++;
    }
#undef DIGIT
    return naive_new(N_NUMBER, (const char *)from, (size_t)(s->p - from));
}

static struct nval *naive_value(struct npos *s);

static struct nval *naive_group(struct npos *s, unsigned char close)
{
    struct nval *o = naive_new(close == '}' ? N_OBJECT : N_LIST, "", 0), *key = NULL, *v;
    s->p++;
    naive_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return o;
    }
    for (;;) {
        naive_space(s);
        if (close == '}') {
            if (s->p >= s->end || *s->p != '"' || !(key = naive_string(s)))
                return NULL;
            naive_space(s);
            if (s->p >= s->end || *s->p++ != ':')
                return NULL;
        }
        if (!(v = naive_value(s)))
            return NULL;
        if (key)
            naive_set(o, key->p, key->n, v);
        else
            naive_add(o, v);
        naive_space(s);
        if (s->p >= s->end || (*s->p != ',' && *s->p != close))
            return NULL;
        if (*s->p++ == close)
            return o;
    }
}

static struct nval *naive_value(struct npos *s)
{
    static const char *const words[] = {"true", "false", "null"};
    naive_space(s);
    if (s->p >= s->end || s->depth > 1000)
        return NULL;
    if (*s->p == '"')
        return naive_string(s);
    if (*s->p == '{' || *s->p == '[') {
        s->depth++;
        struct nval *v = naive_group(s, *s->p == '{' ? '}' : ']');
        s->depth--;
        return v;
    }
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
            s->p += n;
            return naive_new(i == 2 ? N_NULL : N_BOOL, words[i], n);
        }
    }
    return naive_number(s);
}

/* NULL: not JSON. */
static struct nval *naive_parse(const void *p, size_t n)
{
    struct npos s = {p, (const unsigned char *)p + n, 0};
    struct nval *v = naive_value(&s);
    naive_space(&s);
    return v && s.p == s.end ? v : NULL;
}

static bool naive_integer(const struct nval *v)
{
    return !memchr(v->p, '.', v->n) && !memchr(v->p, 'e', v->n) && !memchr(v->p, 'E', v->n);
}

/* By value; a member that is null is the same as none. */
static bool naive_same(const struct nval *a, const struct nval *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == N_NUMBER) {
        if (a->n == b->n && memcmp(a->p, b->p, a->n) == 0)
            return true;
        double x = strtod(a->p, NULL), y = strtod(b->p, NULL);
        return x == y && (x == 0 || naive_integer(a) != naive_integer(b) || !naive_integer(a));
    }
    if (a->type == N_LIST) {
        for (uint32_t i = 0; i < a->count && a->count == b->count; i++)
            if (!naive_same(a->items[i], b->items[i]))
                return false;
        return a->count == b->count;
    }
    if (a->type == N_NULL)
        return true;
    if (a->type != N_OBJECT)
        return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
    uint32_t left = 0, right = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->items[i]->type == N_NULL)
            continue;
        const struct nval *other = naive_get(b, a->keys[i]->p, a->keys[i]->n);
        if (!other || !naive_same(a->items[i], other))
            return false;
        left++;
    }
    for (uint32_t i = 0; i < b->count; i++)
        right += b->items[i]->type != N_NULL;
    return left == right;
}

/* For messages alone. */
static void naive_print(struct buf *b, const struct nval *v)
{
    bool group = v->type == N_OBJECT || v->type == N_LIST;
    buf_printf(b, "%s", !group ? v->p : v->type == N_OBJECT ? "{" : "[");
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->type == N_OBJECT)
            buf_printf(b, "%s:", v->keys[i]->p);
        naive_print(b, v->items[i]);
        buf_putc(b, ' ');
    }
    if (group)
        buf_putc(b, v->type == N_OBJECT ? '}' : ']');
}

/* Sets a value at an RFC 6901 pointer, making objects on the way. False where it leads nowhere. */
static bool naive_point(struct nval *root, const struct nval *pointer, struct nval *v)
{
    struct nval *at = root;
    const char *p = pointer->p, *end = p + pointer->n;
    while (p < end) {
        struct buf key = {0};
        if (*p++ != '/')
            return false;
        for (; p < end && *p != '/'; p++)
            buf_putc(&key, (uint8_t)(*p != '~' ? *p : *++p == '0' ? '~' : '/'));
        bool last = p == end;
        struct nval *next = last ? v : NULL;
        if (at->type == N_LIST) {
            unsigned long i = strtoul(buf_cstr(&key), NULL, 10);
            if (i >= at->count)
                return false;
            if (!next)
                next = at->items[i]->type == N_NULL ? naive_new(N_OBJECT, "", 0) : at->items[i];
            at->items[i] = next;
        } else if (at->type == N_OBJECT) {
            if (!next)
                next = naive_get(at, buf_cstr(&key), key.n);
            if (!next || (!last && next->type == N_NULL))
                next = naive_new(N_OBJECT, "", 0);
            naive_set(at, buf_cstr(&key), key.n, next);
        } else {
            return false;
        }
        at = next;
        buf_fini(&key);
    }
    return true;
}

#endif
