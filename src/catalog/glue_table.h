/* glue_table: a Glue table's JSON, read and made. No I/O. */
#ifndef INLET_CATALOG_GLUE_TABLE_H
#define INLET_CATALOG_GLUE_TABLE_H

#include "catalog/catalog.h"

bool glue_table_is_iceberg(const json_t *table);
/* Is it an Iceberg table with a metadata location? ERR_INVALID says what it is, and what to do. */
int glue_table_check(const json_t *table, const char *database, const char *name, struct err *e);
const char *glue_table_location(const json_t *table); /* of a checked one; borrowed */
const char *glue_table_version(const json_t *table);  /* NULL if it has none; borrowed */
/* The TableInput that makes the table, or, of `now`, changes it: all that it has and that is not ours
 * stays. */
json_t *glue_table_input(const json_t *now, const char *name, const struct catalog_change *change);
/* The TableInput of a view, as Athena writes it. */
json_t *glue_view_input(const struct catalog_view *view);
/* A type of Iceberg's schema JSON in Hive's words: "array<struct<a:bigint>>". */
void glue_type(const json_t *type, struct buf *out);

#endif
