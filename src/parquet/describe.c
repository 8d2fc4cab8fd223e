/* What `inlet inspect` shows of a file: the footer as JSON. The footer is the only thing read: its
 * sizes and counts are the writer's word. See parquet.h. */
#include <math.h>
#include <string.h>

#include "codec/compress.h"
#include "codec/json.h"
#include "parquet/reader.h"

/* A JSON string; bytes that are no UTF-8 are given as "0x" and hexadecimal digits. */
static void put_text(struct buf *out, struct str s)
{
    buf_putc(out, '"');
    if (!json_utf8_valid((const uint8_t *)s.p, s.n)) {
        buf_puts(out, "0x");
        for (size_t i = 0; i < s.n; i++)
            buf_printf(out, "%02x", (uint8_t)s.p[i]);
        buf_putc(out, '"');
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c == '"' || c == '\\')
            buf_putc(out, '\\');
        if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_putc(out, c);
    }
    buf_putc(out, '"');
}

static void put_name(struct buf *out, const char *name)
{
    buf_printf(out, "\"%s\":", name);
}

static void put_number(struct buf *out, const char *name, int64_t v, const char *after)
{
    buf_printf(out, "\"%s\":%lld%s", name, (long long)v, after);
}

static const char *logical_name(const struct footer_leaf *l)
{
    static const char *const logical[] = {"",        "STRING",  "MAP",      "LIST",      "ENUM",
                                          "DECIMAL", "DATE",    "TIME",     "TIMESTAMP", "",
                                          "INTEGER", "NULL",    "JSON",     "BSON",      "UUID",
                                          "FLOAT16", "VARIANT", "GEOMETRY", "GEOGRAPHY"};
    static const char *const converted[] = {"STRING", "MAP",       "MAP",      "LIST",
                                            "ENUM",   "DECIMAL",   "DATE",     "TIME",
                                            "TIME",   "TIMESTAMP", "TIMESTAMP"};
    if (l->logical > 0 && l->logical < (int)(sizeof logical / sizeof *logical))
        return logical[l->logical];
    if (l->converted >= 0 && l->converted < (int)(sizeof converted / sizeof *converted))
        return converted[l->converted];
    return "";
}

static void put_leaf(struct buf *out, const struct footer_leaf *l)
{
    static const char *const physical[] = {
        "BOOLEAN", "INT32",  "INT64",      "INT96",
        "FLOAT",   "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"};
    const char *logical = logical_name(l);
    buf_puts(out, "{\"path\":");
    put_text(out, str_of(l->path));
    if (l->field_id >= 0)
        buf_printf(out, ",\"field_id\":%d", l->field_id);
    buf_printf(out, ",\"type\":\"%s\"", physical[l->physical]);
    if (*logical)
        buf_printf(out, ",\"logical\":\"%s\"", logical);
    if (strcmp(logical, "DECIMAL") == 0)
        buf_printf(out, ",\"precision\":%d,\"scale\":%d", l->precision, l->scale);
    if (l->logical == 8)
        buf_printf(out, ",\"utc\":%s", l->adjusted ? "true" : "false");
    buf_printf(out, ",\"max_def\":%u,\"max_rep\":%u}", l->max_def, l->max_rep);
}

