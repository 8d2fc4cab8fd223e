/* input: the decompressed bytes of a file descriptor or of an object in S3, plain, gzip (any number of members) or zstd
 * (any number of frames), told apart by their first bytes. One thread. */
#ifndef INLET_SOURCE_INPUT_H
#define INLET_SOURCE_INPUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct input;

/* Reads from fd's current position; the descriptor stays the caller's. `name` is for messages and
 * is borrowed. `stop` is looked at while a pipe has nothing to give. */
struct input *input_open(int fd, const char *name, const atomic_bool *stop);

struct store;
struct input_object {
    struct store *store; /* an S3 store */
    const char *key, *etag;
    int64_t bytes;
};
/* The same of an object; all of it is borrowed. It is read in ranges of 2 MiB; an object that is replaced meanwhile is
 * ERR_CONFLICT. */
struct input *input_open_object(const struct input_object *o, const char *name,
                                const atomic_bool *stop);
/* zstd data that needs a larger window than so many bytes (some power of two below) is refused: ERR_INVALID. Before
 * the first input_read. */
void input_limit_window(struct input *in, size_t bytes);
void input_close(struct input *in);
/* Up to `cap` bytes; 0 at the end of the file. -1 on failure (ERR_STOPPED when told to stop). With
 * `wait_ms` >= 0, a pipe that stays silent so long gives INPUT_IDLE. */
#define INPUT_IDLE (-2)
int64_t input_read(struct input *in, uint8_t *out, size_t cap, int wait_ms, struct err *e);
/* Skips to `offset` (from the start): seeks where that is possible, else reads on. The last up to
 * `n_tail` bytes before it are left in tail; returns how many, or -1: ERR_INVALID where the data
 * ends before `offset`. Only before the first input_read. */
int64_t input_skip(struct input *in, uint64_t offset, uint8_t *tail, size_t n_tail, struct err *e);

#endif
