/* input: see input.h. Compressed input goes through one 256 KiB buffer; plain input is read straight
 * into the caller's. */
#include "source/input.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "store/s3.h"

#define RAW_BYTES ((size_t)256 << 10)
#define POLL_MS 100
#define RANGE_BYTES ((size_t)2 << 20)

#define WINDOW_LOG_MIN 23 /* 8 MB: what every decoder has (RFC 8878) */
#define WINDOW_LOG_MAX 31 /* zstd's own */

enum input_kind { INPUT_UNKNOWN, INPUT_PLAIN, INPUT_GZIP, INPUT_ZSTD };

struct input {
    int fd;
    int window_log; /* of zstd data, at the most */
    const char *name;
    const atomic_bool *stop;
    bool regular;
    struct input_object object; /* store NULL: it is a file */
    int64_t offset;             /* of the next range */
    uint8_t *range;             /* range[range_at..range_n) is fetched and not yet used */
    size_t range_at, range_n;
    enum input_kind kind;
    uint8_t *raw; /* raw[at..n) is read and not yet used */
    size_t at, n;
    bool raw_eof;
    z_stream z;
    bool in_member; /* gzip: inside a member; zstd: inside a frame */
    ZSTD_DStream *zs;
};

struct input *input_open(int fd, const char *name, const atomic_bool *stop)
{
    struct input *in = mem_zalloc(sizeof *in);
    struct stat st;
    in->fd = fd;
    in->name = name;
    in->window_log = WINDOW_LOG_MAX;
    in->stop = stop;
    in->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    in->raw = mem_alloc(RAW_BYTES);
    return in;
}

struct input *input_open_object(const struct input_object *o, const char *name,
                                const atomic_bool *stop)
{
    struct input *in = mem_zalloc(sizeof *in);
    in->fd = -1;
    in->object = *o;
    in->name = name;
    in->window_log = WINDOW_LOG_MAX;
    in->stop = stop;
    in->regular = true;
    in->raw = mem_alloc(RAW_BYTES);
    in->range = mem_alloc(o->bytes < (int64_t)RANGE_BYTES ? (size_t)o->bytes + 1 : RANGE_BYTES);
    return in;
}

void input_limit_window(struct input *in, size_t bytes)
{
    while (in->window_log > WINDOW_LOG_MIN && (size_t)1 << in->window_log > bytes)
        in->window_log--;
}

void input_close(struct input *in)
{
    if (!in)
        return;
    free(in->range);
    if (in->kind == INPUT_GZIP)
        inflateEnd(&in->z);
    ZSTD_freeDStream(in->zs);
    free(in->raw);
    free(in);
}

static int64_t object_read(struct input *in, uint8_t *out, size_t cap, struct err *e)
{
    const struct input_object *o = &in->object;
    if (in->range_at == in->range_n) {
        int64_t left = o->bytes - in->offset;
        if (atomic_load(in->stop))
            return err_set(e, ERR_STOPPED, "%s: stopped", in->name);
        if (left <= 0)
            return 0;
        size_t want = left < (int64_t)RANGE_BYTES ? (size_t)left : RANGE_BYTES;
        int64_t got = store_s3_read(o->store, o->key, o->etag, in->offset, want, in->range, e);
        if (got >= 0 && (size_t)got != want)
            return err_set(e, ERR_IO, "%s ends before its length", in->name);
        if (got < 0)
            return -1;
        in->offset += got;
        in->range_at = 0;
        in->range_n = want;
    }
    size_t n = in->range_n - in->range_at < cap ? in->range_n - in->range_at : cap;
    memcpy(out, in->range + in->range_at, n);
    in->range_at += n;
    return (int64_t)n;
}

/* One read(2), waiting in slices so that a stop is noticed. 0 at the end. */
static int64_t raw_read(struct input *in, uint8_t *out, size_t cap, int wait_ms, struct err *e)
{
    if (in->object.store)
        return object_read(in, out, cap, e);
    for (int waited = 0; !in->regular; waited += POLL_MS) {
        struct pollfd p = {.fd = in->fd, .events = POLLIN};
        if (atomic_load(in->stop))
            return err_set(e, ERR_STOPPED, "%s: stopped", in->name);
        int slice = wait_ms >= 0 && wait_ms - waited < POLL_MS ? wait_ms - waited : POLL_MS;
        if (poll(&p, 1, slice) > 0)
            break;
        if (wait_ms >= 0 && waited + slice >= wait_ms)
            return INPUT_IDLE;
    }
    for (;;) {
        ssize_t got = read(in->fd, out, cap);
        if (got >= 0)
            return got;
        if (errno != EINTR && errno != EAGAIN)
            return err_errno(e, errno, "cannot read %s", in->name);
    }
}

