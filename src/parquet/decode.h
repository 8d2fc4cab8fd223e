/* decode: a page's values into a column, in any encoding but those that nobody writes. Inside this
 * room only. */
#ifndef INLET_PARQUET_DECODE_H
#define INLET_PARQUET_DECODE_H

#include "base/err.h"
#include "parquet/column.h"
#include "parquet/footer.h"

#define DECODE_BYTES_MAX                                                                           \
    ((size_t)4 << 30) /* of one column's texts: beyond it the file is refused */

enum col_type decode_col_type(int32_t physical);

/* Appends `count` values to `out`. `dict` is the chunk's dictionary, or NULL. ERR_INVALID where the
 * bytes are broken or the encoding is not read. */
int decode_values(struct column *out, const struct footer_leaf *leaf, int32_t encoding,
                  const uint8_t *p, size_t n, uint32_t count, const struct column *dict,
                  struct err *e);

#endif
