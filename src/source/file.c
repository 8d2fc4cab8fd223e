/* A file as a stream of one shard. Its identity is its real path and a hash of its first bytes; its
 * position the offset in decompressed bytes. A thread reads it in batches of whole lines. See source.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "source/source.h"

#define HEAD_MAX 65536
#define NOTE_SPAN 4096
#define INPUT_BYTES 262144

struct file_source {
    struct source source; /* first */
    struct source_env env;
    char *path, *identity;
    int fd;
    enum { PLAIN, GZIP, ZSTD } form;
    bool eof;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    uint32_t number, generation;
    struct seq after;
    char note[24];
    z_stream gz;
    ZSTD_DCtx *zstd;
    uint8_t *input;
    size_t in_at, in_n;
    uint8_t tail[NOTE_SPAN]; /* the bytes before `offset` */
    size_t tail_n;
    uint64_t offset;
};

/* ---- decompressed bytes ---- */

static ssize_t raw_read(struct file_source *f, void *p, size_t n, struct err *e)
{
    for (;;) {
        ssize_t r = read(f->fd, p, n);
        if (r >= 0)
            return r;
        if (errno != EINTR) {
            err_errno(e, errno, "cannot read %s", f->path);
            return -1;
        }
    }
}

static int refill(struct file_source *f, struct err *e)
{
    if (f->in_at < f->in_n)
        return 0;
    ssize_t r = raw_read(f, f->input, INPUT_BYTES, e);
    if (r < 0)
        return -1;
    f->in_at = 0;
    f->in_n = (size_t)r;
    return 0;
}

static ssize_t gz_read(struct file_source *f, void *p, size_t n, struct err *e)
{
    f->gz.next_out = p;
    f->gz.avail_out = (uInt)n;
    while (f->gz.avail_out == n) {
        if (refill(f, e))
            return -1;
        if (f->in_n == 0)
            return 0;
        f->gz.next_in = f->input + f->in_at;
        f->gz.avail_in = (uInt)(f->in_n - f->in_at);
        int rc = inflate(&f->gz, Z_NO_FLUSH);
        f->in_at = f->in_n - f->gz.avail_in;
        if (rc == Z_STREAM_END)
            inflateReset(&f->gz); /* another member may follow */
        else if (rc != Z_OK && rc != Z_BUF_ERROR)
            return err_set(e, ERR_INVALID, "%s: damaged gzip data", f->path);
    }
    return (ssize_t)(n - f->gz.avail_out);
}

static ssize_t zstd_read(struct file_source *f, void *p, size_t n, struct err *e)
{
    ZSTD_outBuffer out = {p, n, 0};
    while (out.pos == 0) {
        if (refill(f, e))
            return -1;
        if (f->in_n == 0)
            return 0;
        ZSTD_inBuffer in = {f->input, f->in_n, f->in_at};
        size_t rc = ZSTD_decompressStream(f->zstd, &out, &in);
        f->in_at = in.pos;
        if (ZSTD_isError(rc))
            return err_set(e, ERR_INVALID, "%s: damaged zstd data: %s", f->path, ZSTD_getErrorName(rc));
    }
    return (ssize_t)out.pos;
}

static ssize_t read_some(struct file_source *f, void *p, size_t n, struct err *e)
{
    if (f->form == GZIP)
        return gz_read(f, p, n, e);
    if (f->form == ZSTD)
        return zstd_read(f, p, n, e);
    if (f->in_at < f->in_n) { /* what was read to know the form */
        size_t take = f->in_n - f->in_at < n ? f->in_n - f->in_at : n;
        memcpy(p, f->input + f->in_at, take);
        f->in_at += take;
        return (ssize_t)take;
    }
    return raw_read(f, p, n, e);
}

static void remember(struct file_source *f, const uint8_t *p, size_t n)
{
    f->offset += n;
    if (n >= NOTE_SPAN) {
        memcpy(f->tail, p + n - NOTE_SPAN, NOTE_SPAN);
        f->tail_n = NOTE_SPAN;
        return;
    }
    size_t keep = f->tail_n + n > NOTE_SPAN ? NOTE_SPAN - n : f->tail_n;
    memmove(f->tail, f->tail + f->tail_n - keep, keep);
    memcpy(f->tail + keep, p, n);
    f->tail_n = keep + n;
}

