/* The writer: a column chunk at a time, all of it in memory. A leaf's pieces are first laid flat (levels,
 * and values or dictionary indices), then cut into pages at row boundaries. See parquet.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/thrift.h"
#include "parquet/levels.h"
#include "parquet/parquet.h"

#define DICT_ENTRIES_MAX 65536
#define DICT_SAMPLE 4096 /* values after which a dictionary must have proved itself */
#define STAT_MAX 64
enum { ENC_PLAIN = 0, ENC_RLE = 3, ENC_RLE_DICTIONARY = 8, PAGE_DATA = 0, PAGE_DICT = 2, CODEC_NONE = 0, CODEC_ZSTD = 6 };

struct text { const uint8_t *p; uint32_t n; };

struct leaf {
    const struct pq_node *node;
    enum col_type type;
    uint8_t max_def, max_rep, physical, width; /* width of a fixed value in bytes */
    char *path; /* names, each ended by NUL */
    uint32_t path_n;
    bool any;   /* the file's bounds so far */
    int64_t min_long, max_long;
    double min_double, max_double;
    uint8_t *min_text, *max_text;
    uint32_t min_n, max_n;
};
struct chunk {
    int64_t dict_offset, data_offset, raw, packed, values, nulls;
    int32_t pages;
    bool dictionary;
    uint8_t min[STAT_MAX], max[STAT_MAX];
    uint8_t min_n, max_n;
    bool has_stats, exact;
};
struct group {
    struct chunk *chunks;
    uint32_t rows;
    int64_t offset, raw, packed;
};

struct pq_writer {
    struct pq_options o;
    struct pq_schema schema;
    struct leaf *leaves;
    uint32_t n_leaves, leaf; /* the next to come */
    struct group *groups;
    uint32_t n_groups;
    struct buf *out;
    int64_t offset, rows;
    struct pq_cost *cost, own_cost;
    ZSTD_CCtx *zstd;
    struct pq_leaf_stats *stats;
    int64_t *splits;
    /* one chunk, flat */
    struct buf def, rep, index, page, packed, dict;
    uint32_t n_entries, n_values, n_nulls;
    int64_t *longs;
    double *doubles;
    uint8_t *bools;
    struct text *texts;
    uint32_t cap_values;
    uint32_t *slots; /* dictionary: entry + 1 */
    uint32_t n_slots, n_dict;
    uint32_t *dict_values; /* the value number of each entry */
};

/* ---- schema ---- */

static void leaf_types(struct leaf *l)
{
    l->type = COL_LONG;
    l->physical = 2;
    l->width = 8;
    switch (l->node->type) {
    case PQ_BOOLEAN: l->type = COL_BOOL; l->physical = 0; l->width = 1; break;
    case PQ_DOUBLE: l->type = COL_DOUBLE; l->physical = 5; break;
    case PQ_STRING:
    case PQ_BINARY: l->type = COL_BYTES; l->physical = 6; break;
    case PQ_INT32:
    case PQ_DATE: l->physical = 1; l->width = 4; break;
    case PQ_DECIMAL:
        if (l->node->precision <= 9) {
            l->physical = 1;
            l->width = 4;
        }
        break;
    default: break;
    }
}

static uint32_t add_leaves(struct pq_writer *w, uint32_t at, unsigned def, unsigned rep, struct buf *path)
{
    const struct pq_node *n = &w->schema.nodes[at++];
    size_t mark = path->n;
    def += !n->required;
    buf_put(path, n->name, strlen(n->name) + 1);
    if (n->type == PQ_GROUP || n->type == PQ_LIST) {
        if (n->type == PQ_LIST)
            buf_put(path, "list", 5);
        for (uint32_t i = 0; i < n->n_children; i++)
            at = add_leaves(w, at, def + (n->type == PQ_LIST), rep + (n->type == PQ_LIST), path);
    } else {
        w->leaves = mem_regrow(w->leaves, w->n_leaves + 1, sizeof *w->leaves);
        struct leaf *l = &w->leaves[w->n_leaves++];
        *l = (struct leaf){.node = n, .max_def = (uint8_t)def, .max_rep = (uint8_t)rep};
        l->path = mem_strndup((const char *)path->p, path->n);
        l->path_n = (uint32_t)path->n;
        leaf_types(l);
    }
    path->n = mark;
    return at;
}

