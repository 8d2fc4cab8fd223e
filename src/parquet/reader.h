/* reader: what describe.c needs of it. Inside this room only; the rest is in parquet.h. */
#ifndef INLET_PARQUET_READER_H
#define INLET_PARQUET_READER_H

#include "parquet/footer.h"
#include "parquet/parquet.h"

const struct footer *reader_footer(const struct pq_reader *r, int64_t *file_size);

#endif
