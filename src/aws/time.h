/* time: what time AWS has. A machine's clock that is wrong is wrong for all services: so one
 * correction, for the whole process. Thread-safe. */
#ifndef INLET_AWS_TIME_H
#define INLET_AWS_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* Seconds since 1970, corrected. */
int64_t aws_time_s(const struct clock *clock);
/* The Date header of an answer that refused a signature for its time: the correction follows it from now
 * on (and a warning says so). False where it changes nothing (within a minute): something else is wrong. */
bool aws_time_correct(const struct clock *clock, const char *date, size_t n);
/* "2026-11-24T02:03:04Z" as milliseconds since 1970; 0 where it is no such time. */
int64_t aws_time_parse_ms(const char *iso);

#endif
