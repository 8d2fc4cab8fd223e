/* range: the least and the greatest of values, and their bytes as Parquet's statistics and
 * Iceberg's bounds want them. Inside this room only. Texts are views of the values' own memory. */
#ifndef INLET_PARQUET_RANGE_H
#define INLET_PARQUET_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "parquet/column.h"

struct range {
    bool any; /* there is a value that is no NaN */
    int64_t nans;
    int64_t min_long, max_long;
    double min_double, max_double;
    struct str min_text, max_text;
};

void range_longs(struct range *r, const int64_t *v, size_t n);
void range_bools(struct range *r, const uint8_t *v, size_t n);
void range_doubles(struct range *r, const double *v, size_t n);
/* Texts one after the other from `bytes` on, in memory that goes on up to `end`. */
void range_texts(struct range *r, const uint8_t *texts, const uint8_t *end, size_t n);
void range_text(struct range *r, struct str text);
void range_merge(struct range *into, const struct range *from, enum col_type type);
/* < 0, 0, > 0: the least (or, where `greatest`, the greatest) of a against that of b. */
int range_compare(const struct range *a, const struct range *b, enum col_type type, bool greatest);

/* A prefix of at most max_bytes, and of max_points code points where `utf8`, of whole code points.
 */
size_t range_prefix(struct str s, bool utf8, size_t max_bytes, size_t max_points);
/* Makes p[0..n) the least text above all that start with it; needs 4 spare bytes. 0: there is none.
 */
size_t range_above(uint8_t *p, size_t n, bool utf8);

#endif
