/* How a request to S3 is sent until it is answered, and what its answers mean.
 *
 *   PUT /prefix/key HTTP/1.1
 *   Host: bucket.s3.eu-west-1.amazonaws.com      (or: s3.eu-west-1.amazonaws.com, PUT /bucket/prefix/key)
 *   If-None-Match: *
 *
 * One state machine for each call: due, in flight, done. A redirect to the bucket's region is followed
 * once and remembered; throttling slows all calls of the store; a wrong clock and expired keys are put right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/xml.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/s3_int.h"

#define CONCURRENT 8
#define ERROR_BYTES ((size_t)64 << 10) /* an error's text must come through always */
#define RESPONSE_MAX ((size_t)16 << 20)
#define TIMEOUT_MS 30000
#define BYTES_PER_MS_MIN 64  /* slower than 64 KB/s is a failure */
#define FIRST_PATIENCE_MS 60000
#define POLL_MS 50

void s3_call_fini(struct s3_call *c)
{
    http_response_fini(&c->response);
    aws_request_fini(&c->request);
    buf_fini(&c->path);
}

void s3_header(struct s3_call *c, const char *name, const char *value)
{
    invariant(c->n_headers < S3_HEADERS_MAX);
    c->headers[c->n_headers++] = (struct sigv4_header){name, value};
}

char *s3_full_key(const struct s3 *s, const char *key)
{
    return mem_printf("%s%s%s", s->prefix, *s->prefix ? "/" : "", key);
}

/* ---- sending ---- */

/* A bucket's name as a host's, where it can be one. With dots, no certificate of AWS would fit. */
static bool bucket_is_host(const char *bucket, bool tls)
{
    size_t n = strspn(bucket, tls ? "abcdefghijklmnopqrstuvwxyz0123456789-"
                                  : "abcdefghijklmnopqrstuvwxyz0123456789-.");
    return bucket[n] == '\0' && n >= 3 && n <= 63;
}

static bool is_amazon(const char *host)
{
    return strstr(host, ".amazonaws.com") != NULL;
}