struct pq_writer *pq_writer_new(const struct pq_schema *schema, const struct pq_options *options,
                                struct buf *out, struct pq_cost *cost)
{
    struct pq_writer *w = mem_zalloc(sizeof *w);
    struct buf path = {0};
    w->o = *options;
    w->o.page_bytes = w->o.page_bytes ? w->o.page_bytes : (size_t)1 << 20;
    w->o.page_rows = w->o.page_rows ? w->o.page_rows : 20000;
    w->o.dict_bytes = w->o.dict_bytes ? w->o.dict_bytes : (size_t)1 << 20;
    w->schema = *schema;
    w->schema.nodes = mem_array(schema->n_nodes, sizeof *w->schema.nodes);
    for (uint32_t i = 0; i < schema->n_nodes; i++) {
        w->schema.nodes[i] = schema->nodes[i];
        w->schema.nodes[i].name = mem_strdup(schema->nodes[i].name);
    }
    for (uint32_t at = 0; at < schema->n_nodes;)
        at = add_leaves(w, at, 0, 0, &path);
    buf_fini(&path);
    w->out = out;
    w->cost = cost ? cost : &w->own_cost;
    w->zstd = ZSTD_createCCtx();
    w->stats = mem_array(w->n_leaves, sizeof *w->stats);
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        w->stats[i].field_id = w->leaves[i].node->field_id;
        w->stats[i].nans = w->leaves[i].type == COL_DOUBLE ? 0 : -1;
    }
    buf_put(out, "PAR1", 4);
    w->offset = 4;
    return w;
}

void pq_writer_free(struct pq_writer *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->schema.n_nodes; i++)
        free(w->schema.nodes[i].name);
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        free(w->leaves[i].path);
        free(w->leaves[i].min_text);
        free(w->leaves[i].max_text);
    }
    for (uint32_t i = 0; i < w->n_groups; i++)
        free(w->groups[i].chunks);
    struct buf *bufs[] = {&w->def, &w->rep, &w->index, &w->page, &w->packed, &w->dict};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_fini(bufs[i]);
    ZSTD_freeCCtx(w->zstd);
    free(w->schema.nodes);
    free(w->leaves);
    free(w->groups);
    free(w->stats);
    free(w->splits);
    free(w->longs);
    free(w->doubles);
    free(w->bools);
    free(w->texts);
    free(w->slots);
    free(w->dict_values);
    free(w);
}

uint32_t pq_writer_leaves(const struct pq_writer *w)
{
    return w->n_leaves;
}

void pq_writer_leaf(const struct pq_writer *w, uint32_t leaf, int32_t *field_id, enum col_type *type,
                    unsigned *max_def, unsigned *max_rep)
{
    const struct leaf *l = &w->leaves[leaf];
    *field_id = l->node->field_id;
    *type = l->type;
    *max_def = l->max_def;
    *max_rep = l->max_rep;
}

/* ---- laying flat ---- */

static void room(struct pq_writer *w, const struct leaf *l, uint32_t more)
{
    if (w->n_values + more > w->cap_values || (l->type == COL_BYTES && !w->texts) ||
        (l->type == COL_LONG && !w->longs) || (l->type == COL_DOUBLE && !w->doubles) ||
        (l->type == COL_BOOL && !w->bools)) {
        uint32_t cap = w->n_values + more;
        if (cap < w->cap_values)
            cap = w->cap_values;
        else
            cap += cap / 4 + 64;
        w->cap_values = cap;
        w->texts = mem_regrow(w->texts, cap, sizeof *w->texts);
        w->longs = mem_regrow(w->longs, cap, sizeof *w->longs);
        w->doubles = mem_regrow(w->doubles, cap, sizeof *w->doubles);
        w->bools = mem_regrow(w->bools, cap, 1);
    }
}

static void flat_levels(struct pq_writer *w, const struct leaf *l, const struct pq_piece *p, uint32_t n)
{
    uint8_t def = p->kind == PQ_PIECE_CONST ? l->max_def : p->def;
    if (l->max_def) {
        if (p->kind == PQ_PIECE_COLUMN)
            buf_put(&w->def, p->col->def, n);
        else {
            memset(buf_reserve(&w->def, n), def, n);
            w->def.n += n;
        }
    }
    if (l->max_rep) {
        if (p->kind == PQ_PIECE_COLUMN)
            buf_put(&w->rep, p->col->rep, n);
        else {
            memset(buf_reserve(&w->rep, n), 0, n);
            w->rep.n += n;
        }
    }
    w->n_entries += n;
}

