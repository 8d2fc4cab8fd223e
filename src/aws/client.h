/* client: one AWS service as we reach it: region, endpoint, credentials; and its JSON requests.
 * Read-only after aws_client_open, so threads may share it. */
#ifndef INLET_AWS_CLIENT_H
#define INLET_AWS_CLIENT_H

#include "aws/credentials.h"
#include "base/clock.h"
#include "net/http.h"

struct aws_options {
    const char *region;   /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile's */
    const char *endpoint; /* NULL: AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's
                             endpoint_url, AWS's own */
    const char *profile;  /* NULL: AWS_PROFILE */
};
struct aws_client {
    char *service, *region;
    char *endpoint; /* "https://host[:port]", without a slash at the end */
    char *host;     /* as the Host header has it */
    struct credentials credentials;
    const struct clock *clock;
};
/* service: "kinesis", "dynamodb", "glue", "s3", "sts". */
int aws_client_open(struct aws_client *c, const char *service, const struct aws_options *o,
                    const struct clock *clock, struct err *e);
void aws_client_close(struct aws_client *c);

/* A signed request of the AWS JSON protocol. Zero-initialise; fini frees. */
struct aws_json_request {
    struct http_request http; /* what to send; points into the rest and to `body` */
    struct buf lines[6];
    const char *headers[7];
};
/* content_type e.g. "application/x-amz-json-1.1"; target e.g. "Kinesis_20131202.GetRecords". */
void aws_json_sign(struct aws_json_request *q, const struct aws_client *c, const char *content_type,
                   const char *target, const void *body, size_t n);
void aws_json_fini(struct aws_json_request *q);

/* What an error answer says: its code without namespace ("ResourceNotFoundException") and message,
 * both cut to fit; empty where there is none. */
struct aws_fault {
    char code[96];
    char message[512];
};
void aws_fault_parse(struct aws_fault *f, const struct http_response *r);
/* Throttled, by code or status 429. */
bool aws_fault_throttled(const struct aws_fault *f, int status);
/* The keys were refused (wrong, unknown, expired). */
bool aws_fault_credentials(const struct aws_fault *f);
#define AWS_CREDENTIALS_HINT /* what to do then, at the end of a message */                        \
    ": the AWS credentials were refused: renew AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "       \
    "AWS_SESSION_TOKEN, or the profile"
bool aws_fault_denied(const struct aws_fault *f);

#endif
