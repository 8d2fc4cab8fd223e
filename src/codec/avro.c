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

void avro_header(struct buf *out, const char *schema, const char *const *pairs,
                 const uint8_t sync[16])
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
