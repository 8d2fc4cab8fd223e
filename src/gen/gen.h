/* gen: realistic mixed events, as `inlet gen` writes them and as tests and benchmarks read them.
 *
 * Every line is a pure function of (options, index): the same options give the same bytes, on any
 * machine, in any order. So a duplicate is an earlier index written again, and a test can ask what
 * any line is without keeping the lines. What is in them: 1-, 2- and 3-part names of skewed
 * frequency, nested objects, arrays of scalars and of objects, optional, null and late-appearing
 * fields, enums, Unicode and escapes, integers past 2^53, created_at in whole and fractional
 * seconds (and milliseconds, of a few names), late events, type conflicts, duplicates, malformed
 * records.
 *
 * Threads: gen_line, gen_kind_of and gen_name only read; gen_next belongs to one thread. No I/O, no
 * clock: the caller says when the events start. */
#ifndef INLET_GEN_GEN_H
#define INLET_GEN_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define GEN_TYPES_MAX 10000
#define GEN_UUID_LEN 36

struct gen_options {
    uint64_t events; /* lines in all, duplicates and malformed ones included; 0: without end */
    unsigned types;  /* distinct event names; at most GEN_TYPES_MAX */
    uint64_t seed;
    double duplicates; /* share of lines that repeat an earlier one, byte by byte */
    double malformed;  /* share of lines that are no event */
    double conflicts;  /* share of events with a value of another type than usual */
    int64_t start_us;  /* when the first event is created */
    uint64_t per_hour; /* how fast the events' own time goes on */
};
/* 1M events of 100 names from start_us on, 1M an hour; 1% duplicates, 0.1% malformed, 0.05%
 * conflicts. */
struct gen_options gen_defaults(int64_t start_us);

enum gen_kind { GEN_EVENT, GEN_DUPLICATE, GEN_MALFORMED };

/* What has been written so far by gen_next: what a correct run makes of it. */
struct gen_expect {
    uint64_t lines, bytes;
    uint64_t unique;     /* rows: distinct event_uuids of well-formed events */
    uint64_t duplicates; /* well-formed lines beyond those */
    uint64_t malformed;  /* dead letters */
};

struct gen;

/* Shares outside 0 to 1 are taken as the nearer of the two; types 0 and per_hour 0 as the default.
 */
struct gen *gen_new(const struct gen_options *options);
void gen_free(struct gen *g);

/* Appends the next line, with its newline. False at the end, with nothing appended. */
bool gen_next(struct gen *g, struct buf *out);
struct gen_expect gen_expect(const struct gen *g);

/* Appends line `index` (from 0), whichever came before; counts nothing. */
void gen_line(const struct gen *g, uint64_t index, struct buf *out);
/* What line `index` is; for a duplicate *original is the line that it repeats (always a GEN_EVENT).
 * `original` may be NULL. */
enum gen_kind gen_kind_of(const struct gen *g, uint64_t index, uint64_t *original);
/* The event_uuid that line `index` has if it is a GEN_EVENT; no NUL. */
void gen_uuid(uint64_t seed, uint64_t index, char out[GEN_UUID_LEN]);
/* The event name with number `at` (below options.types), NUL-terminated, owned by g. */
const char *gen_name(const struct gen *g, unsigned at);

#endif
