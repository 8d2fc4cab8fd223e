/* civil: days since 1970-01-01 <-> dates of the proleptic Gregorian calendar, and ISO 8601 texts.
 *
 * No time zones but UTC, no leap seconds, no state. Threads: any. */
#ifndef INLET_CODEC_CIVIL_H
#define INLET_CODEC_CIVIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CIVIL_DAY_US INT64_C(86400000000)
#define CIVIL_YEAR_MIN (-9999)
#define CIVIL_YEAR_MAX 9999
#define CIVIL_END_S                                                                                \
    INT64_C(253402300800) /* 10000-01-01T00:00:00Z: the first second past our years */

struct civil {
    int year, month, day; /* month and day from 1 */
};

/* Any month from 1 to 12, any year within the limits above; day may be any. */
int64_t civil_to_days(int year, int month, int day);
struct civil civil_from_days(int64_t days);
int civil_days_in_month(int year, int month);

/* "2026-11-22", 10 bytes, no NUL. Years 0 to 9999 only (others panic). */
void civil_format_date(int64_t days, char out[10]);
/* "2026-11-22T16:24:00Z", or with 6 fractional digits where the microseconds are not 0. Writes a
 * NUL too; returns the length without it. */
#define CIVIL_TEXT_MAX 28
size_t civil_format_us(int64_t us, char out[CIVIL_TEXT_MAX]);

/* Two decimal digits of v (0 to 99). */
static inline void civil_put2(char *out, unsigned v)
{
    out[0] = (char)('0' + v / 10);
    out[1] = (char)('0' + v % 10);
}

/* Reads exactly "YYYY-MM-DD". */
bool civil_parse_date(const char *p, size_t n, int64_t *days);
/* Reads "YYYY-MM-DD" alone (midnight), or with 'T' or ' ' and "HH:MM", ":SS" and a fraction (digits
 * past the sixth are dropped), then "Z", "+HH:MM", "-HH:MM" or nothing (UTC). False for anything
 * else. */
bool civil_parse_us(const char *p, size_t n, int64_t *us);

#endif