static void flat_values(struct pq_writer *w, const struct leaf *l, const struct pq_piece *p)
{
    uint32_t n = p->kind == PQ_PIECE_COLUMN ? p->col->n_values : p->kind == PQ_PIECE_CONST ? p->rows : 0;
    room(w, l, n);
    uint32_t at = w->n_values;
    w->n_values += n;
    if (p->kind == PQ_PIECE_CONST) {
        for (uint32_t i = 0; i < n; i++)
            if (l->type == COL_BYTES)
                w->texts[at + i] = (struct text){(const uint8_t *)p->text.p, (uint32_t)p->text.n};
            else
                w->longs[at + i] = p->number;
        return;
    }
    if (!n)
        return;
    const uint8_t *bytes = p->col->bytes;
    switch (l->type) {
    case COL_LONG: memcpy(w->longs + at, p->col->longs, n * sizeof *w->longs); break;
    case COL_DOUBLE: memcpy(w->doubles + at, p->col->doubles, n * sizeof *w->doubles); break;
    case COL_BOOL: memcpy(w->bools + at, p->col->bools, n); break;
    default:
        for (uint32_t i = 0; i < n; bytes += p->col->lens[i++])
            w->texts[at + i] = (struct text){bytes, p->col->lens[i]};
    }
}

/* ---- dictionary ---- */

static uint64_t value_hash(const struct pq_writer *w, const struct leaf *l, uint32_t i)
{
    if (l->type == COL_BYTES)
        return XXH3_64bits(w->texts[i].p, w->texts[i].n);
    uint64_t v;
    memcpy(&v, l->type == COL_LONG ? (const void *)&w->longs[i] : (const void *)&w->doubles[i], 8);
    v *= 0x9e3779b97f4a7c15u;
    return v ^ v >> 29;
}

static bool value_same(const struct pq_writer *w, const struct leaf *l, uint32_t a, uint32_t b)
{
    if (l->type == COL_LONG)
        return w->longs[a] == w->longs[b];
    if (l->type == COL_DOUBLE)
        return memcmp(&w->doubles[a], &w->doubles[b], 8) == 0;
    return w->texts[a].n == w->texts[b].n &&
           (w->texts[a].p == w->texts[b].p || memcmp(w->texts[a].p, w->texts[b].p, w->texts[a].n) == 0);
}

/* Fills w->index with one entry number a value; false where a dictionary does not pay. */
static bool build_dictionary(struct pq_writer *w, const struct leaf *l)
{
    size_t bytes = 0;
    w->n_dict = 0;
    w->index.n = 0;
    if (l->type == COL_BOOL || w->n_values < 2)
        return false;
    if (!w->slots) {
        w->n_slots = DICT_ENTRIES_MAX * 2;
        w->slots = mem_array(w->n_slots, sizeof *w->slots);
        w->dict_values = mem_array(DICT_ENTRIES_MAX, sizeof *w->dict_values);
    }
    uint32_t mask = 1023;
    while (mask + 1 < w->n_slots && mask < w->n_values * 2u)
        mask = mask * 2 + 1;
    memset(w->slots, 0, (mask + 1u) * sizeof *w->slots);
    uint32_t *to = (uint32_t *)(void *)buf_reserve(&w->index, (size_t)w->n_values * 4);
    for (uint32_t i = 0; i < w->n_values; i++) {
        if (i && l->type == COL_BYTES && w->texts[i].p == w->texts[i - 1].p &&
            w->texts[i].n == w->texts[i - 1].n) { /* a constant's run */
            to[i] = to[i - 1];
            continue;
        }
        uint32_t at = (uint32_t)value_hash(w, l, i) & mask;
        while (w->slots[at] && !value_same(w, l, w->dict_values[w->slots[at] - 1], i))
            at = (at + 1) & mask;
        if (!w->slots[at]) {
            bytes += l->type == COL_BYTES ? 4u + w->texts[i].n : l->width;
            if (w->n_dict == DICT_ENTRIES_MAX || w->n_dict * 4 > (mask + 1) * 3 || bytes > w->o.dict_bytes)
                return false;
            w->dict_values[w->n_dict++] = i;
            w->slots[at] = w->n_dict;
        }
        to[i] = w->slots[at] - 1;
        if (i + 1 == DICT_SAMPLE && w->n_dict > DICT_SAMPLE / 2)
            return false;
    }
    return w->n_dict < w->n_values / 2 + 1;
}

/* ---- plain values ---- */

static void plain(struct pq_writer *w, const struct leaf *l, struct buf *out, uint32_t i)
{
    if (l->type == COL_BYTES) {
        uint8_t *to = buf_reserve(out, 4u + w->texts[i].n);
        memcpy(to, &w->texts[i].n, 4);
        memcpy(to + 4, w->texts[i].p, w->texts[i].n);
        out->n += 4u + w->texts[i].n;
    } else if (l->type == COL_DOUBLE) {
        buf_put(out, &w->doubles[i], 8);
    } else if (l->width == 4) {
        int32_t v = (int32_t)w->longs[i];
        buf_put(out, &v, 4);
    } else {
        buf_put(out, &w->longs[i], 8);
    }
}

