/* render: how results look: aligned tables, thousands separators, JSON strings. */
#ifndef INLET_CLI_RENDER_H
#define INLET_CLI_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define RENDER_NUMBER_MAX 32
/* "1,234,567"; returns out. */
char *render_number(int64_t v, char out[RENDER_NUMBER_MAX]);
/* "1.4 GB"; returns out. */
char *render_bytes(int64_t v, char out[RENDER_NUMBER_MAX]);
/* A quoted, escaped JSON string. */
void render_json_string(struct buf *out, const char *s);

/* A table of texts: add cells row by row (copied), then print. Columns marked right are aligned so.
 */
struct render_table {
    char **cells;
    size_t n, cap;
    size_t columns;
    uint32_t right; /* bit per column */
};
void render_table_init(struct render_table *t, size_t columns, uint32_t right);
void render_table_fini(struct render_table *t);
void render_table_cell(struct render_table *t, const char *text);
void render_table_number(struct render_table *t, int64_t v);
void render_table_print(const struct render_table *t, struct buf *out);

#endif
