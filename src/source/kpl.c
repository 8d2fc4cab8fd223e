/* kpl: see kpl.h. The protobuf is read by hand: three fields of the outer message, one of the inner
 * one; everything else is skipped by its wire type. */
#include "source/kpl.h"

#include <openssl/evp.h>
#include <stdio.h>

static const uint8_t magic[4] = {0xf3, 0x89, 0x9a, 0xc2};
#define MD5_BYTES 16
#define FIELD_KEYS 1
#define FIELD_RECORDS 3
#define FIELD_DATA 3

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* Steps over one field; for a length-delimited one gives its bytes, else *data is NULL. */
static bool field(const uint8_t **p, const uint8_t *end, uint64_t *number, const uint8_t **data,
                  size_t *n)
{
    uint64_t tag, v;
    *data = NULL;
    *n = 0;
    if (!varint(p, end, &tag))
        return false;
    *number = tag >> 3;
    size_t left;
    switch (tag & 7) {
    case 0:
        return *number != 0 && varint(p, end, &v);
    case 1:
    case 5:
        v = (tag & 7) == 1 ? 8 : 4;
        break;
    case 2:
        if (!varint(p, end, &v))
            return false;
        break;
    default:
        return false;
    }
    left = (size_t)(end - *p);
    if (v > left || *number == 0)
        return false;
    if ((tag & 7) == 2) {
        *data = *p;
        *n = (size_t)v;
    }
    *p += v;
    return true;
}

/* The data field of one inner record; the last wins, as protobuf says. */
static bool record_data(const uint8_t *p, size_t n, const uint8_t **data, size_t *n_data)
{
    const uint8_t *end = p + n, *bytes;
    uint64_t number;
    size_t len;
    bool found = false;
    while (p < end) {
        if (!field(&p, end, &number, &bytes, &len))
            return false;
        if (number == FIELD_DATA && bytes) {
            *data = bytes;
            *n_data = len;
            found = true;
        }
    }
    return found;
}

bool kpl_next(struct kpl *k, const uint8_t **data, size_t *n, int32_t *sub)
{
    uint64_t number;
    const uint8_t *bytes;
    size_t len;
    while (k->p < k->end && field(&k->p, k->end, &number, &bytes, &len)) {
        if (number == FIELD_RECORDS && bytes && record_data(bytes, len, data, n)) {
            *sub = k->next_sub++;
            return true;
        }
    }
    return false;
}

static bool well_formed(const uint8_t *p, const uint8_t *end)
{
    uint64_t number;
    const uint8_t *bytes, *data;
    size_t len, n;
    while (p < end)
        if (!field(&p, end, &number, &bytes, &len) ||
            (number == FIELD_RECORDS && (!bytes || !record_data(bytes, len, &data, &n))))
            return false;
    return true;
}

bool kpl_open(struct kpl *k, const uint8_t *p, size_t n)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (n <= sizeof magic + MD5_BYTES || memcmp(p, magic, sizeof magic) != 0)
        return false;
    const uint8_t *body = p + sizeof magic, *end = p + n - MD5_BYTES;
    if (!EVP_Digest(body, (size_t)(end - body), digest, NULL, EVP_md5(), NULL) ||
        memcmp(digest, end, MD5_BYTES) != 0 || !well_formed(body, end))
        return false;
    *k = (struct kpl){.p = body, .end = end};
    return true;
}

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_putc(b, (uint8_t)(v | 0x80));
    buf_putc(b, (uint8_t)v);
}

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

void kpl_writer_add(struct kpl_writer *w, const char *partition_key, const uint8_t *data, size_t n)
{
    if (w->n_keys == 0 || strcmp(w->last_key, partition_key) != 0) {
        size_t len = strnlen(partition_key, 256);
        put_varint(&w->keys, FIELD_KEYS << 3 | 2);
        put_varint(&w->keys, len);
        buf_put(&w->keys, partition_key, len);
        if (w->n_keys == 0)
            snprintf(w->first_key, sizeof w->first_key, "%s", partition_key);
        snprintf(w->last_key, sizeof w->last_key, "%s", partition_key);
        w->last_key_index = w->n_keys++;
    }
    put_varint(&w->records, FIELD_RECORDS << 3 | 2);
    put_varint(&w->records, 1 + varint_size(w->last_key_index) + 1 + varint_size(n) + n);
    put_varint(&w->records, 1 << 3);
    put_varint(&w->records, w->last_key_index);
    put_varint(&w->records, FIELD_DATA << 3 | 2);
    put_varint(&w->records, n);
    buf_put(&w->records, data, n);
    w->n_records++;
}

size_t kpl_writer_size(const struct kpl_writer *w)
{
    return sizeof magic + w->keys.n + w->records.n + MD5_BYTES;
}

void kpl_writer_finish(struct kpl_writer *w, struct buf *out)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    buf_put(out, magic, sizeof magic);
    size_t body = out->n;
    buf_put(out, w->keys.p, w->keys.n);
    buf_put(out, w->records.p, w->records.n);
    invariant(EVP_Digest(out->p + body, out->n - body, digest, NULL, EVP_md5(), NULL) == 1);
    buf_put(out, digest, MD5_BYTES);
    w->keys.n = w->records.n = 0;
    w->n_keys = w->n_records = 0;
}

void kpl_writer_fini(struct kpl_writer *w)
{
    buf_fini(&w->keys);
    buf_fini(&w->records);
}