static void plain_range(struct pq_writer *w, const struct leaf *l, struct buf *out, uint32_t from, uint32_t to)
{
    if (l->type == COL_BOOL) {
        for (uint32_t i = from; i < to; i += 8) {
            uint8_t b = 0;
            for (uint32_t k = 0; k < 8 && i + k < to; k++)
                b |= (uint8_t)(w->bools[i + k] << k);
            buf_putc(out, b);
        }
    } else if (l->type == COL_LONG && l->width == 8) {
        buf_put(out, w->longs + from, (to - from) * sizeof *w->longs);
    } else if (l->type == COL_DOUBLE) {
        buf_put(out, w->doubles + from, (to - from) * sizeof *w->doubles);
    } else {
        for (uint32_t i = from; i < to; i++)
            plain(w, l, out, i);
    }
}

/* ---- statistics ---- */

static int text_cmp(struct text a, struct text b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

struct range {
    bool any;
    int64_t min_long, max_long;
    double min_double, max_double;
    struct text min_text, max_text;
    int64_t nans;
};

static void range_add(const struct pq_writer *w, const struct leaf *l, struct range *r, uint32_t i)
{
    if (l->type == COL_BYTES) {
        struct text t = w->texts[i];
        if (!r->any || text_cmp(t, r->min_text) < 0)
            r->min_text = t;
        if (!r->any || text_cmp(t, r->max_text) > 0)
            r->max_text = t;
    } else if (l->type == COL_DOUBLE) {
        double v = w->doubles[i];
        if (!r->any || v < r->min_double)
            r->min_double = v;
        if (!r->any || v > r->max_double)
            r->max_double = v;
    } else {
        int64_t v = l->type == COL_BOOL ? w->bools[i] : w->longs[i];
        if (!r->any || v < r->min_long)
            r->min_long = v;
        if (!r->any || v > r->max_long)
            r->max_long = v;
    }
    r->any = true;
}

static struct range value_range(const struct pq_writer *w, const struct leaf *l, bool dictionary)
{
    struct range r = {0};
    uint32_t n = dictionary ? w->n_dict : w->n_values;
    for (uint32_t i = 0; i < n; i++)
        range_add(w, l, &r, dictionary ? w->dict_values[i] : i);
    if (l->type == COL_DOUBLE && r.any) { /* zero's sign is no bound */
        r.min_double = r.min_double == 0 ? -0.0 : r.min_double;
        r.max_double = r.max_double == 0 ? 0.0 : r.max_double;
    }
    return r;
}

static uint8_t fixed_bytes(const struct leaf *l, int64_t number, double real, uint8_t *out)
{
    int32_t small = (int32_t)number;
    if (l->type == COL_DOUBLE)
        memcpy(out, &real, 8);
    else if (l->type == COL_BOOL)
        out[0] = (uint8_t)number;
    else if (l->width == 4)
        memcpy(out, &small, 4);
    else
        memcpy(out, &number, 8);
    return l->width;
}

static void chunk_stats(const struct leaf *l, const struct range *r, struct chunk *c)
{
    c->has_stats = r->any;
    c->exact = true;
    if (!r->any)
        return;
    if (l->type != COL_BYTES) {
        c->min_n = fixed_bytes(l, r->min_long, r->min_double, c->min);
        c->max_n = fixed_bytes(l, r->max_long, r->max_double, c->max);
        return;
    }
    if (r->min_text.n > STAT_MAX || r->max_text.n > STAT_MAX) {
        c->has_stats = false; /* long texts: Iceberg's own bounds are enough */
        return;
    }
    if ((c->min_n = (uint8_t)r->min_text.n) != 0)
        memcpy(c->min, r->min_text.p, c->min_n);
    if ((c->max_n = (uint8_t)r->max_text.n) != 0)
        memcpy(c->max, r->max_text.p, c->max_n);
}

static void keep_text(uint8_t **to, uint32_t *to_n, struct text t)
{
    uint32_t n = t.n < 128 ? t.n : 128; /* enough for 16 code points */
    free(*to);
    *to = mem_alloc(n);
    if (n)
        memcpy(*to, t.p, n);
    *to_n = n;
}

static void file_range(struct leaf *l, const struct range *r)
{
    if (!r->any)
        return;
    if (l->type == COL_BYTES) {
        if (!l->any || text_cmp(r->min_text, (struct text){l->min_text, l->min_n}) < 0)
            keep_text(&l->min_text, &l->min_n, r->min_text);
        if (!l->any || text_cmp(r->max_text, (struct text){l->max_text, l->max_n}) > 0)
            keep_text(&l->max_text, &l->max_n, r->max_text);
    }
    l->min_long = !l->any || r->min_long < l->min_long ? r->min_long : l->min_long;
    l->max_long = !l->any || r->max_long > l->max_long ? r->max_long : l->max_long;
    l->min_double = !l->any || r->min_double < l->min_double ? r->min_double : l->min_double;
    l->max_double = !l->any || r->max_double > l->max_double ? r->max_double : l->max_double;
    l->any = true;
}

/* ---- pages ---- */

static int put_page(struct pq_writer *w, struct chunk *c, int type, uint32_t n, int encoding, struct err *e)
{
    int64_t began = clock_thread_cpu_ns();
    struct thrift t = {.out = w->out};
    const struct buf *body = &w->page;
    size_t before = w->out->n;
    if (w->o.zstd_level) {
        size_t bound = ZSTD_compressBound(w->page.n);
        w->packed.n = 0;
        size_t got = ZSTD_compressCCtx(w->zstd, buf_reserve(&w->packed, bound), bound, w->page.p, w->page.n,
                                       w->o.zstd_level);
        if (ZSTD_isError(got))
            return err_set(e, ERR_IO, "zstd: %s", ZSTD_getErrorName(got));
        w->packed.n = got;
        body = &w->packed;
    }
    thrift_i32(&t, 1, type);
    thrift_i32(&t, 2, (int32_t)w->page.n);
    thrift_i32(&t, 3, (int32_t)body->n);
    thrift_open(&t, type == PAGE_DATA ? 5 : 7);
    thrift_i32(&t, 1, (int32_t)n);
    thrift_i32(&t, 2, encoding);
    if (type == PAGE_DATA) {
        thrift_i32(&t, 3, ENC_RLE);
        thrift_i32(&t, 4, ENC_RLE);
    }
    thrift_close(&t);
    thrift_close(&t);
    size_t head = w->out->n - before;
    buf_put(w->out, body->p, body->n);
    c->raw += (int64_t)(head + w->page.n);
    c->packed += (int64_t)(head + body->n);
    w->offset += (int64_t)(head + body->n);
    w->cost->encoded_bytes += (int64_t)w->page.n;
    w->cost->compressed_bytes += (int64_t)body->n;
    w->cost->compress_ns += clock_thread_cpu_ns() - began;
    return 0;
}

static void put_levels(struct buf *page, const uint8_t *levels, uint32_t n, uint8_t max)
{
    size_t at = page->n;
    uint32_t len = 0;
    if (!max)
        return;
    buf_put(page, &len, 4);
    levels_encode8(page, levels, n, levels_width(max));
    len = (uint32_t)(page->n - at - 4);
    memcpy(page->p + at, &len, 4);
}

static int data_page(struct pq_writer *w, const struct leaf *l, struct chunk *c, uint32_t from, uint32_t to,
                     uint32_t value, uint32_t n_values, struct err *e)
{
    w->page.n = 0;
    put_levels(&w->page, w->rep.p + from, to - from, l->max_rep);
    put_levels(&w->page, w->def.p + from, to - from, l->max_def);
    if (c->dictionary) {
        unsigned width = levels_width(w->n_dict - 1);
        buf_putc(&w->page, (uint8_t)width);
        levels_encode32(&w->page, (const uint32_t *)(const void *)w->index.p + value, n_values, width);
    } else {
        plain_range(w, l, &w->page, value, value + n_values);
    }
    c->pages++;
    return put_page(w, c, PAGE_DATA, to - from, c->dictionary ? ENC_RLE_DICTIONARY : ENC_PLAIN, e);
}

static int data_pages(struct pq_writer *w, const struct leaf *l, struct chunk *c, struct err *e)
{
    uint32_t from = 0, value = 0, rows = 0, n_values = 0;
    size_t bytes = 0;
    c->data_offset = w->offset;
    for (uint32_t i = 0; i < w->n_entries; i++) {
        bool starts = !l->max_rep || w->rep.p[i] == 0;
        if (starts && i > from && (rows >= w->o.page_rows || bytes >= w->o.page_bytes)) {
            if (data_page(w, l, c, from, i, value, n_values, e))
                return -1;
            from = i;
            value += n_values;
            rows = n_values = 0;
            bytes = 0;
        }
        rows += starts;
        if (!l->max_def || w->def.p[i] == l->max_def) {
            bytes += c->dictionary ? 2 : l->type == COL_BYTES ? 4u + w->texts[value + n_values].n : l->width;
            n_values++;
        }
    }
    return data_page(w, l, c, from, w->n_entries, value, n_values, e);
}

static int dictionary_page(struct pq_writer *w, const struct leaf *l, struct chunk *c, struct err *e)
{
    c->dict_offset = w->offset;
    w->page.n = 0;
    for (uint32_t i = 0; i < w->n_dict; i++)
        plain(w, l, &w->page, w->dict_values[i]);
    return put_page(w, c, PAGE_DICT, w->n_dict, ENC_PLAIN, e);
}

/* ---- row groups ---- */

void pq_writer_group_begin(struct pq_writer *w, uint32_t rows)
{
    w->groups = mem_regrow(w->groups, w->n_groups + 1, sizeof *w->groups);
    w->groups[w->n_groups] = (struct group){
        .rows = rows, .offset = w->offset, .chunks = mem_array(w->n_leaves, sizeof(struct chunk))};
    w->leaf = 0;
}

int pq_writer_column(struct pq_writer *w, const struct pq_piece *pieces, size_t n, struct err *e)
{
    int64_t began = clock_thread_cpu_ns(), packed = w->cost->compress_ns;
    struct group *g = &w->groups[w->n_groups];
    struct leaf *l = &w->leaves[w->leaf];
    struct chunk *c = &g->chunks[w->leaf];
    struct pq_leaf_stats *st = &w->stats[w->leaf++];
    w->def.n = w->rep.n = 0;
    w->n_entries = w->n_values = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pq_piece *p = &pieces[i];
        uint32_t entries = p->kind == PQ_PIECE_COLUMN ? p->col->n_levels : p->rows;
        if (p->kind == PQ_PIECE_COLUMN)
            invariant(p->col->max_def == l->max_def && p->col->max_rep == l->max_rep && p->col->type == l->type);
        flat_levels(w, l, p, entries);
        flat_values(w, l, p);
    }
    invariant(w->n_values <= w->n_entries);
    c->dictionary = build_dictionary(w, l);
    c->values = w->n_entries;
    c->nulls = (int64_t)w->n_entries - w->n_values;
    struct range r = value_range(w, l, c->dictionary);
    chunk_stats(l, &r, c);
    file_range(l, &r);
    if (c->dictionary && dictionary_page(w, l, c, e))
        return -1;
    if (data_pages(w, l, c, e))
        return -1;
    g->raw += c->raw;
    g->packed += c->packed;
    st->column_bytes += c->packed;
    st->values += c->values;
    st->nulls += c->nulls;
    w->cost->encode_ns += clock_thread_cpu_ns() - began - (w->cost->compress_ns - packed);
    return 0;
}

