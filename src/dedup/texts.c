/* Ids that are no canonical uuid. See texts.h. */
#include "dedup/texts.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pages.h"

#define PAGE PAGES_ONE /* on its own boundary: an id's address leads to it */
#define LONG_BYTES (PAGE / 8)
#define LONG_OVERHEAD 16 /* of the heap */
#define HASH_BYTES sizeof(uint64_t)

struct text_page {
    struct text_page *before, *after;
    uint32_t used, ids;
};

static size_t room_of(size_t n)
{
    return (HASH_BYTES + n + 7) / 8 * 8;
}

static bool is_long(size_t n)
{
    return n > LONG_BYTES;
}

static bool fits(const struct texts *t, size_t n)
{
    return t->pages && t->pages->used + room_of(n) <= PAGE;
}

size_t texts_growth(const struct texts *t, size_t n)
{
    return is_long(n) ? room_of(n) + LONG_OVERHEAD : fits(t, n) ? 0 : PAGE;
}

static void page_new(struct texts *t)
{
    size_t bytes = PAGE;
    struct text_page *p = pages_take(&bytes);
    *p = (struct text_page){.after = t->pages, .used = sizeof *p};
    if (t->pages)
        t->pages->before = p;
    t->pages = p;
    t->bytes += PAGE;
}

static void page_free(struct texts *t, struct text_page *p)
{
    *(p->before ? &p->before->after : &t->pages) = p->after;
    if (p->after)
        p->after->before = p->before;
    pages_give(p, PAGE);
    t->bytes -= PAGE;
}

uint64_t texts_put(struct texts *t, const uint8_t *p, size_t n, uint64_t hash)
{
    uint8_t *at;
    if (is_long(n)) {
        at = mem_alloc(room_of(n));
        t->bytes += room_of(n) + LONG_OVERHEAD;
        t->n_long++;
    } else {
        if (!fits(t, n))
            page_new(t);
        at = (uint8_t *)t->pages + t->pages->used;
        t->pages->used += (uint32_t)room_of(n);
        t->pages->ids++;
    }
    memcpy(at, &hash, HASH_BYTES);
    memcpy(at + HASH_BYTES, p, n);
    return (uint64_t)(uintptr_t)(at + HASH_BYTES);
}

void texts_drop(struct texts *t, uint64_t at, size_t n)
{
    uint8_t *p = (uint8_t *)(uintptr_t)at - HASH_BYTES;
    if (is_long(n)) {
        free(p);
        t->bytes -= room_of(n) + LONG_OVERHEAD;
        t->n_long--;
        return;
    }
    struct text_page *page = (struct text_page *)((uintptr_t)p & ~(uintptr_t)(PAGE - 1));
    if (--page->ids == 0)
        page_free(t, page);
}

void texts_fini(struct texts *t)
{
    while (t->pages)
        page_free(t, t->pages);
}
