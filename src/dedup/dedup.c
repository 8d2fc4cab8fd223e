/* The hot window: 256 stripes, each an open-addressing index over a ring of entries in order of arrival
 * at the window, so that the oldest are evicted first. See dedup.h.
 *
 *   ring   [tail .. head)   entries, oldest first; a forgotten one stays as a hole until the tail passes
 *   index  u32 ring slot + 1, 0 free; linear probing with backward shift
 *
 * An entry is 32 bytes and its share of the index 8: two million ids are 80 MB. */
#include "dedup/dedup.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/mem.h"

#define STRIPES 256
#define RING_MIN 64

struct entry {
    uint64_t id[2];   /* canonical: the 16 bytes; else: pointer to a copy, length */
    uint32_t hash_hi; /* the hash's upper half: index position and quick compare */
    uint32_t payload; /* folded payload hash, 0: not known */
    uint32_t arrived_s;
    uint32_t epoch : 30; /* tentative in it; 0: committed or restored */
    uint32_t canonical : 1, alive : 1;
};

struct stripe {
    pthread_mutex_t lock;
    struct entry *ring;
    uint32_t *index;
    uint32_t ring_cap, index_cap; /* powers of two */
    uint64_t head, tail;          /* ring[x & (ring_cap - 1)] */
    uint32_t alive;
    size_t text_bytes;
    uint64_t evicted_early;
};

struct dedup {
    size_t stripe_limit;
    int64_t window_s;
    uint64_t committed;
    struct stripe stripes[STRIPES];
};

struct dedup *dedup_new(size_t limit_bytes, int64_t window_us)
{
    struct dedup *d = mem_zalloc(sizeof *d);
    d->stripe_limit = limit_bytes / STRIPES;
    d->window_s = window_us / 1000000;
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_init(&d->stripes[i].lock, NULL);
    return d;
}

static void entry_free(struct entry *en)
{
    if (en->alive && !en->canonical)
        free((void *)(uintptr_t)en->id[0]);
    en->alive = 0;
}

void dedup_free(struct dedup *d)
{
    if (!d)
        return;
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *s = &d->stripes[i];
        for (uint64_t at = s->tail; at < s->head; at++)
            entry_free(&s->ring[at & (s->ring_cap - 1)]);
        free(s->ring);
        free(s->index);
        pthread_mutex_destroy(&s->lock);
    }
    free(d);
}

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool canonical(uint64_t id[2], const uint8_t *p)
{
    uint64_t out[2] = {0, 0};
    int at = 0;
    for (int i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (p[i] != '-')
                return false;
            continue;
        }
        int v = nibble(p[i]);
        if (v < 0)
            return false;
        out[at >> 4] = out[at >> 4] << 4 | (uint64_t)v;
        at++;
    }
    id[0] = out[0];
    id[1] = out[1];
    return true;
}

void dedup_key(struct dedup_key *k, const uint8_t *p, size_t n)
{
    k->n = 0;
    k->text = NULL;
    if (n == 36 && canonical(k->id, p)) {
        k->hash = XXH3_64bits(k->id, 16);
        return;
    }
    k->text = p;
    k->n = (uint32_t)n;
    k->hash = XXH3_64bits(p, n);
}