int pq_writer_group_end(struct pq_writer *w, struct err *e)
{
    if (w->leaf != w->n_leaves)
        return err_set(e, ERR_INVALID, "a row group has %u of %u columns", w->leaf, w->n_leaves);
    w->rows += w->groups[w->n_groups++].rows;
    return 0;
}

/* ---- the footer ---- */

static void logical(struct thrift *t, const struct pq_node *n)
{
    switch (n->type) {
    case PQ_STRING: thrift_open(t, 1); thrift_close(t); break;
    case PQ_LIST: thrift_open(t, 3); thrift_close(t); break;
    case PQ_DECIMAL:
        thrift_open(t, 5);
        thrift_i32(t, 1, n->scale);
        thrift_i32(t, 2, n->precision);
        thrift_close(t);
        break;
    case PQ_DATE: thrift_open(t, 6); thrift_close(t); break;
    default:
        thrift_open(t, 8);
        thrift_bool(t, 1, n->type == PQ_TIMESTAMPTZ);
        thrift_open(t, 2);
        thrift_open(t, 2);
        thrift_close(t);
        thrift_close(t);
        thrift_close(t);
    }
}

static int32_t converted(enum pq_type type)
{
    return type == PQ_STRING ? 0 : type == PQ_LIST ? 3 : type == PQ_DECIMAL ? 5 : type == PQ_DATE ? 6 : type == PQ_TIMESTAMPTZ ? 10 : -1;
}

