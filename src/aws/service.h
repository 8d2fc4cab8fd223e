/* service: calls of one AWS JSON service (DynamoDB, Glue), from any thread: connections are kept in a
 * pool, throttling and faults of the service are waited out. */
#ifndef INLET_AWS_SERVICE_H
#define INLET_AWS_SERVICE_H

#include <jansson.h>

#include "aws/client.h"

struct aws_service;

struct aws_service_options {
    const char *service;      /* "dynamodb" */
    const char *label;        /* "DynamoDB", in messages */
    const char *target;       /* "DynamoDB_20120810": what stands before the action */
    const char *content_type; /* "application/x-amz-json-1.0" */
    int64_t patience_ms;      /* how long a call may be tried again; 0: 30 s */
    struct aws_options aws;
};
struct aws_service *aws_service_open(const struct aws_service_options *o, const struct clock *clock,
                                     struct err *e);
void aws_service_close(struct aws_service *s);

struct aws_reply {
    json_t *json;           /* of the answer; NULL if the call failed */
    struct aws_fault fault; /* of a refusal; its code is empty where none was read */
    bool unsure; /* an attempt before this answer, or the last one, may have acted: its answer was
                    lost, or was a 5xx. So a refusal of a conditional write may be our own doing. */
};
void aws_reply_fini(struct aws_reply *r);

/* Sends `body` (borrowed) until it is answered or the patience ends. 0: done, r->json is the answer.
 * -1, with kind: ERR_INVALID or ERR_NOTFOUND (a code of ...NotFound...): refused, r->fault.code says
 * how; the text says what to do where credentials or the IAM policy are to blame (the action is
 * named). ERR_RETRY: nothing has happened. ERR_UNKNOWN: it may have. Always fini `r`. */
int aws_service_call(struct aws_service *s, const char *action, const json_t *body,
                     struct aws_reply *r, struct err *e);

static inline bool aws_reply_is(const struct aws_reply *r, const char *code)
{
    return strcmp(r->fault.code, code) == 0;
}

#endif
