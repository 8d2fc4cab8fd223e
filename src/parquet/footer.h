/* footer: a Parquet file's footer, taken apart: what the reader and `inlet inspect` go by. Text
 * views borrow from the bytes parsed. Inside this room only. */
#ifndef INLET_PARQUET_FOOTER_H
#define INLET_PARQUET_FOOTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FOOTER_BYTES_MAX ((uint32_t)64 << 20)
#define FOOTER_NESTING_MAX 64

enum footer_physical {
    PHYSICAL_BOOLEAN,
    PHYSICAL_INT32,
    PHYSICAL_INT64,
    PHYSICAL_INT96,
    PHYSICAL_FLOAT,
    PHYSICAL_DOUBLE,
    PHYSICAL_BYTES,
    PHYSICAL_FIXED,
};
enum footer_encoding {
    ENCODING_PLAIN = 0,
    ENCODING_PLAIN_DICTIONARY = 2,
    ENCODING_RLE = 3,
    ENCODING_BIT_PACKED = 4,
    ENCODING_DELTA = 5,
    ENCODING_DELTA_LENGTH = 6,
    ENCODING_DELTA_BYTES = 7,
    ENCODING_RLE_DICTIONARY = 8,
    ENCODING_SPLIT = 9,
};
enum footer_page { PAGE_DATA = 0, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };

struct footer_leaf {
    char *path;       /* dotted */
    int32_t field_id; /* -1: none */
    int32_t physical, converted,
        logical; /* logical: the field id of the LogicalType union; -1: none */
    int32_t type_length, precision, scale;
    bool adjusted; /* of a timestamp */
    uint8_t max_def, max_rep;
};
struct footer_chunk {
    int32_t physical, codec;
    uint32_t encodings;                 /* a bit for each */
    int64_t values, nulls, raw, packed; /* nulls -1: not known */
    int64_t data_offset, dict_offset;   /* dict_offset 0: none */
    int64_t data_pages, dict_pages;     /* -1: not known */
    int64_t column_index, column_index_n, offset_index, offset_index_n;
    bool has_min, has_max, min_exact, max_exact;
    struct str min, max;
};
struct footer_group {
    struct footer_chunk *chunks; /* as many as leaves */
    int64_t rows, raw, packed, offset;
};
struct footer_pair {
    struct str key, value;
};
struct footer {
    int32_t version;
    int64_t rows;
    struct str created_by;
    struct footer_leaf *leaves;
    struct footer_group *groups;
    struct footer_pair *pairs;
    uint32_t n_leaves, n_groups, n_pairs;
};

/* Fails with ERR_INVALID; footer_fini in any case. */
int footer_parse(struct footer *f, const uint8_t *p, size_t n, struct err *e);
void footer_fini(struct footer *f);

#endif
