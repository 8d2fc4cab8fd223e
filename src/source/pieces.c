/* What is not whole at a piece's end is kept in `rest`, and goes on there with as much of the next piece as it takes: twice
 * as much with each try, so that a record of many pieces is not looked at from its beginning with each of them. A broken
 * answer is one that never gets whole. See pieces.h. */
#include "source/pieces.h"

#include <string.h>

#include "codec/base64.h"

#define TRY_BYTES 2048

/* Takes what is whole of p up to n, from `at` on; where that ends. BASE64_PAD bytes after it can be read. */
static size_t advance(struct pieces *s, const char *p, size_t n, size_t at)
{
    size_t to;
    if (s->at == PIECES_BEFORE && (to = body_before(p, n)) > 0) {
        buf_put(&s->outside, p, to);
        s->at = PIECES_INSIDE;
        at = to;
    }
    while (s->at == PIECES_INSIDE) {
        to = at;
        int rc = body_element(p, n, &to, &s->all);
        if (rc < 0)
            break;
        at = to;
        if (rc == 0) {
            buf_putc(&s->outside, ']');
            s->at = PIECES_AFTER;
        }
    }
    if (s->at == PIECES_AFTER) {
        buf_put(&s->outside, p + at, n - at);
        at = n;
    }
    return at;
}

static void keep_from(struct buf *b, size_t at)
{
    memmove(b->p, b->p + at, b->n - at);
    b->n -= at;
}

/* How much of the piece was taken to make whole what was left of those before it; all that is left now is of this one, or
 * there is nothing more of it. */
static size_t go_on(struct pieces *s, const char *p, size_t n)
{
    size_t taken = 0;
    while (s->rest.n && taken < n) {
        size_t some = s->rest.n > TRY_BYTES ? s->rest.n : TRY_BYTES, before = s->rest.n;
        some = some < n - taken ? some : n - taken;
        buf_put(&s->rest, p + taken, some);
        buf_reserve(&s->rest, BODY_PAD);
        size_t at = advance(s, (const char *)s->rest.p, s->rest.n, 0);
        if (at >= before) {
            s->rest.n = 0;
            return taken + at - before;
        }
        keep_from(&s->rest, at);
        taken += some;
    }
    return taken;
}

void pieces_put(struct pieces *s, const char *p, size_t n)
{
    if (n > s->room - s->bytes)
        n = s->room - s->bytes; /* so it will not be whole */
    s->in_cbor |= n && !s->bytes && packed_begins((uint8_t)*p);
    s->bytes += n;
    if (s->in_cbor) {
        memcpy(s->all.out + s->all.n_out, p, n);
        s->all.n_out += n;
        packed_more(&s->packed, s->all.out, s->all.n_out, &s->all);
        return;
    }
    size_t at = go_on(s, p, n);
    if (n - at > BODY_PAD)
        at = advance(s, p, n - BODY_PAD, at);
    buf_put(&s->rest, p + at, n - at);
}

bool pieces_end(struct pieces *s, struct body *b)
{
    if (s->in_cbor) {
        memset(s->all.out + s->all.n_out, 0, BODY_PAD);
        return packed_end(&s->packed, s->all.n_out, b);
    }
    memset(buf_reserve(&s->rest, BODY_PAD), 0, BODY_PAD);
    size_t at = advance(s, (const char *)s->rest.p, s->rest.n, 0);
    memset(s->all.out + s->all.n_out, 0, BODY_PAD);
    return at == s->rest.n && s->at == PIECES_AFTER && body_open(b, (const char *)s->outside.p, s->outside.n) &&
           b->records.n == 0 && !b->twice;
}

void pieces_fini(struct pieces *s)
{
    buf_fini(&s->rest);
    buf_fini(&s->outside);
}
