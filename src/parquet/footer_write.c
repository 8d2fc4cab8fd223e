/* The end of a file: for each chunk its column index and offset index, then the footer, its length,
 * the magic. Structs and field numbers are those of parquet.thrift. */
#include <string.h>

#include "codec/thrift.h"
#include "parquet/writer_int.h"

/* ---- page index ---- */

static void column_index(const struct pq_writer *w, const struct chunk *c, struct thrift *t)
{
    const struct page_entry *p = w->pages + c->page;
    const uint8_t *bounds = w->bounds.p;
    thrift_list(t, 1, THRIFT_TRUE, c->n_pages);
    for (uint32_t i = 0; i < c->n_pages; i++)
        thrift_item_bool(t, p[i].empty);
    thrift_list(t, 2, THRIFT_BINARY, c->n_pages);
    for (uint32_t i = 0; i < c->n_pages; i++)
        thrift_item_bytes(t, bounds + p[i].bounds.at, p[i].bounds.min_n);
    thrift_list(t, 3, THRIFT_BINARY, c->n_pages);
    for (uint32_t i = 0; i < c->n_pages; i++)
        thrift_item_bytes(t, bounds + p[i].bounds.at + p[i].bounds.min_n, p[i].bounds.max_n);
    thrift_i32(t, 4, c->ascending ? 1 : c->descending ? 2 : 0);
    thrift_list(t, 5, THRIFT_I64, c->n_pages);
    for (uint32_t i = 0; i < c->n_pages; i++)
        thrift_item_i64(t, p[i].nulls);
    buf_putc(t->out, 0);
}

static void offset_index(const struct pq_writer *w, const struct chunk *c, struct thrift *t)
{
    const struct page_entry *p = w->pages + c->page;
    thrift_list(t, 1, THRIFT_STRUCT, c->n_pages);
    for (uint32_t i = 0; i < c->n_pages; i++) {
        thrift_item_open(t);
        thrift_i64(t, 1, p[i].offset);
        thrift_i32(t, 2, p[i].size);
        thrift_i64(t, 3, p[i].first_row);
        thrift_close(t);
    }
    buf_putc(t->out, 0);
}

typedef void index_fn(const struct pq_writer *w, const struct chunk *c, struct thrift *t);

static void put_index(struct pq_writer *w, const struct chunk *c, index_fn *fn, int64_t *at,
                      int32_t *n)
{
    struct thrift t = {.out = w->out};
    size_t before = w->out->n;
    fn(w, c, &t);
    *at = w->offset;
    *n = (int32_t)(w->out->n - before);
    w->offset += *n;
}

static void put_indexes(struct pq_writer *w)
{
    for (uint32_t g = 0; g < w->n_groups; g++)
        for (uint32_t i = 0; i < w->n_leaves; i++) {
            struct chunk *c = &w->groups[g].chunks[i];
            if (!c->no_column_index)
                put_index(w, c, column_index, &c->column_index, &c->column_index_n);
        }
    for (uint32_t g = 0; g < w->n_groups; g++)
        for (uint32_t i = 0; i < w->n_leaves; i++) {
            struct chunk *c = &w->groups[g].chunks[i];
            put_index(w, c, offset_index, &c->offset_index, &c->offset_index_n);
        }
}

/* ---- schema ---- */

/* LogicalType, a union: one field that says which, a struct that may be empty. */
static void logical(struct thrift *t, const struct pq_node *n)
{
    static const uint8_t fields[] = {[PQ_STRING] = 1, [PQ_LIST] = 3,        [PQ_DECIMAL] = 5,
                                     [PQ_DATE] = 6,   [PQ_TIMESTAMPTZ] = 8, [PQ_TIMESTAMP] = 8};
    thrift_open(t, fields[n->type]);
    if (n->type == PQ_DECIMAL) {
        thrift_i32(t, 1, n->scale);
        thrift_i32(t, 2, n->precision);
    } else if (n->type == PQ_TIMESTAMPTZ || n->type == PQ_TIMESTAMP) {
        thrift_bool(t, 1, n->type == PQ_TIMESTAMPTZ);
        thrift_open(t, 2); /* the unit: MICROS */
        thrift_open(t, 2);
        thrift_close(t);
        thrift_close(t);
    }
    thrift_close(t);
}

