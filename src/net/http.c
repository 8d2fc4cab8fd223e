/* http: see http.h. One curl multi handle a client; an exchange is one easy handle, kept for reuse
 * so that a steady stream of requests allocates little. */
#include "net/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RESPONSE_BYTES_MAX ((size_t)64 << 20)
#define TIMEOUT_MS 60000
#define CONNECT_TIMEOUT_MS 10000
#define PAD 64
#define CA_FILE_MAX 4096
#define IDLE_MAX 64

struct exchange {
    struct exchange *next, *prev; /* under way */
    CURL *easy;
    struct curl_slist *headers;
    struct http_response response;
    struct buf body; /* of the request */
    size_t max;
    bool too_long, taking;
    http_take take;
    size_t length; /* of what is taken */
    char why[CURL_ERROR_SIZE];
    bool acts, sent; /* may change something at the peer; was begun to be sent */
    http_done done;
    void *ctx;
};

struct http {
    CURLM *multi;
    struct exchange *active;
    size_t n_active;
    CURL *idle[IDLE_MAX];
    size_t n_idle;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char ca_file[CA_FILE_MAX];

void http_set_ca_file(const char *path)
{
    snprintf(ca_file, sizeof ca_file, "%s", path ? path : "");
}

static void global_init(void)
{
    invariant(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

void http_response_fini(struct http_response *r)
{
    buf_fini(&r->head);
    buf_fini(&r->body);
    *r = (struct http_response){0};
}

const char *http_header(const struct http_response *r, const char *name, size_t *n)
{
    size_t len = strlen(name);
    const char *p = (const char *)r->head.p, *end = p + r->head.n;
    while (p && p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl ? nl : end;
        if ((size_t)(stop - p) > len && p[len] == ':' && strncasecmp(p, name, len) == 0) {
            const char *v = p + len + 1;
            while (v < stop && (*v == ' ' || *v == '\t'))
                v++;
            while (stop > v && (stop[-1] == '\r' || stop[-1] == ' '))
                stop--;
            *n = (size_t)(stop - v);
            return v;
        }
        p = nl ? nl + 1 : end;
    }
    return NULL;
}

struct http *http_new(void)
{
    pthread_once(&once, global_init);
    struct http *h = mem_zalloc(sizeof *h);
    h->multi = curl_multi_init();
    invariant(h->multi != NULL);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 256L);
    return h;
}

static void exchange_free(struct http *h, struct exchange *x)
{
    curl_multi_remove_handle(h->multi, x->easy);
    if (x->prev)
        x->prev->next = x->next;
    else
        h->active = x->next;
    if (x->next)
        x->next->prev = x->prev;
    h->n_active--;
    curl_slist_free_all(x->headers);
    if (h->n_idle < IDLE_MAX)
        h->idle[h->n_idle++] = x->easy;
    else
        curl_easy_cleanup(x->easy);
    http_response_fini(&x->response);
    buf_fini(&x->body);
    free(x);
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->active)
        exchange_free(h, h->active);
    while (h->n_idle)
        curl_easy_cleanup(h->idle[--h->n_idle]);
    curl_multi_cleanup(h->multi);
    free(h);
}

static size_t length_of(const struct exchange *x)
{
    curl_off_t length = 0;
    curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length > 0 && (size_t)length <= x->max ? (size_t)length : 0;
}

static void begin_body(struct exchange *x)
{
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    x->length = length_of(x);
    x->taking = x->take && x->length && status == 200;
    if (x->length && !x->taking)
        buf_reserve(&x->response.body, x->length + PAD);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    n *= size;
    if (n > x->max - x->response.body.n) {
        x->too_long = true;
        return 0;
    }
    if (x->response.body.n == 0 && !x->taking)
        begin_body(x);
    if (x->taking)
        x->take(x->ctx, p, n, x->length);
    else
        buf_put(&x->response.body, p, n);
    return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    n *= size;
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
        x->response.head.n = 0; /* after a 100 Continue or a proxy's answer */
    if (x->response.head.n < ((size_t)1 << 20))
        buf_put(&x->response.head, p, n);
    return n;
}

/* curl sends a request again by itself where a kept connection broke before the first byte of an
 * answer. For one that acts this hides that it may have acted twice: so it is sent once only. */
static int on_send(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    struct exchange *x = ctx;
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    bool again = x->sent && x->acts;
    x->sent = true;
    return again ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void set_method(struct exchange *x, const struct http_request *q, const void *body)
{
    CURL *c = x->easy;
    if (strcmp(q->method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (q->n_body || strcmp(q->method, "POST") == 0 || strcmp(q->method, "PUT") == 0) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body ? body : "");
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->n_body);
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
    } else {
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
    }
}

static void submit(struct http *h, const struct http_request *q, const void *body, http_done done,
                   void *ctx, struct exchange *x)
{
    x->done = done;
    x->ctx = ctx;
    x->max = q->response_bytes_max ? q->response_bytes_max : RESPONSE_BYTES_MAX;
    x->take = q->take;
    x->easy = h->n_idle ? h->idle[--h->n_idle] : curl_easy_init();
    invariant(x->easy != NULL);
    CURL *c = x->easy;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, q->url);
    set_method(x, q, body);
    bool typed = false;
    for (const char *const *p = q->headers; p && *p; p++) {
        x->headers = curl_slist_append(x->headers, *p);
        typed |= strncasecmp(*p, "Content-Type:", 13) == 0;
    }
    x->headers = curl_slist_append(x->headers, "Expect:");
    if (!typed) /* curl would say that it is a form */
        x->headers = curl_slist_append(x->headers, "Content-Type:");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)x);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    x->acts = strcmp(q->method, "GET") != 0 && strcmp(q->method, "HEAD") != 0;
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_send);
    curl_easy_setopt(c, CURLOPT_PREREQDATA, x);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->why);
    if (*ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else /* as Ubuntu 22.04 has it */
    curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "inlet");
    const char *bundle = getenv("AWS_CA_BUNDLE"); /* as the SDKs have it */
    if (bundle && *bundle)
        curl_easy_setopt(c, CURLOPT_CAINFO, bundle);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 64L << 10); /* copied from: should stay in the nearer caches */
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(q->connect_timeout_ms ? q->connect_timeout_ms : CONNECT_TIMEOUT_MS));
    if (q->direct)
        curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(q->timeout_ms ? q->timeout_ms : TIMEOUT_MS));
    x->next = h->active;
    if (h->active)
        h->active->prev = x;
    h->active = x;
    h->n_active++;
    invariant(curl_multi_add_handle(h->multi, c) == CURLM_OK);
}

