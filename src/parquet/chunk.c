/* A column chunk: the pieces of a leaf are cut into pages at row boundaries, and each page is
 * encoded straight from the pieces' arrays; runs of nulls and constants cost nothing by the row.
 *
 * A data page v1, before compression:
 *   [u32 length, repetition levels]  where max_rep > 0
 *   [u32 length, definition levels]  where max_def > 0
 *   values: PLAIN, or [u8 bit width, indices] of the dictionary page in front */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/thrift.h"
#include "parquet/alike.h"
#include "parquet/levels.h"
#include "parquet/writer_int.h"

#define SHRINK_MIN 0.95 /* a first page that stays above this share of its size: no compression */
#define INDICES_MIN 0.85 /* the same of a dictionary's indices, which have little in common */
#define FEW_MIN 128     /* bytes of a dictionary that are worth it beside what is */
#define PACK_MIN 1000   /* bytes of a first page, with its dictionary, that are worth compressing */
#define TRIED_MIN 100   /* values of a chunk that teaches the next ones, */
#define TRIED_MORE 4    /* ... but not those of so many times as many, which may have more repeats */
#define TRY_AGAIN 15    /* chunks until what did not pay is tried again */
#define COMPARED_MIN ((size_t)4 << 10) /* bytes of a page that tells which way of compression is the better */
#define COMPARED_BYTES ((size_t)8 << 10) /* of its values */
#define COMPARE_AGAIN 100
#define TAKEN_OVER 25  /* chunks for which another table's column of that name is believed to be like this one */
#define QUICK_MAX 1.06 /* times as large is well worth the time; */
#define BARE_MAX 1.02  /* ... of this: a ninth of it, at the most */

struct job { /* a chunk under way */
    struct pq_writer *w;
    struct leaf *l;
    struct chunk *c;
    struct err *e;
    struct pq_hint *hint;
    enum way way; /* of the data pages */
    uint64_t values; /* of all pieces */
    size_t head;     /* of the page under way: where its values begin */
    unsigned index_width;
    struct range range; /* of the pages so far */
    struct range last;  /* of the page before that had a value */
    uint32_t rows;      /* of the page under way */
    size_t bytes;       /* of its values, about */
    int64_t first_row;
};

static bool is_text(const struct leaf *l)
{
    return l->node->type == PQ_STRING;
}

/* ---- encoding values ---- */

static void narrow_longs(struct buf *out, const int64_t *v, size_t n)
{
    uint8_t *to = buf_reserve(out, n * 4);
    for (size_t i = 0; i < n; i++) {
        int32_t small = (int32_t)v[i];
        memcpy(to + i * 4, &small, 4);
    }
    out->n += n * 4;
}

static void narrow_doubles(struct buf *out, const double *v, size_t n)
{
    uint8_t *to = buf_reserve(out, n * 4);
    for (size_t i = 0; i < n; i++) {
        float small = (float)v[i];
        memcpy(to + i * 4, &small, 4);
    }
    out->n += n * 4;
}

static void plain_words(const struct leaf *l, struct buf *out, const int64_t *v, size_t n)
{
    if (l->width == 8)
        buf_put(out, v, n * 8);
    else
        narrow_longs(out, v, n);
}

static void plain_reals(const struct leaf *l, struct buf *out, const double *v, size_t n)
{
    if (l->width == 8)
        buf_put(out, v, n * 8);
    else
        narrow_doubles(out, v, n);
}

static void plain_text(struct buf *out, struct str s)
{
    uint32_t len = (uint32_t)s.n;
    uint8_t *to = buf_reserve(out, s.n + 4);
    memcpy(to, &len, 4);
    if (s.n)
        memcpy(to + 4, s.p, s.n);
    out->n += s.n + 4;
}

static void plain_const(const struct leaf *l, struct buf *out, const struct pq_piece *p, size_t n)
{
    double real = (double)p->number;
    for (size_t i = 0; i < n; i++)
        if (l->type == COL_BYTES)
            plain_text(out, p->text);
        else if (l->type == COL_DOUBLE)
            plain_reals(l, out, &real, 1);
        else
            plain_words(l, out, &p->number, 1);
}