/* Refills raw where it is used up. 1 with bytes there, 0 at the end, else as raw_read. */
static int64_t refill(struct input *in, int wait_ms, struct err *e)
{
    if (in->at < in->n)
        return 1;
    if (in->raw_eof)
        return 0;
    int64_t got = raw_read(in, in->raw, RAW_BYTES, wait_ms, e);
    if (got < 0)
        return got;
    in->at = 0;
    in->n = (size_t)got;
    in->raw_eof = got == 0;
    return got > 0;
}

/* Looks at the first four bytes. 0, or as raw_read. */
static int64_t detect(struct input *in, int wait_ms, struct err *e)
{
    while (in->n < 4 && !in->raw_eof) {
        int64_t got = raw_read(in, in->raw + in->n, RAW_BYTES - in->n, wait_ms, e);
        if (got < 0)
            return got;
        in->n += (size_t)got;
        in->raw_eof = got == 0;
        if (in->n && in->raw[0] != 0x1f && in->raw[0] != 0x28 && (in->raw[0] & 0xf0) != 0x50)
            break;
    }
    static const uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    bool skippable = in->n >= 4 && (in->raw[0] & 0xf0) == 0x50 &&
                     memcmp(in->raw + 1, "\x2a\x4d\x18", 3) == 0;
    if (in->n >= 2 && in->raw[0] == 0x1f && in->raw[1] == 0x8b) {
        if (inflateInit2(&in->z, 15 + 16) != Z_OK)
            return err_set(e, ERR_NOMEM, "%s: zlib does not start", in->name);
        in->kind = INPUT_GZIP;
        in->in_member = true;
    } else if (skippable || (in->n >= 4 && memcmp(in->raw, zstd_magic, 4) == 0)) {
        in->zs = ZSTD_createDStream();
        invariant(in->zs != NULL);
        ZSTD_DCtx_setParameter(in->zs, ZSTD_d_windowLogMax, in->window_log);
        in->kind = INPUT_ZSTD;
    } else {
        in->kind = INPUT_PLAIN;
    }
    return 0;
}

static int64_t read_plain(struct input *in, uint8_t *out, size_t cap, int wait_ms, struct err *e)
{
    size_t have = in->n - in->at;
    if (have == 0)
        return in->raw_eof && !in->regular ? 0 : raw_read(in, out, cap, wait_ms, e);
    if (have > cap)
        have = cap;
    memcpy(out, in->raw + in->at, have);
    in->at += have;
    return (int64_t)have;
}

/* Between members: zero padding is skipped, anything else must be a member. */
static void next_member(struct input *in)
{
    while (in->at < in->n && in->raw[in->at] == 0)
        in->at++;
    if (in->at < in->n) {
        inflateReset(&in->z);
        in->in_member = true;
    }
}

static int64_t read_gzip(struct input *in, uint8_t *out, size_t cap, int wait_ms, struct err *e)
{
    for (;;) {
        int64_t more = refill(in, wait_ms, e);
        if (more < 0)
            return more;
        if (more == 0 && in->in_member)
            return err_set(e, ERR_INVALID, "%s: the gzip data ends in the middle", in->name);
        if (more == 0)
            return 0;
        if (!in->in_member) {
            next_member(in);
            continue;
        }
        uInt room = cap > (1u << 30) ? 1u << 30 : (uInt)cap;
        in->z.next_in = in->raw + in->at;
        in->z.avail_in = (uInt)(in->n - in->at);
        in->z.next_out = out;
        in->z.avail_out = room;
        int rc = inflate(&in->z, Z_NO_FLUSH);
        in->at = in->n - in->z.avail_in;
        if (rc == Z_STREAM_END)
            in->in_member = false;
        else if (rc != Z_OK && rc != Z_BUF_ERROR)
            return err_set(e, ERR_INVALID, "%s: damaged gzip data: %s", in->name,
                           in->z.msg ? in->z.msg : "unknown error");
        if (in->z.avail_out < room)
            return (int64_t)(room - in->z.avail_out);
    }
}

