/* init: the script that creates the data structures: the lake's place, catalog, namespace, the dead letters,
 * the declared tables, the leases. What is there stays; what is not is made, or with --dry-run only told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/render.h"
#include "pipeline/prepare.h"

enum state { EXISTS, CHANGED, MADE, FAILED };

struct init {
    bool dry, json;
    struct render_table table;
    struct buf out;
    size_t n, made, failed;
};

static void row(struct init *s, const char *what, const char *name, enum state state,
                const char *detail)
{
    static const char *const done[] = {"exists", "changed", "made", "FAILED"};
    static const char *const dry[] = {"exists", "to be changed", "to be made", "FAILED"};
    const char *word = s->dry ? dry[state] : done[state];
    s->made += state == MADE || state == CHANGED;
    s->failed += state == FAILED;
    if (s->json) {
        buf_puts(&s->out, s->n ? ",\n  {\"object\": " : "\n  {\"object\": ");
        render_json_string(&s->out, what);
        buf_puts(&s->out, ", \"name\": ");
        render_json_string(&s->out, name);
        buf_puts(&s->out, ", \"state\": ");
        render_json_string(&s->out, state == FAILED ? "failed" : word);
        buf_puts(&s->out, ", \"detail\": ");
        render_json_string(&s->out, detail);
        buf_puts(&s->out, "}");
    } else {
        render_table_cell(&s->table, what);
        render_table_cell(&s->table, name);
        render_table_cell(&s->table, word);
        render_table_cell(&s->table, detail);
    }
    s->n++;
}

static void table_row(void *ctx, const struct table_prepared *p)
{
    struct init *s = ctx;
    char detail[64] = "";
    enum state state = p->rc ? FAILED : !p->existed ? MADE : p->columns ? CHANGED : EXISTS;
    if (p->columns)
        snprintf(detail, sizeof detail, "%u column%s", p->columns,
                 p->columns == 1 ? "" : "s");
    row(s, "table", p->table, state, p->rc ? p->err.text : detail);
}

static void ignore_object(void *ctx, const char *key, int64_t bytes, int64_t modified_ms)
{
    (void)ctx, (void)key, (void)bytes, (void)modified_ms;
}

/* EXISTS: it is open, to be looked at (dry) or used. MADE: it was made, or is to be. */
static enum state find(struct open_lake *l, const struct config *c, bool dry, const char **what,
                       struct err *e)
{
    if (open_lake(l, c, dry ? OPEN_LOOK : OPEN_USE, what, e) == 0) {
        /* a bucket is not looked at until it is used */
        *what = "lake";
        return l->lake.store->ops->list(l->lake.store, "inlet_init", ignore_object, NULL, e) ? FAILED : EXISTS;
    }
    if (e->kind != ERR_NOTFOUND || dry)
        return e->kind == ERR_NOTFOUND ? MADE : FAILED;
    const char *missing = *what;
    open_lake_close(l);
    if (open_lake(l, c, OPEN_MAKE, what, e))
        return FAILED;
    *what = missing;
    return MADE;
}

static void lake_rows(struct init *s, const struct config *c, enum state found, const char *what,
                      const char *why)
{
    const char *lake = options_text(&c->options, OPT_LAKE);
    const char *catalog = options_text(&c->options, OPT_CATALOG);
    bool store_failed = found != EXISTS && strcmp(what, "lake") == 0;
    row(s, "lake", lake, store_failed ? found : EXISTS, store_failed && found == FAILED ? why : "");
    if (store_failed && found == FAILED)
        return;
    row(s, "catalog", catalog ? catalog : "catalog.db in the lake", found,
        found == FAILED ? why : "");
}

static int namespace_row(struct init *s, const struct lake *lake, bool fresh, struct err *e)
{
    const struct catalog_ops *ops = lake->catalog->ops;
    bool there = false, can_say = ops->namespace_exists != NULL;
    int rc = fresh || !can_say ? 0 : ops->namespace_exists(lake->catalog, lake->ns, &there, e);
    if (!rc && !there && !s->dry)
        rc = ops->namespace_ensure(lake->catalog, lake->ns, e);
    row(s, "namespace", lake->ns, rc ? FAILED : there ? EXISTS : MADE,
        rc ? e->text : can_say ? "" : "or was there");
    return rc;
}

static void leases_row(struct init *s, const struct config *c)
{
    struct err e = {0};
    char *uri = open_leases_uri(c, &e);
    bool made = false;
    struct lease_store *leases = uri ? open_leases(c, !s->dry, &made, &e) : NULL;
    bool missing = !leases && e.kind == ERR_NOTFOUND && s->dry;
    enum state state = missing || (leases && made) ? MADE : leases ? EXISTS : FAILED;
    row(s, "leases", uri ? uri : "leases", state, state == FAILED ? e.text : "");
    lease_store_close(leases);
    free(uri);
}

static void all_rows(struct init *s, struct config *c, const struct pipeline_config *p)
{
    struct open_lake l;
    struct err e = {0};
    const char *what = "lake";
    enum state found = find(&l, c, s->dry, &what, &e);
    lake_rows(s, c, found, what, e.text);
    if (found == MADE && s->dry) {
        row(s, "namespace", p->ns, MADE, "");
        prepare_nothing_there(p, table_row, s);
    } else if (found != FAILED && namespace_row(s, &l.lake, found == MADE, &e) == 0) {
        prepare_tables(p, &l.lake, s->dry, table_row, s);
    }
    open_lake_close(&l);
    if (found != FAILED)
        leases_row(s, c);
}

int init_command(struct config *c, int n_args, char **args)
{
    static const char *const heads[] = {"OBJECT", "NAME", "STATE", ""};
    const struct options *o = &c->options;
    struct init s = {.dry = options_flag(o, OPT_DRY_RUN), .json = options_flag(o, OPT_JSON)};
    struct pipeline_config p;
    struct err e = {0};
    (void)n_args, (void)args;
    if (config_pipeline(c, &p, &e)) {
        commands_fail(&e);
        return EXIT_USAGE;
    }
    render_table_init(&s.table, 4, 0);
    for (int i = 0; i < 4; i++)
        render_table_cell(&s.table, heads[i]);
    all_rows(&s, c, &p);
    if (s.json) {
        struct buf head = {0};
        buf_printf(&head, "{\"dry_run\": %s, \"changed\": %zu, \"failed\": %zu, \"objects\": [",
                   s.dry ? "true" : "false", s.made, s.failed);
        buf_put(&head, s.out.p, s.out.n);
        buf_puts(&head, "\n]}\n");
        buf_fini(&s.out);
        s.out = head;
    } else {
        render_table_print(&s.table, &s.out);
        buf_printf(&s.out, s.dry ? "%zu to be made or changed, %zu failed; nothing was written\n"
                                 : "%zu made or changed, %zu failed\n",
                   s.made, s.failed);
    }
    render_table_fini(&s.table);
    int rc = commands_print(&s.out);
    return s.failed ? EXIT_FAILED : rc;
}
