/* dedup: the hot window: which event_uuids have been seen of late.
 *
 * Exact on the id's bytes: canonical lower-case UUIDs are held as 16 bytes, any other id whole. An id
 * is tentative in its epoch until that is committed; forgotten if the epoch is dropped. Bounded by
 * `limit_bytes`: the oldest arrivals go first, and anything older than `window_us` of arrival may.
 * Thread-safe (striped locks); the lookup of a batch is meant to be overlapped with dedup_prefetch. */
#ifndef INLET_DEDUP_DEDUP_H
#define INLET_DEDUP_DEDUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dedup;

struct dedup *dedup_new(size_t limit_bytes, int64_t window_us);
void dedup_free(struct dedup *d);

struct dedup_key {
    uint64_t hash;
    uint64_t id[2];      /* canonical: the 16 bytes */
    const uint8_t *text; /* not canonical: the bytes (borrowed) */
    uint32_t n;          /* 0 = canonical */
};
/* Makes the key of an id; `p` has 64 readable bytes past n. */
void dedup_key(struct dedup_key *k, const uint8_t *p, size_t n);
/* In two steps, for who knows a faster way to the 16 bytes of a canonical uuid (36 bytes, lower case). */
bool dedup_canonical(uint64_t id[2], const uint8_t *p, size_t n);
void dedup_key_canonical(struct dedup_key *k); /* k->id is set: the rest */
void dedup_prefetch(const struct dedup *d, const struct dedup_key *k);
/* A while after that, where others check as well: the place that the id would be written to. */
void dedup_prefetch_end(const struct dedup *d, const struct dedup_key *k);

enum dedup_verdict {
    DEDUP_NEW,       /* first seen: now tentative in `epoch` */
    DEDUP_SAME,      /* a duplicate with the same payload hash */
    DEDUP_DIFFERENT, /* a duplicate whose payload differs */
    DEDUP_UNKNOWN_PAYLOAD, /* a duplicate of an id rebuilt from the lake: payload not known */
};
/* payload_hash 0 = not known. `arrived_us` ages the entry. */
enum dedup_verdict dedup_check(struct dedup *d, const struct dedup_key *k, uint64_t payload_hash,
                               int64_t arrived_us, uint64_t epoch);
/* Where one thread makes all checks: from dedup_begin to dedup_end, a batch of records at a time, without
 * the locks, which cost as much as the check. All others wait; nobody calls dedup_check. */
void dedup_begin(struct dedup *d);
enum dedup_verdict dedup_check_alone(struct dedup *d, const struct dedup_key *k,
                                     uint64_t payload_hash, int64_t arrived_us, uint64_t epoch);
void dedup_end(struct dedup *d);
/* A row of the lake: committed from the start. */
void dedup_restore(struct dedup *d, const struct dedup_key *k, int64_t arrived_us);
/* The epoch's ids are forgotten (their rows were dropped). Ids of epochs <= committed are kept: a
 * carried row keeps the epoch it was first seen in. Forgets every id that is tentative in an epoch
 * >= `epoch`. */
void dedup_forget_from(struct dedup *d, uint64_t epoch);
/* Every id of epochs <= `epoch` is committed. */
void dedup_commit_upto(struct dedup *d, uint64_t epoch);

struct dedup_stats {
    uint64_t ids, evicted_early; /* evicted inside the window for want of memory */
    size_t bytes;
    int64_t oldest_us;
};
void dedup_stats(struct dedup *d, struct dedup_stats *out);

#endif
