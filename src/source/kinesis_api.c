/* One signed call over a kept connection: see kinesis.h. */
#include <stdlib.h>
#include <string.h>

#include "aws/client.h"
#include "base/mem.h"
#include "source/kinesis.h"

struct kinesis_api {
    struct aws_client aws;
    struct http *http;
};

struct kinesis_api *kinesis_api_open(struct err *e)
{
    struct kinesis_api *a = mem_zalloc(sizeof *a);
    struct aws_options options = {0};
    if (aws_client_open(&a->aws, "kinesis", &options, &clock_system, e)) {
        free(a);
        return NULL;
    }
    a->http = http_new();
    return a;
}

void kinesis_api_close(struct kinesis_api *a)
{
    if (!a)
        return;
    http_free(a->http);
    aws_client_close(&a->aws);
    free(a);
}

static int judge(const struct kinesis_api *a, const char *action, const struct http_response *r,
                 struct err *e)
{
    struct aws_fault f;
    aws_fault_parse(&f, r);
    enum err_kind kind = ERR_INVALID;
    const char *hint = "";
    if (r->status >= 500 || aws_fault_throttled(&f, r->status))
        kind = ERR_RETRY;
    else if (strcmp(f.code, "ExpiredIteratorException") == 0)
        kind = ERR_CONFLICT;
    else if (strcmp(f.code, "ResourceNotFoundException") == 0)
        kind = ERR_NOTFOUND, hint = " (check the name, the region and the account)";
    else if (aws_fault_credentials(&f))
        hint = " (check the AWS credentials)";
    else if (aws_fault_denied(&f))
        hint = " (the role needs this action on the stream)";
    return err_set(e, kind, "Kinesis %s at %s: %d %s: %s%s", action, a->aws.endpoint, r->status,
                   f.code, f.message, hint);
}

int kinesis_api_call(struct kinesis_api *a, const char *action, const char *body, size_t body_n,
                     struct buf *answer, struct err *e)
{
    struct aws_json_request q = {0};
    struct http_response r = {0};
    char *target = mem_printf("Kinesis_20131202.%s", action);
    aws_json_sign(&q, &a->aws, "application/x-amz-json-1.1", target, body, body_n);
    int rc = http_do(a->http, &q.http, &r, e);
    if (rc && e->kind == ERR_UNKNOWN)
        e->kind = ERR_RETRY; /* reading again does no harm, and a record put twice is a duplicate */
    if (rc)
        err_wrap(e, "Kinesis %s at %s", action, a->aws.endpoint);
    else if (r.status != 200)
        rc = judge(a, action, &r, e);
    else {
        buf_fini(answer);
        *answer = r.body;
        r.body = (struct buf){0};
    }
    http_response_fini(&r);
    aws_json_fini(&q);
    free(target);
    return rc;
}
