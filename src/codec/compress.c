/* See compress.h. Snappy is decoded here, as it takes a page and no writer of ours makes it. */
#include "codec/compress.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_compressSequences */
#include <zstd.h>

#include "base/mem.h"

/* At the fastest level the table of matches is kept to 32 KB, so that it stays in the nearest
 * cache: a third faster on Parquet's pages, and no larger. Matches of five bytes, not six or seven, make
 * them 2% smaller in the same time. */
#define FAST_LEVEL 1
#define FAST_HASH_LOG 13
#define FAST_MATCH_MIN 5

struct compress_zstd {
    ZSTD_CCtx *ctx;
    bool matches; /* it takes those of others */
};

/* From 1.5.4 on, before which repeated distances were not looked for among the matches given. */
#if ZSTD_VERSION_NUMBER >= 10504
#pragma weak ZSTD_compressSequences /* its makers promise it to static linking alone */
_Static_assert(sizeof(struct compress_match) == sizeof(ZSTD_Sequence) &&
                   offsetof(struct compress_match, back) == offsetof(ZSTD_Sequence, offset) &&
                   offsetof(struct compress_match, literals) == offsetof(ZSTD_Sequence, litLength) &&
                   offsetof(struct compress_match, match) == offsetof(ZSTD_Sequence, matchLength) &&
                   COMPRESS_BLOCK_MAX == ZSTD_BLOCKSIZE_MAX,
               "a match is what zstd calls a sequence");

static bool take_matches(ZSTD_CCtx *ctx)
{
    return ZSTD_versionNumber() >= 10504 && ZSTD_compressSequences &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_blockDelimiters, ZSTD_sf_explicitBlockDelimiters)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_searchForExternalRepcodes, ZSTD_ps_enable));
}

static bool squeeze_literals(ZSTD_CCtx *ctx, bool yes)
{
    ZSTD_CCtx_reset(ctx, ZSTD_reset_session_only); /* no parameter is taken without */
    return !ZSTD_isError(
        ZSTD_CCtx_setParameter(ctx, ZSTD_c_literalCompressionMode, yes ? ZSTD_ps_auto : ZSTD_ps_disable));
}

static size_t with_matches(ZSTD_CCtx *ctx, void *to, size_t room, const struct compress_matches *m, const void *p,
                           size_t n)
{
    return ZSTD_compressSequences(ctx, to, room, (const ZSTD_Sequence *)(const void *)m->each, m->n, p, n);
}
#else
static bool take_matches(ZSTD_CCtx *ctx)
{
    (void)ctx;
    return false;
}

static bool squeeze_literals(ZSTD_CCtx *ctx, bool yes)
{
    (void)ctx;
    (void)yes;
    return false;
}

static size_t with_matches(ZSTD_CCtx *ctx, void *to, size_t room, const struct compress_matches *m, const void *p,
                           size_t n)
{
    (void)m;
    return ZSTD_compress2(ctx, to, room, p, n);
}
#endif

struct compress_zstd *compress_zstd_new(int level)
{
    struct compress_zstd *z = mem_zalloc(sizeof *z);
    z->ctx = ZSTD_createCCtx();
    invariant(z->ctx);
    ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_compressionLevel, level);
    if (level == FAST_LEVEL) {
        ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_hashLog, FAST_HASH_LOG);
        ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_minMatch, FAST_MATCH_MIN);
    }
    z->matches = level == FAST_LEVEL && take_matches(z->ctx);
    return z;
}

void compress_zstd_free(struct compress_zstd *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->ctx);
    free(z);
}

int compress_zstd_put(struct compress_zstd *z, struct buf *out, const void *p, size_t n, struct err *e)
{
    size_t bound = ZSTD_compressBound(n);
    size_t got = ZSTD_compress2(z->ctx, buf_reserve(out, bound), bound, p, n);
    if (ZSTD_isError(got))
        return err_set(e, ERR_IO, "zstd: %s", ZSTD_getErrorName(got));
    out->n += got;
    return 0;
}

/* ---- matches of the caller's */

void compress_matches_fini(struct compress_matches *m)
{
    free(m->each);
    *m = (struct compress_matches){0};
}

void compress_matches_begin(struct compress_matches *m)
{
    m->n = m->at = m->block = 0;
}

size_t compress_matches_room(struct compress_matches *m, size_t literals, size_t match)
{
    invariant(match <= COMPRESS_MATCH_MAX);
    size_t need = m->n + 4 + literals / COMPRESS_BLOCK_MAX + 2;
    if (need > m->cap) {
        m->cap = need + m->cap / 2 + 1024;
        m->each = mem_regrow(m->each, m->cap, sizeof *m->each);
    }
    while (m->block + literals + match > COMPRESS_BLOCK_MAX) {
        size_t room = COMPRESS_BLOCK_MAX - m->block, some = literals < room ? literals : room;
        if (m->block && literals + match <= COMPRESS_BLOCK_MAX)
            some = 0; /* it fits the next one */
        compress_matches_end_block(m, some);
        literals -= some;
    }
    return literals;
}

void compress_matches_repeat(struct compress_matches *m, size_t literals, size_t match, size_t back, size_t times)
{
    while (times--) {
        compress_matches_add(m, literals, match, back);
        const struct compress_match again = m->each[m->n - 1];
        size_t size = literals + match, fit = (COMPRESS_BLOCK_MAX - m->block) / size, room = m->cap - m->n;
        fit = fit < times ? fit : times;
        fit = fit < room ? fit : room;
        if (again.match != match)
            continue; /* the end of a block */
        for (size_t i = 0; i < fit; i++)
            m->each[m->n + i] = again;
        m->n += fit;
        m->at += fit * size;
        m->block += fit * size;
        times -= fit;
    }
}

