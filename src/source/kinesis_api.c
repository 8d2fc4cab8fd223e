/* One signed call over a kept connection, and what its failures mean: see kinesis.h. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/retry.h"
#include "source/kinesis_int.h"

#define TELL_AT 3 /* the attempt from which on somebody may wonder */

struct kinesis_api {
    struct aws_client client;
    struct http *http;
    struct aws_request request;
    int64_t patience_ms;
    const volatile sig_atomic_t *stop;
};

struct kinesis_api *kinesis_api_open_with(const struct kinesis_options *o, const struct clock *clock,
                                          struct err *e)
{
    struct kinesis_api *a = mem_zalloc(sizeof *a);
    struct aws_options aws = {.region = o->region, .endpoint = o->endpoint, .profile = o->profile};
    if (aws_client_open(&a->client, "kinesis", &aws, clock, e)) {
        free(a);
        return NULL;
    }
    a->http = http_new();
    a->patience_ms = o->patience_ms ? o->patience_ms : KINESIS_PATIENCE_MS;
    a->stop = o->stop;
    return a;
}

struct kinesis_api *kinesis_api_open(struct err *e)
{
    return kinesis_api_open_with(&(struct kinesis_options){0}, &clock_system, e);
}

void kinesis_api_close(struct kinesis_api *a)
{
    if (!a)
        return;
    http_free(a->http);
    aws_request_fini(&a->request);
    aws_client_close(&a->client);
    free(a);
}

void kinesis_api_patience(struct kinesis_api *a, int64_t ms)
{
    a->patience_ms = ms;
}

const struct aws_client *kinesis_api_client(const struct kinesis_api *a)
{
    return &a->client;
}

int kinesis_judge(const struct aws_client *c, const struct aws_request *q, const char *action,
                  const struct http_response *r, struct err *e)
{
    struct aws_fault f;
    if (r->status == 200)
        return 0;
    aws_fault_parse(&f, r);
    const char *code = f.code, *hint = "";
    enum err_kind kind = ERR_INVALID;
    if (aws_fault_throttled(&f, r->status) || r->status >= 500 || r->status == 408 ||
        aws_client_heal(c, q, &f, r)) {
        kind = ERR_RETRY;
    } else if (strcmp(code, "ExpiredIteratorException") == 0 || strcmp(code, "ExpiredNextTokenException") == 0) {
        kind = ERR_CONFLICT;
    } else if (strcmp(code, "ResourceNotFoundException") == 0) {
        kind = ERR_NOTFOUND;
        hint = ": check the stream's name, the region and the account, or create the stream";
    } else if (aws_fault_credentials(&f)) {
        hint = AWS_CREDENTIALS_HINT;
    } else if (aws_fault_denied(&f)) {
        hint = ": allow this action on the stream in the role's or user's IAM policy";
    }
    return err_set(e, kind, "Kinesis %s (%s, %s): %s %d%s%s%s", action, c->region, c->endpoint,
                   *code ? code : "HTTP status", r->status, *f.message ? ": " : "", f.message, hint);
}

int kinesis_api_call(struct kinesis_api *a, const char *action, const char *body, size_t body_n,
                     struct buf *answer, struct err *e)
{
    struct http_response r = {0};
    char *target = mem_printf("Kinesis_20131202.%s", action);
    int rc = aws_json_sign(&a->request, &a->client, KINESIS_JSON, target, body, body_n, e);
    free(target);
    if (rc || http_do(a->http, &a->request.http, &r, e)) {
        if (e && e->kind == ERR_UNKNOWN)
            e->kind = ERR_RETRY;
        return err_wrap(e, "Kinesis %s", action);
    }
    rc = kinesis_judge(&a->client, &a->request, action, &r, e);
    if (rc == 0) {
        buf_put(answer, r.body.p, r.body.n);
        memset(buf_reserve(answer, SOURCE_PAD), 0, SOURCE_PAD);
    }
    http_response_fini(&r);
    return rc;
}

int kinesis_api_insist(struct kinesis_api *a, const char *action, const char *body, size_t body_n,
                       struct buf *answer, struct err *e)
{
    struct retry retry = {.cap_ms = 5000};
    const struct clock *clock = a->client.clock;
    int64_t until = clock_boot_ms(clock) + a->patience_ms;
    struct err local;
    for (;;) {
        local.kind = ERR_NONE;
        if (kinesis_api_call(a, action, body, body_n, answer, &local) == 0)
            break;
        int64_t wait = retry_next_ms(&retry);
        if (local.kind != ERR_RETRY || clock_boot_ms(clock) + wait > until)
            return err_set(e, local.kind, "%s", local.text);
        if (retry.attempts == TELL_AT)
            log_warn("waiting for Kinesis: %s", local.text);
        if (!clock_sleep_unless(clock, wait, a->stop))
            return err_set(e, ERR_STOPPED, "stopped while waiting for Kinesis: %s", local.text);
    }
    if (retry.attempts >= TELL_AT)
        log_info("Kinesis answers again");
    return 0;
}
