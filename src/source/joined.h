/* joined: JSON objects that stand one after the other without a newline, as Firehose writes what came without one:
 *   {"a":1}{"b":2}{"c":3}
 * Only braces and strings are looked at: whether each is JSON is for the parser to say. */
#ifndef INLET_SOURCE_JOINED_H
#define INLET_SOURCE_JOINED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is there a place in it where one object may follow another? Quick. */
bool joined_maybe(const uint8_t *p, size_t n);
/* The length of the object that begins at p (p[0] is '{'); 0 where it does not end within n. */
size_t joined_end(const uint8_t *p, size_t n);
/* The end of the last whole object of those that p begins with; 0 where not even the first ends. */
size_t joined_last_end(const uint8_t *p, size_t n);

#endif
