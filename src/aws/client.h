/* client: one AWS service as we reach it: region, endpoint, credentials; and its JSON requests.
 * Read-only after aws_client_open (credentials renew inside), so threads may share it. */
#ifndef INLET_AWS_CLIENT_H
#define INLET_AWS_CLIENT_H

#include "aws/credentials.h"
#include "aws/sigv4.h"
#include "base/clock.h"
#include "net/http.h"

struct aws_options {
    const char *region;   /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile's */
    const char *endpoint; /* NULL: what is configured (profile_endpoint), AWS's own */
    const char *profile;  /* NULL: AWS_PROFILE */
    const struct credentials *keys; /* NULL: those of the profile, environment, ... */
};
struct aws_client {
    char *service, *region;
    char *endpoint; /* "https://host[:port]", without a slash at the end */
    char *host;     /* as the Host header has it */
    struct credential_provider *credentials;
    const struct clock *clock;
};
/* service: "kinesis", "dynamodb", "glue", "s3", ... Fails at once where there are no credentials. */
int aws_client_open(struct aws_client *c, const char *service, const struct aws_options *o,
                    const struct clock *clock, struct err *e);
void aws_client_close(struct aws_client *c);

/* One signed request. Zero-initialise; used again and again; fini frees. */
#define AWS_HEADERS_MAX 16
struct aws_request {
    struct http_request http; /* what to send; points into the rest and to the body */
    struct buf url;
    struct buf lines[AWS_HEADERS_MAX];
    const char *headers[AWS_HEADERS_MAX + 1];
    char access_key[64]; /* that signed, for aws_client_heal */
};
struct aws_call {
    const char *method;
    const char *endpoint, *host; /* NULL: the client's */
    const char *path;            /* percent-encoded, from '/' */
    const char *query;           /* percent-encoded; NULL: none */
    const struct sigv4_header *headers; /* all are signed; Host and X-Amz-* of signing are added */
    size_t n_headers;
    const void *body; /* borrowed */
    size_t n_body;
    const char *payload_hash; /* NULL: computed here. S3 gets it as a header too */
    const char *service, *region; /* to sign for; NULL: the client's */
};
/* Builds and signs. Fails only where there are no credentials: ERR_INVALID, ERR_RETRY. */
int aws_sign(struct aws_request *q, const struct aws_client *c, const struct aws_call *call,
             struct err *e);
void aws_request_fini(struct aws_request *q);
/* The same for the AWS JSON protocol. content_type e.g. "application/x-amz-json-1.1"; target e.g.
 * "Kinesis_20131202.GetRecords". */
int aws_json_sign(struct aws_request *q, const struct aws_client *c, const char *content_type,
                  const char *target, const void *body, size_t n, struct err *e);

/* What an error answer says: its code without namespace ("ResourceNotFoundException") and message,
 * both cut to fit; empty where there is none. */
struct aws_fault {
    char code[96];
    char message[512];
};
void aws_fault_parse(struct aws_fault *f, const struct http_response *r);
/* An answer that refused `q` for our clock or for keys that have expired: puts right what can be. True: sign
 * again and send again. (False the next time, if that did not help.) */
bool aws_client_heal(const struct aws_client *c, const struct aws_request *q,
                     const struct aws_fault *f, const struct http_response *r);
/* Throttled, by code or status 429. */
bool aws_fault_throttled(const struct aws_fault *f, int status);
/* The keys were refused (wrong, unknown, expired). */
bool aws_fault_credentials(const struct aws_fault *f);
#define AWS_CREDENTIALS_HINT /* what to do then, at the end of a message */                        \
    ": the AWS credentials were refused: renew AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "       \
    "AWS_SESSION_TOKEN, or the profile"
bool aws_fault_denied(const struct aws_fault *f);

#endif
