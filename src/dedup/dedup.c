/* The hot window: stripes by hash, each a ring of entries in order of arrival and an index into it.
 *
 *   ring   32 bytes an id: 16 of id, 8 of payload hash, arrival and epoch; the head is the oldest. In parts, so that
 *          it grows without being copied, which the other threads would wait for
 *   index  open addressing by buckets of 16 slots, each a cache line filled from its front; a slot is 12 bits of
 *          hash over 20 bits of (ring position + 1). A bucket is looked at as a whole, since how far it is to a
 *          free slot is random, and a branch on it costs more than all the rest
 *
 * Nothing is ever deleted from an index. A slot whose entry has gone is merely stale: it is told by
 * its position being outside the ring's live entries, or by the id there being another one. When too
 * many are, the index is made anew from the ring, a pass over memory in order. So a new id costs
 * one cache miss (the slot, which dedup_prefetch fetches), and evicting the oldest is a step of the
 * head.
 *
 * Invariants of a stripe, with its lock held:
 *   1. entries head .. head + count - 1 (modulo cap) are the only ones; dead ones are among them
 *   2. each that is not dead has a slot in its home bucket or one after it, with no free slot before it
 *   3. used < slots, so that every probe ends */
#include "dedup/dedup.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/pages.h"
#include "dedup/texts.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define STRIPES_MAX 32
#define BUCKET 16u /* slots */
#define BUCKET_FULL 0xffffu
#define STRIPE_BYTES_MIN 65536
#define POS_BITS 20
#define POS_MASK ((1u << POS_BITS) - 1)
#define CAP_MIN 16
#define PART 1024u /* entries */
#define INDEXED_MIN 2048u /* entries that there is an index for, at first; ... */
#define INDEXED_GROWS 4u  /* ... and then so many times as much: it is made anew each time */
#define CAP_MAX (POS_MASK - 1)
#define TEXT_FLAG 0x80000000u
#define ARRIVED_SHIFT 21 /* arrival in units of 2.1 s: 31 bits reach beyond 2100 */

#define EPOCH_DEAD 0u
#define EPOCH_RESTORED 1u
#define EPOCH_FIRST 2u
#define EPOCH_SLACK (1u << 20) /* how far an epoch may be below the first one seen */

struct entry {
    uint64_t id[2]; /* of a text: where texts.c has it, length */
    uint64_t payload;
    uint32_t arrived; /* with TEXT_FLAG */
    uint32_t epoch;   /* EPOCH_*, or EPOCH_FIRST + (epoch - base) */
};

struct stripe { /* what each check touches lies in the first line */
    pthread_spinlock_t lock;
    uint32_t slots;
    uint32_t *index;
    struct entry **parts; /* the ring: PART entries each, the last one perhaps fewer */
    int64_t newest_us;
    uint32_t used, used_max; /* slots that are not free, stale ones too; when it is made anew */
    uint32_t cap, head, count;
    bool tight; /* ring, index and texts exceed the limit: make_room has to look */
    struct entry *_Atomic end; /* about where the next entry goes: dedup_prefetch_end */
    uint32_t dead;
    uint32_t indexed; /* entries that the index is large enough for; at least cap */
    struct texts texts;
    uint64_t evicted_early;
} __attribute__((aligned(64)));

struct place { /* of a stripe's index, for dedup_prefetch, which takes no lock; side by side */
    _Atomic(uint32_t *) index;
    _Atomic uint32_t slots;
};

struct dedup {
    struct stripe *stripes;
    struct place *places;
    pthread_mutex_t gate; /* dedup_begin; held before a stripe's lock by all but dedup_check */
    uint32_t stripe_count; /* a power of two */
    size_t limit;          /* bytes of one stripe */
    int64_t window_us;
    _Atomic uint64_t committed; /* 1 + the last epoch committed, 0 = none */
    _Atomic uint64_t base;      /* 1 + the epoch that EPOCH_FIRST stands for, 0 = none yet */
};

/* ---- keys ---- */

