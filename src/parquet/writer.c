/* The writer's public side: the schema's leaves, row groups, what Iceberg wants to know at the end.
 * Pages are made in chunk.c, the footer in footer_write.c. See parquet.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "parquet/writer_int.h"

#define BOUND_POINTS 16 /* Iceberg's default, truncate(16): code points of a string, else bytes */
#define SCRATCH_MAX ((size_t)6 << 20) /* bytes of a scratch that are kept for the next group */

/* ---- schema ---- */

static void leaf_types(struct leaf *l)
{
    static const struct {
        enum col_type type;
        enum footer_physical physical;
        uint8_t width;
    } types[] = {
        [PQ_BOOLEAN] = {COL_BOOL, PHYSICAL_BOOLEAN, 1},
        [PQ_INT32] = {COL_LONG, PHYSICAL_INT32, 4},
        [PQ_INT64] = {COL_LONG, PHYSICAL_INT64, 8},
        [PQ_DOUBLE] = {COL_DOUBLE, PHYSICAL_DOUBLE, 8},
        [PQ_FLOAT] = {COL_DOUBLE, PHYSICAL_FLOAT, 4},
        [PQ_STRING] = {COL_BYTES, PHYSICAL_BYTES, 0},
        [PQ_BINARY] = {COL_BYTES, PHYSICAL_BYTES, 0},
        [PQ_TIMESTAMPTZ] = {COL_LONG, PHYSICAL_INT64, 8},
        [PQ_TIMESTAMP] = {COL_LONG, PHYSICAL_INT64, 8},
        [PQ_DATE] = {COL_LONG, PHYSICAL_INT32, 4},
        [PQ_DECIMAL] = {COL_LONG, PHYSICAL_INT64, 8},
    };
    const struct pq_node *n = l->node;
    l->type = types[n->type].type;
    l->physical = types[n->type].physical;
    l->width = types[n->type].width;
    if (n->type == PQ_DECIMAL && n->precision <= 9) {
        l->physical = PHYSICAL_INT32;
        l->width = 4;
    }
}

/* FNV-1a. */
static uint64_t hash_of(const char *p, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)p[i]) * 0x100000001b3u;
    return hash;
}

/* Adds the leaves at and under node `at`; returns the node after it. */
static uint32_t add_leaves(struct pq_writer *w, uint32_t at, unsigned def, unsigned rep,
                           struct buf *path)
{
    const struct pq_node *n = &w->schema.nodes[at++];
    size_t mark = path->n;
    bool list = n->type == PQ_LIST;
    def += !n->required;
    invariant(def < FOOTER_NESTING_MAX);
    buf_put(path, n->name, strlen(n->name) + 1);
    if (n->type == PQ_GROUP || list) {
        if (list)
            buf_put(path, "list", 5);
        for (uint32_t i = 0; i < n->n_children; i++)
            at = add_leaves(w, at, def + list, rep + list, path);
    } else {
        struct leaf *l = &w->leaves[w->n_leaves++];
        *l = (struct leaf){.node = n, .max_def = (uint8_t)def, .max_rep = (uint8_t)rep};
        l->path_n = (uint32_t)path->n;
        l->path_hash = hash_of((const char *)path->p, path->n);
        buf_put(&w->paths, path->p, path->n);
        leaf_types(l);
    }
    path->n = mark;
    return at;
}

static void copy_schema(struct pq_writer *w, const struct pq_schema *schema)
{
    struct buf path = {0};
    const char *p;
    w->schema = *schema;
    w->schema.nodes = mem_array(schema->n_nodes, sizeof *w->schema.nodes);
    w->leaves = mem_array(schema->n_nodes, sizeof *w->leaves); /* no more than nodes */
    for (uint32_t i = 0; i < schema->n_nodes; i++)
        buf_put(&w->names, schema->nodes[i].name, strlen(schema->nodes[i].name) + 1);
    p = (const char *)w->names.p;
    for (uint32_t i = 0; i < schema->n_nodes; i++, p += strlen(p) + 1) {
        w->schema.nodes[i] = schema->nodes[i];
        w->schema.nodes[i].name = p;
    }
    for (uint32_t at = 0; at < schema->n_nodes;)
        at = add_leaves(w, at, 0, 0, &path);
    p = (const char *)w->paths.p;
    for (uint32_t i = 0; i < w->n_leaves; p += w->leaves[i++].path_n)
        w->leaves[i].path = p;
    buf_fini(&path);
}