static void plain_segment(const struct leaf *l, struct buf *out, const struct segment *s)
{
    const struct column *col = s->piece->col;
    if (!s->n_values)
        return;
    if (s->piece->kind == PQ_PIECE_CONST)
        plain_const(l, out, s->piece, s->n_values);
    else if (l->type == COL_LONG)
        plain_words(l, out, col->longs + s->value, s->n_values);
    else if (l->type == COL_DOUBLE)
        plain_reals(l, out, col->doubles + s->value, s->n_values);
    else
        buf_put(out, col->texts + s->byte, s->n_bytes);
}

/* Booleans are bits, and go on over the seams of segments. */
static void plain_bools(struct buf *out, const struct segment *s, size_t n)
{
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < s[i].n_values; k++) {
            unsigned v = s[i].piece->kind == PQ_PIECE_CONST
                             ? s[i].piece->number != 0
                             : s[i].piece->col->bools[s[i].value + k] != 0;
            bits |= v << have;
            if (++have == 8) {
                buf_putc(out, (uint8_t)bits);
                bits = have = 0;
            }
        }
    if (have)
        buf_putc(out, (uint8_t)bits);
}

static void encode_indices(struct job *j)
{
    struct pq_writer *w = j->w;
    struct levels_out o;
    buf_putc(&w->s->page, (uint8_t)j->index_width);
    levels_begin(&o, &w->s->page, j->index_width);
    for (uint32_t i = 0; i < w->s->n_segments; i++) {
        const struct segment *s = &w->s->segments[i];
        if (s->piece->kind == PQ_PIECE_CONST)
            levels_run(&o, *s->index, s->n_values);
        else if (s->n_values)
            levels_array32(&o, s->index + s->value, s->n_values);
    }
    levels_end(&o);
}

static void encode_levels(struct job *j, unsigned max, bool repetition)
{
    struct pq_writer *w = j->w;
    struct levels_out o;
    uint32_t len = 0;
    if (!max)
        return;
    size_t at = w->s->page.n;
    buf_put(&w->s->page, &len, 4);
    levels_begin(&o, &w->s->page, levels_width(max));
    for (uint32_t i = 0; i < w->s->n_segments; i++) {
        const struct segment *s = &w->s->segments[i];
        const struct column *col = s->piece->col;
        if (s->piece->kind == PQ_PIECE_COLUMN && !repetition && s->n_values == s->n_entries)
            levels_run(&o, max, s->n_entries);
        else if (s->piece->kind == PQ_PIECE_COLUMN)
            levels_array8(&o, (repetition ? col->rep : col->def) + s->entry, s->n_entries);
        else if (s->n_entries)
            levels_run(&o,
                       repetition                         ? 0
                       : s->piece->kind == PQ_PIECE_CONST ? max
                                                          : s->piece->def,
                       s->n_entries);
    }
    levels_end(&o);
    len = (uint32_t)(w->s->page.n - at - 4);
    memcpy(w->s->page.p + at, &len, 4);
}

/* ---- statistics ---- */

static void range_segment(const struct leaf *l, struct range *r, const struct segment *s)
{
    const struct column *col = s->piece->col;
    double real = (double)s->piece->number;
    if (!s->n_values)
        return;
    bool one = s->piece->kind == PQ_PIECE_CONST;
    if (l->type == COL_BYTES && one)
        range_text(r, s->piece->text);
    else if (l->type == COL_BYTES)
        range_texts(r, col->texts + s->byte, col->texts + col->n_bytes, s->n_values);
    else if (l->type == COL_DOUBLE)
        range_doubles(r, one ? &real : col->doubles + s->value, one ? 1 : s->n_values);
    else if (l->type == COL_LONG || one)
        range_longs(r, one ? &s->piece->number : col->longs + s->value, one ? 1 : s->n_values);
    else
        range_bools(r, col->bools + s->value, s->n_values);
}

/* Texts by way of the dictionary: which entries the page has, then only those are compared. */
static void range_entries(struct pq_writer *w, struct range *r)
{
    const struct dict *d = &w->s->dict;
    w->s->seen.n = 0;
    uint8_t *seen = memset(buf_reserve(&w->s->seen, d->n), 0, d->n);
    for (uint32_t i = 0; i < w->s->n_segments; i++) {
        const struct segment *s = &w->s->segments[i];
        bool one = s->piece->kind == PQ_PIECE_CONST;
        const uint32_t *index = s->index + (one ? 0 : s->value);
        for (uint32_t k = 0, n = one ? s->n_values > 0 : s->n_values; k < n; k++)
            seen[index[k]] = 1;
    }
    for (uint32_t i = 0; i < d->n; i++)
        if (seen[i])
            range_text(r, d->texts[i]);
}

