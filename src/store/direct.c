/* See direct.h. O_DIRECT wants addresses, lengths and offsets in whole blocks: a piece is copied to where that is so, behind
 * what was left of the one before. */
#include "store/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#define BLOCK ((size_t)4096)       /* no device of today wants more */
#define ROOM ((size_t)2 << 20)     /* one huge page */
#define LEAST ((size_t)64 << 10)   /* of the first piece; what begins smaller stays small */

struct room {
    struct room *next; /* in the room itself, while nobody is in it */
};

struct direct_rooms {
    pthread_mutex_t lock;
    struct room *free;
};

struct direct_rooms *direct_rooms_new(void)
{
    struct direct_rooms *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void direct_rooms_free(struct direct_rooms *r)
{
    if (!r)
        return;
    for (struct room *next; r->free; r->free = next) {
        next = r->free->next;
        free(r->free);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static uint8_t *room_take(struct direct_rooms *r)
{
    pthread_mutex_lock(&r->lock);
    struct room *room = r->free;
    if (room)
        r->free = room->next;
    pthread_mutex_unlock(&r->lock);
    if (room)
        return (uint8_t *)room;
    uint8_t *new = aligned_alloc(ROOM, ROOM);
    if (new)
        madvise(new, ROOM, MADV_HUGEPAGE);
    return new;
}

static void room_give(struct direct_rooms *r, uint8_t *bytes)
{
    struct room *room = (struct room *)(void *)bytes;
    pthread_mutex_lock(&r->lock);
    room->next = r->free;
    r->free = room;
    pthread_mutex_unlock(&r->lock);
}

static bool set_direct(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL), to = on ? flags | O_DIRECT : flags & ~O_DIRECT;
    return flags >= 0 && flags != to && fcntl(fd, F_SETFL, to) == 0;
}

/* Some file systems refuse only when it comes to writing; and where a file may not grow to a whole block, the kernel makes
 * the piece shorter: then as usual. */
static int write_all(struct direct *d, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t got = pwrite(d->fd, p, n < (1u << 30) ? n : (1u << 30), d->at);
        if (got < 0 && (errno == EINTR || (errno == EINVAL && set_direct(d->fd, false))))
            continue;
        if (got <= 0)
            return -1;
        p += got;
        d->at += got;
        n -= (size_t)got;
    }
    return 0;
}

/* As much of the piece as the room takes, in whole blocks; what is left of it waits. How much was taken; 0: errno. */
static size_t write_room(struct direct *d, uint8_t *room, const uint8_t *p, size_t n)
{
    size_t some = n < ROOM - d->n_rest ? n : ROOM - d->n_rest, have = d->n_rest + some, whole = have / BLOCK * BLOCK;
    memcpy(room, d->rest, d->n_rest);
    memcpy(room + d->n_rest, p, some);
    if (write_all(d, room, whole))
        return 0;
    d->n_rest = have - whole;
    memcpy(d->rest, room + whole, d->n_rest);
    return some;
}

static int write_on(struct direct *d, const uint8_t *p, size_t n)
{
    uint8_t *room = room_take(d->rooms);
    if (!room) /* no memory for it */
        return direct_end(d) || write_all(d, p, n) ? -1 : 0;
    for (size_t took = 1; n && took; p += took, n -= took)
        took = write_room(d, room, p, n);
    int saved = errno;
    room_give(d->rooms, room);
    errno = saved;
    return n ? -1 : 0;
}

int direct_write(struct direct *d, const void *p, size_t n)
{
    if (!d->on && !d->at && d->rooms && n >= LEAST && set_direct(d->fd, true)) {
        d->on = true;
        d->rest = mem_alloc(BLOCK);
    }
    return d->on ? write_on(d, p, n) : write_all(d, p, n);
}

int direct_end(struct direct *d)
{
    if (!d->on)
        return 0;
    set_direct(d->fd, false);
    if (write_all(d, d->rest, d->n_rest))
        return -1;
    d->on = false;
    d->n_rest = 0;
    return 0;
}

int64_t direct_written(struct direct *d, const uint8_t **rest)
{
    if (d->on)
        set_direct(d->fd, false);
    *rest = d->rest;
    return d->at;
}

void direct_fini(struct direct *d)
{
    free(d->rest);
    d->rest = NULL;
}
