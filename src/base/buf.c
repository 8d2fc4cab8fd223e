/* Growable bytes: see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

uint8_t *buf_reserve(struct buf *b, size_t more)
{
    size_t need;
    invariant(!__builtin_add_overflow(b->n, more, &need));
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need)
            cap += cap / 2 + 64;
        b->p = mem_realloc(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->n;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (!n)
        return;
    memcpy(buf_reserve(b, n), p, n);
    b->n += n;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    invariant(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, again);
    b->n += (size_t)n;
    va_end(again);
    va_end(ap);
}

const char *buf_cstr(struct buf *b)
{
    buf_reserve(b, 1)[0] = '\0';
    return (const char *)b->p;
}

char *buf_take(struct buf *b)
{
    buf_cstr(b);
    char *s = (char *)b->p;
    *b = (struct buf){0};
    return s;
}
