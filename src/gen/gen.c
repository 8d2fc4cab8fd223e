/* gen: see gen.h. A name has a plan: the fields its events are made of. A line is a walk over the
 * plan with a random number for each field, written straight into reserved bytes. */
#include "gen/gen.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/civil.h"
#include "gen/fields.h"

#define PLAN_MAX 20
#define NAME_MAX_LEN 64
#define SLOTS (1u << 16)           /* of the table that gives names their frequency */
#define LINE_MAX_BYTES (32u << 10) /* checked against every plan in gen_new */
#define DUPLICATE_REACH 100000
#define DAY_US INT64_C(86400000000)
#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

enum salt { SALT_KIND = 1, SALT_UUID, SALT_BODY, SALT_TIME, SALT_DISTANCE, SALT_PLAN };
enum created_form { CREATED_MICROS, CREATED_SEVEN, CREATED_WHOLE, CREATED_MILLIS };

struct plan {
    char name[NAME_MAX_LEN]; /* "event_name":"order:created", */
    size_t name_n;
    char plain[NAME_MAX_LEN];
    enum created_form created;
    bool time_first;
    unsigned count;
    const struct field *fields[PLAN_MAX];
};

struct gen {
    struct gen_options o;
    uint32_t malformed_below, duplicate_below, conflict_below;
    uint64_t first_later; /* index; later fields appear at 1, 2 or 3 times this */
    struct plan *plans;
    uint16_t *slots;
    uint64_t at;
    struct gen_expect done;
};

/* The random numbers of one line: splitmix64, begun from seed, index and what it is for. */
struct dice {
    uint64_t state;
};

static inline uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline struct dice dice_for(uint64_t seed, uint64_t index, enum salt salt)
{
    return (struct dice){mix(seed * GOLDEN + (uint64_t)salt) ^ mix(index + GOLDEN)};
}
static inline uint64_t roll(struct dice *d)
{
    return mix(d->state += GOLDEN);
}
/* 0 .. span-1 from the upper 48 bits, so that the lower 16 may serve for chances. */
static inline uint64_t within(uint64_t r, uint64_t span)
{
    return (uint64_t)(((unsigned __int128)(r >> 16) * span) >> 48);
}

/* ---- writing -------------------------------------------------------------------------------- */

static const char pairs[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

static inline char *put_fixed(char *p, uint64_t v, unsigned digits)
{
    unsigned i = digits;
    for (; i >= 2; i -= 2, v /= 100)
        memcpy(p + i - 2, pairs + v % 100 * 2, 2);
    if (i)
        p[0] = (char)('0' + v % 10);
    return p + digits;
}
static inline char *put_u64(char *p, uint64_t v)
{
    char text[20];
    unsigned at = 20;
    for (; v >= 100; v /= 100)
        memcpy(text + (at -= 2), pairs + v % 100 * 2, 2);
    if (v >= 10)
        memcpy(text + (at -= 2), pairs + v * 2, 2);
    else
        text[--at] = (char)('0' + v);
    memcpy(p, text + at, 20 - at);
    return p + (20 - at);
}
static inline char *put_i64(char *p, int64_t v)
{
    if (v < 0)
        *p++ = '-';
    return put_u64(p, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v);
}
static inline char *put_hex(char *p, uint64_t v, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; v >>= 4)
        p[i] = "0123456789abcdef"[v & 15];
    return p + digits;
}
/* May write up to WORD_MAX bytes past p; the reserve covers it. */
static inline char *put_word(char *p, const struct word *w)
{
    memcpy(p, w->text, WORD_MAX);
    return p + w->n;
}
#define PUT(p, literal) (memcpy(p, literal, sizeof(literal) - 1), (p) + sizeof(literal) - 1)

static char *put_text(char *p, struct dice *d, uint64_t r, const struct words *words, uint64_t span)
{
    uint64_t count = 1 + within(r, span);
    *p++ = '"';
    for (uint64_t i = 0; i < count; i++) {
        if (i)
            *p++ = ' ';
        p = put_word(p, &words->list[within(roll(d), words->count)]);
    }
    *p++ = '"';
    return p;
}

