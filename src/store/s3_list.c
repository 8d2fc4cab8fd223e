/* Listing a bucket, page by page, and deleting in batches.
 *
 *   GET /?encoding-type=url&list-type=2&prefix=...   <ListBucketResult><IsTruncated>true</IsTruncated>
 *                                                      <Contents><Key>a%2Bb</Key><LastModified>..</LastModified>
 *                                                        <ETag>"..."</ETag><Size>12</Size></Contents>...
 *                                                      <NextContinuationToken>...</NextContinuationToken>
 *   POST /?delete                                    <Delete><Quiet>true</Quiet><Object><Key>..</Key></Object>... */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/time.h"
#include "aws/xml.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "store/s3_int.h"

#define PAGE_BYTES_MAX ((size_t)8 << 20)
#define DELETE_MAX 1000

struct page {
    struct s3 *s;
    store_s3_list_fn *each;
    void *ctx;
    struct buf key, etag;
    int64_t bytes, modified_ms;
    char *token;
    bool truncated, is_list;
};

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void put_decoded(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '%' && hex_of(s[1]) >= 0 && hex_of(s[2]) >= 0) {
            buf_putc(out, (uint8_t)(hex_of(s[1]) * 16 + hex_of(s[2])));
            s += 2;
        } else {
            buf_putc(out, *s == '+' ? ' ' : (uint8_t)*s);
        }
    }
}

static void one_object(struct page *p)
{
    size_t root = strlen(p->s->prefix);
    const char *key = buf_cstr(&p->key);
    if (root && (strncmp(key, p->s->prefix, root) != 0 || key[root] != '/' || !key[root + 1]))
        key = NULL;
    else if (root)
        key += root + 1;
    struct store_s3_object o = {key, buf_cstr(&p->etag), p->bytes, p->modified_ms};
    if (key && *key)
        p->each(p->ctx, &o);
    p->key.n = p->etag.n = 0;
    p->bytes = p->modified_ms = 0;
}

static void on_list(void *ctx, const char *path, const char *text)
{
    struct page *p = ctx;
    if (strcmp(path, "ListBucketResult/Contents/Key") == 0) {
        put_decoded(&p->key, text);
    } else if (strcmp(path, "ListBucketResult/Contents/ETag") == 0) {
        for (; *text; text++)
            if (*text != '"')
                buf_putc(&p->etag, (uint8_t)*text);
    } else if (strcmp(path, "ListBucketResult/Contents/Size") == 0) {
        p->bytes = strtoll(text, NULL, 10);
    } else if (strcmp(path, "ListBucketResult/Contents/LastModified") == 0) {
        p->modified_ms = aws_time_parse_ms(text);
    } else if (strcmp(path, "ListBucketResult/Contents") == 0) {
        one_object(p);
    } else if (strcmp(path, "ListBucketResult/IsTruncated") == 0) {
        p->truncated = strcmp(text, "true") == 0;
    } else if (strcmp(path, "ListBucketResult/NextContinuationToken") == 0) {
        free(p->token);
        p->token = mem_strdup(text);
    } else if (strcmp(path, "ListBucketResult") == 0) {
        p->is_list = true;
    }
}

static char *list_query(const char *full_prefix, const char *token)
{
    struct buf q = {0};
    if (token) {
        buf_puts(&q, "continuation-token=");
        sigv4_encode(token, strlen(token), false, &q);
        buf_putc(&q, '&');
    }
    buf_puts(&q, "encoding-type=url&list-type=2&prefix=");
    sigv4_encode(full_prefix, strlen(full_prefix), false, &q);
    return buf_take(&q);
}

static int list_page(struct page *p, const char *full_prefix, struct err *e)
{
    char *query = list_query(full_prefix, p->token);
    struct s3_call c = {.action = "ListObjectsV2", .method = "GET", .query = query,
                        .response_max = PAGE_BYTES_MAX};
    int rc = s3_call_one(p->s, &c, e);
    char *old = p->token ? mem_strdup(p->token) : NULL;
    p->is_list = p->truncated = false;
    if (rc == 0 && (xml_walk(c.response.body.p, c.response.body.n, on_list, p, e) || !p->is_list))
        rc = err_set(e, ERR_INVALID, "S3 ListObjectsV2 %s: no listing came: does the endpoint %s belong to S3?",
                     p->s->base.root_uri, p->s->client.endpoint);
    if (rc == 0 && p->truncated && (!p->token || (old && strcmp(old, p->token) == 0)))
        rc = err_set(e, ERR_INVALID, "S3 ListObjectsV2 %s: more is to come, without a token for it",
                     p->s->base.root_uri);
    free(old);
    s3_call_fini(&c);
    free(query);
    return rc;
}

