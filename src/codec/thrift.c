/* See thrift.h; Thrift's specification "thrift-compact-protocol". */
#include "codec/thrift.h"

#include "base/err.h"

void thrift_varint(struct buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_putc(out, (uint8_t)(v | 0x80));
    buf_putc(out, (uint8_t)v);
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static void head(struct thrift *t, int16_t id, unsigned type)
{
    int delta = id - t->last[t->depth];
    if (delta > 0 && delta < 16) {
        buf_putc(t->out, (uint8_t)((unsigned)delta << 4 | type));
    } else {
        buf_putc(t->out, (uint8_t)type);
        thrift_varint(t->out, zigzag(id));
    }
    t->last[t->depth] = id;
}

static void push(struct thrift *t)
{
    invariant(t->depth + 1 < THRIFT_DEPTH_MAX);
    t->last[++t->depth] = 0;
}

void thrift_i16(struct thrift *t, int16_t id, int16_t v)
{
    head(t, id, THRIFT_I16);
    thrift_varint(t->out, zigzag(v));
}

void thrift_i32(struct thrift *t, int16_t id, int32_t v)
{
    head(t, id, THRIFT_I32);
    thrift_varint(t->out, zigzag(v));
}

void thrift_i64(struct thrift *t, int16_t id, int64_t v)
{
    head(t, id, THRIFT_I64);
    thrift_varint(t->out, zigzag(v));
}

void thrift_bool(struct thrift *t, int16_t id, bool v)
{
    head(t, id, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_item_bytes(struct thrift *t, const void *p, size_t n)
{
    thrift_varint(t->out, n);
    buf_put(t->out, p, n);
}

void thrift_bytes(struct thrift *t, int16_t id, const void *p, size_t n)
{
    head(t, id, THRIFT_BINARY);
    thrift_item_bytes(t, p, n);
}

void thrift_open(struct thrift *t, int16_t id)
{
    head(t, id, THRIFT_STRUCT);
    push(t);
}

void thrift_list(struct thrift *t, int16_t id, enum thrift_type type, size_t n)
{
    head(t, id, THRIFT_LIST);
    buf_putc(t->out, (uint8_t)((n < 15 ? n : 15) << 4 | type));
    if (n >= 15)
        thrift_varint(t->out, n);
}

void thrift_item_open(struct thrift *t)
{
    push(t);
}

void thrift_item_i32(struct thrift *t, int32_t v)
{
    thrift_varint(t->out, zigzag(v));
}

void thrift_close(struct thrift *t)
{
    buf_putc(t->out, 0);
    t->depth--;
}