static void drop_schema(struct pq_writer *w)
{
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        free(w->leaves[i].kept[0]);
        free(w->leaves[i].kept[1]);
    }
    free(w->schema.nodes);
    free(w->leaves);
    buf_fini(&w->names);
    buf_fini(&w->paths);
    w->schema = (struct pq_schema){0};
    w->leaves = NULL;
    w->n_leaves = 0;
}

struct pq_writer *pq_writer_new(const struct pq_schema *schema, const struct pq_options *options,
                                struct buf *out, struct pq_cost *cost)
{
    struct pq_writer *w = mem_zalloc(sizeof *w);
    w->o = *options;
    w->o.page_bytes = w->o.page_bytes ? w->o.page_bytes : (size_t)1 << 20;
    w->o.page_rows = w->o.page_rows ? w->o.page_rows : 20000;
    w->o.dict_bytes = w->o.dict_bytes ? w->o.dict_bytes : (size_t)1 << 20;
    copy_schema(w, schema);
    w->out = out;
    w->cost = cost ? cost : &w->own_cost;
    buf_put(out, "PAR1", 4);
    w->offset = 4;
    return w;
}

/* ---- what is kept between row groups: many files may be open at once, few are written to ---- */

struct pq_scratch *pq_scratch_new(void)
{
    return mem_zalloc(sizeof(struct pq_scratch));
}

static void scratch_empty(struct pq_scratch *s)
{
    struct buf *bufs[] = {&s->page, &s->dict_page, &s->head, &s->packed, &s->seen};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_fini(bufs[i]);
    compress_zstd_free(s->zstd);
    compress_matches_fini(&s->matches);
    dict_fini(&s->dict);
    free(s->segments);
    *s = (struct pq_scratch){0};
}

void pq_scratch_free(struct pq_scratch *s)
{
    if (s)
        scratch_empty(s);
    free(s);
}

static void scratch_begin(struct pq_writer *w, struct pq_scratch *scratch)
{
    w->s = scratch ? scratch : (w->own_scratch = pq_scratch_new());
    if (w->s->zstd && w->s->zstd_level != w->o.zstd_level) {
        compress_zstd_free(w->s->zstd);
        w->s->zstd = NULL;
    }
    w->s->zstd_level = w->o.zstd_level;
}

static void scratch_end(struct pq_writer *w)
{
    struct pq_scratch *s = w->s;
    w->s = NULL;
    if (s && s->page.cap + s->dict_page.cap + s->head.cap + s->packed.cap + s->seen.cap +
                     dict_bytes(&s->dict) + s->cap_segments * sizeof *s->segments +
                     s->matches.cap * sizeof *s->matches.each >
                 SCRATCH_MAX)
        scratch_empty(s);
    pq_scratch_free(w->own_scratch);
    w->own_scratch = NULL;
}

void pq_hints_fini(struct pq_hints *h)
{
    free(h->each);
    *h = (struct pq_hints){0};
}

struct pq_hint *hint_of(struct pq_hints *h, int32_t field_id)
{
    uint32_t low = 0, high = h->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (h->each[middle].field_id < field_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == h->n || h->each[low].field_id != field_id) {
        if (h->n == h->cap) {
            h->cap = h->cap * 2 + 32;
            h->each = mem_regrow(h->each, h->cap, sizeof *h->each);
        }
        memmove(h->each + low + 1, h->each + low, (h->n++ - low) * sizeof *h->each);
        h->each[low] = (struct pq_hint){.field_id = field_id};
    }
    return &h->each[low];
}

/* What only the file's end needs. */
static void drop_rows(struct pq_writer *w)
{
    for (uint32_t i = 0; i < w->n_groups + w->in_group; i++)
        free(w->groups[i].chunks);
    drop_schema(w);
    free(w->groups);
    free(w->pages);
    buf_fini(&w->bounds);
    w->groups = NULL;
    w->pages = NULL;
    w->n_groups = w->n_pages = w->cap_pages = 0;
}

void pq_writer_free(struct pq_writer *w)
{
    if (!w)
        return;
    scratch_end(w);
    drop_rows(w);
    free(w->stats);
    free(w->stat_bounds);
    free(w->splits);
    free(w);
}

uint32_t pq_writer_leaves(const struct pq_writer *w)
{
    return w->n_leaves;
}

void pq_writer_leaf(const struct pq_writer *w, uint32_t leaf, int32_t *field_id,
                    enum col_type *type, unsigned *max_def, unsigned *max_rep)
{
    invariant(leaf < w->n_leaves);
    const struct leaf *l = &w->leaves[leaf];
    *field_id = l->node->field_id;
    *type = l->type;
    *max_def = l->max_def;
    *max_rep = l->max_rep;
}

