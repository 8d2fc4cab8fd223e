/* tables, schema: what is in the lake, read through the catalog as any engine would. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/render.h"
#include "codec/civil.h"

struct listing {
    bool json;
    struct buf out;
    struct render_table table;
    int64_t rows, files, bytes;
    size_t n;
};

static void time_text(int64_t us, char out[CIVIL_TEXT_MAX])
{
    if (us >= 0 && us < CIVIL_END_S * 1000000)
        civil_format_us(us, out);
    else
        strcpy(out, "-");
}

static void list_json(struct listing *l, const char *name, const struct table_facts *f)
{
    char event[CIVIL_TEXT_MAX], commit[CIVIL_TEXT_MAX];
    time_text(f->newest_event_us, event);
    time_text(f->last_commit_ms > 0 ? f->last_commit_ms * 1000 : -1, commit);
    buf_puts(&l->out, l->n ? ",\n " : "\n ");
    buf_puts(&l->out, "{\"table\": ");
    render_json_string(&l->out, name);
    buf_printf(&l->out,
               ", \"rows\": %" PRIi64 ", \"files\": %" PRIi64 ", \"bytes\": %" PRIi64
               ", \"snapshots\": %" PRIi64 ", \"metadata_bytes\": %" PRIi64,
               f->rows, f->files, f->bytes, f->snapshots, f->metadata_bytes);
    buf_puts(&l->out, ", \"newest_event\": ");
    if (*event == '-')
        buf_puts(&l->out, "null");
    else
        render_json_string(&l->out, event);
    buf_puts(&l->out, ", \"last_commit\": ");
    if (*commit == '-')
        buf_puts(&l->out, "null");
    else
        render_json_string(&l->out, commit);
    buf_puts(&l->out, "}");
}

static void list_text(struct listing *l, const char *name, const struct table_facts *f)
{
    char text[RENDER_NUMBER_MAX], when[CIVIL_TEXT_MAX];
    render_table_cell(&l->table, name);
    render_table_number(&l->table, f->rows);
    render_table_number(&l->table, f->files);
    render_table_cell(&l->table, render_bytes(f->bytes, text));
    time_text(f->newest_event_us, when);
    render_table_cell(&l->table, when);
}

static int list_one(struct listing *l, const struct lake *lake, const char *name, struct err *e)
{
    struct table_facts f = {0};
    struct table *t = table_load(lake, name, e);
    int rc = t ? table_facts(t, &f, e) : -1;
    table_free(t);
    if (rc)
        return err_wrap(e, "table %s", name);
    if (l->json)
        list_json(l, name, &f);
    else
        list_text(l, name, &f);
    l->n++;
    l->rows += f.rows;
    l->files += f.files;
    l->bytes += f.bytes;
    return 0;
}

static void list_begin(struct listing *l)
{
    static const char *const heads[] = {"TABLE", "ROWS", "FILES", "BYTES", "NEWEST EVENT"};
    render_table_init(&l->table, 5, 0x0e);
    for (int i = 0; i < 5; i++)
        render_table_cell(&l->table, heads[i]);
    buf_puts(&l->out, l->json ? "[" : "");
}

static void list_end(struct listing *l)
{
    char text[RENDER_NUMBER_MAX];
    if (l->json) {
        buf_puts(&l->out, "\n]\n");
        return;
    }
    snprintf(text, sizeof text, "%zu table%s", l->n, l->n == 1 ? "" : "s");
    render_table_cell(&l->table, text);
    render_table_number(&l->table, l->rows);
    render_table_number(&l->table, l->files);
    render_table_cell(&l->table, render_bytes(l->bytes, text));
    render_table_cell(&l->table, "");
    render_table_print(&l->table, &l->out);
}

int tables_command(struct config *c, int n_args, char **args)
{
    struct open_lake lake;
    struct listing l = {.json = options_flag(&c->options, OPT_JSON)};
    struct err e = {0};
    char **names = NULL;
    size_t n = 0;
    int rc = EXIT_DONE;
    (void)n_args, (void)args;
    list_begin(&l);
    if (open_lake(&lake, c, OPEN_LOOK, NULL, &e) || lake_tables(&lake.lake, &names, &n, &e))
        rc = open_lake_failed(c, &e);
    for (size_t i = 0; i < n; i++) {
        if (list_one(&l, &lake.lake, names[i], &e))
            rc = commands_fail(&e); /* the others are shown all the same */
        free(names[i]);
    }
    free(names);
    if (rc == EXIT_DONE || n) {
        list_end(&l);
        int printed = commands_print(&l.out);
        rc = rc ? rc : printed;
    }
    buf_fini(&l.out);
    render_table_fini(&l.table);
    open_lake_close(&lake);
    return rc;
}

/* ---- schema */

