/* convert: a JSON value into a column whose type the config declares. */
#ifndef INLET_SHRED_CONVERT_H
#define INLET_SHRED_CONVERT_H

#include "base/buf.h"
#include "codec/json.h"
#include "schema/registry.h"

struct converted {
    int64_t number; /* long, boolean, decimal (unscaled), timestamptz (microseconds) */
    double real;
    bool inexact; /* there is more in the value than the column holds: it is rescued as well */
};
/* False where the value does not fit: it is rescued. Texts are appended to `text`. */
bool convert_value(const uint8_t *p, const struct json_tok *v, const struct rnode *node,
                   const uint8_t *key, size_t key_n, struct buf *text, struct converted *out);

#endif