static uint64_t seed;       /* so that nobody can send ids made to collide */
static uint8_t hex_of[256]; /* value of a lower-case digit, or 0xff */

__attribute__((constructor)) static void dedup_start(void)
{
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint64_t)(uintptr_t)&seed; /* placed at random by the loader */
    memset(hex_of, 0xff, sizeof hex_of);
    for (unsigned i = 0; i < 16; i++)
        hex_of[(unsigned char)"0123456789abcdef"[i]] = (uint8_t)i;
}

bool dedup_canonical(uint64_t id[2], const uint8_t *p, size_t n)
{
    static const uint8_t at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    uint8_t bytes[16], bad = 0;
    if (n != 36 || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
        return false;
    for (unsigned i = 0; i < 16; i++) {
        uint8_t high = hex_of[p[at[i]]], low = hex_of[p[at[i] + 1]];
        bad |= high | low;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(id, bytes, 16);
    return !(bad & 0x80);
}

void dedup_key_canonical(struct dedup_key *k)
{
    k->hash = XXH3_64bits_withSeed(k->id, 16, seed);
    k->text = NULL;
    k->n = 0;
}

void dedup_key(struct dedup_key *k, const uint8_t *p, size_t n)
{
    if (dedup_canonical(k->id, p, n)) {
        dedup_key_canonical(k);
        return;
    }
    invariant(n <= UINT32_MAX);
    k->id[0] = k->id[1] = 0;
    k->text = p;
    k->n = (uint32_t)n;
    k->hash = XXH3_64bits_withSeed(p, n, seed);
}

static uint64_t entry_hash(const struct entry *x)
{
    if (x->arrived & TEXT_FLAG)
        return texts_hash(x->id[0]);
    return XXH3_64bits_withSeed(x->id, 16, seed);
}

static bool entry_is(const struct entry *x, const struct dedup_key *k)
{
    if (x->epoch == EPOCH_DEAD)
        return false;
    if (k->text) /* an empty id is a text as well */
        return (x->arrived & TEXT_FLAG) && x->id[1] == k->n &&
               memcmp(texts_at(x->id[0]), k->text, k->n) == 0;
    return !(x->arrived & TEXT_FLAG) && x->id[0] == k->id[0] && x->id[1] == k->id[1];
}

/* ---- where a hash leads: low bits the stripe, high 32 the slot, those between the tag ---- */

static struct stripe *stripe_of(const struct dedup *d, uint64_t hash)
{
    return &d->stripes[hash & (d->stripe_count - 1)];
}

/* The first slot of the bucket. */
static uint32_t home_of(uint64_t hash, uint32_t slots)
{
    return (uint32_t)((hash >> 32) * (slots / BUCKET) >> 32) * BUCKET;
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 8) & ~POS_MASK;
}

static void lock(struct stripe *s)
{
    for (int spins = 0; pthread_spin_trylock(&s->lock) != 0; spins++)
        if (spins >= 64)
            sched_yield();
}

static void unlock(struct stripe *s)
{
    pthread_spin_unlock(&s->lock);
}

/* ---- sizes ---- */

static uint32_t slots_for(uint32_t cap)
{
    return (cap + cap / 5 * 3 + BUCKET) / BUCKET * BUCKET;
}

static size_t bytes_of(uint32_t cap, uint32_t slots)
{
    return (size_t)cap * sizeof(struct entry) + slots * sizeof(uint32_t);
}

static size_t bytes_now(const struct stripe *s)
{
    return bytes_of(s->cap, s->slots);
}

static uint32_t parts_for(uint32_t cap)
{
    return (cap + PART - 1) / PART;
}

/* The largest ring that `bytes` allow. */
static uint32_t cap_for(size_t bytes)
{
    size_t cap = bytes * 10 / (10 * sizeof(struct entry) + 64); /* 6.4 bytes of index an entry */
    while (cap > CAP_MIN && (cap > CAP_MAX || bytes_of((uint32_t)cap, slots_for((uint32_t)cap)) > bytes))
        cap = cap > CAP_MAX ? CAP_MAX : cap - 1;
    return cap < CAP_MIN ? CAP_MIN : (uint32_t)cap;
}

struct dedup *dedup_new(size_t limit_bytes, int64_t window_us)
{
    struct dedup *d = mem_zalloc(sizeof *d);
    d->stripe_count = 1;
    while (d->stripe_count < STRIPES_MAX && limit_bytes / (d->stripe_count * 2) >= STRIPE_BYTES_MIN)
        d->stripe_count *= 2;
    d->limit = limit_bytes / d->stripe_count;
    d->window_us = window_us;
    d->stripes = aligned_alloc(_Alignof(struct stripe), d->stripe_count * sizeof *d->stripes);
    invariant(d->stripes != NULL);
    memset(d->stripes, 0, d->stripe_count * sizeof *d->stripes);
    d->places = mem_lines(d->stripe_count, sizeof *d->places);
    pthread_mutex_init(&d->gate, NULL);
    for (uint32_t i = 0; i < d->stripe_count; i++)
        pthread_spin_init(&d->stripes[i].lock, PTHREAD_PROCESS_PRIVATE);
    return d;
}

/* Large arrays from pages, for the sake of huge ones: an id leads anywhere in them. On cache lines. */
static void *big_take(size_t bytes)
{
    return bytes < PAGES_ONE ? mem_lines(1, bytes) : pages_take(&bytes);
}

static void big_give(void *p, size_t bytes)
{
    if (!p || bytes < PAGES_ONE)
        free(p);
    else
        pages_give(p, (bytes + PAGES_ONE - 1) / PAGES_ONE * PAGES_ONE);
}

/* ---- the ring ---- */

static uint32_t ring_pos(const struct stripe *s, uint32_t i)
{
    uint32_t pos = s->head + i;
    return pos >= s->cap ? pos - s->cap : pos;
}

static struct entry *entry_at(const struct stripe *s, uint32_t pos)
{
    return &s->parts[pos / PART][pos % PART];
}

static struct entry *ring_at(const struct stripe *s, uint32_t i)
{
    return entry_at(s, ring_pos(s, i));
}

/* Of `cap` entries in all. */
static size_t part_bytes(uint32_t part, uint32_t cap)
{
    uint32_t n = cap - part * PART;
    return (n < PART ? n : PART) * sizeof(struct entry);
}

static void ring_free(struct entry **parts, uint32_t cap)
{
    for (uint32_t i = 0; i < parts_for(cap); i++)
        big_give(parts[i], part_bytes(i, cap));
    free(parts);
}

/* Room for entries up to `cap`; what is there stays where it is. */
static void ring_extend(struct stripe *s, uint32_t cap)
{
    uint32_t had = parts_for(s->cap), has = parts_for(cap);
    s->parts = mem_regrow(s->parts, has, sizeof *s->parts);
    if (s->cap % PART) { /* its last part was not whole */
        size_t was = part_bytes(had - 1, s->cap);
        struct entry *more = big_take(part_bytes(had - 1, cap));
        memcpy(more, s->parts[had - 1], was);
        big_give(s->parts[had - 1], was);
        s->parts[had - 1] = more;
    }
    for (uint32_t i = had; i < has; i++)
        s->parts[i] = big_take(part_bytes(i, cap));
    s->cap = cap;
}

static void entry_free(struct stripe *s, struct entry *x)
{
    if (x->epoch != EPOCH_DEAD && (x->arrived & TEXT_FLAG))
        texts_drop(&s->texts, x->id[0], x->id[1]);
}

void dedup_free(struct dedup *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->stripe_count; i++) {
        struct stripe *s = &d->stripes[i];
        for (uint32_t j = 0; s->texts.n_long && j < s->count; j++)
            entry_free(s, ring_at(s, j));
        texts_fini(&s->texts);
        ring_free(s->parts, s->cap);
        big_give(s->index, s->slots * sizeof *s->index);
        pthread_spin_destroy(&s->lock);
    }
    pthread_mutex_destroy(&d->gate);
    free(d->places);
    free(d->stripes);
    free(d);
}

