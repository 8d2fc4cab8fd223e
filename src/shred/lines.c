/* Lines and records by event name: see shredder_lines. Where an event's name stands is guessed; a wrong guess costs time,
 * no more: the line is judged by itself. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "shred/shred_int.h"
#include "shred/words.h"

#define OFFSETS 8       /* of the name's key in a record, that were right of late */
#define PEEK_BYTES 512  /* further on it is not looked for */
#define NAMES 512       /* slots of the direct way from a name to its shape */
#define AHEAD 2         /* lines */

struct lines {
    uint32_t offsets[OFFSETS], n_offsets; /* the first of them, until all are taken */
    size_t reach; /* beyond the furthest */
    struct shape *names[NAMES];
    uint32_t starts[SHRED_LINES_MAX + 2], order[SHRED_LINES_MAX];
    uint64_t window; /* counts calls */
};

void lines_forget(struct lines *l)
{
    memset(l->names, 0, sizeof l->names);
}

static const char key[] = "\"event_name\":";
#define KEY_BYTES (sizeof key - 1)

static bool key_at(const uint8_t *p)
{
    return memcmp(p, key, 8) == 0 && memcmp(p + KEY_BYTES - 8, key + KEY_BYTES - 8, 8) == 0;
}

void lines_free(struct lines *l)
{
    free(l);
}

/* Where the key stands, by the offsets that were right before: which of them it is this time is random, so there is a
 * bit for each instead of a branch. */
static const uint8_t *key_as_before(const struct lines *l, const uint8_t *p, size_t n)
{
    unsigned found = 0;
    if (n + 64 < l->reach)
        return NULL;
    for (unsigned i = 0; i < OFFSETS; i++)
        found |= (unsigned)key_at(p + l->offsets[i]) << i;
    uint32_t off = l->offsets[__builtin_ctz(found | 1u << (OFFSETS - 1))];
    return found && off + KEY_BYTES < n ? p + off : NULL;
}

static void keep_offset(struct lines *l, uint32_t off)
{
    uint32_t at = l->n_offsets++; /* when all are taken, the second half in turns */
    l->offsets[at < OFFSETS ? at : OFFSETS / 2 + at % (OFFSETS / 2)] = off;
    if (off + KEY_BYTES > l->reach)
        l->reach = off + KEY_BYTES;
}

/* The name's text, up to its quote; NULL if it is not found. */
static const char *find_name(struct lines *l, const uint8_t *p, size_t n, size_t *len)
{
    const uint8_t *at = key_as_before(l, p, n);
    if (!at) {
        at = memmem(p, n < PEEK_BYTES ? n : PEEK_BYTES, key, KEY_BYTES);
        if (!at)
            return NULL;
        keep_offset(l, (uint32_t)(at - p));
    }
    const uint8_t *end = p + n;
    at += KEY_BYTES;
    while (at < end && *at == ' ')
        at++;
    if (at >= end || *at++ != '"')
        return NULL;
    *len = words_up_to(at, '"');
    if (*len == 32) {
        const uint8_t *stop = at < end ? memchr(at, '"', (size_t)(end - at)) : NULL;
        if (!stop)
            return NULL;
        *len = (size_t)(stop - at);
    }
    return at + *len < end ? (const char *)at : NULL;
}

static uint64_t head_of(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n < 8 ? n : 8);
    return v;
}

static struct shape *shape_of_line(struct shredder *s, const struct shred_line *line)
{
    struct lines *l = s->lines;
    size_t n;
    const char *name = find_name(l, line->payload, line->n, &n);
    if (!name || n > EVENT_NAME_MAX)
        return NULL;
    uint64_t tail = n > 8 ? head_of(name + n - 8, 8) : n;
    uint64_t mixed = (head_of(name, n) ^ (tail << 23 | tail >> 41)) * UINT64_C(0x9e3779b97f4a7c15);
    struct shape **slot = &l->names[mixed >> 55];
    if (!*slot || !shape_is(*slot, name, n)) {
        struct shape *sh = map_get(&s->shapes, name, n);
        if (!sh)
            return NULL;
        *slot = sh; /* until lines_forget */
    }
    return *slot;
}

/* Numbers the groups as they come, and puts the lines in order: a counting sort. Those of unknown names are one
 * group, at the place of its first. */
static void sort(struct shredder *s, struct shred_line *lines, uint32_t n)
{
    struct lines *l = s->lines;
    uint32_t groups = 0, unknown = UINT32_MAX;
    l->window++;
    l->starts[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct shape *sh = shape_of_line(s, &lines[i]);
        uint32_t *group = sh ? &sh->group : &unknown;
        if (sh ? sh->window != l->window : unknown == UINT32_MAX) {
            *group = groups++;
            l->starts[groups] = 0;
            if (sh)
                sh->window = l->window;
        }
        lines[i].group = *group;
        l->starts[*group + 1]++;
    }
    for (uint32_t g = 0; g < groups; g++)
        l->starts[g + 1] += l->starts[g];
    for (uint32_t i = 0; i < n; i++)
        l->order[l->starts[lines[i].group]++] = i;
}

static void prefetch(const struct shred_line *line)
{
    for (uint32_t at = 0; at < 512; at += 64) /* however long it is: no branch on that */
        __builtin_prefetch(line->payload + at);
}

static const uint32_t *in_order(struct shredder *s, struct shred_line *lines, uint32_t n)
{
    if (!s->lines)
        s->lines = mem_zalloc(sizeof *s->lines);
    sort(s, lines, n);
    return s->lines->order;
}

/* What the i-th in order is soon followed by. */
static void look_ahead(struct shredder *s, const struct shred_line *lines, const uint32_t *order, uint32_t i, uint32_t n)
{
    const struct shred_line *next = &lines[order[i + 1 < n ? i + 1 : i]];
    if (i + 2 * AHEAD < n)
        __builtin_prefetch(&lines[order[i + 2 * AHEAD]]);
    if (i + AHEAD < n)
        prefetch(&lines[order[i + AHEAD]]);
    s->fast->ahead(s, next->payload, i + 1 < n ? next->n : 0);
}

static void look_no_more(struct shredder *s)
{
    s->ahead[0].at = s->ahead[1].at = NULL;
}

void shredder_lines(struct shredder *s, struct shred_line *lines, uint32_t n,
                    const struct record *like, uint64_t epoch, bool check_positions,
                    int64_t now_us)
{
    struct record r = *like;
    const uint32_t *order = in_order(s, lines, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct shred_line *line = &lines[order[i]];
        look_ahead(s, lines, order, i, n);
        r.payload = line->payload;
        r.n = line->n;
        r.seq = line->seq;
        shredder_record(s, &r, epoch, check_positions, now_us);
    }
    look_no_more(s);
}

void shredder_records(struct shredder *s, const struct record *each, struct shred_line *lines, uint32_t n,
                      uint64_t epoch, bool check_positions, int64_t now_us)
{
    for (uint32_t i = 0; i < n; i++)
        lines[i] = (struct shred_line){.payload = each[i].payload, .n = (uint32_t)each[i].n};
    const uint32_t *order = in_order(s, lines, n);
    for (uint32_t i = 0; i < n; i++) {
        look_ahead(s, lines, order, i, n);
        shredder_record(s, &each[order[i]], epoch, check_positions, now_us);
    }
    look_no_more(s);
}