/* ConvertedType, or -1. A timestamp without a zone has none: TIMESTAMP_MICROS means UTC. */
static int32_t converted(enum pq_type type)
{
    switch (type) {
    case PQ_STRING:
        return 0;
    case PQ_LIST:
        return 3;
    case PQ_DECIMAL:
        return 5;
    case PQ_DATE:
        return 6;
    case PQ_TIMESTAMPTZ:
        return 10;
    default:
        return -1;
    }
}

static void put_element(struct thrift *t, const struct pq_node *n, const struct leaf *l)
{
    bool group = n->type == PQ_GROUP || n->type == PQ_LIST;
    int32_t old = converted(n->type);
    thrift_item_open(t);
    if (!group)
        thrift_i32(t, 1, (int32_t)l->physical);
    thrift_i32(t, 3, n->required ? 0 : 1);
    thrift_bytes(t, 4, n->name, strlen(n->name));
    if (group)
        thrift_i32(t, 5, n->type == PQ_LIST ? 1 : (int32_t)n->n_children);
    if (old >= 0)
        thrift_i32(t, 6, old);
    if (n->type == PQ_DECIMAL) {
        thrift_i32(t, 7, n->scale);
        thrift_i32(t, 8, n->precision);
    }
    thrift_i32(t, 9, n->field_id);
    if (old >= 0 || n->type == PQ_TIMESTAMP) {
        thrift_open(t, 10);
        logical(t, n);
        thrift_close(t);
    }
    thrift_close(t);
    if (n->type == PQ_LIST) { /* the repeated group in the middle, which has no field id */
        thrift_item_open(t);
        thrift_i32(t, 3, 2);
        thrift_bytes(t, 4, "list", 4);
        thrift_i32(t, 5, 1);
        thrift_close(t);
    }
}

static void put_schema(const struct pq_writer *w, struct thrift *t)
{
    size_t elements = 1;
    const struct leaf *l = w->leaves;
    for (uint32_t i = 0; i < w->schema.n_nodes; i++)
        elements += w->schema.nodes[i].type == PQ_LIST ? 2 : 1;
    thrift_list(t, 2, THRIFT_STRUCT, elements);
    thrift_item_open(t);
    thrift_bytes(t, 4, "table", 5);
    thrift_i32(t, 5, (int32_t)w->schema.n_roots);
    thrift_close(t);
    for (uint32_t i = 0; i < w->schema.n_nodes; i++) { /* depth first, as both are */
        const struct pq_node *n = &w->schema.nodes[i];
        put_element(t, n, l);
        l += n->type != PQ_GROUP && n->type != PQ_LIST;
    }
}

/* ---- row groups ---- */

static void put_path(struct thrift *t, const struct leaf *l)
{
    size_t parts = 0;
    for (uint32_t i = 0; i < l->path_n; i++)
        parts += l->path[i] == '\0';
    thrift_list(t, 3, THRIFT_BINARY, parts);
    for (const char *p = l->path; parts--; p += strlen(p) + 1)
        thrift_item_bytes(t, p, strlen(p));
}

static void put_statistics(struct thrift *t, const struct pq_writer *w, const struct chunk *c)
{
    const uint8_t *bounds = w->bounds.p + c->bounds.at;
    thrift_open(t, 12);
    thrift_i64(t, 3, c->nulls);
    if (c->has_max)
        thrift_bytes(t, 5, bounds + c->bounds.min_n, c->bounds.max_n);
    if (c->has_min)
        thrift_bytes(t, 6, bounds, c->bounds.min_n);
    if (c->has_max)
        thrift_bool(t, 7, c->max_exact);
    if (c->has_min)
        thrift_bool(t, 8, c->min_exact);
    thrift_close(t);
}

static void put_encoding_stats(struct thrift *t, enum footer_page page, int32_t encoding,
                               uint32_t count)
{
    thrift_item_open(t);
    thrift_i32(t, 1, (int32_t)page);
    thrift_i32(t, 2, encoding);
    thrift_i32(t, 3, (int32_t)count);
    thrift_close(t);
}

