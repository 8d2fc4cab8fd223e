/* views: the SQL of one view over the envelope columns of all tables, in an engine's words. No I/O. */
#ifndef INLET_CLI_VIEWS_H
#define INLET_CLI_VIEWS_H

#include "catalog/catalog.h"
#include "table/table.h"

enum views_engine { VIEWS_ATHENA, VIEWS_DUCKDB, VIEWS_SPARK, VIEWS_TRINO };

struct views_column {
    char name[256];
    struct field type; /* no children */
    bool mixed;        /* not of one type everywhere: read as text */
};
struct views_table {
    const char *name, *location; /* location: of the table's folder */
    const struct schema *schema;
};
struct views {
    enum views_engine engine;
    const char *ns, *view;
    const struct views_table *tables;
    size_t n_tables;
    struct views_column *columns;
    size_t n_columns;
};

/* The columns: the envelope's, and those of `with` ("user_id,session_id"; NULL: none) with the types
 * that the tables give them. ERR_INVALID: no table has one, or it is a struct or list. */
int views_columns(struct views *v, const char *with, struct err *e);
void views_fini(struct views *v);
void views_query(const struct views *v, struct buf *out);     /* SELECT ... UNION ALL ... */
void views_statement(const struct views *v, struct buf *out); /* with what makes the view of it */
/* For Glue: the view as Athena makes it. */
json_t *views_presto(const struct views *v);  /* originalSql, catalog, schema, columns */
json_t *views_columns_json(const struct views *v); /* Name and Type, in Hive's words */

#endif
