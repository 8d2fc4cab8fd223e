/* See views.h. A column that a table lacks is null there. What differs between engines:
 *
 * Athena cannot make views of timestamps with a time zone: they are cast to plain ones, in UTC, which hides
 * them from partition pruning; so there is event_date beside them, whose cast prunes.
 * https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-supported-data-types.html
 * DuckDB reads a table by its folder, guessing its newest metadata; that has to be allowed.
 * Spark's view is temporary, for not every Iceberg catalog of Spark keeps views. */
#include "cli/views.h"

#include <string.h>

#include "base/mem.h"

#define WITH_MAX 64

static char quote_of(const struct views *v)
{
    return v->engine == VIEWS_SPARK ? '`' : '"';
}

static void put_name(const struct views *v, const char *name, struct buf *out)
{
    char q = quote_of(v);
    buf_putc(out, (uint8_t)q);
    for (; *name; name++) {
        if (*name == q)
            buf_putc(out, (uint8_t)q);
        buf_putc(out, (uint8_t)*name);
    }
    buf_putc(out, (uint8_t)q);
}

static void put_text(const char *text, struct buf *out)
{
    buf_putc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_putc(out, '\'');
        buf_putc(out, (uint8_t)*text);
    }
    buf_putc(out, '\'');
}

/* ---- types ---- */

static bool is_zoned(const struct views_column *c)
{
    return c->type.kind == TYPE_TIMESTAMPTZ && !c->mixed;
}

static const char *text_type(const struct views *v)
{
    return v->engine == VIEWS_SPARK ? "STRING" : "VARCHAR";
}

static void put_type(const struct views *v, const struct views_column *c, struct buf *out)
{
    const struct field *f = &c->type;
    bool trino = v->engine == VIEWS_ATHENA || v->engine == VIEWS_TRINO;
    enum type_kind kind = c->mixed ? TYPE_STRING : f->kind;
    switch (kind) {
    case TYPE_BOOLEAN: buf_puts(out, "BOOLEAN"); return;
    case TYPE_INT: buf_puts(out, v->engine == VIEWS_SPARK ? "INT" : "INTEGER"); return;
    case TYPE_LONG: buf_puts(out, "BIGINT"); return;
    case TYPE_FLOAT: buf_puts(out, trino ? "REAL" : "FLOAT"); return;
    case TYPE_DOUBLE: buf_puts(out, "DOUBLE"); return;
    case TYPE_DECIMAL: buf_printf(out, "DECIMAL(%u,%u)", f->precision, f->scale); return;
    case TYPE_DATE: buf_puts(out, "DATE"); return;
    case TYPE_TIMESTAMP: buf_puts(out, trino ? "TIMESTAMP(6)" : "TIMESTAMP"); return;
    case TYPE_TIMESTAMPTZ:
        buf_puts(out, v->engine == VIEWS_ATHENA   ? "TIMESTAMP(6)"
                      : v->engine == VIEWS_TRINO  ? "TIMESTAMP(6) WITH TIME ZONE"
                      : v->engine == VIEWS_DUCKDB ? "TIMESTAMPTZ"
                                                  : "TIMESTAMP");
        return;
    default: buf_puts(out, text_type(v)); return;
    }
}

static const char *hive_type(const struct views_column *c, struct buf *out)
{
    const struct field *f = &c->type;
    enum type_kind kind = c->mixed ? TYPE_STRING : f->kind;
    out->n = 0;
    switch (kind) {
    case TYPE_BOOLEAN: return "boolean";
    case TYPE_INT: return "int";
    case TYPE_LONG: return "bigint";
    case TYPE_FLOAT: return "float";
    case TYPE_DOUBLE: return "double";
    case TYPE_DATE: return "date";
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ: return "timestamp";
    case TYPE_DECIMAL:
        buf_printf(out, "decimal(%u,%u)", f->precision, f->scale);
        return buf_cstr(out);
    default: return "string";
    }
}

/* ---- columns ---- */

static bool same_type(const struct field *a, const struct field *b)
{
    return a->kind == b->kind && a->precision == b->precision && a->scale == b->scale;
}

static struct views_column *add_column(struct views *v, const char *name, size_t n,
                                       const struct field *type)
{
    v->columns = mem_regrow(v->columns, v->n_columns + 1, sizeof *v->columns);
    struct views_column *c = &v->columns[v->n_columns++];
    *c = (struct views_column){.type = {.kind = type->kind,
                                        .precision = type->precision,
                                        .scale = type->scale}};
    snprintf(c->name, sizeof c->name, "%.*s", (int)n, name);
    return c;
}

static bool has_column(const struct views *v, const char *name)
{
    for (size_t i = 0; i < v->n_columns; i++)
        if (strcmp(v->columns[i].name, name) == 0)
            return true;
    return false;
}

static int add_with(struct views *v, const char *name, size_t n, struct err *e)
{
    struct views_column *c = NULL;
    char *text = mem_strndup(name, n);
    int rc = 0;
    if (has_column(v, text))
        goto done;
    for (size_t i = 0; i < v->n_tables && !rc; i++) {
        const struct field *f = field_child(&v->tables[i].schema->root, text);
        if (!f)
            continue;
        if (f->n_children)
            rc = err_set(e, ERR_INVALID, "--with %s: in table %s it is a struct, list or map", text,
                         v->tables[i].name);
        else if (!c)
            c = add_column(v, name, n, f);
        else
            c->mixed |= !same_type(&c->type, f);
    }
    if (!rc && !c)
        rc = err_set(e, ERR_INVALID, "--with %s: no table has such a column", text);
done:
    free(text);
    return rc;
}