static char *put_float(char *p, uint64_t r, const struct field *f)
{
    uint64_t v = within(r, f->span * 10000000);
    if ((r & 0x3f00) == 0) { /* a few in the manner of 4.5e-05 */
        p = put_fixed(p, 1 + v % 9, 1);
        *p++ = '.';
        p = put_fixed(p, v / 9 % 100, 2);
        return PUT(p, "e-05");
    }
    int64_t whole = f->lo + (int64_t)(v / 10000000);
    uint64_t part = v % 10000000;
    p = put_i64(p, whole);
    *p++ = '.';
    return r & 256 ? put_fixed(p, part / 10, 6) : put_fixed(p, part, 7);
}

static char *put_url(char *p, struct dice *d, uint64_t r)
{
    p = PUT(p, "\"https://shop.example.com/p/");
    p = put_word(p, &gen_slugs.list[within(r, gen_slugs.count)]);
    *p++ = '/';
    p = put_u64(p, 1 + within(roll(d), 3000));
    if (r & 512)
        p = PUT(p, "?ref=mail&utm=\\u0026x");
    *p++ = '"';
    return p;
}

static char *put_ip(char *p, uint64_t r)
{
    *p++ = '"';
    for (int i = 0; i < 4; i++) {
        p = put_u64(p, i ? (r >> (16 + 8 * i)) & 255 : 10 + (r >> 16) % 190);
        *p++ = i < 3 ? '.' : '"';
    }
    return p;
}

static char *put_ints(char *p, struct dice *d, uint64_t r, uint64_t span)
{
    uint64_t count = within(r, span + 1);
    *p++ = '[';
    for (uint64_t i = 0; i < count; i++) {
        if (i)
            *p++ = ',';
        p = put_u64(p, within(roll(d), 1000));
    }
    *p++ = ']';
    return p;
}

static char *put_tags(char *p, struct dice *d, uint64_t r, const struct field *f)
{
    uint64_t count = within(r, f->span + 1);
    *p++ = '[';
    for (uint64_t i = 0; i < count; i++) {
        if (i)
            *p++ = ',';
        *p++ = '"';
        p = put_word(p, &f->words->list[within(roll(d), f->words->count)]);
        *p++ = '"';
    }
    *p++ = ']';
    return p;
}

static char *put_time(char *p, int64_t us)
{
    char text[CIVIL_TEXT_MAX];
    size_t n = civil_format_us(us / 1000 * 1000, text);
    *p++ = '"';
    memcpy(p, text, n);
    p += n;
    *p++ = '"';
    return p;
}

static char *put_value(char *p, struct dice *d, uint64_t r, const struct field *f, int64_t us);

static char *put_object(char *p, struct dice *d, const struct field *f, int64_t us)
{
    *p++ = '{';
    for (unsigned i = 0; i < f->child_count; i++) {
        const struct field *c = &f->children[i];
        uint64_t r = roll(d);
        if (i && (r & 255) < c->absent)
            continue;
        memcpy(p, c->key + !i, FIELD_KEY_MAX - 1); /* the first has no comma */
        p += c->key_n - !i;
        p = (r & 255) < (unsigned)c->absent + c->null ? PUT(p, "null") : put_value(p, d, r, c, us);
    }
    *p++ = '}';
    return p;
}

static char *put_items(char *p, struct dice *d, uint64_t r, const struct field *f, int64_t us)
{
    uint64_t count = 1 + within(r, f->span);
    *p++ = '[';
    for (uint64_t i = 0; i < count; i++) {
        if (i)
            *p++ = ',';
        p = put_object(p, d, f, us);
    }
    *p++ = ']';
    return p;
}