/* Where the bucket is asked for: endpoint, Host header, and the path before the key. */
static void address(const struct s3 *s, const char *region, struct buf *endpoint, struct buf *host,
                    struct buf *path)
{
    const char *own = s->client.host;
    bool tls = strncmp(s->client.endpoint, "https:", 6) == 0;
    char amazon[128];
    if (is_amazon(own) && strncmp(own, "s3.", 3) == 0 && strcmp(region, s->client.region) != 0) {
        snprintf(amazon, sizeof amazon, "s3.%s.amazonaws.com%s", region,
                 strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
        own = amazon;
    }
    bool as_host = s->addressing == STORE_ADDRESSING_VIRTUAL ||
                   (s->addressing == STORE_ADDRESSING_AUTO && is_amazon(own) &&
                    bucket_is_host(s->bucket, tls));
    if (as_host)
        buf_printf(host, "%s.", s->bucket);
    buf_puts(host, own);
    buf_printf(endpoint, "%s%s", tls ? "https://" : "http://", buf_cstr(host));
    buf_putc(path, '/');
    if (!as_host)
        buf_printf(path, "%s", s->bucket);
}

static void put_path(struct s3 *s, struct s3_call *c)
{
    if (!c->key)
        return;
    char *full = s3_full_key(s, c->key);
    if (c->path.n > 1)
        buf_putc(&c->path, '/');
    sigv4_encode(full, strlen(full), true, &c->path);
    free(full);
}

static void on_answer(void *ctx, struct http_response *r, const struct err *e);

static void finish(struct s3_call *c, enum err_kind kind, const char *text)
{
    c->done = true;
    c->rc = kind ? -1 : 0;
    if (kind)
        err_set(&c->err, kind, "%s", text);
}

static void try_again(struct s3_call *c, const struct err *why);

static void send_call(struct s3_call *c, struct http *http)
{
    struct s3 *s = c->s3;
    struct buf endpoint = {0}, host = {0};
    struct err e = {0};
    pthread_mutex_lock(&s->lock);
    snprintf(c->region, sizeof c->region, "%s", s->region);
    pthread_mutex_unlock(&s->lock);
    c->path.n = 0;
    address(s, c->region, &endpoint, &host, &c->path);
    put_path(s, c);
    struct aws_call call = {.method = c->method, .endpoint = buf_cstr(&endpoint), .host = buf_cstr(&host),
                            .path = buf_cstr(&c->path), .query = c->query, .headers = c->headers,
                            .n_headers = c->n_headers, .body = c->body, .n_body = c->n_body,
                            .payload_hash = c->payload_hash, .region = c->region};
    int rc = aws_sign(&c->request, &s->client, &call, &e);
    buf_fini(&endpoint);
    buf_fini(&host);
    if (rc) {
        if (e.kind == ERR_RETRY)
            try_again(c, &e);
        else
            finish(c, e.kind, e.text);
        return;
    }
    struct http_request *q = &c->request.http;
    q->body_borrowed = true;
    q->response_bytes_max = !c->response_max               ? RESPONSE_MAX
                            : c->response_max < ERROR_BYTES ? ERROR_BYTES
                                                            : c->response_max;
    q->timeout_ms = TIMEOUT_MS + ((int64_t)c->n_body + c->expected_bytes) / BYTES_PER_MS_MIN;
    c->in_flight = true;
    atomic_fetch_add(&s->requests, 1);
    http_submit(http, q, on_answer, c);
}

/* ---- answers ---- */

/* Told once, until it works again. */
static void set_trouble(struct s3 *s, const struct err *why)
{
    pthread_mutex_lock(&s->lock);
    bool told = s->troubled;
    if (why)
        s->troubled = true;
    else
        s->troubled = false, s->answered = true;
    pthread_mutex_unlock(&s->lock);
    if (why && !told)
        log_warn("trying again: %s", why->text);
    else if (!why && told)
        log_info("S3 answers again (%s)", s->base.root_uri);
}

static void try_again(struct s3_call *c, const struct err *why)
{
    const struct clock *clock = c->s3->client.clock;
    int64_t now = clock_boot_ms(clock), wait = retry_next_ms(&c->retry);
    if (now + wait > c->until_ms) {
        finish(c, c->unsure ? ERR_UNKNOWN : ERR_RETRY, why->text);
        return;
    }
    if (c->retry.attempts >= 3)
        set_trouble(c->s3, why);
    c->due_ms = now + wait;
}

/* All calls of the store wait a while, not only the one that was told to. */
static void slow_down(struct s3_call *c)
{
    struct s3 *s = c->s3;
    int64_t until = clock_boot_ms(s->client.clock) + 100 * (int64_t)(c->retry.attempts < 10 ? c->retry.attempts + 1 : 10);
    pthread_mutex_lock(&s->lock);
    if (until > s->slow_until_ms)
        s->slow_until_ms = until;
    pthread_mutex_unlock(&s->lock);
}

/* The bucket is in another region, says the answer: x-amz-bucket-region, or <Region>. */
static bool follow_region(struct s3_call *c, const struct http_response *r)
{
    struct s3 *s = c->s3;
    size_t n = 0;
    const char *header = http_header(r, "x-amz-bucket-region", &n);
    char *region = header ? mem_strndup(header, n) : xml_text(r->body.p, r->body.n, "Error/Region");
    size_t ok = region ? strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
    bool follow = region && ok > 0 && ok < sizeof c->region && !region[ok] && !c->redirected &&
                  strcmp(region, c->region) != 0;
    if (follow) {
        pthread_mutex_lock(&s->lock);
        bool news = strcmp(s->region, region) != 0;
        if (news) {
            free(s->region);
            s->region = mem_strdup(region);
        }
        pthread_mutex_unlock(&s->lock);
        if (news)
            log_warn("the bucket %s is in %s, not in %s: going there (set the region to save the detour)",
                     s->bucket, region, c->region);
        c->redirected = true;
        c->due_ms = 0;
    }
    free(region);
    return follow;
}

static const char *iam_action(const struct s3_call *c)
{
    static const char *const of[][2] = {{"HeadObject", "s3:GetObject"},   {"ListObjectsV2", "s3:ListBucket"},
                                        {"DeleteObjects", "s3:DeleteObject"}, {"UploadPart", "s3:PutObject"},
                                        {"CreateMultipartUpload", "s3:PutObject"},
                                        {"CompleteMultipartUpload", "s3:PutObject"}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (strcmp(of[i][0], c->action) == 0)
            return of[i][1];
    return NULL;
}

/* What to do about it, at the end of the message. */
static void put_hint(const struct s3_call *c, int status, struct buf *out)
{
    const char *code = c->fault.code, *iam = iam_action(c);
    if (strcmp(code, "NoSuchBucket") == 0)
        buf_puts(out, ": check the bucket's name, or create it");
    else if (aws_fault_credentials(&c->fault))
        buf_puts(out, AWS_CREDENTIALS_HINT);
    else if (aws_fault_denied(&c->fault) || status == 403)
        buf_printf(out, ": allow %s%s on arn:aws:s3:::%s%s in the role's or user's IAM policy and the bucket's "
                   "policy%s", iam ? "" : "s3:", iam ? iam : c->action, c->s3->bucket, c->key ? "/*" : "",
                   strcmp(c->method, "GET") == 0 || strcmp(c->method, "HEAD") == 0
                       ? " (without s3:ListBucket, S3 denies also what is not there)" : "");
    else if (status == 301 || status == 307 || strcmp(code, "AuthorizationHeaderMalformed") == 0)
        buf_puts(out, ": the bucket is in another region: set AWS_REGION");
    else if (status == 501)
        buf_puts(out, ": this store does not know the request; conditional writes (If-None-Match) are needed");
}

static enum err_kind kind_of(const struct s3_call *c, int status)
{
    const char *code = c->fault.code;
    if (aws_fault_throttled(&c->fault, status) || strcmp(code, "RequestTimeout") == 0 ||
        strcmp(code, "ConditionalRequestConflict") == 0 || strcmp(code, "OperationAborted") == 0)
        return ERR_RETRY;
    if (status == 412)
        return ERR_CONFLICT;
    if (status == 501)
        return ERR_INVALID;
    if (status >= 500 || status == 408)
        return ERR_UNKNOWN;
    if (strcmp(code, "BadDigest") == 0 || strcmp(code, "XAmzContentSHA256Mismatch") == 0)
        return ERR_RETRY; /* damaged on the way: nothing was kept */
    if (strcmp(code, "NoSuchKey") == 0 || strcmp(code, "NoSuchUpload") == 0 ||
        (status == 404 && !*code && strcmp(c->method, "HEAD") == 0))
        return ERR_NOTFOUND;
    return ERR_INVALID;
}

static int refused(struct s3_call *c, const struct http_response *r, struct err *e)
{
    const struct s3 *s = c->s3;
    struct buf hint = {0};
    aws_fault_parse(&c->fault, r);
    enum err_kind kind = kind_of(c, r->status);
    bool strange = !*c->fault.code && r->body.n && kind == ERR_INVALID;
    if (strange)
        buf_puts(&hint, ": this is no answer of S3; does the endpoint belong to it?");
    else
        put_hint(c, r->status, &hint);
    err_set(e, kind, "S3 %s %s%s%s (%s, %s): %s %d%s%s%s", c->action, s->base.root_uri, c->key ? "/" : "",
            c->key ? c->key : "", c->region, s->client.endpoint, *c->fault.code ? c->fault.code : "HTTP status",
            r->status, *c->fault.message ? ": " : "", c->fault.message, buf_cstr(&hint));
    buf_fini(&hint);
    return -1;
}

static bool acts(const struct s3_call *c)
{
    return strcmp(c->method, "GET") != 0 && strcmp(c->method, "HEAD") != 0;
}

static void on_answer(void *ctx, struct http_response *r, const struct err *e)
{
    struct s3_call *c = ctx;
    struct err why = {0};
    size_t n;
    c->in_flight = false;
    if (!r) {
        err_set(&why, e->kind, "S3 %s %s/%s: %s", c->action, c->s3->base.root_uri, c->key ? c->key : "", e->text);
        c->unsure |= why.kind == ERR_UNKNOWN && acts(c);
        if (why.kind == ERR_RETRY || why.kind == ERR_UNKNOWN)
            try_again(c, &why);
        else
            finish(c, why.kind, why.text);
        return;
    }
    if (r->status / 100 == 2 && c->wants_etag && !http_header(r, "ETag", &n)) {
        err_set(&why, ERR_INVALID, "S3 %s %s/%s: an answer without an ETag: does the endpoint %s belong to S3?",
                c->action, c->s3->base.root_uri, c->key ? c->key : "", c->s3->client.endpoint);
        finish(c, why.kind, why.text);
        return;
    }
    if (r->status / 100 == 2) {
        c->response = *r;
        *r = (struct http_response){0};
        set_trouble(c->s3, NULL);
        finish(c, ERR_NONE, NULL);
        return;
    }
    if ((r->status / 100 == 3 || r->status == 400) && follow_region(c, r))
        return;
    refused(c, r, &why);
    if (aws_client_heal(&c->s3->client, &c->request, &c->fault, r)) {
        c->due_ms = 0;
        return;
    }
    c->unsure |= why.kind == ERR_UNKNOWN && acts(c);
    if (aws_fault_throttled(&c->fault, r->status))
        slow_down(c);
    if (why.kind == ERR_RETRY || why.kind == ERR_UNKNOWN)
        try_again(c, &why);
    else
        finish(c, why.kind, why.text);
}

/* ---- running ---- */

/* Sends what is due; returns how long nothing more is, in ms. */
static int64_t send_due(struct s3 *s, struct http *http, struct s3_call *calls, size_t n)
{
    int64_t now = clock_boot_ms(s->client.clock), soonest = POLL_MS;
    size_t flying = http_in_flight(http);
    pthread_mutex_lock(&s->lock);
    int64_t slow = s->slow_until_ms;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n && flying < CONCURRENT; i++) {
        struct s3_call *c = &calls[i];
        int64_t due = c->due_ms > slow || !c->retry.attempts ? c->due_ms : slow;
        if (c->done || c->in_flight)
            continue;
        if (due <= now) {
            send_call(c, http);
            flying = http_in_flight(http);
        } else if (due - now < soonest) {
            soonest = due - now;
        }
    }
    return soonest;
}

static bool all_done(const struct s3_call *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!calls[i].done)
            return false;
    return true;
}

int s3_run(struct s3 *s, struct s3_call *calls, size_t n, struct err *e)
{
    const struct clock *clock = s->client.clock;
    struct http *http = http_pool_take(&s->pool);
    pthread_mutex_lock(&s->lock);
    int64_t patience = s->answered || s->patience_ms < FIRST_PATIENCE_MS ? s->patience_ms : FIRST_PATIENCE_MS;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        calls[i].s3 = s;
        calls[i].until_ms = clock_boot_ms(clock) + patience;
        calls[i].retry.cap_ms = 10000;
    }
    while (!all_done(calls, n)) {
        int64_t wait = send_due(s, http, calls, n);
        if (http_in_flight(http))
            http_poll(http, (int)wait);
        else if (!all_done(calls, n))
            clock->sleep_ms(clock->ctx, wait);
    }
    http_pool_give(&s->pool, http);
    for (size_t i = 0; i < n; i++)
        if (calls[i].rc)
            return err_set(e, calls[i].err.kind, "%s", calls[i].err.text);
    return 0;
}
