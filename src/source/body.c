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

/* As many digits as fit, onto *v; what is after them. */
static const char *digits(const char *p, const char *end, uint64_t *v)
{
    for (; p < end && (uint8_t)(*p - '0') <= 9 && *v < UINT64_MAX / 100; p++)
        *v = *v * 10 + (uint64_t)(*p - '0');
    return p;
}

/* Microseconds of a number of seconds at p, as AWS writes it: 1795489311.452 or 1.795489311452E9. What is after it; NULL
 * where it is another number, or none. */
static const char *plain_micros(const char *p, const char *end, int64_t *us)
{
    static const uint64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    uint64_t v = 0, power = 0;
    const char *q = digits(p, end, &v), *point = q;
    if (q == p)
        return NULL;
    if (q < end && *q == '.')
        q = digits(point = q + 1, end, &v);
    uint64_t places = (uint64_t)(q - point);
    if (q < end && (*q == 'E' || *q == 'e'))
        q = digits(q + 1, end, &power);
    if (q == end || (*q != ',' && *q != '}') || power > 9 || places > 15)
        return NULL;
    power += 6;
    if (power >= places && (power - places > 9 || v > INT64_MAX / tens[power - places]))
        return NULL;
    *us = (int64_t)(power >= places ? v * tens[power - places] : v / tens[places - power]);
    return q;
}

/* The same of any number. */
static int64_t micros(struct str s)
{
    char text[48];
    if (s.n >= sizeof text)
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double d = strtod(text, NULL) * 1e6;
    return d > 0 && d < 9e18 ? (int64_t)(d + 0.5) : 0;
}

/* To the next key of an object, or its end. 1, 0 at the end, -1 broken. */
static int to_key(struct scan *s, bool first)
{
    if (eat(s, '}'))
        return 0;
    return first || eat(s, ',') ? 1 : -1;
}

/* One "key": of an object, or its end, likewise. */
static int key(struct scan *s, bool first, struct str *out)
{
    int rc = to_key(s, first);
    return rc > 0 && !(string(s, out) && eat(s, ':')) ? -1 : rc;
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

_Static_assert(BODY_PAD >= BASE64_PAD, "base64_decode_run reads so far");

enum member { OTHER, DATA, SEQUENCE, ARRIVED };

/* Its key, as AWS writes it, and the colon. */
static bool known(struct scan *s, const char *key, size_t n)
{
    if ((size_t)(s->end - s->p) <= n || memcmp(s->p, key, n) != 0)
        return false;
    s->p += n;
    return true;
}
#define KNOWN(s, key) known(s, "\"" key "\":", sizeof key + 2)

/* A member's key and colon, or the object's end: as key(). */
static int member(struct scan *s, bool first, enum member *out)
{
    struct str k;
    int rc = to_key(s, first);
    *out = OTHER;
    if (rc <= 0)
        return rc;
    if (KNOWN(s, "PartitionKey"))
        return 1;
    if (KNOWN(s, "Data"))
        *out = DATA;
    else if (KNOWN(s, "SequenceNumber"))
        *out = SEQUENCE;
    else if (KNOWN(s, "ApproximateArrivalTimestamp"))
        *out = ARRIVED;
    if (*out)
        return 1;
    if (!string(s, &k) || !eat(s, ':'))
        return -1;
    *out = is(k, "Data") ? DATA : is(k, "SequenceNumber") ? SEQUENCE : is(k, "ApproximateArrivalTimestamp") ? ARRIVED : OTHER;
    return 1;
}

static bool arrived(struct scan *s, int64_t *us)
{
    struct str v;
    const char *after = plain_micros(s->p, s->end, us);
    if (after) {
        s->p = after;
        return true;
    }
    if (!value(s, &v))
        return false;
    *us = micros(v);
    return true;
}

static bool member_value(struct scan *s, enum member m, struct body_records *all, struct body_record *out)
{
    struct str ignored;
    if (s->p < s->end && *s->p != '"')
        space(s);
    bool text = s->p < s->end && *s->p == '"';
    if (m == ARRIVED)
        return arrived(s, &out->arrived_us);
    if (!text)
        return value(s, &ignored);
    if (m == DATA && all)
        return data(s, all, out);
    return string(s, m == DATA ? &out->data : m == SEQUENCE ? &out->sequence : &ignored);
}

/* A record, from its opening brace on. */
static bool record(struct scan *s, struct body_records *all, struct body_record *out)
{
    enum member m;
    int rc;
    *out = (struct body_record){0};
    if (!eat(s, '{'))
        return false;
    for (bool first = true; (rc = member(s, first, &m)) > 0; first = false)
        if (!member_value(s, m, all, out))
            return false;
    if (rc == 0 && all && out->sequence.p)
        out->sequence = keep(all, out->sequence);
    return rc == 0;
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

size_t body_before(const char *p, size_t n)
{
    struct scan s = {p, p + n};
    struct str k, v;
    if (!eat(&s, '{'))
        return 0;
    for (bool first = true; key(&s, first, &k) > 0; first = false) {
        if (is(k, "Records") && eat(&s, '['))
            return (size_t)(s.p - p);
        if (!value(&s, &v))
            return 0;
    }
    return 0;
}

int body_element(const char *p, size_t n, size_t *at, struct body_records *all)
{
    struct scan s = {p + *at, p + n};
    size_t before = all->n_out;
    if (eat(&s, ']')) {
        *at = (size_t)(s.p - p);
        return 0;
    }
    if (all->n == BODY_RECORDS_MAX || (all->n && !eat(&s, ',')))
        return -1;
    if (all->n == all->cap) {
        all->cap = all->cap * 2 + 256;
        all->each = mem_regrow(all->each, all->cap, sizeof *all->each);
    }
    if (!record(&s, all, &all->each[all->n])) {
        all->n_out = before;
        return -1;
    }
    all->n++;
    *at = (size_t)(s.p - p);
    return 1;
}

bool body_open(struct body *b, const char *p, size_t n)
{
    struct scan s = {p, p + n};
    struct str k, v;
    bool have_records = false;
    *b = (struct body){.millis_behind = -1};
    if (!eat(&s, '{'))
        return false;
    for (bool first = true;; first = false) {
        int rc = key(&s, first, &k);
        if (rc <= 0)
            return rc == 0 && have_records;
        if (!value(&s, &v))
            return false;
        if (is(k, "Records") && v.p[0] == '[') {
            b->records = (struct str){v.p + 1, v.n - 2};
            b->twice = have_records;
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
