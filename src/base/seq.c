/* 256-bit positions: see seq.h. Digits are taken up to 18 at a time, so that a step is one multiply of
 * each word by a 64-bit constant. */
#include "base/seq.h"

#include <string.h>

#include "base/digits.h"

#define CHUNK_DIGITS 18
#define DIGITS_MAX 76 /* 10^76 < 2^256 */
#define NEAR_DIGITS 32
#define TEN_16 UINT64_C(10000000000000000)

/* s fits into its last `words` words, before and after. */
static inline void mul_add(struct seq *s, int words, uint64_t mul, uint64_t add)
{
    unsigned __int128 carry = add;
    for (int i = 3; i > 3 - words; i--) {
        carry += (unsigned __int128)s->w[i] * mul;
        s->w[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static inline bool sixteen(const char *p, uint64_t *out)
{
    uint64_t a, b;
    if (!digits8(p, &a) || !digits8(p + 8, &b))
        return false;
    *out = a * 100000000u + b;
    return true;
}

/* As many digits as there are sixteens of, and eight more; how many. A sixteen is 54 bits. */
static inline size_t by_words(struct seq *s, const char *p, size_t n)
{
    size_t at = 0;
    uint64_t a;
    int words = 1;
    for (; n - at >= 16 && sixteen(p + at, &a); at += 16, words += words < 4)
        mul_add(s, words, TEN_16, a);
    if (n - at >= 8 && digits8(p + at, &a)) {
        mul_add(s, words, 100000000u, a);
        at += 8;
    }
    return at;
}

int seq_parse(struct seq *out, const char *p, size_t n, struct err *e)
{
    struct seq s = SEQ_NONE;
    if (n == 12 && memcmp(p, "TRIM_HORIZON", 12) == 0) {
        *out = SEQ_NONE;
        return 0;
    }
    if (n == 9 && memcmp(p, "SHARD_END", 9) == 0) {
        *out = SEQ_END;
        return 0;
    }
    int shown = n < 90 ? (int)n : 90;
    if (n == 0 || n > DIGITS_MAX)
        return err_set(e, ERR_INVALID, "not a sequence number: '%.*s'", shown, p);
    for (size_t at = by_words(&s, p, n); at < n;) {
        uint64_t chunk = 0, scale = 1;
        for (size_t end = at + CHUNK_DIGITS; at < n && at < end; at++, scale *= 10) {
            unsigned digit = (unsigned)(unsigned char)p[at] - '0';
            if (digit > 9)
                return err_set(e, ERR_INVALID, "not a sequence number: '%.*s'", shown, p);
            chunk = chunk * 10 + digit;
        }
        mul_add(&s, 4, scale, chunk);
    }
    *out = s;
    return 0;
}

/* True: *last is of a number of n digits that begins with these. */
static bool head_known(struct seq_near *last, const char *p, size_t n)
{
    size_t head = n - NEAR_DIGITS;
    if (n == last->n && memcmp(p, last->head, head) == 0)
        return true;
    if (*p > '9' || seq_parse(&last->floor, p, head, NULL)) /* a name is no head */
        return false;
    mul_add(&last->floor, 4, TEN_16, 0);
    mul_add(&last->floor, 4, TEN_16, 0);
    memcpy(last->head, p, head);
    last->n = n;
    return true;
}

int seq_parse_near(struct seq_near *last, struct seq *out, const char *p, size_t n, struct err *e)
{
    uint64_t high, low;
    const char *tail = p + n - (n < NEAR_DIGITS ? n : NEAR_DIGITS);
    if (n <= NEAR_DIGITS || n > DIGITS_MAX || !head_known(last, p, n) || !sixteen(tail, &high) || !sixteen(tail + 16, &low))
        return seq_parse(out, p, n, e);
    unsigned __int128 more = (unsigned __int128)high * TEN_16 + low;
    unsigned __int128 sum = (unsigned __int128)last->floor.w[3] + (uint64_t)more;
    out->w[3] = (uint64_t)sum;
    sum = (sum >> 64) + last->floor.w[2] + (uint64_t)(more >> 64);
    out->w[2] = (uint64_t)sum;
    sum = (sum >> 64) + last->floor.w[1];
    out->w[1] = (uint64_t)sum;
    out->w[0] = last->floor.w[0] + (uint64_t)(sum >> 64);
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