bool compress_zstd_matches(const struct compress_zstd *z)
{
    return z->matches;
}

int compress_zstd_matched(struct compress_zstd *z, struct buf *out, const void *p, size_t n,
                          struct compress_matches *m, struct err *e)
{
    invariant(z->matches && m->at <= n);
    compress_matches_end_block(m, compress_matches_room(m, n - m->at, 0));
    size_t bound = ZSTD_compressBound(n);
    size_t got = with_matches(z->ctx, buf_reserve(out, bound), bound, m, p, n);
    if (ZSTD_isError(got))
        return err_set(e, ERR_IO, "zstd: %s", ZSTD_getErrorName(got));
    out->n += got;
    return 0;
}

int compress_zstd_bare(struct compress_zstd *z, struct buf *out, const void *p, size_t n,
                       struct compress_matches *m, struct err *e)
{
    invariant(squeeze_literals(z->ctx, false));
    int rc = compress_zstd_matched(z, out, p, n, m, e);
    invariant(squeeze_literals(z->ctx, true));
    return rc;
}

/* Literals alone. */
int compress_zstd_stored(struct compress_zstd *z, struct buf *out, const void *p, size_t n,
                         struct compress_matches *scratch, struct err *e)
{
    if (!z->matches)
        return compress_zstd_put(z, out, p, n, e);
    compress_matches_begin(scratch);
    return compress_zstd_bare(z, out, p, n, scratch, e);
}

const char *compress_codec_name(int codec)
{
    static const char *const names[] = {"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO",
                                        "BROTLI",       "LZ4",    "ZSTD", "LZ4_RAW"};
    return codec >= 0 && codec < 8 ? names[codec] : "codec?";
}

static int undo_gzip(const uint8_t *p, size_t n, uint8_t *out, size_t out_n, struct err *e)
{
    z_stream z = {0};
    if (n > UINT_MAX || out_n > UINT_MAX)
        return err_set(e, ERR_INVALID, "gzip: a block of %zu bytes", n);
    if (inflateInit2(&z, 15 + 32) != Z_OK)
        return err_set(e, ERR_NOMEM, "gzip: no memory");
    z.next_in = (z_const Bytef *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)out_n;
    int rc = inflate(&z, Z_FINISH);
    bool ok = rc == Z_STREAM_END && z.avail_out == 0;
    inflateEnd(&z);
    return ok ? 0 : err_set(e, ERR_INVALID, "gzip: a broken block");
}

/* Copies within the output: source and target may overlap, and then the bytes repeat. */
static void repeat(uint8_t *to, size_t back, size_t n)
{
    const uint8_t *from = to - back;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

struct snappy {
    const uint8_t *p;
    size_t n, at;
};

static size_t little(const uint8_t *p, size_t n)
{
    size_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (size_t)p[i] << (8 * i);
    return v;
}

/* One element: a literal, or a copy of 1, 2 or 4 offset bytes. False where it is broken. */
static bool snappy_step(struct snappy *s, uint8_t *out, size_t *done, size_t out_n)
{
    uint8_t tag = s->p[s->at++];
    unsigned kind = tag & 3;
    size_t len = (size_t)(tag >> 2) + 1, extra = kind == 3 ? 4 : kind, back;
    if (kind == 0) {
        size_t more = len > 60 ? len - 60 : 0;
        if (more > s->n - s->at)
            return false;
        if (more)
            len = little(s->p + s->at, more) + 1;
        s->at += more;
        if (len > s->n - s->at || len > out_n - *done)
            return false;
        memcpy(out + *done, s->p + s->at, len);
        s->at += len;
        *done += len;
        return true;
    }
    if (extra > s->n - s->at)
        return false;
    back = little(s->p + s->at, extra);
    s->at += extra;
    if (kind == 1) {
        len = ((tag >> 2) & 7u) + 4;
        back |= (size_t)(tag >> 5) << 8;
    }
    if (back == 0 || back > *done || len > out_n - *done)
        return false;
    repeat(out + *done, back, len);
    *done += len;
    return true;
}

static int undo_snappy(const uint8_t *p, size_t n, uint8_t *out, size_t out_n, struct err *e)
{
    struct snappy s = {p, n, 0};
    uint64_t len = 0;
    size_t done = 0;
    bool more = true;
    for (unsigned shift = 0; more && s.at < n && shift < 35; shift += 7) {
        len |= (uint64_t)(p[s.at] & 0x7f) << shift;
        more = p[s.at++] >= 0x80;
    }
    bool ok = !more && len == out_n;
    while (ok && s.at < n)
        ok = snappy_step(&s, out, &done, out_n);
    return ok && done == out_n ? 0 : err_set(e, ERR_INVALID, "snappy: a broken block");
}

int compress_undo(int codec, const uint8_t *p, size_t n, uint8_t *out, size_t out_n, struct err *e)
{
    switch (codec) {
    case COMPRESS_NONE:
        if (n != out_n)
            return err_set(e, ERR_INVALID, "a block of %zu bytes that should be %zu", n, out_n);
        if (n)
            memcpy(out, p, n);
        return 0;
    case COMPRESS_SNAPPY:
        return undo_snappy(p, n, out, out_n, e);
    case COMPRESS_GZIP:
        return undo_gzip(p, n, out, out_n, e);
    case COMPRESS_ZSTD: {
        size_t got = ZSTD_decompress(out, out_n, p, n);
        if (ZSTD_isError(got))
            return err_set(e, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(got));
        return got == out_n ? 0 : err_set(e, ERR_INVALID, "zstd: a block of another size");
    }
    default:
        return err_set(e, ERR_INVALID, "compression %s is not read", compress_codec_name(codec));
    }
}
