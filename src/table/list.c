/* Manifest lists: written at each commit, small manifests merged now and then so that neither the
 * list nor a reader's plan grows without bound, and read back for table_files. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/avro.h"
#include "table/table_int.h"

#define MERGE_COUNT 100                /* commit.manifest.min-count-to-merge */
#define LIST_KEPT_BYTES ((size_t)64 << 10) /* of a thousand tables 64 MB at the very most */
#define MANIFESTS_FEW 8 /* are read sooner than a base that rests is unpacked */
#define MERGE_BYTES ((int64_t)8 << 20) /* commit.manifest.target-size-bytes */

static int get_uri(struct table *t, const char *uri, struct buf *out, struct err *e)
{
    const char *key = uri ? store_key_of(t->store, uri) : NULL;
    out->n = 0;
    if (!key)
        return err_set(e, ERR_INVALID, "%s lies outside the lake", uri ? uri : "its manifest list");
    return store_get(t->store, key, TABLE_OBJECT_MAX, out, e);
}

static int read_list(struct table *t, struct iceberg_refs *out, struct err *e)
{
    const json_t *base = table_current(t);
    struct buf bytes = {0};
    *out = (struct iceberg_refs){0};
    if (!base)
        return 0;
    const char *uri = table_json_text(base, "manifest-list");
    if (uri && t->list_uri && strcmp(uri, t->list_uri) == 0) {
        const struct buf *list = table_list_bytes(t);
        return iceberg_refs_read(out, list->p, list->n, e);
    }
    int rc = get_uri(t, uri, &bytes, e);
    if (!rc && iceberg_refs_read(out, bytes.p, bytes.n, e))
        rc = err_wrap(e, "%s", uri);
    buf_fini(&bytes);
    return rc;
}

static int64_t setting(const struct table *t, const char *key, int64_t otherwise)
{
    const char *text = table_property(t, key);
    char *end;
    long long v = text ? strtoll(text, &end, 10) : 0;
    return v > 0 ? v : otherwise;
}

/* ---- merging ---- */

static bool may_merge(const struct table *t, const struct iceberg_ref *r, int64_t target)
{
    return r->content == 0 && r->spec_id == t->spec.spec_id && r->length < target &&
           !r->key_metadata.p && store_key_of(t->store, r->uri) != NULL;
}

/* Writes what was gathered as a manifest; `m->ref` is its line in the list. */
static int put_merged(struct table *t, struct iceberg_merge *m,
                      const struct iceberg_manifest_entry *own, struct table_list *out,
                      struct err *e)
{
    uint8_t sync[16];
    char id[37];
    struct buf bytes = {0};
    const json_t *schema =
        table_json_by_id(json_object_get(table_meta(t), "schemas"), "schema-id", t->schema.schema_id);
    t->lake->random(t->lake->random_ctx, sync, sizeof sync);
    table_uuid4(t->lake, id);
    iceberg_manifest_wrap(&bytes, schema, t->spec.json, t->spec.spec_id, t->spec.fields, t->spec.n,
                          m->ref.existing, &m->body, sync);
    char *name = mem_printf("%s-m1.avro", id);
    char *key = table_key(t, "write.metadata.path", "metadata", name);
    free(name);
    int rc = store_put(t->store, key, bytes.p, bytes.n, e);
    if (rc) {
        free(key);
    } else {
        m->ref.uri = store_uri(t->store, key);
        m->ref.length = (int64_t)bytes.n;
        m->ref.spec_id = t->spec.spec_id;
        m->ref.snapshot_id = own->snapshot_id;
        m->ref.sequence_number = own->sequence_number;
        out->merged[out->n_merged++] = key;
    }
    buf_fini(&bytes);
    return rc;
}

/* Puts the manifests at the indices `in` into one, which takes the first's place; the others' lines
 * are emptied (no uri). */
static int merge_bin(struct table *t, struct iceberg_refs *refs, const size_t *in, size_t n,
                     const struct iceberg_manifest_entry *own, struct table_list *out,
                     struct err *e)
{
    struct iceberg_merge m = {0};
    struct buf bytes = {0};
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        struct iceberg_ref *r = &refs->items[in[i]];
        rc = get_uri(t, r->uri, &bytes, e) ||
             iceberg_merge_add(&m, r, bytes.p, bytes.n, t->spec.fields, t->spec.n, e);
    }
    if (!rc && m.ref.existing)
        rc = put_merged(t, &m, own, out, e);
    if (!rc) {
        for (size_t i = 0; i < n; i++)
            iceberg_ref_fini(&refs->items[in[i]]);
        refs->items[in[0]] = m.ref;
        m.ref = (struct iceberg_ref){0};
        out->replaced += (int64_t)n;
    }
    buf_fini(&bytes);
    iceberg_merge_fini(&m);
    return rc ? -1 : 0;
}