static void note_of(const struct file_source *f, char out[24])
{
    snprintf(out, 24, "%016llx", (unsigned long long)XXH3_64bits(f->tail, f->tail_n));
}

/* ---- the thread ---- */

static void send(struct file_source *f, enum source_event_kind kind, struct source_batch *b, const struct err *e)
{
    struct source_event *ev = mem_zalloc(sizeof *ev);
    ev->kind = kind;
    ev->shard = f->number;
    ev->generation = f->generation;
    ev->batch = b;
    if (e)
        ev->error = *e;
    if (!queue_push(f->env.inbox, ev))
        source_event_free(ev);
}

static int skip_to_start(struct file_source *f, struct err *e)
{
    uint64_t want = seq_low(f->after);
    uint8_t *scratch = mem_alloc(INPUT_BYTES);
    char note[24];
    int rc = 0;
    while (!rc && f->offset < want) {
        size_t n = want - f->offset < INPUT_BYTES ? (size_t)(want - f->offset) : INPUT_BYTES;
        ssize_t r = read_some(f, scratch, n, e);
        if (r == 0)
            err_set(e, ERR_INVALID, "%s is shorter than what was loaded of it (%llu bytes)", f->path, (unsigned long long)want);
        if (r <= 0)
            rc = -1;
        else
            remember(f, scratch, (size_t)r);
    }
    note_of(f, note);
    if (!rc && want && f->note[0] && strcmp(note, f->note) != 0)
        rc = err_set(e, ERR_INVALID, "%s was changed before the place where its load had come to (byte %llu); load it under another name",
                     f->path, (unsigned long long)want);
    free(scratch);
    return rc;
}

static void send_batch(struct file_source *f, const uint8_t *p, size_t n, size_t charged)
{
    struct source_batch *b = mem_zalloc(sizeof *b);
    b->source = &f->source;
    b->shard = f->number;
    b->generation = f->generation;
    b->format = BATCH_NDJSON;
    b->data = mem_alloc(n + SOURCE_PAD);
    memcpy(b->data, p, n);
    memset(b->data + n, 0, SOURCE_PAD);
    b->n_data = n;
    b->base_offset = f->offset;
    b->first = seq_of(f->offset + 1);
    remember(f, p, n);
    b->last = seq_of(f->offset);
    note_of(f, b->position_note);
    b->arrived_us = clock_wall_us(f->env.clock);
    b->charged_bytes = charged;
    send(f, SOURCE_BATCH, b, NULL);
}

/* Reads until the buffer is full or the file ends; -1 on error. */
static int fill(struct file_source *f, uint8_t *p, size_t *have, size_t want, struct err *e)
{
    while (*have < want && !f->eof) {
        ssize_t r = read_some(f, p + *have, want - *have, e);
        if (r < 0)
            return -1;
        f->eof = r == 0;
        *have += (size_t)r;
    }
    return 0;
}

static void *file_main(void *arg)
{
    struct file_source *f = arg;
    struct err e = {0};
    size_t cap = f->env.batch_bytes, have = 0;
    uint8_t *p = mem_alloc(cap);
    bool ok = skip_to_start(f, &e) == 0;
    while (ok && !atomic_load(&f->stop)) {
        if (!budget_take(f->env.budget, cap))
            break;
        if (fill(f, p, &have, cap, &e)) {
            budget_give(f->env.budget, cap);
            ok = false;
            break;
        }
        const uint8_t *last = have ? memrchr(p, '\n', have) : NULL;
        size_t n = f->eof ? have : last ? (size_t)(last - p) + 1 : 0;
        if (n == 0 && have && cap < f->env.record_bytes_max * 2) { /* a line longer than the buffer */
            budget_give(f->env.budget, cap);
            cap *= 2;
            p = mem_realloc(p, cap);
            continue;
        }
        if (n == 0)
            n = have; /* far too long a line: it goes in pieces, each a dead letter */
        if (n)
            send_batch(f, p, n, cap);
        else
            budget_give(f->env.budget, cap);
        memmove(p, p + n, have - n);
        have -= n;
        if (f->eof && have == 0)
            break;
        if (cap > f->env.batch_bytes && have < f->env.batch_bytes) {
            cap = f->env.batch_bytes;
            p = mem_realloc(p, cap);
        }
    }
    free(p);
    if (!ok)
        send(f, SOURCE_FAILED, NULL, &e);
    else if (!atomic_load(&f->stop))
        send(f, SOURCE_SHARD_END, NULL, NULL);
    return NULL;
}