static void schema_json(const struct field *parent, struct buf *out, int depth)
{
    struct buf type = {0};
    buf_puts(out, "[");
    for (uint32_t i = 0; i < parent->n_children; i++) {
        const struct field *f = &parent->children[i];
        buf_printf(out, "%s\n%*s{\"id\": %d, \"name\": ", i ? "," : "", 2 * depth, "", f->id);
        render_json_string(out, f->name);
        buf_printf(out, ", \"required\": %s, \"type\": ", f->required ? "true" : "false");
        type.n = 0;
        field_type_text(f, &type);
        render_json_string(out, buf_cstr(&type));
        if (f->doc) {
            buf_puts(out, ", \"doc\": ");
            render_json_string(out, f->doc);
        }
        if (f->n_children && depth < 32) {
            buf_puts(out, ", \"fields\": ");
            schema_json(f, out, depth + 1);
        }
        buf_puts(out, "}");
    }
    buf_printf(out, "\n%*s]", 2 * (depth - 1), "");
    buf_fini(&type);
}

static const char *short_type(const struct field *f, struct buf *out)
{
    out->n = 0;
    if (f->kind == TYPE_STRUCT)
        buf_puts(out, "struct");
    else if (f->kind == TYPE_LIST)
        buf_puts(out, "list");
    else if (f->kind == TYPE_MAP)
        buf_puts(out, "map");
    else
        field_type_text(f, out);
    return buf_cstr(out);
}

static void schema_rows(const struct field *parent, struct render_table *t, int depth)
{
    struct buf text = {0};
    for (uint32_t i = 0; i < parent->n_children; i++) {
        const struct field *f = &parent->children[i];
        render_table_number(t, f->id);
        text.n = 0;
        buf_printf(&text, "%*s%s", 2 * depth, "", f->name);
        render_table_cell(t, buf_cstr(&text));
        render_table_cell(t, short_type(f, &text));
        render_table_cell(t, f->required ? "required" : "");
        render_table_cell(t, f->doc && strcmp(f->doc, f->name) != 0 ? f->doc : "");
        if (depth < 32)
            schema_rows(f, t, depth + 1);
    }
    buf_fini(&text);
}

static void partition_line(const struct table *t, struct buf *out)
{
    const struct partition_field *fields;
    uint32_t n = table_partition(t, &fields);
    for (uint32_t i = 0; i < n; i++) {
        const struct field *f = schema_find_id(table_schema(t), fields[i].source_id);
        const char *source = f ? f->name : "?";
        bool identity = strcmp(fields[i].transform, "identity") == 0;
        buf_printf(out, i ? ", " : "partitioned by ");
        buf_printf(out, identity ? "%.0s%s" : "%s(%s)", fields[i].transform, source);
    }
    buf_puts(out, n ? "\n" : "not partitioned\n");
}

static void show_schema(const struct table *t, bool json, struct buf *out)
{
    static const char *const heads[] = {"ID", "COLUMN", "TYPE", "", "KEY IN THE EVENT"};
    if (json) {
        buf_puts(out, "{\"table\": ");
        render_json_string(out, table_name(t));
        buf_printf(out, ", \"schema_id\": %d, \"fields\": ", table_schema(t)->schema_id);
        schema_json(&table_schema(t)->root, out, 1);
        buf_puts(out, "}\n");
        return;
    }
    struct render_table r;
    render_table_init(&r, 5, 1);
    for (int i = 0; i < 5; i++)
        render_table_cell(&r, heads[i]);
    schema_rows(&table_schema(t)->root, &r, 0);
    render_table_print(&r, out);
    render_table_fini(&r);
    partition_line(t, out);
}

/* "No table x" alone does not help: names the nearest there is. */
static int no_table(const struct lake *lake, const char *name, struct err *e)
{
    struct err ignored = {0};
    char **names = NULL;
    size_t n = 0;
    if (e->kind != ERR_NOTFOUND || lake_tables(lake, &names, &n, &ignored))
        return commands_fail(e);
    const char *near = options_nearest(name, (const char *const *)names, n);
    fprintf(stderr, "inlet: no table \"%.100s\" in namespace %s", name, lake->ns);
    if (near)
        fprintf(stderr, "; did you mean \"%s\"?\n", near);
    else
        fputs("; `inlet tables` lists them\n", stderr);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return EXIT_FAILED;
}

int schema_command(struct config *c, int n_args, char **args)
{
    struct open_lake lake;
    struct err e = {0};
    struct buf out = {0};
    int rc;
    (void)n_args;
    if (open_lake(&lake, c, OPEN_LOOK, NULL, &e)) {
        open_lake_close(&lake);
        return open_lake_failed(c, &e);
    }
    struct table *t = table_load(&lake.lake, args[0], &e);
    if (t) {
        show_schema(t, options_flag(&c->options, OPT_JSON), &out);
        rc = commands_print(&out);
        table_free(t);
    } else {
        rc = no_table(&lake.lake, args[0], &e);
    }
    open_lake_close(&lake);
    return rc;
}