static int merge_small(struct table *t, struct iceberg_refs *refs,
                       const struct iceberg_manifest_entry *own, struct table_list *out,
                       struct err *e)
{
    int64_t target = setting(t, "commit.manifest.target-size-bytes", MERGE_BYTES), bin = 0;
    size_t small = 0, n = 0, *in = mem_array(refs->n, sizeof *in);
    int rc = 0;
    for (size_t i = 0; i < refs->n; i++)
        small += may_merge(t, &refs->items[i], target);
    if (!t->spec.writable ||
        (int64_t)small < setting(t, "commit.manifest.min-count-to-merge", MERGE_COUNT))
        goto done;
    for (size_t i = refs->n; i-- > 0 && !rc;) { /* oldest first: they stay together */
        if (!may_merge(t, &refs->items[i], target))
            continue;
        if (n && bin + refs->items[i].length > target) {
            if (n > 1 && out->n_merged < sizeof out->merged / sizeof *out->merged)
                rc = merge_bin(t, refs, in, n, own, out, e);
            n = 0;
            bin = 0;
        }
        in[n++] = i;
        bin += refs->items[i].length;
    }
    if (!rc && n > 1 && out->n_merged < sizeof out->merged / sizeof *out->merged)
        rc = merge_bin(t, refs, in, n, own, out, e);
done:
    free(in);
    return rc;
}

/* ---- writing ---- */

static void make_list(struct table *t, const struct iceberg_manifest_entry *own,
                      const struct iceberg_refs *refs, int attempt, struct table_list *out)
{
    uint8_t sync[16];
    char id[37], ids[3][32];
    struct buf bytes = {0}, body = {0};
    int64_t records = own->uri != NULL;
    const json_t *base = table_current(t);
    t->lake->random(t->lake->random_ctx, sync, sizeof sync);
    table_uuid4(t->lake, id);
    snprintf(ids[0], 32, "%lld", (long long)own->snapshot_id);
    snprintf(ids[1], 32, "%lld", (long long)table_json_number(base, "snapshot-id"));
    snprintf(ids[2], 32, "%lld", (long long)own->sequence_number);
    const char *const pairs[] = {"snapshot-id",
                                 ids[0],
                                 "parent-snapshot-id",
                                 base ? ids[1] : "null",
                                 "sequence-number",
                                 ids[2],
                                 "format-version",
                                 "2",
                                 NULL};
    avro_header(&bytes, iceberg_list_schema(), pairs, sync);
    if (own->uri)
        iceberg_list_entry(&body, own);
    for (size_t i = 0; i < refs->n; i++)
        if (refs->items[i].uri) {
            iceberg_ref_put(&body, &refs->items[i]);
            records++;
        }
    if (records)
        avro_block(&bytes, records, &body, sync);
    char *name = mem_printf("snap-%lld-%d-%s.avro", (long long)own->snapshot_id, attempt, id);
    char *key = table_key(t, "write.metadata.path", "metadata", name);
    out->uri = store_uri(t->store, key);
    out->kept = records - (own->uri != NULL) - out->n_merged;
    out->bytes = bytes;
    out->key = key;
    free(name);
    buf_fini(&body);
}

int table_list_write(struct table *t, const struct iceberg_manifest_entry *own, int attempt,
                     bool merge, struct table_list *out, struct err *e)
{
    struct iceberg_refs refs;
    *out = (struct table_list){0};
    if (read_list(t, &refs, e))
        return -1;
    int rc = merge ? merge_small(t, &refs, own, out, e) : 0;
    if (!rc)
        make_list(t, own, &refs, attempt, out);
    else
        table_list_discard(t, out);
    iceberg_refs_fini(&refs);
    return rc;
}

void table_list_discard(struct table *t, struct table_list *l)
{
    const char *key = l->uri ? store_key_of(t->store, l->uri) : NULL;
    if (key)
        t->store->ops->remove(t->store, key, NULL);
    for (uint32_t i = 0; i < l->n_merged; i++)
        t->store->ops->remove(t->store, l->merged[i], NULL);
    table_list_fini(l);
}

void table_list_keep(struct table *t, struct table_list *l)
{
    table_drop_list(t);
    if (!l->uri || l->bytes.n > LIST_KEPT_BYTES)
        return;
    t->list_uri = mem_strdup(l->uri);
    buf_put(&t->list, l->bytes.p, l->bytes.n);
}

void table_list_fini(struct table_list *l)
{
    buf_fini(&l->bytes);
    for (uint32_t i = 0; i < l->n_merged; i++)
        free(l->merged[i]);
    free(l->uri);
    free(l->key);
    *l = (struct table_list){0};
}

/* ---- looking ---- */

struct live {
    struct iceberg_live f; /* .uri is the heap's */
    char *uri;
    int32_t spec_id;
};
struct lives {
    struct live *items;
    size_t n;
    int32_t spec_id; /* of the manifest being read */
};

static void add_live(void *ctx, const struct iceberg_live *f)
{
    struct lives *x = ctx;
    if ((x->n & (x->n - 1)) == 0)
        x->items = mem_regrow(x->items, x->n ? 2 * x->n : 1, sizeof *x->items);
    x->items[x->n++] = (struct live){*f, mem_strndup(f->uri.p, f->uri.n), x->spec_id};
}

