/* The snapshot of an append: its summary, its place in the metadata, and the old ones that leave it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "table/append_int.h"

static void put_partition(struct buf *key, const struct iceberg_partition *x)
{
    buf_putc(key, x->is_null);
    if (!x->is_null && x->is_text) {
        buf_put(key, &x->text.n, sizeof x->text.n);
        buf_put(key, x->text.p, x->text.n);
    } else if (!x->is_null) {
        buf_put(key, &x->number, sizeof x->number);
    }
}

static uint32_t partitions_of(const struct prepared *p)
{
    struct map seen = {0};
    struct buf key = {0};
    for (uint32_t i = 0; i < p->n; i++) {
        key.n = 0;
        for (uint32_t k = 0; k < p->spec.n; k++)
            put_partition(&key, &p->partitions[i][k]);
        map_set(&seen, buf_cstr(&key), key.n, &seen);
    }
    uint32_t n = (uint32_t)seen.count;
    map_fini(&seen);
    buf_fini(&key);
    return n;
}

static void put_count(json_t *summary, const char *key, int64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    json_object_set_new(summary, key, json_string(text));
}

static void sum_up(json_t *summary, const json_t *parent, const char *total, const char *added,
                   int64_t delta)
{
    const char *before = table_json_text(parent, total);
    put_count(summary, total, (before ? strtoll(before, NULL, 10) : 0) + delta);
    if (added)
        put_count(summary, added, delta);
}

static json_t *summary_json(struct table *t, const struct append *a, const struct prepared *p)
{
    json_t *s = json_object();
    const json_t *parent = json_object_get(table_current(t), "summary");
    json_object_set_new(s, "operation", json_string("append"));
    sum_up(s, parent, "total-data-files", "added-data-files", p->n);
    sum_up(s, parent, "total-records", "added-records", p->rows);
    sum_up(s, parent, "total-files-size", "added-files-size", p->bytes);
    sum_up(s, parent, "total-delete-files", NULL, 0);
    sum_up(s, parent, "total-position-deletes", NULL, 0);
    sum_up(s, parent, "total-equality-deletes", NULL, 0);
    put_count(s, "changed-partition-count", partitions_of(p));
    put_count(s, "manifests-created", 1 + (int64_t)p->list.n_merged);
    put_count(s, "manifests-kept", p->list.kept);
    put_count(s, "manifests-replaced", p->list.replaced);
    json_object_set_new(s, "engine-name", json_string("inlet"));
    json_object_set_new(s, "engine-version", json_string(t->lake->engine_version));
    for (size_t i = 0; a->summary && a->summary[i]; i += 2)
        json_object_set_new(s, a->summary[i], json_string(a->summary[i + 1]));
    return s;
}

/* Whether a branch or a tag stands at this snapshot. */
static bool referred(json_t *meta, int64_t id)
{
    const char *name;
    json_t *ref;
    json_object_foreach(json_object_get(meta, "refs"), name,
                        ref) if (table_json_number(ref, "snapshot-id") == id) return true;
    return table_json_number(meta, "current-snapshot-id") == id;
}

static void remove_statistics(json_t *list, int64_t id)
{
    for (size_t i = json_array_size(list); i-- > 0;)
        if (table_json_number(json_array_get(list, i), "snapshot-id") == id)
            json_array_remove(list, i);
}

static void forget_snapshot(json_t *meta, size_t at)
{
    json_t *snapshots = json_object_get(meta, "snapshots"),
           *log = json_object_get(meta, "snapshot-log");
    int64_t id = table_json_number(json_array_get(snapshots, at), "snapshot-id");
    size_t last = json_array_size(log);
    while (last > 0 && table_json_number(json_array_get(log, last - 1), "snapshot-id") != id)
        last--;
    for (; last > 0; last--) /* an expired id takes all before it along */
        json_array_remove(log, 0);
    remove_statistics(json_object_get(meta, "statistics"), id);
    remove_statistics(json_object_get(meta, "partition-statistics"), id);
    json_array_remove(snapshots, at);
}

/* Old snapshots leave the metadata, but for those that a branch or tag names; their files are left
 * to maintenance. */
static void trim_snapshots(struct table *t, struct table_change *c, int64_t now)
{
    json_t *meta = c->meta, *gone = json_array();
    json_t *snapshots = json_object_get(meta, "snapshots");
    for (size_t i = 0; i < json_array_size(snapshots);) {
        const json_t *s = json_array_get(snapshots, i);
        bool old = now - table_json_number(s, "timestamp-ms") > t->lake->snapshot_age_ms;
        if (!old && json_array_size(snapshots) <= t->lake->snapshots_max)
            break;
        if (referred(meta, table_json_number(s, "snapshot-id"))) {
            i++;
            continue;
        }
        json_array_append(gone, json_object_get(s, "snapshot-id"));
        forget_snapshot(meta, i);
    }
    if (json_array_size(gone))
        json_object_set(table_update(c, "remove-snapshots"), "snapshot-ids", gone);
    json_decref(gone);
}