static uint32_t schema_node(struct pq_writer *w, struct thrift *t, uint32_t at, uint32_t *elements)
{
    const struct pq_node *n = &w->schema.nodes[at++];
    bool group = n->type == PQ_GROUP || n->type == PQ_LIST;
    ++*elements;
    if (t) {
        struct leaf l = {.node = n};
        leaf_types(&l);
        thrift_item_open(t);
        if (!group)
            thrift_i32(t, 1, l.physical);
        thrift_i32(t, 3, n->required ? 0 : 1);
        thrift_bytes(t, 4, n->name, strlen(n->name));
        if (group)
            thrift_i32(t, 5, n->type == PQ_LIST ? 1 : (int32_t)n->n_children);
        if (converted(n->type) >= 0)
            thrift_i32(t, 6, converted(n->type));
        if (n->type == PQ_DECIMAL) {
            thrift_i32(t, 7, n->scale);
            thrift_i32(t, 8, n->precision);
        }
        thrift_i32(t, 9, n->field_id);
        if (converted(n->type) >= 0 || n->type == PQ_TIMESTAMP) {
            thrift_open(t, 10);
            logical(t, n);
            thrift_close(t);
        }
        thrift_close(t);
    }
    if (n->type == PQ_LIST) {
        ++*elements;
        if (t) {
            thrift_item_open(t);
            thrift_i32(t, 3, 2);
            thrift_bytes(t, 4, "list", 4);
            thrift_i32(t, 5, 1);
            thrift_close(t);
        }
    }
    for (uint32_t i = 0; group && i < n->n_children; i++)
        at = schema_node(w, t, at, elements);
    return at;
}