int store_s3_list(struct store *store, const char *prefix, store_s3_list_fn *each, void *ctx,
                  struct err *e)
{
    struct page p = {.s = s3_of(store), .each = each, .ctx = ctx};
    /* Below a root, its slash keeps "lake" from listing "lake2". */
    char *full = s3_full_key(p.s, prefix);
    int rc;
    do {
        rc = list_page(&p, full, e);
    } while (rc == 0 && p.truncated);
    buf_fini(&p.key);
    buf_fini(&p.etag);
    free(p.token);
    free(full);
    return rc;
}

struct plain {
    store_list_fn *each;
    void *ctx;
};

static void on_object(void *ctx, const struct store_s3_object *o)
{
    const struct plain *p = ctx;
    if (o->key[strlen(o->key) - 1] != '/') /* what consoles make to show a folder */
        p->each(p->ctx, o->key, o->bytes, o->modified_ms);
}

int s3_list(struct store *s, const char *prefix, store_list_fn *each, void *ctx, struct err *e)
{
    struct plain p = {each, ctx};
    return store_s3_list(s, prefix, on_object, &p, e);
}

/* ---- delete ---- */

struct refusals {
    int n;
    char key[200], code[64];
};

static void on_delete(void *ctx, const char *path, const char *text)
{
    struct refusals *r = ctx;
    if (strcmp(path, "DeleteResult/Error/Key") == 0)
        snprintf(r->key, sizeof r->key, "%s", text);
    else if (strcmp(path, "DeleteResult/Error/Code") == 0)
        snprintf(r->code, sizeof r->code, "%s", text);
    else if (strcmp(path, "DeleteResult/Error") == 0)
        r->n += strcmp(r->code, "NoSuchKey") != 0;
}

static int delete_batch(struct s3 *s, const char *const *keys, size_t n, struct err *e)
{
    struct buf body = {0};
    char md5[32];
    uint8_t h[EVP_MAX_MD_SIZE];
    struct refusals refused = {0};
    buf_puts(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
    for (size_t i = 0; i < n; i++) {
        char *full = s3_full_key(s, keys[i]);
        buf_puts(&body, "<Object><Key>");
        xml_put(&body, full);
        buf_puts(&body, "</Key></Object>");
        free(full);
    }
    buf_puts(&body, "</Delete>");
    EVP_Digest(body.p, body.n, h, NULL, EVP_md5(), NULL); /* which S3 demands here */
    md5[base64_encode(md5, h, 16)] = '\0';
    struct s3_call c = {.action = "DeleteObjects", .method = "POST", .query = "delete=", .body = body.p,
                        .n_body = body.n};
    s3_header(&c, "Content-MD5", md5);
    s3_header(&c, "Content-Type", "application/xml");
    int rc = s3_call_one(s, &c, e);
    if (rc == 0 && xml_walk(c.response.body.p, c.response.body.n, on_delete, &refused, e))
        rc = err_wrap(e, "S3 DeleteObjects %s", s->base.root_uri);
    if (rc == 0 && refused.n) {
        bool denied = strcmp(refused.code, "AccessDenied") == 0;
        rc = err_set(e, denied ? ERR_INVALID : ERR_RETRY, "S3 DeleteObjects %s: %d of %zu refused, as %s: %s%s",
                     s->base.root_uri, refused.n, n, refused.key, refused.code,
                     denied ? ": allow s3:DeleteObject" : "");
    }
    s3_call_fini(&c);
    buf_fini(&body);
    return rc;
}

int s3_remove_all(struct store *store, const char *const *keys, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = s3_key_check(keys[i], e);
    for (size_t i = 0; rc == 0 && i < n; i += DELETE_MAX)
        rc = delete_batch(s3_of(store), keys + i, n - i < DELETE_MAX ? n - i : DELETE_MAX, e);
    return rc;
}
