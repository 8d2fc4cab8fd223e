/* A row's id and times, until they are encoded: one entry of 40 bytes, instead of five columns' places. Rows of a hundred
 * names come to ever other places, which are in no near cache; and what is kept until then is half as much. The columns are
 * made of it in the end, set by set, where what is written is read at once. */
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/err.h"
#include "shred/shred_int.h"

#define ROWS_MIN 16
#define DATETIME_MOST 28 /* with seven digits */

void heads_grow(struct rowset *r, uint32_t hint)
{
    size_t one = sizeof *r->heads, cap = r->cap_heads, rows = cap + cap / 2 + ROWS_MIN;
    if (cap < hint)
        rows = hint / 8 <= cap ? hint + hint / 16 + ROWS_MIN : cap * 4 + ROWS_MIN;
    size_t bytes = rows * one;
    r->heads = arena_regrow(&r->arena, r->heads, cap * one, cap * one, &bytes, 64);
    r->cap_heads = (uint32_t)(bytes / one);
}

/* ---- what does not fit: for each odd row, in order, the id's length and text, then the number, and the datetime's
 * length and text */

static void put_odd(struct rowset *r, const void *p, size_t n)
{
    if (r->cap_odds - r->n_odds < n) {
        size_t cap = r->cap_odds + r->cap_odds / 2 + n + 64;
        r->odds = arena_regrow(&r->arena, r->odds, r->cap_odds, r->n_odds, &cap, 8);
        r->cap_odds = cap;
    }
    memcpy(r->odds + r->n_odds, p, n);
    r->n_odds += n;
}

void heads_odd(struct rowset *r, uint32_t form, struct str uuid, const struct event_time *t)
{
    uint16_t n = (uint16_t)uuid.n;
    if (form & HEAD_ODD_ID) {
        put_odd(r, &n, sizeof n);
        put_odd(r, uuid.p, n);
    }
    if (form & HEAD_ODD_TIME) {
        put_odd(r, &t->number, sizeof t->number);
        put_odd(r, &t->datetime_n, 1);
        put_odd(r, t->datetime, t->datetime_n);
    }
}

void heads_append(struct rowset *to, const struct rowset *from)
{
    while (to->cap_heads - to->rows < from->rows)
        heads_grow(to, to->rows + from->rows);
    memcpy(to->heads + to->rows, from->heads, from->rows * sizeof *to->heads);
    if (from->n_odds)
        put_odd(to, from->odds, from->n_odds);
}

/* ---- columns */

/* 16 bytes as 32 lower-case digits. */
static inline void hex(const uint64_t id[2], uint8_t out[32])
{
#if defined(__SSE2__)
    const __m128i low = _mm_set1_epi8(0x0f), nine = _mm_set1_epi8(9), zero = _mm_set1_epi8('0'),
                  letters = _mm_set1_epi8('a' - '9' - 1);
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)id), half[2];
    __m128i ones = _mm_and_si128(v, low), tens = _mm_and_si128(_mm_srli_epi16(v, 4), low);
    half[0] = _mm_unpacklo_epi8(tens, ones);
    half[1] = _mm_unpackhi_epi8(tens, ones);
    for (int i = 0; i < 2; i++) {
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(half[i], nine), letters);
        _mm_storeu_si128((__m128i *)(void *)(out + 16 * i), _mm_add_epi8(_mm_add_epi8(half[i], zero), letter));
    }
#else
    const uint8_t *bytes = (const uint8_t *)id;
    for (int i = 0; i < 16; i++) {
        out[2 * i] = (uint8_t)"0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = (uint8_t)"0123456789abcdef"[bytes[i] & 15];
    }
#endif
}

static inline void put_id(struct column *c, const uint64_t id[2])
{
    uint8_t digits[32], *to = c->texts + c->n_bytes + 4;
    hex(id, digits);
    memcpy(to, digits, 8);
    memcpy(to + 9, digits + 8, 4);
    memcpy(to + 14, digits + 12, 4);
    memcpy(to + 19, digits + 16, 4);
    memcpy(to + 24, digits + 20, 12);
    to[8] = to[13] = to[18] = to[23] = '-';
    column_text_end(c, 36);
}

/* ".123456" and the seventh digit. */
static inline uint64_t fraction(uint32_t micros, uint32_t seventh)
{
    uint64_t pairs = micros / 10000 | (uint64_t)(micros / 100 % 100) << 16 | (uint64_t)(micros % 100) << 32;
    uint64_t tens = (pairs * 103 >> 10) & UINT64_C(0x000f000f000f), ones = pairs - tens * 10;
    return '.' | ((tens | ones << 8) + UINT64_C(0x303030303030)) << 8 | (uint64_t)('0' + seventh) << 56;
}

