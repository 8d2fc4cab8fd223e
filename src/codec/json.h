/* json: one record's bytes to a tape of tokens: RFC 8259, whole or not at all.
 *
 * An object is TOK_OBJECT, then TOK_KEY and a value for each member; an array TOK_ARRAY and its values.
 * `next` is the index after a value and all inside it. Offsets are into the record; strings' and keys'
 * exclude their quotes. No recursion; depth is limited. Reads at most 64 bytes past the record. */
#ifndef INLET_CODEC_JSON_H
#define INLET_CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define JSON_DEPTH_MAX 1000

enum json_token { TOK_OBJECT, TOK_ARRAY, TOK_STRING, TOK_INTEGER, TOK_DECIMAL, TOK_TRUE, TOK_FALSE, TOK_NULL, TOK_KEY };
#define TOK_ESCAPED 1u    /* a string with a backslash in it */
#define TOK_UNSAFE 2u     /* an escaped NUL or a lone surrogate: cannot be stored as UTF-8 text */
#define TOK_SUPERSEDED 4u /* a member that a later one of the same key replaces (json_last_wins) */

struct json_tok {
    uint32_t start, end, next;
    uint8_t kind, flags;
};
struct json_tape {
    struct json_tok *toks;
    uint32_t n, cap;
};
enum json_status { JSON_OK, JSON_INVALID, JSON_BAD_UTF8, JSON_TOO_DEEP };

void json_tape_fini(struct json_tape *t);
/* *where is the offset of the first defect. */
enum json_status json_parse(struct json_tape *t, const uint8_t *p, size_t n, size_t *where);
/* Marks members whose key comes again in the same object. Linear in the number of members. */
void json_last_wins(struct json_tape *t, const uint8_t *p);
/* Appends a string's content, unescaped; of TOK_UNSAFE as WTF-8 (a lone surrogate as its three bytes),
 * good for comparing, not for storing. */
void json_unescape(const uint8_t *p, size_t n, struct buf *out);
bool json_number_valid(const uint8_t *p, size_t n); /* is all of it one number? */
bool json_utf8_valid(const uint8_t *p, size_t n);
/* False where it does not fit (an integer beyond 64 bits; a decimal beyond the doubles). */
bool json_long(const uint8_t *p, size_t n, int64_t *out);
bool json_double(const uint8_t *p, size_t n, double *out);

/* Does a double hold this integer exactly? */
static inline bool json_double_holds(int64_t v)
{
    double d = (double)v;
    return d < 9223372036854775808.0 && (int64_t)d == v;
}
/* The value of four hex digits, -1 where they are not. */
int json_hex4(const uint8_t *p);
/* Appends a code point as UTF-8 (a lone surrogate as its three bytes). */
void json_put_code_point(struct buf *out, uint32_t c);

#endif
