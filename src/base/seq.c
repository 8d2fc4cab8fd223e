/* 256-bit positions: see seq.h. Digits are taken up to 18 at a time, so that a step is one multiply of
 * each word by a 64-bit constant. */
#include "base/seq.h"

#include <string.h>

#include "base/digits.h"

#define CHUNK_DIGITS 18
#define DIGITS_MAX 76 /* 10^76 < 2^256 */

static void mul_add(struct seq *s, uint64_t mul, uint64_t add)
{
    unsigned __int128 carry = add;
    for (int i = 3; i >= 0; i--) {
        carry += (unsigned __int128)s->w[i] * mul;
        s->w[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* As many digits as there are sixteens of; how many. */
static size_t sixteens(struct seq *s, const char *p, size_t n)
{
    size_t at = 0;
    uint64_t a, b;
    for (; n - at >= 16 && digits8(p + at, &a) && digits8(p + at + 8, &b); at += 16)
        mul_add(s, 10000000000000000u, a * 100000000u + b);
    return at;
}

int seq_parse(struct seq *out, const char *p, size_t n, struct err *e)
{
    *out = SEQ_NONE;
    if (n == 12 && memcmp(p, "TRIM_HORIZON", 12) == 0)
        return 0;
    if (n == 9 && memcmp(p, "SHARD_END", 9) == 0) {
        *out = SEQ_END;
        return 0;
    }
    int shown = n < 90 ? (int)n : 90;
    if (n == 0 || n > DIGITS_MAX)
        return err_set(e, ERR_INVALID, "not a sequence number: '%.*s'", shown, p);
    for (size_t at = sixteens(out, p, n); at < n;) {
        uint64_t chunk = 0, scale = 1;
        for (size_t end = at + CHUNK_DIGITS; at < n && at < end; at++, scale *= 10) {
            unsigned digit = (unsigned)(unsigned char)p[at] - '0';
            if (digit > 9)
                return err_set(e, ERR_INVALID, "not a sequence number: '%.*s'", shown, p);
            chunk = chunk * 10 + digit;
        }
        mul_add(out, scale, chunk);
    }
    return 0;
}

static uint64_t div_small(struct seq *s, uint64_t by)
{
    unsigned __int128 rest = 0;
    for (int i = 0; i < 4; i++) {
        rest = rest << 64 | s->w[i];
        s->w[i] = (uint64_t)(rest / by);
        rest %= by;
    }
    return (uint64_t)rest;
}

size_t seq_format(struct seq s, char out[SEQ_TEXT_MAX])
{
    char digits[SEQ_TEXT_MAX];
    size_t n = 0;
    const char *name = seq_cmp(s, SEQ_NONE) == 0  ? "TRIM_HORIZON"
                       : seq_cmp(s, SEQ_END) == 0 ? "SHARD_END"
                                                  : NULL;
    if (name) {
        strcpy(out, name);
        return strlen(name);
    }
    while (seq_cmp(s, SEQ_NONE) != 0) {
        uint64_t chunk = div_small(&s, 1000000000000000000u);
        bool last = seq_cmp(s, SEQ_NONE) == 0;
        for (int i = 0; i < CHUNK_DIGITS && (!last || chunk); i++, chunk /= 10)
            digits[n++] = (char)('0' + chunk % 10);
    }
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    out[n] = '\0';
    return n;
}