static void range_page(const struct job *j, struct range *r)
{
    if (j->c->dictionary && j->l->type == COL_BYTES)
        range_entries(j->w, r);
    else
        for (uint32_t i = 0; i < j->w->s->n_segments; i++)
            range_segment(j->l, r, &j->w->s->segments[i]);
}

/* A number as the file has it. */
static uint8_t number_bytes(const struct leaf *l, const struct range *r, bool greatest,
                            uint8_t *out)
{
    int64_t number = greatest ? r->max_long : r->min_long;
    double real = greatest ? r->max_double : r->min_double;
    float small_real = (float)real;
    int32_t small = (int32_t)number;
    if (l->type == COL_DOUBLE)
        memcpy(out, l->width == 8 ? (const void *)&real : &small_real, l->width);
    else if (l->width == 1)
        out[0] = number != 0;
    else
        memcpy(out, l->width == 8 ? (const void *)&number : &small, l->width);
    return l->width;
}

/* A bound of at most STAT_BYTES_MAX + 1 bytes; false where none of that size can be told. */
static bool bound_bytes(const struct leaf *l, const struct range *r, bool greatest, uint8_t *out,
                        uint8_t *n, bool *exact)
{
    *exact = true;
    if (l->type != COL_BYTES) {
        *n = number_bytes(l, r, greatest, out);
        return true;
    }
    struct str s = greatest ? r->max_text : r->min_text;
    size_t cut =
        s.n <= STAT_BYTES_MAX ? s.n : range_prefix(s, is_text(l), STAT_BYTES_MAX, SIZE_MAX);
    if (cut)
        memcpy(out, s.p, cut);
    *exact = cut == s.n;
    if (greatest && !*exact)
        cut = range_above(out, cut, is_text(l));
    *n = (uint8_t)cut;
    return *exact || !greatest || cut > 0;
}

#define BOUND_ROOM (STAT_BYTES_MAX + 8)

static void put_bounds(struct pq_writer *w, struct bounds *b, const uint8_t *min, const uint8_t *max)
{
    size_t n = (size_t)b->min_n + b->max_n, at = w->bounds.n;
    invariant(at + n <= UINT32_MAX);
    buf_put(&w->bounds, min, b->min_n);
    buf_put(&w->bounds, max, b->max_n);
    if (n && at >= n && memcmp(w->bounds.p + at - n, w->bounds.p + at, n) == 0) {
        w->bounds.n = at; /* a chunk of one page has the bounds of that */
        at -= n;
    }
    b->at = (uint32_t)at;
}

static void page_bounds(struct job *j, struct page_entry *p, const struct range *r, uint32_t values)
{
    struct chunk *c = j->c;
    uint8_t min[BOUND_ROOM], max[BOUND_ROOM];
    bool exact;
    p->empty = values == 0;
    if (p->empty)
        return;
    if (!r->any || !bound_bytes(j->l, r, false, min, &p->bounds.min_n, &exact) ||
        !bound_bytes(j->l, r, true, max, &p->bounds.max_n, &exact)) {
        c->no_column_index = true;
        return;
    }
    put_bounds(j->w, &p->bounds, min, max);
    if (j->last.any) {
        int least = range_compare(r, &j->last, j->l->type, false);
        int most = range_compare(r, &j->last, j->l->type, true);
        c->ascending &= least >= 0 && most >= 0;
        c->descending &= least <= 0 && most <= 0;
    }
    j->last = *r;
}

static void chunk_bounds(struct job *j)
{
    struct chunk *c = j->c;
    struct bounds *b = &c->bounds;
    uint8_t min[BOUND_ROOM], max[BOUND_ROOM];
    if (!j->range.any)
        return;
    c->has_min = bound_bytes(j->l, &j->range, false, min, &b->min_n, &c->min_exact);
    c->has_max = bound_bytes(j->l, &j->range, true, max, &b->max_n, &c->max_exact);
    put_bounds(j->w, b, min, max);
}