static int64_t arrived_us(const struct entry *x)
{
    return (int64_t)(x->arrived & ~TEXT_FLAG) << ARRIVED_SHIFT;
}

static bool expired(const struct dedup *d, const struct stripe *s, const struct entry *x)
{
    return x->epoch == EPOCH_DEAD || arrived_us(x) < s->newest_us - d->window_us;
}

static void evict(const struct dedup *d, struct stripe *s)
{
    struct entry *x = ring_at(s, 0);
    if (x->epoch == EPOCH_DEAD)
        s->dead--;
    else if (!expired(d, s, x))
        s->evicted_early++;
    entry_free(s, x);
    s->head = s->head + 1 == s->cap ? 0 : s->head + 1;
    s->count--;
}

/* A bit for each slot of a bucket that is taken; and of those, for each with that tag. */
static inline uint32_t bucket_look(const uint32_t *b, uint32_t tag, uint32_t *same)
{
#if defined(__SSE2__)
    const __m128i *v = (const __m128i *)(const void *)b, zero = _mm_setzero_si128(),
                  want = _mm_set1_epi32((int)tag), mask = _mm_set1_epi32((int)~POS_MASK);
    __m128i none[4], like[4];
    for (int i = 0; i < 4; i++) {
        none[i] = _mm_cmpeq_epi32(v[i], zero);
        like[i] = _mm_cmpeq_epi32(_mm_and_si128(v[i], mask), want);
    }
    none[0] = _mm_packs_epi16(_mm_packs_epi32(none[0], none[1]), _mm_packs_epi32(none[2], none[3]));
    like[0] = _mm_packs_epi16(_mm_packs_epi32(like[0], like[1]), _mm_packs_epi32(like[2], like[3]));
    uint32_t taken = ~(uint32_t)_mm_movemask_epi8(none[0]) & BUCKET_FULL,
             found = (uint32_t)_mm_movemask_epi8(like[0]);
#else
    uint32_t taken = 0, found = 0;
    for (uint32_t i = 0; i < BUCKET; i++) {
        taken |= (uint32_t)(b[i] != 0) << i;
        found |= (uint32_t)((b[i] & ~POS_MASK) == tag) << i;
    }
#endif
    *same = found & taken;
    return taken;
}

