/* See envelope.h. */
#include "pipeline/envelope.h"

#include <string.h>

struct names { /* which of the base's columns had their own name in some schema of the table */
    const struct schema *base;
    uint64_t known; /* a bit for each field id */
};

static void see_schema(void *ctx, const struct schema *s)
{
    struct names *n = ctx;
    for (uint32_t i = 0; i < n->base->root.n_children; i++) {
        const struct field *ours = &n->base->root.children[i];
        const struct field *theirs = field_child(&s->root, ours->name);
        if (theirs && theirs->id == ours->id && theirs->kind == ours->kind)
            n->known |= UINT64_C(1) << ours->id;
    }
}

/* The top-level column of this id, or NULL. */
static const struct field *column(const struct schema *s, int32_t id)
{
    for (uint32_t i = 0; i < s->root.n_children; i++)
        if (s->root.children[i].id == id)
            return &s->root.children[i];
    return NULL;
}

int envelope_check(const struct table *t, bool events, struct err *e)
{
    struct schema base;
    struct names names = {.base = &base};
    const struct schema *now = table_schema(t);
    if (events)
        schema_event_base(&base);
    else
        schema_dead_letters(&base);
    int rc = table_schemas(t, see_schema, &names, e);
    for (uint32_t i = 0; !rc && i < base.root.n_children; i++) {
        const struct field *ours = &base.root.children[i], *theirs = column(now, ours->id);
        bool ok = names.known >> ours->id & 1 && (!theirs || theirs->kind == ours->kind);
        if (!ok)
            rc = err_set(e, ERR_INVALID,
                         "it was not made by inlet: field %d is %s, where inlet has %s; rename or "
                         "drop it, and inlet makes its own",
                         ours->id, theirs ? theirs->name : "missing", ours->name);
    }
    schema_fini(&base);
    return rc;
}