/* The file's range takes the chunk's in; its texts are copied, as the pieces go. */
static void keep_range(struct leaf *l, const struct range *r)
{
    struct str *texts[] = {&l->file.min_text, &l->file.max_text};
    range_merge(&l->file, r, l->type);
    for (int i = 0; i < 2 && l->type == COL_BYTES && l->file.any; i++) {
        size_t n = texts[i]->n < KEPT_TEXT_MAX ? texts[i]->n : KEPT_TEXT_MAX;
        if (!l->kept[i] || texts[i]->p != l->kept[i]) {
            l->kept[i] = mem_regrow(l->kept[i], n + 1, 1);
            memcpy(l->kept[i], texts[i]->p ? texts[i]->p : "", n);
        }
        *texts[i] = (struct str){l->kept[i], n};
    }
}

/* ---- pages ---- */

static enum alike find_alike(struct job *j, const struct buf *raw, size_t head)
{
    struct pq_scratch *s = j->w->s;
    return j->l->type == COL_BYTES ? alike_texts(&s->matches, raw, head)
           : j->l->width == 8      ? alike_words(&s->matches, raw, head)
                                   : ALIKE_NOT;
}

/* Appends the page's bytes, compressed, to the file. Values begin at `head`. */
static int put_compressed(struct job *j, enum way way, struct buf *page, size_t head)
{
    struct pq_scratch *s = j->w->s;
    struct buf *out = j->w->out;
    int64_t began = clock_mono_ns();
    int rc;
    memset(buf_reserve(page, ALIKE_PAD), 0, ALIKE_PAD);
    if (way == WAY_STORE)
        rc = compress_zstd_stored(s->zstd, out, page->p, page->n, &s->matches, j->e);
    else if (way != WAY_SEARCH && find_alike(j, page, head) != ALIKE_NOT)
        rc = (way == WAY_BARE ? compress_zstd_bare : compress_zstd_matched)(s->zstd, out, page->p, page->n, &s->matches, j->e);
    else
        rc = compress_zstd_put(s->zstd, out, page->p, page->n, j->e);
    j->w->cost->compress_ns += clock_mono_ns() - began;
    return rc;
}

static size_t put_head(struct buf *out, enum footer_page type, bool dictionary, uint32_t values,
                       size_t raw, size_t packed)
{
    struct thrift t = {.out = out};
    size_t before = out->n;
    bool data = type == PAGE_DATA;
    thrift_i32(&t, 1, (int32_t)type);
    thrift_i32(&t, 2, (int32_t)raw);
    thrift_i32(&t, 3, (int32_t)packed);
    thrift_open(&t, data ? 5 : 7);
    thrift_i32(&t, 1, (int32_t)values);
    thrift_i32(&t, 2, data && dictionary ? ENCODING_RLE_DICTIONARY : ENCODING_PLAIN);
    if (data) {
        thrift_i32(&t, 3, ENCODING_RLE);
        thrift_i32(&t, 4, ENCODING_RLE);
    }
    thrift_close(&t);
    thrift_close(&t);
    return out->n - before;
}

/* Puts the head that tells the page's size before it, in the place of `head` bytes at `at` that guessed it. */
static size_t mend_head(struct job *j, enum footer_page type, uint32_t values, size_t raw, size_t at, size_t head)
{
    struct buf *out = j->w->out, *h = &j->w->s->head;
    size_t size = out->n - at - head;
    h->n = 0;
    size_t n = put_head(h, type, j->c->dictionary, values, raw, size);
    if (n != head) {
        if (n > head)
            buf_reserve(out, n - head);
        memmove(out->p + at + n, out->p + at + head, size);
        out->n = at + n + size;
    }
    memcpy(out->p + at, h->p, n);
    return n;
}

/* Appends a page to the file, compressed if its chunk is; how many bytes its body takes, or -1. */
static int64_t put_page(struct job *j, enum footer_page type, uint32_t values, enum way way, struct buf *page,
                        size_t values_at)
{
    struct pq_writer *w = j->w;
    struct buf *out = w->out;
    size_t at = out->n;
    bool pack = j->c->codec != COMPRESS_NONE;
    if (page->n > INT32_MAX / 2)
        return err_set(j->e, ERR_INVALID, "a page of %zu bytes", page->n);
    size_t head = put_head(out, type, j->c->dictionary, values, page->n, pack ? page->n / 2 : page->n);
    if (!pack)
        buf_put(out, page->p, page->n);
    else if (put_compressed(j, way, page, values_at))
        return -1;
    else
        head = mend_head(j, type, values, page->n, at, head);
    int64_t body = (int64_t)(out->n - at - head);
    j->c->raw += (int64_t)(head + page->n);
    j->c->packed += (int64_t)head + body;
    w->offset += (int64_t)head + body;
    w->cost->encoded_bytes += (int64_t)page->n;
    w->cost->compressed_bytes += body;
    return body;
}

