/* texts: ids that are no canonical uuid, of one stripe, in order of arrival and gone in about the same: one behind the
 * other in pages, each of which goes with the last id in it. A heap copy each took more than the rest of the check.
 * Before each stands its hash, for an index that is made anew. The caller's lock. */
#ifndef INLET_DEDUP_TEXTS_H
#define INLET_DEDUP_TEXTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text_page;
struct texts {
    struct text_page *pages; /* all, the one that is written to first */
    size_t bytes;            /* of memory */
    uint32_t n_long;         /* of heap copies, which a page is too small for */
};

/* How much `bytes` grows by one more of n bytes. */
size_t texts_growth(const struct texts *t, size_t n);
/* Where its copy is, until texts_drop. */
uint64_t texts_put(struct texts *t, const uint8_t *p, size_t n, uint64_t hash);
void texts_drop(struct texts *t, uint64_t at, size_t n);
/* All pages; long ones are dropped by whoever has them. */
void texts_fini(struct texts *t);

static inline const uint8_t *texts_at(uint64_t at)
{
    return (const uint8_t *)(uintptr_t)at;
}

static inline uint64_t texts_hash(uint64_t at)
{
    uint64_t hash;
    memcpy(&hash, texts_at(at) - sizeof hash, sizeof hash);
    return hash;
}

#endif