static void write_schema(struct pq_writer *w, struct thrift *t)
{
    uint32_t elements = 1, ignored = 0;
    for (uint32_t at = 0; at < w->schema.n_nodes;)
        at = schema_node(w, NULL, at, &elements);
    thrift_list(t, 2, THRIFT_STRUCT, elements);
    thrift_item_open(t);
    thrift_bytes(t, 4, "table", 5);
    thrift_i32(t, 5, (int32_t)w->schema.n_roots);
    thrift_close(t);
    for (uint32_t at = 0; at < w->schema.n_nodes;)
        at = schema_node(w, t, at, &ignored);
}

static void write_path(struct thrift *t, const struct leaf *l)
{
    size_t parts = 0;
    for (uint32_t i = 0; i < l->path_n; i++)
        parts += l->path[i] == '\0';
    thrift_list(t, 3, THRIFT_BINARY, parts);
    for (const char *p = l->path; parts--; p += strlen(p) + 1)
        thrift_item_bytes(t, p, strlen(p));
}

static void write_chunk(const struct pq_writer *w, struct thrift *t, const struct leaf *l, const struct chunk *c)
{
    thrift_item_open(t);
    thrift_i64(t, 2, 0);
    thrift_open(t, 3);
    thrift_i32(t, 1, l->physical);
    thrift_list(t, 2, THRIFT_I32, c->dictionary ? 3 : 2);
    thrift_item_i32(t, ENC_PLAIN);
    thrift_item_i32(t, ENC_RLE);
    if (c->dictionary)
        thrift_item_i32(t, ENC_RLE_DICTIONARY);
    write_path(t, l);
    thrift_i32(t, 4, w->o.zstd_level ? CODEC_ZSTD : CODEC_NONE);
    thrift_i64(t, 5, c->values);
    thrift_i64(t, 6, c->raw);
    thrift_i64(t, 7, c->packed);
    thrift_i64(t, 9, c->data_offset);
    if (c->dictionary)
        thrift_i64(t, 11, c->dict_offset);
    thrift_open(t, 12);
    thrift_i64(t, 3, c->nulls);
    if (c->has_stats) {
        thrift_bytes(t, 5, c->max, c->max_n);
        thrift_bytes(t, 6, c->min, c->min_n);
        thrift_bool(t, 7, c->exact);
        thrift_bool(t, 8, c->exact);
    }
    thrift_close(t);
    thrift_list(t, 13, THRIFT_STRUCT, c->dictionary ? 2 : 1);
    for (int page = c->dictionary ? PAGE_DICT : PAGE_DATA; page >= 0; page -= 2) {
        thrift_item_open(t);
        thrift_i32(t, 1, page);
        thrift_i32(t, 2, page == PAGE_DATA && c->dictionary ? ENC_RLE_DICTIONARY : ENC_PLAIN);
        thrift_i32(t, 3, page == PAGE_DATA ? c->pages : 1);
        thrift_close(t);
    }
    thrift_close(t);
    thrift_close(t);
}