static int newest_first(const void *a, const void *b)
{
    const struct live *x = a, *y = b;
    int64_t m = x->f.sequence_number, n = y->f.sequence_number;
    return m != n ? (m < n) - (m > n) : strcmp(x->uri, y->uri);
}

/* The sequence number up to which all was committed before then, as far as the snapshots tell; -1: none.
 * A manifest's is that of the snapshot that wrote it, so no file of it is younger. */
static int64_t sequence_before(const struct table *t, int64_t ms)
{
    const json_t *list = json_object_get(table_meta(t), "snapshots");
    int64_t before = -1, after = INT64_MAX;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        int64_t n = table_json_number(s, "sequence-number");
        if (table_json_number(s, "timestamp-ms") >= ms)
            after = n < after ? n : after;
        else
            before = n > before ? n : before;
    }
    return before < after ? before : after - 1;
}

static int gather(struct table *t, int32_t field_id, int64_t since_ms, struct lives *out, struct err *e)
{
    struct iceberg_refs refs;
    struct buf bytes = {0};
    const json_t *current = table_current(t);
    if (current && table_json_number(current, "timestamp-ms") < since_ms)
        return 0;
    int rc = read_list(t, &refs, e);
    int64_t old = since_ms > 0 && refs.n > MANIFESTS_FEW ? sequence_before(t, since_ms) : -1;
    for (size_t i = 0; !rc && i < refs.n; i++) {
        const struct iceberg_ref *r = &refs.items[i];
        if (r->content != 0 || r->sequence_number <= old)
            continue;
        out->spec_id = r->spec_id;
        rc = get_uri(t, r->uri, &bytes, e);
        if (!rc && iceberg_manifest_read(r, bytes.p, bytes.n, field_id, add_live, out, e))
            rc = err_wrap(e, "%s", r->uri);
    }
    if (out->n)
        qsort(out->items, out->n, sizeof *out->items, newest_first);
    buf_fini(&bytes);
    iceberg_refs_fini(&refs);
    return rc ? -1 : 0;
}

int table_files(struct table *t, int32_t bounds_field_id, table_file_fn *each, void *ctx,
                struct err *e)
{
    return table_files_since(t, 0, bounds_field_id, each, ctx, e);
}

int table_files_since(struct table *t, int64_t since_ms, int32_t bounds_field_id, table_file_fn *each, void *ctx,
                      struct err *e)
{
    struct lives x = {0};
    int rc = gather(t, bounds_field_id, since_ms, &x, e);
    for (size_t i = 0; !rc && i < x.n; i++) {
        const struct iceberg_live *f = &x.items[i].f;
        struct table_file out = {.key = store_key_of(t->store, x.items[i].uri),
                                 .uri = x.items[i].uri,
                                 .rows = f->rows,
                                 .bytes = f->bytes,
                                 .sequence_number = f->sequence_number,
                                 .spec_id = x.items[i].spec_id,
                                 .has_bounds = f->has_bounds,
                                 .lower = f->lower,
                                 .upper = f->upper};
        if (!each(ctx, &out))
            break;
    }
    for (size_t i = 0; i < x.n; i++)
        free(x.items[i].uri);
    free(x.items);
    return rc;
}

static bool newest(void *ctx, const struct table_file *f)
{
    int64_t *max = ctx;
    if (f->has_bounds && f->upper > *max)
        *max = f->upper;
    return true;
}

int table_facts(struct table *t, struct table_facts *out, struct err *e)
{
    const json_t *s = table_current(t), *summary = json_object_get(s, "summary");
    const char *rows = table_json_text(summary, "total-records"),
               *files = table_json_text(summary, "total-data-files"),
               *bytes = table_json_text(summary, "total-files-size");
    const char *key = t->location ? store_key_of(t->store, t->location) : NULL;
    *out = (struct table_facts){.rows = rows ? atoll(rows) : 0,
                                .files = files ? atoll(files) : 0,
                                .bytes = bytes ? atoll(bytes) : 0,
                                .snapshots =
                                    (int64_t)json_array_size(json_object_get(table_meta(t), "snapshots")),
                                .newest_event_us = INT64_MIN,
                                .last_commit_ms = table_json_number(s, "timestamp-ms")};
    const struct field *time = field_child(&t->schema.root, "event_time");
    if (time && table_files(t, time->id, newest, &out->newest_event_us, e))
        return -1;
    return key ? t->store->ops->size(t->store, key, &out->metadata_bytes, e) : 0;
}

struct names {
    char **list;
    size_t n;
};

static void add_name(void *ctx, const char *name)
{
    struct names *x = ctx;
    x->list = mem_regrow(x->list, x->n + 1, sizeof *x->list);
    x->list[x->n++] = mem_strdup(name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int lake_tables(const struct lake *lake, char ***names, size_t *n, struct err *e)
{
    struct names x = {0};
    int rc = lake->catalog->ops->list(lake->catalog, lake->ns, add_name, &x, e);
    if (x.n)
        qsort(x.list, x.n, sizeof *x.list, by_name);
    *names = x.list;
    *n = x.n;
    return rc;
}
