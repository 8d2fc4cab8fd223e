/* parquet: columns to a Parquet file's bytes, and back.
 *
 * Parquet format 2.x as every engine reads it: data pages v1, PLAIN and RLE_DICTIONARY, RLE levels,
 * zstd; field ids on every element; statistics, page index, encoding stats. Exact bytes and why:
 * reference facts in docs/data-model (Iceberg spec, Appendix A "Parquet"; parquet-format Thrift).
 * Knows no threads and no files: it writes into a struct buf and reads through a callback. */
#ifndef INLET_PARQUET_PARQUET_H
#define INLET_PARQUET_PARQUET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "parquet/column.h"

/* The logical type of a leaf; PQ_GROUP and PQ_LIST have children. */
enum pq_type {
    PQ_BOOLEAN,
    PQ_INT32,
    PQ_INT64,
    PQ_DOUBLE,
    PQ_FLOAT,
    PQ_STRING,      /* BYTE_ARRAY, UTF8 */
    PQ_BINARY,      /* BYTE_ARRAY */
    PQ_TIMESTAMPTZ, /* INT64 micros, isAdjustedToUTC */
    PQ_TIMESTAMP,
    PQ_DATE,        /* INT32 */
    PQ_DECIMAL,     /* INT32 up to 9 digits, INT64 up to 18, as Iceberg demands */
    PQ_GROUP,
    PQ_LIST,        /* 3-level: group(LIST) { repeated group list { element } }; one child */
};

/* A schema in the order of a depth-first walk. `n_children` follow a group; a list has exactly one
 * child, its element. The repeated middle group is implied. Levels are computed by the writer. */
struct pq_node {
    const char *name;
    int32_t field_id;
    enum pq_type type;
    bool required;
    uint8_t precision, scale; /* PQ_DECIMAL */
    uint32_t n_children;
};
struct pq_schema {
    struct pq_node *nodes; /* nodes[0] is the first column, not the root */
    uint32_t n_nodes;
    uint32_t n_roots;      /* top-level columns */
};

/* A piece of one leaf column: a row range of the file comes as a sequence of pieces. */
enum pq_piece_kind {
    PQ_PIECE_COLUMN, /* all of `col`; its max_def and max_rep are the leaf's */
    PQ_PIECE_NULLS,  /* `rows` rows, each one entry of rep 0 and definition level `def` (usually 0) */
    PQ_PIECE_CONST,  /* `rows` rows, all with the one value `text` (strings) or `number` (longs) */
};
struct pq_piece {
    enum pq_piece_kind kind;
    const struct column *col;
    uint32_t rows;
    uint8_t def;
    struct str text;
    int64_t number;
};

/* What earlier chunks of a table's columns taught the next ones: for so many chunks a dictionary, or
 * compression, is not even tried. Zero to start; for one writer at a time; it may be lost. */
struct pq_hint {
    int32_t field_id;
    uint8_t no_dictionary, no_compression;
    uint32_t entries; /* of the last chunk's dictionary */
    uint32_t without; /* how many values the chunk had for which a dictionary did not pay */
    uint8_t way, compared;   /* of compression (enum way); for so many chunks it stands */
    bool way_known;          /* it was tried, or taken over from another table's column of that name */
    uint8_t store_indices;   /* for so many chunks those of a dictionary are not compressed */
};
struct pq_hints {
    struct pq_hint *each; /* by field id */
    uint32_t n, cap;
};
void pq_hints_fini(struct pq_hints *h);

/* A thread's tables and buffers, used by one writer at a time between the begin and the end of a row
 * group. */
struct pq_scratch;
struct pq_scratch *pq_scratch_new(void);
void pq_scratch_free(struct pq_scratch *s);

struct pq_options {
    int zstd_level;            /* default 1; 0 = uncompressed */
    size_t page_bytes;         /* default 1 MiB */
    uint32_t page_rows;        /* default 20000 */
    size_t dict_bytes;         /* default 1 MiB */
    const char *created_by;
    /* Key-value metadata of the footer, e.g. "iceberg.schema": NULL-terminated pairs, may be NULL. */
    const char *const *kv;
    struct pq_hints *hints; /* may be NULL */
};

/* What Iceberg's manifest wants to know of a leaf, over the whole file. Bounds are Iceberg's
 * single-value serialisation (spec Appendix D), strings cut to 16 code points, upper bound
 * incremented; has_bounds false inside lists and where there is none. */
