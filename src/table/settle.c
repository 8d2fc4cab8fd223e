/* What became of an append whose answer was lost. See table.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "table/append_int.h"

void append_remember(struct append_attempt *attempt, struct table_change *c)
{
    append_attempt_fini(attempt);
    attempt->change = mem_alloc(sizeof *c);
    *attempt->change = *c;
    *c = (struct table_change){0};
}

void append_attempt_fini(struct append_attempt *attempt)
{
    if (attempt->change)
        table_change_fini(attempt->change);
    free(attempt->change);
    attempt->change = NULL;
}

/* Is it in the base's snapshots or metadata log? */
static bool there(const struct table *t, const struct append_attempt *attempt)
{
    const char *next = attempt->change->next;
    size_t i;
    json_t *j;
    if (table_json_by_id(json_object_get(table_meta(t), "snapshots"), "snapshot-id",
                         attempt->snapshot_id) ||
        (next && t->location && strcmp(t->location, next) == 0))
        return true;
    json_array_foreach(json_object_get(table_meta(t), "metadata-log"), i, j)
    {
        const char *file = table_json_text(j, "metadata-file");
        if (next && file && strcmp(file, next) == 0)
            return true;
    }
    return false;
}

/* Can the offer not land any more? A swap of locations not once the base is another; an assertion of
 * the parent not once a snapshot took our sequence number: sequence numbers never go back, while a
 * branch may be rolled back to the very parent. */
static bool passed(const struct table *t, const struct append_attempt *attempt)
{
    const struct table_change *c = attempt->change;
    if (c->creates)
        return !t->planned;
    if (!t->lake->catalog->writes_metadata)
        return strcmp(t->location, c->base) != 0;
    return table_json_number(table_meta(t), "last-sequence-number") >=
           table_json_number(c->meta, "last-sequence-number");
}

static int look(struct table *t, const struct append_attempt *attempt, enum settled *out,
                struct err *e)
{
    *out = SETTLED_UNKNOWN;
    if (table_reload(t, e)) {
        if (!attempt->change->creates || e->kind != ERR_FENCED)
            return -1;
        *out = SETTLED_NOT; /* another one has its name: the next append says so */
        return 0;
    }
    if (there(t, attempt)) {
        *out = SETTLED_COMMITTED;
        table_draft_drop(t);
    } else if (passed(t, attempt)) {
        *out = SETTLED_NOT;
    }
    return 0;
}

int table_settle(struct table *t, struct append_attempt *attempt, enum settled *out, struct err *e)
{
    struct err none = {0};
    e = e ? e : &none;
    *out = SETTLED_NOT;
    if (!attempt->offered || !attempt->change)
        return 0;
    if (look(t, attempt, out, e))
        return -1;
    if (*out != SETTLED_UNKNOWN)
        return 0;
    /* The base has not moved: the same offer again. Whichever of the two lands, lands alone. */
    if (table_change_send(t, attempt->change, e) == 0) {
        t->own = true;
        table_draft_drop(t);
        *out = SETTLED_COMMITTED;
        return 0;
    }
    return e->kind == ERR_CONFLICT ? look(t, attempt, out, e) : -1;
}
