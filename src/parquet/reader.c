/* The reader: whole column chunks of files as inlet writes them (data pages v1; PLAIN and RLE_DICTIONARY;
 * zstd or none), for flat columns. Every length is checked against what is there. See parquet.h. */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "parquet/levels.h"
#include "parquet/parquet.h"

#define FOOTER_MAX (64 << 20)
#define CHUNK_MAX ((int64_t)1 << 30)
#define DEPTH_MAX 32

struct chunk {
    int64_t values, offset, bytes;
    int32_t codec;
};
struct node {
    int32_t field_id, type, children, repetition;
};
struct pq_reader {
    pq_read_fn *read;
    void *ctx;
    struct node *nodes;
    uint32_t n_nodes, n_leaves;
    uint32_t *leaves; /* node of each leaf */
    int64_t rows;
    int64_t *group_rows;
    struct chunk *chunks; /* group after group */
    uint32_t n_groups, n_chunks;
};

/* ---- Thrift's compact protocol, read ---- */

struct in {
    const uint8_t *p, *end;
    bool bad;
    int depth;
};

static uint64_t varint(struct in *i)
{
    uint64_t v = 0;
    for (unsigned shift = 0; i->p < i->end && shift < 64; shift += 7) {
        uint8_t b = *i->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    i->bad = true;
    return 0;
}

static int64_t zigzag(struct in *i)
{
    uint64_t v = varint(i);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* The next field's type, 0 at the end of the struct; *id moves on. */
static unsigned field(struct in *i, int *id)
{
    if (i->p >= i->end)
        i->bad = true;
    if (i->bad)
        return 0;
    uint8_t b = *i->p++;
    if (!b)
        return 0;
    *id = b >> 4 ? *id + (b >> 4) : (int)zigzag(i);
    return b & 15;
}

static size_t list(struct in *i, unsigned *type)
{
    if (i->p >= i->end)
        i->bad = true;
    if (i->bad)
        return 0;
    uint8_t b = *i->p++;
    *type = b & 15;
    uint64_t n = b >> 4 == 15 ? varint(i) : b >> 4;
    if (n > (uint64_t)(i->end - i->p))
        i->bad = true;
    return i->bad ? 0 : (size_t)n;
}

static void skip(struct in *i, unsigned type)
{
    unsigned inner = 0;
    int id = 0;
    if (++i->depth > DEPTH_MAX)
        i->bad = true;
    if (!i->bad && type == 3)
        i->p++;
    else if (!i->bad && type >= 4 && type <= 6)
        varint(i);
    else if (!i->bad && type == 7)
        i->p += 8;
    else if (!i->bad && type == 8) {
        uint64_t n = varint(i);
        if (n > (uint64_t)(i->end - i->p))
            i->bad = true;
        else
            i->p += n;
    } else if (!i->bad && (type == 9 || type == 10)) {
        for (size_t n = list(i, &inner); n && !i->bad; n--)
            skip(i, inner < 3 ? 3 : inner);
    } else if (!i->bad && type == 12) {
        while ((inner = field(i, &id)) != 0)
            skip(i, inner);
    } else if (type > 2) {
        i->bad = true;
    }
    if (i->p > i->end)
        i->bad = true;
    i->depth--;
}

/* ---- the footer ---- */

static void read_node(struct pq_reader *r, struct in *i)
{
    struct node n = {.field_id = -1, .type = -1};
    int id = 0;
    for (unsigned t; (t = field(i, &id)) != 0;) {
        if (id == 1)
            n.type = (int32_t)zigzag(i);
        else if (id == 3)
            n.repetition = (int32_t)zigzag(i);
        else if (id == 5)
            n.children = (int32_t)zigzag(i);
        else if (id == 9)
            n.field_id = (int32_t)zigzag(i);
        else
            skip(i, t);
    }
    r->nodes = mem_regrow(r->nodes, r->n_nodes + 1, sizeof *r->nodes);
    r->nodes[r->n_nodes++] = n;
}

static struct chunk read_meta(struct in *i)
{
    struct chunk c = {0};
    int64_t data = 0, dictionary = 0;
    int id = 0;
    for (unsigned t; (t = field(i, &id)) != 0;) {
        if (id == 4)
            c.codec = (int32_t)zigzag(i);
        else if (id == 5)
            c.values = zigzag(i);
        else if (id == 7)
            c.bytes = zigzag(i);
        else if (id == 9)
            data = zigzag(i);
        else if (id == 11)
            dictionary = zigzag(i);
        else
            skip(i, t);
    }
    c.offset = dictionary > 0 && dictionary < data ? dictionary : data;
    return c;
}

static void read_chunk(struct pq_reader *r, struct in *i)
{
    struct chunk c = {0};
    int id = 0;
    for (unsigned t; (t = field(i, &id)) != 0;) {
        if (id == 3)
            c = read_meta(i);
        else
            skip(i, t);
    }
    r->chunks = mem_regrow(r->chunks, r->n_chunks + 1, sizeof *r->chunks);
    r->chunks[r->n_chunks++] = c;
}

static void read_group(struct pq_reader *r, struct in *i)
{
    unsigned inner;
    int id = 0;
    r->group_rows = mem_regrow(r->group_rows, r->n_groups + 1, sizeof *r->group_rows);
    r->group_rows[r->n_groups] = 0;
    for (unsigned t; (t = field(i, &id)) != 0;) {
        if (id == 1)
            for (size_t n = list(i, &inner); n && !i->bad; n--)
                read_chunk(r, i);
        else if (id == 3)
            r->group_rows[r->n_groups] = zigzag(i);
        else
            skip(i, t);
    }
    r->n_groups++;
}

static int read_footer(struct pq_reader *r, const uint8_t *p, size_t n, struct err *e)
{
    struct in i = {p, p + n, false, 0};
    unsigned inner;
    int id = 0;
    for (unsigned t; (t = field(&i, &id)) != 0;) {
        if (id == 2)
            for (size_t k = list(&i, &inner); k && !i.bad; k--)
                read_node(r, &i);
        else if (id == 3)
            r->rows = zigzag(&i);
        else if (id == 4)
            for (size_t k = list(&i, &inner); k && !i.bad; k--)
                read_group(r, &i);
        else
            skip(&i, t);
    }
    for (uint32_t k = 1; k < r->n_nodes; k++)
        if (!r->nodes[k].children) {
            r->leaves = mem_regrow(r->leaves, r->n_leaves + 1, sizeof *r->leaves);
            r->leaves[r->n_leaves++] = k;
        }
    if (i.bad || r->n_chunks != r->n_groups * r->n_leaves)
        return err_set(e, ERR_INVALID, "its footer is damaged");
    return 0;
}

struct pq_reader *pq_reader_open(pq_read_fn *read, void *ctx, int64_t file_size, struct err *e)
{
    uint8_t tail[8];
    uint32_t n;
    struct pq_reader *r = mem_zalloc(sizeof *r);
    uint8_t *footer = NULL;
    r->read = read;
    r->ctx = ctx;
    if (file_size < 12 || read(ctx, file_size - 8, tail, 8, e)) {
        if (file_size < 12)
            err_set(e, ERR_INVALID, "it is too short for a Parquet file");
        goto fail;
    }
    memcpy(&n, tail, 4);
    if (memcmp(tail + 4, "PAR1", 4) != 0 || n > FOOTER_MAX || (int64_t)n > file_size - 12) {
        err_set(e, ERR_INVALID, "it is no Parquet file, or it is cut short");
        goto fail;
    }
    footer = mem_alloc(n);
    if (read(ctx, file_size - 8 - n, footer, n, e) || read_footer(r, footer, n, e))
        goto fail;
    free(footer);
    return r;
fail:
    free(footer);
    pq_reader_close(r);
    return NULL;
}

void pq_reader_close(struct pq_reader *r)
{
    if (!r)
        return;
    free(r->nodes);
    free(r->leaves);
    free(r->group_rows);
    free(r->chunks);
    free(r);
}

int64_t pq_reader_rows(const struct pq_reader *r)
{
    return r->rows;
}

uint32_t pq_reader_groups(const struct pq_reader *r)
{
    return r->n_groups;
}

int64_t pq_reader_group_rows(const struct pq_reader *r, uint32_t group)
{
    return r->group_rows[group];
}

int pq_reader_leaf_by_id(const struct pq_reader *r, int32_t field_id)
{
    for (uint32_t i = 0; i < r->n_leaves; i++)
        if (r->nodes[r->leaves[i]].field_id == field_id)
            return (int)i;
    return -1;
}

/* ---- pages ---- */

struct page {
    int32_t type, raw, packed, values, encoding;
};

static bool read_page(struct in *i, struct page *g)
{
    int id = 0;
    *g = (struct page){0};
    for (unsigned t; (t = field(i, &id)) != 0;) {
        if (id == 1)
            g->type = (int32_t)zigzag(i);
        else if (id == 2)
            g->raw = (int32_t)zigzag(i);
        else if (id == 3)
            g->packed = (int32_t)zigzag(i);
        else if (id == 5 || id == 7) {
            int inner = 0;
            for (unsigned u; (u = field(i, &inner)) != 0;) {
                if (inner == 1)
                    g->values = (int32_t)zigzag(i);
                else if (inner == 2)
                    g->encoding = (int32_t)zigzag(i);
                else
                    skip(i, u);
            }
        } else {
            skip(i, t);
        }
    }
    return !i->bad && g->raw >= 0 && g->packed >= 0 && g->values >= 0 && g->packed <= i->end - i->p;
}

/* n values of `width` bits of the RLE / bit-packing hybrid. */
static bool hybrid(struct in *i, unsigned width, uint32_t *out, uint32_t n)
{
    uint32_t at = 0;
    while (at < n && !i->bad) {
        uint64_t head = varint(i);
        if (head & 1) {
            uint64_t bits = 0, values = (head >> 1) * 8, bytes = (head >> 1) * width;
            unsigned have = 0;
            if (i->bad || head >> 1 > (1u << 28) || bytes > (uint64_t)(i->end - i->p))
                return false;
            const uint8_t *p = i->p;
            for (uint64_t k = 0; k < values && at < n; k++) {
                for (; have < width; have += 8)
                    bits |= (uint64_t)*p++ << have;
                out[at++] = (uint32_t)(bits & (((uint64_t)1 << width) - 1));
                bits >>= width;
                have -= width;
            }
            i->p += bytes;
        } else {
            uint32_t v = 0;
            if (i->end - i->p < (int)((width + 7) / 8))
                return false;
            for (unsigned b = 0; b < width; b += 8)
                v |= (uint32_t)*i->p++ << b;
            for (uint64_t run = head >> 1; run && at < n; run--)
                out[at++] = v;
        }
    }
    return !i->bad;
}

static void put_text(struct column *c, const uint8_t *p, uint32_t n)
{
    if (c->n_values == c->cap_values)
        column_grow_values(c, 1);
    if (c->cap_bytes - c->n_bytes < n)
        column_grow_bytes(c, n);
    c->lens[c->n_values++] = n;
    if (n)
        memcpy(c->bytes + c->n_bytes, p, n);
    c->n_bytes += n;
}

static void put_long(struct column *c, int64_t v)
{
    if (c->n_values == c->cap_values)
        column_grow_values(c, 1);
    c->longs[c->n_values++] = v;
}

static bool plain(struct in *i, struct column *c, uint32_t n)
{
    for (; n; n--) {
        uint32_t len = 8;
        if (i->end - i->p < (c->type == COL_BYTES ? 4 : 8))
            return false;
        if (c->type == COL_BYTES) {
            memcpy(&len, i->p, 4);
            i->p += 4;
            if (len > (uint64_t)(i->end - i->p))
                return false;
            put_text(c, i->p, len);
        } else {
            int64_t v;
            memcpy(&v, i->p, 8);
            put_long(c, v);
        }
        i->p += len;
    }
    return true;
}

static bool from_dictionary(struct in *i, struct column *c, const struct column *d, const size_t *starts, uint32_t n)
{
    if (i->p >= i->end || *i->p > 32)
        return false;
    unsigned width = *i->p++;
    uint32_t *index = mem_array(n, sizeof *index);
    bool ok = hybrid(i, width, index, n);
    for (uint32_t k = 0; ok && k < n; k++) {
        if (index[k] >= d->n_values)
            ok = false;
        else if (c->type == COL_BYTES)
            put_text(c, d->bytes + starts[index[k]], d->lens[index[k]]);
        else
            put_long(c, d->longs[index[k]]);
    }
    free(index);
    return ok;
}

static bool levels(struct in *i, struct column *c, uint32_t n, uint32_t *present)
{
    uint32_t len;
    *present = n;
    if (!c->max_def)
        return true;
    if (i->end - i->p < 4)
        return false;
    memcpy(&len, i->p, 4);
    i->p += 4;
    if (len > (uint64_t)(i->end - i->p))
        return false;
    struct in inner = {i->p, i->p + len, false, 0};
    uint32_t *def = mem_array(n, sizeof *def);
    bool ok = hybrid(&inner, levels_width(c->max_def), def, n);
    column_grow_levels(c, n);
    *present = 0;
    for (uint32_t k = 0; ok && k < n; k++) {
        c->def[c->n_levels + k] = (uint8_t)def[k];
        *present += def[k] == c->max_def;
    }
    i->p += len;
    free(def);
    return ok;
}

static bool take_page(const struct page *g, struct in body, struct column *c, struct column *d, size_t **starts)
{
    uint32_t present, n = (uint32_t)g->values;
    if (g->type == 2) {
        if (!plain(&body, d, n))
            return false;
        *starts = mem_array((size_t)n + 1, sizeof **starts);
        for (uint32_t k = 0; k + 1 < n && d->type == COL_BYTES; k++)
            (*starts)[k + 1] = (*starts)[k] + d->lens[k];
        return true;
    }
    if (g->type != 0 || !levels(&body, c, n, &present))
        return false;
    c->n_levels += n;
    c->rows += n;
    if (g->encoding == 0)
        return plain(&body, c, present);
    return (g->encoding == 8 || g->encoding == 2) && *starts && from_dictionary(&body, c, d, *starts, present);
}

static int read_pages(struct in i, const struct chunk *k, struct column *out, struct err *e)
{
    struct column dictionary;
    size_t *starts = NULL;
    uint8_t *raw = NULL;
    bool ok = true;
    column_init(&dictionary, (enum col_type)out->type, 0, 0);
    while (ok && i.p < i.end && out->n_levels < k->values) {
        struct page g;
        ok = read_page(&i, &g) && g.raw < CHUNK_MAX && g.values <= CHUNK_MAX / 64;
        struct in body = {i.p, i.p + (ok ? g.packed : 0), false, 0};
        if (ok && k->codec == 6) {
            raw = mem_realloc(raw, (size_t)g.raw);
            ok = ZSTD_decompress(raw, (size_t)g.raw, i.p, (size_t)g.packed) == (size_t)g.raw;
            body = (struct in){raw, raw + g.raw, false, 0};
        }
        ok = ok && take_page(&g, body, out, &dictionary, &starts);
        if (ok)
            i.p += g.packed;
    }
    free(raw);
    free(starts);
    column_fini(&dictionary);
    return ok ? 0 : err_set(e, ERR_INVALID, "a column chunk is damaged, or in an encoding that inlet does not read");
}

int pq_reader_column(struct pq_reader *r, uint32_t group, uint32_t leaf, struct column *out, struct err *e)
{
    const struct chunk *k = &r->chunks[group * r->n_leaves + leaf];
    const struct node *n = &r->nodes[r->leaves[leaf]];
    column_init(out, n->type == 6 ? COL_BYTES : COL_LONG, n->repetition == 1, 0);
    if ((n->type != 6 && n->type != 2) || n->repetition == 2 || (k->codec != 0 && k->codec != 6))
        return err_set(e, ERR_INVALID, "a column of a type or codec that inlet does not read");
    if (k->bytes <= 0 || k->bytes > CHUNK_MAX || k->values < 0 || k->values > INT32_MAX)
        return err_set(e, ERR_INVALID, "a column chunk's size cannot be right");
    uint8_t *p = mem_alloc((size_t)k->bytes);
    int rc = r->read(r->ctx, k->offset, p, (size_t)k->bytes, e);
    if (!rc)
        rc = read_pages((struct in){p, p + k->bytes, false, 0}, k, out, e);
    free(p);
    return rc;
}