static void put_real(struct buf *out, double v)
{
    if (isfinite(v))
        buf_printf(out, "%.17g", v);
    else
        buf_printf(out, "\"%s\"", isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

/* A bound in the type it has; one of an unfitting size is shown as bytes. */
static void put_bound(struct buf *out, const struct footer_leaf *l, struct str s)
{
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    if (l->physical == PHYSICAL_BOOLEAN && s.n == 1) {
        buf_puts(out, s.p[0] ? "true" : "false");
    } else if (l->physical == PHYSICAL_INT32 && s.n == 4) {
        memcpy(&i32, s.p, 4);
        buf_printf(out, "%d", i32);
    } else if (l->physical == PHYSICAL_INT64 && s.n == 8) {
        memcpy(&i64, s.p, 8);
        buf_printf(out, "%lld", (long long)i64);
    } else if (l->physical == PHYSICAL_FLOAT && s.n == 4) {
        memcpy(&f32, s.p, 4);
        put_real(out, (double)f32);
    } else if (l->physical == PHYSICAL_DOUBLE && s.n == 8) {
        memcpy(&f64, s.p, 8);
        put_real(out, f64);
    } else {
        put_text(out, s);
    }
}

static void put_encodings(struct buf *out, uint32_t set)
{
    static const char *const names[] = {
        "PLAIN",          "GROUP_VAR_INT",       "PLAIN_DICTIONARY",        "RLE",
        "BIT_PACKED",     "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY",
        "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"};
    const char *comma = "";
    buf_puts(out, "\"encodings\":[");
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (set >> i & 1) {
            buf_printf(out, "%s\"%s\"", comma, names[i]);
            comma = ",";
        }
    buf_puts(out, "],");
}

static void put_chunk(struct buf *out, const struct footer_leaf *l, const struct footer_chunk *c)
{
    buf_puts(out, "{\"path\":");
    put_text(out, str_of(l->path));
    buf_printf(out, ",\"codec\":\"%s\",", compress_codec_name(c->codec));
    put_encodings(out, c->encodings);
    put_number(out, "values", c->values, ",");
    if (c->nulls >= 0)
        put_number(out, "nulls", c->nulls, ",");
    if (c->has_min) {
        put_name(out, "min");
        put_bound(out, l, c->min);
        buf_putc(out, ',');
    }
    if (c->has_max) {
        put_name(out, "max");
        put_bound(out, l, c->max);
        buf_putc(out, ',');
    }
    if (c->data_pages >= 0)
        put_number(out, "data_pages", c->data_pages, ",");
    buf_printf(out, "\"dictionary\":%s,\"page_index\":%s,", c->dict_offset > 0 ? "true" : "false",
               c->offset_index_n > 0 ? "true" : "false");
    put_number(out, "encoded_bytes", c->raw, ",");
    put_number(out, "compressed_bytes", c->packed, "}");
}

static void put_group(struct buf *out, const struct footer *f, const struct footer_group *g)
{
    buf_putc(out, '{');
    put_number(out, "rows", g->rows, ",");
    put_number(out, "offset", g->offset, ",");
    put_number(out, "encoded_bytes", g->raw, ",");
    put_number(out, "compressed_bytes", g->packed, ",\"columns\":[");
    for (uint32_t i = 0; i < f->n_leaves; i++) {
        if (i)
            buf_putc(out, ',');
        put_chunk(out, &f->leaves[i], &g->chunks[i]);
    }
    buf_puts(out, "]}");
}

int pq_reader_describe(struct pq_reader *r, struct buf *out, struct err *e)
{
    int64_t size;
    const struct footer *f = reader_footer(r, &size);
    (void)e;
    buf_putc(out, '{');
    put_number(out, "bytes", size, ",");
    put_number(out, "rows", f->rows, ",");
    put_number(out, "version", f->version, ",\"created_by\":");
    put_text(out, f->created_by);
    buf_puts(out, ",\"metadata\":{");
    for (uint32_t i = 0; i < f->n_pairs; i++) {
        if (i)
            buf_putc(out, ',');
        put_text(out, f->pairs[i].key);
        buf_putc(out, ':');
        put_text(out, f->pairs[i].value);
    }
    buf_puts(out, "},\"schema\":[");
    for (uint32_t i = 0; i < f->n_leaves; i++) {
        if (i)
            buf_putc(out, ',');
        put_leaf(out, &f->leaves[i]);
    }
    buf_puts(out, "],\"row_groups\":[");
    for (uint32_t i = 0; i < f->n_groups; i++) {
        if (i)
            buf_putc(out, ',');
        put_group(out, f, &f->groups[i]);
    }
    buf_puts(out, "]}");
    return 0;
}
