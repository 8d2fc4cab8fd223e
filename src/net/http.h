/* http: requests over libcurl, the only place that knows it. Connections are kept and reused.
 *
 * A struct http belongs to one thread; only http_wake may be called from another. Answers come to
 * callbacks inside http_poll, or one at a time from http_do. TLS certificates are always checked, by the system's
 * bundle or the one that AWS_CA_BUNDLE names.
 * Proxies come from the environment, as curl has it. */
#ifndef INLET_NET_HTTP_H
#define INLET_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

typedef void (*http_take)(void *ctx, const char *p, size_t n, size_t length);

struct http_request {
    const char *method; /* "GET", "PUT", "POST", "HEAD", "DELETE" */
    const char *url;
    const char *const *headers; /* "Name: value", NULL at the end; may be NULL */
    const void *body;           /* copied by http_submit, borrowed by http_do */
    size_t n_body;
    int64_t timeout_ms;        /* of the whole exchange; 0: 60 s */
    int64_t connect_timeout_ms; /* 0: 10 s */
    size_t response_bytes_max; /* 0: 64 MiB; more is ERR_NOMEM */
    /* Takes the body of an answer with status 200 and a known length, as it comes, with the callback's ctx; it is not in the
     * response then. May be NULL. */
    http_take take;
    bool direct;        /* through no proxy */
    bool body_borrowed; /* http_submit does not copy it either: it stays until the callback */
};
struct http_response {
    int status;
    struct buf head; /* header lines as they came */
    struct buf body; /* 64 zero bytes stand after its end */
};
void http_response_fini(struct http_response *r);
/* The value of a header (case does not matter), or NULL; *n is its length. */
const char *http_header(const struct http_response *r, const char *name, size_t *n);

/* A file of certificate authorities to trust in place of the system's; NULL: the system's. Before any
 * request is sent. */
void http_set_ca_file(const char *path);

struct http;
struct http *http_new(void);
void http_free(struct http *h); /* what is still under way is dropped, without its callback */

/* Sends and waits. 0 with any status at all; -1 if no answer came: ERR_RETRY when nothing can have
 * reached the peer (no connection), ERR_UNKNOWN when it may have, ERR_INVALID for a bad URL. */
int http_do(struct http *h, const struct http_request *q, struct http_response *out, struct err *e);

/* `r` is NULL on failure, with `e` as of http_do; else the callback may take r's buffers. */
typedef void (*http_done)(void *ctx, struct http_response *r, const struct err *e);
void http_submit(struct http *h, const struct http_request *q, http_done done, void *ctx);
/* Moves everything on; waits at most timeout_ms where there is nothing to do. */
void http_poll(struct http *h, int timeout_ms);
void http_wake(struct http *h);
size_t http_in_flight(const struct http *h);

#endif
