/* The reader: the footer at open, then a column chunk at a time, all of it in memory. The input may
 * be any bytes: sizes and offsets are checked before they are used. See parquet.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/compress.h"
#include "codec/thrift.h"
#include "parquet/decode.h"
#include "parquet/footer.h"
#include "parquet/levels.h"
#include "parquet/parquet.h"
#include "parquet/reader.h"

#define CHUNK_VALUES_MAX ((int64_t)1 << 28)
#define CHUNK_BYTES_MAX ((int64_t)2 << 30)
#define PAGE_BYTES_MAX ((int64_t)512 << 20)

struct pq_reader {
    pq_read_fn *read;
    void *ctx;
    int64_t size;
    uint8_t *tail; /* the footer's bytes, which the views point into */
    struct footer footer;
};

struct pq_reader *pq_reader_open(pq_read_fn *read, void *ctx, int64_t file_size, struct err *e)
{
    uint8_t end[8];
    uint32_t len;
    if (file_size < 12) {
        err_set(e, ERR_INVALID, "too short for a Parquet file: %lld bytes", (long long)file_size);
        return NULL;
    }
    if (read(ctx, file_size - 8, end, 8, e))
        return NULL;
    memcpy(&len, end, 4);
    if (memcmp(end + 4, "PAR1", 4) != 0 || len > FOOTER_BYTES_MAX ||
        (int64_t)len > file_size - 12) {
        err_set(e, ERR_INVALID, "not a Parquet file: no footer at its end");
        return NULL;
    }
    struct pq_reader *r = mem_zalloc(sizeof *r);
    r->read = read;
    r->ctx = ctx;
    r->size = file_size;
    r->tail = mem_alloc(len + 1u);
    if (read(ctx, file_size - 8 - (int64_t)len, r->tail, len, e) ||
        footer_parse(&r->footer, r->tail, len, e)) {
        pq_reader_close(r);
        return NULL;
    }
    return r;
}

void pq_reader_close(struct pq_reader *r)
{
    if (!r)
        return;
    footer_fini(&r->footer);
    free(r->tail);
    free(r);
}

const struct footer *reader_footer(const struct pq_reader *r, int64_t *file_size)
{
    *file_size = r->size;
    return &r->footer;
}

int64_t pq_reader_rows(const struct pq_reader *r)
{
    return r->footer.rows;
}

struct str pq_reader_created_by(const struct pq_reader *r)
{
    return r->footer.created_by;
}

uint32_t pq_reader_groups(const struct pq_reader *r)
{
    return r->footer.n_groups;
}

int64_t pq_reader_group_rows(const struct pq_reader *r, uint32_t group)
{
    return group < r->footer.n_groups ? r->footer.groups[group].rows : 0;
}

int pq_reader_leaf_by_id(const struct pq_reader *r, int32_t field_id)
{
    for (uint32_t i = 0; field_id >= 0 && i < r->footer.n_leaves; i++)
        if (r->footer.leaves[i].field_id == field_id)
            return (int)i;
    return -1;
}

int pq_reader_leaf_by_path(const struct pq_reader *r, const char *dotted)
{
    for (uint32_t i = 0; i < r->footer.n_leaves; i++)
        if (strcmp(r->footer.leaves[i].path, dotted) == 0)
            return (int)i;
    return -1;
}

/* ---- pages ---- */

struct page {
    int32_t type, encoding;
    int64_t raw, packed, values;
    int64_t def_bytes, rep_bytes; /* v2 only */
    int32_t def_encoding, rep_encoding;
    bool compressed;
};

struct chunk_in {
    const struct footer_leaf *leaf;
    const struct footer_chunk *meta;
    struct column *out, dict;
    bool has_dict;
    uint8_t *raw; /* a page, unpacked */
    size_t raw_cap;
    struct err *e;
};

