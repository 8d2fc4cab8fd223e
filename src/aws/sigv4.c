/* sigv4: see sigv4.h.
 *
 *   canonical request:  METHOD \n path \n query \n header:value\n... \n signed;headers \n body hash
 *   string to sign:     AWS4-HMAC-SHA256 \n date \n day/region/service/aws4_request \n hash of that
 *   key:                HMAC(HMAC(HMAC(HMAC("AWS4"+secret, day), region), service), "aws4_request") */
#include "aws/sigv4.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_BYTES 32
#define PARAMS_MAX 256

static void hex(const uint8_t *p, char out[SIGV4_HASH_TEXT])
{
    for (int i = 0; i < HASH_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

void sigv4_hash(const void *p, size_t n, char out[SIGV4_HASH_TEXT])
{
    uint8_t h[EVP_MAX_MD_SIZE];
    invariant(EVP_Digest(n ? p : "", n, h, NULL, EVP_sha256(), NULL) == 1);
    hex(h, out);
}

static void hmac(const uint8_t *key, size_t n_key, const char *text, size_t n,
                 uint8_t out[EVP_MAX_MD_SIZE])
{
    invariant(HMAC(EVP_sha256(), key, (int)n_key, (const uint8_t *)text, n, out, NULL) != NULL);
}

void sigv4_encode(const char *p, size_t n, bool keep_slash, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~' || (keep_slash && c == '/');
        if (plain)
            buf_putc(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

struct param {
    const char *name, *value;
    size_t n_name, n_value;
};

static int compare(const char *a, size_t n, const char *b, size_t m)
{
    int c = memcmp(a, b, n < m ? n : m);
    return c ? c : n < m ? -1 : n > m;
}

static int by_name(const void *pa, const void *pb)
{
    const struct param *a = pa, *b = pb;
    int c = compare(a->name, a->n_name, b->name, b->n_name);
    return c ? c : compare(a->value, a->n_value, b->value, b->n_value);
}

static void put_query(struct buf *out, const char *query)
{
    struct param p[PARAMS_MAX];
    size_t n = 0;
    while (query && *query && n < PARAMS_MAX) {
        size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
        bool eq = name < len;
        p[n++] = (struct param){query, query + name + eq, name, len - name - eq};
        query += len + (query[len] == '&');
    }
    qsort(p, n, sizeof *p, by_name);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(out, '&');
        buf_put(out, p[i].name, p[i].n_name);
        buf_putc(out, '=');
        buf_put(out, p[i].value, p[i].n_value);
    }
    buf_putc(out, '\n');
}

static int by_header(const void *pa, const void *pb)
{
    const struct sigv4_header *a = pa, *b = pb;
    return strcasecmp(a->name, b->name);
}

static void put_lower(struct buf *out, const char *s)
{
    for (; *s; s++)
        buf_putc(out, (uint8_t)tolower((unsigned char)*s));
}

/* Runs of white space become one space, none at the ends. */
static void put_folded(struct buf *out, const char *s)
{
    s += strspn(s, " \t");
    while (*s) {
        size_t n = strcspn(s, " \t"), gap = strspn(s + n, " \t");
        buf_put(out, s, n);
        s += n + gap;
        if (*s)
            buf_putc(out, ' ');
    }
}

static void put_canonical(const struct sigv4_request *q, const struct credentials *c,
                          const char *date, struct buf *out, struct buf *names)
{
    struct sigv4_header h[SIGV4_HEADERS_MAX + 2];
    size_t n = 0;
    invariant(q->n_headers <= SIGV4_HEADERS_MAX);
    for (; n < q->n_headers; n++)
        h[n] = q->headers[n];
    h[n++] = (struct sigv4_header){"x-amz-date", date};
    if (c->token)
        h[n++] = (struct sigv4_header){"x-amz-security-token", c->token};
    qsort(h, n, sizeof *h, by_header);

    const char *path = q->path && *q->path ? q->path : "/";
    buf_printf(out, "%s\n", q->method);
    if (strcmp(q->service, "s3") == 0)
        buf_puts(out, path);
    else
        sigv4_encode(path, strlen(path), true, out);
    buf_putc(out, '\n');
    put_query(out, q->query);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(names, ';');
        put_lower(names, h[i].name);
        put_lower(out, h[i].name);
        buf_putc(out, ':');
        put_folded(out, h[i].value);
        buf_putc(out, '\n');
    }
    buf_printf(out, "\n%s\n%s", buf_cstr(names), q->payload_hash);
}

void sigv4_sign(const struct sigv4_request *q, const struct credentials *c, char date[17],
                struct buf *authorization)
{
    time_t t = (time_t)q->time_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(date, 17, "%Y%m%dT%H%M%SZ", &tm);
    struct buf canonical = {0}, names = {0}, text = {0};
    char hash[SIGV4_HASH_TEXT];
    put_canonical(q, c, date, &canonical, &names);
    sigv4_hash(canonical.p, canonical.n, hash);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", date, date, q->region,
               q->service, hash);

    uint8_t k1[EVP_MAX_MD_SIZE], k2[EVP_MAX_MD_SIZE];
    char *secret = mem_printf("AWS4%s", c->secret_key);
    hmac((const uint8_t *)secret, strlen(secret), date, 8, k1);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    hmac(k1, HASH_BYTES, q->region, strlen(q->region), k2);
    hmac(k2, HASH_BYTES, q->service, strlen(q->service), k1);
    hmac(k1, HASH_BYTES, "aws4_request", 12, k2);
    hmac(k2, HASH_BYTES, (const char *)text.p, text.n, k1);
    hex(k1, hash);
    buf_printf(authorization,
               "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, "
               "Signature=%s",
               c->access_key, date, q->region, q->service, buf_cstr(&names), hash);
    buf_fini(&canonical);
    buf_fini(&names);
    buf_fini(&text);
}
