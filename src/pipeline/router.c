/* Which tables there are, and how each is partitioned. A table is known by its name from the moment an
 * event names it; its handle comes at start (it was in the lake) or with its first commit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/envelope.h"
#include "pipeline/pipeline_int.h"

void router_init(struct router *r, const struct pipeline_config *config)
{
    *r = (struct router){.config = config, .most = config->tables_max};
    pthread_mutex_init(&r->lock, NULL);
    r->tables = mem_array((size_t)r->most + 1, sizeof *r->tables);
    router_table(r, DEAD_LETTERS);
}

void router_make_room(struct router *r, size_t n)
{
    if (n <= r->most)
        return;
    r->tables = mem_regrow(r->tables, n + 1, sizeof *r->tables);
    r->most = (uint32_t)n;
}

void router_fini(struct router *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct ptable *t = r->tables[i];
        while (t->pending) {
            struct rowset *next = t->pending->next;
            rowset_free(t->pending);
            t->pending = next;
        }
        files_free(&t->files);
        encode_kept_free(t->kept);
        if (t->unsettled)
            commit_job_free(t->unsettled);
        table_free(t->handle);
        registry_free(t->st.registry);
        free(t->lettered);
        free(t);
    }
    free(r->tables);
    map_fini(&r->by_name);
    pthread_mutex_destroy(&r->lock);
}

static const struct pipeline_table_config *config_of(const struct pipeline_config *c,
                                                     const char *name)
{
    for (size_t i = 0; i < c->n_tables; i++)
        if (strcmp(c->tables[i].name, name) == 0)
            return &c->tables[i];
    return NULL;
}

static void add_partition(struct ptable *t, int32_t source_id, const char *transform,
                          const char *name)
{
    invariant(t->n_partition < PARTITION_FIELDS_MAX);
    struct partition_field *f = &t->partition[t->n_partition++];
    f->source_id = source_id;
    snprintf(f->transform, sizeof f->transform, "%s", transform);
    snprintf(f->name, sizeof f->name, "%s", name);
    if (source_id == COL_EVENT_TIME)
        t->st.time_transform = (uint8_t)transform[0];
    if (source_id == COL_EVENT_SUBTYPE)
        t->st.by_subtype = true;
    if (source_id == COL_EVENT_NAME)
        t->st.by_name = true;
}

/* "event_subtype", "event_name", or "day(event_time)" and its like; the config has checked them. */
static void configured_partition(struct ptable *t)
{
    static const char *const units[] = {"year", "month", "day", "hour"};
    const char *const *by = t->config ? t->config->partition_by : NULL;
    if (!by) {
        add_partition(t, COL_EVENT_TIME, "day", "event_time_day");
        return;
    }
    for (; *by && t->n_partition < PARTITION_FIELDS_MAX; by++) {
        if (strcmp(*by, "event_subtype") == 0)
            add_partition(t, COL_EVENT_SUBTYPE, "identity", "event_subtype");
        else if (strcmp(*by, "event_name") == 0)
            add_partition(t, COL_EVENT_NAME, "identity", "event_name");
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            char text[32], name[32];
            snprintf(text, sizeof text, "%s(event_time)", units[u]);
            snprintf(name, sizeof name, "event_time_%s", units[u]);
            if (strcmp(*by, text) == 0)
                add_partition(t, COL_EVENT_TIME, units[u], name);
        }
    }
}

/* With the envelope's columns, of an events' table. */
static struct registry *new_registry(const struct pipeline_config *c, const struct ptable *t)
{
    struct schema base;
    struct registry *made = registry_new(&c->limits, t->config ? t->config->columns : NULL,
                                         t->config ? t->config->n_columns : 0);
    if (t->st.number) {
        schema_event_base(&base);
        invariant(registry_bind(made, &base, NULL) == 0);
        schema_fini(&base);
    }
    return made;
}