static void parse_page_kind(struct thrift_in *in, struct page *p, int16_t kind)
{
    struct thrift_field f = {0};
    while (thrift_next(in, &f)) {
        int64_t v = f.type == THRIFT_STRUCT ? 0 : f.type == THRIFT_BINARY ? 0 : -1;
        if (v == 0) { /* statistics */
            thrift_skip(in, &f);
            continue;
        }
        v = thrift_get_int(in, &f);
        int32_t small = v >= INT32_MIN && v <= INT32_MAX ? (int32_t)v : -1;
        if (f.id == 1)
            p->values = v;
        else if (f.id == (kind == 8 ? 4 : 2))
            p->encoding = small;
        else if (kind == 5 && f.id == 3)
            p->def_encoding = small;
        else if (kind == 5 && f.id == 4)
            p->rep_encoding = small;
        else if (kind == 8 && f.id == 5)
            p->def_bytes = v;
        else if (kind == 8 && f.id == 6)
            p->rep_bytes = v;
        else if (kind == 8 && f.id == 7)
            p->compressed = v != 0;
    }
}

static int parse_page(struct thrift_in *in, struct page *p, struct err *e)
{
    struct thrift_field f = {0};
    *p = (struct page){
        .type = -1, .compressed = true, .def_encoding = ENCODING_RLE, .rep_encoding = ENCODING_RLE};
    while (thrift_next(in, &f)) {
        int64_t *to = f.id == 2 ? &p->raw : f.id == 3 ? &p->packed : NULL;
        if (to)
            *to = thrift_get_int(in, &f);
        else if (f.id == 1)
            p->type = (int32_t)(thrift_get_int(in, &f) & 0xff);
        else if ((f.id == 5 || f.id == 7 || f.id == 8) && f.type == THRIFT_STRUCT)
            parse_page_kind(in, p, f.id);
        else
            thrift_skip(in, &f);
    }
    if (in->bad || p->raw < 0 || p->raw > PAGE_BYTES_MAX || p->packed < 0 ||
        (uint64_t)p->packed > in->n - in->at || p->values < 0 || p->values > CHUNK_VALUES_MAX)
        return err_set(e, ERR_INVALID, "a broken page header");
    return 0;
}

/* The page's bytes without compression; of a v2 page only what lies behind the levels is packed. */
static int unpack_page(struct chunk_in *c, const struct page *p, const uint8_t *body)
{
    size_t levels = 0;
    if (p->type == PAGE_DATA_V2) {
        if (p->def_bytes < 0 || p->rep_bytes < 0 || p->def_bytes > p->packed ||
            p->rep_bytes > p->packed - p->def_bytes || p->def_bytes + p->rep_bytes > p->raw)
            return err_set(c->e, ERR_INVALID, "a broken page header");
        levels = (size_t)(p->def_bytes + p->rep_bytes);
    }
    if (c->raw_cap < (size_t)p->raw) {
        free(c->raw);
        c->raw_cap = (size_t)p->raw;
        c->raw = mem_alloc(c->raw_cap);
    }
    if (levels)
        memcpy(c->raw, body, levels);
    size_t packed = (size_t)p->packed - levels, raw = (size_t)p->raw - levels;
    if (!raw && !packed)
        return 0;
    int codec = p->compressed ? c->meta->codec : COMPRESS_NONE;
    return compress_undo(codec, body + levels, packed, c->raw ? c->raw + levels : NULL, raw, c->e);
}

/* Levels of a page into out's array; `len` SIZE_MAX: the bytes start with their length (v1). */
static int read_levels(struct chunk_in *c, const struct page *p, size_t *at, size_t len,
                       uint8_t max, uint8_t *to, int32_t encoding)
{
    size_t n = (size_t)p->raw;
    uint32_t prefix;
    if (!max)
        return 0;
    if (len == SIZE_MAX) {
        if (encoding != ENCODING_RLE || n - *at < 4)
            return err_set(c->e, ERR_INVALID, "levels that are not RLE, or missing");
        memcpy(&prefix, c->raw + *at, 4);
        *at += 4;
        len = prefix;
    }
    if (len > n - *at ||
        levels_decode8(c->raw + *at, len, levels_width(max), max, to, (size_t)p->values))
        return err_set(c->e, ERR_INVALID, "broken levels");
    *at += len;
    return 0;
}