static void encode_dictionary(struct job *j)
{
    struct pq_writer *w = j->w;
    const struct dict *d = &w->s->dict;
    w->s->dict_page.n = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        if (j->l->type == COL_BYTES) {
            plain_text(&w->s->dict_page, d->texts[i]);
        } else if (j->l->type == COL_DOUBLE) {
            double real;
            memcpy(&real, &d->keys[i].low, 8);
            plain_reals(j->l, &w->s->dict_page, &real, 1);
        } else {
            int64_t number = (int64_t)d->keys[i].low;
            plain_words(j->l, &w->s->dict_page, &number, 1);
        }
    }
}

/* Whether to try what `left` says did not pay; counts the chunks down that were large enough. */
static bool worth_trying(uint8_t *left, uint64_t values)
{
    if (!*left)
        return true;
    if (values >= TRIED_MIN)
        --*left;
    return false;
}

/* Bytes of values from `head` on, COMPARED_BYTES or somewhat more, up to a value's end. */
static size_t some_values(const struct job *j, const struct buf *page, size_t head)
{
    size_t at = head;
    while (at < page->n && at - head < COMPARED_BYTES) {
        uint32_t length = j->l->width;
        if (j->l->type == COL_BYTES) {
            memcpy(&length, page->p + at, 4);
            at += 4;
        }
        at += length;
    }
    return at - head;
}

/* A page's first values are compressed in each way now and then: from then on all are in the quickest one of those
 * that make them about as small. */
static int compare_ways(struct job *j)
{
    struct pq_scratch *s = j->w->s;
    struct pq_hint *h = j->hint;
    struct buf few = {.p = s->page.p + j->head, .n = some_values(j, &s->page, j->head)}, *out = &s->packed;
    int64_t began = clock_mono_ns();
    h->compared = COMPARE_AGAIN;
    enum alike found = find_alike(j, &few, 0);
    h->way = found == ALIKE_SURE ? WAY_ALIKE : WAY_SEARCH;
    if (found != ALIKE_SOME)
        return 0;
    out->n = 0;
    if (compress_zstd_matched(s->zstd, out, few.p, few.n, &s->matches, j->e))
        return -1;
    size_t alike = out->n;
    if (compress_zstd_put(s->zstd, out, few.p, few.n, j->e))
        return -1;
    size_t search = out->n - alike;
    find_alike(j, &few, 0);
    if (compress_zstd_bare(s->zstd, out, few.p, few.n, &s->matches, j->e))
        return -1;
    size_t bare = out->n - alike - search;
    if ((double)alike <= QUICK_MAX * (double)search)
        h->way = (double)bare <= BARE_MAX * (double)alike ? WAY_BARE : WAY_ALIKE;
    s->ways[j->l->path_hash % WAYS_KEPT].path_hash = j->l->path_hash;
    s->ways[j->l->path_hash % WAYS_KEPT].way = h->way;
    j->w->cost->compress_ns += clock_mono_ns() - began;
    return 0;
}

/* How the data pages are compressed, where they are. -1: an error. */
static int choose_way(struct job *j)
{
    struct pq_scratch *s = j->w->s;
    struct pq_hint *h = j->hint;
    bool may = compress_zstd_matches(s->zstd);
    j->way = WAY_SEARCH;
    if (j->c->dictionary) {
        j->way = may && !worth_trying(&h->store_indices, j->values) ? WAY_STORE : WAY_SEARCH;
        return 0;
    }
    uint32_t kept = j->l->path_hash % WAYS_KEPT;
    if (!h->way_known && s->ways[kept].path_hash == j->l->path_hash) {
        h->way = (uint8_t)s->ways[kept].way;
        h->compared = TAKEN_OVER;
    }
    h->way_known = true;
    bool compare = may && j->l->type != COL_BOOL && s->page.n >= COMPARED_MIN &&
                   worth_trying(&h->compared, j->values);
    if (compare && compare_ways(j))
        return -1;
    j->way = may ? (enum way)h->way : WAY_SEARCH;
    return 0;
}

