/* event: the envelope: event_uuid, event_name, created_at, and what is derived from them.
 *
 * No I/O, no state. Inputs are the raw JSON value texts as they stand in the record (already known
 * to be valid JSON), because the digits that were sent are kept. */
#ifndef INLET_EVENT_EVENT_H
#define INLET_EVENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Why a record became a dead letter. The codes (event_reason_code) are documented in README and
 * docs; event_reason_text is the sentence for people. */
enum reason {
    REASON_NONE = 0,
    REASON_INVALID_JSON,      /* not RFC 8259 */
    REASON_INVALID_UTF8,
    REASON_NOT_AN_OBJECT,     /* an array or a scalar */
    REASON_NESTING_TOO_DEEP,
    REASON_RECORD_TOO_LARGE,
    REASON_INVALID_RECORD,    /* the record itself: base64, ... */
    REASON_MISSING_UUID,      /* absent or null */
    REASON_INVALID_UUID,      /* not a string, empty, over 256 bytes, NUL or lone surrogate in it */
    REASON_MISSING_NAME,
    REASON_INVALID_NAME,      /* not a string, empty, empty first part, over 1,024 bytes, ... */
    REASON_MISSING_CREATED_AT,
    REASON_INVALID_CREATED_AT, /* not a number nor a string that is one */
    REASON_CREATED_AT_OUT_OF_RANGE, /* outside 1970 to 9999 */
    REASON_TOO_MANY_TABLES,
    REASON_TABLE_UNAVAILABLE,
    REASON_COUNT
};
const char *event_reason_code(enum reason r); /* "invalid_json", ... */
const char *event_reason_text(enum reason r);
/* What a record that is no text may be instead, to be put behind the reason: "" where nothing is recognised. */
const char *event_record_hint(const uint8_t *p, size_t n);

enum time_unit { UNIT_AUTO, UNIT_SECONDS, UNIT_MILLIS, UNIT_MICROS, UNIT_NANOS };
#define EVENT_DATETIME_MAX 64 /* fractional digits beyond this are cut in created_datetime only */

struct event_time {
    double number;      /* created_at as a double */
    bool exact;         /* false: rescue the sent text at /created_at */
    int64_t time_us;    /* floor to the microsecond */
    uint8_t datetime_n;
    char datetime[EVENT_DATETIME_MAX];
};
/* `p` is a JSON number's text, or (quoted = true) the unescaped content of a JSON string.
 * Reads at most n bytes. A cache of the last day's civil date makes it cheap: one per thread. */
struct event_time_cache {
    int64_t day;
    char date[16]; /* "YYYY-MM-DDT" */
    bool valid;
    int64_t minute;        /* of event_time_of_day: its first second, */
    uint64_t minute_text;  /* ... and that as text; 0 if none is known */
};
enum reason event_time_parse(const char *p, size_t n, bool quoted, enum time_unit unit,
                             struct event_time_cache *cache, struct event_time *out);

/* In pieces, for who writes the text himself: of a second in 1970 to 9999 makes cache->date the day's
 * "YYYY-MM-DDT" (16 readable bytes), and gives "HH:MM:SS" as its eight bytes. */
uint64_t event_time_of_day(int64_t second, struct event_time_cache *cache);
/* m / 10^f to the nearest double, m < 10^19; whole and part are its quotient and remainder. *exact: printing
 * it with f fractional digits gives m back. False where it cannot tell. */
bool event_time_nearest(uint64_t m, unsigned f, uint64_t whole, uint64_t part, double *d, bool *exact);

/* What an event name leads to; made once per distinct name. */
#define EVENT_NAME_MAX 1024
#define EVENT_TABLE_MAX 64
struct event_name {
    struct str name, type, subtype; /* views into the caller's name */
    bool has_subtype;
    char table[EVENT_TABLE_MAX + 1]; /* safe table name */
};
enum reason event_name_parse(const char *p, size_t n, struct event_name *out);

/* [a-z0-9_], lower case, others '_'; longer than max: cut and "_" + 8 hex digits of a hash. Also used for
 * column names. `out` has room for max + 1. */
void event_safe_name(const char *p, size_t n, size_t max, char *out);

#endif