static void write_groups(struct pq_writer *w, struct thrift *t)
{
    thrift_list(t, 4, THRIFT_STRUCT, w->n_groups);
    w->splits = mem_array(w->n_groups, sizeof *w->splits);
    for (uint32_t i = 0; i < w->n_groups; i++) {
        const struct group *g = &w->groups[i];
        w->splits[i] = g->offset;
        thrift_item_open(t);
        thrift_list(t, 1, THRIFT_STRUCT, w->n_leaves);
        for (uint32_t k = 0; k < w->n_leaves; k++)
            write_chunk(w, t, &w->leaves[k], &g->chunks[k]);
        thrift_i64(t, 2, g->raw);
        thrift_i64(t, 3, g->rows);
        thrift_i64(t, 5, g->offset);
        thrift_i64(t, 6, g->packed);
        thrift_i16(t, 7, (int16_t)i);
        thrift_close(t);
    }
}

/* A text's first 16 code points; for an upper bound the last one that can be is put one up. */
static bool cut_text(const uint8_t *p, uint32_t n, bool upper, uint8_t *out, uint8_t *out_n)
{
    uint32_t at = 0, points = 0;
    while (at < n && points < 16) {
        at++;
        while (at < n && (p[at] & 0xc0) == 0x80)
            at++;
        points++;
    }
    memcpy(out, p, at);
    *out_n = (uint8_t)at;
    if (!upper || at == n)
        return true;
    while (*out_n) {
        uint8_t last = (uint8_t)(*out_n - 1), from = last;
        while (from && (out[from] & 0xc0) == 0x80)
            from--;
        if (from == last && out[last] < 0x7f) { /* ASCII: the next character */
            out[last]++;
            return true;
        }
        if (from != last && out[last] < 0xbf) {
            out[last]++;
            if (json_utf8_valid(out, *out_n))
                return true;
        }
        *out_n = from;
    }
    return false;
}

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

static void leaf_bounds(const struct leaf *l, struct pq_leaf_stats *st)
{
    st->has_bounds = l->any && !l->max_rep;
    if (!st->has_bounds)
        return;
    if (l->node->type == PQ_STRING) {
        st->has_bounds = cut_text(l->min_text, l->min_n, false, st->lower, &st->lower_n) &&
                         cut_text(l->max_text, l->max_n, true, st->upper, &st->upper_n);
    } else if (l->type == COL_BYTES) {
        st->has_bounds = false;
    } else if (l->node->type == PQ_DECIMAL) {
        st->lower_n = decimal_bytes(l->min_long, st->lower);
        st->upper_n = decimal_bytes(l->max_long, st->upper);
    } else {
        st->lower_n = fixed_bytes(l, l->min_long, l->min_double, st->lower);
        st->upper_n = fixed_bytes(l, l->max_long, l->max_double, st->upper);
    }
}

int pq_writer_finish(struct pq_writer *w, struct err *e)
{
    struct thrift t = {.out = w->out};
    size_t from = w->out->n, pairs = 0;
    (void)e;
    thrift_i32(&t, 1, 1);
    write_schema(w, &t);
    thrift_i64(&t, 3, w->rows);
    write_groups(w, &t);
    while (w->o.kv && w->o.kv[pairs * 2])
        pairs++;
    if (pairs) {
        thrift_list(&t, 5, THRIFT_STRUCT, pairs);
        for (size_t i = 0; i < pairs; i++) {
            thrift_item_open(&t);
            thrift_bytes(&t, 1, w->o.kv[i * 2], strlen(w->o.kv[i * 2]));
            thrift_bytes(&t, 2, w->o.kv[i * 2 + 1], strlen(w->o.kv[i * 2 + 1]));
            thrift_close(&t);
        }
    }
    if (w->o.created_by)
        thrift_bytes(&t, 6, w->o.created_by, strlen(w->o.created_by));
    thrift_list(&t, 7, THRIFT_STRUCT, w->n_leaves);
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        thrift_item_open(&t);
        thrift_open(&t, 1);
        thrift_close(&t);
        thrift_close(&t);
        leaf_bounds(&w->leaves[i], &w->stats[i]);
    }
    buf_putc(w->out, 0);
    uint32_t len = (uint32_t)(w->out->n - from);
    buf_put(w->out, &len, 4);
    buf_put(w->out, "PAR1", 4);
    w->offset += (int64_t)len + 8;
    return 0;
}

const struct pq_leaf_stats *pq_writer_stats(const struct pq_writer *w, uint32_t *n)
{
    *n = w->n_leaves;
    return w->stats;
}

const int64_t *pq_writer_split_offsets(const struct pq_writer *w, uint32_t *n)
{
    *n = w->n_groups;
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