/* A chunk's first data page, after its dictionary: their bodies' bytes, or -1. */
static int64_t put_first(struct job *j, uint32_t entries, int64_t *body)
{
    struct pq_scratch *s = j->w->s;
    struct chunk *c = j->c;
    int64_t dict = 0;
    if (c->dictionary) {
        bool words = c->codec && compress_zstd_matches(s->zstd) && j->l->type != COL_BYTES;
        c->dict_offset = j->w->offset;
        enum way way = s->dict_page.n < FEW_MIN ? WAY_STORE : words ? WAY_ALIKE : WAY_SEARCH;
        dict = put_page(j, PAGE_DICTIONARY, s->dict.n, way, &s->dict_page, 0);
    }
    c->data_offset = j->w->offset;
    *body = dict < 0 ? -1 : put_page(j, PAGE_DATA, entries, j->way, &s->page, j->head);
    return *body < 0 ? -1 : dict + *body;
}

/* The first data page decides on the chunk's codec, with the dictionary that comes before it. */
static int first_page(struct job *j, uint32_t entries)
{
    struct pq_writer *w = j->w;
    struct pq_scratch *s = w->s;
    struct chunk *c = j->c;
    size_t raw = s->page.n, at = w->out->n;
    int64_t body, offset = w->offset;
    if (c->dictionary) {
        encode_dictionary(j);
        raw += s->dict_page.n;
    }
    bool pack =
        w->o.zstd_level && raw >= PACK_MIN && worth_trying(&j->hint->no_compression, j->values);
    c->codec = pack ? COMPRESS_ZSTD : COMPRESS_NONE;
    if (pack && !s->zstd)
        s->zstd = compress_zstd_new(s->zstd_level);
    memset(buf_reserve(&s->page, ALIKE_PAD), 0, ALIKE_PAD);
    if (pack && choose_way(j))
        return -1;
    struct pq_cost cost = *w->cost;
    int64_t packed = put_first(j, entries, &body);
    if (packed < 0)
        return -1;
    if (pack && c->dictionary && j->values >= TRIED_MIN && j->way == WAY_SEARCH &&
        (double)body > INDICES_MIN * (double)s->page.n)
        j->hint->store_indices = TRY_AGAIN;
    if (!pack || (double)packed <= SHRINK_MIN * (double)raw)
        return 0;
    if (j->values >= TRIED_MIN)
        j->hint->no_compression = TRY_AGAIN;
    w->out->n = at; /* once more, as they are */
    w->offset = offset;
    w->cost->encoded_bytes = cost.encoded_bytes;
    w->cost->compressed_bytes = cost.compressed_bytes;
    c->raw = c->packed = 0;
    c->codec = COMPRESS_NONE;
    return put_first(j, entries, &body) < 0 ? -1 : 0;
}

static struct page_entry *add_page(struct pq_writer *w, struct chunk *c)
{
    if (w->n_pages == w->cap_pages) {
        w->cap_pages += w->cap_pages / 2 + w->n_leaves;
        w->pages = mem_regrow(w->pages, w->cap_pages, sizeof *w->pages);
    }
    if (!c->n_pages++)
        c->page = w->n_pages;
    struct page_entry *p = &w->pages[w->n_pages++];
    *p = (struct page_entry){0};
    return p;
}

static int end_page(struct job *j)
{
    struct pq_writer *w = j->w;
    struct chunk *c = j->c;
    struct range r = {0};
    uint32_t entries = 0, values = 0;
    w->s->page.n = 0;
    encode_levels(j, j->l->max_rep, true);
    encode_levels(j, j->l->max_def, false);
    j->head = w->s->page.n;
    for (uint32_t i = 0; i < w->s->n_segments; i++) {
        entries += w->s->segments[i].n_entries;
        values += w->s->segments[i].n_values;
        if (!c->dictionary && j->l->type != COL_BOOL)
            plain_segment(j->l, &w->s->page, &w->s->segments[i]);
    }
    range_page(j, &r);
    if (c->dictionary)
        encode_indices(j);
    else if (j->l->type == COL_BOOL)
        plain_bools(&w->s->page, w->s->segments, w->s->n_segments);
    int64_t offset = w->offset;
    if (!c->n_pages ? first_page(j, entries) : put_page(j, PAGE_DATA, entries, j->way, &w->s->page, j->head) < 0)
        return -1;
    struct page_entry *p = add_page(w, c);
    p->offset = c->n_pages > 1 ? offset : c->data_offset;
    p->first_row = j->first_row;
    p->nulls = (int64_t)entries - values;
    p->size = (int32_t)(w->offset - p->offset);
    page_bounds(j, p, &r, values);
    range_merge(&j->range, &r, j->l->type);
    c->values += entries;
    c->nulls += p->nulls;
    j->first_row += j->rows;
    j->rows = 0;
    j->bytes = 0;
    w->s->n_segments = 0;
    return 0;
}

