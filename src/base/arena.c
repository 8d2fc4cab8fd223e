/* See arena.h. */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/pages.h"

#if defined(__SANITIZE_ADDRESS__)
#define SEPARATE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SEPARATE 1
#endif
#endif
#ifndef SEPARATE
#define SEPARATE 0
#endif

#define HEAD 64
#define BLOCK_MIN ((size_t)8 << 10)
#define BLOCK_MAX ((size_t)256 << 10)
#define OWN_MIN ((size_t)16 << 10) /* an array from here on has a block of its own */

struct arena_block {
    struct arena_block *next, *prev;
    size_t bytes;
};
_Static_assert(sizeof(struct arena_block) <= HEAD, "arrays begin on cache lines");

static uint8_t *add_block(struct arena *a, size_t bytes)
{
    struct arena_block *b = SEPARATE ? mem_lines(1, bytes) : pages_take(&bytes);
    *b = (struct arena_block){.next = a->blocks, .bytes = bytes};
    if (b->next)
        b->next->prev = b;
    a->blocks = b;
    a->bytes += bytes;
    if (a->total)
        *a->total += bytes;
    return (uint8_t *)b;
}

static void give_block(struct arena_block *b)
{
    if (SEPARATE)
        free(b);
    else
        pages_give(b, b->bytes);
}

/* That of an array with a block of its own. */
static void drop_block(struct arena *a, struct arena_block *b)
{
    if (b->next)
        b->next->prev = b->prev;
    *(b->prev ? &b->prev->next : &a->blocks) = b->next;
    a->bytes -= b->bytes;
    if (a->total)
        *a->total -= b->bytes;
    give_block(b);
}

void arena_fini(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        give_block(b);
    }
    if (a->total)
        *a->total -= a->bytes;
    *a = (struct arena){0};
}

void *arena_take(struct arena *a, size_t n, size_t align)
{
    invariant(n <= SIZE_MAX / 4 && align <= HEAD);
    if (SEPARATE || n >= OWN_MIN)
        return add_block(a, HEAD + n) + HEAD;
    size_t skip = (align - ((uintptr_t)a->at & (align - 1))) & (align - 1);
    if ((size_t)(a->end - a->at) < n + skip) {
        size_t bytes = a->bytes > BLOCK_MAX ? BLOCK_MAX : a->bytes < BLOCK_MIN ? BLOCK_MIN : a->bytes;
        if (bytes < n + HEAD)
            bytes = n + HEAD;
        a->at = add_block(a, bytes) + HEAD;
        a->end = (uint8_t *)a->blocks + a->blocks->bytes;
        skip = 0;
    }
    uint8_t *p = a->at + skip;
    a->at = p + n;
    return p;
}

void *arena_regrow(struct arena *a, void *p, size_t old, size_t used, size_t n, size_t align)
{
    if (p && (uint8_t *)p + old == a->at && n >= old && n < OWN_MIN &&
        (size_t)(a->end - a->at) >= n - old) {
        a->at += n - old;
        return p;
    }
    void *q = arena_take(a, n, align);
    if (used)
        memcpy(q, p, used);
    if (p && (SEPARATE || old >= OWN_MIN))
        drop_block(a, (struct arena_block *)(void *)((uint8_t *)p - HEAD));
    return q;
}