int views_columns(struct views *v, const char *with, struct err *e)
{
    struct schema base;
    schema_event_base(&base);
    for (uint32_t i = 0; i < base.root.n_children; i++) {
        const struct field *f = &base.root.children[i];
        if (f->id == COL_EVENT_TIME && v->engine == VIEWS_ATHENA)
            add_column(v, "event_date", 10, &(struct field){.kind = TYPE_DATE});
        add_column(v, f->name, strlen(f->name), f);
    }
    schema_fini(&base);
    for (size_t n; with && *with; with += n + (with[n] == ',')) {
        n = strcspn(with, ",");
        if (n == 0 || n > 255 || v->n_columns > WITH_MAX)
            return err_set(e, ERR_INVALID, "--with: write names of columns, at most %d: a,b,c",
                           WITH_MAX);
        if (add_with(v, with, n, e))
            return -1;
    }
    return 0;
}

void views_fini(struct views *v)
{
    free(v->columns);
    v->columns = NULL;
    v->n_columns = 0;
}

/* ---- the query ---- */

static void put_expression(const struct views *v, const struct views_table *t,
                           const struct views_column *c, struct buf *out)
{
    bool date = strcmp(c->name, "event_date") == 0 && v->engine == VIEWS_ATHENA;
    const struct field *f = field_child(&t->schema->root, date ? "event_time" : c->name);
    bool cast = !f || date || c->mixed || (is_zoned(c) && v->engine == VIEWS_ATHENA) ||
                !same_type(f, &c->type);
    if (cast)
        buf_puts(out, "CAST(");
    if (f)
        put_name(v, f->name, out);
    else
        buf_puts(out, "NULL");
    if (cast) {
        buf_puts(out, " AS ");
        put_type(v, c, out);
        buf_puts(out, ") AS ");
        put_name(v, c->name, out);
    }
}

static void put_source(const struct views *v, const struct views_table *t, struct buf *out)
{
    if (v->engine == VIEWS_DUCKDB) {
        const char *path = strncmp(t->location, "file://", 7) == 0 ? t->location + 7 : t->location;
        buf_puts(out, "iceberg_scan(");
        put_text(path, out);
        buf_puts(out, ")");
        return;
    }
    put_name(v, v->ns, out);
    buf_putc(out, '.');
    put_name(v, t->name, out);
}

void views_query(const struct views *v, struct buf *out)
{
    for (size_t i = 0; i < v->n_tables; i++) {
        buf_puts(out, i ? "\nUNION ALL\nSELECT " : "SELECT ");
        for (size_t k = 0; k < v->n_columns; k++) {
            buf_puts(out, k ? ", " : "");
            put_expression(v, &v->tables[i], &v->columns[k], out);
        }
        buf_puts(out, "\nFROM ");
        put_source(v, &v->tables[i], out);
    }
}

void views_statement(const struct views *v, struct buf *out)
{
    if (v->engine == VIEWS_DUCKDB)
        buf_puts(out, "-- INSTALL iceberg; LOAD iceberg;\n"
                      "SET unsafe_enable_version_guessing = true;\n");
    buf_puts(out, v->engine == VIEWS_SPARK ? "CREATE OR REPLACE TEMPORARY VIEW "
                                           : "CREATE OR REPLACE VIEW ");
    if (v->engine == VIEWS_ATHENA || v->engine == VIEWS_TRINO) {
        put_name(v, v->ns, out);
        buf_putc(out, '.');
    }
    put_name(v, v->view, out);
    buf_puts(out, " AS\n");
    views_query(v, out);
    buf_puts(out, ";\n");
}

/* ---- for Glue ---- */

json_t *views_presto(const struct views *v)
{
    struct buf text = {0};
    json_t *j = json_object(), *columns = json_array();
    views_query(v, &text);
    json_object_set_new(j, "originalSql", json_string(buf_cstr(&text)));
    json_object_set_new(j, "catalog", json_string("awsdatacatalog"));
    json_object_set_new(j, "schema", json_string(v->ns));
    for (size_t i = 0; i < v->n_columns; i++) {
        json_t *c = json_object();
        text.n = 0;
        put_type(v, &v->columns[i], &text);
        for (size_t k = 0; k < text.n; k++)
            if (text.p[k] >= 'A' && text.p[k] <= 'Z')
                text.p[k] = (uint8_t)(text.p[k] + 32);
        json_object_set_new(c, "name", json_string(v->columns[i].name));
        json_object_set_new(c, "type", json_string(buf_cstr(&text)));
        json_array_append_new(columns, c);
    }
    json_object_set_new(j, "columns", columns);
    buf_fini(&text);
    return j;
}

json_t *views_columns_json(const struct views *v)
{
    struct buf text = {0};
    json_t *columns = json_array();
    for (size_t i = 0; i < v->n_columns; i++) {
        json_t *c = json_object();
        json_object_set_new(c, "Name", json_string(v->columns[i].name));
        json_object_set_new(c, "Type", json_string(hive_type(&v->columns[i], &text)));
        json_array_append_new(columns, c);
    }
    buf_fini(&text);
    return columns;
}