static uint32_t next_bucket(uint32_t at, uint32_t slots)
{
    return at + BUCKET == slots ? 0 : at + BUCKET;
}

/* The first free slot for a hash. */
static uint32_t index_free(const struct stripe *s, uint64_t hash)
{
    uint32_t at = home_of(hash, s->slots), taken, ignored;
    while ((taken = bucket_look(s->index + at, 0, &ignored)) == BUCKET_FULL)
        at = next_bucket(at, s->slots);
    return at + (uint32_t)__builtin_ctz(~taken);
}

static void index_put(struct stripe *s, uint32_t slot, uint64_t hash, uint32_t pos)
{
    s->index[slot] = tag_of(hash) | (pos + 1);
    s->used++;
}

/* Makes the index from the ring. */
static void index_make(struct stripe *s)
{
    memset(s->index, 0, s->slots * sizeof(uint32_t));
    s->used = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t pos = ring_pos(s, i);
        const struct entry *x = entry_at(s, pos);
        if (x->epoch == EPOCH_DEAD)
            continue;
        uint64_t hash = entry_hash(x);
        index_put(s, index_free(s, hash), hash, pos);
    }
}

/* ... one for so many entries. */
static void index_resize(const struct dedup *d, struct stripe *s, uint32_t entries)
{
    struct place *place = &d->places[s - d->stripes];
    /* A prefetch that runs meanwhile may compute an address in freed memory, and reads none. */
    uint32_t *old = s->index, was = s->slots;
    s->indexed = entries;
    s->slots = slots_for(entries);
    s->used_max = s->slots - s->slots / 5;
    s->index = big_take(s->slots * sizeof(uint32_t));
    atomic_store_explicit(&place->index, s->index, memory_order_relaxed);
    atomic_store_explicit(&place->slots, s->slots, memory_order_relaxed);
    big_give(old, was * sizeof *old);
    index_make(s);
}