/* ---- row groups ---- */

void pq_writer_group_begin(struct pq_writer *w, uint32_t rows)
{
    pq_writer_group_begin_with(w, rows, NULL);
}

void pq_writer_group_begin_with(struct pq_writer *w, uint32_t rows, struct pq_scratch *scratch)
{
    invariant(!w->in_group);
    w->began_ns = clock_mono_ns();
    w->began_cpu_ns = clock_thread_cpu_ns();
    w->packing_ns = w->cost->compress_ns;
    w->groups = mem_regrow(w->groups, w->n_groups + 1, sizeof *w->groups);
    w->groups[w->n_groups] =
        (struct group){.rows = rows,
                       .offset = w->offset,
                       .chunks = mem_array(w->n_leaves + 1u, sizeof(struct chunk))};
    w->leaf = 0;
    w->in_group = true;
    scratch_begin(w, scratch);
}

static int check_pieces(const struct leaf *l, const struct pq_piece *pieces, size_t n,
                        uint32_t rows, struct err *e)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pq_piece *p = &pieces[i];
        const struct column *col = p->kind == PQ_PIECE_COLUMN ? p->col : NULL;
        sum += col ? col->rows : p->rows;
        if (col && (col->max_def != l->max_def || col->max_rep != l->max_rep ||
                    col->type != (uint8_t)l->type))
            return err_set(e, ERR_INVALID, "column %s: a piece of other levels or another type",
                           l->node->name);
        if (p->kind == PQ_PIECE_NULLS && p->rows && p->def >= l->max_def)
            return err_set(e, ERR_INVALID, "column %s: nulls where a value must be", l->node->name);
    }
    if (sum != rows)
        return err_set(e, ERR_INVALID, "column %s: %llu rows in a row group of %u", l->node->name,
                       (unsigned long long)sum, rows);
    return 0;
}

static void count_chunk(struct group *g, struct leaf *l, const struct chunk *c)
{
    g->raw += c->raw;
    g->packed += c->packed;
    l->column_bytes += c->packed;
    l->values += c->values;
    l->nulls += c->nulls;
}

int pq_writer_column(struct pq_writer *w, const struct pq_piece *pieces, size_t n, struct err *e)
{
    invariant(w->in_group && w->leaf < w->n_leaves);
    struct group *g = &w->groups[w->n_groups];
    struct leaf *l = &w->leaves[w->leaf];
    struct chunk *c = &g->chunks[w->leaf++];
    if (check_pieces(l, pieces, n, g->rows, e) || chunk_write(w, l, c, pieces, n, e))
        return -1;
    count_chunk(g, l, c);
    return 0;
}

/* Pages are timed by the wall's clock, for the thread's own is a system call: what that says of the whole group is
 * shared out in proportion. */
static void end_cost(struct pq_writer *w)
{
    int64_t cpu = clock_thread_cpu_ns() - w->began_cpu_ns, all = clock_mono_ns() - w->began_ns;
    double packing = (double)(w->cost->compress_ns - w->packing_ns) / (double)(all > 0 ? all : 1);
    int64_t packing_cpu = (int64_t)((double)cpu * (packing < 1 ? packing : 1));
    w->cost->compress_ns = w->packing_ns + packing_cpu;
    w->cost->encode_ns += cpu - packing_cpu;
}

int pq_writer_group_end(struct pq_writer *w, struct err *e)
{
    if (w->leaf != w->n_leaves)
        return err_set(e, ERR_INVALID, "a row group has %u of %u columns", w->leaf, w->n_leaves);
    w->rows += w->groups[w->n_groups++].rows;
    w->in_group = false;
    scratch_end(w);
    end_cost(w);
    return 0;
}

size_t pq_writer_bytes(const struct pq_writer *w)
{
    size_t n = sizeof *w + w->n_stats * sizeof *w->stats + w->n_stat_bounds + w->n_splits * sizeof *w->splits +
               w->n_leaves * (sizeof *w->leaves + 2 * 32) + w->cap_pages * sizeof *w->pages + w->bounds.cap +
               w->schema.n_nodes * sizeof *w->schema.nodes + w->names.cap + w->paths.cap;
    return n + w->n_groups * (sizeof *w->groups + w->n_leaves * sizeof(struct chunk));
}

/* ---- columns that come later ---- */

