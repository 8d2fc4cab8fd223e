/* Two row sets of one name and partition into one: see rowset_merge. A column that one of them lacks is null there, which
 * only those at the top may be without a word: what is below a struct or list has levels that follow its siblings'. */
#include <stdlib.h>
#include <string.h>

#include "shred/shred_int.h"

#define STRANGERS_MAX 16 /* columns of places that the other has nothing of */

static const struct rnode *at_top(const struct rnode *n)
{
    while (n->depth > 1)
        n = n->parent;
    return n;
}

static bool same_column(const struct rowset_column *a, const struct rowset_column *b)
{
    return a->node == b->node && a->kind == b->kind;
}

/* The same one in `r`, looked for from *at on; NULL: there is none. */
static struct rowset_column *find(const struct rowset *r, const struct rowset_column *like, uint32_t *at)
{
    for (uint32_t n = ENV_COLUMNS, k = *at; n < r->n_cols; n++, k++) {
        k = k < r->n_cols ? k : ENV_COLUMNS;
        if (same_column(&r->cols[k], like)) {
            *at = k + 1;
            return &r->cols[k];
        }
    }
    return NULL;
}

static bool has_of(const struct rowset *r, const struct rnode *top)
{
    for (uint32_t i = ENV_COLUMNS; i < r->n_cols; i++)
        if (at_top(r->cols[i].node) == top)
            return true;
    return false;
}

/* Is `other` to say nothing of a column that only `r` has? */
static bool may_lack(const struct rowset *r, const struct rowset *other)
{
    uint32_t strangers = 0;
    for (uint32_t i = ENV_COLUMNS, at = i; i < r->n_cols; i++) {
        const struct rowset_column *c = &r->cols[i];
        if (find(other, c, &at))
            continue;
        if (++strangers > STRANGERS_MAX || (c->node->depth > 1 && has_of(other, at_top(c->node))))
            return false;
    }
    return true;
}

/* Room for `more` after `used`, a little more than that: many sets wait for few rows. */
static void *room(struct column *c, void *p, size_t cap, size_t used, size_t more, size_t *got)
{
    *got = used + more + (used + more) / 4;
    return arena_regrow(c->arena, p, cap, used, got, 8);
}

static void append_levels(struct column *to, const struct column *from)
{
    uint32_t n = from->n_levels;
    if (to->cap_levels - to->n_levels < n)
        column_grow_levels(to, n);
    if (to->max_def)
        memcpy(to->def + to->n_levels, from->def, n);
    if (to->max_rep)
        memcpy(to->rep + to->n_levels, from->rep, n);
    to->n_levels += n;
    to->rows += from->rows;
}

static void append_values(struct column *to, const struct column *from)
{
    bool texts = to->type == COL_BYTES;
    size_t width = column_width(to), used = column_values_bytes(to), more = column_values_bytes(from), cap;
    size_t had = texts ? to->cap_bytes : to->cap_values * width;
    if (had - used < more) {
        to->values = room(to, to->values, had, used, more, &cap);
        to->cap_bytes = texts ? cap : 0;
        to->cap_values = texts ? 0 : (uint32_t)(cap / width);
    }
    if (more)
        memcpy((uint8_t *)to->values + used, from->values, more);
    to->n_bytes += from->n_bytes;
    to->n_values += from->n_values;
}

static void append(struct rowset *r, struct column *to, const struct column *from)
{
    to->hint = (struct column_hint){0};
    column_pad(to, r->rows);
    append_levels(to, from);
    append_values(to, from);
}

static struct rowset_column *add_column(struct rowset *r, const struct rowset_column *like)
{
    shred_more_columns(r, r->n_cols + 1);
    struct rowset_column *c = &r->cols[r->n_cols - 1];
    *c = (struct rowset_column){.node = like->node, .kind = like->kind};
    column_init(&c->col, (enum col_type)like->col.type, like->col.max_def, like->col.max_rep);
    c->col.arena = &r->arena;
    return c;
}

static void append_shards(struct rowset *to, const struct rowset *from)
{
    for (uint32_t i = 0; i < from->n_shards; i++) {
        uint32_t rows = from->shards[i].rows;
        rowset_add_shard(to, from->shards[i].shard, rows);
    }
}

static bool same_rows(const struct rowset *a, const struct rowset *b)
{
    return a->table == b->table && a->table && a->time_partition == b->time_partition &&
           (a->heads || a->packed) && (b->heads || b->packed) &&
           a->name_n == b->name_n && memcmp(a->name, b->name, a->name_n) == 0;
}

bool rowset_merge(struct rowset *to, struct rowset *from)
{
    if (!same_rows(to, from) || from->rows > SET_ROWS - to->rows)
        return false;
    bool packed = to->packed;
    rowset_unpack(to);
    rowset_unpack(from);
    if (!may_lack(to, from) || !may_lack(from, to)) {
        to->bytes = packed ? rowset_held(to) : to->bytes;
        rowset_pack(to);
        return false;
    }
    for (uint32_t i = ENV_SEQUENCE; i < ENV_COLUMNS; i++)
        if (from->cols[i].col.n_levels)
            append(to, &to->cols[i].col, &from->cols[i].col);
    for (uint32_t i = ENV_COLUMNS, at = i; i < from->n_cols; i++) {
        struct rowset_column *c = find(to, &from->cols[i], &at);
        c = c ? c : add_column(to, &from->cols[i]);
        append(to, &c->col, &from->cols[i].col);
    }
    heads_append(to, from);
    append_shards(to, from);
    to->rows += from->rows;
    to->first_epoch = to->first_epoch < from->first_epoch ? to->first_epoch : from->first_epoch;
    to->bytes = rowset_held(to);
    rowset_pack(to);
    rowset_free(from);
    return true;
}
