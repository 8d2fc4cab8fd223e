/* aws: who we are and where: credentials, region, endpoint, and Signature Version 4. */
#ifndef INLET_AWS_AWS_H
#define INLET_AWS_AWS_H

#include "base/buf.h"
#include "base/err.h"

struct aws {
    char *region, *endpoint; /* "https://kinesis.eu-west-1.amazonaws.com" */
    char *access_key, *secret_key, *session_token; /* token NULL if none */
};
/* From the environment, then ~/.aws/credentials and config with AWS_PROFILE. */
int aws_open(struct aws *a, const char *service, struct err *e);
void aws_close(struct aws *a);
/* The headers of a signed POST of `body` to "/": lines without line ends, in `out`, `n` of them. */
#define AWS_HEADERS_MAX 5
void aws_sign(const struct aws *a, const char *service, const char *host, const char *target, const void *body, size_t body_n,
              int64_t now_s, char *out[AWS_HEADERS_MAX], size_t *n);

#endif
