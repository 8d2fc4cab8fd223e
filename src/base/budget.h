/* budget: the bytes that the whole process may hold. Taken at the fetch, given back at the commit;
 * that is the back-pressure. Thread-safe. */
#ifndef INLET_BASE_BUDGET_H
#define INLET_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;

struct budget *budget_new(size_t limit_bytes);
void budget_free(struct budget *b); /* once all calls of other threads have returned */
/* Blocks until n bytes are free (or nothing at all is in use, so that one oversized record still
 * passes). False if the budget was closed. */
bool budget_take(struct budget *b, size_t n);
/* The same, waiting for so long at most: all of it where the budget was closed. */
bool budget_take_within(struct budget *b, size_t n, int64_t ms);
/* The same without waiting. */
bool budget_try_take(struct budget *b, size_t n);
/* Takes without asking, for what is needed to finish what is already in; may pass the limit. */
void budget_force(struct budget *b, size_t n);
void budget_give(struct budget *b, size_t n);
/* Of what is held without asking: so much before, and now. */
void budget_change(struct budget *b, size_t before, size_t now);
/* From now on a gift wakes those in budget_take_within only where it leaves at most `low` bytes in use: one waking for many
 * gifts. They look by themselves when their time is over. */
void budget_wake_at(struct budget *b, size_t low);
void budget_close(struct budget *b);
size_t budget_used(struct budget *b);
size_t budget_limit(const struct budget *b);
size_t budget_peak(struct budget *b);

#endif