void http_submit(struct http *h, const struct http_request *q, http_done done, void *ctx)
{
    struct exchange *x = mem_zalloc(sizeof *x);
    if (!q->body_borrowed)
        buf_put(&x->body, q->body, q->n_body);
    submit(h, q, q->body_borrowed ? q->body : x->body.p, done, ctx, x);
}

/* A proxy that wants to know who asks will not let us through the next time either. */
static bool proxy_wants_auth(const struct exchange *x)
{
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status == 407;
}

/* Whether the peer may have acted on the request: not if it was never begun to be sent. */
static enum err_kind kind_of(const struct exchange *x, CURLcode rc)
{
    if (proxy_wants_auth(x))
        return ERR_INVALID;
    switch (rc) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_INVALID;
    default:
        return x->sent ? ERR_UNKNOWN : ERR_RETRY;
    }
}

static void explain(const struct exchange *x, CURLcode rc, struct err *e)
{
    const char *url = NULL;
    curl_easy_getinfo(x->easy, CURLINFO_EFFECTIVE_URL, &url);
    int shown = url ? (int)strcspn(url, "?") : 0;
    bool certificate = rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE;
    if (x->too_long)
        err_set(e, ERR_NOMEM, "the answer of %.*s is longer than %zu bytes", shown, url, x->max);
    else if (rc != CURLE_OK)
        err_set(e, kind_of(x, rc), "no answer from %.*s: %s%s", shown, url ? url : "",
                rc == CURLE_ABORTED_BY_CALLBACK ? "the connection broke"
                : *x->why                       ? x->why
                                                : curl_easy_strerror(rc),
                certificate           ? ": its certificate is not accepted (AWS_CA_BUNDLE names a file of other "
                                    "authorities to trust)"
            : proxy_wants_auth(x) ? ": the proxy wants a name and a password: HTTPS_PROXY=http://NAME:"
                                    "PASSWORD@HOST:PORT"
                                  : "");
}

static void finish(struct http *h, struct exchange *x, CURLcode rc)
{
    struct err e = {0};
    long status = 0;
    http_done done = x->done;
    void *ctx = x->ctx;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    explain(x, rc, &e);
    if (e.kind) {
        exchange_free(h, x);
        done(ctx, NULL, &e);
        return;
    }
    struct http_response r = x->response;
    x->response = (struct http_response){0};
    r.status = (int)status;
    memset(buf_reserve(&r.body, PAD), 0, PAD);
    exchange_free(h, x);
    done(ctx, &r, &e);
    http_response_fini(&r);
}

void http_poll(struct http *h, int timeout_ms)
{
    int running = 0, left = 0;
    curl_multi_perform(h->multi, &running);
    if ((size_t)running == h->n_active && timeout_ms > 0) {
        curl_multi_poll(h->multi, NULL, 0, timeout_ms, NULL);
        curl_multi_perform(h->multi, &running);
    }
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));) {
        char *x = NULL;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
        finish(h, (struct exchange *)(void *)x, rc);
    }
}

void http_wake(struct http *h)
{
    curl_multi_wakeup(h->multi);
}

size_t http_in_flight(const struct http *h)
{
    return h->n_active;
}

struct wait {
    bool done;
    struct http_response r;
    struct err e;
};

static void on_done(void *ctx, struct http_response *r, const struct err *e)
{
    struct wait *w = ctx;
    w->done = true;
    if (r) {
        w->r = *r;
        *r = (struct http_response){0};
    } else {
        w->e = *e;
    }
}

int http_do(struct http *h, const struct http_request *q, struct http_response *out, struct err *e)
{
    struct wait w = {0};
    submit(h, q, q->body, on_done, &w, mem_zalloc(sizeof(struct exchange)));
    while (!w.done)
        http_poll(h, 1000);
    *out = w.r;
    return w.e.kind ? err_set(e, w.e.kind, "%s", w.e.text) : 0;
}
