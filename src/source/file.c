/* file: a file or standard input as a source: one shard "0", whose positions are offsets in the
 * decompressed bytes.
 *
 * One reader thread fills batches of whole lines. It never blocks where it could not see a stop:
 * budget and inbox are tried in short steps, because the thread that empties them may be the very
 * one that stops and starts us. A line over the limit is a batch of its own, cut at the limit, whose
 * `last` lies beyond its data: that is how the cursor knows. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/policy.h"
#include "source/file_int.h"
#include "source/input.h"
#include "source/joined.h"
#include "source/source.h"
#include "store/store.h"

#define NOTE_BYTES 4096
#define HEAD_BYTES ((size_t)64 << 10)
#define BATCH_BYTES ((size_t)512 << 10) /* read, then shredded while it is in the cache */
#define RECORD_BYTES_MAX ((size_t)10 << 20)
#define GROWTH_MS 100 /* how often a followed file is looked at */
#define JOINED_LOOK ((size_t)16 << 10) /* of each batch, for objects without newlines between them */
#define STOP_MS 20 /* how often who waits looks whether he is to stop */
#define IDLE_MS 200 /* a pipe silent for so long: what there is goes out */

struct file_source {
    struct source base; /* first: a struct source * is this */
    struct source_env env;
    char *path; /* as given, for messages */
    char *real;
    char *identity;
    int fd;
    bool regular, used;
    struct input_object object; /* store NULL: it is a file */
    bool joined;                /* objects without newlines between them have been seen */
    int64_t load_us;
    atomic_bool stop;
    bool running;
    pthread_t thread;
    uint32_t number, generation;
    uint64_t after;
    char note[24];
    /* the reader's own, while running */
    struct input *in;
    uint8_t *data; /* the batch being filled: n bytes of cap */
    size_t n, cap, charged;
    struct source_spares *spares; /* of batch_bytes */
    uint64_t base_offset; /* of data[0] */
    uint8_t tail[NOTE_BYTES];
    size_t n_tail;
    bool eof;
};

static struct file_source *file_of(struct source *s)
{
    return (struct file_source *)(void *)s;
}

/* ---- identity ---- */