/* Moves into a ring of another size, dead entries left behind; it must have room for the rest. */
static void ring_resize(const struct dedup *d, struct stripe *s, uint32_t cap)
{
    struct stripe old = *s;
    uint32_t n = 0;
    s->parts = NULL;
    s->cap = 0;
    ring_extend(s, cap);
    for (uint32_t i = 0; i < old.count; i++) {
        const struct entry *x = ring_at(&old, i);
        if (x->epoch == EPOCH_DEAD)
            continue;
        invariant(n < cap);
        *entry_at(s, n++) = *x;
    }
    ring_free(old.parts, old.cap);
    s->head = s->dead = 0;
    s->count = n;
    index_resize(d, s, cap);
}

/* A larger ring, of at most so many entries. */
static void ring_grow(const struct dedup *d, struct stripe *s, uint32_t most)
{
    if (s->head) { /* it goes over its end */
        ring_resize(d, s, s->cap < most / 2 ? s->cap * 2 : most);
        return;
    }
    uint32_t whole = (s->cap / PART + 1) * PART;
    ring_extend(s, whole < most ? whole : most);
    if (s->cap > s->indexed) {
        uint32_t more = s->indexed ? s->indexed * INDEXED_GROWS : INDEXED_MIN;
        index_resize(d, s, more < most ? more : most);
    }
}

/* How many entries may there be, with so many bytes for them and their index? */
static uint32_t most_entries(const struct stripe *s, size_t bytes)
{
    uint32_t most = cap_for(bytes);
    if (s->indexed <= most)
        return most;
    size_t index = s->slots * sizeof(uint32_t), left = bytes > index ? (bytes - index) / sizeof(struct entry) : 0;
    return left < CAP_MIN ? CAP_MIN : (uint32_t)left;
}

/* What texts take with the new one. */
static size_t texts_with(const struct stripe *s, const struct dedup_key *k)
{
    return s->texts.bytes + (k->text ? texts_growth(&s->texts, k->n) : 0);
}

/* Room for one more entry: what has expired goes first, then the ring grows, then the oldest go. */
static void make_room(const struct dedup *d, struct stripe *s, const struct dedup_key *k)
{
    while (s->count && bytes_now(s) + texts_with(s, k) > d->limit && expired(d, s, ring_at(s, 0)))
        evict(d, s);
    if (k->text && s->cap > CAP_MIN && bytes_now(s) + texts_with(s, k) > d->limit) {
        /* Texts need what the ring holds. An eighth more is given up, not to be back at once. */
        uint32_t cap = s->cap - s->cap / 8;
        while (s->count && (s->count >= cap || bytes_of(cap, slots_for(cap)) + texts_with(s, k) > d->limit)) {
            evict(d, s);
            while (cap > CAP_MIN && s->count < cap - cap / 4 &&
                   bytes_of(cap, slots_for(cap)) + texts_with(s, k) > d->limit)
                cap -= cap / 8 ? cap / 8 : 1;
        }
        ring_resize(d, s, cap < CAP_MIN ? CAP_MIN : cap);
    }
    if (s->count == s->cap)
        while (s->count && expired(d, s, ring_at(s, 0)))
            evict(d, s);
    if (s->count == s->cap) {
        size_t texts = texts_with(s, k);
        uint32_t most = most_entries(s, texts < d->limit ? d->limit - texts : 0);
        if (most > s->cap)
            ring_grow(d, s, most);
        else
            evict(d, s);
    }
    if (s->used >= s->used_max)
        index_make(s);
    s->tight = bytes_now(s) + s->texts.bytes > d->limit;
}

/* ---- checks ---- */

