/* See arena.h. */
#include "base/arena.h"

#include <stdbool.h>
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
#define HOLE_MIN ((size_t)64)
#define HOLE_TRIES 4
#define OWN_MIN ((size_t)64 << 10) /* an array from here on has a block of its own */

/* What growth left behind, or the end of a block: taken again by others. In the list of the power
 * of two that is not above its size. */
struct arena_hole {
    struct arena_hole *next;
    size_t bytes;
};
struct arena_block {
    struct arena_block *next, *prev;
    size_t bytes;
};
_Static_assert(sizeof(struct arena_block) <= HEAD, "arrays begin on cache lines");

/* At least *bytes, and as many as *bytes says then. */
static uint8_t *add_block(struct arena *a, size_t *bytes)
{
    struct arena_block *b = SEPARATE ? mem_lines(1, *bytes) : pages_take(bytes);
    *b = (struct arena_block){.next = a->blocks, .bytes = *bytes};
    if (b->next)
        b->next->prev = b;
    a->blocks = b;
    a->bytes += *bytes;
    if (a->total)
        *a->total += *bytes;
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

static unsigned list_of(size_t bytes)
{
    unsigned i = bytes < 2 * HOLE_MIN ? 0 : 57u - (unsigned)__builtin_clzl(bytes);
    return i < ARENA_HOLES ? i : ARENA_HOLES - 1;
}

static void add_hole(struct arena *a, uint8_t *p, size_t bytes)
{
    if (bytes < HOLE_MIN)
        return;
    struct arena_hole *h = (struct arena_hole *)(void *)p, **list = &a->holes[list_of(bytes)];
    *h = (struct arena_hole){*list, bytes};
    *list = h;
}

static size_t skip_to(const uint8_t *p, size_t align)
{
    return (align - ((uintptr_t)p & (align - 1))) & (align - 1);
}

/* Bytes of a hole that has room for them, or NULL; what is over stays a hole. */
static uint8_t *take_hole(struct arena *a, size_t n, size_t align)
{
    for (unsigned i = list_of(n); i < ARENA_HOLES; i++) {
        struct arena_hole **at = &a->holes[i], *h;
        for (int tries = 0; (h = *at) && tries < HOLE_TRIES; tries++, at = &h->next) {
            uint8_t *p = (uint8_t *)h;
            size_t skip = skip_to(p, align), bytes = h->bytes;
            if (bytes < n + skip)
                continue;
            *at = h->next;
            add_hole(a, p, skip);
            add_hole(a, p + skip + n, bytes - skip - n);
            return p + skip;
        }
    }
    return NULL;
}

static size_t rounded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static void *take_own(struct arena *a, size_t *n)
{
    size_t bytes = HEAD + *n;
    uint8_t *p = add_block(a, &bytes) + HEAD;
    *n = bytes - HEAD;
    return p;
}

static void *take(struct arena *a, size_t n, size_t align)
{
    uint8_t *p;
    n = rounded(n);
    if ((p = take_hole(a, n, align)))
        return p;
    size_t skip = skip_to(a->at, align);
    if ((size_t)(a->end - a->at) < n + skip) {
        size_t bytes = a->bytes / 4;
        bytes = bytes > BLOCK_MAX ? BLOCK_MAX : bytes < BLOCK_MIN ? BLOCK_MIN : bytes;
        if (bytes < n + HEAD)
            bytes = n + HEAD;
        add_hole(a, a->at, (size_t)(a->end - a->at));
        a->at = add_block(a, &bytes) + HEAD;
        a->end = a->at - HEAD + bytes;
        skip = 0;
    }
    p = a->at + skip;
    a->at = p + n;
    return p;
}

static bool has_own(size_t bytes)
{
    return SEPARATE || bytes >= OWN_MIN;
}

void arena_give(struct arena *a, void *p, size_t bytes)
{
    if (p && has_own(bytes))
        drop_block(a, (struct arena_block *)(void *)((uint8_t *)p - HEAD));
    else if (p)
        add_hole(a, p, rounded(bytes));
}

void *arena_regrow(struct arena *a, void *p, size_t old, size_t used, size_t *n, size_t align)
{
    size_t had = rounded(old), want = rounded(*n);
    bool own = has_own(old);
    invariant(*n <= SIZE_MAX / 4 && align <= HEAD);
    if (p && !own && (uint8_t *)p + had == a->at && *n >= old && *n < OWN_MIN &&
        (size_t)(a->end - a->at) >= want - had) {
        a->at += want - had;
        return p;
    }
    void *q = has_own(*n) ? take_own(a, n) : take(a, *n, align);
    if (p && used)
        memcpy(q, p, used);
    arena_give(a, p, old);
    return q;
}