/* "file:<real path>#<hash>:<length>" of the first `length` bytes; NULL if there are fewer. */
static char *identity_of(int fd, const char *real, size_t length)
{
    uint8_t *head = mem_alloc(HEAD_BYTES);
    size_t got = 0;
    while (got < length) {
        ssize_t r = pread(fd, head + got, length - got, (off_t)got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    XXH128_hash_t h = XXH3_128bits(head, got);
    free(head);
    if (got != length)
        return NULL;
    return mem_printf("file:%s#%016llx%016llx:%zu", real, (unsigned long long)h.high64,
                      (unsigned long long)h.low64, length);
}

/* What stands in the bytes before an offset. */
static void note_of(const uint8_t *tail, size_t n, char out[24])
{
    snprintf(out, 24, "%016llx", (unsigned long long)XXH3_64bits(tail, n));
}

static char *identity_stdin(void)
{
    uint64_t r[2] = {0, 0};
    while (getrandom(r, sizeof r, 0) < 0 && errno == EINTR) {
    }
    return mem_printf("stdin:%016llx%016llx", (unsigned long long)r[0], (unsigned long long)r[1]);
}

/* -1: it cannot be read. */
static int is_compressed(int fd)
{
    uint8_t head[4] = {0};
    if (pread(fd, head, sizeof head, 0) < 0)
        return -1;
    return (head[0] == 0x1f && head[1] == 0x8b) || memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0;
}

/* Of a plain file: is `note` that of the offset? */
static bool note_fits(int fd, uint64_t at, const char *note)
{
    uint8_t tail[NOTE_BYTES];
    char now[24];
    size_t n = at < NOTE_BYTES ? (size_t)at : NOTE_BYTES;
    if (is_compressed(fd) || pread(fd, tail, n, (off_t)(at - n)) != (ssize_t)n)
        return false;
    note_of(tail, n, now);
    return at == 0 || strcmp(now, note) == 0;
}

bool source_file_fits(struct source *s, const char *identity, uint64_t at, const char *note)
{
    struct file_source *f = file_of(s);
    const char *colon = strrchr(identity, ':');
    if (!f->regular || f->object.store || !colon)
        return false;
    char *end = NULL;
    unsigned long long length = strtoull(colon + 1, &end, 10);
    if (end == colon + 1 || *end || length > HEAD_BYTES)
        return false;
    char *mine = identity_of(f->fd, f->real, (size_t)length);
    bool same = mine && strcmp(mine, identity) == 0 && (length || note_fits(f->fd, at, note));
    free(mine);
    return same;
}

bool source_file_adopt(struct source *s, const char *identity, uint64_t at, const char *note)
{
    struct file_source *f = file_of(s);
    if (!source_file_fits(s, identity, at, note))
        return false;
    free(f->identity);
    f->identity = mem_strdup(identity);
    return true;
}

static const char *file_identity(struct source *s)
{
    return file_of(s)->identity;
}

/* ---- events ---- */

static void nap(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static struct source_event *event_new(const struct file_source *f, enum source_event_kind kind)
{
    struct source_event *ev = mem_zalloc(sizeof *ev);
    ev->kind = kind;
    ev->shard = f->number;
    ev->generation = f->generation;
    return ev;
}

static bool event_push(struct file_source *f, struct source_event *ev)
{
    while (!atomic_load(&f->stop)) {
        if (queue_try_push(f->env.inbox, ev))
            return true;
        nap(1);
    }
    if (ev->batch)
        budget_give(f->env.budget, ev->batch->charged_bytes);
    source_event_free(ev);
    return false;
}

static bool charge(struct file_source *f, size_t n)
{
    while (!atomic_load(&f->stop)) {
        if (budget_take_within(f->env.budget, n, STOP_MS)) {
            f->charged += n;
            return true;
        }
    }
    return false;
}

/* ---- the reader ---- */

static void tail_keep(struct file_source *f, const uint8_t *p, size_t n)
{
    if (n >= NOTE_BYTES) {
        memcpy(f->tail, p + n - NOTE_BYTES, NOTE_BYTES);
        f->n_tail = NOTE_BYTES;
        return;
    }
    size_t keep = f->n_tail + n > NOTE_BYTES ? NOTE_BYTES - n : f->n_tail;
    memmove(f->tail, f->tail + f->n_tail - keep, keep);
    memcpy(f->tail + keep, p, n);
    f->n_tail = keep + n;
}

static void tail_note(const struct file_source *f, char out[24])
{
    note_of(f->tail, f->n_tail, out);
}

/* Makes room for `cap` bytes; what one long line needs beyond the batch is taken without asking,
 * for waiting with a half-read line in hand could wait for ever. */
static void room(struct file_source *f, size_t cap)
{
    if (cap > f->cap) {
        if (cap > f->charged) {
            budget_force(f->env.budget, cap - f->charged);
            f->charged = cap;
        }
        uint8_t *whole = cap == f->env.batch_bytes ? source_spares_take(f->spares) : NULL;
        if (whole && f->n)
            memcpy(whole, f->data, f->n);
        if (whole)
            free(f->data);
        f->data = whole ? whole : mem_realloc(f->data, cap + SOURCE_PAD);
        f->cap = cap;
    }
}

/* The first `n` bytes become a batch that ends at `last`; the rest stays. `tail` is already right. */
static bool emit(struct file_source *f, size_t n, uint64_t first, uint64_t last)
{
    size_t rest = f->n - n;
    struct source_batch *b = mem_zalloc(sizeof *b);
    b->source = &f->base;
    b->shard = f->number;
    b->generation = f->generation;
    b->format = BATCH_NDJSON;
    b->data = f->data;
    b->n_data = n;
    b->spares = f->cap == f->env.batch_bytes ? source_spares_ref(f->spares) : NULL;
    b->first = seq_of(first);
    b->last = seq_of(last);
    b->base_offset = f->base_offset;
    f->joined = f->joined || joined_maybe(f->data, n < JOINED_LOOK ? n : JOINED_LOOK);
    b->joined = f->joined;
    tail_note(f, b->position_note);
    b->arrived_us = f->env.follow ? clock_wall_us(f->env.clock) : f->load_us;
    b->charged_bytes = f->charged;
    b->budget = f->env.budget;

    f->data = NULL;
    f->cap = f->n = f->charged = 0;
    f->base_offset = last;
    if (rest) {
        /* The carried bytes are charged with the next batch, whose share is taken before it reads. */
        f->data = mem_alloc(rest + SOURCE_PAD);
        f->cap = f->n = rest;
        memcpy(f->data, b->data + n, rest);
    }
    memset(b->data + n, 0, SOURCE_PAD);
    struct source_event *ev = event_new(f, SOURCE_BATCH);
    ev->batch = b;
    return event_push(f, ev);
}

static bool emit_lines(struct file_source *f, size_t n)
{
    const uint8_t *nl = memchr(f->data, '\n', n);
    uint64_t first = f->base_offset + (nl ? (uint64_t)(nl - f->data) + 1 : n);
    tail_keep(f, f->data, n);
    return emit(f, n, first, f->base_offset + n);
}

/* data holds the limit's worth of a line without an end: finds that end, keeping nothing. */
static int skip_line(struct file_source *f, struct err *e)
{
    size_t limit = f->env.record_bytes_max, cap = 64 << 10, extra_n = 0;
    uint8_t *chunk = mem_alloc(cap), *extra = NULL;
    uint64_t at = f->base_offset + f->n;
    int rc = 0;
    tail_keep(f, f->data, f->n);
    for (;;) {
        int64_t got = atomic_load(&f->stop) ? err_set(e, ERR_STOPPED, "stopped")
                                            : input_read(f->in, chunk, cap, -1, e);
        if (got < 0) {
            rc = -1;
            break;
        }
        if (got == 0 && f->env.follow) { /* its end is still to come */
            nap(GROWTH_MS);
            continue;
        }
        const uint8_t *nl = memchr(chunk, '\n', (size_t)got);
        size_t used = nl ? (size_t)(nl - chunk) + 1 : (size_t)got;
        tail_keep(f, chunk, used);
        at += used;
        f->eof = got == 0;
        if (nl) {
            extra = chunk + used;
            extra_n = (size_t)got - used;
        }
        if (nl || f->eof)
            break;
    }
    f->n = f->n > limit ? limit : f->n;
    if (rc == 0 && !emit(f, f->n, at, at))
        rc = err_set(e, ERR_STOPPED, "stopped");
    if (rc == 0 && extra_n) {
        f->data = mem_alloc(extra_n + SOURCE_PAD);
        f->cap = f->n = extra_n;
        memcpy(f->data, extra, extra_n);
    }
    free(chunk);
    return rc;
}

/* Fills data towards `target`; stops early at the end of the file or when a pipe pauses. */
static int fill(struct file_source *f, size_t target, struct err *e)
{
    while (f->n < target && !f->eof) {
        if (atomic_load(&f->stop))
            return err_set(e, ERR_STOPPED, "stopped");
        int wait = f->n && memchr(f->data, '\n', f->n) ? IDLE_MS : -1;
        int64_t got = input_read(f->in, f->data + f->n, target - f->n, wait, e);
        if (got == INPUT_IDLE)
            return 0;
        if (got < 0)
            return -1;
        f->eof = got == 0 && !f->env.follow;
        f->n += (size_t)got;
        if (got == 0 && f->env.follow)
            return 0;
        if (f->base_offset == 0 && f->n >= 3 && memcmp(f->data, "\xef\xbb\xbf", 3) == 0) {
            tail_keep(f, f->data, 3);
            f->base_offset = 3;
            f->n -= 3;
            memmove(f->data, f->data + 3, f->n);
        }
    }
    return 0;
}

/* Of a file that grows: waits until there is more than the unfinished line in hand. */
static int await_growth(struct file_source *f, struct err *e)
{
    uint64_t have = f->base_offset + f->n;
    struct stat st;
    for (;;) {
        if (fstat(f->fd, &st))
            return err_errno(e, errno, "cannot look at %s", f->path);
        if ((uint64_t)st.st_size < have)
            return err_set(e, ERR_INVALID,
                           "%s is shorter than what was read of it (%llu bytes): it was replaced or cut; "
                           "load it under another name or path",
                           f->path, (unsigned long long)have);
        if ((uint64_t)st.st_size > have)
            return 0;
        if (!event_push(f, event_new(f, SOURCE_TIP)))
            return err_set(e, ERR_STOPPED, "stopped");
        nap(GROWTH_MS);
    }
}

/* The line has no end yet: what there is of it waits, and the rest of the budget's share goes back. */
static int leave_unfinished(struct file_source *f)
{
    f->data = mem_realloc(f->data, f->n + SOURCE_PAD);
    f->cap = f->n;
    budget_give(f->env.budget, f->charged);
    f->charged = 0;
    return 0;
}

static int read_batch(struct file_source *f, struct err *e)
{
    if (f->env.follow && await_growth(f, e))
        return -1;
    size_t limit = f->env.record_bytes_max;
    size_t aim = f->env.batch_bytes, most = f->env.batch_most ? *f->env.batch_most : aim;
    aim = aim < most ? aim : most;
    size_t target = aim < limit ? aim : limit + 1;
    if (!charge(f, target > f->n ? target : f->n))
        return err_set(e, ERR_STOPPED, "stopped");
    for (;;) {
        room(f, target);
        if (fill(f, target, e))
            return -1;
        const uint8_t *nl = memrchr(f->data, '\n', f->n);
        if (nl || f->eof) {
            size_t n = f->eof ? f->n : (size_t)(nl - f->data) + 1;
            /* The last, unterminated line may be over the limit only by the one byte read past it. */
            if (f->eof && !nl && f->n > limit)
                return skip_line(f, e);
            return n == 0 || emit_lines(f, n) ? 0 : err_set(e, ERR_STOPPED, "stopped");
        }
        /* A whole batch without a newline may be objects without newlines: cut between two of them. */
        size_t joined = joined_last_end(f->data, f->n);
        if (joined && joined < f->n) {
            f->joined = true;
            return emit_lines(f, joined) ? 0 : err_set(e, ERR_STOPPED, "stopped");
        }
        if (f->n > limit)
            return skip_line(f, e);
        if (f->env.follow && f->n < target)
            return leave_unfinished(f);
        target = f->n * 2 > limit + 1 ? limit + 1 : f->n * 2 < target ? target : f->n * 2;
    }
}

/* Goes to the position to resume at and checks that the file is still the one read before. */
static int resume(struct file_source *f, struct err *e)
{
    if (f->after == UINT64_MAX) { /* SEQ_END: read to its end before */
        f->eof = true;
        return 0;
    }
    int64_t got = input_skip(f->in, f->after, f->tail, NOTE_BYTES, e);
    if (got < 0)
        return -1;
    char now[24];
    f->n_tail = (size_t)got;
    f->base_offset = f->after;
    tail_note(f, now);
    if (f->after && f->note[0] && strcmp(now, f->note) != 0)
        return err_set(e, ERR_INVALID,
                       "%s was changed before byte %llu, where reading stopped last time: it cannot "
                       "be resumed; load it under another name or path",
                       f->path, (unsigned long long)f->after);
    return 0;
}

/* -1: it has none. */
static int64_t size_of(const struct file_source *f)
{
    struct stat st;
    return f->fd >= 0 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : -1;
}

/* What was read is loaded, but whoever cut the file should know that there may have been more. */
static void tell_if_cut(struct file_source *f, int64_t size)
{
    int64_t now = size_of(f);
    if (now >= size)
        return;
    struct source_event *ev = event_new(f, SOURCE_NOTICE);
    err_set(&ev->error, ERR_INVALID, "%s became shorter while it was read (%lld bytes, %lld before): what was read by then is loaded",
            f->path, (long long)now, (long long)size);
    event_push(f, ev);
}

static void *file_thread(void *arg)
{
    struct file_source *f = arg;
    policy_prompt();
    struct err e = {0};
    int64_t size = size_of(f);
    f->in = f->object.store ? input_open_object(&f->object, f->path, &f->stop)
                            : input_open(f->fd, f->path, &f->stop);
    if (f->env.window_max)
        input_limit_window(f->in, f->env.window_max);
    int rc = resume(f, &e);
    while (rc == 0 && !(f->eof && f->n == 0)) {
        rc = read_batch(f, &e);
        f->base.cpu_ns = clock_thread_cpu_ns();
    }
    input_close(f->in);
    f->in = NULL;
    free(f->data);
    f->data = NULL;
    budget_give(f->env.budget, f->charged);
    f->charged = 0;
    if (rc && e.kind == ERR_STOPPED)
        return NULL;
    tell_if_cut(f, size);
    struct source_event *ev = event_new(f, rc ? SOURCE_FAILED : SOURCE_SHARD_END);
    ev->error = e;
    event_push(f, ev);
    return NULL;
}

/* ---- the source ---- */

static int file_shards(struct source *s, struct source_shard **out, size_t *n, struct err *e)
{
    (void)s;
    (void)e;
    *out = mem_zalloc(sizeof **out);
    (*out)->id = mem_strdup("0");
    (*out)->closed = true;
    *n = 1;
    return 0;
}

static int file_resolve(struct source *s, const char *shard, enum source_start_kind kind,
                        int64_t time_ms, struct seq *out, struct err *e)
{
    (void)s;
    (void)shard;
    (void)time_ms;
    if (kind != START_TRIM_HORIZON)
        return err_set(e, ERR_INVALID, "a file is read from its beginning only");
    *out = SEQ_NONE;
    return 0;
}

static void file_join(struct file_source *f)
{
    if (!f->running)
        return;
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    f->running = false;
}

static int file_start(struct source *s, const char *shard, uint32_t number, uint32_t generation,
                      struct seq after, const char *note, struct err *e)
{
    struct file_source *f = file_of(s);
    if (strcmp(shard, "0") != 0)
        return err_set(e, ERR_NOTFOUND, "%s has no shard %s", f->path, shard);
    file_join(f);
    if (!f->regular && (f->used || seq_cmp(after, SEQ_NONE) != 0))
        return err_set(e, ERR_INVALID, "%s cannot be read a second time", f->path);
    if (f->regular && !f->object.store && lseek(f->fd, 0, SEEK_SET) < 0)
        return err_errno(e, errno, "cannot seek in %s", f->path);
    f->used = true;
    f->number = number;
    f->generation = generation;
    f->after = seq_low(after);
    snprintf(f->note, sizeof f->note, "%s", note ? note : "");
    f->n = f->cap = f->charged = f->n_tail = 0;
    f->base_offset = 0;
    f->eof = false;
    atomic_store(&f->stop, false);
    int rc = pthread_create(&f->thread, NULL, file_thread, f);
    if (rc)
        return err_errno(e, rc, "cannot start a reader for %s", f->path);
    f->running = true;
    return 0;
}

static void file_stop(struct source *s, uint32_t number)
{
    struct file_source *f = file_of(s);
    if (number == f->number)
        atomic_store(&f->stop, true);
}

static void file_close(struct source *s)
{
    struct file_source *f = file_of(s);
    file_join(f);
    if (f->fd > STDIN_FILENO)
        close(f->fd);
    free(f->path);
    free(f->real);
    free(f->identity);
    free((void *)(uintptr_t)f->object.key);
    free((void *)(uintptr_t)f->object.etag);
    source_spares_drop(f->spares);
    free(f);
}

static const struct source_ops file_ops = {
    .identity = file_identity,
    .shards = file_shards,
    .resolve = file_resolve,
    .start = file_start,
    .stop = file_stop,
    .close = file_close,
};

static int may_follow(const struct file_source *f, struct err *e)
{
    if (!f->regular)
        return err_set(e, ERR_INVALID, "%s: only a regular file can be followed", f->path);
    int compressed = is_compressed(f->fd);
    if (compressed < 0)
        return err_errno(e, errno, "cannot read %s", f->path);
    if (compressed)
        return err_set(e, ERR_INVALID, "%s is compressed: only plain files can be followed", f->path);
    return 0;
}

static struct file_source *source_new(const struct source_env *env)
{
    struct file_source *f = mem_zalloc(sizeof *f);
    f->base.ops = &file_ops;
    f->env = *env;
    if (!f->env.batch_bytes)
        f->env.batch_bytes = BATCH_BYTES;
    if (!f->env.record_bytes_max)
        f->env.record_bytes_max = RECORD_BYTES_MAX;
    f->spares = source_spares_new(f->env.batch_bytes + SOURCE_PAD);
    f->load_us = clock_wall_us(env->clock);
    return f;
}

struct source *source_file_of_object(const struct input_object *o, const struct source_env *env)
{
    struct file_source *f = source_new(env);
    f->fd = -1;
    f->regular = true;
    f->joined = true; /* Firehose mixes both, as its records came */
    f->object = *o;
    f->object.key = mem_strdup(o->key);
    f->object.etag = mem_strdup(o->etag);
    f->path = store_uri(o->store, o->key);
    f->identity = mem_printf("%s#%s", f->path, o->etag);
    return &f->base;
}

struct source *source_file_open(const char *path, const struct source_env *env, struct err *e)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        err_errno(e, errno, "cannot open %s", path);
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        err_set(e, ERR_INVALID, "%s is a directory: name its files", path);
        if (!is_stdin)
            close(fd);
        return NULL;
    }
    struct file_source *f = source_new(env);
    f->path = mem_strdup(is_stdin ? "standard input" : path);
    f->fd = fd;
    f->regular = S_ISREG(st.st_mode) && !is_stdin;
    if (f->regular) {
        char *real = realpath(path, NULL);
        f->real = real ? real : mem_strdup(path);
        size_t head = (uint64_t)st.st_size < HEAD_BYTES ? (size_t)st.st_size : HEAD_BYTES;
        f->identity = identity_of(fd, f->real, head);
    }
    if (!f->identity) {
        f->regular = false;
        f->identity = identity_stdin();
    }
    f->base.once = !f->regular;
    if (f->env.follow && may_follow(f, e)) {
        file_close(&f->base);
        return NULL;
    }
    return &f->base;
}
