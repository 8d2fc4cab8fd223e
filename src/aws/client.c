/* client: see client.h. */
#include "aws/client.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4.h"
#include "base/mem.h"

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static char *find_region(const struct aws_options *o)
{
    const char *v = o->region && *o->region ? o->region : env("AWS_REGION");
    if (!v)
        v = env("AWS_DEFAULT_REGION");
    return v ? mem_strdup(v) : credentials_profile_get(o->profile, "region");
}

static char *find_endpoint(const char *service, const char *region, const struct aws_options *o)
{
    char name[64];
    int n = snprintf(name, sizeof name, "AWS_ENDPOINT_URL_%s", service);
    for (int i = 0; i < n && i < (int)sizeof name; i++)
        name[i] = (char)toupper((unsigned char)name[i]);
    const char *v = o->endpoint && *o->endpoint ? o->endpoint : env(name);
    if (!v)
        v = env("AWS_ENDPOINT_URL");
    if (v)
        return mem_strdup(v);
    char *profile = credentials_profile_get(o->profile, "endpoint_url");
    if (profile)
        return profile;
    return mem_printf("https://%s.%s.amazonaws.com%s", service, region,
                      strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static bool region_is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && n < 64 && s[n] == '\0';
}

/* Takes the endpoint apart: http(s)://host[:port][/]. */
static int set_host(struct aws_client *c, struct err *e)
{
    char *s = c->endpoint;
    size_t n = strlen(s);
    while (n && s[n - 1] == '/')
        s[--n] = '\0';
    bool tls = strncmp(s, "https://", 8) == 0;
    const char *host = s + (tls ? 8 : 7);
    if ((!tls && strncmp(s, "http://", 7) != 0) || !*host || strpbrk(host, "/?#@ \r\n"))
        return err_set(e, ERR_INVALID, "the endpoint \"%s\" is no http(s)://HOST[:PORT]", s);
    c->host = mem_strdup(host);
    char *port = strrchr(c->host, ':');
    if (port && strcmp(port, tls ? ":443" : ":80") == 0)
        *port = '\0';
    return 0;
}

int aws_client_open(struct aws_client *c, const char *service, const struct aws_options *o,
                    const struct clock *clock, struct err *e)
{
    *c = (struct aws_client){.clock = clock, .service = mem_strdup(service)};
    c->region = find_region(o);
    int rc = 0;
    if (!c->region)
        rc = err_set(e, ERR_INVALID,
                     "no AWS region: set AWS_REGION, or region in the profile of ~/.aws/config");
    else if (!region_is_name(c->region))
        rc = err_set(e, ERR_INVALID, "\"%s\" is no name of an AWS region", c->region);
    if (rc == 0) {
        c->endpoint = find_endpoint(service, c->region, o);
        rc = set_host(c, e);
    }
    if (rc == 0)
        rc = credentials_load(&c->credentials, o->profile, e);
    if (rc)
        aws_client_close(c);
    return rc;
}

void aws_client_close(struct aws_client *c)
{
    free(c->service);
    free(c->region);
    free(c->endpoint);
    free(c->host);
    credentials_fini(&c->credentials);
    *c = (struct aws_client){0};
}

void aws_json_sign(struct aws_json_request *q, const struct aws_client *c, const char *content_type,
                   const char *target, const void *body, size_t n)
{
    char hash[SIGV4_HASH_TEXT], date[17];
    struct buf authorization = {0};
    sigv4_hash(body, n, hash);
    struct sigv4_header signed_headers[] = {
        {"Content-Type", content_type}, {"Host", c->host}, {"X-Amz-Target", target}};
    struct sigv4_request s = {.method = "POST",
                              .path = "/",
                              .headers = signed_headers,
                              .n_headers = 3,
                              .payload_hash = hash,
                              .region = c->region,
                              .service = c->service,
                              .time_s = clock_wall_us(c->clock) / 1000000};
    sigv4_sign(&s, &c->credentials, date, &authorization);
    for (int i = 0; i < 6; i++)
        q->lines[i].n = 0;
    for (int i = 0; i < 3; i++)
        buf_printf(&q->lines[i], "%s: %s", signed_headers[i].name, signed_headers[i].value);
    buf_printf(&q->lines[3], "X-Amz-Date: %s", date);
    buf_printf(&q->lines[4], "Authorization: %s", buf_cstr(&authorization));
    int lines = 5;
    if (c->credentials.token)
        buf_printf(&q->lines[lines++], "X-Amz-Security-Token: %s", c->credentials.token);
    for (int i = 0; i < lines; i++)
        q->headers[i] = buf_cstr(&q->lines[i]);
    q->headers[lines] = NULL;
    q->http = (struct http_request){.method = "POST",
                                    .url = c->endpoint,
                                    .headers = q->headers,
                                    .body = body,
                                    .n_body = n,
                                    .timeout_ms = 30000};
    buf_fini(&authorization);
}

void aws_json_fini(struct aws_json_request *q)
{
    for (int i = 0; i < 6; i++)
        buf_fini(&q->lines[i]);
}

void aws_fault_parse(struct aws_fault *f, const struct http_response *r)
{
    *f = (struct aws_fault){{0}, {0}};
    json_t *j = json_loadb((const char *)r->body.p, r->body.n, 0, NULL);
    const char *type = json_string_value(json_object_get(j, "__type"));
    const char *message = json_string_value(json_object_get(j, "message"));
    if (!message)
        message = json_string_value(json_object_get(j, "Message"));
    size_t n = 0;
    const char *header = type ? NULL : http_header(r, "x-amzn-errortype", &n);
    if (header)
        snprintf(f->code, sizeof f->code, "%.*s", (int)n, header);
    else if (type)
        snprintf(f->code, sizeof f->code, "%s", strrchr(type, '#') ? strrchr(type, '#') + 1 : type);
    f->code[strcspn(f->code, ":")] = '\0';
    if (message)
        snprintf(f->message, sizeof f->message, "%s", message);
    json_decref(j);
}

static bool one_of(const char *code, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(code, *list) == 0)
            return true;
    return false;
}

bool aws_fault_throttled(const struct aws_fault *f, int status)
{
    static const char *const codes[] = {
        "ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException",
        "Throttling", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException",
        "KMSThrottlingException", "SlowDown", "RequestThrottled", NULL};
    return status == 429 || one_of(f->code, codes);
}

bool aws_fault_credentials(const struct aws_fault *f)
{
    static const char *const codes[] = {
        "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignature",
        "IncompleteSignatureException", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "ExpiredTokenException", "ExpiredToken",
        "InvalidClientTokenId", "SignatureDoesNotMatch", "AuthFailure", "NotAuthorized", NULL};
    return one_of(f->code, codes);
}

bool aws_fault_denied(const struct aws_fault *f)
{
    static const char *const codes[] = {"AccessDeniedException", "AccessDenied",
                                        "KMSAccessDeniedException", "OptInRequired", NULL};
    return one_of(f->code, codes);
}
