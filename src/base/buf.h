/* buf: growable bytes, and str: a borrowed view of bytes. */
#ifndef INLET_BASE_BUF_H
#define INLET_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

/* A borrowed view: not NUL-terminated, owned by somebody else. */
struct str {
    const char *p;
    size_t n;
};
static inline struct str str_of(const char *s)
{
    return (struct str){s, s ? strlen(s) : 0};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Zero-initialise ({0}) to start; buf_fini frees. The bytes move when it grows. */
struct buf {
    uint8_t *p;
    size_t n, cap;
};

void buf_fini(struct buf *b);
/* Makes room for `more` bytes past n (doubling); returns where they go. */
uint8_t *buf_reserve(struct buf *b, size_t more);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* NUL-terminates (the NUL is not counted in n) and gives the bytes as a C string, still owned by b. */
const char *buf_cstr(struct buf *b);
/* Gives the heap bytes away, NUL-terminated; b is empty afterwards. */
char *buf_take(struct buf *b);

static inline void buf_putc(struct buf *b, uint8_t c)
{
    if (b->n == b->cap)
        buf_reserve(b, 1);
    b->p[b->n++] = c;
}

#endif