/* NULL: it is not there, and *slot is where it would be. */
static struct entry *find(const struct stripe *s, const struct dedup_key *k, uint32_t *slot)
{
    uint32_t slots = s->slots, tag = tag_of(k->hash), taken, same;
    if (!slots)
        return NULL;
    for (uint32_t at = home_of(k->hash, slots);; at = next_bucket(at, slots)) {
        taken = bucket_look(s->index + at, tag, &same);
        for (; same; same &= same - 1) {
            uint32_t pos = (s->index[at + (uint32_t)__builtin_ctz(same)] & POS_MASK) - 1;
            uint32_t age = pos >= s->head ? pos - s->head : pos + s->cap - s->head;
            if (age < s->count && entry_is(entry_at(s, pos), k))
                return entry_at(s, pos);
        }
        if (taken != BUCKET_FULL) {
            *slot = at + (uint32_t)__builtin_ctz(~taken);
            return NULL;
        }
    }
}

static uint32_t arrived_of(int64_t us)
{
    int64_t units = us < 0 ? 0 : us >> ARRIVED_SHIFT;
    return units < TEXT_FLAG ? (uint32_t)units : TEXT_FLAG - 1;
}

/* `slot` as find left it. */
static void insert(const struct dedup *d, struct stripe *s, const struct dedup_key *k, uint32_t slot,
                   uint64_t payload, int64_t arrived, uint32_t epoch)
{
    if (arrived > s->newest_us)
        s->newest_us = arrived;
    if (k->text || s->tight || s->count == s->cap || s->used >= s->used_max) {
        make_room(d, s, k);
        slot = index_free(s, k->hash);
    }
    uint32_t pos = ring_pos(s, s->count++);
    struct entry *x = entry_at(s, pos);
    __builtin_prefetch(x + 2, 1); /* the stripe's next line: it has been out of the caches for long */
    *x = (struct entry){{k->id[0], k->id[1]}, payload, arrived_of(arrived), epoch};
    if (k->text) {
        x->id[0] = texts_put(&s->texts, k->text, k->n, k->hash);
        x->id[1] = k->n;
        x->arrived |= TEXT_FLAG;
        s->tight = true; /* perhaps: make_room will see */
    }
    index_put(s, slot, k->hash, pos);
    atomic_store_explicit(&s->end, x + 1, memory_order_relaxed);
}

/* To write to: a line that another core wrote last is its own until this one has asked for it as such. */
#if defined(__x86_64__)
#define FETCHES_TO_WRITE __attribute__((target("prfchw")))
#else
#define FETCHES_TO_WRITE
#endif

FETCHES_TO_WRITE void dedup_prefetch(const struct dedup *d, const struct dedup_key *k)
{
    const struct place *place = &d->places[k->hash & (d->stripe_count - 1)];
    uint32_t *index = atomic_load_explicit(&place->index, memory_order_relaxed);
    uint32_t slots = atomic_load_explicit(&place->slots, memory_order_relaxed);
    uintptr_t at = (uintptr_t)index + (uintptr_t)home_of(k->hash, slots) * sizeof *index;
    __builtin_prefetch((const void *)at, 1);
    __builtin_prefetch(stripe_of(d, k->hash), 1);
}

FETCHES_TO_WRITE void dedup_prefetch_end(const struct dedup *d, const struct dedup_key *k)
{
    __builtin_prefetch(atomic_load_explicit(&stripe_of(d, k->hash)->end, memory_order_relaxed), 1);
}

/* An epoch in 32 bits, counted from a little below the first one seen. */
static uint32_t epoch_pack(struct dedup *d, uint64_t epoch)
{
    uint64_t base = atomic_load_explicit(&d->base, memory_order_relaxed);
    if (!base) {
        uint64_t want = (epoch > EPOCH_SLACK ? epoch - EPOCH_SLACK : 0) + 1;
        base = atomic_compare_exchange_strong(&d->base, &base, want) ? want : base;
    }
    uint64_t since = epoch >= base - 1 ? epoch - (base - 1) : 0;
    invariant(since < UINT32_MAX - EPOCH_FIRST);
    return EPOCH_FIRST + (uint32_t)since;
}

