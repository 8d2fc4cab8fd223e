/* Rows that wait, few of many columns, as one run of bytes: see rowset_pack.
 *
 *   packed_column[n_cols]   those beyond the envelope's own that have rows, and two of the latter
 *   row_head[rows]          then the odd ones' bytes
 *   for each column         definition levels (unless all are full), repetition levels, values
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pages.h"
#include "shred/shred_int.h"

#define PACK_ROWS 200u /* more are worth columns */
#define PACK_BYTES ((size_t)4 << 20)
#define PAGES_FROM (4 * PAGES_ONE)
#define PACK_SHARE 2    /* ... as is what would not get so many times smaller */

struct packed_column {
    struct rnode *node; /* NULL: the envelope's column `kind` */
    uint32_t n_levels, n_values, n_bytes;
    uint16_t rows;
    uint8_t kind;
    bool full; /* each row has a value */
};

static bool is_full(const struct column *c)
{
    return !c->max_rep && c->n_values == c->n_levels;
}

static size_t levels_bytes(const struct column *c)
{
    size_t each = (size_t)(c->max_def && !is_full(c)) + (c->max_rep > 0);
    return each * c->n_levels;
}

static size_t packed_bytes(const struct rowset *r, uint32_t *n_cols)
{
    size_t n = r->rows * sizeof *r->heads + r->n_odds;
    *n_cols = 0;
    for (uint32_t i = ENV_SEQUENCE; i < r->n_cols; i++) {
        const struct column *c = &r->cols[i].col;
        *n_cols += c->n_levels > 0;
        n += c->n_levels ? levels_bytes(c) + column_values_bytes(c) : 0;
    }
    return n + *n_cols * sizeof(struct packed_column);
}

static uint8_t *put(uint8_t *to, const void *from, size_t n)
{
    if (n)
        memcpy(to, from, n);
    return to + n;
}

static uint8_t *put_column(uint8_t *to, const struct column *c)
{
    if (c->max_def && !is_full(c))
        to = put(to, c->def, c->n_levels);
    if (c->max_rep)
        to = put(to, c->rep, c->n_levels);
    return put(to, c->values, column_values_bytes(c));
}

/* Large ones come and go often, and would tear the heap. */
static void take_room(struct rowset *r, size_t *n)
{
    r->packed_bytes = *n >= PAGES_FROM ? *n : 0;
    if (r->packed_bytes) {
        r->packed = pages_take(&r->packed_bytes);
        *n = r->packed_bytes;
    } else {
        r->packed = mem_alloc(*n);
    }
}

void pack_drop(struct rowset *r)
{
    if (r->packed_bytes)
        pages_give(r->packed, r->packed_bytes);
    else
        free(r->packed);
    r->packed = NULL;
    r->packed_bytes = 0;
}

void rowset_pack(struct rowset *r)
{
    uint32_t n_cols;
    if (r->packed || !r->heads || r->rows > PACK_ROWS || r->bytes > PACK_BYTES)
        return;
    size_t n = packed_bytes(r, &n_cols);
    if ((n + sizeof *r) * PACK_SHARE > r->bytes)
        return;
    take_room(r, &n);
    uint8_t *at = r->packed;
    for (uint32_t i = ENV_SEQUENCE; i < r->n_cols; i++) {
        const struct rowset_column *c = &r->cols[i];
        const struct packed_column p = {.node = c->node,
                                        .n_levels = c->col.n_levels,
                                        .n_values = c->col.n_values,
                                        .n_bytes = (uint32_t)c->col.n_bytes,
                                        .rows = (uint16_t)c->col.rows,
                                        .kind = (uint8_t)(c->node ? c->kind : i),
                                        .full = is_full(&c->col)};
        if (p.n_levels)
            at = put(at, &p, sizeof p);
    }
    at = put(at, r->heads, r->rows * sizeof *r->heads);
    at = put(at, r->odds, r->n_odds);
    for (uint32_t i = ENV_SEQUENCE; i < r->n_cols; i++)
        if (r->cols[i].col.n_levels)
            at = put_column(at, &r->cols[i].col);
    arena_fini(&r->arena);
    rowset_empty(r);
    r->n_packed = n_cols;
    r->unpacked = r->bytes;
    r->bytes = sizeof *r + n;
}

/* An array of the row set's with n bytes from *at. */
static void *take(struct rowset *r, const uint8_t **at, size_t n)
{
    size_t room = n;
    void *p = arena_regrow(&r->arena, NULL, 0, 0, &room, 8);
    memcpy(p, *at, n);
    *at += n;
    return p;
}

static void take_levels(struct rowset *r, struct column *c, const struct packed_column *p, const uint8_t **at)
{
    c->rows = p->rows;
    c->n_levels = c->cap_levels = p->n_levels;
    if (c->max_def && !p->full) {
        c->def = take(r, at, p->n_levels);
    } else if (c->max_def) {
        size_t room = p->n_levels;
        c->def = arena_regrow(&r->arena, NULL, 0, 0, &room, 8);
        memset(c->def, c->max_def, p->n_levels);
    }
    if (c->max_rep)
        c->rep = take(r, at, p->n_levels);
}

static void take_column(struct rowset *r, struct rowset_column *c, const struct packed_column *p, const uint8_t **at)
{
    if (p->node) {
        c->node = p->node;
        c->kind = (enum kind)p->kind;
        column_init(&c->col, walk_memory_type(c->kind), p->node->max_def, p->node->max_rep);
        c->col.arena = &r->arena;
    }
    take_levels(r, &c->col, p, at);
    c->col.n_values = p->n_values;
    c->col.n_bytes = p->n_bytes;
    size_t n = column_values_bytes(&c->col);
    c->col.values = n ? take(r, at, n) : NULL;
    c->col.cap_values = c->col.type == COL_BYTES ? 0 : p->n_values;
    c->col.cap_bytes = c->col.type == COL_BYTES ? p->n_bytes : 0;
}

void rowset_unpack(struct rowset *r)
{
    if (!r->packed)
        return;
    struct packed_column *each = (struct packed_column *)(void *)r->packed;
    const uint8_t *at = r->packed + r->n_packed * sizeof *each;
    size_t heads = r->rows * sizeof *r->heads;
    rowset_envelope(r, r->n_packed);
    r->heads = take(r, &at, heads);
    r->cap_heads = r->rows;
    r->odds = r->n_odds ? take(r, &at, r->n_odds) : NULL;
    r->cap_odds = r->n_odds;
    for (uint32_t i = 0; i < r->n_packed; i++) {
        uint32_t k = each[i].node ? r->n_cols++ : each[i].kind;
        take_column(r, &r->cols[k], &each[i], &at);
    }
    pack_drop(r);
}