static int data_page(struct chunk_in *c, const struct page *p)
{
    struct column *o = c->out;
    bool v2 = p->type == PAGE_DATA_V2;
    uint32_t n = (uint32_t)p->values, first = o->n_levels, present = n;
    size_t at = 0;
    if (p->values > c->meta->values - (int64_t)o->n_levels)
        return err_set(c->e, ERR_INVALID, "more values than the footer says");
    if (n == 0)
        return 0;
    if (o->cap_levels - o->n_levels < n)
        column_grow_levels(o, n);
    if (read_levels(c, p, &at, v2 ? (size_t)p->rep_bytes : SIZE_MAX, o->max_rep,
                    o->max_rep ? o->rep + first : NULL, p->rep_encoding))
        return -1;
    if (v2)
        at = (size_t)p->rep_bytes;
    if (read_levels(c, p, &at, v2 ? (size_t)p->def_bytes : SIZE_MAX, o->max_def,
                    o->max_def ? o->def + first : NULL, p->def_encoding))
        return -1;
    if (v2)
        at = (size_t)(p->rep_bytes + p->def_bytes);
    o->n_levels += n;
    for (uint32_t i = first; o->max_def && i < o->n_levels; i++)
        present -= o->def[i] != o->max_def;
    for (uint32_t i = first; o->max_rep && i < o->n_levels; i++)
        o->rows += o->rep[i] == 0;
    o->rows += o->max_rep ? 0 : n;
    const uint8_t *values = c->raw ? c->raw + at : (const uint8_t *)"";
    return decode_values(o, c->leaf, p->encoding, values, (size_t)p->raw - at, present,
                         c->has_dict ? &c->dict : NULL, c->e);
}

static int one_page(struct chunk_in *c, struct thrift_in *in)
{
    struct page p;
    if (parse_page(in, &p, c->e))
        return -1;
    const uint8_t *body = in->p + in->at;
    in->at += (size_t)p.packed;
    if (p.type != PAGE_DATA && p.type != PAGE_DATA_V2 && p.type != PAGE_DICTIONARY)
        return 0; /* an index page: not for us */
    if (unpack_page(c, &p, body))
        return -1;
    if (p.type != PAGE_DICTIONARY)
        return data_page(c, &p);
    if (c->has_dict)
        return err_set(c->e, ERR_INVALID, "two dictionaries");
    c->has_dict = true;
    column_init(&c->dict, (enum col_type)c->out->type, 0, 0);
    return decode_values(&c->dict, c->leaf, ENCODING_PLAIN, c->raw ? c->raw : in->p, (size_t)p.raw,
                         (uint32_t)p.values, NULL, c->e);
}

static int read_chunk(struct pq_reader *r, struct chunk_in *c, uint8_t **bytes)
{
    const struct footer_chunk *m = c->meta;
    int64_t from = m->data_offset;
    if (m->dict_offset > 0 && m->dict_offset < from)
        from = m->dict_offset;
    if (from < 4 || m->packed < 0 || m->packed > CHUNK_BYTES_MAX || from > r->size ||
        m->packed > r->size - from || m->values < 0 || m->values > CHUNK_VALUES_MAX)
        return err_set(c->e, ERR_INVALID, "the chunk lies outside of the file");
    *bytes = mem_alloc((size_t)m->packed + 1);
    if (r->read(r->ctx, from, *bytes, (size_t)m->packed, c->e))
        return -1;
    struct thrift_in in = {.p = *bytes, .n = (size_t)m->packed};
    while ((int64_t)c->out->n_levels < m->values) {
        if (in.at >= in.n)
            return err_set(c->e, ERR_INVALID, "its pages end too soon");
        if (one_page(c, &in))
            return -1;
    }
    return 0;
}

int pq_reader_column(struct pq_reader *r, uint32_t group, uint32_t leaf, struct column *out,
                     struct err *e)
{
    *out = (struct column){0};
    if (group >= r->footer.n_groups || leaf >= r->footer.n_leaves)
        return err_set(e, ERR_INVALID, "no column %u in row group %u", leaf, group);
    const struct footer_leaf *l = &r->footer.leaves[leaf];
    struct chunk_in c = {
        .leaf = l, .meta = &r->footer.groups[group].chunks[leaf], .out = out, .e = e};
    uint8_t *bytes = NULL;
    column_init(out, decode_col_type(l->physical), l->max_def, l->max_rep);
    int rc = read_chunk(r, &c, &bytes);
    if (!rc && out->rows != r->footer.groups[group].rows)
        rc = err_set(e, ERR_INVALID, "%u rows, not %lld", out->rows,
                     (long long)r->footer.groups[group].rows);
    if (rc)
        err_wrap(e, "column %s of row group %u", l->path, group);
    free(bytes);
    free(c.raw);
    column_fini(&c.dict);
    return rc;
}
