/* verify: each table read back and checked (maintain/verify.h), a line a table, a line a problem. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/open.h"
#include "cli/render.h"
#include "maintain/verify.h"

struct verification {
    bool json;
    const char *table;
    size_t memory, n;
    struct render_table rows;
    struct buf out, said; /* said: the problems, as lines or as JSON strings */
    struct verify_report sum;
};

static void on_problem(void *ctx, const char *text)
{
    struct verification *v = ctx;
    if (v->json) {
        buf_puts(&v->said, v->said.n ? ", " : "");
        render_json_string(&v->said, text);
        return;
    }
    buf_printf(&v->said, "%s: %s\n", v->table, text);
}

static void put_line(struct verification *v, const struct verify_report *r)
{
    if (!v->json) {
        render_table_cell(&v->rows, v->table);
        render_table_number(&v->rows, r->rows);
        render_table_number(&v->rows, r->files);
        render_table_number(&v->rows, r->stream_rows);
        render_table_number(&v->rows, r->duplicates);
        render_table_number(&v->rows, (int64_t)r->problems);
        return;
    }
    buf_puts(&v->out, v->n ? ",\n  {\"table\": " : "\n  {\"table\": ");
    render_json_string(&v->out, v->table);
    buf_printf(&v->out,
               ", \"rows\": %" PRId64 ", \"files\": %" PRId64 ", \"bytes\": %" PRId64
               ", \"stream_rows\": %" PRId64 ", \"duplicates\": %" PRId64 ", \"passes\": %" PRIu32
               ", \"problems\": %" PRIu64 ", \"said\": [%s]}",
               r->rows, r->files, r->bytes, r->stream_rows, r->duplicates, r->passes, r->problems,
               buf_cstr(&v->said));
    v->said.n = 0;
}

static void verify_one(struct verification *v, const struct lake *lake, const char *name)
{
    struct verify_report r;
    struct err e = {0};
    v->table = name;
    if (verify_table(lake, name, v->memory, on_problem, v, &r, &e)) {
        r.problems++;
        on_problem(v, e.text);
    }
    put_line(v, &r);
    v->n++;
    v->sum.rows += r.rows;
    v->sum.files += r.files;
    v->sum.stream_rows += r.stream_rows;
    v->sum.duplicates += r.duplicates;
    v->sum.problems += r.problems;
}

static void begin(struct verification *v)
{
    static const char *const heads[] = {"TABLE", "ROWS", "FILES", "OF STREAMS", "DUPLICATES", "PROBLEMS"};
    render_table_init(&v->rows, 6, 0x3e);
    for (int i = 0; i < 6; i++)
        render_table_cell(&v->rows, heads[i]);
}

static void finish(struct verification *v)
{
    char text[RENDER_NUMBER_MAX];
    if (v->json) {
        struct buf all = {0};
        buf_printf(&all, "{\"ok\": %s, \"tables\": [", v->sum.problems ? "false" : "true");
        buf_put(&all, v->out.p, v->out.n);
        buf_puts(&all, "\n]}\n");
        buf_fini(&v->out);
        v->out = all;
    } else {
        snprintf(text, sizeof text, "%zu table%s", v->n, v->n == 1 ? "" : "s");
        v->table = text;
        put_line(v, &v->sum);
        render_table_print(&v->rows, &v->out);
        buf_put(&v->out, v->said.p, v->said.n);
    }
    render_table_fini(&v->rows);
    buf_fini(&v->said);
}

int verify_command(struct config *c, int n_args, char **args)
{
    struct verification v = {.json = options_flag(&c->options, OPT_JSON),
                             .memory = (size_t)options_number(&c->options, OPT_MEMORY) / 2};
    struct open_lake l;
    struct err e = {0};
    char **names = NULL;
    size_t n = 0;
    int rc = open_lake(&l, c, OPEN_LOOK, NULL, &e);
    if (!rc && !n_args)
        rc = lake_tables(&l.lake, &names, &n, &e);
    if (rc) {
        open_lake_close(&l);
        return open_lake_failed(c, &e);
    }
    begin(&v);
    for (int i = 0; i < n_args; i++)
        verify_one(&v, &l.lake, args[i]);
    for (size_t i = 0; i < n; i++) {
        verify_one(&v, &l.lake, names[i]);
        free(names[i]);
    }
    free(names);
    finish(&v);
    open_lake_close(&l);
    rc = commands_print(&v.out);
    return v.sum.problems ? EXIT_FAILED : rc;
}
