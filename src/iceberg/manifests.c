/* See manifests.h. The numbers are field ids of the spec's sections "Manifests" and "Manifest
 * lists". */
#include "iceberg/manifests.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/avro.h"
#include "codec/avro_read.h"

enum { EXISTING = 0, DELETED = 2 };

static struct str dup_str(struct str s)
{
    return (struct str){mem_strndup(s.p ? s.p : "", s.n), s.n};
}

static void free_str(struct str *s)
{
    free((char *)(uintptr_t)s->p);
    *s = (struct str){0};
}

/* ---- lists ---- */

void iceberg_ref_fini(struct iceberg_ref *r)
{
    for (uint32_t i = 0; i < r->n_ranges; i++) {
        free_str(&r->ranges[i].lower);
        free_str(&r->ranges[i].upper);
    }
    free(r->ranges);
    free(r->uri);
    free_str(&r->key_metadata);
    *r = (struct iceberg_ref){0};
}

void iceberg_refs_fini(struct iceberg_refs *r)
{
    for (size_t i = 0; i < r->n; i++)
        iceberg_ref_fini(&r->items[i]);
    free(r->items);
    *r = (struct iceberg_refs){0};
}

static void read_ranges(struct iceberg_ref *r, const struct avro_value *list)
{
    r->has_ranges = list && list->kind == AVRO_ARRAY;
    if (!r->has_ranges)
        return;
    r->ranges = mem_array(list->n_items, sizeof *r->ranges);
    r->n_ranges = list->n_items;
    for (uint32_t i = 0; i < list->n_items; i++) {
        const struct avro_value *v = &list->items[i];
        struct iceberg_range *g = &r->ranges[i];
        g->has_null = avro_number(v, 509, 1) != 0;
        g->nan = (int8_t)(avro_field(v, 518) ? avro_number(v, 518, 0) != 0 : -1);
        g->has_lower = avro_bytes_of(v, 510).p != NULL;
        g->has_upper = avro_bytes_of(v, 511).p != NULL;
        if (g->has_lower)
            g->lower = dup_str(avro_bytes_of(v, 510));
        if (g->has_upper)
            g->upper = dup_str(avro_bytes_of(v, 511));
    }
}

static int read_ref(struct iceberg_ref *r, const struct avro_value *v, struct err *e)
{
    struct str uri = avro_bytes_of(v, 500), key = avro_bytes_of(v, 519);
    if (!uri.p || memchr(uri.p, 0, uri.n))
        return err_set(e, ERR_INVALID, "a manifest list has an entry without a path");
    *r = (struct iceberg_ref){.length = avro_number(v, 501, 0),
                              .spec_id = (int32_t)avro_number(v, 502, 0),
                              .content = (int32_t)avro_number(v, 517, 0),
                              .sequence_number = avro_number(v, 515, 0),
                              .min_sequence_number = avro_number(v, 516, 0),
                              .snapshot_id = avro_number(v, 503, 0),
                              .added = (int32_t)avro_number(v, 504, 0),
                              .existing = (int32_t)avro_number(v, 505, 0),
                              .deleted = (int32_t)avro_number(v, 506, 0),
                              .added_rows = avro_number(v, 512, 0),
                              .existing_rows = avro_number(v, 513, 0),
                              .deleted_rows = avro_number(v, 514, 0)};
    r->uri = mem_strndup(uri.p, uri.n);
    if (key.p)
        r->key_metadata = dup_str(key);
    read_ranges(r, avro_field(v, 507));
    return 0;
}

int iceberg_refs_read(struct iceberg_refs *out, const void *p, size_t n, struct err *e)
{
    struct avro_value v;
    struct avro_reader *r = avro_read_open(p, n, e);
    int rc = r ? 1 : -1;
    *out = (struct iceberg_refs){0};
    while (rc == 1 && (rc = avro_read_next(r, &v, e)) == 1) {
        if ((out->n & (out->n - 1)) == 0) /* full at powers of two */
            out->items = mem_regrow(out->items, out->n ? 2 * out->n : 1, sizeof *out->items);
        if (read_ref(&out->items[out->n], &v, e))
            rc = -1;
        else
            out->n++;
    }
    avro_read_close(r);
    if (rc)
        iceberg_refs_fini(out);
    return rc;
}

static void put_optional(struct buf *out, bool is, struct str s)
{
    avro_long(out, is);
    if (is)
        avro_bytes(out, s.p, s.n);
}

