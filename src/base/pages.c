/* See pages.h. */
#include "base/pages.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"

#define SLAB ((size_t)8 << 20)
#define SLAB_PAGES (SLAB / PAGES_ONE)
#define ORDERS 11        /* the largest free run: half a slab */
#define TRIM_ORDER 4     /* runs from here on give back what they hold */
#define EMPTY_MAX 8      /* slabs kept though nothing of them is taken */
#define LARGE (SLAB / 8) /* beyond it a mapping of its own, to the page */

struct run { /* a free one, in the list of its order */
    struct run *next, *prev;
};
struct slab { /* in its own first page */
    uint8_t order[SLAB_PAGES]; /* 1 + the order of the free run that starts at the page; 0: none does */
    uint32_t free_pages;
};
_Static_assert(sizeof(struct slab) <= PAGES_ONE, "a slab's head is one page");

static struct {
    pthread_mutex_t lock;
    struct run free[ORDERS]; /* heads of rings; zeroed until first used */
    uint32_t empty;
    size_t mapped;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct slab *slab_of(const void *p)
{
    return (struct slab *)((uintptr_t)p & ~(uintptr_t)(SLAB - 1));
}

static struct run *run_at(struct slab *s, size_t page)
{
    return (struct run *)(void *)((uint8_t *)s + page * PAGES_ONE);
}

static void link_run(struct slab *s, size_t page, unsigned order)
{
    struct run *r = run_at(s, page), *head = &pool.free[order];
    if (!head->next)
        head->next = head->prev = head;
    *r = (struct run){head->next, head};
    head->next->prev = r;
    head->next = r;
    s->order[page] = (uint8_t)(order + 1);
}

static void unlink_run(struct slab *s, size_t page)
{
    struct run *r = run_at(s, page);
    r->prev->next = r->next;
    r->next->prev = r->prev;
    s->order[page] = 0;
}

/* A free run, joined with its neighbours as far as that goes. */
static void join(struct slab *s, size_t page, unsigned order)
{
    for (; order + 1 < ORDERS; order++) {
        size_t other = page ^ (size_t)1 << order;
        if (s->order[other] != order + 1)
            break;
        unlink_run(s, other);
        page &= other;
    }
    link_run(s, page, order);
}

/* Frees `count` pages by runs that lie on their own boundaries. */
static void free_range(struct slab *s, size_t page, size_t count)
{
    s->free_pages += (uint32_t)count;
    while (count) {
        unsigned order = (unsigned)__builtin_ctzll(page);
        while ((size_t)1 << order > count)
            order--;
        join(s, page, order);
        page += (size_t)1 << order;
        count -= (size_t)1 << order;
    }
}

static void *map_aligned(size_t bytes)
{
    size_t room = bytes + SLAB;
    uint8_t *p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    invariant(p != MAP_FAILED);
    size_t skip = (SLAB - ((uintptr_t)p & (SLAB - 1))) & (SLAB - 1);
    if (skip)
        munmap(p, skip);
    munmap(p + skip + bytes, room - skip - bytes);
    madvise(p + skip, bytes, MADV_HUGEPAGE); /* a wish */
    return p + skip;
}

static void add_slab(void)
{
    struct slab *s = map_aligned(SLAB);
    memset(s, 0, sizeof *s);
    pool.mapped += SLAB;
    pool.empty++;
    free_range(s, 1, SLAB_PAGES - 1);
}

static void *take_run(size_t pages)
{
    unsigned order = 0;
    while ((size_t)1 << order < pages)
        order++;
    for (unsigned o = order; o < ORDERS; o++) {
        struct run *r = pool.free[o].next;
        if (!r || r == &pool.free[o])
            continue;
        struct slab *s = slab_of(r);
        size_t page = (size_t)((uint8_t *)r - (uint8_t *)s) / PAGES_ONE;
        unlink_run(s, page);
        pool.empty -= s->free_pages == SLAB_PAGES - 1;
        s->free_pages -= 1u << o;
        free_range(s, page + pages, ((size_t)1 << o) - pages);
        return r;
    }
    return NULL;
}

static size_t rounded(size_t bytes)
{
    size_t pages = bytes ? (bytes + PAGES_ONE - 1) / PAGES_ONE : 1;
    if (pages > 1 && pages * PAGES_ONE <= LARGE)
        pages = (size_t)1 << (64 - __builtin_clzll(pages - 1));
    return pages * PAGES_ONE;
}

void *pages_take(size_t *bytes)
{
    invariant(*bytes <= SIZE_MAX / 2);
    *bytes = rounded(*bytes);
    if (*bytes > LARGE)
        return map_aligned(*bytes);
    size_t pages = *bytes / PAGES_ONE;
    pthread_mutex_lock(&pool.lock);
    void *p = take_run(pages);
    if (!p) {
        add_slab();
        p = take_run(pages);
    }
    pthread_mutex_unlock(&pool.lock);
    return p;
}

/* One of which nothing is taken. */
static void drop_slab(struct slab *s)
{
    for (size_t page = 1, n; page < SLAB_PAGES; page += n) {
        n = (size_t)1 << (s->order[page] - 1);
        unlink_run(s, page);
    }
    pool.empty--;
    pool.mapped -= SLAB;
    munmap(s, SLAB);
}

void pages_give(void *p, size_t bytes)
{
    struct slab *s = slab_of(p);
    bytes = rounded(bytes);
    if (bytes > LARGE) {
        munmap(p, bytes);
        return;
    }
    pthread_mutex_lock(&pool.lock);
    free_range(s, (size_t)((uint8_t *)p - (uint8_t *)s) / PAGES_ONE, bytes / PAGES_ONE);
    if (s->free_pages == SLAB_PAGES - 1 && pool.empty++ >= EMPTY_MAX)
        drop_slab(s);
    pthread_mutex_unlock(&pool.lock);
}

void pages_trim(void)
{
    pthread_mutex_lock(&pool.lock);
    struct run *head = &pool.free[ORDERS - 1];
    for (struct run *r = head->next, *next; r && r != head; r = next) {
        next = r->next;
        if (slab_of(r)->free_pages == SLAB_PAGES - 1) /* it has one such run */
            drop_slab(slab_of(r));
    }
    for (unsigned order = TRIM_ORDER; order < ORDERS; order++) { /* of the others all but what links them */
        head = &pool.free[order];
        for (struct run *r = head->next; r && r != head; r = r->next)
            madvise((uint8_t *)r + PAGES_ONE, (PAGES_ONE << order) - PAGES_ONE, MADV_DONTNEED);
    }
    pthread_mutex_unlock(&pool.lock);
}

size_t pages_mapped(void)
{
    pthread_mutex_lock(&pool.lock);
    size_t n = pool.mapped;
    pthread_mutex_unlock(&pool.lock);
    return n;
}
