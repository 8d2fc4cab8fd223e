/* time: see time.h. */
#include "aws/time.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "codec/civil.h"

#define TOLERATED_S 60
#define DATE_MAX 64

static _Atomic int64_t correction_s;

int64_t aws_time_s(const struct clock *clock)
{
    return clock_wall_us(clock) / 1000000 + atomic_load(&correction_s);
}

/* "Tue, 24 Nov 2026 02:03:04 GMT" (RFC 9110, section 5.6.7), or the ISO time that some send. */
static bool parse_date(const char *p, size_t n, int64_t *out)
{
    char text[DATE_MAX];
    struct tm tm = {0};
    if (n >= sizeof text)
        return false;
    memcpy(text, p, n);
    text[n] = '\0';
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S", &tm);
    if (!end || strcmp(end, " GMT") != 0)
        return false;
    *out = timegm(&tm);
    return true;
}

bool aws_time_correct(const struct clock *clock, const char *date, size_t n)
{
    int64_t theirs;
    if (!date || !parse_date(date, n, &theirs))
        return false;
    int64_t ahead = theirs - clock_wall_us(clock) / 1000000;
    if (llabs(ahead - atomic_load(&correction_s)) <= TOLERATED_S)
        return false;
    atomic_store(&correction_s, ahead);
    log_warn("this machine's clock is %lld s %s AWS's: requests are signed by theirs; set the clock",
             llabs(ahead), ahead > 0 ? "behind" : "ahead of");
    return true;
}

int64_t aws_time_parse_ms(const char *iso)
{
    int64_t us = 0;
    return iso && civil_parse_us(iso, strlen(iso), &us) ? us / 1000 : 0;
}
