/* views: the SQL of one view over all tables, printed, or made in Glue. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/views.h"

struct loaded { /* the tables of the lake */
    struct table **handles;
    struct views_table *tables;
    char **names;
    size_t n, n_names;
};

static int load_all(struct loaded *l, const struct lake *lake, struct err *e)
{
    if (lake_tables(lake, &l->names, &l->n_names, e))
        return -1;
    l->handles = mem_array(l->n_names + 1, sizeof(struct table *));
    l->tables = mem_array(l->n_names + 1, sizeof *l->tables);
    for (size_t i = 0; i < l->n_names; i++) {
        if (strncmp(l->names[i], "inlet_", 6) == 0)
            continue;
        struct table *t = table_load(lake, l->names[i], e);
        if (!t)
            return -1;
        l->handles[l->n] = t;
        l->tables[l->n++] = (struct views_table){l->names[i], table_location(t), table_schema(t)};
    }
    return l->n ? 0 : err_set(e, ERR_NOTFOUND, "the lake has no tables of events yet");
}

static void loaded_fini(struct loaded *l)
{
    for (size_t i = 0; i < l->n; i++)
        table_free(l->handles[i]);
    for (size_t i = 0; i < l->n_names; i++)
        free(l->names[i]);
    free(l->handles);
    free(l->tables);
    free(l->names);
}

static int apply(const struct views *v, struct catalog *catalog, struct err *e)
{
    if (!catalog->ops->put_view || v->engine != VIEWS_ATHENA)
        return err_set(e, ERR_INVALID,
                       "--apply makes Athena's view in Glue: it needs --for athena and --catalog "
                       "glue://DATABASE; elsewhere run the SQL that is printed without it");
    json_t *presto = views_presto(v), *columns = views_columns_json(v);
    struct catalog_view view = {.name = v->view, .presto = presto, .columns = columns};
    int rc = catalog->ops->put_view(catalog, v->ns, &view, e);
    json_decref(presto);
    json_decref(columns);
    if (rc == 0)
        fprintf(stderr, "inlet: the view %s.%s is made, over %zu tables\n", v->ns, v->view,
                v->n_tables);
    return rc;
}

int views_command(struct config *c, int n_args, char **args)
{
    struct open_lake lake = {0};
    struct loaded l = {0};
    struct err e = {0};
    struct buf out = {0};
    const struct options *o = &c->options;
    struct views v = {.engine = (enum views_engine)options_number(o, OPT_VIEWS_FOR),
                      .ns = config_namespace(c),
                      .view = options_text(o, OPT_VIEWS_NAME)};
    (void)n_args, (void)args;
    int rc = open_lake(&lake, c, OPEN_LOOK, NULL, &e) || load_all(&l, &lake.lake, &e) ? -1 : 0;
    v.tables = l.tables;
    v.n_tables = l.n;
    if (!rc)
        rc = views_columns(&v, options_text(o, OPT_VIEWS_WITH), &e);
    bool applies = options_flag(o, OPT_VIEWS_APPLY);
    if (!rc && applies)
        rc = apply(&v, lake.lake.catalog, &e);
    else if (!rc)
        views_statement(&v, &out);
    views_fini(&v);
    loaded_fini(&l);
    open_lake_close(&lake);
    if (rc)
        return commands_fail(&e);
    return applies ? EXIT_DONE : commands_print(&out);
}
