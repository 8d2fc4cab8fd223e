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

void thrift_item_i64(struct thrift *t, int64_t v)
{
    thrift_varint(t->out, zigzag(v));
}

void thrift_item_bool(struct thrift *t, bool v)
{
    buf_putc(t->out, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_close(struct thrift *t)
{
    buf_putc(t->out, 0);
    t->depth--;
}

/* ---- reading ---- */

static uint64_t get_varint(struct thrift_in *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; !in->bad && in->at < in->n && shift < 64; shift += 7) {
        uint8_t b = in->p[in->at++];
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    in->bad = true;
    return 0;
}

int64_t thrift_item_get_int(struct thrift_in *in)
{
    uint64_t v = get_varint(in);
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static uint8_t get_byte(struct thrift_in *in)
{
    if (in->bad || in->at >= in->n) {
        in->bad = true;
        return 0;
    }
    return in->p[in->at++];
}

static void pass(struct thrift_in *in, uint64_t n)
{
    if (in->bad || n > in->n - in->at)
        in->bad = true;
    else
        in->at += n;
}

bool thrift_next(struct thrift_in *in, struct thrift_field *f)
{
    uint8_t b = get_byte(in);
    if (in->bad || b == 0)
        return false;
    f->type = b & 15;
    int64_t id = b >> 4 ? f->id + (b >> 4) : thrift_item_get_int(in);
    if (id < INT16_MIN || id > INT16_MAX || f->type == 0 || f->type > THRIFT_STRUCT)
        in->bad = true;
    f->id = (int16_t)id;
    return !in->bad;
}

int64_t thrift_get_int(struct thrift_in *in, const struct thrift_field *f)
{
    switch (f->type) {
    case THRIFT_TRUE:
        return 1;
    case THRIFT_FALSE:
        return 0;
    case THRIFT_BYTE:
        return (int8_t)get_byte(in);
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        return thrift_item_get_int(in);
    default:
        in->bad = true;
        return 0;
    }
}

struct str thrift_item_get_bytes(struct thrift_in *in)
{
    uint64_t n = get_varint(in);
    const uint8_t *p = in->p + in->at;
    pass(in, n);
    return in->bad ? (struct str){"", 0} : (struct str){(const char *)p, n};
}

struct str thrift_get_bytes(struct thrift_in *in, const struct thrift_field *f)
{
    if (f->type != THRIFT_BINARY)
        in->bad = true;
    return thrift_item_get_bytes(in);
}

static uint32_t list_head(struct thrift_in *in, uint8_t *type)
{
    uint8_t b = get_byte(in);
    uint64_t n = b >> 4 == 15 ? get_varint(in) : b >> 4;
    *type = b & 15;
    if (n > in->n - in->at || n > UINT32_MAX)
        in->bad = true;
    return in->bad ? 0 : (uint32_t)n;
}

static void skip(struct thrift_in *in, uint8_t type, bool item, int depth);

static void skip_items(struct thrift_in *in, uint8_t type, uint64_t n, int depth)
{
    while (n-- && !in->bad)
        skip(in, type, true, depth);
}

static void skip_map(struct thrift_in *in, int depth)
{
    uint64_t n = get_varint(in);
    uint8_t types = n ? get_byte(in) : 0;
    if (n > in->n - in->at)
        in->bad = true;
    for (; n && !in->bad; n--) {
        skip(in, types >> 4, true, depth);
        skip(in, types & 15, true, depth);
    }
}

static void skip_struct(struct thrift_in *in, int depth)
{
    struct thrift_field f = {0};
    while (thrift_next(in, &f))
        skip(in, f.type, false, depth);
}

/* Recursive, but never deeper than THRIFT_DEPTH_MAX. Booleans take a byte in a list, none in a
 * field. */
static void skip(struct thrift_in *in, uint8_t type, bool item, int depth)
{
    uint8_t of;
    if (depth >= THRIFT_DEPTH_MAX) {
        in->bad = true;
        return;
    }
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE:
        pass(in, item);
        break;
    case THRIFT_BYTE:
        pass(in, 1);
        break;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        get_varint(in);
        break;
    case THRIFT_DOUBLE:
        pass(in, 8);
        break;
    case THRIFT_BINARY:
        pass(in, get_varint(in));
        break;
    case THRIFT_LIST:
    case THRIFT_SET: {
        uint32_t n = list_head(in, &of);
        skip_items(in, of, n, depth + 1);
        break;
    }
    case THRIFT_MAP:
        skip_map(in, depth + 1);
        break;
    case THRIFT_STRUCT:
        skip_struct(in, depth + 1);
        break;
    default:
        in->bad = true;
    }
}

void thrift_skip(struct thrift_in *in, const struct thrift_field *f)
{
    skip(in, f->type, false, 0);
}

uint32_t thrift_get_list(struct thrift_in *in, const struct thrift_field *f, enum thrift_type type)
{
    uint8_t of;
    if (f->type != THRIFT_LIST) {
        thrift_skip(in, f);
        return 0;
    }
    uint32_t n = list_head(in, &of);
    if (of == (uint8_t)type || (of == THRIFT_FALSE && type == THRIFT_TRUE))
        return n;
    skip_items(in, of, n, 0);
    return 0;
}
