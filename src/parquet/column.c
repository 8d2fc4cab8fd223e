/* Growth of a column's arrays: half as much again, so that little is wasted. See column.h. */
#include "parquet/column.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static const uint8_t widths[] = {1, 8, 8, 4};

void column_init(struct column *c, enum col_type type, unsigned max_def, unsigned max_rep)
{
    *c = (struct column){
        .type = (uint8_t)type, .live = 1, .max_def = (uint8_t)max_def, .max_rep = (uint8_t)max_rep};
}

void column_fini(struct column *c)
{
    free(c->def);
    free(c->rep);
    free(c->values);
    free(c->bytes);
    *c = (struct column){0};
}

size_t column_heap_bytes(const struct column *c)
{
    size_t levels = c->cap_levels;
    return levels * ((size_t)(c->max_def > 0) + (c->max_rep > 0)) +
           (size_t)c->cap_values * widths[c->type] + c->cap_bytes;
}

static uint32_t grown(uint32_t cap, uint32_t used, uint32_t more)
{
    uint32_t need, want = cap + cap / 2 + 16;
    invariant(!__builtin_add_overflow(used, more, &need));
    return want > need ? want : need;
}

void column_grow_levels(struct column *c, uint32_t more)
{
    c->cap_levels = grown(c->cap_levels, c->n_levels, more);
    if (c->max_def)
        c->def = mem_realloc(c->def, c->cap_levels);
    if (c->max_rep)
        c->rep = mem_realloc(c->rep, c->cap_levels);
}

void column_grow_values(struct column *c, uint32_t more)
{
    c->cap_values = grown(c->cap_values, c->n_values, more);
    c->values = mem_regrow(c->values, c->cap_values, widths[c->type]);
}

void column_grow_bytes(struct column *c, size_t more)
{
    size_t want = c->cap_bytes + c->cap_bytes / 2 + 64;
    c->cap_bytes = want > c->n_bytes + more ? want : c->n_bytes + more;
    c->bytes = mem_realloc(c->bytes, c->cap_bytes);
}
