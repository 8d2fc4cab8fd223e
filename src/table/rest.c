/* A base that nobody looks at for a while: 500 snapshots are 450 KB of JSON and 1.7 MB as a tree; packed, far
 * less. Its properties, its snapshot and its manifest list are packed by themselves, for they are asked for without
 * the rest: of a table of one commit they are 20 KB of 26. See table.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/compress.h"
#include "table/table_int.h"

/* What a tree takes, about: of a snapshot, with its entries in the logs; of a schema's field; of all else. */
#define SNAPSHOT_BYTES 3300
#define FIELD_BYTES 700
#define ELSE_BYTES 8000

static size_t fields_of(const struct field *f)
{
    size_t n = f->n_children;
    for (uint32_t i = 0; i < f->n_children; i++)
        n += fields_of(&f->children[i]);
    return n;
}

static size_t weight(const struct table *t)
{
    size_t schemas = json_array_size(json_object_get(t->meta, "schemas"));
    return ELSE_BYTES + json_array_size(json_object_get(t->meta, "snapshots")) * SNAPSHOT_BYTES +
           schemas * fields_of(&t->schema.root) * FIELD_BYTES;
}

/* ---- packing */

static void drop(struct table_packed *p)
{
    buf_fini(&p->bytes);
}

struct packer {
    struct compress_zstd *z;
    struct buf room; /* for the worst; what is kept is copied out of it, or a hole would stay behind each */
};

static bool pack(struct packer *k, struct table_packed *out, const void *p, size_t n)
{
    struct err e = {0};
    drop(out);
    k->room.n = 0;
    if (compress_zstd_put(k->z, &k->room, p, n, &e))
        return false;
    out->from = n;
    out->bytes.p = mem_alloc(k->room.n);
    out->bytes.n = out->bytes.cap = k->room.n;
    memcpy(out->bytes.p, k->room.p, k->room.n);
    return true;
}

/* What was packed in this process; in `room` for as much. */
static void unpack(const struct table_packed *p, void *room)
{
    struct err e = {0};
    invariant(compress_undo(COMPRESS_ZSTD, p->bytes.p, p->bytes.n, room, p->from, &e) == 0);
}

static bool pack_json(struct packer *k, struct table_packed *out, const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT);
    invariant(text);
    bool done = pack(k, out, text, strlen(text));
    free(text);
    return done;
}

static json_t *unpack_json(const struct table_packed *p)
{
    json_error_t why;
    char *text = mem_alloc(p->from);
    unpack(p, text);
    json_t *j = json_loadb(text, p->from, 0, &why);
    invariant(j);
    free(text);
    return j;
}

static void rest_brief(struct packer *k, struct table *t)
{
    json_t *both = json_object();
    if (t->properties)
        json_object_set(both, "properties", t->properties);
    if (t->current)
        json_object_set(both, "current", t->current);
    if (json_object_size(both) && pack_json(k, &t->brief, both)) {
        json_decref(t->properties);
        json_decref(t->current);
        t->properties = t->current = NULL;
    }
    json_decref(both);
}

static void rest_meta(struct packer *k, struct table *t)
{
    if (!t->meta || !pack_json(k, &t->packed, t->meta))
        return;
    json_decref(t->meta);
    t->meta = NULL;
}

void table_rest(struct table *t, size_t bytes)
{
    if (weight(t) <= bytes || (!t->meta && !t->properties && !t->current && !t->list.n))
        return;
    struct packer k = {.z = compress_zstd_new(1)};
    rest_brief(&k, t);
    rest_meta(&k, t);
    if (t->list.n && pack(&k, &t->list_packed, t->list.p, t->list.n))
        buf_fini(&t->list);
    compress_zstd_free(k.z);
    buf_fini(&k.room);
}

/* ---- asking: a handle is one thread's, and says the same in another form */

static void read_brief(struct table *t)
{
    if (!t->brief.bytes.n)
        return;
    json_t *both = unpack_json(&t->brief);
    drop(&t->brief);
    t->properties = json_incref(json_object_get(both, "properties"));
    t->current = json_incref(json_object_get(both, "current"));
    json_decref(both);
}

json_t *table_meta(const struct table *t)
{
    struct table *own = (struct table *)(uintptr_t)t;
    if (!t->meta && t->packed.bytes.n) {
        own->meta = unpack_json(&t->packed);
        drop(&own->packed);
    }
    return t->meta;
}

json_t *table_base_properties(const struct table *t)
{
    read_brief((struct table *)(uintptr_t)t);
    return t->properties;
}

json_t *table_current(const struct table *t)
{
    read_brief((struct table *)(uintptr_t)t);
    return t->current;
}

const struct buf *table_list_bytes(const struct table *t)
{
    struct table *own = (struct table *)(uintptr_t)t;
    struct table_packed *p = &own->list_packed;
    if (p->bytes.n) {
        unpack(p, buf_reserve(&own->list, p->from));
        own->list.n = p->from;
        drop(p);
    }
    return &t->list;
}

bool table_has_base(const struct table *t)
{
    return t->meta || t->packed.bytes.n;
}

void table_drop_base(struct table *t)
{
    json_decref(t->meta);
    json_decref(t->properties);
    json_decref(t->current);
    t->meta = t->properties = t->current = NULL;
    drop(&t->packed);
    drop(&t->brief);
}

void table_drop_list(struct table *t)
{
    buf_fini(&t->list);
    drop(&t->list_packed);
    free(t->list_uri);
    t->list_uri = NULL;
}