static enum dedup_verdict check(struct dedup *d, struct stripe *s, const struct dedup_key *k,
                                uint64_t payload_hash, int64_t arrived, uint64_t epoch)
{
    uint32_t slot = 0;
    const struct entry *x = find(s, k, &slot);
    if (__builtin_expect(!x, 1)) {
        insert(d, s, k, slot, payload_hash, arrived, epoch_pack(d, epoch));
        return DEDUP_NEW;
    }
    if (!x->payload || !payload_hash)
        return DEDUP_UNKNOWN_PAYLOAD;
    return x->payload == payload_hash ? DEDUP_SAME : DEDUP_DIFFERENT;
}

enum dedup_verdict dedup_check(struct dedup *d, const struct dedup_key *k, uint64_t payload_hash,
                               int64_t arrived, uint64_t epoch)
{
    struct stripe *s = stripe_of(d, k->hash);
    lock(s);
    enum dedup_verdict verdict = check(d, s, k, payload_hash, arrived, epoch);
    unlock(s);
    return verdict;
}

/* ---- alone ---- */

void dedup_begin(struct dedup *d)
{
    pthread_mutex_lock(&d->gate);
}

enum dedup_verdict dedup_check_alone(struct dedup *d, const struct dedup_key *k,
                                     uint64_t payload_hash, int64_t arrived, uint64_t epoch)
{
    return check(d, stripe_of(d, k->hash), k, payload_hash, arrived, epoch);
}

void dedup_end(struct dedup *d)
{
    pthread_mutex_unlock(&d->gate);
}

void dedup_restore(struct dedup *d, const struct dedup_key *k, int64_t arrived)
{
    struct stripe *s = stripe_of(d, k->hash);
    pthread_mutex_lock(&d->gate);
    lock(s);
    uint32_t slot = 0;
    struct entry *x = find(s, k, &slot);
    if (x)
        x->epoch = EPOCH_RESTORED; /* the lake has it, whoever brought it */
    else
        insert(d, s, k, slot, 0, arrived, EPOCH_RESTORED);
    unlock(s);
    pthread_mutex_unlock(&d->gate);
}

/* ---- epochs ---- */

void dedup_forget_from(struct dedup *d, uint64_t epoch)
{
    uint64_t base = d->base, committed = d->committed;
    if (!base)
        return;
    uint64_t from = epoch > committed ? epoch : committed; /* the first that is not committed */
    pthread_mutex_lock(&d->gate);
    for (uint32_t i = 0; i < d->stripe_count; i++) {
        struct stripe *s = &d->stripes[i];
        lock(s);
        for (uint32_t j = 0; j < s->count; j++) {
            struct entry *x = ring_at(s, j);
            if (x->epoch < EPOCH_FIRST || x->epoch - EPOCH_FIRST + (base - 1) < from)
                continue;
            entry_free(s, x);
            x->epoch = EPOCH_DEAD;
            s->dead++;
        }
        unlock(s);
    }
    pthread_mutex_unlock(&d->gate);
}

void dedup_commit_upto(struct dedup *d, uint64_t epoch)
{
    uint64_t want = epoch == UINT64_MAX ? epoch : epoch + 1, now = d->committed;
    while (now < want && !atomic_compare_exchange_weak(&d->committed, &now, want)) {
    }
}

void dedup_stats(struct dedup *d, struct dedup_stats *out)
{
    *out = (struct dedup_stats){0};
    out->bytes = sizeof *d + d->stripe_count * sizeof *d->stripes;
    int64_t oldest = INT64_MAX;
    pthread_mutex_lock(&d->gate);
    for (uint32_t i = 0; i < d->stripe_count; i++) {
        struct stripe *s = &d->stripes[i];
        lock(s);
        out->ids += s->count - s->dead;
        out->evicted_early += s->evicted_early;
        out->bytes += bytes_now(s) + s->texts.bytes;
        if (s->count && arrived_us(ring_at(s, 0)) < oldest)
            oldest = arrived_us(ring_at(s, 0));
        unlock(s);
    }
    pthread_mutex_unlock(&d->gate);
    out->oldest_us = oldest == INT64_MAX ? 0 : oldest;
}
