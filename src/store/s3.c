/* s3: see s3.h. */
#include "store/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/crc.h"
#include "codec/digest.h"
#include "store/s3_int.h"

#define PATIENCE_MS 60000
#define META_PUT "x-amz-meta-inlet-put"
#define META_SHA256 "x-amz-meta-inlet-sha256"
#define READ_TRIES 3 /* of a body that does not match its checksum */

void s3_digest(const void *p, size_t n, struct s3_digest *out)
{
    uint8_t h[32];
    digest_sha256(n ? p : "", n, h);
    for (int i = 0; i < 32; i++)
        snprintf(out->hex + 2 * i, 3, "%02x", h[i]);
    out->base64[base64_encode(out->base64, h, 32)] = '\0';
}

void s3_put_id(char out[33])
{
    uint8_t r[16];
    invariant(getentropy(r, sizeof r) == 0);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", r[i]);
}

int s3_key_check(const char *key, struct err *e)
{
    size_t n = strlen(key);
    /* S3 takes any bytes; readers of s3:// URIs (and we) do not take these. */
    bool ok = n > 0 && n <= S3_KEY_MAX && key[0] != '/' && !strpbrk(key, "\r\n") && !strstr(key, "//") &&
              strncmp(key, "../", 3) != 0 && !strstr(key, "/../");
    return ok ? 0 : err_set(e, ERR_INVALID, "not a usable object key: '%.200s'", key);
}

void s3_encryption(const struct s3 *s, struct s3_call *c)
{
    if (s->encryption)
        s3_header(c, "x-amz-server-side-encryption", s->encryption);
    if (s->kms_key)
        s3_header(c, "x-amz-server-side-encryption-aws-kms-key-id", s->kms_key);
}

/* ---- put ---- */

struct put {
    struct s3_digest digest;
    char id[33];
};

static void put_prepare(const struct s3 *s, struct s3_call *c, struct put *p, const struct store_object *o)
{
    s3_digest(o->p, o->n, &p->digest);
    s3_put_id(p->id);
    *c = (struct s3_call){.action = "PutObject", .method = "PUT", .key = o->key, .body = o->p,
                          .n_body = o->n, .payload_hash = p->digest.hex, .wants_etag = true};
    s3_header(c, "Content-Type", "application/octet-stream");
    s3_header(c, "If-None-Match", "*");
    s3_header(c, "x-amz-checksum-sha256", p->digest.base64);
    s3_header(c, "x-amz-sdk-checksum-algorithm", "SHA256");
    s3_header(c, META_PUT, p->id);
    s3_header(c, META_SHA256, p->digest.hex);
    s3_encryption(s, c);
}

int s3_is_ours(struct s3 *s, const char *key, const char *put_id, struct err *e)
{
    struct s3_call c = {.action = "HeadObject", .method = "HEAD", .key = key, .wants_etag = true};
    size_t n = 0;
    int rc = s3_call_one(s, &c, e);
    const char *id = rc ? NULL : http_header(&c.response, META_PUT, &n);
    if (rc == 0)
        rc = id && n == strlen(put_id) && memcmp(id, put_id, n) == 0;
    s3_call_fini(&c);
    return rc;
}

/* One that was sent more than once may find itself there already. */
static int put_settle(struct s3 *s, const struct s3_call *c, const struct put *p, struct err *e)
{
    int ours = c->rc && c->err.kind == ERR_CONFLICT && c->unsure ? s3_is_ours(s, c->key, p->id, e) : 0;
    if (c->rc == 0 || ours == 1)
        return 0;
    if (ours < 0)
        return err_wrap(e, "whether the put of %s/%s is there cannot be said", s->base.root_uri, c->key);
    if (c->err.kind == ERR_CONFLICT)
        return err_set(e, ERR_CONFLICT, "%s/%s exists already", s->base.root_uri, c->key);
    return err_set(e, c->err.kind, "%s", c->err.text);
}

static int s3_put_all(struct store *store, const struct store_object *o, size_t n, struct err *e)
{
    struct s3 *s = s3_of(store);
    struct s3_call *calls = mem_array(n + 1, sizeof *calls);
    struct put *puts = mem_array(n + 1, sizeof *puts);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = s3_key_check(o[i].key, e);
        put_prepare(s, &calls[i], &puts[i], &o[i]);
    }
    if (rc == 0) {
        struct err ignored;
        s3_run(s, calls, n, &ignored);
        for (size_t i = 0; rc == 0 && i < n; i++)
            rc = put_settle(s, &calls[i], &puts[i], e);
    }
    for (size_t i = 0; i < n; i++)
        s3_call_fini(&calls[i]);
    free(calls);
    free(puts);
    return rc;
}

static int s3_put(struct store *store, const char *key, const void *p, size_t n, struct err *e)
{
    return s3_put_all(store, &(struct store_object){key, p, n}, 1, e);
}

/* ---- get ---- */

static bool header_is(const struct http_response *r, const char *name, const char *value)
{
    size_t n = 0;
    const char *v = http_header(r, name, &n);
    return v && n == strlen(value) && memcmp(v, value, n) == 0;
}

