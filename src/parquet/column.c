/* Growth of a column's arrays: half as much again, so that little is wasted. See column.h. */
#include "parquet/column.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void column_init(struct column *c, enum col_type type, unsigned max_def, unsigned max_rep)
{
    *c = (struct column){
        .type = (uint8_t)type, .live = 1, .max_def = (uint8_t)max_def, .max_rep = (uint8_t)max_rep};
}

void column_fini(struct column *c)
{
    if (!c->arena) {
        free(c->def);
        free(c->rep);
        free(c->values);
    }
    *c = (struct column){0};
}

/* Half as much again, or four times as much while that is little beside what is expected in the end; then
 * that, and a little more. */
static size_t grown(size_t cap, size_t used, size_t more, size_t hint, size_t least)
{
    size_t need, want;
    invariant(!__builtin_add_overflow(used, more, &need));
    if (cap < hint && hint / 8 <= cap)
        want = hint + hint / 16 + least;
    else if (cap < hint)
        want = cap * 4 + least;
    else
        want = cap + cap / 2 + least;
    return want > need ? want : need;
}

static uint32_t grown32(uint32_t cap, uint32_t used, uint32_t more, uint32_t hint)
{
    size_t want = grown(cap, used, more, hint, 16);
    invariant((size_t)used + more <= UINT32_MAX);
    return want < UINT32_MAX ? (uint32_t)want : UINT32_MAX;
}

/* Room for *n bytes, and as many as *n says then. */
static void *regrow(const struct column *c, void *p, size_t old, size_t used, size_t *n)
{
    return c->arena ? arena_regrow(c->arena, p, old, used, n, *n >= 1024 ? 64 : 8)
                    : mem_realloc(p, *n);
}

void column_grow_levels(struct column *c, uint32_t more)
{
    uint32_t was = c->cap_levels;
    size_t n = grown32(was, c->n_levels, more, c->hint.levels), room = n;
    if (c->max_def)
        c->def = regrow(c, c->def, was, was, &room);
    if (c->max_rep) {
        n = room; /* of equal arrays, as the cap is one for both */
        c->rep = regrow(c, c->rep, was, was, &n);
        room = n < room ? n : room;
    }
    c->cap_levels = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
    if (c->max_def)
        memset(c->def + was, 0, c->cap_levels - was);
    if (c->max_rep)
        memset(c->rep + was, 0, c->cap_levels - was);
}

void column_grow_values(struct column *c, uint32_t more)
{
    size_t width = column_width(c), was = c->cap_values * width;
    size_t n = grown32(c->cap_values, c->n_values, more, c->hint.values) * width;
    c->values = regrow(c, c->values, was, c->n_values * width, &n);
    c->cap_values = n / width < UINT32_MAX ? (uint32_t)(n / width) : UINT32_MAX;
}

void column_grow_bytes(struct column *c, size_t more)
{
    size_t was = c->cap_bytes;
    c->cap_bytes = grown(was, c->n_bytes, more, c->hint.bytes, 64);
    c->texts = regrow(c, c->texts, was, c->n_bytes, &c->cap_bytes);
}
