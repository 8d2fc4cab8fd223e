/* joined: see joined.h. */
#include "source/joined.h"

#include <string.h>

bool joined_maybe(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        const uint8_t *q = memchr(p + i, '}', n - 1 - i);
        if (!q)
            return false;
        for (i = (size_t)(q - p); i + 1 < n && p[i + 1] == '}';)
            i++;
        if (i + 1 < n && p[i + 1] == '{')
            return true;
    }
    return false;
}

/* Past the string whose opening quote is before `at`; n where it does not end. */
static size_t string_end(const uint8_t *p, size_t at, size_t n)
{
    while (at < n) {
        const uint8_t *q = memchr(p + at, '"', n - at);
        if (!q)
            return n;
        size_t slashes = 0, end = (size_t)(q - p);
        while (end - slashes > at && p[end - slashes - 1] == '\\')
            slashes++;
        at = end + 1;
        if (slashes % 2 == 0)
            return at;
    }
    return n;
}

size_t joined_end(const uint8_t *p, size_t n)
{
    size_t depth = 0, i = 0;
    while (i < n) {
        uint8_t c = p[i++];
        if (c == '"')
            i = string_end(p, i, n);
        else if (c == '{')
            depth++;
        else if (c == '}' && (depth <= 1 || --depth == 0))
            return depth <= 1 ? i : 0;
    }
    return 0;
}

size_t joined_last_end(const uint8_t *p, size_t n)
{
    size_t last = 0;
    for (;;) {
        size_t at = last;
        while (at < n && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r' || p[at] == '\n'))
            at++;
        size_t end = at < n && p[at] == '{' ? joined_end(p + at, n - at) : 0;
        if (!end)
            return last;
        last = at + end;
    }
}