static uint32_t high(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

void dedup_prefetch(const struct dedup *d, const struct dedup_key *k)
{
    const struct stripe *s = &d->stripes[k->hash & (STRIPES - 1)];
    const uint32_t *index = s->index;
    uint32_t cap = s->index_cap;
    if (index && cap)
        __builtin_prefetch(&index[high(k->hash) & (cap - 1)]);
}

static bool same_id(const struct entry *en, const struct dedup_key *k)
{
    if (en->hash_hi != high(k->hash) || en->canonical != (k->n == 0))
        return false;
    if (en->canonical)
        return en->id[0] == k->id[0] && en->id[1] == k->id[1];
    return en->id[1] == k->n && memcmp((const void *)(uintptr_t)en->id[0], k->text, k->n) == 0;
}

static struct entry *at_slot(const struct stripe *s, uint32_t slot)
{
    return &s->ring[s->index[slot] - 1];
}

static void unindex(struct stripe *s, const struct entry *en)
{
    uint32_t mask = s->index_cap - 1, hole = en->hash_hi & mask;
    uint32_t want = (uint32_t)(en - s->ring) + 1;
    while (s->index[hole] != want)
        hole = (hole + 1) & mask;
    for (uint32_t i = (hole + 1) & mask; s->index[i]; i = (i + 1) & mask) {
        uint32_t home = at_slot(s, i)->hash_hi & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            s->index[hole] = s->index[i];
            hole = i;
        }
    }
    s->index[hole] = 0;
}

static void drop(struct stripe *s, struct entry *en)
{
    if (!en->alive)
        return;
    unindex(s, en);
    if (!en->canonical)
        s->text_bytes -= en->id[1];
    entry_free(en);
    s->alive--;
}

static size_t stripe_bytes(const struct stripe *s)
{
    return s->ring_cap * sizeof *s->ring + s->index_cap * sizeof *s->index + s->text_bytes;
}

static void reindex(struct stripe *s)
{
    uint32_t mask = s->index_cap - 1;
    memset(s->index, 0, s->index_cap * sizeof *s->index);
    for (uint64_t at = s->tail; at < s->head; at++) {
        uint32_t slot = (uint32_t)(at & (s->ring_cap - 1)), i = s->ring[slot].hash_hi & mask;
        if (!s->ring[slot].alive)
            continue;
        while (s->index[i])
            i = (i + 1) & mask;
        s->index[i] = slot + 1;
    }
}

/* Grows by half, so that a limit is used well: capacities are powers of two, hence the doubling of the
 * ring only while it fits. */
static void grow(struct stripe *s)
{
    uint32_t cap = s->ring_cap ? s->ring_cap * 2 : RING_MIN;
    struct entry *ring = mem_array(cap, sizeof *ring);
    for (uint64_t at = s->tail; at < s->head; at++)
        ring[at & (cap - 1)] = s->ring[at & (s->ring_cap - 1)];
    free(s->ring);
    s->ring = ring;
    s->ring_cap = cap;
    s->index_cap = cap * 2;
    free(s->index);
    s->index = mem_array(s->index_cap, sizeof *s->index);
    reindex(s);
}

static void evict_oldest(const struct dedup *d, struct stripe *s, uint32_t now_s)
{
    struct entry *en = &s->ring[s->tail++ & (s->ring_cap - 1)];
    if (en->alive && (int64_t)now_s - en->arrived_s < d->window_s)
        s->evicted_early++;
    drop(s, en);
}

static void make_room(const struct dedup *d, struct stripe *s, uint32_t now_s, size_t text)
{
    size_t doubled = stripe_bytes(s) * 2 + text;
    while (s->head > s->tail) { /* what the window has passed */
        const struct entry *en = &s->ring[s->tail & (s->ring_cap - 1)];
        if (en->alive && (int64_t)now_s - en->arrived_s <= d->window_s)
            break;
        evict_oldest(d, s, now_s);
    }
    if (s->head - s->tail == s->ring_cap) {
        if (!s->ring_cap || doubled <= d->stripe_limit + d->stripe_limit / 5)
            grow(s);
        else
            evict_oldest(d, s, now_s);
    }
    while (text && s->head > s->tail && stripe_bytes(s) + text > d->stripe_limit * 2)
        evict_oldest(d, s, now_s);
}