/* created_at and created_datetime, of seconds in ten digits. */
static inline void put_times(struct rowset *r, const struct row_head *h, struct event_time_cache *times)
{
    struct column *number = &r->cols[ENV_CREATED_AT].col, *text = &r->cols[ENV_DATETIME].col;
    static const uint64_t tens[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    uint64_t us = (uint64_t)h->time_us, whole = us / 1000000;
    uint32_t micros = (uint32_t)(us - whole * 1000000), places = h->form & 15, seventh = h->form >> 4 & 15;
    uint64_t of_day = event_time_of_day((int64_t)whole, times), digits = fraction(micros, seventh);
    double *d = &number->doubles[number->n_values];
    bool exact;
    if (places > 6) {
        event_time_nearest(us * 10 + seventh, 7, whole, (uint64_t)micros * 10 + seventh, d, &exact);
    } else { /* both exact, or as it always was: the nearest */
        uint64_t scaled = us / tens[places], scale = 1000000 / tens[places];
        *d = (double)scaled / (double)scale;
    }
    uint8_t *to = text->texts + text->n_bytes + 4;
    uint32_t n = places ? places + 1 : 0;
    memcpy(to, times->date, 16);
    memcpy(to + 11, &of_day, 8);
    memcpy(to + 19, &digits, 8);
    to[19 + n] = 'Z';
    column_text_end(text, 20 + n);
}

static const uint8_t *put_odd_id(struct column *c, const uint8_t *odd)
{
    uint16_t n;
    memcpy(&n, odd, sizeof n);
    column_text(c, odd + sizeof n, n);
    return odd + sizeof n + n;
}

static const uint8_t *put_odd_times(struct rowset *r, const uint8_t *odd)
{
    struct column *number = &r->cols[ENV_CREATED_AT].col, *text = &r->cols[ENV_DATETIME].col;
    memcpy(&number->doubles[number->n_values], odd, sizeof(double));
    odd += sizeof(double);
    column_text(text, odd + 1, *odd);
    return odd + 1 + *odd;
}

/* All rows have a value, of `width` bytes, or texts that take so many in all. */
static void room(struct rowset *r, int col, size_t width, size_t texts)
{
    struct column *c = &r->cols[col].col;
    c->rows = c->n_levels = r->rows;
    if (c->max_def) {
        size_t levels = r->rows;
        c->def = arena_regrow(&r->arena, NULL, 0, 0, &levels, 8);
        c->cap_levels = r->rows;
        memset(c->def, c->max_def, r->rows);
    }
    size_t bytes = width ? width * r->rows : texts;
    c->values = arena_regrow(&r->arena, NULL, 0, 0, &bytes, 64);
    c->cap_values = width ? r->rows : 0;
    c->cap_bytes = texts;
}

void rowset_columns(struct rowset *r)
{
    struct event_time_cache times = {0};
    struct rowset_column *c = r->cols;
    const uint8_t *odd = r->odds;
    if (!r->heads) /* dead letters, or it is done */
        return;
    room(r, ENV_UUID, 0, (size_t)40 * r->rows + r->n_odds + 16);
    room(r, ENV_CREATED_AT, sizeof *c->col.doubles, 0);
    room(r, ENV_DATETIME, 0, (size_t)(4 + DATETIME_MOST) * r->rows + r->n_odds + 16);
    room(r, ENV_TIME, sizeof *c->col.longs, 0);
    room(r, ENV_ARRIVED, sizeof *c->col.longs, 0);
    for (uint32_t i = 0; i < r->rows; i++) {
        const struct row_head *h = &r->heads[i];
        if (h->form & HEAD_ODD_ID)
            odd = put_odd_id(&c[ENV_UUID].col, odd);
        else
            put_id(&c[ENV_UUID].col, h->id);
        if (h->form & HEAD_ODD_TIME)
            odd = put_odd_times(r, odd);
        else
            put_times(r, h, &times);
        c[ENV_TIME].col.longs[i] = h->time_us;
        c[ENV_ARRIVED].col.longs[i] = h->arrived_us;
        for (int k = ENV_UUID; k <= ENV_ARRIVED; k++)
            c[k].col.n_values = i + 1;
    }
    arena_give(&r->arena, r->heads, r->cap_heads * sizeof *r->heads);
    arena_give(&r->arena, r->odds, r->cap_odds);
    r->heads = NULL;
    r->odds = NULL;
    r->cap_heads = 0;
    r->n_odds = r->cap_odds = 0;
}
