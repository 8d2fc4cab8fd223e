/* Appending: the manifest is put once; list and metadata anew for each base that the commit is
 * offered against. See table.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/civil.h"
#include "table/append_int.h"

static void put_safe(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n && i < 64; i++) {
        char c = s.p[i];
        bool safe =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        buf_putc(out, (uint8_t)(safe ? c : '_'));
    }
}

/* As Iceberg's own writers name folders: 2026, 2026-11, 2026-11-22, 2026-11-22-16. */
static void put_time(struct buf *out, const char *transform, int32_t v)
{
    int64_t hour = 0, days = v;
    if (strcmp(transform, "year") == 0) {
        buf_printf(out, "%04d", 1970 + v);
        return;
    }
    if (strcmp(transform, "month") == 0) {
        int32_t month = v % 12 < 0 ? v % 12 + 12 : v % 12;
        buf_printf(out, "%04d-%02d", 1970 + (v - month) / 12, month + 1);
        return;
    }
    if (strcmp(transform, "hour") == 0) {
        hour = v % 24 < 0 ? v % 24 + 24 : v % 24;
        days = (v - hour) / 24;
    }
    struct civil c = civil_from_days(days);
    buf_printf(out, "%04d-%02d-%02d", c.year, c.month, c.day);
    if (strcmp(transform, "hour") == 0)
        buf_printf(out, "-%02d", (int)hour);
}

char *table_data_key(const struct table *t, const struct partition_value *values, uint32_t n)
{
    struct buf key = {0};
    char id[37];
    table_uuid4(t->lake, id);
    for (uint32_t i = 0; i < t->spec.n; i++) {
        put_safe(&key, str_of(t->partition[i].name));
        buf_putc(&key, '=');
        if (values[i].is_null)
            buf_puts(&key, "null");
        else if (!t->spec.fields[i].is_text)
            put_time(&key, t->partition[i].transform, values[i].number);
        else
            put_safe(&key, values[i].text);
        buf_putc(&key, '/');
    }
    buf_printf(&key, "%05u-0-%s-00001.parquet", n, id);
    char *whole = table_key(t, "write.data.path", "data", buf_cstr(&key));
    buf_fini(&key);
    return whole;
}

static void prepare_file(struct table *t, struct prepared *p, const struct data_file *d)
{
    uint32_t i = p->n++;
    for (uint32_t k = 0; k < p->spec.n; k++)
        p->partitions[i][k] =
            (struct iceberg_partition){d->partition[k].is_null, p->spec.fields[k].is_text,
                                       d->partition[k].number, d->partition[k].text};
    p->files[i] = (struct iceberg_file){.uri = store_uri(t->store, d->key),
                                        .rows = d->rows,
                                        .bytes = d->bytes,
                                        .partition = p->partitions[i],
                                        .leaves = d->leaves,
                                        .n_leaves = d->n_leaves,
                                        .split_offsets = d->split_offsets,
                                        .n_split_offsets = d->n_split_offsets};
    p->rows += d->rows;
    p->bytes += d->bytes;
}

static void make_manifest(struct table *t, int64_t snapshot_id, struct prepared *p)
{
    uint8_t sync[16];
    char id[37];
    t->lake->random(t->lake->random_ctx, sync, sizeof sync);
    table_uuid4(t->lake, id);
    json_t *schema = table_schema_json(t);
    iceberg_manifest(&p->manifest, schema, p->spec.json, p->spec.spec_id, p->spec.fields, p->spec.n,
                     snapshot_id, p->files, p->n, sync);
    json_decref(schema);
    char *name = mem_printf("%s-m0.avro", id);
    p->manifest_key = table_key(t, "write.metadata.path", "metadata", name);
    p->manifest_uri = store_uri(t->store, p->manifest_key);
    free(name);
}

/* Makes the manifest, by the spec and schema that the handle knows: those of the files. */
static int prepare(struct table *t, const struct append *a, int64_t snapshot_id, struct prepared *p,
                   struct err *e)
{
    if (t->broken && table_reload(t, e))
        return -1;
    p->spec = t->spec;
    p->spec.json = json_incref(t->spec.json);
    p->schema_id = table_schema(t)->schema_id;
    if (!a->n_files)
        return 0;
    if (a->check_spec && a->spec_id != p->spec.spec_id)
        return err_set(e, ERR_FENCED,
                       "table %s: somebody changed its partitioning; the rows have to be read again",
                       t->name);
    if (!p->spec.writable)
        return err_set(
            e, ERR_INVALID,
            "table %s: its partitioning has a transform that inlet cannot write; use identity of a "
            "string column, year, month, day or hour",
            t->name);
    p->files = mem_array(a->n_files, sizeof *p->files);
    p->partitions = mem_array(a->n_files, sizeof *p->partitions);
    for (uint32_t i = 0; i < a->n_files; i++)
        prepare_file(t, p, &a->files[i]);
    make_manifest(t, snapshot_id, p);
    return 0;
}

static void prepared_fini(struct prepared *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        free((char *)(uintptr_t)p->files[i].uri);
    free(p->files);
    free(p->partitions);
    free(p->manifest_key);
    free(p->manifest_uri);
    buf_fini(&p->manifest);
    table_list_fini(&p->list);
    json_decref(p->spec.json);
}

