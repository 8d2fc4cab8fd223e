/* body: see body.h. The scanner knows strings and brackets only; a value is skipped by counting
 * brackets outside strings. Nothing is read beyond the end given. */
#include "source/body.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"

struct scan {
    const char *p, *end;
};

static const bool ends_word[256] = {
    ['\0'] = true, [','] = true, [':'] = true, ['{'] = true,  ['}'] = true,  ['['] = true,
    [']'] = true,  ['"'] = true, [' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true};

static void space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static inline bool eat(struct scan *s, char c)
{
    if (s->p < s->end && *s->p != c) /* AWS sends no space */
        space(s);
    if (s->p >= s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* A string at p: its bytes between the quotes. */
static bool string(struct scan *s, struct str *out)
{
    if (!eat(s, '"'))
        return false;
    const char *start = s->p;
    const char *q = memchr(start, '"', (size_t)(s->end - start));
    if (q && q > start && q[-1] == '\\') { /* of an escape, perhaps */
        for (q = start; q < s->end && *q != '"'; q++)
            if (*q == '\\')
                q++;
        if (q >= s->end)
            return false;
    }
    if (!q)
        return false;
    *out = (struct str){start, (size_t)(q - start)};
    s->p = q + 1;
    return true;
}

/* Any value; *out is its text. */
static bool value(struct scan *s, struct str *out)
{
    struct str ignored;
    space(s);
    const char *start = s->p;
    size_t depth = 0;
    do {
        space(s);
        if (s->p >= s->end)
            return false;
        char c = *s->p;
        if (c == '"') {
            if (!string(s, &ignored))
                return false;
        } else if (c == '{' || c == '[') {
            depth++;
            s->p++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return false;
            depth--;
            s->p++;
        } else if ((c == ',' || c == ':') && depth) {
            s->p++;
        } else {
            const char *word = s->p;
            while (s->p < s->end && !ends_word[(uint8_t)*s->p])
                s->p++;
            if (s->p == word)
                return false;
        }
    } while (depth);
    *out = (struct str){start, (size_t)(s->p - start)};
    return true;
}

static bool is(struct str s, const char *name)
{
    return str_eq(s, str_of(name));
}

/* Microseconds of a number of seconds; exact for plain decimals, by strtod with an exponent. */
static int64_t micros(struct str s)
{
    int64_t whole = 0, frac = 0, scale = 1000000;
    size_t i = 0;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && i < 12; i++)
        whole = whole * 10 + (s.p[i] - '0');
    if (i < s.n && s.p[i] == '.')
        for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            if (scale > 1) {
                frac = frac * 10 + (s.p[i] - '0');
                scale /= 10;
            }
    if (i == s.n)
        return whole * 1000000 + frac * scale;
    char text[48];
    if (s.n >= sizeof text)
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double d = strtod(text, NULL) * 1e6;
    return d > 0 && d < 9e18 ? (int64_t)(d + 0.5) : 0;
}

/* One "key": of an object, or its end. 1, 0 at the end, -1 broken. */
static int key(struct scan *s, bool first, struct str *out)
{
    if (eat(s, '}'))
        return 0;
    if (!first && !eat(s, ','))
        return -1;
    return string(s, out) && eat(s, ':') ? 1 : -1;
}

static struct str keep(struct body_records *all, struct str text)
{
    uint8_t *to = all->out + all->n_out;
    memcpy(to, text.p, text.n);
    all->n_out += text.n;
    return (struct str){(const char *)to, text.n};
}

/* A record's data, decoded while its end is looked for. What is no plain base64 is left to the cursor. */
static bool data(struct scan *s, struct body_records *all, struct body_record *out)
{
    struct str text;
    size_t n;
    const char *start = s->p + 1; /* there is a quote */
    uint8_t *to = all->out + all->n_out;
    int64_t bytes = base64_decode_run(to, start, (size_t)(s->end - start), &n);
    if (bytes >= 0 && start + n < s->end && start[n] == '"') {
        out->data = (struct str){(const char *)to, (size_t)bytes};
        out->decoded = true;
        all->n_out += (size_t)bytes;
        s->p = start + n + 1;
        return true;
    }
    if (!string(s, &text))
        return false;
    out->data = keep(all, text);
    out->decoded = false;
    return true;
}

/* A record, from its opening brace on. */
static bool record(struct scan *s, struct body_records *all, struct body_record *out)
{
    struct str k, v;
    *out = (struct body_record){0};
    if (!eat(s, '{'))
        return false;
    for (bool first = true;; first = false) {
        int rc = key(s, first, &k);
        if (rc == 0 && all && all->out && out->sequence.n)
            out->sequence = keep(all, out->sequence);
        if (rc <= 0)
            return rc == 0;
        space(s);
        bool text = s->p < s->end && *s->p == '"';
        if (text && is(k, "Data")) {
            if (!(all && all->out ? data(s, all, out) : string(s, &out->data)))
                return false;
        } else if (text && is(k, "SequenceNumber")) {
            if (!string(s, &out->sequence))
                return false;
        } else {
            if (!value(s, &v))
                return false;
            if (is(k, "ApproximateArrivalTimestamp"))
                out->arrived_us = micros(v);
        }
    }
}

int body_next(const struct body *b, size_t *at, struct body_record *out)
{
    struct scan s = {b->records.p + *at, b->records.p + b->records.n};
    space(&s);
    if (s.p >= s.end)
        return 0;
    if ((*at > 0 && !eat(&s, ',')) || !record(&s, NULL, out))
        return -1;
    *at = (size_t)(s.p - b->records.p);
    return 1;
}

/* The array of records, taken apart as it is passed over. */
static bool records(struct scan *s, struct body_records *all)
{
    all->n = all->n_out = 0; /* of a key given twice, the last one's */
    if (!eat(s, '['))
        return false;
    if (eat(s, ']'))
        return true;
    do {
        if (all->n == BODY_RECORDS_MAX)
            return false;
        if (all->n == all->cap) {
            all->cap = all->cap * 2 + 256;
            all->each = mem_regrow(all->each, all->cap, sizeof *all->each);
        }
        if (!record(s, all, &all->each[all->n]))
            return false;
        all->n++;
    } while (eat(s, ','));
    return eat(s, ']');
}

static bool opened(struct body *b, struct scan *s, struct body_records *all)
{
    struct str k, v;
    bool have_records = false;
    *b = (struct body){.millis_behind = -1};
    if (!eat(s, '{'))
        return false;
    for (bool first = true;; first = false) {
        int rc = key(s, first, &k);
        if (rc <= 0)
            return rc == 0 && have_records;
        space(s);
        if (all && is(k, "Records") && s->p < s->end && *s->p == '[') {
            have_records = true;
            if (!records(s, all))
                return false;
            continue;
        }
        if (!value(s, &v))
            return false;
        if (is(k, "Records") && v.p[0] == '[') {
            b->records = (struct str){v.p + 1, v.n - 2};
            have_records = true;
        } else if (is(k, "NextShardIterator") && v.p[0] == '"') {
            b->next_iterator = (struct str){v.p + 1, v.n - 2};
        } else if (is(k, "ChildShards") && v.p[0] == '[') {
            b->child_shards = v;
        } else if (is(k, "MillisBehindLatest") && v.p[0] >= '0' && v.p[0] <= '9') {
            b->millis_behind = micros(v) / 1000000;
        }
    }
}

bool body_open(struct body *b, const char *p, size_t n)
{
    struct scan s = {p, p + n};
    return opened(b, &s, NULL);
}

bool body_open_records(struct body *b, const char *p, size_t n, struct body_records *all)
{
    struct scan s = {p, p + n};
    bool ok = opened(b, &s, all);
    if (all->out)
        memset(all->out + all->n_out, 0, BODY_PAD);
    return ok;
}

bool body_unescape(struct str s, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *p = s.p, *end = s.p + s.n;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        if (!slash) {
            buf_put(out, p, (size_t)(end - p));
            return true;
        }
        buf_put(out, p, (size_t)(slash - p));
        if (slash + 1 >= end)
            return false;
        const char *f = slash[1] ? strchr(from, slash[1]) : NULL;
        p = slash + 2;
        if (f) {
            buf_putc(out, (uint8_t)to[f - from]);
        } else {
            int c = slash[1] == 'u' && end - p >= 4 ? json_hex4((const uint8_t *)p) : -1;
            if (c < 0)
                return false;
            json_put_code_point(out, (uint32_t)c);
            p += 4;
        }
    }
    return true;
}