static void put_ranges(struct buf *out, const struct iceberg_ref *r)
{
    avro_long(out, r->has_ranges);
    if (!r->has_ranges)
        return;
    if (r->n_ranges)
        avro_long(out, r->n_ranges);
    for (uint32_t i = 0; i < r->n_ranges; i++) {
        const struct iceberg_range *g = &r->ranges[i];
        buf_putc(out, g->has_null);
        avro_long(out, g->nan >= 0);
        if (g->nan >= 0)
            buf_putc(out, (uint8_t)g->nan);
        put_optional(out, g->has_lower, g->lower);
        put_optional(out, g->has_upper, g->upper);
    }
    avro_long(out, 0);
}

void iceberg_ref_put(struct buf *out, const struct iceberg_ref *r)
{
    avro_text(out, r->uri);
    avro_long(out, r->length);
    avro_long(out, r->spec_id);
    avro_long(out, r->content);
    avro_long(out, r->sequence_number);
    avro_long(out, r->min_sequence_number);
    avro_long(out, r->snapshot_id);
    avro_long(out, r->added);
    avro_long(out, r->existing);
    avro_long(out, r->deleted);
    avro_long(out, r->added_rows);
    avro_long(out, r->existing_rows);
    avro_long(out, r->deleted_rows);
    put_ranges(out, r);
    put_optional(out, r->key_metadata.p != NULL, r->key_metadata);
}

/* ---- entries ---- */

struct entry {
    int64_t status, snapshot_id, sequence_number, file_sequence_number;
    const struct avro_value *file;
};

/* What an entry leaves out it inherits from its manifest's line in the list. */
static int read_entry(struct entry *out, const struct iceberg_ref *ref, const struct avro_value *v,
                      struct err *e)
{
    out->status = avro_number(v, 0, -1);
    out->snapshot_id = avro_number(v, 1, ref->snapshot_id);
    out->sequence_number = avro_number(v, 3, ref->sequence_number);
    out->file_sequence_number = avro_number(v, 4, ref->sequence_number);
    out->file = avro_field(v, 2);
    if (out->status < EXISTING || out->status > DELETED || !avro_bytes_of(out->file, 100).p)
        return err_set(e, ERR_INVALID, "manifest %s has a broken entry", ref->uri);
    return 0;
}

static bool bound_of(const struct avro_value *file, int32_t map_id, int32_t key_id,
                     int32_t field_id, int64_t *out)
{
    const struct avro_value *map = avro_field(file, map_id);
    for (uint32_t i = 0; map && map->kind == AVRO_ARRAY && i < map->n_items; i++) {
        struct str s = avro_bytes_of(&map->items[i], key_id + 1);
        int32_t narrow;
        if (avro_number(&map->items[i], key_id, -1) != field_id)
            continue;
        if (s.n == sizeof *out) {
            memcpy(out, s.p, sizeof *out);
            return true;
        }
        if (s.n == sizeof narrow) { /* an int column that has become a long */
            memcpy(&narrow, s.p, sizeof narrow);
            *out = narrow;
            return true;
        }
        return false;
    }
    return false;
}

int iceberg_manifest_read(const struct iceberg_ref *ref, const void *p, size_t n,
                          int32_t bounds_field_id, iceberg_live_fn *each, void *ctx, struct err *e)
{
    struct avro_value v;
    struct avro_reader *r = avro_read_open(p, n, e);
    int rc = r ? 1 : -1;
    while (rc == 1 && (rc = avro_read_next(r, &v, e)) == 1) {
        struct entry x;
        if (read_entry(&x, ref, &v, e)) {
            rc = -1;
        } else if (x.status != DELETED) {
            struct iceberg_live f = {.uri = avro_bytes_of(x.file, 100),
                                     .rows = avro_number(x.file, 103, 0),
                                     .bytes = avro_number(x.file, 104, 0),
                                     .sequence_number = x.sequence_number};
            f.has_bounds = bound_of(x.file, 125, 126, bounds_field_id, &f.lower) &&
                           bound_of(x.file, 128, 129, bounds_field_id, &f.upper);
            each(ctx, &f);
        }
    }
    avro_read_close(r);
    return rc;
}

/* ---- merging ---- */

static void put_raw(struct buf *out, const struct avro_value *v, bool optional)
{
    if (optional)
        avro_long(out, v != NULL);
    if (v)
        buf_put(out, v->raw.p, v->raw.n);
}