static void put_meta(struct thrift *t, const struct pq_writer *w, const struct leaf *l, const struct chunk *c)
{
    thrift_open(t, 3);
    thrift_i32(t, 1, (int32_t)l->physical);
    thrift_list(t, 2, THRIFT_I32, c->dictionary ? 3 : 2);
    thrift_item_i32(t, ENCODING_PLAIN);
    thrift_item_i32(t, ENCODING_RLE);
    if (c->dictionary)
        thrift_item_i32(t, ENCODING_RLE_DICTIONARY);
    put_path(t, l);
    thrift_i32(t, 4, c->codec);
    thrift_i64(t, 5, c->values);
    thrift_i64(t, 6, c->raw);
    thrift_i64(t, 7, c->packed);
    thrift_i64(t, 9, c->data_offset);
    if (c->dictionary)
        thrift_i64(t, 11, c->dict_offset);
    put_statistics(t, w, c);
    thrift_list(t, 13, THRIFT_STRUCT, c->dictionary ? 2 : 1);
    if (c->dictionary)
        put_encoding_stats(t, PAGE_DICTIONARY, ENCODING_PLAIN, 1);
    put_encoding_stats(t, PAGE_DATA, c->dictionary ? ENCODING_RLE_DICTIONARY : ENCODING_PLAIN,
                       c->n_pages);
    thrift_close(t);
}

static void put_chunk(struct thrift *t, const struct pq_writer *w, const struct leaf *l, const struct chunk *c)
{
    thrift_item_open(t);
    thrift_i64(t, 2, 0); /* file_offset: given up by the format, must be there */
    put_meta(t, w, l, c);
    thrift_i64(t, 4, c->offset_index);
    thrift_i32(t, 5, c->offset_index_n);
    if (!c->no_column_index) {
        thrift_i64(t, 6, c->column_index);
        thrift_i32(t, 7, c->column_index_n);
    }
    thrift_close(t);
}

static void put_groups(const struct pq_writer *w, struct thrift *t)
{
    thrift_list(t, 4, THRIFT_STRUCT, w->n_groups);
    for (uint32_t i = 0; i < w->n_groups; i++) {
        const struct group *g = &w->groups[i];
        thrift_item_open(t);
        thrift_list(t, 1, THRIFT_STRUCT, w->n_leaves);
        for (uint32_t k = 0; k < w->n_leaves; k++)
            put_chunk(t, w, &w->leaves[k], &g->chunks[k]);
        thrift_i64(t, 2, g->raw);
        thrift_i64(t, 3, g->rows);
        thrift_i64(t, 5, g->offset);
        thrift_i64(t, 6, g->packed);
        if (i <= INT16_MAX)
            thrift_i16(t, 7, (int16_t)i);
        thrift_close(t);
    }
}

/* ---- the whole ---- */

static void put_pairs(const struct pq_writer *w, struct thrift *t)
{
    const char *const *kv = w->o.kv;
    size_t n = 0;
    while (kv && kv[n * 2])
        n++;
    if (!n)
        return;
    thrift_list(t, 5, THRIFT_STRUCT, n);
    for (; n--; kv += 2) {
        thrift_item_open(t);
        thrift_bytes(t, 1, kv[0], strlen(kv[0]));
        thrift_bytes(t, 2, kv[1], strlen(kv[1]));
        thrift_close(t);
    }
}

int footer_write(struct pq_writer *w, struct err *e)
{
    struct thrift t = {.out = w->out};
    put_indexes(w);
    size_t before = w->out->n;
    thrift_i32(&t, 1, 1);
    put_schema(w, &t);
    thrift_i64(&t, 3, w->rows);
    put_groups(w, &t);
    put_pairs(w, &t);
    if (w->o.created_by)
        thrift_bytes(&t, 6, w->o.created_by, strlen(w->o.created_by));
    thrift_list(&t, 7, THRIFT_STRUCT, w->n_leaves); /* column_orders: TYPE_ORDER */
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        thrift_item_open(&t);
        thrift_open(&t, 1);
        thrift_close(&t);
        thrift_close(&t);
    }
    buf_putc(w->out, 0);
    size_t n = w->out->n - before;
    if (n > FOOTER_BYTES_MAX)
        return err_set(e, ERR_INVALID, "a Parquet footer of %zu bytes", n);
    uint32_t len = (uint32_t)n;
    buf_put(w->out, &len, 4);
    buf_put(w->out, "PAR1", 4);
    w->offset += (int64_t)len + 8;
    return 0;
}
