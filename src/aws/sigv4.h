/* sigv4: AWS Signature Version 4 of a request's headers. */
#ifndef INLET_AWS_SIGV4_H
#define INLET_AWS_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/credentials.h"
#include "base/buf.h"

#define SIGV4_HASH_TEXT 65 /* 64 hex digits and a NUL */
#define SIGV4_HEADERS_MAX 32

struct sigv4_header {
    const char *name, *value; /* any case; trimmed and folded for signing */
};
struct sigv4_request {
    const char *method;
    const char *path;  /* as sent, percent-encoded; "" is "/" */
    const char *query; /* as sent, percent-encoded, without "?"; NULL or "" if none */
    const struct sigv4_header *headers; /* to be signed; host among them; X-Amz-Date and
                                           X-Amz-Security-Token are added here */
    size_t n_headers;
    const char *payload_hash; /* hex SHA-256 of the body, or UNSIGNED-PAYLOAD */
    const char *region, *service; /* service "s3": the path is not encoded a second time */
    int64_t time_s;
};
/* date: the value of X-Amz-Date; authorization: of Authorization. */
void sigv4_sign(const struct sigv4_request *q, const struct credentials *c, char date[17],
                struct buf *authorization);
void sigv4_hash(const void *p, size_t n, char out[SIGV4_HASH_TEXT]);
/* Percent-encodes as AWS wants it: all but A-Z a-z 0-9 - . _ ~ (and '/' where keep_slash). */
void sigv4_encode(const char *p, size_t n, bool keep_slash, struct buf *out);

#endif
