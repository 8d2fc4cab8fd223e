/* See range.h. Texts compare as unsigned bytes, which for UTF-8 is the order of code points: what
 * both Parquet and Iceberg ask for. NaN is never a bound; zero's sign is none either. */
#include "parquet/range.h"

#include <math.h>

#include "parquet/mask.h"

static inline int64_t less_long(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t more_long(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Even and odd ones by themselves, for each waits for the one before it. */
void range_longs(struct range *r, const int64_t *v, size_t n)
{
    if (!n)
        return;
    int64_t least = r->any ? r->min_long : v[0], most = r->any ? r->max_long : v[0];
    int64_t odd_least = v[n - 1], odd_most = v[n - 1];
    for (size_t i = 0; i + 1 < n; i += 2) {
        least = less_long(v[i], least);
        most = more_long(v[i], most);
        odd_least = less_long(v[i + 1], odd_least);
        odd_most = more_long(v[i + 1], odd_most);
    }
    r->min_long = less_long(least, odd_least);
    r->max_long = more_long(most, odd_most);
    r->any = true;
}

void range_bools(struct range *r, const uint8_t *v, size_t n)
{
    const int64_t both[] = {0, 1};
    if (n && memchr(v, 0, n))
        range_longs(r, both, 1);
    if (n && memchr(v, 1, n))
        range_longs(r, both + 1, 1);
}

/* b, where a is a NaN. */
static inline double less_double(double a, double b)
{
    return a < b ? a : b;
}

static inline double more_double(double a, double b)
{
    return a > b ? a : b;
}

void range_doubles(struct range *r, const double *v, size_t n)
{
    double least = r->any ? r->min_double : INFINITY, most = r->any ? r->max_double : -INFINITY;
    double odd_least = INFINITY, odd_most = -INFINITY;
    int64_t nans = n % 2 && v[n - 1] != v[n - 1];
    for (size_t i = 0; i + 1 < n; i += 2) {
        least = less_double(v[i], least);
        most = more_double(v[i], most);
        odd_least = less_double(v[i + 1], odd_least);
        odd_most = more_double(v[i + 1], odd_most);
        nans += (v[i] != v[i]) + (v[i + 1] != v[i + 1]);
    }
    if (n % 2) {
        least = less_double(v[n - 1], least);
        most = more_double(v[n - 1], most);
    }
    r->nans += nans;
    if (r->any || nans < (int64_t)n) {
        least = less_double(least, odd_least);
        most = more_double(most, odd_most);
        r->min_double = least == 0 ? -0.0 : least;
        r->max_double = most == 0 ? 0.0 : most;
        r->any = true;
    }
}

static int compare(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

void range_text(struct range *r, struct str text)
{
    if (!r->any || compare(text, r->min_text) < 0)
        r->min_text = text;
    if (!r->any || compare(text, r->max_text) > 0)
        r->max_text = text;
    r->any = true;
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

/* The first 16 bytes as a number that compares as they do; ids and times have their first eight in common. */
static inline unsigned __int128 head(const uint8_t *p, size_t n)
{
    uint64_t high = 0, low = 0;
    if (n >= 16)
        low = word_at(p + 8);
    else if (n > 8)
        low = word_at(p + n - 8) << (8 * (16 - n));
    if (n >= 8)
        high = word_at(p);
    else
        for (size_t i = 0; i < n; i++)
            high |= (uint64_t)p[i] << (56 - 8 * i);
    return (unsigned __int128)high << 64 | low;
}

/* The same of a text of which `room` bytes may be read: without a branch on its length, where that is enough. */
static inline unsigned __int128 head_of(const uint8_t *p, size_t n, size_t room)
{
    if (n >= 16)
        return (unsigned __int128)word_at(p) << 64 | word_at(p + 8);
    const uint8_t *mask = mask_of(n);
    if (room < 16)
        return head(p, n);
    return (unsigned __int128)(word_at(p) & word_at(mask)) << 64 | (word_at(p + 8) & word_at(mask + 8));
}

/* A text of which `room` bytes may be read, and its first 32 bytes: more than that is seldom looked at. */
struct bound {
    struct str text;
    unsigned __int128 first, second;
};

static struct bound bound_of(struct str text, size_t room)
{
    const uint8_t *p = (const uint8_t *)text.p;
    struct bound b = {.text = text, .first = head_of(p, text.n, room)};
    if (text.n > 16)
        b.second = head_of(p + 16, text.n - 16, room - 16);
    return b;
}

/* < 0, 0, > 0, for a text whose first bytes are `first`. */
static inline int against(struct str text, unsigned __int128 first, size_t room, const struct bound *b)
{
    if (first != b->first)
        return first < b->first ? -1 : 1;
    if (text.n > 16 && b->text.n > 16) {
        unsigned __int128 second = head_of((const uint8_t *)text.p + 16, text.n - 16, room - 16);
        if (second != b->second)
            return second < b->second ? -1 : 1;
    }
    return compare(text, b->text);
}

void range_texts(struct range *r, const uint8_t *p, const uint8_t *end, size_t n)
{
    if (n && !r->any) {
        range_text(r, column_text_at(p));
        p = column_text_next(p);
        n--;
    }
    if (!n)
        return;
    struct bound least = bound_of(r->min_text, r->min_text.n), most = bound_of(r->max_text, r->max_text.n);
    while (n--) {
        struct str text = column_text_at(p);
        size_t room = (size_t)(end - p) - 4;
        unsigned __int128 first = head_of(p + 4, text.n, room);
        p += 4 + text.n;
        if (first > least.first && first < most.first)
            continue; /* most are here: no bound by their heads alone */
        if (against(text, first, room, &least) < 0)
            least = bound_of(text, room);
        if (against(text, first, room, &most) > 0)
            most = bound_of(text, room);
    }
    r->min_text = least.text;
    r->max_text = most.text;
}

void range_merge(struct range *into, const struct range *from, enum col_type type)
{
    into->nans += from->nans;
    if (!from->any)
        return;
    if (!into->any) {
        int64_t nans = into->nans;
        *into = *from;
        into->nans = nans;
        return;
    }
    bool less = range_compare(from, into, type, false) < 0;
    bool more = range_compare(from, into, type, true) > 0;
    if (less) {
        into->min_long = from->min_long;
        into->min_double = from->min_double;
        into->min_text = from->min_text;
    }
    if (more) {
        into->max_long = from->max_long;
        into->max_double = from->max_double;
        into->max_text = from->max_text;
    }
}

int range_compare(const struct range *a, const struct range *b, enum col_type type, bool greatest)
{
    if (type == COL_BYTES)
        return greatest ? compare(a->max_text, b->max_text) : compare(a->min_text, b->min_text);
    if (type == COL_DOUBLE) {
        double x = greatest ? a->max_double : a->min_double;
        double y = greatest ? b->max_double : b->min_double;
        return (x > y) - (x < y);
    }
    int64_t x = greatest ? a->max_long : a->min_long, y = greatest ? b->max_long : b->min_long;
    return (x > y) - (x < y);
}

size_t range_prefix(struct str s, bool utf8, size_t max_bytes, size_t max_points)
{
    size_t at = 0;
    if (!utf8)
        return s.n < max_bytes ? s.n : max_bytes;
    for (size_t points = 0; at < s.n && points < max_points; points++) {
        size_t next = at + 1;
        while (next < s.n && ((uint8_t)s.p[next] & 0xc0) == 0x80)
            next++;
        if (next > max_bytes)
            break;
        at = next;
    }
    return at;
}

static uint32_t point_at(const uint8_t *p, size_t n)
{
    uint32_t v = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        v = v << 6 | (p[i] & 0x3f);
    return v;
}

static size_t put_point(uint8_t *p, uint32_t v)
{
    size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; v >>= 6)
        p[i] = (uint8_t)(0x80 | (v & 0x3f));
    p[0] = (uint8_t)(lead[n] | v);
    return n;
}

size_t range_above(uint8_t *p, size_t n, bool utf8)
{
    while (n) {
        size_t from = n - 1;
        if (!utf8) {
            if (p[from] < 0xff) {
                p[from]++;
                return n;
            }
            n = from;
            continue;
        }
        while (from && n - from < 4 && (p[from] & 0xc0) == 0x80)
            from--;
        uint32_t v = point_at(p + from, n - from);
        if (v < 0x10ffff)
            return from + put_point(p + from, v == 0xd7ff ? 0xe000 : v + 1);
        n = from;
    }
    return 0;
}