/* ---- cutting ---- */

struct cursor { /* within a piece */
    uint32_t row, entry, value;
    size_t byte;
};

static uint32_t count_equal(const uint8_t *p, uint32_t n, uint8_t v)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += p[i] == v;
    return count;
}

static uint32_t fewer(uint32_t rows, size_t bytes, size_t each)
{
    size_t fit = each ? bytes / each + 1 : rows;
    return fit < rows ? (uint32_t)fit : rows;
}

/* Flat columns whose values are all as wide: by arithmetic. Returns its rows. */
static uint32_t cut_even(const struct job *j, struct segment *s, uint32_t rows, size_t bytes,
                         size_t each)
{
    const struct column *col = s->piece->col;
    uint32_t n = fewer(rows, bytes, each);
    s->n_entries = n;
    s->n_values = n;
    if (s->piece->kind == PQ_PIECE_NULLS)
        s->n_values = 0;
    else if (s->piece->kind == PQ_PIECE_COLUMN && j->l->max_def && col->n_values < col->n_levels)
        s->n_values = count_equal(col->def + s->entry, n, j->l->max_def);
    return n;
}

/* Any column: entry by entry, to a row's end. Returns its rows; in `used` what they take. */
static uint32_t cut_uneven(const struct job *j, struct segment *s, uint32_t rows, size_t bytes, size_t *used)
{
    const struct leaf *l = j->l;
    const struct column *col = s->piece->col;
    const uint8_t *text = l->type == COL_BYTES && !j->c->dictionary ? col->texts + s->byte : NULL;
    uint32_t i = s->entry, seen = 0, values = 0;
    *used = 0;
    for (; i < col->n_levels; i++) {
        if (!l->max_rep || col->rep[i] == 0) {
            if (seen == rows || (seen && *used >= bytes))
                break;
            seen++;
        }
        if (l->max_def && col->def[i] != l->max_def)
            continue;
        invariant(s->value + values < col->n_values);
        size_t one = text ? column_text_at(text).n + 4 : l->width;
        text += text ? one : 0;
        *used += one;
        values++;
    }
    s->n_entries = i - s->entry;
    s->n_values = values;
    return seen;
}

/* All that is left of a column, where it fits the page; false where it does not. */
static bool cut_whole(const struct pq_options *o, const struct job *j, struct segment *s,
                      uint32_t left, size_t bytes)
{
    const struct column *col = s->piece->col;
    if (left > o->page_rows - j->rows || bytes >= o->page_bytes - j->bytes)
        return false;
    s->n_entries = col->n_levels - s->entry;
    s->n_values = col->n_values - s->value;
    return true;
}

/* Takes what fits the page under way; returns its rows, and in n_bytes what its texts take. */
static uint32_t cut(struct job *j, struct segment *s, uint32_t left, size_t *n_bytes)
{
    const struct pq_options *o = &j->w->o;
    bool text = j->l->type == COL_BYTES, dict = j->c->dictionary;
    const struct column *col = s->piece->kind == PQ_PIECE_COLUMN ? s->piece->col : NULL;
    bool counted = text && col && !dict; /* each text takes its own bytes */
    uint32_t rows = o->page_rows - j->rows, got;
    size_t bytes = o->page_bytes - j->bytes, each = dict ? (j->index_width + 7u) / 8 : j->l->width;
    rows = rows < left ? rows : left;
    if (s->piece->kind == PQ_PIECE_NULLS || (dict && !col) || counted)
        each = 0;
    else if (text && !dict)
        each = 4 + s->piece->text.n;
    size_t texts = counted ? col->n_bytes - s->byte : 0, used;
    if (col && cut_whole(o, j, s, left, texts + (col->n_values - s->value) * each)) {
        got = left;
    } else if (col && (j->l->max_rep || counted)) {
        got = cut_uneven(j, s, rows, bytes, &used);
        texts = counted ? used : 0;
    } else {
        got = cut_even(j, s, rows, bytes, each);
    }
    j->rows += got;
    j->bytes += s->n_values * each + texts;
    *n_bytes = texts;
    return got;
}

