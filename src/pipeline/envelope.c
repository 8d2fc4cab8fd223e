/* See envelope.h. */
#include "pipeline/envelope.h"

/* The top-level column of this id, or NULL. */
static const struct field *column(const struct schema *s, int32_t id)
{
    for (uint32_t i = 0; i < s->root.n_children; i++)
        if (s->root.children[i].id == id)
            return &s->root.children[i];
    return NULL;
}

/* Is the table's column that was ours still of our type? */
static int check(const struct field *ours, int32_t id, const struct schema *now, struct err *e)
{
    const struct field *theirs = id ? column(now, id) : field_child(&now->root, ours->name);
    if (id && (!theirs || theirs->kind == ours->kind))
        return 0;
    return err_set(e, ERR_INVALID,
                   "it was not made by inlet: %s is %s; rename or drop it, and inlet makes its own",
                   ours->name, theirs ? "a column of another type" : "missing");
}

int envelope_ids(const struct table *t, bool events, struct schema_ids *out, struct err *e)
{
    struct schema base;
    if (events)
        schema_event_base(&base);
    else
        schema_dead_letters(&base);
    int rc = table_ids(t, &base, out, e);
    for (uint32_t i = 0; !rc && i < base.root.n_children; i++) {
        const struct field *ours = &base.root.children[i];
        rc = check(ours, out->of[ours->id], table_schema(t), e);
        for (uint32_t k = 0; !rc && k < i; k++) /* whose is it? */
            if (out->of[base.root.children[k].id] == out->of[ours->id])
                rc = err_set(e, ERR_INVALID, "it was not made by inlet: column %d was both %s and %s",
                             out->of[ours->id], base.root.children[k].name, ours->name);
    }
    schema_fini(&base);
    return rc;
}