static void insert(const struct dedup *d, struct stripe *s, const struct dedup_key *k,
                   uint32_t payload, uint32_t arrived_s, uint32_t epoch)
{
    make_room(d, s, arrived_s, k->n);
    uint32_t slot = (uint32_t)(s->head++ & (s->ring_cap - 1)), mask = s->index_cap - 1;
    struct entry *en = &s->ring[slot];
    *en = (struct entry){.hash_hi = high(k->hash),
                         .payload = payload,
                         .arrived_s = arrived_s,
                         .epoch = epoch & 0x3fffffff,
                         .canonical = k->n == 0 ? 1 : 0,
                         .alive = 1};
    if (k->n) {
        en->id[0] = (uint64_t)(uintptr_t)mem_strndup((const char *)k->text, k->n);
        en->id[1] = k->n;
        s->text_bytes += k->n;
    } else {
        en->id[0] = k->id[0];
        en->id[1] = k->id[1];
    }
    uint32_t i = en->hash_hi & mask;
    while (s->index[i])
        i = (i + 1) & mask;
    s->index[i] = slot + 1;
    s->alive++;
}

static struct entry *find(const struct stripe *s, const struct dedup_key *k)
{
    uint32_t mask = s->index_cap - 1;
    for (uint32_t i = high(k->hash) & mask; s->index_cap && s->index[i]; i = (i + 1) & mask)
        if (same_id(at_slot(s, i), k))
            return at_slot(s, i);
    return NULL;
}

static uint32_t fold(uint64_t hash)
{
    uint32_t f = (uint32_t)(hash ^ hash >> 32);
    return hash && !f ? 1 : f;
}

enum dedup_verdict dedup_check(struct dedup *d, const struct dedup_key *k, uint64_t payload_hash,
                               int64_t arrived_us, uint64_t epoch)
{
    struct stripe *s = &d->stripes[k->hash & (STRIPES - 1)];
    enum dedup_verdict verdict = DEDUP_NEW;
    uint32_t payload = fold(payload_hash);
    pthread_mutex_lock(&s->lock);
    const struct entry *en = find(s, k);
    if (!en)
        insert(d, s, k, payload, (uint32_t)(arrived_us / 1000000), (uint32_t)epoch);
    else if (!en->payload || !payload)
        verdict = DEDUP_UNKNOWN_PAYLOAD;
    else
        verdict = en->payload == payload ? DEDUP_SAME : DEDUP_DIFFERENT;
    pthread_mutex_unlock(&s->lock);
    return verdict;
}

void dedup_restore(struct dedup *d, const struct dedup_key *k, int64_t arrived_us)
{
    struct stripe *s = &d->stripes[k->hash & (STRIPES - 1)];
    pthread_mutex_lock(&s->lock);
    if (!find(s, k))
        insert(d, s, k, 0, (uint32_t)(arrived_us / 1000000), 0);
    pthread_mutex_unlock(&s->lock);
}

void dedup_forget_from(struct dedup *d, uint64_t epoch)
{
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *s = &d->stripes[i];
        pthread_mutex_lock(&s->lock);
        for (uint64_t at = s->tail; at < s->head; at++) {
            struct entry *en = &s->ring[at & (s->ring_cap - 1)];
            if (en->alive && en->epoch > d->committed && en->epoch >= epoch)
                drop(s, en);
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void dedup_commit_upto(struct dedup *d, uint64_t epoch)
{
    d->committed = epoch; /* entries keep the epoch they were first seen in; forget compares */
}

void dedup_stats(struct dedup *d, struct dedup_stats *out)
{
    *out = (struct dedup_stats){.oldest_us = INT64_MAX};
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *s = &d->stripes[i];
        pthread_mutex_lock(&s->lock);
        out->ids += s->alive;
        out->evicted_early += s->evicted_early;
        out->bytes += stripe_bytes(s);
        if (s->head > s->tail) {
            int64_t at = (int64_t)s->ring[s->tail & (s->ring_cap - 1)].arrived_s * 1000000;
            if (at < out->oldest_us)
                out->oldest_us = at;
        }
        pthread_mutex_unlock(&s->lock);
    }
}
