/* Tables beforehand, by the same means as the pipeline makes them when their first event comes: the router's
 * partitioning, the registry's columns. See prepare.h. */
#include "pipeline/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/pipeline_int.h"

/* Makes the places of the declared columns known, as if an event had brought them all. */
static void declare(struct registry *r, const struct pipeline_table_config *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        struct rnode *at = registry_root(r);
        const char *p = t->columns[i].path;
        while (at && *p) {
            size_t n = strcspn(p, ".");
            bool last = p[n] == '\0';
            at = registry_child(r, at, p, n, last ? PLACE_SCALAR : PLACE_STRUCT, KIND_STRING);
            p += n + !last;
        }
    }
}

struct proposal {
    struct registry *registry;
    uint32_t added;
    bool dry;
};

static uint32_t count_fields(const struct field *f)
{
    uint32_t n = f->n_children;
    for (uint32_t i = 0; i < f->n_children; i++)
        n += count_fields(&f->children[i]);
    return n;
}

static int propose(void *ctx, const struct schema *current, int32_t last_column_id,
                   struct schema *out, struct err *e)
{
    struct proposal *p = ctx;
    int rc = registry_propose(p->registry, current, last_column_id, out, e);
    p->added = rc == 1 ? count_fields(&out->root) - count_fields(&current->root) : 0;
    if (rc == 1 && p->dry) {
        schema_fini(out);
        return 0;
    }
    return rc;
}

/* What a table that is not there would get beyond the envelope. */
static int propose_anew(struct proposal *p, struct err *e)
{
    struct schema base, out;
    schema_event_base(&base);
    bool dry = p->dry;
    p->dry = true; /* it is only counted here */
    int rc = propose(p, &base, schema_max_id(&base), &out, e);
    p->dry = dry;
    schema_fini(&base);
    return rc < 0 ? -1 : 0;
}

static int prepare(struct ptable *t, const struct lake *lake, bool dry, struct table_prepared *p)
{
    struct err *e = &p->err;
    struct proposal proposal = {.registry = t->st.registry, .dry = dry};
    struct table *there = lake ? table_load(lake, t->st.name, e) : NULL;
    int rc = 0;
    p->existed = there != NULL;
    if (!there && lake && e->kind != ERR_NOTFOUND)
        return -1;
    *e = (struct err){0};
    if (there && router_bind(t, there, e))
        return -1;
    if (t->config)
        declare(t->st.registry, t->config);
    if (!there) { /* a new table is made with all its columns */
        if (t->config && propose_anew(&proposal, e))
            return -1;
        p->columns = proposal.added;
        return dry ? 0 : commit_open_table(t, lake, e);
    }
    if (t->config && t->config->n_columns)
        rc = table_evolve(t->handle, propose, &proposal, e);
    p->columns = proposal.added;
    return rc;
}

static void prepare_one(struct router *r, const char *name, const struct lake *lake, bool dry,
                        void (*each)(void *ctx, const struct table_prepared *p), void *ctx)
{
    struct table_prepared p = {.table = name};
    struct ptable *t = NULL;
    if (strcmp(name, DEAD_LETTERS) == 0)
        t = router_dead_letters(r);
    else if (!(t = router_table(r, name)))
        err_set(&p.err, ERR_NOMEM, "more tables are declared than --max-tables allows");
    p.rc = t ? prepare(t, lake, dry, &p) : -1;
    each(ctx, &p);
}

void prepare_tables(const struct pipeline_config *c, const struct lake *lake, bool dry,
                    void (*each)(void *ctx, const struct table_prepared *p), void *ctx)
{
    struct router r;
    router_init(&r, c);
    prepare_one(&r, DEAD_LETTERS, lake, dry, each, ctx);
    for (size_t i = 0; i < c->n_tables; i++)
        prepare_one(&r, c->tables[i].name, lake, dry, each, ctx);
    router_fini(&r);
}

void prepare_nothing_there(const struct pipeline_config *c,
                           void (*each)(void *ctx, const struct table_prepared *p), void *ctx)
{
    prepare_tables(c, NULL, true, each, ctx);
}