/* ---- the contract ---- */

static const char *file_identity(struct source *s)
{
    return ((struct file_source *)s)->identity;
}

static int file_shards(struct source *s, struct source_shard **out, size_t *n, struct err *e)
{
    (void)s;
    (void)e;
    *out = mem_array(1, sizeof **out);
    (*out)[0] = (struct source_shard){.id = mem_strdup("0"), .closed = true};
    *n = 1;
    return 0;
}

static int file_resolve(struct source *s, const char *shard, enum source_start_kind kind, int64_t time_ms,
                        struct seq *out, struct err *e)
{
    (void)s;
    (void)shard;
    (void)kind;
    (void)time_ms;
    (void)e;
    *out = SEQ_NONE;
    return 0;
}

static int file_start(struct source *s, const char *shard, uint32_t number, uint32_t generation, struct seq after,
                      const char *note, struct err *e)
{
    struct file_source *f = (struct file_source *)s;
    (void)shard;
    f->number = number;
    f->generation = generation;
    f->after = after;
    snprintf(f->note, sizeof f->note, "%s", note ? note : "");
    f->running = pthread_create(&f->thread, NULL, file_main, f) == 0;
    return f->running ? 0 : err_set(e, ERR_IO, "cannot start a thread");
}

static void file_stop(struct source *s, uint32_t number)
{
    (void)number;
    atomic_store(&((struct file_source *)s)->stop, true);
}

static void file_close(struct source *s)
{
    struct file_source *f = (struct file_source *)s;
    atomic_store(&f->stop, true);
    if (f->running)
        pthread_join(f->thread, NULL);
    if (f->form == GZIP)
        inflateEnd(&f->gz);
    ZSTD_freeDCtx(f->zstd);
    if (f->fd > 0)
        close(f->fd);
    free(f->input);
    free(f->path);
    free(f->identity);
    free(f);
}

static void know_form(struct file_source *f)
{
    static const uint8_t zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (f->in_n >= 2 && f->input[0] == 0x1f && f->input[1] == 0x8b) {
        f->form = GZIP;
        inflateInit2(&f->gz, 15 + 16);
    } else if (f->in_n >= 4 && memcmp(f->input, zstd_magic, 4) == 0) {
        f->form = ZSTD;
        f->zstd = ZSTD_createDCtx();
    }
}

/* The hash of the first bytes says with its length how many they were, so that a small file that grows is
 * still the same: a later look hashes as many. */
static char *identity_of(struct file_source *f, const char *path)
{
    char real[PATH_MAX], id[64];
    uint64_t r[2] = {0};
    if (strcmp(path, "-") == 0) {
        if (getrandom(r, sizeof r, 0) < 0)
            r[0] = (uint64_t)clock_wall_us(f->env.clock);
        snprintf(id, sizeof id, "stdin:%016llx%016llx", (unsigned long long)r[0], (unsigned long long)r[1]);
        return mem_strdup(id);
    }
    return mem_printf("file:%s", realpath(path, real) ? real : path);
}

struct source *source_file_open(const char *path, const struct source_env *env, struct err *e)
{
    static const struct source_ops ops = {file_identity, file_shards, file_resolve, file_start, file_stop, file_close};
    struct file_source *f = mem_zalloc(sizeof *f);
    f->source.ops = &ops;
    f->env = *env;
    f->path = mem_strdup(strcmp(path, "-") == 0 ? "standard input" : path);
    f->fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY | O_CLOEXEC);
    f->input = mem_alloc(INPUT_BYTES);
    f->identity = identity_of(f, path);
    ssize_t n = 0;
    if (f->fd < 0) {
        err_errno(e, errno, "cannot open %s", path);
    } else {
        while ((n = raw_read(f, f->input + f->in_n, HEAD_MAX - f->in_n, e)) > 0)
            f->in_n += (size_t)n;
        if (n == 0 || f->in_n) {
            know_form(f);
            return &f->source;
        }
    }
    file_close(&f->source);
    return NULL;
}