static int64_t read_zstd(struct input *in, uint8_t *out, size_t cap, int wait_ms, struct err *e)
{
    for (;;) {
        /* With no input left the decoder may still hold output: ask it once before the end. */
        int64_t more = refill(in, wait_ms, e);
        if (more < 0)
            return more;
        ZSTD_inBuffer src = {in->raw, in->n, in->at};
        ZSTD_outBuffer dst = {out, cap, 0};
        if (more == 0 && !in->in_member)
            return 0;
        size_t rc = ZSTD_decompressStream(in->zs, &dst, &src);
        in->at = src.pos;
        if (ZSTD_isError(rc) && ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge)
            return err_set(e, ERR_INVALID,
                           "%s: its zstd data needs a window of more than %zu MB (zstd --long, --ultra), which is more "
                           "than half of the memory: give more (--memory), or decompress it before",
                           in->name, ((size_t)1 << in->window_log) >> 20);
        if (ZSTD_isError(rc))
            return err_set(e, ERR_INVALID, "%s: damaged zstd data: %s", in->name,
                           ZSTD_getErrorName(rc));
        in->in_member = rc != 0;
        if (dst.pos)
            return (int64_t)dst.pos;
        if (more == 0)
            return err_set(e, ERR_INVALID, "%s: the zstd data ends in the middle", in->name);
    }
}

int64_t input_read(struct input *in, uint8_t *out, size_t cap, int wait_ms, struct err *e)
{
    if (in->kind == INPUT_UNKNOWN) {
        int64_t rc = detect(in, wait_ms, e);
        if (rc < 0)
            return rc;
    }
    switch (in->kind) {
    case INPUT_GZIP:
        return read_gzip(in, out, cap, wait_ms, e);
    case INPUT_ZSTD:
        return read_zstd(in, out, cap, wait_ms, e);
    default:
        return read_plain(in, out, cap, wait_ms, e);
    }
}

static int too_short(const struct input *in, uint64_t offset, struct err *e)
{
    return err_set(e, ERR_INVALID,
                   "%s is shorter than the position reached in it before (%llu bytes): it was "
                   "replaced; load it under another name or path",
                   in->name, (unsigned long long)offset);
}

static int64_t seek_plain(struct input *in, uint64_t offset, uint8_t *tail, size_t n_tail,
                          struct err *e)
{
    size_t want = offset < n_tail ? (size_t)offset : n_tail, got = 0;
    if (in->object.store) {
        if ((int64_t)offset > in->object.bytes)
            return too_short(in, offset, e);
        if (store_s3_read(in->object.store, in->object.key, in->object.etag, (int64_t)(offset - want), want,
                          tail, e) != (int64_t)want)
            return -1;
        in->offset = (int64_t)offset;
        in->range_at = in->range_n = in->at = in->n = 0;
        in->raw_eof = false;
        return (int64_t)want;
    }
    while (got < want) {
        ssize_t r = pread(in->fd, tail + got, want - got, (off_t)(offset - want + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno(e, errno, "cannot read %s", in->name);
        if (r == 0)
            return too_short(in, offset, e);
        got += (size_t)r;
    }
    if (lseek(in->fd, (off_t)offset, SEEK_SET) < 0)
        return err_errno(e, errno, "cannot seek in %s", in->name);
    in->at = in->n = 0;
    in->raw_eof = false;
    return (int64_t)want;
}

/* Appends `n` bytes to a tail of at most `max`, which keeps the newest. */
static size_t keep_tail(uint8_t *tail, size_t have, size_t max, const uint8_t *p, size_t n)
{
    if (n >= max) {
        memcpy(tail, p + n - max, max);
        return max;
    }
    size_t keep = have + n > max ? max - n : have;
    memmove(tail, tail + have - keep, keep);
    memcpy(tail + keep, p, n);
    return keep + n;
}

int64_t input_skip(struct input *in, uint64_t offset, uint8_t *tail, size_t n_tail, struct err *e)
{
    if (offset == 0)
        return 0;
    int64_t rc = detect(in, -1, e);
    if (rc < 0)
        return rc;
    if (in->kind == INPUT_PLAIN && in->regular)
        return seek_plain(in, offset, tail, n_tail, e);
    uint8_t *chunk = mem_alloc(RAW_BYTES);
    size_t kept = 0;
    while (offset > 0) {
        size_t want = offset < RAW_BYTES ? (size_t)offset : RAW_BYTES;
        rc = atomic_load(in->stop) ? err_set(e, ERR_STOPPED, "%s: stopped", in->name)
                                   : input_read(in, chunk, want, -1, e);
        if (rc == 0)
            rc = too_short(in, offset, e);
        if (rc < 0)
            break;
        kept = keep_tail(tail, kept, n_tail, chunk, (size_t)rc);
        offset -= (uint64_t)rc;
    }
    free(chunk);
    return offset > 0 ? -1 : (int64_t)kept;
}