static struct segment *add_segment(struct pq_writer *w)
{
    if (w->s->n_segments == w->s->cap_segments) {
        w->s->cap_segments = w->s->cap_segments ? w->s->cap_segments * 2 : 16;
        w->s->segments = mem_regrow(w->s->segments, w->s->cap_segments, sizeof *w->s->segments);
    }
    return &w->s->segments[w->s->n_segments++];
}

static int take_piece(struct job *j, const struct pq_piece *p, const uint32_t *index)
{
    struct cursor at = {0};
    const struct pq_options *o = &j->w->o;
    bool column = p->kind == PQ_PIECE_COLUMN;
    uint32_t rows = column ? p->col->rows : p->rows;
    if (j->rows >= o->page_rows / 2 || j->bytes >= o->page_bytes / 2)
        if (j->rows && end_page(j))
            return -1;
    while (at.row < rows) {
        struct segment *s = add_segment(j->w);
        size_t bytes;
        *s = (struct segment){
            .piece = p, .entry = at.entry, .value = at.value, .byte = at.byte, .index = index};
        at.row += cut(j, s, rows - at.row, &bytes);
        s->n_bytes = bytes;
        at.byte += bytes;
        at.entry += s->n_entries;
        at.value += s->n_values;
        if ((j->rows >= o->page_rows || j->bytes >= o->page_bytes) && end_page(j))
            return -1;
    }
    if (column) /* what column.h promises */
        invariant(at.value == p->col->n_values && at.entry == p->col->n_levels);
    return 0;
}

static uint64_t count_values(const struct pq_piece *pieces, size_t n)
{
    uint64_t values = 0;
    for (size_t i = 0; i < n; i++)
        values += pieces[i].kind == PQ_PIECE_COLUMN  ? pieces[i].col->n_values
                  : pieces[i].kind == PQ_PIECE_CONST ? pieces[i].rows
                                                     : 0;
    return values;
}

static bool try_dictionary(struct job *j, const struct pq_piece *pieces, size_t n)
{
    struct pq_writer *w = j->w;
    struct pq_hint *h = j->hint;
    if (j->values / TRIED_MORE < h->without && !worth_trying(&h->no_dictionary, j->values))
        return false;
    bool pays = dict_build(&w->s->dict, j->l->type, j->l->width, w->o.dict_bytes, h->entries, pieces, n);
    h->entries = pays ? w->s->dict.n : 0;
    if (!pays && j->values >= TRIED_MIN) {
        h->no_dictionary = TRY_AGAIN;
        h->without = j->values < UINT32_MAX ? (uint32_t)j->values : UINT32_MAX;
    }
    return pays;
}

int chunk_write(struct pq_writer *w, struct leaf *l, struct chunk *c, const struct pq_piece *pieces,
                size_t n, struct err *e)
{
    struct pq_hint none = {0};
    struct job j = {.w = w, .l = l, .c = c, .e = e, .values = count_values(pieces, n)};
    const uint32_t *index;
    j.hint = w->o.hints ? hint_of(w->o.hints, l->node->field_id) : &none;
    c->ascending = c->descending = true;
    c->dictionary = try_dictionary(&j, pieces, n);
    j.index_width = c->dictionary ? levels_width(w->s->dict.n - 1) : 0;
    index = w->s->dict.index;
    w->s->n_segments = 0;
    for (size_t i = 0; i < n; i++) {
        if (take_piece(&j, &pieces[i], index))
            return -1;
        if (c->dictionary && pieces[i].kind == PQ_PIECE_COLUMN)
            index += pieces[i].col->n_values;
        else if (c->dictionary && pieces[i].kind == PQ_PIECE_CONST)
            index++;
    }
    if ((w->s->n_segments || !c->n_pages) && end_page(&j))
        return -1;
    chunk_bounds(&j);
    keep_range(l, &j.range);
    return 0;
}