static char *put_value(char *p, struct dice *d, uint64_t r, const struct field *f, int64_t us)
{
    switch ((enum field_kind)f->kind) {
    case FIELD_INT:
        return put_i64(p, f->lo + (int64_t)within(r, f->span));
    case FIELD_BIG: /* past 2^53, below 2^63 */
        return put_u64(p, (roll(d) >> (1 + (r >> 60) % 8)) | UINT64_C(0x20000000000001));
    case FIELD_MONEY:
        p = put_u64(p, (r = within(r, f->span)) / 100);
        *p++ = '.';
        return put_fixed(p, r % 100, 2);
    case FIELD_FLOAT:
        return put_float(p, r, f);
    case FIELD_BOOL:
        return r & 256 ? PUT(p, "true") : PUT(p, "false");
    case FIELD_ENUM:
        *p++ = '"';
        p = put_word(p, &f->words->list[within(r, f->words->count)]);
        *p++ = '"';
        return p;
    case FIELD_TEXT:
        return put_text(p, d, r, &gen_prose, f->span);
    case FIELD_ID:
        *p++ = '"';
        p = put_word(p, &f->words->list[0]);
        p = put_hex(p, within(r, f->span) * (f->span <= 65536 ? 40503 : 1), 12);
        *p++ = '"';
        return p;
    case FIELD_URL:
        return put_url(p, d, r);
    case FIELD_IP:
        return put_ip(p, r);
    case FIELD_TIME:
        return put_time(p, us);
    case FIELD_INTS:
        return put_ints(p, d, r, f->span);
    case FIELD_TAGS:
        return put_tags(p, d, r, f);
    case FIELD_OBJECT:
        return put_object(p, d, f, us);
    case FIELD_ITEMS:
        return put_items(p, d, r, f, us);
    }
    err_panic(__FILE__, __LINE__, "field kind");
}

/* A value of a type that the field does not usually have. */
static char *put_conflict(char *p, uint64_t r, const struct field *f)
{
    bool text = f->kind >= FIELD_ENUM && f->kind <= FIELD_TIME;
    switch ((r >> 16) % 4) {
    case 0:
        return text ? put_u64(p, (r >> 20) % 1000) : PUT(p, "\"n/a\"");
    case 1:
        return text ? PUT(p, "true") : PUT(p, "\"12,50\"");
    case 2:
        return f->kind == FIELD_OBJECT ? PUT(p, "[1,2]") : PUT(p, "{\"value\":1,\"unit\":\"x\"}");
    default:
        return f->kind == FIELD_MONEY || f->kind == FIELD_FLOAT ? PUT(p, "\"1.5\"") : PUT(p, "0.5");
    }
}

/* ---- one event ------------------------------------------------------------------------------ */

/* Nearly in order: up to 2 s late, 1 of 100 up to 4 hours, 1 of 1,000 up to 3 days. */
static int64_t event_us(const struct gen *g, uint64_t index)
{
    struct dice d = dice_for(g->o.seed, index, SALT_TIME);
    uint64_t r = roll(&d), chance = r % 1000;
    uint64_t late = chance == 0   ? (uint64_t)(3 * DAY_US)
                    : chance < 11 ? (uint64_t)(DAY_US / 6)
                                  : 2000000;
    unsigned __int128 passed = (unsigned __int128)index * 3600000000u / g->o.per_hour;
    int64_t us = g->o.start_us + (int64_t)passed - (int64_t)within(roll(&d), late);
    return us < 0 ? 0 : us;
}

static char *put_created(char *p, const struct plan *plan, int64_t us)
{
    uint64_t second = (uint64_t)us / 1000000, micros = (uint64_t)us % 1000000;
    p = PUT(p, "\"created_at\":");
    if (plan->created == CREATED_MILLIS)
        return put_u64(p, (uint64_t)us / 1000);
    p = put_u64(p, second);
    if (plan->created == CREATED_WHOLE)
        return p;
    *p++ = '.';
    if (plan->created == CREATED_MICROS)
        return put_fixed(p, micros, 6);
    /* A double of today has 22 bits after the point: what such a producer prints with 7 digits. */
    uint64_t bits = (micros << 22) / 1000000;
    return put_fixed(p, (bits * 10000000 + (1u << 21)) >> 22, 7);
}

static char *put_uuid_key(char *p, uint64_t seed, uint64_t index)
{
    p = PUT(p, "\"event_uuid\":\"");
    gen_uuid(seed, index, p);
    p += GEN_UUID_LEN;
    *p++ = '"';
    return p;
}

