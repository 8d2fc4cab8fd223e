/* direct: the contents of a new file, written past the page cache (O_DIRECT) in large pieces. They are on their way to
 * the disk while more is made, so that a sync at the end finds little to do; and no new page is needed for each that is
 * written. What is too small for that, or on a file system that does not have it, is written as usual.
 * Errors are -1 with errno. */
#ifndef INLET_STORE_DIRECT_H
#define INLET_STORE_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Aligned memory that pieces go through, as many as are written at once. Thread-safe. */
struct direct_rooms;
struct direct_rooms *direct_rooms_new(void);
void direct_rooms_free(struct direct_rooms *r); /* NULL is fine */

/* A file being written. One thread; zeroed but for the first two. */
struct direct {
    struct direct_rooms *rooms; /* borrowed; NULL: as usual */
    int fd;                     /* borrowed; empty, at its beginning, open for reading and writing */
    bool on;                    /* the last block waits in `rest` until it is whole */
    uint8_t *rest;
    size_t n_rest;
    int64_t at; /* so much has been written */
};
int direct_write(struct direct *d, const void *p, size_t n);
/* All of it is in the file then. More may be written, as usual. */
int direct_end(struct direct *d);
/* For reading, whatever the last write came to: what is in the file by now, and *rest behind it. No more may be written. */
int64_t direct_written(struct direct *d, const uint8_t **rest);
void direct_fini(struct direct *d);

#endif
