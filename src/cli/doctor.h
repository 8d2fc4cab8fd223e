/* doctor: can we reach, and may we use, everything that the settings name? One line a check. What this
 * room's doctor files share. */
#ifndef INLET_CLI_DOCTOR_H
#define INLET_CLI_DOCTOR_H

#include <jansson.h>

#include "cli/config.h"
#include "cli/render.h"

enum doctor_status { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIPPED };

struct doctor {
    struct config *config;
    bool json, colour;
    struct buf out;
    size_t n, counts[4];
    char *stream_arn; /* once the stream was found */
};

/* One line: what is looked at, what was found, and, where it is not well, what mends it (an IAM action, a
 * setting; NULL or "" where the text says it). */
void doctor_say(struct doctor *d, enum doctor_status status, const char *what, const char *found,
                const char *mend);
/* The event source mappings of a Lambda function, by the service's own answer: what exactly-once asks
 * of them. */
void doctor_mappings(struct doctor *d, const json_t *answer);

void doctor_lake(struct doctor *d);   /* store, catalog, leases */
void doctor_stream(struct doctor *d); /* the stream, the clock, Lambda's mapping */

#endif