static struct ptable *make_table(struct router *r, const char *name)
{
    struct ptable *t = mem_zalloc(sizeof *t);
    t->config = config_of(r->config, name);
    t->st.number = r->count;
    t->kept = encode_kept_new();
    schema_ids_same(&t->ids);
    snprintf(t->st.name, sizeof t->st.name, "%s", name);
    t->st.registry = new_registry(r->config, t);
    if (r->count == 0) { /* the dead letters, partitioned by day(_arrived_at), field 9 */
        add_partition(t, 9, "day", "arrived_at_day");
    } else {
        configured_partition(t);
    }
    map_set(&r->by_name, name, strlen(name), t);
    r->tables[r->count] = t;
    r->count++; /* whoever sees the new number sees the table */
    return t;
}

struct ptable *router_table(struct router *r, const char *name)
{
    pthread_mutex_lock(&r->lock);
    struct ptable *t = map_get(&r->by_name, name, strlen(name));
    if (!t && r->count <= r->most)
        t = make_table(r, name);
    pthread_mutex_unlock(&r->lock);
    return t;
}

struct ptable *router_at(struct router *r, uint32_t number)
{
    return number < r->count ? r->tables[number] : NULL;
}

uint32_t router_count(struct router *r)
{
    return r->count;
}

struct ptable *router_dead_letters(struct router *r)
{
    return router_at(r, 0);
}

int router_rebind(struct router *r, struct ptable *t, struct err *e)
{
    if (t->handle && table_reopen(t->handle, e))
        return -1;
    registry_free(t->st.registry);
    t->st.registry = new_registry(r->config, t);
    t->rebind = false;
    encode_kept_free(t->kept); /* a table made anew counts its schemas from 0 again */
    t->kept = encode_kept_new();
    return t->handle ? router_bind(t, t->handle, e) : 0;
}

static void bind_former(void *ctx, const struct schema *former)
{
    struct ptable *t = ctx;
    registry_bind_former(t->st.registry, former, table_schema(t->handle));
}

int router_check(const struct ptable *t, const struct table *handle, struct schema_ids *ids,
                 struct err *e)
{
    const struct partition_field *fields;
    uint32_t n = table_partition(handle, &fields), n_timed = 0;
    if (n > PARTITION_FIELDS_MAX)
        return err_set(e, ERR_INVALID, "table %s has %u partition fields; inlet writes up to %d",
                       t->st.name, n, PARTITION_FIELDS_MAX);
    if (envelope_ids(handle, t->st.number != 0, ids, e))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        bool identity = strcmp(fields[i].transform, "identity") == 0;
        int32_t source = schema_ids_ours(ids, fields[i].source_id);
        bool timed = source == (t->st.number ? COL_EVENT_TIME : 9) && !identity;
        bool named = identity && (source == COL_EVENT_SUBTYPE || source == COL_EVENT_NAME);
        if (!timed && !named)
            return err_set(e, ERR_INVALID,
                           "table %s is partitioned by %s(%s), which inlet cannot write; use "
                           "event_subtype, event_name, or year, month, day, hour of event_time",
                           t->st.name, fields[i].transform, fields[i].name);
        n_timed += timed;
    }
    return n_timed < 2 ? 0
                       : err_set(e, ERR_INVALID, "table %s is partitioned by two units of one time, which inlet cannot write; "
                                                 "drop one of them", t->st.name);
}

int router_bind(struct ptable *t, struct table *handle, struct err *e)
{
    const struct partition_field *fields;
    uint32_t n = table_partition(handle, &fields);
    t->handle = handle;
    t->spec_id = table_spec_id(handle);
    if (router_check(t, handle, &t->ids, e))
        return -1;
    t->n_partition = 0;
    t->st.time_transform = 0;
    t->st.by_subtype = t->st.by_name = false;
    for (uint32_t i = 0; i < n; i++)
        add_partition(t, schema_ids_ours(&t->ids, fields[i].source_id), fields[i].transform,
                      fields[i].name);
    if (!t->st.number)
        return 0;
    registry_set_envelope(t->st.registry, &t->ids);
    return registry_bind(t->st.registry, table_schema(handle), e) ||
                   table_schemas(handle, bind_former, t, e)
               ? -1
               : 0;
}