static bool same_leaf(const struct leaf *a, const struct leaf *b)
{
    return a->node->field_id == b->node->field_id && a->node->type == b->node->type &&
           a->node->precision == b->node->precision && a->node->scale == b->node->scale &&
           a->max_def == b->max_def && a->max_rep == b->max_rep;
}

/* For each leaf of `to` the number of the same one in `from`, or UINT32_MAX. False where one of `from`
 * is missing, or a new one has old ones beside it in its top-level column: what its levels are in the
 * rows that are written already, only those know. */
static bool map_leaves(const struct pq_writer *from, const struct pq_writer *to, uint32_t *old)
{
    uint32_t found = 0, next = 0; /* they are mostly in the same order */
    for (uint32_t i = 0; i < to->n_leaves; i++) {
        old[i] = UINT32_MAX;
        for (uint32_t n = 0, k = next; n < from->n_leaves && old[i] == UINT32_MAX; n++, k++) {
            k = k < from->n_leaves ? k : 0;
            if (same_leaf(&to->leaves[i], &from->leaves[k])) {
                old[i] = k;
                next = k + 1;
                found++;
            }
        }
    }
    for (uint32_t i = 0; i < to->n_leaves; i++)
        for (uint32_t k = 0; old[i] == UINT32_MAX && k < to->n_leaves; k++)
            if (old[k] != UINT32_MAX && strcmp(to->leaves[i].path, to->leaves[k].path) == 0)
                return false;
    return found == from->n_leaves;
}

static void move_leaf(struct leaf *to, struct leaf *from)
{
    to->file = from->file;
    to->column_bytes = from->column_bytes;
    to->values = from->values;
    to->nulls = from->nulls;
    for (int i = 0; i < 2; i++) {
        to->kept[i] = from->kept[i];
        from->kept[i] = NULL;
    }
}

/* A null for each row of a group that was written without the leaf. */
static int fill_chunk(struct pq_writer *w, struct group *g, uint32_t leaf, struct err *e)
{
    struct pq_piece nulls = {.kind = PQ_PIECE_NULLS, .rows = g->rows};
    struct chunk *c = &g->chunks[leaf];
    if (chunk_write(w, &w->leaves[leaf], c, &nulls, 1, e))
        return -1;
    count_chunk(g, &w->leaves[leaf], c);
    return 0;
}

int pq_writer_extend(struct pq_writer *w, const struct pq_schema *schema, struct err *e)
{
    struct pq_writer now = {0};
    int rc = 1;
    invariant(!w->in_group);
    copy_schema(&now, schema);
    uint32_t *old = mem_array(now.n_leaves + 1u, sizeof *old);
    if (!map_leaves(w, &now, old)) {
        drop_schema(&now);
        free(old);
        return 0;
    }
    for (uint32_t i = 0; i < now.n_leaves; i++)
        if (old[i] != UINT32_MAX)
            move_leaf(&now.leaves[i], &w->leaves[old[i]]);
    for (uint32_t g = 0; g < w->n_groups; g++) {
        struct chunk *chunks = mem_array(now.n_leaves + 1u, sizeof *chunks);
        for (uint32_t i = 0; i < now.n_leaves; i++)
            if (old[i] != UINT32_MAX)
                chunks[i] = w->groups[g].chunks[old[i]];
        free(w->groups[g].chunks);
        w->groups[g].chunks = chunks;
    }
    drop_schema(w);
    w->schema = now.schema;
    w->names = now.names;
    w->paths = now.paths;
    w->leaves = now.leaves;
    w->n_leaves = now.n_leaves;
    scratch_begin(w, NULL);
    for (uint32_t i = 0; i < w->n_leaves && rc == 1; i++)
        for (uint32_t g = 0; old[i] == UINT32_MAX && g < w->n_groups && rc == 1; g++)
            rc = fill_chunk(w, &w->groups[g], i, e) ? -1 : 1;
    scratch_end(w);
    free(old);
    return rc;
}

/* ---- the end ---- */

