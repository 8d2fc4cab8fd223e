/* queue: a bounded queue of pointers between threads. Whoever pops owns what he got. */
#ifndef INLET_BASE_QUEUE_H
#define INLET_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(size_t capacity);
/* Must be empty or its items owned elsewhere, and the calls of other threads must have returned. */
void queue_free(struct queue *q);
/* Blocks while full. False if the queue was closed (the item stays the caller's). */
bool queue_push(struct queue *q, void *item);
/* As queue_push, but it is popped next. */
bool queue_push_first(struct queue *q, void *item);
/* False at once if full or closed. */
bool queue_try_push(struct queue *q, void *item);
/* Blocks while empty; NULL once closed and empty. */
void *queue_pop(struct queue *q);
/* Waits at most timeout_ms (0: not at all); NULL if nothing came. */
void *queue_pop_wait(struct queue *q, int64_t timeout_ms);
void queue_close(struct queue *q);
size_t queue_count(struct queue *q);

#endif
