/* A base that nobody looks at for a while: 500 snapshots are 450 KB of JSON and 1.7 MB as a tree; packed, far
 * less. See table.h. */
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

void table_rest(struct table *t, size_t bytes)
{
    struct err e = {0};
    if (!t->meta || weight(t) <= bytes)
        return;
    char *text = json_dumps(t->meta, JSON_COMPACT);
    invariant(text);
    struct compress_zstd *z = compress_zstd_new(1);
    size_t n = strlen(text);
    if (compress_zstd_put(z, &t->packed, text, n, &e) == 0) {
        t->packed_from = n;
        t->packed.p = mem_realloc(t->packed.p, t->packed.n); /* it was made for the worst */
        t->packed.cap = t->packed.n;
        json_decref(t->meta);
        t->meta = NULL;
    } else {
        buf_fini(&t->packed);
    }
    compress_zstd_free(z);
    free(text);
}

static json_t *unpacked(const struct table *t)
{
    struct err e = {0};
    json_error_t why;
    char *text = mem_alloc(t->packed_from);
    int rc = compress_undo(COMPRESS_ZSTD, t->packed.p, t->packed.n, (uint8_t *)text, t->packed_from, &e);
    json_t *meta = rc ? NULL : json_loadb(text, t->packed_from, 0, &why);
    invariant(meta); /* it was packed from such a tree, in this process */
    free(text);
    return meta;
}

json_t *table_meta(const struct table *t)
{
    if (!t->meta && t->packed.n) {
        struct table *own = (struct table *)(uintptr_t)t; /* says the same in another form: one thread has the handle */
        own->meta = unpacked(t);
        buf_fini(&own->packed);
    }
    return t->meta;
}

bool table_has_base(const struct table *t)
{
    return t->meta || t->packed.n;
}

void table_drop_base(struct table *t)
{
    json_decref(t->meta);
    json_decref(t->properties);
    json_decref(t->current);
    t->meta = t->properties = t->current = NULL;
    buf_fini(&t->packed);
}