/* Iceberg's decimal: unscaled, two's complement, big-endian, as few bytes as hold it. */
static uint8_t decimal_bytes(int64_t v, uint8_t *out)
{
    uint8_t be[8], at = 0;
    for (int i = 0; i < 8; i++)
        be[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    while (at < 7 && ((be[at] == 0 && be[at + 1] < 0x80) || (be[at] == 0xff && be[at + 1] >= 0x80)))
        at++;
    memcpy(out, be + at, 8u - at);
    return (uint8_t)(8 - at);
}

static uint8_t number_bytes(const struct leaf *l, int64_t number, double real, uint8_t *out)
{
    int32_t small = (int32_t)number;
    float small_real = (float)real;
    if (l->node->type == PQ_DECIMAL)
        return decimal_bytes(number, out);
    if (l->width == 1)
        out[0] = number != 0;
    else if (l->type == COL_DOUBLE)
        memcpy(out, l->width == 8 ? (const void *)&real : &small_real, l->width);
    else
        memcpy(out, l->width == 8 ? (const void *)&number : &small, l->width);
    return l->width;
}

static bool text_bounds(const struct leaf *l, struct pq_leaf_stats *st, uint8_t *lower, uint8_t *upper)
{
    bool utf8 = l->node->type == PQ_STRING;
    size_t max = utf8 ? 4 * BOUND_POINTS : BOUND_POINTS;
    struct str low = l->file.min_text, high = l->file.max_text;
    size_t low_n = range_prefix(low, utf8, max, BOUND_POINTS);
    size_t high_n = range_prefix(high, utf8, max, BOUND_POINTS);
    if (low_n)
        memcpy(lower, low.p, low_n);
    if (high_n)
        memcpy(upper, high.p, high_n);
    st->lower_n = (uint8_t)low_n;
    bool cut = high_n < high.n;
    if (cut)
        high_n = range_above(upper, high_n, utf8);
    st->upper_n = (uint8_t)high_n;
    return !cut || high_n > 0;
}

/* The bounds: PQ_BOUND_MAX bytes each. */
static void leaf_stats(const struct leaf *l, struct pq_leaf_stats *st, uint8_t *lower, uint8_t *upper)
{
    *st = (struct pq_leaf_stats){.field_id = l->node->field_id,
                                 .column_bytes = l->column_bytes,
                                 .values = l->values,
                                 .nulls = l->nulls,
                                 .nans = l->type == COL_DOUBLE ? l->file.nans : -1};
    st->has_bounds = l->file.any && !l->max_rep;
    if (!st->has_bounds)
        return;
    if (l->type == COL_BYTES) {
        st->has_bounds = text_bounds(l, st, lower, upper);
        return;
    }
    st->lower_n = number_bytes(l, l->file.min_long, l->file.min_double, lower);
    st->upper_n = number_bytes(l, l->file.max_long, l->file.max_double, upper);
}

/* Files wait for their commit by the ten thousand: with no more room for bounds than they have. */
static void make_stats(struct pq_writer *w)
{
    uint8_t *bounds = mem_alloc((size_t)w->n_leaves * 2 * PQ_BOUND_MAX + 1);
    size_t n = 0;
    w->stats = mem_array(w->n_leaves + 1u, sizeof *w->stats);
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        struct pq_leaf_stats *st = &w->stats[i];
        uint8_t upper[PQ_BOUND_MAX];
        leaf_stats(&w->leaves[i], st, bounds + n, upper);
        if (!st->has_bounds)
            st->lower_n = st->upper_n = 0;
        n += st->lower_n;
        memcpy(bounds + n, upper, st->upper_n);
        n += st->upper_n;
    }
    w->stat_bounds = mem_alloc(n + 1);
    memcpy(w->stat_bounds, bounds, n);
    w->n_stat_bounds = n;
    free(bounds);
    const uint8_t *at = w->stat_bounds;
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        w->stats[i].lower = at;
        w->stats[i].upper = at + w->stats[i].lower_n;
        at = w->stats[i].upper + w->stats[i].upper_n;
    }
}

int pq_writer_finish(struct pq_writer *w, struct err *e)
{
    invariant(!w->in_group);
    w->splits = mem_array(w->n_groups + 1u, sizeof *w->splits);
    for (uint32_t i = 0; i < w->n_groups; i++)
        w->splits[i] = w->groups[i].offset;
    make_stats(w);
    if (footer_write(w, e))
        return -1;
    w->n_stats = w->n_leaves;
    w->n_splits = w->n_groups;
    drop_rows(w);
    return 0;
}

const struct pq_leaf_stats *pq_writer_stats(const struct pq_writer *w, uint32_t *n)
{
    *n = w->n_stats;
    return w->stats;
}

const int64_t *pq_writer_split_offsets(const struct pq_writer *w, uint32_t *n)
{
    *n = w->n_splits;
    return w->splits;
}

int64_t pq_writer_rows(const struct pq_writer *w)
{
    return w->rows;
}

int64_t pq_writer_size(const struct pq_writer *w)
{
    return w->offset;
}
