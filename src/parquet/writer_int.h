/* The writer's own structs: writer.c (rows and columns), chunk.c (pages), dict.c, range.c (least
 * and greatest) and footer_write.c share them. Inside this room only. */
#ifndef INLET_PARQUET_WRITER_INT_H
#define INLET_PARQUET_WRITER_INT_H

#include "codec/compress.h"
#include "parquet/dict.h"
#include "parquet/footer.h"
#include "parquet/parquet.h"
#include "parquet/range.h"

#define STAT_BYTES_MAX 64  /* of a bound in a chunk's statistics and in the page index */
#define KEPT_TEXT_MAX 128u /* bytes that decide a bound of 16 code points, and more */

struct leaf {
    const struct pq_node *node;
    enum col_type type;
    enum footer_physical physical;
    uint8_t max_def, max_rep;
    uint8_t width; /* of a fixed value in the file, in bytes; 0 for texts */
    const char *path; /* names, each ended by NUL */
    uint32_t path_n;
    uint64_t path_hash;
    struct range file; /* its texts lie in `kept` */
    char *kept[2];
    int64_t column_bytes, values, nulls; /* of all row groups */
};

/* Files with thousands of columns wait for their commit: of bounds there is what is needed. */
struct bounds {
    uint32_t at; /* in the writer's bytes of them: the least, then the greatest */
    uint8_t min_n, max_n;
};

struct page_entry { /* of the page index */
    int64_t offset, first_row, nulls;
    int32_t size;
    struct bounds bounds;
    bool empty; /* no value in it */
};

struct chunk {
    int32_t codec;
    int64_t dict_offset, data_offset, raw, packed, values, nulls;
    bool dictionary;
    uint32_t page, n_pages; /* of the writer's, from which on */
    bool no_column_index; /* a page's bounds cannot be told */
    bool ascending, descending;
    bool has_min, has_max, min_exact, max_exact;
    struct bounds bounds;
    int64_t column_index, offset_index;
    int32_t column_index_n, offset_index_n;
};

struct group {
    struct chunk *chunks;
    uint32_t rows;
    int64_t offset, raw, packed;
};

/* Part of a piece within one page. */
struct segment {
    const struct pq_piece *piece;
    uint32_t entry, n_entries, value, n_values;
    size_t byte, n_bytes;  /* where the texts are in the column's bytes (no dictionary) */
    const uint32_t *index; /* dictionary: of the piece's first value; for a constant its one */
};

enum way {      /* of compression: */
    WAY_SEARCH, /* zstd looks for matches */
    WAY_ALIKE,  /* they are what values have in common with those before them */
    WAY_BARE,   /* the same, and what they leave stays as it is */
    WAY_STORE   /* none: a frame of the bytes as they are */
};

#define WAYS_KEPT 256u
struct pq_scratch {
    struct { /* what suited columns of that name */
        uint64_t path_hash;
        enum way way;
    } ways[WAYS_KEPT];
    struct dict dict;
    struct segment *segments;
    uint32_t n_segments, cap_segments;
    struct buf page, dict_page, head, packed, seen;
    struct compress_zstd *zstd;
    struct compress_matches matches;
    int zstd_level;
};

struct pq_writer {
    struct pq_options o;
    struct pq_schema schema;
    struct buf names, paths; /* of the schema and the leaves */
    struct leaf *leaves;
    uint32_t n_leaves, leaf; /* the next to come */
    struct group *groups;
    uint32_t n_groups;
    struct page_entry *pages; /* of all chunks */
    uint32_t n_pages, cap_pages;
    struct buf bounds; /* of pages and chunks */
    bool in_group;
    struct buf *out;
    int64_t offset, rows;
    struct pq_cost *cost, own_cost;
    struct pq_leaf_stats *stats;
    uint8_t *stat_bounds; /* theirs */
    size_t n_stat_bounds;
    int64_t *splits;
    uint32_t n_stats, n_splits; /* once it is finished: then there are no leaves and groups any more */
    struct pq_scratch *s, *own_scratch; /* while in a group; where the caller gave none */
    int64_t began_ns, began_cpu_ns, packing_ns; /* of the group */
};

/* writer.c: what is known of a field, made if need be. */
struct pq_hint *hint_of(struct pq_hints *h, int32_t field_id);
/* chunk.c: all pages of a leaf. */
int chunk_write(struct pq_writer *w, struct leaf *l, struct chunk *c, const struct pq_piece *pieces,
                size_t n, struct err *e);
/* footer_write.c: page indexes, footer, magic; moves the writer's offset on. */
int footer_write(struct pq_writer *w, struct err *e);

#endif