/* Somebody changed the schema meanwhile: every column of the files has to be there still. */
static int columns_there(struct table *t, const struct prepared *p, struct err *e)
{
    if (t->drafted || p->schema_id == t->schema.schema_id)
        return table_draft_stands(t, e);
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < p->files[i].n_leaves; k++)
            if (!schema_find_id(&t->schema, p->files[i].leaves[k].field_id))
                return err_set(e, ERR_FENCED,
                               "table %s: somebody dropped column %d, which the files have",
                               t->name, p->files[i].leaves[k].field_id);
    return 0;
}

/* Without files the list holds what the base's holds. */
static int write_list(struct table *t, struct prepared *p, int64_t snapshot_id, int race,
                      struct err *e)
{
    struct iceberg_manifest_entry own = {.uri = p->manifest_uri,
                                         .length = (int64_t)p->manifest.n,
                                         .sequence_number =
                                             table_json_number(table_meta(t), "last-sequence-number") + 1,
                                         .snapshot_id = snapshot_id,
                                         .rows = p->rows,
                                         .spec_id = p->spec.spec_id,
                                         .files = (int32_t)p->n,
                                         .fields = p->spec.fields,
                                         .n_fields = p->spec.n,
                                         .data = p->files};
    table_list_fini(&p->list);
    int rc = table_list_write(t, &own, race, race == 0 && p->n, &p->list, e);
    if (rc && e->kind == ERR_UNKNOWN)
        e->kind = ERR_RETRY;
    return rc;
}

static void set_properties(struct table_change *c, const struct append *a)
{
    json_t *properties = json_object_get(c->meta, "properties"), *set = json_object(),
           *removed = json_array();
    for (size_t i = 0; a->set_properties && a->set_properties[i]; i += 2)
        json_object_set_new(set, a->set_properties[i], json_string(a->set_properties[i + 1]));
    for (size_t i = 0; a->remove_properties && a->remove_properties[i]; i++) {
        if (json_object_del(properties, a->remove_properties[i]) == 0)
            json_array_append_new(removed, json_string(a->remove_properties[i]));
    }
    json_object_update(properties, set);
    if (json_object_size(set))
        json_object_set(table_update(c, "set-properties"), "updates", set);
    if (json_array_size(removed))
        json_object_set(table_update(c, "remove-properties"), "removals", removed);
    json_decref(set);
    json_decref(removed);
}

/* Refused for certain: the list is nobody's. Taken: it is what the next commit goes on from. */
static void end_list(struct table *t, struct prepared *p, int rc, const struct err *e)
{
    if (rc && (e->kind == ERR_CONFLICT ||
               (e->kind == ERR_RETRY && !t->lake->catalog->writes_metadata)))
        table_list_discard(t, &p->list);
    if (rc == 0)
        table_list_keep(t, &p->list);
}

static int append_once(struct table *t, const struct append *a, struct prepared *p,
                       struct append_attempt *attempt, int race, struct err *e)
{
    struct table_change change;
    /* A REST catalog asserts the parent, not the properties: those change with a snapshot only. */
    bool snapshot = p->n || t->lake->catalog->writes_metadata;
    if (columns_there(t, p, e) || (a->validate && a->validate(a->validate_ctx, t, !t->own, e)))
        return -1;
    if (snapshot && write_list(t, p, attempt->snapshot_id, race, e))
        return -1;
    table_change_begin(t, &change);
    table_draft_add(t, &change);
    set_properties(&change, a);
    if (snapshot)
        snapshot_add(t, &change, a, p, attempt->snapshot_id, p->list.uri);
    struct store_object with[TABLE_OBJECTS_MAX];
    size_t n = 0;
    if (snapshot)
        with[n++] = (struct store_object){p->list.key, p->list.bytes.p, p->list.bytes.n};
    if (p->n && !attempt->offered) /* once: it is the same for every base */
        with[n++] = (struct store_object){p->manifest_key, p->manifest.p, p->manifest.n};
    int rc = table_change_offer(t, &change, with, n, &attempt->offered, e);
    if (rc == 0) {
        t->own = true;
        table_draft_drop(t);
    }
    end_list(t, p, rc, e);
    if (rc && e->kind == ERR_UNKNOWN)
        append_remember(attempt, &change);
    table_change_fini(&change);
    return rc;
}

int table_append(struct table *t, const struct append *a, struct append_attempt *attempt,
                 struct err *e)
{
    struct prepared p = {0};
    struct err none = {0};
    e = e ? e : &none;
    t->lake->random(t->lake->random_ctx, &attempt->snapshot_id, sizeof attempt->snapshot_id);
    attempt->snapshot_id = (attempt->snapshot_id & INT64_MAX) | 1;
    /* Where the parent is asserted, a base of our own needs no second look before the first offer. */
    bool look = !(t->own && t->lake->catalog->writes_metadata) || table_expiring(t);
    int rc = prepare(t, a, attempt->snapshot_id, &p, e) || (look && table_reload(t, e)) ? -1 : 0;
    for (int race = 0; !rc; race++) {
        rc = append_once(t, a, &p, attempt, race, e);
        bool stale = rc && e->kind == ERR_FENCED && !look; /* perhaps only the base was old */
        if (!rc || (e->kind != ERR_CONFLICT && !stale) || race == RACES_MAX)
            break;
        if (!stale)
            table_pause(t, race);
        look = true;
        rc = table_reload(t, e);
    }
    if (rc && !attempt->offered && p.manifest_key) {
        table_list_discard(t, &p.list);
        t->store->ops->remove(t->store, p.manifest_key, NULL);
    }
    prepared_fini(&p);
    return rc;
}