static char *put_envelope(const struct gen *g, char *p, const struct plan *plan, uint64_t index,
                          int64_t us)
{
    *p++ = '{';
    if (plan->time_first) {
        p = put_created(p, plan, us);
        *p++ = ',';
    } else {
        p = put_uuid_key(p, g->o.seed, index);
        *p++ = ',';
    }
    memcpy(p, plan->name, NAME_MAX_LEN);
    p += plan->name_n;
    return plan->time_first ? put_uuid_key(p, g->o.seed, index) : put_created(p, plan, us);
}

static inline bool not_yet(const struct gen *g, const struct field *f, uint64_t index)
{
    return f->later && index < g->first_later * (1 + f->key_n % 3u);
}

/* No newline. The caller has reserved LINE_MAX_BYTES. */
static char *put_event(const struct gen *g, char *p, uint64_t index)
{
    struct dice d = dice_for(g->o.seed, index, SALT_BODY);
    uint64_t r = roll(&d);
    const struct plan *plan = &g->plans[g->slots[r >> 48]];
    int64_t us = event_us(g, index);
    unsigned odd = (uint32_t)r < g->conflict_below ? (unsigned)(r >> 32) % plan->count : PLAN_MAX;
    p = put_envelope(g, p, plan, index, us);
    for (unsigned i = 0; i < plan->count; i++) {
        const struct field *f = plan->fields[i];
        r = roll(&d);
        unsigned chance = r & 255;
        if ((chance < f->absent && i != odd) || not_yet(g, f, index))
            continue;
        memcpy(p, f->key, FIELD_KEY_MAX);
        p += f->key_n;
        if (__builtin_expect(i == odd, 0))
            p = put_conflict(p, r, f);
        else if (chance < (unsigned)f->absent + f->null)
            p = PUT(p, "null");
        else
            p = put_value(p, &d, r, f, us);
    }
    *p++ = '}';
    return p;
}

/* Renames a key in place, so that the record lacks it. */
static void spoil_key(char *from, const char *to, const char *key)
{
    char *at = memmem(from, (size_t)(to - from), key, strlen(key));
    if (at)
        at[0] = 'X';
}

static char *put_malformed(const struct gen *g, char *p, uint64_t index)
{
    struct dice d = dice_for(g->o.seed, index, SALT_KIND);
    char *from = p;
    roll(&d);
    uint64_t r = roll(&d);
    switch ((r >> 8) % 8) {
    case 0:
        p = PUT(p, "ERROR 2026 upstream timed out (60 s)");
        return p;
    case 1:
        p = PUT(p, "[\"an\",\"array\"]");
        return p;
    case 2:
        p = PUT(p, "{\"event_uuid\":\"\",\"event_name\":\"click\",\"created_at\":1700000000}");
        return p;
    case 3:
        *p++ = '{';
        p = put_uuid_key(p, g->o.seed, index);
        return PUT(p, ",\"event_name\":\"click\",\"created_at\":\"yesterday\",\"amount\":12}");
    case 4:
        *p++ = '{';
        p = put_uuid_key(p, g->o.seed, index);
        return PUT(p, ",\"event_name\":\":created\",\"created_at\":1700000000.25}");
    case 5:
        p = put_event(g, p, index);
        spoil_key(from, p, "event_uuid\"");
        return p;
    case 6:
        p = put_event(g, p, index);
        spoil_key(from, p, "created_at\"");
        return p;
    default:
        p = put_event(g, p, index); /* cut off: never the whole object */
        return from + 1 + within(r, (uint64_t)(p - from) - 1);
    }
}

static enum gen_kind drawn_kind(const struct gen *g, uint64_t index)
{
    struct dice d = dice_for(g->o.seed, index, SALT_KIND);
    uint32_t u = (uint32_t)(roll(&d) >> 32);
    return u < g->malformed_below   ? GEN_MALFORMED
           : u < g->duplicate_below ? GEN_DUPLICATE
                                    : GEN_EVENT;
}