static json_t *snapshot_json(struct table *t, const json_t *meta, const struct append *a,
                             const struct prepared *p, int64_t snapshot_id, const char *list)
{
    json_t *s = json_object();
    const json_t *parent = table_current(t);
    json_object_set_new(s, "snapshot-id", json_integer(snapshot_id));
    if (parent)
        json_object_set_new(s, "parent-snapshot-id",
                            json_integer(table_json_number(parent, "snapshot-id")));
    json_object_set_new(s, "sequence-number",
                        json_integer(table_json_number(meta, "last-sequence-number") + 1));
    json_object_set_new(s, "timestamp-ms",
                        json_integer(table_json_number(meta, "last-updated-ms")));
    json_object_set_new(s, "manifest-list", json_string(list));
    json_object_set_new(s, "summary", summary_json(t, a, p));
    json_object_set_new(s, "schema-id", json_integer(table_json_number(meta, "current-schema-id")));
    return s;
}

static json_t *member(json_t *object, const char *key, json_t *otherwise)
{
    if (json_object_get(object, key))
        json_decref(otherwise);
    else
        json_object_set_new(object, key, otherwise);
    return json_object_get(object, key);
}

/* The parent is asserted: positions change only together with a snapshot, so that whoever moved them
 * meanwhile moved the branch. */
static void require_parent(struct table *t, struct table_change *c)
{
    const json_t *parent = table_current(t);
    json_t *r = table_require(c, "assert-ref-snapshot-id");
    json_object_set_new(r, "ref", json_string("main"));
    json_object_set_new(r, "snapshot-id",
                        parent ? json_integer(table_json_number(parent, "snapshot-id"))
                               : json_null());
}

void snapshot_add(struct table *t, struct table_change *c, const struct append *a,
                  const struct prepared *p, int64_t snapshot_id, const char *list)
{
    json_t *meta = c->meta, *s = snapshot_json(t, meta, a, p, snapshot_id, list),
           *ref = json_object(), *log = json_object(), *set;
    require_parent(t, c);
    json_object_set(table_update(c, "add-snapshot"), "snapshot", s);
    set = table_update(c, "set-snapshot-ref");
    json_object_set_new(set, "ref-name", json_string("main"));
    json_object_set_new(set, "type", json_string("branch"));
    json_object_set_new(set, "snapshot-id", json_integer(snapshot_id));
    json_object_set(meta, "last-sequence-number", json_object_get(s, "sequence-number"));
    json_object_set_new(meta, "current-snapshot-id", json_integer(snapshot_id));
    /* What else the branch has, its retention, stays. */
    json_object_update(ref, json_object_get(json_object_get(meta, "refs"), "main"));
    json_object_set_new(ref, "snapshot-id", json_integer(snapshot_id));
    json_object_set_new(ref, "type", json_string("branch"));
    json_object_update_missing(set, ref);
    json_object_set_new(member(meta, "refs", json_object()), "main", ref);
    json_object_set_new(log, "snapshot-id", json_integer(snapshot_id));
    json_object_set(log, "timestamp-ms", json_object_get(s, "timestamp-ms"));
    json_array_append_new(member(meta, "snapshot-log", json_array()), log);
    json_array_append_new(member(meta, "snapshots", json_array()), s);
    trim_snapshots(t, c, table_json_number(meta, "last-updated-ms"));
}


/* ---- looking ---- */

static int64_t summary_number(const json_t *summary, const char *key)
{
    const char *text = table_json_text(summary, key);
    return text ? strtoll(text, NULL, 10) : 0;
}

void table_snapshots(const struct table *t, void (*each)(void *, const struct table_snapshot *),
                     void *ctx)
{
    const json_t *list = json_object_get(table_meta(t), "snapshots");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *j = json_array_get(list, i), *summary = json_object_get(j, "summary");
        const char *operation = table_json_text(summary, "operation");
        struct table_snapshot s = {.id = table_json_number(j, "snapshot-id"),
                                   .made_ms = table_json_number(j, "timestamp-ms"),
                                   .added_rows = summary_number(summary, "added-records"),
                                   .added_files = summary_number(summary, "added-data-files"),
                                   .added_bytes = summary_number(summary, "added-files-size"),
                                   .operation = operation ? operation : ""};
        each(ctx, &s);
    }
}
