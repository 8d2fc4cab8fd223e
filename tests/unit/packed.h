/* JSON written as CBOR, as Kinesis has it: Data as bytes, the time of arrival in milliseconds. */
#ifndef INLET_TESTS_PACKED_H
#define INLET_TESTS_PACKED_H

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/base64.h"

/* Of the shortest form that holds n. */
static inline void packed_put_head(struct buf *out, int kind, uint64_t n)
{
    int size = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n <= UINT32_MAX ? 4 : 8;
    static const int low[] = {0, 24, 25, 0, 26, 0, 0, 0, 27};
    buf_putc(out, (uint8_t)(kind << 5 | (size ? low[size] : (int)n)));
    for (int i = size - 1; i >= 0; i--)
        buf_putc(out, (uint8_t)(n >> (8 * i)));
}

static inline void packed_put_string(struct buf *out, int kind, const void *p, size_t n)
{
    packed_put_head(out, kind, n);
    buf_put(out, p, n);
}

static inline void packed_put_data(struct buf *out, const char *base64)
{
    size_t n = strlen(base64);
    uint8_t *bytes = mem_alloc(base64_decode_room(n));
    int64_t got = base64_decode(bytes, base64, n);
    invariant(got >= 0);
    packed_put_string(out, 2, bytes, (size_t)got);
    free(bytes);
}

/* `key` is whose value it is, or NULL; `open`: maps and arrays are without a length. */
static inline void packed_put(struct buf *out, json_t *j, const char *key, bool open)
{
    const char *name;
    json_t *value;
    size_t i;
    if (json_is_object(j) || json_is_array(j)) {
        int kind = json_is_object(j) ? 5 : 4;
        if (open)
            buf_putc(out, (uint8_t)(kind << 5 | 31));
        else
            packed_put_head(out, kind, json_is_object(j) ? json_object_size(j) : json_array_size(j));
        json_object_foreach (j, name, value) {
            packed_put_string(out, 3, name, strlen(name));
            packed_put(out, value, name, open);
        }
        json_array_foreach (j, i, value)
            packed_put(out, value, NULL, open);
        if (open)
            buf_putc(out, 0xff);
    } else if (key && strcmp(key, "Data") == 0) {
        packed_put_data(out, json_string_value(j));
    } else if (json_is_string(j)) {
        packed_put_string(out, 3, json_string_value(j), json_string_length(j));
    } else if (json_is_number(j)) {
        bool time = key && strcmp(key, "ApproximateArrivalTimestamp") == 0;
        if (time)
            buf_putc(out, 0xc1);
        packed_put_head(out, 0, (uint64_t)llround(json_number_value(j) * (time ? 1000 : 1)));
    } else {
        buf_putc(out, 0xf6);
    }
}

#endif