enum gen_kind gen_kind_of(const struct gen *g, uint64_t index, uint64_t *original)
{
    enum gen_kind kind = drawn_kind(g, index);
    if (kind != GEN_DUPLICATE)
        return kind;
    struct dice d = dice_for(g->o.seed, index, SALT_DISTANCE);
    uint64_t r = roll(&d), class = r % 10;
    uint64_t reach = class < 5 ? 1000 : class < 8 ? DUPLICATE_REACH / 10 : DUPLICATE_REACH;
    if (reach > index)
        reach = index;
    uint64_t back = reach ? 1 + within(roll(&d), reach) : 0;
    for (uint64_t at = index - back, tries = 0; back && tries < 16; tries++, at--) {
        if (drawn_kind(g, at) == GEN_EVENT) {
            if (original)
                *original = at;
            return GEN_DUPLICATE;
        }
        if (at == 0)
            break;
    }
    return GEN_EVENT; /* nothing near to repeat */
}

static enum gen_kind write_line(const struct gen *g, uint64_t index, struct buf *out)
{
    uint64_t original = index;
    enum gen_kind kind = gen_kind_of(g, index, &original);
    uint8_t *start = buf_reserve(out, LINE_MAX_BYTES);
    char *p = (char *)start;
    p = kind == GEN_MALFORMED ? put_malformed(g, p, index) : put_event(g, p, original);
    *p++ = '\n';
    out->n += (size_t)((uint8_t *)p - start);
    return kind;
}

void gen_line(const struct gen *g, uint64_t index, struct buf *out)
{
    write_line(g, index, out);
}

bool gen_next(struct gen *g, struct buf *out)
{
    if (g->o.events && g->at >= g->o.events)
        return false;
    size_t before = out->n;
    enum gen_kind kind = write_line(g, g->at++, out);
    g->done.lines++;
    g->done.bytes += out->n - before;
    g->done.unique += kind == GEN_EVENT;
    g->done.duplicates += kind == GEN_DUPLICATE;
    g->done.malformed += kind == GEN_MALFORMED;
    return true;
}

struct gen_expect gen_expect(const struct gen *g)
{
    return g->done;
}

void gen_uuid(uint64_t seed, uint64_t index, char out[GEN_UUID_LEN])
{
    struct dice d = dice_for(seed, index, SALT_UUID);
    uint64_t hi = (roll(&d) & ~UINT64_C(0xf000)) | 0x4000; /* version 4 */
    uint64_t lo = (roll(&d) >> 2) | UINT64_C(1) << 63;     /* variant 10 */
    char *p = put_hex(out, hi >> 32, 8);
    *p++ = '-';
    p = put_hex(p, hi >> 16 & 0xffff, 4);
    *p++ = '-';
    p = put_hex(p, hi & 0xffff, 4);
    *p++ = '-';
    p = put_hex(p, lo >> 48, 4);
    *p++ = '-';
    put_hex(p, lo & UINT64_C(0xffffffffffff), 12);
}

/* ---- plans ---------------------------------------------------------------------------------- */

static void name_plan(struct plan *plan, unsigned at)
{
    unsigned type = at % gen_type_count, level = at / gen_type_count;
    char name[48], sub[24] = "", third[16] = "";
    if (level || type % 3) {
        const char *s = gen_subtypes[(type * 5 + level) % gen_subtype_count];
        if (level < gen_subtype_count)
            snprintf(sub, sizeof sub, ":%s", s);
        else
            snprintf(sub, sizeof sub, ":%s_%u", s, level / gen_subtype_count);
        if (at % 4 == 3)
            snprintf(third, sizeof third, ":%s", gen_thirds[at / 4 % gen_third_count]);
    }
    snprintf(name, sizeof name, "%s%s%s", gen_types[type], sub, third);
    snprintf(plan->plain, sizeof plan->plain, "%s", name);
    int n = snprintf(plan->name, sizeof plan->name, "\"event_name\":\"%s\",", name);
    invariant(n > 0 && (size_t)n < sizeof plan->name);
    plan->name_n = (size_t)n;
}

static void add_field(struct plan *plan, const struct field *f)
{
    for (unsigned i = 0; i < plan->count; i++)
        if (plan->fields[i] == f)
            return;
    if (plan->count < PLAN_MAX)
        plan->fields[plan->count++] = f;
}

