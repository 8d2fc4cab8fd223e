/* Declared columns: see convert.h. */
#include "shred/convert.h"

#include <string.h>

#include "codec/civil.h"
#include "codec/digest.h"
#include "event/event.h"

static bool decimal(const uint8_t *p, size_t n, unsigned precision, unsigned scale, int64_t *out)
{
    int64_t v = 0, limit = 1;
    unsigned after = 0;
    bool minus = n && p[0] == '-', dot = false;
    if (precision > 18 || n == minus || p[minus] == '.' || p[n - 1] == '.')
        return false;
    for (size_t i = minus; i < n; i++) {
        if (p[i] == '.' && !dot) {
            dot = true;
            continue;
        }
        unsigned d = (unsigned)p[i] - '0';
        if (d > 9 || (dot && ++after > scale && d) || (after <= scale && v > INT64_MAX / 10 - 1))
            return false;
        if (after <= scale)
            v = v * 10 + d;
    }
    for (; after < scale; after++) {
        if (v > INT64_MAX / 10)
            return false;
        v *= 10;
    }
    for (unsigned i = 0; i < precision; i++)
        limit *= 10;
    *out = minus ? -v : v;
    return v < limit;
}

/* Digits past the microsecond, not all 0. */
static bool finer(const char *text, size_t n)
{
    const char *dot = memchr(text, '.', n);
    size_t digits = 0;
    for (const char *c = dot ? dot + 1 : NULL; c && c < text + n && *c >= '0' && *c <= '9'; c++)
        if (++digits > 6 && *c != '0')
            return true;
    return false;
}

static bool timestamp(const uint8_t *p, const struct json_tok *v, struct converted *out)
{
    struct event_time t;
    struct event_time_cache cache = {0};
    const char *text = (const char *)p + v->start;
    size_t n = v->end - v->start;
    if (v->kind == TOK_STRING && civil_parse_us(text, n, &out->number)) {
        out->inexact = finer(text, n);
        return true;
    }
    if (event_time_parse(text, n, v->kind == TOK_STRING, UNIT_AUTO, &cache, &t) != REASON_NONE)
        return false;
    out->number = t.time_us;
    out->inexact = finer(t.datetime, t.datetime_n);
    return true;
}

static void value_text(const uint8_t *p, const struct json_tok *v, struct buf *text)
{
    if (v->kind == TOK_STRING && v->flags & TOK_ESCAPED)
        json_unescape(p + v->start, v->end - v->start, text);
    else
        buf_put(text, p + v->start, v->end - v->start);
}

static bool hash(const uint8_t *p, const struct json_tok *v, const uint8_t *key, size_t key_n,
                 struct buf *text)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t mac[32];
    value_text(p, v, text);
    if (!key_n || !digest_hmac_sha256(key, key_n, text->p, text->n, mac))
        return false;
    text->n = 0;
    for (int i = 0; i < 32; i++) {
        buf_putc(text, (uint8_t)hex[mac[i] >> 4]);
        buf_putc(text, (uint8_t)hex[mac[i] & 15]);
    }
    return true;
}

bool convert_value(const uint8_t *p, const struct json_tok *v, const struct rnode *node,
                   const uint8_t *key, size_t key_n, struct buf *text, struct converted *out)
{
    const uint8_t *at = p + v->start;
    out->inexact = false;
    size_t n = v->end - v->start;
    bool number = v->kind == TOK_INTEGER || v->kind == TOK_DECIMAL;
    if (v->flags & TOK_UNSAFE && node->declared != KIND_HASH)
        return false;
    switch (node->declared) {
    case KIND_BOOL:
        out->number = v->kind == TOK_TRUE;
        return v->kind == TOK_TRUE || v->kind == TOK_FALSE;
    case KIND_LONG: return v->kind == TOK_INTEGER && json_long(at, n, &out->number);
    case KIND_DOUBLE: /* an integer only where the double is exactly it */
        if (!number || !json_double(at, n, &out->real))
            return false;
        return v->kind == TOK_DECIMAL ||
               (json_long(at, n, &out->number) && json_double_holds(out->number));
    case KIND_STRING:
        value_text(p, v, text);
        return v->kind == TOK_STRING;
    case KIND_DECIMAL:
        return (number || v->kind == TOK_STRING) && n > 0 &&
               decimal(at, n, node->precision, node->scale, &out->number);
    case KIND_TIMESTAMPTZ: return (number || v->kind == TOK_STRING) && timestamp(p, v, out);
    case KIND_JSON:
        buf_put(text, at - (v->kind == TOK_STRING), n + 2u * (v->kind == TOK_STRING));
        return true;
    case KIND_HASH: return hash(p, v, key, key_n, text);
    default: return false;
    }
}
