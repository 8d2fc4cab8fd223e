/* See avro.h; Avro 1.11 specification, "Object Container Files". */
#include "codec/avro.h"

void avro_long(struct buf *out, int64_t v)
{
    uint64_t z = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
    for (; z >= 0x80; z >>= 7)
        buf_putc(out, (uint8_t)(z | 0x80));
    buf_putc(out, (uint8_t)z);
}

void avro_bytes(struct buf *out, const void *p, size_t n)
{
    avro_long(out, (int64_t)n);
    buf_put(out, p, n);
}

void avro_header(struct buf *out, const char *schema, const char *const *pairs, const uint8_t sync[16])
{
    size_t n = 0;
    while (pairs[n])
        n += 2;
    buf_put(out, "Obj\x01", 4);
    avro_long(out, (int64_t)(n / 2 + 2));
    avro_text(out, "avro.schema");
    avro_text(out, schema);
    avro_text(out, "avro.codec");
    avro_text(out, "null");
    for (size_t i = 0; i < n; i++)
        avro_text(out, pairs[i]);
    avro_long(out, 0);
    buf_put(out, sync, 16);
}

void avro_block(struct buf *out, int64_t records, const struct buf *body, const uint8_t sync[16])
{
    avro_long(out, records);
    avro_bytes(out, body->p, body->n);
    buf_put(out, sync, 16);
}

int64_t avro_get_long(struct avro_in *in)
{
    uint64_t z = 0;
    for (unsigned shift = 0; in->p < in->end && shift < 64; shift += 7) {
        uint8_t b = *in->p++;
        z |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
    }
    in->bad = true;
    return 0;
}

struct str avro_get_bytes(struct avro_in *in)
{
    int64_t n = avro_get_long(in);
    if (n < 0 || in->bad || n > in->end - in->p) {
        in->bad = true;
        return (struct str){0};
    }
    struct str s = {(const char *)in->p, (size_t)n};
    in->p += n;
    return s;
}

bool avro_get_header(struct avro_in *in, const char *schema)
{
    bool same = schema == NULL, plain = true;
    if (in->end - in->p < 4 || memcmp(in->p, "Obj\x01", 4) != 0)
        return false;
    in->p += 4;
    for (int64_t n; (n = avro_get_long(in)) != 0 && !in->bad;) {
        if (n < 0) {
            n = -n;
            avro_get_long(in);
        }
        for (; n > 0 && !in->bad; n--) {
            struct str key = avro_get_bytes(in), value = avro_get_bytes(in);
            if (schema && str_eq(key, str_of("avro.schema")))
                same = str_eq(value, str_of(schema));
            if (str_eq(key, str_of("avro.codec")))
                plain = str_eq(value, str_of("null"));
        }
    }
    if (in->end - in->p < 16)
        return false;
    in->p += 16;
    return same && plain && !in->bad;
}

bool avro_get_block(struct avro_in *in, struct avro_in *body, int64_t *records)
{
    if (in->bad || in->p >= in->end)
        return false;
    *records = avro_get_long(in);
    struct str bytes = avro_get_bytes(in);
    in->bad |= *records < 0 || in->end - in->p < 16;
    if (in->bad)
        return false;
    in->p += 16;
    *body = (struct avro_in){(const uint8_t *)bytes.p, (const uint8_t *)bytes.p + bytes.n, false};
    return true;
}

int avro_copy_blocks(struct buf *out, const uint8_t *p, size_t n, const char *schema,
                     const uint8_t sync[16], int64_t *records, struct err *e)
{
    struct avro_in in = {p, p + n, false}, body;
    int64_t count;
    if (!avro_get_header(&in, schema))
        return err_set(e, ERR_INVALID, "its manifest list was written by another program");
    while (avro_get_block(&in, &body, &count)) {
        avro_long(out, count);
        avro_bytes(out, body.p, (size_t)(body.end - body.p));
        buf_put(out, sync, 16);
        *records += count;
    }
    return in.bad ? err_set(e, ERR_INVALID, "its manifest list is cut short") : 0;
}