/* The most bytes that a value can take, its key and the overrun of put_word with it. */
static size_t field_bound(const struct field *f)
{
    size_t one = 2 * FIELD_KEY_MAX + 2 * WORD_MAX + 96, inner = 2;
    for (unsigned i = 0; i < f->child_count; i++)
        inner += field_bound(&f->children[i]);
    switch ((enum field_kind)f->kind) {
    case FIELD_TEXT:
    case FIELD_TAGS:
    case FIELD_INTS:
        return one + f->span * (WORD_MAX + 3);
    case FIELD_ITEMS:
        return one + f->span * (inner + 1);
    default:
        return one + inner;
    }
}

/* Names of one type share most of their fields; each adds some of its own. */
static void make_plan(struct plan *plan, unsigned at)
{
    struct dice type = dice_for(at % gen_type_count, 0, SALT_PLAN),
                own = dice_for(at, 1, SALT_PLAN);
    name_plan(plan, at);
    plan->created = at % 50 == 37 ? CREATED_MILLIS
                    : at % 5 == 2 ? CREATED_WHOLE
                    : at % 3 == 1 ? CREATED_SEVEN
                                  : CREATED_MICROS;
    plan->time_first = at % 7 == 6;
    for (unsigned i = 0; i < gen_common_count; i++)
        add_field(plan, &gen_common[i]);
    for (uint64_t n = 5 + roll(&type) % 4; n > 0; n--)
        add_field(plan, &gen_pool[roll(&type) % gen_pool_count]);
    for (uint64_t n = 1 + roll(&own) % 4; n > 0; n--)
        add_field(plan, &gen_pool[roll(&own) % gen_pool_count]);
    size_t bound = 1024;
    for (unsigned i = 0; i < plan->count; i++)
        bound += field_bound(plan->fields[i]);
    invariant(bound <= LINE_MAX_BYTES);
}

/* Zipf: name k has a share of about 1/(k+1); each has one slot at least. */
static void fill_slots(struct gen *g)
{
    double total = 0, sum = 0;
    unsigned at = 0, spare = SLOTS - g->o.types;
    for (unsigned k = 0; k < g->o.types; k++)
        total += 1.0 / (k + 1);
    for (unsigned k = 0; k < g->o.types; k++) {
        sum += 1.0 / (k + 1);
        unsigned end = k + 1 == g->o.types ? SLOTS : k + 1 + (unsigned)(sum / total * spare);
        while (at < end && at < SLOTS)
            g->slots[at++] = (uint16_t)k;
    }
}

static uint32_t below(double share)
{
    return share <= 0 ? 0 : share >= 1 ? UINT32_MAX : (uint32_t)(share * 4294967296.0);
}

struct gen_options gen_defaults(int64_t start_us)
{
    return (struct gen_options){.events = 1000000,
                                .types = 100,
                                .seed = 1,
                                .duplicates = 0.01,
                                .malformed = 0.001,
                                .conflicts = 0.0005,
                                .start_us = start_us,
                                .per_hour = 1000000};
}

struct gen *gen_new(const struct gen_options *options)
{
    struct gen *g = mem_zalloc(sizeof *g);
    g->o = *options;
    if (g->o.types == 0)
        g->o.types = 100;
    if (g->o.types > GEN_TYPES_MAX)
        g->o.types = GEN_TYPES_MAX;
    if (g->o.per_hour == 0)
        g->o.per_hour = 1000000;
    g->malformed_below = below(g->o.malformed);
    g->duplicate_below = below(g->o.malformed + g->o.duplicates);
    g->conflict_below = below(g->o.conflicts);
    g->first_later = (g->o.events ? g->o.events : 1000000) / 4;
    g->plans = mem_array(g->o.types, sizeof *g->plans);
    for (unsigned k = 0; k < g->o.types; k++)
        make_plan(&g->plans[k], k);
    g->slots = mem_array(SLOTS, sizeof *g->slots);
    fill_slots(g);
    return g;
}

void gen_free(struct gen *g)
{
    if (!g)
        return;
    free(g->plans);
    free(g->slots);
    free(g);
}

const char *gen_name(const struct gen *g, unsigned at)
{
    invariant(at < g->o.types);
    return g->plans[at].plain;
}