struct pq_leaf_stats {
    int32_t field_id;
    bool has_bounds;
    uint8_t lower_n, upper_n; /* at most PQ_BOUND_MAX */
    int64_t column_bytes; /* compressed, all chunks */
    int64_t values;       /* entries, nulls included */
    int64_t nulls;
    int64_t nans;         /* floats and doubles only; -1 otherwise */
    const uint8_t *lower, *upper; /* the writer's */
};
#define PQ_BOUND_MAX 80

/* Nanoseconds spent, added to by every writer that is given it (one thread at a time). */
struct pq_cost {
    int64_t encode_ns, compress_ns;
    int64_t encoded_bytes, compressed_bytes;
};

struct pq_writer;

/* `out` gets the file's bytes from the magic on; it may be drained between row groups only by a
 * caller that adds what it took to nothing: offsets are counted by the writer. */
struct pq_writer *pq_writer_new(const struct pq_schema *schema, const struct pq_options *options,
                                struct buf *out, struct pq_cost *cost);
void pq_writer_free(struct pq_writer *w);

/* The file's leaves, in order, with the levels that a piece's column must have. */
uint32_t pq_writer_leaves(const struct pq_writer *w);
void pq_writer_leaf(const struct pq_writer *w, uint32_t leaf, int32_t *field_id,
                    enum col_type *type, unsigned *max_def, unsigned *max_rep);

/* A row group: begin, then every leaf once, in order, each with pieces that sum to `rows` rows, then
 * end. `piece boundaries` are a hint for pages: a page ends there when it is at least half full, so
 * that a reader can skip by event_subtype. */
void pq_writer_group_begin(struct pq_writer *w, uint32_t rows);
/* The same with the caller's scratch, so that it need not be made anew. */
void pq_writer_group_begin_with(struct pq_writer *w, uint32_t rows, struct pq_scratch *scratch);
int pq_writer_column(struct pq_writer *w, const struct pq_piece *pieces, size_t n, struct err *e);
int pq_writer_group_end(struct pq_writer *w, struct err *e);

/* Between row groups: goes on with a schema that has more columns; rows already written are null there.
 * 1: done. 0: nothing changed, for it cannot be: a column is missing or another, or a new one stands
 * beside old ones in one struct or list. -1: the file is broken. */
int pq_writer_extend(struct pq_writer *w, const struct pq_schema *schema, struct err *e);

/* Page indexes, footer, magic. After it, the statistics and split offsets may be asked for; they
 * belong to the writer. */
int pq_writer_finish(struct pq_writer *w, struct err *e);
const struct pq_leaf_stats *pq_writer_stats(const struct pq_writer *w, uint32_t *n);
const int64_t *pq_writer_split_offsets(const struct pq_writer *w, uint32_t *n);
int64_t pq_writer_rows(const struct pq_writer *w);
int64_t pq_writer_size(const struct pq_writer *w);
size_t pq_writer_bytes(const struct pq_writer *w); /* heap held between row groups, beside `out` */

/* ---- reading: footers of any writer's files; column data of flat or nested columns in PLAIN,
 * dictionary and (for foreign files) delta encodings; zstd, snappy-less: uncompressed, zstd, gzip. */
struct pq_reader;
/* Reads n bytes at `offset` into p: 0 or -1. */
typedef int pq_read_fn(void *ctx, int64_t offset, void *p, size_t n, struct err *e);

struct pq_reader *pq_reader_open(pq_read_fn *read, void *ctx, int64_t file_size, struct err *e);
void pq_reader_close(struct pq_reader *r);
int64_t pq_reader_rows(const struct pq_reader *r);
uint32_t pq_reader_groups(const struct pq_reader *r);
struct str pq_reader_created_by(const struct pq_reader *r); /* borrowed; empty: not said */
int64_t pq_reader_group_rows(const struct pq_reader *r, uint32_t group);
/* The leaf with this field id, or this dotted path; -1 if there is none. */
int pq_reader_leaf_by_id(const struct pq_reader *r, int32_t field_id);
int pq_reader_leaf_by_path(const struct pq_reader *r, const char *dotted);
/* Reads a whole column chunk; `out` is initialised by the call and finished by the caller. */
int pq_reader_column(struct pq_reader *r, uint32_t group, uint32_t leaf, struct column *out,
                     struct err *e);

/* What `inlet inspect` shows: a JSON document (footer, schema, row groups, column chunks with
 * encodings, sizes, statistics, page counts), appended to `out`. */
int pq_reader_describe(struct pq_reader *r, struct buf *out, struct err *e);

#endif
