/* Schema first: a schema that is proposed is agreed with the table by compare-and-swap; or it is kept as a draft, and
 * agreed by the very swap that brings the first files made by it. See table.h. */
#include "base/mem.h"
#include "table/table_int.h"

#define UNKNOWN_MAX 4

static int64_t next_schema_id(const struct table *t)
{
    int64_t id = t->drafted ? t->draft.schema_id : -1;
    size_t i;
    json_t *j;
    json_array_foreach(json_object_get(table_meta(t), "schemas"), i, j) if (table_json_number(j, "schema-id") > id) id =
        table_json_number(j, "schema-id");
    return id + 1;
}

/* As metadata and manifests have it. */
static json_t *schema_json(const struct table *t, const struct schema *s)
{
    json_t *made = iceberg_schema_json(s);
    const json_t *before = table_json_by_id(json_object_get(table_meta(t), "schemas"), "schema-id",
                                            table_json_number(table_meta(t), "current-schema-id"));
    if (json_object_get(before, "identifier-field-ids"))
        json_object_set(made, "identifier-field-ids",
                        json_object_get(before, "identifier-field-ids"));
    return made;
}

/* The next schema, with what it requires: that nobody changed the columns since the base. */
static void add_schema(struct table *t, struct table_change *c, const struct schema *next)
{
    json_t *meta = c->meta, *made = schema_json(t, next);
    if (t->planned) /* it begins with this one */
        json_array_clear(json_object_get(meta, "schemas"));
    json_array_append(json_object_get(meta, "schemas"), made);
    json_object_set_new(meta, "current-schema-id", json_integer(next->schema_id));
    if (schema_max_id(next) > t->last_column)
        json_object_set_new(meta, "last-column-id", json_integer(schema_max_id(next)));
    json_object_set(table_require(c, "assert-current-schema-id"), "current-schema-id",
                    json_object_get(table_meta(t), "current-schema-id"));
    json_object_set(table_require(c, "assert-last-assigned-field-id"), "last-assigned-field-id",
                    json_object_get(table_meta(t), "last-column-id"));
    json_t *add = table_update(c, "add-schema");
    json_object_set_new(add, "schema", made);
    json_object_set(add, "last-column-id", json_object_get(meta, "last-column-id"));
    json_object_set_new(table_update(c, "set-current-schema"), "schema-id", json_integer(-1));
}

void table_pause(struct table *t, int race)
{
    uint8_t r;
    t->lake->random(t->lake->random_ctx, &r, 1);
    t->lake->clock->sleep_ms(t->lake->clock->ctx, (5 << (race < 7 ? race : 7)) + r % 16);
}

/* One proposal against the base. 1: made current; 0: nothing to add; -1: *raced tells whether another try may help, as
 * it cannot where `propose` itself says that what somebody made contradicts it. */
static int evolve_once(struct table *t, table_propose_fn *propose, void *ctx, bool *raced, struct err *e)
{
    struct schema next;
    struct table_change change;
    bool own = t->own, offered = false;
    int rc = propose(ctx, &t->schema, (int32_t)t->last_column, &next, e);
    *raced = false;
    if (rc <= 0)
        return rc;
    next.schema_id = (int32_t)next_schema_id(t);
    table_change_begin(t, &change);
    add_schema(t, &change, &next);
    schema_fini(&next);
    rc = table_change_offer(t, &change, NULL, 0, &offered, e);
    t->own = own; /* an evolve does not make a base ours that an append has not looked at */
    table_change_fini(&change);
    *raced = rc && (e->kind == ERR_CONFLICT || e->kind == ERR_UNKNOWN);
    return rc ? -1 : 1;
}

int table_evolve(struct table *t, table_propose_fn *propose, void *ctx, struct err *e)
{
    struct err none = {0};
    int unknown = 0;
    e = e ? e : &none;
    invariant(!t->drafted);
    if (t->broken && table_reload(t, e))
        return -1;
    for (int race = 0; race < RACES_MAX; race++) {
        bool raced;
        int rc = evolve_once(t, propose, ctx, &raced, e);
        if (rc == 0 || (rc > 0 && !t->broken))
            return 0;
        /* Whether a lost offer landed needs no answer: the base, read again, says what is still to be
         * proposed, and of two offers against one base one lands. */
        unknown += rc < 0 && e->kind == ERR_UNKNOWN;
        if (rc < 0 && (!raced || unknown > UNKNOWN_MAX))
            return -1;
        if (rc < 0)
            table_pause(t, race);
        if (table_reload(t, e))
            return -1;
    }
    return err_set(e, ERR_CONFLICT, "table %s: lost %d races to change its schema", t->name,
                   RACES_MAX);
}

/* ---- the draft ---- */

bool table_drafts(const struct lake *lake)
{
    return !lake->catalog->writes_metadata; /* those give schemas numbers of their own */
}

bool table_has_draft(const struct table *t)
{
    return t->drafted;
}

int table_draft(struct table *t, table_propose_fn *propose, void *ctx, struct err *e)
{
    struct schema next;
    struct err none = {0};
    e = e ? e : &none;
    invariant(table_drafts(t->lake));
    if (t->broken && table_reload(t, e))
        return -1;
    int64_t last = t->drafted ? schema_max_id(&t->draft) : 0;
    if (last < t->last_column)
        last = t->last_column;
    int rc = propose(ctx, table_schema(t), (int32_t)last, &next, e);
    if (rc <= 0)
        return rc;
    next.schema_id = (int32_t)next_schema_id(t);
    if (t->drafted) {
        schema_fini(&t->draft);
    } else {
        t->draft_of = table_json_number(table_meta(t), "current-schema-id");
        t->draft_last = t->last_column;
    }
    t->draft = next;
    t->drafted = true;
    return 0;
}

int table_draft_stands(const struct table *t, struct err *e)
{
    if (!t->drafted || (table_json_number(table_meta(t), "current-schema-id") == t->draft_of &&
                        t->last_column == t->draft_last))
        return 0;
    return err_set(e, ERR_FENCED, "somebody changed its columns meanwhile; the rows have to be read again");
}

void table_draft_add(struct table *t, struct table_change *c)
{
    if (t->drafted)
        add_schema(t, c, &t->draft);
}

void table_draft_drop(struct table *t)
{
    if (t->drafted)
        schema_fini(&t->draft);
    t->drafted = false;
}

json_t *table_schema_json(const struct table *t)
{
    if (t->drafted)
        return schema_json(t, &t->draft);
    return json_incref(
        table_json_by_id(json_object_get(table_meta(t), "schemas"), "schema-id", t->schema.schema_id));
}