static void big_endian(uint64_t v, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static void sum_crc32(const void *p, size_t n, uint8_t *out)
{
    big_endian(crc_32(p, n), 4, out);
}
static void sum_crc32c(const void *p, size_t n, uint8_t *out)
{
    big_endian(crc_32c(p, n), 4, out);
}
static void sum_crc64(const void *p, size_t n, uint8_t *out)
{
    big_endian(crc_64_nvme(p, n), 8, out);
}

/* Is the body the one that was put? S3 keeps a CRC-64/NVME of what came without a checksum. One of an upload in
 * parts, "...-N", is of the parts' checksums, of which the answer says nothing; such, and none that we know, pass. */
static bool body_is_whole(const struct http_response *r)
{
    static const struct {
        const char *header;
        size_t n;
        void (*make)(const void *p, size_t n, uint8_t *out);
    } sums[] = {{"x-amz-checksum-sha256", 32, digest_sha256},
                {"x-amz-checksum-sha1", 20, digest_sha1},
                {"x-amz-checksum-crc64nvme", 8, sum_crc64},
                {"x-amz-checksum-crc32c", 4, sum_crc32c},
                {"x-amz-checksum-crc32", 4, sum_crc32}};
    size_t n = 0;
    const char *type = http_header(r, "x-amz-checksum-type", &n);
    const void *p = r->body.n ? r->body.p : (const void *)"";
    bool composite = type && n == 9 && memcmp(type, "COMPOSITE", n) == 0;
    for (size_t i = 0; !composite && i < sizeof sums / sizeof *sums; i++) {
        uint8_t made[32];
        char text[S3_DIGEST_TEXT];
        const char *sum = http_header(r, sums[i].header, &n);
        if (!sum || memchr(sum, '-', n))
            continue;
        sums[i].make(p, r->body.n, made);
        text[base64_encode(text, made, sums[i].n)] = '\0';
        if (!header_is(r, sums[i].header, text))
            return false;
    }
    struct s3_digest d;
    if (!http_header(r, META_SHA256, &n))
        return true;
    s3_digest(r->body.p, r->body.n, &d);
    return header_is(r, META_SHA256, d.hex);
}

static int s3_get(struct store *store, const char *key, size_t limit, struct buf *out, struct err *e)
{
    struct s3 *s = s3_of(store);
    int rc = s3_key_check(key, e);
    bool whole = false;
    for (int i = 0; rc == 0 && !whole && i < READ_TRIES; i++) {
        struct s3_call c = {.action = "GetObject", .method = "GET", .key = key, .wants_etag = true,
                            .response_max = limit, .expected_bytes = 4 << 20};
        c.response_max += limit == 0;
        s3_header(&c, "x-amz-checksum-mode", "ENABLED");
        rc = s3_call_one(s, &c, e);
        whole = rc == 0 && body_is_whole(&c.response);
        if (whole && c.response.body.n > limit)
            rc = err_set(e, ERR_NOMEM, "%s/%s is longer than %zu bytes", store->root_uri, key, limit);
        else if (whole)
            buf_put(out, c.response.body.p, c.response.body.n);
        s3_call_fini(&c);
    }
    if (rc == 0 && !whole)
        rc = err_set(e, ERR_IO, "%s/%s does not match its checksum, read %d times", store->root_uri, key,
                     READ_TRIES);
    return rc;
}

/* Up to n bytes; *status is 206, or 416 where the object ends before. */
static int range(struct s3 *s, const char *key, const char *if_match, int64_t offset, size_t n,
                 struct s3_call *c, struct err *e)
{
    char text[64], etag[160];
    snprintf(text, sizeof text, "bytes=%lld-%lld", (long long)offset, (long long)(offset + (int64_t)n - 1));
    *c = (struct s3_call){.action = "GetObject", .method = "GET", .key = key, .wants_etag = true,
                          .response_max = n, .expected_bytes = (int64_t)n};
    s3_header(c, "Range", text);
    if (if_match) {
        snprintf(etag, sizeof etag, "\"%s\"", if_match);
        s3_header(c, "If-Match", etag);
    }
    if (s3_call_one(s, c, e) == 0)
        return 0;
    return -1;
}

static int64_t read_at(struct s3 *s, const char *key, const char *etag, int64_t offset, size_t n, void *p,
                       struct err *e)
{
    struct s3_call c;
    int64_t got = -1;
    if (s3_key_check(key, e))
        return -1;
    if (range(s, key, etag, offset, n, &c, e)) {
        if (strcmp(c.fault.code, "InvalidRange") == 0)
            got = 0;
        else if (etag && e->kind == ERR_CONFLICT)
            err_set(e, ERR_CONFLICT, "%s/%s was replaced while it was read", s->base.root_uri, key);
    } else if (c.response.status != 206 || c.response.body.n > n) {
        /* A server without ranges sends the whole; only from its start is that what was asked for. */
        err_set(e, ERR_INVALID, "%s/%s: the store answered a range with status %d", s->base.root_uri, key,
                c.response.status);
    } else {
        got = (int64_t)c.response.body.n;
        if (got)
            memcpy(p, c.response.body.p, c.response.body.n);
    }
    s3_call_fini(&c);
    return got;
}

int64_t store_s3_read(struct store *store, const char *key, const char *etag, int64_t offset, size_t n,
                      void *p, struct err *e)
{
    return n ? read_at(s3_of(store), key, etag, offset, n, p, e) : 0;
}

static int s3_get_range(struct store *store, const char *key, int64_t offset, size_t n, void *p,
                        struct err *e)
{
    if (offset < 0 || n > INT64_MAX || offset > INT64_MAX - (int64_t)n)
        return err_set(e, ERR_INVALID, "%s/%s: no such range", store->root_uri, key);
    if (n == 0)
        return 0;
    int64_t got = read_at(s3_of(store), key, NULL, offset, n, p, e);
    if (got >= 0 && (size_t)got < n)
        return err_set(e, ERR_INVALID, "%s/%s ends before offset %lld", store->root_uri, key,
                       (long long)(offset + (int64_t)n));
    return got < 0 ? -1 : 0;
}

static int s3_size(struct store *store, const char *key, int64_t *bytes, struct err *e)
{
    struct s3_call c = {.action = "HeadObject", .method = "HEAD", .key = key, .wants_etag = true};
    size_t n = 0;
    if (s3_key_check(key, e))
        return -1;
    int rc = s3_call_one(s3_of(store), &c, e);
    const char *length = rc ? NULL : http_header(&c.response, "Content-Length", &n);
    if (rc == 0 && !length)
        rc = err_set(e, ERR_INVALID, "%s/%s: an answer without a length", store->root_uri, key);
    if (rc == 0)
        *bytes = strtoll(length, NULL, 10);
    s3_call_fini(&c);
    return rc;
}

static int s3_remove(struct store *store, const char *key, struct err *e)
{
    struct s3_call c = {.action = "DeleteObject", .method = "DELETE", .key = key};
    if (s3_key_check(key, e))
        return -1;
    int rc = s3_call_one(s3_of(store), &c, e);
    if (rc && c.err.kind == ERR_NOTFOUND)
        rc = 0;
    s3_call_fini(&c);
    return rc;
}

/* ---- open, close ---- */

static void s3_close(struct store *store)
{
    struct s3 *s = s3_of(store);
    http_pool_fini(&s->pool);
    aws_client_close(&s->client);
    pthread_mutex_destroy(&s->lock);
    free(s->bucket);
    free(s->prefix);
    free(s->encryption);
    free(s->kms_key);
    free(s->region);
    free(s->base.root_uri);
    free(s);
}

uint64_t store_s3_requests(const struct store *s)
{
    return atomic_load(&((const struct s3 *)(const void *)s)->requests);
}

static const struct store_ops s3_ops = {
    .put = s3_put,
    .get = s3_get,
    .get_range = s3_get_range,
    .size = s3_size,
    .remove = s3_remove,
    .list = s3_list,
    .put_all = s3_put_all,
    .remove_all = s3_remove_all,
    .create = s3_create,
    .close = s3_close,
};

static bool bucket_ok(const char *b)
{
    size_t n = strspn(b, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    return n >= 3 && n <= 255 && !b[n] && b[0] != '.' && !strstr(b, "..");
}

/* "s3://bucket/prefix/" taken apart. */
static int set_place(struct s3 *s, const char *uri, struct err *e)
{
    const char *at = strstr(uri, "://") + 3;
    size_t n = strcspn(at, "/");
    s->bucket = mem_strndup(at, n);
    at += n;
    while (*at == '/')
        at++;
    n = strlen(at);
    while (n && at[n - 1] == '/')
        n--;
    s->prefix = mem_strndup(at, n);
    if (!bucket_ok(s->bucket))
        return err_set(e, ERR_INVALID, "%.200s: \"%.80s\" is no name of a bucket: write s3://BUCKET/PREFIX", uri,
                       s->bucket);
    if (n && s3_key_check(s->prefix, e))
        return err_wrap(e, "%.200s", uri);
    s->base.root_uri = mem_printf("s3://%s%s%s", s->bucket, n ? "/" : "", s->prefix);
    return 0;
}

struct store *store_s3_open(const char *uri, const struct store_options *o, const struct clock *clock,
                            struct err *e)
{
    struct s3 *s = mem_zalloc(sizeof *s);
    struct aws_options aws = {.region = o->region, .endpoint = o->endpoint, .profile = o->profile,
                              .keys = o->keys};
    s->base.ops = &s3_ops;
    s->addressing = o->addressing;
    s->encryption = o->encryption ? mem_strdup(o->encryption) : o->kms_key ? mem_strdup("aws:kms") : NULL;
    s->kms_key = o->kms_key ? mem_strdup(o->kms_key) : NULL;
    s->patience_ms = o->patience_ms ? o->patience_ms : PATIENCE_MS;
    pthread_mutex_init(&s->lock, NULL);
    http_pool_init(&s->pool);
    if (set_place(s, uri, e) || aws_client_open(&s->client, "s3", &aws, clock, e)) {
        err_wrap(e, "S3");
        s3_close(&s->base);
        return NULL;
    }
    s->region = mem_strdup(s->client.region);
    return &s->base;
}
