/* service: see service.h. */
#include "aws/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/http_pool.h"
#include "net/retry.h"

#define PATIENCE_MS 30000

struct aws_service {
    struct aws_client client;
    char *label, *target, *content_type;
    int64_t patience_ms;
    struct http_pool pool;
};

struct aws_service *aws_service_open(const struct aws_service_options *o, const struct clock *clock,
                                     struct err *e)
{
    struct aws_service *s = mem_zalloc(sizeof *s);
    if (aws_client_open(&s->client, o->service, &o->aws, clock, e)) {
        err_wrap(e, "%s", o->label);
        free(s);
        return NULL;
    }
    s->label = mem_strdup(o->label);
    s->target = mem_strdup(o->target);
    s->content_type = mem_strdup(o->content_type);
    s->patience_ms = o->patience_ms ? o->patience_ms : PATIENCE_MS;
    http_pool_init(&s->pool);
    return s;
}

void aws_service_close(struct aws_service *s)
{
    if (!s)
        return;
    http_pool_fini(&s->pool);
    aws_client_close(&s->client);
    free(s->label);
    free(s->target);
    free(s->content_type);
    free(s);
}

void aws_reply_fini(struct aws_reply *r)
{
    json_decref(r->json);
    *r = (struct aws_reply){0};
}

/* What an answer that is no 200 means. */
static int refused(const struct aws_service *s, const struct aws_request *q, const char *action,
                   const struct http_response *h, struct aws_reply *r, struct err *e)
{
    const struct aws_client *c = &s->client;
    enum err_kind kind = ERR_INVALID;
    char hint[200] = "";
    aws_fault_parse(&r->fault, h);
    const char *code = r->fault.code;
    if (aws_fault_throttled(&r->fault, h->status) ||
        aws_client_heal(c, q, &r->fault, h)) {
        kind = ERR_RETRY;
    } else if (h->status >= 500 || h->status == 408) {
        kind = ERR_UNKNOWN;
    } else if (strstr(code, "NotFound")) {
        kind = ERR_NOTFOUND;
    } else if (aws_fault_credentials(&r->fault)) {
        snprintf(hint, sizeof hint, "%s", AWS_CREDENTIALS_HINT);
    } else if (aws_fault_denied(&r->fault)) {
        snprintf(hint, sizeof hint, ": allow %s:%s in the role's or user's IAM policy", c->service,
                 action);
    }
    return err_set(e, kind, "%s %s (%s, %s): %s %d%s%s%s", s->label, action, c->region, c->endpoint,
                   *code ? code : "HTTP status", h->status, *r->fault.message ? ": " : "",
                   r->fault.message, hint);
}

/* One attempt. ERR_RETRY: nothing has happened; ERR_UNKNOWN: it may have. */
static int attempt(struct aws_service *s, struct http *http, struct aws_request *q,
                   const char *action, const char *target, const char *body, struct aws_reply *r,
                   struct err *e)
{
    struct http_response h = {0};
    r->fault = (struct aws_fault){{0}, {0}};
    if (aws_json_sign(q, &s->client, s->content_type, target, body, strlen(body), e) ||
        http_do(http, &q->http, &h, e))
        return err_wrap(e, "%s %s", s->label, action);
    int rc = h.status == 200 ? 0 : refused(s, q, action, &h, r, e);
    if (rc == 0) {
        r->json = json_loadb((const char *)h.body.p, h.body.n, 0, NULL);
        if (!json_is_object(r->json)) /* a cut answer: it has acted, or is not the service */
            rc = err_set(e, ERR_UNKNOWN, "%s %s (%s) answered something that is no JSON object; "
                         "does the endpoint belong to the service?", s->label, action,
                         s->client.endpoint);
    }
    if (rc) {
        json_decref(r->json);
        r->json = NULL;
    }
    http_response_fini(&h);
    return rc;
}

int aws_service_call(struct aws_service *s, const char *action, const json_t *body,
                     struct aws_reply *r, struct err *e)
{
    const struct clock *clock = s->client.clock;
    struct retry retry = {.cap_ms = 5000};
    struct err local = {0};
    struct http *http = http_pool_take(&s->pool);
    struct aws_request request = {0};
    char *target = mem_printf("%s.%s", s->target, action), *text = json_dumps(body, JSON_COMPACT);
    int64_t until = clock_boot_ms(clock) + s->patience_ms;
    int rc;
    *r = (struct aws_reply){0};
    for (;;) {
        local.kind = ERR_NONE;
        rc = attempt(s, http, &request, action, target, text, r, &local);
        r->unsure |= rc && local.kind == ERR_UNKNOWN;
        if (!rc || (local.kind != ERR_RETRY && local.kind != ERR_UNKNOWN))
            break;
        int64_t wait = retry_next_ms(&retry);
        if (clock_boot_ms(clock) + wait > until) {
            local.kind = r->unsure ? ERR_UNKNOWN : ERR_RETRY;
            break;
        }
        clock->sleep_ms(clock->ctx, wait);
    }
    if (rc)
        err_set(e, local.kind, "%s", local.text);
    http_pool_give(&s->pool, http);
    aws_request_fini(&request);
    free(target);
    free(text);
    return rc;
}