/* A data file as our schema has it. Ints and longs are encoded alike, so the values' own bytes go
 * over. */
static int put_file(struct buf *out, const struct avro_value *f, const struct iceberg_field *fields,
                    uint32_t n_fields, struct err *e)
{
    static const int32_t optional[] = {108, 109, 110, 137, 125, 128, 131, 132, 135, 140};
    const struct avro_value *partition = avro_field(f, 102);
    if (!avro_field(f, 101) || !avro_field(f, 103) || !avro_field(f, 104))
        return err_set(e, ERR_INVALID, "a manifest has an entry without format, rows or size");
    avro_long(out, avro_number(f, 134, 0));
    put_raw(out, avro_field(f, 100), false);
    put_raw(out, avro_field(f, 101), false);
    for (uint32_t i = 0; i < n_fields; i++)
        put_raw(out, avro_field(partition, fields[i].field_id), true);
    put_raw(out, avro_field(f, 103), false);
    put_raw(out, avro_field(f, 104), false);
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        put_raw(out, avro_field(f, optional[i]), true);
    return 0;
}

static int bytes_cmp(struct str a, struct str b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int bound_cmp(struct str a, struct str b, bool is_text)
{
    int32_t x, y;
    if (is_text || a.n != sizeof x || b.n != sizeof y)
        return bytes_cmp(a, b);
    memcpy(&x, a.p, sizeof x);
    memcpy(&y, b.p, sizeof y);
    return (x > y) - (x < y);
}

static void widen(struct str *to, bool *has, struct str from, bool from_has, bool is_text, int sign)
{
    if (!from_has || (*has && bound_cmp(from, *to, is_text) * sign <= 0))
        return;
    free_str(to);
    *to = dup_str(from);
    *has = true;
}

static void merge_ranges(struct iceberg_merge *m, const struct iceberg_ref *from,
                         const struct iceberg_field *fields, uint32_t n_fields)
{
    struct iceberg_ref *to = &m->ref;
    if (m->taken == 0) {
        to->has_ranges = true;
        to->n_ranges = n_fields;
        to->ranges = mem_array(n_fields, sizeof *to->ranges);
    }
    to->has_ranges &= from->has_ranges && from->n_ranges == n_fields;
    for (uint32_t i = 0; to->has_ranges && i < n_fields; i++) {
        struct iceberg_range *a = &to->ranges[i];
        const struct iceberg_range *b = &from->ranges[i];
        a->has_null |= b->has_null;
        a->nan = b->nan < 0 || a->nan < 0 ? -1 : (int8_t)(a->nan | b->nan);
        widen(&a->lower, &a->has_lower, b->lower, b->has_lower, fields[i].is_text, -1);
        widen(&a->upper, &a->has_upper, b->upper, b->has_upper, fields[i].is_text, 1);
    }
}

int iceberg_merge_add(struct iceberg_merge *m, const struct iceberg_ref *from, const void *p,
                      size_t n, const struct iceberg_field *fields, uint32_t n_fields,
                      struct err *e)
{
    struct avro_value v;
    struct avro_reader *r = avro_read_open(p, n, e);
    int rc = r ? 1 : -1;
    while (rc == 1 && (rc = avro_read_next(r, &v, e)) == 1) {
        struct entry x;
        if (read_entry(&x, from, &v, e))
            rc = -1;
        else if (x.status != DELETED) {
            avro_long(&m->body, EXISTING);
            avro_long(&m->body, 1);
            avro_long(&m->body, x.snapshot_id);
            avro_long(&m->body, 1);
            avro_long(&m->body, x.sequence_number);
            avro_long(&m->body, 1);
            avro_long(&m->body, x.file_sequence_number);
            if (put_file(&m->body, x.file, fields, n_fields, e))
                rc = -1;
            if (m->ref.existing == 0 || x.sequence_number < m->ref.min_sequence_number)
                m->ref.min_sequence_number = x.sequence_number;
            m->ref.existing++;
            m->ref.existing_rows += avro_number(x.file, 103, 0);
        }
    }
    avro_read_close(r);
    if (rc)
        return -1;
    merge_ranges(m, from, fields, n_fields);
    m->taken++;
    return 0;
}

void iceberg_merge_fini(struct iceberg_merge *m)
{
    buf_fini(&m->body);
    iceberg_ref_fini(&m->ref);
}
