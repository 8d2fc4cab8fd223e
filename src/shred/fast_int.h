/* fast_int: what fast.c and the bodies of the fast path (fast_body.h, one for each kind of processor)
 * share. */
#ifndef INLET_SHRED_FAST_INT_H
#define INLET_SHRED_FAST_INT_H

#include "shred/shred_int.h"

#define FAST_DEPTH 24

struct fast { /* a record under way */
    struct shredder *s;
    const uint8_t *end;
    struct rowset_column *cols; /* of s->set, once that is chosen; row is s->row */
    uint64_t *bits; /* s->bits */
    uint32_t row;
    bool stored; /* fast_other's second answer */
    bool met_name, met_time, wrote;
    const char *name; /* as it was met; or guessed, until then */
    size_t name_n;
    struct fast_event *out;
    struct edge found; /* what fast_find found, */
    const uint8_t *at; /* ... and where its value is */
    struct place_in in[FAST_DEPTH + 2];
};

/* The next member, p at what follows the value before: found by its key, and learned. f->at then is at its
 * value. NULL: bail. */
const struct edge *fast_find(struct fast *f, const uint8_t *p, struct lnode *up, struct edge *edges, bool light);
/* Any scalar or null, the way the general parser does it; past it, NULL: bail. f->stored: is it in a column? */
const uint8_t *fast_other(struct fast *f, const uint8_t *p, uint32_t depth, struct lnode *n,
                          uint8_t rep);
/* A string, p after its opening quote: past the closing one, or NULL. *escaped: there are escapes, their
 * syntax not yet checked. */
const uint8_t *fast_string(const struct fast *f, const uint8_t *p, size_t *n, bool *escaped);
/* The length of the escape at p (a backslash), if it is one as RFC 8259 has them, and storable: no NUL, no lone
 * surrogate. Else 0. */
size_t fast_escape(const uint8_t *p, size_t n);
/* What that escape, so long, stands for: up to four bytes. How many. */
size_t fast_unescape(const uint8_t *p, size_t step, uint8_t *to);
/* What is learned of an event name: only if it is there, and its table can be written. */
bool fast_enter_shape(struct fast *f, const char *name, size_t n);
/* The set that the values go to: by created_at where that has come, else the last one used. */
bool fast_choose_set(struct fast *f);
void fast_enter_set(struct fast *f, struct rowset *set);
/* Any value of event_uuid, created_at. */
const uint8_t *fast_uuid(struct fast *f, const uint8_t *p);
const uint8_t *fast_time(struct fast *f, const uint8_t *p);

static inline const uint8_t *fast_space(const uint8_t *p, const uint8_t *end)
{
    while (*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') && p < end)
        p++;
    return p;
}

extern const struct fast_level fast_level_portable, fast_level_avx2, fast_level_avx512;

#endif
